//! The jobs of a batch and the interface of every back end.

/// Bytes of a Poly1305 tag.
pub const TAG_BYTES: usize = 16;

/// A session key, where its owner keeps it: the session holds and wipes it, a job only borrows it.
pub type Key = [u8; 32];

/// Where a job's plaintext is read.
pub enum Plaintext<'a> {
    /// In another buffer.
    At(&'a [u8]),
    /// Already at the front of the job's `out`, this many bytes.
    InPlace(usize),
}

impl Plaintext<'_> {
    /// Bytes of plaintext without padding.
    pub fn len(&self) -> usize {
        match self {
            Plaintext::At(bytes) => bytes.len(),
            Plaintext::InPlace(len) => *len,
        }
    }

    /// Whether there is no plaintext, as in a keepalive.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// One packet to seal.
pub struct Seal<'a> {
    /// The key.
    pub key: &'a Key,
    /// The nonce: 32 zero bits, then this counter in little-endian order (WireGuard whitepaper 5.4.6).
    pub counter: u64,
    /// What to seal.
    pub plaintext: Plaintext<'a>,
    /// Receives ciphertext and tag: exactly plaintext, padding and [`TAG_BYTES`]. Bytes between the plaintext's end
    /// and the tag are padding and are sealed as zeros.
    pub out: &'a mut [u8],
}

/// One packet to open.
pub struct Open<'a> {
    /// The key.
    pub key: &'a Key,
    /// The nonce's counter.
    pub counter: u64,
    /// Ciphertext and tag, at least [`TAG_BYTES`].
    pub ciphertext: &'a [u8],
    /// Receives the plaintext: exactly the ciphertext less its tag. All zero after a packet that was not authentic.
    pub out: &'a mut [u8],
    /// Set by the back end: whether the packet was authentic.
    pub authentic: bool,
}

/// A back end. A wrong packet disturbs none of its neighbours.
pub trait Aead: Send + Sync {
    /// Its name in status and metrics.
    fn name(&self) -> &'static str;

    /// Seals every job.
    ///
    /// # Panics
    /// If a job's `out` is shorter than its plaintext and the tag.
    fn seal(&self, batch: &mut [Seal<'_>]);

    /// Opens every job and sets its `authentic`.
    ///
    /// # Panics
    /// If a job's ciphertext is shorter than the tag or its `out` is of another length than the plaintext.
    fn open(&self, batch: &mut [Open<'_>]);
}
