//! The addresses that rules name as their targets.

use super::Networks;
use crate::routes::Routes;
use crate::tables::{PeerFacts, PeerId};
use core::net::IpAddr;

/// A set of addresses.
#[derive(Clone)]
pub(super) enum Addresses {
    /// What a rule names beside groups: made anew when any of it changes.
    Listed(Networks),
    /// The allowed IPs of a group's members, each with the member that has it: copies share what did not change, however
    /// many members there are.
    Members(Routes),
}

impl Addresses {
    pub fn contains(&self, address: IpAddr) -> bool {
        match self {
            Addresses::Listed(networks) => networks.contains(address),
            Addresses::Members(routes) => routes.lookup(address).is_some(),
        }
    }

    /// Takes a member's allowed IPs in.
    pub fn add(&mut self, member: &PeerFacts) {
        if let Addresses::Members(routes) = self {
            for &prefix in &member.allowed_ips {
                routes.insert(prefix, member.id);
            }
        }
    }

    /// Takes a member's allowed IPs out, all but those that another member has got from it meanwhile.
    pub fn remove(&mut self, member: &PeerFacts) {
        let PeerFacts { id, allowed_ips, .. } = member;
        if let Addresses::Members(routes) = self {
            for &prefix in allowed_ips {
                let owner: Option<PeerId> = routes.owner(prefix);
                if owner == Some(*id) {
                    routes.remove(prefix);
                }
            }
        }
    }
}
