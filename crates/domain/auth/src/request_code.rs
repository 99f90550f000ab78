use std::{sync::Arc, time::Duration};

use infirmary_kernel::{
    Action, Caller, ChallengeId, Entropy, Event, Gate, Invalid, MessageContent, Origin, OutgoingMessage, Permission,
    PhoneNumber, SessionId, Signer, Subject, Timestamp, Trail,
};

use crate::{
    Account, AccountStore, Admission, AuthError, Challenge, CodePolicy, CodePurpose, CodeStore, CountedRequest,
    CounterKey, FactorMethod, OneTimeCode, OpenedChallenge,
};

/// What somebody asks a code for.
#[derive(Debug, Clone)]
pub enum CodeRequest {
    SignIn(PhoneNumber),
    PasswordReset(PhoneNumber),
    /// Of who is signed in: the phone, which may be a new one, is to be theirs.
    PhoneVerification(PhoneNumber),
    /// Whether somebody holds the phone, whoever they are.
    PhoneCheck(PhoneNumber),
    /// In answer to the challenge that followed a password.
    SecondFactor(ChallengeId),
}

/// What is told of a challenge.
#[derive(Debug, Clone)]
pub struct IssuedChallenge {
    pub id: ChallengeId,
    pub expires_at: Timestamp,
    /// What answers it; empty when only the code that was sent does.
    pub methods: Vec<FactorMethod>,
}

/// Somebody asks for a code by WhatsApp.
///
/// The answer is the same whether or not the phone is anybody's way in: the same row is written, the same counters count (and
/// [`CodeRequest::PhoneCheck`], which lets nobody in, sends to every phone, once while its code lives). A phone that is
/// verified by several accounts is nobody's.
pub struct RequestCode {
    pub gate: Gate,
    pub accounts: Arc<dyn AccountStore>,
    pub codes: Arc<dyn CodeStore>,
    pub signer: Arc<dyn Signer>,
    pub entropy: Arc<dyn Entropy>,
    pub policy: CodePolicy,
}

/// For whom a challenge is, and where its code goes.
struct Addressee {
    account: Option<Account>,
    phone: PhoneNumber,
    /// What is asked within a session is answered within it.
    session: Option<SessionId>,
}

impl RequestCode {
    pub async fn run(
        &self,
        caller: Option<&Caller>,
        request: CodeRequest,
        origin: &Origin,
    ) -> Result<IssuedChallenge, AuthError> {
        let (purpose, to) = match request {
            CodeRequest::SignIn(phone) => (CodePurpose::SignIn, self.by_phone(phone).await?),
            CodeRequest::PasswordReset(phone) => (CodePurpose::PasswordReset, self.by_phone(phone).await?),
            CodeRequest::PhoneCheck(phone) => {
                (CodePurpose::PhoneCheck, Addressee { account: None, phone: self.allowed(phone)?, session: None })
            }
            CodeRequest::PhoneVerification(phone) => {
                let caller = caller.ok_or(AuthError::Unauthenticated)?;
                (CodePurpose::PhoneVerification, self.own(caller, phone).await?)
            }
            CodeRequest::SecondFactor(challenge) => {
                (CodePurpose::SecondFactor, self.after_password(caller, challenge).await?)
            }
        };
        let now = self.gate.now();
        let mut challenge = Challenge {
            id: self.gate.mint(now),
            purpose,
            account: to.account.as_ref().map(|account| account.id),
            phone: Some(to.phone.clone()),
            session: to.session,
            code: None,
            tries: 0,
            proved: false,
            expires_at: now.plus(Duration::from_secs(Challenge::TTL_SECONDS)),
        };
        let mut trail = Trail::new(self.event(caller, to.account.as_ref(), &challenge, origin));
        let code = OneTimeCode::draw(&*self.entropy, digits(purpose, to.account.as_ref()));
        let is_sent = to.account.is_some() || purpose == CodePurpose::PhoneCheck;
        if is_sent {
            challenge.code = Some(challenge.seal(code.expose(), &*self.signer));
            trail = trail.telling([OutgoingMessage {
                id: self.gate.mint(now),
                recipient: to.phone.clone(),
                content: MessageContent::OneTimeCode { code: code.into_secret() },
                created: now,
                expires: challenge.expires_at,
            }]);
        }
        let issued = IssuedChallenge {
            id: challenge.id,
            expires_at: challenge.expires_at,
            methods: match (purpose, &to.account) {
                (CodePurpose::SecondFactor, Some(account)) => FactorMethod::of(account.factors),
                _ => Vec::new(),
            },
        };
        let request = CountedRequest {
            number: CounterKey::phone(&to.phone),
            address: origin.address.map(CounterKey::address),
            sent: is_sent,
            apart: match purpose {
                CodePurpose::PhoneCheck => Duration::from_secs(Challenge::TTL_SECONDS),
                _ => Duration::ZERO,
            },
            max_per_day: self.policy.max_per_day,
            at: now,
        };
        let refused = trail.event.clone().refused("too many codes");
        match self.codes.open(OpenedChallenge { challenge, request: Some(request), password: None, trail }).await? {
            Admission::Admitted => Ok(issued),
            Admission::Refused { retry_after, first } => {
                if first {
                    self.gate.note(refused).await?;
                }
                Err(AuthError::TooManyCodes { retry_after })
            }
        }
    }

    fn allowed(&self, phone: PhoneNumber) -> Result<PhoneNumber, Invalid> {
        if self.policy.allows(&phone) {
            return Ok(phone);
        }
        Err(Invalid::new("/phone", "is of a country to which this house sends no codes"))
    }

    /// The one account that the phone is a way in to.
    async fn by_phone(&self, phone: PhoneNumber) -> Result<Addressee, AuthError> {
        let phone = self.allowed(phone)?;
        let mut accounts = self.accounts.verified(&phone).await?;
        accounts.retain(|account| account.verified_phone() == Some(&phone));
        let only = if accounts.len() == 1 { accounts.pop() } else { None };
        let account = only.filter(|account| account.phone_to_come_in_by().is_some());
        Ok(Addressee { account, phone, session: None })
    }

    async fn own(&self, caller: &Caller, phone: PhoneNumber) -> Result<Addressee, AuthError> {
        let subject = Subject::new("account", caller.account);
        self.gate.admit(caller, Permission::OwnAccount, subject.clone()).await?;
        self.gate.step_up(caller, subject).await?;
        let phone = self.allowed(phone)?;
        let account = self.accounts.find(caller.account).await?.ok_or(AuthError::Unauthenticated)?;
        if account.factors.whatsapp && account.phone.as_ref() != Some(&phone) {
            return Err(AuthError::PhoneIsFactor);
        }
        Ok(Addressee { account: Some(account), phone, session: Some(caller.session) })
    }

    async fn after_password(&self, caller: Option<&Caller>, id: ChallengeId) -> Result<Addressee, AuthError> {
        let session = caller.map(|caller| caller.session);
        let now = self.gate.now();
        let asked = self.codes.find(id).await?.filter(|challenge| {
            challenge.purpose == CodePurpose::SecondFactor && challenge.is_for(session) && !challenge.is_over(now)
        });
        let asked = asked.ok_or(AuthError::BadChallenge)?;
        let account = match asked.account {
            Some(account) => self.accounts.find(account).await?,
            None => None,
        };
        let account = account.filter(|account| account.is_active() && account.factors.whatsapp);
        let account = account.ok_or(AuthError::BadChallenge)?;
        let phone = account.verified_phone().cloned().ok_or(AuthError::BadChallenge)?;
        Ok(Addressee { phone: self.allowed(phone)?, account: Some(account), session: asked.session })
    }

    fn event(
        &self,
        caller: Option<&Caller>,
        account: Option<&Account>,
        challenge: &Challenge,
        origin: &Origin,
    ) -> Event {
        let subject = Subject::new("challenge", challenge.id);
        match (caller.filter(|_| challenge.session.is_some()), account) {
            (Some(caller), _) => self.gate.event(caller, Action::CODE_REQUEST, subject),
            // Anybody can ask for a code for a phone: it is an event about the account, not of it.
            (None, Some(account)) => {
                let about = Subject::new("account", account.id);
                self.gate.anonymous(Some(origin), Action::CODE_REQUEST, about)
            }
            (None, None) => self.gate.anonymous(Some(origin), Action::CODE_REQUEST, subject),
        }
    }
}

fn digits(purpose: CodePurpose, account: Option<&Account>) -> u32 {
    let staff = account.is_some_and(|account| account.role.is_staff());
    if staff || purpose == CodePurpose::PasswordReset { OneTimeCode::LONG_DIGITS } else { OneTimeCode::DIGITS }
}
