//! `weir run`.

use super::{CONFIG, When};
use clap::Args as ClapArgs;
use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;
use weir_config::PortRole;

#[derive(ClapArgs)]
pub struct RunArgs {
    /// The configuration; written on first use.
    #[arg(long, value_name = "FILE", default_value = CONFIG)]
    pub config: PathBuf,
    /// The address that clients use; without this, on first use, that of the default route's interface.
    #[arg(long, value_name = "HOST[:PORT]")]
    pub endpoint: Option<String>,
    /// The UDP port, on first use; 51820 unless given. Later, listen_port in [interface] says it.
    #[arg(long, allow_negative_numbers = true, value_parser = clap::value_parser!(u16).range(1..))]
    pub port: Option<u16>,
    /// The interface's name, on first use; weir0 unless given. Later, name in [interface] says it.
    #[arg(long, value_name = "NAME")]
    pub interface: Option<String>,
    /// The device on which tunnels' datagrams arrive, to be taken by AF_XDP; written into the configuration.
    #[arg(long, value_name = "DEVICE")]
    pub nic: Option<String>,
    /// The device behind which the networks are that peers reach, to be a port of AF_XDP too; written into the
    /// configuration.
    #[arg(long, value_name = "DEVICE")]
    pub lan: Option<String>,
    /// Start the data plane alone: no web page, no API, and peers only of the configuration and the wg tool.
    #[arg(long, conflicts_with_all = ["control_user", "listen", "control_options"])]
    pub no_control: bool,
    /// The unprivileged user that the control process runs as.
    #[arg(long, value_name = "USER", default_value = "weir")]
    pub control_user: String,
    /// Where the web page and the API are served.
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:8480")]
    pub listen: SocketAddr,
    /// Where the control process keeps its store.
    #[arg(
        long,
        value_name = "FOLDER",
        hide = true,
        default_value = "/var/lib/weir/control"
    )]
    pub store: PathBuf,
    /// The control process's program, instead of weir-control beside this one or in PATH.
    #[arg(long, value_name = "FILE", hide = true)]
    pub control: Option<PathBuf>,
    /// More options for the control process, behind --, such as: -- --tls-cert FILE --tls-key FILE
    #[arg(last = true, value_name = "OPTION", verbatim_doc_comment)]
    pub control_options: Vec<OsString>,
    /// The data plane's program, instead of weir-dataplane beside this one or in PATH.
    #[arg(long, value_name = "FILE", hide = true)]
    pub dataplane: Option<PathBuf>,
    /// When to print a QR code of the client's configuration.
    #[arg(long, value_name = "WHEN", value_enum, default_value_t = When::Auto)]
    pub qr: When,
}

impl RunArgs {
    /// The devices of AF_XDP that were asked for.
    pub fn devices(&self) -> impl Iterator<Item = (PortRole, &str)> {
        let (nic, lan) = (self.nic.as_deref(), self.lan.as_deref());
        let nic = nic.map(|device| (PortRole::Wan, device));
        nic.into_iter().chain(lan.map(|device| (PortRole::Lan, device)))
    }

    /// The UDP port of a gateway that has no configuration yet.
    pub fn first_port(&self) -> u16 {
        self.port.unwrap_or(weir_config::DEFAULT_PORT)
    }

    /// The interface of a gateway that has no configuration yet.
    pub fn first_interface(&self) -> &str {
        self.interface.as_deref().unwrap_or("weir0")
    }
}
