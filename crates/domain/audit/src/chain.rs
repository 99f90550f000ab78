//! One chain: each entry holds the hash of the one before, so none can be changed, removed, added or moved without the
//! next one telling. Whoever can rewrite all entries from one on can make a chain that holds by itself: against that, and
//! against a tail cut off, a [`Head`] is exported to a place they cannot write.

use std::{fmt, str::FromStr};

use infirmary_kernel::{AccountId, Action, Event, Invalid, PatientId, Sha256Digest, Timestamp};

use crate::{
    Entry,
    canonical::{self, NotCanonical},
};

/// How far a chain has come: the place and the hash of its last entry. Written `sequence:hash` where it is exported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    pub sequence: u64,
    pub hash: Sha256Digest,
}

impl Head {
    /// Of a chain without entries.
    pub const GENESIS: Self = Self { sequence: 0, hash: Sha256Digest::from_bytes([0; 32]) };
}

impl Default for Head {
    fn default() -> Self {
        Self::GENESIS
    }
}

impl fmt::Display for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.sequence, self.hash)
    }
}

impl FromStr for Head {
    type Err = Invalid;
    fn from_str(text: &str) -> Result<Self, Invalid> {
        let refusal = || Invalid::new("/head", "is not the head of an audit log; give it as it was exported, N:HASH");
        let (sequence, hash) = text.trim().split_once(':').ok_or_else(refusal)?;
        Ok(Self {
            sequence: sequence.parse().map_err(|_| refusal())?,
            hash: Sha256Digest::parse(hash).map_err(|_| refusal())?,
        })
    }
}

/// An entry as a store keeps it: its canonical form and hash, and beside them what entries are found by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sealed {
    pub sequence: u64,
    pub at: Timestamp,
    pub account: Option<AccountId>,
    pub patient: Option<PatientId>,
    pub action: Action,
    /// [`crate::canonical`]; text in UTF-8.
    pub canonical: Vec<u8>,
    pub hash: Sha256Digest,
}

impl Sealed {
    /// The head of the chain that ends here.
    pub fn head(&self) -> Head {
        Head { sequence: self.sequence, hash: self.hash }
    }

    /// What it tells. Checks the form, not the chain: that is [`Verifier`]'s.
    pub fn open(&self) -> Result<Entry, NotCanonical> {
        canonical::parse(&self.canonical)
    }
}

/// Makes `event` the entry after `previous`. Takes a few microseconds: it runs where writes wait in line.
pub fn seal(previous: &Head, event: &Event) -> Sealed {
    let canonical = canonical::write(previous, event);
    Sealed {
        sequence: previous.sequence + 1,
        at: event.at,
        account: event.account,
        patient: event.subject.patient,
        action: event.action.clone(),
        hash: Sha256Digest::of(&canonical),
        canonical,
    }
}

/// The first entry at which a chain does not hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("audit entry {sequence}: {flaw}")]
pub struct Fault {
    pub sequence: u64,
    pub flaw: Flaw,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Flaw {
    #[error("is missing; the one that follows is {found}")]
    Missing { found: u64 },
    #[error("is there a second time or out of its place")]
    Misplaced,
    #[error("its hash is not that of its content")]
    WrongHash,
    #[error("its content is not in the canonical form")]
    NotCanonical,
    #[error("the hash it names as the one before is not that of the entry before")]
    WrongPrevious,
    #[error("the column {column}, by which it is found, is not what its content says")]
    WrongColumn { column: &'static str },
    #[error("is not the one that was exported")]
    NotAsExported,
    #[error("was exported, and the log ends before it")]
    CutOff,
}

/// Takes the entries of a log in order, from the first, and holds none of them.
#[derive(Debug, Clone, Default)]
pub struct Verifier {
    head: Head,
    exported: Option<Head>,
}

impl Verifier {
    /// `exported`: a head of this chain that was kept elsewhere.
    pub fn new(exported: Option<Head>) -> Self {
        Self { head: Head::GENESIS, exported }
    }

    /// The last entry that was found good.
    pub fn head(&self) -> Head {
        self.head
    }

    pub fn take(&mut self, sealed: &Sealed) -> Result<(), Fault> {
        let expected = self.head.sequence + 1;
        let fault = |sequence, flaw| Err(Fault { sequence, flaw });
        if sealed.sequence > expected {
            return fault(expected, Flaw::Missing { found: sealed.sequence });
        }
        if sealed.sequence < expected {
            return fault(sealed.sequence, Flaw::Misplaced);
        }
        if Sha256Digest::of(&sealed.canonical) != sealed.hash {
            return fault(expected, Flaw::WrongHash);
        }
        let Ok(entry) = sealed.open() else { return fault(expected, Flaw::NotCanonical) };
        if entry.previous != self.head.hash {
            return fault(expected, Flaw::WrongPrevious);
        }
        let columns = [
            ("sequence", entry.sequence == sealed.sequence),
            ("at", entry.at == sealed.at),
            ("account", entry.account == sealed.account),
            ("patient", entry.subject.patient == sealed.patient),
            ("action", entry.action == sealed.action),
        ];
        if let Some((column, _)) = columns.into_iter().find(|(_, same)| !same) {
            return fault(expected, Flaw::WrongColumn { column });
        }
        if self.exported.is_some_and(|exported| exported.sequence == expected && exported.hash != sealed.hash) {
            return fault(expected, Flaw::NotAsExported);
        }
        self.head = sealed.head();
        Ok(())
    }

    /// When all are taken: the head of the log.
    pub fn finish(self) -> Result<Head, Fault> {
        match self.exported {
            Some(exported) if exported.sequence > self.head.sequence => {
                Err(Fault { sequence: self.head.sequence + 1, flaw: Flaw::CutOff })
            }
            _ => Ok(self.head),
        }
    }
}
