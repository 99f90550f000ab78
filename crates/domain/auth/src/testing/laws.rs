//! One test for each law of the crate's stores. Every adapter runs them all on empty stores:
//! `infirmary_auth::auth_store_laws!(make_stores)`, where `make_stores` is an async function that gives [`Stores`] and
//! whatever has to live as long as they do.

#![allow(clippy::unwrap_used, reason = "a law that does not hold is a panic")]

pub use infirmary_kernel::testing::made;

use std::{collections::BTreeMap, time::Duration};

use futures_util::future::join_all;
use infirmary_kernel::{
    AccountId, Action, Clock, Limit, PageRequest, PersonName, PhoneNumber, Role, SessionId, Sha256Digest, Timestamp,
    WriteError,
    testing::{CountingEntropy, ManualClock, TestSigner, fresh_id, origin, trail},
};

use super::{Stores, account};
use crate::{
    AcceptedInvitation, Account, AccountState, Admission, AnsweredChallenge, Attempt, Authenticator, Challenge,
    ChangedAccount, ChangedFactors, ChangedPassword, CodePurpose, ConfirmedSession, CountedRequest, CounterKey,
    Credential, Factors, Granted, Invitation, Invited, KeptFactors, LiveSession, NewAccount, OpenedChallenge,
    PasswordHash, ProvedPassword, Refresh, RefreshToken, ResetPassword, Rotation, Session, Spent, StartedSession, law,
};

#[macro_export]
macro_rules! auth_store_laws {
    ($make:path) => {
        $crate::auth_store_laws!(@each $make:
            an_account_is_found_to_the_last_code_point
            one_email_is_one_account
            a_stale_change_changes_nothing
            the_last_active_admin_cannot_go
            of_the_last_two_admins_who_go_at_once_one_stays
            a_change_that_cuts_off_ends_sessions_and_the_invitation
            another_password_ends_the_other_sessions
            a_stale_password_change_changes_nothing
            lists_are_newest_first_and_stable_under_equal_times
            an_invitation_is_found_by_its_code_and_the_newest_one_counts
            only_who_waits_is_invited_again
            an_invitation_is_accepted_once
            a_session_comes_back_as_it_was
            a_session_starts_only_for_an_active_account_with_the_proved_password
            starting_a_session_replaces_an_outdated_password
            an_account_has_at_most_ten_sessions
            a_session_of_another_account_cannot_be_ended
            of_sixteen_rotations_at_once_one_wins
            a_live_session_says_what_its_account_is_now
            of_a_hundred_attempts_at_once_five_are_admitted
            an_attempt_that_is_taken_back_is_no_failure
            an_address_is_shut_whatever_the_email
            counters_are_of_their_own_key_and_can_be_cleared
            a_phone_is_found_by_the_active_accounts_that_verified_it
            a_session_is_confirmed_with_the_stored_password_only
            a_challenge_comes_back_as_it_was
            a_new_code_ends_the_old_one_of_its_purpose_and_phone
            a_code_that_is_refused_leaves_only_its_counters
            every_number_address_and_house_is_counted_for_itself
            a_challenge_after_a_password_needs_the_stored_one
            of_a_hundred_tries_at_once_five_may_be_compared
            a_challenge_of_nobody_is_closed_once_and_one_of_an_account_not_at_all
            a_try_needs_a_challenge_that_waits_and_its_session
            of_sixteen_right_answers_at_once_one_wins
            a_time_step_and_a_recovery_code_are_spent_once
            an_answer_grants_what_it_is_for
            an_answer_that_cannot_be_granted_spends_nothing
            a_proof_resets_the_password_once_and_ends_everything
            nothing_but_the_proof_of_its_account_resets_a_password
            other_factors_end_the_other_sessions_and_the_challenges
            a_stale_change_of_factors_changes_nothing
            without_a_factor_nothing_of_it_is_kept);
    };
    (@each $make:path: $($law:ident)*) => {
        $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $law() {
            let Some((stores, _keep)) = $crate::testing::laws::made($make().await) else { return };
            $crate::testing::laws::$law(&stores).await;
        })*
    };
}

fn now() -> Timestamp {
    ManualClock::default().now()
}

fn hash(text: &str) -> PasswordHash {
    PasswordHash::from_stored(text.to_owned())
}

async fn create(stores: &Stores, account: Account) -> Account {
    let new = NewAccount { account: account.clone(), password: hash("password"), session: None };
    stores.accounts.create(new, trail(Action::ACCOUNT_REGISTER)).await.unwrap();
    account
}

fn token(session: SessionId) -> RefreshToken {
    RefreshToken::draw(session, &CountingEntropy::default())
}

fn session_at(account: AccountId, at: Timestamp) -> Session {
    let id = fresh_id();
    Session::start(id, account, &origin(), &token(id), at)
}

fn started(session: &Session, proved: &str) -> StartedSession {
    StartedSession {
        session: session.clone(),
        proved: hash(proved),
        replacement: None,
        trail: trail(Action::SESSION_START),
    }
}

async fn start(stores: &Stores, account: AccountId, at: Timestamp) -> Session {
    let session = session_at(account, at);
    stores.sessions.start(started(&session, "password")).await.unwrap();
    session
}

fn changed(account: &Account, change: impl FnOnce(&mut Account)) -> ChangedAccount {
    let mut account = account.clone();
    account.version += 1;
    change(&mut account);
    ChangedAccount { account, cut_off: false, trail: trail(Action::ACCOUNT_CHANGE) }
}

async fn invite(stores: &Stores, account: &Account, code: &str) -> Invitation {
    let invitation =
        Invitation { account: account.id, code: Sha256Digest::of(code.as_bytes()), expires_at: now().plus(HOUR * 24) };
    let invited =
        Invited { account: account.clone(), invitation: invitation.clone(), trail: trail(Action::ACCOUNT_INVITE) };
    stores.invitations.invite(invited).await.unwrap();
    invitation
}

fn waiting(email: &str) -> Account {
    Account { state: AccountState::Invited, joined_at: None, ..account(email, Role::Doctor) }
}

fn accepted(account: &Account, code: Sha256Digest, password: &str) -> AcceptedInvitation {
    let account = Account {
        state: AccountState::Active,
        joined_at: Some(now()),
        version: account.version + 1,
        ..account.clone()
    };
    AcceptedInvitation {
        session: session_at(account.id, now()),
        account,
        code,
        password: hash(password),
        trail: trail(Action::INVITATION_ACCEPT),
    }
}

const HOUR: Duration = Duration::from_secs(60 * 60);
const BOTH: Factors = Factors { totp: true, whatsapp: true };

fn phone(text: &str) -> PhoneNumber {
    PhoneNumber::parse(text).unwrap()
}

/// A challenge that a second factor of the account answers.
fn asked(account: AccountId) -> Challenge {
    Challenge {
        id: fresh_id(),
        purpose: CodePurpose::SecondFactor,
        account: Some(account),
        phone: None,
        session: None,
        code: None,
        tries: 0,
        proved: false,
        expires_at: now().plus(HOUR),
    }
}

/// A challenge with a code for the phone.
fn coded(account: Option<AccountId>, purpose: CodePurpose, to: &str) -> Challenge {
    let code = Some(Sha256Digest::of(b"code"));
    Challenge { account, purpose, phone: Some(phone(to)), code, ..asked(fresh_id()) }
}

async fn open(stores: &Stores, challenge: Challenge) -> Challenge {
    let opened = OpenedChallenge {
        challenge: challenge.clone(),
        request: None,
        password: None,
        trail: trail(Action::SESSION_CHALLENGE),
    };
    assert_eq!(stores.codes.open(opened).await.unwrap(), Admission::Admitted);
    challenge
}

fn counted(number: &str, address: &str, sent: bool, at: Timestamp) -> CountedRequest {
    CountedRequest {
        number: CounterKey::phone(&phone(number)),
        address: address.parse().ok().map(CounterKey::address),
        sent,
        apart: Duration::ZERO,
        max_per_day: 50,
        at,
    }
}

async fn request(stores: &Stores, challenge: &Challenge, request: CountedRequest) -> Admission {
    let challenge = challenge.clone();
    let trail = trail(Action::CODE_REQUEST);
    let opened = OpenedChallenge { challenge, request: Some(request), password: None, trail };
    stores.codes.open(opened).await.unwrap()
}

fn answered(challenge: &Challenge, spent: Spent, granted: Granted) -> AnsweredChallenge {
    let account = challenge.account.unwrap();
    AnsweredChallenge { challenge: challenge.id, account, spent, granted, trail: trail(Action::CODE_VERIFY) }
}

async fn with_factors(stores: &Stores, email: &str) -> (Account, KeptFactors) {
    let new = create(stores, account(email, Role::Doctor)).await;
    let kept = KeptFactors {
        authenticator: Some(Authenticator { seed: [7; Authenticator::SEED_BYTES], last_step: 100 }),
        recovery: ["one", "two"].map(|code| Sha256Digest::of(code.as_bytes())).to_vec(),
    };
    let change = changed(&new, |account| account.factors = BOTH);
    let factors = ChangedFactors {
        account: change.account.clone(),
        authenticator: kept.authenticator.clone(),
        recovery: Some(kept.recovery.clone()),
        keep: fresh_id(),
        trail: trail(Action::FACTOR_CHANGE),
    };
    stores.factors.change(factors).await.unwrap();
    (change.account, kept)
}

/// A session of an account with second factors.
async fn start_anyhow(stores: &Stores, account: &Account) -> Session {
    let (challenge, session) = (open(stores, asked(account.id)).await, session_at(account.id, now()));
    stores.codes.answer(answered(&challenge, Spent::Code, Granted::Session(session.clone()))).await.unwrap();
    session
}

/// Recovery codes come back in any order.
async fn kept(stores: &Stores, account: AccountId) -> KeptFactors {
    let mut kept = stores.factors.find(account).await.unwrap();
    kept.recovery.sort();
    kept
}

fn sorted(mut kept: KeptFactors) -> KeptFactors {
    kept.recovery.sort();
    kept
}

pub async fn an_account_is_found_to_the_last_code_point(stores: &Stores) {
    let longest = format!("{}@{}.example.org", "a".repeat(64), "b".repeat(60));
    let name = |text: &str| PersonName::parse(text).unwrap();
    let accounts = [
        Account { name: name("ڕێبین ئازاد"), ..account("ada@example.org", Role::Admin) },
        Account { name: name("$where.{} \"x\" \\ %_"), phone: None, ..account("x.$y@example.org", Role::Doctor) },
        Account { name: name(&"\u{6d5}".repeat(200)), ..account(&longest, Role::Accountant) },
        Account { state: AccountState::Disabled, joined_at: None, ..account("p@example.org", Role::Patient) },
        Account { phone_verified_at: Some(now()), factors: BOTH, ..account("both@example.org", Role::Patient) },
        Account { factors: Factors { whatsapp: false, ..BOTH }, ..account("totp@example.org", Role::Patient) },
    ];
    let mut all = Vec::new();
    for new in accounts {
        let new = create(stores, new).await;
        all.push(new.clone());
        assert_eq!(stores.accounts.find(new.id).await.unwrap().as_ref(), Some(&new));
        let credential = Credential { account: new.clone(), password: Some(hash("password")) };
        assert_eq!(stores.accounts.credential(&new.email).await.unwrap(), Some(credential));
    }
    let asked = [all[4].id, fresh_id(), all[0].id, all[4].id];
    let mut found = stores.accounts.by_ids(&asked).await.unwrap();
    found.sort_by_key(|account| account.id == all[4].id);
    assert_eq!(found, [all[0].clone(), all[4].clone()]);
    assert_eq!(stores.accounts.by_ids(&[]).await.unwrap(), []);
    let invited = waiting("waits@example.org");
    invite(stores, &invited, "code").await;
    let credential = Credential { account: invited.clone(), password: None };
    assert_eq!(stores.accounts.credential(&invited.email).await.unwrap(), Some(credential));
    assert_eq!(stores.accounts.find(fresh_id()).await.unwrap(), None);
    assert_eq!(stores.accounts.credential(&"nobody@example.org".parse().unwrap()).await.unwrap(), None);
}

pub async fn one_email_is_one_account(stores: &Stores) {
    let outcomes = join_all((0..16).map(async |_| {
        let account = account("Ada@Example.org", Role::Patient);
        let session = Some(session_at(account.id, now()));
        let new = NewAccount { account, password: hash("password"), session };
        stores.accounts.create(new.clone(), trail(Action::ACCOUNT_REGISTER)).await.map(|()| new)
    }))
    .await;
    let mut winners = 0;
    for outcome in outcomes {
        match outcome {
            Ok(new) => {
                winners += 1;
                let session = new.session.unwrap();
                assert_eq!(stores.sessions.find(session.id).await.unwrap(), Some((session, new.account)));
            }
            Err(error) => assert!(matches!(error, WriteError::Conflict { law: law::EMAIL }), "{error:?}"),
        }
    }
    assert_eq!(winners, 1);
    assert_eq!(stores.accounts.list(None, &PageRequest::default()).await.unwrap().items.len(), 1);
}

pub async fn a_stale_change_changes_nothing(stores: &Stores) {
    let first = create(stores, account("ada@example.org", Role::Doctor)).await;
    stores.accounts.change(changed(&first, |account| account.role = Role::Accountant)).await.unwrap();
    for version in [1, 2, 4] {
        let stale = changed(&first, |account| {
            account.version = version;
            account.role = Role::Admin;
        });
        assert!(matches!(stores.accounts.change(stale).await, Err(WriteError::Stale)), "{version}");
    }
    let found = stores.accounts.find(first.id).await.unwrap().unwrap();
    assert_eq!((found.role, found.version), (Role::Accountant, 2));
    let absent = changed(&account("nobody@example.org", Role::Doctor), |_| {});
    assert!(matches!(stores.accounts.change(absent).await, Err(WriteError::Stale)));
}

pub async fn the_last_active_admin_cannot_go(stores: &Stores) {
    let last = create(stores, account("ada@example.org", Role::Admin)).await;
    create(stores, Account { state: AccountState::Disabled, ..account("gone@example.org", Role::Admin) }).await;
    invite(stores, &Account { role: Role::Admin, ..waiting("waits@example.org") }, "code").await;
    let demoted = changed(&last, |account| account.role = Role::Doctor);
    let disabled = changed(&last, |account| account.state = AccountState::Disabled);
    for change in [demoted, disabled] {
        let refused = stores.accounts.change(change).await;
        assert!(matches!(refused, Err(WriteError::Conflict { law: law::LAST_ADMIN })), "{refused:?}");
    }
    let renamed = changed(&last, |account| account.phone = None);
    stores.accounts.change(renamed.clone()).await.unwrap();
    create(stores, account("bob@example.org", Role::Admin)).await;
    stores.accounts.change(changed(&renamed.account, |account| account.role = Role::Doctor)).await.unwrap();
}

pub async fn of_the_last_two_admins_who_go_at_once_one_stays(stores: &Stores) {
    for round in 0..8 {
        let one = create(stores, account(&format!("one{round}@example.org"), Role::Admin)).await;
        let two = create(stores, account(&format!("two{round}@example.org"), Role::Admin)).await;
        // Whoever stayed of the round before goes first.
        for account in stores.accounts.list(Some(Role::Admin), &PageRequest::default()).await.unwrap().items {
            if account.id != one.id && account.id != two.id {
                stores.accounts.change(changed(&account, |account| account.role = Role::Doctor)).await.unwrap();
            }
        }
        let outcomes =
            join_all([&one, &two].map(async |admin| {
                stores.accounts.change(changed(admin, |account| account.role = Role::Doctor)).await
            }))
            .await;
        assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1, "{outcomes:?}");
        let left = stores.accounts.list(Some(Role::Admin), &PageRequest::default()).await.unwrap().items;
        assert_eq!(left.len(), 1);
    }
}

pub async fn a_change_that_cuts_off_ends_sessions_and_the_invitation(stores: &Stores) {
    let ada = create(stores, account("ada@example.org", Role::Doctor)).await;
    let bob = create(stores, account("bob@example.org", Role::Doctor)).await;
    let (of_ada, of_bob) = (start(stores, ada.id, now()).await, start(stores, bob.id, now()).await);
    let kept = changed(&ada, |account| account.phone = None);
    stores.accounts.change(kept.clone()).await.unwrap();
    assert!(stores.sessions.live(of_ada.id).await.unwrap().is_some());
    let (asked, of_other) = (open(stores, asked(ada.id)).await, open(stores, asked(bob.id)).await);
    let cut = changed(&kept.account, |account| account.role = Role::Accountant);
    stores.accounts.change(ChangedAccount { cut_off: true, ..cut }).await.unwrap();
    assert_eq!(stores.sessions.live(of_ada.id).await.unwrap(), None);
    assert_eq!(stores.sessions.find(of_ada.id).await.unwrap(), None);
    assert!(stores.sessions.live(of_bob.id).await.unwrap().is_some());
    assert_eq!(stores.codes.find(asked.id).await.unwrap(), None);
    assert_eq!(stores.codes.find(of_other.id).await.unwrap(), Some(of_other));

    let invited = waiting("waits@example.org");
    let invitation = invite(stores, &invited, "code").await;
    let disabled = changed(&invited, |account| account.state = AccountState::Disabled);
    stores.accounts.change(ChangedAccount { cut_off: true, ..disabled }).await.unwrap();
    assert_eq!(stores.invitations.find_by_code(invitation.code).await.unwrap(), None);
}

fn password_change(account: AccountId, from: &str, to: &str, keep: SessionId) -> ChangedPassword {
    ChangedPassword { account, from: hash(from), to: hash(to), keep, trail: trail(Action::PASSWORD_CHANGE) }
}

pub async fn another_password_ends_the_other_sessions(stores: &Stores) {
    let ada = create(stores, account("ada@example.org", Role::Doctor)).await;
    let bob = create(stores, account("bob@example.org", Role::Doctor)).await;
    let (keep, other) = (start(stores, ada.id, now()).await, start(stores, ada.id, now()).await);
    let of_bob = start(stores, bob.id, now()).await;
    let (asked, of_other) = (open(stores, asked(ada.id)).await, open(stores, asked(bob.id)).await);
    stores.accounts.change_password(password_change(ada.id, "password", "another", keep.id)).await.unwrap();
    let credential = stores.accounts.credential(&ada.email).await.unwrap().unwrap();
    assert_eq!((credential.password, credential.account.version), (Some(hash("another")), 1));
    assert_eq!(stores.sessions.live(other.id).await.unwrap(), None);
    assert_eq!(stores.codes.find(asked.id).await.unwrap(), None);
    assert!(stores.codes.find(of_other.id).await.unwrap().is_some());
    for session in [keep.id, of_bob.id] {
        assert!(stores.sessions.live(session).await.unwrap().is_some());
    }
}

pub async fn a_stale_password_change_changes_nothing(stores: &Stores) {
    let ada = create(stores, account("ada@example.org", Role::Doctor)).await;
    let other = start(stores, ada.id, now()).await;
    let stale = stores.accounts.change_password(password_change(ada.id, "old", "another", fresh_id())).await;
    assert!(matches!(stale, Err(WriteError::Stale)));
    let absent = stores.accounts.change_password(password_change(fresh_id(), "password", "another", fresh_id())).await;
    assert!(matches!(absent, Err(WriteError::Stale)));
    let credential = stores.accounts.credential(&ada.email).await.unwrap().unwrap();
    assert_eq!(credential.password, Some(hash("password")));
    assert!(stores.sessions.live(other.id).await.unwrap().is_some());
}

pub async fn lists_are_newest_first_and_stable_under_equal_times(stores: &Stores) {
    let mut expected = Vec::new();
    for n in 0..5 {
        expected.insert(0, create(stores, account(&format!("a{n}@example.org"), Role::Doctor)).await.id);
    }
    create(stores, account("patient@example.org", Role::Patient)).await;
    let mut request = PageRequest { limit: Limit::new(2).unwrap(), after: None };
    let mut listed = Vec::new();
    loop {
        let page = stores.accounts.list(Some(Role::Doctor), &request).await.unwrap();
        listed.extend(page.items.into_iter().map(|account| account.id));
        create(stores, account(&format!("later{}@example.org", listed.len()), Role::Doctor)).await;
        match page.next {
            Some(next) => request.after = Some(next),
            None => break,
        }
    }
    assert_eq!(listed, expected, "what came after the first page does not disturb the others");
    assert_eq!(stores.accounts.list(None, &PageRequest::default()).await.unwrap().items.len(), 9);
}

pub async fn an_invitation_is_found_by_its_code_and_the_newest_one_counts(stores: &Stores) {
    let ada = waiting("ada@example.org");
    let first = invite(stores, &ada, "first").await;
    assert_eq!(stores.invitations.find_by_code(first.code).await.unwrap(), Some((first.clone(), ada.clone())));
    let again = Account { version: 2, role: Role::Admin, ..ada };
    let second = invite(stores, &again, "second").await;
    assert_eq!(stores.invitations.find_by_code(first.code).await.unwrap(), None);
    assert_eq!(stores.invitations.find_by_code(second.code).await.unwrap(), Some((second, again)));
}

pub async fn only_who_waits_is_invited_again(stores: &Stores) {
    let active = create(stores, account("ada@example.org", Role::Doctor)).await;
    let attempt = async |account: Account| {
        let code = Sha256Digest::of(b"code");
        let invitation = Invitation { account: account.id, code, expires_at: now().plus(HOUR) };
        stores.invitations.invite(Invited { account, invitation, trail: trail(Action::ACCOUNT_INVITE) }).await
    };
    assert!(matches!(attempt(waiting("ada@example.org")).await, Err(WriteError::Conflict { law: law::EMAIL })));
    let again = Account { version: 2, state: AccountState::Invited, ..active.clone() };
    assert!(matches!(attempt(again).await, Err(WriteError::Stale)));
    let ghost = Account { version: 2, ..waiting("ghost@example.org") };
    assert!(matches!(attempt(ghost).await, Err(WriteError::Stale)));
    assert_eq!(stores.accounts.find(active.id).await.unwrap(), Some(active));
    assert_eq!(stores.invitations.find_by_code(Sha256Digest::of(b"code")).await.unwrap(), None);
}

pub async fn an_invitation_is_accepted_once(stores: &Stores) {
    let ada = waiting("ada@example.org");
    let code = invite(stores, &ada, "code").await.code;
    let wrong = accepted(&ada, Sha256Digest::of(b"other"), "wrong");
    assert!(matches!(stores.invitations.accept(wrong).await, Err(WriteError::Stale)));
    let skipped = accepted(&Account { version: 2, ..ada.clone() }, code, "wrong");
    assert!(matches!(stores.invitations.accept(skipped).await, Err(WriteError::Stale)));
    let outcomes = join_all((0..16).map(async |n| {
        let accepted = accepted(&ada, code, &n.to_string());
        stores.invitations.accept(accepted.clone()).await.map(|()| accepted)
    }))
    .await;
    let (winners, losers): (Vec<_>, Vec<_>) = outcomes.into_iter().partition(Result::is_ok);
    assert!(losers.iter().all(|loser| matches!(loser, Err(WriteError::Stale))));
    let winner = winners.into_iter().map(Result::unwrap).collect::<Vec<_>>();
    assert_eq!(winner.len(), 1);
    let credential = stores.accounts.credential(&ada.email).await.unwrap().unwrap();
    let expected = Credential { account: winner[0].account.clone(), password: Some(winner[0].password.clone()) };
    assert_eq!(credential, expected);
    assert_eq!(stores.sessions.of_account(ada.id).await.unwrap(), [winner[0].session.clone()]);
    assert_eq!(stores.invitations.find_by_code(code).await.unwrap(), None);
}

pub async fn a_session_comes_back_as_it_was(stores: &Stores) {
    let ada = create(stores, account("ada@example.org", Role::Doctor)).await;
    let bare = Session { agent: None, address: None, ..session_at(ada.id, now()) };
    let agent = Some("Mozilla/5.0 (ئازاد) \"%_$.\"".to_owned());
    let address = Some("2001:db8::7".parse().unwrap());
    let full = Session { agent, address, ..session_at(ada.id, now().plus(HOUR)) };
    for session in [&bare, &full] {
        stores.sessions.start(started(session, "password")).await.unwrap();
        assert_eq!(stores.sessions.find(session.id).await.unwrap(), Some((session.clone(), ada.clone())));
    }
    assert_eq!(stores.sessions.of_account(ada.id).await.unwrap(), [full, bare]);
    assert_eq!(stores.sessions.find(fresh_id()).await.unwrap(), None);
    assert_eq!(stores.sessions.of_account(fresh_id()).await.unwrap(), []);
}

pub async fn a_session_starts_only_for_an_active_account_with_the_proved_password(stores: &Stores) {
    let ada = create(stores, account("ada@example.org", Role::Doctor)).await;
    let gone =
        create(stores, Account { state: AccountState::Disabled, ..account("gone@example.org", Role::Doctor) }).await;
    let (both, _) = with_factors(stores, "both@example.org").await;
    for (account, proved) in [(ada.id, "old"), (gone.id, "password"), (both.id, "password"), (fresh_id(), "password")] {
        let mut refused = started(&session_at(account, now()), proved);
        refused.replacement = Some(hash("replaced"));
        let id = refused.session.id;
        assert!(matches!(stores.sessions.start(refused).await, Err(WriteError::Stale)));
        assert_eq!(stores.sessions.find(id).await.unwrap(), None);
    }
    let credential = stores.accounts.credential(&ada.email).await.unwrap().unwrap();
    assert_eq!(credential.password, Some(hash("password")));
}

pub async fn starting_a_session_replaces_an_outdated_password(stores: &Stores) {
    let ada = create(stores, account("ada@example.org", Role::Doctor)).await;
    let replacing =
        StartedSession { replacement: Some(hash("new form")), ..started(&session_at(ada.id, now()), "password") };
    stores.sessions.start(replacing).await.unwrap();
    let credential = stores.accounts.credential(&ada.email).await.unwrap().unwrap();
    assert_eq!((credential.password, credential.account), (Some(hash("new form")), ada));
}

pub async fn an_account_has_at_most_ten_sessions(stores: &Stores) {
    let ada = create(stores, account("ada@example.org", Role::Doctor)).await;
    let bob = create(stores, account("bob@example.org", Role::Doctor)).await;
    let of_bob = start(stores, bob.id, now()).await;
    let mut sessions = Vec::new();
    for n in 0..8 {
        sessions.push(start(stores, ada.id, now().plus(HOUR * n)).await.id);
    }
    join_all((8..20).map(|_| start(stores, ada.id, now().plus(HOUR * 20)))).await;
    let kept = stores.sessions.of_account(ada.id).await.unwrap();
    assert_eq!(kept.len(), 10);
    assert!(kept.iter().all(|session| session.started_at == now().plus(HOUR * 20)), "the oldest went");
    assert_eq!(stores.sessions.live(sessions[0]).await.unwrap(), None);
    assert!(stores.sessions.live(of_bob.id).await.unwrap().is_some());
}

pub async fn a_session_of_another_account_cannot_be_ended(stores: &Stores) {
    let ada = create(stores, account("ada@example.org", Role::Doctor)).await;
    let bob = create(stores, account("bob@example.org", Role::Doctor)).await;
    let session = start(stores, ada.id, now()).await;
    let end = async |id, account| stores.sessions.end(id, account, trail(Action::SESSION_END)).await;
    assert!(matches!(end(session.id, bob.id).await, Err(WriteError::Stale)));
    assert!(stores.sessions.live(session.id).await.unwrap().is_some());
    end(session.id, ada.id).await.unwrap();
    assert_eq!(stores.sessions.live(session.id).await.unwrap(), None);
    assert!(matches!(end(session.id, ada.id).await, Err(WriteError::Stale)));
}

fn rotation(session: &Session, at: Timestamp) -> Rotation {
    match session.refresh_with(&token(session.id), &TestSigner, at) {
        Refresh::Rotate(rotation, _) => rotation,
        other => panic!("expected a rotation, not {other:?}"),
    }
}

pub async fn of_sixteen_rotations_at_once_one_wins(stores: &Stores) {
    let ada = create(stores, account("ada@example.org", Role::Doctor)).await;
    let session = start(stores, ada.id, now()).await;
    let outcomes = join_all((1..=16).map(async |n| {
        let rotation = rotation(&session, now().plus(HOUR * n));
        stores.sessions.rotate(rotation.clone(), trail(Action::SESSION_REFRESH)).await.map(|()| rotation)
    }))
    .await;
    let (winners, losers): (Vec<_>, Vec<_>) = outcomes.into_iter().partition(Result::is_ok);
    assert!(losers.iter().all(|loser| matches!(loser, Err(WriteError::Stale))));
    let winner: Vec<_> = winners.into_iter().map(Result::unwrap).collect();
    assert_eq!(winner.len(), 1);
    let (stored, _) = stores.sessions.find(session.id).await.unwrap().unwrap();
    assert_eq!(stored, session.rotated(&winner[0]));
    let absent = Rotation { session: fresh_id(), ..winner[0].clone() };
    let absent = stores.sessions.rotate(absent, trail(Action::SESSION_REFRESH)).await;
    assert!(matches!(absent, Err(WriteError::Stale)));
}

pub async fn a_live_session_says_what_its_account_is_now(stores: &Stores) {
    let patient = create(stores, account("p@example.org", Role::Patient)).await;
    let session = start(stores, patient.id, now()).await;
    let live = |account: &Account, session: &Session| LiveSession {
        account: account.clone(),
        authenticated_at: session.authenticated_at,
        expires_at: session.expires_at,
    };
    assert_eq!(stores.sessions.live(session.id).await.unwrap(), Some(live(&patient, &session)));
    assert_eq!(stores.sessions.live(fresh_id()).await.unwrap(), None);

    let rotation = rotation(&session, now().plus(HOUR));
    stores.sessions.rotate(rotation.clone(), trail(Action::SESSION_REFRESH)).await.unwrap();
    let session = session.rotated(&rotation);
    assert_eq!(stores.sessions.live(session.id).await.unwrap(), Some(live(&patient, &session)));

    let ada = create(stores, account("ada@example.org", Role::Doctor)).await;
    let of_ada = start(stores, ada.id, now()).await;
    let change = changed(&ada, |account| {
        account.role = Role::Accountant;
        account.name = PersonName::parse("ئادا").unwrap();
    });
    stores.accounts.change(change.clone()).await.unwrap();
    assert_eq!(stores.sessions.live(of_ada.id).await.unwrap(), Some(live(&change.account, &of_ada)));
    let change = changed(&change.account, |account| account.factors = BOTH);
    stores.accounts.change(change.clone()).await.unwrap();
    assert_eq!(stores.sessions.live(of_ada.id).await.unwrap(), Some(live(&change.account, &of_ada)));
    let disabled = changed(&change.account, |account| account.state = AccountState::Disabled);
    stores.accounts.change(disabled).await.unwrap();
    assert_eq!(stores.sessions.live(of_ada.id).await.unwrap(), None);
}

fn attempt(email: &str, address: &str) -> Attempt {
    Attempt::new(&email.parse().unwrap(), address.parse().ok(), now())
}

pub async fn of_a_hundred_attempts_at_once_five_are_admitted(stores: &Stores) {
    let attempt = attempt("ada@example.org", "192.0.2.1");
    let admissions = join_all((0..100).map(|_| stores.attempts.begin(&attempt))).await;
    let mut counts = BTreeMap::new();
    for admission in admissions {
        let kind = match admission.unwrap() {
            Admission::Admitted => "admitted",
            Admission::Refused { first: true, .. } => "refused first",
            Admission::Refused { first: false, retry_after } => {
                assert_eq!(retry_after.as_secs(), 1);
                "refused"
            }
        };
        *counts.entry(kind).or_insert(0) += 1;
    }
    assert_eq!(counts, BTreeMap::from([("admitted", 5), ("refused first", 1), ("refused", 94)]));
}

pub async fn an_attempt_that_is_taken_back_is_no_failure(stores: &Stores) {
    let attempt = attempt("ada@example.org", "192.0.2.1");
    for _ in 0..20 {
        assert_eq!(stores.attempts.begin(&attempt).await.unwrap(), Admission::Admitted);
        stores.attempts.take_back(&attempt).await.unwrap();
    }
    for _ in 0..5 {
        assert_eq!(stores.attempts.begin(&attempt).await.unwrap(), Admission::Admitted);
    }
    assert!(matches!(stores.attempts.begin(&attempt).await.unwrap(), Admission::Refused { .. }));
}

pub async fn an_address_is_shut_whatever_the_email(stores: &Stores) {
    let emails: Vec<String> = (0..16).map(|n| format!("a{n}@example.org")).collect();
    for email in &emails[..15] {
        let attempt = attempt(email, "2001:db8::1");
        assert_eq!(stores.attempts.begin(&attempt).await.unwrap(), Admission::Admitted, "{email}");
        stores.attempts.fail(&attempt).await.unwrap();
    }
    let same_network = attempt(&emails[15], "2001:db8::2");
    let refused = stores.attempts.begin(&same_network).await.unwrap();
    assert_eq!(refused, Admission::Refused { retry_after: HOUR / 6, first: true });
    let elsewhere = attempt(&emails[15], "192.0.2.1");
    assert_eq!(stores.attempts.begin(&elsewhere).await.unwrap(), Admission::Admitted);
}

pub async fn counters_are_of_their_own_key_and_can_be_cleared(stores: &Stores) {
    let (ada, bob) = (attempt("ada@example.org", ""), attempt("bob@example.org", ""));
    for _ in 0..5 {
        assert_eq!(stores.attempts.begin(&ada).await.unwrap(), Admission::Admitted);
    }
    assert!(matches!(stores.attempts.begin(&ada).await.unwrap(), Admission::Refused { .. }));
    assert_eq!(stores.attempts.begin(&bob).await.unwrap(), Admission::Admitted);
    stores.attempts.clear(&CounterKey::email(&"ada@example.org".parse().unwrap())).await.unwrap();
    assert_eq!(stores.attempts.begin(&ada).await.unwrap(), Admission::Admitted);
    stores.attempts.fail(&ada).await.unwrap();
}

pub async fn a_phone_is_found_by_the_active_accounts_that_verified_it(stores: &Stores) {
    let verified = |email: &str, to: &str| Account {
        phone: Some(phone(to)),
        phone_verified_at: Some(now()),
        ..account(email, Role::Patient)
    };
    let ada = create(stores, verified("ada@example.org", "+9647501111111")).await;
    create(stores, Account { phone_verified_at: None, ..verified("bob@example.org", "+9647501111111") }).await;
    let gone = Account { state: AccountState::Disabled, ..verified("gone@example.org", "+9647501111111") };
    create(stores, gone).await;
    create(stores, verified("eve@example.org", "+9647502222222")).await;
    assert_eq!(stores.accounts.verified(&phone("+9647501111111")).await.unwrap(), std::slice::from_ref(&ada));
    assert_eq!(stores.accounts.verified(&phone("+9647503333333")).await.unwrap(), []);
    for n in 0..3 {
        create(stores, verified(&format!("child{n}@example.org"), "+9647501111111")).await;
    }
    assert!(stores.accounts.verified(&phone("+9647501111111")).await.unwrap().len() >= 2);
    let moved = changed(&ada, |account| account.phone = Some(phone("+9647503333333")));
    stores.accounts.change(moved.clone()).await.unwrap();
    assert_eq!(stores.accounts.verified(&phone("+9647503333333")).await.unwrap(), [moved.account]);
}

pub async fn a_session_is_confirmed_with_the_stored_password_only(stores: &Stores) {
    let ada = create(stores, account("ada@example.org", Role::Doctor)).await;
    let bob = create(stores, account("bob@example.org", Role::Doctor)).await;
    let session = start(stores, ada.id, now()).await;
    let (both, _) = with_factors(stores, "both@example.org").await;
    let of_both = start_anyhow(stores, &both).await;
    let confirm = async |session, account, proved: &str| {
        let at = now().plus(HOUR);
        let trail = trail(Action::SESSION_CONFIRM);
        stores.sessions.confirm(ConfirmedSession { session, account, proved: hash(proved), at, trail }).await
    };
    for (id, account, proved) in [
        (session.id, ada.id, "old"),
        (session.id, bob.id, "password"),
        (fresh_id(), ada.id, "password"),
        (of_both.id, both.id, "password"),
    ] {
        assert!(matches!(confirm(id, account, proved).await, Err(WriteError::Stale)));
    }
    assert_eq!(stores.sessions.find(session.id).await.unwrap().unwrap().0, session);
    confirm(session.id, ada.id, "password").await.unwrap();
    let confirmed = Session { authenticated_at: now().plus(HOUR), ..session };
    assert_eq!(stores.sessions.find(confirmed.id).await.unwrap().unwrap().0, confirmed);
}

pub async fn a_challenge_comes_back_as_it_was(stores: &Stores) {
    let ada = create(stores, account("ada@example.org", Role::Doctor)).await;
    let session = start(stores, ada.id, now()).await;
    let nobodys = Challenge { account: None, ..coded(None, CodePurpose::SignIn, "+9647501111111") };
    for challenge in [
        asked(ada.id),
        nobodys,
        Challenge {
            session: Some(session.id),
            ..coded(Some(ada.id), CodePurpose::PhoneVerification, "+9647501111111")
        },
    ] {
        open(stores, challenge.clone()).await;
        assert_eq!(stores.codes.find(challenge.id).await.unwrap(), Some(challenge));
    }
    assert_eq!(stores.codes.find(fresh_id()).await.unwrap(), None);
}

pub async fn a_new_code_ends_the_old_one_of_its_purpose_and_phone(stores: &Stores) {
    let ada = create(stores, account("ada@example.org", Role::Patient)).await;
    let (sign_in, reset) = (CodePurpose::SignIn, CodePurpose::PasswordReset);
    let old = coded(Some(ada.id), sign_in, "+9647501111111");
    let of_reset = coded(Some(ada.id), reset, "+9647501111111");
    let of_another = coded(None, sign_in, "+9647502222222");
    let new = coded(Some(ada.id), sign_in, "+9647501111111");
    for (n, challenge) in [&old, &of_reset, &of_another, &new].into_iter().enumerate() {
        let number = challenge.phone.clone().unwrap();
        let request_of = counted(number.as_str(), "", true, now().plus(HOUR * u32::try_from(n).unwrap()));
        assert_eq!(request(stores, challenge, request_of).await, Admission::Admitted);
    }
    assert_eq!(stores.codes.find(old.id).await.unwrap(), None);
    for kept in [of_reset, of_another, new] {
        assert_eq!(stores.codes.find(kept.id).await.unwrap(), Some(kept));
    }
}

pub async fn a_code_that_is_refused_leaves_only_its_counters(stores: &Stores) {
    let (first, second) =
        (coded(None, CodePurpose::SignIn, "+9647501111111"), coded(None, CodePurpose::SignIn, "+9647501111111"));
    let again = || counted("+9647501111111", "192.0.2.1", false, now());
    assert_eq!(request(stores, &first, again()).await, Admission::Admitted);
    let minute = Duration::from_secs(60);
    let refused = |first| Admission::Refused { retry_after: minute, first };
    assert_eq!(request(stores, &second, again()).await, refused(true));
    assert_eq!(request(stores, &second, again()).await, refused(false));
    assert_eq!(stores.codes.find(second.id).await.unwrap(), None);
    assert_eq!(stores.codes.find(first.id).await.unwrap(), Some(first));
    let later = CountedRequest { at: now().plus(minute), ..again() };
    assert_eq!(request(stores, &second, later).await, Admission::Admitted);
}

pub async fn every_number_address_and_house_is_counted_for_itself(stores: &Stores) {
    let number = |n: u32| format!("+96475011111{n:02}");
    let ask = async |n: u32, address: &str, sent| {
        let challenge = coded(None, CodePurpose::SignIn, &number(n));
        request(stores, &challenge, counted(&number(n), address, sent, now())).await
    };
    for n in 0..20 {
        assert_eq!(ask(n, "192.0.2.1", true).await, Admission::Admitted, "{n}");
    }
    assert!(matches!(ask(20, "192.0.2.1", true).await, Admission::Refused { .. }), "the address has asked for twenty");
    for n in 20..50 {
        assert_eq!(ask(n, "", true).await, Admission::Admitted, "{n}");
    }
    assert!(matches!(ask(50, "", true).await, Admission::Refused { .. }), "the house has sent fifty");
    assert_eq!(ask(51, "", false).await, Admission::Admitted, "what is not sent is not counted for the house");
}

pub async fn a_challenge_after_a_password_needs_the_stored_one(stores: &Stores) {
    let ada = create(stores, account("ada@example.org", Role::Doctor)).await;
    let gone =
        create(stores, Account { state: AccountState::Disabled, ..account("gone@example.org", Role::Doctor) }).await;
    let after = async |challenge: &Challenge, proved: &str, replacement: Option<&str>| {
        let password = ProvedPassword { proved: hash(proved), replacement: replacement.map(hash) };
        let trail = trail(Action::SESSION_CHALLENGE);
        let challenge = challenge.clone();
        stores.codes.open(OpenedChallenge { challenge, request: None, password: Some(password), trail }).await
    };
    for (challenge, proved) in [(asked(ada.id), "old"), (asked(gone.id), "password"), (asked(fresh_id()), "password")] {
        assert!(matches!(after(&challenge, proved, Some("replaced")).await, Err(WriteError::Stale)));
        assert_eq!(stores.codes.find(challenge.id).await.unwrap(), None);
    }
    let stored = async || stores.accounts.credential(&ada.email).await.unwrap().unwrap().password;
    after(&asked(ada.id), "password", None).await.unwrap();
    assert_eq!(stored().await, Some(hash("password")));
    after(&asked(ada.id), "password", Some("new form")).await.unwrap();
    assert_eq!(stored().await, Some(hash("new form")));
}

pub async fn a_challenge_of_nobody_is_closed_once_and_one_of_an_account_not_at_all(stores: &Stores) {
    let ada = create(stores, account("ada@example.org", Role::Patient)).await;
    let of_ada = open(stores, coded(Some(ada.id), CodePurpose::SignIn, "+9647501111111")).await;
    let nobodys = open(stores, coded(None, CodePurpose::PhoneCheck, "+9647502222222")).await;
    let close = async |id| stores.codes.close(id, trail(Action::CODE_VERIFY)).await;
    let closed = join_all((0..16).map(|_| close(nobodys.id))).await;
    assert_eq!(closed.iter().filter(|closed| closed.is_ok()).count(), 1);
    assert_eq!(stores.codes.find(nobodys.id).await.unwrap(), None);
    for stays in [of_ada.id, nobodys.id, fresh_id()] {
        assert!(matches!(close(stays).await, Err(WriteError::Stale)));
    }
    assert_eq!(stores.codes.find(of_ada.id).await.unwrap(), Some(of_ada));
}

pub async fn of_a_hundred_tries_at_once_five_may_be_compared(stores: &Stores) {
    let challenge = open(stores, coded(None, CodePurpose::SignIn, "+9647501111111")).await;
    let tries = join_all((0..100).map(|_| stores.codes.attempt(challenge.id, None, now()))).await;
    assert_eq!(tries.into_iter().filter(|tried| *tried.as_ref().unwrap()).count(), 5);
    let tried = stores.codes.find(challenge.id).await.unwrap();
    assert_eq!(tried, Some(Challenge { tries: 5, ..challenge }));
}

pub async fn a_try_needs_a_challenge_that_waits_and_its_session(stores: &Stores) {
    let ada = create(stores, account("ada@example.org", Role::Doctor)).await;
    let session = start(stores, ada.id, now()).await.id;
    let attempt = async |id, session, at| stores.codes.attempt(id, session, at).await.unwrap();
    let open_to_all = open(stores, asked(ada.id)).await;
    let bound = open(stores, Challenge { session: Some(session), ..asked(ada.id) }).await;
    assert!(attempt(open_to_all.id, None, now()).await);
    assert!(attempt(open_to_all.id, Some(session), now()).await, "a session may answer what all may");
    assert!(attempt(bound.id, Some(session), now()).await);
    for refused in [
        attempt(bound.id, None, now()).await,
        attempt(bound.id, Some(fresh_id()), now()).await,
        attempt(open_to_all.id, None, open_to_all.expires_at).await,
        attempt(fresh_id(), None, now()).await,
    ] {
        assert!(!refused);
    }
    assert_eq!(stores.codes.find(bound.id).await.unwrap().unwrap().tries, 1, "who may not is not counted");
    let proved = open(stores, coded(Some(ada.id), CodePurpose::PasswordReset, "+9647501111111")).await;
    let proof = Granted::Proof { until: now().plus(HOUR) };
    stores.codes.answer(answered(&proved, Spent::Code, proof)).await.unwrap();
    assert!(!attempt(proved.id, None, now()).await);
}

pub async fn of_sixteen_right_answers_at_once_one_wins(stores: &Stores) {
    let ada = create(stores, account("ada@example.org", Role::Doctor)).await;
    for purpose in [CodePurpose::SignIn, CodePurpose::PasswordReset] {
        let challenge = open(stores, coded(Some(ada.id), purpose, "+9647501111111")).await;
        let outcomes = join_all((0..16).map(async |_| {
            let granted = match purpose {
                CodePurpose::SignIn => Granted::Session(session_at(ada.id, now())),
                _ => Granted::Proof { until: now().plus(HOUR * 2) },
            };
            stores.codes.answer(answered(&challenge, Spent::Code, granted)).await
        }))
        .await;
        assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1);
        assert!(outcomes.iter().all(|outcome| matches!(outcome, Ok(()) | Err(WriteError::Stale))));
        let left = stores.codes.find(challenge.id).await.unwrap();
        let proof = Challenge { proved: true, expires_at: now().plus(HOUR * 2), ..challenge };
        assert_eq!(left, (purpose == CodePurpose::PasswordReset).then_some(proof));
    }
    assert_eq!(stores.sessions.of_account(ada.id).await.unwrap().len(), 1);
}

pub async fn a_time_step_and_a_recovery_code_are_spent_once(stores: &Stores) {
    let (ada, before) = with_factors(stores, "ada@example.org").await;
    let (_, of_bob) = with_factors(stores, "bob@example.org").await;
    let one = Sha256Digest::of(b"one");
    let spend = async |spent: Spent| {
        let challenge = open(stores, asked(ada.id)).await;
        stores.codes.answer(answered(&challenge, spent, Granted::Session(session_at(ada.id, now())))).await
    };
    for (n, spent) in [Spent::Step(101), Spent::RecoveryCode(one)].into_iter().enumerate() {
        let outcomes = join_all((0..8).map(|_| spend(spent.clone()))).await;
        assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1, "{spent:?}");
        assert_eq!(stores.sessions.of_account(ada.id).await.unwrap().len(), n + 1);
    }
    for spent in [Spent::Step(101), Spent::Step(100), Spent::RecoveryCode(Sha256Digest::of(b"none of them"))] {
        assert!(matches!(spend(spent).await, Err(WriteError::Stale)));
    }
    let left = KeptFactors {
        authenticator: before.authenticator.map(|authenticator| Authenticator { last_step: 101, ..authenticator }),
        recovery: vec![Sha256Digest::of(b"two")],
    };
    assert_eq!(kept(stores, ada.id).await, left);
    let bob = stores.accounts.credential(&"bob@example.org".parse().unwrap()).await.unwrap().unwrap().account;
    assert_eq!(kept(stores, bob.id).await, sorted(of_bob));
    spend(Spent::Step(105)).await.unwrap();
}

pub async fn an_answer_grants_what_it_is_for(stores: &Stores) {
    let (ada, _) = with_factors(stores, "ada@example.org").await;
    let session = session_at(ada.id, now());
    let answer = async |challenge: Challenge, granted| {
        let challenge = open(stores, challenge).await;
        stores.codes.answer(answered(&challenge, Spent::Code, granted)).await.unwrap();
        assert_eq!(stores.codes.find(challenge.id).await.unwrap(), None);
    };
    answer(asked(ada.id), Granted::Session(session.clone())).await;
    assert_eq!(stores.sessions.find(session.id).await.unwrap(), Some((session.clone(), ada.clone())));
    let due = asked(ada.id);
    answer(coded(Some(ada.id), CodePurpose::SignIn, "+9647501111111"), Granted::SecondFactor(due.clone())).await;
    assert_eq!(stores.codes.find(due.id).await.unwrap(), Some(due));
    let at = now().plus(HOUR);
    answer(asked(ada.id), Granted::Confirmation { session: session.id, at }).await;
    let (confirmed, _) = stores.sessions.find(session.id).await.unwrap().unwrap();
    assert_eq!(confirmed, Session { authenticated_at: at, ..session });
    let verified = changed(&ada, |account| {
        account.phone = Some(phone("+9647509999999"));
        account.phone_verified_at = Some(at);
    })
    .account;
    answer(asked(ada.id), Granted::VerifiedPhone(verified.clone())).await;
    assert_eq!(stores.accounts.find(ada.id).await.unwrap(), Some(verified));
    assert!(stores.sessions.live(confirmed.id).await.unwrap().is_some());
}

pub async fn an_answer_that_cannot_be_granted_spends_nothing(stores: &Stores) {
    let (ada, before) = with_factors(stores, "ada@example.org").await;
    let bob = create(stores, account("bob@example.org", Role::Doctor)).await;
    let of_bob = start(stores, bob.id, now()).await;
    let one = Spent::RecoveryCode(Sha256Digest::of(b"one"));
    let stale = changed(&ada, |account| account.version += 1).account;
    let challenge = open(stores, asked(ada.id)).await;
    for granted in [
        Granted::Confirmation { session: fresh_id(), at: now().plus(HOUR) },
        Granted::Confirmation { session: of_bob.id, at: now().plus(HOUR) },
        Granted::VerifiedPhone(stale),
    ] {
        for spent in [one.clone(), Spent::Step(101)] {
            let refused = stores.codes.answer(answered(&challenge, spent, granted.clone())).await;
            assert!(matches!(refused, Err(WriteError::Stale)), "{granted:?}");
        }
    }
    assert_eq!(stores.codes.find(challenge.id).await.unwrap(), Some(challenge.clone()));
    assert_eq!(kept(stores, ada.id).await, sorted(before));
    assert_eq!(stores.sessions.find(of_bob.id).await.unwrap().unwrap().0, of_bob);

    let gone = changed(&ada, |account| account.state = AccountState::Disabled);
    stores.accounts.change(gone).await.unwrap();
    let refused = stores.codes.answer(answered(&challenge, one, Granted::Session(session_at(ada.id, now())))).await;
    assert!(matches!(refused, Err(WriteError::Stale)), "the account is not active");
    assert_eq!(stores.sessions.of_account(ada.id).await.unwrap(), []);
}

fn reset(challenge: &Challenge, account: AccountId, password: &str) -> ResetPassword {
    let trail = trail(Action::PASSWORD_RESET);
    ResetPassword { challenge: challenge.id, account, password: hash(password), trail }
}

pub async fn a_proof_resets_the_password_once_and_ends_everything(stores: &Stores) {
    let ada = create(stores, account("ada@example.org", Role::Doctor)).await;
    let bob = create(stores, account("bob@example.org", Role::Doctor)).await;
    let (of_ada, of_bob) = (start(stores, ada.id, now()).await, start(stores, bob.id, now()).await);
    let challenge = open(stores, coded(Some(ada.id), CodePurpose::PasswordReset, "+9647501111111")).await;
    let other = open(stores, asked(ada.id)).await;
    let proof = Granted::Proof { until: now().plus(HOUR) };
    stores.codes.answer(answered(&challenge, Spent::Code, proof)).await.unwrap();
    let outcomes =
        join_all((0..16).map(|n| stores.codes.reset_password(reset(&challenge, ada.id, &format!("new {n}"))))).await;
    let winner = outcomes.iter().position(Result::is_ok).unwrap();
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1);
    let stored = stores.accounts.credential(&ada.email).await.unwrap().unwrap().password;
    assert_eq!(stored, Some(hash(&format!("new {winner}"))));
    assert_eq!(stores.sessions.live(of_ada.id).await.unwrap(), None);
    assert!(stores.sessions.live(of_bob.id).await.unwrap().is_some());
    for ended in [challenge.id, other.id] {
        assert_eq!(stores.codes.find(ended).await.unwrap(), None);
    }
}

pub async fn nothing_but_the_proof_of_its_account_resets_a_password(stores: &Stores) {
    let ada = create(stores, account("ada@example.org", Role::Doctor)).await;
    let bob = create(stores, account("bob@example.org", Role::Doctor)).await;
    let unproved = open(stores, coded(Some(ada.id), CodePurpose::PasswordReset, "+9647501111111")).await;
    let proof = || Granted::Proof { until: now().plus(HOUR) };
    let prove = async |challenge| {
        let challenge = open(stores, challenge).await;
        stores.codes.answer(answered(&challenge, Spent::Code, proof())).await.unwrap();
        challenge
    };
    let of_sign_in = prove(coded(Some(ada.id), CodePurpose::SignIn, "+9647501111111")).await;
    let of_bob = prove(coded(Some(bob.id), CodePurpose::PasswordReset, "+9647502222222")).await;
    for challenge in [unproved, of_sign_in, of_bob.clone(), asked(ada.id)] {
        let refused = stores.codes.reset_password(reset(&challenge, ada.id, "another")).await;
        assert!(matches!(refused, Err(WriteError::Stale)), "{challenge:?}");
    }
    let gone = changed(&bob, |account| account.state = AccountState::Disabled);
    stores.accounts.change(gone).await.unwrap();
    assert!(matches!(stores.codes.reset_password(reset(&of_bob, bob.id, "another")).await, Err(WriteError::Stale)));
    for account in [&ada, &bob] {
        let stored = stores.accounts.credential(&account.email).await.unwrap().unwrap().password;
        assert_eq!(stored, Some(hash("password")));
    }
}

fn factors(account: &Account, factors: Factors, keep: SessionId) -> ChangedFactors {
    ChangedFactors {
        account: changed(account, |account| account.factors = factors).account,
        authenticator: None,
        recovery: None,
        keep,
        trail: trail(Action::FACTOR_CHANGE),
    }
}

pub async fn other_factors_end_the_other_sessions_and_the_challenges(stores: &Stores) {
    let (ada, before) = with_factors(stores, "ada@example.org").await;
    let bob = create(stores, account("bob@example.org", Role::Doctor)).await;
    let of_bob = start(stores, bob.id, now()).await;
    let (keep, other) = (start_anyhow(stores, &ada).await, start_anyhow(stores, &ada).await);
    let challenge = open(stores, asked(ada.id)).await;
    let change = factors(&ada, Factors { whatsapp: false, ..BOTH }, keep.id);
    stores.factors.change(change.clone()).await.unwrap();
    assert_eq!(stores.accounts.find(ada.id).await.unwrap(), Some(change.account.clone()));
    assert_eq!(kept(stores, ada.id).await, sorted(before.clone()), "what is not given stays");
    assert_eq!(stores.sessions.live(other.id).await.unwrap(), None);
    assert_eq!(stores.codes.find(challenge.id).await.unwrap(), None);
    for session in [keep.id, of_bob.id] {
        assert!(stores.sessions.live(session).await.unwrap().is_some());
    }
    let renewed = vec![Sha256Digest::of(b"renewed")];
    let renewal = ChangedFactors { recovery: Some(renewed.clone()), ..factors(&change.account, BOTH, keep.id) };
    stores.factors.change(renewal).await.unwrap();
    assert_eq!(kept(stores, ada.id).await, KeptFactors { recovery: renewed, ..before });
}

pub async fn a_stale_change_of_factors_changes_nothing(stores: &Stores) {
    let (ada, before) = with_factors(stores, "ada@example.org").await;
    let session = start_anyhow(stores, &ada).await;
    for version in [1, 2, 4] {
        let mut stale = factors(&ada, Factors::NONE, fresh_id());
        stale.account.version = version;
        assert!(matches!(stores.factors.change(stale).await, Err(WriteError::Stale)), "{version}");
    }
    let absent = factors(&account("nobody@example.org", Role::Doctor), BOTH, fresh_id());
    assert!(matches!(stores.factors.change(absent).await, Err(WriteError::Stale)));
    assert_eq!(stores.accounts.find(ada.id).await.unwrap(), Some(ada.clone()));
    assert_eq!(kept(stores, ada.id).await, sorted(before));
    assert!(stores.sessions.live(session.id).await.unwrap().is_some());
}

pub async fn without_a_factor_nothing_of_it_is_kept(stores: &Stores) {
    let (ada, before) = with_factors(stores, "ada@example.org").await;
    let change = factors(&ada, Factors { totp: false, ..BOTH }, fresh_id());
    stores.factors.change(change.clone()).await.unwrap();
    let left = KeptFactors { authenticator: None, ..before };
    assert_eq!(kept(stores, ada.id).await, sorted(left));
    stores.factors.change(factors(&change.account, Factors::NONE, fresh_id())).await.unwrap();
    assert_eq!(kept(stores, ada.id).await, KeptFactors::default());

    let (bob, _) = with_factors(stores, "bob@example.org").await;
    stores.accounts.change(changed(&bob, |account| account.factors = Factors::NONE)).await.unwrap();
    assert_eq!(kept(stores, bob.id).await, KeptFactors::default());
    assert_eq!(kept(stores, fresh_id()).await, KeptFactors::default());
}
