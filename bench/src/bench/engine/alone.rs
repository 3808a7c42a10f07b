//! What else a window pays for, alone: the ports, and the AEAD.

use arrayvec::ArrayVec;
use weir_crypto::{Aead, Open, Plaintext, Seal, TAG_BYTES};
use weir_engine::limits::BATCH;
use weir_frame::{Frame, Home, PoolSize, Port, PortRole};
use weir_testkit::Parcel;

use super::port::{Load, LoadedPort};
use super::{Case, Direction, WINDOW, rig, ticks};

/// Two ports as the shard has them, and the least that moves packets from one to the other.
pub(super) struct Ports {
    from: Box<dyn Port>,
    load: Load,
    to: Box<dyn Port>,
    received: Vec<Frame>,
    sending: Vec<Frame>,
}

impl Ports {
    pub fn new() -> Self {
        let size = PoolSize {
            small: 2 * WINDOW,
            large: 0,
            ..PoolSize::default()
        };
        let (from, load) = LoadedPort::new(PortRole::Wan, Home { shard: 0, port: 0 }, size);
        let (to, _) = LoadedPort::new(PortRole::Host, Home { shard: 0, port: 1 }, size);
        Self {
            from: Box::new(from),
            load,
            to: Box::new(to),
            received: Vec::with_capacity(WINDOW),
            sending: Vec::with_capacity(WINDOW),
        }
    }

    /// Takes packets of the case's length from one port, and sends as many empty frames of that length by the other.
    pub fn window(&mut self, case: Case) -> u64 {
        let parcel = Parcel {
            bytes: vec![7; case.bytes],
            ..Parcel::default()
        };
        self.load.put(|parcels| {
            if parcels.len() != WINDOW || parcels[0].bytes.len() != case.bytes {
                *parcels = vec![parcel; WINDOW];
            }
        });
        self.from.receive(&mut self.received, case.burst);
        let began = ticks::now();
        while self.from.receive(&mut self.received, case.burst) > 0 {
            self.sending.extend(self.received.iter().filter_map(|frame| {
                let mut fresh = self.to.fresh(frame.len())?;
                fresh.set_len(frame.len());
                Some(fresh)
            }));
            self.to.transmit(&mut self.sending);
            self.received
                .drain(..)
                .for_each(|frame| self.from.give_back(frame));
        }
        ticks::now().wrapping_sub(began)
    }
}

/// As many packets as a window has, to seal or to open, into as few frames as a port's stock hands out in turn.
pub(super) struct Texts {
    aead: &'static dyn Aead,
    inputs: Vec<u8>,
    outputs: Vec<u8>,
}

const STRIDE: usize = 2048;

impl Texts {
    pub fn new(burst: usize, aead: &'static dyn Aead) -> Self {
        Self {
            aead,
            inputs: vec![0; WINDOW * STRIDE],
            outputs: vec![0; burst * STRIDE],
        }
    }

    /// Seals or opens from one buffer into another, as the shard does, `case.burst` jobs at a time, each session in its turn.
    /// The inputs are written just before, as the shard's are.
    pub fn window(&mut self, case: Case) -> u64 {
        let keys: Vec<[u8; 32]> = (0..case.sessions).map(|n| [n as u8; 32]).collect();
        let sealed = rig::padded(case.bytes) + TAG_BYTES;
        match case.direction {
            Direction::Out => {
                let inputs = self.inputs.chunks_mut(STRIDE);
                inputs.for_each(|input| input[..case.bytes].fill(7));
                self.seal(&keys, case, sealed)
            }
            Direction::In => {
                self.seal_inputs(&keys, case, sealed);
                self.open(&keys, case, sealed)
            }
        }
    }

    /// Makes the inputs what is to be opened.
    fn seal_inputs(&mut self, keys: &[[u8; 32]], case: Case, sealed: usize) {
        let inputs = self.inputs.chunks_mut(STRIDE);
        for ((counter, input), key) in (0..).zip(inputs).zip(keys.iter().cycle()) {
            let mut jobs = [Seal {
                key,
                counter,
                plaintext: Plaintext::InPlace(case.bytes),
                out: &mut input[..sealed],
            }];
            self.aead.seal(&mut jobs);
        }
    }

    fn seal(&mut self, keys: &[[u8; 32]], case: Case, sealed: usize) -> u64 {
        let began = ticks::now();
        let mut keys = (0..).zip(keys.iter().cycle());
        for inputs in self.inputs.chunks(STRIDE * case.burst) {
            let places = inputs.chunks(STRIDE).zip(self.outputs.chunks_mut(STRIDE));
            let mut jobs = ArrayVec::<_, BATCH>::new();
            for ((input, output), (counter, key)) in places.zip(&mut keys) {
                jobs.push(Seal {
                    key,
                    counter,
                    plaintext: Plaintext::At(&input[..case.bytes]),
                    out: &mut output[..sealed],
                });
            }
            self.aead.seal(&mut jobs);
        }
        ticks::now().wrapping_sub(began)
    }

    fn open(&mut self, keys: &[[u8; 32]], case: Case, sealed: usize) -> u64 {
        let began = ticks::now();
        let mut keys = (0..).zip(keys.iter().cycle());
        for inputs in self.inputs.chunks(STRIDE * case.burst) {
            let places = inputs.chunks(STRIDE).zip(self.outputs.chunks_mut(STRIDE));
            let mut jobs = ArrayVec::<_, BATCH>::new();
            for ((input, output), (counter, key)) in places.zip(&mut keys) {
                jobs.push(Open {
                    key,
                    counter,
                    ciphertext: &input[..sealed],
                    out: &mut output[..sealed - TAG_BYTES],
                    authentic: false,
                });
            }
            self.aead.open(&mut jobs);
            let authentic = jobs.iter().all(|job| job.authentic);
            assert!(authentic, "what was sealed is authentic");
        }
        ticks::now().wrapping_sub(began)
    }
}
