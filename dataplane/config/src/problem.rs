//! What is wrong with a file: every problem names its place, the value and what was expected, and shows no secret.

use core::fmt::{self, Write as _};
use weir_abi::endpoint::EndpointError;
use weir_abi::key::{KeyError, PublicKey};
use weir_abi::prefix::{Prefix, PrefixError};
use weir_abi::rule::PortRangeError;

/// One problem of a file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Problem {
    /// The file's name as the caller gave it.
    pub file: String,
    /// The line, counted from 1.
    pub line: usize,
    /// The section or peer, such as `interface` or `peer "laptop"`; empty at the top.
    pub section: String,
    /// The field; empty where the whole section is meant.
    pub field: String,
    /// What is wrong.
    pub wrong: Wrong,
}

/// What is wrong with a value.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Wrong {
    /// The text is not TOML.
    #[error("{0}")]
    Syntax(String),
    /// A line of a `.conf` is neither a section nor `Key = value`.
    #[error("expected a section such as [Interface] or a line KEY = VALUE")]
    ConfSyntax,
    /// A section or key that does not exist.
    #[error("unknown; {}", unknown_hint(.nearest, .known))]
    Unknown {
        /// The known one that was probably meant.
        nearest: Option<&'static str>,
        /// All that exist here.
        known: &'static [&'static str],
    },
    /// A value of another type.
    #[error("{found}; expected {expected}")]
    Type {
        /// What was found.
        found: &'static str,
        /// What was expected.
        expected: &'static str,
    },
    /// A value that must be there is not.
    #[error("missing; expected {0}")]
    Missing(&'static str),
    /// Two fields that exclude each other.
    #[error("given together with {0}; expected one of them")]
    Both(&'static str),
    /// A number outside its range.
    #[error("{value}; expected {least} to {most}")]
    Range {
        /// What was written.
        value: String,
        /// The least allowed.
        least: u64,
        /// The most allowed.
        most: u64,
    },
    /// A word or text that is none of those expected.
    #[error("\"{value}\"; expected {expected}")]
    Value {
        /// What was written.
        value: String,
        /// What was expected.
        expected: &'static str,
    },
    /// Not a prefix.
    #[error(transparent)]
    Prefix(#[from] PrefixError),
    /// Not an endpoint.
    #[error(transparent)]
    Endpoint(#[from] EndpointError),
    /// Not a key.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// A key file that cannot be read.
    #[error("{path}: {why}; expected a file holding one key in base64")]
    KeyFile {
        /// The file.
        path: String,
        /// Why not.
        why: String,
    },
    /// A key file that others can read; a warning.
    #[error("{path} can be read by others (mode {mode:04o}); expected 0600: chmod 600 {path}")]
    Exposed {
        /// The file.
        path: String,
        /// Its permission bits.
        mode: u32,
    },
    /// A public key with which no handshake can succeed.
    #[error("{0} is a public key of low order, which no key pair has; expected the peer's own public key")]
    WeakKey(PublicKey),
    /// A private key of zeroes.
    #[error("the key is all zero; expected a key such as `weir keygen` makes")]
    ZeroKey,
    /// A peer with the interface's own key.
    #[error("{0} is the interface's own public key; expected the peer's")]
    OwnKey(PublicKey),
    /// Something that exists once, twice.
    #[error("{value} is given twice, the first time in line {line}; expected it once")]
    Twice {
        /// What.
        value: String,
        /// Where first.
        line: usize,
    },
    /// One prefix with two owners.
    #[error("{prefix} belongs to {owner} already (line {line}); expected one owner")]
    PrefixTaken {
        /// The prefix.
        prefix: Prefix,
        /// Who has it.
        owner: String,
        /// Where.
        line: usize,
    },
    /// A list without anything in it, which could mean everything or nothing.
    #[error("an empty list; expected {0}, or the line left out for any")]
    Empty(&'static str),
    /// A list longer than the data plane takes.
    #[error("{count} of them; expected at most {most}")]
    TooMany {
        /// How many there are.
        count: usize,
        /// How many there may be.
        most: usize,
    },
    /// A rule names a peer that the file has not.
    #[error("no peer \"{0}\"; expected the name or public key of a [[peer]], \"group:NAME\" or \"any\"")]
    NoSuchPeer(String),
    /// A rule names a group that no peer is of.
    #[error("no peer is of group \"{0}\"; expected a group that a [[peer]] has in its groups")]
    NoSuchGroup(String),
    /// "any" in a list with others.
    #[error("\"any\" beside others; expected it alone, or the others alone")]
    AnyBesides,
    /// Not a port or a range of them.
    #[error(transparent)]
    PortRange(#[from] PortRangeError),
    /// A rule with ports for another protocol than those that have them.
    #[error("given for another protocol; expected protocol = \"tcp\" or \"udp\" beside it")]
    PortsOfOthers,
    /// A rule behind one that matches everything; a warning.
    #[error("never decides: the rule in line {line} before it matches everything")]
    Unreachable {
        /// Where that is.
        line: usize,
    },
    /// An MTU too small for the IPv6 addresses that are configured.
    #[error("{0}; expected at least 1280, which IPv6 needs (RFC 8200 section 5), or no IPv6 addresses")]
    MtuForV6(u16),
}

/// The most problems shown at once: one bracket too many can make every line behind it one.
const SHOWN_MAX: usize = 50;

/// All problems of a file; never empty when it is an error.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub struct Problems(pub Vec<Problem>);

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: ", self.file, self.line)?;
        let mut line = OneLine(f);
        for part in [&self.section, &self.field] {
            if !part.is_empty() {
                write!(line, "{part}: ")?;
            }
        }
        write!(line, "{}", self.wrong)
    }
}

/// Escapes control characters: a problem stays one line, and a file from elsewhere tells a terminal nothing.
struct OneLine<'f, 'g>(&'f mut fmt::Formatter<'g>);

impl fmt::Write for OneLine<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        text.chars().try_for_each(|character| {
            if character.is_control() {
                write!(self.0, "{}", character.escape_default())
            } else {
                self.0.write_char(character)
            }
        })
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, problem) in self.0.iter().take(SHOWN_MAX).enumerate() {
            if place > 0 {
                writeln!(f)?;
            }
            write!(f, "{problem}")?;
        }
        match self.0.len().saturating_sub(SHOWN_MAX) {
            0 => Ok(()),
            more => write!(f, "\n… and {more} more problems"),
        }
    }
}

fn unknown_hint(nearest: &Option<&'static str>, known: &[&'static str]) -> String {
    match nearest {
        Some(nearest) => format!("did you mean {nearest}?"),
        None => format!("expected one of {}", known.join(", ")),
    }
}

/// The known word that `word` was probably meant to be: at most a third of its letters differ.
pub(crate) fn nearest(word: &str, known: &'static [&'static str]) -> Option<&'static str> {
    let word = word.to_ascii_lowercase();
    let allowed = word.len().clamp(3, 12) / 3;
    known
        .iter()
        .map(|k| (distance(&word, &k.to_ascii_lowercase()), *k))
        .filter(|(d, k)| *d <= allowed || (word.len() > 3 && (k.starts_with(&word) || word.starts_with(k))))
        .min()
        .map(|(_, k)| k)
}

/// The distance of two words: insertions, removals, replacements and swaps of neighbours, in bytes.
fn distance(a: &str, b: &str) -> usize {
    // Nothing that long is a misspelt key, and the table below is quadratic.
    if a.len() > 64 || b.len() > 64 {
        return usize::MAX;
    }
    let (a, b) = (a.as_bytes(), b.as_bytes());
    let mut table = vec![vec![0; b.len() + 1]; a.len() + 1];
    for i in 0..=a.len() {
        for j in 0..=b.len() {
            table[i][j] = if i == 0 || j == 0 {
                i + j
            } else {
                let replaced = table[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
                let shifted = table[i - 1][j].min(table[i][j - 1]) + 1;
                let swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
                let swap = if swapped {
                    table[i - 2][j - 2] + 1
                } else {
                    usize::MAX
                };
                replaced.min(shifted).min(swap)
            };
        }
    }
    table[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    // Catches a suggestion for a word that has nothing to do with it, and none for a slip of the finger.
    #[test]
    fn slips_are_recognised() {
        const KNOWN: &[&str] = &["listen_port", "mtu", "addresses", "public_key"];
        assert_eq!(nearest("listenport", KNOWN), Some("listen_port"));
        assert_eq!(nearest("PublicKey", KNOWN), Some("public_key"));
        assert_eq!(nearest("mut", KNOWN), Some("mtu"));
        assert_eq!(nearest("adresses", KNOWN), Some("addresses"));
        assert_eq!(nearest("address", KNOWN), Some("addresses"));
        assert_eq!(nearest("colour", KNOWN), None);
        assert_eq!(nearest(&"x".repeat(100_000), KNOWN), None);
    }
}
