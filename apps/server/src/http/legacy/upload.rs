//! The two uploads of these clients: a file in base64 as one field of a JSON object, up to 50 MiB of it. The field is decoded
//! as it comes in and goes on to where files go; in memory are a chunk of it and the other fields.

use actix_web::{http::StatusCode, web::Bytes};
use base64::{
    Engine,
    alphabet::STANDARD,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use futures_util::{Stream, StreamExt, stream};
use serde::de::DeserializeOwned;
use tokio::{sync::SemaphorePermit, time::timeout};

use super::{Refusal, body::Unread};
use crate::http::{
    App,
    extract::{MAX_JSON_BYTES, from_json},
    incoming::Incoming,
    problem::Problem,
};

pub const MAX_BODY_BYTES: u64 = 50 * 1024 * 1024;
/// For a place among those that are read at once.
const MAX_WAIT: std::time::Duration = std::time::Duration::from_secs(10);

/// A body on its way in, of which one field is a file.
pub struct Upload<'a> {
    incoming: Incoming,
    splitter: Splitter,
    /// Why it went no further.
    refusal: Option<Refusal>,
    _place: SemaphorePermit<'a>,
}

impl<'a> Upload<'a> {
    /// Nothing was read yet. `file` is the name of the field.
    pub async fn begin(app: &'a App, body: Unread, file: &'static str) -> Result<Self, Refusal> {
        let place = match timeout(MAX_WAIT, app.legacy.uploads.acquire()).await {
            Ok(Ok(place)) => place,
            _ => return Err(Problem::unavailable("as many uploads as may be read at once are being read").into()),
        };
        let incoming = Incoming::new(&body.request, body.payload, MAX_BODY_BYTES)?;
        Ok(Self { incoming, splitter: Splitter::new(file), refusal: None, _place: place })
    }

    /// The next bytes of the file; `None` at the end of the body.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, Refusal> {
        loop {
            let Some(chunk) = self.incoming.next().await else { return Ok(None) };
            let decoded = self.splitter.feed(&chunk?)?;
            if !decoded.is_empty() {
                return Ok(Some(decoded.into()));
            }
        }
    }

    /// The same as a stream. Its error says nothing: [`Upload::refusal`] does.
    pub fn stream(&mut self) -> impl Stream<Item = Result<Bytes, &'static str>> + use<'_, 'a> {
        stream::unfold(self, |upload| async move {
            match upload.chunk().await {
                Ok(chunk) => chunk.map(|chunk| (Ok(chunk), upload)),
                Err(refusal) => {
                    upload.refusal = Some(refusal);
                    Some((Err("refused"), upload))
                }
            }
        })
    }

    /// Whether a byte of the file came.
    pub fn has_file(&self) -> bool {
        self.splitter.decoder.begun
    }

    /// Why the stream broke off, when it did by itself.
    pub fn refusal(&mut self) -> Option<Refusal> {
        self.refusal.take()
    }

    /// The other fields. Reads on to the end of the body, where the file is not of interest any more.
    pub async fn fields<T: DeserializeOwned>(mut self) -> Result<T, Refusal> {
        while self.chunk().await?.is_some() {}
        Ok(from_json(&self.splitter.finish()?)?)
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Malformed {
    Base64,
    /// The field is there twice, or is no text, or its text is cut off.
    File,
    TooLarge,
}

impl From<Malformed> for Refusal {
    fn from(malformed: Malformed) -> Self {
        match malformed {
            Malformed::Base64 => Self::bad("the file is not valid base64"),
            Malformed::File => Self::bad("the body is not a JSON object with the file as one text in base64"),
            Malformed::TooLarge => {
                let detail = format!("the fields beside the file may have {MAX_JSON_BYTES} bytes at most");
                Self::Said(StatusCode::PAYLOAD_TOO_LARGE, detail.into())
            }
        }
    }
}

/// Takes one field out of a JSON object on its way: gives its bytes, and keeps the object with an empty text in its place.
///
/// It knows no more of JSON than where a text begins and ends and how deep it stands. What it keeps is read by a real parser
/// in the end, so what is no JSON is found out then.
struct Splitter {
    file: &'static str,
    rest: Vec<u8>,
    depth: u32,
    place: Place,
    /// The last text at the depth of the object's fields, without quotes: a key, when a colon follows.
    last: Vec<u8>,
    /// Whether what follows is the value of the field.
    is_file_next: bool,
    found: bool,
    decoder: Decoder,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Outside,
    Text,
    /// Behind a backslash.
    TextEscape,
    File,
    FileEscape,
}

impl Splitter {
    fn new(file: &'static str) -> Self {
        Self {
            file,
            rest: Vec::new(),
            depth: 0,
            place: Place::Outside,
            last: Vec::new(),
            is_file_next: false,
            found: false,
            decoder: Decoder::default(),
        }
    }

    fn feed(&mut self, chunk: &[u8]) -> Result<Vec<u8>, Malformed> {
        let mut decoded = Vec::new();
        let mut at = 0;
        while let Some(&byte) = chunk.get(at) {
            if self.place == Place::File {
                let run = chunk[at..].iter().position(|b| matches!(b, b'"' | b'\\')).unwrap_or(chunk.len() - at);
                self.decoder.push(&chunk[at..at + run], &mut decoded)?;
                at += run;
                match chunk.get(at) {
                    Some(b'"') => {
                        self.decoder.finish(&mut decoded)?;
                        self.rest.push(b'"');
                        self.place = Place::Outside;
                    }
                    Some(_) => self.place = Place::FileEscape,
                    None => break,
                }
                at += 1;
                continue;
            }
            at += 1;
            match (self.place, byte) {
                (Place::FileEscape, b'/') => self.decoder.push(b"/", &mut decoded)?,
                // Line breaks, which some encoders put between.
                (Place::FileEscape, b'n' | b'r' | b't') => {}
                (Place::FileEscape, _) => return Err(Malformed::Base64),
                _ => self.keep(byte)?,
            }
            if self.place == Place::FileEscape {
                self.place = Place::File;
            }
        }
        Ok(decoded)
    }

    /// A byte that is none of the file.
    fn keep(&mut self, byte: u8) -> Result<(), Malformed> {
        if self.rest.len() == MAX_JSON_BYTES {
            return Err(Malformed::TooLarge);
        }
        self.rest.push(byte);
        match self.place {
            Place::Text => match byte {
                b'"' => self.place = Place::Outside,
                b'\\' => self.place = Place::TextEscape,
                _ if self.depth == 1 => self.last.push(byte),
                _ => {}
            },
            // A key that needs an escape is not the field's.
            Place::TextEscape => {
                self.last.push(b'\\');
                self.place = Place::Text;
            }
            _ => return self.structure(byte),
        }
        Ok(())
    }

    fn structure(&mut self, byte: u8) -> Result<(), Malformed> {
        match byte {
            b' ' | b'\n' | b'\r' | b'\t' => return Ok(()),
            b'"' if self.is_file_next => {
                self.found = true;
                self.place = Place::File;
            }
            // The client has no file: the field is as absent.
            b'n' if self.is_file_next => {}
            _ if self.is_file_next => return Err(Malformed::File),
            b'"' => {
                self.last.clear();
                self.place = Place::Text;
            }
            b'{' | b'[' => self.depth += 1,
            b'}' | b']' => self.depth = self.depth.saturating_sub(1),
            b':' if self.depth == 1 && self.last == self.file.as_bytes() => {
                if self.found {
                    return Err(Malformed::File);
                }
                self.is_file_next = true;
                return Ok(());
            }
            _ => {}
        }
        self.is_file_next = false;
        Ok(())
    }

    fn finish(self) -> Result<Vec<u8>, Malformed> {
        match self.place {
            Place::File | Place::FileEscape => Err(Malformed::File),
            _ if self.rest.is_empty() => Ok(b"{}".to_vec()),
            _ => Ok(self.rest),
        }
    }
}

/// With padding or without (RFC 4648 §4), as clients differ.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Base64 in pieces of any length; a `data:` address in front of it is passed over (RFC 2397).
#[derive(Default)]
struct Decoder {
    /// Less than four characters of base64, or what may be the beginning of an address.
    carried: Vec<u8>,
    begun: bool,
    /// In the part of an address that ends with a comma.
    in_address: bool,
    padded: bool,
}

impl Decoder {
    const ADDRESS: &[u8] = b"data:";

    fn push(&mut self, mut text: &[u8], decoded: &mut Vec<u8>) -> Result<(), Malformed> {
        if self.in_address {
            let Some(comma) = text.iter().position(|b| *b == b',') else { return Ok(()) };
            self.in_address = false;
            text = &text[comma + 1..];
        }
        self.carried.extend(text.iter().filter(|b| !b.is_ascii_whitespace()));
        if !self.begun {
            if self.carried.len() < Self::ADDRESS.len() {
                return Ok(());
            }
            self.begun = true;
            if self.carried.starts_with(Self::ADDRESS) {
                let rest = std::mem::take(&mut self.carried);
                self.in_address = true;
                return self.push(&rest[Self::ADDRESS.len()..], decoded);
            }
        }
        let whole = self.carried.len() / 4 * 4;
        self.decode(whole, decoded)
    }

    fn finish(&mut self, decoded: &mut Vec<u8>) -> Result<(), Malformed> {
        self.begun |= !self.carried.is_empty();
        self.decode(self.carried.len(), decoded)
    }

    fn decode(&mut self, chars: usize, decoded: &mut Vec<u8>) -> Result<(), Malformed> {
        if chars == 0 {
            return Ok(());
        }
        if self.padded {
            return Err(Malformed::Base64);
        }
        let piece = &self.carried[..chars];
        self.padded = piece.ends_with(b"=");
        BASE64.decode_vec(piece, decoded).map_err(|_| Malformed::Base64)?;
        self.carried.drain(..chars);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::STANDARD as ENCODER;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    /// As it comes out of pieces of that size.
    fn split(body: &[u8], piece: usize) -> Result<(Vec<u8>, Value), Malformed> {
        let mut splitter = Splitter::new("image");
        let mut file = Vec::new();
        for chunk in body.chunks(piece) {
            file.extend(splitter.feed(chunk)?);
        }
        Ok((file, serde_json::from_slice(&splitter.finish()?).unwrap_or(Value::Null)))
    }

    #[test]
    fn the_file_comes_out_whole_wherever_it_stands_and_however_the_body_is_cut() {
        let bytes: Vec<u8> = (0..1_000_u32).map(|n| (n * 7 % 251) as u8).collect();
        let (text, fields) =
            (ENCODER.encode(&bytes), json!({"imgName": "a \"quoted\" \\ name.png", "n": [1, {"image": "x"}]}));
        let rest = &fields.to_string()[1..];
        for body in [
            format!("{{\"image\":\"{text}\",{rest}"),
            format!("{{ \"image\" :\n \"{text}\" , {rest}"),
            format!("{},\"image\":\"{text}\"}}", fields.to_string().strip_suffix('}').unwrap()),
            format!("{{\"image\":\"data:image/png;base64,{text}\",{rest}"),
            format!("{{\"image\":\"{}\",{rest}", text.replace('/', "\\/")),
            format!("{{\"image\":\"{}\\r\\n{}\",{rest}", &text[..77], &text[77..]),
            format!("{{\"image\":\"{}\",{rest}", text.trim_end_matches('=')),
        ] {
            for piece in [1, 2, 3, 7, 64, 10_000] {
                let (file, kept) = split(body.as_bytes(), piece).unwrap();
                assert!(file == bytes, "{piece}: {}", &body[..40]);
                assert_eq!((&kept["image"], &kept["imgName"]), (&json!(""), &fields["imgName"]));
            }
        }
    }

    proptest! {
        #[test]
        fn what_comes_out_does_not_depend_on_how_the_body_is_cut(
            body in "(\\{\"image\": ?)?[\"{}:,\\\\A-Za-z0-9+/= \\[\\]]{0,40}(\"image\":\"[A-Za-z0-9+/]{0,12}={0,2}\")?[},a\"]{0,4}",
            piece in 1..20_usize,
        ) {
            prop_assert_eq!(split(body.as_bytes(), piece), split(body.as_bytes(), body.len().max(1)), "{}", body);
        }

        #[test]
        fn any_file_comes_out_as_it_went_in(bytes in proptest::collection::vec(any::<u8>(), 0..200), piece in 1..40_usize, padded in any::<bool>()) {
            let text = ENCODER.encode(&bytes);
            let text = if padded { text.as_str() } else { text.trim_end_matches('=') };
            let body = format!("{{\"a\":1,\"image\":\"{text}\"}}");
            prop_assert_eq!(split(body.as_bytes(), piece).unwrap(), (bytes, json!({"a": 1, "image": ""})));
        }
    }

    #[test]
    fn a_file_that_is_none_is_refused() {
        for (body, why) in [
            (r#"{"image":"AA=AAAA"}"#, Malformed::Base64),
            (r#"{"image":"AA==AAAA"}"#, Malformed::Base64),
            (r#"{"image":"A"}"#, Malformed::Base64),
            (r#"{"image":"ä"}"#, Malformed::Base64),
            (r#"{"image":"\u0041"}"#, Malformed::Base64),
            (r#"{"image":7}"#, Malformed::File),
            (r#"{"image":["AAAA"]}"#, Malformed::File),
            (r#"{"image":"AAAA","image":"AAAA"}"#, Malformed::File),
            (r#"{"image":"AAAA"#, Malformed::File),
        ] {
            for piece in [1, 100] {
                assert_eq!(split(body.as_bytes(), piece).unwrap_err(), why, "{body}");
            }
        }
    }

    #[test]
    fn what_is_beside_the_file_is_bounded_and_left_to_the_parser() {
        let large = json!({"diagnosis": "x".repeat(MAX_JSON_BYTES)}).to_string();
        assert_eq!(split(large.as_bytes(), 1_000).unwrap_err(), Malformed::TooLarge);
        assert_eq!(split(br#"{"image":null,"a":1}"#, 1).unwrap(), (vec![], json!({"image": null, "a": 1})));
        assert_eq!(split(br#"{"a":"image","b":"AAAA"}"#, 1).unwrap().0, b"");
        assert_eq!(split(br#"{"im\u0061ge":"AAAA"}"#, 1).unwrap().0, b"");
        assert_eq!(split(b"", 1).unwrap(), (vec![], json!({})));
        assert_eq!(split(b"nonsense", 1).unwrap().1, Value::Null);
    }
}
