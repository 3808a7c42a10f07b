//! Queues, how packets find them, and how long they are.

use super::{Subject, counted};
use crate::doctor::Finding;
use weir_nic::{Action, Channels, HashedFields, Rule};

/// Descriptors of a ring below which bursts are lost: a millisecond's at a million packets a second.
const RING_LEAST: u32 = 1024;

pub fn findings(subject: &Subject<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    findings.extend(pairs(subject));
    findings.push(count(subject));
    findings.extend(grows(subject));
    findings.extend(spread(subject));
    let nic = subject.nic;
    let hashed = [
        ("udp4", "IPv4", nic.hashed_udp4),
        ("udp6", "IPv6", nic.hashed_udp6),
    ];
    findings.extend(
        hashed
            .into_iter()
            .filter_map(|(flow, family, fields)| hash(subject, flow, family, fields?)),
    );
    findings.extend(
        nic.rules
            .iter()
            .flatten()
            .filter_map(|rule| steered(subject, rule)),
    );
    findings.extend(rings(subject));
    findings
}

/// The command that gives the device so many queues.
fn set(name: &str, channels: &Channels, queues: u32) -> String {
    match channels.combined_most {
        0 => format!("ethtool -L {name} rx {queues} tx {queues}"),
        _ if channels.rx + channels.tx > 0 => format!("ethtool -L {name} rx 0 tx 0 combined {queues}"),
        _ => format!("ethtool -L {name} combined {queues}"),
    }
}

/// Whether the driver refuses a program because of its queues.
pub fn refused(subject: &Subject<'_>) -> bool {
    let (Some(channels), Some(driver)) = (&subject.nic.channels, subject.driver()) else {
        return false;
    };
    channels.receiving() > driver.usable_queues(channels) || driver.pairs_only && uneven(channels)
}

/// Whether some queues only receive or only transmit, where pairs could be had.
fn uneven(channels: &Channels) -> bool {
    match channels.combined_most {
        0 => channels.rx != channels.tx,
        _ => channels.rx + channels.tx > 0,
    }
}

/// Drivers that take a program only while every queue both receives and transmits.
fn pairs(subject: &Subject<'_>) -> Option<Finding> {
    let channels = subject.nic.channels.as_ref()?;
    subject.driver().filter(|driver| driver.pairs_only)?;
    let name = subject.name();
    uneven(channels).then(|| {
        subject.against(
            format!("{name}: queues that only receive or only transmit"),
            format!("{} refuses XDP programs with these", subject.driver_name()),
            set(name, channels, channels.receiving().max(1)),
        )
    })
}

fn count(subject: &Subject<'_>) -> Finding {
    let (nic, name, cores) = (subject.nic, subject.name(), subject.cores);
    let queues = nic.rx_queues;
    let found = format!(
        "{name}: {} for {}",
        counted(queues, "queue"),
        counted(cores, "core")
    );
    // Without queues in use it is a TAP device that nobody has opened.
    let Some(channels) = nic.channels.filter(|channels| channels.receiving() > 0) else {
        return Finding::ok(found);
    };
    let usable = |channels: &Channels| match subject.driver() {
        Some(driver) => driver.usable_queues(channels),
        None => channels.receiving(),
    };
    if queues > usable(&channels) {
        let usable = usable(&channels);
        return subject.against(
            format!(
                "{name}: {} in use, of at most {}",
                counted(queues, "queue"),
                channels.receiving_most()
            ),
            format!(
                "{} takes an XDP program only with {usable} in use",
                subject.driver_name()
            ),
            set(name, &channels, usable.min(cores)),
        );
    }
    let most = usable(&with_all(&channels));
    if queues < cores.min(most) {
        return Finding::warn(
            found,
            format!(
                "no more than {} can receive; the device can have {most} queues",
                counted(queues, "core")
            ),
            set(name, &channels, cores.min(most)),
        );
    }
    if queues > cores {
        return Finding::warn(
            found,
            "each queue wants a core of its own: what arrives on the others goes the kernel's way",
            set(name, &channels, cores),
        );
    }
    Finding::ok(found)
}

/// The same channels with as many in use as there can be.
fn with_all(channels: &Channels) -> Channels {
    match channels.combined_most {
        0 => Channels {
            rx: channels.rx_most,
            tx: channels.tx_most,
            ..*channels
        },
        most => Channels {
            combined: most,
            rx: 0,
            tx: 0,
            ..*channels
        },
    }
}

fn grows(subject: &Subject<'_>) -> Option<Finding> {
    let channels = subject.nic.channels.as_ref()?;
    subject.driver().filter(|driver| driver.attaching_adds_queues)?;
    let online = u32::try_from(subject.host.cores.len()).unwrap_or(u32::MAX);
    let room = channels.receiving().saturating_add(online) <= channels.receiving_most();
    let what = format!(
        "{}: {} adds a queue for each of {online} cores while an XDP program is attached; Weir serves these too",
        subject.name(),
        subject.driver_name()
    );
    room.then(|| Finding::ok(what))
}

fn spread(subject: &Subject<'_>) -> Option<Finding> {
    let (nic, name) = (subject.nic, subject.name());
    nic.indirection.as_ref().filter(|_| nic.rx_queues > 1)?;
    let mut slots = nic.slots();
    let queues = usize::try_from(nic.rx_queues).ok()?;
    slots.resize(slots.len().max(queues), 0);
    let used = slots[..queues].iter().filter(|slots| **slots > 0).count();
    let mend = format!("ethtool -X {name} equal {queues}");
    if slots[queues..].iter().any(|slots| *slots > 0) {
        let what = format!("{name}: hashes spread packets over queues beyond the {queues} in use");
        return Some(Finding::warn(what, "these packets may be lost", mend));
    }
    if used < queues {
        return Some(Finding::warn(
            format!("{name}: hashes spread packets over {used} of {queues} queues"),
            "the other queues' cores receive nothing",
            mend,
        ));
    }
    let (least, greatest) = (slots.iter().min()?, slots.iter().max()?);
    if *greatest > least * 2 {
        return Some(Finding::warn(
            format!("{name}: hashes give one queue {greatest} slots of the table and another {least}"),
            "cores receive unequally",
            mend,
        ));
    }
    Some(Finding::ok(format!(
        "{name}: hashes spread packets evenly over {queues} queues"
    )))
}

fn hash(subject: &Subject<'_>, flow: &str, family: &str, fields: HashedFields) -> Option<Finding> {
    let (nic, name) = (subject.nic, subject.name());
    // Neither a table nor a field: it is not this driver that spreads packets, but its hypervisor, which does not say how.
    let elsewhere = !fields.addresses && nic.indirection.is_none();
    (!fields.ports && !elsewhere && nic.rx_queues > 1).then(|| {
        let cost = match subject.takes_tunnels() {
            true => "all tunnels from one address, such as a provider's NAT or another gateway, arrive on one queue",
            false => "all UDP between two hosts arrives on one queue",
        };
        Finding::warn(
            format!("{name}: UDP ports are not hashed over {family} ({flow})"),
            cost,
            format!("ethtool -N {name} rx-flow-hash {flow} sdfn"),
        )
    })
}

/// A rule that decides about tunnels' datagrams before any hash.
fn steered(subject: &Subject<'_>, rule: &Rule) -> Option<Finding> {
    let (name, port) = (subject.name(), subject.udp_port);
    if !subject.takes_tunnels() || !rule.fits_udp(port) {
        return None;
    }
    let number = rule.location;
    let about = match rule.destination_port {
        Some(port) => format!("UDP to port {port}"),
        None => "UDP to any port or several".to_owned(),
    };
    let mend = format!("ethtool -N {name} delete {number}");
    Some(match rule.action {
        Action::Drop => subject.against(
            format!("{name}: rule {number} drops {about}"),
            "no tunnel's datagram arrives",
            mend,
        ),
        Action::Queue(_) if subject.nic.rx_queues < 2 => return None,
        Action::Queue(queue) => Finding::warn(
            format!("{name}: rule {number} has {about} arrive on queue {queue}"),
            "one core receives what all could, where the rule fits all tunnels",
            format!("{mend}; ethtool -n {name} shows what else it wants"),
        ),
        Action::Elsewhere => Finding::warn(
            format!("{name}: rule {number} sends {about} to another function of the card or another table"),
            "these datagrams may not arrive where Weir receives",
            format!("ethtool -n {name} shows it; {mend}"),
        ),
    })
}

fn rings(subject: &Subject<'_>) -> Option<Finding> {
    let (name, rings) = (subject.name(), subject.nic.rings?);
    let better = |now: u32, most: u32| (now < RING_LEAST && now < most).then(|| most.min(RING_LEAST));
    let parts = [
        ("rx", better(rings.rx, rings.rx_most)),
        ("tx", better(rings.tx, rings.tx_most)),
    ];
    let wanted: Vec<String> = parts
        .iter()
        .filter_map(|(ring, size)| Some(format!("{ring} {}", (*size)?)))
        .collect();
    let what = format!(
        "{name}: rings of {} and {} descriptors to receive and transmit",
        rings.rx, rings.tx
    );
    if wanted.is_empty() {
        return Some(Finding::ok(what));
    }
    let mend = format!("ethtool -G {name} {}", wanted.join(" "));
    Some(Finding::warn(
        format!("{what}, of at most {} and {}", rings.rx_most, rings.tx_most),
        "bursts longer than that are lost while a core does something else",
        mend,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Level;
    use crate::doctor::device::tests::{card, judged};
    use weir_nic::{Flow, Rings};

    fn channels(combined: u32, combined_most: u32) -> Channels {
        Channels {
            combined,
            combined_most,
            ..Channels::default()
        }
    }

    /// The finding on the count of a card with so many of so many queues.
    fn counted(driver: &str, now: u32, most: u32, cores: u32) -> Finding {
        let mut nic = card(driver);
        nic.rx_queues = now;
        nic.channels = Some(channels(now, most));
        judged(&nic, cores, count)
    }

    // Catches advice that the driver refuses, advice to do what is done, and queues nobody serves passed over.
    #[test]
    fn queues_are_held_against_cores() {
        assert_eq!(counted("ice", 4, 64, 4).level, Level::Ok);
        assert_eq!(counted("ice", 2, 64, 4).mend, "ethtool -L eth1 combined 4");
        assert_eq!(counted("ice", 2, 2, 4).level, Level::Ok);
        assert_eq!(counted("ice", 8, 64, 4).mend, "ethtool -L eth1 combined 4");
        assert_eq!(counted("ena", 8, 8, 16).mend, "ethtool -L eth1 combined 4");
        assert_eq!(counted("ena", 4, 8, 16).level, Level::Ok);
        assert_eq!(counted("ena", 2, 8, 16).mend, "ethtool -L eth1 combined 4");
        let mut veth = card("veth");
        veth.rx_queues = 1;
        veth.channels = Some(Channels {
            rx: 1,
            tx: 1,
            rx_most: 4,
            tx_most: 4,
            ..Channels::default()
        });
        assert_eq!(judged(&veth, 2, count).mend, "ethtool -L eth1 rx 2 tx 2");
    }

    // Catches drivers that want pairs given others.
    #[test]
    fn pairs_are_asked_for_where_the_driver_wants_them() {
        let mut nic = card("bnxt_en");
        nic.channels = Some(Channels {
            rx: 4,
            tx: 4,
            combined_most: 8,
            ..Channels::default()
        });
        let finding = judged(&nic, 4, pairs).unwrap();
        assert_eq!(finding.mend, "ethtool -L eth1 rx 0 tx 0 combined 4");
        nic.channels = Some(channels(4, 8));
        assert_eq!(judged(&nic, 4, pairs), None);
    }

    // Catches an idle queue, an uneven table and slots of queues that are gone, each taken for an even spread.
    #[test]
    fn tables_spread_evenly_or_are_named() {
        let spread_of = |table: &[u32]| {
            let mut nic = card("ice");
            nic.rx_queues = 4;
            nic.indirection = Some(table.to_vec());
            judged(&nic, 4, spread).unwrap()
        };
        assert_eq!(spread_of(&[0, 1, 2, 3, 0, 1, 2, 3]).level, Level::Ok);
        let idle = spread_of(&[0, 1, 0, 1]);
        assert_eq!(idle.what, "eth1: hashes spread packets over 2 of 4 queues");
        assert_eq!(idle.mend, "ethtool -X eth1 equal 4");
        assert_eq!(spread_of(&[0, 0, 0, 1, 2, 3]).level, Level::Warn);
        assert!(spread_of(&[0, 1, 2, 7]).what.contains("beyond the 4 in use"));
    }

    // Catches a hypervisor's spreading taken for none: virtio_net then says that it hashes nothing and has no table.
    #[test]
    fn what_a_hypervisor_hashes_is_not_judged() {
        let mut nic = card("virtio_net");
        nic.rx_queues = 2;
        let none = HashedFields {
            addresses: false,
            ports: false,
        };
        let udp4 = |nic: &weir_nic::Nic| judged(nic, 4, |subject| hash(subject, "udp4", "IPv4", none));
        assert_eq!(udp4(&nic), None);
        nic.indirection = Some(vec![0, 1]);
        assert_eq!(udp4(&nic).unwrap().mend, "ethtool -N eth1 rx-flow-hash udp4 sdfn");
    }

    // Catches ports left out of the hash, rules about other ports blamed, and small rings called large.
    #[test]
    fn hashes_rules_and_rings_are_named_with_their_commands() {
        let mut nic = card("ice");
        nic.rx_queues = 4;
        nic.hashed_udp4 = Some(HashedFields {
            addresses: true,
            ports: false,
        });
        nic.hashed_udp6 = Some(HashedFields {
            addresses: true,
            ports: true,
        });
        let rule = |location, port, action| Rule {
            location,
            flow: Flow::Udp4,
            destination_port: Some(port),
            action,
        };
        nic.rules = Some(vec![
            rule(7, 51820, Action::Queue(3)),
            rule(8, 53, Action::Queue(3)),
            rule(9, 51820, Action::Drop),
        ]);
        nic.rings = Some(Rings {
            rx: 512,
            tx: 4096,
            rx_most: 8160,
            tx_most: 8160,
        });
        let mends: Vec<String> = judged(&nic, 4, findings)
            .into_iter()
            .filter(|finding| finding.level != Level::Ok)
            .map(|finding| finding.mend)
            .collect();
        let expected = [
            "ethtool -N eth1 rx-flow-hash udp4 sdfn",
            "ethtool -N eth1 delete 7; ethtool -n eth1 shows what else it wants",
            "ethtool -N eth1 delete 9",
            "ethtool -G eth1 rx 1024",
        ];
        assert_eq!(mends, expected);
    }
}
