//! `weir peer`: in the control process's store where one runs, else in the configuration.

mod file;
mod store;

use crate::args::{CONFIG, Owner, PeerCommand};
use crate::control::Control;
use crate::error::{Failure, Outcome};
use std::path::Path;

/// Does what is asked where it belongs. The data plane's sockets are in `directory`.
pub fn run(command: &PeerCommand, owner: &Owner, directory: &Path, control: &Control) -> Outcome {
    // Naming a file means the file.
    let in_file = owner.file || owner.config.is_some() || !control.runs()?;
    if in_file {
        let config = owner.config.as_deref().unwrap_or(Path::new(CONFIG));
        return of_file(command, config, directory);
    }
    match command {
        PeerCommand::Add(options) => store::add(control, options, directory),
        PeerCommand::Set(options) => store::set(control, options),
        PeerCommand::Remove { peer, change } => store::remove(control, peer, change),
        PeerCommand::List(options) => store::list(control, options),
        PeerCommand::Show(one) => store::show(control, one),
        PeerCommand::Enable(options) => store::switch(control, options, true),
        PeerCommand::Disable(options) => store::switch(control, options, false),
        PeerCommand::Why { one, probe } => store::why(control, one, *probe),
    }
}

fn of_file(command: &PeerCommand, config: &Path, directory: &Path) -> Outcome {
    let only_control = |what: &str| {
        Failure::Said(format!(
            "{what}: only the control process can do that, and the peers of {} were asked for; start it with `weir run`, \
             and leave out --file and --config",
            config.display()
        ))
    };
    match command {
        PeerCommand::Add(options) => match options.beyond_the_file() {
            Some(option) => Err(only_control(option)),
            None => file::add(options, config, directory),
        },
        PeerCommand::Remove { peer, change } => match change.beyond_the_file() {
            Some(option) => Err(only_control(option)),
            None => file::remove(peer, config, directory),
        },
        PeerCommand::List(options) if options.chooses() => Err(only_control("choosing peers")),
        PeerCommand::List(options) => file::list(config, options.json),
        PeerCommand::Set(_) => Err(only_control("peer set")),
        PeerCommand::Show(_) => Err(only_control("peer show")),
        PeerCommand::Enable(_) => Err(only_control("peer enable")),
        PeerCommand::Disable(_) => Err(only_control("peer disable")),
        PeerCommand::Why { .. } => Err(only_control("peer why")),
    }
}
