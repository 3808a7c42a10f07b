//! What other WireGuard software got wrong on the data plane, each as a test; what belongs to timers, floods, roaming,
//! clocks and memory stands in the files of those names.

mod common;

use common::clients::{Clients, spec};
use common::{A, B, Traffic, address, is_error, pair, pair_of, peer_spec};
use rand_core::Rng;
use std::collections::HashSet;
use std::time::Duration;
use weir_abi::change::{AllowedIpChange, Change, PeerChange, Refusal};
use weir_abi::drops::Drop;
use weir_abi::key::{PresharedKey, PublicKey};
use weir_engine::limits::PREFIXES_MAX;
use weir_frame::{Meta, Segmentation, Transport};
use weir_testkit::{HostSteering, PeerSpec, Received, Setup, WanSteering, packets, seeds};
use weir_wire::{ip, tcp};

const MS: Duration = Duration::from_millis(1);

// Catches a datagram of any length or content that stops the receive path (gotatun: one larger than the buffer).
#[test]
fn no_datagram_stops_the_receive_path() {
    for seed in seeds(2) {
        let mut world = Clients::new(seed, 2, 1);
        world.connect(0);
        let (from, gateway) = (address("203.0.113.66:6"), world.sim.gateways[A].address());
        let index = world.clients[0]
            .session
            .as_ref()
            .expect("a session")
            .remote()
            .0
            .to_le_bytes();
        let mut junk = vec![0; 70_000];
        let mut count = 0;
        for length in (0..400).chain([1500, 2047, 2048, 2049, 9000, 65_507, 65_535, 66_000, 70_000]) {
            for kind in 0..6 {
                world.sim.random.fill_bytes(&mut junk[..length]);
                for (place, byte) in [(0, kind), (1, 0), (2, 0), (3, 0)] {
                    junk[place] = byte;
                }
                junk[4..8].copy_from_slice(&index);
                let datagram = junk[..length].to_vec();
                world.sim.send(from, gateway, &datagram);
                count += 1;
            }
            world.sim.run_for(MS);
        }
        world.sim.run_for(100 * MS);
        world.echo(0);
        let a = &world.sim.gateways[A];
        let too_long: u64 = (0..2).map(|shard| a.handles(shard).0.too_long()).sum();
        let dropped: u64 = a.drops().iter().map(|(_, n)| n).sum();
        assert_eq!(too_long, 12, "one count each for what exceeds every buffer");
        assert_eq!(
            dropped + too_long,
            count,
            "every one ends in one counted drop: {:?}",
            a.drops()
        );
        world.sim.assert_frames_home();
    }
}

// Catches a peer that sends from an address whose longest prefix is another's (gotatun 0.7.2).
#[test]
fn only_the_owner_of_the_longest_prefix_may_use_an_address() {
    let mut world = Clients::new(1, 1, 3);
    let wide: Vec<Change> = [(0, "10.0.0.0/8"), (1, "10.9.0.0/16"), (2, "10.9.9.9/32")]
        .into_iter()
        .map(|(n, prefix)| PeerSpec::new(world.clients[n].public_key(), &[prefix]).change())
        .collect();
    world.sim.gateways[A].apply(wide).expect("a sound change");
    for n in 0..3 {
        world.initiate(n);
        world.sim.run_for(50 * MS);
        world.poll(n);
    }
    let owners = [
        ("10.9.9.9:5", 2),
        ("10.9.9.8:5", 1),
        ("10.8.9.9:5", 0),
        ("11.0.0.1:5", 9),
    ];
    let mut refused = 0;
    for (source, owner) in owners {
        for n in 0..3 {
            let packet = packets::udp(address(source), address("192.168.1.1:5"), &[n as u8]);
            let at = world.sim.instant();
            let message = world.clients[n].data(&packet, at);
            world.send(n, &message);
            world.sim.run_for(20 * MS);
            let arrived = world.sim.gateways[A].host_received();
            assert_eq!(arrived.contains(&packet), n == owner, "client {n} from {source}");
            refused += u64::from(n != owner);
            assert_eq!(world.sim.gateways[A].dropped(Drop::SourceNotAllowed), refused);
        }
        // And packets to the address go to its owner alone.
        let packet = packets::udp(address("192.168.1.1:5"), address(source), &[]);
        world.sim.gateways[A].host_send(&packet);
        world.sim.run_for(20 * MS);
        for n in 0..3 {
            let data = |r: &Received| matches!(r, Received::Data(d) if d.starts_with(&packet));
            assert_eq!(world.poll(n).iter().any(data), n == owner);
        }
    }
    assert_eq!(world.sim.gateways[A].dropped(Drop::NoRoute), 1);
}

// Catches a changed preshared key that is ignored (boringtun), or that cuts the session in force.
#[test]
fn a_changed_preshared_key_counts_from_the_next_handshake() {
    let mut world = Clients::new(1, 2, 1);
    world.connect(0);
    let key = world.clients[0].public_key();
    let set = |bytes: [u8; 32]| {
        Change::Peer(PeerChange {
            preshared_key: Some(PresharedKey::from_bytes(bytes)),
            ..PeerChange::new(key)
        })
    };
    for (psk, theirs) in [
        ([5; 32], [5; 32]),
        ([6; 32], [5; 32]),
        ([6; 32], [6; 32]),
        ([0; 32], [6; 32]),
        ([0; 32], [0; 32]),
    ] {
        world.sim.gateways[A]
            .apply(vec![set(psk)])
            .expect("a sound change");
        world.echo(0);
        world.clients[0].preshared_key = theirs;
        world.initiate(0);
        world.sim.run_for(50 * MS);
        let session = world.poll(0).contains(&Received::Session);
        assert_eq!(session, psk == theirs);
        world.echo(0);
    }
}

// Catches a counter taken twice under one key (CVE-2024-26861), in a run in which everything is handed from shard to
// shard, peers move home, keys change, and the number of shards does too.
#[test]
fn no_counter_is_used_twice_under_one_key() {
    for seed in seeds(4) {
        let mut sim = pair(seed, 3);
        sim.network.capture = true;
        let mut traffic = Traffic::default();
        traffic.send(&mut sim, A);
        sim.run_for(100 * MS);
        for round in 0..60 {
            for gateway in &mut sim.gateways {
                gateway.host_steering = HostSteering::Turns;
                gateway.wan_steering =
                    [WanSteering::Slot, WanSteering::Wrong, WanSteering::Source][round % 3];
            }
            if round % 7 == 6 {
                let (now, shards) = (sim.now_ns, 1 + sim.random.next_u32() as usize % 4);
                sim.gateways[round % 2].set_shards(shards, now);
            }
            for _ in 0..60 {
                traffic.send(&mut sim, A);
                traffic.send(&mut sim, B);
            }
            sim.run_for(Duration::from_secs(7));
            traffic.collect(&mut sim);
        }
        assert_eq!(traffic.missing(), 0);
        let mut seen = HashSet::new();
        let mut keys = HashSet::new();
        for (_, datagram) in sim.network.captured.iter().filter(|(_, d)| d.bytes[0] == 4) {
            // A receiver index rests longer than any key lives, so within this run it stands for the key.
            let (index, counter) = (&datagram.bytes[4..8], &datagram.bytes[8..16]);
            keys.insert((datagram.to, index.to_vec()));
            assert!(
                seen.insert((datagram.to, index.to_vec(), counter.to_vec())),
                "a counter was used twice"
            );
        }
        assert!(
            seen.len() > 7000 && keys.len() >= 8,
            "{} messages, {} keys",
            seen.len(),
            keys.len()
        );
        sim.assert_frames_home();
    }
}

// Catches anything of a refused set of changes that stays: a configuration is applied whole or not at all (Fly.io).
#[test]
fn one_bad_change_refuses_the_whole_set() {
    let mut world = Clients::new(1, 2, 2);
    world.connect_all();
    let before = world.sim.gateways[A].applier.desired();
    let revision = world.sim.gateways[A].applier.revision();
    let good = PeerSpec::new(PublicKey::from_bytes([3; 32]), &["10.77.0.0/16", "10.1.0.0/32"]).change();
    let weak = Change::Peer(PeerChange::new(PublicKey::from_bytes([0; 32])));
    let gone = Change::RemovePeer(world.clients[0].public_key());
    let sets = [
        vec![good.clone(), weak.clone()],
        vec![
            gone,
            Change::RemoveAllPeers,
            Change::PrivateKey(None),
            weak.clone(),
        ],
        vec![Change::ListenPort(9), Change::Fwmark(9), weak],
    ];
    for set in sets {
        let refusal = world.sim.gateways[A].apply(set);
        assert!(matches!(refusal, Err(Refusal::WeakKey(_))), "{refusal:?}");
        assert_eq!(world.sim.gateways[A].applier.desired(), before);
        assert_eq!(world.sim.gateways[A].applier.revision(), revision);
        world.echo(0);
        world.echo(1);
    }
    // A bound is a refusal too, and names what was asked for.
    let prefix = |n: usize| {
        AllowedIpChange::Add(
            format!("fd00::{:x}:{:x}/128", n >> 16, n & 0xffff)
                .parse()
                .expect("a prefix"),
        )
    };
    let many = PeerChange {
        allowed_ips: (0..PREFIXES_MAX / 64).map(prefix).collect(),
        ..PeerChange::new(PublicKey::from_bytes([3; 32]))
    };
    assert!(
        world.sim.gateways[A].apply(vec![Change::Peer(many)]).is_ok(),
        "well below the bound"
    );
    assert!(world.sim.gateways[A].apply(vec![good]).is_ok());
    // The good set took 10.1.0.0 from the first client, and only that.
    world.echo(1);
}

// Catches a change to one peer that drops others (several web pages): added, changed, removed, taken prefixes, and the
// whole file declared anew.
#[test]
fn changing_one_peer_disturbs_no_other() {
    let mut world = Clients::new(1, 4, 30);
    world.connect_all();
    let stranger = PublicKey::from_bytes([3; 32]);
    let changes = [
        PeerSpec::new(stranger, &["10.200.0.0/16"]).change(),
        PeerSpec::new(stranger, &["10.201.0.0/16", "0.0.0.0/0"])
            .at(address("203.0.113.1:1"))
            .change(),
        spec(&world.clients[7], 7).change(),
        Change::RemovePeer(stranger),
        Change::ListenPort(1234),
        Change::Fwmark(7),
    ];
    for change in changes {
        world.sim.gateways[A].apply(vec![change]).expect("a sound change");
        for n in 0..30 {
            world.echo(n);
        }
    }
    // Every peer declared as it is, many generations at once, more than a shard's log tells apart.
    for _ in 0..100 {
        let all = (0..30).map(|n| spec(&world.clients[n], n).change()).collect();
        world.sim.gateways[A].apply(all).expect("a sound change");
    }
    for n in 0..30 {
        world.echo(n);
    }
}

// Catches a removed peer that still gets in or is still sent to, and one that comes back with its old session.
#[test]
fn a_removed_peer_is_gone_at_once() {
    let mut world = Clients::new(1, 2, 2);
    world.connect_all();
    let key = world.clients[0].public_key();
    world.sim.gateways[A]
        .apply(vec![Change::RemovePeer(key)])
        .expect("a sound change");
    world.send_data(0);
    let packet = world.packet_to(0);
    world.sim.gateways[A].host_send(&packet);
    world.initiate(0);
    world.sim.run_for(50 * MS);
    let answers = world.sim.gateways[A].host_received();
    assert!(
        matches!(answers.as_slice(), [answer] if is_error(answer)),
        "{answers:?}"
    );
    assert_eq!(world.poll(0), []);
    assert_eq!(world.sim.gateways[A].dropped(Drop::UnknownPeer), 1);
    let again = spec(&world.clients[0], 0).change();
    world.sim.gateways[A].apply(vec![again]).expect("a sound change");
    world.send_data(0);
    world.sim.run_for(50 * MS);
    assert!(world.sim.gateways[A].host_received().is_empty());
    world.connect(0);
    world.echo(0);
    world.echo(1);
}

// Catches sessions kept under another identity, and a gateway that needs a restart to change it.
#[test]
fn a_new_private_key_ends_every_session_and_the_next_handshake_uses_it() {
    let mut sim = pair(1, 2);
    let mut traffic = Traffic::default();
    traffic.send(&mut sim, A);
    sim.run_for(100 * MS);
    traffic.collect(&mut sim);
    assert_eq!(traffic.missing(), 0);
    let private = weir_abi::key::PrivateKey::from_bytes([99; 32]);
    let public = weir_noise::public_key(&private);
    let old = sim.gateways[A].public_key();
    sim.gateways[A]
        .apply(vec![Change::PrivateKey(Some(private))])
        .expect("a sound change");
    traffic.send(&mut sim, B);
    sim.run_for(100 * MS);
    traffic.collect(&mut sim);
    assert_eq!(
        traffic.missing(),
        1,
        "a session of the old key still carries packets"
    );
    let peer = PeerSpec {
        public_key: public,
        ..peer_spec(&sim.gateways[A], 1)
    };
    sim.gateways[B]
        .apply(vec![Change::RemovePeer(old), peer.change()])
        .expect("a sound change");
    traffic.send(&mut sim, A);
    sim.run_for(6000 * MS);
    traffic.collect(&mut sim);
    assert_eq!(
        traffic.missing(),
        1,
        "{:?} {:?}",
        sim.gateways[A].drops(),
        sim.gateways[B].drops()
    );
}

// Catches padding beyond the tunnel's MTU, packets cut or lost at sizes around it, and one too large let through. The
// peer pads nothing, which is no reason to refuse its packets.
#[test]
fn packets_of_every_size_up_to_the_mtu_pass_and_padding_stays_below_it() {
    for mtu in [1280, 1420, 1421, 9000, 65_455] {
        let setup = |key, address| Setup {
            mtu,
            ..Setup::new(key, address)
        };
        let mut sim = pair_of(1, [setup(1, "192.0.2.1:51820"), setup(2, "198.51.100.2:51820")]);
        sim.network.capture = true;
        let mtu = usize::from(mtu);
        let mut sent = Vec::new();
        for size in (28..64).chain(mtu - 33..=mtu) {
            let packet = packets::udp(address("10.0.1.7:1"), address("10.0.2.9:1"), &vec![1; size - 28]);
            assert_eq!(packet.len(), size);
            sim.gateways[A].host_send(&packet);
            sim.run_for(50 * MS);
            sent.push(packet);
        }
        assert_eq!(sim.gateways[B].host_received(), sent);
        let longest = sim.network.captured.iter().map(|(_, d)| d.bytes.len()).max();
        assert_eq!(longest, Some(mtu + 32));
        let padded = sim.network.captured.iter().filter(|(_, d)| d.bytes[0] == 4);
        assert!(
            padded
                .clone()
                .all(|(_, d)| d.bytes.len() % 16 == 0 || d.bytes.len() == mtu + 32)
        );
        if mtu < 65_000 {
            let packet = packets::udp(address("10.0.1.7:1"), address("10.0.2.9:1"), &vec![1; mtu - 27]);
            sim.gateways[A].host_send(&packet);
            sim.run_for(50 * MS);
            assert!(sim.gateways[B].host_received().is_empty());
            assert_eq!(sim.gateways[A].dropped(Drop::TooLarge), 1);
            let answers = sim.gateways[A].host_received();
            assert!(
                matches!(answers.as_slice(), [answer] if is_error(answer)),
                "{answers:?}"
            );
        }
        sim.assert_frames_home();
    }
    let mut world = Clients::new(1, 1, 1);
    world.clients[0].padding = false;
    world.connect(0);
    world.echo(0);
}

// Catches DSCP lost or leaked and congestion marks lost: the outer header gets the inner one's class, and a mark put on
// the outer one on the way reaches the inner.
#[test]
fn traffic_classes_and_congestion_marks_pass_through() {
    let mut sim = pair(1, 1);
    sim.network.capture = true;
    for (inner, outer) in [(0x00, 0x00), (0xb8, 0xb8), (0xb9, 0xb9), (0x02, 0x02)] {
        let packet = packets::packet(
            "10.0.1.7".parse().expect("an address"),
            "10.0.2.9".parse().expect("an address"),
            ip::UDP,
            inner,
            &packets::udp(address("10.0.1.7:1"), address("10.0.2.9:1"), &[inner])[20..],
        );
        sim.gateways[A].host_send(&packet);
        sim.run_for(50 * MS);
        let last = sim
            .network
            .captured
            .iter()
            .rfind(|(_, d)| d.bytes.len() > 32 && d.bytes[0] == 4);
        let sent = last.expect("a datagram").1.clone();
        assert_eq!(sent.class & 0x03, outer & 0x03, "congestion marks of {inner:#x}");
        assert_eq!(sim.gateways[B].host_received(), [packet]);
    }
}

// Catches transfer counters that miss or double bytes: on a clean network what one side counts as sent the other counts
// as received, with packets cut from a super-packet as with single ones.
#[test]
fn both_sides_count_the_same_bytes() {
    let mut sim = pair(1, 2);
    let mut traffic = Traffic::default();
    for _ in 0..50 {
        traffic.send(&mut sim, A);
        sim.run_for(100 * MS);
        traffic.send(&mut sim, B);
    }
    for payload in [1, 1000, 1001, 2500, 30_500] {
        let (from, to) = (address("10.0.1.7:1"), address("10.0.2.9:1"));
        let bytes = packets::tcp(from, to, 1, tcp::ACK, &vec![7; payload]);
        let segmentation = Segmentation::Super {
            transport: Transport::TcpV4,
            size: 1000,
        };
        let meta = Meta {
            segmentation,
            ..Meta::default()
        };
        sim.gateways[A].host_send_with(&bytes, meta);
        sim.run_for(100 * MS);
        let segments = sim.gateways[B].host_received();
        let tcp_packets = segments.iter().filter(|packet| packet[9] == ip::TCP);
        assert_eq!(tcp_packets.clone().count(), payload.div_ceil(1000));
        assert!(tcp_packets.clone().all(|packet| packets::checksums_valid(packet)));
    }
    let now = sim.now_ns;
    let [a, b] = [A, B].map(|place| {
        let other = sim.gateways[1 - place].public_key();
        sim.gateways[place].peer(now, &other).expect("at home")
    });
    assert!(a.tx_bytes > 40_000);
    assert_eq!((a.tx_bytes, a.rx_bytes), (b.rx_bytes, b.tx_bytes));
}
