//! A gateway whose WAN port is a real driver's card, with the kernel's WireGuard behind another card on the same wire, and
//! a host behind a LAN port that copies:
//!
//! ```text
//! far 192.0.2.2 ──card ~ card── 192.0.2.1 gateway 198.51.100.1 ──veth, two queues── 198.51.100.2 lan
//!     2001:db8:1::2             2001:db8:1::1     2001:db8:2::1                     2001:db8:2::2
//! far 10.77.0.2, fd77::2 ══════WireGuard══════ 10.77.0.1, fd77::1 gateway
//! ```

use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use weir_abi::status::{PortStatus, Status};
use weir_bench::configured::Configured;
use weir_bench::counted::Counted;
use weir_bench::device_config::{DeviceConfig, PeerConfig};
use weir_bench::gateway_topology::{PORT, client_key, gateway_key, server_address};
use weir_bench::transfer::Transfer;
use weir_bench::tunnel::Family;
use weir_bench::{Implementation, Namespace, Peer, Ping, Topology, ipc, programs, wait};

/// Shards of the gateway, and thus queues of its ports.
pub const SHARDS: u16 = 2;

/// How long traffic may stand still after anything that was done to the card.
pub const TRAFFIC_LIMIT: Duration = Duration::from_secs(2);

/// How long a card may take to have a link, and a card of a removed namespace to come back.
const LINK_LIMIT: Duration = Duration::from_secs(30);

/// How long the first handshake may take.
pub const TUNNEL_LIMIT: Duration = Duration::from_secs(20);

/// How long a gateway may take to end, and to bring its frames home.
const END_LIMIT: Duration = Duration::from_secs(15);

/// Numbered datagrams in a second, each way.
const PER_S: u32 = 200;

/// Ports from which the far side calls.
const PORTS: std::ops::Range<u16> = 30_000..30_064;

/// The tunnel's MTU: Ethernet's less IPv6, UDP and WireGuard.
const TUNNEL_MTU: u16 = 1420;

/// The gateway and both its neighbours.
pub struct Cards {
    /// The gateway.
    pub gateway: Configured,
    far: Peer,
    lan: Namespace,
    near_card: String,
    far_card: String,
    driver: String,
    // Last, because fields are dropped in this order.
    topology: Topology,
}

impl Cards {
    /// Starts it on the cards that `WEIR_NEAR_CARD` and `WEIR_FAR_CARD` name, and waits for their links.
    pub fn start() -> Self {
        let card = |name| std::env::var(name).unwrap_or_else(|_| panic!("{name} names no card"));
        let (near_card, far_card) = (card("WEIR_NEAR_CARD"), card("WEIR_FAR_CARD"));
        let topology = Topology::new().unwrap();
        let [gateway, far, lan] = ["gateway", "far", "lan"].map(|label| topology.namespace(label).unwrap());
        let driver = join(&near_card, &gateway, ["192.0.2.1/24", "2001:db8:1::1/64"]);
        join(&far_card, &far, ["192.0.2.2/24", "2001:db8:1::2/64"]);
        lan_of(&gateway, &lan);

        let interface = topology.interface("gw");
        let head = Configured::head(&topology, &interface, &gateway_key());
        let head = head.replacen("[dataplane]\n", &format!("[dataplane]\nshards = {SHARDS}\n"), 1);
        let client = client_key().public();
        let toml = format!(
            "{head}listen_port = {PORT}\naddresses = [\"10.77.0.1/24\", \"fd77::1/64\"]\n\n\
             [[port]]\ndevice = \"{near_card}\"\nrole = \"wan\"\nmode = \"zero-copy\"\n\n\
             [[port]]\ndevice = \"lan\"\nrole = \"lan\"\nmode = \"driver\"\n\n\
             [[peer]]\nname = \"client\"\npublic_key = \"{client}\"\n\
             allowed_ips = [\"10.77.0.2/32\", \"fd77::2/128\"]\n"
        );
        let gateway = Configured::start(&topology, &gateway, &interface, &toml).unwrap();
        let far = Peer::start(&topology, &far, "far", Implementation::Kernel).unwrap();
        far.address("10.77.0.2/24").unwrap();
        far.address("fd77::2/64").unwrap();
        far.up(TUNNEL_MTU).unwrap();
        far.route("198.51.100.0/24").unwrap();
        far.route("2001:db8:2::/64").unwrap();
        let cards = Self {
            gateway,
            far,
            lan,
            near_card,
            far_card,
            driver,
            topology,
        };
        cards.await_links();
        cards.call(Family::V4, None);
        cards
    }

    /// Has the far side call the gateway over this IP version and from this UDP port, or any, with a new session.
    pub fn call(&self, outer: Family, port: Option<u16>) {
        let endpoint: IpAddr = match outer {
            Family::V4 => "192.0.2.1".parse().unwrap(),
            Family::V6 => "2001:db8:1::1".parse().unwrap(),
        };
        let gateway = PeerConfig::new(gateway_key().public(), &["0.0.0.0/0", "::/0"])
            .endpoint(SocketAddr::new(endpoint, PORT));
        let device = DeviceConfig {
            key: client_key(),
            listen_port: port,
            peers: vec![gateway],
        };
        self.far.configure(&device).unwrap();
    }

    /// Has the far side call over this IP version, with a new session from one port after the other, until the session is
    /// at home on the shard of this queue, because its handshake came by it; all else from there then does so too.
    pub fn reach(&self, outer: Family, queue: u16) {
        for port in PORTS {
            self.call(outer, Some(port));
            self.await_answers(Family::V4, TUNNEL_LIMIT);
            if self.status().peers[0].shard == Some(queue) {
                return;
            }
        }
        panic!("nothing comes by queue {queue}: {:#?}", self.status());
    }

    /// Has the far side send from one port after the other, in the same session, until some of it comes by this queue.
    pub fn arrive_by(&self, queue: u16) {
        let received = || self.ports("wan")[usize::from(queue)].rx_frames;
        for port in PORTS {
            let before = received();
            let set = format!("set {} listen-port {port}", self.far.interface());
            self.far.wg(&set).unwrap();
            self.await_answers(Family::V4, TUNNEL_LIMIT);
            if received() > before {
                return;
            }
        }
        panic!("nothing comes by queue {queue}: {:#?}", self.status());
    }

    /// Ends the gateway, as `kill -9` does or in order.
    pub fn end(&mut self, killed: bool) {
        if !killed {
            let process = self.gateway.process();
            process.signal(Signal::SIGTERM).unwrap();
            assert!(process.wait(END_LIMIT).unwrap().success());
        }
        self.gateway.kill().unwrap();
    }

    /// Starts an ended gateway anew.
    pub fn restart(&mut self) {
        self.gateway.restart(&self.topology).unwrap();
    }

    /// Sends numbered datagrams through the tunnel, from afar and from behind the gateway, so that the ports have frames in
    /// hand whatever happens to them.
    pub fn traffic(&self) -> [Counted; 2] {
        let (far, lan) = (self.far.namespace(), &self.lan);
        let [up, down] = [
            (far, lan, server_address(Family::V4)),
            (lan, far, far_inside(Family::V4)),
        ]
        .map(|(from, to, address)| Counted::start(from, to, (address, 0).into(), PER_S).unwrap());
        [up, down]
    }

    /// The name of the gateway's card's driver.
    pub fn driver(&self) -> &str {
        &self.driver
    }

    /// Waits until both links are up.
    pub fn await_links(&self) {
        let cards = [
            (self.gateway.namespace(), &self.near_card),
            (self.far.namespace(), &self.far_card),
        ];
        for (namespace, card) in cards {
            wait::until_true(&format!("the link of {card}"), LINK_LIMIT, || {
                let shown = namespace.ip(&format!("-oneline link show dev {card}"));
                shown.unwrap().contains("LOWER_UP")
            })
            .unwrap();
        }
    }

    /// Takes the gateway's card down or up.
    pub fn set_link(&self, up: bool) {
        let state = if up { "up" } else { "down" };
        let namespace = self.gateway.namespace();
        namespace
            .ip(&format!("link set {} {state}", self.near_card))
            .unwrap();
    }

    /// Asks the gateway's card for another number of channels, and says what it answered.
    pub fn set_channels(&self, count: u16) -> Result<(), String> {
        let mut ethtool = programs::tool("ethtool").unwrap();
        ethtool.args(["-L", &self.near_card, "combined", &count.to_string()]);
        let output = self.gateway.namespace().output(&mut ethtool).unwrap();
        if output.status.success() {
            return Ok(());
        }
        Err(String::from_utf8_lossy(&output.stderr).trim().replace('\n', " "))
    }

    /// Pings the far side from behind the gateway, and that host from afar, until both answer; panics after `limit`.
    /// Returns how long it took.
    pub fn await_answers(&self, inner: Family, limit: Duration) -> Duration {
        let begun = Instant::now();
        let far = self.far.namespace();
        // Whichever side knows where the other is, calls it.
        std::thread::scope(|scope| {
            let up = scope.spawn(|| Ping::to(server_address(inner)).until_answered(far, limit));
            let down = Ping::to(far_inside(inner)).until_answered(&self.lan, limit);
            if let Err(error) = up.join().unwrap().and(down) {
                panic!("{error}: {:#?}", self.status());
            }
        });
        begun.elapsed()
    }

    /// Transfers bytes in both directions.
    pub fn transfer(&self, inner: Family, bytes: u64) {
        let far = self.far.namespace();
        for (from, to, address) in [
            (far, &self.lan, server_address(inner)),
            (&self.lan, far, far_inside(inner)),
        ] {
            let transfer = Transfer {
                destination: (address, 0).into(),
                bytes,
                bytes_per_s: None,
                seed: bytes,
                limit: Duration::from_secs(60),
            };
            let report = transfer.start(from, to).unwrap().finish();
            println!(
                "{bytes} bytes to {address}: {:?}",
                report.unwrap_or_else(|error| panic!("{error}: {:#?}", self.status()))
            );
        }
    }

    /// What the gateway tells of itself.
    pub fn status(&self) -> Status {
        ipc::status(self.gateway.interface()).unwrap()
    }

    /// The port of this role of each shard, by shard.
    pub fn ports(&self, role: &str) -> Vec<PortStatus> {
        let shards = self.status().shards;
        let ports = shards.into_iter().map(|shard| {
            let port = shard.ports.into_iter().find(|port| port.role == role);
            port.unwrap_or_else(|| panic!("shard {} has no port of role {role}", shard.shard))
        });
        ports.collect()
    }

    /// The mode of each shard's port of this role.
    pub fn modes(&self, role: &str) -> Vec<String> {
        self.ports(role).into_iter().map(|port| port.mode).collect()
    }

    /// Checks that each queue of the card does without copying, and each of the LAN device copies.
    pub fn assert_modes(&self) {
        let modes = ["wan", "host"].map(|role| self.modes(role));
        let expected = ["zero-copy", "driver"].map(|mode| vec![mode.to_owned(); usize::from(SHARDS)]);
        assert_eq!(modes, expected, "{:?}", self.status().warnings);
    }

    /// Waits until no frame of any port is abroad: all lie in stock or with the kernel.
    pub fn assert_frames_at_home(&self) {
        let abroad = || -> usize {
            let shards = self.status().shards;
            let ports = shards.iter().flat_map(|shard| &shard.ports);
            ports.map(|port| port.abroad).sum()
        };
        if wait::until_true("all frames at home", END_LIMIT, || abroad() == 0).is_err() {
            panic!("frames are lost: {:#?}", self.status());
        }
    }

    /// Datagrams that the gateway's kernel gave to ordinary UDP sockets, over IPv4 and IPv6.
    pub fn kernel_datagrams(&self) -> u64 {
        self.gateway.namespace().enter(|| {
            let v4 = fs::read_to_string("/proc/thread-self/net/snmp").unwrap();
            let v6 = fs::read_to_string("/proc/thread-self/net/snmp6").unwrap();
            // Two lines for each protocol, names and values; InDatagrams comes first.
            let udp = v4
                .lines()
                .filter_map(|line| line.strip_prefix("Udp: "))
                .nth(1)
                .unwrap();
            let v4: u64 = udp.split(' ').next().unwrap().parse().unwrap();
            let udp6 = v6
                .lines()
                .find_map(|line| line.strip_prefix("Udp6InDatagrams"))
                .unwrap();
            v4 + udp6.trim().parse::<u64>().unwrap()
        })
    }
}

/// The far side's address inside the tunnel.
fn far_inside(family: Family) -> IpAddr {
    match family {
        Family::V4 => "10.77.0.2".parse().unwrap(),
        Family::V6 => "fd77::2".parse().unwrap(),
    }
}

/// Moves a card into a namespace, with its addresses, which stay when it is down. Returns its driver's name.
fn join(card: &str, namespace: &Namespace, addresses: [&str; 2]) -> String {
    let driver = || fs::read_link(Path::new("/sys/class/net").join(card).join("device/driver")).ok();
    // The last test's namespace gives its cards back some time after it was removed.
    let driver = wait::until(&format!("card {card}"), LINK_LIMIT, driver).unwrap();
    let driver = driver.file_name().unwrap().to_string_lossy().into_owned();
    let moved = programs::tool("ip")
        .unwrap()
        .args(["link", "set", card, "netns", namespace.name()])
        .status();
    assert!(moved.unwrap().success(), "{card} does not move");
    namespace
        .sysctl(&format!("net.ipv6.conf.{card}.keep_addr_on_down"), "1")
        .unwrap();
    for address in addresses {
        namespace
            .ip(&format!("address add {address} dev {card}"))
            .unwrap();
    }
    namespace.ip(&format!("link set {card} up")).unwrap();
    if driver == "igb" {
        // It looks at addresses alone unless told, and these are always the same.
        for family in ["udp4", "udp6"] {
            let mut ethtool = programs::tool("ethtool").unwrap();
            namespace
                .run(ethtool.args(["-N", card, "rx-flow-hash", family, "sdfn"]))
                .unwrap();
        }
    }
    driver
}

/// Joins gateway and LAN host by a pair with a queue for each shard. The host finishes its checksums, as a wire needs.
fn lan_of(gateway: &Namespace, lan: &Namespace) {
    let queues = format!("numrxqueues {SHARDS} numtxqueues {SHARDS}");
    let peer = format!("peer name lan netns {} {queues}", gateway.name());
    lan.ip(&format!("link add lan {queues} type veth {peer}"))
        .unwrap();
    let sides = [
        (gateway, ["198.51.100.1/24", "2001:db8:2::1/64"]),
        (lan, ["198.51.100.2/24", "2001:db8:2::2/64"]),
    ];
    for (namespace, addresses) in sides {
        for address in addresses {
            namespace.ip(&format!("address add {address} dev lan")).unwrap();
        }
        namespace.ip("link set lan up").unwrap();
    }
    gateway.forward().unwrap();
    lan.run(
        programs::tool("ethtool")
            .unwrap()
            .args(["-K", "lan", "tx", "off"]),
    )
    .unwrap();
    lan.ip("route add default via 198.51.100.1").unwrap();
    lan.ip("route add default via 2001:db8:2::1").unwrap();
}
