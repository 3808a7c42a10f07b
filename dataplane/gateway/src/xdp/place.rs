//! A shard's place at a card: the seat of its port, and how to wake the shard.

use crate::shard_thread::Waking;
use std::sync::Arc;
use weir_xsk::{BoundSocket, SeatHandle};

/// The place, taken or free.
pub struct Place {
    seat: Arc<SeatHandle>,
    waking: Option<Arc<Waking>>,
    taken: bool,
    /// Why it is free.
    trouble: Option<String>,
}

impl Place {
    /// A free place that nobody attends to.
    pub fn new(seat: Arc<SeatHandle>) -> Self {
        Self {
            seat,
            waking: None,
            taken: false,
            trouble: None,
        }
    }

    /// The seat.
    pub fn seat(&self) -> &SeatHandle {
        &self.seat
    }

    /// Whether it has a queue.
    pub fn is_taken(&self) -> bool {
        self.taken
    }

    /// Whether somebody would be woken by a queue.
    pub fn is_attended(&self) -> bool {
        self.waking.is_some()
    }

    /// Why it has no queue.
    pub fn trouble(&self) -> Option<&String> {
        self.trouble.as_ref()
    }

    /// Says why it has no queue.
    pub fn set_trouble(&mut self, trouble: String) {
        self.trouble = Some(trouble);
    }

    /// Wakes this thread from now on.
    pub fn attend(&mut self, waking: Arc<Waking>) {
        self.waking = Some(waking);
    }

    /// Gives it a queue.
    pub fn take(&mut self, socket: BoundSocket) {
        (self.taken, self.trouble) = (true, None);
        self.seat.take_socket(socket);
        self.ring();
    }

    /// Takes its queue, whose device is gone.
    pub fn clear(&mut self) {
        self.taken = false;
        self.seat.clear();
        self.ring();
    }

    fn ring(&self) {
        if let Some(waking) = &self.waking {
            waking.ring();
        }
    }
}
