//! Memory of AF_XDP queues, used again and again: what the kernel once shared is never returned.

use std::sync::{Mutex, PoisonError};

use weir_frame::{Home, PoolSize};
use weir_xsk::{CHUNK, Copying, Queue, SocketOptions, Store};

use super::lab::Device;
use crate::{LabError, Namespace, Result};

/// Frames of one queue, as many as a gateway's port has.
const FRAMES: usize = 3072;

/// Entries of each ring, as those of a gateway's port.
const RING: u32 = 1024;

/// The home of all frames; nobody hands them over.
const HOME: Home = Home { shard: 0, port: 0 };

/// Memory that no queue uses now.
#[derive(Default)]
pub(super) struct Stores {
    free: Mutex<Vec<Store>>,
}

impl Stores {
    /// Opens a queue of a device, copying as every queue of a veth does.
    pub fn open(&self, namespace: &Namespace, device: Device, queue: u32) -> Result<Queue> {
        let options = SocketOptions {
            interface: device.interface,
            queue,
            copying: Some(Copying::Each),
            ring: RING,
            busy_poll: false,
        };
        let failed = |error: String| LabError::io("open an AF_XDP queue")(std::io::Error::other(error));
        let store = match self.free.lock().unwrap_or_else(PoisonError::into_inner).pop() {
            Some(store) => store,
            None => Store::new(
                HOME,
                PoolSize {
                    small: FRAMES,
                    small_bytes: CHUNK,
                    large: 0,
                    large_bytes: 0,
                    ..PoolSize::default()
                },
            )
            .map_err(|error| failed(error.to_string()))?,
        };
        namespace
            .enter(|| Queue::open(options, store))
            .map_err(|refused| failed(refused.error.to_string()))
    }

    /// Closes a queue and keeps its memory.
    pub fn close(&self, queue: Queue) {
        let store = queue.close();
        self.free
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(store);
    }
}
