//! wg-quick's format in and out.

use std::io;
use weir_abi::key::PublicKey;
use weir_config::Config;
use weir_config::conf::{Client, Conf, Server, client, import};
use weir_config::key::public_key;

fn key(byte: u8) -> String {
    PublicKey::from_bytes([byte; 32]).to_string()
}

fn problems(text: &str) -> Vec<String> {
    let problems = Conf::parse(text, "wg0.conf").expect_err(text);
    problems.0.iter().map(ToString::to_string).collect()
}

fn parse_toml(text: &str) -> Config {
    let none = |_: &std::path::Path| Err(io::ErrorKind::NotFound.into());
    Config::parse(text, "weir.toml", &none).unwrap_or_else(|e| panic!("{e}\n{text}"))
}

/// As people write it: any case, no spaces, comments behind values, lists by repetition.
fn lived_in() -> String {
    format!(
        "\u{feff}# server\n[interface]\nprivatekey={}#ours\nAddress = 10.0.0.1/24 , fd00::1/64\nADDRESS=10.1.0.1/24\n\
         ListenPort = 51820\r\nFwMark = 0xca6c\nDNS = 10.0.0.1, example.org\nMTU = 1380\nSaveConfig = true\n\
         PostUp = iptables -t nat -A POSTROUTING -o eth0 -j MASQUERADE; echo 'hunter2'\nPreDown = true\n\
         [Peer]\n# Name = ada\nPublicKey = {}\nPresharedKey = {}\nAllowedIPs = 10.0.0.2, fd00::2/128\n\
         AllowedIPs = 10.0.0.0/8\nEndpoint = ada.example.org:51820\nPersistentKeepalive = off\n\
         [Peer]\nPublicKey = {}\nPersistentKeepalive = 25\n",
        key(9),
        key(2),
        key(3),
        key(4)
    )
}

#[test]
fn a_lived_in_file_is_taken_over() {
    let conf = Conf::parse(&lived_in(), "wg0.conf").unwrap();
    assert_eq!(conf.interface.addresses.len(), 3);
    assert_eq!((conf.interface.fwmark, conf.interface.mtu), (0xca6c, Some(1380)));
    assert_eq!(conf.peers[0].allowed_ips.len(), 3);
    assert_eq!(conf.peers[0].persistent_keepalive, None);
    let notes: Vec<(usize, &str)> = conf.notes.iter().map(|n| (n.line, n.key.as_str())).collect();
    assert_eq!(notes, [(10, "SaveConfig"), (11, "PostUp"), (12, "PreDown")]);
    assert!(conf.notes[1].why.contains("nat = true") && conf.notes[2].why.contains("never calls a shell"));

    let config = parse_toml(&import(&conf, "wg0").unwrap());
    assert_eq!(config.peers, conf.peers);
    assert_eq!(config.interface.addresses, conf.interface.addresses);
    assert_eq!(config.interface.dns, conf.interface.dns);
    assert_eq!(
        Some(&config.interface.private_key),
        conf.interface.private_key.as_ref()
    );
    assert_eq!(
        (config.interface.listen_port, config.interface.fwmark),
        (51820, 0xca6c)
    );
    assert_eq!(
        (config.interface.mtu, config.interface.name.as_str()),
        (Some(1380), "wg0")
    );
}

#[test]
fn what_is_written_is_read_again() {
    let mut conf = Conf::parse(&lived_in(), "wg0.conf").unwrap();
    conf.notes.clear();
    conf.interface.routes = false;
    let text = conf.expose_text();
    let mut again = Conf::parse(&text, "again.conf").unwrap();
    assert!(again.notes.is_empty());
    again.notes.clear();
    assert_eq!(again, conf);
}

#[test]
fn mistakes_are_named_with_their_lines() {
    let bad = format!(
        "[Interface]\nPrivateKey = short\nListenPort = 65536\nMTU = x\nAdress = 1\nnonsense\n[Peer]\n\
         AllowedIPs = 10.0.0.0/33, 10.0.0.2/32\nEndpoint = 10.0.0.1\n[Peer]\nPublicKey = {}\nAllowedIPs = 10.0.0.2/32\n\
         [Peers]\nPublicKey = x\n",
        key(2)
    );
    assert_eq!(
        problems(&bad),
        [
            "wg0.conf:2: Interface: PrivateKey: expected a key of 44 base64 characters ending in '='",
            "wg0.conf:3: Interface: ListenPort: 65536; expected 0 to 65535",
            "wg0.conf:4: Interface: MTU: x; expected 576 to 65455",
            "wg0.conf:5: Interface: Adress: unknown; did you mean Address?",
            "wg0.conf:6: Interface: expected a section such as [Interface] or a line KEY = VALUE",
            "wg0.conf:7: Peer 1: PublicKey: missing; expected the peer's public key",
            "wg0.conf:8: Peer 1: AllowedIPs: \"33\" is not a prefix length for 10.0.0.0; expected 0 to 32",
            "wg0.conf:9: Peer 1: Endpoint: \"10.0.0.1\" is not an endpoint; expected ADDRESS:PORT, [IPV6]:PORT or \
             NAME:PORT with a port of 1 to 65535",
            "wg0.conf:13: [Peers]: unknown; did you mean [Peer]?",
        ]
    );
    let twice = format!("[Peer]\nPublicKey = {0}\n[Peer]\nPublicKey = {0}\n", key(2));
    assert!(problems(&twice)[0].contains("wg0.conf:4: Peer 2: PublicKey:"));
    let shared = format!(
        "[Peer]\nPublicKey={}\nAllowedIPs=10.0.0.0/24\n[Peer]\nPublicKey={}\nAllowedIPs=10.0.0.7/24\n",
        key(2),
        key(4)
    );
    assert!(problems(&shared)[0].contains("10.0.0.0/24 belongs to Peer 1 already (line 3)"));
}

// Catches a client configuration that does not reach the gateway: wrong key, wrong routes, host bits lost.
#[test]
fn a_client_s_configuration_mirrors_the_gateway() {
    let config = parse_toml(&format!(
        "[interface]\nprivate_key = \"{}\"\naddresses = [\"10.77.0.1/24\"]\nmtu = 1400\n[dataplane]\nkeepalive = 15\n",
        key(9)
    ));
    let mut about = Client {
        private_key: Some(key(8).parse().unwrap()),
        preshared_key: Some(key(5).parse().unwrap()),
        addresses: vec!["10.77.0.2/32".parse().unwrap()],
        endpoint: Some("192.0.2.1:51820".parse().unwrap()),
        full_tunnel: true,
    };
    let text = client(&Server::new(&config), &about).expose_text();
    let private: weir_abi::key::PrivateKey = key(8).parse().unwrap();
    let gateway = public_key(&key(9).parse().unwrap());
    let expected = format!(
        "[Interface]\nPrivateKey = {}\nAddress = 10.77.0.2/32\nMTU = 1400\n\n[Peer]\nPublicKey = {gateway}\n\
         PresharedKey = {}\nAllowedIPs = 0.0.0.0/0\nEndpoint = 192.0.2.1:51820\nPersistentKeepalive = 15\n",
        *private.expose_base64(),
        key(5)
    );
    assert_eq!(*text, expected);
    about.full_tunnel = false;
    assert!(
        client(&Server::new(&config), &about)
            .expose_text()
            .contains("AllowedIPs = 10.77.0.0/24\n")
    );
}

// Catches a file from elsewhere that speaks to the terminal, or to the reader as a problem of its own, through an error.
#[test]
fn problems_are_single_lines_of_printable_text() {
    let conf =
        "[Interface]\nAddress = \u{1b}[2Jx\u{7}/24\nEsc\u{1b}ape = 1\n[Peer]\n# Name = a\u{8}b\nMTU = 1\n";
    let toml = "[interface]\nprivate_key = 1\nendpoint = \"\"\"a\nweir.toml:1: all is well\"\"\"\n";
    let none = |_: &std::path::Path| Err(io::ErrorKind::NotFound.into());
    let problems = [
        Conf::parse(conf, "wg0.conf").expect_err("an address that is none"),
        Config::parse(toml, "weir.toml", &none).expect_err("an endpoint that is none"),
    ];
    for problem in problems.iter().flat_map(|problems| &problems.0) {
        let shown = problem.to_string();
        assert!(!shown.contains(char::is_control), "{shown:?}");
    }
    assert!(
        problems[0].to_string().contains("\\u{1b}[2Jx\\u{7}"),
        "{}",
        problems[0]
    );
}
