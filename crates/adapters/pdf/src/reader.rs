//! Looks through a PDF without building it up: one pass over the bytes, one object stream in memory at a time.
//!
//! A reader that follows the file's own tables can be led in circles, or made to hold the same bytes a million times. This
//! one goes from the first byte to the last, so its time is linear in the file, and what it may unpack has a limit. It is
//! stricter than a viewer: what it cannot follow is refused, not repaired.
//!
//! What it looks for are names (ISO 32000-1, 7.3.5), because nothing that acts can do without one: `/JavaScript`, `/Launch`,
//! `/EmbeddedFile`. Long names are looked for in every byte of the file, also in places that the pass skips, where a
//! viewer could be sent by a table of offsets. Short ones, which occur in compressed bytes by chance, only in objects.

use std::{
    borrow::Cow,
    collections::HashSet,
    io::{self, Read},
};

use flate2::read::ZlibDecoder;
use infirmary_reports::{MAX_PDF_BYTES, MAX_PDF_PAGES, PdfRefusal};

/// What an object stream may unpack to. Real ones hold some hundred objects, or a structure tree of some MiB.
const MAX_OBJECT_STREAM_BYTES: u64 = 16 * 1024 * 1024;
/// What all object streams together may unpack to.
const MAX_UNPACKED_BYTES: u64 = 64 * 1024 * 1024;
const MAX_NESTING: usize = 100;
/// How far from the end a viewer looks for the end mark.
const TAIL_BYTES: usize = 2_048;

/// Looked for in every byte.
const REFUSED_ANYWHERE: &[(&[u8], PdfRefusal)] = &[
    (b"JavaScript", PdfRefusal::Active),
    (b"Launch", PdfRefusal::Active),
    (b"Rendition", PdfRefusal::Active),
    (b"RichMedia", PdfRefusal::Active),
    (b"SubmitForm", PdfRefusal::Active),
    (b"ImportData", PdfRefusal::Active),
    (b"OnInstantiate", PdfRefusal::Active),
    (b"EmbeddedFile", PdfRefusal::EmbeddedFile),
    (b"EmbeddedFiles", PdfRefusal::EmbeddedFile),
    (b"FileAttachment", PdfRefusal::EmbeddedFile),
];

/// Looked for in objects.
const REFUSED_IN_OBJECTS: &[(&[u8], PdfRefusal)] = &[
    (b"Encrypt", PdfRefusal::Encrypted),
    (b"JS", PdfRefusal::Active),
    (b"AA", PdfRefusal::Active),
    (b"XFA", PdfRefusal::Active),
    (b"GoToE", PdfRefusal::Active),
    (b"GoToR", PdfRefusal::Active),
    (b"EF", PdfRefusal::EmbeddedFile),
];

fn refused(name: &[u8], list: &[(&[u8], PdfRefusal)]) -> Result<(), PdfRefusal> {
    match list.iter().find(|(known, _)| *known == name) {
        Some((_, refusal)) => Err(*refusal),
        None => Ok(()),
    }
}

/// The number of its pages.
pub(crate) fn inspect(bytes: &[u8]) -> Result<usize, PdfRefusal> {
    if !bytes.starts_with(b"%PDF-") {
        return Err(PdfRefusal::NotPdf);
    }
    if bytes.len() as u64 > MAX_PDF_BYTES {
        return Err(PdfRefusal::TooLarge);
    }
    let tail = &bytes[bytes.len().saturating_sub(TAIL_BYTES)..];
    if find(tail, b"startxref").is_none_or(|at| find(&tail[at..], b"%%EOF").is_none()) {
        return Err(PdfRefusal::Unreadable);
    }
    let containers_anywhere = look_everywhere(bytes)?;
    let mut reader = Reader::default();
    reader.file(bytes)?;
    // The head of an object stream stands where no object is: only a viewer sent there by an offset would unpack it.
    if reader.containers != containers_anywhere || !reader.has_root {
        return Err(PdfRefusal::Unreadable);
    }
    match reader.pages.len() {
        0 => Err(PdfRefusal::NoPages),
        pages => Ok(pages),
    }
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}

/// Goes through every name that begins anywhere. Gives the number of those that tell where in an object stream its objects
/// begin: no viewer can unpack one without.
fn look_everywhere(bytes: &[u8]) -> Result<usize, PdfRefusal> {
    let mut containers = 0;
    for (at, _) in bytes.iter().enumerate().filter(|(_, byte)| **byte == b'/') {
        let mut lexer = Lexer { bytes, at };
        let name = lexer.name();
        refused(&name, REFUSED_ANYWHERE)?;
        containers += usize::from(lexer.is_head_of_container(&name));
    }
    Ok(containers)
}

enum Token<'a> {
    Integer(u64),
    Name(Cow<'a, [u8]>),
    OpenDictionary,
    CloseDictionary,
    OpenArray,
    CloseArray,
    Text,
    /// A keyword or a real number.
    Word(&'a [u8]),
}

struct Lexer<'a> {
    bytes: &'a [u8],
    at: usize,
}

const fn is_space(byte: u8) -> bool {
    matches!(byte, 0 | 9 | 10 | 12 | 13 | 32)
}

const fn is_regular(byte: u8) -> bool {
    !is_space(byte) && !matches!(byte, b'(' | b')' | b'<' | b'>' | b'[' | b']' | b'{' | b'}' | b'/' | b'%')
}

impl<'a> Lexer<'a> {
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn rest(&self) -> &'a [u8] {
        &self.bytes[self.at.min(self.bytes.len())..]
    }

    fn take_while(&mut self, keep: impl Fn(u8) -> bool) -> &'a [u8] {
        let rest = self.rest();
        let taken = &rest[..rest.iter().position(|byte| !keep(*byte)).unwrap_or(rest.len())];
        self.at += taken.len();
        taken
    }

    fn skip_space(&mut self) {
        loop {
            self.take_while(is_space);
            if self.peek() != Some(b'%') {
                return;
            }
            self.take_while(|byte| byte != b'\n' && byte != b'\r');
        }
    }

    /// `None` at the end.
    fn next(&mut self) -> Result<Option<Token<'a>>, PdfRefusal> {
        self.skip_space();
        let Some(byte) = self.peek() else { return Ok(None) };
        let double = self.rest().get(1) == Some(&byte);
        let (token, length) = match byte {
            b'/' => return Ok(Some(Token::Name(self.name()))),
            b'(' => return self.literal_text().map(Some),
            b'<' if double => (Token::OpenDictionary, 2),
            b'<' => return self.hexadecimal_text().map(Some),
            b'>' if double => (Token::CloseDictionary, 2),
            b'[' => (Token::OpenArray, 1),
            b']' => (Token::CloseArray, 1),
            // Braces belong to functions, which are in streams.
            b'>' | b')' | b'{' | b'}' => return Err(PdfRefusal::Unreadable),
            _ => {
                let word = self.take_while(is_regular);
                return Ok(Some(integer(word).map_or(Token::Word(word), Token::Integer)));
            }
        };
        self.at += length;
        Ok(Some(token))
    }

    /// At a slash. `#4A` stands for the byte 0x4A.
    fn name(&mut self) -> Cow<'a, [u8]> {
        self.at += 1;
        let raw = self.take_while(is_regular);
        if !raw.contains(&b'#') {
            return Cow::Borrowed(raw);
        }
        let mut name = Vec::with_capacity(raw.len());
        let mut rest = raw;
        while let Some((byte, after)) = rest.split_first() {
            let digit = |place: usize| after.get(place).and_then(|byte| char::from(*byte).to_digit(16));
            match (byte, digit(0), digit(1)) {
                (b'#', Some(high), Some(low)) => {
                    name.push((high * 16 + low) as u8);
                    rest = &after[2..];
                }
                _ => {
                    name.push(*byte);
                    rest = after;
                }
            }
        }
        Cow::Owned(name)
    }

    fn literal_text(&mut self) -> Result<Token<'a>, PdfRefusal> {
        let mut open = 0_usize;
        while let Some(byte) = self.peek() {
            self.at += 1;
            match byte {
                b'\\' => self.at += 1,
                b'(' => open += 1,
                b')' if open == 1 => return Ok(Token::Text),
                b')' => open -= 1,
                _ => {}
            }
        }
        Err(PdfRefusal::Unreadable)
    }

    fn hexadecimal_text(&mut self) -> Result<Token<'a>, PdfRefusal> {
        self.at += 1;
        self.take_while(|byte| byte.is_ascii_hexdigit() || is_space(byte));
        if self.peek() == Some(b'>') {
            self.at += 1;
            Ok(Token::Text)
        } else {
            Err(PdfRefusal::Unreadable)
        }
    }

    /// Behind a name: whether it is one with a number, as the head of an object stream has it. Looks at a few bytes only, and
    /// says yes when they do not tell.
    fn is_head_of_container(&self, name: &[u8]) -> bool {
        let ahead = &self.rest()[..self.rest().len().min(16)];
        let value = ahead.iter().copied().find(|byte| !is_space(*byte));
        name == b"First" && value.is_none_or(|byte| byte.is_ascii_digit() || byte == b'+' || byte == b'%')
    }
}

fn integer(word: &[u8]) -> Option<u64> {
    if word.iter().all(u8::is_ascii_digit) { std::str::from_utf8(word).ok()?.parse().ok() } else { None }
}

/// What is remembered of the object that the pass is in: the entries of its outermost dictionary.
#[derive(Default)]
struct Object {
    number: u64,
    /// Of each open container, whether it is a dictionary.
    open: Vec<bool>,
    /// The entry whose value is being read.
    key: Option<Key>,
    /// Integers of that value so far: three in a row are a reference and its generation.
    integers: usize,
    is_page: bool,
    is_object_stream: bool,
    first: Option<u64>,
    length: Option<u64>,
    filters: usize,
    is_flate: bool,
    has_predictor: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Key {
    Type,
    Length,
    Filter,
    DecodeParms,
    First,
    Other,
}

impl Object {
    fn open(&mut self, dictionary: bool) -> Result<(), PdfRefusal> {
        self.open.push(dictionary);
        if self.open.len() > MAX_NESTING { Err(PdfRefusal::Unreadable) } else { Ok(()) }
    }

    fn close(&mut self, dictionary: bool) -> Result<(), PdfRefusal> {
        if self.open.pop() != Some(dictionary) {
            return Err(PdfRefusal::Unreadable);
        }
        if self.open.len() == 1 {
            self.key = None;
        }
        Ok(())
    }

    fn in_outermost_dictionary(&self) -> bool {
        self.open == [true]
    }

    fn name(&mut self, name: &[u8]) {
        let is_key = self.in_outermost_dictionary() && (self.key.is_none() || self.integers > 0);
        match self.key {
            _ if is_key => {
                self.integers = 0;
                self.key = Some(match name {
                    b"Type" => Key::Type,
                    b"Length" => Key::Length,
                    b"Filter" => Key::Filter,
                    b"DecodeParms" => Key::DecodeParms,
                    b"First" => Key::First,
                    _ => Key::Other,
                });
                return;
            }
            Some(Key::Type) => {
                self.is_page |= name == b"Page";
                self.is_object_stream |= name == b"ObjStm";
            }
            Some(Key::Filter) => {
                self.filters += 1;
                self.is_flate = name == b"FlateDecode";
            }
            Some(Key::DecodeParms) => self.has_predictor |= name == b"Predictor",
            _ => {}
        }
        if self.in_outermost_dictionary() {
            self.key = None;
        }
    }

    fn integer(&mut self, value: u64) {
        if !self.in_outermost_dictionary() {
            return;
        }
        self.integers += 1;
        let direct = (self.integers == 1).then_some(value);
        match self.key {
            Some(Key::Length) => self.length = direct,
            Some(Key::First) => self.first = direct,
            _ => {}
        }
    }

    /// A value that is neither a name nor an integer nor a container. `R` ends a reference, which began with integers.
    fn other(&mut self) {
        if self.in_outermost_dictionary() && self.integers == 0 {
            self.key = None;
        }
    }
}

#[derive(Default)]
struct Reader {
    /// By the number of the object: a newer revision of a page is the same page.
    pages: HashSet<u64>,
    has_root: bool,
    /// How many heads of object streams were seen.
    containers: usize,
    unpacked: u64,
    buffer: Vec<u8>,
}

impl Reader {
    fn file(&mut self, bytes: &[u8]) -> Result<(), PdfRefusal> {
        let mut lexer = Lexer { bytes, at: 0 };
        let mut object = Object::default();
        let mut last_integers = [None, None];
        while let Some(token) = lexer.next()? {
            let mut integers = [last_integers[1], None];
            match token {
                Token::Integer(value) => {
                    integers[1] = Some(value);
                    object.integer(value);
                }
                Token::Word(b"obj") => {
                    let [Some(number), Some(_)] = last_integers else { return Err(PdfRefusal::Unreadable) };
                    self.end(&object)?;
                    object = Object { number, ..Object::default() };
                }
                Token::Word(b"endobj") => {
                    self.end(&object)?;
                    object = Object::default();
                }
                Token::Word(b"stream") => {
                    self.stream(&mut lexer, &object)?;
                    self.end(&object)?;
                    object = Object::default();
                }
                other => self.token(&other, &mut object, &lexer)?,
            }
            last_integers = integers;
        }
        // A trailer's dictionary is no object, and stands at the end.
        if object.open.is_empty() { Ok(()) } else { Err(PdfRefusal::Unreadable) }
    }

    fn token(&mut self, token: &Token, object: &mut Object, lexer: &Lexer) -> Result<(), PdfRefusal> {
        match token {
            Token::Name(name) => {
                refused(name, REFUSED_IN_OBJECTS)?;
                self.has_root |= **name == *b"Root";
                self.containers += usize::from(lexer.is_head_of_container(name));
                object.name(name);
            }
            Token::Integer(value) => object.integer(*value),
            Token::OpenDictionary => object.open(true)?,
            Token::CloseDictionary => object.close(true)?,
            Token::OpenArray => object.open(false)?,
            Token::CloseArray => object.close(false)?,
            Token::Text | Token::Word(_) => object.other(),
        }
        Ok(())
    }

    fn end(&mut self, object: &Object) -> Result<(), PdfRefusal> {
        if !object.open.is_empty() {
            return Err(PdfRefusal::Unreadable);
        }
        if object.is_page {
            self.pages.insert(object.number);
        }
        if self.pages.len() > MAX_PDF_PAGES { Err(PdfRefusal::TooManyPages) } else { Ok(()) }
    }

    /// Behind the keyword `stream`. Leaves the lexer behind `endstream`.
    fn stream(&mut self, lexer: &mut Lexer, object: &Object) -> Result<(), PdfRefusal> {
        if lexer.rest().starts_with(b"\r\n") {
            lexer.at += 2;
        } else if matches!(lexer.peek(), Some(b'\n' | b'\r')) {
            lexer.at += 1;
        }
        let rest = lexer.rest();
        let told = object.length.and_then(|length| usize::try_from(length).ok()).filter(|length| {
            rest.get(*length..).is_some_and(|after| {
                let end = after.iter().take(2).take_while(|byte| is_space(**byte)).count();
                after[end..].starts_with(b"endstream")
            })
        });
        let length = told.or_else(|| find(rest, b"endstream")).ok_or(PdfRefusal::Unreadable)?;
        if object.is_object_stream || object.first.is_some() {
            self.object_stream(&rest[..length], object)?;
        }
        lexer.at += length;
        lexer.take_while(is_space);
        lexer.at += b"endstream".len();
        Ok(())
    }

    /// Object streams hold all kinds of objects but streams (ISO 32000-1, 7.5.7): first the numbers and places of the
    /// objects, then, from `/First` on, the objects.
    fn object_stream(&mut self, packed: &[u8], object: &Object) -> Result<(), PdfRefusal> {
        let first = object.first.ok_or(PdfRefusal::Unreadable)?;
        // Nobody writes them in another way, and another way could be read in two ways.
        if object.has_predictor || object.filters > 1 || (object.filters == 1 && !object.is_flate) {
            return Err(PdfRefusal::Unreadable);
        }
        let mut content = std::mem::take(&mut self.buffer);
        content.clear();
        let unpacked = if object.is_flate {
            ZlibDecoder::new(packed).take(MAX_OBJECT_STREAM_BYTES + 1).read_to_end(&mut content)
        } else {
            packed.take(MAX_OBJECT_STREAM_BYTES + 1).read_to_end(&mut content)
        };
        let containers = self.containers;
        let outcome = self.objects_in(unpacked, &content, first);
        self.buffer = content;
        if object.is_flate {
            // Heads that were packed are not among those in the bytes of the file.
            self.containers = containers;
        }
        outcome
    }

    fn objects_in(&mut self, unpacked: io::Result<usize>, content: &[u8], first: u64) -> Result<(), PdfRefusal> {
        let bytes = unpacked.map_err(|_| PdfRefusal::Unreadable)? as u64;
        self.unpacked += bytes;
        if bytes > MAX_OBJECT_STREAM_BYTES || self.unpacked > MAX_UNPACKED_BYTES {
            return Err(PdfRefusal::Unreadable);
        }
        let first =
            usize::try_from(first).ok().filter(|first| *first <= content.len()).ok_or(PdfRefusal::Unreadable)?;
        // Names begin anywhere here, too: the places of the objects may be any.
        look_everywhere(content)?;
        let (index, objects) = content.split_at(first);
        let mut numbers = Lexer { bytes: index, at: 0 };
        let mut lexer = Lexer { bytes: objects, at: 0 };
        let mut object = Object::default();
        while let Some(token) = lexer.next()? {
            self.token(&token, &mut object, &lexer)?;
            if object.open.is_empty() {
                object.number = match numbers.next()? {
                    Some(Token::Integer(number)) => number,
                    _ => object.number,
                };
                numbers.next()?;
                self.end(&object)?;
                object = Object { number: object.number, ..Object::default() };
            }
        }
        if object.open.is_empty() { Ok(()) } else { Err(PdfRefusal::Unreadable) }
    }
}
