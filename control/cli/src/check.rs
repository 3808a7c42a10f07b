//! `weir check`: every problem of a configuration, or one line that there is none.

use crate::error::Outcome;
use crate::files::{self, Loaded};
use crate::keys::print;
use crate::term::{self, complain};
use std::path::Path;
use std::process::ExitCode;

/// Checks the file; problems are the failure, warnings go to standard error.
pub fn run(file: &Path) -> Outcome {
    let loaded = files::load(file)?;
    for warning in warnings(&loaded) {
        complain(&format!("warning: {warning}"));
    }
    let config = &loaded.config;
    let addresses: Vec<String> = config
        .interface
        .addresses
        .iter()
        .map(ToString::to_string)
        .collect();
    print(&format!(
        "{}: ok: interface {}, port {}, addresses {}, {}, public key {}\n",
        file.display(),
        config.interface.name,
        config.interface.listen_port,
        if addresses.is_empty() {
            "none".to_owned()
        } else {
            addresses.join(" ")
        },
        term::peers(config.peers.len()),
        config.public_key(),
    ))?;
    Ok(ExitCode::SUCCESS)
}

/// What should be mended in a configuration that works.
pub fn warnings(loaded: &Loaded) -> Vec<String> {
    let mut warnings: Vec<String> = loaded.config.warnings.iter().map(ToString::to_string).collect();
    let inline = loaded.config.interface.private_key_file.is_none() || holds_preshared_keys(&loaded.text);
    if inline && loaded.mode & 0o077 != 0 {
        let path = loaded.path.display();
        warnings.push(format!(
            "{path}: holds keys and can be read by others (mode {:04o}); expected 0600: chmod 600 {path}",
            loaded.mode
        ));
    }
    warnings
}

fn holds_preshared_keys(text: &str) -> bool {
    let key = |line: &str| {
        line.trim_start()
            .strip_prefix("preshared_key")
            .map(|rest| rest.trim_start().starts_with('='))
    };
    text.lines().any(|line| key(line) == Some(true))
}
