//! What holds for every text, every peer and every `.conf`.

use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use std::io;
use weir_abi::desired::{Origin, Peer};
use weir_abi::key::{PresharedKey, PrivateKey, PublicKey};
use weir_abi::prefix::Prefix;
use weir_config::conf::{Conf, ConfInterface};
use weir_config::edit::{PeerEntry, add_peer, remove_peer};
use weir_config::{Config, Dns, allocate::allocate};

const BASE: &str = "[interface]\nprivate_key = \"CQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQk=\" # kept\n\
                    addresses = [\"10.0.0.1/24\", \"fd00::1/64\"]\n";

fn parse(text: &str) -> Result<Config, weir_config::problem::Problems> {
    let none = |_: &std::path::Path| Err(io::ErrorKind::NotFound.into());
    Config::parse(text, "weir.toml", &none)
}

prop_compose! {
    fn prefix()(v4: bool, bytes: [u8; 16], length: u8) -> Prefix {
        let address = if v4 { [bytes[0], bytes[1], bytes[2], bytes[3]].into() } else { bytes.into() };
        Prefix::new(address, length % if v4 { 33 } else { 129 }).expect("a length of the family")
    }
}

prop_compose! {
    fn peer()(
        key in any::<[u8; 32]>().prop_filter("a key of no low order", |k| k[1..31].iter().any(|b| *b > 1 && *b < 255)),
        psk in proptest::option::of(any::<[u8; 32]>().prop_filter("zero is none", |k| *k != [0; 32])),
        name in proptest::option::of("[a-z0-9]([a-z0-9 ._@+-]{0,20}[a-z0-9])?"),
        mut allowed_ips in proptest::collection::vec(prefix(), 0..4),
        endpoint in proptest::option::of((any::<[u8; 4]>(), 1u16..)),
        persistent_keepalive in proptest::option::of(1u16..),
    ) -> Peer {
        allowed_ips.sort_unstable();
        allowed_ips.dedup();
        allowed_ips.retain(|p| p.to_string() != "10.0.0.1/32" && p.to_string() != "fd00::1/128");
        Peer {
            preshared_key: psk.map(PresharedKey::from_bytes),
            name,
            allowed_ips,
            endpoint: endpoint.map(|e| weir_abi::endpoint::Endpoint::Address(e.into())),
            persistent_keepalive,
            ..Peer::new(PublicKey::from_bytes(key), Origin::File)
        }
    }
}

/// Pieces of both formats in any order: closer to real mistakes than random characters.
fn shuffled() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("[interface]\n".to_owned()),
        Just("[[peer]]\n".to_owned()),
        Just("[[rule]]\naction = \"deny\"\n".to_owned()),
        Just("[Peer]\n".to_owned()),
        Just("[Interface]\n".to_owned()),
        Just(BASE.to_owned()),
        "(name|public_key|allowed_ips|mtu|peer|Address|PublicKey|AllowedIPs|shards|from|to|protocol|ports|groups) ?= ?",
        "(\"[a-zA-Z0-9/:.+=]{0,50}\"|-?[0-9]{1,25}|\\[.{0,10}\\]|true|\\{.{0,6}\\})\n",
        "\\PC{0,12}",
    ];
    proptest::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

proptest! {
    // The same cases in every run; a failure prints its input, and PROPTEST_CASES asks for more.
    #![proptest_config(ProptestConfig { rng_seed: RngSeed::Fixed(0x7765_6972), failure_persistence: None, max_global_rejects: u32::MAX, ..ProptestConfig::default() })]

    #[test]
    fn nothing_panics(text in prop_oneof![shuffled(), "\\PC{0,200}", any::<String>()]) {
        let parsed = parse(&text);
        if let Err(problems) = &parsed {
            prop_assert!(!problems.0.is_empty());
            prop_assert!(problems.0.iter().all(|p| p.line >= 1 && p.line <= text.lines().count().max(1) + 1));
        }
        let conf = Conf::parse(&text, "x.conf");
        if let Ok(conf) = conf {
            let again = Conf::parse(&conf.expose_text(), "again.conf").expect("what is written can be read");
            prop_assert_eq!(again.peers, conf.peers);
        }
        let _ = remove_peer(&text, "a");
        if let Ok(config) = parsed {
            let _ = allocate(&config);
        }
    }

    #[test]
    fn an_added_peer_is_read_as_it_was_and_removed_without_a_trace(one in peer(), other in peer()) {
        prop_assume!(one.public_key != other.public_key && (one.name.is_none() || one.name != other.name));
        prop_assume!(one.allowed_ips.iter().all(|p| !other.allowed_ips.contains(p)));
        let first = add_peer(BASE, &PeerEntry::from(one.clone())).expect("a new peer");
        let second = add_peer(&first, &PeerEntry::from(other.clone())).expect("another peer");
        let config = parse(&second).map_err(|e| TestCaseError::fail(format!("{e}\n{second}")))?;
        prop_assert_eq!(&config.peers, &[one, other.clone()]);
        prop_assert_eq!(remove_peer(&second, &other.public_key.to_string()).expect("it is there"), first);
    }

    #[test]
    fn allocated_addresses_are_free(peers in proptest::collection::vec(0u8..=255, 0..250)) {
        let mut config = parse(BASE).expect("a good base");
        for byte in peers {
            let mut peer = Peer::new(PublicKey::from_bytes([byte; 32]), Origin::File);
            peer.allowed_ips = vec![Prefix::host([10, 0, 0, byte].into())];
            config.peers.push(peer);
        }
        if let Ok(found) = allocate(&config) {
            prop_assert_eq!(found.len(), 2);
            for prefix in found {
                prop_assert!(config.peers.iter().all(|p| !p.allowed_ips.contains(&prefix)));
                prop_assert!(config.interface.addresses.iter().all(|a| !prefix.contains(a.address)));
                prop_assert!(config.interface.addresses.iter().any(|a| a.network().contains(prefix.address())));
            }
        }
    }

    #[test]
    fn a_conf_is_read_as_it_was_written(
        one in peer(),
        private in proptest::option::of(any::<[u8; 32]>().prop_filter("zero is none", |k| *k != [0; 32])),
        listen_port: Option<u16>,
        fwmark: u32,
        mtu in proptest::option::of(576u16..65_455),
        routes: bool,
    ) {
        let conf = Conf {
            interface: ConfInterface {
                private_key: private.map(PrivateKey::from_bytes),
                listen_port,
                fwmark,
                addresses: vec!["10.0.0.1/24".parse().expect("an address")],
                dns: vec![Dns::Search("example.org".to_owned())],
                mtu,
                routes,
            },
            peers: vec![one],
            notes: Vec::new(),
        };
        let text = conf.expose_text();
        prop_assert_eq!(Conf::parse(&text, "x.conf").map_err(|e| TestCaseError::fail(e.to_string()))?, conf);
    }
}
