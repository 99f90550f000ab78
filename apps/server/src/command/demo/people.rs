//! Who is in the demo house. None of them exists.

use infirmary_kernel::Role;

/// Everybody's. It is written here for everybody to read, so a demo is served on this machine only.
pub const PASSWORD: &str = "plum trees by the north gate";

pub struct Member {
    pub role: Role,
    pub email: &'static str,
    pub name: &'static str,
}

pub const ADMIN: Member = member(Role::Admin, "admin@demo.infirmary.example", "Helen Marsh");
pub const DOCTOR: Member = member(Role::Doctor, "doctor@demo.infirmary.example", "Dr Layla Hassan");
pub const SECOND_DOCTOR: Member = member(Role::Doctor, "radiologist@demo.infirmary.example", "د. سامان عەزیز");
pub const ACCOUNTANT: Member = member(Role::Accountant, "accountant@demo.infirmary.example", "Tom Reilly");
pub const PATIENT: Member = member(Role::Patient, "patient@demo.infirmary.example", "Amira Haddad");
pub const MEMBERS: [&Member; 5] = [&ADMIN, &DOCTOR, &SECOND_DOCTOR, &ACCOUNTANT, &PATIENT];

const fn member(role: Role, email: &'static str, name: &'static str) -> Member {
    Member { role, email, name }
}

pub struct Person {
    pub name: &'static str,
    pub birth_date: &'static str,
    pub sex: &'static str,
    pub phone: &'static str,
    pub address: &'static str,
}

const fn person(
    name: &'static str,
    birth_date: &'static str,
    sex: &'static str,
    phone: &'static str,
    address: &'static str,
) -> Person {
    Person { name, birth_date, sex, phone, address }
}

/// The first one registers herself, with the account of [`PATIENT`].
pub const PATIENTS: [Person; 12] = [
    person(PATIENT.name, "1986-04-17", "female", "+447700900101", "12 Harbour Street\nBristol"),
    person("José Álvarez Núñez", "1959-11-02", "male", "+34600900102", "Calle de la Luna 8\nSevilla"),
    person("Zoë O’Connor", "1994-07-23", "female", "+447700900103", "3 Mill Lane\nYork"),
    person("Margaret Thompson", "1941-01-30", "female", "+447700900104", "27 Abbey Road\nBath"),
    person("أحمد محمود العلي", "1973-09-09", "male", "+9647700900105", "شارع الرشيد ١٤\nبغداد"),
    person("فاطمة الزهراء حسن", "1990-12-05", "female", "+9647700900106", "حي الجامعة\nالموصل"),
    person("يوسف إبراهيم", "2012-03-28", "male", "+9647700900107", "شارع النيل ٣\nالقاهرة"),
    person("ئازاد کەریم", "1968-06-14", "male", "+9647500900108", "شەقامی سالم\nسلێمانی"),
    person("شیلان ڕەسوڵ", "1999-02-11", "female", "+9647500900109", "گەڕەکی ئازادی\nهەولێر"),
    person("هێمن عەبدوڵڵا", "1981-10-19", "male", "+9647500900110", "شەقامی مەولەوی\nسلێمانی"),
    person("Nguyễn Thị Lan", "1977-08-08", "female", "+84900900111", "15 Phố Huế\nHà Nội"),
    person("Yıldız Öztürk", "1952-05-25", "female", "+905009001120", "Çınar Sokak 6\nİzmir"),
];
