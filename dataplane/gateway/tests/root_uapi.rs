//! The `wg` tool itself against the UAPI socket and a backend in memory.

mod common;

use common::memory::Memory;
use common::{file, isolated, output, run, text};
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};
use std::{fs, path::Path};
use weir_gateway::uapi::Server;
use weir_gateway::unix::BindError;

const SOCKET: &str = "/run/wireguard/weir0.sock";

fn served() -> (Server, Arc<Memory>, mpsc::Receiver<()>) {
    let memory = Arc::new(Memory::default());
    let (removed, removals) = mpsc::channel();
    let bound = Server::bind(&Server::path("weir0")).expect("the socket's place is free");
    let server = Server::start(bound, memory.clone(), move || {
        removed.send(()).expect("the test still listens")
    });
    (server.expect("a server"), memory, removals)
}

fn key(name: &str) -> (String, String, String) {
    let private = run("wg genkey");
    let path = file(name, &private);
    let mut child = std::process::Command::new("wg")
        .arg("pubkey")
        .stdin(fs::File::open(&path).expect("just written"))
        .output()
        .expect("wg");
    (
        path,
        private.trim().to_owned(),
        text(&std::mem::take(&mut child.stdout)).trim().to_owned(),
    )
}

// Catches any key of the protocol that `wg` writes or reads and this does not, in every subcommand.
#[test]
fn wg_sets_and_shows_everything() {
    isolated(|| {
        let (_server, _memory, _) = served();
        let (private_file, private, public) = key("private");
        let (psk_file, psk, _) = key("psk");
        let (_, _, peer) = key("peer");
        assert_eq!(run("wg show interfaces").trim(), "weir0");
        run(&format!(
            "wg set weir0 listen-port 51820 fwmark 0x1234 private-key {private_file} peer {peer} \
             preshared-key {psk_file} endpoint [2001:db8::1]:51821 persistent-keepalive 25 \
             allowed-ips 10.0.0.0/8,fd00::/64,192.0.2.7"
        ));
        let dump = run("wg show weir0 dump");
        let rows: Vec<Vec<&str>> = dump.lines().map(|l| l.split('\t').collect()).collect();
        assert_eq!(rows[0][1..], [public.as_str(), "51820", "0x1234"], "{dump}");
        assert_eq!(rows[0][0].len(), private.len());
        assert_eq!(
            rows[1],
            [
                &peer,
                &psk,
                "[2001:db8::1]:51821",
                "10.0.0.0/8,fd00::/64,192.0.2.7/32",
                "0",
                "0",
                "0",
                "25"
            ],
            "{dump}"
        );
        run(&format!(
            "wg set weir0 fwmark 0 peer {peer} preshared-key /dev/null persistent-keepalive off allowed-ips ::/0"
        ));
        let dump = run("wg show weir0 dump");
        assert!(dump.contains(&format!(
            "{peer}\t(none)\t[2001:db8::1]:51821\t::/0\t0\t0\t0\toff"
        )));
        assert!(
            dump.lines().next().is_some_and(|l| l.ends_with("\toff")),
            "{dump}"
        );
        run(&format!("wg set weir0 private-key /dev/null peer {peer} remove"));
        assert_eq!(run("wg show weir0 dump").trim(), "(none)\t(none)\t51820\toff");
    });
}

// Catches configurations that change on their way through showconf, setconf, addconf and syncconf.
#[test]
fn configurations_pass_through_unchanged() {
    isolated(|| {
        let (_server, memory, _) = served();
        let (_, private, _) = key("private");
        let peers: Vec<String> = (0..3).map(|i| key(&format!("peer{i}")).2).collect();
        let peer = |i: usize| {
            format!(
                "\n[Peer]\nPublicKey = {}\nAllowedIPs = 10.0.{i}.0/24, fd00:{i}::/64\nEndpoint = 192.0.2.{i}:5{i}\n",
                peers[i]
            )
        };
        let interface = format!("[Interface]\nListenPort = 7\nFwMark = 0x9\nPrivateKey = {private}\n");
        let two = file("two", &format!("{interface}{}{}", peer(0), peer(1)));
        run(&format!("wg setconf weir0 {two}"));
        let shown = run("wg showconf weir0");
        let again = file("again", &shown);
        run(&format!("wg setconf weir0 {again}"));
        assert_eq!(run("wg showconf weir0"), shown);
        run(&format!("wg addconf weir0 {}", file("third", &peer(2))));
        assert_eq!(memory.view().peers.len(), 3);

        memory.view().peers[1].rx_bytes = 77;
        let moved = format!(
            "{interface}{}{}",
            peer(1).replace(", fd00:1::/64", ""),
            peer(2).replace("192.0.2.2:52", "[fd00::9]:9")
        );
        run(&format!("wg syncconf weir0 {}", file("moved", &moved)));
        let transfer = run("wg show weir0 transfer");
        assert!(
            transfer.contains(&format!("{}\t77\t0", peers[1])),
            "a peer was made anew: {transfer}"
        );
        let allowed = run("wg show weir0 allowed-ips");
        assert!(
            !allowed.contains(&peers[0]) && !allowed.contains("fd00:1"),
            "{allowed}"
        );
        assert!(run("wg show weir0 endpoints").contains(&format!("{}\t[fd00::9]:9", peers[2])));
    });
}

// Catches a set of many peers that does not fit, and one that takes quadratic time.
#[test]
fn ten_thousand_peers_in_one_set() {
    isolated(|| {
        let (_server, memory, _) = served();
        let mut lines = String::from("set=1\n");
        for i in 0..10_000u32 {
            lines += &format!(
                "public_key={}{i:08x}\npreshared_key={}\nendpoint=192.0.2.1:9\nallowed_ip=fd00::{i:x}/128\n",
                "1".repeat(56),
                "2".repeat(64)
            );
        }
        let mut stream = UnixStream::connect(SOCKET).expect("the socket");
        stream.write_all(lines.as_bytes()).expect("room");
        stream.write_all(b"\nget=1\n\n").expect("room");
        let mut reader = std::io::BufReader::new(stream);
        assert_eq!(line(&mut reader), "errno=0");
        assert_eq!(memory.view().peers.len(), 10_000);
        assert_eq!(run("wg show weir0 peers").lines().count(), 10_000);
    });
}

fn line(reader: &mut impl std::io::BufRead) -> String {
    let mut line = String::new();
    reader.read_line(&mut line).expect("an answer");
    line.trim_end().to_owned()
}

// Catches half a set applied, and an error that `wg` cannot name.
#[test]
fn a_set_half_valid_changes_nothing() {
    isolated(|| {
        let (_server, memory, _) = served();
        let mut stream = UnixStream::connect(SOCKET).expect("the socket");
        let good = "1".repeat(64);
        write!(
            stream,
            "set=1\nlisten_port=9\npublic_key={good}\nallowed_ip=10.0.0.0/99\n\n"
        )
        .expect("room");
        let mut answer = [0; 64];
        let count = stream.read(&mut answer).expect("an answer");
        assert_eq!(text(&answer[..count]), "errno=-22\n\n");
        assert_eq!(*memory.view(), Default::default());
        // The connection goes on.
        write!(stream, "set=1\nlisten_port=9\n\n").expect("room");
        let count = stream.read(&mut answer).expect("an answer");
        assert_eq!(text(&answer[..count]), "errno=0\n\n");
        assert_eq!(memory.view().listen_port, 9);
        memory.refuse(nix::errno::Errno::EADDRINUSE);
        let refused = output("wg set weir0 listen-port 10");
        assert!(
            text(&refused.stderr).contains("Address already in use"),
            "{refused:?}"
        );
        let refused = output("wg show weir0");
        assert!(
            text(&refused.stderr).contains("Address already in use"),
            "{refused:?}"
        );
    });
}

// Catches a socket that others can open, one stolen from a live process, and one left behind.
#[test]
fn the_socket_has_one_owner_and_is_removed() {
    isolated(|| {
        let path = Path::new(SOCKET);
        fs::create_dir(path.parent().expect("a parent")).expect("an own /run");
        drop(UnixListener::bind(path).expect("a stale socket"));
        let (server, _memory, _) = served();
        let mode = |p: &Path| fs::metadata(p).expect("it is there").permissions().mode() & 0o777;
        assert_eq!(mode(path), 0o600);
        assert!(matches!(Server::bind(path), Err(BindError::InUse(p)) if p == path));
        drop(server);
        assert!(!path.exists());
        assert_eq!(fs::read_dir("/run/wireguard").expect("the directory").count(), 0);
        fs::write(path, "precious").expect("a file");
        assert!(matches!(Server::bind(path), Err(BindError::NotASocket(_))));
        fs::remove_dir_all("/run/wireguard").expect("removed");
        let _server = served();
        assert_eq!(mode(path.parent().expect("a parent")), 0o700);
    });
}

// Catches a server that does not notice that it was asked to go, or removes its successor's socket.
#[test]
fn removal_of_the_socket_is_told() {
    isolated(|| {
        let (first, _, removals) = served();
        fs::remove_file(SOCKET).expect("it is there");
        removals
            .recv_timeout(Duration::from_secs(10))
            .expect("the removal is told");
        let (_second, _, _) = served();
        drop(first);
        assert!(output("wg show weir0").status.success());
    });
}

// Catches a client that says nothing and so keeps others from being served, and connections without a bound.
#[test]
fn slow_clients_block_nobody() {
    isolated(|| {
        let (_server, _, _) = served();
        let mut slow = Vec::new();
        for _ in 0..8 {
            let mut stream = UnixStream::connect(SOCKET).expect("the socket");
            stream.write_all(b"set=1\nlisten").expect("room");
            slow.push(stream);
        }
        let begun = Instant::now();
        run("wg show weir0");
        assert!(begun.elapsed() < Duration::from_secs(10));
        for _ in 0..8 {
            slow.push(UnixStream::connect(SOCKET).expect("the socket"));
        }
        let mut refused = UnixStream::connect(SOCKET).expect("the kernel's queue takes it");
        assert_eq!(refused.read(&mut [0; 1]).expect("closed in order"), 0);
        slow.clear();
        let deadline = Instant::now() + Duration::from_secs(10);
        while !output("wg show weir0").status.success() {
            assert!(Instant::now() < deadline, "places are not given up");
        }
    });
}
