//! Changing the sealing key of a store that nobody has open.

use std::fs::File;
use std::path::Path;

use crate::blocks::{BlockFile, Mode};
use crate::copy;
use crate::error::StoreError;
use crate::files;
use crate::sealing::{Algorithm, SealingKey};
use crate::store::lock;

/// Has everything in `directory` open with the key `to` in place of `from`. Only the wrapped keys of the store's files
/// are written, and the copies; backups keep their passphrases. Interrupted, it leaves files of both keys and is to be
/// called again with the same ones, which finishes it. Damaged copies are left as they are.
pub fn change_sealing_key(directory: &Path, from: &SealingKey, to: &SealingKey) -> Result<(), StoreError> {
    let _lock = lock(directory)?;
    for name in [files::COPY, files::PREVIOUS_COPY] {
        let path = directory.join(name);
        if path.exists() {
            change_copy(&path, from, to)?;
        }
    }
    // The store last: where it opens with the new key, all does.
    for name in [files::HISTORY, files::STATE] {
        let path = directory.join(name);
        if path.exists() {
            change_blocks(&path, from, to)?;
        }
    }
    Ok(())
}

fn change_copy(path: &Path, from: &SealingKey, to: &SealingKey) -> Result<(), StoreError> {
    match copy::opens(path, to) {
        Ok(true) => Ok(()),
        Ok(false) => copy::seal_anew(path, Algorithm::best(), from, to),
        Err(error) if error.is_damage() => Ok(()),
        Err(error) => Err(error),
    }
}

fn change_blocks(path: &Path, from: &SealingKey, to: &SealingKey) -> Result<(), StoreError> {
    let failed = |error| StoreError::from_io(path, error);
    let open = |key| {
        let file = File::options()
            .read(true)
            .write(true)
            .open(path)
            .map_err(failed)?;
        BlockFile::open(file, path, key, Mode::Durable)
    };
    match open(to) {
        Ok((blocks, root)) => blocks.wrap_anew(&root, to).map_err(failed),
        Err(StoreError::WrongKey { .. }) => {
            let (blocks, root) = open(from)?;
            blocks.wrap_anew(&root, to).map_err(failed)
        }
        Err(error) => Err(error),
    }
}
