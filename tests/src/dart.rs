//! The HTTP client of the replaced system's application, byte for byte: `package:http` 1.x on `dart:io`.

use std::{collections::HashMap, net::SocketAddr};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// Somebody with the application in their hand.
#[derive(Clone)]
pub struct Dart {
    pub address: SocketAddr,
    /// Empty: not signed in.
    pub token: String,
    pub uid: String,
}

/// An answer, as the application reads it.
#[derive(Debug, Clone)]
pub struct Heard {
    pub status: u16,
    pub headers: HashMap<String, String>,
    pub bytes: Vec<u8>,
}

impl Dart {
    pub fn new(address: SocketAddr) -> Self {
        Self { address, token: String::new(), uid: String::new() }
    }

    /// Signs in with the token of an answer, out of which it reads who it is.
    #[must_use]
    pub fn holding(&self, token: &str) -> Self {
        let uid = Self::claims(token)["user_id"].as_str().unwrap().to_owned();
        Self { token: token.to_owned(), uid, ..self.clone() }
    }

    /// What the application reads in a token.
    pub fn claims(token: &str) -> Value {
        let payload = token.split('.').nth(1).unwrap();
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap()
    }

    pub async fn sign_in(&self, email: &str, password: &str) -> Self {
        let body = serde_json::json!({"Email": email, "password": password, "fcmToken": "f3kL:APA91b"});
        self.holding(&self.post("/api/auth/login/", &body).await.text(201))
    }

    pub async fn get(&self, path: &str) -> Heard {
        self.send("GET", path, None).await
    }

    pub async fn post(&self, path: &str, body: &Value) -> Heard {
        self.send("POST", path, Some(&body.to_string())).await
    }

    pub async fn put(&self, path: &str, body: &Value) -> Heard {
        self.send("PUT", path, Some(&body.to_string())).await
    }

    pub async fn delete(&self, path: &str, body: &Value) -> Heard {
        self.send("DELETE", path, Some(&body.to_string())).await
    }

    /// `dart:io` writes names in small letters, says that it takes gzip, and gives the length of every body, of none too.
    pub async fn send(&self, method: &str, path: &str, body: Option<&str>) -> Heard {
        let mut head = format!("{method} {path} HTTP/1.1\r\nuser-agent: Dart/3.4 (dart:io)\r\n");
        if !self.token.is_empty() {
            head += &format!("x-access-token: {}\r\n", self.token);
        }
        head += "accept-encoding: gzip\r\n";
        if !self.uid.is_empty() {
            head += &format!("uid: {}\r\n", self.uid);
        }
        head += &format!("content-length: {}\r\nhost: {}\r\n", body.map_or(0, str::len), self.address);
        if body.is_some() {
            head += "content-type: application/json; charset=utf-8\r\n";
        }
        head += "\r\n";
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(head.as_bytes()).await.unwrap();
        if let Some(body) = body {
            // Who is refused in the middle of a body reads why.
            let _ = stream.write_all(body.as_bytes()).await;
        }
        Heard::read(&mut stream).await
    }
}

impl Heard {
    async fn read(stream: &mut TcpStream) -> Self {
        let mut bytes = Vec::new();
        let end_of_head = loop {
            if let Some(place) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
                break place;
            }
            assert!(stream.read_buf(&mut bytes).await.unwrap() > 0, "the server hung up");
        };
        let head = String::from_utf8(bytes[..end_of_head].to_vec()).unwrap();
        let mut lines = head.split("\r\n");
        let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let headers: HashMap<String, String> = lines
            .map(|line| line.split_once(": ").unwrap())
            .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
            .collect();
        let mut bytes = bytes.split_off(end_of_head + 4);
        let length: usize = headers["content-length"].parse().unwrap();
        while bytes.len() < length {
            assert!(stream.read_buf(&mut bytes).await.unwrap() > 0, "the server hung up");
        }
        Self { status, headers, bytes }
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }

    /// A text for the person, with that status.
    #[track_caller]
    pub fn text(&self, status: u16) -> String {
        let text = String::from_utf8(self.bytes.clone()).unwrap();
        assert_eq!(self.status, status, "{text}");
        assert_eq!(self.header("content-type"), "text/html; charset=utf-8");
        text
    }

    #[track_caller]
    pub fn json(&self) -> Value {
        assert_eq!(self.status, 200, "{}", String::from_utf8_lossy(&self.bytes));
        assert_eq!(self.header("content-type"), "application/json; charset=utf-8");
        serde_json::from_slice(&self.bytes).unwrap()
    }
}
