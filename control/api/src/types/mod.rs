//! The JSON of requests and answers. Names are snake_case, times RFC 3339 in UTC, volumes bytes. Requests name no field
//! that is not here.

pub mod access;
pub mod administration;
pub mod audit;
pub mod event;
pub mod history;
pub mod object;
mod patch;
pub mod peer;
pub mod problem;
pub mod rule;
pub mod rule_text;
pub mod secret;
pub mod status;
pub mod text;

pub use access::*;
pub use administration::*;
pub use audit::*;
pub use event::*;
pub use history::*;
pub use peer::*;
pub use problem::*;
pub use rule::*;
pub use rule_text::*;
pub use secret::*;
pub use status::*;
pub use text::*;
