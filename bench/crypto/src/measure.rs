//! Rounds in which every contender works on the same packets, one after the other, so that what disturbs the machine
//! disturbs them all.

use crate::contenders::Contender;
use crate::work::{KEYS, Operation, Size, Work};
use serde::Serialize;
use std::path::PathBuf;
use std::str::FromStr;
use weir_crypto::Aead;

/// What is measured, from the environment.
pub(crate) struct Settings {
    /// BATCHES: how many packets to a call.
    batches: Vec<usize>,
    /// SIZES: bytes of text, or `imix`.
    sizes: Vec<Size>,
    /// RUNS: rounds of which the median is taken.
    runs: usize,
    /// CONTENDERS: names, all of them if empty.
    contenders: Vec<String>,
    /// JSON: where the figures are written.
    pub(crate) json: PathBuf,
}

/// One figure.
#[derive(Serialize)]
pub(crate) struct Figure {
    pub(crate) implementation: &'static str,
    pub(crate) operation: Operation,
    pub(crate) bytes: Size,
    pub(crate) batch: usize,
    pub(crate) keys: usize,
    pub(crate) tsc_cycles_per_byte: f64,
    /// Whether it is a back end of ours.
    #[serde(skip)]
    pub(crate) own: bool,
    /// Cycles per byte of each round; those of one number are of the same round for every contender.
    #[serde(skip)]
    pub(crate) rounds: Vec<f64>,
}

impl Figure {
    /// How many times another one's speed: the median of the rounds' quotients.
    pub(crate) fn times(&self, other: &Self) -> f64 {
        let both = other.rounds.iter().zip(&self.rounds);
        median(both.map(|(other, own)| other / own).collect())
    }
}

/// Bytes that a contender works on in one round, about.
const BYTES: usize = 200_000;

impl Settings {
    pub(crate) fn from_environment() -> Result<Self, String> {
        Ok(Self {
            batches: listed("BATCHES", "1 4 8 16 32 64 256")?,
            sizes: listed("SIZES", "64 128 256 512 1024 1420 8192 imix")?,
            runs: listed("RUNS", "31")?.into_iter().next().ok_or("RUNS is empty")?,
            contenders: listed("CONTENDERS", "")?,
            json: std::env::var_os("JSON").map_or("target/bench/crypto.json".into(), PathBuf::from),
        })
    }
}

impl Settings {
    /// Those that are asked for.
    pub(crate) fn of(&self, all: Vec<Contender>) -> Vec<Contender> {
        let asked =
            |name: &str| self.contenders.is_empty() || self.contenders.iter().any(|asked| asked == name);
        all.into_iter()
            .filter(|contender| asked(contender.aead.name()))
            .collect()
    }
}

fn listed<T: FromStr>(name: &str, otherwise: &str) -> Result<Vec<T>, String> {
    let value = std::env::var(name).ok().filter(|value| !value.is_empty());
    let words = value.as_deref().unwrap_or(otherwise).split_whitespace();
    words
        .map(|word| {
            word.parse()
                .map_err(|_| format!("{name}: {word:?} is not understood"))
        })
        .collect()
}

impl FromStr for Size {
    type Err = std::num::ParseIntError;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        match word {
            "imix" => Ok(Self::Imix),
            word => word.parse().map(Self::Bytes),
        }
    }
}

/// Every operation, batch and size, by every contender.
pub(crate) fn all(settings: &Settings, contenders: &[Contender]) -> Vec<Figure> {
    let mut figures = Vec::new();
    for operation in [Operation::Seal, Operation::Open] {
        for &batch in &settings.batches {
            for &size in &settings.sizes {
                figures.extend(one(operation, size, batch, settings.runs, contenders));
            }
        }
    }
    figures
}

fn one(
    operation: Operation,
    bytes: Size,
    batch: usize,
    runs: usize,
    contenders: &[Contender],
) -> Vec<Figure> {
    let mut work = Work::new(bytes, batch);
    let mut times = vec![Vec::with_capacity(runs); contenders.len()];
    // The first round warms memory and is not counted.
    for run in 0..=runs {
        for (times, contender) in times.iter_mut().zip(contenders) {
            let time = round(&mut work, operation, batch, contender.aead);
            if run > 0 {
                times.push(time);
            }
        }
    }
    contenders
        .iter()
        .zip(times)
        .map(|(contender, rounds)| Figure {
            implementation: contender.aead.name(),
            operation,
            bytes,
            batch,
            keys: KEYS,
            tsc_cycles_per_byte: median(rounds.clone()),
            own: contender.own,
            rounds,
        })
        .collect()
}

// Cycles to a byte.
fn round(work: &mut Work, operation: Operation, batch: usize, contender: &dyn Aead) -> f64 {
    let bytes = work.bytes();
    let times = BYTES.div_ceil(bytes);
    let cycles = match operation {
        Operation::Seal => work.with_seals(|jobs| {
            let began = now();
            for _ in 0..times {
                jobs.chunks_mut(batch).for_each(|batch| contender.seal(batch));
            }
            now() - began
        }),
        Operation::Open => work.with_opens(|jobs| {
            let began = now();
            for _ in 0..times {
                jobs.chunks_mut(batch).for_each(|batch| contender.open(batch));
            }
            now() - began
        }),
    };
    cycles as f64 / (times * bytes) as f64
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values[values.len() / 2]
}

/// The time-stamp counter; elsewhere nanoseconds.
#[cfg(target_arch = "x86_64")]
#[allow(unsafe_code, reason = "the counter is read by an instruction")]
pub(crate) fn now() -> u64 {
    // SAFETY: every x86-64 processor has the instruction.
    unsafe { core::arch::x86_64::_rdtsc() }
}

#[cfg(not(target_arch = "x86_64"))]
pub(crate) fn now() -> u64 {
    use std::time::Instant;
    static BEGAN: std::sync::LazyLock<Instant> = std::sync::LazyLock::new(Instant::now);
    BEGAN.elapsed().as_nanos() as u64
}
