use std::{
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::{PoisonError, RwLock},
};

use secrecy::SecretString;

/// The access token of the house: a value, or a file whose content may be replaced while the server runs.
#[derive(Debug)]
pub struct Token {
    value: RwLock<SecretString>,
    file: Option<PathBuf>,
}

#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    #[error("the token file {} cannot be read", .path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error("the token file {} is open to others (mode {mode:03o}); set its mode to 600", .path.display())]
    OpenToOthers { path: PathBuf, mode: u32 },
    #[error("the access token has to be 20 to 4,096 characters of ASCII without blanks")]
    Refused,
}

const MIN_BYTES: usize = 20;
const MAX_BYTES: usize = 4_096;

impl Token {
    pub fn given(text: &str) -> Result<Self, TokenError> {
        Ok(Self { value: RwLock::new(parse(text)?), file: None })
    }

    pub fn in_file(path: &Path) -> Result<Self, TokenError> {
        Ok(Self { value: RwLock::new(read(path)?), file: Some(path.to_owned()) })
    }

    pub(crate) fn current(&self) -> SecretString {
        self.value.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// After the one that was read is not taken any more.
    pub(crate) fn read_again(&self) {
        let Some(path) = &self.file else { return };
        match read(path) {
            Ok(token) => *self.value.write().unwrap_or_else(PoisonError::into_inner) = token,
            Err(error) => tracing::error!(%error, "the token of WhatsApp could not be read again"),
        }
    }
}

fn parse(text: &str) -> Result<SecretString, TokenError> {
    let text = text.trim();
    let plain = text.bytes().all(|byte| byte.is_ascii_graphic());
    if plain && (MIN_BYTES..=MAX_BYTES).contains(&text.len()) { Ok(text.into()) } else { Err(TokenError::Refused) }
}

fn read(path: &Path) -> Result<SecretString, TokenError> {
    let failed = |source| TokenError::Io { path: path.to_owned(), source };
    let mode = fs::metadata(path).map_err(failed)?.mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(TokenError::OpenToOthers { path: path.to_owned(), mode });
    }
    parse(&fs::read_to_string(path).map_err(failed)?)
}
