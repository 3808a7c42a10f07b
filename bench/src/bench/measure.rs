//! The measures that can be asked for.

use std::fmt;
use std::str::FromStr;

use super::contender::Contender;
use super::figures::Figure;
use super::interrupt::Stage;
use super::{Settings, changes, cpu, forwarding, idle, latency, memory, tcp, udp};
use crate::{Implementation, Result};

/// One measure: a topology built for one contender, and the figures taken in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measure {
    /// Throughput of one and four TCP streams, in both directions.
    Tcp,
    /// The highest pace of UDP that passes.
    Udp,
    /// CPU time at a paced 1 Gb/s.
    Cpu,
    /// CPU time and wake-ups without traffic.
    Idle,
    /// Round trips of small datagrams.
    Latency,
    /// Packets sealed from a LAN by a process on one core.
    Gateway,
    /// Resident memory of registered peers and of live sessions.
    Memory,
    /// The time that changes of single peers take among ten thousand, and what others notice of them.
    Changes,
    /// Resident memory of a million registered peers, and the time it takes to register them.
    Million,
    /// Packets carried over AF_XDP by one shard, and its work beyond a bare forwarder's. It has contenders of its own
    /// and a report of its own.
    Xdp,
    /// One shard's work for a packet beyond the AEAD, over ports in memory. It has a report of its own.
    Engine,
    /// Packets that a shard finds at a time, by load. Weir alone, over AF_XDP, with a report of its own.
    Bursts,
    /// Packets carried over AF_XDP by one shard with each AEAD back end. It has a report of its own.
    Backends,
    /// The control process with ten thousand peers: changes, memory, pages. It has a report of its own.
    Control,
}

/// One value of one round.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sample {
    /// What it is a value of.
    pub figure: &'static Figure,
    /// In the figure's unit.
    pub value: f64,
}

impl Measure {
    /// All of them, in the order in which they are taken.
    pub const ALL: [Self; 14] = [
        Self::Tcp,
        Self::Udp,
        Self::Cpu,
        Self::Idle,
        Self::Latency,
        Self::Gateway,
        Self::Memory,
        Self::Changes,
        Self::Million,
        Self::Xdp,
        Self::Engine,
        Self::Bursts,
        Self::Backends,
        Self::Control,
    ];

    /// The name by which it is asked for.
    pub fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Cpu => "cpu",
            Self::Idle => "idle",
            Self::Latency => "latency",
            Self::Gateway => "gateway",
            Self::Memory => "memory",
            Self::Changes => "changes",
            Self::Million => "million",
            Self::Xdp => "xdp",
            Self::Engine => "engine",
            Self::Bursts => "bursts",
            Self::Backends => "backends",
            Self::Control => "control",
        }
    }

    /// Whether the first round says it all: memory and idleness hardly vary, and take long to measure.
    pub(super) fn once(self) -> bool {
        matches!(self, Self::Idle | Self::Memory | Self::Million)
    }

    /// Whether implementations take their turns in it. The others measure what only Weir has.
    pub(super) fn has_contenders(self) -> bool {
        !matches!(
            self,
            Self::Xdp | Self::Engine | Self::Bursts | Self::Backends | Self::Control
        )
    }

    /// Whether it has a meaning for a contender.
    pub(super) fn applies(self, contender: Contender) -> bool {
        match self {
            Self::Tcp | Self::Udp | Self::Latency => true,
            Self::Cpu | Self::Idle | Self::Gateway | Self::Memory => contender != Contender::Veth,
            Self::Xdp | Self::Engine | Self::Bursts | Self::Backends | Self::Control => false,
            // The others keep buffers and tasks for each peer, and are not made for a million; none has control's socket.
            Self::Million | Self::Changes => contender == Contender::Tunnel(Implementation::Weir),
        }
    }

    pub(super) fn take(
        self,
        stage: &Stage,
        settings: &Settings,
        contender: Contender,
    ) -> Result<Vec<Sample>> {
        match (self, contender) {
            (Self::Tcp, _) => tcp::take(stage, settings, contender),
            (Self::Udp, _) => udp::take(stage, settings, contender),
            (Self::Latency, _) => latency::take(stage, settings, contender),
            (Self::Xdp | Self::Engine | Self::Bursts | Self::Backends | Self::Control, _)
            | (_, Contender::Veth) => Ok(Vec::new()),
            (Self::Cpu, Contender::Tunnel(_)) => cpu::take(stage, settings, contender),
            (Self::Idle, Contender::Tunnel(tunnel)) => idle::take(stage, settings, tunnel),
            (Self::Gateway, Contender::Tunnel(tunnel)) => forwarding::take(stage, settings, tunnel),
            (Self::Memory, Contender::Tunnel(tunnel)) => memory::take(stage, settings, tunnel),
            (Self::Changes, Contender::Tunnel(_)) => changes::take(stage, settings),
            (Self::Million, Contender::Tunnel(tunnel)) => memory::take_million(stage, settings, tunnel),
        }
    }
}

impl Figure {
    /// A value of this figure.
    pub(super) fn sample(&'static self, value: f64) -> Sample {
        Sample { figure: self, value }
    }
}

impl fmt::Display for Measure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Measure {
    type Err = String;

    fn from_str(text: &str) -> core::result::Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|measure| measure.name() == text)
            .ok_or_else(|| {
                let names = Self::ALL.map(Self::name).join(", ");
                format!("measure {text}: expected one of {names}")
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Catches a measure that cannot be asked for, and a wrong name that is not explained.
    #[test]
    fn measures_go_by_their_names() {
        for measure in Measure::ALL {
            assert_eq!(measure.to_string().parse(), Ok(measure));
        }
        let error = "sctp".parse::<Measure>().unwrap_err();
        assert!(error.contains("sctp") && error.contains("tcp, udp"), "{error}");
    }
}
