//! A device's interrupts, from sysfs and procfs, which show these to every network namespace alike.

use crate::cores;
use std::fs;
use std::path::{Path, PathBuf};

/// One interrupt of a device (MSI or MSI-X).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Interrupt {
    /// Its number in /proc/interrupts.
    pub number: u32,
    /// What the driver called it, such as `eth1-TxRx-0`; `None` while nothing uses it.
    pub name: Option<String>,
    /// The processors that it may arrive at.
    pub allowed: Vec<u32>,
    /// The processors that it does arrive at; empty where the kernel does not say.
    pub effective: Vec<u32>,
}

impl Interrupt {
    /// Whether its name says that it is raised for frames received, rather than for sent ones or changes of the device.
    pub fn receives(&self) -> bool {
        // eth1-TxRx-0 (Intel, Broadcom), eth1-Tx-Rx-0 (ENA), virtio1-input.0, mlx5_comp0, gve-ntfy-blk0.
        const MARKS: [&str; 4] = ["rx", "input", "comp", "ntfy"];
        let name = self.name.as_deref().unwrap_or_default().to_ascii_lowercase();
        MARKS.iter().any(|mark| name.contains(mark))
    }

    /// The processors at which it arrives, as far as is known. A change of the allowed ones takes effect with the next
    /// interrupt, so until then those count.
    pub fn processors(&self) -> &[u32] {
        let valid = self.effective.iter().all(|core| self.allowed.contains(core));
        match valid && !self.effective.is_empty() {
            true => &self.effective,
            false => &self.allowed,
        }
    }
}

/// The device's interrupts, by number.
pub(crate) fn interrupts(folders: &[PathBuf]) -> Vec<Interrupt> {
    let entries = folders
        .iter()
        .find_map(|folder| fs::read_dir(folder.join("msi_irqs")).ok());
    let names = entries
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.file_name());
    let mut numbers: Vec<u32> = names.filter_map(|name| name.to_str()?.parse().ok()).collect();
    numbers.sort_unstable();
    numbers
        .into_iter()
        .map(|number| interrupt(Path::new("/proc/irq"), number))
        .collect()
}

fn interrupt(folder: &Path, number: u32) -> Interrupt {
    let folder = folder.join(number.to_string());
    let processors = |file: &str| {
        let text = fs::read_to_string(folder.join(file)).unwrap_or_default();
        cores::parse(&text).unwrap_or_default()
    };
    // Each user of the interrupt has a folder of its name there.
    let users = fs::read_dir(&folder).into_iter().flatten().flatten();
    let name = users
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .min();
    Interrupt {
        number,
        name,
        allowed: processors("smp_affinity_list"),
        effective: processors("effective_affinity_list"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Catches a processor believed from which the interrupt has just been moved.
    #[test]
    fn interrupts_arrive_where_they_may() {
        let interrupt = |allowed: &[u32], effective: &[u32]| Interrupt {
            number: 1,
            name: None,
            allowed: allowed.to_vec(),
            effective: effective.to_vec(),
        };
        assert_eq!(interrupt(&[0, 1], &[1]).processors(), [1]);
        assert_eq!(interrupt(&[0], &[1]).processors(), [0]);
        assert_eq!(interrupt(&[0, 1], &[]).processors(), [0, 1]);
    }

    // Catches names of real drivers that are not recognised, and interrupts for something else that are.
    #[test]
    fn names_say_which_interrupts_receive() {
        let receives = |name: &str| {
            let interrupt = Interrupt {
                number: 1,
                name: Some(name.to_owned()),
                allowed: vec![0, 1],
                effective: Vec::new(),
            };
            interrupt.receives()
        };
        for name in [
            "eth1-TxRx-0",
            "i40e-eth1-TxRx-3",
            "eth1-Tx-Rx-1",
            "virtio1-input.0",
            "mlx5_comp0@pci:0000:03:00.0",
            "gve-ntfy-blk0@pci:0000:00:04.0",
        ] {
            assert!(receives(name), "{name}");
        }
        for name in ["virtio1-config", "virtio1-output.0", "mlx5_async0@pci", "eth1"] {
            assert!(!receives(name), "{name}");
        }
    }
}
