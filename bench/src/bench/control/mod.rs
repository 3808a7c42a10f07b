//! Control with ten thousand peers: how fast the API changes them, what both processes keep in memory, and what a page that
//! shows the status costs.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use super::Settings;
use super::counters::{Usage, resident_bytes};
use super::interrupt::Stage;
use super::xdp::Findings;
use crate::churn::{self, ChurnReport, churn};
use crate::control_lab::ControlLab;
use crate::{LabError, Result};

/// The row: there is one.
const CASE: &str = "10,000 peers";

/// Registered peers.
const PEERS: u32 = 10_000;

/// Changes of one window, the pace of the first, and the connections that they come by.
const CHANGES: u32 = 10_000;
const PER_S: u32 = 1000;
const CONNECTIONS: u32 = 16;

/// How long processor time is measured, without and with a page.
const PAGE_WINDOW: Duration = Duration::from_secs(30);

/// After which the work that changes leave behind is done.
const SETTLED: Duration = Duration::from_secs(5);

/// Megabytes, as in the aims.
const MB: f64 = 1e6;

const PERCENT_OF_CORE: &str = "% of a core";

/// Takes every figure in every round, saying on standard error what it finds. What ends it early is in the report.
pub(super) fn run(settings: &Settings, stage: &Stage) -> Findings {
    let mut findings = Findings::new(settings, "control", "The control process with 10,000 peers");
    let ended = (1..=settings.xdp_rounds).try_for_each(|round| {
        eprintln!("round {round} of {}, control", settings.xdp_rounds);
        take(stage, &mut findings)
    });
    findings.end(ended);
    findings
}

fn take(stage: &Stage, findings: &mut Findings) -> Result<()> {
    let mut lab = ControlLab::without_control(stage.topology()?, "")?;
    lab.start_control()?;
    let (control, gateway) = (lab.control.process().pid(), lab.gateway.process().pid());
    let resident = |pid| -> Result<f64> { Ok(resident_bytes(pid)? as f64 / MB) };
    findings.add(CASE, "weir-control without peers", "MB", resident(control)?);
    churn::declare(&mut lab.api(), 0..PEERS)?;
    thread::sleep(SETTLED);
    findings.add(CASE, "weir-control", "MB", resident(control)?);
    findings.add(CASE, "weir-dataplane", "MB", resident(gateway)?);

    let paced = churn(|| lab.api(), PEERS, CHANGES, PER_S, CONNECTIONS)?;
    findings.add(CASE, "changes/s, asked for 1,000", "changes/s", paced.per_s());
    add_latency(findings, "", &paced);
    let unpaced = churn(|| lab.api(), PEERS, CHANGES, u32::MAX, CONNECTIONS)?;
    findings.add(CASE, "changes/s, as many as go", "changes/s", unpaced.per_s());
    add_latency(findings, ", as many as go", &unpaced);
    findings.add(CASE, "weir-control after changes", "MB", resident(control)?);

    thread::sleep(SETTLED);
    for (name, pages) in [("no page", 0), ("one page", 1), ("ten pages", 10)] {
        let share = with_pages(&lab, control, pages)?;
        findings.add(CASE, &format!("CPU, {name}"), PERCENT_OF_CORE, share);
    }
    Ok(())
}

fn add_latency(findings: &mut Findings, kind: &str, report: &ChurnReport) {
    for (name, share) in [("p50", 0.5), ("p99", 0.99)] {
        let ms = report.percentile(share).as_secs_f64() * 1e3;
        findings.add(CASE, &format!("{name}{kind}"), "ms", ms);
    }
}

/// Control's processor time in percent of a core while so many pages listen to events.
fn with_pages(lab: &ControlLab, control: u32, pages: usize) -> Result<f64> {
    let stop = Arc::new(AtomicBool::new(false));
    let listeners: Vec<_> = (0..pages)
        .map(|_| {
            let mut events = lab.api().events("/v1/events")?;
            let stop = Arc::clone(&stop);
            Ok(thread::spawn(move || -> Result<u32> {
                let mut read = 0;
                while !stop.load(Ordering::Relaxed) {
                    events.receive()?;
                    read += 1;
                }
                Ok(read)
            }))
        })
        .collect::<Result<_>>()?;
    let before = Usage::of(control)?.on_core;
    thread::sleep(PAGE_WINDOW);
    let used = Usage::of(control)?.on_core.saturating_sub(before);
    stop.store(true, Ordering::Relaxed);
    for listener in listeners {
        let read = listener.join().expect("a listener returns its errors")?;
        if u64::from(read) < PAGE_WINDOW.as_secs() / 2 {
            return Err(LabError::Unreadable {
                program: "weir-control",
                expected: "event a second",
                output: format!("{read} events"),
            });
        }
    }
    Ok(100.0 * used.as_secs_f64() / PAGE_WINDOW.as_secs_f64())
}
