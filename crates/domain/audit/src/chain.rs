//! A chain: each entry holds the hash of the one before, so none can be changed, removed, added or moved without the
//! next one telling. Whoever can rewrite all entries from one on can make a chain that holds by itself: against that, and
//! against a tail cut off, a [`Head`] is exported to a place they cannot write.
//!
//! A store with one writer writes one chain, number 0. Where many write at once each would wait for the one before it, so such
//! a store writes several others; every minute a [root](crate::root) closes all that there are at once, and its head is what is
//! exported. A house that was moved has chains of both kinds, as they were.

use std::{collections::VecDeque, fmt, str::FromStr};

use infirmary_kernel::{AccountId, Action, Event, Invalid, PatientId, Sha256Digest, Timestamp};

use crate::{
    Entry,
    canonical::{self, NotCanonical},
};

/// Which of the chains of a log.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChainId(u16);

impl ChainId {
    /// Of a store that writes one.
    pub const ONLY: Self = Self(0);

    pub const fn new(number: u16) -> Self {
        Self(number)
    }

    pub const fn get(self) -> u16 {
        self.0
    }

    /// An entry as one number, in the order of chain, then place in it: what a store may keep it by. Of [`Self::ONLY`] it is the
    /// place. A chain that gets a thousand entries a second is full after 8,900 years.
    pub const fn number(self, sequence: u64) -> i64 {
        let place = if sequence > MAX_SEQUENCE { MAX_SEQUENCE } else { sequence };
        ((self.0 as i64) << SEQUENCE_BITS) | place as i64
    }

    /// The chain and the place in it, of an entry's number.
    pub const fn of_number(number: i64) -> (Self, u64) {
        (Self((number >> SEQUENCE_BITS) as u16), number as u64 & MAX_SEQUENCE)
    }
}

const SEQUENCE_BITS: u32 = 48;
const MAX_SEQUENCE: u64 = (1 << SEQUENCE_BITS) - 1;

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
        let text = text.trim();
        let (sequence, hash) = text.split_once(':').ok_or_else(refusal)?;
        let head = Self {
            sequence: sequence.parse().map_err(|_| refusal())?,
            hash: Sha256Digest::parse(hash).map_err(|_| refusal())?,
        };
        // Not `+7` nor `007`: a head has one spelling, by which two that were kept are compared.
        if head.to_string() == text { Ok(head) } else { Err(refusal()) }
    }
}

/// The head of one of several chains.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChainHead {
    pub chain: ChainId,
    pub head: Head,
}

/// An entry as a store keeps it: its canonical form and hash, and beside them what entries are found by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sealed {
    pub chain: ChainId,
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

/// Makes `event` the entry after `previous` in the chain. Takes a few microseconds: it runs where writes wait in line.
pub fn seal(chain: ChainId, previous: &Head, event: &Event) -> Sealed {
    let canonical = canonical::write(chain, previous, event);
    Sealed {
        chain,
        sequence: previous.sequence + 1,
        at: event.at,
        account: event.account,
        patient: event.subject.patient,
        action: event.action.clone(),
        hash: Sha256Digest::of(&canonical),
        canonical,
    }
}

/// The first place at which a log does not hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("audit {place}: {flaw}")]
pub struct Fault {
    pub place: Place,
    pub flaw: Flaw,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    Entry { chain: ChainId, sequence: u64 },
    Root { sequence: u64 },
}

impl Place {
    /// In a log with one chain.
    pub const fn entry(sequence: u64) -> Self {
        Self::Entry { chain: ChainId::ONLY, sequence }
    }

    pub const fn sequence(self) -> u64 {
        match self {
            Self::Entry { sequence, .. } | Self::Root { sequence } => sequence,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Entry { chain: ChainId::ONLY, sequence } => write!(f, "entry {sequence}"),
            Self::Entry { chain, sequence } => write!(f, "entry {sequence} of chain {}", chain.get()),
            Self::Root { sequence } => write!(f, "root {sequence}"),
        }
    }
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
    #[error("the hash it names as the one before is not that of the one before")]
    WrongPrevious,
    #[error("the column {column}, by which it is found, is not what its content says")]
    WrongColumn { column: &'static str },
    #[error("is not the one that was exported")]
    NotAsExported,
    #[error("was exported, and the log ends before it")]
    CutOff,
    #[error("is not the one that root {root} closed")]
    NotAsClosed { root: u64 },
    #[error("was closed by root {root}, and its chain ends before it")]
    CutOffClosed { root: u64 },
    #[error("the head it names of chain {} is no further than the one that was closed before", .chain.get())]
    NoFurther { chain: ChainId },
}

/// A head of the chain that is known from elsewhere: the chain has to lead through it.
#[derive(Debug, Clone, Copy)]
enum Known {
    Exported(Head),
    Closed { head: Head, root: u64 },
}

impl Known {
    const fn head(self) -> Head {
        match self {
            Self::Exported(head) | Self::Closed { head, .. } => head,
        }
    }

    const fn differs(self) -> Flaw {
        match self {
            Self::Exported(_) => Flaw::NotAsExported,
            Self::Closed { root, .. } => Flaw::NotAsClosed { root },
        }
    }

    const fn is_gone(self) -> Flaw {
        match self {
            Self::Exported(_) => Flaw::CutOff,
            Self::Closed { root, .. } => Flaw::CutOffClosed { root },
        }
    }
}

/// Takes what is linked in order, from the first, and holds none of it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Links {
    head: Head,
    known: VecDeque<Known>,
}

impl Links {
    pub(crate) fn new(exported: impl IntoIterator<Item = Head>) -> Self {
        let mut exported: Vec<Head> = exported.into_iter().collect();
        exported.sort_by_key(|head| head.sequence);
        Self { head: Head::GENESIS, known: exported.into_iter().map(Known::Exported).collect() }
    }

    pub(crate) const fn head(&self) -> Head {
        self.head
    }

    pub(crate) fn expect(&mut self, head: Head, root: u64) {
        let place = self.known.partition_point(|known| known.head().sequence <= head.sequence);
        self.known.insert(place, Known::Closed { head, root });
    }

    /// Takes the next one; `open` reads its form and gives the hash it names as the one before.
    pub(crate) fn take<T>(
        &mut self,
        next: Head,
        canonical: &[u8],
        open: impl FnOnce(Sha256Digest) -> Result<T, Flaw>,
    ) -> Result<T, (u64, Flaw)> {
        let expected = self.head.sequence + 1;
        if next.sequence > expected {
            return Err((expected, Flaw::Missing { found: next.sequence }));
        }
        if next.sequence < expected {
            return Err((next.sequence, Flaw::Misplaced));
        }
        let fault = |flaw| Err((expected, flaw));
        if Sha256Digest::of(canonical) != next.hash {
            return fault(Flaw::WrongHash);
        }
        let opened = match open(self.head.hash) {
            Ok(opened) => opened,
            Err(flaw) => return fault(flaw),
        };
        while let Some(known) = self.known.front().filter(|known| known.head().sequence <= expected) {
            if known.head().sequence == expected && known.head().hash != next.hash {
                return fault(known.differs());
            }
            self.known.pop_front();
        }
        self.head = next;
        Ok(opened)
    }

    /// When all are taken: the last one.
    pub(crate) fn finish(&self) -> Result<Head, (u64, Flaw)> {
        match self.known.front().filter(|known| known.head().sequence > self.head.sequence) {
            Some(known) => Err((self.head.sequence + 1, known.is_gone())),
            None => Ok(self.head),
        }
    }
}

/// Takes the entries of one chain in order, from the first, and holds none of them.
#[derive(Debug, Clone, Default)]
pub struct Verifier {
    chain: ChainId,
    links: Links,
}

impl Verifier {
    /// `exported`: heads of this chain that were kept elsewhere.
    pub fn new(chain: ChainId, exported: impl IntoIterator<Item = Head>) -> Self {
        Self { chain, links: Links::new(exported) }
    }

    /// The last entry that was found good.
    pub fn head(&self) -> Head {
        self.links.head()
    }

    /// A root closed the chain at this head. To be told before the entries up to there are taken.
    pub fn expect(&mut self, head: Head, root: u64) {
        self.links.expect(head, root);
    }

    pub fn take(&mut self, sealed: &Sealed) -> Result<(), Fault> {
        let chain = self.chain;
        let open = |previous| {
            let Ok(entry) = sealed.open() else { return Err(Flaw::NotCanonical) };
            if entry.previous != previous {
                return Err(Flaw::WrongPrevious);
            }
            let columns = [
                ("chain", entry.chain == sealed.chain && entry.chain == chain),
                ("sequence", entry.sequence == sealed.sequence),
                ("at", entry.at == sealed.at),
                ("account", entry.account == sealed.account),
                ("patient", entry.subject.patient == sealed.patient),
                ("action", entry.action == sealed.action),
            ];
            match columns.into_iter().find(|(_, same)| !same) {
                Some((column, _)) => Err(Flaw::WrongColumn { column }),
                None => Ok(()),
            }
        };
        self.links.take(sealed.head(), &sealed.canonical, open).map_err(|at| self.fault(at))
    }

    /// When all are taken: the head of the chain.
    pub fn finish(&self) -> Result<Head, Fault> {
        self.links.finish().map_err(|at| self.fault(at))
    }

    fn fault(&self, (sequence, flaw): (u64, Flaw)) -> Fault {
        Fault { place: Place::Entry { chain: self.chain, sequence }, flaw }
    }
}
