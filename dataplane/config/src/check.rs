//! What no field can show alone: peers against peers, peers against the interface.

use crate::config::Config;
use crate::key::public_key;
use crate::peer::Declared;
use crate::problem::Wrong;
use crate::reader::Reader;
use core::net::IpAddr;
use std::collections::HashMap;
use weir_abi::key::PublicKey;
use weir_abi::prefix::Prefix;

/// Reports every contradiction between peers: one key, one name, one prefix twice. Nested prefixes are none.
pub(crate) fn peers(reader: &mut Reader<'_>, declared: &[Declared]) {
    let mut keys: HashMap<PublicKey, usize> = HashMap::new();
    let mut names: HashMap<&str, usize> = HashMap::new();
    let mut owners: HashMap<Prefix, (&Declared, usize)> = HashMap::new();
    for peer in declared {
        let key = peer.peer.public_key;
        if let Some(line) = keys.get(&key) {
            let wrong = Wrong::Twice {
                value: key.to_string(),
                line: *line,
            };
            reader.report(peer.key_line, &peer.section, "public_key", wrong);
        } else {
            keys.insert(key, peer.key_line);
        }
        if let Some(name) = &peer.peer.name {
            if let Some(line) = names.get(name.as_str()) {
                let wrong = Wrong::Twice {
                    value: format!("\"{name}\""),
                    line: *line,
                };
                reader.report(peer.name_line, &peer.section, "name", wrong);
            } else {
                names.insert(name, peer.name_line);
            }
        }
        for (prefix, line) in peer.peer.allowed_ips.iter().zip(&peer.allowed_ip_lines) {
            if let Some((owner, first)) = owners.get(prefix) {
                let wrong = Wrong::PrefixTaken {
                    prefix: *prefix,
                    owner: owner.section.clone(),
                    line: *first,
                };
                reader.report(*line, &peer.section, "allowed_ips", wrong);
            } else {
                owners.insert(*prefix, (peer, *line));
            }
        }
    }
}

/// Reports peers that take the interface's key or address, and an MTU that its IPv6 addresses forbid.
pub(crate) fn against_interface(
    reader: &mut Reader<'_>,
    config: &Config,
    declared: &[Declared],
    interface_line: usize,
) {
    let own_key = public_key(&config.interface.private_key);
    let own: Vec<Prefix> = config
        .interface
        .addresses
        .iter()
        .map(|a| Prefix::host(a.address))
        .collect();
    for peer in declared {
        if peer.peer.public_key == own_key {
            reader.report(peer.key_line, &peer.section, "public_key", Wrong::OwnKey(own_key));
        }
        for (prefix, line) in peer.peer.allowed_ips.iter().zip(&peer.allowed_ip_lines) {
            if own.contains(prefix) {
                let owner = "interface".to_owned();
                let wrong = Wrong::PrefixTaken {
                    prefix: *prefix,
                    owner,
                    line: interface_line,
                };
                reader.report(*line, &peer.section, "allowed_ips", wrong);
            }
        }
    }
    let v6 = |address: IpAddr| address.is_ipv6();
    let any_v6 = config.interface.addresses.iter().any(|a| v6(a.address))
        || declared
            .iter()
            .flat_map(|d| &d.peer.allowed_ips)
            .any(|p| v6(p.address()));
    if let Some(mtu) = config.interface.mtu.filter(|mtu| *mtu < 1280 && any_v6) {
        reader.report(interface_line, "interface", "mtu", Wrong::MtuForV6(mtu));
    }
}
