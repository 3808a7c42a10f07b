//! Records as bytes: a kind, a key within the kind, and postcard behind the number of its shape.
//!
//! postcard does not name fields, so a record whose type changes gets a new number, and the reader keeps the old shape.

use serde::Serialize;
use serde::de::DeserializeOwned;
use weir_abi::key::PublicKey;
use weir_model::record::{ChangeId, CommitNumber, OutboxKey, SessionId, State, TokenId, Write};
use zeroize::Zeroizing;

/// The shape of all records now.
const SHAPE: u8 = 1;

/// Where a record lies: its kind, then its key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct RecordKey(Vec<u8>);

/// The first byte of a record's key.
mod kind {
    pub(super) const PEER: u8 = 1;
    pub(super) const RULES: u8 = 2;
    pub(super) const USER: u8 = 3;
    pub(super) const TOKEN: u8 = 4;
    pub(super) const SESSION: u8 = 5;
    pub(super) const SETTINGS: u8 = 6;
    pub(super) const PENDING: u8 = 7;
    pub(super) const OUTBOX: u8 = 8;
    pub(super) const DATA_PLANE: u8 = 9;
}

/// A record opened and yet no record: written by a later version, or by nobody.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("a record of kind {kind} is not one that this version of weir knows")]
pub(crate) struct CodecError {
    kind: u8,
}

impl RecordKey {
    fn new(kind: u8, key: &[u8]) -> Self {
        let mut bytes = Vec::with_capacity(1 + key.len());
        bytes.push(kind);
        bytes.extend_from_slice(key);
        Self(bytes)
    }

    pub(crate) fn peer(key: &PublicKey) -> Self {
        Self::new(kind::PEER, key.as_bytes())
    }

    pub(crate) fn outbox(key: &OutboxKey) -> Self {
        match key {
            OutboxKey::Peer(key) => Self::new(kind::OUTBOX, key.as_bytes()),
            OutboxKey::Rules => Self::new(kind::OUTBOX, &[]),
        }
    }

    fn user(name: &str) -> Self {
        Self::new(kind::USER, name.as_bytes())
    }

    fn token(id: &TokenId) -> Self {
        Self::new(kind::TOKEN, id.as_bytes())
    }

    fn session(id: &SessionId) -> Self {
        Self::new(kind::SESSION, id.as_bytes())
    }

    fn pending(id: &ChangeId) -> Self {
        Self::new(kind::PENDING, id.as_bytes())
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Where the record of a change lies, and its value; `None` takes it away.
    pub(crate) fn of(write: &Write) -> (Self, Option<Zeroizing<Vec<u8>>>) {
        match write {
            Write::Peer(peer) => (Self::peer(&peer.public_key), Some(encode(peer))),
            Write::RemovePeer(key) => (Self::peer(key), None),
            Write::Rules(rules) => (Self::new(kind::RULES, &[]), Some(encode(rules))),
            Write::User(user) => (Self::user(&user.name), Some(encode(user))),
            Write::RemoveUser(name) => (Self::user(name), None),
            Write::Token(token) => (Self::token(&token.id), Some(encode(token))),
            Write::RemoveToken(id) => (Self::token(id), None),
            Write::Session(session) => (Self::session(&session.id), Some(encode(session))),
            Write::RemoveSession(id) => (Self::session(id), None),
            Write::Settings(settings) => (Self::new(kind::SETTINGS, &[]), Some(encode(settings))),
            Write::Pending(change) => (Self::pending(&change.id), Some(encode(change))),
            Write::RemovePending(id) => (Self::pending(id), None),
            Write::DataPlane(seen) => (Self::new(kind::DATA_PLANE, &[]), Some(encode(seen))),
        }
    }
}

/// A value as bytes, behind the number of its shape.
pub(crate) fn encode(value: &impl Serialize) -> Zeroizing<Vec<u8>> {
    let bytes =
        postcard::to_extend(value, vec![SHAPE]).expect("records are plain data, which postcard can write");
    Zeroizing::new(bytes)
}

/// A value from bytes, all of them.
pub(crate) fn decode_value<T: DeserializeOwned>(bytes: &[u8]) -> Option<T> {
    let (SHAPE, value) = bytes.split_first().map(|(shape, value)| (*shape, value))? else {
        return None;
    };
    match postcard::take_from_bytes(value) {
        Ok((value, [])) => Some(value),
        Ok(_) | Err(_) => None,
    }
}

/// Puts a record into the state where it belongs.
pub(crate) fn decode_into(state: &mut State, key: &[u8], value: &[u8]) -> Result<(), CodecError> {
    let (&kind, id) = key.split_first().ok_or(CodecError { kind: 0 })?;
    let unknown = CodecError { kind };
    let write = match kind {
        kind::PEER => Write::Peer(decode_value(value).ok_or(unknown)?),
        kind::RULES => Write::Rules(decode_value(value).ok_or(unknown)?),
        kind::USER => Write::User(decode_value(value).ok_or(unknown)?),
        kind::TOKEN => Write::Token(decode_value(value).ok_or(unknown)?),
        kind::SESSION => Write::Session(decode_value(value).ok_or(unknown)?),
        kind::SETTINGS => Write::Settings(decode_value(value).ok_or(unknown)?),
        kind::PENDING => Write::Pending(decode_value(value).ok_or(unknown)?),
        kind::DATA_PLANE => Write::DataPlane(decode_value(value).ok_or(unknown)?),
        kind::OUTBOX => {
            let key = match <[u8; 32]>::try_from(id) {
                Ok(key) => OutboxKey::Peer(PublicKey::from_bytes(key)),
                Err(_) if id.is_empty() => OutboxKey::Rules,
                Err(_) => return Err(unknown),
            };
            let number: CommitNumber = decode_value(value).ok_or(unknown)?;
            state.outbox.insert(key, number);
            return Ok(());
        }
        _ => return Err(unknown),
    };
    // A record that names another place than its own would take another's.
    if RecordKey::of(&write).0.as_bytes() != key {
        return Err(unknown);
    }
    state.apply(write);
    Ok(())
}
