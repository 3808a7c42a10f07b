//! What the tests share: a data plane that this program plays over a real socket, a control process in this program, and
//! requests over its Unix socket.
#![allow(
    dead_code,
    clippy::unwrap_used,
    reason = "each test program uses its part, and fails by panicking"
)]

pub mod plane;

use clap::Parser as _;
use serde_json::Value;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;
use weir_abi::key::PublicKey;
use weir_control::options::Options;
use weir_control::run::{self, Running};

/// How long anything here may take.
pub const LIMIT: Duration = Duration::from_secs(20);

/// A control process in this program.
pub struct Control {
    runtime: Runtime,
    running: Option<Running>,
    socket: PathBuf,
}

impl Control {
    /// Starts one whose store and sockets lie in `folder`.
    pub fn start(folder: &Path) -> Self {
        Self::start_with(folder, &[])
    }

    /// The same with more options.
    pub fn start_with(folder: &Path, more: &[&str]) -> Self {
        let path = |name: &str| folder.join(name).display().to_string();
        let (store, socket, plane) = (path("store"), path("api.sock"), path("plane.sock"));
        let fixed = [
            "weir-control",
            "--allow-root",
            "--listen",
            "none",
            "--store",
            &store,
            "--socket",
            &socket,
            "--dataplane",
            &plane,
            "--sample-s",
            "1",
        ];
        let options = Options::parse_from(fixed.iter().chain(more));
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        let running = runtime
            .block_on(run::start(&options))
            .unwrap_or_else(|error| panic!("{error}"));
        Self {
            runtime,
            running: Some(running),
            socket: socket.into(),
        }
    }

    /// Ends it in order.
    pub fn end(mut self) {
        let running = self.running.take().unwrap();
        self.runtime.block_on(running.end());
    }

    /// The first URL of the page.
    pub fn url(&self) -> String {
        self.running.as_ref().unwrap().urls[0].clone()
    }

    /// Asks the API, as root on the Unix socket.
    pub fn ask(&self, method: &str, path: &str, body: Option<&Value>) -> (u16, Value) {
        let (status, _, body) = request(&self.socket, method, path, &[], body);
        (status, serde_json::from_str(&body).unwrap_or(Value::String(body)))
    }

    /// The same with headers, and the answer's headers.
    pub fn ask_with(
        &self,
        method: &str,
        path: &str,
        headers: &[&str],
        body: Option<&Value>,
    ) -> (u16, String, Value) {
        let (status, head, body) = request(&self.socket, method, path, headers, body);
        (
            status,
            head,
            serde_json::from_str(&body).unwrap_or(Value::String(body)),
        )
    }

    /// What `GET` answers, which must be a success.
    pub fn get(&self, path: &str) -> Value {
        let (status, body) = self.ask("GET", path, None);
        assert_eq!(status, 200, "GET {path}: {body}");
        body
    }

    /// Waits until the data plane was met.
    pub fn await_ready(&self) {
        until("the control process to be ready", || {
            self.ask("GET", "/readyz", None).0 == 200
        });
    }
}

/// Waits until something is so.
pub fn until(what: &str, mut so: impl FnMut() -> bool) {
    let deadline = Instant::now() + LIMIT;
    while !so() {
        assert!(Instant::now() < deadline, "no sign of {what} in {LIMIT:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A key that a key pair could have.
pub fn key(n: u8) -> PublicKey {
    weir_config::key::public_key(&weir_abi::key::PrivateKey::from_bytes([n; 32]))
}

/// The path of a peer.
pub fn peer_path(key: PublicKey) -> String {
    format!("/v1/peers/{}", weir_api::types::Key(key).to_path())
}

/// Sends a request over the API's Unix socket, and returns the answer's status, head and body.
pub fn request(
    socket: &Path,
    method: &str,
    path: &str,
    headers: &[&str],
    body: Option<&Value>,
) -> (u16, String, String) {
    let stream = UnixStream::connect(socket).unwrap();
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    exchange(stream, method, path, headers, body)
}

/// The same over any connection.
pub fn exchange(
    mut stream: impl std::io::Read + std::io::Write,
    method: &str,
    path: &str,
    headers: &[&str],
    body: Option<&Value>,
) -> (u16, String, String) {
    let body = body.map(Value::to_string).unwrap_or_default();
    let mut more: String = headers.iter().map(|header| format!("{header}\r\n")).collect();
    if !body.is_empty() && !more.to_lowercase().contains("content-type") {
        more.push_str("Content-Type: application/json\r\n");
    }
    let length = body.len();
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {length}\r\n{more}\r\n"
    );
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(body.as_bytes()).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let answer = String::from_utf8(answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let chunked = head.to_lowercase().contains("transfer-encoding: chunked");
    let body = if chunked { unchunked(body) } else { body.to_owned() };
    (status, head.to_owned(), body)
}

fn unchunked(mut body: &str) -> String {
    let mut whole = String::new();
    while let Some((length, rest)) = body.split_once("\r\n") {
        let length = usize::from_str_radix(length.trim(), 16).unwrap();
        if length == 0 {
            break;
        }
        whole.push_str(&rest[..length]);
        body = rest[length..].trim_start_matches("\r\n");
    }
    whole
}
