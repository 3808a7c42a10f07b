//! mac1, mac2 and cookies (whitepaper sections 5.4.4 and 5.4.7), as the one
//! under load and as the one who is asked for a cookie.

use core::net::{IpAddr, SocketAddr};

use weir_crypto::blake2s::{Check, MacKey};
use zerocopy::{FromBytes, FromZeros};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

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
/// our public key. False for any other length. For many at a time see [`mac1_check`].
pub fn mac1_valid(identity: &Identity, message: &[u8]) -> bool {
    mac1_check(identity, message).is_some_and(Check::alone)
}

/// What says whether `message`, an initiation or response, was made by someone
/// who knows our public key: a job for a batch of them. None for any other length.
pub fn mac1_check<'a>(identity: &'a Identity, message: &'a [u8]) -> Option<Check<'a>> {
    let macs = Macs::of(message)?;
    Some(Check::new(identity.mac1_key(), macs.before_mac1, macs.mac1))
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
    current: MacKey,
    last: MacKey,
}

impl CookieSecret {
    /// From 32 random bytes made at boot.
    pub fn new(boot: [u8; 32]) -> Self {
        let [current, last] = of_epoch(&boot, 0);
        Self {
            boot,
            epoch: 0,
            current,
            last,
        }
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
            let key = MacKey::new(&cookie(epoch, source).0);
            Check::new(&key, macs.before_mac2, macs.mac2).alone()
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
            self.epoch = epoch;
            [self.current, self.last] = of_epoch(&self.boot, epoch);
        }
    }
}

/// The keys of cookies made in an epoch and in the one before.
fn of_epoch(boot: &[u8; 32], epoch: u64) -> [MacKey; 2] {
    [epoch, epoch.wrapping_sub(1)].map(|epoch| {
        let secret = Zeroizing::new(hash::prf(boot, &epoch.to_le_bytes()));
        MacKey::new(&secret)
    })
}

/// MAC of address and port: leaving out the port would let everyone behind
/// one NAT use one another's cookies.
fn cookie(epoch: &MacKey, source: SocketAddr) -> Cookie {
    let port = source.port().to_be_bytes();
    // A dual-stack socket may show the same IPv4 source either way.
    Cookie(match source.ip().to_canonical() {
        IpAddr::V4(address) => {
            let [a, b, c, d] = address.octets();
            epoch.mac(&[a, b, c, d, port[0], port[1]])
        }
        IpAddr::V6(address) => {
            let mut both = [0; 18];
            both[..16].copy_from_slice(&address.octets());
            both[16..].copy_from_slice(&port);
            epoch.mac(&both)
        }
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

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use weir_abi::key::PrivateKey;

    use super::*;
    use crate::{Index, Tai64n, initiate};

    struct Pair {
        responder: Identity,
        remote: Remote,
        message: [u8; INITIATION_LEN],
    }

    fn pair() -> Pair {
        let initiator = Identity::new(&PrivateKey::from_bytes([1; 32]));
        let responder = Identity::new(&PrivateKey::from_bytes([2; 32]));
        let remote = Remote::new(&initiator, *responder.public()).unwrap();
        let (message, _) = initiate(&initiator, &remote, Index(77), Tai64n::ZERO, [3; 32]).unwrap();
        Pair {
            responder,
            remote,
            message,
        }
    }

    fn s(seconds: u64) -> Instant {
        Instant::BOOT + Duration::from_secs(seconds)
    }

    fn source(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    /// Obtains a cookie at `now` from `secret` and stamps the message with it.
    fn stamped(
        pair: &Pair,
        secret: &mut CookieSecret,
        from: SocketAddr,
        now: Instant,
    ) -> [u8; INITIATION_LEN] {
        let mut jar = CookieJar::default();
        let mut message = pair.message;
        jar.stamp(&mut message, now);
        assert_eq!(message, pair.message, "no cookie yet, no mac2");
        let reply = secret
            .reply(now, &pair.responder, from, &message, [9; 24])
            .unwrap();
        assert_eq!(reply[4..8], 77u32.to_le_bytes());
        assert!(jar.consume(&pair.remote, &reply, now));
        jar.stamp(&mut message, now);
        message
    }

    #[test]
    fn a_cookie_makes_mac2_valid_for_one_to_two_minutes() {
        let pair = pair();
        let from = source("192.0.2.1:51820");
        for (made, last_valid) in [(0, 119), (59, 119), (60, 179), (3_601, 3_719)] {
            let mut secret = CookieSecret::new([5; 32]);
            assert!(
                !secret.mac2_valid(s(made), from, &pair.message),
                "mac2 is still zero"
            );
            let message = stamped(&pair, &mut secret, from, s(made));
            let mut other_shard = CookieSecret::new([5; 32]);
            for shard in [&mut secret, &mut other_shard] {
                assert!(shard.mac2_valid(s(made), from, &message));
                assert!(shard.mac2_valid(s(last_valid), from, &message));
                assert!(!shard.mac2_valid(s(last_valid + 1), from, &message));
            }
        }
    }

    /// Catches a cookie that leaves out the port (gotatun 0.6) or the address.
    #[test]
    fn a_cookie_is_bound_to_address_and_port() {
        let pair = pair();
        let mut secret = CookieSecret::new([5; 32]);
        let message = stamped(&pair, &mut secret, source("192.0.2.1:51820"), s(0));
        assert!(!secret.mac2_valid(s(0), source("192.0.2.1:51821"), &message));
        assert!(!secret.mac2_valid(s(0), source("192.0.2.2:51820"), &message));
        assert!(!secret.mac2_valid(s(0), source("[2001:db8::1]:51820"), &message));
        assert!(secret.mac2_valid(s(0), source("[::ffff:192.0.2.1]:51820"), &message));
        let message = stamped(&pair, &mut secret, source("[2001:db8::1]:51820"), s(0));
        assert!(secret.mac2_valid(s(0), source("[2001:db8::1]:51820"), &message));
        assert!(!secret.mac2_valid(s(0), source("[2001:db8::2]:51820"), &message));
    }

    #[test]
    fn another_boot_secret_takes_no_cookie_of_ours() {
        let pair = pair();
        let from = source("192.0.2.1:51820");
        let message = stamped(&pair, &mut CookieSecret::new([5; 32]), from, s(0));
        assert!(!CookieSecret::new([6; 32]).mac2_valid(s(0), from, &message));
    }

    /// Catches a mac that does not cover every byte before it.
    #[test]
    fn every_flipped_bit_breaks_the_macs() {
        let pair = pair();
        let from = source("192.0.2.1:51820");
        let mut secret = CookieSecret::new([5; 32]);
        let message = stamped(&pair, &mut secret, from, s(0));
        assert!(mac1_valid(&pair.responder, &message));
        for bit in 0..8 * message.len() {
            let mut flipped = message;
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(!secret.mac2_valid(s(0), from, &flipped), "bit {bit}");
            let in_mac2 = bit / 8 >= INITIATION_LEN - MAC_LEN;
            assert_eq!(mac1_valid(&pair.responder, &flipped), in_mac2, "bit {bit}");
        }
    }

    /// Catches a job that covers other bytes than the check of a single message.
    #[test]
    fn a_batch_finds_what_single_checks_find() {
        let pair = pair();
        let mut messages = [pair.message; 11];
        for (place, message) in messages.iter_mut().enumerate() {
            message[13 * place] ^= u8::from(place % 3 == 0);
        }
        let jobs = messages
            .iter()
            .map(|message| mac1_check(&pair.responder, message));
        let mut jobs: Vec<_> = jobs.map(|job| job.expect("an initiation")).collect();
        weir_crypto::blake2s::best().check(&mut jobs);
        for (place, (job, message)) in jobs.iter().zip(&messages).enumerate() {
            assert_eq!(job.valid, place % 3 != 0, "{place}");
            assert_eq!(job.valid, mac1_valid(&pair.responder, message), "{place}");
        }
    }

    #[test]
    fn other_lengths_are_refused() {
        let pair = pair();
        let mut secret = CookieSecret::new([5; 32]);
        let from = source("192.0.2.1:51820");
        let long = [1; 256];
        for len in (0..long.len()).filter(|len| ![INITIATION_LEN, RESPONSE_LEN].contains(len)) {
            let message = &long[..len];
            assert!(mac1_check(&pair.responder, message).is_none());
            assert!(!mac1_valid(&pair.responder, message) && !secret.mac2_valid(s(0), from, message));
            assert!(
                secret
                    .reply(s(0), &pair.responder, from, message, [0; 24])
                    .is_none()
            );
            let mut copy = message.to_vec();
            CookieJar::default().stamp(&mut copy, s(0));
            add_mac2(&mut copy, &Cookie([1; 16]));
            assert_eq!(copy, message);
        }
    }

    #[test]
    fn transport_data_of_a_handshake_message_s_length_gets_no_cookie() {
        let pair = pair();
        let mut data = pair.message;
        data[0] = 4;
        let from = source("192.0.2.1:51820");
        assert!(
            CookieSecret::new([5; 32])
                .reply(s(0), &pair.responder, from, &data, [0; 24])
                .is_none()
        );
    }

    /// Catches a reply that is taken though it answers nothing, answers
    /// something else, comes twice, or was tampered with.
    #[test]
    fn the_jar_takes_one_reply_to_its_last_message() {
        let pair = pair();
        let from = source("192.0.2.1:51820");
        let mut secret = CookieSecret::new([5; 32]);
        let reply = secret
            .reply(s(0), &pair.responder, from, &pair.message, [9; 24])
            .unwrap();
        let mut jar = CookieJar::default();
        assert!(!jar.consume(&pair.remote, &reply, s(0)), "nothing was sent");
        let mut other = pair.message;
        other[INITIATION_LEN - 2 * MAC_LEN] ^= 1;
        jar.stamp(&mut other, s(0));
        assert!(
            !jar.consume(&pair.remote, &reply, s(0)),
            "it answers another message"
        );
        jar.stamp(&mut pair.message.clone(), s(0));
        for bit in (0..8 * COOKIE_REPLY_LEN).filter(|bit| !(32..64).contains(bit)) {
            let mut flipped = reply;
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(!jar.consume(&pair.remote, &flipped, s(0)), "bit {bit}");
        }
        assert!(jar.cookie(s(0)).is_none());
        assert!(jar.consume(&pair.remote, &reply, s(0)));
        assert!(!jar.consume(&pair.remote, &reply, s(0)), "it was taken before");
        assert!(jar.cookie(s(0)).is_some());
    }

    /// Catches a cookie used when its maker may refuse it: the message would be lost.
    #[test]
    fn the_jar_lets_go_of_its_cookie_in_time() {
        let pair = pair();
        let mut secret = CookieSecret::new([5; 32]);
        let mut jar = CookieJar::default();
        jar.stamp(&mut pair.message.clone(), s(1_000));
        let from = source("192.0.2.1:51820");
        let reply = secret
            .reply(s(1_000), &pair.responder, from, &pair.message, [9; 24])
            .unwrap();
        assert!(jar.consume(&pair.remote, &reply, s(1_000)));
        assert!(jar.cookie(s(1_115) - Duration::from_nanos(1)).is_some());
        assert!(jar.cookie(s(1_115)).is_none());
    }
}
