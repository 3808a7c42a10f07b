//! One frame: a span of bytes inside a buffer that lives as long as the process.

use crate::meta::Meta;
use core::fmt;

/// The port whose memory a frame lies in: the shard that runs the port, and the port's place in that shard's list.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Home {
    /// The shard, by number.
    pub shard: u16,
    /// The port's place in the shard's list of ports.
    pub port: u16,
}

/// A packet, or several packets back to back as [`Meta::segmentation`] tells, in a buffer of its home.
///
/// Not `Clone`: whoever holds the frame owns the bytes. The buffer outlives every frame (`'static`), so a frame may
/// cross threads and outlive the port that made it; memory is never freed while a frame is abroad.
///
/// What is known of the packet lies in one place as well: a frame is passed on several times between two ports, and each
/// time only a pointer is moved.
pub struct Frame(Box<Described>);

struct Described {
    buffer: &'static mut [u8],
    start: u32,
    len: u32,
    home: Home,
    meta: Meta,
}

// Two cache lines for each frame: what is added here is read and written with every packet.
const _: () = assert!(size_of::<Described>() <= 128);

impl Frame {
    /// An empty frame over `buffer`, whose packet begins after `headroom` bytes.
    ///
    /// # Panics
    /// If `headroom` exceeds the buffer, or that 4 GiB.
    pub fn new(buffer: &'static mut [u8], headroom: usize, home: Home) -> Self {
        assert!(
            headroom <= buffer.len(),
            "headroom {headroom} exceeds the buffer of {}",
            buffer.len()
        );
        assert!(
            u32::try_from(buffer.len()).is_ok(),
            "a buffer is shorter than 4 GiB"
        );
        Self(Box::new(Described {
            buffer,
            start: headroom as u32,
            len: 0,
            home,
            meta: Meta::default(),
        }))
    }

    /// The port this frame must come back to.
    #[inline]
    pub fn home(&self) -> Home {
        self.0.home
    }

    /// What the port said of the packet, or what it is to do with it.
    #[inline]
    pub fn meta(&self) -> &Meta {
        &self.0.meta
    }

    /// The same, to be changed.
    #[inline]
    pub fn meta_mut(&mut self) -> &mut Meta {
        &mut self.0.meta
    }

    /// Bytes in the packet.
    #[inline]
    pub fn len(&self) -> usize {
        self.0.len as usize
    }

    /// Whether the packet has no bytes.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.0.len == 0
    }

    /// Bytes that the packet may have at most from where it starts now.
    #[inline]
    pub fn room(&self) -> usize {
        self.0.buffer.len() - self.headroom()
    }

    /// Bytes before the packet's start.
    #[inline]
    pub fn headroom(&self) -> usize {
        self.0.start as usize
    }

    /// The whole buffer's size in bytes.
    #[inline]
    pub fn capacity(&self) -> usize {
        self.0.buffer.len()
    }

    /// Where the buffer begins in memory, for ports that share it with the kernel.
    #[inline]
    pub fn buffer_start(&self) -> *const u8 {
        self.0.buffer.as_ptr()
    }

    /// The packet.
    #[inline]
    pub fn bytes(&self) -> &[u8] {
        &self.0.buffer[self.headroom()..][..self.len()]
    }

    /// The packet, writable.
    #[inline]
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        let (start, len) = (self.headroom(), self.len());
        &mut self.0.buffer[start..][..len]
    }

    /// Everything from the packet's start to the buffer's end, for whoever writes a packet; follow with
    /// [`Frame::set_len`].
    #[inline]
    pub fn room_mut(&mut self) -> &mut [u8] {
        let start = self.headroom();
        &mut self.0.buffer[start..]
    }

    /// Sets the packet's length.
    ///
    /// # Panics
    /// If `len` exceeds [`Frame::room`].
    #[inline]
    pub fn set_len(&mut self, len: usize) {
        assert!(len <= self.room(), "the length exceeds the room");
        self.0.len = len as u32;
    }

    /// Moves the packet's start to `headroom` bytes into the buffer and empties the packet.
    ///
    /// # Panics
    /// If `headroom` exceeds the buffer.
    #[inline]
    pub fn reset(&mut self, headroom: usize) {
        assert!(headroom <= self.capacity(), "the headroom exceeds the buffer");
        self.0.start = headroom as u32;
        self.0.len = 0;
        self.0.meta = Meta::default();
    }

    /// Grows the packet at its front by `n` bytes of the headroom.
    ///
    /// # Panics
    /// If less headroom is left.
    #[inline]
    pub fn push_front(&mut self, n: usize) {
        let start = self.headroom();
        assert!(n <= start, "{n} bytes exceed the headroom of {start}");
        self.0.start -= n as u32;
        self.0.len += n as u32;
    }

    /// Drops `n` bytes from the packet's front.
    ///
    /// # Panics
    /// If the packet is shorter.
    #[inline]
    pub fn trim_front(&mut self, n: usize) {
        let len = self.len();
        assert!(n <= len, "{n} bytes exceed the packet of {len}");
        self.0.start += n as u32;
        self.0.len -= n as u32;
    }

    /// Makes the packet a copy of `bytes`; says whether there was room.
    #[must_use]
    #[inline]
    pub fn write(&mut self, bytes: &[u8]) -> bool {
        let Some(room) = self.room_mut().get_mut(..bytes.len()) else {
            return false;
        };
        room.copy_from_slice(bytes);
        self.0.len = bytes.len() as u32;
        true
    }
}

impl fmt::Debug for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Frame({} bytes, home {}.{})",
            self.0.len, self.0.home.shard, self.0.home.port
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOME: Home = Home { shard: 3, port: 1 };

    fn frame(size: usize, headroom: usize) -> Frame {
        Frame::new(Box::leak(vec![0; size].into_boxed_slice()), headroom, HOME)
    }

    // Catches a front that moves without the length, which would shift every header by the same amount.
    #[test]
    fn front_moves_both_ways_and_keeps_the_rest() {
        let mut f = frame(64, 16);
        assert!(f.write(b"payload"));
        f.push_front(4);
        f.bytes_mut()[..4].copy_from_slice(b"head");
        assert_eq!(f.bytes(), b"headpayload");
        f.trim_front(4);
        assert_eq!((f.bytes(), f.headroom()), (&b"payload"[..], 16));
    }

    // Catches a write past the buffer's end.
    #[test]
    fn write_refuses_what_does_not_fit() {
        let mut f = frame(20, 16);
        assert!(!f.write(b"12345"));
        assert!(f.is_empty());
        assert!(f.write(b"1234"));
    }
}
