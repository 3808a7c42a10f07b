//! Which socket the kernel gives a datagram to, with real sockets in a network namespace of the test's own.

mod namespace;

use namespace::in_namespace;
use std::collections::BTreeSet;
use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};
use weir_frame::{Frame, FramePool, Home, Path, PoolSize, Port, Segmentation};
use weir_sockets::steer::SLOTS;
use weir_sockets::{BindError, SlotTable, Steering, SteeringChoice, UdpGroup, UdpOptions, UdpPort};

const BPF: [SteeringChoice; 2] = [SteeringChoice::Ebpf, SteeringChoice::ClassicBpf];
/// Datagrams in one round: as many as any socket's buffer holds.
const ROUND: usize = 128;

fn pool(shard: u16) -> FramePool {
    let size = PoolSize {
        small: 256,
        large: 40,
        ..PoolSize::default()
    };
    FramePool::new(Home { shard, port: 0 }, size)
}

fn bind(steering: SteeringChoice, shards: u16, table: &SlotTable) -> (UdpGroup, Vec<UdpPort>) {
    let options = UdpOptions {
        steering,
        ..UdpOptions::default()
    };
    UdpGroup::bind(&options, (0..shards).map(pool).collect(), table).expect("a UDP port")
}

/// A message of each type that carries a receiver index, with one in `slot`.
fn messages(slot: u16) -> Vec<Vec<u8>> {
    // The low bits must not matter.
    let index = u32::from(slot) << 22 | u32::from(slot).wrapping_mul(2_654_435_761) >> 10;
    [(4, 32, 4), (4, 1452, 4), (3, 64, 4), (2, 92, 8)]
        .into_iter()
        .map(|(kind, len, at)| {
            let mut message = vec![0xa5; len];
            message[..4].copy_from_slice(&[kind, 0, 0, 0]);
            message[at..at + 4].copy_from_slice(&index.to_le_bytes());
            message
        })
        .collect()
}

fn slot_in(message: &[u8]) -> u16 {
    let at = if message[0] == 2 { 8 } else { 4 };
    SlotTable::slot_of(u32::from_le_bytes(
        message[at..at + 4].try_into().expect("four bytes"),
    ))
}

/// Takes `count` messages from all ports and says which shard got each.
fn arrivals(ports: &mut [UdpPort], count: usize) -> Vec<(u16, Vec<u8>)> {
    let mut arrived = Vec::new();
    let deadline = Instant::now() + Duration::from_secs(5);
    while arrived.len() < count && Instant::now() < deadline {
        for port in ports.iter_mut() {
            let mut frames: Vec<Frame> = Vec::with_capacity(ROUND);
            port.receive(&mut frames, ROUND);
            for frame in frames {
                let size = match frame.meta().segmentation {
                    Segmentation::Datagrams { size } => usize::from(size),
                    Segmentation::None | Segmentation::Super { .. } => frame.len(),
                };
                let shard = port.home().shard;
                if frame.is_empty() {
                    arrived.push((shard, vec![]));
                }
                arrived.extend(
                    frame
                        .bytes()
                        .chunks(size.max(1))
                        .map(|message| (shard, message.to_vec())),
                );
                port.give_back(frame);
            }
        }
    }
    assert_eq!(arrived.len(), count, "messages were lost");
    arrived
}

fn targets(port: u16) -> [SocketAddr; 2] {
    ["127.0.0.1", "::1"].map(|ip| SocketAddr::new(ip.parse().expect("an address"), port))
}

fn socket_towards(target: SocketAddr) -> UdpSocket {
    UdpSocket::bind(SocketAddr::new(target.ip(), 0)).expect("a socket")
}

/// Sends a message of each type for each slot and checks that its shard gets it, over IPv4 and IPv6.
fn check(group: &UdpGroup, ports: &mut [UdpPort], table: &SlotTable) {
    for target in targets(group.port()) {
        let socket = socket_towards(target);
        let all: Vec<_> = (0..SLOTS as u16).flat_map(messages).collect();
        for round in all.chunks(ROUND) {
            for message in round {
                socket.send_to(message, target).expect("sent");
            }
            for (shard, message) in arrivals(ports, round.len()) {
                let slot = slot_in(&message);
                assert_eq!(
                    shard,
                    table.shard(slot),
                    "slot {slot}, type {}, {target}",
                    message[0]
                );
            }
        }
    }
}

fn initiation() -> Vec<u8> {
    let mut message = vec![0; 148];
    message[0] = 1;
    message
}

/// Sends what carries no receiver index from many sources; says which shards got any.
fn spread(group: &UdpGroup, ports: &mut [UdpPort]) -> BTreeSet<u16> {
    let mut shards = BTreeSet::new();
    for target in targets(group.port()) {
        for _ in 0..64 {
            let socket = socket_towards(target);
            for message in [
                initiation(),
                initiation(),
                vec![4, 0, 0, 0, 9],
                vec![4, 1, 0, 0, 0, 0, 0, 0],
                vec![],
            ] {
                socket.send_to(&message, target).expect("sent");
            }
            let arrived = arrivals(ports, 5);
            let first = arrived[0].0;
            assert!(
                arrived.iter().all(|(shard, _)| *shard == first),
                "one source, several shards"
            );
            shards.insert(first);
        }
    }
    shards
}

fn scattered(shards: u16) -> SlotTable {
    let mut state = 7u32;
    SlotTable::from_fn(|_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 16) as u16 % shards
    })
}

// Catches an index read from the wrong place for its type, a slot from the wrong bits, a family that is not steered,
// and a table that is not followed once the sockets are open.
#[test]
fn receiver_indices_find_their_shard_by_any_table() {
    in_namespace(|| {
        for steering in BPF {
            let table = SlotTable::interleaved(4);
            let (mut group, mut ports) = bind(steering, 4, &table);
            check(&group, &mut ports, &table);
            for table in [
                SlotTable::from_fn(|slot| slot / 256),
                scattered(4),
                SlotTable::interleaved(1),
            ] {
                group.set_slots(&table).expect("a table");
                check(&group, &mut ports, &table);
            }
        }
    });
}

// Catches handshakes that all land on one shard, one source torn between several, and runts taken for data.
#[test]
fn everything_else_is_spread_by_its_source() {
    in_namespace(|| {
        for steering in [
            SteeringChoice::Ebpf,
            SteeringChoice::ClassicBpf,
            SteeringChoice::UserSpace,
        ] {
            let (group, mut ports) = bind(steering, 4, &SlotTable::interleaved(4));
            assert_eq!(
                spread(&group, &mut ports),
                BTreeSet::from([0, 1, 2, 3]),
                "{steering:?}"
            );
        }
    });
}

// Catches sockets mistaken for each other once one has come or gone, which moves others inside the kernel's group, and
// slots of a shard that is not there lost instead of spread.
#[test]
fn shards_come_and_go() {
    in_namespace(|| {
        for steering in BPF {
            let (mut group, mut ports) = bind(steering, 2, &SlotTable::interleaved(2));
            for shard in 2..5 {
                ports.push(group.add(pool(shard)).expect("another shard"));
            }
            assert!(matches!(
                group.add(pool(4)),
                Err(BindError::Shard { shard: 4, .. })
            ));
            let table = scattered(5);
            group.set_slots(&table).expect("a table");
            check(&group, &mut ports, &table);

            // The first goes, and the last takes its place in the kernel.
            let left = SlotTable::from_fn(|slot| 1 + slot % 4);
            group.set_slots(&left).expect("a table");
            group.remove(0).expect("a shard less");
            assert!(matches!(group.remove(0), Err(BindError::Shard { shard: 0, .. })));
            check(&group, &mut ports, &left);
            assert_eq!(ports[0].counters().rx_errors, 0);
            let mut frame = ports[0].fresh(1).expect("a frame");
            frame.set_len(1);
            frame.meta_mut().path = Some(Path::to(targets(group.port())[0]));
            ports[0].transmit(&mut vec![frame]);
            assert_eq!(ports[0].counters().tx_errors, 1);

            // It comes again, to a port of the same home.
            let pool = Box::new(ports.remove(0)).into_pool();
            ports.push(group.add(pool).expect("the shard again"));
            let table = scattered(5);
            group.set_slots(&table).expect("a table");
            check(&group, &mut ports, &table);

            // Slots of shards that are not there are nobody's, and arrive somewhere.
            group
                .set_slots(&SlotTable::from_fn(|slot| 100 + slot % 7))
                .expect("a table");
            let target = targets(group.port())[0];
            let socket = socket_towards(target);
            for slot in 0..32 {
                socket.send_to(&messages(slot)[0], target).expect("sent");
            }
            arrivals(&mut ports, 32);
        }
    });
}

// Catches a changed UDP port whose new sockets are not steered, or steered to the old ones.
#[test]
fn a_changed_port_is_steered_too() {
    in_namespace(|| {
        for steering in BPF {
            let table = scattered(3);
            let (mut group, mut ports) = bind(steering, 3, &table);
            group.rebind(0).expect("another port");
            check(&group, &mut ports, &table);
            let table = SlotTable::interleaved(3);
            group.set_slots(&table).expect("a table");
            group.remove(1).expect("a shard less");
            let table = SlotTable::from_fn(|slot| 2 * (slot % 2));
            group.set_slots(&table).expect("a table");
            ports.remove(1);
            check(&group, &mut ports, &table);
        }
    });
}

// Catches datagrams lost while tables and shards change under them: they may go to the wrong shard, never nowhere.
#[test]
fn nothing_is_lost_while_tables_change() {
    in_namespace(|| {
        for steering in BPF {
            let (mut group, mut ports) = bind(steering, 4, &SlotTable::interleaved(4));
            let target = targets(group.port())[0];
            let socket = socket_towards(target);
            for turn in 0..200u16 {
                let slot = turn * 5 % 1024;
                for message in messages(slot) {
                    socket.send_to(&message, target).expect("sent");
                }
                group
                    .set_slots(&SlotTable::from_fn(|slot| (slot + turn) % 4))
                    .expect("a table");
                arrivals(&mut ports, 4);
            }
        }
    });
}

// Catches a worse way taken in silence, and a reason that does not say what is missing.
#[test]
fn the_best_way_is_taken_and_reported() {
    in_namespace(|| {
        let table = SlotTable::interleaved(2);
        let (group, _ports) = bind(SteeringChoice::Auto, 2, &table);
        assert_eq!(
            (group.steering().in_force, group.steering().refused),
            (Steering::Ebpf, vec![])
        );

        let (group, _ports) = bind(SteeringChoice::UserSpace, 2, &table);
        assert_eq!(group.steering().in_force, Steering::UserSpace);

        namespace::drop_capabilities();
        let (group, mut ports) = bind(SteeringChoice::Auto, 2, &table);
        let report = group.steering();
        assert_eq!(report.in_force, Steering::ClassicBpf);
        assert_eq!(report.refused.len(), 1);
        let refused = report.refused[0].to_string();
        assert!(
            refused.contains("ebpf") && refused.contains("CAP_BPF"),
            "{refused}"
        );
        check(&group, &mut ports, &table);

        let options = UdpOptions {
            steering: SteeringChoice::Ebpf,
            ..UdpOptions::default()
        };
        let error = UdpGroup::bind(&options, vec![pool(0)], &table)
            .err()
            .expect("an error")
            .to_string();
        assert!(error.contains("ebpf") && error.contains("CAP_BPF"), "{error}");
        let options = UdpOptions {
            fwmark: 0xca6c,
            ..UdpOptions::default()
        };
        let error = UdpGroup::bind(&options, vec![pool(0)], &table)
            .err()
            .expect("an error")
            .to_string();
        assert!(
            error.contains("0xca6c") && error.contains("CAP_NET_ADMIN"),
            "{error}"
        );
    });
}

// Catches numbers of shards that the steering cannot tell apart.
#[test]
fn a_group_has_shards() {
    in_namespace(|| {
        let bound = UdpGroup::bind(&UdpOptions::default(), vec![], &SlotTable::interleaved(1));
        assert!(matches!(bound.err(), Some(BindError::Shards { shards: 0, .. })));
    });
}

// Catches a gateway that does not start, or says nothing, where the kernel takes no program at all.
#[test]
fn without_any_bpf_the_engine_hands_over() {
    in_namespace(|| {
        // Since Linux 6.8 the limit is the namespace's own; below a program's size, none can be attached.
        std::fs::write("/proc/sys/net/core/optmem_max", "64").expect("a limit");
        namespace::drop_capabilities();
        let (group, mut ports) = bind(SteeringChoice::Auto, 2, &SlotTable::interleaved(2));
        let report = group.steering();
        assert_eq!(report.in_force, Steering::UserSpace);
        let refused: Vec<_> = report.refused.iter().map(|refused| refused.way).collect();
        assert_eq!(refused, [Steering::Ebpf, Steering::ClassicBpf]);
        assert!(
            report.refused[1].to_string().contains("optmem_max"),
            "{}",
            report.refused[1]
        );
        spread(&group, &mut ports);
    });
}

// Catches a table that grows beyond what the kernel takes while running, and is left half in force.
#[test]
fn a_table_that_is_refused_gives_way_to_user_space() {
    in_namespace(|| {
        std::fs::write("/proc/sys/net/core/optmem_max", "4096").expect("a limit");
        namespace::drop_capabilities();
        let (mut group, mut ports) = bind(SteeringChoice::Auto, 2, &SlotTable::interleaved(2));
        assert_eq!(group.steering().in_force, Steering::ClassicBpf);
        let (mut named, _ports) = bind(SteeringChoice::ClassicBpf, 2, &SlotTable::interleaved(2));
        assert!(matches!(
            named.set_slots(&scattered(2)),
            Err(BindError::Steering { .. })
        ));
        group.set_slots(&scattered(2)).expect("a table");
        assert_eq!(group.steering().in_force, Steering::UserSpace);
        // No program is left: one source's data stays together, whatever its indices.
        let target = targets(group.port())[0];
        let socket = socket_towards(target);
        for slot in 0..32 {
            socket.send_to(&messages(slot)[0], target).expect("sent");
        }
        let shards: BTreeSet<u16> = arrivals(&mut ports, 32)
            .into_iter()
            .map(|(shard, _)| shard)
            .collect();
        assert_eq!(shards.len(), 1);
    });
}
