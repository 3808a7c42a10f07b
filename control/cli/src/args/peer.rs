//! `weir peer`.

use super::{ChangeArgs, When};
use clap::{Args as ClapArgs, Subcommand, ValueEnum};
use std::path::PathBuf;
use weir_abi::endpoint::Endpoint;
use weir_abi::key::PublicKey;
use weir_abi::prefix::Prefix;

/// Who is asked and told.
#[derive(ClapArgs)]
pub struct Owner {
    /// The configuration, though a control process runs: what weir.toml declares is changed there and nowhere else.
    #[arg(long, global = true)]
    pub file: bool,
    /// The configuration, where it is not /etc/weir/weir.toml; implies --file.
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

#[derive(Subcommand)]
pub enum PeerCommand {
    /// Add a client: addresses and keys are made for it, its configuration is printed.
    Add(Box<AddArgs>),
    /// Change what a peer is; what is not named stays.
    Set(Box<SetArgs>),
    /// Remove a peer.
    Remove {
        /// Its name or public key.
        #[arg(value_name = "NAME|KEY")]
        peer: String,
        #[command(flatten)]
        change: ChangeArgs,
    },
    /// List all peers: the configuration's, and those of the control process where one runs.
    List(ListArgs),
    /// Show a peer with all that is known of it.
    Show(OneArgs),
    /// Let a disabled peer in again.
    Enable(OnOffArgs),
    /// Keep a peer, but let it in no more.
    Disable(OnOffArgs),
    /// Say why a peer has no handshake, or why nothing comes through.
    Why {
        #[command(flatten)]
        one: OneArgs,
        /// Try it out too: begin a handshake and send echo requests through the tunnel, for up to 5 s.
        #[arg(long)]
        probe: bool,
    },
}

#[derive(ClapArgs)]
pub struct OneArgs {
    /// The peer's name or public key.
    #[arg(value_name = "NAME|KEY")]
    pub peer: String,
    /// As JSON.
    #[arg(long)]
    pub json: bool,
}

#[derive(ClapArgs)]
pub struct OnOffArgs {
    /// The peer's name or public key.
    #[arg(value_name = "NAME|KEY")]
    pub peer: String,
    #[command(flatten)]
    pub change: ChangeArgs,
}

#[derive(ClapArgs)]
pub struct ListArgs {
    /// As JSON: an array.
    #[arg(long)]
    pub json: bool,
    /// Those in whose name, key, addresses or notes this occurs.
    #[arg(long, value_name = "TEXT")]
    pub find: Option<String>,
    /// Those of this group.
    #[arg(long, value_name = "GROUP")]
    pub group: Option<String>,
    /// Those in this state.
    #[arg(long, value_name = "STATE", value_parser = ["init", "handshaking", "connected", "rekeying", "disconnected", "absent"])]
    pub state: Option<String>,
    /// Those of this owner: the configuration, or the control process.
    #[arg(long, value_name = "OWNER", value_parser = ["file", "control"])]
    pub owner: Option<String>,
}

impl ListArgs {
    /// Whether only some are wanted, which the control process knows how to choose.
    pub fn chooses(&self) -> bool {
        self.find.is_some() || self.group.is_some() || self.state.is_some() || self.owner.is_some()
    }
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
    /// A group that the peer is in, for access rules; may be given again.
    #[arg(long = "group", value_name = "GROUP")]
    pub groups: Vec<String>,
    /// When the peer is let in no more: a time such as 2027-01-31T12:00:00Z, or a number of days such as 30d. Only with a
    /// control process.
    #[arg(long, value_name = "WHEN")]
    pub expires: Option<String>,
    /// A remark. Only with a control process.
    #[arg(long, value_name = "TEXT")]
    pub notes: Option<String>,
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
    #[command(flatten)]
    pub change: ChangeArgs,
}

impl AddArgs {
    /// The first option that only a control process can heed.
    pub fn beyond_the_file(&self) -> Option<&'static str> {
        let change = self.change.beyond_the_file();
        let mut given = [
            (self.expires.is_some(), "--expires"),
            (self.notes.is_some(), "--notes"),
        ]
        .into_iter();
        given.find(|(given, _)| *given).map(|(_, name)| name).or(change)
    }
}

#[derive(ClapArgs)]
pub struct SetArgs {
    /// The peer's name or public key.
    #[arg(value_name = "NAME|KEY")]
    pub peer: String,
    /// Its new name.
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// What the peer may send from and is sent.
    #[arg(long, value_name = "PREFIX,...", value_delimiter = ',')]
    pub allowed_ips: Option<Vec<Prefix>>,
    /// Where the gateway reaches the peer; none: only where it calls in from.
    #[arg(long, value_name = "HOST:PORT|none")]
    pub endpoint: Option<String>,
    /// Seconds between keepalives that the gateway sends; 0 is off.
    #[arg(long, value_name = "SECONDS", allow_negative_numbers = true)]
    pub keepalive: Option<u16>,
    /// The groups that the peer is in, all of them; none: no group.
    #[arg(long, value_name = "GROUP,...|none", value_delimiter = ',')]
    pub groups: Option<Vec<String>>,
    /// When the peer is let in no more: a time such as 2027-01-31T12:00:00Z, a number of days such as 30d, or none.
    #[arg(long, value_name = "WHEN|none")]
    pub expires: Option<String>,
    /// A remark; an empty one takes it away.
    #[arg(long, value_name = "TEXT")]
    pub notes: Option<String>,
    #[command(flatten)]
    pub change: ChangeArgs,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Preshared {
    /// Make one.
    Generate,
    /// None.
    None,
}
