//! `weir events`: what happened lately, and what happens.

use crate::args::EventsArgs;
use crate::control::{Control, Event};
use crate::error::{Failure, Outcome};
use crate::keys::print;
use crate::term::{Tone, colours, paint, printable};
use crate::times::to_the_second;
use serde_json::{Value, json};
use std::process::ExitCode;

/// What is told every second while somebody listens: of the moment, and so the end of what is kept.
const TICK: &str = "status";

/// What is told to who comes back from where nobody knows; all that is kept follows.
const LOST: &str = "lost";

/// No event has this id, so that what is kept is told from its beginning.
pub const ALL: &str = "0";

/// Prints the events that are kept; those to come too where that is asked for.
pub fn run(control: &Control, options: &EventsArgs) -> Outcome {
    let mut first = true;
    for event in control.events(&options.after, options.follow)? {
        let event = match event {
            Ok(event) => event,
            // Silence, to somebody who does not stay.
            Err(_) if !options.follow => break,
            Err(error) => return Err(Failure::Stdio(error)),
        };
        if event.kind == TICK && !options.follow {
            break;
        }
        // Who asked for all that is kept knows that there was more.
        if std::mem::take(&mut first) && event.kind == LOST && options.after == ALL {
            continue;
        }
        if options.json {
            print(&format!(
                "{}\n",
                json!({ "id": event.id, "event": event.kind, "data": event.data })
            ))?;
        } else if event.kind != TICK {
            print(&line(&event, colours()))?;
        }
    }
    if options.follow {
        return Err(Failure::Said(
            "the control process ended the stream of events; see weir status".to_owned(),
        ));
    }
    Ok(ExitCode::SUCCESS)
}

fn line(event: &Event, colours: bool) -> String {
    let (said, tone) = told(event);
    let alert = event.data.get("alert").unwrap_or(&Value::Null);
    let at = field(&event.data, "at").or_else(|| field(alert, "since"));
    let at = at.unwrap_or_default();
    let at = at.parse().map_or(at, to_the_second);
    let kind = paint(&format!("{:<10}", printable(&event.kind)), tone, colours);
    format!("{:<20}  {kind} {}\n", printable(&at), printable(&said))
}

/// What an event says in words, and how grave that is; one that is not known is shown as it is.
fn told(event: &Event) -> (String, Tone) {
    let data = &event.data;
    let of = |name: &str| field(data, name).unwrap_or_else(|| "-".to_owned());
    match event.kind.as_str() {
        "peer_state" => {
            let who = field(data, "name").unwrap_or_else(|| of("public_key"));
            let tone = match of("state").as_str() {
                "connected" => Tone::Good,
                "disconnected" => Tone::Warn,
                _ => Tone::Plain,
            };
            (format!("{who}: {}: {}", of("state"), of("reason")), tone)
        }
        "refused" => {
            let whose = field(data, "peer")
                .map(|peer| format!(" of {peer}"))
                .unwrap_or_default();
            let said = format!(
                "handshake{whose} from {}: {}, {} times",
                of("source"),
                of("why"),
                of("count")
            );
            (said, Tone::Warn)
        }
        "change" => {
            let mut what = Vec::new();
            match data.get("peers") {
                Some(Value::Array(peers)) if peers.is_empty() => {}
                Some(Value::Array(peers)) => {
                    what.push(
                        peers
                            .iter()
                            .filter_map(Value::as_str)
                            .collect::<Vec<_>>()
                            .join(" "),
                    );
                }
                Some(_) | None => what.push("many peers".to_owned()),
            }
            let is = |name: &str| data.get(name).and_then(Value::as_bool) == Some(true);
            what.extend(is("rules").then(|| "access rules".to_owned()));
            what.extend(is("administration").then(|| "users, tokens or settings".to_owned()));
            (
                format!("{} changed {}", of("actor"), what.join(", ")),
                Tone::Plain,
            )
        }
        "alert" => {
            let alert = data.get("alert").unwrap_or(&Value::Null);
            let of = |name: &str| field(alert, name).unwrap_or_default();
            match data.get("raised").and_then(Value::as_bool) {
                Some(true) => (format!("{}: {}", of("severity"), of("summary")), Tone::Bad),
                Some(false) | None => (format!("over: {}", of("summary")), Tone::Good),
            }
        }
        "denied" => {
            let rule = field(data, "rule")
                .map(|rule| format!(" by {rule}"))
                .unwrap_or_default();
            let port = field(data, "port")
                .map(|port| format!(" {port}"))
                .unwrap_or_default();
            let said = format!(
                "{} -> {} {}{port} denied{rule}",
                of("source"),
                of("destination"),
                of("protocol")
            );
            (said, Tone::Warn)
        }
        "lost" => (format!("{} events were lost", of("count")), Tone::Warn),
        _ => (data.to_string(), Tone::Plain),
    }
}

fn field(data: &Value, name: &str) -> Option<String> {
    match data.get(name)? {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    }
}
