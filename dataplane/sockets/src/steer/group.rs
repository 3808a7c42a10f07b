//! Steering of one UDP port's two reuseport groups.

use super::table::SlotTable;
use super::{Steering, SteeringChoice, SteeringError, SteeringReport, classic};
use crate::sys;
use crate::udp::SocketPair;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::sync::Arc;
use weir_xdp_prog::{Family, LoadError, ReuseportProgram};

/// A shard's sockets in the group.
pub(crate) struct Member {
    pub shard: u16,
    pub sockets: Arc<SocketPair>,
}

/// The way in force, and what it needs.
pub(crate) struct Steerer {
    choice: SteeringChoice,
    way: Way,
    refused: Vec<SteeringError>,
}

enum Way {
    Ebpf(ReuseportProgram),
    ClassicBpf,
    UserSpace,
}

impl Steerer {
    /// Steers among `members`, in the order in which they were bound, by the best way that `choice` allows.
    ///
    /// # Errors
    /// A way that was asked for by name and cannot be had.
    pub fn install(
        choice: SteeringChoice,
        members: &[Member],
        table: &SlotTable,
    ) -> Result<Self, SteeringError> {
        let ways: &[Steering] = match choice {
            SteeringChoice::Auto => &[Steering::Ebpf, Steering::ClassicBpf, Steering::UserSpace],
            SteeringChoice::Ebpf => &[Steering::Ebpf],
            SteeringChoice::ClassicBpf => &[Steering::ClassicBpf],
            SteeringChoice::UserSpace => &[Steering::UserSpace],
        };
        let mut refused = Vec::new();
        for way in ways {
            match install(*way, members, table) {
                Ok(way) => return Ok(Self { choice, way, refused }),
                Err(error) => refused.push(error),
            }
        }
        Err(refused.pop().expect("a way that was not installed was refused"))
    }

    pub fn report(&self) -> SteeringReport {
        let in_force = match self.way {
            Way::Ebpf(_) => Steering::Ebpf,
            Way::ClassicBpf => Steering::ClassicBpf,
            Way::UserSpace => Steering::UserSpace,
        };
        SteeringReport {
            in_force,
            refused: self.refused.clone(),
        }
    }

    /// Follows a new table. With `Auto`, what no longer works gives way to the next best.
    ///
    /// # Errors
    /// A way that was asked for by name and does not take the table; the old one may stay in force.
    pub fn write(&mut self, members: &[Member], table: &SlotTable) -> Result<(), SteeringError> {
        let written = match &self.way {
            Way::Ebpf(program) => program
                .write_slots(table.shards())
                .map_err(|error| SteeringError {
                    way: Steering::Ebpf,
                    reason: error.to_string(),
                }),
            Way::ClassicBpf => attach_classic(members, table),
            Way::UserSpace => Ok(()),
        };
        match (written, self.choice) {
            (Ok(()), _) => Ok(()),
            (Err(error), SteeringChoice::Auto) => {
                self.fall_back(error, members, table);
                Ok(())
            }
            (Err(error), SteeringChoice::Ebpf | SteeringChoice::ClassicBpf | SteeringChoice::UserSpace) => {
                Err(error)
            }
        }
    }

    /// Takes in the last of `members`, which has just been bound.
    ///
    /// # Errors
    /// As for [`Steerer::write`].
    pub fn add(&mut self, members: &[Member], table: &SlotTable) -> Result<(), SteeringError> {
        if let (Way::Ebpf(program), Some(member)) = (&self.way, members.last()) {
            insert(program, member)?;
        }
        self.write(members, table)
    }

    fn fall_back(&mut self, error: SteeringError, members: &[Member], table: &SlotTable) {
        let lost = error.way;
        self.refused.push(error);
        self.way = Way::UserSpace;
        if lost == Steering::Ebpf {
            match attach_classic(members, table) {
                Ok(()) => {
                    self.way = Way::ClassicBpf;
                    return;
                }
                Err(error) => self.refused.push(error),
            }
        }
        for socket in first_sockets(members) {
            // A program that cannot be taken off steers by an old table, which the engine makes up for.
            let _ = sys::set_option(socket, libc::SOL_SOCKET, libc::SO_DETACH_REUSEPORT_BPF, 0i32);
        }
    }
}

fn install(way: Steering, members: &[Member], table: &SlotTable) -> Result<Way, SteeringError> {
    match way {
        Steering::Ebpf => install_ebpf(members, table).map(Way::Ebpf),
        Steering::ClassicBpf => attach_classic(members, table).map(|()| Way::ClassicBpf),
        Steering::UserSpace => Ok(Way::UserSpace),
    }
}

fn install_ebpf(members: &[Member], table: &SlotTable) -> Result<ReuseportProgram, SteeringError> {
    let refused = |reason: String| SteeringError {
        way: Steering::Ebpf,
        reason,
    };
    let program = ReuseportProgram::load().map_err(|error: LoadError| refused(error.to_string()))?;
    program
        .write_slots(table.shards())
        .map_err(|error| refused(error.to_string()))?;
    for member in members {
        insert(&program, member)?;
    }
    for socket in first_sockets(members) {
        let descriptor = program.as_fd().as_raw_fd();
        sys::set_option(
            socket,
            libc::SOL_SOCKET,
            libc::SO_ATTACH_REUSEPORT_EBPF,
            descriptor,
        )
        .map_err(|error| refused(format!("attaching the program: {error}")))?;
    }
    Ok(program)
}

fn insert(program: &ReuseportProgram, member: &Member) -> Result<(), SteeringError> {
    let v6 = member.sockets.v6().map(|socket| (Family::V6, socket));
    for (family, socket) in [Some((Family::V4, member.sockets.v4())), v6]
        .into_iter()
        .flatten()
    {
        program
            .insert_socket(family, member.shard, socket)
            .map_err(|error| SteeringError {
                way: Steering::Ebpf,
                reason: error.to_string(),
            })?;
    }
    Ok(())
}

fn attach_classic(members: &[Member], table: &SlotTable) -> Result<(), SteeringError> {
    let order: Vec<u16> = members.iter().map(|member| member.shard).collect();
    let mut program = classic::program(table, &order);
    let filter = libc::sock_fprog {
        len: u16::try_from(program.len()).expect("a program is shorter than the kernel's limit"),
        filter: program.as_mut_ptr(),
    };
    for socket in first_sockets(members) {
        sys::set_option(socket, libc::SOL_SOCKET, libc::SO_ATTACH_REUSEPORT_CBPF, filter).map_err(
            |error| SteeringError {
                way: Steering::ClassicBpf,
                reason: explain(&error, program.len()),
            },
        )?;
    }
    Ok(())
}

fn explain(error: &io::Error, instructions: usize) -> String {
    if sys::errno(error) == libc::ENOMEM {
        format!("a program of {instructions} instructions exceeds net.core.optmem_max")
    } else {
        format!("attaching the program: {error}")
    }
}

/// One socket of each group: a program is attached through any of them.
fn first_sockets(members: &[Member]) -> impl Iterator<Item = BorrowedFd<'_>> {
    let sockets = members.first().map(|member| &member.sockets);
    let v4 = sockets.map(|sockets| sockets.v4());
    let v6 = sockets.and_then(|sockets| sockets.v6());
    [v4, v6].into_iter().flatten()
}
