//! In tests, every query is noted when it is sent for the first time, and the server is asked for its plan. One
//! that walks through a whole collection is as quick as any on the few documents of a test, and not on a hundred thousand.
//! So is every change to what is only to be added to: the rights of the operator's guide do not have it.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{LazyLock, Mutex, MutexGuard, PoisonError},
};

use mongodb::{
    Client,
    bson::{Bson, Document, doc},
    event::command::CommandStartedEvent,
};

use crate::{
    reads::{MAY_WALK, is_exact, leads},
    schema::{ADDED_TO, COLLECTIONS, Index},
};

/// The queries that were sent by this process, by their shapes; `None` once one was examined.
static SEEN: LazyLock<Mutex<HashMap<String, Option<Sent>>>> = LazyLock::new(Mutex::default);

/// What was changed and is only to be added to.
static CHANGED: LazyLock<Mutex<BTreeSet<String>>> = LazyLock::new(Mutex::default);

struct Sent {
    database: String,
    command: Document,
}

fn seen() -> MutexGuard<'static, HashMap<String, Option<Sent>>> {
    SEEN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Notes what is of a new shape, and what changes a collection that is only to be added to.
pub(crate) fn note(sent: &CommandStartedEvent) {
    if let Some(collection) = changes(&sent.command) {
        CHANGED.lock().unwrap_or_else(PoisonError::into_inner).insert(collection.to_owned());
    }
    for query in queries(&sent.command) {
        seen().entry(shape(&query)).or_insert_with(|| Some(Sent { database: sent.db.clone(), command: query.clone() }));
    }
}

/// The collection, of a command that changes or removes documents where none may be.
fn changes(command: &Document) -> Option<&str> {
    let (name, collection) = command.iter().next()?;
    let changes = ["update", "delete", "findAndModify"].contains(&name.as_str());
    collection.as_str().filter(|collection| changes && ADDED_TO.iter().any(|added| added.name == *collection))
}

/// What a command looks for, as commands that can be explained. An explained update tells nothing of how its documents are
/// found, on some servers; the same filter in a `find` does.
fn queries(command: &Document) -> Vec<Document> {
    let find = |collection: &Bson, filter: Option<&Bson>, hint: Option<&Bson>| {
        let mut find = doc! { "find": collection, "filter": filter.cloned().unwrap_or_else(|| doc! {}.into()) };
        if let Some(hint) = hint {
            find.insert("hint", hint);
        }
        find
    };
    let Some((name, collection)) = command.iter().next() else { return Vec::new() };
    let statements = |list: &str| -> Vec<Document> {
        let list = command.get_array(list).map(Vec::as_slice).unwrap_or_default();
        list.iter()
            .filter_map(Bson::as_document)
            .map(|statement| find(collection, statement.get("q"), statement.get("hint")))
            .collect()
    };
    match name.as_str() {
        "find" | "aggregate" => {
            let kept = ["find", "aggregate", "filter", "sort", "hint", "limit", "pipeline", "comment"];
            let mut query: Document =
                command.iter().filter(|(field, _)| kept.contains(&field.as_str())).map(owned).collect();
            if name == "aggregate" {
                query.insert("cursor", doc! {});
            }
            vec![query]
        }
        "update" => statements("updates"),
        "delete" => statements("deletes"),
        "findAndModify" => vec![find(collection, command.get("query"), command.get("hint"))],
        _ => Vec::new(),
    }
}

fn owned((field, value): (&String, &Bson)) -> (String, Bson) {
    (field.clone(), value.clone())
}

/// The command without its values: two that differ in those alone have one plan.
fn shape(command: &Document) -> String {
    fn of(value: &Bson) -> Bson {
        match value {
            Bson::Document(document) => {
                document.iter().map(|(field, value)| (field.clone(), of(value))).collect::<Document>().into()
            }
            Bson::Array(items) => {
                let mut shapes: Vec<Bson> = items.iter().map(of).collect();
                shapes.dedup();
                shapes.into()
            }
            Bson::String(text) if text.starts_with('$') || text.starts_with(MAY_WALK) => value.clone(),
            _ => "?".into(),
        }
    }
    let mut kept = of(&Bson::Document(command.clone()));
    if let Bson::Document(kept) = &mut kept {
        for exact in ["find", "aggregate", "sort", "hint"] {
            if let Some(value) = command.get(exact) {
                kept.insert(exact, value);
            }
        }
    }
    kept.to_string()
}

pub(crate) fn has_new(database: &str) -> bool {
    seen().values().flatten().any(|sent| sent.database == database)
}

/// Asks the server for the plan of what was sent to the database since the last time; tells what walks through a whole
/// collection, and what was changed that is only to be added to.
pub(crate) async fn examine(client: &Client, database: &str) -> Result<Vec<String>, mongodb::error::Error> {
    let take = |sent: &mut Option<Sent>| sent.take_if(|sent| sent.database == database);
    let new: Vec<(String, Sent)> =
        seen().iter_mut().filter_map(|(shape, sent)| Some((shape.clone(), take(sent)?))).collect();
    let changed = CHANGED.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let mut walks: Vec<String> =
        changed.iter().map(|name| format!("{name} is only to be added to, and is changed")).collect();
    for (shape, Sent { database, command }) in new {
        if command.get_str("comment").is_ok_and(|comment| comment.starts_with(MAY_WALK)) {
            continue;
        }
        if let Some(stage) = blind_lookup(&command) {
            walks.push(format!("{shape}: no index leads this stage: {stage}"));
        }
        if is_led(&command) {
            continue;
        }
        let walks_by = async |command: Document| {
            let explain = doc! { "explain": command, "verbosity": "queryPlanner" };
            let plan = client.database(&database).run_command(explain).await?;
            Ok::<_, mongodb::error::Error>(has_stage(&Bson::Document(plan), "COLLSCAN"))
        };
        let mut walks_through = walks_by(command.clone()).await?;
        // Not every planner tells that it goes by an index that a range leads into; told to, it tells whether it can.
        if walks_through && let Some(index) = index_of_range(&command) {
            let mut told = command;
            told.insert("hint", index);
            walks_through = walks_by(told).await?;
        }
        if walks_through {
            walks.push(format!("{shape}: walks through a whole collection"));
        }
    }
    Ok(walks)
}

/// Whether the filter gives the first field of an index one value, or a few. Every planner that is worth the name takes such
/// an index; not all tell so of a filter that has more beside it.
fn is_led(command: &Document) -> bool {
    filter_of(command).is_some_and(|(collection, filter)| {
        filter.iter().any(|(field, asked)| is_exact(asked) && leads_an_index(collection, field))
    })
}

/// The index, by its fields, that a query means which names none and gives the first of them a range with both its ends.
fn index_of_range(command: &Document) -> Option<Document> {
    let (collection, filter) = filter_of(command).filter(|_| !command.contains_key("hint"))?;
    if leads(filter, "_id") {
        return Some(doc! { "_id": 1 });
    }
    let indexes = COLLECTIONS.iter().filter(|known| known.name == collection).flat_map(|known| known.indexes);
    let mut led = indexes.filter(|index| index.keys.first().is_some_and(|(first, _)| leads(filter, first)));
    led.next().map(Index::key_document)
}

/// What a query looks for in which collection.
fn filter_of(command: &Document) -> Option<(&str, &Document)> {
    let first = || command.get_array("pipeline").ok()?.first()?.as_document()?.get_document("$match").ok();
    let found = command.get_str("find").ok().zip(command.get_document("filter").ok());
    found.or_else(|| command.get_str("aggregate").ok().zip(first()))
}

fn has_stage(plan: &Bson, stage: &str) -> bool {
    match plan {
        Bson::Document(plan) => {
            plan.get_str("stage").is_ok_and(|found| found == stage)
                || plan.iter().any(|(field, part)| field != "rejectedPlans" && has_stage(part, stage))
        }
        Bson::Array(parts) => parts.iter().any(|part| has_stage(part, stage)),
        _ => false,
    }
}

/// A stage that looks something up in another collection by what no index of it begins with. Plans do not tell of it.
fn blind_lookup(command: &Document) -> Option<String> {
    fn stages(pipeline: &[Bson]) -> Option<String> {
        pipeline.iter().filter_map(Bson::as_document).find_map(|stage| {
            if let Ok(lookup) = stage.get_document("$lookup") {
                let from = lookup.get_str("from").unwrap_or_default();
                let by = lookup.get_str("foreignField").unwrap_or_default();
                if !leads_an_index(from, by) {
                    return Some(stage.to_string());
                }
                return lookup.get_array("pipeline").ok().and_then(|pipeline| stages(pipeline));
            }
            let facets = stage.get_document("$facet").into_iter().flatten();
            facets.filter_map(|(_, facet)| facet.as_array()).find_map(|facet| stages(facet))
        })
    }
    stages(command.get_array("pipeline").ok()?)
}

fn leads_an_index(collection: &str, field: &str) -> bool {
    field == "_id"
        || COLLECTIONS
            .iter()
            .filter(|known| known.name == collection)
            .flat_map(|known| known.indexes)
            .any(|index| index.keys.first().is_some_and(|(first, _)| *first == field))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_commands_that_differ_in_values_alone_are_one_shape() {
        let find = |email: &str, sort: i32| {
            let command = doc! { "find": "accounts", "filter": { "email": email }, "sort": { "_id": sort }, "lsid": 7 };
            shape(&queries(&command)[0])
        };
        assert_eq!(find("a", 1), find("b", 1));
        assert_ne!(find("a", 1), find("a", -1));
        let update = |field: &str| {
            queries(&doc! { "update": "accounts", "updates": [{ "q": { field: 1 }, "u": { "$set": { "a": 1 } } }] })
        };
        assert_eq!(update("_id"), [doc! { "find": "accounts", "filter": { "_id": 1 } }]);
        assert_ne!(shape(&update("_id")[0]), shape(&update("email")[0]));
    }

    #[test]
    fn a_change_to_what_is_only_added_to_is_seen() {
        assert_eq!(changes(&doc! { "update": "audit", "updates": [] }), Some("audit"));
        assert_eq!(changes(&doc! { "findAndModify": "audit_roots", "query": {} }), Some("audit_roots"));
        assert_eq!(changes(&doc! { "insert": "audit", "documents": [] }), None);
        assert_eq!(changes(&doc! { "delete": "sessions", "deletes": [] }), None);
    }

    #[test]
    fn a_lookup_by_what_leads_no_index_is_seen() {
        let lookup = |from: &str, by: &str| {
            doc! { "aggregate": "sessions", "pipeline": [{ "$lookup": { "from": from, "foreignField": by } }] }
        };
        assert_eq!(blind_lookup(&lookup("accounts", "_id")), None);
        assert_eq!(blind_lookup(&lookup("sessions", "account")), None);
        assert!(blind_lookup(&lookup("accounts", "name")).is_some());
        let hidden =
            doc! { "aggregate": "sessions", "pipeline": [{ "$facet": { "one": [{ "$lookup": { "from": "x" } }] } }] };
        assert!(blind_lookup(&hidden).is_some());
    }

    #[test]
    fn one_value_of_the_first_field_of_an_index_leads() {
        let find = |filter: Document| is_led(&doc! { "find": "sessions", "filter": filter });
        assert!(find(doc! { "_id": 1, "refresh": 2 }) && find(doc! { "account": { "$in": [1] }, "x": 1 }));
        assert!(find(doc! { "_id": { "account": 1, "key": 2 } }));
        let matched = |by: &str| doc! { "aggregate": "sessions", "pipeline": [{ "$match": { by: { "$in": [1] } } }] };
        assert!(is_led(&matched("_id")) && !is_led(&matched("refresh")));
        assert!(!find(doc! { "refresh": 1 }) && !find(doc! { "account": { "$gt": 1 } }) && !find(doc! {}));
    }

    #[test]
    fn a_range_with_both_its_ends_leads_where_no_index_is_named() {
        let index = |filter: Document| index_of_range(&doc! { "find": "patient_words", "filter": filter });
        let range = doc! { "$gte": "a", "$lt": "b" };
        assert_eq!(index(doc! { "word": &range }), Some(doc! { "word": 1, "patient": 1 }));
        assert_eq!(index(doc! { "_id": &range, "before": "a" }), Some(doc! { "_id": 1 }));
        assert_eq!(index(doc! { "before": &range }).or(index(doc! { "word": { "$gte": "a" } })), None);
        let named = doc! { "find": "patient_words", "filter": { "word": &range }, "hint": { "_id": 1 } };
        assert_eq!(index_of_range(&named), None);
    }

    #[test]
    fn a_walk_is_seen_wherever_it_is_in_the_plan() {
        let plan =
            doc! { "queryPlanner": { "winningPlan": { "stage": "SORT", "inputStages": [{ "stage": "COLLSCAN" }] } } };
        assert!(has_stage(&plan.into(), "COLLSCAN"));
        let rejected = doc! { "winningPlan": { "stage": "IXSCAN" }, "rejectedPlans": [{ "stage": "COLLSCAN" }] };
        assert!(!has_stage(&rejected.into(), "COLLSCAN"));
    }
}
