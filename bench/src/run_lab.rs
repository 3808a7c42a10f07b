//! A gateway as `weir run` starts it on first use: both processes, a configuration, a page and its first password.

use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::client_conf::ClientConf;
use crate::{LabError, Namespace, Process, Result, Topology, api::Api, programs, wait};

/// Where clients seek the gateway.
pub const OUTSIDE: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);

/// The gateway's address in the tunnel that `weir run` makes.
pub const INSIDE: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 77, 0, 1));

/// Within which both processes answer, three times what it may take.
const START_LIMIT: Duration = Duration::from_secs(45);

/// The user without privileges that control runs as here.
const USER: (&str, u32) = ("nobody", 65534);

/// A running `weir run`; it and what it started end when this is dropped.
pub struct RunLab {
    run: Process,
    host: Namespace,
    config: PathBuf,
    sockets: PathBuf,
}

/// How to reach the page, and as whom.
pub struct Login {
    /// Its address.
    pub url: String,
    /// The user.
    pub user: &'static str,
    /// The first password.
    pub password: String,
}

impl RunLab {
    /// Starts it in a namespace of its own and does not wait.
    pub fn start(topology: &Topology) -> Result<Self> {
        let host = topology.namespace("gateway")?;
        host.forward()?;
        host.ip(&format!("address add {OUTSIDE}/32 dev lo"))?;
        let config = topology.folder().join("weir.toml");
        let control = topology.folder_for("control", USER.1)?;
        let sockets = control.join("run");
        let mut command = Command::new(programs::weir("weir")?);
        command
            .arg("run")
            .arg("--config")
            .arg(&config)
            .args(["--endpoint", &OUTSIDE.to_string()])
            .args(["--interface", &topology.interface("run")])
            .args(["--control-user", USER.0, "--qr", "never"])
            .arg("--store")
            .arg(control.join("store"))
            .arg("--control-directory")
            .arg(&sockets)
            .args(["--", "--sample-s", "1"]);
        let run = topology.start(&host, "weir-run", &mut command)?;
        Ok(Self {
            run,
            host,
            config,
            sockets,
        })
    }

    /// The gateway's namespace.
    pub fn host(&self) -> &Namespace {
        &self.host
    }

    /// The configuration that was written.
    pub fn config(&self) -> &Path {
        &self.config
    }

    /// What it has said so far.
    pub fn said(&self) -> String {
        self.run.log()
    }

    /// Waits until it says where the page is and how the first administrator gets in.
    pub fn login(&mut self) -> Result<Login> {
        let value = |log: &str, before: &str, after: &str| {
            let (_, rest) = log.split_once(before)?;
            rest.split_once(after).map(|(value, _)| value.to_owned())
        };
        wait::until("the words of weir run about its page", START_LIMIT, || {
            let log = self.said();
            match self.run.ended() {
                Ok(None) => {}
                Ok(Some(status)) => {
                    return Some(Err(LabError::Failed {
                        command: "weir run".to_owned(),
                        status,
                        output: log,
                    }));
                }
                Err(error) => return Some(Err(error)),
            }
            Some(Ok(Login {
                url: value(&log, "web page: ", "\n")?,
                user: "admin",
                password: value(&log, "first login: admin, password ", ",")?,
            }))
        })?
    }

    /// The configuration of the first client.
    pub fn first_client(&self) -> Result<ClientConf> {
        let path = self.config.with_file_name("clients").join("client1.conf");
        let text = fs::read_to_string(&path).map_err(LabError::io(format!("read {}", path.display())))?;
        Ok(ClientConf::new(&text))
    }

    /// A client of its API over the Unix socket, as root.
    pub fn api(&self) -> Api {
        Api::new(&self.sockets.join("api.sock"))
    }
}
