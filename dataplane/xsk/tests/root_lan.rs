//! LAN ports over AF_XDP and TUN: real kernels as hosts of the LAN, and raw frames.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod lan;

use lan::{
    GATEWAY, HOST, Lab, Ordinary, PEER, RAW, accounted, address, next, set_hop_limit, transmit, until,
};
use nix::sys::socket::{ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg, setsockopt, sockopt};
use std::io::IoSliceMut;
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsRawFd as _;
use std::sync::atomic::Ordering;
use weir_bench::{Namespace, Ping, traceroute};
use weir_frame::{Frame, Port, PortMode};
use weir_wire::arrival::Verdict;
use weir_wire::checksum::{self, verify_transport};
use weir_wire::{ethernet, ip, ipv4};
use weir_xdp_prog::AttachMode;

const MODES: [(AttachMode, PortMode); 2] = [
    (AttachMode::Driver, PortMode::Driver),
    (AttachMode::Generic, PortMode::Generic),
];

fn socket(namespace: &Namespace, at: &str, port: u16) -> UdpSocket {
    let at = SocketAddr::new(address(at), port);
    let socket = namespace.enter(|| UdpSocket::bind(at).unwrap());
    socket.set_read_timeout(Some(lan::LIMIT)).unwrap();
    socket
}

/// Catches a hop limit that stays, a checksum that no longer fits, a packet cut or with its padding, and everything of the
/// kernel's that the port takes from it: ARP and neighbour discovery, ping, TCP and UDP to the gateway itself.
#[test]
fn packets_of_lan_hosts_lose_a_hop_and_the_kernel_keeps_its_own() {
    for (mode, shown) in MODES {
        let lab = Lab::new(mode);
        let (_device, tun) = lab.tun();
        let (mut port, _attached) = lab.port(tun);
        assert_eq!(port.mode(), shown);
        let mut count = 0;
        for family in 0..2 {
            let sender = socket(&lab.host, HOST[family], 4000);
            let longest = lan::TUNNEL_MTU - [28, 48][family];
            for len in [0, 1, 33, longest] {
                let payload = vec![len as u8; len];
                sender.send_to(&payload, (address(PEER[family]), 7)).unwrap();
                let packet = next(&mut port);
                let parsed = ip::Packet::parse(&packet).unwrap();
                assert_eq!(parsed.hop_limit, 63, "{mode:?} {len}");
                assert_eq!(parsed.total_length, packet.len());
                assert_eq!(
                    (parsed.source, parsed.destination),
                    (address(HOST[family]), address(PEER[family]))
                );
                assert!(family == 1 || ipv4::header_checksum_valid(&packet));
                assert_eq!(verify_transport(&parsed, &packet), checksum::Verdict::Valid);
                assert_eq!(packet[parsed.l4_offset + 8..], payload);
                count += 1;
            }
            let gateway = address(GATEWAY[family]);
            let report = Ping::to(gateway).count(2).interval_ms(10).run(&lab.host).unwrap();
            assert_eq!(report.received, 2, "{mode:?}");
            let own = socket(&lab.gateway, GATEWAY[family], 9000);
            sender.send_to(b"to the gateway", (gateway, 9000)).unwrap();
            assert_eq!(own.recv(&mut [0; 64]).unwrap(), 14);
            let listener = lab.gateway.enter(|| TcpListener::bind((gateway, 22)).unwrap());
            lab.host.enter(|| {
                TcpStream::connect_timeout(&listener.local_addr().unwrap(), lan::LIMIT).unwrap();
            });
        }
        let received = port.queue().counters().received;
        assert_eq!((received, port.counters().rx_malformed), (count, 0), "{mode:?}");
        assert_eq!(lab.program.counters().unwrap()[Verdict::Lan as usize], count);
    }
}

/// Catches packets that leave with the wrong ends, hop limit or checksum, with what another packet left in the frame, or
/// not by the queue though they lie in a frame of TUN's.
#[test]
fn packets_of_tunnels_leave_by_the_queue() {
    for (mode, _) in MODES {
        let lab = Lab::new(mode);
        let (mut port, _attached) = lab.port(Box::new(Ordinary::new()));
        let mut wire = lab.wire();
        let mut count = 0;
        for family in 0..2 {
            for (hop_limit, len) in [(64, 0), (3, 1), (255, 33), (3, 1500 - [28, 48][family])] {
                let packet = lab.packet(PEER[family], RAW[family], hop_limit, len);
                transmit(&mut port, &[&packet]);
                assert_eq!(wire.next(), lab.forwarded(&packet), "{mode:?} {hop_limit} {len}");
                count += 1;
            }
            let packet = lab.packet(PEER[family], RAW[family], 64, 100);
            let mut large = port.fresh(9000).unwrap();
            assert!(large.write(&packet));
            port.transmit(&mut vec![large]);
            assert_eq!(wire.next(), lab.forwarded(&packet), "{mode:?}");
            count += 1;
        }
        assert_eq!(port.queue().counters().sent, count);
        assert_eq!(port.counters().tx_packets, count, "none by the ordinary port");
        assert_eq!(accounted(&mut port), port.frames());
    }
}

/// Catches packets lost where only the kernel can do it: to a next hop that is not known, to this host, longer than the
/// link, and those whose hops end here, which the kernel answers through the tunnel.
#[test]
fn the_kernel_does_what_the_queue_cannot() {
    let lab = Lab::new(AttachMode::Driver);
    let (_device, tun) = lab.tun();
    let (mut port, _attached) = lab.port(tun);
    let mut buffer = [0; 2000];
    for family in 0..2 {
        let (peer, host, gateway) = (PEER[family], HOST[family], GATEWAY[family]);
        let there = socket(&lab.host, host, 4001);
        let here = socket(&lab.gateway, gateway, 4001);

        lab.told.known.store(false, Ordering::Relaxed);
        transmit(&mut port, &[&lab.packet(peer, host, 64, 101)]);
        assert_eq!(there.recv(&mut buffer).unwrap(), 101, "a hop not known");
        lab.told.known.store(true, Ordering::Relaxed);

        transmit(&mut port, &[&lab.packet(peer, gateway, 64, 102)]);
        assert_eq!(here.recv(&mut buffer).unwrap(), 102, "to this host");

        lab.told.hop_mtu.store(1280, Ordering::Relaxed);
        transmit(&mut port, &[&lab.packet(peer, host, 64, 1300)]);
        assert_eq!(
            there.recv(&mut buffer).unwrap(),
            1300,
            "longer than the hop allows"
        );
        lab.told.hop_mtu.store(1500, Ordering::Relaxed);

        transmit(&mut port, &[&lab.packet(peer, host, 1, 103)]);
        let answer = next(&mut port);
        let parsed = ip::Packet::parse(&answer).unwrap();
        assert_eq!(parsed.destination, address(peer));
        assert_eq!(answer[parsed.l4_offset], [11, 3][family], "time exceeded");

        assert_eq!(
            port.queue().counters().sent,
            family as u64,
            "all that went by TUN"
        );
        transmit(&mut port, &[&lab.packet(peer, host, 64, 104)]);
        assert_eq!(there.recv(&mut buffer).unwrap(), 104, "by the queue");
        assert_eq!(port.queue().counters().sent, 1 + family as u64);
    }
}

/// Catches each kind of packet that only the kernel may decide about, sent past it.
#[test]
fn what_the_kernel_must_see_goes_by_tun() {
    let lab = Lab::new(AttachMode::Driver);
    let ordinary = Ordinary::new();
    let sent = ordinary.sent.clone();
    let (mut port, _attached) = lab.port(Box::new(ordinary));
    let v4 = || lab.packet(PEER[0], RAW[0], 64, 40);
    let v6 = || lab.packet(PEER[1], RAW[1], 64, 40);
    let changed = |mut packet: Vec<u8>, at: usize, bytes: &[u8]| {
        packet[at..at + bytes.len()].copy_from_slice(bytes);
        let hop_limit = packet[if packet[0] >> 4 == 4 { 8 } else { 7 }];
        set_hop_limit(&mut packet, hop_limit);
        packet
    };
    let mut wrong = v4();
    wrong[10] ^= 1;
    let cases = [
        ("to this host", lab.packet(PEER[0], GATEWAY[0], 64, 40)),
        ("from this host", lab.packet(GATEWAY[0], RAW[0], 64, 40)),
        ("elsewhere", lab.packet(PEER[0], "198.51.100.1", 64, 40)),
        ("multicast", lab.packet(PEER[0], "224.0.0.251", 64, 40)),
        ("broadcast", lab.packet(PEER[0], "255.255.255.255", 64, 40)),
        ("loopback", lab.packet(PEER[0], "127.0.0.1", 64, 40)),
        ("IPv4 link-local", lab.packet(PEER[0], "169.254.1.1", 64, 40)),
        ("unspecified", lab.packet(PEER[0], "0.0.0.0", 64, 40)),
        ("from loopback", lab.packet("127.0.0.1", RAW[0], 64, 40)),
        ("the last hop", lab.packet(PEER[0], RAW[0], 1, 40)),
        ("no hop", lab.packet(PEER[0], RAW[0], 0, 40)),
        ("too long", lab.packet(PEER[0], RAW[0], 64, 1473)),
        ("options", changed(v4(), 0, &[0x46])),
        ("shorter than the frame", changed(v4(), 2, &[0, 60])),
        ("a wrong checksum", wrong),
        ("to this host", lab.packet(PEER[1], GATEWAY[1], 64, 40)),
        ("from this host", lab.packet(GATEWAY[1], RAW[1], 64, 40)),
        ("multicast", lab.packet(PEER[1], "ff0e::1", 64, 40)),
        ("link-local", lab.packet(PEER[1], "fe80::1", 64, 40)),
        ("from link-local", lab.packet("fe80::1", RAW[1], 64, 40)),
        ("loopback", lab.packet(PEER[1], "::1", 64, 40)),
        ("unspecified", lab.packet(PEER[1], "::", 64, 40)),
        ("the last hop", lab.packet(PEER[1], RAW[1], 1, 40)),
        ("too long", lab.packet(PEER[1], RAW[1], 64, 1453)),
        ("hop-by-hop options", changed(v6(), 6, &[0])),
        ("no IP packet", vec![0x30; 40]),
        ("nothing", Vec::new()),
    ];
    for (what, packet) in &cases {
        transmit(&mut port, &[packet]);
        assert_eq!(sent.lock().unwrap().pop().as_ref(), Some(packet), "{what}");
    }
    for meta in 0..2 {
        let mut frame = port.fresh(100).unwrap();
        assert!(frame.write(&v4()));
        match meta {
            0 => frame.meta_mut().partial_checksum = Some((20, 6)),
            _ => frame.meta_mut().segmentation = weir_frame::Segmentation::Datagrams { size: 10 },
        }
        port.transmit(&mut vec![frame]);
        assert_eq!(sent.lock().unwrap().pop(), Some(v4()), "unfinished");
    }
    assert_eq!(port.queue().counters().sent, 0);
    transmit(&mut port, &[&v4(), &v6(), &v4()]);
    assert_eq!((port.queue().counters().sent, sent.lock().unwrap().len()), (3, 0));
    assert_eq!(port.counters().tx_packets, cases.len() as u64 + 2 + 3);
    assert_eq!(accounted(&mut port), port.frames());
}

/// What the kernel of a sender was told: who said it, ICMP type and code, and the MTU.
fn told(socket: &UdpSocket) -> (IpAddr, (u8, u8), u32) {
    let mut found = None;
    until("an error for the sender", || {
        let mut bytes = [0; 2000];
        let mut spans = [IoSliceMut::new(&mut bytes)];
        let mut space = nix::cmsg_space!([u8; 256]);
        let flags = MsgFlags::MSG_ERRQUEUE | MsgFlags::MSG_DONTWAIT;
        let Ok(message) = recvmsg::<SockaddrStorage>(socket.as_raw_fd(), &mut spans, Some(&mut space), flags)
        else {
            return false;
        };
        for control in message.cmsgs().unwrap() {
            found = match control {
                ControlMessageOwned::Ipv4RecvErr(error, Some(from)) => {
                    let from = u32::from_be(from.sin_addr.s_addr);
                    Some((
                        IpAddr::from(from.to_be_bytes()),
                        (error.ee_type, error.ee_code),
                        error.ee_info,
                    ))
                }
                ControlMessageOwned::Ipv6RecvErr(error, Some(from)) => {
                    let from = IpAddr::from(from.sin6_addr.s6_addr);
                    Some((from, (error.ee_type, error.ee_code), error.ee_info))
                }
                _ => continue,
            };
        }
        found.is_some()
    });
    found.unwrap()
}

/// Catches senders that never learn why their packets are lost: no error, one that their kernels refuse, from a foreign
/// address or with another MTU; and an MTU that the port remembers though it has changed.
#[test]
fn senders_learn_the_tunnel_s_mtu() {
    for (mode, _) in MODES {
        let lab = Lab::new(mode);
        let (mut port, _attached) = lab.port(Box::new(Ordinary::new()));
        let mut out = Vec::with_capacity(64);
        let mut count = 0;
        for mtu in [1420, 1400] {
            lab.told.tunnel_mtu.store(mtu, Ordering::Relaxed);
            for family in 0..2 {
                let sender = socket(&lab.host, HOST[family], 0);
                setsockopt(&sender, sockopt::Ipv4RecvErr, &(family == 0)).ok();
                setsockopt(&sender, sockopt::Ipv6RecvErr, &(family == 1)).ok();
                sender.connect((address(PEER[family]), 7)).unwrap();
                let longest = mtu - [28, 48][family];
                sender.send(&vec![0; longest + 1]).unwrap();
                count += 1;
                until("the packet", || {
                    port.receive(&mut out, 64);
                    port.counters().rx_too_big == count
                });
                assert!(out.is_empty(), "the engine gets none of it");
                let types = [(3, 4), (2, 0)][family];
                assert_eq!(
                    told(&sender),
                    (address(GATEWAY[family]), types, mtu as u32),
                    "{mode:?}"
                );
                let route = lab.host.ip(&format!("route get {}", PEER[family])).unwrap();
                assert!(route.contains(&format!("mtu {mtu}")), "{mode:?}: {route}");
                assert!(sender.send(&vec![0; longest]).is_ok());
                assert_eq!(next(&mut port).len(), mtu, "what fits goes through");
            }
        }
        assert_eq!(port.counters().tx_packets, count);
        assert_eq!(accounted(&mut port), port.frames());
    }
}

/// Catches errors about what must not be answered, or to nowhere: those are counted and end.
#[test]
fn no_error_answers_what_must_not_be_answered() {
    let lab = Lab::new(AttachMode::Driver);
    let (mut port, _attached) = lab.port(Box::new(Ordinary::new()));
    let mut wire = lab.wire();
    let long = |source: &str, destination: &str| lab.frame(source, destination, 64, 1430);
    let mut later = long(RAW[0], PEER[0]);
    later[ethernet::HEADER_LEN + 7] = 1;
    set_hop_limit(&mut later[ethernet::HEADER_LEN..], 64);
    let mut about_error = long(RAW[0], PEER[0]);
    about_error[ethernet::HEADER_LEN + 9] = ip::ICMP;
    about_error[ethernet::HEADER_LEN + 20] = 3;
    set_hop_limit(&mut about_error[ethernet::HEADER_LEN..], 64);
    let silent = [
        later,
        about_error,
        long("198.51.100.1", PEER[0]),
        long("2001:db8:1::1", PEER[1]),
    ];
    let mut out = Vec::new();
    for (count, frame) in (1..).zip(&silent) {
        wire.send(frame);
        until("the packet", || {
            port.receive(&mut out, 64);
            port.counters().rx_too_big == count
        });
        assert_eq!(port.counters().tx_packets, 0, "{frame:02x?}");
    }
    wire.send(&long(RAW[0], PEER[0]));
    until("the packet", || {
        port.receive(&mut out, 64);
        port.counters().tx_packets == 1
    });
    let answer = wire.next();
    let quoted = &answer[ethernet::HEADER_LEN + 28..];
    let original = long(RAW[0], PEER[0]);
    assert_eq!(
        quoted,
        &original[ethernet::HEADER_LEN..][..quoted.len()],
        "the packet as its sender sent it"
    );
    assert!(out.is_empty());
    assert_eq!(accounted(&mut port), port.frames());
}

/// Catches packets that claim to be this host's forwarded into a tunnel, and hops that end here unanswered or answered by
/// another address than the one that the sender sees.
#[test]
fn martians_end_and_the_last_hop_is_the_kernel_s() {
    let lab = Lab::new(AttachMode::Driver);
    let (_device, tun) = lab.tun();
    let (mut port, _attached) = lab.port(tun);
    let mut out = Vec::with_capacity(64);
    port.receive(&mut out, 64);
    out.drain(..).for_each(|frame| port.give_back(frame));
    let before = accounted(&mut port);
    let mut wire = lab.wire();
    for (family, gateway) in GATEWAY.into_iter().enumerate() {
        wire.send(&lab.frame(gateway, PEER[family], 64, 40));
        until("the martian", || {
            let taken = port.receive(&mut out, 64);
            assert!(
                out.iter()
                    .all(|frame| ip::source(frame.bytes()) != Some(address(gateway))),
                "{taken} taken"
            );
            out.drain(..).for_each(|frame| port.give_back(frame));
            port.counters().rx_martian == 1 + family as u64
        });
    }
    drop(wire);
    for family in 0..2 {
        let hops = traceroute(&lab.host, address(PEER[family])).unwrap();
        assert_eq!(hops[0], Some(address(GATEWAY[family])), "{hops:?}");
        assert!(
            hops[1..].iter().all(Option::is_none),
            "nobody answers behind: {hops:?}"
        );
    }
    let taken = lab.program.counters().unwrap()[Verdict::Lan as usize];
    assert!(taken > 2, "the other hops are for the tunnel");
    until("all that was taken", || {
        port.receive(&mut out, 64);
        out.drain(..).for_each(|frame| port.give_back(frame));
        port.queue().counters().received == taken
    });
    assert_eq!(accounted(&mut port), before);
}

/// Catches an ordinary port, and with it this host's own traffic, that never has its turn while the queue is busy.
#[test]
fn a_busy_queue_leaves_tun_its_turn() {
    let lab = Lab::new(AttachMode::Driver);
    let ordinary = Ordinary::new();
    let incoming = ordinary.incoming.clone();
    let (mut port, _attached) = lab.port(Box::new(ordinary));
    let mut wire = lab.wire();
    for _ in 0..64 {
        wire.send(&lab.frame(RAW[0], PEER[0], 64, 40));
    }
    let taken = || lab.program.counters().unwrap()[Verdict::Lan as usize];
    until("all frames", || taken() == 64);
    incoming.store(1, Ordering::Relaxed);
    let mut out: Vec<Frame> = Vec::with_capacity(64);
    for _ in 0..8 {
        port.receive(&mut out, 1);
    }
    assert_eq!((incoming.load(Ordering::Relaxed), out.len()), (0, 8));
    until("the rest", || {
        port.receive(&mut out, 64);
        out.len() == 65
    });
    out.drain(..).for_each(|frame| port.give_back(frame));
    assert_eq!(accounted(&mut port), port.frames());
}

/// xorshift64* (Vigna 2014), from a seed.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % bound
    }

    fn mutate(&mut self, bytes: &mut Vec<u8>, from: usize) {
        for _ in 0..self.below(4) {
            let at = from + self.below(bytes.len().min(80) - from);
            bytes[at] = self.below(256) as u8;
        }
        match self.below(6) {
            0 => bytes.truncate(from + self.below(bytes.len() - from)),
            1 => bytes.extend(vec![0x5a; self.below(40)]),
            _ => {}
        }
        // Half of them with a checksum that is right, to be looked at further.
        if self.below(2) == 0 && bytes.len() > from {
            let _ = ipv4::write_header_checksum(&mut bytes[from..]);
        }
    }
}

/// Catches any frame and any packet that ends the port, or whose frame is lost or doubled. The XDP program is told of more
/// than the port is, so that frames arrive that the port must refuse.
#[test]
fn whatever_comes_every_frame_is_accounted_for() {
    const SEED: u64 = 0x5eed_1a11;
    const ROUNDS: usize = 400;
    const BURST: usize = 32;

    let lab = Lab::new(AttachMode::Driver);
    lab.program.set_addresses(&[]).unwrap();
    lab.program
        .set_routes([(address("0.0.0.0"), 0, true), (address("::"), 0, true)])
        .unwrap();
    let (mut port, _attached) = lab.port(Box::new(Ordinary::new()));
    let mut wire = lab.wire();
    let mut random = Random(SEED);
    let (mut out, mut sending) = (Vec::with_capacity(64), Vec::with_capacity(64));
    let mut delivered = 0;
    println!("seed {SEED:#x}");
    for _ in 0..ROUNDS {
        for _ in 0..BURST {
            let family = random.below(2);
            let from = [HOST, GATEWAY, RAW, PEER][random.below(4)][family];
            let to = [PEER, PEER, GATEWAY, RAW][random.below(4)][family];
            let len = [0, 30, 600, 1380, 1430][random.below(5)];
            let mut frame = lab.frame(from, to, random.below(256) as u8, len);
            random.mutate(&mut frame, ethernet::HEADER_LEN);
            wire.send(&frame[..frame.len().min(1514)]);

            let mut packet = lab.packet(to, from, random.below(256) as u8, len);
            random.mutate(&mut packet, 0);
            let room = [packet.len(), 9000][random.below(2)];
            let Some(mut fresh) = port.fresh(room) else {
                continue;
            };
            assert!(fresh.write(&packet));
            sending.push(fresh);
        }
        port.transmit(&mut sending);
        let taken = lab.program.counters().unwrap()[Verdict::Lan as usize];
        until("what the program took", || {
            port.receive(&mut out, 64);
            delivered += out.len() as u64;
            out.drain(..).for_each(|frame| port.give_back(frame));
            port.queue().counters().received >= taken
        });
    }
    let counters = port.counters();
    assert_eq!(
        counters.rx_frames + counters.rx_malformed + counters.rx_martian + counters.rx_too_big,
        port.queue().counters().received,
        "each frame ends in one place: {counters:?}"
    );
    assert_eq!(delivered, counters.rx_frames);
    for (what, count) in [
        ("delivered", counters.rx_frames),
        ("malformed", counters.rx_malformed),
        ("martian", counters.rx_martian),
        ("too big", counters.rx_too_big),
        ("sent", port.queue().counters().sent),
    ] {
        assert!(count > 100, "too few to say anything: {what}, {counters:?}");
    }
    assert_eq!(accounted(&mut port), port.frames());
}
