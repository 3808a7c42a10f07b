//! What one shard carries with each AEAD back end that this CPU has, asked for by name.

use weir_xdp_prog::AttachMode;

use super::super::interrupt::Stage;
use super::super::{Settings, ticks};
use super::cores::Cores;
use super::gateway::Gateway;
use super::lab::Lab;
use super::stores::Stores;
use super::window::{Window, Worker};
use super::{Case, Direction, Findings, Place, SIZES};
use crate::{LabError, Result};

/// What all are compared with.
const REFERENCE: &str = "ring";

/// Every direction, size and back end in every round, the back ends right after each other.
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
                take_all(&place, case, round, findings);
            }
        }
    }
    Ok(())
}

fn take_all(place: &Place<'_>, case: Case, round: u32, findings: &mut Findings) {
    let row = format!("{}, {} B", case.direction.name(), case.bytes);
    let mut carried = Vec::new();
    for aead in weir_crypto::able() {
        let name = aead.name();
        match take(place, case, name) {
            Ok(window) => {
                eprintln!("round {round}, backends, {case}, {name}: {window}");
                findings.add(&row, "offered kpps", "kpps", window.offered_pps / 1e3);
                findings.add(&row, &format!("{name}, kpps"), "kpps", window.carried_pps / 1e3);
                findings.add(&row, &format!("{name}, cycles"), ticks::UNIT, window.home);
                carried.push((name, window.carried_pps));
            }
            Err(error) => findings.failed(&format!("{case}, {name}"), &error),
        }
    }
    let reference = carried.iter().find(|(name, _)| *name == REFERENCE).copied();
    let Some((_, reference)) = reference else {
        return;
    };
    for (name, pps) in carried.iter().filter(|(name, _)| *name != REFERENCE) {
        let times = format!("{name}, times {REFERENCE}");
        findings.add(&row, &times, "times", pps / reference);
    }
}

fn take(place: &Place<'_>, case: Case, name: &str) -> Result<Window> {
    let tools = (place.lab, place.stores);
    let mut gateway = Gateway::start(tools, case.mode, 1, place.cores, Some(name))?;
    let used = gateway.aead()?;
    if used != name {
        return Err(LabError::Unreadable {
            program: "weir status",
            expected: "AEAD back end that was asked for",
            output: format!("{used} instead of {name}"),
        });
    }
    let frames = place.frames(case, Some(&mut gateway.session))?;
    let home = Worker::new(&gateway.shards[0], place.cores.home)?;
    place.window(case, 0, &frames, &home)
}
