//! The initiator's half of the handshake (whitepaper sections 5.4.2 and 5.4.3).

use weir_abi::key::PresharedKey;
use weir_crypto::x25519::Point;
use zerocopy::{FromBytes, IntoBytes};
use zeroize::Zeroizing;

use crate::handshake::{Chain, HandshakeError, SessionKeys};
use crate::message::{
    INITIATION_LEN, Initiation, MAC_LEN, RESPONSE_LEN, Response, TYPE_INITIATION, TYPE_RESPONSE,
};
use crate::{Identity, Index, Remote, Tai64n, aead, dh, hash};

/// An initiation that was sent and waits for its response.
pub struct Initiator {
    chain: Chain,
    ephemeral: Zeroizing<[u8; 32]>,
    local: Index,
}

/// Makes an initiation to `remote`, mac1 filled in and mac2 zero (see
/// [`crate::CookieJar::stamp`]). Costs two X25519, done together.
///
/// `ephemeral` is 32 random bytes used for nothing else; `timestamp` must be
/// greater than in every earlier initiation from `identity` to `remote`.
pub fn initiate(
    identity: &Identity,
    remote: &Remote,
    local: Index,
    timestamp: Tai64n,
    ephemeral: [u8; 32],
) -> Result<([u8; INITIATION_LEN], Initiator), HandshakeError> {
    let ephemeral = Zeroizing::new(ephemeral);
    let points = [Point::Base, Point::At(remote.public().as_bytes())];
    let [public, secret] =
        dh::each(points.map(|point| (&*ephemeral, point))).ok_or(HandshakeError::LowOrderKey)?;
    let mut chain = Chain::new(remote.public());
    chain.mix_ephemeral(&public);

    let mut static_key = [0; 48];
    static_key[..32].copy_from_slice(identity.public().as_bytes());
    chain.mix_key_and_seal(&secret, &mut static_key);

    let mut sealed_timestamp = [0; 28];
    sealed_timestamp[..12].copy_from_slice(timestamp.as_bytes());
    chain.mix_key_and_seal(remote.static_static(), &mut sealed_timestamp);

    let mut message = Initiation {
        kind: TYPE_INITIATION.into(),
        sender: local.0.into(),
        ephemeral: *public,
        static_key,
        timestamp: sealed_timestamp,
        mac1: [0; MAC_LEN],
        mac2: [0; MAC_LEN],
    };
    message.mac1 = hash::mac(
        remote.mac1_key(),
        &[&message.as_bytes()[..INITIATION_LEN - 2 * MAC_LEN]],
    );
    let initiator = Initiator {
        chain,
        ephemeral,
        local,
    };
    Ok((zerocopy::transmute!(message), initiator))
}

impl Initiator {
    /// Our index, to which the response is addressed.
    pub fn local(&self) -> Index {
        self.local
    }

    /// Checks the response and derives the session's keys. Costs two X25519,
    /// done together.
    ///
    /// mac1 has been checked by the caller. The state stays as it was when
    /// the response is refused, so a forged one cannot end the handshake.
    pub fn finish(
        &self,
        identity: &Identity,
        psk: &PresharedKey,
        response: &[u8; RESPONSE_LEN],
    ) -> Result<SessionKeys, HandshakeError> {
        let response = Response::ref_from_bytes(response).map_err(|_| HandshakeError::WrongType)?;
        if response.kind.get() != TYPE_RESPONSE {
            return Err(HandshakeError::WrongType);
        }
        if response.receiver.get() != self.local.0 {
            return Err(HandshakeError::WrongReceiver);
        }
        let theirs = Point::At(&response.ephemeral);
        let [ephemeral_ephemeral, static_ephemeral] =
            dh::each([(&*self.ephemeral, theirs), (identity.private(), theirs)])
                .ok_or(HandshakeError::LowOrderKey)?;
        let mut chain = self.chain.clone();
        chain.mix_ephemeral(&response.ephemeral);
        chain.mix_key(&ephemeral_ephemeral);
        chain.mix_key(&static_ephemeral);
        let cipher_key = chain.mix_preshared(psk);
        let mut empty = response.empty;
        aead::open(&cipher_key, chain.hash(), &mut empty).map_err(|aead::Forged| HandshakeError::Forged)?;

        let [send, receive] = chain.split();
        Ok(SessionKeys {
            send: *send,
            receive: *receive,
            local: self.local,
            remote: Index(response.sender.get()),
            initiator: true,
        })
    }
}
