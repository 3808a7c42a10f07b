//! Packets drawn at random, as many as one has time for: lengths, alignments, padding, batches, keys, counters, and what
//! is received. `make crypto-cases` draws more of them than the tests do.
//!
//! A round is one batch, drawn from its own number alone. A failure names the number, and
//! `WEIR_CRYPTO_SEED=number WEIR_CRYPTO_CASES=1` does that round again and no other.

use super::forgery::{WAYS, forge};
use super::opening::check_open;
use super::packet::{Packet, back_ends, random, unchanged};
use super::sealing::check_seal;
use rand_chacha::ChaCha8Rng;
use rand_core::Rng;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Instant;
use weir_crypto::Key;

/// How many packets are drawn: each is sealed, received in some state and opened by every back end.
const CASES: &str = "WEIR_CRYPTO_CASES";

/// The first round's number.
const SEED: &str = "WEIR_CRYPTO_SEED";

/// Unless the environment asks for another number.
const USUAL_CASES: u64 = 50_000;

/// Packets between two words about how far it is.
const TOLD_EVERY: u64 = 1 << 22;

/// What rounds had in them.
#[derive(Default)]
struct Drawn {
    rounds: AtomicU64,
    packets: AtomicU64,
    bytes: AtomicU64,
    forged: AtomicU64,
}

impl Drawn {
    fn add(&self, round: &Round) -> u64 {
        let bytes: usize = round.packets.iter().map(|packet| packet.plain.len()).sum();
        self.rounds.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        self.forged
            .fetch_add(round.forged.len() as u64, Ordering::Relaxed);
        self.packets
            .fetch_add(round.packets.len() as u64, Ordering::Relaxed)
    }

    fn told(&self) -> String {
        let of = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let (packets, bytes) = (of(&self.packets), of(&self.bytes));
        format!(
            "{packets} packets of {} bytes in the mean, {} of them forged, in {} batches",
            bytes / packets.max(1),
            of(&self.forged),
            of(&self.rounds)
        )
    }
}

/// Catches whatever the tests of every length and every batch cannot, because it takes several things together: a rare
/// carry, a lane's state that outlives its packet, a combination of lengths, places and forgeries.
#[test]
fn random_cases() {
    let (cases, first) = (asked(CASES, USUAL_CASES), asked(SEED, 0));
    let (drawn, next, started) = (Drawn::default(), AtomicU64::new(first), Instant::now());
    let cores = thread::available_parallelism().map_or(1, usize::from) as u64;
    thread::scope(|scope| {
        // One round done again is done alone.
        for _ in 0..cores.min(cases.div_ceil(1000)) {
            scope.spawn(|| {
                while drawn.packets.load(Ordering::Relaxed) < cases {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    let mut round = Round::new(seed);
                    if let Err(failure) = catch_unwind(AssertUnwindSafe(|| round.check())) {
                        eprintln!("again by {SEED}={seed} {CASES}=1");
                        resume_unwind(failure);
                    }
                    let before = drawn.add(&round);
                    if before / TOLD_EVERY != (before + round.packets.len() as u64) / TOLD_EVERY {
                        println!("{} s: {}", started.elapsed().as_secs(), drawn.told());
                    }
                }
            });
        }
    });
    println!(
        "{}, through {} back ends in {} s",
        drawn.told(),
        back_ends().len(),
        started.elapsed().as_secs()
    );
    let (forged, packets) = (drawn.forged.into_inner(), drawn.packets.into_inner());
    assert!(packets >= cases);
    // Of what is drawn by the thousand, far more than a tenth and far less than all is forged.
    assert!(
        cases < 10_000 || (packets / 10..packets / 2).contains(&forged),
        "{forged} forged"
    );
}

// A number from the environment.
fn asked(variable: &str, usual: u64) -> u64 {
    let Some(value) = std::env::var_os(variable).filter(|value| !value.is_empty()) else {
        return usual;
    };
    let number = value.to_str().and_then(|value| value.parse().ok());
    number.unwrap_or_else(|| panic!("{variable}: {value:?}; expected a number"))
}

/// One batch: what is sealed, and what is received of it.
struct Round {
    told: String,
    packets: Vec<Packet>,
    received: Vec<Vec<u8>>,
    /// Packets that another key or counter is tried on, with these.
    others: Vec<(usize, Key, u64)>,
    /// All that is to be refused.
    forged: Vec<usize>,
}

impl Round {
    fn new(seed: u64) -> Self {
        let mut random = random(seed);
        let size = batch(&mut random);
        let lengths = Lengths::draw(&mut random);
        let keys: [Key; 2] = [key(&mut random), key(&mut random)];
        // Half of the batches are of few peers.
        let few = below(&mut random, 2) == 0;
        let padded = below(&mut random, 3);
        let packets: Vec<Packet> = (0..size)
            .map(|_| {
                let key = if few {
                    keys[below(&mut random, 2)]
                } else {
                    key(&mut random)
                };
                let mut plain = vec![0; lengths.one(&mut random)];
                random.fill_bytes(&mut plain);
                let padding = match padded {
                    0 => 0,
                    1 => plain.len().next_multiple_of(16) - plain.len(),
                    _ => below(&mut random, 48),
                };
                Packet::of(key, counter(&mut random), plain, padding, below(&mut random, 64))
            })
            .collect();
        let mut round = Self {
            told: format!("round {seed}, batch of {size}"),
            received: unchanged(&packets),
            packets,
            others: Vec::new(),
            forged: Vec::new(),
        };
        round.forge(&mut random);
        round
    }

    // None, one, a few, half of them, or all.
    fn forge(&mut self, random: &mut ChaCha8Rng) {
        let size = self.packets.len();
        self.forged = match below(random, 8) {
            0..3 => Vec::new(),
            3 => vec![below(random, size)],
            4 => vec![[0, size - 1][below(random, 2)]],
            5 => (0..size).filter(|_| below(random, 8) == 0).collect(),
            6 => (0..size).filter(|_| below(random, 2) == 0).collect(),
            _ => (0..size).collect(),
        };
        for &place in &self.forged {
            let (mut key, mut counter) = (self.packets[place].key, self.packets[place].counter);
            let bit = below(random, 256);
            match below(random, WAYS + 2) {
                way if way < WAYS => {
                    forge(&mut self.received[place], way, random.next_u32());
                    continue;
                }
                WAYS => key[bit / 8] ^= 1 << (bit % 8),
                _ => counter ^= 1 << (bit % 64),
            }
            self.others.push((place, key, counter));
        }
    }

    fn check(&mut self) {
        for aead in back_ends() {
            check_seal(aead, &self.packets, &self.told);
        }
        for (place, key, counter) in &self.others {
            (self.packets[*place].key, self.packets[*place].counter) = (*key, *counter);
        }
        for aead in back_ends() {
            check_open(aead, &self.packets, &self.received, &self.forged, &self.told);
        }
    }
}

/// How long the packets of one batch are. Most are short, because most ways through the code are taken by short ones.
enum Lengths {
    Equal(usize),
    Similar {
        least: usize,
        spread: usize,
    },
    Mixed,
    /// On both sides of the ends of blocks.
    Boundaries,
    /// Acknowledgements among full ones, in a fixed proportion.
    Traffic,
}

impl Lengths {
    fn draw(random: &mut ChaCha8Rng) -> Self {
        match below(random, 8) {
            0..2 => Self::Equal(length(random)),
            2..4 => Self::Similar {
                least: length(random),
                spread: 1 + below(random, 100),
            },
            4..6 => Self::Mixed,
            6 => Self::Boundaries,
            _ => Self::Traffic,
        }
    }

    fn one(&self, random: &mut ChaCha8Rng) -> usize {
        match self {
            Self::Equal(len) => *len,
            Self::Similar { least, spread } => least + below(random, *spread),
            Self::Mixed => length(random),
            Self::Boundaries => {
                let block = [16, 64, 64, 256][below(random, 4)];
                (block * below(random, 5) + below(random, 3)).saturating_sub(1)
            }
            Self::Traffic => [0, 64, 64, 576, 64, 1420, 64, 64, 64, 32][below(random, 10)],
        }
    }
}

// Up to 2048 bytes, each power of two less often than the one below it: the oracle's time is better spent on more packets.
fn length(random: &mut ChaCha8Rng) -> usize {
    let bits = below(random, 12).min(below(random, 12));
    below(random, (1 << bits) + 1)
}

fn batch(random: &mut ChaCha8Rng) -> usize {
    match below(random, 16) {
        0..6 => 1 + below(random, 8),
        6..14 => 1 + below(random, 64),
        14 => 8 * (1 + below(random, 8)),
        _ => 1 + below(random, 256),
    }
}

// Any bits, or such as make the largest limbs and the smallest.
fn key(random: &mut ChaCha8Rng) -> Key {
    let mut key = [0; 32];
    match below(random, 32) {
        0 => {}
        1 => key.fill(0xff),
        _ => random.fill_bytes(&mut key),
    }
    key
}

// Any, or where its halves end.
fn counter(random: &mut ChaCha8Rng) -> u64 {
    match below(random, 8) {
        0 => below(random, 4) as u64,
        1 => (1 << 32) - 2 + below(random, 4) as u64,
        2 => u64::MAX - below(random, 4) as u64,
        _ => random.next_u64(),
    }
}

fn below(random: &mut ChaCha8Rng, bound: usize) -> usize {
    random.next_u32() as usize % bound
}
