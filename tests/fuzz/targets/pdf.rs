//! A report as a PDF from outside.

use std::sync::LazyLock;

use infirmary_pdf::PdfGuard;
use infirmary_reports::{InspectError, MAX_PDF_PAGES, PdfInspector, PdfRefusal};

use super::{RUNTIME, file};
use crate::harness::Target;

pub const TARGET: Target = Target {
    name: "pdf",
    run,
    seeds: Vec::new,
    words: &[
        b"%PDF-1.7\n",
        b"1 0 obj",
        b"endobj",
        b"stream\r\n",
        b"endstream",
        b"<<",
        b">>",
        b"[",
        b"/Type /Page",
        b"/Type /ObjStm",
        b"/Filter /FlateDecode",
        b"/First 8",
        b"/N 1",
        b"/Length 0",
        b"/DecodeParms << /Predictor 12 >>",
        b"/JavaScript",
        b"/J#61vaScript",
        b"/JS",
        b"/AA",
        b"/Encrypt",
        b"/EmbeddedFile",
        b"/Launch",
        b"/Root 1 0 R",
        b"trailer",
        b"startxref\n0\n%%EOF",
        b"(",
        b"\\",
        b"<",
        b"%",
        b"#",
    ],
    max_bytes: 20 * 1024,
    // What object streams may unpack to, twice for the buffer as it grows, and the file.
    max_mib: 64,
    changes: 800,
};

fn run(input: &[u8]) -> String {
    static GUARD: LazyLock<PdfGuard> = LazyLock::new(PdfGuard::default);
    match RUNTIME.block_on(GUARD.inspect(&file(input))) {
        Ok(pages) => {
            assert!(input.starts_with(b"%PDF-") && (1..=MAX_PDF_PAGES).contains(&pages));
            for name in ["/JavaScript", "/Launch", "/EmbeddedFile ", "/RichMedia "] {
                let name = name.as_bytes();
                // Followed by what ends a name: `/JavaScripts` is another.
                let stands = input.windows(name.len() + 1).any(|at| {
                    at.starts_with(name) && (name.ends_with(b" ") || b" \n\r/(<[>]".contains(&at[name.len()]))
                });
                assert!(!stands, "{} is in it", String::from_utf8_lossy(name));
            }
            format!("{} pages", pages.min(3))
        }
        Err(InspectError::Refused(refusal)) => {
            assert_eq!(refusal == PdfRefusal::NotPdf, !input.starts_with(b"%PDF-"));
            format!("{refusal:?}, {} streams", input.windows(9).filter(|at| at == b"endstream").count().min(4))
        }
        Err(other) => panic!("a file that is there is not to be had: {other:?}"),
    }
}
