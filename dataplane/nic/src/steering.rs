//! Which queue a frame arrives on: the table that hashes choose from, what is hashed, and rules that overrule both.

use crate::NicError;
use crate::bytes::{be16_at, u32_at, u32s_at, u64_at};
use crate::ethtool::Ethtool;
use crate::sys::{Question, RULE_COUNT_AT, RULE_LOCATION_AT, RULE_LOCATIONS_AT};

/// Flow types of linux/ethtool.h.
const UDP_V4: u32 = 0x02;
const UDP_V6: u32 = 0x06;

/// More rules than this are not looked at; cards that have so many get them from programs.
const RULES_MOST: u32 = 4096;

/// Larger tables than any card's are no answer.
const TABLE_MOST: u32 = 1 << 16;

/// What a card hashes of a packet to choose its queue (ETHTOOL_GRXFH).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct HashedFields {
    /// Source and destination address.
    pub addresses: bool,
    /// Source and destination port. Without, all flows between two hosts arrive on one queue.
    pub ports: bool,
}

impl HashedFields {
    /// Bits of `data` (RXH_IP_SRC, RXH_IP_DST, RXH_L4_B_0_1, RXH_L4_B_2_3), in pairs.
    fn parse(bytes: &[u8]) -> Option<Self> {
        let data = u64_at(bytes, 8)?;
        let both = |first: u32| data >> first & 0b11 == 0b11;
        Some(Self {
            addresses: both(4),
            ports: both(6),
        })
    }
}

/// What a rule does with the packets it fits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Action {
    /// They arrive on this queue.
    Queue(u32),
    /// They are dropped.
    Drop,
    /// Another function of the card gets them, or they are spread by a table of their own.
    Elsewhere,
}

/// What packets a rule is about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Flow {
    /// UDP over IPv4.
    Udp4,
    /// UDP over IPv6.
    Udp6,
    /// Others, by the kernel's number (linux/ethtool.h).
    Other(u32),
}

/// A classification rule, as `ethtool -n` lists them (ETHTOOL_GRXCLSRULE).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rule {
    /// Its number, by which `ethtool -N DEV delete` names it.
    pub location: u32,
    /// What it is about.
    pub flow: Flow,
    /// The destination port that it fits; `None` where it fits every port or a range, or is not about UDP.
    pub destination_port: Option<u16>,
    /// What becomes of what fits.
    pub action: Action,
}

impl Rule {
    fn parse(bytes: &[u8]) -> Option<Self> {
        // Flags above the type say that more than the addresses and ports must fit, or that a table chooses the queue.
        const SPREAD: u32 = 0x2000_0000;
        const FLAGS: u32 = 0xe000_0000;
        // `struct ethtool_rx_flow_spec` begins at 16: type, fields (52), more of them (20), then masks of both.
        const FIELDS: usize = 20;
        const MASKS: usize = FIELDS + 72;
        let kind = u32_at(bytes, 16)?;
        let (flow, port) = match kind & !FLAGS {
            UDP_V4 => (Flow::Udp4, Some(10)),
            UDP_V6 => (Flow::Udp6, Some(34)),
            other => (Flow::Other(other), None),
        };
        let destination_port = match port {
            Some(at) if be16_at(bytes, MASKS + at)? == u16::MAX => Some(be16_at(bytes, FIELDS + at)?),
            _ => None,
        };
        let cookie = u64_at(bytes, 168)?;
        // The low half is the queue, what lies above it a function of the card (ethtool_get_flow_spec_ring_vf).
        let action = match (cookie, u32::try_from(cookie)) {
            (u64::MAX, _) => Action::Drop,
            (_, Ok(queue)) if kind & SPREAD == 0 => Action::Queue(queue),
            _ => Action::Elsewhere,
        };
        Some(Self {
            location: u32_at(bytes, RULE_LOCATION_AT)?,
            flow,
            destination_port,
            action,
        })
    }

    /// Whether it is about UDP datagrams to this port, alone or among others.
    pub fn fits_udp(&self, port: u16) -> bool {
        match self.flow {
            Flow::Udp4 | Flow::Udp6 => self.destination_port.is_none_or(|own| own == port),
            Flow::Other(_) => false,
        }
    }
}

impl Ethtool<'_> {
    /// The queue of each slot of the table that hashes choose from (ETHTOOL_GRXFHINDIR).
    pub(crate) fn indirection(&self) -> Result<Option<Vec<u32>>, NicError> {
        let size = self.ask(Question::IndirectionSize)?;
        let size = size.and_then(|answer| u32_at(answer.bytes(), 4));
        let Some(size) = size.filter(|size| (1..=TABLE_MOST).contains(size)) else {
            return Ok(None);
        };
        let answer = self.ask(Question::Indirection(size))?;
        Ok(answer.and_then(|answer| indirection_table(answer.bytes(), size)))
    }

    pub(crate) fn hashed_udp4(&self) -> Result<Option<HashedFields>, NicError> {
        self.hashed(UDP_V4)
    }

    pub(crate) fn hashed_udp6(&self) -> Result<Option<HashedFields>, NicError> {
        self.hashed(UDP_V6)
    }

    fn hashed(&self, flow: u32) -> Result<Option<HashedFields>, NicError> {
        let answer = self.ask(Question::HashedFields(flow))?;
        Ok(answer.and_then(|answer| HashedFields::parse(answer.bytes())))
    }

    pub(crate) fn rules(&self) -> Result<Option<Vec<Rule>>, NicError> {
        let count = self.ask(Question::RuleCount)?;
        let Some(count) = count.and_then(|answer| u32_at(answer.bytes(), RULE_COUNT_AT)) else {
            return Ok(None);
        };
        if count == 0 {
            return Ok(Some(Vec::new()));
        }
        let Some(answer) = self.ask(Question::RuleLocations(count.min(RULES_MOST)))? else {
            return Ok(None);
        };
        let Some(locations) = rule_locations(answer.bytes()) else {
            return Ok(None);
        };
        let mut rules = Vec::with_capacity(locations.len());
        for location in locations {
            let answer = self.ask(Question::Rule(location))?;
            // One that is gone meanwhile is no rule any more.
            rules.extend(answer.and_then(|answer| Rule::parse(answer.bytes())));
        }
        Ok(Some(rules))
    }
}

/// `struct ethtool_rxfh_indir`; `None` where the table has another size than was asked for.
fn indirection_table(bytes: &[u8], size: u32) -> Option<Vec<u32>> {
    let told = u32_at(bytes, 4)?;
    (told == size).then_some(())?;
    u32s_at(bytes, 8, usize::try_from(size).ok()?)
}

fn rule_locations(bytes: &[u8]) -> Option<Vec<u32>> {
    let count = u32_at(bytes, RULE_COUNT_AT)?.min(RULES_MOST);
    u32s_at(bytes, RULE_LOCATIONS_AT, usize::try_from(count).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `struct ethtool_rxnfc` with the parts that are read.
    fn rule(kind: u32, port: (usize, u16, u16), cookie: u64, location: u32) -> Vec<u8> {
        let mut bytes = vec![0; 192];
        bytes[16..20].copy_from_slice(&kind.to_ne_bytes());
        let (at, value, mask) = port;
        bytes[20 + at..22 + at].copy_from_slice(&value.to_be_bytes());
        bytes[92 + at..94 + at].copy_from_slice(&mask.to_be_bytes());
        bytes[168..176].copy_from_slice(&cookie.to_ne_bytes());
        bytes[176..180].copy_from_slice(&location.to_ne_bytes());
        bytes
    }

    // Catches a port read where the other family has an address, a range taken for a port, flags taken for a type, and
    // queues of other functions taken for ours.
    #[test]
    fn rules_say_which_port_goes_where() {
        let parsed = |bytes: Vec<u8>| Rule::parse(&bytes).unwrap();
        let exact = parsed(rule(2, (10, 51820, 0xffff), 3, 7));
        let expected = Rule {
            location: 7,
            flow: Flow::Udp4,
            destination_port: Some(51820),
            action: Action::Queue(3),
        };
        assert_eq!(exact, expected);
        assert!(exact.fits_udp(51820) && !exact.fits_udp(51821));
        let six = parsed(rule(6 | 0x8000_0000, (34, 51820, 0xffff), u64::MAX, 0));
        assert_eq!(
            (six.flow, six.destination_port, six.action),
            (Flow::Udp6, Some(51820), Action::Drop)
        );
        let range = parsed(rule(2, (10, 51820, 0xff00), 1 << 32, 0));
        assert_eq!((range.destination_port, range.action), (None, Action::Elsewhere));
        assert!(range.fits_udp(1));
        let spread = parsed(rule(2 | 0x2000_0000, (10, 1, 0xffff), 0, 0));
        assert_eq!(spread.action, Action::Elsewhere);
        let tcp = parsed(rule(1, (10, 51820, 0xffff), 0, 0));
        assert!(tcp.flow == Flow::Other(1) && !tcp.fits_udp(51820));
        for length in 0..180 {
            assert_eq!(
                Rule::parse(&rule(2, (10, 1, 1), 0, 0)[..length]),
                None,
                "{length}"
            );
        }
    }

    // Catches one of two ports taken for both: a card that hashes only one spreads nothing of a server's flows.
    #[test]
    fn ports_are_hashed_when_both_are() {
        let hashed = |data: u64| {
            let mut bytes = vec![0; 192];
            bytes[8..16].copy_from_slice(&data.to_ne_bytes());
            HashedFields::parse(&bytes).unwrap()
        };
        let fields = |addresses, ports| HashedFields { addresses, ports };
        assert_eq!(hashed(0b0011_0000), fields(true, false));
        assert_eq!(hashed(0b1111_0000), fields(true, true));
        assert_eq!(hashed(0b0111_0000), fields(true, false));
        assert_eq!(HashedFields::parse(&[0; 15]), None);
    }

    // Catches a table or a list of rules longer than its answer.
    #[test]
    fn counts_do_not_lead_out_of_the_answer() {
        let table: Vec<u8> = [0x38u32, 2, 0, 1].iter().flat_map(|w| w.to_ne_bytes()).collect();
        assert_eq!(indirection_table(&table, 2), Some(vec![0, 1]));
        assert_eq!(indirection_table(&table, 3), None);
        assert_eq!(indirection_table(&table[..15], 2), None);
        let mut rules = vec![0; 188];
        rules[184..188].copy_from_slice(&u32::MAX.to_ne_bytes());
        assert_eq!(rule_locations(&rules), None);
        rules[184..188].copy_from_slice(&1u32.to_ne_bytes());
        rules.extend(9u32.to_ne_bytes());
        assert_eq!(rule_locations(&rules), Some(vec![9]));
    }

    proptest::proptest! {
        // Catches a panic on answers of drivers that count wrongly.
        #[test]
        fn any_answer_is_read_or_left(
            bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..400),
            size: u32,
        ) {
            let table = indirection_table(&bytes, size);
            proptest::prop_assert!(table.is_none_or(|table| table.len() * 4 + 8 <= bytes.len()));
            let locations = rule_locations(&bytes);
            proptest::prop_assert!(locations.is_none_or(|locations| locations.len() * 4 <= bytes.len()));
            proptest::prop_assert_eq!(Rule::parse(&bytes).is_some(), bytes.len() >= 180);
        }
    }
}
