//! Queues over veth pairs in namespaces of the test's own, on a kernel that copies: frames out, modes, and every frame
//! accounted for however often a queue is opened and closed.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::socket::{setsockopt, sockopt};
use std::net::UdpSocket;
use std::os::fd::AsFd as _;
use std::process::Command;
use std::time::Duration;
use weir_bench::{End, Namespace, Topology};
use weir_frame::{Frame, Home, PoolSize};
use weir_xdp_prog::{ArrivalProgram, ArrivalSettings, AttachMode, Attachment};
use weir_xsk::{Copying, OpenError, Queue, SocketOptions, Store};

const HOME: Home = Home { shard: 0, port: 0 };

const SIZE: PoolSize = PoolSize {
    small: 256,
    small_bytes: weir_xsk::CHUNK,
    large: 0,
    large_bytes: 0,
    headroom: 64,
};

const RING: u32 = 64;

/// Where the datagrams go.
const SINK: &str = "192.0.2.2:4000";

struct Pair {
    left: Namespace,
    right: Namespace,
    /// The ends' numbers.
    interfaces: (u32, u32),
    /// The left end's name.
    near: String,
    /// The right end's address.
    mac: [u8; 6],
    topology: Topology,
}

impl Pair {
    fn new() -> Self {
        let topology = Topology::new().unwrap();
        let (left, right) = (topology.namespace("l").unwrap(), topology.namespace("r").unwrap());
        let (a, b) = (topology.interface("a"), topology.interface("b"));
        topology
            .veth(
                &End::new(&left, &a, &["192.0.2.1/24"]),
                &End::new(&right, &b, &["192.0.2.2/24"]),
            )
            .unwrap();
        let ((number, _), (other, mac)) = (left.device(&a).unwrap(), right.device(&b).unwrap());
        Self {
            left,
            right,
            interfaces: (number, other),
            near: a,
            mac,
            topology,
        }
    }

    fn options(&self, copying: Option<Copying>) -> SocketOptions {
        SocketOptions {
            interface: self.interfaces.0,
            queue: 0,
            copying,
            ring: RING,
            busy_poll: false,
        }
    }

    fn open(&self, store: Store) -> Queue {
        self.left
            .enter(|| Queue::open(self.options(None), store))
            .unwrap()
    }

    /// A queue on the right end, which takes what the left end sends to the sink's network.
    fn receiver(&self, mode: AttachMode) -> (Queue, ArrivalProgram, Attachment) {
        let options = SocketOptions {
            interface: self.interfaces.1,
            ..self.options(None)
        };
        let queue = self.right.enter(|| Queue::open(options, store())).unwrap();
        let program = ArrivalProgram::load().unwrap();
        let settings = ArrivalSettings {
            mac: self.mac,
            lan: true,
            ..ArrivalSettings::default()
        };
        program.set(&settings).unwrap();
        program
            .set_routes([("192.0.2.0".parse().unwrap(), 24, true)])
            .unwrap();
        program.insert_socket(0, queue.as_fd()).unwrap();
        let attached = self
            .right
            .enter(|| program.attach(self.interfaces.1, mode))
            .unwrap();
        (queue, program, attached)
    }

    /// Where datagrams go, with room for all of them: while the test's thread waits for a core, the kernel's default holds
    /// less than a burst.
    fn sink(&self) -> UdpSocket {
        const ROOM: usize = 8 << 20;
        let socket = self.right.enter(|| UdpSocket::bind(SINK)).unwrap();
        setsockopt(&socket, sockopt::RcvBufForce, &ROOM).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        socket
    }

    /// A datagram for the sink, whole from the Ethernet header on (RFC 894, RFC 791, RFC 768 without a checksum).
    fn datagram(&self, payload: &[u8]) -> Vec<u8> {
        let mut frame = Vec::new();
        frame.extend(self.mac);
        frame.extend([2, 0, 0, 0, 0, 1, 0x08, 0]);
        let total = (28 + payload.len()) as u16;
        let mut ip = [
            0x45, 0, 0, 0, 0, 0, 0x40, 0, 64, 17, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2,
        ];
        ip[2..4].copy_from_slice(&total.to_be_bytes());
        let sum: u32 = ip
            .chunks(2)
            .map(|pair| u32::from(pair[0]) << 8 | u32::from(pair[1]))
            .sum();
        let folded = (sum & 0xffff) + (sum >> 16);
        ip[10..12].copy_from_slice(&(!(folded as u16)).to_be_bytes());
        frame.extend(ip);
        for word in [4001, 4000, total - 20, 0] {
            frame.extend(word.to_be_bytes());
        }
        frame.extend(payload);
        frame
    }
}

fn store() -> Store {
    Store::new(HOME, SIZE).unwrap()
}

/// Takes home what was sent, until the kernel has none of it.
fn settle(queue: &mut Queue) {
    for _ in 0..1000 {
        queue.complete();
        if queue.held().1 == 0 {
            return;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    panic!(
        "frames that never come home: {:?} {:?}",
        queue.held(),
        queue.counters()
    );
}

fn accounted(queue: &mut Queue) {
    let (filling, sending) = queue.held();
    let (free, _) = queue.pool().free();
    assert_eq!(
        free + (filling + sending) as usize,
        SIZE.small,
        "{:?}",
        queue.counters()
    );
}

/// Catches frames that leave in another order, with other bytes, or beginning elsewhere than they do; and frames that
/// do not come home.
#[test]
fn frames_leave_as_they_are_wherever_they_begin() {
    let pair = Pair::new();
    let sink = pair.sink();
    let mut queue = pair.open(store());
    assert_eq!(queue.copying(), Copying::Each, "veth has no zero-copy");
    let mut number = 0_u32;
    for round in 0..40 {
        let mut frames: Vec<Frame> = Vec::new();
        for _ in 0..1 + round {
            let mut frame = queue.pool().take(1600).unwrap();
            frame.reset(number as usize * 7 % 300);
            let mut payload = number.to_be_bytes().to_vec();
            payload.resize(4 + number as usize * 37 % 1400, number as u8);
            assert!(frame.write(&pair.datagram(&payload)));
            frames.push(frame);
            number += 1;
        }
        queue.transmit(&mut frames);
        assert!(frames.is_empty());
        let mut buffer = [0; 2000];
        for expected in number - (1 + round)..number {
            let len = sink.recv(&mut buffer).unwrap();
            assert_eq!(buffer[..4], expected.to_be_bytes());
            assert_eq!(len, 4 + expected as usize * 37 % 1400);
            assert!(buffer[4..len].iter().all(|byte| *byte == expected as u8));
        }
        settle(&mut queue);
        accounted(&mut queue);
    }
    assert_eq!(queue.counters().sent, u64::from(number));
}

/// Catches a batch larger than the ring that loses frames instead of sending or leaving them.
#[test]
fn a_batch_larger_than_the_ring_is_sent_or_left() {
    let pair = Pair::new();
    let mut queue = pair.open(store());
    let datagram = pair.datagram(&[0; 100]);
    let mut frames: Vec<Frame> = core::iter::from_fn(|| queue.pool().take_small())
        .map(|mut frame| {
            assert!(frame.write(&datagram));
            frame
        })
        .collect();
    let count = frames.len() as u64;
    assert!(count > u64::from(RING), "{count} frames");
    queue.transmit(&mut frames);
    let left = frames.len() as u64;
    frames.drain(..).for_each(|frame| queue.pool().give_back(frame));
    settle(&mut queue);
    accounted(&mut queue);
    assert_eq!(queue.counters().sent + left, count, "{:?}", queue.counters());
    assert_eq!(queue.kernel().unwrap().transmit_invalid, 0);
}

/// Catches frames that stay in the ring because the card, here a shaper below, is slow to be done with those before them:
/// the last ones of a burst would wait until there is more to send.
#[test]
fn a_burst_leaves_as_a_whole_by_a_card_that_takes_its_time() {
    const BURST: usize = 300;
    let pair = Pair::new();
    let sink = pair.sink();
    let tool = |arguments: &str| {
        let mut command = Command::new("tc");
        pair.left.run(command.args(arguments.split(' '))).unwrap()
    };
    let below = pair.near.clone();
    tool(&format!(
        "qdisc add dev {below} root tbf rate 20mbit burst 10kb limit 10mb"
    ));
    let above = pair.topology.interface("m");
    pair.left
        .ip(&format!("link add link {below} name {above} up type macvlan"))
        .unwrap();
    let number = pair
        .left
        .enter(|| nix::net::if_::if_nametoindex(above.as_str()))
        .unwrap();
    let options = SocketOptions {
        interface: number,
        ring: 512,
        ..pair.options(Some(Copying::Each))
    };
    let size = PoolSize { small: 1024, ..SIZE };
    let store = Store::new(HOME, size).unwrap();
    let mut queue = pair.left.enter(|| Queue::open(options, store)).unwrap();
    let datagram = pair.datagram(&[7; 1000]);
    let mut frames: Vec<Frame> = (0..BURST)
        .map(|_| {
            let mut frame = queue.pool().take_small().unwrap();
            assert!(frame.write(&datagram));
            frame
        })
        .collect();
    queue.transmit(&mut frames);
    assert!(frames.is_empty(), "the ring has room for all");
    let mut buffer = [0; 2000];
    for arrived in 0..BURST {
        let received = sink.recv(&mut buffer);
        assert!(
            received.is_ok(),
            "{arrived} of {BURST} arrived, {:?}",
            queue.counters()
        );
    }
    settle(&mut queue);
}

/// Catches a queue that polls busily and receives nothing, or never what comes while it is asked.
#[test]
fn a_queue_that_polls_receives_the_same() {
    let pair = Pair::new();
    let options = SocketOptions {
        busy_poll: true,
        ..pair.options(None)
    };
    let mut near = pair.left.enter(|| Queue::open(options, store())).unwrap();
    let (mut far, _program, _attached) = pair.receiver(AttachMode::Driver);
    for round in 0..20 {
        let mut frame = near.pool().take_small().unwrap();
        assert!(frame.write(&pair.datagram(&[round; 100])));
        near.transmit(&mut vec![frame]);
        let mut arrived = Vec::new();
        let limit = std::time::Instant::now() + Duration::from_secs(10);
        while far.receive(&mut arrived, 8) == 0 {
            near.receive(&mut Vec::new(), 8);
            assert!(std::time::Instant::now() < limit, "round {round}");
        }
        assert_eq!(arrived[0].bytes().last(), Some(&round));
        arrived.drain(..).for_each(|frame| far.pool().give_back(frame));
    }
    settle(&mut near);
    settle(&mut far);
}

/// Catches a fallback that nobody is told of, and a queue taken from another socket.
#[test]
fn what_cannot_be_had_is_refused() {
    let pair = Pair::new();
    let refused = pair
        .left
        .enter(|| Queue::open(pair.options(Some(Copying::None)), store()).map(drop))
        .unwrap_err();
    assert!(matches!(refused.error, OpenError::NoZeroCopy { .. }), "{refused}");
    let queue = pair.open(*refused.store);
    let refused = pair
        .left
        .enter(|| Queue::open(pair.options(None), store()).map(drop))
        .unwrap_err();
    assert!(matches!(refused.error, OpenError::InUse { .. }), "{refused}");
    assert_eq!(
        refused.to_string(),
        format!(
            "queue 0 of interface number {} is in use by another AF_XDP socket",
            pair.interfaces.0
        )
    );
    drop(queue);
}

/// Catches a queue whose device is gone that wakes its shard again and again, or ends it: a core would spin.
#[test]
fn a_queue_without_its_device_is_silent() {
    let pair = Pair::new();
    let mut queue = pair.open(store());
    let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).unwrap();
    epoll
        .add(&queue, EpollEvent::new(EpollFlags::EPOLLIN, 0))
        .unwrap();
    pair.left.ip(&format!("link del dev {}", pair.near)).unwrap();
    let mut woken = 0;
    let mut events = [EpollEvent::empty(); 1];
    while epoll.wait(&mut events, EpollTimeout::from(500_u16)).unwrap() > 0 {
        woken += 1;
        assert!(woken < 10, "{:?} without end", events[0].events());
        queue.receive(&mut Vec::new(), 64);
    }
    for _ in 0..2 * SIZE.small {
        let mut frame = queue.pool().take_small().unwrap();
        assert!(frame.write(&pair.datagram(&[0; 100])));
        let mut frames = vec![frame];
        queue.transmit(&mut frames);
        frames.drain(..).for_each(|frame| queue.pool().give_back(frame));
    }
    accounted(&mut queue);
}

/// Catches frames lost with a closed socket, and a kernel that is asked for a queue too soon.
#[test]
fn a_queue_opens_again_with_all_its_frames() {
    let pair = Pair::new();
    let sink = pair.sink();
    let mut store = store();
    for round in 0..50_u8 {
        let mut queue = pair.open(store);
        accounted(&mut queue);
        let mut frame = queue.pool().take(100).unwrap();
        assert!(frame.write(&pair.datagram(&[round])));
        queue.transmit(&mut vec![frame]);
        let mut buffer = [0; 10];
        assert_eq!(sink.recv(&mut buffer).unwrap(), 1);
        assert_eq!(buffer[0], round);
        // Closed with frames in the kernel's hands: those to be filled, and maybe the one that was sent.
        store = queue.close();
    }
}

/// Catches frames lost, doubled or changed between two queues, in either mode of the program; and frames that are
/// nobody's after many more have gone by than there are.
#[test]
fn frames_arrive_as_they_left_and_all_come_home() {
    for mode in [AttachMode::Driver, AttachMode::Generic] {
        let pair = Pair::new();
        let (mut receiver, _program, _attached) = pair.receiver(mode);
        let mut sender = pair.open(store());
        let (mut sent, mut arrived) = (0_u32, 0_u32);
        let mut batch = Vec::with_capacity(64);
        while arrived < 20_000 {
            // No more than the receiver's rings hold are under way, so that none may be lost.
            let mut frames = Vec::new();
            for _ in 0..(RING / 2 - (sent - arrived)).min(1 + sent % 32) {
                let mut frame = sender.pool().take(1600).unwrap();
                let mut payload = sent.to_be_bytes().to_vec();
                payload.resize(4 + sent as usize * 37 % 1400, sent as u8);
                assert!(frame.write(&pair.datagram(&payload)));
                frames.push(frame);
                sent += 1;
            }
            sender.transmit(&mut frames);
            receiver.receive(&mut batch, 64);
            for frame in batch.drain(..) {
                let payload = &frame.bytes()[42..];
                assert_eq!(payload[..4], arrived.to_be_bytes(), "{mode:?}");
                assert_eq!(payload.len(), 4 + arrived as usize * 37 % 1400, "{mode:?}");
                assert!(payload[4..].iter().all(|byte| *byte == arrived as u8), "{mode:?}");
                receiver.pool().give_back(frame);
                arrived += 1;
            }
            accounted(&mut receiver);
        }
        assert_eq!(sent, arrived);
        settle(&mut sender);
        accounted(&mut sender);
        assert_eq!(receiver.counters().received, u64::from(arrived));
        let kernel = receiver.kernel().unwrap();
        assert_eq!(
            (kernel.dropped, kernel.receive_full, kernel.receive_invalid),
            (0, 0, 0),
            "{kernel:?}"
        );
    }
}
