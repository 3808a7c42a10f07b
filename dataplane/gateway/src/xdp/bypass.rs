//! What the kernel would have done to packets that a LAN port forwards past it.

use weir_config::{Config, Port, PortRole};
use weir_nic::Bypassed;

/// Refuses a LAN port past filters that decide about forwarded packets, unless the operator knows it.
///
/// # Errors
/// What is bypassed, and how to say that it is known.
pub fn check(config: &Config) -> Result<(), String> {
    let Some(port) = lan(config).filter(|port| !port.bypass_nftables) else {
        return Ok(());
    };
    match bypassed(config, port).filters.as_slice() {
        [] => Ok(()),
        filters => Err(format!(
            "port {}: packets between it and the tunnel pass by the kernel, and so by {}; expected bypass_nftables = true in its [[port]], once it is known that they need none of it",
            port.device,
            filters.join(", ")
        )),
    }
}

/// What an operator should know of the LAN port.
pub fn notes(config: &Config) -> Vec<String> {
    let Some(port) = lan(config) else {
        return Vec::new();
    };
    let Bypassed { filters, others } = bypassed(config, port);
    filters
        .into_iter()
        .chain(others)
        .map(|what| {
            format!(
                "port {}: {what} does not see what passes between it and the tunnel",
                port.device
            )
        })
        .collect()
}

fn lan(config: &Config) -> Option<&Port> {
    config.ports.iter().find(|port| port.role == PortRole::Lan)
}

fn bypassed(config: &Config, port: &Port) -> Bypassed {
    let tunnel = config.interface.name.as_str();
    Bypassed::between(&port.device, tunnel, &format!("inet weir_{tunnel}"))
}
