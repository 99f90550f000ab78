//! How each operation is called. Names with a `$` stand for what [`super::house`] has on the side that is asked about.

use infirmary_kernel::Role::{self, Doctor, Patient};

use super::house::Side::{self, Others, Own};

pub enum Body {
    None,
    Json(&'static str),
    /// A study with an image, as multipart.
    Study(&'static str),
}

pub struct Case {
    /// Method and path, as in the document.
    pub operation: &'static str,
    pub path: &'static str,
    pub body: Body,
    /// The status for who may, on a record that is there.
    pub success: u16,
    /// The status for who may reach all records, on one that is not there.
    pub absent: u16,
    /// Other statuses than the table gives, for whom and on which side.
    pub but: Vec<(Role, Side, u16)>,
    /// What is made anew for each call that is let in, as the call uses it up.
    pub fresh: &'static [&'static str],
    /// Where the version comes from that is sent in `If-Match`.
    pub version_of: Option<&'static str>,
    /// Whoever holds what is in the request reads what it opens.
    pub opens: bool,
    /// For the message of a failure, where an operation has several cases.
    pub variant: &'static str,
}

fn case(operation: &'static str, path: &'static str, success: u16) -> Case {
    Case {
        operation,
        path,
        body: Body::None,
        success,
        absent: 404,
        but: Vec::new(),
        fresh: &[],
        version_of: None,
        opens: false,
        variant: "",
    }
}

/// Where the path is the operation's own.
fn plain(operation: &'static str, success: u16) -> Case {
    case(operation, operation.split_once(' ').unwrap().1, success)
}

impl Case {
    fn json(mut self, body: &'static str) -> Self {
        self.body = Body::Json(body);
        self
    }

    fn study(mut self, details: &'static str) -> Self {
        self.body = Body::Study(details);
        self
    }

    fn absent(mut self, status: u16) -> Self {
        self.absent = status;
        self
    }

    fn but(mut self, role: Role, side: Side, status: u16) -> Self {
        self.but.push((role, side, status));
        self
    }

    fn fresh(mut self, names: &'static [&'static str]) -> Self {
        self.fresh = names;
        self
    }

    fn version_of(mut self, path: &'static str) -> Self {
        self.version_of = Some(path);
        self
    }

    fn opens(mut self) -> Self {
        self.opens = true;
        self
    }

    /// A draft is not there for a patient.
    fn of_a_draft(mut self) -> Self {
        self.variant = ", a draft";
        self.but(Patient, Own, 404)
    }

    /// Whether what is asked for is of the record of a patient.
    pub fn is_of_a_patient(&self) -> bool {
        let names = [
            "$patient",
            "$study",
            "$image",
            "$unseen",
            "$diagnosis",
            "$confirmed",
            "$draft",
            "$report",
            "$charge",
            "$payment",
            "$link",
            "$file",
        ];
        let body = match self.body {
            Body::None => "",
            Body::Json(text) | Body::Study(text) => text,
        };
        names.iter().any(|name| self.path.contains(name) || body.contains(name))
    }

    /// Whether own, others' and absent records make a difference.
    pub fn is_of_a_record(&self) -> bool {
        let of_nobody = ["$unique", "$spare", "$refresh", "$phone", "$digits", "$nothing", "$jpeg", "$pdf"];
        let names =
            |text: &str| text.split('$').skip(1).any(|rest| !of_nobody.iter().any(|name| rest.starts_with(&name[1..])));
        let body = match self.body {
            Body::None => "",
            Body::Json(text) | Body::Study(text) => text,
        };
        names(self.path) || names(body)
    }
}

pub fn cases() -> Vec<Case> {
    let mut all = coming_in();
    all.extend(accounts());
    all.extend(patients());
    all.extend(studies());
    all.extend(diagnoses());
    all.extend(reports());
    all.extend(tasks());
    all.extend(financials());
    all.extend(house());
    all.extend(replaced_system());
    all
}

const PASSWORD: &str = r#"{"password":"seven quiet herons at dusk"}"#;

fn coming_in() -> Vec<Case> {
    vec![
        plain("POST /v1/auth/register", 201)
            .json(r#"{"email":"$unique@infirmary.example","password":"seven quiet herons at dusk","name":"Nell New"}"#),
        plain("POST /v1/auth/login", 200).json(r#"{"email":"$spare","password":"seven quiet herons at dusk"}"#),
        plain("POST /v1/auth/refresh", 200).json(r#"{"refreshToken":"$refresh"}"#),
        plain("POST /v1/auth/invitation", 422).json(r#"{"code":"nonsense","password":"seven quiet herons at dusk"}"#),
        plain("POST /v1/auth/otp", 202).json(r#"{"phone":"$phone","purpose":"signIn"}"#),
        case("POST /v1/auth/otp/{id}/verify", "/v1/auth/otp/$nothing/verify", 422).json(r#"{"code":"123456"}"#),
        plain("POST /v1/auth/password/reset", 422)
            .json(r#"{"proof":"nonsense","password":"seven quiet herons at dusk"}"#),
        plain("POST /v1/auth/logout", 204).fresh(&["who"]),
        plain("GET /v1/auth/sessions", 200),
        case("DELETE /v1/auth/sessions/{id}", "/v1/auth/sessions/$session", 204).fresh(&["session"]),
        plain("POST /v1/auth/password", 422)
            .json(r#"{"currentPassword":"seven quiet herons at dusk","newPassword":"short"}"#),
        plain("POST /v1/auth/reauthenticate", 200).json(PASSWORD),
        plain("GET /v1/me", 200),
        plain("PATCH /v1/me", 200).json("{}").version_of("/v1/me"),
        plain("GET /v1/auth/factors", 200),
        plain("POST /v1/auth/factors/totp", 200),
        plain("POST /v1/auth/factors/totp/confirm", 422).json(r#"{"enrolment":"nonsense","code":"123456"}"#),
        plain("POST /v1/auth/factors/totp/disable", 204).json(PASSWORD),
        plain("POST /v1/auth/factors/whatsapp", 409),
        plain("POST /v1/auth/factors/whatsapp/disable", 204).json(PASSWORD),
        plain("POST /v1/auth/factors/recovery-codes", 409),
    ]
}

fn accounts() -> Vec<Case> {
    vec![
        plain("GET /v1/accounts", 200),
        plain("POST /v1/accounts", 201)
            .json(r#"{"email":"$unique@infirmary.example","name":"Sam Staff","role":"doctor"}"#),
        case("GET /v1/accounts/{id}", "/v1/accounts/$staff", 200),
        case("PATCH /v1/accounts/{id}", "/v1/accounts/$staff", 200)
            .json(r#"{"name":"Sam Other"}"#)
            .fresh(&["staff"])
            .version_of("/v1/accounts/$staff"),
        case("DELETE /v1/accounts/{id}", "/v1/accounts/$staff", 204).fresh(&["staff"]),
        case("POST /v1/accounts/{id}/restart", "/v1/accounts/$staff/restart", 200).fresh(&["staff"]),
    ]
}

fn patients() -> Vec<Case> {
    vec![
        plain("GET /v1/patients", 200),
        case("GET /v1/patients", "/v1/patients?q=$name", 200).absent(200),
        plain("POST /v1/patients", 201).json(r#"{"name":"Nell $unique"}"#),
        case("GET /v1/patients/{id}", "/v1/patients/$patient", 200),
        case("PATCH /v1/patients/{id}", "/v1/patients/$patient", 200)
            .json(r#"{"phone":"$number"}"#)
            .version_of("/v1/patients/$patient"),
        case("GET /v1/patients/{id}/summary", "/v1/patients/$patient/summary", 200),
        case("GET /v1/patients/{id}/care-team", "/v1/patients/$patient/care-team", 200),
        case("PUT /v1/patients/{id}/care-team/{accountId}", "/v1/patients/$patient/care-team/$doctor", 204).absent(422),
        // Nobody is of the team by that name: what is restricted has tests of its own.
        case("DELETE /v1/patients/{id}/care-team/{accountId}", "/v1/patients/$patient/care-team/$nothing", 404),
        case("POST /v1/patients/{id}/emergency-access", "/v1/patients/$patient/emergency-access", 409)
            .json(r#"{"reason":"patientSafety","note":"Found unconscious"}"#),
        case("GET /v1/patients/{id}/emergency-access", "/v1/patients/$patient/emergency-access", 200),
        case("GET /v1/patients/{id}/statement", "/v1/patients/$patient/statement", 200),
        case("GET /v1/patients/{id}/statement/pdf", "/v1/patients/$patient/statement/pdf", 200),
    ]
}

const STUDY: &str = r#"{"patientId":"$patient","modality":"CT","disease":"Cough","findings":"None","confirmed":false}"#;

fn studies() -> Vec<Case> {
    vec![
        plain("GET /v1/studies", 422).but(Patient, Own, 200),
        case("GET /v1/studies", "/v1/studies?patientId=$patient", 200).absent(200),
        plain("POST /v1/studies", 201).study(STUDY).absent(422),
        case("GET /v1/studies/{id}", "/v1/studies/$study", 200),
        case("GET /v1/images/{id}", "/v1/images/$image", 200),
        case("GET /v1/images/{id}/content", "/v1/images/$image/content", 200),
        case("GET /v1/images/{id}/preview", "/v1/images/$image/preview", 200),
        case("POST /v1/images/{id}/link", "/v1/images/$image/link", 200),
        case("GET /v1/studies/{id}", "/v1/studies/$unseen_study", 200).of_a_draft(),
        case("GET /v1/images/{id}", "/v1/images/$unseen_image", 200).of_a_draft(),
        case("GET /v1/images/{id}/content", "/v1/images/$unseen_image/content", 200).of_a_draft(),
        case("GET /v1/images/{id}/preview", "/v1/images/$unseen_image/preview", 200).of_a_draft(),
        case("POST /v1/images/{id}/link", "/v1/images/$unseen_image/link", 200).of_a_draft(),
        case("GET /v1/links/{token}", "/v1/links/$link", 200).opens(),
        case("GET /v1/links/{token}/preview", "/v1/links/$link/preview", 200).opens(),
    ]
}

fn diagnoses() -> Vec<Case> {
    const AMENDMENT: &str = r#"{"reason":"A second reading","findings":"Clear on second look $unique"}"#;
    vec![
        plain("GET /v1/diagnoses", 200),
        case("GET /v1/diagnoses", "/v1/diagnoses?patientId=$patient", 200).absent(200),
        case("GET /v1/diagnoses", "/v1/diagnoses?doctorId=$doctor", 200).absent(200).but(Patient, Others, 200).but(
            Patient,
            Side::Absent,
            200,
        ),
        plain("POST /v1/diagnoses", 201)
            .json(r#"{"patientId":"$patient","disease":"Cough","findings":"None"}"#)
            .absent(422),
        case("GET /v1/diagnoses/{id}", "/v1/diagnoses/$diagnosis", 200),
        case("GET /v1/diagnoses/{id}/versions", "/v1/diagnoses/$diagnosis/versions", 200),
        case("GET /v1/diagnoses/{id}/report-data", "/v1/diagnoses/$diagnosis/report-data", 200),
        case("GET /v1/diagnoses/{id}", "/v1/diagnoses/$draft", 200).of_a_draft(),
        case("GET /v1/diagnoses/{id}/versions", "/v1/diagnoses/$draft/versions", 200).of_a_draft(),
        case("GET /v1/diagnoses/{id}/report-data", "/v1/diagnoses/$draft/report-data", 200).of_a_draft(),
        // Only its author changes a draft, and takes it back.
        case("PATCH /v1/diagnoses/{id}", "/v1/diagnoses/$draft", 200)
            .json(r#"{"findings":"Changed $unique"}"#)
            .fresh(&["draft"])
            .version_of("/v1/diagnoses/$draft")
            .but(Doctor, Others, 403),
        case("POST /v1/diagnoses/{id}/retract", "/v1/diagnoses/$draft/retract", 200)
            .json(r#"{"reason":"Another patient's"}"#)
            .fresh(&["draft"])
            .but(Doctor, Others, 403),
        case("POST /v1/diagnoses/{id}/retract", "/v1/diagnoses/$confirmed/retract", 200)
            .json(r#"{"reason":"Another patient's"}"#)
            .fresh(&["confirmed"]),
        case("POST /v1/diagnoses/{id}/confirm", "/v1/diagnoses/$draft/confirm", 200).fresh(&["draft"]),
        case("POST /v1/diagnoses/{id}/amend", "/v1/diagnoses/$confirmed/amend", 200)
            .json(AMENDMENT)
            .fresh(&["confirmed"]),
    ]
}

fn reports() -> Vec<Case> {
    vec![
        plain("GET /v1/reports", 200),
        case("GET /v1/reports", "/v1/reports?patientId=$patient", 200).absent(200),
        plain("POST /v1/reports", 201).json(r#"{"diagnosisId":"$confirmed"}"#).fresh(&["confirmed"]),
        case("GET /v1/reports/{id}", "/v1/reports/$report", 200),
        case("GET /v1/reports/{id}/pdf", "/v1/reports/$report/pdf", 200),
        case("POST /v1/reports/{id}/link", "/v1/reports/$report/link", 200),
        // Whoever has the paper learns that it is authentic, and nothing else.
        case("GET /verify/{code}", "/verify/$code", 200).absent(200),
    ]
}

fn tasks() -> Vec<Case> {
    vec![
        plain("GET /v1/tasks", 200),
        plain("POST /v1/tasks", 201)
            .json(r#"{"code":"$unique","name":"A task","price":{"amount":100,"currency":"GBP"}}"#),
        case("GET /v1/tasks/{id}", "/v1/tasks/$task", 200),
        case("PATCH /v1/tasks/{id}", "/v1/tasks/$task", 200)
            .json(r#"{"name":"A task $unique"}"#)
            .version_of("/v1/tasks/$task"),
    ]
}

fn financials() -> Vec<Case> {
    const ONE: &str = r#"{"amount":{"amount":1,"currency":"GBP"},"reason":"Too much"}"#;
    vec![
        plain("GET /v1/charges", 200),
        // A doctor gets those of their own studies, whosever charges they ask for.
        case("GET /v1/charges", "/v1/charges?patientId=$patient", 200).absent(200).but(Doctor, Others, 200).but(
            Doctor,
            Side::Absent,
            200,
        ),
        plain("POST /v1/charges", 201)
            .json(r#"{"patientId":"$patient","description":"Dressing","amount":{"amount":100,"currency":"GBP"}}"#)
            .absent(422),
        case("POST /v1/charges/{id}/void", "/v1/charges/$charge/void", 200)
            .json(r#"{"reason":"In error"}"#)
            .fresh(&["charge"]),
        plain("GET /v1/payments", 200),
        case("GET /v1/payments", "/v1/payments?patientId=$patient", 200).absent(200),
        plain("POST /v1/payments", 201)
            .json(r#"{"patientId":"$patient","amount":{"amount":1,"currency":"GBP"},"method":"cash"}"#)
            .fresh(&["charge"])
            .absent(422),
        case("GET /v1/payments/{id}", "/v1/payments/$payment", 200),
        case("GET /v1/payments/{id}/receipt", "/v1/payments/$payment/receipt", 200),
        case("POST /v1/payments/{id}/refund", "/v1/payments/$payment/refund", 201).json(ONE).fresh(&["payment"]),
        case("GET /v1/financials/summary", "/v1/financials/summary?by=day", 200),
    ]
}

fn house() -> Vec<Case> {
    vec![
        plain("GET /v1/audit", 200),
        case("GET /v1/audit", "/v1/audit?patientId=$patient", 200).absent(200),
        plain("GET /v1/audit/head", 200),
        plain("GET /v1/audit/verify", 200),
        plain("GET /v1/me/access-log", 200),
        plain("GET /v1/messages", 200),
        case("GET /v1/messages/{id}", "/v1/messages/$message", 200),
        // It waits to be sent: there is nothing to try again.
        case("POST /v1/messages/{id}/retry", "/v1/messages/$message/retry", 409),
        // This house has no such webhook.
        case(
            "GET /v1/webhooks/whatsapp",
            "/v1/webhooks/whatsapp?hub.mode=subscribe&hub.verify_token=x&hub.challenge=y",
            404,
        ),
        plain("POST /v1/webhooks/whatsapp", 404).json("{}"),
        plain("GET /health/live", 200),
        plain("GET /health/ready", 200),
    ]
}

/// Its applications know a refused value as 400.
fn replaced_system() -> Vec<Case> {
    const LOGIN: &str = r#"{"Email":"$spare","password":"seven quiet herons at dusk"}"#;
    const UPLOAD: &str = r#"{"image":"$jpeg","imgName":"a.jpg","patientID":"$patient","doctorID":"$doctor",
        "classification":"X-Ray","disease":"Cough","diagnosis":"None","conditions":"None","docConfirmation":true}"#;
    vec![
        plain("POST /api/auth/login", 201).json(LOGIN),
        plain("POST /api/auth/login/", 201).json(LOGIN),
        plain("POST /api/auth/refresh", 201).json(LOGIN),
        plain("POST /api/auth/login/refresh", 201).json(LOGIN),
        plain("POST /api/auth/register/createUser", 201).json(
            r#"{"Email":"$unique@infirmary.example","password":"seven quiet herons at dusk","Address1":"A street",
                "Name":"Nell New","accountType":"admin","phoneNum":$digits}"#,
        ),
        plain("POST /api/auth/otp/createOTP", 200).json(r#"{"phone":"$digits"}"#),
        plain("POST /api/auth/otp/verifyOTP", 400)
            .json(r#"{"phone":"$digits","otp":"123456","hash":"$nothing.9999999999999"}"#),
        plain("GET /api/userdata/user/data", 200),
        case("GET /api/userdata/user/getAllPatients/{text}", "/api/userdata/user/getAllPatients/$name", 200)
            .absent(200),
        case("GET /api/user/getUser/{text}", "/api/user/getUser/$name", 200).absent(200),
        plain("DELETE /api/auth/deleteUser", 200).json(r#"{"uid":"$staff"}"#).fresh(&["staff"]),
        plain("DELETE /api/auth/deleteUser/deleteUser", 200).json(r#"{"uid":"$staff"}"#).fresh(&["staff"]),
        plain("PUT /api/user/updateAccType", 200)
            .json(r#"{"pID":"$staff","accountType":"accountant"}"#)
            .fresh(&["staff"]),
        plain("POST /api/doctor/uploadIMG", 200).json(UPLOAD).absent(400),
        case("GET /api/diagnosis/getDiagnosis/{patientID}", "/api/diagnosis/getDiagnosis/$patient", 200).absent(200),
        case(
            "GET /api/patient/getPatientDiagnosisDetails/{patientID}",
            "/api/patient/getPatientDiagnosisDetails/$patient",
            200,
        )
        .absent(200),
        case(
            "GET /api/diagnosis/getDiagnosisDetails/{diagnosisID}",
            "/api/diagnosis/getDiagnosisDetails/$diagnosis",
            200,
        ),
        case("GET /api/diagnosis/getDiagnosisDetails/{diagnosisID}", "/api/diagnosis/getDiagnosisDetails/$draft", 200)
            .of_a_draft(),
        case("GET /api/report/getReportData/{diagnosisID}", "/api/report/getReportData/$diagnosis", 200),
        case("GET /api/report/getReportData/{diagnosisID}", "/api/report/getReportData/$draft", 200).of_a_draft(),
        plain("GET /api/patient/getNumberDiagnosis", 200),
        plain("GET /api/patient/getNumberTransactions", 200),
        plain("POST /api/report/upload", 200)
            .json(r#"{"file":"$pdf","fileName":"r.pdf","patientID":"$patient","diagnosisID":"$confirmed"}"#)
            .fresh(&["confirmed"]),
        case("GET /api/report/getReportPatient/{patientID}", "/api/report/getReportPatient/$patient", 200).absent(200),
        case("GET /api/patient/getPatientPayments/{patientID}", "/api/patient/getPatientPayments/$patient", 200)
            .absent(200),
        plain("PUT /api/financial/setIsPaid", 200).json(r#"{"fID":"$charge","pID":"$patient"}"#).fresh(&["charge"]),
        plain("GET /api/tasks", 200),
        plain("POST /api/tasks", 201).json(r#"{"taskName":"$unique","Desc":"A task","Cost":12}"#),
        case("GET /api/files/{id}", "/api/$file", 200).opens(),
    ]
}
