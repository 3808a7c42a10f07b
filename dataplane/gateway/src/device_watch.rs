//! Follows the tunnel's device as others change it: its MTU, down and up again, to another namespace, to its end.

use crate::dataplane::DataPlane;
use crate::host::{Host, is_down};
use crate::netlink::{self, Event, Link, Monitor};
use nix::errno::Errno;
use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

/// A device that moves to another namespace is in none for a moment.
const MOVING: Duration = Duration::from_millis(20);

/// Starts a thread that follows the device until it is removed, and then calls `gone`.
pub fn start(plane: Arc<DataPlane>, host: Arc<Host>, gone: impl FnOnce() + Send + 'static) -> io::Result<()> {
    let watch = Watch {
        plane,
        host,
        down: false,
    };
    thread::Builder::new()
        .name("weir-device".into())
        .spawn(move || watch.run(gone))
        .map(drop)
}

struct Watch {
    plane: Arc<DataPlane>,
    host: Arc<Host>,
    /// Whether the device was seen set down.
    down: bool,
}

impl Watch {
    fn run(mut self, gone: impl FnOnce()) {
        loop {
            let found = self.plane.with_tun(|tun| {
                let monitor = Monitor::of_device(tun.as_fd())?;
                let (_, link) = netlink::Netlink::of_device(tun.as_fd())?;
                Ok::<_, netlink::Error>((monitor, link))
            });
            match found {
                Ok((monitor, link)) => self.follow(&monitor, &link),
                // The driver's word that the device is no more.
                Err(error) if error.errno() == Some(Errno::EBADFD) => return gone(),
                Err(_) => thread::sleep(MOVING),
            }
        }
    }

    /// Follows the link until it is in this namespace no more, or changes went by unseen.
    fn follow(&mut self, monitor: &Monitor, link: &Link) {
        self.changed(link);
        for event in monitor.events() {
            match event {
                Event::Link(changed) if changed.index == link.index => self.changed(&changed),
                Event::LinkGone(index) if index == link.index => return,
                Event::Lost => return,
                Event::Link(_)
                | Event::LinkGone(_)
                | Event::Addresses
                | Event::Routes
                | Event::Neighbour(..) => {}
            }
        }
    }

    fn changed(&mut self, link: &Link) {
        let mtu = u16::try_from(link.mtu).unwrap_or(u16::MAX);
        if self.plane.tables().mtu != mtu {
            tracing::info!("the tunnel's MTU is {mtu} now");
            self.plane.set_mtu(mtu);
        }
        if self.down && link.up {
            self.host.restore(&self.plane);
        } else if !self.down && !link.up {
            self.plane.watchers().warn(&is_down(&link.name));
        }
        self.down = !link.up;
    }
}
