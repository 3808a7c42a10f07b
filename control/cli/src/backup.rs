//! `weir backup` and `weir restore`: all that the control process keeps, encrypted by a passphrase.

use crate::args::{BackupArgs, Passphrase, RestoreArgs};
use crate::change;
use crate::control::Control;
use crate::control::records::Restored;
use crate::error::{Failure, Outcome};
use crate::files;
use crate::secret::obtain;
use crate::term::{bytes, say};
use crate::times::to_the_second;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;
use ureq::http::Method;
use zeroize::Zeroizing;

#[derive(Serialize)]
struct BackupInput<'a> {
    passphrase: &'a str,
}

#[derive(Serialize)]
struct RestoreInput<'a> {
    passphrase: &'a str,
    backup: &'a str,
}

/// Writes a backup to a new file.
pub fn backup(control: &Control, options: &BackupArgs) -> Outcome {
    let mut file = files::new_private(&options.file)?;
    let written = fetch(control, options, &mut file);
    if written.is_err() {
        // The failure is the one to be told.
        let _ = fs::remove_file(&options.file);
    }
    let length = written?;
    say(&format!(
        "{}: {} written; it is worth nothing without the passphrase",
        options.file.display(),
        bytes(length)
    ));
    Ok(ExitCode::SUCCESS)
}

fn fetch(control: &Control, options: &BackupArgs, file: &mut File) -> Outcome<u64> {
    let passphrase = passphrase(&options.passphrase, true)?;
    let input = BackupInput {
        passphrase: &passphrase,
    };
    let answer = control.send_json(&Method::POST, "/v1/backup", &[], &input)?;
    let written = file.write_all(&answer.body).and_then(|()| file.sync_all());
    written.map_err(Failure::file(&options.file, "cannot be written"))?;
    files::sync_folder(&options.file).map_err(Failure::file(&options.file, "cannot be written"))?;
    Ok(answer.body.len() as u64)
}

/// Has the control process take a backup over.
pub fn restore(control: &Control, options: &RestoreArgs) -> Outcome {
    let backup = read(&options.file)?;
    let passphrase = passphrase(&options.passphrase, false)?;
    let input = RestoreInput {
        passphrase: &passphrase,
        backup: &backup,
    };
    let query: &[_] = if options.dry_run {
        &[("dry_run", "true")]
    } else {
        &[]
    };
    let answer = control.send_json(&Method::POST, "/v1/restore", query, &input)?;
    if options.dry_run {
        change::show(&answer, options.json)?;
        return Ok(ExitCode::SUCCESS);
    }
    if options.json {
        change::print_json(&answer.read()?)?;
    } else {
        let restored: Restored = answer.read()?;
        say(&format!(
            "restored as it was at {}: {} peers, {} access rules, {} users, {} tokens",
            to_the_second(restored.made_at),
            restored.peers,
            restored.rules,
            restored.users,
            restored.tokens
        ));
    }
    Ok(ExitCode::SUCCESS)
}

fn read(path: &Path) -> Outcome<String> {
    let read = fs::read(path).map_err(Failure::file(path, "cannot be read"))?;
    Ok(STANDARD.encode(read))
}

fn passphrase(given: &Passphrase, new: bool) -> Outcome<Zeroizing<String>> {
    obtain(
        given.passphrase_file.as_deref(),
        "Passphrase",
        "--passphrase-file",
        new,
    )
}
