//! Holding threads, and what they start, to cores.

use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;

use crate::{LabError, Result};

/// Holds the calling thread to these cores, and with it every thread and program that it starts from now on.
pub(super) fn hold(cores: &[usize]) -> Result<()> {
    hold_thread(0, cores)
}

/// Holds the thread of this number to these cores; 0 is the calling one.
pub(super) fn hold_thread(thread: i32, cores: &[usize]) -> Result<()> {
    let doing = || LabError::io(format!("hold a thread to the cores {cores:?}"));
    let mut set = CpuSet::new();
    for &core in cores {
        set.set(core).map_err(|errno| doing()(errno.into()))?;
    }
    sched_setaffinity(Pid::from_raw(thread), &set).map_err(|errno| doing()(errno.into()))
}

/// The cores that the calling thread may use.
pub(super) fn allowed() -> Result<Vec<usize>> {
    let set = sched_getaffinity(Pid::from_raw(0))
        .map_err(|errno| LabError::io("read the cores of this process")(errno.into()))?;
    Ok((0..CpuSet::count())
        .filter(|&core| set.is_set(core) == Ok(true))
        .collect())
}
