//! Explicit congestion notification through a tunnel (RFC 6040, which replaces RFC 3168 section 9.1).

/// The two low bits of the IPv4 TOS byte or of the IPv6 traffic class (RFC 3168, section 5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Ecn {
    /// The transport does not take part in ECN.
    NotEct = 0,
    /// ECN-capable transport, codepoint 1.
    Ect1 = 1,
    /// ECN-capable transport, codepoint 0.
    Ect0 = 2,
    /// Congestion experienced.
    Ce = 3,
}

impl Ecn {
    /// The codepoint in a TOS or traffic class byte; the DSCP in it does not matter.
    #[inline]
    pub fn from_tos(tos: u8) -> Self {
        match tos & 3 {
            0 => Self::NotEct,
            1 => Self::Ect1,
            2 => Self::Ect0,
            _ => Self::Ce,
        }
    }

    /// `tos` with its codepoint replaced by this one.
    #[inline]
    pub fn into_tos(self, tos: u8) -> u8 {
        (tos & !3) | self as u8
    }
}

/// The packet must be dropped: the tunnel's path signals congestion, and the transport inside would not
/// understand a mark.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("congestion was marked outside on a packet whose transport does not take part in ECN")]
pub struct Drop;

/// The outer TOS or traffic class of a packet with `inner_tos` inside: DSCP 0, so that the class of the traffic
/// does not leak, and the inner codepoint copied, CE included (RFC 6040 section 4.1, normal mode).
#[inline]
pub fn encapsulate(inner_tos: u8) -> u8 {
    inner_tos & 3
}

/// The inner codepoint after the outer header is taken off (RFC 6040, figure 4).
#[inline]
pub fn decapsulate(outer: Ecn, inner: Ecn) -> Result<Ecn, Drop> {
    match (inner, outer) {
        (Ecn::NotEct, Ecn::Ce) => Err(Drop),
        (Ecn::NotEct, Ecn::NotEct | Ecn::Ect0 | Ecn::Ect1) => Ok(Ecn::NotEct),
        (Ecn::Ce, Ecn::NotEct | Ecn::Ect0 | Ecn::Ect1 | Ecn::Ce) => Ok(Ecn::Ce),
        (Ecn::Ect0 | Ecn::Ect1, Ecn::Ce) => Ok(Ecn::Ce),
        (Ecn::Ect0, Ecn::Ect1) => Ok(Ecn::Ect1),
        (Ecn::Ect0, Ecn::NotEct | Ecn::Ect0) => Ok(Ecn::Ect0),
        (Ecn::Ect1, Ecn::NotEct | Ecn::Ect0 | Ecn::Ect1) => Ok(Ecn::Ect1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Catches any cell that differs from RFC 6040's figure 4, written out here in its own order.
    #[test]
    fn decapsulation_is_the_rfcs_table() {
        use Ecn::*;
        let outers = [NotEct, Ect0, Ect1, Ce];
        let table = [
            (NotEct, [Ok(NotEct), Ok(NotEct), Ok(NotEct), Err(Drop)]),
            (Ect0, [Ok(Ect0), Ok(Ect0), Ok(Ect1), Ok(Ce)]),
            (Ect1, [Ok(Ect1), Ok(Ect1), Ok(Ect1), Ok(Ce)]),
            (Ce, [Ok(Ce), Ok(Ce), Ok(Ce), Ok(Ce)]),
        ];
        for (inner, row) in table {
            for (outer, expected) in outers.into_iter().zip(row) {
                assert_eq!(
                    decapsulate(outer, inner),
                    expected,
                    "outer {outer:?}, inner {inner:?}"
                );
            }
        }
    }

    /// Catches a DSCP that leaks outside, and codepoints confused with each other.
    #[test]
    fn only_the_codepoint_goes_outside() {
        for tos in 0..=255u8 {
            assert_eq!(encapsulate(tos), tos & 3);
            assert_eq!(Ecn::from_tos(tos).into_tos(tos), tos);
        }
        assert_eq!(Ecn::Ce.into_tos(0b1011_1000), 0b1011_1011);
    }
}
