//! A hierarchical timer wheel: when to look at which peer again.
//!
//! It holds hints, not truth: an entry says "look at this peer at that time", the peer's own timers say what is due.
//! So an entry is never removed or moved; a stale one costs one look. Five levels of 64 places, a tick of 2^20 ns
//! (about a millisecond) and times rounded up reach 13 days; what is farther is looked at then.

use crate::tables::PeerId;
use weir_noise::Instant;

const BITS: u32 = 6;
const PLACES: usize = 1 << BITS;
const LEVELS: usize = 5;
const TICK_SHIFT: u32 = 20;

/// The wheel of one shard.
pub struct Wheel {
    now: u64,
    places: Vec<Vec<(PeerId, u64)>>,
    /// A bit for each place of a level that is not empty.
    used: [u64; LEVELS],
    len: usize,
}

impl Wheel {
    /// An empty wheel that starts at `now`.
    pub fn new(now: Instant) -> Self {
        Self {
            now: now.as_nanos() >> TICK_SHIFT,
            // Room from the start, so that a place met for the first time allocates nothing.
            places: (0..LEVELS * PLACES).map(|_| Vec::with_capacity(8)).collect(),
            used: [0; LEVELS],
            len: 0,
        }
    }

    /// Asks for a look at `peer` no earlier than `at`, and hands back the tick of it, by which the peer knows that it
    /// is on the wheel.
    pub fn insert(&mut self, peer: PeerId, at: Instant) -> u64 {
        let tick = tick_after(at).max(self.now + 1);
        self.place(peer, tick);
        self.len += 1;
        tick
    }

    /// The tick at or after `at`, to compare with what [`Wheel::insert`] handed back.
    pub fn tick(at: Instant) -> u64 {
        tick_after(at)
    }

    /// Moves up to `now` and appends every entry that is due, with its tick.
    pub fn advance(&mut self, now: Instant, due: &mut Vec<(PeerId, u64)>) {
        let target = now.as_nanos() >> TICK_SHIFT;
        while self.now < target {
            let Some(next) = self.next_tick().filter(|&next| next <= target) else {
                self.now = target;
                return;
            };
            self.now = next;
            self.cascade();
            let place = (self.now as usize) % PLACES;
            if self.used[0] & 1 << place != 0 {
                self.used[0] &= !(1 << place);
                self.len -= self.places[place].len();
                due.append(&mut self.places[place]);
            }
        }
    }

    /// When [`Wheel::advance`] has something to do again: never later than the first entry's time.
    pub fn deadline(&self) -> Option<Instant> {
        self.next_tick()
            .map(|tick| Instant::from_nanos(tick << TICK_SHIFT))
    }

    fn place(&mut self, peer: PeerId, tick: u64) {
        let mut level = 0;
        while level + 1 < LEVELS
            && (tick >> (BITS * level as u32)) - (self.now >> (BITS * level as u32)) >= PLACES as u64
        {
            level += 1;
        }
        let shift = BITS * level as u32;
        let reach = (tick >> shift).min((self.now >> shift) + PLACES as u64 - 1);
        let place = reach as usize % PLACES;
        self.used[level] |= 1 << place;
        self.places[level * PLACES + place].push((peer, tick));
    }

    /// The next tick at which a place of any level comes up.
    fn next_tick(&self) -> Option<u64> {
        (0..LEVELS)
            .filter_map(|level| {
                let shift = BITS * level as u32;
                let here = self.now >> shift;
                let ahead = self.used[level].rotate_right(here as u32 % PLACES as u32);
                // Bit 0 is the present place, which was emptied when it came up.
                let distance = (ahead & !1).trailing_zeros();
                (distance < PLACES as u32).then(|| (here + u64::from(distance)) << shift)
            })
            .min()
    }

    /// Spreads the places of the upper levels that begin now over the levels beneath.
    fn cascade(&mut self) {
        for level in (1..LEVELS).rev() {
            let shift = BITS * level as u32;
            let place = (self.now >> shift) as usize % PLACES;
            if self.now & ((1 << shift) - 1) != 0 || self.used[level] & 1 << place == 0 {
                continue;
            }
            self.used[level] &= !(1 << place);
            let mut entries = core::mem::take(&mut self.places[level * PLACES + place]);
            for (peer, tick) in entries.drain(..) {
                self.place(peer, tick.max(self.now));
            }
            // The emptied place keeps its memory, so that a steady load allocates nothing.
            if self.places[level * PLACES + place].is_empty() {
                self.places[level * PLACES + place] = entries;
            }
        }
    }
}

fn tick_after(at: Instant) -> u64 {
    at.as_nanos().div_ceil(1 << TICK_SHIFT)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(n: u64) -> Instant {
        Instant::from_nanos(n << TICK_SHIFT)
    }

    // Catches an entry that comes early, late or never, at every distance the levels cover, and a deadline that lies
    // beyond the first entry: the wheel then sleeps through it.
    #[test]
    fn every_entry_comes_up_at_its_tick() {
        for start in [0u64, 1, 63, 64, 4095, 1 << 18, (1 << 30) - 1] {
            let mut wheel = Wheel::new(ms(start));
            let mut expected: Vec<(u64, PeerId)> = Vec::new();
            let mut x = start ^ 99;
            for n in 0..600u32 {
                x = x
                    .wrapping_mul(6364136223846793005)
                    .wrapping_add(1442695040888963407);
                let distance = (x >> 40) % (1 << (n % 24)).max(1) + 1;
                wheel.insert(PeerId(n), ms(start + distance));
                expected.push((start + distance, PeerId(n)));
            }
            expected.sort();
            let mut came = Vec::new();
            while let Some(next) = wheel.deadline() {
                let first = expected[came.len()].0;
                assert!(next <= ms(first), "start {start}: sleeps through {first}");
                let mut due = Vec::new();
                wheel.advance(next, &mut due);
                for (peer, tick) in due {
                    assert_eq!(ms(tick), next);
                    came.push((tick, peer));
                }
            }
            came.sort();
            assert_eq!(came, expected, "start {start}");
            assert_eq!(wheel.len, 0);
        }
    }

    // Catches entries lost when the clock leaps over many places at once, as after a suspend.
    #[test]
    fn a_leap_delivers_everything_in_between() {
        let mut wheel = Wheel::new(ms(5));
        for n in 0..1000 {
            wheel.insert(PeerId(n), ms(6 + u64::from(n) * 977));
        }
        let mut due = Vec::new();
        wheel.advance(ms(2_000_000), &mut due);
        assert_eq!(due.len(), 1000);
        assert_eq!(wheel.deadline(), None);
    }

    // Catches an entry in the past that waits a whole turn of the wheel.
    #[test]
    fn the_past_is_due_at_the_next_tick() {
        let mut wheel = Wheel::new(ms(1000));
        wheel.insert(PeerId(1), ms(10));
        assert_eq!(wheel.deadline(), Some(ms(1001)));
    }
}
