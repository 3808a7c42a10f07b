//! The folders of the control process: whatever the umask, with the owner and mode that keep others out, and never
//! through a symbolic link that somebody else has put there.

use super::account::Account;
use crate::error::{Failure, Outcome};
use nix::errno::Errno;
use nix::fcntl::{OFlag, open, openat};
use nix::sys::stat::{Mode, fchmod, mkdirat};
use nix::unistd::{Gid, Uid, fchown};
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// Whoever is of the group may look for the socket; the socket's own mode says who may connect.
const SOCKET_MODE: u32 = 0o750;

/// What is stored is nobody else's business.
const STORE_MODE: u32 = 0o700;

/// Others may pass through a folder of root's on the way to their own, and not look around in it.
const PASS_THROUGH: u32 = 0o711;

/// Makes the socket's folder and the store's where they are missing, and mends their modes.
pub fn prepare(sockets: &Path, store: &Path, account: &Account) -> Outcome<()> {
    own(&parent(sockets)?, sockets, SOCKET_MODE, account)?;
    let above = parent(store)?;
    if let Some(beyond) = above.parent() {
        // The data plane's folder, which it makes for root alone.
        let passage = Place::make(beyond, &above, PASS_THROUGH)?;
        passage.chmod(passage.mode()? | (PASS_THROUGH & 0o111))?;
    }
    own(&above, store, STORE_MODE, account)
}

/// A folder of the account's. One that is somebody else's already is theirs, and refused.
fn own(above: &Path, path: &Path, mode: u32, account: &Account) -> Outcome<()> {
    let place = Place::make(above, path, mode)?;
    if place.made {
        let owner = fchown(&place.folder, Some(account.uid), Some(account.gid));
        owner.map_err(failed(path, "cannot be given away"))?;
    }
    let (uid, gid) = place.owner()?;
    if (uid, gid) != (account.uid, account.gid) {
        let (path, user, group) = (path.display(), &account.user, &account.group);
        return Err(Failure::Said(format!(
            "{path}: belongs to user {uid} and group {gid}; expected {user} and {group}: chown -R {user}:{group} {path}"
        )));
    }
    place.chmod(mode)
}

/// A folder that is held open, so that what is changed is what was looked at.
struct Place<'a> {
    path: &'a Path,
    folder: File,
    made: bool,
}

impl<'a> Place<'a> {
    /// Opens `path`, whose parent is `above`, and makes it first where it is missing.
    fn make(above: &Path, path: &'a Path, mode: u32) -> Outcome<Self> {
        let name = path.file_name().ok_or_else(|| no_folder(path))?;
        let flags = OFlag::O_DIRECTORY | OFlag::O_RDONLY | OFlag::O_CLOEXEC;
        let above: OwnedFd = open(above, flags, Mode::empty()).map_err(failed(above, "cannot be opened"))?;
        let made = match mkdirat(&above, name, Mode::from_bits_truncate(mode)) {
            Ok(()) => true,
            Err(Errno::EEXIST) => false,
            Err(error) => return Err(failed(path, "cannot be made")(error)),
        };
        let folder = openat(&above, name, flags | OFlag::O_NOFOLLOW, Mode::empty());
        let folder = folder.map_err(|error| match error {
            Errno::ENOTDIR | Errno::ELOOP => no_folder(path),
            error => failed(path, "cannot be opened")(error),
        })?;
        let place = Self {
            path,
            folder: File::from(folder),
            made,
        };
        if made {
            // Making one heeds the umask.
            place.chmod(mode)?;
        }
        Ok(place)
    }

    fn owner(&self) -> Outcome<(Uid, Gid)> {
        let metadata = self.metadata()?;
        Ok((Uid::from_raw(metadata.uid()), Gid::from_raw(metadata.gid())))
    }

    fn mode(&self) -> Outcome<u32> {
        Ok(self.metadata()?.mode() & 0o7777)
    }

    fn metadata(&self) -> Outcome<std::fs::Metadata> {
        let metadata = self.folder.metadata();
        metadata.map_err(Failure::file(self.path, "cannot be looked at"))
    }

    fn chmod(&self, mode: u32) -> Outcome<()> {
        if self.mode()? == mode {
            return Ok(());
        }
        let changed = fchmod(&self.folder, Mode::from_bits_truncate(mode));
        changed.map_err(failed(self.path, "cannot be closed to others"))
    }
}

fn parent(path: &Path) -> Outcome<PathBuf> {
    let path = std::path::absolute(path).map_err(Failure::file(path, "is no path"))?;
    path.parent().map(Path::to_owned).ok_or_else(|| no_folder(&path))
}

fn no_folder(path: &Path) -> Failure {
    Failure::Said(format!(
        "{}: expected a folder, and no symbolic link to one; remove it",
        path.display()
    ))
}

fn failed(path: &Path, doing: &'static str) -> impl FnOnce(Errno) -> Failure {
    let failure = Failure::file(path, doing);
    move |error| failure(io::Error::from(error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{self, Permissions};
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    fn own_account() -> Account {
        Account {
            user: "me".to_owned(),
            uid: Uid::effective(),
            group: "mine".to_owned(),
            gid: Gid::effective(),
        }
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().mode() & 0o7777
    }

    // Catches modes that follow the umask, a store that others can read, and a way to it that its owner cannot walk.
    #[test]
    fn modes_are_made_and_mended() {
        let place = tempfile::tempdir().unwrap();
        let (sockets, store) = (place.path().join("run"), place.path().join("lib/control"));
        prepare(&sockets, &store, &own_account()).unwrap();
        for round in 0..2 {
            let modes = [&sockets, &store, &place.path().join("lib")].map(|path| mode(path));
            assert_eq!(modes, [0o750, 0o700, 0o711], "round {round}");
            fs::set_permissions(&sockets, Permissions::from_mode(0o777)).unwrap();
            fs::set_permissions(&store, Permissions::from_mode(0o755)).unwrap();
            fs::set_permissions(place.path().join("lib"), Permissions::from_mode(0o700)).unwrap();
            prepare(&sockets, &store, &own_account()).unwrap();
        }
    }

    // Catches a store that is led astray to a folder of the attacker's choice, which root then gives away.
    #[test]
    fn links_and_files_are_refused() {
        let place = tempfile::tempdir().unwrap();
        let elsewhere = place.path().join("elsewhere");
        fs::create_dir(&elsewhere).unwrap();
        fs::set_permissions(&elsewhere, Permissions::from_mode(0o755)).unwrap();
        let (sockets, store) = (place.path().join("run"), place.path().join("lib/control"));
        fs::create_dir(place.path().join("lib")).unwrap();
        symlink(&elsewhere, &sockets).unwrap();
        let refusal =
            |sockets: &Path, store: &Path| prepare(sockets, store, &own_account()).unwrap_err().to_string();
        assert!(refusal(&sockets, &store).contains("run: expected a folder, and no symbolic link"));
        symlink(&elsewhere, &store).unwrap();
        let fresh = place.path().join("run2");
        assert!(refusal(&fresh, &store).contains("control: expected a folder, and no symbolic link"));
        fs::remove_file(&store).unwrap();
        fs::write(&store, "").unwrap();
        assert!(refusal(&fresh, &store).contains("expected a folder"));
        assert_eq!(mode(&elsewhere), 0o755);
    }

    // Catches a store taken over from another user, whose files the control process then could not read.
    #[test]
    fn another_s_folder_is_refused() {
        let place = tempfile::tempdir().unwrap();
        let (sockets, store) = (place.path().join("run"), place.path().join("lib/control"));
        prepare(&sockets, &store, &own_account()).unwrap();
        let other = Account {
            uid: Uid::from_raw(Uid::effective().as_raw() + 1),
            ..own_account()
        };
        let refusal = prepare(&sockets, &store, &other).unwrap_err().to_string();
        assert!(
            refusal.contains("expected me and mine: chown -R me:mine"),
            "{refusal}"
        );
    }
}
