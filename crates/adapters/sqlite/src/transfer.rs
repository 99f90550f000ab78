//! The house record by record: how it comes from another store, and goes to one.

use async_trait::async_trait;
use infirmary_audit::ChainId;
use infirmary_auth::{CounterKey, Invitation, PasswordHash};
use infirmary_financials::Allocation;
use infirmary_kernel::{ConversionId, Invalid, StoreError, WriteError};
use infirmary_patients::Mrn;
use infirmary_workflows::{Conversion, ConversionPart, HouseRecord, RecordKey, RecordKind, RecordPlace, Transfer};
use rusqlite::{Connection, OptionalExtension, Row, ToSql, params};
use uuid::Uuid;

use crate::{
    SqliteStore, accounts, attempts, audit, care_teams, codes, diagnosis,
    diagnosis::{diagnosis_columns, version_columns},
    factors, financials, imaging,
    imaging::study_columns,
    invitations, key_check, messages, patients,
    patients::patient_columns,
    reports,
    reports::own_columns,
    rows::{OrWriteError, RowExt, blob, unopposed},
    sessions, tasks, trail,
    writer::Transaction,
};

#[async_trait]
impl Transfer for SqliteStore {
    async fn records(&self, kind: RecordKind, after: &RecordKey, most: usize) -> Result<Vec<HouseRecord>, StoreError> {
        let after = after.clone();
        self.read_snapshot(move |connection| records(connection, kind, &after, most)).await
    }

    async fn count(&self, kind: RecordKind) -> Result<u64, StoreError> {
        self.read(move |connection| {
            let sql = format!("SELECT count(*) FROM {} /* walks: every row is counted */", counted(kind));
            connection.query_row(&sql, (), |row| row.get(0))
        })
        .await
    }

    async fn add(&self, conversion: ConversionId, records: Vec<HouseRecord>) -> Result<(), WriteError> {
        self.write(move |transaction| {
            let known = find_conversion(transaction).or_write_error()?;
            let Some(Conversion { part: ConversionPart::Target { filled }, .. }) =
                known.filter(|known| known.id == conversion)
            else {
                return Err(WriteError::Stale);
            };
            let mut last = filled;
            for record in &records {
                let place = record.place();
                if last.as_ref().is_none_or(|last| place > *last) {
                    insert(transaction, record)?;
                    last = Some(place);
                }
            }
            set_filled(transaction, last.as_ref()).or_write_error()
        })
        .await
    }

    async fn conversion(&self) -> Result<Option<Conversion>, StoreError> {
        self.look_up(find_conversion).await
    }

    async fn set_conversion(&self, conversion: Option<Conversion>) -> Result<(), StoreError> {
        self.write(move |transaction| set_conversion(transaction, conversion.as_ref()).or_write_error())
            .await
            .map_err(unopposed)
    }
}

/// What has a row for each record of the kind.
fn counted(kind: RecordKind) -> &'static str {
    match kind {
        RecordKind::KeyCheck => "house",
        RecordKind::Task => "tasks",
        RecordKind::Account => "accounts",
        RecordKind::Invitation => "invitations",
        RecordKind::Session => "sessions",
        RecordKind::Challenge => "challenges",
        RecordKind::AttemptCounter => "attempt_counters",
        RecordKind::CodeCounter => "code_counters",
        RecordKind::MrnCounter => "mrn_counter WHERE last > 0",
        RecordKind::Patient => "patients",
        RecordKind::EmergencyAccess => "emergency_accesses",
        RecordKind::Study => "studies",
        RecordKind::Diagnosis => "diagnoses",
        RecordKind::DiagnosisVersion => "diagnosis_versions",
        RecordKind::Report => "reports",
        RecordKind::Charge => "charges",
        RecordKind::Payment => "payments",
        RecordKind::Refund => "refunds",
        RecordKind::Message => "messages",
        RecordKind::Claim => "claims",
        RecordKind::AuditEntry => "audit",
        RecordKind::AuditRoot => "audit_roots",
    }
}

fn records(
    connection: &Connection,
    kind: RecordKind,
    after: &RecordKey,
    most: usize,
) -> rusqlite::Result<Vec<HouseRecord>> {
    let RecordKey { id, number, text } = after;
    let id = id.into_bytes();
    let select = |statement, values: &[&dyn ToSql], read: &dyn Fn(&Row<'_>) -> rusqlite::Result<HouseRecord>| {
        connection.prepare_cached(statement)?.query_map(values, read)?.collect()
    };
    let by_id = |statement, read: &dyn Fn(&Row<'_>) -> rusqlite::Result<HouseRecord>| {
        select(statement, params![id, most], read)
    };
    match kind {
        RecordKind::KeyCheck => {
            only(number, most, || Ok(key_check::kept(connection).optional()?.map(HouseRecord::KeyCheck)))
        }
        RecordKind::Task => by_id("SELECT * FROM tasks WHERE id > ? ORDER BY id LIMIT ?", &|row| {
            tasks::task(connection, row).map(HouseRecord::Task)
        }),
        RecordKind::Account => by_id("SELECT * FROM accounts WHERE id > ? ORDER BY id LIMIT ?", &|row| {
            let password: Option<String> = row.get("password")?;
            Ok(HouseRecord::Account {
                account: accounts::account(row)?,
                password: password.map(PasswordHash::from_stored),
                factors: factors::find(connection, row.id("id")?)?,
            })
        }),
        RecordKind::Invitation => {
            by_id("SELECT * FROM invitations WHERE account > ? ORDER BY account LIMIT ?", &|row| {
                Ok(HouseRecord::Invitation(Invitation {
                    account: row.id("account")?,
                    code: row.digest("code")?,
                    expires_at: row.time("expires_at")?,
                }))
            })
        }
        RecordKind::Session => by_id("SELECT * FROM sessions WHERE id > ? ORDER BY id LIMIT ?", &|row| {
            sessions::session(row).map(HouseRecord::Session)
        }),
        RecordKind::Challenge => by_id("SELECT * FROM challenges WHERE id > ? ORDER BY id LIMIT ?", &|row| {
            codes::challenge(row).map(HouseRecord::Challenge)
        }),
        RecordKind::AttemptCounter => {
            let statement = "SELECT * FROM attempt_counters WHERE key > ? ORDER BY key LIMIT ?";
            select(statement, params![text, most], &|row| {
                Ok(HouseRecord::AttemptCounter(CounterKey::from_stored(row.get("key")?), attempts::counter(row)?))
            })
        }
        RecordKind::CodeCounter => {
            let statement = "SELECT * FROM code_counters WHERE key > ? ORDER BY key LIMIT ?";
            select(statement, params![text, most], &|row| {
                Ok(HouseRecord::CodeCounter(CounterKey::from_stored(row.get("key")?), codes::counter_in(row)?))
            })
        }
        RecordKind::MrnCounter => only(number, most, || {
            let last = "SELECT last FROM mrn_counter WHERE only = 1 AND last > 0";
            let last = connection.prepare_cached(last)?.query_row((), |row| row.get(0)).optional()?;
            Ok(last.map(|last| HouseRecord::MrnCounter(Mrn::from_serial(last))))
        }),
        RecordKind::Patient => by_id(
            concat!("SELECT ", patient_columns!(), " FROM patients p WHERE p.id > ? ORDER BY p.id LIMIT ?"),
            &|row| {
                let patient = patients::patient(row)?;
                let care_team = connection
                    .prepare_cached("SELECT * FROM care_teams WHERE patient = ? ORDER BY account")?
                    .query_map([blob(patient.id)], care_teams::member)?
                    .collect::<Result<_, _>>()?;
                Ok(HouseRecord::Patient { patient, care_team })
            },
        ),
        RecordKind::EmergencyAccess => {
            by_id("SELECT * FROM emergency_accesses WHERE id > ? ORDER BY id LIMIT ?", &|row| {
                care_teams::access(row).map(HouseRecord::EmergencyAccess)
            })
        }
        RecordKind::Study => by_id(
            concat!("SELECT ", study_columns!(), " FROM studies s WHERE s.id > ? ORDER BY s.id LIMIT ?"),
            &|row| {
                let study = imaging::study(row, 0)?;
                Ok(HouseRecord::Study { images: imaging::images_of(connection, study.id)?, study })
            },
        ),
        RecordKind::Diagnosis => by_id(
            concat!("SELECT ", diagnosis_columns!(), " FROM diagnoses d WHERE d.id > ? ORDER BY d.id LIMIT ?"),
            &|row| diagnosis::diagnosis(row).map(HouseRecord::Diagnosis),
        ),
        RecordKind::DiagnosisVersion => select(
            concat!(
                "SELECT ",
                version_columns!(),
                " FROM diagnosis_versions WHERE (diagnosis, version) > (?, ?) ORDER BY diagnosis, version LIMIT ?",
            ),
            params![id, number, most],
            &|row| diagnosis::version(row).map(HouseRecord::DiagnosisVersion),
        ),
        RecordKind::Report => {
            by_id(concat!("SELECT ", own_columns!(), " FROM reports r WHERE r.id > ? ORDER BY r.id LIMIT ?"), &|row| {
                reports::report(row).map(HouseRecord::Report)
            })
        }
        RecordKind::Charge => by_id("SELECT * FROM charges WHERE id > ? ORDER BY id LIMIT ?", &|row| {
            financials::charge(row).map(HouseRecord::Charge)
        }),
        RecordKind::Payment => by_id("SELECT * FROM payments WHERE id > ? ORDER BY id LIMIT ?", &|row| {
            let mut payment = financials::payment(row)?;
            payment.allocations = financials::allocations(connection, &payment)?;
            Ok(HouseRecord::Payment(payment))
        }),
        RecordKind::Refund => by_id("SELECT * FROM refunds WHERE id > ? ORDER BY id LIMIT ?", &|row| {
            financials::refund(connection, row).map(HouseRecord::Refund)
        }),
        RecordKind::Message => by_id("SELECT * FROM messages WHERE id > ? ORDER BY id LIMIT ?", &|row| {
            messages::kept(row).map(HouseRecord::Message)
        }),
        RecordKind::Claim => select(
            "SELECT * FROM claims WHERE (account, key) > (?, ?) ORDER BY account, key LIMIT ?",
            params![id, text, most],
            &|row| trail::claim(row).map(HouseRecord::Claim),
        ),
        RecordKind::AuditEntry => {
            select("SELECT * FROM audit WHERE number > ? ORDER BY number LIMIT ?", params![number, most], &|row| {
                audit::sealed(row).map(HouseRecord::AuditEntry)
            })
        }
        RecordKind::AuditRoot => {
            let roots = audit::roots_after(connection, *number, most)?;
            Ok(roots.into_iter().map(HouseRecord::AuditRoot).collect())
        }
    }
}

/// Of a kind of which there is one record at most.
fn only(
    after: &u64,
    most: usize,
    find: impl FnOnce() -> rusqlite::Result<Option<HouseRecord>>,
) -> rusqlite::Result<Vec<HouseRecord>> {
    let found = if *after == 0 { find()? } else { None };
    Ok(found.into_iter().take(most).collect())
}

/// As it is: what writes are held against is not asked again.
fn insert(transaction: &Transaction<'_>, record: &HouseRecord) -> Result<(), WriteError> {
    match record {
        HouseRecord::KeyCheck(value) => key_check::insert(transaction, *value),
        HouseRecord::Task(task) => tasks::insert(transaction, task),
        HouseRecord::Account { account, password, factors } => {
            accounts::insert(transaction, account)?;
            if let Some(password) = password {
                accounts::set_password(transaction, account.id, password)?;
            }
            if let Some(authenticator) = &factors.authenticator {
                factors::put_authenticator(transaction, account.id, authenticator)?;
            }
            factors::insert_recovery_codes(transaction, account.id, &factors.recovery)
        }
        HouseRecord::Invitation(invitation) => invitations::put(transaction, invitation),
        HouseRecord::Session(session) => sessions::insert(transaction, session),
        HouseRecord::Challenge(challenge) => codes::insert(transaction, challenge),
        HouseRecord::AttemptCounter(key, counter) => attempts::save(transaction, key, counter).or_write_error(),
        HouseRecord::CodeCounter(key, counter) => codes::save(transaction, key, counter).or_write_error(),
        HouseRecord::MrnCounter(last) => {
            let set = "UPDATE mrn_counter SET last = ? WHERE only = 1";
            transaction.run(set, [last.serial()]).or_write_error().map(|_| ())
        }
        HouseRecord::Patient { patient, care_team } => {
            patients::insert(transaction, patient)?;
            care_team.iter().try_for_each(|member| care_teams::insert_member(transaction, member))
        }
        HouseRecord::EmergencyAccess(access) => care_teams::insert(transaction, access),
        HouseRecord::Study { study, images } => imaging::insert(transaction, study, images),
        HouseRecord::Diagnosis(diagnosis) => diagnosis::insert_alone(transaction, diagnosis),
        HouseRecord::DiagnosisVersion(version) => diagnosis::insert_version(transaction, version),
        HouseRecord::Report(report) => reports::insert(transaction, report),
        HouseRecord::Charge(charge) => financials::insert_charge(transaction, charge),
        HouseRecord::Payment(payment) => {
            financials::insert_payment_alone(transaction, payment)?;
            let insert = "INSERT INTO allocations (payment, charge, position, amount) VALUES (?, ?, ?, ?)";
            insert_allocations(transaction, insert, blob(payment.id), &payment.allocations)
        }
        HouseRecord::Refund(refund) => {
            financials::insert_refund_alone(transaction, refund)?;
            let insert = "INSERT INTO refund_allocations (refund, charge, position, amount) VALUES (?, ?, ?, ?)";
            insert_allocations(transaction, insert, blob(refund.id), &refund.allocations)
        }
        HouseRecord::Message(kept) => messages::insert_kept(transaction, kept),
        HouseRecord::Claim(claim) => trail::insert_claim(transaction, claim),
        HouseRecord::AuditEntry(sealed) => {
            trail::insert_sealed(transaction, sealed).or_write_error()?;
            if sealed.chain == ChainId::ONLY {
                transaction.chain.set(sealed.head());
            }
            Ok(())
        }
        HouseRecord::AuditRoot(root) => {
            let closed = root.open().map_err(StoreError::from)?.heads;
            audit::insert_root(transaction, root, &closed).or_write_error()
        }
    }
}

fn insert_allocations(
    transaction: &Transaction<'_>,
    insert: &str,
    of: [u8; 16],
    allocations: &[Allocation],
) -> Result<(), WriteError> {
    for (position, allocation) in allocations.iter().enumerate() {
        let values = params![of, blob(allocation.charge), position, allocation.amount.amount_minor()];
        transaction.run(insert, values).or_write_error()?;
    }
    Ok(())
}

const SOURCE: &str = "source";
const LEFT: &str = "left";
const TARGET: &str = "target";

fn find_conversion(connection: &Connection) -> rusqlite::Result<Option<Conversion>> {
    let strange = || Invalid::new("/conversion", "is none of this version");
    connection
        .prepare_cached("SELECT * FROM conversion WHERE only = 1")?
        .query_row((), |row| {
            let kind = row.optional_parsed("kind", |text| RecordKind::from_stored(text).ok_or_else(strange))?;
            let filled = match kind {
                Some(kind) => {
                    let id: [u8; 16] = row.get("record")?;
                    let key =
                        RecordKey { id: Uuid::from_bytes(id), number: row.get("number")?, text: row.get("text")? };
                    Some(RecordPlace { kind, key })
                }
                None => None,
            };
            let part = row.parsed("part", |text| match text {
                SOURCE => Ok(ConversionPart::Source),
                LEFT => Ok(ConversionPart::Left),
                TARGET => Ok(ConversionPart::Target { filled }),
                _ => Err(strange()),
            })?;
            Ok(Conversion { id: row.id("id")?, begun_at: row.time("begun_at")?, part })
        })
        .optional()
}

fn set_conversion(transaction: &Transaction<'_>, conversion: Option<&Conversion>) -> rusqlite::Result<()> {
    transaction.run("DELETE FROM conversion WHERE only = 1", ())?;
    let Some(Conversion { id, begun_at, part }) = conversion else { return Ok(()) };
    let (part, filled) = match part {
        ConversionPart::Source => (SOURCE, None),
        ConversionPart::Left => (LEFT, None),
        ConversionPart::Target { filled } => (TARGET, filled.as_ref()),
    };
    let insert = "INSERT INTO conversion (only, id, begun_at, part) VALUES (1, ?, ?, ?)";
    transaction.run(insert, params![blob(*id), begun_at.unix_ms(), part])?;
    set_filled(transaction, filled)
}

fn set_filled(transaction: &Transaction<'_>, filled: Option<&RecordPlace>) -> rusqlite::Result<()> {
    let Some(RecordPlace { kind, key: RecordKey { id, number, text } }) = filled else { return Ok(()) };
    let set = "UPDATE conversion SET kind = ?, record = ?, number = ?, text = ? WHERE only = 1";
    transaction.run(set, params![kind.as_str(), id.into_bytes(), number, text]).map(|_| ())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// Rows that belong to a record of another table, or are made from it; and what is of processes, not of the house.
    const BESIDE: &[&str] = &[
        "allocations",
        "authenticators",
        "care_teams",
        "closed_chains",
        "conversion",
        "images",
        "leases",
        "patient_words",
        "recovery_codes",
        "refund_allocations",
        "task_prices",
    ];

    #[test]
    fn every_table_goes_with_a_kind_of_record() {
        let mut connection = Connection::open_in_memory().unwrap();
        crate::schema::migrate(&mut connection).unwrap().unwrap();
        let tables = "SELECT name FROM sqlite_schema WHERE type = 'table'";
        let tables: BTreeSet<String> =
            connection.prepare(tables).unwrap().query_map((), |row| row.get(0)).unwrap().map(Result::unwrap).collect();
        let of_kinds = RecordKind::ALL.map(|kind| counted(kind).split(' ').next().unwrap().to_owned());
        let known: BTreeSet<String> =
            of_kinds.into_iter().chain(BESIDE.iter().map(|name| (*name).to_owned())).collect();
        assert_eq!(tables, known);
    }
}
