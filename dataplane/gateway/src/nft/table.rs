//! The table of one interface.

use super::NftError;
use super::expression::{Compare, Expressions, Side};
use super::message::{Attributes, Batch, Nfnetlink};
use netlink_packet_core::{NLM_F_APPEND, NLM_F_CREATE};
use weir_abi::prefix::Prefix;

const NEWTABLE: u16 = 0;
const DELTABLE: u16 = 2;
const NEWCHAIN: u16 = 3;
const NEWRULE: u16 = 6;

/// NFPROTO_INET: IPv4 and IPv6 together.
const INET: u8 = 1;

/// NFT_TABLE_F_OWNER: nobody else changes the table, `nft flush ruleset` passes it over, and it goes when the socket
/// of its owner is closed, by whatever end (Linux 5.12).
const OWNED: u32 = 2;

/// What is wanted of an interface's table.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Rules {
    /// Packets from the tunnel with a source in these leave by other interfaces under the address of those.
    pub masquerade: Vec<Prefix>,
    /// The interface by which they leave under their own addresses all the same.
    pub untranslated: Option<String>,
    /// TCP connections that pass between the tunnel and other interfaces announce no larger segments than fit.
    pub clamp_mss: bool,
}

/// The table `weir_IFNAME` in the family inet. It is gone when this is dropped, and when the process ends.
#[derive(Debug)]
pub struct Table {
    nfnetlink: Nfnetlink,
    interface: String,
}

impl Table {
    /// Makes the table; one of that name that nobody owns is replaced.
    pub fn install(interface: &str, rules: &Rules) -> Result<Self, NftError> {
        let mut table = Self {
            nfnetlink: Nfnetlink::open()?,
            interface: interface.to_owned(),
        };
        table.replace(rules)?;
        Ok(table)
    }

    /// Replaces the rules, at once: no packet passes between the old ones and the new. On an error the old ones stay.
    pub fn replace(&mut self, rules: &Rules) -> Result<(), NftError> {
        self.nfnetlink.commit(batch(&self.interface, rules))
    }
}

fn batch(interface: &str, rules: &Rules) -> Batch {
    let name = format!("weir_{interface}");
    let table = || Attributes::default().text(1, &name);
    let mut batch = Batch::new();
    // Made first, so that there is one to delete: one batch for all three cases.
    batch.order(
        NEWTABLE,
        NLM_F_CREATE,
        INET,
        &table(),
        format!("finding the table {name}"),
    );
    batch.order(DELTABLE, 0, INET, &table(), format!("clearing the table {name}"));
    let owned = table().number(2, OWNED);
    batch.order(
        NEWTABLE,
        NLM_F_CREATE,
        INET,
        &owned,
        format!("making the table {name}"),
    );
    if rules.clamp_mss {
        let mangle = Chain {
            name: "clamp",
            kind: "filter",
            hook: 2,
            priority: -150,
        };
        mangle.append(&mut batch, &name);
        for side in [Side::In, Side::Out] {
            let rule = Expressions::default()
                .interface(side, Compare::Equal, interface)
                .tcp_syn()
                .clamp_mss();
            mangle.append_rule(&mut batch, &name, rule, "clamping the segment size".to_owned());
        }
    }
    if !rules.masquerade.is_empty() {
        let srcnat = Chain {
            name: "nat",
            kind: "nat",
            hook: 4,
            priority: 100,
        };
        srcnat.append(&mut batch, &name);
        for network in &rules.masquerade {
            let mut rule = Expressions::default()
                .interface(Side::In, Compare::Equal, interface)
                .interface(Side::Out, Compare::Other, interface);
            if let Some(untranslated) = &rules.untranslated {
                rule = rule.interface(Side::Out, Compare::Other, untranslated);
            }
            let rule = rule.source(*network).masquerade();
            srcnat.append_rule(&mut batch, &name, rule, format!("masquerading {network}"));
        }
    }
    batch
}

/// A base chain, of a type of chains, at a hook (NF_INET_*), with a priority among those of other tables.
struct Chain {
    name: &'static str,
    kind: &'static str,
    hook: u32,
    priority: i32,
}

impl Chain {
    fn append(&self, batch: &mut Batch, table: &str) {
        let hook = Attributes::default()
            .number(1, self.hook)
            .number(2, self.priority.cast_unsigned());
        let body = Attributes::default()
            .text(1, table)
            .text(3, self.name)
            .nested(4, hook)
            .text(7, self.kind);
        let what = format!("making the chain {} of type {}", self.name, self.kind);
        batch.order(NEWCHAIN, NLM_F_CREATE, INET, &body, what);
    }

    fn append_rule(&self, batch: &mut Batch, table: &str, rule: Expressions, what: String) {
        let body = Attributes::default()
            .text(1, table)
            .text(2, self.name)
            .nested(4, rule.into_attributes());
        batch.order(NEWRULE, NLM_F_CREATE | NLM_F_APPEND, INET, &body, what);
    }
}
