//! Network devices that Weir takes packets from by AF_XDP: those of `[[port]]`, and those named by `--device`.

mod bypass;
mod host;
mod mode;
mod offloads;
mod placement;
mod polling;
mod queues;
mod stack;

use super::Finding;
use crate::files::Loaded;
use crate::ipc;
use std::path::Path;
use weir_config::{Config, DEFAULT_PORT, Port, PortMode, PortRole, Shards};
use weir_nic::driver::{self, Driver};
use weir_nic::{Host, Nic};

/// Capabilities (capabilities(7)) that AF_XDP needs: for its sockets, for locked memory, for programs.
const CAP_NET_RAW: u32 = 13;
const CAP_IPC_LOCK: u32 = 14;
const CAP_SYS_ADMIN: u32 = 21;
const CAP_BPF: u32 = 39;

/// A device, and what it is to do.
struct Subject<'a> {
    nic: &'a Nic,
    host: &'a Host,
    /// Its section; `None` where it is only asked about.
    port: Option<&'a Port>,
    /// The configuration that has the section.
    config: Option<&'a Config>,
    /// The UDP port of tunnels.
    udp_port: u16,
    /// How many cores are to receive.
    cores: u32,
    /// Whether the gateway of this configuration runs.
    runs: bool,
}

impl Subject<'_> {
    fn name(&self) -> &str {
        &self.nic.link.name
    }

    fn driver(&self) -> Option<&'static Driver> {
        self.nic.known_driver()
    }

    /// What the driver is called, for people.
    fn driver_name(&self) -> &str {
        match (&self.nic.driver, &self.nic.link.kind) {
            (Some(driver), _) if !driver.name.is_empty() => &driver.name,
            (_, Some(kind)) => kind,
            (_, None) => "a driver without a name",
        }
    }

    fn mode(&self) -> PortMode {
        self.port.map(|port| port.mode).unwrap_or_default()
    }

    /// Whether datagrams of tunnels arrive there, as far as is said.
    fn takes_tunnels(&self) -> bool {
        self.port.is_none_or(|port| port.role == PortRole::Wan)
    }

    /// Whether software made it of other devices, whose drivers see the frames first.
    fn made_of_others(&self) -> bool {
        self.nic.link.made_of_others().is_some()
    }

    /// `bad` where the configuration wants the device, `warn` where it is only asked about.
    fn against(&self, what: String, cost: impl Into<String>, mend: impl Into<String>) -> Finding {
        match self.port {
            Some(_) => Finding::bad(what, cost, mend),
            None => Finding::warn(what, cost, mend),
        }
    }
}

/// Nothing where no device is configured or asked about.
pub fn findings(asked: &[String], loaded: Option<&Loaded>, directory: &Path) -> Vec<Finding> {
    let config = loaded.map(|loaded| &loaded.config);
    let ports = config.map_or(&[][..], |config| &config.ports);
    let mut names: Vec<&str> = ports.iter().map(|port| port.device.as_str()).collect();
    for name in asked {
        if !names.contains(&name.as_str()) {
            names.push(name);
        }
    }
    if names.is_empty() {
        return Vec::new();
    }
    let host = Host::read();
    let runs =
        config.is_some_and(|config| ipc::reachable(directory, &config.interface.name).unwrap_or(false));
    let mut findings = host::findings(&host);
    for name in names {
        let port = ports.iter().find(|port| port.device == name);
        let nic = match Nic::read(name) {
            Ok(nic) => nic,
            Err(error) => {
                findings.push(unreadable(name, port, &error.to_string()));
                continue;
            }
        };
        let subject = Subject {
            nic: &nic,
            host: &host,
            port,
            config,
            udp_port: config.map_or(DEFAULT_PORT, |config| config.interface.listen_port),
            cores: cores(config),
            runs: runs && port.is_some(),
        };
        findings.extend(judge(&subject));
    }
    findings
}

fn unreadable(name: &str, port: Option<&Port>, error: &str) -> Finding {
    let cost = match port {
        Some(_) => "the gateway refuses to start",
        None => "nothing is known of it",
    };
    Finding::bad(
        format!("{name}: {error}"),
        cost,
        "ip link shows what devices there are",
    )
}

/// The shards that are asked for, or the processors that this program may use.
fn cores(config: Option<&Config>) -> u32 {
    match config.map(|config| config.dataplane.shards) {
        Some(Shards::Count(count)) => u32::from(count.get()),
        Some(Shards::Auto) | None => {
            let cores = std::thread::available_parallelism().map_or(1, core::num::NonZero::get);
            u32::try_from(cores).unwrap_or(u32::MAX)
        }
    }
}

fn judge(subject: &Subject<'_>) -> Vec<Finding> {
    let mut findings = vec![description(subject)];
    if !subject.nic.link.ethernet {
        findings.push(subject.against(
            format!("{}: carries no Ethernet frames", subject.name()),
            "it cannot be a port",
            "name a network card, or leave its packets to the ordinary sockets: no [[port]] is needed for these",
        ));
        return findings;
    }
    findings.extend(stack::findings(subject));
    findings.extend(bypass::findings(subject));
    findings.extend(mode::findings(subject));
    // What applies to cards is to be asked of the cards below.
    if subject.made_of_others() {
        return findings;
    }
    findings.extend(queues::findings(subject));
    findings.extend(offloads::findings(subject));
    findings.extend(placement::findings(subject));
    findings.extend(polling::findings(subject));
    findings
}

fn description(subject: &Subject<'_>) -> Finding {
    let nic = subject.nic;
    let mut parts = vec![subject.driver_name().to_owned()];
    if let Some(driver) = nic.driver.as_ref().filter(|driver| !driver.bus.is_empty()) {
        parts.push(format!("at {}", driver.bus));
    }
    parts.push(format!(
        "{} to receive and {} to transmit",
        counted(nic.rx_queues, "queue"),
        nic.tx_queues
    ));
    parts.push(format!("MTU {}", nic.link.mtu));
    let what = format!("device {}: {}", subject.name(), parts.join(", "));
    if nic.link.up {
        return Finding::ok(what);
    }
    let mend = format!("ip link set {} up", subject.name());
    Finding::warn(format!("{what}; it is down"), "no packet passes", mend)
}

/// A number of things, such as `1 queue` or `2 queues`.
fn counted(number: u32, thing: &str) -> String {
    match number {
        1 => format!("1 {thing}"),
        _ => format!("{number} {thing}s"),
    }
}

/// A command for each of several, joined for a shell.
fn commands(all: impl Iterator<Item = String>) -> String {
    all.collect::<Vec<_>>().join("; ")
}

/// What a driver does with a program while the card merges packets; of unknown ones the worst is assumed.
fn merging(driver: Option<&Driver>) -> driver::Merging {
    driver.map_or(driver::Merging::Refused, |driver| driver.merging)
}

#[cfg(test)]
mod tests {
    use super::*;
    use weir_nic::{DriverInfo, Feature, Features, KernelVersion, Link};

    /// An Ethernet card `eth1` of which nothing is known but the driver.
    pub fn card(driver: &str) -> Nic {
        Nic {
            link: Link {
                index: 2,
                name: "eth1".into(),
                mtu: 1500,
                up: true,
                ethernet: true,
                ..Link::default()
            },
            below: None,
            ports: Vec::new(),
            vlans: Vec::new(),
            master: None,
            driver: Some(DriverInfo {
                name: driver.to_owned(),
                version: String::new(),
                firmware: String::new(),
                bus: String::new(),
            }),
            channels: None,
            rx_queues: 1,
            tx_queues: 1,
            rings: None,
            indirection: None,
            hashed_udp4: None,
            hashed_udp6: None,
            rules: None,
            features: Features::default(),
            xdp: None,
            deferral: None,
            numa_node: None,
            virtio_features: None,
            interrupts: Vec::new(),
        }
    }

    pub fn feature(name: &str, on: bool, switchable: bool) -> Feature {
        Feature {
            name: name.to_owned(),
            on,
            switchable,
        }
    }

    pub fn subject<'a>(nic: &'a Nic, host: &'a Host, port: Option<&'a Port>, cores: u32) -> Subject<'a> {
        Subject {
            nic,
            host,
            port,
            config: None,
            udp_port: DEFAULT_PORT,
            cores,
            runs: false,
        }
    }

    /// What `judge` says of a device for so many cores.
    pub fn judged<T>(nic: &Nic, cores: u32, judge: impl FnOnce(&Subject<'_>) -> T) -> T {
        judge(&subject(nic, &Host::default(), None, cores))
    }

    /// Likewise on a certain machine.
    pub fn judged_on<T>(nic: &Nic, host: &Host, judge: impl FnOnce(&Subject<'_>) -> T) -> T {
        judge(&subject(nic, host, None, 4))
    }

    /// Likewise on a kernel, with a mode asked for.
    pub fn judged_mode<T>(
        nic: &Nic,
        kernel: KernelVersion,
        mode: PortMode,
        judge: impl FnOnce(&Subject<'_>) -> T,
    ) -> T {
        let host = Host {
            kernel: Some(kernel),
            ..Host::default()
        };
        let port = Port {
            device: "eth1".into(),
            role: PortRole::Wan,
            mode,
            busy_poll: false,
            bypass_nftables: false,
        };
        judge(&subject(nic, &host, Some(&port), 4))
    }

    // Catches a device that carries no frames judged as if it did.
    #[test]
    fn a_device_without_frames_is_no_port() {
        let mut nic = card("tun");
        nic.link.ethernet = false;
        let findings = judged(&nic, 4, judge);
        assert_eq!(findings.len(), 2);
        assert_eq!(findings[1].what, "eth1: carries no Ethernet frames");
    }
}
