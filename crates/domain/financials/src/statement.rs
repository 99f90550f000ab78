use infirmary_kernel::{
    ChargeId, Currency, Cursor, Invalid, Money, MoneyError, Page, PatientId, PaymentId, RefundId, ShortText, TaskCode,
    Timestamp,
};
use uuid::Uuid;

use crate::{PaymentMethod, Totals};

/// What was posted to the account of a patient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Posting {
    Charge { charge: ChargeId, task: Option<TaskCode>, description: ShortText },
    Payment { payment: PaymentId, method: PaymentMethod },
    Refund { refund: RefundId, payment: PaymentId, method: PaymentMethod, reason: ShortText },
    Void { charge: ChargeId, task: Option<TaskCode>, description: ShortText, reason: ShortText },
}

impl Posting {
    /// The order in which postings of one moment are told: nothing is paid before it is charged, nor given back before it
    /// is paid. The id that comes third in the order has no such sense.
    pub const fn rank(&self) -> u8 {
        match self {
            Self::Charge { .. } => 0,
            Self::Payment { .. } => 1,
            Self::Refund { .. } => 2,
            Self::Void { .. } => 3,
        }
    }

    /// A void has the id of its charge, and another rank.
    pub const fn id(&self) -> Uuid {
        match self {
            Self::Charge { charge, .. } | Self::Void { charge, .. } => charge.as_uuid(),
            Self::Payment { payment, .. } => payment.as_uuid(),
            Self::Refund { refund, .. } => refund.as_uuid(),
        }
    }

    /// Whether more is owed after it: charges and refunds are on the debit side, payments and voids on the credit side.
    pub const fn is_debit(&self) -> bool {
        matches!(self, Self::Charge { .. } | Self::Refund { .. })
    }
}

/// One posting as a store holds it. The amount is positive on either side (a charge may be of zero).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub at: Timestamp,
    pub posting: Posting,
    pub amount: Money,
}

impl Entry {
    /// By how much more is owed after it; below zero when less is.
    pub const fn change(&self) -> Money {
        let owed = self.amount.amount_minor();
        Money::new(if self.posting.is_debit() { owed } else { owed.saturating_neg() }, self.amount.currency())
    }

    pub const fn place(&self) -> Place {
        Place { at: self.at, rank: self.posting.rank(), id: self.posting.id() }
    }
}

/// Where an entry stands in the order of a statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    pub at: Timestamp,
    pub rank: u8,
    pub id: Uuid,
}

impl Place {
    pub fn cursor(&self) -> Cursor {
        Cursor { sort_key: format!("{}.{}", self.at.unix_ms(), self.rank), id: self.id }
    }

    pub fn of(cursor: &Cursor) -> Result<Self, Invalid> {
        let parts = cursor.sort_key.split_once('.').and_then(|(at, rank)| Some((at.parse().ok()?, rank.parse().ok()?)));
        let (at, rank) = parts.ok_or_else(|| {
            Invalid::new("/cursor", "is not a cursor of this list; give the nextCursor of the page before, unchanged")
        })?;
        Ok(Self { at: Timestamp::from_unix_ms(at), rank, id: cursor.id })
    }
}

/// What a store reads for one page of a statement, all of one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatementRows {
    /// What was owed before the first of the entries.
    pub opening: Money,
    /// In the order of their places.
    pub entries: Vec<Entry>,
    /// Of the patient, over all entries.
    pub totals: Totals,
}

impl StatementRows {
    /// Of all entries of a patient, in any order. For stores that read them all anyway, since each balance is the sum of
    /// what came before.
    pub fn of(
        mut entries: Vec<Entry>,
        currency: Currency,
        after: Option<Place>,
        most: usize,
    ) -> Result<Self, MoneyError> {
        entries.sort_by_key(Entry::place);
        let totals = Totals::of(currency, &entries)?;
        let begin = after.map_or(0, |after| entries.partition_point(|entry| entry.place() <= after));
        let opening = Totals::of(currency, &entries[..begin])?.balance();
        let entries = entries.into_iter().skip(begin).take(most).collect();
        Ok(Self { opening, entries, totals })
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    pub entry: Entry,
    /// What is owed after it.
    pub balance: Money,
}

/// The account of a patient, oldest entry first, as accounts are read. The balance runs on from page to page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    pub patient: PatientId,
    pub opening: Money,
    pub lines: Page<Line>,
    pub totals: Totals,
}

impl Statement {
    /// How many entries a statement on paper has; a longer account is read in pages.
    pub const MAX_ENTRIES_ON_PAPER: usize = 2_000;

    /// The first `most` of the entries; the store was asked for one more, to know whether there is more.
    pub fn of(patient: PatientId, rows: StatementRows, most: usize) -> Result<Self, MoneyError> {
        let StatementRows { opening, mut entries, totals } = rows;
        let more = entries.len() > most;
        entries.truncate(most);
        let next = if more { entries.last().map(|last| last.place().cursor()) } else { None };
        let mut balance = opening;
        let items = entries.into_iter().map(|entry| {
            balance = balance.checked_add(entry.change())?;
            Ok(Line { entry, balance })
        });
        let lines = Page { items: items.collect::<Result<_, MoneyError>>()?, next };
        Ok(Self { patient, opening, lines, totals })
    }
}
