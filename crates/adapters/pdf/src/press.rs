//! Typst, with a world that is in the binary: no file system, no network, no packages, no clock.

use std::sync::LazyLock;

use serde::Serialize;
use typst::{
    Library, LibraryExt, World,
    diag::{FileError, FileResult, SourceDiagnostic},
    foundations::{Bytes, Datetime, Duration, Smart},
    syntax::{FileId, RootedPath, Source, VirtualPath, VirtualRoot},
    text::{Font, FontBook},
    utils::LazyHash,
};
use typst_pdf::{PdfOptions, PdfStandard, PdfStandards, Timestamp};

/// What does not change between two documents. Made when the first is set: a server that sets none pays nothing.
struct Shop {
    library: LazyHash<Library>,
    book: LazyHash<FontBook>,
    fonts: Vec<Font>,
    faces: Vec<ttf_parser::Face<'static>>,
    common: Source,
}

static SHOP: LazyLock<Shop> = LazyLock::new(|| {
    let files: [&'static [u8]; 5] = [
        include_bytes!("../fonts/NotoSans-Regular.ttf"),
        include_bytes!("../fonts/NotoSans-Bold.ttf"),
        include_bytes!("../fonts/NotoNaskhArabic-Regular.ttf"),
        include_bytes!("../fonts/NotoNaskhArabic-Bold.ttf"),
        include_bytes!("../fonts/DejaVuSans.ttf"),
    ];
    let fonts: Vec<Font> = files.into_iter().flat_map(|file| Font::iter(Bytes::new(file))).collect();
    Shop {
        library: LazyHash::new(Library::default()),
        book: LazyHash::new(FontBook::from_fonts(&fonts)),
        faces: files.into_iter().flat_map(|file| ttf_parser::Face::parse(file, 0)).collect(),
        common: source("/sheet.typ", include_str!("../templates/sheet.typ")),
        fonts,
    }
});

/// Whether the document's fonts have the character. Their coverage as Typst knows it is that of the ranges in the font's
/// tables, which have holes.
pub(crate) fn has_glyph(c: char) -> bool {
    SHOP.faces.iter().any(|face| face.glyph_index(c).is_some_and(|glyph| glyph.0 != 0))
}

/// The same path is the same id: Typst keeps every path it was ever given, so they are few.
fn file_id(path: &str) -> FileId {
    let path = VirtualPath::new(path).expect("a path of ours is a path");
    RootedPath::new(VirtualRoot::Project, path).intern()
}

fn source(path: &str, text: &str) -> Source {
    Source::new(file_id(path), text.to_owned())
}

/// One document to set.
pub(crate) struct Job {
    /// The template.
    pub(crate) template: &'static str,
    /// What the template reads as `/data.json`: the only way of a text into the document, as a value and never as markup.
    pub(crate) data: Vec<u8>,
    /// Read as `/image-0.png`, `/image-1.png`, …
    pub(crate) images: Vec<bytes::Bytes>,
    /// Read as `/qr.svg`.
    pub(crate) qr: Option<String>,
    /// Tells the document from every other one.
    pub(crate) ident: String,
    pub(crate) issued_at: infirmary_kernel::Timestamp,
}

impl Job {
    pub(crate) fn data(data: &impl Serialize) -> Vec<u8> {
        // Structs of texts, numbers and lists of them: nothing in them can fail to be JSON.
        serde_json::to_vec(data).unwrap_or_default()
    }
}

struct Sheet {
    main: Source,
    files: Vec<(FileId, Bytes)>,
}

impl World for Sheet {
    fn library(&self) -> &LazyHash<Library> {
        &SHOP.library
    }

    fn book(&self) -> &LazyHash<FontBook> {
        &SHOP.book
    }

    fn main(&self) -> FileId {
        self.main.id()
    }

    fn source(&self, id: FileId) -> FileResult<Source> {
        [&self.main, &SHOP.common].into_iter().find(|source| source.id() == id).cloned().ok_or(FileError::AccessDenied)
    }

    fn file(&self, id: FileId) -> FileResult<Bytes> {
        self.files.iter().find(|(known, _)| *known == id).map(|(_, bytes)| bytes.clone()).ok_or(FileError::AccessDenied)
    }

    fn font(&self, index: usize) -> Option<Font> {
        SHOP.fonts.get(index).cloned()
    }

    /// Dates come with the sheet.
    fn today(&self, _: Option<Duration>) -> Option<Datetime> {
        None
    }
}

/// Sets the document. The reason of a failure names the template's trouble, and nothing of the data.
pub(crate) fn set(job: Job) -> Result<Vec<u8>, String> {
    let result = compile(job);
    // Typst remembers every intermediate result for the next compilation. Ours share nothing worth its memory.
    typst::comemo::evict(0);
    result
}

fn compile(job: Job) -> Result<Vec<u8>, String> {
    let mut files = vec![(file_id("/data.json"), Bytes::new(job.data))];
    files.extend(job.qr.map(|svg| (file_id("/qr.svg"), Bytes::new(svg.into_bytes()))));
    for (place, image) in job.images.into_iter().enumerate() {
        files.push((file_id(&format!("/image-{place}.png")), Bytes::new(image)));
    }
    let sheet = Sheet { main: source("/main.typ", job.template), files };
    let document = typst::compile(&sheet).output.map_err(|errors| reason(&errors))?;
    let standards =
        PdfStandards::new(&[PdfStandard::A_2a, PdfStandard::Ua_1]).map_err(|error| error.message().to_string())?;
    let options = PdfOptions {
        ident: Smart::Custom(job.ident),
        creator: Smart::Custom(Some("Infirmary".to_owned())),
        timestamp: timestamp(job.issued_at),
        standards,
        ..PdfOptions::default()
    };
    typst_pdf::pdf(&document, &options).map_err(|errors| reason(&errors))
}

/// What the compiler said, up to where it may quote the data.
fn reason(errors: &[SourceDiagnostic]) -> String {
    let messages: Vec<_> = errors.iter().filter_map(|error| error.message.split(['"', '`']).next()).collect();
    messages.join("; ")
}

fn timestamp(time: infirmary_kernel::Timestamp) -> Option<Timestamp> {
    let text = time.to_string();
    let part = |range: std::ops::Range<usize>| text.get(range)?.parse::<u8>().ok();
    let year = text.get(0..4)?.parse().ok()?;
    Datetime::from_ymd_hms(year, part(5..7)?, part(8..10)?, part(11..13)?, part(14..16)?, part(17..19)?)
        .map(Timestamp::new_utc)
}
