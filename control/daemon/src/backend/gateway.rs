//! How the gateway is: status, ports, topology, readiness, rules with their counters.

use super::{Service, present};
use crate::clock;
use crate::world::Published;
use jiff::{SignedDuration, Timestamp};
use std::collections::BTreeMap;
use weir_abi::desired::Origin;
use weir_abi::rule::Rule;
use weir_abi::status::{PortStatus, ShardStatus, Status};
use weir_api::backend::{Answer, Refusal, StorageFault};
use weir_api::types::{
    self, Action, Changes, ControlStatus, DataPlaneStatus, Device, Key, NodeKind, Owner, Port, PortList,
    Ports, Protocol, Readiness, Rules, Sender, Shard, StoreState, Target, Topology, TopologyLink,
    TopologyNode,
};
use weir_model::Snapshot;

/// Peers of a drawing at most: more than people can see.
const DRAWN_MAX: usize = 500;

impl Service {
    // A store that takes no writes is told by the status, an alert and the answer to each change. What can be read still is,
    // and nobody else could be asked instead.
    pub(super) fn ready(&self) -> Readiness {
        let learnt = self.world.learnt.load();
        let mut missing = Vec::new();
        if !learnt.connected {
            let why = learnt.trouble.as_deref().unwrap_or("not met yet");
            missing.push(format!("the data plane is away: {why}"));
        }
        Readiness {
            ready: missing.is_empty(),
            missing,
        }
    }

    pub(super) fn gateway_status(&self) -> types::Status {
        let (published, learnt) = (self.published(), self.world.learnt.load_full());
        types::Status {
            control: self.control_status(&published),
            dataplane: learnt.live_status().map(|status| data_plane(status)),
            peers: present::counts(&self.world),
            alerts: self.world.alerts.len() as u64,
        }
    }

    fn control_status(&self, published: &Published) -> ControlStatus {
        let (store, store_trouble) = match (&published.fault, &self.world.recovered) {
            (Some((StorageFault::Full, why)), _) => (StoreState::Full, Some(why.clone())),
            (Some((StorageFault::ReadOnly | StorageFault::Failed, why)), _) => {
                (StoreState::ReadOnly, Some(why.clone()))
            }
            (None, Some(why)) => (StoreState::LastGoodCopy, Some(why.clone())),
            (None, None) => (StoreState::Ok, None),
        };
        ControlStatus {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            started_at: self.world.started_at,
            store,
            store_trouble,
            pending: published.outstanding as u64,
        }
    }

    pub(super) fn port_list(&self) -> Answer<PortList> {
        let learnt = self.world.learnt.load_full();
        let status = learnt.live_status().ok_or_else(|| Refusal::Unavailable {
            detail: "the data plane is away, and the ports are its own".to_owned(),
        })?;
        let ports = status.shards.iter().flat_map(ports);
        let devices = status.devices.iter().map(|device| Device {
            device: device.device.clone(),
            role: device.role.clone(),
            attached: device.attached.clone(),
        });
        Ok(PortList {
            items: ports.collect(),
            devices: devices.collect(),
        })
    }

    pub(super) fn rules_of(&self, state: &Snapshot) -> Rules {
        let learnt = self.world.learnt.load();
        let status = learnt.live_status();
        let in_force = |origin: Origin| {
            let all = status.into_iter().flat_map(|status| &status.rules);
            all.filter(move |rule| rule.origin == origin)
        };
        let mut items: Vec<types::Rule> = in_force(Origin::File)
            .map(|rule| shown(&rule.rule, Owner::File, Some(rule.packets)))
            .collect();
        let counted: Vec<_> = in_force(Origin::Control).collect();
        items.extend(state.rules.items.iter().enumerate().map(|(place, rule)| {
            let counted = counted.get(place).filter(|known| known.rule == *rule);
            shown(rule, Owner::Control, counted.map(|known| known.packets))
        }));
        Rules { items }
    }

    pub(super) fn waiting(&self) -> Changes {
        let published = self.published();
        let mut items: Vec<types::PendingChange> = published
            .state
            .pending
            .values()
            .map(|change| types::PendingChange {
                id: change.id.to_string(),
                made_at: change.made_at,
                made_by: change.actor.to_string(),
                reverts_at: change.reverts_at,
                diff: present::diff(weir_model::undone(change, &published.state)),
            })
            .collect();
        items.sort_by_key(|change| change.reverts_at);
        Changes { items }
    }

    pub(super) fn drawing(&self) -> Topology {
        let (published, learnt) = (self.published(), self.world.learnt.load_full());
        let status = learnt.live_status();
        let own = "gateway".to_owned();
        let label = status.map_or_else(|| "gateway".to_owned(), |status| status.interface.clone());
        let mut nodes = vec![TopologyNode {
            id: own.clone(),
            kind: NodeKind::Gateway,
            label,
            public_key: published.facts.public_key.map(Key),
            state: None,
            groups: Vec::new(),
        }];
        let mut links = Vec::new();
        let mut peers: Vec<_> = present::all(&published, &learnt);
        let handshake = |key| learnt.peer(&key).map_or(0, |peer| peer.last_handshake_unix_ns);
        peers.sort_by_key(|known| (std::cmp::Reverse(handshake(known.key())), known.key()));
        let left_out = peers.len().saturating_sub(DRAWN_MAX) as u64;
        for known in peers.into_iter().take(DRAWN_MAX) {
            let key = known.key();
            let shown = present::peer(&known, &published, &learnt, (0, 0));
            let (rx_bps, tx_bps) = self.totals.rates(&key);
            let id = key.to_string();
            links.push(TopologyLink {
                from: own.clone(),
                to: id.clone(),
                endpoint: shown.live.endpoint,
                rx_bps,
                tx_bps,
                latency_ms: shown.live.latency_ms,
            });
            for network in known
                .allowed_ips()
                .iter()
                .filter(|p| **p != weir_abi::prefix::Prefix::host(p.address()))
            {
                let network = network.to_string();
                links.push(link(&id, &network));
                nodes.push(node(network, NodeKind::Network));
            }
            nodes.push(TopologyNode {
                label: shown.name.unwrap_or_else(|| id.clone()),
                public_key: Some(shown.public_key),
                state: Some(shown.live.state),
                groups: shown.groups,
                ..node(id, NodeKind::Peer)
            });
        }
        Topology {
            nodes,
            links,
            left_out,
        }
    }
}

fn node(id: String, kind: NodeKind) -> TopologyNode {
    TopologyNode {
        label: id.clone(),
        id,
        kind,
        public_key: None,
        state: None,
        groups: Vec::new(),
    }
}

fn link(from: &str, to: &str) -> TopologyLink {
    TopologyLink {
        from: from.to_owned(),
        to: to.to_owned(),
        endpoint: None,
        rx_bps: 0,
        tx_bps: 0,
        latency_ms: None,
    }
}

fn shown(rule: &Rule, owner: Owner, packets: Option<u64>) -> types::Rule {
    types::Rule {
        name: rule.name.clone(),
        action: match rule.action {
            weir_abi::rule::Action::Accept => Action::Accept,
            weir_abi::rule::Action::Deny => Action::Deny,
        },
        from: rule.from.iter().cloned().map(Sender).collect(),
        to: rule.to.iter().cloned().map(Target).collect(),
        protocol: rule.protocol.map(Protocol),
        ports: rule.ports.iter().copied().map(Ports).collect(),
        log: rule.log,
        owner,
        packets,
    }
}

fn data_plane(status: &Status) -> DataPlaneStatus {
    let uptime = SignedDuration::from_secs(i64::try_from(status.uptime_s).unwrap_or(0));
    let mut refused: Vec<_> = status.refused.iter().map(present::refused).collect();
    refused.reverse();
    DataPlaneStatus {
        interface: status.interface.clone(),
        version: status.version.clone(),
        pid: status.pid,
        started_at: clock::now().checked_sub(uptime).unwrap_or(Timestamp::UNIX_EPOCH),
        revision: status.revision.0,
        public_key: status.public_key.map(Key),
        listen_port: status.listen_port,
        fwmark: status.fwmark,
        mtu: status.mtu,
        addresses: status.addresses.clone(),
        client_endpoint: status.client_endpoint.as_ref().map(ToString::to_string),
        dns: status.dns.clone(),
        aead: status.aead.clone(),
        aead_best: status.aead_best.clone(),
        steering: status.steering.clone(),
        forwarding: status.forwarding,
        warnings: status.warnings.clone(),
        handshake_queue: status.handshake_queue as u64,
        shards: status.shards.iter().map(shard).collect(),
        refused,
    }
}

fn shard(shard: &ShardStatus) -> Shard {
    Shard {
        shard: shard.shard,
        active_peers: shard.active_peers as u64,
        under_load: shard.under_load,
        opened: shard.opened,
        sealed: shard.sealed,
        handed_over: shard.handed_over,
        handshakes: shard.handshakes,
        cookie_replies: shard.cookie_replies,
        drops: shard.drops.iter().cloned().collect(),
        ports: ports(shard).collect(),
    }
}

fn ports(shard: &ShardStatus) -> impl Iterator<Item = Port> {
    let number = shard.shard;
    shard.ports.iter().map(move |port| shown_port(number, port))
}

fn shown_port(shard: u16, port: &PortStatus) -> Port {
    Port {
        shard,
        role: port.role.clone(),
        queue: port.queue.clone(),
        mode: port.mode.clone(),
        rx_frames: port.rx_frames,
        rx_bytes: port.rx_bytes,
        tx_packets: port.tx_packets,
        tx_bytes: port.tx_bytes,
        errors: port.errors.iter().cloned().collect::<BTreeMap<_, _>>(),
    }
}
