use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use infirmary_kernel::{
    Caller, FileName, Gate, ImageId, ObjectKey, Objects, Permission, Sha256Digest, Staged, Staging, StoreError,
    Subject, WriteError,
};

use crate::{
    Image, ImageFacts, ImageFormat, ImageReader, ImagingError, SNIFF_BYTES, Study,
    sniff::{ending_agrees, recognise},
};

/// Takes in the bytes of one image of a study that is to be recorded.
pub struct ReceiveImage {
    pub gate: Gate,
    pub objects: Arc<dyn Objects>,
    pub reader: Arc<dyn ImageReader>,
}

impl ReceiveImage {
    /// Before the first byte: who may not write studies has nothing to upload. `declared_type` and `file_name` are what
    /// the client says, as it says it.
    pub async fn begin(
        &self,
        caller: &Caller,
        declared_type: Option<&str>,
        file_name: Option<&str>,
    ) -> Result<Intake, ImagingError> {
        self.gate.admit(caller, Permission::WriteStudies, Subject::all("study")).await?;
        Ok(self.intake(declared_type, file_name))
    }

    /// The same for an admin, who uploads what a doctor will be the author of.
    pub async fn begin_for_doctor(
        &self,
        caller: &Caller,
        declared_type: Option<&str>,
        file_name: Option<&str>,
    ) -> Result<Intake, ImagingError> {
        self.gate.admit(caller, Permission::RecordForDoctors, Subject::all("study")).await?;
        Ok(self.intake(declared_type, file_name))
    }

    /// The same for the command line, which brings in what another system kept: who may run it may read the store.
    pub fn begin_by_operator(&self) -> Intake {
        self.intake(None, None)
    }

    fn intake(&self, declared_type: Option<&str>, file_name: Option<&str>) -> Intake {
        Intake {
            objects: self.objects.clone(),
            reader: self.reader.clone(),
            declared_type: declared_type.map(str::to_owned),
            file_name: file_name.map(str::to_owned),
            bytes: 0,
            state: State::Head(BytesMut::new()),
        }
    }
}

enum State {
    /// Too few bytes to tell what it is. Nothing is on the disk yet.
    Head(BytesMut),
    Body {
        format: ImageFormat,
        staging: Box<dyn Staging>,
    },
    /// Refused or failed; no more is taken.
    Over,
}

/// An image on its way in. Drop it to forget it.
pub struct Intake {
    objects: Arc<dyn Objects>,
    reader: Arc<dyn ImageReader>,
    declared_type: Option<String>,
    file_name: Option<String>,
    bytes: u64,
    state: State,
}

impl Intake {
    /// The next bytes, of whatever number. Refuses as soon as it can tell: by the first [`SNIFF_BYTES`], and at the
    /// first byte beyond the limit of the format. After a refusal no more is taken.
    pub async fn write(&mut self, chunk: Bytes) -> Result<(), ImagingError> {
        self.bytes += chunk.len() as u64;
        match std::mem::replace(&mut self.state, State::Over) {
            State::Head(mut head) => {
                head.extend_from_slice(&chunk[..chunk.len().min(SNIFF_BYTES)]);
                if head.len() < SNIFF_BYTES {
                    self.state = State::Head(head);
                    return Ok(());
                }
                let earlier = self.bytes - chunk.len() as u64;
                let (format, mut staging) = self.open(&head).await?;
                self.check_size(format)?;
                if earlier > 0 {
                    staging.write(head.freeze().slice(..earlier as usize)).await?;
                }
                staging.write(chunk).await?;
                self.state = State::Body { format, staging };
            }
            State::Body { format, mut staging } => {
                self.check_size(format)?;
                staging.write(chunk).await?;
                self.state = State::Body { format, staging };
            }
            State::Over => return Err(over()),
        }
        Ok(())
    }

    /// All bytes are here: reads the image. Nothing is kept yet.
    pub async fn finish(mut self) -> Result<ReceivedImage, ImagingError> {
        let (format, staging) = match std::mem::replace(&mut self.state, State::Over) {
            State::Head(head) => {
                let (format, mut staging) = self.open(&head).await?;
                staging.write(head.freeze()).await?;
                (format, staging)
            }
            State::Body { format, staging } => (format, staging),
            State::Over => return Err(over()),
        };
        let staged = staging.seal().await?;
        let facts = self.reader.inspect(staged.path(), format).await.map_err(|error| error.of(format))?;
        let file_name = self.file_name.as_deref().and_then(FileName::of_upload);
        Ok(ReceivedImage { staged, format, file_name, facts })
    }

    async fn open(&self, head: &[u8]) -> Result<(ImageFormat, Box<dyn Staging>), ImagingError> {
        let format = recognise(head, self.declared_type.as_deref(), self.file_name.as_deref())?;
        Ok((format, self.objects.stage().await?))
    }

    const fn check_size(&self, format: ImageFormat) -> Result<(), ImagingError> {
        let max_bytes = format.max_bytes();
        if self.bytes > max_bytes { Err(ImagingError::TooLarge { format, max_bytes }) } else { Ok(()) }
    }
}

fn over() -> ImagingError {
    StoreError::Unavailable { reason: "an earlier part of the upload was refused".into() }.into()
}

/// An image that is whole, was read, and is not kept yet. Drop it to forget it.
pub struct ReceivedImage {
    staged: Box<dyn Staged>,
    pub format: ImageFormat,
    pub file_name: Option<FileName>,
    pub facts: ImageFacts,
}

impl ReceivedImage {
    /// The image under the name that its client gives it, of one who names it only after its bytes. The ending of the name
    /// has to agree with them.
    pub fn named(self, file_name: &str) -> Result<Self, ImagingError> {
        ending_agrees(self.format, file_name)?;
        Ok(Self { file_name: FileName::of_upload(file_name), ..self })
    }

    /// The image under the name that it was kept by elsewhere, whatever its ending: nobody declares anything by it.
    #[must_use]
    pub fn known_as(self, file_name: &str) -> Self {
        Self { file_name: FileName::of_upload(file_name), ..self }
    }

    pub fn bytes(&self) -> u64 {
        self.staged.bytes()
    }

    /// Tells a repeated upload from another one.
    pub fn sha256(&self) -> Sha256Digest {
        self.staged.sha256()
    }

    /// Puts the bytes durably into their place, before the row that names them is written: gives that row.
    pub async fn keep(self, id: ImageId, study: &Study, position: u16) -> Result<Image, WriteError> {
        let Self { staged, format, file_name, facts } = self;
        let object = staged.keep(&ObjectKey::image(id)).await?;
        Ok(Image { id, study: study.id, patient: study.patient, position, format, object, file_name, facts })
    }
}
