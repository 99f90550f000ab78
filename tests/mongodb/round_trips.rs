//! How often an operation asks the database: each time is a way over the network and back, and the longest wait there is.

use std::collections::BTreeMap;

use infirmary_mongodb::Commands;
use infirmary_tests::store::Store;

use crate::faults::{
    house::House,
    rows::{Row, other_reads, rows},
};
use crate::operations;

/// Of each operation: so many round trips at most beside its transaction, and within it, the commit included.
const AT_MOST: &[(&str, u64, u64)] = &[
    ("DELETE /api/auth/deleteUser", 4, 7),
    ("DELETE /api/auth/deleteUser/deleteUser", 4, 7),
    ("DELETE /v1/accounts/{id}", 2, 7),
    ("DELETE /v1/auth/sessions/{id}", 1, 3),
    ("DELETE /v1/patients/{id}/care-team/{accountId}", 1, 3),
    ("GET /api/diagnosis/getDiagnosis/{patientID}", 9, 0),
    ("GET /api/diagnosis/getDiagnosisDetails/{diagnosisID}", 4, 0),
    ("GET /api/patient/getNumberDiagnosis", 3, 2),
    ("GET /api/patient/getNumberTransactions", 3, 2),
    ("GET /api/patient/getPatientDiagnosisDetails/{patientID}", 11, 0),
    ("GET /api/patient/getPatientPayments/{patientID}", 3, 0),
    ("GET /api/report/getReportData/{diagnosisID}", 9, 2),
    ("GET /api/report/getReportPatient/{patientID}", 6, 0),
    ("GET /api/tasks", 2, 0),
    ("GET /api/user/getUser/{text}", 10, 0),
    ("GET /api/userdata/user/data", 2, 0),
    ("GET /api/userdata/user/getAllPatients/{text}", 4, 0),
    ("GET /v1/accounts", 3, 0),
    ("GET /v1/accounts/{id}", 3, 0),
    ("GET /v1/audit", 4, 0),
    ("GET /v1/audit/head", 5, 0),
    ("GET /v1/audit/verify", 7, 0),
    ("GET /v1/auth/factors", 3, 0),
    ("GET /v1/auth/sessions", 2, 0),
    ("GET /v1/charges", 2, 2),
    ("GET /v1/diagnoses", 7, 2),
    ("GET /v1/diagnoses/{id}", 4, 0),
    ("GET /v1/diagnoses/{id}/report-data", 4, 0),
    ("GET /v1/diagnoses/{id}/versions", 5, 0),
    ("GET /v1/financials/summary", 2, 5),
    ("GET /v1/images/{id}", 4, 0),
    ("GET /v1/images/{id}/content", 4, 0),
    ("GET /v1/images/{id}/preview", 4, 0),
    ("GET /v1/me", 1, 0),
    ("GET /v1/me/access-log", 4, 0),
    ("GET /v1/messages", 3, 0),
    ("GET /v1/messages/{id}", 3, 0),
    ("GET /v1/patients", 4, 0),
    ("GET /v1/patients/{id}", 4, 0),
    ("GET /v1/patients/{id}/care-team", 6, 0),
    ("GET /v1/patients/{id}/emergency-access", 4, 0),
    ("GET /v1/patients/{id}/statement", 2, 4),
    ("GET /v1/patients/{id}/statement/pdf", 4, 4),
    ("GET /v1/patients/{id}/summary", 5, 2),
    ("GET /v1/payments", 2, 2),
    ("GET /v1/payments/{id}", 3, 0),
    ("GET /v1/payments/{id}/receipt", 8, 0),
    ("GET /v1/reports", 2, 2),
    ("GET /v1/reports/{id}", 4, 0),
    ("GET /v1/reports/{id}/pdf", 4, 0),
    ("GET /v1/studies", 5, 0),
    ("GET /v1/studies/{id}", 4, 0),
    ("GET /v1/tasks", 2, 0),
    ("GET /v1/tasks/{id}", 2, 0),
    ("PATCH /v1/accounts/{id}", 2, 7),
    ("PATCH /v1/diagnoses/{id}", 3, 4),
    ("PATCH /v1/me", 2, 4),
    ("PATCH /v1/patients/{id}", 3, 4),
    ("PATCH /v1/tasks/{id}", 2, 3),
    ("POST /api/auth/login", 2, 9),
    ("POST /api/auth/login/", 2, 9),
    ("POST /api/auth/login/refresh", 2, 9),
    ("POST /api/auth/otp/createOTP", 0, 11),
    ("POST /api/auth/otp/verifyOTP", 2, 3),
    ("POST /api/auth/refresh", 2, 9),
    ("POST /api/auth/register/createUser", 1, 7),
    ("POST /api/doctor/uploadIMG", 4, 10),
    ("POST /api/report/upload", 10, 12),
    ("POST /api/tasks", 2, 3),
    ("POST /v1/accounts", 2, 4),
    ("POST /v1/accounts/{id}/restart", 4, 11),
    ("POST /v1/auth/factors/recovery-codes", 2, 5),
    ("POST /v1/auth/factors/totp", 2, 0),
    ("POST /v1/auth/factors/totp/confirm", 2, 5),
    ("POST /v1/auth/factors/totp/disable", 4, 9),
    ("POST /v1/auth/factors/whatsapp", 2, 5),
    ("POST /v1/auth/factors/whatsapp/disable", 4, 9),
    ("POST /v1/auth/invitation", 1, 6),
    ("POST /v1/auth/login", 2, 9),
    ("POST /v1/auth/logout", 1, 3),
    ("POST /v1/auth/otp", 2, 11),
    ("POST /v1/auth/otp/{id}/verify", 5, 10),
    ("POST /v1/auth/password", 4, 9),
    ("POST /v1/auth/password/reset", 3, 6),
    ("POST /v1/auth/reauthenticate", 4, 8),
    ("POST /v1/auth/refresh", 1, 3),
    ("POST /v1/auth/register", 1, 7),
    ("POST /v1/charges", 1, 5),
    ("POST /v1/charges/{id}/void", 2, 5),
    ("POST /v1/diagnoses", 2, 6),
    ("POST /v1/diagnoses/{id}/amend", 4, 5),
    ("POST /v1/diagnoses/{id}/confirm", 3, 4),
    ("POST /v1/diagnoses/{id}/retract", 3, 4),
    ("POST /v1/images/{id}/link", 4, 0),
    ("POST /v1/messages/{id}/retry", 2, 4),
    ("POST /v1/patients", 3, 5),
    ("POST /v1/patients/{id}/emergency-access", 4, 6),
    ("POST /v1/payments", 2, 6),
    ("POST /v1/payments/{id}/refund", 2, 8),
    ("POST /v1/reports", 6, 9),
    ("POST /v1/reports/{id}/link", 4, 0),
    ("POST /v1/studies", 4, 10),
    ("POST /v1/tasks", 3, 4),
    ("POST /v1/webhooks/whatsapp", 0, 3),
    ("PUT /api/financial/setIsPaid", 2, 5),
    ("PUT /api/user/updateAccType", 4, 7),
    ("PUT /v1/patients/{id}/care-team/{accountId}", 2, 4),
];

/// Those that ask for nothing of anybody's, and those by a name that only an answer has: each is what the read is that gave it.
const OTHERS: [&str; 7] = [
    "GET /api/files/{id}",
    "GET /health/live",
    "GET /health/ready",
    "GET /v1/links/{token}",
    "GET /v1/links/{token}/preview",
    "GET /v1/webhooks/whatsapp",
    "GET /verify/{code}",
];

#[derive(Clone, Copy, Default)]
struct RoundTrips {
    beside: u64,
    within: u64,
}

impl RoundTrips {
    fn so_far(commands: &Commands) -> Self {
        let within = commands.within_transactions();
        Self { beside: commands.sent().values().sum::<u64>() - within, within }
    }

    fn since(self, before: Self) -> Self {
        Self { beside: self.beside - before.beside, within: self.within - before.within }
    }

    fn most(self, other: Self) -> Self {
        Self { beside: self.beside.max(other.beside), within: self.within.max(other.within) }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_operation_asks_the_database_no_more_often_than_it_says() {
    let Some(house) = House::open().await else { return };
    let mut asked: BTreeMap<&str, RoundTrips> = BTreeMap::new();
    for row in rows().iter().chain(&other_reads()) {
        let found = round_trips(&house, row).await;
        let most = asked.entry(row.operation).or_default();
        *most = most.most(found);
    }
    let said: BTreeMap<&str, (u64, u64)> =
        AT_MOST.iter().map(|(operation, beside, within)| (*operation, (*beside, *within))).collect();
    let mut wrong = Vec::new();
    for (operation, RoundTrips { beside, within }) in &asked {
        match said.get(operation) {
            Some((most_beside, most_within)) if beside <= most_beside && within <= most_within => {}
            _ => wrong.push(format!("    (\"{operation}\", {beside}, {within}),")),
        }
    }
    let all = operations(&house.app).await;
    let forgotten = all.iter().map(String::as_str).filter(|name| !OTHERS.contains(name) && !asked.contains_key(name));
    wrong.extend(forgotten.map(|name| format!("{name} was not asked for")));
    wrong.extend(said.keys().filter(|operation| !asked.contains_key(*operation)).map(|gone| format!("{gone} is gone")));
    assert!(wrong.is_empty(), "not as AT_MOST has it:\n{}", wrong.join("\n"));
}

async fn round_trips(house: &House, row: &Row) -> RoundTrips {
    let Store::MongoDb(database) = &house.app.store else { panic!("it is on MongoDB") };
    let (scene, commands) = (house.prepare(row).await, database.commands());
    let before = RoundTrips::so_far(&commands);
    let answer = house.ask(row, &scene).await.unwrap();
    let asked = RoundTrips::so_far(&commands).since(before);
    assert!(answer.status.is_success(), "{}: {}", row.operation, answer.status);
    asked
}
