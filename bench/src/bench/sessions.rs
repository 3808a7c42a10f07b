//! Clients of our own that shake hands with whatever is measured, so that many sessions cost no other processes.

use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::OnceLock;
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};
use weir_abi::key::{PresharedKey, PublicKey};
use weir_crypto::{Plaintext, Seal, TAG_BYTES};
use weir_noise::message::COOKIE_REPLY_LEN;
use weir_noise::{CookieJar, Identity, Index, Initiator, Instant, Keypair, Remote, Tai64n, initiate};

use crate::device_config::KeyPair;
use crate::{LabError, Namespace, Result};

/// How often a handshake is begun anew: the first may meet a demand for a cookie, the second a limit of rate.
const ATTEMPTS: u32 = 8;

/// How long an answer to an initiation may take.
pub(super) const ANSWER_LIMIT: Duration = Duration::from_millis(300);

/// Seeds of clients begin here, apart from those of the laboratory's interfaces.
const FIRST_SEED: u64 = 1 << 32;

/// Bytes before the ciphertext of a transport message: type, receiver index and counter (whitepaper, 5.4.6).
const TRANSPORT_HEADER: usize = 16;

/// A client with a session, on a socket in the namespace it was opened in. It sends nothing by itself, and what it is
/// sent waits in its socket.
pub(super) struct Client {
    socket: UdpSocket,
}

/// A handshake under way.
struct Handshake<'a> {
    socket: &'a UdpSocket,
    identity: Identity,
    remote: Remote,
    jar: CookieJar,
    random: ChaCha8Rng,
}

/// The public key of the client with this number.
pub(super) fn public_key(number: u32) -> PublicKey {
    key(number).public()
}

impl Client {
    /// A client on an address of a namespace, with a session that the gateway knows to be confirmed.
    pub fn connect(
        namespace: &Namespace,
        number: u32,
        from: IpAddr,
        (gateway, address): (PublicKey, SocketAddr),
    ) -> Result<Self> {
        let doing = format!("shake hands with {address} from {from}");
        let open = || -> io::Result<_> {
            let socket = UdpSocket::bind((from, 0))?;
            socket.connect(address)?;
            socket.set_read_timeout(Some(ANSWER_LIMIT))?;
            Ok(socket)
        };
        let socket = namespace.enter(open).map_err(LabError::io(doing.clone()))?;
        shake_hands(&socket, number, gateway, |message| {
            socket
                .send(message)
                .map(drop)
                .map_err(LabError::io(doing.clone()))
        })?;
        Ok(Self { socket })
    }

    /// Its socket, for the options that a measure needs.
    pub fn socket(&self) -> &UdpSocket {
        &self.socket
    }
}

/// A session of the client with this number, confirmed to the gateway. What the client says leaves by `send`, and what
/// it is answered arrives at the socket, which must not wait for it without end.
pub(super) fn shake_hands(
    socket: &UdpSocket,
    number: u32,
    gateway: PublicKey,
    mut send: impl FnMut(&[u8]) -> Result<()>,
) -> Result<Keypair> {
    let mut handshake = Handshake::new(socket, number, gateway);
    for _ in 0..ATTEMPTS {
        if let Some(session) = handshake.attempt(&mut send)? {
            return Ok(session);
        }
        thread::sleep(ANSWER_LIMIT);
    }
    Err(LabError::Late {
        what: format!("a session of client {number}"),
        limit: ANSWER_LIMIT * 2 * ATTEMPTS,
    })
}

impl<'a> Handshake<'a> {
    fn new(socket: &'a UdpSocket, number: u32, gateway: PublicKey) -> Self {
        let identity = Identity::new(key(number).private());
        let remote = Remote::new(&identity, gateway).expect("the gateway's key is not of low order");
        Self {
            socket,
            identity,
            remote,
            jar: CookieJar::default(),
            random: ChaCha8Rng::seed_from_u64(FIRST_SEED + u64::from(number)),
        }
    }

    /// Sends an initiation; with the response there is a session, which it confirms.
    fn attempt(&mut self, send: &mut impl FnMut(&[u8]) -> Result<()>) -> Result<Option<Keypair>> {
        let now = now();
        let mut ephemeral = [0; 32];
        self.random.fill_bytes(&mut ephemeral);
        let index = Index(self.random.next_u32());
        let (mut message, initiator) = initiate(&self.identity, &self.remote, index, timestamp(), ephemeral)
            .expect("the gateway's key is not of low order");
        self.jar.stamp(&mut message, now);
        send(&message)?;
        let mut datagram = [0; 256];
        let length = match self.socket.recv(&mut datagram) {
            Ok(length) => length,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
            Err(error) => return Err(LabError::io("receive an answer to an initiation")(error)),
        };
        let received = &datagram[..length];
        if let Some(mut session) = self.finish(&initiator, received, now) {
            // Until a transport message arrives, a responder must not use the session (whitepaper, 5.4.3).
            send(&keepalive(&mut session, now))?;
            return Ok(Some(session));
        }
        if let Ok(reply) = <&[u8; COOKIE_REPLY_LEN]>::try_from(received) {
            self.jar.consume(&self.remote, reply, now);
        }
        Ok(None)
    }

    fn finish(&self, initiator: &Initiator, received: &[u8], now: Instant) -> Option<Keypair> {
        let response = received.try_into().ok()?;
        let none = PresharedKey::from_bytes([0; 32]);
        let keys = initiator.finish(&self.identity, &none, response).ok()?;
        Some(Keypair::new(keys, now))
    }
}

/// A transport message without a packet.
fn keepalive(session: &mut Keypair, now: Instant) -> Vec<u8> {
    let counter = session
        .reserve(now)
        .expect("a session begins with unused counters");
    let mut message = vec![0; TRANSPORT_HEADER + TAG_BYTES];
    message[0] = 4;
    message[4..8].copy_from_slice(&session.remote().0.to_le_bytes());
    message[8..16].copy_from_slice(&counter.to_le_bytes());
    let mut jobs = [Seal {
        key: session.send_key(),
        counter,
        plaintext: Plaintext::At(&[]),
        out: &mut message[TRANSPORT_HEADER..],
    }];
    weir_crypto::best().seal(&mut jobs);
    message
}

fn key(number: u32) -> KeyPair {
    KeyPair::seeded(FIRST_SEED + u64::from(number))
}

fn timestamp() -> Tai64n {
    let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Tai64n::from_unix_nanos(u64::try_from(unix.as_nanos()).unwrap_or(u64::MAX))
}

/// Time since this process first asked: all that clients' cookies and sessions need.
pub(super) fn now() -> Instant {
    static START: OnceLock<std::time::Instant> = OnceLock::new();
    let elapsed = START.get_or_init(std::time::Instant::now).elapsed();
    Instant::from_nanos(u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX))
}
