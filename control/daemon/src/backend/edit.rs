//! What requests say of peers and rules, as the model takes it.

use crate::clock;
use weir_abi::key::PresharedKey;
use weir_abi::rule::{Action, Rule};
use weir_api::types::{self, Name, PeerInput, PeerPatch, PresharedKeyInput};
use weir_model::PeerEdit;

/// What a whole peer says: what it leaves out is cleared, but for its preshared key and networks, which stay.
pub fn of_input(input: PeerInput) -> PeerEdit {
    PeerEdit {
        name: Some(Some(input.name.as_str().to_owned())),
        groups: Some(names(&input.groups)),
        allowed_ips: input
            .allowed_ips
            .map(|all| all.into_iter().map(|cidr| cidr.0).collect()),
        endpoint: Some(input.endpoint.map(|endpoint| endpoint.0)),
        persistent_keepalive: Some(input.persistent_keepalive),
        preshared_key: input.preshared_key.map(preshared_key),
        disabled: Some(input.disabled),
        expires_at: Some(input.expires_at),
        notes: Some(input.notes.as_str().to_owned()),
    }
}

/// What a patch says.
pub fn of_patch(patch: PeerPatch) -> PeerEdit {
    PeerEdit {
        name: patch.name.map(|name| Some(name.as_str().to_owned())),
        groups: patch.groups.map(|groups| names(&groups.unwrap_or_default())),
        allowed_ips: patch
            .allowed_ips
            .map(|all| all.into_iter().map(|cidr| cidr.0).collect()),
        endpoint: patch.endpoint.map(|endpoint| endpoint.map(|endpoint| endpoint.0)),
        persistent_keepalive: patch.persistent_keepalive,
        preshared_key: patch.preshared_key.map(preshared_key),
        disabled: patch.disabled,
        expires_at: patch.expires_at,
        notes: patch
            .notes
            .map(|notes| notes.unwrap_or_default().as_str().to_owned()),
    }
}

/// A rule.
pub fn rule(input: types::RuleInput) -> Rule {
    Rule {
        name: input.name.map(|name| name.as_str().to_owned()),
        action: match input.action {
            types::Action::Accept => Action::Accept,
            types::Action::Deny => Action::Deny,
        },
        from: input.from.into_iter().map(|sender| sender.0).collect(),
        to: input.to.into_iter().map(|target| target.0).collect(),
        protocol: input.protocol.map(|protocol| protocol.0),
        ports: input.ports.into_iter().map(|ports| ports.0).collect(),
        log: input.log,
    }
}

fn names(names: &[Name]) -> Vec<String> {
    names.iter().map(|name| name.as_str().to_owned()).collect()
}

fn preshared_key(input: Option<PresharedKeyInput>) -> Option<PresharedKey> {
    match input? {
        PresharedKeyInput::Generate => Some(PresharedKey::from_bytes(clock::random())),
        PresharedKeyInput::Key(key) => Some(key),
    }
}
