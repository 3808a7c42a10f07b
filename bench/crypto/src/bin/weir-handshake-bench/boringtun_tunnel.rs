//! boringtun's tunnels. To know whose an initiation is, its device computes the first Diffie-Hellman twice.

use crate::clients::{self, Initiation, Response};
use crate::measure::Responder;
use boringtun::noise::handshake::parse_handshake_anon;
use boringtun::noise::rate_limiter::RateLimiter;
use boringtun::noise::{Packet, Tunn, TunnResult};
use boringtun::x25519::{PublicKey, StaticSecret};
use std::collections::HashMap;
use std::sync::Arc;
use weir_abi::key;

/// A tunnel for each peer.
pub(crate) struct Boringtun {
    private: StaticSecret,
    public: PublicKey,
    tunnels: Vec<Tunn>,
    places: HashMap<[u8; 32], usize>,
    /// Whether the peer is looked up by the message, as its device does, or known beforehand.
    looks_up: bool,
}

impl Boringtun {
    pub(crate) fn new(peers: &[key::PublicKey], looks_up: bool) -> Self {
        let private = StaticSecret::from(clients::responder());
        let public = PublicKey::from(&private);
        // So many handshakes are a load to it, which it would answer with cookies.
        let limiter = Arc::new(RateLimiter::new(&public, u64::MAX));
        let tunnel = |(index, peer): (u32, &key::PublicKey)| {
            let peer = PublicKey::from(*peer.as_bytes());
            Tunn::new(
                private.clone(),
                peer,
                None,
                None,
                index,
                Some(Arc::clone(&limiter)),
            )
        };
        let places = peers.iter().map(|peer| *peer.as_bytes()).zip(0..).collect();
        Self {
            tunnels: (0..).zip(peers).map(tunnel).collect(),
            private,
            public,
            places,
            looks_up,
        }
    }

    fn place(&self, message: &Initiation) -> Option<usize> {
        let Ok(Packet::HandshakeInit(initiation)) = Tunn::parse_incoming_packet(message) else {
            return None;
        };
        let half = parse_handshake_anon(&self.private, &self.public, &initiation).ok()?;
        self.places.get(&half.peer_static_public).copied()
    }
}

impl Responder for Boringtun {
    fn name(&self) -> &'static str {
        match self.looks_up {
            true => "boringtun",
            false => "boringtun, told the peer",
        }
    }

    fn respond(&mut self, initiations: &[Initiation], responses: &mut Vec<Response>) {
        for (place, message) in initiations.iter().enumerate() {
            let place = match self.looks_up {
                true => self.place(message),
                false => Some(place),
            };
            let Some(tunnel) = place.and_then(|place| self.tunnels.get_mut(place)) else {
                return;
            };
            let mut room = [0; 256];
            if let TunnResult::WriteToNetwork(response) = tunnel.decapsulate(None, message, &mut room) {
                responses.extend(Response::try_from(&*response));
            }
        }
    }
}
