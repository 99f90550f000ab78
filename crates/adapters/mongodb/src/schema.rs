//! The collections and their indexes. They are made at start, by any number of instances at once; what is there already is
//! left as it is. An id of two things is a text of both: a document of them is found by its index on MongoDB, and not on
//! every server of its protocol.

use std::time::Duration;

use futures_util::future::try_join_all;
use infirmary_auth::law;
use infirmary_diagnosis::{Diagnosis, Task};
use infirmary_financials::Charge;
use infirmary_reports::Report;
use mongodb::{
    Database, IndexModel,
    bson::{Document, doc},
    options::IndexOptions,
};

/// What the document `house` says of a database that this program has made or brought up to date.
pub const VERSION: u32 = 1;

pub(crate) struct Collection {
    pub(crate) name: &'static str,
    pub(crate) indexes: &'static [Index],
}

pub(crate) struct Index {
    pub(crate) name: &'static str,
    pub(crate) keys: &'static [(&'static str, i32)],
    pub(crate) kind: Kind,
}

pub(crate) enum Kind {
    Plain,
    /// Entries are only of documents that have the first field.
    Sparse,
    /// The same of several fields, others of which are always there.
    Where {
        field: &'static str,
    },
    /// A law of uniqueness, under the name that a port has for it. Of a field that may be absent: [`Kind::UniqueWhere`].
    Unique {
        law: &'static str,
    },
    /// Unique among the documents that have this field.
    UniqueWhere {
        field: &'static str,
        law: &'static str,
    },
    /// The server removes what is over: so many seconds after the time in the field.
    Expiring {
        after_seconds: u64,
    },
}

impl Index {
    pub(crate) const fn plain(name: &'static str, keys: &'static [(&'static str, i32)]) -> Self {
        Self { name, keys, kind: Kind::Plain }
    }

    pub(crate) const fn sparse(name: &'static str, keys: &'static [(&'static str, i32)]) -> Self {
        Self { name, keys, kind: Kind::Sparse }
    }

    pub(crate) const fn plain_where(
        field: &'static str,
        name: &'static str,
        keys: &'static [(&'static str, i32)],
    ) -> Self {
        Self { name, keys, kind: Kind::Where { field } }
    }

    pub(crate) const fn unique(name: &'static str, keys: &'static [(&'static str, i32)], law: &'static str) -> Self {
        Self { name, keys, kind: Kind::Unique { law } }
    }

    pub(crate) const fn unique_where(
        field: &'static str,
        name: &'static str,
        keys: &'static [(&'static str, i32)],
        law: &'static str,
    ) -> Self {
        Self { name, keys, kind: Kind::UniqueWhere { field, law } }
    }

    pub(crate) const fn expiring(name: &'static str, keys: &'static [(&'static str, i32)], after_seconds: u64) -> Self {
        Self { name, keys, kind: Kind::Expiring { after_seconds } }
    }

    /// For `hint`.
    pub(crate) fn key_document(&self) -> Document {
        self.keys.iter().map(|(field, direction)| ((*field).to_owned(), (*direction).into())).collect()
    }

    pub(crate) fn model(&self) -> IndexModel {
        let mut options = IndexOptions::default();
        options.name = Some(self.name.to_owned());
        let having = |field: &str| Some(doc! { field: { "$exists": true } });
        match self.kind {
            Kind::Plain => {}
            Kind::Sparse => options.sparse = Some(true),
            Kind::Where { field } => options.partial_filter_expression = having(field),
            Kind::Unique { .. } => options.unique = Some(true),
            Kind::UniqueWhere { field, .. } => {
                options.unique = Some(true);
                options.partial_filter_expression = having(field);
            }
            Kind::Expiring { after_seconds } => options.expire_after = Some(Duration::from_secs(after_seconds)),
        }
        IndexModel::builder().keys(self.key_document()).options(options).build()
    }
}

/// `password` is what one is compared with, in the form that its hasher writes; absent while none was chosen. `turns` counts
/// the transactions that depend on the account as it is: each touches it, so that none misses another's change.
/// `authenticator` and `recovery` (the HMACs of recovery codes) are of the second factors.
pub(crate) static ACCOUNTS: Collection = Collection {
    name: "accounts",
    indexes: &[
        Index::unique("email", &[("email", 1)], law::EMAIL),
        Index::plain("time", &[("created_at", -1), ("_id", -1)]),
        Index::plain("role", &[("role", 1), ("created_at", -1), ("_id", -1)]),
        Index::sparse("phone", &[("phone", 1)]),
    ],
};

/// `_id` is the account's. `code` is the SHA-256 of what was given to the holder.
pub(crate) static INVITATIONS: Collection = Collection {
    name: "invitations",
    indexes: &[Index::unique("code", &[("code", 1)], "code"), Index::expiring("expiry", &[("expires_at", 1)], 0)],
};

/// `refresh` and `previous` are the SHA-256 of the token that is due and of the one before it.
pub(crate) static SESSIONS: Collection = Collection {
    name: "sessions",
    indexes: &[
        Index::plain("account", &[("account", 1), ("started_at", -1), ("_id", -1)]),
        Index::expiring("expiry", &[("expires_at", 1)], 0),
    ],
};

/// What waits for an answer. `code` is the HMAC of the code that was sent.
pub(crate) static CHALLENGES: Collection = Collection {
    name: "challenges",
    indexes: &[
        Index::sparse("account", &[("account", 1)]),
        Index::sparse("phone", &[("phone", 1), ("purpose", 1)]),
        Index::expiring("expiry", &[("expires_at", 1)], 0),
    ],
};

/// The codes that were asked for; `_id` is the key.
pub(crate) static CODE_COUNTERS: Collection =
    Collection { name: "code_counters", indexes: &[Index::expiring("forgetting", &[("forget_at", 1)], 0)] };

/// Failures of passwords; `_id` is the key. `forget_at` is absent while the counter keeps a password off.
pub(crate) static ATTEMPT_COUNTERS: Collection =
    Collection { name: "attempt_counters", indexes: &[Index::expiring("forgetting", &[("forget_at", 1)], 0)] };

/// `folded_name` is the name as it is compared: without accents and case. `restricted` is there when the record is; `care_team`
/// and `emergency` (sessions with the end of their emergency access) say who comes to it then.
pub(crate) static PATIENTS: Collection = Collection {
    name: "patients",
    indexes: &[
        Index::unique("mrn", &[("mrn", 1)], "mrn"),
        Index::unique_where("account", "account", &[("account", 1)], "account"),
        Index::plain("time", &[("registered_at", -1), ("_id", -1)]),
        Index::sparse("phone", &[("phone", 1)]),
        Index::plain("name_and_birth_date", &[("folded_name", 1), ("birth_date", 1)]),
        Index::sparse("restricted", &[("restricted", 1)]),
    ],
};

/// Why somebody came to the record of a restricted patient; they stay.
pub(crate) static EMERGENCY_ACCESSES: Collection = Collection {
    name: "emergency_accesses",
    indexes: &[Index::plain("patient", &[("patient", 1), ("started_at", -1), ("_id", -1)])],
};

/// The words a patient is found by the beginning of; `_id` is both, `word:patient`. Each entry has all words of its patient,
/// sorted, and the one `before` it: whether it is the first that begins with a term is seen where it is read.
pub(crate) static PATIENT_WORDS: Collection =
    Collection { name: "patient_words", indexes: &[Index::plain("word", &[("word", 1), ("patient", 1)])] };

/// `study_uid` and `performed_on` are there when its DICOM images have them. A study never changes.
pub(crate) static STUDIES: Collection = Collection {
    name: "studies",
    indexes: &[Index::plain("patient", &[("patient", 1), ("recorded_at", -1), ("_id", -1)])],
};

/// `object`, `bytes` and `sha256` are of what is kept ([`crate::objects`]); `no_preview` is the reason why there is nothing to
/// look at, and `dicom` what a DICOM file says of itself. An image never changes.
pub(crate) static IMAGES: Collection =
    Collection { name: "images", indexes: &[Index::plain("study", &[("study", 1), ("position", 1)])] };

/// What it says (`disease`, `findings`, `conditions`) lies beside the rest. `updated` and `confirmed` say `by` and `at`;
/// `amendment` and `retraction` the `reason`, too. `turns` counts the transactions that depend on its version.
pub(crate) static DIAGNOSES: Collection = Collection {
    name: "diagnoses",
    indexes: &[
        Index::unique_where("study", "one_of_study", &[("patient", 1), ("study", 1)], Diagnosis::ONE_FOR_A_STUDY),
        Index::sparse("study", &[("study", 1)]),
        Index::plain("patient", &[("patient", 1), ("recorded_at", -1), ("_id", -1)]),
        Index::plain("author", &[("author", 1), ("recorded_at", -1), ("_id", -1)]),
        Index::plain("status", &[("status", 1), ("recorded_at", -1), ("_id", -1)]),
        Index::plain("time", &[("recorded_at", -1), ("_id", -1)]),
    ],
};

/// What each version said; `_id` is both, `diagnosis:version`. They are added only. `made` says `by` and `at`.
pub(crate) static DIAGNOSIS_VERSIONS: Collection = Collection {
    name: "diagnosis_versions",
    indexes: &[Index::plain("diagnosis", &[("diagnosis", 1), ("version", -1)])],
};

/// `prices` are in the order of time: `amount`, `currency`, `from`, and `until` when they end.
pub(crate) static TASKS: Collection =
    Collection { name: "tasks", indexes: &[Index::unique("code", &[("code", 1)], Task::ONE_FOR_A_CODE)] };

/// Whether a report is current follows from the version that its diagnosis has; no document keeps it. `object`, `bytes` and
/// `sha256` are of the PDF; `file_name` is of one that was `uploaded`. `code` is 128 bits that were drawn: no two are alike.
pub(crate) static REPORTS: Collection = Collection {
    name: "reports",
    indexes: &[
        Index::unique(
            "one_of_version",
            &[("patient", 1), ("diagnosis", 1), ("diagnosis_version", 1)],
            Report::ONE_FOR_A_VERSION,
        ),
        Index::plain("diagnosis", &[("diagnosis", 1), ("diagnosis_version", -1)]),
        Index::plain("patient", &[("patient", 1), ("issued_at", -1), ("_id", -1)]),
        Index::plain("time", &[("issued_at", -1), ("_id", -1)]),
        Index::plain("code", &[("code", 1)]),
    ],
};

/// Numbers that are given once; `_id` says what for.
pub(crate) static COUNTERS: Collection = Collection { name: "counters", indexes: &[] };

/// What writers touch whose laws no single document shows ([`crate::transaction::Transaction::take_turn`]).
pub(crate) static TURNS: Collection = Collection { name: "turns", indexes: &[] };

/// `_id` is chain and place in it ([`infirmary_audit::ChainId::number`]); `form` is the canonical form that `hash` is of.
pub(crate) static AUDIT: Collection = Collection {
    name: "audit",
    indexes: &[
        Index::plain("time", &[("at", -1), ("_id", -1)]),
        Index::plain("patient", &[("patient", 1), ("at", -1), ("_id", -1)]),
        Index::plain("account", &[("account", 1), ("at", -1), ("_id", -1)]),
        Index::plain("action", &[("action", 1), ("at", -1), ("_id", -1)]),
    ],
};

/// `_id` is the number of a chain that was begun.
pub(crate) static AUDIT_CHAINS: Collection = Collection { name: "audit_chains", indexes: &[] };

/// `_id` is the place of the root. `closed` has the place in each chain that any root up to this one has closed.
pub(crate) static AUDIT_ROOTS: Collection = Collection { name: "audit_roots", indexes: &[] };

/// `study`, `report`, `diagnosis` and `author` are of the source, and none of them is there when the charge is by hand. `amount`
/// is minor units of `currency`, as are `paid` and `refunded`, the sums of what payments put on the charge and refunds took off
/// it, and `outstanding`, which is amount − paid + refunded, and 0 when it is void. `status` (`open`, `paid`, `void`) follows
/// from these. They change in the transaction of the payment, refund or void, where they still are as it read them.
/// `voided_at`, `voided_by` and `void_reason` are there when it is void.
///
/// Uniqueness is within the patient, of whom a study and a diagnosis are: so charges can be sharded by patient.
pub(crate) static CHARGES: Collection = Collection {
    name: "charges",
    indexes: &[
        Index::unique_where(
            "study",
            "task_of_study",
            &[("patient", 1), ("study", 1), ("task", 1)],
            Charge::ONE_FOR_A_TASK_OF_A_STUDY,
        ),
        Index::unique_where(
            "report",
            "report_on_diagnosis",
            &[("patient", 1), ("diagnosis", 1)],
            Charge::ONE_FOR_THE_REPORT_ON_A_DIAGNOSIS,
        ),
        Index::sparse("study", &[("study", 1)]),
        Index::sparse("diagnosis", &[("diagnosis", 1)]),
        Index::plain("patient", &[("patient", 1), ("charged_at", -1), ("_id", -1)]),
        Index::plain("patient_status", &[("patient", 1), ("status", 1), ("charged_at", 1), ("_id", 1)]),
        Index::plain("time", &[("charged_at", -1), ("_id", -1)]),
        Index::plain("status", &[("status", 1), ("charged_at", -1), ("_id", -1)]),
        Index::plain_where("author", "author", &[("author", 1), ("charged_at", -1), ("_id", -1)]),
        Index::sparse("voided", &[("voided_at", 1)]),
    ],
};

/// `allocations`, oldest charge first: each with `charge`, `amount`, and the `task` of the charge when that has one. `refunded`
/// is the sum of the refunds: each changes it, so that those of one payment see each other.
pub(crate) static PAYMENTS: Collection = Collection {
    name: "payments",
    indexes: &[
        Index::plain("patient", &[("patient", 1), ("received_at", -1), ("_id", -1)]),
        Index::plain("time", &[("received_at", -1), ("_id", -1)]),
    ],
};

/// `patient`, `currency` and `method` are those of the `payment`. `allocations`, newest charge first, are as those of a payment.
pub(crate) static REFUNDS: Collection = Collection {
    name: "refunds",
    indexes: &[
        Index::plain("payment", &[("payment", 1), ("refunded_at", 1), ("_id", 1)]),
        Index::plain("patient", &[("patient", 1), ("refunded_at", -1), ("_id", -1)]),
        Index::plain("time", &[("refunded_at", -1), ("_id", -1)]),
    ],
};

/// `_id` is account and key, `account:key`.
pub(crate) static CLAIMS: Collection = Collection {
    name: "claims",
    indexes: &[Index::expiring("expiry", &[("at", 1)], infirmary_kernel::Claim::KEPT_HOURS * 60 * 60)],
};

/// What is to be told outside, from the transaction that caused it. `code` is there while a one-time code may still have to be
/// sent, and no longer. `due_at`, of a pending one, is when the next try may begin; `takes` tells one taking from the others.
pub(crate) static MESSAGES: Collection = Collection {
    name: "messages",
    indexes: &[
        Index::plain("time", &[("created_at", -1), ("_id", -1)]),
        Index::plain("state", &[("state", 1), ("created_at", -1), ("_id", -1)]),
        Index::plain("due", &[("state", 1), ("kind", 1), ("due_at", 1), ("_id", 1)]),
        Index::plain("over", &[("state", 1), ("expires_at", 1)]),
        Index::unique_where("provider_id", "provider_id", &[("provider_id", 1)], "provider id"),
    ],
};

/// Which process does a job alone; `_id` is the job. One stays when its lease is released, so that fences only rise.
pub(crate) static LEASES: Collection = Collection { name: "leases", indexes: &[] };

/// What this program knows of the database itself: the document `house`, and `conversion` while it takes part in one.
pub(crate) static HOUSE: Collection = Collection { name: "house", indexes: &[] };

pub(crate) static COLLECTIONS: &[&Collection] = &[
    &ACCOUNTS,
    &INVITATIONS,
    &SESSIONS,
    &CHALLENGES,
    &CODE_COUNTERS,
    &ATTEMPT_COUNTERS,
    &PATIENTS,
    &PATIENT_WORDS,
    &EMERGENCY_ACCESSES,
    &STUDIES,
    &IMAGES,
    &DIAGNOSES,
    &DIAGNOSIS_VERSIONS,
    &TASKS,
    &REPORTS,
    &COUNTERS,
    &TURNS,
    &AUDIT,
    &AUDIT_CHAINS,
    &AUDIT_ROOTS,
    &CHARGES,
    &PAYMENTS,
    &REFUNDS,
    &CLAIMS,
    &MESSAGES,
    &LEASES,
    &HOUSE,
];

/// What is only ever added to: whoever this program is to the database needs no right to change or remove it there.
#[cfg(feature = "test-support")]
pub(crate) static ADDED_TO: &[&Collection] = &[&AUDIT, &AUDIT_ROOTS, &DIAGNOSIS_VERSIONS];

/// The law that the index keeps, by the names that the server gives them.
pub(crate) fn law(collection: &str, index: &str) -> Option<&'static str> {
    let collection = COLLECTIONS.iter().find(|known| known.name == collection)?;
    collection.indexes.iter().find(|known| known.name == index).and_then(|index| match index.kind {
        Kind::Unique { law } | Kind::UniqueWhere { law, .. } => Some(law),
        Kind::Plain | Kind::Sparse | Kind::Where { .. } | Kind::Expiring { .. } => None,
    })
}

/// One command for each collection, all at once.
pub(crate) async fn make(database: &Database) -> mongodb::error::Result<()> {
    let with_indexes = COLLECTIONS.iter().filter(|collection| !collection.indexes.is_empty());
    try_join_all(with_indexes.map(async |collection| {
        let models = collection.indexes.iter().map(Index::model);
        database.collection::<Document>(collection.name).create_indexes(models).await.map(|_| ())
    }))
    .await
    .map(|_| ())
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn names_are_given_once() {
        let names: HashSet<_> = COLLECTIONS.iter().map(|collection| collection.name).collect();
        assert_eq!(names.len(), COLLECTIONS.len());
        for collection in COLLECTIONS {
            let names: HashSet<_> = collection.indexes.iter().map(|index| index.name).collect();
            assert_eq!(names.len(), collection.indexes.len(), "{}", collection.name);
        }
    }

    #[test]
    fn the_rights_in_the_operators_guide_are_those_that_are_needed() {
        let guide = include_str!("../../../../docs/operators-guide.md");
        let listed = |start: &str| -> Vec<String> {
            let (_, list) = guide.split_once(start).unwrap();
            let (list, _) = list.split_once(']').unwrap();
            list.split(',').map(|name| name.trim().trim_matches('"').to_owned()).collect()
        };
        let names = |added: bool| -> Vec<String> {
            let is_added = |collection: &&&Collection| ADDED_TO.iter().any(|other| other.name == collection.name);
            let names = COLLECTIONS.iter().filter(|collection| is_added(collection) == added);
            let mut names: Vec<_> = names.map(|collection| collection.name.to_owned()).collect();
            names.sort();
            names
        };
        assert_eq!(listed("const added = ["), names(true));
        assert_eq!(listed("const changed = ["), names(false));
    }

    #[test]
    fn a_unique_index_is_told_as_its_law() {
        assert_eq!(law("accounts", "email"), Some("email"));
        assert_eq!(law("accounts", "time"), None);
        assert_eq!(law("accounts", "_id_"), None);
        assert_eq!(law("wards", "email"), None);
    }
}
