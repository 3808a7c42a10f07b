//! `weir-wire`: what a datagram or packet is, and what is rewritten in place.

use crate::input::Input;
use crate::packet::{be16, covered, hostile, naive_sum};
use std::net::IpAddr;
use weir_wire::checksum::{self, Verdict};
use weir_wire::classify::{self, Kind};
use weir_wire::ecn::Ecn;
use weir_wire::icmp::{self, Reason, Unreachable};
use weir_wire::ip::{self, ICMP, ICMPV6, Packet, TCP, UDP, Version};
use weir_wire::virtio::{self, Pending};
use weir_wire::wireguard::{self, Message, TransportHeader};
use weir_wire::{ipv4, tcp, udp};
use zerocopy::IntoBytes;

/// Every datagram has the kind that its first bytes and its length say, and views hold the datagram's own bytes.
pub fn classify(data: &[u8]) {
    let typed = match (data.first_chunk::<4>(), data.len()) {
        (Some([1, 0, 0, 0]), 148) | (Some([2, 0, 0, 0]), 92) | (Some([3, 0, 0, 0]), 64) => true,
        (Some([4, 0, 0, 0]), len) => len >= 32,
        _ => false,
    };
    let viewed = match wireguard::classify(data) {
        Message::Initiation(message) => message.as_bytes(),
        Message::Response(message) => message.as_bytes(),
        Message::CookieReply(message) => message.as_bytes(),
        Message::Transport {
            receiver,
            counter,
            ciphertext,
        } => {
            assert_eq!(TransportHeader::new(receiver, counter).as_bytes(), &data[..16]);
            assert_eq!(ciphertext, &data[16..]);
            data
        }
        Message::Unknown(_) => &[],
    };
    assert_eq!(viewed, if typed { data } else { &[] });

    let stun = data.len() >= 20
        && data[0] < 0x40
        && data[4..8] == [0x21, 0x12, 0xa4, 0x42]
        && be16(data, 2) == data.len() - 20
        && data[3] & 3 == 0;
    assert!(!(stun && typed), "two protocols claim one datagram");
    let expected = if typed {
        Kind::WireGuard
    } else if stun {
        Kind::Stun
    } else {
        Kind::Other
    };
    assert_eq!(classify::kind(data), expected);
}

/// What is said of a packet lies within it, short cuts agree with the whole parse, and checksums with a slow oracle.
pub fn ip(data: &[u8]) {
    let mut input = Input::new(data);
    let ecn = input.pick(&[Ecn::NotEct, Ecn::Ect0, Ecn::Ect1, Ecn::Ce]);
    let packet = hostile(&mut input);
    let _ = tcp::parse(&packet);
    if let Some((_, payload)) = udp::parse(&packet) {
        assert_eq!(payload.len() + 8, packet.len());
    }
    let parsed = Packet::parse(&packet);
    if let Ok(parsed) = &parsed {
        assert!(parsed.l4_offset <= parsed.total_length && parsed.total_length <= packet.len());
        assert_eq!(ip::source(&packet), Some(parsed.source));
        assert_eq!(ip::destination(&packet), Some(parsed.destination));
        assert_eq!(
            checksum::verify_transport(parsed, &packet),
            verdict(parsed, &packet)
        );
    }

    let header_was_right = ipv4::header_checksum_valid(&packet);
    let mut marked = packet.clone();
    if ip::set_ecn(&mut marked, ecn) {
        assert!(packet[0] >> 4 != 4 || header_was_right == ipv4::header_checksum_valid(&marked));
        if let Ok(before) = parsed {
            let after = Packet::parse(&marked).expect("only the ECN bits changed");
            assert_eq!(
                after,
                Packet {
                    traffic_class: ecn.into_tos(before.traffic_class),
                    ..before
                }
            );
        }
    } else {
        assert_eq!(marked, packet);
    }

    let mut summed = packet.clone();
    if ipv4::write_header_checksum(&mut summed) {
        let header = &summed[..usize::from(summed[0] & 15) * 4];
        assert_eq!(naive_sum(header), 0xffff);
        assert!(ipv4::header_checksum_valid(&summed));
        summed[10..12].copy_from_slice(&packet[10..12]);
    }
    assert_eq!(summed, packet);
}

/// RFC 1071 word by word, over what the protocol covers.
fn verdict(parsed: &Packet, packet: &[u8]) -> Verdict {
    if parsed.is_fragment() {
        return Verdict::Unchecked;
    }
    let v4 = parsed.version == Version::V4;
    let mut end = parsed.total_length;
    let segment = &packet[parsed.l4_offset..end];
    let least = match (parsed.protocol, v4) {
        (TCP, _) => 20,
        (UDP, _) => 8,
        (ICMP, true) | (ICMPV6, false) => 4,
        _ => return Verdict::Unchecked,
    };
    if segment.len() < least {
        return Verdict::Invalid;
    }
    if parsed.protocol == UDP {
        if be16(segment, 6) == 0 {
            return if v4 { Verdict::Unchecked } else { Verdict::Invalid };
        }
        let stated = be16(segment, 4);
        if stated < 8 || stated > segment.len() {
            return Verdict::Invalid;
        }
        end = parsed.l4_offset + stated;
    }
    let sum = if parsed.protocol == ICMP {
        naive_sum(segment)
    } else {
        naive_sum(&covered(&packet[..end], parsed.l4_offset, parsed.protocol))
    };
    if sum == 0xffff {
        Verdict::Valid
    } else {
        Verdict::Invalid
    }
}

/// Clamping changes nothing but an MSS that is too great and the checksum, which stays as right as it was.
pub fn clamp_mss(data: &[u8]) {
    let mut input = Input::new(data);
    let mtu = input.u16();
    let before = hostile(&mut input);
    let mut after = before.clone();
    let changed = tcp::clamp_mss(&mut after, mtu);
    assert_eq!(
        changed,
        after != before,
        "what is said to be changed is, and nothing else"
    );
    if !changed {
        return;
    }
    let parsed = Packet::parse(&before).expect("only a packet is changed");
    let overhead = if parsed.version == Version::V4 { 40 } else { 60 };
    let header_len = usize::from(before[parsed.l4_offset + 12] >> 4) * 4;
    let options = parsed.l4_offset + 20..parsed.l4_offset + header_len;
    let outside =
        |at: &usize| !options.contains(at) && !(16..18).contains(&at.wrapping_sub(parsed.l4_offset));
    assert!(
        (0..before.len())
            .filter(outside)
            .all(|at| before[at] == after[at])
    );
    let at = options
        .clone()
        .find(|at| before[*at] != after[*at])
        .expect("the option changed");
    // Either byte of the value may be the first that differs.
    let lowered = |at: usize| {
        before[at - 2..at] == [2, 4]
            && be16(&after, at) == usize::from(mtu) - overhead
            && be16(&before, at) > be16(&after, at)
    };
    assert!(lowered(at) || lowered(at - 1));
    assert_eq!(
        checksum::verify_transport(&parsed, &before),
        checksum::verify_transport(&parsed, &after)
    );
    assert!(!tcp::clamp_mss(&mut after, mtu), "clamped is clamped");
}

/// An error is a right packet of its own, to the offending one's source, quotes it, and is never answered itself.
pub fn icmp_error(data: &[u8]) {
    let mut input = Input::new(data);
    let reason = match input.below(5) {
        0 => Reason::TooBig {
            mtu: u32::from(input.u16()) << input.below(17),
        },
        1 => Reason::TimeExceeded,
        2 => Reason::Unreachable(Unreachable::NoRoute),
        3 => Reason::Unreachable(Unreachable::Host),
        _ => Reason::Unreachable(Unreachable::AdminProhibited),
    };
    let source = if input.flag() {
        IpAddr::from([192, 0, 2, 1])
    } else {
        IpAddr::from([0x20; 16])
    };
    let room = if input.flag() { input.below(256) } else { 2000 };
    let offending = hostile(&mut input);
    let mut out = [0xee; 2000];
    let Some(len) = icmp::write_error(&offending, source, reason, &mut out[..room]) else {
        return assert_eq!(
            out, [0xee; 2000],
            "nothing is written where nothing is to be sent"
        );
    };
    let (error, behind) = out.split_at(len);
    assert!(behind.iter().all(|byte| *byte == 0xee));
    let most = if source.is_ipv4() {
        icmp::MAX_LEN_V4
    } else {
        icmp::MAX_LEN_V6
    };
    assert!(len <= most && len <= room);
    let asked = Packet::parse(&offending).expect("only packets are answered");
    let parsed = Packet::parse(error).expect("a packet of our own");
    assert_eq!((parsed.source, parsed.destination), (source, asked.source));
    assert_eq!(parsed.total_length, len);
    assert_eq!(verdict(&parsed, error), Verdict::Valid);
    assert!(parsed.version == Version::V6 || ipv4::header_checksum_valid(error));
    let quoted = &error[parsed.l4_offset + 8..];
    assert!(offending[..asked.total_length].starts_with(quoted));
    let mut again = [0; 2000];
    assert_eq!(icmp::write_error(error, source, reason, &mut again), None);
}

/// Whatever virtio's header says, it is read back as it was written, and a checksum is completed within the packet.
pub fn virtio_header(data: &[u8]) {
    let Some((header, packet)) = virtio::Header::parse(data) else {
        return assert!(data.len() < virtio::HEADER_LEN);
    };
    assert_eq!(packet, &data[virtio::HEADER_LEN..]);
    let mut written = [0; virtio::HEADER_LEN];
    assert!(header.write(&mut written));
    assert_eq!(written, data[..virtio::HEADER_LEN]);
    let (start, offset) = (header.csum_start.get(), header.csum_offset.get());
    if let Ok(Pending::Segmentation(offload)) = header.pending() {
        let again = virtio::Header::segmentation(offload, start, offset);
        assert_eq!(again.pending(), Ok(Pending::Segmentation(offload)));
    }

    let mut completed = packet.to_vec();
    let (from, at) = (usize::from(start), usize::from(start) + usize::from(offset));
    let fits = at + 2 <= packet.len();
    assert_eq!(
        checksum::complete_partial(&mut completed, start, offset).is_ok(),
        fits
    );
    if fits {
        let expected = match !naive_sum(&packet[from..]) {
            0 if offset == 6 => 0xffff,
            checksum => checksum,
        };
        assert_eq!(completed[at..at + 2], expected.to_be_bytes());
        completed[at..at + 2].copy_from_slice(&packet[at..at + 2]);
    }
    assert_eq!(completed, packet);
}
