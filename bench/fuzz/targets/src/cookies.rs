//! `weir-noise`: cookies over time, beside a model that knows for which source and in which epoch each was made.

use crate::ends::ends;
use crate::input::Input;
use core::time::Duration;
use std::net::SocketAddr;
use std::sync::OnceLock;
use weir_noise::message::{INITIATION_LEN, MAC_LEN};
use weir_noise::{CookieJar, CookieSecret, Index, Instant, Tai64n, initiate};

/// A cookie as the model knows it.
#[derive(Clone, Copy)]
struct Made {
    source: usize,
    epoch: u64,
}

/// Sources; the first two are one, as a dual-stack socket may show it.
fn sources() -> [SocketAddr; 5] {
    [
        "192.0.2.1:1000",
        "[::ffff:192.0.2.1]:1000",
        "192.0.2.1:1001",
        "192.0.2.2:1000",
        "[2001:db8::1]:1000",
    ]
    .map(|text| text.parse().expect("an address"))
}

fn canonical(source: usize) -> usize {
    source.max(1)
}

/// A cookie is worth something to its source alone, for its epoch and the next, at every shard with the boot secret.
pub fn cookies(data: &[u8]) {
    static GENUINE: OnceLock<(crate::ends::End, crate::ends::End, [u8; INITIATION_LEN])> = OnceLock::new();
    let (alice, bob, genuine) = GENUINE.get_or_init(|| {
        let [alice, bob] = ends();
        let (message, _) = initiate(&alice.identity, &alice.remote, Index(1), Tai64n::ZERO, [3; 32])
            .expect("keys of full order");
        (alice, bob, message)
    });
    let mut input = Input::new(data);
    let sources = sources();
    let mut shards = [CookieSecret::new([5; 32]), CookieSecret::new([5; 32])];
    let mut stranger = CookieSecret::new([6; 32]);
    let mut jar = CookieJar::default();
    let mut held: Option<(Made, Instant)> = None;
    let mut unanswered = false;
    let mut sent: Vec<([u8; INITIATION_LEN], Option<Made>)> = Vec::new();
    let mut now = Instant::BOOT;
    while !input.is_empty() {
        let op = input.byte();
        let shard = usize::from(op >> 7);
        let source = input.below(sources.len());
        match op & 3 {
            0 => now = now + Duration::from_millis(u64::from(input.u16()) * 10),
            1 if sent.len() < 16 => {
                let mut message = *genuine;
                jar.stamp(&mut message, now);
                unanswered = true;
                let fresh = held.filter(|(_, received)| now.since(*received) < Duration::from_secs(115));
                assert_eq!(
                    message[..INITIATION_LEN - MAC_LEN],
                    genuine[..INITIATION_LEN - MAC_LEN]
                );
                assert_eq!(message != *genuine, fresh.is_some());
                sent.push((message, fresh.map(|(made, _)| made)));
            }
            2 => {
                let nonce = [input.byte(); 24];
                let mut reply = shards[shard]
                    .reply(now, &bob.identity, sources[source], genuine, nonce)
                    .expect("an initiation");
                let (at, flip) = (input.below(64), input.byte() & if op & 4 != 0 { 0xff } else { 0 });
                reply[at] ^= flip;
                let changed = flip != 0 && !(4..8).contains(&at);
                let taken = jar.consume(&alice.remote, &reply, now);
                assert_eq!(taken, unanswered && !changed);
                if taken {
                    unanswered = false;
                    held = Some((
                        Made {
                            source,
                            epoch: now.as_nanos() / 60_000_000_000,
                        },
                        now,
                    ));
                }
            }
            _ => {
                let Some((message, made)) = sent.get(input.below(16)) else {
                    continue;
                };
                let epoch = now.as_nanos() / 60_000_000_000;
                let good = made.is_some_and(|made| {
                    canonical(made.source) == canonical(source) && epoch.wrapping_sub(made.epoch) <= 1
                });
                let mut message = *message;
                let (at, flip) = (
                    input.below(148),
                    input.byte() & if op & 4 != 0 { 0xff } else { 0 },
                );
                message[at] ^= flip;
                assert_eq!(
                    shards[shard].mac2_valid(now, sources[source], &message),
                    good && flip == 0
                );
                assert!(!stranger.mac2_valid(now, sources[source], &message));
            }
        }
    }
}
