//! `weir peer`: what is added is complete, what a person wrote stays, and nothing is left half done.

mod common;

use common::*;
use std::fs;
use std::os::unix::fs::symlink;
use weir_abi::change::Refusal;
use weir_abi::ipc::Reply;
use weir_config::Config;
use weir_config::conf::Conf;
use weir_config::key::public_key;

fn parse(place: &Place) -> Config {
    let read = |path: &std::path::Path| {
        Ok(weir_config::key::KeyFile {
            text: fs::read_to_string(path)?.into(),
            mode: mode(path),
        })
    };
    let text = place.text();
    Config::parse(&text, place.config.to_str().expect("UTF-8"), &read)
        .unwrap_or_else(|e| panic!("{e}\n{text}"))
}

#[test]
fn a_client_is_added_with_all_it_needs() {
    let place = Place::new(&written());
    let gateway = FakeGateway::start(&place, "weirtest", weir_abi::VERSION, done);
    let output = place.peer(&["add", "phone"]);
    let conf = Conf::parse(&good(&output), "phone.conf").expect("what is printed is a .conf");
    assert!(err(&output).contains("taken it over"), "{}", err(&output));
    assert_eq!(gateway.reloads(), 1);

    let config = parse(&place);
    let peer = config.peer("phone").expect("it was added");
    assert_eq!(
        peer.public_key,
        public_key(conf.interface.private_key.as_ref().expect("a key was made"))
    );
    assert_eq!(format!("{:?}", peer.allowed_ips), "[10.77.0.3/32, fd77::3/128]");
    let seen = &conf.peers[0];
    assert_eq!(
        (seen.public_key, &seen.preshared_key),
        (config.public_key(), &peer.preshared_key)
    );
    assert!(peer.preshared_key.is_some());
    assert_eq!(
        seen.endpoint.as_ref().map(ToString::to_string).as_deref(),
        Some("vpn.example.org:51820")
    );
    assert_eq!(format!("{:?}", seen.allowed_ips), "[10.77.0.0/24, fd77::/64]");
    for line in written().lines() {
        assert!(place.text().contains(line), "lost {line:?}");
    }
    assert_eq!(mode(&place.config), 0o600);
    assert_eq!(place.files(), ["weir.toml", "weirtest.sock"]);
}

// Catches a client that cannot reach what the gateway translates for, and one that is forced to send everything.
#[test]
fn a_client_of_a_translating_gateway_sends_it_everything() {
    let place = Place::new(&written().replacen("\n\n#", "\n\n[gateway]\nnat = true\n\n#", 1));
    for (name, option, expected) in [
        ("phone", None, "[0.0.0.0/0, ::/0]"),
        ("laptop", Some("--split-tunnel"), "[10.77.0.0/24, fd77::/64]"),
    ] {
        let arguments: Vec<&str> = ["add", name].into_iter().chain(option).collect();
        let conf = Conf::parse(&good(&place.peer(&arguments)), "client.conf").unwrap();
        assert_eq!(format!("{:?}", conf.peers[0].allowed_ips), expected, "{name}");
    }
}

#[test]
fn options_are_heeded() {
    let place = Place::new(&written());
    let file = place.path("site.conf");
    let output = place.peer(&[
        "add",
        "site",
        "--allowed-ips",
        "10.77.0.9/32,192.0.2.0/24",
        "--public-key",
        &key(4),
        "--preshared-key",
        "none",
        "--endpoint",
        "site.example.org:51820",
        "--keepalive",
        "20",
        "--gateway",
        "198.51.100.7:443",
        "--full-tunnel",
        "--conf",
        file.to_str().unwrap(),
    ]);
    let text = good(&output);
    assert!(
        err(&output).contains("no gateway runs weirtest"),
        "{}",
        err(&output)
    );
    assert_eq!(
        (fs::read_to_string(&file).unwrap(), mode(&file)),
        (text.clone(), 0o600)
    );
    let conf = Conf::parse(&text, "site.conf").unwrap();
    assert_eq!(conf.interface.private_key, None);
    assert_eq!(format!("{:?}", conf.peers[0].allowed_ips), "[0.0.0.0/0, ::/0]");
    assert_eq!(conf.interface.addresses.len(), 1);
    assert_eq!(
        conf.peers[0].endpoint.as_ref().unwrap().to_string(),
        "198.51.100.7:443"
    );
    let config = parse(&place);
    let peer = config.peer("site").unwrap();
    assert_eq!(
        (peer.persistent_keepalive, peer.preshared_key.is_none()),
        (Some(20), true)
    );
    assert_eq!(
        peer.endpoint.as_ref().unwrap().to_string(),
        "site.example.org:51820"
    );
    assert!(good(&place.peer(&["list"])).contains("192.0.2.0/24"));
    let json = good(&place.peer(&["list", "--json"]));
    assert_eq!(
        serde_json::from_str::<serde_json::Value>(&json).unwrap()[1]["name"],
        "site"
    );
}

// Catches a client whose only private key went to an output that took nothing.
#[test]
fn a_client_that_cannot_be_shown_is_not_added() {
    let place = Place::new(&written());
    let gateway = FakeGateway::start(&place, "weirtest", weir_abi::VERSION, done);
    let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let file = place.path("phone.conf");
    let mut command = place.command(&["peer", "--config", "weir.toml", "add", "phone", "--conf"]);
    let output = command.arg(&file).stdout(full).output().unwrap();
    refused(
        &output,
        &["No space left", "the peer is not added: weir.toml is as it was"],
    );
    assert!(!err(&output).contains("peer \"phone\""), "{}", err(&output));
    assert_eq!(place.text(), written());
    assert_eq!(gateway.reloads(), 2, "the gateway lets go of it too");
    assert_eq!(place.files(), ["weir.toml", "weirtest.sock"]);
}

// Catches a prefix written twice, and a number below zero taken for an option.
#[test]
fn odd_options_are_understood() {
    let place = Place::new(&written());
    let prefixes = "10.77.0.9,fd77::9,10.77.0.9/32";
    good(&place.peer(&["add", "site", "--allowed-ips", prefixes]));
    assert!(
        place.text().contains("[\"10.77.0.9/32\", \"fd77::9/128\"]"),
        "{}",
        place.text()
    );
    let output = place.peer(&["add", "x", "--keepalive", "-1"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(
        err(&output).contains("-1 is not in 0..=65535"),
        "{}",
        err(&output)
    );
    let site = parse(&place).peer("site").unwrap().public_key.to_string();
    let output = place.peer(&["remove", &site]);
    good(&output);
    assert!(err(&output).contains("peer \"site\" removed"), "{}", err(&output));
}

// Catches a change lost between two commands that run at the same time, and one address given twice.
#[test]
fn commands_at_the_same_time_lose_nothing() {
    const COUNT: usize = 24;
    let place = Place::new(&written());
    let children: Vec<_> = (0..COUNT)
        .map(|n| {
            place
                .command(&["peer", "add", &format!("p{n}"), "--config", "weir.toml"])
                .output_later()
        })
        .collect();
    for child in children {
        good(&child.wait_with_output().expect("weir ends"));
    }
    let config = parse(&place);
    assert_eq!(config.peers.len(), COUNT + 1);
    assert_eq!(place.files(), ["weir.toml"]);
}

trait Later {
    fn output_later(&mut self) -> std::process::Child;
}

impl Later for std::process::Command {
    fn output_later(&mut self) -> std::process::Child {
        self.stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped());
        self.spawn().expect("weir is started")
    }
}

// Catches a file that the gateway would not start with, and files left of a client that was never added.
#[test]
fn what_the_gateway_refuses_is_taken_back() {
    let text = written();
    let place = Place::new(&text);
    chmod(&place.config, 0o640);
    let refuse = |_: &weir_abi::ipc::Request| {
        Reply::Refused(Refusal::TooMany {
            what: "peers".to_owned(),
            count: 9,
            most: 8,
        })
    };
    let _gateway = FakeGateway::start(&place, "weirtest", weir_abi::VERSION, refuse);
    let conf = place.path("phone.conf");
    let output = place.peer(&["add", "phone", "--conf", conf.to_str().unwrap()]);
    refused(
        &output,
        &[
            "the data plane refused: peers: 9 asked for, at most 8 allowed",
            "weir.toml is as it was",
        ],
    );
    assert_eq!((out(&output), place.text()), (String::new(), text.clone()));
    assert_eq!(place.files(), ["weir.toml", "weirtest.sock"]);
    refused(&place.peer(&["remove", "ada"]), &["is as it was"]);
    assert_eq!((place.text(), mode(&place.config)), (text, 0o640));
}

#[test]
fn preshared_keys_stay_out_of_a_file_that_others_can_read() {
    let place = Place::new(&written().replace("name = \"weirtest\"\n", ""));
    chmod(&place.config, 0o644);
    good(&place.peer(&["add", "phone"]));
    assert!(!place.text().contains("preshared_key ="), "{}", place.text());
    let file = place.path("keys/phone.psk");
    assert_eq!(
        (mode(&file), mode(&place.path("keys")), mode(&place.config)),
        (0o600, 0o700, 0o644)
    );
    let config = parse(&place);
    assert!(config.peer("phone").unwrap().preshared_key.is_some() && config.warnings.is_empty());
    good(&place.peer(&["remove", "phone"]));
    assert_eq!(place.files(), ["weir.toml"]);
}

#[test]
fn a_link_to_the_configuration_stays_a_link() {
    let place = Place::new(&written());
    fs::create_dir(place.path("real")).unwrap();
    fs::rename(&place.config, place.path("real/weir.toml")).unwrap();
    symlink("real/weir.toml", &place.config).unwrap();
    good(&place.peer(&["add", "phone"]));
    assert!(fs::symlink_metadata(&place.config).unwrap().is_symlink());
    assert!(parse(&place).peer("phone").is_some());
}

#[test]
fn removing_restores_the_text() {
    let place = Place::new(&written());
    good(&place.peer(&["add", "phone"]));
    good(&place.peer(&["remove", "phone"]));
    assert_eq!(place.text(), written());
    let output = place.peer(&["remove", &key(2)]);
    good(&output);
    assert!(!place.text().contains("Ada"), "{}", place.text());
    assert_eq!(
        good(&place.peer(&["list"])),
        "no peers; add one with: weir peer add NAME\n"
    );
}

#[test]
fn what_cannot_be_added_changes_nothing() {
    let place = Place::new(&written());
    let cases: [(&[&str], &str); 8] = [
        (&["add", "ada"], "a peer \"ada\" is there already"),
        (&["add", "../x"], "name: \"../x\"; expected 1 to 64 letters"),
        (&["add", "x", "--public-key", &key(2)], "is there already"),
        (
            &["add", "x", "--allowed-ips", "10.77.0.2/32"],
            "10.77.0.2/32 belongs to peer \"ada\" already",
        ),
        (
            &["add", "x", "--allowed-ips", "10.77.0.1/32"],
            "10.77.0.1/32 belongs to interface already",
        ),
        (
            &["add", "x", "--gateway", "a b"],
            "--gateway: \"a b\" is not an endpoint",
        ),
        (
            &["remove", "eve"],
            "no peer \"eve\"; expected a name or public key",
        ),
        // Catches words that steer the terminal.
        (&["remove", "eve\x1b[2J\n"], "no peer \"eve\\u{1b}[2J\\n\";"),
    ];
    for (args, part) in cases {
        let output = place.peer(args);
        refused(&output, &[part]);
        assert_eq!((out(&output), place.text()), (String::new(), written()));
        assert_eq!(place.files(), ["weir.toml"]);
    }
    for args in [
        ["add", "x", "--public-key", "short"],
        ["add", "x", "--allowed-ips", "10.0.0.0/33"],
    ] {
        assert_eq!(place.peer(&args).status.code(), Some(2));
    }
}

#[test]
fn a_full_network_is_said() {
    let place = Place::new(&written().replace("10.77.0.1/24", "10.77.0.1/30"));
    refused(
        &place.peer(&["add", "x"]),
        &["10.77.0.0/30 has no free address left"],
    );
}

// Catches a QR code that a phone cannot read, or that says something else than the text beside it.
#[test]
fn the_qr_code_says_what_the_text_says() {
    let place = Place::new(&written());
    let printed = good(&place.peer(&["add", "phone", "--qr", "always", "--full-tunnel"]));
    let (conf, code) = printed
        .split_once("\n\n█")
        .map(|(c, q)| (format!("{c}\n"), format!("█{q}")))
        .expect("both");
    let rows: Vec<Vec<char>> = code.lines().map(|l| l.chars().collect()).collect();
    let (width, height) = (rows[0].len(), rows.len() * 2);
    const SCALE: usize = 4;
    let light = |x: usize, y: usize| match (rows[y / 2][x], y % 2) {
        ('█', _) | ('▀', 0) | ('▄', 1) => 255u8,
        (_, _) => 0,
    };
    assert!(width <= 80, "{width} columns do not fit a terminal");
    let mut image = rqrr::PreparedImage::prepare_from_greyscale(width * SCALE, height * SCALE, |x, y| {
        light(x / SCALE, y / SCALE)
    });
    let grids = image.detect_grids();
    let (_, content) = grids
        .first()
        .expect("a code is found")
        .decode()
        .expect("it is read");
    assert_eq!(content, conf);
    assert!(
        Conf::parse(&content, "phone.conf")
            .unwrap()
            .interface
            .private_key
            .is_some()
    );
}
