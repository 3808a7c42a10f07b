//! Why a command ends without having done what it was asked.

use std::io;
use std::path::{Path, PathBuf};
use weir_config::allocate::AllocateError;
use weir_config::edit::EditError;
use weir_config::problem::Problems;

/// What every command returns: its exit code, or a failure that `main` prints before it exits with 1.
pub type Outcome<T = std::process::ExitCode> = Result<T, Failure>;

/// A failure in words that name what was wrong and what was expected.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// A file says something wrong.
    #[error(transparent)]
    Problems(#[from] Problems),
    /// A file could not be read or written.
    #[error("{}: {doing}: {error}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What was tried.
        doing: &'static str,
        /// What the system said.
        error: io::Error,
    },
    /// The configuration cannot be changed as asked.
    #[error("{}: {error}", path.display())]
    Edit {
        /// The file.
        path: PathBuf,
        /// Why.
        error: EditError,
    },
    /// No address is free.
    #[error("{}: {error}", path.display())]
    Allocate {
        /// The configuration.
        path: PathBuf,
        /// Why.
        error: AllocateError,
    },
    /// The data plane could not be asked.
    #[error(transparent)]
    Ipc(#[from] crate::ipc::IpcError),
    /// The control process could not be asked, or refused.
    #[error(transparent)]
    Control(#[from] crate::control::ControlError),
    /// Given up at a prompt.
    #[error("given up; nothing was changed")]
    GivenUp,
    /// Standard output or input failed.
    #[error("standard input or output: {0}")]
    Stdio(io::Error),
    /// No randomness.
    #[error("the kernel gives no random bytes: {0}")]
    Random(getrandom::Error),
    /// Anything else a person can mend.
    #[error("{0}")]
    Said(String),
}

impl Failure {
    /// For `map_err` on whatever touches a file.
    pub fn file(path: &Path, doing: &'static str) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |error| Failure::File { path, doing, error }
    }
}
