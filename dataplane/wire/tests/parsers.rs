//! No bytes, however wrong, make a parser panic, or make it state what the bytes do not hold.

mod oracle;

use oracle::{config, hostile_packet, is_right};
use proptest::prelude::*;
use weir_wire::classify::{Kind, kind};
use weir_wire::ecn::Ecn;
use weir_wire::icmp::{self, Reason, Unreachable};
use weir_wire::segment::{Offload, Segments};
use weir_wire::wireguard::{Message, classify};
use weir_wire::{checksum, coalesce, ip, ipv4, tcp, udp, virtio};

/// Datagrams with a plausible WireGuard or STUN beginning, of plausible lengths.
fn datagram() -> impl Strategy<Value = Vec<u8>> {
    let len = prop_oneof![
        Just(20usize),
        Just(32),
        Just(64),
        Just(92),
        Just(148),
        0usize..200
    ];
    (
        len,
        0u8..6,
        prop::option::weighted(0.2, any::<[u8; 4]>()),
        any::<u8>(),
        any::<bool>(),
    )
        .prop_map(|(len, message_type, start, fill, cookie)| {
            let mut datagram = vec![fill; len];
            let start = start.unwrap_or([message_type, 0, 0, 0]);
            let cut = len.min(4);
            datagram[..cut].copy_from_slice(&start[..cut]);
            if cookie && len >= 8 {
                datagram[4..8].copy_from_slice(&[0x21, 0x12, 0xa4, 0x42]);
            }
            datagram
        })
}

proptest! {
    #![proptest_config(config())]

    /// Catches a panic, a transport message without its tag, and two protocols claiming one datagram.
    #[test]
    fn classification_is_total(datagram in datagram()) {
        let known = match classify(&datagram) {
            Message::Initiation(_) => datagram.len() == 148,
            Message::Response(_) => datagram.len() == 92,
            Message::CookieReply(_) => datagram.len() == 64,
            Message::Transport { ciphertext, .. } => {
                prop_assert!(ciphertext.len() >= 16);
                datagram.len() == 16 + ciphertext.len()
            }
            Message::Unknown(_) => {
                prop_assert_ne!(kind(&datagram), Kind::WireGuard);
                return Ok(());
            }
        };
        prop_assert!(known);
        prop_assert_eq!(kind(&datagram), Kind::WireGuard);
    }

    /// Catches offsets and lengths outside of the packet, and short cuts that disagree with the whole parse.
    #[test]
    fn ip_facts_lie_within_the_packet(packet in hostile_packet()) {
        if let Ok(parsed) = ip::Packet::parse(&packet) {
            prop_assert!(parsed.total_length <= packet.len());
            prop_assert!(parsed.l4_offset <= parsed.total_length);
            prop_assert_eq!(ip::source(&packet), Some(parsed.source));
            prop_assert_eq!(ip::destination(&packet), Some(parsed.destination));
            let _ = checksum::verify_transport(&parsed, &packet);
        }
        let _ = ip::source(&packet);
        let _ = ip::destination(&packet);
        let _ = ipv4::header_checksum_valid(&packet);
        let _ = tcp::parse(&packet);
        let _ = udp::parse(&packet);
    }

    /// Catches a panic in the functions that write in place, and lengths that they change.
    #[test]
    fn rewrites_are_total(packet in hostile_packet(), mtu: u16, (start, offset) in any::<(u8, u8)>()) {
        let mut copy = packet.clone();
        let _ = tcp::clamp_mss(&mut copy, mtu);
        let _ = ip::set_ecn(&mut copy, Ecn::Ce);
        let _ = ipv4::write_header_checksum(&mut copy);
        let completed = checksum::complete_partial(&mut copy, u16::from(start), u16::from(offset));
        let fits = usize::from(start) + usize::from(offset) + 2 <= packet.len();
        prop_assert_eq!(completed.is_ok(), fits);
    }

    /// Catches a panic on an offload header that lies, and packets out of one that are not right.
    #[test]
    fn offload_headers_are_not_trusted(header: [u8; 10], gso_type in 0u8..7, size: u8, packet in hostile_packet()) {
        let mut bytes = header.to_vec();
        bytes[1] = gso_type;
        bytes[4..6].copy_from_slice(&u16::from(size).to_ne_bytes());
        bytes.extend(&packet);
        let (header, rest) = virtio::Header::parse(&bytes).expect("longer than a header");
        prop_assert_eq!(rest, &packet[..]);
        let Ok(virtio::Pending::Segmentation(offload)) = header.pending() else { return Ok(()) };
        split(rest, offload)?;
        let mut out = [0u8; 10];
        prop_assert!(virtio::Header::write(&header, &mut out));
        prop_assert_eq!(&out, &bytes[..10]);
    }

    /// Catches a panic in joining, and a head taken although a checksum is wrong.
    #[test]
    fn only_right_packets_are_joined(first in hostile_packet(), second in hostile_packet()) {
        if let Some(mut state) = coalesce::start(&first) {
            prop_assert!(is_right(&first));
            if let coalesce::Append::Yes { payload_offset } = state.append(&second) {
                prop_assert!(is_right(&second) && payload_offset < second.len());
            }
        }
    }

    /// Catches errors longer than allowed, with a wrong checksum, or about errors.
    #[test]
    fn icmp_errors_are_total(packet in hostile_packet(), mtu: u32, which in 0usize..5) {
        let reason = [
            Reason::TooBig { mtu },
            Reason::TimeExceeded,
            Reason::Unreachable(Unreachable::NoRoute),
            Reason::Unreachable(Unreachable::Host),
            Reason::Unreachable(Unreachable::AdminProhibited),
        ][which];
        for source in ["192.0.2.1", "2001:db8::1"] {
            let mut out = [0u8; 2000];
            let source = source.parse().expect("an address");
            let Some(len) = icmp::write_error(&packet, source, reason, &mut out) else { continue };
            let most = if source.is_ipv4() { 576 } else { 1280 };
            prop_assert!(len <= most);
            let parsed = ip::Packet::parse(&out[..len]).expect("a packet of our own");
            prop_assert_eq!(Some(parsed.destination), ip::source(&packet));
            prop_assert_eq!(checksum::verify_transport(&parsed, &out[..len]), checksum::Verdict::Valid);
            let mut again = [0u8; 2000];
            prop_assert_eq!(icmp::write_error(&out[..len], source, reason, &mut again), None);
        }
    }
}

fn split(packet: &[u8], offload: Offload) -> Result<(), TestCaseError> {
    let Ok(mut segments) = Segments::new(packet, offload) else {
        return Ok(());
    };
    let mut out = [0u8; 600];
    let mut count = 0;
    while let Some(len) = segments.next_into(&mut out) {
        let parsed = ip::Packet::parse(&out[..len]).expect("a packet of our own");
        prop_assert_eq!(parsed.total_length, len);
        prop_assert_eq!(
            checksum::verify_transport(&parsed, &out[..len]),
            checksum::Verdict::Valid
        );
        count += 1;
    }
    prop_assert_eq!(count, segments.count());
    Ok(())
}
