//! The file's header: whose file it is, how far it reaches, and redb's first block.

use crate::sealing::{Algorithm, KeyId, OpenError, RootKey, SealingKey, WRAPPED_LEN};

use super::{BLOCK, MAC};

/// The version of the file's layout.
pub(crate) const FORMAT: u16 = 1;

/// What a store's file begins with.
const MAGIC: [u8; 8] = *b"WEIRSTOR";

/// Bytes of the checksum that tells a damaged header from a wrong key, which a keyed one cannot.
const CHECKSUM: usize = 16;

/// What says whose file it is: magic, format, algorithm, a byte of zero, identifiers of the file and of its sealing key,
/// the wrapped root key, and a checksum.
const IDENTITY: usize = 8 + 2 + 1 + 1 + 16 + 8 + WRAPPED_LEN + CHECKSUM;

/// Bytes of a header in its slot.
pub(super) const HEADER: usize = IDENTITY + 3 * 8 + BLOCK + MAC;

/// Why bytes are no header.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum HeaderError {
    /// Not what was written.
    Damaged,
    /// Of another sealing key.
    WrongKey(KeyId),
    /// Of a later format.
    Newer(u16),
}

/// Whose file it is: the same in every slot until the sealing key is changed.
#[derive(Clone, Debug)]
pub(super) struct Identity {
    pub(super) algorithm: Algorithm,
    pub(super) file: [u8; 16],
    pub(super) key: KeyId,
    pub(super) wrapped: [u8; WRAPPED_LEN],
}

impl Identity {
    /// That of a file whose root key this sealing key wraps.
    pub(super) fn new(algorithm: Algorithm, file: [u8; 16], root: &RootKey, key: &SealingKey) -> Self {
        Self {
            algorithm,
            file,
            key: key.id(),
            wrapped: key.wrap(algorithm, root, &bound(algorithm, &file)),
        }
    }

    pub(super) fn unwrap(&self, key: &SealingKey) -> Result<RootKey, HeaderError> {
        if key.id() != self.key {
            return Err(HeaderError::WrongKey(self.key));
        }
        key.unwrap(self.algorithm, &self.wrapped, &bound(self.algorithm, &self.file))
            .map_err(|OpenError| HeaderError::Damaged)
    }

    fn write(&self, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(&MAGIC);
        out.extend_from_slice(&FORMAT.to_le_bytes());
        out.extend_from_slice(&[self.algorithm.code(), 0]);
        out.extend_from_slice(&self.file);
        out.extend_from_slice(&self.key.0);
        out.extend_from_slice(&self.wrapped);
        let checksum = blake3::hash(&out[start..]);
        out.extend_from_slice(&checksum.as_bytes()[..CHECKSUM]);
    }

    fn read(bytes: &[u8; IDENTITY]) -> Result<Self, HeaderError> {
        let (said, checksum) = bytes.split_at(IDENTITY - CHECKSUM);
        if said[..8] != MAGIC || blake3::hash(said).as_bytes()[..CHECKSUM] != *checksum {
            return Err(HeaderError::Damaged);
        }
        let format = u16::from_le_bytes([said[8], said[9]]);
        if format > FORMAT {
            return Err(HeaderError::Newer(format));
        }
        Ok(Self {
            algorithm: Algorithm::from_code(said[10]).ok_or(HeaderError::Damaged)?,
            file: array(&said[12..28]),
            key: KeyId(array(&said[28..36])),
            wrapped: array(&said[36..36 + WRAPPED_LEN]),
        })
    }
}

/// What a wrapped root key is bound to.
fn bound(algorithm: Algorithm, file: &[u8; 16]) -> [u8; 17] {
    let mut bound = [algorithm.code(); 17];
    bound[1..].copy_from_slice(file);
    bound
}

/// A header: as it is in memory, and in the slots once it was synced.
pub(super) struct Header {
    /// Counts the headers written; the greatest one is in force.
    pub(super) sequence: u64,
    /// Blocks below this one have been written; those above read as zero.
    pub(super) written: u64,
    /// The length that redb set.
    pub(super) length: u64,
    /// redb's first block.
    pub(super) first: Box<[u8; BLOCK]>,
}

impl Header {
    /// That of an empty file.
    pub(super) fn empty() -> Self {
        Self {
            sequence: 0,
            written: 1,
            length: 0,
            first: Box::new([0; BLOCK]),
        }
    }

    pub(super) fn encode(&self, identity: &Identity, mac_key: &[u8; 32]) -> Vec<u8> {
        let mut out = Vec::with_capacity(HEADER);
        identity.write(&mut out);
        for number in [self.sequence, self.written, self.length] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        out.extend_from_slice(&*self.first);
        let mac = blake3::keyed_hash(mac_key, &out);
        out.extend_from_slice(mac.as_bytes());
        out
    }

    /// Reads whose header it is; its other half needs the key that this half wraps.
    pub(super) fn identity(bytes: &[u8]) -> Result<Identity, HeaderError> {
        let identity = bytes.first_chunk::<IDENTITY>().ok_or(HeaderError::Damaged)?;
        Identity::read(identity)
    }

    pub(super) fn decode(bytes: &[u8], mac_key: &[u8; 32]) -> Result<Self, HeaderError> {
        let bytes: &[u8; HEADER] = bytes.try_into().map_err(|_| HeaderError::Damaged)?;
        let (said, mac) = bytes.split_at(HEADER - MAC);
        // In constant time, as blake3 compares its hashes.
        if blake3::keyed_hash(mac_key, said) != blake3::Hash::from_bytes(array(mac)) {
            return Err(HeaderError::Damaged);
        }
        let number = |index: usize| {
            let at = IDENTITY + index * 8;
            u64::from_le_bytes(array(&said[at..at + 8]))
        };
        Ok(Self {
            sequence: number(0),
            written: number(1),
            length: number(2),
            first: Box::new(array(&said[IDENTITY + 24..])),
        })
    }
}

/// The array in a slice whose length the caller chose.
fn array<const N: usize>(slice: &[u8]) -> [u8; N] {
    slice.try_into().expect("the slice was cut to this length")
}

#[cfg(test)]
mod tests {
    use super::*;

    // Catches a header that is taken though a bit of it changed, or refused for the wrong reason.
    #[test]
    fn a_header_is_read_as_it_was_written_or_not_at_all() {
        let (key, root) = (SealingKey::generate(), RootKey::generate());
        let identity = Identity::new(Algorithm::ChaCha20Poly1305, [3; 16], &root, &key);
        let mut header = Header::empty();
        (header.sequence, header.written, header.length) = (1 << 40, 7, 99);
        header.first[17] = 4;
        let bytes = header.encode(&identity, &[5; 32]);
        assert_eq!(bytes.len(), HEADER);
        let again = Header::decode(&bytes, &[5; 32]).expect("it is whole");
        assert_eq!((again.sequence, again.written, again.length), (1 << 40, 7, 99));
        assert_eq!(again.first, header.first);
        for bit in 0..bytes.len() * 8 {
            let mut damaged = bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(Header::decode(&damaged, &[5; 32]).is_err(), "bit {bit}");
            if bit < IDENTITY * 8 {
                let error = Header::identity(&damaged).err();
                assert_eq!(error, Some(HeaderError::Damaged), "bit {bit}");
            }
        }
        let identity = Header::identity(&bytes).expect("it is whole");
        assert!(identity.unwrap(&key).is_ok());
        let refused = identity.unwrap(&SealingKey::generate()).err();
        assert_eq!(refused, Some(HeaderError::WrongKey(key.id())));
        for length in 0..HEADER {
            assert!(Header::decode(&bytes[..length], &[5; 32]).is_err());
        }
    }
}
