use std::sync::Arc;

use infirmary_kernel::{Action, Caller, Entropy, Invalid, Permission, Signer, Subject, Trail};

use crate::{
    Account, AuthError, ChangedFactors, FactorMethod, FactorPolicy, FactorStore, Factors, Password, PasswordDoor,
    PasswordPolicy, RecoveryCode,
};

/// What an account has to show beside its password.
#[derive(Debug, Clone, Copy)]
pub struct FactorsView {
    pub factors: Factors,
    pub recovery_codes_left: usize,
    pub phone_verified: bool,
    /// Whether the house asks for a second factor of the role.
    pub required: bool,
}

/// Somebody looks at, adds to or takes from their own second factors. Another set ends their other sessions.
pub struct ChangeFactors {
    pub door: PasswordDoor,
    pub factors: Arc<dyn FactorStore>,
    pub signer: Arc<dyn Signer>,
    pub entropy: Arc<dyn Entropy>,
    pub policy: FactorPolicy,
}

impl ChangeFactors {
    pub async fn view(&self, caller: &Caller) -> Result<FactorsView, AuthError> {
        let account = self.own(caller).await?;
        let kept = self.factors.find(account.id).await?;
        Ok(FactorsView {
            factors: account.factors,
            recovery_codes_left: kept.recovery.len(),
            phone_verified: account.verified_phone().is_some(),
            required: self.policy.requires_of(account.role),
        })
    }

    /// From now on a code to the verified phone is asked for. The phone is no way in by itself any more. Gives recovery codes
    /// when this is the first factor.
    pub async fn add_whatsapp(&self, caller: &Caller) -> Result<Option<Vec<RecoveryCode>>, AuthError> {
        let account = self.own_by_recent_proof(caller).await?;
        if account.verified_phone().is_none() {
            return Err(AuthError::PhoneNotVerified);
        }
        let codes = (!account.factors.any()).then(|| RecoveryCode::draw_all(&*self.entropy));
        let factors = Factors { whatsapp: true, ..account.factors };
        self.write(caller, account, factors, codes.as_deref(), "whatsapp").await?;
        Ok(codes)
    }

    /// Asks for the password, for the sake of its length: it may have to stand alone afterwards.
    pub async fn remove(&self, caller: &Caller, method: FactorMethod, password: &Password) -> Result<(), AuthError> {
        let gate = &self.door.gate;
        let account = self.own_by_recent_proof(caller).await?;
        let (factors, field) = match method {
            FactorMethod::Totp => (Factors { totp: false, ..account.factors }, "totp"),
            FactorMethod::Whatsapp => (Factors { whatsapp: false, ..account.factors }, "whatsapp"),
            FactorMethod::RecoveryCode => (account.factors, "recoveryCodes"),
        };
        let failure = |subject| gate.event(caller, Action::FACTOR_CHANGE, subject);
        self.door.prove(&account.email, password, &caller.origin, failure).await?;
        if !PasswordPolicy::is_long_enough(password, factors) {
            let detail = "is too short to stand alone; choose one of 15 characters or more first";
            return Err(Invalid::new("/password", detail).into());
        }
        if factors == account.factors {
            return Ok(());
        }
        self.write(caller, account, factors, None, field).await
    }

    /// Ten new ones; those before are good for nothing any more.
    pub async fn renew_recovery_codes(&self, caller: &Caller) -> Result<Vec<RecoveryCode>, AuthError> {
        let account = self.own_by_recent_proof(caller).await?;
        if !account.factors.any() {
            return Err(AuthError::NoSecondFactor);
        }
        let codes = RecoveryCode::draw_all(&*self.entropy);
        let factors = account.factors;
        self.write(caller, account, factors, Some(&codes), "recoveryCodes").await?;
        Ok(codes)
    }

    async fn own(&self, caller: &Caller) -> Result<Account, AuthError> {
        let subject = Subject::new("account", caller.account);
        self.door.gate.admit(caller, Permission::OwnAccount, subject).await?;
        self.door.accounts.find(caller.account).await?.ok_or(AuthError::Unauthenticated)
    }

    async fn own_by_recent_proof(&self, caller: &Caller) -> Result<Account, AuthError> {
        let account = self.own(caller).await?;
        self.door.gate.step_up(caller, Subject::new("account", caller.account)).await?;
        Ok(account)
    }

    async fn write(
        &self,
        caller: &Caller,
        mut account: Account,
        factors: Factors,
        codes: Option<&[RecoveryCode]>,
        field: &'static str,
    ) -> Result<(), AuthError> {
        account.factors = factors;
        account.version += 1;
        let event = self.door.gate.event(caller, Action::FACTOR_CHANGE, account.subject()).changing([field]);
        let digests =
            |codes: &[RecoveryCode]| codes.iter().map(|code| code.digest(account.id, &*self.signer)).collect();
        let changed = ChangedFactors {
            authenticator: None,
            recovery: codes.map(digests),
            account,
            keep: caller.session,
            trail: Trail::new(event),
        };
        Ok(self.factors.change(changed).await?)
    }
}
