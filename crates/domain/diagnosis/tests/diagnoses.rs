//! Who may do what to a diagnosis in which status, what the patient sees of it, and the trail it leaves.

#![allow(clippy::unwrap_used, reason = "a test may stop")]

use std::{sync::Arc, time::Duration};

use infirmary_diagnosis::{
    AmendDiagnosis, Amendment, ChangeDraft, ConfirmDiagnosis, ContentChange, Diagnosis, DiagnosisError,
    DiagnosisFilter, DiagnosisStatus, MockTaskStore, NewDiagnosis, Queries, RecordDiagnosis, RetractDiagnosis,
    Signature, StateRefused,
    testing::{MemoryDiagnoses, content},
};
use infirmary_kernel::{
    AccessError, Action, Caller, Done, Fingerprint, Gate, Idempotency, IdempotencyKey, Outcome, PageRequest, PatientId,
    Receipt, Refused, Role, ShortText, WriteError,
    testing::{CountingIds, ManualClock, caller, fresh_id, patient_caller},
};

struct Ward {
    diagnoses: MemoryDiagnoses,
    clock: Arc<ManualClock>,
    patients: [PatientId; 2],
    author: Caller,
    colleague: Caller,
}

impl Ward {
    fn new() -> Self {
        let patients = [fresh_id(), fresh_id()];
        Self {
            diagnoses: MemoryDiagnoses::knowing(patients),
            clock: Arc::default(),
            patients,
            author: caller(Role::Doctor),
            colleague: caller(Role::Doctor),
        }
    }

    fn gate(&self) -> Gate {
        let journal = Arc::new(self.diagnoses.journal.clone());
        self.clock.advance(Duration::from_millis(1));
        let confidentiality = Arc::new(self.diagnoses.confidentiality.clone());
        Gate::new(journal.clone(), journal, confidentiality, self.clock.clone(), Arc::new(CountingIds::default()))
    }

    fn queries(&self) -> Queries {
        let tasks = Arc::new(MockTaskStore::new());
        Queries { gate: self.gate(), diagnoses: Arc::new(self.diagnoses.clone()), tasks }
    }

    async fn record(&self, confirmed: bool) -> Diagnosis {
        let new = NewDiagnosis { patient: self.patients[0], content: content("Asthma"), confirmed };
        value(self.try_record(&self.author, new, None).await.unwrap())
    }

    async fn try_record(
        &self,
        caller: &Caller,
        new: NewDiagnosis,
        idempotency: Option<Idempotency>,
    ) -> Result<Done<Diagnosis>, DiagnosisError> {
        let recording = RecordDiagnosis { gate: self.gate(), diagnoses: Arc::new(self.diagnoses.clone()) };
        recording.run(caller, new, idempotency, told).await
    }

    async fn change(&self, caller: &Caller, of: &Diagnosis, disease: &str) -> Result<Diagnosis, DiagnosisError> {
        let changing = ChangeDraft { gate: self.gate(), diagnoses: Arc::new(self.diagnoses.clone()) };
        changing.run(caller, of.id, of.version, change(disease)).await
    }

    async fn confirm(&self, caller: &Caller, of: &Diagnosis) -> Result<Diagnosis, DiagnosisError> {
        let confirming = ConfirmDiagnosis { gate: self.gate(), diagnoses: Arc::new(self.diagnoses.clone()) };
        confirming.run(caller, of.id, Some(of.version)).await
    }

    async fn amend(&self, caller: &Caller, of: &Diagnosis, disease: &str) -> Result<Diagnosis, DiagnosisError> {
        let done = self.amend_once(caller, of, disease, None).await?;
        Ok(value(done))
    }

    async fn amend_once(
        &self,
        caller: &Caller,
        of: &Diagnosis,
        disease: &str,
        idempotency: Option<Idempotency>,
    ) -> Result<Done<Diagnosis>, DiagnosisError> {
        let amending = AmendDiagnosis { gate: self.gate(), diagnoses: Arc::new(self.diagnoses.clone()) };
        let amendment = Amendment { change: change(disease), reason: reason() };
        amending.run(caller, of.id, Some(of.version), amendment, idempotency, told).await
    }

    async fn retract(&self, caller: &Caller, of: &Diagnosis) -> Result<Diagnosis, DiagnosisError> {
        let retracting = RetractDiagnosis { gate: self.gate(), diagnoses: Arc::new(self.diagnoses.clone()) };
        retracting.run(caller, of.id, Some(of.version), reason()).await
    }

    /// One diagnosis of each status that there is.
    async fn of_each_status(&self) -> [Diagnosis; 4] {
        let amended = self.amend(&self.author, &self.record(true).await, "Bronchitis").await.unwrap();
        let in_error = self.retract(&self.author, &self.record(true).await).await.unwrap();
        [self.record(false).await, self.record(true).await, amended, in_error]
    }

    fn last_action(&self) -> (Action, Outcome) {
        let event = self.diagnoses.journal.events().pop().unwrap();
        (event.action, event.outcome)
    }
}

fn change(disease: &str) -> ContentChange {
    ContentChange { disease: ShortText::parse(disease).ok(), ..ContentChange::default() }
}

fn reason() -> ShortText {
    ShortText::parse("The images were of the other side").unwrap()
}

fn told(diagnosis: &Diagnosis) -> Receipt {
    Receipt::from_bytes(format!("{} {}", diagnosis.id, diagnosis.version).into_bytes())
}

fn value(done: Done<Diagnosis>) -> Diagnosis {
    match done {
        Done::Now { value, .. } => value,
        Done::Before(_) => panic!("nothing was done before"),
    }
}

fn key(asked: &[u8]) -> Option<Idempotency> {
    Some(Idempotency { key: IdempotencyKey::parse("k").unwrap(), fingerprint: Fingerprint::of([asked]) })
}

fn is_hidden<T: std::fmt::Debug>(result: &Result<T, DiagnosisError>) -> bool {
    matches!(result, Err(DiagnosisError::Access(AccessError::Refused(Refused::Hidden))))
}

#[tokio::test]
async fn only_a_doctor_records_and_it_is_in_their_own_name() {
    let ward = Ward::new();
    let recorded = ward.record(false).await;
    assert_eq!((recorded.author, recorded.status, recorded.version), (ward.author.account, DiagnosisStatus::Draft, 1));
    assert_eq!((recorded.confirmed, recorded.study), (None, None));
    for role in [Role::Admin, Role::Accountant, Role::Patient] {
        let new = NewDiagnosis { patient: ward.patients[0], content: content("Asthma"), confirmed: false };
        let refused = ward.try_record(&caller(role), new, None).await;
        assert!(matches!(refused, Err(DiagnosisError::Access(AccessError::Refused(Refused::Role { .. })))));
        assert_eq!(ward.last_action(), (Action::ACCESS_REFUSED, Outcome::Refused));
    }
}

#[tokio::test]
async fn a_diagnosis_of_nobody_is_refused_by_name_of_the_field() {
    let ward = Ward::new();
    let new = NewDiagnosis { patient: fresh_id(), content: content("Asthma"), confirmed: false };
    let refused = ward.try_record(&ward.author, new, None).await;
    assert!(matches!(refused, Err(DiagnosisError::Invalid(invalid)) if invalid.fields[0].pointer == "/patientId"));
}

#[tokio::test]
async fn a_diagnosis_recorded_as_confirmed_is_confirmed_by_its_author() {
    let ward = Ward::new();
    let recorded = ward.record(true).await;
    let signed = Signature { by: ward.author.account, at: recorded.recorded_at };
    assert_eq!((recorded.status, recorded.confirmed, recorded.version), (DiagnosisStatus::Confirmed, Some(signed), 1));
}

#[tokio::test]
async fn a_draft_is_changed_and_taken_back_by_its_author_only() {
    let ward = Ward::new();
    let draft = ward.record(false).await;
    let changed = ward.change(&ward.author, &draft, "Bronchitis").await.unwrap();
    assert_eq!((changed.content.disease.as_str(), changed.version), ("Bronchitis", 2));
    let event = ward.diagnoses.journal.events().pop().unwrap();
    assert_eq!((event.action, event.fields), (Action::DIAGNOSIS_CHANGE, vec!["disease".into()]));
    assert_eq!((event.subject.patient, event.subject.version), (Some(ward.patients[0]), Some(2)));

    for refused in [ward.change(&ward.colleague, &changed, "COPD").await, ward.retract(&ward.colleague, &changed).await]
    {
        assert!(matches!(refused, Err(DiagnosisError::Access(AccessError::Refused(Refused::NotTheirs { .. })))));
        assert_eq!(ward.last_action(), (Action::ACCESS_REFUSED, Outcome::Refused));
    }
    let read = ward.queries().diagnosis(&ward.colleague, draft.id).await.unwrap();
    assert_eq!(read, changed, "a colleague reads it, unchanged");
    assert!(ward.queries().diagnosis(&caller(Role::Admin), draft.id).await.is_ok());
    let confirmed = ward.confirm(&ward.author, &changed).await.unwrap();
    ward.retract(&ward.colleague, &confirmed).await.unwrap();
}

#[tokio::test]
async fn a_change_that_changes_nothing_makes_no_version() {
    let ward = Ward::new();
    let draft = ward.record(false).await;
    let same = ward.change(&ward.author, &draft, "Asthma").await.unwrap();
    assert_eq!(same, draft);
    let confirmed = ward.confirm(&ward.author, &draft).await.unwrap();
    let amended = ward.amend(&ward.author, &confirmed, "Asthma").await;
    assert!(matches!(amended, Err(DiagnosisError::Invalid(_))), "an amendment without change is a slip");
}

#[tokio::test]
async fn another_doctor_may_confirm_and_who_and_when_stays_through_amendments() {
    let ward = Ward::new();
    let draft = ward.record(false).await;
    let confirmed = ward.confirm(&ward.colleague, &draft).await.unwrap();
    let signed = confirmed.confirmed.unwrap();
    assert_eq!((signed.by, confirmed.author), (ward.colleague.account, ward.author.account));
    let amended = ward.amend(&ward.author, &confirmed, "COPD").await.unwrap();
    assert_eq!((amended.status, amended.version, amended.confirmed), (DiagnosisStatus::Amended, 3, Some(signed)));
    let amendment = amended.amendment.clone().unwrap();
    assert_eq!((amendment.reason, amendment.by), (reason(), ward.author.account));
    let again = ward.amend(&ward.colleague, &amended, "Asthma").await.unwrap();
    assert_eq!((again.version, again.amendment.unwrap().by), (4, ward.colleague.account));
}

#[tokio::test]
async fn each_status_takes_what_it_takes_and_tells_what_it_would() {
    let ward = Ward::new();
    let doctor = ward.author.clone();
    let refusals = |result: Result<Diagnosis, DiagnosisError>| match result {
        Ok(_) => None,
        Err(DiagnosisError::State(StateRefused::Status { status, instead })) => Some((status, instead)),
        Err(other) => panic!("expected a refusal by status, not {other:?}"),
    };
    let takes = async |act: &str| {
        let mut taken = Vec::new();
        for diagnosis in ward.of_each_status().await {
            let result = match act {
                "change" => ward.change(&doctor, &diagnosis, "COPD").await,
                "confirm" => ward.confirm(&doctor, &diagnosis).await,
                "amend" => ward.amend(&doctor, &diagnosis, "COPD").await,
                _ => ward.retract(&doctor, &diagnosis).await,
            };
            match refusals(result) {
                None => taken.push(diagnosis.status),
                Some((status, instead)) => {
                    assert_eq!(status, diagnosis.status);
                    assert!(!instead.is_empty());
                }
            }
        }
        taken
    };
    use DiagnosisStatus::{Amended, Confirmed, Draft};
    assert_eq!(takes("change").await, [Draft]);
    assert_eq!(takes("confirm").await, [Draft]);
    assert_eq!(takes("amend").await, [Confirmed, Amended]);
    assert_eq!(takes("retract").await, [Draft, Confirmed, Amended]);
}

#[tokio::test]
async fn what_was_seen_in_another_version_is_stale_for_every_act() {
    let ward = Ward::new();
    let draft = ward.record(false).await;
    ward.change(&ward.author, &draft, "COPD").await.unwrap();
    let stale =
        |result: Result<Diagnosis, DiagnosisError>| matches!(result, Err(DiagnosisError::Write(WriteError::Stale)));
    assert!(stale(ward.change(&ward.author, &draft, "Other").await));
    assert!(stale(ward.confirm(&ward.colleague, &draft).await));
    assert!(stale(ward.amend(&ward.author, &draft, "Other").await));
    assert!(stale(ward.retract(&ward.author, &draft).await));
    let confirming = ConfirmDiagnosis { gate: ward.gate(), diagnoses: Arc::new(ward.diagnoses.clone()) };
    let confirmed = confirming.run(&ward.colleague, draft.id, None).await.unwrap();
    assert_eq!(confirmed.version, 3, "who does not say what they saw acts on what there is");
}

#[tokio::test]
async fn only_doctors_act_and_what_is_absent_is_not_found() {
    let ward = Ward::new();
    let draft = ward.record(false).await;
    for role in [Role::Admin, Role::Accountant, Role::Patient] {
        let somebody = caller(role);
        assert!(ward.change(&somebody, &draft, "COPD").await.is_err());
        assert!(ward.confirm(&somebody, &draft).await.is_err());
        assert!(ward.amend(&somebody, &draft, "COPD").await.is_err());
        assert!(ward.retract(&somebody, &draft).await.is_err());
    }
    assert_eq!(ward.queries().diagnosis(&ward.author, draft.id).await.unwrap(), draft);
    let absent = Diagnosis { id: fresh_id(), ..draft };
    assert!(matches!(ward.confirm(&ward.author, &absent).await, Err(DiagnosisError::NotFound)));
    assert!(matches!(ward.queries().diagnosis(&ward.author, absent.id).await, Err(DiagnosisError::NotFound)));
}

#[tokio::test]
async fn a_repeated_request_is_told_the_same_and_another_under_its_key_is_refused() {
    let ward = Ward::new();
    let new = |disease| NewDiagnosis { patient: ward.patients[0], content: content(disease), confirmed: true };
    let first = ward.try_record(&ward.author, new("Asthma"), key(b"a")).await.unwrap();
    let Done::Now { value: recorded, receipt } = first else { panic!("the first time") };
    let again = ward.try_record(&ward.author, new("Asthma"), key(b"a")).await.unwrap();
    assert!(matches!(again, Done::Before(told) if told == receipt));
    let other = ward.try_record(&ward.author, new("COPD"), key(b"b")).await;
    assert!(matches!(other, Err(DiagnosisError::Write(WriteError::KeyReused))));

    let amend = || ward.amend_once(&ward.colleague, &recorded, "COPD", key(b"c"));
    let receipt = amend().await.unwrap().into_receipt();
    let again = amend().await.unwrap();
    assert!(matches!(again, Done::Before(told) if told == receipt), "though the version is not the one seen any more");
    assert_eq!(ward.queries().diagnosis(&ward.author, recorded.id).await.unwrap().version, 2);
}

#[tokio::test]
async fn a_patient_reads_their_own_when_it_is_confirmed_and_no_more() {
    let ward = Ward::new();
    let [draft, confirmed, amended, in_error] = ward.of_each_status().await;
    let ada = patient_caller(ward.patients[0]);
    let bob = patient_caller(ward.patients[1]);
    for shown in [&confirmed, &amended] {
        assert_eq!(ward.queries().diagnosis(&ada, shown.id).await.unwrap(), *shown);
        assert!(is_hidden(&ward.queries().diagnosis(&bob, shown.id).await));
    }
    for hidden in [&draft, &in_error] {
        assert!(is_hidden(&ward.queries().diagnosis(&ada, hidden.id).await));
        assert!(is_hidden(&ward.queries().versions(&ada, hidden.id, &PageRequest::default()).await));
    }

    let list = async |caller: &Caller, filter| {
        let found = ward.queries().list(caller, filter, &PageRequest::default()).await?;
        Ok::<_, DiagnosisError>(found.items.into_iter().map(|diagnosis| diagnosis.id).collect::<Vec<_>>())
    };
    let any = DiagnosisFilter::default;
    let own = DiagnosisFilter { patient: ada.patient, ..any() };
    let drafts = DiagnosisFilter { statuses: vec![DiagnosisStatus::Draft], ..any() };
    let of_bob = DiagnosisFilter { patient: bob.patient, ..any() };
    let mut all = list(&ada, any()).await.unwrap();
    all.sort();
    let mut expected = [confirmed.id, amended.id];
    expected.sort();
    assert_eq!(all, expected);
    assert_eq!(list(&ada, own).await.unwrap().len(), 2);
    assert_eq!(list(&ada, drafts.clone()).await.unwrap(), []);
    assert!(is_hidden(&list(&ada, of_bob).await));
    assert_eq!(list(&bob, any()).await.unwrap(), []);
    assert_eq!(list(&ward.colleague, any()).await.unwrap().len(), 4);
    assert_eq!(list(&ward.colleague, drafts).await.unwrap(), [draft.id]);
    assert!(list(&caller(Role::Accountant), any()).await.is_err());
}

#[tokio::test]
async fn a_patient_does_not_see_what_the_draft_said_before() {
    let ward = Ward::new();
    let draft = ward.record(false).await;
    let draft = ward.change(&ward.author, &draft, "Cancer?").await.unwrap();
    let draft = ward.change(&ward.author, &draft, "Cyst").await.unwrap();
    let confirmed = ward.confirm(&ward.author, &draft).await.unwrap();
    let amended = ward.amend(&ward.author, &confirmed, "Simple cyst").await.unwrap();
    let said = async |caller: &Caller| -> Vec<String> {
        let versions = ward.queries().versions(caller, amended.id, &PageRequest::default()).await.unwrap();
        versions.items.into_iter().map(|version| version.content.disease.as_str().to_owned()).collect()
    };
    assert_eq!(said(&patient_caller(ward.patients[0])).await, ["Simple cyst", "Cyst"]);
    assert_eq!(said(&ward.colleague).await, ["Simple cyst", "Cyst", "Cyst", "Cancer?", "Asthma"]);
}

#[tokio::test]
async fn each_act_and_each_read_is_in_the_trail_of_the_patient() {
    let ward = Ward::new();
    let draft = ward.record(false).await;
    let confirmed = ward.confirm(&ward.colleague, &draft).await.unwrap();
    let amended = ward.amend(&ward.author, &confirmed, "COPD").await.unwrap();
    ward.queries().diagnosis(&patient_caller(ward.patients[0]), draft.id).await.unwrap();
    let of_patient = DiagnosisFilter { patient: Some(ward.patients[0]), ..DiagnosisFilter::default() };
    ward.queries().list(&ward.author, of_patient, &PageRequest::default()).await.unwrap();
    ward.queries().versions(&ward.author, draft.id, &PageRequest::default()).await.unwrap();
    ward.retract(&ward.author, &amended).await.unwrap();
    let events = ward.diagnoses.journal.events();
    assert!(events.iter().all(|event| event.subject.patient == Some(ward.patients[0])));
    let actions: Vec<_> = events.into_iter().map(|event| event.action).collect();
    assert_eq!(
        actions,
        [
            Action::DIAGNOSIS_RECORD,
            Action::DIAGNOSIS_CONFIRM,
            Action::DIAGNOSIS_AMEND,
            Action::DIAGNOSIS_READ,
            Action::DIAGNOSIS_READ,
            Action::DIAGNOSIS_READ,
            Action::DIAGNOSIS_RETRACT,
        ]
    );
}
