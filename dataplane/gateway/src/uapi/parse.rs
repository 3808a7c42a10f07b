//! The lines of a `set` to changes.

use super::ScopeIndex;
use core::net::{SocketAddr, SocketAddrV6};
use nix::errno::Errno;
use weir_abi::change::{AllowedIpChange, Change, PeerChange};
use weir_abi::endpoint::Endpoint;
use weir_abi::key::{PresharedKey, PrivateKey, PublicKey};
use weir_abi::prefix::Prefix;

/// Why a `set` was refused as a whole.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("line {line}: {key}={value}: expected {expected}")]
pub struct UapiError {
    /// The line's number, 1 being the line behind `set=1`.
    pub line: usize,
    /// The key, shortened and made printable.
    pub key: String,
    /// The value likewise, where the key is one whose values are no secrets, else `...`.
    pub value: String,
    /// What was expected.
    pub expected: &'static str,
}

impl UapiError {
    /// The number that the protocol answers with.
    pub fn errno(&self) -> Errno {
        Errno::EINVAL
    }
}

/// Reads the lines behind `set=1`, up to the blank line or the end. Either all of them are good or none is used.
///
/// Settings of one peer section become one [`Change::Peer`]; a section with `remove=true` becomes
/// [`Change::RemovePeer`], whatever else it says.
pub fn parse_set(text: &str, scope: ScopeIndex<'_>) -> Result<Vec<Change>, UapiError> {
    let mut parser = Parser {
        changes: Vec::new(),
        peer: None,
    };
    for (number, line) in text.lines().take_while(|line| !line.is_empty()).enumerate() {
        let (key, value) = line.split_once('=').unwrap_or((line, ""));
        parser.line(key, value, scope).map_err(|expected| UapiError {
            line: number + 1,
            key: printable(key),
            value: shown(key, value),
            expected,
        })?;
    }
    parser.end_peer();
    Ok(parser.changes)
}

/// What was expected instead of a value.
type Expected = &'static str;

const TRUE: Expected = "\"true\"";
const U16: Expected = "a decimal number of 0 to 65535";
const U32: Expected = "a decimal number of 0 to 4294967295";
const HEX: Expected = "a key of 64 hexadecimal digits";

struct Parser {
    changes: Vec<Change>,
    peer: Option<Section>,
}

struct Section {
    change: PeerChange,
    remove: bool,
}

impl Parser {
    fn line(&mut self, key: &str, value: &str, scope: ScopeIndex<'_>) -> Result<(), Expected> {
        if key == "public_key" {
            self.end_peer();
            let public_key = PublicKey::from_hex(value).map_err(|_| HEX)?;
            self.peer = Some(Section {
                change: PeerChange::new(public_key),
                remove: false,
            });
            return Ok(());
        }
        match &mut self.peer {
            Some(section) => section.line(key, value, scope),
            None => {
                self.changes.push(interface_line(key, value)?);
                Ok(())
            }
        }
    }

    fn end_peer(&mut self) {
        if let Some(section) = self.peer.take() {
            self.changes.push(if section.remove {
                Change::RemovePeer(section.change.public_key)
            } else {
                Change::Peer(section.change)
            });
        }
    }
}

fn interface_line(key: &str, value: &str) -> Result<Change, Expected> {
    match key {
        "private_key" => {
            let private_key = PrivateKey::from_hex(value).map_err(|_| HEX)?;
            Ok(Change::PrivateKey(
                (!private_key.is_zero()).then_some(private_key),
            ))
        }
        "listen_port" => Ok(Change::ListenPort(decimal(value).ok_or(U16)?)),
        "fwmark" => Ok(Change::Fwmark(decimal(value).ok_or(U32)?)),
        "replace_peers" => is_true(value).map(|()| Change::RemoveAllPeers),
        _ => Err("private_key, listen_port, fwmark, replace_peers or public_key"),
    }
}

impl Section {
    fn line(&mut self, key: &str, value: &str, scope: ScopeIndex<'_>) -> Result<(), Expected> {
        let change = &mut self.change;
        match key {
            "remove" => {
                is_true(value)?;
                self.remove = true;
            }
            "update_only" => {
                is_true(value)?;
                change.update_only = true;
            }
            "preshared_key" => change.preshared_key = Some(PresharedKey::from_hex(value).map_err(|_| HEX)?),
            "endpoint" => change.endpoint = Some(Endpoint::Address(endpoint(value, scope)?)),
            "persistent_keepalive_interval" => {
                change.persistent_keepalive = Some(decimal(value).ok_or(U16)?);
            }
            "replace_allowed_ips" => {
                is_true(value)?;
                change.replace_allowed_ips = true;
                // What this section added before is taken away with the rest.
                change.allowed_ips.clear();
            }
            "allowed_ip" => change.allowed_ips.push(allowed_ip(value)?),
            "protocol_version" if value == "1" => {}
            "protocol_version" => return Err("1, the only version there is"),
            _ => {
                return Err(
                    "remove, update_only, preshared_key, endpoint, persistent_keepalive_interval, \
                            replace_allowed_ips, allowed_ip, protocol_version or public_key",
                );
            }
        }
        Ok(())
    }
}

fn is_true(value: &str) -> Result<(), Expected> {
    if value == "true" { Ok(()) } else { Err(TRUE) }
}

fn decimal<T: core::str::FromStr>(value: &str) -> Option<T> {
    // `from_str` takes a plus sign, which the protocol does not know.
    value
        .bytes()
        .all(|b| b.is_ascii_digit())
        .then(|| value.parse().ok())?
}

fn allowed_ip(value: &str) -> Result<AllowedIpChange, Expected> {
    const EXPECTED: Expected = "ADDRESS/LENGTH, with '-' before it to remove";
    let (prefix, change): (_, fn(Prefix) -> AllowedIpChange) = match value.strip_prefix('-') {
        Some(prefix) => (prefix, AllowedIpChange::Remove),
        None => (value, AllowedIpChange::Add),
    };
    prefix.parse().map(change).map_err(|_| EXPECTED)
}

fn endpoint(value: &str, scope: ScopeIndex<'_>) -> Result<SocketAddr, Expected> {
    const EXPECTED: Expected = "ADDRESS:PORT or [IPV6]:PORT with a port of 1 to 65535";
    let address = match value.parse::<SocketAddr>() {
        Ok(address) => address,
        Err(_) => scoped(value, scope).ok_or(EXPECTED)?,
    };
    if address.port() == 0 {
        Err(EXPECTED)
    } else {
        Ok(address)
    }
}

/// `[ADDRESS%NAME]:PORT`, as `wg` writes link-local endpoints (RFC 4007 section 11).
fn scoped(value: &str, scope: ScopeIndex<'_>) -> Option<SocketAddr> {
    let (address, port) = value.strip_prefix('[')?.split_once("]:")?;
    let (address, name) = address.split_once('%')?;
    let index = scope(name)?;
    Some(SocketAddrV6::new(address.parse().ok()?, decimal(port)?, 0, index).into())
}

/// A value, unless it may be a secret: one behind a key that is misspelt may be, too.
fn shown(key: &str, value: &str) -> String {
    match key {
        "listen_port"
        | "fwmark"
        | "replace_peers"
        | "public_key"
        | "remove"
        | "update_only"
        | "endpoint"
        | "persistent_keepalive_interval"
        | "replace_allowed_ips"
        | "allowed_ip"
        | "protocol_version" => printable(value),
        _ => "...".to_owned(),
    }
}

fn printable(text: &str) -> String {
    const LONGEST: usize = 64;
    text.chars()
        .take(LONGEST)
        .flat_map(char::escape_default)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f20";

    fn parse(text: &str) -> Result<Vec<Change>, UapiError> {
        parse_set(text, &|name| (name == "eth7").then_some(7))
    }

    fn one_peer(lines: &str) -> PeerChange {
        match &parse(&format!("public_key={KEY}\n{lines}\n")).expect(lines)[..] {
            [Change::Peer(change)] => change.clone(),
            other => panic!("{other:?}"),
        }
    }

    // Catches a key of the protocol that is not known or goes to the wrong field.
    #[test]
    fn every_key_has_its_effect() {
        let peer = PublicKey::from_hex(KEY).expect("a key");
        let zero = "0".repeat(64);
        let text = format!(
            "private_key={KEY}\nlisten_port=51820\nfwmark=4294967295\nreplace_peers=true\npublic_key={KEY}\nremove=true\n"
        );
        let private = PrivateKey::from_hex(KEY).expect("a key");
        assert_eq!(
            parse(&text),
            Ok(vec![
                Change::PrivateKey(Some(private)),
                Change::ListenPort(51820),
                Change::Fwmark(u32::MAX),
                Change::RemoveAllPeers,
                Change::RemovePeer(peer),
            ])
        );
        assert_eq!(
            parse(&format!("private_key={zero}")),
            Ok(vec![Change::PrivateKey(None)])
        );
        let change = one_peer(&format!(
            "protocol_version=1\nupdate_only=true\npreshared_key={KEY}\nendpoint=[2001:db8::1]:1\n\
             persistent_keepalive_interval=65535\nreplace_allowed_ips=true\nallowed_ip=10.0.0.1/8\n\
             allowed_ip=-fd00::/64"
        ));
        assert!(change.update_only && change.replace_allowed_ips);
        assert_eq!(change.public_key, peer);
        assert_eq!(change.preshared_key, PresharedKey::from_hex(KEY).ok());
        assert_eq!(
            change.endpoint.map(|e| e.to_string()),
            Some("[2001:db8::1]:1".into())
        );
        assert_eq!(change.persistent_keepalive, Some(65535));
        assert_eq!(
            change.allowed_ips,
            [
                AllowedIpChange::Add("10.0.0.0/8".parse().expect("a prefix")),
                AllowedIpChange::Remove("fd00::/64".parse().expect("a prefix")),
            ]
        );
    }

    // Catches a scope lost on the way, which makes link-local peers unreachable.
    #[test]
    fn endpoints_keep_their_scope() {
        let by_number = one_peer("endpoint=[fe80::1%3]:9");
        let by_name = one_peer("endpoint=[fe80::1%eth7]:9");
        let scope = |change: PeerChange| match change.endpoint {
            Some(Endpoint::Address(SocketAddr::V6(v6))) => v6.scope_id(),
            other => panic!("{other:?}"),
        };
        assert_eq!((scope(by_number), scope(by_name)), (3, 7));
    }

    // Catches a bad line that is skipped over, so that a set is applied by half.
    #[test]
    fn one_bad_line_refuses_the_whole_set() {
        let zero = "0".repeat(63);
        for (bad, place) in [
            ("listen_port=65536".to_owned(), 1),
            ("listen_port=+1".into(), 1),
            ("listen_port=".into(), 1),
            ("listen_port=1=".into(), 1),
            ("fwmark=4294967296".into(), 1),
            ("replace_peers=false".into(), 1),
            (format!("private_key={zero}"), 1),
            ("endpoint=192.0.2.1:1".into(), 1),
            (format!("public_key={KEY}\nendpoint=name.example:1"), 2),
            (format!("public_key={KEY}\nendpoint=192.0.2.1:0"), 2),
            (format!("public_key={KEY}\nendpoint=[fe80::1%none]:5"), 2),
            (format!("public_key={KEY}\nallowed_ip=10.0.0.0/33"), 2),
            (format!("public_key={KEY}\nallowed_ip=--10.0.0.0/8"), 2),
            (format!("public_key={KEY}\nprotocol_version=2"), 2),
            (format!("public_key={KEY}\nlisten_port=5"), 2),
            (format!("public_key={KEY}\nremove=yes"), 2),
            (
                format!("public_key={KEY}\npersistent_keepalive_interval=65536"),
                2,
            ),
        ] {
            let error = parse(&format!("fwmark=1\n{bad}\n")).expect_err(&bad);
            assert_eq!((error.line, error.errno()), (place + 1, Errno::EINVAL), "{bad}");
            let (text, value) = (
                error.to_string(),
                bad.rsplit(['=', '\n']).next().expect("a value"),
            );
            assert_eq!(text.contains(value), !bad.contains("private"), "{text}");
        }
    }

    // Catches a second section of the same peer that is merged into, or replaces, the first.
    #[test]
    fn sections_are_applied_in_order() {
        let changes = parse(&format!(
            "public_key={KEY}\nremove=true\npublic_key={KEY}\nallowed_ip=::/0\n\nfwmark=x\n"
        ));
        assert!(matches!(
            &changes.expect("what follows the blank line is not read")[..],
            [Change::RemovePeer(_), Change::Peer(_)]
        ));
    }
}
