//! A TUN device and its queues.

use super::ioctl::{self, Offloads};
use super::options::{TunError, TunOffloads, TunOptions};
use super::port::TunPort;
use crate::sys;
use crate::udp::OffloadChoice;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::linux::fs::MetadataExt;
use std::os::unix::fs::OpenOptionsExt;
use std::sync::Arc;
use weir_frame::FramePool;
use weir_wire::virtio;

/// Queues that the kernel gives a device (MAX_TAP_QUEUES).
const QUEUES_MAX: usize = 256;

/// A TUN device. It exists as long as any of its queues does, be it here or in a port.
///
/// Setting it up, its MTU and its addresses are the gateway's business.
pub struct TunDevice {
    name: String,
    flags: i32,
    offloads: TunOffloads,
    queues: Vec<Queue>,
}

struct Queue {
    shard: u16,
    file: Arc<File>,
}

impl TunDevice {
    /// Makes the device with a queue for each shard that `pools` belong to, and a [`TunPort`] for each in the same
    /// order. A name may hold `%d`, for which the kernel puts the first number that is free.
    ///
    /// # Errors
    /// [`TunError`]; no device stays.
    pub fn open(
        name: &str,
        options: &TunOptions,
        pools: Vec<FramePool>,
    ) -> Result<(Self, Vec<TunPort>), TunError> {
        check_name(name)?;
        check_queues(name, pools.len(), QUEUES_MAX)?;
        let flags = libc::IFF_TUN | libc::IFF_NO_PI | libc::IFF_VNET_HDR | libc::IFF_MULTI_QUEUE;
        let exclusive = if options.existing { 0 } else { libc::IFF_TUN_EXCL };
        let file = open_driver()?;
        let name = ioctl::set_interface(file.as_fd(), name, flags | exclusive)
            .map_err(|e| interface_error(name, e))?;
        Self::with_first(file, name, flags, options, pools)
    }

    /// Takes over a device that whoever started this process opened (wireguard-go's `WG_TUN_FD`), as a queue for the
    /// shard that `pool` belongs to. It must be a TUN device without packet information; where it has no offload
    /// header it works plainly, and where it was not made for several queues none can be added.
    ///
    /// # Errors
    /// [`TunError`]; the descriptor is closed.
    pub fn adopt(
        descriptor: OwnedFd,
        options: &TunOptions,
        pool: FramePool,
    ) -> Result<(Self, TunPort), TunError> {
        let (name, flags) = ioctl::interface(descriptor.as_fd()).map_err(|_| TunError::Inherited {
            problem: "is not that of a TUN device",
        })?;
        let wrong = |problem| TunError::Inherited { problem };
        if flags & libc::IFF_TUN == 0 {
            return Err(wrong("is that of a TAP device, expected TUN"));
        }
        if flags & libc::IFF_NO_PI == 0 {
            return Err(wrong(
                "is that of a device with packet information, expected IFF_NO_PI",
            ));
        }
        set_nonblocking(descriptor.as_fd()).map_err(|_| wrong("cannot be made non-blocking"))?;
        let kept = libc::IFF_TUN | libc::IFF_NO_PI | libc::IFF_VNET_HDR | libc::IFF_MULTI_QUEUE;
        let (device, mut ports) =
            Self::with_first(File::from(descriptor), name, flags & kept, options, vec![pool])?;
        let port = ports.pop().expect("one pool makes one port");
        Ok((device, port))
    }

    /// The device's real name. After someone renamed it, [`TunDevice::add`] still finds it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Which offloads the kernel agreed to.
    pub fn offloads(&self) -> TunOffloads {
        self.offloads
    }

    /// The shards that have a queue.
    pub fn shards(&self) -> impl Iterator<Item = u16> {
        self.queues.iter().map(|queue| queue.shard)
    }

    /// Adds a queue for the shard that `pool` belongs to, also while the others work, and wherever the device was
    /// moved to.
    ///
    /// # Errors
    /// [`TunError`]; the device is as before.
    pub fn add(&mut self, pool: FramePool) -> Result<TunPort, TunError> {
        let shard = pool.home().shard;
        if self.queues.iter().any(|queue| queue.shard == shard) {
            let (name, problem) = (self.name.clone(), "is there already");
            return Err(TunError::Shard { name, shard, problem });
        }
        let max = if self.flags & libc::IFF_MULTI_QUEUE == 0 {
            1
        } else {
            QUEUES_MAX
        };
        check_queues(&self.name, self.queues.len() + 1, max)?;
        if let Some(queue) = self.queues.first() {
            let (name, _) =
                ioctl::interface(queue.file.as_fd()).map_err(|e| self.error("finding its name", e))?;
            self.name = name;
        }
        let file = self.open_queue()?;
        self.prepare(&file)?;
        Ok(self.take(file, pool))
    }

    /// Takes the queue of `shard` off the device, which spreads packets over the others from then on. The port of the
    /// shard reads nothing more, counts what it is told to write as `tx_errors`, and shows an error to whoever waits on its
    /// descriptor: its shard is to end soon.
    ///
    /// # Errors
    /// A shard that has no queue, or a device that was not made for several.
    pub fn remove(&mut self, shard: u16) -> Result<(), TunError> {
        let at = self.queues.iter().position(|queue| queue.shard == shard);
        let Some(at) = at else {
            let (name, problem) = (self.name.clone(), "is not there");
            return Err(TunError::Shard { name, shard, problem });
        };
        ioctl::set_queue(self.queues[at].file.as_fd(), false)
            .map_err(|e| self.error("taking a queue off", e))?;
        self.queues.remove(at);
        Ok(())
    }

    fn with_first(
        file: File,
        name: String,
        flags: i32,
        options: &TunOptions,
        pools: Vec<FramePool>,
    ) -> Result<(Self, Vec<TunPort>), TunError> {
        let mut device = Self {
            name,
            flags,
            offloads: TunOffloads::default(),
            queues: Vec::with_capacity(pools.len()),
        };
        device.prepare(&file)?;
        device.offloads = device.agree(&file, options.offload)?;
        let mut ports = Vec::with_capacity(pools.len());
        let mut file = Some(file);
        for pool in pools {
            if let Some(first) = file.take() {
                ports.push(device.take(first, pool));
            } else {
                ports.push(device.add(pool)?);
            }
        }
        Ok((device, ports))
    }

    fn has_header(&self) -> bool {
        self.flags & libc::IFF_VNET_HDR != 0
    }

    fn prepare(&self, file: &File) -> Result<(), TunError> {
        if self.has_header() {
            let len = i32::try_from(virtio::HEADER_LEN).expect("the header is short");
            ioctl::set_header_len(file.as_fd(), len)
                .map_err(|e| self.error("setting the length of the offload header", e))?;
        }
        Ok(())
    }

    /// Offers the offloads that `choice` allows, most first. They are the device's, for all its queues.
    fn agree(&self, file: &File, choice: OffloadChoice) -> Result<TunOffloads, TunError> {
        let offers: &[Offloads] = match choice {
            _ if !self.has_header() => &[],
            OffloadChoice::Auto | OffloadChoice::Offload => &[Offloads::TcpAndUdp, Offloads::Tcp],
            OffloadChoice::Plain => &[],
        };
        for offer in offers {
            if ioctl::set_offloads(file.as_fd(), *offer).is_ok() {
                return Ok(TunOffloads {
                    tcp: true,
                    udp: *offer == Offloads::TcpAndUdp,
                });
            }
        }
        if choice == OffloadChoice::Offload {
            let name = self.name.clone();
            return Err(TunError::NoOffload { name });
        }
        if self.has_header() {
            ioctl::set_offloads(file.as_fd(), Offloads::None)
                .map_err(|e| self.error("switching offloads off", e))?;
        }
        Ok(TunOffloads::default())
    }

    fn take(&mut self, file: File, pool: FramePool) -> TunPort {
        let file = Arc::new(file);
        self.queues.push(Queue {
            shard: pool.home().shard,
            file: Arc::clone(&file),
        });
        TunPort::new(file, self.has_header(), self.offloads, pool)
    }

    /// Opens another queue in the namespace that the device is in now. The driver looks in that of the thread that
    /// opens it, and would make a second device of the name there.
    fn open_queue(&self) -> Result<File, TunError> {
        let join = || {
            let file = open_driver()?;
            ioctl::set_interface(file.as_fd(), &self.name, self.flags)
                .map_err(|e| interface_error(&self.name, e))?;
            Ok(file)
        };
        let Some(queue) = self.queues.first() else {
            return join();
        };
        let there =
            ioctl::namespace(queue.file.as_fd()).map_err(|e| self.error("finding its namespace", e))?;
        let there = File::from(there);
        let here =
            File::open("/proc/thread-self/ns/net").map_err(|e| self.error("finding our namespace", e))?;
        if same_file(&there, &here).map_err(|e| self.error("comparing namespaces", e))? {
            return join();
        }
        std::thread::scope(|scope| {
            let thread = scope.spawn(|| {
                nix::sched::setns(&there, nix::sched::CloneFlags::CLONE_NEWNET)
                    .map_err(|errno| self.error("entering its namespace", errno.into()))?;
                join()
            });
            thread.join().expect("opening a queue does not panic")
        })
    }

    fn error(&self, what: &'static str, source: io::Error) -> TunError {
        let name = self.name.clone();
        TunError::Device { name, what, source }
    }
}

impl AsFd for TunDevice {
    /// One of the queues, to ask the kernel where the device is and what it is called.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.queues
            .first()
            .expect("a device has at least one queue")
            .file
            .as_fd()
    }
}

fn open_driver() -> Result<File, TunError> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(libc::O_NONBLOCK | libc::O_CLOEXEC)
        .open("/dev/net/tun")
        .map_err(|source| TunError::NoTun { source })
}

fn set_nonblocking(descriptor: BorrowedFd<'_>) -> nix::Result<()> {
    use nix::fcntl::{FcntlArg, OFlag, fcntl};
    let flags = OFlag::from_bits_retain(fcntl(descriptor, FcntlArg::F_GETFL)?);
    fcntl(descriptor, FcntlArg::F_SETFL(flags | OFlag::O_NONBLOCK)).map(drop)
}

fn same_file(a: &File, b: &File) -> io::Result<bool> {
    let (a, b) = (a.metadata()?, b.metadata()?);
    Ok((a.st_dev(), a.st_ino()) == (b.st_dev(), b.st_ino()))
}

fn check_name(name: &str) -> Result<(), TunError> {
    let bad = name.is_empty()
        || name.len() >= libc::IFNAMSIZ
        || name == "."
        || name == ".."
        || name
            .bytes()
            .any(|b| b == b'/' || b == b':' || b == 0 || b.is_ascii_whitespace());
    if bad {
        let name = name.to_owned();
        return Err(TunError::Name { name });
    }
    Ok(())
}

fn check_queues(name: &str, queues: usize, max: usize) -> Result<(), TunError> {
    if (1..=max).contains(&queues) {
        return Ok(());
    }
    Err(TunError::Queues {
        name: name.to_owned(),
        queues,
        max,
    })
}

fn interface_error(name: &str, source: io::Error) -> TunError {
    let name = name.to_owned();
    match sys::errno(&source) {
        libc::EBUSY | libc::EEXIST => TunError::Exists { name },
        libc::EPERM | libc::EACCES => TunError::NotPermitted { name },
        // The driver's answer to a device that exists and is something else.
        libc::EINVAL => TunError::OtherKind { name },
        _ => TunError::Device {
            name,
            what: "making it",
            source,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Catches a name that the kernel would cut or read as something else.
    #[test]
    fn names_are_checked_before_the_kernel_sees_them() {
        for good in ["wg0", "wg%d", "a", "fifteen-bytes-x"] {
            assert!(check_name(good).is_ok(), "{good}");
        }
        for bad in ["", "sixteen-bytes-xx", "a/b", "a b", "..", "a\0b", "a:1"] {
            let error = check_name(bad).err().map(|error| error.to_string());
            assert!(
                error.is_some_and(|error| error.contains(&format!("{bad:?}"))),
                "{bad}"
            );
        }
    }
}
