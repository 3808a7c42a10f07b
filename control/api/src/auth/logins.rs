//! How often a login may fail: per name and per source, so that neither one name's password nor one source's guesses
//! can be tried without end. A source that a name logged in from lately is not locked out by others' guesses at it.

use crate::caller::Source;
use crate::limits::{LOGIN_FAILURES, LOGIN_SOURCES_MAX};
use core::time::Duration;
use std::collections::{HashMap, HashSet, VecDeque};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Mutex;
use tokio::time::Instant;

const WINDOW: Duration = Duration::from_secs(60);

/// The failures of the last minute.
#[derive(Debug, Default)]
pub(crate) struct Logins(Mutex<Failures>);

#[derive(Debug, Default)]
struct Failures {
    recent: HashMap<Subject, VecDeque<Instant>>,
    /// Names and the sources that they logged in from.
    trusted: HashSet<(String, Source)>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Subject {
    Name(String),
    Source(Source),
}

impl Logins {
    /// Begins an attempt, counted as a failure until [`Self::succeeded`] says otherwise, so that attempts at the same
    /// time count too. Where there were too many, the seconds until another may be tried.
    pub fn begin(&self, name: &str, source: Source, now: Instant) -> Result<(), u32> {
        let mut failures = self.0.lock().expect("nothing that holds the failures panics");
        let by_source = Subject::Source(network(source));
        let by_name = Subject::Name(name.to_owned());
        let trusted = failures.trusted.contains(&(name.to_owned(), network(source)));
        // All processes of this host that may reach the Unix socket would share one limit; their names still have one.
        let mut subjects = Vec::new();
        if source != Source::Unix {
            subjects.push(by_source);
        }
        if !trusted {
            subjects.push(by_name);
        }
        let waits = subjects
            .iter()
            .filter_map(|subject| failures.wait(subject, now))
            .max();
        if let Some(wait) = waits {
            return Err(wait);
        }
        for subject in subjects {
            failures.note(subject, now);
        }
        Ok(())
    }

    /// Takes back what [`Self::begin`] counted.
    pub fn succeeded(&self, name: &str, source: Source) {
        let mut failures = self.0.lock().expect("nothing that holds the failures panics");
        failures.recent.remove(&Subject::Name(name.to_owned()));
        // Others' names that were tried from there still count.
        if let Some(times) = failures.recent.get_mut(&Subject::Source(network(source))) {
            times.pop_back();
        }
        if failures.trusted.len() >= LOGIN_SOURCES_MAX {
            failures.trusted.clear();
        }
        failures.trusted.insert((name.to_owned(), network(source)));
    }
}

impl Failures {
    fn wait(&mut self, subject: &Subject, now: Instant) -> Option<u32> {
        let times = self.recent.get_mut(subject)?;
        while times
            .front()
            .is_some_and(|time| now.duration_since(*time) >= WINDOW)
        {
            times.pop_front();
        }
        if times.len() < LOGIN_FAILURES {
            return None;
        }
        let left = WINDOW - now.duration_since(*times.front()?);
        Some(left.as_secs() as u32 + 1)
    }

    fn note(&mut self, subject: Subject, now: Instant) {
        if self.recent.len() >= 2 * LOGIN_SOURCES_MAX && !self.recent.contains_key(&subject) {
            self.recent
                .retain(|_, times| times.back().is_some_and(|t| now.duration_since(*t) < WINDOW));
            if self.recent.len() >= 2 * LOGIN_SOURCES_MAX {
                // A flood of names from many sources: forgetting them all beats a table without end.
                self.recent.clear();
            }
        }
        self.recent.entry(subject).or_default().push_back(now);
    }
}

/// Whoever has one IPv6 address has its /64.
fn network(source: Source) -> Source {
    match source {
        Source::Address(IpAddr::V6(address)) => {
            let kept = address.to_bits() & (u128::MAX << 64);
            Source::Address(IpAddr::V6(Ipv6Addr::from_bits(kept)))
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(text: &str) -> Source {
        Source::Address(text.parse().unwrap())
    }

    // Catches guessing without end: at one name from many places, and at many names from one place.
    #[test]
    fn failures_are_counted_per_name_and_per_source() {
        let (logins, now) = (Logins::default(), Instant::now());
        for n in 0..LOGIN_FAILURES {
            assert_eq!(
                logins.begin("alice", source(&format!("192.0.2.{n}")), now),
                Ok(())
            );
        }
        assert_eq!(logins.begin("alice", source("198.51.100.1"), now), Err(61));
        assert_eq!(logins.begin("bob", source("198.51.100.1"), now), Ok(()));
        for n in 0..LOGIN_FAILURES {
            assert_eq!(
                logins.begin(&format!("u{n}"), source(&format!("2001:db8::{n}")), now),
                Ok(())
            );
        }
        assert!(logins.begin("carol", source("2001:db8::ffff"), now).is_err());
        assert!(logins.begin("carol", source("2001:db8:0:1::1"), now).is_ok());
        assert_eq!(
            logins.begin("alice", source("198.51.100.1"), now + WINDOW),
            Ok(())
        );
    }

    // Catches an attacker who locks a user out by failing in the user's name.
    #[test]
    fn a_source_that_logged_in_is_not_locked_out_by_others() {
        let (logins, now, home) = (Logins::default(), Instant::now(), source("192.0.2.1"));
        logins.begin("alice", home, now).unwrap();
        logins.succeeded("alice", home);
        for n in 0..LOGIN_FAILURES {
            logins
                .begin("alice", source(&format!("198.51.100.{n}")), now)
                .unwrap();
        }
        assert!(logins.begin("alice", source("203.0.113.1"), now).is_err());
        for _ in 0..LOGIN_FAILURES {
            assert_eq!(logins.begin("alice", home, now), Ok(()));
        }
        assert!(
            logins.begin("alice", home, now).is_err(),
            "its own guesses are still limited"
        );
    }

    // Catches memory that grows with every name that is tried.
    #[test]
    fn the_table_is_bounded() {
        let (logins, now) = (Logins::default(), Instant::now());
        for n in 0..3 * LOGIN_SOURCES_MAX {
            let address = Source::Address(IpAddr::V4(std::net::Ipv4Addr::from_bits(n as u32)));
            let _ = logins.begin(&format!("u{n}"), address, now);
        }
        assert!(logins.0.lock().unwrap().recent.len() <= 2 * LOGIN_SOURCES_MAX + 1);
    }
}
