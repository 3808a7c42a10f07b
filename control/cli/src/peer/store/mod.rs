//! Peers as the control process keeps them: asked for, changed and examined by its API.

mod add;
mod list;
mod show;
mod why;

pub use add::add;
pub use list::list;
pub use show::show;
pub use why::why;

use crate::args::{ChangeArgs, OnOffArgs, SetArgs};
use crate::change;
use crate::control::records::Peer;
use crate::control::{Control, escaped};
use crate::error::{Failure, Outcome};
use crate::term::{printable, say};
use crate::times;
use jiff::Timestamp;
use serde_json::{Map, Value, json};
use std::process::ExitCode;
use ureq::http::Method;
use weir_abi::key::PublicKey;

/// What takes away what can be there or not.
const NONE: &str = "none";

/// Where a peer is in the API.
fn path(public_key: &str) -> String {
    format!("/v1/peers/{}", escaped(public_key))
}

/// The peer of this key or name, and as what it was answered.
fn find(control: &Control, peer: &str) -> Outcome<(Peer, Value)> {
    let value: Value = if peer.parse::<PublicKey>().is_ok() {
        control.get(&path(peer), &[])?
    } else {
        let found = control.list("/v1/peers", &[("q", peer)], usize::MAX)?;
        let of_name = |value: &Value| value.get("name").and_then(Value::as_str) == Some(peer);
        let mut found: Vec<Value> = found.into_iter().filter(of_name).collect();
        match (found.pop(), found.is_empty()) {
            (Some(one), true) => one,
            (None, _) => {
                return Err(Failure::Said(format!(
                    "peer {peer:?}: there is none of this name or public key; see weir peer list"
                )));
            }
            (Some(_), false) => {
                return Err(Failure::Said(format!(
                    "peer {peer:?}: several have this name; expected the public key of one, as weir peer list shows it"
                )));
            }
        }
    };
    let mut peers = Control::read_all(std::slice::from_ref(&value), "GET /v1/peers")?;
    let peer = peers.pop().expect("as many as were given");
    Ok((peer, value))
}

/// As [`find`], where it is to be changed here.
fn find_own(control: &Control, peer: &str) -> Outcome<Peer> {
    let (found, _) = find(control, peer)?;
    if found.owner == "file" {
        return Err(Failure::Said(format!(
            "peer {peer:?}: declared in weir.toml, where alone it is changed; edit that, or remove it with: \
             weir peer remove --file {}",
            found.public_key
        )));
    }
    Ok(found)
}

/// Changes what is named of a peer.
pub fn set(control: &Control, options: &SetArgs) -> Outcome {
    let peer = find_own(control, &options.peer)?;
    let mut patch = Map::new();
    let mut put = |field: &str, value: Option<Value>| {
        if let Some(value) = value {
            patch.insert(field.to_owned(), value);
        }
    };
    let or_none = |text: &String| if text == NONE { Value::Null } else { json!(text) };
    put("name", options.name.as_ref().map(|name| json!(name)));
    let prefixes = options.allowed_ips.as_ref();
    put(
        "allowed_ips",
        prefixes.map(|prefixes| {
            prefixes
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>()
                .into()
        }),
    );
    put("endpoint", options.endpoint.as_ref().map(or_none));
    put(
        "persistent_keepalive",
        options.keepalive.map(|seconds| json!(seconds)),
    );
    put(
        "groups",
        options.groups.as_ref().map(|groups| match groups.as_slice() {
            [only] if only == NONE => json!([]),
            groups => json!(groups),
        }),
    );
    let expires = match options.expires.as_deref() {
        None => None,
        Some(NONE) => Some(Value::Null),
        Some(text) => Some(json!(times::end(text, "--expires", Timestamp::now())?)),
    };
    put("expires_at", expires);
    put("notes", options.notes.as_ref().map(|notes| json!(notes)));
    if patch.is_empty() {
        return Err(Failure::Said(
            "nothing to change was named; see weir peer set --help".to_owned(),
        ));
    }
    patch_peer(control, &peer, &Value::Object(patch), &options.change, "changed")
}

/// Lets a peer in, or keeps it out.
pub fn switch(control: &Control, options: &OnOffArgs, on: bool) -> Outcome {
    let peer = find_own(control, &options.peer)?;
    let did = if on { "enabled" } else { "disabled" };
    patch_peer(control, &peer, &json!({ "disabled": !on }), &options.change, did)
}

/// Removes a peer.
pub fn remove(control: &Control, peer: &str, change: &ChangeArgs) -> Outcome {
    let peer = find_own(control, peer)?;
    let answer = change::send(
        control,
        &Method::DELETE,
        &path(&peer.public_key),
        None::<&()>,
        change,
    )?;
    if answer.is_some() {
        if change.json {
            change::print_json(&json!({ "public_key": peer.public_key, "removed": true }))?;
        }
        say(&printable(&format!("peer \"{}\" removed", peer.called())));
    }
    Ok(ExitCode::SUCCESS)
}

fn patch_peer(control: &Control, peer: &Peer, patch: &Value, change: &ChangeArgs, did: &str) -> Outcome {
    let answer = change::send(
        control,
        &Method::PATCH,
        &path(&peer.public_key),
        Some(patch),
        change,
    )?;
    if let Some(answer) = answer {
        if change.json {
            change::print_json(&answer.read()?)?;
        }
        say(&printable(&format!("peer \"{}\" {did}", peer.called())));
    }
    Ok(ExitCode::SUCCESS)
}
