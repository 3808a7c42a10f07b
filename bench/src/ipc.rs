//! What a running data plane is asked over its own socket (`/run/weir/IFNAME.sock`) beyond what the program `weir`
//! offers: the whole status with its types, another number of shards, and what control asks.

use std::io::{self, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use weir_abi::VERSION;
use weir_abi::events::Event;
use weir_abi::ipc::{DIRECTORY, Hello, Reply, Request};
use weir_abi::key::PublicKey;
use weir_abi::probe::ProbeResult;
use weir_abi::status::Status;

use crate::{LabError, Result};

/// How long an answer may take; shards that end are given time for what is under way to them.
const ANSWER_LIMIT: Duration = Duration::from_secs(30);

/// Asks the data plane of an interface.
pub fn ask(interface: &str, request: &Request) -> Result<Reply> {
    Client::connect(interface)?.ask(request)
}

/// A connection to the data plane of an interface, for many questions.
pub struct Client {
    path: PathBuf,
    stream: UnixStream,
}

impl Client {
    /// Connects.
    pub fn connect(interface: &str) -> Result<Self> {
        let path = Path::new(DIRECTORY).join(format!("{interface}.sock"));
        let connect = || -> io::Result<UnixStream> {
            let mut stream = UnixStream::connect(&path)?;
            stream.set_read_timeout(Some(ANSWER_LIMIT))?;
            send(&mut stream, &Hello { version: VERSION })?;
            let hello: Hello = receive(&mut stream)?;
            if hello.version != VERSION {
                return Err(io::Error::other(format!(
                    "it speaks version {}, expected {VERSION}",
                    hello.version
                )));
            }
            Ok(stream)
        };
        let stream = connect().map_err(LabError::io(format!("ask {}", path.display())))?;
        Ok(Self { path, stream })
    }

    /// Asks, and waits for the answer.
    pub fn ask(&mut self, request: &Request) -> Result<Reply> {
        let answer = send(&mut self.stream, request).and_then(|()| receive(&mut self.stream));
        answer.map_err(LabError::io(format!("ask {}", self.path.display())))
    }

    /// Waits for what a data plane that was asked to be watched tells next.
    pub fn hear(&mut self) -> Result<Vec<Event>> {
        let told =
            receive(&mut self.stream).map_err(LabError::io(format!("watch {}", self.path.display())))?;
        match told {
            Reply::Events(events) => Ok(events),
            other => Err(unexpected("events", &other)),
        }
    }
}

/// The whole status of the data plane of an interface.
pub fn status(interface: &str) -> Result<Status> {
    match ask(interface, &Request::Status { peers: true })? {
        Reply::Status(status) => Ok(*status),
        other => Err(unexpected("a status", &other)),
    }
}

/// Has the data plane of an interface work with this many shards.
pub fn set_shards(interface: &str, shards: u16) -> Result<()> {
    match ask(interface, &Request::Shards(shards))? {
        Reply::Done(_) => Ok(()),
        other => Err(unexpected("an agreement", &other)),
    }
}

/// Has the data plane of an interface probe a peer.
pub fn probe(interface: &str, peer: PublicKey) -> Result<ProbeResult> {
    match ask(interface, &Request::Probe(peer))? {
        Reply::Probed(result) => Ok(*result),
        other => Err(unexpected("what came of a probe", &other)),
    }
}

fn unexpected(expected: &'static str, reply: &Reply) -> LabError {
    LabError::Unreadable {
        program: "weir-dataplane",
        expected,
        output: format!("{reply:?}"),
    }
}

fn send(stream: &mut UnixStream, message: &impl Serialize) -> io::Result<()> {
    let body = postcard::to_stdvec(message).map_err(io::Error::other)?;
    let length = u32::try_from(body.len()).map_err(io::Error::other)?;
    stream.write_all(&[&length.to_le_bytes()[..], &body].concat())
}

fn receive<T: DeserializeOwned>(stream: &mut UnixStream) -> io::Result<T> {
    let mut length = [0; 4];
    stream.read_exact(&mut length)?;
    let mut body = Vec::new();
    stream
        .take(u32::from_le_bytes(length).into())
        .read_to_end(&mut body)?;
    postcard::from_bytes(&body).map_err(io::Error::other)
}
