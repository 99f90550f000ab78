//! Who may come in, and the proof of it: accounts, passwords, second factors, one-time codes, sessions, tokens, invitations.
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
//! - Disabling, another role, another password and other second factors end sessions in the transaction that makes them so.
//! - An answer to a challenge is counted before it is compared, and a right one is spent in the transaction of what it grants.
//!   Who asks for a code hears the same whether or not the phone is anybody's.
//! - A phone is a way in or a second factor, never both.
//! - The house, once it has an active admin, never is without one.
//! - Deliberately absent: the deletion of accounts; a password that an admin sets or sees.

mod accept_invitation;
mod account;
mod answer_challenge;
pub mod attempts;
mod authenticate;
mod change_account;
mod change_factors;
mod change_me;
mod change_password;
pub mod code_limits;
mod codes;
mod common;
mod confirm_session;
mod create_admin;
mod door;
mod end_session;
mod enrol_authenticator;
mod error;
mod factors;
mod invitation;
mod invite_staff;
mod keep_session;
mod login;
mod password;
mod ports;
mod queries;
mod refresh;
mod register;
mod request_code;
mod reset_password;
mod restart_account;
mod session;
mod standing_token;
mod tokens;

#[cfg(feature = "test-support")]
pub mod testing;

pub use accept_invitation::AcceptInvitation;
pub use account::{Account, AccountState};
pub use answer_challenge::{Answer, AnswerChallenge};
pub use attempts::{Admission, Attempt, Counter, CounterKey};
pub use authenticate::Authenticate;
pub use change_account::{AccountChange, ChangeAccount};
pub use change_factors::{ChangeFactors, FactorsView};
pub use change_me::ChangeMe;
pub use change_password::ChangePassword;
pub use code_limits::{CallingCode, CodeCounter, CodePolicy};
pub use codes::{Challenge, CodePurpose, OneTimeCode};
pub use confirm_session::{ConfirmSession, Confirmation};
pub use create_admin::CreateAdmin;
pub use door::PasswordDoor;
pub use end_session::EndSession;
pub use enrol_authenticator::{EnrolAuthenticator, Enrolment};
pub use error::AuthError;
pub use factors::{
    Authenticator, AuthenticatorInvitation, AuthenticatorSecret, Authenticators, FactorMethod, FactorPolicy, Factors,
    KeptFactors, RecoveryCode,
};
pub use invitation::{Invitation, InvitationCode};
pub use invite_staff::{InviteStaff, NewStaff};
pub use keep_session::KeepSession;
pub use login::{Login, SignIn};
pub use password::{NewPassword, Password, PasswordHash, PasswordPolicy};
pub use ports::{
    AcceptedInvitation, AccessTokens, AccountStore, AnsweredChallenge, AttemptStore, ChangedAccount, ChangedFactors,
    ChangedPassword, CodeStore, ConfirmedSession, CountedRequest, Credential, FactorStore, Granted, HasherError,
    InvitationStore, Invited, NewAccount, OpenedChallenge, PasswordHasher, ProvedPassword, ResetPassword, SessionStore,
    Spent, StandingTokens, StartedSession, Verdict, law,
};
#[cfg(feature = "test-support")]
pub use ports::{
    MockAccountStore, MockAttemptStore, MockCodeStore, MockFactorStore, MockInvitationStore, MockPasswordHasher,
    MockSessionStore,
};
pub use queries::Queries;
pub use refresh::RefreshSession;
pub use register::{DecideRegistration, Registration};
pub use request_code::{CodeRequest, IssuedChallenge, RequestCode};
pub use reset_password::ResetPasswordByCode;
pub use restart_account::RestartAccount;
pub use session::{LiveSession, Refresh, RefreshToken, Rotation, Session};
pub use standing_token::StandingClaims;
pub use tokens::{AccessClaims, SessionTokens, TokenIssuer};
