//! What busy polling needs of the device.

use super::Subject;
use crate::doctor::Finding;
use weir_nic::Deferral;

/// What Linux's documentation of AF_XDP names for busy polling: rounds, and nanoseconds.
const WANTED: Deferral = Deferral {
    rounds: 2,
    flush_ns: 200_000,
};

pub fn findings(subject: &Subject<'_>) -> Option<Finding> {
    let asked = subject.port.is_some_and(|port| port.busy_poll);
    let (name, deferral) = (subject.name(), subject.nic.deferral?);
    if !asked {
        return None;
    }
    if deferral.rounds > 0 && deferral.flush_ns > 0 {
        let Deferral { rounds, flush_ns } = deferral;
        return Some(Finding::ok(format!(
            "{name}: busy polling; interrupts wait for {rounds} rounds without a frame, at most {} us",
            flush_ns / 1000
        )));
    }
    let folder = format!("/sys/class/net/{name}");
    Some(Finding::warn(
        format!("{name}: busy polling, but interrupts are not put off"),
        "packets interrupt the shard that is about to ask for them",
        format!(
            "echo {} > {folder}/napi_defer_hard_irqs; echo {} > {folder}/gro_flush_timeout",
            WANTED.rounds, WANTED.flush_ns
        ),
    ))
}

#[cfg(test)]
mod tests {
    use super::super::tests::{card, subject};
    use super::*;
    use crate::doctor::Level;
    use weir_config::{Port, PortMode, PortRole};
    use weir_nic::Host;

    // Catches a port that polls and is interrupted all the same without a word, and a word about one that does not poll.
    #[test]
    fn interrupts_that_are_not_put_off_are_told() {
        let host = Host::default();
        let judge = |busy_poll, rounds| {
            let mut nic = card("ice");
            nic.deferral = Some(Deferral { rounds, ..WANTED });
            let port = Port {
                device: "eth1".into(),
                role: PortRole::Wan,
                mode: PortMode::Auto,
                busy_poll,
                bypass_nftables: false,
            };
            findings(&subject(&nic, &host, Some(&port), 4)).map(|finding| finding.level)
        };
        assert_eq!(judge(false, 0), None);
        assert_eq!(judge(true, 0), Some(Level::Warn));
        assert_eq!(judge(true, 2), Some(Level::Ok));
    }
}
