//! A peer that control declares.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use weir_abi::endpoint::Endpoint;
use weir_abi::key::{PresharedKey, PublicKey};
use weir_abi::prefix::Prefix;

/// One peer of control's. Its lifetime byte totals are kept with its history, not here: they change with its traffic.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Peer {
    /// Its static public key: what it is known by.
    pub public_key: PublicKey,
    /// A name for people.
    pub name: Option<String>,
    /// The groups it is of, by which access rules name it.
    pub groups: Vec<String>,
    /// Cryptokey routing: the sources it may use and the destinations it is sent.
    pub allowed_ips: Vec<Prefix>,
    /// Where to send the first initiation; peers that call in need none.
    pub endpoint: Option<Endpoint>,
    /// Seconds between keepalives sent whether or not there is traffic; `None` is off.
    pub persistent_keepalive: Option<u16>,
    /// Mixed into the handshake where set.
    pub preshared_key: Option<PresharedKey>,
    /// Whether it is kept out of the data plane.
    pub disabled: bool,
    /// From when on it is kept out of the data plane; `None` is never.
    pub expires_at: Option<Timestamp>,
    /// What people wrote about it.
    pub notes: String,
    /// When it was first declared.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

impl Peer {
    /// A peer known by its key alone, declared now.
    pub fn new(public_key: PublicKey, now: Timestamp) -> Self {
        Self {
            public_key,
            name: None,
            groups: Vec::new(),
            allowed_ips: Vec::new(),
            endpoint: None,
            persistent_keepalive: None,
            preshared_key: None,
            disabled: false,
            expires_at: None,
            notes: String::new(),
            created_at: now,
            updated_at: now,
        }
    }

    /// Whether the data plane is to have it at this time.
    pub fn is_active(&self, now: Timestamp) -> bool {
        !self.disabled && self.expires_at.is_none_or(|expires_at| now < expires_at)
    }
}
