//! Queues of real cards' drivers, which move frames without copying, as the kernel says itself: frames both ways on every
//! queue, and again after all that may be done to a card while it runs.
//!
//! The tests need two cards on one wire, which bench/vm/zero-copy has in a virtual machine.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod cards;

use cards::{Cards, TRAFFIC_LIMIT};
use std::time::Duration;
use weir_bench::wait;
use weir_xsk::Store;

/// How often a queue is closed and opened again.
const ROUNDS: usize = 50;

/// The near card with all its queues open.
fn opened() -> Cards {
    let mut cards = Cards::new();
    for _ in 0..cards.channels() {
        cards.open(None);
    }
    assert!(cards.queues() > 1, "one queue alone shows little");
    println!("until frames flowed: {:?}", cards.exchange(TRAFFIC_LIMIT));
    cards
}

/// Catches a queue that is copied, that loses, changes or keeps frames, or that does not wake up when it is idle.
#[test]
#[ignore = "needs two cards with zero-copy: make test-vm"]
fn every_queue_carries_frames_without_copying() {
    let mut cards = opened();
    for round in 0..200 {
        cards.exchange(TRAFFIC_LIMIT);
        if round % 50 == 0 {
            // Idle for a while, in which a card may go to sleep.
            cards.account();
            std::thread::sleep(Duration::from_millis(300));
        }
    }
    cards.account();
}

/// Catches a queue that is not had again, or only copied, and frames lost with a closed socket.
#[test]
#[ignore = "needs two cards with zero-copy: make test-vm"]
fn queues_open_again_while_others_run() {
    let mut cards = opened();
    let mut longest = Duration::ZERO;
    for round in 0..ROUNDS {
        // Closed with frames in the kernel's hands, to be sent and to be filled.
        let queue = round % cards.queues();
        cards.send(queue);
        cards.reopen(queue);
        longest = longest.max(cards.exchange(TRAFFIC_LIMIT));
    }
    println!("after a queue was opened again: {longest:?} at most");
    cards.account();
}

/// Catches queues that a link's end stops for good, and frames that a stopped card keeps.
#[test]
#[ignore = "needs two cards with zero-copy: make test-vm"]
fn frames_flow_again_after_the_link_was_down() {
    let mut cards = opened();
    let mut longest = Duration::ZERO;
    for _ in 0..5 {
        for queue in 0..cards.queues() {
            cards.send(queue);
        }
        cards.set_link(false);
        for queue in 0..cards.queues() {
            cards.send(queue);
        }
        cards.set_link(true);
        cards.await_links();
        longest = longest.max(cards.exchange(TRAFFIC_LIMIT));
    }
    println!("after the link was up: {longest:?} at most");
    cards.account();
}

/// Catches queues that are not had again after the card's channels were changed, and a kernel that lets a queue end
/// while a socket has it.
#[test]
#[ignore = "needs two cards with zero-copy: make test-vm"]
fn channels_change_while_queues_run() {
    let mut cards = opened();
    let all = cards.queues();
    let refused = cards.set_channels(1).unwrap_err();
    println!("fewer channels, with a socket on each: {refused}");
    cards.exchange(TRAFFIC_LIMIT);

    // Some drivers want more than the sockets gone.
    let mut stores: Vec<Store> = (1..all).map(|_| cards.close()).collect();
    // A closed socket has its queue for a while.
    let fewer = wait::until("one channel", TRAFFIC_LIMIT, || cards.set_channels(1).ok());
    println!("fewer channels, with a socket on the first: {fewer:?}");
    cards.await_links();
    cards.exchange(TRAFFIC_LIMIT);
    println!(
        "all channels, with a socket on the first: {:?}",
        cards.set_channels(all)
    );
    cards.await_links();
    cards.exchange(TRAFFIC_LIMIT);
    stores.push(cards.close());

    // Without sockets and program every driver does it.
    let mut longest = Duration::ZERO;
    for count in [1, all].into_iter().cycle().take(10) {
        cards.detach();
        cards.set_channels(count).unwrap();
        cards.attach();
        (0..count).for_each(|_| cards.open(stores.pop()));
        cards.await_links();
        longest = longest.max(cards.exchange(TRAFFIC_LIMIT));
        stores.extend((0..count).map(|_| cards.close()));
    }
    println!("after channels were changed: {longest:?} at most");
    (0..all).for_each(|_| cards.open(stores.pop()));
    cards.await_links();
    cards.exchange(TRAFFIC_LIMIT);
    cards.account();
}
