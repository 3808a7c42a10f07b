//! `[[rule]]` and groups: what they may say, and how each mistake in them is named.

use std::io;
use weir_abi::key::PublicKey;
use weir_abi::rule::{Action, ENTRIES_MAX, PortRange, Protocol, RULES_MAX, Rule, Sender, Target};
use weir_config::Config;
use weir_config::edit::{PeerEntry, add_peer, remove_peer};

fn key(byte: u8) -> PublicKey {
    PublicKey::from_bytes([byte; 32])
}

/// A file with two peers, the first of two groups, and this behind them.
fn file(rules: &str) -> String {
    format!(
        "[interface]\nprivate_key = \"{}\"\n[[peer]]\nname = \"laptop\"\npublic_key = \"{}\"\n\
         groups = [\"staff\", \"on call\", \"staff\"]\n[[peer]]\nname = \"any\"\npublic_key = \"{}\"\n{rules}",
        key(9),
        key(2),
        key(3)
    )
}

fn parse(text: &str) -> Result<Config, Vec<String>> {
    let none = |_: &std::path::Path| Err(io::ErrorKind::NotFound.into());
    Config::parse(text, "weir.toml", &none)
        .map_err(|problems| problems.0.iter().map(ToString::to_string).collect())
}

fn rules(text: &str) -> Vec<Rule> {
    parse(&file(text))
        .unwrap_or_else(|problems| panic!("{problems:#?}"))
        .rules
}

// Catches a field read as another, "any" that is taken for a name, and a name that is taken for "any".
#[test]
fn rules_are_read_as_they_are_written() {
    let text = format!(
        r#"
[[rule]]
name = "web"
action = "accept"
from = ["laptop", "group:on call", "{}", "peer:any"]
to = ["10.0.0.7/24", "2001:db8::1", "peer:laptop", "peer:{}", "group:staff"]
protocol = "tcp"
ports = [443, 0x50, "8000-8100", "22"]
[[rule]]
action = "deny"
from = ["any"]
to = ["any"]
protocol = 47
log = true
[[rule]]
action = "accept"
protocol = "icmp"
"#,
        key(2),
        key(3)
    );
    let prefix = |text: &str| Target::Prefix(text.parse().unwrap());
    let (laptop, any) = (key(2), key(3));
    let range = |first, last| PortRange::new(first, last).unwrap();
    let web = Rule {
        name: Some("web".to_owned()),
        from: vec![
            Sender::Peer(laptop),
            Sender::Group("on call".to_owned()),
            Sender::Peer(laptop),
            Sender::Peer(any),
        ],
        to: vec![
            prefix("10.0.0.0/24"),
            prefix("2001:db8::1/128"),
            Target::Peer(laptop),
            Target::Peer(any),
            Target::Group("staff".to_owned()),
        ],
        protocol: Some(Protocol::TCP),
        ports: vec![443.into(), 80.into(), range(8000, 8100), 22.into()],
        ..Rule::new(Action::Accept)
    };
    let gre = Rule {
        protocol: Some(Protocol::Number(47)),
        log: true,
        ..Rule::new(Action::Deny)
    };
    let ping = Rule {
        protocol: Some(Protocol::Icmp),
        ..Rule::new(Action::Accept)
    };
    assert_eq!(rules(&text), [web, gre, ping]);
    let config = parse(&file(&text)).unwrap();
    assert_eq!(config.desired().rules, config.rules);
    assert_eq!(config.peers[0].groups, ["staff", "on call"]);
    assert!(config.warnings.is_empty());
    assert_eq!(rules(""), []);
}

// Catches a mistake that is taken for something else, or reported without its place, its value or what was expected.
#[test]
fn every_mistake_is_named() {
    let many = |count: usize| vec!["\"10.0.0.0/8\""; count].join(", ");
    let too_many_entries = format!("to = [{}]", many(ENTRIES_MAX + 1));
    for (line, parts) in [
        (
            "action = \"drop\"",
            &["rule 1: action: \"drop\"; expected \"accept\" or \"deny\""][..],
        ),
        (
            "from = [\"laptpo\"]",
            &["rule 1: from: no peer \"laptpo\"; expected the name or public key"],
        ),
        (
            "from = [\"group:guests\"]",
            &["from: no peer is of group \"guests\"; expected a group"],
        ),
        (
            "from = [\"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\"]",
            &["from: no peer \"AAEC"],
        ),
        ("from = []", &["from: an empty list; expected a list of peers"]),
        (
            "from = \"laptop\"",
            &["from: a text in quotes; expected a list of peers"],
        ),
        ("from = [7]", &["from: a number; expected a list of peers"]),
        (
            "from = [\"any\", \"laptop\"]",
            &["from: \"any\" beside others; expected it alone"],
        ),
        (
            "to = [\"laptop\"]",
            &["to: \"laptop\"; expected a prefix such as", "\"peer:NAME\""],
        ),
        (
            "to = [\"10.0.0.0/33\"]",
            &["to: \"33\" is not a prefix length for 10.0.0.0; expected 0 to 32"],
        ),
        ("to = [\"peer:eve\"]", &["to: no peer \"eve\""]),
        ("to = [\"group:\"]", &["to: no peer is of group \"\""]),
        ("to = []", &["to: an empty list; expected a list of prefixes"]),
        (
            &too_many_entries,
            &["rule 1: to: 257 of them; expected at most 256"],
        ),
        (
            "protocol = \"sctp\"",
            &["protocol: \"sctp\"; expected \"tcp\", \"udp\", \"icmp\" or a number"],
        ),
        ("protocol = 256", &["protocol: \"256\"; expected \"tcp\""]),
        ("protocol = -1", &["protocol: \"-1\"; expected \"tcp\""]),
        ("protocol = true", &["protocol: true or false; expected \"tcp\""]),
        (
            "ports = [53]",
            &["ports: given for another protocol; expected protocol = \"tcp\" or \"udp\""],
        ),
        (
            "protocol = \"icmp\"\nports = [53]",
            &["ports: given for another protocol; expected"],
        ),
        (
            "protocol = \"tcp\"\nports = []",
            &["ports: an empty list; expected a list of ports"],
        ),
        (
            "protocol = \"tcp\"\nports = [65536]",
            &["ports: \"65536\" is no port and no range; expected one"],
        ),
        ("protocol = \"tcp\"\nports = [-1]", &["ports: \"-1\" is no port"]),
        (
            "protocol = 6\nports = [\"90-80\"]",
            &["ports: \"90-80\" ends below its beginning; expected the lower"],
        ),
        (
            "protocol = 17\nports = [\"http\"]",
            &["ports: \"http\" is no port and no range"],
        ),
        (
            "protocol = \"tcp\"\nports = 443",
            &["ports: a number; expected a list of ports"],
        ),
        (
            "protocol = \"tcp\"\nports = [4.5]",
            &["ports: a number with a decimal point; expected a list"],
        ),
        (
            "log = \"yes\"",
            &["log: a text in quotes; expected true or false"],
        ),
        ("name = \"x/y\"", &["name: \"x/y\"; expected 1 to 64 letters"]),
        (
            "name = \"web\"\nport = [1]",
            &["rule \"web\": port: unknown; did you mean ports?"],
        ),
    ] {
        let action = if line.starts_with("action") {
            ""
        } else {
            "action = \"deny\"\n"
        };
        let problems = parse(&file(&format!("[[rule]]\n{action}{line}\n"))).expect_err(line);
        assert_eq!(problems.len(), 1, "{line}\n{problems:#?}");
        for part in ["weir.toml:1"].iter().chain(parts) {
            assert!(
                problems[0].contains(part),
                "{line}\n{}\nlacks {part}",
                problems[0]
            );
        }
    }
    for (rules, part) in [
        (
            "[[rule]]\n",
            "weir.toml:10: rule 1: action: missing; expected \"accept\" or \"deny\"",
        ),
        (
            "[rule]\naction = \"deny\"\n",
            "rule: a single section; expected [[rule]] in double brackets",
        ),
        (
            "groups = [\"a/b\"]\n",
            "peer \"any\": groups: \"a/b\"; expected 1 to 64 letters",
        ),
        (
            "groups = \"a\"\n",
            "groups: a text in quotes; expected a list of groups",
        ),
        (
            &"[[rule]]\naction = \"deny\"\nto = [\"::/0\"]\n".repeat(RULES_MAX + 1),
            "1025 of them; expected at most 1024",
        ),
    ] {
        let problems = parse(&file(rules)).unwrap_err();
        assert_eq!(problems.len(), 1, "{problems:#?}");
        assert!(problems[0].contains(part), "{}\nlacks {part}", problems[0]);
    }
}

// Catches a rule that silently never decides, and a rule called so that does.
#[test]
fn rules_behind_one_for_everything_are_warned_of() {
    let warned = |text: &str| {
        let warnings = parse(&file(text)).unwrap().warnings;
        warnings.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    let all = "[[rule]]\naction = \"deny\"\n";
    let tcp = "[[rule]]\nname = \"tcp\"\naction = \"deny\"\nprotocol = \"tcp\"\n";
    assert_eq!(warned(&format!("{tcp}{tcp}{all}")), [""; 0]);
    assert_eq!(
        warned(&format!("{all}{tcp}")),
        ["weir.toml:12: rule \"tcp\": never decides: the rule in line 10 before it matches everything"]
    );
}

// Catches peers written among the rules of another, groups lost on the way, and a peer that goes though rules name it.
#[test]
fn peers_are_added_and_removed_beside_rules() {
    let text = file("# the office's rules\n[[rule]]\naction = \"deny\"\nfrom = [\"laptop\"]\n");
    let mut peer = parse(&text).unwrap().peers[0].clone();
    (peer.public_key, peer.name) = (key(5), Some("phone".to_owned()));
    let added = add_peer(&text, &PeerEntry::from(peer.clone())).unwrap();
    let config = parse(&added).unwrap_or_else(|problems| panic!("{problems:#?}\n{added}"));
    assert_eq!((config.peers.len(), config.rules.len()), (3, 1));
    assert_eq!(config.peers[2], peer);
    assert_eq!(remove_peer(&added, "phone").unwrap(), text);
    let without = remove_peer(&text, "laptop").unwrap();
    let problems = parse(&without).unwrap_err();
    assert!(problems[0].contains("from: no peer \"laptop\""), "{problems:?}");
}

// Catches an example in the reference that does not hold once its comment signs are gone.
#[test]
fn the_reference_s_rules_hold() {
    let reference = include_str!("../reference.toml").replace("private_key_file = \"private.key\"", "");
    let (before, rules) = reference.split_once("# groups = ").unwrap();
    let rules: Vec<&str> = rules
        .lines()
        .map(|line| line.strip_prefix('#').unwrap_or(line))
        .collect();
    let key = format!("private_key = \"{}\"\n", key(9));
    let text = before.replacen("\n[interface]\n", &format!("\n[interface]\n{key}"), 1)
        + "groups = "
        + &rules.join("\n");
    let config = parse(&text).unwrap_or_else(|problems| panic!("{problems:#?}\n{text}"));
    let web = &config.rules[0];
    assert_eq!(
        (config.rules.len(), web.from.len(), web.to.len(), web.ports.len()),
        (2, 2, 2, 2)
    );
    assert_eq!(
        config.rules[1],
        Rule {
            log: true,
            ..Rule::new(Action::Deny)
        }
    );
}
