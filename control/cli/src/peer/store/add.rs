//! `weir peer add` by the API: the control process makes addresses and keys, and tells the private one this once.

use super::path;
use crate::args::{AddArgs, Preshared};
use crate::control::records::{PeerCreated, Status};
use crate::control::{Answer, Control, Sending};
use crate::error::{Failure, Outcome};
use crate::files::{self, Made};
use crate::term::{printable, say};
use crate::{change, client, ipc, keys, times};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;
use std::path::Path;
use std::process::ExitCode;
use ureq::http::Method;
use weir_abi::endpoint::Endpoint;
use weir_abi::key::PresharedKey;
use weir_abi::prefix::Prefix;
use weir_config::conf::Conf;
use zeroize::Zeroizing;

/// What a peer is to be, as the API takes it.
#[derive(Serialize)]
struct Input<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    public_key: Option<String>,
    preshared_key: Option<&'a str>,
    groups: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    allowed_ips: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    endpoint: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    persistent_keepalive: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<String>,
    notes: &'a str,
    full_tunnel: bool,
}

/// Adds a client and prints its configuration. Either everything succeeds or nothing changes.
pub fn add(control: &Control, options: &AddArgs, directory: &Path) -> Outcome {
    // Of a peer that has its private key already the control process prints nothing, so the preshared key is made here.
    let own_psk = (options.public_key.is_some() && options.preshared_key == Preshared::Generate)
        .then(keys::new_preshared)
        .transpose()?;
    let psk_text = own_psk.as_ref().map(PresharedKey::expose_base64);
    let expires = options.expires.as_deref();
    let expires = expires.map(|text| times::end(text, "--expires", Timestamp::now()));
    let prefixes = options.allowed_ips.iter().map(ToString::to_string).collect();
    let input = Input {
        name: &options.name,
        public_key: options.public_key.map(|key| key.to_string()),
        preshared_key: match (&psk_text, options.preshared_key) {
            (Some(text), _) => Some(text),
            (None, Preshared::Generate) => Some("generate"),
            (None, Preshared::None) => None,
        },
        groups: &options.groups,
        allowed_ips: Some(prefixes).filter(|prefixes: &Vec<_>| !prefixes.is_empty()),
        endpoint: options.endpoint.as_ref().map(ToString::to_string),
        persistent_keepalive: options.keepalive.filter(|seconds| *seconds > 0),
        expires_at: expires.transpose()?,
        notes: options.notes.as_deref().unwrap_or_default(),
        full_tunnel: options.full_tunnel || (!options.split_tunnel && translates(control, directory)),
    };
    let mut made = Made::default();
    if let Some(path) = options.conf.as_deref().filter(|_| !options.change.dry_run) {
        // That it cannot be written is known before there is a key to be lost.
        made.create(path, "")?;
    }
    let answer = change::send(control, &Method::POST, "/v1/peers", Some(&input), &options.change)?;
    let Some(answer) = answer else {
        return Ok(ExitCode::SUCCESS);
    };
    let created: PeerCreated = answer.read()?;
    if let Err(failure) = hand_over(control, options, &answer, &created, own_psk, input.full_tunnel) {
        // Nobody has the client's private key, and there is no other copy of it.
        control.send(
            &Method::DELETE,
            &path(&created.peer.public_key),
            &Sending::default(),
        )?;
        return Err(Failure::Said(format!(
            "{failure}; without its configuration shown, the peer is not added"
        )));
    }
    made.keep();
    say(&printable(&format!(
        "peer \"{}\" ({}) added",
        created.peer.called(),
        created.peer.allowed_ips.join(", ")
    )));
    if options.public_key.is_some() {
        say("the client's own private key is to be put in as PrivateKey");
    }
    Ok(ExitCode::SUCCESS)
}

/// Prints the configuration, and writes it to the file that was asked for.
fn hand_over(
    control: &Control,
    options: &AddArgs,
    answer: &Answer,
    created: &PeerCreated,
    psk: Option<PresharedKey>,
    full_tunnel: bool,
) -> Outcome<()> {
    let text = match &created.config {
        Some(config) => Zeroizing::new(config.clone()),
        None => template(control, &created.peer.public_key)?,
    };
    let conf = adapted(&text, options, psk, full_tunnel && created.config.is_none())?;
    if let Some(path) = &options.conf {
        files::replace(path, &conf)?;
    }
    if options.change.json {
        let mut value: Value = answer.read()?;
        value["config"] = Value::from(conf.as_str());
        change::print_json(&value)
    } else {
        client::show(&conf, options.qr)
    }
}

/// The client's configuration without what only the client knows.
fn template(control: &Control, public_key: &str) -> Outcome<Zeroizing<String>> {
    let answer = control.send(
        &Method::GET,
        &format!("{}/config", path(public_key)),
        &Sending::default(),
    )?;
    Ok(Zeroizing::new(String::from_utf8_lossy(&answer.body).into_owned()))
}

/// With the address that was asked for and the preshared key that was made here, and, of a template, which does not know
/// of it, with everything going through the tunnel.
fn adapted(
    text: &str,
    options: &AddArgs,
    psk: Option<PresharedKey>,
    full_tunnel: bool,
) -> Outcome<Zeroizing<String>> {
    if options.gateway.is_none() && psk.is_none() && !full_tunnel {
        return Ok(Zeroizing::new(text.to_owned()));
    }
    let mut conf = Conf::parse(text, "the client's configuration")?;
    for gateway in &mut conf.peers {
        if let Some(given) = &options.gateway {
            let known = gateway.endpoint.as_ref();
            let port = known.map_or(weir_config::DEFAULT_PORT, port);
            gateway.endpoint = Some(client::given_endpoint(given, port, "--gateway")?);
        }
        if let Some(psk) = &psk {
            gateway.preshared_key = Some(psk.clone());
        }
        if full_tunnel {
            let all = |network: &Prefix| {
                Prefix::new(network.address(), 0).expect("every family has the empty prefix")
            };
            gateway.allowed_ips = gateway.allowed_ips.iter().map(all).collect();
            gateway.allowed_ips.dedup();
        }
    }
    Ok(conf.expose_text())
}

fn port(endpoint: &Endpoint) -> u16 {
    match endpoint {
        Endpoint::Address(address) => address.port(),
        Endpoint::Name { port, .. } => *port,
    }
}

/// Whether the gateway translates for its clients, as its configuration says, which others than root may not read.
fn translates(control: &Control, directory: &Path) -> bool {
    let configuration = || {
        let status: Status = control.get("/v1/status", &[]).ok()?;
        let status = ipc::status(directory, &status.dataplane?.interface, false).ok()?;
        files::load_if_there(Path::new(&status.config_path?))?.ok()
    };
    configuration().is_some_and(|loaded| loaded.config.gateway.nat)
}
