use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use infirmary_auth::{NewStaff, Password, SessionTokens, SignIn};
use infirmary_diagnosis::{Amendment, Catalogue, Content, ContentChange};
use infirmary_financials::{NewCharge, NewPayment, NewRefund, PaymentMethod};
use infirmary_imaging::Modality;
use infirmary_kernel::{
    BirthDate, Caller, Clock, Currency, DiagnosisId, Done, EmailAddress, Fingerprint, Idempotency, IdempotencyKey,
    LongText, Money, Origin, PatientId, PaymentId, PersonName, PhoneNumber, PostalAddress, Receipt, ShortText,
    Timestamp,
};
use infirmary_patients::{AdministrativeSex, NewPatient};
use infirmary_system::SystemClock;
use infirmary_workflows::{NewRegistration, NewStudyRecord};
use secrecy::ExposeSecret;

use super::{
    people::{ACCOUNTANT, ADMIN, DOCTOR, Member, PASSWORD, PATIENT, PATIENTS, Person, SECOND_DOCTOR},
    pictures,
};
use crate::{
    command::CommandError,
    config::Config,
    http::App,
    wiring::{self, HashCost},
};

/// How long ago the demo house was opened.
const HISTORY_DAYS: u64 = 63;
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const MINUTE: Duration = Duration::from_secs(60);

/// The clock of the story: it goes on when it is told to.
struct StoryClock(AtomicI64);

impl StoryClock {
    fn pass(&self, duration: Duration) {
        self.0.fetch_add(i64::try_from(duration.as_millis()).unwrap_or(0), Ordering::SeqCst);
    }
}

impl Clock for StoryClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_unix_ms(self.0.load(Ordering::SeqCst))
    }
}

type Filled<T = ()> = Result<T, CommandError>;

/// Of what is written here, everything is valid; what is refused is a defect, told like any other failure.
fn ok<T, E: std::error::Error>(result: Result<T, E>) -> Filled<T> {
    result.map_err(CommandError::use_case)
}

/// Nobody will send these requests again.
fn nothing<T>(_: &T) -> Receipt {
    Receipt::from_bytes(b"null".to_vec())
}

fn made<T>(done: Done<T>) -> Filled<T> {
    match done {
        Done::Now { value, .. } => Ok(value),
        Done::Before(_) => Err(CommandError::UseCase("the demo was filled before".into())),
    }
}

pub async fn fill(config: &Config) -> Filled {
    let opened = SystemClock.now().minus(DAY * u32::try_from(HISTORY_DAYS).unwrap_or(0));
    let clock = Arc::new(StoryClock(AtomicI64::new(opened.unix_ms())));
    let wired = wiring::wire_at(config, HashCost::default(), clock.clone()).await?;
    ok(wired
        .create_admin
        .run(ok(EmailAddress::parse(ADMIN.email))?, ok(PersonName::parse(ADMIN.name))?, PASSWORD)
        .await)?;
    let story = Story { app: &wired.app, clock, currency: config.currency };
    let admin = story.sign_in(&ADMIN).await?;
    let doctor = story.invite(&admin, &DOCTOR).await?;
    let second = story.invite(&admin, &SECOND_DOCTOR).await?;
    story.invite(&admin, &ACCOUNTANT).await?;
    let patients = story.patients(&doctor).await?;
    story.months(&doctor, &second, &patients).await
}

struct Story<'a> {
    app: &'a App,
    clock: Arc<StoryClock>,
    currency: Currency,
}

/// What a study is made of.
struct Examination {
    patient: usize,
    modality: &'static str,
    disease: &'static str,
    findings: &'static str,
    conditions: &'static str,
    confirmed: bool,
    files: Vec<(&'static str, Vec<u8>)>,
}

impl Story<'_> {
    fn origin(&self) -> Origin {
        Origin { request: self.app.gate.mint(self.clock.now()), address: None, agent: Some("infirmary demo".into()) }
    }

    async fn caller(&self, tokens: SessionTokens) -> Filled<Caller> {
        ok(self.app.auth.authenticate.run(tokens.access_token.expose_secret(), self.origin()).await)
    }

    async fn sign_in(&self, member: &Member) -> Filled<Caller> {
        let (email, password) = (ok(EmailAddress::parse(member.email))?, ok(Password::parse(PASSWORD))?);
        match ok(self.app.auth.login.run(&email, &password, &self.origin()).await)? {
            SignIn::Session(tokens) => self.caller(*tokens).await,
            SignIn::SecondFactorDue(_) => Err(CommandError::UseCase("nobody of the demo has a second factor".into())),
        }
    }

    async fn invite(&self, admin: &Caller, member: &Member) -> Filled<Caller> {
        let staff = NewStaff {
            email: ok(EmailAddress::parse(member.email))?,
            name: ok(PersonName::parse(member.name))?,
            role: member.role,
            phone: None,
        };
        let (_, code, _) = ok(self.app.accounts.invite.run(admin, staff).await)?;
        self.caller(ok(self.app.auth.accept_invitation.run(code.expose(), PASSWORD, &self.origin()).await)?).await
    }

    async fn patients(&self, doctor: &Caller) -> Filled<Vec<PatientId>> {
        let mut patients = Vec::new();
        for (place, person) in PATIENTS.iter().enumerate() {
            self.clock.pass(17 * MINUTE);
            let Person { name, birth_date, sex, phone, address } = person;
            let name = ok(PersonName::parse(name))?;
            let birth_date = Some(ok(BirthDate::parse(birth_date))?);
            let sex = Some(ok(sex.parse::<AdministrativeSex>())?);
            let phone = Some(ok(PhoneNumber::parse(phone))?);
            let address = Some(ok(PostalAddress::parse(address))?);
            if place == 0 {
                let email = ok(EmailAddress::parse(PATIENT.email))?;
                let new = NewRegistration { email, name, phone, address, birth_date, sex };
                let tokens = ok(self.app.auth.register.run(&self.origin(), new, PASSWORD).await)?;
                patients.extend(tokens.account.patient);
            } else {
                let new = NewPatient { name, birth_date, sex, phone, email: None, address };
                let done = self.app.patients.register.run(doctor, new, false, None, nothing).await;
                patients.push(made(ok(done)?)?.id);
            }
        }
        Ok(patients)
    }

    async fn months(&self, doctor: &Caller, second: &Caller, patients: &[PatientId]) -> Filled {
        let mut diagnoses = Vec::new();
        let mut payments = Vec::new();
        let accountant = self.sign_in(&ACCOUNTANT).await?;
        for (place, examination) in examinations()?.into_iter().enumerate() {
            self.clock.pass(4 * DAY + 37 * MINUTE);
            let patient = patients[examination.patient];
            let author = if place % 3 == 2 { second } else { doctor };
            let confirmed = examination.confirmed;
            let diagnosis = self.study(author, patient, examination).await?;
            diagnoses.push(diagnosis);
            if confirmed {
                self.clock.pass(25 * MINUTE);
                ok(Box::pin(self.app.reports.issue.typeset(author, diagnosis, None, nothing)).await)?;
            }
            self.clock.pass(DAY);
            // In full with the report, a part of it, or nothing yet.
            let (units, method) = match place % 4 {
                0 if confirmed => (349, PaymentMethod::Card),
                0 => (299, PaymentMethod::Transfer),
                1 => (150, PaymentMethod::Cash),
                2 => (299, PaymentMethod::Insurance),
                _ => continue,
            };
            payments.push(self.pay(&accountant, patient, units, method).await?);
        }

        self.clock.pass(2 * DAY);
        // A colleague stands for a draft, and something confirmed turns out to say too little.
        ok(self.app.diagnoses.confirm.run(second, diagnoses[4], None).await)?;
        let change = ContentChange {
            findings: Some(ok(LongText::parse(
                "Consolidation in the left lower lobe with a small effusion. The heart is not enlarged.",
            ))?),
            ..ContentChange::default()
        };
        let reason = ok(ShortText::parse("The effusion was not mentioned."))?;
        let amendment = Amendment { change, reason };
        ok(self.app.diagnoses.amend.run(doctor, diagnoses[0], None, amendment, None, nothing).await)?;
        ok(Box::pin(self.app.reports.issue.typeset(doctor, diagnoses[0], None, nothing)).await)?;

        let new = NewCharge {
            patient: patients[3],
            description: ok(ShortText::parse("Copy of the images on a disc"))?,
            task: None,
            amount: self.money(12),
        };
        let charge = made(ok(self.app.financials.charge.run(&accountant, new, None, nothing).await)?)?.charge.id;
        let reason = ok(ShortText::parse("Entered for the wrong patient"))?;
        ok(self.app.financials.void.run(&accountant, charge, reason, None, nothing).await)?;
        // Money goes out only to who has just proved who they are.
        let accountant = self.sign_in(&ACCOUNTANT).await?;
        let refund = NewRefund { amount: self.money(50), reason: ok(ShortText::parse("Covered by the insurance"))? };
        let key = idempotency("refund")?;
        ok(self.app.financials.refund.run(&accountant, payments[0], refund, key, nothing).await).map(drop)
    }

    async fn study(&self, author: &Caller, patient: PatientId, examination: Examination) -> Filled<DiagnosisId> {
        let mut received = Vec::new();
        for (name, bytes) in examination.files {
            let mut intake = ok(self.app.studies.receive.begin(author, None, Some(name)).await)?;
            ok(intake.write(Bytes::from(bytes)).await)?;
            received.push(ok(intake.finish().await)?);
        }
        let new = NewStudyRecord {
            patient,
            modality: ok(Modality::parse(examination.modality))?,
            content: Content {
                disease: ok(ShortText::parse(examination.disease))?,
                findings: ok(LongText::parse(examination.findings))?,
                conditions: ok(LongText::parse(examination.conditions))?,
            },
            confirmed: examination.confirmed,
            tasks: Vec::new(),
        };
        let done = Box::pin(self.app.studies.record.run(author, new, received, None, nothing)).await;
        Ok(made(ok(done)?)?.diagnosis.id)
    }

    async fn pay(
        &self,
        accountant: &Caller,
        patient: PatientId,
        units: i64,
        method: PaymentMethod,
    ) -> Filled<PaymentId> {
        let new = NewPayment { patient, amount: self.money(units), method, charges: None };
        let key = idempotency(&format!("payment of {patient} at {}", self.clock.now()))?;
        Ok(made(ok(self.app.financials.take.run(accountant, new, key, nothing).await)?)?.id)
    }

    fn money(&self, units: i64) -> Money {
        Catalogue::default_amount(units, self.currency)
    }
}

fn idempotency(key: &str) -> Filled<Idempotency> {
    Ok(Idempotency { key: ok(IdempotencyKey::parse(key))?, fingerprint: Fingerprint::of([key.as_bytes()]) })
}

/// Real DICOM files, whose pixels are nobody's: see the README beside them.
const CT_DICOM: &[u8] = include_bytes!("../../../../../tests/fixtures/dicom/CT_small.dcm");
const MR_DICOM: &[u8] = include_bytes!("../../../../../tests/fixtures/dicom/MR_small.dcm");

fn examinations() -> Filled<Vec<Examination>> {
    let png = |picture| ok(pictures::png(picture));
    let jpeg = |picture| ok(pictures::jpeg(picture));
    Ok(vec![
        Examination {
            patient: 0,
            modality: "DX",
            disease: "Pneumonia of the left lower lobe",
            findings: "Consolidation in the left lower lobe. The heart is not enlarged.",
            conditions: "Asthma since childhood",
            confirmed: true,
            files: vec![("chest-pa.png", png(pictures::chest(Some((0.45, 0.42, 0.26)), 1))?)],
        },
        Examination {
            patient: 4,
            modality: "CT",
            disease: "حصاة في الكلية اليسرى",
            findings: "حصاة قطرها ٦ مم في الكلية اليسرى دون توسع في الحويضة. الكبد والطحال طبيعيان.",
            conditions: "ارتفاع ضغط الدم",
            confirmed: true,
            files: vec![("abdomen.jpg", jpeg(pictures::belly(2))?), ("series-1.dcm", CT_DICOM.to_vec())],
        },
        Examination {
            patient: 7,
            modality: "MR",
            disease: "سەرئێشەی درێژخایەن",
            findings: "مێشک ئاساییە. هیچ گرێیەک یان خوێنبەربوونێک نەبینرا.",
            conditions: "",
            confirmed: true,
            files: vec![("head.png", png(pictures::head(3))?), ("series-1.dcm", MR_DICOM.to_vec())],
        },
        Examination {
            patient: 1,
            modality: "US",
            disease: "Simple cyst of the liver",
            findings: "A cyst of 2 cm in the right lobe, without septa. No stones.",
            conditions: "Diabetes mellitus type 2",
            confirmed: true,
            files: vec![("liver.jpg", jpeg(pictures::ultrasound(4))?)],
        },
        Examination {
            patient: 0,
            modality: "DX",
            disease: "Pneumonia, follow-up after four weeks",
            findings: "The consolidation is resolving.",
            conditions: "Asthma since childhood",
            confirmed: false,
            files: vec![("chest-pa-2.png", png(pictures::chest(Some((0.45, 0.42, 0.12)), 5))?)],
        },
        Examination {
            patient: 5,
            modality: "DX",
            disease: "فحص قبل العمل الجراحي",
            findings: "الرئتان صافيتان. القلب بحجم طبيعي.",
            conditions: "",
            confirmed: true,
            files: vec![("chest.jpg", jpeg(pictures::chest(None, 6))?)],
        },
        Examination {
            patient: 3,
            modality: "CT",
            disease: "Diverticulosis",
            findings: "Several diverticula of the sigmoid colon, without inflammation.",
            conditions: "Atrial fibrillation",
            confirmed: true,
            files: vec![("abdomen-1.png", png(pictures::belly(7))?), ("abdomen-2.png", png(pictures::belly(8))?)],
        },
        Examination {
            patient: 8,
            modality: "US",
            disease: "پشکنینی گشتی",
            findings: "",
            conditions: "",
            confirmed: false,
            files: vec![("scan.jpg", jpeg(pictures::ultrasound(9))?)],
        },
    ])
}
