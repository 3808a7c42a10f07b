//! What the tables of this host do to forwarded packets.

use super::NftError;
use super::message::{Nfnetlink, attributes};

const GETCHAIN: u16 = 4;

const CHAIN_TABLE: u16 = 1;
const CHAIN_NAME: u16 = 3;
const CHAIN_HOOK: u16 = 4;
const CHAIN_POLICY: u16 = 5;

const HOOK_NUMBER: u16 = 1;

/// NF_INET_FORWARD.
const FORWARD: u32 = 2;

/// NF_DROP.
const DROP: u32 = 0;

/// The chains that drop forwarded packets unless a rule of theirs accepts them, as `FAMILY TABLE CHAIN`: where there
/// is one, the operator has to let the tunnel's traffic pass in it.
pub fn forward_drops() -> Result<Vec<String>, NftError> {
    let drops = |chain: &Chain| chain.hook == FORWARD && chain.drops;
    let chains = chains(&mut Nfnetlink::open()?)?;
    Ok(chains
        .iter()
        .filter(|chain| drops(chain))
        .map(Chain::full_name)
        .collect())
}

/// A chain that the kernel sends packets through.
struct Chain {
    family: u8,
    table: String,
    name: String,
    hook: u32,
    drops: bool,
}

impl Chain {
    fn full_name(&self) -> String {
        let family = match self.family {
            1 => "inet",
            2 => "ip",
            _ => "ip6",
        };
        format!("{family} {} {}", self.table, self.name)
    }
}

fn chains(nfnetlink: &mut Nfnetlink) -> Result<Vec<Chain>, NftError> {
    let chains = nfnetlink.dump(GETCHAIN, "listing chains")?;
    Ok(chains
        .iter()
        .filter_map(|(family, bytes)| chain(*family, bytes))
        .collect())
}

fn chain(family: u8, bytes: &[u8]) -> Option<Chain> {
    // NFPROTO_INET, NFPROTO_IPV4 and NFPROTO_IPV6; others number their hooks differently.
    if !matches!(family, 1 | 2 | 10) {
        return None;
    }
    let number = |value: &[u8]| value.first_chunk::<4>().map(|v| u32::from_be_bytes(*v));
    let hook = attributes(attribute(bytes, CHAIN_HOOK)?)
        .find(|(kind, _)| *kind == HOOK_NUMBER)
        .and_then(|(_, value)| number(value))?;
    Some(Chain {
        family,
        table: text(bytes, CHAIN_TABLE)?,
        name: text(bytes, CHAIN_NAME)?,
        hook,
        drops: attribute(bytes, CHAIN_POLICY).and_then(number) == Some(DROP),
    })
}

fn attribute(bytes: &[u8], kind: u16) -> Option<&[u8]> {
    attributes(bytes)
        .find(|(k, _)| *k == kind)
        .map(|(_, value)| value)
}

fn text(bytes: &[u8], kind: u16) -> Option<String> {
    let value = attribute(bytes, kind)?;
    Some(String::from_utf8_lossy(value.strip_suffix(&[0]).unwrap_or(value)).into_owned())
}
