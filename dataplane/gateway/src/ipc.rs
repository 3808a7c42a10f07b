//! The socket of [`weir_abi::ipc`]: status, changes and events for the command line and for control.

use crate::secret_bytes::append;
use crate::unix::{Asker, Audience, BindError, Bound, Served};
use crate::watchers::Watch;
use postcard::ser_flavors::Size;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use weir_abi::VERSION;
use weir_abi::ipc::{DIRECTORY, Hello, MESSAGE_MAX, Reply, Request};
use zeroize::Zeroizing;

/// Connections at a time.
const CONNECTIONS: usize = 32;

/// For which a side may stay silent in the middle of a message, or leave one unread.
const PATIENCE: Duration = Duration::from_secs(30);

/// Between two requests.
const IDLE_TIME: Duration = Duration::from_secs(300);

/// Bytes of a request: changes to hundreds of thousands of peers. Answers may have [`MESSAGE_MAX`].
const REQUEST_MAX: usize = 128 * 1024 * 1024;

/// Answers requests; called from the threads of the connections, several at a time.
pub trait Handler: Send + Sync {
    /// Answers one request, other than [`Request::Watch`].
    fn handle(&self, asker: Asker, request: Request) -> Reply;

    /// Begins to watch for a client.
    ///
    /// # Errors
    /// Why that cannot be, in words.
    fn watch(&self) -> Result<Watch, String>;
}

/// Why a conversation ended.
#[derive(Debug, thiserror::Error)]
pub enum IpcError {
    /// The connection failed, or there is nobody at its other end.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// The other side has gone.
    #[error("the other side closed the connection")]
    Closed,
    /// The other side is of another release.
    #[error(
        "the other side speaks version {0} of the protocol, expected {VERSION}; use the weir of the same release"
    )]
    Version(u16),
    /// A message that is too long.
    #[error("a message of {0} bytes, expected at most {1}")]
    TooLong(usize, usize),
    /// A message that cannot be read.
    #[error("a message that cannot be read: {0}")]
    Malformed(#[from] postcard::Error),
}

/// The socket being served. Dropping it removes the socket.
#[derive(Debug)]
pub struct Server {
    _served: Served,
}

impl Server {
    /// The socket's place for an interface.
    pub fn path(interface: &str) -> PathBuf {
        Path::new(DIRECTORY).join(format!("{interface}.sock"))
    }

    /// Takes the place.
    pub fn bind(path: &Path, audience: Audience) -> Result<Bound, BindError> {
        Bound::bind(path, audience)
    }

    /// Answers on the socket.
    pub fn start(bound: Bound, handler: Arc<dyn Handler>) -> io::Result<Self> {
        let conversation = Arc::new(move |stream: &UnixStream, asker| {
            if let Err(error) = converse(stream, asker, &*handler) {
                tracing::debug!("client: {error}");
            }
        });
        let removed = || tracing::warn!("the status socket was removed; restart to have it back");
        let served = Served::start(bound, CONNECTIONS, conversation, removed)?;
        Ok(Self { _served: served })
    }
}

fn converse(stream: &UnixStream, asker: Asker, handler: &dyn Handler) -> Result<(), IpcError> {
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    greet(stream)?;
    loop {
        stream.set_read_timeout(Some(IDLE_TIME))?;
        let Some(length) = length(stream)? else {
            return Ok(());
        };
        stream.set_read_timeout(Some(PATIENCE))?;
        match body(stream, length, REQUEST_MAX)? {
            Request::Watch => match handler.watch() {
                Ok(watch) => return tell(stream, &watch),
                Err(why) => send(stream, &Reply::Failed(why))?,
            },
            request => send(stream, &handler.handle(asker, request))?,
        }
    }
}

/// Tells a watcher what happens until it closes.
fn tell(stream: &UnixStream, watch: &Watch) -> Result<(), IpcError> {
    send(stream, &Reply::Events(Vec::new()))?;
    while let Some(events) = watch.next(stream.as_fd())? {
        send(stream, &Reply::Events(events))?;
    }
    Ok(())
}

/// A connection to a running data plane.
#[derive(Debug)]
pub struct Client {
    stream: UnixStream,
}

impl Client {
    /// Connects to the data plane of an interface.
    pub fn connect(interface: &str) -> Result<Self, IpcError> {
        Self::connect_to(&Server::path(interface))
    }

    /// Connects to the socket at `path`.
    pub fn connect_to(path: &Path) -> Result<Self, IpcError> {
        let stream = UnixStream::connect(path)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        greet(&stream)?;
        Ok(Self { stream })
    }

    /// Asks, and waits for the answer.
    pub fn ask(&mut self, request: &Request) -> Result<Reply, IpcError> {
        send(&self.stream, request)?;
        self.hear()
    }

    /// Waits for the next answer: after [`Request::Watch`], again and again.
    pub fn hear(&mut self) -> Result<Reply, IpcError> {
        let length = length(&self.stream)?.ok_or(IpcError::Closed)?;
        body(&self.stream, length, MESSAGE_MAX)
    }
}

/// Says which version this side speaks, and hears that of the other.
fn greet(stream: &UnixStream) -> Result<(), IpcError> {
    // Another version's greeting may be longer, but never of this size.
    const HELLO_MAX: usize = 1024;
    send(stream, &Hello { version: VERSION })?;
    let length = length(stream)?.ok_or(IpcError::Closed)?;
    let hello: Hello = body(stream, length, HELLO_MAX)?;
    if hello.version == VERSION {
        Ok(())
    } else {
        Err(IpcError::Version(hello.version))
    }
}

fn send(mut stream: &UnixStream, message: &impl Serialize) -> Result<(), IpcError> {
    // Measured first, so that growth leaves no copies of a key behind.
    let size = postcard::serialize_with_flavor(message, Size::default())?;
    let length = u32::try_from(size)
        .ok()
        .filter(|_| size <= MESSAGE_MAX)
        .ok_or(IpcError::TooLong(size, MESSAGE_MAX))?;
    let mut bytes = Zeroizing::new(vec![0; size]);
    postcard::to_slice(message, &mut bytes)?;
    stream.write_all(&length.to_le_bytes())?;
    stream.write_all(&bytes)?;
    Ok(())
}

/// The next message's length, or `None` where the other side has closed between two messages.
fn length(mut stream: &UnixStream) -> Result<Option<usize>, IpcError> {
    let mut bytes = [0; 4];
    match stream.read(&mut bytes)? {
        0 => Ok(None),
        read => {
            stream.read_exact(&mut bytes[read..])?;
            Ok(Some(u32::from_le_bytes(bytes) as usize))
        }
    }
}

fn body<T: DeserializeOwned>(mut stream: &UnixStream, length: usize, most: usize) -> Result<T, IpcError> {
    // What is claimed is believed, and its memory taken, bit by bit as it comes.
    const STEP: usize = 1024 * 1024;
    if length > most {
        return Err(IpcError::TooLong(length, most));
    }
    let mut bytes = Zeroizing::new(Vec::new());
    let mut chunk = Zeroizing::new(vec![0; STEP.min(length)]);
    while bytes.len() < length {
        let next = STEP.min(length - bytes.len());
        stream.read_exact(&mut chunk[..next])?;
        append(&mut bytes, &chunk[..next]);
    }
    Ok(postcard::from_bytes(&bytes)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;
    use weir_abi::change::{Change, ChangeSet};
    use weir_abi::desired::{Origin, Revision};

    struct Counting;

    impl Handler for Counting {
        fn handle(&self, _: Asker, request: Request) -> Reply {
            match request {
                Request::Apply(set) => Reply::Done(Revision(set.changes.len() as u64)),
                _ => Reply::Failed("not here".to_owned()),
            }
        }

        fn watch(&self) -> Result<Watch, String> {
            Err("not here".to_owned())
        }
    }

    /// A conversation with a server at the other end of a pair.
    fn pair() -> (UnixStream, thread::JoinHandle<Result<(), IpcError>>) {
        let (client, server) = UnixStream::pair().expect("a pair");
        (
            client,
            thread::spawn(move || converse(&server, Asker::Root, &Counting)),
        )
    }

    // Catches messages cut or run together, and a large one that does not fit.
    #[test]
    fn requests_are_answered_in_turn() {
        let (stream, server) = pair();
        greet(&stream).expect("the same version");
        let mut client = Client { stream };
        for count in [0, 1, 700_000] {
            let set = ChangeSet {
                base: None,
                origin: Origin::Uapi,
                changes: vec![Change::Fwmark(u32::MAX); count],
            };
            let reply = client.ask(&Request::Apply(set)).expect("an answer");
            assert_eq!(reply, Reply::Done(Revision(count as u64)));
        }
        drop(client);
        server.join().expect("no panic").expect("closed in order");
    }

    // Catches another version taken for this one, and lengths that are believed.
    #[test]
    fn other_versions_and_runaways_are_refused() {
        let (stream, server) = pair();
        send(&stream, &Hello { version: VERSION + 1 }).expect("room");
        let refused = server.join().expect("no panic");
        assert!(matches!(refused, Err(IpcError::Version(v)) if v == VERSION + 1));

        let (mut stream, server) = pair();
        greet(&stream).expect("the same version");
        stream.write_all(&u32::MAX.to_le_bytes()).expect("room");
        let refused = server.join().expect("no panic");
        assert!(
            matches!(refused, Err(IpcError::TooLong(_, REQUEST_MAX))),
            "{refused:?}"
        );

        let (mut stream, server) = pair();
        greet(&stream).expect("the same version");
        stream.write_all(&[3, 0, 0, 0, 255, 255, 255]).expect("room");
        assert!(matches!(
            server.join().expect("no panic"),
            Err(IpcError::Malformed(_))
        ));
    }
}
