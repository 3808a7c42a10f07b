//! `weir-gateway`: the UAPI's text and stream, and the state file.

use crate::input::Input;
use crate::text::read;
use core::net::SocketAddr;
use std::collections::HashSet;
use weir_abi::change::{AllowedIpChange, Change};
use weir_abi::endpoint::Endpoint;
use weir_gateway::state::{State, decode, encode};
use weir_gateway::uapi::{Incoming, InterfaceView, PeerView, Request, parse_set, serialize};

/// A key that no error may show.
const SECRET: &str = "5353535353535353535353535353535353535353535353535353535353535353";

const LINES: &[&str] = &[
    "private_key=5353535353535353535353535353535353535353535353535353535353535353\n",
    "preshared_key=5353535353535353535353535353535353535353535353535353535353535353\n",
    "preshared-key=5353535353535353535353535353535353535353535353535353535353535353\n",
    "private_key=5353535353535353535353535353535353535353535353535353535353535353x\n",
    "private_key=0000000000000000000000000000000000000000000000000000000000000000\n",
    "public_key=4141414141414141414141414141414141414141414141414141414141414141\n",
    "public_key=4242424242424242424242424242424242424242424242424242424242424242\n",
    "public_key=",
    "listen_port=",
    "fwmark=",
    "replace_peers=true\n",
    "remove=true\n",
    "update_only=true\n",
    "endpoint=",
    "persistent_keepalive_interval=",
    "replace_allowed_ips=true\n",
    "allowed_ip=",
    "allowed_ip=-",
    "protocol_version=1\n",
    "protocol_version=2\n",
    "true\n",
    "false\n",
    "0\n",
    "51820\n",
    "65536\n",
    "4294967296\n",
    "+1\n",
    "192.0.2.1:51820\n",
    "[2001:db8::1]:51820\n",
    "[fe80::1%eth0]:51820\n",
    "[fe80::1%none]:1\n",
    "10.0.0.0/8\n",
    "10.0.0.1\n",
    "fd00::/64\n",
    "10.0.0.0/33\n",
    "set=1\n",
    "get=1\n",
    "\n",
    "=",
    "\u{e9}",
    "\r\n",
];

fn scope(name: &str) -> Option<u32> {
    (name == "eth0").then_some(7)
}

/// A set is taken as a whole or refused by line without a secret; what it asks for is told by a get so that a set takes
/// it again.
pub fn uapi_set(data: &[u8]) {
    let text = read(&mut Input::new(data), LINES);
    let lines = text.lines().take_while(|line| !line.is_empty()).count();
    let changes = match parse_set(&text, &scope) {
        Ok(changes) => changes,
        Err(error) => {
            assert!((1..=lines).contains(&error.line));
            let line = text.lines().nth(error.line - 1).expect("the line it names");
            let elsewhere = [
                "public_key",
                "endpoint",
                "allowed_ip",
                "fwmark",
                "listen_port",
                "re",
                "up",
                "pe",
                "proto",
            ];
            let shown = format!("{error} {error:?}");
            let hidden = !elsewhere.iter().any(|key| line.starts_with(key)) && line.contains('=');
            let key = line.split('=').next().unwrap_or_default();
            assert!(
                !hidden || key.contains(SECRET) || !shown.contains(SECRET),
                "a secret is shown: {shown}"
            );
            // Every line before it is good.
            let good: String = text
                .lines()
                .take(error.line - 1)
                .flat_map(|line| [line, "\n"])
                .collect();
            assert!(parse_set(&good, &scope).is_ok(), "an earlier line was worse");
            return;
        }
    };
    let peers = changes
        .iter()
        .filter(|c| matches!(c, Change::Peer(_) | Change::RemovePeer(_)))
        .count();
    let sections = text
        .lines()
        .take(lines)
        .filter(|line| line.starts_with("public_key="))
        .count();
    assert_eq!(peers, sections, "a section is one change");

    let view = told(&changes);
    let get = String::from_utf8(serialize(&view).to_vec()).expect("a get is text");
    let unsettable = |line: &&str| {
        !["last_handshake", "tx_bytes", "rx_bytes"]
            .iter()
            .any(|k| line.starts_with(k))
    };
    // An interface's number is told where its name was said.
    let set: String = get
        .lines()
        .filter(unsettable)
        .flat_map(|line| [line, "\n"])
        .collect();
    let by_number = |number: &str| number.parse().ok();
    let again = parse_set(&set, &by_number).expect("a set takes what a get tells");
    assert_eq!(told(&again), view);
}

/// The interface that these changes make of an empty one, peers as often as they are named.
fn told(changes: &[Change]) -> InterfaceView {
    let mut view = InterfaceView::default();
    let mut seen = HashSet::new();
    for change in changes {
        match change {
            Change::PrivateKey(key) => view.private_key = key.clone(),
            Change::ListenPort(port) => view.listen_port = *port,
            Change::Fwmark(mark) => view.fwmark = *mark,
            Change::Peer(peer) if seen.insert(peer.public_key) => {
                let added = |change: &AllowedIpChange| match change {
                    AllowedIpChange::Add(prefix) => Some(*prefix),
                    AllowedIpChange::Remove(_) => None,
                };
                view.peers.push(PeerView {
                    preshared_key: peer.preshared_key.clone(),
                    endpoint: peer.endpoint.as_ref().and_then(address),
                    persistent_keepalive: peer.persistent_keepalive.filter(|seconds| *seconds > 0),
                    allowed_ips: peer.allowed_ips.iter().filter_map(added).collect(),
                    ..PeerView::new(peer.public_key)
                });
            }
            Change::Peer(_)
            | Change::RemovePeer(_)
            | Change::RemoveAllPeers
            | Change::ReplacePeers(_)
            | Change::ReplaceRules(_) => {}
        }
    }
    view
}

fn address(endpoint: &Endpoint) -> Option<SocketAddr> {
    match endpoint {
        Endpoint::Address(address) => Some(*address),
        Endpoint::Name { .. } => None,
    }
}

/// However a stream is cut, the same requests come out of it.
pub fn uapi_stream(data: &[u8]) {
    const MOST: usize = 256;
    let mut input = Input::new(data);
    let cuts: [u8; 8] = input.array();
    let text = read(&mut input, LINES);
    let whole = requests([text.as_bytes()].into_iter(), MOST);
    let mut rest = text.as_bytes();
    let mut pieces = Vec::new();
    for cut in cuts {
        let (piece, behind) = rest.split_at(usize::from(cut).min(rest.len()));
        pieces.push(piece);
        rest = behind;
    }
    pieces.push(rest);
    let cut = requests(pieces.into_iter(), MOST);
    // What is too long is noticed earlier when it comes in pieces; what both understood is the same.
    let common = whole.len().min(cut.len());
    assert_eq!(whole[..common], cut[..common]);
    assert!(whole.len() == cut.len() || text.len() > MOST);
    for request in &whole {
        let Request::Set(lines) = request else { continue };
        assert!(text.contains(&format!("set=1\n{}", lines.as_str())));
    }
}

fn requests<'a>(pieces: impl Iterator<Item = &'a [u8]>, most: usize) -> Vec<Request> {
    let mut incoming = Incoming::new(most);
    let mut requests = Vec::new();
    for piece in pieces {
        incoming.push(piece);
        loop {
            match incoming.next_request() {
                Ok(Some(request)) => requests.push(request),
                Ok(None) => break,
                Err(_) => return requests,
            }
        }
    }
    requests
}

/// A damaged state file is refused; one that is read is written as it was read.
pub fn state_file(data: &[u8]) {
    let mut input = Input::new(data);
    let shape = input.byte();
    let content = input.rest();
    if shape & 1 == 0 {
        assert!(decode(content).is_err(), "nobody finds the checksum by chance");
        return;
    }
    // The checksum is no secret; whoever can write the file can write a right one.
    let mut file = encode(&State::default());
    let header = file[..12].to_vec();
    file.clear();
    file.extend(header);
    file.extend((content.len() as u64).to_le_bytes());
    file.extend(content);
    let checksum = <blake2::Blake2s256 as blake2::Digest>::digest(&file);
    file.extend(checksum);
    if let Ok(state) = decode(&file) {
        let again = decode(&encode(&state)).expect("what is written is read");
        assert_eq!(again, state);
    }
    if shape & 2 != 0 {
        let at = usize::from(shape >> 2) * file.len() / 64;
        file[at] ^= 1;
        assert!(decode(&file).is_err(), "byte {at} was changed");
    }
}
