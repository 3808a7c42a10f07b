//! Every limit of the API.

use core::time::Duration;

/// Bytes of a request's body at most.
pub const BODY_MAX: usize = 1024 * 1024;

/// Bytes of the body of a bulk change or of all rules at most.
pub const BULK_BODY_MAX: usize = 8 * 1024 * 1024;

/// Bytes of the body of a restore at most.
pub const RESTORE_BODY_MAX: usize = 128 * 1024 * 1024;

/// Changes in one bulk request at most.
pub const BULK_MAX: usize = 1000;

/// Items of a page at most.
pub const PAGE_MAX: usize = 1000;

/// Items of a page where no limit is asked for.
pub const PAGE_DEFAULT: usize = 100;

/// Bytes of a cursor at most.
pub const CURSOR_MAX: usize = 1024;

/// Bytes of the text that a query searches for at most.
pub const QUERY_TEXT_MAX: usize = 256;

/// How long a request may take. Diagnoses with a probe take 5 s.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// How long a request may take that reads or writes everything that is kept.
pub const SLOW_REQUEST_TIMEOUT: Duration = Duration::from_secs(300);

/// Events kept for those who come back.
pub const EVENT_RING: usize = 4096;

/// Events that wait for one listener at most.
pub const EVENT_QUEUE: usize = 1024;

/// Those who listen to events at most.
pub const LISTENERS_MAX: usize = 64;

/// How often a stream of events shows that it lives, and whether its caller still may listen is judged.
pub const HEARTBEAT: Duration = Duration::from_secs(10);

/// Passwords hashed at the same time at most; each takes 19 MiB and a core.
pub const HASHES_AT_ONCE: usize = 2;

/// Passwords waiting to be hashed at most.
pub const HASHES_WAITING: usize = 32;

/// Refused logins a minute, per name and per source.
pub const LOGIN_FAILURES: usize = 5;

/// Names and sources whose refused logins are remembered at most, each.
pub const LOGIN_SOURCES_MAX: usize = 10_000;

/// Characters of a password or passphrase at least.
pub const PASSWORD_MIN: usize = 10;

/// Answers kept for repetitions at most.
pub const IDEMPOTENT_MAX: usize = 1000;

/// Bytes of answers kept for repetitions at most.
pub const IDEMPOTENT_BYTES_MAX: usize = 8 * 1024 * 1024;

/// How long an answer is kept for repetitions.
pub const IDEMPOTENT_FOR: Duration = Duration::from_secs(600);

/// Characters of an Idempotency-Key at most.
pub const IDEMPOTENCY_KEY_MAX: usize = 128;

/// Versions in If-Match or If-None-Match at most.
pub const VERSIONS_MAX: usize = 16;

/// Seconds within which a change may ask to be confirmed.
pub const CONFIRM_WITHIN_S: core::ops::RangeInclusive<u32> = 10..=3600;
