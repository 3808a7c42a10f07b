//! The packet path allocates nothing, and peers cost what they are meant to cost.

mod common;

use common::clients::Clients;
use common::{A, B, pair_of};
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;
use weir_abi::change::Change;
use weir_abi::drops::Drop;
use weir_abi::rule::{Action, Protocol, Rule, Target};
use weir_frame::{Meta, PoolSize, Segmentation, Transport};
use weir_testkit::allocator::{Counting, live_bytes};
use weir_testkit::{Gateway, HostSteering, Setup, Simulation, WanSteering, memory, packets};
use weir_wire::tcp;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const PACKETS: usize = 1_000_000;
const BURST: usize = 32;

/// An established pair whose packets are all handed from shard to shard where there are two.
fn warm_pair(shards: usize) -> Simulation {
    let setup = |key, address| Setup {
        pool: PoolSize {
            small: 1024,
            large: 16,
            ..PoolSize::default()
        },
        ..Setup::new(key, address).shards(shards)
    };
    let setups = [setup(1, "192.0.2.1:51820"), setup(2, "198.51.100.2:51820")];
    let mut sim = pair_of(1, setups);
    let (there, back) = (packet(A, 100), packet(B, 100));
    sim.gateways[A].host_send(&there);
    sim.run_for(Duration::from_millis(100));
    sim.gateways[B].host_send(&back);
    sim.run_for(Duration::from_millis(100));
    for gateway in &mut sim.gateways {
        assert_eq!(gateway.host_received().len(), 1);
    }
    if shards > 1 {
        for place in [A, B] {
            let other = sim.gateways[1 - place].public_key();
            let now = sim.now_ns;
            let home = sim.gateways[place].home(now, &other).expect("a home");
            sim.gateways[place].wan_steering = WanSteering::Wrong;
            sim.gateways[place].host_steering = HostSteering::All(1 - home);
        }
    }
    sim
}

fn packet(from: usize, payload: usize) -> Vec<u8> {
    let ends: [SocketAddr; 2] =
        ["10.0.1.7:1000", "10.0.2.9:2000"].map(|text| text.parse().expect("an address"));
    packets::udp(ends[from], ends[1 - from], &vec![7; payload])
}

fn super_packet(from: usize) -> (Vec<u8>, Meta) {
    let ends: [SocketAddr; 2] =
        ["10.0.1.7:1000", "10.0.2.9:2000"].map(|text| text.parse().expect("an address"));
    let bytes = packets::tcp(ends[from], ends[1 - from], 1, tcp::ACK, &[7; BURST * 1000]);
    let segmentation = Segmentation::Super {
        transport: Transport::TcpV4,
        size: 1000,
    };
    let meta = Meta {
        segmentation,
        ..Meta::default()
    };
    (bytes, meta)
}

/// Carries one burst from the host of `from` to the host of the other, joined as offloads join it or not, and says how
/// many packets arrived.
fn carry(sim: &mut Simulation, from: usize, burst: &Burst) -> usize {
    let now = sim.now_ns;
    let (near, far) = sim.gateways.split_at_mut(1);
    let (near, far) = (&mut near[0], &mut far[0]);
    let (near, far) = if from == A { (near, far) } else { (far, near) };
    match burst {
        Burst::Single(packet) => (0..BURST).for_each(|_| near.host_send(packet)),
        Burst::Super(bytes, meta) => near.host_send_with(bytes, *meta),
    }
    rest(near, now);
    let (source, to) = (near.address(), far.address());
    let mut joined = Vec::new();
    near.wan_drain(|parcel| match burst {
        Burst::Single(_) => far.deliver(source, to, 0, &parcel.bytes),
        Burst::Super(..) => joined.extend_from_slice(&parcel.bytes),
    });
    if !joined.is_empty() {
        let size = (joined.len() / BURST) as u16;
        far.deliver_segmented(source, to, 0, &joined, Segmentation::Datagrams { size });
    }
    rest(far, now);
    let mut arrived = 0;
    far.host_drain(|_| arrived += 1);
    arrived
}

enum Burst {
    Single(Vec<u8>),
    Super(Vec<u8>, Meta),
}

fn rest(gateway: &mut Gateway, now: u64) {
    while gateway.round(now) {}
}

fn carries_a_million_without_allocating(shards: usize, offloads: bool) {
    carries_a_million(warm_pair(shards), shards, offloads);
}

fn carries_a_million(mut sim: Simulation, shards: usize, offloads: bool) {
    let bursts = [A, B].map(|from| {
        if offloads {
            let (bytes, meta) = super_packet(from);
            Burst::Super(bytes, meta)
        } else {
            Burst::Single(packet(from, 100))
        }
    });
    for measured in [false, true] {
        for gateway in &mut sim.gateways {
            gateway.allocations = 0;
        }
        let rounds = if measured { PACKETS / BURST } else { 200 };
        for _ in 0..rounds {
            for from in [A, B] {
                let arrived = carry(&mut sim, from, &bursts[from]);
                assert_eq!(
                    arrived,
                    BURST,
                    "{:?} {:?}",
                    sim.gateways[A].drops(),
                    sim.gateways[B].drops()
                );
            }
            // 94 s in all: the timers turn, and no handshake comes in between.
            sim.now_ns += 3_000_000;
        }
    }
    let made: u64 = sim.gateways.iter().map(|gateway| gateway.allocations).sum();
    assert_eq!(made, 0, "allocations in {PACKETS} packets each way");
    let handed_over: u64 = sim.gateways[A].counters().map(|c| c.handed_over).sum();
    assert_eq!(handed_over > 0, shards > 1);
    sim.assert_frames_home();
}

// Each catches an allocation on the packet path, also one in ten thousand packets.
#[test]
fn one_shard_and_single_packets() {
    carries_a_million_without_allocating(1, false);
}

#[test]
fn one_shard_and_offloads() {
    carries_a_million_without_allocating(1, true);
}

#[test]
fn two_shards_all_handed_over_and_single_packets() {
    carries_a_million_without_allocating(2, false);
}

#[test]
fn two_shards_all_handed_over_and_offloads() {
    carries_a_million_without_allocating(2, true);
}

/// B walks thirty rules before one accepts or denies, and tells of denials; A gets these.
fn set_rules(sim: &mut Simulation, of_a: Vec<Rule>) {
    let port = |port: u16| Rule {
        protocol: Some(Protocol::UDP),
        ports: vec![port.into()],
        log: true,
        ..Rule::new(Action::Deny)
    };
    let last = Rule {
        to: vec![Target::Prefix("10.0.2.0/24".parse().expect("a prefix"))],
        ..Rule::new(Action::Accept)
    };
    let mut rules: Vec<Rule> = (1..30).map(port).collect();
    rules.extend([last, Rule::new(Action::Deny)]);
    for (place, rules) in [(A, of_a), (B, rules)] {
        let changes = vec![Change::ReplaceRules(rules)];
        sim.gateways[place].apply(changes).expect("sound rules");
    }
    sim.run_for(Duration::from_millis(10));
}

// Catches an allocation where rules are judged, and answers are remembered and looked up.
#[test]
fn one_shard_and_single_packets_under_rules() {
    let mut sim = warm_pair(1);
    // A takes in nothing but answers.
    set_rules(&mut sim, vec![Rule::new(Action::Deny)]);
    carries_a_million(sim, 1, false);
}

// Catches an allocation where packets are denied and some of them told.
#[test]
fn a_million_denied_packets_allocate_nothing() {
    let mut sim = warm_pair(1);
    set_rules(&mut sim, Vec::new());
    let [from, to] = ["10.0.1.7:1000", "10.0.2.9:1"].map(|text| text.parse().expect("an address"));
    let denied = Burst::Single(packets::udp(from, to, &[7; 100]));
    let other_way = Burst::Single(packet(B, 100));
    for measured in [false, true] {
        sim.gateways[B].allocations = 0;
        let rounds = if measured { PACKETS / BURST } else { 200 };
        for _ in 0..rounds {
            assert_eq!(carry(&mut sim, A, &denied), 0);
            assert_eq!(carry(&mut sim, B, &other_way), BURST);
            sim.now_ns += 3_000_000;
        }
    }
    assert_eq!(
        sim.gateways[B].allocations, 0,
        "allocations in {PACKETS} denied packets"
    );
    assert!(sim.gateways[B].dropped(Drop::RuleDenied) >= PACKETS as u64);
    sim.assert_frames_home();
}

// Catches peers or sessions that grow.
#[test]
fn peers_cost_what_they_may() {
    let idle = memory::registered(20_000);
    let live = memory::live(2_000);
    println!(
        "registered: {:.0} bytes, live session: {:.0} bytes more",
        idle.per_peer(),
        live.per_peer()
    );
    assert!(idle.per_peer() <= 1536.0, "{idle:?}");
    assert!(live.per_peer() <= 6144.0, "{live:?}");
}

// Catches a table that costs more the more peers there are.
#[test]
fn a_million_registered_peers_fit() {
    let idle = memory::registered(1_000_000);
    println!(
        "a million registered: {} MB in {:.1} s",
        idle.bytes / 1_000_000,
        idle.seconds
    );
    assert!(idle.bytes < 1_500_000_000, "{idle:?}");
}

// Catches half-open peers that leak: what a million initiations from nobody leave behind must be nothing.
#[test]
fn a_million_unauthenticated_initiations_leave_nothing() {
    let mut sim = warm_pair(1);
    let gateway = &mut sim.gateways[A];
    let (key, to) = (gateway.public_key(), gateway.address());
    let flood = |gateway: &mut Gateway, count: u64, start: u64| {
        for serial in start..start + count {
            let now = 1_000_000_000 + serial * 100_000;
            let from = SocketAddr::new(std::net::Ipv4Addr::from_bits(serial as u32).into(), 9);
            gateway.deliver(from, to, 0, &packets::forged_initiation(&key, serial));
            while gateway.round(now) {}
            gateway.wan_drain(|_| {});
        }
        // What is told of the load is kept by the laboratory, not by the shard.
        gateway.events = VecDeque::new();
    };
    flood(gateway, 20_000, 0);
    let before = live_bytes();
    flood(gateway, 980_000, 20_000);
    let left = live_bytes() - before;
    assert!(left < 4096, "{left} bytes are left: {:?}", gateway.drops());
    assert!(gateway.dropped(Drop::CookieDemanded) + gateway.dropped(Drop::UnderLoad) > 900_000);
    let now = sim.now_ns + 200_000_000_000;
    assert_eq!(sim.gateways[A].peers(now).len(), 1);
}

// Catches an index that leaks when a peer's home refuses what arrived at another shard: an initiation sent again and
// again, to every shard.
#[test]
fn replayed_initiations_leave_nothing() {
    let mut world = Clients::new(1, 4, 1);
    let at = world.sim.instant();
    let initiation = world.clients[0].initiation(at);
    world.send(0, &initiation);
    world.sim.run_for(Duration::from_millis(50));
    let gateway = &mut world.sim.gateways[A];
    let to = gateway.address();
    let replay = |gateway: &mut Gateway, count: u64, start: u64| {
        for serial in start..start + count {
            // Slowly, so that nobody asks for a cookie.
            let now = 1_000_000_000 + serial * 2_500_000;
            let from = SocketAddr::new(std::net::Ipv4Addr::from_bits(serial as u32).into(), 9);
            gateway.deliver(from, to, 0, &initiation);
            while gateway.round(now) {}
            gateway.wan_drain(|_| {});
        }
        // What is told of refusals is kept by the laboratory, not by the shard.
        gateway.events = VecDeque::new();
    };
    replay(gateway, 1_000, 0);
    let before = live_bytes();
    replay(gateway, 5_000, 1_000);
    let left = live_bytes() - before;
    assert!(left < 4096, "{left} bytes are left: {:?}", gateway.drops());
    assert!(gateway.dropped(Drop::OldTimestamp) >= 6_000);
}

// Catches sessions, endpoints or homes that stay of a client that shakes hands again and again, each time from elsewhere.
#[test]
fn a_client_that_comes_back_from_elsewhere_leaves_nothing() {
    let mut world = Clients::new(1, 2, 4);
    let come_back = |world: &mut Clients, count: u16, start: u16| {
        for round in start..start + count {
            for n in 0..4 {
                // The network remembers each address that was ever bound.
                world.roam(n, round % 8);
                world.connect(n);
                world.echo(n);
            }
            world.sim.run_for(Duration::from_secs(10));
            for gateway in &mut world.sim.gateways {
                gateway.events = VecDeque::new();
            }
        }
    };
    // Until every queue and table, those of the simulation too, is as large as it gets.
    come_back(&mut world, 2_000, 0);
    let before = live_bytes();
    come_back(&mut world, 500, 2_000);
    let left = live_bytes() - before;
    assert!(left < 4096, "{left} bytes are left");
}
