//! Host names of endpoints to addresses, beside the packet path: looked up in threads of their own, asked again as
//! long as handshakes fail, and never more often than a resolver should be asked.

use crate::clock;
use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

/// Names that wait to be looked up.
const WAITING: usize = 1024;

/// Lookups at a time: a resolver that does not answer takes up to half a minute to say so.
const WORKERS: usize = 4;

/// Between two lookups of one name: after a good answer, and at first after a bad one.
const AGAIN: Duration = Duration::from_secs(10);

/// Between two lookups of a name that keeps failing.
const AGAIN_MOST: Duration = Duration::from_secs(300);

/// A host name and port.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Name {
    /// The host's name.
    pub host: String,
    /// The UDP port.
    pub port: u16,
}

/// The answer to a question.
#[derive(Debug)]
pub struct Resolved {
    /// What was asked.
    pub name: Name,
    /// Its addresses in the resolver's order (RFC 6724), at least one; or why there are none.
    pub addresses: Result<Vec<SocketAddr>, String>,
}

/// How a name is looked up.
type Lookup = dyn Fn(&Name) -> io::Result<Vec<SocketAddr>> + Send + Sync;

/// Looks names up. The threads end when it is dropped and their last lookup has come back.
#[derive(Debug)]
pub struct Resolver {
    questions: Sender<Name>,
    answers: Receiver<Resolved>,
    names: Arc<Mutex<HashMap<Name, Pace>>>,
}

impl Resolver {
    /// Starts the threads; names are looked up as every program of this host does it (getaddrinfo(3)).
    pub fn start() -> io::Result<Self> {
        Self::with(Arc::new(|name: &Name| {
            (name.host.as_str(), name.port)
                .to_socket_addrs()
                .map(Iterator::collect)
        }))
    }

    fn with(lookup: Arc<Lookup>) -> io::Result<Self> {
        let (questions, waiting) = bounded::<Name>(WAITING);
        let (found, answers) = bounded(WAITING);
        let names = Arc::new(Mutex::new(HashMap::new()));
        for _ in 0..WORKERS {
            let worker = Worker {
                waiting: waiting.clone(),
                found: found.clone(),
                lookup: Arc::clone(&lookup),
                names: Arc::clone(&names),
            };
            thread::Builder::new()
                .name("weir-resolve".into())
                .spawn(move || worker.run())?;
        }
        Ok(Self {
            questions,
            answers,
            names,
        })
    }

    /// Asks for a name's addresses, which come by [`Resolver::answers`]. To be called whenever they are wanted: a name
    /// that is being looked up, or was so lately, is not looked up again. Whether it will be now.
    pub fn ask(&self, name: &Name) -> bool {
        self.ask_at(name, clock::boot_nanos())
    }

    /// The answers.
    pub fn answers(&self) -> &Receiver<Resolved> {
        &self.answers
    }

    /// Forgets a name that no peer has any more.
    pub fn forget(&self, name: &Name) {
        self.names
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(name);
    }

    fn ask_at(&self, name: &Name, now_ns: u64) -> bool {
        let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        let pace = names.entry(name.clone()).or_default();
        if !pace.may_ask(now_ns) {
            return false;
        }
        match self.questions.try_send(name.clone()) {
            Ok(()) => {
                pace.under_way = true;
                true
            }
            // It is asked for again.
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => false,
        }
    }
}

struct Worker {
    waiting: Receiver<Name>,
    found: Sender<Resolved>,
    lookup: Arc<Lookup>,
    names: Arc<Mutex<HashMap<Name, Pace>>>,
}

impl Worker {
    fn run(&self) {
        for name in &self.waiting {
            let addresses = match (self.lookup)(&name) {
                Ok(addresses) if addresses.is_empty() => Err("it has no address".to_owned()),
                Ok(addresses) => Ok(addresses),
                Err(error) => Err(error.to_string()),
            };
            let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
            if let Entry::Occupied(mut pace) = names.entry(name.clone()) {
                pace.get_mut().answered(addresses.is_ok(), clock::boot_nanos());
            }
            drop(names);
            if self.found.send(Resolved { name, addresses }).is_err() {
                return;
            }
        }
    }
}

/// When a name may be asked for again.
#[derive(Debug, Default)]
struct Pace {
    under_way: bool,
    not_before_ns: u64,
    failures: u32,
}

impl Pace {
    fn may_ask(&self, now_ns: u64) -> bool {
        !self.under_way && now_ns >= self.not_before_ns
    }

    fn answered(&mut self, good: bool, now_ns: u64) {
        self.under_way = false;
        self.failures = if good { 0 } else { self.failures.saturating_add(1) };
        let doublings = self.failures.saturating_sub(1).min(16);
        let pause = AGAIN.saturating_mul(1 << doublings).min(AGAIN_MOST);
        self.not_before_ns = now_ns.saturating_add(u64::try_from(pause.as_nanos()).unwrap_or(u64::MAX));
    }
}

/// A name's addresses, tried in turn: a host that lists an address of a family that does not work here is reached by
/// its next one.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Candidates {
    addresses: Vec<SocketAddr>,
    current: usize,
}

impl Candidates {
    /// Takes a new answer. The address in use stays in use where it is among the new ones.
    pub fn update(&mut self, addresses: Vec<SocketAddr>) {
        let kept = self
            .current()
            .and_then(|old| addresses.iter().position(|new| *new == old));
        self.current = kept.unwrap_or(0);
        self.addresses = addresses;
    }

    /// The address to use.
    pub fn current(&self) -> Option<SocketAddr> {
        self.addresses.get(self.current).copied()
    }

    /// Goes on to the next address, after handshakes to the current one failed; after the last comes the first.
    pub fn advance(&mut self) -> Option<SocketAddr> {
        self.current = (self.current + 1) % self.addresses.len().max(1);
        self.current()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(host: &str) -> Name {
        Name {
            host: host.to_owned(),
            port: 51820,
        }
    }

    fn address(text: &str) -> SocketAddr {
        text.parse().expect(text)
    }

    const LONG: Duration = Duration::from_secs(10);

    // Catches a real lookup that does not work, or loses the port; loopback needs no resolver.
    #[test]
    fn localhost_is_found() {
        let resolver = Resolver::start().expect("threads");
        assert!(resolver.ask(&name("localhost")));
        let found = resolver.answers().recv_timeout(LONG).expect("an answer");
        let addresses = found.addresses.expect("every host knows itself");
        assert!(
            addresses
                .iter()
                .all(|a| a.ip().is_loopback() && a.port() == 51820)
        );
    }

    // Catches a resolver that is flooded: by a name asked for before its answer, or one that keeps failing.
    #[test]
    fn names_are_asked_for_at_a_pace() {
        let mut pace = Pace::default();
        assert!(pace.may_ask(0));
        let mut now = 0;
        for seconds in [10, 20, 40, 80, 160, 300, 300] {
            pace.under_way = true;
            assert!(!pace.may_ask(u64::MAX));
            pace.answered(false, now);
            let again = now + seconds * 1_000_000_000;
            assert!(!pace.may_ask(again - 1) && pace.may_ask(again), "{seconds}");
            now = again;
        }
        pace.answered(true, now);
        assert!(pace.may_ask(now + 10_000_000_000));
    }

    // Catches a dead resolver that blocks its caller, and a queue without a bound.
    #[test]
    fn a_resolver_that_hangs_blocks_nobody() {
        let (release, held) = bounded::<()>(0);
        let resolver = Resolver::with(Arc::new(move |_: &Name| {
            let _ = held.recv();
            Err(io::Error::other("no answer"))
        }))
        .expect("threads");
        let asked = (0..2 * WAITING)
            .filter(|i| resolver.ask_at(&name(&format!("h{i}")), 0))
            .count();
        assert!((WAITING..=WAITING + WORKERS).contains(&asked), "{asked}");
        assert!(!resolver.ask_at(&name("h0"), 0));
        drop(release);
        let answer = resolver.answers().recv_timeout(LONG).expect("an answer");
        assert_eq!(answer.addresses.expect_err("none"), "no answer");
    }

    // Catches an answer in another order that moves a peer away from the address that works.
    #[test]
    fn the_address_that_works_is_kept() {
        let (four, six, new) = (
            address("192.0.2.1:1"),
            address("[2001:db8::1]:1"),
            address("192.0.2.9:1"),
        );
        let mut candidates = Candidates::default();
        assert_eq!((candidates.current(), candidates.clone().advance()), (None, None));
        candidates.update(vec![six, four]);
        assert_eq!(candidates.current(), Some(six));
        assert_eq!(candidates.advance(), Some(four));
        candidates.update(vec![new, six, four]);
        assert_eq!(candidates.current(), Some(four));
        assert_eq!(candidates.advance(), Some(new));
        candidates.advance();
        candidates.update(vec![four]);
        assert_eq!(candidates.current(), Some(four));
    }
}
