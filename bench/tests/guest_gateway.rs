//! A whole gateway whose WAN port does without copying on a real driver's card, between the kernel's WireGuard and a host
//! behind a LAN port that copies; and what may be done to the card and the gateway while it runs.
//!
//! The tests need two cards on one wire, which bench/vm/zero-copy has in a virtual machine.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod cards;

use std::time::Duration;

use cards::{Cards, SHARDS, TRAFFIC_LIMIT, TUNNEL_LIMIT};
use weir_bench::tunnel::Family;
use weir_bench::{ipc, wait};

/// Bytes of a transfer: enough to fill windows and rings.
const BYTES: u64 = 1_000_000;

/// How often the gateway is ended and started again, and as often a shard.
const ROUNDS: usize = 25;

/// Three times what traffic may stand still.
const LIMIT: Duration = Duration::from_secs(3 * TRAFFIC_LIMIT.as_secs());

fn started() -> Cards {
    let cards = Cards::start();
    cards.await_answers(Family::V4, TUNNEL_LIMIT);
    cards.assert_modes();
    cards
}

/// What every test ends with: each port of its kind, bytes carried both ways, and no frame lost.
fn ended(cards: &Cards) {
    cards.assert_modes();
    cards.transfer(Family::V4, BYTES);
    cards.assert_frames_at_home();
}

/// Catches a WAN port that copies or leaves its packets to the kernel, a queue that does not carry a session both ways,
/// and packets damaged or lost on their way through ports of two kinds.
#[test]
#[ignore = "needs two cards with zero-copy: make test-vm"]
fn a_tunnel_is_carried_without_copying_by_every_queue() {
    let cards = started();
    let received = |cards: &Cards| -> u64 { cards.ports("wan").iter().map(|port| port.rx_frames).sum() };
    let (all, by_kernel) = (received(&cards), cards.kernel_datagrams());
    for queue in 0..SHARDS {
        for outer in Family::BOTH {
            cards.reach(outer, queue);
            let before = cards.ports("wan").swap_remove(queue.into());
            for inner in Family::BOTH {
                cards.await_answers(inner, TUNNEL_LIMIT);
                cards.transfer(inner, BYTES);
            }
            let after = cards.ports("wan").swap_remove(queue.into());
            for carried in [after.rx_bytes - before.rx_bytes, after.tx_bytes - before.tx_bytes] {
                assert!(
                    carried > 2 * BYTES,
                    "queue {queue} over {outer:?} carried {carried} bytes"
                );
            }
        }
    }
    let (all, by_kernel) = (received(&cards) - all, cards.kernel_datagrams() - by_kernel);
    println!("WAN ports received {all} datagrams, {by_kernel} of them by ordinary sockets");
    assert!(
        by_kernel * 20 < all,
        "the kernel was left with {by_kernel} of {all} datagrams"
    );
    ended(&cards);
}

/// Catches a port that a link's end stops for good.
#[test]
#[ignore = "needs two cards with zero-copy: make test-vm"]
fn a_tunnel_is_carried_again_after_the_link_was_down() {
    let cards = started();
    let traffic = cards.traffic();
    let mut longest = Duration::ZERO;
    for _ in 0..4 {
        cards.set_link(false);
        cards.set_link(true);
        cards.await_links();
        longest = longest.max(cards.await_answers(Family::V4, LIMIT));
    }
    println!(
        "after the link was up: {longest:?} at most, {:?}",
        traffic.map(|one| one.finish().unwrap())
    );
    ended(&cards);
}

/// Catches a gateway whose queues end under its feet or do not come back when the card's channels are changed, while it
/// runs where the driver does that, and while it does not.
#[test]
#[ignore = "needs two cards with zero-copy: make test-vm"]
fn channels_change_while_a_tunnel_is_carried() {
    let mut cards = started();
    let traffic = cards.traffic();
    let refused = cards.set_channels(1).unwrap_err();
    println!("fewer channels, with a socket on each: {refused}");
    cards.await_answers(Family::V4, LIMIT);

    let interface = cards.gateway.interface().to_owned();
    for _ in 0..2 {
        ipc::set_shards(&interface, 1).unwrap();
        cards.await_answers(Family::V4, LIMIT);
        if cards.driver() == "virtio_net" {
            // It changes nothing while it runs a program.
            println!(
                "fewer channels, with one shard: {}",
                cards.set_channels(1).unwrap_err()
            );
        } else {
            // A closed socket has its queue for a while.
            wait::until("one channel", TRAFFIC_LIMIT, || cards.set_channels(1).ok()).unwrap();
            cards.await_links();
            cards.await_answers(Family::V4, LIMIT);
            cards.set_channels(SHARDS).unwrap();
        }
        ipc::set_shards(&interface, SHARDS).unwrap();
        cards.await_links();
        cards.await_answers(Family::V4, LIMIT);
        cards.assert_modes();
    }

    cards.end(false);
    cards.set_channels(1).unwrap();
    cards.restart();
    cards.await_answers(Family::V4, LIMIT);
    let [with, without] = cards.modes("wan").try_into().unwrap();
    assert!(
        with == "zero-copy" && ["offload", "plain"].contains(&&*without),
        "{with}, {without}"
    );
    if cards.driver() == "virtio_net" {
        println!("more channels: {}", cards.set_channels(SHARDS).unwrap_err());
        cards.end(true);
        cards.set_channels(SHARDS).unwrap();
        cards.restart();
    } else {
        cards.set_channels(SHARDS).unwrap();
        wait::until_true("a socket on a queue that came", LIMIT, || {
            cards.modes("wan") == ["zero-copy"; 2]
        })
        .unwrap();
    }
    cards.await_answers(Family::V4, LIMIT);
    println!("{:?}", traffic.map(|one| one.finish().unwrap()));
    cards.reach(Family::V4, SHARDS - 1);
    ended(&cards);
}

/// Catches a queue that is not had again, or only copied, from a predecessor that ended or was killed with frames in the
/// kernel's hands, or from a shard that ended; a driver or a gateway that hangs; and frames lost with a closed socket.
#[test]
#[ignore = "needs two cards with zero-copy: make test-vm"]
fn queues_are_had_again_and_again() {
    let mut cards = started();
    let traffic = cards.traffic();
    let mut longest = [Duration::ZERO; 2];
    for round in 0..ROUNDS {
        // In order at first: what is known of peers is saved then, and else every second.
        cards.end(round % 2 == 1);
        cards.restart();
        longest[0] = longest[0].max(cards.await_answers(Family::V4, LIMIT));
        cards.assert_modes();

        ipc::set_shards(cards.gateway.interface(), 1).unwrap();
        ipc::set_shards(cards.gateway.interface(), SHARDS).unwrap();
        longest[1] = longest[1].max(cards.await_answers(Family::V4, LIMIT));
        cards.assert_modes();

        if round % 2 == 1 {
            // The shard's queue is given frames again; before an orderly end, which saves from where.
            cards.arrive_by(SHARDS - 1);
        }
    }
    let [restart, shard] = longest;
    println!(
        "traffic after a restart: {restart:?} at most, after a shard's: {shard:?}, {:?}",
        traffic.map(|one| one.finish().unwrap())
    );
    for queue in 0..SHARDS {
        cards.reach(Family::V4, queue);
    }
    ended(&cards);
}
