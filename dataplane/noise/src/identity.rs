//! The two ends of a handshake: our own identity and a remote's.

use weir_abi::key::{PrivateKey, PublicKey};
use weir_crypto::blake2s::MacKey;
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::{dh, hash};

const LABEL_MAC1: &[u8] = b"mac1----";
const LABEL_COOKIE: &[u8] = b"cookie--";

/// The public key that belongs to a private one.
pub fn public_key(private: &PrivateKey) -> PublicKey {
    PublicKey::from_bytes(dh::public(private.expose()))
}

/// A static key pair of ours, and what follows from its public half.
#[derive(Clone)]
pub struct Identity {
    private: PrivateKey,
    public: PublicKey,
    mac1_key: MacKey,
    cookie_key: [u8; 32],
}

impl Identity {
    /// Computes the public key (one X25519) and the keys for mac1 and cookies.
    pub fn new(private: &PrivateKey) -> Self {
        let public = public_key(private);
        Self {
            private: private.clone(),
            public,
            mac1_key: MacKey::new(&mac1_key(&public)),
            cookie_key: cookie_key(&public),
        }
    }

    /// Our public key.
    pub fn public(&self) -> &PublicKey {
        &self.public
    }

    /// The key of mac1 in messages to us (public knowledge: whitepaper
    /// section 5.4.4), ready for many messages.
    pub(crate) fn mac1_key(&self) -> &MacKey {
        &self.mac1_key
    }

    /// The key that encrypts cookies we hand out (public knowledge:
    /// whitepaper section 5.4.7).
    pub(crate) fn cookie_key(&self) -> &[u8; 32] {
        &self.cookie_key
    }

    pub(crate) fn private(&self) -> &[u8; 32] {
        self.private.expose()
    }
}

/// A peer as one of our identities sees it: what every handshake with it
/// would otherwise compute again.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct Remote {
    #[zeroize(skip)]
    public: PublicKey,
    /// DH of the two static keys: secret.
    static_static: [u8; 32],
    mac1_key: [u8; 32],
    cookie_key: [u8; 32],
}

const _: () = assert!(size_of::<Remote>() <= 160);

impl Remote {
    /// Costs one X25519. None if `public` is a point of low order, with which
    /// no handshake can succeed.
    pub fn new(identity: &Identity, public: PublicKey) -> Option<Self> {
        let static_static = dh::dh(identity.private(), public.as_bytes())?;
        Some(Self {
            public,
            static_static: *static_static,
            mac1_key: mac1_key(&public),
            cookie_key: cookie_key(&public),
        })
    }

    /// The peer's public key.
    pub fn public(&self) -> &PublicKey {
        &self.public
    }

    /// The key of mac1 in messages to the peer.
    pub fn mac1_key(&self) -> &[u8; 32] {
        &self.mac1_key
    }

    pub(crate) fn cookie_key(&self) -> &[u8; 32] {
        &self.cookie_key
    }

    pub(crate) fn static_static(&self) -> &[u8; 32] {
        &self.static_static
    }
}

fn mac1_key(public: &PublicKey) -> [u8; 32] {
    hash::hash(&[LABEL_MAC1, public.as_bytes()])
}

fn cookie_key(public: &PublicKey) -> [u8; 32] {
    hash::hash(&[LABEL_COOKIE, public.as_bytes()])
}
