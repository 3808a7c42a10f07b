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
pub struct Frame {
    buffer: &'static mut [u8],
    start: usize,
    len: usize,
    home: Home,
    /// What the port said of the packet, or what it is to do with it.
    pub meta: Meta,
}

impl Frame {
    /// An empty frame over `buffer`, whose packet begins after `headroom` bytes.
    ///
    /// # Panics
    /// If `headroom` exceeds the buffer.
    pub fn new(buffer: &'static mut [u8], headroom: usize, home: Home) -> Self {
        assert!(
            headroom <= buffer.len(),
            "headroom {headroom} exceeds the buffer of {}",
            buffer.len()
        );
        Self {
            buffer,
            start: headroom,
            len: 0,
            home,
            meta: Meta::default(),
        }
    }

    /// The port this frame must come back to.
    pub fn home(&self) -> Home {
        self.home
    }

    /// Bytes in the packet.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether the packet has no bytes.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Bytes that the packet may have at most from where it starts now.
    pub fn room(&self) -> usize {
        self.buffer.len() - self.start
    }

    /// Bytes before the packet's start.
    pub fn headroom(&self) -> usize {
        self.start
    }

    /// The whole buffer's size in bytes.
    pub fn capacity(&self) -> usize {
        self.buffer.len()
    }

    /// Where the buffer begins in memory, for ports that share it with the kernel.
    pub fn buffer_start(&self) -> *const u8 {
        self.buffer.as_ptr()
    }

    /// The packet.
    pub fn bytes(&self) -> &[u8] {
        &self.buffer[self.start..self.start + self.len]
    }

    /// The packet, writable.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.buffer[self.start..self.start + self.len]
    }

    /// Everything from the packet's start to the buffer's end, for whoever writes a packet; follow with
    /// [`Frame::set_len`].
    pub fn room_mut(&mut self) -> &mut [u8] {
        &mut self.buffer[self.start..]
    }

    /// Sets the packet's length.
    ///
    /// # Panics
    /// If `len` exceeds [`Frame::room`].
    pub fn set_len(&mut self, len: usize) {
        assert!(
            len <= self.room(),
            "length {len} exceeds the room of {}",
            self.room()
        );
        self.len = len;
    }

    /// Moves the packet's start to `headroom` bytes into the buffer and empties the packet.
    ///
    /// # Panics
    /// If `headroom` exceeds the buffer.
    pub fn reset(&mut self, headroom: usize) {
        assert!(
            headroom <= self.buffer.len(),
            "headroom {headroom} exceeds the buffer"
        );
        self.start = headroom;
        self.len = 0;
        self.meta = Meta::default();
    }

    /// Grows the packet at its front by `n` bytes of the headroom.
    ///
    /// # Panics
    /// If less headroom is left.
    pub fn push_front(&mut self, n: usize) {
        assert!(n <= self.start, "{n} bytes exceed the headroom of {}", self.start);
        self.start -= n;
        self.len += n;
    }

    /// Drops `n` bytes from the packet's front.
    ///
    /// # Panics
    /// If the packet is shorter.
    pub fn trim_front(&mut self, n: usize) {
        assert!(n <= self.len, "{n} bytes exceed the packet of {}", self.len);
        self.start += n;
        self.len -= n;
    }

    /// Makes the packet a copy of `bytes`; says whether there was room.
    #[must_use]
    pub fn write(&mut self, bytes: &[u8]) -> bool {
        let Some(room) = self.room_mut().get_mut(..bytes.len()) else {
            return false;
        };
        room.copy_from_slice(bytes);
        self.len = bytes.len();
        true
    }
}

impl fmt::Debug for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Frame({} bytes, home {}.{})",
            self.len, self.home.shard, self.home.port
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
