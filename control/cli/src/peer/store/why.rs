//! `weir peer why`: why a peer has no handshake, or why nothing comes through.

use crate::args::OneArgs;
use crate::change::print_json;
use crate::control::Control;
use crate::control::records::{Diagnosis, Peer, Probe};
use crate::error::Outcome;
use crate::keys::print;
use crate::term::{Tone, colours, paint, printable};
use core::fmt::Write as _;
use serde_json::{Value, json};
use std::process::ExitCode;
use ureq::http::Method;

/// Prints the diagnosis; exits with 1 where something was found.
pub fn why(control: &Control, one: &OneArgs, probe: bool) -> Outcome {
    let (peer, _) = super::find(control, &one.peer)?;
    let path = format!("{}/diagnosis", super::path(&peer.public_key));
    let answer = control.send_json(&Method::POST, &path, &[], &json!({ "probe": probe }))?;
    let diagnosis: Diagnosis = answer.read()?;
    if one.json {
        print_json(&answer.read::<Value>()?)?;
    } else {
        print(&text(&peer, &diagnosis, colours()))?;
    }
    Ok(if diagnosis.findings.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn text(peer: &Peer, diagnosis: &Diagnosis, colours: bool) -> String {
    let mut text = format!(
        "peer {} ({}): {}: {}\n",
        printable(peer.called()),
        peer.public_key,
        printable(&diagnosis.state),
        printable(&diagnosis.state_reason)
    );
    if diagnosis.findings.is_empty() {
        text.push_str("nothing is wrong that can be seen from here\n");
    }
    for (place, finding) in diagnosis.findings.iter().enumerate() {
        let tone = match finding.certainty.as_str() {
            "certain" => Tone::Bad,
            "likely" => Tone::Warn,
            _ => Tone::Plain,
        };
        let certainty = paint(&printable(&finding.certainty), tone, colours);
        let _ = writeln!(
            text,
            "{}. {certainty}: {}",
            place + 1,
            printable(&finding.summary)
        );
        for (name, said) in [("seen", &finding.detail), ("do", &finding.remedy)] {
            if !said.is_empty() {
                let _ = writeln!(text, "   {name}: {}", printable(said));
            }
        }
    }
    if let Some(probe) = &diagnosis.probe {
        let _ = writeln!(text, "probe: {}", printable(&probed(probe)));
    }
    text
}

fn probed(probe: &Probe) -> String {
    let handshake = match (probe.handshake, probe.handshake_ms) {
        (true, Some(time)) => format!("handshake in {time:.1} ms"),
        (true, None) => "handshake".to_owned(),
        (false, _) => "no handshake".to_owned(),
    };
    let echo = |what: String, time: Option<f64>| match time {
        Some(time) => format!("{what} back in {time:.1} ms"),
        None => format!("{what} not back"),
    };
    let large = probe
        .large_bytes
        .map_or("large echo".to_owned(), |bytes| format!("echo of {bytes} bytes"));
    let mut parts = vec![
        handshake,
        echo("small echo".to_owned(), probe.small_ms),
        echo(large, probe.large_ms),
    ];
    parts.extend(probe.note.clone());
    parts.join("; ")
}
