//! What would keep a gateway from starting, said before anything is written.

use super::account::Account;
use crate::control::{self, Control};
use crate::error::{Failure, Outcome};
use crate::{ipc, net};
use nix::unistd::geteuid;
use std::fs::OpenOptions;
use std::io;
use std::path::Path;

/// Capability 12 (capabilities(7)).
const CAP_NET_ADMIN: u32 = 12;

/// Every obstacle at once, each in a line with its remedy. Hands out whom the control process runs as, where one is wanted
/// as this user; its socket is in `sockets`.
pub fn check(
    interface: &str,
    port: u16,
    directory: &Path,
    control_user: Option<&str>,
    sockets: &Path,
) -> Outcome<Option<Account>> {
    let account = control_user.map(Account::find).transpose();
    let mut obstacles: Vec<String> = [privileges(), tun(), running(interface, port, directory)]
        .into_iter()
        .flatten()
        .collect();
    obstacles.extend(control_user.and_then(another_user));
    obstacles.extend(control_user.and_then(|_| controlled(sockets)));
    match account {
        Ok(account) if obstacles.is_empty() => return Ok(account),
        Ok(_) => {}
        Err(failure) => obstacles.push(failure.to_string()),
    }
    Err(Failure::Said(obstacles.join("\n")))
}

/// Only root may give a process to another user.
fn another_user(user: &str) -> Option<String> {
    // Said by the privileges already where there are none at all.
    let missing = !geteuid().is_root() && net::has_capability(CAP_NET_ADMIN);
    missing.then(|| {
        format!(
            "privileges: weir-control is to run as user {user}; expected root: run this with sudo, or with --no-control"
        )
    })
}

/// A control process that runs already.
fn controlled(sockets: &Path) -> Option<String> {
    let runs = Control::at(sockets).runs().unwrap_or(true);
    runs.then(|| {
        format!(
            "control process: one answers at {} already; stop it first, or start with --no-control",
            control::socket(sockets).display()
        )
    })
}

fn privileges() -> Option<String> {
    let missing = !net::has_capability(CAP_NET_ADMIN);
    missing.then(|| "privileges: CAP_NET_ADMIN is missing; expected root: run this with sudo".to_owned())
}

fn tun() -> Option<String> {
    const DEVICE: &str = "/dev/net/tun";
    let error = OpenOptions::new().read(true).write(true).open(DEVICE).err()?;
    Some(match error.kind() {
        io::ErrorKind::NotFound => format!(
            "{DEVICE}: missing; load the driver with `modprobe tun`, or have whoever runs this container or machine pass the device in"
        ),
        io::ErrorKind::PermissionDenied => {
            format!("{DEVICE}: permission denied; expected root: run this with sudo")
        }
        _ => format!("{DEVICE}: {error}; load the driver with `modprobe tun`"),
    })
}

/// A gateway that runs already, or whatever else has the port or the name.
fn running(interface: &str, port: u16, directory: &Path) -> Option<String> {
    if let Ok(status) = ipc::status(directory, interface, false) {
        return Some(format!(
            "interface {interface}: runs already as process {}; stop it first, or see `weir status {interface}`",
            status.pid
        ));
    }
    if Path::new("/sys/class/net").join(interface).exists() {
        return Some(format!(
            "interface {interface}: a device of this name is there already; remove it with `ip link del {interface}`, or choose another name"
        ));
    }
    let error = net::port_free(port).err().filter(|_| port != 0)?;
    Some(format!(
        "port {port}/udp: {error}; see who has it with `ss -lunp 'sport = :{port}'`, stop that, or choose another listen_port"
    ))
}
