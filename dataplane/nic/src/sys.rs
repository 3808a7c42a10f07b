//! The system calls that no crate has: `ioctl(SIOCETHTOOL)` of linux/ethtool.h, which questions a driver, and
//! `getsockopt` with options of netfilter's.
//!
//! A [`Question`] lays out the command's structure with all the room that the kernel's answer can take, so that only
//! this file decides how much memory the kernel may write.

use nix::errno::Errno;
use std::os::fd::{AsRawFd as _, BorrowedFd};

/// Of linux/sockios.h.
const SIOCETHTOOL: libc::Ioctl = 0x8946;

/// Bytes of a string in a string set (ETH_GSTRING_LEN).
pub(crate) const STRING_BYTES: usize = 32;

/// The string set of feature names (ETH_SS_FEATURES).
const FEATURE_NAMES: u32 = 4;

/// What can be asked. None of it changes anything, and none of it needs privileges.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Question {
    /// `struct ethtool_drvinfo`.
    Driver,
    /// `struct ethtool_channels`.
    Channels,
    /// `struct ethtool_ringparam`.
    Rings,
    /// `struct ethtool_rxnfc`: what is hashed of packets of this flow type.
    HashedFields(u32),
    /// `struct ethtool_rxnfc`: how many classification rules there are.
    RuleCount,
    /// `struct ethtool_rxnfc` and up to so many rules' locations behind it.
    RuleLocations(u32),
    /// `struct ethtool_rxnfc`: the rule at this location.
    Rule(u32),
    /// `struct ethtool_rxfh_indir` without the table: its size.
    IndirectionSize,
    /// `struct ethtool_rxfh_indir` with a table of exactly this size.
    Indirection(u32),
    /// `struct ethtool_sset_info`: how many features this kernel names.
    FeatureCount,
    /// `struct ethtool_gstrings` with so many names; the count must be this kernel's own, as [`ask`] was told before.
    FeatureNames(FeatureCount),
    /// `struct ethtool_gfeatures` with a block for each 32 of so many features.
    FeatureStates(FeatureCount),
}

/// How many features the running kernel names: a constant of the kernel, read from its answer alone.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FeatureCount(u32);

impl FeatureCount {
    /// Reads it from the answer to [`Question::FeatureCount`]; `None` where the kernel knows no such set.
    pub(crate) fn of_answer(answer: &Answer) -> Option<Self> {
        let bytes = &answer.0;
        // The kernel clears the bit of a set that it does not have.
        let there = crate::bytes::u64_at(bytes, 8)? & (1 << FEATURE_NAMES) != 0;
        there.then_some(Self(crate::bytes::u32_at(bytes, 16)?))
    }

    /// As a number.
    pub(crate) fn get(self) -> u32 {
        self.0
    }
}

/// What the kernel made of a question's structure.
pub(crate) struct Answer(Vec<u8>);

impl Answer {
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

/// Bytes of the largest structure without a tail here, `struct ethtool_drvinfo` (196), and some to spare.
const FIXED_BYTES: usize = 256;

impl Question {
    /// The structure, and behind it all that the kernel may append.
    fn structure(self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(FIXED_BYTES);
        let mut put = |word: u32| bytes.extend_from_slice(&word.to_ne_bytes());
        let mut tail = 0;
        match self {
            Self::Driver => put(0x03),
            Self::Channels => put(0x3c),
            Self::Rings => put(0x10),
            Self::HashedFields(flow) => [0x29, flow].into_iter().for_each(put),
            Self::RuleCount => put(0x2e),
            Self::RuleLocations(count) => {
                put(0x30);
                bytes.resize(RULE_COUNT_AT, 0);
                bytes.extend_from_slice(&count.to_ne_bytes());
                tail = room(count, 4);
            }
            Self::Rule(location) => {
                put(0x2f);
                bytes.resize(RULE_LOCATION_AT, 0);
                bytes.extend_from_slice(&location.to_ne_bytes());
            }
            Self::IndirectionSize => put(0x38),
            Self::Indirection(size) => {
                [0x38, size].into_iter().for_each(put);
                tail = room(size, 4);
            }
            Self::FeatureCount => {
                [0x37, 0].into_iter().for_each(put);
                bytes.extend_from_slice(&(1u64 << FEATURE_NAMES).to_ne_bytes());
            }
            Self::FeatureNames(count) => {
                [0x1b, FEATURE_NAMES, count.0].into_iter().for_each(put);
                tail = room(count.0, STRING_BYTES);
            }
            Self::FeatureStates(count) => {
                let blocks = count.0.div_ceil(32);
                [0x3a, blocks].into_iter().for_each(put);
                tail = room(blocks, 16);
            }
        }
        bytes.resize(FIXED_BYTES.checked_add(tail).expect("tails are bounded"), 0);
        bytes
    }
}

/// Where `struct ethtool_rxnfc` has the count of rules.
pub(crate) const RULE_COUNT_AT: usize = 184;

/// Where `struct ethtool_rxnfc` has the rules' locations.
pub(crate) const RULE_LOCATIONS_AT: usize = 188;

/// Where `struct ethtool_rxnfc` has the location of its rule.
pub(crate) const RULE_LOCATION_AT: usize = 176;

fn room(count: u32, each: usize) -> usize {
    usize::try_from(count).map_or(0, |count| count.saturating_mul(each))
}

/// Asks the driver of the device `name`, through any socket of the device's network namespace.
///
/// Errors are the kernel's: `EOPNOTSUPP` where the driver has no answer, `ENODEV` where there is no such device.
pub(crate) fn ask(socket: BorrowedFd<'_>, name: &str, question: Question) -> Result<Answer, Errno> {
    let mut structure = question.structure();
    let mut ifr_name = [0; libc::IFNAMSIZ];
    if name.is_empty() || name.len() >= libc::IFNAMSIZ {
        return Err(Errno::ENODEV);
    }
    for (to, from) in ifr_name.iter_mut().zip(name.bytes()) {
        *to = libc::c_char::from_ne_bytes([from]);
    }
    let mut request = libc::ifreq {
        ifr_name,
        ifr_ifru: libc::__c_anonymous_ifr_ifru {
            ifru_data: structure.as_mut_ptr().cast(),
        },
    };
    // SAFETY: the request lives through the call, and so does the structure it points to, in which `Question::structure`
    // made room for all that the kernel writes in answer to this command.
    let done = unsafe { libc::ioctl(socket.as_raw_fd(), SIOCETHTOOL, &raw mut request) };
    Errno::result(done).map(|_| Answer(structure))
}

/// Asks a socket for an option, whose value the kernel writes over `value`, which says what is asked.
pub(crate) fn socket_option(
    socket: BorrowedFd<'_>,
    level: i32,
    option: i32,
    value: &mut [u8],
) -> Result<(), Errno> {
    let mut length = libc::socklen_t::try_from(value.len()).map_err(|_| Errno::EINVAL)?;
    // SAFETY: `value` lives through the call, and `length` says how much of it the kernel may write.
    let done = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            level,
            option,
            value.as_mut_ptr().cast(),
            &raw mut length,
        )
    };
    Errno::result(done).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    // Catches a structure shorter than what the kernel writes: 192 bytes of rxnfc whatever is asked, and tails.
    #[test]
    fn every_structure_has_room_for_its_answer() {
        let count = FeatureCount(70);
        for (question, least) in [
            (Question::Driver, 196),
            (Question::Channels, 36),
            (Question::Rings, 36),
            (Question::HashedFields(2), 192),
            (Question::RuleCount, 192),
            (Question::Rule(9), 192),
            (Question::RuleLocations(1000), 188 + 4000),
            (Question::IndirectionSize, 8),
            (Question::Indirection(512), 8 + 2048),
            (Question::FeatureCount, 20),
            (Question::FeatureNames(count), 12 + 70 * 32),
            (Question::FeatureStates(count), 8 + 3 * 16),
        ] {
            let structure = question.structure();
            assert!(structure.len() >= least, "{question:?}: {}", structure.len());
        }
    }

    // Catches arguments written where the kernel does not look for them.
    #[test]
    fn arguments_lie_where_the_kernel_reads_them() {
        let word = |bytes: &[u8], at| crate::bytes::u32_at(bytes, at);
        let rule = Question::Rule(77).structure();
        assert_eq!((word(&rule, 0), word(&rule, 176)), (Some(0x2f), Some(77)));
        let rules = Question::RuleLocations(5).structure();
        assert_eq!((word(&rules, 0), word(&rules, 184)), (Some(0x30), Some(5)));
        let names = Question::FeatureNames(FeatureCount(70)).structure();
        assert_eq!((word(&names, 4), word(&names, 8)), (Some(4), Some(70)));
    }
}
