//! `[dataplane]`: how the work is spread and buffered. A profile sets every figure, each can be overridden.

use crate::key;
use crate::problem::Wrong;
use crate::reader::{Reader, Section};
use core::num::NonZeroU16;
use std::path::PathBuf;

pub(crate) const KEYS: &[&str] = &[
    "shards",
    "steering",
    "offload",
    "profile",
    "burst",
    "queue",
    "buffer_kib",
    "keepalive",
    "state_directory",
];

/// The most shards, as the engine has it.
pub const SHARDS_MAX: u16 = 64;

/// How the data plane works.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Dataplane {
    /// How many shards.
    pub shards: Shards,
    /// How datagrams find their shard.
    pub steering: Steering,
    /// Segmentation and receive offloads of UDP and TUN.
    pub offload: Offload,
    /// What the figures below follow where they are not given.
    pub profile: Profile,
    /// Packets taken from a port at once, at most; 1 to 256.
    pub burst: u16,
    /// Packets that wait for a handshake or for a port, at most; 16 to 4,096.
    pub queue: u16,
    /// Buffer of each UDP socket in bytes; 16 KiB to 64 MiB.
    pub buffer_bytes: u32,
    /// Seconds between persistent keepalives in configurations made for clients; 0 is off.
    pub keepalive_s: u16,
    /// Where last endpoints and timestamps are kept; `None` is the data plane's own place.
    pub state_directory: Option<PathBuf>,
}

/// How many shards.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Shards {
    /// As many as the machine has use for.
    #[default]
    Auto,
    /// This many.
    Count(NonZeroU16),
}

/// How datagrams find their shard.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Steering {
    /// The best that can be had.
    #[default]
    Auto,
    /// An eBPF program on the reuseport group.
    Ebpf,
    /// A classic BPF program on the reuseport group.
    ClassicBpf,
    /// One shard receives and hands over.
    UserSpace,
}

/// Whether offloads are used.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Offload {
    /// Those that can be had.
    #[default]
    Auto,
    /// All; an error where one cannot be had.
    On,
    /// None.
    Off,
}

/// What the machine is tuned for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Profile {
    /// Many packets at once.
    #[default]
    Throughput,
    /// Each packet at once.
    Latency,
}

impl Profile {
    /// The MTU in bytes that the profile asks for; `None` leaves it to the path.
    pub fn mtu(self) -> Option<u16> {
        match self {
            Profile::Throughput => None,
            Profile::Latency => Some(1380),
        }
    }

    /// Burst, queue, buffer in KiB, keepalive in seconds.
    fn figures(self) -> [u64; 4] {
        match self {
            Profile::Throughput => [32, 256, 256, 25],
            Profile::Latency => [1, 64, 64, 10],
        }
    }
}

impl Default for Dataplane {
    fn default() -> Self {
        Self::of(Profile::default())
    }
}

impl Dataplane {
    /// What `profile` alone asks for.
    pub fn of(profile: Profile) -> Self {
        let [burst, queue, buffer_kib, keepalive_s] = profile.figures();
        Self {
            shards: Shards::Auto,
            steering: Steering::Auto,
            offload: Offload::Auto,
            profile,
            burst: burst as u16,
            queue: queue as u16,
            buffer_bytes: buffer_kib as u32 * 1024,
            keepalive_s: keepalive_s as u16,
            state_directory: None,
        }
    }
}

pub(crate) fn read(reader: &mut Reader<'_>, section: &Section<'_>, file: &str) -> Dataplane {
    let profiles = [("throughput", Profile::Throughput), ("latency", Profile::Latency)];
    let profile = section.choice(reader, "profile", "throughput or latency", &profiles);
    let default = Dataplane::of(profile.unwrap_or_default());
    let steering = section.choice(
        reader,
        "steering",
        "auto, ebpf, classic-bpf or user-space",
        &[
            ("auto", Steering::Auto),
            ("ebpf", Steering::Ebpf),
            ("classic-bpf", Steering::ClassicBpf),
            ("user-space", Steering::UserSpace),
        ],
    );
    let offloads = [
        ("auto", Offload::Auto),
        ("on", Offload::On),
        ("off", Offload::Off),
    ];
    let offload = section.choice(reader, "offload", "auto, on or off", &offloads);
    let mut number = |key, least, most, default: u64| {
        section
            .number(reader, key, least, most)
            .map_or(default, |n| n.value)
    };
    let burst = number("burst", 1, 256, u64::from(default.burst)) as u16;
    let queue = number("queue", 16, 4096, u64::from(default.queue)) as u16;
    let buffer_kib = number("buffer_kib", 16, 65_536, u64::from(default.buffer_bytes / 1024)) as u32;
    let keepalive_s = number(
        "keepalive",
        0,
        u64::from(u16::MAX),
        u64::from(default.keepalive_s),
    ) as u16;
    let state = section.text(reader, "state_directory", "the path of a folder");
    Dataplane {
        shards: shards(reader, section),
        steering: steering.unwrap_or_default(),
        offload: offload.unwrap_or_default(),
        profile: default.profile,
        burst,
        queue,
        buffer_bytes: buffer_kib * 1024,
        keepalive_s,
        state_directory: state.map(|path| key::resolve(file, path.value)),
    }
}

fn shards(reader: &mut Reader<'_>, section: &Section<'_>) -> Shards {
    const EXPECTED: &str = "\"auto\" or a number of shards";
    if section.is_text("shards") {
        let text = section.text(reader, "shards", EXPECTED);
        if let Some(text) = text.filter(|t| t.value != "auto") {
            let wrong = Wrong::Value {
                value: text.value.to_owned(),
                expected: EXPECTED,
            };
            section.report(reader, text.line, "shards", wrong);
        }
        return Shards::Auto;
    }
    let count = section.number(reader, "shards", 1, u64::from(SHARDS_MAX));
    count
        .and_then(|n| NonZeroU16::new(n.value as u16))
        .map_or(Shards::Auto, Shards::Count)
}
