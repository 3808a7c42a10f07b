//! The last good copy: an archive of the records beside the store, in two generations.

use std::fs;
use std::path::{Path, PathBuf};

use crate::archive::{self, ArchiveError, Cost, Key};
use crate::contents::Contents;
use crate::error::StoreError;
use crate::files;
use crate::sealing::{Algorithm, SealingKey};

/// Bytes of a copy that is read at most: far more than the largest store, and no more than memory.
const LENGTH_MAX: u64 = 1 << 30;

/// Writes a copy and reads it back; the one that was newest becomes the one before.
pub(crate) fn write(
    directory: &Path,
    contents: &Contents,
    algorithm: Algorithm,
    key: &SealingKey,
) -> Result<(), StoreError> {
    let path = directory.join(files::COPY);
    let failed = |error| StoreError::from_io(&path, error);
    let bytes = archive::write(contents, algorithm, &Key::Sealing(key), Cost::BACKUP);
    let partial = files::write_beside(&path, &bytes).map_err(failed)?;
    // A copy that cannot be read is no reason to give up an older one that can.
    let read_back = fs::read(&partial).map_err(failed)?;
    if read_back != bytes {
        return Err(StoreError::damaged(
            &partial,
            "it was read back otherwise than it was written",
        ));
    }
    if path.exists() {
        fs::rename(&path, directory.join(files::PREVIOUS_COPY)).map_err(failed)?;
    }
    fs::rename(&partial, &path).map_err(failed)?;
    files::sync_directory(&path).map_err(failed)
}

/// A copy and where it lies, and the faults of others.
type Newest = (Option<(PathBuf, Contents)>, Vec<String>);

/// The newest copy that is whole, and what is wrong with those that are not. A copy of another key is no damage.
pub(crate) fn newest(directory: &Path, key: &SealingKey) -> Result<Newest, StoreError> {
    let (mut best, mut faults): Newest = (None, Vec::new());
    for name in [files::COPY, files::PREVIOUS_COPY] {
        let path = directory.join(name);
        match read(&path, key) {
            Ok(contents) => {
                if best
                    .as_ref()
                    .is_none_or(|(_, other)| other.commit < contents.commit)
                {
                    best = Some((path, contents));
                }
            }
            Err(error) if error.is_damage() || !path.exists() => faults.push(error.to_string()),
            Err(error) => return Err(error),
        }
    }
    Ok((best, faults))
}

/// Seals a copy with another key, in its place.
pub(crate) fn seal_anew(
    path: &Path,
    algorithm: Algorithm,
    from: &SealingKey,
    to: &SealingKey,
) -> Result<(), StoreError> {
    let contents = read(path, from)?;
    let bytes = archive::write(&contents, algorithm, &Key::Sealing(to), Cost::BACKUP);
    let made = files::write_beside(path, &bytes).map_err(|error| StoreError::from_io(path, error))?;
    files::put_in_place(&made, path)
}

/// Whether the copy opens with the key.
pub(crate) fn opens(path: &Path, key: &SealingKey) -> Result<bool, StoreError> {
    match read(path, key) {
        Ok(_) => Ok(true),
        Err(StoreError::WrongKey { .. }) => Ok(false),
        Err(error) => Err(error),
    }
}

fn read(path: &Path, key: &SealingKey) -> Result<Contents, StoreError> {
    let failed = |error| StoreError::from_io(path, error);
    let length = fs::metadata(path).map_err(failed)?.len();
    if length > LENGTH_MAX {
        return Err(StoreError::damaged(path, format!("it has {length} bytes")));
    }
    let bytes = fs::read(path).map_err(failed)?;
    archive::read(&bytes, &Key::Sealing(key)).map_err(|error| match error {
        ArchiveError::WrongKey(expected) => StoreError::WrongKey {
            path: path.to_owned(),
            expected,
            given: key.id(),
        },
        other => StoreError::damaged(path, other),
    })
}
