//! What is sent: whole Ethernet frames of one length, one behind the other.

use std::net::SocketAddr;
use std::ops::Range;
use std::thread;

use weir_crypto::{Plaintext, Seal, TAG_BYTES};
use weir_noise::Keypair;
use weir_wire::ethernet;
use weir_wire::outer::{LEN_V4, Outer};
use weir_wire::wireguard::TRANSPORT_HEADER_LEN;

use super::super::pair::TUNNEL_MTU;
use super::super::sessions;
use super::lab::{FAR, GATEWAY, INNER, Lab, SERVER, Wire};
use super::{Case, Direction};
use crate::{LabError, Result};

/// The port of inner packets, at both ends: discard (RFC 863).
const INNER_PORT: u16 = 9;

/// From where the far end sends once it has a session.
pub(super) const DATA_PORT: u16 = 40_001;

/// Bytes of prepared messages at most.
const MEMORY: usize = 1 << 30;

/// Messages prepared at most.
const MESSAGES: usize = 3_000_000;

/// Messages that one job of the AEAD seals.
const BATCH: usize = 64;

/// Frames of one length. They are sent again and again, unless each may be sent only once.
pub(super) struct Frames {
    bytes: Vec<u8>,
    stride: usize,
    /// Whether each may be sent only once.
    pub once: bool,
}

impl Frames {
    fn repeated(frame: Vec<u8>) -> Self {
        Self {
            stride: frame.len(),
            bytes: frame,
            once: false,
        }
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.bytes.len() / self.stride
    }

    /// The frame at a place, modulo their number.
    pub fn at(&self, place: usize) -> &[u8] {
        let start = place % self.count() * self.stride;
        &self.bytes[start..start + self.stride]
    }
}

/// What a server sends into a tunnel: packets of `inner` bytes.
pub(super) fn plain(lab: &Lab, inner: usize) -> Frames {
    Frames::repeated(packet(&lab.lan, Direction::Out, inner))
}

/// What looks like transport messages with packets of `inner` bytes, for whoever does not open them.
pub(super) fn hollow(lab: &Lab, inner: usize) -> Frames {
    let mut frame = outer(lab, message_len(inner));
    frame[LEN_V4] = 4;
    Frames::repeated(frame)
}

/// A message of a session without a packet (whitepaper, 6.5).
pub(super) fn keepalive(lab: &Lab, session: &mut Keypair) -> Result<Vec<u8>> {
    let header = outer(lab, message_len(0));
    let counters = reserve(session, 1)?;
    let mut frame = header.clone();
    let key = (session.remote().0, session.send_key());
    seal(&mut frame, &header, &[], key, counters.start);
    Ok(frame)
}

/// Transport messages of a session with packets of `inner` bytes, as many as there is room for, sealed by all cores that
/// the thread may use.
pub(super) fn sealed(lab: &Lab, inner: usize, session: &mut Keypair, cores: usize) -> Result<Frames> {
    let header = outer(lab, message_len(inner));
    let packet = packet(&lab.wan, Direction::In, inner)[ethernet::HEADER_LEN..].to_vec();
    let stride = header.len();
    let count = MESSAGES.min(MEMORY / stride);
    let counters = reserve(session, count)?;
    let mut bytes = vec![0; stride * count];
    let share = count.div_ceil(cores.max(1)).next_multiple_of(BATCH);
    let (remote, key) = (session.remote().0, session.send_key());
    thread::scope(|scope| {
        let firsts = counters.step_by(share);
        for (first, part) in firsts.zip(bytes.chunks_mut(share * stride)) {
            let (header, packet) = (&header, &packet);
            scope.spawn(move || {
                let firsts = (first..).step_by(BATCH);
                for (first, batch) in firsts.zip(part.chunks_mut(BATCH * stride)) {
                    seal(batch, header, packet, (remote, key), first);
                }
            });
        }
    });
    Ok(Frames {
        bytes,
        stride,
        once: true,
    })
}

/// The next counters of a session.
fn reserve(session: &mut Keypair, count: usize) -> Result<Range<u64>> {
    let count = u32::try_from(count).expect("a few millions");
    session
        .reserve_many(sessions::now(), count)
        .map_err(|_| LabError::Missing {
            program: "a session".into(),
            remedy: "it is older than a handshake may be",
        })
}

/// Makes each of the frames in `batch` a message around the packet, with counters from `first` on.
fn seal(batch: &mut [u8], header: &[u8], packet: &[u8], (remote, key): (u32, &[u8; 32]), first: u64) {
    let mut jobs = Vec::with_capacity(BATCH);
    for (counter, frame) in (first..).zip(batch.chunks_mut(header.len())) {
        frame[..LEN_V4].copy_from_slice(&header[..LEN_V4]);
        let (message, out) = frame[LEN_V4..].split_at_mut(TRANSPORT_HEADER_LEN);
        message[0] = 4;
        message[4..8].copy_from_slice(&remote.to_le_bytes());
        message[8..].copy_from_slice(&counter.to_le_bytes());
        jobs.push(Seal {
            key,
            counter,
            plaintext: Plaintext::At(packet),
            out,
        });
    }
    weir_crypto::best().seal(&mut jobs);
}

/// Bytes of a transport message (whitepaper, 5.4.6).
fn message_len(inner: usize) -> usize {
    TRANSPORT_HEADER_LEN + padded(inner) + TAG_BYTES
}

/// Bytes of a packet as it is sealed.
pub(super) fn padded(inner: usize) -> usize {
    inner.next_multiple_of(16).min(TUNNEL_MTU.into())
}

/// A frame for the gateway's WAN port with a datagram of so many zeros.
fn outer(lab: &Lab, payload: usize) -> Vec<u8> {
    frame(
        &lab.wan,
        (FAR, DATA_PORT).into(),
        GATEWAY,
        vec![0; LEN_V4 + payload],
    )
}

/// A frame for the gateway with a message from the far end's `port`.
pub(super) fn datagram(lab: &Lab, port: u16, message: &[u8]) -> Vec<u8> {
    let bytes = [&[0; LEN_V4][..], message].concat();
    frame(&lab.wan, (FAR, port).into(), GATEWAY, bytes)
}

/// A frame with an inner packet of so many bytes.
fn packet(wire: &Wire, direction: Direction, bytes: usize) -> Vec<u8> {
    let (server, inner) = ((SERVER, INNER_PORT).into(), (INNER, INNER_PORT).into());
    let (source, destination) = match direction {
        Direction::Out => (server, inner),
        Direction::In => (inner, server),
    };
    frame(wire, source, destination, vec![0; ethernet::HEADER_LEN + bytes])
}

/// Writes the headers of a frame that goes to the gateway's end of a wire.
fn frame(wire: &Wire, source: SocketAddr, destination: SocketAddr, mut bytes: Vec<u8>) -> Vec<u8> {
    let outer = Outer {
        macs: (wire.near.mac, wire.away.mac),
        source,
        destination,
        traffic_class: 0,
    };
    let written = outer
        .headers()
        .is_some_and(|headers| headers.write(&mut bytes, 0));
    assert!(written, "both addresses are of IPv4");
    bytes
}

/// The frames of a case for a contender with this session, or with none.
pub(super) fn of(lab: &Lab, case: Case, session: Option<&mut Keypair>, cores: usize) -> Result<Frames> {
    match (case.direction, session) {
        (Direction::Out, _) => Ok(plain(lab, case.bytes)),
        (Direction::In, None) => Ok(hollow(lab, case.bytes)),
        (Direction::In, Some(session)) => sealed(lab, case.bytes, session, cores),
    }
}
