//! Ten thousand peers on one gateway.

mod common;

use common::A;
use common::clients::{Clients, key, spec};
use std::time::Duration;
use weir_abi::change::{Change, PeerChange};
use weir_abi::drops::Drop;
use weir_noise::limits::{REJECT_AFTER_TIME, REKEY_TIMEOUT};
use weir_testkit::{Client, PeerSpec, Received, seeds};

const PEERS: usize = 10_000;
/// Fewer than may wait for the worker before strangers are asked for cookies.
const PARTY: usize = 100;

fn connect_in_parties(world: &mut Clients) {
    for first in (0..PEERS).step_by(PARTY) {
        for n in first..first + PARTY {
            world.initiate(n);
        }
        world.sim.run_for(Duration::from_millis(250));
        for n in first..first + PARTY {
            let received = world.poll(n);
            assert!(
                received.contains(&Received::Session),
                "client {n} got {received:?}"
            );
            world.send_data(n);
        }
    }
    world.sim.run_for(Duration::from_secs(1));
    assert_eq!(world.sim.gateways[A].host_received().len(), PEERS);
}

/// A packet from and one to each of these clients; says how many arrived.
fn talk(world: &mut Clients, clients: &[usize]) -> usize {
    let mut sent = Vec::new();
    for (count, &n) in clients.iter().enumerate() {
        sent.push(world.send_data(n));
        let packet = world.packet_to(n);
        world.sim.gateways[A].host_send(&packet);
        if count % 100 == 0 {
            world.sim.run_for(Duration::from_millis(1));
        }
    }
    world.sim.run_for(Duration::from_millis(50));
    let arrived = world.sim.gateways[A].host_received();
    let mut count = arrived.iter().filter(|packet| sent.contains(packet)).count();
    for &n in clients {
        let data = |received: &Received| matches!(received, Received::Data(data) if !data.is_empty());
        count += world.poll(n).iter().filter(|received| data(received)).count();
    }
    count
}

// Catches timers that get lost in the wheel, indices or homes mixed up, and tables that change somebody else's session:
// all handshake, talk, are rekeyed from the gateway's side when their sessions end, and meanwhile peers come, go and
// change.
#[test]
fn ten_thousand_peers_handshake_talk_and_rekey_while_others_come_and_go() {
    for seed in seeds(1) {
        let mut world = Clients::new(seed, 2, PEERS);
        connect_in_parties(&mut world);
        let now = world.sim.now_ns;
        assert_eq!(world.sim.gateways[A].peers(now).len(), PEERS);
        let sample: Vec<usize> = (0..PEERS).step_by(37).collect();
        assert_eq!(talk(&mut world, &sample), 2 * sample.len());
        strangers_come_change_and_go(&mut world, &sample);

        // The clients fall silent: the gateway begins the next handshakes, all within a second.
        world.sim.run_for(REJECT_AFTER_TIME);
        for n in 0..PEERS {
            world.poll(n);
            world.clients[n].session = None;
            let packet = world.packet_to(n);
            world.sim.gateways[A].host_send(&packet);
            if n % 100 == 0 {
                world.sim.run_for(Duration::from_millis(10));
            }
        }
        let mut served = 0;
        for _ in 0..3 {
            world.sim.run_for(Duration::from_millis(50));
            for n in 0..PEERS {
                let received = world.poll(n);
                served += usize::from(
                    received
                        .iter()
                        .any(|r| matches!(r, Received::Data(d) if !d.is_empty())),
                );
            }
        }
        assert_eq!(served, PEERS, "{:?}", world.sim.gateways[A].drops());
        assert_eq!(world.sim.gateways[A].dropped(Drop::QueueFull), 0);
        assert!(world.sim.network.next_arrival_ns().is_none());
        // Nobody is left whom the wheel wakes for a retry: the answers ended them all.
        world.sim.network.capture = true;
        world.sim.run_for(3 * REKEY_TIMEOUT - Duration::from_secs(1));
        let retries = world.sim.network.captured.iter().filter(|(_, d)| d.bytes[0] == 1);
        assert_eq!(retries.count(), 0);
        world.sim.assert_frames_home();
    }
}

fn strangers_come_change_and_go(world: &mut Clients, sample: &[usize]) {
    let gateway = world.sim.gateways[A].public_key();
    for round in 0..6 {
        let n = PEERS + round;
        let random = world.sim.seed().random(n as u64);
        let stranger = Client::new(key(n), gateway, common::clients::client_address(n), random);
        let here: Vec<usize> = sample.iter().copied().skip(round).step_by(6).collect();
        // A new peer; a peer changed that talks at this moment; a peer gone.
        let add = spec(&stranger, n).change();
        let other = PeerSpec {
            preshared_key: Some([round as u8 + 1; 32]),
            persistent_keepalive: Some(600),
            ..spec(&world.clients[here[0]], here[0])
        };
        let gone = world.clients[PEERS - 1 - round].public_key();
        for change in [add, other.change(), Change::RemovePeer(gone)] {
            world.sim.gateways[A].apply(vec![change]).expect("a sound change");
            let arrived = talk(world, &here);
            assert_eq!(arrived, 2 * here.len(), "{:?}", world.sim.gateways[A].drops());
        }
        let again = spec(&world.clients[PEERS - 1 - round], PEERS - 1 - round).change();
        let back = PeerChange {
            preshared_key: Some(weir_abi::key::PresharedKey::ZERO),
            persistent_keepalive: Some(0),
            ..PeerChange::new(world.clients[here[0]].public_key())
        };
        let changes = vec![
            Change::RemovePeer(stranger.public_key()),
            again,
            Change::Peer(back),
        ];
        world.sim.gateways[A].apply(changes).expect("a sound change");
        // It was forgotten: where it is nobody knows until it calls.
        world.connect(PEERS - 1 - round);
    }
}
