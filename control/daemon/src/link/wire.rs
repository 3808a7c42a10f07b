//! A conversation with the data plane over its Unix socket, as [`weir_abi::ipc`] has it. Blocking, with time limits.

use serde::Serialize;
use serde::de::DeserializeOwned;
use std::io::{self, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;
use weir_abi::VERSION;
use weir_abi::ipc::{Hello, MESSAGE_MAX, Reply, Request};
use zeroize::Zeroizing;

/// Bytes taken at a time, so that a length that was only announced costs nothing.
const STEP: usize = 1024 * 1024;

/// Why a conversation ended.
#[derive(Debug, thiserror::Error)]
pub enum WireError {
    /// The connection failed, or nobody listens.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// The other side is of another release.
    #[error(
        "the data plane speaks version {0} of the protocol, expected {VERSION}; install one release of both"
    )]
    Version(u16),
    /// A message longer than any is.
    #[error("a message of {0} bytes, expected at most {MESSAGE_MAX}")]
    TooLong(usize),
    /// A message that cannot be read.
    #[error("a message that cannot be read: {0}")]
    Malformed(#[from] postcard::Error),
    /// An answer to another question.
    #[error("an answer to another request than {0}")]
    Unexpected(&'static str),
}

impl WireError {
    /// Whether the time ran out before anything of an answer came.
    pub fn is_timeout(&self) -> bool {
        matches!(self, WireError::Io(e) if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut))
    }
}

/// A connection to the data plane, greeted.
#[derive(Debug)]
pub struct Connection {
    stream: UnixStream,
}

impl Connection {
    /// Connects to the socket at `path`; each message may then take `patience`.
    pub fn open(path: &Path, patience: Duration) -> Result<Self, WireError> {
        let stream = UnixStream::connect(path)?;
        stream.set_read_timeout(Some(patience))?;
        stream.set_write_timeout(Some(patience))?;
        let mut connection = Self { stream };
        connection.send(&Hello { version: VERSION })?;
        let hello: Hello = connection.receive()?;
        if hello.version == VERSION {
            Ok(connection)
        } else {
            Err(WireError::Version(hello.version))
        }
    }

    /// Asks, and waits for the answer.
    pub fn ask(&mut self, request: &Request) -> Result<Reply, WireError> {
        self.send(request)?;
        self.receive()
    }

    /// Waits for a further message of a stream of them.
    pub fn further(&mut self) -> Result<Reply, WireError> {
        self.receive()
    }

    /// Says a message. Measured first, so that growth leaves no copy of a key behind.
    fn send(&mut self, message: &impl Serialize) -> Result<(), WireError> {
        let size = postcard::serialize_with_flavor(message, postcard::ser_flavors::Size::default())?;
        let length = u32::try_from(size)
            .ok()
            .filter(|_| size <= MESSAGE_MAX)
            .ok_or(WireError::TooLong(size))?;
        let mut bytes = Zeroizing::new(vec![0; size]);
        postcard::to_slice(message, &mut bytes)?;
        self.stream.write_all(&length.to_le_bytes())?;
        self.stream.write_all(&bytes)?;
        Ok(())
    }

    fn receive<T: DeserializeOwned>(&mut self) -> Result<T, WireError> {
        let mut length = [0; 4];
        self.stream.read_exact(&mut length)?;
        let length = u32::from_le_bytes(length) as usize;
        if length > MESSAGE_MAX {
            return Err(WireError::TooLong(length));
        }
        let mut bytes = Zeroizing::new(Vec::new());
        while bytes.len() < length {
            let (had, step) = (bytes.len(), STEP.min(length - bytes.len()));
            grow(&mut bytes, step);
            self.stream.read_exact(&mut bytes[had..])?;
        }
        Ok(postcard::from_bytes(&bytes)?)
    }
}

/// Makes room for `more` bytes. What is outgrown may hold keys, and is wiped.
fn grow(bytes: &mut Zeroizing<Vec<u8>>, more: usize) {
    let length = bytes.len() + more;
    if length > bytes.capacity() {
        let mut larger = Zeroizing::new(Vec::with_capacity(length.max(2 * bytes.capacity())));
        larger.extend_from_slice(bytes);
        *bytes = larger;
    }
    bytes.resize(length, 0);
}
