//! The command line.

mod control;
mod peer;
mod run;

pub use control::{
    AdminCommand, AuditArgs, AuditCommand, BackupArgs, ChangeArgs, ChangesCommand, EventsArgs, Passphrase,
    Password, Period, ReportArgs, RestoreArgs, Role, RuleCommand, TokenArgs, TokenCommand, TopArgs,
    UserCommand,
};
pub use peer::{AddArgs, ListArgs, OnOffArgs, OneArgs, Owner, PeerCommand, Preshared, SetArgs};
pub use run::RunArgs;

use clap::{Args as ClapArgs, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use std::path::PathBuf;

/// Where the configuration is looked for.
pub const CONFIG: &str = "/etc/weir/weir.toml";

/// What [`weir_config::is_interface_name`] accepts, in words.
pub const INTERFACE_NAME: &str = "a device name of 1 to 15 characters without '/', ':', '%' and spaces";

/// What scripts need to know, below the help of the program.
const EXIT_STATUS: &str = "Exit status: 0 done; 1 refused or failed, and why on standard error (for doctor, peer why and \
    audit verify: something is bad); 2 wrong usage; 130 given up at a prompt; 141 nobody reads the output any more; \
    run ends with the data plane's own.\n\n\
    --json prints what the API answers; of a list, an array of its items.";

#[derive(Parser)]
#[command(
    name = "weir",
    version,
    about = "A WireGuard gateway: run, peers, status, doctor, audit, backup",
    after_help = EXIT_STATUS
)]
pub struct Args {
    /// Where the sockets of running data planes are.
    #[arg(long, global = true, hide = true, default_value = weir_abi::ipc::DIRECTORY)]
    pub run_directory: PathBuf,
    /// Where the socket of the control process is.
    #[arg(long, global = true, hide = true, default_value = crate::control::DIRECTORY)]
    pub control_directory: PathBuf,
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
    /// Add, change, remove, list and examine peers: the control process's where one runs, else the configuration's.
    Peer {
        #[command(subcommand)]
        command: PeerCommand,
        #[command(flatten)]
        owner: Owner,
    },
    /// Look at access rules.
    Rule {
        #[command(subcommand)]
        command: RuleCommand,
    },
    /// Show what happened lately: states of peers, refused handshakes, changes, alerts.
    Events(EventsArgs),
    /// Watch a running data plane: throughput, shards, the busiest peers; q ends it.
    Top(TopArgs),
    /// Show who changed what, prove that nothing is missing, and report on it.
    Audit {
        #[command(subcommand)]
        command: Option<AuditCommand>,
    },
    /// Write all that the control process keeps to a file, encrypted by a passphrase.
    Backup(BackupArgs),
    /// Have the control process take over what a backup holds.
    Restore(RestoreArgs),
    /// Make, list and end tokens, by which programs use the API.
    Token {
        #[command(subcommand)]
        command: TokenCommand,
    },
    /// Say who may log in to the web page, and as what.
    User {
        #[command(subcommand)]
        command: UserCommand,
    },
    /// Restore access to the web page.
    Admin {
        #[command(subcommand)]
        command: AdminCommand,
    },
    /// List, keep and take back changes that wait for a confirmation.
    Changes {
        #[command(subcommand)]
        command: Option<ChangesCommand>,
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

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum When {
    /// On a terminal.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}
