//! The configuration of a WireGuard interface, in the words of `wg setconf`, and keys made from seeds.

use std::fmt::Write as _;
use std::net::SocketAddr;

use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};
use weir_abi::key::{PresharedKey, PrivateKey, PublicKey};

/// An interface's private key with its public key. Two keys of one seed are equal, so tests repeat.
#[derive(Clone)]
pub struct KeyPair {
    private: PrivateKey,
    public: PublicKey,
}

impl KeyPair {
    /// The key pair of a seed; for tests, never for a gateway.
    pub fn seeded(seed: u64) -> Self {
        Self::of(PrivateKey::from_bytes(seeded_bytes(seed, 0)))
    }

    /// The key pair of a private key.
    pub fn of(private: PrivateKey) -> Self {
        let secret = x25519_dalek::StaticSecret::from(*private.expose());
        let public = x25519_dalek::PublicKey::from(&secret);
        Self {
            private,
            public: PublicKey::from_bytes(public.to_bytes()),
        }
    }

    /// The private key.
    pub fn private(&self) -> &PrivateKey {
        &self.private
    }

    /// The public key.
    pub fn public(&self) -> PublicKey {
        self.public
    }
}

/// The preshared key of a seed; for tests.
pub fn preshared_key(seed: u64) -> PresharedKey {
    PresharedKey::from_bytes(seeded_bytes(seed, 1))
}

/// One interface.
#[derive(Clone)]
pub struct DeviceConfig {
    /// Its key.
    pub key: KeyPair,
    /// The UDP port it listens on; none lets it choose.
    pub listen_port: Option<u16>,
    /// Its peers.
    pub peers: Vec<PeerConfig>,
}

/// One peer of an interface.
#[derive(Clone)]
pub struct PeerConfig {
    /// Its key.
    pub public_key: PublicKey,
    /// A key mixed into handshakes with it.
    pub preshared_key: Option<PresharedKey>,
    /// Where it is first sought.
    pub endpoint: Option<SocketAddr>,
    /// Prefixes routed to it and accepted from it, like `10.0.0.2/32`.
    pub allowed_ips: Vec<String>,
    /// Seconds of silence after which a keepalive is sent.
    pub persistent_keepalive_s: Option<u16>,
}

impl PeerConfig {
    /// A peer with these allowed IPs and nothing else.
    pub fn new(public_key: PublicKey, allowed_ips: &[&str]) -> Self {
        Self {
            public_key,
            preshared_key: None,
            endpoint: None,
            allowed_ips: allowed_ips.iter().map(|&prefix| prefix.to_owned()).collect(),
            persistent_keepalive_s: None,
        }
    }

    /// Seeks it here.
    pub fn endpoint(mut self, endpoint: SocketAddr) -> Self {
        self.endpoint = Some(endpoint);
        self
    }

    /// Mixes this key into handshakes.
    pub fn preshared_key(mut self, key: PresharedKey) -> Self {
        self.preshared_key = Some(key);
        self
    }

    /// Sends keepalives this often.
    pub fn persistent_keepalive_s(mut self, seconds: u16) -> Self {
        self.persistent_keepalive_s = Some(seconds);
        self
    }
}

impl DeviceConfig {
    /// The text that `wg setconf` reads. It holds the private key: keep it out of logs and arguments.
    pub fn expose_conf(&self) -> String {
        let mut conf = String::from("[Interface]\n");
        line(&mut conf, "PrivateKey", Some(&*self.key.private.expose_base64()));
        line(&mut conf, "ListenPort", self.listen_port);
        for peer in &self.peers {
            conf.push_str("\n[Peer]\n");
            line(&mut conf, "PublicKey", Some(peer.public_key));
            line(
                &mut conf,
                "PresharedKey",
                peer.preshared_key
                    .as_ref()
                    .map(|key| key.expose_base64().to_string()),
            );
            line(&mut conf, "Endpoint", peer.endpoint);
            line(&mut conf, "AllowedIPs", Some(peer.allowed_ips.join(", ")));
            line(&mut conf, "PersistentKeepalive", peer.persistent_keepalive_s);
        }
        conf
    }
}

fn line(conf: &mut String, name: &str, value: Option<impl std::fmt::Display>) {
    if let Some(value) = value {
        writeln!(conf, "{name} = {value}").expect("writing to a String cannot fail");
    }
}

fn seeded_bytes(seed: u64, stream: u64) -> [u8; 32] {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    random.set_stream(stream);
    let mut bytes = [0; 32];
    random.fill_bytes(&mut bytes);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Catches a setting that is lost on its way into the file, or one written though it was not asked for.
    #[test]
    fn writes_what_was_asked_for_and_nothing_else() {
        let (own, other) = (KeyPair::seeded(1), KeyPair::seeded(2));
        let psk = preshared_key(3);
        let full = PeerConfig::new(other.public(), &["10.0.0.2/32", "fd00::2/128"])
            .endpoint("[2001:db8::1]:51820".parse().unwrap())
            .preshared_key(psk.clone())
            .persistent_keepalive_s(25);
        let bare = PeerConfig::new(own.public(), &["10.0.0.3/32"]);
        let device = DeviceConfig {
            key: own.clone(),
            listen_port: Some(51820),
            peers: vec![full, bare],
        };
        let expected = format!(
            "[Interface]\nPrivateKey = {}\nListenPort = 51820\n\n\
             [Peer]\nPublicKey = {}\nPresharedKey = {}\nEndpoint = [2001:db8::1]:51820\n\
             AllowedIPs = 10.0.0.2/32, fd00::2/128\nPersistentKeepalive = 25\n\n\
             [Peer]\nPublicKey = {}\nAllowedIPs = 10.0.0.3/32\n",
            *own.private().expose_base64(),
            other.public(),
            *psk.expose_base64(),
            own.public(),
        );
        assert_eq!(device.expose_conf(), expected);
    }

    #[test]
    fn seeds_make_distinct_and_repeatable_keys() {
        assert_eq!(KeyPair::seeded(5).public(), KeyPair::seeded(5).public());
        assert_ne!(KeyPair::seeded(5).public(), KeyPair::seeded(6).public());
        assert_ne!(preshared_key(5).expose(), KeyPair::seeded(5).private().expose());
    }
}
