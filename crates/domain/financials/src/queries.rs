use std::sync::Arc;

use infirmary_kernel::{
    Action, Caller, ChargeId, Currency, Gate, MoneyError, Page, PageRequest, PatientId, PaymentId, Permission, Reach,
    Refused, Role, StoreError, Subject,
};

use crate::{
    ChargeFilter, ChargeView, FinancialsError, Ledger, LedgerQueries, PaymentView, Period, Place, Statement, Summary,
    SummaryBy, Totals,
};

/// Reads that only fetch.
pub struct Queries {
    pub gate: Gate,
    pub ledger: Arc<dyn Ledger>,
    pub queries: Arc<dyn LedgerQueries>,
    pub currency: Currency,
}

/// What a receipt is made of: the payment, and the charges it lies on in the order of its allocations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PaidCharges {
    pub payment: PaymentView,
    pub charges: Vec<ChargeView>,
}

impl Queries {
    /// A doctor has the charges of their own studies and reports, a patient their own, whatever the filter says beside.
    pub async fn charges(
        &self,
        caller: &Caller,
        mut filter: ChargeFilter,
        page: &PageRequest,
    ) -> Result<Page<ChargeView>, FinancialsError> {
        let about = |patient: Option<PatientId>| match patient {
            Some(patient) => Subject::all("charge").of_patient(patient),
            None => Subject::all("charge"),
        };
        let subject = about(filter.patient);
        if self.gate.admit(caller, Permission::ReadCharges, subject.clone()).await? == Reach::Own {
            if caller.role == Role::Doctor {
                filter.author = Some(caller.account);
                match filter.patient {
                    Some(patient) => self.gate.confide(caller, Permission::ReadCharges, patient, subject).await?,
                    None => filter.reader = self.gate.reader(caller, Permission::ReadCharges),
                }
            } else {
                filter.patient = Some(self.own(caller, filter.patient, subject).await?);
            }
        }
        page.after_time()?;
        let charges = self.queries.list_charges(&filter, page);
        let (subject, patient_of) = (about(filter.patient), |view: &ChargeView| view.charge.patient);
        Ok(self.gate.witness_list(caller, Action::CHARGE_READ, subject, charges, patient_of).await?)
    }

    /// The charges of one patient with what is paid on them, newest first: for who may read the patient's payments.
    pub async fn bills(
        &self,
        caller: &Caller,
        patient: PatientId,
        page: &PageRequest,
    ) -> Result<Page<ChargeView>, FinancialsError> {
        let subject = Subject::all("charge").of_patient(patient);
        self.gate.admit_to(caller, Permission::ReadPayments, patient, subject.clone()).await?;
        page.after_time()?;
        let filter = ChargeFilter { patient: Some(patient), ..ChargeFilter::default() };
        let charges = self.queries.list_charges(&filter, page);
        Ok(self.gate.witness_during(caller, Action::CHARGE_READ, subject, charges).await?)
    }

    /// Payments of one patient, or of all; to a patient their own.
    pub async fn payments(
        &self,
        caller: &Caller,
        patient: Option<PatientId>,
        page: &PageRequest,
    ) -> Result<Page<PaymentView>, FinancialsError> {
        let about = |patient: Option<PatientId>| match patient {
            Some(patient) => Subject::all("payment").of_patient(patient),
            None => Subject::all("payment"),
        };
        let reach = self.gate.admit(caller, Permission::ReadPayments, about(patient)).await?;
        let patient = match reach {
            Reach::Own => Some(self.own(caller, patient, about(patient)).await?),
            Reach::All | Reach::Billing | Reach::Existence => patient,
        };
        page.after_time()?;
        let payments = self.queries.list_payments(patient, page);
        let (subject, patient_of) = (about(patient), |view: &PaymentView| view.payment.patient);
        Ok(self.gate.witness_list(caller, Action::PAYMENT_READ, subject, payments, patient_of).await?)
    }

    pub async fn payment(&self, caller: &Caller, id: PaymentId) -> Result<PaymentView, FinancialsError> {
        let subject = Subject::new("payment", id);
        let reach = self.gate.admit(caller, Permission::ReadPayments, subject.clone()).await?;
        let payment = self.ledger.payment(id).await?.ok_or(FinancialsError::NotFound)?;
        let subject = subject.of_patient(payment.payment.patient);
        if reach == Reach::Own && !caller.is(payment.payment.patient) {
            return Err(self.gate.refuse(caller, subject, Refused::Hidden).await.into());
        }
        self.gate.witness(caller, Action::PAYMENT_READ, subject).await?;
        Ok(payment)
    }

    pub async fn receipt(&self, caller: &Caller, id: PaymentId) -> Result<PaidCharges, FinancialsError> {
        let payment = self.payment(caller, id).await?;
        let ids: Vec<ChargeId> = payment.payment.allocations.iter().map(|allocation| allocation.charge).collect();
        let mut charges = self.ledger.charges(&ids).await?;
        charges.sort_by_key(|view| ids.iter().position(|id| *id == view.charge.id));
        Ok(PaidCharges { payment, charges })
    }

    pub async fn statement(
        &self,
        caller: &Caller,
        patient: PatientId,
        page: &PageRequest,
    ) -> Result<Statement, FinancialsError> {
        let subject = Subject::all("statement").of_patient(patient);
        self.gate.admit_to(caller, Permission::ReadPayments, patient, subject.clone()).await?;
        let after = page.after.as_ref().map(Place::of).transpose()?;
        let most = page.limit.get();
        let rows = self.queries.statement(patient, self.currency, after, most + 1);
        let rows = self.gate.witness_during(caller, Action::STATEMENT_READ, subject, rows).await?;
        Ok(Statement::of(patient, rows, most).map_err(unsummable)?)
    }

    /// All of it, for paper: at most [`Statement::MAX_ENTRIES_ON_PAPER`] entries.
    pub async fn whole_statement(&self, caller: &Caller, patient: PatientId) -> Result<Statement, FinancialsError> {
        let subject = Subject::all("statement").of_patient(patient);
        self.gate.admit_to(caller, Permission::ReadPayments, patient, subject.clone()).await?;
        let most = Statement::MAX_ENTRIES_ON_PAPER;
        let rows = self.queries.statement(patient, self.currency, None, most + 1).await?;
        let statement = Statement::of(patient, rows, most).map_err(unsummable)?;
        if statement.lines.next.is_some() {
            return Err(FinancialsError::TooLongForPaper);
        }
        self.gate.witness(caller, Action::STATEMENT_READ, subject).await?;
        Ok(statement)
    }

    /// What a patient was charged, has paid and owes.
    pub async fn totals(&self, caller: &Caller, patient: PatientId) -> Result<Totals, FinancialsError> {
        let subject = Subject::all("statement").of_patient(patient);
        self.gate.admit_to(caller, Permission::ReadPayments, patient, subject.clone()).await?;
        let totals = self.queries.totals_of_patients(&[patient], self.currency).await?.pop();
        self.gate.witness(caller, Action::STATEMENT_READ, subject).await?;
        Ok(totals.unwrap_or(Totals::zero(self.currency)))
    }

    pub async fn summary(&self, caller: &Caller, period: Period, by: SummaryBy) -> Result<Summary, FinancialsError> {
        let subject = Subject::all("summary");
        self.gate.admit(caller, Permission::ReadSummary, subject.clone()).await?;
        let summary = self.queries.summary(period, by, self.currency).await?;
        self.gate.witness(caller, Action::SUMMARY_READ, subject).await?;
        Ok(summary)
    }

    /// The caller's own record, which is also the only one that they may ask for.
    async fn own(
        &self,
        caller: &Caller,
        asked: Option<PatientId>,
        subject: Subject,
    ) -> Result<PatientId, FinancialsError> {
        match caller.patient {
            Some(own) if asked.is_none_or(|asked| asked == own) => Ok(own),
            _ => Err(self.gate.refuse(caller, subject, Refused::Hidden).await.into()),
        }
    }
}

fn unsummable(error: MoneyError) -> StoreError {
    StoreError::Corrupt { reason: error.to_string() }
}
