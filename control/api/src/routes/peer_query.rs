//! Which peers a list is asked for, and in which order.

use crate::backend::{PageRequest, PeerQuery, PeerSort};
use crate::http::{Failure, cursor};
use crate::limits::QUERY_TEXT_MAX;
use crate::types::{FieldProblem, Owner, PeerState};
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

/// Which peers are asked for.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ListQuery {
    /// Where the page begins: what the page before said as `next_cursor`.
    #[param(required = false, value_type = String)]
    cursor: Option<String>,
    /// Peers at most.
    #[param(required = false, value_type = u32, minimum = 1, maximum = 1000)]
    limit: Option<u32>,
    /// Part of a name, key, allowed IP, endpoint, group or note.
    #[param(required = false, value_type = String, max_length = 256)]
    q: Option<String>,
    /// Of this group.
    #[param(required = false, value_type = String)]
    group: Option<String>,
    /// In this state.
    #[param(required = false, value_type = PeerState)]
    state: Option<PeerState>,
    /// Of this owner.
    #[param(required = false, value_type = Owner)]
    owner: Option<Owner>,
    /// By what they are ordered; a minus puts the greatest first.
    #[param(required = false, value_type = SortName, inline)]
    sort: Option<SortName>,
}

impl ListQuery {
    /// What the backend is asked for.
    pub fn judged(self) -> Result<(PeerQuery, PageRequest), Failure> {
        let page = cursor::page(self.cursor.as_deref(), self.limit)?;
        let (sort, descending) = self.sort.map_or((PeerSort::Name, false), SortName::order);
        for (field, text) in [("q", &self.q), ("group", &self.group)] {
            if text.as_ref().is_some_and(|text| text.len() > QUERY_TEXT_MAX) {
                let expected = format!("at most {QUERY_TEXT_MAX} bytes");
                return Err(Failure::invalid(vec![FieldProblem::silent(field, expected)]));
            }
        }
        let ListQuery {
            q,
            group,
            state,
            owner,
            ..
        } = self;
        let query = PeerQuery {
            q,
            group,
            state,
            owner,
            sort,
            descending,
        };
        Ok((query, page))
    }
}

/// By what peers are ordered; a minus puts the greatest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, ToSchema)]
pub(crate) enum SortName {
    #[serde(rename = "name")]
    Name,
    #[serde(rename = "-name")]
    NameDescending,
    #[serde(rename = "public_key")]
    PublicKey,
    #[serde(rename = "-public_key")]
    PublicKeyDescending,
    #[serde(rename = "state")]
    State,
    #[serde(rename = "-state")]
    StateDescending,
    #[serde(rename = "last_handshake")]
    LastHandshake,
    #[serde(rename = "-last_handshake")]
    LastHandshakeDescending,
    #[serde(rename = "rx_bytes")]
    RxBytes,
    #[serde(rename = "-rx_bytes")]
    RxBytesDescending,
    #[serde(rename = "tx_bytes")]
    TxBytes,
    #[serde(rename = "-tx_bytes")]
    TxBytesDescending,
    #[serde(rename = "created_at")]
    CreatedAt,
    #[serde(rename = "-created_at")]
    CreatedAtDescending,
    #[serde(rename = "allowed_ips")]
    AllowedIps,
    #[serde(rename = "-allowed_ips")]
    AllowedIpsDescending,
}

impl SortName {
    fn order(self) -> (PeerSort, bool) {
        match self {
            Self::Name => (PeerSort::Name, false),
            Self::NameDescending => (PeerSort::Name, true),
            Self::PublicKey => (PeerSort::PublicKey, false),
            Self::PublicKeyDescending => (PeerSort::PublicKey, true),
            Self::State => (PeerSort::State, false),
            Self::StateDescending => (PeerSort::State, true),
            Self::LastHandshake => (PeerSort::LastHandshake, false),
            Self::LastHandshakeDescending => (PeerSort::LastHandshake, true),
            Self::RxBytes => (PeerSort::RxBytes, false),
            Self::RxBytesDescending => (PeerSort::RxBytes, true),
            Self::TxBytes => (PeerSort::TxBytes, false),
            Self::TxBytesDescending => (PeerSort::TxBytes, true),
            Self::CreatedAt => (PeerSort::CreatedAt, false),
            Self::CreatedAtDescending => (PeerSort::CreatedAt, true),
            Self::AllowedIps => (PeerSort::AllowedIps, false),
            Self::AllowedIpsDescending => (PeerSort::AllowedIps, true),
        }
    }
}
