//! WAN ports over AF_XDP and an ordinary socket, at both ends of a veth pair in namespaces of the test's own.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::net::{IpAddr, SocketAddr, SocketAddrV6, UdpSocket};
use std::os::fd::AsFd as _;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use weir_bench::{End, Namespace, Topology};
use weir_frame::{Frame, FramePool, Home, LocalAddress, Path, PoolSize, Port, PortMode};
use weir_sockets::{SlotTable, UdpGroup, UdpOptions};
use weir_wire::arrival::Device;
use weir_xdp_prog::{ArrivalProgram, ArrivalSettings, AttachMode, Attachment};
use weir_xsk::{Hop, Queue, Seat, Site, SocketOptions, Store, WanParts, WanPort};

const HOME: Home = Home { shard: 0, port: 0 };
const PORT: u16 = 51820;
const LIMIT: Duration = Duration::from_secs(10);

/// One end of the pair: what it is told of itself and of the other.
#[derive(Clone)]
struct Told {
    interface: u32,
    mac: [u8; 6],
    other: [u8; 6],
    own: Vec<IpAddr>,
    /// Whether the next hop is known.
    known: Arc<Mutex<bool>>,
}

impl Device for Told {
    fn mac(&self) -> [u8; 6] {
        self.mac
    }
    fn is_wan(&self) -> bool {
        true
    }
    fn is_lan(&self) -> bool {
        false
    }
    fn is_port(&self, port: u16) -> bool {
        port == PORT
    }
    fn is_own(&self, address: IpAddr) -> bool {
        self.own.contains(&address)
    }
    fn is_behind_peer(&self, _address: IpAddr) -> bool {
        false
    }
}

impl Site for Told {
    fn refresh(&mut self) {}

    fn hop(&self, destination: IpAddr) -> Option<Hop> {
        let source = self
            .own
            .iter()
            .find(|own| own.is_ipv4() == destination.is_ipv4())?;
        self.known.lock().unwrap().then_some(Hop {
            macs: (self.other, self.mac),
            source: *source,
            mtu: 1500,
        })
    }

    fn interface(&self) -> u32 {
        self.interface
    }

    fn port(&self) -> u16 {
        PORT
    }

    fn tunnel_mtu(&self) -> usize {
        1420
    }
}

struct Side {
    namespace: Namespace,
    told: Told,
    port: WanPort<Told>,
    _group: UdpGroup,
    _program: ArrivalProgram,
    _attached: Attachment,
}

fn sides(topology: &Topology, mode: AttachMode) -> [Side; 2] {
    let namespaces = ["l", "r"].map(|label| topology.namespace(label).unwrap());
    let names = ["a", "b"].map(|label| topology.interface(label));
    let addresses = [
        ["192.0.2.1/24", "2001:db8::1/64"],
        ["192.0.2.2/24", "2001:db8::2/64"],
    ];
    topology
        .veth(
            &End::new(&namespaces[0], &names[0], &addresses[0]),
            &End::new(&namespaces[1], &names[1], &addresses[1]),
        )
        .unwrap();
    let links = [0, 1].map(|end| namespaces[end].device(&names[end]).unwrap());
    [0, 1].map(|end| {
        let own = addresses[end].map(|address| address.split('/').next().unwrap().parse().unwrap());
        let told = Told {
            interface: links[end].0,
            mac: links[end].1,
            other: links[1 - end].1,
            own: own.to_vec(),
            known: Arc::new(Mutex::new(true)),
        };
        side(namespaces[end].clone(), links[end].0, told, mode)
    })
}

fn side(namespace: Namespace, interface: u32, told: Told, mode: AttachMode) -> Side {
    let size = PoolSize {
        small: 512,
        large: 8,
        ..PoolSize::default()
    };
    let program = ArrivalProgram::load().unwrap();
    let settings = ArrivalSettings {
        mac: told.mac,
        wan: true,
        ..ArrivalSettings::default()
    };
    program.set(&settings).unwrap();
    program.set_ports(&[PORT]).unwrap();
    program.set_addresses(&told.own).unwrap();
    let options = SocketOptions {
        interface,
        queue: 0,
        copying: None,
        ring: 128,
        busy_poll: false,
    };
    let udp = UdpOptions {
        port: PORT,
        ..UdpOptions::default()
    };
    let (queue, group, socket, attached) = namespace.enter(|| {
        let store = Store::new(
            HOME,
            PoolSize {
                large: 0,
                large_bytes: 0,
                ..size
            },
        )
        .unwrap();
        let queue = Queue::open(options, store).unwrap();
        program.insert_socket(0, queue.as_fd()).unwrap();
        let pools = vec![FramePool::new(HOME, size)];
        let (group, mut ports) = UdpGroup::bind(&udp, pools, &SlotTable::interleaved(1)).unwrap();
        let attached = program.attach(interface, mode).unwrap();
        (queue, group, ports.remove(0), attached)
    });
    let port = WanPort::new(WanParts {
        queue: Seat::taken(queue, mode == AttachMode::Generic),
        socket: Box::new(socket),
        site: told.clone(),
    });
    Side {
        namespace,
        told,
        port,
        _group: group,
        _program: program,
        _attached: attached,
    }
}

/// A transport message, which the program takes, that carries a number.
fn message(number: u32, len: usize) -> Vec<u8> {
    let mut message = vec![number as u8; len];
    message[..4].copy_from_slice(&[4, 0, 0, 0]);
    message[4..8].copy_from_slice(&number.to_be_bytes());
    message
}

impl Side {
    fn send(&mut self, message: &[u8], path: Path) {
        let frame = self.frame(message, path, 2);
        self.port.transmit(&mut vec![frame]);
    }

    fn frame(&mut self, message: &[u8], path: Path, traffic_class: u8) -> Frame {
        let mut frame = self.port.fresh(message.len()).unwrap();
        assert!(frame.write(message));
        frame.meta_mut().path = Some(path);
        frame.meta_mut().traffic_class = traffic_class;
        frame
    }

    /// The next datagram, where it came from, and its class.
    fn next(&mut self) -> (Vec<u8>, Path, u8) {
        let deadline = Instant::now() + LIMIT;
        let mut frames: Vec<Frame> = Vec::with_capacity(1);
        while Instant::now() < deadline {
            self.port.receive(&mut frames, 1);
            if let Some(frame) = frames.pop() {
                let taken = (
                    frame.bytes().to_vec(),
                    frame.meta().path.unwrap(),
                    frame.meta().traffic_class,
                );
                self.port.give_back(frame);
                return taken;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        panic!(
            "nothing came: {:?} {:?}",
            self.port.counters(),
            self.port.queue().counters()
        );
    }

    fn by_queue(&self) -> (u64, u64) {
        let counters = self.port.queue().counters();
        (counters.received, counters.sent)
    }
}

fn to(address: &str) -> Path {
    Path::to(SocketAddr::new(address.parse().unwrap(), PORT))
}

/// A path whose own address is none of the left side's.
fn gone() -> Path {
    Path {
        local: Some(LocalAddress {
            ip: "192.0.2.77".parse().unwrap(),
            interface: 0,
        }),
        ..to("192.0.2.2")
    }
}

/// Catches datagrams that go by the socket though the queue could have sent them, come from elsewhere than they do, or
/// lose their class; and answers that do not go back the way that was spoken.
#[test]
fn datagrams_go_by_the_queues_and_are_answered() {
    for (mode, shown) in [
        (AttachMode::Driver, PortMode::Driver),
        (AttachMode::Generic, PortMode::Generic),
    ] {
        let topology = Topology::new().unwrap();
        let [mut left, mut right] = sides(&topology, mode);
        assert_eq!((left.port.mode(), right.port.mode()), (shown, shown));
        let mut number = 0;
        for (address, own) in [("192.0.2.2", "192.0.2.1"), ("2001:db8::2", "2001:db8::1")] {
            for len in [32, 33, 148, 1452] {
                number += 1;
                left.send(&message(number, len), to(address));
                let (arrived, path, class) = right.next();
                assert_eq!(
                    (arrived, class),
                    (message(number, len), 2),
                    "{mode:?} {address} {len}"
                );
                assert_eq!(path.remote, SocketAddr::new(own.parse().unwrap(), PORT));
                assert_eq!(path.local.unwrap().ip.to_string(), address);
                right.send(&message(number + 1000, 64), path);
                let (answer, path, _) = left.next();
                assert_eq!(answer, message(number + 1000, 64), "{mode:?} {address} {len}");
                assert_eq!(path.remote.ip().to_string(), address);
            }
        }
        for side in [&left, &right] {
            assert_eq!(side.by_queue(), (number.into(), number.into()), "{mode:?}");
            let counters = side.port.counters();
            assert_eq!(
                (counters.rx_frames, counters.tx_packets),
                (number.into(), number.into())
            );
        }
    }
}

/// Catches a datagram that takes the way of the one before it, of which it differs in something.
#[test]
fn each_datagram_of_a_batch_goes_its_own_way() {
    let topology = Topology::new().unwrap();
    let [mut left, mut right] = sides(&topology, AttachMode::Driver);
    let (v4, v6) = (to("192.0.2.2"), to("2001:db8::2"));
    let sent = [
        (v4, 0),
        (v4, 2),
        (v4, 2),
        (v6, 2),
        (v6, 1),
        (v4, 1),
        (gone(), 1),
        (gone(), 1),
        (v4, 1),
    ];
    let mut batch = Vec::new();
    for (number, (path, class)) in sent.into_iter().enumerate() {
        batch.push(left.frame(&message(number as u32, 100 + number), path, class));
    }
    left.port.transmit(&mut batch);
    for (number, (path, class)) in sent.into_iter().enumerate() {
        let (arrived, came, came_class) = right.next();
        assert_eq!(
            (arrived, came_class),
            (message(number as u32, 100 + number), class)
        );
        assert_eq!(came.local.unwrap().ip, path.remote.ip(), "{number}");
    }
    assert_eq!(left.by_queue().1, sent.len() as u64);
    assert_eq!(
        left.port.counters().tx_source_forgotten,
        2,
        "of each that had one"
    );
}

/// Catches datagrams lost where the queue cannot send or receive them: to a next hop that is not known, longer than the
/// link's MTU, from a kernel that fragments.
#[test]
fn the_socket_does_what_the_queue_cannot() {
    let topology = Topology::new().unwrap();
    let [mut left, mut right] = sides(&topology, AttachMode::Driver);
    *left.told.known.lock().unwrap() = false;
    left.send(&message(1, 100), to("192.0.2.2"));
    assert_eq!(right.next().0, message(1, 100));
    assert_eq!(
        (left.by_queue().1, right.by_queue().0),
        (0, 1),
        "sent by the socket, received by the queue"
    );

    let sender = left
        .namespace
        .enter(|| UdpSocket::bind("192.0.2.1:4000"))
        .unwrap();
    sender.send_to(&message(2, 5000), ("192.0.2.2", PORT)).unwrap();
    let (arrived, path, _) = right.next();
    assert_eq!(arrived, message(2, 5000), "a datagram in fragments");
    assert_eq!(path.remote, "192.0.2.1:4000".parse().unwrap());
    assert_eq!(right.by_queue().0, 1, "the kernel joined it");
}

/// Catches an address that is sent from though it is this host's no more.
#[test]
fn an_address_that_went_is_forgotten() {
    let topology = Topology::new().unwrap();
    let [mut left, mut right] = sides(&topology, AttachMode::Driver);
    let gone = gone();
    left.send(&message(1, 100), gone);
    assert_eq!(right.next().1.remote, "192.0.2.1:51820".parse().unwrap());
    assert_eq!(left.port.forgotten_source(), Some(gone.remote));
    assert_eq!(left.port.forgotten_source(), None);
    assert_eq!(left.port.counters().tx_source_forgotten, 1);
}

/// Catches a link-local address of another link taken for one of this device's, where somebody else may have it: routers
/// like to be fe80::1 on each of their links.
#[test]
fn a_link_local_address_is_one_of_its_link_alone() {
    let topology = Topology::new().unwrap();
    let [mut left, _right] = sides(&topology, AttachMode::Driver);
    let here = left.namespace.device(&topology.interface("a")).unwrap().0;
    let loopback = 1;
    let near = |link| Path::to(SocketAddrV6::new("fe80::1".parse().unwrap(), PORT, 0, link).into());
    left.send(&message(1, 100), near(loopback));
    assert_eq!(left.by_queue().1, 0, "the kernel is to send it");
    left.send(&message(2, 100), near(here));
    assert_eq!(left.by_queue().1, 1, "it is the device's own link");
}

/// Catches an IPv4 address in its IPv6-mapped form, as some tools write endpoints, sent to as if it were one of IPv6.
#[test]
fn a_mapped_address_is_the_ipv4_address_that_it_is() {
    let topology = Topology::new().unwrap();
    let [mut left, mut right] = sides(&topology, AttachMode::Driver);
    left.send(&message(1, 100), to("::ffff:192.0.2.2"));
    assert_eq!(right.next().1.remote, "192.0.2.1:51820".parse().unwrap());
    assert_eq!(left.by_queue().1, 1);
}
