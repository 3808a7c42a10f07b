//! Sessions on every shard of a real gateway, by each way in which datagrams find their shard, and through changes of
//! the number of shards under traffic.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod callers;
mod site;

use site::{CALLERS, INSIDE, LIMIT, PROCESS, Site, program, transfer};
use weir_abi::status::{ShardStatus, Status};
use weir_bench::counted::Counted;
use weir_bench::{Ping, ipc, wait};

fn sum(status: &Status, count: impl Fn(&ShardStatus) -> u64) -> u64 {
    status.shards.iter().map(count).sum()
}

fn handed_over(status: &Status) -> u64 {
    sum(status, |shard| shard.handed_over)
}

fn received(status: &Status) -> u64 {
    sum(status, |shard| {
        let wan = shard.ports.iter().filter(|port| port.role == "wan");
        wan.map(|port| port.rx_frames).sum()
    })
}

/// Catches a shard that no session finds, packets damaged or lost on their way to it, and a kernel that steers by
/// something other than the receiver index: peers that moved to other ports still arrive at their home.
fn sessions_on_every_shard(steering: &str) {
    let mut site = Site::start(4, steering, &mut program());
    site.fill();
    for sequence in 1..4 {
        site.ping_all(sequence);
    }
    let status = site.status();
    assert_eq!((status.steering.as_str(), status.shards.len()), (steering, 4));
    for shard in &status.shards {
        assert!(
            shard.active_peers > 0 && shard.opened > 0 && shard.sealed > 0,
            "{steering}: {shard:?}"
        );
    }

    for caller in &mut site.callers {
        caller.moves();
    }
    let before = handed_over(&site.status());
    site.say_all(20);
    let after = handed_over(&site.status()) - before;
    println!(
        "{steering}: {after} frames handed over, {} callers moved",
        site.callers.len()
    );
    match steering {
        "user-space" => assert!(after > 0, "no moved peer came to another shard than its home"),
        _ => assert_eq!(
            after, 0,
            "{steering}: inbound data came to another shard than its home"
        ),
    }
    site.ping_all(4);
}

#[test]
fn ebpf_reaches_every_shard() {
    sessions_on_every_shard("ebpf");
}

#[test]
fn classic_bpf_reaches_every_shard() {
    sessions_on_every_shard("classic-bpf");
}

#[test]
fn user_space_reaches_every_shard() {
    sessions_on_every_shard("user-space");
}

/// Catches packets or sessions lost when shards come and go: the sums of a TCP transfer each way, numbered datagrams
/// one by one, and handshakes that nobody should need.
#[test]
fn the_number_of_shards_changes_under_traffic() {
    const STEPS: [u16; 5] = [4, 2, 3, 1, 4];
    const BYTES_PER_S: u64 = 8_000_000;
    const STEP_BYTES: u64 = 16_000_000;
    let mut site = Site::start(1, "auto", &mut program());
    let _process = site.process();
    for _ in 0..CALLERS {
        site.add_caller();
    }
    let handshakes = |status: &Status| -> Vec<u64> {
        status
            .peers
            .iter()
            .map(|peer| peer.last_handshake_unix_ns)
            .collect()
    };
    let before = handshakes(&site.status());
    let interface = site.gateway.interface().to_owned();
    let host = site.gateway.namespace().clone();

    let bytes = STEP_BYTES * (STEPS.len() as u64 + 1);
    let up = site.upload(bytes, Some(BYTES_PER_S));
    let down = transfer(PROCESS, bytes, Some(BYTES_PER_S))
        .start(&host, &site.remote)
        .unwrap();
    let counted_up = Counted::start(&site.remote, &host, (INSIDE, 0).into(), 1000).unwrap();
    let counted_down = Counted::start(&host, &site.remote, (PROCESS, 0).into(), 1000).unwrap();
    for (step, shards) in (1..).zip(STEPS) {
        up.await_bytes(step * STEP_BYTES, LIMIT).unwrap();
        ipc::set_shards(&interface, shards).unwrap();
        assert_eq!(site.status().shards.len(), usize::from(shards));
        site.ping_all(step as u16);
    }
    let (up, down) = (up.finish(), down.finish());
    let counted = [counted_up, counted_down].map(|counted| counted.finish().unwrap());
    println!("{counted:?}\nup {up:?}\ndown {down:?}");
    up.unwrap();
    down.unwrap();
    assert_eq!(
        handshakes(&site.status()),
        before,
        "a session was lost and had to be made anew"
    );
    for report in counted {
        // A shard that ends gives what is under way to it some time, and a busy machine may take more.
        let lost = report.sent - report.received;
        assert!(lost <= 10 * STEPS.len() as u64, "{report:?}");
    }
}

/// Catches packets damaged or stalled where all of them cross from shard to shard, and a crossing where none is due.
#[test]
fn none_or_all_packets_are_handed_over() {
    const BYTES: u64 = 40_000_000;
    let site = Site::start(4, "user-space", &mut program());
    let process = site.process();
    let share = || {
        let before = site.status();
        let report = site.upload(BYTES, None).finish().unwrap();
        let after = site.status();
        let (crossed, frames) = (
            handed_over(&after) - handed_over(&before),
            received(&after) - received(&before),
        );
        println!("{crossed} of {frames} frames handed over, {report:?}");
        crossed as f64 / frames as f64
    };
    // Its data comes by the same hash as its handshake, which made the shard its home.
    assert!(share() < 0.05);
    // From another port it comes to another shard, three times out of four.
    let mut port = 40_000;
    wait::until_true("a port from which another shard is reached", LIMIT, || {
        port += 1;
        process
            .wg(&format!("set {} listen-port {port}", process.interface()))
            .unwrap();
        let before = handed_over(&site.status());
        let ping = Ping::to(INSIDE.into()).count(5).interval_ms(10);
        assert_eq!(ping.run(&site.remote).unwrap().received, 5);
        handed_over(&site.status()) - before >= 5
    })
    .unwrap();
    assert!(share() > 0.95);
}
