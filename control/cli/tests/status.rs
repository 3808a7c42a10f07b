//! `weir status`, asked of a data plane that answers as it is told.

mod common;

use common::*;
use std::time::{SystemTime, UNIX_EPOCH};
use weir_abi::desired::Origin;
use weir_abi::ipc::Reply;
use weir_abi::rule::{Action, Rule};
use weir_abi::status::{ArrivalStatus, DeviceStatus, Health, PortStatus, RuleStatus, ShardStatus, Status};

fn busy() -> Status {
    let port = PortStatus {
        role: "wan".to_owned(),
        queue: Some("eth1 queue 0".to_owned()),
        mode: "udp gso gro".to_owned(),
        rx_frames: 5,
        rx_bytes: 5_000,
        tx_packets: 6,
        tx_bytes: 6_000,
        errors: vec![("enobufs".to_owned(), 3)],
        frames: 512,
        abroad: 7,
        in_kernel: 5,
    };
    let shard = |shard, drops: &[(&str, u64)]| ShardStatus {
        shard,
        ports: vec![port.clone()],
        under_load: shard == 1,
        handshakes: 4,
        drops: drops.iter().map(|(n, c)| ((*n).to_owned(), *c)).collect(),
        ..ShardStatus::default()
    };
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("after 1970")
        .as_nanos() as u64;
    let mut ada = peer_status(Some("ada"), Health::Healthy, None);
    ada.endpoint = Some("192.0.2.9:7777".parse().expect("an address"));
    ada.last_handshake_unix_ns = now - 65_000_000_000;
    let rules = [(Some("web"), Action::Accept, 31), (None, Action::Deny, 17)];
    let rules = rules.map(|(name, action, packets)| RuleStatus {
        rule: Rule {
            name: name.map(str::to_owned),
            ..Rule::new(action)
        },
        origin: Origin::File,
        packets,
    });
    let arrivals = [
        ("wan", "taken", 70),
        ("fragment", "kernel", 3),
        ("kernel", "kernel", 5),
        ("ceiling", "dropped", 9),
    ];
    let device = DeviceStatus {
        device: "eth1".to_owned(),
        role: "wan".to_owned(),
        attached: "driver".to_owned(),
        arrivals: arrivals
            .map(|(kind, fate, frames)| ArrivalStatus {
                kind: kind.to_owned(),
                fate: fate.to_owned(),
                frames,
            })
            .into(),
    };
    Status {
        rules: rules.into(),
        devices: vec![device],
        warnings: vec!["CAP_BPF is missing".to_owned()],
        shards: vec![
            shard(0, &[("bad_mac1", 2)]),
            shard(1, &[("bad_mac1", 5), ("replayed", 9)]),
        ],
        peers: vec![
            ada,
            peer_status(None, Health::Degraded, Some("no answer to 5 initiations")),
        ],
        ..status("weirtest")
    }
}

fn serving(status: Status) -> (Place, FakeGateway) {
    let place = Place::new("");
    let name = status.interface.clone();
    let gateway = FakeGateway::start(&place, &name, weir_abi::VERSION, move |_| {
        Reply::Status(Box::new(status.clone()))
    });
    (place, gateway)
}

#[test]
fn people_see_what_matters() {
    let (place, _gateway) = serving(busy());
    let text = good(&place.weir(&["status", "weirtest"]));
    for part in [
        "interface weirtest  up 1 h 2 min, weir-dataplane 0.1.0",
        "warning: CAP_BPF is missing",
        "51820/udp",
        "aead       ring, not this CPU's best, avx2",
        "ebpf",
        "8 done, 0 waiting",
        "udp gso gro",
        "enobufs 3",
        "wan, eth1 queue 0",
        "eth1    wan   driver   70 (wan 70)  8 (fragment 3, kernel 5)  9 (ceiling 9)",
        "under load",
        "peers: 1 healthy, 1 degraded",
        "192.0.2.9:7777",
        "1 min",
        "3.00 GiB",
        "degraded: no answer to 5 initiations",
        "later.example.org:1",
        "never",
        "Handshake message with a wrong mac1",
        "1     web   accept  31",
        "2     -     deny    17",
    ] {
        assert!(text.contains(part), "{text}\nlacks {part}");
    }
    let (replayed, mac1) = (
        text.find("9      replayed").unwrap(),
        text.find("7      bad_mac1").unwrap(),
    );
    assert!(replayed < mac1, "the most frequent comes first:\n{text}");
    assert!(!text.contains('\x1b'), "colours without a terminal");
}

#[test]
fn programs_see_everything() {
    let (place, _gateway) = serving(busy());
    let json: serde_json::Value = serde_json::from_str(&good(&place.weir(&["status", "--json"]))).unwrap();
    let status = &json[0];
    assert_eq!(status["interface"], "weirtest");
    assert_eq!(
        (&status["aead"], &status["aead_best"]),
        (&"ring".into(), &"avx2".into())
    );
    assert_eq!(status["drops"]["bad_mac1"], 7);
    assert_eq!(status["rules"][1]["packets"], 17);
    assert_eq!(status["peers"][0]["public_key"], key(2));
    assert_eq!(status["peers"][1]["trouble"], "no answer to 5 initiations");
    assert_eq!(status["shards"][1]["ports"][0]["errors"]["enobufs"], 3);
}

#[test]
fn who_does_not_answer_is_named() {
    let place = Place::new("");
    refused(&place.weir(&["status"]), &["no data plane runs"]);
    refused(
        &place.weir(&["status", "weir9"]),
        &["no data plane runs interface weir9", "weir9.sock"],
    );
    for odd in ["../x", "", "a b"] {
        let part = format!("interface: {odd:?}; expected a device name of 1 to 15 characters");
        refused(&place.weir(&["status", odd]), &[&part]);
    }
    // A socket that a killed data plane left behind.
    drop(std::os::unix::net::UnixListener::bind(place.path("stale.sock")).unwrap());
    refused(
        &place.weir(&["status", "stale"]),
        &["no data plane runs interface stale"],
    );
    refused(&place.weir(&["status"]), &["no data plane runs"]);
}

#[test]
fn another_version_is_refused_by_name() {
    let place = Place::new("");
    let _gateway = FakeGateway::start(&place, "weirtest", 99, done);
    let versions = format!(
        "speaks version 99 of the protocol and this program {}",
        weir_abi::VERSION
    );
    refused(&place.weir(&["status", "weirtest"]), &[&versions]);
}

// Catches one data plane that cannot be asked, as one of the last release that still runs, hiding all others.
#[test]
fn those_that_answer_are_shown_beside_one_that_does_not() {
    let place = Place::new("");
    let _old = FakeGateway::start(&place, "weirold", weir_abi::VERSION + 1, done);
    let _good = FakeGateway::start(&place, "weirtest", weir_abi::VERSION, |_| {
        Reply::Status(Box::new(status("weirtest")))
    });
    let output = place.weir(&["status"]);
    assert!(out(&output).contains("weirtest"), "{}", out(&output));
    refused(&output, &["weirold: the data plane speaks version"]);
}
