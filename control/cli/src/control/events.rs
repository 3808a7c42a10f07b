//! Server-sent events (WHATWG HTML, section 9.2), read as they come.

use serde_json::Value;
use std::io::{self, BufRead as _, BufReader, Read as _};
use ureq::{Body, BodyReader};

/// The longest line of an event; a longer one ends the stream.
const LINE_MAX: u64 = 16 * 1024 * 1024;

/// One event.
#[derive(Clone, PartialEq, Debug)]
pub struct Event {
    /// What a reader resumes from; none of what is of the moment.
    pub id: Option<String>,
    /// Its kind.
    pub kind: String,
    /// What it says; text that is no JSON is a string.
    pub data: Value,
}

/// A stream of events.
pub struct Events(Reader<BufReader<BodyReader<'static>>>);

impl Events {
    /// Reads them from an answer's body.
    pub fn new(body: Body) -> Self {
        Self(Reader(BufReader::new(body.into_reader())))
    }
}

impl Iterator for Events {
    type Item = io::Result<Event>;

    /// The next event; `None` at the end of the stream.
    fn next(&mut self) -> Option<Self::Item> {
        self.0.event().transpose()
    }
}

struct Reader<R>(R);

impl<R: io::BufRead> Reader<R> {
    fn event(&mut self) -> io::Result<Option<Event>> {
        let (mut id, mut kind, mut data) = (None, String::new(), String::new());
        loop {
            let Some(line) = self.line()? else {
                // What the end cut off is no event.
                return Ok(None);
            };
            if line.is_empty() {
                if data.is_empty() && kind.is_empty() {
                    continue;
                }
                let data = serde_json::from_str(&data).unwrap_or(Value::String(data));
                return Ok(Some(Event { id, kind, data }));
            }
            let (field, value) = line.split_once(':').unwrap_or((&line, ""));
            let value = value.strip_prefix(' ').unwrap_or(value);
            match field {
                "id" => id = Some(value.to_owned()),
                "event" => value.clone_into(&mut kind),
                "data" => {
                    if !data.is_empty() {
                        data.push('\n');
                    }
                    data.push_str(value);
                }
                // Comments begin with a colon and keep connections open; other fields are to be ignored.
                _ => {}
            }
        }
    }

    fn line(&mut self) -> io::Result<Option<String>> {
        let mut bytes = Vec::new();
        let read = (&mut self.0).take(LINE_MAX).read_until(b'\n', &mut bytes)?;
        if read == 0 || bytes.pop() != Some(b'\n') {
            return Ok(None);
        }
        if bytes.last() == Some(&b'\r') {
            bytes.pop();
        }
        String::from_utf8(bytes).map(Some).map_err(io::Error::other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    // Catches comments taken for events, data over several lines, and an event that the end of the stream cut off.
    #[test]
    fn events_are_told_apart() {
        let text = ": hello\n\nid: 7\nevent: change\ndata: {\"a\":\ndata: 1}\n\nevent:alert\r\ndata:x y\r\n\r\nevent: cut\n";
        let mut reader = Reader(text.as_bytes());
        let event = |id: Option<&str>, kind: &str, data| Event {
            id: id.map(str::to_owned),
            kind: kind.to_owned(),
            data,
        };
        assert_eq!(
            reader.event().unwrap(),
            Some(event(Some("7"), "change", json!({"a": 1})))
        );
        assert_eq!(reader.event().unwrap(), Some(event(None, "alert", json!("x y"))));
        assert_eq!(reader.event().unwrap(), None);
    }
}
