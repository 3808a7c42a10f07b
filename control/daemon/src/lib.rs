//! The control process: owner of desired state, link to the data plane, server of the API and of the page.
//!
//! It holds no packet, no session and no private key: stopped, killed or upgraded, traffic goes on. One thread, the
//! [`owner`], changes the state; everybody else reads what it published. The binary `weir-control` runs [`run::run`];
//! tests run [`run::start`] against a data plane that they play.
#![forbid(unsafe_code)]

pub mod alerts;
pub mod backend;
pub mod clock;
pub mod first;
pub mod keeper;
pub mod learnt;
pub mod link;
pub mod metrics;
pub mod options;
pub mod owner;
pub mod run;
pub mod sampler;
pub mod serving;
pub mod throughput;
pub mod world;
