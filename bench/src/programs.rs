//! Where the programs of the laboratory are: tools of the system, peers, and Weir's own binaries.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::{LabError, Result};

/// A Debian tool found on PATH or in the folders of root, speaking untranslated English.
pub fn tool(name: &str) -> Result<Command> {
    let path = on_path(name).ok_or_else(|| LabError::Missing {
        program: name.to_owned(),
        remedy: "`make deps` installs it",
    })?;
    let mut command = Command::new(path);
    command.env("LC_ALL", "C");
    Ok(command)
}

/// A peer's program: in target/peers/bin, where `make peers` puts it, or on PATH, as in the virtual machine.
pub fn peer(name: &str) -> Result<PathBuf> {
    let installed = root().join("target/peers/bin").join(name);
    first_file([installed])
        .or_else(|| on_path(name))
        .ok_or_else(|| LabError::Missing {
            program: name.to_owned(),
            remedy: "`make peers` installs it",
        })
}

/// One of Weir's own binaries (`weir-dataplane`, `weir`): the path in an environment variable named after it
/// (`WEIR_DATAPLANE`) if there is one; else from the folder of the running program or test, the release build, PATH.
pub fn weir(name: &str) -> Result<PathBuf> {
    let missing = || LabError::Missing {
        program: name.to_owned(),
        remedy: "`make build` builds it",
    };
    if let Some(named) = env::var_os(name.to_uppercase().replace('-', "_")) {
        return first_file([PathBuf::from(named)]).ok_or_else(missing);
    }
    let program = env::current_exe().unwrap_or_default();
    // A test lies in `deps`, one folder below the binaries of its profile.
    let beside = program
        .ancestors()
        .skip(1)
        .take(2)
        .map(|folder| folder.join(name));
    let release = target_folder().join("release").join(name);
    first_file(beside.chain([release]))
        .or_else(|| on_path(name))
        .ok_or_else(missing)
}

/// The top of Weir's source tree, as it was when this was built. In the virtual machine it does not exist.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("this crate lies one folder below the top")
}

/// Where cargo puts what it builds.
pub fn target_folder() -> PathBuf {
    env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

fn on_path(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let folders: Vec<PathBuf> = env::split_paths(&path)
        .chain(["/usr/sbin".into(), "/sbin".into()])
        .collect();
    first_file(folders.into_iter().map(|folder| folder.join(name)))
}

fn first_file(candidates: impl IntoIterator<Item = PathBuf>) -> Option<PathBuf> {
    candidates.into_iter().find(|candidate| candidate.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Catches a missing program reported without what would bring it.
    #[test]
    fn a_missing_program_names_its_remedy() {
        let error = tool("no-such-program").unwrap_err();
        assert_eq!(
            error.to_string(),
            "no-such-program: not found; `make deps` installs it"
        );
    }

    #[test]
    fn the_top_of_the_tree_is_where_the_workspace_is() {
        assert!(root().join("bench/Cargo.toml").is_file());
    }
}
