//! Files: read with their modes, written whole or not at all, secrets never readable by others, changes one at a time.

use crate::error::{Failure, Outcome};
use nix::fcntl::{Flock, FlockArg};
use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{
    DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _, fchown,
};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use weir_config::Config;
use weir_config::key::KeyFile;
use zeroize::Zeroizing;

/// The longest file that is read, in bytes: a configuration of a million peers fits.
const FILE_MAX: u64 = 512 * 1024 * 1024;

/// The longest key file in bytes.
const KEY_FILE_MAX: u64 = 4096;

/// How long another `weir` may hold the lock.
const LOCK_WAIT: Duration = Duration::from_secs(30);

/// A configuration file as it is on disk.
pub struct Loaded {
    /// Its path as it was given; what the configuration names lies beside this.
    pub path: PathBuf,
    /// Where the text really is, links resolved, so that replacing it leaves them alone.
    pub resolved: PathBuf,
    /// Its text.
    pub text: Zeroizing<String>,
    /// Its permission bits.
    pub mode: u32,
    /// What it says.
    pub config: Config,
}

/// Reads a text that may hold secrets.
pub fn read_text(path: &Path) -> Outcome<Zeroizing<String>> {
    let read = || -> io::Result<_> {
        let mut text = Zeroizing::new(String::new());
        File::open(path)?.take(FILE_MAX).read_to_string(&mut text)?;
        Ok(text)
    };
    read().map_err(|error| unreadable(path, error))
}

/// Reads a key file for [`Config::parse`].
pub fn read_key(path: &Path) -> io::Result<KeyFile> {
    let file = File::open(path)?;
    let mode = file.metadata()?.mode();
    let mut text = Zeroizing::new(String::with_capacity(KEY_FILE_MAX as usize));
    file.take(KEY_FILE_MAX).read_to_string(&mut text)?;
    Ok(KeyFile { text, mode })
}

/// Checks a configuration's text as a whole. `path` is where it is or will be.
pub fn parse(path: &Path, text: &str) -> Outcome<Config> {
    Ok(Config::parse(text, &path.to_string_lossy(), &read_key)?)
}

/// Reads and checks a configuration.
pub fn load(path: &Path) -> Outcome<Loaded> {
    let found = resolve(path)?;
    let text = read_text(&found)?;
    let config = parse(path, &text)?;
    let metadata = fs::metadata(&found).map_err(Failure::file(path, "cannot be read"))?;
    Ok(Loaded {
        path: path.to_owned(),
        resolved: found,
        text,
        mode: metadata.mode() & 0o7777,
        config,
    })
}

/// Reads and checks a configuration that may not be there yet. One that is there and may not be read is a failure.
pub fn load_if_there(path: &Path) -> Option<Outcome<Loaded>> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Ok(_) | Err(_) => Some(load(path)),
    }
}

/// Holds back every other `weir` that changes files beside `path`, for as long as the value lives. The folder itself is
/// locked, so that no lock file is left behind.
pub fn lock(path: &Path) -> Outcome<Flock<File>> {
    let path = resolve(path)?;
    let folder = path.parent().unwrap_or(Path::new("/"));
    let mut file = File::open(folder).map_err(Failure::file(folder, "cannot be opened"))?;
    let deadline = Instant::now() + LOCK_WAIT;
    loop {
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => return Ok(lock),
            Err((back, nix::errno::Errno::EWOULDBLOCK | nix::errno::Errno::EINTR))
                if Instant::now() < deadline =>
            {
                file = back;
                std::thread::sleep(Duration::from_millis(5));
            }
            Err((_, error)) => {
                return Err(Failure::file(folder, "cannot be locked against other changes")(
                    error.into(),
                ));
            }
        }
    }
}

/// Replaces a file: written beside it, synchronised, renamed; mode and owner are kept. A reader sees the old text or the
/// new one, and so does whoever looks after a power cut.
pub fn replace(path: &Path, text: &str) -> Outcome<()> {
    let folder = path.parent().unwrap_or(Path::new("/"));
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let beside = folder.join(format!(".{name}.{}.new", std::process::id()));
    let write = || -> io::Result<()> {
        let old = fs::metadata(path)?;
        // Under the lock only a process that died with this number can have left one.
        let _ = fs::remove_file(&beside);
        let mut file = private().open(&beside)?;
        file.write_all(text.as_bytes())?;
        let new = file.metadata()?;
        if (new.uid(), new.gid()) != (old.uid(), old.gid()) {
            fchown(&file, Some(old.uid()), Some(old.gid()))?;
        }
        file.set_permissions(Permissions::from_mode(old.mode() & 0o7777))?;
        file.sync_all()?;
        fs::rename(&beside, path)?;
        File::open(folder)?.sync_all()
    };
    let outcome = write();
    if outcome.is_err() {
        // Gone already where the renaming succeeded.
        let _ = fs::remove_file(&beside);
    }
    outcome.map_err(Failure::file(path, "cannot be replaced"))
}

/// Writes a new file of mode 0600, which a power cut later does not take; one that is there already is left alone and an
/// error.
pub fn create_private(path: &Path, text: &str) -> Outcome<()> {
    let mut file = new_private(path)?;
    let written = file
        .write_all(text.as_bytes())
        .and_then(|()| file.sync_all())
        .and_then(|()| sync_folder(path));
    if written.is_err() {
        let _ = fs::remove_file(path);
    }
    written.map_err(Failure::file(path, "cannot be written"))
}

/// Opens a new file of mode 0600; one that is there already is left alone and an error.
pub fn new_private(path: &Path) -> Outcome<File> {
    private()
        .open(path)
        .map_err(Failure::file(path, "cannot be created"))
}

/// Files that go again unless everything succeeded.
#[derive(Default)]
pub struct Made(Vec<PathBuf>);

impl Made {
    /// Writes a new file of mode 0600.
    pub fn create(&mut self, path: &Path, text: &str) -> Outcome<()> {
        create_private(path, text)?;
        self.0.push(path.to_owned());
        Ok(())
    }

    /// They stay.
    pub fn keep(mut self) {
        self.0.clear();
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        for path in &self.0 {
            // The failure that leads here is the one to be told.
            let _ = fs::remove_file(path);
        }
    }
}

/// Makes a folder of mode 0700, and those above it, where they are missing.
pub fn create_private_folder(path: &Path) -> Outcome<()> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.and_then(|()| sync_folder(path))
        .map_err(Failure::file(path, "cannot be created"))
}

/// Puts the name of a file on the disk: its content alone is found by nobody.
pub fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}

/// Where a configuration really is.
fn resolve(path: &Path) -> Outcome<PathBuf> {
    fs::canonicalize(path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => Failure::Said(format!(
            "{}: cannot be read: {error}; name the configuration, or make one with `weir run` or `weir import`",
            path.display()
        )),
        _ => unreadable(path, error),
    })
}

fn unreadable(path: &Path, error: io::Error) -> Failure {
    match error.kind() {
        io::ErrorKind::PermissionDenied => Failure::Said(format!(
            "{}: cannot be read: {error}; run this as root",
            path.display()
        )),
        _ => Failure::file(path, "cannot be read")(error),
    }
}

fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(0o600);
    options
}
