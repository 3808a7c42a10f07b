//! Keys, `weir check` and `weir import`: each bad input is named, and nothing is written.

mod common;

use common::*;
use std::fs;
use std::io::Write as _;
use std::process::Stdio;
use weir_abi::key::PrivateKey;
use weir_config::key::public_key;

fn check(place: &Place) -> std::process::Output {
    place.weir(&["check", "weir.toml"])
}

#[test]
fn a_good_file_is_summed_up() {
    let place = Place::new(&written());
    let output = check(&place);
    let line = good(&output);
    assert!(
        line.starts_with("weir.toml: ok: interface weirtest, port 51820")
            && line.contains(" 1 peer,")
            && line.contains(&own_public()),
        "{line}"
    );
    assert_eq!((line.lines().count(), err(&output).as_str()), (1, ""));
    chmod(&place.config, 0o644);
    let output = check(&place);
    good(&output);
    assert!(
        err(&output).contains("holds keys and can be read by others (mode 0644)"),
        "{}",
        err(&output)
    );
}

#[test]
fn every_bad_input_is_named() {
    let peer = format!("[[peer]]\nname = \"bob\"\npublic_key = \"{}\"\n", key(4));
    let cases: [(&str, &str, &str); 9] = [
        (
            &key(9),
            "bad",
            "weir.toml:4: interface: private_key: expected a key of 44 base64",
        ),
        (
            "10.77.0.1/24",
            "10.77.0.1/33",
            "weir.toml:5: interface: addresses: \"33\" is not a prefix length",
        ),
        (
            "10.77.0.2/32",
            "10.77.0.x/32",
            "weir.toml:12: peer \"ada\": allowed_ips: \"10.77.0.x\" is not an IP address",
        ),
        (
            "name = \"weirtest\"",
            "listen_port = 65536",
            "weir.toml:3: interface: listen_port: 65536; expected 0 to 65535",
        ),
        (
            "name = \"weirtest\"",
            "mtu = 65456",
            "weir.toml:3: interface: mtu: 65456; expected 576 to 65455",
        ),
        (
            "name = \"weirtest\"",
            "nmae = \"x\"",
            "weir.toml:3: interface: nmae: unknown; did you mean name?",
        ),
        ("# the end", &peer, ""),
        (
            "# the end",
            &format!("{peer}allowed_ips = [\"10.77.0.2\"]"),
            "weir.toml:16: peer \"bob\": allowed_ips: 10.77.0.2/32 belongs to peer \"ada\" already (line 12)",
        ),
        ("# the end", "[[peer", "weir.toml:13: "),
    ];
    for (from, to, message) in cases {
        let place = Place::new(&written().replace(from, to));
        let output = check(&place);
        if message.is_empty() {
            good(&output);
        } else {
            refused(&output, &[message]);
            assert!(!err(&output).contains(&key(9)), "a secret is shown");
        }
        assert_eq!(place.files(), ["weir.toml"]);
    }
    let place = Place::new(&written());
    refused(
        &place.weir(&["check", "missing.toml"]),
        &["missing.toml: cannot be read: No such file"],
    );
}

#[test]
fn several_problems_are_all_printed() {
    let text = written()
        .replace("10.77.0.1/24", "x")
        .replace("vpn.example.org", "a b")
        .replace("\"ada\"", "5");
    refused(
        &check(&Place::new(&text)),
        &["weir.toml:5:", "weir.toml:6:", "weir.toml:10: peer"],
    );
}

#[test]
fn key_files_are_read_beside_the_configuration() {
    let inline = format!("private_key = \"{}\" # ours", key(9));
    let place = Place::new(&written().replace(&inline, "private_key_file = \"own.key\""));
    refused(
        &check(&place),
        &["weir.toml:4: interface: private_key_file: own.key: No such file"],
    );
    fs::write(place.path("own.key"), key(9)).unwrap();
    chmod(&place.path("own.key"), 0o604);
    let output = check(&place);
    good(&output);
    assert!(
        err(&output).contains("own.key can be read by others (mode 0604)"),
        "{}",
        err(&output)
    );
    chmod(&place.path("own.key"), 0o600);
    assert_eq!(err(&check(&place)), "");
    fs::write(place.path("own.key"), "hunter2").unwrap();
    refused(&check(&place), &["own.key: expected a key of 44 base64"]);
    assert!(!err(&check(&place)).contains("hunter2"));
}

#[test]
fn keys_are_made_and_never_overwritten() {
    let place = Place::new("");
    let private = good(&place.weir(&["keygen"]));
    let expected = public_key(&private.trim().parse::<PrivateKey>().expect("a clamped key")).to_string();
    let mut child = place
        .command(&["pubkey"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(private.as_bytes()).unwrap();
    assert_eq!(good(&child.wait_with_output().unwrap()).trim(), expected);
    assert_ne!(good(&place.weir(&["genpsk"])), good(&place.weir(&["genpsk"])));

    let public = good(&place.weir(&["keygen", "--out", "k"]));
    let written = fs::read_to_string(place.path("k")).unwrap();
    assert_eq!(
        public.trim(),
        public_key(&written.trim().parse().unwrap()).to_string()
    );
    assert_eq!(mode(&place.path("k")), 0o600);
    refused(
        &place.weir(&["keygen", "--out", "k"]),
        &["k: cannot be created: File exists"],
    );
    assert_eq!(fs::read_to_string(place.path("k")).unwrap(), written);
}

#[test]
fn what_is_no_key_is_refused_unseen() {
    let place = Place::new("");
    let mut child = place
        .command(&["pubkey"])
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(b"hunter2").unwrap();
    let output = child.wait_with_output().unwrap();
    refused(&output, &["private key: expected a key of 44 base64"]);
    assert!(!err(&output).contains("hunter2"));
}

// Catches a key given where none belongs that ends up in the log of whatever ran the command.
#[test]
fn a_key_on_the_command_line_is_not_repeated() {
    let place = Place::new(&written());
    let key = key(9);
    let cut = key.trim_end_matches('=');
    let cases: [(&[&str], &str); 5] = [
        (&["pubkey", &key], "unexpected argument"),
        (&["keygen", &key], "Usage: weir keygen"),
        (&["peer", "add", "x", "--preshared-key", &key], "generate, none"),
        (
            &["peer", "add", "x", "--public-key", cut],
            "expected a key of 44 base64",
        ),
        (&[&format!("--{key}")], "unexpected argument"),
    ];
    for (args, part) in cases {
        let output = place.weir(args);
        let said = err(&output);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains(part) && said.contains("not shown"), "{said}");
        assert!(!said.contains(&cut[..20]), "a secret is shown: {said}");
    }
    for (own, which) in [(key.clone(), "private"), (own_public(), "public")] {
        let output = place.peer(&["add", "x", "--public-key", &own]);
        let part =
            format!("--public-key: the gateway's own {which} key; expected the public key of the peer");
        refused(&output, &[&part]);
        assert!(!err(&output).contains(&own), "{}", err(&output));
    }
    assert_eq!(place.text(), written());
}

fn own_public() -> String {
    let private: PrivateKey = key(9).parse().expect("a key");
    public_key(&private).to_string()
}

// Catches bytes that are no text taken for a failure of the terminal.
#[test]
fn bytes_are_no_key() {
    let place = Place::new("");
    fs::write(place.path("bytes"), [0xff; 40]).unwrap();
    let input = fs::File::open(place.path("bytes")).unwrap();
    let output = place.command(&["pubkey"]).stdin(input).output().unwrap();
    refused(
        &output,
        &["standard input: private key: expected a key of 44 base64"],
    );
}

// Catches a file that is missing, or another's, said without what to do.
#[test]
fn a_missing_configuration_is_said_with_its_remedy() {
    let place = Place::new("");
    let remedy = "make one with `weir run` or `weir import`";
    refused(&place.weir(&["check", "none.toml"]), &["none.toml: ", remedy]);
    for args in [&["add", "x"][..], &["remove", "x"], &["list"]] {
        let output = place.weir(&[&["peer", "--config", "none.toml"], args].concat());
        refused(&output, &["none.toml: cannot be read", remedy]);
    }
    let output = place.weir(&["doctor", "--config", "none.toml"]);
    assert!(
        out(&output).contains("bad  configuration: none.toml does not exist")
            && out(&output).contains("weir import FILE.conf --out none.toml"),
        "{}",
        out(&output)
    );
    assert_eq!(output.status.code(), Some(1), "a file that was named is expected");
}

// Catches a reader that goes, as `head -1` does, taken for a failure that a person has to be told of.
#[test]
fn a_reader_that_goes_ends_the_program_silently() {
    let place = Place::new(&written());
    for args in [
        &["peer", "--config", "weir.toml", "list"][..],
        &["completion", "bash"],
    ] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = place.command(args).stdout(writer).output().unwrap();
        assert_eq!(err(&output), "");
        assert_eq!(output.status.code(), Some(141), "as a shell shows SIGPIPE");
    }
}

#[test]
fn a_conf_is_imported() {
    let place = Place::new("");
    let conf = format!(
        "[Interface]\nPrivateKey = {}\nAddress = 10.0.0.1/24\nListenPort = 51820\nPostUp = rm -rf /\n\
         [Peer]\nPublicKey = {}\nAllowedIPs = 10.0.0.2/32\n",
        key(9),
        key(2)
    );
    fs::write(place.path("wg7.conf"), conf).unwrap();
    let output = place.weir(&["import", "wg7.conf", "--out", "new.toml"]);
    good(&output);
    assert!(err(&output).contains("wg7.conf:5: PostUp: not carried over, for Weir never calls a shell"));
    assert_eq!(mode(&place.path("new.toml")), 0o600);
    assert!(good(&place.weir(&["check", "new.toml"])).contains("interface wg7, port 51820"));
    refused(
        &place.weir(&["import", "wg7.conf", "--out", "new.toml"]),
        &["new.toml: cannot be created: File exists"],
    );
    assert_eq!(
        good(&place.weir(&["import", "wg7.conf"])),
        fs::read_to_string(place.path("new.toml")).unwrap()
    );

    fs::write(
        place.path("my office.conf"),
        "[Interface]\nAddress = 10.0.0.1/24\n",
    )
    .unwrap();
    let output = place.weir(&["import", "my office.conf"]);
    assert!(good(&output).contains("name = \"weir0\""));
    for part in [
        "\"my office\" cannot name an interface",
        "weir keygen --out private.key",
    ] {
        assert!(err(&output).contains(part), "{}", err(&output));
    }

    fs::write(
        place.path("bad.conf"),
        "[Interface]\nAddress = 10.0.0.1/40\n[Peer]\n",
    )
    .unwrap();
    refused(
        &place.weir(&["import", "bad.conf", "--out", "bad.toml"]),
        &[
            "bad.conf:2: Interface: Address: \"40\"",
            "bad.conf:3: Peer 1: PublicKey: missing",
        ],
    );
    assert!(!place.path("bad.toml").exists());

    for nothing in ["", "# nothing yet\n", "[Interface]\n"] {
        fs::write(place.path("empty.conf"), nothing).unwrap();
        refused(
            &place.weir(&["import", "empty.conf", "--out", "empty.toml"]),
            &["empty.conf: says nothing; expected "],
        );
        assert!(!place.path("empty.toml").exists());
    }
}

#[test]
fn doctor_names_a_taken_port_and_a_bad_file() {
    let socket = std::net::UdpSocket::bind("0.0.0.0:0").unwrap();
    let port = socket.local_addr().unwrap().port();
    let text = written().replace("[interface]\n", &format!("[interface]\nlisten_port = {port}\n"));
    let place = Place::new(&text);
    let doctor = |json: &str| place.weir(&["doctor", "--config", "weir.toml", json]);
    let output = place.weir(&["doctor", "--config", "weir.toml"]);
    assert_eq!(output.status.code(), Some(1));
    let taken = format!("bad  port {port}/udp: Address already in use");
    assert!(out(&output).contains(&taken), "{}", out(&output));
    let json: serde_json::Value = serde_json::from_str(&out(&doctor("--json"))).unwrap();
    let lines = json.as_array().unwrap();
    assert!(
        lines
            .iter()
            .any(|f| f["level"] == "bad" && f["mend"].as_str().unwrap().contains("ss -lunp"))
    );
    drop(socket);

    fs::write(&place.config, "[interface]\n").unwrap();
    let output = place.weir(&["doctor", "--config", "weir.toml"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        out(&output).contains("bad  weir.toml:1: interface: private_key_file: missing"),
        "{}",
        out(&output)
    );
}

#[test]
fn completions_know_the_commands() {
    let place = Place::new("");
    for shell in ["bash", "zsh", "fish"] {
        let script = good(&place.weir(&["completion", shell]));
        assert!(
            script.contains("keygen") && script.contains("full-tunnel"),
            "{shell}"
        );
    }
}

// Catches a stack that overflows, and text that is no UTF-8.
#[test]
fn hostile_files_are_refused() {
    let place = Place::new(&format!("a = {}", "[".repeat(200_000)));
    refused(&check(&place), &["weir.toml:1: "]);
    refused(&place.peer(&["remove", "x"]), &["weir.toml:1: "]);
    fs::write(&place.config, "nonsense\n".repeat(5_000)).unwrap();
    refused(&check(&place), &["weir.toml:1: ", "more problems"]);
    assert!(err(&check(&place)).lines().count() < 60);
    fs::write(&place.config, [0xff, 0xfe]).unwrap();
    refused(&check(&place), &["weir.toml: cannot be read"]);
}
