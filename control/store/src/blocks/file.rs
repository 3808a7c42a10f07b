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

/// Blocks read or written in one system call at most.
const RUN: usize = 64;

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

struct Inner {
    identity: Identity,
    header: Header,
    /// Whether the header differs from the one in the slots.
    dirty: bool,
    /// Whether blocks lie behind the end.
    shrunk: bool,
    overlay: Option<Overlay>,
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
        if length < expected {
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

    fn inner(&self) -> MutexGuard<'_, Inner> {
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
    fn read_blocks(&self, first: u64, out: &mut [u8]) -> io::Result<()> {
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
    fn read_block(&self, inner: &Inner, block: u64) -> io::Result<[u8; BLOCK]> {
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
    fn write_part(&self, inner: &mut Inner, block: u64, within: usize, part: &[u8]) -> io::Result<()> {
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
    fn put(&self, inner: &mut Inner, first: u64, content: &[u8]) -> io::Result<()> {
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
    fn writing(&self, write: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
        if self.failed.load(Ordering::Relaxed) {
            return Err(io::Error::other("an earlier write failed"));
        }
        write().inspect_err(|_| self.failed.store(true, Ordering::Relaxed))
    }

    fn sync(&self, inner: &mut Inner) -> io::Result<()> {
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

impl redb::StorageBackend for BlockFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.inner().header.length)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let inner = self.inner();
        let end = offset.checked_add(out.len() as u64);
        if end.is_none_or(|end| end > inner.header.length) {
            return Err(io::Error::new(
                ErrorKind::UnexpectedEof,
                "a page lies behind the end",
            ));
        }
        let (mut block, mut within, mut done) = (offset / BLOCK as u64, (offset % BLOCK as u64) as usize, 0);
        while done < out.len() {
            let left = out.len() - done;
            let run = (left / BLOCK).min(RUN) as u64;
            let plain = within == 0 && run > 1 && block > 0 && inner.overlay.is_none();
            if plain && block + run <= inner.header.written {
                let bytes = run as usize * BLOCK;
                self.read_blocks(block, &mut out[done..done + bytes])?;
                (block, done) = (block + run, done + bytes);
                continue;
            }
            let content = self.read_block(&inner, block)?;
            let part = left.min(BLOCK - within);
            out[done..done + part].copy_from_slice(&content[within..within + part]);
            (block, within, done) = (block + 1, 0, done + part);
        }
        Ok(())
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        let mut inner = self.inner();
        // Blocks behind a shorter end read as zero when the file grows back. They leave the disk once the header that
        // says so is durable.
        let end = length.div_ceil(BLOCK as u64).max(1);
        if end < inner.header.written {
            inner.header.written = end;
            inner.shrunk = true;
        }
        inner.header.length = length;
        inner.dirty = true;
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut inner = self.inner();
        self.writing(|| self.sync(&mut inner))
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut inner = self.inner();
        let inner = &mut *inner;
        self.writing(|| {
            let (mut block, mut within) = (offset / BLOCK as u64, (offset % BLOCK as u64) as usize);
            let mut data = data;
            while !data.is_empty() {
                let run = (data.len() / BLOCK).min(RUN);
                let part = if within == 0 && block > 0 && run > 0 {
                    let part = run * BLOCK;
                    self.put(inner, block, &data[..part])?;
                    block += run as u64;
                    part
                } else {
                    let part = data.len().min(BLOCK - within);
                    self.write_part(inner, block, within, &data[..part])?;
                    block += 1;
                    part
                };
                within = 0;
                data = &data[part..];
            }
            Ok(())
        })
    }
}
