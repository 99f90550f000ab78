//! The documents of the replaced system, with exactly its names.

use infirmary_auth::Account;
use infirmary_diagnosis::{Diagnosis, DiagnosisStatus, Task};
use infirmary_financials::{ChargeStatus, ChargeView, Totals};
use infirmary_imaging::Modality;
use infirmary_kernel::{EmailAddress, ImageId, LongText, PersonName, PostalAddress, Reach, ShortText, Timestamp};
use infirmary_patients::Patient;
use infirmary_reports::ReportView;
use serde::Serialize;
use serde_json::Number;
use utoipa::ToSchema;

use crate::legacy::{
    id,
    money::{units, whole_units},
    phone, words,
};

/// Somebody: an account, or the record of a patient.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = LegacyUser)]
pub struct UserBody {
    #[schema(value_type = String, example = "507f1f77bcf86cd799439011")]
    #[serde(rename = "_id")]
    id: String,
    #[serde(rename = "Email")]
    email: String,
    #[serde(rename = "Address1")]
    address: String,
    #[serde(rename = "Name")]
    #[schema(value_type = String)]
    name: PersonName,
    /// `admin`, `Doctor`, `accountant` or `Patient`.
    #[serde(rename = "accountType")]
    account_type: &'static str,
    /// Milliseconds since 1970.
    #[serde(rename = "dateCreated")]
    date_created: i64,
    /// In units of the currency.
    #[serde(rename = "totalCost")]
    #[schema(value_type = f64)]
    total_cost: Number,
    #[serde(rename = "amountLeftToPay")]
    #[schema(value_type = f64)]
    amount_left_to_pay: Number,
    /// With its country and without `+`; 0 when there is none.
    #[serde(rename = "phoneNum")]
    phone_num: u64,
}

impl UserBody {
    /// Of staff, who are charged nothing.
    pub fn of_staff(account: &Account) -> Self {
        Self {
            id: id::name_of_user(account),
            email: account.email.as_str().to_owned(),
            address: String::new(),
            name: account.name.clone(),
            account_type: words::account_type(account.role),
            date_created: account.created_at.unix_ms(),
            total_cost: 0.into(),
            amount_left_to_pay: 0.into(),
            phone_num: phone::to_integer(account.phone.as_ref()),
        }
    }

    /// `reach` is how far the reader may see: with [`Reach::Billing`] not where the patient lives and writes from.
    pub fn of_patient(patient: &Patient, totals: &Totals, reach: Reach) -> Self {
        let shown = reach != Reach::Billing;
        let email = patient.email.as_ref().filter(|_| shown).map_or("", EmailAddress::as_str);
        let address = patient.address.as_ref().filter(|_| shown).map_or("", PostalAddress::as_str);
        let charged = totals.charged().checked_sub(totals.voided()).unwrap_or(totals.charged());
        Self {
            id: id::name(patient.id),
            email: email.to_owned(),
            address: address.to_owned(),
            name: patient.name.clone(),
            account_type: words::account_type(infirmary_kernel::Role::Patient),
            date_created: patient.registered_at.unix_ms(),
            total_cost: units(charged),
            amount_left_to_pay: units(totals.balance()),
            phone_num: phone::to_integer(patient.phone.as_ref()),
        }
    }

    /// A patient by the e-mail that they sign in with, which may be another than the one they are written to.
    #[must_use]
    pub fn signing_in_as(self, account: &Account) -> Self {
        Self { email: account.email.as_str().to_owned(), ..self }
    }
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = LegacyDiagnosis)]
pub struct DiagnosisBody {
    #[serde(rename = "_id")]
    id: String,
    /// Of the first image; empty when there is none.
    #[serde(rename = "imgID")]
    image: String,
    /// `X-Ray`, `CT-Scan`, `MRI`, or another modality by its name.
    classification: &'static str,
    #[schema(value_type = String)]
    disease: ShortText,
    #[schema(value_type = String)]
    diagnosis: LongText,
    #[serde(rename = "doctorConfirmation")]
    doctor_confirmation: bool,
    #[serde(rename = "patientID")]
    patient: String,
    #[serde(rename = "Conditions")]
    #[schema(value_type = String)]
    conditions: LongText,
    #[serde(rename = "Date")]
    #[schema(value_type = String, format = DateTime)]
    date: Timestamp,
    #[serde(rename = "doctorID")]
    doctor: String,
}

impl DiagnosisBody {
    pub fn new(diagnosis: &Diagnosis, modality: Option<Modality>, image: Option<ImageId>) -> Self {
        let content = diagnosis.content.clone();
        Self {
            id: id::name(diagnosis.id),
            image: image.map_or_else(String::new, id::name),
            classification: modality.map_or("", words::classification),
            disease: content.disease,
            diagnosis: content.findings,
            doctor_confirmation: matches!(diagnosis.status, DiagnosisStatus::Confirmed | DiagnosisStatus::Amended),
            patient: id::name(diagnosis.patient),
            conditions: content.conditions,
            date: diagnosis.recorded_at,
            doctor: id::name(diagnosis.author),
        }
    }
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = LegacyReport)]
pub struct ReportBody {
    #[serde(rename = "_id")]
    id: String,
    #[serde(rename = "patientID")]
    patient: String,
    /// To be appended to `<server>/api/`; opens the PDF for some minutes.
    #[serde(rename = "pdfUrl")]
    pdf_url: String,
    #[schema(value_type = String, format = DateTime)]
    date: Timestamp,
    #[serde(rename = "diagnosisID")]
    diagnosis: String,
}

impl ReportBody {
    pub fn new(view: &ReportView, pdf_url: String) -> Self {
        let report = &view.report;
        Self {
            id: id::name(report.id),
            patient: id::name(report.patient),
            pdf_url,
            date: report.issued_at,
            diagnosis: id::name(report.diagnosis),
        }
    }
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = LegacyFinancial)]
pub struct FinancialBody {
    #[serde(rename = "_id")]
    id: String,
    /// In whole units of the currency.
    #[serde(rename = "Cost")]
    cost: i64,
    #[serde(rename = "patientID")]
    patient: String,
    #[schema(value_type = String, format = DateTime)]
    date: Timestamp,
    #[serde(rename = "isPaid")]
    is_paid: bool,
    desc: String,
}

impl From<&ChargeView> for FinancialBody {
    fn from(view: &ChargeView) -> Self {
        let charge = &view.charge;
        let said = charge.task.as_ref().and_then(words::bill_of);
        Self {
            id: id::name(charge.id),
            cost: whole_units(charge.amount),
            patient: id::name(charge.patient),
            date: charge.charged_at,
            is_paid: view.status() == ChargeStatus::Paid,
            desc: said.unwrap_or(charge.description.as_str()).to_owned(),
        }
    }
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = LegacyTask)]
pub struct TaskBody {
    #[serde(rename = "_id")]
    id: String,
    #[serde(rename = "taskName")]
    #[schema(value_type = String)]
    name: ShortText,
    #[serde(rename = "Desc")]
    #[schema(value_type = String)]
    description: LongText,
    #[serde(rename = "Cost")]
    #[schema(value_type = f64)]
    cost: Number,
}

impl TaskBody {
    pub fn at(task: &Task, moment: Timestamp) -> Option<Self> {
        let cost = units(task.price_at(moment)?);
        Some(Self { id: id::name(task.id), name: task.name.clone(), description: task.description.clone(), cost })
    }
}
