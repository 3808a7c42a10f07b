//! What survives a restart: where each peer was reached last, the greatest timestamp it sent, when it was heard, and
//! the ceiling of this host's own timestamps. No secrets.
//!
//! One file, replaced as a whole, with the one before kept beside it as `.old`. A file that is damaged, or of another
//! version, costs a warning and never the start.

mod saver;

pub use saver::Saver;

use blake2::{Blake2s256, Digest};
use core::net::{IpAddr, SocketAddr, SocketAddrV6};
use serde::{Deserialize, Serialize};
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use weir_abi::key::PublicKey;

/// Where the files are, unless configured otherwise.
pub const DIRECTORY: &str = "/var/lib/weir";

/// The file's first bytes.
const MAGIC: [u8; 8] = *b"WEIRSTAT";

/// The version of what follows. Another one is not read.
const VERSION: u32 = 1;

/// Magic, version, and length of the content.
const HEADER: usize = 20;

/// The BLAKE2s-256 of all that stands before it.
const CHECKSUM: usize = 32;

/// A state of a million peers has 100 MB; what is larger is none.
const LARGEST: u64 = 1 << 30;

/// What is kept.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct State {
    /// No timestamp of this host is later: nanoseconds since 1970, 0 if none was sent.
    pub timestamp_ceiling_ns: u64,
    /// The peers.
    pub peers: Arc<Vec<PeerState>>,
}

/// What is kept of one peer.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct PeerState {
    /// The peer.
    pub public_key: PublicKey,
    /// Where it was reached last.
    #[serde(with = "scoped_address")]
    pub endpoint: Option<SocketAddr>,
    /// The greatest TAI64N timestamp that it sent (whitepaper section 5.1); all zero if none.
    pub greatest_timestamp: [u8; 12],
    /// When the last authenticated packet came from it: seconds since 1970, 0 for never.
    pub last_heard_unix_s: u64,
}

/// What was found at the start.
#[derive(Debug)]
pub struct Loaded {
    /// The state, empty if none was found.
    pub state: State,
    /// Where it comes from.
    pub source: Source,
    /// What is wrong with the files, for the operator.
    pub warnings: Vec<String>,
}

/// Which file a state was read from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Source {
    /// The current one.
    Current,
    /// The one before: its timestamp ceiling may lie one step below what was used.
    Previous,
    /// None.
    Fresh,
}

/// The file of an interface's state.
pub fn path(interface: &str) -> PathBuf {
    Path::new(DIRECTORY).join(format!("{interface}.state"))
}

/// Reads the state, or what can be had of it.
pub fn load(path: &Path) -> Loaded {
    let mut warnings = Vec::new();
    let files = [
        (path.to_owned(), Source::Current),
        (beside(path, "old"), Source::Previous),
    ];
    for (file, source) in files {
        match read(&file) {
            Ok(Some(state)) => {
                if source == Source::Previous {
                    warnings.push(format!("{}: used instead, it is somewhat older", file.display()));
                }
                return Loaded {
                    state,
                    source,
                    warnings,
                };
            }
            Ok(None) => {}
            Err(damage) => warnings.push(format!("{}: {damage}", file.display())),
        }
    }
    if !warnings.is_empty() {
        warnings.push("starting without the peers' last endpoints and timestamps".to_owned());
    }
    Loaded {
        state: State::default(),
        source: Source::Fresh,
        warnings,
    }
}

/// Why a file is of no use.
#[derive(Debug, thiserror::Error)]
pub enum Damage {
    /// The system does not give it.
    #[error("cannot be read: {0}")]
    Io(#[from] io::Error),
    /// It begins otherwise.
    #[error("is no state file of Weir's; expected one that begins with \"WEIRSTAT\"")]
    Foreign,
    /// It was written by another release.
    #[error("is of version {0}, expected {VERSION}")]
    Version(u32),
    /// It is not as long as it says.
    #[error("has {found} bytes, expected {expected}: it was cut off or added to")]
    Length {
        /// Bytes that there are.
        found: usize,
        /// Bytes that there should be.
        expected: u64,
    },
    /// Something in it was changed.
    #[error("has a wrong checksum: it was damaged")]
    Checksum,
    /// Its content is no state although the checksum is right.
    #[error("has content that cannot be read: {0}")]
    Content(postcard::Error),
}

/// Reads one file; `None` if it is not there.
fn read(path: &Path) -> Result<Option<State>, Damage> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let mut bytes = Vec::new();
    file.take(LARGEST).read_to_end(&mut bytes)?;
    decode(&bytes).map(Some)
}

/// Reads the content of a file; what is damaged anywhere is refused as a whole.
pub fn decode(bytes: &[u8]) -> Result<State, Damage> {
    let short = || Damage::Length {
        found: bytes.len(),
        expected: (HEADER + CHECKSUM) as u64,
    };
    let (magic, rest) = bytes.split_first_chunk::<8>().ok_or_else(short)?;
    let (version, rest) = rest.split_first_chunk::<4>().ok_or_else(short)?;
    let (length, rest) = rest.split_first_chunk::<8>().ok_or_else(short)?;
    let (content, checksum) = rest.split_last_chunk::<CHECKSUM>().ok_or_else(short)?;
    if *magic != MAGIC {
        return Err(Damage::Foreign);
    }
    match u32::from_le_bytes(*version) {
        VERSION => {}
        other => return Err(Damage::Version(other)),
    }
    let length = u64::from_le_bytes(*length);
    if length != content.len() as u64 {
        return Err(Damage::Length {
            found: bytes.len(),
            expected: length.saturating_add((HEADER + CHECKSUM) as u64),
        });
    }
    if Blake2s256::digest(&bytes[..HEADER + content.len()]) != *checksum {
        return Err(Damage::Checksum);
    }
    postcard::from_bytes(content).map_err(Damage::Content)
}

/// The content of a file that holds `state`.
pub fn encode(state: &State) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEADER + CHECKSUM + 100 * state.peers.len());
    bytes.extend(MAGIC);
    bytes.extend(VERSION.to_le_bytes());
    bytes.extend([0; 8]);
    let mut bytes = postcard::to_extend(state, bytes).expect("plain data of known length in memory");
    let length = (bytes.len() - HEADER) as u64;
    bytes[HEADER - 8..HEADER].copy_from_slice(&length.to_le_bytes());
    let checksum = Blake2s256::digest(&bytes);
    bytes.extend(checksum);
    bytes
}

/// Replaces the file, with its directory made where it is missing. What was there before becomes `.old`, if it is
/// worth keeping. At every moment one of the two is whole.
fn replace(path: &Path, bytes: &[u8], keep_previous: bool) -> io::Result<()> {
    let directory = path.parent().unwrap_or(Path::new("/"));
    DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    let fresh = beside(path, "new");
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&fresh)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    if keep_previous {
        match fs::rename(path, beside(path, "old")) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    fs::rename(&fresh, path)?;
    File::open(directory)?.sync_all()
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(suffix);
    name.into()
}

/// An address with its scope, which the address's own serialization drops, and without which a link-local endpoint is
/// none.
mod scoped_address {
    use super::*;
    use serde::{Deserializer, Serializer};

    type Parts = Option<(IpAddr, u16, u32)>;

    pub(super) fn serialize<S: Serializer>(address: &Option<SocketAddr>, to: S) -> Result<S::Ok, S::Error> {
        let parts: Parts = address.map(|a| {
            let scope = match a {
                SocketAddr::V4(_) => 0,
                SocketAddr::V6(v6) => v6.scope_id(),
            };
            (a.ip(), a.port(), scope)
        });
        parts.serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<SocketAddr>, D::Error> {
        let parts = Parts::deserialize(from)?;
        Ok(parts.map(|(ip, port, scope)| match ip {
            IpAddr::V4(_) => SocketAddr::new(ip, port),
            IpAddr::V6(v6) => SocketAddrV6::new(v6, port, 0, scope).into(),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A directory that goes with the test.
    pub(super) struct Directory(pub(super) PathBuf);

    impl Directory {
        pub(super) fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("weir-{}-{name}", std::process::id()));
            fs::create_dir_all(&path).expect("a directory for the test");
            Self(path)
        }
    }

    impl Drop for Directory {
        fn drop(&mut self) {
            fs::remove_dir_all(&self.0).expect("the test's directory");
        }
    }

    pub(super) fn state(ceiling: u64) -> State {
        let peer = |n: u8, endpoint: &str| PeerState {
            public_key: PublicKey::from_bytes([n; 32]),
            endpoint: endpoint.parse().ok(),
            greatest_timestamp: [n; 12],
            last_heard_unix_s: u64::from(n),
        };
        State {
            timestamp_ceiling_ns: ceiling,
            peers: Arc::new(vec![
                peer(1, "192.0.2.1:5"),
                peer(2, "[fe80::1%3]:6"),
                peer(3, "none"),
            ]),
        }
    }

    // Catches a field, or a link-local endpoint's scope, that does not survive.
    #[test]
    fn everything_survives() {
        let directory = Directory::new("survives");
        let path = directory.0.join("deeper/weir0.state");
        assert_eq!(load(&path).source, Source::Fresh);
        assert!(load(&path).warnings.is_empty());
        replace(&path, &encode(&state(7)), true).expect("written");
        let loaded = load(&path);
        assert_eq!((loaded.source, loaded.state), (Source::Current, state(7)));
        assert!(loaded.warnings.is_empty(), "{:?}", loaded.warnings);
    }

    // Catches damage that is believed, that panics, or that blocks the start: every bit, and every length.
    #[test]
    fn damage_is_found_and_the_previous_file_used() {
        let directory = Directory::new("damage");
        let path = directory.0.join("weir0.state");
        replace(&path, &encode(&state(1)), true).expect("written");
        replace(&path, &encode(&state(2)), true).expect("written");
        let good = fs::read(&path).expect("written");
        let check = |damaged: &[u8], how: &dyn Fn() -> String| {
            fs::write(&path, damaged).expect("the test's own file");
            let loaded = load(&path);
            assert_eq!(
                (loaded.source, loaded.state),
                (Source::Previous, state(1)),
                "{}",
                how()
            );
            assert_eq!(loaded.warnings.len(), 2, "{}: {:?}", how(), loaded.warnings);
            assert!(loaded.warnings[0].contains("weir0.state: "), "{}", how());
        };
        for bit in 0..8 * good.len() {
            let mut damaged = good.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            check(&damaged, &|| format!("bit {bit}"));
        }
        for length in 0..good.len() {
            check(&good[..length], &|| format!("cut to {length}"));
        }
        let longer = [&good[..], &[0]].concat();
        check(&longer, &|| "one byte more".to_owned());

        fs::remove_file(&path).expect("it is there");
        assert_eq!(load(&path).source, Source::Previous);
        fs::write(beside(&path, "old"), "").expect("the test's own file");
        let loaded = load(&path);
        assert_eq!((loaded.source, loaded.state), (Source::Fresh, State::default()));
        assert_eq!(loaded.warnings.len(), 2, "{:?}", loaded.warnings);
    }

    // Catches content that has a right checksum and is still not a state, such as one from a defect.
    #[test]
    fn sealed_nonsense_is_refused() {
        let mut bytes = encode(&State::default());
        bytes.truncate(HEADER);
        bytes.extend([0xff; 11]);
        bytes[HEADER - 8] = 11;
        let checksum = Blake2s256::digest(&bytes);
        bytes.extend(checksum);
        assert!(matches!(decode(&bytes), Err(Damage::Content(_))));
    }
}
