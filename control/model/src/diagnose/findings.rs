//! The findings, in words.

use super::{Certainty, Finding};
use core::net::IpAddr;
use jiff::Timestamp;
use weir_abi::key::PublicKey;
use weir_abi::refused::RefusedHandshake;
use weir_abi::status::PeerStatus;

fn finding(
    code: &'static str,
    certainty: Certainty,
    summary: &str,
    detail: impl Into<String>,
    remedy: &str,
) -> Finding {
    Finding {
        code,
        certainty,
        summary: summary.to_owned(),
        detail: detail.into(),
        remedy: remedy.to_owned(),
    }
}

fn from(refused: &RefusedHandshake) -> String {
    format!(
        "{} handshake messages from {}, the last one lately",
        refused.count, refused.source
    )
}

pub(super) fn data_plane_away() -> Finding {
    finding(
        "data_plane_away",
        Certainty::Certain,
        "The data plane does not answer.",
        "The control process has no connection to the data plane, so nothing is known of its peers now.",
        "Look at the log of weir-dataplane, and start it again.",
    )
}

pub(super) fn conflict(why: &str) -> Finding {
    finding(
        "conflict",
        Certainty::Certain,
        "The peer is not in force: weir.toml stands against it.",
        why,
        "Change or remove it here, or in weir.toml.",
    )
}

fn called(calls: Option<&RefusedHandshake>) -> String {
    calls.map_or_else(
        || "It has not called lately.".to_owned(),
        |refused| format!("It calls all the same: {}.", from(refused)),
    )
}

pub(super) fn expired(at: Timestamp, calls: Option<&RefusedHandshake>) -> Finding {
    finding(
        "expired",
        Certainty::Certain,
        "The peer has expired.",
        format!(
            "It expired at {at} and was taken out of the data plane. {}",
            called(calls)
        ),
        "Give it another time to expire, or none.",
    )
}

pub(super) fn disabled(calls: Option<&RefusedHandshake>) -> Finding {
    finding(
        "disabled",
        Certainty::Certain,
        "The peer is disabled.",
        format!("It is kept out of the data plane. {}", called(calls)),
        "Enable it.",
    )
}

pub(super) fn not_declared(key: &PublicKey) -> Finding {
    finding(
        "unknown_peer",
        Certainty::Certain,
        "No peer with this key is declared.",
        format!("{key} is neither in the store nor in weir.toml."),
        "Add the peer with this public key, if you know whose it is.",
    )
}

pub(super) fn replayed(last: Option<&RefusedHandshake>) -> Finding {
    let seen = last.map(from).unwrap_or_default();
    finding(
        "replayed_initiation",
        Certainty::Possible,
        "Old initiations of this peer arrive while it is connected.",
        format!("Somebody replays them, or two devices have the same private key. {seen}"),
        "Make sure that each device has a key of its own.",
    )
}

pub(super) fn old_timestamp(last: Option<&RefusedHandshake>) -> Finding {
    let seen = last.map(from).unwrap_or_default();
    finding(
        "old_timestamp",
        Certainty::Certain,
        "The peer's initiations bear an old timestamp.",
        format!(
            "Each initiation must be newer than the last one that was accepted (whitepaper section 5.1); these are not: \
             the peer's clock was set back, or its configuration runs on a second device. {seen}"
        ),
        "Set the peer's clock right. If one key is used on two devices, give one of them another.",
    )
}

pub(super) fn wrong_preshared_key(certainty: Certainty) -> Finding {
    finding(
        "wrong_preshared_key",
        certainty,
        "The two sides have different preshared keys.",
        "A response came that everything but our preshared key opens.",
        "Give the peer the same preshared key as this side has: make a new one here and put it into its configuration.",
    )
}

pub(super) fn return_path(certainty: Certainty, unconfirmed: u64) -> Finding {
    finding(
        "blocked_return_path",
        certainty,
        "Datagrams of the peer arrive, ours do not reach it.",
        format!(
            "{unconfirmed} of its initiations were answered and nothing came back; our own initiations find no answer."
        ),
        "Let UDP from the gateway's port out to the peer: look at firewalls on the way back, and at asymmetric routes.",
    )
}

pub(super) fn return_path_or_key(unconfirmed: u64) -> Finding {
    finding(
        "blocked_return_path",
        Certainty::Likely,
        "The peer is answered, but does not go on: our responses do not arrive, or its preshared key is another.",
        format!("{unconfirmed} of its initiations were answered, and nothing authentic came back."),
        "Probe the peer to tell which: if our initiations are answered, compare the preshared keys, else look at firewalls \
         on the way back.",
    )
}

pub(super) fn unknown_peer(certainty: Certainty, refused: &RefusedHandshake) -> Finding {
    let key = refused
        .peer
        .map_or_else(|| "a key".to_owned(), |key| key.to_string());
    finding(
        "unknown_peer",
        certainty,
        "Somebody calls with a public key that no peer has: the client may use another private key.",
        format!("{}: they name {key}, which is not declared.", from(refused)),
        "Compare the public key that the client shows with this peer's; if it is another, declare that one.",
    )
}

pub(super) fn wrong_server_key(certainty: Certainty, refused: &RefusedHandshake) -> Finding {
    finding(
        "wrong_server_key",
        certainty,
        "The client has another public key for this gateway.",
        format!(
            "{} were made for another public key than the interface's (their mac1 is wrong).",
            from(refused)
        ),
        "Put the gateway's public key, as the status shows it, into the client's [Peer] section.",
    )
}

pub(super) fn limited(certainty: Certainty, refused: &RefusedHandshake) -> Finding {
    finding(
        "limited",
        certainty,
        "Handshakes of this source are limited.",
        format!("{}: more came than are taken of one source.", from(refused)),
        "Wait a minute. If many peers share that address, raise handshakes_per_second_per_source in weir.toml.",
    )
}

pub(super) fn no_identity() -> Finding {
    finding(
        "no_identity",
        Certainty::Certain,
        "The interface has no private key.",
        "Without one no handshake is begun or answered.",
        "Set private_key_file in weir.toml.",
    )
}

pub(super) fn unresolved(endpoint: &str) -> Finding {
    finding(
        "endpoint_unresolved",
        Certainty::Certain,
        "The peer's endpoint is a name that was not resolved.",
        format!("{endpoint} has led to no address so far."),
        "Look at the name and at the gateway's resolver.",
    )
}

pub(super) fn endpoint_unknown() -> Finding {
    finding(
        "endpoint_unknown",
        Certainty::Certain,
        "It is not known where the peer is.",
        "Something is to be sent to it, but no endpoint is configured and it has not called yet.",
        "Let the peer call first, with a PersistentKeepalive for example, or give it an endpoint here.",
    )
}

pub(super) fn udp_blocked(endpoint: &str, had_session: bool) -> Finding {
    let before = if had_session {
        " It was connected before."
    } else {
        ""
    };
    finding(
        "udp_blocked",
        Certainty::Likely,
        "Nothing of the peer arrives: UDP is blocked on the way, the peer is off, or its endpoint is wrong.",
        format!("Our initiations to {endpoint} find no answer, and none of the peer's was received.{before}"),
        "Make sure that the peer runs, that its endpoint is right, and that UDP passes in both directions.",
    )
}

pub(super) fn nothing_arrived() -> Finding {
    finding(
        "udp_blocked",
        Certainty::Possible,
        "Nothing of the peer ever arrived: UDP is blocked on the way, the client is off, or has a wrong endpoint.",
        "No initiation of it was received or refused, and it has no endpoint here to try.",
        "Make sure that the client runs, that its Endpoint is this gateway's address and port, and that UDP reaches them.",
    )
}

pub(super) fn idle() -> Finding {
    finding(
        "idle",
        Certainty::Possible,
        "The last session ended by its age, and nothing asked for another.",
        "The peer is idle or gone; WireGuard says nothing while there is nothing to say.",
        "Send something to it, or probe it.",
    )
}

pub(super) fn mtu_black_hole(bytes: u32) -> Finding {
    finding(
        "mtu_black_hole",
        Certainty::Certain,
        "Small packets pass, large ones vanish: the path's MTU is smaller than the tunnel assumes.",
        format!("An echo request of 64 bytes was answered, one of {bytes} bytes was not."),
        "Lower the MTU on both sides, to 1280 for a start, or let ICMP Packet Too Big pass on the way.",
    )
}

pub(super) fn no_echo(target: Option<IpAddr>, peer: &PeerStatus) -> Finding {
    let target = target.map(|target| target.to_string()).unwrap_or_default();
    let networks: Vec<String> = peer.allowed_ips.iter().map(ToString::to_string).collect();
    finding(
        "no_echo",
        Certainty::Possible,
        "There is a session, but echo requests through it find no answer.",
        format!(
            "{target} does not answer. The peer's networks here are {}.",
            networks.join(", ")
        ),
        "The peer's firewall may drop echo requests; else make sure that its own address is among its allowed IPs, and that \
         its AllowedIPs for this gateway hold the tunnel's network.",
    )
}

pub(super) fn no_target() -> Finding {
    finding(
        "connected",
        Certainty::Certain,
        "There is a session.",
        "No echo was sent, for none of the peer's allowed IPs is a single address.",
        "Nothing is to be done.",
    )
}

pub(super) fn all_well() -> Finding {
    finding(
        "connected",
        Certainty::Certain,
        "All is well through the tunnel.",
        "There is a session, and echo requests small and large were answered.",
        "Nothing is to be done.",
    )
}
