//! gotatun's tunnels. To know whose an initiation is, its device computes the first Diffie-Hellman twice.

use crate::clients::{self, Initiation, Response};
use crate::measure::Responder;
use gotatun::noise::handshake::parse_handshake_anon;
use gotatun::noise::index_table::IndexTable;
use gotatun::noise::rate_limiter::RateLimiter;
use gotatun::noise::{Tunn, TunnResult};
use gotatun::packet::{Packet, WgKind};
use gotatun::x25519::{PublicKey, StaticSecret};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use weir_abi::key;

/// A tunnel for each peer.
pub(crate) struct Gotatun {
    private: StaticSecret,
    public: PublicKey,
    limiter: Arc<RateLimiter>,
    tunnels: Vec<Tunn>,
    places: HashMap<[u8; 32], usize>,
    /// Whether the peer is looked up by the message, as its device does, or known beforehand.
    looks_up: bool,
}

impl Gotatun {
    pub(crate) fn new(peers: &[key::PublicKey], looks_up: bool) -> Self {
        let private = StaticSecret::from(clients::responder());
        let public = PublicKey::from(&private);
        // So many handshakes are a load to it, which it would answer with cookies.
        let limiter = Arc::new(RateLimiter::new(&public, u64::MAX));
        let indices = IndexTable::from_os_rng();
        let tunnel = |peer: &key::PublicKey| {
            let peer = PublicKey::from(*peer.as_bytes());
            let (indices, limiter) = (indices.clone(), Arc::clone(&limiter));
            Tunn::new(private.clone(), peer, None, None, indices, limiter)
        };
        let places = peers.iter().map(|peer| *peer.as_bytes()).zip(0..).collect();
        Self {
            tunnels: peers.iter().map(tunnel).collect(),
            private,
            public,
            limiter,
            places,
            looks_up,
        }
    }

    fn answer(&mut self, place: usize, message: &Initiation, from: SocketAddr) -> Option<Response> {
        let packet = Packet::copy_from(&message[..]);
        let WgKind::HandshakeInit(initiation) = self.limiter.verify_packet(from, packet).ok()? else {
            return None;
        };
        let place = match self.looks_up {
            false => place,
            true => {
                let half = parse_handshake_anon(&self.private, &self.public, &initiation).ok()?;
                *self.places.get(&half.peer_static_public)?
            }
        };
        let tunnel = self.tunnels.get_mut(place)?;
        match tunnel.handle_incoming_packet(WgKind::HandshakeInit(initiation)) {
            TunnResult::WriteToNetwork(WgKind::HandshakeResp(response)) => {
                let bytes = response.into_bytes();
                Response::try_from(&bytes[..]).ok()
            }
            _ => None,
        }
    }
}

impl Responder for Gotatun {
    fn name(&self) -> &'static str {
        match self.looks_up {
            true => "gotatun",
            false => "gotatun, told the peer",
        }
    }

    fn respond(&mut self, initiations: &[Initiation], responses: &mut Vec<Response>) {
        let from = SocketAddr::from(([192, 0, 2, 2], 51820));
        for (place, message) in initiations.iter().enumerate() {
            responses.extend(self.answer(place, message, from));
        }
    }
}
