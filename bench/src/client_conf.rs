//! A client's `.conf` as wg-quick reads it, taken apart so that a test can change a line of it and bring it up with the
//! tools that the laboratory has.

use std::net::SocketAddr;

use crate::{Namespace, Peer, Result};

/// What wg-quick takes for itself and `wg setconf` does not know (wg-quick(8)).
const OF_WG_QUICK: [&str; 9] = [
    "Address",
    "DNS",
    "MTU",
    "Table",
    "PreUp",
    "PostUp",
    "PreDown",
    "PostDown",
    "SaveConfig",
];

/// The MTU where none is given: Ethernet's less IPv6, UDP and WireGuard.
const MTU: u16 = 1420;

/// The lines of one file. It holds a private key: it has no `Debug`.
#[derive(Clone)]
pub struct ClientConf {
    lines: Vec<String>,
}

impl ClientConf {
    /// Takes a file apart.
    pub fn new(text: &str) -> Self {
        Self {
            lines: text.lines().map(str::to_owned).collect(),
        }
    }

    /// Replaces the value of a setting that is there, or adds it at the end, in the section of the peer.
    pub fn set(&mut self, name: &str, value: &str) {
        let line = format!("{name} = {value}");
        match self
            .lines
            .iter()
            .position(|line| setting(line).is_some_and(|(known, _)| known == name))
        {
            Some(at) => self.lines[at] = line,
            None => self.lines.push(line),
        }
    }

    /// All values of a setting, which may be lists.
    pub fn values(&self, name: &str) -> Vec<String> {
        let values = self
            .lines
            .iter()
            .filter_map(|line| setting(line))
            .filter(|(known, _)| *known == name);
        values
            .flat_map(|(_, value)| value.split(','))
            .map(|value| value.trim().to_owned())
            .collect()
    }

    /// The first value of a setting.
    pub fn value(&self, name: &str) -> Option<String> {
        self.values(name).into_iter().next()
    }

    /// Where it seeks the gateway, if that is an address.
    pub fn endpoint(&self) -> Option<SocketAddr> {
        self.value("Endpoint")?.parse().ok()
    }

    /// What `wg setconf` reads.
    pub fn expose_setconf(&self) -> String {
        let wanted = |line: &&String| setting(line).is_none_or(|(name, _)| !OF_WG_QUICK.contains(&name));
        self.lines
            .iter()
            .filter(wanted)
            .flat_map(|line| [line.as_str(), "\n"])
            .collect()
    }

    /// Does to a running interface what wg-quick would, but for DNS; the routes are those of the allowed IPs.
    pub fn bring_up(&self, peer: &Peer) -> Result<()> {
        peer.set_conf(&self.expose_setconf())?;
        let namespace: &Namespace = peer.namespace();
        let device = peer.interface();
        for address in self.values("Address") {
            namespace.ip(&format!("address replace {address} dev {device}"))?;
        }
        peer.up(self.value("MTU").and_then(|mtu| mtu.parse().ok()).unwrap_or(MTU))?;
        for prefix in self.values("AllowedIPs") {
            namespace.ip(&format!("route replace {prefix} dev {device}"))?;
        }
        Ok(())
    }
}

/// A line's name and value; none of a section's head, a comment or an empty line.
fn setting(line: &str) -> Option<(&str, &str)> {
    let (name, value) = line.split_once('=')?;
    (!line.trim_start().starts_with('#')).then(|| (name.trim(), value.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Catches a line of wg-quick's that `wg` is given, a changed line that is not in force, and a key cut at its "=".
    #[test]
    fn a_conf_is_taken_apart() {
        let mut conf = ClientConf::new(
            "# for a phone\n[Interface]\nPrivateKey = abc=\nAddress = 10.0.0.2/32, fd00::2/128\nDNS = 9.9.9.9\n\n[Peer]\n\
             PublicKey = def=\nAllowedIPs = 10.0.0.0/24\nEndpoint = 192.0.2.1:51820\n",
        );
        assert_eq!(conf.values("Address"), ["10.0.0.2/32", "fd00::2/128"]);
        assert_eq!(conf.endpoint(), Some(([192, 0, 2, 1], 51820).into()));
        assert_eq!(conf.value("PrivateKey").as_deref(), Some("abc="));
        conf.set("PublicKey", "ghi=");
        conf.set("PresharedKey", "jkl=");
        let text = conf.expose_setconf();
        assert!(
            !text.contains("Address") && !text.contains("DNS") && !text.contains("def="),
            "{text}"
        );
        assert!(
            text.contains("PublicKey = ghi=\n") && text.ends_with("PresharedKey = jkl=\n"),
            "{text}"
        );
    }
}
