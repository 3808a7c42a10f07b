//! The number by which a handshake or keypair is addressed on the wire.

/// A sender or receiver index (whitepaper section 5.4), in host byte order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Index(pub u32);
