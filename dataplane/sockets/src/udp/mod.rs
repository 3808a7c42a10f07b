//! UDP ports: the outer side, over sockets.

mod address;
mod batch;
mod control;
mod group;
mod options;
mod plan;
mod port;
mod receive;
mod send;
mod socket;

pub use group::UdpGroup;
pub use options::{BindError, OffloadChoice, UdpOptions};
pub use port::UdpPort;

pub(crate) use socket::SocketPair;
