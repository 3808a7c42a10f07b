//! The link to the data plane: who watches it, who reads its status, and how each speaks. The owner alone changes it.

pub mod poller;
pub mod watcher;
pub mod wire;

use std::time::Duration;

/// For which the data plane may leave a question unanswered.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// After a connection that failed, doubled up to [`PAUSE_MAX`].
pub const PAUSE_MIN: Duration = Duration::from_millis(50);

/// Between two attempts at most: so soon is a data plane that was restarted noticed.
pub const PAUSE_MAX: Duration = Duration::from_secs(1);
