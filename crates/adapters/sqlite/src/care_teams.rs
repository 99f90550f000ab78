use async_trait::async_trait;
use infirmary_kernel::{
    AccountId, Confidentiality, Page, PageRequest, PatientId, SessionId, ShortText, Standing, StoreError, Timestamp,
    WriteError, Written,
};
use infirmary_patients::{
    AddedMember, CareTeamMember, CareTeamStore, EmergencyAccess, RemovedMember, StartedEmergencyAccess,
};
use rusqlite::{Connection, Error, OptionalExtension, Row, ffi, params};

use crate::{
    SqliteStore,
    rows::{OrWriteError, RowExt, blob, place_after},
    writer::Transaction,
};

/// Whether a list for a reader has the records of the patient whose id `$patient` gives. It has one `?`, for the reader.
macro_rules! shown_to_reader {
    ($patient:literal) => {
        concat!(
            "(NOT EXISTS (SELECT 1 FROM patients rp WHERE rp.id = ",
            $patient,
            " AND rp.restricted) OR EXISTS (SELECT 1 FROM care_teams ct WHERE ct.patient = ",
            $patient,
            " AND ct.account = ?))"
        )
    };
}
pub(crate) use shown_to_reader;

#[async_trait]
impl Confidentiality for SqliteStore {
    async fn standing(
        &self,
        patient: PatientId,
        account: AccountId,
        session: SessionId,
        at: Timestamp,
    ) -> Result<Standing, StoreError> {
        self.look_up(move |connection| standing(connection, patient, account, session, at)).await
    }
}

fn standing(
    connection: &Connection,
    patient: PatientId,
    account: AccountId,
    session: SessionId,
    at: Timestamp,
) -> rusqlite::Result<Standing> {
    let found = connection
        .prepare_cached(
            "SELECT p.restricted,
             EXISTS (SELECT 1 FROM care_teams c WHERE c.patient = p.id AND c.account = ?2),
             EXISTS (SELECT 1 FROM emergency_accesses e WHERE e.session = ?3 AND e.patient = p.id AND e.ends_at > ?4)
             FROM patients p WHERE p.id = ?1",
        )?
        .query_row(params![blob(patient), blob(account), blob(session), at.unix_ms()], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?))
        })
        .optional()?;
    Ok(match found {
        None => Standing::NoRecord,
        Some((false, _, _)) => Standing::Open,
        Some((true, true, _)) => Standing::CareTeam,
        Some((true, false, true)) => Standing::EmergencyAccess,
        Some((true, false, false)) => Standing::Outside,
    })
}

#[async_trait]
impl CareTeamStore for SqliteStore {
    async fn add(&self, added: AddedMember) -> Result<bool, WriteError> {
        self.write(move |transaction| {
            let CareTeamMember { patient, account, .. } = &added.member;
            let (others, is_member): (usize, bool) = transaction
                .prepare_cached("SELECT count(*), coalesce(max(account = ?2), 0) FROM care_teams WHERE patient = ?1")
                .and_then(|mut count| {
                    count.query_row(params![blob(*patient), blob(*account)], |row| Ok((row.get(0)?, row.get(1)?)))
                })
                .or_write_error()?;
            if is_member {
                return Ok(false);
            }
            if others >= CareTeamMember::MAX_PER_PATIENT {
                return Err(WriteError::Conflict { law: CareTeamMember::FULL });
            }
            insert_member(transaction, &added.member)?;
            transaction.keep(&added.trail).map(|_| true)
        })
        .await
    }

    async fn remove(&self, removed: RemovedMember) -> Result<(), WriteError> {
        self.write(move |transaction| {
            let delete = "DELETE FROM care_teams WHERE patient = ? AND account = ?";
            let rows = transaction.run(delete, params![blob(removed.patient), blob(removed.account)]);
            if rows.or_write_error()? == 0 {
                return Err(WriteError::Stale);
            }
            transaction.keep(&removed.trail).map(|_| ())
        })
        .await
    }

    async fn members(&self, patient: PatientId) -> Result<Vec<CareTeamMember>, StoreError> {
        self.read(move |connection| {
            connection
                .prepare_cached("SELECT * FROM care_teams WHERE patient = ? ORDER BY added_at, account")?
                .query_map([blob(patient)], member)?
                .collect()
        })
        .await
    }

    async fn start_emergency_access(&self, started: StartedEmergencyAccess) -> Result<Written, WriteError> {
        self.write(move |transaction| {
            if let Some(before) = transaction.repeated(&started.trail)? {
                return Ok(before);
            }
            insert(transaction, &started.access)?;
            transaction.keep(&started.trail)
        })
        .await
    }

    async fn emergency_accesses(
        &self,
        patient: PatientId,
        page: &PageRequest,
    ) -> Result<Page<EmergencyAccess>, StoreError> {
        let (time, id) = place_after(page);
        let limit = page.limit;
        self.read(move |connection| {
            let rows = connection
                .prepare_cached(
                    "SELECT * FROM emergency_accesses WHERE patient = ? AND (started_at, id) < (?, ?)
                     ORDER BY started_at DESC, id DESC LIMIT ?",
                )?
                .query_map(params![blob(patient), time, id, limit.get() + 1], access)?
                .collect::<Result<Vec<_>, _>>()?;
            Ok(Page::of_rows(rows, limit, EmergencyAccess::cursor))
        })
        .await
    }
}

pub(crate) fn insert_member(transaction: &Transaction<'_>, new: &CareTeamMember) -> Result<(), WriteError> {
    let inserted = transaction.run(
        "INSERT INTO care_teams (patient, account, added_at, added_by) VALUES (?, ?, ?, ?)",
        params![blob(new.patient), blob(new.account), new.added_at.unix_ms(), blob(new.added_by)],
    );
    of_known_patient(inserted)
}

pub(crate) fn insert(transaction: &Transaction<'_>, new: &EmergencyAccess) -> Result<(), WriteError> {
    let inserted = transaction.run(
        "INSERT INTO emergency_accesses (id, patient, account, session, reason, note, started_at, ends_at)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        params![
            blob(new.id),
            blob(new.patient),
            blob(new.account),
            blob(new.session),
            new.reason.as_str(),
            new.note.as_str(),
            new.started_at.unix_ms(),
            new.ends_at.unix_ms(),
        ],
    );
    of_known_patient(inserted)
}

/// Ends what runs at that moment: of whoever lifts a restriction, within a transaction of theirs.
pub(crate) fn end_emergency_access(
    transaction: &Transaction<'_>,
    patient: PatientId,
    at: Timestamp,
) -> Result<(), WriteError> {
    transaction
        .run(
            "UPDATE emergency_accesses SET ends_at = ?2 WHERE patient = ?1 AND ends_at > ?2",
            params![blob(patient), at.unix_ms()],
        )
        .or_write_error()
        .map(|_| ())
}

/// The patient is the only record that these refer to, and the message does not name it.
fn of_known_patient(inserted: rusqlite::Result<usize>) -> Result<(), WriteError> {
    match inserted {
        Err(Error::SqliteFailure(failure, _)) if failure.extended_code == ffi::SQLITE_CONSTRAINT_FOREIGNKEY => {
            Err(WriteError::Conflict { law: CareTeamMember::OF_A_KNOWN_PATIENT })
        }
        other => other.or_write_error().map(|_| ()),
    }
}

pub(crate) fn member(row: &Row<'_>) -> rusqlite::Result<CareTeamMember> {
    Ok(CareTeamMember {
        patient: row.id("patient")?,
        account: row.id("account")?,
        added_at: row.time("added_at")?,
        added_by: row.id("added_by")?,
    })
}

pub(crate) fn access(row: &Row<'_>) -> rusqlite::Result<EmergencyAccess> {
    Ok(EmergencyAccess {
        id: row.id("id")?,
        patient: row.id("patient")?,
        account: row.id("account")?,
        session: row.id("session")?,
        reason: row.parsed("reason", str::parse)?,
        note: row.parsed("note", ShortText::parse)?,
        started_at: row.time("started_at")?,
        ends_at: row.time("ends_at")?,
    })
}
