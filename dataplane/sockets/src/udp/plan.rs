//! What a batch of frames becomes: which neighbours go out as one message, cut again by the kernel (UDP_SEGMENT).

use super::address::unmapped;
use super::batch::{Message, Part};
use super::control::Sent;
use weir_frame::{Frame, Segmentation};

/// Datagrams in one message: the kernel's UDP_MAX_SEGMENTS.
const SEGMENTS_MAX: usize = 64;
/// Bytes in one message: what an IPv4 datagram holds.
pub(crate) const MESSAGE_MAX: usize = 65_507;

/// The messages of one call, by family. Kept between calls so that planning allocates nothing once it has grown.
#[derive(Default)]
pub(crate) struct Plan {
    /// All datagrams, in the order of their frames.
    pub parts: Vec<Part>,
    /// Messages to IPv4 addresses.
    pub v4: Vec<Message>,
    /// Messages to IPv6 addresses.
    pub v6: Vec<Message>,
    /// Frames that are no datagrams with a destination.
    pub senseless: u64,
}

impl Plan {
    /// Plans for `frames`. Neighbours of one path, class and length go together where `join` allows it; the last may
    /// be shorter. Order is kept within a path.
    pub fn make(&mut self, frames: &[Frame], join: bool) {
        self.parts.clear();
        self.v4.clear();
        self.v6.clear();
        self.senseless = 0;
        for (index, frame) in frames.iter().enumerate() {
            let size = match frame.meta().segmentation {
                Segmentation::None => frame.len(),
                Segmentation::Datagrams { size } => usize::from(size),
                Segmentation::Super { .. } => {
                    self.senseless += 1;
                    continue;
                }
            };
            let Some(path) = frame.meta().path else {
                self.senseless += 1;
                continue;
            };
            let sent = Sent {
                local: path.local,
                traffic_class: frame.meta().traffic_class,
                segment_size: None,
            };
            let mut start = 0;
            // An empty frame is an empty datagram.
            loop {
                let len = size.max(1).min(frame.len() - start);
                let part = Part {
                    frame: index,
                    start,
                    len,
                };
                self.add(part, unmapped(path.remote), sent, join);
                start += len;
                if start == frame.len() {
                    break;
                }
            }
        }
    }

    fn add(&mut self, part: Part, remote: std::net::SocketAddr, sent: Sent, join: bool) {
        let at = self.parts.len();
        self.parts.push(part);
        let messages = if remote.is_ipv4() {
            &mut self.v4
        } else {
            &mut self.v6
        };
        if join
            && let Some(message) = messages.last_mut()
            && message.remote == remote
            && (message.sent.local, message.sent.traffic_class) == (sent.local, sent.traffic_class)
            && takes(message, &self.parts, part.len)
        {
            let size = self.parts[message.parts.start].len;
            message.sent.segment_size = u16::try_from(size).ok();
            message.parts.end = at + 1;
            message.bytes += part.len;
            return;
        }
        messages.push(Message {
            remote,
            sent,
            parts: at..at + 1,
            bytes: part.len,
        });
    }
}

/// Whether another datagram of `len` bytes fits behind those of `message`: all but the last are equally long, the last
/// is not empty, and the parts lie side by side.
fn takes(message: &Message, parts: &[Part], len: usize) -> bool {
    let first = parts[message.parts.start].len;
    let last = parts[message.parts.end - 1].len;
    message.parts.end + 1 == parts.len()
        && len > 0
        && len <= first
        && last == first
        && message.parts.len() < SEGMENTS_MAX
        && message.bytes + len <= MESSAGE_MAX
}

#[cfg(test)]
mod tests {
    use super::*;
    use weir_frame::{FramePool, Home, Path, PoolSize};

    const A: &str = "192.0.2.1:1";
    const B: &str = "192.0.2.2:1";
    const C: &str = "[2001:db8::1]:1";

    fn plan(list: &[(&str, usize, u8)], join: bool) -> Plan {
        let home = Home { shard: 0, port: 0 };
        let mut pool = FramePool::new(home, PoolSize::default());
        let mut frames = Vec::new();
        for (remote, len, class) in list {
            let mut frame = pool.take(*len).expect("a frame");
            frame.set_len(*len);
            frame.meta_mut().path = Some(Path::to(remote.parse().expect("an address")));
            frame.meta_mut().traffic_class = *class;
            frames.push(frame);
        }
        let mut plan = Plan::default();
        plan.make(&frames, join);
        plan
    }

    fn shape(messages: &[Message]) -> Vec<(usize, Option<u16>)> {
        messages
            .iter()
            .map(|message| (message.parts.len(), message.sent.segment_size))
            .collect()
    }

    // Catches datagrams joined that the kernel would cut at the wrong places or send to the wrong peer.
    #[test]
    fn only_equal_neighbours_are_joined() {
        let list = [
            (A, 100, 0),
            (A, 100, 0),
            (A, 50, 0),
            (A, 50, 0),
            (A, 60, 0),
            (A, 60, 2),
        ];
        let plan = plan(&list, true);
        assert_eq!(shape(&plan.v4), [(3, Some(100)), (1, None), (1, None), (1, None)]);
    }

    // Catches order broken within a path, or a peer's datagrams sent to its neighbour.
    #[test]
    fn paths_and_families_stay_apart() {
        let list = [(A, 9, 0), (A, 9, 0), (B, 9, 0), (C, 9, 0), (A, 9, 0), (C, 9, 0)];
        let plan = plan(&list, true);
        assert_eq!(shape(&plan.v4), [(2, Some(9)), (1, None), (1, None)]);
        // Not side by side among the parts: another path lies between them.
        assert_eq!(shape(&plan.v6), [(1, None), (1, None)]);
    }

    // Catches messages beyond what the kernel takes, which would be refused whole.
    #[test]
    fn messages_stay_below_the_kernels_limits() {
        let many = plan(&[(A, 100, 0); 130], true);
        assert_eq!(
            shape(&many.v4),
            [(64, Some(100)), (64, Some(100)), (2, Some(100))]
        );
        let long = plan(&[(A, 1500, 0); 50], true);
        assert_eq!(shape(&long.v4), [(43, Some(1500)), (7, Some(1500))]);
        assert!(long.v4.iter().all(|message| message.bytes <= MESSAGE_MAX));
    }

    // Catches offloads used where the kernel has none, and empty datagrams that loop or vanish.
    #[test]
    fn plain_means_one_by_one() {
        assert_eq!(shape(&plan(&[(A, 100, 0); 3], false).v4), [(1, None); 3]);
        assert_eq!(shape(&plan(&[(A, 0, 0); 2], true).v4), [(1, None); 2]);
    }

    // Catches a frame of several datagrams sent as one, and a frame without destination sent anywhere.
    #[test]
    fn a_frame_of_several_datagrams_is_cut_by_its_size() {
        let home = Home { shard: 0, port: 0 };
        let mut pool = FramePool::new(home, PoolSize::default());
        let mut frame = pool.take(1000).expect("a frame");
        frame.set_len(1000);
        frame.meta_mut().path = Some(Path::to(A.parse().expect("an address")));
        frame.meta_mut().segmentation = Segmentation::Datagrams { size: 300 };
        let lost = pool.take(1).expect("a frame");
        let frames = [frame, lost];
        let mut plan = Plan::default();
        plan.make(&frames, true);
        assert_eq!((shape(&plan.v4), plan.senseless), (vec![(4, Some(300))], 1));
        plan.make(&frames, false);
        let lens: Vec<usize> = plan.parts.iter().map(|part| part.len).collect();
        assert_eq!((plan.v4.len(), lens), (4, vec![300, 300, 300, 100]));
    }
}
