use std::{
    cmp::Reverse,
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use infirmary_kernel::{
    AccountId, Cursor, EmailAddress, Page, PageRequest, Role, SessionId, Sha256Digest, StoreError, Trail, WriteError,
    testing::{MemoryJournal, locked},
};

use crate::{
    AcceptedInvitation, Account, AccountState, AccountStore, Admission, Attempt, AttemptStore, ChangedAccount,
    ChangedPassword, Counter, CounterKey, Credential, Invitation, InvitationStore, Invited, LiveSession, NewAccount,
    PasswordHash, Rotation, Session, SessionStore, StartedSession, attempts, law,
};

#[derive(Default)]
struct Rows {
    accounts: BTreeMap<AccountId, Account>,
    passwords: HashMap<AccountId, PasswordHash>,
    invitations: HashMap<AccountId, Invitation>,
    sessions: BTreeMap<SessionId, Session>,
    counters: HashMap<CounterKey, Counter>,
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

    fn start(&mut self, session: Session) {
        let account = session.account;
        self.sessions.insert(session.id, session);
        for oldest in self.sessions_of(account).into_iter().skip(Session::MAX_PER_ACCOUNT) {
            self.sessions.remove(&oldest.id);
        }
    }
}

/// Accounts, invitations, sessions and counters in memory. Clones are the same memory.
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
            rows.sessions.retain(|_, session| session.account != account.id);
            rows.invitations.remove(&account.id);
        }
        rows.accounts.insert(account.id, account);
        self.keep(changed.trail)
    }

    async fn change_password(&self, changed: ChangedPassword) -> Result<(), WriteError> {
        let mut rows = locked(&self.rows);
        match rows.passwords.get_mut(&changed.account) {
            Some(password) if *password == changed.from => *password = changed.to,
            _ => return Err(WriteError::Stale),
        }
        rows.sessions.retain(|id, session| session.account != changed.account || *id == changed.keep);
        self.keep(changed.trail)
    }

    async fn find(&self, id: AccountId) -> Result<Option<Account>, StoreError> {
        Ok(locked(&self.rows).accounts.get(&id).cloned())
    }

    async fn credential(&self, email: &EmailAddress) -> Result<Option<Credential>, StoreError> {
        let rows = locked(&self.rows);
        let account = rows.accounts.values().find(|account| account.email == *email);
        Ok(account
            .map(|account| Credential { account: account.clone(), password: rows.passwords.get(&account.id).cloned() }))
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
        let active = rows.accounts.get(&account).is_some_and(Account::is_active);
        if !active || rows.passwords.get(&account) != Some(&started.proved) {
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
            let account = rows.accounts.get(&session.account).filter(|account| account.is_active())?;
            Some(LiveSession {
                account: account.id,
                role: account.role,
                patient: account.patient,
                authenticated_at: session.authenticated_at,
                expires_at: session.expires_at,
            })
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
