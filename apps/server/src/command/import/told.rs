//! What the import tells: a line for each row that is not taken or changes, and the counts at the end.

use std::{collections::BTreeMap, io};

use indicatif::{ProgressBar, ProgressStyle};

use crate::{
    command::{CommandError, verify::say},
    legacy::id::ObjectId,
};

#[derive(Debug, Clone, Copy, Default)]
struct Count {
    read: u64,
    added: u64,
    there: u64,
    changed: u64,
    refused: u64,
}

pub struct Told {
    bar: ProgressBar,
    counts: BTreeMap<&'static str, Count>,
    dry: bool,
    /// Who closed the standard output ends the import.
    broken: Option<io::Error>,
}

impl Told {
    pub fn new(dry: bool, rows: u64) -> Self {
        let bar = ProgressBar::new(rows);
        if let Ok(style) = ProgressStyle::with_template("{msg:16} {wide_bar} {pos}/{len} {per_sec} {eta}") {
            bar.set_style(style);
        }
        Self { bar, counts: BTreeMap::new(), dry, broken: None }
    }

    pub fn begin(&self, collection: &'static str) {
        self.bar.set_message(collection);
    }

    pub fn read(&mut self, collection: &'static str) {
        self.bar.inc(1);
        self.count(collection).read += 1;
    }

    pub fn added(&mut self, collection: &'static str, rows: u64) {
        self.count(collection).added += rows;
    }

    pub fn there(&mut self, collection: &'static str) {
        self.count(collection).there += 1;
    }

    /// The row cannot be taken.
    pub fn refused(&mut self, collection: &'static str, id: Option<ObjectId>, why: &str) {
        self.count(collection).refused += 1;
        self.line("not taken", collection, id, why);
    }

    /// The row is left out, as was asked for.
    pub fn left_out(&mut self, collection: &'static str) {
        self.count(collection).refused += 1;
    }

    /// The row is taken, and is not quite what it was.
    pub fn changed(&mut self, collection: &'static str, id: ObjectId, how: &str) {
        self.count(collection).changed += 1;
        self.line("changed", collection, Some(id), how);
    }

    /// Ids and reasons only: what is printed may be kept by others than the house.
    fn line(&mut self, what: &str, collection: &str, id: Option<ObjectId>, why: &str) {
        let id = id.map_or_else(|| "a row without an id".to_owned(), |id| id.to_string());
        if let Err(error) = self.bar.suspend(|| say(&format!("{what:10} {collection} {id}: {why}"))) {
            self.broken = Some(error);
        }
    }

    fn count(&mut self, collection: &'static str) -> &mut Count {
        self.counts.entry(collection).or_default()
    }

    pub fn end(self) -> Result<(), CommandError> {
        self.bar.finish_and_clear();
        if let Some(error) = self.broken {
            return Err(CommandError::output(error));
        }
        let added = if self.dry { "to be added" } else { "added" };
        for (collection, Count { read, added: count, there, changed, refused }) in &self.counts {
            say(&format!(
                "{collection:16} {read} read: {count} {added}, {there} there already, {refused} not taken; {changed} changed"
            ))
            .map_err(CommandError::output)?;
        }
        Ok(())
    }
}
