//! One shard's work for each packet beyond the AEAD, over ports in memory that cost next to nothing.
//!
//! Bursts of transport messages on the WAN port, or of plain packets on the host port, go through a real shard with one
//! session, or 64 in turn. Four take their turn, window by window: the shard, the same with a back end that does nothing,
//! the AEAD alone, and the ports alone. [`count()`] runs the same for callgrind, which counts instructions.

mod alone;
mod count;
mod idle;
mod port;
mod report;
mod rig;

pub use count::{Count, count, run_windows};
pub use report::Report;

use alone::{Ports, Texts};
use idle::Idle;
use rig::Rig;

use super::report::median;
use super::xdp::Direction;
use super::{Settings, ticks};

/// Packets of a window.
const WINDOW: usize = 512;

/// Windows of one case in a round.
const WINDOWS: usize = 30;

/// Windows before those, which warm caches and tables.
const WARM_UP: usize = 3;

/// The tunnel's MTU.
const MTU: usize = 1420;

/// Sizes of inner IPv4 packets.
const SIZES: [usize; 3] = [64, 512, MTU];

/// Sessions that have a packet in turn.
const SESSIONS: [usize; 2] = [1, 64];

/// Frames that the shard takes at a time.
const BURSTS: [usize; 2] = [32, 64];

/// What is measured at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Case {
    direction: Direction,
    /// Bytes of an inner packet.
    bytes: usize,
    sessions: usize,
    burst: usize,
}

/// What one round found for a packet, in [`ticks::UNIT`]: each the median of the round's windows.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Round {
    /// Shard, ports and AEAD.
    all: f64,
    /// The AEAD alone.
    aead: f64,
    /// The ports alone.
    ports: f64,
    /// Shard and ports, with a back end that only copies.
    idle: f64,
}

/// Takes every case in every round, saying on standard error what it finds.
pub(super) fn run(settings: &Settings) -> Report {
    let mut report = Report::new(settings, ticks::per_second());
    let rounds = settings.xdp_rounds;
    let mut places: Vec<Place> = SESSIONS
        .into_iter()
        .flat_map(|sessions| BURSTS.map(|burst| Place::new(sessions, burst)))
        .collect();
    for round in 1..=rounds {
        for case in Case::all() {
            let place = places
                .iter_mut()
                .find(|place| (place.sessions, place.burst) == (case.sessions, case.burst));
            let found = place.expect("there is one for each case").round(case);
            eprintln!(
                "round {round} of {rounds}, engine, {case}: {:.0} in all, {:.0} of it the AEAD",
                found.all, found.aead
            );
            report.add(case, found);
        }
    }
    report
}

/// Everything that has its turn in a case.
struct Place {
    sessions: usize,
    burst: usize,
    shard: Rig,
    idle: Rig,
    texts: Texts,
    ports: Ports,
}

impl Place {
    fn new(sessions: usize, burst: usize) -> Self {
        Self {
            sessions,
            burst,
            shard: Rig::new(sessions, burst, weir_crypto::best()),
            idle: Rig::new(sessions, burst, &Idle),
            texts: Texts::new(burst, weir_crypto::best()),
            ports: Ports::new(),
        }
    }

    fn round(&mut self, case: Case) -> Round {
        let mut windows = [const { Vec::new() }; 4];
        for window in 0..WARM_UP + WINDOWS {
            self.shard.load(case);
            let all = self.shard.window(case);
            let aead = self.texts.window(case);
            let ports = self.ports.window(case);
            self.idle.load(case);
            let idle = self.idle.window(case);
            if window >= WARM_UP {
                for (found, took) in windows.iter_mut().zip([all, aead, ports, idle]) {
                    found.push(took as f64 / WINDOW as f64);
                }
            }
        }
        let [all, aead, ports, idle] = windows.map(|found| median(&found));
        Round {
            all,
            aead,
            ports,
            idle,
        }
    }
}

impl Case {
    /// Every case, in the order of the report's rows.
    fn all() -> impl Iterator<Item = Self> {
        let directions = [Direction::In, Direction::Out].into_iter();
        directions.flat_map(|direction| {
            SESSIONS.into_iter().flat_map(move |sessions| {
                BURSTS.into_iter().flat_map(move |burst| {
                    SIZES.map(|bytes| Self {
                        direction,
                        bytes,
                        sessions,
                        burst,
                    })
                })
            })
        })
    }

    /// Bytes of a transport message with such a packet.
    fn message_len(self) -> usize {
        rig::message_len(self.bytes)
    }
}

impl Round {
    /// The shard's work and that of its ports.
    fn beyond_aead(&self) -> f64 {
        self.all - self.aead
    }

    /// The shard's work alone.
    fn beyond_both(&self) -> f64 {
        self.all - self.aead - self.ports
    }
}

impl std::fmt::Display for Case {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            direction,
            bytes,
            sessions,
            burst,
        } = self;
        let direction = direction.name();
        write!(f, "{direction}, {bytes} B, sessions {sessions}, burst {burst}")
    }
}
