//! The sockets of one UDP port, for all shards.

use super::options::{BindError, OffloadChoice, UdpOptions};
use super::port::UdpPort;
use super::socket::{self, Family, SocketPair};
use crate::steer::{Member, SlotTable, Steerer, SteeringReport};
use crate::sys;
use nix::sys::eventfd::EventFd;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use weir_frame::FramePool;

/// How often a port of the kernel's choice may turn out to be taken for IPv6.
const CHOICES_MAX: usize = 32;

/// A UDP port, open on IPv4 and IPv6, with a pair of sockets for each shard and the steering between them.
///
/// The group and the ports share the sockets. The group changes them while the shards work: everything here may be
/// called from another thread than theirs. Dropping the group leaves the ports open as they are.
pub struct UdpGroup {
    options: UdpOptions,
    port: u16,
    ipv6_missing: Option<String>,
    offload: bool,
    members: Vec<Member>,
    steerer: Steerer,
    table: SlotTable,
}

/// Sockets of all shards, bound and steered, that no port works on yet.
struct Bound {
    port: u16,
    ipv6_missing: Option<String>,
    offload: bool,
    members: Vec<Member>,
    steerer: Steerer,
}

impl UdpGroup {
    /// Opens the port for the shards that `pools` belong to, with a [`UdpPort`] for each in the same order.
    ///
    /// A port that another process has open is refused, even where that would share it. Where the machine has no IPv6
    /// the port is open on IPv4 alone, and [`UdpGroup::ipv6_missing`] says why.
    ///
    /// # Errors
    /// [`BindError`]; nothing stays open.
    pub fn bind(
        options: &UdpOptions,
        pools: Vec<FramePool>,
        table: &SlotTable,
    ) -> Result<(Self, Vec<UdpPort>), BindError> {
        let shards: Vec<u16> = pools.iter().map(|pool| pool.home().shard).collect();
        let bound = open(options, &shards, table)?;
        let ports = bound
            .members
            .iter()
            .zip(pools)
            .map(|(member, pool)| UdpPort::new(Arc::clone(&member.sockets), bound.offload, pool))
            .collect();
        let group = Self {
            options: *options,
            port: bound.port,
            ipv6_missing: bound.ipv6_missing,
            offload: bound.offload,
            members: bound.members,
            steerer: bound.steerer,
            table: table.clone(),
        };
        Ok((group, ports))
    }

    /// The port's number, also where the kernel chose it.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Why the port is not open on IPv6; `None` where it is.
    pub fn ipv6_missing(&self) -> Option<&str> {
        self.ipv6_missing.as_deref()
    }

    /// How datagrams find their shard, and which better ways were refused.
    pub fn steering(&self) -> SteeringReport {
        self.steerer.report()
    }

    /// The shards of the group.
    pub fn shards(&self) -> impl Iterator<Item = u16> {
        self.members.iter().map(|member| member.shard)
    }

    /// Follows a new table of slots. Datagrams already queued stay where they are.
    ///
    /// # Errors
    /// A way of steering that was asked for by name and refuses the table.
    pub fn set_slots(&mut self, table: &SlotTable) -> Result<(), BindError> {
        self.table = table.clone();
        self.steerer
            .write(&self.members, table)
            .map_err(|source| steering_error(self.port, source))
    }

    /// Adds the shard that `pool` belongs to. It gets its share of handshakes at once, transport data when the table
    /// gives it slots.
    ///
    /// # Errors
    /// [`BindError`]; the group is as before.
    pub fn add(&mut self, pool: FramePool) -> Result<UdpPort, BindError> {
        let shard = pool.home().shard;
        if self.members.iter().any(|member| member.shard == shard) {
            let (port, problem) = (self.port, "is there already");
            return Err(BindError::Shard { port, shard, problem });
        }
        check_shards(self.port, self.members.len() + 1)?;
        let (pair, _) = pair(&self.options, self.port, self.ipv6_missing.is_none())?;
        let sockets = Arc::new(pair);
        self.members.push(Member {
            shard,
            sockets: Arc::clone(&sockets),
        });
        if let Err(source) = self.steerer.add(&self.members, &self.table) {
            self.members.pop();
            return Err(steering_error(self.port, source));
        }
        Ok(UdpPort::new(sockets, self.offload, pool))
    }

    /// Closes the sockets of `shard`, whose port receives and sends nothing from then on, and counts what it is told to
    /// send as `tx_errors`. Take its slots off the table before.
    ///
    /// # Errors
    /// A shard that is not in the group, or a kernel out of descriptors.
    pub fn remove(&mut self, shard: u16) -> Result<(), BindError> {
        let port = self.port;
        let at = self.members.iter().position(|member| member.shard == shard);
        let Some(at) = at else {
            let problem = "is not there";
            return Err(BindError::Shard { port, shard, problem });
        };
        let sockets = &self.members[at].sockets;
        for socket in [Some(sockets.v4()), sockets.v6()].into_iter().flatten() {
            close(socket).map_err(|source| socket_error(port, source))?;
        }
        // As the kernel closes the gap that a socket leaves in its group: with the last one.
        self.members.swap_remove(at);
        self.steerer
            .write(&self.members, &self.table)
            .map_err(|source| steering_error(port, source))
    }

    /// Moves all shards to another UDP port (0 for one of the kernel's choice), which is open before the old one is
    /// closed. What waited in the old sockets is lost. The ports go on with the same descriptors, but who waits on them
    /// waits on the old sockets, and must be woken.
    ///
    /// # Errors
    /// [`BindError`]; the old port stays open.
    pub fn rebind(&mut self, port: u16) -> Result<(), BindError> {
        if port == self.port {
            return Ok(());
        }
        let options = UdpOptions { port, ..self.options };
        let shards: Vec<u16> = self.shards().collect();
        let bound = open(&options, &shards, &self.table)?;
        for (member, new) in self.members.iter().zip(&bound.members) {
            let old = &member.sockets;
            let moved =
                sys::replace(old.v4(), new.sockets.v4()).and_then(|()| match (old.v6(), new.sockets.v6()) {
                    (Some(old), Some(new)) => sys::replace(old, new),
                    (Some(old), None) => close(old),
                    (None, Some(_) | None) => Ok(()),
                });
            moved.map_err(|source| socket_error(bound.port, source))?;
        }
        // The new sockets live on under the old descriptors; those they were made with go with `bound.members`.
        self.options = options;
        self.port = bound.port;
        self.ipv6_missing = self.ipv6_missing.take().or(bound.ipv6_missing);
        self.steerer = bound.steerer;
        Ok(())
    }

    /// Marks outgoing datagrams of all shards from now on; 0 marks none.
    ///
    /// # Errors
    /// [`BindError::Fwmark`] without the capability.
    pub fn set_fwmark(&mut self, mark: u32) -> Result<(), BindError> {
        for member in &self.members {
            for socket in [Some(member.sockets.v4()), member.sockets.v6()]
                .into_iter()
                .flatten()
            {
                socket::set_fwmark(socket, mark).map_err(|source| BindError::Fwmark { mark, source })?;
            }
        }
        self.options.fwmark = mark;
        Ok(())
    }
}

/// Closes what is behind a descriptor that a port goes on using: it finds no socket there.
fn close(socket: BorrowedFd<'_>) -> io::Result<()> {
    let nothing = EventFd::new().map_err(io::Error::from)?;
    sys::replace(socket, &nothing)
}

fn open(options: &UdpOptions, shards: &[u16], table: &SlotTable) -> Result<Bound, BindError> {
    check_shards(options.port, shards.len())?;
    let Reserved {
        port,
        ipv6_missing,
        mut holders,
    } = reserve(options)?;
    let mut members = Vec::with_capacity(shards.len());
    let mut offload = true;
    for shard in shards {
        let (pair, joins) = pair(options, port, ipv6_missing.is_none())?;
        // The first shard's sockets hold the port now. Later, the holders would leave a gap in the kernel's order.
        holders.clear();
        offload &= joins;
        members.push(Member {
            shard: *shard,
            sockets: Arc::new(pair),
        });
    }
    let steerer =
        Steerer::install(options.steering, &members, table).map_err(|source| steering_error(port, source))?;
    Ok(Bound {
        port,
        ipv6_missing,
        offload,
        members,
        steerer,
    })
}

/// The port, held by sockets that nobody else's could share it with while they were bound.
struct Reserved {
    port: u16,
    ipv6_missing: Option<String>,
    holders: Vec<OwnedFd>,
}

/// Sockets of one user share a port without a word if all say SO_REUSEPORT, and so a second gateway would take half of
/// the first one's datagrams. So the port is first bound without, which fails if anyone has it, and opened to our own
/// sockets afterwards.
fn reserve(options: &UdpOptions) -> Result<Reserved, BindError> {
    let mut taken = None;
    for _ in 0..CHOICES_MAX {
        let v4 = sys::udp_socket(libc::AF_INET).map_err(|source| socket_error(options.port, source))?;
        let port = socket::bind(v4.as_fd(), Family::V4, options.port)
            .map_err(|source| bind_error(options.port, "IPv4", source))?;
        let mut holders = vec![v4];
        let mut ipv6_missing = None;
        match reserve_v6(port) {
            Ok(v6) => holders.push(v6),
            Err(error) if no_ipv6(&error) => ipv6_missing = Some(error.to_string()),
            Err(error) if options.port == 0 && sys::errno(&error) == libc::EADDRINUSE => {
                taken = Some((port, error));
                continue;
            }
            Err(error) => return Err(bind_error(port, "IPv6", error)),
        }
        for holder in &holders {
            socket::share(holder.as_fd()).map_err(|source| socket_error(port, source))?;
        }
        return Ok(Reserved {
            port,
            ipv6_missing,
            holders,
        });
    }
    let (port, error) = taken.expect("every round but a taken port returns");
    Err(bind_error(port, "IPv6", error))
}

fn reserve_v6(port: u16) -> io::Result<OwnedFd> {
    let v6 = sys::udp_socket(libc::AF_INET6)?;
    sys::set_option(v6.as_fd(), libc::IPPROTO_IPV6, libc::IPV6_V6ONLY, 1i32)?;
    socket::bind(v6.as_fd(), Family::V6, port)?;
    Ok(v6)
}

fn no_ipv6(error: &io::Error) -> bool {
    matches!(sys::errno(error), libc::EAFNOSUPPORT | libc::EADDRNOTAVAIL)
}

/// One shard's sockets, bound to `port` beside those of the others, and whether the kernel joins datagrams for them.
fn pair(options: &UdpOptions, port: u16, ipv6: bool) -> Result<(SocketPair, bool), BindError> {
    let (v4, mut joins) = one(options, port, Family::V4)?;
    let mut v6 = None;
    if ipv6 {
        let (socket, v6_joins) = one(options, port, Family::V6)?;
        v6 = Some(socket);
        joins &= v6_joins;
    }
    let pair = SocketPair::new(v4, v6);
    match options.offload {
        OffloadChoice::Offload if !joins => return Err(BindError::NoOffload { port }),
        OffloadChoice::Auto | OffloadChoice::Offload if joins => return Ok((pair, true)),
        OffloadChoice::Auto | OffloadChoice::Offload | OffloadChoice::Plain => {}
    }
    for socket in [Some(pair.v4()), pair.v6()].into_iter().flatten() {
        // Refused where the kernel knows no joining, which is as good.
        let _ = socket::unjoin(socket);
    }
    Ok((pair, false))
}

fn one(options: &UdpOptions, port: u16, family: Family) -> Result<(OwnedFd, bool), BindError> {
    let (made, joins) = socket::prepare(family, options).map_err(|source| socket_error(port, source))?;
    if options.fwmark != 0 {
        let mark = options.fwmark;
        socket::set_fwmark(made.as_fd(), mark).map_err(|source| BindError::Fwmark { mark, source })?;
    }
    socket::share(made.as_fd()).map_err(|source| socket_error(port, source))?;
    let name = match family {
        Family::V4 => "IPv4",
        Family::V6 => "IPv6",
    };
    socket::bind(made.as_fd(), family, port).map_err(|source| bind_error(port, name, source))?;
    Ok((made, joins))
}

fn check_shards(port: u16, shards: usize) -> Result<(), BindError> {
    let max = weir_xdp_prog::SHARDS_MAX;
    if (1..=max).contains(&shards) {
        Ok(())
    } else {
        Err(BindError::Shards { port, shards, max })
    }
}

fn bind_error(port: u16, family: &'static str, source: io::Error) -> BindError {
    match sys::errno(&source) {
        libc::EADDRINUSE => BindError::InUse { port, family },
        libc::EACCES | libc::EPERM => BindError::NotPermitted { port },
        _ => BindError::Socket { port, source },
    }
}

fn socket_error(port: u16, source: io::Error) -> BindError {
    BindError::Socket { port, source }
}

fn steering_error(port: u16, source: crate::steer::SteeringError) -> BindError {
    BindError::Steering { port, source }
}
