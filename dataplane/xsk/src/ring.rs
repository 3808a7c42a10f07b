//! The rings between the kernel and a socket: one side writes entries and moves its counter, the other reads them and
//! moves its own (Linux's Documentation/networking/af_xdp.rst).
//!
//! The counters run through all of `u32`; an entry's place is its count modulo the ring's size, a power of two. What the
//! kernel says is not trusted beyond that: a count that cannot be is taken for the most that can.

use core::sync::atomic::{AtomicU32, Ordering};
use nix::sys::mman::{MapFlags, ProtFlags, mmap, munmap};
use std::ffi::c_void;
use std::io;
use std::num::NonZeroUsize;
use std::os::fd::BorrowedFd;
use std::ptr::NonNull;

/// The pages of one ring, unmapped with it.
struct Pages {
    start: NonNull<c_void>,
    length: usize,
}

impl Drop for Pages {
    fn drop(&mut self) {
        // SAFETY: the pages were mapped by `Ring::map`, and their owner goes with them.
        let unmapped = unsafe { munmap(self.start, self.length) };
        debug_assert!(unmapped.is_ok(), "{unmapped:?}");
    }
}

/// What both sides of a ring need.
struct Ring<T> {
    pages: Pages,
    producer: usize,
    consumer: usize,
    flags: usize,
    entries: usize,
    size: u32,
    entry: core::marker::PhantomData<T>,
}

// SAFETY: the pages belong to the ring alone, whichever thread it moves to; the kernel does not care which.
unsafe impl<T: Copy> Send for Ring<T> {}

impl<T: Copy> Ring<T> {
    fn map(
        socket: BorrowedFd<'_>,
        page_offset: i64,
        offsets: &libc::xdp_ring_offset,
        size: u32,
    ) -> io::Result<Self> {
        assert!(
            size.is_power_of_two(),
            "the kernel's rings have a power of two of entries"
        );
        let length = offsets.desc as usize + size as usize * size_of::<T>();
        let wanted = NonZeroUsize::new(length).expect("a ring has entries");
        let protection = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        let flags = MapFlags::MAP_SHARED | MapFlags::MAP_POPULATE;
        // SAFETY: a mapping at an address of the kernel's choice overlaps nothing.
        let start = unsafe { mmap(None, wanted, protection, flags, socket, page_offset) }?;
        Ok(Self {
            pages: Pages { start, length },
            producer: offsets.producer as usize,
            consumer: offsets.consumer as usize,
            flags: offsets.flags as usize,
            entries: offsets.desc as usize,
            size,
            entry: core::marker::PhantomData,
        })
    }

    fn word(&self, offset: usize) -> &AtomicU32 {
        assert!(
            offset + size_of::<AtomicU32>() <= self.pages.length,
            "the kernel's offset lies in the ring"
        );
        // SAFETY: the offset lies in the pages, as was just asserted.
        let word = unsafe { self.pages.start.cast::<u8>().add(offset) }.cast::<AtomicU32>();
        debug_assert!(word.is_aligned());
        // SAFETY: the kernel keeps a `u32` there, aligned, which both sides only touch atomically.
        unsafe { word.as_ref() }
    }

    fn place(&self, count: u32) -> *mut T {
        let index = (count & (self.size - 1)) as usize;
        // SAFETY: the pages are as long as `size` entries behind `entries`, and the index is below `size`.
        unsafe {
            self.pages
                .start
                .cast::<u8>()
                .add(self.entries + index * size_of::<T>())
        }
        .cast::<T>()
        .as_ptr()
    }

    fn needs_wakeup(&self) -> bool {
        self.word(self.flags).load(Ordering::Relaxed) & libc::XDP_RING_NEED_WAKEUP != 0
    }
}

/// A ring that Weir writes: fill and transmit.
pub(crate) struct Producer<T> {
    ring: Ring<T>,
    /// Entries written, published or not.
    written: u32,
    /// Entries the kernel was seen to have taken.
    taken: u32,
}

impl<T: Copy> Producer<T> {
    pub(crate) fn map(
        socket: BorrowedFd<'_>,
        page_offset: i64,
        offsets: &libc::xdp_ring_offset,
        size: u32,
    ) -> io::Result<Self> {
        let ring = Ring::map(socket, page_offset, offsets, size)?;
        let written = ring.word(ring.producer).load(Ordering::Relaxed);
        let taken = ring.word(ring.consumer).load(Ordering::Acquire);
        Ok(Self { ring, written, taken })
    }

    /// Entries that may be written now, at most `wanted`; the kernel's counter is read only where that many were not
    /// known to be free.
    pub(crate) fn room(&mut self, wanted: u32) -> u32 {
        if self.free() < wanted {
            self.taken = self.ring.word(self.ring.consumer).load(Ordering::Acquire);
        }
        self.free().min(wanted)
    }

    fn free(&self) -> u32 {
        self.ring.size - self.written.wrapping_sub(self.taken).min(self.ring.size)
    }

    /// Writes an entry, where [`Producer::room`] said that there is room; it is the kernel's after
    /// [`Producer::publish`].
    ///
    /// # Panics
    /// If there is no room.
    pub(crate) fn write(&mut self, entry: T) {
        assert!(self.free() > 0, "an entry written to a full ring");
        let place = self.ring.place(self.written);
        // SAFETY: the place lies in the ring, and the kernel does not read it before it is published.
        unsafe { place.write(entry) };
        self.written = self.written.wrapping_add(1);
    }

    /// Gives the kernel all that was written.
    pub(crate) fn publish(&mut self) {
        self.ring
            .word(self.ring.producer)
            .store(self.written, Ordering::Release);
    }

    /// Whether the kernel asks to be called, for it does not look by itself.
    pub(crate) fn needs_wakeup(&self) -> bool {
        self.ring.needs_wakeup()
    }
}

/// A ring that Weir reads: receive and completion.
pub(crate) struct Consumer<T> {
    ring: Ring<T>,
    /// Entries read.
    read: u32,
}

impl<T: Copy> Consumer<T> {
    pub(crate) fn map(
        socket: BorrowedFd<'_>,
        page_offset: i64,
        offsets: &libc::xdp_ring_offset,
        size: u32,
    ) -> io::Result<Self> {
        let ring = Ring::map(socket, page_offset, offsets, size)?;
        let read = ring.word(ring.consumer).load(Ordering::Relaxed);
        Ok(Self { ring, read })
    }

    /// Whether an entry is there to be read.
    pub(crate) fn waits(&self) -> bool {
        self.ring.word(self.ring.producer).load(Ordering::Relaxed) != self.read
    }

    /// Reads up to `limit` entries, and then leaves their places to the kernel. Says how many.
    pub(crate) fn read(&mut self, limit: u32, mut each: impl FnMut(T)) -> u32 {
        let written = self.ring.word(self.ring.producer).load(Ordering::Acquire);
        let count = written.wrapping_sub(self.read).min(self.ring.size).min(limit);
        for _ in 0..count {
            let place = self.ring.place(self.read);
            // SAFETY: the place lies in the ring, and the kernel has published it, after which it leaves it alone.
            each(unsafe { place.read() });
            self.read = self.read.wrapping_add(1);
        }
        if count > 0 {
            self.ring
                .word(self.ring.consumer)
                .store(self.read, Ordering::Release);
        }
        count
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::sys::memfd::{MFdFlags, memfd_create};
    use nix::unistd::ftruncate;
    use std::os::fd::{AsFd, OwnedFd};

    const SIZE: u32 = 8;

    const OFFSETS: libc::xdp_ring_offset = libc::xdp_ring_offset {
        producer: 0,
        consumer: 64,
        desc: 128,
        flags: 64 + 4,
    };

    /// Shared memory in place of a kernel's ring, with both counters at `count`.
    fn memory(count: u32) -> OwnedFd {
        let memory = memfd_create(c"ring", MFdFlags::MFD_CLOEXEC).expect("memory");
        ftruncate(&memory, 4096).expect("a page");
        for offset in [OFFSETS.producer, OFFSETS.consumer] {
            nix::sys::uio::pwrite(&memory, &count.to_ne_bytes(), offset as i64).expect("the page is there");
        }
        memory
    }

    fn both(memory: &OwnedFd) -> (Producer<u64>, Consumer<u64>) {
        let producer = Producer::map(memory.as_fd(), 0, &OFFSETS, SIZE).expect("it can be mapped");
        let consumer = Consumer::map(memory.as_fd(), 0, &OFFSETS, SIZE).expect("it can be mapped");
        (producer, consumer)
    }

    fn read(consumer: &mut Consumer<u64>, limit: u32) -> Vec<u64> {
        let mut entries = Vec::new();
        let count = consumer.read(limit, |entry| entries.push(entry));
        assert_eq!(count as usize, entries.len());
        entries
    }

    // Catches entries lost, doubled or out of order where places or the counters themselves wrap around.
    #[test]
    fn what_is_written_is_read_in_order() {
        for start in [0, 5, u32::MAX - 3] {
            let memory = memory(start);
            let (mut producer, mut consumer) = both(&memory);
            let (mut next, mut expected) = (0_u64, 0_u64);
            for round in 0..100_u32 {
                let wanted = 1 + round % SIZE;
                assert_eq!(producer.room(wanted), wanted, "start {start}, round {round}");
                for _ in 0..wanted {
                    producer.write(next);
                    next += 1;
                }
                assert_eq!(read(&mut consumer, u32::MAX), [], "read before it was published");
                producer.publish();
                let (first, rest) = (read(&mut consumer, 1), read(&mut consumer, u32::MAX));
                for entry in first.into_iter().chain(rest) {
                    assert_eq!(entry, expected, "start {start}, round {round}");
                    expected += 1;
                }
                assert_eq!(expected, next);
            }
        }
    }

    // Catches entries written over others that were not read yet.
    #[test]
    fn a_full_ring_has_no_room() {
        let memory = memory(u32::MAX);
        let (mut producer, mut consumer) = both(&memory);
        assert_eq!(producer.room(SIZE + 3), SIZE);
        (0..u64::from(SIZE)).for_each(|entry| producer.write(entry));
        producer.publish();
        assert_eq!(producer.room(1), 0);
        assert_eq!(read(&mut consumer, 3), [0, 1, 2]);
        assert_eq!(producer.room(SIZE), 3);
    }

    // Catches a write beyond the ring's room in a release build, where it would reach what the kernel reads.
    #[test]
    #[should_panic(expected = "full ring")]
    fn a_write_to_a_full_ring_is_refused() {
        let memory = memory(0);
        let (mut producer, _consumer) = both(&memory);
        (0..=u64::from(SIZE)).for_each(|entry| producer.write(entry));
    }

    // Catches trust in a counter that cannot be: entries read that never were, or room for more than the ring holds.
    #[test]
    fn counters_that_cannot_be_are_bounded() {
        let memory = memory(0);
        let (mut producer, mut consumer) = both(&memory);
        let set = |offset: u64, count: u32| {
            nix::sys::uio::pwrite(&memory, &count.to_ne_bytes(), offset as i64).expect("the page is there");
        };
        set(OFFSETS.producer, 1000);
        assert_eq!(read(&mut consumer, u32::MAX).len(), SIZE as usize);
        set(OFFSETS.consumer, 1000);
        assert!(producer.room(u32::MAX) <= SIZE);
    }
}
