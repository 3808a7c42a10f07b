//! The status socket for members of a group: what they may, what they may not, and that no answer of any kind holds a
//! secret that is not control's. It is this program again that asks as another user.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::gateway::{FILE_PEER, FILE_PSK, Gateway, INTERFACE, PRIVATE};
use common::isolated;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::{env, fs, io};
use weir_abi::change::{Change, ChangeSet, PeerChange};
use weir_abi::desired::{Origin, Peer};
use weir_abi::ipc::{Reply, Request};
use weir_abi::key::{PresharedKey, PrivateKey, PublicKey};
use weir_gateway::ipc::Client;

/// A group that every Debian has, and its number; a user who is in none of the groups here; another group's number.
const GROUP: &str = "daemon";
const GROUP_ID: u32 = 1;
const USER_ID: u32 = 65_534;
const OTHER_GROUP_ID: u32 = 65_534;

/// Where this program lies for users who may not enter the build folder.
const COPY: &str = "/run/root_member";

const PSK: [u8; 32] = [0x55; 32];

fn main() {
    match env::args().nth(1).as_deref() {
        Some("role-member") => return member(),
        Some("role-stranger") => return stranger(),
        _ => {}
    }
    isolated(members_may_what_control_needs);
    isolated(without_a_group_the_socket_is_root_s);
    isolated(a_group_that_is_not_there_is_an_error);
    println!("test result: ok. root_member: 3 passed");
}

/// Runs this program in a role, as a user of one group.
fn as_user(role: &str, group: u32) {
    fs::copy(env::current_exe().unwrap(), COPY).unwrap();
    fs::set_permissions(COPY, fs::Permissions::from_mode(0o755)).unwrap();
    let status = Command::new(COPY)
        .arg(role)
        .current_dir("/")
        .gid(group)
        .uid(USER_ID)
        .status()
        .unwrap();
    assert!(status.success(), "{role} of group {group}: {status}");
}

fn mode_and_group(path: &std::path::Path) -> (u32, u32) {
    let found = fs::metadata(path).unwrap();
    (found.permissions().mode() & 0o777, found.gid())
}

// Catches a socket that control cannot use, that others can use too, or of which a member can take every place, and any
// answer to a member with a key in it that is the file's or the interface's.
fn members_may_what_control_needs() {
    let gateway = Gateway::start(&["--control-group", GROUP]);
    assert_eq!(mode_and_group(&Gateway::socket()), (0o660, GROUP_ID));
    as_user("role-stranger", OTHER_GROUP_ID);
    as_user("role-member", GROUP_ID);
    // What the member declared is there, and what it was denied is not.
    let Reply::Status(status) = gateway.ask(&Request::Status { peers: true }) else {
        panic!("a status");
    };
    let owners: Vec<Origin> = status.peers.iter().map(|peer| peer.origin).collect();
    assert_eq!(owners, [Origin::File, Origin::Control]);
    assert_eq!((status.fwmark, status.shards.len()), (0, 1));
}

// Catches a socket left open to a group that nobody asked for. The default group is used only where the host has it.
fn without_a_group_the_socket_is_root_s() {
    if matches!(nix::unistd::Group::from_name("weir"), Ok(Some(_))) {
        let _gateway = Gateway::start(&[]);
        assert_eq!(mode_and_group(&Gateway::socket()).0, 0o660);
    } else {
        let _gateway = Gateway::start(&[]);
        assert_eq!(mode_and_group(&Gateway::socket()), (0o600, 0));
    }
    as_user("role-stranger", GROUP_ID);
}

// Catches a gateway that starts without the group that it was told to serve.
fn a_group_that_is_not_there_is_an_error() {
    let refused = Command::new(env!("CARGO_BIN_EXE_weir-dataplane"))
        .args(["--foreground", "--control-group", "weir-no-such-group", INTERFACE])
        .output()
        .unwrap();
    let said = common::text(&refused.stderr);
    assert!(
        !refused.status.success() && said.contains("weir-no-such-group"),
        "{said}"
    );
}

/// One who is not in the group gets nowhere.
fn stranger() {
    for path in [
        Gateway::socket(),
        format!("/run/wireguard/{INTERFACE}.sock").into(),
    ] {
        let refused = UnixStream::connect(&path).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::PermissionDenied, "{path:?}");
    }
}

fn apply(origin: Origin, changes: Vec<Change>) -> Request {
    let base = None;
    Request::Apply(ChangeSet {
        base,
        origin,
        changes,
    })
}

/// One who is asks for everything there is to ask for.
fn member() {
    let refused = UnixStream::connect(format!("/run/wireguard/{INTERFACE}.sock")).unwrap_err();
    assert_eq!(refused.kind(), io::ErrorKind::PermissionDenied);
    let file_s = PublicKey::from_bytes(FILE_PEER);
    let own = PeerChange {
        preshared_key: Some(PresharedKey::from_bytes(PSK)),
        ..PeerChange::new(PublicKey::from_bytes([8; 32]))
    };
    let taken = Peer::new(file_s, Origin::Control);
    let may = [
        apply(Origin::Control, vec![Change::Peer(own.clone())]),
        Request::Status { peers: true },
        Request::Declared,
        Request::Peers(vec![file_s]),
        Request::Reload,
        Request::Probe(file_s),
    ];
    let key = PrivateKey::from_bytes([9; 32]);
    let may_not = [
        Request::Shards(2),
        apply(Origin::File, vec![Change::RemovePeer(file_s)]),
        apply(Origin::File, vec![]),
        apply(Origin::Uapi, vec![Change::Peer(own)]),
        apply(Origin::Control, vec![Change::PrivateKey(Some(key))]),
        apply(Origin::Control, vec![Change::PrivateKey(None)]),
        apply(Origin::Control, vec![Change::ListenPort(1)]),
        apply(Origin::Control, vec![Change::Fwmark(1)]),
        apply(Origin::Control, vec![Change::RemovePeer(file_s)]),
        apply(Origin::Control, vec![Change::ReplacePeers(vec![taken])]),
        apply(Origin::Control, vec![Change::Peer(PeerChange::new(file_s))]),
    ];
    for (requests, granted) in [(&may[..], true), (&may_not, false)] {
        for request in requests {
            let reply = Client::connect(INTERFACE)
                .and_then(|mut client| client.ask(request))
                .unwrap();
            let refused = matches!(reply, Reply::Failed(_) | Reply::Refused(_));
            // A probe of a peer that nobody can reach may say so in either way.
            if !matches!(request, Request::Probe(_)) {
                assert_eq!(refused, !granted, "{request:?}: {reply:?}");
            }
            let bytes = postcard::to_stdvec(&reply).unwrap();
            for secret in [PRIVATE, FILE_PSK] {
                assert!(!bytes.windows(32).any(|window| window == secret), "{request:?}");
            }
        }
    }
    let mut client = Client::connect(INTERFACE).unwrap();
    assert_eq!(client.ask(&Request::Watch).unwrap(), Reply::Events(Vec::new()));
    // Of the socket's 32 places, members leave some to root.
    let held: Vec<Client> = (0..40).map_while(|_| Client::connect(INTERFACE).ok()).collect();
    assert!((1..24).contains(&held.len()), "{} connections", held.len());
}
