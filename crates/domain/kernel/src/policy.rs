//! Who may do what: the table of the API's documentation, as data.

use crate::Role;

/// How far a permission reaches for a role.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// Every record.
    All,
    /// The caller's own: their patient record and what hangs on it, or the studies that they authored.
    Own,
    /// Every patient, but only what a bill needs: name, mrn, phone, balance.
    Billing,
    /// Of a restricted patient, to who is neither of the care team nor has emergency access: that there is a record of that
    /// number, and nothing else. No role has it by the table.
    Existence,
}

macro_rules! permissions {
    ($($(#[$doc:meta])* $name:ident = $text:literal: admin $admin:expr, doctor $doctor:expr, accountant $accountant:expr, patient $patient:expr;)*) => {
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Permission { $($(#[$doc])* $name,)* }

        impl Permission {
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            /// How far it reaches for the role; `None`: the role may not.
            pub const fn reach(self, role: Role) -> Option<Reach> {
                match (self, role) {
                    $((Self::$name, Role::Admin) => $admin,
                      (Self::$name, Role::Doctor) => $doctor,
                      (Self::$name, Role::Accountant) => $accountant,
                      (Self::$name, Role::Patient) => $patient,)*
                }
            }
        }
    };
}

const ALL: Option<Reach> = Some(Reach::All);
const OWN: Option<Reach> = Some(Reach::Own);
const BILLING: Option<Reach> = Some(Reach::Billing);
const NO: Option<Reach> = None;

permissions! {
    /// The own account, its sessions and password.
    OwnAccount = "use the own account": admin OWN, doctor OWN, accountant OWN, patient OWN;
    ManageAccounts = "manage staff accounts": admin ALL, doctor NO, accountant NO, patient NO;
    ReadAudit = "read the audit log": admin ALL, doctor NO, accountant NO, patient NO;
    ManageMessages = "look after messages": admin ALL, doctor NO, accountant NO, patient NO;
    /// Who looked at my record.
    ReadOwnAccessLog = "read the access log of the own record": admin NO, doctor NO, accountant NO, patient OWN;
    FindPatients = "find patients": admin ALL, doctor ALL, accountant BILLING, patient NO;
    ReadPatient = "read patients": admin ALL, doctor ALL, accountant BILLING, patient OWN;
    RegisterPatient = "register patients": admin ALL, doctor ALL, accountant NO, patient NO;
    /// A patient changes only their contact details.
    ChangePatient = "change patients": admin ALL, doctor ALL, accountant NO, patient OWN;
    /// Who restricts a record, and who may come to it then.
    ManageCareTeams = "restrict records and edit care teams": admin ALL, doctor NO, accountant NO, patient NO;
    ReadCareTeam = "read care teams": admin ALL, doctor ALL, accountant NO, patient OWN;
    /// A doctor breaks the glass.
    UseEmergencyAccess = "use emergency access": admin NO, doctor ALL, accountant NO, patient NO;
    /// Who broke the glass, and what for.
    ReadEmergencyAccess = "read who used emergency access": admin ALL, doctor NO, accountant NO, patient NO;
    /// A patient reads diagnoses once they are confirmed.
    ReadStudies = "read studies and diagnoses": admin ALL, doctor ALL, accountant NO, patient OWN;
    /// Drafts: only the author.
    WriteStudies = "write studies and diagnoses": admin NO, doctor ALL, accountant NO, patient NO;
    /// What an admin uploads in the name of a doctor: by the replaced system's routes only.
    RecordForDoctors = "record studies and reports for a doctor": admin ALL, doctor NO, accountant NO, patient NO;
    ReadReports = "read reports": admin ALL, doctor ALL, accountant NO, patient OWN;
    IssueReports = "issue reports": admin NO, doctor ALL, accountant NO, patient NO;
    ReadTasks = "read the catalogue of tasks": admin ALL, doctor ALL, accountant ALL, patient ALL;
    WriteTasks = "change the catalogue of tasks": admin ALL, doctor NO, accountant ALL, patient NO;
    /// A doctor reads the charges of the studies that they authored.
    ReadCharges = "read charges": admin ALL, doctor OWN, accountant ALL, patient OWN;
    ReadPayments = "read payments and statements": admin ALL, doctor NO, accountant ALL, patient OWN;
    ReadSummary = "read the financial summary": admin ALL, doctor NO, accountant ALL, patient NO;
    WriteFinancials = "take payments, refund and void": admin ALL, doctor NO, accountant ALL, patient NO;
}

impl Permission {
    /// Whether a restricted record is closed to the role here, unless they are of its care team or have emergency access.
    ///
    /// What is known of the patient's health is closed to all staff, admins included. The entry in the registry is closed to
    /// doctors: admins look after it, and accountants, who see of it what a bill needs, have to bill every patient. The books
    /// name procedures and prices, so a doctor sees no charge of a restricted patient either, whosever study it is of.
    pub const fn is_confidential(self, role: Role) -> bool {
        match self {
            Self::ReadStudies
            | Self::WriteStudies
            | Self::RecordForDoctors
            | Self::ReadReports
            | Self::IssueReports => role.is_staff(),
            Self::FindPatients
            | Self::ReadPatient
            | Self::RegisterPatient
            | Self::ChangePatient
            | Self::ReadCareTeam
            | Self::ReadCharges => matches!(role, Role::Doctor),
            _ => false,
        }
    }
}
