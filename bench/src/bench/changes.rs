//! A gateway of ten thousand peers while control changes a thousand of them a second: how long each change takes to be in
//! force, what the packets of another peer notice, and what it costs to read the gateway's status.

use std::thread;
use std::time::{Duration, Instant};

use weir_abi::change::{AllowedIpChange, Change, ChangeSet, PeerChange};
use weir_abi::desired::Origin;
use weir_abi::ipc::{Reply, Request};
use weir_abi::prefix::Prefix;
use weir_abi::rule::{Action, Rule, Sender, Target};

use super::Settings;
use super::contender::Contender;
use super::figures::{
    CHANGE_LOST, CHANGE_LOST_BESIDE, CHANGE_MAX, CHANGE_P50, CHANGE_P99, CHANGE_RATE, PEERS_ONE, STATUS_ALL,
};
use super::interrupt::Stage;
use super::measure::Sample;
use super::paced::Paced;
use super::pair::Pair;
use super::uapi;
use crate::ipc::Client;
use crate::{Implementation, LabError, Result};

/// Peers beside the one whose packets are counted.
const PEERS: u32 = 10_000;

/// Peers declared by one request.
const PER_REQUEST: u32 = 1000;

/// Changes a second.
const CHANGES_PER_S: u32 = 1000;

/// Datagrams a second of the other peer: far below what could be lost for another reason.
const DATAGRAMS_PER_S: f64 = 20_000.0;

/// How often the status is read.
const READINGS: usize = 20;

/// The time of each change, and the datagrams lost without and with changes.
pub(super) fn take(stage: &Stage, settings: &Settings) -> Result<Vec<Sample>> {
    let pair = Pair::new(stage, settings, Contender::Tunnel(Implementation::Weir))?;
    let interface = pair.left.interface()?;
    let mut control = Client::connect(&interface)?;
    declare(&mut control)?;
    let paced = Paced {
        datagrams_per_s: DATAGRAMS_PER_S,
        duration: settings.duration(),
    };
    let beside = paced.run(&pair)?;
    let (outcome, times) = thread::scope(|scope| {
        let changing = scope.spawn(|| change(&mut control, paced.duration));
        let outcome = paced.run(&pair);
        (outcome, changing.join().expect("it returns its errors"))
    });
    let (outcome, mut times) = (outcome?, times?);
    let rate = times.len() as f64 / paced.duration.as_secs_f64();
    times.sort_unstable();
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize].as_secs_f64() * 1e6;
    let mut control = Client::connect(&interface)?;
    let status = median(&mut control, &Request::Status { peers: true })?;
    let one = median(&mut control, &Request::Peers(vec![uapi::silent_key(7)]))?;
    Ok(vec![
        CHANGE_RATE.sample(rate),
        CHANGE_P50.sample(at(0.5)),
        CHANGE_P99.sample(at(0.99)),
        CHANGE_MAX.sample(at(1.0)),
        CHANGE_LOST_BESIDE.sample(beside.lost_share * 100.0),
        CHANGE_LOST.sample(outcome.lost_share * 100.0),
        STATUS_ALL.sample(status.as_secs_f64() * 1e3),
        PEERS_ONE.sample(one.as_secs_f64() * 1e6),
    ])
}

/// Ten thousand peers in a group of all and in one of two others, and rules that name all three: the dearest kind.
fn declare(control: &mut Client) -> Result<()> {
    for first in (0..PEERS).step_by(PER_REQUEST as usize) {
        let numbers = first..first + PER_REQUEST;
        apply(control, numbers.map(|number| changed(number, 0)).collect())?;
    }
    let rules = ["even", "odd"].map(|group| Rule {
        from: vec![Sender::Group(group.to_owned())],
        to: vec![Target::Group("all".to_owned()), Target::Group(group.to_owned())],
        ..Rule::new(Action::Deny)
    });
    apply(control, vec![Change::ReplaceRules(rules.into())])
}

/// One peer as its `round`-th change leaves it: of the other group, with another address.
fn changed(number: u32, round: u32) -> Change {
    let group = if (number + round).is_multiple_of(2) {
        "even"
    } else {
        "odd"
    };
    let address = uapi::inner_address(2 * number + round % 2 + (1 << 20));
    Change::Peer(PeerChange {
        name: Some(format!("peer {number}, change {round}")),
        groups: Some(vec!["all".to_owned(), group.to_owned()]),
        replace_allowed_ips: true,
        allowed_ips: vec![AllowedIpChange::Add(Prefix::host(address.into()))],
        ..PeerChange::new(uapi::silent_key(number))
    })
}

/// Changes one peer after the other at the pace, and returns how long each change took.
fn change(control: &mut Client, duration: Duration) -> Result<Vec<Duration>> {
    let interval = Duration::from_secs(1) / CHANGES_PER_S;
    let (mut times, start) = (Vec::new(), Instant::now());
    for count in 0u32.. {
        let due = interval * count;
        if due >= duration || start.elapsed() >= duration {
            break;
        }
        thread::sleep(due.saturating_sub(start.elapsed()));
        let asked = Instant::now();
        apply(control, vec![changed(count % PEERS, 1 + count / PEERS)])?;
        times.push(asked.elapsed());
    }
    Ok(times)
}

fn apply(control: &mut Client, changes: Vec<Change>) -> Result<()> {
    let request = Request::Apply(ChangeSet {
        base: None,
        origin: Origin::Control,
        changes,
    });
    match control.ask(&request)? {
        Reply::Done(_) => Ok(()),
        other => Err(LabError::Unreadable {
            program: "weir-dataplane",
            expected: "an agreement",
            output: format!("{other:?}"),
        }),
    }
}

fn median(control: &mut Client, request: &Request) -> Result<Duration> {
    let mut times = Vec::with_capacity(READINGS);
    for _ in 0..READINGS {
        let asked = Instant::now();
        control.ask(request)?;
        times.push(asked.elapsed());
    }
    times.sort_unstable();
    Ok(times[READINGS / 2])
}
