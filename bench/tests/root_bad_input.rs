//! A gateway that cannot start as it is told says why in one message that names the field, the value and what was
//! expected, ends with a status that says so, and has changed nothing. A damaged state file costs a warning alone.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod callers;
mod ground;

use std::fs::{self, Permissions};
use std::net::UdpSocket;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixListener;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use ground::{Ground, LIMIT, PORT, peer, program};
use nix::sys::signal::Signal;
use weir_bench::{programs, wait};

/// Catches a mistake in the file that is not seen, not named, or seen only after something was set up.
#[test]
fn mistakes_in_the_file_are_named() {
    let ground = Ground::new();
    let good = ground.toml();
    let first = peer(0, "10.77.100.0/32");
    let key = first.split('"').nth(3).unwrap();
    let with = |from: &str, to: &str| {
        assert!(good.contains(from), "{from}");
        good.replacen(from, to, 1)
    };
    let short = with(key, "AAAA");
    ground.refuses(
        "a short key",
        &short,
        &["peer \"peer 0\"", "public_key", "44 base64 characters"],
    );
    let weak = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
    ground.refuses(
        "a key of low order",
        &with(key, weak),
        &["peer \"peer 0\"", "public_key", weak],
    );
    ground.refuses(
        "a prefix too long",
        &with("10.77.100.0/32", "10.77.100.0/33"),
        &["peer \"peer 0\"", "allowed_ips", "33", "expected 0 to 32"],
    );
    ground.refuses(
        "no prefix",
        &with("10.77.100.0/32", "10.77.0"),
        &["allowed_ips", "\"10.77.0\"", "expected"],
    );
    ground.refuses(
        "a port beyond",
        &with("= 51820", "= 518200"),
        &["interface: listen_port", "518200", "expected 0 to 65535"],
    );
    ground.refuses(
        "an unknown key",
        &with("listen_port", "listenport"),
        &["interface: listenport", "did you mean listen_port?"],
    );
    ground.refuses(
        "an unknown section",
        &with("[gateway]", "[gatway]"),
        &["gatway", "did you mean gateway?"],
    );
    let twice = format!(
        "{good}{}",
        first.replace("peer 0", "peer 9").replace("100.0/32", "100.9/32")
    );
    ground.refuses(
        "a peer twice",
        &twice,
        &["peer \"peer 9\": public_key", key, "expected it once"],
    );
    ground.refuses(
        "a prefix twice",
        &format!("{good}{}", peer(9, "10.77.100.0/32")),
        &[
            "peer \"peer 9\": allowed_ips",
            "10.77.100.0/32",
            "peer \"peer 0\"",
            "expected one owner",
        ],
    );
    ground.refuses(
        "the same prefix in other words",
        &format!("{good}{}{}", peer(8, "10.99.1.0/24"), peer(9, "10.99.1.77/24")),
        &[
            "peer \"peer 9\": allowed_ips",
            "10.99.1.0/24",
            "expected one owner",
        ],
    );
    ground.refuses("no TOML", &with("[interface]", "[interface"), &[".toml:4", "]"]);
}

/// Catches files that are missing or may not be read and are not named, or are taken for empty ones.
#[test]
fn files_that_cannot_be_read_are_named() {
    let ground = Ground::new();
    let good = ground.toml();
    let (start, end) = (
        good.find("private_key").unwrap(),
        good.find("\nlisten_port").unwrap(),
    );
    let absent = good.replacen(&good[start..end], "private_key_file = \"absent.key\"", 1);
    let absent_file = ground.topology.folder().join("absent.key");
    let words = [
        "private_key_file",
        absent_file.to_str().unwrap(),
        "expected a file holding one key",
    ];
    ground.refuses("a key file that is missing", &absent, &words);
    fs::write(&absent_file, "not a key\n").unwrap();
    ground.refuses(
        "a key file without a key",
        &absent,
        &["private_key_file", "absent.key", "44 base64"],
    );

    let file = ground.file();
    fs::remove_file(&file).unwrap();
    let named = file.to_str().unwrap().to_owned();
    ground.refuses_by("no configuration", &mut program(), &[&named, "No such file"]);
    fs::create_dir(&file).unwrap();
    ground.refuses_by("a directory", &mut program(), &[&named, "directory"]);
    fs::remove_dir(&file).unwrap();
    fs::write(&file, good).unwrap();
    let for_all = ForAll::new("files");
    let mut nobody = for_all.as_nobody();
    ground.refuses_by(
        "a configuration of another user",
        &mut nobody,
        &[&named, "Permission denied"],
    );
    fs::write(&file, [0xff, 0xfe, 0]).unwrap();
    ground.refuses_by("no text", &mut program(), &[&named, "UTF-8"]);
}

/// How long a port may stay taken that nobody wants any more.
const FREE_LIMIT: Duration = Duration::from_secs(10);

/// Catches a port or a name taken from whoever has it, or shared with it.
#[test]
fn what_others_have_is_theirs() {
    let ground = Ground::new();
    let toml = ground.toml();
    for address in ["0.0.0.0", "::"] {
        // A program that another test is starting holds the last socket for a moment, between its fork and its exec.
        let bind = || ground.host.enter(|| UdpSocket::bind((address, PORT))).ok();
        let _taken = wait::until("the port to be free", FREE_LIMIT, bind).unwrap();
        let port = format!("UDP port {PORT} is in use by another process");
        ground.refuses(&format!("the port taken on {address}"), &toml, &[&port]);
    }
    for kind in ["bridge", "veth"] {
        ground
            .host
            .ip(&format!("link add {} type {kind}", ground.interface))
            .unwrap();
        let named = format!("a device named {} exists", ground.interface);
        ground.refuses(
            &format!("the name taken by a {kind}"),
            &toml,
            &[&named, "expected"],
        );
        ground
            .host
            .ip(&format!("link delete {}", ground.interface))
            .unwrap();
    }
    ground
        .host
        .ip(&format!("tuntap add {} mode tun multi_queue", ground.interface))
        .unwrap();
    let named = format!("a device named {} exists", ground.interface);
    ground.refuses("the name taken by a TUN device", &toml, &[&named]);
    ground
        .host
        .ip(&format!("link delete {}", ground.interface))
        .unwrap();

    for folder in ["/run/wireguard", "/run/weir"] {
        fs::create_dir_all(folder).unwrap();
        let path = Path::new(folder).join(format!("{}.sock", ground.interface));
        let listening = UnixListener::bind(&path).unwrap();
        let named = format!("{} is in use by another process", path.display());
        // The one for wg is also known by its old name.
        let named = named.trim_start_matches("/run");
        ground.refuses(
            &format!("{} taken", path.display()),
            &toml,
            &[named, "stop that one first"],
        );
        drop(listening);
        fs::remove_file(&path).unwrap();
        fs::write(&path, "").unwrap();
        ground.refuses(
            &format!("{} is a file", path.display()),
            &toml,
            &["is no socket", "expected"],
        );
        fs::remove_file(&path).unwrap();
    }
}

/// `weir-dataplane` where any user may execute it, which is not so of every build folder.
struct ForAll(PathBuf);

impl ForAll {
    fn new(test: &str) -> Self {
        let copy = std::env::temp_dir().join(format!("weir-{}-{test}", std::process::id()));
        fs::copy(program().get_program(), &copy).unwrap();
        fs::set_permissions(&copy, Permissions::from_mode(0o755)).unwrap();
        Self(copy)
    }

    /// As a user without privileges, in a group without them.
    fn as_nobody(&self) -> Command {
        let mut command = programs::tool("setpriv").unwrap();
        command
            .args(["--reuid", "65534", "--regid", "65534", "--clear-groups", "--"])
            .arg(&self.0);
        command
    }
}

impl Drop for ForAll {
    fn drop(&mut self) {
        // A test that failed before it was there has said why.
        let _ = fs::remove_file(&self.0);
    }
}

/// With the root user's files, and these capabilities alone.
fn with_capabilities(bounding: &str) -> Command {
    let mut command = programs::tool("setpriv").unwrap();
    command
        .args(["--bounding-set", bounding, "--"])
        .arg(program().get_program());
    command
}

/// Where there is no /dev/net/tun, as in a container that was not given it.
fn without_tun() -> Command {
    let mut command = program();
    let hide = || {
        // SAFETY: unshare(2) with a namespace of mounts for a process that has one thread changes nothing in memory.
        let mut answer = unsafe { libc::unshare(libc::CLONE_NEWNS) };
        for (folder, kind, flags) in [
            (c"/", c"none", libc::MS_REC | libc::MS_PRIVATE),
            (c"/dev/net", c"tmpfs", 0),
        ] {
            let (none, nothing) = (c"none".as_ptr(), std::ptr::null());
            // SAFETY: mount(2) reads the texts, which are constants.
            answer |= unsafe { libc::mount(none, folder.as_ptr(), kind.as_ptr(), flags, nothing) };
        }
        if answer == 0 {
            Ok(())
        } else {
            Err(std::io::Error::last_os_error())
        }
    };
    // SAFETY: between fork and exec only system calls are made, and nothing is allocated or locked.
    unsafe { command.pre_exec(hide) };
    command
}

/// Catches a machine that does not allow a gateway and is not told which permission or device is missing.
#[test]
fn what_the_machine_does_not_allow_is_named() {
    let ground = Ground::new();
    ground.write(&ground.toml());
    let device = ground.interface.clone();
    ground.refuses_by(
        "no capability",
        &mut with_capabilities("-all"),
        &[&device, "CAP_NET_ADMIN"],
    );
    ground.refuses_by(
        "no TUN",
        &mut without_tun(),
        &["/dev/net/tun", "No such file", "module tun"],
    );
    let for_all = ForAll::new("machine");
    let mut nobody = for_all.as_nobody();
    let nobody = nobody.args(["--foreground", &device]);
    ground.refuses_command(
        "an ordinary user",
        nobody,
        &["/wireguard", "Permission denied", "root"],
    );
}

/// What a state file may have become.
fn damages(whole: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let with = |at: usize, byte: u8| {
        let mut bytes = whole.to_vec();
        bytes[at] ^= byte;
        bytes
    };
    vec![
        ("a flipped bit in its middle", with(whole.len() / 2, 0x10)),
        ("a flipped bit at its end", with(whole.len() - 1, 0x01)),
        ("another beginning", with(0, 0xff)),
        ("another version", with(8, 0x40)),
        ("half of it", whole[..whole.len() / 2].to_vec()),
        ("one byte more", [whole, &[0]].concat()),
        ("nothing", Vec::new()),
        ("a length beyond everything", with(19, 0x7f)),
    ]
}

/// Catches damage that stops the start or passes unsaid, and peers lost by it.
#[test]
fn a_damaged_state_file_costs_a_warning() {
    let ground = Ground::new();
    let (path, older) = (
        ground.state_file(),
        ground.state_file().with_extension("state.old"),
    );
    let mut gateway = ground.start();
    let _callers = [ground.caller(0), ground.caller(1)];
    gateway.process().signal(Signal::SIGTERM).unwrap();
    gateway.process().wait(LIMIT).unwrap();
    let whole = fs::read(&path).unwrap();
    let check = |what: &str| {
        let mut gateway = ground.start();
        let log = gateway.process().log();
        println!("{what}: {log}");
        let named = log
            .lines()
            .find(|line| line.contains("WARN") && line.contains(path.to_str().unwrap()));
        assert!(named.is_some(), "{what}: no warning\n{log}");
        assert_eq!(
            gateway.status().unwrap()["peers"].as_array().unwrap().len(),
            2,
            "{what}"
        );
    };
    for (what, bytes) in damages(&whole) {
        fs::write(&path, &bytes).unwrap();
        fs::write(&older, &bytes).unwrap();
        check(what);
    }
    for file in [&path, &older] {
        // The last gateway may have written a new one.
        let _ = fs::remove_file(file);
    }
    fs::create_dir(&path).unwrap();
    check("a directory");
}
