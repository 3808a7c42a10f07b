//! Listens to what the data plane tells as it happens, and hands it on: to the owner, to who listens, to what was learnt.

use super::wire::{Connection, WireError};
use super::{PAUSE_MAX, PAUSE_MIN};
use crate::clock;
use crate::owner::{Ask, Asking};
use crate::world::World;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;
use weir_abi::desired::Origin;
use weir_abi::events::{DeniedFlow, Event, EventKind, HEARTBEAT_MS};
use weir_abi::ipc::{Reply, Request};
use weir_abi::key::PublicKey;
use weir_abi::peer_state::{PeerState, StateReason};
use weir_abi::rule::Protocol;
use weir_api::types;
use weir_api::types::{Changed, Key, LostEvents, Owner, PeerStateChanged};

/// For which the stream may be silent: the heartbeat with slack.
const SILENCE: Duration = Duration::from_millis(3 * HEARTBEAT_MS);

/// Watches the data plane at `path` until `stop`; ends within a second of it, or of a heartbeat.
pub fn watch(path: PathBuf, world: Arc<World>, owner: Asking, stop: Arc<AtomicBool>) {
    let mut pause = PAUSE_MIN;
    while !stop.load(Ordering::Relaxed) {
        let ended = follow(&path, &world, &owner, &stop, &mut pause);
        if let Err(error) = ended {
            lost(&world, &error);
        }
        thread::sleep(pause);
        pause = (2 * pause).min(PAUSE_MAX);
    }
}

fn follow(
    path: &Path,
    world: &World,
    owner: &Asking,
    stop: &AtomicBool,
    pause: &mut Duration,
) -> Result<(), WireError> {
    let mut connection = Connection::open(path, SILENCE)?;
    let mut reply = connection.ask(&Request::Watch)?;
    // Whatever is applied from here on is told, so what is there already can be read now.
    owner.tell(Ask::Meet);
    *pause = PAUSE_MIN;
    while !stop.load(Ordering::Relaxed) {
        let Reply::Events(events) = reply else {
            return Err(WireError::Unexpected("watch"));
        };
        for event in events {
            tell(world, owner, event);
        }
        reply = connection.further()?;
    }
    Ok(())
}

/// The data plane does not answer any more.
fn lost(world: &World, error: &WireError) {
    let was = world.learnt.load().connected;
    if was {
        tracing::warn!("the data plane is away: {error}");
    }
    let trouble = error.to_string();
    if was || world.learnt.load().trouble.as_ref() != Some(&trouble) {
        world.learn(|learnt| {
            learnt.connected = false;
            learnt.trouble = Some(trouble.clone());
        });
    }
}

fn tell(world: &World, owner: &Asking, event: Event) {
    let at = clock::from_unix_ms(event.unix_ms).unwrap_or_else(clock::now);
    match event.what {
        EventKind::Changed {
            origin: Origin::Control,
            ..
        } => {}
        EventKind::Changed {
            origin, peers, rules, ..
        } => {
            owner.tell(Ask::Meet);
            // What `wg` changed is told when it is in the store.
            if origin == Origin::File {
                let keys = peers.map(|keys| keys.into_iter().map(Key).collect());
                world.hub.publish(types::Event::Change(Changed {
                    at,
                    actor: "file".to_owned(),
                    owner: Owner::File,
                    peers: keys,
                    rules,
                    administration: false,
                }));
            }
        }
        EventKind::PeerState { peer, state, reason } => peer_state(world, peer, state, reason, event.unix_ms),
        EventKind::Refused(refused) => {
            let told = crate::backend::present::refused(&refused);
            world.hub.publish(types::Event::Refused(told));
        }
        EventKind::Roamed { peer, to, .. } => roamed(world, peer, to),
        EventKind::Denied(flow) => world.hub.publish(types::Event::Denied(denied(flow, at))),
        // Both stand in the status, from which alerts are made.
        EventKind::UnderLoad { .. } | EventKind::Warning(_) => {}
        EventKind::Lost(count) => {
            owner.tell(Ask::Meet);
            world
                .hub
                .publish(types::Event::Lost(LostEvents { count: Some(count) }));
        }
    }
}

fn peer_state(world: &World, peer: PublicKey, state: PeerState, reason: StateReason, unix_ms: u64) {
    world.learn(|learnt| {
        if let Some(known) = learnt.peers.get(&peer) {
            let mut next = (**known).clone();
            next.state = state;
            next.state_reason = reason;
            next.state_since_unix_ms = unix_ms;
            learnt.peers.insert(peer, Arc::new(next));
        }
    });
    let published = world.published.load();
    let name = published.state.peer(&peer).and_then(|record| record.name.clone());
    let file = || {
        published
            .facts
            .file
            .peers
            .get(&peer)
            .and_then(|known| known.name.clone())
    };
    world.hub.publish(types::Event::PeerState(PeerStateChanged {
        at: clock::from_unix_ms(unix_ms).unwrap_or_else(clock::now),
        public_key: Key(peer),
        name: name.or_else(file),
        state: crate::backend::present::peer_state(state),
        reason: reason.text().to_owned(),
    }));
}

fn roamed(world: &World, peer: PublicKey, to: SocketAddr) {
    world.learn(|learnt| {
        if let Some(known) = learnt.peers.get(&peer) {
            let mut next = (**known).clone();
            next.endpoint = Some(to);
            learnt.peers.insert(peer, Arc::new(next));
        }
    });
}

fn denied(flow: DeniedFlow, at: jiff::Timestamp) -> types::DeniedFlow {
    let protocol = match flow.protocol {
        Some(1 | 58) => "icmp".to_owned(),
        Some(number) => Protocol::Number(number).to_string(),
        None => "unknown".to_owned(),
    };
    types::DeniedFlow {
        at,
        public_key: flow.peer.map(Key),
        rule: flow.rule_name.or_else(|| Some(flow.rule?.1.to_string())),
        source: flow.source.to_string(),
        destination: flow.destination.to_string(),
        protocol,
        port: flow.destination_port,
    }
}
