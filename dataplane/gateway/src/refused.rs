//! The handshake messages that all shards refused lately, put together.

use std::cmp::Reverse;
use std::collections::HashMap;
use weir_abi::key::PublicKey;
use weir_abi::refused::{REFUSED_MAX, RefusedHandshake, RefusedWhy};
use weir_engine::Snapshot;

/// The last refusal in the name of each static key.
pub type Refused = HashMap<PublicKey, RefusedHandshake>;

/// Of each kind at least as many are told, if there are so many: a flood of one kind hides no other.
const EACH: usize = REFUSED_MAX / RefusedWhy::ALL.len();

/// What the shards remember; what came to several of them is one.
pub fn of(snapshots: &[Snapshot]) -> Vec<RefusedHandshake> {
    let mut all: Vec<RefusedHandshake> = Vec::new();
    for refused in snapshots.iter().flat_map(|snapshot| &snapshot.refused) {
        let alike = |other: &&mut RefusedHandshake| {
            (other.source, other.why, other.peer) == (refused.source, refused.why, refused.peer)
        };
        match all.iter_mut().find(alike) {
            Some(known) => {
                known.count += refused.count;
                known.unix_ms = known.unix_ms.max(refused.unix_ms);
            }
            None => all.push(*refused),
        }
    }
    all
}

/// The last one in the name of each key.
pub fn by_key(all: Vec<RefusedHandshake>) -> Refused {
    let mut last = Refused::new();
    for refused in all {
        if let Some(key) = refused.peer {
            let known = last.entry(key).or_insert(refused);
            if known.unix_ms < refused.unix_ms {
                *known = refused;
            }
        }
    }
    last
}

/// The latest of them, [`REFUSED_MAX`] at most, the latest last.
pub fn latest(mut all: Vec<RefusedHandshake>) -> Vec<RefusedHandshake> {
    all.sort_by_key(|refused| Reverse(refused.unix_ms));
    let mut taken = [0; RefusedWhy::ALL.len()];
    let (mut kept, rest): (Vec<_>, Vec<_>) = all.into_iter().partition(|refused| {
        let taken = &mut taken[refused.why as usize];
        *taken += 1;
        *taken <= EACH
    });
    kept.extend(rest);
    kept.truncate(REFUSED_MAX);
    kept.sort_by_key(|refused| refused.unix_ms);
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(unix_ms: u64, port: u16, why: RefusedWhy) -> RefusedHandshake {
        RefusedHandshake {
            unix_ms,
            source: ([192, 0, 2, 1], port).into(),
            why,
            peer: None,
            count: 1,
        }
    }

    // Catches a flood of one kind that hides the older ones of another, a list out of order, and one that grows.
    #[test]
    fn a_flood_of_one_kind_hides_no_other() {
        let mut all: Vec<_> = (0..9).map(|n| refused(n, 1, RefusedWhy::OldTimestamp)).collect();
        all.extend((0..500).map(|n| refused(1000 + n, n as u16, RefusedWhy::WrongMac1)));
        let latest = latest(all);
        assert_eq!(latest.len(), REFUSED_MAX);
        assert!(latest.is_sorted_by_key(|refused| refused.unix_ms));
        let old = latest
            .iter()
            .filter(|refused| refused.why == RefusedWhy::OldTimestamp);
        assert_eq!(old.count(), 9);
        assert_eq!(latest.last().map(|refused| refused.unix_ms), Some(1499));
    }

    // Catches a peer that is shown another's refusal, or an older one.
    #[test]
    fn each_key_has_its_last() {
        let keys = [1, 2].map(|n| PublicKey::from_bytes([n; 32]));
        let of_key = |unix_ms, key| RefusedHandshake {
            peer: Some(key),
            ..refused(unix_ms, 1, RefusedWhy::OldTimestamp)
        };
        let all = vec![
            of_key(2, keys[0]),
            of_key(5, keys[1]),
            of_key(3, keys[0]),
            of_key(1, keys[0]),
        ];
        let last = by_key(all);
        assert_eq!(keys.map(|key| last[&key].unix_ms), [3, 5]);
    }
}
