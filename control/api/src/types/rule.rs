//! Access rules.

use super::object;
use super::peer::Owner;
use super::rule_text::{Ports, Protocol, Sender, Target};
use super::text::Name;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The access rules, in the order in which they are judged: those of `weir.toml` first.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct Rules {
    /// The rules.
    pub items: Vec<Rule>,
}

/// One access rule. A list that is empty matches everything.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct Rule {
    /// Its name for people.
    pub name: Option<String>,
    /// What becomes of what it matches.
    pub action: Action,
    /// Whose packets it matches.
    pub from: Vec<Sender>,
    /// Packets to where it matches.
    pub to: Vec<Target>,
    /// Which protocol it matches; null is any.
    pub protocol: Option<Protocol>,
    /// Which destination ports it matches.
    pub ports: Vec<Ports>,
    /// Whether flows that it denies are told.
    pub log: bool,
    /// Who owns it.
    pub owner: Owner,
    /// Packets that it decided since it is in force; null while the data plane is away.
    pub packets: Option<u64>,
}

/// What becomes of a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// It passes.
    Accept,
    /// It is dropped and counted.
    Deny,
}

/// The rules that are to be: all of control's, without those of `weir.toml`.
#[derive(Clone, Debug, PartialEq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RulesInput {
    /// The rules.
    #[serde(deserialize_with = "object::list")]
    #[schema(max_items = 1024)]
    pub items: Vec<RuleInput>,
}

/// What a rule is to be.
#[derive(Clone, Debug, PartialEq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RuleInput {
    /// Its name for people.
    #[serde(default)]
    #[schema(value_type = Option<Name>)]
    pub name: Option<Name>,
    /// What becomes of what it matches.
    pub action: Action,
    /// Whose packets it matches; empty or absent is everybody's.
    #[serde(default)]
    #[schema(max_items = 256)]
    pub from: Vec<Sender>,
    /// Packets to where it matches; empty or absent is anywhere.
    #[serde(default)]
    #[schema(max_items = 256)]
    pub to: Vec<Target>,
    /// Which protocol it matches; null or absent is any.
    #[serde(default)]
    #[schema(value_type = Option<Protocol>)]
    pub protocol: Option<Protocol>,
    /// Which destination ports it matches; only with tcp or udp.
    #[serde(default)]
    #[schema(max_items = 256)]
    pub ports: Vec<Ports>,
    /// Whether flows that it denies are told.
    #[serde(default)]
    pub log: bool,
    /// Taken so that an answer may be sent back; anything but `control` is refused.
    #[serde(default)]
    #[schema(value_type = Option<Owner>)]
    pub owner: Option<Owner>,
    /// Taken so that an answer may be sent back; ignored.
    #[serde(default)]
    #[schema(value_type = Option<u64>, format = "uint64")]
    pub packets: Option<u64>,
}
