//! Two ends with fixed keys, shared by the tests of the handshake.

use weir_abi::key::{PresharedKey, PrivateKey};
use weir_noise::message::{INITIATION_LEN, RESPONSE_LEN};
use weir_noise::{
    AuthenticInitiation, HandshakeError, Identity, Index, Initiator, OpenedInitiation, Remote, SessionKeys,
    Tai64n, initiate,
};

pub const ALICE: [u8; 32] = [0x11; 32];
pub const BOB: [u8; 32] = [0x22; 32];
pub const ALICE_EPHEMERAL: [u8; 32] = [0x33; 32];
pub const BOB_EPHEMERAL: [u8; 32] = [0x44; 32];
pub const PSK: [u8; 32] = [0x55; 32];
pub const ALICE_INDEX: Index = Index(0xa11c_e000);
pub const BOB_INDEX: Index = Index(0xb0b0_0001);

/// One end: its identity, and the other as it sees it.
pub struct End {
    pub identity: Identity,
    pub remote: Remote,
}

pub fn end(private: [u8; 32], other: [u8; 32]) -> End {
    let identity = Identity::new(&PrivateKey::from_bytes(private));
    let other = Identity::new(&PrivateKey::from_bytes(other));
    let remote = Remote::new(&identity, *other.public()).expect("the fixed keys are not of low order");
    End { identity, remote }
}

pub fn alice() -> End {
    end(ALICE, BOB)
}

pub fn bob() -> End {
    end(BOB, ALICE)
}

pub fn psk() -> PresharedKey {
    PresharedKey::from_bytes(PSK)
}

pub fn timestamp() -> Tai64n {
    Tai64n::from_unix_nanos(1_790_000_000_123_456_789)
}

impl End {
    pub fn initiate(&self) -> ([u8; INITIATION_LEN], Initiator) {
        initiate(
            &self.identity,
            &self.remote,
            ALICE_INDEX,
            timestamp(),
            ALICE_EPHEMERAL,
        )
        .expect("the fixed keys are not of low order")
    }

    pub fn authenticate(
        &self,
        message: &[u8; INITIATION_LEN],
    ) -> Result<AuthenticInitiation, HandshakeError> {
        OpenedInitiation::open(&self.identity, message)?.authenticate(&self.remote)
    }

    pub fn answer(
        &self,
        message: &[u8; INITIATION_LEN],
        psk: &PresharedKey,
    ) -> Result<([u8; RESPONSE_LEN], SessionKeys), HandshakeError> {
        self.authenticate(message)?
            .respond(&self.remote, psk, BOB_INDEX, BOB_EPHEMERAL)
    }
}
