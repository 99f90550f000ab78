//! In debug builds, the plan of every statement is looked at when it runs for the first time. One that walks through a
//! whole table is as quick as any on the few rows of a test, and not on a hundred thousand; so it panics, and the test
//! that comes by it fails.

use std::{
    cell::RefCell,
    collections::HashSet,
    sync::{LazyLock, Mutex, PoisonError},
};

use rusqlite::{
    Connection,
    trace::{TraceEvent, TraceEventCodes},
};

/// In a statement that has to walk, before the reason why: `/* walks: the books are verified whole */`.
const MAY_WALK: &str = "/* walks: ";

/// The statements that ran in this process; each is looked at once.
static SEEN: LazyLock<Mutex<HashSet<String>>> = LazyLock::new(Mutex::default);

thread_local! {
    /// Those that ran for the first time, on this thread, since [`examine`] was called.
    static NEW: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

/// Notes what runs on the connection, so that [`examine`] can look at it.
pub(crate) fn watch(connection: &mut Connection) -> rusqlite::Result<()> {
    connection.trace_v2(
        TraceEventCodes::SQLITE_TRACE_STMT,
        Some(|event: TraceEvent<'_>| {
            let TraceEvent::Stmt(_, statement) = event else { return };
            let first = SEEN.lock().unwrap_or_else(PoisonError::into_inner).insert(statement.to_owned());
            if first && ["SELECT", "WITH", "INSERT", "UPDATE", "DELETE"].iter().any(|verb| statement.starts_with(verb))
            {
                NEW.with_borrow_mut(|new| new.push(statement.to_owned()));
            }
        }),
    )
}

/// Call it on the thread of the connection, between statements.
///
/// # Panics
/// When a statement that ran walks through a whole table and does not say why it has to ([`MAY_WALK`]).
pub(crate) fn examine(connection: &Connection) {
    for statement in NEW.take() {
        if statement.contains(MAY_WALK) {
            continue;
        }
        let plan = plan(connection, &statement).unwrap_or_else(|error| vec![format!("SCAN unknown: {error}")]);
        let walk = walk(&statement, &plan);
        assert!(walk.is_none(), "a statement walks through a whole table:\n{statement}\nIts plan is {plan:#?}");
    }
}

fn plan(connection: &Connection, statement: &str) -> rusqlite::Result<Vec<String>> {
    // A plan is made of the statement alone: its parameters need not be bound.
    connection
        .prepare(&format!("EXPLAIN QUERY PLAN {statement}"))?
        .raw_query()
        .mapped(|row| row.get("detail"))
        .collect()
}

/// The step of the plan that walks through all of a table. Walking along an index is none when a `LIMIT` ends it; nor is
/// it through rows that the statement itself has made, or that are none of ours.
fn walk<'a>(statement: &str, plan: &'a [String]) -> Option<&'a str> {
    let made_here = |name: &str| {
        name.starts_with('(')
            || plan
                .iter()
                .any(|step| ["MATERIALIZE ", "CO-ROUTINE "].iter().any(|verb| step.strip_prefix(verb) == Some(name)))
    };
    let limited = statement.contains("LIMIT ");
    plan.iter().map(String::as_str).find(|step| {
        let mut words = step.split(' ');
        let (Some(verb), Some(name)) = (words.next(), words.next()) else { return false };
        if made_here(name) {
            return false;
        }
        match verb {
            "SCAN" => {
                let of_constants = step.ends_with("CONSTANT ROW") || step.contains("VALUES CLAUSE");
                let along_an_index = step.contains(" USING ") && limited;
                !(of_constants || along_an_index || step.contains("VIRTUAL TABLE"))
            }
            "SEARCH" => step.contains("AUTOMATIC"),
            _ => false,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn walk_of(statement: &str) -> Option<String> {
        let connection = Connection::open_in_memory().unwrap();
        let tables = "CREATE TABLE wards (id INTEGER PRIMARY KEY, name TEXT UNIQUE, beds INTEGER);
             CREATE TABLE beds (ward INTEGER, place TEXT)";
        connection.execute_batch(tables).unwrap();
        walk(statement, &plan(&connection, statement).unwrap()).map(str::to_owned)
    }

    #[test]
    fn a_walk_through_a_table_is_seen() {
        for statement in [
            "SELECT * FROM wards WHERE beds = 1",
            "SELECT * FROM wards WHERE beds = 1 LIMIT 1",
            "UPDATE wards SET beds = 2 WHERE beds = 1",
            "DELETE FROM wards WHERE beds = 1",
            "INSERT INTO beds SELECT id, name FROM wards WHERE beds = 1",
            "SELECT count(*) FROM wards",
            "SELECT name FROM wards ORDER BY name",
            "SELECT * FROM wards JOIN beds ON beds.ward = wards.id WHERE wards.id = 1",
            "SELECT * FROM wards, beds WHERE wards.name > 'a' AND beds.ward = wards.id",
            "WITH full AS MATERIALIZED (SELECT * FROM wards WHERE beds = 0) SELECT * FROM full",
            "SELECT EXISTS (SELECT 1 FROM wards WHERE beds = 1)",
        ] {
            assert!(walk_of(statement).is_some(), "{statement}");
        }
    }

    #[test]
    fn what_an_index_answers_is_no_walk() {
        for statement in [
            "SELECT 1",
            "SELECT * FROM wards WHERE id = 1",
            "SELECT * FROM wards WHERE name > 'a' ORDER BY name",
            "SELECT * FROM wards ORDER BY name LIMIT 10",
            "SELECT max(name) FROM wards",
            "INSERT INTO wards VALUES (1, 'a', 2), (2, 'b', 2)",
            "WITH named AS MATERIALIZED (SELECT * FROM wards WHERE name > 'a') SELECT * FROM named",
            "DELETE FROM wards WHERE id IN (SELECT id FROM wards WHERE name > 'a' LIMIT 10)",
            "SELECT * FROM (SELECT id FROM wards WHERE name = 'a' UNION SELECT id FROM wards WHERE name = 'b')",
            "SELECT * FROM json_each('[1, 2]') AS one JOIN wards ON wards.id = one.value",
        ] {
            assert_eq!(walk_of(statement), None, "{statement}");
        }
    }

    fn run_and_examine(statement: &str) {
        let mut connection = Connection::open_in_memory().unwrap();
        connection.execute_batch("CREATE TABLE corridors (metres INTEGER)").unwrap();
        watch(&mut connection).unwrap();
        connection.prepare(statement).unwrap().query(()).unwrap().next().unwrap();
        examine(&connection);
    }

    #[test]
    #[should_panic(expected = "walks through a whole table")]
    fn a_walk_panics() {
        run_and_examine("SELECT count(*) FROM corridors");
    }

    #[test]
    fn a_walk_that_says_why_goes_on() {
        run_and_examine("SELECT count(*) FROM corridors /* walks: there are few */");
    }
}
