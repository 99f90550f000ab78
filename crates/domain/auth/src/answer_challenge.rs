use std::{sync::Arc, time::Duration};

use infirmary_kernel::{
    Action, Caller, ChallengeId, Event, Gate, Origin, PhoneNumber, SessionId, Subject, Timestamp, Trail, WriteError,
};
use secrecy::{ExposeSecret, SecretString};

use crate::{
    Account, AccountStore, Admission, AnsweredChallenge, Attempt, AttemptStore, AuthError, Authenticator,
    Authenticators, Challenge, CodePurpose, CodeStore, FactorMethod, FactorStore, Granted, IssuedChallenge,
    OneTimeCode, RecoveryCode, SignIn, Spent, TokenIssuer, codes::Proof,
};

/// What a right answer gave.
#[derive(Debug)]
pub enum Answer {
    SignIn(SignIn),
    /// The session of the caller counts as newly authenticated from then on.
    Confirmed(Timestamp),
    PhoneVerified(Account),
    /// To be shown at the reset of the password.
    Proof {
        proof: SecretString,
        expires_at: Timestamp,
    },
}

/// Somebody answers a challenge: with the code that was sent, or, where a second factor is due, with what the account has.
///
/// Each answer is counted before it is compared. Whatever is wrong with one, the caller hears the same.
pub struct AnswerChallenge {
    pub gate: Gate,
    pub accounts: Arc<dyn AccountStore>,
    pub codes: Arc<dyn CodeStore>,
    pub factors: Arc<dyn FactorStore>,
    pub attempts: Arc<dyn AttemptStore>,
    pub authenticators: Arc<dyn Authenticators>,
    pub issuer: TokenIssuer,
}

impl AnswerChallenge {
    pub async fn run(
        &self,
        caller: Option<&Caller>,
        id: ChallengeId,
        typed: &str,
        origin: &Origin,
    ) -> Result<Answer, AuthError> {
        let typed = OneTimeCode::typed(typed).ok_or(AuthError::BadCode)?;
        let session = caller.map(|caller| caller.session);
        let now = self.gate.now();
        let asked = |challenge: &Challenge| challenge.is_for(session) && !challenge.is_over(now);
        let challenge = self.codes.find(id).await?.filter(asked).ok_or(AuthError::BadCode)?;
        let guarded = match (challenge.purpose, challenge.account) {
            (CodePurpose::SecondFactor, Some(account)) => {
                Some(Attempt::of_second_factor(account, origin.address, self.gate.now()))
            }
            _ => None,
        };
        if let Some(attempt) = &guarded
            && let Admission::Refused { retry_after, first } = self.attempts.begin(attempt).await?
        {
            if first {
                self.gate.note(self.event(caller, &challenge, origin).refused("too many attempts")).await?;
            }
            return Err(AuthError::TooManyAttempts { retry_after });
        }
        if !self.codes.attempt(id, session, self.gate.now()).await? {
            return Err(AuthError::BadCode);
        }
        let spent = self.spent(&challenge, &typed).await?;
        let (Some(spent), Some(account)) = (spent, challenge.account) else {
            if let Some(attempt) = &guarded {
                self.attempts.fail(attempt).await?;
            }
            self.gate.note(self.event(caller, &challenge, origin).refused("wrong code")).await?;
            return Err(AuthError::BadCode);
        };
        let account = self.accounts.find(account).await?.filter(Account::is_active).ok_or(AuthError::BadCode)?;
        // Before the write: after it the challenge is used, and there is nothing to come back with, should this fail.
        if let Some(attempt) = &guarded {
            self.attempts.clear(&attempt.email).await?;
        }
        self.grant(&challenge, account, spent, origin).await
    }

    /// Of [`CodePurpose::PhoneCheck`]: that whoever answers holds the phone. It is good for nothing here, and once.
    pub async fn holds_phone(
        &self,
        id: ChallengeId,
        phone: &PhoneNumber,
        typed: &str,
        origin: &Origin,
    ) -> Result<(), AuthError> {
        let typed = OneTimeCode::typed(typed).ok_or(AuthError::BadCode)?;
        let asked = |challenge: &Challenge| {
            challenge.purpose == CodePurpose::PhoneCheck
                && challenge.phone.as_ref() == Some(phone)
                && !challenge.is_over(self.gate.now())
        };
        let challenge = self.codes.find(id).await?.filter(asked).ok_or(AuthError::BadCode)?;
        if !self.codes.attempt(id, None, self.gate.now()).await? {
            return Err(AuthError::BadCode);
        }
        let event = self.event(None, &challenge, origin);
        if !challenge.is_answered_by(typed.expose_secret(), &*self.issuer.signer) {
            self.gate.note(event.refused("wrong code")).await?;
            return Err(AuthError::BadCode);
        }
        match self.codes.close(id, Trail::new(event)).await {
            Err(WriteError::Stale) => Err(AuthError::BadCode),
            closed => Ok(closed?),
        }
    }

    /// By what the answer is right, if it is.
    async fn spent(&self, challenge: &Challenge, typed: &SecretString) -> Result<Option<Spent>, AuthError> {
        let (typed, signer) = (typed.expose_secret(), &*self.issuer.signer);
        if challenge.is_answered_by(typed, signer) {
            return Ok(Some(Spent::Code));
        }
        let (CodePurpose::SecondFactor, Some(account)) = (challenge.purpose, challenge.account) else {
            return Ok(None);
        };
        let kept = self.factors.find(account).await?;
        if let Some(Authenticator { seed, last_step }) = &kept.authenticator {
            let secret = Authenticator::secret(account, seed, signer);
            let step = self.authenticators.step_of(typed, &secret, self.gate.now());
            if let Some(step) = step.filter(|step| step > last_step) {
                return Ok(Some(Spent::Step(step)));
            }
        }
        let digest = RecoveryCode::digest_of(typed, account, signer);
        Ok(kept.recovery_code(&digest).map(Spent::RecoveryCode))
    }

    async fn grant(
        &self,
        challenge: &Challenge,
        account: Account,
        spent: Spent,
        origin: &Origin,
    ) -> Result<Answer, AuthError> {
        let now = self.gate.now();
        let by = |action, session| {
            account.event(&self.gate, Some(origin), action, Subject::new("challenge", challenge.id), session)
        };
        let (granted, event, answer) = match challenge.purpose {
            // The phone was the first factor, and is not the second one.
            CodePurpose::SignIn if account.factors.any() => {
                let due = second_factor_due(self.gate.mint(now), &account, None, now);
                let issued = issued(&due, &account);
                let answer = Answer::SignIn(SignIn::SecondFactorDue(issued));
                (Granted::SecondFactor(due), by(Action::SESSION_CHALLENGE, None), answer)
            }
            // It has no account, and is answered elsewhere.
            CodePurpose::PhoneCheck => return Err(AuthError::BadCode),
            CodePurpose::SignIn | CodePurpose::SecondFactor => match challenge.session {
                Some(session) => {
                    let event = by(Action::SESSION_CONFIRM, Some(session));
                    (Granted::Confirmation { session, at: now }, event, Answer::Confirmed(now))
                }
                None => {
                    let (session, refresh) = self.issuer.open(self.gate.mint(now), account.id, origin, now);
                    let event = by(Action::SESSION_START, Some(session.id));
                    let tokens = self.issuer.tokens(account.clone(), &session, &refresh, now);
                    (Granted::Session(session), event, Answer::SignIn(SignIn::Session(Box::new(tokens))))
                }
            },
            CodePurpose::PhoneVerification => {
                let mut verified = account.clone();
                verified.phone.clone_from(&challenge.phone);
                verified.phone_verified_at = Some(now);
                verified.version += 1;
                let event = by(Action::PHONE_VERIFY, challenge.session).changing(["phone"]);
                (Granted::VerifiedPhone(verified.clone()), event, Answer::PhoneVerified(verified))
            }
            CodePurpose::PasswordReset => {
                let until = now.plus(Duration::from_secs(Challenge::PROOF_TTL_SECONDS));
                let proof = Proof::of(challenge.id).to_text(&*self.issuer.signer);
                (Granted::Proof { until }, by(Action::CODE_VERIFY, None), Answer::Proof { proof, expires_at: until })
            }
        };
        let answered = AnsweredChallenge {
            challenge: challenge.id,
            account: account.id,
            spent,
            granted,
            trail: Trail::new(event),
        };
        match self.codes.answer(answered).await {
            Ok(()) => Ok(answer),
            // Somebody else was quicker with the same code, or the account changed meanwhile.
            Err(WriteError::Stale) => Err(AuthError::BadCode),
            Err(error) => Err(error.into()),
        }
    }

    /// Of an answer that was wrong: whoever gave it is nobody yet, unless they answer within their session.
    fn event(&self, caller: Option<&Caller>, challenge: &Challenge, origin: &Origin) -> Event {
        let subject = challenge
            .account
            .map_or(Subject::new("challenge", challenge.id), |account| Subject::new("account", account));
        match caller.filter(|_| challenge.session.is_some()) {
            Some(caller) => self.gate.event(caller, Action::CODE_VERIFY, subject),
            None => self.gate.anonymous(Some(origin), Action::CODE_VERIFY, subject),
        }
    }
}

/// The challenge that follows a first factor: of a sign-in, or within a session.
pub(crate) fn second_factor_due(
    id: ChallengeId,
    account: &Account,
    session: Option<SessionId>,
    now: Timestamp,
) -> Challenge {
    Challenge {
        id,
        purpose: CodePurpose::SecondFactor,
        account: Some(account.id),
        phone: None,
        session,
        code: None,
        tries: 0,
        proved: false,
        expires_at: now.plus(Duration::from_secs(Challenge::TTL_SECONDS)),
    }
}

pub(crate) fn issued(challenge: &Challenge, account: &Account) -> IssuedChallenge {
    IssuedChallenge { id: challenge.id, expires_at: challenge.expires_at, methods: FactorMethod::of(account.factors) }
}
