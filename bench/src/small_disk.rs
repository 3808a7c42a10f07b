//! A file system of a few megabytes that only some processes see, so that it can be filled and switched to read-only.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::thread;

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, setns, unshare};

use crate::{LabError, Result};

/// What fills it.
const BALLAST: &str = "ballast";

/// A tmpfs over a folder, in a mount namespace of its own. It is gone when this and the processes started within are.
#[derive(Debug)]
pub struct SmallDisk {
    folder: PathBuf,
    namespace: File,
}

impl SmallDisk {
    /// Mounts so many KiB over a folder, as its owner's `uid`, mode 0700.
    pub fn new(folder: &Path, kib: u32, uid: u32) -> Result<Self> {
        let options = format!("size={kib}k,mode=0700,uid={uid},gid={uid}");
        let made = || -> io::Result<File> {
            let nothing = None::<&str>;
            unshare(CloneFlags::CLONE_NEWNS)?;
            mount(
                nothing,
                "/",
                nothing,
                MsFlags::MS_REC | MsFlags::MS_PRIVATE,
                nothing,
            )?;
            mount(
                Some("weir-lab"),
                folder,
                Some("tmpfs"),
                MsFlags::empty(),
                Some(options.as_str()),
            )?;
            File::open("/proc/thread-self/ns/mnt")
        };
        let namespace = thread::scope(|scope| scope.spawn(made).join());
        let namespace = namespace.expect("the thread returns its errors");
        Ok(Self {
            folder: folder.to_owned(),
            namespace: namespace.map_err(LabError::io(format!("mount {}", folder.display())))?,
        })
    }

    /// Runs `work` on a thread of its own that sees it, as do the programs started there.
    pub fn enter<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        thread::scope(|scope| {
            let entered = scope.spawn(|| {
                unshare(CloneFlags::CLONE_FS).expect("a thread may have a folder of its own");
                setns(&self.namespace, CloneFlags::CLONE_NEWNS).expect("a test of disks runs as root");
                work()
            });
            match entered.join() {
                Ok(result) => result,
                Err(panic) => std::panic::resume_unwind(panic),
            }
        })
    }

    /// Fills it to the last byte.
    pub fn fill(&self) -> Result<()> {
        let fill = || -> io::Result<()> {
            let mut ballast = File::create(self.folder.join(BALLAST))?;
            let mut block = &[0x57; 64 << 10][..];
            while !block.is_empty() {
                match ballast.write(block) {
                    Ok(_) => {}
                    Err(error) if error.kind() == io::ErrorKind::StorageFull => {
                        block = &block[..block.len() / 2]
                    }
                    Err(error) => return Err(error),
                }
            }
            Ok(())
        };
        self.enter(fill)
            .map_err(LabError::io(format!("fill {}", self.folder.display())))
    }

    /// Gives back what [`SmallDisk::fill`] took.
    pub fn free(&self) -> Result<()> {
        self.enter(|| fs::remove_file(self.folder.join(BALLAST)))
            .map_err(LabError::io(format!("free {}", self.folder.display())))
    }

    /// Has it refuse every write, or take them again. It is refused while a process has a file open for writing.
    pub fn set_read_only(&self, read_only: bool) -> Result<()> {
        let flags = if read_only {
            MsFlags::MS_RDONLY
        } else {
            MsFlags::empty()
        };
        let remount = || -> io::Result<()> {
            let nothing = None::<&str>;
            Ok(mount(
                nothing,
                &self.folder,
                nothing,
                flags | MsFlags::MS_REMOUNT,
                nothing,
            )?)
        };
        self.enter(remount)
            .map_err(LabError::io(format!("remount {}", self.folder.display())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Catches a disk that others see, that takes more than it holds, or that stays full.
    #[test]
    fn root_is_full_and_empty_again() {
        let folder = std::env::temp_dir().join(format!("weir-{}-disk", std::process::id()));
        fs::create_dir(&folder).unwrap();
        let disk = SmallDisk::new(&folder, 256, 0).unwrap();
        let write = || disk.enter(|| fs::write(folder.join("file"), [1; 8192]));
        write().unwrap();
        assert!(!folder.join("file").exists(), "only within is it seen");
        disk.fill().unwrap();
        disk.enter(|| fs::write(folder.join("other"), [1; 8192]))
            .unwrap_err();
        disk.free().unwrap();
        write().unwrap();
        disk.set_read_only(true).unwrap();
        assert_eq!(write().unwrap_err().kind(), io::ErrorKind::ReadOnlyFilesystem);
        disk.set_read_only(false).unwrap();
        write().unwrap();
        drop(disk);
        fs::remove_dir(&folder).unwrap();
    }
}
