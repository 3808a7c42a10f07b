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
