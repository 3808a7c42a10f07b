//! A thousand changes of peers a second among ten thousand, while other peers talk.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::net::SocketAddr;
use std::time::Duration;

use weir_bench::churn::{self, churn};
use weir_bench::control_lab::ControlLab;
use weir_bench::counted::Counted;
use weir_bench::{Ping, wait};

/// Peers that are declared and never speak.
const PEERS: u32 = 10_000;

/// Changes, and how many of them a second.
const CHANGES: u32 = 10_000;
const PER_S: u32 = 1000;

/// Connections that they come by.
const CONNECTIONS: u32 = 16;

/// How long all of them may take: three times what they are paced to.
const CHANGES_LIMIT: Duration = Duration::from_secs(30);

/// How long other things may take.
const LIMIT: Duration = Duration::from_secs(30);

/// Numbered datagrams a second, each way.
const DATAGRAMS_PER_S: u32 = 500;

/// Catches a change that stops the packets of peers whom it does not concern, changes that are acknowledged and do not
/// reach the data plane, and a store or an API that falls behind by more than three times.
#[test]
fn a_thousand_changes_a_second_lose_nobody_a_packet() {
    let lab = ControlLab::new().unwrap();
    churn::declare(&mut lab.api(), 0..PEERS).unwrap();
    let [one, other] = ["one", "other"].map(|name| lab.connect(name).unwrap());
    Ping::to(other.address)
        .until_answered(one.peer.namespace(), LIMIT)
        .unwrap();
    let traffic = [(&one, &other), (&other, &one)].map(|(from, to)| {
        let destination = SocketAddr::new(to.address, 0);
        Counted::start(
            from.peer.namespace(),
            to.peer.namespace(),
            destination,
            DATAGRAMS_PER_S,
        )
        .unwrap()
    });

    let report = churn(|| lab.api(), PEERS, CHANGES, PER_S, CONNECTIONS).unwrap();
    println!(
        "{:.0} changes a second; answered within {:?} (p50), {:?} (p99)",
        report.per_s(),
        report.percentile(0.5),
        report.percentile(0.99)
    );
    assert_eq!(report.latencies.len(), CHANGES as usize);
    for counted in traffic {
        let counted = counted.finish().unwrap();
        println!("{counted:?}");
        assert_eq!(counted.sent, counted.received, "{counted:?}");
    }
    assert!(report.duration < CHANGES_LIMIT, "they took {:?}", report.duration);

    // Everything acknowledged is in force: nothing waits, and both sides count alike.
    wait::until_true("the data plane's confirmation", LIMIT, || {
        lab.api().get("/v1/status").unwrap()["control"]["pending"] == 0
    })
    .unwrap();
    let total = lab.api().get("/v1/peers?limit=1").unwrap()["total"]
        .as_u64()
        .unwrap();
    let declared = lab.gateway.status().unwrap()["peers"].as_array().unwrap().len();
    assert_eq!(declared as u64, total);
    assert!(total >= u64::from(PEERS) + 2, "{total}");
}
