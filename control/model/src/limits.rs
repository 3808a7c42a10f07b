//! Every bound of what the store holds.

/// Peers at most: what the data plane takes.
pub const PEERS_MAX: usize = 1 << 20;

/// Allowed IPs of one peer at most.
pub const ALLOWED_IPS_MAX: usize = 256;

/// Groups of one peer at most.
pub const GROUPS_MAX: usize = 64;

/// Characters of a peer's notes at most.
pub const NOTES_MAX: usize = 2000;

/// Users at most.
pub const USERS_MAX: usize = 1000;

/// Tokens at most.
pub const TOKENS_MAX: usize = 1000;

/// Sessions of one user at most; a further one ends the oldest.
pub const SESSIONS_MAX: usize = 32;

/// Changes that wait for their confirmation at most.
pub const PENDING_MAX: usize = 16;
