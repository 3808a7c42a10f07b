//! `weir import`: a wg-quick `.conf` becomes a `weir.toml`.

use crate::args::ImportArgs;
use crate::error::{Failure, Outcome};
use crate::files;
use crate::keys::print;
use crate::term::{complain, say};
use std::path::Path;
use std::process::ExitCode;
use weir_config::conf::{Conf, import};
use weir_config::is_interface_name;

/// Prints the configuration or writes it to a new file. What is not carried over is said on standard error.
pub fn run(options: &ImportArgs) -> Outcome {
    let shown = options.file.to_string_lossy();
    let conf = Conf::parse(&files::read_text(&options.file)?, &shown)?;
    if conf == Conf::default() {
        return Err(Failure::Said(format!(
            "{shown}: says nothing; expected the sections [Interface] and [Peer] of a wg-quick .conf"
        )));
    }
    for note in &conf.notes {
        complain(&format!("{shown}:{}: {}: {}", note.line, note.key, note.why));
    }
    if conf.interface.private_key.is_none() {
        complain(&format!(
            "{shown}: no PrivateKey; put one into private.key beside the new configuration, for example with: \
             weir keygen --out private.key"
        ));
    }
    let stem = options.file.file_stem().unwrap_or_default().to_string_lossy();
    let name = if is_interface_name(&stem) {
        stem.as_ref()
    } else {
        complain(&format!(
            "{shown}: {stem:?} cannot name an interface, so name = \"weir0\" is written; change it there"
        ));
        "weir0"
    };
    let failed = |error| Failure::Edit {
        path: options.file.clone(),
        error,
    };
    let text = import(&conf, name).map_err(failed)?;
    if conf.interface.private_key.is_some() {
        // What was right in each line may still contradict itself as a whole.
        files::parse(Path::new(&format!("{shown} as weir.toml")), &text)?;
    }
    match &options.out {
        None => print(&text)?,
        Some(out) => {
            files::create_private(out, &text)?;
            say(&format!(
                "{} written; verify it with: weir check {0}",
                out.display()
            ));
        }
    }
    Ok(ExitCode::SUCCESS)
}
