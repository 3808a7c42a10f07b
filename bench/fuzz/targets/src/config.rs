//! `weir-config`: `weir.toml` and `.conf`.

use crate::input::Input;
use crate::text::{KEY_A, KEY_B, SECRET, read, survives};
use std::collections::HashSet;
use std::io;
use std::path::Path;
use weir_abi::change::{Change, ChangeSet};
use weir_abi::desired::{Origin, Peer};
use weir_abi::endpoint::Endpoint;
use weir_abi::key::{PresharedKey, PublicKey};
use weir_abi::prefix::Prefix;
use weir_config::Config;
use weir_config::conf::{Conf, import};
use weir_config::edit::{PeerEntry, add_peer, remove_peer, set_endpoint};
use weir_config::key::KeyFile;
use weir_config::problem::Problems;
use weir_engine::Applier;

/// Pieces of a `weir.toml`. The secret stands only where a secret may stand, or behind a key that is misspelt.
const TOML: &[&str] = &[
    "[interface]\n",
    "[gateway]\n",
    "[dataplane]\n",
    "[limits]\n",
    "[[peer]]\n",
    "private_key = \"U1NTU1NTU1NTU1NTU1NTU1NTU1NTU1NTU1NTU1NTU1M=\"\n",
    "preshared_key = \"U1NTU1NTU1NTU1NTU1NTU1NTU1NTU1NTU1NTU1NTU1M=\"\n",
    "privatekey = \"U1NTU1NTU1NTU1NTU1NTU1NTU1NTU1NTU1NTU1NTU1M=\"\n",
    "private_key_file = \"private.key\"\n",
    "preshared_key_file = \"missing\"\n",
    "public_key = \"QUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUE=\"\n",
    "public_key = \"QkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkI=\"\n",
    "public_key = ",
    "name = ",
    "name = \"wg0\"\n",
    "name = \"laptop\"\n",
    "listen_port = ",
    "addresses = ",
    "mtu = ",
    "fwmark = ",
    "routes = ",
    "endpoint = ",
    "dns = ",
    "forward = ",
    "nat = ",
    "shards = ",
    "steering = ",
    "offload = ",
    "profile = ",
    "burst = ",
    "queue = ",
    "buffer_kib = ",
    "keepalive = ",
    "state_directory = ",
    "handshakes_per_second = ",
    "handshakes_per_second_per_source = ",
    "handshake_queue = ",
    "allowed_ips = ",
    "persistent_keepalive = ",
    "peer = ",
    "interface = ",
    "peer.",
    "\"10.0.0.1/24\"",
    "\"10.0.0.2/32\"",
    "\"fd00::1/64\"",
    "\"fd00::2\"",
    "\"0.0.0.0/0\"",
    "\"vpn.example.org:51820\"",
    "\"192.0.2.1:51820\"",
    "\"auto\"",
    "\"off\"",
    "\"ebpf\"",
    "\"latency\"",
    "true\n",
    "false\n",
    "51820\n",
    "1420\n",
    "0\n",
    "1\n",
    "25\n",
    "-1\n",
    "70000\n",
    "0x10\n",
    "[",
    "]\n",
    ", ",
    "\"",
    "\n",
    "# a comment\n",
    "{ ",
    " }\n",
    "\"\"\"\n",
    "'",
    "\u{e9}",
    "1979-05-27T07:32:00Z\n",
    "inf\n",
    "1.5\n",
    "[[rule]]\n",
    "rule = ",
    "action = ",
    "\"accept\"\n",
    "\"deny\"\n",
    "from = ",
    "to = ",
    "protocol = ",
    "\"tcp\"\n",
    "\"icmp\"\n",
    "ports = ",
    "log = ",
    "groups = [\"staff\"]\n",
    "\"group:staff\"",
    "\"peer:laptop\"",
    "\"any\"",
    "443",
    "\"8000-8100\"",
];

/// Pieces of a `.conf`.
const CONF: &[&str] = &[
    "[Interface]\n",
    "[Peer]\n",
    "[peer]\n",
    "PrivateKey = U1NTU1NTU1NTU1NTU1NTU1NTU1NTU1NTU1NTU1NTU1M=\n",
    "PresharedKey = U1NTU1NTU1NTU1NTU1NTU1NTU1NTU1NTU1NTU1NTU1M=\n",
    "PrivatKey = U1NTU1NTU1NTU1NTU1NTU1NTU1NTU1NTU1NTU1NTU1M=\n",
    "PublicKey = QUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUE=\n",
    "PublicKey = QkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkI=\n",
    "PublicKey = ",
    "ListenPort = ",
    "FwMark = ",
    "Address = ",
    "DNS = ",
    "MTU = ",
    "Table = ",
    "PostUp = ",
    "SaveConfig = ",
    "AllowedIPs = ",
    "Endpoint = ",
    "PersistentKeepalive = ",
    "# Name = ",
    "#",
    " = ",
    "10.0.0.1/24",
    "10.0.0.2/32",
    "fd00::1/64",
    "0.0.0.0/0, ::/0",
    "192.0.2.1:51820",
    "[2001:db8::1]:51820",
    "vpn.example.org:51820",
    "off\n",
    "auto\n",
    "51820\n",
    "1420\n",
    "0x10\n",
    "25\n",
    "0\n",
    ", ",
    "\n",
    "\r\n",
    "laptop\n",
    "iptables -t nat -j MASQUERADE\n",
    "\u{feff}",
    "\u{e9}",
];

fn parse(text: &str) -> Result<Config, Problems> {
    let file = |path: &Path| {
        if path.ends_with("private.key") {
            return Ok(KeyFile {
                text: format!("{KEY_A}\n").into(),
                mode: 0o100_600,
            });
        }
        Err(io::ErrorKind::NotFound.into())
    };
    Config::parse(text, "weir.toml", &file)
}

/// Every problem has its line and shows no secret; a configuration is consistent in itself, and so the data plane takes it.
pub fn toml(data: &[u8]) {
    let text = read(&mut Input::new(data), TOML);
    match parse(&text) {
        Ok(config) => consistent(&config),
        Err(problems) => named(&problems, &text),
    }
}

fn named(problems: &Problems, text: &str) {
    assert!(!problems.0.is_empty());
    // A line more than the text has, where what is missing is missing at its end.
    let lines = text.lines().count() + 1;
    for problem in &problems.0 {
        assert!(
            (1..=lines).contains(&problem.line),
            "line {} of {lines}",
            problem.line
        );
        let shown = problem.to_string();
        assert!(
            !shown.contains(char::is_control),
            "not one line of printable text: {shown:?}"
        );
        let shown = format!("{problem} {problem:?}");
        assert!(
            !hides(text) || !shown.contains(SECRET),
            "a secret is shown: {shown}"
        );
    }
}

/// Whether the secret stands nowhere but behind keys for secrets: elsewhere it is none, also in a text of several lines.
fn hides(text: &str) -> bool {
    if text.contains("\"\"\"") || text.contains("'''") {
        return false;
    }
    text.lines().filter(|line| line.contains(SECRET)).all(|line| {
        let line = line.trim_start().to_ascii_lowercase().replace('_', "");
        ["privatekey = ", "presharedkey = ", "privatkey = "]
            .iter()
            .any(|key| line.starts_with(key))
    })
}

fn consistent(config: &Config) {
    let (mut keys, mut names, mut prefixes) = (HashSet::new(), HashSet::new(), HashSet::new());
    for peer in &config.peers {
        assert!(keys.insert(peer.public_key) && peer.public_key != config.public_key());
        assert!(peer.name.iter().all(|name| names.insert(name.clone())));
        assert!(peer.allowed_ips.iter().all(|prefix| prefixes.insert(*prefix)));
        assert!(peer.preshared_key.as_ref().is_none_or(|key| !key.is_zero()));
    }
    assert!(!config.interface.private_key.is_zero());
    assert!(config.mtu().is_none_or(|mtu| mtu >= 576));
    let desired = config.desired();
    let set = ChangeSet {
        base: None,
        origin: Origin::File,
        changes: vec![
            Change::PrivateKey(desired.private_key),
            Change::ReplacePeers(desired.peers),
            Change::ReplaceRules(desired.rules),
        ],
    };
    assert_eq!(Applier::new(1, 1420).prepare(&set).map(drop), Ok(()));
}

/// A peer added and taken away again leaves everything else as it was, lines and meaning.
pub fn edit(data: &[u8]) {
    let mut input = Input::new(data);
    let entry = entry(&mut input);
    let key = entry.peer.public_key.to_string();
    let text = read(&mut input, TOML);
    let before = parse(&text);
    let Ok(added) = add_peer(&text, &entry) else {
        // What is a configuration can be changed, but for a peer that is there already.
        if let Ok(config) = before {
            let there = |peer: &Peer| {
                peer.public_key == entry.peer.public_key
                    || peer.name.as_deref() == Some(key.as_str())
                    || (peer.name.is_some() && peer.name == entry.peer.name)
            };
            assert!(config.peers.iter().any(there) || config.public_key() == entry.peer.public_key);
        }
        return;
    };
    let squeezed: String = text.split_whitespace().collect();
    // Where peers are values of an array their lines change, and where a text has several lines spaces at their ends mean
    // something.
    let inline = ["peer=[", "peer\"=[", "peer'=[", "\"\"\"", "'''"]
        .iter()
        .any(|piece| squeezed.contains(piece));
    assert!(
        inline || survives(&text, &added),
        "a line is lost:\n{text}\nbecame\n{added}"
    );
    let removed = remove_peer(&added, &key).expect("the peer was just added");
    if let Ok(before) = before {
        if let Ok(after) = parse(&added) {
            let (last, others) = after.peers.split_last().expect("one was added");
            assert_eq!(others, before.peers);
            assert_eq!(*last, entry.peer);
            assert_eq!(after.interface, before.interface);
        }
        let again = parse(&removed).expect("as good as before");
        assert_eq!((again.peers, again.interface), (before.peers, before.interface));
        let moved = Endpoint::Name {
            host: "gate.example".to_owned(),
            port: 7,
        };
        let set =
            parse(&set_endpoint(&text, &moved).expect("it has an [interface]")).expect("as good as before");
        assert_eq!(set.interface.endpoint, Some(moved));
    }
    assert!(
        inline || survives(&text, &removed),
        "a line is lost:\n{text}\nbecame\n{removed}"
    );
}

fn entry(input: &mut Input<'_>) -> PeerEntry {
    let shape = input.byte();
    let base = if shape & 1 == 0 { KEY_A } else { KEY_B };
    let mut key = *base.parse::<PublicKey>().expect("a key").as_bytes();
    key[7] ^= input.byte();
    let mut peer = Peer::new(PublicKey::from_bytes(key), Origin::File);
    if shape & 2 != 0 {
        peer.name = Some(["laptop", "phone", "a b"][input.below(3)].to_owned());
    }
    if shape & 4 != 0 {
        peer.preshared_key = Some(PresharedKey::from_bytes([7; 32]));
    }
    if shape & 8 != 0 {
        peer.endpoint = Some(Endpoint::Address(([192, 0, 2, input.byte()], 1).into()));
    }
    if shape & 16 != 0 {
        let prefix = Prefix::new([10, 0, input.byte(), input.byte()].into(), 32 - input.byte() % 33);
        peer.allowed_ips.extend(prefix);
    }
    if shape & 32 != 0 {
        peer.persistent_keepalive = Some(u16::from(input.byte()) + 1);
    }
    peer.into()
}

/// What a `.conf` says is written so that it is read again, and taken over into a `weir.toml` that says the same.
pub fn conf(data: &[u8]) {
    let text = read(&mut Input::new(data), CONF);
    let conf = match Conf::parse(&text, "wg0.conf") {
        Ok(conf) => conf,
        Err(problems) => return named(&problems, &text),
    };
    let written = conf.expose_text();
    let again = Conf::parse(&written, "wg0.conf").expect("what is written is read");
    assert_eq!((&again.interface, &again.peers), (&conf.interface, &conf.peers));
    assert!(again.notes.is_empty());

    let Ok(imported) = import(&conf, "wg0") else {
        return;
    };
    let Ok(config) = parse(&imported) else { return };
    consistent(&config);
    assert_eq!(config.peers, conf.peers);
    assert_eq!(config.interface.addresses, conf.interface.addresses);
    assert_eq!(
        config.interface.listen_port,
        conf.interface.listen_port.unwrap_or(0)
    );
    assert_eq!(config.interface.dns, conf.interface.dns);
    assert_eq!(
        (config.interface.mtu, config.interface.fwmark),
        (conf.interface.mtu, conf.interface.fwmark)
    );
}
