//! The XDP program against its twin in Rust, frame by frame, and on devices.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use libbpf_rs::{Xdp, XdpFlags};
use rand_chacha::ChaCha8Rng;
use rand_core::{Rng as _, SeedableRng as _};
use std::net::IpAddr;
use std::os::fd::AsFd as _;
use weir_bench::{Namespace, Topology};
use weir_wire::arrival::{Device, VERDICTS, Verdict, arrival};
use weir_xdp_prog::{ArrivalProgram, ArrivalSettings, AttachError, AttachMode};

const MAC: [u8; 6] = [2, 0, 0, 0, 0, 9];

/// Frames in the comparison.
const FRAMES: usize = 1_000_000;

/// Replays a failure, which prints it.
const SEED: &str = "WEIR_SEED";

/// What both sides are told of the device.
struct Told {
    settings: ArrivalSettings,
    ports: Vec<u16>,
    own: Vec<IpAddr>,
    routes: Vec<(IpAddr, u8, bool)>,
}

impl Told {
    fn both_roles() -> Self {
        let address = |text: &str| text.parse::<IpAddr>().unwrap();
        Self {
            settings: ArrivalSettings {
                mac: MAC,
                wan: true,
                lan: true,
                ceiling_per_s: None,
            },
            ports: vec![51820, 443],
            own: ["192.0.2.1", "10.77.0.1", "2001:db8::1", "fd77::1"]
                .map(address)
                .to_vec(),
            routes: vec![
                (address("10.77.0.0"), 16, true),
                (address("10.77.64.0"), 18, false),
                (address("10.5.1.7"), 32, true),
                (address("203.0.113.128"), 25, true),
                (address("fd77::"), 64, true),
                (address("fd77::8000:0:0:0"), 65, false),
                (address("2001:db8:5::"), 47, true),
            ],
        }
    }

    fn tell(&self, program: &ArrivalProgram) {
        program.set(&self.settings).unwrap();
        program.set_ports(&self.ports).unwrap();
        program.set_addresses(&self.own).unwrap();
        program.set_routes(self.routes.iter().copied()).unwrap();
    }
}

impl Device for Told {
    fn mac(&self) -> [u8; 6] {
        self.settings.mac
    }
    fn is_wan(&self) -> bool {
        self.settings.wan
    }
    fn is_lan(&self) -> bool {
        self.settings.lan
    }
    fn is_port(&self, port: u16) -> bool {
        self.ports.contains(&port)
    }
    fn is_own(&self, address: IpAddr) -> bool {
        self.own.contains(&address)
    }
    fn is_behind_peer(&self, address: IpAddr) -> bool {
        let holding = |route: &&(IpAddr, u8, bool)| within(address, route.0, route.1);
        let longest = self.routes.iter().filter(holding).max_by_key(|route| route.1);
        longest.is_some_and(|&(_, _, into_tunnel)| into_tunnel)
    }
}

/// Whether the first `length` bits agree: bit by bit, as an oracle may.
fn within(address: IpAddr, prefix: IpAddr, length: u8) -> bool {
    let octets = |address| match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    };
    let (a, b) = (octets(address), octets(prefix));
    let bit = |octets: &[u8], at: usize| (octets[at / 8] >> (7 - at % 8)) & 1;
    a.len() == b.len() && (0..usize::from(length)).all(|at| bit(&a, at) == bit(&b, at))
}

/// Frames that are almost right: of every kind that is told apart, and then changed in a few places.
struct Generator(ChaCha8Rng);

impl Generator {
    fn below(&mut self, most: u32) -> u32 {
        ((u64::from(self.0.next_u32()) * u64::from(most)) >> 32) as u32
    }

    fn one_of<T: Clone>(&mut self, all: &[T]) -> T {
        all[self.below(all.len() as u32) as usize].clone()
    }

    fn payload(&mut self) -> Vec<u8> {
        let (kind, len) = self.one_of(&[
            (1, 148),
            (2, 92),
            (3, 64),
            (4, 32),
            (4, 48),
            (4, 1452),
            (4, 31),
            (5, 100),
        ]);
        let mut payload = vec![0; len];
        if self.below(2) == 0 {
            self.0.fill_bytes(&mut payload);
        }
        payload[..4].copy_from_slice(&[kind, 0, 0, 0]);
        if self.below(4) == 0 {
            let attributes = self.below(10) as u16 * 2;
            payload = [0, 1].into_iter().chain(attributes.to_be_bytes()).collect();
            payload.extend([0x21, 0x12, 0xa4, 0x42]);
            payload.resize(20 + usize::from(attributes), 9);
        }
        payload
    }

    fn segment(&mut self) -> Vec<u8> {
        let payload = self.payload();
        let port = self.one_of(&[51820_u16, 51820, 443, 22]);
        let length = (8 + payload.len()) as u16;
        let words = [40_000, port, length, 0];
        words
            .iter()
            .flat_map(|word| word.to_be_bytes())
            .chain(payload)
            .collect()
    }

    fn frame(&mut self) -> Vec<u8> {
        let ethertype = self.one_of(&[0x0800_u16, 0x0800, 0x86dd, 0x86dd, 0x8100, 0x0806]);
        let mut frame = [&MAC[..], &[2, 0, 0, 0, 0, 1], &ethertype.to_be_bytes()].concat();
        let segment = self.segment();
        let v4 = [
            "192.0.2.1",
            "10.77.0.1",
            "10.77.3.4",
            "10.77.65.4",
            "10.5.1.7",
            "10.5.1.8",
            "203.0.113.200",
            "203.0.113.20",
        ];
        let v6 = [
            "2001:db8::1",
            "fd77::1",
            "fd77::99",
            "fd77::8000:0:0:99",
            "2001:db8:4::1",
            "2001:db8:6::1",
            "fe80::1",
            "ff02::1",
            "::1",
        ];
        let hops = self.one_of(&[64, 64, 2, 1, 0]);
        let protocol = self.one_of(&[17, 17, 17, 6, 44, 0]);
        if ethertype == 0x86dd {
            frame.extend([0x60, 0, 0, 0]);
            frame.extend((segment.len() as u16).to_be_bytes());
            frame.extend([protocol, hops]);
            let ends = [self.one_of(&["2001:db8:9::9", "fe80::9", "::"]), self.one_of(&v6)];
            frame.extend(
                ends.iter()
                    .flat_map(|end| end.parse::<std::net::Ipv6Addr>().unwrap().octets()),
            );
        } else {
            let words = self.one_of(&[5_u8, 5, 5, 6]);
            let total = usize::from(words) * 4 + segment.len();
            frame.extend([0x40 | words, 0]);
            frame.extend((total as u16).to_be_bytes());
            let fragment = self.one_of(&[0x4000_u16, 0x4000, 0, 0x2000, 7]);
            frame.extend([0, 0]);
            frame.extend(fragment.to_be_bytes());
            frame.extend([hops, protocol, 0, 0]);
            let ends = [
                self.one_of(&["198.51.100.7", "169.254.3.3", "224.0.0.1"]),
                self.one_of(&v4),
            ];
            frame.extend(
                ends.iter()
                    .flat_map(|end| end.parse::<std::net::Ipv4Addr>().unwrap().octets()),
            );
            frame.resize(frame.len() + usize::from(words - 5) * 4, 1);
        }
        frame.extend(segment);
        self.change(&mut frame);
        frame
    }

    fn change(&mut self, frame: &mut Vec<u8>) {
        for _ in 0..self.one_of(&[0, 0, 0, 1, 2, 5]) {
            let most = frame.len().min(80) as u32;
            let at = self.below(most) as usize;
            frame[at] = match self.below(3) {
                0 => self.below(256) as u8,
                1 => frame[at] ^ 1 << self.below(8),
                _ => frame[at].wrapping_add(1),
            };
        }
        match self.below(12) {
            0 => frame.truncate(14 + self.below(80) as usize),
            1 => frame.resize(frame.len() + self.below(20) as usize, 0),
            _ => {}
        }
    }
}

/// What the kernel does with a frame of that verdict while no queue has a socket.
fn action(verdict: Verdict) -> u32 {
    const XDP_DROP: u32 = 1;
    const XDP_PASS: u32 = 2;

    match verdict {
        Verdict::Unknown | Verdict::Ceiling => XDP_DROP,
        _ => XDP_PASS,
    }
}

/// Catches any frame on which the program and its twin disagree, or that the program changes, and verdicts that the frames never reach.
#[test]
fn the_program_and_its_twin_agree() {
    let seed = std::env::var(SEED).map_or_else(|_| rand_seed(), |text| text.parse().unwrap());
    println!("{SEED}={seed}");
    let mut generator = Generator(ChaCha8Rng::seed_from_u64(seed));
    let program = ArrivalProgram::load().unwrap();
    let mut told = Told::both_roles();
    let mut expected = [0_u64; VERDICTS];
    for number in 0..FRAMES {
        if number % 50_000 == 0 {
            // What is told changes while the program runs; what was told before must be gone.
            told.settings.wan = number % 150_000 != 50_000;
            told.settings.lan = number % 150_000 != 100_000;
            told.ports = vec![443 + (number / 50_000) as u16, 51820];
            told.routes[2].1 = 25 + (number / 50_000 % 8) as u8;
            told.routes[1].2 = number / 50_000 % 2 == 1;
            told.own[1] = IpAddr::from([10, 77, 0, (number / 50_000) as u8]);
            told.tell(&program);
        }
        let frame = generator.frame();
        let verdict = arrival(&frame, &told).verdict();
        let (did, after) = program.run(&frame).unwrap();
        expected[verdict as usize] += 1;
        assert_eq!(
            did,
            action(verdict),
            "{SEED}={seed}, frame {number}: {verdict:?} {frame:02x?}"
        );
        assert!(
            after == frame,
            "{SEED}={seed}, frame {number} was changed: {frame:02x?}"
        );
        // Counters are read now and then; the frame at fault is among the last of them.
        if number % 1_000 == 999 {
            assert_eq!(
                program.counters().unwrap(),
                expected,
                "{SEED}={seed}, up to frame {number}"
            );
        }
    }
    for (verdict, count) in expected.iter().enumerate() {
        let never = verdict == Verdict::Ceiling as usize;
        assert_eq!(
            *count < 1_000,
            never,
            "{SEED}={seed}: verdict {verdict} came {count} times"
        );
    }
    println!("{FRAMES} frames by verdict: {expected:?}");
}

fn rand_seed() -> u64 {
    std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap()
        .as_nanos() as u64
}

fn initiation(mac2: u8) -> Vec<u8> {
    let mut generator = Generator(ChaCha8Rng::seed_from_u64(1));
    loop {
        let mut frame = generator.frame();
        let told = Told::both_roles();
        if frame.len() == 14 + 20 + 8 + 148 && arrival(&frame, &told).verdict() == Verdict::Wan {
            let len = frame.len();
            frame[len - 16..].fill(mac2);
            return frame;
        }
    }
}

/// Catches a ceiling that never bites, or that bites those who have proved where they are.
#[test]
fn the_ceiling_is_for_those_who_proved_nothing() {
    let program = ArrivalProgram::load().unwrap();
    let mut told = Told::both_roles();
    told.settings.ceiling_per_s = Some(1);
    told.tell(&program);
    let (stranger, known) = (initiation(0), initiation(3));
    for _ in 0..1_000 {
        program.run(&known).unwrap();
        program.run(&stranger).unwrap();
    }
    let counters = program.counters().unwrap();
    let (passed, stopped) = (
        counters[Verdict::Wan as usize],
        counters[Verdict::Ceiling as usize],
    );
    assert_eq!(passed + stopped, 2_000);
    // One a second for each core that the test ran on, for as many seconds as it took, and all of the known.
    assert!(
        (1_000..1_100).contains(&passed),
        "{passed} passed, {stopped} were stopped"
    );
}

/// An initiation for a port, which is taken where the port is known.
fn to_port(port: u16) -> Vec<u8> {
    let mut frame = initiation(3);
    frame[36..38].copy_from_slice(&port.to_be_bytes());
    frame
}

/// What the program counts a frame as.
fn counted(program: &ArrivalProgram, frame: &[u8]) -> usize {
    let before = program.counters().unwrap();
    program.run(frame).unwrap();
    let after = program.counters().unwrap();
    (0..VERDICTS).find(|&at| after[at] == before[at] + 1).unwrap()
}

/// Catches a set that cannot be exchanged for another once both together exceed the map, which holds 64 ports.
#[test]
fn a_large_set_is_exchanged_for_another() {
    let program = ArrivalProgram::load().unwrap();
    Told::both_roles().tell(&program);
    let (first, second): (Vec<u16>, Vec<u16>) = ((1_000..1_050).collect(), (2_000..2_050).collect());
    for (there, gone) in [(&first, &second), (&second, &first)] {
        program.set_ports(there).unwrap();
        for (port, expected) in [
            (there[0], Verdict::Wan),
            (there[49], Verdict::Wan),
            (gone[0], Verdict::Kernel),
            (gone[49], Verdict::Kernel),
        ] {
            assert_eq!(
                counted(&program, &to_port(port)),
                expected as usize,
                "port {port}"
            );
        }
    }
    program.set_ports(&(1..=65).collect::<Vec<_>>()).unwrap_err();
    program.set_ports(&[443]).unwrap();
    assert_eq!(counted(&program, &to_port(443)), Verdict::Wan as usize);
}

/// Catches a network that is lost when it is written with another address in it, and lengths that no address has.
#[test]
fn a_prefix_is_the_same_however_it_is_written() {
    let program = ArrivalProgram::load().unwrap();
    let told = Told::both_roles();
    told.tell(&program);
    let mut frame = initiation(3);
    frame[22] = 64;
    frame[26..34].copy_from_slice(&[198, 51, 100, 7, 10, 77, 3, 4]);
    let set = |routes: &[([u8; 4], u8, bool)]| {
        let routes = routes
            .iter()
            .map(|&(address, length, into)| (address.into(), length, into));
        program.set_routes(routes)
    };
    for address in [[10, 77, 3, 4], [10, 77, 0, 0], [10, 77, 255, 255]] {
        set(&[(address, 16, true)]).unwrap();
        assert_eq!(counted(&program, &frame), Verdict::Lan as usize, "{address:?}");
    }
    set(&[([0, 0, 0, 0], 0, true)]).unwrap();
    assert_eq!(counted(&program, &frame), Verdict::Lan as usize);
    set(&[([10, 77, 0, 0], 33, true)]).unwrap_err();
    set(&[]).unwrap();
    assert_eq!(counted(&program, &frame), Verdict::Kernel as usize);
}

/// Catches a packet taken that the kernel would have sent elsewhere by a longer prefix, and a route that stays as it was
/// when only where it leads to changes.
#[test]
fn the_longest_prefix_decides() {
    let program = ArrivalProgram::load().unwrap();
    let mut told = Told::both_roles();
    let mut frame = initiation(3);
    frame[22] = 64;
    frame[26..34].copy_from_slice(&[198, 51, 100, 7, 10, 77, 3, 4]);
    for (wide, narrow) in [(true, false), (false, true), (true, true), (false, false)] {
        told.routes = vec![
            ([10, 77, 0, 0].into(), 16, wide),
            ([10, 77, 3, 0].into(), 24, narrow),
        ];
        told.tell(&program);
        let expected = if narrow { Verdict::Lan } else { Verdict::Kernel };
        assert_eq!(counted(&program, &frame), expected as usize, "{wide} {narrow}");
        assert_eq!(arrival(&frame, &told).verdict(), expected);
    }
}

fn device(topology: &Topology, namespace: &Namespace) -> (String, u32) {
    let name = topology.interface("x");
    namespace
        .ip(&format!(
            "link add {name} type veth peer name {}",
            topology.interface("y")
        ))
        .unwrap();
    let shown = namespace.ip(&format!("-oneline link show dev {name}")).unwrap();
    (name, shown.split(':').next().unwrap().parse().unwrap())
}

/// Catches a program that stays when its owner goes, and one that takes the place of another's.
#[test]
fn a_program_goes_with_its_owner_and_leaves_others_alone() {
    let topology = Topology::new().unwrap();
    let namespace = topology.namespace("xdp").unwrap();
    let (name, number) = device(&topology, &namespace);
    let shown = || namespace.ip(&format!("link show dev {name}")).unwrap();
    let (first, second) = (ArrivalProgram::load().unwrap(), ArrivalProgram::load().unwrap());
    for mode in [AttachMode::Driver, AttachMode::Generic] {
        let attached = namespace.enter(|| first.attach(number, mode)).unwrap();
        let before = shown();
        assert!(before.contains("prog/xdp"), "{mode:?}: {before}");
        for other in [AttachMode::Driver, AttachMode::Generic] {
            let refused = namespace
                .enter(|| second.attach(number, other).map(drop))
                .unwrap_err();
            assert!(
                matches!(refused, AttachError::Occupied(_)),
                "{mode:?}, {other:?}: {refused}"
            );
        }
        assert_eq!(shown(), before, "{mode:?}");
        drop(attached);
        assert!(!shown().contains("prog/xdp"), "{mode:?}: {}", shown());
    }
}

/// Catches a program of the kind that stays without an owner, as `ip link` attaches them, being replaced.
#[test]
fn a_program_without_an_owner_is_left_alone() {
    let topology = Topology::new().unwrap();
    let namespace = topology.namespace("xdp").unwrap();
    let (name, number) = device(&topology, &namespace);
    let shown = || namespace.ip(&format!("link show dev {name}")).unwrap();
    let (first, second) = (ArrivalProgram::load().unwrap(), ArrivalProgram::load().unwrap());
    for there in [|| XdpFlags::DRV_MODE, || XdpFlags::SKB_MODE] {
        let foreign = Xdp::new(first.as_fd());
        namespace
            .enter(|| foreign.attach(number as i32, there()))
            .unwrap();
        let before = shown();
        assert!(before.contains("prog/xdp"), "{before}");
        for mode in [AttachMode::Driver, AttachMode::Generic] {
            let refused = namespace
                .enter(|| second.attach(number, mode).map(drop))
                .unwrap_err();
            assert!(
                matches!(refused, AttachError::Occupied(_)),
                "{before}, {mode:?}: {refused}"
            );
        }
        assert_eq!(shown(), before);
        namespace
            .enter(|| foreign.detach(number as i32, there()))
            .unwrap();
    }
}
