//! What the data of every sheet has: its head, its person, its dates.

use infirmary_kernel::{BirthDate, House, SheetPatient, Timestamp};
use qrcode::{EcLevel, QrCode, render::svg};
use serde::Serialize;

use crate::text::{Run, Texts};

#[derive(Serialize)]
pub(crate) struct Head {
    name: Run,
    address: Vec<Run>,
}

impl Head {
    pub(crate) fn new(house: &House, texts: &mut Texts) -> Self {
        let address = house.address.as_ref().map(|address| texts.paragraphs(address.as_str())).unwrap_or_default();
        Self { name: texts.line(house.name.as_str()), address }
    }
}

#[derive(Serialize)]
pub(crate) struct Person {
    name: Run,
    mrn: String,
}

impl Person {
    pub(crate) fn new(patient: &SheetPatient, texts: &mut Texts) -> Self {
        Self { name: texts.line(patient.name.as_str()), mrn: texts.line(&patient.mrn).text }
    }
}

/// `1 March 2026, 09:30 UTC`: the month in letters, since the order of figures differs between countries.
pub(crate) fn moment(time: Timestamp) -> String {
    time.to_datetime().format("%-d %B %Y, %H:%M UTC").to_string()
}

/// `1 March 2026`.
pub(crate) fn date(time: Timestamp) -> String {
    time.to_datetime().format("%-d %B %Y").to_string()
}

/// `29 February 1984`.
pub(crate) fn day(date: BirthDate) -> String {
    const MONTHS: [&str; 12] = [
        "January",
        "February",
        "March",
        "April",
        "May",
        "June",
        "July",
        "August",
        "September",
        "October",
        "November",
        "December",
    ];
    let written = date.to_string();
    let mut parts = written.split('-');
    let (year, month, day) = (parts.next(), parts.next(), parts.next());
    let month = month.and_then(|month| month.parse::<usize>().ok()).and_then(|month| MONTHS.get(month - 1));
    match (year, month, day) {
        (Some(year), Some(month), Some(day)) => format!("{} {month} {year}", day.trim_start_matches('0')),
        _ => written,
    }
}

/// A quarter of it may be stained or torn and it still reads (level Q), with the quiet zone of four modules.
pub(crate) fn qr_svg(text: &str) -> Result<String, String> {
    let code = QrCode::with_error_correction_level(text, EcLevel::Q)
        .map_err(|_| "the verification address is too long for a QR code".to_owned())?;
    Ok(code.render::<svg::Color>().module_dimensions(1, 1).quiet_zone(true).build())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_written_out() {
        let time = Timestamp::parse("2026-03-01T09:05:59.999Z").unwrap();
        assert_eq!(moment(time), "1 March 2026, 09:05 UTC");
        assert_eq!(date(time), "1 March 2026");
        assert_eq!(day(BirthDate::parse("1984-02-09").unwrap()), "9 February 1984");
        assert_eq!(day(BirthDate::parse("1999-12-31").unwrap()), "31 December 1999");
    }

    #[test]
    fn an_address_beyond_a_qr_code_is_refused() {
        assert!(qr_svg("https://house.example.org/verify/7ZZZZ-ZZZZZ-ZZZZZ-ZZZZZ-ZZZZZZ").is_ok());
        assert!(qr_svg(&"x".repeat(5_000)).is_err());
    }
}
