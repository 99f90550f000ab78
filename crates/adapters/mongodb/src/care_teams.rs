//! Care teams and emergency access. The team, and the emergency access that may run, stand in the document of the patient: so
//! how somebody stands to a record is one look by its key.

use async_trait::async_trait;
use infirmary_kernel::{
    AccountId, Confidentiality, Page, PageRequest, PatientId, SessionId, ShortText, Standing, StoreError, Timestamp,
    Trail, WriteError, Written,
};
use infirmary_patients::{
    AddedMember, CareTeamMember, CareTeamStore, EmergencyAccess, RemovedMember, StartedEmergencyAccess,
};
use mongodb::bson::{Document, RawDocument, doc};

use crate::{
    MongoStore,
    documents::{DocumentExt, Fields, id, time},
    reads::{Query, after_place, newest_first, one_more},
    schema::{EMERGENCY_ACCESSES, PATIENTS},
    transaction::{Transaction, Write, line},
};

/// What of a filter keeps out the restricted patients that the reader is not to have.
pub(crate) fn given_to(filter: Document, reader: Option<AccountId>) -> Document {
    match reader {
        Some(reader) => filter.but_not(doc! { "restricted": true, "care_team.account": { "$ne": id(reader) } }),
        None => filter,
    }
}

/// What keeps, of a list of what has a `patient`, that of the patients who are given to the reader: one look at each by its
/// key, where the list is made, so that a page is full whatever is kept from it.
pub(crate) fn given_patients(reader: Option<AccountId>) -> Vec<Document> {
    if reader.is_none() {
        return Vec::new();
    }
    let given = doc! {
        "from": PATIENTS.name,
        "localField": "patient",
        "foreignField": "_id",
        "pipeline": [{ "$match": given_to(doc! {}, reader) }, { "$project": { "_id": 1 } }],
        "as": "given",
    };
    vec![doc! { "$lookup": given }, doc! { "$match": { "given": { "$ne": [] } } }, doc! { "$unset": "given" }]
}

#[async_trait]
impl Confidentiality for MongoStore {
    async fn standing(
        &self,
        patient: PatientId,
        account: AccountId,
        session: SessionId,
        at: Timestamp,
    ) -> Result<Standing, StoreError> {
        let Some(found) = self.find_one(&PATIENTS, doc! { "_id": id(patient) }).await? else {
            return Ok(Standing::NoRecord);
        };
        if !found.optional_flag("restricted")?.unwrap_or(false) {
            return Ok(Standing::Open);
        }
        if members(patient, &found)?.iter().any(|member| member.account == account) {
            return Ok(Standing::CareTeam);
        }
        for access in found.optional_documents("emergency")? {
            if access.id::<infirmary_kernel::marker::Session>("session")? == session && access.time("ends_at")? > at {
                return Ok(Standing::EmergencyAccess);
            }
        }
        Ok(Standing::Outside)
    }
}

#[async_trait]
impl Write for AddedMember {
    fn trail(&self) -> &Trail {
        &self.trail
    }

    fn line(&self) -> Option<usize> {
        Some(line(self.member.patient))
    }

    /// `Stale`: they are of the team already.
    async fn apply(&self, transaction: &mut Transaction<'_>) -> Result<(), WriteError> {
        let CareTeamMember { patient, account, .. } = &self.member;
        let found = transaction.find_one(&PATIENTS, doc! { "_id": id(*patient) }).await?;
        let found = found.ok_or(WriteError::Conflict { law: CareTeamMember::OF_A_KNOWN_PATIENT })?;
        let team = members(*patient, &found)?;
        if team.iter().any(|member| member.account == *account) {
            return Err(WriteError::Stale);
        }
        if team.len() >= CareTeamMember::MAX_PER_PATIENT {
            return Err(WriteError::Conflict { law: CareTeamMember::FULL });
        }
        let join = doc! { "$push": { "care_team": member(&self.member) } };
        transaction.update(&PATIENTS, doc! { "_id": id(*patient) }, join).await.map(|_| ())
    }
}

#[async_trait]
impl Write for RemovedMember {
    fn trail(&self) -> &Trail {
        &self.trail
    }

    fn line(&self) -> Option<usize> {
        Some(line(self.patient))
    }

    async fn apply(&self, transaction: &mut Transaction<'_>) -> Result<(), WriteError> {
        let member = doc! { "_id": id(self.patient), "care_team.account": id(self.account) };
        let leave = doc! { "$pull": { "care_team": { "account": id(self.account) } } };
        match transaction.update(&PATIENTS, member, leave).await? {
            true => Ok(()),
            false => Err(WriteError::Stale),
        }
    }
}

#[async_trait]
impl Write for StartedEmergencyAccess {
    fn trail(&self) -> &Trail {
        &self.trail
    }

    fn line(&self) -> Option<usize> {
        Some(line(self.access.patient))
    }

    async fn apply(&self, transaction: &mut Transaction<'_>) -> Result<(), WriteError> {
        begin(transaction, &self.access).await
    }
}

/// In the document of the patient, too, while it runs.
pub(crate) async fn begin(transaction: &mut Transaction<'_>, access: &EmergencyAccess) -> Result<(), WriteError> {
    let of = doc! { "_id": id(access.patient) };
    // Those that are over are of no use in the document of the patient.
    let over = doc! { "$pull": { "emergency": { "ends_at": { "$lte": time(access.started_at) } } } };
    if !transaction.update(&PATIENTS, of.clone(), over).await? {
        return Err(WriteError::Conflict { law: CareTeamMember::OF_A_KNOWN_PATIENT });
    }
    let begun = doc! { "session": id(access.session), "ends_at": time(access.ends_at) };
    transaction.update(&PATIENTS, of, doc! { "$push": { "emergency": begun } }).await?;
    transaction.insert(&EMERGENCY_ACCESSES, document(access)).await
}

#[async_trait]
impl CareTeamStore for MongoStore {
    async fn add(&self, added: AddedMember) -> Result<bool, WriteError> {
        match self.write(&added).await {
            Ok(_) => Ok(true),
            Err(WriteError::Stale) => Ok(false),
            Err(error) => Err(error),
        }
    }

    async fn remove(&self, removed: RemovedMember) -> Result<(), WriteError> {
        self.write(&removed).await.map(|_| ())
    }

    async fn members(&self, patient: PatientId) -> Result<Vec<CareTeamMember>, StoreError> {
        let Some(found) = self.find_one(&PATIENTS, doc! { "_id": id(patient) }).await? else { return Ok(Vec::new()) };
        let mut team = members(patient, &found)?;
        team.sort_by_key(|member| (member.added_at, member.account));
        Ok(team)
    }

    async fn start_emergency_access(&self, started: StartedEmergencyAccess) -> Result<Written, WriteError> {
        self.write(&started).await
    }

    async fn emergency_accesses(
        &self,
        patient: PatientId,
        page: &PageRequest,
    ) -> Result<Page<EmergencyAccess>, StoreError> {
        let query = Query {
            filter: after_place(doc! { "patient": id(patient) }, "started_at", page),
            sort: newest_first("started_at"),
            limit: one_more(page),
            index: "patient",
        };
        let found = self.find(&EMERGENCY_ACCESSES, query).await?;
        let accesses = found.iter().map(|found| access(found)).collect::<Result<_, _>>()?;
        Ok(Page::of_rows(accesses, page.limit, EmergencyAccess::cursor))
    }
}

/// Ends what runs at that moment: of whoever lifts a restriction, within a transaction of theirs.
pub(crate) async fn end_emergency_access(
    transaction: &mut Transaction<'_>,
    patient: PatientId,
    at: Timestamp,
) -> Result<(), WriteError> {
    transaction.update(&PATIENTS, doc! { "_id": id(patient) }, doc! { "$unset": { "emergency": "" } }).await?;
    let running = doc! { "patient": id(patient), "ends_at": { "$gt": time(at) } };
    transaction.update_all(&EMERGENCY_ACCESSES, running, doc! { "$set": { "ends_at": time(at) } }).await
}

/// In any order; none of a patient who never had a team.
pub(crate) fn members(patient: PatientId, found: &RawDocument) -> Result<Vec<CareTeamMember>, StoreError> {
    let member = |member: &RawDocument| {
        Ok(CareTeamMember {
            patient,
            account: member.id("account")?,
            added_at: member.time("added_at")?,
            added_by: member.id("added_by")?,
        })
    };
    found.optional_documents("care_team")?.into_iter().map(member).collect()
}

pub(crate) fn member(member: &CareTeamMember) -> Document {
    doc! {
        "account": id(member.account),
        "added_at": time(member.added_at),
        "added_by": id(member.added_by),
    }
}

fn document(access: &EmergencyAccess) -> Document {
    doc! {
        "_id": id(access.id),
        "patient": id(access.patient),
        "account": id(access.account),
        "session": id(access.session),
        "reason": access.reason.as_str(),
        "note": access.note.as_str(),
        "started_at": time(access.started_at),
        "ends_at": time(access.ends_at),
    }
}

pub(crate) fn access(found: &RawDocument) -> Result<EmergencyAccess, StoreError> {
    Ok(EmergencyAccess {
        id: found.id("_id")?,
        patient: found.id("patient")?,
        account: found.id("account")?,
        session: found.id("session")?,
        reason: found.parsed("reason", str::parse)?,
        note: found.parsed("note", ShortText::parse)?,
        started_at: found.time("started_at")?,
        ends_at: found.time("ends_at")?,
    })
}
