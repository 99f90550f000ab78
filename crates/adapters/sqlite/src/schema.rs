use rusqlite::Connection;

/// What brings a file from each version to the next; the first makes the tables of an empty one, a file for each domain, in
/// the order of their references. A step that was published is not changed any more: there are files that took it.
const STEPS: &[&[&str]] = &[
    &[
        include_str!("../schema/trail.sql"),
        include_str!("../schema/auth.sql"),
        include_str!("../schema/patients.sql"),
        include_str!("../schema/imaging.sql"),
        include_str!("../schema/diagnosis.sql"),
        include_str!("../schema/reports.sql"),
        include_str!("../schema/financials.sql"),
    ],
    &[include_str!("../schema/messages.sql")],
    &[include_str!("../schema/factors.sql")],
    &[include_str!("../schema/access.sql")],
    &[include_str!("../schema/house.sql")],
];

/// What `user_version` says of a file that this program has made or brought up to date.
pub const VERSION: u32 = STEPS.len() as u32;

/// Makes the tables, or those that a file of an older version lacks, in one transaction. The inner `Err` is the version of a
/// file that a newer program has written.
pub(crate) fn migrate(connection: &mut Connection) -> rusqlite::Result<Result<(), u32>> {
    let transaction = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    let found = version(&transaction)?;
    if found > VERSION {
        return Ok(Err(found));
    }
    for statements in STEPS.iter().skip(found as usize).copied().flatten() {
        transaction.execute_batch(statements)?;
    }
    if found < VERSION {
        transaction.pragma_update(None, "user_version", VERSION)?;
    }
    transaction.commit()?;
    Ok(Ok(()))
}

/// 0 of a file that has no tables yet.
pub(crate) fn version(connection: &Connection) -> rusqlite::Result<u32> {
    connection.pragma_query_value(None, "user_version", |row| row.get(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tables(connection: &Connection) -> Vec<(String, Option<String>)> {
        let mut find = connection.prepare("SELECT name, sql FROM sqlite_schema ORDER BY name").unwrap();
        find.query_map((), |row| Ok((row.get(0)?, row.get(1)?))).unwrap().map(Result::unwrap).collect()
    }

    #[test]
    fn a_file_of_every_older_version_is_brought_to_the_tables_of_a_new_one() {
        let mut new = Connection::open_in_memory().unwrap();
        migrate(&mut new).unwrap().unwrap();
        for older in 1..VERSION {
            let mut file = Connection::open_in_memory().unwrap();
            for statements in STEPS.iter().take(older as usize).copied().flatten() {
                file.execute_batch(statements).unwrap();
            }
            file.pragma_update(None, "user_version", older).unwrap();
            migrate(&mut file).unwrap().unwrap();
            assert_eq!(version(&file).unwrap(), VERSION);
            assert_eq!(tables(&file), tables(&new), "from version {older}");
        }
    }

    #[test]
    fn a_file_of_a_newer_version_is_left_as_it_is() {
        let mut file = Connection::open_in_memory().unwrap();
        file.pragma_update(None, "user_version", VERSION + 1).unwrap();
        assert_eq!(migrate(&mut file).unwrap(), Err(VERSION + 1));
        assert!(tables(&file).is_empty());
    }
}
