//! What a whole file may say, and how each mistake in it is named.

use std::io;
use std::path::Path;
use weir_config::key::{KeyFile, public_key};
use weir_config::{Config, Profile, Shards, Steering};

/// Base64 of 32 times `byte`: a good private, public and preshared key.
fn key(byte: u8) -> String {
    weir_abi::key::PublicKey::from_bytes([byte; 32]).to_string()
}

fn no_files(_: &Path) -> io::Result<KeyFile> {
    Err(io::Error::new(io::ErrorKind::NotFound, "no such file"))
}

fn parse(text: &str) -> Result<Config, Vec<String>> {
    Config::parse(text, "weir.toml", &no_files)
        .map_err(|problems| problems.0.iter().map(ToString::to_string).collect())
}

fn interface(more: &str) -> String {
    format!("[interface]\nprivate_key = \"{}\"\n{more}", key(9))
}

/// Expects exactly one problem, and in it all of `parts`.
fn refused(text: &str, parts: &[&str]) {
    let problems = parse(text).expect_err(text);
    assert_eq!(problems.len(), 1, "{text}\n{problems:#?}");
    for part in parts {
        assert!(
            problems[0].contains(part),
            "{text}\n{}\nlacks {part}",
            problems[0]
        );
    }
}

#[test]
fn a_whole_file_is_read() {
    let text = format!(
        r#"
[interface]
name = "wg0"
private_key = "{}"
listen_port = 0xCA6C
addresses = ["10.77.0.1/24", "fd77::1/64"]
mtu = 1420
fwmark = 0x10
routes = false
endpoint = "vpn.example.org"
dns = ["10.77.0.1", "example.org"]
[gateway]
nat = true
[dataplane]
shards = 3
steering = "classic-bpf"
offload = "off"
profile = "latency"
burst = 8
[limits]
handshakes_per_second = 500
[[peer]]
name = "laptop"
public_key = "{}"
preshared_key = "{}"
endpoint = "[2001:db8::1]:51820"
allowed_ips = ["10.77.0.2/32", "10.0.0.0/8", "fd77::2"]
persistent_keepalive = 25
[[peer]]
public_key = "{}"
persistent_keepalive = 0
"#,
        key(9),
        key(2),
        key(3),
        key(4)
    );
    let config = parse(&text).expect("a good file");
    assert_eq!(
        (config.interface.listen_port, config.interface.fwmark),
        (51820, 16)
    );
    assert_eq!(
        config
            .interface
            .endpoint
            .as_ref()
            .map(ToString::to_string)
            .as_deref(),
        Some("vpn.example.org:51820")
    );
    assert_eq!(config.interface.addresses[1].to_string(), "fd77::1/64");
    assert!(!config.interface.routes && config.gateway.nat && config.gateway.forward);
    assert!(matches!(config.dataplane.shards, Shards::Count(n) if n.get() == 3));
    assert_eq!(config.dataplane.steering, Steering::ClassicBpf);
    assert_eq!((config.dataplane.burst, config.dataplane.queue), (8, 64));
    assert_eq!(config.dataplane.profile, Profile::Latency);
    assert_eq!(config.limits.handshakes_per_second, Some(500));
    let desired = config.desired();
    assert_eq!(desired.peers.len(), 2);
    assert_eq!(desired.peers[0].allowed_ips.len(), 3);
    assert_eq!(desired.peers[1].persistent_keepalive, None);
    assert_eq!(config.peer("laptop"), config.peer(&key(2)));
}

#[test]
fn every_problem_is_named_with_its_line() {
    let text = format!(
        "[interface]\nprivate_key = \"{}\"\nlisten_port = 70000\nmtu = 100\n[[peer]]\nname = \"laptop\"\n\
         public_key = \"short\"\nallowed_ips = [\"10.0.0.0/33\"]\n",
        key(9)
    );
    let problems = parse(&text).unwrap_err();
    assert_eq!(
        problems,
        [
            "weir.toml:3: interface: listen_port: 70000; expected 0 to 65535",
            "weir.toml:4: interface: mtu: 100; expected 576 to 65455",
            "weir.toml:7: peer \"laptop\": public_key: expected a key of 44 base64 characters ending in '='",
            "weir.toml:8: peer \"laptop\": allowed_ips: \"33\" is not a prefix length for 10.0.0.0; expected 0 to 32",
        ]
    );
}

#[test]
fn single_mistakes() {
    let peer = |more: &str| interface(&format!("[[peer]]\npublic_key = \"{}\"\n{more}", key(2)));
    refused("", &["weir.toml:1: interface: missing", "private_key_file"]);
    refused("[interface]\n", &["weir.toml:1:", "private_key_file: missing"]);
    refused("[interface\nx = 1", &["weir.toml:1:"]);
    refused(
        &interface("listenport = 1\n"),
        &["weir.toml:3:", "did you mean listen_port?"],
    );
    refused(
        &interface("colour = 1\n"),
        &["interface: colour: unknown; expected one of name,"],
    );
    refused(
        &format!("{}[gatewy]\nnat = true\n", interface("")),
        &["gatewy", "did you mean gateway?"],
    );
    refused(
        &interface("listen_port = \"a\"\n"),
        &["a text in quotes; expected a whole number"],
    );
    refused(&interface("listen_port = -1\n"), &["-1; expected 0 to 65535"]);
    refused(
        &interface("listen_port = 99999999999999999999999\n"),
        &["expected 0 to 65535"],
    );
    refused(&interface("routes = 1\n"), &["a number; expected true or false"]);
    refused(
        &interface("name = \"much-too-long-name\"\n"),
        &["1 to 15 characters"],
    );
    refused(&interface("name = \"../x\"\n"), &["\"../x\""]);
    refused(
        &interface("addresses = \"10.0.0.1/24\"\n"),
        &["a text in quotes; expected a list"],
    );
    refused(
        &interface("addresses = [\"10.0.0.1/24\", \"10.0.0.1/16\"]\n"),
        &["10.0.0.1 is given twice"],
    );
    refused(
        &interface("addresses = [\"fd00::1/64\"]\nmtu = 1000\n"),
        &["mtu: 1000", "1280"],
    );
    refused(&interface("dns = [\"a b\"]\n"), &["dns: \"a b\""]);
    refused(
        &interface("endpoint = \"a b:5\"\n"),
        &["\"a b:5\" is not an endpoint"],
    );
    refused(
        &interface("[dataplane]\nshards = \"many\"\n"),
        &["\"many\"; expected \"auto\" or a number"],
    );
    refused(&interface("[dataplane]\nshards = 0\n"), &["0; expected 1 to 64"]);
    refused(
        &interface("[dataplane]\nsteering = \"xdp\"\n"),
        &["\"xdp\"; expected auto, ebpf"],
    );
    refused(
        &interface("[peer]\npublic_key = \"\"\n"),
        &["weir.toml:3: peer:", "[[peer]] in double brackets"],
    );
    refused(
        &interface("[[peer]]\nname = \"a\"\n"),
        &["peer \"a\": public_key: missing"],
    );
    refused(
        &peer("name = \"../etc\"\n"),
        &["name: \"../etc\"; expected 1 to 64 letters"],
    );
    refused(
        &peer("endpoint = \"1.2.3.4\"\n"),
        &["weir.toml:5:", "\"1.2.3.4\" is not an endpoint"],
    );
    refused(
        &peer("persistent_keepalive = 65536\n"),
        &["65536; expected 0 to 65535"],
    );
    refused(
        &peer("preshared_key = \"x\"\n"),
        &["preshared_key: expected a key of 44"],
    );
    refused(
        &peer("preshared_key_file = \"psk\"\n"),
        &["preshared_key_file: psk: no such file"],
    );
    refused(
        &peer("allowed_ips = [5]\n"),
        &["a number; expected a list of prefixes"],
    );
}

#[test]
fn contradictions_between_peers_name_both() {
    let two = |one: &str, other: &str| {
        interface(&format!(
            "addresses = [\"10.0.0.1/24\"]\n[[peer]]\nname = \"a\"\npublic_key = \"{}\"\nallowed_ips = [{one}]\n\
             [[peer]]\nname = \"b\"\npublic_key = \"{}\"\nallowed_ips = [{other}]\n",
            key(2),
            key(4)
        ))
    };
    refused(
        &two("\"10.1.0.0/16\"", "\"10.1.2.3/16\""),
        &["weir.toml:11: peer \"b\": allowed_ips: 10.1.0.0/16 belongs to peer \"a\" already (line 7)"],
    );
    refused(
        &two("\"10.0.0.1/32\"", ""),
        &["10.0.0.1/32 belongs to interface already"],
    );
    parse(&two("\"10.1.0.0/16\"", "\"10.1.2.0/24\"")).expect("nested prefixes are legitimate");
    let same = two("", "").replace(&key(4), &key(2));
    refused(
        &same,
        &[
            "weir.toml:10: peer \"b\": public_key:",
            "given twice, the first time in line 6",
        ],
    );
    refused(&two("", "").replace("\"b\"", "\"a\""), &["\"a\" is given twice"]);
    let own = public_key(&key(9).parse().unwrap()).to_string();
    refused(
        &two("", "").replace(&key(4), &own),
        &["is the interface's own public key"],
    );
    let zero = weir_abi::key::PublicKey::from_bytes([0; 32]).to_string();
    refused(&two("", "").replace(&key(4), &zero), &["low order"]);
}

#[test]
fn key_files_are_read_beside_the_file_and_exposed_ones_warned_of() {
    let text = "[interface]\nprivate_key_file = \"keys/private\"\n";
    let read = |mode: u32, content: String| {
        move |path: &Path| {
            assert_eq!(path, Path::new("/etc/weir/keys/private"));
            Ok(KeyFile {
                text: content.clone().into(),
                mode,
            })
        }
    };
    let config = Config::parse(text, "/etc/weir/weir.toml", &read(0o100600, key(9) + "\n")).unwrap();
    assert!(config.warnings.is_empty());
    let config = Config::parse(text, "/etc/weir/weir.toml", &read(0o100640, key(9))).unwrap();
    let warning = config.warnings[0].to_string();
    assert!(
        warning.contains("mode 0640") && warning.contains("weir.toml:2:"),
        "{warning}"
    );
    let error = Config::parse(text, "/etc/weir/weir.toml", &read(0o600, "secret".to_owned()))
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("44 base64") && !error.contains("secret"),
        "{error}"
    );
    let both = interface("private_key_file = \"x\"\n");
    refused(&both, &["private_key_file: given together with private_key"]);
}

// Catches a message that shows part of a mistyped secret.
#[test]
fn no_problem_shows_a_secret() {
    let secret = &key(9)[..40];
    for text in [
        format!("[interface]\nprivate_key = \"{secret}\"\n"),
        format!("[interface]\nprivate_key = {secret}\n"),
        format!("[interface]\nprivate_key = \"{secret}\n"),
    ] {
        let problems = parse(&text).unwrap_err().join("\n");
        assert!(!problems.contains(&secret[..8]), "{problems}");
    }
}

// Catches a reference that the parser refuses, one that leaves a key out, and defaults that are not what it says.
#[test]
fn the_reference_is_complete_and_true() {
    let text = include_str!("../reference.toml");
    let read = |_: &Path| {
        Ok(KeyFile {
            text: key(9).into(),
            mode: 0o600,
        })
    };
    let config = Config::parse(text, "reference.toml", &read).unwrap_or_else(|e| panic!("{e}"));
    let bare = parse(&interface("")).unwrap();
    assert_eq!((config.dataplane, config.limits), (bare.dataplane, bare.limits));
    let of = |i: &weir_config::Interface| (i.name.clone(), i.listen_port, i.fwmark, i.routes, i.mtu);
    assert_eq!(of(&config.interface), of(&bare.interface));
    let every = text.replace("\n# ", "\n");
    for section in [
        "[interface]",
        "[gateway]",
        "[dataplane]",
        "[limits]",
        "[[peer]]",
        "[[rule]]",
    ] {
        let problem = parse(&format!("{section}\nzzzzzzzz = 1\n")).unwrap_err();
        let known = problem
            .iter()
            .find_map(|p| p.split_once("expected one of "))
            .unwrap()
            .1;
        for key in known.split(", ") {
            let there = every.contains(&format!("\n{key} = ")) || every.contains(&format!(" {key} = "));
            assert!(there, "{section} {key} is not in the reference");
        }
    }
}
