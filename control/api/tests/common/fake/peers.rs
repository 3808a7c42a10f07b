//! Peers in memory.

use super::samples;
use super::state::{Held, changed, missing};
use weir_api::backend::*;
use weir_api::caller::{ETag, Options};
use weir_api::types::*;

pub(super) fn list(held: &Held, query: &PeerQuery, page: &PageRequest) -> Answer<Page<Peer>> {
    let matches = |peer: &&Peer| {
        let name = peer.name.clone().unwrap_or_default();
        query.q.as_ref().is_none_or(|q| name.contains(q.as_str()))
            && query
                .group
                .as_ref()
                .is_none_or(|group| peer.groups.contains(group))
            && query.state.is_none_or(|state| peer.live.state == state)
            && query.owner.is_none_or(|owner| peer.owner == owner)
    };
    let keyed = held
        .peers
        .values()
        .map(|(_, peer)| peer)
        .filter(matches)
        .map(|peer| {
            let sort = match query.sort {
                PeerSort::PublicKey => vec![],
                PeerSort::CreatedAt => peer
                    .created_at
                    .map_or(0, |at| at.as_second() as u64)
                    .to_be_bytes()
                    .to_vec(),
                _ => peer.name.clone().unwrap_or_default().to_lowercase().into_bytes(),
            };
            (
                PageKey {
                    sort,
                    id: peer.public_key.0.as_bytes().to_vec(),
                },
                peer.clone(),
            )
        });
    Ok(Page::cut(keyed, query.descending, page))
}

pub(super) fn read(held: &Held, key: Key) -> Answer<Versioned<Peer>> {
    let (version, peer) = held.peers.get(&key).ok_or(missing("peer"))?;
    Ok(Versioned {
        value: peer.clone(),
        etag: ETag::from_number(*version),
    })
}

pub(super) fn create(held: &mut Held, options: &Options, input: PeerInput) -> Answer<Outcome<PeerCreated>> {
    let keyless = input.public_key.is_none();
    let fresh = || weir_abi::key::PublicKey::from_bytes([held.changes as u8; 32]);
    let key = input.public_key.unwrap_or_else(|| Key(fresh()));
    if held.peers.contains_key(&key) {
        return Err(Refusal::Conflict {
            detail: format!("there is a peer {key} already"),
        });
    }
    let name = input.name.to_string();
    let peer = write(held, options, key, input);
    let config = keyless.then(|| format!("[Interface]\nPrivateKey = {}\n# {name}\n", samples::SECRET));
    Ok(made(held, options, key, PeerCreated { peer, config }))
}

pub(super) fn put(held: &mut Held, options: &Options, key: Key, input: PeerInput) -> Answer<Outcome<Peer>> {
    let before = check(held, options, key)?;
    let peer = write(held, options, key, input);
    let outcome = made(held, options, key, peer);
    Ok(if before.is_none() {
        outcome.created()
    } else {
        outcome
    })
}

pub(super) fn patch(held: &mut Held, options: &Options, key: Key, patch: PeerPatch) -> Answer<Outcome<Peer>> {
    let mut peer = check(held, options, key)?.ok_or(missing("peer"))?.value;
    if let Some(name) = patch.name {
        peer.name = Some(name.to_string());
    }
    if let Some(keepalive) = patch.persistent_keepalive {
        peer.persistent_keepalive = keepalive.filter(|seconds| *seconds != 0);
    }
    if let Some(notes) = patch.notes {
        peer.notes = notes.unwrap_or_default().to_string();
    }
    if let Some(ips) = patch.allowed_ips {
        peer.allowed_ips = ips;
    }
    if let Some(disabled) = patch.disabled {
        peer.disabled = disabled;
    }
    if let Some(expires_at) = patch.expires_at {
        peer.expires_at = expires_at;
    }
    store(held, options, key, peer.clone());
    Ok(made(held, options, key, peer))
}

pub(super) fn delete(held: &mut Held, options: &Options, key: Key) -> Answer<Outcome<()>> {
    check(held, options, key)?.ok_or(missing("peer"))?;
    if !options.dry_run {
        held.peers.remove(&key);
    }
    Ok(changed(held, options, ()))
}

pub(super) fn bulk(
    held: &mut Held,
    options: &Options,
    operations: Vec<BulkOperation>,
) -> Answer<Outcome<BulkDone>> {
    let (before, mut done) = (
        held.peers.clone(),
        BulkDone {
            created: 0,
            changed: 0,
            removed: 0,
        },
    );
    for (place, operation) in operations.into_iter().enumerate() {
        let result = match operation {
            BulkOperation::Put { public_key, peer } => {
                put(held, options, public_key, peer).map(|_| done.created += 1)
            }
            BulkOperation::Patch { public_key, peer } => {
                patch(held, options, public_key, peer).map(|_| done.changed += 1)
            }
            BulkOperation::Delete { public_key } => {
                delete(held, options, public_key).map(|_| done.removed += 1)
            }
        };
        if result.is_err() {
            held.peers = before;
            let field = format!("operations[{place}].public_key");
            return Err(Refusal::Invalid(vec![FieldProblem::silent(
                field,
                "a peer that is there",
            )]));
        }
    }
    Ok(changed(held, options, done))
}

fn check(held: &Held, options: &Options, key: Key) -> Answer<Option<Versioned<Peer>>> {
    let before = read(held, key).ok();
    let etag = before.as_ref().map(|peer| peer.etag.clone());
    if before
        .as_ref()
        .is_some_and(|peer| peer.value.owner == Owner::File)
    {
        let detail = format!("weir.toml declares {key}; change it there");
        return Err(Refusal::ReadOnly {
            owner: Owner::File,
            detail,
        });
    }
    if options.precondition.holds(etag.as_ref()) {
        Ok(before)
    } else {
        Err(Refusal::Precondition { etag })
    }
}

fn write(held: &mut Held, options: &Options, key: Key, input: PeerInput) -> Peer {
    let mut peer = samples::peer(key, input.name.as_str(), held.now);
    peer.groups = input.groups.iter().map(ToString::to_string).collect();
    peer.allowed_ips = input.allowed_ips.unwrap_or_default();
    peer.endpoint = input.endpoint;
    peer.persistent_keepalive = input.persistent_keepalive.filter(|seconds| *seconds != 0);
    peer.has_preshared_key = matches!(input.preshared_key, Some(Some(_)));
    peer.disabled = input.disabled;
    peer.expires_at = input.expires_at;
    peer.notes = input.notes.to_string();
    store(held, options, key, peer.clone());
    peer
}

fn store(held: &mut Held, options: &Options, key: Key, peer: Peer) {
    if !options.dry_run {
        let version = held.peers.get(&key).map_or(1, |(version, _)| version + 1);
        held.peers.insert(key, (version, peer));
    }
}

/// What became of a change of a peer, with its version.
fn made<T>(held: &mut Held, options: &Options, key: Key, value: T) -> Outcome<T> {
    let etag = read(held, key).ok().map(|peer| peer.etag);
    match changed(held, options, value) {
        Outcome::Made(made) => Outcome::Made(Made { etag, ..made }),
        Outcome::WouldMake(diff) => Outcome::WouldMake(diff),
    }
}
