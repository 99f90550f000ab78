//! Who may come in, and the proof of it: accounts, passwords, sessions, tokens, invitations.
//!
//! Patients register themselves; staff are invited by an admin; the first admin comes from the command line. A session is
//! a row in the store. Its holder has a token for a quarter of an hour and another to refresh it, and each request asks the
//! store whether the session lives and what its account may at this moment.
//!
//! Invariants
//! - A password is compared only after the attempt was counted, at one door ([`PasswordDoor`]), and known and unknown
//!   e-mails are answered alike, in the same time.
//! - What proves something (passwords, refresh tokens, codes) is never stored, only its hash; no receipt keeps one.
//! - A refresh token is used once. The one before gives the same successor for ten seconds; any other use of an old one
//!   ends the session.
//! - Disabling, another role, and another password end sessions in the transaction that makes them so.
//! - The house, once it has an active admin, never is without one.
//! - Deliberately absent: the deletion of accounts; a password that an admin sets or sees.

mod accept_invitation;
mod account;
pub mod attempts;
mod authenticate;
mod change_account;
mod change_me;
mod change_password;
mod common;
mod create_admin;
mod door;
mod end_session;
mod error;
mod invitation;
mod invite_staff;
mod login;
mod password;
mod ports;
mod queries;
mod refresh;
mod register;
mod session;
mod tokens;

#[cfg(feature = "test-support")]
pub mod testing;

pub use accept_invitation::AcceptInvitation;
pub use account::{Account, AccountState};
pub use attempts::{Admission, Attempt, Counter, CounterKey};
pub use authenticate::Authenticate;
pub use change_account::{AccountChange, ChangeAccount};
pub use change_me::ChangeMe;
pub use change_password::ChangePassword;
pub use create_admin::CreateAdmin;
pub use door::PasswordDoor;
pub use end_session::EndSession;
pub use error::AuthError;
pub use invitation::{Invitation, InvitationCode};
pub use invite_staff::{InviteStaff, NewStaff};
pub use login::Login;
pub use password::{NewPassword, Password, PasswordHash, PasswordPolicy};
pub use ports::{
    AcceptedInvitation, AccessTokens, AccountStore, AttemptStore, ChangedAccount, ChangedPassword, Credential,
    HasherError, InvitationStore, Invited, NewAccount, PasswordHasher, SessionStore, StartedSession, Verdict, law,
};
#[cfg(feature = "test-support")]
pub use ports::{MockAccountStore, MockAttemptStore, MockInvitationStore, MockPasswordHasher, MockSessionStore};
pub use queries::Queries;
pub use refresh::RefreshSession;
pub use register::{DecideRegistration, Registration};
pub use session::{LiveSession, Refresh, RefreshToken, Rotation, Session};
pub use tokens::{AccessClaims, SessionTokens, TokenIssuer};
