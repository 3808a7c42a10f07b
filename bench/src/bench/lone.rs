//! A process alone in a namespace in which nothing happens, with a key and no peers yet.

use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use super::Settings;
use super::contender;
use super::interrupt::Stage;
use super::pair::quiet_namespace;
use super::uapi;
use crate::device_config::KeyPair;
use crate::{Implementation, Peer, Result, Topology};

/// It runs until this is dropped.
pub(super) struct Lone {
    peer: Peer,
    // Last, because fields are dropped in this order.
    _topology: Arc<Topology>,
}

impl Lone {
    /// Starts it on the cores of the calling thread.
    pub fn start(stage: &Stage, settings: &Settings, implementation: Implementation) -> Result<Self> {
        let topology = stage.topology()?;
        let namespace = quiet_namespace(&topology, "lone")?;
        let cores = settings.cores.len();
        let peer = contender::start(&topology, &namespace, "t", implementation, settings, cores)?;
        uapi::set_device(&peer, &KeyPair::seeded(1))?;
        Ok(Self {
            peer,
            _topology: topology,
        })
    }
}

impl Deref for Lone {
    type Target = Peer;

    fn deref(&self) -> &Peer {
        &self.peer
    }
}

impl DerefMut for Lone {
    fn deref_mut(&mut self) -> &mut Peer {
        &mut self.peer
    }
}
