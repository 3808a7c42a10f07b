//! Our handshake against snow, an independent Noise implementation, byte for
//! byte: Noise_IKpsk2 with WireGuard's identifier as its prologue (whitepaper
//! section 5.4.1). Catches an error that our two roles share.

mod common;

use common::{ALICE, ALICE_EPHEMERAL, ALICE_INDEX, BOB, BOB_EPHEMERAL, PSK, alice, bob, psk, timestamp};
use snow::{Builder, HandshakeState};

const PATTERN: &str = "Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s";
const PROLOGUE: &[u8] = b"WireGuard v1 zx2c4 Jason@zx2c4.com";

fn snow(
    private: [u8; 32],
    ephemeral: [u8; 32],
    remote: Option<&[u8; 32]>,
) -> Result<HandshakeState, snow::Error> {
    let builder = Builder::new(PATTERN.parse()?)
        .prologue(PROLOGUE)?
        .psk(2, &PSK)?
        .local_private_key(&private)?
        .fixed_ephemeral_key_for_testing_only(&ephemeral);
    match remote {
        Some(public) => builder.remote_public_key(public)?.build_initiator(),
        None => builder.build_responder(),
    }
}

/// The Noise message inside an initiation: between the indices and the macs.
const INITIATION_NOISE: core::ops::Range<usize> = 8..116;
const RESPONSE_NOISE: core::ops::Range<usize> = 12..60;

#[test]
fn as_initiator_and_responder_we_say_what_snow_says() {
    let (alice, bob) = (alice(), bob());
    let mut their_initiator = snow(ALICE, ALICE_EPHEMERAL, Some(bob.identity.public().as_bytes())).unwrap();
    let mut their_responder = snow(BOB, BOB_EPHEMERAL, None).unwrap();
    let (mut written, mut read) = ([0; 200], [0; 200]);

    let (initiation, our_initiator) = alice.initiate();
    let len = their_initiator
        .write_message(timestamp().as_bytes(), &mut written)
        .unwrap();
    assert_eq!(written[..len], initiation[INITIATION_NOISE]);
    let len = their_responder
        .read_message(&initiation[INITIATION_NOISE], &mut read)
        .unwrap();
    assert_eq!(read[..len], timestamp().as_bytes()[..]);
    assert_eq!(
        their_responder.get_remote_static(),
        Some(&alice.identity.public().as_bytes()[..])
    );

    let (response, our_responder) = bob.answer(&initiation, &psk()).ok().unwrap();
    let len = their_responder.write_message(&[], &mut written).unwrap();
    assert_eq!(written[..len], response[RESPONSE_NOISE]);
    assert_eq!(
        their_initiator.read_message(&response[RESPONSE_NOISE], &mut read),
        Ok(0)
    );

    let ours = our_initiator
        .finish(&alice.identity, &psk(), &response)
        .ok()
        .unwrap();
    assert_eq!(
        (ours.send, ours.receive),
        their_initiator.dangerously_get_raw_split()
    );
    assert_eq!(
        (our_responder.receive, our_responder.send),
        their_responder.dangerously_get_raw_split()
    );
    assert_eq!(ours.local, ALICE_INDEX);
}
