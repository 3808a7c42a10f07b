//! Changes to the text of `weir.toml` that keep its comments, its order and everything else as they are.

use crate::key::public_key;
use crate::port::PortRole;
use toml_edit::{Array, ArrayOfTables, DocumentMut, InlineTable, Item, Table, TableLike, Value, value};
use weir_abi::desired::Peer;
use weir_abi::endpoint::Endpoint;
use weir_abi::key::{PrivateKey, PublicKey};

/// Why a text cannot be changed.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum EditError {
    /// The text is not TOML.
    #[error("the file is not TOML: {0}")]
    Syntax(String),
    /// `peer` is something else than a list of peers.
    #[error("peer is not a list; expected [[peer]] in double brackets")]
    NoList,
    /// `port` is something else than sections.
    #[error("port is not a list of sections; expected [[port]] in double brackets")]
    NoPorts,
    /// There is no section to put it into.
    #[error("the section [interface] is missing")]
    NoInterface,
    /// The name or key is there already.
    #[error("a peer \"{0}\" is there already; expected another name and key, or `weir peer remove` first")]
    Exists(String),
    /// No peer has this name or key.
    #[error("no peer {0:?}; expected a name or public key of `weir peer list`")]
    NoSuchPeer(String),
}

/// A peer to be written.
#[derive(Clone, PartialEq, Debug)]
pub struct PeerEntry {
    /// Its facts.
    pub peer: Peer,
    /// The file that holds its preshared key, written instead of the key itself.
    pub preshared_key_file: Option<String>,
}

impl From<Peer> for PeerEntry {
    fn from(peer: Peer) -> Self {
        Self {
            peer,
            preshared_key_file: None,
        }
    }
}

/// The text with one more peer behind the last one.
pub fn add_peer(text: &str, entry: &PeerEntry) -> Result<String, EditError> {
    add_peers(text, core::slice::from_ref(entry))
}

/// The text with these peers behind the last one, in their order.
pub fn add_peers(text: &str, entries: &[PeerEntry]) -> Result<String, EditError> {
    let mut document = document(text)?;
    let own = own_key(&document);
    let mut known: std::collections::HashSet<String> = std::collections::HashSet::new();
    for place in 0..count(&document)? {
        let (name, key) = identity(&document, place);
        known.extend(name.into_iter().chain(key));
    }
    for entry in entries {
        let key = entry.peer.public_key;
        let name = entry.peer.name.clone();
        if let Some(twice) = name
            .into_iter()
            .chain([key.to_string()])
            .find(|n| !known.insert(n.clone()))
        {
            return Err(EditError::Exists(twice));
        }
        if own == Some(key) {
            return Err(EditError::Exists(key.to_string()));
        }
        push(&mut document, table(entry))?;
    }
    Ok(document.to_string())
}

/// The text without the peer of this name or public key, and without the comment that stands directly above it.
pub fn remove_peer(text: &str, name_or_key: &str) -> Result<String, EditError> {
    let mut document = document(text)?;
    let found = (0..count(&document)?).find(|place| {
        let (name, key) = identity(&document, *place);
        name.as_deref() == Some(name_or_key) || key.as_deref() == Some(name_or_key)
    });
    let place = found.ok_or_else(|| EditError::NoSuchPeer(name_or_key.to_owned()))?;
    match document.get_mut("peer") {
        Some(Item::ArrayOfTables(peers)) => {
            let kept = peers.get(place).map(comments_of_others).unwrap_or_default();
            let position = peers.get(place).and_then(Table::position);
            peers.remove(place);
            if peers.is_empty() {
                document.remove("peer");
            }
            hand_down(&mut document, &kept, position);
        }
        Some(Item::Value(Value::Array(peers))) => {
            peers.remove(place);
        }
        Some(_) | None => return Err(EditError::NoList),
    }
    Ok(document.to_string())
}

/// The text with this as the address that clients use.
pub fn set_endpoint(text: &str, endpoint: &Endpoint) -> Result<String, EditError> {
    let mut document = document(text)?;
    let interface = document.get_mut("interface").and_then(Item::as_table_like_mut);
    let interface = interface.ok_or(EditError::NoInterface)?;
    set(interface, "endpoint", &endpoint.to_string());
    Ok(document.to_string())
}

/// The text with this device as the port of a role; what else is said of that port stays.
pub fn set_port(text: &str, role: PortRole, device: &str) -> Result<String, EditError> {
    let mut document = document(text)?;
    let ports = document
        .entry("port")
        .or_insert_with(|| Item::ArrayOfTables(ArrayOfTables::new()));
    let ports = ports.as_array_of_tables_mut().ok_or(EditError::NoPorts)?;
    let of_role = |port: &Table| port.get("role").and_then(Item::as_str) == Some(role.name());
    let there = ports.iter().position(of_role);
    match there.and_then(|place| ports.get_mut(place)) {
        Some(port) => set(port, "device", device),
        None => {
            let mut port = Table::new();
            port["device"] = value(device);
            port["role"] = value(role.name());
            port.decor_mut().set_prefix("\n");
            ports.push(port);
        }
    }
    Ok(document.to_string())
}

/// Puts a text at a key; where there is one, only the value is replaced, so that a comment behind it stays.
fn set(table: &mut dyn TableLike, key: &str, text: &str) {
    match table.get_mut(key) {
        Some(Item::Value(old)) => {
            let decor = old.decor().clone();
            *old = Value::from(text);
            *old.decor_mut() = decor;
        }
        Some(_) | None => {
            table.insert(key, value(text));
        }
    }
}

fn document(text: &str) -> Result<DocumentMut, EditError> {
    // Only the message: the error's own Display shows the line, which may hold a key.
    text.parse()
        .map_err(|e: toml_edit::TomlError| EditError::Syntax(e.message().trim().replace('\n', "; ")))
}

fn own_key(document: &DocumentMut) -> Option<PublicKey> {
    let private = document.get("interface")?.get("private_key")?.as_str()?;
    private.parse::<PrivateKey>().ok().map(|key| public_key(&key))
}

fn count(document: &DocumentMut) -> Result<usize, EditError> {
    match document.get("peer") {
        None => Ok(0),
        Some(Item::ArrayOfTables(peers)) => Ok(peers.len()),
        Some(Item::Value(Value::Array(peers))) => Ok(peers.len()),
        Some(_) => Err(EditError::NoList),
    }
}

/// The name and the public key of the peer at `place`, as far as they are texts.
fn identity(document: &DocumentMut, place: usize) -> (Option<String>, Option<String>) {
    let text = |key: &str| {
        let peer = document.get("peer")?.get(place)?;
        peer.get(key)?.as_str().map(str::to_owned)
    };
    (text("name"), text("public_key"))
}

fn table(entry: &PeerEntry) -> Table {
    let mut table = Table::new();
    let peer = &entry.peer;
    if let Some(name) = &peer.name {
        table["name"] = value(name);
    }
    table["public_key"] = value(peer.public_key.to_string());
    match (&entry.preshared_key_file, &peer.preshared_key) {
        (Some(path), _) => table["preshared_key_file"] = value(path),
        (None, Some(key)) => table["preshared_key"] = value(key.expose_base64().as_str()),
        (None, None) => {}
    }
    if let Some(endpoint) = &peer.endpoint {
        table["endpoint"] = value(endpoint.to_string());
    }
    table["allowed_ips"] = value(
        peer.allowed_ips
            .iter()
            .map(ToString::to_string)
            .collect::<Array>(),
    );
    if let Some(seconds) = peer.persistent_keepalive {
        table["persistent_keepalive"] = value(i64::from(seconds));
    }
    if !peer.groups.is_empty() {
        table["groups"] = value(peer.groups.iter().map(String::as_str).collect::<Array>());
    }
    table.decor_mut().set_prefix("\n");
    table
}

fn push(document: &mut DocumentMut, table: Table) -> Result<(), EditError> {
    let peers = document
        .entry("peer")
        .or_insert_with(|| Item::ArrayOfTables(ArrayOfTables::new()));
    match peers {
        Item::ArrayOfTables(peers) => peers.push(table),
        Item::Value(Value::Array(peers)) => {
            let inline: InlineTable = table.into_inline_table();
            peers.push(Value::InlineTable(inline));
        }
        Item::None | Item::Table(_) | Item::Value(_) => return Err(EditError::NoList),
    }
    Ok(())
}

/// What stands above a section's own comment: everything up to the last blank line before its header.
fn comments_of_others(table: &Table) -> String {
    let prefix = table
        .decor()
        .prefix()
        .and_then(|p| p.as_str())
        .unwrap_or_default();
    let mut kept = 0;
    let mut at = 0;
    for line in prefix.split_inclusive('\n') {
        if line.trim().is_empty() {
            kept = at;
        }
        at += line.len();
    }
    let kept = &prefix[..kept];
    if kept.trim().is_empty() {
        String::new()
    } else {
        kept.to_owned()
    }
}

/// Puts comments that stood before a removed section before the one that follows it, or at the end.
fn hand_down(document: &mut DocumentMut, comments: &str, position: Option<isize>) {
    if comments.is_empty() {
        return;
    }
    let root = document.as_table_mut();
    let tables = root.iter_mut().flat_map(|(_, item)| -> Vec<&mut Table> {
        match item {
            Item::Table(table) => vec![table],
            Item::ArrayOfTables(tables) => tables.iter_mut().collect(),
            Item::None | Item::Value(_) => Vec::new(),
        }
    });
    let next = tables
        .filter(|t| t.position() > position)
        .min_by_key(|t| t.position());
    match next {
        Some(table) => {
            let own = table
                .decor()
                .prefix()
                .and_then(|p| p.as_str())
                .unwrap_or_default();
            let joined = format!("{comments}{own}");
            table.decor_mut().set_prefix(joined);
        }
        None => {
            let trailing = document.trailing().as_str().unwrap_or_default();
            let joined = format!("{comments}{trailing}");
            document.set_trailing(joined);
        }
    }
}
