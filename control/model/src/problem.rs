//! What is wrong with a change: every problem names the field, its value and what was expected, and shows no secret.

use core::fmt;
use weir_abi::key::PublicKey;

/// The most of a value that a problem repeats, in characters.
const SHOWN_MAX: usize = 100;

/// One problem of a change.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Problem {
    /// The field, as a path such as `allowed_ips[0]` or `operations[3].peer.name`.
    pub field: String,
    /// What it was; empty where it is missing or secret.
    pub value: String,
    /// What was expected.
    pub expected: String,
}

impl Problem {
    /// A problem; a long value is cut.
    pub fn new(field: impl Into<String>, value: impl fmt::Display, expected: impl Into<String>) -> Self {
        let value = value.to_string();
        let value = match value.char_indices().nth(SHOWN_MAX) {
            Some((end, _)) => format!("{}…", &value[..end]),
            None => value,
        };
        Self {
            field: field.into(),
            value,
            expected: expected.into(),
        }
    }

    /// The same problem of a part of something greater, which `within` names.
    pub fn within(self, within: &str) -> Self {
        let field = if within.is_empty() {
            self.field
        } else {
            format!("{within}.{}", self.field)
        };
        Self { field, ..self }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (field, value, expected) = (&self.field, &self.value, &self.expected);
        if value.is_empty() {
            write!(f, "{field}: expected {expected}")
        } else {
            write!(f, "{field}: {value:?}; expected {expected}")
        }
    }
}

/// Why a set of changes was refused; nothing of it was done.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Refused {
    /// Values that cannot be, or not together.
    #[error("{}", listed(.0))]
    Invalid(Vec<Problem>),
    /// Something else has what is asked for, or depends on what is to go.
    #[error("{}", listed(.0))]
    Conflict(Vec<Problem>),
    /// It is not there.
    #[error("no {what} {name:?}")]
    NotFound {
        /// What kind of thing.
        what: &'static str,
        /// Its name.
        name: String,
    },
    /// It is there already, and was to be new.
    #[error("{what} {name:?} exists already")]
    Exists {
        /// What kind of thing.
        what: &'static str,
        /// Its name.
        name: String,
    },
    /// It was changed since it was read.
    #[error("{what} {name:?} was changed since it was read; read it again and retry")]
    Changed {
        /// What kind of thing.
        what: &'static str,
        /// Its name.
        name: String,
    },
    /// It belongs to the file.
    #[error("peer {0} is declared in weir.toml, which is changed there alone")]
    DeclaredInFile(PublicKey),
}

fn listed(problems: &[Problem]) -> String {
    let all: Vec<String> = problems.iter().map(ToString::to_string).collect();
    all.join("; ")
}
