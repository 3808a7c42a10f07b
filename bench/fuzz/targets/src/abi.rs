//! `weir-abi`: prefixes, endpoints and keys as texts, and the messages between processes.

use crate::input::Input;
use crate::text::read;
use core::fmt::Debug;
use postcard::{from_bytes, to_allocvec};
use serde::Serialize;
use serde::de::DeserializeOwned;
use weir_abi::change::ChangeSet;
use weir_abi::desired::Desired;
use weir_abi::endpoint::Endpoint;
use weir_abi::ipc::{Hello, Reply, Request};
use weir_abi::key::{PresharedKey, PrivateKey, PublicKey};
use weir_abi::prefix::{Prefix, address_and_length};

const PIECES: &[&str] = &[
    "10.0.0.0",
    "255.255.255.255",
    "::",
    "fd00::",
    "::ffff:192.0.2.1",
    "/0",
    "/8",
    "/24",
    "/32",
    "/33",
    "/64",
    "/128",
    "/129",
    "[",
    "]:",
    ":51820",
    ":0",
    ":65535",
    ":65536",
    "%eth0",
    "example.org",
    "-",
    ".",
    "_",
    "00",
    "+",
    "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
    "=",
    "QUFBQUFBQUFBQUFB",
    "0123456789abcdef0123456789abcdef",
    "\u{e9}",
];

/// What is read is written so that it is read again, and a key that is read is written as it stood.
pub fn text(data: &[u8]) {
    let text = &read(&mut Input::new(data), PIECES)[..];
    if let Ok(prefix) = text.parse::<Prefix>() {
        let written = prefix.to_string();
        assert_eq!(written.parse(), Ok(prefix));
        let (address, length) = address_and_length(text).expect("the prefix was read");
        assert_eq!(
            (Prefix::new(address, length), prefix.length()),
            (Some(prefix), length)
        );
        assert!(prefix.contains(address) && prefix.contains(prefix.address()) && prefix.overlaps(&prefix));
        let host = Prefix::host(address);
        assert!(host.overlaps(&prefix) && prefix.overlaps(&host));
    }
    if let Ok(endpoint) = text.parse::<Endpoint>() {
        let written = endpoint.to_string();
        assert_eq!(written.parse(), Ok(endpoint.clone()));
        match endpoint {
            Endpoint::Address(address) => assert_ne!(address.port(), 0),
            Endpoint::Name { host, port } => assert!(port != 0 && !host.is_empty() && host.is_ascii()),
        }
    }
    let base64 = text.parse::<PublicKey>().ok();
    assert!(
        base64.is_none_or(|key| key.to_string() == text),
        "a key with two texts"
    );
    let hex = PublicKey::from_hex(text).ok();
    assert!(hex.is_none_or(|key| key.to_hex() == text.to_ascii_lowercase()));
    // All three types read the same texts.
    let psk = text.parse::<PresharedKey>().ok().map(|key| *key.expose());
    assert_eq!(psk, base64.map(|key| *key.as_bytes()));
    let psk = PresharedKey::from_hex(text).ok().map(|key| *key.expose());
    assert_eq!(psk, hex.map(|key| *key.as_bytes()));
    if let Some(private) = text
        .parse::<PrivateKey>()
        .ok()
        .or(PrivateKey::from_hex(text).ok())
    {
        assert!(base64.is_some() || hex.is_some());
        assert_eq!(
            PrivateKey::from_bytes(*private.expose()),
            private,
            "clamping changes what was clamped"
        );
        assert_eq!(private.expose_base64().parse(), Ok(private.clone()));
        assert!(!format!("{private:?}").contains(&private.expose_hex()[..16]));
    }
}

/// Messages of either side: what is decoded is encoded so that it is decoded again.
pub fn ipc(data: &[u8]) {
    let mut input = Input::new(data);
    let which = input.byte();
    let bytes = input.rest();
    match which % 5 {
        0 => again::<Request>(bytes),
        1 => again::<Reply>(bytes),
        2 => again::<ChangeSet>(bytes),
        3 => again::<Desired>(bytes),
        _ => again::<Hello>(bytes),
    }
}

fn again<T: Serialize + DeserializeOwned + PartialEq + Debug>(bytes: &[u8]) {
    if let Ok(message) = from_bytes::<T>(bytes) {
        let encoded = to_allocvec(&message).expect("plain data in memory");
        assert_eq!(from_bytes::<T>(&encoded).as_ref(), Ok(&message));
    }
}
