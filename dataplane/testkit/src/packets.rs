//! IP packets with valid checksums, and pairs of addresses to send them between.

use blake2::digest::consts::U16;
use blake2::digest::{KeyInit, Mac};
use blake2::{Blake2s256, Blake2sMac, Digest};
use std::net::{IpAddr, SocketAddr};
use weir_abi::key::PublicKey;
use weir_noise::message::{INITIATION_LEN, MAC_LEN};
use weir_wire::{checksum, ip, ipv4, tcp};

/// A UDP datagram in an IP packet of the addresses' family.
///
/// # Panics
/// If the families differ or the packet exceeds 65,535 bytes, as in every function here.
pub fn udp(from: SocketAddr, to: SocketAddr, payload: &[u8]) -> Vec<u8> {
    let length = (8 + payload.len()) as u16;
    let mut segment = Vec::with_capacity(usize::from(length));
    for field in [from.port(), to.port(), length, 0] {
        segment.extend_from_slice(&field.to_be_bytes());
    }
    segment.extend_from_slice(payload);
    let sum = checksum::pseudo_header(from.ip(), to.ip(), ip::UDP, segment.len()).add_bytes(&segment);
    segment[6..8].copy_from_slice(&sum.finish_udp().to_be_bytes());
    packet(from.ip(), to.ip(), ip::UDP, 0, &segment)
}

/// A TCP segment without options.
pub fn tcp(from: SocketAddr, to: SocketAddr, sequence: u32, flags: u8, payload: &[u8]) -> Vec<u8> {
    tcp_with_options(from, to, sequence, flags, &[], payload)
}

/// A TCP SYN that announces a maximum segment size.
pub fn tcp_syn(from: SocketAddr, to: SocketAddr, mss: u16) -> Vec<u8> {
    let [high, low] = mss.to_be_bytes();
    tcp_with_options(from, to, 1, tcp::SYN, &[2, 4, high, low], &[])
}

fn tcp_with_options(
    from: SocketAddr,
    to: SocketAddr,
    sequence: u32,
    flags: u8,
    options: &[u8],
    payload: &[u8],
) -> Vec<u8> {
    let mut segment = Vec::with_capacity(20 + options.len() + payload.len());
    segment.extend_from_slice(&from.port().to_be_bytes());
    segment.extend_from_slice(&to.port().to_be_bytes());
    segment.extend_from_slice(&sequence.to_be_bytes());
    segment.extend_from_slice(&1u32.to_be_bytes());
    segment.extend_from_slice(&[((20 + options.len()) as u8) << 2, flags, 0xff, 0xff, 0, 0, 0, 0]);
    segment.extend_from_slice(options);
    segment.extend_from_slice(payload);
    let sum = checksum::pseudo_header(from.ip(), to.ip(), ip::TCP, segment.len()).add_bytes(&segment);
    segment[16..18].copy_from_slice(&sum.finish().to_be_bytes());
    packet(from.ip(), to.ip(), ip::TCP, 0, &segment)
}

/// An ICMP or ICMPv6 echo request.
pub fn echo(from: IpAddr, to: IpAddr, identifier: u16, sequence: u16, payload: &[u8]) -> Vec<u8> {
    let protocol = if from.is_ipv4() { ip::ICMP } else { ip::ICMPV6 };
    let mut message = vec![if from.is_ipv4() { 8 } else { 128 }, 0, 0, 0];
    message.extend_from_slice(&identifier.to_be_bytes());
    message.extend_from_slice(&sequence.to_be_bytes());
    message.extend_from_slice(payload);
    // Only ICMPv6 sums the pseudo header (RFC 4443 section 2.3).
    let start = if from.is_ipv4() {
        checksum::Sum::default()
    } else {
        checksum::pseudo_header(from, to, protocol, message.len())
    };
    let sum = start.add_bytes(&message).finish();
    message[2..4].copy_from_slice(&sum.to_be_bytes());
    packet(from, to, protocol, 0, &message)
}

/// An IP packet around a transport segment, with this traffic class.
pub fn packet(from: IpAddr, to: IpAddr, protocol: u8, class: u8, segment: &[u8]) -> Vec<u8> {
    let mut bytes;
    match (from, to) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            let total = u16::try_from(20 + segment.len()).expect("an IPv4 packet has at most 65,535 bytes");
            bytes = vec![0x45, class];
            bytes.extend_from_slice(&total.to_be_bytes());
            bytes.extend_from_slice(&[0, 0, 0x40, 0, 64, protocol, 0, 0]);
            bytes.extend_from_slice(&from.octets());
            bytes.extend_from_slice(&to.octets());
            ipv4::write_header_checksum(&mut bytes);
        }
        (IpAddr::V6(from), IpAddr::V6(to)) => {
            let length = u16::try_from(segment.len()).expect("an IPv6 payload has at most 65,535 bytes");
            bytes = vec![0x60 | class >> 4, class << 4, 0, 0];
            bytes.extend_from_slice(&length.to_be_bytes());
            bytes.extend_from_slice(&[protocol, 64]);
            bytes.extend_from_slice(&from.octets());
            bytes.extend_from_slice(&to.octets());
        }
        (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => {
            panic!("a packet has addresses of one family")
        }
    }
    bytes.extend_from_slice(segment);
    bytes
}

/// Whether every checksum of a packet is right.
pub fn checksums_valid(packet: &[u8]) -> bool {
    let Ok(parsed) = ip::Packet::parse(packet) else {
        return false;
    };
    let header = parsed.version == ip::Version::V6 || ipv4::header_checksum_valid(packet);
    header && checksum::verify_transport(&parsed, packet) == checksum::Verdict::Valid
}

/// An initiation to the owner of `gateway` that anybody can make who knows that key: its mac1 is right, and nothing
/// else is.
pub fn forged_initiation(gateway: &PublicKey, serial: u64) -> [u8; INITIATION_LEN] {
    let mut message = [0x5a; INITIATION_LEN];
    message[..8].copy_from_slice(&[1, 0, 0, 0, 1, 2, 3, 4]);
    message[8..16].copy_from_slice(&serial.to_le_bytes());
    message[INITIATION_LEN - MAC_LEN..].fill(0);
    let key = Blake2s256::new()
        .chain_update(b"mac1----")
        .chain_update(gateway.as_bytes())
        .finalize();
    let mac = Blake2sMac::<U16>::new_from_slice(&key).expect("a key of 32 bytes");
    let covered = INITIATION_LEN - 2 * MAC_LEN;
    let mac1 = mac.chain_update(&message[..covered]).finalize().into_bytes();
    message[covered..covered + MAC_LEN].copy_from_slice(&mac1);
    message
}
