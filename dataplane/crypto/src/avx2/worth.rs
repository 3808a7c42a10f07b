//! Which packets of a burst are worth the lanes. Figures are of an AMD EPYC of Zen 3, in `dataplane/docs/09-crypto.md`.
//! The limits hold where another thread works in the core's vector units too: there the lanes gain less, and nothing with
//! few packets that are not short.

use super::mac::LANES;
use crate::burst::{Order, even};
use crate::job::Job;

/// Fewer packets leave lanes of ChaCha20 empty too often.
const PACKETS: usize = 16;

/// But so many short ones, of which ring does little more than the one-time keys, are worth it.
const SHORT_PACKETS: usize = 7;

/// How long those may be. Of longer ones those without equals, which share no vector of Poly1305, are faster with ring.
const SHORT_BYTES: usize = 64;

/// ring computes both parts of a packet at once, one in the vector units and the other beside them, and needs some
/// length to come to speed. From this length on it is as fast.
const LONG_BYTES: usize = 1280;

/// The order in which the packets are to be laid on lanes that are faster there than with ring, packet by packet.
pub(super) fn worth<J: Job>(burst: &[J]) -> Order {
    if burst.len() < SHORT_PACKETS {
        return Order::empty();
    }
    let mut order = Order::new(burst);
    let (mut suitable, mut short) = (0u64, 0u64);
    let packets = order.packets();
    let mut place = 0;
    while place < packets.len() {
        let len = burst[usize::from(packets[place])].ciphertext().len();
        let together = match len {
            LONG_BYTES.. => 1,
            _ => even(burst, &packets[place..], LANES),
        };
        let bits = ((1 << together) - 1) << place;
        if len <= SHORT_BYTES {
            short |= bits;
        }
        if len <= SHORT_BYTES || together > 1 {
            suitable |= bits;
        }
        place += together;
    }
    let chosen = if suitable.count_ones() as usize >= PACKETS {
        suitable
    } else if short.count_ones() as usize >= SHORT_PACKETS {
        short
    } else {
        0
    };
    order.retain_places(chosen);
    order
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::{Open, TAG_BYTES};
    use proptest::prelude::*;

    fn worth_of(lengths: &[usize]) -> Order {
        let key = [0; 32];
        let sealed: Vec<Vec<u8>> = lengths.iter().map(|len| vec![0; len + TAG_BYTES]).collect();
        let mut outs: Vec<Vec<u8>> = lengths.iter().map(|len| vec![0; *len]).collect();
        let burst: Vec<Open<'_>> = sealed
            .iter()
            .zip(&mut outs)
            .map(|(ciphertext, out)| Open {
                key: &key,
                counter: 0,
                ciphertext,
                out,
                authentic: false,
            })
            .collect();
        worth(&burst)
    }

    fn lengths_on_lanes(lengths: &[usize]) -> Vec<usize> {
        let order = worth_of(lengths);
        order
            .packets()
            .iter()
            .map(|packet| lengths[usize::from(*packet)])
            .collect()
    }

    /// Catches bursts on lanes that are faster with ring, and the other way around.
    #[test]
    fn few_long_and_lone_packets_are_rings() {
        assert!(lengths_on_lanes(&[64; 6]).is_empty());
        assert_eq!(lengths_on_lanes(&[64; 7]), [64; 7]);
        assert!(lengths_on_lanes(&[512; 15]).is_empty());
        assert_eq!(lengths_on_lanes(&[512; 16]), [512; 16]);
        assert!(lengths_on_lanes(&[1420; 64]).is_empty());
        let mixed = [[64; 9].as_slice(), &[1420; 3], &[512; 8], &[300]].concat();
        assert_eq!(lengths_on_lanes(&mixed), [[512; 8].as_slice(), &[64; 9]].concat());
        let few = [[64; 9].as_slice(), &[1420; 3], &[512; 4]].concat();
        assert_eq!(lengths_on_lanes(&few), [64; 9]);
    }

    proptest! {
        /// Catches a packet that neither the lanes nor ring take, or both.
        #[test]
        fn every_packet_is_taken_once(lengths in proptest::collection::vec(0usize..1500, 1..=64)) {
            let order = worth_of(&lengths);
            let mut all: Vec<usize> = order.packets().iter().map(|packet| usize::from(*packet)).collect();
            all.extend(crate::burst::bits(order.absent(lengths.len())));
            all.sort_unstable();
            prop_assert_eq!(all, (0..lengths.len()).collect::<Vec<_>>());
        }
    }
}
