//! Properties of the UAPI's text.

#[path = "common/memory.rs"]
#[allow(dead_code, reason = "the parts that serve a socket are not used here")]
mod memory;

use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;
use std::net::SocketAddr;
use weir_abi::change::{AllowedIpChange, Change, PeerChange};
use weir_abi::endpoint::Endpoint;
use weir_abi::key::{PresharedKey, PrivateKey, PublicKey};
use weir_abi::prefix::Prefix;
use weir_gateway::uapi::{InterfaceView, PeerView, parse_set, serialize};

fn prefix() -> impl Strategy<Value = Prefix> {
    (any::<std::net::IpAddr>(), 0..=128u8).prop_map(|(address, length)| {
        let most = if address.is_ipv4() { 32 } else { 128 };
        Prefix::new(address, length % (most + 1)).expect("the family has the length")
    })
}

fn address() -> impl Strategy<Value = SocketAddr> {
    (any::<std::net::IpAddr>(), 1..=u16::MAX).prop_map(SocketAddr::from)
}

fn peer() -> impl Strategy<Value = PeerView> {
    (
        any::<[u8; 32]>(),
        of(any::<[u8; 32]>()),
        of(address()),
        of(1..=u16::MAX),
        proptest::collection::hash_set(prefix(), 0..4),
    )
        .prop_map(|(key, psk, endpoint, persistent_keepalive, allowed)| PeerView {
            preshared_key: psk.filter(|p| *p != [0; 32]).map(PresharedKey::from_bytes),
            endpoint,
            persistent_keepalive,
            allowed_ips: allowed.into_iter().collect(),
            ..PeerView::new(PublicKey::from_bytes(key))
        })
}

fn view() -> impl Strategy<Value = InterfaceView> {
    (
        of(any::<[u8; 32]>()),
        any::<u16>(),
        any::<u32>(),
        vec(peer(), 0..5),
    )
        .prop_map(|(key, listen_port, fwmark, mut peers)| {
            // A prefix has one owner.
            let mut owned = std::collections::HashSet::new();
            peers
                .iter_mut()
                .for_each(|p| p.allowed_ips.retain(|a| owned.insert(*a)));
            InterfaceView {
                private_key: key.filter(|k| *k != [0; 32]).map(PrivateKey::from_bytes),
                listen_port,
                fwmark,
                peers,
            }
        })
}

/// Lines of the protocol with good and bad values, in any order.
fn lines() -> impl Strategy<Value = String> {
    let key = prop::sample::select(vec![
        "private_key",
        "listen_port",
        "fwmark",
        "replace_peers",
        "public_key",
        "remove",
        "update_only",
        "preshared_key",
        "endpoint",
        "persistent_keepalive_interval",
        "replace_allowed_ips",
        "allowed_ip",
        "protocol_version",
        "",
    ]);
    let value = prop_oneof![
        Just("true".to_owned()),
        Just("1".repeat(64)),
        any::<u64>().prop_map(|n| n.to_string()),
        any::<u16>().prop_map(|n| n.to_string()),
        address().prop_map(|a| a.to_string()),
        prefix().prop_map(|p| p.to_string()),
        prefix().prop_map(|p| format!("-{p}")),
        "\\[[0-9a-f:]{0,9}(%[a-z]{1,3})?\\]:[0-9]{0,6}",
        any::<String>(),
    ];
    vec((key, value), 0..8).prop_map(|all| all.iter().map(|(k, v)| format!("{k}={v}\n")).collect())
}

/// The changes that make an empty interface this one.
fn as_changes(view: &InterfaceView) -> Vec<Change> {
    let interface = [
        Change::PrivateKey(view.private_key.clone()),
        Change::ListenPort(view.listen_port),
        Change::Fwmark(view.fwmark),
    ];
    let peers = view.peers.iter().map(|peer| {
        Change::Peer(PeerChange {
            preshared_key: peer.preshared_key.clone(),
            endpoint: peer.endpoint.map(Endpoint::Address),
            persistent_keepalive: Some(peer.persistent_keepalive.unwrap_or(0)),
            allowed_ips: peer
                .allowed_ips
                .iter()
                .map(|p| AllowedIpChange::Add(*p))
                .collect(),
            ..PeerChange::new(peer.public_key)
        })
    });
    interface.into_iter().chain(peers).collect()
}

proptest! {
    // Catches a panic on text that only root can send, but any program of root's may send wrongly.
    #[test]
    fn no_text_panics(text in prop_oneof![any::<String>(), lines()]) {
        let _ = parse_set(&text, &|_| None);
    }

    // Catches anything that a get tells and a set does not take, or takes for something else.
    #[test]
    fn what_get_tells_set_restores(view in view()) {
        let text = String::from_utf8(serialize(&view).to_vec()).expect("text");
        // A set knows all keys of a get but these three, which it cannot change.
        let settable = |line: &&str| !["last_handshake", "tx_bytes", "rx_bytes"].iter().any(|k| line.starts_with(k));
        let text: String = text.lines().filter(settable).map(|l| format!("{l}\n")).collect();
        let mut restored = InterfaceView::default();
        for change in parse_set(&text, &|_| None).expect("a set takes what a get tells") {
            memory::apply(&mut restored, change);
        }
        let mut expected = InterfaceView::default();
        for change in as_changes(&view) {
            memory::apply(&mut expected, change);
        }
        prop_assert_eq!(&restored, &expected);
        prop_assert_eq!(restored, view);
    }
}
