//! The access rules that control declares; those of `weir.toml` are judged before them.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use weir_abi::rule::Rule;

/// All rules of control's: one record, for their order is part of what they mean.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Rules {
    /// The rules, in the order in which they are judged.
    pub items: Vec<Rule>,
    /// When they were last changed; `None` until they are for the first time.
    pub updated_at: Option<Timestamp>,
}
