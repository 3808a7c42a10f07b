//! Events for those who listen at `/v1/events`: the owner of the state publishes them, each listener has a queue that is
//! bounded, and those who come back are told what they missed, as far as it is kept.

mod hub;

pub use hub::{Hub, Listener, Next, Numbered, Resumed};
