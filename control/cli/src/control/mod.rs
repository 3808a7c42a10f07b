//! The control process as this program sees it: an HTTP API on a Unix socket, where the kernel says who asks.

mod events;
mod problem;
pub mod records;
mod transport;

pub use events::{Event, Events};

use problem::Problem;
use records::Page;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::time::Duration;
use ureq::config::{Config, ConfigBuilder};
use ureq::http::{self, Method, Request};
use ureq::typestate::AgentScope;
use ureq::{Agent, Body};
use zeroize::Zeroizing;

/// The socket's directory.
pub const DIRECTORY: &str = "/run/weir-control";

/// The socket's name in it.
const SOCKET: &str = "api.sock";

/// How long an answer may take; a backup's key is derived on purpose slowly.
const ANSWER_WAIT: Duration = Duration::from_secs(60);

/// How long somebody who only asks whether control is there waits.
const READY_WAIT: Duration = Duration::from_secs(1);

/// The longest answer in bytes: a backup of a million peers fits, a runaway does not.
const ANSWER_MAX: u64 = 512 * 1024 * 1024;

/// Items of a list that are asked for at once, the most that the API answers.
const PAGE: usize = 1000;

/// How long the stream of events may be silent for one who does not stay: it tells the time every second.
const QUIET: Duration = Duration::from_secs(3);

/// Where the socket is in `directory`.
pub fn socket(directory: &Path) -> PathBuf {
    directory.join(SOCKET)
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// Nobody listens.
    #[error("no control process runs ({} does not answer); start it with `weir run`", .0.display())]
    NotRunning(PathBuf),
    /// The socket is another user's.
    #[error("{}: permission denied; run this as root, or as a member of the control process's group", .0.display())]
    Denied(PathBuf),
    /// The connection broke, or no answer came in time.
    #[error("{}: {error}", path.display())]
    Broken {
        /// The socket.
        path: PathBuf,
        /// What happened.
        error: ureq::Error,
    },
    /// What came is not what the API answers.
    #[error("the control process's answer to {0} cannot be read; install the same version of both programs")]
    Unreadable(String),
    /// The API refused.
    #[error("{problem}")]
    Refused {
        /// The HTTP status.
        status: u16,
        /// Why.
        problem: Problem,
    },
}

/// What a request carries besides its path.
#[derive(Default)]
pub struct Sending<'a> {
    /// The query's pairs.
    pub query: &'a [(&'a str, &'a str)],
    /// The headers.
    pub headers: &'a [(&'a str, &'a str)],
    /// The body and its media type.
    pub body: Option<(&'a str, &'a [u8])>,
}

/// An answer that is no refusal.
pub struct Answer {
    /// The header `Weir-Change`: which change now waits for its confirmation.
    pub change: Option<Value>,
    /// The body, which may hold secrets.
    pub body: Zeroizing<Vec<u8>>,
    asked: String,
}

impl Answer {
    /// The body as what it is expected to be.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, ControlError> {
        serde_json::from_slice(&self.body).map_err(|_| ControlError::Unreadable(self.asked.clone()))
    }
}

/// The control process behind a socket.
pub struct Control {
    agent: Agent,
    path: PathBuf,
}

impl Control {
    /// The control process whose socket is in `directory`. Nothing is asked yet.
    pub fn at(directory: &Path) -> Self {
        let path = socket(directory);
        Self {
            agent: transport::agent(config(ANSWER_WAIT), &path),
            path,
        }
    }

    /// Whether it answers that it is ready.
    pub fn ready(&self) -> Result<(), ControlError> {
        let agent = transport::agent(config(READY_WAIT), &self.path);
        let request = self.request(&Method::GET, "/readyz", &Sending::default())?;
        self.exchange(&agent, request, "/readyz").map(drop)
    }

    /// Whether somebody listens and may be asked.
    pub fn runs(&self) -> Result<bool, ControlError> {
        match std::os::unix::net::UnixStream::connect(&self.path) {
            Ok(_) => Ok(true),
            Err(error) => match self.broken(ureq::Error::Io(error)) {
                ControlError::NotRunning(_) => Ok(false),
                error => Err(error),
            },
        }
    }

    /// `GET`, its answer read as JSON.
    pub fn get<T: DeserializeOwned>(&self, path: &str, query: &[(&str, &str)]) -> Result<T, ControlError> {
        let sending = Sending {
            query,
            ..Sending::default()
        };
        self.send(&Method::GET, path, &sending)?.read()
    }

    /// Every item of a list, page by page, until there are `most` of them.
    pub fn list(&self, path: &str, query: &[(&str, &str)], most: usize) -> Result<Vec<Value>, ControlError> {
        let (mut items, mut cursor) = (Vec::new(), None::<String>);
        loop {
            let limit = (most - items.len()).min(PAGE).to_string();
            let mut query = query.to_vec();
            query.push(("limit", &limit));
            query.extend(cursor.as_deref().map(|cursor| ("cursor", cursor)));
            let page: Page<Value> = self.get(path, &query)?;
            items.extend(page.items);
            if page.next_cursor.is_none() || page.next_cursor == cursor || items.len() >= most {
                items.truncate(most);
                return Ok(items);
            }
            cursor = page.next_cursor;
        }
    }

    /// Every item of a list that has no pages.
    pub fn items(&self, path: &str) -> Result<Vec<Value>, ControlError> {
        Ok(self.get::<Page<Value>>(path, &[])?.items)
    }

    /// Any method with a JSON body.
    pub fn send_json(
        &self,
        method: &Method,
        path: &str,
        query: &[(&str, &str)],
        body: &impl Serialize,
    ) -> Result<Answer, ControlError> {
        let body = Zeroizing::new(serde_json::to_vec(body).expect("what is sent has string keys"));
        let media = if *method == Method::PATCH {
            "application/merge-patch+json"
        } else {
            "application/json"
        };
        let sending = Sending {
            query,
            body: Some((media, &body)),
            ..Sending::default()
        };
        self.send(method, path, &sending)
    }

    /// Any request.
    pub fn send(&self, method: &Method, path: &str, sending: &Sending) -> Result<Answer, ControlError> {
        let request = self.request(method, path, sending)?;
        self.exchange(&self.agent, request, &format!("{method} {path}"))
    }

    /// The items of an answer as what people are shown of them.
    pub fn read_all<T: DeserializeOwned>(items: &[Value], asked: &str) -> Result<Vec<T>, ControlError> {
        let read = items.iter().map(T::deserialize).collect::<Result<_, _>>();
        read.map_err(|_| ControlError::Unreadable(asked.to_owned()))
    }

    /// The events behind `after`, the newest that the reader knows, as far back as they are kept. Who stays waits for days;
    /// for who does not, silence ends the stream.
    pub fn events(&self, after: &str, stays: bool) -> Result<Events, ControlError> {
        let sending = Sending {
            headers: &[("Accept", "text/event-stream"), ("Last-Event-ID", after)],
            ..Sending::default()
        };
        let request = self.request(&Method::GET, "/v1/events", &sending)?;
        let quiet = Agent::config_builder().timeout_per_read((!stays).then_some(QUIET));
        let agent = transport::agent(built(quiet), &self.path);
        let response = agent.run(request).map_err(|error| self.broken(error))?;
        if response.status().is_success() {
            return Ok(Events::new(response.into_body()));
        }
        Err(refusal(response))
    }

    fn request<'a>(
        &self,
        method: &Method,
        path: &str,
        sending: &Sending<'a>,
    ) -> Result<Request<&'a [u8]>, ControlError> {
        let mut uri = format!("http://localhost{path}");
        for (place, (name, value)) in sending.query.iter().enumerate() {
            uri.push(if place == 0 { '?' } else { '&' });
            uri.push_str(&format!("{name}={}", escaped(value)));
        }
        let mut builder = Request::builder().method(method).uri(uri);
        for (name, value) in sending.headers {
            builder = builder.header(*name, *value);
        }
        if let Some((media, _)) = sending.body {
            builder = builder.header(http::header::CONTENT_TYPE, media);
        }
        let body = sending.body.map(|(_, body)| body).unwrap_or_default();
        builder
            .body(body)
            .map_err(|error| self.broken(ureq::Error::Http(error)))
    }

    fn exchange(&self, agent: &Agent, request: Request<&[u8]>, asked: &str) -> Result<Answer, ControlError> {
        // These have no body, which is not the same as an empty one.
        let response = if matches!(*request.method(), Method::GET | Method::DELETE) {
            agent.run(request.map(drop))
        } else {
            agent.run(request)
        };
        let response = response.map_err(|error| self.broken(error))?;
        if !response.status().is_success() {
            return Err(refusal(response));
        }
        let change = response.headers().get("weir-change");
        let change = change.and_then(|value| serde_json::from_slice(value.as_bytes()).ok());
        let mut body = Zeroizing::new(Vec::new());
        let mut reader = response.into_body().into_reader().take(ANSWER_MAX);
        let read = reader.read_to_end(&mut body);
        read.map_err(|error| self.broken(ureq::Error::Io(error)))?;
        Ok(Answer {
            change,
            body,
            asked: asked.to_owned(),
        })
    }

    fn broken(&self, error: ureq::Error) -> ControlError {
        let path = self.path.clone();
        match error {
            ureq::Error::Io(error) => match error.kind() {
                io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => ControlError::NotRunning(path),
                io::ErrorKind::PermissionDenied => ControlError::Denied(path),
                _ => ControlError::Broken {
                    path,
                    error: ureq::Error::Io(error),
                },
            },
            error => ControlError::Broken { path, error },
        }
    }
}

/// `text` for a place in a path or query: all but RFC 3986's unreserved characters escaped.
pub fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            escaped.push(char::from(byte));
        } else {
            escaped.push_str(&format!("%{byte:02X}"));
        }
    }
    escaped
}

fn config(wait: Duration) -> Config {
    built(Agent::config_builder().timeout_global(Some(wait)))
}

fn built(builder: ConfigBuilder<AgentScope>) -> Config {
    builder
        .http_status_as_error(false)
        .max_redirects(0)
        .allow_non_standard_methods(true)
        .user_agent(concat!("weir/", env!("CARGO_PKG_VERSION")))
        .build()
}

fn refusal(response: http::Response<Body>) -> ControlError {
    let status = response.status().as_u16();
    let mut body = Vec::new();
    // Whatever can be read of it; its status is a reason too.
    let _ = response
        .into_body()
        .into_reader()
        .take(ANSWER_MAX)
        .read_to_end(&mut body);
    let problem = serde_json::from_slice(&body).unwrap_or_else(|_| Problem::of_status(status));
    ControlError::Refused { status, problem }
}
