//! Noise_IKpsk2: the state both roles share, what comes out, what can go wrong.

use std::sync::LazyLock;

use weir_abi::key::{PresharedKey, PublicKey};
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::{Index, aead, hash};

const CONSTRUCTION: &[u8] = b"Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s";
const IDENTIFIER: &[u8] = b"WireGuard v1 zx2c4 Jason@zx2c4.com";

/// Why a handshake message was refused. None of them may be answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HandshakeError {
    /// The type or reserved bytes are not this message's.
    #[error("not the expected type of handshake message")]
    WrongType,
    /// The response is addressed to another index.
    #[error("the response answers another initiation")]
    WrongReceiver,
    /// A public key in the message is a point of low order.
    #[error("a public key of low order")]
    LowOrderKey,
    /// The initiation's static key is not that of the given remote.
    #[error("the initiation comes from another static key")]
    WrongRemote,
    /// An authentication tag is wrong: forged, meant for another key, or the
    /// preshared keys differ.
    #[error("a handshake message that cannot be decrypted")]
    Forged,
}

/// What a completed handshake yields (whitepaper section 5.4.5).
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct SessionKeys {
    /// Key of the messages we send.
    pub send: [u8; 32],
    /// Key of the messages we receive.
    pub receive: [u8; 32],
    /// Our index: the receiver in what we receive.
    #[zeroize(skip)]
    pub local: Index,
    /// The peer's index: the receiver in what we send.
    #[zeroize(skip)]
    pub remote: Index,
    /// Whether we began the handshake.
    #[zeroize(skip)]
    pub initiator: bool,
}

/// The two Diffie-Hellman and hash chains that both roles walk in step.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub(crate) struct Chain {
    key: [u8; 32],
    hash: [u8; 32],
}

impl Chain {
    /// The state before the first message to the owner of `responder`.
    pub(crate) fn new(responder: &PublicKey) -> Self {
        static START: LazyLock<([u8; 32], [u8; 32])> = LazyLock::new(|| {
            let key = hash::hash(&[CONSTRUCTION]);
            (key, hash::hash(&[&key, IDENTIFIER]))
        });
        let (key, start) = *START;
        Self {
            key,
            hash: hash::hash(&[&start, responder.as_bytes()]),
        }
    }

    /// Takes an ephemeral public key into both chains.
    pub(crate) fn mix_ephemeral(&mut self, public: &[u8; 32]) {
        self.mix_hash(public);
        self.mix_key(public);
    }

    /// Takes a shared secret into the key chain.
    pub(crate) fn mix_key(&mut self, secret: &[u8; 32]) {
        self.key = *hash::kdf1(&self.key, secret);
    }

    /// Takes a shared secret into the key chain and encrypts `buffer`, whose
    /// last 16 bytes receive the tag.
    pub(crate) fn mix_key_and_seal(&mut self, secret: &[u8; 32], buffer: &mut [u8]) {
        let [key, cipher_key] = hash::kdf2(&self.key, secret);
        self.key = *key;
        aead::seal(&cipher_key, &self.hash, buffer);
        self.mix_hash(buffer);
    }

    /// The reverse of [`Chain::mix_key_and_seal`]: `sealed` becomes the text and its tag.
    pub(crate) fn mix_key_and_open(
        &mut self,
        secret: &[u8; 32],
        sealed: &mut [u8],
    ) -> Result<(), HandshakeError> {
        let [key, cipher_key] = hash::kdf2(&self.key, secret);
        self.key = *key;
        let hash = hash::hash(&[&self.hash, sealed]);
        aead::open(&cipher_key, &self.hash, sealed).map_err(|aead::Forged| HandshakeError::Forged)?;
        self.hash = hash;
        Ok(())
    }

    /// Takes the preshared key into both chains and gives the key of the empty text.
    pub(crate) fn mix_preshared(&mut self, psk: &PresharedKey) -> zeroize::Zeroizing<[u8; 32]> {
        let [key, tau, cipher_key] = hash::kdf3(&self.key, psk.expose());
        self.key = *key;
        self.mix_hash(&*tau);
        cipher_key
    }

    /// The text authenticated by the empty ciphertext.
    pub(crate) fn hash(&self) -> &[u8; 32] {
        &self.hash
    }

    /// The transport keys: the initiator's sending key, then the responder's.
    pub(crate) fn split(&self) -> [zeroize::Zeroizing<[u8; 32]>; 2] {
        hash::kdf2(&self.key, &[])
    }

    fn mix_hash(&mut self, data: &[u8]) {
        self.hash = hash::hash(&[&self.hash, data]);
    }
}
