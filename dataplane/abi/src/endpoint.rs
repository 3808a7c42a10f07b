//! Where a peer is reached: an address and port, or a host name and port to be resolved.

use core::fmt;
use core::net::SocketAddr;
use core::str::FromStr;
use serde::{Deserialize, Serialize};

/// A peer's configured endpoint.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub enum Endpoint {
    /// An address and UDP port.
    Address(SocketAddr),
    /// A host name, resolved at start and again when handshakes fail.
    Name {
        /// The name.
        host: String,
        /// The UDP port.
        port: u16,
    },
}

/// Why a text is no endpoint.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error(
    "\"{0}\" is not an endpoint; expected ADDRESS:PORT, [IPV6]:PORT or NAME:PORT with a port of 1 to 65535"
)]
pub struct EndpointError(pub String);

impl FromStr for Endpoint {
    type Err = EndpointError;

    fn from_str(text: &str) -> Result<Self, EndpointError> {
        let refused = || EndpointError(text.to_owned());
        if let Ok(address) = text.parse::<SocketAddr>() {
            return if address.port() == 0 {
                Err(refused())
            } else {
                Ok(Endpoint::Address(address))
            };
        }
        let (host, port) = text.rsplit_once(':').ok_or_else(refused)?;
        let port = port.parse().ok().filter(|&p: &u16| p != 0).ok_or_else(refused)?;
        let label = |l: &str| {
            (1..=63).contains(&l.len())
                && l.bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
                && !l.starts_with('-')
                && !l.ends_with('-')
        };
        let dotted = host.strip_suffix('.').unwrap_or(host);
        // A name made of digits and dots alone is an address with an error in it.
        let numeric = dotted.bytes().all(|b| b.is_ascii_digit() || b == b'.');
        if host.len() > 253 || numeric || !dotted.split('.').all(label) {
            return Err(refused());
        }
        Ok(Endpoint::Name {
            host: host.to_owned(),
            port,
        })
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Endpoint::Address(address) => write!(f, "{address}"),
            Endpoint::Name { host, port } => write!(f, "{host}:{port}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Catches a spelling that tools write and this refuses, and text that would reach a resolver though it is no name.
    #[test]
    fn what_is_and_what_is_not_an_endpoint() {
        for good in [
            "192.0.2.1:51820",
            "[2001:db8::1]:51820",
            "vpn.example.org:51820",
            "gateway:1",
            "a_b.example.:65535",
        ] {
            assert_eq!(
                good.parse::<Endpoint>().map(|e| e.to_string()),
                Ok(good.to_owned())
            );
        }
        for bad in [
            "192.0.2.1",
            "192.0.2.1:0",
            "192.0.2.300:5",
            "2001:db8::1:51820",
            "name:",
            ":5",
            "a b:5",
            "-a:5",
            "a..b:5",
            "$(id):5",
        ] {
            assert!(bad.parse::<Endpoint>().is_err(), "{bad}");
        }
    }
}
