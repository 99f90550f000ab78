use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    ops::Range,
};

use bytes::Bytes;
use futures_util::stream::{self, BoxStream, StreamExt};
use infirmary_kernel::StoreError;

use crate::disk::{blocking, unavailable};

/// `object_store` would read a file 8 KiB at a time, each on a hop to another thread.
const CHUNK_BYTES: u64 = 256 * 1024;

/// The range of a file that is that long, chunk by chunk, as fast as they are taken.
pub fn chunks(file: File, range: Range<u64>) -> BoxStream<'static, Result<Bytes, StoreError>> {
    stream::try_unfold((file, range), |(file, rest)| async move {
        if rest.is_empty() {
            return Ok(None);
        }
        let next = rest.start..rest.end.min(rest.start + CHUNK_BYTES);
        let later = next.end..rest.end;
        let (file, chunk) =
            blocking(move || read_at(&file, next).map(|chunk| (file, chunk))).await?.map_err(|error| {
                match error.kind() {
                    io::ErrorKind::UnexpectedEof => StoreError::Corrupt { reason: "a file became shorter".into() },
                    _ => unavailable(error),
                }
            })?;
        Ok(Some((chunk, (file, later))))
    })
    .boxed()
}

pub fn read_at(mut file: &File, range: Range<u64>) -> io::Result<Bytes> {
    let length = range.end - range.start;
    let mut chunk = Vec::with_capacity(usize::try_from(length).unwrap_or(usize::MAX));
    file.seek(SeekFrom::Start(range.start))?;
    file.take(length).read_to_end(&mut chunk)?;
    if (chunk.len() as u64) < length {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(chunk.into())
}
