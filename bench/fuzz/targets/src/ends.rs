//! Two ends with fixed keys, for the targets of `weir-noise`.

use blake2::digest::consts::U16;
use blake2::digest::{KeyInit, Mac};
use blake2::{Blake2s256, Blake2sMac, Digest};
use weir_abi::key::{PresharedKey, PrivateKey};
use weir_noise::message::MAC_LEN;
use weir_noise::{Identity, Remote};

/// One end: its identity, and the other as it sees it.
pub(crate) struct End {
    pub(crate) identity: Identity,
    pub(crate) remote: Remote,
}

/// Both ends; the first is called Alice, the second Bob.
pub(crate) fn ends() -> [End; 2] {
    let keys = [[0x11; 32], [0x22; 32]];
    let identity = |private: [u8; 32]| Identity::new(&PrivateKey::from_bytes(private));
    [(keys[0], keys[1]), (keys[1], keys[0])].map(|(own, other)| {
        let identity_of_other = identity(other);
        let identity = identity(own);
        let remote = Remote::new(&identity, *identity_of_other.public()).expect("keys of full order");
        End { identity, remote }
    })
}

/// The preshared key of both.
pub(crate) fn preshared() -> PresharedKey {
    PresharedKey::from_bytes([0x55; 32])
}

/// What everybody can do who knows the receiver's public key: a right mac1 for whatever the message says.
pub(crate) fn repair_mac1(receiver: &Identity, message: &mut [u8]) {
    let (covered, macs) = message.split_at_mut(message.len() - 2 * MAC_LEN);
    macs[..MAC_LEN].copy_from_slice(&mac1(receiver, covered));
}

/// mac1 of a message to `receiver` (whitepaper section 5.4.4).
pub(crate) fn mac1(receiver: &Identity, covered: &[u8]) -> [u8; MAC_LEN] {
    let key = Blake2s256::new().chain_update(b"mac1----");
    let key = key.chain_update(receiver.public().as_bytes()).finalize();
    mac(&key, covered)
}

/// Keyed BLAKE2s with 16 bytes of output (RFC 7693), from the crate itself.
pub(crate) fn mac(key: &[u8], covered: &[u8]) -> [u8; MAC_LEN] {
    let mut mac = <Blake2sMac<U16> as KeyInit>::new_from_slice(key).expect("a key of at most 32 bytes");
    mac.update(covered);
    mac.finalize().into_bytes().into()
}
