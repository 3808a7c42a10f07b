//! Queries and pages. A page begins behind the key of the last item of the one before, so that what is added or removed
//! meanwhile neither repeats an item nor leaves one out.

use crate::types::{Owner, PeerState};
use jiff::Timestamp;

/// The place of an item in its order: the value that it is ordered by, and what tells it from others with the same.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PageKey {
    /// The value that the items are ordered by, as bytes that compare like it.
    pub sort: Vec<u8>,
    /// What the item is known by, unique.
    pub id: Vec<u8>,
}

/// Which page is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageRequest {
    /// The last item of the page before; `None` for the first page.
    pub after: Option<PageKey>,
    /// Items at most; 1 to 1000.
    pub limit: usize,
}

/// A page of items.
#[derive(Clone, Debug, PartialEq)]
pub struct Page<T> {
    /// The items.
    pub items: Vec<T>,
    /// The key of the last one, where more follow.
    pub next: Option<PageKey>,
    /// Items on all pages.
    pub total: u64,
}

impl<T> Page<T> {
    /// Cuts a page out of `items`, in any order, each with its key: ascending, or descending by `sort` and `id`.
    pub fn cut(
        items: impl IntoIterator<Item = (PageKey, T)>,
        descending: bool,
        request: &PageRequest,
    ) -> Self {
        let mut items: Vec<(PageKey, T)> = items.into_iter().collect();
        let total = items.len() as u64;
        if let Some(after) = &request.after {
            items.retain(|(key, _)| if descending { key < after } else { key > after });
        }
        let order =
            |a: &(PageKey, T), b: &(PageKey, T)| if descending { b.0.cmp(&a.0) } else { a.0.cmp(&b.0) };
        let more = items.len() > request.limit;
        if more {
            // Only the page itself is worth sorting.
            items.select_nth_unstable_by(request.limit, order);
            items.truncate(request.limit);
        }
        items.sort_unstable_by(order);
        let next = items.last().filter(|_| more).map(|(key, _)| key.clone());
        Self {
            items: items.into_iter().map(|(_, item)| item).collect(),
            next,
            total,
        }
    }

    /// The page with each item made into something else.
    pub fn map<U>(self, make: impl FnMut(T) -> U) -> Page<U> {
        Page {
            items: self.items.into_iter().map(make).collect(),
            next: self.next,
            total: self.total,
        }
    }
}

/// Which peers are asked for, and in which order. What is absent restricts nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PeerQuery {
    /// Part of a name, key, allowed IP, endpoint, group or note, upper and lower case alike.
    pub q: Option<String>,
    /// Of this group.
    pub group: Option<String>,
    /// In this state.
    pub state: Option<PeerState>,
    /// Of this owner.
    pub owner: Option<Owner>,
    /// By what they are ordered.
    pub sort: PeerSort,
    /// The greatest first.
    pub descending: bool,
}

/// By what peers are ordered. Text by its bytes in lower case, numbers as eight bytes, big-endian.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum PeerSort {
    /// Their names.
    #[default]
    Name,
    /// Their keys.
    PublicKey,
    /// Their states.
    State,
    /// When their last handshake completed.
    LastHandshake,
    /// Bytes received since they were declared.
    RxBytes,
    /// Bytes sent since they were declared.
    TxBytes,
    /// When they were declared.
    CreatedAt,
    /// Their first allowed IPs, IPv4 before IPv6, as the address's bytes.
    AllowedIps,
}

/// Which entries of the audit log are asked for. What is absent restricts nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuditQuery {
    /// By this actor, whole or up to its colon.
    pub actor: Option<String>,
    /// To a target that begins so.
    pub target: Option<String>,
    /// Not before.
    pub from: Option<Timestamp>,
    /// Before.
    pub to: Option<Timestamp>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::{BTreeMap, BTreeSet};

    fn key(id: u8, sort: u8) -> PageKey {
        PageKey {
            sort: vec![sort],
            id: vec![id],
        }
    }

    proptest! {
        // Catches a page that repeats an item or leaves one out while others come and go.
        #[test]
        fn what_stays_is_listed_once(
            sorts in prop::collection::vec(0u8..4, 1..60),
            churn in prop::collection::vec((any::<u8>(), any::<bool>(), 0u8..4), 0..40),
            limit in 1usize..9,
            descending: bool,
        ) {
            let mut present: BTreeMap<u8, u8> = sorts.iter().enumerate().map(|(i, s)| (i as u8, *s)).collect();
            let first: BTreeSet<u8> = present.keys().copied().collect();
            let mut stayed = first.clone();
            let (mut seen, mut after, mut churn) = (Vec::new(), None, churn.into_iter());
            loop {
                let items = present.iter().map(|(id, sort)| (key(*id, *sort), *id));
                let page = Page::cut(items, descending, &PageRequest { after: after.clone(), limit });
                prop_assert_eq!(page.total, present.len() as u64);
                prop_assert!(page.items.len() <= limit);
                seen.extend(&page.items);
                if let Some((id, add, sort)) = churn.next() {
                    if add { present.entry(id).or_insert(sort); } else { present.remove(&id); stayed.remove(&id); }
                }
                match page.next {
                    Some(next) => after = Some(next),
                    None => break,
                }
            }
            let once: BTreeSet<u8> = seen.iter().copied().filter(|id| stayed.contains(id)).collect();
            prop_assert_eq!(&once, &stayed);
            let repeated = seen.iter().filter(|id| stayed.contains(id)).count();
            prop_assert_eq!(repeated, stayed.len());
        }
    }
}
