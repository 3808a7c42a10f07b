//! The file itself, as redb reads and writes it.

use std::fmt;
use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use zeroize::Zeroizing;

use crate::error::StoreError;
use crate::sealing::{Algorithm, RootKey, SealingKey, random};

use super::header::{FORMAT, HEADER, Header, HeaderError, Identity};
use super::overlay::Overlay;
use super::{BLOCK, MAC, STRIDE};

/// Bytes from one slot of the header to the next: slots share no sector.
const SLOT: u64 = 8192;

/// Slots of the header: two pairs, written in turn.
const SLOTS: u64 = 4;

/// Where the blocks begin.
const BODY: u64 = SLOTS * SLOT;

/// Whether the disk is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Mode {
    /// It is.
    Durable,
    /// It takes no writes: what redb writes stays in memory.
    Overlay,
}

/// Whether the disk takes writes where the file lies; `None` where it is not there.
pub(crate) fn mode_of(path: &Path) -> Result<Option<Mode>, StoreError> {
    match File::options().read(true).write(true).open(path) {
        Ok(_) => Ok(Some(Mode::Durable)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) if error.kind() == ErrorKind::ReadOnlyFilesystem => Ok(Some(Mode::Overlay)),
        Err(error) => Err(StoreError::from_io(path, error)),
    }
}

/// A file of authenticated blocks. Block 0 lies in the header, block `n` at `BODY + (n - 1) * STRIDE`.
pub(crate) struct BlockFile {
    file: File,
    mac_key: Zeroizing<[u8; 32]>,
    inner: Mutex<Inner>,
    /// A write failed: what the file holds is for the next one that opens it to find out.
    failed: AtomicBool,
}

pub(super) struct Inner {
    pub(super) identity: Identity,
    pub(super) header: Header,
    /// Whether the header differs from the one in the slots.
    pub(super) dirty: bool,
    /// Whether blocks lie behind the end.
    pub(super) shrunk: bool,
    pub(super) overlay: Option<Overlay>,
}

impl BlockFile {
    /// Makes an empty file; its root key is given back too.
    pub(crate) fn create(file: File, key: &SealingKey, algorithm: Algorithm) -> (Self, RootKey) {
        let root = RootKey::generate();
        let inner = Inner {
            identity: Identity::new(algorithm, random(), &root, key),
            header: Header::empty(),
            dirty: true,
            shrunk: false,
            overlay: None,
        };
        (Self::with(file, &root, inner), root)
    }

    /// Opens a file whose header is whole; `path` is for what goes wrong.
    pub(crate) fn open(
        file: File,
        path: &Path,
        key: &SealingKey,
        mode: Mode,
    ) -> Result<(Self, RootKey), StoreError> {
        let slots = read_slots(&file).map_err(|error| StoreError::from_io(path, error))?;
        let (identity, root) = unwrap_any(&slots, key).map_err(|error| match error {
            HeaderError::Damaged => StoreError::damaged(path, "its header is not what was written"),
            HeaderError::WrongKey(expected) => StoreError::WrongKey {
                path: path.to_owned(),
                expected,
                given: key.id(),
            },
            HeaderError::Newer(found) => StoreError::Newer {
                path: path.to_owned(),
                found,
                known: FORMAT,
            },
        })?;
        let mac_key = root.derive(MAC_PURPOSE);
        let whole = slots
            .iter()
            .filter_map(|slot| Header::decode(slot, &mac_key).ok());
        let header = whole
            .max_by_key(|header| header.sequence)
            .ok_or_else(|| StoreError::damaged(path, "its header is not what was written"))?;
        let length = file
            .metadata()
            .map_err(|error| StoreError::from_io(path, error))?
            .len();
        let expected = position(header.written);
        // Without any block the file ends with the slots that were written.
        if length < expected && header.written > 1 {
            return Err(StoreError::damaged(
                path,
                format!("it has {length} bytes, expected {expected}: it was cut short"),
            ));
        }
        let inner = Inner {
            identity,
            header,
            dirty: false,
            shrunk: false,
            overlay: (mode == Mode::Overlay).then(Overlay::default),
        };
        Ok((Self::with(file, &root, inner), root))
    }

    /// Wraps the root key with another sealing key, in every slot, durably. Nothing else of the file changes.
    pub(crate) fn wrap_anew(&self, root: &RootKey, key: &SealingKey) -> io::Result<()> {
        let mut inner = self.inner();
        let Identity { algorithm, file, .. } = inner.identity;
        inner.identity = Identity::new(algorithm, file, root, key);
        // One pair after the other: whenever this ends, one of the two keys opens the file.
        for _ in 0..2 {
            inner.dirty = true;
            self.writing(|| self.sync(&mut inner))?;
        }
        Ok(())
    }

    fn with(file: File, root: &RootKey, inner: Inner) -> Self {
        Self {
            file,
            mac_key: root.derive(MAC_PURPOSE),
            inner: Mutex::new(inner),
            failed: AtomicBool::new(false),
        }
    }

    pub(super) fn inner(&self) -> MutexGuard<'_, Inner> {
        // Nothing that is done under the lock leaves it half done.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn mac(&self, block: u64, content: &[u8]) -> blake3::Hash {
        let mut hasher = blake3::Hasher::new_keyed(&self.mac_key);
        hasher.update(&block.to_le_bytes());
        hasher.update(content);
        hasher.finalize()
    }

    /// Reads whole blocks that lie in the file.
    pub(super) fn read_blocks(&self, first: u64, out: &mut [u8]) -> io::Result<()> {
        let mut raw = vec![0; out.len() / BLOCK * STRIDE];
        self.file.read_exact_at(&mut raw, position(first))?;
        for ((block, stored), out) in (first..).zip(raw.chunks(STRIDE)).zip(out.chunks_mut(BLOCK)) {
            let (content, mac) = stored.split_at(BLOCK);
            let mac: [u8; MAC] = mac.try_into().expect("a stride is a block and its MAC");
            if self.mac(block, content) != blake3::Hash::from_bytes(mac) {
                return Err(damaged(block));
            }
            out.copy_from_slice(content);
        }
        Ok(())
    }

    /// Writes whole blocks into the file.
    fn write_blocks(&self, first: u64, content: &[u8]) -> io::Result<()> {
        let mut raw = Vec::with_capacity(content.len() / BLOCK * STRIDE);
        for (block, content) in (first..).zip(content.chunks(BLOCK)) {
            raw.extend_from_slice(content);
            raw.extend_from_slice(self.mac(block, content).as_bytes());
        }
        self.file.write_all_at(&raw, position(first))
    }

    /// Reads one block, wherever it lies.
    pub(super) fn read_block(&self, inner: &Inner, block: u64) -> io::Result<[u8; BLOCK]> {
        if block == 0 {
            return Ok(*inner.header.first);
        }
        if let Some(content) = inner.overlay.as_ref().and_then(|overlay| overlay.block(block)) {
            return Ok(*content);
        }
        let mut content = [0; BLOCK];
        if block < inner.header.written {
            self.read_blocks(block, &mut content)?;
        }
        Ok(content)
    }

    /// Writes part of one block, over what is there.
    pub(super) fn write_part(
        &self,
        inner: &mut Inner,
        block: u64,
        within: usize,
        part: &[u8],
    ) -> io::Result<()> {
        if block == 0 {
            inner.header.first[within..within + part.len()].copy_from_slice(part);
            inner.dirty = true;
            return Ok(());
        }
        let mut content = [0; BLOCK];
        if part.len() < BLOCK {
            content = self.read_block(inner, block)?;
        }
        content[within..within + part.len()].copy_from_slice(part);
        self.put(inner, block, &content)
    }

    /// Writes whole blocks, first those that none was written below.
    pub(super) fn put(&self, inner: &mut Inner, first: u64, content: &[u8]) -> io::Result<()> {
        if let Some(overlay) = &mut inner.overlay {
            for (block, content) in (first..).zip(content.as_chunks::<BLOCK>().0) {
                overlay.put(block, content);
            }
            return Ok(());
        }
        while inner.header.written < first {
            self.write_blocks(inner.header.written, &[0; BLOCK])?;
            inner.header.written += 1;
        }
        self.write_blocks(first, content)?;
        let end = first + (content.len() / BLOCK) as u64;
        if end > inner.header.written {
            inner.header.written = end;
            inner.dirty = true;
        }
        Ok(())
    }

    /// Runs what writes, and after the first failure nothing more.
    pub(super) fn writing(&self, write: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
        if self.failed.load(Ordering::Relaxed) {
            return Err(io::Error::other("an earlier write failed"));
        }
        write().inspect_err(|_| self.failed.store(true, Ordering::Relaxed))
    }

    pub(super) fn sync(&self, inner: &mut Inner) -> io::Result<()> {
        if inner.overlay.is_some() {
            return Ok(());
        }
        if inner.dirty {
            inner.header.sequence += 1;
            let bytes = inner.header.encode(&inner.identity, &self.mac_key);
            let pair = inner.header.sequence % 2;
            for slot in [2 * pair, 2 * pair + 1] {
                self.file.write_all_at(&bytes, slot * SLOT)?;
            }
        }
        self.file.sync_data()?;
        inner.dirty = false;
        if inner.shrunk {
            self.file.set_len(position(inner.header.written))?;
            inner.shrunk = false;
        }
        Ok(())
    }
}

/// What the key of the blocks' hashes is for.
const MAC_PURPOSE: &str = "weir-store 2026 block hash key";

fn position(block: u64) -> u64 {
    BODY + block.saturating_sub(1) * STRIDE as u64
}

fn damaged(block: u64) -> io::Error {
    io::Error::new(
        ErrorKind::InvalidData,
        format!("block {block} is not what was written"),
    )
}

/// The slots' bytes; of a file that ends before or within one, what there is.
fn read_slots(file: &File) -> io::Result<Vec<Vec<u8>>> {
    let mut slots = Vec::new();
    for slot in 0..SLOTS {
        let mut bytes = vec![0; HEADER];
        let mut filled = 0;
        while filled < HEADER {
            match file.read_at(&mut bytes[filled..], slot * SLOT + filled as u64) {
                Ok(0) => break,
                Ok(read) => filled += read,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        bytes.truncate(filled);
        slots.push(bytes);
    }
    Ok(slots)
}

/// The identity in the first slot that opens with the key; where none does, the most telling reason.
fn unwrap_any(slots: &[Vec<u8>], key: &SealingKey) -> Result<(Identity, RootKey), HeaderError> {
    let mut reason = HeaderError::Damaged;
    for slot in slots {
        let unwrapped = Header::identity(slot).and_then(|identity| {
            let root = identity.unwrap(key)?;
            Ok((identity, root))
        });
        match unwrapped {
            Ok(unwrapped) => return Ok(unwrapped),
            Err(HeaderError::Damaged) => {}
            Err(telling) => reason = telling,
        }
    }
    Err(reason)
}

impl fmt::Debug for BlockFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BlockFile").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use proptest::test_runner::RngSeed;
    use redb::StorageBackend as _;

    const LONGEST: u64 = 12 * BLOCK as u64;

    fn key() -> SealingKey {
        SealingKey::from_bytes([1; 32])
    }

    fn reopen(path: &Path) -> Result<BlockFile, StoreError> {
        let file = File::options().read(true).write(true).open(path).unwrap();
        BlockFile::open(file, path, &key(), Mode::Durable).map(|(blocks, _)| blocks)
    }

    fn made(path: &Path) -> BlockFile {
        let options = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(true)
            .open(path);
        BlockFile::create(options.unwrap(), &key(), Algorithm::best()).0
    }

    #[derive(Clone, Debug)]
    enum Step {
        Write(u64, Vec<u8>),
        SetLen(u64),
        Reopen,
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let bytes = prop_oneof![
            proptest::collection::vec(any::<u8>(), 1..400),
            (any::<u8>(), 1usize..4).prop_map(|(byte, blocks)| vec![byte; blocks * BLOCK]),
        ];
        let offset = prop_oneof![
            0..LONGEST,
            (0..LONGEST / BLOCK as u64).prop_map(|block| block * BLOCK as u64)
        ];
        let step = prop_oneof![
            6 => (offset, bytes).prop_map(|(offset, bytes)| Step::Write(offset, bytes)),
            // redb's files end with a page.
            2 => (0..=LONGEST / BLOCK as u64).prop_map(|blocks| Step::SetLen(blocks * BLOCK as u64)),
            1 => Just(Step::Reopen),
        ];
        proptest::collection::vec(step, 1..30)
    }

    proptest! {
        #![proptest_config(ProptestConfig { rng_seed: RngSeed::Fixed(0x7765_6972), failure_persistence: None, cases: 64, ..ProptestConfig::default() })]

        // Catches a byte that is read otherwise than it was written: across blocks, behind holes, after the file shrank
        // and grew, after it was synced and opened again.
        #[test]
        fn it_is_a_file(steps in steps()) {
            let directory = tempfile::tempdir().unwrap();
            let path = directory.path().join("blocks");
            let mut blocks = made(&path);
            let mut model = Vec::new();
            for step in steps {
                match step {
                    Step::Write(offset, bytes) => {
                        let end = offset as usize + bytes.len();
                        if end > model.len() {
                            continue;
                        }
                        blocks.write(offset, &bytes).unwrap();
                        model[offset as usize..end].copy_from_slice(&bytes);
                    }
                    Step::SetLen(length) => {
                        blocks.set_len(length).unwrap();
                        model.resize(length as usize, 0);
                    }
                    Step::Reopen => {
                        blocks.sync_data().unwrap();
                        drop(blocks);
                        blocks = reopen(&path).unwrap();
                    }
                }
                prop_assert_eq!(blocks.len().unwrap(), model.len() as u64);
                let mut read = vec![0; model.len()];
                blocks.read(0, &mut read).unwrap();
                prop_assert!(read == model);
            }
            prop_assert!(blocks.read(model.len() as u64, &mut [0]).is_err());
        }
    }

    // Catches a bit of a block, or a block moved to another's place, that is read as if nothing had happened.
    #[test]
    fn a_changed_block_is_an_error() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("blocks");
        let blocks = made(&path);
        blocks.set_len(LONGEST).unwrap();
        for block in 0..4u8 {
            blocks
                .write(u64::from(block) * BLOCK as u64, &[block + 1; BLOCK])
                .unwrap();
        }
        blocks.sync_data().unwrap();
        drop(blocks);
        let sound = std::fs::read(&path).unwrap();
        let read = |bytes: &[u8]| {
            std::fs::write(&path, bytes).unwrap();
            let blocks = reopen(&path).map_err(|_| ())?;
            let mut read = vec![0; 5 * BLOCK];
            blocks.read(0, &mut read).map_err(|_| ())?;
            Ok::<_, ()>(read)
        };
        let expected = read(&sound).unwrap();
        for place in (BODY as usize..sound.len()).step_by(97) {
            let mut damaged = sound.clone();
            damaged[place] ^= 1 << (place % 8);
            assert!(read(&damaged).is_err(), "byte {place}");
        }
        let mut swapped = sound.clone();
        let (one, two) = (BODY as usize, BODY as usize + STRIDE);
        swapped.copy_within(two..two + STRIDE, one);
        swapped[two..two + STRIDE].copy_from_slice(&sound[one..one + STRIDE]);
        assert!(read(&swapped).is_err());
        assert!(read(&sound[..sound.len() - 1]).is_err());
        // One slot of a pair may go; bytes behind the end are nobody's.
        for slot in 0..SLOTS as usize {
            let mut damaged = sound.clone();
            damaged[slot * SLOT as usize + 500] ^= 1;
            damaged.push(1);
            assert!(read(&damaged).as_ref() == Ok(&expected), "slot {slot}");
        }
    }

    // Catches a crash while the header is written that loses what was synced before it: the pair written last is torn.
    #[test]
    fn a_torn_header_is_the_one_before() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("blocks");
        let blocks = made(&path);
        blocks.set_len(LONGEST).unwrap();
        for round in 1..=2 {
            blocks.write(0, &[round; 100]).unwrap();
            blocks.sync_data().unwrap();
        }
        let mut bytes = std::fs::read(&path).unwrap();
        // The second header went to the even pair.
        for slot in 0..2 {
            bytes[slot * SLOT as usize + 2_000..][..2_000].fill(0xee);
        }
        std::fs::write(&path, bytes).unwrap();
        let mut read = [0; 100];
        reopen(&path).unwrap().read(0, &mut read).unwrap();
        assert_eq!(read, [1; 100]);
    }
}
