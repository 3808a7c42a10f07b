//! The handshake between two ends of ours: what completes, and that nothing else does.

mod common;

use common::{ALICE_INDEX, BOB_INDEX, alice, bob, end, psk, timestamp};
use weir_abi::key::{PresharedKey, PrivateKey, PublicKey};
use weir_noise::message::{INITIATION_LEN, MAC_LEN, RESPONSE_LEN};
use weir_noise::{HandshakeError, Identity, OpenedInitiation, Remote, mac1_valid, public_key};

#[test]
fn both_ends_derive_the_same_session() {
    let (alice, bob) = (alice(), bob());
    let (initiation, initiator) = alice.initiate();
    assert!(mac1_valid(&bob.identity, &initiation) && !mac1_valid(&alice.identity, &initiation));

    let opened = OpenedInitiation::open(&bob.identity, &initiation).ok().unwrap();
    assert_eq!(
        (opened.static_key, opened.sender),
        (*alice.identity.public(), ALICE_INDEX)
    );
    let authentic = opened.authenticate(&bob.remote).ok().unwrap();
    assert_eq!(
        (authentic.timestamp, authentic.sender),
        (timestamp(), ALICE_INDEX)
    );

    let (response, theirs) = bob.answer(&initiation, &psk()).ok().unwrap();
    assert!(mac1_valid(&alice.identity, &response));
    let ours = initiator.finish(&alice.identity, &psk(), &response).ok().unwrap();
    assert_eq!((ours.send, ours.receive), (theirs.receive, theirs.send));
    assert_ne!(ours.send, ours.receive);
    assert_eq!((ours.local, ours.remote), (ALICE_INDEX, BOB_INDEX));
    assert_eq!((theirs.local, theirs.remote), (BOB_INDEX, ALICE_INDEX));
    assert!(ours.initiator && !theirs.initiator);
}

/// Catches a byte of the initiation that nothing authenticates. mac1 is
/// checked apart; mac2 means nothing without load; the sender's index is
/// covered by mac1 alone.
#[test]
fn every_flipped_bit_of_the_initiation_is_refused() {
    let (alice, bob) = (alice(), bob());
    let (initiation, _) = alice.initiate();
    for bit in 0..8 * (INITIATION_LEN - MAC_LEN) {
        let mut flipped = initiation;
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert!(!mac1_valid(&bob.identity, &flipped), "mac1, bit {bit}");
        let covered = !(4..8).contains(&(bit / 8)) && bit / 8 < INITIATION_LEN - 2 * MAC_LEN;
        assert_eq!(
            bob.authenticate(&flipped).is_err(),
            covered,
            "handshake, bit {bit}"
        );
    }
}

/// As above; after each refusal the true response must still be taken.
#[test]
fn every_flipped_bit_of_the_response_is_refused() {
    let (alice, bob) = (alice(), bob());
    let (initiation, initiator) = alice.initiate();
    let (response, _) = bob.answer(&initiation, &psk()).ok().unwrap();
    for bit in 0..8 * (RESPONSE_LEN - MAC_LEN) {
        let mut flipped = response;
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert!(!mac1_valid(&alice.identity, &flipped), "mac1, bit {bit}");
        let covered = !(4..8).contains(&(bit / 8)) && bit / 8 < RESPONSE_LEN - 2 * MAC_LEN;
        let finished = initiator.finish(&alice.identity, &psk(), &flipped);
        assert_eq!(finished.is_err(), covered, "handshake, bit {bit}");
    }
    assert!(initiator.finish(&alice.identity, &psk(), &response).is_ok());
}

/// Catches a preshared key that is ignored (as boringtun ignored a
/// changed one), and a state that a failed attempt with another key spoils.
#[test]
fn preshared_keys_must_agree() {
    let (alice, bob) = (alice(), bob());
    let (initiation, initiator) = alice.initiate();
    let (response, _) = bob.answer(&initiation, &psk()).ok().unwrap();
    let refused = initiator.finish(&alice.identity, &PresharedKey::ZERO, &response);
    assert_eq!(refused.err(), Some(HandshakeError::Forged));
    assert!(initiator.finish(&alice.identity, &psk(), &response).is_ok());
}

#[test]
fn each_refusal_says_why() {
    let (alice, bob) = (alice(), bob());
    let carol = end([0x66; 32], common::BOB);
    let (initiation, initiator) = alice.initiate();
    let (mut response, _) = bob.answer(&initiation, &psk()).ok().unwrap();

    let to_another = OpenedInitiation::open(&carol.identity, &initiation).err();
    assert_eq!(to_another, Some(HandshakeError::Forged));
    let bob_expects_carol = Remote::new(&bob.identity, *carol.identity.public()).unwrap();
    let opened = OpenedInitiation::open(&bob.identity, &initiation).ok().unwrap();
    assert_eq!(
        opened.authenticate(&bob_expects_carol).err(),
        Some(HandshakeError::WrongRemote)
    );

    let mut reserved_set = initiation;
    reserved_set[3] = 1;
    assert_eq!(
        bob.authenticate(&reserved_set).err(),
        Some(HandshakeError::WrongType)
    );
    response[8] ^= 1;
    let refused = initiator.finish(&alice.identity, &psk(), &response).err();
    assert_eq!(refused, Some(HandshakeError::WrongReceiver));
}

/// Catches an initiation made with Bob's public key alone that is taken for
/// Alice's: the timestamp's key needs the private one.
#[test]
fn a_claimed_static_key_must_be_owned() {
    let (alice, bob) = (alice(), bob());
    let mallory = end([0x66; 32], common::BOB);
    let (from_mallory, _) = mallory.initiate();
    let opened = OpenedInitiation::open(&bob.identity, &from_mallory).ok().unwrap();
    assert_eq!(opened.static_key, *mallory.identity.public());
    assert_eq!(
        opened.authenticate(&bob.remote).err(),
        Some(HandshakeError::WrongRemote)
    );

    // Alice's own first half, with a timestamp from elsewhere.
    let (mut spliced, _) = alice.initiate();
    spliced[88..116].copy_from_slice(&from_mallory[88..116]);
    assert_eq!(bob.authenticate(&spliced).err(), Some(HandshakeError::Forged));
}

/// The points of small order and those equal to them modulo 2^255 - 19, with
/// and without the ignored top bit (RFC 7748 section 6.1; the list is that of
/// <https://cr.yp.to/ecdh.html#validate>). Catches a session under a key that
/// everyone can compute.
#[test]
fn low_order_keys_are_refused_everywhere() {
    let (alice, bob) = (alice(), bob());
    let (initiation, initiator) = alice.initiate();
    let (response, _) = bob.answer(&initiation, &psk()).ok().unwrap();
    for point in low_order_points() {
        assert!(Remote::new(&alice.identity, PublicKey::from_bytes(point)).is_none());
        let mut bad = initiation;
        bad[8..40].copy_from_slice(&point);
        let refused = OpenedInitiation::open(&bob.identity, &bad).err();
        assert_eq!(refused, Some(HandshakeError::LowOrderKey));
        let mut bad = response;
        bad[12..44].copy_from_slice(&point);
        let refused = initiator.finish(&alice.identity, &psk(), &bad).err();
        assert_eq!(refused, Some(HandshakeError::LowOrderKey));
    }
}

fn low_order_points() -> Vec<[u8; 32]> {
    // p = 2^255 - 19, little-endian, with another lowest byte: p - 1, p, p + 1.
    let near_p = |lowest: u8| {
        let mut point = [0xff; 32];
        (point[0], point[31]) = (lowest, 0x7f);
        point
    };
    let mut one = [0; 32];
    one[0] = 1;
    let order_8 = [
        "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
        "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
    ]
    .map(|hex| *PublicKey::from_hex(hex).expect("64 digits").as_bytes());
    let points = [
        [0; 32],
        one,
        near_p(0xec),
        near_p(0xed),
        near_p(0xee),
        order_8[0],
        order_8[1],
    ];
    let with_top_bit = points.map(|mut point| {
        point[31] |= 0x80;
        point
    });
    points.into_iter().chain(with_top_bit).collect()
}

#[test]
fn the_public_key_is_that_of_the_identity() {
    let private = PrivateKey::from_bytes(common::ALICE);
    assert_eq!(public_key(&private), *Identity::new(&private).public());
}
