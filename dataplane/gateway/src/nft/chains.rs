//! What other tables do to forwarded packets.

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
    let chains = Nfnetlink::open()?.dump(GETCHAIN, "listing chains")?;
    Ok(chains
        .iter()
        .filter_map(|(family, bytes)| drops(*family, bytes))
        .collect())
}

fn drops(family: u8, bytes: &[u8]) -> Option<String> {
    // NFPROTO_INET, NFPROTO_IPV4 and NFPROTO_IPV6; others number their hooks differently.
    let family = match family {
        1 => "inet",
        2 => "ip",
        10 => "ip6",
        _ => return None,
    };
    let of = |kind: u16| attributes(bytes).find(|(k, _)| *k == kind).map(|(_, v)| v);
    let number = |value: &[u8]| value.first_chunk::<4>().map(|v| u32::from_be_bytes(*v));
    let text = |value: &[u8]| String::from_utf8_lossy(value.strip_suffix(&[0]).unwrap_or(value)).into_owned();
    let hook = attributes(of(CHAIN_HOOK)?)
        .find(|(k, _)| *k == HOOK_NUMBER)
        .and_then(|(_, v)| number(v))?;
    let policy = number(of(CHAIN_POLICY)?)?;
    let (table, chain) = (text(of(CHAIN_TABLE)?), text(of(CHAIN_NAME)?));
    (hook == FORWARD && policy == DROP).then(|| format!("{family} {table} {chain}"))
}
