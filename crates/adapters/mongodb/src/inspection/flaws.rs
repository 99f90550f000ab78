use std::borrow::Cow;

use infirmary_workflows::Flaw;
use uuid::Uuid;

/// What was found, each thing once.
pub(super) struct Flaws {
    found: Vec<Flaw>,
    most: usize,
}

impl Flaws {
    pub(super) const fn at_most(most: usize) -> Self {
        Self { found: Vec::new(), most }
    }

    pub(super) fn add(&mut self, noun: &str, id: Uuid, what: impl Into<Cow<'static, str>>) {
        self.add_part(format!("{noun} {id}"), what);
    }

    /// Of a part of the store.
    pub(super) fn add_part(&mut self, record: String, what: impl Into<Cow<'static, str>>) {
        self.add_flaw(Flaw { record, what: what.into() });
    }

    pub(super) fn add_flaw(&mut self, flaw: Flaw) {
        if !self.is_full() && !self.found.contains(&flaw) {
            self.found.push(flaw);
        }
    }

    pub(super) const fn is_full(&self) -> bool {
        self.found.len() >= self.most
    }

    pub(super) const fn most(&self) -> usize {
        self.most
    }

    pub(super) fn found(self) -> Vec<Flaw> {
        self.found
    }
}
