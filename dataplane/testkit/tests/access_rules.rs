//! Access rules at work in whole gateways: who may open what, what answers are, and what is told of the rest.

mod common;

use common::clients::{Clients, client_address, inner, key};
use common::{A, address};
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::time::Duration;
use weir_abi::change::{Change, ChangeSet};
use weir_abi::desired::{Origin, Peer};
use weir_abi::drops::Drop;
use weir_abi::key::PrivateKey;
use weir_abi::rule::{Action, Protocol, Rule, Sender, Target};
use weir_engine::limits::{DENIED_LIFE, DENIED_TOLD_PER_S, FLOW_LIFE};
use weir_engine::{DeniedFlow, Event};
use weir_frame::{Meta, Segmentation, Transport};
use weir_testkit::{Client, HostSteering, Received, WanSteering, packets, seeds};
use weir_wire::{ip, ipv4, tcp};

/// Clients 0 and 1 are staff, 2 and 3 in no group.
const CLIENTS: usize = 4;

fn inner_v6(n: usize) -> Ipv6Addr {
    Ipv6Addr::new(0xfd01, 0, 0, 0, 0, 0, 0, n as u16)
}

/// Where client `n` speaks from, in the family of `to`.
fn from(n: usize, port: u16, to: SocketAddr) -> SocketAddr {
    let ip: IpAddr = if to.is_ipv4() {
        inner(n).into()
    } else {
        inner_v6(n).into()
    };
    SocketAddr::new(ip, port)
}

fn rules_of(world: &mut Clients, rules: &[Rule]) {
    let peers = world.clients.iter().enumerate().map(|(n, client)| Peer {
        allowed_ips: vec![
            format!("{}/32", inner(n)).parse().expect("a prefix"),
            format!("{}/128", inner_v6(n)).parse().expect("a prefix"),
        ],
        groups: if n < 2 {
            vec!["staff".to_owned()]
        } else {
            Vec::new()
        },
        ..Peer::new(client.public_key(), Origin::File)
    });
    let changes = vec![
        Change::PrivateKey(Some(PrivateKey::from_bytes([1; 32]))),
        Change::ReplacePeers(peers.collect()),
        Change::ReplaceRules(rules.to_vec()),
    ];
    let set = ChangeSet {
        base: None,
        origin: Origin::File,
        changes,
    };
    world.sim.gateways[A].applier.apply(&set).expect("a sound set");
}

/// Clients with sessions, under no rules yet.
fn world(seed: u64, shards: usize) -> Clients {
    let mut world = unconnected(seed, shards);
    world.connect_all();
    world
}

/// Clients that have not called yet.
fn unconnected(seed: u64, shards: usize) -> Clients {
    let mut world = Clients::new(seed, shards, 0);
    let gateway = world.sim.gateways[A].public_key();
    for n in 0..CLIENTS {
        let random = world.sim.seed().random(1000 + n as u64);
        world.sim.network.bind(client_address(n));
        world
            .clients
            .push(Client::new(key(n), gateway, client_address(n), random));
    }
    rules_of(&mut world, &[]);
    world
}

/// Client `n` sends a packet; says whether it came out.
fn passes(world: &mut Clients, n: usize, packet: &[u8]) -> bool {
    let denied = world.sim.gateways[A].dropped(Drop::RuleDenied);
    let at = world.sim.instant();
    let message = world.clients[n].data(packet, at);
    world.send(n, &message);
    world.sim.run_for(Duration::from_millis(20));
    let received = world.sim.gateways[A].host_received();
    let denied = world.sim.gateways[A].dropped(Drop::RuleDenied) - denied;
    assert_eq!(
        received.len() as u64 + denied,
        1,
        "neither out nor denied: {:?}",
        world.sim.gateways[A].drops()
    );
    assert!(
        received.iter().all(|out| out == packet),
        "another packet came out"
    );
    denied == 0
}

/// The gateway's side sends a packet, which must arrive at client `n`.
fn sends(world: &mut Clients, n: usize, packet: &[u8]) {
    world.sim.gateways[A].host_send(packet);
    world.sim.run_for(Duration::from_millis(20));
    let received = world.poll(n);
    let arrived = |r: &Received| matches!(r, Received::Data(data) if data.starts_with(packet));
    assert!(received.iter().any(arrived), "{received:?}");
}

/// A new session of client `n`, without any packet in it.
fn connect(world: &mut Clients, n: usize) {
    world.initiate(n);
    world.sim.run_for(Duration::from_millis(20));
    assert!(world.poll(n).contains(&Received::Session));
}

fn udp(n: usize, to: &str) -> Vec<u8> {
    packets::udp(from(n, 4000, address(to)), address(to), b"datagram")
}

fn syn(n: usize, to: &str) -> Vec<u8> {
    packets::tcp(from(n, 4000, address(to)), address(to), 1, tcp::SYN, &[])
}

fn deny() -> Rule {
    Rule::new(Action::Deny)
}

fn accept() -> Rule {
    Rule::new(Action::Accept)
}

fn staff() -> Sender {
    Sender::Group("staff".to_owned())
}

fn prefix(text: &str) -> Target {
    Target::Prefix(text.parse().expect("a prefix"))
}

/// Staff may open HTTPS and DNS in two networks, client 2 everything to client 3, everybody may ping.
fn office(world: &Clients) -> Vec<Rule> {
    let server = vec![prefix("10.0.1.0/24"), prefix("fd00:1::/64")];
    vec![
        Rule {
            from: vec![staff()],
            to: server.clone(),
            protocol: Some(Protocol::TCP),
            ports: vec![443.into(), "8000-8100".parse().expect("a range")],
            ..accept()
        },
        Rule {
            from: vec![staff()],
            to: server,
            protocol: Some(Protocol::UDP),
            ports: vec![53.into()],
            ..accept()
        },
        Rule {
            from: vec![Sender::Peer(world.clients[2].public_key())],
            to: vec![Target::Peer(world.clients[3].public_key())],
            ..accept()
        },
        Rule {
            protocol: Some(Protocol::Icmp),
            ..accept()
        },
        deny(),
    ]
}

// Catches a peer, group, network, port or family that a rule takes for another, a gateway without rules that denies
// anything, and a spoofed source that reaches the rules at all.
#[test]
fn flows_are_accepted_and_denied_as_the_rules_say() {
    for seed in seeds(2) {
        let mut world = world(seed, 2);
        assert!(passes(&mut world, 3, &udp(3, "10.9.9.9:9")), "without rules");
        let rules = office(&world);
        rules_of(&mut world, &rules);
        let staff = [(0, true), (1, true), (2, false), (3, false)];
        for (n, is_staff) in staff {
            for (to, open) in [
                ("10.0.1.7:443", true),
                ("10.0.1.7:8100", true),
                ("10.0.1.7:8101", false),
                ("10.0.2.7:443", false),
                ("[fd00:1::7]:443", true),
                ("[fd00:2::7]:443", false),
                ("10.0.1.7:53", false),
            ] {
                assert_eq!(
                    passes(&mut world, n, &syn(n, to)),
                    is_staff && open,
                    "client {n} TCP to {to}"
                );
            }
            for (to, open) in [
                ("10.0.1.7:53", true),
                ("[fd00:1::7]:53", true),
                ("10.0.1.7:443", false),
            ] {
                assert_eq!(
                    passes(&mut world, n, &udp(n, to)),
                    is_staff && open,
                    "client {n} UDP to {to}"
                );
            }
            for to in ["10.9.9.9", "fd99::9"] {
                let to: IpAddr = to.parse().expect("an address");
                let source = from(n, 0, SocketAddr::new(to, 0)).ip();
                assert!(passes(&mut world, n, &packets::echo(source, to, 1, 1, b"ping")));
            }
        }
        let third = [inner(3).to_string() + ":22", format!("[{}]:22", inner_v6(3))];
        for to in &third {
            for n in [0, 1, 2] {
                assert_eq!(passes(&mut world, n, &syn(n, to)), n == 2, "client {n} to {to}");
            }
        }
        let before = world.sim.gateways[A].dropped(Drop::RuleDenied);
        let spoofed = udp(1, "10.9.9.9:9");
        let at = world.sim.instant();
        let message = world.clients[0].data(&spoofed, at);
        world.send(0, &message);
        world.sim.run_for(Duration::from_millis(20));
        assert_eq!(world.sim.gateways[A].dropped(Drop::SourceNotAllowed), 1);
        assert_eq!(world.sim.gateways[A].dropped(Drop::RuleDenied), before);
        world.sim.assert_frames_home();
    }
}

// Catches answers that are denied: of TCP, of UDP asked from the gateway's side whether or not there was a session, cut
// by offloads or not, and ICMP's; and packets that pass as answers to nobody, to another peer or port, or too late.
#[test]
fn answers_pass_and_nothing_else_does() {
    for seed in seeds(2) {
        let mut world = world(seed, 4);
        world.sim.gateways[A].host_steering = HostSteering::Turns;
        world.sim.gateways[A].wan_steering = WanSteering::Wrong;
        rules_of(&mut world, &[deny()]);
        for server in ["10.0.1.7:53", "[fd00:1::7]:53"] {
            let server = address(server);
            for n in 0..2 {
                let client = from(n, 4000, server);
                for flags in [tcp::SYN | tcp::ACK, tcp::ACK, 4, tcp::FIN | tcp::ACK] {
                    assert!(
                        passes(&mut world, n, &packets::tcp(client, server, 1, flags, b"")),
                        "{flags:#x}"
                    );
                }
                assert!(!passes(
                    &mut world,
                    n,
                    &packets::tcp(client, server, 1, tcp::SYN, b"")
                ));
                assert!(
                    !passes(&mut world, n, &packets::udp(client, server, b"answer")),
                    "to nobody"
                );
            }
            let client = from(0, 4000, server);
            sends(&mut world, 0, &packets::udp(server, client, b"question"));
            assert!(passes(&mut world, 0, &packets::udp(client, server, b"answer")));
            let elsewhere = SocketAddr::new(server.ip(), 54);
            assert!(!passes(
                &mut world,
                0,
                &packets::udp(client, elsewhere, b"answer")
            ));
            assert!(!passes(
                &mut world,
                0,
                &packets::udp(from(0, 4001, server), server, b"answer")
            ));
            let other = from(1, 4000, server);
            assert!(
                !passes(&mut world, 1, &packets::udp(other, server, b"answer")),
                "another peer"
            );
        }
        let server = address("10.0.1.7:53");
        let (client, mut question) = (from(0, 4100, server), Vec::new());
        question.extend(packets::udp(server, client, &[7; 300]));
        let segmentation = Segmentation::Super {
            transport: Transport::Udp,
            size: 100,
        };
        let meta = Meta {
            segmentation,
            ..Meta::default()
        };
        world.sim.gateways[A].host_send_with(&question, meta);
        world.sim.run_for(Duration::from_millis(20));
        assert_eq!(world.poll(0).len(), 3);
        assert!(
            passes(&mut world, 0, &packets::udp(client, server, b"answer")),
            "cut by offloads"
        );

        let (server, client) = (server.ip(), client.ip());
        assert!(!passes(&mut world, 0, &packets::echo(client, server, 1, 1, b"")));
        let reply = packets::packet(client, server, ip::ICMP, 0, &[0; 8]);
        assert!(passes(&mut world, 0, &reply), "an echo reply");
        let unreachable = packets::packet(client, server, ip::ICMP, 0, &[3; 36]);
        assert!(passes(&mut world, 0, &unreachable), "an error");
        world.sim.assert_frames_home();
    }
}

// Catches a question that is forgotten while it waits for its session, and one that is remembered for ever.
#[test]
fn questions_are_remembered_from_before_the_session_and_not_for_ever() {
    for seed in seeds(2) {
        let mut world = world(seed, 2);
        rules_of(&mut world, &[deny()]);
        world.sim.run_for(Duration::from_secs(200));
        world.poll(0);
        let server = address("10.0.1.7:53");
        let (client, question) = (
            from(0, 4000, server),
            packets::udp(server, from(0, 4000, server), b"question"),
        );
        world.clients[0].session = None;
        world.sim.gateways[A].host_send(&question);
        for _ in 0..2 {
            world.sim.run_for(Duration::from_millis(50));
            world.poll(0);
        }
        let answer = packets::udp(client, server, b"answer");
        assert!(passes(&mut world, 0, &answer));
        world.sim.run_for(FLOW_LIFE - Duration::from_secs(5));
        connect(&mut world, 0);
        assert!(passes(&mut world, 0, &answer), "just in time");
        world.sim.run_for(Duration::from_secs(10));
        assert!(!passes(&mut world, 0, &answer), "too late");
    }
}

/// A UDP datagram in two fragments with this identification.
fn fragments(from: SocketAddr, to: SocketAddr, identification: u16) -> [Vec<u8>; 2] {
    let whole = packets::udp(from, to, &[7; 1000]);
    let header = if to.is_ipv4() { 20 } else { 40 };
    let (first, later) = whole[header..].split_at(512);
    [(first, 0u16, true), (later, 512, false)].map(|(piece, offset, more)| {
        if to.is_ipv4() {
            let mut packet = packets::packet(from.ip(), to.ip(), ip::UDP, 0, piece);
            packet[4..6].copy_from_slice(&identification.to_be_bytes());
            packet[6..8].copy_from_slice(&(offset / 8 + (u16::from(more) << 13)).to_be_bytes());
            ipv4::write_header_checksum(&mut packet);
            packet
        } else {
            let mut extended = vec![ip::UDP, 0];
            extended.extend((offset | u16::from(more)).to_be_bytes());
            extended.extend(u32::from(identification).to_be_bytes());
            extended.extend(piece);
            packets::packet(from.ip(), to.ip(), 44, 0, &extended)
        }
    })
}

// Catches large datagrams of which only the first fragment arrives, as answers and as flows of their own, and fragments
// that pass without the packet that they are of.
#[test]
fn later_fragments_go_the_way_of_the_first() {
    for seed in seeds(2) {
        let mut world = world(seed, 2);
        let dns = Rule {
            protocol: Some(Protocol::UDP),
            ports: vec![53.into()],
            ..accept()
        };
        rules_of(&mut world, &[dns, deny()]);
        for (number, server) in ["10.0.1.7:53", "[fd00:1::7]:53"].into_iter().enumerate() {
            let (server, number) = (address(server), number as u16);
            let (client, other) = (from(0, 4000, server), SocketAddr::new(server.ip(), 54));
            let [first, later] = fragments(client, server, 10 * number + 1);
            assert!(!passes(&mut world, 0, &later), "without its first");
            assert!(passes(&mut world, 0, &first) && passes(&mut world, 0, &later));
            let [_, strange] = fragments(client, server, 10 * number + 2);
            assert!(!passes(&mut world, 0, &strange), "of another packet");
            let [first, later] = fragments(client, other, 10 * number + 3);
            assert!(!passes(&mut world, 0, &first) && !passes(&mut world, 0, &later));
            sends(&mut world, 0, &packets::udp(other, client, b"question"));
            let [first, later] = fragments(client, other, 10 * number + 4);
            assert!(
                passes(&mut world, 0, &first) && passes(&mut world, 0, &later),
                "an answer"
            );
            assert!(!passes(
                &mut world,
                1,
                &fragments(from(1, 4000, server), server, 10 * number + 1)[1]
            ));
        }
    }
}

// Catches a reload of rules that ends sessions, one that a running session never hears of, peers of the second shard
// that are judged by the old rules, and verdicts on flows of before that are remembered: where rules are many, they are.
#[test]
fn rules_change_under_sessions() {
    let dns = Rule {
        from: vec![staff()],
        protocol: Some(Protocol::UDP),
        ports: vec![53.into()],
        ..deny()
    };
    let strange = Rule {
        protocol: Some(Protocol::Number(99)),
        ..deny()
    };
    for (seed, more) in seeds(3).flat_map(|seed| [(seed, 0), (seed, 10)]) {
        let mut world = world(seed, 3);
        let handshakes = |world: &Clients| -> u64 {
            let counters = world.sim.gateways[A].counters();
            counters.map(|counters| counters.handshakes).sum()
        };
        let before = handshakes(&world);
        for (rules, allowed) in [
            (vec![], [true; CLIENTS]),
            (vec![dns.clone()], [false, false, true, true]),
            (vec![deny()], [false; CLIENTS]),
            (vec![accept(), dns.clone()], [true; CLIENTS]),
            (vec![dns.clone(), deny()], [false; CLIENTS]),
            (vec![], [true; CLIENTS]),
        ] {
            let rules = [vec![strange.clone(); more], rules].concat();
            rules_of(&mut world, &rules);
            for round in 0..2 {
                for (n, &allowed) in allowed.iter().enumerate() {
                    let passed = passes(&mut world, n, &udp(n, "10.0.1.7:53"));
                    assert_eq!(passed, allowed, "client {n}, round {round}: {rules:?}");
                }
            }
        }
        assert_eq!(handshakes(&world), before, "sessions were made anew");
        assert_eq!(told(&mut world), []);
    }
}

// Catches a peer that escapes the rules because it came to be, or moved to another shard, after them.
#[test]
fn rules_hold_for_peers_that_come_and_move() {
    for seed in seeds(2) {
        let mut world = unconnected(seed, 3);
        rules_of(&mut world, &[deny()]);
        let server = address("10.0.1.7:53");
        let (client, key) = (from(0, 4000, server), world.clients[0].public_key());
        let mut homes = Vec::new();
        for shard in [0, 1, 2, 0] {
            world.sim.gateways[A].wan_steering = WanSteering::All(shard);
            connect(&mut world, 0);
            // What confirms the session brings the peer home, and is denied as well.
            assert!(!passes(&mut world, 0, &packets::udp(client, server, b"answer")));
            let now = world.sim.now_ns;
            homes.push(world.sim.gateways[A].home(now, &key));
            let port = 5000 + homes.len() as u16;
            let asking = SocketAddr::new(server.ip(), port);
            assert!(!passes(&mut world, 0, &packets::udp(client, asking, b"answer")));
            sends(&mut world, 0, &packets::udp(asking, client, b"question"));
            assert!(passes(&mut world, 0, &packets::udp(client, asking, b"answer")));
        }
        assert_eq!(homes, [Some(0), Some(1), Some(2), Some(0)]);
    }
}

fn told(world: &mut Clients) -> Vec<DeniedFlow> {
    let events = world.sim.gateways[A].events.drain(..);
    let denied = |event| match event {
        Event::Denied(flow) => Some(flow),
        Event::Changed
        | Event::Unanswered(_)
        | Event::GaveUp(_)
        | Event::UnderLoad(_)
        | Event::Roamed { .. }
        | Event::PeerState { .. }
        | Event::Refused(_)
        | Event::Lost(_) => None,
    };
    events.filter_map(denied).collect()
}

// Catches a denied flow that is not told or told with each packet, a flood of them that is told without bound or hides
// how many there were, and rules whose counts are another's.
#[test]
fn denied_flows_are_told_and_counted_within_bounds() {
    let mut world = world(1, 1);
    let quiet = Rule {
        protocol: Some(Protocol::TCP),
        ..deny()
    };
    let loud = Rule { log: true, ..deny() };
    rules_of(&mut world, &[quiet, loud]);
    told(&mut world);
    assert!(!passes(&mut world, 0, &syn(0, "10.0.1.7:443")));
    assert_eq!(told(&mut world), []);
    let datagram = udp(0, "10.0.1.7:53");
    for _ in 0..3 {
        assert!(!passes(&mut world, 0, &datagram));
    }
    let lines = told(&mut world);
    assert_eq!(lines.len(), 1);
    let id = world.sim.gateways[A]
        .applier
        .published()
        .load()
        .peer_by_key(&world.clients[0].public_key())
        .map(|f| f.id);
    let shown = (
        Some(lines[0].peer),
        lines[0].rule,
        lines[0].protocol,
        lines[0].ports,
        lines[0].left_out,
    );
    assert_eq!(shown, (id, 1, Some(ip::UDP), Some((4000, 53)), 0));
    let ends = (lines[0].source, lines[0].destination);
    assert_eq!(ends, (inner(0).into(), address("10.0.1.7:53").ip()));

    world.sim.run_for(Duration::from_secs(2));
    let flows = 4 * DENIED_TOLD_PER_S as u16;
    for port in 0..flows {
        let packet = packets::udp(from(1, port, address("10.0.1.7:53")), address("10.0.1.7:53"), b"");
        let at = world.sim.instant();
        let message = world.clients[1].data(&packet, at);
        world.send(1, &message);
    }
    world.sim.run_for(Duration::from_millis(50));
    assert_eq!(told(&mut world).len(), DENIED_TOLD_PER_S as usize);
    world.sim.run_for(DENIED_LIFE + Duration::from_secs(2));
    assert!(!passes(&mut world, 0, &datagram));
    let lines = told(&mut world);
    assert_eq!(
        (lines.len(), lines[0].left_out),
        (1, u32::from(flows) - DENIED_TOLD_PER_S)
    );

    let now = world.sim.now_ns;
    let snapshots = world.sim.gateways[A].snapshot(now);
    let decided: Vec<&(u64, Vec<u64>)> = snapshots.iter().map(|snapshot| &snapshot.rules).collect();
    assert_eq!(decided[0].1, [1, u64::from(flows) + 4]);
}
