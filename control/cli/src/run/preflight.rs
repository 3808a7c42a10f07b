//! What would keep a gateway from starting, said before anything is written.

use crate::error::{Failure, Outcome};
use crate::{ipc, net};
use std::fs::OpenOptions;
use std::io;
use std::path::Path;

/// Capability 12 (capabilities(7)).
const CAP_NET_ADMIN: u32 = 12;

/// Every obstacle at once, each in a line with its remedy.
pub fn check(interface: &str, port: u16, directory: &Path) -> Outcome<()> {
    let obstacles: Vec<String> = [privileges(), tun(), running(interface, port, directory)]
        .into_iter()
        .flatten()
        .collect();
    if obstacles.is_empty() {
        Ok(())
    } else {
        Err(Failure::Said(obstacles.join("\n")))
    }
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
