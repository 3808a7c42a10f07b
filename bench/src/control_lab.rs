//! A gateway with its control process, and clients that the API declares, each in a network of its own:
//!
//! ```text
//! client N 100.64.N.2 ──veth── 100.64.N.1 gateway 192.0.2.1
//!         10.77.x.y  ══════WireGuard══════  10.77.0.1
//! ```
//!
//! The gateway's `weir.toml` declares no peer; the clients are given their addresses, and their configuration, by control.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use weir_abi::key::PublicKey;

use crate::api::{Api, peer_path};
use crate::client_conf::ClientConf;
use crate::configured::Configured;
use crate::control::{self, Control};
use crate::device_config::KeyPair;
use crate::{End, Implementation, LabError, Namespace, Peer, Ping, Result, Topology, programs};

/// The UDP port of the gateway.
pub const PORT: u16 = 51820;

/// Where clients seek the gateway.
pub const OUTSIDE: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);

/// The gateway's address in the tunnel.
pub const INSIDE: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 77, 0, 1));

/// How long a tunnel may take to come up, three times what the second initiation takes (REKEY_TIMEOUT).
const TUNNEL_LIMIT: Duration = Duration::from_secs(30);

/// A running gateway with its control process, removed when dropped.
pub struct ControlLab {
    /// The control process.
    pub control: Control,
    /// The gateway.
    pub gateway: Configured,
    networks: AtomicU8,
    peers: AtomicU8,
    // Last, because fields are dropped in this order.
    topology: Arc<Topology>,
}

/// A peer as the API created it.
pub struct Created {
    /// Its key.
    pub key: PublicKey,
    /// Its address in the tunnel.
    pub address: IpAddr,
    /// Its configuration with its private key.
    pub conf: ClientConf,
}

/// A client whose tunnel is up.
pub struct Client {
    /// Its interface.
    pub peer: Peer,
    /// Its address in the tunnel.
    pub address: IpAddr,
    /// Its key.
    pub key: PublicKey,
}

/// The gateway's key.
pub fn gateway_key() -> KeyPair {
    KeyPair::seeded(2)
}

impl ControlLab {
    /// Starts a gateway and control.
    pub fn new() -> Result<Self> {
        Self::with_toml("")
    }

    /// Starts a gateway whose `weir.toml` has this at its end, and control.
    pub fn with_toml(more: &str) -> Result<Self> {
        let mut lab = Self::without_control(Arc::new(Topology::new()?), more)?;
        lab.control.launch(&lab.topology)?;
        lab.control.await_ready()?;
        Ok(lab)
    }

    /// Starts a gateway; control's folder is made, but it is not started.
    pub fn without_control(topology: Arc<Topology>, more: &str) -> Result<Self> {
        let host = topology.namespace("gateway")?;
        host.forward()?;
        host.ip(&format!("address add {OUTSIDE}/32 dev lo"))?;
        let interface = topology.interface("gw");
        let toml = toml(&topology, &interface, more);
        let group = ["--control-group", control::GROUP];
        let gateway = Configured::start_with(&topology, &host, &interface, &toml, &group)?;
        Ok(Self {
            control: Control::prepare(&topology, &host, &interface)?,
            gateway,
            networks: AtomicU8::new(0),
            peers: AtomicU8::new(0),
            topology,
        })
    }

    /// The topology it lives in.
    pub fn topology(&self) -> &Topology {
        &self.topology
    }

    /// The gateway's namespace.
    pub fn host(&self) -> &Namespace {
        self.gateway.namespace()
    }

    /// A client of the API.
    pub fn api(&self) -> Api {
        self.control.api()
    }

    /// The gateway's `weir.toml`, with more at its end.
    pub fn toml(&self, more: &str) -> String {
        toml(&self.topology, self.gateway.interface(), more)
    }

    /// Kills control as `kill -9` does, starts it anew, and waits until it is ready.
    pub fn restart_control(&mut self) -> Result<()> {
        self.control.restart(&self.topology)
    }

    /// Starts control again after it was killed, and waits until it is ready.
    pub fn start_control(&mut self) -> Result<()> {
        self.control.launch(&self.topology)?;
        self.control.await_ready()
    }

    /// Kills the gateway as `kill -9` does, and starts it anew from its file.
    pub fn restart_gateway(&mut self) -> Result<()> {
        self.gateway.restart(&self.topology)
    }

    /// Has control create a peer with this name and keys of its own, and more settings, an object of JSON.
    pub fn create(&self, name: &str, more: &Value) -> Result<Created> {
        let mut input = json!({ "name": name });
        if let (Some(input), Some(more)) = (input.as_object_mut(), more.as_object()) {
            input.extend(more.clone());
        }
        let answer = self.api().change("POST", "/v1/peers", &input)?.json();
        let created = || {
            let peer = &answer["peer"];
            let first = peer["allowed_ips"][0].as_str()?;
            Some(Created {
                key: peer["public_key"].as_str()?.parse().ok()?,
                address: first.split('/').next()?.parse().ok()?,
                conf: ClientConf::new(answer["config"].as_str()?),
            })
        };
        // It holds a private key: an error tells the peer alone.
        created().ok_or_else(|| LabError::Unreadable {
            program: "weir-control",
            expected: "created peer with its configuration",
            output: answer["peer"].to_string(),
        })
    }

    /// A network of a client's own, joined to the gateway, whose default route leads there.
    pub fn network(&self) -> Result<Namespace> {
        let number = self.networks.fetch_add(1, Ordering::Relaxed);
        let namespace = self.topology.namespace(&format!("client{number}"))?;
        let addresses = [2, 1].map(|host| format!("100.64.{number}.{host}/24"));
        let port = format!("wan{number}");
        self.topology.veth(
            &End::new(&namespace, "wan", &[&addresses[0]]),
            &End::new(self.host(), &port, &[&addresses[1]]),
        )?;
        namespace.ip(&format!("route add default via 100.64.{number}.1"))?;
        Ok(namespace)
    }

    /// The address that [`ControlLab::network`] gave a namespace's client, as the gateway sees it.
    pub fn outer_address(namespace: &Namespace) -> Result<Ipv4Addr> {
        let shown = namespace.ip("-4 -oneline address show dev wan")?;
        let address = shown
            .split_whitespace()
            .find_map(|word| word.split('/').next()?.parse().ok());
        address.ok_or(LabError::Unreadable {
            program: "ip",
            expected: "address",
            output: shown,
        })
    }

    /// Has wireguard-go, the stock peer, use a configuration in a namespace. Nothing says that it works.
    pub fn use_conf(&self, namespace: &Namespace, conf: &ClientConf) -> Result<Peer> {
        // All namespaces share one folder of sockets named after interfaces.
        let label = format!("c{}", self.peers.fetch_add(1, Ordering::Relaxed));
        let peer = Peer::start(&self.topology, namespace, &label, Implementation::WireguardGo)?;
        conf.bring_up(&peer)?;
        Ok(peer)
    }

    /// Creates a peer and brings up its client in a network of its own; waits until it reaches the gateway.
    pub fn connect(&self, name: &str) -> Result<Client> {
        let created = self.create(name, &Value::Null)?;
        let namespace = self.network()?;
        let peer = self.use_conf(&namespace, &created.conf)?;
        Ping::to(INSIDE).until_answered(&namespace, TUNNEL_LIMIT)?;
        Ok(Client {
            peer,
            address: created.address,
            key: created.key,
        })
    }

    /// What the API tells of a peer.
    pub fn peer(&self, key: &PublicKey) -> Result<Value> {
        self.api().get(&peer_path(key))
    }

    /// Why it has no session, as control finds.
    pub fn diagnosis(&self, key: &PublicKey, probe: bool) -> Result<Value> {
        let path = format!("{}/diagnosis", peer_path(key));
        self.api()
            .change("POST", &path, &json!({ "probe": probe }))
            .map(|answer| answer.json())
    }
}

/// Has a namespace's kernel drop what matches an nftables expression, at its input or its output.
pub fn drop_packets(namespace: &Namespace, hook: &str, expression: &str) -> Result<()> {
    let nft = |words: &str| -> Result<()> {
        namespace
            .run(programs::tool("nft")?.args(words.split_whitespace()))
            .map(drop)
    };
    nft("add table inet laboratory")?;
    nft(&format!(
        "add chain inet laboratory {hook} {{ type filter hook {hook} priority 0 ; }}"
    ))?;
    nft(&format!("add rule inet laboratory {hook} {expression} drop"))
}

fn toml(topology: &Topology, interface: &str, more: &str) -> String {
    let head = Configured::head(topology, interface, &gateway_key());
    format!(
        "{head}listen_port = {PORT}\naddresses = [\"{INSIDE}/16\"]\nendpoint = \"{OUTSIDE}:{PORT}\"\n{more}"
    )
}
