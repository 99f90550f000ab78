//! Bills, and the study or report that each is for. The replaced system does not say: it made both at one moment, so a bill
//! is of the record of its patient and kind that was made nearest to it.

use std::collections::HashMap;

use infirmary_diagnosis::Catalogue;
use infirmary_kernel::{Currency, Money, ShortText, TaskCode, Timestamp};
use mongodb::bson::Document;

use super::old;
use crate::legacy::{id::ObjectId, money::money, words};

/// How far apart a record and its bill may be made.
const SECONDS_APART: u64 = 60 * 60;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bill {
    pub id: ObjectId,
    pub patient: ObjectId,
    pub amount: Money,
    pub date: Timestamp,
    pub paid: bool,
    pub description: ShortText,
    /// The task of a study or a report that the description names.
    pub task: Option<TaskCode>,
}

impl Bill {
    /// The bill, or why it is none.
    pub fn read(document: &Document, id: ObjectId, currency: Currency) -> Result<Self, &'static str> {
        let patient = old::object_id(document, "patientID").ok_or("it names no patient")?;
        let cost = old::text(document, "Cost").ok_or("it has no cost")?;
        let amount = money(&cost, currency).ok_or("its cost is no amount")?;
        if amount.amount_minor() > infirmary_financials::MAX_AMOUNT_MINOR {
            return Err("its cost is larger than an amount can be");
        }
        let said = old::text(document, "desc").unwrap_or_else(|| "Bill".to_owned());
        let description: String = said.chars().take(ShortText::MAX_CODE_POINTS).collect();
        Ok(Self {
            id,
            patient,
            amount,
            date: old::time(document, "date", id),
            paid: old::flag(document, "isPaid"),
            description: ShortText::parse(&description).map_err(|_| "its description cannot be read")?,
            task: words::task_of(&said),
        })
    }
}

impl Bill {
    /// Whether something was paid: of nothing, nobody pays.
    pub fn is_payment(&self) -> bool {
        self.paid && self.amount.is_positive()
    }
}

/// The bills of all patients that are for nothing yet.
#[derive(Default)]
pub struct Bills(HashMap<ObjectId, Vec<Bill>>);

impl Bills {
    pub fn add(&mut self, bill: Bill) {
        self.0.entry(bill.patient).or_default().push(bill);
    }

    pub fn of(&self, patient: ObjectId) -> &[Bill] {
        self.0.get(&patient).map_or(&[], Vec::as_slice)
    }

    /// Takes out the bill of that task that was made nearest to the record.
    pub fn take(&mut self, patient: ObjectId, task: &TaskCode, record: ObjectId) -> Option<Bill> {
        let bills = self.0.get_mut(&patient)?;
        let apart = |bill: &Bill| bill.id.seconds().abs_diff(record.seconds());
        let (place, _) = bills
            .iter()
            .enumerate()
            .filter(|(_, bill)| bill.task.as_ref() == Some(task) && apart(bill) <= SECONDS_APART)
            .min_by_key(|(_, bill)| apart(bill))?;
        Some(bills.remove(place))
    }

    /// What was charged for by itself, or what it was for is gone; in the order of the ids.
    pub fn left(self) -> Vec<Bill> {
        let mut left: Vec<Bill> = self.0.into_values().flatten().collect();
        left.sort_unstable_by_key(|bill| bill.id);
        left
    }
}

/// The task that a study is charged by where its bill is not found.
pub fn task_of_modality(modality: &str) -> TaskCode {
    let known = Catalogue::codes_for(modality).into_iter().find(|code| words::bill_of(code).is_some());
    known.or_else(|| TaskCode::parse(modality).ok()).unwrap_or_else(TaskCode::report)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(seconds: u32, last: u8) -> ObjectId {
        let mut bytes = [0; 12];
        bytes[..4].copy_from_slice(&seconds.to_be_bytes());
        bytes[11] = last;
        ObjectId(bytes)
    }

    fn bill(seconds: u32, last: u8, said: &str) -> Bill {
        Bill {
            id: object(seconds, last),
            patient: object(1, 1),
            amount: Money::new(29_900, Currency::GBP),
            date: Timestamp::from_unix_ms(0),
            paid: false,
            description: ShortText::parse(said).unwrap(),
            task: words::task_of(said),
        }
    }

    #[test]
    fn a_bill_is_of_the_record_that_was_made_with_it_and_of_one_only() {
        let mut bills = Bills::default();
        for bill in [bill(1_000, 1, "X-Ray"), bill(2_000, 2, "X-Ray"), bill(2_001, 3, "Report"), bill(2_002, 4, "MRI")]
        {
            bills.add(bill);
        }
        let (patient, xr) = (object(1, 1), TaskCode::parse("XR").unwrap());
        assert_eq!(bills.take(patient, &xr, object(2_001, 9)).unwrap().id, object(2_000, 2));
        assert_eq!(bills.take(patient, &xr, object(2_001, 9)).unwrap().id, object(1_000, 1));
        assert_eq!(bills.take(patient, &xr, object(2_001, 9)), None);
        assert_eq!(bills.take(object(7, 7), &TaskCode::report(), object(2_001, 9)), None, "another patient");
        assert_eq!(bills.take(patient, &TaskCode::report(), object(9_000, 9)), None, "hours later");
        assert_eq!(bills.left().len(), 2);
    }
}
