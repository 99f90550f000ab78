use std::time::Duration;

use async_trait::async_trait;
use infirmary_kernel::{
    AccountId, ChallengeId, EmailAddress, Page, PageRequest, PhoneNumber, Role, SessionId, Sha256Digest, StoreError,
    Timestamp, Trail, WriteError,
};
use secrecy::SecretString;

use crate::{
    AccessClaims, Account, Admission, Attempt, Authenticator, Challenge, CounterKey, Invitation, KeptFactors,
    LiveSession, Password, PasswordHash, Rotation, Session, StandingClaims,
};

/// The names of the laws of uniqueness, as `Conflict` has them.
pub mod law {
    pub const EMAIL: &str = "email";
    pub const LAST_ADMIN: &str = "last active admin";
}

/// An account to be added, with its password and, for who registers themselves, the first session.
#[derive(Debug, Clone)]
pub struct NewAccount {
    pub account: Account,
    pub password: PasswordHash,
    pub session: Option<Session>,
}

/// An account as it is to be from now on. `account.version` is one more than the version that was read.
#[derive(Debug, Clone)]
pub struct ChangedAccount {
    pub account: Account,
    /// Ends all its sessions and challenges, and its invitation.
    pub cut_off: bool,
    pub trail: Trail,
}

#[derive(Debug, Clone)]
pub struct ChangedPassword {
    pub account: AccountId,
    /// The one that the caller proved to know.
    pub from: PasswordHash,
    pub to: PasswordHash,
    /// The session that goes on; all others end, and so does every challenge.
    pub keep: SessionId,
    pub trail: Trail,
}

/// An account and what its password is compared with; `None` while no password was chosen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credential {
    pub account: Account,
    pub password: Option<PasswordHash>,
}

/// The accounts of the house.
///
/// Laws
/// - A write is there whole, with its audit event, or not at all.
/// - No two accounts have one e-mail: `Conflict` with [`law::EMAIL`].
/// - `change` of a version that is not the stored one, or of no account: `Stale`, and nothing changes.
/// - `change` that would leave the house, which has an active admin, without one: `Conflict` with [`law::LAST_ADMIN`],
///   also when the last two go at the same moment.
/// - `change` with `cut_off` ends every session, every challenge and the invitation of the account in the same transaction.
/// - `change` that leaves an account without `factors.totp` leaves no authenticator of it, and without any factor no recovery
///   code.
/// - `change_password` when the stored password is not `from`: `Stale`. Else every session of the account but `keep`, and
///   every challenge, ends in the same transaction.
/// - `verified` gives the active accounts whose phone it is and was verified. More than two are not needed: a phone of
///   several accounts is nobody's way in.
/// - `find`, `by_ids` and `credential` give what was written, to the last code point; `by_ids` those that exist, once each, in any
///   order.
/// - `list` gives each account once, newest first; pages are stable under inserts and equal times.
#[cfg_attr(feature = "test-support", mockall::automock)]
#[async_trait]
pub trait AccountStore: Send + Sync {
    async fn create(&self, new: NewAccount, trail: Trail) -> Result<(), WriteError>;
    async fn change(&self, changed: ChangedAccount) -> Result<(), WriteError>;
    async fn change_password(&self, changed: ChangedPassword) -> Result<(), WriteError>;
    async fn find(&self, id: AccountId) -> Result<Option<Account>, StoreError>;
    async fn by_ids(&self, ids: &[AccountId]) -> Result<Vec<Account>, StoreError>;
    async fn credential(&self, email: &EmailAddress) -> Result<Option<Credential>, StoreError>;
    async fn verified(&self, phone: &PhoneNumber) -> Result<Vec<Account>, StoreError>;
    /// All, or those of one role.
    async fn list(&self, role: Option<Role>, page: &PageRequest) -> Result<Page<Account>, StoreError>;
}

/// An account that waits for its holder: a new one (version 1), or one that waits already, as it is to be from now on.
#[derive(Debug, Clone)]
pub struct Invited {
    pub account: Account,
    pub invitation: Invitation,
    pub trail: Trail,
}

#[derive(Debug, Clone)]
pub struct AcceptedInvitation {
    /// Active, and one version further than it was read.
    pub account: Account,
    /// Of the code that was shown.
    pub code: Sha256Digest,
    pub password: PasswordHash,
    pub session: Session,
    pub trail: Trail,
}

/// The invitations of staff: at most one for an account.
///
/// Laws
/// - A write is there whole, with its audit event, or not at all.
/// - `invite` of version 1 adds the account: `Conflict` with [`law::EMAIL`] when the e-mail is taken. Of a later version it
///   changes the account: `Stale` unless the stored one is the version before, and waits for its holder.
/// - A new invitation takes the place of the one before, whose code opens nothing any more.
/// - `accept` when there is no invitation of that code and account, or the account is not the version before: `Stale`, and
///   nothing changes. Of many at once one wins. It removes the invitation, stores the password, and starts the session.
#[cfg_attr(feature = "test-support", mockall::automock)]
#[async_trait]
pub trait InvitationStore: Send + Sync {
    async fn invite(&self, invited: Invited) -> Result<(), WriteError>;
    async fn accept(&self, accepted: AcceptedInvitation) -> Result<(), WriteError>;
    /// By the SHA-256 of its code.
    async fn find_by_code(&self, code: Sha256Digest) -> Result<Option<(Invitation, Account)>, StoreError>;
}

#[derive(Debug, Clone)]
pub struct StartedSession {
    pub session: Session,
    /// The password that was proved.
    pub proved: PasswordHash,
    /// The same password, hashed as it is hashed today.
    pub replacement: Option<PasswordHash>,
    pub trail: Trail,
}

/// Somebody who is signed in proved their password once more.
#[derive(Debug, Clone)]
pub struct ConfirmedSession {
    pub session: SessionId,
    pub account: AccountId,
    /// The password that was proved.
    pub proved: PasswordHash,
    pub at: Timestamp,
    pub trail: Trail,
}

/// The sessions that live.
///
/// Laws
/// - A write is there whole, with its audit event, or not at all.
/// - `start` unless the account is active, its stored password is `proved`, and it has no second factor: `Stale`, and nothing
///   changes. So no session starts with a password that was changed, or does not suffice any more, since it was compared.
/// - An account has at most [`Session::MAX_PER_ACCOUNT`] sessions: starting one more ends the oldest, by start, then id.
/// - `rotate` when the token due is not `from`: `Stale`, and nothing changes. Of many at once one wins. Else the token due
///   is `to`, the one before is `from`, and the times are those of the rotation.
/// - `confirm` makes `at` the time at which the person last proved who they are; `Stale`, and nothing changes, when the
///   account has no such session, is not active, has a second factor, or its stored password is not `proved`.
/// - `end` removes the session of that account; `Stale` when it has no such session.
/// - `live` gives a session with its account as it is at this moment, and nothing when the session has ended or the account
///   is not active. Every write that ends a session holds for every `live` that begins after its acknowledgement.
/// - `of_account` gives the sessions of an account, newest first.
#[cfg_attr(feature = "test-support", mockall::automock)]
#[async_trait]
pub trait SessionStore: Send + Sync {
    async fn start(&self, started: StartedSession) -> Result<(), WriteError>;
    async fn rotate(&self, rotation: Rotation, trail: Trail) -> Result<(), WriteError>;
    async fn confirm(&self, confirmed: ConfirmedSession) -> Result<(), WriteError>;
    async fn end(&self, session: SessionId, account: AccountId, trail: Trail) -> Result<(), WriteError>;
    /// One read: this is asked at every request.
    async fn live(&self, session: SessionId) -> Result<Option<LiveSession>, StoreError>;
    async fn find(&self, session: SessionId) -> Result<Option<(Session, Account)>, StoreError>;
    async fn of_account(&self, account: AccountId) -> Result<Vec<Session>, StoreError>;
}

/// What a challenge is counted for when a code is asked for.
#[derive(Debug, Clone)]
pub struct CountedRequest {
    pub number: CounterKey,
    pub address: Option<CounterKey>,
    /// Whether a code goes out, and so counts for the house.
    pub sent: bool,
    /// At least so long after the one before for the number, beside what holds for every number.
    pub apart: Duration,
    /// Of the house.
    pub max_per_day: u32,
    pub at: Timestamp,
}

/// A password that was proved, and the same one hashed as it is hashed today when it was not.
#[derive(Debug, Clone)]
pub struct ProvedPassword {
    pub proved: PasswordHash,
    pub replacement: Option<PasswordHash>,
}

#[derive(Debug, Clone)]
pub struct OpenedChallenge {
    pub challenge: Challenge,
    /// Of one with a code, or with what looks like one.
    pub request: Option<CountedRequest>,
    /// Of one that follows a password.
    pub password: Option<ProvedPassword>,
    /// Carries the message with the code.
    pub trail: Trail,
}

/// By what a challenge was answered; it is used up with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Spent {
    /// The code that was sent.
    Code,
    /// The code of an authenticator, of this time step.
    Step(u64),
    /// The recovery code with this digest.
    RecoveryCode(Sha256Digest),
}

/// What a right answer leads to.
#[derive(Debug, Clone)]
pub enum Granted {
    Session(Session),
    /// A second factor is due: this is the challenge for it.
    SecondFactor(Challenge),
    /// The person of the session proved who they are once more.
    Confirmation {
        session: SessionId,
        at: Timestamp,
    },
    /// The account, one version further, with the phone that was proved.
    VerifiedPhone(Account),
    /// The challenge itself becomes the proof, until then.
    Proof {
        until: Timestamp,
    },
}

#[derive(Debug, Clone)]
pub struct AnsweredChallenge {
    pub challenge: ChallengeId,
    pub account: AccountId,
    pub spent: Spent,
    pub granted: Granted,
    pub trail: Trail,
}

#[derive(Debug, Clone)]
pub struct ResetPassword {
    /// The challenge that was answered; it is used up.
    pub challenge: ChallengeId,
    pub account: AccountId,
    pub password: PasswordHash,
    pub trail: Trail,
}

/// The challenges that wait for an answer, and the counters of the codes that were asked for. What is counted how is
/// [`crate::code_limits`]; a store reads the counters concerned (or takes the default one), applies the function, and writes
/// what changed, in the transaction of the challenge.
///
/// Laws
/// - A write is there whole, with its audit event and its messages, or not at all.
/// - `open` with a request counts it. When that is refused nothing is stored but the counters; else every other challenge of
///   the same purpose for the same phone ends: a new code ends the old one.
/// - `open` with a password, unless the account is active and that is its stored one: `Stale`, and nothing changes. The
///   replacement, if any, is the stored one from then on.
/// - `attempt` counts one try and says whether the answer may be compared: of any number at once, no more than
///   [`Challenge::MAX_TRIES`] hear yes. It may not when the challenge is absent, over at `at`, proved already, or of another
///   session than the one given.
/// - `answer` when the challenge is absent or proved already: `Stale`; of many at once one wins. `Stale`, too, unless the
///   account is active, the time step is above the last one, the recovery code is there, the session to be confirmed lives,
///   and the account to be changed is the version before. In each of these cases nothing changes. Else what was spent is
///   gone, and the challenge with it, unless it becomes a proof.
/// - `reset_password` unless the challenge is proved, for that and of that account, which is active: `Stale`, and nothing
///   changes; of many at once one wins. Else every session and every challenge of the account ends, and the password is the
///   new one.
/// - `close` ends a challenge that is for no account, when it was answered rightly: `Stale` when it is absent; of many at
///   once one wins.
/// - Whether a challenge is over is asked of `attempt` alone; the other methods are told what was decided.
#[cfg_attr(feature = "test-support", mockall::automock)]
#[async_trait]
pub trait CodeStore: Send + Sync {
    async fn open(&self, opened: OpenedChallenge) -> Result<Admission, WriteError>;
    async fn find(&self, challenge: ChallengeId) -> Result<Option<Challenge>, StoreError>;
    async fn attempt(
        &self,
        challenge: ChallengeId,
        session: Option<SessionId>,
        at: Timestamp,
    ) -> Result<bool, StoreError>;
    async fn answer(&self, answered: AnsweredChallenge) -> Result<(), WriteError>;
    async fn reset_password(&self, reset: ResetPassword) -> Result<(), WriteError>;
    async fn close(&self, challenge: ChallengeId, trail: Trail) -> Result<(), WriteError>;
}

/// Another set of second factors. `account.version` is one more than the version that was read.
#[derive(Debug, Clone)]
pub struct ChangedFactors {
    /// With the factors as they are to be from now on.
    pub account: Account,
    /// Takes the place of the one before; `None` leaves it.
    pub authenticator: Option<Authenticator>,
    /// Take the place of those before; `None` leaves them.
    pub recovery: Option<Vec<Sha256Digest>>,
    /// The session that goes on; all others end, and so does every challenge.
    pub keep: SessionId,
    pub trail: Trail,
}

/// What belongs to the second factors of an account.
///
/// Laws
/// - A write is there whole, with its audit event, or not at all.
/// - `change` of a version that is not the one before the stored one, or of no account: `Stale`, and nothing changes.
/// - After `change` every session of the account but `keep`, and every challenge, has ended.
/// - Without `factors.totp` no authenticator is kept, and without any factor no recovery code, whatever else is given.
/// - `find` gives what was written, less what was spent since ([`CodeStore::answer`]); nothing of an account that has none.
#[cfg_attr(feature = "test-support", mockall::automock)]
#[async_trait]
pub trait FactorStore: Send + Sync {
    async fn change(&self, changed: ChangedFactors) -> Result<(), WriteError>;
    async fn find(&self, account: AccountId) -> Result<KeptFactors, StoreError>;
}

/// The counters of wrong passwords. What is counted how is [`crate::attempts`]; a store reads the counters concerned (or
/// takes the default one), applies the function, and writes what changed, in one transaction.
///
/// Laws
/// - `begin` applies [`crate::attempts::begin`], `fail` applies [`crate::attempts::fail`], `take_back` applies
///   [`crate::attempts::take_back`], to the counters of the attempt; of many at once each sees what the ones before it did.
/// - What was counted is durable before `begin` answers.
/// - `clear` forgets the counter of that key.
/// - A counter without a failure since [`crate::Counter::FORGET_AFTER_DAYS`] may be forgotten, unless it has turned a
///   password off.
#[cfg_attr(feature = "test-support", mockall::automock)]
#[async_trait]
pub trait AttemptStore: Send + Sync {
    async fn begin(&self, attempt: &Attempt) -> Result<Admission, StoreError>;
    async fn fail(&self, attempt: &Attempt) -> Result<(), StoreError>;
    async fn take_back(&self, attempt: &Attempt) -> Result<(), StoreError>;
    async fn clear(&self, key: &CounterKey) -> Result<(), StoreError>;
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Right,
    /// Right, but hashed in a way that is to be replaced.
    RightButOutdated,
    Wrong,
}

#[derive(Debug, thiserror::Error)]
pub enum HasherError {
    /// Too many are waiting: the caller may try again in a moment.
    #[error("too many passwords are waiting to be hashed")]
    Busy,
    #[error("the stored password cannot be read: {reason}")]
    Unreadable { reason: String },
}

/// Makes of a password what is safe to keep.
///
/// Laws
/// - `verify` of a hash says `Right` for the password that it was made of, whatever its length and script, and `Wrong` for
///   every other.
/// - `verify` of no hash says `Wrong`, and takes as long as of one: nobody can tell an unknown e-mail by the time.
/// - Two hashes of one password are different.
/// - However many ask, other requests are not slowed; who waits too long hears `Busy`.
#[cfg_attr(feature = "test-support", mockall::automock)]
#[async_trait]
pub trait PasswordHasher: Send + Sync {
    async fn hash(&self, password: &Password) -> Result<PasswordHash, HasherError>;
    async fn verify(&self, password: &Password, hash: Option<PasswordHash>) -> Result<Verdict, HasherError>;
}

/// Access tokens: short-lived, checked without the store, and worth nothing without a session in it.
///
/// Laws
/// - `verify` gives the claims of a token that `issue` made under a key of the ring, to the second, and `None` for every
///   other text.
/// - It does not look at the clock: whether the times are good is [`crate::Authenticate`]'s to say.
pub trait AccessTokens: Send + Sync {
    fn issue(&self, claims: &AccessClaims) -> SecretString;
    fn verify(&self, token: &str) -> Option<AccessClaims>;
}

/// The tokens of clients of the replaced system; see [`StandingClaims`].
///
/// Laws
/// - `verify` gives the claims of a token that `issue` made under this house's key, to the second, and `None` for every
///   other text.
/// - Neither kind of token is one of the other: what [`AccessTokens`] issues is `None` here, and the other way round.
/// - It does not look at the clock.
pub trait StandingTokens: Send + Sync {
    fn issue(&self, claims: &StandingClaims) -> SecretString;
    fn verify(&self, token: &str) -> Option<StandingClaims>;
}
