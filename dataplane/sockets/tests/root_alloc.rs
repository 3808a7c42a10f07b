//! The packet path allocates nothing: counted over both ports in steady state.

mod namespace;

use namespace::{add_address, in_namespace, set_up};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::net::SocketAddr;
use weir_frame::{Frame, FramePool, Home, Path, PoolSize, Port};
use weir_sockets::{SlotTable, TunDevice, TunOptions, UdpGroup, UdpOptions};

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

/// The system's allocator, which counts what each thread asks for.
struct Counting;

// SAFETY: every call is passed on unchanged to the system's allocator, which keeps the contract.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.with(|count| count.set(count.get() + 1));
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the contract of `dealloc`, and `alloc` got the pointer from the same allocator.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

fn allocations() -> u64 {
    ALLOCATIONS.with(Cell::get)
}

fn pool(port: u16) -> FramePool {
    FramePool::new(Home { shard: 0, port }, PoolSize::default())
}

/// A datagram to the device's address, whole, so that neighbours like it are joined.
fn datagram() -> Vec<u8> {
    let mut packet = vec![0; 128];
    packet[..10].copy_from_slice(&[0x45, 0, 0, 128, 0, 0, 0x40, 0, 64, 17]);
    packet[12..20].copy_from_slice(&[10, 77, 0, 2, 10, 77, 0, 1]);
    packet[20..26].copy_from_slice(&[0, 9, 0, 9, 0, 108]);
    weir_wire::ipv4::write_header_checksum(&mut packet);
    let parsed = weir_wire::ip::Packet::parse(&packet).expect("a packet");
    let pseudo = parsed.pseudo_header(108).fold();
    packet[26..28].copy_from_slice(&pseudo.to_be_bytes());
    weir_wire::checksum::complete_partial(&mut packet, 20, 6).expect("a checksum");
    packet
}

/// Has `turn` run until nothing grows any more, then a thousand times, counting.
fn check(mut turn: impl FnMut()) {
    (0..100).for_each(|_| turn());
    let before = allocations();
    (0..1000).for_each(|_| turn());
    assert_eq!(allocations() - before, 0, "allocations in a thousand batches");
}

// Catches a list that is made anew for each batch, or grows with each.
#[test]
fn udp_ports_allocate_nothing() {
    in_namespace(|| {
        let (group, mut ports) =
            UdpGroup::bind(&UdpOptions::default(), vec![pool(0)], &SlotTable::interleaved(1))
                .expect("a port");
        let port = &mut ports[0];
        let to: [SocketAddr; 2] =
            ["127.0.0.1", "::1"].map(|ip| SocketAddr::new(ip.parse().expect("an address"), group.port()));
        let mut frames: Vec<Frame> = Vec::with_capacity(64);
        let mut turns = 0;
        check(|| {
            for i in 0..32 {
                let mut frame = port.fresh(200).expect("a frame");
                frame.set_len(100 + i % 5 / 4 + turns % 3);
                frame.meta_mut().path = Some(Path::to(to[i % 2]));
                frames.push(frame);
            }
            // A destination without a route takes the way of errors.
            let mut lost = port.fresh(1).expect("a frame");
            lost.meta_mut().path = Some(Path::to("192.0.2.1:9".parse().expect("an address")));
            frames.push(lost);
            port.transmit(&mut frames);
            while port.receive(&mut frames, 64) > 0 {
                frames.drain(..).for_each(|frame| port.give_back(frame));
            }
            turns += 1;
        });
        assert_eq!(port.counters().tx_packets, 1100 * 32);
        assert_eq!(port.counters().tx_errors, 1100);
        assert!(port.counters().rx_frames > 1100);
    });
}

// Catches the same on the inner side.
#[test]
fn tun_ports_allocate_nothing() {
    in_namespace(|| {
        let (_device, mut ports) =
            TunDevice::open("weir0", &TunOptions::default(), vec![pool(1)]).expect("a device");
        let port = &mut ports[0];
        add_address("weir0", "10.77.0.1", 24);
        set_up("weir0");
        let socket = std::net::UdpSocket::bind("10.77.0.1:0").expect("a socket");
        socket.connect("10.77.0.9:9").expect("a destination");
        let packet = datagram();
        let mut frames: Vec<Frame> = Vec::with_capacity(64);
        check(|| {
            for _ in 0..32 {
                let mut frame = port.fresh(packet.len()).expect("a frame");
                assert!(frame.write(&packet));
                frames.push(frame);
            }
            port.transmit(&mut frames);
            socket.send(&packet).expect("sent");
            port.receive(&mut frames, 64);
            frames.drain(..).for_each(|frame| port.give_back(frame));
        });
        assert_eq!(port.counters().tx_packets, 1100 * 32);
        assert!(port.counters().rx_frames >= 1100);
    });
}
