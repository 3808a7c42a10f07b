//! Asks a running data plane, over its Unix socket.

use serde::Serialize;
use serde::de::DeserializeOwned;
use std::io::{self, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;
use weir_abi::ipc::{Hello, MESSAGE_MAX, Reply, Request};
use weir_abi::status::Status;

/// How long the data plane may take to answer; a reload resolves names first.
const ANSWER_WAIT: Duration = Duration::from_secs(30);

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum IpcError {
    /// Nobody listens.
    #[error("no data plane runs interface {interface} ({} does not answer); start one with `weir run`", path.display())]
    NotRunning {
        /// The interface.
        interface: String,
        /// Its socket.
        path: PathBuf,
    },
    /// The socket is another user's.
    #[error("{}: permission denied; run this as root", .0.display())]
    Denied(PathBuf),
    /// The connection broke.
    #[error("{}: {error}", path.display())]
    Io {
        /// The socket.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// The other side is of another version.
    #[error(
        "the data plane speaks version {theirs} of the protocol and this program {ours}; install the same version of both"
    )]
    Version {
        /// The data plane's.
        theirs: u16,
        /// This program's.
        ours: u16,
    },
    /// Bytes that are no message.
    #[error("the data plane's answer cannot be read; install the same version of both programs")]
    Unreadable,
    /// The data plane refused.
    #[error("the data plane refused: {0}")]
    Refused(String),
}

/// The interfaces that have a socket in `directory`, sorted.
pub fn interfaces(directory: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(directory) else {
        return Vec::new();
    };
    let name = |entry: io::Result<std::fs::DirEntry>| {
        Some(
            entry
                .ok()?
                .file_name()
                .to_str()?
                .strip_suffix(".sock")?
                .to_owned(),
        )
    };
    let mut names: Vec<String> = entries.filter_map(name).collect();
    names.sort();
    names
}

/// The status of an interface.
pub fn status(directory: &Path, interface: &str, peers: bool) -> Result<Status, IpcError> {
    match request(directory, interface, &Request::Status { peers })? {
        Reply::Status(status) => Ok(*status),
        reply => Err(refusal(reply)),
    }
}

/// Has the configuration read again. `Ok(false)` where no data plane runs the interface.
pub fn reload(directory: &Path, interface: &str) -> Result<bool, IpcError> {
    match request(directory, interface, &Request::Reload) {
        Ok(Reply::Done(_)) => Ok(true),
        Ok(reply) => Err(refusal(reply)),
        Err(IpcError::NotRunning { .. }) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Whether somebody listens and may be asked.
pub fn reachable(directory: &Path, interface: &str) -> Result<bool, IpcError> {
    match connect(directory, interface) {
        Ok(_) => Ok(true),
        Err(IpcError::NotRunning { .. }) => Ok(false),
        Err(error) => Err(error),
    }
}

fn refusal(reply: Reply) -> IpcError {
    match reply {
        Reply::Refused(refusal) => IpcError::Refused(refusal.to_string()),
        Reply::Failed(why) => IpcError::Refused(why),
        Reply::Status(_)
        | Reply::Done(_)
        | Reply::Declared(_)
        | Reply::Peers(_)
        | Reply::Events(_)
        | Reply::Probed(_) => IpcError::Unreadable,
    }
}

/// Where the data plane of `interface` listens.
pub fn socket(directory: &Path, interface: &str) -> PathBuf {
    directory.join(format!("{interface}.sock"))
}

fn connect(directory: &Path, interface: &str) -> Result<UnixStream, IpcError> {
    let path = socket(directory, interface);
    UnixStream::connect(&path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => IpcError::NotRunning {
            interface: interface.to_owned(),
            path,
        },
        io::ErrorKind::PermissionDenied => IpcError::Denied(path),
        _ => IpcError::Io { path, error },
    })
}

fn request(directory: &Path, interface: &str, request: &Request) -> Result<Reply, IpcError> {
    let mut stream = connect(directory, interface)?;
    let exchange = |stream: &mut UnixStream| -> io::Result<Result<Reply, IpcError>> {
        stream.set_read_timeout(Some(ANSWER_WAIT))?;
        stream.set_write_timeout(Some(ANSWER_WAIT))?;
        send(
            stream,
            &Hello {
                version: weir_abi::VERSION,
            },
        )?;
        let Some(hello) = receive::<Hello>(stream)? else {
            return Ok(Err(IpcError::Unreadable));
        };
        if hello.version != weir_abi::VERSION {
            return Ok(Err(IpcError::Version {
                theirs: hello.version,
                ours: weir_abi::VERSION,
            }));
        }
        send(stream, request)?;
        Ok(receive(stream)?.ok_or(IpcError::Unreadable))
    };
    let outcome = exchange(&mut stream);
    outcome.unwrap_or_else(|error| {
        Err(IpcError::Io {
            path: socket(directory, interface),
            error,
        })
    })
}

fn send<T: Serialize>(stream: &mut UnixStream, message: &T) -> io::Result<()> {
    let body = postcard::to_stdvec(message).map_err(io::Error::other)?;
    let length = u32::try_from(body.len()).map_err(io::Error::other)?;
    let framed = [&length.to_le_bytes()[..], &body].concat();
    stream.write_all(&framed)
}

/// A message, or `None` for one that is too long or unreadable.
fn receive<T: DeserializeOwned>(stream: &mut UnixStream) -> io::Result<Option<T>> {
    let mut length = [0; 4];
    stream.read_exact(&mut length)?;
    let length = u32::from_le_bytes(length) as usize;
    if length > MESSAGE_MAX {
        return Ok(None);
    }
    // Grows with what really arrives, whatever length was announced.
    let mut body = Vec::new();
    stream.take(length as u64).read_to_end(&mut body)?;
    Ok(postcard::from_bytes(&body).ok().filter(|_| body.len() == length))
}
