//! The core on which frames arrive at the gateway: NAPI, the XDP program, the copy into a queue.
//!
//! A veth pair does that on the sender's core, which then sends less than a shard can take: a shard that has time to spare
//! takes small bursts, each with the costs of a whole one.

use weir_xdp_prog::AttachMode;

use super::super::cores;
use super::cores::Cores;
use super::lab::Lab;
use super::threads::Thread;
use crate::Result;

/// Has the gateway's devices be served by [`Cores::arriving`], where there is one. To be called for each that opened queues,
/// since NAPI's threads come with the program.
pub(super) fn hold(lab: &Lab, mode: AttachMode, held: &Cores) -> Result<()> {
    let Some(core) = held.arriving else {
        return Ok(());
    };
    for device in [lab.wan.name, lab.lan.name] {
        match mode {
            AttachMode::Driver => {
                lab.gateway.sysfs(&format!("class/net/{device}/threaded"), "1")?;
                for thread in Thread::of_napi(device)? {
                    cores::hold_thread(thread.number(), &[core])?;
                }
            }
            // A frame that veth did not take by NAPI goes where receive packet steering says, and meets the program there.
            AttachMode::Generic => {
                for queue in 0..2 {
                    let file = format!("class/net/{device}/queues/rx-{queue}/rps_cpus");
                    lab.gateway.sysfs(&file, &mask(core))?;
                }
            }
        }
    }
    Ok(())
}

/// A mask of one core as the kernel reads it: groups of 32 bits in hexadecimal digits, the highest first.
fn mask(core: usize) -> String {
    let groups = (0..=core / 32).rev();
    let groups = groups.map(|group| {
        if group == core / 32 {
            1u32 << (core % 32)
        } else {
            0
        }
    });
    let groups: Vec<String> = groups.map(|group| format!("{group:08x}")).collect();
    groups.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Catches a core taken for another one beyond the first group.
    #[test]
    fn a_mask_is_of_one_core() {
        assert_eq!(mask(3), "00000008");
        assert_eq!(mask(31), "80000000");
        assert_eq!(mask(65), "00000002,00000000,00000000");
    }
}
