//! Compiled rules against a walk over the declared ones, and what compiling shares.

use super::{Access, Flow, RuleList, Verdict};
use crate::applier::Applier;
use crate::tables::Tables;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use proptest::prelude::*;
use proptest::sample::subsequence;
use proptest::test_runner::RngSeed;
use std::sync::Arc;
use weir_abi::change::{AllowedIpChange, Change, ChangeSet, PeerChange};
use weir_abi::desired::{Origin, Peer};
use weir_abi::key::PublicKey;
use weir_abi::prefix::Prefix;
use weir_abi::rule::{Action, PortRange, Protocol, Rule, Sender, Target};

const GROUPS: [&str; 3] = ["a", "b", "c"];

fn key(number: u8) -> PublicKey {
    PublicKey::from_bytes([number; 32])
}

/// Peers 1 to 5; the first three are the groups' members, so that no group is empty.
fn peers() -> Vec<Peer> {
    let prefixes = [
        "10.0.0.0/30",
        "10.0.0.4/32",
        "fd00::/126",
        "10.0.0.6/31",
        "fd00::4/127",
    ];
    let groups: [&[&str]; 5] = [&["a"], &["a", "b"], &["c"], &[], &[]];
    let peer = |n: usize| Peer {
        allowed_ips: vec![prefixes[n].parse().unwrap()],
        groups: groups[n].iter().map(|&group| group.to_owned()).collect(),
        ..Peer::new(key(n as u8 + 1), Origin::File)
    };
    (0..5).map(peer).collect()
}

fn applied(peers: Vec<Peer>, rules: Vec<Rule>) -> Arc<Tables> {
    let mut applier = Applier::new(1, 1420);
    let set = ChangeSet {
        base: None,
        origin: Origin::File,
        changes: vec![Change::ReplacePeers(peers), Change::ReplaceRules(rules)],
    };
    applier.apply(&set).unwrap();
    applier.published().load_full()
}

/// The first rule that matches, and whether it denies: the rules taken at their word.
fn walk(rules: &[Rule], peers: &[Peer], sender: &Peer, flow: &Flow) -> Option<(u16, Action)> {
    let sends = |from: &Sender| match from {
        Sender::Peer(key) => *key == sender.public_key,
        Sender::Group(group) => sender.groups.contains(group),
    };
    let holds = |peer: &Peer| peer.allowed_ips.iter().any(|p| p.contains(flow.destination));
    let inside = |to: &Target| match to {
        Target::Prefix(prefix) => prefix.contains(flow.destination),
        Target::Peer(key) => peers.iter().any(|p| p.public_key == *key && holds(p)),
        Target::Group(group) => peers.iter().any(|p| p.groups.contains(group) && holds(p)),
    };
    let protocol = flow.protocol.expect("a flow that is known");
    let number = rules.iter().position(|rule| {
        (rule.from.is_empty() || rule.from.iter().any(sends))
            && (rule.to.is_empty() || rule.to.iter().any(inside))
            && match rule.protocol {
                None => true,
                Some(Protocol::Icmp) => protocol == if flow.destination.is_ipv4() { 1 } else { 58 },
                Some(Protocol::Number(number)) => protocol == number,
            }
            && (rule.ports.is_empty()
                || flow.ports.is_some_and(|(_, port)| {
                    rule.ports.iter().any(|r| r.first() <= port && port <= r.last())
                }))
    })?;
    Some((number as u16, rules[number].action))
}

fn address() -> impl Strategy<Value = IpAddr> {
    (any::<bool>(), 0u8..10).prop_map(|(v4, low)| {
        if v4 {
            Ipv4Addr::new(10, 0, 0, low).into()
        } else {
            Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, low.into()).into()
        }
    })
}

fn prefix() -> impl Strategy<Value = Prefix> {
    (address(), 0u8..5).prop_map(|(address, hosts)| {
        let most = if address.is_ipv4() { 32 } else { 128 };
        Prefix::new(address, most - hosts).expect("a length of the family")
    })
}

fn rule() -> impl Strategy<Value = Rule> {
    let from = prop_oneof![
        (1u8..6).prop_map(|n| Sender::Peer(key(n))),
        (0usize..3).prop_map(|n| Sender::Group(GROUPS[n].to_owned())),
    ];
    let to = prop_oneof![
        prefix().prop_map(Target::Prefix),
        (1u8..6).prop_map(|n| Target::Peer(key(n))),
        (0usize..3).prop_map(|n| Target::Group(GROUPS[n].to_owned())),
    ];
    let protocol = prop_oneof![
        Just(None),
        Just(Some(Protocol::Icmp)),
        Just(Some(Protocol::TCP)),
        Just(Some(Protocol::UDP)),
        (0u8..3).prop_map(|n| Some(Protocol::Number(n))),
    ];
    let range = (0u16..6, 0u16..3).prop_map(|(first, more)| PortRange::new(first, first + more).unwrap());
    (
        any::<bool>(),
        proptest::collection::vec(from, 0..3),
        proptest::collection::vec(to, 0..3),
        protocol,
        proptest::collection::vec(range, 0..3),
    )
        .prop_map(|(deny, from, to, protocol, ports)| Rule {
            from,
            to,
            ports: if protocol.is_some_and(Protocol::has_ports) {
                ports
            } else {
                Vec::new()
            },
            protocol,
            ..Rule::new(if deny { Action::Deny } else { Action::Accept })
        })
}

/// Every port and protocol that the rules tell apart.
fn completions(flow: Flow) -> Vec<Flow> {
    let protocols = match flow.protocol {
        Some(known) => vec![known],
        None => vec![0, 1, 2, 6, 17, 58, 99],
    };
    let mut all = Vec::new();
    for protocol in protocols {
        let ports = match (protocol, flow.ports) {
            (6 | 17, None) => (0..10).map(|port| Some((9, port))).collect(),
            (_, ports) => vec![ports],
        };
        all.extend(ports.into_iter().map(|ports| Flow {
            protocol: Some(protocol),
            ports,
            ..flow
        }));
    }
    all
}

proptest! {
    // The same cases in every run; a failure prints its input, and PROPTEST_CASES asks for more.
    #![proptest_config(ProptestConfig { rng_seed: RngSeed::Fixed(0x7765_6972), failure_persistence: None, cases: 2000, ..ProptestConfig::default() })]

    // Catches a rule left out of a class or put into another's, networks joined wrongly, a rule cut off behind one that
    // does not match everything, and a fragment that passes though the packet it hides might be denied.
    #[test]
    fn compiled_rules_decide_as_declared_ones(
        rules in proptest::collection::vec(rule(), 0..7),
        order in subsequence((0..5usize).collect::<Vec<_>>(), 5).prop_shuffle(),
        destination in address(),
        protocol in prop_oneof![Just(6u8), Just(17), Just(1), Just(58), Just(2), Just(99)],
        port in 0u16..10,
        hidden in 0u8..3,
    ) {
        let all = peers();
        let declared = order.iter().map(|&n| all[n].clone()).collect();
        let tables = applied(declared, rules.clone());
        let flow = Flow {
            source: destination,
            destination,
            protocol: Some(protocol).filter(|_| hidden < 2),
            ports: [6, 17].contains(&protocol).then_some((9, port)).filter(|_| hidden == 0),
        };
        for sender in &all {
            let id = tables.peer_by_key(&sender.public_key).unwrap().id;
            let class = tables.access.class_of(id);
            let verdict = class.map(|class| tables.access.judge(class, &flow));
            let possible: Vec<_> = completions(flow).iter().map(|f| walk(&rules, &all, sender, f)).collect();
            let denied = |decided: &Option<(u16, Action)>| decided.is_some_and(|(_, action)| action == Action::Deny);
            match verdict {
                None | Some(Verdict::Accept(_)) => prop_assert!(!possible.iter().any(denied), "{sender:?}"),
                Some(Verdict::Deny { .. }) if possible.len() > 1 => {}
                Some(Verdict::Deny { .. }) => prop_assert!(denied(&possible[0]), "{sender:?}"),
            }
            if let (Some(verdict), [known]) = (verdict, &*possible) {
                let by = match verdict {
                    Verdict::Accept(rule) => rule,
                    Verdict::Deny { rule, .. } => Some(rule),
                };
                prop_assert_eq!(by, known.map(|(rule, _)| rule));
            }
        }
    }
}

// Catches a later fragment of a default-deny's accepted flow that passes by itself, and one that is denied though no
// rule could deny the packet it belongs to.
#[test]
fn what_is_hidden_counts_against_a_flow() {
    let web = Rule {
        protocol: Some(Protocol::TCP),
        ports: vec![443.into()],
        ..Rule::new(Action::Accept)
    };
    let telnet = Rule {
        action: Action::Deny,
        ports: vec![23.into()],
        ..web.clone()
    };
    let verdict = |rules: &[Rule], protocol| {
        let tables = applied(peers(), rules.to_vec());
        let id = tables.peer_by_key(&key(1)).unwrap().id;
        let flow = Flow {
            source: "10.0.0.1".parse().unwrap(),
            destination: "10.0.0.9".parse().unwrap(),
            protocol,
            ports: None,
        };
        let judged = |class| tables.access.judge(class, &flow);
        matches!(
            tables.access.class_of(id).map(judged),
            None | Some(Verdict::Accept(_))
        )
    };
    let default_deny = [web, Rule::new(Action::Deny)];
    assert!(!verdict(&default_deny, Some(6)) && !verdict(&default_deny, None));
    let no_telnet = [telnet];
    assert!(!verdict(&no_telnet, Some(6)) && !verdict(&no_telnet, None));
    assert!(verdict(&no_telnet, Some(17)));
}

// Catches lists and networks made anew for each peer or rule: ten thousand peers of a hundred groups, a hundred rules
// that each name a group of all of them as target.
#[test]
fn ten_thousand_peers_share_what_a_hundred_rules_make() {
    let peer = |n: u32| Peer {
        allowed_ips: vec![Prefix::host(Ipv4Addr::from_bits(0x0a00_0000 + 2 * n).into())],
        groups: vec!["all".to_owned(), format!("g{}", n % 100)],
        ..Peer::new(
            {
                let mut key = [7; 32];
                key[..4].copy_from_slice(&n.to_be_bytes());
                PublicKey::from_bytes(key)
            },
            Origin::File,
        )
    };
    let rule = |n: usize| Rule {
        from: vec![Sender::Group(format!("g{n}"))],
        to: vec![Target::Group("all".to_owned()), Target::Group(format!("g{n}"))],
        ..Rule::new(if n.is_multiple_of(2) {
            Action::Deny
        } else {
            Action::Accept
        })
    };
    let rules: Vec<Rule> = (0..100).map(rule).collect();
    let tables = applied((0..10_000).map(peer).collect(), Vec::new());
    let begun = std::time::Instant::now();
    let access = Access::compile(
        RuleList::default().replaced(Origin::File, &rules),
        &tables.access,
        &tables,
    )
    .unwrap();
    println!("compiled in {:?}", begun.elapsed());
    assert_eq!((access.classes.count(), access.addresses.len()), (50, 101));
    assert_eq!(access.by_peer.len(), 10_000);
}

/// A change of one of the peers 1 to 6: its groups, its addresses, its coming and going.
fn step() -> impl Strategy<Value = Change> {
    let groups = subsequence(GROUPS.to_vec(), 0..3);
    let prefixes = proptest::collection::vec(prefix(), 0..3);
    (1u8..7, groups, prefixes, 0u8..5).prop_map(|(number, groups, prefixes, kind)| match kind {
        0 => Change::RemovePeer(key(number)),
        1 => Change::ReplacePeers(vec![Peer {
            allowed_ips: prefixes,
            groups: groups.into_iter().map(str::to_owned).collect(),
            ..Peer::new(key(number), Origin::Control)
        }]),
        _ => Change::Peer(PeerChange {
            groups: (kind < 4).then(|| groups.into_iter().map(str::to_owned).collect()),
            allowed_ips: prefixes.into_iter().map(AllowedIpChange::Add).collect(),
            replace_allowed_ips: kind == 3,
            ..PeerChange::new(key(number))
        }),
    })
}

proptest! {
    #![proptest_config(ProptestConfig { rng_seed: RngSeed::Fixed(0x7765_6972), failure_persistence: None, cases: 500, ..ProptestConfig::default() })]

    // Catches compiled rules that follow a change otherwise than they would be compiled anew: a member that stays in a
    // group's addresses, an address that moved and is lost, a class that is another's.
    #[test]
    fn rules_that_follow_changes_are_as_if_compiled_anew(
        rules in proptest::collection::vec(rule(), 1..7),
        steps in proptest::collection::vec(proptest::collection::vec(step(), 1..4), 1..12),
    ) {
        let mut applier = Applier::new(1, 1420);
        let set = |changes| ChangeSet { base: None, origin: Origin::Control, changes };
        applier.apply(&set(vec![Change::ReplaceRules(rules)])).unwrap();
        let mut followed = 0;
        for changes in steps {
            let before = applier.published().load_full();
            // A peer that is declared twice in one replacement, say, is refused, and nothing has changed.
            if applier.apply(&set(changes)).is_err() {
                continue;
            }
            let tables = applier.published().load_full();
            followed += u32::from(tables.access.epoch() == before.access.epoch());
            let anew = Access::compile(tables.access.declared().clone(), &tables.access, &tables).unwrap();
            for (_, facts) in tables.peers.iter() {
                let classes = (tables.access.class_of(facts.id), anew.class_of(facts.id));
                prop_assert_eq!(classes.0.is_some(), classes.1.is_some());
                let (Some(class), Some(new)) = classes else { continue };
                for flow in flows() {
                    prop_assert_eq!(tables.access.judge(class, &flow), anew.judge(new, &flow), "{:?}", flow);
                }
            }
            prop_assert_eq!(tables.access.by_peer.len(), anew.by_peer.len());
        }
        prop_assert!(followed > 0 || applier.revision().0 == 1);
    }
}

/// A flow to each address that the prefixes tell apart.
fn flows() -> Vec<Flow> {
    let low = (0u8..16).flat_map(|low| {
        let v4: IpAddr = Ipv4Addr::new(10, 0, 0, low).into();
        let v6: IpAddr = Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, low.into()).into();
        [v4, v6]
    });
    let flow = |destination| Flow {
        source: destination,
        destination,
        protocol: Some(6),
        ports: Some((9, 2)),
    };
    low.map(flow).collect()
}
