//! The frames of a queue and their memory, which outlive its sockets.

use crate::memory::{CHUNK, CHUNK_OF_WHOLE_KIB, KERNEL_HEADROOM, Memory, MemoryError};
use weir_frame::{Frame, FramePool, Home, PoolSize};

/// The frames of a queue and their memory, from socket to socket.
///
/// Every frame of its memory is in the pool, abroad with whoever took it, or in the kernel's hands; what the kernel has
/// lies in `held`, at the place of its chunk, so that nothing can be taken from it or given to it twice.
pub struct Store {
    pub(crate) memory: Memory,
    pub(crate) pool: FramePool,
    pub(crate) held: Vec<Option<Frame>>,
}

impl Store {
    /// Memory that the kernel can share for the small frames of `size`, which are of [`CHUNK`] bytes, or of
    /// [`CHUNK_OF_WHOLE_KIB`] where that is asked for; large ones lie in ordinary memory.
    ///
    /// # Errors
    /// [`MemoryError`].
    pub fn new(home: Home, size: PoolSize) -> Result<Self, MemoryError> {
        let small_bytes = if size.small_bytes > CHUNK {
            CHUNK_OF_WHOLE_KIB
        } else {
            CHUNK
        };
        let (memory, bytes) = Memory::map(size.small, small_bytes)?;
        let size = PoolSize { small_bytes, ..size };
        Ok(Self {
            memory,
            pool: FramePool::over(home, size, bytes),
            held: (0..memory.chunks()).map(|_| None).collect(),
        })
    }

    /// Whether the memory lies in huge pages.
    pub fn huge(&self) -> bool {
        self.memory.huge()
    }

    /// Whether a frame lies in the memory, so that the kernel can send it.
    pub(crate) fn owns(&self, frame: &Frame) -> bool {
        self.memory.chunk(frame).is_some()
    }

    /// All frames, at home, abroad and in the kernel's hands.
    pub(crate) fn frames(&self) -> usize {
        self.pool.size().frames()
    }

    /// Frames that are neither in the pool nor in the kernel's hands. Looks at every chunk of the memory.
    pub(crate) fn abroad(&self) -> usize {
        self.pool.abroad() - self.held.iter().flatten().count()
    }

    /// Takes home what the last socket had, whose hold on the memory has ended.
    pub(crate) fn take_home(&mut self) {
        for frame in self.held.iter_mut().filter_map(Option::take) {
            self.pool.give_back(frame);
        }
    }
}

const _: () = assert!(
    CHUNK > KERNEL_HEADROOM + 1514,
    "a chunk holds a frame of an Ethernet's MTU"
);
