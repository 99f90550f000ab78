//! Users: accounts, and the records of patients.

use std::collections::{HashMap, HashSet};

use futures_util::TryStreamExt;
use infirmary_auth::{Account, AccountState, Factors, PasswordHash};
use infirmary_kernel::{
    AccountId, Action, EmailAddress, Invalid, PatientId, PersonName, PhoneNumber, PostalAddress, Role, Subject,
};
use infirmary_patients::NewPatient;
use infirmary_workflows::{Imported, ImportedId, ImportedRecord};
use mongodb::bson::Document;

use super::{House, old, told::Told};
use crate::{
    command::CommandError,
    legacy::{id::ObjectId, phone, words},
};

pub const USERS: &str = "users";

/// Who is there, by the names that the other collections call them by.
#[derive(Default)]
pub struct People {
    patients: HashSet<ObjectId>,
    /// The account of whoever may have written a diagnosis.
    authors: HashMap<ObjectId, AccountId>,
    /// What they were charged and owe by their own row, to be compared with the bills.
    pub totals: HashMap<ObjectId, (Option<String>, Option<String>)>,
    emails: HashMap<EmailAddress, (ObjectId, Role)>,
}

impl People {
    pub fn patient(&self, id: ObjectId) -> Option<PatientId> {
        self.patients.contains(&id).then(|| id.to_id())
    }

    pub fn author(&self, id: ObjectId) -> Option<AccountId> {
        self.authors.get(&id).copied()
    }

    /// An account for a doctor whose row is gone: nobody can sign in to it.
    pub fn stand_in(&mut self, house: &House, id: ObjectId) -> Result<Imported, CommandError> {
        let refused = |invalid: Invalid| CommandError::use_case(invalid);
        let account = Account {
            email: EmailAddress::parse(&format!("{id}@imported.invalid")).map_err(refused)?,
            name: PersonName::parse("Unknown doctor").map_err(refused)?,
            state: AccountState::Disabled,
            joined_at: None,
            ..blank(id, Role::Doctor)?
        };
        self.authors.insert(id, account.id);
        let event = house.event(Action::ACCOUNT_REGISTER, account.subject());
        Ok(Imported { record: ImportedRecord::Account { account, password: None, patient: None }, event })
    }
}

/// An account that was made when its id was.
fn blank(id: ObjectId, role: Role) -> Result<Account, CommandError> {
    let refused = |invalid: Invalid| CommandError::use_case(invalid);
    Ok(Account {
        id: id.to_id(),
        email: EmailAddress::parse("nobody@imported.invalid").map_err(refused)?,
        name: PersonName::parse("Unknown").map_err(refused)?,
        phone: None,
        phone_verified_at: None,
        factors: Factors::NONE,
        role,
        state: AccountState::Active,
        patient: (role == Role::Patient).then(|| id.to_id()),
        created_at: id.made_at(),
        joined_at: Some(id.made_at()),
        version: 1,
    })
}

/// A user on the way: what is known of them, before they have a record number.
struct Decided {
    id: ObjectId,
    /// Of a patient whose e-mail is another's: the record alone.
    account: Option<(Account, Option<PasswordHash>)>,
    patient: Option<NewPatient>,
}

pub async fn import(house: &House, old: &old::Old, told: &mut Told) -> Result<People, CommandError> {
    let mut people = People::default();
    told.begin(USERS);
    let mut users = old.all(USERS).await?;
    let mut batch = Vec::new();
    while let Some(document) = users.try_next().await.map_err(old::failed)? {
        told.read(USERS);
        if let Some(decided) = decide(house, &mut people, told, &document).await? {
            batch.push(decided);
        }
        if batch.len() == House::BATCH_RECORDS {
            write(house, told, std::mem::take(&mut batch)).await?;
        }
    }
    write(house, told, batch).await?;
    Ok(people)
}

async fn decide(
    house: &House,
    people: &mut People,
    told: &mut Told,
    document: &Document,
) -> Result<Option<Decided>, CommandError> {
    let Some(id) = old::object_id(document, "_id") else {
        told.refused(USERS, None, "its id is no ObjectId");
        return Ok(None);
    };
    let said = old::text(document, "accountType").unwrap_or_default();
    let Some(role) = words::role(&said) else {
        told.refused(USERS, Some(id), "its account type is none of admin, Doctor, accountant and Patient");
        return Ok(None);
    };
    let is_patient = role == Role::Patient;
    let email = old::text(document, "Email").and_then(|text| EmailAddress::parse(&text).ok());
    let name = match old::text(document, "Name").map(|name| PersonName::parse(&cut(&name, PersonName::MAX_CODE_POINTS)))
    {
        Some(Ok(name)) => name,
        _ => {
            told.changed(USERS, id, "it has no name that can be kept; it is called Unknown");
            PersonName::parse("Unknown").map_err(CommandError::use_case)?
        }
    };
    let phone = phone_of(house, told, document, id);
    let address = old::text(document, "Address1").map(|text| cut(&text, PostalAddress::MAX_CODE_POINTS));
    let address = address.and_then(|text| PostalAddress::parse(&text).ok());
    if address.is_some() && !is_patient {
        told.changed(USERS, id, "its address is left out; accounts of staff have none");
    }

    let mut account = None;
    match &email {
        None if is_patient => told.changed(USERS, id, "its e-mail is none; the patient is taken, and cannot sign in"),
        None => {
            told.refused(USERS, Some(id), "its e-mail is none, and staff sign in with one");
            return Ok(None);
        }
        Some(email) => match taken(house, people, id, email).await? {
            None => {
                let password = old::text(document, "password").filter(|hash| is_bcrypt(hash));
                if password.is_none() {
                    told.changed(USERS, id, "its password cannot be taken; it has to be invited or reset");
                }
                let state = if password.is_some() { AccountState::Active } else { AccountState::Invited };
                let joined_at = password.as_ref().map(|_| id.made_at());
                let made = Account {
                    email: email.clone(),
                    name: name.clone(),
                    phone: phone.clone(),
                    created_at: old::time(document, "dateCreated", id),
                    state,
                    joined_at,
                    ..blank(id, role)?
                };
                people.authors.insert(id, made.id);
                people.emails.insert(email.clone(), (id, role));
                account = Some((made, password.map(PasswordHash::from_stored)));
            }
            Some(Taken { by, .. }) if is_patient => {
                told.changed(
                    USERS,
                    id,
                    &format!("its e-mail is that of {by}; the patient is taken, and cannot sign in"),
                );
            }
            Some(Taken { by, author }) => {
                // The same mailbox is the same person: what they wrote is theirs.
                people.authors.extend(author.map(|author| (id, author)));
                told.refused(USERS, Some(id), &format!("its e-mail is, but for its case, that of {by}"));
                return Ok(None);
            }
        },
    }
    if is_patient {
        people.patients.insert(id);
        let totals = (old::text(document, "totalCost"), old::text(document, "amountLeftToPay"));
        people.totals.insert(id, totals);
    }
    let patient = is_patient.then_some(NewPatient { name, birth_date: None, sex: None, phone, email, address });
    Ok(Some(Decided { id, account, patient }))
}

/// Who has the e-mail already.
struct Taken {
    by: String,
    author: Option<AccountId>,
}

async fn taken(
    house: &House,
    people: &People,
    id: ObjectId,
    email: &EmailAddress,
) -> Result<Option<Taken>, CommandError> {
    if let Some((first, role)) = people.emails.get(email) {
        let author = role.is_staff().then(|| first.to_id());
        return Ok(Some(Taken { by: format!("user {first}"), author }));
    }
    let here = house.accounts.credential(email).await.map_err(CommandError::use_case)?;
    Ok(here.filter(|known| known.account.id != id.to_id()).map(|known| Taken {
        by: "an account that was made here".to_owned(),
        author: known.account.role.is_staff().then_some(known.account.id),
    }))
}

fn phone_of(house: &House, told: &mut Told, document: &Document, id: ObjectId) -> Option<PhoneNumber> {
    let text = old::text(document, "phoneNum")?;
    let number = phone::read(&text, house.country.as_ref());
    match &number {
        None => told.changed(USERS, id, "its phone number is left out: it has no country; --calling-code gives one"),
        // It may come with its own country, or have been given the house's.
        Some(number)
            if !number.digits().ends_with(text.trim_start_matches(['+', '0']))
                || number.digits().len() > text.len() =>
        {
            told.changed(USERS, id, "its phone number has the country of the house now");
        }
        Some(_) => {}
    }
    number
}

/// bcryptjs writes `$2a$`, others `$2b$`; 60 characters in all.
fn is_bcrypt(hash: &str) -> bool {
    hash.len() == 60 && (hash.starts_with("$2a$") || hash.starts_with("$2b$"))
}

fn cut(text: &str, most: usize) -> String {
    text.chars().filter(|c| !c.is_control() || *c == '\n').take(most).collect()
}

async fn write(house: &House, told: &mut Told, batch: Vec<Decided>) -> Result<(), CommandError> {
    let id_of = |decided: &Decided| match &decided.account {
        Some((account, _)) => ImportedId::Account(account.id),
        None => ImportedId::Patient(decided.id.to_id()),
    };
    let ids: Vec<_> = batch.iter().map(id_of).collect();
    let known = house.known(&ids).await?;
    let (there, new): (Vec<_>, Vec<_>) = batch.into_iter().partition(|decided| known.contains(&id_of(decided)));
    there.iter().for_each(|_| told.there(USERS));
    let patients = new.iter().filter(|decided| decided.patient.is_some()).count() as u64;
    let mut mrn = house.reserve_mrns(patients).await?;
    let mut records = Vec::with_capacity(new.len());
    for Decided { id, account, patient } in new {
        let patient = match patient {
            None => None,
            Some(patient) => {
                let made_at = account.as_ref().map_or(id.made_at(), |(account, _)| account.created_at);
                let mut patient = patient.into_patient(id.to_id(), mrn, made_at).map_err(CommandError::use_case)?;
                patient.account = account.as_ref().map(|(account, _)| account.id);
                mrn = infirmary_patients::Mrn::from_serial(mrn.serial() + 1);
                Some(patient)
            }
        };
        let subject = match (&patient, &account) {
            (Some(patient), _) => Subject::patient(patient.id).at_version(1),
            (None, Some((account, _))) => account.subject(),
            (None, None) => continue,
        };
        let (action, record) = match (account, patient) {
            (Some((account, password)), patient) => {
                (Action::ACCOUNT_REGISTER, ImportedRecord::Account { account, password, patient })
            }
            (None, Some(patient)) => (Action::PATIENT_REGISTER, ImportedRecord::Patient(patient)),
            (None, None) => continue,
        };
        records.push(Imported { record, event: house.event(action, subject) });
    }
    let added = house.write(records).await?;
    told.added(USERS, added);
    Ok(())
}
