//! What the tests of the binary share: a folder, the binary, and a data plane that answers as it is told.
#![allow(dead_code)] // Each test program uses its own part of this.

pub mod control;

use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use weir_abi::desired::{Origin, Revision};
use weir_abi::ipc::{Hello, Reply, Request};
use weir_abi::key::PublicKey;
use weir_abi::peer_state::{PeerState, StateReason};
use weir_abi::status::{Health, PeerStatus, Status};

/// Base64 of 32 times `byte`.
pub fn key(byte: u8) -> String {
    PublicKey::from_bytes([byte; 32]).to_string()
}

/// A folder with room for a configuration and for sockets, removed at the end.
pub struct Place {
    pub folder: tempfile::TempDir,
    pub config: PathBuf,
}

/// A configuration with comments, one peer, and an endpoint.
pub fn written() -> String {
    format!(
        "# The office's gateway.\n[interface]\nname = \"weirtest\"\nprivate_key = \"{}\" # ours\n\
         addresses = [\"10.77.0.1/24\", \"fd77::1/64\"]\nendpoint = \"vpn.example.org\"\n\n# Ada, since May\n[[peer]]\n\
         name = \"ada\" # hers\npublic_key = \"{}\"\nallowed_ips = [\"10.77.0.2/32\", \"fd77::2/128\"]\n# the end\n",
        key(9),
        key(2)
    )
}

impl Place {
    pub fn new(text: &str) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let config = folder.path().join("weir.toml");
        fs::write(&config, text).expect("the configuration is written");
        chmod(&config, 0o600);
        Self { folder, config }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn text(&self) -> String {
        fs::read_to_string(&self.config).expect("the configuration is read")
    }

    /// The binary with these arguments, its sockets looked for in this folder.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_weir"));
        command.arg("--run-directory").arg(self.folder.path());
        command
            .arg("--control-directory")
            .arg(self.path("control"))
            .args(args);
        command.stdin(Stdio::null()).current_dir(self.folder.path());
        command
    }

    pub fn weir(&self, args: &[&str]) -> Output {
        self.command(args).output().expect("weir is started")
    }

    /// `weir peer ARGS` on this configuration.
    pub fn peer(&self, args: &[&str]) -> Output {
        self.weir(&[&["peer", "--config", self.config.to_str().expect("UTF-8")], args].concat())
    }

    /// The names of all files below the folder, sorted.
    pub fn files(&self) -> Vec<String> {
        fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
            for entry in fs::read_dir(folder).expect("the folder is read").flatten() {
                if entry.path().is_dir() {
                    walk(&entry.path(), found);
                } else {
                    found.push(entry.path());
                }
            }
        }
        let mut found = Vec::new();
        walk(self.folder.path(), &mut found);
        let relative = |p: PathBuf| {
            p.strip_prefix(self.folder.path())
                .expect("below")
                .to_string_lossy()
                .into_owned()
        };
        let mut names: Vec<String> = found.into_iter().map(relative).collect();
        names.sort();
        names
    }
}

pub fn chmod(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("the mode is set");
}

pub fn mode(path: &Path) -> u32 {
    fs::metadata(path).expect("it is there").permissions().mode() & 0o7777
}

pub fn out(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).expect("UTF-8")
}

pub fn err(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).expect("UTF-8")
}

/// Asserts success and hands out what was printed.
pub fn good(output: &Output) -> String {
    assert!(output.status.success(), "{}\n{}", out(output), err(output));
    out(output)
}

/// Asserts exit code 1 and all of `parts` on standard error.
pub fn refused(output: &Output, parts: &[&str]) {
    let said = err(output);
    assert_eq!(output.status.code(), Some(1), "{}\n{said}", out(output));
    for part in parts {
        assert!(said.contains(part), "{said}\nlacks {part}");
    }
}

/// A data plane that answers on a socket for as long as the test runs, and remembers what it was asked.
pub struct FakeGateway {
    pub asked: Arc<Mutex<Vec<Request>>>,
}

impl FakeGateway {
    pub fn start(
        place: &Place,
        interface: &str,
        version: u16,
        reply: impl Fn(&Request) -> Reply + Send + 'static,
    ) -> Self {
        Self::start_at(&place.path(&format!("{interface}.sock")), version, reply)
    }

    pub fn start_at(socket: &Path, version: u16, reply: impl Fn(&Request) -> Reply + Send + 'static) -> Self {
        let listener = UnixListener::bind(socket).expect("the socket is free");
        let asked = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&asked);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                // A client that only looks whether somebody is there says nothing.
                let _ = converse(stream, version, &reply, &log);
            }
        });
        Self { asked }
    }

    pub fn reloads(&self) -> usize {
        self.asked
            .lock()
            .expect("nobody panicked")
            .iter()
            .filter(|r| **r == Request::Reload)
            .count()
    }
}

fn converse(
    mut stream: UnixStream,
    version: u16,
    reply: &impl Fn(&Request) -> Reply,
    log: &Mutex<Vec<Request>>,
) -> std::io::Result<()> {
    send(
        &mut stream,
        &postcard::to_stdvec(&Hello { version }).expect("it is plain data"),
    )?;
    receive(&mut stream)?;
    let request: Request = postcard::from_bytes(&receive(&mut stream)?).map_err(std::io::Error::other)?;
    let answer = reply(&request);
    log.lock().expect("nobody panicked").push(request);
    send(
        &mut stream,
        &postcard::to_stdvec(&answer).expect("it is plain data"),
    )
}

fn send(stream: &mut UnixStream, body: &[u8]) -> std::io::Result<()> {
    stream.write_all(&(body.len() as u32).to_le_bytes())?;
    stream.write_all(body)
}

fn receive(stream: &mut UnixStream) -> std::io::Result<Vec<u8>> {
    let mut length = [0; 4];
    stream.read_exact(&mut length)?;
    let mut body = vec![0; u32::from_le_bytes(length) as usize];
    stream.read_exact(&mut body)?;
    Ok(body)
}

pub fn done(_: &Request) -> Reply {
    Reply::Done(Revision(2))
}

/// A status of an interface without anything in it.
pub fn status(interface: &str) -> Status {
    Status {
        interface: interface.to_owned(),
        version: "0.1.0".to_owned(),
        pid: std::process::id(),
        boot_id: [0; 16],
        uptime_s: 3_720,
        config_path: None,
        revision: Revision(5),
        public_key: Some(PublicKey::from_bytes([7; 32])),
        listen_port: 51820,
        fwmark: 0,
        mtu: 1420,
        addresses: Vec::new(),
        client_endpoint: None,
        dns: Vec::new(),
        keepalive_s: 0,
        forwarding: false,
        nat: false,
        aead: "ring".to_owned(),
        aead_best: "avx2".to_owned(),
        steering: "ebpf".to_owned(),
        warnings: Vec::new(),
        devices: Vec::new(),
        shards: Vec::new(),
        handshake_queue: 0,
        peers: Vec::new(),
        rules: Vec::new(),
        refused: Vec::new(),
    }
}

/// A peer that nobody has heard of yet, with an endpoint to come.
pub fn peer_status(name: Option<&str>, health: Health, trouble: Option<&str>) -> PeerStatus {
    PeerStatus {
        public_key: PublicKey::from_bytes([2; 32]),
        name: name.map(str::to_owned),
        groups: Vec::new(),
        origin: Origin::File,
        has_preshared_key: true,
        configured_endpoint: Some("later.example.org:1".parse().expect("an endpoint")),
        endpoint: None,
        allowed_ips: vec!["10.77.0.2/32".parse().expect("a prefix")],
        persistent_keepalive: Some(25),
        last_handshake_unix_ns: 0,
        rx_bytes: 3 << 30,
        tx_bytes: 512,
        state: PeerState::Init,
        state_since_unix_ms: 0,
        state_reason: StateReason::NeverTried,
        handshake_us: None,
        latency_us: None,
        initiations_received: 0,
        responses_sent: 0,
        unconfirmed_responses: 0,
        last_refusal: None,
        health,
        trouble: trouble.map(str::to_owned),
        shard: Some(0),
    }
}
