use std::borrow::Cow;

use infirmary_kernel::{ImageId, ObjectKey, ReportId, StoredObject};

/// The record that an object belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ObjectOwner {
    Image(ImageId),
    Report(ReportId),
}

impl ObjectOwner {
    /// Where its bytes lie.
    pub fn key(self) -> ObjectKey {
        match self {
            Self::Image(id) => ObjectKey::image(id),
            Self::Report(id) => ObjectKey::report(id),
        }
    }

    /// Whose an object is, by its key: the bytes of the record, or what was derived from them. `None`: a key that this
    /// house does not make.
    pub fn of_key(key: &ObjectKey) -> Option<Self> {
        let (folder, rest) = key.as_str().split_once('/')?;
        match folder {
            "images" => rest.parse().ok().map(Self::Image),
            "reports" => rest.parse().ok().map(Self::Report),
            "previews" => {
                let (image, size) = rest.split_once('/')?;
                size.parse::<u32>().ok()?;
                image.parse().ok().map(Self::Image)
            }
            _ => None,
        }
    }

    pub const fn noun(self) -> &'static str {
        match self {
            Self::Image(_) => "image",
            Self::Report(_) => "report",
        }
    }
}

impl std::fmt::Display for ObjectOwner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Image(id) => write!(f, "image {id}"),
            Self::Report(id) => write!(f, "report {id}"),
        }
    }
}

/// An object that a row names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedObject {
    pub owner: ObjectOwner,
    pub object: StoredObject,
}

/// What must hold among the rows of a store, whoever wrote them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RecordLaw {
    /// The store itself is undamaged: pages, tables, and the indexes that keep the laws of uniqueness.
    Storage,
    /// Tables and indexes are those that this version makes: a law whose index is gone is no law.
    Shape,
    /// Whatever a row names is there, and of the same patient.
    References,
    /// Every version of a diagnosis is there, and the last one is what it says now.
    Histories,
    /// A study has images, a diagnosis and charges; what is reported is charged. Each once.
    Completeness,
    /// In all: charges − voids − payments + refunds is what is outstanding.
    House,
    /// Every write of a record has its entry in the audit trail.
    Trail,
}

impl RecordLaw {
    pub const ALL: [Self; 7] =
        [Self::Storage, Self::Shape, Self::References, Self::Histories, Self::Completeness, Self::House, Self::Trail];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Storage => "the store is undamaged",
            Self::Shape => "tables and indexes are whole",
            Self::References => "whatever a row names is there",
            Self::Histories => "histories are whole",
            Self::Completeness => "records are complete, each once",
            Self::House => "the balance of the house is what is outstanding",
            Self::Trail => "every write is in the audit trail",
        }
    }
}

/// A record where a law does not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flaw {
    /// `charge 0198c1f0-…`, or the part of the store.
    pub record: String,
    /// A clause for people.
    pub what: Cow<'static, str>,
}

/// How many of each a house has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct HouseCounts {
    pub accounts: u64,
    pub patients: u64,
    pub studies: u64,
    pub images: u64,
    pub diagnoses: u64,
    pub reports: u64,
    pub charges: u64,
    pub payments: u64,
    pub refunds: u64,
    pub audit_entries: u64,
    /// Of images and reports together.
    pub object_bytes: u64,
}

impl HouseCounts {
    /// Objects that rows name.
    pub const fn objects(&self) -> u64 {
        self.images + self.reports
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_tells_whose_the_object_is() {
        let id = "0198c1f0-7c3e-7d0a-9c55-3f1d2b6a4e10";
        let owner = |key: String| ObjectOwner::of_key(&ObjectKey::parse(&key).unwrap());
        let image = owner(format!("images/{id}")).unwrap();
        assert_eq!(image, ObjectOwner::Image(id.parse().unwrap()));
        assert_eq!(owner(format!("previews/{id}/512")), Some(image));
        let report = owner(format!("reports/{id}")).unwrap();
        assert_eq!(report.key().as_str(), format!("reports/{id}"));
        for nobodys in ["images", "images/7", "scans/x", &format!("previews/{id}"), &format!("previews/{id}/big")] {
            assert_eq!(owner(nobodys.to_owned()), None, "{nobodys}");
        }
    }
}
