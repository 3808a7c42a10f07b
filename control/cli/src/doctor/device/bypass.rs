//! What decides in the kernel about forwarded packets, and does not see those of a LAN port.

use super::Subject;
use crate::doctor::Finding;
use weir_config::{Port, PortRole};
use weir_nic::Bypassed;

pub fn findings(subject: &Subject<'_>) -> Vec<Finding> {
    match (subject.config, subject.port) {
        (Some(config), Some(port)) if port.role == PortRole::Lan => {
            let tunnel = config.interface.name.as_str();
            let own = format!("inet weir_{tunnel}");
            judge(port, &Bypassed::between(&port.device, tunnel, &own))
        }
        _ => Vec::new(),
    }
}

fn judge(port: &Port, bypassed: &Bypassed) -> Vec<Finding> {
    let name = &port.device;
    let unseen = |what: &[String]| {
        let what = what.join(", ");
        format!("{name}: packets between it and the tunnel pass by {what}")
    };
    let mut findings = Vec::new();
    findings.extend(match (bypassed.filters.as_slice(), port.bypass_nftables) {
        ([], _) => None,
        (filters, true) => Some(Finding::warn(
            unseen(filters),
            "none of it is done to them, as bypass_nftables = true says is known",
            "",
        )),
        (filters, false) => Some(Finding::bad(
            unseen(filters),
            "the gateway refuses to start",
            "bypass_nftables = true in its [[port]], where they need none of it; [[rule]] says which peers may open what",
        )),
    });
    if !bypassed.others.is_empty() {
        findings.push(Finding::warn(
            unseen(&bypassed.others),
            "their destination alone decides where they go, and they leave at once",
            "",
        ));
    }
    if findings.is_empty() {
        findings.push(Finding::ok(format!(
            "{name}: the kernel has no filter that its packets pass by"
        )));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Level;

    // Catches a filter that is passed by without a word, one called bad that is known, and a rule of routing taken for a
    // filter.
    #[test]
    fn what_is_known_is_not_bad() {
        let judged = |bypass_nftables: bool, filters: &[&str], others: &[&str]| {
            let port = Port {
                device: "eth2".to_owned(),
                role: PortRole::Lan,
                mode: weir_config::PortMode::Auto,
                busy_poll: false,
                bypass_nftables,
            };
            let owned = |all: &[&str]| all.iter().map(|one| (*one).to_owned()).collect();
            let bypassed = Bypassed {
                filters: owned(filters),
                others: owned(others),
            };
            let findings = judge(&port, &bypassed);
            findings.into_iter().map(|f| f.level).collect::<Vec<_>>()
        };
        assert_eq!(judged(false, &[], &[]), [Level::Ok]);
        assert_eq!(judged(false, &["a"], &[]), [Level::Bad]);
        assert_eq!(judged(true, &["a"], &["b"]), [Level::Warn, Level::Warn]);
        assert_eq!(judged(false, &[], &["b"]), [Level::Warn]);
    }
}
