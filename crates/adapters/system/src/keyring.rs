use std::{
    collections::HashSet,
    fs, io,
    io::Write,
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use infirmary_kernel::KeyCheckValue;
use secrecy::{ExposeSecret, SecretString};

use crate::{entropy::random, mac::Signature};

/// A secret of the house, as text: what is in a key file, or in the configuration.
#[derive(Clone, Debug)]
pub struct SecretKey(SecretString);

impl SecretKey {
    pub const MIN_BYTES: usize = 32;
    const MAX_BYTES: usize = 1_024;
    const MIN_DISTINCT_BYTES: usize = 10;
    /// Words of samples. A random key has one of them with a chance of less than one in a million, and is then drawn anew.
    const SAMPLE_WORDS: [&'static str; 9] =
        ["change", "example", "sample", "secret", "password", "your-", "your_", "default", "0123456789"];

    /// Blanks around it are a line break at the end of a file.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let text = text.trim();
        if text.len() < Self::MIN_BYTES {
            return Err("is shorter than 32 bytes; 43 characters of base64 are 32 random bytes");
        }
        if text.len() > Self::MAX_BYTES {
            return Err("is longer than 1,024 bytes");
        }
        let lower = text.to_lowercase();
        let distinct = text.bytes().collect::<HashSet<_>>().len();
        if distinct < Self::MIN_DISTINCT_BYTES || Self::SAMPLE_WORDS.iter().any(|word| lower.contains(word)) {
            return Err("is a sample, not a secret; draw 32 random bytes and write them in base64");
        }
        Ok(Self(text.into()))
    }

    fn draw() -> Self {
        loop {
            if let Ok(key) = Self::parse(&URL_SAFE_NO_PAD.encode(random::<{ Self::MIN_BYTES }>())) {
                return key;
            }
        }
    }

    pub(crate) fn expose(&self) -> &[u8] {
        self.0.expose_secret().as_bytes()
    }

    /// A name that tells nothing of the key, to find it by.
    pub(crate) fn name(&self) -> String {
        let mac = Signature::new(self).of(b"the name of this key");
        URL_SAFE_NO_PAD.encode(&mac[..6])
    }

    #[cfg(test)]
    pub(crate) fn for_tests(text: &str) -> Self {
        Self(format!("{text} abcdefghijklmnopqrstuvwxyz.....").into())
    }
}

/// Secrets that come by value; the others are files.
#[derive(Debug, Clone, Default)]
pub struct GivenSecrets {
    pub pepper: Option<SecretString>,
    /// Either none or at least two. The last one signs, all verify.
    pub token_keys: Vec<SecretString>,
    pub signing_key: Option<SecretString>,
}

/// The secrets of the house.
///
/// Lost, the pepper makes every password wrong and the signing key every session and link; they belong into a backup. To
/// replace a token key, add `token-3.key`, restart, and remove `token-1.key` a quarter of an hour later.
#[derive(Debug, Clone)]
pub struct Keyring {
    /// Under the passwords.
    pub pepper: SecretKey,
    /// Of access tokens: at least two. The last one signs, all verify.
    pub tokens: Vec<SecretKey>,
    /// Of refresh tokens and links.
    pub signing: SecretKey,
}

#[derive(Debug, thiserror::Error)]
pub enum KeyringError {
    #[error("the secret {name} {reason}")]
    Refused { name: String, reason: &'static str },
    #[error("the key file {} {reason}", .path.display())]
    RefusedFile { path: PathBuf, reason: &'static str },
    #[error("the key file {} is open to others (mode {mode:03o}); set its mode to 600", .path.display())]
    OpenToOthers { path: PathBuf, mode: u32 },
    #[error("the key file {} cannot be read or made", .path.display())]
    Io { path: PathBuf, source: io::Error },
}

const MIN_TOKEN_KEYS: usize = 2;
/// In the folder of secrets; without it, every password of the house is wrong.
pub const PEPPER_FILE: &str = "pepper.key";

impl Keyring {
    /// Reads the secrets, and makes those that are neither given nor in the folder: the first start of a house.
    pub fn open(folder: &Path, given: &GivenSecrets) -> Result<Self, KeyringError> {
        let one = |name: &str, given: &Option<SecretString>, file: &str| match given {
            Some(secret) => parse_given(name, secret),
            None => read_or_make(&folder.join(file)),
        };
        let pepper = one("pepper", &given.pepper, PEPPER_FILE)?;
        let signing = one("signing key", &given.signing_key, "signing.key")?;
        let tokens = match given.token_keys.as_slice() {
            [] => token_files(folder)?,
            [_] => return Err(KeyringError::Refused { name: "token keys".into(), reason: "is one key; give two" }),
            keys => keys.iter().map(|key| parse_given("token keys", key)).collect::<Result<_, _>>()?,
        };
        let keyring = Self { pepper, tokens, signing };
        keyring.check_distinct()?;
        Ok(keyring)
    }

    /// The same for who has the same pepper and the same signing key. Token keys come and go.
    pub fn check_value(&self) -> KeyCheckValue {
        let mut checked = b"the secrets that this house was begun with".to_vec();
        checked.extend(Signature::new(&self.signing).of(&checked));
        KeyCheckValue::from_bytes(Signature::new(&self.pepper).of(&checked))
    }

    fn check_distinct(&self) -> Result<(), KeyringError> {
        let all = self.tokens.iter().chain([&self.pepper, &self.signing]);
        let distinct: HashSet<&[u8]> = all.map(SecretKey::expose).collect();
        if distinct.len() == self.tokens.len() + 2 {
            return Ok(());
        }
        let reason = "is the same as another one; each secret is a secret of its own";
        Err(KeyringError::Refused { name: "pepper, signing key or token key".into(), reason })
    }
}

fn parse_given(name: &str, secret: &SecretString) -> Result<SecretKey, KeyringError> {
    SecretKey::parse(secret.expose_secret()).map_err(|reason| KeyringError::Refused { name: name.into(), reason })
}

/// `token-1.key`, `token-2.key`, ... in the order of their numbers.
fn token_files(folder: &Path) -> Result<Vec<SecretKey>, KeyringError> {
    let failed = |source| KeyringError::Io { path: folder.to_owned(), source };
    let mut numbers = Vec::new();
    match fs::read_dir(folder) {
        Ok(entries) => {
            for entry in entries {
                let name = entry.map_err(failed)?.file_name();
                let number =
                    name.to_str().and_then(|name| name.strip_prefix("token-")?.strip_suffix(".key")?.parse().ok());
                numbers.extend(number.into_iter().map(|number: u32| number));
            }
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(failed(error)),
    }
    numbers.sort_unstable();
    while numbers.len() < MIN_TOKEN_KEYS {
        numbers.push(numbers.last().map_or(1, |last| last + 1));
    }
    numbers.into_iter().map(|number| read_or_make(&folder.join(format!("token-{number}.key")))).collect()
}

fn read_or_make(path: &Path) -> Result<SecretKey, KeyringError> {
    let failed = |source| KeyringError::Io { path: path.to_owned(), source };
    match fs::metadata(path) {
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => make(path).map_err(failed)?,
        Err(error) => return Err(failed(error)),
    }
    read(path)
}

fn read(path: &Path) -> Result<SecretKey, KeyringError> {
    let failed = |source| KeyringError::Io { path: path.to_owned(), source };
    let mode = fs::metadata(path).map_err(failed)?.mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(KeyringError::OpenToOthers { path: path.to_owned(), mode });
    }
    let text = SecretString::from(fs::read_to_string(path).map_err(failed)?);
    SecretKey::parse(text.expose_secret()).map_err(|reason| KeyringError::RefusedFile { path: path.to_owned(), reason })
}

/// Written beside its place and linked into it: of two processes that start at once one makes the key, and nobody reads
/// half of one.
fn make(path: &Path) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let mut draft = path.as_os_str().to_owned();
    draft.push(format!(".{}", URL_SAFE_NO_PAD.encode(random::<6>())));
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
    file.write_all(SecretKey::draw().expose())?;
    file.write_all(b"\n")?;
    file.sync_all()?;
    let linked = match fs::hard_link(&draft, path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        other => other,
    };
    fs::remove_file(&draft)?;
    linked?;
    fs::File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn same(one: &Keyring, other: &Keyring) -> bool {
        let keys = |ring: &Keyring| -> Vec<Vec<u8>> {
            ring.tokens.iter().chain([&ring.pepper, &ring.signing]).map(|key| key.expose().to_vec()).collect()
        };
        keys(one) == keys(other)
    }

    fn open(folder: &Path) -> Result<Keyring, KeyringError> {
        Keyring::open(folder, &GivenSecrets::default())
    }

    #[test]
    fn the_first_start_makes_the_keys_for_their_owner_only_and_the_next_one_reads_them() {
        let data = tempfile::tempdir().unwrap();
        let folder = data.path().join("keys");
        let first = open(&folder).unwrap();
        assert!(first.tokens.len() >= 2);
        let mut names = Vec::new();
        for entry in fs::read_dir(&folder).unwrap() {
            let entry = entry.unwrap();
            assert_eq!(entry.metadata().unwrap().mode() & 0o777, 0o600);
            names.push(entry.file_name().into_string().unwrap());
        }
        names.sort();
        assert_eq!(names, ["pepper.key", "signing.key", "token-1.key", "token-2.key"], "no draft is left");
        assert_eq!(fs::metadata(&folder).unwrap().mode() & 0o777, 0o700);
        assert!(same(&first, &open(&folder).unwrap()));
    }

    #[test]
    fn a_key_file_that_others_can_read_stops_the_start() {
        let folder = tempfile::tempdir().unwrap();
        open(folder.path()).unwrap();
        for (file, mode) in [("pepper.key", 0o640), ("token-2.key", 0o604), ("signing.key", 0o666)] {
            let path = folder.path().join(file);
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            let refused = open(folder.path()).unwrap_err();
            assert!(matches!(&refused, KeyringError::OpenToOthers { path: named, .. } if *named == path), "{refused}");
            assert!(refused.to_string().contains(file), "{refused}");
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        }
        open(folder.path()).unwrap();
    }

    #[test]
    fn short_and_sample_secrets_stop_the_start() {
        let folder = tempfile::tempdir().unwrap();
        open(folder.path()).unwrap();
        for bad in
            ["", "kJ8s", &"a".repeat(64), "CHANGE-ME-kJ8sQm2xZp0vLr7tWn4yBd6f", "this-is-a-secret-kJ8sQm2xZp0vLr7t"]
        {
            fs::write(folder.path().join("pepper.key"), bad).unwrap();
            assert!(matches!(open(folder.path()), Err(KeyringError::RefusedFile { .. })), "{bad}");
            let given = GivenSecrets { pepper: Some(bad.into()), ..GivenSecrets::default() };
            assert!(matches!(Keyring::open(folder.path(), &given), Err(KeyringError::Refused { .. })), "{bad}");
        }
    }

    #[test]
    fn secrets_by_value_make_no_files_and_have_to_be_different() {
        let folder = tempfile::tempdir().unwrap();
        let key = |start: &str| SecretString::from(format!("{start}kJ8sQm2xZp0vLr7tWn4yBd6fHc1gKa9e"));
        let given =
            GivenSecrets { pepper: Some(key("p")), token_keys: vec![key("t"), key("u")], signing_key: Some(key("s")) };
        let ring = Keyring::open(folder.path(), &given).unwrap();
        assert_eq!(ring.tokens.len(), 2);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
        for wrong in [
            GivenSecrets { token_keys: vec![key("t")], ..given.clone() },
            GivenSecrets { token_keys: vec![key("t"), key("t")], ..given.clone() },
            GivenSecrets { pepper: Some(key("s")), ..given },
        ] {
            assert!(Keyring::open(folder.path(), &wrong).is_err());
        }
    }

    #[test]
    fn the_newest_token_key_is_the_last() {
        let folder = tempfile::tempdir().unwrap();
        let first = open(folder.path()).unwrap();
        fs::remove_file(folder.path().join("token-1.key")).unwrap();
        make(&folder.path().join("token-10.key")).unwrap();
        let ring = open(folder.path()).unwrap();
        assert_eq!(ring.tokens.len(), 2);
        assert_eq!(ring.tokens[0].expose(), first.tokens[1].expose());
    }

    #[test]
    fn who_has_another_pepper_or_another_signing_key_has_another_check_value() {
        let folder = tempfile::tempdir().unwrap();
        let first = open(folder.path()).unwrap().check_value();
        make(&folder.path().join("token-3.key")).unwrap();
        fs::remove_file(folder.path().join("token-1.key")).unwrap();
        assert_eq!(open(folder.path()).unwrap().check_value(), first, "token keys come and go");
        for file in ["pepper.key", "signing.key"] {
            let (path, kept) = (folder.path().join(file), folder.path().join("kept"));
            fs::rename(&path, &kept).unwrap();
            assert_ne!(open(folder.path()).unwrap().check_value(), first, "{file}");
            fs::rename(&kept, &path).unwrap();
        }
        assert_eq!(open(folder.path()).unwrap().check_value(), first);
    }

    #[test]
    fn processes_that_start_at_once_agree_on_the_keys() {
        let folder = tempfile::tempdir().unwrap();
        let rings: Vec<Keyring> = std::thread::scope(|scope| {
            let handles: Vec<_> = (0..8).map(|_| scope.spawn(|| open(folder.path()).unwrap())).collect();
            handles.into_iter().map(|handle| handle.join().unwrap()).collect()
        });
        assert!(rings.iter().all(|ring| same(ring, &rings[0])));
    }

    #[test]
    fn no_key_is_printed() {
        let folder = tempfile::tempdir().unwrap();
        let ring = open(folder.path()).unwrap();
        let printed = format!("{ring:?}");
        assert!(!printed.contains(std::str::from_utf8(ring.pepper.expose()).unwrap()));
    }
}
