//! What the card does with frames before or after Weir, and how long they may be.

use super::{Subject, merging};
use crate::doctor::Finding;
use weir_nic::Nic;
use weir_nic::driver::Merging;

/// The longest IP packet that a frame of a queue holds: a chunk of 2 KiB, less the kernel's headroom of 256 bytes and the
/// Ethernet header.
const FRAME_MTU: u32 = 2048 - 256 - 14;

pub fn findings(subject: &Subject<'_>) -> Vec<Finding> {
    let mut findings = vec![mtu(subject)];
    let merges = MERGING.iter();
    findings.extend(merges.filter_map(|(feature, what, switch)| merged(subject, feature, what, switch)));
    findings.extend(tags(subject));
    findings.extend(checksums(subject));
    findings
}

/// The greatest MTU that the driver takes a program with, where the device's is greater.
pub fn longest(subject: &Subject<'_>) -> Option<u32> {
    let driver = subject
        .driver()
        .filter(|driver| !driver.takes_mtu(subject.nic.link.mtu))?;
    driver.mtu_most
}

fn mtu(subject: &Subject<'_>) -> Finding {
    let (name, mtu) = (subject.name(), subject.nic.link.mtu);
    if let Some(most) = longest(subject) {
        return subject.against(
            format!("{name}: MTU {mtu}"),
            format!(
                "{} takes an XDP program up to an MTU of {most}: generic mode is left",
                subject.driver_name()
            ),
            format!("ip link set {name} mtu {}", most.min(FRAME_MTU)),
        );
    }
    if mtu > FRAME_MTU {
        return Finding::warn(
            format!("{name}: MTU {mtu}"),
            format!("packets longer than {FRAME_MTU} bytes do not fit a queue's frames and are lost"),
            format!("ip link set {name} mtu {FRAME_MTU}, or less"),
        );
    }
    Finding::ok(format!("{name}: packets of MTU {mtu} fit a queue's frames"))
}

/// What merges received packets: the feature, a name for people, and the name by which `ethtool -K` switches it.
const MERGING: [(&str, &str, &str); 2] = [
    ("rx-lro", "LRO", "lro"),
    ("rx-gro-hw", "the card's GRO", "rx-gro-hw"),
];

/// Whether the card merges packets in a way that keeps a program out.
pub fn merges(subject: &Subject<'_>) -> bool {
    MERGING.iter().any(|(feature, _, _)| keeps_out(subject, feature))
}

/// Packets merged by the card are none that an XDP program in one buffer can take.
fn keeps_out(subject: &Subject<'_>, feature: &str) -> bool {
    let features = &subject.nic.features;
    let kept_out = match merging(subject.driver()) {
        // The driver switches it off by the same means as the operator would.
        Merging::Ended => !features.can_go_off(feature),
        Merging::Refused => true,
        Merging::Never => false,
    };
    features.on(feature) == Some(true) && kept_out
}

fn merged(subject: &Subject<'_>, feature: &str, what: &str, switch: &str) -> Option<Finding> {
    let name = subject.name();
    keeps_out(subject, feature).then(|| {
        let mend = match subject.nic.features.can_go_off(feature) {
            true => format!("ethtool -K {name} {switch} off"),
            false => "switch it off at the hypervisor (QEMU: guest_tso4=off,guest_tso6=off)".to_owned(),
        };
        let driver = subject.driver_name();
        subject.against(
            format!("{name}: {what} is on"),
            format!(
                "{driver} refuses an XDP program while received packets are merged: generic mode is left"
            ),
            mend,
        )
    })
}

/// A tag that the card has taken off is not in the frame: the program cannot tell it from one of no VLAN.
fn tags(subject: &Subject<'_>) -> Option<Finding> {
    let (nic, name) = (subject.nic, subject.name());
    let on = nic.features.on("rx-vlan-hw-parse")?;
    let strips = subject.driver().is_none_or(|driver| driver.strips_tags);
    if !on || !strips || nic.vlans.is_empty() {
        return None;
    }
    let mend = match nic.features.can_go_off("rx-vlan-hw-parse") {
        true => format!("ethtool -K {name} rxvlan off"),
        false => format!("put {} on another device", nic.vlans.join(", ")),
    };
    Some(Finding::warn(
        format!(
            "{name}: VLAN tags are taken off by the card, and {} lies on it",
            nic.vlans.join(", ")
        ),
        "frames of VLANs look like untagged ones, and Weir takes those to its addresses for its own",
        mend,
    ))
}

/// A veth's sender leaves checksums unfinished, which nobody finishes in a frame taken by AF_XDP.
fn checksums(subject: &Subject<'_>) -> Option<Finding> {
    const FEATURE: &str = "tx-checksum-ip-generic";
    let (link, name) = (&subject.nic.link, subject.name());
    if link.kind.as_deref() != Some("veth") {
        return None;
    }
    let cost =
        "frames sent there by the kernel reach Weir with unfinished checksums; who gets them drops them";
    let Some(other) = subject.nic.below.as_deref() else {
        let what = format!("{name}: its other end lies in another network namespace and cannot be judged");
        let mend = "there: ethtool -K DEVICE tx off";
        return Some(Finding::warn(
            what,
            format!("unless checksums are off there, {cost}"),
            mend,
        ));
    };
    let on = Nic::read(other).ok()?.features.on(FEATURE)?;
    on.then(|| {
        Finding::warn(
            format!("{name}: its other end {other} leaves checksums to the device"),
            cost,
            format!("ethtool -K {other} tx off"),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Level;
    use crate::doctor::device::tests::{card, feature, judged};

    // Catches an MTU that the driver refuses, or whose packets are lost, passed over.
    #[test]
    fn long_packets_are_named() {
        let mtu_of = |driver: &str, value: u32| {
            let mut nic = card(driver);
            nic.link.mtu = value;
            judged(&nic, 1, mtu)
        };
        assert_eq!(mtu_of("igc", 1500).level, Level::Ok);
        assert_eq!(mtu_of("igc", 1600).mend, "ip link set eth1 mtu 1500");
        assert_eq!(mtu_of("ice", 1778).level, Level::Ok);
        assert_eq!(mtu_of("ice", 3000).mend, "ip link set eth1 mtu 1778, or less");
        assert!(
            mtu_of("ice", 9000)
                .cost
                .starts_with("ice takes an XDP program up to an MTU of 3046")
        );
    }

    // Catches advice about what the driver does itself, and silence where it refuses the program.
    #[test]
    fn merging_is_named_where_the_driver_refuses() {
        let merged_of = |driver: &str, switchable: bool| {
            let mut nic = card(driver);
            nic.features = [feature("rx-gro-hw", true, switchable)].into_iter().collect();
            judged(&nic, 1, |subject| {
                merged(subject, "rx-gro-hw", "the card's GRO", "rx-gro-hw")
            })
        };
        let refused = merged_of("mlx5_core", true).unwrap();
        assert_eq!(refused.mend, "ethtool -K eth1 rx-gro-hw off");
        assert_eq!(merged_of("virtio_net", true), None);
        assert!(
            merged_of("virtio_net", false)
                .unwrap()
                .mend
                .contains("hypervisor")
        );
        assert_eq!(merged_of("bnxt_en", true), None);
        assert!(merged_of("a_new_driver", true).is_some());
    }

    // Catches tags that no VLAN here uses complained about, and taken-off tags of a VLAN passed over.
    #[test]
    fn stripped_tags_matter_where_there_are_vlans() {
        let mut nic = card("i40e");
        nic.features = [feature("rx-vlan-hw-parse", true, true)].into_iter().collect();
        assert_eq!(judged(&nic, 1, tags), None);
        nic.vlans = vec!["eth1.5".into()];
        assert_eq!(judged(&nic, 1, tags).unwrap().mend, "ethtool -K eth1 rxvlan off");
        nic.features = [feature("rx-vlan-hw-parse", false, true)].into_iter().collect();
        assert_eq!(judged(&nic, 1, tags), None);
    }
}
