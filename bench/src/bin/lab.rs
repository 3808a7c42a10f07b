//! `make lab`: a client, a gateway and a server in three network namespaces; ping, iperf3 and traceroute through the
//! tunnel in both directions, as a table. GATEWAY and CLIENT name the implementations (weir and wireguard-go unless
//! said otherwise). With XDP=1 the gateway is Weir as `weir.toml` describes it, with WAN and LAN ports of AF_XDP on
//! devices with two queues; XDP_MODE asks for a mode by name. Needs root; Ctrl-C removes everything as the end does.
#![forbid(unsafe_code)]

use std::env;
use std::net::{IpAddr, SocketAddr};
use std::process::ExitCode;
use std::sync::{Arc, Weak};
use std::thread;
use std::time::Duration;

use nix::sys::signal::{SigSet, Signal};
use nix::unistd::geteuid;

use weir_bench::gateway_lab::GatewayLab;
use weir_bench::gateway_topology::{client_address, server_address};
use weir_bench::iperf::Iperf;
use weir_bench::tunnel::Family;
use weir_bench::xdp_lab::{Setup, XdpLab};
use weir_bench::{Implementation, Namespace, Ping, Topology, traceroute};

/// The status of a program that Ctrl-C ended.
const INTERRUPTED: i32 = 130;

/// How long a tunnel may take to come up.
const TUNNEL_LIMIT: Duration = Duration::from_secs(10);

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("lab: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Outcome<()> {
    if !geteuid().is_root() {
        return Err("network namespaces need root; `make lab` calls sudo".into());
    }
    let gateway = implementation("GATEWAY", Implementation::Weir)?;
    let client = implementation("CLIENT", Implementation::WireguardGo)?;
    let mode = xdp_mode()?;
    if mode.is_some() && gateway != Implementation::Weir {
        return Err(
            format!("XDP=1, GATEWAY={gateway}: expected weir, which alone has ports of AF_XDP").into(),
        );
    }
    let topology = remove_when_interrupted()?;
    println!("client {client}, gateway {gateway}, in network namespaces of this machine\n");
    if let Some(mode) = mode {
        return over_xdp(topology, client, mode);
    }
    let lab = GatewayLab::new(topology, client, gateway)?;
    Table::new(lab.topology(), lab.client.namespace(), &lab.server).print()
}

/// The table of a gateway with ports of AF_XDP, headed by the modes really in force.
fn over_xdp(topology: Arc<Topology>, client: Implementation, mode: &'static str) -> Outcome<()> {
    let setup = Setup {
        mode,
        ..Setup::default()
    };
    let lab = XdpLab::new(topology, setup)?;
    let client = lab.client(client)?;
    let table = Table::new(lab.topology(), client.namespace(), &lab.server);
    for direction in &table.directions {
        Ping::to(direction.address).until_answered(direction.from, TUNNEL_LIMIT)?;
        Ping::to(direction.address_v6).until_answered(direction.from, TUNNEL_LIMIT)?;
    }
    for (name, role) in [("WAN port", "wan"), ("LAN port", "host")] {
        let ports = lab.ports(role)?;
        let modes: Vec<&str> = ports.iter().map(|port| &*port.mode).collect();
        println!("{name:<20} AF_XDP by queue: {}", modes.join(", "));
    }
    println!();
    table.print()
}

/// The mode of ports of AF_XDP; none without XDP=1.
fn xdp_mode() -> Outcome<Option<&'static str>> {
    let xdp = env::var("XDP").unwrap_or_default();
    let mode = env::var("XDP_MODE").unwrap_or_default();
    match (&*xdp, &*mode) {
        ("" | "0", "") => Ok(None),
        ("" | "0", _) => Err(format!("XDP_MODE={mode}: expected XDP=1 beside it").into()),
        ("1", "" | "auto") => Ok(Some("auto")),
        ("1", "zero-copy") => Ok(Some("zero-copy")),
        ("1", "driver") => Ok(Some("driver")),
        ("1", "generic") => Ok(Some("generic")),
        ("1", _) => Err(format!("XDP_MODE={mode}: expected auto, zero-copy, driver or generic").into()),
        _ => Err(format!("XDP={xdp}: expected 1 or 0").into()),
    }
}

fn implementation(variable: &str, default: Implementation) -> Outcome<Implementation> {
    match env::var(variable) {
        Ok(name) if !name.is_empty() => name
            .parse()
            .map_err(|error| format!("{variable}: {error}").into()),
        _ => Ok(default),
    }
}

/// An empty topology that SIGINT and SIGTERM remove. Blocks both for every thread and program started later, so that
/// one thread alone decides.
fn remove_when_interrupted() -> Outcome<Arc<Topology>> {
    let mut signals = SigSet::empty();
    signals.add(Signal::SIGINT);
    signals.add(Signal::SIGTERM);
    signals.thread_block()?;
    let topology = Arc::new(Topology::new()?);
    let watched: Weak<Topology> = Arc::downgrade(&topology);
    thread::spawn(move || {
        if signals.wait().is_ok() {
            if let Some(topology) = watched.upgrade() {
                topology.remove();
            }
            std::process::exit(INTERRUPTED);
        }
    });
    Ok(topology)
}

/// One way through the tunnel.
struct Direction<'a> {
    from: &'a Namespace,
    to: &'a Namespace,
    address: IpAddr,
    address_v6: IpAddr,
}

/// A row for each measurement, a column for each direction; printed as it is measured.
struct Table<'a> {
    topology: &'a Topology,
    directions: [Direction<'a>; 2],
}

impl<'a> Table<'a> {
    fn new(topology: &'a Topology, client: &'a Namespace, server: &'a Namespace) -> Self {
        let out = Direction {
            from: client,
            to: server,
            address: server_address(Family::V4),
            address_v6: server_address(Family::V6),
        };
        let back = Direction {
            from: server,
            to: client,
            address: client_address(Family::V4),
            address_v6: client_address(Family::V6),
        };
        Self {
            topology,
            directions: [out, back],
        }
    }

    fn print(&self) -> Outcome<()> {
        print_row("", &["client to server".into(), "server to client".into()]);
        self.row("ping", |way| ping(way.from, way.address))?;
        self.row("ping, IPv6", |way| ping(way.from, way.address_v6))?;
        self.row("TCP, 1 stream", |way| self.tcp(way, way.address, 1))?;
        self.row("TCP, 4 streams", |way| self.tcp(way, way.address, 4))?;
        self.row("TCP, IPv6, 1 stream", |way| self.tcp(way, way.address_v6, 1))?;
        self.row("path", |way| path(way.from, way.address))?;
        self.row("path, IPv6", |way| path(way.from, way.address_v6))
    }

    fn row(&self, name: &str, measure: impl Fn(&Direction<'_>) -> Outcome<String>) -> Outcome<()> {
        let mut cells = Vec::new();
        for direction in &self.directions {
            cells.push(measure(direction)?);
        }
        print_row(name, &cells);
        Ok(())
    }

    fn tcp(&self, way: &Direction<'_>, address: IpAddr, streams: u32) -> Outcome<String> {
        let iperf = Iperf::to(SocketAddr::new(address, 5201))
            .seconds(3)
            .streams(streams);
        let report = iperf.run(self.topology, way.from, way.to)?;
        Ok(format!("{:.2} Gb/s", report.received_bits_per_s / 1e9))
    }
}

fn ping(from: &Namespace, destination: IpAddr) -> Outcome<String> {
    let report = Ping::to(destination).count(10).interval_ms(50).run(from)?;
    match report.round_trip_ms {
        Some((_, mean, _)) => Ok(format!(
            "{mean:.2} ms, {} of {} lost",
            report.sent - report.received,
            report.sent
        )),
        None => Err(format!("ping {destination} from {}: no answer", from.name()).into()),
    }
}

fn path(from: &Namespace, destination: IpAddr) -> Outcome<String> {
    let hops = traceroute(from, destination)?;
    if hops.last() != Some(&Some(destination)) {
        return Err(format!("traceroute {destination} from {}: ended at {hops:?}", from.name()).into());
    }
    let words = hops
        .iter()
        .map(|hop| hop.map_or_else(|| "*".to_owned(), |address| address.to_string()));
    Ok(words.collect::<Vec<_>>().join(" "))
}

fn print_row(name: &str, cells: &[String]) {
    println!("{name:<20} {:<28} {}", cells[0], cells[1]);
}
