//! A port's stock of free frames: small ones for packets, large ones for offloads and large tunnels.

use crate::frame::{Frame, Home};

/// How many frames of which sizes a pool holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PoolSize {
    /// Small frames.
    pub small: usize,
    /// Bytes of a small frame's buffer.
    pub small_bytes: usize,
    /// Large frames.
    pub large: usize,
    /// Bytes of a large frame's buffer.
    pub large_bytes: usize,
    /// Bytes left free before a fresh frame's packet.
    pub headroom: usize,
}

impl Default for PoolSize {
    /// 1,024 frames of 2 KiB and 64 of 64 KiB and headers: memory that the kernel backs as it is touched.
    fn default() -> Self {
        Self {
            small: 1024,
            small_bytes: 2048,
            large: 64,
            large_bytes: 65536 + 512,
            headroom: 128,
        }
    }
}

impl PoolSize {
    /// All frames of the pool.
    pub fn frames(&self) -> usize {
        self.small + self.large
    }
}

/// The free frames of one home. Taking and giving back allocate nothing.
///
/// The memory is never returned to the allocator, since frames may be abroad on other threads when a pool goes: a
/// pool is kept by whoever makes ports and handed to the next port of the same home.
pub struct FramePool {
    home: Home,
    size: PoolSize,
    small: Vec<Frame>,
    large: Vec<Frame>,
}

impl FramePool {
    /// A full pool.
    ///
    /// # Panics
    /// If large frames are not larger than small ones, or a size is below the headroom.
    pub fn new(home: Home, size: PoolSize) -> Self {
        let slab = Box::leak(vec![0u8; size.small * size.small_bytes].into_boxed_slice());
        Self::over(home, size, slab)
    }

    /// A full pool whose small frames lie in `slab`, one behind the other from its start.
    ///
    /// # Panics
    /// As [`FramePool::new`], and if the slab is shorter than the small frames.
    pub fn over(home: Home, size: PoolSize, slab: &'static mut [u8]) -> Self {
        assert!(
            size.large == 0 || size.large_bytes > size.small_bytes,
            "large frames are larger than small ones"
        );
        assert!(
            size.small == 0 || size.small_bytes > size.headroom,
            "small frames hold more than their headroom"
        );
        let (small, large) = (size.small * size.small_bytes, size.large * size.large_bytes);
        let bytes = slab.len();
        let slab = slab.get_mut(..small);
        let slab = slab
            .unwrap_or_else(|| panic!("{small} bytes of small frames exceed the {bytes} of their memory"));
        let large = Box::leak(vec![0u8; large].into_boxed_slice());
        Self {
            home,
            size,
            small: carve(slab, size.small_bytes, size.headroom, home),
            large: carve(large, size.large_bytes, size.headroom, home),
        }
    }

    /// The home of every frame in the pool.
    #[inline]
    pub fn home(&self) -> Home {
        self.home
    }

    /// The pool's full size.
    pub fn size(&self) -> PoolSize {
        self.size
    }

    /// A fresh, empty frame with room for `len` bytes behind the headroom: a small one where that does.
    #[inline]
    pub fn take(&mut self, len: usize) -> Option<Frame> {
        let small = len + self.size.headroom <= self.size.small_bytes;
        if small && let Some(frame) = self.small.pop() {
            return Some(frame);
        }
        if len + self.size.headroom <= self.size.large_bytes {
            self.large.pop()
        } else {
            None
        }
    }

    /// A fresh, empty small frame.
    #[inline]
    pub fn take_small(&mut self) -> Option<Frame> {
        self.small.pop()
    }

    /// Takes a frame back.
    ///
    /// # Panics
    /// If the frame has another home: two pools would then own the same memory.
    #[inline]
    pub fn give_back(&mut self, mut frame: Frame) {
        assert!(
            frame.home() == self.home,
            "a frame came back to a pool that is not its home"
        );
        frame.reset(self.size.headroom);
        if frame.capacity() == self.size.small_bytes {
            self.small.push(frame)
        } else {
            self.large.push(frame)
        }
    }

    /// Frames now free, small and large.
    pub fn free(&self) -> (usize, usize) {
        (self.small.len(), self.large.len())
    }

    /// Frames now abroad.
    pub fn abroad(&self) -> usize {
        self.size.frames() - self.small.len() - self.large.len()
    }
}

fn carve(slab: &'static mut [u8], bytes: usize, headroom: usize, home: Home) -> Vec<Frame> {
    let mut frames: Vec<Frame> = slab
        .chunks_exact_mut(bytes.max(1))
        .map(|buffer| Frame::new(buffer, headroom, home))
        .collect();
    // Taken from the end, so that a lightly loaded port keeps to the slab's first pages.
    frames.reverse();
    frames
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOME: Home = Home { shard: 0, port: 0 };
    const SIZE: PoolSize = PoolSize {
        small: 2,
        small_bytes: 256,
        large: 1,
        large_bytes: 4096,
        headroom: 64,
    };

    // Catches frames lost or doubled on their way through the pool, and large frames given where small ones do.
    #[test]
    fn frames_go_out_by_size_and_come_back_to_their_stock() {
        let mut pool = FramePool::new(HOME, SIZE);
        let first = pool.take(192).expect("a small frame");
        assert_eq!(first.capacity(), 256);
        let second = pool.take(193).expect("a large frame");
        assert_eq!(second.capacity(), 4096);
        assert!(pool.take(193).is_none());
        assert!(pool.take(5000).is_none());
        assert_eq!((pool.free(), pool.abroad()), ((1, 0), 2));
        pool.give_back(first);
        pool.give_back(second);
        assert_eq!((pool.free(), pool.abroad()), ((2, 1), 0));
    }

    // Catches frames outside of the memory that they were to lie in, or over each other.
    #[test]
    fn small_frames_lie_in_the_memory_given() {
        let slab = Box::leak(vec![0u8; 600].into_boxed_slice());
        let start = slab.as_ptr();
        let mut pool = FramePool::over(HOME, SIZE, slab);
        let mut starts: Vec<usize> = core::iter::from_fn(|| pool.take_small())
            .map(|frame| frame.buffer_start().addr() - start.addr())
            .collect();
        starts.sort_unstable();
        assert_eq!(starts, [0, 256]);
        assert_eq!(pool.free(), (0, 1), "a large frame was taken for a small one");
    }

    // Catches a packet's state that outlives its frame's return.
    #[test]
    fn a_returned_frame_is_fresh() {
        let mut pool = FramePool::new(HOME, SIZE);
        let mut frame = pool.take(10).expect("a frame");
        assert!(frame.write(b"0123456789"));
        frame.trim_front(4);
        frame.meta_mut().traffic_class = 3;
        pool.give_back(frame);
        let frame = pool.take(10).expect("a frame");
        assert_eq!(
            (frame.len(), frame.headroom(), frame.meta().traffic_class),
            (0, 64, 0)
        );
    }

    // Catches a frame taken in by a pool that does not own its memory.
    #[test]
    #[should_panic(expected = "not its home")]
    fn a_foreign_frame_is_refused() {
        let mut other = FramePool::new(Home { shard: 1, port: 0 }, SIZE);
        let frame = other.take(1).expect("a frame");
        FramePool::new(HOME, SIZE).give_back(frame);
    }
}
