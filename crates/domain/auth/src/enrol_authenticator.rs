use std::{sync::Arc, time::Duration};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use infirmary_kernel::{Action, Caller, Entropy, Gate, Permission, Signer, Subject, Timestamp, Trail};
use secrecy::{ExposeSecret, SecretString};
use subtle::ConstantTimeEq;

use crate::{
    Account, AccountStore, AuthError, Authenticator, AuthenticatorInvitation, Authenticators, ChangedFactors,
    FactorStore, Factors, OneTimeCode, RecoveryCode,
};

/// Somebody brings a secret of ours into their authenticator application, and shows a code of it.
///
/// Until then nothing is stored: the secret is made of a seed, and the seed travels with the person, under our signature.
pub struct EnrolAuthenticator {
    pub gate: Gate,
    pub accounts: Arc<dyn AccountStore>,
    pub factors: Arc<dyn FactorStore>,
    pub authenticators: Arc<dyn Authenticators>,
    pub signer: Arc<dyn Signer>,
    pub entropy: Arc<dyn Entropy>,
}

/// An application that is being set up.
pub struct Enrolment {
    /// To be given back with the first code.
    pub token: SecretString,
    pub expires_at: Timestamp,
    pub invitation: AuthenticatorInvitation,
}

impl EnrolAuthenticator {
    pub const TTL_SECONDS: u64 = 10 * 60;

    pub async fn begin(&self, caller: &Caller) -> Result<Enrolment, AuthError> {
        let account = self.admit(caller).await?;
        let mut seed = [0; Authenticator::SEED_BYTES];
        self.entropy.fill(&mut seed);
        let expires_at = self.gate.now().plus(Duration::from_secs(Self::TTL_SECONDS));
        let secret = Authenticator::secret(account.id, &seed, &*self.signer);
        let invitation = self.authenticators.invitation(&secret, &account.email);
        Ok(Enrolment { token: Token { seed, expires_at }.to_text(caller, &*self.signer), expires_at, invitation })
    }

    /// The recovery codes, which are shown now and never again. Every other session of the account ends: it was signed in to
    /// without the factor.
    pub async fn confirm(&self, caller: &Caller, token: &str, code: &str) -> Result<Vec<RecoveryCode>, AuthError> {
        let mut account = self.admit(caller).await?;
        let now = self.gate.now();
        let token = Token::parse(token, caller, &*self.signer).filter(|token| token.expires_at > now);
        let seed = token.ok_or(AuthError::BadEnrolment)?.seed;
        let secret = Authenticator::secret(account.id, &seed, &*self.signer);
        // Who has the token has the secret: there is nothing to be guessed here, and nothing to be counted.
        let typed = OneTimeCode::typed(code).ok_or(AuthError::BadCode)?;
        let step = self.authenticators.step_of(typed.expose_secret(), &secret, now).ok_or(AuthError::BadCode)?;
        let codes = RecoveryCode::draw_all(&*self.entropy);
        account.factors = Factors { totp: true, ..account.factors };
        account.version += 1;
        let event = self.gate.event(caller, Action::FACTOR_CHANGE, account.subject()).changing(["totp"]);
        let changed = ChangedFactors {
            recovery: Some(codes.iter().map(|code| code.digest(account.id, &*self.signer)).collect()),
            account,
            authenticator: Some(Authenticator { seed, last_step: step }),
            keep: caller.session,
            trail: Trail::new(event),
        };
        self.factors.change(changed).await?;
        Ok(codes)
    }

    async fn admit(&self, caller: &Caller) -> Result<Account, AuthError> {
        let subject = Subject::new("account", caller.account);
        self.gate.admit(caller, Permission::OwnAccount, subject.clone()).await?;
        self.gate.step_up(caller, subject).await?;
        self.accounts.find(caller.account).await?.ok_or(AuthError::Unauthenticated)
    }
}

/// A seed on its way, bound to the session that asked for it.
struct Token {
    seed: [u8; Authenticator::SEED_BYTES],
    expires_at: Timestamp,
}

impl Token {
    const BYTES: usize = Authenticator::SEED_BYTES + 8 + 32;
    const TEXT_CHARS: usize = (Self::BYTES * 8).div_ceil(6);

    fn parse(text: &str, caller: &Caller, signer: &dyn Signer) -> Option<Self> {
        if text.len() != Self::TEXT_CHARS {
            return None;
        }
        let bytes: [u8; Self::BYTES] = URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok()?;
        let (seed, rest) = bytes.split_first_chunk::<{ Authenticator::SEED_BYTES }>()?;
        let (expires_at, mac) = rest.split_first_chunk::<8>()?;
        let token = Self { seed: *seed, expires_at: Timestamp::from_unix_ms(i64::from_be_bytes(*expires_at)) };
        bool::from(token.mac(caller, signer).as_slice().ct_eq(mac)).then_some(token)
    }

    fn to_text(&self, caller: &Caller, signer: &dyn Signer) -> SecretString {
        let parts = [self.seed.as_slice(), &self.expires_at.unix_ms().to_be_bytes(), &self.mac(caller, signer)];
        URL_SAFE_NO_PAD.encode(parts.concat()).into()
    }

    fn mac(&self, caller: &Caller, signer: &dyn Signer) -> [u8; 32] {
        let (account, session) = (caller.account.as_uuid(), caller.session.as_uuid());
        let payload =
            [account.as_bytes().as_slice(), session.as_bytes(), &self.seed, &self.expires_at.unix_ms().to_be_bytes()];
        signer.mac("authenticator enrolment", &payload.concat())
    }
}
