//! Who comes in, who does not, what ends a session, and the trail of all of it.

#![allow(clippy::unwrap_used, reason = "a test may stop")]

mod common;

use std::{
    collections::HashSet,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use common::{House, OTHER, PASSWORD, access, mail, password, policy, refresh, staff};
use futures_util::future::join_all;
use infirmary_auth::{
    AccountChange, AccountState, AccountStore, AuthError, Authenticate, ChangeMe, CreateAdmin, DecideRegistration,
    FactorPolicy, InviteStaff, KeepSession, NewAccount, Registration,
    testing::{FastHasher, PlainTokens, account},
};
use infirmary_kernel::{
    AccessError, Action, Outcome, PageRequest, PersonName, Refused, Role, WriteError,
    testing::{CountingEntropy, fresh_id, origin, trail},
};

#[tokio::test]
async fn who_signs_in_is_the_caller_until_the_token_is_over() {
    let house = House::default();
    let patient = house.add("p@example.org", Role::Patient).await;
    let tokens = house.login("P@Example.org", PASSWORD).await.unwrap();
    assert_eq!((tokens.expires_in.as_secs(), tokens.refresh_expires_in.as_secs()), (900, 72 * 60 * 60));
    let caller = house.authenticate(access(&tokens)).await.unwrap();
    assert_eq!((caller.account, caller.role, caller.patient), (patient.id, Role::Patient, patient.patient));
    assert_eq!((caller.session, caller.authenticated_at), (tokens.session, house.gate.now()));
    let event = house.last_event();
    assert_eq!(
        (event.action, event.account, event.session, event.outcome),
        (Action::SESSION_START, Some(patient.id), Some(tokens.session), Outcome::Done)
    );
    house.advance(906);
    for token in [access(&tokens), "", "x.y.z", refresh(&tokens)] {
        assert!(matches!(house.authenticate(token).await, Err(AuthError::Unauthenticated)));
    }
}

#[tokio::test]
async fn a_wrong_password_an_unknown_email_and_a_disabled_account_hear_and_cost_the_same() {
    let house = House::default();
    let ada = house.add("ada@example.org", Role::Doctor).await;
    let gone = house.add("gone@example.org", Role::Doctor).await;
    house.add("admin@example.org", Role::Admin).await;
    house.changes().deactivate(&house.caller("admin@example.org").await, gone.id).await.unwrap();
    let compared = house.hasher.compared.load(Ordering::SeqCst);
    for (n, (email, text)) in
        [("ada@example.org", OTHER), ("nobody@example.org", PASSWORD), ("gone@example.org", PASSWORD)]
            .into_iter()
            .enumerate()
    {
        let refused = house.login(email, text).await;
        assert!(matches!(refused, Err(AuthError::BadCredentials)), "{email}");
        assert_eq!(house.hasher.compared.load(Ordering::SeqCst), compared + n as u64 + 1, "{email}");
        let event = house.last_event();
        assert_eq!((event.action, event.outcome), (Action::SESSION_START, Outcome::Refused));
        assert_eq!((event.account, event.session), (None, None), "who failed is nobody");
        assert_eq!(event.address, "192.0.2.1".parse().ok());
        let known = [Some(ada.id.as_uuid()), None, Some(gone.id.as_uuid())][n];
        assert_eq!(event.subject.id, known);
    }
}

#[tokio::test]
async fn failures_make_wait_even_who_knows_the_password_and_a_success_forgets_them() {
    let house = House::default();
    house.add("ada@example.org", Role::Doctor).await;
    for _ in 0..2 {
        for _ in 0..4 {
            assert!(matches!(house.login("ada@example.org", OTHER).await, Err(AuthError::BadCredentials)));
        }
        house.login("ada@example.org", PASSWORD).await.unwrap();
    }
    for email in ["ada@example.org", "nobody@example.org"] {
        for _ in 0..5 {
            assert!(matches!(house.login(email, OTHER).await, Err(AuthError::BadCredentials)));
        }
        let compared = house.hasher.compared.load(Ordering::SeqCst);
        for _ in 0..3 {
            let refused = house.login(email, PASSWORD).await;
            assert!(matches!(refused, Err(AuthError::TooManyAttempts { retry_after }) if retry_after.as_secs() == 1));
        }
        assert_eq!(house.hasher.compared.load(Ordering::SeqCst), compared, "nothing is compared meanwhile");
        house.advance(1);
    }
    let noted = house.store.journal.events();
    let noted = noted.iter().filter(|event| event.rule.as_deref() == Some("too many attempts")).count();
    assert_eq!(noted, 2, "one for each wait");
    house.login("ada@example.org", PASSWORD).await.unwrap();
}

#[tokio::test]
async fn of_a_hundred_guesses_at_once_at_most_five_are_compared() {
    let house = House::default();
    house.add("ada@example.org", Role::Doctor).await;
    join_all((0..100).map(|n| {
        let house = &house;
        async move { house.login("ada@example.org", &format!("guess number {n}")).await }
    }))
    .await;
    assert_eq!(house.hasher.compared.load(Ordering::SeqCst), 5);
}

#[tokio::test]
async fn an_address_that_tries_many_accounts_is_shut_and_the_others_are_not() {
    let house = House::default();
    house.add("ada@example.org", Role::Doctor).await;
    for n in 0..15 {
        let refused = house.login_from(&format!("a{n}@example.org"), OTHER, "203.0.113.9").await;
        assert!(matches!(refused, Err(AuthError::BadCredentials)));
    }
    let refused = house.login_from("ada@example.org", PASSWORD, "203.0.113.9").await;
    assert!(matches!(refused, Err(AuthError::TooManyAttempts { retry_after }) if retry_after.as_secs() == 600));
    let elsewhere = house.login_from("ada@example.org", PASSWORD, "203.0.113.10").await.unwrap();
    assert!(house.authenticate(access(&elsewhere)).await.is_ok());
}

#[tokio::test]
async fn an_outdated_hash_is_replaced_when_its_owner_signs_in() {
    let house = House::default();
    let old = account("old@example.org", Role::Doctor);
    let new = NewAccount { account: old, password: FastHasher::outdated(&password(PASSWORD)), session: None };
    house.store.create(new, trail(Action::ACCOUNT_REGISTER)).await.unwrap();
    assert!(house.login("old@example.org", OTHER).await.is_err());
    house.login("old@example.org", PASSWORD).await.unwrap();
    let kept = house.store.credential(&mail("old@example.org")).await.unwrap().unwrap().password.unwrap();
    assert!(!kept.as_stored().starts_with("old:"));
    house.login("old@example.org", PASSWORD).await.unwrap();
}

#[tokio::test]
async fn a_hasher_without_a_free_place_is_busy_and_not_a_wrong_password() {
    let house = House::default();
    house.add("ada@example.org", Role::Doctor).await;
    house.hasher.busy.store(true, Ordering::SeqCst);
    for email in ["ada@example.org", "nobody@example.org"] {
        for _ in 0..10 {
            assert!(matches!(house.login(email, PASSWORD).await, Err(AuthError::Busy)));
        }
    }
    house.hasher.busy.store(false, Ordering::SeqCst);
    house.login("ada@example.org", PASSWORD).await.unwrap();
}

#[tokio::test]
async fn fifty_refreshes_with_one_token_get_one_successor() {
    let house = House::default();
    house.add("ada@example.org", Role::Doctor).await;
    let first = house.login("ada@example.org", PASSWORD).await.unwrap();
    let answers = join_all((0..50).map(|_| house.refresh(refresh(&first)))).await;
    let successors: HashSet<String> = answers.into_iter().map(|answer| refresh(&answer.unwrap()).to_owned()).collect();
    assert_eq!(successors.len(), 1);
    let rotations = house.store.journal.events();
    assert_eq!(rotations.iter().filter(|event| event.action == Action::SESSION_REFRESH).count(), 1);
    let successor = successors.into_iter().next().unwrap();
    assert_ne!(successor, refresh(&first));
    assert!(house.refresh(&successor).await.is_ok());
}

#[tokio::test]
async fn a_refresh_token_that_comes_late_or_again_ends_the_session() {
    for (rotations, wait) in [(1, 11), (2, 0)] {
        let house = House::default();
        house.add("ada@example.org", Role::Doctor).await;
        let first = house.login("ada@example.org", PASSWORD).await.unwrap();
        let mut latest = first.clone();
        for _ in 0..rotations {
            latest = house.refresh(refresh(&latest)).await.unwrap();
        }
        house.advance(wait);
        assert!(matches!(house.refresh(refresh(&first)).await, Err(AuthError::Unauthenticated)));
        let event = house.last_event();
        assert_eq!(
            (event.action, event.outcome, event.session),
            (Action::SESSION_REUSE, Outcome::Refused, Some(first.session))
        );
        assert!(matches!(house.refresh(refresh(&latest)).await, Err(AuthError::Unauthenticated)));
        assert!(matches!(house.authenticate(access(&latest)).await, Err(AuthError::Unauthenticated)));
    }
}

#[tokio::test]
async fn a_made_up_refresh_token_ends_nobodys_session() {
    let house = House::default();
    house.add("ada@example.org", Role::Doctor).await;
    let tokens = house.login("ada@example.org", PASSWORD).await.unwrap();
    let mut forged = refresh(&tokens).to_owned().into_bytes();
    let middle = forged.len() / 2;
    forged[middle] = if forged[middle] == b'A' { b'B' } else { b'A' };
    for wrong in [std::str::from_utf8(&forged).unwrap(), "", access(&tokens)] {
        assert!(matches!(house.refresh(wrong).await, Err(AuthError::Unauthenticated)));
    }
    assert!(house.authenticate(access(&tokens)).await.is_ok());
    assert!(house.refresh(refresh(&tokens)).await.is_ok());
}

#[tokio::test]
async fn who_comes_every_three_days_signs_in_again_after_thirty() {
    let house = House::default();
    house.add("ada@example.org", Role::Doctor).await;
    let mut tokens = house.login("ada@example.org", PASSWORD).await.unwrap();
    let silent = house.login("ada@example.org", PASSWORD).await.unwrap();
    for _ in 0..10 {
        house.advance(71 * 60 * 60);
        tokens = house.refresh(refresh(&tokens)).await.unwrap();
    }
    assert!(matches!(house.refresh(refresh(&silent)).await, Err(AuthError::Unauthenticated)));
    assert_eq!(tokens.refresh_expires_in.as_secs(), 10 * 60 * 60);
    house.advance(10 * 60 * 60);
    assert!(matches!(house.refresh(refresh(&tokens)).await, Err(AuthError::Unauthenticated)));
}

#[tokio::test]
async fn a_session_is_ended_by_its_owner_and_nobody_else() {
    let house = House::default();
    house.add("ada@example.org", Role::Doctor).await;
    house.add("bob@example.org", Role::Doctor).await;
    let (phone, desk) = (house.caller("ada@example.org").await, house.caller("ada@example.org").await);
    let bob = house.caller("bob@example.org").await;
    let listed: HashSet<_> =
        house.queries().sessions(&desk).await.unwrap().into_iter().map(|session| session.id).collect();
    assert_eq!(listed, HashSet::from([phone.session, desk.session]));
    for absent in [phone.session, fresh_id()] {
        assert!(matches!(house.ends().run(&bob, absent).await, Err(AuthError::NotFound)));
    }
    house.ends().run(&desk, phone.session).await.unwrap();
    house.ends().logout(&desk).await.unwrap();
    house.ends().logout(&desk).await.unwrap();
    assert_eq!(house.queries().sessions(&desk).await.unwrap(), []);
    let gate = house.gate.clone();
    let by_link = Authenticate {
        gate,
        tokens: Arc::new(PlainTokens),
        sessions: house.store.clone(),
        factor_policy: FactorPolicy::Optional,
    };
    assert!(matches!(by_link.by_session(desk.session, origin()).await, Err(AuthError::Unauthenticated)));
    assert_eq!(by_link.by_session(bob.session, origin()).await.unwrap().account, bob.account);
}

#[tokio::test]
async fn another_password_ends_the_other_sessions_and_shares_the_counters() {
    let house = House::default();
    house.add("ada@example.org", Role::Doctor).await;
    let other = house.login("ada@example.org", PASSWORD).await.unwrap();
    let own = house.login("ada@example.org", PASSWORD).await.unwrap();
    let ada = house.authenticate(access(&own)).await.unwrap();
    let change = async |current: &str, new: &str| house.password_changes().run(&ada, &password(current), new).await;
    assert!(matches!(change(OTHER, OTHER).await, Err(AuthError::BadCredentials)));
    assert!(matches!(change(PASSWORD, "short").await, Err(AuthError::Invalid(_))));
    assert!(matches!(change(PASSWORD, "ada lovelace ada lovelace").await, Err(AuthError::Invalid(_))));
    change(PASSWORD, OTHER).await.unwrap();
    assert!(house.authenticate(access(&own)).await.is_ok());
    assert!(matches!(house.authenticate(access(&other)).await, Err(AuthError::Unauthenticated)));
    assert!(matches!(house.login("ada@example.org", PASSWORD).await, Err(AuthError::BadCredentials)));
    for _ in 0..4 {
        assert!(matches!(change(PASSWORD, OTHER).await, Err(AuthError::BadCredentials)));
    }
    assert!(matches!(house.login("ada@example.org", OTHER).await, Err(AuthError::TooManyAttempts { .. })));
    assert!(house.authenticate(access(&own)).await.is_ok(), "live sessions go on");
}

#[tokio::test]
async fn staff_are_invited_by_an_admin_and_choose_their_own_password_once() {
    let house = House::default();
    house.add("admin@example.org", Role::Admin).await;
    let admin = house.caller("admin@example.org").await;
    let (invited, code, expires_at) =
        house.invites().run(&admin, staff("doc@example.org", Role::Doctor)).await.unwrap();
    assert_eq!((invited.state, invited.role), (AccountState::Invited, Role::Doctor));
    assert_eq!(expires_at.since(house.gate.now()).as_secs(), 24 * 60 * 60);
    assert!(matches!(house.login("doc@example.org", PASSWORD).await, Err(AuthError::BadCredentials)));
    let accept = async |code: &str, password: &str| house.accepts().run(code, password, &origin()).await;
    assert!(matches!(accept(code.expose(), "short").await, Err(AuthError::Invalid(_))), "the code is not used up");
    assert!(matches!(accept("nonsense", PASSWORD).await, Err(AuthError::BadInvitation)));
    let tokens = accept(&format!(" {}\n", code.expose()), PASSWORD).await.unwrap();
    assert_eq!(house.authenticate(access(&tokens)).await.unwrap().role, Role::Doctor);
    assert_eq!(house.last_event().action, Action::INVITATION_ACCEPT);
    assert!(matches!(accept(code.expose(), OTHER).await, Err(AuthError::BadInvitation)));
    house.login("doc@example.org", PASSWORD).await.unwrap();
    let again = house.invites().run(&admin, staff("doc@example.org", Role::Admin)).await;
    assert!(matches!(again, Err(AuthError::EmailTaken)));
}

#[tokio::test]
async fn inviting_again_gives_a_fresh_code_and_ends_the_old_one() {
    let house = House::default();
    house.add("admin@example.org", Role::Admin).await;
    let admin = house.caller("admin@example.org").await;
    let (first, lost, _) = house.invites().run(&admin, staff("doc@example.org", Role::Doctor)).await.unwrap();
    let (second, code, _) = {
        let invites = InviteStaff { entropy: Arc::new(CountingEntropy::starting_at(2_000)), ..house.invites() };
        invites.run(&admin, staff("doc@example.org", Role::Accountant)).await.unwrap()
    };
    assert_eq!((second.id, second.role, second.version), (first.id, Role::Accountant, 2));
    let late = house.accepts().run(lost.expose(), PASSWORD, &origin()).await;
    assert!(matches!(late, Err(AuthError::BadInvitation)));
    house.advance(24 * 60 * 60);
    let late = house.accepts().run(code.expose(), PASSWORD, &origin()).await;
    assert!(matches!(late, Err(AuthError::BadInvitation)));
}

#[tokio::test]
async fn only_an_admin_who_signed_in_moments_ago_invites_and_only_staff() {
    let house = House::default();
    for (email, role) in [("admin@example.org", Role::Admin), ("doc@example.org", Role::Doctor)] {
        house.add(email, role).await;
    }
    let (admin, doctor) = (house.caller("admin@example.org").await, house.caller("doc@example.org").await);
    let refused = house.invites().run(&doctor, staff("new@example.org", Role::Doctor)).await;
    assert!(matches!(refused, Err(AuthError::Access(AccessError::Refused(Refused::Role { .. })))));
    let refused = house.invites().run(&admin, staff("new@example.org", Role::Patient)).await;
    assert!(matches!(refused, Err(AuthError::Invalid(_))));
    house.advance(15 * 60 + 1);
    let refused = house.invites().run(&admin, staff("new@example.org", Role::Doctor)).await;
    assert!(matches!(refused, Err(AuthError::Access(AccessError::Refused(Refused::StepUp { .. })))));
    assert_eq!((house.last_event().action, house.last_event().outcome), (Action::ACCESS_REFUSED, Outcome::Refused));
    let admin = house.caller("admin@example.org").await;
    house.invites().run(&admin, staff("new@example.org", Role::Doctor)).await.unwrap();
}

#[tokio::test]
async fn another_role_or_none_holds_from_the_next_request() {
    let house = House::default();
    house.add("admin@example.org", Role::Admin).await;
    let doctor = house.add("doc@example.org", Role::Doctor).await;
    let patient = house.add("p@example.org", Role::Patient).await;
    let admin = house.caller("admin@example.org").await;
    let change = async |id, version, change| house.changes().run(&admin, id, version, change).await;
    let to = |role| AccountChange { role: Some(role), ..AccountChange::default() };

    let tokens = house.login("doc@example.org", PASSWORD).await.unwrap();
    let changed = change(doctor.id, 1, to(Role::Accountant)).await.unwrap();
    assert_eq!((changed.role, changed.version), (Role::Accountant, 2));
    let event = house.last_event();
    assert_eq!(
        (event.action, event.fields, event.subject.version),
        (Action::ACCOUNT_CHANGE, vec!["role".into()], Some(2))
    );
    assert!(matches!(house.authenticate(access(&tokens)).await, Err(AuthError::Unauthenticated)));
    assert!(matches!(house.refresh(refresh(&tokens)).await, Err(AuthError::Unauthenticated)));

    assert!(matches!(change(doctor.id, 1, to(Role::Doctor)).await, Err(AuthError::Write(WriteError::Stale))));
    assert!(matches!(change(fresh_id(), 1, to(Role::Doctor)).await, Err(AuthError::NotFound)));
    for (id, version, role) in [(doctor.id, 2, Role::Patient), (patient.id, 1, Role::Admin)] {
        assert!(matches!(change(id, version, to(role)).await, Err(AuthError::Invalid(_))));
    }

    let tokens = house.login("doc@example.org", PASSWORD).await.unwrap();
    house.changes().deactivate(&admin, doctor.id).await.unwrap();
    house.changes().deactivate(&admin, doctor.id).await.unwrap();
    assert!(matches!(house.authenticate(access(&tokens)).await, Err(AuthError::Unauthenticated)));
    for _ in 0..5 {
        assert!(matches!(house.login("doc@example.org", PASSWORD).await, Err(AuthError::BadCredentials)));
    }
    assert!(matches!(house.login("doc@example.org", PASSWORD).await, Err(AuthError::TooManyAttempts { .. })));
    let active = |active| AccountChange { active: Some(active), ..AccountChange::default() };
    let enabled = change(doctor.id, 3, active(true)).await.unwrap();
    assert_eq!(enabled.state, AccountState::Active);
    house.login("doc@example.org", PASSWORD).await.unwrap();
}

#[tokio::test]
async fn who_was_disabled_before_they_ever_came_has_to_be_invited_again() {
    let house = House::default();
    house.add("admin@example.org", Role::Admin).await;
    let admin = house.caller("admin@example.org").await;
    let (invited, code, _) = house.invites().run(&admin, staff("doc@example.org", Role::Doctor)).await.unwrap();
    house.changes().deactivate(&admin, invited.id).await.unwrap();
    let accept = async |code: &str| house.accepts().run(code, PASSWORD, &origin()).await;
    assert!(matches!(accept(code.expose()).await, Err(AuthError::BadInvitation)));
    let enabling = AccountChange { active: Some(true), ..AccountChange::default() };
    let enabled = house.changes().run(&admin, invited.id, 2, enabling).await.unwrap();
    assert_eq!(enabled.state, AccountState::Invited);
    assert!(matches!(accept(code.expose()).await, Err(AuthError::BadInvitation)));
    let (_, code, _) = house.invites().run(&admin, staff("doc@example.org", Role::Doctor)).await.unwrap();
    accept(code.expose()).await.unwrap();
}

#[tokio::test]
async fn the_last_active_admin_stays() {
    let house = House::default();
    let last = house.add("admin@example.org", Role::Admin).await;
    let admin = house.caller("admin@example.org").await;
    assert!(matches!(house.changes().deactivate(&admin, last.id).await, Err(AuthError::LastAdmin)));
    let demoted = AccountChange { role: Some(Role::Doctor), ..AccountChange::default() };
    let refused = house.changes().run(&admin, last.id, 1, demoted).await;
    assert!(matches!(refused, Err(AuthError::LastAdmin)));
    assert_eq!(house.queries().me(&admin).await.unwrap(), last);
}

#[tokio::test]
async fn the_command_line_makes_the_first_admin() {
    let house = House::default();
    let admins = CreateAdmin {
        gate: house.gate.clone(),
        accounts: house.store.clone(),
        hasher: house.hasher.clone(),
        policy: policy(),
    };
    let name = account("ada@example.org", Role::Admin).name;
    let create = async |text: &str| admins.run(mail("ada@example.org"), name.clone(), text).await;
    assert!(matches!(create("short").await, Err(AuthError::Invalid(_))));
    create(PASSWORD).await.unwrap();
    let event = house.last_event();
    assert_eq!((event.action, event.account, event.address), (Action::ACCOUNT_REGISTER, None, None));
    assert!(matches!(create(PASSWORD).await, Err(AuthError::EmailTaken)));
    assert_eq!(house.caller("ada@example.org").await.role, Role::Admin);
}

#[tokio::test]
async fn who_registers_is_a_patient_and_signed_in() {
    let house = House::default();
    let deciding = DecideRegistration { hasher: house.hasher.clone(), policy: policy(), issuer: house.issuer.clone() };
    let name = account("p@example.org", Role::Patient).name;
    let patient = fresh_id();
    let registration =
        |password| Registration { email: mail("p@example.org"), name: name.clone(), phone: None, password };
    let refused = deciding.run(&house.gate, registration("short"), patient, &origin()).await;
    assert!(matches!(refused, Err(AuthError::Invalid(_))));
    let (new, tokens) = deciding.run(&house.gate, registration(PASSWORD), patient, &origin()).await.unwrap();
    assert!(matches!(house.authenticate(access(&tokens)).await, Err(AuthError::Unauthenticated)), "nothing is written");
    house.store.create(new, trail(Action::ACCOUNT_REGISTER)).await.unwrap();
    let caller = house.authenticate(access(&tokens)).await.unwrap();
    assert_eq!((caller.role, caller.patient), (Role::Patient, Some(patient)));
    assert!(house.refresh(refresh(&tokens)).await.is_ok());
}

#[tokio::test]
async fn an_own_account_is_read_and_changed_and_a_phone_needs_a_fresh_proof() {
    let house = House::default();
    house.add("p@example.org", Role::Patient).await;
    let caller = house.caller("p@example.org").await;
    let tokens = house.login("p@example.org", PASSWORD).await.unwrap();
    let changing = ChangeMe { gate: house.gate.clone(), accounts: house.store.clone() };
    let name = PersonName::parse("Ada King").ok();
    let changed = changing.run(&caller, 1, name.clone(), Some(None)).await.unwrap();
    assert_eq!((changed.phone.clone(), changed.version), (None, 2));
    assert_eq!(house.last_event().fields, ["name", "phone"]);
    assert_eq!(house.queries().me(&caller).await.unwrap(), changed);
    assert_eq!(house.own_account(access(&tokens)).await.unwrap(), changed);
    assert!(matches!(house.own_account("").await, Err(AuthError::Unauthenticated)));
    assert_eq!(changing.run(&caller, 2, name.clone(), None).await.unwrap().version, 2, "nothing is different");
    assert!(matches!(changing.run(&caller, 1, name, None).await, Err(AuthError::Write(WriteError::Stale))));
    house.advance(16 * 60);
    let refused = changing.run(&caller, 2, None, Some("+9647509999999".parse().ok())).await;
    assert!(matches!(refused, Err(AuthError::Access(AccessError::Refused(Refused::StepUp { .. })))));
}

#[tokio::test]
async fn only_admins_read_accounts_and_it_is_in_the_trail() {
    let house = House::default();
    let ada = house.add("admin@example.org", Role::Admin).await;
    for (email, role) in
        [("doc@example.org", Role::Doctor), ("acc@example.org", Role::Accountant), ("p@example.org", Role::Patient)]
    {
        house.add(email, role).await;
        let caller = house.caller(email).await;
        let queries = house.queries();
        assert!(queries.account(&caller, ada.id).await.is_err());
        assert!(queries.accounts(&caller, None, &PageRequest::default()).await.is_err());
        assert!(house.changes().deactivate(&caller, ada.id).await.is_err());
        let change = AccountChange { active: Some(false), ..AccountChange::default() };
        assert!(house.changes().run(&caller, ada.id, 1, change).await.is_err());
        assert_eq!(house.last_event().action, Action::ACCESS_REFUSED);
    }
    let admin = house.caller("admin@example.org").await;
    assert_eq!(house.queries().account(&admin, ada.id).await.unwrap(), ada);
    assert_eq!(house.last_event().action, Action::ACCOUNT_READ);
    let page = house.queries().accounts(&admin, Some(Role::Patient), &PageRequest::default()).await.unwrap();
    assert_eq!(page.items.len(), 1);
    assert!(matches!(house.queries().account(&admin, fresh_id()).await, Err(AuthError::NotFound)));
}

#[tokio::test]
async fn a_kept_session_goes_on_for_thirty_days_and_then_ends_like_any_other() {
    let house = House::default();
    house.add("ada@example.org", Role::Patient).await;
    let patient = house.login("ada@example.org", PASSWORD).await.unwrap();
    let keeps = KeepSession {
        gate: house.gate.clone(),
        sessions: house.store.clone(),
        entropy: Arc::new(CountingEntropy::starting_at(5_000)),
    };
    let hours = |count: u64| Duration::from_secs(count * 60 * 60);
    let (_, at_first) = keeps.run(patient.session, &origin()).await.unwrap();
    house.clock.advance(hours(23));
    assert_eq!(keeps.run(patient.session, &origin()).await.unwrap().1, at_first, "it is fresh enough");
    for _ in 0..13 {
        house.clock.advance(hours(48));
        let (account, until) = keeps.run(patient.session, &origin()).await.unwrap();
        assert_eq!(account.email.as_str(), "ada@example.org");
        assert!(until > house.gate.now().plus(hours(12)));
    }
    let refused = house.refresh(refresh(&patient)).await;
    assert!(refused.is_err(), "the refresh token that was due went with it");
    house.clock.advance(hours(24 * 5));
    assert!(matches!(keeps.run(patient.session, &origin()).await, Err(AuthError::Unauthenticated)));
    assert!(matches!(keeps.run(fresh_id(), &origin()).await, Err(AuthError::Unauthenticated)));
}
