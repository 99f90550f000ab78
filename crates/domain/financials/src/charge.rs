use std::fmt;

use infirmary_kernel::{
    AccountId, ChargeId, DiagnosisId, Invalid, Money, PatientId, ReportId, ShortText, StudyId, TaskCode, Timestamp,
};

use crate::{FinancialsError, MAX_AMOUNT_MINOR, amount};

/// What a patient owes for one thing, at the price of its moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Charge {
    pub id: ChargeId,
    pub patient: PatientId,
    pub source: Source,
    /// The task of the catalogue that it was priced by. Only a charge by hand may have none.
    pub task: Option<TaskCode>,
    pub description: ShortText,
    /// 0 to [`MAX_AMOUNT_MINOR`].
    pub amount: Money,
    pub charged_at: Timestamp,
    pub charged_by: AccountId,
    pub voided: Option<Void>,
}

/// What a charge follows from. The author is the doctor whose study it is: they may read the charge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    Study { study: StudyId, diagnosis: DiagnosisId, author: AccountId },
    Report { report: ReportId, diagnosis: DiagnosisId, author: AccountId },
    Hand,
}

impl Source {
    pub const fn study(&self) -> Option<StudyId> {
        match self {
            Self::Study { study, .. } => Some(*study),
            Self::Report { .. } | Self::Hand => None,
        }
    }

    pub const fn report(&self) -> Option<ReportId> {
        match self {
            Self::Report { report, .. } => Some(*report),
            Self::Study { .. } | Self::Hand => None,
        }
    }

    pub const fn diagnosis(&self) -> Option<DiagnosisId> {
        match self {
            Self::Study { diagnosis, .. } | Self::Report { diagnosis, .. } => Some(*diagnosis),
            Self::Hand => None,
        }
    }

    pub const fn author(&self) -> Option<AccountId> {
        match self {
            Self::Study { author, .. } | Self::Report { author, .. } => Some(*author),
            Self::Hand => None,
        }
    }
}

/// That a charge is not to be paid, and why. Voids are not undone; what was right after all is charged anew by hand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Void {
    pub at: Timestamp,
    pub by: AccountId,
    pub reason: ShortText,
}

impl Charge {
    /// The law of uniqueness for [`Source::Study`]: one charge for a task of a study, void or not.
    pub const ONE_FOR_A_TASK_OF_A_STUDY: &'static str = "one charge for a task of a study";
    /// The law of uniqueness for [`Source::Report`]: a report is charged once for its diagnosis, however often it is
    /// superseded.
    pub const ONE_FOR_THE_REPORT_ON_A_DIAGNOSIS: &'static str = "one charge for the report on a diagnosis";
    /// The law that a charge is of a patient whom the store knows.
    pub const OF_A_KNOWN_PATIENT: &'static str = "a charge is of a known patient";

    #[expect(clippy::too_many_arguments, reason = "each is a field, and each has a type of its own")]
    pub fn new(
        id: ChargeId,
        patient: PatientId,
        source: Source,
        task: Option<TaskCode>,
        description: ShortText,
        amount: Money,
        charged_at: Timestamp,
        charged_by: AccountId,
    ) -> Result<Self, Invalid> {
        if !(0..=MAX_AMOUNT_MINOR).contains(&amount.amount_minor()) {
            let most = Money::new(MAX_AMOUNT_MINOR, amount.currency());
            return Err(Invalid::new("/amount/amount", format!("must be 0 to {MAX_AMOUNT_MINOR} ({most})")));
        }
        if task.is_none() && source != Source::Hand {
            return Err(Invalid::new("/task", "must be the task that the study or the report is charged by"));
        }
        Ok(Self { id, patient, source, task, description, amount, charged_at, charged_by, voided: None })
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ChargeStatus {
    /// Something is owed on it; a part may be paid.
    Open,
    Paid,
    Void,
}

impl ChargeStatus {
    pub const ALL: [Self; 3] = [Self::Open, Self::Paid, Self::Void];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Paid => "paid",
            Self::Void => "void",
        }
    }

    pub fn parse(text: &str) -> Result<Self, Invalid> {
        Self::ALL
            .into_iter()
            .find(|status| status.as_str() == text)
            .ok_or_else(|| Invalid::new("/status", "is not a status of a charge; give open, paid or void"))
    }
}

impl fmt::Display for ChargeStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A charge with what payments and refunds have done to it. Law: 0 ≤ paid − refunded ≤ amount; 0 when it is void.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChargeView {
    pub charge: Charge,
    pub paid: Money,
    pub refunded: Money,
}

impl ChargeView {
    pub fn unpaid(charge: Charge) -> Self {
        let nothing = Money::zero(charge.amount.currency());
        Self { charge, paid: nothing, refunded: nothing }
    }

    /// What is paid on it and was not given back.
    pub fn net_paid(&self) -> Money {
        amount::less(self.paid, self.refunded)
    }

    /// What is still to be paid.
    pub fn outstanding(&self) -> Money {
        if self.charge.voided.is_some() {
            return Money::zero(self.charge.amount.currency());
        }
        amount::less(self.charge.amount, self.net_paid())
    }

    pub fn status(&self) -> ChargeStatus {
        match &self.charge.voided {
            Some(_) => ChargeStatus::Void,
            None if self.outstanding().is_positive() => ChargeStatus::Open,
            None => ChargeStatus::Paid,
        }
    }

    /// The charge made void: only while nothing is paid on it.
    pub fn void(&self, void: Void) -> Result<Self, FinancialsError> {
        match self {
            _ if self.charge.voided.is_some() => Err(FinancialsError::AlreadyVoid),
            _ if self.net_paid().is_positive() => Err(FinancialsError::PaidOn { paid: self.net_paid() }),
            _ => Ok(Self { charge: Charge { voided: Some(void), ..self.charge.clone() }, ..self.clone() }),
        }
    }
}
