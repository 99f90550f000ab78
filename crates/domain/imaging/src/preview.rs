use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use futures_util::TryStreamExt;
use infirmary_kernel::{Invalid, ObjectKey, Objects, StoreError, WriteError};

use crate::{Image, ImageReader, ImagingError, PreviewState, ReadError};

/// The longer side of a preview, at most. Few sizes, so that an image has few previews.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PreviewSize(u32);

impl PreviewSize {
    pub const ALL: [Self; 4] = [Self(128), Self(256), Self(512), Self(1024)];
    pub const LARGEST: Self = Self(1024);

    /// The smallest size that is at least so large.
    pub fn at_least(pixels: u32) -> Result<Self, Invalid> {
        Self::ALL
            .into_iter()
            .find(|size| pixels > 0 && size.0 >= pixels)
            .ok_or_else(|| Invalid::new("/size", "must be 1 to 1024 pixels"))
    }

    pub const fn pixels(self) -> u32 {
        self.0
    }
}

impl Default for PreviewSize {
    fn default() -> Self {
        Self(512)
    }
}

/// Previews, made when they are first asked for and kept beside the images. They can be made again at any time.
///
/// No gate here: for use cases that have passed theirs.
#[derive(Clone)]
pub struct Previews {
    pub objects: Arc<dyn Objects>,
    pub reader: Arc<dyn ImageReader>,
}

impl Previews {
    /// A PNG.
    pub async fn of(&self, image: &Image, size: PreviewSize) -> Result<Bytes, ImagingError> {
        if let PreviewState::Unavailable { reason } = &image.facts.preview {
            return Err(ImagingError::NoPreview { reason: reason.clone() });
        }
        let key = ObjectKey::preview(image.id, size.pixels());
        if let Some(kept) = self.objects.read(&key, None).await? {
            let kept: BytesMut = kept.bytes.try_collect().await?;
            return Ok(kept.freeze());
        }
        let file = self.objects.local(&image.object.key).await?.ok_or_else(|| lost(image))?;
        let png = match self.reader.preview(file.path(), image.format, size).await {
            Ok(png) => png,
            Err(ReadError::Unreadable { reason }) => return Err(ImagingError::NoPreview { reason }),
            Err(ReadError::Store(error)) => return Err(error.into()),
        };
        match self.keep(&key, png.clone()).await {
            // Another made it at the same time; both are the same.
            Ok(()) | Err(WriteError::Conflict { .. }) => Ok(png),
            Err(error) => Err(error.into()),
        }
    }

    async fn keep(&self, key: &ObjectKey, png: Bytes) -> Result<(), WriteError> {
        let mut staging = self.objects.stage().await?;
        staging.write(png).await?;
        staging.seal().await?.keep(key).await.map(drop)
    }
}

/// The row is there and its object is not.
pub fn lost(image: &Image) -> StoreError {
    StoreError::Corrupt { reason: format!("the object {} of an image is not there", image.object.key) }
}
