//! For fields of a change: absent is `None`, `null` is `Some(None)`. Use with `#[serde(default, with = "nullable")]`.

use serde::{Deserialize, Deserializer};

pub fn deserialize<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Option<T>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}
