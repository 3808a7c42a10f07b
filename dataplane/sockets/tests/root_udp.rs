//! UDP ports over real sockets, in a network namespace of the test's own.

mod namespace;

use namespace::in_namespace;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::os::fd::RawFd;
use std::time::{Duration, Instant};
use weir_frame::{Frame, FramePool, Home, LocalAddress, Path, PoolSize, Port, PortMode, Segmentation};
use weir_sockets::{BindError, OffloadChoice, SlotTable, UdpGroup, UdpOptions, UdpPort};

fn pool(shard: u16) -> FramePool {
    FramePool::new(Home { shard, port: 0 }, PoolSize::default())
}

fn group(options: &UdpOptions) -> (UdpGroup, UdpPort) {
    let (group, mut ports) =
        UdpGroup::bind(options, vec![pool(0)], &SlotTable::interleaved(1)).expect("a UDP port");
    (group, ports.remove(0))
}

fn descriptors(port: &UdpPort) -> Vec<RawFd> {
    let mut found = Vec::new();
    port.descriptors(&mut found);
    found
}

/// Receives until `count` frames came or two seconds passed.
fn receive(port: &mut UdpPort, count: usize) -> Vec<Frame> {
    let mut frames = Vec::with_capacity(256);
    let deadline = Instant::now() + Duration::from_secs(2);
    while frames.len() < count && Instant::now() < deadline {
        if port.receive(&mut frames, 64) == 0 {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
    frames
}

/// The datagrams in `frames`, which go home.
fn datagrams(port: &mut UdpPort, frames: Vec<Frame>) -> Vec<Vec<u8>> {
    let mut datagrams = Vec::new();
    for frame in frames {
        match frame.meta().segmentation {
            Segmentation::Datagrams { size } => {
                datagrams.extend(frame.bytes().chunks(usize::from(size)).map(<[u8]>::to_vec));
            }
            Segmentation::None => datagrams.push(frame.bytes().to_vec()),
            Segmentation::Super { .. } => panic!("a UDP port handed up an IP packet"),
        }
        port.give_back(frame);
    }
    datagrams
}

fn send(port: &mut UdpPort, path: Path, class: u8, payloads: &[Vec<u8>]) {
    let mut frames = Vec::new();
    for payload in payloads {
        let mut frame = port.fresh(payload.len()).expect("a frame");
        assert!(frame.write(payload));
        frame.meta_mut().path = Some(path);
        frame.meta_mut().traffic_class = class;
        frames.push(frame);
    }
    port.transmit(&mut frames);
    assert!(frames.is_empty());
}

fn loopback(v6: bool, port: u16) -> SocketAddr {
    let ip = if v6 { "::1" } else { "127.0.0.1" };
    SocketAddr::new(ip.parse().expect("an address"), port)
}

fn payload(len: usize, seed: u8) -> Vec<u8> {
    (0..len)
        .map(|i| (i as u8).wrapping_mul(31).wrapping_add(seed))
        .collect()
}

/// Sends from `from` to `to` until all have arrived, as many at a time as a socket's buffer holds.
fn check_all(from: &mut UdpPort, to: &mut UdpPort, path: Path, payloads: &[Vec<u8>]) {
    send(from, path, 0, payloads);
    let mut arrived = Vec::new();
    let deadline = Instant::now() + Duration::from_secs(5);
    while arrived.len() < payloads.len() && Instant::now() < deadline {
        let frames = receive(to, 1);
        arrived.extend(datagrams(to, frames));
    }
    assert!(
        arrived == payloads,
        "{} of {} arrived as sent",
        arrived.len(),
        payloads.len()
    );
}

// Catches an answer that leaves from another address than was spoken to, a class lost on the way in or out, and
// mapped addresses.
#[test]
fn the_spoken_address_and_the_class_are_kept() {
    in_namespace(|| {
        let (a_group, mut a) = group(&UdpOptions::default());
        let (b_group, mut b) = group(&UdpOptions::default());
        for v6 in [false, true] {
            let mut to = loopback(v6, b_group.port());
            if !v6 {
                to.set_ip(Ipv4Addr::new(127, 0, 0, 53).into());
            }
            send(&mut a, Path::to(to), 0xb9, &[payload(100, 1)]);
            let frames = receive(&mut b, 1);
            let meta = *frames[0].meta();
            assert_eq!(datagrams(&mut b, frames), [payload(100, 1)]);
            let path = meta.path.expect("a path");
            assert_eq!(path.remote, loopback(v6, a_group.port()));
            let local = LocalAddress {
                ip: to.ip(),
                interface: 0,
            };
            assert_eq!((path.local, meta.traffic_class), (Some(local), 0xb9));

            send(&mut b, path, 0x02, &[payload(50, 2)]);
            let frames = receive(&mut a, 1);
            let meta = *frames[0].meta();
            assert_eq!(datagrams(&mut a, frames), [payload(50, 2)]);
            assert_eq!(meta.path.map(|path| path.remote), Some(to));
            assert_eq!(meta.traffic_class, 0x02);
        }
        assert_eq!(b.counters().rx_frames, 2);
        assert_eq!(b.counters().tx_packets, 2);
    });
}

// Catches datagrams joined, cut, ordered or counted wrongly, in each pairing of offloads and none.
#[test]
fn datagrams_of_all_lengths_arrive_in_order() {
    in_namespace(|| {
        for (from, to) in [
            (OffloadChoice::Offload, OffloadChoice::Offload),
            (OffloadChoice::Offload, OffloadChoice::Plain),
            (OffloadChoice::Plain, OffloadChoice::Offload),
            (OffloadChoice::Plain, OffloadChoice::Plain),
        ] {
            let options = |offload| UdpOptions {
                offload,
                ..UdpOptions::default()
            };
            let (_a_group, mut a) = group(&options(from));
            let (b_group, mut b) = group(&options(to));
            let mode = if to == OffloadChoice::Plain {
                PortMode::Plain
            } else {
                PortMode::Offload
            };
            assert_eq!(b.mode(), mode);
            for v6 in [false, true] {
                let path = Path::to(loopback(v6, b_group.port()));
                let equal: Vec<_> = (0..64).map(|i| payload(1400, i)).collect();
                check_all(&mut a, &mut b, path, &equal);
                let mixed: Vec<_> = (0..64)
                    .map(|i| payload(1 + (i as usize * 37) % 1500, i))
                    .collect();
                check_all(&mut a, &mut b, path, &mixed);
                let tail: Vec<_> = (0..10)
                    .map(|i| payload(if i == 9 { 1 } else { 1200 }, i))
                    .collect();
                check_all(&mut a, &mut b, path, &tail);
                check_all(&mut a, &mut b, path, &[vec![]]);
            }
            assert_eq!(a.counters().tx_packets, 2 * (64 + 64 + 10 + 1));
            assert_eq!(
                a.counters().tx_errors + a.counters().tx_full + b.counters().rx_too_long,
                0
            );
            let joined = from == OffloadChoice::Offload && to == OffloadChoice::Offload;
            if joined {
                // 64 equal datagrams in two messages and ten in one, of each family; the rest may come alone.
                let frames = b.counters().rx_frames;
                assert!(
                    frames <= 2 * (2 + 64 + 1 + 1),
                    "{frames} frames: nothing came joined"
                );
            }
        }
    });
}

// Catches a receive path that stops at a datagram longer than its buffers (gotatun did), and one dropped uncounted.
#[test]
fn any_length_costs_at_most_one_counted_drop() {
    in_namespace(|| {
        for (large, expected_drops) in [(64, 0), (0, 2)] {
            let size = PoolSize {
                large,
                ..PoolSize::default()
            };
            let pool = FramePool::new(Home { shard: 0, port: 0 }, size);
            let (b_group, mut ports) =
                UdpGroup::bind(&UdpOptions::default(), vec![pool], &SlotTable::interleaved(1))
                    .expect("a port");
            let mut b = ports.remove(0);
            let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
            let to = loopback(false, b_group.port());
            for len in [65_507, 100, 20_000, 0, 1900] {
                socket.send_to(&payload(len, 7), to).expect("sent");
            }
            let whole: &[usize] = if large > 0 {
                &[65_507, 100, 20_000, 0, 1900]
            } else {
                &[100, 0, 1900]
            };
            let frames = receive(&mut b, whole.len());
            let lens: Vec<usize> = frames.iter().map(Frame::len).collect();
            assert_eq!(lens, whole);
            assert_eq!(datagrams(&mut b, frames)[0], payload(whole[0], 7));
            assert_eq!(b.counters().rx_too_long, expected_drops);
            assert_eq!(b.abroad(), 0, "what lies posted is at home");
            let frames = b.frames();
            assert_eq!(Box::new(b).into_pool().free(), (frames - large, large));
        }
    });
}

// Catches a port that goes deaf while its large frames are abroad, or hands up the beginning of a joined datagram as a
// whole one.
#[test]
fn without_large_frames_joined_datagrams_are_dropped_and_single_ones_arrive() {
    in_namespace(|| {
        let size = PoolSize {
            large: 1,
            ..PoolSize::default()
        };
        let pool = FramePool::new(Home { shard: 0, port: 0 }, size);
        let (b_group, mut ports) =
            UdpGroup::bind(&UdpOptions::default(), vec![pool], &SlotTable::interleaved(1)).expect("a port");
        let mut b = ports.remove(0);
        let (_a_group, mut a) = group(&UdpOptions::default());
        let path = Path::to(loopback(false, b_group.port()));
        let burst: Vec<_> = (0..32).map(|i| payload(1400, i)).collect();
        send(&mut a, path, 0, &burst);
        send(&mut a, path, 0, &burst);
        send(&mut a, path, 0, &[payload(60, 1)]);
        let frames = receive(&mut b, 2);
        let lens: Vec<usize> = frames.iter().map(Frame::len).collect();
        assert_eq!(lens, [32 * 1400, 60]);
        assert_eq!(b.counters().rx_too_long, 1);
        datagrams(&mut b, frames);
        send(&mut a, path, 0, &burst);
        let frames = receive(&mut b, 1);
        assert!(datagrams(&mut b, frames) == burst, "the burst arrived changed");
    });
}

// Catches a peer that stays silent after the address it was spoken to from was taken away (wireguard-go does).
#[test]
fn a_source_address_taken_away_is_forgotten_and_the_datagram_sent() {
    in_namespace(|| {
        let (_a_group, mut a) = group(&UdpOptions::default());
        let (b_group, mut b) = group(&UdpOptions::default());
        for (v6, gone) in [(false, "192.0.2.77"), (true, "2001:db8::77")] {
            let to = loopback(v6, b_group.port());
            let local = LocalAddress {
                ip: gone.parse().expect("an address"),
                interface: 0,
            };
            let path = Path {
                remote: to,
                local: Some(local),
            };
            let burst: Vec<_> = (0..5).map(|i| payload(100 + usize::from(i), i)).collect();
            send(&mut a, path, 0, &burst);
            let frames = receive(&mut b, 5);
            assert_eq!(datagrams(&mut b, frames), burst);
            assert_eq!(a.forgotten_source(), Some(to));
            assert_eq!(a.forgotten_source(), None);
            let joined: Vec<_> = (0..5).map(|i| payload(100, i)).collect();
            send(&mut a, path, 0, &joined);
            let frames = receive(&mut b, 1);
            assert_eq!(datagrams(&mut b, frames), joined);
            assert_eq!(a.forgotten_source(), Some(to));
        }
        assert_eq!(a.counters().tx_packets, 20);
        assert_eq!(a.counters().tx_errors, 0);
        assert!(a.counters().tx_source_forgotten >= 4);
    });
}

// Catches one unreachable remote or one impossible datagram that takes its neighbours in the batch with it.
#[test]
fn a_refused_datagram_is_counted_and_the_others_arrive() {
    in_namespace(|| {
        let (_a_group, mut a) = group(&UdpOptions::default());
        let (b_group, mut b) = group(&UdpOptions::default());
        let to = loopback(false, b_group.port());
        let mut frames = Vec::new();
        for (remote, len) in [
            (to, 10),
            ("192.0.2.1:9".parse().expect("an address"), 10),
            (to, 65_508),
            (loopback(false, 1), 10),
            (to, 20),
        ] {
            let mut frame = a.fresh(len).expect("a frame");
            frame.set_len(len);
            frame.meta_mut().path = Some(Path::to(remote));
            frames.push(frame);
        }
        // Twice: the port unreachable of the first round is pending in the second.
        for round in 1..=2 {
            let mut again = Vec::new();
            for frame in &frames {
                let mut copy = a.fresh(frame.len()).expect("a frame");
                assert!(copy.write(frame.bytes()));
                *copy.meta_mut() = *frame.meta();
                again.push(copy);
            }
            a.transmit(&mut again);
            let arrived = receive(&mut b, 2);
            let lens: Vec<usize> = arrived.iter().map(Frame::len).collect();
            assert_eq!(lens, [10, 20]);
            datagrams(&mut b, arrived);
            let counters = a.counters();
            assert_eq!(
                (counters.tx_errors, counters.tx_too_long, counters.tx_packets),
                (round, round, 3 * round)
            );
        }
    });
}

// Catches a second gateway that takes half of the first one's datagrams in silence, and a message that does not name
// the port.
#[test]
fn a_port_in_use_is_refused_by_name() {
    in_namespace(|| {
        let (first, _port) = group(&UdpOptions::default());
        let options = UdpOptions {
            port: first.port(),
            ..UdpOptions::default()
        };
        let error = UdpGroup::bind(&options, vec![pool(0)], &SlotTable::interleaved(1))
            .err()
            .expect("an error");
        assert!(matches!(error, BindError::InUse { .. }));
        assert!(error.to_string().contains(&first.port().to_string()), "{error}");
        let only_v6 = UdpSocket::bind("[::1]:0").expect("a socket");
        let port = only_v6.local_addr().expect("an address").port();
        let options = UdpOptions {
            port,
            ..UdpOptions::default()
        };
        let error = UdpGroup::bind(&options, vec![pool(0)], &SlotTable::interleaved(1))
            .err()
            .expect("an error");
        assert!(
            matches!(error, BindError::InUse { family: "IPv6", .. }),
            "{error}"
        );
    });
}

// Catches a changed listening port that the shards do not follow, or that stays open.
#[test]
fn the_port_changes_under_the_shards() {
    in_namespace(|| {
        let (_a_group, mut a) = group(&UdpOptions::default());
        let (mut b_group, mut b) = group(&UdpOptions::default());
        let old = b_group.port();
        let descriptors = descriptors(&b);
        b_group.rebind(0).expect("another port");
        assert_ne!(b_group.port(), old);
        assert_eq!(self::descriptors(&b), descriptors);
        for v6 in [false, true] {
            check_all(
                &mut a,
                &mut b,
                Path::to(loopback(v6, b_group.port())),
                &[payload(9, 9)],
            );
            UdpSocket::bind(loopback(v6, old)).expect("the old port is free");
        }
        let taken = UdpSocket::bind("127.0.0.1:0").expect("a socket");
        let taken = taken
            .local_addr()
            .map(|address| (taken, address.port()))
            .expect("an address");
        assert!(matches!(b_group.rebind(taken.1), Err(BindError::InUse { .. })));
        check_all(
            &mut a,
            &mut b,
            Path::to(loopback(false, b_group.port())),
            &[payload(9, 9)],
        );
    });
}

// Catches a mark that is set on some sockets only, or at the start only.
#[test]
fn the_mark_is_set_while_running() {
    in_namespace(|| {
        let options = UdpOptions {
            fwmark: 7,
            ..UdpOptions::default()
        };
        let (mut group, port) = group(&options);
        let sockets: [RawFd; 2] = descriptors(&port).try_into().expect("IPv4's and IPv6's");
        let marks = || sockets.map(namespace::mark_of);
        assert_eq!(marks(), [7, 7]);
        group.set_fwmark(0xca6c).expect("a mark");
        assert_eq!(marks(), [0xca6c, 0xca6c]);
        group.rebind(0).expect("another port");
        assert_eq!(marks(), [0xca6c, 0xca6c]);
    });
}

// Catches datagrams lost because the kernel cuts none longer than the device's MTU out of one message: sent alone, it
// fragments them, as kernel WireGuard's.
#[test]
fn datagrams_beyond_the_mtu_are_fragmented_outside() {
    in_namespace(|| {
        namespace::set_mtu("lo", 1280);
        let (_a_group, mut a) = group(&UdpOptions::default());
        let (b_group, mut b) = group(&UdpOptions::default());
        for v6 in [false, true] {
            let burst: Vec<_> = (0..20).map(|i| payload(1400, i)).collect();
            check_all(&mut a, &mut b, Path::to(loopback(v6, b_group.port())), &burst);
        }
        assert_eq!(a.mode(), PortMode::Offload);
        assert_eq!((a.counters().tx_packets, a.counters().tx_too_long), (40, 0));
    });
}
