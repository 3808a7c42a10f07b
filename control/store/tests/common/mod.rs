//! Stores for tests.

#![allow(dead_code, reason = "each test program uses a part of these")]

use std::path::Path;

use jiff::Timestamp;
use weir_abi::key::{PresharedKey, PublicKey};
use weir_model::record::{
    Action, Actor, Facts, NewAuditEntry, OutboxKey, PasswordHash, Peer, Role, Source, User, Write,
};
use weir_store::{Batch, Opened, SealingKey, Store};

/// The key of all stores here.
pub fn key() -> SealingKey {
    SealingKey::from_bytes([9; 32])
}

/// A time.
pub fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).expect("a time")
}

/// Opens the store of tests.
pub fn open(directory: &Path) -> Opened {
    Store::open(directory, key(), at(0)).expect("the store opens")
}

/// A peer that is like no other.
pub fn peer(number: u32) -> Peer {
    let mut key = [0; 32];
    key[..4].copy_from_slice(&number.to_be_bytes());
    let mut peer = Peer::new(PublicKey::from_bytes(key), at(0));
    peer.name = Some(format!("peer {number}"));
    peer.groups = vec!["staff".to_owned()];
    let [_, b, c, d] = number.to_be_bytes();
    peer.allowed_ips = vec![format!("10.{b}.{c}.{d}/32").parse().expect("a prefix")];
    peer.preshared_key = Some(PresharedKey::from_bytes([number as u8; 32]));
    peer.notes = "notes ".repeat(number as usize % 8);
    peer
}

/// An audit entry.
pub fn entry(number: u32) -> NewAuditEntry {
    NewAuditEntry {
        at: at(i64::from(number)),
        actor: Actor::User("alice".to_owned()),
        source: Source::UnixSocket,
        action: Action::PeerCreated,
        target: peer(number).public_key.to_string(),
        before: Facts::new(),
        after: Facts::from([("preshared_key".to_owned(), "(set)".to_owned())]),
    }
}

/// A user.
pub fn user(name: &str) -> User {
    User {
        name: name.to_owned(),
        role: Role::Administrator,
        password: PasswordHash::from_phc("$argon2id$v=19$not-a-real-one".to_owned()),
        must_change_password: false,
        disabled: false,
        created_at: at(0),
        updated_at: at(0),
        last_login_at: None,
    }
}

/// What declares peers, one commit's worth.
pub fn declare(numbers: impl IntoIterator<Item = u32>) -> Batch {
    let mut batch = Batch::default();
    for number in numbers {
        let peer = peer(number);
        batch.outbox.push(OutboxKey::Peer(peer.public_key));
        batch.writes.push(Write::Peer(peer));
        batch.audit.push(entry(number));
    }
    batch
}
