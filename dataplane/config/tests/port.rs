//! What `[[port]]` may say, and how each mistake in it is named.

use std::io;
use weir_config::{Config, Port, PortMode, PortRole};

fn parse(ports: &str) -> Result<Vec<Port>, Vec<String>> {
    let key = weir_abi::key::PublicKey::from_bytes([9; 32]);
    let text = format!("[interface]\nname = \"weir0\"\nprivate_key = \"{key}\"\n{ports}");
    let no_files = |_: &std::path::Path| Err(io::Error::from(io::ErrorKind::NotFound));
    Config::parse(&text, "weir.toml", &no_files)
        .map(|config| config.ports)
        .map_err(|problems| problems.0.iter().map(ToString::to_string).collect())
}

#[test]
fn ports_are_read() {
    let ports = parse(
        "[[port]]\ndevice = \"eth1\"\nrole = \"wan\"\nmode = \"zero-copy\"\nbusy_poll = true\n\
         [[port]]\ndevice = \"eth2.7\"\nrole = \"lan\"\nbypass_nftables = true\n",
    );
    let expected = [
        Port {
            device: "eth1".into(),
            role: PortRole::Wan,
            mode: PortMode::ZeroCopy,
            busy_poll: true,
            bypass_nftables: false,
        },
        Port {
            device: "eth2.7".into(),
            role: PortRole::Lan,
            mode: PortMode::Auto,
            busy_poll: false,
            bypass_nftables: true,
        },
    ];
    assert_eq!(parse(""), Ok(Vec::new()));
    assert_eq!(ports.as_deref(), Ok(&expected[..]));
}

/// Catches a mistake that is let through, or named without its place, value and what was expected.
#[test]
fn each_mistake_is_named() {
    let wan = "[[port]]\ndevice = \"eth1\"\nrole = \"wan\"\n";
    for (text, parts) in [
        (
            "[port]\ndevice = \"a\"\n",
            ["weir.toml:4: port: ", "a single section", "[[port]]"],
        ),
        (
            "[[port]]\nrole = \"wan\"\n",
            [":4: port 1: device: ", "missing", "such as \"eth1\""],
        ),
        (
            "[[port]]\ndevice = \"eth1\"\n",
            [":4: port 1: role: ", "missing", "wan, where"],
        ),
        (
            "[[port]]\ndevice = \"eth1\"\nrole = \"both\"\n",
            [":6: port 1: role: ", "\"both\"", "expected wan or lan"],
        ),
        (
            "[[port]]\ndevice = \"a/b\"\nrole = \"wan\"\n",
            [
                ":5: port 1: device: ",
                "\"a/b\"",
                "expected the name of a network device",
            ],
        ),
        (
            "[[port]]\ndevice = \"weir0\"\nrole = \"wan\"\n",
            [":5: port 1: device: ", "\"weir0\"", "not the tunnel's own"],
        ),
        (
            "[[port]]\ndevice = \"eth1\"\nrole = \"wan\"\nmode = \"fast\"\n",
            [
                ":7: port 1: mode: ",
                "\"fast\"",
                "expected auto, zero-copy, driver or generic",
            ],
        ),
        (
            &format!("{wan}[[port]]\ndevice = \"eth1\"\nrole = \"lan\"\n"),
            [":8: port 2: device: ", "\"eth1\" is given twice", "line 5"],
        ),
        (
            &format!("{wan}[[port]]\ndevice = \"eth2\"\nrole = \"wan\"\n"),
            [":7: port 2: role: ", "role \"wan\" is given twice", "line 4"],
        ),
    ] {
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
}
