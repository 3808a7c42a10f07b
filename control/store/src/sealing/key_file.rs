//! Where the sealing key comes from: a file that is named, a systemd credential, or a file made at the first start.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write as _};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use super::root::SealingKey;

/// The name of the systemd credential.
const CREDENTIAL: &str = "weir-sealing-key";

/// The file that is made where nothing else is given.
const DEFAULT_FILE: &str = "sealing.key";

/// Characters of a key file: base64 of 32 bytes, and a line's end.
const TEXT_MAX: u64 = 45;

/// Where the sealing key came from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum KeyOrigin {
    /// A file that was there.
    File(PathBuf),
    /// A credential of systemd's, in this file.
    Credential(PathBuf),
    /// A file made just now: to be kept, and to be kept apart from backups of the store.
    Created(PathBuf),
}

/// Why there is no sealing key.
#[derive(Debug, thiserror::Error)]
pub enum SealingKeyError {
    /// The store is there and its key is not: a new key would not open it.
    #[error(
        "{}: the sealing key is missing, and {} cannot be read without it; put the key back, or restore a backup into an empty directory",
        key.display(), store.display()
    )]
    Missing {
        /// Where the key was looked for.
        key: PathBuf,
        /// What it would open.
        store: PathBuf,
    },
    /// Others may read it.
    #[error("{}: mode is {mode:04o}; expected 0600, for whoever reads it can read the store", path.display())]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// It is no key.
    #[error("{}: expected a key of 44 base64 characters, as `wg genpsk` prints it", .0.display())]
    NotAKey(PathBuf),
    /// The file could not be read or made.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl SealingKey {
    /// Finds the sealing key of the store in `directory`: the file `named`, else the credential `weir-sealing-key` in
    /// `credentials` (what systemd passes as `$CREDENTIALS_DIRECTORY`), else `sealing.key` in the directory itself.
    /// The file is made where nothing is there yet, never beside a store that is.
    pub fn find(
        directory: &Path,
        named: Option<&Path>,
        credentials: Option<&Path>,
    ) -> Result<(Self, KeyOrigin), SealingKeyError> {
        if named.is_none()
            && let Some(path) = credentials.map(|directory| directory.join(CREDENTIAL))
            && path.exists()
        {
            return Ok((Self::read(&path)?, KeyOrigin::Credential(path)));
        }
        let path = named.map_or_else(|| directory.join(DEFAULT_FILE), Path::to_owned);
        if path.exists() {
            return Ok((Self::read(&path)?, KeyOrigin::File(path)));
        }
        if let Some(store) = crate::files::any_of_a_store(directory) {
            return Err(SealingKeyError::Missing { key: path, store });
        }
        let key = Self::generate();
        key.create_file(&path)?;
        Ok((key, KeyOrigin::Created(path)))
    }

    /// Reads a key file, which nobody but its owner may read.
    pub fn read(path: &Path) -> Result<Self, SealingKeyError> {
        let failed = |source| SealingKeyError::Io {
            path: path.to_owned(),
            source,
        };
        let file = File::open(path).map_err(failed)?;
        let mode = file.metadata().map_err(failed)?.mode() & 0o7777;
        if mode & 0o077 != 0 {
            return Err(SealingKeyError::Exposed {
                path: path.to_owned(),
                mode,
            });
        }
        let mut text = Zeroizing::new(String::with_capacity(64));
        file.take(TEXT_MAX + 1)
            .read_to_string(&mut text)
            .map_err(failed)?;
        parse(&text).ok_or_else(|| SealingKeyError::NotAKey(path.to_owned()))
    }

    /// Writes the key into a new file of mode 0600, in whole or not at all.
    pub fn create_file(&self, path: &Path) -> Result<(), SealingKeyError> {
        let failed = |source| SealingKeyError::Io {
            path: path.to_owned(),
            source,
        };
        let mut text = Zeroizing::new(STANDARD.encode(self.expose()));
        text.push('\n');
        let partial = path.with_extension("key.new");
        let write = || -> io::Result<()> {
            let mut file = OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(true)
                .mode(0o600)
                .open(&partial)?;
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            // Unlike a rename, a link fails where a file is: no key is ever replaced.
            fs::hard_link(&partial, path)?;
            fs::remove_file(&partial)?;
            crate::files::sync_directory(path)
        };
        write().map_err(failed)
    }
}

fn parse(text: &str) -> Option<SealingKey> {
    let line = text.strip_suffix('\n').unwrap_or(text);
    let decoded = Zeroizing::new(STANDARD.decode(line).ok()?);
    let bytes = <[u8; 32]>::try_from(decoded.as_slice()).ok()?;
    Some(SealingKey::from_bytes(bytes))
}
