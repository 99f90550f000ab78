//! From the sheets of the accountant to the data that their templates read.

use infirmary_financials::{ReceiptSheet, StatementSheet};
use infirmary_kernel::Money;
use serde::Serialize;

use crate::{
    head::{Head, Person, date, moment},
    press::Job,
    text::{Run, Texts},
};

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Receipt {
    number: String,
    issued: String,
    house: Head,
    patient: Person,
    received: String,
    method: Run,
    amount: String,
    allocations: Vec<Allocation>,
    refunded: Option<String>,
    kept: String,
    balance_label: &'static str,
    balance: String,
    any_missing: bool,
}

#[derive(Serialize)]
struct Allocation {
    at: String,
    description: Run,
    amount: String,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Statement {
    issued: String,
    house: Head,
    patient: Person,
    currency: String,
    entries: Vec<Entry>,
    charged: String,
    voided: Option<String>,
    paid: String,
    refunded: Option<String>,
    balance_label: &'static str,
    balance: String,
    any_missing: bool,
}

#[derive(Serialize)]
struct Entry {
    at: String,
    description: Run,
    charge: String,
    credit: String,
    balance: String,
}

/// `1,234.50 GBP`, or `1,234.50` where the currency stands elsewhere. The minus is U+2212, as wide as a digit.
fn written(amount: Money, with_currency: bool) -> String {
    let text = amount.to_string();
    let (number, currency) = text.split_once(' ').unwrap_or((&text, ""));
    let (sign, number) = number.strip_prefix('-').map_or(("", number), |number| ("\u{2212}", number));
    let (whole, fraction) = number.split_at(number.find('.').unwrap_or(number.len()));
    let mut grouped = String::from(sign);
    for (place, digit) in whole.char_indices() {
        if place > 0 && (whole.len() - place) % 3 == 0 {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped.push_str(fraction);
    if with_currency {
        // A no-break space: an amount stays with its currency.
        grouped.push('\u{a0}');
        grouped.push_str(currency);
    }
    grouped
}

fn money(amount: Money) -> String {
    written(amount, true)
}

fn unless_zero(amount: Money) -> Option<String> {
    (amount.amount_minor() != 0).then(|| money(amount))
}

fn negated(amount: Money) -> Result<Money, String> {
    Money::zero(amount.currency()).checked_sub(amount).map_err(|error| error.to_string())
}

/// A balance in words and without a sign.
fn balance(owed: Money) -> Result<(&'static str, String), String> {
    Ok(match owed.amount_minor() {
        0 => ("Nothing is owed", money(owed)),
        1.. => ("Balance owed", money(owed)),
        _ => ("Balance in the patient’s favour", money(negated(owed)?)),
    })
}

pub(crate) fn receipt(sheet: &ReceiptSheet) -> Result<Job, String> {
    let mut texts = Texts::default();
    let kept = sheet.amount.checked_sub(sheet.refunded).map_err(|error| error.to_string())?;
    let (balance_label, balance) = balance(sheet.balance)?;
    let mut data = Receipt {
        number: sheet.payment.to_string(),
        issued: moment(sheet.issued_at),
        house: Head::new(&sheet.house, &mut texts),
        patient: Person::new(&sheet.patient, &mut texts),
        received: moment(sheet.received_at),
        method: texts.line(&sheet.method),
        amount: money(sheet.amount),
        allocations: sheet
            .allocations
            .iter()
            .map(|allocation| Allocation {
                at: date(allocation.charged_at),
                description: texts.line(&allocation.description),
                amount: money(allocation.amount),
            })
            .collect(),
        refunded: unless_zero(sheet.refunded),
        kept: money(kept),
        balance_label,
        balance,
        any_missing: false,
    };
    data.any_missing = texts.any_missing;
    Ok(Job {
        template: include_str!("../templates/receipt.typ"),
        data: Job::data(&data),
        images: Vec::new(),
        qr: None,
        ident: format!("receipt {} {}", sheet.payment, sheet.issued_at),
        issued_at: sheet.issued_at,
    })
}

pub(crate) fn statement(sheet: &StatementSheet) -> Result<Job, String> {
    let mut texts = Texts::default();
    let (balance_label, balance) = balance(sheet.totals.balance)?;
    let mut entries = Vec::with_capacity(sheet.entries.len());
    for entry in &sheet.entries {
        let (charge, credit) = match entry.change.amount_minor() {
            0.. => (written(entry.change, false), String::new()),
            _ => (String::new(), written(negated(entry.change)?, false)),
        };
        entries.push(Entry {
            at: date(entry.at),
            description: texts.line(&entry.description),
            charge,
            credit,
            balance: written(entry.balance, false),
        });
    }
    let mut data = Statement {
        issued: moment(sheet.issued_at),
        house: Head::new(&sheet.house, &mut texts),
        patient: Person::new(&sheet.patient, &mut texts),
        currency: sheet.totals.balance.currency().to_string(),
        entries,
        charged: money(sheet.totals.charged),
        voided: unless_zero(sheet.totals.voided),
        paid: money(sheet.totals.paid),
        refunded: unless_zero(sheet.totals.refunded),
        balance_label,
        balance,
        any_missing: false,
    };
    data.any_missing = texts.any_missing;
    Ok(Job {
        template: include_str!("../templates/statement.typ"),
        data: Job::data(&data),
        images: Vec::new(),
        qr: None,
        ident: format!("statement {} {}", sheet.patient.mrn, sheet.issued_at),
        issued_at: sheet.issued_at,
    })
}

#[cfg(test)]
mod tests {
    use infirmary_kernel::Currency;

    use super::*;

    #[test]
    fn an_amount_is_grouped_by_thousands_and_stays_with_its_currency() {
        let pounds = |minor| money(Money::new(minor, Currency::GBP));
        assert_eq!(pounds(0), "0.00\u{a0}GBP");
        assert_eq!(pounds(29_900), "299.00\u{a0}GBP");
        assert_eq!(pounds(123_456_789), "1,234,567.89\u{a0}GBP");
        assert_eq!(pounds(-100_000), "\u{2212}1,000.00\u{a0}GBP");
        let dinars = Currency::parse("IQD").unwrap();
        assert_eq!(written(Money::new(1_250_000, dinars), false), "1,250.000");
    }

    #[test]
    fn a_balance_is_told_in_words() {
        let told = |minor| balance(Money::new(minor, Currency::GBP)).unwrap();
        assert_eq!(told(0), ("Nothing is owed", "0.00\u{a0}GBP".to_owned()));
        assert_eq!(told(5), ("Balance owed", "0.05\u{a0}GBP".to_owned()));
        assert_eq!(told(-5), ("Balance in the patient’s favour", "0.05\u{a0}GBP".to_owned()));
    }
}
