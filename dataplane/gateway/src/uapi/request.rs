//! A byte stream cut into requests.

use crate::secret_bytes::{append, consume};
use nix::errno::Errno;
use zeroize::Zeroizing;

/// The longest request in bytes: a `syncconf` of several hundred thousand peers fits, a runaway does not.
pub(super) const REQUEST_MAX: usize = 64 * 1024 * 1024;

/// One request.
#[derive(Debug, PartialEq)]
pub enum Request {
    /// `get=1`.
    Get,
    /// `set=1`: the lines behind that one.
    Set(Zeroizing<String>),
}

/// What arrived and is not yet used up.
pub struct Incoming {
    bytes: Zeroizing<Vec<u8>>,
    most: usize,
    /// No request ends before here.
    searched: usize,
}

impl Incoming {
    /// A stream whose requests have at most `most` bytes.
    pub fn new(most: usize) -> Self {
        Self {
            bytes: Zeroizing::default(),
            most,
            searched: 0,
        }
    }

    /// Whether no request is half there.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Takes what arrived.
    pub fn push(&mut self, bytes: &[u8]) {
        append(&mut self.bytes, bytes);
    }

    /// The next whole request: its lines up to a blank one. After an error the stream is of no more use.
    pub fn next_request(&mut self) -> Result<Option<Request>, Errno> {
        let Some(end) = self.end() else {
            return if self.bytes.len() > self.most {
                Err(Errno::EMSGSIZE)
            } else {
                Ok(None)
            };
        };
        let request = request(&self.bytes[..=end]);
        consume(&mut self.bytes, end + 2);
        self.searched = 0;
        request.map(Some)
    }

    /// The place of the newline that a blank line follows.
    fn end(&mut self) -> Option<usize> {
        let found = self.bytes[self.searched..].windows(2).position(|w| w == b"\n\n");
        let start = self.searched;
        self.searched = self.bytes.len().saturating_sub(1);
        found.map(|place| start + place)
    }
}

fn request(bytes: &[u8]) -> Result<Request, Errno> {
    let text = core::str::from_utf8(bytes).map_err(|_| Errno::EINVAL)?;
    let (operation, lines) = text.split_once('\n').ok_or(Errno::EINVAL)?;
    match operation {
        "get=1" if lines.is_empty() => Ok(Request::Get),
        "set=1" => Ok(Request::Set(Zeroizing::new(lines.to_owned()))),
        _ => Err(Errno::EINVAL),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(stream: &[u8], step: usize) -> (Vec<Request>, Result<(), Errno>) {
        let (mut incoming, mut found) = (Incoming::new(1000), Vec::new());
        for chunk in stream.chunks(step) {
            incoming.push(chunk);
            loop {
                match incoming.next_request() {
                    Ok(Some(request)) => found.push(request),
                    Ok(None) => break,
                    Err(errno) => return (found, Err(errno)),
                }
            }
        }
        (found, Ok(()))
    }

    // Catches a blank line missed because it came in two reads, and requests run together.
    #[test]
    fn requests_are_found_however_the_stream_is_cut() {
        let stream = b"get=1\n\nset=1\nfwmark=1\nlisten_port=2\n\nset=1\n\nget=1\n\nset=1\nfw";
        for step in 1..=stream.len() {
            let (requests, end) = all(stream, step);
            let set = |lines: &str| Request::Set(Zeroizing::new(lines.to_owned()));
            assert_eq!(
                requests,
                [
                    Request::Get,
                    set("fwmark=1\nlisten_port=2\n"),
                    set(""),
                    Request::Get
                ],
                "cut every {step} bytes"
            );
            assert_eq!(end, Ok(()));
        }
    }

    // Catches garbage that is taken for a request, or waited on for ever.
    #[test]
    fn garbage_ends_the_stream() {
        for bad in [
            &b"\n\n"[..],
            b"put=1\n\n",
            b"get=2\n\n",
            b"get=1\nfwmark=1\n\n",
            b"set=1\n\xff\n\n",
        ] {
            assert_eq!(all(bad, 3).1, Err(Errno::EINVAL), "{bad:?}");
        }
        assert_eq!(all(&[b'a'; 1000], 100).1, Ok(()));
        assert_eq!(all(&[b'a'; 1001], 100).1, Err(Errno::EMSGSIZE));
    }
}
