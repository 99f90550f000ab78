//! The replaced system's words, and what they are here.

use infirmary_imaging::Modality;
use infirmary_kernel::{Role, TaskCode, fold};

/// Exactly so, in capitals and without.
const ACCOUNT_TYPES: [(&str, Role); 4] =
    [("admin", Role::Admin), ("Doctor", Role::Doctor), ("accountant", Role::Accountant), ("Patient", Role::Patient)];

pub fn account_type(role: Role) -> &'static str {
    ACCOUNT_TYPES.iter().find(|(_, known)| *known == role).map_or("Patient", |(name, _)| name)
}

pub fn role(account_type: &str) -> Option<Role> {
    ACCOUNT_TYPES.iter().find(|(name, _)| *name == account_type).map(|(_, role)| *role)
}

/// What a bill says, the modality that it is of, and the task that it is charged by. The first that fits is the one that is
/// said.
const CLASSIFICATIONS: [(&str, &str, &str); 5] = [
    ("X-Ray", "CR", "XR"),
    ("CT-Scan", "CT", "CT"),
    ("MRI", "MR", "MR"),
    ("Ultrasound", "US", "US"),
    ("Mammography", "MG", "MG"),
];

/// Plain X-ray by another device.
const PLAIN_X_RAY: [&str; 4] = ["CR", "DX", "RG", "RF"];

pub fn classification(modality: Modality) -> &'static str {
    let code = modality.as_str();
    let code = if PLAIN_X_RAY.contains(&code) { "CR" } else { code };
    CLASSIFICATIONS.iter().find(|(_, known, _)| *known == code).map_or_else(|| modality.name(), |(said, ..)| said)
}

/// Whatever case and separators it is written in; what is none that we know is a modality by its own name, or none.
pub fn modality(classification: &str) -> Option<Modality> {
    let plain =
        |text: &str| -> String { text.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect() };
    let sought = plain(classification);
    let known = CLASSIFICATIONS.iter().find(|(said, ..)| plain(said) == sought).map(|(_, code, _)| *code);
    let known = known.or(match sought.as_str() {
        "xrays" | "xr" => Some("CR"),
        "ctscans" => Some("CT"),
        "mr" | "mris" => Some("MR"),
        _ => None,
    });
    known
        .and_then(|code| Modality::parse(code).ok())
        .or_else(|| Modality::parse(classification).ok())
        .or_else(|| Modality::all().find(|modality| plain(modality.name()) == sought))
}

/// What a bill for a report says.
pub const REPORT: &str = "Report";

/// What a bill says that is charged by the task.
pub fn bill_of(task: &TaskCode) -> Option<&'static str> {
    if *task == TaskCode::report() {
        return Some(REPORT);
    }
    CLASSIFICATIONS.iter().find(|(.., code)| *code == task.as_str()).map(|(said, ..)| *said)
}

/// The task of a bill that says so, where it is of a study or a report.
pub fn task_of(bill: &str) -> Option<TaskCode> {
    if bill.trim().eq_ignore_ascii_case(REPORT) {
        return Some(TaskCode::report());
    }
    let code = modality(bill)?;
    CLASSIFICATIONS
        .iter()
        .find(|(_, known, _)| *known == code.as_str())
        .and_then(|(.., task)| TaskCode::parse(task).ok())
}

/// Of the name of a task: `Chest X-Ray (2 views)` is `CHEST-X-RAY-2-VIEWS`.
pub fn task_code(name: &str) -> Option<TaskCode> {
    let folded = fold(name).to_uppercase();
    let words: Vec<&str> = folded.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty()).collect();
    let code: String = words.join("-").chars().take(TaskCode::MAX_CHARS).collect();
    TaskCode::parse(code.trim_end_matches('-')).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_clients_say_comes_back_as_they_said_it() {
        for said in ["X-Ray", "CT-Scan", "MRI"] {
            assert_eq!(classification(modality(said).unwrap()), said);
            assert_eq!(bill_of(&task_of(said).unwrap()), Some(said));
        }
        assert_eq!(bill_of(&task_of("report").unwrap()), Some("Report"));
        for (said, code) in [("x ray", "CR"), ("CTSCAN", "CT"), ("mri", "MR"), ("Endoscopy", "ES"), ("dx", "DX")] {
            assert_eq!(modality(said).map(Modality::as_str), Some(code), "{said}");
        }
        for nothing in ["", "blood", "?"] {
            assert_eq!(modality(nothing), None, "{nothing}");
        }
        assert_eq!(classification(Modality::parse("DX").unwrap()), "X-Ray");
    }

    #[test]
    fn account_types_are_exact() {
        for name in ["admin", "Doctor", "accountant", "Patient"] {
            assert_eq!(account_type(role(name).unwrap()), name);
        }
        for unknown in ["doctor", "Admin", "patient", "nurse", ""] {
            assert_eq!(role(unknown), None, "{unknown}");
        }
    }
}
