//! Sealing a batch and comparing it.

use super::packet::{CANARY, Packet};
use weir_crypto::{Aead, Plaintext, Seal};

/// Memory for each packet, at its alignment, with a canary on both sides.
struct Places(Vec<Vec<u8>>);

impl Places {
    fn new(packets: &[Packet], len: impl Fn(&Packet) -> usize) -> Self {
        let place = |(number, packet): (usize, &Packet)| {
            vec![CANARY; packet.offset + len(packet) + packet.behind(number)]
        };
        Self(packets.iter().enumerate().map(place).collect())
    }

    fn of(&mut self, packets: &[Packet], len: impl Fn(&Packet) -> usize) -> Vec<&mut [u8]> {
        let places = self.0.iter_mut().zip(packets);
        places
            .map(|(place, packet)| &mut place[packet.offset..packet.offset + len(packet)])
            .collect()
    }

    fn check(&self, packets: &[Packet], len: impl Fn(&Packet) -> usize, told: &str) {
        for (place, packet) in self.0.iter().zip(packets) {
            let (before, after) = (&place[..packet.offset], &place[packet.offset + len(packet)..]);
            assert!(
                before.iter().chain(after).all(|byte| *byte == CANARY),
                "{told}: wrote around a packet"
            );
        }
    }
}

/// Seals the packets in one batch and compares them. Every other packet is sealed in place.
pub fn check_seal(aead: &dyn Aead, packets: &[Packet], told: &str) {
    let len = |packet: &Packet| packet.sealed.len();
    let mut places = Places::new(packets, len);
    // Texts elsewhere are at another alignment than where they go.
    let mut sources = Places::new(packets, |packet| packet.plain.len() + 1);
    for (source, packet) in sources
        .of(packets, |packet| packet.plain.len() + 1)
        .into_iter()
        .zip(packets)
    {
        source[1..].copy_from_slice(&packet.plain);
    }
    let sources = sources.of(packets, |packet| packet.plain.len() + 1);
    let outs = places.of(packets, len);
    let mut jobs: Vec<Seal<'_>> = Vec::with_capacity(packets.len());
    for (number, ((packet, out), source)) in packets.iter().zip(outs).zip(&sources).enumerate() {
        let plaintext = if number % 2 == 0 {
            Plaintext::At(&source[1..])
        } else {
            out[..packet.plain.len()].copy_from_slice(&packet.plain);
            Plaintext::InPlace(packet.plain.len())
        };
        jobs.push(Seal {
            key: &packet.key,
            counter: packet.counter,
            plaintext,
            out,
        });
    }
    aead.seal(&mut jobs);
    for (number, (job, packet)) in jobs.iter().zip(packets).enumerate() {
        let (name, len) = (aead.name(), packet.plain.len());
        assert!(
            *job.out == packet.sealed[..],
            "{told}: {name} seals packet {number} of {len} bytes wrongly"
        );
    }
    drop(jobs);
    places.check(packets, len, told);
}
