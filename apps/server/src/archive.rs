//! The one file of a backup: a tar archive whose first member is the manifest, and whose other members are the files that
//! the manifest lists, in its order.
//!
//! The manifest is lines of JSON: first what was backed up, then each file with its size and SHA-256. It can be read
//! with `tar xOf FILE manifest.jsonl`, and everything in it checked without this program. Writing and reading both go through
//! it line by line, so memory does not grow with the number of files.
//!
//! An archive to be read may be anybody's: no member is taken but the ones listed, in their order, with the size listed,
//! and each path is one that a backup writes ([`Place`]).

use std::{
    fs::File,
    io::{self, BufRead, BufReader, Read, Seek, Write},
};

use infirmary_kernel::{ObjectKey, Sha256Digest, Timestamp};
use infirmary_workflows::{HouseCounts, ObjectOwner};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

const MANIFEST: &str = "manifest.jsonl";
const DATABASE: &str = "infirmary.db";
/// Of the layout described here.
const FORMAT: &str = "infirmary-backup-1";
/// Fifty million files. What is larger is not unpacked at all.
const MAX_MANIFEST_BYTES: u64 = 8 * 1024 * 1024 * 1024;
const MAX_LINE_BYTES: u64 = 4 * 1024;
const MAX_SECRET_BYTES: u64 = 4 * 1024;
const BUFFER_BYTES: usize = 256 * 1024;

#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    #[error("it is not a backup of Infirmary: {why}")]
    NotABackup { why: String },
    #[error("its member {path} {why}")]
    Member { path: String, why: &'static str },
    #[error("{path} {why}")]
    Source { path: String, why: &'static str },
    #[error(transparent)]
    Io(#[from] io::Error),
}

fn not_a_backup(why: impl Into<String>) -> ArchiveError {
    ArchiveError::NotABackup { why: why.into() }
}

/// The first line of the manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Summary {
    pub format: String,
    /// Of the program that took it.
    pub version: String,
    pub schema: u32,
    pub taken_at: Timestamp,
    /// To be told to `verify --head`, now or years later.
    pub audit_head: String,
    pub files: u64,
    pub bytes: u64,
    pub patients: u64,
    pub studies: u64,
    pub diagnoses: u64,
    pub charges: u64,
    pub payments: u64,
    pub refunds: u64,
    pub audit_entries: u64,
}

impl Summary {
    pub fn new(
        schema: u32,
        taken_at: Timestamp,
        audit_head: String,
        counts: &HouseCounts,
        files: u64,
        bytes: u64,
    ) -> Self {
        Self {
            format: FORMAT.into(),
            version: env!("CARGO_PKG_VERSION").into(),
            schema,
            taken_at,
            audit_head,
            files,
            bytes,
            patients: counts.patients,
            studies: counts.studies,
            diagnoses: counts.diagnoses,
            charges: counts.charges,
            payments: counts.payments,
            refunds: counts.refunds,
            audit_entries: counts.audit_entries,
        }
    }
}

/// A further line: a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Listed {
    pub path: String,
    pub bytes: u64,
    pub sha256: Sha256Digest,
}

/// Where a file of an archive belongs. They stand in this order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    Database,
    Object(ObjectKey),
    /// The name of a file in the folder of secrets.
    Secret(String),
}

impl Place {
    pub fn path(&self) -> String {
        match self {
            Self::Database => DATABASE.into(),
            Self::Object(key) => format!("objects/{key}"),
            Self::Secret(name) => format!("secrets/{name}"),
        }
    }

    /// `None`: no backup writes such a path.
    pub fn parse(path: &str) -> Option<Self> {
        if path == DATABASE {
            return Some(Self::Database);
        }
        match path.split_once('/')? {
            ("objects", key) => {
                let key = ObjectKey::parse(key).ok()?;
                (ObjectOwner::of_key(&key)?.key() == key).then_some(Self::Object(key))
            }
            ("secrets", name) => Self::is_secret(name).then(|| Self::Secret(name.to_owned())),
            _ => None,
        }
    }

    /// `pepper.key`, `token-1.key`.
    pub fn is_secret(name: &str) -> bool {
        name.strip_suffix(".key").is_some_and(|stem| {
            (1..=64).contains(&stem.len()) && stem.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-'))
        })
    }
}

/// The lines of a manifest, gathered in a file before they are written.
pub struct Manifest {
    lines: File,
    pub files: u64,
    pub bytes: u64,
}

impl Manifest {
    pub fn gathered_in(lines: File) -> Self {
        Self { lines, files: 0, bytes: 0 }
    }

    pub fn add(&mut self, place: &Place, bytes: u64, sha256: Sha256Digest) -> io::Result<()> {
        write_line(&mut self.lines, &Listed { path: place.path(), bytes, sha256 })?;
        self.files += 1;
        self.bytes += bytes;
        Ok(())
    }
}

fn write_line(to: &mut impl Write, line: &impl Serialize) -> io::Result<()> {
    let mut text = serde_json::to_vec(line)?;
    text.push(b'\n');
    to.write_all(&text)
}

/// Writes the archive: each file of the manifest has to be given, in its order.
pub struct Writer<W: Write> {
    tar: tar::Builder<W>,
    lines: BufReader<File>,
    taken_at: Timestamp,
}

impl<W: Write> Writer<W> {
    pub fn begin(to: W, summary: &Summary, manifest: Manifest) -> Result<Self, ArchiveError> {
        let mut first = Vec::new();
        write_line(&mut first, summary)?;
        let mut lines = manifest.lines;
        let size = first.len() as u64 + lines.stream_position()?;
        lines.rewind()?;
        let mut tar = tar::Builder::new(to);
        tar.append(&header(MANIFEST, size, summary.taken_at)?, first.as_slice().chain(&lines))?;
        lines.rewind()?;
        Ok(Self { tar, lines: BufReader::new(lines), taken_at: summary.taken_at })
    }

    /// The next file to be given to [`Self::add`].
    pub fn next_listed(&mut self) -> Result<Option<Listed>, ArchiveError> {
        next_line(&mut self.lines)
    }

    /// Fails when the content is not what was listed: then the archive is to be thrown away.
    pub fn add(&mut self, listed: &Listed, content: impl Read) -> Result<(), ArchiveError> {
        let mut content = Hashing::new(content);
        self.tar.append(&header(&listed.path, listed.bytes, self.taken_at)?, &mut content)?;
        let why = match (content.bytes == listed.bytes, content.digest() == listed.sha256) {
            (true, true) => return Ok(()),
            (false, _) => "has another size than was kept",
            (true, false) => "has another SHA-256 than was kept",
        };
        Err(ArchiveError::Source { path: listed.path.clone(), why })
    }

    pub fn finish(self) -> Result<W, ArchiveError> {
        Ok(self.tar.into_inner()?)
    }
}

fn header(path: &str, bytes: u64, modified: Timestamp) -> io::Result<tar::Header> {
    let mut header = tar::Header::new_gnu();
    header.set_path(path)?;
    header.set_size(bytes);
    header.set_mode(0o600);
    header.set_mtime(u64::try_from(modified.unix_seconds()).unwrap_or(0));
    header.set_cksum();
    Ok(header)
}

/// Who takes the files of an archive.
pub trait Sink {
    /// Before the first file.
    fn summary(&mut self, summary: &Summary) -> Result<(), ArchiveError>;
    /// The next bytes of a file.
    fn file(&mut self, place: &Place, content: &mut dyn Read) -> Result<(), ArchiveError>;
}

/// Reads an archive to its end. `lines` is an empty file for its manifest. A file that `sink` took may turn out not to be
/// what was listed: when this fails, all that was taken is to be thrown away.
pub fn read(archive: impl Read, mut lines: File, sink: &mut impl Sink) -> Result<Summary, ArchiveError> {
    let mut archive = tar::Archive::new(archive);
    // Raw: no member is a description of the next one, which the library would take into memory whole.
    let mut members = archive.entries()?.raw(true);
    let mut manifest = match members.next().transpose() {
        Ok(Some(member)) if is_named(&member, MANIFEST) => member,
        Ok(_) => return Err(not_a_backup("it does not begin with a manifest")),
        Err(error) => return Err(not_a_backup(error.to_string())),
    };
    if manifest.size() > MAX_MANIFEST_BYTES {
        return Err(not_a_backup("its manifest is too large"));
    }
    io::copy(&mut manifest, &mut lines)?;
    lines.rewind()?;
    let mut lines = BufReader::new(lines);
    let summary: Summary = next_line(&mut lines)?.ok_or_else(|| not_a_backup("its manifest is empty"))?;
    if summary.format != FORMAT {
        return Err(not_a_backup(format!("its format is {}, and this version reads {FORMAT}", summary.format)));
    }
    sink.summary(&summary)?;

    let mut rank = 0;
    let mut files = 0;
    while let Some(listed) = next_line::<Listed>(&mut lines)? {
        let wrong = |why| ArchiveError::Member { path: listed.path.clone(), why };
        let place = Place::parse(&listed.path).ok_or_else(|| wrong("is none that a backup writes"))?;
        let its_rank = match place {
            Place::Database => 1,
            Place::Object(_) => 2,
            Place::Secret(_) => 3,
        };
        if its_rank < rank || (its_rank == 1 && rank == 1) {
            return Err(wrong("is listed out of its place"));
        }
        rank = its_rank;
        if matches!(place, Place::Secret(_)) && listed.bytes > MAX_SECRET_BYTES {
            return Err(wrong("is too large for a secret"));
        }
        let member = members.next().ok_or_else(|| wrong("is listed and not there"))??;
        if !is_named(&member, &listed.path) {
            return Err(wrong("is listed, and another one is in its place"));
        }
        if member.size() != listed.bytes {
            return Err(wrong("has another size than is listed"));
        }
        let mut content = Hashing::new(member);
        sink.file(&place, &mut content)?;
        io::copy(&mut content, &mut io::sink())?;
        if content.bytes != listed.bytes {
            return Err(wrong("is cut off"));
        }
        if content.digest() != listed.sha256 {
            return Err(wrong("has another SHA-256 than is listed"));
        }
        files += 1;
    }
    if rank == 0 {
        return Err(not_a_backup("it has no database"));
    }
    if files != summary.files {
        return Err(not_a_backup("its manifest is cut off"));
    }
    if let Some(more) = members.next() {
        let path = String::from_utf8_lossy(&more?.path_bytes()).into_owned();
        return Err(ArchiveError::Member { path, why: "is not listed" });
    }
    Ok(summary)
}

/// A plain file of exactly that name.
fn is_named<R: Read>(member: &tar::Entry<'_, R>, path: &str) -> bool {
    member.header().entry_type() == tar::EntryType::Regular && *member.path_bytes() == *path.as_bytes()
}

fn next_line<T: for<'de> Deserialize<'de>>(lines: &mut impl BufRead) -> Result<Option<T>, ArchiveError> {
    let mut line = Vec::new();
    lines.by_ref().take(MAX_LINE_BYTES).read_until(b'\n', &mut line)?;
    if line.is_empty() {
        return Ok(None);
    }
    serde_json::from_slice(&line).map(Some).map_err(|_| not_a_backup("a line of its manifest cannot be read"))
}

/// Counts and hashes what is read through it.
struct Hashing<R> {
    inner: R,
    hasher: Sha256,
    bytes: u64,
}

impl<R> Hashing<R> {
    fn new(inner: R) -> Self {
        Self { inner, hasher: Sha256::new(), bytes: 0 }
    }

    fn digest(self) -> Sha256Digest {
        Sha256Digest::from_bytes(self.hasher.finalize().into())
    }
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.hasher.update(&buffer[..read]);
        self.bytes += read as u64;
        Ok(read)
    }
}

/// The size and SHA-256 of what is left of a file.
pub fn measure(content: impl Read) -> io::Result<(u64, Sha256Digest)> {
    let mut content = Hashing::new(content);
    io::copy(&mut BufReader::with_capacity(BUFFER_BYTES, &mut content), &mut io::sink())?;
    Ok((content.bytes, content.digest()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const OBJECT: &str = "objects/images/0198c1f0-7c3e-7d0a-9c55-3f1d2b6a4e10";

    #[derive(Default)]
    struct Taken(Vec<(String, Vec<u8>)>);

    impl Sink for Taken {
        fn summary(&mut self, _: &Summary) -> Result<(), ArchiveError> {
            Ok(())
        }
        fn file(&mut self, place: &Place, content: &mut dyn Read) -> Result<(), ArchiveError> {
            let mut bytes = Vec::new();
            content.read_to_end(&mut bytes)?;
            self.0.push((place.path(), bytes));
            Ok(())
        }
    }

    fn summary(files: u64) -> Summary {
        let taken_at = Timestamp::from_unix_ms(1_772_355_600_000);
        Summary::new(1, taken_at, "0:0".into(), &HouseCounts::default(), files, 0)
    }

    fn read_back(archive: &[u8]) -> Result<Vec<(String, Vec<u8>)>, String> {
        let mut taken = Taken::default();
        read(archive, tempfile::tempfile().unwrap(), &mut taken).map_err(|error| error.to_string())?;
        Ok(taken.0)
    }

    /// An archive by any hand: a manifest of these lines, and members of these paths, types and contents.
    fn forged(lines: &[Listed], members: &[(&str, tar::EntryType, &[u8])]) -> Vec<u8> {
        let mut manifest = Vec::new();
        write_line(&mut manifest, &summary(lines.len() as u64)).unwrap();
        lines.iter().for_each(|line| write_line(&mut manifest, line).unwrap());
        let mut tar = tar::Builder::new(Vec::new());
        let manifest = (MANIFEST, tar::EntryType::Regular, manifest.as_slice());
        for (path, kind, content) in std::iter::once(&manifest).chain(members) {
            let mut header = tar::Header::new_gnu();
            // As it is: the library would refuse to write some of these.
            header.as_old_mut().name[..path.len()].copy_from_slice(path.as_bytes());
            header.set_entry_type(*kind);
            header.set_size(content.len() as u64);
            header.set_cksum();
            tar.append(&header, *content).unwrap();
        }
        tar.into_inner().unwrap()
    }

    fn listed(path: &str, content: &[u8]) -> Listed {
        Listed { path: path.into(), bytes: content.len() as u64, sha256: Sha256Digest::of(content) }
    }

    const FILE: tar::EntryType = tar::EntryType::Regular;

    #[test]
    fn an_archive_is_read_as_it_was_written() {
        let mut manifest = Manifest::gathered_in(tempfile::tempfile().unwrap());
        let place = Place::parse(OBJECT).unwrap();
        manifest.add(&Place::Database, 4, Sha256Digest::of(b"rows")).unwrap();
        manifest.add(&place, 5, Sha256Digest::of(b"bytes")).unwrap();
        let mut writer = Writer::begin(Vec::new(), &summary(2), manifest).unwrap();
        for content in [&b"rows"[..], b"bytes"] {
            let listed = writer.next_listed().unwrap().unwrap();
            writer.add(&listed, content).unwrap();
        }
        assert_eq!(writer.next_listed().unwrap(), None);
        let archive = writer.finish().unwrap();
        let expected = vec![(DATABASE.to_owned(), b"rows".to_vec()), (OBJECT.to_owned(), b"bytes".to_vec())];
        assert_eq!(read_back(&archive).unwrap(), expected);
        for length in (0..archive.len() - 1_024).step_by(256) {
            assert!(read_back(&archive[..length]).is_err(), "cut off at {length}");
        }
    }

    #[test]
    fn what_is_not_as_it_was_kept_is_not_archived() {
        for content in [&b"rowz"[..], b"row", b"rows and more"] {
            let mut manifest = Manifest::gathered_in(tempfile::tempfile().unwrap());
            manifest.add(&Place::Database, 4, Sha256Digest::of(b"rows")).unwrap();
            let mut writer = Writer::begin(Vec::new(), &summary(1), manifest).unwrap();
            let listed = writer.next_listed().unwrap().unwrap();
            assert!(matches!(writer.add(&listed, content), Err(ArchiveError::Source { .. })));
        }
    }

    #[test]
    fn a_member_is_taken_only_as_it_is_listed() {
        let rows = || listed(DATABASE, b"rows");
        let good = forged(&[rows()], &[(DATABASE, FILE, b"rows")]);
        assert!(read_back(&good).is_ok());
        let cases = [
            ("no database", forged(&[], &[])),
            ("another hash", forged(&[rows()], &[(DATABASE, FILE, b"rowz")])),
            ("larger", forged(&[rows()], &[(DATABASE, FILE, b"rows and rows")])),
            ("smaller", forged(&[rows()], &[(DATABASE, FILE, b"row")])),
            ("not there", forged(&[rows(), listed(OBJECT, b"x")], &[(DATABASE, FILE, b"rows")])),
            ("not listed", forged(&[rows()], &[(DATABASE, FILE, b"rows"), (OBJECT, FILE, b"x")])),
            ("twice", forged(&[rows(), rows()], &[(DATABASE, FILE, b"rows"), (DATABASE, FILE, b"rows")])),
            ("a link", forged(&[rows()], &[(DATABASE, tar::EntryType::Symlink, b"rows")])),
            ("a long name", forged(&[rows()], &[("././@LongLink", tar::EntryType::GNULongName, b"rows")])),
            ("swapped", {
                let members = [(OBJECT, FILE, &b"x"[..]), (DATABASE, FILE, b"rows")];
                forged(&[listed(OBJECT, b"x"), rows()], &members)
            }),
        ];
        for (case, archive) in cases {
            assert!(read_back(&archive).is_err(), "{case}");
        }
    }

    #[test]
    fn no_path_leads_out_of_the_house() {
        for path in [
            "../infirmary.db",
            "/etc/passwd",
            "objects/../infirmary.db",
            "objects/images/../../x",
            "objects/previews/0198c1f0-7c3e-7d0a-9c55-3f1d2b6a4e10/512",
            "objects/images/7",
            "secrets/../pepper.key",
            "secrets/.key",
            "secrets/pepper",
            "infirmary.db-wal",
            "",
        ] {
            assert_eq!(Place::parse(path), None, "{path}");
            let archive = forged(
                &[listed(DATABASE, b"rows"), listed(path, b"x")],
                &[(DATABASE, FILE, b"rows"), (path, FILE, b"x")],
            );
            assert!(read_back(&archive).is_err(), "{path}");
        }
        assert_eq!(Place::parse("secrets/token-1.key"), Some(Place::Secret("token-1.key".into())));
    }
}
