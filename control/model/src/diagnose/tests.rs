use super::*;
use weir_abi::desired::Origin;
use weir_abi::status::Health;

const NOW_MS: u64 = 10_000_000_000;

fn key(n: u8) -> PublicKey {
    PublicKey::from_bytes([n; 32])
}

fn status() -> PeerStatus {
    PeerStatus {
        public_key: key(1),
        name: None,
        groups: Vec::new(),
        origin: Origin::Control,
        has_preshared_key: false,
        configured_endpoint: None,
        endpoint: None,
        allowed_ips: vec!["10.0.0.2/32".parse().unwrap()],
        persistent_keepalive: None,
        last_handshake_unix_ns: 0,
        rx_bytes: 0,
        tx_bytes: 0,
        state: PeerState::Init,
        state_since_unix_ms: 0,
        state_reason: StateReason::NeverTried,
        handshake_us: None,
        latency_us: None,
        initiations_received: 0,
        responses_sent: 0,
        unconfirmed_responses: 0,
        last_refusal: None,
        health: Health::Idle,
        trouble: None,
        shard: None,
    }
}

fn refusal(why: RefusedWhy, source: &str, peer: Option<PublicKey>) -> RefusedHandshake {
    RefusedHandshake {
        unix_ms: NOW_MS - 1000,
        source: source.parse().unwrap(),
        why,
        peer,
        count: 3,
    }
}

fn probe(handshake: ProbedHandshake, small: Option<bool>, large: Option<bool>) -> ProbeResult {
    let echo = |bytes, answered: bool| ProbedEcho {
        bytes,
        answered_us: answered.then_some(900),
    };
    ProbeResult {
        peer: key(1),
        endpoint: None,
        handshake,
        target: Some("10.0.0.2".parse().unwrap()),
        small: small.map(|answered| echo(64, answered)),
        large: large.map(|answered| echo(1420, answered)),
    }
}

struct Case {
    record: Option<Peer>,
    status: Option<PeerStatus>,
    refused: Vec<RefusedHandshake>,
    probe: Option<ProbeResult>,
}

impl Case {
    fn of(status: PeerStatus) -> Self {
        Self {
            record: None,
            status: Some(status),
            refused: Vec::new(),
            probe: None,
        }
    }

    fn findings(&self) -> Vec<(&'static str, Certainty)> {
        let overview = Status {
            refused: self.refused.clone(),
            ..overview()
        };
        let subject = Subject {
            key: key(1),
            record: self.record.as_ref(),
            conflict: None,
            status: self.status.as_ref(),
            overview: Some(&overview),
            probe: self.probe.as_ref(),
            mtu: 1420,
            now: Timestamp::from_millisecond(NOW_MS as i64).unwrap(),
        };
        diagnose(&subject)
            .into_iter()
            .map(|finding| (finding.code, finding.certainty))
            .collect()
    }

    fn main(&self) -> (&'static str, Certainty) {
        self.findings().first().copied().expect("a finding")
    }
}

fn overview() -> Status {
    Status {
        interface: "weir0".to_owned(),
        version: String::new(),
        pid: 1,
        boot_id: [0; 16],
        uptime_s: 1,
        config_path: None,
        revision: Default::default(),
        public_key: None,
        listen_port: 51820,
        fwmark: 0,
        mtu: 1420,
        addresses: Vec::new(),
        client_endpoint: None,
        dns: Vec::new(),
        keepalive_s: 25,
        forwarding: true,
        nat: false,
        aead: String::new(),
        aead_best: String::new(),
        steering: String::new(),
        warnings: Vec::new(),
        devices: Vec::new(),
        shards: Vec::new(),
        handshake_queue: 0,
        peers: Vec::new(),
        rules: Vec::new(),
        refused: Vec::new(),
    }
}

// Catches each of the eight causes named otherwise, or with more certainty than was observed.
#[test]
fn each_cause_is_named() {
    use Certainty::{Certain, Likely, Possible};
    use ProbedHandshake::{Completed, NoAnswer, WrongPresharedKey};
    let source = "192.0.2.7:4000";

    // UDP blocked: of a client that calls nothing is known, of one that we call no answer.
    assert_eq!(Case::of(status()).main(), ("udp_blocked", Possible));
    let mut called = status();
    (called.endpoint, called.state_reason) = (Some(source.parse().unwrap()), StateReason::NoAnswer);
    assert_eq!(Case::of(called).main(), ("udp_blocked", Likely));

    // Another key for us; another key of its own.
    let mut case = Case::of(status());
    case.refused = vec![refusal(RefusedWhy::WrongMac1, source, None)];
    assert_eq!(case.main(), ("wrong_server_key", Possible));
    case.status.as_mut().unwrap().endpoint = Some("192.0.2.7:5".parse().unwrap());
    assert_eq!(case.main(), ("wrong_server_key", Likely));
    case.status.as_mut().unwrap().endpoint = Some(source.parse().unwrap());
    assert_eq!(case.main(), ("wrong_server_key", Certain));
    case.refused = vec![refusal(RefusedWhy::UnknownPeer, source, Some(key(9)))];
    assert_eq!(case.main(), ("unknown_peer", Certain));

    // Another preshared key, seen from here or by a probe.
    let mut stuck = status();
    (stuck.initiations_received, stuck.unconfirmed_responses) = (3, 3);
    stuck.endpoint = Some(source.parse().unwrap());
    let mut case = Case::of(stuck);
    assert_eq!(case.main(), ("blocked_return_path", Likely));
    case.probe = Some(probe(WrongPresharedKey, None, None));
    assert_eq!(case.main(), ("wrong_preshared_key", Certain));
    case.probe = Some(probe(NoAnswer, None, None));
    assert_eq!(case.main(), ("blocked_return_path", Certain));

    // A clock set back.
    let mut old = status();
    old.last_refusal = Some(refusal(RefusedWhy::OldTimestamp, source, Some(key(1))));
    old.last_handshake_unix_ns = 5_000_000_000_000;
    old.state = PeerState::Disconnected;
    assert_eq!(Case::of(old.clone()).main(), ("old_timestamp", Certain));
    old.state = PeerState::Connected;
    assert_eq!(Case::of(old).main(), ("replayed_initiation", Possible));

    // Large packets that vanish.
    let mut connected = status();
    connected.state = PeerState::Connected;
    let mut case = Case::of(connected);
    assert_eq!(case.findings(), []);
    case.probe = Some(probe(Completed { us: 900 }, Some(true), Some(false)));
    assert_eq!(case.main(), ("mtu_black_hole", Certain));
    case.probe = Some(probe(Completed { us: 900 }, Some(true), Some(true)));
    assert_eq!(case.main(), ("connected", Certain));
    case.probe = Some(probe(Completed { us: 900 }, Some(false), Some(false)));
    assert_eq!(case.main(), ("no_echo", Possible));
}

// Catches a peer that is kept out here taken for one that does not reach us.
#[test]
fn who_is_kept_out_is_told_so() {
    let now = Timestamp::from_millisecond(NOW_MS as i64).unwrap();
    let mut record = Peer::new(key(1), now);
    record.expires_at = Some(now);
    let mut case = Case {
        record: Some(record.clone()),
        status: None,
        refused: Vec::new(),
        probe: None,
    };
    assert_eq!(case.main(), ("expired", Certainty::Certain));
    record.expires_at = None;
    record.disabled = true;
    case.record = Some(record);
    case.refused = vec![refusal(RefusedWhy::UnknownPeer, "192.0.2.7:4000", Some(key(1)))];
    assert_eq!(case.findings(), [("disabled", Certainty::Certain)]);
    case.record = None;
    assert_eq!(case.main(), ("unknown_peer", Certainty::Certain));
}

// Catches a refusal of long ago that explains what is now.
#[test]
fn what_is_long_past_explains_nothing() {
    let mut case = Case::of(status());
    let mut old = refusal(RefusedWhy::WrongMac1, "192.0.2.7:4000", None);
    old.unix_ms = NOW_MS - 700_000;
    case.refused = vec![old];
    assert_eq!(case.findings(), [("udp_blocked", Certainty::Possible)]);
}

// Catches a data plane that is away taken for a peer that is.
#[test]
fn a_data_plane_that_is_away_is_said() {
    let subject = Subject {
        key: key(1),
        record: None,
        conflict: None,
        status: None,
        overview: None,
        probe: None,
        mtu: 0,
        now: Timestamp::UNIX_EPOCH,
    };
    let findings = diagnose(&subject);
    assert_eq!(
        findings.first().map(|finding| finding.code),
        Some("data_plane_away")
    );
}
