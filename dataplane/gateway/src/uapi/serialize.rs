//! An interface to the lines of a `get`.

use super::{InterfaceView, PeerView};
use crate::secret_bytes::SecretText;
use core::fmt::{self, Write};
use zeroize::Zeroizing;

/// The answer to a `get`, without the `errno=` line: what is not set is left out, as wireguard-go leaves it out.
pub fn serialize(view: &InterfaceView) -> Zeroizing<Vec<u8>> {
    let mut text = SecretText::default();
    write_interface(&mut text, view).expect("writing to memory does not fail");
    text.0
}

fn write_interface(text: &mut SecretText, view: &InterfaceView) -> fmt::Result {
    if let Some(key) = &view.private_key {
        writeln!(text, "private_key={}", *key.expose_hex())?;
    }
    if view.listen_port != 0 {
        writeln!(text, "listen_port={}", view.listen_port)?;
    }
    if view.fwmark != 0 {
        writeln!(text, "fwmark={}", view.fwmark)?;
    }
    view.peers.iter().try_for_each(|peer| write_peer(text, peer))
}

fn write_peer(text: &mut SecretText, peer: &PeerView) -> fmt::Result {
    const SECOND_NS: u64 = 1_000_000_000;
    writeln!(text, "public_key={}", peer.public_key.to_hex())?;
    if let Some(key) = &peer.preshared_key {
        writeln!(text, "preshared_key={}", *key.expose_hex())?;
    }
    writeln!(text, "protocol_version=1")?;
    if let Some(endpoint) = peer.endpoint {
        writeln!(text, "endpoint={endpoint}")?;
    }
    let (seconds, nanos) = (
        peer.last_handshake_unix_ns / SECOND_NS,
        peer.last_handshake_unix_ns % SECOND_NS,
    );
    writeln!(text, "last_handshake_time_sec={seconds}")?;
    writeln!(text, "last_handshake_time_nsec={nanos}")?;
    writeln!(text, "tx_bytes={}", peer.tx_bytes)?;
    writeln!(text, "rx_bytes={}", peer.rx_bytes)?;
    let keepalive = peer.persistent_keepalive.unwrap_or(0);
    writeln!(text, "persistent_keepalive_interval={keepalive}")?;
    peer.allowed_ips
        .iter()
        .try_for_each(|prefix| writeln!(text, "allowed_ip={prefix}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use weir_abi::key::{PresharedKey, PrivateKey, PublicKey};

    // Catches a key in another order or spelling than `wg` reads; the expected text follows the protocol's page.
    #[test]
    fn the_whole_text() {
        let view = InterfaceView {
            private_key: Some(PrivateKey::from_bytes([0x48; 32])),
            listen_port: 51820,
            fwmark: 51,
            peers: vec![
                PeerView {
                    preshared_key: Some(PresharedKey::from_bytes([2; 32])),
                    endpoint: Some("[fe80::1%3]:9".parse().expect("an address")),
                    last_handshake_unix_ns: 5_000_000_007,
                    rx_bytes: 8,
                    tx_bytes: u64::MAX,
                    persistent_keepalive: Some(25),
                    allowed_ips: vec!["10.0.0.0/8".parse().expect("a prefix")],
                    ..PeerView::new(PublicKey::from_bytes([1; 32]))
                },
                PeerView::new(PublicKey::from_bytes([3; 32])),
            ],
        };
        let (private, public, preshared, other) =
            ("48".repeat(32), "01".repeat(32), "02".repeat(32), "03".repeat(32));
        let expected = format!(
            "private_key={private}\nlisten_port=51820\nfwmark=51\npublic_key={public}\npreshared_key={preshared}\n\
             protocol_version=1\nendpoint=[fe80::1%3]:9\nlast_handshake_time_sec=5\nlast_handshake_time_nsec=7\n\
             tx_bytes=18446744073709551615\nrx_bytes=8\npersistent_keepalive_interval=25\nallowed_ip=10.0.0.0/8\n\
             public_key={other}\nprotocol_version=1\nlast_handshake_time_sec=0\nlast_handshake_time_nsec=0\n\
             tx_bytes=0\nrx_bytes=0\npersistent_keepalive_interval=0\n"
        );
        assert_eq!(String::from_utf8(serialize(&view).to_vec()), Ok(expected));
        assert!(serialize(&InterfaceView::default()).is_empty());
    }
}
