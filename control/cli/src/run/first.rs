//! The first start: a configuration, a key and one client, written whole or not at all.

use super::FIRST_CLIENT;
use crate::args::{INTERFACE_NAME, RunArgs};
use crate::error::{Failure, Outcome};
use crate::files::{self, Loaded};
use crate::term::say;
use crate::{client, keys, net};
use std::fs;
use std::net::Ipv6Addr;
use std::path::{Path, PathBuf};
use weir_abi::desired::{Origin, Peer};
use weir_abi::endpoint::Endpoint;
use weir_abi::prefix::Prefix;
use weir_config::allocate::allocate;
use weir_config::conf::{self, Client};
use weir_config::edit::{PeerEntry, add_peer};
use weir_config::key::public_key;
use weir_config::starter::{Identity, Starter, text};
use weir_config::{Gateway, InterfaceAddress, is_interface_name};

/// The private key's file, beside the configuration.
const KEY_FILE: &str = "private.key";

/// Writes `weir.toml`, `private.key` and `clients/client1.conf`; when one of them fails, those written before it go again.
pub fn write(options: &RunArgs, endpoint: Option<Endpoint>) -> Outcome<Loaded> {
    if !is_interface_name(options.first_interface()) {
        return Err(Failure::Said(format!(
            "--interface: {:?}; expected {INTERFACE_NAME}",
            options.first_interface()
        )));
    }
    let path = std::path::absolute(&options.config).map_err(Failure::file(&options.config, "is no path"))?;
    let folder = path.parent().unwrap_or(Path::new("/"));
    files::create_private_folder(folder)?;
    let mut written = Vec::new();
    let outcome = write_all(
        options,
        endpoint.or_else(|| guess(options.first_port())),
        &path,
        folder,
        &mut written,
    );
    if outcome.is_err() {
        for file in &written {
            // The failure that leads here is the one to be told.
            let _ = fs::remove_file(file);
        }
    }
    outcome?;
    say(&format!(
        "{}: written, with a key and the client \"{FIRST_CLIENT}\"",
        options.config.display()
    ));
    files::load(&options.config)
}

fn write_all(
    options: &RunArgs,
    endpoint: Option<Endpoint>,
    path: &Path,
    folder: &Path,
    written: &mut Vec<PathBuf>,
) -> Outcome<()> {
    let mut create = |file: &Path, text: &str| -> Outcome<()> {
        files::create_private(file, text)?;
        written.push(file.to_owned());
        Ok(())
    };
    let key_file = folder.join(KEY_FILE);
    // A key that outlived its configuration stays this gateway's identity.
    if !key_file.exists() {
        let key = keys::new_private()?;
        create(
            &key_file,
            &zeroize::Zeroizing::new(format!("{}\n", *key.expose_base64())),
        )?;
    }
    let text = text(&Starter {
        name: options.first_interface().to_owned(),
        identity: Identity::File(KEY_FILE.to_owned()),
        listen_port: options.first_port(),
        fwmark: 0,
        addresses: addresses()?,
        mtu: None,
        routes: true,
        endpoint: endpoint.clone(),
        dns: Vec::new(),
        gateway: Gateway {
            forward: true,
            nat: true,
        },
    });
    let text = super::with_devices(path, &text, options)?;
    let config = files::parse(path, &text)?;
    let private = keys::new_private()?;
    let addresses = allocate(&config).map_err(|error| Failure::Allocate {
        path: path.to_owned(),
        error,
    })?;
    let peer = Peer {
        preshared_key: Some(keys::new_preshared()?),
        allowed_ips: addresses.clone(),
        name: Some(FIRST_CLIENT.to_owned()),
        ..Peer::new(public_key(&private), Origin::File)
    };
    let client = Client {
        private_key: Some(private),
        preshared_key: peer.preshared_key.clone(),
        addresses,
        endpoint,
        full_tunnel: true,
    };
    let text = add_peer(&text, &PeerEntry::from(peer)).map_err(|error| Failure::Edit {
        path: path.to_owned(),
        error,
    })?;
    files::parse(path, &text)?;
    let conf = client::path(path, FIRST_CLIENT);
    files::create_private_folder(conf.parent().unwrap_or(folder))?;
    if conf.exists() {
        // Left by a configuration that is gone; its key is in no configuration any more.
        fs::remove_file(&conf).map_err(Failure::file(&conf, "cannot be removed"))?;
    }
    create(
        &conf,
        &conf::client(&conf::Server::new(&config), &client).expose_text(),
    )?;
    create(path, &text)
}

fn guess(port: u16) -> Option<Endpoint> {
    let Some(endpoint) = client::guessed_endpoint(port) else {
        say(
            "no address of this host could be found for clients: set endpoint in [interface], or start with --endpoint",
        );
        return None;
    };
    say(&format!(
        "clients are told to use {endpoint}; another address: make run ENDPOINT=ADDRESS, or weir run --endpoint ADDRESS"
    ));
    Some(endpoint)
}

/// The tunnel's addresses: the first 10.N.0.1/24 from 10.77 on that no route of this host meets, and where the host
/// has an IPv6 default route a unique local prefix with a random global ID (RFC 4193 section 3.2).
fn addresses() -> Outcome<Vec<InterfaceAddress>> {
    let routes = net::routes();
    let free = |n: &u8| {
        let network = Prefix::new([10, *n, 0, 0].into(), 24).expect("24 bits fit IPv4");
        !routes
            .iter()
            .any(|r| r.prefix.length() > 0 && r.prefix.overlaps(&network))
    };
    let second = (77..=254).find(free).unwrap_or(77);
    let mut addresses = vec![InterfaceAddress {
        address: [10, second, 0, 1].into(),
        length: 24,
    }];
    if net::default_device(false).is_some() {
        let mut id = [0u8; 5];
        getrandom::fill(&mut id).map_err(Failure::Random)?;
        let mut bytes = [0u8; 16];
        bytes[0] = 0xfd;
        bytes[1..6].copy_from_slice(&id);
        bytes[15] = 1;
        addresses.push(InterfaceAddress {
            address: Ipv6Addr::from(bytes).into(),
            length: 64,
        });
    }
    Ok(addresses)
}
