//! Peers by query: filtered and ordered by reference, so that only the page itself is written out.

use super::present::{Known, all, peer_state};
use crate::learnt::Learnt;
use crate::world::Published;
use core::net::IpAddr;
use weir_api::backend::{Page, PageKey, PageRequest, PeerQuery, PeerSort};
use weir_api::types::PeerState;

/// The page of peers that is asked for; `totals` gives a peer's bytes for life.
pub fn page(
    published: &Published,
    learnt: &Learnt,
    query: &PeerQuery,
    request: &PageRequest,
    totals: impl Fn(&Known) -> (u64, u64),
) -> Page<Known> {
    let wanted = query.q.as_ref().map(|text| text.to_lowercase());
    let matching = all(published, learnt).into_iter().filter(|known| {
        query.owner.is_none_or(|owner| owner == known.owner())
            && query
                .group
                .as_ref()
                .is_none_or(|group| known.groups().contains(group))
            && query
                .state
                .is_none_or(|state| state == state_of(known, published, learnt))
            && wanted.as_ref().is_none_or(|text| matches(known, text))
    });
    let keyed = matching.map(|known| {
        let sort = sort_key(&known, query.sort, published, learnt, &totals);
        let id = known.key().as_bytes().to_vec();
        (PageKey { sort, id }, known)
    });
    Page::cut(keyed, query.descending, request)
}

fn state_of(known: &Known, published: &Published, learnt: &Learnt) -> PeerState {
    let key = known.key();
    match learnt
        .peer(&key)
        .filter(|_| !published.conflicts.contains_key(&key))
    {
        Some(peer) => peer_state(peer.state),
        None => PeerState::Absent,
    }
}

/// Whether a peer has this text, in lower case, anywhere that people look.
fn matches(known: &Known, text: &str) -> bool {
    let has = |field: &str| field.to_lowercase().contains(text);
    let notes = match known {
        Known::Store(peer) => peer.notes.as_str(),
        Known::File(_) => "",
    };
    known.name().is_some_and(has)
        || known.groups().iter().any(|group| has(group))
        || has(notes)
        || known
            .allowed_ips()
            .iter()
            .any(|prefix| prefix.to_string().contains(text))
        || known
            .endpoint()
            .is_some_and(|endpoint| has(&endpoint.to_string()))
        || has(&known.key().to_string())
}

fn sort_key(
    known: &Known,
    sort: PeerSort,
    published: &Published,
    learnt: &Learnt,
    totals: &impl Fn(&Known) -> (u64, u64),
) -> Vec<u8> {
    let number = |number: u64| number.to_be_bytes().to_vec();
    match sort {
        PeerSort::Name => known.name().unwrap_or_default().to_lowercase().into_bytes(),
        PeerSort::PublicKey => known.key().to_string().into_bytes(),
        PeerSort::State => vec![state_of(known, published, learnt) as u8],
        PeerSort::LastHandshake => number(
            learnt
                .peer(&known.key())
                .map_or(0, |peer| peer.last_handshake_unix_ns),
        ),
        PeerSort::RxBytes => number(totals(known).0),
        PeerSort::TxBytes => number(totals(known).1),
        PeerSort::CreatedAt => match known {
            Known::Store(peer) => number(peer.created_at.as_nanosecond().max(0) as u64),
            Known::File(_) => number(0),
        },
        PeerSort::AllowedIps => match known.allowed_ips().first().map(|prefix| prefix.address()) {
            None => Vec::new(),
            Some(IpAddr::V4(v4)) => [&[4], &v4.octets()[..]].concat(),
            Some(IpAddr::V6(v6)) => [&[6], &v6.octets()[..]].concat(),
        },
    }
}

/// The groups that peers are of, by name, and how many are.
pub fn groups(published: &Published, learnt: &Learnt) -> Vec<(String, u64)> {
    let mut counts = std::collections::BTreeMap::new();
    for known in all(published, learnt) {
        for group in known.groups() {
            *counts.entry(group.clone()).or_insert(0) += 1;
        }
    }
    counts.into_iter().collect()
}
