//! A path that loses, doubles and reorders datagrams, both ways: a relay of UDP.

use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::os::fd::AsFd as _;
use std::sync::atomic::{AtomicBool, Ordering};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use rand_chacha::ChaCha8Rng;
use rand_core::{Rng as _, SeedableRng as _};
use weir_bench::Namespace;

use super::Ongoing;

/// Of a thousand datagrams, how many are lost, doubled, and overtaken by later ones.
const LOST: u32 = 5;
const DOUBLED: u32 = 5;
const OVERTAKEN: u32 = 10;

/// By how many at most.
const OVERTAKEN_BY: u32 = 32;

/// How long datagrams are awaited before those that are held back go on.
const TICK_MS: u16 = 10;

/// A running relay; it ends when it is dropped.
pub struct Relay {
    /// Where it is called instead of the other side.
    pub address: SocketAddr,
    _ongoing: Ongoing<()>,
}

impl Relay {
    /// Begins to relay between whoever calls and `other`.
    pub fn start(namespace: &Namespace, other: SocketAddr, seed: u64) -> Self {
        let (near, far) = namespace.enter(|| {
            let near = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
            let far = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
            far.connect(other).unwrap();
            (near, far)
        });
        near.set_nonblocking(true).unwrap();
        far.set_nonblocking(true).unwrap();
        let address = near.local_addr().unwrap();
        let ongoing = Ongoing::start(move |stop| run(&near, &far, seed, stop));
        Self {
            address,
            _ongoing: ongoing,
        }
    }
}

fn run(near: &UdpSocket, far: &UdpSocket, seed: u64, stop: &AtomicBool) {
    let mut faults = [0, 1].map(|direction| Faults::seeded(seed + direction));
    let mut caller: Option<SocketAddr> = None;
    let mut datagram = [0; 65_536];
    while !stop.load(Ordering::Relaxed) {
        let mut sockets = [near, far].map(|socket| PollFd::new(socket.as_fd(), PollFlags::POLLIN));
        let arrived = poll(&mut sockets, PollTimeout::from(TICK_MS)).unwrap();
        // While the network is down, or the other side has no port, sending fails.
        let out = |bytes: &[u8]| drop(far.send(bytes));
        while let Ok((length, from)) = near.recv_from(&mut datagram) {
            caller = Some(from);
            faults[0].pass(&datagram[..length], out);
        }
        let back = |bytes: &[u8]| {
            if let Some(caller) = caller {
                drop(near.send_to(bytes, caller));
            }
        };
        while let Ok(length) = far.recv(&mut datagram) {
            faults[1].pass(&datagram[..length], back);
        }
        if arrived == 0 {
            faults[0].release(out);
            faults[1].release(back);
        }
    }
}

/// One direction.
struct Faults {
    random: ChaCha8Rng,
    /// Datagrams held back, each until so many others have passed.
    held: VecDeque<(u32, Vec<u8>)>,
}

impl Faults {
    fn seeded(seed: u64) -> Self {
        Self {
            random: ChaCha8Rng::seed_from_u64(seed),
            held: VecDeque::new(),
        }
    }

    fn pass(&mut self, datagram: &[u8], send: impl Fn(&[u8])) {
        for (rest, _) in &mut self.held {
            *rest -= 1;
        }
        match self.random.next_u32() % 1000 {
            fate if fate < LOST => {}
            fate if fate < LOST + DOUBLED => {
                send(datagram);
                send(datagram);
            }
            fate if fate < LOST + DOUBLED + OVERTAKEN => {
                let by = 1 + self.random.next_u32() % OVERTAKEN_BY;
                self.held.push_back((by, datagram.to_vec()));
            }
            _ => send(datagram),
        }
        self.held.retain(|(rest, datagram)| {
            if *rest == 0 {
                send(datagram);
            }
            *rest > 0
        });
    }

    fn release(&mut self, send: impl Fn(&[u8])) {
        self.held.drain(..).for_each(|(_, datagram)| send(&datagram));
    }
}
