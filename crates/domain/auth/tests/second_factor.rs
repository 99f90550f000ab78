//! One-time codes, second factors, resets, step-up: who comes in by them, and who does not.

#![allow(clippy::unwrap_used, reason = "a test may stop")]

mod common;

use std::time::Duration;

use common::{House, OTHER, PASSWORD, access, mail, password};
use futures_util::future::join_all;
use infirmary_auth::{
    Account, AccountChange, AccountState, AccountStore, Answer, AuthError, CallingCode, Challenge, ChangeMe,
    ChangedAccount, CodePolicy, CodeRequest, Confirmation, FactorMethod, FactorPolicy, Factors, IssuedChallenge,
    NewAccount, SessionTokens, SignIn,
    testing::{FastHasher, PlainAuthenticators, account},
};
use infirmary_kernel::{
    AccessError, Action, Caller, ChallengeId, MessageContent, Origin, Outcome, Permission, PhoneNumber, Refused, Role,
    Subject,
    testing::{fresh_id, origin, trail},
};
use secrecy::ExposeSecret;

const PHONE: &str = "+9647501234567";
const ELSEWHERE: &str = "+9647507654321";
const SHORT: &str = "plovdiv7";

fn phone(text: &str) -> PhoneNumber {
    PhoneNumber::parse(text).unwrap()
}

fn sign_in(text: &str) -> CodeRequest {
    CodeRequest::SignIn(phone(text))
}

fn reset(text: &str) -> CodeRequest {
    CodeRequest::PasswordReset(phone(text))
}

impl House {
    /// An account with [`PASSWORD`] and this phone, verified.
    async fn reachable(&self, email: &str, role: Role, at: &str) -> Account {
        let mut account = self.add(email, role).await;
        account.phone = Some(phone(at));
        account.phone_verified_at = Some(self.gate.now());
        self.change(account).await
    }

    async fn change(&self, mut account: Account) -> Account {
        account.version += 1;
        let trail = trail(Action::ACCOUNT_CHANGE);
        self.store.change(ChangedAccount { account: account.clone(), cut_off: false, trail }).await.unwrap();
        account
    }

    async fn request(&self, request: CodeRequest) -> Result<IssuedChallenge, AuthError> {
        self.requests().run(None, request, &origin()).await
    }

    async fn answer(&self, challenge: ChallengeId, code: &str) -> Result<Answer, AuthError> {
        self.answers().run(None, challenge, code, &origin()).await
    }

    async fn answer_as(&self, caller: &Caller, challenge: ChallengeId, code: &str) -> Result<Answer, AuthError> {
        self.answers().run(Some(caller), challenge, code, &origin()).await
    }

    /// The codes that left the house, oldest first.
    fn sent(&self) -> Vec<(String, String)> {
        let read = |content| match content {
            MessageContent::OneTimeCode { code } => code.expose_secret().to_owned(),
            other => panic!("expected a code, not {other:?}"),
        };
        let messages = self.store.journal.messages().into_iter();
        messages.map(|message| (message.recipient.as_str().to_owned(), read(message.content))).collect()
    }

    fn last_code(&self) -> String {
        self.sent().pop().unwrap().1
    }

    /// The secret in the application of who set up one within this session, and the recovery codes.
    async fn enrol(&self, caller: &Caller) -> (String, Vec<String>) {
        let enrolment = self.enrols().begin(caller).await.unwrap();
        let secret = enrolment.invitation.secret.expose_secret().to_owned();
        let code = PlainAuthenticators::code(&secret, self.gate.now());
        let codes = self.enrols().confirm(caller, enrolment.token.expose_secret(), &code).await.unwrap();
        (secret, codes.iter().map(|code| code.expose().to_owned()).collect())
    }

    fn totp(&self, secret: &str) -> String {
        PlainAuthenticators::code(secret, self.gate.now())
    }

    async fn due(&self, email: &str) -> IssuedChallenge {
        self.due_with(email, PASSWORD).await
    }

    async fn due_with(&self, email: &str, text: &str) -> IssuedChallenge {
        match self.sign_in(email, text).await.unwrap() {
            SignIn::SecondFactorDue(due) => due,
            SignIn::Session(_) => panic!("no second factor was asked for"),
        }
    }
}

fn session(answer: Answer) -> SessionTokens {
    match answer {
        Answer::SignIn(SignIn::Session(tokens)) => *tokens,
        other => panic!("expected a session, not {other:?}"),
    }
}

fn proof(answer: Answer) -> String {
    match answer {
        Answer::Proof { proof, .. } => proof.expose_secret().to_owned(),
        other => panic!("expected a proof, not {other:?}"),
    }
}

fn bad_code<T: std::fmt::Debug>(answer: Result<T, AuthError>) -> bool {
    matches!(answer, Err(AuthError::BadCode))
}

fn wrong(code: &str) -> String {
    let first = if code.starts_with('0') { '1' } else { '0' };
    format!("{first}{}", &code[1..])
}

#[tokio::test]
async fn a_code_to_the_verified_phone_signs_in_once() {
    let house = House::default();
    let patient = house.reachable("p@example.org", Role::Patient, PHONE).await;
    let asked = house.request(sign_in(PHONE)).await.unwrap();
    assert_eq!(asked.expires_at, house.gate.now().plus(Duration::from_secs(300)));
    let (to, code) = house.sent().pop().unwrap();
    assert_eq!((to.as_str(), code.len()), (PHONE, 6));
    assert_eq!(house.store.journal.messages()[0].expires, asked.expires_at);
    assert!(bad_code(house.answer(asked.id, &wrong(&code)).await));
    let event = house.last_event();
    assert_eq!((event.action, event.outcome, event.account), (Action::CODE_VERIFY, Outcome::Refused, None));
    assert_eq!(event.subject.id, Some(patient.id.as_uuid()));
    let tokens = session(house.answer(asked.id, &format!(" {} ", &code)).await.unwrap());
    assert_eq!(house.authenticate(access(&tokens)).await.unwrap().account, patient.id);
    assert_eq!(house.last_event().action, Action::SESSION_START);
    assert!(bad_code(house.answer(asked.id, &code).await), "it is used up");
    assert!(bad_code(house.answer(fresh_id(), &code).await));
}

#[tokio::test]
async fn staff_and_resets_have_eight_digits() {
    let house = House::default();
    house.reachable("doc@example.org", Role::Doctor, PHONE).await;
    house.reachable("p@example.org", Role::Patient, ELSEWHERE).await;
    for request in [sign_in(PHONE), reset(ELSEWHERE)] {
        house.request(request).await.unwrap();
        assert_eq!(house.last_code().len(), 8);
    }
}

#[tokio::test]
async fn whether_a_phone_is_known_shows_in_nothing() {
    let house = House::default();
    let known = house.reachable("p@example.org", Role::Patient, PHONE).await;
    // Not verified, of a disabled account, of two, and of nobody.
    house.add("unverified@example.org", Role::Patient).await;
    let gone = house.reachable("gone@example.org", Role::Patient, "+9647500000001").await;
    house.change(Account { state: AccountState::Disabled, ..gone }).await;
    for n in 0..2 {
        house.reachable(&format!("child{n}@example.org"), Role::Patient, "+9647500000002").await;
    }
    let factor = house.reachable("factor@example.org", Role::Patient, "+9647500000003").await;
    house.change(Account { factors: Factors { whatsapp: true, totp: false }, ..factor }).await;
    for to in [PHONE, "+9647500000001", "+9647500000002", "+9647500000003", "+9647500000009"] {
        for request in [sign_in as fn(&str) -> CodeRequest, reset] {
            house.advance(60);
            let events = house.store.journal.events().len();
            let asked = house.request(request(to)).await.unwrap();
            assert_eq!(asked.expires_at.since(house.gate.now()).as_secs(), 300);
            assert_eq!(house.store.journal.events().len(), events + 1, "{to}");
            assert!(asked.methods.is_empty());
            let refused = house.request(request(to)).await;
            assert!(matches!(refused, Err(AuthError::TooManyCodes { retry_after }) if retry_after.as_secs() == 60));
            for n in 0..6 {
                assert!(bad_code(house.answer(asked.id, &format!("99999{n}")).await), "{to}");
            }
        }
    }
    let sent = house.sent();
    assert_eq!(sent.len(), 2);
    assert!(sent.iter().all(|(to, _)| to == known.phone.as_ref().unwrap().as_str()));
}

#[tokio::test]
async fn of_a_hundred_guesses_at_once_five_are_compared_and_then_not_even_the_right_one_helps() {
    let house = House::default();
    house.reachable("p@example.org", Role::Patient, PHONE).await;
    let asked = house.request(sign_in(PHONE)).await.unwrap();
    let code = house.last_code();
    let guesses = join_all((0..100).map(|_| house.answer(asked.id, "999999"))).await;
    assert!(guesses.into_iter().all(bad_code));
    let compared = house.store.journal.events();
    assert_eq!(compared.iter().filter(|event| event.action == Action::CODE_VERIFY).count(), 5);
    assert!(bad_code(house.answer(asked.id, &code).await));
}

#[tokio::test]
async fn a_code_is_over_after_five_minutes_or_with_the_next_one() {
    let house = House::default();
    house.reachable("p@example.org", Role::Patient, PHONE).await;
    let first = house.request(sign_in(PHONE)).await.unwrap();
    let code = house.last_code();
    house.advance(60);
    let second = house.request(sign_in(PHONE)).await.unwrap();
    assert!(bad_code(house.answer(first.id, &code).await));
    house.advance(300);
    assert!(bad_code(house.answer(second.id, &house.last_code()).await));
}

#[tokio::test]
async fn codes_go_to_listed_countries_only_and_no_more_than_the_house_pays_for() {
    let code_policy = CodePolicy { countries: vec![CallingCode::parse("+964").unwrap()], max_per_day: 1 };
    let house = House { code_policy, ..House::default() };
    for (n, to) in [PHONE, ELSEWHERE].into_iter().enumerate() {
        house.reachable(&format!("p{n}@example.org"), Role::Patient, to).await;
    }
    assert!(matches!(house.request(sign_in("+447700900123")).await, Err(AuthError::Invalid(_))));
    house.request(sign_in(PHONE)).await.unwrap();
    assert!(matches!(house.request(sign_in(ELSEWHERE)).await, Err(AuthError::TooManyCodes { .. })));
    assert_eq!(house.sent().len(), 1);
    house.advance(24 * 60 * 60);
    house.request(sign_in(ELSEWHERE)).await.unwrap();
}

#[tokio::test]
async fn a_password_is_reset_by_a_code_and_that_forgives_failures_and_ends_sessions() {
    let house = House::default();
    house.reachable("p@example.org", Role::Patient, PHONE).await;
    let before = house.login("p@example.org", PASSWORD).await.unwrap();
    let mut failures = 0;
    while failures < 100 {
        match house.login("p@example.org", OTHER).await {
            Err(AuthError::BadCredentials) => failures += 1,
            _ => house.advance(900),
        }
    }
    house.advance(3_600);
    assert!(
        matches!(house.login("p@example.org", PASSWORD).await, Err(AuthError::TooManyAttempts { .. })),
        "it is off"
    );
    let asked = house.request(reset(PHONE)).await.unwrap();
    let proof = proof(house.answer(asked.id, &house.last_code()).await.unwrap());
    let with = async |proof: &str, text: &str| house.resets().run(proof, text, &origin()).await;
    assert!(matches!(with(&proof, "short").await, Err(AuthError::Invalid(_))), "the proof is not used up");
    assert!(matches!(with(&proof[1..], OTHER).await, Err(AuthError::BadProof)));
    with(&proof, OTHER).await.unwrap();
    assert_eq!(house.last_event().action, Action::PASSWORD_RESET);
    assert!(matches!(with(&proof, PASSWORD).await, Err(AuthError::BadProof)), "once");
    assert!(matches!(house.authenticate(access(&before)).await, Err(AuthError::Unauthenticated)));
    assert!(matches!(house.login("p@example.org", PASSWORD).await, Err(AuthError::BadCredentials)));
    house.login("p@example.org", OTHER).await.unwrap();
}

#[tokio::test]
async fn a_proof_lives_five_minutes() {
    let house = House::default();
    house.reachable("p@example.org", Role::Patient, PHONE).await;
    let asked = house.request(reset(PHONE)).await.unwrap();
    let proof = proof(house.answer(asked.id, &house.last_code()).await.unwrap());
    house.advance(300);
    assert!(matches!(house.resets().run(&proof, OTHER, &origin()).await, Err(AuthError::BadProof)));
}

#[tokio::test]
async fn a_phone_is_verified_within_the_session_that_asked() {
    let house = House::default();
    house.add("p@example.org", Role::Patient).await;
    let (own, other) = (house.caller("p@example.org").await, house.caller("p@example.org").await);
    let ask = || CodeRequest::PhoneVerification(phone(ELSEWHERE));
    assert!(matches!(house.request(ask()).await, Err(AuthError::Unauthenticated)));
    let asked = house.requests().run(Some(&own), ask(), &own.origin).await.unwrap();
    let code = house.last_code();
    assert!(bad_code(house.answer(asked.id, &code).await));
    assert!(bad_code(house.answer_as(&other, asked.id, &code).await));
    let Answer::PhoneVerified(account) = house.answer_as(&own, asked.id, &code).await.unwrap() else {
        panic!("the phone is verified")
    };
    assert_eq!(account.verified_phone(), Some(&phone(ELSEWHERE)));
    assert_eq!(house.store.find(account.id).await.unwrap(), Some(account.clone()));
    house.advance(60);
    house.request(sign_in(ELSEWHERE)).await.unwrap();
    assert_eq!(house.sent().len(), 2, "it is a way in from now on");

    let me = ChangeMe { gate: house.gate.clone(), accounts: house.store.clone() };
    let changed = me.run(&own, account.version, None, Some(Some(phone(PHONE)))).await.unwrap();
    assert_eq!(changed.verified_phone(), None, "another phone is another person's until it is proved");
    house.advance(900);
    let late = house.requests().run(Some(&own), CodeRequest::PhoneVerification(phone(PHONE)), &own.origin).await;
    assert!(matches!(late, Err(AuthError::Access(AccessError::Refused(Refused::StepUp { .. })))));
}

#[tokio::test]
async fn with_an_authenticator_the_password_alone_opens_nothing() {
    let house = House::default();
    house.add("doc@example.org", Role::Doctor).await;
    let other = house.login("doc@example.org", PASSWORD).await.unwrap();
    let own = house.login("doc@example.org", PASSWORD).await.unwrap();
    let caller = house.authenticate(access(&own)).await.unwrap();
    let (secret, recovery) = house.enrol(&caller).await;
    assert_eq!(recovery.len(), 10);
    assert_eq!((house.last_event().action, house.last_event().fields), (Action::FACTOR_CHANGE, vec!["totp".into()]));
    assert!(house.authenticate(access(&own)).await.is_ok());
    assert!(matches!(house.authenticate(access(&other)).await, Err(AuthError::Unauthenticated)));

    let due = house.due("doc@example.org").await;
    assert_eq!(due.methods, [FactorMethod::Totp, FactorMethod::RecoveryCode]);
    assert!(bad_code(house.answer(due.id, &house.totp(&secret)).await), "the code of the enrolment was used");
    house.advance(30);
    assert!(bad_code(house.answer(due.id, "000000").await));
    let code = house.totp(&secret);
    session(house.answer(due.id, &code).await.unwrap());
    let again = house.due("doc@example.org").await;
    assert!(bad_code(house.answer(again.id, &code).await), "a time step is good once");
    session(house.answer(again.id, &recovery[3].to_uppercase()).await.unwrap());
    let third = house.due("doc@example.org").await;
    assert!(bad_code(house.answer(third.id, &recovery[3]).await), "a recovery code is good once");
    assert_eq!(house.factors().view(&caller).await.unwrap().recovery_codes_left, 9);
}

#[tokio::test]
async fn guesses_of_a_second_factor_wait_as_those_of_a_password_however_often_the_password_is_shown() {
    let house = House::default();
    house.add("doc@example.org", Role::Doctor).await;
    let caller = house.caller("doc@example.org").await;
    let (secret, _) = house.enrol(&caller).await;
    house.advance(30);
    for _ in 0..5 {
        let due = house.due("doc@example.org").await;
        assert!(bad_code(house.answer(due.id, "000000").await));
    }
    let due = house.due("doc@example.org").await;
    let refused = house.answer(due.id, &house.totp(&secret)).await;
    assert!(matches!(refused, Err(AuthError::TooManyAttempts { retry_after }) if retry_after.as_secs() == 1));
    house.advance(1);
    session(house.answer(due.id, &house.totp(&secret)).await.unwrap());
}

#[tokio::test]
async fn an_enrolment_is_confirmed_by_its_own_session_and_a_code_in_time() {
    let house = House::default();
    house.add("doc@example.org", Role::Doctor).await;
    let (own, other) = (house.caller("doc@example.org").await, house.caller("doc@example.org").await);
    let enrolment = house.enrols().begin(&own).await.unwrap();
    let token = enrolment.token.expose_secret();
    let code = || PlainAuthenticators::code(enrolment.invitation.secret.expose_secret(), house.gate.now());
    let confirm = async |caller: &Caller, token: &str, code: &str| {
        house.enrols().confirm(caller, token, code).await.map(|codes| codes.len())
    };
    assert!(matches!(confirm(&other, token, &code()).await, Err(AuthError::BadEnrolment)));
    assert!(matches!(confirm(&own, &token[1..], &code()).await, Err(AuthError::BadEnrolment)));
    assert!(bad_code(confirm(&own, token, &wrong(&code())).await));
    assert!(!house.store.find(own.account).await.unwrap().unwrap().factors.any());
    house.advance(600);
    assert!(matches!(confirm(&own, token, &code()).await, Err(AuthError::BadEnrolment)));
    house.advance(600);
    let refused = house.enrols().begin(&own).await.map(|_| ());
    assert!(matches!(refused, Err(AuthError::Access(AccessError::Refused(Refused::StepUp { .. })))));
}

#[tokio::test]
async fn a_phone_can_be_the_second_factor_and_is_no_way_in_then() {
    let house = House::default();
    house.add("doc@example.org", Role::Doctor).await;
    let caller = house.caller("doc@example.org").await;
    assert!(matches!(house.factors().add_whatsapp(&caller).await, Err(AuthError::PhoneNotVerified)));
    let account = house.store.find(caller.account).await.unwrap().unwrap();
    house.change(Account { phone_verified_at: Some(house.gate.now()), ..account }).await;
    let recovery = house.factors().add_whatsapp(&caller).await.unwrap().unwrap();
    assert_eq!(recovery.len(), 10);

    let due = house.due("doc@example.org").await;
    assert_eq!(due.methods, [FactorMethod::Whatsapp, FactorMethod::RecoveryCode]);
    let asked = house.request(CodeRequest::SecondFactor(due.id)).await.unwrap();
    let (to, code) = house.sent().pop().unwrap();
    assert_eq!((to.as_str(), code.len()), (PHONE, 8));
    assert!(bad_code(house.answer(due.id, &code).await), "it is of the other challenge");
    session(house.answer(asked.id, &code).await.unwrap());

    for request in [sign_in(PHONE), reset(PHONE)] {
        house.advance(900);
        house.request(request).await.unwrap();
    }
    assert_eq!(house.sent().len(), 1, "nothing is sent: the phone would be both factors");
    let refused = house.request(CodeRequest::SecondFactor(fresh_id())).await;
    assert!(matches!(refused, Err(AuthError::BadChallenge)));
    let me = ChangeMe { gate: house.gate.clone(), accounts: house.store.clone() };
    let caller = Caller { authenticated_at: house.gate.now(), ..caller };
    let version = house.store.find(caller.account).await.unwrap().unwrap().version;
    assert!(matches!(me.run(&caller, version, None, Some(None)).await, Err(AuthError::PhoneIsFactor)));
    house.factors().remove(&caller, FactorMethod::Whatsapp, &password(PASSWORD)).await.unwrap();
    house.login("doc@example.org", PASSWORD).await.unwrap();
}

#[tokio::test]
async fn a_session_that_is_there_already_does_not_stand_in_the_way_of_another_sign_in() {
    let house = House::default();
    house.reachable("doc@example.org", Role::Doctor, PHONE).await;
    let caller = house.caller("doc@example.org").await;
    house.factors().add_whatsapp(&caller).await.unwrap();
    let due = house.due("doc@example.org").await;
    let ask = CodeRequest::SecondFactor(due.id);
    let asked = house.requests().run(Some(&caller), ask, &caller.origin).await.unwrap();
    let other = session(house.answer(asked.id, &house.last_code()).await.unwrap());
    assert_ne!(other.session, caller.session);
}

#[tokio::test]
async fn an_outdated_hash_is_replaced_though_a_second_factor_is_due() {
    let house = House::default();
    let mut old = account("old@example.org", Role::Doctor);
    old.factors = Factors { totp: true, whatsapp: false };
    let new = NewAccount { account: old, password: FastHasher::outdated(&password(PASSWORD)), session: None };
    house.store.create(new, trail(Action::ACCOUNT_REGISTER)).await.unwrap();
    house.due("old@example.org").await;
    let kept = house.store.credential(&mail("old@example.org")).await.unwrap().unwrap().password.unwrap();
    assert!(!kept.as_stored().starts_with("old:"));
    house.due("old@example.org").await;
}

#[tokio::test]
async fn who_signs_in_by_phone_and_has_an_authenticator_shows_it_too() {
    let house = House::default();
    house.reachable("doc@example.org", Role::Doctor, PHONE).await;
    let caller = house.caller("doc@example.org").await;
    let (secret, _) = house.enrol(&caller).await;
    house.advance(30);
    let asked = house.request(sign_in(PHONE)).await.unwrap();
    let Answer::SignIn(SignIn::SecondFactorDue(due)) = house.answer(asked.id, &house.last_code()).await.unwrap() else {
        panic!("the phone is one factor")
    };
    assert_eq!(due.methods, [FactorMethod::Totp, FactorMethod::RecoveryCode]);
    assert!(matches!(house.request(CodeRequest::SecondFactor(due.id)).await, Err(AuthError::BadChallenge)));
    session(house.answer(due.id, &house.totp(&secret)).await.unwrap());
}

#[tokio::test]
async fn a_changed_password_or_a_disabled_account_ends_what_was_due() {
    let house = House::default();
    house.add("admin@example.org", Role::Admin).await;
    house.add("doc@example.org", Role::Doctor).await;
    let (admin, caller) = (house.caller("admin@example.org").await, house.caller("doc@example.org").await);
    let (secret, _) = house.enrol(&caller).await;
    house.advance(30);
    let due = house.due("doc@example.org").await;
    house.password_changes().run(&caller, &password(PASSWORD), OTHER).await.unwrap();
    assert!(bad_code(house.answer(due.id, &house.totp(&secret)).await));
    let due = house.due_with("doc@example.org", OTHER).await;
    house.changes().deactivate(&admin, caller.account).await.unwrap();
    assert!(bad_code(house.answer(due.id, &house.totp(&secret)).await));
}

#[tokio::test]
async fn a_session_is_confirmed_by_what_one_signs_in_with() {
    let house = House::default();
    house.add("doc@example.org", Role::Doctor).await;
    let tokens = house.login("doc@example.org", PASSWORD).await.unwrap();
    let caller = async || house.authenticate(access(&tokens)).await.unwrap();
    let recent = async || {
        let caller = caller().await;
        house.gate.step_up(&caller, Subject::all("test")).await.is_ok()
    };
    house.advance(600);
    let (secret, _) = house.enrol(&caller().await).await;
    house.factors().remove(&caller().await, FactorMethod::Totp, &password(PASSWORD)).await.unwrap();
    assert!(!house.store.find(caller().await.account).await.unwrap().unwrap().factors.any());
    house.advance(301);
    assert!(!recent().await);
    let confirm = async |text: &str| house.confirms().run(&caller().await, &password(text)).await;
    assert!(matches!(confirm(OTHER).await, Err(AuthError::BadCredentials)));
    assert!(!recent().await);
    assert!(matches!(confirm(PASSWORD).await.unwrap(), Confirmation::Done(at) if at == house.gate.now()));
    assert!(recent().await);
    assert_eq!(house.last_event().action, Action::SESSION_CONFIRM);

    assert_ne!(house.enrol(&caller().await).await.0, secret, "another enrolment is another secret");
}

#[tokio::test]
async fn with_a_second_factor_a_session_is_confirmed_by_both() {
    let house = House::default();
    house.add("doc@example.org", Role::Doctor).await;
    let tokens = house.login("doc@example.org", PASSWORD).await.unwrap();
    let caller = house.authenticate(access(&tokens)).await.unwrap();
    let (secret, _) = house.enrol(&caller).await;
    house.clock.advance(Duration::from_secs(899));
    let due = match house.confirms().run(&caller, &password(PASSWORD)).await.unwrap() {
        Confirmation::SecondFactorDue(due) => due,
        Confirmation::Done(_) => panic!("a factor is due"),
    };
    assert!(bad_code(house.answer(due.id, &house.totp(&secret)).await), "only within the session");
    let answer = house.answer_as(&caller, due.id, &house.totp(&secret)).await.unwrap();
    assert!(matches!(answer, Answer::Confirmed(at) if at == house.gate.now()));
    let caller = house.authenticate(access(&tokens)).await.unwrap();
    assert_eq!(caller.authenticated_at, house.gate.now());
}

#[tokio::test]
async fn a_short_password_stands_beside_a_factor_and_never_alone() {
    let house = House::default();
    house.add("doc@example.org", Role::Doctor).await;
    let caller = house.caller("doc@example.org").await;
    let change = async |from: &str, to: &str| house.password_changes().run(&caller, &password(from), to).await;
    assert!(matches!(change(PASSWORD, SHORT).await, Err(AuthError::Invalid(_))));
    house.enrol(&caller).await;
    change(PASSWORD, SHORT).await.unwrap();
    let remove = async |text: &str| house.factors().remove(&caller, FactorMethod::Totp, &password(text)).await;
    assert!(matches!(remove(PASSWORD).await, Err(AuthError::BadCredentials)));
    assert!(matches!(remove(SHORT).await, Err(AuthError::Invalid(_))));
    change(SHORT, OTHER).await.unwrap();
    remove(OTHER).await.unwrap();
    house.login("doc@example.org", OTHER).await.unwrap();
}

#[tokio::test]
async fn new_recovery_codes_take_the_place_of_the_old_ones() {
    let house = House::default();
    house.add("doc@example.org", Role::Doctor).await;
    let caller = house.caller("doc@example.org").await;
    assert!(matches!(house.factors().renew_recovery_codes(&caller).await, Err(AuthError::NoSecondFactor)));
    let (_, old) = house.enrol(&caller).await;
    let new = house.factors().renew_recovery_codes(&caller).await.unwrap();
    let due = house.due("doc@example.org").await;
    assert!(bad_code(house.answer(due.id, &old[0]).await));
    session(house.answer(due.id, new[0].expose()).await.unwrap());
}

#[tokio::test]
async fn where_a_second_factor_is_asked_of_staff_who_has_none_can_only_set_one_up() {
    let house = House { factor_policy: FactorPolicy::Staff, ..House::default() };
    house.add("admin@example.org", Role::Admin).await;
    house.add("p@example.org", Role::Patient).await;
    let tokens = house.login("admin@example.org", PASSWORD).await.unwrap();
    let admin = house.authenticate(access(&tokens)).await.unwrap();
    assert!(admin.must_enrol && !house.caller("p@example.org").await.must_enrol);
    for permission in Permission::ALL {
        let admitted = house.gate.admit(&admin, *permission, Subject::all("test")).await;
        let of_patient = house.gate.admit_to(&admin, *permission, fresh_id(), Subject::all("test")).await;
        if *permission == Permission::OwnAccount {
            admitted.unwrap();
            continue;
        }
        for refused in [admitted, of_patient] {
            assert!(matches!(refused, Err(AccessError::Refused(Refused::SecondFactor))), "{permission:?}");
        }
    }
    house.queries().me(&admin).await.unwrap();
    house.own_account(access(&tokens)).await.unwrap();
    assert!(house.factors().view(&admin).await.unwrap().required);
    house.enrol(&admin).await;
    let enrolled = house.authenticate(access(&tokens)).await.unwrap();
    assert!(!enrolled.must_enrol, "the same session goes on, without being asked again");
    house.queries().accounts(&enrolled, None, &Default::default()).await.unwrap();
}

#[tokio::test]
async fn an_admin_lets_somebody_begin_again_who_lost_password_or_factor() {
    let house = House::default();
    house.add("admin@example.org", Role::Admin).await;
    house.reachable("p@example.org", Role::Patient, PHONE).await;
    let (admin, patient) = (house.caller("admin@example.org").await, house.caller("p@example.org").await);
    house.enrol(&patient).await;
    let run = async |caller: &Caller, id| house.restarts().run(caller, id).await;
    let refused = run(&patient, patient.account).await;
    assert!(matches!(refused, Err(AuthError::Access(AccessError::Refused(Refused::Role { .. })))));
    let (_, first, _) = run(&admin, patient.account).await.unwrap();
    assert!(matches!(house.login("p@example.org", PASSWORD).await, Err(AuthError::BadCredentials)));
    let (account, second, expires_at) = run(&admin, patient.account).await.unwrap();
    assert_eq!(expires_at.since(house.gate.now()).as_secs(), 24 * 60 * 60);
    assert_eq!(
        (account.state, account.factors, account.verified_phone()),
        (AccountState::Invited, Factors::NONE, None)
    );
    let accept = async |code: &str| house.accepts().run(code, OTHER, &origin()).await;
    if first.expose() != second.expose() {
        assert!(matches!(accept(first.expose()).await, Err(AuthError::BadInvitation)));
    }
    let tokens = accept(second.expose()).await.unwrap();
    let back = house.authenticate(access(&tokens)).await.unwrap();
    assert_eq!((back.role, back.patient), (Role::Patient, patient.patient));
    assert!(matches!(house.login("p@example.org", PASSWORD).await, Err(AuthError::BadCredentials)));
    house.login("p@example.org", OTHER).await.unwrap();

    assert!(matches!(run(&admin, admin.account).await, Err(AuthError::LastAdmin)));
    assert!(matches!(run(&admin, fresh_id()).await, Err(AuthError::NotFound)));
}

#[tokio::test]
async fn who_begins_again_and_is_shut_out_meanwhile_does_not_come_back_with_the_old_password() {
    let house = House::default();
    house.add("admin@example.org", Role::Admin).await;
    let doctor = house.add("doc@example.org", Role::Doctor).await;
    let admin = house.caller("admin@example.org").await;
    house.restarts().run(&admin, doctor.id).await.unwrap();
    house.changes().deactivate(&admin, doctor.id).await.unwrap();
    assert!(matches!(house.restarts().run(&admin, doctor.id).await, Err(AuthError::Disabled)));
    let version = house.store.find(doctor.id).await.unwrap().unwrap().version;
    let back = AccountChange { active: Some(true), ..AccountChange::default() };
    let account = house.changes().run(&admin, doctor.id, version, back).await.unwrap();
    assert_eq!(account.state, AccountState::Invited);
    assert!(matches!(house.login("doc@example.org", PASSWORD).await, Err(AuthError::BadCredentials)));
    assert!(house.store.credential(&mail("doc@example.org")).await.unwrap().is_some());
}

#[tokio::test]
async fn an_address_that_fails_at_second_factors_is_shut_like_one_that_fails_at_passwords() {
    let house = House::default();
    for n in 0..5 {
        house.add(&format!("doc{n}@example.org"), Role::Doctor).await;
        let caller = house.caller(&format!("doc{n}@example.org")).await;
        house.enrol(&caller).await;
    }
    let bad = Origin { address: "203.0.113.9".parse().ok(), ..origin() };
    for n in 0..5 {
        for _ in 0..4 {
            let due = house.due(&format!("doc{n}@example.org")).await;
            assert!(bad_code(house.answers().run(None, due.id, "000000", &bad).await));
        }
    }
    let due = house.due("doc4@example.org").await;
    let refused = house.answers().run(None, due.id, "000000", &bad).await;
    assert!(matches!(refused, Err(AuthError::TooManyAttempts { retry_after }) if retry_after.as_secs() == 600));
    assert_eq!(Challenge::MAX_TRIES, 5);
}
