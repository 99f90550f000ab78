use std::sync::Arc;

use infirmary_kernel::{EmailAddress, Gate, Origin, PatientId, PersonName, PhoneNumber};

use crate::{Account, AuthError, Factors, NewAccount, PasswordHasher, PasswordPolicy, SessionTokens, TokenIssuer};

/// What somebody who registers themselves gives of the account. The password is as they typed it.
pub struct Registration<'a> {
    pub email: EmailAddress,
    pub name: PersonName,
    pub phone: Option<PhoneNumber>,
    pub password: &'a str,
}

/// Decides the account of a patient who registers themselves. Its write has the patient's record too, so it is the
/// workflow's to make.
pub struct DecideRegistration {
    pub hasher: Arc<dyn PasswordHasher>,
    pub policy: PasswordPolicy,
    pub issuer: TokenIssuer,
}

impl DecideRegistration {
    /// The rows to be written, and the answer to be given when they are. The role is patient whatever anybody says.
    pub async fn run(
        &self,
        gate: &Gate,
        registration: Registration<'_>,
        patient: PatientId,
        origin: &Origin,
    ) -> Result<(NewAccount, SessionTokens), AuthError> {
        let Registration { email, name, phone, password } = registration;
        let password = self.policy.choose(password, &email, &name, Factors::NONE)?;
        let password = self.hasher.hash(password.as_password()).await?;
        let now = gate.now();
        let account = Account::of_patient(gate.mint(now), patient, email, name, phone, now);
        let (session, refresh) = self.issuer.open(gate.mint(now), account.id, origin, now);
        let tokens = self.issuer.tokens(account.clone(), &session, &refresh, now);
        Ok((NewAccount { account, password, session: Some(session) }, tokens))
    }
}
