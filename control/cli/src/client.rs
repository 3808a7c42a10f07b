//! A client's configuration: shown, kept beside the gateway's where it was made, taken away with the peer.

use crate::args::When;
use crate::error::{Failure, Outcome};
use crate::keys::print;
use crate::{net, qr};
use std::path::{Path, PathBuf};
use weir_abi::endpoint::Endpoint;
use weir_config::{Config, endpoint_with_default_port};

/// Where the configuration of a client is kept, for `weir run` to show it again: `clients/NAME.conf` beside
/// `weir.toml`.
pub fn path(config: &Path, name: &str) -> PathBuf {
    config
        .parent()
        .unwrap_or(Path::new(""))
        .join("clients")
        .join(format!("{name}.conf"))
}

/// Prints the configuration on standard output, and its QR code where that is wanted.
pub fn show(conf: &str, when: When) -> Outcome<()> {
    print(conf)?;
    if qr::wanted(when) {
        match qr::render(conf) {
            Some(code) => print(&format!("\n{code}"))?,
            None => crate::term::complain("the configuration is too long for a QR code"),
        }
    }
    Ok(())
}

/// A gateway's address as a person gives it; `option` names where.
pub fn given_endpoint(text: &str, port: u16, option: &str) -> Outcome<Endpoint> {
    endpoint_with_default_port(text, port).map_err(|error| Failure::Said(format!("{option}: {error}")))
}

/// The address by which clients probably reach this host: that of the default route's interface, else its name.
pub fn guessed_endpoint(port: u16) -> Option<Endpoint> {
    match net::outward_address() {
        Some(address) => Some(Endpoint::Address((address, port).into())),
        None => endpoint_with_default_port(&net::hostname()?, port).ok(),
    }
}

/// The address for a new client's configuration: `[interface] endpoint`, or else a guess, said with a warning.
pub fn endpoint(config: &Config) -> Option<Endpoint> {
    if let Some(endpoint) = &config.interface.endpoint {
        return Some(endpoint.clone());
    }
    let guessed = guessed_endpoint(config.interface.listen_port);
    let words = match &guessed {
        Some(endpoint) => format!("{endpoint} is a guess"),
        None => "none could be guessed, and the configuration has no Endpoint".to_owned(),
    };
    crate::term::complain(&format!(
        "warning: the address for clients: {words}; set endpoint in [interface]"
    ));
    guessed
}
