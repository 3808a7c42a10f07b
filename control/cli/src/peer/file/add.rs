//! `weir peer add`.

use super::{apply, consequence, psk_path};
use crate::args::{AddArgs, Preshared};
use crate::error::{Failure, Outcome};
use crate::files::{self, Loaded, Made};
use crate::term::{complain, say};
use crate::{client, keys};
use std::path::Path;
use std::process::ExitCode;
use weir_abi::desired::{Origin, Peer};
use weir_abi::key::{PresharedKey, PrivateKey};
use weir_abi::prefix::Prefix;
use weir_config::allocate::allocate;
use weir_config::conf::{self, Client};
use weir_config::edit::{PeerEntry, add_peer};
use weir_config::is_peer_name;
use weir_config::key::public_key;

/// Adds a client and prints its configuration. Either everything succeeds or nothing changes.
pub fn add(options: &AddArgs, config: &Path, directory: &Path) -> Outcome {
    if !is_peer_name(&options.name) {
        let expected = "1 to 64 letters, digits, spaces and -_.@+, with a letter or digit at either end";
        return Err(Failure::Said(format!(
            "name: {:?}; expected {expected}",
            options.name
        )));
    }
    let _lock = files::lock(config)?;
    let loaded = files::load(config)?;
    check_key(options, &loaded)?;
    let private = options.public_key.is_none().then(keys::new_private).transpose()?;
    let psk = (options.preshared_key == Preshared::Generate)
        .then(keys::new_preshared)
        .transpose()?;
    let peer = peer(options, &loaded, private.as_ref(), psk.clone())?;
    let conf = client_conf(options, &loaded, &peer, private)?;

    let mut made = Made::default();
    if let Some(path) = &options.conf {
        made.create(path, &conf)?;
    }
    let entry = entry(&loaded, peer.clone(), &mut made)?;
    let text = add_peer(&loaded.text, &entry).map_err(|error| Failure::Edit {
        path: config.to_owned(),
        error,
    })?;
    let reloaded = apply(&loaded, &text, directory)?;
    if let Err(failure) = client::show(&conf, options.qr) {
        // Nobody has the client's private key, and there is no other copy of it.
        apply(&loaded, &loaded.text, directory)?;
        return Err(Failure::Said(format!(
            "{failure}; without its configuration shown, the peer is not added: {} is as it was",
            config.display()
        )));
    }
    made.keep();

    let addresses: Vec<String> = peer.allowed_ips.iter().map(ToString::to_string).collect();
    let (name, file) = (&options.name, config.display());
    say(&format!(
        "peer \"{name}\" ({}) added to {file}; {}",
        addresses.join(", "),
        consequence(&loaded, reloaded)
    ));
    if options.public_key.is_some() {
        say("the client's own private key is to be put in as PrivateKey");
    }
    Ok(ExitCode::SUCCESS)
}

/// Refuses the gateway's own keys, which are at hand where its configuration is, unshown.
fn check_key(options: &AddArgs, loaded: &Loaded) -> Outcome<()> {
    let Some(key) = &options.public_key else {
        return Ok(());
    };
    let own = if *key == loaded.config.public_key() {
        "public"
    } else if PrivateKey::from_bytes(*key.as_bytes()) == loaded.config.interface.private_key {
        "private"
    } else {
        return Ok(());
    };
    Err(Failure::Said(format!(
        "--public-key: the gateway's own {own} key; expected the public key of the peer"
    )))
}

fn peer(
    options: &AddArgs,
    loaded: &Loaded,
    private: Option<&PrivateKey>,
    psk: Option<PresharedKey>,
) -> Outcome<Peer> {
    let key = options.public_key.or_else(|| private.map(public_key));
    let key = key.expect("either a public key was given or a private one was made");
    let allowed_ips = if options.allowed_ips.is_empty() {
        allocate(&loaded.config).map_err(|error| Failure::Allocate {
            path: loaded.path.clone(),
            error,
        })?
    } else {
        let mut given: Vec<Prefix> = Vec::new();
        for prefix in &options.allowed_ips {
            if !given.contains(prefix) {
                given.push(*prefix);
            }
        }
        given
    };
    Ok(Peer {
        preshared_key: psk,
        endpoint: options.endpoint.clone(),
        allowed_ips,
        persistent_keepalive: options.keepalive.filter(|s| *s > 0),
        name: Some(options.name.clone()),
        ..Peer::new(key, Origin::File)
    })
}

fn client_conf(
    options: &AddArgs,
    loaded: &Loaded,
    peer: &Peer,
    private_key: Option<PrivateKey>,
) -> Outcome<zeroize::Zeroizing<String>> {
    let port = loaded.config.interface.listen_port;
    let endpoint = match &options.gateway {
        Some(text) => Some(client::given_endpoint(text, port, "--gateway")?),
        None => client::endpoint(&loaded.config),
    };
    let host = |p: &&Prefix| **p == Prefix::host(p.address());
    let addresses: Vec<_> = peer.allowed_ips.iter().filter(host).copied().collect();
    if addresses.is_empty() {
        complain(
            "warning: none of --allowed-ips is a single address, so the client's configuration has no Address",
        );
    }
    let client = Client {
        private_key,
        preshared_key: peer.preshared_key.clone(),
        addresses,
        endpoint,
        full_tunnel: options.full_tunnel || (loaded.config.gateway.nat && !options.split_tunnel),
    };
    Ok(conf::client(&conf::Server::new(&loaded.config), &client).expose_text())
}

/// The entry for the file: the preshared key goes into a file of its own where others can read the configuration.
fn entry(loaded: &Loaded, peer: Peer, made: &mut Made) -> Outcome<PeerEntry> {
    let mut entry = PeerEntry::from(peer);
    let Some(key) = entry
        .peer
        .preshared_key
        .as_ref()
        .filter(|_| loaded.mode & 0o077 != 0)
    else {
        return Ok(entry);
    };
    let name = entry.peer.name.as_deref().unwrap_or_default();
    let path = psk_path(&loaded.path, name);
    files::create_private_folder(path.parent().expect("the path was joined to a folder"))?;
    made.create(
        &path,
        &zeroize::Zeroizing::new(format!("{}\n", *key.expose_base64())),
    )?;
    entry.preshared_key_file = Some(format!("keys/{name}.psk"));
    Ok(entry)
}
