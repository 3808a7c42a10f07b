//! The control process in the status: whether one runs, how its store is, and what is wrong.

use crate::control::records::{Alert, Status};
use crate::control::{Control, ControlError};
use crate::term::{Tone, duration, paint, printable};
use crate::times::to_the_second;
use core::fmt::Write as _;
use jiff::Timestamp;
use serde_json::{Value, json};

/// What the control process answers.
pub enum Controlled {
    /// None runs.
    Not,
    /// One that may not be asked, or does not answer as it should.
    Unknown(ControlError),
    /// Its status and its alerts, for programs and for people.
    By {
        /// As answered.
        answer: Value,
        /// How it is.
        status: Box<Status>,
        /// What is wrong, the gravest first.
        alerts: Vec<Alert>,
    },
}

impl Controlled {
    /// What programs are told beside the status of an interface; null where its control process says nothing.
    pub fn of_interface(&self, interface: &str) -> Value {
        match self {
            Controlled::By { answer, status, .. }
                if status
                    .dataplane
                    .as_ref()
                    .is_some_and(|plane| plane.interface == interface) =>
            {
                answer.clone()
            }
            Controlled::Not | Controlled::Unknown(_) | Controlled::By { .. } => Value::Null,
        }
    }
}

/// Asks it.
pub fn ask(control: &Control) -> Controlled {
    let ask = || -> Result<Controlled, ControlError> {
        let status: Value = control.get("/v1/status", &[])?;
        let alerts = control.items("/v1/alerts")?;
        let mut read = Control::read_all(std::slice::from_ref(&status), "GET /v1/status")?;
        Ok(Controlled::By {
            status: Box::new(read.pop().expect("as many as were given")),
            alerts: Control::read_all(&alerts, "GET /v1/alerts")?,
            answer: json!({ "control": status["control"], "peers": status["peers"], "alerts": alerts }),
        })
    };
    ask().unwrap_or_else(|error| match error {
        ControlError::NotRunning(_) => Controlled::Not,
        error => Controlled::Unknown(error),
    })
}

/// For people.
pub fn text(controlled: &Controlled, now: Timestamp, colours: bool) -> String {
    let title = paint("control", Tone::Bold, colours);
    match controlled {
        Controlled::Not => format!("\n{title}  none runs: no web page, no API\n"),
        Controlled::Unknown(error) => {
            let error = paint(&printable(&error.to_string()), Tone::Warn, colours);
            format!("\n{title}  {error}\n")
        }
        Controlled::By { status, alerts, .. } => {
            let control = &status.control;
            let mut text = format!(
                "\n{title}  up {}, weir-control {}\n",
                duration(
                    now.as_second()
                        .saturating_sub(control.started_at.as_second())
                        .max(0)
                        .unsigned_abs()
                ),
                printable(&control.version)
            );
            let (store, tone) = match control.store.as_str() {
                "ok" => ("read and written".to_owned(), Tone::Plain),
                state => {
                    let trouble = control.store_trouble.as_deref().unwrap_or("no reason given");
                    (format!("{}: {trouble}", state.replace('_', " ")), Tone::Bad)
                }
            };
            let _ = writeln!(
                text,
                "  {:<11}{}",
                "store",
                paint(&printable(&store), tone, colours)
            );
            if control.pending > 0 {
                let _ = writeln!(
                    text,
                    "  {:<11}{} changes not yet in the data plane",
                    "pending", control.pending
                );
            }
            if status.dataplane.is_none() {
                let away = paint("it does not answer the control process", Tone::Bad, colours);
                let _ = writeln!(text, "  {:<11}{away}", "data plane");
            }
            let count = if alerts.is_empty() {
                "none".to_owned()
            } else {
                alerts.len().to_string()
            };
            let _ = writeln!(text, "  {:<11}{count}", "alerts");
            for alert in alerts {
                text.push_str(&line(alert, colours));
            }
            text
        }
    }
}

fn line(alert: &Alert, colours: bool) -> String {
    let tone = match alert.severity.as_str() {
        "critical" => Tone::Bad,
        "warning" => Tone::Warn,
        _ => Tone::Plain,
    };
    let said = format!(
        "{}, since {}: {}; {}",
        alert.severity,
        to_the_second(alert.since),
        alert.summary,
        alert.remedy
    );
    format!("  - {}\n", paint(&printable(&said), tone, colours))
}
