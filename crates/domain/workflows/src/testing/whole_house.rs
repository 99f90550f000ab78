//! A house of records, of each kind one with everything that it can have and one with as little as it may: for whoever copies
//! one. Fields are written out, so that one that is added to a record has to be added here, too.

#![allow(clippy::unwrap_used, reason = "a house of a test is valid")]

use std::time::Duration;

use infirmary_audit::{ChainHead, ChainId, Head, seal, seal_root};
use infirmary_auth::{
    Account, AccountState, Authenticator, Challenge, CodeCounter, CodePurpose, Counter, CounterKey, Factors,
    Invitation, KeptFactors, PasswordHash, Session,
};
use infirmary_diagnosis::{
    Content, Diagnosis, DiagnosisStatus, DiagnosisVersion, Price, Prices, Reasoned, Signature, Task,
};
use infirmary_financials::{Allocation, Charge, Payment, PaymentMethod, Refund, Source as ChargeSource, Void};
use infirmary_imaging::{
    DicomAttributes, DicomUid, Image, ImageFacts, ImageFormat, Modality, PreviewState, Study, StudyDate,
};
use infirmary_kernel::{
    AccountId, Action, BirthDate, Claim, Clock, Currency, EmailAddress, Event, FileName, Fingerprint, IdempotencyKey,
    ImageId, KeyCheckValue, LongText, MessageKind, Money, ObjectKey, Outcome, PatientId, PersonName, PhoneNumber,
    PostalAddress, Receipt, ReportId, Role, Sha256Digest, ShortText, StoredObject, Subject, TaskCode, Timestamp,
    testing::{CountingEntropy, ManualClock, caller, fresh_id},
};
use infirmary_messaging::{Delivery, FailureReason, KeptMessage, Message, MessageState, ProviderId};
use infirmary_patients::{AdministrativeSex, CareTeamMember, EmergencyAccess, EmergencyReason, Mrn, Patient};
use infirmary_reports::{Report, Source as ReportSource, VerificationCode};

use crate::HouseRecord;

/// The records, and by name those that laws ask for.
pub struct WholeHouse {
    /// In the order of their places.
    pub records: Vec<HouseRecord>,
    /// Restricted, with a care team of the doctor.
    pub ada: Patient,
    pub doctor: Account,
    pub doctors_password: PasswordHash,
    pub claim: Claim,
    /// To be sent.
    pub code: KeptMessage,
    /// Paid, given back, and paid again.
    pub paid_again: Charge,
    pub report: Report,
    /// While it runs.
    pub emergency: EmergencyAccess,
    pub last_mrn: Mrn,
    pub heads: Vec<ChainHead>,
    pub root: Head,
}

/// A number of milliseconds after the manual clock starts.
pub fn at(offset_ms: i64) -> Timestamp {
    Timestamp::from_unix_ms(ManualClock::default().now().unix_ms() + offset_ms)
}

const HOUR_MS: i64 = 60 * 60 * 1_000;

/// The same for what fades, in the year 2100: a store that forgets by itself goes by the clock of its machine.
fn later(offset_ms: i64) -> Timestamp {
    Timestamp::from_unix_ms(4_102_444_800_000 + offset_ms)
}

fn short(text: &str) -> ShortText {
    ShortText::parse(text).unwrap()
}

fn long(text: &str) -> LongText {
    LongText::parse(text).unwrap()
}

fn pounds(minor: i64) -> Money {
    Money::new(minor, Currency::GBP)
}

fn code(text: &str) -> TaskCode {
    TaskCode::parse(text).unwrap()
}

fn digest(text: &str) -> Sha256Digest {
    Sha256Digest::of(text.as_bytes())
}

fn signed(by: AccountId, offset_ms: i64) -> Signature {
    Signature { by, at: at(offset_ms) }
}

pub fn whole_house() -> WholeHouse {
    let people = People::new();
    let mut records = vec![HouseRecord::KeyCheck(KeyCheckValue::from_bytes([7; 32]))];
    records.extend(tasks());
    people.add_to(&mut records);
    let last_mrn = Mrn::from_serial(4_711);
    records.push(HouseRecord::MrnCounter(last_mrn));
    let care = Care::new(&people);
    care.add_to(&mut records);
    let books = Books::new(&people, &care);
    books.add_to(&mut records);
    let (messages, code) = messages(&care);
    records.extend(messages);
    let (claims, claim) = claims(&people);
    records.extend(claims);
    let (log, heads, root) = log(&people);
    records.extend(log);
    records.sort_by_key(HouseRecord::place);
    WholeHouse {
        records,
        ada: people.ada,
        doctor: people.doctor,
        doctors_password: people.password,
        claim,
        code,
        paid_again: books.paid_again,
        report: care.typeset,
        emergency: care.running,
        last_mrn,
        heads,
        root,
    }
}

fn tasks() -> [HouseRecord; 2] {
    let full = Task {
        id: fresh_id(),
        code: code("CT"),
        name: short("X-ray of the chest, دوو لا"),
        description: long("Two planes.\n$set {%_}"),
        active: true,
        prices: Prices::of(vec![
            Price { amount: pounds(29_900), from: at(-HOUR_MS), until: Some(at(0)) },
            Price { amount: pounds(0), from: at(0), until: None },
        ])
        .unwrap(),
        created_at: at(-HOUR_MS),
        version: 2,
    };
    let bare = Task {
        id: fresh_id(),
        code: code("XR"),
        name: short("X"),
        description: long(""),
        active: false,
        prices: Prices::of(Vec::new()).unwrap(),
        created_at: at(1),
        version: 1,
    };
    [HouseRecord::Task(full), HouseRecord::Task(bare)]
}

struct People {
    patient: Account,
    ada: Patient,
    bob: Patient,
    doctor: Account,
    invited: Account,
    password: PasswordHash,
}

impl People {
    fn new() -> Self {
        let (account, record) = (fresh_id(), fresh_id());
        let phone = PhoneNumber::parse("+9647501234567").ok();
        let patient = Account {
            id: account,
            email: EmailAddress::parse("ada@example.org").unwrap(),
            name: PersonName::parse("Ada Lovelace").unwrap(),
            phone: phone.clone(),
            phone_verified_at: Some(at(-5)),
            factors: Factors { totp: true, whatsapp: true },
            role: Role::Patient,
            state: AccountState::Active,
            patient: Some(record),
            created_at: at(-7),
            joined_at: Some(at(-6)),
            version: 3,
        };
        let ada = Patient {
            id: record,
            mrn: Mrn::from_serial(4_710),
            name: PersonName::parse("ئازاد عەلی Lovelace").unwrap(),
            birth_date: BirthDate::parse("1984-02-29").ok(),
            sex: Some(AdministrativeSex::Other),
            phone,
            email: EmailAddress::parse("ada.lovelace@example.org").ok(),
            address: PostalAddress::parse("1 Analytical Row\nLondon").ok(),
            account: Some(account),
            registered_at: at(-7),
            restricted: true,
            version: 9,
        };
        let bob = Patient {
            id: fresh_id(),
            mrn: Mrn::from_serial(1),
            name: PersonName::parse("Bob").unwrap(),
            birth_date: None,
            sex: None,
            phone: None,
            email: None,
            address: None,
            account: None,
            registered_at: at(0),
            restricted: false,
            version: 1,
        };
        let staff = |email: &str, role, state, joined_at| Account {
            id: fresh_id(),
            email: EmailAddress::parse(email).unwrap(),
            name: PersonName::parse("Grace Hopper").unwrap(),
            phone: None,
            phone_verified_at: None,
            factors: Factors::NONE,
            role,
            state,
            patient: None,
            created_at: at(3),
            joined_at,
            version: 1,
        };
        Self {
            patient,
            ada,
            bob,
            doctor: staff("grace@example.org", Role::Doctor, AccountState::Active, Some(at(4))),
            invited: staff("new@example.org", Role::Admin, AccountState::Invited, None),
            password: PasswordHash::from_stored("$2b$12$of-the-doctor".to_owned()),
        }
    }

    fn add_to(&self, records: &mut Vec<HouseRecord>) {
        let mut recovery = vec![digest("one"), digest("two"), digest("three")];
        recovery.sort_unstable();
        let factors = KeptFactors {
            authenticator: Some(Authenticator { seed: [9; Authenticator::SEED_BYTES], last_step: 59_078_520 }),
            recovery,
        };
        let none = KeptFactors { authenticator: None, recovery: Vec::new() };
        let password = |text: &str| Some(PasswordHash::from_stored(text.to_owned()));
        let account =
            |account: &Account, password, factors| HouseRecord::Account { account: account.clone(), password, factors };
        records.push(account(&self.patient, password("$2b$12$of-the-patient"), factors));
        records.push(account(&self.doctor, Some(self.password.clone()), none.clone()));
        records.push(account(&self.invited, None, none));
        let invitation =
            Invitation { account: self.invited.id, code: digest("invitation"), expires_at: later(24 * HOUR_MS) };
        records.push(HouseRecord::Invitation(invitation));
        self.add_sessions(records);
        self.add_counters(records);
        let team = |patient: PatientId, account: AccountId, offset_ms| CareTeamMember {
            patient,
            account,
            added_at: at(offset_ms),
            added_by: self.doctor.id,
        };
        let mut care_team = vec![team(self.ada.id, self.doctor.id, 20), team(self.ada.id, fresh_id(), 10)];
        care_team.sort_by_key(|member| member.account);
        records.push(HouseRecord::Patient { patient: self.ada.clone(), care_team });
        records.push(HouseRecord::Patient { patient: self.bob.clone(), care_team: Vec::new() });
    }

    fn add_sessions(&self, records: &mut Vec<HouseRecord>) {
        let full = Session {
            id: fresh_id(),
            account: self.doctor.id,
            started_at: later(10),
            authenticated_at: later(11),
            refreshed_at: later(12),
            expires_at: later(72 * HOUR_MS),
            agent: Some("Mozilla/5.0 (گەڕۆک)".to_owned()),
            address: Some("2001:db8::7".parse().unwrap()),
            refresh: digest("refresh"),
            previous: Some(digest("previous")),
        };
        let bare = Session {
            id: fresh_id(),
            account: self.patient.id,
            started_at: later(10),
            authenticated_at: later(10),
            refreshed_at: later(10),
            expires_at: later(72 * HOUR_MS),
            agent: None,
            address: None,
            refresh: digest("another"),
            previous: None,
        };
        let asked = Challenge {
            id: fresh_id(),
            purpose: CodePurpose::PhoneVerification,
            account: Some(self.patient.id),
            phone: self.patient.phone.clone(),
            session: Some(bare.id),
            code: Some(digest("code")),
            tries: 3,
            proved: true,
            expires_at: later(5 * 60 * 1_000),
        };
        let decoy = Challenge {
            id: fresh_id(),
            purpose: CodePurpose::SignIn,
            account: None,
            phone: None,
            session: None,
            code: None,
            tries: 0,
            proved: false,
            expires_at: later(5 * 60 * 1_000),
        };
        records.extend([full, bare].map(HouseRecord::Session));
        records.extend([asked, decoy].map(HouseRecord::Challenge));
    }

    fn add_counters(&self, records: &mut Vec<HouseRecord>) {
        let off = Counter {
            failures: Counter::MAX_FAILURES,
            since: later(1),
            blocked_until: later(2),
            blocks: 0,
            emails: Vec::new(),
            noted: true,
        };
        let address = Counter {
            failures: 2,
            since: later(3),
            blocked_until: later(4),
            blocks: 5,
            emails: vec![u64::MAX, 0, 77],
            noted: false,
        };
        let from = CounterKey::address("2001:db8::7".parse().unwrap());
        records.push(HouseRecord::AttemptCounter(CounterKey::email(&self.doctor.email), off));
        records.push(HouseRecord::AttemptCounter(from.clone(), address));
        let sent = CodeCounter { times: vec![later(-1), later(0)], total: 2, since: Some(later(-1)), noted: true };
        let none = CodeCounter { times: vec![later(5)], total: 0, since: None, noted: false };
        records.push(HouseRecord::CodeCounter(CounterKey::house(), sent));
        records.push(HouseRecord::CodeCounter(from, none));
    }
}

/// What is found, and what is written of it.
struct Care {
    study: Study,
    images: Vec<Image>,
    plain: Study,
    plain_image: Image,
    amended: Diagnosis,
    of_plain: Diagnosis,
    in_error: Diagnosis,
    typeset: Report,
    uploaded: Report,
    nameless: Report,
    running: EmergencyAccess,
    over: EmergencyAccess,
    versions: Vec<DiagnosisVersion>,
}

impl Care {
    fn new(people: &People) -> Self {
        let author = people.doctor.id;
        let study = Study {
            id: fresh_id(),
            patient: people.ada.id,
            author,
            modality: Modality::parse("CT").unwrap(),
            study_uid: DicomUid::parse("1.2.840.113619.2.5.1").ok(),
            performed_on: StudyDate::parse("2026-02-28").ok(),
            recorded_at: at(30),
        };
        let plain = Study {
            id: fresh_id(),
            patient: people.bob.id,
            author,
            modality: Modality::parse("XA").unwrap(),
            study_uid: None,
            performed_on: None,
            recorded_at: at(31),
        };
        let images = images(&study);
        let plain_image = Image { position: 0, ..nothing_to_see(&plain) };
        let content = |disease: &str| Content {
            disease: short(disease),
            findings: long("No displaced fracture.\nپشکنین باشە"),
            conditions: long(""),
        };
        let reason = short("seen again, {$set}");
        let amended = Diagnosis {
            id: fresh_id(),
            patient: people.ada.id,
            study: Some(study.id),
            author,
            content: content("pneumonia"),
            status: DiagnosisStatus::Amended,
            version: 3,
            recorded_at: at(30),
            updated: signed(author, 36),
            confirmed: Some(signed(people.invited.id, 35)),
            amendment: Some(Reasoned { reason: reason.clone(), by: author, at: at(36) }),
            retraction: None,
        };
        let version = |version, status, offset_ms, reason: Option<&ShortText>| DiagnosisVersion {
            diagnosis: amended.id,
            version,
            status,
            content: content(if version == 1 { "a cold" } else { "pneumonia" }),
            made: signed(author, offset_ms),
            reason: reason.cloned(),
        };
        let mut versions = vec![
            version(1, DiagnosisStatus::Draft, 30, None),
            version(2, DiagnosisStatus::Confirmed, 35, None),
            version(3, DiagnosisStatus::Amended, 36, Some(&reason)),
        ];
        let first = |patient, study, status, confirmed| Diagnosis {
            id: fresh_id(),
            patient,
            study,
            author,
            content: content("nothing"),
            status,
            version: 1,
            recorded_at: at(31),
            updated: signed(author, 31),
            confirmed,
            amendment: None,
            retraction: None,
        };
        let confirmed = Some(signed(author, 31));
        let of_plain = first(people.bob.id, Some(plain.id), DiagnosisStatus::Confirmed, confirmed);
        let before = first(people.ada.id, None, DiagnosisStatus::Draft, None);
        let in_error = Diagnosis {
            status: DiagnosisStatus::EnteredInError,
            version: 2,
            updated: signed(author, 33),
            retraction: Some(Reasoned { reason: short("of somebody else"), by: author, at: at(33) }),
            ..before.clone()
        };
        versions.extend([of_plain.as_version(), before.as_version(), in_error.as_version()]);
        let report = |diagnosis: &Diagnosis, version, source, offset_ms| {
            let id: ReportId = fresh_id();
            let mut drawn = [0; 16];
            drawn[0] = u8::try_from(offset_ms).unwrap();
            Report {
                id,
                diagnosis: diagnosis.id,
                diagnosis_version: version,
                patient: diagnosis.patient,
                issued_by: author,
                issued_at: at(offset_ms),
                source,
                object: StoredObject { key: ObjectKey::report(id), bytes: 5, sha256: digest("%PDF-") },
                code: VerificationCode::from_bytes(drawn),
            }
        };
        let named = ReportSource::Uploaded { file_name: FileName::of_upload("ڕاپۆرت.pdf") };
        let access = |offset_ms, minutes: i64, reason| EmergencyAccess {
            id: fresh_id(),
            patient: people.ada.id,
            account: people.invited.id,
            session: fresh_id(),
            reason,
            note: short("found unconscious, ئازاد"),
            started_at: at(offset_ms),
            ends_at: at(offset_ms + minutes * 60 * 1_000),
        };
        Self {
            typeset: report(&amended, 2, ReportSource::Typeset, 35),
            uploaded: report(&amended, 3, named, 36),
            nameless: report(&of_plain, 1, ReportSource::Uploaded { file_name: None }, 37),
            over: access(-2 * HOUR_MS, 60, EmergencyReason::PatientSafety),
            running: access(40, 60, EmergencyReason::EmergencyTreatment),
            study,
            images,
            plain,
            plain_image,
            amended,
            of_plain,
            in_error,
            versions,
        }
    }

    fn add_to(&self, records: &mut Vec<HouseRecord>) {
        records.extend([&self.over, &self.running].map(|access| HouseRecord::EmergencyAccess(access.clone())));
        records.push(HouseRecord::Study { study: self.study.clone(), images: self.images.clone() });
        records.push(HouseRecord::Study { study: self.plain.clone(), images: vec![self.plain_image.clone()] });
        let diagnoses = [&self.amended, &self.of_plain, &self.in_error];
        records.extend(diagnoses.map(|diagnosis| HouseRecord::Diagnosis(diagnosis.clone())));
        records.extend(self.versions.iter().cloned().map(HouseRecord::DiagnosisVersion));
        let reports = [&self.typeset, &self.uploaded, &self.nameless];
        records.extend(reports.map(|report| HouseRecord::Report(report.clone())));
    }
}

fn object(id: ImageId) -> StoredObject {
    StoredObject { key: ObjectKey::image(id), bytes: 1_000, sha256: digest(&id.to_string()) }
}

/// One of each format, the last with all that a DICOM file can say of itself.
fn images(study: &Study) -> Vec<Image> {
    let image = |position, format, file_name, dicom| {
        let id = fresh_id();
        Image {
            id,
            study: study.id,
            patient: study.patient,
            position,
            format,
            object: object(id),
            file_name,
            facts: ImageFacts { width: 512, height: 511, frames: 7, dicom, preview: PreviewState::Available },
        }
    };
    let attributes = DicomAttributes {
        patient_id: Some(short("P-17 ئازاد")),
        study_uid: DicomUid::parse("1.2.840.113619.2.5.1").ok(),
        series_uid: DicomUid::parse("1.2.840.113619.2.5.1.2").ok(),
        instance_uid: DicomUid::parse("1.2.840.113619.2.5.1.2.3").ok(),
        modality: Modality::parse("CT").ok(),
        body_part: Some(short("CHEST")),
        study_date: StudyDate::parse("20260228").ok(),
    };
    vec![
        image(0, ImageFormat::Png, FileName::of_upload("وێنە \u{1fa7b} '%_\".$x"), None),
        image(1, ImageFormat::Jpeg, None, None),
        image(2, ImageFormat::Dicom, FileName::of_upload("scan.dcm"), Some(attributes)),
    ]
}

/// A DICOM file that says nothing of itself and has no picture.
fn nothing_to_see(study: &Study) -> Image {
    let id = fresh_id();
    let attributes = DicomAttributes {
        patient_id: None,
        study_uid: None,
        series_uid: None,
        instance_uid: None,
        modality: None,
        body_part: None,
        study_date: None,
    };
    Image {
        id,
        study: study.id,
        patient: study.patient,
        position: 0,
        format: ImageFormat::Dicom,
        object: object(id),
        file_name: None,
        facts: ImageFacts {
            width: 0,
            height: 0,
            frames: 0,
            dicom: Some(attributes),
            preview: PreviewState::Unavailable { reason: "it holds no pixels".to_owned() },
        },
    }
}

struct Books {
    paid_again: Charge,
    records: Vec<HouseRecord>,
}

impl Books {
    fn new(people: &People, care: &Care) -> Self {
        let (clerk, author) = (people.invited.id, people.doctor.id);
        let charge = |patient, source, task: Option<&str>, minor, offset_ms, voided| Charge {
            id: fresh_id(),
            patient,
            source,
            task: task.map(code),
            description: short("The task, ئەرک"),
            amount: pounds(minor),
            charged_at: at(offset_ms),
            charged_by: clerk,
            voided,
        };
        let (ada, bob) = (people.ada.id, people.bob.id);
        let of_study = |study: &Study, diagnosis: &Diagnosis| ChargeSource::Study {
            study: study.id,
            diagnosis: diagnosis.id,
            author,
        };
        let of_report =
            |report: &Report| ChargeSource::Report { report: report.id, diagnosis: report.diagnosis, author };
        let studied = charge(ada, of_study(&care.study, &care.amended), Some("CT"), 10_000, 30, None);
        let paid_again = charge(ada, of_report(&care.typeset), Some("REPORT"), 500, 35, None);
        let by_hand = charge(ada, ChargeSource::Hand, None, 0, 36, None);
        let void = Void { at: at(60), by: clerk, reason: short("twice") };
        let voided = charge(bob, of_study(&care.plain, &care.of_plain), Some("XR"), 700, 31, Some(void));
        let other = charge(bob, of_report(&care.nameless), Some("REPORT"), 500, 37, None);
        let part = |charge: &Charge, minor| Allocation { charge: charge.id, amount: pounds(minor) };
        let payment = |patient, minor, method, offset_ms, allocations| Payment {
            id: fresh_id(),
            patient,
            amount: pounds(minor),
            method,
            received_at: at(offset_ms),
            received_by: clerk,
            allocations,
        };
        // The charges in another order than that of their ids.
        let both = payment(ada, 900, PaymentMethod::Insurance, 50, vec![part(&paid_again, 500), part(&studied, 400)]);
        let again = payment(ada, 500, PaymentMethod::Cash, 52, vec![part(&paid_again, 500)]);
        let for_nothing = payment(bob, 700, PaymentMethod::Card, 50, vec![part(&voided, 700)]);
        let refund = |payment: &Payment, minor, offset_ms, allocations| Refund {
            id: fresh_id(),
            payment: payment.id,
            amount: pounds(minor),
            reason: short("paid twice, دوو جار"),
            refunded_at: at(offset_ms),
            refunded_by: clerk,
            allocations,
        };
        let refunds = [
            refund(&both, 700, 51, vec![part(&studied, 200), part(&paid_again, 500)]),
            refund(&both, 100, 53, vec![part(&studied, 100)]),
            refund(&for_nothing, 700, 59, vec![part(&voided, 700)]),
        ];
        let mut records = Vec::new();
        records.extend(
            [&studied, &paid_again, &by_hand, &voided, &other].map(|charge| HouseRecord::Charge(charge.clone())),
        );
        records.extend([both, again, for_nothing].map(HouseRecord::Payment));
        records.extend(refunds.map(HouseRecord::Refund));
        Self { paid_again, records }
    }

    fn add_to(&self, records: &mut Vec<HouseRecord>) {
        records.extend(self.records.iter().cloned());
    }
}

fn messages(care: &Care) -> (Vec<HouseRecord>, KeptMessage) {
    let message = |kind, report, state, tries, offset_ms: i64| Message {
        id: fresh_id(),
        recipient: PhoneNumber::parse("+9647501234567").unwrap(),
        kind,
        report,
        created: at(offset_ms),
        expires: at(offset_ms + 72 * HOUR_MS),
        state,
        changed: at(offset_ms + 1),
        tries,
        provider_id: None,
        delivery: None,
        failure: None,
    };
    let report = Some(care.typeset.id);
    let kept =
        |message, code: Option<&str>, takes| KeptMessage { message, code: code.map(Into::into), due: at(90), takes };
    let code = kept(message(MessageKind::OneTimeCode, None, MessageState::Pending, 0, 80), Some("012345"), 0);
    let delivered = Message {
        provider_id: ProviderId::parse("wamid.HBgN").ok(),
        delivery: Some(Delivery::Read),
        ..message(MessageKind::ReportReady, report, MessageState::Sent, 1, 81)
    };
    let failed = Message {
        provider_id: ProviderId::parse("wamid.HBgM").ok(),
        failure: Some(FailureReason::Undelivered.with(Some(131_026))),
        ..message(MessageKind::EmergencyAccess, None, MessageState::Failed, 5, 82)
    };
    let over = Message {
        failure: Some(FailureReason::Expired.with(None)),
        ..message(MessageKind::OneTimeCode, None, MessageState::Failed, 2, 83)
    };
    let all = [code.clone(), kept(delivered, None, 1), kept(failed, None, 7), kept(over, None, 2)];
    (all.map(HouseRecord::Message).into(), code)
}

fn claims(people: &People) -> (Vec<HouseRecord>, Claim) {
    let claim = |account, key: &str, receipt: &[u8]| Claim {
        account,
        key: IdempotencyKey::parse(key).unwrap(),
        fingerprint: Fingerprint::of([key.as_bytes()]),
        receipt: Receipt::from_bytes(receipt.to_vec()),
        at: later(70),
    };
    let first = claim(people.doctor.id, "كريم.$ %_", b"{\"id\":\"7\"}");
    let others = [claim(people.doctor.id, "a", &[0, 255, 128]), claim(people.invited.id, "a", b"")];
    (others.into_iter().chain([first.clone()]).map(HouseRecord::Claim).collect(), first)
}

/// Of a house that was on one machine, then on many, and is on one again: three entries of chain 0, two of chain 7; two roots, and
/// what was written since.
fn log(people: &People) -> (Vec<HouseRecord>, Vec<ChainHead>, Head) {
    let event = |account: Option<&Account>, subject, offset_ms| {
        let event = Event::anonymous(fresh_id(), at(offset_ms), None, Action::PATIENT_READ, subject);
        match account {
            None => Event { outcome: Outcome::Refused, rule: Some("not theirs".into()), ..event },
            Some(account) => Event {
                account: Some(account.id),
                role: Some(account.role),
                ..Event::by(event.id, event.at, &caller(account.role), event.action, event.subject)
            },
        }
    };
    let events = [
        (0, event(Some(&people.doctor), Subject::patient(people.ada.id), 1)),
        (0, event(None, Subject::all("patients"), 2)),
        (7, event(Some(&people.patient), Subject::patient(people.ada.id), 2)),
        (7, event(Some(&people.doctor), Subject::patient(people.bob.id), 3)),
        (0, event(Some(&people.doctor), Subject::all("audit"), 4)),
    ];
    let mut heads: Vec<ChainHead> =
        [0, 7].map(|chain| ChainHead { chain: ChainId::new(chain), head: Head::GENESIS }).into();
    let (mut records, mut root) = (Vec::new(), Head::GENESIS);
    for (written, (chain, event)) in events.into_iter().enumerate() {
        let head = heads.iter_mut().find(|head| head.chain.get() == chain).unwrap();
        let sealed = seal(head.chain, &head.head, &event);
        head.head = sealed.head();
        records.push(HouseRecord::AuditEntry(sealed));
        // After the third and the fourth entry.
        let gone_on = match written {
            2 => heads.clone(),
            3 => vec![heads[1]],
            _ => continue,
        };
        let sealed = seal_root(&root, at(5).plus(Duration::from_millis(written as u64)), &gone_on);
        root = sealed.head();
        records.push(HouseRecord::AuditRoot(sealed));
    }
    (records, heads, root)
}

/// Enough of them, and different enough, to fill several batches.
pub fn more_entries(count: u64) -> Vec<Event> {
    let entropy = CountingEntropy::default();
    (0..count)
        .map(|number| {
            let mut drawn = [0; 8];
            infirmary_kernel::Entropy::fill(&entropy, &mut drawn);
            let subject = Subject::patient(fresh_id());
            let offset_ms = i64::try_from(number).unwrap() + i64::from(drawn[0]);
            Event::anonymous(fresh_id(), at(offset_ms), None, Action::PATIENT_READ, subject)
        })
        .collect()
}
