//! A tunnel that carries traffic both ways for as long as something else is tried.
#![allow(
    dead_code,
    clippy::unwrap_used,
    reason = "each test program uses a part of it, and fails by panicking"
)]

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use weir_bench::tunnel::{Family, Side};
use weir_bench::{LabError, wait};

use crate::xdp::Pair;

/// Bytes of one transfer each way in a second.
const BYTES_PER_S: u64 = 6_000_000;

/// Bytes of one transfer, after which the next one begins.
const BYTES: u64 = 6_000_000;

/// The load, as whoever tries something under it sees it.
pub struct Load {
    stop: AtomicBool,
    arrived: [AtomicU64; 2],
}

impl Load {
    /// Bytes that have arrived whole, on the server and on the client.
    pub fn arrived(&self) -> [u64; 2] {
        self.arrived.each_ref().map(|bytes| bytes.load(Ordering::Relaxed))
    }
}

/// Has client and server transfer to each other, IPv4 from the client and IPv6 to it, while `work` is done.
pub fn amid_load<T>(pair: &Pair, work: impl FnOnce(&Load) -> T) -> T {
    let load = Load {
        stop: AtomicBool::new(false),
        arrived: Default::default(),
    };
    thread::scope(|scope| {
        for (place, from, family) in [(0, Side::Left, Family::V4), (1, Side::Right, Family::V6)] {
            let load = &load;
            scope.spawn(move || {
                while !load.stop.load(Ordering::Relaxed) {
                    match pair.transfer(from, family, BYTES, Some(BYTES_PER_S)).finish() {
                        Ok(_) => drop(load.arrived[place].fetch_add(BYTES, Ordering::Relaxed)),
                        Err(error) if is_unreachable(&error) => thread::sleep(Duration::from_millis(100)),
                        Err(error) => panic!("{from:?}: {error}: {:#?}", pair.lab.status()),
                    }
                }
            });
        }
        let _stop = Stop(&load);
        let done = work(&load);
        let both = || load.arrived().iter().all(|&bytes| bytes > 0);
        wait::until_true("a transfer each way", Duration::from_secs(60), both).unwrap();
        done
    })
}

/// Whether a connection was refused by a router, as it is when it begins while there is no way to the other side.
fn is_unreachable(error: &LabError) -> bool {
    let LabError::Io { source, .. } = error else {
        return false;
    };
    matches!(
        source.kind(),
        io::ErrorKind::NetworkUnreachable | io::ErrorKind::HostUnreachable
    )
}

/// Ends the load, also when what was tried under it failed.
struct Stop<'a>(&'a Load);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.stop.store(true, Ordering::Relaxed);
    }
}
