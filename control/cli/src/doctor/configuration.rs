//! The configuration and the files beside it.

use super::Finding;
use crate::check;
use crate::error::{Failure, Outcome};
use crate::files::Loaded;
use crate::term;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

/// A configuration that is not there: bad where it was named, for no gateway starts with it.
pub fn missing(path: &Path, named: bool) -> Finding {
    let shown = path.display();
    let found = if named { Finding::bad } else { Finding::warn };
    found(
        format!("configuration: {shown} does not exist"),
        "only the machine is judged",
        format!("weir run --config {shown}, or weir import FILE.conf --out {shown}"),
    )
}

pub fn findings(path: &Path, loaded: &Outcome<Loaded>) -> Vec<Finding> {
    let shown = path.display();
    let loaded = match loaded {
        Err(failure) => return broken(&shown.to_string(), failure),
        Ok(loaded) => loaded,
    };
    let peers = term::peers(loaded.config.peers.len());
    let mut findings = vec![Finding::ok(format!("configuration: {shown}, {peers}"))];
    for warning in check::warnings(loaded) {
        findings.push(Finding::warn(
            warning,
            "whoever can read a key can take its owner's place",
            "",
        ));
    }
    findings.extend(exposed_clients(path));
    findings
}

fn broken(path: &str, failure: &Failure) -> Vec<Finding> {
    let cost = "the gateway refuses to start, or keeps what it has";
    let verify = format!("verify it with: weir check {path}");
    match failure {
        Failure::Problems(problems) => problems
            .0
            .iter()
            .map(|p| Finding::bad(p.to_string(), cost, format!("mend the file; {verify}")))
            .collect(),
        // Nothing is known of what it says.
        other => vec![Finding::bad(other.to_string(), cost, verify)],
    }
}

/// Configurations of clients, which hold their private keys, that others can read.
fn exposed_clients(config: &Path) -> Vec<Finding> {
    let folder = config.parent().unwrap_or(Path::new("")).join("clients");
    let Ok(entries) = fs::read_dir(&folder) else {
        return Vec::new();
    };
    // Nobody gets through a folder that is closed to others.
    if fs::metadata(&folder).is_ok_and(|m| m.permissions().mode() & 0o077 == 0) {
        return Vec::new();
    }
    let mode = |path: &Path| fs::metadata(path).map_or(0, |m| m.permissions().mode() & 0o7777);
    let exposed = entries
        .flatten()
        .map(|e| e.path())
        .filter(|path| mode(path) & 0o077 != 0);
    exposed
        .map(|path| {
            let shown = path.display();
            Finding::warn(
                format!("{shown}: can be read by others (mode {:04o})", mode(&path)),
                "it holds a client's private key",
                format!("chmod 600 {shown}"),
            )
        })
        .collect()
}
