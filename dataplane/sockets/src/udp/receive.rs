//! Receiving: from both sockets of a shard in turn, into frames.

use super::address::unmapped;
use super::batch::{Arrived, Batch};
use super::socket::SocketPair;
use crate::posted::{Arrival, Posted};
use crate::sys;
use std::os::fd::BorrowedFd;
use weir_frame::{Frame, FramePool, Meta, Path, PortCounters, Segmentation};

/// Messages in one system call.
const BATCH: usize = 32;

/// Errors in a row after which a socket is left alone until the next call. One error a call is common: what ICMP said
/// of an earlier datagram.
const ERRORS_MAX: usize = 3;

/// The receiving half of a port.
pub(crate) struct Receiver {
    batch: Batch,
    posted: Vec<Posted>,
    v6_first: bool,
}

impl Receiver {
    pub fn new() -> Self {
        Self {
            batch: Batch::for_receiving(BATCH),
            posted: Vec::with_capacity(BATCH),
            v6_first: false,
        }
    }

    /// Appends what has arrived to `out`, at most `limit` frames, from each family first in turn, so that a flood on
    /// one does not starve the other. `offload` says whether datagrams may come joined.
    pub fn receive(
        &mut self,
        sockets: &SocketPair,
        offload: bool,
        pool: &mut FramePool,
        counters: &mut PortCounters,
        out: &mut Vec<Frame>,
        limit: usize,
    ) -> usize {
        let before = out.len();
        self.v6_first = !self.v6_first;
        let mut order = [Some(sockets.v4()), sockets.v6()];
        if self.v6_first {
            order.reverse();
        }
        let mut left = limit;
        for socket in order.into_iter().flatten() {
            left -= self.drain(socket, offload, pool, counters, out, left);
        }
        out.len() - before
    }

    /// Frames that lie posted, as at home as those in the pool.
    pub fn posted(&self) -> usize {
        self.posted.iter().map(Posted::frames).sum()
    }

    /// Gives the posted buffers back.
    pub fn give_back(&mut self, pool: &mut FramePool) {
        self.posted.drain(..).for_each(|posted| posted.give_back(pool));
    }

    /// Receives until the socket is empty or `limit` datagrams were dealt with, dropped ones included; says how many.
    fn drain(
        &mut self,
        socket: BorrowedFd<'_>,
        offload: bool,
        pool: &mut FramePool,
        counters: &mut PortCounters,
        out: &mut Vec<Frame>,
        limit: usize,
    ) -> usize {
        let mut done = 0;
        let mut errors = 0;
        while done < limit {
            let count = self.post(offload, pool).min(limit - done);
            if count == 0 {
                break;
            }
            match self.batch.receive(socket, &mut self.posted[..count]) {
                Ok(received) => {
                    self.take(received, pool, counters, out);
                    done += received;
                    if received < count {
                        break;
                    }
                }
                Err(error) => match sys::errno(&error) {
                    libc::EINTR => {}
                    // ENOTSOCK: the shard was removed and something else put in the socket's place.
                    libc::EAGAIN | libc::ENOTSOCK => break,
                    _ => {
                        counters.rx_errors += 1;
                        errors += 1;
                        if errors == ERRORS_MAX {
                            break;
                        }
                    }
                },
            }
        }
        done
    }

    /// Tops the posted buffers up and says how many of them to use: those in front, which have a large frame, so that
    /// nothing is cut short while there is one; without any, all, and joined datagrams are dropped.
    fn post(&mut self, offload: bool, pool: &mut FramePool) -> usize {
        while self.posted.len() < BATCH
            && let Some(posted) = Posted::take(pool)
        {
            self.posted.push(posted);
        }
        if !offload {
            return self.posted.len();
        }
        let whole = self
            .posted
            .iter_mut()
            .map(|posted| posted.complete(pool))
            .take_while(|complete| *complete)
            .count();
        if whole == 0 { self.posted.len() } else { whole }
    }

    fn take(
        &mut self,
        received: usize,
        pool: &mut FramePool,
        counters: &mut PortCounters,
        out: &mut Vec<Frame>,
    ) {
        for (index, posted) in self.posted.drain(..received).enumerate() {
            let arrived = self.batch.arrived(index);
            if arrived.truncated {
                counters.rx_too_long += 1;
                posted.give_back(pool);
                continue;
            }
            let Some(meta) = describe(&arrived) else {
                counters.rx_malformed += 1;
                posted.give_back(pool);
                continue;
            };
            match posted.finish(arrived.len, pool) {
                Arrival::Frame(mut frame) => {
                    counters.rx_frames += 1;
                    counters.rx_bytes += arrived.len as u64;
                    *frame.meta_mut() = meta;
                    out.push(frame);
                }
                Arrival::TooLong => counters.rx_too_long += 1,
            }
        }
    }
}

fn describe(arrived: &Arrived) -> Option<Meta> {
    let received = arrived.received?;
    let segmentation = match received.segment_size {
        None => Segmentation::None,
        Some(size) if size > 0 && size as usize >= arrived.len => Segmentation::None,
        Some(size) => Segmentation::Datagrams {
            size: u16::try_from(size).ok().filter(|size| *size > 0)?,
        },
    };
    Some(Meta {
        path: Some(Path {
            remote: unmapped(arrived.remote?),
            local: received.local,
        }),
        traffic_class: received.traffic_class,
        segmentation,
        partial_checksum: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::udp::control::Received;

    fn arrived(len: usize, segment_size: Option<i32>) -> Arrived {
        Arrived {
            len,
            truncated: false,
            remote: Some("[::ffff:192.0.2.1]:7".parse().expect("an address")),
            received: Some(Received {
                segment_size,
                ..Received::default()
            }),
        }
    }

    // Catches a size that would cut a frame into nothing for ever, or one datagram taken for several.
    #[test]
    fn sizes_of_joined_datagrams_make_sense_or_cost_a_drop() {
        let segmentation = |len, size| describe(&arrived(len, size)).map(|meta| meta.segmentation);
        assert_eq!(segmentation(100, None), Some(Segmentation::None));
        assert_eq!(segmentation(100, Some(100)), Some(Segmentation::None));
        assert_eq!(segmentation(100, Some(200)), Some(Segmentation::None));
        assert_eq!(
            segmentation(100, Some(40)),
            Some(Segmentation::Datagrams { size: 40 })
        );
        for size in [0, -1, i32::MIN] {
            assert_eq!(segmentation(100, Some(size)), None);
        }
        assert_eq!(segmentation(1 << 20, Some(1 << 17)), None);
    }

    // Catches a peer known by its mapped address, and a datagram from nowhere taken for one.
    #[test]
    fn remotes_are_real_and_never_mapped() {
        let meta = describe(&arrived(1, None)).expect("a description");
        assert_eq!(
            meta.path.map(|path| path.remote.to_string()),
            Some("192.0.2.1:7".into())
        );
        let mut nowhere = arrived(1, None);
        nowhere.remote = None;
        assert!(describe(&nowhere).is_none());
    }
}
