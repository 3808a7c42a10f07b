//! Which blocks of ChaCha20 are made together.
//!
//! The work is a list of blocks (packet, number). Number 0 is the packet's one-time key, the others its text. Packets of
//! which each still has blocks lie side by side, and their keys are then loaded once; what the longer ones have left queues
//! up block by block until the places are full. So places are empty only at a burst's end.

use crate::chacha::BLOCK_BYTES;
use crate::job::Job;

/// Blocks that are made together.
pub(crate) const PLACES: usize = 16;

/// Blocks of a burst that are made together.
#[derive(Clone, Copy)]
pub(crate) struct Blocks {
    /// The packet of each place. Places in excess repeat the first one's packet, and what they make is dropped.
    pub(crate) packets: [u8; PLACES],
    /// The number of each place's block.
    pub(crate) numbers: [u32; PLACES],
    /// How many places are not in excess.
    pub(crate) used: usize,
}

/// What is yet to be made, in order.
pub(crate) struct Schedule<'a> {
    /// Packets that were not begun, the longest first.
    packets: &'a [u8],
    /// The first number of each, and whether it is the only one.
    from: u32,
    only: bool,
    /// How many packets lie side by side at most.
    width: usize,
    group: Group,
    queue: Blocks,
}

/// Packets side by side, a power of two of them, over and over until the places are full.
#[derive(Clone, Copy)]
struct Group {
    packets: [u8; PLACES],
    /// The number of each one's last block.
    lasts: [u32; PLACES],
    count: usize,
    /// How far each place's block is from the first place's, and how many blocks of each packet fill the places.
    offsets: [u32; PLACES],
    each: u32,
    /// The next number that all of them have.
    number: u32,
    /// The least and the greatest of `lasts`.
    common: u32,
    longest: u32,
    /// Of which packet blocks queue up, and from which number on.
    queued: (usize, u32),
}

impl<'a> Schedule<'a> {
    /// Block 0 of every packet.
    pub(crate) fn of_keys(packets: &'a [u8], width: usize) -> Self {
        Self::new(packets, width, 0, true)
    }

    /// The blocks of every packet from number `from` to its text's end.
    pub(crate) fn of_texts(packets: &'a [u8], width: usize, from: u32) -> Self {
        Self::new(packets, width, from, false)
    }

    fn new(packets: &'a [u8], width: usize, from: u32, only: bool) -> Self {
        debug_assert!(width.is_power_of_two() && width <= PLACES);
        Self {
            packets,
            from,
            only,
            width,
            group: Group {
                packets: [0; PLACES],
                lasts: [0; PLACES],
                count: 0,
                offsets: [0; PLACES],
                each: 1,
                number: 1,
                common: 0,
                longest: 0,
                queued: (0, 0),
            },
            queue: Blocks {
                packets: [0; PLACES],
                numbers: [0; PLACES],
                used: 0,
            },
        }
    }

    /// The next blocks; `None` at the end.
    #[inline]
    pub(crate) fn next<J: Job>(&mut self, burst: &[J]) -> Option<Blocks> {
        loop {
            if let Some(blocks) = self.group.abreast() {
                return Some(blocks);
            }
            if self.queue_up() {
                return Some(self.flush());
            }
            if !self.begin(burst) {
                return (self.queue.used > 0).then(|| self.flush());
            }
        }
    }

    /// Queues up what the packets at work have left, and says whether the places are full.
    #[inline]
    fn queue_up(&mut self) -> bool {
        let group = &mut self.group;
        if group.number > group.longest {
            return false;
        }
        while group.queued.0 < group.count {
            let (packet, number) = group.queued;
            if number > group.lasts[packet] {
                group.queued = (packet + 1, group.number);
                continue;
            }
            self.queue.packets[self.queue.used] = group.packets[packet];
            self.queue.numbers[self.queue.used] = number;
            self.queue.used += 1;
            group.queued.1 += 1;
            if self.queue.used == PLACES {
                return true;
            }
        }
        false
    }

    /// Begins with the next packets, and says whether there are any.
    #[inline]
    fn begin<J: Job>(&mut self, burst: &[J]) -> bool {
        let most = self.packets.len().min(self.width);
        if most == 0 {
            return false;
        }
        let count = 1 << most.ilog2();
        let (packets, left) = self.packets.split_at(count);
        self.packets = left;
        let group = &mut self.group;
        (group.common, group.longest) = (u32::MAX, 0);
        for (place, &packet) in packets.iter().enumerate() {
            let last = if self.only {
                0
            } else {
                last(&burst[usize::from(packet)])
            };
            group.packets[place] = packet;
            group.lasts[place] = last;
            group.common = group.common.min(last);
            group.longest = group.longest.max(last);
        }
        if group.count != count {
            group.count = count;
            group.each = (PLACES / count) as u32;
            group.offsets = core::array::from_fn(|place| (place / count) as u32);
        }
        let mut filled = count;
        while filled < PLACES {
            group.packets.copy_within(..filled, filled);
            filled *= 2;
        }
        group.number = self.from;
        group.queued = (0, self.from);
        true
    }

    fn flush(&mut self) -> Blocks {
        let mut blocks = self.queue;
        let first = blocks.packets[0];
        blocks.packets[blocks.used..].fill(first);
        self.queue.used = 0;
        blocks
    }
}

impl Group {
    /// The next blocks of all packets side by side, while each has as many as fill the places.
    #[inline]
    fn abreast(&mut self) -> Option<Blocks> {
        let end = self.number + self.each;
        if end > self.common.saturating_add(1) {
            return None;
        }
        let blocks = Blocks {
            packets: self.packets,
            numbers: self.offsets.map(|offset| self.number + offset),
            used: PLACES,
        };
        self.number = end;
        self.queued = (0, end);
        Some(blocks)
    }
}

// The number of the last block of a job's text; 0 is the one-time key's.
#[inline]
fn last(job: &impl Job) -> u32 {
    let blocks = job.ciphertext().len().div_ceil(BLOCK_BYTES);
    u32::try_from(blocks).expect("a packet is shorter than ChaCha20's limit of 256 GiB")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::{Open, TAG_BYTES};
    use crate::burst::Order;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        /// Catches a block that is left out, made twice or of another packet, and places left empty before the end.
        #[test]
        fn every_block_is_made_once(
            lengths in proptest::collection::vec(0usize..1500, 1..=64),
            width in prop_oneof![Just(8usize), Just(16)],
            shape in 0..3,
        ) {
            let key = [0; 32];
            let sealed: Vec<Vec<u8>> = lengths.iter().map(|len| vec![0; len + TAG_BYTES]).collect();
            let mut outs: Vec<Vec<u8>> = lengths.iter().map(|len| vec![0; *len]).collect();
            let burst: Vec<Open<'_>> = sealed
                .iter()
                .zip(&mut outs)
                .map(|(ciphertext, out)| Open { key: &key, counter: 0, ciphertext, out, authentic: false })
                .collect();
            let order = Order::new(&burst);
            let (mut schedule, first, only) = match shape {
                0 => (Schedule::of_keys(order.packets(), width), 0, true),
                1 => (Schedule::of_texts(order.packets(), width, 0), 0, false),
                _ => (Schedule::of_texts(order.packets(), width, 1), 1, false),
            };
            let mut expected: BTreeSet<(u8, u32)> = BTreeSet::new();
            for (packet, len) in lengths.iter().enumerate() {
                let last = if only { 0 } else { len.div_ceil(64) as u32 };
                expected.extend((first..=last).map(|number| (packet as u8, number)));
            }
            let mut ended = false;
            while let Some(blocks) = schedule.next(&burst) {
                prop_assert!(!ended, "places were empty before the end");
                ended = blocks.used < PLACES;
                for place in 0..blocks.used {
                    let block = (blocks.packets[place], blocks.numbers[place]);
                    prop_assert!(expected.remove(&block), "{block:?}");
                }
                for place in blocks.used..PLACES {
                    prop_assert!(lengths.len() > usize::from(blocks.packets[place]));
                }
            }
            prop_assert!(expected.is_empty(), "{expected:?}");
        }
    }
}
