//! One shard's work for each packet over AF_XDP, beyond that of a bare forwarder on the same devices.
//!
//! For each mode, direction and size the forwarder has its turn, then a gateway with one shard, then one with two, of
//! which one receives every packet and the other is at home with the session, and then the AEAD alone. [`lab`] draws the
//! topology. Packets are counted where they arrive, time on a core is the scheduler's account of the thread and of its
//! core's softirqs.

mod aead;
mod arriving;
mod backends;
mod bursts;
mod cores;
mod findings;
mod forwarder;
mod frames;
mod gateway;
mod lab;
mod report;
mod sender;
mod stores;
mod threads;
mod window;

pub use findings::Findings;
pub use report::Report;

use std::thread;
use std::time::Duration;

use weir_noise::Keypair;
use weir_xdp_prog::AttachMode;

use super::Settings;
use super::cores::hold;
use super::interrupt::Stage;
use super::ticks;
use crate::{LabError, Result};
use cores::Cores;
use frames::Frames;
use gateway::Gateway;
use lab::Lab;
use stores::Stores;
use threads::Thread;
use window::{Window, Worker};

/// Sizes of inner IPv4 packets.
const SIZES: [usize; 3] = [64, 512, 1420];

/// Of the packets that are to be handed over, so many in a hundred are at least, or the window is none.
const HANDED_OVER_PERCENT: u64 = 95;

/// After a window, time in which shards empty their queues.
const SETTLED: Duration = Duration::from_millis(100);

/// What is measured at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Case {
    mode: AttachMode,
    direction: Direction,
    /// Bytes of an inner packet.
    bytes: usize,
}

/// Where packets go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Direction {
    /// From the LAN into the tunnel: they are sealed.
    Out,
    /// From the tunnel to the LAN: they are opened.
    In,
}

/// Who moves them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mover {
    /// The bare forwarder.
    Bare,
    /// A gateway with one shard.
    Weir,
    /// A gateway with two shards, every packet received by the one that is not its session's home.
    HandedOver,
}

/// Takes the measure [`bursts`].
pub(super) fn run_bursts(settings: &Settings, stage: &Stage) -> Findings {
    let mut findings = Findings::new(settings, "bursts", "Bursts that a shard sees");
    let ended = bursts::take_rounds(settings, stage, &mut findings);
    findings.end(ended);
    findings
}

/// Takes the measure [`backends`].
pub(super) fn run_backends(settings: &Settings, stage: &Stage) -> Findings {
    let mut findings = Findings::new(settings, "backends", "A gateway with each AEAD back end");
    let ended = backends::take_rounds(settings, stage, &mut findings);
    findings.end(ended);
    findings
}

/// Takes every case in every round, saying on standard error what it finds. What ends it early is in the report.
pub(super) fn run(settings: &Settings, stage: &Stage) -> Report {
    let mut report = Report::new(settings, ticks::per_second());
    if let Err(error) = take_rounds(settings, stage, &mut report) {
        eprintln!("xdp: {error}");
        report.failed("xdp", &error);
    }
    report
}

fn take_rounds(settings: &Settings, stage: &Stage, report: &mut Report) -> Result<()> {
    let cores = Cores::of(&settings.xdp_cores)?;
    let stores = Stores::default();
    let rounds = settings.xdp_rounds;
    for round in 1..=rounds {
        for mode in [AttachMode::Driver, AttachMode::Generic] {
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
                    place.take_all(case, &format!("round {round} of {rounds}, xdp"), report)?;
                }
            }
        }
    }
    Ok(())
}

/// Where and with what a case is taken.
struct Place<'a> {
    lab: &'a Lab,
    stores: &'a Stores,
    cores: &'a Cores,
    settings: &'a Settings,
}

impl Place<'_> {
    /// One case of each mover, and of the AEAD. What fails is reported beside what does not.
    fn take_all(&self, case: Case, told: &str, report: &mut Report) -> Result<()> {
        for mover in [Mover::Bare, Mover::Weir, Mover::HandedOver] {
            let what = format!("{case}, {}", mover.name());
            match self.take(case, mover) {
                Ok(window) => {
                    eprintln!("{told}, {what}: {window}");
                    report.add(case, mover, window);
                }
                Err(error) => {
                    eprintln!("{told}, {what}: {error}");
                    report.failed(&what, &error);
                }
            }
        }
        hold(&[self.cores.home])?;
        let aead = aead::each(case.direction, case.bytes)?;
        eprintln!("{told}, {case}, the AEAD alone: {aead:.0} {}", ticks::UNIT);
        report.add_aead(case, aead);
        Ok(())
    }

    fn take(&self, case: Case, mover: Mover) -> Result<Window> {
        let tools = (self.lab, self.stores);
        match mover {
            Mover::Bare => {
                let frames = self.frames(case, None)?;
                forwarder::run(tools, case.mode, self.cores.home, |thread, waited| {
                    let thread = Thread::own(thread);
                    let home = Worker::new(&thread, self.cores.home)?.less(waited);
                    self.window(case, 0, &frames, &home)
                })
            }
            Mover::Weir => {
                let mut gateway = Gateway::start(tools, case.mode, 1, self.cores, None)?;
                let frames = self.frames(case, Some(&mut gateway.session))?;
                let home = Worker::new(&gateway.shards[0], self.cores.home)?;
                self.window(case, 0, &frames, &home)
            }
            Mover::HandedOver => {
                let mut gateway = Gateway::start(tools, case.mode, 2, self.cores, None)?;
                let frames = self.frames(case, Some(&mut gateway.session))?;
                self.hand_over(case, &frames, &gateway)
            }
        }
    }

    /// What is to be sent; everything but shards and sender is then held to cores of its own.
    fn frames(&self, case: Case, session: Option<&mut Keypair>) -> Result<Frames> {
        hold(&self.cores.all)?;
        let frames = frames::of(self.lab, case, session, self.cores.all.len());
        hold(&self.cores.rest)?;
        frames
    }

    /// The session is at home with the first shard, which has the first queue, and packets come to the second queue. What
    /// the receiving shard spends is divided by all that it received since it began, for it may hand over more than the
    /// home takes.
    fn hand_over(&self, case: Case, frames: &Frames, gateway: &Gateway) -> Result<Window> {
        let home = Worker::new(&gateway.shards[0], self.cores.home)?;
        let receiving = self.cores.receiving(&gateway.shards[1])?;
        let before = receiving.worked()?;
        let mut window = self.window(case, 1, frames, &home)?;
        thread::sleep(SETTLED);
        let worked = receiving.worked()?.saturating_sub(before);
        let [received, handed] = gateway.received_and_handed_over(1)?;
        if handed * 100 < window.arrived * HANDED_OVER_PERCENT {
            return Err(LabError::Unreadable {
                program: "weir-dataplane",
                expected: "handover of every packet",
                output: format!("{handed} handed over of {received}, {} arrived", window.arrived),
            });
        }
        window.other = Some(ticks::of(worked) / received as f64);
        Ok(window)
    }
}

impl Direction {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Out => "out",
            Self::In => "in",
        }
    }
}

impl Mover {
    fn name(self) -> &'static str {
        match self {
            Self::Bare => "bare forwarder",
            Self::Weir => "weir",
            Self::HandedOver => "weir, all handed over",
        }
    }
}

fn mode_name(mode: AttachMode) -> &'static str {
    match mode {
        AttachMode::Driver => "driver",
        AttachMode::Generic => "generic",
    }
}

impl std::fmt::Display for Case {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{} {} {} B",
            mode_name(self.mode),
            self.direction.name(),
            self.bytes
        )
    }
}
