//! The expressions of which rules are made (linux/netfilter/nf_tables.h), as `nft --debug=netlink` prints them.

use super::message::Attributes;
use core::net::IpAddr;
use weir_abi::prefix::Prefix;

const EXPR_NAME: u16 = 1;
const EXPR_DATA: u16 = 2;
const LIST_ELEM: u16 = 1;
const DATA_VALUE: u16 = 1;

/// NFT_REG_1, of 16 bytes: the only register that these rules need.
const REGISTER: u32 = 1;

/// NFPROTO_IPV4 and NFPROTO_IPV6.
const IPV4: u8 = 2;
const IPV6: u8 = 10;

const IPPROTO_TCP: u8 = 6;

/// A rule's expressions in order.
#[derive(Default)]
pub(super) struct Expressions(Attributes);

/// Which interface a packet is matched by.
#[derive(Clone, Copy)]
pub(super) enum Side {
    /// NFT_META_IIFNAME.
    In = 6,
    /// NFT_META_OIFNAME.
    Out = 7,
}

/// How a value is compared: NFT_CMP_EQ and NFT_CMP_NEQ.
#[derive(Clone, Copy)]
pub(super) enum Compare {
    Equal = 0,
    Other = 1,
}

impl Expressions {
    /// The attribute that holds them.
    pub(super) fn into_attributes(self) -> Attributes {
        self.0
    }

    fn then(self, name: &str, data: Attributes) -> Self {
        let one = Attributes::default()
            .text(EXPR_NAME, name)
            .nested(EXPR_DATA, data);
        Self(self.0.nested(LIST_ELEM, one))
    }

    /// The packet comes or goes by that interface, or by another.
    pub(super) fn interface(self, side: Side, compare: Compare, name: &str) -> Self {
        // The register is compared as a whole, zeros behind the name included.
        let mut whole = [0; 16];
        for (to, from) in whole.iter_mut().zip(name.bytes()) {
            *to = from;
        }
        self.meta(side as u32).compare(compare, &whole)
    }

    /// The packet is of the prefix's family and comes from it.
    pub(super) fn source(self, prefix: Prefix) -> Self {
        // Where the source address stands in its header, and its bytes.
        let (family, offset, address) = match prefix.address() {
            IpAddr::V4(v4) => (IPV4, 12, v4.octets().to_vec()),
            IpAddr::V6(v6) => (IPV6, 8, v6.octets().to_vec()),
        };
        const NFPROTO: u32 = 15;
        const NETWORK_HEADER: u32 = 1;
        let of_family = self.meta(NFPROTO).compare(Compare::Equal, &[family]);
        if prefix.length() == 0 {
            return of_family;
        }
        let mask: Vec<u8> = (0..address.len())
            .map(|i| {
                let bits = usize::from(prefix.length()).saturating_sub(8 * i).min(8);
                (0xff00u16 >> bits).to_be_bytes()[1]
            })
            .collect();
        of_family
            .payload(NETWORK_HEADER, offset, address.len())
            .masked(&mask)
            .compare(Compare::Equal, &address)
    }

    /// The packet begins a TCP connection, in either direction.
    pub(super) fn tcp_syn(self) -> Self {
        const L4PROTO: u32 = 16;
        const TRANSPORT_HEADER: u32 = 2;
        const FLAGS_OFFSET: u32 = 13;
        const SYN: u8 = 2;
        const RST: u8 = 4;
        self.meta(L4PROTO)
            .compare(Compare::Equal, &[IPPROTO_TCP])
            .payload(TRANSPORT_HEADER, FLAGS_OFFSET, 1)
            .masked(&[SYN | RST])
            .compare(Compare::Equal, &[SYN])
    }

    /// Lowers the maximum segment size that a SYN announces to what fits the path in both directions. The kernel never
    /// raises one by this.
    pub(super) fn clamp_mss(self) -> Self {
        const RT_TCPMSS: u32 = 3;
        const BYTEORDER_HTON: u32 = 1;
        const EXTHDR_TYPE: u16 = 2;
        const EXTHDR_OFFSET: u16 = 3;
        const EXTHDR_LEN: u16 = 4;
        const EXTHDR_OP: u16 = 6;
        const EXTHDR_SREG: u16 = 7;
        const TCPOPT: u32 = 1;
        let route = Attributes::default().number(1, REGISTER).number(2, RT_TCPMSS);
        let network_order = Attributes::default()
            .number(1, REGISTER)
            .number(2, REGISTER)
            .number(3, BYTEORDER_HTON)
            .number(4, 2)
            .number(5, 2);
        // RFC 9293 section 3.7.1: kind 2, length, and the size at offset 2.
        let option = Attributes::default()
            .number(EXTHDR_SREG, REGISTER)
            .bytes(EXTHDR_TYPE, &[2])
            .number(EXTHDR_OFFSET, 2)
            .number(EXTHDR_LEN, 2)
            .number(EXTHDR_OP, TCPOPT);
        self.then("rt", route)
            .then("byteorder", network_order)
            .then("exthdr", option)
    }

    /// Translates the source to the address of the interface by which the packet leaves.
    pub(super) fn masquerade(self) -> Self {
        self.then("masq", Attributes::default())
    }

    fn meta(self, key: u32) -> Self {
        let data = Attributes::default().number(1, REGISTER).number(2, key);
        self.then("meta", data)
    }

    fn payload(self, base: u32, offset: u32, length: usize) -> Self {
        let data = Attributes::default()
            .number(1, REGISTER)
            .number(2, base)
            .number(3, offset)
            .number(4, short(length));
        self.then("payload", data)
    }

    fn masked(self, mask: &[u8]) -> Self {
        let data = Attributes::default()
            .number(1, REGISTER)
            .number(2, REGISTER)
            .number(3, short(mask.len()))
            .nested(4, value(mask))
            .nested(5, value(&vec![0; mask.len()]));
        self.then("bitwise", data)
    }

    fn compare(self, compare: Compare, with: &[u8]) -> Self {
        let data = Attributes::default()
            .number(1, REGISTER)
            .number(2, compare as u32)
            .nested(3, value(with));
        self.then("cmp", data)
    }
}

fn value(bytes: &[u8]) -> Attributes {
    Attributes::default().bytes(DATA_VALUE, bytes)
}

fn short(length: usize) -> u32 {
    u32::try_from(length).expect("no register is longer than 16 bytes")
}
