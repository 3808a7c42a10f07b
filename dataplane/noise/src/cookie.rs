//! mac1, mac2 and cookies (whitepaper sections 5.4.4 and 5.4.7), as the one
//! under load and as the one who is asked for a cookie.

use core::net::{IpAddr, SocketAddr};

use subtle::ConstantTimeEq;
use zerocopy::{FromBytes, FromZeros};
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::limits::{COOKIE_EPOCH, COOKIE_LATENCY, COOKIE_REFRESH_TIME};
use crate::message::{
    COOKIE_REPLY_LEN, CookieReply, INITIATION_LEN, MAC_LEN, RESPONSE_LEN, TYPE_COOKIE_REPLY, TYPE_INITIATION,
    TYPE_RESPONSE,
};
use crate::{Identity, Instant, Remote, aead, hash};

/// Proof that a source receives what is sent to it.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct Cookie([u8; MAC_LEN]);

/// An initiation or response taken apart at its macs.
struct Macs<'m> {
    before_mac1: &'m [u8],
    mac1: &'m [u8; MAC_LEN],
    before_mac2: &'m [u8],
    mac2: &'m [u8; MAC_LEN],
}

impl<'m> Macs<'m> {
    fn of(message: &'m [u8]) -> Option<Self> {
        if message.len() != INITIATION_LEN && message.len() != RESPONSE_LEN {
            return None;
        }
        let (before_mac2, mac2) = message.split_last_chunk()?;
        let (before_mac1, mac1) = before_mac2.split_last_chunk()?;
        Some(Self {
            before_mac1,
            mac1,
            before_mac2,
            mac2,
        })
    }
}

/// Whether `message`, an initiation or response, was made by someone who knows
/// our public key. False for any other length.
pub fn mac1_valid(identity: &Identity, message: &[u8]) -> bool {
    Macs::of(message).is_some_and(|macs| {
        let expected = hash::mac(identity.mac1_key(), &[macs.before_mac1]);
        expected.ct_eq(macs.mac1).into()
    })
}

/// Fills in mac2 of an initiation or response; leaves other lengths alone.
pub fn add_mac2(message: &mut [u8], cookie: &Cookie) {
    if let Some(macs) = Macs::of(message) {
        let mac2 = hash::mac(&cookie.0, &[macs.before_mac2]);
        let (_, last) = message
            .split_last_chunk_mut()
            .expect("the message holds its macs");
        *last = mac2;
    }
}

/// Makes and checks cookies under load. All shards hold clones made of the
/// same boot secret, so each takes the cookies of every other.
///
/// Every 60 s of the boot clock an epoch begins whose secret is a PRF of the
/// boot secret; cookies of the current and the last epoch are taken, so each
/// lives 60 to 120 s.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct CookieSecret {
    boot: [u8; 32],
    #[zeroize(skip)]
    epoch: u64,
    current: [u8; 32],
    last: [u8; 32],
}

impl CookieSecret {
    /// From 32 random bytes made at boot.
    pub fn new(boot: [u8; 32]) -> Self {
        let mut secret = Self {
            boot,
            epoch: 0,
            current: [0; 32],
            last: [0; 32],
        };
        secret.enter(0);
        secret
    }

    /// Whether mac2 of `message`, an initiation or response received from
    /// `source`, proves that the sender receives at that address and port.
    pub fn mac2_valid(&mut self, now: Instant, source: SocketAddr, message: &[u8]) -> bool {
        let Some(macs) = Macs::of(message) else {
            return false;
        };
        // Most messages in a flood carry none; they cost no hashing.
        if *macs.mac2 == [0; MAC_LEN] {
            return false;
        }
        self.turn(now);
        [&self.current, &self.last].into_iter().any(|epoch| {
            let cookie = cookie(epoch, source);
            hash::mac(&cookie.0, &[macs.before_mac2]).ct_eq(macs.mac2).into()
        })
    }

    /// The cookie reply to `message`, an initiation or response received from
    /// `source` whose mac1 is valid. None if it is neither. `nonce` is 24
    /// random bytes used for nothing else.
    pub fn reply(
        &mut self,
        now: Instant,
        identity: &Identity,
        source: SocketAddr,
        message: &[u8],
        nonce: [u8; 24],
    ) -> Option<[u8; COOKIE_REPLY_LEN]> {
        let macs = Macs::of(message)?;
        let kind = u32::from_le_bytes(*message.first_chunk()?);
        if kind != TYPE_INITIATION && kind != TYPE_RESPONSE {
            return None;
        }
        self.turn(now);
        let mut sealed = [0; 32];
        sealed[..MAC_LEN].copy_from_slice(&cookie(&self.current, source).0);
        aead::xseal(identity.cookie_key(), &nonce, macs.mac1, &mut sealed);
        let mut reply = CookieReply::new_zeroed();
        reply.kind = TYPE_COOKIE_REPLY.into();
        // The sender's index follows the type in both messages.
        reply.receiver = u32::from_le_bytes(*message[4..].first_chunk()?).into();
        reply.nonce = nonce;
        reply.cookie = sealed;
        Some(zerocopy::transmute!(reply))
    }

    /// Enters the epoch of `now` if it is another than the one held.
    fn turn(&mut self, now: Instant) {
        let epoch = now.as_nanos() / COOKIE_EPOCH.as_nanos() as u64;
        if epoch != self.epoch {
            self.enter(epoch);
        }
    }

    fn enter(&mut self, epoch: u64) {
        self.epoch = epoch;
        self.current = hash::prf(&self.boot, &epoch.to_le_bytes());
        self.last = hash::prf(&self.boot, &epoch.wrapping_sub(1).to_le_bytes());
    }
}

/// MAC of address and port: leaving out the port would let everyone behind
/// one NAT use one another's cookies.
fn cookie(epoch: &[u8; 32], source: SocketAddr) -> Cookie {
    let port = source.port().to_be_bytes();
    // A dual-stack socket may show the same IPv4 source either way.
    Cookie(match source.ip().to_canonical() {
        IpAddr::V4(address) => hash::mac(epoch, &[&address.octets(), &port]),
        IpAddr::V6(address) => hash::mac(epoch, &[&address.octets(), &port]),
    })
}

/// What a peer keeps to obtain and use the other side's cookies.
#[derive(Clone, Default, Zeroize, ZeroizeOnDrop)]
pub struct CookieJar {
    /// mac1 of the last message, until a reply to it was taken.
    unanswered: Option<[u8; MAC_LEN]>,
    cookie: Option<Cookie>,
    #[zeroize(skip)]
    received: Instant,
}

impl CookieJar {
    /// Prepares an initiation or response to be sent: remembers its mac1, for
    /// a reply is bound to it, and fills in mac2 if a fresh cookie is at hand.
    pub fn stamp(&mut self, message: &mut [u8], now: Instant) {
        self.unanswered = Macs::of(message).map(|macs| *macs.mac1);
        if let Some(cookie) = self.cookie(now) {
            add_mac2(message, cookie);
        }
    }

    /// The cookie received last, while the other side still takes it.
    pub fn cookie(&self, now: Instant) -> Option<&Cookie> {
        let fresh = now.since(self.received) < COOKIE_REFRESH_TIME - COOKIE_LATENCY;
        self.cookie.as_ref().filter(|_| fresh)
    }

    /// Takes the cookie out of a reply to the last stamped message; false,
    /// and nothing changed, if it is not one. The caller has found the peer by
    /// the reply's receiver index.
    pub fn consume(&mut self, remote: &Remote, reply: &[u8; COOKIE_REPLY_LEN], now: Instant) -> bool {
        let Ok(reply) = CookieReply::ref_from_bytes(reply) else {
            return false;
        };
        let Some(mac1) = self.unanswered.filter(|_| reply.kind.get() == TYPE_COOKIE_REPLY) else {
            return false;
        };
        let mut sealed = reply.cookie;
        if aead::xopen(remote.cookie_key(), &reply.nonce, &mac1, &mut sealed).is_err() {
            return false;
        }
        let (cookie, _tag) = sealed.split_first_chunk().expect("16 of 32 bytes");
        self.cookie = Some(Cookie(*cookie));
        self.received = now;
        self.unanswered = None;
        true
    }
}
