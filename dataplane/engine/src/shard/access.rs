//! Access rules at work: what a peer sends is judged as it leaves the tunnel, by what could open a flow. What was opened
//! from the gateway's side is remembered here, on the peer's home shard, for the answers to pass.

use super::{Event, Now, Shard};
use crate::access::{ClassId, Flow, Recent, Verdict, Verdicts, fragment_of, opening};
use crate::indices::Place;
use crate::limiter::Bucket;
use crate::limits::*;
use crate::tables::PeerId;
use core::net::IpAddr;
use rand_core::Rng;
use weir_abi::drops::Drop;
use weir_wire::ip::{self, Fragment};

/// A flow that an access rule denied.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DeniedFlow {
    /// Who wanted to open it.
    pub peer: PeerId,
    /// The rule, counted from 0.
    pub rule: u16,
    /// The serial of the rules that it is one of.
    pub rules_serial: u64,
    /// From where.
    pub source: IpAddr,
    /// To where.
    pub destination: IpAddr,
    /// The transport, where it is known.
    pub protocol: Option<u8>,
    /// Source and destination port of TCP and UDP, where they are known.
    pub ports: Option<(u16, u16)>,
    /// Packets denied before it that were to be told and were not, as there were too many.
    pub left_out: u32,
}

/// What a shard keeps for access rules.
#[derive(Default)]
pub(super) struct Judging {
    serial: u64,
    /// Packets that each rule decided.
    decided: Vec<u64>,
    /// Kept only while there are rules.
    memory: Option<Memory>,
}

struct Memory {
    /// Flows from the gateway's side, as the peer's answers show them.
    flows: Recent,
    /// What long lists of rules said of flows.
    verdicts: Verdicts,
    /// Packets whose first fragment passed.
    fragments: Recent,
    /// Denied flows that were told.
    told: Recent,
    telling: Bucket,
    left_out: u32,
}

impl Judging {
    /// The rules' serial, and the packets that each decided.
    pub fn decided(&self) -> (u64, Vec<u64>) {
        (self.serial, self.decided.clone())
    }
}

impl Shard {
    /// Other rules, or other peers that they concern, are in force: where classes mean something else than in the epoch
    /// `before`, the peers at home are classed anew; else those are that changed, each by itself. What was opened before
    /// stays open.
    pub(super) fn access_changed(&mut self, before: u64) {
        let access = &self.tables.access;
        if access.epoch() != before {
            for peer in self.peers.iter_mut().flatten() {
                peer.access = access.class_of(peer.id());
            }
        }
        let judging = &mut self.judging;
        if judging.serial != access.serial() {
            judging.serial = access.serial();
            judging.decided = vec![0; access.declared().all().len()];
        }
        if access.declared().all().is_empty() {
            judging.memory = None;
        } else if let Some(memory) = &mut judging.memory {
            memory.verdicts.clear();
        } else {
            let verdicts = Verdicts::new(VERDICTS, [self.random.next_u64(), self.random.next_u64()]);
            let mut recent =
                |buckets, life| Recent::new(buckets, life, [self.random.next_u64(), self.random.next_u64()]);
            judging.memory = Some(Memory {
                verdicts,
                flows: recent(FLOW_BUCKETS, FLOW_LIFE),
                fragments: recent(FRAGMENT_BUCKETS, FRAGMENT_LIFE),
                told: recent(DENIED_BUCKETS, DENIED_LIFE),
                telling: Bucket::full(DENIED_TOLD_PER_S),
                left_out: 0,
            });
        }
    }

    /// Whether a packet of a peer may pass. `bytes` hold the packet that was parsed.
    pub(super) fn judge(
        &mut self,
        peer: PeerId,
        class: ClassId,
        packet: &ip::Packet,
        bytes: &[u8],
        now: Now,
    ) -> Result<(), Drop> {
        if packet.is_fragment() {
            return self.judge_fragment(peer, class, packet, bytes, now);
        }
        match opening(packet, bytes) {
            Some(flow) => self.judge_flow(peer, class, flow, now),
            None => Ok(()),
        }
    }

    /// Later fragments go the way of their first, if that was seen.
    fn judge_fragment(
        &mut self,
        peer: PeerId,
        class: ClassId,
        packet: &ip::Packet,
        bytes: &[u8],
        now: Now,
    ) -> Result<(), Drop> {
        let fragmented = fragment_of(peer, packet, bytes);
        if packet.fragment == Fragment::Later
            && let (Some(memory), Some(of)) = (&self.judging.memory, &fragmented)
            && memory.fragments.contains(of, now.at)
        {
            return Ok(());
        }
        if let Some(flow) = opening(packet, bytes) {
            self.judge_flow(peer, class, flow, now)?;
        }
        if packet.fragment == Fragment::First
            && let (Some(memory), Some(of)) = (&mut self.judging.memory, &fragmented)
        {
            memory.fragments.note(of, now.at);
        }
        Ok(())
    }

    fn judge_flow(&mut self, peer: PeerId, class: ClassId, flow: Flow, now: Now) -> Result<(), Drop> {
        let Judging {
            decided,
            memory: Some(memory),
            ..
        } = &mut self.judging
        else {
            return Ok(());
        };
        let access = &self.tables.access;
        let verdict = if access.is_long(class) {
            memory.verdicts.of(class, &flow, || access.judge(class, &flow))
        } else {
            access.judge(class, &flow)
        };
        match verdict {
            Verdict::Accept(rule) => {
                if let Some(rule) = rule {
                    decided[usize::from(rule)] += 1;
                }
                Ok(())
            }
            Verdict::Deny { .. } if memory.flows.contains(&(peer, flow), now.at) => Ok(()),
            Verdict::Deny { rule, log } => {
                decided[usize::from(rule)] += 1;
                if log {
                    self.tell_denied(peer, rule, flow, now);
                }
                Err(Drop::RuleDenied)
            }
        }
    }

    /// Takes note of a packet to a peer, for the answers to it to pass. TCP's and ICMP's answers show themselves.
    #[inline]
    pub(super) fn note_outbound(&mut self, place: Place, parsed: &ip::Packet, packet: &[u8], now: Now) {
        let (Some(memory), Some(peer)) = (&mut self.judging.memory, &self.peers[place as usize]) else {
            return;
        };
        if peer.access.is_none() {
            return;
        }
        let id = peer.id();
        if matches!(parsed.protocol, ip::TCP | ip::ICMP | ip::ICMPV6) || parsed.fragment == Fragment::Later {
            return;
        }
        if let Some(flow) = opening(parsed, packet) {
            memory.flows.note(&(id, flow.reversed()), now.at);
        }
    }

    fn tell_denied(&mut self, peer: PeerId, rule: u16, flow: Flow, now: Now) {
        let Some(memory) = &mut self.judging.memory else {
            return;
        };
        if memory.told.contains(&(peer, flow), now.at) {
            return;
        }
        if !memory.telling.take(now.at, DENIED_TOLD_PER_S) {
            memory.left_out = memory.left_out.saturating_add(1);
            return;
        }
        memory.told.note(&(peer, flow), now.at);
        let left_out = core::mem::take(&mut memory.left_out);
        self.tell(Event::Denied(DeniedFlow {
            peer,
            rule,
            rules_serial: self.judging.serial,
            source: flow.source,
            destination: flow.destination,
            protocol: flow.protocol,
            ports: flow.ports,
            left_out,
        }));
    }
}
