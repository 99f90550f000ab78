use std::{
    cmp::Reverse,
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use infirmary_kernel::{
    AccountId, ChallengeId, Cursor, EmailAddress, Page, PageRequest, PhoneNumber, Role, SessionId, Sha256Digest,
    StoreError, Timestamp, Trail, WriteError,
    testing::{MemoryJournal, locked},
};

use crate::{
    AcceptedInvitation, Account, AccountState, AccountStore, Admission, AnsweredChallenge, Attempt, AttemptStore,
    Challenge, ChangedAccount, ChangedFactors, ChangedPassword, CodeCounter, CodePurpose, CodeStore, ConfirmedSession,
    CountedRequest, Counter, CounterKey, Credential, FactorStore, Granted, Invitation, InvitationStore, Invited,
    KeptFactors, LiveSession, NewAccount, OpenedChallenge, PasswordHash, ResetPassword, Rotation, Session,
    SessionStore, Spent, StartedSession, attempts, code_limits, law,
};

#[derive(Default)]
struct Rows {
    accounts: BTreeMap<AccountId, Account>,
    passwords: HashMap<AccountId, PasswordHash>,
    invitations: HashMap<AccountId, Invitation>,
    sessions: BTreeMap<SessionId, Session>,
    counters: HashMap<CounterKey, Counter>,
    challenges: BTreeMap<ChallengeId, Challenge>,
    code_counters: HashMap<CounterKey, CodeCounter>,
    factors: HashMap<AccountId, KeptFactors>,
}

impl Rows {
    fn insert(&mut self, account: Account) -> Result<(), WriteError> {
        if self.accounts.values().any(|known| known.email == account.email) {
            return Err(WriteError::Conflict { law: law::EMAIL });
        }
        self.accounts.insert(account.id, account);
        Ok(())
    }

    /// The stored account, when `account` is its next version.
    fn before(&self, account: &Account) -> Result<&Account, WriteError> {
        self.accounts.get(&account.id).filter(|known| known.version + 1 == account.version).ok_or(WriteError::Stale)
    }

    fn sessions_of(&self, account: AccountId) -> Vec<Session> {
        let mut sessions: Vec<Session> =
            self.sessions.values().filter(|session| session.account == account).cloned().collect();
        sessions.sort_by_key(|session| Reverse((session.started_at, session.id)));
        sessions
    }

    /// Ends every session of the account but `keep`, and every challenge.
    fn end_all(&mut self, account: AccountId, keep: Option<SessionId>) {
        self.sessions.retain(|id, session| session.account != account || Some(*id) == keep);
        self.challenges.retain(|_, challenge| challenge.account != Some(account));
    }

    /// What an account without these factors does not keep.
    fn drop_factors(&mut self, account: &Account) {
        let kept = self.factors.entry(account.id).or_default();
        if !account.factors.totp {
            kept.authenticator = None;
        }
        if !account.factors.any() {
            kept.recovery.clear();
        }
    }

    fn is_proved(&self, account: AccountId, password: &PasswordHash) -> bool {
        self.is_active(account) && self.passwords.get(&account) == Some(password)
    }

    /// Without a second factor.
    fn is_enough(&self, account: AccountId, password: &PasswordHash) -> bool {
        self.is_proved(account, password) && self.accounts.get(&account).is_some_and(|account| !account.factors.any())
    }

    fn is_active(&self, account: AccountId) -> bool {
        self.accounts.get(&account).is_some_and(Account::is_active)
    }

    fn start(&mut self, session: Session) {
        let account = session.account;
        self.sessions.insert(session.id, session);
        for oldest in self.sessions_of(account).into_iter().skip(Session::MAX_PER_ACCOUNT) {
            self.sessions.remove(&oldest.id);
        }
    }
}

/// Accounts, invitations, sessions, challenges, factors and counters in memory. Clones are the same memory.
#[derive(Clone, Default)]
pub struct MemoryAuth {
    rows: Arc<Mutex<Rows>>,
    pub journal: MemoryJournal,
}

impl MemoryAuth {
    fn keep(&self, trail: Trail) -> Result<(), WriteError> {
        self.journal.keep(trail);
        Ok(())
    }
}

#[async_trait]
impl AccountStore for MemoryAuth {
    async fn create(&self, new: NewAccount, trail: Trail) -> Result<(), WriteError> {
        let mut rows = locked(&self.rows);
        let id = new.account.id;
        rows.insert(new.account)?;
        rows.passwords.insert(id, new.password);
        if let Some(session) = new.session {
            rows.start(session);
        }
        self.keep(trail)
    }

    async fn change(&self, changed: ChangedAccount) -> Result<(), WriteError> {
        let mut rows = locked(&self.rows);
        let account = changed.account;
        let loses_admin = rows.before(&account)?.is_active_admin() && !account.is_active_admin();
        let another = rows.accounts.values().any(|other| other.id != account.id && other.is_active_admin());
        if loses_admin && !another {
            return Err(WriteError::Conflict { law: law::LAST_ADMIN });
        }
        if changed.cut_off {
            rows.end_all(account.id, None);
            rows.invitations.remove(&account.id);
        }
        rows.drop_factors(&account);
        rows.accounts.insert(account.id, account);
        self.keep(changed.trail)
    }

    async fn change_password(&self, changed: ChangedPassword) -> Result<(), WriteError> {
        let mut rows = locked(&self.rows);
        match rows.passwords.get_mut(&changed.account) {
            Some(password) if *password == changed.from => *password = changed.to,
            _ => return Err(WriteError::Stale),
        }
        rows.end_all(changed.account, Some(changed.keep));
        self.keep(changed.trail)
    }

    async fn find(&self, id: AccountId) -> Result<Option<Account>, StoreError> {
        Ok(locked(&self.rows).accounts.get(&id).cloned())
    }

    async fn by_ids(&self, ids: &[AccountId]) -> Result<Vec<Account>, StoreError> {
        let rows = locked(&self.rows);
        Ok(rows.accounts.values().filter(|account| ids.contains(&account.id)).cloned().collect())
    }

    async fn credential(&self, email: &EmailAddress) -> Result<Option<Credential>, StoreError> {
        let rows = locked(&self.rows);
        let account = rows.accounts.values().find(|account| account.email == *email);
        Ok(account
            .map(|account| Credential { account: account.clone(), password: rows.passwords.get(&account.id).cloned() }))
    }

    async fn verified(&self, phone: &PhoneNumber) -> Result<Vec<Account>, StoreError> {
        let rows = locked(&self.rows);
        let known = rows.accounts.values().filter(|account| account.is_active());
        Ok(known.filter(|account| account.verified_phone() == Some(phone)).take(2).cloned().collect())
    }

    async fn list(&self, role: Option<Role>, page: &PageRequest) -> Result<Page<Account>, StoreError> {
        let mut all: Vec<Account> = locked(&self.rows)
            .accounts
            .values()
            .filter(|account| role.is_none_or(|role| account.role == role))
            .cloned()
            .collect();
        all.sort_by_key(|account| Reverse((account.created_at, account.id)));
        if let Ok(Some((time, id))) = page.after_time() {
            all.retain(|account| (account.created_at, account.id.as_uuid()) < (time, id));
        }
        Ok(Page::of_rows(all, page.limit, |last| Cursor::at(last.created_at, last.id.as_uuid())))
    }
}

#[async_trait]
impl InvitationStore for MemoryAuth {
    async fn invite(&self, invited: Invited) -> Result<(), WriteError> {
        let mut rows = locked(&self.rows);
        let account = invited.account;
        if account.version == 1 {
            rows.insert(account)?;
        } else if rows.before(&account)?.state == AccountState::Invited {
            rows.accounts.insert(account.id, account);
        } else {
            return Err(WriteError::Stale);
        }
        rows.invitations.insert(invited.invitation.account, invited.invitation);
        self.keep(invited.trail)
    }

    async fn accept(&self, accepted: AcceptedInvitation) -> Result<(), WriteError> {
        let mut rows = locked(&self.rows);
        let account = accepted.account;
        rows.before(&account)?;
        if rows.invitations.get(&account.id).is_none_or(|invitation| invitation.code != accepted.code) {
            return Err(WriteError::Stale);
        }
        rows.invitations.remove(&account.id);
        rows.passwords.insert(account.id, accepted.password);
        rows.accounts.insert(account.id, account);
        rows.start(accepted.session);
        self.keep(accepted.trail)
    }

    async fn find_by_code(&self, code: Sha256Digest) -> Result<Option<(Invitation, Account)>, StoreError> {
        let rows = locked(&self.rows);
        let invitation = rows.invitations.values().find(|invitation| invitation.code == code);
        Ok(invitation
            .and_then(|invitation| Some((invitation.clone(), rows.accounts.get(&invitation.account)?.clone()))))
    }
}

#[async_trait]
impl SessionStore for MemoryAuth {
    async fn start(&self, started: StartedSession) -> Result<(), WriteError> {
        let mut rows = locked(&self.rows);
        let account = started.session.account;
        if !rows.is_enough(account, &started.proved) {
            return Err(WriteError::Stale);
        }
        if let Some(replacement) = started.replacement {
            rows.passwords.insert(account, replacement);
        }
        rows.start(started.session);
        self.keep(started.trail)
    }

    async fn rotate(&self, rotation: Rotation, trail: Trail) -> Result<(), WriteError> {
        let mut rows = locked(&self.rows);
        match rows.sessions.get_mut(&rotation.session) {
            Some(session) if session.refresh == rotation.from => *session = session.clone().rotated(&rotation),
            _ => return Err(WriteError::Stale),
        }
        self.keep(trail)
    }

    async fn confirm(&self, confirmed: ConfirmedSession) -> Result<(), WriteError> {
        let mut rows = locked(&self.rows);
        let proved = rows.is_enough(confirmed.account, &confirmed.proved);
        match rows.sessions.get_mut(&confirmed.session) {
            Some(session) if proved && session.account == confirmed.account => session.authenticated_at = confirmed.at,
            _ => return Err(WriteError::Stale),
        }
        self.keep(confirmed.trail)
    }

    async fn end(&self, session: SessionId, account: AccountId, trail: Trail) -> Result<(), WriteError> {
        let mut rows = locked(&self.rows);
        if rows.sessions.get(&session).is_none_or(|session| session.account != account) {
            return Err(WriteError::Stale);
        }
        rows.sessions.remove(&session);
        self.keep(trail)
    }

    async fn live(&self, session: SessionId) -> Result<Option<LiveSession>, StoreError> {
        let rows = locked(&self.rows);
        Ok(rows.sessions.get(&session).and_then(|session| {
            let account = rows.accounts.get(&session.account).filter(|account| account.is_active())?.clone();
            let (authenticated_at, expires_at) = (session.authenticated_at, session.expires_at);
            Some(LiveSession { account, authenticated_at, expires_at })
        }))
    }

    async fn find(&self, session: SessionId) -> Result<Option<(Session, Account)>, StoreError> {
        let rows = locked(&self.rows);
        let session = rows.sessions.get(&session);
        Ok(session.and_then(|session| Some((session.clone(), rows.accounts.get(&session.account)?.clone()))))
    }

    async fn of_account(&self, account: AccountId) -> Result<Vec<Session>, StoreError> {
        Ok(locked(&self.rows).sessions_of(account))
    }
}

#[async_trait]
impl AttemptStore for MemoryAuth {
    async fn begin(&self, attempt: &Attempt) -> Result<Admission, StoreError> {
        let mut rows = locked(&self.rows);
        let mut email = rows.counters.get(&attempt.email).cloned().unwrap_or_default();
        let address = attempt.address.as_ref().map(|key| rows.counters.entry(key.clone()).or_default());
        let admission = attempts::begin(&mut email, address, attempt.at);
        rows.counters.insert(attempt.email.clone(), email);
        Ok(admission)
    }

    async fn fail(&self, attempt: &Attempt) -> Result<(), StoreError> {
        if let Some(address) = &attempt.address {
            attempts::fail(locked(&self.rows).counters.entry(address.clone()).or_default(), attempt);
        }
        Ok(())
    }

    async fn take_back(&self, attempt: &Attempt) -> Result<(), StoreError> {
        if let Some(email) = locked(&self.rows).counters.get_mut(&attempt.email) {
            attempts::take_back(email);
        }
        Ok(())
    }

    async fn clear(&self, key: &CounterKey) -> Result<(), StoreError> {
        locked(&self.rows).counters.remove(key);
        Ok(())
    }
}

impl Rows {
    fn count(&mut self, request: &CountedRequest) -> Admission {
        let stored = |rows: &Self, key: &CounterKey| rows.code_counters.get(key).cloned().unwrap_or_default();
        let house_key = CounterKey::house();
        let mut number = stored(self, &request.number);
        let mut address = request.address.as_ref().map(|key| stored(self, key));
        let mut house = request.sent.then(|| stored(self, &house_key));
        let counters =
            code_limits::CodeCounters { number: &mut number, address: address.as_mut(), house: house.as_mut() };
        let admission = code_limits::admit(counters, request);
        self.code_counters.insert(request.number.clone(), number);
        self.code_counters.extend(request.address.clone().zip(address));
        self.code_counters.extend(house.map(|house| (house_key, house)));
        admission
    }

    /// What was spent is gone; or nothing is changed.
    fn spend(&mut self, account: AccountId, spent: &Spent) -> Result<(), WriteError> {
        let kept = self.factors.entry(account).or_default();
        match spent {
            Spent::Code => {}
            Spent::Step(step) => match &mut kept.authenticator {
                Some(authenticator) if authenticator.last_step < *step => authenticator.last_step = *step,
                _ => return Err(WriteError::Stale),
            },
            Spent::RecoveryCode(digest) => {
                let place = kept.recovery.iter().position(|kept| kept == digest).ok_or(WriteError::Stale)?;
                kept.recovery.remove(place);
            }
        }
        Ok(())
    }

    fn grant(&mut self, answered: &AnsweredChallenge) -> Result<(), WriteError> {
        match &answered.granted {
            Granted::Session(session) => self.start(session.clone()),
            Granted::SecondFactor(challenge) => {
                self.challenges.insert(challenge.id, challenge.clone());
            }
            Granted::Confirmation { session, at } => match self.sessions.get_mut(session) {
                Some(session) if session.account == answered.account => session.authenticated_at = *at,
                _ => return Err(WriteError::Stale),
            },
            Granted::VerifiedPhone(account) => {
                self.before(account)?;
                self.accounts.insert(account.id, account.clone());
            }
            Granted::Proof { .. } => {}
        }
        Ok(())
    }
}

#[async_trait]
impl CodeStore for MemoryAuth {
    async fn open(&self, opened: OpenedChallenge) -> Result<Admission, WriteError> {
        let mut rows = locked(&self.rows);
        let OpenedChallenge { challenge, request, password, trail } = opened;
        if let (Some(password), Some(account)) = (password, challenge.account) {
            if !rows.is_proved(account, &password.proved) {
                return Err(WriteError::Stale);
            }
            rows.passwords.extend(password.replacement.map(|replacement| (account, replacement)));
        }
        if let Some(request) = request {
            let admission = rows.count(&request);
            if admission != Admission::Admitted {
                return Ok(admission);
            }
            let same = |other: &Challenge| other.purpose == challenge.purpose && other.phone == challenge.phone;
            rows.challenges.retain(|_, other| !same(other));
        }
        rows.challenges.insert(challenge.id, challenge);
        self.keep(trail)?;
        Ok(Admission::Admitted)
    }

    async fn find(&self, challenge: ChallengeId) -> Result<Option<Challenge>, StoreError> {
        Ok(locked(&self.rows).challenges.get(&challenge).cloned())
    }

    async fn attempt(
        &self,
        challenge: ChallengeId,
        session: Option<SessionId>,
        at: Timestamp,
    ) -> Result<bool, StoreError> {
        let mut rows = locked(&self.rows);
        let found = rows.challenges.get_mut(&challenge);
        let may = |challenge: &Challenge| !challenge.proved && challenge.expires_at > at && challenge.is_for(session);
        Ok(match found.filter(|challenge| may(challenge) && challenge.tries < Challenge::MAX_TRIES) {
            Some(challenge) => {
                challenge.tries += 1;
                true
            }
            None => false,
        })
    }

    async fn answer(&self, answered: AnsweredChallenge) -> Result<(), WriteError> {
        let mut rows = locked(&self.rows);
        let waits = rows.challenges.get(&answered.challenge).is_some_and(|challenge| !challenge.proved);
        if !waits || !rows.is_active(answered.account) {
            return Err(WriteError::Stale);
        }
        let before = rows.factors.get(&answered.account).cloned();
        rows.spend(answered.account, &answered.spent)?;
        if let Err(error) = rows.grant(&answered) {
            match before {
                Some(before) => rows.factors.insert(answered.account, before),
                None => rows.factors.remove(&answered.account),
            };
            return Err(error);
        }
        match (&answered.granted, rows.challenges.get_mut(&answered.challenge)) {
            (Granted::Proof { until }, Some(challenge)) => {
                challenge.proved = true;
                challenge.expires_at = *until;
            }
            _ => {
                rows.challenges.remove(&answered.challenge);
            }
        }
        self.keep(answered.trail)
    }

    async fn reset_password(&self, reset: ResetPassword) -> Result<(), WriteError> {
        let mut rows = locked(&self.rows);
        let good = rows.challenges.get(&reset.challenge).is_some_and(|challenge| {
            challenge.proved
                && challenge.purpose == CodePurpose::PasswordReset
                && challenge.account == Some(reset.account)
        });
        if !good || !rows.is_active(reset.account) {
            return Err(WriteError::Stale);
        }
        rows.end_all(reset.account, None);
        rows.passwords.insert(reset.account, reset.password);
        self.keep(reset.trail)
    }

    async fn close(&self, challenge: ChallengeId, trail: Trail) -> Result<(), WriteError> {
        let mut rows = locked(&self.rows);
        let is_nobodys = rows.challenges.get(&challenge).is_some_and(|found| found.account.is_none());
        if !is_nobodys {
            return Err(WriteError::Stale);
        }
        rows.challenges.remove(&challenge);
        self.keep(trail)
    }
}

#[async_trait]
impl FactorStore for MemoryAuth {
    async fn change(&self, changed: ChangedFactors) -> Result<(), WriteError> {
        let mut rows = locked(&self.rows);
        let account = changed.account;
        rows.before(&account)?;
        let mut kept = rows.factors.remove(&account.id).unwrap_or_default();
        kept.authenticator = changed.authenticator.or(kept.authenticator);
        kept.recovery = changed.recovery.unwrap_or(kept.recovery);
        rows.factors.insert(account.id, kept);
        rows.drop_factors(&account);
        rows.end_all(account.id, Some(changed.keep));
        rows.accounts.insert(account.id, account);
        self.keep(changed.trail)
    }

    async fn find(&self, account: AccountId) -> Result<KeptFactors, StoreError> {
        Ok(locked(&self.rows).factors.get(&account).cloned().unwrap_or_default())
    }
}
