use infirmary_kernel::{AccountId, Cursor, DiagnosisId, FileName, PatientId, ReportId, StoredObject, Timestamp};

use crate::VerificationCode;

/// Where the PDF comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// Set here, from the record.
    Typeset,
    /// Made elsewhere. The name is for people to see.
    Uploaded { file_name: Option<FileName> },
}

/// The document of one version of a diagnosis.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    pub id: ReportId,
    pub diagnosis: DiagnosisId,
    pub diagnosis_version: u32,
    pub patient: PatientId,
    pub issued_by: AccountId,
    pub issued_at: Timestamp,
    pub source: Source,
    pub object: StoredObject,
    pub code: VerificationCode,
}

impl Report {
    /// Law: a version of a diagnosis has one report.
    pub const ONE_FOR_A_VERSION: &'static str = "one report for a version of a diagnosis";
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReportStatus {
    Current,
    /// The diagnosis has a newer version than the one reported: it was amended, or entered in error.
    Superseded,
}

impl ReportStatus {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Current => "current",
            Self::Superseded => "superseded",
        }
    }
}

/// A report as it stands today.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReportView {
    pub report: Report,
    pub status: ReportStatus,
}

impl ReportView {
    /// `diagnosis_version` is the one that the diagnosis has now.
    pub fn new(report: Report, diagnosis_version: u32) -> Self {
        let current = report.diagnosis_version == diagnosis_version;
        Self { report, status: if current { ReportStatus::Current } else { ReportStatus::Superseded } }
    }

    /// Its place in a list, newest first.
    pub fn cursor(&self) -> Cursor {
        Cursor::at(self.report.issued_at, self.report.id.as_uuid())
    }
}
