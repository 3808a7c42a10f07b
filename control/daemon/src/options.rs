//! What weir-control is started with. No secret is among it: those come by files.

use clap::Parser;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// The control process of a Weir gateway: owner of its peers, server of its API and its page.
#[derive(Parser, Clone, Debug)]
#[command(name = "weir-control", version)]
pub struct Options {
    /// The interface whose data plane this controls
    #[arg(long, value_name = "IFNAME", default_value = "weir0")]
    pub interface: String,

    /// The data plane's socket [default: /run/weir/IFNAME.sock]
    #[arg(long, value_name = "PATH")]
    pub dataplane: Option<PathBuf>,

    /// The folder of the store; made, mode 0700, where it is missing
    #[arg(long, value_name = "FOLDER", default_value = "/var/lib/weir/control")]
    pub store: PathBuf,

    /// A file with the key that seals the store's secrets; without one, a key beside the store
    #[arg(long, value_name = "PATH")]
    pub key_file: Option<PathBuf>,

    /// The Unix socket of the API; "none" serves none
    #[arg(long, value_name = "PATH", default_value = "/run/weir-control/api.sock")]
    pub socket: PathBuf,

    /// Addresses to serve the API and the page on; "none" serves on the Unix socket alone
    #[arg(
        long,
        value_name = "ADDRESS:PORT",
        default_value = "127.0.0.1:8480",
        value_delimiter = ','
    )]
    pub listen: Vec<String>,

    /// The certificate chain for TLS, PEM; read again when it changes
    #[arg(long, value_name = "PATH", requires = "tls_key")]
    pub tls_cert: Option<PathBuf>,

    /// The certificate's private key, PEM
    #[arg(long, value_name = "PATH", requires = "tls_cert")]
    pub tls_key: Option<PathBuf>,

    /// Serve beyond this host without TLS, as behind a proxy or on a tunnel's address
    #[arg(long)]
    pub allow_plain: bool,

    /// The address that clients reach the gateway by, where weir.toml gives none
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub endpoint: Option<String>,

    /// The file to write the first administrator's password to, mode 0600; removed once it was changed
    #[arg(long, value_name = "PATH")]
    pub first_password_file: Option<PathBuf>,

    /// Seconds between two samples of the peers for history and alerts
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = clap::value_parser!(u64).range(1..=300))]
    pub sample_s: u64,

    /// Run as root, which nothing here needs
    #[arg(long)]
    pub allow_root: bool,
}

/// What is wrong with the options, as a person is told.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum OptionsError {
    /// Started as root.
    #[error(
        "weir-control needs no privileges and refuses to run as root; start it as another user, or with --allow-root"
    )]
    Root,
    /// Not an address.
    #[error("--listen: \"{0}\"; expected an address and port such as 127.0.0.1:8480, or none")]
    Listen(String),
    /// Beyond this host, readable on the way.
    #[error(
        "--listen: {0} is reached from other hosts, which would send passwords in the clear; expected --tls-cert and \
         --tls-key, or --allow-plain where only a tunnel or a proxy leads there"
    )]
    Plain(SocketAddr),
    /// Not an interface's name.
    #[error("--interface: \"{0}\"; expected a device name of 1 to 15 characters")]
    Interface(String),
    /// Not an endpoint.
    #[error("--endpoint: {0}")]
    Endpoint(String),
}

impl Options {
    /// Checks what clap cannot; `uid` is the effective user.
    pub fn check(&self, uid: u32) -> Result<(), OptionsError> {
        if uid == 0 && !self.allow_root {
            return Err(OptionsError::Root);
        }
        if !weir_config::is_interface_name(&self.interface) {
            return Err(OptionsError::Interface(self.interface.clone()));
        }
        if let Some(text) = &self.endpoint {
            weir_config::endpoint_with_default_port(text, weir_config::DEFAULT_PORT)
                .map_err(|error| OptionsError::Endpoint(error.to_string()))?;
        }
        let exposed = self.addresses()?.into_iter().find(|a| !a.ip().is_loopback());
        match exposed {
            Some(address) if self.tls_cert.is_none() && !self.allow_plain => {
                Err(OptionsError::Plain(address))
            }
            Some(_) | None => Ok(()),
        }
    }

    /// The addresses to listen on.
    pub fn addresses(&self) -> Result<Vec<SocketAddr>, OptionsError> {
        let given = self.listen.iter().filter(|text| *text != "none");
        given
            .map(|text| text.parse().map_err(|_| OptionsError::Listen(text.clone())))
            .collect()
    }

    /// The Unix socket to serve on, if any.
    pub fn unix_socket(&self) -> Option<&PathBuf> {
        Some(&self.socket).filter(|path| path.as_os_str() != "none")
    }

    /// The data plane's socket.
    pub fn dataplane_socket(&self) -> PathBuf {
        let usual = || PathBuf::from(weir_abi::ipc::DIRECTORY).join(format!("{}.sock", self.interface));
        self.dataplane.clone().unwrap_or_else(usual)
    }

    /// Between two samples of the peers.
    pub fn sample_interval(&self) -> Duration {
        Duration::from_secs(self.sample_s)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(arguments: &[&str]) -> Options {
        Options::parse_from([&["weir-control"], arguments].concat())
    }

    // Catches passwords served in the clear to other hosts, and a process that keeps root's powers unasked.
    #[test]
    fn what_is_dangerous_must_be_asked_for() {
        let check = |arguments: &[&str], uid| options(arguments).check(uid).map_err(|e| e.to_string());
        assert_eq!(check(&[], 1000), Ok(()));
        assert_eq!(check(&["--allow-root"], 0), Ok(()));
        assert!(check(&[], 0).is_err_and(|e| e.contains("--allow-root")));
        for open in ["0.0.0.0:8080", "[::]:8080", "10.77.0.1:80"] {
            assert!(
                check(&["--listen", open], 1).is_err_and(|e| e.contains(open)),
                "{open}"
            );
            assert_eq!(check(&["--listen", open, "--allow-plain"], 1), Ok(()));
            let tls = ["--listen", open, "--tls-cert", "c", "--tls-key", "k"];
            assert_eq!(check(&tls, 1), Ok(()));
        }
        assert!(check(&["--listen", "localhost"], 1).is_err());
        assert_eq!(check(&["--listen", "none"], 1), Ok(()));
    }
}
