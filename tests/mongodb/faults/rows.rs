//! The operations that write, a row for each: how it is asked for, and how its effect is counted. Names with a `$` stand for
//! what [`super::house`] has.

use reqwest::Method;

/// What a request with the same content means after the first.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Again {
    /// The same `Idempotency-Key`: it is answered as before.
    Key,
    /// It has no effect any more: one of these, or a success, tells that it was done.
    Told(&'static [u16]),
    /// It is another one, with an effect of its own.
    Anew,
    /// It reads; what is answered was noted before.
    Read,
}

#[derive(Clone, Copy)]
pub enum Body {
    None,
    Json(&'static str),
    /// A study with a PNG, as multipart.
    Study(&'static str),
    /// A report that was made elsewhere, as multipart.
    Report(&'static str),
    /// What Meta says of a message, under its signature.
    Delivery(&'static str),
}

/// What is counted, of what is asked for at a path.
#[derive(Clone, Copy)]
pub enum Count {
    Items(&'static str),
    /// Those whose field is that.
    ItemsWith(&'static str, &'static str, &'static str),
    /// A number, or 1 for what is true.
    Value(&'static str, &'static str),
    /// 1 when the field is that.
    Is(&'static str, &'static str, &'static str),
    Version(&'static str),
    /// 1 when the account is signed in to with that password.
    SignIn(&'static str, &'static str),
    /// Messages to the phone.
    Messages(&'static str),
}

pub struct Row {
    /// Method and path, as in the document.
    pub operation: &'static str,
    pub path: &'static str,
    /// Who asks: the name of somebody of the house.
    pub by: &'static str,
    /// What is made anew for each request, in this order.
    pub fresh: &'static [&'static str],
    pub body: Body,
    /// Where the version comes from that is sent in `If-Match`.
    pub version_of: Option<&'static str>,
    pub again: Again,
    /// Who counts, what, and by how much it is more.
    pub effects: Vec<(&'static str, Count, i64)>,
    /// The action that leaves one entry in the audit log for each effect.
    pub noted: Option<&'static str>,
}

impl Row {
    pub fn method(&self) -> Method {
        Method::from_bytes(self.operation.split_once(' ').unwrap().0.as_bytes()).unwrap()
    }

    /// Of the replaced system, whose clients are answered in texts.
    pub fn is_of_the_replaced_system(&self) -> bool {
        self.operation.contains(" /api/")
    }

    fn fresh(mut self, names: &'static [&'static str]) -> Self {
        self.fresh = names;
        self
    }

    fn at(mut self, path: &'static str) -> Self {
        self.path = path;
        self
    }

    fn json(mut self, body: &'static str) -> Self {
        self.body = Body::Json(body);
        self
    }

    fn body(mut self, body: Body) -> Self {
        self.body = body;
        self
    }

    fn if_match(mut self, path: &'static str) -> Self {
        self.version_of = Some(path);
        self
    }

    /// As an admin counts it.
    fn counted(self, count: Count, change: i64) -> Self {
        self.counted_by("admin", count, change)
    }

    fn counted_by(mut self, who: &'static str, count: Count, change: i64) -> Self {
        self.effects.push((who, count, change));
        self
    }

    fn noted(mut self, action: &'static str) -> Self {
        self.noted = Some(action);
        self
    }
}

fn row(operation: &'static str, by: &'static str, again: Again) -> Row {
    Row {
        operation,
        path: operation.split_once(' ').unwrap().1,
        by,
        fresh: &[],
        body: Body::None,
        version_of: None,
        again,
        effects: Vec::new(),
        noted: None,
    }
}

use Again::{Anew, Key, Read, Told};
use Count::{Is, Items, ItemsWith, Messages, SignIn, Value, Version};

pub fn rows() -> Vec<Row> {
    let mut all = coming_in();
    all.extend(factors());
    all.extend(accounts());
    all.extend(patients());
    all.extend(records());
    all.extend(money());
    all.extend(replaced_system());
    all.extend(reads());
    all
}

const PASSWORD: &str = r#"{"password":"seven quiet herons at dusk"}"#;
const ANOTHER: &str = "nine loud crows at dawn";
const SUMMARY: &str = "/v1/patients/$patient/summary";
const BALANCE: Count = Value(SUMMARY, "/balance/amount");

fn coming_in() -> Vec<Row> {
    vec![
        row("POST /v1/auth/register", "nobody", Told(&[409]))
            .json(r#"{"email":"$unique@infirmary.example","password":"seven quiet herons at dusk","name":"Nell $unique"}"#)
            .counted(Items("/v1/patients?q=$unique"), 1)
            .noted("account.register"),
        row("POST /v1/auth/login", "nobody", Anew)
            .fresh(&["spare"])
            .json(r#"{"email":"$spare_email","password":"seven quiet herons at dusk"}"#)
            .counted_by("spare", Items("/v1/auth/sessions"), 1)
            .noted("session.start"),
        row("POST /v1/auth/refresh", "nobody", Told(&[]))
            .fresh(&["spare"])
            .json(r#"{"refreshToken":"$refresh"}"#)
            .noted("session.refresh"),
        row("POST /v1/auth/logout", "elsewhere", Told(&[401]))
            .fresh(&["spare", "elsewhere"])
            .counted_by("spare", Items("/v1/auth/sessions"), -1)
            .noted("session.end"),
        row("DELETE /v1/auth/sessions/{id}", "spare", Told(&[404]))
            .fresh(&["spare", "elsewhere"])
            .at("/v1/auth/sessions/$session")
            .counted_by("spare", Items("/v1/auth/sessions"), -1)
            .noted("session.end"),
        row("POST /v1/auth/reauthenticate", "spare", Anew).fresh(&["spare"]).json(PASSWORD).noted("session.confirm"),
        row("POST /v1/auth/password", "spare", Told(&[401]))
            .fresh(&["spare"])
            .json(r#"{"currentPassword":"seven quiet herons at dusk","newPassword":"nine loud crows at dawn"}"#)
            .counted_by("nobody", SignIn("$spare_email", ANOTHER), 1)
            .noted("password.change"),
        row("POST /v1/auth/invitation", "nobody", Told(&[422]))
            .fresh(&["invited"])
            .json(r#"{"code":"$invitation","password":"seven quiet herons at dusk"}"#)
            .counted(Version("/v1/accounts/$invited"), 1)
            .noted("invitation.accept"),
        row("POST /v1/auth/otp", "spare", Told(&[429]))
            .fresh(&["spare"])
            .json(r#"{"phone":"$phone","purpose":"phoneVerification"}"#)
            .counted(Messages("$phone"), 1)
            .noted("code.request"),
        row("POST /v1/auth/otp/{id}/verify", "spare", Told(&[422]))
            .fresh(&["spare", "challenge"])
            .at("/v1/auth/otp/$challenge/verify")
            .json(r#"{"code":"$code"}"#)
            .counted_by("spare", Version("/v1/me"), 1)
            .noted("phone.verify"),
        row("POST /v1/auth/otp/{id}/verify", "nobody", Told(&[422]))
            .fresh(&["spare", "enrolled", "due"])
            .at("/v1/auth/otp/$due/verify")
            .json(r#"{"code":"$recovery"}"#)
            .counted_by("spare", Items("/v1/auth/sessions"), 1)
            .counted_by("spare", Value("/v1/auth/factors", "/recoveryCodesLeft"), -1)
            .noted("session.start"),
        row("POST /v1/auth/password/reset", "nobody", Told(&[422]))
            .fresh(&["spare", "verified", "proof"])
            .json(r#"{"proof":"$proof","password":"nine loud crows at dawn"}"#)
            .counted_by("nobody", SignIn("$spare_email", ANOTHER), 1)
            .noted("password.reset"),
        row("PATCH /v1/me", "spare", Told(&[412]))
            .fresh(&["spare"])
            .if_match("/v1/me")
            .json(r#"{"name":"Nell Other"}"#)
            .counted_by("spare", Version("/v1/me"), 1)
            .noted("account.change"),
    ]
}

/// Whoever asks for codes or secrets again gets others, and the account is as it was to be.
fn factors() -> Vec<Row> {
    vec![
        // Nothing is kept until a code of the application is shown.
        row("POST /v1/auth/factors/totp", "spare", Told(&[])).fresh(&["spare"]),
        row("POST /v1/auth/factors/totp/confirm", "spare", Told(&[]))
            .fresh(&["spare", "enrolment"])
            .json(r#"{"enrolment":"$enrolment","code":"$totp"}"#)
            .counted_by("spare", Value("/v1/me", "/secondFactor"), 1),
        row("POST /v1/auth/factors/totp/disable", "spare", Told(&[]))
            .fresh(&["spare", "enrolled"])
            .json(PASSWORD)
            .counted_by("spare", Version("/v1/me"), 1)
            .noted("factor.change"),
        row("POST /v1/auth/factors/whatsapp", "spare", Told(&[])).fresh(&["spare", "verified"]).counted_by(
            "spare",
            Value("/v1/me", "/secondFactor"),
            1,
        ),
        row("POST /v1/auth/factors/whatsapp/disable", "spare", Told(&[]))
            .fresh(&["spare", "verified", "whatsapp"])
            .json(PASSWORD)
            .counted_by("spare", Version("/v1/me"), 1)
            .noted("factor.change"),
        row("POST /v1/auth/factors/recovery-codes", "spare", Anew)
            .fresh(&["spare", "enrolled"])
            .counted_by("spare", Version("/v1/me"), 1)
            .noted("factor.change"),
    ]
}

fn accounts() -> Vec<Row> {
    vec![
        // The second one has a fresh code, for the same account.
        row("POST /v1/accounts", "admin", Told(&[]))
            .json(r#"{"email":"$unique@infirmary.example","name":"Sam Staff","role":"doctor"}"#)
            .counted(ItemsWith("/v1/accounts", "email", "$unique@infirmary.example"), 1),
        row("PATCH /v1/accounts/{id}", "admin", Told(&[412]))
            .fresh(&["staff"])
            .at("/v1/accounts/$staff")
            .if_match("/v1/accounts/$staff")
            .json(r#"{"role":"accountant"}"#)
            .counted(Version("/v1/accounts/$staff"), 1)
            .noted("account.change"),
        row("DELETE /v1/accounts/{id}", "admin", Told(&[]))
            .fresh(&["staff"])
            .at("/v1/accounts/$staff")
            .counted(Version("/v1/accounts/$staff"), 1)
            .noted("account.deactivate"),
        row("POST /v1/accounts/{id}/restart", "admin", Told(&[]))
            .fresh(&["staff"])
            .at("/v1/accounts/$staff/restart")
            .counted(Value("/v1/accounts/$staff", "/invited"), 1)
            .noted("account.restart"),
    ]
}

fn patients() -> Vec<Row> {
    vec![
        row("POST /v1/patients", "doctor", Key)
            .json(r#"{"name":"Nell $unique"}"#)
            .counted(Items("/v1/patients?q=$unique"), 1)
            .noted("patient.register"),
        row("PATCH /v1/patients/{id}", "doctor", Told(&[412]))
            .at("/v1/patients/$patient")
            .if_match("/v1/patients/$patient")
            .json(r#"{"address":"$unique"}"#)
            .counted(Version("/v1/patients/$patient"), 1)
            .noted("patient.change"),
        row("PUT /v1/patients/{id}/care-team/{accountId}", "admin", Told(&[]))
            .fresh(&["staff"])
            .at("/v1/patients/$patient/care-team/$staff")
            .counted(Items("/v1/patients/$patient/care-team"), 1)
            .noted("careTeam.add"),
        row("DELETE /v1/patients/{id}/care-team/{accountId}", "admin", Told(&[404]))
            .fresh(&["staff", "member"])
            .at("/v1/patients/$patient/care-team/$staff")
            .counted(Items("/v1/patients/$patient/care-team"), -1)
            .noted("careTeam.remove"),
        row("POST /v1/patients/{id}/emergency-access", "doctor", Key)
            .fresh(&["restricted"])
            .at("/v1/patients/$restricted/emergency-access")
            .json(r#"{"reason":"patientSafety","note":"Found unconscious"}"#)
            .counted(Items("/v1/patients/$restricted/emergency-access"), 1)
            .noted("emergencyAccess.start"),
    ]
}

const STUDY: &str = r#"{"patientId":"$patient","modality":"CT","disease":"Cough","findings":"None","confirmed":true}"#;

fn records() -> Vec<Row> {
    let diagnosis = |operation, path, again, action| {
        row(operation, "doctor", again).at(path).counted(Version("/v1/diagnoses/$diagnosis"), 1).noted(action)
    };
    vec![
        row("POST /v1/studies", "doctor", Key)
            .body(Body::Study(STUDY))
            .counted(Value(SUMMARY, "/diagnoses"), 1)
            .counted(Value(SUMMARY, "/images"), 1)
            .counted(BALANCE, 29_900)
            .noted("study.record"),
        row("POST /v1/images/{id}/link", "doctor", Anew).at("/v1/images/$image/link").noted("image.link"),
        row("POST /v1/diagnoses", "doctor", Key)
            .json(r#"{"patientId":"$patient","disease":"Cough","findings":"None","confirmed":true}"#)
            .counted(Value(SUMMARY, "/diagnoses"), 1)
            .noted("diagnosis.record"),
        diagnosis("PATCH /v1/diagnoses/{id}", "/v1/diagnoses/$diagnosis", Told(&[412]), "diagnosis.change")
            .fresh(&["draft"])
            .if_match("/v1/diagnoses/$diagnosis")
            .json(r#"{"findings":"Changed"}"#),
        diagnosis(
            "POST /v1/diagnoses/{id}/confirm",
            "/v1/diagnoses/$diagnosis/confirm",
            Told(&[409]),
            "diagnosis.confirm",
        )
        .fresh(&["draft"]),
        diagnosis("POST /v1/diagnoses/{id}/amend", "/v1/diagnoses/$diagnosis/amend", Key, "diagnosis.amend")
            .fresh(&["confirmed"])
            .json(r#"{"reason":"A second reading","findings":"Clear"}"#),
        diagnosis(
            "POST /v1/diagnoses/{id}/retract",
            "/v1/diagnoses/$diagnosis/retract",
            Told(&[409]),
            "diagnosis.retract",
        )
        .fresh(&["confirmed"])
        .json(r#"{"reason":"Another patient's"}"#),
        row("POST /v1/reports", "doctor", Key)
            .fresh(&["confirmed"])
            .json(r#"{"diagnosisId":"$diagnosis"}"#)
            .counted(Items("/v1/reports?diagnosisId=$diagnosis"), 1)
            .counted(BALANCE, 5_000)
            .noted("report.issue"),
        row("POST /v1/reports", "doctor", Key)
            .fresh(&["confirmed"])
            .body(Body::Report("$diagnosis"))
            .counted(Items("/v1/reports?diagnosisId=$diagnosis"), 1)
            .counted(BALANCE, 5_000)
            .noted("report.issue"),
        row("POST /v1/reports/{id}/link", "doctor", Anew).at("/v1/reports/$report/link").noted("report.link"),
    ]
}

fn money() -> Vec<Row> {
    vec![
        row("POST /v1/tasks", "accountant", Key)
            .json(r#"{"code":"$unique","name":"A task","price":{"amount":100,"currency":"GBP"}}"#)
            .counted(ItemsWith("/v1/tasks?limit=200", "code", "$unique"), 1)
            .noted("task.create"),
        row("PATCH /v1/tasks/{id}", "accountant", Told(&[412]))
            .at("/v1/tasks/$task")
            .if_match("/v1/tasks/$task")
            .json(r#"{"name":"A task $unique"}"#)
            .counted(Version("/v1/tasks/$task"), 1)
            .noted("task.change"),
        row("POST /v1/charges", "accountant", Key)
            .json(r#"{"patientId":"$patient","description":"Dressing","amount":{"amount":100,"currency":"GBP"}}"#)
            .counted(BALANCE, 100)
            .noted("charge.create"),
        row("POST /v1/charges/{id}/void", "accountant", Key)
            .fresh(&["charge"])
            .at("/v1/charges/$charge/void")
            .json(r#"{"reason":"In error"}"#)
            .counted(BALANCE, -500)
            .noted("charge.void"),
        row("POST /v1/payments", "accountant", Key)
            .fresh(&["charge"])
            .json(r#"{"patientId":"$patient","amount":{"amount":120,"currency":"GBP"},"method":"cash"}"#)
            .counted(BALANCE, -120)
            .noted("payment.take"),
        row("POST /v1/payments/{id}/refund", "accountant", Key)
            .fresh(&["charge", "payment"])
            .at("/v1/payments/$payment/refund")
            .json(r#"{"amount":{"amount":30,"currency":"GBP"},"reason":"Too much"}"#)
            .counted(BALANCE, 30)
            .noted("payment.refund"),
        row("POST /v1/messages/{id}/retry", "admin", Told(&[409]))
            .fresh(&["notice", "failed"])
            .at("/v1/messages/$message/retry")
            .counted(Is("/v1/messages/$message", "/status", "pending"), 1)
            .noted("message.retry"),
        row("POST /v1/webhooks/whatsapp", "nobody", Told(&[]))
            .fresh(&["notice", "sent"])
            .body(Body::Delivery("$provider"))
            .counted(Is("/v1/messages/$message", "/delivery", "delivered"), 1),
    ]
}

/// Its applications send no keys and no versions.
fn replaced_system() -> Vec<Row> {
    const LOGIN: &str = r#"{"Email":"$spare_email","password":"seven quiet herons at dusk"}"#;
    let login = |operation| {
        row(operation, "nobody", Anew)
            .fresh(&["spare"])
            .json(LOGIN)
            .counted_by("spare", Items("/v1/auth/sessions"), 1)
            .noted("session.start")
    };
    let delete = |operation| {
        row(operation, "admin", Told(&[]))
            .fresh(&["staff"])
            .json(r#"{"uid":"$staff"}"#)
            .counted(Version("/v1/accounts/$staff"), 1)
            .noted("account.deactivate")
    };
    vec![
        login("POST /api/auth/login"),
        login("POST /api/auth/login/"),
        login("POST /api/auth/refresh"),
        login("POST /api/auth/login/refresh"),
        row("POST /api/auth/register/createUser", "nobody", Told(&[409]))
            .json(
                r#"{"Email":"$unique@infirmary.example","password":"seven quiet herons at dusk","Address1":"A street",
                    "Name":"Nell $unique","accountType":"Patient","phoneNum":$digits}"#,
            )
            .counted(Items("/v1/patients?q=$unique"), 1)
            .noted("account.register"),
        row("POST /api/auth/otp/createOTP", "nobody", Told(&[400]))
            .json(r#"{"phone":"$digits"}"#)
            .counted(Messages("$phone"), 1)
            .noted("code.request"),
        row("POST /api/auth/otp/verifyOTP", "nobody", Told(&[400]))
            .fresh(&["check"])
            .json(r#"{"phone":"$digits","otp":"$code","hash":"$check"}"#)
            .noted("code.verify"),
        delete("DELETE /api/auth/deleteUser"),
        delete("DELETE /api/auth/deleteUser/deleteUser"),
        row("PUT /api/user/updateAccType", "admin", Told(&[]))
            .fresh(&["staff"])
            .json(r#"{"pID":"$staff","accountType":"accountant"}"#)
            .counted(Version("/v1/accounts/$staff"), 1)
            .noted("account.change"),
        row("POST /api/doctor/uploadIMG", "doctor", Told(&[]))
            .json(
                r#"{"image":"$png","imgName":"a.png","patientID":"$patient","doctorID":"$doctor","classification":"X-Ray",
                    "disease":"Cough $unique","diagnosis":"None","conditions":"None","docConfirmation":true}"#,
            )
            .counted(Value(SUMMARY, "/diagnoses"), 1)
            .counted(BALANCE, 29_900)
            .noted("study.record"),
        row("POST /api/report/upload", "doctor", Told(&[]))
            .fresh(&["draft"])
            .json(r#"{"file":"$pdf","fileName":"r.pdf","patientID":"$patient","diagnosisID":"$diagnosis"}"#)
            .counted(Items("/v1/reports?diagnosisId=$diagnosis"), 1)
            .counted(BALANCE, 5_000)
            .noted("report.issue"),
        row("PUT /api/financial/setIsPaid", "accountant", Told(&[]))
            .fresh(&["charge"])
            .json(r#"{"fID":"$charge","pID":"$patient"}"#)
            .counted(BALANCE, -500)
            .noted("payment.take"),
        row("POST /api/tasks", "admin", Told(&[409]))
            .json(r#"{"taskName":"$unique","Desc":"A task","Cost":12}"#)
            .counted(ItemsWith("/v1/tasks?limit=200", "code", "$unique"), 1)
            .noted("task.create"),
    ]
}

/// What is shown of a record was noted before.
fn reads() -> Vec<Row> {
    let read = |operation, path, by, action| row(operation, by, Read).at(path).noted(action);
    vec![
        read("GET /v1/patients", "/v1/patients?q=nell", "doctor", "patient.find"),
        read("GET /v1/patients/{id}", "/v1/patients/$patient", "doctor", "patient.read"),
        read("GET /v1/patients/{id}/summary", SUMMARY, "doctor", "patient.read"),
        read("GET /v1/diagnoses", "/v1/diagnoses", "doctor", "diagnosis.read"),
        read("GET /v1/images/{id}/content", "/v1/images/$image/content", "doctor", "image.read"),
        read("GET /v1/reports/{id}/pdf", "/v1/reports/$report/pdf", "doctor", "report.read"),
        read("GET /v1/charges", "/v1/charges", "accountant", "charge.read"),
        read("GET /v1/patients/{id}/statement", "/v1/patients/$patient/statement", "accountant", "statement.read"),
    ]
}

/// Those that are not tried with faults: what they note, the reads above note in the same way.
pub fn other_reads() -> Vec<Row> {
    let read = |operation, by| row(operation, by, Read);
    vec![
        read("GET /v1/me", "doctor"),
        read("GET /v1/me/access-log", "patient"),
        read("GET /v1/accounts", "admin"),
        read("GET /v1/accounts/{id}", "admin").at("/v1/accounts/$doctor"),
        read("GET /v1/audit", "admin"),
        read("GET /v1/audit/head", "admin"),
        read("GET /v1/audit/verify", "admin"),
        read("GET /v1/auth/factors", "doctor"),
        read("GET /v1/auth/sessions", "doctor"),
        read("GET /v1/diagnoses/{id}", "doctor").at("/v1/diagnoses/$diagnosis"),
        read("GET /v1/diagnoses/{id}/report-data", "doctor").at("/v1/diagnoses/$diagnosis/report-data"),
        read("GET /v1/diagnoses/{id}/versions", "doctor").at("/v1/diagnoses/$diagnosis/versions"),
        read("GET /v1/financials/summary", "accountant"),
        read("GET /v1/images/{id}", "doctor").at("/v1/images/$image"),
        read("GET /v1/images/{id}/preview", "doctor").at("/v1/images/$image/preview"),
        read("GET /v1/messages", "admin"),
        read("GET /v1/messages/{id}", "admin").at("/v1/messages/$message").fresh(&["notice"]),
        read("GET /v1/patients/{id}/care-team", "doctor").at("/v1/patients/$patient/care-team"),
        read("GET /v1/patients/{id}/emergency-access", "admin").at("/v1/patients/$patient/emergency-access"),
        read("GET /v1/patients/{id}/statement/pdf", "accountant").at("/v1/patients/$patient/statement/pdf"),
        read("GET /v1/payments", "accountant"),
        read("GET /v1/payments/{id}", "accountant").at("/v1/payments/$payment").fresh(&["charge", "payment"]),
        read("GET /v1/payments/{id}/receipt", "accountant")
            .at("/v1/payments/$payment/receipt")
            .fresh(&["charge", "payment"]),
        read("GET /v1/reports", "doctor"),
        read("GET /v1/reports/{id}", "doctor").at("/v1/reports/$report"),
        read("GET /v1/studies", "doctor").at("/v1/studies?patientId=$patient"),
        read("GET /v1/studies/{id}", "doctor").at("/v1/studies/$study"),
        read("GET /v1/tasks", "doctor"),
        read("GET /v1/tasks/{id}", "doctor").at("/v1/tasks/$task"),
        read("GET /api/diagnosis/getDiagnosisDetails/{diagnosisID}", "doctor")
            .at("/api/diagnosis/getDiagnosisDetails/$diagnosis"),
        read("GET /api/patient/getNumberDiagnosis", "patient"),
        read("GET /api/patient/getNumberTransactions", "patient"),
        read("GET /api/patient/getPatientDiagnosisDetails/{patientID}", "doctor")
            .at("/api/patient/getPatientDiagnosisDetails/$patient"),
        read("GET /api/tasks", "doctor"),
        read("GET /api/user/getUser/{text}", "admin").at("/api/user/getUser/a"),
        read("GET /api/userdata/user/data", "doctor"),
        read("GET /api/userdata/user/getAllPatients/{text}", "doctor").at("/api/userdata/user/getAllPatients/nell"),
        read("GET /api/diagnosis/getDiagnosis/{patientID}", "doctor").at("/api/diagnosis/getDiagnosis/$patient"),
        read("GET /api/patient/getPatientPayments/{patientID}", "accountant")
            .at("/api/patient/getPatientPayments/$patient"),
        read("GET /api/report/getReportData/{diagnosisID}", "doctor").at("/api/report/getReportData/$diagnosis"),
        read("GET /api/report/getReportPatient/{patientID}", "doctor").at("/api/report/getReportPatient/$patient"),
    ]
}
