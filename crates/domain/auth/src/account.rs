use std::str::FromStr;

use infirmary_kernel::{
    AccountId, Action, EmailAddress, Event, Gate, Invalid, Origin, PatientId, PersonName, PhoneNumber, Role, SessionId,
    Subject, Timestamp,
};

use crate::Factors;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AccountState {
    /// Staff who have not chosen their password yet.
    Invited,
    Active,
    Disabled,
}

impl AccountState {
    pub const ALL: [Self; 3] = [Self::Invited, Self::Active, Self::Disabled];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Invited => "invited",
            Self::Active => "active",
            Self::Disabled => "disabled",
        }
    }
}

impl FromStr for AccountState {
    type Err = Invalid;
    fn from_str(text: &str) -> Result<Self, Invalid> {
        Self::ALL
            .into_iter()
            .find(|state| state.as_str() == text)
            .ok_or_else(|| Invalid::new("/state", "must be invited, active or disabled"))
    }
}

/// Somebody who may sign in, or was asked to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    pub id: AccountId,
    /// What the account is signed in with: unique in the house.
    pub email: EmailAddress,
    pub name: PersonName,
    pub phone: Option<PhoneNumber>,
    /// When a code proved that the phone is the holder's; absent after the phone was changed otherwise.
    pub phone_verified_at: Option<Timestamp>,
    /// What is asked for beside the password.
    pub factors: Factors,
    pub role: Role,
    pub state: AccountState,
    /// The patient record of the person, for the role [`Role::Patient`] and no other.
    pub patient: Option<PatientId>,
    pub created_at: Timestamp,
    /// When the first password was chosen; absent while nobody could sign in yet, or has to begin again.
    pub joined_at: Option<Timestamp>,
    /// 1 when created, one more at each change.
    pub version: u32,
}

impl Account {
    /// The account of a patient who registers themselves. The role is nobody's to choose.
    pub fn of_patient(
        id: AccountId,
        patient: PatientId,
        email: EmailAddress,
        name: PersonName,
        phone: Option<PhoneNumber>,
        now: Timestamp,
    ) -> Self {
        Self {
            id,
            email,
            name,
            phone,
            phone_verified_at: None,
            factors: Factors::NONE,
            role: Role::Patient,
            state: AccountState::Active,
            patient: Some(patient),
            created_at: now,
            joined_at: Some(now),
            version: 1,
        }
    }

    pub fn is_active(&self) -> bool {
        self.state == AccountState::Active
    }

    pub fn is_active_admin(&self) -> bool {
        self.is_active() && self.role == Role::Admin
    }

    /// The phone that codes may go to.
    pub fn verified_phone(&self) -> Option<&PhoneNumber> {
        self.phone.as_ref().filter(|_| self.phone_verified_at.is_some())
    }

    /// The phone that is a way in: by it one signs in, or resets the password. A phone that is the second factor is not,
    /// else it would be both factors.
    pub fn phone_to_come_in_by(&self) -> Option<&PhoneNumber> {
        self.verified_phone().filter(|_| self.is_active() && !self.factors.whatsapp)
    }

    pub(crate) fn disable(&mut self) {
        self.state = AccountState::Disabled;
    }

    /// Who never chose a password has to be invited again.
    pub(crate) fn enable(&mut self) {
        self.state = if self.joined_at.is_some() { AccountState::Active } else { AccountState::Invited };
    }

    pub fn subject(&self) -> Subject {
        Subject::new("account", self.id).at_version(self.version)
    }

    /// What the account did without a session to show: signing in, for one.
    pub fn event(
        &self,
        gate: &Gate,
        origin: Option<&Origin>,
        action: Action,
        subject: Subject,
        session: Option<SessionId>,
    ) -> Event {
        Event { account: Some(self.id), role: Some(self.role), session, ..gate.anonymous(origin, action, subject) }
    }
}
