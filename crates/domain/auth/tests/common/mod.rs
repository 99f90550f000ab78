//! A house in memory, with all its use cases.

#![allow(clippy::unwrap_used, reason = "a test may stop")]
#![allow(dead_code, reason = "each test file uses its part")]

use std::{sync::Arc, time::Duration};

use infirmary_auth::{
    AcceptInvitation, Account, AccountStore, AnswerChallenge, AuthError, Authenticate, ChangeAccount, ChangeFactors,
    ChangePassword, CodePolicy, ConfirmSession, EndSession, EnrolAuthenticator, FactorPolicy, InviteStaff, Login,
    NewAccount, NewStaff, Password, PasswordDoor, PasswordHasher, PasswordPolicy, Queries, RefreshSession, RequestCode,
    ResetPasswordByCode, RestartAccount, SessionTokens, SignIn, TokenIssuer,
    testing::{FastHasher, MemoryAuth, PlainAuthenticators, PlainTokens, account, issuer},
};
use infirmary_kernel::{
    Action, Caller, EmailAddress, Event, Gate, Origin, Role,
    testing::{CountingEntropy, CountingIds, ManualClock, MemoryConfidentiality, origin, trail},
};
use secrecy::ExposeSecret;

pub const PASSWORD: &str = "correct horse battery";
pub const OTHER: &str = "incorrect donkey socket";

pub struct House {
    pub gate: Gate,
    pub clock: Arc<ManualClock>,
    pub store: Arc<MemoryAuth>,
    pub hasher: Arc<FastHasher>,
    pub issuer: TokenIssuer,
    pub factor_policy: FactorPolicy,
    pub code_policy: CodePolicy,
}

impl Default for House {
    fn default() -> Self {
        let (store, clock) = (Arc::new(MemoryAuth::default()), Arc::new(ManualClock::default()));
        let journal = Arc::new(store.journal.clone());
        let gate = Gate::new(
            journal.clone(),
            journal,
            Arc::new(MemoryConfidentiality::default()),
            clock.clone(),
            Arc::new(CountingIds::default()),
        );
        Self {
            gate,
            clock,
            store,
            hasher: Arc::default(),
            issuer: issuer(),
            factor_policy: FactorPolicy::Optional,
            code_policy: CodePolicy::default(),
        }
    }
}

impl House {
    pub fn door(&self) -> PasswordDoor {
        PasswordDoor {
            gate: self.gate.clone(),
            accounts: self.store.clone(),
            attempts: self.store.clone(),
            hasher: self.hasher.clone(),
        }
    }
    pub fn logins(&self) -> Login {
        Login {
            door: self.door(),
            sessions: self.store.clone(),
            codes: self.store.clone(),
            issuer: self.issuer.clone(),
        }
    }
    pub fn refreshes(&self) -> RefreshSession {
        RefreshSession { gate: self.gate.clone(), sessions: self.store.clone(), issuer: self.issuer.clone() }
    }
    pub fn ends(&self) -> EndSession {
        EndSession { gate: self.gate.clone(), sessions: self.store.clone() }
    }
    pub fn password_changes(&self) -> ChangePassword {
        ChangePassword { door: self.door(), policy: policy() }
    }
    pub fn invites(&self) -> InviteStaff {
        InviteStaff {
            gate: self.gate.clone(),
            accounts: self.store.clone(),
            invitations: self.store.clone(),
            entropy: Arc::new(CountingEntropy::starting_at(1_000)),
        }
    }
    pub fn accepts(&self) -> AcceptInvitation {
        AcceptInvitation {
            gate: self.gate.clone(),
            invitations: self.store.clone(),
            hasher: self.hasher.clone(),
            policy: policy(),
            issuer: self.issuer.clone(),
        }
    }
    pub fn changes(&self) -> ChangeAccount {
        ChangeAccount { gate: self.gate.clone(), accounts: self.store.clone(), attempts: self.store.clone() }
    }
    pub fn restarts(&self) -> RestartAccount {
        RestartAccount {
            gate: self.gate.clone(),
            accounts: self.store.clone(),
            invitations: self.store.clone(),
            attempts: self.store.clone(),
            entropy: Arc::new(CountingEntropy::starting_at(2_000)),
        }
    }
    pub fn requests(&self) -> RequestCode {
        RequestCode {
            gate: self.gate.clone(),
            accounts: self.store.clone(),
            codes: self.store.clone(),
            signer: self.issuer.signer.clone(),
            entropy: self.issuer.entropy.clone(),
            policy: self.code_policy.clone(),
        }
    }
    pub fn answers(&self) -> AnswerChallenge {
        AnswerChallenge {
            gate: self.gate.clone(),
            accounts: self.store.clone(),
            codes: self.store.clone(),
            factors: self.store.clone(),
            attempts: self.store.clone(),
            authenticators: Arc::new(PlainAuthenticators),
            issuer: self.issuer.clone(),
        }
    }
    pub fn resets(&self) -> ResetPasswordByCode {
        ResetPasswordByCode {
            gate: self.gate.clone(),
            accounts: self.store.clone(),
            codes: self.store.clone(),
            attempts: self.store.clone(),
            hasher: self.hasher.clone(),
            policy: policy(),
            signer: self.issuer.signer.clone(),
        }
    }
    pub fn confirms(&self) -> ConfirmSession {
        ConfirmSession { door: self.door(), sessions: self.store.clone(), codes: self.store.clone() }
    }
    pub fn enrols(&self) -> EnrolAuthenticator {
        EnrolAuthenticator {
            gate: self.gate.clone(),
            accounts: self.store.clone(),
            factors: self.store.clone(),
            authenticators: Arc::new(PlainAuthenticators),
            signer: self.issuer.signer.clone(),
            entropy: self.issuer.entropy.clone(),
        }
    }
    pub fn factors(&self) -> ChangeFactors {
        ChangeFactors {
            door: self.door(),
            factors: self.store.clone(),
            signer: self.issuer.signer.clone(),
            entropy: self.issuer.entropy.clone(),
            policy: self.factor_policy,
        }
    }
    pub fn queries(&self) -> Queries {
        Queries { gate: self.gate.clone(), accounts: self.store.clone(), sessions: self.store.clone() }
    }

    fn authenticates(&self) -> Authenticate {
        let gate = self.gate.clone();
        let sessions = self.store.clone();
        let factor_policy = self.factor_policy;
        Authenticate { gate, tokens: Arc::new(PlainTokens), sessions, factor_policy }
    }
    pub async fn authenticate(&self, token: &str) -> Result<Caller, AuthError> {
        self.authenticates().run(token, origin()).await
    }
    pub async fn own_account(&self, token: &str) -> Result<Account, AuthError> {
        self.authenticates().own_account(token, origin()).await
    }

    /// An account with [`PASSWORD`].
    pub async fn add(&self, email: &str, role: Role) -> Account {
        let account = account(email, role);
        let password = self.hasher.hash(&password(PASSWORD)).await.unwrap();
        let new = NewAccount { account: account.clone(), password, session: None };
        self.store.create(new, trail(Action::ACCOUNT_REGISTER)).await.unwrap();
        account
    }

    pub async fn sign_in(&self, email: &str, text: &str) -> Result<SignIn, AuthError> {
        self.logins().run(&mail(email), &password(text), &origin()).await
    }

    /// Of an account without a second factor.
    pub async fn login_from(&self, email: &str, text: &str, address: &str) -> Result<SessionTokens, AuthError> {
        let origin = Origin { address: address.parse().ok(), ..origin() };
        match self.logins().run(&mail(email), &password(text), &origin).await? {
            SignIn::Session(tokens) => Ok(*tokens),
            SignIn::SecondFactorDue(due) => panic!("a second factor is due: {due:?}"),
        }
    }

    pub async fn login(&self, email: &str, text: &str) -> Result<SessionTokens, AuthError> {
        self.login_from(email, text, "192.0.2.1").await
    }

    /// Signed in with [`PASSWORD`].
    pub async fn caller(&self, email: &str) -> Caller {
        let tokens = self.login(email, PASSWORD).await.unwrap();
        self.authenticate(access(&tokens)).await.unwrap()
    }

    pub async fn refresh(&self, token: &str) -> Result<SessionTokens, AuthError> {
        self.refreshes().run(token, &origin()).await
    }

    pub fn last_event(&self) -> Event {
        self.store.journal.events().pop().unwrap()
    }

    pub fn advance(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }
}

pub fn policy() -> PasswordPolicy {
    PasswordPolicy::new("St Mary's Hospital")
}

pub fn password(text: &str) -> Password {
    Password::parse(text).unwrap()
}

pub fn mail(text: &str) -> EmailAddress {
    EmailAddress::parse(text).unwrap()
}

pub fn access(tokens: &SessionTokens) -> &str {
    tokens.access_token.expose_secret()
}

pub fn refresh(tokens: &SessionTokens) -> &str {
    tokens.refresh_token.expose_secret()
}

pub fn staff(email: &str, role: Role) -> NewStaff {
    NewStaff { email: mail(email), name: account(email, role).name, role, phone: None }
}
