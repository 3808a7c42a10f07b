//! Who is measured, in which version and with which settings.

use std::fs;

use super::Settings;
use crate::{Implementation, LabError, Namespace, Peer, Result, Topology, programs};

/// What traffic goes through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Contender {
    /// A WireGuard implementation in user space.
    Tunnel(Implementation),
    /// The veth pair alone: the ceiling of this laboratory.
    Veth,
}

impl Contender {
    /// The name in tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Tunnel(implementation) => implementation.name(),
            Self::Veth => "bare veth",
        }
    }
}

/// Starts an implementation with its best settings for the cores of the calling thread, `cores` in number, to which it
/// is held.
pub(super) fn start(
    topology: &Topology,
    namespace: &Namespace,
    label: &str,
    implementation: Implementation,
    settings: &Settings,
    cores: usize,
) -> Result<Peer> {
    Peer::start_with(
        topology,
        namespace,
        label,
        implementation,
        &environment(implementation, settings, cores),
    )
}

/// The process of an implementation in user space.
pub(super) fn pid(peer: &mut Peer) -> u32 {
    peer.process()
        .expect("implementations in user space have a process while they run")
        .pid()
}

/// The variables that make an implementation as fast as it can be. Those that count the cores they are held to
/// themselves (Weir one shard each, Go's and tokio's schedulers one thread each) need none.
fn environment(
    implementation: Implementation,
    settings: &Settings,
    cores: usize,
) -> Vec<(&'static str, String)> {
    match implementation {
        // Its default is four threads on any machine.
        Implementation::Boringtun => {
            let threads = settings
                .boringtun_threads
                .map_or(cores, |threads| threads as usize);
            vec![("WG_THREADS", threads.to_string())]
        }
        // It logs each handshake unless told otherwise.
        Implementation::Gotatun => vec![("WG_LOG_LEVEL", "error".into())],
        Implementation::Weir | Implementation::WireguardGo | Implementation::Kernel => Vec::new(),
    }
}

/// The command line by which it is measured, for the report.
pub(super) fn described(implementation: Implementation, settings: &Settings) -> String {
    let variables = environment(implementation, settings, settings.cores.len())
        .into_iter()
        .map(|(name, value)| format!("{name}={value} "))
        .collect::<String>();
    let arguments = match implementation {
        Implementation::Boringtun | Implementation::Gotatun => " --disable-drop-privileges",
        Implementation::Weir | Implementation::WireguardGo | Implementation::Kernel => "",
    };
    format!("{variables}{} -f IFNAME{arguments}", program_name(implementation))
}

/// The version of the package that `make peers` installed, or what the program says of itself.
pub(super) fn version(implementation: Implementation) -> Result<String> {
    let name = program_name(implementation);
    let installed = programs::root().join(format!("target/peers/{name}.version"));
    if let Ok(version) = fs::read_to_string(installed) {
        return Ok(version.trim().to_owned());
    }
    let path = implementation.program()?.ok_or_else(|| LabError::Missing {
        program: name.to_owned(),
        remedy: "it is part of a kernel",
    })?;
    let output = std::process::Command::new(&path)
        .arg("--version")
        .output()
        .map_err(LabError::io(format!("run {}", path.display())))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let first = text.lines().next().unwrap_or_default();
    Ok(first.strip_prefix(name).unwrap_or(first).trim().to_owned())
}

fn program_name(implementation: Implementation) -> &'static str {
    match implementation {
        Implementation::Weir => "weir-dataplane",
        Implementation::WireguardGo => "wireguard-go",
        Implementation::Boringtun => "boringtun-cli",
        Implementation::Gotatun => "gotatun",
        Implementation::Kernel => "kernel",
    }
}
