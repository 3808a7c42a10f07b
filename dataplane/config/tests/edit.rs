//! Peers added to and removed from a file that a person wrote.

use std::io;
use weir_abi::desired::{Origin, Peer};
use weir_abi::key::PublicKey;
use weir_config::Config;
use weir_config::PortRole;
use weir_config::edit::{EditError, add_peer, remove_peer, set_endpoint, set_port};

fn key(byte: u8) -> String {
    PublicKey::from_bytes([byte; 32]).to_string()
}

fn peer(byte: u8, name: &str, allowed: &str) -> Peer {
    Peer {
        name: Some(name.to_owned()),
        allowed_ips: vec![allowed.parse().expect("a prefix")],
        ..Peer::new(PublicKey::from_bytes([byte; 32]), Origin::File)
    }
}

fn parse(text: &str) -> Config {
    let none = |_: &std::path::Path| Err(io::ErrorKind::NotFound.into());
    Config::parse(text, "weir.toml", &none).unwrap_or_else(|e| panic!("{e}\n{text}"))
}

/// A file with comments in every place.
fn written() -> String {
    format!(
        "# The office's gateway.\n\n[interface] # ours\nprivate_key = \"{}\"   # do not share\n\n\
         # ---- staff ----\n\n# Ada's laptop,\n# since May\n[[peer]]\nname = 'ada'\npublic_key = \"{}\" # hers\n\
         allowed_ips = [\n  \"10.0.0.2/32\", # v4\n]\n\n# ---- sites ----\n\n[[peer]]\nname = \"brno\"\n\
         public_key = \"{}\"\n\n[gateway]\nnat = true\n# the end\n",
        key(9),
        key(2),
        key(3)
    )
}

// Catches a rewrite that loses comments, order or quoting.
#[test]
fn adding_changes_nothing_else() {
    let before = written();
    let after = add_peer(&before, &peer(7, "new", "10.0.0.9/32").into()).unwrap();
    let added: String = {
        let mut rest = after.clone();
        for line in before.lines() {
            let at = rest
                .find(line)
                .unwrap_or_else(|| panic!("lost {line:?} of\n{after}"));
            rest.replace_range(at..at + line.len(), "");
        }
        rest
    };
    assert!(
        added.contains("[[peer]]") && added.trim().lines().count() == 4,
        "{added}"
    );
    let config = parse(&after);
    assert_eq!(config.peers[2], peer(7, "new", "10.0.0.9/32"));
    assert_eq!(config.peers[..2], parse(&before).peers[..]);
    assert_eq!(remove_peer(&after, "new").unwrap(), before);
}

#[test]
fn removing_takes_the_peer_and_its_own_comment_only() {
    let before = written();
    let after = remove_peer(&before, "ada").unwrap();
    assert!(!after.contains("Ada") && !after.contains("hers"), "{after}");
    for kept in [
        "# ---- staff ----",
        "# ---- sites ----",
        "# the end",
        "# do not share",
        "[interface] # ours",
    ] {
        assert!(after.contains(kept), "lost {kept}:\n{after}");
    }
    assert_eq!(parse(&after).peers.len(), 1);
    let none = remove_peer(&after, &key(3)).unwrap();
    assert!(
        none.contains("# ---- sites ----") && none.contains("nat = true"),
        "{none}"
    );
    assert!(parse(&none).peers.is_empty());
    let again = add_peer(&none, &peer(7, "new", "10.0.0.9/32").into()).unwrap();
    assert_eq!(parse(&again).peers.len(), 1);
}

#[test]
fn the_endpoint_is_set_and_replaced() {
    let endpoint = |text: &str| parse(text).interface.endpoint.map(|e| e.to_string());
    let first = set_endpoint(&written(), &"192.0.2.1:51820".parse().unwrap()).unwrap();
    assert_eq!(endpoint(&first).as_deref(), Some("192.0.2.1:51820"));
    let commented = first.replace("\"192.0.2.1:51820\"", "\"192.0.2.1:51820\" # by fibre");
    let second = set_endpoint(&commented, &"vpn.example.org:1".parse().unwrap()).unwrap();
    assert_eq!(endpoint(&second).as_deref(), Some("vpn.example.org:1"));
    assert_eq!(second, commented.replace("192.0.2.1:51820", "vpn.example.org:1"));
}

// Catches a port that is written twice, and what was said of one that is lost with its device's name.
#[test]
fn ports_are_set_and_replaced() {
    let devices = |text: &str| -> Vec<(&'static str, String)> {
        let ports = parse(text).ports.into_iter();
        ports.map(|port| (port.role.name(), port.device)).collect()
    };
    let wan = set_port(&written(), PortRole::Wan, "eth1").unwrap();
    assert_eq!(devices(&wan), [("wan", "eth1".to_owned())]);
    let both = set_port(&wan, PortRole::Lan, "eth2").unwrap();
    let commented = both.replace("\"eth1\"", "\"eth1\" # to the provider\nmode = \"driver\"");
    let other = set_port(&commented, PortRole::Wan, "eth3").unwrap();
    assert_eq!(other, commented.replace("eth1", "eth3"));
    assert_eq!(
        devices(&other),
        [("wan", "eth3".to_owned()), ("lan", "eth2".to_owned())]
    );
    assert_eq!(
        set_port("port = 5", PortRole::Wan, "eth1"),
        Err(EditError::NoPorts)
    );
}

#[test]
fn inline_lists_can_be_edited_too() {
    let text = format!(
        "peer = [{{ name = \"a\", public_key = \"{}\" }}]\n[interface]\nprivate_key = \"{}\"\n",
        key(2),
        key(9)
    );
    let added = add_peer(&text, &peer(7, "new", "10.0.0.9/32").into()).unwrap();
    assert_eq!(parse(&added).peers[1], peer(7, "new", "10.0.0.9/32"));
    assert_eq!(parse(&remove_peer(&added, "a").unwrap()).peers.len(), 1);
}

#[test]
fn what_cannot_be_done_is_said() {
    let text = written();
    let refused = |p: Peer| add_peer(&text, &p.into()).unwrap_err();
    assert_eq!(
        refused(peer(7, "ada", "10.0.0.9/32")),
        EditError::Exists("ada".to_owned())
    );
    assert_eq!(refused(peer(2, "new", "10.0.0.9/32")), EditError::Exists(key(2)));
    assert_eq!(
        remove_peer(&text, "eve"),
        Err(EditError::NoSuchPeer("eve".to_owned()))
    );
    assert!(matches!(remove_peer("a = ", "eve"), Err(EditError::Syntax(_))));
    assert_eq!(remove_peer("peer = 5", "eve"), Err(EditError::NoList));
}
