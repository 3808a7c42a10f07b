//! Contents as one sealed file: what last good copies and backups are.
//!
//! A header in the clear says how the file's own key is wrapped: by the sealing key, or by a key that argon2id (RFC 9106)
//! makes of a passphrase, with its parameters. Behind it the contents follow in chunks, each an AEAD ciphertext bound to
//! the header, its number and whether it is the last one. A file is read whole before anything of it is used.

use postcard::ser_flavors::Flavor as _;
use zeroize::Zeroizing;

use crate::contents::Contents;
use crate::sealing::{
    Algorithm, Cipher, KeyId, NONCE_LEN, OpenError, RootKey, SealingKey, TAG_LEN, WRAPPED_LEN, random,
};

/// The version of the format.
const FORMAT: u16 = 1;

/// What an archive begins with.
const MAGIC: [u8; 8] = *b"WEIRARCH";

/// Bytes of the checksum that tells a damaged header from a wrong key or passphrase.
const CHECKSUM: usize = 16;

/// What a key's wrapping says: a sealing key's identifier, or salt and parameters; the shorter one padded with zeros.
const WRAPPING: usize = 16 + 3 * 4;

/// Bytes of the header: magic, format, algorithm, kind of wrapping, wrapping, wrapped key, checksum.
const HEADER: usize = 8 + 2 + 1 + 1 + WRAPPING + WRAPPED_LEN + CHECKSUM;

/// Bytes of contents in a chunk; the last one has fewer.
const CHUNK: usize = 64 << 10;

/// What the key of the chunks is for.
const CHUNKS_PURPOSE: &str = "weir-store 2026 archive key";

/// Why bytes are no archive.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub(crate) enum ArchiveError {
    #[error("it is not what was written")]
    Damaged,
    #[error("it was sealed with key {0}")]
    WrongKey(KeyId),
    #[error("the passphrase is not the one it was made with")]
    WrongPassphrase,
    #[error("it was made with a passphrase, not with a sealing key")]
    NeedsPassphrase,
    #[error("it was made with a sealing key, not with a passphrase")]
    NeedsKey,
    #[error("its format is {0}, but this version of weir knows up to {FORMAT}")]
    Newer(u16),
}

/// What argon2id is asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Cost {
    /// Memory, in KiB.
    pub(crate) memory_kib: u32,
    /// Passes over it.
    pub(crate) passes: u32,
    /// Lanes.
    pub(crate) lanes: u32,
}

impl Cost {
    /// What backups are made with: RFC 9106's second choice (section 4), 64 MiB and 3 passes.
    pub(crate) const BACKUP: Self = Self {
        memory_kib: 64 << 10,
        passes: 3,
        lanes: 4,
    };

    /// Whether a header may ask for it: a forged one is not to take all memory, or for ever.
    fn is_bearable(&self) -> bool {
        (1..=16).contains(&self.lanes)
            && (1..=8).contains(&self.passes)
            && (8 * self.lanes..=256 << 10).contains(&self.memory_kib)
    }
}

/// What opens an archive.
pub(crate) enum Key<'a> {
    Sealing(&'a SealingKey),
    Passphrase(&'a [u8]),
}

/// How the archive's key is wrapped.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Wrapping {
    Sealing(KeyId),
    Passphrase { salt: [u8; 16], cost: Cost },
}

impl Wrapping {
    fn write(self, out: &mut Vec<u8>) {
        let mut fields = [0; WRAPPING];
        let kind = match self {
            Wrapping::Sealing(id) => {
                fields[..8].copy_from_slice(&id.0);
                1
            }
            Wrapping::Passphrase { salt, cost } => {
                fields[..16].copy_from_slice(&salt);
                let numbers = [cost.memory_kib, cost.passes, cost.lanes];
                for (field, number) in fields[16..].chunks_mut(4).zip(numbers) {
                    field.copy_from_slice(&number.to_le_bytes());
                }
                2
            }
        };
        out.push(kind);
        out.extend_from_slice(&fields);
    }

    fn read(kind: u8, fields: &[u8; WRAPPING]) -> Result<Self, ArchiveError> {
        let number = |index: usize| {
            let at = 16 + 4 * index;
            u32::from_le_bytes(fields[at..at + 4].try_into().expect("a number has four bytes"))
        };
        match kind {
            1 => Ok(Wrapping::Sealing(KeyId(
                *fields.first_chunk().expect("an id has 8 bytes"),
            ))),
            2 => {
                let cost = Cost {
                    memory_kib: number(0),
                    passes: number(1),
                    lanes: number(2),
                };
                let salt = *fields.first_chunk().expect("a salt has 16 bytes");
                if !cost.is_bearable() {
                    return Err(ArchiveError::Damaged);
                }
                Ok(Wrapping::Passphrase { salt, cost })
            }
            _ => Err(ArchiveError::Damaged),
        }
    }
}

/// An archive of the contents. `key` is the sealing key, or the passphrase with what it is to cost to try one.
pub(crate) fn write(contents: &Contents, algorithm: Algorithm, key: &Key<'_>, cost: Cost) -> Vec<u8> {
    let plaintext = encode(contents);
    let (wrapping, wrapping_key) = match key {
        Key::Sealing(key) => (Wrapping::Sealing(key.id()), (*key).clone()),
        Key::Passphrase(passphrase) => {
            let salt = random();
            (
                Wrapping::Passphrase { salt, cost },
                stretch(passphrase, &salt, cost),
            )
        }
    };
    let root = RootKey::generate();
    let mut out = Vec::with_capacity(HEADER + plaintext.len() + plaintext.len() / CHUNK * 32 + 64);
    out.extend_from_slice(&MAGIC);
    out.extend_from_slice(&FORMAT.to_le_bytes());
    out.push(algorithm.code());
    wrapping.write(&mut out);
    let wrapped = wrapping_key.wrap(algorithm, &root, &out);
    out.extend_from_slice(&wrapped);
    let checksum = blake3::hash(&out);
    out.extend_from_slice(&checksum.as_bytes()[..CHECKSUM]);

    let cipher = Cipher::new(algorithm, &root.derive(CHUNKS_PURPOSE));
    let header: [u8; HEADER] = out.as_slice().try_into().expect("the header has this length");
    let chunks = plaintext.len() / CHUNK;
    for number in 0..=chunks {
        let chunk = &plaintext[number * CHUNK..plaintext.len().min((number + 1) * CHUNK)];
        let nonce = chunk_nonce(number, number == chunks);
        out.extend_from_slice(&cipher.seal(&nonce, &header, chunk));
    }
    out
}

/// The contents of an archive, all of it whole.
pub(crate) fn read(bytes: &[u8], key: &Key<'_>) -> Result<Contents, ArchiveError> {
    let (header, mut chunks) = bytes.split_first_chunk::<HEADER>().ok_or(ArchiveError::Damaged)?;
    let (said, checksum) = header.split_at(HEADER - CHECKSUM);
    if said[..8] != MAGIC || blake3::hash(said).as_bytes()[..CHECKSUM] != *checksum {
        return Err(ArchiveError::Damaged);
    }
    let format = u16::from_le_bytes([said[8], said[9]]);
    if format > FORMAT {
        return Err(ArchiveError::Newer(format));
    }
    let algorithm = Algorithm::from_code(said[10]).ok_or(ArchiveError::Damaged)?;
    let (bound, wrapped) = said.split_at(said.len() - WRAPPED_LEN);
    let fields = bound[12..].try_into().expect("the wrapping has this length");
    let wrapped = wrapped.try_into().expect("the key was cut to this length");
    let (wrapping_key, refused) = unwrapping(Wrapping::read(said[11], fields)?, key)?;
    let root = wrapping_key
        .unwrap(algorithm, wrapped, bound)
        .map_err(|OpenError| refused)?;

    let cipher = Cipher::new(algorithm, &root.derive(CHUNKS_PURPOSE));
    let mut plaintext = Zeroizing::new(Vec::with_capacity(chunks.len()));
    for number in 0.. {
        let last = chunks.len() < CHUNK + TAG_LEN;
        let (chunk, rest) = chunks.split_at(chunks.len().min(CHUNK + TAG_LEN));
        let opened = cipher
            .open(&chunk_nonce(number, last), header, chunk)
            .map_err(|OpenError| ArchiveError::Damaged)?;
        plaintext.extend_from_slice(&opened);
        if last {
            break;
        }
        chunks = rest;
    }
    match postcard::take_from_bytes(&plaintext) {
        Ok((contents, [])) => Ok(contents),
        Ok(_) | Err(_) => Err(ArchiveError::Damaged),
    }
}

/// Makes the header's checksum fit its bytes, as one who forges an archive would.
pub(crate) fn fit_checksum(bytes: &mut [u8]) {
    let (said, rest) = bytes.split_at_mut(HEADER - CHECKSUM);
    rest[..CHECKSUM].copy_from_slice(&blake3::hash(said).as_bytes()[..CHECKSUM]);
}

/// The key that unwraps the archive's, and what it means where it does not.
fn unwrapping(wrapping: Wrapping, key: &Key<'_>) -> Result<(SealingKey, ArchiveError), ArchiveError> {
    match (wrapping, key) {
        (Wrapping::Sealing(id), Key::Sealing(key)) if id == key.id() => {
            Ok(((*key).clone(), ArchiveError::Damaged))
        }
        (Wrapping::Sealing(id), Key::Sealing(_)) => Err(ArchiveError::WrongKey(id)),
        (Wrapping::Sealing(_), Key::Passphrase(_)) => Err(ArchiveError::NeedsKey),
        (Wrapping::Passphrase { .. }, Key::Sealing(_)) => Err(ArchiveError::NeedsPassphrase),
        (Wrapping::Passphrase { salt, cost }, Key::Passphrase(passphrase)) => {
            Ok((stretch(passphrase, &salt, cost), ArchiveError::WrongPassphrase))
        }
    }
}

/// The key that a passphrase makes.
fn stretch(passphrase: &[u8], salt: &[u8; 16], cost: Cost) -> SealingKey {
    let params = argon2::Params::new(cost.memory_kib, cost.passes, cost.lanes, Some(32))
        .expect("costs are checked against what argon2 takes");
    let argon2 = argon2::Argon2::new(argon2::Algorithm::Argon2id, argon2::Version::V0x13, params);
    let mut key = Zeroizing::new([0; 32]);
    argon2
        .hash_password_into(passphrase, salt, &mut *key)
        .expect("the salt and the key have lengths that argon2 takes");
    SealingKey::from_bytes(*key)
}

/// Keys are used for one archive, so its chunks may count.
fn chunk_nonce(number: usize, last: bool) -> [u8; NONCE_LEN] {
    let mut nonce = [0; NONCE_LEN];
    nonce[..8].copy_from_slice(&(number as u64).to_le_bytes());
    nonce[8] = u8::from(last);
    nonce
}

/// The contents as bytes, in memory that no growing leaves copies of secrets behind.
fn encode(contents: &Contents) -> Zeroizing<Vec<u8>> {
    let mut size = postcard::ser_flavors::Size::default();
    let mut measure = postcard::Serializer { output: size };
    serde::Serialize::serialize(contents, &mut measure).expect("contents are plain data");
    size = measure.output;
    let length = size.finalize().expect("a size can always be told");
    let mut bytes = Zeroizing::new(vec![0; length]);
    postcard::to_slice(contents, &mut bytes).expect("the room was measured");
    bytes
}
