//! A house with a hundred thousand patients, written through the store as an import writes, and the people who sign in to
//! it.

use std::{fmt, net::SocketAddr, ops::Deref, path::Path, sync::Arc, time::Instant};

use infirmary_financials::{Allocation, Charge, Payment, PaymentMethod, Source};
use infirmary_kernel::{
    AccountId, Action, Clock, Currency, Event, Id, IdSource, Money, PatientId, PersonName, PhoneNumber, ShortText,
    Subject, Timestamp,
};
use infirmary_mongodb::{Address, MongoStore};
use infirmary_patients::{Mrn, Patient, PatientStore};
use infirmary_sqlite::SqliteStore;
use infirmary_system::{OsEntropy, SystemClock, SystemIds};
use infirmary_workflows::{Imported, ImportedRecord, Importer};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    client::{Connection, get, post},
    process::{self, Server},
    table,
};

/// Each with an open charge, to be paid in parts.
const PAYERS: usize = 10_000;
const STATEMENT_ENTRIES: usize = 20;
const BATCH_RECORDS: usize = 500;
const PASSWORD: &str = "seven quiet herons at dusk";
/// Who sign in without pause.
pub const SIGNING_IN: usize = 4;

const LATIN: (&[&str], &[&str]) = (
    &[
        "Ada",
        "Alan",
        "Amélie",
        "Ben",
        "Chloë",
        "Daniel",
        "Elena",
        "Emma",
        "Finn",
        "Grace",
        "Hanna",
        "Ivan",
        "Jack",
        "José",
        "Katarzyna",
        "Liam",
        "Lucía",
        "Marek",
        "Maria",
        "Mateo",
        "Mohammed",
        "Nina",
        "Oliver",
        "Olivia",
        "Peter",
        "Priya",
        "Rosa",
        "Samuel",
        "Sofia",
        "Søren",
        "Thomas",
        "Tove",
        "Ursula",
        "Victor",
        "Wanda",
        "Yusuf",
        "Zoë",
    ],
    &[
        "Adams", "Ahmed", "Baker", "Brown", "Clark", "Costa", "Davies", "Díaz", "Evans", "Fischer", "García", "Green",
        "Hall", "Hansen", "Hughes", "Jones", "Khan", "Kowalski", "Lewis", "López", "Martin", "Meyer", "Moore",
        "Müller", "Nowak", "O'Brien", "Patel", "Pérez", "Roberts", "Rossi", "Schmidt", "Silva", "Smith", "Taylor",
        "Walker", "Weber", "Williams", "Wood", "Wright", "Young",
    ],
);
const ARABIC: (&[&str], &[&str]) = (
    &[
        "أحمد",
        "محمد",
        "علي",
        "فاطمة",
        "زينب",
        "حسين",
        "حسن",
        "مريم",
        "عائشة",
        "عمر",
        "خالد",
        "سارة",
        "نور",
        "ليلى",
        "يوسف",
        "إبراهيم",
        "مصطفى",
        "هدى",
        "رنا",
        "كريم",
        "سعاد",
        "طارق",
        "جميلة",
        "عبد الله",
        "رقية",
    ],
    &[
        "الحسيني",
        "البغدادي",
        "الموصلي",
        "الجبوري",
        "العبيدي",
        "الدليمي",
        "التكريتي",
        "الكربلائي",
        "النجفي",
        "البصري",
        "السامرائي",
        "الخفاجي",
        "الربيعي",
        "الشمري",
        "العزاوي",
        "القيسي",
        "الزبيدي",
        "المالكي",
        "الساعدي",
        "الأنصاري",
    ],
);
const KURDISH: (&[&str], &[&str]) = (
    &[
        "ئازاد",
        "ڕێبین",
        "شیلان",
        "هێمن",
        "دارا",
        "ژیان",
        "نەورۆز",
        "کاوە",
        "شیرین",
        "ڕۆژان",
        "سۆران",
        "بەهار",
        "هەژار",
        "ئارام",
        "لانە",
        "ڕەوەز",
        "چیا",
        "گوڵاڵە",
        "پەیمان",
        "ئاسۆ",
    ],
    &[
        "عەلی",
        "مەحموود",
        "ڕەسووڵ",
        "کەریم",
        "بارزانی",
        "زێباری",
        "شێخانی",
        "هەورامی",
        "سۆرانی",
        "جاف",
        "دزەیی",
        "گەردی",
        "خۆشناو",
        "برادۆستی",
        "مزوری",
        "ڕۆژبەیانی",
    ],
);

/// Where the house is kept.
pub enum Kept {
    Sqlite,
    /// In a database that is there for this run alone.
    MongoDb {
        address: Address,
        text: String,
    },
}

pub struct House {
    kept: Kept,
    folder: TempDir,
    size: usize,
    filled: Filled,
}

/// What there is to ask for.
pub struct Filled {
    /// Words that patients are found by, of all scripts.
    pub words: Vec<String>,
    pub payers: Vec<PatientId>,
    /// Whose statement has 20 entries.
    pub billed: PatientId,
    /// Whose diagnoses are listed.
    pub examined: PatientId,
}

/// The tokens of who has signed in, at one server.
pub struct People {
    pub admin: String,
    pub accountant: String,
    pub doctor: String,
    /// Heads and bodies of sign-ins, one for each of those who sign in without pause.
    pub sign_ins: Vec<Vec<u8>>,
}

impl House {
    pub async fn build(kept: Kept, size: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let settings = kept.settings();
        let arguments = ["admin", "create", "--email", "admin@infirmary.example", "--name", "Ada", "--password-stdin"];
        let created = process::run(folder.path(), &settings, arguments, PASSWORD);
        assert!(created.status.success(), "{}", String::from_utf8_lossy(&created.stderr));

        let began = Instant::now();
        let store = kept.importer(folder.path()).await;
        let writer = Seeding { store, ids: SystemIds::default(), random: 20_260_301 };
        let filled = writer.fill(size).await;
        println!("{kept}: a house of {size} patients, written in {:.1} s", began.elapsed().as_secs_f64());
        Self { kept, folder, size, filled }
    }

    pub fn start(&self) -> Server {
        Server::start(self.folder.path(), &self.kept.settings())
    }

    /// The store itself, for who measures it without a server.
    pub async fn store(&self) -> Arc<dyn PatientStore> {
        match &self.kept {
            Kept::Sqlite => Arc::new(sqlite(self.folder.path())),
            Kept::MongoDb { address, .. } => Arc::new(mongodb(address).await),
        }
    }

    /// How many patients there are, as it is said.
    pub fn size(&self) -> String {
        table::number(self.size as f64)
    }
}

impl Deref for House {
    type Target = Filled;
    fn deref(&self) -> &Filled {
        &self.filled
    }
}

impl Kept {
    /// By the address of a store, as the setting has it; without one, on the embedded default.
    pub fn parse(address: Option<&str>) -> Result<Self, infirmary_mongodb::OpenError> {
        Ok(match address {
            None => Self::Sqlite,
            Some(address) => Self::MongoDb { address: Address::parse(address)?, text: address.to_owned() },
        })
    }

    fn settings(&self) -> Vec<(&'static str, String)> {
        match self {
            Self::Sqlite => Vec::new(),
            Self::MongoDb { text, .. } => vec![("INFIRMARY_STORE", text.clone())],
        }
    }

    async fn importer(&self, folder: &Path) -> Arc<dyn Importer> {
        match self {
            Self::Sqlite => Arc::new(sqlite(folder)),
            Self::MongoDb { address, .. } => Arc::new(mongodb(address).await),
        }
    }
}

impl fmt::Display for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite => f.write_str("SQLite"),
            Self::MongoDb { address, .. } => address.fmt(f),
        }
    }
}

fn sqlite(folder: &Path) -> SqliteStore {
    SqliteStore::open(&folder.join("data/infirmary.db"), 1).unwrap()
}

async fn mongodb(address: &Address) -> MongoStore {
    MongoStore::open(address, Arc::new(OsEntropy)).await.unwrap()
}

struct Seeding {
    store: Arc<dyn Importer>,
    ids: SystemIds,
    random: u64,
}

impl Seeding {
    async fn fill(mut self, size: usize) -> Filled {
        // The counter of numbers is moved as well, so that the server goes on after the last.
        self.store.reserve_mrns(size as u64).await.unwrap();
        let patients: Vec<Patient> = (1..=size).map(|serial| self.patient(serial as u64)).collect();
        let words = patients
            .iter()
            .step_by(37)
            .flat_map(|patient| patient.name.as_str().split(' ').map(str::to_owned).collect::<Vec<_>>())
            .collect();
        let (billed, examined) = (patients[0].id, patients[1].id);
        let payers: Vec<PatientId> = patients[2..].iter().take(PAYERS).map(|patient| patient.id).collect();

        let mut records: Vec<Imported> =
            patients.into_iter().map(|patient| self.imported(patient.id, ImportedRecord::Patient(patient))).collect();
        records.extend(
            payers.iter().map(|payer| self.imported(*payer, ImportedRecord::Charge(self.charge(*payer, 100_000_000)))),
        );
        for _ in 0..STATEMENT_ENTRIES / 2 {
            let charge = self.charge(billed, 29_900);
            let payment = self.payment(&charge, 10_000);
            let both = [ImportedRecord::Charge(charge), ImportedRecord::Payment(payment)];
            records.extend(both.map(|record| self.imported(billed, record)));
        }
        for batch in records.chunks(BATCH_RECORDS) {
            assert_eq!(self.store.import(batch.to_vec()).await.unwrap(), batch.len() as u64);
        }
        Filled { words, payers, billed, examined }
    }

    fn patient(&mut self, serial: u64) -> Patient {
        let (given, family) = match self.draw(10) {
            0..=3 => LATIN,
            4..=6 => ARABIC,
            _ => KURDISH,
        };
        let name = format!(
            "{} {} {}",
            given[self.draw(given.len() as u64)],
            given[self.draw(given.len() as u64)],
            family[self.draw(family.len() as u64)]
        );
        let now = SystemClock.now();
        Patient {
            id: self.mint(now),
            mrn: Mrn::from_serial(serial),
            name: PersonName::parse(&name).unwrap(),
            birth_date: Some(
                format!("{}-0{}-1{}", 1930 + self.draw(90), 1 + self.draw(9), self.draw(10)).parse().unwrap(),
            ),
            sex: None,
            phone: Some(PhoneNumber::parse(&format!("+96475{:08}", self.draw(100_000_000))).unwrap()),
            email: None,
            address: None,
            account: None,
            restricted: false,
            registered_at: now,
            version: 1,
        }
    }

    fn charge(&self, patient: PatientId, pence: i64) -> Charge {
        let now = SystemClock.now();
        let (description, amount) = (ShortText::parse("CT of the thorax").unwrap(), Money::new(pence, Currency::GBP));
        let by: AccountId = self.mint(now);
        Charge::new(self.mint(now), patient, Source::Hand, None, description, amount, now, by).unwrap()
    }

    /// A part of the charge.
    fn payment(&self, charge: &Charge, pence: i64) -> Payment {
        let now = SystemClock.now();
        let amount = Money::new(pence, Currency::GBP);
        Payment {
            id: self.mint(now),
            patient: charge.patient,
            amount,
            method: PaymentMethod::Cash,
            received_at: now,
            received_by: self.mint(now),
            allocations: vec![Allocation { charge: charge.id, amount }],
        }
    }

    /// A record of a patient, with what the trail keeps of it.
    fn imported(&self, patient: PatientId, record: ImportedRecord) -> Imported {
        let now = SystemClock.now();
        let (action, subject) = match &record {
            ImportedRecord::Charge(charge) => (Action::CHARGE_CREATE, Subject::new("charge", charge.id)),
            ImportedRecord::Payment(payment) => (Action::PAYMENT_TAKE, Subject::new("payment", payment.id)),
            _ => (Action::PATIENT_REGISTER, Subject::patient(patient)),
        };
        let event = Event::anonymous(self.mint(now), now, None, action, subject.of_patient(patient));
        Imported { record, event }
    }

    fn mint<T>(&self, now: Timestamp) -> Id<T> {
        Id::from_uuid(self.ids.uuid_v7(now))
    }

    /// The same house in every run.
    fn draw(&mut self, bound: u64) -> usize {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        (self.random % bound) as usize
    }
}

impl People {
    pub async fn sign_in(server: SocketAddr) -> Self {
        let mut connection = Connection::open(server).await;
        let admin = login(&mut connection, "admin@infirmary.example").await;
        let doctor = staff(&mut connection, &admin, "doctor").await;
        let accountant = staff(&mut connection, &admin, "accountant").await;
        Self { admin, accountant, doctor, sign_ins: Vec::new() }
    }

    /// And those who do nothing else.
    pub async fn who_sign_in(mut self, server: SocketAddr) -> Self {
        let mut connection = Connection::open(server).await;
        for number in 0..SIGNING_IN {
            let name = format!("busy{number}");
            invite(&mut connection, &self.admin, &name, "accountant").await;
            let body = json!({"email": email(&name), "password": PASSWORD}).to_string();
            self.sign_ins.push(post("/v1/auth/login", None, "", &body));
        }
        self
    }
}

fn email(name: &str) -> String {
    format!("{name}@infirmary.example")
}

async fn login(connection: &mut Connection, email: &str) -> String {
    let body = json!({"email": email, "password": PASSWORD}).to_string();
    token(&json_of(connection, post("/v1/auth/login", None, "", &body), 200).await)
}

/// Of the role, by that name; made once in a house.
async fn staff(connection: &mut Connection, admin: &str, role: &str) -> String {
    let accounts = json_of(connection, get(&format!("/v1/accounts?role={role}"), admin), 200).await;
    if accounts["items"].as_array().unwrap().iter().any(|account| account["email"] == email(role).as_str()) {
        return login(connection, &email(role)).await;
    }
    invite(connection, admin, role, role).await
}

async fn invite(connection: &mut Connection, admin: &str, name: &str, role: &str) -> String {
    let body = json!({"email": email(name), "name": name, "role": role}).to_string();
    let invited = json_of(connection, post("/v1/accounts", Some(admin), "", &body), 201).await;
    let body = json!({"code": invited["invitation"]["code"], "password": PASSWORD}).to_string();
    token(&json_of(connection, post("/v1/auth/invitation", None, "", &body), 200).await)
}

fn token(session: &Value) -> String {
    session["accessToken"].as_str().unwrap().to_owned()
}

pub async fn json_of(connection: &mut Connection, request: Vec<u8>, status: u16) -> Value {
    serde_json::from_slice(connection.send(&request.into(), status).await).unwrap()
}
