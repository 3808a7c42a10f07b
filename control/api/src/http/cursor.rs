//! Cursors: the key of a page's last item, in base64url. Opaque to clients, who may send anything; all that a made-up
//! one can do is to begin elsewhere.

use super::failure::Failure;
use crate::backend::{PageKey, PageRequest};
use crate::limits::{CURSOR_MAX, PAGE_DEFAULT, PAGE_MAX};
use crate::types::FieldProblem;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// The cursor of a place.
pub(crate) fn encode(key: &PageKey) -> String {
    let length = u16::try_from(key.sort.len()).unwrap_or(u16::MAX);
    let mut bytes = length.to_be_bytes().to_vec();
    bytes.extend_from_slice(&key.sort[..usize::from(length)]);
    bytes.extend_from_slice(&key.id);
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The page that a query asks for.
pub(crate) fn page(cursor: Option<&str>, limit: Option<u32>) -> Result<PageRequest, Failure> {
    let limit = limit.map_or(PAGE_DEFAULT, |limit| limit as usize);
    if limit == 0 || limit > PAGE_MAX {
        let expected = format!("1 to {PAGE_MAX}");
        return Err(Failure::invalid(vec![FieldProblem::new(
            "limit", limit, expected,
        )]));
    }
    let unknown = || {
        let expected = "what an answer said as next_cursor";
        Failure::invalid(vec![FieldProblem::silent("cursor", expected)])
    };
    let after = cursor
        .filter(|cursor| !cursor.is_empty())
        .map(|cursor| decode(cursor).ok_or_else(unknown))
        .transpose()?;
    Ok(PageRequest { after, limit })
}

fn decode(cursor: &str) -> Option<PageKey> {
    if cursor.len() > CURSOR_MAX {
        return None;
    }
    let bytes = URL_SAFE_NO_PAD.decode(cursor).ok()?;
    let (length, rest) = bytes.split_first_chunk::<2>()?;
    let (sort, id) = rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
    Some(PageKey {
        sort: sort.to_vec(),
        id: id.to_vec(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        // Catches a cursor that comes back as another place.
        #[test]
        fn cursors_go_both_ways(sort: [u8; 20], id: [u8; 32], cut in 0usize..20) {
            let key = PageKey { sort: sort[..cut].to_vec(), id: id.to_vec() };
            prop_assert_eq!(decode(&encode(&key)), Some(key));
        }

        // Catches a panic on what clients make up.
        #[test]
        fn any_text_may_be_sent(text in ".{0,60}") {
            let _ = decode(&text);
        }
    }
}
