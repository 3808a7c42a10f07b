//! Intel's ipsec-mb, its job manager given a burst of a batch's size, each packet with its own key. The library's structs
//! are filled by `shim.c`, which is compiled against its header.
#![allow(unsafe_code, reason = "the library is C")]

use super::contenders::in_place;
use std::ffi::c_int;
use std::marker::{PhantomData, PhantomPinned};
use std::ptr::NonNull;
use weir_crypto::{Aead, Key, Open, Seal, TAG_BYTES};

/// The library with the instructions that it picks on this CPU.
pub(crate) struct IpsecMb;

/// Packets that are described to the library at a time, and the most it takes as one burst.
const BURST: usize = 128;

/// The library's manager of jobs, of which only pointers exist here.
#[repr(C)]
struct Opaque {
    _bytes: [u8; 0],
    _not_ours: PhantomData<(*mut u8, PhantomPinned)>,
}

/// As `weir_packet` in `shim.c`.
#[repr(C)]
#[derive(Clone, Copy)]
struct Packet {
    key: *const Key,
    counter: u64,
    from: *const u8,
    to: *mut u8,
    bytes: u64,
    tag: *mut [u8; TAG_BYTES],
}

unsafe extern "C" {
    fn weir_mb_new() -> *mut Opaque;
    fn weir_mb_free(manager: *mut Opaque);
    fn weir_mb_run(manager: *mut Opaque, packets: *const Packet, count: u32, opens: c_int) -> c_int;
}

/// A manager, which belongs to one thread.
struct Manager(NonNull<Opaque>);

thread_local! {
    static MANAGER: Manager = Manager::new();
}

impl Manager {
    fn new() -> Self {
        // SAFETY: it takes nothing, and returns a manager of the caller's or null.
        let manager = unsafe { weir_mb_new() };
        Self(NonNull::new(manager).expect("the library supports every x86-64 CPU with SSE4.2"))
    }

    /// Works on packets that it may read and write as they say: `key`, `from` and `bytes` from there on are readable,
    /// `to` and as many bytes, and `tag`, writable, and nobody else writes any of these meanwhile.
    unsafe fn run(&self, packets: &[Packet], opens: bool) {
        let count = u32::try_from(packets.len()).expect("a burst is short");
        // SAFETY: the manager is alive, belongs to this thread, which is not in a call to it; the packets are what the
        // caller vouches for, and none is kept beyond the call.
        let error = unsafe { weir_mb_run(self.0.as_ptr(), packets.as_ptr(), count, opens.into()) };
        assert_eq!(error, 0, "every job is a valid one");
    }
}

impl Drop for Manager {
    fn drop(&mut self) {
        // SAFETY: `new` had it from `weir_mb_new`, and nobody else has it.
        unsafe { weir_mb_free(self.0.as_ptr()) };
    }
}

const NONE: Packet = Packet {
    key: std::ptr::null(),
    counter: 0,
    from: std::ptr::null(),
    to: std::ptr::null_mut(),
    bytes: 0,
    tag: std::ptr::null_mut(),
};

impl Aead for IpsecMb {
    fn name(&self) -> &'static str {
        "ipsec-mb"
    }

    fn seal(&self, batch: &mut [Seal<'_>]) {
        let mut packets = [NONE; BURST];
        for burst in batch.chunks_mut(BURST) {
            for (packet, job) in packets.iter_mut().zip(&mut *burst) {
                let (key, counter) = (job.key, job.counter);
                let (text, tag) = in_place(job);
                *packet = Packet {
                    key,
                    counter,
                    from: text.as_ptr(),
                    to: text.as_mut_ptr(),
                    bytes: text.len() as u64,
                    tag,
                };
            }
            // SAFETY: each packet is a job's text, in place, and its tag, which `burst` borrows alone; the library
            // encrypts in place.
            MANAGER.with(|manager| unsafe { manager.run(&packets[..burst.len()], false) });
        }
    }

    fn open(&self, batch: &mut [Open<'_>]) {
        let mut packets = [NONE; BURST];
        let mut tags = [[0; TAG_BYTES]; BURST];
        for burst in batch.chunks_mut(BURST) {
            for ((packet, tag), job) in packets.iter_mut().zip(&mut tags).zip(&mut *burst) {
                let text = job.ciphertext.len() - TAG_BYTES;
                assert_eq!(text, job.out.len(), "a job's out is as long as its plaintext");
                *packet = Packet {
                    key: job.key,
                    counter: job.counter,
                    from: job.ciphertext.as_ptr(),
                    to: job.out.as_mut_ptr(),
                    bytes: text as u64,
                    tag,
                };
            }
            // SAFETY: each packet is a job's ciphertext, its place, which `burst` borrows alone and which is as long,
            // and a tag of its own in `tags`.
            MANAGER.with(|manager| unsafe { manager.run(&packets[..burst.len()], true) });
            for (tag, job) in tags.iter().zip(burst) {
                let (_, received) = job.ciphertext.split_last_chunk::<TAG_BYTES>().expect("a tag");
                job.authentic = u128::from_ne_bytes(*tag) == u128::from_ne_bytes(*received);
                if !job.authentic {
                    job.out.fill(0);
                }
            }
        }
    }
}
