//! Bytes of an object on their way out: whole, or one range of them (RFC 9110 §14), or none because the client has them.

use std::ops::Range;

use actix_web::{
    HttpRequest, HttpResponse,
    body::SizedStream,
    http::{
        StatusCode,
        header::{self, HeaderMap, HeaderValue},
    },
};
use infirmary_kernel::{ObjectRead, ServedAs, Sha256Digest};

use super::problem::Problem;

/// A browser may show it, and run nothing of it.
pub const SANDBOX: HeaderValue = HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'; sandbox");
/// Of one person, and not to be kept.
pub const PRIVATE: HeaderValue = HeaderValue::from_static("private, no-store");

/// An object as it is offered.
pub struct Offer<'a> {
    pub media_type: &'static str,
    pub bytes: u64,
    pub sha256: Sha256Digest,
    /// What it is to be called when it is saved.
    pub file_name: &'a str,
    /// Whether a browser can show it; else it saves it.
    pub shown: bool,
}

/// What of it the request asks for.
#[derive(Debug, PartialEq, Eq)]
pub enum Asked {
    Whole,
    Part(Range<u64>),
    /// The client has it already.
    NotModified,
}

impl Offer<'_> {
    pub fn etag(&self) -> String {
        format!("\"{}\"", self.sha256)
    }

    pub fn asked(&self, request: &HttpRequest) -> Result<Asked, Problem> {
        asked(request.headers(), &self.etag(), self.bytes)
    }

    /// The answer without a body.
    pub fn not_modified(&self) -> HttpResponse {
        let mut response = HttpResponse::NotModified();
        response.insert_header((header::ETAG, self.etag())).insert_header((header::CACHE_CONTROL, PRIVATE));
        response.finish()
    }

    /// The same, for a store that serves it by itself.
    pub fn served(&self) -> ServedAs {
        ServedAs { media_type: self.media_type, disposition: disposition(self.shown, self.file_name) }
    }

    /// The answer with what was read.
    pub fn respond(&self, asked: &Asked, read: ObjectRead) -> HttpResponse {
        let ObjectRead { size, range, bytes } = read;
        let mut response = HttpResponse::Ok();
        if let Asked::Part(_) = asked {
            let last = range.end.saturating_sub(1);
            response.status(StatusCode::PARTIAL_CONTENT);
            response.insert_header((header::CONTENT_RANGE, format!("bytes {}-{last}/{size}", range.start)));
        }
        response
            .insert_header((header::ETAG, self.etag()))
            .insert_header((header::ACCEPT_RANGES, "bytes"))
            .insert_header((header::CACHE_CONTROL, PRIVATE))
            .insert_header((header::CONTENT_SECURITY_POLICY, SANDBOX))
            .insert_header((header::CONTENT_DISPOSITION, disposition(self.shown, self.file_name)))
            .content_type(self.media_type)
            .body(SizedStream::new(range.end - range.start, bytes))
    }
}

/// The bytes are at that address of the store's for a short while. The browser is to ask here again the next time.
pub fn elsewhere(url: &str) -> HttpResponse {
    HttpResponse::TemporaryRedirect()
        .insert_header((header::LOCATION, url))
        .insert_header((header::CACHE_CONTROL, PRIVATE))
        .finish()
}

/// Whether a caller can follow to another server: not one who sends a token with the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    Here,
    HereOrElsewhere,
}

fn asked(headers: &HeaderMap, etag: &str, size: u64) -> Result<Asked, Problem> {
    let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    let matches = |tag: &str| matches!(tag.trim(), "*") || tag.trim().trim_start_matches("W/") == etag;
    if text(header::IF_NONE_MATCH).is_some_and(|tags| tags.split(',').any(matches)) {
        return Ok(Asked::NotModified);
    }
    let Some(range) = text(header::RANGE) else { return Ok(Asked::Whole) };
    // The client has a part of another file: it gets all of this one.
    if text(header::IF_RANGE).is_some_and(|tag| tag.trim() != etag) {
        return Ok(Asked::Whole);
    }
    match parse(range) {
        // Not understood, or several at once: the header may be ignored, and is.
        None => Ok(Asked::Whole),
        Some(spec) => match spec.within(size) {
            Some(range) => Ok(Asked::Part(range)),
            None => Err(Problem::range_not_satisfiable(size)),
        },
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Spec {
    From(u64),
    FromTo(u64, u64),
    Last(u64),
}

impl Spec {
    fn within(self, size: u64) -> Option<Range<u64>> {
        let range = match self {
            Self::From(first) => first..size,
            Self::FromTo(first, last) => first..last.saturating_add(1).min(size),
            Self::Last(bytes) => size.saturating_sub(bytes)..size,
        };
        (!range.is_empty()).then_some(range)
    }
}

/// One range of bytes.
fn parse(range: &str) -> Option<Spec> {
    let (unit, spec) = range.split_once('=')?;
    let (first, last) = spec.trim().split_once('-')?;
    let number = |digits: &str| digits.bytes().all(|b| b.is_ascii_digit()).then(|| digits.parse().ok())?;
    if !unit.trim().eq_ignore_ascii_case("bytes") {
        return None;
    }
    match (first, last) {
        ("", "") => None,
        ("", bytes) => number(bytes).map(Spec::Last),
        (first, "") => number(first).map(Spec::From),
        (first, last) => {
            let (first, last) = (number(first)?, number(last)?);
            (first <= last).then_some(Spec::FromTo(first, last))
        }
    }
}

/// RFC 6266: the name in letters that every client reads, and as it is (RFC 8187).
fn disposition(shown: bool, file_name: &str) -> String {
    let kind = if shown { "inline" } else { "attachment" };
    let plain: String = file_name
        .chars()
        .map(|c| if c.is_ascii_graphic() && !matches!(c, '"' | '\\' | '%') || c == ' ' { c } else { '_' })
        .collect();
    let mut exact = String::new();
    for byte in file_name.bytes() {
        if byte.is_ascii_alphanumeric() || b"!#$&+-.^_`|~".contains(&byte) {
            exact.push(char::from(byte));
        } else {
            exact.push_str(&format!("%{byte:02X}"));
        }
    }
    format!("{kind}; filename=\"{plain}\"; filename*=UTF-8''{exact}")
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;
    use proptest::prelude::*;

    use super::*;

    fn asked_by(headers: &[(&str, &str)]) -> Result<Asked, Problem> {
        let mut request = TestRequest::default();
        for header in headers {
            request = request.insert_header(*header);
        }
        asked(request.to_http_request().headers(), "\"abc\"", 10)
    }

    #[test]
    fn one_range_is_cut_at_the_end() {
        for (range, part) in [
            ("bytes=0-0", 0..1),
            ("bytes=2-4", 2..5),
            ("Bytes = 2-", 2..10),
            ("bytes=9-100", 9..10),
            ("bytes=-3", 7..10),
            ("bytes=-100", 0..10),
            ("bytes=0-18446744073709551615", 0..10),
        ] {
            assert_eq!(asked_by(&[("Range", range)]).unwrap(), Asked::Part(part), "{range}");
        }
    }

    proptest! {
        /// RFC 9110 §14.1.2, told once more by filtering the bytes there are.
        #[test]
        fn a_range_is_the_bytes_that_are_there_of_those_it_names(
            size in 0..40_u64,
            first in proptest::option::of(0..50_u64),
            last in proptest::option::of(0..50_u64),
        ) {
            let text = |number: Option<u64>| number.map_or(String::new(), |number| number.to_string());
            let header = format!("bytes={}-{}", text(first), text(last));
            let request = TestRequest::default().insert_header(("Range", header.as_str())).to_http_request();
            let named: Vec<u64> = match (first, last) {
                (None, None) => vec![],
                (None, Some(bytes)) => (0..size).filter(|at| at + bytes >= size).collect(),
                (Some(first), last) => (0..size).filter(|at| *at >= first && last.is_none_or(|last| *at <= last)).collect(),
            };
            let is_one = (first.is_some() || last.is_some()) && first.zip(last).is_none_or(|(first, last)| first <= last);
            match asked(request.headers(), "\"abc\"", size) {
                Ok(Asked::Part(range)) => prop_assert_eq!(range.collect::<Vec<_>>(), named),
                Ok(Asked::Whole) => prop_assert!(!is_one, "{}", header),
                Ok(Asked::NotModified) => prop_assert!(false),
                Err(problem) => prop_assert!(is_one && named.is_empty() && problem.kind().status() == 416, "{}", header),
            }
        }

        #[test]
        fn any_text_is_a_range_within_the_file_or_the_whole_or_refused(range in "(bytes|b)?[ =]{0,2}[0-9,-]{0,24}", size in any::<u64>()) {
            let request = TestRequest::default().insert_header(("Range", range)).to_http_request();
            if let Ok(Asked::Part(range)) = asked(request.headers(), "\"abc\"", size) {
                prop_assert!(range.start < range.end && range.end <= size);
            }
        }
    }

    #[test]
    fn what_is_not_one_range_of_bytes_is_the_whole() {
        for range in ["bytes=0-1,3-4", "bytes=4-2", "bytes=", "bytes=-", "bytes=a-b", "bytes=+1-2", "lines=0-1", "0-1"]
        {
            assert_eq!(asked_by(&[("Range", range)]).unwrap(), Asked::Whole, "{range}");
        }
    }

    #[test]
    fn a_range_that_begins_behind_the_end_is_refused() {
        for range in ["bytes=10-", "bytes=10-20", "bytes=-0"] {
            assert_eq!(asked_by(&[("Range", range)]).unwrap_err().kind().status(), 416, "{range}");
        }
    }

    #[test]
    fn who_has_it_already_is_told_so() {
        for tags in ["\"abc\"", "*", "\"x\", W/\"abc\""] {
            assert_eq!(asked_by(&[("If-None-Match", tags), ("Range", "bytes=99-")]).unwrap(), Asked::NotModified);
        }
        assert_eq!(asked_by(&[("If-None-Match", "\"x\"")]).unwrap(), Asked::Whole);
    }

    #[test]
    fn a_range_of_another_file_is_the_whole_of_this_one() {
        assert_eq!(asked_by(&[("Range", "bytes=0-1"), ("If-Range", "\"abc\"")]).unwrap(), Asked::Part(0..2));
        assert_eq!(asked_by(&[("Range", "bytes=0-1"), ("If-Range", "\"old\"")]).unwrap(), Asked::Whole);
    }

    #[test]
    fn any_name_is_one_header() {
        assert_eq!(
            disposition(true, "وێنە \"1\".png\r\n"),
            "inline; filename=\"____ _1_.png__\"; filename*=UTF-8''%D9%88%DB%8E%D9%86%DB%95%20%221%22.png%0D%0A"
        );
    }
}
