use std::sync::Arc;

use infirmary_kernel::{Action, Gate, Origin, Trail, WriteError};

use crate::{
    AcceptedInvitation, Account, AccountState, AuthError, InvitationCode, InvitationStore, PasswordHasher,
    PasswordPolicy, SessionTokens, TokenIssuer,
};

/// Somebody who was invited chooses a password and is signed in.
pub struct AcceptInvitation {
    pub gate: Gate,
    pub invitations: Arc<dyn InvitationStore>,
    pub hasher: Arc<dyn PasswordHasher>,
    pub policy: PasswordPolicy,
    pub issuer: TokenIssuer,
}

impl AcceptInvitation {
    pub async fn run(&self, code: &str, password: &str, origin: &Origin) -> Result<SessionTokens, AuthError> {
        let code = InvitationCode::parse(code).ok_or(AuthError::BadInvitation)?.digest();
        let found = self.invitations.find_by_code(code).await?;
        let (_, account) =
            found.filter(|(invitation, _)| invitation.expires_at > self.gate.now()).ok_or(AuthError::BadInvitation)?;
        let password = self.policy.choose(password, &account.email, &account.name, account.factors)?;
        let password = self.hasher.hash(password.as_password()).await?;

        let now = self.gate.now();
        let account =
            Account { state: AccountState::Active, joined_at: Some(now), version: account.version + 1, ..account };
        let (session, refresh) = self.issuer.open(self.gate.mint(now), account.id, origin, now);
        let event =
            account.event(&self.gate, Some(origin), Action::INVITATION_ACCEPT, account.subject(), Some(session.id));
        let trail = Trail::new(event);
        let accepted = AcceptedInvitation { account: account.clone(), code, password, session: session.clone(), trail };
        match self.invitations.accept(accepted).await {
            Ok(()) => Ok(self.issuer.tokens(account, &session, &refresh, now)),
            // It was used, or taken back, while the password was hashed.
            Err(WriteError::Stale) => Err(AuthError::BadInvitation),
            Err(error) => Err(error.into()),
        }
    }
}
