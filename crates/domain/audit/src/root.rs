//! Roots: what binds the chains of a log that has several. A root names the heads that have gone on since the root before
//! it, and holds that one's hash. So one hash, kept elsewhere, stands for every entry that was written before it was made.

use std::collections::BTreeMap;

use infirmary_kernel::{Sha256Digest, Timestamp};

use crate::{
    ChainHead, ChainId, Head,
    canonical::{self, NotCanonical},
    chain::{Fault, Flaw, Links, Place},
};

/// What a root says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Root {
    /// 1 for the first, then without gaps.
    pub sequence: u64,
    /// The hash of the root before, that of [`Head::GENESIS`] for the first.
    pub previous: Sha256Digest,
    pub at: Timestamp,
    /// Of the chains that have gone on, in the order of their numbers.
    pub heads: Vec<ChainHead>,
}

/// A root as a store keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedRoot {
    pub sequence: u64,
    /// [`crate::canonical`]; text in UTF-8.
    pub canonical: Vec<u8>,
    pub hash: Sha256Digest,
}

impl SealedRoot {
    pub fn head(&self) -> Head {
        Head { sequence: self.sequence, hash: self.hash }
    }

    /// What it says. Checks the form only.
    pub fn open(&self) -> Result<Root, NotCanonical> {
        canonical::parse_root(&self.canonical)
    }
}

/// Makes the root after `previous`; `heads` are those that have gone on since, in the order of their numbers.
pub fn seal_root(previous: &Head, at: Timestamp, heads: &[ChainHead]) -> SealedRoot {
    let canonical = canonical::write_root(previous, at, heads);
    SealedRoot { sequence: previous.sequence + 1, hash: Sha256Digest::of(&canonical), canonical }
}

/// Takes the roots of a log in order, from the first.
#[derive(Debug, Clone, Default)]
pub struct RootVerifier {
    links: Links,
    closed: BTreeMap<ChainId, u64>,
}

impl RootVerifier {
    /// `exported`: heads of roots that were kept elsewhere.
    pub fn new(exported: impl IntoIterator<Item = Head>) -> Self {
        Self { links: Links::new(exported), closed: BTreeMap::new() }
    }

    /// The last root that was found good.
    pub fn head(&self) -> Head {
        self.links.head()
    }

    /// What the root says, when it holds.
    pub fn take(&mut self, sealed: &SealedRoot) -> Result<Root, Fault> {
        let closed = &mut self.closed;
        let open = |previous| {
            let Ok(root) = sealed.open() else { return Err(Flaw::NotCanonical) };
            if root.previous != previous {
                return Err(Flaw::WrongPrevious);
            }
            if root.sequence != sealed.sequence {
                return Err(Flaw::WrongColumn { column: "sequence" });
            }
            for ChainHead { chain, head } in &root.heads {
                if closed.insert(*chain, head.sequence).unwrap_or(0) >= head.sequence {
                    return Err(Flaw::NoFurther { chain: *chain });
                }
            }
            Ok(root)
        };
        self.links.take(sealed.head(), &sealed.canonical, open).map_err(fault)
    }

    /// When all are taken: the last one.
    pub fn finish(&self) -> Result<Head, Fault> {
        self.links.finish().map_err(fault)
    }
}

fn fault((sequence, flaw): (u64, Flaw)) -> Fault {
    Fault { place: Place::Root { sequence }, flaw }
}
