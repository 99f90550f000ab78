//! What must hold among the rows, as queries for where it does not. They walk through tables: a verification reads all.

use async_trait::async_trait;
use infirmary_kernel::{ObjectKey, StoreError, StoredObject};
use infirmary_workflows::{Flaw, HouseCounts, Inspection, NamedObject, ObjectOwner, RecordLaw};
use rusqlite::{Connection, Row, params};
use uuid::Uuid;

use crate::{
    SqliteStore,
    rows::{RowExt, blob},
    schema,
};

#[async_trait]
impl Inspection for SqliteStore {
    async fn flaws(&self, law: RecordLaw, most: usize) -> Result<Vec<Flaw>, StoreError> {
        self.read_snapshot(move |connection| match law {
            RecordLaw::Storage => damages(connection, most),
            RecordLaw::Shape => misshapen(connection, most),
            RecordLaw::References => {
                let mut flaws = dangling(connection, most)?;
                flaws.extend(flaws_of(connection, REFERENCES, most - flaws.len())?);
                Ok(flaws)
            }
            RecordLaw::Histories => flaws_of(connection, HISTORIES, most),
            RecordLaw::Completeness => flaws_of(connection, COMPLETENESS, most),
            RecordLaw::House => house(connection),
            RecordLaw::Trail => flaws_of(connection, TRAIL, most),
        })
        .await
    }

    async fn objects(&self, after: Option<ObjectOwner>, most: usize) -> Result<Vec<NamedObject>, StoreError> {
        self.read_snapshot(move |connection| {
            let (image, report) = match after {
                None => (Some([0; 16]), [0; 16]),
                Some(ObjectOwner::Image(id)) => (Some(blob(id)), [0; 16]),
                Some(ObjectOwner::Report(id)) => (None, blob(id)),
            };
            let mut objects = Vec::new();
            if let Some(image) = image {
                objects = connection
                    .prepare_cached("SELECT id, object, bytes, sha256 FROM images WHERE id > ? ORDER BY id LIMIT ?")?
                    .query_map(params![image, most], |row| named(row, ObjectOwner::Image(row.id(0)?)))?
                    .collect::<rusqlite::Result<_>>()?;
            }
            let rest = most - objects.len();
            let mut reports = connection
                .prepare_cached("SELECT id, object, bytes, sha256 FROM reports WHERE id > ? ORDER BY id LIMIT ?")?;
            for report in reports.query_map(params![report, rest], |row| named(row, ObjectOwner::Report(row.id(0)?)))? {
                objects.push(report?);
            }
            Ok(objects)
        })
        .await
    }

    async fn known(&self, owners: &[ObjectOwner]) -> Result<Vec<ObjectOwner>, StoreError> {
        let owners = owners.to_vec();
        self.read(move |connection| {
            let mut images = connection.prepare_cached("SELECT 1 FROM images WHERE id = ?")?;
            let mut reports = connection.prepare_cached("SELECT 1 FROM reports WHERE id = ?")?;
            let mut known = Vec::new();
            for owner in owners {
                let there = match owner {
                    ObjectOwner::Image(id) => images.exists([blob(id)])?,
                    ObjectOwner::Report(id) => reports.exists([blob(id)])?,
                };
                if there {
                    known.push(owner);
                }
            }
            Ok(known)
        })
        .await
    }

    async fn counts(&self) -> Result<HouseCounts, StoreError> {
        self.read_snapshot(|connection| {
            let one = |expression: &str| {
                let sql = format!("SELECT {expression} /* walks: every row is counted */");
                connection.query_row(&sql, (), |row| row.get(0))
            };
            let count = |table: &str| one(&format!("(SELECT count(*) FROM {table})"));
            Ok(HouseCounts {
                accounts: count("accounts")?,
                patients: count("patients")?,
                studies: count("studies")?,
                images: count("images")?,
                diagnoses: count("diagnoses")?,
                reports: count("reports")?,
                charges: count("charges")?,
                payments: count("payments")?,
                refunds: count("refunds")?,
                audit_entries: count("audit")?,
                object_bytes: one(
                    "(SELECT coalesce(sum(bytes), 0) FROM images) + (SELECT coalesce(sum(bytes), 0) FROM reports)",
                )?,
            })
        })
        .await
    }
}

fn named(row: &Row<'_>, owner: ObjectOwner) -> rusqlite::Result<NamedObject> {
    let key = row.parsed(1, ObjectKey::parse)?;
    Ok(NamedObject { owner, object: StoredObject { key, bytes: row.get(2)?, sha256: row.digest(3)? } })
}

/// What SQLite finds when it reads every page: damage, rows that an index lacks or has too many of, values that stand
/// against a law of uniqueness or another constraint.
fn damages(connection: &Connection, most: usize) -> rusqlite::Result<Vec<Flaw>> {
    let mut check = connection.prepare(&format!("PRAGMA integrity_check({most})"))?;
    let messages = check.query_map((), |row| row.get::<_, String>(0))?.collect::<Result<Vec<_>, _>>()?;
    let messages = messages.into_iter().filter(|message| message != "ok");
    Ok(messages.map(|message| Flaw { record: "database".into(), what: message.into() }).collect())
}

/// Compares with tables that were made a moment ago.
fn misshapen(connection: &Connection, most: usize) -> rusqlite::Result<Vec<Flaw>> {
    let shape = |connection: &Connection| {
        connection
            .prepare(
                "SELECT type, name, coalesce(sql, '') FROM sqlite_master WHERE name NOT LIKE 'sqlite_stat%'
                 ORDER BY type, name /* walks: every table is looked at */",
            )?
            .query_map((), |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?
            .collect::<rusqlite::Result<Vec<(String, String, String)>>>()
    };
    let mut fresh = Connection::open_in_memory()?;
    let _ = schema::migrate(&mut fresh)?;
    let (expected, found) = (shape(&fresh)?, shape(connection)?);
    let flaw = |(kind, name, _): &(String, String, String), what: &'static str| Flaw {
        record: format!("{kind} {name}"),
        what: what.into(),
    };
    let mut flaws = Vec::new();
    for item in &expected {
        match found.iter().find(|other| (&item.0, &item.1) == (&other.0, &other.1)) {
            None => flaws.push(flaw(item, "it is not there")),
            Some(other) if other.2 != item.2 => flaws.push(flaw(item, "it is another one than this version makes")),
            Some(_) => {}
        }
    }
    let strange = found.iter().filter(|item| !expected.iter().any(|known| (&known.0, &known.1) == (&item.0, &item.1)));
    flaws.extend(strange.map(|item| flaw(item, "it is none of this version")));
    flaws.truncate(most);
    Ok(flaws)
}

/// Rows that name a row which is not there, by every reference that the tables declare.
fn dangling(connection: &Connection, most: usize) -> rusqlite::Result<Vec<Flaw>> {
    let references = connection
        .prepare(
            "SELECT t.name, f.\"from\", f.\"table\", f.\"to\" FROM sqlite_master t, pragma_foreign_key_list(t.name) f
             WHERE t.type = 'table' ORDER BY t.name, f.id /* walks: every table is looked at */",
        )?
        .query_map((), |row| Ok([row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?]))?
        .collect::<rusqlite::Result<Vec<[String; 4]>>>()?;
    let mut flaws = Vec::new();
    for [table, column, named, key] in references {
        let sql = format!(
            "SELECT DISTINCT t.{column} FROM {table} t WHERE t.{column} IS NOT NULL
             AND NOT EXISTS (SELECT 1 FROM {named} n WHERE n.{key} = t.{column})
             LIMIT ? /* walks: every row is verified */"
        );
        let mut missing = connection.prepare(&sql)?;
        for id in missing.query_map([most - flaws.len()], |row| row.get(0).map(Uuid::from_bytes))? {
            let (record, what) = (format!("{column} {}", id?), format!("it is not there, and rows of {table} name it"));
            flaws.push(Flaw { record, what: what.into() });
        }
    }
    Ok(flaws)
}

/// The noun of a record, what is wrong with it, and the query that gives the ids of which it is wrong; `?1` is how many
/// at most.
type Query = (&'static str, &'static str, &'static str);

fn flaws_of(connection: &Connection, queries: &[Query], most: usize) -> rusqlite::Result<Vec<Flaw>> {
    let mut flaws = Vec::new();
    for (noun, what, query) in queries {
        let mut query = connection.prepare(&format!("{query} LIMIT ?1 /* walks: every row is verified */"))?;
        for id in query.query_map([most - flaws.len()], |row| row.get(0).map(Uuid::from_bytes))? {
            flaws.push(Flaw { record: format!("{noun} {}", id?), what: (*what).into() });
        }
    }
    Ok(flaws)
}

/// Those that no foreign key says: across domains, and that both are of one patient.
const REFERENCES: &[Query] = &[
    (
        "account",
        "its patient record is not there, or of another account",
        "SELECT a.id FROM accounts a WHERE a.patient IS NOT NULL
         AND NOT EXISTS (SELECT 1 FROM patients p WHERE p.id = a.patient AND p.account = a.id)",
    ),
    (
        "patient",
        "its account is not there, or of another patient",
        "SELECT p.id FROM patients p WHERE p.account IS NOT NULL
         AND NOT EXISTS (SELECT 1 FROM accounts a WHERE a.id = p.account AND a.patient = p.id)",
    ),
    (
        "account",
        "it is of a care team, and is not there",
        "SELECT c.account FROM care_teams c WHERE NOT EXISTS (SELECT 1 FROM accounts a WHERE a.id = c.account)",
    ),
    (
        "account",
        "it used emergency access, and is not there",
        "SELECT e.account FROM emergency_accesses e
         WHERE NOT EXISTS (SELECT 1 FROM accounts a WHERE a.id = e.account)",
    ),
    (
        "study",
        "its author has no account",
        "SELECT s.id FROM studies s WHERE NOT EXISTS (SELECT 1 FROM accounts a WHERE a.id = s.author)",
    ),
    (
        "image",
        "it is of another patient than its study",
        "SELECT i.id FROM images i JOIN studies s ON s.id = i.study WHERE i.patient <> s.patient",
    ),
    (
        "diagnosis",
        "its author has no account",
        "SELECT d.id FROM diagnoses d WHERE NOT EXISTS (SELECT 1 FROM accounts a WHERE a.id = d.author)",
    ),
    (
        "diagnosis",
        "its study is not there, or of another patient",
        "SELECT d.id FROM diagnoses d WHERE d.study IS NOT NULL
         AND NOT EXISTS (SELECT 1 FROM studies s WHERE s.id = d.study AND s.patient = d.patient)",
    ),
    (
        "report",
        "it is of another patient than its diagnosis",
        "SELECT r.id FROM reports r JOIN diagnoses d ON d.id = r.diagnosis WHERE r.patient <> d.patient",
    ),
    (
        "report",
        "the version of the diagnosis that it reports is not there",
        "SELECT r.id FROM reports r WHERE NOT EXISTS (SELECT 1 FROM diagnosis_versions v
         WHERE v.diagnosis = r.diagnosis AND v.version = r.diagnosis_version)",
    ),
    (
        "charge",
        "its study and diagnosis are not there, or of another patient",
        "SELECT c.id FROM charges c WHERE c.study IS NOT NULL
         AND NOT EXISTS (SELECT 1 FROM diagnoses d JOIN studies s ON s.id = d.study
             WHERE d.id = c.diagnosis AND s.id = c.study AND d.patient = c.patient AND d.author = c.author)",
    ),
    (
        "charge",
        "its report and diagnosis are not there, or of another patient",
        "SELECT c.id FROM charges c WHERE c.report IS NOT NULL
         AND NOT EXISTS (SELECT 1 FROM reports r JOIN diagnoses d ON d.id = r.diagnosis
             WHERE r.id = c.report AND d.id = c.diagnosis AND d.patient = c.patient AND d.author = c.author)",
    ),
];

const HISTORIES: &[Query] = &[
    (
        "diagnosis",
        "a version of it is missing",
        "SELECT d.id FROM diagnoses d WHERE (SELECT (count(*), min(version), max(version)) <> (d.version, 1, d.version)
             FROM diagnosis_versions v WHERE v.diagnosis = d.id)",
    ),
    (
        "diagnosis",
        "it says something else than its last version",
        "SELECT d.id FROM diagnoses d JOIN diagnosis_versions v ON v.diagnosis = d.id AND v.version = d.version
         WHERE (v.status, v.disease, v.findings, v.conditions) <> (d.status, d.disease, d.findings, d.conditions)",
    ),
    (
        "patient",
        "its record number is above those that were given",
        "SELECT p.id FROM patients p WHERE p.mrn > (SELECT last FROM mrn_counter WHERE only = 1)",
    ),
];

const COMPLETENESS: &[Query] = &[
    (
        "study",
        "it has no diagnosis, or more than one",
        "SELECT s.id FROM studies s WHERE (SELECT count(*) FROM diagnoses d WHERE d.study = s.id) <> 1",
    ),
    (
        "study",
        "an image of it is missing",
        "SELECT s.id FROM studies s WHERE (SELECT count(*) = 0 OR count(*) <> max(position) + 1 FROM images i
             WHERE i.study = s.id)",
    ),
    (
        "study",
        "it has no charge",
        "SELECT s.id FROM studies s WHERE NOT EXISTS (SELECT 1 FROM charges c WHERE c.study = s.id)",
    ),
    (
        "report",
        "its diagnosis has no charge for a report, or more than one",
        "SELECT r.id FROM reports r
         WHERE (SELECT count(*) FROM charges c WHERE c.diagnosis = r.diagnosis AND c.report IS NOT NULL) <> 1",
    ),
];

/// In all currencies together: the law that there is one is another law.
fn house(connection: &Connection) -> rusqlite::Result<Vec<Flaw>> {
    let (balance, outstanding): (i64, i64) = connection.query_row(
        "SELECT (SELECT coalesce(sum(amount) FILTER (WHERE voided_at IS NULL), 0) FROM charges)
                - (SELECT coalesce(sum(amount), 0) FROM payments) + (SELECT coalesce(sum(amount), 0) FROM refunds),
            (SELECT coalesce(sum(c.amount), 0) FROM charges c WHERE c.voided_at IS NULL)
                - (SELECT coalesce(sum(a.amount), 0) FROM allocations a)
                + (SELECT coalesce(sum(t.amount), 0) FROM refund_allocations t) /* walks: every amount is summed */",
        (),
        |row| Ok((row.get(0)?, row.get(1)?)),
    )?;
    let what = format!("the balance is {balance}, and {outstanding} is outstanding (minor units)");
    Ok(if balance == outstanding { Vec::new() } else { vec![Flaw { record: "house".into(), what: what.into() }] })
}

/// An id as the trail writes it.
macro_rules! text_of {
    ($id:literal) => {
        concat!(
            "lower(substr(hex(",
            $id,
            "), 1, 8) || '-' || substr(hex(",
            $id,
            "), 9, 4) || '-' || substr(hex(",
            $id,
            "), 13, 4) || '-' || substr(hex(",
            $id,
            "), 17, 4) || '-' || substr(hex(",
            $id,
            "), 21))"
        )
    };
}

/// Entries about the record `$id`, which is of the patient `$patient`. In the canonical form the subject comes last and
/// begins with its id, and quotes within a text are escaped: so it is found without reading it as JSON.
macro_rules! entries {
    ($id:literal, $patient:literal, $actions:literal) => {
        concat!(
            "FROM audit e WHERE e.patient = ",
            $patient,
            " AND +e.action IN (",
            $actions,
            ") AND instr(CAST(e.form AS TEXT), '\"subject\":{\"id\":\"' || ",
            text_of!($id),
            " || '\"') > 0"
        )
    };
}

/// Whether there is none. The entry is of the moment of the record or of little later, so it is looked for from there on;
/// a clock that went back between the two is why it is then looked for everywhere.
macro_rules! untold {
    ($id:literal, $patient:literal, $since:literal, $actions:literal) => {
        untold!($id, $patient, $since, $actions, "")
    };
    ($id:literal, $patient:literal, $since:literal, $actions:literal, $more:literal) => {
        concat!(
            "NOT EXISTS (SELECT 1 ",
            entries!($id, $patient, $actions),
            $more,
            " AND e.at >= ",
            $since,
            ") AND NOT EXISTS (SELECT 1 ",
            entries!($id, $patient, $actions),
            $more,
            ")"
        )
    };
}

const TRAIL: &[Query] = &[
    (
        "patient",
        "the audit trail does not tell of its registration",
        concat!(
            "SELECT p.id FROM patients p WHERE ",
            untold!("p.id", "p.id", "p.registered_at", "'patient.register', 'account.register'")
        ),
    ),
    (
        "study",
        "the audit trail does not tell of it",
        concat!("SELECT s.id FROM studies s WHERE ", untold!("s.id", "s.patient", "s.recorded_at", "'study.record'")),
    ),
    (
        "diagnosis",
        "the audit trail does not tell of it",
        concat!(
            "SELECT d.id FROM diagnoses d WHERE d.study IS NULL AND ",
            untold!("d.id", "d.patient", "d.recorded_at", "'diagnosis.record'")
        ),
    ),
    (
        "diagnosis",
        "the audit trail does not tell of every change to it",
        concat!(
            "SELECT v.diagnosis FROM diagnosis_versions v JOIN diagnoses d ON d.id = v.diagnosis WHERE v.version > 1 AND ",
            untold!(
                "d.id",
                "d.patient",
                "v.made_at",
                "'diagnosis.change', 'diagnosis.confirm', 'diagnosis.amend', 'diagnosis.retract'",
                " AND instr(CAST(e.form AS TEXT), ',\"version\":' || v.version || '}}') > 0"
            )
        ),
    ),
    (
        "account",
        "the audit trail does not tell that it came to a care team",
        concat!(
            "SELECT c.account FROM care_teams c WHERE ",
            untold!("c.account", "c.patient", "c.added_at", "'careTeam.add'")
        ),
    ),
    (
        "emergency access",
        "the audit trail does not tell of it",
        concat!(
            "SELECT a.id FROM emergency_accesses a WHERE ",
            untold!("a.id", "a.patient", "a.started_at", "'emergencyAccess.start'")
        ),
    ),
    (
        "report",
        "the audit trail does not tell of it",
        concat!("SELECT r.id FROM reports r WHERE ", untold!("r.id", "r.patient", "r.issued_at", "'report.issue'")),
    ),
    (
        "charge",
        "the audit trail does not tell of it",
        concat!(
            "SELECT c.id FROM charges c WHERE c.study IS NULL AND c.report IS NULL AND ",
            untold!("c.id", "c.patient", "c.charged_at", "'charge.create'")
        ),
    ),
    (
        "charge",
        "the audit trail does not tell that it was made void",
        concat!(
            "SELECT c.id FROM charges c WHERE c.voided_at IS NOT NULL AND ",
            untold!("c.id", "c.patient", "c.voided_at", "'charge.void'")
        ),
    ),
    (
        "payment",
        "the audit trail does not tell of it",
        concat!("SELECT p.id FROM payments p WHERE ", untold!("p.id", "p.patient", "p.received_at", "'payment.take'")),
    ),
    (
        "payment",
        "the audit trail does not tell of every refund of it",
        concat!(
            "SELECT p.id FROM payments p JOIN (SELECT payment, count(*) AS refunds FROM refunds GROUP BY payment) r
                 ON r.payment = p.id
             WHERE r.refunds > (SELECT count(*) ",
            entries!("p.id", "p.patient", "'payment.refund'"),
            ")"
        ),
    ),
];
