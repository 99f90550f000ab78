//! The laws of [`Registry`], where its store is that of accounts, patients and the audit log, too:
//! `infirmary_workflows::registry_laws!(make_store)`, where `make_store` is an async function that gives a store and whatever
//! has to live as long as it does.

#![allow(clippy::unwrap_used, reason = "a law that does not hold is a panic")]

use infirmary_audit::AuditLog;
use infirmary_auth::{
    Account, AccountStore, Credential, NewAccount, PasswordHash, Session, SessionStore, testing::account,
};
use infirmary_kernel::{
    Action, EmailAddress, PageRequest, Role, Sha256Digest, WriteError,
    testing::{fresh_id, trail},
};
use infirmary_patients::{Mrn, Patient, PatientStore, testing::patient};

use super::entries;
use crate::{RegisteredAccount, Registry};

pub use infirmary_kernel::testing::made;

#[macro_export]
macro_rules! registry_laws {
    ($make:path) => {
        $crate::registry_laws!(@each $make:
            account_password_session_patient_and_event_are_all_there
            a_failing_member_leaves_nothing_visible
            of_sixteen_registrations_with_one_email_one_is_there_with_its_record);
    };
    (@each $make:path: $($law:ident)*) => {
        $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $law() {
            let Some((store, _keep)) = $crate::testing::laws::made($make().await) else { return };
            $crate::testing::laws::$law(&store).await;
        })*
    };
}

/// The store of a house.
pub trait House: Registry + AccountStore + SessionStore + PatientStore + AuditLog {}
impl<S: Registry + AccountStore + SessionStore + PatientStore + AuditLog> House for S {}

fn session(account: &Account) -> Session {
    Session {
        id: fresh_id(),
        account: account.id,
        started_at: account.created_at,
        authenticated_at: account.created_at,
        refreshed_at: account.created_at,
        expires_at: account.created_at,
        agent: None,
        address: None,
        refresh: Sha256Digest::of(b"token"),
        previous: None,
    }
}

pub(super) fn registered(email: &str, mrn: Mrn) -> RegisteredAccount {
    let record = fresh_id();
    let account = Account { patient: Some(record), ..account(email, Role::Patient) };
    let patient = Patient { id: record, account: Some(account.id), ..patient("Ada Lovelace", mrn) };
    let session = Some(session(&account));
    let password = PasswordHash::from_stored("password".to_owned());
    let account = NewAccount { account, password, session };
    RegisteredAccount { account, patient, trail: trail(Action::ACCOUNT_REGISTER) }
}

pub async fn account_password_session_patient_and_event_are_all_there(store: &impl House) {
    let new = registered("ada@example.org", store.next_mrn().await.unwrap());
    store.register_account(new.clone()).await.unwrap();
    let NewAccount { account, password, session } = new.account;
    let session = session.unwrap();
    let credential = Credential { account: account.clone(), password: Some(password) };
    assert_eq!(store.credential(&account.email).await.unwrap(), Some(credential));
    assert_eq!(SessionStore::find(store, session.id).await.unwrap(), Some((session, account)));
    assert_eq!(PatientStore::find(store, new.patient.id).await.unwrap(), Some(new.patient));
    assert_eq!(entries(store).await, 1);
}

pub async fn a_failing_member_leaves_nothing_visible(store: &impl House) {
    let first = registered("ada@example.org", store.next_mrn().await.unwrap());
    store.register_account(first.clone()).await.unwrap();

    let same_email = registered("ada@example.org", store.next_mrn().await.unwrap());
    let same_mrn = registered("bob@example.org", first.patient.mrn);
    let mut same_owner = registered("eve@example.org", store.next_mrn().await.unwrap());
    same_owner.patient.account = first.patient.account;
    for (second, expected) in [(same_email, "email"), (same_mrn, "mrn"), (same_owner, "account")] {
        let refused = store.register_account(second.clone()).await;
        assert!(matches!(refused, Err(WriteError::Conflict { law }) if law == expected), "{refused:?}");
        let (account, session) = (second.account.account, second.account.session.unwrap());
        assert_eq!(AccountStore::find(store, account.id).await.unwrap(), None);
        assert_eq!(SessionStore::find(store, session.id).await.unwrap(), None);
        assert_eq!(PatientStore::find(store, second.patient.id).await.unwrap(), None);
        let known = store.credential(&account.email).await.unwrap().map(|known| known.account.id);
        assert_eq!(known, (account.email == first.account.account.email).then_some(first.account.account.id));
    }
    assert_eq!(AccountStore::list(store, None, &PageRequest::default()).await.unwrap().items.len(), 1);
    assert_eq!(PatientStore::list(store, None, &PageRequest::default()).await.unwrap().items.len(), 1);
    assert_eq!(entries(store).await, 1, "no event tells of what did not happen");
}

pub async fn of_sixteen_registrations_with_one_email_one_is_there_with_its_record(store: &impl House) {
    let mut tries = Vec::new();
    for _ in 0..16 {
        tries.push(registered("ada@example.org", store.next_mrn().await.unwrap()));
    }
    let outcomes = futures_util::future::join_all(tries.into_iter().map(async |new| {
        let patient = new.patient.clone();
        store.register_account(new).await.map(|()| patient)
    }))
    .await;
    let winners: Vec<Patient> = outcomes.into_iter().filter_map(Result::ok).collect();
    assert_eq!(PatientStore::list(store, None, &PageRequest::default()).await.unwrap().items, winners);
    let email: EmailAddress = "ada@example.org".parse().unwrap();
    let account = store.credential(&email).await.unwrap().unwrap().account;
    assert_eq!([account.patient], [Some(winners[0].id)]);
    assert_eq!(winners.len(), 1);
}
