//! The API's own state: what its limits need, and the owner of everything else.

use crate::auth::Logins;
use crate::auth::password::{HashError, Hasher};
use crate::backend::Backend;
use crate::http::Answers;
use core::fmt;
use jiff::Timestamp;
use std::sync::Arc;

/// What the routes share.
pub struct Api {
    pub(crate) backend: Arc<dyn Backend>,
    pub(crate) clock: Clock,
    pub(crate) own_uid: u32,
    pub(crate) hasher: Hasher,
    pub(crate) logins: Logins,
    pub(crate) answers: Answers,
}

/// Tells the time.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

impl Api {
    /// An API over `backend`. Processes of root and of the user `own_uid` are administrators on the Unix socket. Hashes
    /// one password, which takes some 20 ms.
    pub fn new(backend: Arc<dyn Backend>, clock: Clock, own_uid: u32) -> Result<Self, HashError> {
        Ok(Self {
            backend,
            clock,
            own_uid,
            hasher: Hasher::new()?,
            logins: Logins::default(),
            answers: Answers::default(),
        })
    }
}

impl fmt::Debug for Api {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Api")
            .field("own_uid", &self.own_uid)
            .finish_non_exhaustive()
    }
}
