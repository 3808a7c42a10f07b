//! What opening the store found.

use std::fmt;
use std::path::PathBuf;

use jiff::Timestamp;
use weir_model::record::{CommitNumber, State};

use crate::store::Store;

/// An open store and what is in it.
pub struct Opened {
    /// The store.
    pub store: Store,
    /// All records.
    pub state: State,
    /// How it was found.
    pub report: OpenReport,
}

/// How the store was found.
#[derive(Clone, Debug)]
pub struct OpenReport {
    /// Where the records came from.
    pub found: Found,
    /// Whether the disk takes no writes: every commit is refused until it does.
    pub read_only: bool,
    /// What happened to the history of traffic, where it was damaged: the file put aside and why. Totals are then those
    /// of the last good copy.
    pub history_lost: Option<String>,
}

/// Where the records came from.
#[derive(Clone, Debug)]
pub enum Found {
    /// Nothing was there: a new store was made.
    Fresh,
    /// From the store's file, whole.
    Intact,
    /// The store's file was damaged or gone.
    Recovered(Recovery),
}

/// What was recovered, and what was lost.
#[derive(Clone, Debug)]
pub struct Recovery {
    /// What was wrong.
    pub why: String,
    /// Where the damaged file is kept now; `None` where there was none.
    pub kept: Option<PathBuf>,
    /// The file that the records came from: a last good copy, or the damaged file where its records were all whole.
    pub source: PathBuf,
    /// When that was made; `None` where it is the damaged file itself, so that no record was lost.
    pub copied_at: Option<Timestamp>,
    /// The last commit that is in force.
    pub commit: CommitNumber,
    /// The last commit of the damaged file, where that could be read: those behind `commit` are lost.
    pub lost_to: Option<CommitNumber>,
    /// Peers that are in force.
    pub peers: usize,
    /// The numbers of the oldest and the newest audit entry that are kept.
    pub audit: (u64, u64),
}

impl fmt::Display for Recovery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}; {} peers taken from {}",
            self.why,
            self.peers,
            self.source.display()
        )?;
        match (self.copied_at, self.lost_to) {
            (None, _) => write!(f, "; no record is lost")?,
            (Some(at), Some(last)) if last > self.commit => write!(
                f,
                ", made at {at}; lost: changes {} to {}",
                self.commit.0 + 1,
                last.0
            )?,
            (Some(at), _) => write!(
                f,
                ", made at {at}; lost: whatever was changed after change {}",
                self.commit.0
            )?,
        }
        if let Some(kept) = &self.kept {
            write!(f, "; the damaged file is kept as {}", kept.display())?;
        }
        Ok(())
    }
}
