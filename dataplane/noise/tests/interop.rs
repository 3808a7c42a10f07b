//! Whole messages exchanged with boringtun, in both roles, cookies and
//! transport data included. Catches what the Noise oracle cannot see: headers,
//! macs, indices, cookie replies and the direction of the keys.

mod common;

use core::net::SocketAddr;
use std::sync::Arc;

use boringtun::noise::rate_limiter::RateLimiter;
use boringtun::noise::{Tunn, TunnResult};
use boringtun::x25519;
use chacha20poly1305::{AeadInOut, ChaCha20Poly1305, KeyInit, Tag};
use common::{ALICE, ALICE_INDEX, BOB, BOB_EPHEMERAL, BOB_INDEX, End, PSK, alice, bob, psk};
use weir_noise::message::{COOKIE_REPLY_LEN, INITIATION_LEN, RESPONSE_LEN};
use weir_noise::{
    CookieJar, CookieSecret, Index, Instant, OpenedInitiation, SessionKeys, initiate, mac1_valid,
};

const TYPE_DATA: u32 = 4;

/// boringtun in the place of `private`'s owner, answering handshakes with
/// cookies from the `limit`th on.
fn boringtun(private: [u8; 32], other: &End, limit: u64) -> Tunn {
    let private = x25519::StaticSecret::from(private);
    let public = x25519::PublicKey::from(&private);
    let other = x25519::PublicKey::from(*other.identity.public().as_bytes());
    let limiter = Arc::new(RateLimiter::new(&public, limit));
    Tunn::new(private, other, Some(PSK), None, 0x00b0b0, Some(limiter))
}

fn to_network<const N: usize>(result: TunnResult<'_>) -> [u8; N] {
    match result {
        TunnResult::WriteToNetwork(message) => (&*message).try_into().expect("a message of that length"),
        other => panic!("boringtun gave {other:?}"),
    }
}

fn nonce(counter: u64) -> [u8; 12] {
    let mut nonce = [0; 12];
    nonce[4..].copy_from_slice(&counter.to_le_bytes());
    nonce
}

/// A transport data message (whitepaper section 5.4.6).
fn seal(keys: &SessionKeys, counter: u64, text: &[u8]) -> Vec<u8> {
    let mut message = [
        &TYPE_DATA.to_le_bytes()[..],
        &keys.remote.0.to_le_bytes(),
        &counter.to_le_bytes(),
        text,
    ]
    .concat();
    let tag = ChaCha20Poly1305::new(&keys.send.into())
        .encrypt_inout_detached(&nonce(counter).into(), &[], (&mut message[16..]).into())
        .expect("a short text");
    message.extend_from_slice(&tag);
    message
}

fn open(keys: &SessionKeys, message: &[u8]) -> Vec<u8> {
    assert_eq!(message[..4], TYPE_DATA.to_le_bytes());
    assert_eq!(message[4..8], keys.local.0.to_le_bytes());
    let counter = u64::from_le_bytes(message[8..16].try_into().expect("8 bytes"));
    let (text, tag) = message[16..].split_last_chunk::<16>().expect("a tag");
    let mut text = text.to_vec();
    ChaCha20Poly1305::new(&keys.receive.into())
        .decrypt_inout_detached(
            &nonce(counter).into(),
            &[],
            text.as_mut_slice().into(),
            &Tag::from(*tag),
        )
        .expect("authentic data");
    text
}

/// The smallest IPv4 packet that boringtun lets through: a header alone.
fn ipv4() -> [u8; 20] {
    let mut packet = [0; 20];
    (packet[0], packet[3]) = (0x45, 20);
    packet
}

fn data_passes_both_ways(keys: &SessionKeys, theirs: &mut Tunn) {
    let mut buffer = [0; 256];
    match theirs.decapsulate(None, &seal(keys, 7, &ipv4()), &mut buffer) {
        TunnResult::WriteToTunnelV4(packet, _) => assert_eq!(packet, ipv4()),
        other => panic!("boringtun gave {other:?}"),
    }
    match theirs.encapsulate(&ipv4(), &mut buffer) {
        TunnResult::WriteToNetwork(message) => assert_eq!(open(keys, message)[..20], ipv4()),
        other => panic!("boringtun gave {other:?}"),
    }
}

#[test]
fn boringtun_answers_our_initiation() {
    let alice = alice();
    let mut bob = boringtun(BOB, &alice, 100);
    let mut buffer = [0; 256];
    let (initiation, initiator) = alice.initiate();
    let response: [u8; RESPONSE_LEN] = to_network(bob.decapsulate(None, &initiation, &mut buffer));
    assert!(mac1_valid(&alice.identity, &response));
    let keys = initiator.finish(&alice.identity, &psk(), &response).ok().unwrap();
    data_passes_both_ways(&keys, &mut bob);
}

#[test]
fn boringtun_takes_our_response() {
    let bob = bob();
    let mut alice = boringtun(ALICE, &bob, 100);
    let mut buffer = [0; 256];
    let initiation: [u8; INITIATION_LEN] = to_network(alice.format_handshake_initiation(&mut buffer, false));
    assert!(mac1_valid(&bob.identity, &initiation));
    let (response, keys) = bob.answer(&initiation, &psk()).ok().unwrap();
    let keepalive: [u8; 32] = to_network(alice.decapsulate(None, &response, &mut buffer));
    assert!(open(&keys, &keepalive).is_empty());
    data_passes_both_ways(&keys, &mut alice);
}

#[test]
fn boringtun_under_load_takes_our_mac2() {
    let alice = alice();
    let mut bob = boringtun(BOB, &alice, 0);
    let mut buffer = [0; 256];
    let from: SocketAddr = "192.0.2.1:51820".parse().unwrap();
    let mut jar = CookieJar::default();

    let (mut initiation, _) = alice.initiate();
    jar.stamp(&mut initiation, Instant::BOOT);
    let reply: [u8; COOKIE_REPLY_LEN] =
        to_network(bob.decapsulate(Some(from.ip()), &initiation, &mut buffer));
    assert_eq!(reply[4..8], ALICE_INDEX.0.to_le_bytes());
    assert!(jar.consume(&alice.remote, &reply, Instant::BOOT));

    let again = Index(ALICE_INDEX.0 + 1);
    let (mut initiation, initiator) = initiate(
        &alice.identity,
        &alice.remote,
        again,
        common::timestamp(),
        [0x77; 32],
    )
    .ok()
    .unwrap();
    jar.stamp(&mut initiation, Instant::BOOT);
    let response: [u8; RESPONSE_LEN] = to_network(bob.decapsulate(Some(from.ip()), &initiation, &mut buffer));
    assert!(initiator.finish(&alice.identity, &psk(), &response).is_ok());
}

#[test]
fn boringtun_takes_our_cookie() {
    let bob = bob();
    let mut alice = boringtun(ALICE, &bob, 100);
    let mut buffer = [0; 256];
    let from: SocketAddr = "192.0.2.1:51820".parse().unwrap();
    let mut secret = CookieSecret::new([0x88; 32]);

    let initiation: [u8; INITIATION_LEN] = to_network(alice.format_handshake_initiation(&mut buffer, false));
    assert!(!secret.mac2_valid(Instant::BOOT, from, &initiation));
    let reply = secret
        .reply(Instant::BOOT, &bob.identity, from, &initiation, [0x99; 24])
        .unwrap();
    assert!(matches!(
        alice.decapsulate(None, &reply, &mut buffer),
        TunnResult::Done
    ));

    let initiation: [u8; INITIATION_LEN] = to_network(alice.format_handshake_initiation(&mut buffer, true));
    assert!(secret.mac2_valid(Instant::BOOT, from, &initiation));
    let opened = OpenedInitiation::open(&bob.identity, &initiation).ok().unwrap();
    let authentic = opened.authenticate(&bob.remote).ok().unwrap();
    assert!(
        authentic
            .respond(&bob.remote, &psk(), BOB_INDEX, BOB_EPHEMERAL)
            .is_ok()
    );
}
