//! What a PDF from outside may hold. Each document is made plain and with its objects in compressed streams.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on is a panic")]

use std::io::Write;

use infirmary_kernel::Entropy;
use infirmary_kernel::testing::{CountingEntropy, fresh_id};
use infirmary_pdf::{PdfGuard, TypstPress};
use infirmary_reports::{InspectError, MAX_PDF_BYTES, PdfInspector, PdfRefusal, Typesetter};
use lopdf::{Dictionary, Document, Object, ObjectId, Stream, dictionary};
use proptest::{prelude::*, test_runner::TestRunner};

mod common;

#[tokio::main(flavor = "current_thread")]
async fn inspect(bytes: &[u8]) -> Result<usize, PdfRefusal> {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(bytes).unwrap();
    match PdfGuard::default().inspect(file.path()).await {
        Ok(pages) => Ok(pages),
        Err(InspectError::Refused(refusal)) => Err(refusal),
        Err(other) => panic!("{other}"),
    }
}

struct Draft {
    document: Document,
    catalog: ObjectId,
    pages: ObjectId,
}

impl Draft {
    fn new(pages: usize) -> Self {
        let mut document = Document::with_version("1.7");
        let root = document.new_object_id();
        let content = Stream::new(dictionary! {}, b"BT (Hello) Tj ET".to_vec());
        let content = document.add_object(content);
        let kids: Vec<Object> = (0..pages)
            .map(|_| {
                let page = dictionary! {
                    "Type" => "Page", "Parent" => root, "Contents" => content,
                    "MediaBox" => vec![0.into(), 0.into(), 595.into(), 842.into()],
                };
                document.add_object(page).into()
            })
            .collect();
        document.set_object(root, dictionary! { "Type" => "Pages", "Count" => pages as i64, "Kids" => kids });
        let catalog = document.add_object(dictionary! { "Type" => "Catalog", "Pages" => root });
        document.trailer.set("Root", catalog);
        Self { document, catalog, pages: root }
    }

    /// One page, and this in the catalog.
    fn with(key: &str, value: impl Into<Object>) -> Self {
        let mut draft = Self::new(1);
        draft.document.get_dictionary_mut(draft.catalog).unwrap().set(key, value);
        draft
    }

    /// One page, and this annotation on it.
    fn annotated(annotation: Dictionary) -> Self {
        let mut draft = Self::new(1);
        let annotation = draft.document.add_object(annotation);
        let kids = draft.document.get_dictionary(draft.pages).unwrap().get(b"Kids").unwrap().as_array().unwrap();
        let page = kids[0].as_reference().unwrap();
        draft.document.get_dictionary_mut(page).unwrap().set("Annots", vec![annotation.into()]);
        draft
    }

    fn plain(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.document.clone().save_to(&mut bytes).unwrap();
        bytes
    }

    fn packed(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.document.clone().save_modern(&mut bytes).unwrap();
        assert!(!bytes.windows(8).any(|window| window == b"/Catalog"), "it is in a compressed stream");
        bytes
    }

    fn is(&self, expected: Result<usize, PdfRefusal>) {
        assert_eq!(inspect(&self.plain()), expected, "plain");
        assert_eq!(inspect(&self.packed()), expected, "packed");
    }
}

fn script() -> Dictionary {
    dictionary! { "S" => "JavaScript", "JS" => Object::string_literal("app.alert(1)") }
}

#[test]
fn an_ordinary_document_is_taken_with_its_pages_counted() {
    Draft::new(1).is(Ok(1));
    Draft::new(500).is(Ok(500));
    Draft::new(501).is(Err(PdfRefusal::TooManyPages));
    Draft::new(0).is(Err(PdfRefusal::NoPages));
}

#[test]
fn what_moves_within_the_document_is_taken() {
    Draft::with("OpenAction", vec![Object::Null, "Fit".into()]).is(Ok(1));
    Draft::with("OpenAction", dictionary! { "S" => "GoTo", "D" => vec![Object::Null, "Fit".into()] }).is(Ok(1));
    let link = dictionary! { "S" => "URI", "URI" => Object::string_literal("https://example.org/launch") };
    Draft::annotated(dictionary! { "Type" => "Annot", "Subtype" => "Link", "A" => link }).is(Ok(1));
    let mut outlined = Draft::new(3);
    let item = outlined.document.add_object(dictionary! { "Title" => Object::string_literal("One (1) \\ /First 2") });
    let outlines = outlined.document.add_object(dictionary! { "First" => item, "Last" => item, "Count" => 1 });
    outlined.document.get_dictionary_mut(outlined.catalog).unwrap().set("Outlines", outlines);
    assert_eq!(inspect(&outlined.packed()), Ok(3));
}

#[test]
fn a_script_is_refused_wherever_it_stands() {
    let refused = Err(PdfRefusal::Active);
    Draft::with("OpenAction", script()).is(refused);
    let names = vec![Object::string_literal("start"), script().into()];
    Draft::with("Names", dictionary! { "JavaScript" => dictionary! { "Names" => names } }).is(refused);
    Draft::with("AA", dictionary! { "WC" => script() }).is(refused);
    Draft::annotated(dictionary! { "Subtype" => "Widget", "A" => script() }).is(refused);
    Draft::annotated(dictionary! { "Subtype" => "Link", "A" => dictionary! { "JS" => "x" } }).is(refused);
    let next = dictionary! { "S" => "GoTo", "D" => "here", "Next" => vec![script().into()] };
    Draft::with("OpenAction", next).is(refused);
    Draft::with("AcroForm", dictionary! { "XFA" => Object::string_literal("<xdp/>") }).is(refused);
}

#[test]
fn an_action_that_reaches_outside_is_refused() {
    let refused = Err(PdfRefusal::Active);
    for action in ["Launch", "SubmitForm", "ImportData", "Rendition", "GoToE", "GoToR"] {
        let action = dictionary! { "S" => action, "F" => Object::string_literal("calc.exe") };
        Draft::annotated(dictionary! { "Subtype" => "Link", "A" => action }).is(refused);
    }
    Draft::annotated(dictionary! { "Subtype" => "RichMedia" }).is(refused);
}

#[test]
fn a_file_within_the_file_is_refused() {
    let refused = Err(PdfRefusal::EmbeddedFile);
    Draft::with("Names", dictionary! { "EmbeddedFiles" => dictionary! { "Names" => Vec::<Object>::new() } })
        .is(refused);
    Draft::annotated(dictionary! { "Subtype" => "FileAttachment" }).is(refused);
    let specification = dictionary! { "Type" => "Filespec", "EF" => dictionary! { "F" => Object::Null } };
    Draft::with("AF", vec![specification.into()]).is(refused);
    let mut embedding = Draft::new(1);
    embedding.document.add_object(Stream::new(dictionary! { "Type" => "EmbeddedFile" }, b"MZ".to_vec()));
    embedding.is(refused);
}

#[test]
fn an_escaped_name_is_the_name() {
    let plain = Draft::with("OpenAction", script()).plain();
    let text = String::from_utf8_lossy(&plain).replace("/JavaScript", "/J#61va#53cript").replace("/JS", "/#4aS");
    assert_eq!(inspect(text.as_bytes()), Err(PdfRefusal::Active));
    let text = String::from_utf8_lossy(&plain).replace("/JavaScript", "/Other").replace("/JS", "/#4a#53");
    assert_eq!(inspect(text.as_bytes()), Err(PdfRefusal::Active));
}

#[test]
fn an_encrypted_document_is_refused() {
    let mut draft = Draft::new(1);
    let encryption = dictionary! { "Filter" => "Standard", "V" => 2, "R" => 3, "Length" => 128, "P" => -44 };
    let encryption = draft.document.add_object(encryption);
    draft.document.trailer.set("Encrypt", encryption);
    assert_eq!(inspect(&draft.plain()), Err(PdfRefusal::Encrypted));
}

#[test]
fn what_is_no_pdf_or_too_large_is_refused() {
    let plain = Draft::new(1).plain();
    assert_eq!(inspect(b""), Err(PdfRefusal::NotPdf));
    assert_eq!(inspect(&[b"\n", &plain[..]].concat()), Err(PdfRefusal::NotPdf));
    let mut large = plain.clone();
    large.splice(9..9, std::iter::repeat_n(b' ', MAX_PDF_BYTES as usize - plain.len()));
    assert_eq!((large.len() as u64, inspect(&large)), (MAX_PDF_BYTES, Ok(1)));
    large.push(b'\n');
    assert_eq!(inspect(&large), Err(PdfRefusal::TooLarge));
}

#[test]
fn a_truncated_document_is_refused_wherever_it_was_cut() {
    for whole in [Draft::new(2).plain(), Draft::new(2).packed()] {
        let end = whole.len() - whole.iter().rev().take_while(|byte| byte.is_ascii_whitespace()).count();
        for cut in (5..end).step_by(3).chain([end - 1]) {
            assert_eq!(inspect(&whole[..cut]), Err(PdfRefusal::Unreadable), "{cut} of {end}");
        }
    }
}

/// A document whose parts stand one after the other, with the end that a viewer looks for.
fn by_hand(parts: &[&[u8]]) -> Vec<u8> {
    let catalog: &[u8] = b"%PDF-1.7\n1 0 obj <</Type/Catalog/Pages 2 0 R>> endobj\n\
        2 0 obj <</Type/Pages/Count 1/Kids[3 0 R]>> endobj 3 0 obj <</Type/Page/Parent 2 0 R>> endobj\n";
    [catalog, &parts.concat(), b"\ntrailer <</Root 1 0 R/Size 9>>\nstartxref\n9\n%%EOF\n"].concat()
}

fn packed(content: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

fn object_stream(dictionary: &str, content: &[u8]) -> Vec<u8> {
    let head = format!("5 0 obj <<{dictionary}/N 1/First 4/Length {}>> stream\n", content.len());
    [head.as_bytes(), content, b"\nendstream endobj\n"].concat()
}

#[test]
fn objects_cannot_hide_from_the_pass() {
    assert_eq!(inspect(&by_hand(&[])), Ok(1));
    let content = b"6 0 <</S/JavaScript/JS(app.alert(1))>>";
    let hidden = packed(content);
    for (dictionary, bytes, refusal) in [
        ("/Type/ObjStm/Filter/FlateDecode", &hidden[..], PdfRefusal::Active),
        ("/Type/ObjStm/Filter[/FlateDecode]", &hidden, PdfRefusal::Active),
        ("/Filter/FlateDecode", &hidden, PdfRefusal::Active),
        ("/Type/Obj#53tm/Filter/Flate#44ecode", &hidden, PdfRefusal::Active),
        ("/Type/ObjStm", content, PdfRefusal::Active),
        ("/Type/ObjStm/Filter[/ASCIIHexDecode/FlateDecode]", &hidden, PdfRefusal::Unreadable),
        ("/Type/ObjStm/Filter/LZWDecode", &hidden, PdfRefusal::Unreadable),
        ("/Type/ObjStm/Filter/FlateDecode/DecodeParms<</Predictor 12>>", &hidden, PdfRefusal::Unreadable),
        ("/Type/ObjStm/Filter/FlateDecode", &hidden[..hidden.len() - 6], PdfRefusal::Unreadable),
    ] {
        assert_eq!(inspect(&by_hand(&[&object_stream(dictionary, bytes)])), Err(refusal), "{dictionary}");
    }
    // In the bytes of another stream, in a text, in a comment: a viewer could be sent there by its table.
    let container = object_stream("/Type/ObjStm/Filter/FlateDecode", &hidden);
    let outer = [b"4 0 obj <</Length 9>> stream\n", &container[..], b"\nendstream endobj"].concat();
    let inner_length = format!("4 0 obj <</Length {}>> stream\n", container.len());
    let skipped = [inner_length.as_bytes(), &container[..], b"\nendstream endobj"].concat();
    let text = [b"4 0 obj (", &object_stream("/Filter/LZWDecode", b"x")[..], b") endobj"].concat();
    let comment = b"%5 0 obj <</N 1/First 4/Filter/LZWDecode>> stream\n".to_vec();
    for hiding in [outer, skipped, text, comment] {
        assert!(inspect(&by_hand(&[&hiding])).is_err(), "{}", String::from_utf8_lossy(&hiding));
    }
    let named = by_hand(&[b"4 0 obj <</Length 11>> stream\n/JavaScript\nendstream endobj"]);
    assert_eq!(inspect(&named), Err(PdfRefusal::Active));
}

#[test]
fn what_unpacks_without_end_is_refused() {
    let bomb = packed(&vec![b' '; 64 << 20]);
    assert!(bomb.len() < 1 << 20);
    let bomb = object_stream("/Type/ObjStm/Filter/FlateDecode", &bomb);
    assert_eq!(inspect(&by_hand(&[&bomb])), Err(PdfRefusal::Unreadable));
    let large = object_stream("/Type/ObjStm/Filter/FlateDecode", &packed(&vec![b' '; 15 << 20]));
    assert_eq!(inspect(&by_hand(&[&large])), Ok(1));
    assert_eq!(inspect(&by_hand(&[&large[..]; 5])), Err(PdfRefusal::Unreadable));
}

#[test]
fn what_is_nested_without_end_is_refused() {
    for (open, close) in [("[", "]"), ("<</A", ">>"), ("(", ")")] {
        let nested = format!("4 0 obj {} {} endobj", open.repeat(90), close.repeat(90));
        assert_eq!(inspect(&by_hand(&[nested.as_bytes()])), Ok(1), "{open}");
        let nested = format!("4 0 obj {} endobj", open.repeat(100_000));
        assert_eq!(inspect(&by_hand(&[nested.as_bytes()])), Err(PdfRefusal::Unreadable), "{open}");
    }
    for broken in ["[>>", "]", "<<]", "<</A", "(", "<4", "<zz>", "}", "stream x"] {
        let refused = inspect(&by_hand(&[format!("4 0 obj {broken} endobj").as_bytes()]));
        assert_eq!(refused, Err(PdfRefusal::Unreadable), "{broken}");
    }
}

/// Were one of these read in quadratic time, the test would not end.
#[test]
fn time_is_linear_in_the_size_of_the_file() {
    for part in
        ["/First%", "/First ", "(/First 1", "1 0 obj ", "stream\n", "4 0 obj <</Length 1 0 R>> stream\n", "/#4", "<<"]
    {
        let long = by_hand(&[part.repeat((1 << 20) / part.len()).as_bytes()]);
        let _ = inspect(&long);
    }
}

#[test]
fn a_newer_revision_of_a_page_is_the_same_page() {
    let revision = b"3 0 obj <</Type/Page/Parent 2 0 R/Rotate 90>> endobj";
    assert_eq!(inspect(&by_hand(&[revision, b"\n", revision])), Ok(1));
}

#[test]
fn a_length_that_is_wrong_or_elsewhere_does_not_lose_the_pass() {
    for length in ["9 0 R", "999999", "1", "0", "-1", "99999999999999999999999"] {
        let stream =
            format!("4 0 obj <</Length {length}/Filter/DCTDecode>> stream\r\nabc )>> def\r\nendstream\nendobj");
        assert_eq!(inspect(&by_hand(&[stream.as_bytes()])), Ok(1), "{length}");
    }
    let unknown = b"4 0 obj <</Length 9 0 R>> stream\nabc";
    assert_eq!(inspect(&by_hand(&[unknown])), Err(PdfRefusal::Unreadable));
}

#[tokio::test]
async fn a_report_of_our_own_is_taken() {
    let mut sheet = common::kurdish(2);
    sheet.report = fresh_id();
    let pdf = TypstPress::default().report(sheet).await.unwrap();
    let pages = std::thread::spawn(move || inspect(&pdf)).join().unwrap();
    assert!(matches!(pages, Ok(1..=3)), "{pages:?}");
}

#[test]
fn no_bytes_make_it_panic() {
    let mut noise = vec![0; 1 << 16];
    CountingEntropy::default().fill(&mut noise);
    assert!(inspect(&[b"%PDF-1.7\n", &noise[..], b"startxref 0 %%EOF"].concat()).is_err());

    let mut runner =
        TestRunner::new(ProptestConfig { failure_persistence: None, cases: 256, ..ProptestConfig::default() });
    let pieces = proptest::sample::select(vec![
        "obj",
        "endobj",
        "stream",
        "endstream",
        " 1 0 ",
        "<<",
        ">>",
        "[",
        "]",
        "(",
        ")",
        "<",
        ">",
        "/Type",
        "/Page",
        "/ObjStm",
        "/First 4",
        "/N 1",
        "/Length 7",
        "/Filter",
        "/FlateDecode",
        "#",
        "%",
        "\n",
        "\\",
        "R",
        "\u{0}",
        "-1.5",
        "startxref",
        "%%EOF",
        "trailer",
        "{",
        "x",
    ]);
    runner
        .run(&proptest::collection::vec(pieces, 0..60), |pieces| {
            let body = pieces.concat();
            let _ = inspect(format!("%PDF-1.7\n{body}\nstartxref\n%%EOF").as_bytes());
            Ok(())
        })
        .unwrap();
}

/// What is taken in spite of some changed bytes has, as another reader sees it, no script either.
#[test]
fn a_changed_document_that_is_taken_holds_nothing_that_acts() {
    let scripted = Draft::with("OpenAction", script());
    let wholes = [scripted.plain(), scripted.packed(), Draft::new(2).plain(), Draft::new(2).packed()];
    let mut runner =
        TestRunner::new(ProptestConfig { failure_persistence: None, cases: 256, ..ProptestConfig::default() });
    let changes = proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 1..6);
    runner
        .run(&(proptest::sample::select(wholes.to_vec()), changes), |(mut bytes, changes)| {
            for (place, byte) in changes {
                let place = place.index(bytes.len());
                bytes[place] = byte;
            }
            if inspect(&bytes).is_ok()
                && let Ok(document) = Document::load_mem(&bytes)
            {
                let acts = document.objects.values().any(|object| format!("{object:?}").contains("/JavaScript"));
                prop_assert!(!acts);
            }
            Ok(())
        })
        .unwrap();
}
