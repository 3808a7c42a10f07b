//! What a LAN port passes by: found where the tools put it, refused until it is known, and told.

mod common;

use common::{isolated, output, run};
use std::io::ErrorKind;
use weir_config::Config;
use weir_gateway::nft::{Rules, Table};
use weir_gateway::xdp::bypass::{check, notes};
use weir_nic::Bypassed;

/// A gateway with a LAN port on `lan0`, and more.
fn config(acknowledged: bool, more: &str) -> Config {
    let key = weir_abi::key::PublicKey::from_bytes([9; 32]);
    let text = format!(
        "[interface]\nprivate_key = \"{key}\"\naddresses = [\"10.77.0.1/24\"]\n{more}\n\
         [[port]]\ndevice = \"wan0\"\nrole = \"wan\"\n\n\
         [[port]]\ndevice = \"lan0\"\nrole = \"lan\"\nbypass_nftables = {acknowledged}\n"
    );
    Config::parse(&text, "weir.toml", &|_| Err(ErrorKind::NotFound.into())).expect("it is right")
}

/// `lan0` and `weir0`, and a device with which neither has to do.
fn devices() {
    for device in ["lan0", "weir0", "other0"] {
        run(&format!("ip link add {device} type veth peer name {device}far"));
        run(&format!("ip link set {device} up"));
    }
}

fn bypassed() -> Bypassed {
    Bypassed::between("lan0", "weir0", "inet weir_weir0")
}

fn nothing() -> Bypassed {
    Bypassed::default()
}

/// Runs lines of `nft`, which has words of its own that begin and end blocks.
fn nft(lines: &[&str]) {
    for line in lines {
        run(&format!("nft {line}"));
    }
}

/// Catches a chain that decides about forwarded packets and is not found, in each family at each hook that they pass, and
/// alarm about chains that do nothing, or about packets that are not forwarded here.
#[test]
fn chains_that_see_forwarded_packets_are_found() {
    isolated(|| {
        devices();
        assert_eq!(bypassed(), nothing());
        nft(&[
            "add table ip own",
            "add chain ip own in {type filter hook input priority 0;policy drop;}",
            "add rule ip own in counter",
            "add chain ip own out {type filter hook output priority 0;}",
            "add rule ip own out counter",
            "add chain ip own calm {type filter hook forward priority 0;policy accept;}",
            "add chain ip own called",
            "add rule ip own called counter",
            "add table bridge own",
            "add chain bridge own forward {type filter hook forward priority 0;}",
            "add rule bridge own forward counter",
            "add table netdev own",
            "add chain netdev own other {type filter hook ingress device other0 priority 0;}",
            "add rule netdev own other counter",
        ]);
        assert_eq!(
            bypassed(),
            nothing(),
            "none of them sees a forwarded packet and does something"
        );
        let seen = [
            ("ip", "prerouting", "type filter hook prerouting priority 0;"),
            ("ip", "forward", "type filter hook forward priority 0;"),
            ("ip", "postrouting", "type nat hook postrouting priority 100;"),
            ("ip6", "prerouting", "type nat hook prerouting priority 0;"),
            ("ip6", "forward", "type filter hook forward priority 0;"),
            ("inet", "forward", "type filter hook forward priority 0;"),
            (
                "inet",
                "ingress",
                "type filter hook ingress device lan0 priority 0;",
            ),
            (
                "netdev",
                "ingress",
                "type filter hook ingress device lan0 priority 0;",
            ),
            (
                "netdev",
                "egress",
                "type filter hook egress device weir0 priority 0;",
            ),
            (
                "netdev",
                "several",
                "type filter hook ingress devices = { other0, lan0 } priority 0;",
            ),
        ];
        for (family, chain, hook) in seen {
            run(&format!("nft add table {family} seen"));
            run(&format!("nft add chain {family} seen {chain} {{{hook}}}"));
            assert_eq!(bypassed(), nothing(), "{family} {chain} is empty");
            run(&format!("nft add rule {family} seen {chain} counter"));
            let expected = format!("nftables chain {family} seen {chain}");
            assert_eq!(bypassed().filters, [expected]);
            run(&format!("nft delete table {family} seen"));
        }
        nft(&[
            "add table inet strict",
            "add chain inet strict forward {type filter hook forward priority 0;policy drop;}",
        ]);
        assert_eq!(bypassed().filters, ["nftables chain inet strict forward"]);
    });
}

/// Catches a gateway that is kept from starting by its own table, which changes nothing that a LAN port does not do.
#[test]
fn weir_s_own_table_is_left_out() {
    isolated(|| {
        devices();
        let rules = Rules {
            untranslated: None,
            masquerade: vec!["10.77.0.0/24".parse().expect("a prefix")],
            clamp_mss: true,
        };
        let _own = Table::install("weir0", &rules).expect("nftables");
        assert_eq!(bypassed(), nothing());
        let other = Bypassed::between("lan0", "weir1", "inet weir_weir1").filters;
        assert!(
            !other.is_empty()
                && other
                    .iter()
                    .all(|chain| chain.starts_with("nftables chain inet weir_weir0 "))
        );
    });
}

/// Catches iptables' older tables taken for nothing, since nftables does not list them, and alarm about one that was only
/// looked at.
#[test]
fn tables_of_iptables_legacy_are_found() {
    isolated(|| {
        devices();
        for tool in ["iptables-legacy", "ip6tables-legacy"] {
            for table in ["filter", "nat", "mangle", "raw"] {
                run(&format!("{tool} -w -t {table} -S"));
            }
            run(&format!("{tool} -w -A INPUT -p udp -j DROP"));
            run(&format!("{tool} -w -P INPUT DROP"));
            assert_eq!(
                bypassed(),
                nothing(),
                "{tool} does nothing to forwarded packets yet"
            );
            for (rule, table) in [
                ("-A FORWARD -p udp -j DROP", "filter"),
                ("-A POSTROUTING -j MASQUERADE", "nat"),
                ("-A PREROUTING -p tcp -j DROP", "raw"),
                ("-P FORWARD DROP", "filter"),
            ] {
                run(&format!("{tool} -w -t {table} {rule}"));
                assert_eq!(bypassed().filters, [format!("{tool} table {table}")], "{rule}");
                run(&format!("{tool} -w -t {table} -F"));
                run(&format!("{tool} -w -P FORWARD ACCEPT"));
            }
            assert_eq!(bypassed(), nothing());
        }
    });
}

/// Catches filters and disciplines of traffic control on either device that are not found, and those of others that are.
#[test]
fn filters_and_disciplines_of_tc_are_found() {
    isolated(|| {
        devices();
        for (device, side, seen) in [
            ("other0", "ingress", false),
            ("lan0", "ingress", true),
            ("lan0", "egress", true),
            ("weir0", "egress", true),
        ] {
            run(&format!("tc qdisc add dev {device} clsact"));
            assert_eq!(bypassed(), nothing(), "{device} has no filters");
            run(&format!(
                "tc filter add dev {device} {side} protocol all u32 match u32 0 0 flowid 1:1"
            ));
            let expected = if seen {
                vec![format!("tc filters of {device} ({side})")]
            } else {
                vec![]
            };
            assert_eq!(bypassed().filters, expected);
            run(&format!("tc qdisc del dev {device} clsact"));
        }
        run("tc qdisc add dev lan0 ingress");
        run("tc filter add dev lan0 parent ffff: protocol all u32 match u32 0 0 flowid 1:1");
        assert_eq!(bypassed().filters, ["tc filters of lan0 (ingress)"]);
        run("tc qdisc del dev lan0 ingress");
        for device in ["lan0", "other0"] {
            run(&format!(
                "tc qdisc add dev {device} root tbf rate 10mbit burst 10k latency 50ms"
            ));
        }
        run("tc qdisc add dev weir0 root pfifo");
        let found = bypassed();
        assert_eq!(found.others, ["queueing discipline tbf of lan0"]);
        assert!(found.filters.is_empty());
    });
}

/// Catches a rule of routing that chooses by more than the destination and is not told, and alarm about rules that do not,
/// or that are about other packets.
#[test]
fn rules_of_routing_beyond_the_destination_are_found() {
    isolated(|| {
        devices();
        for rule in [
            "to 10.1.0.0/16 table 100",
            "fwmark 5 table 100",
            "not fwmark 5 table 100",
            "iif other0 table 100",
            "iif lo table 100",
            "from 10.1.0.1 oif lan0 table 100",
        ] {
            run(&format!("ip rule add priority 99 {rule}"));
            run("ip -6 rule add priority 98 to fd01::/64 table 100");
            assert_eq!(bypassed(), nothing(), "{rule}");
            run("ip rule del priority 99");
            run("ip -6 rule del priority 98");
        }
        for rule in [
            "from 10.1.0.0/16 table 100",
            "iif lan0 table 100",
            "iif weir0 to 10.2.0.0/16 table 100",
            "tos 0x10 table 100",
            "ipproto tcp dport 80 table 100",
        ] {
            run(&format!("ip rule add priority 99 {rule}"));
            assert_eq!(bypassed().others, ["rule 99 of ip rule"], "{rule}");
            run("ip rule del priority 99");
        }
        run("ip -6 rule add priority 97 from fd01::/64 table 100");
        assert_eq!(bypassed().others, ["rule 97 of ip -6 rule"]);
        assert!(bypassed().filters.is_empty());
    });
}

/// Catches a gateway that starts past a filter that nobody acknowledged, one that does not although it was, and a refusal
/// that does not say which port, past what, and what to do.
#[test]
fn what_is_bypassed_has_to_be_known() {
    isolated(|| {
        devices();
        let (asking, knowing) = (config(false, ""), config(true, ""));
        assert_eq!(check(&asking), Ok(()));
        assert!(notes(&asking).is_empty());
        run("ip rule add priority 99 from 10.1.0.0/16 table 100");
        assert_eq!(
            check(&asking),
            Ok(()),
            "a rule of routing is told, and no reason to refuse"
        );
        assert_eq!(
            notes(&asking),
            ["port lan0: rule 99 of ip rule does not see what passes between it and the tunnel"]
        );
        nft(&[
            "add table ip filter",
            "add chain ip filter FORWARD {type filter hook forward priority 0;policy drop;}",
            "add table ip nat",
            "add chain ip nat POSTROUTING {type nat hook postrouting priority 100;}",
            "add rule ip nat POSTROUTING masquerade",
        ]);
        assert_eq!(
            check(&asking),
            Err("port lan0: packets between it and the tunnel pass by the kernel, and so by nftables chain ip filter FORWARD, \
                 nftables chain ip nat POSTROUTING; expected bypass_nftables = true in its [[port]], once it is known that \
                 they need none of it"
                .to_owned())
        );
        assert_eq!(check(&knowing), Ok(()));
        assert_eq!(notes(&knowing).len(), 3, "what is known is told all the same");
        run("nft flush ruleset");
        let translating = config(false, "[gateway]\nnat = true\n");
        assert_eq!(
            check(&translating),
            Ok(()),
            "nothing is translated that leaves by a LAN port"
        );
        let no_lan = Config {
            ports: asking.ports[..1].to_vec(),
            ..translating
        };
        assert_eq!(check(&no_lan), Ok(()));
        assert!(notes(&no_lan).is_empty());
    });
}

/// Catches a check that the gateway does not make: the program itself ends, naming the file, before it makes a device.
#[test]
fn the_gateway_refuses_to_start() {
    isolated(|| {
        devices();
        run("ip link del weir0");
        nft(&[
            "add table ip filter",
            "add chain ip filter FORWARD {type filter hook forward priority 0;policy drop;}",
        ]);
        let key = "MDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDA=";
        let file = common::file(
            "weir.toml",
            &format!(
                "[interface]\nprivate_key = \"{key}\"\naddresses = [\"10.77.0.1/24\"]\nlisten_port = 0\n\n\
                 [[port]]\ndevice = \"lan0\"\nrole = \"lan\"\n\n\
                 [dataplane]\nstate_directory = \"/run/state\"\n"
            ),
        );
        run(&format!("chmod 600 {file}"));
        let ended = output(&format!(
            "{} --config {file}",
            env!("CARGO_BIN_EXE_weir-dataplane")
        ));
        let said = common::text(&ended.stderr);
        assert!(!ended.status.success(), "{said}");
        assert!(
            said.contains("/run/weir.toml: port lan0: packets between it and the tunnel pass by the kernel, and so by nftables chain ip filter FORWARD; expected bypass_nftables = true"),
            "{said}"
        );
        assert!(!output("ip link show weir0").status.success(), "it made a device");
    });
}
