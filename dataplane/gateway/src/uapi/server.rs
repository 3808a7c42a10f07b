//! The UAPI's socket.

use super::request::{Incoming, REQUEST_MAX, Request};
use super::{Backend, parse_set, serialize};
use crate::secret_bytes::append;
use crate::unix::{Audience, BindError, Bound, Served};
use std::io::{self, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use zeroize::{Zeroize, Zeroizing};

/// Where the `wg` tool looks for the sockets of interfaces in user space.
pub const DIRECTORY: &str = "/var/run/wireguard";

/// Connections at a time. Only root can have them; each may hold a request of 64 MiB.
const CONNECTIONS: usize = 16;

/// From the first byte of a request to its last.
const REQUEST_TIME: Duration = Duration::from_secs(30);

/// Between two requests.
const IDLE_TIME: Duration = Duration::from_secs(300);

/// For which a client may leave an answer unread.
const ANSWER_TIME: Duration = Duration::from_secs(30);

/// The socket by which `wg` finds an interface. Dropping it removes the socket.
#[derive(Debug)]
pub struct Server {
    _served: Served,
}

impl Server {
    /// The socket's place for an interface.
    pub fn path(interface: &str) -> PathBuf {
        Path::new(DIRECTORY).join(format!("{interface}.sock"))
    }

    /// Takes the place; from here on `wg` sees the interface, and is answered once [`Server::start`] was called.
    pub fn bind(path: &Path) -> Result<Bound, BindError> {
        Bound::bind(path, Audience::Root)
    }

    /// A socket that was bound by whoever started this process (`WG_UAPI_FD`).
    pub fn inherited(listener: UnixListener) -> Bound {
        Bound::inherited(listener)
    }

    /// Answers on the socket. `removed` is called once if somebody removes the socket's file, which is how tools ask
    /// an interface in user space to go away; it should only pass the word on.
    pub fn start(
        bound: Bound,
        backend: Arc<dyn Backend>,
        removed: impl FnOnce() + Send + 'static,
    ) -> io::Result<Self> {
        let conversation = Arc::new(move |stream: &UnixStream, _| {
            if let Err(error) = converse(stream, &*backend) {
                tracing::debug!("UAPI client: {error}");
            }
        });
        let served = Served::start(bound, CONNECTIONS, conversation, removed)?;
        Ok(Self { _served: served })
    }
}

fn converse(mut stream: &UnixStream, backend: &dyn Backend) -> io::Result<()> {
    let mut incoming = Incoming::new(REQUEST_MAX);
    let mut chunk = Zeroizing::new([0; 16 * 1024]);
    let mut begun = Instant::now();
    stream.set_write_timeout(Some(ANSWER_TIME))?;
    loop {
        match incoming.next_request() {
            Ok(Some(request)) => {
                stream.write_all(&answer(request, backend))?;
                begun = Instant::now();
                continue;
            }
            Ok(None) => {}
            Err(errno) => {
                tracing::warn!("UAPI request refused: expected \"get=1\" or \"set=1\" and at most 64 MiB");
                return stream.write_all(&refusal(errno as i32));
            }
        }
        let left = if incoming.is_empty() {
            begun = Instant::now();
            IDLE_TIME
        } else {
            REQUEST_TIME.saturating_sub(begun.elapsed())
        };
        // A timeout of zero would mean none.
        stream.set_read_timeout(Some(left.max(Duration::from_millis(1))))?;
        let count = stream.read(&mut *chunk)?;
        if count == 0 {
            return Ok(());
        }
        incoming.push(&chunk[..count]);
        chunk[..count].zeroize();
    }
}

fn answer(request: Request, backend: &dyn Backend) -> Zeroizing<Vec<u8>> {
    match request {
        Request::Get => match backend.view() {
            Ok(view) => {
                let mut text = serialize(&view);
                append(&mut text, b"errno=0\n\n");
                text
            }
            Err(errno) => refusal(errno as i32),
        },
        Request::Set(lines) => {
            let scope = |name: &str| nix::net::if_::if_nametoindex(name).ok();
            let applied = parse_set(&lines, &scope)
                .map_err(|error| {
                    tracing::warn!("UAPI set refused, nothing changed: {error}");
                    error.errno()
                })
                .and_then(|changes| backend.apply(changes));
            match applied {
                Ok(()) => Zeroizing::new(b"errno=0\n\n".to_vec()),
                // `wg` negates the answer to a set, and that to a get it does not; so with a positive number here it
                // says "Unknown error -22" rather than "Invalid argument". wireguard-go's are negative likewise.
                Err(errno) => refusal(-(errno as i32)),
            }
        }
    }
}

fn refusal(number: i32) -> Zeroizing<Vec<u8>> {
    Zeroizing::new(format!("errno={number}\n\n").into_bytes())
}
