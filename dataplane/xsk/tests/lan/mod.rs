//! A LAN host and a gateway at the two ends of a veth pair, the gateway's LAN port, and raw frames on the wire.
//!
//! ```text
//!  host                              gateway
//!  192.0.2.2, 2001:db8::2 ── veth ── 192.0.2.1, 2001:db8::1 ── LanPort ── this test, as the engine
//!  192.0.2.77, 2001:db8::77: this test, raw frames             TUN, 10.0.0.0/8, fd00::/8
//! ```

use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsFd as _;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use weir_bench::{End, Namespace, Topology, programs};
use weir_frame::{Frame, FramePool, Home, PoolSize, Port, PortCounters, PortMode, PortRole};
use weir_sockets::{TunDevice, TunOptions};
use weir_wire::arrival::Device;
use weir_wire::outer::Outer;
use weir_wire::{ethernet, ip, ipv4};
use weir_xdp_prog::{ArrivalProgram, ArrivalSettings, AttachMode, Attachment};
use weir_xsk::{Hop, LanParts, LanPort, Queue, Seat, Site, SocketOptions, Store};

pub const HOME: Home = Home { shard: 0, port: 0 };
pub const LIMIT: Duration = Duration::from_secs(10);
pub const TUNNEL_MTU: usize = 1420;
/// The gateway, its LAN's host, the address that the test answers for itself, and one behind a peer: of each family.
pub const GATEWAY: [&str; 2] = ["192.0.2.1", "2001:db8::1"];
pub const HOST: [&str; 2] = ["192.0.2.2", "2001:db8::2"];
pub const RAW: [&str; 2] = ["192.0.2.77", "2001:db8::77"];
pub const PEER: [&str; 2] = ["10.1.2.3", "fd01::3"];

const QUEUE_SIZE: PoolSize = PoolSize {
    small: 512,
    small_bytes: weir_xsk::CHUNK,
    large: 0,
    large_bytes: 0,
    headroom: 128,
};

const ORDINARY_SIZE: PoolSize = PoolSize {
    small: 512,
    small_bytes: 2048,
    large: 8,
    large_bytes: 65536 + 512,
    headroom: 128,
};

pub fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// What the port is told.
#[derive(Clone)]
pub struct Told {
    interface: u32,
    macs: ([u8; 6], [u8; 6]),
    pub known: Arc<AtomicBool>,
    pub hop_mtu: Arc<AtomicUsize>,
    pub tunnel_mtu: Arc<AtomicUsize>,
}

impl Device for Told {
    fn mac(&self) -> [u8; 6] {
        self.macs.1
    }
    fn is_wan(&self) -> bool {
        false
    }
    fn is_lan(&self) -> bool {
        true
    }
    fn is_port(&self, _port: u16) -> bool {
        false
    }
    fn is_own(&self, of: IpAddr) -> bool {
        GATEWAY.iter().any(|own| address(own) == of)
    }
    fn is_behind_peer(&self, of: IpAddr) -> bool {
        match of {
            IpAddr::V4(of) => of.octets()[0] == 10,
            IpAddr::V6(of) => of.octets()[0] == 0xfd,
        }
    }
}

impl Site for Told {
    fn refresh(&mut self) {}

    fn hop(&self, destination: IpAddr) -> Option<Hop> {
        let (on_link, source) = match destination {
            IpAddr::V4(to) => (to.octets()[..3] == [192, 0, 2], GATEWAY[0]),
            IpAddr::V6(to) => (to.segments()[..4] == [0x2001, 0xdb8, 0, 0], GATEWAY[1]),
        };
        (on_link && self.known.load(Ordering::Relaxed)).then(|| Hop {
            macs: self.macs,
            source: address(source),
            mtu: self.hop_mtu.load(Ordering::Relaxed),
        })
    }

    fn interface(&self) -> u32 {
        self.interface
    }

    fn port(&self) -> u16 {
        51820
    }

    fn tunnel_mtu(&self) -> usize {
        self.tunnel_mtu.load(Ordering::Relaxed)
    }
}

pub struct Lab {
    pub host: Namespace,
    pub gateway: Namespace,
    pub told: Told,
    pub program: ArrivalProgram,
    mode: AttachMode,
    /// The ends' numbers, the host's first.
    interfaces: [u32; 2],
    pub topology: Topology,
}

impl Lab {
    pub fn new(mode: AttachMode) -> Self {
        let topology = Topology::new().unwrap();
        let [host, gateway] = ["h", "g"].map(|label| topology.namespace(label).unwrap());
        let names = ["h", "g"].map(|label| topology.interface(label));
        topology
            .veth(
                &End::new(&host, &names[0], &["192.0.2.2/24", "2001:db8::2/64"]),
                &End::new(&gateway, &names[1], &["192.0.2.1/24", "2001:db8::1/64"]),
            )
            .unwrap();
        for (network, via) in [("10.0.0.0/8", GATEWAY[0]), ("fd00::/8", GATEWAY[1])] {
            host.ip(&format!("route add {network} via {via}")).unwrap();
        }
        gateway.forward().unwrap();
        // What a kernel leaves to the card would arrive with unfinished checksums.
        host.run(
            programs::tool("ethtool")
                .unwrap()
                .args(["-K", &names[0], "tx", "off"]),
        )
        .unwrap();
        let links = [(&host, &names[0]), (&gateway, &names[1])]
            .map(|(namespace, name)| namespace.device(name).unwrap());
        let told = Told {
            interface: links[1].0,
            macs: (links[0].1, links[1].1),
            known: Arc::new(AtomicBool::new(true)),
            hop_mtu: Arc::new(AtomicUsize::new(1500)),
            tunnel_mtu: Arc::new(AtomicUsize::new(TUNNEL_MTU)),
        };
        let program = ArrivalProgram::load().unwrap();
        let settings = ArrivalSettings {
            mac: told.mac(),
            lan: true,
            ..ArrivalSettings::default()
        };
        program.set(&settings).unwrap();
        program.set_addresses(&GATEWAY.map(address)).unwrap();
        program
            .set_routes([(address("10.0.0.0"), 8, true), (address("fd00::"), 8, true)])
            .unwrap();
        Self {
            host,
            gateway,
            told,
            program,
            mode,
            interfaces: links.map(|(number, _)| number),
            topology,
        }
    }

    /// The gateway's port over its end of the pair and `ordinary`, at work while the attachment lives.
    pub fn port(&self, ordinary: Box<dyn Port>) -> (LanPort<Told>, Attachment) {
        let queue = queue(&self.gateway, self.interfaces[1], &self.program);
        let attached = self
            .gateway
            .enter(|| self.program.attach(self.interfaces[1], self.mode).unwrap());
        let port = LanPort::new(LanParts {
            queue: Seat::taken(queue, self.mode == AttachMode::Generic),
            tun: ordinary,
            site: self.told.clone(),
        });
        (port, attached)
    }

    /// A TUN device of the gateway's, through which its kernel reaches what is behind peers.
    pub fn tun(&self) -> (TunDevice, Box<dyn Port>) {
        let name = self.topology.interface("t");
        let pools = vec![FramePool::new(HOME, ORDINARY_SIZE)];
        let (device, mut ports) = self
            .gateway
            .enter(|| TunDevice::open(&name, &TunOptions::default(), pools).unwrap());
        self.gateway
            .ip(&format!("link set {name} mtu {TUNNEL_MTU} up"))
            .unwrap();
        for network in ["10.0.0.0/8", "fd00::/8"] {
            self.gateway
                .ip(&format!("route add {network} dev {name}"))
                .unwrap();
        }
        (device, Box::new(ports.remove(0)))
    }

    /// The host's end of the wire, where the test speaks for itself.
    pub fn wire(&self) -> Wire {
        let program = ArrivalProgram::load().unwrap();
        let settings = ArrivalSettings {
            mac: self.told.macs.0,
            lan: true,
            ..ArrivalSettings::default()
        };
        program.set(&settings).unwrap();
        program
            .set_routes([(address(RAW[0]), 32, true), (address(RAW[1]), 128, true)])
            .unwrap();
        let interface = self.interfaces[0];
        let queue = queue(&self.host, interface, &program);
        let attached = self
            .host
            .enter(|| program.attach(interface, AttachMode::Driver).unwrap());
        Wire {
            queue,
            _program: program,
            _attached: attached,
        }
    }

    /// A frame from the host's end of the wire: a UDP datagram of `len` bytes.
    pub fn frame(&self, source: &str, destination: &str, hop_limit: u8, len: usize) -> Vec<u8> {
        let (host, gateway) = self.told.macs;
        let outer = Outer {
            macs: (gateway, host),
            source: SocketAddr::new(address(source), 4000),
            destination: SocketAddr::new(address(destination), 4001),
            traffic_class: 0,
        };
        let headers = outer.headers().unwrap();
        let mut frame = vec![0xa5; headers.header_len() + len];
        assert!(headers.write(&mut frame, 7));
        let packet = &mut frame[ethernet::HEADER_LEN..];
        set_hop_limit(packet, hop_limit);
        frame
    }

    /// The packet of such a frame.
    pub fn packet(&self, source: &str, destination: &str, hop_limit: u8, len: usize) -> Vec<u8> {
        self.frame(source, destination, hop_limit, len)[ethernet::HEADER_LEN..].to_vec()
    }

    /// A packet as the gateway sends it on.
    pub fn forwarded(&self, packet: &[u8]) -> Vec<u8> {
        let (host, gateway) = self.told.macs;
        let mut packet = packet.to_vec();
        let (ethertype, at) = if packet[0] >> 4 == 4 {
            ([8, 0], 8)
        } else {
            ([0x86, 0xdd], 7)
        };
        let hop_limit = packet[at] - 1;
        set_hop_limit(&mut packet, hop_limit);
        let mut frame = [&host[..], &gateway, &ethertype, &packet].concat();
        frame.resize(frame.len().max(60), 0);
        frame
    }
}

/// Sets TTL or hop limit, and computes IPv4's header checksum anew.
pub fn set_hop_limit(packet: &mut [u8], hop_limit: u8) {
    if packet[0] >> 4 == 4 {
        packet[8] = hop_limit;
        assert!(ipv4::write_header_checksum(packet));
    } else {
        packet[7] = hop_limit;
    }
}

fn queue(namespace: &Namespace, interface: u32, program: &ArrivalProgram) -> Queue {
    let options = SocketOptions {
        interface,
        queue: 0,
        copying: None,
        ring: 128,
        busy_poll: false,
    };
    let store = Store::new(HOME, QUEUE_SIZE).unwrap();
    let queue = namespace.enter(|| Queue::open(options, store).unwrap());
    program.insert_socket(0, queue.as_fd()).unwrap();
    queue
}

/// Raw frames at the host's end.
pub struct Wire {
    queue: Queue,
    _program: ArrivalProgram,
    _attached: Attachment,
}

impl Wire {
    pub fn send(&mut self, bytes: &[u8]) {
        self.queue.complete();
        let mut frame = self.queue.pool().take(bytes.len()).unwrap();
        assert!(frame.write(bytes));
        let mut frames = vec![frame];
        // A slow machine's kernel may still have a ring of them.
        until("room on the wire", || {
            self.queue.transmit(&mut frames);
            self.queue.complete();
            frames.is_empty()
        });
    }

    /// The next frame to one of the addresses that the test answers for.
    pub fn next(&mut self) -> Vec<u8> {
        let mut frames = Vec::with_capacity(1);
        until("a frame on the wire", || self.queue.receive(&mut frames, 1) > 0);
        let frame = frames.remove(0);
        let bytes = frame.bytes().to_vec();
        self.queue.pool().give_back(frame);
        bytes
    }
}

/// Asks until it is true.
pub fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + LIMIT;
    while !condition() {
        assert!(Instant::now() < deadline, "{what} never came");
        std::thread::sleep(Duration::from_micros(200));
    }
}

/// What the port receives next, but for what the gateway's kernel tells everyone on TUN (reports of multicast listeners).
pub fn next(port: &mut impl Port) -> Vec<u8> {
    let mut frames: Vec<Frame> = Vec::with_capacity(1);
    let mut found = None;
    until("a packet", || {
        port.receive(&mut frames, 1);
        for frame in frames.drain(..) {
            if ip::destination(frame.bytes()).is_some_and(|to| !to.is_multicast()) {
                found = Some(frame.bytes().to_vec());
            }
            port.give_back(frame);
        }
        found.is_some()
    });
    found.unwrap()
}

/// Hands packets to a port as the engine does.
pub fn transmit(port: &mut impl Port, packets: &[&[u8]]) {
    let mut frames: Vec<Frame> = packets
        .iter()
        .map(|packet| {
            let mut frame = port.fresh(packet.len()).unwrap();
            // What was there before must not be sent as padding.
            frame.room_mut().fill(0xee);
            assert!(frame.write(packet));
            frame
        })
        .collect();
    port.transmit(&mut frames);
    assert!(frames.is_empty());
}

/// How many frames of the port's are at home or with the kernel. Nothing may be under way.
pub fn accounted(port: &mut LanPort<Told>) -> usize {
    let mut frames = Vec::new();
    while let Some(frame) = port.fresh(0) {
        frames.push(frame);
    }
    let (filling, sending) = port.queue().held();
    let count = frames.len() + (filling + sending) as usize;
    frames.into_iter().for_each(|frame| port.give_back(frame));
    count
}

/// A stand-in for TUN, all of whose frames are in sight: it keeps what is sent, and receives what it is told.
pub struct Ordinary {
    pool: FramePool,
    pub sent: Arc<Mutex<Vec<Vec<u8>>>>,
    /// Packets that it will receive.
    pub incoming: Arc<AtomicUsize>,
    counters: PortCounters,
}

impl Ordinary {
    pub fn new() -> Self {
        Self {
            pool: FramePool::new(HOME, ORDINARY_SIZE),
            sent: Arc::default(),
            incoming: Arc::default(),
            counters: PortCounters::default(),
        }
    }
}

impl Port for Ordinary {
    fn receive(&mut self, out: &mut Vec<Frame>, limit: usize) -> usize {
        let count = limit.min(self.incoming.load(Ordering::Relaxed));
        for _ in 0..count {
            let mut frame = self.pool.take_small().unwrap();
            assert!(frame.write(b"of this host"));
            out.push(frame);
        }
        self.incoming.fetch_sub(count, Ordering::Relaxed);
        self.counters.rx_frames += count as u64;
        count
    }

    fn transmit(&mut self, frames: &mut Vec<Frame>) {
        for frame in frames.drain(..) {
            self.counters.tx_packets += 1;
            self.sent.lock().unwrap().push(frame.bytes().to_vec());
            self.pool.give_back(frame);
        }
    }

    fn fresh(&mut self, len: usize) -> Option<Frame> {
        self.pool.take(len)
    }

    fn give_back(&mut self, frame: Frame) {
        self.pool.give_back(frame);
    }

    fn home(&self) -> Home {
        HOME
    }

    fn frames(&self) -> usize {
        self.pool.size().frames()
    }

    fn abroad(&self) -> usize {
        self.pool.abroad()
    }

    fn into_pool(self: Box<Self>) -> FramePool {
        self.pool
    }

    fn role(&self) -> PortRole {
        PortRole::Host
    }

    fn mode(&self) -> PortMode {
        PortMode::Memory
    }

    fn counters(&self) -> PortCounters {
        self.counters
    }

    fn forgotten_source(&mut self) -> Option<SocketAddr> {
        None
    }
}
