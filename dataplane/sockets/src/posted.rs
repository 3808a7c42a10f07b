//! Buffers posted for one packet to come: a small frame with a large one behind it.
//!
//! How long the next packet is, nobody knows before it is read. Most are short, and should not take one of the few
//! large frames; some are offloads of 64 KiB. So a packet is read into a small frame that overflows into a large one:
//! a short packet leaves the large frame posted for the next, a long one costs copying the small frame's bytes before
//! the rest, whose place in the large frame was left free for them.

use std::io::IoSliceMut;
use weir_frame::{Frame, FramePool};

/// What a packet is read into.
pub(crate) struct Posted {
    first: Frame,
    /// The rest of the packet begins in it where the first frame's room ends.
    overflow: Option<Frame>,
}

/// What became of a packet.
pub(crate) enum Arrival {
    /// It lies in the frame, whose length is set.
    Frame(Frame),
    /// It did not fit.
    TooLong,
}

impl Posted {
    /// Takes a small frame, or a large one when there is no other. `None` without any frame.
    pub fn take(pool: &mut FramePool) -> Option<Self> {
        let size = pool.size();
        let first = pool.take(size.small_bytes.saturating_sub(size.headroom))?;
        Some(Self {
            first,
            overflow: None,
        })
    }

    /// Makes sure that a packet of any length fits, with a large frame if one is needed and free; says whether it does.
    pub fn complete(&mut self, pool: &mut FramePool) -> bool {
        let size = pool.size();
        let large_room = size.large_bytes.saturating_sub(size.headroom);
        if self.room() < large_room {
            self.overflow = pool.take(large_room);
        }
        self.room() >= large_room
    }

    /// Bytes that a packet may have.
    pub fn room(&self) -> usize {
        self.overflow.as_ref().map_or(self.first.room(), |overflow| {
            overflow.room().max(self.first.room())
        })
    }

    /// How many frames these are.
    pub fn frames(&self) -> usize {
        1 + usize::from(self.overflow.is_some())
    }

    /// The two spans a packet goes into; the second is empty without a large frame.
    pub fn spans(&mut self) -> [IoSliceMut<'_>; 2] {
        let used = self.first.room();
        let rest: &mut [u8] = match &mut self.overflow {
            Some(overflow) => overflow.room_mut().get_mut(used..).unwrap_or_default(),
            None => &mut [],
        };
        [IoSliceMut::new(self.first.room_mut()), IoSliceMut::new(rest)]
    }

    /// Turns the buffers into the frame of a packet of `len` bytes; what it does not need goes back to the pool.
    pub fn finish(mut self, len: usize, pool: &mut FramePool) -> Arrival {
        let used = self.first.room();
        if len <= used {
            if let Some(overflow) = self.overflow {
                pool.give_back(overflow);
            }
            self.first.set_len(len);
            return Arrival::Frame(self.first);
        }
        match self.overflow {
            Some(mut overflow) if len <= overflow.room() => {
                overflow.room_mut()[..used].copy_from_slice(self.first.room_mut());
                overflow.set_len(len);
                pool.give_back(self.first);
                Arrival::Frame(overflow)
            }
            overflow => {
                pool.give_back(self.first);
                overflow.into_iter().for_each(|frame| pool.give_back(frame));
                Arrival::TooLong
            }
        }
    }

    /// Gives the buffers back unused.
    pub fn give_back(self, pool: &mut FramePool) {
        pool.give_back(self.first);
        if let Some(overflow) = self.overflow {
            pool.give_back(overflow);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use weir_frame::{Home, PoolSize};

    fn pool(small: usize, large: usize) -> FramePool {
        let size = PoolSize {
            small,
            small_bytes: 64,
            large,
            large_bytes: 256,
            headroom: 16,
        };
        FramePool::new(Home { shard: 0, port: 0 }, size)
    }

    fn fill(posted: &mut Posted, packet: &[u8]) {
        let [first, rest] = &mut posted.spans();
        let cut = packet.len().min(first.len());
        first[..cut].copy_from_slice(&packet[..cut]);
        rest[..packet.len() - cut].copy_from_slice(&packet[cut..]);
    }

    // Catches a long packet whose beginning is lost or misplaced, and frames that do not come home.
    #[test]
    fn packets_of_every_length_lie_in_one_piece() {
        let mut pool = pool(2, 1);
        for len in 0..=240 {
            let packet: Vec<u8> = (0..len).map(|i| i as u8).collect();
            let mut posted = Posted::take(&mut pool).expect("frames");
            assert!(posted.complete(&mut pool));
            assert_eq!(posted.room(), 240);
            fill(&mut posted, &packet);
            let Arrival::Frame(frame) = posted.finish(len, &mut pool) else {
                panic!("a packet of {len} bytes did not fit");
            };
            assert_eq!(frame.bytes(), packet);
            assert_eq!(frame.capacity(), if len <= 48 { 64 } else { 256 });
            pool.give_back(frame);
            assert_eq!(pool.abroad(), 0);
        }
    }

    // Catches a packet cut short and handed on, and frames lost with it.
    #[test]
    fn what_does_not_fit_is_dropped_and_its_frames_come_home() {
        let mut pool = pool(1, 0);
        let mut posted = Posted::take(&mut pool).expect("a frame");
        assert!(!posted.complete(&mut pool));
        assert_eq!(posted.room(), 48);
        assert!(matches!(posted.finish(49, &mut pool), Arrival::TooLong));
        assert_eq!(pool.abroad(), 0);
    }

    // Catches a port that stops because only its small frames are gone.
    #[test]
    fn a_large_frame_alone_serves() {
        let mut pool = pool(1, 1);
        let small = pool.take(1).expect("a frame");
        let mut posted = Posted::take(&mut pool).expect("the large frame");
        assert!(posted.complete(&mut pool));
        assert_eq!(posted.room(), 240);
        posted.give_back(&mut pool);
        pool.give_back(small);
        assert_eq!(pool.abroad(), 0);
    }
}
