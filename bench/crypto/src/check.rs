//! Whether every contender does the same: what is fast and wrong is no contender.

use crate::contenders::Contender;
use weir_crypto::{Aead, Open, Plaintext, Portable, Seal, TAG_BYTES};

/// Packets of a batch: more than any contender takes at a time, and no multiple of what it takes.
const PACKETS: usize = 131;

/// Lengths of the texts, on both sides of blocks, of the sizes that are measured and of what back ends branch on.
const LENGTHS: [usize; 18] = [
    0, 1, 15, 16, 17, 63, 64, 65, 128, 255, 256, 511, 576, 1023, 1024, 1420, 1500, 8192,
];

/// Seals and opens packets of one length and of mixed lengths, and one forgery among them, as the portable back end does.
/// An error names who fails, and at what.
pub(crate) fn all(contenders: &[Contender]) -> Result<(), String> {
    for contender in contenders.iter().map(|contender| contender.aead) {
        let name = contender.name();
        let wrong = |what: String| format!("{name} disagrees with the portable back end: {what}");
        for bytes in LENGTHS {
            agrees(contender, &[bytes; PACKETS]).map_err(|what| wrong(format!("{what}, {bytes} bytes")))?;
        }
        let mixed: [usize; PACKETS] = std::array::from_fn(|packet| LENGTHS[packet * 7 % LENGTHS.len()]);
        agrees(contender, &mixed).map_err(|what| wrong(format!("{what}, mixed lengths")))?;
    }
    Ok(())
}

fn agrees(contender: &dyn Aead, lengths: &[usize]) -> Result<(), &'static str> {
    let texts: Vec<Vec<u8>> = lengths
        .iter()
        .enumerate()
        .map(|(packet, &bytes)| (0..bytes).map(|at| (at * 31 + packet) as u8).collect())
        .collect();
    let mut sealed = seal(contender, &texts);
    if sealed != seal(&Portable, &texts) {
        return Err("what it seals");
    }
    let forged = lengths.len() / 2;
    let last = sealed[forged].len() - 1;
    sealed[forged][last] ^= 1;
    for (packet, (text, opened)) in texts.iter().zip(open(contender, &sealed)).enumerate() {
        match opened {
            Some(_) if packet == forged => return Err("a forgery"),
            None if packet != forged => return Err("an authentic packet"),
            Some(opened) if opened != *text => return Err("what it opens"),
            Some(_) | None => {}
        }
    }
    Ok(())
}

fn keys(count: usize) -> Vec<[u8; 32]> {
    (0..count).map(|packet| [packet as u8 ^ 0x5a; 32]).collect()
}

fn seal(aead: &dyn Aead, texts: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let keys = keys(texts.len());
    let mut outs: Vec<Vec<u8>> = texts
        .iter()
        .map(|text| vec![0xee; text.len() + TAG_BYTES])
        .collect();
    let mut jobs: Vec<Seal<'_>> = outs
        .iter_mut()
        .zip(texts)
        .zip(&keys)
        .zip(1 << 33..)
        .map(|(((out, text), key), counter)| Seal {
            key,
            counter,
            plaintext: Plaintext::At(text),
            out,
        })
        .collect();
    aead.seal(&mut jobs);
    outs
}

/// The texts of those that are authentic.
fn open(aead: &dyn Aead, sealed: &[Vec<u8>]) -> Vec<Option<Vec<u8>>> {
    let keys = keys(sealed.len());
    let mut outs: Vec<Vec<u8>> = sealed
        .iter()
        .map(|packet| vec![0xee; packet.len() - TAG_BYTES])
        .collect();
    let mut jobs: Vec<Open<'_>> = outs
        .iter_mut()
        .zip(sealed)
        .zip(&keys)
        .zip(1 << 33..)
        .map(|(((out, ciphertext), key), counter)| Open {
            key,
            counter,
            ciphertext,
            out,
            authentic: false,
        })
        .collect();
    aead.open(&mut jobs);
    let authentic: Vec<bool> = jobs.iter().map(|job| job.authentic).collect();
    let texts = outs.into_iter().zip(authentic);
    texts.map(|(text, authentic)| authentic.then_some(text)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use weir_crypto::Ring;

    /// Does what ring does, but for a tag that it gets wrong, or does not look at.
    struct Wrong {
        seals: bool,
    }

    impl Aead for Wrong {
        fn name(&self) -> &'static str {
            "wrong"
        }

        fn seal(&self, batch: &mut [Seal<'_>]) {
            Ring.seal(batch);
            if self.seals {
                let out = batch.last_mut().and_then(|job| job.out.last_mut());
                *out.expect("a packet has a tag") ^= 1;
            }
        }

        fn open(&self, batch: &mut [Open<'_>]) {
            Ring.open(batch);
            batch.iter_mut().for_each(|job| job.authentic = true);
        }
    }

    /// Catches a check that passes what it should not: one wrong byte among 131 packets, or a forgery taken for authentic.
    #[test]
    fn what_is_wrong_does_not_pass() {
        let check = |aead: &'static dyn Aead| all(&[Contender { aead, own: false }]);
        assert_eq!(check(&Ring), Ok(()));
        let sealing = check(&Wrong { seals: true }).unwrap_err();
        assert!(
            sealing.contains("wrong") && sealing.contains("seals"),
            "{sealing}"
        );
        let opening = check(&Wrong { seals: false }).unwrap_err();
        assert!(opening.contains("forgery"), "{opening}");
    }
}
