//! The protocol's constants (whitepaper section 6.1) and the bounds that
//! Linux adds to them.

use core::time::Duration;

/// Messages sent under one keypair after which a new handshake is begun.
pub const REKEY_AFTER_MESSAGES: u64 = 1 << 60;

/// Messages after which a keypair is refused in both directions: 2^64 - 2^13 - 1.
pub const REJECT_AFTER_MESSAGES: u64 = u64::MAX - (1 << 13);

/// Age at which the initiator of a keypair begins a new handshake when it sends.
pub const REKEY_AFTER_TIME: Duration = Duration::from_secs(120);

/// Age at which a keypair is refused in both directions.
pub const REJECT_AFTER_TIME: Duration = Duration::from_secs(180);

/// How long initiations are repeated before the attempt is given up.
pub const REKEY_ATTEMPT_TIME: Duration = Duration::from_secs(90);

/// Wait before an initiation is repeated, and the least distance between two.
pub const REKEY_TIMEOUT: Duration = Duration::from_secs(5);

/// Silence after received data that is broken by an empty message.
pub const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(10);

/// Life of a cookie at the one who received it, and two epochs of the secret
/// at the one who made it.
pub const COOKIE_REFRESH_TIME: Duration = Duration::from_secs(120);

/// A cookie is no longer used this long before its maker could refuse it, for
/// the message that carries it takes time to arrive (Linux: COOKIE_SECRET_LATENCY).
pub const COOKIE_LATENCY: Duration = Duration::from_secs(5);

/// How long one cookie secret makes cookies; they are taken for one epoch more.
pub const COOKIE_EPOCH: Duration = Duration::from_secs(60);

/// Greatest random addition to [`REKEY_TIMEOUT`] (whitepaper section 6.4).
pub const REKEY_TIMEOUT_JITTER_MAX: Duration = Duration::from_millis(333);

/// Age of a keypair at which its initiator begins a new handshake when it
/// receives (whitepaper section 6.2).
pub const REKEY_ON_RECEIVE_AFTER_TIME: Duration = REJECT_AFTER_TIME
    .saturating_sub(KEEPALIVE_TIMEOUT)
    .saturating_sub(REKEY_TIMEOUT);

/// Time without a new session after which all key material is erased
/// (whitepaper section 6.3).
pub const ZERO_AFTER_TIME: Duration = REJECT_AFTER_TIME.saturating_mul(3);

/// Most initiations of one peer that are answered in a second (Linux).
pub const INITIATIONS_PER_SECOND: u32 = 50;

/// Bits of the replay bitmap.
pub const REPLAY_BITS: u64 = 8192;

/// Counters behind the greatest received that are still taken: the bitmap
/// less the word that is being cleared (RFC 6479).
pub const REPLAY_WINDOW: u64 = REPLAY_BITS - 64;

/// Granularity of an initiation's timestamp: the greatest power of two that
/// still tells [`INITIATIONS_PER_SECOND`] apart, so that it says little about
/// the sender's clock (Linux).
pub const TIMESTAMP_GRANULARITY_NS: u64 = 1 << 24;
