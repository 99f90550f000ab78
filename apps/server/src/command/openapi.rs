use std::io::{self, Write};

use crate::http;

pub fn run() -> io::Result<()> {
    let document = http::openapi(true).to_pretty_json().map_err(io::Error::other)?;
    writeln!(io::stdout(), "{document}")
}
