//! `make lab`: a client, a gateway and a server in three network namespaces; ping, iperf3 and traceroute through the
//! tunnel in both directions, as a table. GATEWAY and CLIENT name the implementations (weir and wireguard-go unless
//! said otherwise). Needs root; Ctrl-C removes everything as the end does.
#![forbid(unsafe_code)]

use std::env;
use std::net::{IpAddr, SocketAddr};
use std::process::ExitCode;
use std::sync::{Arc, Weak};
use std::thread;

use nix::sys::signal::{SigSet, Signal};
use nix::unistd::geteuid;

use weir_bench::gateway_lab::GatewayLab;
use weir_bench::gateway_topology::{client_address, server_address};
use weir_bench::iperf::Iperf;
use weir_bench::tunnel::Family;
use weir_bench::{Implementation, Namespace, Ping, Topology, traceroute};

/// The status of a program that Ctrl-C ended.
const INTERRUPTED: i32 = 130;

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
    let topology = remove_when_interrupted()?;
    println!("client {client}, gateway {gateway}, in network namespaces of this machine\n");
    let lab = GatewayLab::new(topology, client, gateway)?;
    Table::new(&lab).print()
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
    lab: &'a GatewayLab,
    directions: [Direction<'a>; 2],
}

impl<'a> Table<'a> {
    fn new(lab: &'a GatewayLab) -> Self {
        let out = Direction {
            from: lab.client.namespace(),
            to: &lab.server,
            address: server_address(Family::V4),
            address_v6: server_address(Family::V6),
        };
        let back = Direction {
            from: &lab.server,
            to: lab.client.namespace(),
            address: client_address(Family::V4),
            address_v6: client_address(Family::V6),
        };
        Self {
            lab,
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
        let report = iperf.run(self.lab.topology(), way.from, way.to)?;
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
