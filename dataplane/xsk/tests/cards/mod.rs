//! Two network cards on one wire: a near one whose queues are AF_XDP's, and a far one that is the kernel's, in a
//! namespace of its own, where every datagram is sent back to whom it came from.

use std::fs;
use std::net::{Ipv4Addr, UdpSocket};
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use weir_bench::{Namespace, Topology, wait};
use weir_frame::{Frame, Home, PoolSize};
use weir_wire::outer::{LEN_V4, Outer};
use weir_xdp_prog::{ArrivalProgram, ArrivalSettings, AttachMode, Attachment};
use weir_xsk::{CHUNK, CHUNK_OF_WHOLE_KIB, Copying, Queue, QueueCounters, SocketOptions, Store};

const SIZE: PoolSize = PoolSize {
    small: 512,
    small_bytes: CHUNK,
    large: 0,
    large_bytes: 0,
    headroom: 64,
};

const RING: u32 = 128;

/// How long frames may not flow after anything that was done.
pub const TRAFFIC_LIMIT: Duration = Duration::from_secs(2);

/// How long a card may take to have a link, and a card of a removed namespace to come back.
const LINK_LIMIT: Duration = Duration::from_secs(30);

/// Where datagrams are sent back.
const ECHO: &str = "192.0.2.2:4000";

/// The payload of the longest datagram: an MTU of 1500 without the headers of IPv4 and UDP.
const LONGEST: usize = 1500 - 28;

/// Datagrams under way at a time, from each queue.
const UNDER_WAY: usize = 8;

/// Both cards, and the program on the near one.
pub struct Cards {
    near: String,
    interface: u32,
    macs: ([u8; 6], [u8; 6]),
    program: ArrivalProgram,
    attached: Option<Attachment>,
    queues: Vec<Queue>,
    /// Numbers the datagrams, and with them their senders.
    next: u32,
    _echo: Echo,
    far: Namespace,
    far_card: String,
    _topology: Topology,
}

impl Cards {
    /// The cards that `WEIR_NEAR_CARD` and `WEIR_FAR_CARD` name, with their links up, the program attached in the driver
    /// and no queue open.
    pub fn new() -> Self {
        let card = |name| std::env::var(name).unwrap_or_else(|_| panic!("{name} names no card"));
        let (near, far_card) = (card("WEIR_NEAR_CARD"), card("WEIR_FAR_CARD"));
        let topology = Topology::new().unwrap();
        let far = topology.namespace("far").unwrap();
        // The last test's namespace gives its card back some time after it was removed.
        wait::until_true("the far card", LINK_LIMIT, || class(&far_card).exists()).unwrap();
        let macs = (mac(&far_card), mac(&near));
        ip(&format!("link set {far_card} netns {}", far.name()));
        far.ip(&format!("address add 192.0.2.2/24 dev {far_card}"))
            .unwrap();
        far.ip(&format!("link set {far_card} up")).unwrap();
        let own: Vec<String> = macs.1.iter().map(|byte| format!("{byte:02x}")).collect();
        far.ip(&format!(
            "neighbour replace 192.0.2.1 lladdr {} dev {far_card}",
            own.join(":")
        ))
        .unwrap();
        far.ip("route replace 198.51.100.0/24 via 192.0.2.1").unwrap();
        ip(&format!("link set {near} up"));
        let program = ArrivalProgram::load().unwrap();
        let settings = ArrivalSettings {
            mac: macs.1,
            lan: true,
            ..ArrivalSettings::default()
        };
        program.set(&settings).unwrap();
        program
            .set_routes([("198.51.100.0".parse().unwrap(), 24, true)])
            .unwrap();
        let interface = fs::read_to_string(class(&near).join("ifindex")).unwrap();
        let mut cards = Self {
            interface: interface.trim().parse().unwrap(),
            near,
            macs,
            program,
            attached: None,
            queues: Vec::new(),
            next: 0,
            _echo: Echo::start(&far),
            far,
            far_card,
            _topology: topology,
        };
        cards.attach();
        cards.await_links();
        cards
    }

    /// Attaches the program again.
    pub fn attach(&mut self) {
        assert!(self.attached.is_none());
        self.attached = Some(self.program.attach(self.interface, AttachMode::Driver).unwrap());
    }

    /// Takes the program off.
    pub fn detach(&mut self) {
        drop(self.attached.take().unwrap());
    }

    /// Waits until both links are up.
    pub fn await_links(&self) {
        wait::until_true("the near link", LINK_LIMIT, || is_up(&self.near)).unwrap();
        wait::until_true("the far link", LINK_LIMIT, || {
            let shown = self.far.ip(&format!("-oneline link show dev {}", self.far_card));
            shown.unwrap().contains("LOWER_UP")
        })
        .unwrap();
    }

    /// The near card's channels.
    pub fn channels(&self) -> usize {
        let entries = fs::read_dir(class(&self.near).join("queues")).unwrap();
        entries
            .filter(|entry| {
                entry
                    .as_ref()
                    .unwrap()
                    .file_name()
                    .to_string_lossy()
                    .starts_with("rx-")
            })
            .count()
    }

    /// Asks for another number of channels, by `ethtool`, and returns what it said where it was refused.
    pub fn set_channels(&self, count: usize) -> Result<(), String> {
        let output = Command::new("ethtool")
            .args(["-L", &self.near, "combined", &count.to_string()])
            .output()
            .unwrap();
        if output.status.success() {
            assert_eq!(self.channels(), count);
            return Ok(());
        }
        Err(String::from_utf8_lossy(&output.stderr).trim().replace('\n', " "))
    }

    /// Takes the near link down or up.
    pub fn set_link(&self, up: bool) {
        ip(&format!(
            "link set {} {}",
            self.near,
            if up { "up" } else { "down" }
        ));
    }

    /// The queues that are open.
    pub fn queues(&self) -> usize {
        self.queues.len()
    }

    /// Opens the next queue, zero-copy, over what an earlier one left.
    pub fn open(&mut self, store: Option<Store>) {
        let queue = self.queues.len();
        let opened = self.open_queue(queue, store);
        self.queues.push(opened);
    }

    /// Closes the last queue.
    pub fn close(&mut self) -> Store {
        self.queues.pop().unwrap().close()
    }

    /// Closes a queue and opens it again over the same frames.
    pub fn reopen(&mut self, queue: usize) {
        // The others keep their places.
        let last = self.queues.len() - 1;
        self.queues.swap(queue, last);
        let store = self.close();
        let opened = self.open_queue(queue, Some(store));
        self.queues.push(opened);
        self.queues.swap(queue, last);
    }

    fn open_queue(&self, queue: usize, store: Option<Store>) -> Queue {
        let number = u32::try_from(queue).unwrap();
        let options = SocketOptions {
            interface: self.interface,
            queue: number,
            copying: None,
            ring: RING,
            busy_poll: false,
        };
        let store = store.unwrap_or_else(|| self.store());
        let opened = Queue::open(options, store).unwrap();
        assert_eq!(
            opened.copying(),
            Copying::None,
            "queue {queue} of {} is copied",
            self.near
        );
        self.program.insert_socket(number, opened.as_fd()).unwrap();
        opened
    }

    fn store(&self) -> Store {
        let driver = fs::read_link(class(&self.near).join("device/driver")).unwrap();
        let size = PoolSize {
            small_bytes: if driver.ends_with("igb") {
                CHUNK_OF_WHOLE_KIB
            } else {
                CHUNK
            },
            ..SIZE
        };
        Store::new(Home { shard: 0, port: 0 }, size).unwrap()
    }

    /// Sends datagrams from every queue, each from another address and port, until every queue has sent a full-length
    /// one that came back and has received one. Returns how long that took.
    ///
    /// Panics if it takes longer than `limit`, or if a frame comes back with other bytes.
    pub fn exchange(&mut self, limit: Duration) -> Duration {
        let begun = Instant::now();
        // Those of earlier exchanges may still be under way.
        let first = self.next;
        let (mut sent, mut received) = (vec![false; self.queues.len()], vec![false; self.queues.len()]);
        let mut arrived = Vec::new();
        while sent.iter().chain(&received).any(|done| !done) {
            assert!(
                begun.elapsed() < limit,
                "no datagram within {limit:?}; from queues {sent:?}, to queues {received:?}, verdicts {:?}, {}",
                self.program.counters().unwrap(),
                self.described(),
            );
            for queue in 0..self.queues.len() {
                self.send(queue);
            }
            thread::sleep(Duration::from_millis(2));
            for (queue, received) in received.iter_mut().enumerate() {
                self.queues[queue].receive(&mut arrived, 64);
                for frame in arrived.drain(..) {
                    let (number, from) = checked(&frame);
                    if number >= first && payload_len(number) == LONGEST {
                        sent[from] = true;
                        *received = true;
                    }
                    self.queues[queue].pool().give_back(frame);
                }
            }
        }
        begun.elapsed()
    }

    /// Sends a few datagrams from a queue, as far as it has room.
    pub fn send(&mut self, queue: usize) {
        let mut frames = Vec::new();
        while frames.len() < UNDER_WAY {
            let Some(mut frame) = self.queues[queue].pool().take_small() else {
                break;
            };
            self.fill(&mut frame, queue);
            frames.push(frame);
        }
        self.queues[queue].transmit(&mut frames);
        for frame in frames {
            self.queues[queue].pool().give_back(frame);
        }
    }

    /// Writes the next datagram: its number and its queue's, and bytes that follow from these.
    fn fill(&mut self, frame: &mut Frame, queue: usize) {
        let number = self.next;
        self.next += 1;
        let mut bytes = vec![0; LEN_V4];
        bytes.extend(number.to_be_bytes());
        bytes.push(queue as u8);
        bytes.resize(LEN_V4 + payload_len(number), number as u8);
        let sender = Ipv4Addr::new(198, 51, 100, 1 + (number % 250) as u8);
        let outer = Outer {
            macs: self.macs,
            source: (sender, 5000 + (number % 1000) as u16).into(),
            destination: ECHO.parse().unwrap(),
            traffic_class: 0,
        };
        assert!(outer.headers().unwrap().write(&mut bytes, number as u16));
        frame.reset(number as usize * 7 % 300);
        assert!(frame.write(&bytes));
    }

    /// Waits until the kernel has sent all that it has, and checks that every frame of every queue is at home or is
    /// the kernel's to fill. Prints what the queues did.
    pub fn account(&mut self) {
        for queue in 0..self.queues.len() {
            let begun = Instant::now();
            while self.queues[queue].held().1 > 0 {
                assert!(
                    begun.elapsed() < TRAFFIC_LIMIT,
                    "frames that never come home: {}",
                    self.described()
                );
                self.queues[queue].complete();
                thread::sleep(Duration::from_millis(1));
            }
            let (filling, _) = self.queues[queue].held();
            let (free, _) = self.queues[queue].pool().free();
            assert_eq!(free + filling as usize, SIZE.small, "{}", self.described());
            assert_eq!(self.queues[queue].counters().invalid, 0, "{}", self.described());
        }
        for (number, queue) in self.queues.iter().enumerate() {
            let QueueCounters { received, sent, .. } = queue.counters();
            println!(
                "{} queue {number}: {}, {received} received, {sent} sent",
                self.near,
                mode(queue)
            );
        }
    }

    fn described(&self) -> String {
        let queues = self.queues.iter().enumerate().map(|(number, queue)| {
            format!(
                "queue {number}: {}, {:?}, with the kernel {:?}, {:?}",
                mode(queue),
                queue.counters(),
                queue.held(),
                queue.kernel()
            )
        });
        queues.collect::<Vec<_>>().join("; ")
    }
}

/// How the kernel says that it moves a queue's frames.
fn mode(queue: &Queue) -> &'static str {
    match queue.copying() {
        Copying::None => "zero-copy",
        Copying::Each => "copied",
    }
}

/// Reads a frame that came back, and says its number and which queue had sent it.
fn checked(frame: &Frame) -> (u32, usize) {
    // A short frame is padded on the wire; UDP says what is the datagram's (RFC 768).
    let udp_len = usize::from(u16::from_be_bytes([frame.bytes()[38], frame.bytes()[39]]));
    let payload = &frame.bytes()[LEN_V4..LEN_V4 - 8 + udp_len];
    let number = u32::from_be_bytes(*payload.first_chunk().unwrap());
    assert_eq!(payload.len(), payload_len(number), "datagram {number}");
    assert!(
        payload[5..].iter().all(|byte| *byte == number as u8),
        "datagram {number}"
    );
    (number, usize::from(payload[4]))
}

/// How long datagrams are: every second one fills a frame, as most of a tunnel's do.
fn payload_len(number: u32) -> usize {
    if number.is_multiple_of(2) {
        LONGEST
    } else {
        5 + number as usize * 37 % 1400
    }
}

/// Sends datagrams back, on a thread of its own.
struct Echo {
    ends: Arc<AtomicBool>,
    thread: Option<JoinHandle<u64>>,
}

impl Echo {
    fn start(namespace: &Namespace) -> Self {
        let socket = namespace.enter(|| UdpSocket::bind(ECHO)).unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
        let ends = Arc::new(AtomicBool::new(false));
        let ended = Arc::clone(&ends);
        let thread = thread::spawn(move || {
            let (mut buffer, mut count) = ([0; 2000], 0);
            while !ended.load(Ordering::Relaxed) {
                let Ok((len, from)) = socket.recv_from(&mut buffer) else {
                    continue;
                };
                // A full queue or a link that is down loses it, as a wire may.
                let _ = socket.send_to(&buffer[..len], from);
                count += 1;
            }
            count
        });
        Self {
            ends,
            thread: Some(thread),
        }
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            println!("datagrams sent back by the far host: {}", thread.join().unwrap());
        }
    }
}

fn class(card: &str) -> PathBuf {
    Path::new("/sys/class/net").join(card)
}

fn is_up(card: &str) -> bool {
    // Reading it is refused while the card is down.
    fs::read_to_string(class(card).join("carrier")).is_ok_and(|carrier| carrier.trim() == "1")
}

fn mac(card: &str) -> [u8; 6] {
    let text = fs::read_to_string(class(card).join("address")).unwrap();
    let bytes: Vec<u8> = text
        .trim()
        .split(':')
        .map(|byte| u8::from_str_radix(byte, 16).unwrap())
        .collect();
    bytes.try_into().unwrap()
}

/// Runs `ip` in the namespace that the test was started in.
fn ip(arguments: &str) {
    let status = Command::new("ip")
        .args(arguments.split_whitespace())
        .status()
        .unwrap();
    assert!(status.success(), "ip {arguments}");
}
