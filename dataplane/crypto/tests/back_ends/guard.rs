//! Every back end between pages that cannot be touched: what reads or writes one byte too many ends the process.
#![allow(unsafe_code, reason = "pages are taken from the kernel")]

use super::macs::{self, Message};
use super::packet::{Packet, back_ends, random};
use nix::libc::c_void;
use nix::sys::mman::{MapFlags, ProtFlags, mmap_anonymous, mprotect, munmap};
use std::num::NonZeroUsize;
use std::ptr::NonNull;
use weir_crypto::blake2s::Check;
use weir_crypto::{Open, Plaintext, Seal, TAG_BYTES};

/// Bytes of a page, or of several: no page of any CPU that Weir runs on is larger, and all divide it.
const PAGE: usize = 1 << 16;

/// A page between two that cannot be touched.
struct Guarded(NonNull<c_void>);

impl Guarded {
    fn new() -> Self {
        let all = NonZeroUsize::new(3 * PAGE).expect("not zero");
        // SAFETY: an anonymous mapping at a place of the kernel's choice touches nothing of ours.
        let base = unsafe { mmap_anonymous(None, all, ProtFlags::PROT_NONE, MapFlags::MAP_PRIVATE) };
        let base = base.expect("three pages");
        // SAFETY: the second of three mapped pages.
        let middle = unsafe { base.byte_add(PAGE) };
        // SAFETY: the page is of our mapping, and nothing refers to it yet.
        let opened = unsafe { mprotect(middle, PAGE, ProtFlags::PROT_READ | ProtFlags::PROT_WRITE) };
        opened.expect("it is ours");
        Self(base)
    }

    /// The page.
    fn bytes(&mut self) -> &mut [u8] {
        // SAFETY: the second of three mapped pages.
        let middle = unsafe { self.0.byte_add(PAGE) };
        // SAFETY: the page is readable, writable and zero at first; `self` owns it and is borrowed for the slice's life.
        unsafe { std::slice::from_raw_parts_mut(middle.as_ptr().cast(), PAGE) }
    }

    /// The page's beginning or its end, so long.
    fn edge(&mut self, at_end: bool, len: usize) -> &mut [u8] {
        let from = if at_end { PAGE - len } else { 0 };
        &mut self.bytes()[from..from + len]
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        // SAFETY: the mapping is ours, and no slice of it outlives the borrow of `self`.
        unsafe { munmap(self.0, 3 * PAGE) }.expect("it is mapped");
    }
}

/// Catches a SIMD back end that reads or writes beyond a packet's ends, at every length, in batches that take every way
/// through it: one packet, a few, eight of a length, and unequal ones. Lengths from a page's beginning are at one
/// alignment, those up to its end at all of them.
#[test]
fn nothing_beyond_a_packet_is_touched() {
    let mut random = random(23);
    for batch in [1, 3, 8, 11] {
        let mut texts: Vec<Guarded> = (0..batch).map(|_| Guarded::new()).collect();
        let mut outs: Vec<Guarded> = (0..batch).map(|_| Guarded::new()).collect();
        for len in 0..=2048 {
            let packets: Vec<Packet> = (0..batch)
                .map(|place| {
                    let len = if batch == 11 {
                        len * (place + 1) / batch
                    } else {
                        len
                    };
                    Packet::new(&mut random, len, 0, 0)
                })
                .collect();
            for aead in back_ends() {
                for at_end in [false, true] {
                    let places = packets.iter().zip(&mut texts).zip(&mut outs);
                    let mut jobs: Vec<Seal<'_>> = places
                        .enumerate()
                        .map(|(place, ((packet, text), out))| {
                            let len = packet.plain.len();
                            let out = out.edge(at_end, len + TAG_BYTES);
                            let plaintext = if place % 2 == 0 {
                                let text = text.edge(at_end, len);
                                text.copy_from_slice(&packet.plain);
                                Plaintext::At(text)
                            } else {
                                out[..len].copy_from_slice(&packet.plain);
                                Plaintext::InPlace(len)
                            };
                            Seal {
                                key: &packet.key,
                                counter: packet.counter,
                                plaintext,
                                out,
                            }
                        })
                        .collect();
                    aead.seal(&mut jobs);
                    assert!(
                        jobs.iter()
                            .zip(&packets)
                            .all(|(job, packet)| *job.out == packet.sealed[..])
                    );
                    drop(jobs);
                    let places = packets.iter().zip(&mut texts).zip(&mut outs);
                    let mut jobs: Vec<Open<'_>> = places
                        .map(|((packet, text), out)| {
                            let ciphertext = text.edge(at_end, packet.sealed.len());
                            ciphertext.copy_from_slice(&packet.sealed);
                            Open {
                                key: &packet.key,
                                counter: packet.counter,
                                ciphertext,
                                out: out.edge(at_end, packet.plain.len()),
                                authentic: false,
                            }
                        })
                        .collect();
                    aead.open(&mut jobs);
                    assert!(
                        jobs.iter()
                            .zip(&packets)
                            .all(|(job, packet)| *job.out == packet.opened()[..])
                    );
                }
            }
        }
    }
}

/// The same for BLAKE2s, whose last block is read by a mask: at every length, in batches for one lane, some and more than
/// all, with equal lengths and others.
#[test]
fn nothing_beyond_a_message_is_touched() {
    let mut random = random(29);
    for batch in [1, 3, 8, 11] {
        let mut texts: Vec<Guarded> = (0..batch).map(|_| Guarded::new()).collect();
        for len in 0..=1024 {
            let messages: Vec<Message> = (0..batch)
                .map(|place| {
                    let len = if batch == 11 {
                        len * (place + 1) / batch
                    } else {
                        len
                    };
                    Message::new(&mut random, len, 0)
                })
                .collect();
            for blake2s in macs::back_ends() {
                for at_end in [false, true] {
                    let places = messages.iter().zip(&mut texts);
                    let mut checks: Vec<Check<'_>> = places
                        .map(|(message, text)| {
                            let bytes = text.edge(at_end, message.bytes().len());
                            bytes.copy_from_slice(message.bytes());
                            Check::new(&message.key, bytes, &message.mac)
                        })
                        .collect();
                    blake2s.check(&mut checks);
                    assert!(checks.iter().all(|check| check.valid), "{len} bytes");
                }
            }
        }
    }
}
