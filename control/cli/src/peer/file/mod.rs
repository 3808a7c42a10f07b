//! Peers of the configuration: added to it, removed from it, listed.

mod add;
mod list;

pub use add::add;
pub use list::list;

use crate::client;
use crate::error::{Failure, Outcome};
use crate::files::{self, Loaded};
use crate::ipc;
use crate::term::say;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use weir_config::edit::remove_peer;

/// Removes a peer from the configuration and from a running gateway, and the files that were made for it.
pub fn remove(peer: &str, config: &Path, directory: &Path) -> Outcome {
    let _lock = files::lock(config)?;
    let loaded = files::load(config)?;
    let text = remove_peer(&loaded.text, peer).map_err(|error| Failure::Edit {
        path: config.to_owned(),
        error,
    })?;
    let name = loaded.config.peer(peer).and_then(|p| p.name.clone());
    let reloaded = apply(&loaded, &text, directory)?;
    for made in name
        .iter()
        .flat_map(|name| [client::path(&loaded.path, name), psk_path(&loaded.path, name)])
    {
        match fs::remove_file(&made) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(Failure::file(&made, "cannot be removed")(error));
            }
            Ok(()) | Err(_) => {}
        }
    }
    say(&format!(
        "peer \"{}\" removed from {}; {}",
        name.as_deref().unwrap_or(peer),
        config.display(),
        consequence(&loaded, reloaded)
    ));
    Ok(ExitCode::SUCCESS)
}

/// Where the preshared key of a peer is kept when the configuration itself can be read by others.
fn psk_path(config: &Path, name: &str) -> PathBuf {
    config
        .parent()
        .unwrap_or(Path::new(""))
        .join("keys")
        .join(format!("{name}.psk"))
}

/// Checks the new text as a whole, writes it, has a running gateway take it over (`true`), and restores the old text
/// where the gateway refuses.
fn apply(loaded: &Loaded, text: &str, directory: &Path) -> Outcome<bool> {
    files::parse(&loaded.path, text)?;
    let interface = &loaded.config.interface.name;
    // Asked first, so that nothing is written where the running gateway may not be asked.
    ipc::reachable(directory, interface)?;
    files::replace(&loaded.resolved, text)?;
    ipc::reload(directory, interface).map_err(|error| match files::replace(&loaded.resolved, &loaded.text) {
        Ok(()) => Failure::Said(format!("{error}; {} is as it was", loaded.path.display())),
        Err(second) => Failure::Said(format!("{error}; the old text could not be restored: {second}")),
    })
}

fn consequence(loaded: &Loaded, reloaded: bool) -> String {
    let interface = &loaded.config.interface.name;
    match reloaded {
        true => format!("the gateway of {interface} has taken it over"),
        false => format!("no gateway runs {interface}: it takes effect with the next start"),
    }
}
