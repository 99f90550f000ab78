use async_trait::async_trait;
use futures_util::{StreamExt, TryStreamExt, stream};
use infirmary_audit::{AuditLog, ChainHead, ChainId, Entry, EntryFilter, Head, Heads, Sealed, SealedRoot, seal_root};
use infirmary_kernel::{Action, Page, PageRequest, StoreError, Timestamp};
use mongodb::bson::{Bson, Document, RawDocument, RawDocumentBuf, doc};

use crate::{
    MongoStore,
    chains::{chain_of, place, sequence_of},
    documents::{Fields, bytes, digest, id, number, time},
    failures::{duplicate, write_error},
    reads::{Query, before_place, newest_first, one_more},
    schema::{AUDIT, AUDIT_CHAINS, AUDIT_ROOTS},
};

/// More than any house has.
const MAX_CHAINS_READ: usize = 1_000;
/// Chains whose heads are asked for at once.
const HEADS_AT_ONCE: usize = 16;
/// Who loses to another instance that closes at the same moment tries again, so often: each time one root was made.
const MAX_CLOSINGS: usize = 64;

#[async_trait]
impl AuditLog for MongoStore {
    async fn find(&self, filter: &EntryFilter, page: &PageRequest) -> Result<Page<Entry>, StoreError> {
        let found = self.find(&AUDIT, finding(filter, page)).await?;
        let entries = found.iter().map(|entry| Ok(sealed(entry)?.open()?)).collect::<Result<_, StoreError>>()?;
        Ok(Page::of_rows(entries, page.limit, Entry::cursor))
    }

    async fn heads(&self) -> Result<Heads, StoreError> {
        let root = self.last_root().await?.map_or(Ok(Head::GENESIS), |root| root_of(&root).map(|root| root.head()))?;
        Ok(Heads { chains: self.chain_heads().await?, root: Some(root) })
    }

    async fn after(&self, chain: ChainId, sequence: u64, limit: usize) -> Result<Vec<Sealed>, StoreError> {
        let end = i64::from(chain.get()) + 1;
        let filter = doc! { "_id": { "$gt": place(chain, sequence), "$lt": end << 48 } };
        let query = Query { filter, sort: doc! { "_id": 1 }, limit, index: "_id" };
        self.find(&AUDIT, query).await?.iter().map(|entry| sealed(entry)).collect()
    }

    async fn roots_after(&self, sequence: u64, limit: usize) -> Result<Vec<SealedRoot>, StoreError> {
        let after = i64::try_from(sequence).unwrap_or(i64::MAX);
        let query = Query { filter: doc! { "_id": { "$gt": after } }, sort: doc! { "_id": 1 }, limit, index: "_id" };
        self.find(&AUDIT_ROOTS, query).await?.iter().map(|root| root_of(root)).collect()
    }

    async fn close(&self, at: Timestamp) -> Result<Head, StoreError> {
        for _ in 0..MAX_CLOSINGS {
            let last = self.last_root().await?;
            let previous = last.as_deref().map(root_of).transpose()?.map(|root| root.head()).unwrap_or_default();
            let mut closed = last.as_deref().map_or(Ok(Vec::new()), closed_by)?;
            let mut gone_on = Vec::new();
            for chain in self.chain_heads().await? {
                match closed.iter_mut().find(|known| known.0 == chain.chain) {
                    Some((_, sequence)) if *sequence >= chain.head.sequence => continue,
                    Some((_, sequence)) => *sequence = chain.head.sequence,
                    None => closed.push((chain.chain, chain.head.sequence)),
                }
                gone_on.push(chain);
            }
            if gone_on.is_empty() {
                return Ok(previous);
            }
            let root = seal_root(&previous, at, &gone_on);
            match self.documents(&AUDIT_ROOTS).insert_one(root_document(&root, &closed)).await {
                Ok(_) => return Ok(root.head()),
                // Another instance has made this root.
                Err(error) if duplicate(&error).is_some() => {}
                Err(error) => return Err(write_error(&error)),
            }
        }
        Err(StoreError::Unavailable { reason: "too many instances close the audit log at once".to_owned() })
    }
}

impl MongoStore {
    async fn last_root(&self) -> Result<Option<RawDocumentBuf>, StoreError> {
        let query = Query { filter: doc! {}, sort: doc! { "_id": -1 }, limit: 1, index: "_id" };
        Ok(self.find(&AUDIT_ROOTS, query).await?.into_iter().next())
    }

    async fn chain_heads(&self) -> Result<Vec<ChainHead>, StoreError> {
        let begun = Query { filter: doc! {}, sort: doc! { "_id": 1 }, limit: MAX_CHAINS_READ, index: "_id" };
        let begun = self.find(&AUDIT_CHAINS, begun).await?;
        let chains: Vec<u16> = begun.iter().map(|chain| chain.number("_id")).collect::<Result<_, _>>()?;
        let heads = stream::iter(chains.into_iter().map(async |chain| {
            let chain = ChainId::new(chain);
            Ok::<_, StoreError>(ChainHead { chain, head: self.chain_head(chain).await? })
        }));
        let heads: Vec<ChainHead> = heads.buffered(HEADS_AT_ONCE).try_collect().await?;
        // A chain is begun before its first entry.
        Ok(heads.into_iter().filter(|chain| chain.head != Head::GENESIS).collect())
    }
}

/// Every index of the log ends with the place in it, so the order costs nothing.
fn finding(filter: &EntryFilter, page: &PageRequest) -> Query {
    let mut wanted = Document::new();
    if let Some(patient) = filter.patient {
        wanted.insert("patient", id(patient));
    }
    let account = filter.account.map(|account| ("$eq".to_owned(), id(account)));
    let except = filter.except_account.map(|account| ("$ne".to_owned(), id(account)));
    let account: Document = account.into_iter().chain(except).collect();
    if !account.is_empty() {
        wanted.insert("account", account);
    }
    if let Some(action) = &filter.action {
        wanted.insert("action", action.as_str());
    }
    let from = filter.from.map(|from| ("$gte".to_owned(), time(from)));
    let to = filter.to.map(|to| ("$lt".to_owned(), time(to)));
    let at: Document = from.into_iter().chain(to).collect();
    if !at.is_empty() {
        wanted.insert("at", at);
    }
    if let Ok(Some((at, id))) = page.after_time() {
        let (chain, sequence) = id.as_u64_pair();
        let chain = ChainId::new(u16::try_from(chain).unwrap_or(u16::MAX));
        wanted = before_place(wanted, "at", time(at), Bson::Int64(place(chain, sequence)));
    }
    let index = match filter {
        EntryFilter { patient: Some(_), .. } => "patient",
        EntryFilter { account: Some(_), .. } => "account",
        EntryFilter { action: Some(_), .. } => "action",
        _ => "time",
    };
    Query { filter: wanted, sort: newest_first("at"), limit: one_more(page), index }
}

pub(crate) fn sealed(entry: &RawDocument) -> Result<Sealed, StoreError> {
    let place = entry.number("_id")?;
    Ok(Sealed {
        chain: chain_of(place),
        sequence: sequence_of(place),
        at: entry.time("at")?,
        account: entry.optional_id("account")?,
        patient: entry.optional_id("patient")?,
        action: Action::from_stored(entry.text("action")?.to_owned()),
        canonical: entry.bytes("form")?.to_vec(),
        hash: entry.digest("hash")?,
    })
}

fn root_document(root: &SealedRoot, closed: &[(ChainId, u64)]) -> Document {
    let closed: Vec<Document> = closed
        .iter()
        .map(|(chain, sequence)| doc! { "chain": number(chain.get()), "sequence": sequence_number(*sequence) })
        .collect();
    doc! {
        "_id": sequence_number(root.sequence),
        "form": bytes(root.canonical.as_slice()),
        "hash": digest(&root.hash),
        "closed": closed,
    }
}

fn sequence_number(sequence: u64) -> Bson {
    number(i64::try_from(sequence).unwrap_or(i64::MAX))
}

fn root_of(root: &RawDocument) -> Result<SealedRoot, StoreError> {
    Ok(SealedRoot {
        sequence: root.number("_id")?,
        canonical: root.bytes("form")?.to_vec(),
        hash: root.digest("hash")?,
    })
}

fn closed_by(root: &RawDocument) -> Result<Vec<(ChainId, u64)>, StoreError> {
    let closed = root.documents("closed")?;
    closed.iter().map(|known| Ok((ChainId::new(known.number("chain")?), known.number("sequence")?))).collect()
}
