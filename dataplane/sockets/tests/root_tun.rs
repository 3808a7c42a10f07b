//! TUN devices with real traffic of the kernel's, in network namespaces of the test's own.
//!
//! ```text
//!  namespace a                                                    namespace b
//!  TCP, UDP ── weir0 (TUN) ── TunPort ── this test ── TunPort ── weir0 (TUN) ── TCP, UDP
//!  10.77.0.1, fd77::1         reads, cuts what stands for several,           10.77.0.2, fd77::2
//!                             finishes checksums, writes on the other side
//! ```

mod namespace;

use namespace::{add_address, in_namespace, set_mtu, set_up};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};
use weir_frame::{Frame, FramePool, Home, PoolSize, Port, PortCounters, PortMode, Segmentation, Transport};
use weir_sockets::{OffloadChoice, TunDevice, TunError, TunOptions, TunPort};
use weir_wire::segment::{Kind, Offload, Segments};

const NAME: &str = "weir0";
/// Bytes of the TCP transfers.
const TRANSFER: usize = 24 << 20;

fn pool(shard: u16) -> FramePool {
    FramePool::new(Home { shard, port: 0 }, PoolSize::default())
}

fn options(offload: OffloadChoice) -> TunOptions {
    TunOptions {
        offload,
        existing: false,
    }
}

fn open(offload: OffloadChoice, queues: u16) -> (TunDevice, Vec<TunPort>) {
    let pools = (0..queues).map(pool).collect();
    TunDevice::open(NAME, &options(offload), pools).expect("a TUN device")
}

/// Opens the device of side `side` (1 or 2) with its addresses.
fn side(side: u8, offload: OffloadChoice, queues: u16) -> (TunDevice, Vec<TunPort>) {
    let (device, ports) = open(offload, queues);
    add_address(NAME, &format!("10.77.0.{side}"), 24);
    set_mtu(NAME, 1420);
    set_up(NAME);
    add_address(NAME, &format!("fd77::{side}"), 64);
    (device, ports)
}

/// Carries what `from` reads to `to`, as the engine would.
fn forward(from: &mut TunPort, to: &mut TunPort, received: &mut Vec<Frame>, sent: &mut Vec<Frame>) -> usize {
    let count = from.receive(received, 64);
    for mut frame in received.drain(..) {
        match frame.meta().segmentation {
            Segmentation::Super { transport, size } => {
                let kind = match transport {
                    Transport::TcpV4 => Kind::TcpV4,
                    Transport::TcpV6 => Kind::TcpV6,
                    Transport::Udp => Kind::UdpL4,
                };
                let offload = Offload {
                    kind,
                    header_len: 0,
                    segment_size: size,
                };
                let mut segments = Segments::new(frame.bytes(), offload).expect("segments");
                for _ in 0..segments.count() {
                    let mut packet = to.fresh(segments.max_len()).expect("a frame");
                    let len = segments.next_into(packet.room_mut()).expect("a segment");
                    packet.set_len(len);
                    sent.push(packet);
                }
            }
            Segmentation::None => {
                if let Some((start, offset)) = frame.meta().partial_checksum {
                    weir_wire::checksum::complete_partial(frame.bytes_mut(), start, offset)
                        .expect("a checksum");
                }
                let mut packet = to.fresh(frame.len()).expect("a frame");
                assert!(packet.write(frame.bytes()));
                sent.push(packet);
            }
            Segmentation::Datagrams { .. } => panic!("a TUN port handed up datagrams"),
        }
        from.give_back(frame);
        if sent.len() >= 256 {
            to.transmit(sent);
        }
    }
    to.transmit(sent);
    count
}

/// Forwards between all `pairs` in both directions until `stop`.
fn pump(pairs: &mut [(TunPort, TunPort)], stop: &AtomicBool) {
    let (mut received, mut sent) = (Vec::with_capacity(64), Vec::with_capacity(4096));
    while !stop.load(Ordering::Relaxed) {
        let mut moved = 0;
        for (a, b) in pairs.iter_mut() {
            moved += forward(a, b, &mut received, &mut sent);
            moved += forward(b, a, &mut received, &mut sent);
        }
        if moved == 0 {
            std::thread::sleep(Duration::from_micros(200));
        }
    }
}

fn byte(at: usize) -> u8 {
    (at.wrapping_mul(2_654_435_761) >> 13) as u8
}

/// Sends [`TRANSFER`] bytes to `address`.
fn send_stream(address: &str) {
    let mut stream = TcpStream::connect(address).expect("a connection");
    stream
        .set_write_timeout(Some(Duration::from_secs(20)))
        .expect("a timeout");
    let mut chunk = vec![0; 1 << 16];
    for start in (0..TRANSFER).step_by(chunk.len()) {
        for (at, value) in (start..).zip(chunk.iter_mut()) {
            *value = byte(at);
        }
        stream.write_all(&chunk).expect("written");
    }
}

/// Accepts within twenty seconds, so that a client that failed does not hang the test.
fn accept(listener: &TcpListener) -> TcpStream {
    listener
        .set_nonblocking(true)
        .expect("a listener that does not block");
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        if let Ok((stream, _)) = listener.accept() {
            stream.set_nonblocking(false).expect("a stream that blocks");
            return stream;
        }
        assert!(Instant::now() < deadline, "nobody connected");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Takes [`TRANSFER`] bytes and checks each.
fn take_stream(listener: &TcpListener) {
    let mut stream = accept(listener);
    stream
        .set_read_timeout(Some(Duration::from_secs(20)))
        .expect("a timeout");
    let mut chunk = vec![0; 1 << 16];
    let mut at = 0;
    loop {
        let len = stream.read(&mut chunk).expect("read");
        if len == 0 {
            break;
        }
        let wrong = (at..).zip(&chunk[..len]).find(|(at, value)| byte(*at) != **value);
        assert!(wrong.is_none(), "byte {} is wrong", wrong.expect("one").0);
        at += len;
    }
    assert_eq!(at, TRANSFER);
}

/// Runs a client in one namespace, a server in the other and [`pump`] between them; says what side a's and side b's
/// ports counted.
fn between(
    offloads: (OffloadChoice, OffloadChoice),
    queues: u16,
    server: impl FnOnce(Sender<()>) + Send,
    client: impl FnOnce() + Send,
) -> (PortCounters, PortCounters) {
    let stop = AtomicBool::new(false);
    let (give_b, take_b) = channel();
    let (ready, is_ready): (Sender<()>, Receiver<()>) = channel();
    let mut counters = (PortCounters::default(), PortCounters::default());
    std::thread::scope(|scope| {
        let stop = &stop;
        let serving = scope.spawn(move || {
            in_namespace(move || {
                let (_device, ports) = side(2, offloads.1, queues);
                give_b.send(ports).expect("a test that waits");
                server(ready);
            });
        });
        let counters = &mut counters;
        scope.spawn(move || {
            in_namespace(move || {
                let (_device, ports) = side(1, offloads.0, queues);
                let others: Vec<TunPort> = take_b.recv().expect("the other side");
                let mut pairs: Vec<_> = ports.into_iter().zip(others).collect();
                std::thread::scope(|inner| {
                    let pairs = &mut pairs;
                    let pumping = inner.spawn(move || pump(pairs, stop));
                    let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                        is_ready.recv().expect("a server");
                        client();
                    }));
                    let served = serving.join();
                    stop.store(true, Ordering::Relaxed);
                    pumping.join().expect("the pump");
                    done.expect("the client");
                    served.expect("the server");
                });
                for (a, b) in pairs {
                    add(&mut counters.0, a.counters());
                    add(&mut counters.1, b.counters());
                    assert_eq!((a.abroad(), b.abroad()), (0, 0), "what lies posted is at home");
                    let all = PoolSize::default();
                    assert_eq!(Box::new(a).into_pool().free(), (all.small, all.large));
                    assert_eq!(Box::new(b).into_pool().free(), (all.small, all.large));
                }
            });
        });
    });
    counters
}

fn add(sum: &mut PortCounters, one: PortCounters) {
    sum.rx_frames += one.rx_frames;
    sum.rx_bytes += one.rx_bytes;
    sum.tx_packets += one.tx_packets;
    sum.tx_bytes += one.tx_bytes;
    sum.rx_malformed += one.rx_malformed;
    sum.rx_too_long += one.rx_too_long;
    sum.rx_errors += one.rx_errors;
    sum.tx_errors += one.tx_errors;
    sum.tx_too_long += one.tx_too_long;
}

fn drops(counters: &PortCounters) -> u64 {
    counters.rx_malformed
        + counters.rx_too_long
        + counters.rx_errors
        + counters.tx_errors
        + counters.tx_too_long
}

fn transfer(
    host: &str,
    offloads: (OffloadChoice, OffloadChoice),
    queues: u16,
) -> (PortCounters, PortCounters) {
    let address = format!("{host}:7777");
    let listen = address.clone();
    between(
        offloads,
        queues,
        move |ready| {
            let listener = TcpListener::bind(listen).expect("a listener");
            ready.send(()).expect("a test that waits");
            take_stream(&listener);
        },
        move || send_stream(&address),
    )
}

// Catches packets cut or joined with a wrong header, checksum or order: the stream would stall or change. Catches
// offloads that are agreed on and not used.
#[test]
fn tcp_passes_with_offloads_in_either_direction() {
    use OffloadChoice::Offload;
    for host in ["10.77.0.2", "[fd77::2]"] {
        let (a, b) = transfer(host, (Offload, Offload), 1);
        assert_eq!((drops(&a), drops(&b)), (0, 0), "{a:?} {b:?}");
        // 24 MiB in packets of the MTU's size are more than 17,000.
        assert!(
            a.rx_frames < 8000,
            "{} frames: nothing was joined by the kernel",
            a.rx_frames
        );
        assert!(b.tx_packets > 17_000, "{} packets", b.tx_packets);
    }
}

// Catches ports that need the offloads that they could not have.
#[test]
fn tcp_passes_without_offloads_on_either_side() {
    use OffloadChoice::{Offload, Plain};
    for offloads in [(Plain, Plain), (Offload, Plain), (Plain, Offload)] {
        let (a, b) = transfer("10.77.0.2", offloads, 1);
        assert_eq!((drops(&a), drops(&b)), (0, 0), "{a:?} {b:?}");
        let whole = a.rx_frames > 17_000;
        assert_eq!(whole, offloads.0 == Plain, "{} frames", a.rx_frames);
    }
}

// Catches queues of which only one works, and a flow whose packets overtake each other on two.
#[test]
fn several_queues_carry_several_flows() {
    let (a, b) = between(
        (OffloadChoice::Auto, OffloadChoice::Auto),
        3,
        |ready| {
            let listener = TcpListener::bind("10.77.0.2:7777").expect("a listener");
            ready.send(()).expect("a test that waits");
            std::thread::scope(|scope| {
                for _ in 0..4 {
                    scope.spawn(|| take_stream(&listener));
                }
            });
        },
        || {
            std::thread::scope(|scope| {
                for _ in 0..4 {
                    scope.spawn(|| send_stream("10.77.0.2:7777"));
                }
            });
        },
    );
    assert_eq!((drops(&a), drops(&b)), (0, 0), "{a:?} {b:?}");
}

// Catches datagrams that are joined with a neighbour and cut differently: boundaries and lengths are the sender's.
#[test]
fn udp_datagrams_keep_their_boundaries() {
    for host in ["10.77.0.2", "[fd77::2]"] {
        let address = format!("{host}:7777");
        let server_address = address.clone();
        let lens: Vec<usize> = (0..400).map(|i| if i % 7 == 3 { 1 + i } else { 900 }).collect();
        let expected = lens.clone();
        let (a, b) = between(
            (OffloadChoice::Auto, OffloadChoice::Auto),
            1,
            move |ready| {
                let socket = UdpSocket::bind(server_address).expect("a socket");
                socket
                    .set_read_timeout(Some(Duration::from_secs(10)))
                    .expect("a timeout");
                ready.send(()).expect("a test that waits");
                let mut buffer = [0; 2048];
                for len in expected {
                    let (got, from) = socket.recv_from(&mut buffer).expect("a datagram");
                    assert_eq!(got, len);
                    assert!(
                        buffer[..got].iter().all(|value| *value == len as u8),
                        "a changed datagram"
                    );
                    socket.send_to(&[1], from).expect("an answer");
                }
            },
            move || {
                let any = if address.starts_with('[') {
                    "[::]:0"
                } else {
                    "0.0.0.0:0"
                };
                let socket = UdpSocket::bind(any).expect("a socket");
                socket
                    .set_read_timeout(Some(Duration::from_secs(10)))
                    .expect("a timeout");
                // Answers keep the queues short; one datagram at a time in the air would join nothing.
                for burst in lens.chunks(8) {
                    for len in burst {
                        socket.send_to(&vec![*len as u8; *len], &address).expect("sent");
                    }
                    for _ in burst {
                        socket.recv(&mut [0; 8]).expect("an answer");
                    }
                }
            },
        );
        assert_eq!((drops(&a), drops(&b)), (0, 0), "{a:?} {b:?}");
    }
}

// Catches a UDP super-packet whose segments are lost or that is not cut to the sender's size.
#[test]
fn udp_segmentation_by_the_kernel_is_understood() {
    in_namespace(|| {
        let (device, mut ports) = side(1, OffloadChoice::Auto, 1);
        assert!(device.offloads().udp, "this kernel (6.2 or newer) has USO");
        let socket = UdpSocket::bind("10.77.0.1:0").expect("a socket");
        namespace::set_segment_size(&socket, 500);
        socket.send_to(&[7; 1800], "10.77.0.9:9").expect("sent");
        let mut frames = Vec::new();
        let deadline = Instant::now() + Duration::from_secs(2);
        while frames.is_empty() && Instant::now() < deadline {
            ports[0].receive(&mut frames, 16);
            frames.retain(|frame| frame.bytes()[0] >> 4 == 4);
        }
        let frame = frames.pop().expect("a packet");
        let expected = Segmentation::Super {
            transport: Transport::Udp,
            size: 500,
        };
        assert_eq!((frame.meta().segmentation, frame.len()), (expected, 1828));
        assert_eq!(frame.meta().partial_checksum, Some((20, 6)));
        assert_eq!(frame.meta().path, None);
    });
}

// Catches a device shared in silence with another process, and errors that do not name it.
#[test]
fn a_device_that_exists_is_refused_by_name() {
    in_namespace(|| {
        let (device, _ports) = open(OffloadChoice::Auto, 1);
        assert_eq!(device.name(), NAME);
        let error = TunDevice::open(NAME, &TunOptions::default(), vec![pool(0)])
            .err()
            .expect("an error");
        assert!(matches!(error, TunError::Exists { .. }), "{error}");
        assert!(error.to_string().contains(NAME), "{error}");
        let (numbered, _ports) =
            TunDevice::open("weir%d", &TunOptions::default(), vec![pool(0)]).expect("a device");
        assert_eq!(numbered.name(), "weir1");
    });
}

// Catches a device that is down or gone stopping the port, and packets to it lost uncounted.
#[test]
fn a_device_that_is_down_costs_counted_drops() {
    in_namespace(|| {
        let (_device, mut ports) = open(OffloadChoice::Auto, 1);
        let port = &mut ports[0];
        assert_eq!(port.mode(), PortMode::Offload);
        let mut packet = vec![0; 28];
        packet[0] = 0x45;
        packet[3] = 28;
        let mut frame = port.fresh(packet.len()).expect("a frame");
        assert!(frame.write(&packet));
        let mut frames = vec![frame];
        port.transmit(&mut frames);
        assert_eq!((frames.len(), port.counters().tx_errors), (0, 1));
        assert_eq!(port.receive(&mut frames, 8), 0);
        set_up(NAME);
        let mut frame = port.fresh(packet.len()).expect("a frame");
        assert!(frame.write(&packet));
        frames.push(frame);
        port.transmit(&mut frames);
        assert_eq!((port.counters().tx_errors, port.counters().tx_packets), (1, 1));
    });
}

// Catches queues that cannot come and go under traffic, and one added to another device of the same name where the
// process is and the device is not.
#[test]
fn queues_come_and_go_also_in_another_namespace() {
    in_namespace(|| {
        let (mut device, mut ports) = open(OffloadChoice::Auto, 1);
        ports.push(device.add(pool(1)).expect("another queue"));
        assert!(matches!(
            device.add(pool(1)),
            Err(TunError::Shard { shard: 1, .. })
        ));
        std::thread::scope(|scope| {
            let thread = scope.spawn(|| {
                nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNET).expect("a namespace");
                ports.push(device.add(pool(2)).expect("a queue of a device elsewhere"));
                let own = TunDevice::open(NAME, &TunOptions::default(), vec![pool(0)]);
                assert!(own.is_ok(), "no device of the name was made here");
            });
            thread.join().expect("the thread");
        });
        set_up(NAME);
        add_address(NAME, "10.77.0.1", 24);
        assert_eq!(device.shards().collect::<Vec<_>>(), [0, 1, 2]);
        device.remove(0).expect("a queue less");
        device.remove(1).expect("a queue less");
        assert!(matches!(device.remove(1), Err(TunError::Shard { shard: 1, .. })));
        let socket = UdpSocket::bind("10.77.0.1:0").expect("a socket");
        for _ in 0..10 {
            socket.send_to(&[1; 10], "10.77.0.9:9").expect("sent");
        }
        let mut frames = Vec::new();
        let deadline = Instant::now() + Duration::from_secs(2);
        while frames.len() < 10 && Instant::now() < deadline {
            ports[2].receive(&mut frames, 64);
            frames.retain(|frame| frame.len() == 38);
        }
        assert_eq!(frames.len(), 10);
        assert_eq!(ports[0].receive(&mut frames, 8), 0);
        ports.push(device.add(pool(0)).expect("a queue again"));
    });
}

// Catches an inherited device that is opened anew, misread for lack of its header, or taken for what it is not.
#[test]
fn an_inherited_device_is_taken_over() {
    in_namespace(|| {
        for header in [true, false] {
            let flags = if header { libc::IFF_VNET_HDR } else { 0 };
            let inherited = namespace::tun("given%d", flags, false);
            let (mut device, mut port) =
                TunDevice::adopt(inherited, &TunOptions::default(), pool(0)).expect("a device");
            assert!(device.name().starts_with("given"), "{}", device.name());
            let mode = if header {
                PortMode::Offload
            } else {
                PortMode::Plain
            };
            assert_eq!(port.mode(), mode);
            let name = device.name().to_owned();
            add_address(&name, "10.78.0.1", 24);
            set_up(&name);
            let socket = UdpSocket::bind("10.78.0.1:0").expect("a socket");
            socket.send_to(&[1; 10], "10.78.0.9:9").expect("sent");
            let mut frames = Vec::new();
            let deadline = Instant::now() + Duration::from_secs(2);
            while frames.is_empty() && Instant::now() < deadline {
                port.receive(&mut frames, 8);
                frames.retain(|frame| frame.bytes()[0] == 0x45);
            }
            assert_eq!(frames[0].len(), 38);
            let error = device.add(pool(1)).err();
            assert!(
                matches!(
                    error,
                    Some(TunError::Queues {
                        queues: 2,
                        max: 1,
                        ..
                    })
                ),
                "it was made for one queue"
            );
        }
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
        let error = TunDevice::adopt(OwnedFd::from(socket), &TunOptions::default(), pool(0)).err();
        assert!(matches!(error, Some(TunError::Inherited { .. })));
    });
}

// Catches a device made ready by someone else that cannot be used, or is used unasked, or is taken though it is of the
// wrong kind.
#[test]
fn a_persistent_device_is_joined_when_asked_for() {
    in_namespace(|| {
        let good = libc::IFF_VNET_HDR | libc::IFF_MULTI_QUEUE;
        for (name, flags) in [("good", good), ("single", libc::IFF_VNET_HDR)] {
            drop(namespace::tun(name, flags, true));
            let unasked = TunDevice::open(name, &TunOptions::default(), vec![pool(0)]);
            assert!(matches!(unasked.err(), Some(TunError::Exists { .. })));
        }
        let asked = TunOptions {
            existing: true,
            ..TunOptions::default()
        };
        let (device, ports) = TunDevice::open("good", &asked, vec![pool(0), pool(1)]).expect("the device");
        assert_eq!((device.name(), ports.len()), ("good", 2));
        let error = TunDevice::open("single", &asked, vec![pool(0)])
            .err()
            .expect("an error");
        assert!(matches!(error, TunError::OtherKind { .. }), "{error}");
        let error = TunDevice::open("lo", &asked, vec![pool(0)])
            .err()
            .expect("an error");
        assert!(matches!(error, TunError::OtherKind { .. }), "{error}");
    });
}
