//! The bodies of the fuzz targets. Each takes any bytes and asserts what must hold for them; a panic is a finding.
//!
//! The libFuzzer programs of `bench/fuzz` call one each, and `tests/replay.rs` runs the kept corpora through all of
//! them on the stable toolchain. Nothing here does I/O, reads a clock, or is part of the product.
#![forbid(unsafe_code)]

pub mod abi;
pub mod config;
pub mod cookies;
mod ends;
pub mod engine;
pub mod gateway;
mod input;
mod lab;
pub mod messages;
pub mod offload;
mod packet;
mod pure;
pub mod replay;
mod rotation;
pub mod router;
pub mod session;
pub mod store;
mod text;
pub mod timers;
pub mod wire;

/// A target's body.
pub type Target = fn(&[u8]);

/// Every target by the name of its program and of its corpus.
pub const TARGETS: &[(&str, Target)] = &[
    ("wire_classify", wire::classify),
    ("wire_ip", wire::ip),
    ("wire_clamp_mss", wire::clamp_mss),
    ("wire_icmp_error", wire::icmp_error),
    ("wire_virtio", wire::virtio_header),
    ("wire_segment", offload::segment),
    ("wire_coalesce", offload::coalesce),
    ("wire_forward", router::forward),
    ("wire_arrival", router::arrivals),
    ("wire_outer", router::outer),
    ("noise_initiation", messages::initiation),
    ("noise_response", messages::response),
    ("noise_cookie_reply", messages::cookie_reply),
    ("noise_cookies", cookies::cookies),
    ("noise_replay", replay::window),
    ("noise_timers", timers::timers),
    ("noise_handshake", session::handshake),
    ("abi_text", abi::text),
    ("abi_ipc", abi::ipc),
    ("config_toml", config::toml),
    ("config_edit", config::edit),
    ("config_conf", config::conf),
    ("gateway_uapi_set", gateway::uapi_set),
    ("gateway_uapi_stream", gateway::uapi_stream),
    ("gateway_state_file", gateway::state_file),
    ("engine_shard", engine::shard),
    ("store_archive", store::archive),
    ("store_record", store::record),
];
