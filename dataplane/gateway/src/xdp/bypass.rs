//! What the kernel would have done to packets that a LAN port forwards past it.

use crate::nft::forwarding_chains;
use weir_config::{Config, PortRole};

/// Refuses a LAN port past nftables that decides about forwarded packets, unless the operator knows it.
///
/// # Errors
/// What is bypassed, and how to say that it is known.
pub fn check(config: &Config) -> Result<(), String> {
    let unaware = |port: &&weir_config::Port| port.role == PortRole::Lan && !port.bypass_nftables;
    let Some(port) = config.ports.iter().find(unaware) else {
        return Ok(());
    };
    match bypassed(config).as_slice() {
        [] => Ok(()),
        bypassed => Err(format!(
            "port {}: packets between it and the tunnel pass by the kernel, and so by {}; expected bypass_nftables = true in its [[port]], once it is known that they need none of it",
            port.device,
            bypassed.join(", ")
        )),
    }
}

/// What an operator should know of the LAN port.
pub fn notes(config: &Config) -> Vec<String> {
    let lan = config.ports.iter().find(|port| port.role == PortRole::Lan);
    let Some(port) = lan else { return Vec::new() };
    bypassed(config)
        .into_iter()
        .map(|what| {
            format!(
                "port {}: {what} does not see what passes between it and the tunnel",
                port.device
            )
        })
        .collect()
}

fn bypassed(config: &Config) -> Vec<String> {
    let own = format!("inet weir_{} ", config.interface.name);
    let mut bypassed: Vec<String> = match forwarding_chains() {
        Ok(chains) => chains
            .into_iter()
            .filter(|chain| !chain.starts_with(&own))
            .map(|chain| format!("nftables chain {chain}"))
            .collect(),
        // Without nftables in the kernel there is none.
        Err(error) => {
            tracing::debug!("{error}");
            Vec::new()
        }
    };
    if config.gateway.nat {
        bypassed.push("the translation that gateway.nat asks for".to_owned());
    }
    bypassed
}
