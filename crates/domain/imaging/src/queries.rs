use std::{ops::Range, sync::Arc};

use bytes::Bytes;
use infirmary_kernel::{
    Action, Caller, Gate, ImageId, Invalid, Link, LinkTarget, ObjectRead, Objects, Page, PageRequest, PatientId,
    Permission, Reach, Refused, ServedAs, SignedLink, Signer, StoreError, StudyId, Subject,
};

use crate::{FoundImage, FoundStudy, Image, ImageStore, ImagingError, PreviewSize, Previews, Visible, preview::lost};

/// Reads that only fetch.
pub struct Queries {
    pub gate: Gate,
    pub store: Arc<dyn ImageStore>,
    pub previews: Previews,
    pub signer: Arc<dyn Signer>,
}

/// Leave to read the bytes of one image, once: what they are is known before a range of them is asked for.
pub struct Content {
    pub image: Image,
    objects: Arc<dyn Objects>,
}

impl Content {
    /// The file as it was uploaded, or a range of it.
    pub async fn read(&self, range: Option<Range<u64>>) -> Result<ObjectRead, StoreError> {
        let read = self.objects.read(&self.image.object.key, range).await?.ok_or_else(|| lost(&self.image))?;
        if read.size != self.image.object.bytes {
            let key = &self.image.object.key;
            return Err(StoreError::Corrupt { reason: format!("the object {key} has not the size of its row") });
        }
        Ok(read)
    }

    /// An address of the store's own at which the file can be had, where it gives such away.
    pub async fn signed_url(&self, served: &ServedAs) -> Result<Option<String>, StoreError> {
        self.objects.signed_url(&self.image.object.key, served).await
    }
}

impl Queries {
    pub async fn study(&self, caller: &Caller, id: StudyId) -> Result<FoundStudy, ImagingError> {
        let subject = Subject::new("study", id);
        let reach = self.gate.admit(caller, Permission::ReadStudies, subject.clone()).await?;
        let found = self.store.find_study(id).await?.ok_or(ImagingError::NotFound)?;
        let subject = subject.of_patient(found.study.patient);
        self.check(caller, reach, found.study.patient, found.released, &subject).await?;
        self.gate.witness(caller, Action::STUDY_READ, subject).await?;
        Ok(found)
    }

    /// Of one patient, who has to be named; a patient gets their own without.
    pub async fn studies_of(
        &self,
        caller: &Caller,
        patient: Option<PatientId>,
        page: &PageRequest,
    ) -> Result<Page<FoundStudy>, ImagingError> {
        let Some(patient) = patient.or(caller.patient) else {
            self.gate.admit(caller, Permission::ReadStudies, Subject::all("study")).await?;
            return Err(Invalid::new("/patientId", "is required: studies are listed for a patient").into());
        };
        let subject = Subject::all("study").of_patient(patient);
        let reach = self.gate.admit_to(caller, Permission::ReadStudies, patient, subject.clone()).await?;
        page.after_time()?;
        let visible = if reach == Reach::Own { Visible::Released } else { Visible::All };
        let found = self.store.studies_of(patient, visible, page);
        Ok(self.gate.witness_during(caller, Action::STUDY_READ, subject, found).await?)
    }

    pub async fn image(&self, caller: &Caller, id: ImageId) -> Result<FoundImage, ImagingError> {
        self.open(caller, id, Action::IMAGE_READ).await
    }

    pub async fn content(&self, caller: &Caller, id: ImageId) -> Result<Content, ImagingError> {
        let found = self.open(caller, id, Action::IMAGE_READ).await?;
        Ok(Content { image: found.image, objects: self.previews.objects.clone() })
    }

    /// A PNG.
    pub async fn preview(&self, caller: &Caller, id: ImageId, size: PreviewSize) -> Result<Bytes, ImagingError> {
        let found = self.open(caller, id, Action::IMAGE_READ).await?;
        self.previews.of(&found.image, size).await
    }

    /// A link by which the caller's browser reads the image without a header, for [`Link::TTL_SECONDS`].
    pub async fn link(&self, caller: &Caller, id: ImageId) -> Result<SignedLink, ImagingError> {
        self.open(caller, id, Action::IMAGE_LINK).await?;
        Ok(Link::signed(LinkTarget::Image(id), caller.session, self.gate.now(), &*self.signer))
    }

    /// Links to many images of one patient, for a list of them. Whether the caller may read each is seen when it is followed,
    /// as it is of every link.
    pub async fn links(
        &self,
        caller: &Caller,
        patient: PatientId,
        images: &[ImageId],
    ) -> Result<Vec<SignedLink>, ImagingError> {
        let subject = Subject::all("image").of_patient(patient);
        self.gate.admit_to(caller, Permission::ReadStudies, patient, subject.clone()).await?;
        self.gate.witness(caller, Action::IMAGE_LINK, subject).await?;
        let now = self.gate.now();
        let signed = |id: &ImageId| Link::signed(LinkTarget::Image(*id), caller.session, now, &*self.signer);
        Ok(images.iter().map(signed).collect())
    }

    async fn open(&self, caller: &Caller, id: ImageId, action: Action) -> Result<FoundImage, ImagingError> {
        let subject = Subject::new("image", id);
        let reach = self.gate.admit(caller, Permission::ReadStudies, subject.clone()).await?;
        let found = self.store.find_image(id).await?.ok_or(ImagingError::NotFound)?;
        let subject = subject.of_patient(found.image.patient);
        self.check(caller, reach, found.image.patient, found.released, &subject).await?;
        self.gate.witness(caller, action, subject).await?;
        Ok(found)
    }

    /// Patients see their own, and not before a doctor stands by what is found in it. Of a restricted patient, the care team.
    async fn check(
        &self,
        caller: &Caller,
        reach: Reach,
        patient: PatientId,
        released: bool,
        subject: &Subject,
    ) -> Result<(), ImagingError> {
        if reach == Reach::Own && !(caller.is(patient) && released) {
            return Err(self.gate.refuse(caller, subject.clone(), Refused::Hidden).await.into());
        }
        Ok(self.gate.confide(caller, Permission::ReadStudies, patient, subject.clone()).await?)
    }
}
