//! The routers on a path, with Debian's traceroute.

use std::net::IpAddr;

use crate::{LabError, Namespace, Result, programs};

/// The addresses that answered, hop by hop, the destination last when it was reached; `None` for a silent hop. At
/// most 8 hops, one probe each.
pub fn traceroute(from: &Namespace, destination: IpAddr) -> Result<Vec<Option<IpAddr>>> {
    let output = from.run(
        programs::tool("traceroute")?
            .args(["-n", "-q", "1", "-w", "1", "-m", "8"])
            .arg(destination.to_string()),
    )?;
    // The first line repeats what was asked for.
    output
        .lines()
        .skip(1)
        .map(|line| {
            hop(line).ok_or_else(|| LabError::Unreadable {
                program: "traceroute",
                expected: "hop in a line",
                output: output.clone(),
            })
        })
        .collect()
}

fn hop(line: &str) -> Option<Option<IpAddr>> {
    match line.split_whitespace().nth(1)? {
        "*" => Some(None),
        address => address.parse().ok().map(Some),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_answering_and_silent_hops() {
        assert_eq!(
            hop(" 1  10.0.0.1  0.254 ms"),
            Some(Some("10.0.0.1".parse().unwrap()))
        );
        assert_eq!(
            hop(" 2  2001:db8::1  0.254 ms !X"),
            Some(Some("2001:db8::1".parse().unwrap()))
        );
        assert_eq!(hop(" 3  *"), Some(None));
        assert_eq!(hop("connect: Network is unreachable"), None);
    }
}
