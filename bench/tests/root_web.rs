//! The page in Debian's Chromium, against a gateway that `weir run` started, and clients that use what the page gave them:
//!
//! ```text
//! client 100.64.0.2 ──veth── 100.64.0.1 gateway 192.0.2.1, page on 127.0.0.1:8480 ── Chromium, in the same namespace
//! ```
//!
//! Needs Node.js, the page's packages and Chromium: `make test-web` sees to them.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::net::IpAddr;
use std::process::Command;
use std::time::Duration;

use serde_json::json;
use weir_bench::client_conf::ClientConf;
use weir_bench::run_lab::{INSIDE, OUTSIDE, RunLab};
use weir_bench::{End, Implementation, Namespace, Peer, Ping, Topology, programs, wait};

/// Within which a tunnel comes up, three times what the second initiation takes (REKEY_TIMEOUT).
const TUNNEL_LIMIT: Duration = Duration::from_secs(30);

/// Within which the page's tests end. They list and filter ten thousand peers among other things.
const PAGE_LIMIT: Duration = Duration::from_secs(600);

/// Seconds that schemathesis is given for its requests.
const SCHEMATHESIS_S: u64 = 90;

/// Within which it ends.
const SCHEMATHESIS_LIMIT: Duration = Duration::from_secs(3 * SCHEMATHESIS_S);

/// A peer to which something is sent is gone after KEEPALIVE_TIMEOUT and two times REKEY_TIMEOUT, 20 s, and the page shows
/// it within 5 s of that; three times as long on a shared machine.
const GONE_WITHIN_S: u64 = 75;

/// Brings up wireguard-go by a configuration in a namespace of its own, the number in its addresses.
fn client(topology: &Topology, host: &Namespace, number: u8, conf: &ClientConf) -> (Namespace, Peer) {
    let namespace = topology.namespace(&format!("client{number}")).unwrap();
    let addresses = [2, 1].map(|last| format!("100.64.{number}.{last}/24"));
    let port = format!("wan{number}");
    topology
        .veth(
            &End::new(&namespace, "wan", &[&addresses[0]]),
            &End::new(host, &port, &[&addresses[1]]),
        )
        .unwrap();
    namespace
        .ip(&format!("route add {OUTSIDE}/32 via 100.64.{number}.1"))
        .unwrap();
    let peer = Peer::start(topology, &namespace, "cl", Implementation::WireguardGo).unwrap();
    conf.bring_up(&peer).unwrap();
    Ping::to(INSIDE).until_answered(&namespace, TUNNEL_LIMIT).unwrap();
    (namespace, peer)
}

/// Catches a page that does not work with the real binaries: its tests (accessibility on every page, keyboard, policy,
/// ten thousand peers, a peer that is shown as gone), and a QR code by which a stock client does not get in.
#[test]
#[ignore = "make test-web runs it, which sees to Node.js and Chromium"]
fn a_client_that_the_page_added_passes_traffic() {
    let topology = Topology::new().unwrap();
    let mut gateway = RunLab::start(&topology).unwrap();
    let login = gateway.login().unwrap();
    let host = gateway.host().clone();

    let first = gateway.first_client().unwrap();
    let (_, mut going) = client(&topology, &host, 1, &first);
    let inner: IpAddr = first.values("Address")[0]
        .split('/')
        .next()
        .unwrap()
        .parse()
        .unwrap();
    let peers = gateway.api().get("/v1/peers?owner=file").unwrap();
    let first_key = peers["items"][0]["public_key"].as_str().unwrap();
    let folder = topology.folder();
    let (kept, gone) = (folder.join("kept.conf"), folder.join("gone"));
    let web = programs::root().join("web");
    let mut pages = programs::tool("node").unwrap();
    pages
        .arg("scripts/pages.mjs")
        .current_dir(&web)
        .env("HOME", folder)
        .env("WEIR_URL", &login.url)
        .env("WEIR_USER", login.user)
        .env("WEIR_PASSWORD", &login.password)
        .env("WEIR_KEPT_CONF", &kept)
        .env("WEIR_GONE_PEER", first_key)
        .env("WEIR_GONE_FILE", &gone)
        .env("WEIR_GONE_WITHIN_S", GONE_WITHIN_S.to_string())
        .env("WEIR_PICTURES", programs::root().join("target/web/real"));
    let mut pages = topology.start(&host, "pages", &mut pages).unwrap();

    let mut taken_away = false;
    let status = wait::until("the page's tests", PAGE_LIMIT, || {
        if !taken_away && gone.exists() {
            taken_away = true;
            going.kill().unwrap();
        }
        if taken_away {
            // Something must be sent for silence to be told from idleness.
            let _ = Ping::to(inner).until_answered(&host, Duration::from_millis(100));
        }
        pages.ended().unwrap()
    })
    .unwrap();
    println!("{}", pages.log());
    assert!(status.success(), "the page's tests: {status}");
    assert!(taken_away, "no test asked for a peer to go away");

    let conf = ClientConf::new(&fs::read_to_string(&kept).unwrap());
    client(&topology, &host, 2, &conf);
}

/// Catches a server error, and an answer that the document does not tell of, of the real binaries.
#[test]
#[ignore = "make test-web runs it, which sees to Python"]
fn the_api_keeps_to_its_document() {
    let topology = Topology::new().unwrap();
    let mut gateway = RunLab::start(&topology).unwrap();
    let login = gateway.login().unwrap();
    let input = json!({ "name": "schemathesis", "role": "administrator" });
    let made = gateway.api().change("POST", "/v1/tokens", &input).unwrap().json();
    let mut command = Command::new(programs::root().join("bench/api/schemathesis"));
    command
        .arg(login.url.trim_end_matches('/'))
        .env("LIMIT_S", SCHEMATHESIS_S.to_string())
        .env("WEIR_TOKEN", made["token"].as_str().unwrap());
    let mut run = topology
        .start(gateway.host(), "schemathesis", &mut command)
        .unwrap();
    let status = run.wait(SCHEMATHESIS_LIMIT).unwrap();
    println!("{}", run.log());
    assert!(status.success(), "schemathesis: {status}");
    check_metrics(&topology, &gateway);
    let said = gateway.said();
    assert!(
        !said.contains(made["token"].as_str().unwrap()) && !said.contains("panicked"),
        "{said}"
    );
}

/// Holds what Prometheus would read against its own rules, and against what the dashboard and the alerts ask for.
fn check_metrics(topology: &Topology, gateway: &RunLab) {
    let metrics = gateway.api().send("GET", "/metrics", &[], None).unwrap();
    assert_eq!(metrics.status, 200);
    let file = topology.folder().join("metrics.txt");
    fs::write(&file, &metrics.body).unwrap();
    let check = programs::root().join("bench/monitoring/check");
    let output = Command::new(check).arg(&file).output().unwrap();
    let told = [output.stdout, output.stderr].concat();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&told));
}
