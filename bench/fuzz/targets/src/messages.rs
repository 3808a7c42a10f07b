//! `weir-noise`: handshake messages from bytes. Nothing that was changed anywhere but in what no key protects is taken.

use crate::ends::{End, ends, mac1, preshared, repair_mac1};
use crate::input::Input;
use std::net::SocketAddr;
use std::sync::OnceLock;
use weir_noise::message::{COOKIE_REPLY_LEN, INITIATION_LEN, MAC_LEN, RESPONSE_LEN};
use weir_noise::{
    CookieJar, CookieSecret, Identity, Index, Initiator, Instant, OpenedInitiation, SessionKeys, Tai64n,
    initiate, mac1_valid,
};

/// A handshake that happened, from whose messages hostile ones are made.
struct Handshake {
    alice: End,
    bob: End,
    timestamp: Tai64n,
    initiation: [u8; INITIATION_LEN],
    initiator: Initiator,
    response: [u8; RESPONSE_LEN],
    keys: SessionKeys,
    jar: CookieJar,
    cookie_reply: [u8; COOKIE_REPLY_LEN],
}

fn handshake() -> &'static Handshake {
    static HANDSHAKE: OnceLock<Handshake> = OnceLock::new();
    HANDSHAKE.get_or_init(|| {
        let [alice, bob] = ends();
        let timestamp = Tai64n::from_unix_nanos(1_790_000_000_123_456_789);
        let (initiation, initiator) =
            initiate(&alice.identity, &alice.remote, Index(1), timestamp, [0x33; 32])
                .expect("keys of full order");
        let authentic = OpenedInitiation::open(&bob.identity, &initiation)
            .and_then(|opened| opened.authenticate(&bob.remote))
            .expect("nothing was changed");
        let (response, keys) = authentic
            .respond(&bob.remote, &preshared(), Index(2), [0x44; 32])
            .expect("keys of full order");
        let mut jar = CookieJar::default();
        jar.stamp(&mut initiation.clone(), Instant::BOOT);
        let source = SocketAddr::from(([192, 0, 2, 1], 51820));
        let cookie_reply = CookieSecret::new([5; 32])
            .reply(Instant::BOOT, &bob.identity, source, &initiation, [6; 24])
            .expect("an initiation");
        Handshake {
            alice,
            bob,
            timestamp,
            initiation,
            initiator,
            response,
            keys,
            jar,
            cookie_reply,
        }
    })
}

/// The message with up to four bytes changed, or other bytes in its place; with mac1 repaired or not.
fn hostile<const LEN: usize>(
    input: &mut Input<'_>,
    genuine: &[u8; LEN],
    receiver: Option<&Identity>,
) -> [u8; LEN] {
    let shape = input.byte();
    let mut message = *genuine;
    if shape & 7 == 7 {
        message = input.array();
    }
    for _ in 0..shape & 3 {
        let at = input.below(LEN);
        message[at] ^= input.byte();
    }
    if let Some(receiver) = receiver.filter(|_| shape & 24 == 24) {
        repair_mac1(receiver, &mut message);
    }
    message
}

/// Initiations at the responder.
pub fn initiation(data: &[u8]) {
    let past = handshake();
    let genuine = &past.initiation;
    let message = hostile(&mut Input::new(data), genuine, Some(&past.bob.identity));
    let covered = &message[..INITIATION_LEN - 2 * MAC_LEN];
    let right = mac1(&past.bob.identity, covered) == message[covered.len()..covered.len() + MAC_LEN];
    assert_eq!(mac1_valid(&past.bob.identity, &message), right);
    if !right {
        // The engine goes no further.
        return;
    }
    let same = message[..4] == genuine[..4] && message[8..116] == genuine[8..116];
    let authentic = OpenedInitiation::open(&past.bob.identity, &message)
        .and_then(|opened| opened.authenticate(&past.bob.remote));
    match authentic {
        Ok(authentic) => {
            assert!(same, "a changed initiation is authentic");
            assert_eq!(authentic.timestamp, past.timestamp);
            assert_eq!(authentic.sender.0.to_le_bytes(), message[4..8]);
        }
        Err(error) => assert!(!same, "{error}"),
    }
}

/// Responses at the initiator.
pub fn response(data: &[u8]) {
    let past = handshake();
    let genuine = &past.response;
    let message = hostile(&mut Input::new(data), genuine, Some(&past.alice.identity));
    let covered = &message[..RESPONSE_LEN - 2 * MAC_LEN];
    let right = mac1(&past.alice.identity, covered) == message[covered.len()..covered.len() + MAC_LEN];
    assert_eq!(mac1_valid(&past.alice.identity, &message), right);
    if !right {
        return;
    }
    let same = message[..4] == genuine[..4] && message[8..60] == genuine[8..60];
    match past
        .initiator
        .finish(&past.alice.identity, &preshared(), &message)
    {
        Ok(keys) => {
            assert!(same, "a changed response is authentic");
            assert!(keys.send == past.keys.receive && keys.receive == past.keys.send);
            assert_eq!(keys.remote.0.to_le_bytes(), message[4..8]);
        }
        Err(error) => assert!(!same, "{error}"),
    }
}

/// Cookie replies at whoever sent the message, and messages of any length at the macs.
pub fn cookie_reply(data: &[u8]) {
    let past = handshake();
    let mut input = Input::new(data);
    let message = hostile(&mut input, &past.cookie_reply, None);
    let same = message[..4] == past.cookie_reply[..4] && message[8..] == past.cookie_reply[8..];
    let mut jar = past.jar.clone();
    assert_eq!(jar.consume(&past.alice.remote, &message, Instant::BOOT), same);
    assert_eq!(jar.cookie(Instant::BOOT).is_some(), same);
    let again = jar.consume(&past.alice.remote, &past.cookie_reply, Instant::BOOT);
    assert_eq!(
        again, !same,
        "a reply is taken once, and refused ones do not use it up"
    );

    let stranger = input.rest();
    let mut secret = CookieSecret::new([5; 32]);
    let source = SocketAddr::from(([192, 0, 2, 1], 51820));
    assert!(
        !mac1_valid(&past.bob.identity, stranger),
        "nobody has a key for this"
    );
    assert!(!secret.mac2_valid(Instant::BOOT, source, stranger));
    let reply = secret.reply(Instant::BOOT, &past.bob.identity, source, stranger, [0; 24]);
    let length = match stranger.first_chunk::<4>() {
        Some([1 | 2, 0, 0, 0]) => [INITIATION_LEN, RESPONSE_LEN].contains(&stranger.len()),
        _ => false,
    };
    assert_eq!(reply.is_some(), length);
    let mut stamped = stranger.to_vec();
    jar.stamp(&mut stamped, Instant::BOOT);
    let macs = [INITIATION_LEN, RESPONSE_LEN].contains(&stranger.len());
    let kept = if macs {
        stranger.len() - MAC_LEN
    } else {
        stranger.len()
    };
    assert_eq!(stamped[..kept], stranger[..kept]);
}
