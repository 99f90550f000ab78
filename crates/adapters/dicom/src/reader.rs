use std::{fs::File, io, path::Path};

use async_trait::async_trait;
use bytes::Bytes;
use infirmary_imaging::{ImageFacts, ImageFormat, ImageReader, PreviewSize, ReadError};
use infirmary_kernel::StoreError;

use crate::{budget::Budget, dicom_file::DicomFile, jpeg_file::JpegFile, picture::Picture, png_file::PngFile};

/// Why an image is not read.
pub enum Refusal {
    /// A clause for people.
    Unreadable(String),
    Store(StoreError),
}

impl Refusal {
    pub fn unreadable(reason: &str) -> Self {
        Self::Unreadable(reason.to_owned())
    }

    pub fn too_many_pixels() -> Self {
        Self::unreadable("it has more than 16,384 pixels on a side, or more than 100 million")
    }
}

impl From<io::Error> for Refusal {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => Self::unreadable("it is cut off"),
            _ => Self::Store(StoreError::Unavailable { reason: error.to_string() }),
        }
    }
}

impl From<Refusal> for ReadError {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Unreadable(reason) => Self::Unreadable { reason },
            Refusal::Store(error) => Self::Store(error),
        }
    }
}

/// A file whose head was read: what the rest takes is known.
enum Opened {
    Png(Box<PngFile>),
    Jpeg(JpegFile),
    Dicom(Box<DicomFile>),
}

impl Opened {
    fn open(path: &Path, format: ImageFormat) -> Result<Self, Refusal> {
        let file = File::open(path).map_err(|error| {
            Refusal::Store(StoreError::Unavailable { reason: format!("a file could not be opened: {error}") })
        })?;
        Ok(match format {
            ImageFormat::Png => Self::Png(Box::new(PngFile::open(file)?)),
            ImageFormat::Jpeg => Self::Jpeg(JpegFile::open(file)?),
            ImageFormat::Dicom => Self::Dicom(Box::new(DicomFile::open(file)?)),
        })
    }

    fn need_bytes(&self, size: Option<PreviewSize>) -> u64 {
        match self {
            Self::Png(png) => png.need_bytes(size.is_some()),
            Self::Jpeg(jpeg) => jpeg.need_bytes(size.map(PreviewSize::pixels)),
            Self::Dicom(dicom) => dicom.need_bytes(),
        }
    }

    fn inspect(self) -> Result<ImageFacts, Refusal> {
        match self {
            Self::Png(png) => png.inspect(),
            Self::Jpeg(jpeg) => jpeg.inspect(),
            Self::Dicom(dicom) => dicom.inspect(),
        }
    }

    fn preview(self, size: PreviewSize) -> Result<Bytes, Refusal> {
        let picture: Picture = match self {
            Self::Png(png) => png.preview(size.pixels())?,
            Self::Jpeg(jpeg) => jpeg.preview(size.pixels())?,
            Self::Dicom(dicom) => dicom.preview(size.pixels())?,
        };
        Ok(picture.into_png()?.into())
    }
}

/// Reads PNG, JPEG and DICOM from files of this machine. Clones share one budget.
#[derive(Clone)]
pub struct ImageFileReader {
    budget: Budget,
}

impl Default for ImageFileReader {
    fn default() -> Self {
        Self { budget: Budget::new() }
    }
}

impl ImageFileReader {
    async fn read<T: Send + 'static>(
        &self,
        path: &Path,
        format: ImageFormat,
        size: Option<PreviewSize>,
        work: impl FnOnce(Opened) -> Result<T, Refusal> + Send + 'static,
    ) -> Result<T, ReadError> {
        let turn = self.budget.turn().await?;
        let path = path.to_owned();
        let (opened, mut turn) = blocking(move || Ok((Opened::open(&path, format)?, turn))).await?;
        turn.take(opened.need_bytes(size)).await?;
        blocking(move || {
            let done = work(opened);
            drop(turn);
            done
        })
        .await
    }
}

/// A panic in there is a defect, and takes only this request with it.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Refusal> + Send + 'static,
) -> Result<T, ReadError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => Ok(done?),
        Err(error) if error.is_panic() => Err(ReadError::unreadable("it is damaged")),
        Err(error) => Err(StoreError::Unavailable { reason: error.to_string() }.into()),
    }
}

#[async_trait]
impl ImageReader for ImageFileReader {
    async fn inspect(&self, path: &Path, format: ImageFormat) -> Result<ImageFacts, ReadError> {
        self.read(path, format, None, Opened::inspect).await
    }

    async fn preview(&self, path: &Path, format: ImageFormat, size: PreviewSize) -> Result<Bytes, ReadError> {
        self.read(path, format, Some(size), move |opened| opened.preview(size)).await
    }
}
