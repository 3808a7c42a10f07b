//! Limits on handshake messages that a spoofer cannot turn on others.
//!
//! A source that proved nothing counts only against ceilings of the shard, of which one is reserved for the endpoints
//! of known peers. Only sources proved by mac2 have buckets of their own and can be put into quarantine. Transport
//! data is never limited here.

use crate::limits::*;
use core::hash::{Hash, Hasher};
use core::net::IpAddr;
use core::time::Duration;
use foldhash::SharedSeed;
use foldhash::quality::FoldHasher;
use weir_noise::Instant;

/// What becomes of a handshake message whose mac1 is right.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Admission {
    /// To the worker.
    Admit,
    /// Answer with a cookie reply.
    DemandCookie,
    /// Drop: above the ceiling, and cookie replies are at theirs.
    OverCeiling,
    /// Drop: above the limit of its proved source or network.
    SourceLimited,
    /// Drop: its proved source is in quarantine.
    Quarantined,
}

/// A token, in the millionths in which buckets count.
const TOKEN: u64 = 1_000_000;

/// A token bucket: refilled at a rate, holding at most a second's worth.
#[derive(Clone, Copy)]
pub struct Bucket {
    tokens_micro: u64,
    filled: Instant,
}

impl Bucket {
    /// A bucket of that rate, full.
    pub const fn full(per_s: u32) -> Self {
        Self {
            tokens_micro: per_s as u64 * 1_000_000,
            filled: Instant::BOOT,
        }
    }

    /// Takes a token if there is one; `per_s` is the bucket's rate.
    pub fn take(&mut self, now: Instant, per_s: u32) -> bool {
        let there = self.refill(now, per_s);
        if there {
            self.tokens_micro -= TOKEN;
        }
        there
    }

    /// Fills the bucket up to now, and says whether there is a token.
    fn refill(&mut self, now: Instant, per_s: u32) -> bool {
        let passed_us = now.since(self.filled).min(Duration::from_secs(1)).as_micros() as u64;
        let most = u64::from(per_s) * 1_000_000;
        if passed_us > 0 {
            self.tokens_micro = (self.tokens_micro + passed_us * u64::from(per_s)).min(most);
            self.filled = now;
        }
        self.tokens_micro >= TOKEN
    }
}

/// What is held against a proved source.
#[derive(Clone, Copy)]
struct Source {
    /// Whose it is: bits of its keyed hash beyond those that chose the place.
    tag: u32,
    bucket: Bucket,
    failures: u8,
    quarantined_until: Instant,
}

/// Rates that an operator may set.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rates {
    /// Initiations a second that one shard admits from sources that proved nothing, before it demands cookies.
    pub strangers_per_s: u32,
    /// Initiations a second of one proved source address; its network gets five times that.
    pub source_per_s: u32,
    /// Initiations that may wait for the worker; an eighth of that is load.
    pub waiting: usize,
}

impl Rates {
    fn network_per_s(self) -> u32 {
        self.source_per_s.saturating_mul(NETWORK_SHARE)
    }
}

impl Default for Rates {
    fn default() -> Self {
        Self {
            strangers_per_s: STRANGERS_PER_S,
            source_per_s: SOURCE_PER_S,
            waiting: STRANGER_JOBS,
        }
    }
}

/// The limits of one shard. Its memory is fixed.
pub struct Limiter {
    rates: Rates,
    strangers: Bucket,
    known: Bucket,
    cookie_replies: Bucket,
    sources: Vec<Source>,
    networks: Vec<Bucket>,
    /// Nobody who does not know it can choose whose bucket a source shares.
    secret: (u64, SharedSeed),
    under_load_until: Instant,
    /// When the load may be told again.
    tell_at: Instant,
}

impl Limiter {
    /// Full buckets. `secret` is random and keys the choice of a source's bucket.
    pub fn new(rates: Rates, secret: [u64; 2]) -> Self {
        let source = Source::new(0, rates);
        Self {
            rates,
            strangers: Bucket::full(rates.strangers_per_s),
            known: Bucket::full(KNOWN_PER_S),
            cookie_replies: Bucket::full(COOKIE_REPLIES_PER_S),
            sources: vec![source; SOURCE_BUCKETS],
            networks: vec![Bucket::full(rates.network_per_s()); SOURCE_BUCKETS],
            secret: (secret[0], SharedSeed::from_u64(secret[1])),
            under_load_until: Instant::BOOT,
            tell_at: Instant::BOOT,
        }
    }

    /// Decides on a message of a source that proved nothing. `known`: it is the endpoint of a peer at home here;
    /// `waiting`: jobs in the worker's queue.
    pub fn unproved(&mut self, now: Instant, known: bool, waiting: usize) -> Admission {
        if known && self.known.take(now, KNOWN_PER_S) {
            return Admission::Admit;
        }
        if waiting >= self.rates.waiting.div_ceil(8) || !self.strangers.take(now, self.rates.strangers_per_s)
        {
            self.under_load_until = now + UNDER_LOAD_HOLD;
        }
        if !self.under_load(now) {
            return Admission::Admit;
        }
        let may_reply = self.cookie_replies.take(now, COOKIE_REPLIES_PER_S);
        if may_reply {
            Admission::DemandCookie
        } else {
            Admission::OverCeiling
        }
    }

    /// Decides on a message whose mac2 proves its source. One that its source's limit refuses costs its network nothing, and
    /// the other way round.
    pub fn proved(&mut self, now: Instant, source: IpAddr) -> Admission {
        let rates = self.rates;
        let network = self.hash(network(source)).0;
        let within_network = self.networks[network].refill(now, rates.network_per_s());
        let within_source = match self.source(now, source) {
            Some(source) if source.quarantined_until > now => return Admission::Quarantined,
            Some(source) if within_network => source.bucket.take(now, rates.source_per_s),
            Some(_) => false,
            None => true,
        };
        if within_source && self.networks[network].take(now, rates.network_per_s()) {
            Admission::Admit
        } else {
            Admission::SourceLimited
        }
    }

    /// A handshake of a proved source failed.
    pub fn failed(&mut self, now: Instant, source: IpAddr) {
        let Some(source) = self.source(now, source) else {
            return;
        };
        source.failures += 1;
        if source.failures >= QUARANTINE_FAILURES {
            source.failures = 0;
            source.quarantined_until = now + QUARANTINE;
        }
    }

    /// A handshake of a proved source came to be.
    pub fn succeeded(&mut self, now: Instant, source: IpAddr) {
        if let Some(source) = self.source(now, source) {
            source.failures = 0;
        }
    }

    /// Whether strangers are asked for cookies.
    pub fn under_load(&self, now: Instant) -> bool {
        now < self.under_load_until
    }

    /// Whether there is load to be told of: at its beginning, and twice in each [`UNDER_LOAD_HOLD`] while it lasts.
    pub fn tells_load(&mut self, now: Instant) -> bool {
        let tells = self.under_load(now) && now >= self.tell_at;
        if tells {
            self.tell_at = now + UNDER_LOAD_HOLD / 2;
        }
        tells
    }

    /// What is held against a source. Two can fall to one place: the later takes it over with a clean slate, but not from
    /// one in quarantine; then nothing is held against it but its network's limit. Whoever has many addresses could
    /// otherwise put the owners of others into quarantine.
    fn source(&mut self, now: Instant, source: IpAddr) -> Option<&mut Source> {
        let (at, tag) = self.hash(source);
        let held = &mut self.sources[at];
        if held.tag != tag {
            if held.quarantined_until > now {
                return None;
            }
            *held = Source::new(tag, self.rates);
        }
        Some(held)
    }

    /// The place of an address, and its tag there.
    fn hash(&self, address: IpAddr) -> (usize, u32) {
        let mut hasher = FoldHasher::with_seed(self.secret.0, &self.secret.1);
        address.hash(&mut hasher);
        let hash = hasher.finish();
        (hash as usize % SOURCE_BUCKETS, (hash >> 32) as u32)
    }
}

impl Source {
    fn new(tag: u32, rates: Rates) -> Self {
        Self {
            tag,
            bucket: Bucket::full(rates.source_per_s),
            failures: 0,
            quarantined_until: Instant::BOOT,
        }
    }
}

/// The /24 or /56 of an address.
fn network(address: IpAddr) -> IpAddr {
    let length = if address.is_ipv4() { 24 } else { 56 };
    weir_abi::prefix::Prefix::new(address, length).map_or(address, |prefix| prefix.address())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Instant {
        Instant::from_nanos(1_000_000_000_000 + ms * 1_000_000)
    }

    fn ip(last: u32) -> IpAddr {
        core::net::Ipv4Addr::from_bits(0xC000_0200 + last).into()
    }

    // Catches a flood of strangers that takes the known peers' share, the fault of a single global limit.
    #[test]
    fn a_flood_of_strangers_leaves_known_endpoints_alone() {
        let mut limiter = Limiter::new(Rates::default(), [1, 2]);
        for n in 0..100_000u64 {
            limiter.unproved(at(n / 100), false, 0);
        }
        assert!(limiter.under_load(at(1000)));
        assert_eq!(limiter.unproved(at(1000), false, 0), Admission::DemandCookie);
        for _ in 0..100 {
            assert_eq!(limiter.unproved(at(1000), true, STRANGER_JOBS), Admission::Admit);
        }
    }

    // Catches a hash whose low bits, which choose the bucket, follow a part of the address alone: one neighbour's misdeeds
    // would count against a whole network.
    #[test]
    fn neighbours_have_buckets_of_their_own() {
        for seed in 1..=100u64 {
            // Spread over all bits, as a random one is.
            let secret = [seed.wrapping_mul(0x9e37_79b9_7f4a_7c15), seed];
            let limiter = Limiter::new(Rates::default(), secret);
            let places: std::collections::HashSet<usize> =
                (0..256).map(|last| limiter.hash(ip(last)).0).collect();
            // 256 at random among 4,096 buckets leave 248 different ones on average.
            assert!(places.len() > 220, "secret {secret:?}: {} buckets", places.len());
        }
    }

    // Catches a load state that never ends, and one that a full queue does not begin.
    #[test]
    fn load_begins_with_the_queue_and_ends_with_the_hold() {
        let mut limiter = Limiter::new(Rates::default(), [1, 2]);
        assert_eq!(limiter.unproved(at(0), false, 0), Admission::Admit);
        assert_eq!(
            limiter.unproved(at(0), false, STRANGER_JOBS / 8),
            Admission::DemandCookie
        );
        assert_eq!(limiter.unproved(at(999), false, 0), Admission::DemandCookie);
        assert_eq!(limiter.unproved(at(1000), false, 0), Admission::Admit);
    }

    // Catches a load that nobody hears of or that is told with every message, and one that is told when it is over.
    #[test]
    fn load_is_told_at_its_beginning_and_now_and_then() {
        let mut limiter = Limiter::new(Rates::default(), [1, 2]);
        let mut told = Vec::new();
        for ms in 0..4000 {
            if ms < 2000 {
                limiter.unproved(at(ms), false, STRANGER_JOBS);
            }
            if limiter.tells_load(at(ms)) {
                told.push(ms);
            }
        }
        assert_eq!(told, [0, 500, 1000, 1500, 2000, 2500]);
    }

    // Catches one proved source whose misdeeds count against another, and a quarantine without end.
    #[test]
    fn quarantine_is_for_the_source_alone_and_ends() {
        let mut limiter = Limiter::new(Rates::default(), [1, 2]);
        let bad = ip(1);
        // Which sources share a bucket follows from the secret.
        let good = (2..=255)
            .map(ip)
            .find(|other| limiter.hash(*other).0 != limiter.hash(bad).0);
        let good = good.expect("254 sources do not share one bucket");
        for _ in 0..QUARANTINE_FAILURES {
            limiter.failed(at(0), bad);
        }
        assert_eq!(limiter.proved(at(1), bad), Admission::Quarantined);
        assert_eq!(limiter.proved(at(1), good), Admission::Admit);
        let end = at(QUARANTINE.as_millis() as u64);
        assert_eq!(limiter.proved(end, bad), Admission::Admit);
    }

    // Catches a bucket that never refills or never empties.
    #[test]
    fn a_proved_source_gets_its_rate() {
        let mut limiter = Limiter::new(Rates::default(), [1, 2]);
        let admitted = (0..10_000u64)
            .filter(|ms| limiter.proved(at(*ms), ip(9)) == Admission::Admit)
            .count();
        let rate = SOURCE_PER_S as usize;
        assert!((10 * rate..=11 * rate).contains(&admitted), "{admitted}");
    }

    /// Address n of somebody who has as many as they like, 256 to each of a thousand networks.
    fn one_of_many(n: u32) -> IpAddr {
        let bits = 0x2001_0db8 << 96 | u128::from(n % 1000) << 72 | u128::from(n / 1000 % 256);
        core::net::Ipv6Addr::from_bits(bits).into()
    }

    // Catches sources put into quarantine by somebody else, who has enough addresses to fail from that each place has one.
    #[test]
    fn whoever_has_many_addresses_puts_nobody_else_into_quarantine() {
        let mut limiter = Limiter::new(Rates::default(), [1, 2]);
        for n in 0..50_000 {
            for _ in 0..QUARANTINE_FAILURES {
                limiter.failed(at(0), one_of_many(n));
            }
        }
        let quarantined =
            |limiter: &mut Limiter, source| limiter.proved(at(1), source) == Admission::Quarantined;
        let own = (0..50_000).filter(|n| quarantined(&mut limiter, one_of_many(*n)));
        assert!(
            own.count() > SOURCE_BUCKETS / 2,
            "those who failed are in quarantine as far as there is room"
        );
        assert_eq!((0..256).filter(|n| quarantined(&mut limiter, ip(*n))).count(), 0);
    }

    // Catches sources whose tokens are spent by messages that their senders' networks were refused.
    #[test]
    fn whoever_has_many_addresses_spends_nobody_else_s_tokens() {
        let mut limiter = Limiter::new(Rates::default(), [1, 2]);
        for n in 0..500_000u32 {
            limiter.proved(at(u64::from(n / 500)), one_of_many(n % 10 + n / 10 % 256 * 1000));
        }
        let admitted = (0..100).filter(|n| limiter.proved(at(1000), ip(n * 1000)) == Admission::Admit);
        assert!(
            admitted.count() >= 95,
            "but for those whose place or network's place is taken"
        );
    }
}
