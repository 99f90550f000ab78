use std::{fmt, time::Duration};

use infirmary_kernel::{Invalid, TaskCode, Timestamp};

use crate::Totals;

/// What the sums of the house are put together by. Days and months are those of UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SummaryBy {
    Day,
    Month,
    /// Of a payment, the parts that lie on charges of the task.
    Task,
    /// Of payments and refunds. What is charged has no method yet: charged and voided are zero in each row.
    Method,
}

impl SummaryBy {
    pub const ALL: [Self; 4] = [Self::Day, Self::Month, Self::Task, Self::Method];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Day => "day",
            Self::Month => "month",
            Self::Task => "task",
            Self::Method => "method",
        }
    }

    pub fn parse(text: &str) -> Result<Self, Invalid> {
        Self::ALL
            .into_iter()
            .find(|by| by.as_str() == text)
            .ok_or_else(|| Invalid::new("/by", "is nothing to sum by; give day, month, task or method"))
    }
}

impl fmt::Display for SummaryBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// From a moment up to another, that one not included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Period {
    from: Timestamp,
    to: Timestamp,
}

impl Period {
    /// Ten years: as many rows as a summary by day can have.
    pub const MAX_DAYS: u64 = 3_660;

    pub fn new(from: Timestamp, to: Timestamp) -> Result<Self, Invalid> {
        if from >= to {
            return Err(Invalid::new("/to", "must be later than from"));
        }
        if to.since(from) > Duration::from_secs(Self::MAX_DAYS * 24 * 60 * 60) {
            return Err(Invalid::new("/from", "must be at most 3,660 days before to"));
        }
        Ok(Self { from, to })
    }

    pub const fn from(&self) -> Timestamp {
        self.from
    }

    pub const fn to(&self) -> Timestamp {
        self.to
    }

    pub fn contains(&self, at: Timestamp) -> bool {
        self.from <= at && at < self.to
    }
}

/// One bar of a chart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SummaryRow {
    /// `2026-03-01`, `2026-03`, the code of a task ([`SummaryRow::NO_TASK`] for charges without), or a method of payment.
    pub key: String,
    pub totals: Totals,
}

impl SummaryRow {
    /// In small letters, which no code of a task has.
    pub const NO_TASK: &'static str = "other";

    pub fn task_key(task: Option<&TaskCode>) -> &str {
        task.map_or(Self::NO_TASK, TaskCode::as_str)
    }
}

/// What happened in the house in a period: each charge, void, payment and refund counts at its own time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    pub period: Period,
    pub by: SummaryBy,
    /// In the order of their keys; only those under which something happened.
    pub rows: Vec<SummaryRow>,
    /// The same whatever it is summed by.
    pub totals: Totals,
}
