//! The memory that a queue shares with the kernel (UMEM): chunks of one size, each the buffer of one frame.
//!
//! The kernel takes chunks of powers of two from 2 KiB to a page, and leaves a card 256 bytes less of each.

use nix::sys::mman::{MapFlags, ProtFlags, mmap_anonymous};
use std::io;
use std::num::NonZeroUsize;
use weir_frame::Frame;

/// Bytes of a chunk for nearly every card: a frame of an MTU of 1500, with room for headers before it, behind the kernel's
/// own headroom.
pub const CHUNK: usize = 2048;

/// Bytes of a chunk for cards whose receive buffers are of whole KiB (Intel's igb and igc, and the 82599 of ixgbe, write
/// them so into a register, SRRCTL.BSIZEPKT): without copying, 1 KiB of a [`CHUNK`] would be left to them, and longer
/// frames would arrive in pieces that look like frames.
pub const CHUNK_OF_WHOLE_KIB: usize = 4096;

/// Bytes that the kernel keeps free before a received frame (`XDP_PACKET_HEADROOM`).
pub(crate) const KERNEL_HEADROOM: usize = 256;

/// Bytes of a huge page on x86-64, and on aarch64 with pages of 4 KiB.
const HUGE_PAGE: usize = 2 << 20;

/// Why there is no memory.
#[derive(Debug, thiserror::Error)]
#[error("memory for {chunks} frames of an AF_XDP queue: {source}")]
pub struct MemoryError {
    chunks: usize,
    source: io::Error,
}

/// A span of memory, mapped for good: frames over it may be abroad on other threads when their queue ends.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Memory {
    base: usize,
    chunks: usize,
    /// The power of two of a chunk's bytes.
    bits: u32,
    huge: bool,
}

impl Memory {
    /// Maps memory for `chunks` frames of `bytes` each, in huge pages where the kernel has some to give.
    ///
    /// # Errors
    /// [`MemoryError`] where there is not even ordinary memory.
    ///
    /// # Panics
    /// If `chunks` is 0, or `bytes` no power of two.
    pub(crate) fn map(chunks: usize, bytes: usize) -> Result<(Self, &'static mut [u8]), MemoryError> {
        assert!(bytes.is_power_of_two(), "chunks of {bytes} bytes");
        let length = chunks * bytes;
        let mapped = map(length.next_multiple_of(HUGE_PAGE), MapFlags::MAP_HUGETLB)
            .map(|base| (base, true))
            .or_else(|_| map(length, MapFlags::empty()).map(|base| (base, false)));
        let (base, huge) = mapped.map_err(|source| MemoryError { chunks, source })?;
        // SAFETY: the kernel has just mapped at least `length` bytes there, zeroed, for this call alone and for good.
        let slab = unsafe { core::slice::from_raw_parts_mut(base as *mut u8, length) };
        let memory = Self {
            base,
            chunks,
            bits: bytes.trailing_zeros(),
            huge,
        };
        Ok((memory, slab))
    }

    /// Where the memory begins.
    pub(crate) fn base(&self) -> usize {
        self.base
    }

    /// How many chunks it has.
    pub(crate) fn chunks(&self) -> usize {
        self.chunks
    }

    /// Bytes of a chunk.
    pub(crate) fn chunk_bytes(&self) -> usize {
        1 << self.bits
    }

    /// The address by which the kernel knows a chunk.
    pub(crate) fn address(&self, chunk: u32) -> u64 {
        u64::from(chunk) << self.bits
    }

    /// The chunk that an address lies in, and where in it.
    pub(crate) fn split(&self, address: u64) -> (usize, usize) {
        let address = usize::try_from(address).unwrap_or(usize::MAX);
        (address >> self.bits, address & (self.chunk_bytes() - 1))
    }

    /// Whether it lies in huge pages.
    pub(crate) fn huge(&self) -> bool {
        self.huge
    }

    /// The number of the chunk that is the frame's buffer, or `None` for a frame of other memory.
    pub(crate) fn chunk(&self, frame: &Frame) -> Option<u32> {
        let offset = frame.buffer_start().addr().checked_sub(self.base)?;
        let (chunk, within) = self.split(offset as u64);
        (chunk < self.chunks && within == 0).then_some(chunk as u32)
    }
}

fn map(length: usize, more: MapFlags) -> io::Result<usize> {
    let length = NonZeroUsize::new(length).expect("a queue has frames");
    let protection = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
    let flags = MapFlags::MAP_PRIVATE | MapFlags::MAP_POPULATE | more;
    // SAFETY: an anonymous mapping at an address of the kernel's choice overlaps nothing.
    let base = unsafe { mmap_anonymous(None, length, protection, flags) }?;
    Ok(base.as_ptr().expose_provenance())
}
