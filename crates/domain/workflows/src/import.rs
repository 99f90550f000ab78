use infirmary_auth::{Account, PasswordHash};
use infirmary_diagnosis::Diagnosis;
use infirmary_financials::{Charge, Payment};
use infirmary_imaging::{Image, Study};
use infirmary_kernel::{AccountId, ChargeId, DiagnosisId, Event, PatientId, PaymentId, ReportId, StudyId};
use infirmary_patients::Patient;
use infirmary_reports::Report;

/// A record of another system, as it is to be here, with what belongs to it.
#[derive(Debug, Clone)]
pub enum ImportedRecord {
    /// Without a password nobody signs in to it until it is invited again. `patient` is the record of a patient's account.
    Account {
        account: Account,
        password: Option<PasswordHash>,
        patient: Option<Patient>,
    },
    /// Of a patient without an account.
    Patient(Patient),
    /// In its first version, and without its study.
    Diagnosis(Diagnosis),
    /// The study of a diagnosis that is there. Its bytes are kept already.
    Study {
        study: Study,
        images: Vec<Image>,
        diagnosis: DiagnosisId,
        charge: Charge,
    },
    /// Its bytes are kept already.
    Report {
        report: Report,
        charge: Charge,
    },
    /// By hand: for what is not known.
    Charge(Charge),
    Payment(Payment),
}

impl ImportedRecord {
    pub const fn id(&self) -> ImportedId {
        match self {
            Self::Account { account, .. } => ImportedId::Account(account.id),
            Self::Patient(patient) => ImportedId::Patient(patient.id),
            Self::Diagnosis(diagnosis) => ImportedId::Diagnosis(diagnosis.id),
            Self::Study { study, .. } => ImportedId::Study(study.id),
            Self::Report { report, .. } => ImportedId::Report(report.id),
            Self::Charge(charge) => ImportedId::Charge(charge.id),
            Self::Payment(payment) => ImportedId::Payment(payment.id),
        }
    }
}

/// What a record is known by. Imported again, it has the same id again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ImportedId {
    Account(AccountId),
    Patient(PatientId),
    Diagnosis(DiagnosisId),
    Study(StudyId),
    Report(ReportId),
    Charge(ChargeId),
    Payment(PaymentId),
}

/// A record and the event that the trail keeps of it.
#[derive(Debug, Clone)]
pub struct Imported {
    pub record: ImportedRecord,
    pub event: Event,
}
