//! Handshakes that something comes in between of: forged answers, changes of the configuration, jobs that get lost.

mod common;

use common::A;
use common::clients::{Clients, spec};
use std::time::Duration;
use weir_abi::change::Change;
use weir_abi::drops::Drop;
use weir_abi::key::PrivateKey;
use weir_noise::message::{COOKIE_REPLY_LEN, INITIATION_LEN, RESPONSE_LEN};
use weir_testkit::{Received, packets, seeds};

const MS: Duration = Duration::from_millis(1);
const S: Duration = Duration::from_secs(1);

/// One client whose place the gateway knows, so that the gateway can begin.
fn known(seed: u64, shards: usize) -> Clients {
    let mut world = Clients::new(seed, shards, 1);
    let peer = spec(&world.clients[0], 0).at(world.clients[0].address);
    world.sim.gateways[A]
        .apply(vec![peer.change()])
        .expect("a sound change");
    world
}

/// Has the gateway's host send a packet, and hands back the initiation that it brings about.
fn initiation_to_client(world: &mut Clients) -> Vec<u8> {
    let packet = world.packet_to(0);
    world.sim.gateways[A].host_send(&packet);
    world.sim.run_for(20 * MS);
    let datagram = world.sim.network.receive(world.clients[0].address);
    let datagram = datagram.expect("an initiation").bytes;
    assert_eq!(datagram.len(), INITIATION_LEN);
    datagram
}

fn data(received: &Received) -> bool {
    matches!(received, Received::Data(data) if !data.is_empty())
}

// Catches a response forged by somebody who saw the initiation that keeps the true one, close behind it, from being
// looked at: one such datagram a handshake would then be enough to keep two peers apart.
#[test]
fn a_forged_response_does_not_keep_the_true_one_out() {
    for seed in seeds(8) {
        for forged in 1..4 {
            let mut world = known(seed, 1 + seed as usize % 3);
            let initiation = initiation_to_client(&mut world);
            let at = world.sim.instant();
            for n in 0..forged {
                // Of the right form, with the right mac1 and index, and of another key.
                world.clients[0].preshared_key = [9 + n; 32];
                let Received::Initiation(wrong) = world.clients[0].receive(&initiation, at) else {
                    panic!("the client answers");
                };
                world.send(0, &wrong);
            }
            world.clients[0].preshared_key = [0; 32];
            let Received::Initiation(right) = world.clients[0].receive(&initiation, at) else {
                panic!("the client answers");
            };
            world.send(0, &right);
            world.sim.run_for(50 * MS);
            let received = world.poll(0);
            assert!(
                received.iter().any(data),
                "got {received:?}: {:?}",
                world.sim.gateways[A].drops()
            );
            assert_eq!(
                world.sim.gateways[A].dropped(Drop::BadHandshake),
                u64::from(forged)
            );
        }
    }
}

// Catches bytes counted as the peer's that only bear its name.
#[test]
fn a_forged_response_is_not_counted_as_received() {
    let mut world = known(1, 1);
    let initiation = initiation_to_client(&mut world);
    let at = world.sim.instant();
    world.clients[0].preshared_key = [9; 32];
    let Received::Initiation(wrong) = world.clients[0].receive(&initiation, at) else {
        panic!("the client answers");
    };
    world.send(0, &wrong);
    world.sim.run_for(50 * MS);
    let rx_bytes = |world: &mut Clients| {
        let (now, key) = (world.sim.now_ns, world.clients[0].public_key());
        world.sim.gateways[A].peer(now, &key).expect("the peer").rx_bytes
    };
    assert_eq!(rx_bytes(&mut world), 0);
    world.clients[0].preshared_key = [0; 32];
    let Received::Initiation(right) = world.clients[0].receive(&initiation, at) else {
        panic!("the client answers");
    };
    world.send(0, &right);
    world.sim.run_for(50 * MS);
    assert_eq!(rx_bytes(&mut world), RESPONSE_LEN as u64);
}

// Catches a session under a private key that is no longer ours: its initiation was answered by a worker just before the
// key changed, and the answer reaches the shard just after.
#[test]
fn an_answer_made_under_the_last_private_key_is_not_given() {
    for seed in seeds(8) {
        let mut world = Clients::new(seed, 1 + seed as usize % 3, 1);
        let (from, to) = (world.clients[0].address, world.sim.gateways[A].address());
        let (at, now) = (world.sim.instant(), world.sim.now_ns);
        let initiation = world.clients[0].initiation(at);
        let gateway = &mut world.sim.gateways[A];
        gateway.deliver(from, to, 0, &initiation);
        while gateway.jobs_done == 0 {
            gateway.round(now);
        }
        let next = PrivateKey::from_bytes([99; 32]);
        gateway
            .apply(vec![Change::PrivateKey(Some(next))])
            .expect("a sound change");
        world.sim.run_for(50 * MS);
        assert_eq!(world.poll(0), []);
        world.sim.assert_frames_home();
    }
}

// Catches a responder that never learns that its session is confirmed, as all that waited for the session turned out to
// be unfit to be sent.
#[test]
fn a_session_is_confirmed_though_nothing_that_waited_can_be_sent() {
    let mut world = known(1, 1);
    let large = packets::udp(
        common::address("10.0.1.7:80"),
        common::address("10.1.0.0:1000"),
        &[7; 1380],
    );
    world.sim.gateways[A].host_send(&large);
    world.sim.run_for(5 * MS);
    world.sim.gateways[A].applier.set_mtu(1280);
    world.sim.run_for(10 * MS);
    world.poll(0);
    world.sim.run_for(50 * MS);
    let received = world.poll(0);
    assert_eq!(received, [Received::Data(Vec::new())]);
    assert_eq!(world.sim.gateways[A].dropped(Drop::TooLarge), 1);
}

// Catches an initiation that nothing calls for: the session that the gateway began is nearly over, and the first packet
// under the next one, which the other side began, has just come.
#[test]
fn a_session_renewed_by_the_other_side_is_not_renewed_again() {
    let mut world = known(1, 1);
    let initiation = initiation_to_client(&mut world);
    let at = world.sim.instant();
    let Received::Initiation(response) = world.clients[0].receive(&initiation, at) else {
        panic!("the client answers");
    };
    world.send(0, &response);
    world.sim.run_for(50 * MS);
    assert!(world.poll(0).iter().any(data));
    let keepalive = world.clients[0].data(&[], at);
    world.send(0, &keepalive);
    world.sim.run_for(170 * S);
    world.poll(0);
    world.sim.network.capture = true;
    world.connect(0);
    world.sim.run_for(20 * S);
    let sent = std::mem::take(&mut world.sim.network.captured);
    let gateway = world.sim.gateways[A].address();
    let begun = sent.iter().filter(|(_, d)| d.from == gateway && d.bytes[0] == 1);
    assert_eq!(begun.count(), 0);
}

// Catches a peer that can begin no handshake any more because what the worker made for the last one went to a shard that
// has ended since.
#[test]
fn a_lost_job_does_not_end_all_handshakes() {
    for seed in seeds(4) {
        let mut world = Clients::new(seed, 2, 8);
        let peers = world.clients.iter().enumerate();
        let peers = peers.map(|(n, c)| spec(c, n).at(c.address).change()).collect();
        world.sim.gateways[A].apply(peers).expect("a sound change");
        world.sim.gateways[A].worker_paused = true;
        for n in 0..8 {
            let packet = world.packet_to(n);
            world.sim.gateways[A].host_send(&packet);
        }
        world.sim.run_for(10 * MS);
        let now = world.sim.now_ns;
        world.sim.gateways[A].set_shards(1, now);
        world.sim.run_for(10 * MS);
        world.sim.gateways[A].end_idle_shards();
        world.sim.gateways[A].worker_paused = false;
        // There is always something to send.
        for _ in 0..120 {
            world.sim.run_for(S);
            for n in 0..8 {
                let packet = world.packet_to(n);
                world.sim.gateways[A].host_send(&packet);
            }
        }
        for n in 0..8 {
            let mut begun = 0;
            while let Some(datagram) = world.sim.network.receive(world.clients[n].address) {
                assert!(datagram.bytes.len() != COOKIE_REPLY_LEN);
                begun += usize::from(datagram.bytes[0] == 1);
            }
            assert!(begun > 0, "seed {seed}: no initiation to client {n}");
        }
    }
}
