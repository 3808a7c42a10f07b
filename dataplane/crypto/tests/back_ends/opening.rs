//! Opening a batch and comparing it.

use super::packet::{CANARY, Packet};
use weir_crypto::{Aead, Open, TAG_BYTES};

/// Opens what was received in place of the packets' seals, in one batch. Just those in `forged` must be refused, and
/// leave zeros.
pub fn check_open(aead: &dyn Aead, packets: &[Packet], received: &[Vec<u8>], forged: &[usize], told: &str) {
    let lens: Vec<usize> = received.iter().map(|sealed| sealed.len() - TAG_BYTES).collect();
    let mut outs: Vec<Vec<u8>> = packets
        .iter()
        .zip(&lens)
        .enumerate()
        .map(|(number, (packet, len))| vec![CANARY; packet.offset + len + packet.behind(number)])
        .collect();
    let sources: Vec<Vec<u8>> = packets
        .iter()
        .zip(received)
        .map(|(packet, sealed)| [&vec![CANARY; packet.offset + 3][..], sealed].concat())
        .collect();
    let mut jobs: Vec<Open<'_>> = Vec::with_capacity(packets.len());
    for (((packet, out), source), len) in packets.iter().zip(&mut outs).zip(&sources).zip(&lens) {
        jobs.push(Open {
            key: &packet.key,
            counter: packet.counter,
            ciphertext: &source[packet.offset + 3..],
            out: &mut out[packet.offset..packet.offset + len],
            authentic: jobs.len().is_multiple_of(2),
        });
    }
    aead.open(&mut jobs);
    let verdicts: Vec<bool> = jobs.iter().map(|job| job.authentic).collect();
    drop(jobs);
    for (number, (packet, out)) in packets.iter().zip(&outs).enumerate() {
        let (name, len) = (aead.name(), lens[number]);
        let (text, after) = out[packet.offset..].split_at(len);
        let refused = forged.contains(&number);
        assert_eq!(
            verdicts[number], !refused,
            "{told}: {name}'s verdict on packet {number} of {len} bytes"
        );
        let right = match refused {
            true => text.iter().all(|byte| *byte == 0),
            false => *text == packet.opened(),
        };
        assert!(
            right,
            "{told}: {name} opens packet {number} of {len} bytes wrongly"
        );
        let around = out[..packet.offset].iter().chain(after);
        assert!(
            around.copied().all(|byte| byte == CANARY),
            "{told}: {name} wrote around packet {number}"
        );
    }
}
