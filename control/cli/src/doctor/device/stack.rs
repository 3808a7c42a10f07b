//! What lies on the device and below it: programs, bonds, bridges, VLANs.

use super::Subject;
use crate::doctor::Finding;
use weir_nic::Place;

pub fn findings(subject: &Subject<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    findings.extend(program(subject));
    findings.extend(kind(subject));
    findings.extend(master(subject));
    findings
}

/// Weir never takes the place of another's program.
fn program(subject: &Subject<'_>) -> Option<Finding> {
    let (name, attached) = (subject.name(), subject.nic.link.xdp.first()?);
    let number = attached.program;
    if subject.runs {
        return Some(Finding::ok(format!(
            "{name}: XDP program {number}, while the gateway runs"
        )));
    }
    let (place, off) = match attached.place {
        Place::Driver => ("in the driver", "xdpdrv"),
        Place::Generic => ("in generic mode", "xdpgeneric"),
        Place::Hardware => ("on the card", "xdpoffload"),
    };
    Some(subject.against(
        format!("{name}: another XDP program, number {number}, is attached {place}"),
        "Weir leaves it alone, and takes no packet there",
        format!(
            "bpftool prog show id {number} says whose it is; end that, or, where nobody holds it: ip link set {name} {off} off"
        ),
    ))
}

/// Devices that software made of others: frames reach them after the kernel has made packets of its own.
fn kind(subject: &Subject<'_>) -> Option<Finding> {
    let (nic, name) = (subject.nic, subject.name());
    let kind = nic.link.kind.as_deref()?;
    let cost = "AF_XDP works there in generic mode alone, after the kernel has made a packet of its own of each frame";
    let below = nic.below.as_deref();
    let (what, mend) = match kind {
        "bond" | "team" | "bridge" => {
            let ports = match &nic.ports[..] {
                [] => "none so far".to_owned(),
                ports => ports.join(", "),
            };
            let mend = match kind {
                "bridge" => "name a card that is no port of a bridge in [[port]]".to_owned(),
                _ => format!(
                    "leave it out of [[port]], so that the ordinary sockets serve it, or name one of its ports, whose \
                     frames alone are taken then: {ports}"
                ),
            };
            (format!("{name}: is a {kind}; its ports: {ports}"), mend)
        }
        "vlan" => (
            format!("{name}: is a VLAN on {}", below.unwrap_or("a device elsewhere")),
            "leave it out of [[port]]: on the card itself, Weir leaves tagged frames to the kernel"
                .to_owned(),
        ),
        "macvlan" | "macvtap" | "ipvlan" | "ipvtap" => (
            format!("{name}: is a {kind} on {}", below.unwrap_or("a device elsewhere")),
            "name the card itself in [[port]]".to_owned(),
        ),
        _ => return None,
    };
    Some(Finding::warn(what, cost, mend))
}

fn master(subject: &Subject<'_>) -> Option<Finding> {
    let (master, kind) = subject.nic.master.as_ref()?;
    let name = subject.name();
    let cost = match kind.as_str() {
        "bridge" => {
            "frames for this host's address are taken before the bridge sees them; what Weir sends goes by the bridge"
        }
        _ => "only what arrives by this one of its ports is taken; what Weir sends goes by the kernel",
    };
    Some(Finding::warn(
        format!("{name}: is a port of {master}, a {kind}"),
        cost,
        format!("where that is not meant: ip link set {name} nomaster, and the address on {name}"),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Level;
    use crate::doctor::device::tests::{card, judged, judged_mode};
    use weir_config::PortMode;
    use weir_nic::{Attached, KernelVersion};

    // Catches another's program passed over, or called harmless on a device that is to be a port.
    #[test]
    fn another_program_is_named() {
        let mut nic = card("ice");
        assert_eq!(judged(&nic, 4, program), None);
        nic.link.xdp = vec![Attached {
            place: Place::Generic,
            program: 12,
        }];
        let asked = judged(&nic, 4, program).unwrap();
        assert_eq!(asked.level, Level::Warn);
        assert!(
            asked.mend.ends_with("ip link set eth1 xdpgeneric off"),
            "{asked:?}"
        );
        let port = judged_mode(&nic, KernelVersion(6, 1), PortMode::Auto, program).unwrap();
        assert_eq!(port.level, Level::Bad);
    }

    // Catches devices made of others taken for cards, and cards for such.
    #[test]
    fn devices_made_of_others_name_these() {
        let mut nic = card("bonding");
        assert_eq!(judged(&nic, 4, kind), None);
        nic.link.kind = Some("bond".into());
        nic.ports = vec!["eth2".into(), "eth3".into()];
        let bond = judged(&nic, 4, kind).unwrap();
        assert_eq!(bond.what, "eth1: is a bond; its ports: eth2, eth3");
        assert!(bond.mend.ends_with("taken then: eth2, eth3"), "{bond:?}");
        nic.link.kind = Some("vlan".into());
        nic.below = Some("eth9".into());
        assert_eq!(judged(&nic, 4, kind).unwrap().what, "eth1: is a VLAN on eth9");
        let mut port = card("ice");
        port.master = Some(("bond0".into(), "bond".into()));
        assert_eq!(
            judged(&port, 4, master).unwrap().what,
            "eth1: is a port of bond0, a bond"
        );
    }
}
