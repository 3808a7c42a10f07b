//! Authentication and authorization: who asks, and whether they may.

mod access;
mod authenticate;
pub mod connection;
mod cookie;
mod csrf;
mod logins;
pub mod password;
pub mod secret;

pub use access::{ACCESS, Access, Need, access_of};
pub(crate) use authenticate::{Authenticated, By, Credential, authenticate, may_stay};
pub(crate) use cookie::{clear_cookie, session_cookie};
pub(crate) use csrf::same_origin;
pub(crate) use logins::Logins;
