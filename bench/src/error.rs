//! What can go wrong in the laboratory.

use std::fmt;
use std::io;
use std::time::Duration;

/// Why a step of a topology, a peer or a measurement failed.
#[derive(thiserror::Error)]
pub enum LabError {
    /// The caller is not root.
    #[error("network namespaces need root; run this as root, as `make test` does")]
    NotRoot,
    /// The operating system refused.
    #[error("{doing}: {source}")]
    Io {
        /// What was being done, with the name of the file or program.
        doing: String,
        /// The system's answer.
        source: io::Error,
    },
    /// A program ended with an error.
    #[error("{command}: {status}\n{output}")]
    Failed {
        /// The program and its arguments.
        command: String,
        /// How it ended.
        status: std::process::ExitStatus,
        /// Its standard output and error.
        output: String,
    },
    /// A program is not installed.
    #[error("{program}: not found; {remedy}")]
    Missing {
        /// The program's name.
        program: String,
        /// What brings it.
        remedy: &'static str,
    },
    /// What was awaited did not happen in time.
    #[error("{what}: not within {} ms", limit.as_millis())]
    Late {
        /// What was awaited, and how far it came.
        what: String,
        /// How long it was awaited.
        limit: Duration,
    },
    /// A program's output has not the expected form.
    #[error("{program}: its output has no {expected}:\n{output}")]
    Unreadable {
        /// The program's name.
        program: &'static str,
        /// What was looked for.
        expected: &'static str,
        /// What it printed.
        output: String,
    },
    /// The API answered otherwise than expected.
    #[error("{request}: answered {status}: {body}")]
    Answered {
        /// The request's method and path.
        request: String,
        /// The answer's status.
        status: u16,
        /// The answer's body.
        body: String,
    },
    /// Bytes arrived, but not those that were sent.
    #[error("transfer with seed {seed}: {received} of {sent} bytes arrived, and their checksum differs")]
    Corrupt {
        /// The seed of the bytes sent.
        seed: u64,
        /// Bytes sent.
        sent: u64,
        /// Bytes received.
        received: u64,
    },
}

/// The words of `Display`: a test that unwraps an error shows this form, and people read it.
impl fmt::Debug for LabError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl LabError {
    /// Names what was being done when the system refused; for `map_err`.
    pub(crate) fn io(doing: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let doing = doing.into();
        move |source| Self::Io { doing, source }
    }
}
