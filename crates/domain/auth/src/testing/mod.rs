//! The laws of the crate's stores as a suite, stores in memory that pass it, a hasher that is fast, and tokens that are
//! plain.

pub mod laws;
mod memory;

use std::{
    collections::HashSet,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use async_trait::async_trait;
use infirmary_kernel::{
    AccountId, Clock, EmailAddress, PersonName, PhoneNumber, Role, SessionId, Sha256Digest, Signer, Timestamp,
    testing::{CountingEntropy, ManualClock, TestSigner, fresh_id},
};
use secrecy::SecretString;

use crate::{
    AccessClaims, AccessTokens, Account, AccountState, AccountStore, AttemptStore, AuthenticatorInvitation,
    AuthenticatorSecret, Authenticators, CodeStore, FactorStore, Factors, HasherError, InvitationStore, Password,
    PasswordHash, PasswordHasher, SessionStore, TokenIssuer, Verdict,
};

pub use memory::MemoryAuth;

/// The stores under test, or of a test: all of one memory or database.
#[derive(Clone)]
pub struct Stores {
    pub accounts: Arc<dyn AccountStore>,
    pub invitations: Arc<dyn InvitationStore>,
    pub sessions: Arc<dyn SessionStore>,
    pub attempts: Arc<dyn AttemptStore>,
    pub codes: Arc<dyn CodeStore>,
    pub factors: Arc<dyn FactorStore>,
}

impl Stores {
    /// Of an adapter that is all of them.
    pub fn of<S>(store: Arc<S>) -> Self
    where
        S: AccountStore + InvitationStore + SessionStore + AttemptStore + CodeStore + FactorStore + 'static,
    {
        Self {
            accounts: store.clone(),
            invitations: store.clone(),
            sessions: store.clone(),
            attempts: store.clone(),
            codes: store.clone(),
            factors: store,
        }
    }
}

/// An active account of that role, created at the time the manual clock starts. Patients have a record.
pub fn account(email: &str, role: Role) -> Account {
    let now = ManualClock::default().now();
    Account {
        id: fresh_id(),
        email: EmailAddress::parse(email).expect("an e-mail of a test is valid"),
        name: PersonName::parse("Ada Lovelace").expect("a name of a test is valid"),
        phone: PhoneNumber::parse("+9647501234567").ok(),
        phone_verified_at: None,
        factors: Factors::NONE,
        role,
        state: AccountState::Active,
        patient: (role == Role::Patient).then(fresh_id),
        created_at: now,
        joined_at: Some(now),
        version: 1,
    }
}

/// An issuer of plain tokens.
pub fn issuer() -> TokenIssuer {
    TokenIssuer {
        access: Arc::new(PlainTokens),
        signer: Arc::new(TestSigner),
        entropy: Arc::new(CountingEntropy::default()),
    }
}

/// The claims as text, and a signature that everybody can make.
pub struct PlainTokens;

impl AccessTokens for PlainTokens {
    fn issue(&self, claims: &AccessClaims) -> SecretString {
        let AccessClaims { account, session, issued_at, not_before, expires_at } = claims;
        let text = format!("{account}.{session}.{issued_at}.{not_before}.{expires_at}");
        let mac = Sha256Digest::from_bytes(TestSigner.mac("plain token", text.as_bytes()));
        format!("{text}.{mac}").into()
    }

    fn verify(&self, token: &str) -> Option<AccessClaims> {
        let (text, mac) = token.rsplit_once('.')?;
        let signed = TestSigner.mac("plain token", text.as_bytes()) == *Sha256Digest::parse(mac).ok()?.as_bytes();
        let parts: Vec<&str> = text.split('.').collect();
        let [account, session, issued_at, not_before, expires_at] = parts.as_slice() else { return None };
        let claims = AccessClaims {
            account: AccountId::parse(account).ok()?,
            session: SessionId::parse(session).ok()?,
            issued_at: issued_at.parse().ok()?,
            not_before: not_before.parse().ok()?,
            expires_at: expires_at.parse().ok()?,
        };
        signed.then_some(claims)
    }
}

/// Six digits of SHA-256 over secret and step. As strict as a real authenticator, and no real one.
pub struct PlainAuthenticators;

impl PlainAuthenticators {
    const STEP_SECONDS: i64 = 30;

    /// What the application shows into which that secret, in hexadecimal, was brought.
    pub fn code(secret: &str, now: Timestamp) -> String {
        Self::code_of(secret, u64::try_from(now.unix_seconds() / Self::STEP_SECONDS).unwrap_or(0))
    }

    fn code_of(secret: &str, step: u64) -> String {
        let mac = TestSigner.mac("plain authenticator", format!("{secret}{step}").as_bytes());
        let number = mac.iter().take(4).fold(0_u32, |number, byte| (number << 8) | u32::from(*byte));
        format!("{:06}", number % 1_000_000)
    }

    fn text(secret: &AuthenticatorSecret) -> String {
        secret.expose().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

impl Authenticators for PlainAuthenticators {
    fn invitation(&self, secret: &AuthenticatorSecret, email: &EmailAddress) -> AuthenticatorInvitation {
        let text = Self::text(secret);
        AuthenticatorInvitation {
            uri: format!("otpauth://totp/{}?secret={text}", email.as_str()).into(),
            qr_code: format!("<svg>{text}</svg>").into(),
            secret: text.into(),
        }
    }

    fn step_of(&self, code: &str, secret: &AuthenticatorSecret, now: Timestamp) -> Option<u64> {
        let step = u64::try_from(now.unix_seconds() / Self::STEP_SECONDS).ok()?;
        let text = Self::text(secret);
        [step, step - 1, step + 1].into_iter().find(|step| Self::code_of(&text, *step) == code)
    }
}

/// Salted SHA-256: as strict as the real one, and fast. `old:` before a hash makes it outdated.
#[derive(Default)]
pub struct FastHasher {
    salts: AtomicU64,
    /// How many passwords were compared, with a hash or without.
    pub compared: AtomicU64,
    pub busy: AtomicBool,
}

impl FastHasher {
    fn digest(salt: &str, password: &Password) -> String {
        format!("{salt}:{}", Sha256Digest::of(format!("{salt}:{}", password.expose()).as_bytes()))
    }

    /// What the replaced system would have kept of the password.
    pub fn outdated(password: &Password) -> PasswordHash {
        PasswordHash::from_stored(format!("old:{}", Self::digest("0", password)))
    }

    fn free(&self) -> Result<(), HasherError> {
        if self.busy.load(Ordering::SeqCst) { Err(HasherError::Busy) } else { Ok(()) }
    }
}

#[async_trait]
impl PasswordHasher for FastHasher {
    async fn hash(&self, password: &Password) -> Result<PasswordHash, HasherError> {
        self.free()?;
        let salt = self.salts.fetch_add(1, Ordering::SeqCst).to_string();
        Ok(PasswordHash::from_stored(Self::digest(&salt, password)))
    }

    async fn verify(&self, password: &Password, hash: Option<PasswordHash>) -> Result<Verdict, HasherError> {
        self.free()?;
        self.compared.fetch_add(1, Ordering::SeqCst);
        let Some(hash) = hash else { return Ok(Verdict::Wrong) };
        let (right, stored) = match hash.as_stored().strip_prefix("old:") {
            Some(stored) => (Verdict::RightButOutdated, stored),
            None => (Verdict::Right, hash.as_stored()),
        };
        let salt = stored
            .split_once(':')
            .map(|(salt, _)| salt)
            .ok_or_else(|| HasherError::Unreadable { reason: "no salt".to_owned() })?;
        Ok(if Self::digest(salt, password) == stored { right } else { Verdict::Wrong })
    }
}

/// The laws of [`PasswordHasher`] that do not need load.
pub async fn hasher_laws(hasher: &dyn PasswordHasher) {
    let arabic = "كلمة مرور طويلة جدا جدا لا يعرفها احد غيري";
    let passwords: Vec<Password> = ["short", arabic, &format!("{arabic} "), &format!("{arabic}1"), "Zo\u{eb}"]
        .into_iter()
        .map(|text| Password::parse(text).expect("bounded"))
        .collect();
    let mut hashes = HashSet::new();
    for password in &passwords {
        let hash = hasher.hash(password).await.expect("hashed");
        for other in &passwords {
            let expected = if other.expose() == password.expose() { Verdict::Right } else { Verdict::Wrong };
            assert_eq!(hasher.verify(other, Some(hash.clone())).await.expect("compared"), expected);
        }
        hashes.insert(hash.as_stored().to_owned());
    }
    hashes.insert(hasher.hash(&passwords[0]).await.expect("hashed").as_stored().to_owned());
    assert_eq!(hashes.len(), passwords.len() + 1, "two hashes of one password are different");
    assert_eq!(hasher.verify(&passwords[0], None).await.expect("compared"), Verdict::Wrong);
    let decomposed = Password::parse("Zoe\u{308}").expect("bounded");
    let hash = hasher.hash(&passwords[4]).await.expect("hashed");
    assert_eq!(hasher.verify(&decomposed, Some(hash)).await.expect("compared"), Verdict::Right);
    let garbage = Some(PasswordHash::from_stored("garbage".to_owned()));
    assert!(matches!(hasher.verify(&passwords[0], garbage).await, Err(HasherError::Unreadable { .. })));
}
