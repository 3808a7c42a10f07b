//! Commands that only the control process can answer.

use clap::{Args as ClapArgs, Subcommand, ValueEnum};
use std::path::PathBuf;

/// How a change is made.
#[derive(ClapArgs, Default)]
pub struct ChangeArgs {
    /// Change nothing and show what would change.
    #[arg(long)]
    pub dry_run: bool,
    /// Revert by itself after so many seconds, 10 to 3600, unless it is confirmed: weir changes confirm ID.
    #[arg(long, value_name = "SECONDS", conflicts_with = "dry_run")]
    pub confirm_within: Option<u32>,
    /// As JSON.
    #[arg(long)]
    pub json: bool,
}

impl ChangeArgs {
    /// The first of these that only a control process can heed.
    pub fn beyond_the_file(&self) -> Option<&'static str> {
        let mut given = [
            (self.dry_run, "--dry-run"),
            (self.confirm_within.is_some(), "--confirm-within"),
            (self.json, "--json"),
        ]
        .into_iter();
        given.find(|(given, _)| *given).map(|(_, name)| name)
    }
}

#[derive(Subcommand)]
pub enum RuleCommand {
    /// List the access rules in the order in which they are judged.
    List {
        /// As JSON: an array.
        #[arg(long)]
        json: bool,
    },
}

#[derive(ClapArgs)]
pub struct EventsArgs {
    /// Stay, and print what happens as it happens.
    #[arg(long)]
    pub follow: bool,
    /// Only what happened after this event, as --json names it.
    #[arg(long, value_name = "ID", default_value = crate::events::ALL)]
    pub after: String,
    /// As JSON: an object a line.
    #[arg(long)]
    pub json: bool,
}

#[derive(ClapArgs)]
pub struct TopArgs {
    /// The interface; without it, the only one that runs.
    pub interface: Option<String>,
    /// Seconds between two pictures.
    #[arg(long, value_name = "SECONDS", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=60))]
    pub interval: u64,
    /// One picture, measured over one interval; so it is without this where the output is no terminal.
    #[arg(long)]
    pub once: bool,
    /// As JSON; implies --once.
    #[arg(long)]
    pub json: bool,
}

#[derive(Subcommand)]
pub enum AuditCommand {
    /// List what was changed, by whom and from where, the newest last.
    List(AuditArgs),
    /// Recompute the chain of hashes: whether an entry was removed or altered.
    Verify {
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Report on a period: peers, handshakes, bytes, changes, refused logins, denied flows.
    Report(ReportArgs),
}

#[derive(ClapArgs, Default)]
pub struct AuditArgs {
    /// At most so many, the newest.
    #[arg(long, value_name = "COUNT", default_value_t = 50)]
    pub limit: usize,
    /// Those of this actor.
    #[arg(long, value_name = "NAME")]
    pub actor: Option<String>,
    /// Those about this target.
    #[arg(long, value_name = "TEXT")]
    pub target: Option<String>,
    #[command(flatten)]
    pub period: Period,
    /// As JSON: an array.
    #[arg(long)]
    pub json: bool,
}

/// A period of time.
#[derive(ClapArgs, Default)]
pub struct Period {
    /// From then on, such as 2027-01-31T00:00:00Z.
    #[arg(long, value_name = "TIME")]
    pub from: Option<String>,
    /// Until then.
    #[arg(long, value_name = "TIME")]
    pub to: Option<String>,
}

#[derive(ClapArgs)]
#[group(skip)]
pub struct ReportArgs {
    #[command(flatten)]
    pub period: Period,
    /// As CSV; so it is without --json.
    #[arg(long, conflicts_with = "json")]
    pub csv: bool,
    /// As JSON.
    #[arg(long)]
    pub json: bool,
}

/// Where a passphrase comes from: never the command line, which others can read.
#[derive(ClapArgs)]
pub struct Passphrase {
    /// A file whose first line is the passphrase; without it, it is asked for on the terminal.
    #[arg(long, value_name = "FILE")]
    pub passphrase_file: Option<PathBuf>,
}

#[derive(ClapArgs)]
pub struct BackupArgs {
    /// Where the backup goes: a new file, made with mode 0600.
    pub file: PathBuf,
    #[command(flatten)]
    pub passphrase: Passphrase,
}

#[derive(ClapArgs)]
pub struct RestoreArgs {
    /// The backup.
    pub file: PathBuf,
    #[command(flatten)]
    pub passphrase: Passphrase,
    /// Change nothing and show what would change.
    #[arg(long)]
    pub dry_run: bool,
    /// As JSON.
    #[arg(long)]
    pub json: bool,
}

/// What somebody may do.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Role {
    /// All.
    Administrator,
    /// Change peers and rules, see everything.
    Operator,
    /// See, and change nothing.
    Viewer,
}

impl Role {
    /// As the API has it.
    pub fn name(self) -> &'static str {
        match self {
            Role::Administrator => "administrator",
            Role::Operator => "operator",
            Role::Viewer => "viewer",
        }
    }
}

#[derive(Subcommand)]
pub enum TokenCommand {
    /// Make a token for a program; it is printed once and never again.
    Create(TokenArgs),
    /// List the tokens.
    List {
        /// As JSON: an array.
        #[arg(long)]
        json: bool,
    },
    /// End a token.
    Revoke {
        /// Its identifier, as the list shows it.
        id: String,
    },
}

#[derive(ClapArgs)]
pub struct TokenArgs {
    /// What it is for.
    pub name: String,
    /// The most that it may do.
    #[arg(long, value_enum, default_value_t = Role::Viewer)]
    pub role: Role,
    /// What it may do within its role, such as peers:read; may be given again, and without it all that the role may.
    #[arg(long = "scope", value_name = "SCOPE")]
    pub scopes: Vec<String>,
    /// When it ends: a time such as 2027-01-31T12:00:00Z, or a number of days such as 30d.
    #[arg(long, value_name = "WHEN", default_value = "90d")]
    pub expires: String,
    /// As JSON.
    #[arg(long)]
    pub json: bool,
}

#[derive(Subcommand)]
pub enum UserCommand {
    /// List who may log in.
    List {
        /// As JSON: an array.
        #[arg(long)]
        json: bool,
    },
    /// Let somebody log in; the password is asked for.
    Add {
        /// The name.
        name: String,
        /// What they may do.
        #[arg(long, value_enum)]
        role: Role,
        #[command(flatten)]
        password: Password,
    },
    /// Let somebody log in no more, and end their sessions.
    Remove {
        /// The name.
        name: String,
    },
    /// Give somebody a new password, which is asked for.
    Passwd {
        /// The name.
        name: String,
        #[command(flatten)]
        password: Password,
    },
}

/// Where a password comes from: never the command line, which others can read.
#[derive(ClapArgs)]
pub struct Password {
    /// A file whose first line is the password; without it, it is asked for on the terminal.
    #[arg(long, value_name = "FILE")]
    pub password_file: Option<PathBuf>,
}

#[derive(Subcommand)]
pub enum AdminCommand {
    /// Give an administrator a new random password, printed once: for whoever is root here and locked out there.
    Reset {
        /// The administrator; made where there is none of this name.
        #[arg(default_value = "admin")]
        name: String,
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
}

#[derive(Subcommand)]
pub enum ChangesCommand {
    /// List the changes that revert by themselves unless they are confirmed.
    List {
        /// As JSON: an array.
        #[arg(long)]
        json: bool,
    },
    /// Keep a change.
    Confirm {
        /// Its identifier.
        id: String,
    },
    /// Take a change back now.
    Revert {
        /// Its identifier.
        id: String,
    },
}
