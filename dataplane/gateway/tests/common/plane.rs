//! A data plane of one shard, in the thread's own network.

use std::collections::HashMap;
use weir_abi::change::{Change, ChangeSet};
use weir_abi::desired::Origin;
use weir_engine::{Rates, Stamps};
use weir_gateway::dataplane::{DataPlane, Options};
use weir_sockets::{OffloadChoice, SteeringChoice};

pub const MTU: u16 = 1420;

/// Changes as the UAPI makes them.
pub fn set(changes: Vec<Change>) -> ChangeSet {
    ChangeSet {
        base: None,
        origin: Origin::Uapi,
        changes,
    }
}

/// A data plane with the device `weir0` that begins with these changes.
pub fn plane(changes: Vec<Change>) -> DataPlane {
    let options = Options {
        interface: "weir0".to_owned(),
        shards: 1,
        mtu: MTU,
        offload: OffloadChoice::Auto,
        steering: SteeringChoice::UserSpace,
        aead: weir_crypto::choose(None).expect("a back end works"),
        burst: 32,
        buffer: 1 << 20,
        queue: 16,
        rates: Rates::default(),
        tun: None,
        devices: Vec::new(),
    };
    let stamps = Stamps::new(0, Box::new(|_| true));
    DataPlane::start(options, &set(changes), HashMap::new(), stamps).expect("root makes a device")
}
