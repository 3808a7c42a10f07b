//! What is known beforehand of drivers and AF_XDP: the one place for what the kernel cannot be asked.
//!
//! Read in the sources of Debian's kernels 6.1, 6.12 and 7.3 below `drivers/net`; each entry of the table names its
//! files. Where a kernel itself says whether a device can do zero-copy ([`crate::XdpFeatures`], since 6.3), that
//! counts and not the table. Greatest MTUs are for pages of 4 KiB and programs that take frames in one buffer.

mod table;

use crate::ethtool::Channels;
use crate::host::KernelVersion;
use table::DRIVERS;

/// What is known of the driver with this name (`ethtool -i`); of TAP devices under `tap`, of TUN devices under `tun`.
/// `None` where nothing is known: then what a driver usually does is assumed, and whatever it refuses is reported.
pub fn of(name: &str) -> Option<&'static Driver> {
    DRIVERS.iter().find(|driver| driver.name == name)
}

/// A driver.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Driver {
    /// Its name.
    pub name: &'static str,
    /// Whether it runs XDP programs itself. Without, they run in generic mode.
    pub native: bool,
    /// Whether its AF_XDP sockets can do without copying.
    pub zero_copy: ZeroCopy,
    /// How many of its channels may be in use when a program is attached.
    pub share: Share,
    /// Whether a program is refused while it has queues that only receive or only transmit.
    pub pairs_only: bool,
    /// Whether a zero-copy socket transmits nothing until an XDP program is attached, even one that passes everything:
    /// its wake-up fails (ENXIO, EINVAL or ENETDOWN).
    pub transmit_needs_program: bool,
    /// Whether more queues receive once a program is attached: their number is to be read again then, and each needs
    /// its socket.
    pub attaching_adds_queues: bool,
    /// Whether attaching and detaching a program restarts the device: the link is down for a second or more.
    pub attaching_restarts: bool,
    /// The first kernel whose zero-copy queues have the numbers of the channels. Before, with N channels, queue 0's
    /// was N.
    pub numbers_of_channels_since: Option<KernelVersion>,
    /// The greatest MTU in bytes with which a program is taken.
    pub mtu_most: Option<u32>,
    /// What becomes of a program while LRO or the card's GRO are on.
    pub merging: Merging,
    /// Whether the card is told the size of its receive buffers in whole KiB. Chunks of zero-copy sockets must have 4 KiB
    /// then: of 2 KiB, less what the kernel keeps, 1 KiB would be left, and longer frames would arrive in pieces.
    pub buffers_of_whole_kib: bool,
    /// Whether the card takes VLAN tags off before the program sees the frame, while `rx-vlan-hw-parse` is on.
    pub strips_tags: bool,
    /// What else an operator should know; empty where nothing.
    pub remark: &'static str,
}

/// Whether a driver has AF_XDP without copying.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ZeroCopy {
    /// In no kernel known here.
    Never,
    /// Since this kernel. The second says what else it takes; empty where nothing.
    Since(KernelVersion, &'static str),
}

/// How many channels a driver leaves to the operator when XDP is used.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Share {
    /// All.
    All,
    /// Half of the most that there may be: each needs a queue beside it for XDP to transmit on.
    Half,
}

/// What becomes of a program while received packets are merged by the card.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Merging {
    /// The driver ends the merging itself.
    Ended,
    /// The program is refused.
    Refused,
    /// The device never merges.
    Never,
}

impl Driver {
    /// The number under which a zero-copy socket is bound for the channel `queue` of `channels`: nearly everywhere the
    /// channel's own. Copying sockets always use the channel's own.
    pub fn queue_number(&self, queue: u32, channels: u32, kernel: KernelVersion) -> u32 {
        match self.numbers_of_channels_since {
            Some(since) if kernel < since => channels.saturating_add(queue),
            Some(_) | None => queue,
        }
    }

    /// How many queues can have a socket each: with more receiving queues than this the driver refuses a program.
    pub fn usable_queues(&self, channels: &Channels) -> u32 {
        let now = channels.receiving();
        match self.share {
            Share::All => now,
            Share::Half => now.min((channels.receiving_most() / 2).max(1)),
        }
    }

    /// Whether this kernel's version of the driver has zero-copy, its other conditions met.
    pub fn zero_copy_in(&self, kernel: KernelVersion) -> bool {
        match self.zero_copy {
            ZeroCopy::Never => false,
            ZeroCopy::Since(since, _) => kernel >= since,
        }
    }

    /// Whether a program is taken with this MTU.
    pub fn takes_mtu(&self, mtu: u32) -> bool {
        self.mtu_most.is_none_or(|most| mtu <= most)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Catches an entry that hides another, and kernels before the oldest supported one written where none is meant.
    #[test]
    fn every_driver_has_one_entry() {
        for driver in DRIVERS {
            let entries = DRIVERS.iter().filter(|other| other.name == driver.name);
            assert_eq!(entries.count(), 1, "{}", driver.name);
            assert_eq!(of(driver.name), Some(driver));
            let native = driver.native || driver.zero_copy == ZeroCopy::Never;
            assert!(native, "{}: zero-copy without native XDP", driver.name);
        }
        assert_eq!(of("nonsense"), None);
    }

    // Catches zero-copy queues of old mlx5 kernels bound to a channel's number, where the kernel would copy in silence.
    #[test]
    fn queues_of_old_mlx5_kernels_begin_behind_the_channels() {
        let mlx5 = of("mlx5_core").unwrap();
        assert_eq!(mlx5.queue_number(3, 8, KernelVersion(5, 10)), 11);
        assert_eq!(mlx5.queue_number(3, 8, KernelVersion(6, 1)), 3);
        assert_eq!(of("ice").unwrap().queue_number(3, 8, KernelVersion(5, 10)), 3);
    }

    // Catches all of ENA's channels used, with which it refuses a program, and none of a single one.
    #[test]
    fn half_of_the_most_may_be_used_where_xdp_needs_the_other_half() {
        let channels = |now, most| Channels {
            combined: now,
            combined_most: most,
            ..Channels::default()
        };
        let ena = of("ena").unwrap();
        assert_eq!(ena.usable_queues(&channels(8, 8)), 4);
        assert_eq!(ena.usable_queues(&channels(2, 8)), 2);
        assert_eq!(ena.usable_queues(&channels(1, 1)), 1);
        assert_eq!(of("igb").unwrap().usable_queues(&channels(8, 8)), 8);
    }

    // Catches zero-copy promised by a kernel that has it not: virtio_net of 6.12 receives without copying and cannot send.
    #[test]
    fn zero_copy_begins_with_a_kernel() {
        let has = |name, kernel| of(name).unwrap().zero_copy_in(kernel);
        assert!(!has("virtio_net", KernelVersion(6, 12)) && has("virtio_net", KernelVersion(7, 2)));
        assert!(!has("igb", KernelVersion(6, 12)) && has("igb", KernelVersion(6, 14)));
        assert!(has("ice", KernelVersion(6, 1)) && !has("veth", KernelVersion(7, 2)));
    }
}
