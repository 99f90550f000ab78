use std::{collections::BTreeSet, sync::Arc, time::Duration};

use crate::{
    AccessError, AccountId, Action, Caller, Claim, Clock, Confidentiality, Event, Id, IdSource, Idempotency, Journal,
    Origin, Page, PatientId, Permission, Reach, Receipt, Receipts, Refused, Standing, StoreError, Subject, Timestamp,
    Trail, WriteError,
};

/// What every use case passes first: the policy, and the trail of who passed or was turned away.
///
/// The command line, a worker, and another service that reuses a domain crate pass the same gate as the HTTP API.
#[derive(Clone)]
pub struct Gate {
    journal: Arc<dyn Journal>,
    receipts: Arc<dyn Receipts>,
    confidentiality: Arc<dyn Confidentiality>,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn IdSource>,
}

impl Gate {
    pub fn new(
        journal: Arc<dyn Journal>,
        receipts: Arc<dyn Receipts>,
        confidentiality: Arc<dyn Confidentiality>,
        clock: Arc<dyn Clock>,
        ids: Arc<dyn IdSource>,
    ) -> Self {
        Self { journal, receipts, confidentiality, clock, ids }
    }

    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    pub fn mint<T>(&self, now: Timestamp) -> Id<T> {
        self.ids.mint(now)
    }

    /// Whether the role may at all, and how far. A refusal is in the audit trail before the caller hears of it.
    pub async fn admit(&self, caller: &Caller, permission: Permission, subject: Subject) -> Result<Reach, AccessError> {
        let subject = self.enrolled(caller, permission, subject).await?;
        match permission.reach(caller.role) {
            Some(reach) => Ok(reach),
            None => Err(self.refuse(caller, subject, Refused::Role { role: caller.role, permission }).await),
        }
    }

    /// The same for the record of one patient: with [`Reach::Own`] it has to be the caller's, else it does not exist for
    /// them; and where it is restricted, they have to be let into it ([`Gate::confide`]).
    pub async fn admit_to(
        &self,
        caller: &Caller,
        permission: Permission,
        patient: PatientId,
        subject: Subject,
    ) -> Result<Reach, AccessError> {
        let (reach, subject) = self.reach_to(caller, permission, patient, subject).await?;
        self.confide(caller, permission, patient, subject).await?;
        Ok(reach)
    }

    /// The same for who adds to the record and reads nothing of it: whether there is such a patient, by the one read.
    pub async fn admit_to_add(
        &self,
        caller: &Caller,
        permission: Permission,
        patient: PatientId,
        subject: Subject,
    ) -> Result<bool, AccessError> {
        let (_, subject) = self.reach_to(caller, permission, patient, subject).await?;
        let standing = self.standing(caller, patient).await?;
        if permission.is_confidential(caller.role) {
            self.let_in(caller, patient, standing, subject).await?;
        }
        Ok(standing != Standing::NoRecord)
    }

    async fn reach_to(
        &self,
        caller: &Caller,
        permission: Permission,
        patient: PatientId,
        subject: Subject,
    ) -> Result<(Reach, Subject), AccessError> {
        let subject = self.enrolled(caller, permission, subject).await?;
        match permission.reach(caller.role) {
            Some(Reach::Own) if !caller.is(patient) => Err(self.refuse(caller, subject, Refused::Hidden).await),
            Some(reach) => Ok((reach, subject)),
            None => Err(self.refuse(caller, subject, Refused::Role { role: caller.role, permission }).await),
        }
    }

    /// Turns away from a restricted record whoever is neither of its care team nor has broken the glass, as far as the
    /// permission is bound by that ([`Permission::is_confidential`]). For who has passed [`Gate::admit`] and only then found
    /// out whose record it is.
    pub async fn confide(
        &self,
        caller: &Caller,
        permission: Permission,
        patient: PatientId,
        subject: Subject,
    ) -> Result<(), AccessError> {
        if !permission.is_confidential(caller.role) {
            return Ok(());
        }
        let standing = self.standing(caller, patient).await?;
        self.let_in(caller, patient, standing, subject).await
    }

    async fn let_in(
        &self,
        caller: &Caller,
        patient: PatientId,
        standing: Standing,
        subject: Subject,
    ) -> Result<(), AccessError> {
        match standing {
            Standing::NoRecord | Standing::Open | Standing::CareTeam => Ok(()),
            Standing::EmergencyAccess => {
                caller.broken_glass.note(patient);
                Ok(())
            }
            Standing::Outside => Err(self.refuse(caller, subject.of_patient(patient), Refused::Restricted).await),
        }
    }

    pub async fn standing(&self, caller: &Caller, patient: PatientId) -> Result<Standing, StoreError> {
        self.confidentiality.standing(patient, caller.account, caller.session, self.now()).await
    }

    /// For lists over the records of many patients: restricted ones are in it for the care team that this account is of, and
    /// `None` that they all are. Emergency access is to one record by its name, and shows nothing in such a list.
    pub fn reader(&self, caller: &Caller, permission: Permission) -> Option<AccountId> {
        permission.is_confidential(caller.role).then_some(caller.account)
    }

    /// Turns away who has to set up a second factor first; the own account, where that is done, stays open.
    async fn enrolled(
        &self,
        caller: &Caller,
        permission: Permission,
        subject: Subject,
    ) -> Result<Subject, AccessError> {
        if caller.must_enrol && permission != Permission::OwnAccount {
            return Err(self.refuse(caller, subject, Refused::SecondFactor).await);
        }
        Ok(subject)
    }

    /// For what cannot be taken back: the caller's last authentication has to be a recent one.
    pub async fn step_up(&self, caller: &Caller, subject: Subject) -> Result<(), AccessError> {
        let max_age_minutes = Caller::STEP_UP_MINUTES;
        if caller.authenticated_within(self.now(), Duration::from_secs(max_age_minutes * 60)) {
            return Ok(());
        }
        Err(self.refuse(caller, subject, Refused::StepUp { max_age_minutes }).await)
    }

    /// Turns the caller away, for a reason of the use case's own (a draft of another doctor, say).
    pub async fn refuse(&self, caller: &Caller, subject: Subject, refused: Refused) -> AccessError {
        let rule = match refused {
            Refused::Role { permission, .. } => permission.as_str(),
            Refused::NotTheirs { rule } => rule,
            Refused::Hidden => "not the caller's record",
            Refused::Restricted => "restricted to the care team",
            Refused::StepUp { .. } => "needs a recent authentication",
            Refused::SecondFactor => "needs a second factor",
        };
        match self.journal.append(self.event(caller, Action::ACCESS_REFUSED, subject).refused(rule)).await {
            Ok(()) => refused.into(),
            Err(error) => error.into(),
        }
    }

    /// Notes a read. Call it before the answer leaves.
    pub async fn witness(&self, caller: &Caller, action: Action, subject: Subject) -> Result<(), StoreError> {
        self.journal.append(self.event(caller, action, subject)).await
    }

    /// Notes a read while it is made, so that neither waits for the other: for a list, whose entry does not depend on what
    /// is found. An entry without an answer says that it was asked for.
    pub async fn witness_during<T, E: From<StoreError>>(
        &self,
        caller: &Caller,
        action: Action,
        subject: Subject,
        read: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        let (found, noted) = futures_util::future::join(read, self.witness(caller, action, subject)).await;
        noted?;
        found
    }

    /// Notes the reading of a list. Over the records of many patients there is an entry for each of them, too: without it, the
    /// list would be an access that none of them hears of.
    pub async fn witness_list<T, E: From<StoreError>>(
        &self,
        caller: &Caller,
        action: Action,
        subject: Subject,
        read: impl Future<Output = Result<Page<T>, E>>,
        patient: impl Fn(&T) -> PatientId,
    ) -> Result<Page<T>, E> {
        if subject.patient.is_some() {
            return self.witness_during(caller, action, subject, read).await;
        }
        let found = read.await?;
        let each = self.each(caller, &action, &subject, found.items.iter().map(patient));
        let list = self.event(caller, action.clone(), subject.clone());
        self.journal.append_all(std::iter::once(list).chain(each).collect()).await?;
        Ok(found)
    }

    /// Notes whose records were shown together, an entry for each patient.
    pub async fn witness_each(
        &self,
        caller: &Caller,
        action: Action,
        subject: &Subject,
        patients: impl IntoIterator<Item = PatientId>,
    ) -> Result<(), StoreError> {
        self.journal.append_all(self.each(caller, &action, subject, patients).collect()).await
    }

    fn each(
        &self,
        caller: &Caller,
        action: &Action,
        subject: &Subject,
        patients: impl IntoIterator<Item = PatientId>,
    ) -> impl Iterator<Item = Event> {
        let patients: BTreeSet<PatientId> = patients.into_iter().collect();
        patients.into_iter().map(|patient| self.event(caller, action.clone(), subject.clone().of_patient(patient)))
    }

    pub fn event(&self, caller: &Caller, action: Action, subject: Subject) -> Event {
        let now = self.now();
        Event::by(self.mint(now), now, caller, action, subject)
    }

    /// An event of somebody not known by a session: who signs in, or the command line (`origin` absent).
    pub fn anonymous(&self, origin: Option<&Origin>, action: Action, subject: Subject) -> Event {
        let now = self.now();
        Event::anonymous(self.mint(now), now, origin, action, subject)
    }

    /// Notes what is not part of a write, such as a sign-in that failed. Call it before the answer leaves.
    pub async fn note(&self, event: Event) -> Result<(), StoreError> {
        self.journal.append(event).await
    }

    /// The trail of a write; `receipt` is what the caller will be told of it.
    pub fn trail(&self, caller: &Caller, event: Event, idempotency: Option<&Idempotency>, receipt: &Receipt) -> Trail {
        let claim = idempotency.map(|idempotency| Claim {
            account: caller.account,
            key: idempotency.key.clone(),
            fingerprint: idempotency.fingerprint,
            receipt: receipt.clone(),
            at: event.at,
        });
        Trail { claim, ..Trail::new(event) }
    }

    /// What the caller was told when they sent this very request before.
    pub async fn earlier(
        &self,
        caller: &Caller,
        idempotency: Option<&Idempotency>,
    ) -> Result<Option<Receipt>, WriteError> {
        let Some(idempotency) = idempotency else { return Ok(None) };
        match self.receipts.find(caller.account, &idempotency.key).await? {
            Some(claim) if claim.fingerprint == idempotency.fingerprint => Ok(Some(claim.receipt)),
            Some(_) => Err(WriteError::KeyReused),
            None => Ok(None),
        }
    }
}
