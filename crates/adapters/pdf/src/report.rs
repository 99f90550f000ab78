//! From the sheet of a report to the data that its template reads.

use infirmary_reports::{ReportSheet, SheetSigner};
use serde::Serialize;

use crate::{
    head::{Head, Person, day, moment, qr_svg},
    press::Job,
    text::{Run, Texts},
};

const TEMPLATE: &str = include_str!("../templates/report.typ");

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Data {
    report: String,
    issued: String,
    house: Head,
    patient: Subject,
    study: Option<Study>,
    tasks: Vec<Run>,
    images: Vec<Picture>,
    left_out: usize,
    disease: Run,
    findings: Vec<Run>,
    conditions: Vec<Run>,
    author: Signer,
    confirmed: Signer,
    version: u32,
    amendment: Option<Amendment>,
    url: String,
    /// The same with places to break a line.
    url_shown: String,
    any_missing: bool,
}

#[derive(Serialize)]
struct Subject {
    #[serde(flatten)]
    person: Person,
    born: Option<String>,
    sex: Option<Run>,
}

#[derive(Serialize)]
struct Study {
    modality: Run,
    at: String,
}

#[derive(Serialize)]
struct Picture {
    caption: Run,
    shown: bool,
    /// Which of the images given to the template it is.
    file: usize,
}

#[derive(Serialize)]
struct Signer {
    name: Run,
    at: String,
}

#[derive(Serialize)]
struct Amendment {
    reason: Run,
    at: String,
}

/// What the field's codes mean (DICOM PS3.3 C.7.3.1.1.1), for those whom a patient is likely to meet.
fn modality(code: &str) -> String {
    let words = match code {
        "CR" | "DX" | "XR" => "X-ray",
        "CT" => "Computed tomography",
        "MR" => "Magnetic resonance imaging",
        "US" => "Ultrasound",
        "MG" => "Mammography",
        "NM" => "Nuclear medicine",
        "PT" => "Positron emission tomography",
        "XA" => "Angiography",
        "RF" => "Fluoroscopy",
        "ES" => "Endoscopy",
        "IO" | "PX" => "Dental X-ray",
        "OP" | "OPT" => "Eye imaging",
        "ECG" => "Electrocardiogram",
        other => return other.to_owned(),
    };
    format!("{words} ({code})")
}

fn capitalised(word: &str) -> String {
    let mut chars = word.chars();
    chars.next().map(|first| first.to_uppercase().chain(chars).collect()).unwrap_or_default()
}

pub(crate) fn job(sheet: ReportSheet) -> Result<Job, String> {
    let mut texts = Texts::default();
    let mut images = Vec::new();
    let mut pictures = Vec::new();
    let shown = sheet.images.len().min(ReportSheet::MAX_IMAGES);
    let left_out = sheet.images_left_out + (sheet.images.len() - shown);
    for image in sheet.images.into_iter().take(shown) {
        let caption = texts.line(&image.caption);
        pictures.push(Picture { caption, shown: image.preview.is_some(), file: images.len() });
        images.extend(image.preview);
    }
    let mut signer = |signer: &SheetSigner| Signer { name: texts.line(signer.name.as_str()), at: moment(signer.at) };
    let (author, confirmed) = (signer(&sheet.author), signer(&sheet.confirmed_by));
    let mut data = Data {
        report: sheet.report.to_string(),
        issued: moment(sheet.issued_at),
        house: Head::new(&sheet.house, &mut texts),
        patient: Subject {
            person: Person::new(&sheet.subject.patient, &mut texts),
            born: sheet.subject.birth_date.map(day),
            sex: sheet.subject.sex.as_deref().map(|sex| texts.line(&capitalised(sex))),
        },
        study: sheet
            .study
            .as_ref()
            .map(|study| Study { modality: texts.line(&modality(&study.modality)), at: moment(study.at) }),
        tasks: sheet.tasks.iter().map(|task| texts.line(task)).collect(),
        images: pictures,
        left_out,
        disease: texts.line(sheet.disease.as_str()),
        findings: texts.paragraphs(sheet.findings.as_str()),
        conditions: texts.paragraphs(sheet.conditions.as_str()),
        author,
        confirmed,
        version: sheet.version,
        amendment: sheet
            .amendment
            .as_ref()
            .map(|amendment| Amendment { reason: texts.line(amendment.reason.as_str()), at: moment(amendment.at) }),
        url_shown: texts.line(&sheet.verification_url).text,
        url: sheet.verification_url,
        any_missing: false,
    };
    data.any_missing = texts.any_missing;
    Ok(Job {
        template: TEMPLATE,
        data: Job::data(&data),
        images,
        qr: Some(qr_svg(&data.url)?),
        ident: sheet.report.to_string(),
        issued_at: sheet.issued_at,
    })
}
