//! `[[port]]`: network devices whose packets Weir takes by AF_XDP, before the kernel's network stack.

use crate::interface::is_interface_name;
use crate::problem::Wrong;
use crate::reader::{Reader, Section};
use toml::Spanned;
use toml::de::DeValue;

pub(crate) const KEYS: &[&str] = &["device", "role", "mode", "busy_poll", "bypass_nftables"];

const DEVICE_EXPECTED: &str = "the name of a network device, such as \"eth1\"";

/// One device.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Port {
    /// The device's name.
    pub device: String,
    /// What arrives there.
    pub role: PortRole,
    /// How the kernel is to hand packets over.
    pub mode: PortMode,
    /// Whether shards work on the card's queues themselves while they are busy, instead of the kernel at interrupts.
    pub busy_poll: bool,
    /// Whether the operator knows that nftables sees no packet between this device and the tunnel.
    pub bypass_nftables: bool,
}

/// What arrives on a device.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PortRole {
    /// Tunnels' datagrams.
    Wan,
    /// Packets for peers, which are forwarded into tunnels.
    Lan,
}

impl PortRole {
    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            PortRole::Wan => "wan",
            PortRole::Lan => "lan",
        }
    }
}

/// How the kernel hands packets over.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum PortMode {
    /// The best that can be had on each queue.
    #[default]
    Auto,
    /// The card itself writes into Weir's memory and reads from it.
    ZeroCopy,
    /// The driver copies.
    Driver,
    /// The kernel copies, after it has made a packet of its own of the frame.
    Generic,
}

/// A device and where its facts stand.
struct Declared {
    port: Port,
    section: String,
    device_line: usize,
    line: usize,
}

/// Reads every port, and reports those that contradict each other or the interface.
pub(crate) fn read_all(
    reader: &mut Reader<'_>,
    value: Option<&Spanned<DeValue<'_>>>,
    interface: &str,
) -> Vec<Port> {
    let Some(value) = value else { return Vec::new() };
    let DeValue::Array(ports) = value.get_ref() else {
        let wrong = Wrong::Type {
            found: "a single section",
            expected: "[[port]] in double brackets",
        };
        reader.report(reader.line(value.span()), "port", "", wrong);
        return Vec::new();
    };
    let mut declared: Vec<Declared> = Vec::new();
    for (place, value) in ports.iter().enumerate() {
        let Some(next) = read(reader, value, place) else {
            continue;
        };
        contradictions(reader, &next, &declared, interface);
        declared.push(next);
    }
    declared.into_iter().map(|declared| declared.port).collect()
}

fn read(reader: &mut Reader<'_>, value: &Spanned<DeValue<'_>>, place: usize) -> Option<Declared> {
    let section = Section::open(reader, format!("port {}", place + 1), value, KEYS)?;
    let device = section.text(reader, "device", DEVICE_EXPECTED);
    if !section.has("device") {
        section.report(reader, section.line, "device", Wrong::Missing(DEVICE_EXPECTED));
    }
    let roles = [("wan", PortRole::Wan), ("lan", PortRole::Lan)];
    let role = section.choice(reader, "role", "wan or lan", &roles);
    if !section.has("role") {
        let expected = "wan, where tunnels' datagrams arrive, or lan, where packets for peers do";
        section.report(reader, section.line, "role", Wrong::Missing(expected));
    }
    let modes = [
        ("auto", PortMode::Auto),
        ("zero-copy", PortMode::ZeroCopy),
        ("driver", PortMode::Driver),
        ("generic", PortMode::Generic),
    ];
    let mode = section.choice(reader, "mode", "auto, zero-copy, driver or generic", &modes);
    let busy_poll = section.flag(reader, "busy_poll").unwrap_or(false);
    let bypass_nftables = section.flag(reader, "bypass_nftables").unwrap_or(false);
    let (device, role) = (device?, role?);
    if !is_interface_name(device.value) {
        let wrong = Wrong::Value {
            value: device.value.to_owned(),
            expected: DEVICE_EXPECTED,
        };
        section.report(reader, device.line, "device", wrong);
        return None;
    }
    Some(Declared {
        port: Port {
            device: device.value.to_owned(),
            role,
            mode: mode.unwrap_or_default(),
            busy_poll,
            bypass_nftables,
        },
        device_line: device.line,
        line: section.line,
        section: section.name,
    })
}

/// A device is one port, and a shard has one port of each role.
fn contradictions(reader: &mut Reader<'_>, next: &Declared, before: &[Declared], interface: &str) {
    if next.port.device == interface {
        let wrong = Wrong::Value {
            value: interface.to_owned(),
            expected: "a device of this host, not the tunnel's own",
        };
        reader.report(next.device_line, &next.section, "device", wrong);
    }
    for other in before {
        if other.port.device == next.port.device {
            let wrong = Wrong::Twice {
                value: format!("\"{}\"", next.port.device),
                line: other.device_line,
            };
            reader.report(next.device_line, &next.section, "device", wrong);
        } else if other.port.role == next.port.role {
            let wrong = Wrong::Twice {
                value: format!("role \"{}\"", next.port.role.name()),
                line: other.line,
            };
            reader.report(next.line, &next.section, "role", wrong);
        }
    }
}
