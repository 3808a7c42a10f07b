//! Which messages of a burst lie on the lanes together: those that have equally many blocks, so that no lane waits for
//! another. WireGuard's have one to three: 60 and 116 bytes under mac1, 76 and 132 under mac2.

use super::{BLOCK_BYTES, Job};

/// Messages that are laid out together.
pub(super) const BURST: usize = 64;

/// Numbers of blocks that are told apart; what is longer is in the last class.
const CLASSES: usize = 5;

/// The burst's messages by their number of blocks, the shortest first.
pub(super) struct Sets {
    messages: [u8; BURST],
    used: usize,
}

impl Sets {
    /// Those of a burst of at most [`BURST`] jobs.
    pub(super) fn new<J: Job>(burst: &[J]) -> Self {
        let mut messages = [0; BURST];
        let used = burst.len();
        let class = |job: &J| job.message().len().div_ceil(BLOCK_BYTES).min(CLASSES - 1);
        let mut begins = [0u8; CLASSES + 1];
        for job in burst {
            begins[class(job) + 1] += 1;
        }
        for class in 1..CLASSES {
            begins[class] += begins[class - 1];
        }
        for (message, job) in (0..).zip(burst) {
            let begin = &mut begins[class(job)];
            messages[usize::from(*begin)] = message;
            *begin += 1;
        }
        Self { messages, used }
    }

    /// The messages' numbers.
    pub(super) fn messages(&self) -> &[u8] {
        &self.messages[..self.used]
    }
}
