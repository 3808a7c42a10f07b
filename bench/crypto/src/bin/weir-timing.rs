//! Looks for secrets that change the time: each back end works on two classes of secrets in random turn, a million
//! times, and Welch's t says how far the means are apart. Below 4.5 it is chance. Run it with `make timing`.
//!
//! A loud machine hides a small difference and invents none, as the classes alternate; so what is far above the median
//! is left out, at three places.
#![deny(unsafe_code)]

use std::hint::black_box;
use std::process::ExitCode;
use weir_crypto::{Aead, Key, Open, Plaintext, Seal, TAG_BYTES, able};

/// Packets to a call: one to each lane.
const BATCH: usize = 8;

/// Bytes of a packet.
const BYTES: usize = 64;

/// What is compared: a name, and how a class prepares a call.
struct Trial {
    name: &'static str,
    run: fn(&dyn Aead, bool, &mut Random) -> u64,
}

const TRIALS: [Trial; 3] = [
    Trial {
        name: "tags wrong in the first byte, and in the last",
        run: compare_tags,
    },
    Trial {
        name: "one key and text, and random ones (ChaCha20, Poly1305's r and accumulator)",
        run: seal_secrets,
    },
    Trial {
        name: "forgeries under one key, and under random ones (Poly1305 without decryption)",
        run: open_secrets,
    },
];

fn main() -> ExitCode {
    let samples = match std::env::var("SAMPLES")
        .ok()
        .filter(|samples| !samples.is_empty())
    {
        None => 1_000_000,
        Some(samples) => match samples.parse() {
            Ok(samples) => samples,
            Err(_) => {
                eprintln!("weir-timing: SAMPLES={samples:?} is not a number");
                return ExitCode::FAILURE;
            }
        },
    };
    println!("| back end | classes | \\|t\\|, the fastest half | 90 % | 99 % |");
    println!("|---|---|---|---|---|");
    for aead in able() {
        for trial in &TRIALS {
            let [half, most, nearly] = measured(aead, trial, samples);
            let name = aead.name();
            println!(
                "| {name} | {} | {half:.2} | {most:.2} | {nearly:.2} |",
                trial.name
            );
        }
    }
    ExitCode::SUCCESS
}

fn measured(aead: &dyn Aead, trial: &Trial, samples: usize) -> [f64; 3] {
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let mut times = [Vec::with_capacity(samples), Vec::with_capacity(samples)];
    for _ in 0..samples {
        let second = random.next() >> 63 == 1;
        times[usize::from(second)].push((trial.run)(aead, second, &mut random) as f64);
    }
    let mut all = times.concat();
    all.sort_unstable_by(f64::total_cmp);
    [50, 90, 99].map(|percent| {
        let bound = all[all.len() * percent / 100 - 1];
        let [first, second] = times.each_ref().map(|times| Moments::of(times, bound));
        first.welch(&second)
    })
}

/// How many, their mean, and their variance.
struct Moments {
    count: f64,
    mean: f64,
    variance: f64,
}

impl Moments {
    fn of(times: &[f64], bound: f64) -> Self {
        let kept = || times.iter().copied().filter(|time| *time <= bound);
        let count = kept().count() as f64;
        let mean = kept().sum::<f64>() / count;
        let variance = kept().map(|time| (time - mean).powi(2)).sum::<f64>() / (count - 1.0);
        Self {
            count,
            mean,
            variance,
        }
    }

    fn welch(&self, other: &Self) -> f64 {
        (self.mean - other.mean).abs() / (self.variance / self.count + other.variance / other.count).sqrt()
    }
}

fn compare_tags(aead: &dyn Aead, last: bool, _random: &mut Random) -> u64 {
    let keys = [[7; 32]; BATCH];
    let mut sealed = [[0; BYTES + TAG_BYTES]; BATCH];
    seal(aead, &keys, &mut sealed);
    for packet in &mut sealed {
        // The same work for both classes.
        packet[BYTES] ^= u8::from(!last);
        packet[BYTES + TAG_BYTES - 1] ^= u8::from(last);
    }
    open(aead, &keys, &sealed)
}

fn seal_secrets(aead: &dyn Aead, second: bool, random: &mut Random) -> u64 {
    let (keys, mut packets) = secrets(second, random);
    seal(aead, &keys, &mut packets)
}

fn open_secrets(aead: &dyn Aead, second: bool, random: &mut Random) -> u64 {
    let (keys, packets) = secrets(second, random);
    open(aead, &keys, &packets)
}

// Random ones are made for both classes, by instructions that are the same: the compiler is not to know the mask, nor
// may it merge this with the measurement.
fn secrets(second: bool, random: &mut Random) -> ([Key; BATCH], [[u8; BYTES + TAG_BYTES]; BATCH]) {
    let mask = black_box(u64::from(second).wrapping_neg());
    let mut secrets = [[0; 8]; BATCH * (32 + BYTES + TAG_BYTES) / 8];
    for word in &mut secrets {
        *word = (random.next() & mask).to_le_bytes();
    }
    let (keys, packets) = secrets.as_flattened().split_at(BATCH * 32);
    let (keys, packets) = (keys.as_chunks().0, packets.as_chunks().0);
    let all = keys.try_into().ok().zip(packets.try_into().ok());
    black_box(all.expect("as many as asked for"))
}

fn seal(aead: &dyn Aead, keys: &[Key; BATCH], packets: &mut [[u8; BYTES + TAG_BYTES]; BATCH]) -> u64 {
    let mut packets = packets.iter_mut().zip(keys);
    let mut jobs: [Seal<'_>; BATCH] = std::array::from_fn(|_| {
        let (out, key) = packets.next().expect("as many as jobs");
        Seal {
            key,
            counter: 1,
            plaintext: Plaintext::InPlace(BYTES),
            out,
        }
    });
    let began = now();
    aead.seal(&mut jobs);
    now() - began
}

fn open(aead: &dyn Aead, keys: &[Key; BATCH], packets: &[[u8; BYTES + TAG_BYTES]; BATCH]) -> u64 {
    let mut outs = [[0; BYTES]; BATCH];
    let mut packets = outs.iter_mut().zip(packets).zip(keys);
    let mut jobs: [Open<'_>; BATCH] = std::array::from_fn(|_| {
        let ((out, ciphertext), key) = packets.next().expect("as many as jobs");
        Open {
            key,
            counter: 1,
            ciphertext,
            out,
            authentic: false,
        }
    });
    let began = now();
    aead.open(&mut jobs);
    let took = now() - began;
    assert!(jobs.iter().all(|job| !job.authentic), "a forgery passed");
    took
}

/// xorshift: fast, and random enough to take turns by.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }
}

#[cfg(target_arch = "x86_64")]
#[allow(unsafe_code, reason = "the counter is read by an instruction")]
fn now() -> u64 {
    let mut processor = 0;
    // SAFETY: every x86-64 processor has the instruction. What was stored is then in the cache, and not on its way there.
    unsafe { core::arch::x86_64::_mm_mfence() };
    // SAFETY: every x86-64 processor of the last fifteen years has the instruction; it waits for those before it.
    unsafe { core::arch::x86_64::__rdtscp(&mut processor) }
}

#[cfg(not(target_arch = "x86_64"))]
fn now() -> u64 {
    use std::time::Instant;
    static BEGAN: std::sync::LazyLock<Instant> = std::sync::LazyLock::new(Instant::now);
    BEGAN.elapsed().as_nanos() as u64
}
