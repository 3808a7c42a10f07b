//! The names of the store's files, and how files are written so that they are there in whole or not at all.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::error::StoreError;

/// Records and the audit log.
pub(crate) const STATE: &str = "state.weir";

/// Series and totals of peers.
pub(crate) const HISTORY: &str = "history.weir";

/// The last good copy of the records.
pub(crate) const COPY: &str = "state.copy";

/// The copy before that.
pub(crate) const PREVIOUS_COPY: &str = "state.copy.previous";

/// Held by the process that has the store open.
pub(crate) const LOCK: &str = "lock";

/// A file of a store that lies in the directory, if one does.
pub(crate) fn any_of_a_store(directory: &Path) -> Option<PathBuf> {
    [STATE, COPY, PREVIOUS_COPY]
        .into_iter()
        .map(|name| directory.join(name))
        .find(|path| path.exists())
}

/// Makes what was done to a directory's entries durable; `inside` is one of them.
pub(crate) fn sync_directory(inside: &Path) -> io::Result<()> {
    let directory = inside
        .parent()
        .expect("every file of a store lies in its directory");
    File::open(directory)?.sync_all()
}

/// Writes a file of mode 0600 beside `path`, durable, to be renamed to it; returns its path.
pub(crate) fn write_beside(path: &Path, bytes: &[u8]) -> io::Result<PathBuf> {
    let partial = beside(path);
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&partial)?;
    let written = file.write_all(bytes).and_then(|()| file.sync_all());
    if let Err(error) = written {
        // What is left of it would keep a full disk full. Where that fails as well, the next one is written over it.
        fs::remove_file(&partial).ok();
        return Err(error);
    }
    Ok(partial)
}

/// The name under which a file is made before it is whole.
pub(crate) fn beside(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    PathBuf::from(name)
}

/// Renames a file that was made beside `path` to it, durably.
pub(crate) fn put_in_place(made: &Path, path: &Path) -> Result<(), StoreError> {
    fs::rename(made, path)
        .and_then(|()| sync_directory(path))
        .map_err(|error| StoreError::from_io(path, error))
}

/// Renames a file that was found damaged, so that it is kept; one kept before gives way to it.
pub(crate) fn put_aside(path: &Path) -> io::Result<PathBuf> {
    let mut name = path.as_os_str().to_owned();
    name.push(".damaged");
    let kept = PathBuf::from(name);
    fs::rename(path, &kept)?;
    sync_directory(path)?;
    Ok(kept)
}
