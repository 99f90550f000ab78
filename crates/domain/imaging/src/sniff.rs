//! What a file is, by its first bytes. Pure.

use crate::{ImageFormat, ImagingError};

/// As many bytes tell what a file is: the preamble of DICOM and its mark (PS3.10 §7.1).
pub const SNIFF_BYTES: usize = 128 + 4;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sniffed {
    Png,
    Jpeg,
    Dicom,
    /// The mark of DICOM after a preamble that is neither zero nor TIFF: to another program it is another file.
    DisguisedDicom,
    Pdf,
    Unknown,
}

/// Give it at least [`SNIFF_BYTES`], or the whole file when it is shorter.
pub fn sniff(head: &[u8]) -> Sniffed {
    if head.starts_with(b"\x89PNG\r\n\x1a\n") {
        Sniffed::Png
    } else if head.starts_with(b"\xff\xd8\xff") {
        Sniffed::Jpeg
    } else if head.starts_with(b"%PDF-") {
        Sniffed::Pdf
    } else if head.get(128..132) == Some(b"DICM") {
        let tiff = head.starts_with(b"II*\0") || head.starts_with(b"MM\0*");
        if tiff || head[..128].iter().all(|byte| *byte == 0) { Sniffed::Dicom } else { Sniffed::DisguisedDicom }
    } else {
        Sniffed::Unknown
    }
}

/// What the image is, when its bytes, its declared media type and the ending of its name agree.
///
/// An absent type, `application/octet-stream` and a name without an ending declare nothing. DICOM files are often named
/// by a UID or a running number: an ending that does not begin with a letter is none.
pub fn recognise(
    head: &[u8],
    declared_type: Option<&str>,
    file_name: Option<&str>,
) -> Result<ImageFormat, ImagingError> {
    let unsupported = |found: &'static str| ImagingError::UnsupportedType { found };
    let format = match sniff(head) {
        Sniffed::Png => ImageFormat::Png,
        Sniffed::Jpeg => ImageFormat::Jpeg,
        Sniffed::Dicom => ImageFormat::Dicom,
        Sniffed::DisguisedDicom => return Err(unsupported("DICOM with a preamble of another kind of file")),
        Sniffed::Pdf => return Err(unsupported("a PDF")),
        Sniffed::Unknown if head.is_empty() => return Err(unsupported("empty")),
        Sniffed::Unknown => return Err(unsupported("of another kind")),
    };
    let media_type = declared_type.and_then(|declared| declared.split(';').next()).unwrap_or_default().trim();
    let declares = !media_type.is_empty() && !media_type.eq_ignore_ascii_case("application/octet-stream");
    if declares && !media_types(format).iter().any(|known| known.eq_ignore_ascii_case(media_type)) {
        let declared = format!("the type {}", shown(media_type));
        return Err(ImagingError::Disagreement { declared, found: format });
    }
    file_name.map_or(Ok(()), |name| ending_agrees(format, name))?;
    Ok(format)
}

/// Whether a name ends as files of the format do, or in no ending.
pub fn ending_agrees(format: ImageFormat, file_name: &str) -> Result<(), ImagingError> {
    match ending(file_name) {
        Some(ending) if !extensions(format).iter().any(|known| known.eq_ignore_ascii_case(ending)) => {
            let declared = format!("the ending .{}", shown(ending));
            Err(ImagingError::Disagreement { declared, found: format })
        }
        _ => Ok(()),
    }
}

const fn media_types(format: ImageFormat) -> &'static [&'static str] {
    match format {
        ImageFormat::Png => &["image/png"],
        ImageFormat::Jpeg => &["image/jpeg", "image/jpg", "image/pjpeg"],
        ImageFormat::Dicom => &["application/dicom", "image/dicom"],
    }
}

const fn extensions(format: ImageFormat) -> &'static [&'static str] {
    match format {
        ImageFormat::Png => &["png"],
        ImageFormat::Jpeg => &["jpg", "jpeg", "jpe", "jfif"],
        ImageFormat::Dicom => &["dcm", "dicom", "dic", "ima"],
    }
}

fn ending(file_name: &str) -> Option<&str> {
    let (_, ending) = file_name.trim().rsplit_once('.')?;
    let is_one = ending.starts_with(|c: char| c.is_alphabetic()) && !ending.contains(char::is_whitespace);
    is_one.then_some(ending)
}

/// What a client sent, cut to what an answer may repeat.
fn shown(text: &str) -> String {
    text.chars().filter(|c| c.is_ascii_graphic()).take(60).collect()
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, option, prelude::*, sample};

    use super::*;

    /// Beginnings of all kinds of files, and of none.
    fn head() -> impl Strategy<Value = Vec<u8>> {
        let marks: Vec<&[u8]> = vec![
            b"\x89PNG\r\n\x1a\n",
            b"\xff\xd8\xff",
            b"%PDF-1.7",
            b"GIF89a",
            b"PK\x03\x04",
            b"MZ",
            b"<svg",
            b"II*\0",
            b"MM\0*",
            b"",
            b"\0",
        ];
        (sample::select(marks), vec(any::<u8>(), 0..200), any::<bool>(), any::<bool>()).prop_map(
            |(mark, rest, zero, dicom)| {
                let mut head = [mark, &rest].concat();
                if dicom {
                    head.resize(132, 0);
                    if zero {
                        head[mark.len()..128].fill(0);
                    }
                    head[128..132].copy_from_slice(b"DICM");
                }
                head
            },
        )
    }

    proptest! {
        #[test]
        fn what_more_bytes_follow_changes_nothing(head in head(), rest in vec(any::<u8>(), 0..64)) {
            prop_assume!(head.len() >= SNIFF_BYTES);
            prop_assert_eq!(sniff(&[head.as_slice(), &rest].concat()), sniff(&head[..SNIFF_BYTES]));
        }

        #[test]
        fn a_file_is_taken_for_what_its_bytes_are_or_not_at_all(
            head in head(),
            declared in option::of(sample::select(vec!["image/png", "IMAGE/JPEG", "application/dicom", "text/html", "image/svg+xml", "application/octet-stream", ""])),
            name in option::of("[a-z.]{0,6}\\.(png|JPG|dcm|html|exe|1)"),
        ) {
            let taken = recognise(&head, declared, name.as_deref());
            let by_bytes = match sniff(&head) {
                Sniffed::Png => Some(ImageFormat::Png),
                Sniffed::Jpeg => Some(ImageFormat::Jpeg),
                Sniffed::Dicom => Some(ImageFormat::Dicom),
                Sniffed::DisguisedDicom | Sniffed::Pdf | Sniffed::Unknown => None,
            };
            if let Ok(format) = taken {
                prop_assert_eq!(Some(format), by_bytes);
                prop_assert!(!matches!(declared, Some("text/html" | "image/svg+xml")));
                prop_assert!(!name.is_some_and(|name| name.ends_with(".html") || name.ends_with(".exe")));
            } else {
                prop_assert!(by_bytes.is_none() || declared.is_some() || name.is_some());
            }
        }

        #[test]
        fn dicom_has_a_preamble_of_nothing_or_of_tiff(preamble in vec(any::<u8>(), 128..129), zeros in 0..129_usize) {
            let mut head = preamble;
            head[..zeros].fill(0);
            head.extend_from_slice(b"DICM");
            let clean = head[..128].iter().all(|byte| *byte == 0) || head.starts_with(b"II*\0") || head.starts_with(b"MM\0*");
            let other = head.starts_with(b"\x89PNG\r\n\x1a\n") || head.starts_with(b"\xff\xd8\xff") || head.starts_with(b"%PDF-");
            prop_assume!(!other);
            prop_assert_eq!(sniff(&head), if clean { Sniffed::Dicom } else { Sniffed::DisguisedDicom });
        }
    }

    const PNG: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR";
    const JPEG: &[u8] = b"\xff\xd8\xff\xe0\0\x10JFIF";

    fn dicom(preamble: &[u8]) -> Vec<u8> {
        let mut head = vec![0; 128];
        head[..preamble.len()].copy_from_slice(preamble);
        head.extend_from_slice(b"DICM\x02\0\0\0");
        head
    }

    #[test]
    fn bytes_decide_what_a_file_is() {
        for (head, sniffed) in [
            (PNG, Sniffed::Png),
            (JPEG, Sniffed::Jpeg),
            (&dicom(b""), Sniffed::Dicom),
            (&dicom(b"II*\0\x08\0"), Sniffed::Dicom),
            (&dicom(b"MM\0*"), Sniffed::Dicom),
            (&dicom(b"MZ\x90\0"), Sniffed::DisguisedDicom),
            (&dicom(b"#!/bin/sh"), Sniffed::DisguisedDicom),
            (b"%PDF-1.7", Sniffed::Pdf),
            (b"", Sniffed::Unknown),
            (b"<svg xmlns", Sniffed::Unknown),
            (b"PK\x03\x04", Sniffed::Unknown),
            (b"GIF89a", Sniffed::Unknown),
            (&[0; 131], Sniffed::Unknown),
            (b"\x89PNG\r\n\x1a", Sniffed::Unknown),
        ] {
            assert_eq!(sniff(head), sniffed, "{head:?}");
        }
    }

    #[test]
    fn what_is_declared_has_to_agree_with_the_bytes() {
        let dicom = &dicom(b"")[..];
        for (head, declared_type, name, format) in [
            (PNG, Some("image/png"), Some("a.PNG"), ImageFormat::Png),
            (PNG, None, None, ImageFormat::Png),
            (PNG, Some("application/octet-stream"), Some("chest ap"), ImageFormat::Png),
            (JPEG, Some("IMAGE/JPEG; q=1"), Some("thorax.jpeg"), ImageFormat::Jpeg),
            (dicom, Some("application/dicom"), Some("1.2.840.113619.2.5"), ImageFormat::Dicom),
            (dicom, None, Some("IM000001"), ImageFormat::Dicom),
            (dicom, None, Some("I10.dcm"), ImageFormat::Dicom),
            (PNG, None, Some("Dr. Azad, knee"), ImageFormat::Png),
        ] {
            assert_eq!(recognise(head, declared_type, name).unwrap(), format, "{declared_type:?} {name:?}");
        }
        for (head, declared_type, name) in [
            (PNG, Some("image/jpeg"), None),
            (PNG, Some("text/html"), None),
            (PNG, None, Some("a.html")),
            (PNG, None, Some("a.png.exe")),
            (JPEG, Some("image/jpeg"), Some("a.dcm")),
            (dicom, Some("image/png"), Some("a.png")),
            (PNG, None, Some("صورة.صورة")),
        ] {
            let refused = recognise(head, declared_type, name);
            assert!(matches!(refused, Err(ImagingError::Disagreement { .. })), "{declared_type:?} {name:?}");
        }
        for head in [&b"%PDF-1.7"[..], b"", b"<svg>"] {
            let refused = recognise(head, Some("image/png"), Some("a.png"));
            assert!(matches!(refused, Err(ImagingError::UnsupportedType { .. })), "{head:?}");
        }
    }
}
