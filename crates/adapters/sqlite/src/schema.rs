use rusqlite::Connection;

/// What `user_version` says of a file that this program has made or brought up to date.
pub const VERSION: u32 = 1;

/// The tables, a file for each domain, in the order of their references.
const TABLES: &[&str] = &[
    include_str!("../schema/trail.sql"),
    include_str!("../schema/auth.sql"),
    include_str!("../schema/patients.sql"),
    include_str!("../schema/imaging.sql"),
    include_str!("../schema/diagnosis.sql"),
    include_str!("../schema/reports.sql"),
    include_str!("../schema/financials.sql"),
];

/// Makes the tables, once. The inner `Err` is the version of a file that a newer program has written.
pub(crate) fn migrate(connection: &mut Connection) -> rusqlite::Result<Result<(), u32>> {
    let transaction = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    let found = version(&transaction)?;
    if found > VERSION {
        return Ok(Err(found));
    }
    if found == 0 {
        for tables in TABLES {
            transaction.execute_batch(tables)?;
        }
        transaction.pragma_update(None, "user_version", VERSION)?;
    }
    transaction.commit()?;
    Ok(Ok(()))
}

/// 0 of a file that has no tables yet.
pub(crate) fn version(connection: &Connection) -> rusqlite::Result<u32> {
    connection.pragma_query_value(None, "user_version", |row| row.get(0))
}
