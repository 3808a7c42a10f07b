//! A change that cannot be made as a whole is refused as a whole, in words that name what is wrong, while the tunnel
//! goes on: half a `wg set`, a file that became bad, and one that takes a restart.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod callers;
mod ground;

use std::io::{Read as _, Write as _};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::Path;

use ground::{Ground, peer};
use nix::errno::Errno;
use nix::sys::signal::Signal;
use weir_abi::ipc::{Reply, Request};
use weir_bench::configured::Configured;
use weir_bench::configured_lab::ConfiguredLab;
use weir_bench::counted::Counted;
use weir_bench::device_config::{DeviceConfig, KeyPair, PeerConfig};
use weir_bench::gateway_topology::server_address;
use weir_bench::tunnel::Family;
use weir_bench::{Implementation, Peer, ipc, wait};

/// What the UAPI socket of an interface answers to `request`.
fn uapi(interface: &str, request: &str) -> String {
    let path = Path::new("/run/wireguard").join(format!("{interface}.sock"));
    let mut stream = UnixStream::connect(path).unwrap();
    stream.set_read_timeout(Some(ground::LIMIT)).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

/// What the socket says to what cannot be; `wg` takes the number for one below zero, as the kernel's answers are.
fn refused(errno: Errno) -> String {
    format!("errno=-{}\n\n", errno as i32)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Sets, each with a good peer first and then something that cannot be, and the answer to each.
fn half_valid() -> Vec<(&'static str, String, Errno)> {
    let key = |seed| hex(KeyPair::seeded(seed).public().as_bytes());
    let good = format!(
        "public_key={}\nallowed_ip=10.88.0.0/24\nendpoint=192.0.2.9:9\n",
        key(901)
    );
    let bad = format!("public_key={}\n", key(902));
    let after = |rest: &str| format!("set=1\n{good}{bad}{rest}\n");
    vec![
        (
            "a prefix too long",
            after("allowed_ip=10.89.0.0/33\n"),
            Errno::EINVAL,
        ),
        ("no prefix", after("allowed_ip=ten\n"), Errno::EINVAL),
        ("an unknown key", after("colour=red\n"), Errno::EINVAL),
        (
            "an endpoint without a port",
            after("endpoint=192.0.2.1\n"),
            Errno::EINVAL,
        ),
        (
            "an endpoint with port 0",
            after("endpoint=192.0.2.1:0\n"),
            Errno::EINVAL,
        ),
        (
            "a name for an endpoint",
            after("endpoint=example.org:51820\n"),
            Errno::EINVAL,
        ),
        (
            "a keepalive beyond",
            after("persistent_keepalive_interval=65536\n"),
            Errno::EINVAL,
        ),
        ("another protocol", after("protocol_version=2\n"), Errno::EINVAL),
        (
            "a short preshared key",
            after("preshared_key=00\n"),
            Errno::EINVAL,
        ),
        (
            "a key that is no hexadecimal",
            format!("set=1\n{good}public_key=zz\n\n"),
            Errno::EINVAL,
        ),
        (
            "a port beyond",
            format!("set=1\nlisten_port=65536\n{good}\n"),
            Errno::EINVAL,
        ),
        (
            "a peer's word for the interface",
            format!("set=1\nallowed_ip=10.0.0.0/8\n{good}\n"),
            Errno::EINVAL,
        ),
    ]
}

/// Catches a set of which a part is kept.
fn refuses_half_of_a_set(interface: &str) {
    let before = uapi(interface, "get=1\n\n");
    assert!(before.contains("errno=0\n"), "it answers");
    for (what, request, errno) in half_valid() {
        let answer = uapi(interface, &request);
        assert_eq!(answer, refused(errno), "{what}");
        // Keys are in it: a failure shows the case alone.
        assert!(
            uapi(interface, "get=1\n\n") == before,
            "{what}: something was kept"
        );
    }
}

#[test]
fn half_a_wg_set_changes_nothing() {
    let ground = Ground::new();
    let drop_in = Peer::start(&ground.topology, &ground.host, "drop", Implementation::Weir).unwrap();
    let device = DeviceConfig {
        key: KeyPair::seeded(3),
        listen_port: Some(51900),
        peers: vec![PeerConfig::new(KeyPair::seeded(900).public(), &["10.87.0.0/24"])],
    };
    drop_in.configure(&device).unwrap();
    refuses_half_of_a_set(drop_in.interface());

    let gateway = ground.start();
    let mut caller = ground.caller(0);
    let quiet = ground.state();
    refuses_half_of_a_set(gateway.interface());
    quiet.unchanged(&ground.state(), "half a set");
    ground.expects_answer(&mut caller, 1);

    // What the file declares is changed in the file.
    let key = hex(callers::key(0).as_bytes());
    let before = uapi(gateway.interface(), "get=1\n\n");
    let other = hex(KeyPair::seeded(901).public().as_bytes());
    let request =
        format!("set=1\npublic_key={other}\nallowed_ip=10.88.0.0/24\npublic_key={key}\nremove=true\n\n");
    assert_eq!(uapi(gateway.interface(), &request), refused(Errno::EPERM));
    assert!(
        uapi(gateway.interface(), "get=1\n\n") == before,
        "a peer of the file was changed"
    );
}

/// Why a reload was refused.
fn refusal(gateway: &Configured) -> String {
    match ipc::ask(gateway.interface(), &Request::Reload).unwrap() {
        Reply::Failed(why) => why,
        other => panic!("it was not refused: {other:?}"),
    }
}

/// Catches a bad file that is taken in part, that stops the gateway or its traffic, or whose mistake is not named.
#[test]
fn a_bad_file_is_refused_and_the_old_one_stays_in_force() {
    let mut lab = ConfiguredLab::new(Implementation::Weir).unwrap();
    let host = lab.gateway.namespace().clone();
    let state = |lab: &ConfiguredLab| ground::HostState::of(&host, lab.gateway.interface());
    let before = state(&lab);
    let destination = (server_address(Family::V4), 0).into();
    let traffic = Counted::start(lab.client.namespace(), &lab.server, destination, 500).unwrap();
    let handshake = lab.gateway.status().unwrap()["peers"][0]["last_handshake_unix_ns"].clone();
    let revision = lab.gateway.status().unwrap()["revision"].clone();

    let good = lab.toml("");
    for (toml, words) in [
        (
            lab.toml(&peer(9, "10.77.0.2/32")),
            "allowed_ips: 10.77.0.2/32 belongs to peer \"client\" already",
        ),
        (lab.toml("\n[[peer]]\nname = \"x\"\n"), "public_key: missing"),
        (good.replace("[gateway]", "[gateway"), ".toml:"),
        (
            good.replace("51820", "99999"),
            "listen_port: 99999; expected 0 to 65535",
        ),
        (String::new(), "interface: missing"),
    ] {
        lab.gateway.write(&toml).unwrap();
        let why = refusal(&lab.gateway);
        println!("{why}");
        assert!(why.contains(words), "{why}\nexpected: {words}");
    }
    let taken = host.enter(|| std::net::UdpSocket::bind("0.0.0.0:51999")).unwrap();
    lab.gateway.write(&good.replace("51820", "51999")).unwrap();
    let why = refusal(&lab.gateway);
    assert!(
        why.contains("UDP port 51999 is in use by another process"),
        "{why}"
    );
    drop(taken);

    // By a signal nobody is there to be told, but for the log.
    lab.gateway.write("[interface]\ncolour = 1\n").unwrap();
    lab.gateway.process().signal(Signal::SIGHUP).unwrap();
    wait::until_true("the refusal in the log", ground::LIMIT, || {
        let log = lab.gateway.process().log();
        log.contains("configuration not changed: ") && log.contains("interface: colour: unknown")
    })
    .unwrap();

    let report = traffic.finish().unwrap();
    assert_eq!(report.sent, report.received, "{report:?}");
    let status = lab.gateway.status().unwrap();
    assert_eq!(status["revision"], revision);
    assert_eq!(status["peers"][0]["last_handshake_unix_ns"], handshake);
    before.unchanged(&state(&lab), "bad files");
}

/// Catches a change that is said to be made and is not, since it takes a restart.
#[test]
fn what_takes_a_restart_is_refused_by_name() {
    let ground = Ground::new();
    let gateway = ground.start();
    let mut caller = ground.caller(0);
    let before = ground.state();
    let good = ground.toml();
    let other_name = format!("name = \"{}x\"", ground.interface);
    let dataplane = |line: &str| good.replacen("[dataplane]\n", &format!("[dataplane]\n{line}\n"), 1);
    let state = format!("state_directory = \"{}\"", ground.topology.folder().display());
    for (toml, field) in [
        (
            good.replace(&format!("name = \"{}\"", ground.interface), &other_name),
            "interface.name",
        ),
        (dataplane("steering = \"user-space\""), "dataplane.steering"),
        (dataplane("offload = \"off\""), "dataplane.offload"),
        (dataplane("burst = 7"), "dataplane.burst"),
        (dataplane("queue = 77"), "dataplane.queue"),
        (dataplane("buffer_kib = 77"), "dataplane.buffer_kib"),
        (
            good.replace(&state, "state_directory = \"/nowhere\""),
            "dataplane.state_directory",
        ),
        (
            format!("{good}\n[limits]\nhandshakes_per_second = 7\n"),
            "limits.handshakes_per_second",
        ),
        (
            format!("{good}\n[limits]\nhandshakes_per_second_per_source = 7\n"),
            "limits.handshakes_per_second_per_source",
        ),
        (
            format!("{good}\n[limits]\nhandshake_queue = 7\n"),
            "limits.handshake_queue",
        ),
    ] {
        assert_ne!(toml, good, "{field}");
        // A second change, which must not be made alone.
        gateway
            .write(&format!("{toml}{}", peer(9, "10.99.0.0/24")))
            .unwrap();
        let why = refusal(&gateway);
        assert_eq!(
            why,
            format!("{field} changed, which takes a restart; nothing was changed")
        );
    }
    before.unchanged(&ground.state(), "what takes a restart");
    ground.expects_answer(&mut caller, 1);
    gateway.write(&good).unwrap();
    assert!(matches!(
        ipc::ask(gateway.interface(), &Request::Reload).unwrap(),
        Reply::Done(_)
    ));
}
