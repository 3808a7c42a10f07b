//! How many packets a shard finds at a time, at a tenth, at half and at all of what it can carry.
//!
//! What it can carry is measured first, in the same gateway, by a sender that holds nothing back. A packet is then sent
//! whenever one is due.

use weir_xdp_prog::AttachMode;

use super::super::Settings;
use super::super::interrupt::Stage;
use super::cores::Cores;
use super::gateway::{Gateway, Received};
use super::lab::Lab;
use super::sender::Pace;
use super::stores::Stores;
use super::window::{Window, Worker};
use super::{Case, Direction, Findings, Place};
use crate::Result;

/// Sizes of inner IPv4 packets.
const SIZES: [usize; 2] = [64, 1420];

/// Loads, in percent of what the shard can carry.
const LOADS: [u32; 3] = [10, 50, 100];

/// Names of the classes of bursts, and the packets that one of each is taken for.
const CLASSES: [(&str, f64); 7] = [
    ("1", 1.0),
    ("2", 2.0),
    ("3–4", 3.5),
    ("5–8", 6.5),
    ("9–16", 12.5),
    ("17–32", 24.5),
    ("33 and more", 48.0),
];

/// Every direction, size and load in every round.
pub(super) fn take_rounds(settings: &Settings, stage: &Stage, findings: &mut Findings) -> Result<()> {
    let cores = Cores::of(&settings.xdp_cores)?;
    let stores = Stores::default();
    for round in 1..=settings.xdp_rounds {
        let mode = AttachMode::Driver;
        let lab = Lab::new(stage, mode)?;
        let place = Place {
            lab: &lab,
            stores: &stores,
            cores: &cores,
            settings,
        };
        for direction in [Direction::Out, Direction::In] {
            for bytes in SIZES {
                let case = Case {
                    mode,
                    direction,
                    bytes,
                };
                eprintln!("round {round} of {}, bursts, {case}", settings.xdp_rounds);
                if let Err(error) = take(&place, case, findings) {
                    findings.failed(&case.to_string(), &error);
                }
            }
        }
    }
    Ok(())
}

/// One gateway, all loads.
fn take(place: &Place<'_>, case: Case, findings: &mut Findings) -> Result<()> {
    let mut gateway = Gateway::start((place.lab, place.stores), case.mode, 1, place.cores, None)?;
    let (full, received) = window(place, case, Pace::Full, &mut gateway)?;
    add(findings, &named(case, "unpaced"), &full, &received);
    for load in LOADS {
        let pace = Pace::PerSecond(full.carried_pps * f64::from(load) / 100.0);
        let (window, received) = window(place, case, pace, &mut gateway)?;
        add(findings, &named(case, &format!("{load} %")), &window, &received);
    }
    Ok(())
}

/// A window at this pace, and what the shard received from its warming up to its end.
fn window(place: &Place<'_>, case: Case, pace: Pace, gateway: &mut Gateway) -> Result<(Window, Received)> {
    let frames = place.frames(case, Some(&mut gateway.session))?;
    let home = Worker::new(&gateway.shards[0], place.cores.home)?;
    let before = gateway.received()?;
    let window = place.paced(case, 0, &frames, pace, &home)?;
    let after = gateway.received()?;
    eprintln!("  {pace:?}: {window}");
    Ok((window, after.since(&before)))
}

fn named(case: Case, load: &str) -> String {
    format!("{}, {} B, {load}", case.direction.name(), case.bytes)
}

fn add(findings: &mut Findings, case: &str, window: &Window, received: &Received) {
    findings.add(case, "offered kpps", "kpps", window.offered_pps / 1e3);
    findings.add(case, "carried kpps", "kpps", window.carried_pps / 1e3);
    let bursts: u64 = received.bursts.iter().sum();
    let mean = received.frames as f64 / bursts.max(1) as f64;
    findings.add(case, "packets a burst", "packets", mean);
    for ((class, _), share) in CLASSES.iter().zip(received.shares()) {
        findings.add(case, class, "%", 100.0 * share);
    }
}

impl Received {
    /// What came after an earlier reading.
    fn since(&self, before: &Self) -> Self {
        let classes = self.bursts.iter().zip(before.bursts);
        let mut bursts = [0; CLASSES.len()];
        for (burst, (after, before)) in bursts.iter_mut().zip(classes) {
            *burst = after - before;
        }
        Self {
            frames: self.frames - before.frames,
            bursts,
        }
    }

    /// Which share of the packets came in bursts of each class. A burst is taken for the middle of its class; the largest
    /// class of which there were any has the packets that are left, for most of its bursts are as long as can be.
    fn shares(&self) -> [f64; CLASSES.len()] {
        let mut packets = [0.0; CLASSES.len()];
        for (packets, (bursts, (_, middle))) in packets.iter_mut().zip(self.bursts.iter().zip(CLASSES)) {
            *packets = *bursts as f64 * middle;
        }
        if let Some(largest) = self.bursts.iter().rposition(|&bursts| bursts > 0) {
            let others: f64 = packets[..largest].iter().sum();
            packets[largest] = (self.frames as f64 - others).max(0.0);
        }
        let all: f64 = packets.iter().sum();
        packets.map(|packets| packets / all.max(1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Catches shares of bursts told as shares of packets, and full bursts taken for the middle of their class.
    #[test]
    fn shares_are_of_packets() {
        let before = Received {
            frames: 50,
            bursts: [50, 0, 0, 0, 0, 0, 0],
        };
        let after = Received {
            frames: 50 + 100 + 9 * 100,
            bursts: [150, 0, 0, 0, 0, 30, 0],
        };
        let shares = after.since(&before).shares();
        assert_eq!(shares[0], 0.1);
        assert_eq!(shares[5], 0.9);
        assert_eq!(shares.iter().sum::<f64>(), 1.0);
        let none = Received {
            frames: 0,
            bursts: [0; 7],
        };
        assert_eq!(none.shares(), [0.0; 7]);
    }
}
