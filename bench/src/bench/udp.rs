//! The highest pace of UDP that passes a tunnel with less than one percent lost.

use super::Settings;
use super::contender::Contender;
use super::figures::{UDP_MOST, UDP_STEP};
use super::interrupt::Stage;
use super::measure::Sample;
use super::paced::{DATAGRAM_BYTES, Paced};
use super::pair::Pair;
use crate::Result;

/// Paces offered one after the other, in Mb/s of payload.
const STEPS_MBPS: [u32; 8] = [250, 500, 1000, 1500, 2000, 3000, 4000, 5000];

/// The greatest share of datagrams that may be lost.
const LOST_MAX: f64 = 0.01;

/// The smallest share of a step that must have been sent for it to count as offered.
const OFFERED_MIN: f64 = 0.98;

/// Climbs until a step fails twice, and reports the last one that passed (0 if none did) and the most that arrived.
pub(super) fn take(stage: &Stage, settings: &Settings, contender: Contender) -> Result<Vec<Sample>> {
    let pair = Pair::new(stage, settings, contender)?;
    let (mut passed, mut most) = (0.0, 0.0_f64);
    for step in STEPS_MBPS {
        let gbps = f64::from(step) / 1000.0;
        let paced = Paced {
            datagrams_per_s: f64::from(step) * 1e6 / (DATAGRAM_BYTES * 8) as f64,
            duration: settings.duration() / 2,
        };
        let mut passes = false;
        // A single burst of other work on the machine must not end the climb.
        for _ in 0..2 {
            let outcome = paced.run(&pair)?;
            most = most.max(outcome.arrived_bits_per_s / 1e9);
            passes = outcome.offered_share >= OFFERED_MIN && outcome.lost_share < LOST_MAX;
            if passes {
                break;
            }
        }
        if !passes {
            break;
        }
        passed = gbps;
    }
    Ok(vec![UDP_STEP.sample(passed), UDP_MOST.sample(most)])
}
