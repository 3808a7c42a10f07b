//! What the kernel of a namespace has seen of its traffic.

use std::collections::HashMap;
use std::fs;

use crate::{LabError, Namespace, Result};

/// Bytes of IP packets that a kernel received and sent.
#[derive(Clone, Copy, Debug)]
pub struct KernelBytes {
    /// Received by IPv4.
    pub received_v4: u64,
    /// Sent by IPv4.
    pub sent_v4: u64,
    /// Received by IPv6.
    pub received_v6: u64,
    /// Sent by IPv6.
    pub sent_v6: u64,
}

impl KernelBytes {
    /// What the kernel counted in a namespace since it was made.
    pub fn of(namespace: &Namespace) -> Result<Self> {
        namespace
            .enter(octets)
            .map_err(LabError::io("read what the kernel counted"))
    }

    /// All of them.
    pub fn all(self) -> u64 {
        self.received_v4 + self.sent_v4 + self.received_v6 + self.sent_v6
    }
}

/// For the thread's network namespace.
fn octets() -> std::io::Result<KernelBytes> {
    // Two lines for each protocol: names and values.
    let v4 = fs::read_to_string("/proc/thread-self/net/netstat")?;
    let mut lines = v4.lines().filter_map(|line| line.strip_prefix("IpExt: "));
    let (names, values) = (lines.next().unwrap_or(""), lines.next().unwrap_or(""));
    let v4 = names.split(' ').zip(values.split(' '));
    let v6 = fs::read_to_string("/proc/thread-self/net/snmp6")?;
    let v6 = v6.lines().filter_map(|line| line.split_once(char::is_whitespace));
    let counted: HashMap<&str, &str> = v4.chain(v6).collect();
    let octets = |name| counted.get(name).and_then(|value| value.trim().parse().ok());
    Ok(KernelBytes {
        received_v4: octets("InOctets").unwrap_or(0),
        sent_v4: octets("OutOctets").unwrap_or(0),
        received_v6: octets("Ip6InOctets").unwrap_or(0),
        sent_v6: octets("Ip6OutOctets").unwrap_or(0),
    })
}
