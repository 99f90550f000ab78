//! The body of a study upload. An input is a line with the `Content-Type`, and the body.

use std::{convert::Infallible, pin::Pin};

use actix_web::{
    FromRequest, dev::Payload, error::PayloadError, http::header::HeaderValue, test::TestRequest, web::Bytes,
};
use futures_util::{Stream, StreamExt, stream};
use infirmary_kernel::FileName;
use infirmary_server::http::{problem::Problem, upload::Upload};

use super::{RUNTIME, lines, plain};
use crate::harness::Target;

pub const TARGET: Target = Target {
    name: "multipart",
    run,
    seeds,
    words: &[
        b"--b\r\n",
        b"--b--",
        b"\r\n\r\n",
        b"\r\n--b",
        b"Content-Disposition: form-data; name=\"image\"; filename=\"a.png\"\r\n",
        b"; filename*=UTF-8''%D9%88",
        b"; name=\"study\"",
        b"Content-Type: image/png\r\n",
        b"Content-Transfer-Encoding: base64\r\n",
        b"Content-Length: 3\r\n",
        b"boundary=",
        b"multipart/form-data; boundary=b\n",
    ],
    max_bytes: 16 * 1024,
    max_mib: 8,
    changes: 600,
};

const MAX_BODY_BYTES: u64 = 12 * 1024;

#[derive(Debug, PartialEq, Eq)]
struct ReadPart {
    name: String,
    file_name: Option<String>,
    declared_type: Option<String>,
    bytes: Vec<u8>,
}

fn run(input: &[u8]) -> String {
    let [content_type, body] = lines(input);
    let Ok(content_type) = HeaderValue::from_bytes(content_type) else { return "not a header".to_owned() };
    let whole = read(&content_type, body, body.len().max(1));
    // However the network cuts it.
    for chunk_bytes in [1, 7, 64] {
        let cut = read(&content_type, body, chunk_bytes);
        match (&whole, &cut) {
            (Ok(whole), Ok(cut)) => assert_eq!(whole, cut, "in chunks of {chunk_bytes}"),
            (Err(_), Err(_)) => {}
            // What follows the last boundary is read, and counted, only where it came along with it.
            (Err(_), Ok(_)) | (Ok(_), Err(_)) if body.len() as u64 > MAX_BODY_BYTES => {}
            _ => panic!("{whole:?} as a whole, {cut:?} in chunks of {chunk_bytes}"),
        }
    }
    match whole {
        Ok(parts) => {
            assert!(parts.iter().map(|part| part.bytes.len()).sum::<usize>() <= body.len());
            let shown = parts.iter().filter_map(|part| FileName::of_upload(part.file_name.as_deref()?)).count();
            let (named, typed) = (
                parts.iter().filter(|part| !part.name.is_empty()).count(),
                parts.iter().filter(|part| part.declared_type.is_some()).count(),
            );
            format!("{} parts, {named} named, {shown} with the name of a file, {typed} with a type", parts.len())
        }
        Err(problem) => {
            assert!((400..500).contains(&problem.kind().status().as_u16()), "{problem:?}");
            plain(&format!("{problem:?}"))
        }
    }
}

fn read(content_type: &HeaderValue, body: &[u8], chunk_bytes: usize) -> Result<Vec<ReadPart>, Problem> {
    let chunks: Vec<Bytes> = body.chunks(chunk_bytes).map(Bytes::copy_from_slice).collect();
    let body = stream::iter(chunks).map(Ok::<_, Infallible>).map(|chunk| Ok(chunk.unwrap_or_default()));
    let body: Pin<Box<dyn Stream<Item = Result<Bytes, PayloadError>>>> = Box::pin(body);
    let request =
        TestRequest::post().uri("/v1/studies").insert_header(("content-type", content_type)).to_http_request();
    RUNTIME.block_on(async {
        let mut parts = Upload::from_request(&request, &mut Payload::from(body)).await?.within(MAX_BODY_BYTES)?;
        let mut read = Vec::new();
        while let Some(mut part) = parts.next().await? {
            let (name, file_name, declared_type) = (part.name().to_owned(), part.file_name(), part.declared_type());
            let mut bytes = Vec::new();
            while let Some(chunk) = part.chunk().await? {
                bytes.extend_from_slice(&chunk);
            }
            read.push(ReadPart { name, file_name, declared_type, bytes });
        }
        Ok(read)
    })
}

fn seeds() -> Vec<Vec<u8>> {
    let study =
        r#"{"patientId":"0198c1f0-7c3e-7d0a-9c55-3f1d2b6a4e10","modality":"CT","disease":"Pneumonia","findings":""}"#;
    let body = format!(
        "--b\r\nContent-Disposition: form-data; name=\"study\"\r\n\r\n{study}\r\n\
         --b\r\nContent-Disposition: form-data; name=\"image\"; filename=\"a.png\"\r\nContent-Type: image/png\r\n\r\n\
         \u{89}PNG\r\n\u{1a}\n--not the end\r\n\r\n--b--\r\n"
    );
    let named = "--b\r\ncontent-disposition: form-data; name=\"image\"; filename=\"_.png\"; filename*=UTF-8''%D9%88%DB%8E%D9%86%DB%95.png\r\n\r\nx\r\n--b--";
    vec![
        format!("multipart/form-data; boundary=b\n{body}").into_bytes(),
        format!("Multipart/Form-Data; charset=utf-8; boundary=\"b\"\npreamble\r\n{body}epilogue").into_bytes(),
        format!("multipart/form-data; boundary=b\n{named}").into_bytes(),
        b"multipart/form-data; boundary=b\n--b--\r\n".to_vec(),
        b"application/json\n{}".to_vec(),
    ]
}
