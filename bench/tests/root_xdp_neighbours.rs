//! What a gateway with ports of AF_XDP leaves to the kernel: all that is not Weir's arrives whole, while the tunnel is
//! loaded; and what nobody wants is one counted drop.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod callers;
mod frames;
mod ground;
mod load;
mod xdp;

use std::collections::BTreeMap;
use std::fs;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use callers::Caller;
use frames::{Cable, VLAN};
use load::amid_load;
use nix::sys::signal::Signal;
use weir_abi::status::Status;
use weir_bench::counted::Counted;
use weir_bench::gateway_topology::{PORT, client_address, gateway_key, translated_address};
use weir_bench::transfer::Transfer;
use weir_bench::tunnel::Family;
use weir_bench::xdp_lab::{LAN, Setup, WAN, XdpLab, client_outside, gateway_outside};
use weir_bench::{Implementation, Namespace, Ping, Topology, wait};
use weir_testkit::packets;
use xdp::{LIMIT, Pair, SILENCE};

/// How many of each kind.
const EACH: u64 = 20;

/// Two hosts with a cable between them, one of them the gateway, and the other's and the gateway's addresses on it.
struct Cables<'a> {
    device: &'static str,
    other: &'a Namespace,
    gateway: &'a Namespace,
    addresses: [[IpAddr; 2]; 2],
}

impl<'a> Cables<'a> {
    fn of(pair: &'a Pair) -> [Self; 2] {
        let gateway = pair.lab.gateway.namespace();
        let servers = |family| xdp::address(weir_bench::tunnel::Side::Right, family);
        [
            Self {
                device: WAN,
                other: &pair.lab.far,
                gateway,
                addresses: Family::BOTH.map(|family| [client_outside(family), gateway_outside(family)]),
            },
            Self {
                device: LAN,
                other: &pair.lab.server,
                gateway,
                addresses: Family::BOTH.map(|family| [servers(family), translated_address(family)]),
            },
        ]
    }

    /// From where to which address, each way, in both IP versions.
    fn ways(&self) -> Vec<(&'a Namespace, &'a Namespace, IpAddr)> {
        let ways = self.addresses.iter();
        ways.flat_map(|[other, gateway]| {
            [
                (self.other, self.gateway, *gateway),
                (self.gateway, self.other, *other),
            ]
        })
        .collect()
    }
}

/// Catches traffic of the host's own that the XDP program takes, drops or damages, and that the tunnel's load starves: TCP
/// that lasts, pings of one frame and in fragments, datagrams to another port, each way and in both IP versions.
#[test]
fn other_traffic_passes_beside_a_loaded_tunnel() {
    const BYTES: u64 = 2_000_000;
    let pair = Pair::up(Implementation::Weir);
    let cables = Cables::of(&pair);
    let ways: Vec<_> = cables.iter().flat_map(Cables::ways).collect();
    amid_load(&pair, |_| {
        let running: Vec<_> = ways
            .iter()
            .map(|&(from, to, address)| {
                let transfer = Transfer {
                    destination: (address, 0).into(),
                    bytes: BYTES,
                    bytes_per_s: Some(BYTES / 5),
                    seed: 7,
                    limit: LIMIT,
                };
                let counted = Counted::start(from, to, (address, 0).into(), 200).unwrap();
                (transfer.start(from, to).unwrap(), counted)
            })
            .collect();
        thread::scope(|scope| {
            for &(from, _, address) in &ways {
                scope.spawn(move || {
                    for bytes in [56, 1400, 4000] {
                        let ping = Ping::to(address).count(20).interval_ms(20).payload_bytes(bytes);
                        let report = ping.run(from).unwrap();
                        assert_eq!(report.sent, report.received, "{address}, {bytes} bytes");
                    }
                });
            }
        });
        for ((transfer, counted), (_, _, address)) in running.into_iter().zip(&ways) {
            let report = transfer.finish().unwrap();
            assert!(report.longest_silence < SILENCE, "{address}: {report:?}");
            let report = counted.finish().unwrap();
            assert_eq!(report.sent, report.received, "{address}");
        }
    });
}

/// Catches ARP and ND that do not get through, and a tunnel that does not outlive neighbours that are forgotten.
#[test]
fn neighbours_are_resolved_beside_a_loaded_tunnel() {
    let pair = Pair::up(Implementation::Weir);
    amid_load(&pair, |_| {
        for round in 0..5 {
            for cable in Cables::of(&pair) {
                let hosts = [cable.other, cable.gateway];
                for host in hosts {
                    host.ip(&format!("neighbour flush dev {}", cable.device)).unwrap();
                }
                for (from, _, address) in cable.ways() {
                    let case = format!("round {round}, {address}");
                    Ping::to(address).until_answered(from, SILENCE).expect(&case);
                    let shown = from
                        .ip(&format!("neighbour show {address} dev {}", cable.device))
                        .unwrap();
                    assert!(shown.contains("lladdr"), "{case}: {shown}");
                }
            }
        }
    });
    pair.assert_modes();
}

/// Catches fragments that are not left to the kernel, and datagrams joined by it that no shard is given.
#[test]
fn fragments_of_a_tunnel_s_datagrams_are_joined() {
    let gateway = SocketAddr::new([192, 0, 2, 10].into(), PORT);
    let setup = Setup {
        more: (0..2)
            .map(|number| ground::peer(number, &format!("{}/32", callers::address(number))))
            .collect(),
        ..Setup::driver()
    };
    let pair = Pair::new(Implementation::Weir, setup);
    pair.lab
        .gateway
        .namespace()
        .ip(&format!("address add {}/24 dev {WAN}", gateway.ip()))
        .unwrap();
    let route = format!("route add {} dev {WAN} mtu lock 400", gateway.ip());
    pair.lab.far.ip(&route).unwrap();
    amid_load(&pair, |_| {
        let before = Counts::of(&pair.lab);
        for number in 0..2 {
            let mut caller = Caller::new(&pair.lab.far, number, gateway_key().public(), gateway).unwrap();
            caller.call();
            for sequence in 0..EACH as u16 {
                let answered = caller.pings([10, 77, 0, 1].into(), sequence);
                answered.unwrap_or_else(|why| panic!("{why}: {:#?}", pair.lab.status()));
            }
        }
        let since = Counts::of(&pair.lab).since(&before);
        // Two fragments of each, at least.
        assert!(since.get("wan fragment") >= 2 * 2 * EACH, "{since:?}");
    });
}

/// Frames that were dropped, or that the kernel was given for one of the reasons that matter here, by the counter's name.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Counts(BTreeMap<String, u64>);

impl Counts {
    fn of(lab: &XdpLab) -> Self {
        let status = lab.status().unwrap();
        let mut counts = Self(BTreeMap::new());
        counts.arrivals(&status);
        counts.drops(&status);
        let kernel = lab.gateway.namespace().enter(kernel);
        kernel
            .into_iter()
            .for_each(|(name, count)| counts.add(name, count));
        counts
    }

    /// What the XDP program decided. How much of a host's other traffic is left to the kernel is not looked at.
    fn arrivals(&mut self, status: &Status) {
        for device in &status.devices {
            for arrival in &device.arrivals {
                if !["kernel", "other_mac", "other_ethertype"].contains(&&*arrival.kind) {
                    self.add(format!("{} {}", device.device, arrival.kind), arrival.frames);
                }
            }
        }
    }

    fn drops(&mut self, status: &Status) {
        for shard in &status.shards {
            // The host's own kernel looks for routers in the tunnel, where none is.
            for (name, count) in shard.drops.iter().filter(|(name, _)| name != "no_route") {
                self.add(format!("drop {name}"), *count);
            }
            for port in &shard.ports {
                for (name, count) in &port.errors {
                    self.add(format!("{} {name}", port.role), *count);
                }
            }
        }
    }

    fn add(&mut self, name: String, count: u64) {
        *self.0.entry(name).or_default() += count;
    }

    fn get(&self, name: &str) -> u64 {
        self.0.get(name).copied().unwrap_or(0)
    }

    /// What has been counted since then.
    fn since(&self, before: &Self) -> Self {
        let since = self
            .0
            .iter()
            .map(|(name, count)| (name.clone(), count - before.get(name)));
        Self(since.filter(|(_, count)| *count > 0).collect())
    }
}

/// What the kernel dropped in the thread's network namespace as malformed.
fn kernel() -> Vec<(String, u64)> {
    const NAMES: [&str; 4] = [
        "UdpInErrors",
        "IpInHdrErrors",
        "IpExtInTruncatedPkts",
        "Udp6InErrors",
    ];
    let mut counted = Vec::new();
    for file in ["snmp", "netstat"] {
        // Two lines for each protocol: names and values.
        let text = fs::read_to_string(format!("/proc/thread-self/net/{file}")).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        for pair in lines.chunks_exact(2) {
            let (protocol, _) = pair[0].split_once(':').unwrap();
            let columns = pair.iter().map(|line| line.split(' ').skip(1));
            let [names, values] = columns.collect::<Vec<_>>().try_into().unwrap();
            counted.extend(names.zip(values).map(|(name, value)| {
                (
                    format!("{protocol}{name}"),
                    value.parse::<i64>().unwrap_or(0).max(0) as u64,
                )
            }));
        }
    }
    let v6 = fs::read_to_string("/proc/thread-self/net/snmp6").unwrap();
    counted.extend(v6.lines().filter_map(|line| {
        let (name, value) = line.split_once(char::is_whitespace)?;
        Some((name.to_owned(), value.trim().parse().ok()?))
    }));
    counted.retain(|(name, _)| NAMES.contains(&&**name));
    counted
        .into_iter()
        .map(|(name, count)| (format!("kernel {name}"), count))
        .collect()
}

/// Expects [`EACH`] of these counters, and nothing of any other, to be counted for what `send` sends, with a number each.
fn expect_each(lab: &XdpLab, case: &str, counters: &[&str], mut send: impl FnMut(u64)) {
    let before = Counts::of(lab);
    (0..EACH).for_each(&mut send);
    let expected = Counts(counters.iter().map(|name| ((*name).to_owned(), EACH)).collect());
    let since = || Counts::of(lab).since(&before);
    let counted = wait::until_true(case, SILENCE, || since() == expected);
    // Once more, for what would be counted late.
    thread::sleep(Duration::from_millis(50));
    let since = since();
    assert!(
        counted.is_ok() && since == expected,
        "{case}: expected {expected:?}, counted {since:?}"
    );
}

/// A gateway without a client: nothing is under way but what a test sends.
fn quiet() -> XdpLab {
    XdpLab::new(Arc::new(Topology::new().unwrap()), Setup::driver()).unwrap()
}

/// A message of WireGuard's that no one can have sent: type, length, and a number that makes each another.
fn message(kind: u8, length: usize, number: u64) -> Vec<u8> {
    let mut message = vec![0x5a; length];
    message[..4].copy_from_slice(&[kind, 0, 0, 0]);
    let number = number.to_le_bytes();
    let end = length.min(16);
    message[8..end].copy_from_slice(&number[..end - 8]);
    message
}

/// Catches a datagram on the gateway's port that is counted twice or not at all, under another name than its own, or that
/// comes through to the engine though its format is none.
#[test]
fn a_datagram_that_nobody_accepts_is_one_counted_drop() {
    let lab = quiet();
    let stun = |length: u16, cookie: u32| {
        let head = [
            &[0, 1][..],
            &length.to_be_bytes(),
            &cookie.to_be_bytes(),
            &[7; 12],
        ];
        head.concat()
    };
    let unknown: [(&str, Vec<u8>); 12] = [
        ("nothing", vec![]),
        ("one byte", vec![1]),
        ("HTTP", b"GET / HTTP/1.1\r\n\r\n".to_vec()),
        ("an initiation too short", message(1, 147, 0)),
        ("an initiation too long", message(1, 149, 0)),
        ("a response of another length", message(2, 93, 0)),
        ("a cookie reply of another length", message(3, 63, 0)),
        ("a keepalive too short", message(4, 31, 0)),
        ("a message of type 5", message(5, 148, 0)),
        (
            "reserved bytes that are not zero",
            [&[4, 0, 1, 0][..], &[0x5a; 60]].concat(),
        ),
        ("STUN without its cookie", stun(0, 0x2112_a443)),
        ("STUN of another length", stun(4, 0x2112_a442)),
    ];
    let known: [(&str, usize, u8, &str); 5] = [
        ("an initiation for another key", 148, 1, "drop bad_mac1"),
        ("a response to nobody", 92, 2, "drop unknown_index"),
        ("a cookie reply to nobody", 64, 3, "drop unknown_index"),
        ("a keepalive for nobody", 32, 4, "drop unknown_index"),
        ("data for nobody", 1452, 4, "drop unknown_index"),
    ];
    for family in Family::BOTH {
        let socket = lab.far.enter(|| {
            let socket = UdpSocket::bind((client_outside(family), 0)).unwrap();
            socket.connect((gateway_outside(family), PORT)).unwrap();
            socket
        });
        for (case, datagram) in &unknown {
            expect_each(&lab, &format!("{family:?}, {case}"), &["wan unknown"], |_| {
                socket.send(datagram).unwrap();
            });
        }
        for (case, length, kind, counter) in known {
            expect_each(
                &lab,
                &format!("{family:?}, {case}"),
                &["wan wan", counter],
                |number| {
                    socket.send(&message(kind, length, number)).unwrap();
                },
            );
        }
    }
}

/// Catches a frame that the XDP program took, for which the port's ring has no room, and that no counter knows of.
#[test]
fn a_frame_for_which_there_is_no_room_is_one_counted_drop() {
    const SENT: u32 = 6000;
    let mut lab = quiet();
    let sockets: Vec<_> = lab.server.enter(|| {
        (0..16)
            .map(|_| UdpSocket::bind(("0.0.0.0", 0)).unwrap())
            .collect()
    });
    let send = |number: u32| {
        let socket = &sockets[number as usize % sockets.len()];
        socket
            .send_to(&number.to_be_bytes(), (client_address(Family::V4), 9))
            .unwrap();
    };
    // Until the program knows what leads into the tunnel, the kernel forwards it there.
    let taken = || {
        send(0);
        Counts::of(&lab).get("lan lan") > 0
    };
    wait::until_true("a packet for a peer that is taken", LIMIT, taken).unwrap();

    let mut before = Counts::of(&lab);
    wait::until_true("the end of what was sent", LIMIT, || {
        let now = Counts::of(&lab);
        core::mem::replace(&mut before, now.clone()) == now
    })
    .unwrap();
    // More than two rings have room for. The client has not called, so that nothing goes further than to the engine.
    lab.gateway.process().signal(Signal::SIGSTOP).unwrap();
    (0..SENT).for_each(send);
    lab.gateway.process().signal(Signal::SIGCONT).unwrap();
    let since = || Counts::of(&lab).since(&before);
    let counted = || {
        let since = since();
        let (taken, full) = (since.get("lan lan"), since.get("host rx_full"));
        let dropped: u64 = since.0.values().sum::<u64>() - taken - full;
        taken > 0 && full > 0 && dropped > 0 && taken == full + dropped
    };
    let found = wait::until_true("each frame in one counter", SILENCE, counted);
    found.unwrap_or_else(|error| panic!("{error}: {:?}", since()));
    println!("{:?}", since());
}

/// Catches frames that contradict themselves and are taken, dropped silently or counted twice, and frames taken that are
/// the kernel's: with options, with a VLAN tag.
#[test]
fn a_frame_that_contradicts_itself_is_one_counted_drop() {
    let lab = quiet();
    let [far, gateway] = [&lab.far, lab.gateway.namespace()].map(|host| Cable::at(host, WAN));
    for family in Family::BOTH {
        let [from, to] = [client_outside(family), gateway_outside(family)];
        let v4 = from.is_ipv4();
        let packet =
            |number: u64| packets::udp((from, 4001).into(), (to, PORT).into(), &message(4, 100, number));
        let header = if v4 { 20 } else { 40 };
        let send = |packet: &[u8]| far.send_packet(gateway.mac(), packet);
        let case = |case: &str| format!("{family:?}, {case}");

        // It is the sender's that the kernel's twin counts as well: each frame is dropped once, by the kernel.
        let in_errors = if v4 {
            "kernel UdpInErrors"
        } else {
            "kernel Udp6InErrors"
        };
        expect_each(
            &lab,
            &case("UDP longer than IP"),
            &["wan malformed", in_errors],
            |number| {
                let mut packet = packet(number);
                packet[header + 4] = 1;
                send(&packet);
            },
        );
        if v4 {
            let truncated = ["wan malformed", "kernel IpExtInTruncatedPkts"];
            expect_each(&lab, "IPv4 longer than its frame", &truncated, |number| {
                let packet = packet(number);
                send(&packet[..packet.len() - 10]);
            });
            let options = ["wan options", "drop unknown_index"];
            expect_each(&lab, "IPv4 with options", &options, |number| {
                let plain = packet(number);
                // Four times "no operation" (RFC 791).
                let mut packet = [&plain[..20], &[1; 4], &plain[20..]].concat();
                packet[0] = 0x46;
                packet[3] += 4;
                weir_wire::ipv4::write_header_checksum(&mut packet);
                send(&packet);
            });
        }
        gateway.seen();
        let tagged = |number: u64| {
            [
                &[0, 5][..],
                if v4 { &[8, 0] } else { &[0x86, 0xdd] },
                &packet(number),
            ]
            .concat()
        };
        expect_each(&lab, &case("with a VLAN tag"), &["wan vlan"], |number| {
            far.send(
                gateway.mac(),
                &[&VLAN.to_be_bytes()[..], &tagged(number)].concat(),
            );
        });
        let seen = gateway.seen();
        for number in 0..EACH {
            let whole = |frame: &Vec<u8>| frame.ends_with(&packet(number));
            assert!(
                seen.iter().any(whole),
                "{family:?}: the kernel was not given frame {number}"
            );
        }
    }
}
