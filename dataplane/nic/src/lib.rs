//! What a network device is: its driver, queues, steering, offloads, interrupts, XDP programs, and what is stacked on
//! it; in [`driver`], what is known beforehand of drivers and AF_XDP; and what packets pass by that AF_XDP takes
//! ([`Bypassed`]), and which chains drop what is forwarded.
//!
//! [`Nic::read`] asks the kernel by `ioctl(SIOCETHTOOL)` and netlink, and reads sysfs only for what lies outside of
//! network namespaces (NUMA nodes, interrupts) or nowhere else. It changes nothing and starts no program. The gateway
//! calls it before it opens queues, and `weir doctor` to judge a device.
#![deny(unsafe_op_in_unsafe_fn)]

mod bus;
mod bypass;
mod bytes;
mod cores;
pub mod driver;
mod ethtool;
mod host;
mod interrupt;
mod link;
mod netlink;
mod nic;
mod steering;
mod sys;
mod xdp;

pub use bypass::{Bypassed, forward_drops};
pub use cores::list as core_list;
pub use ethtool::{Channels, DriverInfo, Feature, Features, Rings};
pub use host::{Host, HugePages, KernelVersion, Node};
pub use interrupt::Interrupt;
pub use link::{Attached, Link, Parent, Place};
pub use nic::{Deferral, Nic};
pub use steering::{Action, Flow, HashedFields, Rule};
pub use xdp::XdpFeatures;

use nix::errno::Errno;

/// Why nothing can be said of a device.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum NicError {
    /// There is no such device in this network namespace.
    #[error("there is no device {0} in this network namespace")]
    NoSuchDevice(String),
    /// The kernel gave no socket, or no list of links.
    #[error("asking the kernel for its links: {}", .0.desc())]
    Socket(Errno),
}
