use std::sync::Arc;

use bytes::Bytes;
use futures_util::{
    StreamExt, TryStreamExt,
    stream::{self, BoxStream},
};
use infirmary_kernel::{ObjectKey, Objects, StoreError, WriteError};

use crate::{Finding, Inspection, NamedObject, Stage, Watch};

/// Copies the bytes of a house to another store of objects: those that rows name, each once, and held against the size and the
/// SHA-256 of its row. Broken off at whatever moment and run again, it goes on. Previews are made again, and what no row names
/// is not the house's.
pub struct ConvertObjects {
    pub inspection: Arc<dyn Inspection>,
    pub from: Arc<dyn Objects>,
    pub to: Arc<dyn Objects>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CopiedObjects {
    pub objects: u64,
    pub bytes: u64,
    /// Objects that were there already, and have the right size.
    pub there: u64,
    pub findings: u64,
}

/// Rows that are read at once.
const BATCH_OBJECTS: usize = 500;

enum Outcome {
    Copied,
    There,
    Found(String),
}

impl ConvertObjects {
    /// Objects on their way at once.
    pub const AT_ONCE: usize = 8;

    /// Whether a store of objects was begun to be filled, and is not whole yet.
    pub async fn is_half(objects: &dyn Objects) -> Result<bool, StoreError> {
        Ok(objects.read(&ObjectKey::unfinished(), Some(0..0)).await?.is_some())
    }

    pub async fn run(&self, watch: &mut dyn Watch) -> Result<CopiedObjects, StoreError> {
        watch.begin(Stage::Bytes, self.inspection.counts().await?.object_bytes);
        match self.keep(&ObjectKey::unfinished(), stream::empty().boxed(), None).await {
            Ok(_) | Err(WriteError::Conflict { .. }) => {}
            Err(error) => return Err(unopposed(error)),
        }
        let mut copied = CopiedObjects::default();
        let mut last = None;
        loop {
            let batch = self.inspection.objects(last, BATCH_OBJECTS).await?;
            let Some(end) = batch.last() else { break };
            last = Some(end.owner);
            let mut on_their_way = stream::iter(batch)
                .map(async |named| Ok::<_, StoreError>((self.copy(&named).await?, named)))
                .buffer_unordered(Self::AT_ONCE);
            while let Some((outcome, named)) = on_their_way.try_next().await? {
                match outcome {
                    Outcome::Copied => {
                        copied.objects += 1;
                        copied.bytes += named.object.bytes;
                    }
                    Outcome::There => copied.there += 1,
                    Outcome::Found(what) => {
                        copied.findings += 1;
                        let text = format!("{}: its object {} {what}", named.owner, named.object.key);
                        watch.found(Finding { stage: Stage::Bytes, text });
                    }
                }
                watch.advance(named.object.bytes);
            }
        }
        Ok(copied)
    }

    /// The copy is whole: it may be served.
    pub async fn finish(&self) -> Result<(), StoreError> {
        self.to.delete(&ObjectKey::unfinished()).await
    }

    async fn copy(&self, named: &NamedObject) -> Result<Outcome, StoreError> {
        let object = &named.object;
        if let Some(there) = self.to.read(&object.key, Some(0..0)).await? {
            return Ok(match there.size == object.bytes {
                true => Outcome::There,
                false => Outcome::Found(format!("is in the copy with {} bytes, and not {}", there.size, object.bytes)),
            });
        }
        let Some(read) = self.from.read(&object.key, None).await? else {
            return Ok(Outcome::Found("is not there".to_owned()));
        };
        match self.keep(&object.key, read.bytes, Some(named)).await {
            Ok(true) => Ok(Outcome::Copied),
            Ok(false) => Ok(Outcome::Found("is not what was kept: size or SHA-256 is another".to_owned())),
            // Another run of the same.
            Err(WriteError::Conflict { .. }) => Ok(Outcome::There),
            Err(error) => Err(unopposed(error)),
        }
    }

    /// Keeps the bytes in the copy, when they are those of the row.
    async fn keep(
        &self,
        key: &ObjectKey,
        mut bytes: BoxStream<'static, Result<Bytes, StoreError>>,
        named: Option<&NamedObject>,
    ) -> Result<bool, WriteError> {
        let mut staging = self.to.stage().await?;
        while let Some(chunk) = bytes.try_next().await? {
            staging.write(chunk).await?;
        }
        let staged = staging.seal().await?;
        let as_kept =
            |named: &NamedObject| (staged.bytes(), staged.sha256()) == (named.object.bytes, named.object.sha256);
        if named.is_some_and(|named| !as_kept(named)) {
            return Ok(false);
        }
        staged.keep(key).await.map(|_| true)
    }
}

fn unopposed(error: WriteError) -> StoreError {
    match error {
        WriteError::Store(error) => error,
        other => StoreError::Unavailable { reason: other.to_string() },
    }
}
