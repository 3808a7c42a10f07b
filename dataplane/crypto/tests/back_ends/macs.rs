//! BLAKE2s by each back end, forced in turn, against the RustCrypto implementation.

use super::packet::random;
use blake2::Blake2sMac;
use blake2::digest::consts::U16;
use blake2::digest::{FixedOutput, KeyInit, Update};
use rand_chacha::ChaCha8Rng;
use rand_core::Rng;
use weir_crypto::blake2s::{Blake2s, Check, MAC_BYTES, Mac, MacKey, able};

/// WireGuard's lengths under mac1 and mac2, of a response and of an initiation.
const OF_WIREGUARD: [usize; 4] = [60, 76, 116, 132];

/// A message with its expected mac.
pub struct Message {
    pub key: MacKey,
    /// The message's bytes, with others in front, which decide their alignment.
    bytes: Vec<u8>,
    offset: usize,
    pub mac: [u8; MAC_BYTES],
}

impl Message {
    /// Every other key is as long as mac1's, the others as mac2's.
    pub fn new(random: &mut ChaCha8Rng, len: usize, offset: usize) -> Self {
        let (mut key, mut bytes) = ([0; 32], vec![0; offset + len]);
        random.fill_bytes(&mut key);
        random.fill_bytes(&mut bytes);
        let short = key[0].is_multiple_of(2);
        let of_key = if short { &key[..16] } else { &key[..] };
        let mut oracle = Blake2sMac::<U16>::new_from_slice(of_key).expect("a key of at most 32 bytes");
        oracle.update(&bytes[offset..]);
        let key = match key.first_chunk::<16>().filter(|_| short) {
            Some(half) => MacKey::new(half),
            None => MacKey::new(&key),
        };
        let mac = oracle.finalize_fixed().into();
        Self {
            key,
            bytes,
            offset,
            mac,
        }
    }

    pub fn bytes(&self) -> &[u8] {
        &self.bytes[self.offset..]
    }
}

/// Every back end of this CPU, and the lanes also where they are not worth it.
pub fn back_ends() -> Vec<&'static dyn Blake2s> {
    #[cfg_attr(
        not(target_arch = "x86_64"),
        expect(unused_mut, reason = "all of them are able")
    )]
    let mut all = able();
    #[cfg(target_arch = "x86_64")]
    all.extend(weir_crypto::blake2s::Avx2::alone().map(|avx2| avx2 as &dyn Blake2s));
    all
}

fn check_mac(messages: &[Message], told: &str) {
    for blake2s in back_ends() {
        let mut jobs: Vec<Mac<'_>> = messages
            .iter()
            .map(|message| Mac::new(&message.key, message.bytes()))
            .collect();
        blake2s.mac(&mut jobs);
        for (place, (job, message)) in jobs.iter().zip(messages).enumerate() {
            let (name, len) = (blake2s.name(), message.bytes().len());
            assert_eq!(
                job.mac, message.mac,
                "{name}, {told}: message {place}, {len} bytes"
            );
        }
    }
}

/// That all received macs are valid but those of `wrong`.
fn check_verdicts(messages: &[Message], received: &[[u8; MAC_BYTES]], wrong: &[usize], told: &str) {
    for blake2s in back_ends() {
        for before in [false, true] {
            let mut checks: Vec<Check<'_>> = messages
                .iter()
                .zip(received)
                .map(|(message, mac)| Check::new(&message.key, message.bytes(), mac))
                .collect();
            // What was in there is no verdict.
            checks.iter_mut().for_each(|check| check.valid = before);
            blake2s.check(&mut checks);
            for (place, check) in checks.iter().enumerate() {
                let expected = !wrong.contains(&place);
                assert_eq!(
                    check.valid,
                    expected,
                    "{}, {told}: message {place}",
                    blake2s.name()
                );
            }
        }
    }
}

fn macs(messages: &[Message]) -> Vec<[u8; MAC_BYTES]> {
    messages.iter().map(|message| message.mac).collect()
}

/// Catches back ends and an oracle that agree on something else than WireGuard's MAC, such as 32 bytes cut short: the
/// value is Python's `hashlib.blake2s(b"abc", key=bytes(range(32)), digest_size=16)`.
#[test]
fn it_is_wireguards_mac() {
    let key: [u8; 32] = core::array::from_fn(|byte| byte as u8);
    let expected = [
        97, 186, 95, 22, 92, 25, 70, 146, 224, 157, 18, 82, 12, 196, 199, 74,
    ];
    let key = MacKey::new(&key);
    for blake2s in back_ends() {
        let mut jobs = [(); 9].map(|()| Mac::new(&key, b"abc"));
        blake2s.mac(&mut jobs);
        assert!(jobs.iter().all(|job| job.mac == expected), "{}", blake2s.name());
    }
    assert_eq!(key.mac(b"abc"), expected);
}

/// Catches a wrong last block, a mask that takes a byte too many or too few, and an access that needs alignment, with
/// every lane at every length.
#[test]
fn every_length_at_every_alignment() {
    let mut random = random(101);
    for len in 0..=2048 {
        let messages: Vec<Message> = (0..8)
            .map(|lane| Message::new(&mut random, len, (len + 4 * lane + lane % 3) % 32))
            .collect();
        check_mac(&messages, "lengths");
        check_verdicts(&messages, &macs(&messages), &[], "lengths");
    }
}

/// Catches messages that get another's mac, are forgotten or are done by the wrong count of blocks, at every size of
/// batch, with lengths equal, WireGuard's mixed, and any.
#[test]
fn every_size_of_batch() {
    for seed in 0..60 {
        let mut random = random(seed);
        for batch in (1..=65).chain([128, 200, 256]) {
            let base = OF_WIREGUARD[seed as usize / 4 % 4];
            let messages: Vec<Message> = (0..batch)
                .map(|_| {
                    let other = random.next_u32() as usize;
                    let len = match seed % 4 {
                        0 => base,
                        1 => OF_WIREGUARD[other % 4],
                        2 => other % 300,
                        _ => other % (1 << ((other >> 12) % 12)),
                    };
                    Message::new(&mut random, len, other % 32)
                })
                .collect();
            let told = format!("seed {seed}, batch of {batch}");
            check_mac(&messages, &told);
            check_verdicts(&messages, &macs(&messages), &[], &told);
        }
    }
}

/// Catches a wrong mac that passes, and one that spoils a neighbour's verdict, at every place of a batch and in every
/// byte of the mac.
#[test]
fn a_wrong_mac_is_found_alone_at_every_place() {
    let mut random = random(103);
    for batch in 1..=64 {
        for equal in [true, false] {
            let messages: Vec<Message> = (0..batch)
                .map(|place| {
                    let len = OF_WIREGUARD[if equal {
                        batch % 4
                    } else {
                        random.next_u32() as usize % 4
                    }];
                    Message::new(&mut random, len, place % 8)
                })
                .collect();
            for place in 0..batch {
                let mut received = macs(&messages);
                let bit = random.next_u32() as usize % (8 * MAC_BYTES);
                received[place][bit / 8] ^= 1 << (bit % 8);
                check_verdicts(
                    &messages,
                    &received,
                    &[place],
                    &format!("batch of {batch}, bit {bit}"),
                );
            }
        }
    }
}

/// Catches a bit of a mac that nobody looks at, and wrong macs that hide each other.
#[test]
fn every_bit_of_a_mac_counts() {
    let mut random = random(107);
    let messages: Vec<Message> = (0..16).map(|_| Message::new(&mut random, 116, 0)).collect();
    for bit in 0..8 * MAC_BYTES {
        let mut received = macs(&messages);
        let wrong: Vec<usize> = (0..16)
            .filter(|place| (place ^ bit).is_multiple_of(3) || *place == bit % 16)
            .collect();
        for &place in &wrong {
            received[place][bit / 8] ^= 1 << (bit % 8);
        }
        check_verdicts(&messages, &received, &wrong, &format!("bit {bit}"));
    }
}

/// Catches a byte of the message that is left out, in each block of what WireGuard sends.
#[test]
fn every_bit_of_a_message_counts() {
    let mut random = random(109);
    for len in OF_WIREGUARD {
        let mut messages: Vec<Message> = (0..8).map(|_| Message::new(&mut random, len, 0)).collect();
        for bit in 0..8 * len {
            let place = bit % 8;
            messages[place].bytes[bit / 8] ^= 1 << (bit / 8 % 8);
            let received = macs(&messages);
            check_verdicts(&messages, &received, &[place], &format!("{len} bytes, bit {bit}"));
            messages[place].bytes[bit / 8] ^= 1 << (bit / 8 % 8);
        }
    }
}

/// Catches a count of bytes that a lane cannot hold: messages around and beyond what lies on lanes, beside short ones.
#[test]
fn long_messages() {
    let mut random = random(113);
    for len in [4095, 65_535, 65_536, 200_001] {
        let messages: Vec<Message> = (0..9)
            .map(|place| Message::new(&mut random, if place % 2 == 0 { len - place } else { 116 }, place))
            .collect();
        check_mac(&messages, "long messages");
        check_verdicts(&messages, &macs(&messages), &[], "long messages");
    }
}

/// Catches a midstate that does not depend on the whole key or on its length: BLAKE2s pads both the same way.
#[test]
fn a_key_is_not_another() {
    let long = MacKey::new(&[0; 32]);
    let short = MacKey::new(&[0; 16]);
    let mut other = [0; 32];
    other[31] = 1;
    let other = MacKey::new(&other);
    for message in [&b""[..], b"message"] {
        let macs = [long.mac(message), short.mac(message), other.mac(message)];
        assert!(macs[0] != macs[1] && macs[0] != macs[2] && macs[1] != macs[2]);
    }
}
