//! A device's place on its bus, from the part of sysfs that every network namespace sees alike.

use crate::link::Parent;
use std::fs;
use std::path::{Path, PathBuf};

/// The folders that may tell of a device: its own and, for virtio, that of the card it lies on.
pub(crate) fn folders(parent: &Parent) -> Vec<PathBuf> {
    let own = Path::new("/sys/bus")
        .join(&parent.bus)
        .join("devices")
        .join(&parent.name);
    let Ok(own) = own.canonicalize() else {
        return Vec::new();
    };
    let above = (parent.bus == "virtio")
        .then(|| own.parent().map(Path::to_owned))
        .flatten();
    [Some(own), above].into_iter().flatten().collect()
}

/// The NUMA node; `None` where the machine has one alone or does not say.
pub(crate) fn numa_node(folders: &[PathBuf]) -> Option<u32> {
    let read = |folder: &PathBuf| fs::read_to_string(folder.join("numa_node")).ok();
    // The kernel writes -1 where it does not know.
    folders
        .iter()
        .filter_map(read)
        .find_map(|text| text.trim().parse().ok())
}

/// What a virtio device and its driver agreed on, a bit for each feature (VIRTIO 1.2 section 2.2); `None` for others.
pub(crate) fn virtio_features(parent: &Parent, folders: &[PathBuf]) -> Option<u64> {
    let own = folders.first().filter(|_| parent.bus == "virtio")?;
    features(&fs::read_to_string(own.join("features")).ok()?)
}

/// The kernel writes a digit for each bit, the lowest first.
fn features(text: &str) -> Option<u64> {
    let mut features = 0;
    for (number, digit) in text.trim().chars().enumerate() {
        match digit {
            '0' => {}
            '1' => features |= 1u64.checked_shl(u32::try_from(number).ok()?)?,
            _ => return None,
        }
    }
    Some(features)
}

#[cfg(test)]
mod tests {
    use super::*;

    // Catches bits read from the wrong end.
    #[test]
    fn the_lowest_bit_is_written_first() {
        assert_eq!(features("1100\n"), Some(0b11));
        assert_eq!(features(&format!("{}1", "0".repeat(33))), Some(1 << 33));
        assert_eq!(features(&format!("{}1", "0".repeat(64))), None);
        assert_eq!(features("x"), None);
    }
}
