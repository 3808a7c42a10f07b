//! The command line.

use clap::{Args as ClapArgs, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use std::path::PathBuf;
use weir_abi::endpoint::Endpoint;
use weir_abi::key::PublicKey;
use weir_abi::prefix::Prefix;
use weir_config::PortRole;

/// Where the configuration is looked for.
pub const CONFIG: &str = "/etc/weir/weir.toml";

/// What [`weir_config::is_interface_name`] accepts, in words.
pub const INTERFACE_NAME: &str = "a device name of 1 to 15 characters without '/', ':', '%' and spaces";

/// What scripts need to know, below the help of the program.
const EXIT_STATUS: &str = "Exit status: 0 done; 1 refused or failed, and why on standard error (for doctor: something is bad); \
    2 wrong usage; 141 nobody reads the output any more; run ends with the data plane's own.";

#[derive(Parser)]
#[command(
    name = "weir",
    version,
    about = "A WireGuard gateway: keys, peers, status, doctor",
    after_help = EXIT_STATUS
)]
pub struct Args {
    /// Where the sockets of running data planes are.
    #[arg(long, global = true, hide = true, default_value = weir_abi::ipc::DIRECTORY)]
    pub run_directory: PathBuf,
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Subcommand)]
pub enum Command {
    /// Make a private key.
    Keygen {
        /// Write it to this file, which must not exist yet, with mode 0600; the public key goes to standard output.
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// Read a private key from standard input and print its public key.
    Pubkey,
    /// Make a preshared key.
    Genpsk,
    /// Verify a configuration as a whole and name every problem.
    Check {
        /// The configuration.
        #[arg(default_value = CONFIG)]
        file: PathBuf,
    },
    /// Show a running data plane: peers, ports, back ends, drops.
    Status(StatusArgs),
    /// Say what this machine allows, what is in the way, and what to change.
    Doctor(DoctorArgs),
    /// Turn a wg-quick .conf into a weir.toml.
    Import(ImportArgs),
    /// Add, remove and list peers of the configuration.
    Peer {
        #[command(subcommand)]
        command: PeerCommand,
        /// The configuration.
        #[arg(long, global = true, value_name = "FILE", default_value = CONFIG)]
        config: PathBuf,
    },
    /// Start a gateway on this host in the foreground; writes a configuration, keys and a first client where there are
    /// none yet.
    Run(RunArgs),
    /// Print completions for a shell, such as: weir completion bash > /etc/bash_completion.d/weir
    #[command(verbatim_doc_comment)]
    Completion {
        /// The shell.
        shell: Shell,
    },
}

#[derive(Subcommand)]
pub enum PeerCommand {
    /// Add a client: addresses and keys are made for it, its configuration is printed.
    Add(Box<AddArgs>),
    /// Remove a peer.
    Remove {
        /// Its name or public key.
        #[arg(value_name = "NAME|KEY")]
        peer: String,
    },
    /// List the peers that the configuration declares.
    List {
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
}

#[derive(ClapArgs)]
pub struct StatusArgs {
    /// The interface; without it, all that run.
    pub interface: Option<String>,
    /// As JSON.
    #[arg(long)]
    pub json: bool,
    /// Again every two seconds, until interrupted.
    #[arg(long, conflicts_with = "json")]
    pub watch: bool,
}

#[derive(ClapArgs)]
pub struct DoctorArgs {
    /// The configuration to judge the machine against; without this /etc/weir/weir.toml, where it is there.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Judge this network device too, as a port for AF_XDP; may be given again.
    #[arg(long = "device", value_name = "DEVICE")]
    pub devices: Vec<String>,
    /// As JSON.
    #[arg(long)]
    pub json: bool,
}

#[derive(ClapArgs)]
pub struct ImportArgs {
    /// The .conf; its name without .conf becomes the interface's.
    pub file: PathBuf,
    /// Write to this file, which must not exist yet, with mode 0600, instead of standard output.
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
}

#[derive(ClapArgs)]
pub struct AddArgs {
    /// A name for the peer: 1 to 64 letters, digits, spaces and -_.@+, with a letter or digit at either end.
    pub name: String,
    /// What the peer may send from and is sent; without this the next free addresses.
    #[arg(long, value_name = "PREFIX,...", value_delimiter = ',')]
    pub allowed_ips: Vec<Prefix>,
    /// The peer's public key; no private key is made then.
    #[arg(long, value_name = "KEY")]
    pub public_key: Option<PublicKey>,
    /// Whether a preshared key is made.
    #[arg(long, value_name = "WHETHER", value_enum, default_value_t = Preshared::Generate)]
    pub preshared_key: Preshared,
    /// Where the gateway reaches the peer, for peers that do not call in.
    #[arg(long, value_name = "HOST:PORT")]
    pub endpoint: Option<Endpoint>,
    /// Seconds between keepalives that the gateway sends; 0 is off.
    #[arg(long, value_name = "SECONDS", allow_negative_numbers = true)]
    pub keepalive: Option<u16>,
    /// Where the client reaches the gateway, instead of endpoint in [interface].
    #[arg(long, value_name = "HOST[:PORT]")]
    pub gateway: Option<String>,
    /// Everything the client sends goes through the tunnel; so it is without this where the gateway translates (nat).
    #[arg(long)]
    pub full_tunnel: bool,
    /// Only what the client sends to the tunnel's networks goes through it.
    #[arg(long, conflicts_with = "full_tunnel")]
    pub split_tunnel: bool,
    /// Write the client's configuration to this file, which must not exist yet, with mode 0600, too.
    #[arg(long, value_name = "FILE")]
    pub conf: Option<PathBuf>,
    /// When to print a QR code of the client's configuration.
    #[arg(long, value_name = "WHEN", value_enum, default_value_t = When::Auto)]
    pub qr: When,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Preshared {
    /// Make one.
    Generate,
    /// None.
    None,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum When {
    /// On a terminal.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

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
