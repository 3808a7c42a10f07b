//! A control process that answers as it is told, and remembers what it was asked.

use super::{Place, good};
use serde::Serialize;
use serde_json::{Value, json};
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread;

/// A time of RFC 3339.
pub fn time(text: &str) -> jiff::Timestamp {
    text.parse().expect("a time")
}

/// A list that has one page.
pub fn items(items: &impl Serialize) -> Answered {
    Answered::json(200, &json!({ "items": items, "next_cursor": null }))
}

/// What a command with `--json` prints.
pub fn json_of(place: &Place, arguments: &[&str]) -> Value {
    serde_json::from_str(&good(&place.weir(arguments))).expect("JSON")
}

pub fn assert_parts(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "{text}\nlacks {part}");
    }
}

/// A request as it arrived.
#[derive(Clone, Debug)]
pub struct Asked {
    pub method: String,
    /// With the query.
    pub target: String,
    /// Names in small letters.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Asked {
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        headers.find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }

    /// `GET /v1/peers?q=x`.
    pub fn line(&self) -> String {
        format!("{} {}", self.method, self.target)
    }
}

/// What is answered.
pub struct Answered {
    pub status: u16,
    pub headers: Vec<(&'static str, String)>,
    pub body: Vec<u8>,
}

impl Answered {
    pub fn json(status: u16, body: &impl Serialize) -> Self {
        Self {
            status,
            headers: vec![("Content-Type", "application/json".to_owned())],
            body: serde_json::to_vec(body).expect("it is plain data"),
        }
    }

    pub fn with(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }

    pub fn text(body: &str) -> Self {
        Self {
            status: 200,
            headers: Vec::new(),
            body: body.as_bytes().to_vec(),
        }
    }

    pub fn nothing() -> Self {
        Self {
            status: 204,
            ..Self::text("")
        }
    }

    /// A refusal as the API makes it.
    pub fn problem(status: u16, title: &str, detail: &str, errors: &Value) -> Self {
        let body = json!({
            "type": "/v1/docs/problems/test", "title": title, "status": status, "detail": detail, "errors": errors
        });
        Self::json(status, &body)
    }
}

pub struct FakeControl {
    pub asked: Arc<Mutex<Vec<Asked>>>,
}

impl FakeControl {
    /// Serves on the socket that `Place::command` has the program look for.
    pub fn start(place: &Place, answer: impl Fn(&Asked) -> Answered + Send + 'static) -> Self {
        let folder = place.path("control");
        fs::create_dir_all(&folder).expect("a folder");
        Self::start_at(&folder.join("api.sock"), answer)
    }

    pub fn start_at(socket: &Path, answer: impl Fn(&Asked) -> Answered + Send + 'static) -> Self {
        let listener = UnixListener::bind(socket).expect("the socket is free");
        let asked = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&asked);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                // Who only looks whether somebody is there says nothing.
                let _ = converse(stream, &answer, &log);
            }
        });
        Self { asked }
    }

    /// All requests so far, as `METHOD TARGET`.
    pub fn lines(&self) -> Vec<String> {
        self.all().iter().map(Asked::line).collect()
    }

    pub fn all(&self) -> Vec<Asked> {
        self.asked.lock().expect("nobody panicked").clone()
    }

    /// The last request of this method.
    pub fn last(&self, method: &str) -> Asked {
        let all = self.all();
        let last = all.iter().rfind(|asked| asked.method == method);
        last.unwrap_or_else(|| panic!("no {method} among {:?}", self.lines()))
            .clone()
    }
}

fn converse(
    stream: UnixStream,
    answer: &impl Fn(&Asked) -> Answered,
    log: &Mutex<Vec<Asked>>,
) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let mut words = line.split_ascii_whitespace();
    let (Some(method), Some(target)) = (words.next(), words.next()) else {
        return Ok(());
    };
    let (method, target) = (method.to_owned(), target.to_owned());
    let mut headers = Vec::new();
    loop {
        line.clear();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(':') else {
            break;
        };
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let length = headers.iter().find(|(name, _)| name == "content-length");
    let length = length.and_then(|(_, value)| value.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let asked = Asked {
        method,
        target,
        headers,
        body,
    };
    let answered = answer(&asked);
    log.lock().expect("nobody panicked").push(asked);
    let mut head = format!("HTTP/1.1 {} Said\r\nConnection: close\r\n", answered.status);
    for (name, value) in &answered.headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    if answered.status != 204 {
        head.push_str(&format!("Content-Length: {}\r\n", answered.body.len()));
    }
    let mut stream = stream;
    stream.write_all(head.as_bytes())?;
    stream.write_all(b"\r\n")?;
    stream.write_all(&answered.body)
}
