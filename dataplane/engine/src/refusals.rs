//! The handshake messages that a shard refused lately, by source and reason: a fixed table, and so looked at that a flood
//! of forged ones costs two comparisons a message.

use crate::limits::{REFUSALS_EACH, REFUSALS_LOOKED_AT_PER_S, REFUSALS_TOLD_PER_S};
use crate::shard::Now;
use arrayvec::ArrayVec;
use core::net::SocketAddr;
use core::time::Duration;
use weir_abi::key::PublicKey;
use weir_abi::refused::{RefusedHandshake, RefusedWhy};
use weir_noise::Instant;

/// So many in each second, the first that come.
#[derive(Default)]
struct Share {
    ends: Instant,
    left: u32,
}

impl Share {
    #[inline]
    fn take(&mut self, now: Instant, per_s: u32) -> bool {
        if now >= self.ends {
            self.ends = now + Duration::from_secs(1);
            self.left = per_s;
        }
        if self.left == 0 {
            return false;
        }
        self.left -= 1;
        true
    }
}

/// The table of one shard. No kind displaces another, so whoever sends many of one hides none of the others.
#[derive(Default)]
pub struct Refusals {
    kinds: [ArrayVec<RefusedHandshake, REFUSALS_EACH>; RefusedWhy::ALL.len()],
    looked_at: [Share; RefusedWhy::ALL.len()],
    told: Share,
}

impl Refusals {
    /// Whether one more of the kind is to be looked at now, of those that cost their sender nothing.
    #[inline]
    pub fn may_look(&mut self, now: Instant, why: RefusedWhy) -> bool {
        self.looked_at[why as usize].take(now, REFUSALS_LOOKED_AT_PER_S)
    }

    /// Takes one in, in place of the oldest of its kind if there is no room, and hands it back, with its count, if it is
    /// to be told now.
    pub fn note(
        &mut self,
        now: Now,
        source: SocketAddr,
        why: RefusedWhy,
        peer: Option<PublicKey>,
    ) -> Option<RefusedHandshake> {
        let mut refused = RefusedHandshake {
            unix_ms: now.unix_ns / 1_000_000,
            source,
            why,
            peer,
            count: 1,
        };
        let kind = &mut self.kinds[why as usize];
        let known = kind
            .iter()
            .position(|known| (known.source, known.peer) == (source, peer));
        if let Some(place) = known {
            refused.count += kind.remove(place).count;
        } else if kind.is_full() {
            kind.remove(0);
        }
        kind.push(refused);
        self.told.take(now.at, REFUSALS_TOLD_PER_S).then_some(refused)
    }

    /// All that are remembered, of each kind the latest last.
    pub fn iter(&self) -> impl Iterator<Item = &RefusedHandshake> {
        self.kinds.iter().flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::net::Ipv4Addr;

    fn now(ms: u64) -> Now {
        Now {
            at: Instant::from_nanos(1_000_000_000_000 + ms * 1_000_000),
            unix_ns: ms * 1_000_000,
        }
    }

    fn source(n: u32) -> SocketAddr {
        SocketAddr::new(Ipv4Addr::from_bits(0xC000_0200 + n).into(), 51820)
    }

    // Catches sources or keys that are run together, and a count or time that does not follow.
    #[test]
    fn alike_ones_are_counted_and_others_kept_apart() {
        let mut refusals = Refusals::default();
        let keys = [None, Some(PublicKey::from_bytes([1; 32]))];
        for ms in 0..12 {
            for key in keys {
                refusals.note(now(ms), source(ms as u32 % 3), RefusedWhy::UnknownPeer, key);
            }
        }
        let all: Vec<_> = refusals.iter().collect();
        assert_eq!(all.len(), 6);
        for refused in all {
            assert_eq!(refused.count, 4, "{refused:?}");
            let last = (0..12).rev().find(|&ms| source(ms as u32 % 3) == refused.source);
            assert_eq!(Some(refused.unix_ms), last, "{refused:?}");
        }
    }

    // Catches a table that grows, that forgets the latest, or in which a flood of one kind displaces another.
    #[test]
    fn a_flood_displaces_its_own_kind_alone() {
        let mut refusals = Refusals::default();
        refusals.note(now(0), source(0), RefusedWhy::OldTimestamp, None);
        for n in 1..10_000 {
            refusals.note(now(1), source(n), RefusedWhy::WrongMac1, None);
        }
        let kept: Vec<_> = refusals
            .iter()
            .map(|refused| (refused.why, refused.source))
            .collect();
        assert_eq!(kept.len(), 1 + REFUSALS_EACH);
        assert!(kept.contains(&(RefusedWhy::OldTimestamp, source(0))));
        assert!(kept.contains(&(RefusedWhy::WrongMac1, source(9_999))));
    }

    // Catches a flood that is looked at message by message or told as fast as it comes, and a share that is not renewed.
    #[test]
    fn looks_and_words_have_their_share_of_each_second() {
        let mut refusals = Refusals::default();
        let (mut looks, mut words) = (0, 0);
        for ms in 0..10_000 {
            let why = RefusedWhy::WrongMac1;
            for n in 0..10 {
                if refusals.may_look(now(ms).at, why) {
                    looks += 1;
                    let told = refusals.note(now(ms), source(n), why, None);
                    words += u32::from(told.is_some());
                }
            }
        }
        assert_eq!(looks, 10 * REFUSALS_LOOKED_AT_PER_S);
        assert_eq!(words, 10 * REFUSALS_TOLD_PER_S);
        assert!(
            refusals.may_look(now(10_000).at, RefusedWhy::TooMany),
            "another kind has its own"
        );
    }
}
