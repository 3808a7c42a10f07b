//! What the fuzz targets of `bench/fuzz` call: each parser of bytes from files, with what must hold for any bytes. No
//! part of the product's interface.

use std::sync::LazyLock;

use jiff::Timestamp;
use weir_abi::key::{PresharedKey, PublicKey};
use weir_model::record::{OutboxKey, Peer, State, Write};

use crate::archive::{self, Cost, Key};
use crate::contents::{Contents, writes_of};
use crate::records::{RecordKey, Sealer, decode_into, encode};
use crate::sealing::{Algorithm, RootKey, SealingKey};

static KEY: LazyLock<SealingKey> = LazyLock::new(|| SealingKey::from_bytes([3; 32]));

static ARCHIVE: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let mut contents = Contents::empty(Timestamp::UNIX_EPOCH);
    let mut peer = Peer::new(PublicKey::from_bytes([1; 32]), Timestamp::UNIX_EPOCH);
    peer.preshared_key = Some(PresharedKey::from_bytes([2; 32]));
    contents.writes.push(Write::Peer(peer));
    archive::write(
        &contents,
        Algorithm::ChaCha20Poly1305,
        &Key::Sealing(&KEY),
        Cost::BACKUP,
    )
});

/// Any bytes as an archive, and a sound one changed by them: only the sound one is read.
pub fn archive(data: &[u8]) {
    assert!(
        archive::read(data, &Key::Sealing(&KEY)).is_err(),
        "bytes were read as an archive"
    );
    let mut changed = ARCHIVE.clone();
    for change in data.chunks_exact(3) {
        let place = usize::from(u16::from_be_bytes([change[0], change[1]])) % changed.len();
        changed[place] ^= change[2];
    }
    if let [.., cut] = data
        && data.len() % 3 == 1
    {
        changed.truncate(usize::from(*cut) * 2);
    }
    // A header whose checksum was made to fit.
    if data.len() % 3 == 2 && changed.len() == ARCHIVE.len() {
        archive::fit_checksum(&mut changed);
    }
    let read = archive::read(&changed, &Key::Sealing(&KEY));
    assert_eq!(
        read.is_ok(),
        changed == *ARCHIVE,
        "a changed archive was read, or a sound one was not"
    );
}

/// Any bytes as a record of any kind: what is read is written so that it is read again.
pub fn record(data: &[u8]) {
    let Some((&length, rest)) = data.split_first() else {
        return;
    };
    let (key, value) = rest.split_at(rest.len().min(usize::from(length)));
    let mut state = State::default();
    if decode_into(&mut state, key, value).is_err() {
        return;
    }
    let mut again = State {
        outbox: state.outbox.clone(),
        ..State::default()
    };
    for (key, number) in &state.outbox {
        let key = RecordKey::outbox(key);
        decode_into(&mut again, key.as_bytes(), &encode(number)).expect("an outbox entry is read again");
    }
    for write in writes_of(state.clone()) {
        if let (key, Some(value)) = RecordKey::of(&write) {
            decode_into(&mut again, key.as_bytes(), &value).expect("a record is read again");
        }
    }
    assert!(again == state, "a record was read otherwise than it was written");
    assert!(
        state
            .outbox
            .keys()
            .all(|key| matches!(key, OutboxKey::Peer(_) | OutboxKey::Rules))
    );
}

/// Any bytes as a sealed value: none opens.
pub fn sealed(data: &[u8]) {
    static SEALER: LazyLock<Sealer> = LazyLock::new(|| Sealer::new(RootKey::generate(), Algorithm::best()));
    assert!(SEALER.open("records", b"key", data).is_err(), "bytes were opened");
}
