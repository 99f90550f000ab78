//! What holds of every answer and every request, whoever asks for what; where the framework answers, too.

use std::time::Duration;

use actix_web::{
    App as ActixApp, HttpResponse,
    body::to_bytes,
    dev::Service,
    middleware,
    test::{TestRequest, init_service},
    web,
};
use infirmary_server::{
    http::edge,
    wiring::{self, HashCost},
};
use infirmary_tests::{Answer, PASSWORD, TestApp, User, config};
use reqwest::{Method, RequestBuilder, StatusCode};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

const HEADERS: [(&str, &str); 5] = [
    ("strict-transport-security", "max-age=63072000; includeSubDomains"),
    ("x-content-type-options", "nosniff"),
    ("content-security-policy", "default-src 'none'; frame-ancestors 'none'"),
    ("referrer-policy", "no-referrer"),
    ("cache-control", "no-store"),
];

/// Words by which a parser, a database or the framework would tell of the inside.
const OF_THE_INSIDE: [&str; 20] = [
    "serde",
    "at line",
    "column",
    "invalid type",
    "expected value",
    "expected ident",
    "eof while",
    "trailing characters",
    "recursion limit",
    "actix",
    "hyper",
    "sqlite",
    "rusqlite",
    "panicked",
    "utf-8 sequence",
    "utf8error",
    "deserialize",
    "multipart error",
    "boundary",
    ".rs:",
];

fn is_dressed(answer: &Answer, told: &str) {
    for (name, value) in HEADERS {
        assert_eq!(answer.header(name), value, "{told}: {name}");
    }
    assert_eq!(answer.header("x-request-id").len(), 36, "{told}");
    assert_eq!(answer.header("server"), "", "{told}");
}

fn tells_nothing_of_the_inside(answer: &Answer, told: &str) {
    let said = String::from_utf8_lossy(&answer.bytes).to_lowercase();
    let found = OF_THE_INSIDE.iter().find(|word| said.contains(**word));
    assert_eq!(found, None, "{told}: {said}");
}

#[tokio::test]
async fn answers_of_every_status_have_the_headers_and_an_id() {
    let app = TestApp::start().await;
    let (admin, nobody) = (app.as_admin(), app.nobody());
    let me = app.get(&admin, "/v1/me").await;
    let json = |body: &'static str| {
        move |request: RequestBuilder| request.header("content-type", "application/json").body(body)
    };
    let etag = me.etag().to_owned();
    let stale = move |request: RequestBuilder| json("{}")(request).header("if-match", "\"99\"");
    let again = || json("{\"code\":\"XR\",\"name\":\"x\",\"price\":{\"amount\":1,\"currency\":\"GBP\"}}");
    let patient = json("{\"name\":\"Ada\"}");
    let plain = |request: RequestBuilder| request;
    let large = |request: RequestBuilder| {
        request.header("content-type", "application/json").body(format!("\"{}\"", "x".repeat(64 * 1024)))
    };
    let head = |request: RequestBuilder| request.header("x-long", "x".repeat(16 * 1024));
    let text = |request: RequestBuilder| request.header("content-type", "text/plain").body("x");
    let answers = [
        (200, me),
        (201, app.send(&admin, Method::POST, "/v1/patients", patient).await),
        (204, app.post(&app.as_patient().await, "/v1/auth/logout", &json!({})).await),
        (400, app.send(&admin, Method::POST, "/v1/patients", json("{")).await),
        (401, app.get(&nobody, "/v1/me").await),
        (403, app.get(&admin, "/v1/me/access-log").await),
        (404, app.get(&nobody, "/nowhere").await),
        (404, app.get(&nobody, "/api/nowhere").await),
        (403, app.get(&nobody, "/api/tasks").await),
        (405, app.send(&nobody, Method::PUT, "/v1/me", plain).await),
        (405, app.send(&nobody, Method::from_bytes(b"BREW").unwrap(), "/v1/me", plain).await),
        (409, app.send(&admin, Method::POST, "/v1/tasks", again()).await),
        (412, app.send(&admin, Method::PATCH, "/v1/me", stale).await),
        (413, app.send(&admin, Method::POST, "/v1/patients", large).await),
        (415, app.send(&admin, Method::POST, "/v1/patients", text).await),
        (422, app.send(&admin, Method::POST, "/v1/patients", json("{}")).await),
        (428, app.send(&admin, Method::PATCH, "/v1/me", json("{}")).await),
        (431, app.send(&admin, Method::GET, "/v1/me", head).await),
        (200, app.send(&admin, Method::PATCH, "/v1/me", |request| json("{}")(request).header("if-match", etag)).await),
    ];
    for (status, answer) in &answers {
        let told = format!("{status} {}", String::from_utf8_lossy(&answer.bytes));
        assert_eq!(answer.status.as_u16(), *status, "{told}");
        is_dressed(answer, &told);
        tells_nothing_of_the_inside(answer, &told);
    }
    let ids: std::collections::HashSet<_> = answers.iter().map(|(_, answer)| answer.header("x-request-id")).collect();
    assert_eq!(ids.len(), answers.len(), "an id is of one request");
    let named = app.send(&nobody, Method::GET, "/v1/me", |request| request.header("x-request-id", "mine")).await;
    assert_eq!(named.header("x-request-id").len(), 36, "the id is made here");
}

#[actix_web::test]
async fn a_panic_and_what_the_framework_refuses_are_answered_in_our_form() {
    let folder = tempfile::tempdir().unwrap();
    let wired = wiring::wire(&config(folder.path(), &[]), HashCost(4)).await.unwrap();
    async fn panics() -> HttpResponse {
        panic!("canary of a panic")
    }
    async fn fails() -> Result<HttpResponse, actix_web::Error> {
        Err(actix_web::error::ErrorInternalServerError("canary of a failure"))
    }
    async fn parses(_: web::Json<Vec<u8>>, _: web::Query<std::collections::HashMap<String, u8>>) -> HttpResponse {
        HttpResponse::Ok().finish()
    }
    let app = init_service(
        ActixApp::new()
            .app_data(web::Data::new(wired.app))
            .wrap(middleware::from_fn(edge::edge))
            .route("/panics", web::get().to(panics))
            .route("/fails", web::get().to(fails))
            .route("/parses", web::post().to(parses)),
    )
    .await;
    for (request, expected) in [
        (TestRequest::get().uri("/panics"), 500),
        (TestRequest::get().uri("/fails"), 500),
        (TestRequest::post().uri("/parses").insert_header(("content-type", "application/json")).set_payload("{"), 400),
        (TestRequest::post().uri("/parses?a=b").set_json([1]), 400),
    ] {
        // Where the request is gone, the answer comes as an error, which the server writes as it is.
        let answer = match app.call(request.to_request()).await {
            Ok(answer) => answer.into_parts().1,
            Err(error) => error.error_response(),
        };
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        let body = to_bytes(answer.into_body()).await.unwrap();
        assert_eq!(status, expected);
        for (name, value) in HEADERS {
            assert_eq!(headers.get(name).map(|value| value.to_str().unwrap()), Some(value), "{name}");
        }
        let problem: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(
            (&problem["status"], &problem["instance"]),
            (&json!(expected), &json!(headers.get("x-request-id").unwrap().to_str().unwrap()))
        );
        assert!(!problem.to_string().contains("canary"), "{problem}");
    }
}

#[tokio::test]
async fn a_browser_may_call_from_the_listed_origins_and_from_no_other() {
    const LISTED: &str = "https://app.infirmary.example";
    let (open, closed) = (TestApp::start_with(&[("INFIRMARY_CORS_ORIGINS", LISTED)]).await, TestApp::start().await);
    let ask = async |app: &TestApp, method: Method, origin: &str| {
        app.send(&app.nobody(), method.clone(), "/health/live", |request| {
            let request = request.header("origin", origin);
            if method == Method::OPTIONS { request.header("access-control-request-method", "GET") } else { request }
        })
        .await
    };
    for method in [Method::GET, Method::OPTIONS] {
        let answer = ask(&open, method.clone(), LISTED).await;
        assert_eq!(answer.status, StatusCode::OK);
        assert_eq!(answer.header("access-control-allow-origin"), LISTED);
        assert_eq!(answer.header("access-control-allow-credentials"), "", "whoever calls sends a token");
        is_dressed(&answer, "cors");
        for other in [
            "https://app.infirmary.example.evil.example",
            "https://evil-app.infirmary.example",
            "https://infirmary.example",
            "http://app.infirmary.example",
            "https://app.infirmary.example:8443",
            "https://app.infirmary.example/",
            "null",
            "*",
            "https://evil.example",
        ] {
            let answer = ask(&open, method.clone(), other).await;
            assert_eq!(answer.header("access-control-allow-origin"), "", "{method} {other}");
        }
        for origin in [LISTED, "https://infirmary.example", "null"] {
            let answer = ask(&closed, method.clone(), origin).await;
            assert_eq!(answer.header("access-control-allow-origin"), "", "{method} {origin}");
        }
    }
}

#[tokio::test]
async fn where_a_request_comes_from_only_listed_proxies_may_say() {
    let seen = async |app: &TestApp, forwarded: &[&str]| {
        let patient = app.as_patient().await;
        let body = json!({"email": patient.email, "password": PASSWORD});
        let build = |request: RequestBuilder| {
            forwarded.iter().fold(request.json(&body), |request, value| request.header("x-forwarded-for", *value))
        };
        let signed_in = app.send(&app.nobody(), Method::POST, "/v1/auth/login", build).await;
        let user = User::of(&signed_in.expect(StatusCode::OK));
        let sessions = app.get(&user, "/v1/auth/sessions").await.expect(StatusCode::OK);
        let mut sessions = sessions["items"].as_array().unwrap().iter();
        sessions.find(|session| session["current"] == true).unwrap()["address"].as_str().unwrap().to_owned()
    };
    const HERE: &str = "127.0.0.1";
    let app = TestApp::start().await;
    for forwarded in [&["203.0.113.9"][..], &["203.0.113.9, 127.0.0.1"], &["127.0.0.1"], &[]] {
        assert_eq!(seen(&app, forwarded).await, HERE, "{forwarded:?} from somebody who is no proxy");
    }
    let app =
        TestApp::start_with(&[("INFIRMARY_TRUSTED_PROXIES", "127.0.0.1,10.0.0.7,2001:db8::7,::ffff:10.0.0.8")]).await;
    for (forwarded, expected) in [
        (&[][..], HERE),
        (&["203.0.113.9"], "203.0.113.9"),
        // What stands before the last that is no proxy, the client wrote.
        (&["198.51.100.1, 203.0.113.9"], "203.0.113.9"),
        (&["198.51.100.1,203.0.113.9,10.0.0.7"], "203.0.113.9"),
        (&["198.51.100.1, 203.0.113.9", "10.0.0.7, 127.0.0.1"], "203.0.113.9"),
        (&["10.0.0.7, 10.0.0.7"], HERE),
        (&["2001:db8::1"], "2001:db8::1"),
        (&["203.0.113.9, 2001:db8:0::7"], "203.0.113.9"),
        (&["203.0.113.9, 10.0.0.8"], "203.0.113.9"),
        (&["::ffff:203.0.113.9"], "203.0.113.9"),
        (&["203.0.113.9, ::ffff:10.0.0.7"], "203.0.113.9"),
        // What is no address ends the chain: nobody vouches for what stands before it.
        (&["203.0.113.9, nonsense"], HERE),
        (&["nonsense, 203.0.113.9"], "203.0.113.9"),
        (&["203.0.113.9:443"], HERE),
        (&["'; DROP TABLE sessions; --"], HERE),
        (&[""], HERE),
    ] {
        assert_eq!(seen(&app, forwarded).await, expected, "{forwarded:?}");
    }
}

#[tokio::test]
async fn another_method_is_405_and_names_those_that_are_served_at_every_address() {
    let app = TestApp::start().await;
    let document = app.get(&app.nobody(), "/openapi.json").await.expect(StatusCode::OK);
    let filled = |path: &str| {
        path.split('/').map(|part| if part.starts_with('{') { "x" } else { part }).collect::<Vec<_>>().join("/")
    };
    let mut refused = 0;
    for (path, item) in document["paths"].as_object().unwrap() {
        let served: Vec<String> = item.as_object().unwrap().keys().map(|method| method.to_uppercase()).collect();
        for method in ["GET", "POST", "PATCH", "PUT", "DELETE", "TRACE", "BREW"] {
            if served.iter().any(|served| served == method) {
                continue;
            }
            let asked = Method::from_bytes(method.as_bytes()).unwrap();
            let answer = app.send(&app.as_admin(), asked, &filled(path), |request| request).await;
            assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED, "{method} {path}");
            answer.problem(405);
            let allowed = answer.header("allow").to_owned();
            let mut told: Vec<&str> = allowed.split(", ").filter(|method| *method != "HEAD").collect();
            told.sort_unstable();
            let mut served: Vec<&str> = served.iter().map(String::as_str).collect();
            served.sort_unstable();
            assert_eq!(told, served, "{path}");
            refused += 1;
        }
    }
    println!("{refused} methods refused");
}

/// What parsers stumble over, sent to every operation as who may: nothing of it makes a 5xx, and nothing of a parser comes
/// out.
#[tokio::test]
async fn what_parsers_stumble_over_is_refused_in_words_of_ours_by_every_operation() {
    let app = TestApp::start().await;
    let (admin, doctor, patient) = (app.as_admin(), app.as_doctor().await, app.as_patient().await);
    let document = app.get(&app.nobody(), "/openapi.json").await.expect(StatusCode::OK);
    let bodies: [(&str, &[u8]); 12] = [
        ("application/json", b""),
        ("application/json", b"{"),
        ("application/json", b"[]"),
        ("application/json", b"null"),
        ("application/json", b"\xff\xfe"),
        ("application/json", b"{\"name\":\"\\ud800\"}"),
        ("application/json", b"{\"a\":1,\"a\":1e999}"),
        ("application/json; charset=utf-7", b"{\"email\":{\"$gt\":\"\"},\"password\":[]}"),
        ("text/plain", b"{}"),
        ("multipart/form-data", b"x"),
        ("multipart/form-data; boundary=x", b"--x\r\nnonsense\r\n\r\n--x--"),
        ("application/x-www-form-urlencoded", b"a=%00"),
    ];
    let mut asked = 0;
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            if path.starts_with("/v1/auth/logout") {
                continue;
            }
            let who = match &operation["x-access"] {
                access if access["doctor"].is_string() => &doctor,
                access if access["admin"].is_string() => &admin,
                _ => &patient,
            };
            let method = Method::from_bytes(method.to_uppercase().as_bytes()).unwrap();
            let mut try_it = async |path: String, build: Box<dyn FnOnce(RequestBuilder) -> RequestBuilder>| {
                let answer = app.send(who, method.clone(), &path, build).await;
                let told = format!("{method} {path}: {}", String::from_utf8_lossy(&answer.bytes));
                assert!(!answer.status.is_server_error(), "{told}");
                if answer.status.is_client_error() {
                    tells_nothing_of_the_inside(&answer, &told);
                }
                asked += 1;
            };
            for part in ["x", "%ff", "%00", "..%2f..%2fetc%2fpasswd", "00000000-0000-0000-0000-000000000000"] {
                if path.contains('{') {
                    let filled = path.split('/').map(|own| if own.starts_with('{') { part } else { own });
                    try_it(filled.collect::<Vec<_>>().join("/"), Box::new(|request| request)).await;
                }
            }
            let plain = path.replace(['{', '}'], "");
            for query in
                ["limit=x", "limit=-1", "cursor=%ff", "cursor=AAAA", "patientId=%00", "from=yesterday", "%ff=%ff"]
            {
                if method == Method::GET {
                    try_it(format!("{plain}?{query}"), Box::new(|request| request)).await;
                }
            }
            if method != Method::GET && method != Method::DELETE {
                for (kind, body) in bodies {
                    let build = move |request: RequestBuilder| {
                        request.header("content-type", kind).header("if-match", "W/nonsense").body(body.to_vec())
                    };
                    try_it(plain.clone(), Box::new(build)).await;
                }
            }
        }
    }
    println!("{asked} requests");
}

/// What comes back until the server closes, of what is sent as it is.
async fn raw(app: &TestApp, sent: &[u8]) -> String {
    let mut stream = TcpStream::connect(app.address).await.unwrap();
    // A server that has heard enough closes while there is more to say.
    let _ = stream.write_all(sent).await;
    let mut heard = Vec::new();
    let _ = tokio::time::timeout(Duration::from_secs(30), stream.read_to_end(&mut heard)).await.expect("it closes");
    String::from_utf8(heard).unwrap()
}

/// There is no request yet that an answer could be about: a status, no body, and the connection is over.
#[tokio::test]
async fn what_is_no_http_is_refused_by_a_status_alone() {
    let app = TestApp::start().await;
    let long = format!("GET /health/live HTTP/1.1\r\nhost: x\r\nx-long: {}", "x".repeat(200_000));
    let headers = format!("GET / HTTP/1.1\r\nhost: x\r\n{}\r\n", "a: b\r\n".repeat(200));
    for (sent, status) in [
        ("NONSENSE\r\n\r\n", "400"),
        ("GET / HTTP/1.1\r\nhost: x\r\nbad header\r\n\r\n", "400"),
        ("GET / HTTP/1.1\r\n\r\n", "400"),
        ("GET / HTTP/9.9\r\nhost: x\r\n\r\n", "400"),
        ("POST /v1/auth/login HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nx", "400"),
        ("POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n", "400"),
        ("POST / HTTP/1.1\r\nhost: x\r\ncontent-length: -1\r\n\r\n", "400"),
        (&headers, "431"),
        (&long, "431"),
    ] {
        let heard = raw(&app, sent.as_bytes()).await;
        let start: String = sent.chars().take(60).collect();
        let (head, body) = heard.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{start:?}: {heard:?}"));
        assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{start:?}: {heard}");
        assert_eq!(body, "", "{start:?}");
    }
}

#[tokio::test]
async fn a_head_is_waited_for_five_seconds() {
    let app = TestApp::start().await;
    for sent in ["", "GET /health/live HTTP/1.1\r\nhost: x\r\n"] {
        let heard = raw(&app, sent.as_bytes()).await;
        assert!(heard.is_empty() || heard.starts_with("HTTP/1.1 408 "), "{heard}");
    }
}

#[tokio::test]
async fn a_json_body_has_64_kib_and_a_head_16_kib() {
    let app = TestApp::start().await;
    let admin = app.as_admin();
    // Blanks around the value count, too.
    let body = |bytes: usize| format!("{}{{}}", " ".repeat(bytes - 2));
    let send = async |body: String, chunked: bool| {
        app.send(&admin, Method::POST, "/v1/patients", |request| {
            let request = request.header("content-type", "application/json");
            if chunked {
                let chunk = Ok::<_, std::io::Error>(body.into_bytes());
                request.body(reqwest::Body::wrap_stream(futures_util::stream::iter([chunk])))
            } else {
                request.body(body)
            }
        })
        .await
    };
    for chunked in [false, true] {
        send(body(64 * 1024), chunked).await.problem(422);
        send(body(64 * 1024 + 1), chunked).await.problem(413);
    }
    let head = async |bytes: usize| {
        app.send(&admin, Method::GET, "/v1/me", |request| request.header("x-long", "x".repeat(bytes))).await
    };
    head(14 * 1024).await.expect(StatusCode::OK);
    head(16 * 1024).await.problem(431);
    app.get(&admin, &format!("/v1/patients?q={}", "x".repeat(16 * 1024))).await.problem(431);
}
