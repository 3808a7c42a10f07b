//! A gateway that `weir.toml` describes: `weir-dataplane --config FILE` in a namespace.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::device_config::KeyPair;
use crate::{LabError, Namespace, Process, Result, Topology, private_file, programs, wait};

/// How long it may take to start, and to follow a changed file.
const START_LIMIT: Duration = Duration::from_secs(15);

/// What its log says after a reload.
const RELOADED: &str = "configuration read again";

/// A running gateway. Its file, keys and state lie in the topology's folder and outlive its process.
#[derive(Debug)]
pub struct Configured {
    namespace: Namespace,
    interface: String,
    file: PathBuf,
    arguments: Vec<String>,
    process: Option<Process>,
}

impl Configured {
    /// Starts a gateway on `interface`, a name of [`Topology::interface`], with this `weir.toml`, which begins with
    /// [`Configured::head`], and waits until it answers.
    pub fn start(topology: &Topology, namespace: &Namespace, interface: &str, toml: &str) -> Result<Self> {
        Self::start_with(topology, namespace, interface, toml, &[])
    }

    /// Starts it with more arguments, which every restart has too.
    pub fn start_with(
        topology: &Topology,
        namespace: &Namespace,
        interface: &str,
        toml: &str,
        arguments: &[&str],
    ) -> Result<Self> {
        let mut gateway = Self::new(topology, namespace, interface, arguments);
        gateway.write(toml)?;
        gateway.launch(topology, &mut program()?)?;
        Ok(gateway)
    }

    /// Starts it by a command that becomes `weir-dataplane`, such as one that first gives up privileges. A restart is
    /// an ordinary one again.
    pub fn start_by(
        topology: &Topology,
        namespace: &Namespace,
        interface: &str,
        toml: &str,
        command: &mut Command,
    ) -> Result<Self> {
        let mut gateway = Self::new(topology, namespace, interface, &[]);
        gateway.write(toml)?;
        gateway.launch(topology, command)?;
        Ok(gateway)
    }

    /// The first lines of a `weir.toml`, up to the private key in `[interface]`; state is kept beside the file.
    pub fn head(topology: &Topology, interface: &str, key: &KeyPair) -> String {
        format!(
            "[dataplane]\nstate_directory = \"{}\"\n\n[interface]\nname = \"{interface}\"\nprivate_key = \"{}\"\n",
            topology.folder().display(),
            *key.private().expose_base64(),
        )
    }

    /// Its namespace.
    pub fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    /// Its interface's name.
    pub fn interface(&self) -> &str {
        &self.interface
    }

    /// Its `weir.toml`.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// Its process.
    pub fn process(&mut self) -> &mut Process {
        self.process.as_mut().expect("it runs but during a restart")
    }

    /// Its process id, while it runs.
    pub fn pid(&self) -> Option<u32> {
        self.process.as_ref().map(Process::pid)
    }

    /// Replaces the file; nothing is read again yet.
    pub fn write(&self, toml: &str) -> Result<()> {
        private_file::write(&self.file, toml)
    }

    /// Has it read the file again (SIGHUP), and waits until its log says that this is done.
    pub fn reload(&mut self) -> Result<()> {
        let reloads = |log: String| log.matches(RELOADED).count();
        let before = reloads(self.process().log());
        self.process().signal(Signal::SIGHUP)?;
        wait::until_true("a reload", START_LIMIT, || reloads(self.process().log()) > before)
    }

    /// Kills it as `kill -9` does.
    pub fn kill(&mut self) -> Result<()> {
        if let Some(mut process) = self.process.take() {
            process.kill()?;
        }
        Ok(())
    }

    /// Kills it as `kill -9` does, starts it anew from its file, and waits until it answers.
    pub fn restart(&mut self, topology: &Topology) -> Result<()> {
        self.kill()?;
        self.launch(topology, &mut program()?)
    }

    /// What `weir status --json` tells of it.
    pub fn status(&self) -> Result<Value> {
        status(&self.namespace, &self.interface)
    }

    /// Runs `wg` in its namespace, arguments separated by spaces. No secret belongs in them.
    pub fn wg(&self, arguments: &str) -> Result<String> {
        self.namespace
            .run(programs::tool("wg")?.args(arguments.split_whitespace()))
    }

    fn new(topology: &Topology, namespace: &Namespace, interface: &str, arguments: &[&str]) -> Self {
        Self {
            namespace: namespace.clone(),
            interface: interface.to_owned(),
            file: topology.folder().join(format!("{interface}.toml")),
            arguments: arguments.iter().map(|&argument| argument.to_owned()).collect(),
            process: None,
        }
    }

    fn launch(&mut self, topology: &Topology, command: &mut Command) -> Result<()> {
        command.args(&self.arguments).arg("--config").arg(&self.file);
        let mut process = topology.start(&self.namespace, "weir-dataplane", command)?;
        let pid = process.pid();
        let ended = wait::until("the gateway's answer", START_LIMIT, || match process.ended() {
            // A killed predecessor's socket answers nobody.
            Ok(None) => self
                .status()
                .is_ok_and(|status| status["pid"] == pid)
                .then_some(Ok(None)),
            ended => Some(ended),
        })??;
        if let Some(status) = ended {
            return Err(LabError::Failed {
                command: format!("weir-dataplane --config {}", self.file.display()),
                status,
                output: process.log(),
            });
        }
        self.process = Some(process);
        Ok(())
    }
}

fn program() -> Result<Command> {
    programs::weir("weir-dataplane").map(Command::new)
}

/// What `weir status --json` tells of the data plane on an interface, drop-in or configured.
pub fn status(namespace: &Namespace, interface: &str) -> Result<Value> {
    let mut command = Command::new(programs::weir("weir")?);
    let output = namespace.run(command.args(["status", interface, "--json"]))?;
    let statuses: Option<Vec<Value>> = serde_json::from_str(&output).ok();
    statuses
        .and_then(|statuses| statuses.into_iter().next())
        .ok_or(LabError::Unreadable {
            program: "weir",
            expected: "status of one interface in JSON",
            output,
        })
}

/// How many packets a data plane dropped for a reason, by the reason's name.
pub fn drops(status: &Value, reason: &str) -> u64 {
    status["drops"][reason].as_u64().unwrap_or(0)
}

impl Drop for Configured {
    fn drop(&mut self) {
        if let Some(mut process) = self.process.take() {
            // An orderly end withdraws what it set on the host; what is left goes with the topology.
            let _ = process.signal(Signal::SIGTERM);
            let _ = process.wait(START_LIMIT);
        }
        // Keys lie in it.
        let _ = fs::remove_file(&self.file);
    }
}
