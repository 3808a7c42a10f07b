//! Gateways, the network between them, and the time.

use crate::gateway::Gateway;
use crate::network::{Datagram, Network};
use crate::port::Parcel;
use crate::seed::Seed;
use crate::setup::Setup;
use rand_chacha::ChaCha20Rng;
use std::net::SocketAddr;
use std::time::Duration;
use weir_frame::Segmentation;
use weir_noise::Instant;

/// Rounds after which gateways that still find something to do at one moment are taken to spin.
const ROUNDS_MAX: usize = 100_000;

/// The world of one test. Everything in it follows from the seed and from what the test does.
pub struct Simulation {
    /// Time since the start in ns.
    pub now_ns: u64,
    /// The network.
    pub network: Network,
    /// The gateways.
    pub gateways: Vec<Gateway>,
    /// Whether datagrams of one path that arrive at one moment are joined, as UDP GRO does.
    pub gro: bool,
    /// The randomness of the network and of the test itself.
    pub random: ChaCha20Rng,
    seed: Seed,
}

impl Simulation {
    /// An empty world.
    pub fn new(seed: u64) -> Self {
        let seed = Seed::from(seed);
        Self {
            now_ns: 0,
            network: Network::default(),
            gateways: Vec::new(),
            gro: false,
            random: seed.random(0),
            seed,
        }
    }

    /// The seed.
    pub fn seed(&self) -> &Seed {
        &self.seed
    }

    /// Adds a gateway and says its place.
    pub fn add(&mut self, setup: Setup) -> usize {
        let place = self.gateways.len();
        self.gateways
            .push(Gateway::new(setup, &self.seed, 1 + place as u64));
        place
    }

    /// Takes the gateway at `place` down and starts it anew without configuration, with what is kept on disk.
    pub fn restart(&mut self, place: usize, remember: bool) {
        let gateway = self.gateways.remove(place);
        let next = gateway.restarted(self.now_ns, remember);
        self.gateways.insert(place, next);
    }

    /// The boot clock of the one who is not a gateway.
    pub fn instant(&self) -> Instant {
        Instant::from_nanos(self.now_ns)
    }

    /// Puts a datagram on the network.
    pub fn send(&mut self, from: SocketAddr, to: SocketAddr, bytes: &[u8]) {
        let datagram = Datagram {
            from,
            to,
            bytes: bytes.to_vec(),
            class: 0,
        };
        self.network.send(self.now_ns, datagram, &mut self.random);
    }

    /// Lets time pass.
    pub fn run_for(&mut self, duration: Duration) {
        self.run_until(self.now_ns + duration.as_nanos() as u64);
    }

    /// Lets time pass up to this moment, from event to event.
    pub fn run_until(&mut self, end_ns: u64) {
        loop {
            self.settle();
            let Some(next) = self.next_event_ns().filter(|&next| next <= end_ns) else {
                break;
            };
            self.now_ns = self.now_ns.max(next);
        }
        self.now_ns = self.now_ns.max(end_ns);
        self.settle();
    }

    /// Goes to the next event, if there is one before `end_ns`; says whether there was.
    pub fn step(&mut self, end_ns: u64) -> bool {
        self.settle();
        let Some(next) = self.next_event_ns().filter(|&next| next <= end_ns) else {
            return false;
        };
        self.now_ns = self.now_ns.max(next);
        self.settle();
        true
    }

    /// Lets everybody do what there is to do at this moment.
    ///
    /// # Panics
    /// If that has no end.
    pub fn settle(&mut self) {
        for _ in 0..ROUNDS_MAX {
            let mut worked = self.arrive();
            for place in 0..self.gateways.len() {
                worked |= self.gateways[place].round(self.now_ns);
                while let Some(parcel) = self.gateways[place].sent() {
                    self.depart(place, parcel);
                }
            }
            if !worked {
                return;
            }
        }
        panic!("the gateways find no rest at {} ns", self.now_ns);
    }

    /// Asserts that every frame of every gateway is at home.
    ///
    /// # Panics
    /// If one is not.
    pub fn assert_frames_home(&mut self) {
        self.settle();
        for (place, gateway) in self.gateways.iter().enumerate() {
            assert_eq!(
                gateway.frames_abroad(),
                0,
                "frames of gateway {place} did not come home"
            );
        }
    }

    fn next_event_ns(&self) -> Option<u64> {
        let deadlines = self.gateways.iter().filter_map(Gateway::deadline_ns);
        deadlines.chain(self.network.next_arrival_ns()).min()
    }

    fn depart(&mut self, place: usize, parcel: Parcel) {
        let path = parcel
            .meta
            .path
            .expect("the engine says where every datagram goes");
        let gateway = &self.gateways[place];
        let local = path.local.and_then(|local| {
            let from = SocketAddr::new(
                local.ip,
                gateway.address_towards(path.remote).map_or(0, |a| a.port()),
            );
            gateway.owns(from).then_some(from)
        });
        // A host without an address of the family has no route.
        let Some(from) = local.or_else(|| gateway.address_towards(path.remote)) else {
            return;
        };
        let datagram = Datagram {
            from,
            to: path.remote,
            bytes: parcel.bytes,
            class: parcel.meta.traffic_class,
        };
        self.network.send(self.now_ns, datagram, &mut self.random);
    }

    fn arrive(&mut self) -> bool {
        let mut arrived = false;
        let mut joined: Option<Joined> = None;
        while let Some(datagram) = self.network.arrival(self.now_ns) {
            arrived = true;
            if !self.gro {
                self.hand_in(&Joined::new(datagram));
                continue;
            }
            if joined.as_mut().is_some_and(|run| run.append(&datagram)) {
                continue;
            }
            if let Some(run) = joined.replace(Joined::new(datagram)) {
                self.hand_in(&run);
            }
        }
        if let Some(run) = joined {
            self.hand_in(&run);
        }
        arrived
    }

    fn hand_in(&mut self, run: &Joined) {
        let Datagram {
            from,
            to,
            ref bytes,
            class,
        } = run.datagram;
        let segmentation = if run.count > 1 {
            Segmentation::Datagrams {
                size: run.size as u16,
            }
        } else {
            Segmentation::None
        };
        if let Some(gateway) = self.gateways.iter_mut().find(|gateway| gateway.owns(to)) {
            gateway.deliver_segmented(from, to, class, bytes, segmentation);
        }
    }
}

/// Datagrams of one path, joined.
struct Joined {
    datagram: Datagram,
    size: usize,
    count: usize,
    ended: bool,
}

impl Joined {
    fn new(datagram: Datagram) -> Self {
        Self {
            size: datagram.bytes.len(),
            datagram,
            count: 1,
            ended: false,
        }
    }

    fn append(&mut self, next: &Datagram) -> bool {
        let len = next.bytes.len();
        let fits = !self.ended
            && (next.from, next.to, next.class)
                == (self.datagram.from, self.datagram.to, self.datagram.class)
            && (1..=self.size).contains(&len)
            && self.count < 64
            && self.datagram.bytes.len() + len <= 65_000;
        if fits {
            self.datagram.bytes.extend_from_slice(&next.bytes);
            self.count += 1;
            self.ended = len < self.size;
        }
        fits
    }
}
