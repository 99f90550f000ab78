use std::{fmt, str::FromStr};

use infirmary_kernel::{
    AccountId, Cursor, DiagnosisId, Invalid, LongText, PageRequest, PatientId, Reach, ShortText, StudyId, Subject,
    Timestamp,
};

/// FHIR's words for how far a report is, as far as they are ours: `draft` is its preliminary, `confirmed` its final.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DiagnosisStatus {
    Draft,
    Confirmed,
    Amended,
    EnteredInError,
}

impl DiagnosisStatus {
    pub const ALL: [Self; 4] = [Self::Draft, Self::Confirmed, Self::Amended, Self::EnteredInError];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Draft => "draft",
            Self::Confirmed => "confirmed",
            Self::Amended => "amended",
            Self::EnteredInError => "enteredInError",
        }
    }

    /// Whether who reaches so far may see it. A patient sees what is confirmed, and no draft. What was entered in error is
    /// not theirs to see either, even if they saw it before: most often it was meant for somebody else, and what it says
    /// is that person's.
    pub const fn is_shown(self, reach: Reach) -> bool {
        match reach {
            Reach::All => true,
            Reach::Own | Reach::Billing | Reach::Existence => matches!(self, Self::Confirmed | Self::Amended),
        }
    }
}

impl FromStr for DiagnosisStatus {
    type Err = Invalid;
    fn from_str(text: &str) -> Result<Self, Invalid> {
        Self::ALL
            .into_iter()
            .find(|status| status.as_str() == text)
            .ok_or_else(|| Invalid::new("/status", "must be draft, confirmed, amended or enteredInError"))
    }
}

impl fmt::Display for DiagnosisStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a diagnosis says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Content {
    pub disease: ShortText,
    pub findings: LongText,
    pub conditions: LongText,
}

/// What of it to change; `None` leaves a field as it is.
#[derive(Debug, Clone, Default)]
pub struct ContentChange {
    pub disease: Option<ShortText>,
    pub findings: Option<LongText>,
    pub conditions: Option<LongText>,
}

impl ContentChange {
    /// Applies it; gives the names of the fields that are different now.
    fn apply(self, content: &mut Content) -> Vec<&'static str> {
        let mut fields = Vec::new();
        macro_rules! field {
            ($field:ident) => {
                if let Some(value) = self.$field
                    && content.$field != value
                {
                    content.$field = value;
                    fields.push(stringify!($field));
                }
            };
        }
        field!(disease);
        field!(findings);
        field!(conditions);
        fields
    }
}

/// Who stands for it, and since when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Signature {
    pub by: AccountId,
    pub at: Timestamp,
}

/// Why something that stood was changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reasoned {
    pub reason: ShortText,
    pub by: AccountId,
    pub at: Timestamp,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnosis {
    pub id: DiagnosisId,
    pub patient: PatientId,
    /// The images it was made from, if any.
    pub study: Option<StudyId>,
    /// The account of the doctor who recorded it.
    pub author: AccountId,
    pub content: Content,
    pub status: DiagnosisStatus,
    /// 1 when recorded, one more at each change of content or status.
    pub version: u32,
    pub recorded_at: Timestamp,
    /// Who made this version.
    pub updated: Signature,
    /// The first confirmation; it stays through amendments.
    pub confirmed: Option<Signature>,
    /// The last amendment.
    pub amendment: Option<Reasoned>,
    /// Why it was entered in error.
    pub retraction: Option<Reasoned>,
}

/// What a version said, for good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DiagnosisVersion {
    pub diagnosis: DiagnosisId,
    pub version: u32,
    pub status: DiagnosisStatus,
    pub content: Content,
    pub made: Signature,
    /// Of an amendment, or of a retraction.
    pub reason: Option<ShortText>,
}

impl DiagnosisVersion {
    /// Its place in the list of versions, newest first.
    pub fn cursor(&self) -> Cursor {
        Cursor { sort_key: self.version.to_string(), id: self.diagnosis.as_uuid() }
    }

    /// The version that a page of that list starts after.
    pub fn after(page: &PageRequest) -> Result<Option<u32>, Invalid> {
        let refusal = || Invalid::new("/cursor", "is not a cursor of this list; give its nextCursor, unchanged");
        page.after.as_ref().map(|cursor| cursor.sort_key.parse().map_err(|_| refusal())).transpose()
    }
}

/// A change that a diagnosis in its status does not take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum StateRefused {
    #[error("the diagnosis is {status}: {instead}")]
    Status {
        status: DiagnosisStatus,
        /// What would be accepted.
        instead: &'static str,
    },
    #[error("only its author may change a draft or take it back; another doctor may confirm it")]
    NotAuthor,
}

const IN_ERROR: &str = "nothing follows; record a new diagnosis";

impl Diagnosis {
    /// Law: a study has one diagnosis.
    pub const ONE_FOR_A_STUDY: &'static str = "one diagnosis for a study";
    /// Law: the patient is one of the registry.
    pub const OF_A_KNOWN_PATIENT: &'static str = "a diagnosis is of a known patient";

    pub fn subject(&self) -> Subject {
        Subject::new("diagnosis", self.id).of_patient(self.patient).at_version(self.version)
    }

    /// What the history keeps of it as it is now.
    pub fn as_version(&self) -> DiagnosisVersion {
        let reason = match self.status {
            DiagnosisStatus::Draft | DiagnosisStatus::Confirmed => None,
            DiagnosisStatus::Amended => self.amendment.as_ref(),
            DiagnosisStatus::EnteredInError => self.retraction.as_ref(),
        };
        DiagnosisVersion {
            diagnosis: self.id,
            version: self.version,
            status: self.status,
            content: self.content.clone(),
            made: self.updated,
            reason: reason.map(|reasoned| reasoned.reason.clone()),
        }
    }

    /// The draft with its content changed, and the names of the fields that changed; none of them: the same version.
    pub fn change(
        mut self,
        change: ContentChange,
        signed: Signature,
    ) -> Result<(Self, Vec<&'static str>), StateRefused> {
        let instead = match self.status {
            DiagnosisStatus::Draft if self.author != signed.by => return Err(StateRefused::NotAuthor),
            DiagnosisStatus::Draft => {
                let fields = change.apply(&mut self.content);
                return Ok(if fields.is_empty() { (self, fields) } else { (self.next(signed), fields) });
            }
            DiagnosisStatus::Confirmed | DiagnosisStatus::Amended => "amend it, with a reason",
            DiagnosisStatus::EnteredInError => IN_ERROR,
        };
        Err(StateRefused::Status { status: self.status, instead })
    }

    /// By the author or by another doctor, for good: amendments keep it.
    pub fn confirm(self, signed: Signature) -> Result<Self, StateRefused> {
        let instead = match self.status {
            DiagnosisStatus::Draft => {
                let confirmed = Some(signed);
                return Ok(Self { status: DiagnosisStatus::Confirmed, confirmed, ..self.next(signed) });
            }
            DiagnosisStatus::Confirmed | DiagnosisStatus::Amended => {
                "a diagnosis is confirmed once; amend it, with a reason"
            }
            DiagnosisStatus::EnteredInError => IN_ERROR,
        };
        Err(StateRefused::Status { status: self.status, instead })
    }

    /// Whoever amends stands for the whole. Gives the names of the fields that changed, which may be none.
    pub fn amend(
        mut self,
        change: ContentChange,
        reason: ShortText,
        signed: Signature,
    ) -> Result<(Self, Vec<&'static str>), StateRefused> {
        let instead = match self.status {
            DiagnosisStatus::Confirmed | DiagnosisStatus::Amended => {
                let fields = change.apply(&mut self.content);
                let amendment = Some(Reasoned { reason, by: signed.by, at: signed.at });
                return Ok((Self { status: DiagnosisStatus::Amended, amendment, ..self.next(signed) }, fields));
            }
            DiagnosisStatus::Draft => "its author changes it without a reason until it is confirmed",
            DiagnosisStatus::EnteredInError => IN_ERROR,
        };
        Err(StateRefused::Status { status: self.status, instead })
    }

    /// It should not have been recorded: the wrong patient, the wrong images. The content stays, for who asks why. A draft is
    /// its author's to take back.
    pub fn retract(self, reason: ShortText, signed: Signature) -> Result<Self, StateRefused> {
        match self.status {
            DiagnosisStatus::Draft if self.author != signed.by => return Err(StateRefused::NotAuthor),
            DiagnosisStatus::EnteredInError => {
                return Err(StateRefused::Status { status: self.status, instead: IN_ERROR });
            }
            DiagnosisStatus::Draft | DiagnosisStatus::Confirmed | DiagnosisStatus::Amended => {}
        }
        let retraction = Some(Reasoned { reason, by: signed.by, at: signed.at });
        Ok(Self { status: DiagnosisStatus::EnteredInError, retraction, ..self.next(signed) })
    }

    fn next(self, updated: Signature) -> Self {
        Self { version: self.version + 1, updated, ..self }
    }
}

/// What a doctor records, with a study or without.
#[derive(Debug, Clone)]
pub struct NewDiagnosis {
    pub patient: PatientId,
    pub content: Content,
    /// Recorded and confirmed in one go.
    pub confirmed: bool,
}

impl NewDiagnosis {
    /// The first version. `author` is the doctor who is signed in.
    pub fn into_diagnosis(
        self,
        id: DiagnosisId,
        study: Option<StudyId>,
        author: AccountId,
        now: Timestamp,
    ) -> Diagnosis {
        let signed = Signature { by: author, at: now };
        Diagnosis {
            id,
            patient: self.patient,
            study,
            author,
            content: self.content,
            status: if self.confirmed { DiagnosisStatus::Confirmed } else { DiagnosisStatus::Draft },
            version: 1,
            recorded_at: now,
            updated: signed,
            confirmed: self.confirmed.then_some(signed),
            amendment: None,
            retraction: None,
        }
    }
}
