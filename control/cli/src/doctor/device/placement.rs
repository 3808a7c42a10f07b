//! Where the device's interrupts arrive, and how far its memory is from the cores.

use super::{Subject, commands, counted};
use crate::doctor::Finding;
use weir_nic::{Interrupt, core_list};

/// More commands than this are not written out.
const COMMANDS_MOST: usize = 8;

pub fn findings(subject: &Subject<'_>) -> Vec<Finding> {
    [interrupts(subject), node(subject)]
        .into_iter()
        .flatten()
        .collect()
}

fn interrupts(subject: &Subject<'_>) -> Option<Finding> {
    let (nic, name) = (subject.nic, subject.name());
    let receiving: Vec<&Interrupt> = nic
        .interrupts
        .iter()
        .filter(|interrupt| interrupt.receives())
        .collect();
    let first = receiving.first()?;
    let same = receiving
        .iter()
        .all(|interrupt| interrupt.processors() == first.processors());
    let count = receiving.len();
    if count < 2 || subject.host.cores.len() < 2 || !same || first.processors().len() != 1 {
        return Some(Finding::ok(format!(
            "{name}: {} for frames received",
            counted(u32::try_from(count).unwrap_or(u32::MAX), "interrupt")
        )));
    }
    let targets = near(subject);
    let moves = receiving
        .iter()
        .zip(targets.iter().cycle())
        .take(COMMANDS_MOST)
        .map(|(interrupt, core)| format!("echo {core} > /proc/irq/{}/smp_affinity_list", interrupt.number));
    let mut mend = commands(moves);
    if count > COMMANDS_MOST {
        mend.push_str("; and so on");
    }
    Some(Finding::warn(
        format!(
            "{name}: all {count} interrupts for frames received arrive at core {}",
            core_list(first.processors())
        ),
        "one core does the driver's work for all queues",
        mend,
    ))
}

/// The cores of the device's node, or all.
fn near<'a>(subject: &'a Subject<'_>) -> &'a [u32] {
    let host = subject.host;
    let own = subject.nic.numa_node;
    let node = host.nodes.iter().find(|node| Some(node.number) == own);
    let cores = node.map(|node| &node.cores[..]).filter(|cores| !cores.is_empty());
    cores.unwrap_or(&host.cores)
}

fn node(subject: &Subject<'_>) -> Option<Finding> {
    let (name, host) = (subject.name(), subject.host);
    if host.nodes.len() < 2 {
        return None;
    }
    let number = subject.nic.numa_node?;
    let cores = core_list(near(subject));
    Some(Finding::warn(
        format!(
            "{name}: is attached to NUMA node {number} of {}",
            host.nodes.len()
        ),
        format!("on cores other than {cores}, every packet crosses from node to node"),
        format!("start the gateway by: taskset -c {cores} weir run; with systemd: CPUAffinity={cores}"),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Level;
    use crate::doctor::device::tests::{card, judged_on};
    use weir_nic::{Host, Node};

    fn interrupt(number: u32, name: &str, core: u32) -> Interrupt {
        Interrupt {
            number,
            name: Some(name.to_owned()),
            allowed: vec![0, 1, 2, 3],
            effective: vec![core],
        }
    }

    fn host() -> Host {
        let node = |number, cores: [u32; 2]| Node {
            number,
            cores: cores.to_vec(),
        };
        Host {
            cores: vec![0, 1, 2, 3],
            nodes: vec![node(0, [0, 1]), node(1, [2, 3])],
            ..Host::default()
        }
    }

    // Catches interrupts that serve no queue counted, spread ones complained about, and cores of the far node advised.
    #[test]
    fn interrupts_on_one_core_are_moved_to_the_near_ones() {
        let mut nic = card("igb");
        nic.numa_node = Some(1);
        nic.interrupts = vec![
            interrupt(30, "eth1", 1),
            interrupt(31, "eth1-TxRx-0", 0),
            interrupt(32, "eth1-TxRx-1", 0),
        ];
        let finding = judged_on(&nic, &host(), interrupts).unwrap();
        assert_eq!(
            finding.what,
            "eth1: all 2 interrupts for frames received arrive at core 0"
        );
        let expected = "echo 2 > /proc/irq/31/smp_affinity_list; echo 3 > /proc/irq/32/smp_affinity_list";
        assert_eq!(finding.mend, expected);
        nic.interrupts[2].effective = vec![1];
        assert_eq!(judged_on(&nic, &host(), interrupts).unwrap().level, Level::Ok);
    }

    #[test]
    fn nodes_matter_where_there_are_several() {
        let mut nic = card("igb");
        nic.numa_node = Some(1);
        let finding = judged_on(&nic, &host(), node).unwrap();
        assert!(finding.mend.contains("taskset -c 2-3 weir run"), "{finding:?}");
        let one = Host {
            nodes: Vec::new(),
            ..host()
        };
        assert_eq!(judged_on(&nic, &one, node), None);
    }
}
