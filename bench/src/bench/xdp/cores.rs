//! Which core does what.

use super::threads::Thread;
use super::window::Worker;
use crate::{LabError, Result};

/// The cores of everything that runs, at least two.
pub(super) struct Cores {
    /// The forwarder, or the shard at home.
    pub home: usize,
    /// The sender.
    pub sender: usize,
    /// The other shard; the sender's core where there are only two.
    pub other: usize,
    /// What arrives at the gateway until it is in a queue, where there is a core for it; else the sender's does that.
    pub arriving: Option<usize>,
    /// Everything else.
    pub rest: Vec<usize>,
    /// All of them, for what is prepared between two windows.
    pub all: Vec<usize>,
}

impl Cores {
    /// Gives out cores in the order in which they are named.
    pub fn of(all: &[usize]) -> Result<Self> {
        let &[home, sender, ref others @ ..] = all else {
            return Err(LabError::Missing {
                program: "a second core".into(),
                remedy: "xdp holds the shard and the sender to one each: CORES=all",
            });
        };
        let other = others.first().copied().unwrap_or(sender);
        let (arriving, rest) = match others {
            [] | [_] => (None, vec![other]),
            [_, arriving] => (Some(*arriving), vec![*arriving]),
            [_, arriving, rest @ ..] => (Some(*arriving), rest.to_vec()),
        };
        Ok(Self {
            home,
            sender,
            other,
            arriving,
            rest,
            all: all.to_vec(),
        })
    }

    /// The receiving shard's account. The softirqs of a core that it shares with the sender are the sender's.
    pub fn receiving<'a>(&self, shard: &'a Thread) -> Result<Worker<'a>> {
        if self.other == self.sender {
            Ok(Worker::alone(shard))
        } else {
            Worker::new(shard, self.other)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Catches a sender on the core that is measured, and work beside both where there is a core for it.
    #[test]
    fn the_measured_core_is_its_shards_alone() {
        for count in 2..7 {
            let all: Vec<usize> = (10..10 + count).collect();
            let cores = Cores::of(&all).unwrap();
            assert_eq!((cores.home, cores.sender), (10, 11));
            assert!(cores.other != cores.home && !cores.rest.contains(&cores.home));
            assert_eq!(cores.other == cores.sender, count == 2);
            assert_eq!(cores.rest.contains(&cores.other), count < 4);
            assert_eq!(cores.arriving, (count > 3).then_some(13));
            assert_eq!(cores.rest.contains(&13), count == 4);
        }
        assert!(Cores::of(&[3]).is_err());
    }
}
