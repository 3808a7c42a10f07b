//! What a gateway with ports of AF_XDP leaves on its devices: no program, map, link, pin or socket, however it ends; and
//! what it says of devices that it cannot have, which it leaves as they were.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod callers;
mod ground;
mod xdp;

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use ground::{HostState, program};
use libbpf_rs::query::{LinkInfoIter, MapInfoIter, ProgInfoIter};
use nix::sys::signal::Signal;
use weir_bench::tunnel::Side;
use weir_bench::xdp_lab::{LAN, Setup, WAN};
use weir_bench::{Implementation, Namespace, wait};
use weir_xdp_prog::{ArrivalProgram, AttachMode};
use xdp::{LIMIT, Pair};

/// What the kernel holds of BPF: the kind and number of each program, map and link.
type Objects = BTreeSet<(&'static str, u32)>;

/// What a process has open.
fn objects_of(pid: u32) -> Objects {
    let folder = format!("/proc/{pid}/fdinfo");
    let files = fs::read_dir(folder).unwrap().flatten();
    let texts: Vec<String> = files
        .filter_map(|file| fs::read_to_string(file.path()).ok())
        .collect();
    let numbers = texts.iter().flat_map(|text| text.lines()).filter_map(|line| {
        let (name, value) = line.split_once(':')?;
        let kind = ["prog_id", "map_id", "link_id"]
            .into_iter()
            .find(|kind| *kind == name)?;
        Some((kind, value.trim().parse().ok()?))
    });
    numbers.collect()
}

/// What there is on this machine.
fn objects() -> Objects {
    let programs = ProgInfoIter::default().map(|program| ("prog_id", program.id));
    let maps = MapInfoIter::default().map(|map| ("map_id", map.id));
    let links = LinkInfoIter::default().map(|link| ("link_id", link.id));
    programs.chain(maps).chain(links).collect()
}

/// Everything below the folder of pins.
fn pins() -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![PathBuf::from("/sys/fs/bpf")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            found.push(path.clone());
            if path.is_dir() {
                folders.push(path);
            }
        }
    }
    found
}

/// The number of the XDP program on a device.
fn attached(host: &Namespace, device: &str) -> Option<String> {
    let shown = host.ip(&format!("-details link show dev {device}")).unwrap();
    let (_, rest) = shown.split_once("prog/xdp")?;
    rest.split_whitespace().nth(1).map(str::to_owned)
}

/// Waits until nothing of these is left in the kernel, and on the devices.
fn expect_gone(case: &str, host: &Namespace, before: &Objects) {
    let gone = wait::until_true("the end of what was loaded", LIMIT, || {
        objects().intersection(before).next().is_none()
    });
    let left: Vec<_> = objects().intersection(before).copied().collect();
    gone.unwrap_or_else(|error| panic!("{case}: {error}: {left:?}"));
    for device in [WAN, LAN] {
        assert_eq!(attached(host, device), None, "{case}: {device}");
    }
}

/// Catches a program, map, link or pin that outlives its gateway, and whatever else keeps the next one from starting, with
/// the same modes and the same traffic.
#[test]
fn an_end_leaves_nothing_on_the_devices() {
    let pins_before = pins();
    let mut pair = Pair::up(Implementation::Weir);
    let host = pair.lab.gateway.namespace().clone();
    for signal in [Signal::SIGKILL, Signal::SIGTERM, Signal::SIGINT] {
        let process = pair.lab.gateway.process();
        let loaded = objects_of(process.pid());
        let kinds: BTreeSet<&str> = loaded.iter().map(|(kind, _)| *kind).collect();
        assert_eq!(
            kinds.len(),
            3,
            "nothing was loaded, so nothing is shown: {loaded:?}"
        );
        assert!([WAN, LAN].iter().all(|device| attached(&host, device).is_some()));
        assert_eq!(pins(), pins_before, "what is pinned outlives everybody");
        process.signal(signal).unwrap();
        process.wait(LIMIT).unwrap();
        expect_gone(signal.as_str(), &host, &loaded);
        assert_eq!(pins(), pins_before);

        pair.lab.restart_gateway().unwrap();
        pair.assert_modes();
        pair.await_answers(Side::Left, LIMIT);
        pair.await_answers(Side::Right, LIMIT);
    }
    // And at once: while the killed one is still being taken apart.
    for _ in 0..5 {
        pair.lab.restart_gateway().unwrap();
        pair.assert_modes();
    }
    pair.await_answers(Side::Left, LIMIT);
}

/// A gateway that has ended in good order, and its host as it was before it began.
fn ended() -> (Pair, HostState) {
    let mut pair = Pair::new(Implementation::Weir, Setup::driver());
    let process = pair.lab.gateway.process();
    process.signal(Signal::SIGTERM).unwrap();
    assert!(process.wait(LIMIT).unwrap().success());
    let state = HostState::of(pair.lab.gateway.namespace(), pair.lab.gateway.interface());
    (pair, state)
}

/// Expects a gateway to refuse this file in one message that holds every one of `words`, and to leave its host as it was.
fn refuses(case: &str, pair: &Pair, before: &HostState, toml: &str, words: &[&str]) {
    let gateway = &pair.lab.gateway;
    gateway.write(toml).unwrap();
    let mut command = program();
    command.arg("--config").arg(gateway.file());
    let topology = pair.lab.topology();
    let mut process = topology
        .start(gateway.namespace(), "refused", &mut command)
        .unwrap();
    let status = process.wait(LIMIT).unwrap();
    let log = process.log();
    assert_eq!(status.code(), Some(1), "{case}: {log}");
    let told: Vec<&str> = log
        .lines()
        .filter(|line| line.starts_with("weir-dataplane: "))
        .collect();
    println!("{case}: {told:?}");
    assert_eq!(told.len(), 1, "{case}: one message is expected\n{log}");
    for word in words {
        assert!(told[0].contains(word), "{case}: no word of {word:?}\n{log}");
    }
    before.unchanged(&HostState::of(gateway.namespace(), gateway.interface()), case);
}

/// Catches a gateway that takes the place of another's XDP program, or that says no more than that it cannot start.
#[test]
fn another_s_program_is_named_and_left_alone() {
    let (mut pair, _) = ended();
    let host = pair.lab.gateway.namespace().clone();
    for (device, other) in [(WAN, LAN), (LAN, WAN)] {
        for mode in [AttachMode::Driver, AttachMode::Generic] {
            let case = format!("{device}, {mode:?}");
            let another = ArrivalProgram::load().unwrap();
            let _attachment = host.enter(|| another.attach(index(device), mode)).unwrap();
            let theirs = attached(&host, device);
            let before = HostState::of(&host, pair.lab.gateway.interface());
            let words = [&*format!("port {device}: "), "an XDP program already", "ip link"];
            refuses(&case, &pair, &before, &pair.lab.toml(""), &words);
            assert!(theirs.is_some(), "{case}: nobody's program was there");
            assert_eq!(attached(&host, device), theirs, "{case}");
            assert_eq!(attached(&host, other), None, "{case}");
        }
    }
    pair.lab.restart_gateway().unwrap();
    pair.assert_modes();
    pair.await_answers(Side::Left, LIMIT);
}

/// The number of a device of the thread's namespace.
fn index(device: &str) -> u32 {
    nix::net::if_::if_nametoindex(device).unwrap()
}

/// Catches a device that cannot be had and is passed over in silence, and what stays behind of the device before it.
#[test]
fn a_port_that_cannot_be_had_is_an_error() {
    let (mut pair, before) = ended();
    let good = pair.lab.toml("");
    let missing = good.replace("device = \"lan\"", "device = \"nowhere0\"");
    refuses("no device", &pair, &before, &missing, &["port nowhere0: "]);
    let zero_copy = good.replace("mode = \"driver\"", "mode = \"zero-copy\"");
    let words = ["port wan: ", "zero-copy", "queue 0"];
    refuses("zero-copy on veth", &pair, &before, &zero_copy, &words);
    let second = good.replacen("mode = \"driver\"", "mode = \"generic\"", 1);
    let second = second.replace("mode = \"driver\"", "mode = \"zero-copy\"");
    refuses(
        "zero-copy on the second",
        &pair,
        &before,
        &second,
        &["port lan: ", "zero-copy"],
    );
    let loopback = good.replace("device = \"lan\"", "device = \"lo\"");
    refuses("loopback", &pair, &before, &loopback, &["port lo: "]);

    // A shard for which there is no queue works without, and says what would help.
    let fewer = good
        .replace("shards = 2", "shards = 3")
        .replace("mode = \"driver\"", "mode = \"auto\"");
    pair.lab.gateway.write(&fewer).unwrap();
    pair.lab.restart_gateway().unwrap();
    let status = pair.lab.status().unwrap();
    let modes = |shard: usize| -> Vec<&str> {
        status.shards[shard]
            .ports
            .iter()
            .map(|port| &*port.mode)
            .collect()
    };
    assert_eq!(modes(0), ["driver"; 2]);
    assert_eq!(modes(1), ["driver"; 2]);
    assert_eq!(modes(2), ["offload"; 2]);
    for device in [WAN, LAN] {
        let told = |warning: &String| {
            ["no queue 2", &format!("ethtool -L {device}")]
                .iter()
                .all(|word| warning.contains(word))
        };
        assert!(
            status.warnings.iter().any(told),
            "{device}: {:?}",
            status.warnings
        );
    }
    pair.await_answers(Side::Left, LIMIT);
}
