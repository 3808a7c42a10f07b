//! Which shards are under load. They say so again and again while they are, and nothing when they no longer are.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};
use weir_engine::limits::UNDER_LOAD_HOLD;

/// For which a shard that was under load has to be silent to be so no more.
const SILENCE: Duration = Duration::from_secs(3 * UNDER_LOAD_HOLD.as_secs());

/// The shards under load, and when each is so no more unless it says so again.
#[derive(Default)]
pub struct Load(BTreeMap<u16, Instant>);

impl Load {
    /// A shard says that it is under load; whether that is news.
    pub fn begins(&mut self, shard: u16, now: Instant) -> bool {
        self.0.insert(shard, now + SILENCE).is_none()
    }

    /// When to ask for [`Load::ended`] next.
    pub fn ends(&self) -> Option<Instant> {
        self.0.values().min().copied()
    }

    /// The shards that are under load no more; each is told once.
    pub fn ended(&mut self, now: Instant) -> Vec<u16> {
        let over = self.0.iter().filter(|(_, end)| **end <= now);
        let over: Vec<u16> = over.map(|(&shard, _)| shard).collect();
        self.0.retain(|_, end| *end > now);
        over
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Catches a beginning told with every word of a shard, and an end told while it still says so, or twice.
    #[test]
    fn beginning_and_end_are_told_once() {
        let (mut load, start) = (Load::default(), Instant::now());
        assert!(load.begins(1, start) && load.begins(2, start));
        let later = start + UNDER_LOAD_HOLD;
        assert!(!load.begins(1, later));
        assert_eq!(load.ends(), Some(start + SILENCE));
        assert_eq!(load.ended(start + SILENCE), [2]);
        assert_eq!(load.ended(start + SILENCE), []);
        assert_eq!(load.ended(later + SILENCE), [1]);
        assert_eq!(load.ends(), None);
        assert!(load.begins(1, later + SILENCE));
    }
}
