//! The cross-platform interface of user-space WireGuard (wireguard.com/xplatform), spoken directly: `wg` reads a
//! configuration whole, and would take longer over a million peers than what is measured.

use std::fmt::Write as _;
use std::io::{Read, Write};
use std::net::Ipv4Addr;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use weir_abi::key::PublicKey;

use super::pair::PORT;
use crate::device_config::KeyPair;
use crate::{LabError, Peer, Result};

/// How long one operation may take.
const LIMIT: Duration = Duration::from_secs(60);

/// Gives an interface its key and the common port.
pub(super) fn set_device(peer: &Peer, key: &KeyPair) -> Result<()> {
    let key = key.private().expose_hex();
    operate(
        peer,
        &format!("set=1\nprivate_key={}\nlisten_port={PORT}\n\n", *key),
    )
}

/// Adds the peers of these numbers, so many in one operation, each with the key that `key` says and one address of its
/// own.
pub(super) fn add_peers(
    peer: &Peer,
    numbers: std::ops::Range<u32>,
    per_operation: u32,
    key: impl Fn(u32) -> PublicKey,
) -> Result<()> {
    let mut next = numbers.start;
    while next < numbers.end {
        let end = numbers.end.min(next + per_operation);
        let mut request = String::from("set=1\n");
        for number in next..end {
            writeln!(
                request,
                "public_key={}\nallowed_ip={}/32",
                key(number).to_hex(),
                inner_address(number)
            )
            .expect("writing to a String cannot fail");
        }
        request.push('\n');
        operate(peer, &request)?;
        next = end;
    }
    Ok(())
}

/// The address in the tunnel of the peer with a number below 2^24.
pub(super) fn inner_address(number: u32) -> Ipv4Addr {
    Ipv4Addr::from_bits(Ipv4Addr::new(10, 0, 0, 0).to_bits() + number)
}

/// The key of a peer that never speaks.
pub(super) fn silent_key(number: u32) -> PublicKey {
    let mut key = [0x55; 32];
    key[..4].copy_from_slice(&number.to_be_bytes());
    PublicKey::from_bytes(key)
}

/// Sends one operation and expects `errno=0`. Its text stays out of errors: it may hold a key.
fn operate(peer: &Peer, request: &str) -> Result<()> {
    let path = peer.socket();
    let doing = format!("set peers through {}", path.display());
    let exchange = || -> std::io::Result<String> {
        let mut stream = UnixStream::connect(&path)?;
        stream.set_read_timeout(Some(LIMIT))?;
        stream.set_write_timeout(Some(LIMIT))?;
        stream.write_all(request.as_bytes())?;
        let (mut reply, mut chunk) = (Vec::new(), [0; 256]);
        while !reply.ends_with(b"\n\n") {
            match stream.read(&mut chunk)? {
                0 => break,
                length => reply.extend_from_slice(&chunk[..length]),
            }
        }
        Ok(String::from_utf8_lossy(&reply).into_owned())
    };
    let reply = exchange().map_err(LabError::io(doing))?;
    if reply.trim_end() == "errno=0" {
        return Ok(());
    }
    Err(LabError::Unreadable {
        program: "the UAPI socket",
        expected: "errno=0",
        output: reply,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Catches two peers that share a key or an address, which would be one peer.
    #[test]
    fn a_million_peers_are_distinct() {
        assert_eq!(inner_address(1_000_000), Ipv4Addr::new(10, 15, 66, 64));
        assert_ne!(silent_key(1), silent_key(1 << 16));
    }
}
