//! Why a peer does not connect: what was observed of it, and what that means. The table of observations and findings
//! stands in `dataplane/docs/12-peer-states.md`.

mod findings;
#[cfg(test)]
mod tests;

use crate::record::Peer;
use findings as found;
use jiff::{SignedDuration, Timestamp};
use weir_abi::key::PublicKey;
use weir_abi::peer_state::{PeerState, StateReason};
use weir_abi::probe::{ProbeResult, ProbedEcho, ProbedHandshake};
use weir_abi::refused::{RefusedHandshake, RefusedWhy};
use weir_abi::status::{PeerStatus, Status};

/// What happened longer ago explains nothing of now.
const RECENT: SignedDuration = SignedDuration::from_mins(10);

/// Responses without any sign of life since, from which on they are taken not to arrive.
const UNCONFIRMED_MIN: u64 = 2;

/// All that is known of a peer.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// Its key.
    pub key: PublicKey,
    /// Its record, where the store has one.
    pub record: Option<&'a Peer>,
    /// Why the record is not in force beside the file, where it is not.
    pub conflict: Option<&'a str>,
    /// How it is in the data plane, where it is there.
    pub status: Option<&'a PeerStatus>,
    /// How the data plane is, while it is there.
    pub overview: Option<&'a Status>,
    /// What came of probing it.
    pub probe: Option<&'a ProbeResult>,
    /// The tunnel's MTU in bytes.
    pub mtu: u32,
    /// Now.
    pub now: Timestamp,
}

/// One thing that was found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Finding {
    /// A word for programs.
    pub code: &'static str,
    /// How sure it is.
    pub certainty: Certainty,
    /// One line.
    pub summary: String,
    /// What was observed.
    pub detail: String,
    /// What to do.
    pub remedy: String,
}

/// How sure a finding is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Certainty {
    /// Observed.
    Certain,
    /// Nothing else explains what was observed as well.
    Likely,
    /// One explanation of several.
    Possible,
}

/// What was found, the main finding first; empty where nothing is wrong and nothing was probed.
pub fn diagnose(subject: &Subject<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    if subject.overview.is_none() {
        findings.push(found::data_plane_away());
    }
    let kept_out = subject.kept_out();
    let is_kept_out = !kept_out.is_empty();
    findings.extend(kept_out);
    if let Some(peer) = subject.status.filter(|_| !is_kept_out) {
        findings.extend(subject.refusals_of(peer));
        findings.extend(subject.unconfirmed(peer));
        findings.extend(subject.refused_from(peer));
        findings.extend(subject.silence(peer));
        findings.extend(subject.echoes(peer));
    } else if !is_kept_out && subject.record.is_none() && subject.overview.is_some() {
        findings.push(found::not_declared(&subject.key));
    }
    // The main finding is the surest; among equals the table's order holds.
    findings.sort_by_key(|finding| finding.certainty);
    let mut seen = std::collections::BTreeSet::new();
    findings.retain(|finding| seen.insert(finding.code));
    findings
}

impl Subject<'_> {
    /// Why its record is not in the data plane.
    fn kept_out(&self) -> Vec<Finding> {
        let mut findings = Vec::new();
        let Some(peer) = self.record else {
            return findings;
        };
        let calls = self
            .refused()
            .find(|r| r.why == RefusedWhy::UnknownPeer && r.peer == Some(self.key));
        if let Some(why) = self.conflict {
            findings.push(found::conflict(why));
        }
        if let Some(at) = peer.expires_at.filter(|at| *at <= self.now) {
            findings.push(found::expired(at, calls));
        }
        if peer.disabled {
            findings.push(found::disabled(calls));
        }
        findings
    }

    /// Handshakes that were refused lately.
    fn refused(&self) -> impl Iterator<Item = &RefusedHandshake> {
        let all = self.overview.into_iter().flat_map(|status| &status.refused);
        all.filter(|refused| self.is_recent(refused))
    }

    fn is_recent(&self, refused: &RefusedHandshake) -> bool {
        let at = i64::try_from(refused.unix_ms)
            .ok()
            .and_then(|ms| Timestamp::from_millisecond(ms).ok());
        at.is_some_and(|at| self.now.duration_since(at) <= RECENT)
    }

    /// How well a refused handshake's source fits the peer; `None` where it does not.
    fn fit(&self, peer: &PeerStatus, refused: &RefusedHandshake) -> Option<Certainty> {
        if refused.peer.is_some_and(|key| key == self.key) {
            return Some(Certainty::Certain);
        }
        match peer.endpoint {
            Some(endpoint) if endpoint == refused.source => Some(Certainty::Certain),
            Some(endpoint) if endpoint.ip() == refused.source.ip() => Some(Certainty::Likely),
            _ => (peer.last_handshake_unix_ns == 0).then_some(Certainty::Possible),
        }
    }

    /// What its own handshake messages were refused for.
    fn refusals_of(&self, peer: &PeerStatus) -> Vec<Finding> {
        let mut findings = Vec::new();
        let newer = |r: &&RefusedHandshake| r.unix_ms > peer.last_handshake_unix_ns / 1_000_000;
        let last = peer
            .last_refusal
            .as_ref()
            .filter(newer)
            .filter(|r| self.is_recent(r));
        let connected = matches!(peer.state, PeerState::Connected | PeerState::Rekeying);
        let old = last.is_some_and(|r| r.why == RefusedWhy::OldTimestamp)
            || (peer.state_reason == StateReason::OldTimestamp && !connected);
        if old {
            findings.push(if connected {
                found::replayed(last)
            } else {
                found::old_timestamp(last)
            });
        }
        let probed = self.handshake() == Some(ProbedHandshake::WrongPresharedKey);
        let wrong_key = peer.state_reason == StateReason::WrongPresharedKey
            || last.is_some_and(|r| r.why == RefusedWhy::WrongPresharedKey);
        if probed || (wrong_key && !connected) {
            let certainty = if probed {
                Certainty::Certain
            } else {
                Certainty::Likely
            };
            findings.push(found::wrong_preshared_key(certainty));
        }
        findings
    }

    fn handshake(&self) -> Option<ProbedHandshake> {
        self.probe.map(|probe| probe.handshake)
    }

    /// Its initiations were answered, and nothing came back.
    fn unconfirmed(&self, peer: &PeerStatus) -> Option<Finding> {
        let unconfirmed = peer.unconfirmed_responses;
        let stuck = unconfirmed >= UNCONFIRMED_MIN
            || (unconfirmed > 0 && peer.state_reason == StateReason::ResponseUnconfirmed);
        if !stuck {
            return None;
        }
        match self.handshake() {
            Some(ProbedHandshake::WrongPresharedKey) => None,
            Some(ProbedHandshake::NoAnswer) => Some(found::return_path(Certainty::Certain, unconfirmed)),
            Some(ProbedHandshake::Standing | ProbedHandshake::Completed { .. }) => None,
            Some(ProbedHandshake::NoEndpoint | ProbedHandshake::NoIdentity) | None => {
                Some(found::return_path_or_key(unconfirmed))
            }
        }
    }

    /// What was refused of sources that may be the peer.
    fn refused_from(&self, peer: &PeerStatus) -> Vec<Finding> {
        let connected = matches!(peer.state, PeerState::Connected | PeerState::Rekeying);
        if connected {
            return Vec::new();
        }
        let best = |why: RefusedWhy| {
            let candidates = self.refused().filter(|refused| refused.why == why);
            let fitting = candidates.filter_map(|refused| Some((self.fit(peer, refused)?, refused)));
            fitting.min_by_key(|(certainty, refused)| (*certainty, u64::MAX - refused.unix_ms))
        };
        let mut findings = Vec::new();
        // A key that is nobody's: the client may be this one with another private key.
        let stranger = best(RefusedWhy::UnknownPeer).filter(|(_, refused)| refused.peer != Some(self.key));
        findings.extend(stranger.map(|(certainty, refused)| found::unknown_peer(certainty, refused)));
        let other_server = best(RefusedWhy::WrongMac1);
        findings.extend(other_server.map(|(certainty, refused)| found::wrong_server_key(certainty, refused)));
        let limited = best(RefusedWhy::TooMany);
        findings.extend(limited.map(|(certainty, refused)| found::limited(certainty, refused)));
        findings
    }

    /// Nothing of it arrives, as far as is known.
    fn silence(&self, peer: &PeerStatus) -> Option<Finding> {
        let connected = matches!(peer.state, PeerState::Connected | PeerState::Rekeying);
        if self.handshake() == Some(ProbedHandshake::NoIdentity) {
            return Some(found::no_identity());
        }
        if connected {
            return None;
        }
        if peer.endpoint.is_none() && peer.configured_endpoint.is_some() {
            let endpoint = peer
                .configured_endpoint
                .as_ref()
                .map(ToString::to_string)
                .unwrap_or_default();
            return Some(found::unresolved(&endpoint));
        }
        if peer.state_reason == StateReason::EndpointUnknown {
            return Some(found::endpoint_unknown());
        }
        let had_session = peer.last_handshake_unix_ns > 0;
        if peer.state_reason == StateReason::SessionExpired && self.handshake().is_none() {
            return Some(found::idle());
        }
        let heard = peer.initiations_received > 0 && !had_session;
        if heard || peer.unconfirmed_responses > 0 {
            return None;
        }
        let unanswered =
            peer.state_reason == StateReason::NoAnswer || self.handshake() == Some(ProbedHandshake::NoAnswer);
        match (unanswered, peer.endpoint) {
            (true, Some(endpoint)) => Some(found::udp_blocked(&endpoint.to_string(), had_session)),
            (false, None) if !had_session => Some(found::nothing_arrived()),
            _ => None,
        }
    }

    /// What a probe's echo requests say of the path inside the tunnel.
    fn echoes(&self, peer: &PeerStatus) -> Option<Finding> {
        let probe = self.probe?;
        match probe.handshake {
            ProbedHandshake::Standing | ProbedHandshake::Completed { .. } => {}
            ProbedHandshake::NoAnswer
            | ProbedHandshake::WrongPresharedKey
            | ProbedHandshake::NoEndpoint
            | ProbedHandshake::NoIdentity => return None,
        }
        let answered = |echo: Option<ProbedEcho>| echo.map(|echo| echo.answered_us.is_some());
        match (answered(probe.small), answered(probe.large)) {
            (Some(true), Some(false)) => {
                let bytes = probe.large.map_or(self.mtu, |echo| echo.bytes.into());
                Some(found::mtu_black_hole(bytes))
            }
            (Some(true), Some(true) | None) | (Some(false), Some(true)) => Some(found::all_well()),
            (Some(false), _) => Some(found::no_echo(probe.target, peer)),
            (None, _) => Some(found::no_target()),
        }
    }
}
