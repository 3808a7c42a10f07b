//! `weir run` with a data plane and a control process that this program plays itself: started with `--config` the one, with
//! `--interface` the other, it answers on a socket until it is told to stop. Where the capability to make devices is
//! missing, that this is said is what is tested.

mod common;
#[path = "run/control.rs"]
mod control;

use common::*;
use nix::sys::signal::{SigSet, Signal, kill};
use nix::unistd::Pid;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ExitCode, Stdio};
use weir_abi::ipc::Reply;
use weir_config::Config;
use weir_config::conf::Conf;

/// How the played data plane ends when it is told to, so that nothing else can be taken for it.
const ENDED: u8 = 42;

/// Ends at once with this code instead of serving, or by SIGKILL.
const FAIL_WITH: &str = "WEIR_TEST_FAIL_WITH";

/// No code.
const KILLED: &str = "SIGKILL";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().collect();
    if args.get(1).is_some_and(|a| a == "--config") {
        return play(Path::new(&args[2]));
    }
    if args.get(1).is_some_and(|a| a == "--interface") {
        return control::play(&args);
    }
    // Test runners ask for a list first.
    if args.iter().any(|a| a == "--list") {
        return ExitCode::SUCCESS;
    }
    if privileged() {
        first_use_then_again();
        devices_are_written_and_judged();
        obstacles_are_said_before_anything_is_written();
        the_data_plane_s_own_failure_is_handed_on();
        a_killed_data_plane_is_said();
        control::cases();
    } else {
        missing_privileges_are_said();
    }
    println!(
        "run: ok ({})",
        if privileged() {
            "as root"
        } else {
            "without privileges"
        }
    );
    ExitCode::SUCCESS
}

fn play(config: &Path) -> ExitCode {
    if let Ok(code) = std::env::var(FAIL_WITH) {
        if code == KILLED {
            kill(Pid::this(), Signal::SIGKILL).expect("one may kill oneself");
        }
        return ExitCode::from(code.parse::<u8>().expect("a code"));
    }
    let inherited = SigSet::thread_get_mask().expect("the mask is read");
    assert_eq!(
        inherited,
        SigSet::empty(),
        "a data plane that begins with signals blocked cannot be stopped"
    );
    let mut wanted = SigSet::empty();
    wanted.add(Signal::SIGINT);
    wanted.add(Signal::SIGTERM);
    wanted.thread_block().expect("signals can be blocked");
    let loaded = parse(config);
    let socket = config
        .parent()
        .expect("a folder")
        .join(format!("{}.sock", loaded.interface.name));
    let status = status(&loaded.interface.name);
    let _gateway = FakeGateway::start_at(&socket, weir_abi::VERSION, move |_| {
        Reply::Status(Box::new(status.clone()))
    });
    control::note(config, &format!("data plane {}", std::process::id()));
    let signal = wanted.wait().expect("a signal comes");
    assert_eq!(signal, Signal::SIGINT);
    control::note(config, "data plane told to stop");
    fs::remove_file(socket).expect("the socket is removed");
    ExitCode::from(ENDED)
}

fn parse(path: &Path) -> Config {
    let read = |path: &Path| {
        Ok(weir_config::key::KeyFile {
            text: fs::read_to_string(path)?.into(),
            mode: mode(path),
        })
    };
    let text = fs::read_to_string(path).expect("a configuration");
    Config::parse(&text, path.to_str().expect("UTF-8"), &read).unwrap_or_else(|e| panic!("{e}\n{text}"))
}

/// CAP_NET_ADMIN and a TUN device: what `weir run` asks for first.
fn privileged() -> bool {
    let status = fs::read_to_string("/proc/self/status").expect("it is there");
    let set = status
        .lines()
        .find_map(|l| l.strip_prefix("CapEff:"))
        .expect("the line is there");
    u64::from_str_radix(set.trim(), 16).expect("hexadecimal") >> 12 & 1 == 1
        && fs::OpenOptions::new()
            .read(true)
            .write(true)
            .open("/dev/net/tun")
            .is_ok()
}

fn free_port() -> String {
    let socket = std::net::UdpSocket::bind("0.0.0.0:0").expect("a port");
    socket.local_addr().expect("bound").port().to_string()
}

/// `weir run` on `etc/weir.toml` of the place, which is also where the sockets are.
fn command(place: &Place, more: &[&str]) -> std::process::Command {
    let own = std::env::current_exe().expect("this program");
    let mut command = place.command(&["run", "--config", "etc/weir.toml", "--interface", "weirtest0"]);
    command
        .args(["--no-control", "--dataplane", own.to_str().expect("UTF-8")])
        .args(more);
    command.arg("--run-directory").arg(place.path("etc"));
    command
}

/// Starts it, waits until it has introduced itself, ends it as Ctrl-C does; hands out standard output.
fn run_and_stop(place: &Place, more: &[&str]) -> (String, String) {
    let mut child: Child = command(place, more)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("weir starts");
    let mut said = String::new();
    let mut errors = BufReader::new(child.stderr.take().expect("piped"));
    while !said.contains("Ctrl-C stops") {
        assert!(
            errors.read_line(&mut said).expect("it is readable") > 0,
            "it ended: {said}"
        );
    }
    kill(Pid::from_raw(child.id() as i32), Signal::SIGINT).expect("it runs");
    let mut printed = String::new();
    child
        .stdout
        .take()
        .expect("piped")
        .read_to_string(&mut printed)
        .expect("UTF-8");
    errors.read_to_string(&mut said).expect("UTF-8");
    assert_eq!(
        child.wait().expect("it ends").code(),
        Some(i32::from(ENDED)),
        "{said}"
    );
    (printed, said)
}

fn place() -> Place {
    Place::new("")
}

fn first_use_then_again() {
    let place = place();
    let (printed, said) = run_and_stop(&place, &["--port", &free_port(), "--endpoint", "192.0.2.7"]);
    let made = ["etc/clients/client1.conf", "etc/private.key", "etc/weir.toml"].map(PathBuf::from);
    for path in &made {
        assert_eq!(mode(&place.folder.path().join(path)), 0o600, "{path:?}");
    }
    assert_eq!(
        place.files().len(),
        4,
        "nothing stays of the run itself: {:?}",
        place.files()
    );
    let config = parse(&place.path("etc/weir.toml"));
    assert!(said.contains(&config.public_key().to_string()), "{said}");
    assert!(config.gateway.forward && config.gateway.nat && config.warnings.is_empty());

    let conf = Conf::parse(&printed, "client1.conf").expect("pasted verbatim");
    let seen = &conf.peers[0];
    assert_eq!(seen.public_key, config.public_key());
    assert_eq!(
        seen.endpoint.as_ref().map(ToString::to_string),
        Some(format!("192.0.2.7:{}", config.interface.listen_port))
    );
    assert!(seen.allowed_ips.contains(&"0.0.0.0/0".parse().expect("a prefix")));
    let client = config.peer("client1").expect("the first client");
    assert_eq!(client.preshared_key, seen.preshared_key);
    let own = conf
        .interface
        .private_key
        .as_ref()
        .map(weir_config::key::public_key);
    assert_eq!(own, Some(client.public_key));

    let (again, _) = run_and_stop(&place, &[]);
    assert_eq!(again, printed, "the same identity and client at the second start");
    let (_, said) = run_and_stop(&place, &["--port", "9"]);
    let ignored = format!(
        "--port 9: ignored, for etc/weir.toml is there and says listen_port = {}",
        config.interface.listen_port
    );
    assert!(said.contains(&ignored) && !said.contains("--interface"), "{said}");
    let (moved, said) = run_and_stop(&place, &["--endpoint", "vpn.example.org:4500"]);
    assert_eq!(
        moved,
        printed.replace(
            &format!("192.0.2.7:{}", config.interface.listen_port),
            "vpn.example.org:4500"
        )
    );
    assert!(said.contains("clients now use vpn.example.org:4500"), "{said}");
}

/// Catches devices that are asked for and not written, written twice, or of which nothing is said.
fn devices_are_written_and_judged() {
    let place = place();
    let devices = || -> Vec<(&str, String)> {
        let ports = parse(&place.path("etc/weir.toml")).ports.into_iter();
        ports.map(|port| (port.role.name(), port.device)).collect()
    };
    let first = [
        "--port",
        &free_port(),
        "--endpoint",
        "192.0.2.7",
        "--nic",
        "weirnone1",
    ];
    let (_, said) = run_and_stop(&place, &first);
    assert_eq!(devices(), [("wan", "weirnone1".to_owned())]);
    assert!(said.contains("weirnone1") && said.contains("bad"), "{said}");
    let (_, said) = run_and_stop(&place, &["--nic", "weirnone3", "--lan", "weirnone2"]);
    let both = [("wan", "weirnone3".to_owned()), ("lan", "weirnone2".to_owned())];
    assert_eq!(devices(), both);
    assert!(said.contains("AF_XDP on weirnone3 and weirnone2"), "{said}");
    let before = fs::read_to_string(place.path("etc/weir.toml")).expect("it is there");
    let (_, said) = run_and_stop(&place, &["--nic", "weirnone3"]);
    assert!(!said.contains("AF_XDP on"), "{said}");
    let twice = command(&place, &["--lan", "weirnone3"])
        .output()
        .expect("weir starts");
    refused(&twice, &["port", "weirnone3"]);
    let after = fs::read_to_string(place.path("etc/weir.toml")).expect("it is there");
    assert_eq!(after, before, "a file that is refused is not written");
}

fn obstacles_are_said_before_anything_is_written() {
    let place = place();
    let socket = std::net::UdpSocket::bind("0.0.0.0:0").expect("a port");
    let port = socket.local_addr().expect("bound").port().to_string();
    let output = command(&place, &["--port", &port]).output().expect("weir starts");
    refused(
        &output,
        &[&format!("port {port}/udp: Address already in use"), "ss -lunp"],
    );
    let output = command(&place, &["--port", &free_port(), "--interface", "lo"]).output();
    assert_eq!(
        output.expect("weir starts").status.code(),
        Some(2),
        "an option given twice is a mistake"
    );
    let output = place.weir(&[
        "run",
        "--config",
        "etc/weir.toml",
        "--interface",
        "lo",
        "--port",
        &free_port(),
        "--no-control",
        "--dataplane",
        "x",
    ]);
    refused(&output, &["interface lo: a device of this name is there already"]);
    let output = place.weir(&[
        "run",
        "--config",
        "etc/weir.toml",
        "--no-control",
        "--endpoint",
        "a b",
        "--port",
        &free_port(),
    ]);
    refused(&output, &["--endpoint: \"a b\" is not an endpoint"]);
    assert_eq!(place.files(), ["weir.toml"]);
}

fn the_data_plane_s_own_failure_is_handed_on() {
    let place = place();
    let output = command(&place, &["--port", &free_port()])
        .env(FAIL_WITH, "7")
        .output()
        .expect("weir starts");
    assert_eq!(output.status.code(), Some(7), "{}", err(&output));
    assert_eq!(
        out(&output),
        "",
        "no client is introduced to a gateway that does not run"
    );
}

/// Catches a `weir run` that ends without a word because its data plane could say none.
fn a_killed_data_plane_is_said() {
    let place = place();
    let output = command(&place, &["--port", &free_port()])
        .env(FAIL_WITH, KILLED)
        .output()
        .expect("weir starts");
    refused(&output, &["weir-dataplane was ended by SIGKILL", "start again"]);
}

fn missing_privileges_are_said() {
    let place = place();
    let output = command(&place, &["--port", &free_port()])
        .output()
        .expect("weir starts");
    refused(&output, &["expected root: run this with sudo"]);
    assert_eq!(place.files(), ["weir.toml"]);
}
