//! A minimal WireGuard peer, made of `weir-noise` and `weir-crypto` without the engine, that may misbehave: it sends
//! what it is told to, when it is told to.

use rand_chacha::ChaCha20Rng;
use rand_core::Rng;
use std::net::SocketAddr;
use weir_abi::key::{PresharedKey, PrivateKey, PublicKey};
use weir_crypto::{Open, Plaintext, Seal, TAG_BYTES};
use weir_noise::message::{COOKIE_REPLY_LEN, INITIATION_LEN, RESPONSE_LEN};
use weir_noise::{
    CookieJar, Identity, Index, Initiator, Instant, Keypair, OpenedInitiation, Remote, Tai64n, initiate,
};
use weir_wire::wireguard::{self, Message, TRANSPORT_HEADER_LEN, TransportHeader};
use zerocopy::IntoBytes;

/// What a datagram turned out to be.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Received {
    /// The response to our initiation: there is a session.
    Session,
    /// A cookie, kept for the next handshake message.
    Cookie,
    /// An initiation, and the response to send.
    Initiation(Vec<u8>),
    /// An inner packet with its padding; empty for a keepalive.
    Data(Vec<u8>),
    /// Nothing that belongs here.
    Nothing,
}

/// The peer.
pub struct Client {
    /// Where it is; the test moves it at will.
    pub address: SocketAddr,
    /// Mixed into its handshakes.
    pub preshared_key: [u8; 32],
    /// The session in use.
    pub session: Option<Keypair>,
    /// Whether inner packets are padded to a multiple of 16.
    pub padding: bool,
    identity: Identity,
    remote: Remote,
    initiator: Option<Initiator>,
    jar: CookieJar,
    random: ChaCha20Rng,
    stamp_ns: u64,
}

impl Client {
    /// A peer with this private key, at `address`, of the gateway with the key `remote`.
    pub fn new(private_key: [u8; 32], remote: PublicKey, address: SocketAddr, random: ChaCha20Rng) -> Self {
        let identity = Identity::new(&PrivateKey::from_bytes(private_key));
        let remote = Remote::new(&identity, remote).expect("the gateway's key is not of low order");
        Self {
            address,
            preshared_key: [0; 32],
            session: None,
            padding: true,
            identity,
            remote,
            initiator: None,
            jar: CookieJar::default(),
            random,
            stamp_ns: 1_790_000_000_000_000_000,
        }
    }

    /// Its public key.
    pub fn public_key(&self) -> PublicKey {
        *self.identity.public()
    }

    /// An initiation, newer than every one before.
    pub fn initiation(&mut self, now: Instant) -> Vec<u8> {
        self.stamp_ns = (self.stamp_ns + 1).max(1_790_000_000_000_000_000 + now.as_nanos());
        self.initiation_at(Tai64n::from_unix_nanos(self.stamp_ns), now)
    }

    /// An initiation with any timestamp.
    pub fn initiation_at(&mut self, timestamp: Tai64n, now: Instant) -> Vec<u8> {
        let index = Index(self.random.next_u32());
        let ephemeral = self.bytes();
        let (mut message, initiator) = initiate(&self.identity, &self.remote, index, timestamp, ephemeral)
            .expect("the gateway's key is not of low order");
        self.initiator = Some(initiator);
        self.jar.stamp(&mut message, now);
        message.to_vec()
    }

    /// Takes a datagram in.
    pub fn receive(&mut self, datagram: &[u8], now: Instant) -> Received {
        match wireguard::classify(datagram) {
            Message::Response(_) => self.response(datagram, now),
            Message::Initiation(_) => self.respond(datagram, now),
            Message::CookieReply(_) => {
                let reply: &[u8; COOKIE_REPLY_LEN] =
                    datagram.try_into().expect("a cookie reply has its length");
                if self.jar.consume(&self.remote, reply, now) {
                    Received::Cookie
                } else {
                    Received::Nothing
                }
            }
            Message::Transport {
                receiver, counter, ..
            } => self.open(receiver, counter, &datagram[TRANSPORT_HEADER_LEN..]),
            Message::Unknown(_) => Received::Nothing,
        }
    }

    /// A transport message with the next counter.
    ///
    /// # Panics
    /// Without a session, as [`Client::data_at`].
    pub fn data(&mut self, packet: &[u8], now: Instant) -> Vec<u8> {
        let session = self.session.as_mut().expect("a session");
        let counter = session.reserve(now).expect("the session lives");
        self.data_at(packet, counter)
    }

    /// A transport message with any counter.
    pub fn data_at(&mut self, packet: &[u8], counter: u64) -> Vec<u8> {
        let session = self.session.as_ref().expect("a session");
        let padded = if self.padding {
            packet.len().next_multiple_of(16)
        } else {
            packet.len()
        };
        let mut message = TransportHeader::new(session.remote().0, counter)
            .as_bytes()
            .to_vec();
        message.extend_from_slice(packet);
        message.resize(TRANSPORT_HEADER_LEN + padded + TAG_BYTES, 0);
        let mut jobs = [Seal {
            key: session.send_key(),
            counter,
            plaintext: Plaintext::InPlace(packet.len()),
            out: &mut message[TRANSPORT_HEADER_LEN..],
        }];
        weir_crypto::best().seal(&mut jobs);
        message
    }

    fn response(&mut self, datagram: &[u8], now: Instant) -> Received {
        let message: &[u8; RESPONSE_LEN] = datagram.try_into().expect("a response has its length");
        let psk = PresharedKey::from_bytes(self.preshared_key);
        let keys = self
            .initiator
            .as_ref()
            .and_then(|initiator| initiator.finish(&self.identity, &psk, message).ok());
        match keys {
            Some(keys) => {
                self.initiator = None;
                self.session = Some(Keypair::new(keys, now));
                Received::Session
            }
            None => Received::Nothing,
        }
    }

    fn respond(&mut self, datagram: &[u8], now: Instant) -> Received {
        let message: &[u8; INITIATION_LEN] = datagram.try_into().expect("an initiation has its length");
        let psk = PresharedKey::from_bytes(self.preshared_key);
        let (index, ephemeral) = (Index(self.random.next_u32()), self.bytes());
        let answered = OpenedInitiation::open(&self.identity, message)
            .and_then(|opened| opened.authenticate(&self.remote))
            .and_then(|authentic| authentic.respond(&self.remote, &psk, index, ephemeral));
        match answered {
            Ok((mut response, keys)) => {
                self.jar.stamp(&mut response, now);
                self.session = Some(Keypair::new(keys, now));
                Received::Initiation(response.to_vec())
            }
            Err(_) => Received::Nothing,
        }
    }

    fn open(&mut self, receiver: u32, counter: u64, ciphertext: &[u8]) -> Received {
        let Some(session) = self.session.as_mut().filter(|s| s.local().0 == receiver) else {
            return Received::Nothing;
        };
        let mut packet = vec![0; ciphertext.len() - TAG_BYTES];
        let key = *session.receive_key();
        let mut jobs = [Open {
            key: &key,
            counter,
            ciphertext,
            out: &mut packet,
            authentic: false,
        }];
        weir_crypto::best().open(&mut jobs);
        if jobs[0].authentic && session.replay.accept(counter) {
            Received::Data(packet)
        } else {
            Received::Nothing
        }
    }

    fn bytes(&mut self) -> [u8; 32] {
        let mut bytes = [0; 32];
        self.random.fill_bytes(&mut bytes);
        bytes
    }
}
