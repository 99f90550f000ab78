use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use uuid::Uuid;

use crate::{Invalid, Timestamp};

pub const DEFAULT_PAGE_ITEMS: usize = 50;
pub const MAX_PAGE_ITEMS: usize = 200;

/// How many items a page may hold: 1 to [`MAX_PAGE_ITEMS`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit(usize);

impl Limit {
    pub fn new(items: usize) -> Result<Self, Invalid> {
        if (1..=MAX_PAGE_ITEMS).contains(&items) {
            Ok(Self(items))
        } else {
            Err(Invalid::new("/limit", "must be 1 to 200"))
        }
    }

    pub const fn get(self) -> usize {
        self.0
    }
}

impl Default for Limit {
    fn default() -> Self {
        Self(DEFAULT_PAGE_ITEMS)
    }
}

/// Where a page ended: the sort key and the id of its last item. Opaque to clients, and stable under inserts because it
/// names a place in the order, not a count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor {
    pub sort_key: String,
    pub id: Uuid,
}

impl Cursor {
    const MAX_CHARS: usize = 1_000;

    pub fn at(time: Timestamp, id: Uuid) -> Self {
        Self { sort_key: time.unix_ms().to_string(), id }
    }

    /// The sort key as a time, for lists in the order of time.
    pub fn time(&self) -> Result<Timestamp, Invalid> {
        self.sort_key.parse().map(Timestamp::from_unix_ms).map_err(|_| Self::refusal())
    }

    pub fn encode(&self) -> String {
        URL_SAFE_NO_PAD.encode([self.id.as_bytes().as_slice(), self.sort_key.as_bytes()].concat())
    }

    pub fn decode(text: &str) -> Result<Self, Invalid> {
        if text.len() > Self::MAX_CHARS {
            return Err(Self::refusal());
        }
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| Self::refusal())?;
        let (id, sort_key) = bytes.split_first_chunk::<16>().ok_or_else(Self::refusal)?;
        let sort_key = String::from_utf8(sort_key.to_vec()).map_err(|_| Self::refusal())?;
        Ok(Self { sort_key, id: Uuid::from_bytes(*id) })
    }

    fn refusal() -> Invalid {
        Invalid::new("/cursor", "is not a cursor of this list; give the nextCursor of the page before, unchanged")
    }
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PageRequest {
    pub limit: Limit,
    pub after: Option<Cursor>,
}

impl PageRequest {
    /// The place to start after, in a list in the order of time (newest first).
    pub fn after_time(&self) -> Result<Option<(Timestamp, Uuid)>, Invalid> {
        self.after.as_ref().map(|cursor| Ok((cursor.time()?, cursor.id))).transpose()
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    pub items: Vec<T>,
    pub next: Option<Cursor>,
}

impl<T> Page<T> {
    /// A page of `rows`, of which the store was asked for one more than the limit, to know whether there is more.
    pub fn of_rows(mut rows: Vec<T>, limit: Limit, cursor: impl FnOnce(&T) -> Cursor) -> Self {
        let more = rows.len() > limit.get();
        rows.truncate(limit.get());
        let next = if more { rows.last().map(cursor) } else { None };
        Self { items: rows, next }
    }

    pub fn map<U>(self, convert: impl FnMut(T) -> U) -> Page<U> {
        Page { items: self.items.into_iter().map(convert).collect(), next: self.next }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_comes_back_as_it_was() {
        let cursor = Cursor { sort_key: "ئازاد".into(), id: Uuid::from_u128(7) };
        assert_eq!(Cursor::decode(&cursor.encode()).unwrap(), cursor);
        for refused in ["", "!", "AAAA", &"A".repeat(2_000)] {
            assert!(Cursor::decode(refused).is_err(), "{refused}");
        }
        assert!(cursor.time().is_err());
    }
}
