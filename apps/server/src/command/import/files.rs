//! Files of the replaced system, taken in as an upload is: sniffed, decoded, hashed.

use futures_util::TryStreamExt;
use infirmary_imaging::{ReceiveImage, ReceivedImage};
use infirmary_kernel::{FileName, StoreError};
use infirmary_objects::{ForeignFile, ForeignFiles};
use infirmary_reports::{ReceivePdf, ReceivedPdf, ReportError};

pub struct Files {
    /// Absent: rows are taken without.
    pub source: Option<ForeignFiles>,
    pub images: ReceiveImage,
    pub pdfs: ReceivePdf,
}

/// Why a file is not taken.
pub enum NoFile {
    /// None was asked for: the import runs without files.
    Without,
    /// It is the row's or the file's fault; a clause for people.
    Refused(String),
    Store(StoreError),
}

impl From<StoreError> for NoFile {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl Files {
    pub async fn image(&self, url: &str) -> Result<ReceivedImage, NoFile> {
        let (name, file) = self.open("images", url).await?;
        let refused = |error: &dyn std::error::Error| NoFile::Refused(format!("its image cannot be taken: {error}"));
        let mut intake = self.images.begin_by_operator();
        let mut content = file.content;
        while let Some(chunk) = content.try_next().await? {
            intake.write(chunk).await.map_err(|error| refused(&error))?;
        }
        let received = intake.finish().await.map_err(|error| refused(&error))?;
        Ok(received.known_as(&name))
    }

    pub async fn pdf(&self, url: &str) -> Result<ReceivedPdf, NoFile> {
        let (name, file) = self.open("reports", url).await?;
        let received = self.pdfs.run_by_operator(file.content).await.map_err(|error| match error {
            ReportError::Refused(refusal) => NoFile::Refused(format!("its file {refusal}")),
            error => NoFile::Refused(format!("its file cannot be taken: {error}")),
        })?;
        Ok(ReceivedPdf { file_name: FileName::of_upload(&name), ..received })
    }

    async fn open(&self, folder: &str, url: &str) -> Result<(String, ForeignFile), NoFile> {
        let Some(source) = &self.source else { return Err(NoFile::Without) };
        let name = name_of(folder, url);
        match source.open(folder, &name).await? {
            Some(file) => Ok((name, file)),
            None => Err(NoFile::Refused(format!("its file is not in {folder}/"))),
        }
    }
}

/// The name within the folder: of a bare name, of one with its folder, or of a whole address.
fn name_of(folder: &str, url: &str) -> String {
    let path = url.split(['?', '#']).next().unwrap_or_default();
    let name = match path.rsplit_once(&format!("{folder}/")) {
        Some((_, name)) => name,
        None if path.contains("://") => path.rsplit('/').next().unwrap_or_default(),
        None => path,
    };
    let name = if url.contains("://") { decoded(name) } else { name.to_owned() };
    name.trim_start_matches('/').to_owned()
}

/// RFC 3986 §2.1.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, behind)) = rest.split_first() {
        let digits = behind.get(..2).and_then(|pair| std::str::from_utf8(pair).ok());
        match digits.and_then(|pair| u8::from_str_radix(pair, 16).ok()).filter(|_| byte == b'%') {
            Some(escaped) => {
                bytes.push(escaped);
                rest = &behind[2..];
            }
            None => {
                bytes.push(byte);
                rest = behind;
            }
        }
    }
    String::from_utf8(bytes).unwrap_or_else(|_| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_named_in_whatever_way_the_row_names_it() {
        for url in [
            "a b.png",
            "images/a b.png",
            "/images/a b.png",
            "https://storage.example/bucket/images/a%20b.png?alt=media",
            "https://storage.example/a%20b.png",
        ] {
            assert_eq!(name_of("images", url), "a b.png", "{url}");
        }
        assert_eq!(name_of("images", "100%.png"), "100%.png");
    }
}
