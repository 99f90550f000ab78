use std::{
    error::Error,
    io,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use crate::{archive::ArchiveError, wiring::StartError};

/// Why a command did not do what it was asked for.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    #[error("the command line is refused: {0}")]
    Argument(String),
    #[error("the standard input cannot be read")]
    Input(#[source] io::Error),
    #[error("the standard output cannot be written")]
    Output(#[source] io::Error),
    #[error(transparent)]
    Start(#[from] StartError),
    #[error("cannot listen on {address}")]
    Listen { address: SocketAddr, source: io::Error },
    #[error("the server stopped")]
    Serve(#[source] io::Error),
    #[error("it was not done: {0}")]
    UseCase(String),
    #[error("the database to import from cannot be read; see that it runs, and that --from is its address")]
    Source(#[source] Box<mongodb::error::Error>),
    #[error("{path} cannot be used")]
    File { path: PathBuf, source: io::Error },
    #[error("{path} exists already, and nothing is written over it; give another name, or remove it if it is nobody's")]
    Exists { path: PathBuf },
    #[error("the house is not empty: {path} is there; restore into another INFIRMARY_DATA_DIR")]
    NotEmpty { path: PathBuf },
    #[error(
        "a database of MongoDB is not put into an archive: back it up with `mongodump --oplog` (a snapshot of the disks is \
         as good) and bring it back with `mongorestore --oplogReplay`; keep old versions in the bucket, or copy the folder \
         of objects after the database; and keep a copy of the secrets apart. The chapter \"Many machines\" of the \
         operator's guide has it step by step"
    )]
    NotByArchive,
    #[error("{path} is refused")]
    Archive { path: PathBuf, source: ArchiveError },
    #[error("{findings} found that must not be; the standard output has the list")]
    NotClean { findings: u64 },
}

impl CommandError {
    pub fn argument(error: impl std::fmt::Display) -> Self {
        Self::Argument(error.to_string())
    }

    pub fn input(error: io::Error) -> Self {
        Self::Input(error)
    }

    pub fn output(error: io::Error) -> Self {
        Self::Output(error)
    }

    pub fn file(path: &Path, source: io::Error) -> Self {
        Self::File { path: path.to_owned(), source }
    }

    pub fn use_case(error: impl Error) -> Self {
        let mut text = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            text = format!("{text}: {cause}");
            source = cause.source();
        }
        Self::UseCase(text)
    }
}
