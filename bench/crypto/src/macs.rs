//! How many mac1 a core checks in a second: what a flood of handshake messages costs before anything else is known of
//! them. Contenders take turns at the same messages in one process, so that what disturbs the machine disturbs them all.

use arrayvec::ArrayVec;
use blake2::Blake2sMac;
use blake2::digest::consts::U16;
use blake2::digest::{FixedOutput, KeyInit, Update};
use blake2s_simd::Params;
use blake2s_simd::many::{HashManyJob, hash_many};
use std::hint::black_box;
use std::time::Instant;
use weir_crypto::blake2s::{Blake2s, Check, MAC_BYTES, MacKey, able};

/// Bytes under mac1 of an initiation and of a response.
const LENGTHS: [(&str, usize); 2] = [("initiation", 116), ("response", 60)];

/// Messages to a round, all different.
const MESSAGES: usize = 512;

/// Rounds, each too short to be interrupted often. The figure is that of the fastest tenth: what disturbs a round makes
/// it slower and never faster.
const ROUNDS: usize = 1000;

/// Messages at a time.
const BATCHES: [usize; 5] = [1, 4, 8, 32, 64];

/// Received messages, all to one gateway.
struct Flood {
    key: [u8; 32],
    messages: Vec<Vec<u8>>,
    macs: Vec<[u8; MAC_BYTES]>,
}

type Contender<'a> = (String, Box<dyn Fn() -> usize + 'a>);

/// Checks a second, in millions, by what and of what.
pub fn measure() -> Vec<(String, f64)> {
    LENGTHS
        .into_iter()
        .flat_map(|(what, len)| {
            let flood = Flood::new(len);
            let rates = rates(&contenders(&flood));
            rates
                .into_iter()
                .map(move |(name, rate)| (format!("{what}, {name}"), rate))
                .collect::<Vec<_>>()
        })
        .collect()
}

fn rates(contenders: &[Contender<'_>]) -> Vec<(String, f64)> {
    let mut times = vec![Vec::with_capacity(ROUNDS); contenders.len()];
    // The first round warms memory and is not counted.
    for round in 0..=ROUNDS {
        for (times, (name, run)) in times.iter_mut().zip(contenders) {
            let began = Instant::now();
            let valid = run();
            let time = began.elapsed().as_secs_f64();
            assert_eq!(valid, MESSAGES, "{name} found wrong macs");
            if round > 0 {
                times.push(time);
            }
        }
    }
    let rate = |mut times: Vec<f64>| {
        times.sort_unstable_by(f64::total_cmp);
        MESSAGES as f64 / times[times.len() / 10] / 1e6
    };
    let names = contenders.iter().map(|(name, _)| name.clone());
    names.zip(times.into_iter().map(rate)).collect()
}

fn contenders(flood: &Flood) -> Vec<Contender<'_>> {
    let mut all: Vec<Contender<'_>> = Vec::new();
    for blake2s in able() {
        for batch in BATCHES {
            let name = format!("weir {}, {batch} at a time", blake2s.name());
            all.push((name, Box::new(move || flood.by_weir(blake2s, batch))));
        }
    }
    all.push(("blake2".to_owned(), Box::new(|| flood.by_blake2())));
    all.push((
        "blake2s_simd, 64 at a time".to_owned(),
        Box::new(|| flood.by_blake2s_simd()),
    ));
    all
}

impl Flood {
    fn new(len: usize) -> Self {
        let key = core::array::from_fn(|byte| byte as u8 ^ 0x5a);
        let messages: Vec<Vec<u8>> = (0..MESSAGES)
            .map(|number| (0..len).map(|byte| (number * 31 + byte * 7) as u8).collect())
            .collect();
        let own = MacKey::new(&key);
        let macs = messages.iter().map(|message| own.mac(message)).collect();
        Self { key, messages, macs }
    }

    fn received(&self) -> impl Iterator<Item = (&Vec<u8>, &[u8; MAC_BYTES])> {
        self.messages.iter().zip(&self.macs)
    }

    fn by_weir(&self, blake2s: &dyn Blake2s, batch: usize) -> usize {
        let key = MacKey::new(&self.key);
        let mut valid = 0;
        for (messages, macs) in self.messages.chunks(batch).zip(self.macs.chunks(batch)) {
            let received = messages.iter().zip(macs);
            let mut jobs: ArrayVec<Check<'_>, 64> = received
                .map(|(message, mac)| Check::new(&key, message, mac))
                .collect();
            blake2s.check(&mut jobs);
            valid += jobs.iter().filter(|check| check.valid).count();
        }
        valid
    }

    fn by_blake2(&self) -> usize {
        let valid = |(message, mac): &(&Vec<u8>, &[u8; MAC_BYTES])| {
            let mut state = Blake2sMac::<U16>::new_from_slice(&self.key).expect("a key of 32 bytes");
            state.update(message);
            let made: [u8; MAC_BYTES] = state.finalize_fixed().into();
            equal(&made, mac)
        };
        self.received().filter(valid).count()
    }

    fn by_blake2s_simd(&self) -> usize {
        let mut params = Params::new();
        params.hash_length(MAC_BYTES).key(&self.key);
        let mut valid = 0;
        for (messages, macs) in self.messages.chunks(64).zip(self.macs.chunks(64)) {
            let mut jobs: [HashManyJob<'_>; 64] =
                core::array::from_fn(|place| HashManyJob::new(&params, &messages[place]));
            hash_many(&mut jobs);
            let made = jobs.iter().zip(macs);
            valid += made
                .filter(|(job, mac)| {
                    let made = job.to_hash();
                    made.as_bytes().first_chunk().is_some_and(|made| equal(made, mac))
                })
                .count();
        }
        valid
    }
}

fn equal(made: &[u8; MAC_BYTES], received: &[u8; MAC_BYTES]) -> bool {
    black_box(u128::from_le_bytes(*made) ^ u128::from_le_bytes(*received)) == 0
}
