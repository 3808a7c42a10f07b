//! A client of control's API over its Unix socket, as small as tests need it: HTTP/1.1 (RFC 9112), one request at a time
//! on a connection that is kept, and streams of events. Root, who runs the laboratory, is an administrator there.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;
use weir_abi::key::PublicKey;

use crate::{LabError, Result};

/// How long an answer may take; a diagnosis with a probe takes up to 5 s.
const ANSWER_LIMIT: Duration = Duration::from_secs(30);

/// The longest body taken, in bytes; a page of a thousand peers has less.
const BODY_MAX: usize = 64 << 20;

/// Names in small letters, and values.
type Headers = Vec<(String, String)>;

/// A client. Its connection is opened when it is first needed, and anew after one that failed.
#[derive(Debug)]
pub struct Api {
    socket: PathBuf,
    connection: Option<BufReader<UnixStream>>,
}

/// What a request was answered with.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The request, for errors: its method and path.
    request: String,
    /// The status code.
    pub status: u16,
    headers: Headers,
    /// The body as it came.
    pub body: Vec<u8>,
}

/// A stream of events that were not yet read.
#[derive(Debug)]
pub struct Events {
    connection: BufReader<UnixStream>,
    text: String,
}

impl Api {
    /// A client of the API at this socket.
    pub fn new(socket: &Path) -> Self {
        Self {
            socket: socket.to_owned(),
            connection: None,
        }
    }

    /// Asks for something and expects it to be there.
    pub fn get(&mut self, path: &str) -> Result<Value> {
        self.send("GET", path, &[], None)?.expect(200)
    }

    /// Sends a JSON body and expects the request to succeed, with whatever status.
    pub fn change(&mut self, method: &str, path: &str, body: &Value) -> Result<Answer> {
        let answer = self.send(method, path, &[], Some(body))?;
        if (200..300).contains(&answer.status) {
            return Ok(answer);
        }
        Err(answer.unexpected())
    }

    /// Sends a request and returns the answer, whatever it is. A body in JSON is sent with its type; a merge patch
    /// (RFC 7396) with its own.
    pub fn send(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<&Value>,
    ) -> Result<Answer> {
        let request = format!("{method} {path}");
        let result = self.exchange(method, path, headers, body);
        if result.is_err() {
            self.connection = None;
        }
        let (status, headers, body) = result.map_err(LabError::io(request.clone()))?;
        Ok(Answer {
            request,
            status,
            headers,
            body,
        })
    }

    /// Listens to events: a path such as `/v1/events`.
    pub fn events(&self, path: &str) -> Result<Events> {
        let listen = || -> io::Result<_> {
            let mut connection = connect(&self.socket)?;
            let head = format!("GET {path} HTTP/1.1\r\nhost: weir\r\naccept: text/event-stream\r\n\r\n");
            connection.get_mut().write_all(head.as_bytes())?;
            let (status, headers) = head_of(&mut connection)?;
            match (status, header(&headers, "transfer-encoding")) {
                (200, Some("chunked")) => Ok(connection),
                _ => Err(io::Error::other(format!("answered {status}, not with a stream"))),
            }
        };
        let connection = listen().map_err(LabError::io(format!("GET {path}")))?;
        Ok(Events {
            connection,
            text: String::new(),
        })
    }

    fn exchange(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<&Value>,
    ) -> io::Result<(u16, Headers, Vec<u8>)> {
        if self.connection.is_none() {
            self.connection = Some(connect(&self.socket)?);
        }
        let connection = self.connection.as_mut().expect("it was just opened");
        let mut request = format!("{method} {path} HTTP/1.1\r\nhost: weir\r\n");
        for (name, value) in headers {
            request.push_str(&format!("{name}: {value}\r\n"));
        }
        let body = body.map(Value::to_string);
        if let Some(body) = &body {
            let kind = if method == "PATCH" {
                "merge-patch+json"
            } else {
                "json"
            };
            request.push_str(&format!(
                "content-type: application/{kind}\r\ncontent-length: {}\r\n",
                body.len()
            ));
        }
        request.push_str("\r\n");
        request.push_str(body.as_deref().unwrap_or_default());
        connection.get_mut().write_all(request.as_bytes())?;
        let (status, headers) = head_of(connection)?;
        let body = body_of(connection, status, &headers)?;
        if header(&headers, "connection") == Some("close") {
            self.connection = None;
        }
        Ok((status, headers, body))
    }
}

impl Answer {
    /// A header's value; its name in small letters.
    pub fn header(&self, name: &str) -> Option<&str> {
        header(&self.headers, name)
    }

    /// The body as JSON; null where it is none.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }

    /// The body as JSON, if the status is this one.
    pub fn expect(self, status: u16) -> Result<Value> {
        if self.status == status {
            return Ok(self.json());
        }
        Err(self.unexpected())
    }

    fn unexpected(self) -> LabError {
        LabError::Answered {
            request: self.request,
            status: self.status,
            body: String::from_utf8_lossy(&self.body).into_owned(),
        }
    }
}

impl Events {
    /// The next event: its name, and what it tells. Comments, which keep the connection alive, are passed over.
    pub fn receive(&mut self) -> Result<(String, Value)> {
        loop {
            while let Some((event, rest)) = self.text.split_once("\n\n") {
                let lines = |name: &str| -> String {
                    let values = event.lines().filter_map(|line| line.strip_prefix(name));
                    values.map(str::trim_start).collect::<Vec<_>>().join("\n")
                };
                let (name, data) = (lines("event:"), lines("data:"));
                self.text = rest.to_owned();
                if !data.is_empty() {
                    return Ok((name, serde_json::from_str(&data).unwrap_or(Value::String(data))));
                }
            }
            let chunk = chunk_of(&mut self.connection).map_err(LabError::io("read an event"))?;
            if chunk.is_empty() {
                return Err(LabError::io("read an event")(io::ErrorKind::UnexpectedEof.into()));
            }
            self.text.push_str(&String::from_utf8_lossy(&chunk));
        }
    }
}

/// The path of a peer: its key with the characters that have a meaning in paths percent-encoded (RFC 3986).
pub fn peer_path(key: &PublicKey) -> String {
    let key = key
        .to_string()
        .replace('+', "%2B")
        .replace('/', "%2F")
        .replace('=', "%3D");
    format!("/v1/peers/{key}")
}

fn connect(socket: &Path) -> io::Result<BufReader<UnixStream>> {
    let stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(ANSWER_LIMIT))?;
    stream.set_write_timeout(Some(ANSWER_LIMIT))?;
    Ok(BufReader::new(stream))
}

/// The status and the headers, their names in small letters.
fn head_of(connection: &mut BufReader<UnixStream>) -> io::Result<(u16, Headers)> {
    let first = line_of(connection)?;
    let status = first.split(' ').nth(1).and_then(|status| status.parse().ok());
    let status = status.ok_or_else(|| io::Error::other(format!("no status in {first:?}")))?;
    let mut headers = Vec::new();
    loop {
        let line = line_of(connection)?;
        match line.split_once(':') {
            Some((name, value)) => headers.push((name.to_lowercase(), value.trim().to_owned())),
            None => return Ok((status, headers)),
        }
    }
}

fn body_of(
    connection: &mut BufReader<UnixStream>,
    status: u16,
    headers: &[(String, String)],
) -> io::Result<Vec<u8>> {
    if header(headers, "transfer-encoding") == Some("chunked") {
        let mut body = Vec::new();
        loop {
            let chunk = chunk_of(connection)?;
            body.extend_from_slice(&chunk);
            if chunk.is_empty() || body.len() > BODY_MAX {
                return Ok(body);
            }
        }
    }
    let length = match header(headers, "content-length").map(str::parse::<usize>) {
        Some(Ok(length)) if length <= BODY_MAX => length,
        None if status == 204 || status == 304 => 0,
        _ => return Err(io::Error::other("a body of no known length")),
    };
    let mut body = vec![0; length];
    connection.read_exact(&mut body)?;
    Ok(body)
}

/// One chunk (RFC 9112 section 7.1); an empty one is the last.
fn chunk_of(connection: &mut BufReader<UnixStream>) -> io::Result<Vec<u8>> {
    let line = line_of(connection)?;
    let length = usize::from_str_radix(&line, 16)
        .ok()
        .filter(|&length| length <= BODY_MAX);
    let mut chunk = vec![0; length.ok_or_else(|| io::Error::other(format!("no chunk: {line:?}")))?];
    connection.read_exact(&mut chunk)?;
    line_of(connection)?;
    Ok(chunk)
}

fn line_of(connection: &mut BufReader<UnixStream>) -> io::Result<String> {
    let mut line = String::new();
    if connection.read_line(&mut line)? == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(line.trim_end().to_owned())
}

fn header<'a>(headers: &'a [(String, String)], name: &str) -> Option<&'a str> {
    headers
        .iter()
        .find(|(known, _)| known == name)
        .map(|(_, value)| value.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A stream whose other end has sent this and closed.
    fn sent(text: &str) -> BufReader<UnixStream> {
        let (near, mut far) = UnixStream::pair().unwrap();
        far.write_all(text.as_bytes()).unwrap();
        BufReader::new(near)
    }

    /// Catches a body cut or taken too long in either form, and a stream's end taken for an event.
    #[test]
    fn bodies_have_their_length() {
        for body in [
            "content-length: 4\r\n\r\nabcd",
            "Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n3\r\nbcd\r\n0\r\n\r\n",
        ] {
            let mut connection = sent(&format!("HTTP/1.1 201 Created\r\n{body}"));
            let (status, headers) = head_of(&mut connection).unwrap();
            assert_eq!(status, 201);
            assert_eq!(body_of(&mut connection, status, &headers).unwrap(), b"abcd");
            assert!(line_of(&mut connection).is_err(), "everything was read");
        }
        let connection = sent("1b\r\n: hello\n\nevent: a\ndata: {}\n\r\n1\r\n\n\r\n0\r\n\r\n");
        let mut events = Events {
            connection,
            text: String::new(),
        };
        assert_eq!(events.receive().unwrap(), ("a".to_owned(), serde_json::json!({})));
        assert!(events.receive().is_err());
    }

    /// Catches a key whose characters end the path's segment.
    #[test]
    fn keys_are_encoded_in_paths() {
        let path = peer_path(&PublicKey::from_bytes([0xff; 32]));
        assert_eq!(path, format!("/v1/peers/{}8%3D", "%2F".repeat(42)));
    }
}
