//! A running `weir-control` beside a configured gateway, without privileges, with a store and an API of its own.

use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use nix::sys::signal::Signal;

use crate::api::Api;
use crate::{LabError, Namespace, Process, Result, Topology, programs, wait};

/// The user that it runs as: nobody, who owns nothing.
pub const UID: u32 = 65534;

/// The group of that user, to which the data plane opens its socket.
pub const GROUP: &str = "nogroup";

/// How long it may take until it is ready.
const START_LIMIT: Duration = Duration::from_secs(15);

/// A running control process. Its store lies in the topology's folders and outlives it.
#[derive(Debug)]
pub struct Control {
    namespace: Namespace,
    folder: PathBuf,
    arguments: Vec<String>,
    process: Option<Process>,
}

impl Control {
    /// Starts it for the gateway on `interface`, with a folder of its own, and waits until it is ready.
    pub fn start(topology: &Topology, namespace: &Namespace, interface: &str) -> Result<Self> {
        let mut control = Self::prepare(topology, namespace, interface)?;
        control.launch(topology)?;
        control.await_ready()?;
        Ok(control)
    }

    /// Makes its folder and starts nothing yet.
    pub fn prepare(topology: &Topology, namespace: &Namespace, interface: &str) -> Result<Self> {
        let folder = topology.folder_for("control", UID)?;
        let path = |name: &str| folder.join(name).display().to_string();
        let arguments = [
            "--interface",
            interface,
            "--store",
            &path("store"),
            "--socket",
            &path("api.sock"),
            "--listen",
            "none",
            "--sample-s",
            "1",
        ];
        Ok(Self {
            arguments: arguments.map(str::to_owned).to_vec(),
            namespace: namespace.clone(),
            folder,
            process: None,
        })
    }

    /// Starts it and does not wait.
    pub fn launch(&mut self, topology: &Topology) -> Result<()> {
        let mut command = Command::new(programs::weir("weir-control")?);
        command.args(&self.arguments).uid(UID).gid(UID);
        self.process = Some(topology.start(&self.namespace, "weir-control", &mut command)?);
        Ok(())
    }

    /// Waits until it says that it is ready.
    pub fn await_ready(&mut self) -> Result<()> {
        let ended = wait::until("a control process that is ready", START_LIMIT, || {
            match self.process().ended() {
                Ok(None) => self.is_ready().then_some(Ok(None)),
                ended => Some(ended),
            }
        })??;
        match ended {
            None => Ok(()),
            Some(status) => Err(LabError::Failed {
                command: "weir-control".to_owned(),
                status,
                output: self.process().log(),
            }),
        }
    }

    /// Kills it as `kill -9` does.
    pub fn kill(&mut self) -> Result<()> {
        match self.process.take() {
            Some(mut process) => process.kill().map(drop),
            None => Ok(()),
        }
    }

    /// Ends it in an orderly way, as an upgrade does.
    pub fn stop(&mut self) -> Result<()> {
        let mut process = self.process.take().expect("it runs until it is killed");
        process.signal(Signal::SIGTERM)?;
        process.wait(START_LIMIT).map(drop)
    }

    /// Kills it as `kill -9` does, starts it anew, and waits until it is ready.
    pub fn restart(&mut self, topology: &Topology) -> Result<()> {
        self.kill()?;
        self.launch(topology)?;
        self.await_ready()
    }

    /// Whether `/readyz` says so now.
    pub fn is_ready(&self) -> bool {
        let answer = self.api().send("GET", "/readyz", &[], None);
        answer.is_ok_and(|answer| answer.status == 200)
    }

    /// A client of its API.
    pub fn api(&self) -> Api {
        Api::new(&self.folder.join("api.sock"))
    }

    /// The folder of its store.
    pub fn store(&self) -> PathBuf {
        self.folder.join("store")
    }

    /// Its own folder, which holds the store and the socket.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Its process, while it runs.
    ///
    /// # Panics
    /// When it was killed.
    pub fn process(&mut self) -> &mut Process {
        self.process.as_mut().expect("it runs until it is killed")
    }
}
