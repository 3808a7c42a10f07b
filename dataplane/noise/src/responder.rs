//! The responder's half of the handshake (whitepaper sections 5.4.2 and 5.4.3),
//! in three steps: open, find the peer, authenticate, find its timestamp and
//! preshared key, respond.

use weir_abi::key::{PresharedKey, PublicKey};
use weir_crypto::x25519::Point;
use zerocopy::{FromBytes, IntoBytes};
use zeroize::Zeroizing;

use crate::handshake::{Chain, HandshakeError, SessionKeys};
use crate::message::{
    INITIATION_LEN, Initiation, MAC_LEN, RESPONSE_LEN, Response, TYPE_INITIATION, TYPE_RESPONSE,
};
use crate::{Identity, Index, Remote, Tai64n, aead, dh, hash};

/// An initiation of which the claimed sender is known, and nothing proved.
pub struct OpenedInitiation {
    /// The static key that the sender claims.
    pub static_key: PublicKey,
    /// The sender's index.
    pub sender: Index,
    chain: Chain,
    ephemeral: [u8; 32],
    timestamp: [u8; 28],
}

impl OpenedInitiation {
    /// Decrypts the sender's static key. Costs one X25519; mac1 has been
    /// checked by the caller.
    pub fn open(identity: &Identity, message: &[u8; INITIATION_LEN]) -> Result<Self, HandshakeError> {
        let message = Initiation::ref_from_bytes(message).map_err(|_| HandshakeError::WrongType)?;
        if message.kind.get() != TYPE_INITIATION {
            return Err(HandshakeError::WrongType);
        }
        let mut chain = Chain::new(identity.public());
        chain.mix_ephemeral(&message.ephemeral);
        let secret = dh::dh(identity.private(), &message.ephemeral).ok_or(HandshakeError::LowOrderKey)?;
        let mut static_key = message.static_key;
        chain.mix_key_and_open(&secret, &mut static_key)?;
        let (static_key, _tag) = static_key.split_first_chunk().expect("32 of 48 bytes");
        Ok(Self {
            static_key: PublicKey::from_bytes(*static_key),
            sender: Index(message.sender.get()),
            chain,
            ephemeral: message.ephemeral,
            timestamp: message.timestamp,
        })
    }

    /// Proves that the sender owns its static key, and decrypts the timestamp.
    /// Costs no X25519. `remote` is the peer with [`OpenedInitiation::static_key`].
    pub fn authenticate(mut self, remote: &Remote) -> Result<AuthenticInitiation, HandshakeError> {
        if self.static_key != *remote.public() {
            return Err(HandshakeError::WrongRemote);
        }
        self.chain
            .mix_key_and_open(remote.static_static(), &mut self.timestamp)?;
        let (timestamp, _tag) = self.timestamp.split_first_chunk().expect("12 of 28 bytes");
        Ok(AuthenticInitiation {
            timestamp: Tai64n::from_bytes(*timestamp),
            sender: self.sender,
            chain: self.chain,
            ephemeral: self.ephemeral,
        })
    }
}

/// An initiation whose sender is proved. It may still be a replay: that is
/// for its timestamp to say, which must exceed the greatest seen from this peer.
pub struct AuthenticInitiation {
    /// When the initiation was made, by the sender's clock.
    pub timestamp: Tai64n,
    /// The sender's index.
    pub sender: Index,
    chain: Chain,
    ephemeral: [u8; 32],
}

impl AuthenticInitiation {
    /// Makes the response, mac1 filled in and mac2 zero, and derives the
    /// session's keys. Costs three X25519, done together. `ephemeral` is 32
    /// random bytes used for nothing else; `remote` is the one that
    /// authenticated the initiation.
    pub fn respond(
        &self,
        remote: &Remote,
        psk: &PresharedKey,
        local: Index,
        ephemeral: [u8; 32],
    ) -> Result<([u8; RESPONSE_LEN], SessionKeys), HandshakeError> {
        let ephemeral = Zeroizing::new(ephemeral);
        let (theirs, their_static) = (Point::At(&self.ephemeral), Point::At(remote.public().as_bytes()));
        let [public, ephemeral_ephemeral, ephemeral_static] =
            dh::each([Point::Base, theirs, their_static].map(|point| (&*ephemeral, point)))
                .ok_or(HandshakeError::LowOrderKey)?;
        let mut chain = self.chain.clone();
        chain.mix_ephemeral(&public);
        chain.mix_key(&ephemeral_ephemeral);
        chain.mix_key(&ephemeral_static);
        let cipher_key = chain.mix_preshared(psk);
        let mut empty = [0; aead::TAG_LEN];
        aead::seal(&cipher_key, chain.hash(), &mut empty);

        let mut message = Response {
            kind: TYPE_RESPONSE.into(),
            sender: local.0.into(),
            receiver: self.sender.0.into(),
            ephemeral: *public,
            empty,
            mac1: [0; MAC_LEN],
            mac2: [0; MAC_LEN],
        };
        message.mac1 = hash::mac(
            remote.mac1_key(),
            &[&message.as_bytes()[..RESPONSE_LEN - 2 * MAC_LEN]],
        );
        let [receive, send] = chain.split();
        let keys = SessionKeys {
            send: *send,
            receive: *receive,
            local,
            remote: self.sender,
            initiator: false,
        };
        Ok((zerocopy::transmute!(message), keys))
    }
}
