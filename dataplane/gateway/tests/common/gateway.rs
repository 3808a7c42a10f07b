//! A configured gateway, as the process that it is, in the thread's own network and `/run`.

use super::output;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use weir_abi::ipc::{Reply, Request};
use weir_abi::key::{PresharedKey, PrivateKey, PublicKey};
use weir_gateway::ipc::{Client, Server};

/// For what takes a moment.
pub const LIMIT: Duration = Duration::from_secs(30);

pub const INTERFACE: &str = "weir7";

/// The gateway's private key, and the key of the peer in its file with that peer's preshared key: bytes that are found
/// nowhere else, and of which clamping (RFC 7748 section 5) changes none.
pub const PRIVATE: [u8; 32] = *b"private-key-of-this-gateway-only";
pub const FILE_PEER: [u8; 32] = [0x21; 32];
pub const FILE_PSK: [u8; 32] = *b"preshared-with-the-file's-peer!!";

/// The running process; it ends with this.
pub struct Gateway(Child);

impl Gateway {
    /// Starts a gateway of one shard with one peer in its file, and waits until it answers.
    pub fn start(arguments: &[&str]) -> Self {
        let config = format!(
            "[interface]\nname = \"{INTERFACE}\"\nprivate_key = \"{}\"\nlisten_port = 7777\n\
             addresses = [\"10.77.0.1/24\"]\nendpoint = \"vpn.example.org:7777\"\ndns = [\"10.77.0.1\"]\n\
             [dataplane]\nshards = 1\nstate_directory = \"/run/state\"\n\
             [[peer]]\nname = \"of the file\"\npublic_key = \"{}\"\npreshared_key = \"{}\"\n\
             allowed_ips = [\"10.77.0.2/32\"]\n",
            &*PrivateKey::from_bytes(PRIVATE).expose_base64(),
            PublicKey::from_bytes(FILE_PEER),
            &*PresharedKey::from_bytes(FILE_PSK).expose_base64(),
        );
        let file = "/run/weir.toml";
        fs::write(file, config).expect(file);
        fs::set_permissions(file, fs::Permissions::from_mode(0o600)).expect(file);
        fs::create_dir_all("/run/state").expect("an own /run");
        let child = Command::new(env!("CARGO_BIN_EXE_weir-dataplane"))
            .args(["--config", file])
            .args(arguments)
            .stdin(Stdio::null())
            .spawn()
            .expect("the binary was built");
        let mut gateway = Self(child);
        let begun = Instant::now();
        while Client::connect(INTERFACE).is_err() {
            let ended = gateway.0.try_wait().expect("it is this process's child");
            assert!(
                ended.is_none() && begun.elapsed() < LIMIT,
                "it does not answer: {ended:?}"
            );
            std::thread::sleep(Duration::from_millis(20));
        }
        gateway
    }

    /// The place of its status socket.
    pub fn socket() -> PathBuf {
        Server::path(INTERFACE)
    }

    /// Asks it as root.
    pub fn ask(&self, request: &Request) -> Reply {
        Client::connect(INTERFACE)
            .and_then(|mut client| client.ask(request))
            .expect("it answers")
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = output(&format!("kill -TERM {}", self.0.id()));
        let _ = self.0.wait();
    }
}
