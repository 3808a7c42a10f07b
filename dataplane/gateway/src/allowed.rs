//! The allowed IPs that routes were made for, so that a change of one peer among thousands costs as much as that peer
//! has of them.

use std::collections::{BTreeSet, HashMap, HashSet};
use weir_abi::prefix::Prefix;
use weir_engine::{PeerId, Tables};

/// The allowed IPs of each peer, as of one generation of tables.
pub struct Allowed {
    generation: u64,
    of_peer: HashMap<PeerId, Vec<Prefix>>,
}

/// What became of allowed IPs from one generation to a later one.
#[derive(PartialEq, Eq, Debug, Default)]
pub struct Difference {
    /// Those that no peer has any more.
    pub gone: BTreeSet<Prefix>,
    /// Those that some peer has got.
    pub come: BTreeSet<Prefix>,
}

impl Allowed {
    /// Those of `tables`.
    pub fn of(tables: &Tables) -> Self {
        let peers = tables.peers.iter();
        let peers = peers.filter(|(_, facts)| !facts.allowed_ips.is_empty());
        Self {
            generation: tables.generation,
            of_peer: peers
                .map(|(&id, facts)| (id, facts.allowed_ips.clone()))
                .collect(),
        }
    }

    /// All of them.
    pub fn all(&self) -> BTreeSet<Prefix> {
        self.of_peer.values().flatten().copied().collect()
    }

    /// Goes on to `tables` and says what changed; `None` where the tables no longer tell that.
    pub fn follow(&mut self, tables: &Tables) -> Option<Difference> {
        let changed: HashSet<PeerId> = tables.changed_since(self.generation)?.collect();
        let mut difference = Difference::default();
        for id in changed {
            let now = tables.peer(id).map_or(&[][..], |facts| &facts.allowed_ips);
            let before = if now.is_empty() {
                self.of_peer.remove(&id)
            } else {
                self.of_peer.insert(id, now.to_vec())
            };
            let before = before.unwrap_or_default();
            // One that changed hands is somebody's still.
            let nobody_s = |prefix: &&Prefix| tables.routes.owner(**prefix).is_none();
            difference.gone.extend(before.iter().filter(nobody_s));
            difference
                .come
                .extend(now.iter().filter(|prefix| !before.contains(prefix)));
        }
        self.generation = tables.generation;
        Some(difference)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use weir_abi::change::{AllowedIpChange, Change, ChangeSet, PeerChange};
    use weir_abi::desired::Origin;
    use weir_abi::key::PublicKey;
    use weir_engine::Applier;
    use weir_engine::limits::CHANGE_LOG;

    // Catches a route that stays for nobody, one taken away from its new owner, and changes that went by unseen.
    #[test]
    fn what_changed_is_what_differs() {
        let mut applier = Applier::new(1, 1420);
        let mut allowed = Allowed::of(&applier.published().load());
        let mut routed = BTreeSet::new();
        let mut x = 99u64;
        let mut random = move |below: u64| {
            x = x
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (x >> 33) % below
        };
        for round in 0..500 {
            for _ in 0..random(3) {
                let key = PublicKey::from_bytes([random(5) as u8 + 1; 32]);
                let prefixes: Vec<u64> = (0..random(3)).map(|_| random(8)).collect();
                let add = |n| AllowedIpChange::Add(format!("10.0.{n}.0/24").parse().expect("a prefix"));
                let change = PeerChange {
                    replace_allowed_ips: random(2) == 0,
                    allowed_ips: prefixes.into_iter().map(add).collect(),
                    ..PeerChange::new(key)
                };
                let change = match random(4) {
                    0 => Change::RemovePeer(key),
                    _ => Change::Peer(change),
                };
                let (base, origin) = (None, Origin::Uapi);
                let changes = vec![change];
                applier
                    .apply(&ChangeSet {
                        base,
                        origin,
                        changes,
                    })
                    .expect("a sound change");
            }
            let tables = applier.published().load();
            let Difference { gone, come } = allowed.follow(&tables).expect("told in time");
            routed.retain(|prefix| !gone.contains(prefix));
            routed.extend(come);
            assert_eq!(routed, Allowed::of(&tables).all(), "round {round}");
            assert_eq!(allowed.all(), routed);
        }
        for _ in 0..=CHANGE_LOG {
            applier.set_mtu(1400);
        }
        assert_eq!(allowed.follow(&applier.published().load()), None);
    }
}
