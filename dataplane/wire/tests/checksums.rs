//! Checksums against a slow oracle: whole, copied, completed, and updated by the difference.

mod oracle;

use oracle::{config, flow, is_right, naive_sum};
use proptest::prelude::*;
use weir_wire::checksum::{Sum, Verdict, complete_partial, copy_and_sum, update_u16, verify_transport};
use weir_wire::ecn::Ecn;
use weir_wire::{ip, tcp};

proptest! {
    #![proptest_config(config())]

    /// Catches a word lost or counted twice at any length, and sums that depend on where they were cut.
    #[test]
    fn sums_equal_the_oracle(bytes in prop::collection::vec(any::<u8>(), 0..3000), cut: prop::sample::Index) {
        let expected = naive_sum(&bytes);
        prop_assert_eq!(Sum::of(&bytes).fold(), expected);
        let (left, right) = bytes.split_at(cut.index(bytes.len() + 1) & !1);
        prop_assert_eq!(Sum::of(left).add_bytes(right).fold(), expected);
        prop_assert_eq!(Sum::of(right).add_sum(Sum::of(left)).fold(), expected);
    }

    /// Catches a copy that differs, that writes too far, or whose sum differs.
    #[test]
    fn copies_are_summed(bytes in prop::collection::vec(any::<u8>(), 0..3000)) {
        let mut copy = vec![0xee; bytes.len() + 3];
        prop_assert_eq!(copy_and_sum(&bytes, &mut copy).fold(), naive_sum(&bytes));
        prop_assert_eq!(&copy[..bytes.len()], &bytes[..]);
        prop_assert_eq!(&copy[bytes.len()..], &[0xee; 3]);
    }

    /// Catches an update that differs from the checksum computed anew (RFC 1624).
    #[test]
    fn updates_equal_recomputation(mut bytes in prop::collection::vec(any::<u8>(), 4..100), at: prop::sample::Index, new: u16) {
        bytes.push(1);
        let before = !naive_sum(&bytes);
        let at = at.index(bytes.len() / 2) * 2;
        let old = u16::from_be_bytes([bytes[at], bytes[at + 1]]);
        bytes[at..at + 2].copy_from_slice(&new.to_be_bytes());
        prop_assert_eq!(update_u16(before, old, new), !naive_sum(&bytes));
    }

    /// Catches a codepoint set with a stale header checksum.
    #[test]
    fn ecn_keeps_packets_right(flow in flow(), which in 0usize..4) {
        let ecn = [Ecn::NotEct, Ecn::Ect0, Ecn::Ect1, Ecn::Ce][which];
        let mut packet = flow.packet(tcp::ACK, &[1, 2, 3]);
        prop_assert!(ip::set_ecn(&mut packet, ecn));
        prop_assert!(is_right(&packet));
        let parsed = ip::Packet::parse(&packet).expect("still a packet");
        prop_assert_eq!(parsed.traffic_class, flow.tos & !3 | ecn as u8);
    }

    /// Catches an MSS raised, left above the limit, or changed with a stale checksum, at any place in the options.
    #[test]
    fn clamping_keeps_packets_right(mut flow in flow(), before in 0usize..8, mss: u16, mtu in 100u16..) {
        flow.udp = false;
        flow.options = vec![1; before];
        flow.options.extend([2, 4]);
        flow.options.extend(mss.to_be_bytes());
        flow.options.resize(12, 0);
        let original = flow.packet(tcp::SYN, &[]);
        let mut packet = original.clone();
        let limit = mtu - if flow.v6 { 60 } else { 40 };
        prop_assert_eq!(tcp::clamp_mss(&mut packet, mtu), mss > limit);
        prop_assert!(is_right(&packet));
        let at = flow.l4_offset() + 20 + before + 2;
        prop_assert_eq!(oracle::be16(&packet, at), usize::from(mss.min(limit)));
        packet[at..at + 2].copy_from_slice(&mss.to_be_bytes());
        oracle::repair_checksums(&mut packet);
        prop_assert_eq!(packet, original);
    }

    /// Catches a check that lets a changed byte pass, or refuses a right packet; and partial checksums completed wrongly.
    #[test]
    fn transports_are_verified(flow in flow(), payload in prop::collection::vec(any::<u8>(), 0..200), at: prop::sample::Index, flip in 1u8..) {
        let mut packet = flow.packet(tcp::ACK, &payload);
        let parsed = ip::Packet::parse(&packet).expect("a right packet");
        prop_assert_eq!(verify_transport(&parsed, &packet), Verdict::Valid);

        let offset = if flow.udp { 6 } else { 16 };
        let field = flow.l4_offset() + offset;
        let partial = parsed.pseudo_header(packet.len() - flow.l4_offset()).fold();
        let mut pending = packet.clone();
        pending[field..field + 2].copy_from_slice(&partial.to_be_bytes());
        prop_assert!(complete_partial(&mut pending, flow.l4_offset() as u16, offset as u16).is_ok());
        prop_assert!(is_right(&pending));

        let transport = flow.l4_offset();
        let at = transport + at.index(packet.len() - transport);
        packet[at] ^= flip;
        prop_assert_ne!(verify_transport(&parsed, &packet), Verdict::Valid);
    }
}
