//! Steering by classic BPF: a program written for one table and one order of sockets.
//!
//! A classic program has no maps, and answers with the place of a socket in its group, which is the order in which
//! they were bound. A program is written anew for each table, and swapped for the old one at once.

use super::table::{SLOTS, SlotTable};
use libc::sock_filter;

/// An answer that is the place of no socket: the kernel then chooses by its hash of addresses and ports.
const BY_HASH: u32 = u32::MAX;

/// First words of the messages that carry a receiver index, as the program sees them, in network order: WireGuard
/// whitepaper, sections 5.4.3, 5.4.6 and 5.4.7.
const RESPONSE: u32 = 0x0200_0000;
const COOKIE_REPLY: u32 = 0x0300_0000;
const TRANSPORT: u32 = 0x0400_0000;

/// The program that sends each slot's datagrams to its shard, where `order` names the shards of the group's sockets.
/// A slot takes three instructions at most, so that
/// every table has a program below the kernel's limit of 4,096 (BPF_MAXINSNS).
pub(crate) fn program(table: &SlotTable, order: &[u16]) -> Vec<sock_filter> {
    let places: Vec<u32> = table.shards().iter().map(|shard| place(*shard, order)).collect();
    let mut program = slot_in_accumulator();
    let period = period(&places);
    if period < SLOTS {
        program.push(statement(
            libc::BPF_ALU | libc::BPF_MOD | libc::BPF_K,
            period as u32,
        ));
    }
    let places = &places[..period];
    if places.iter().zip(0..).all(|(place, slot)| *place == slot) {
        program.push(statement(libc::BPF_RET | libc::BPF_A, 0));
    } else {
        program.extend(search(&runs(places)));
    }
    program
}

fn place(shard: u16, order: &[u16]) -> u32 {
    let place = order.iter().position(|member| *member == shard);
    place
        .and_then(|place| u32::try_from(place).ok())
        .unwrap_or(BY_HASH)
}

/// Leaves the slot of the receiver index in the accumulator; messages without one end here.
fn slot_in_accumulator() -> Vec<sock_filter> {
    use libc::{BPF_ABS, BPF_ALU, BPF_B, BPF_IMM, BPF_IND, BPF_JA, BPF_JEQ, BPF_JGE, BPF_JMP, BPF_K, BPF_LD};
    use libc::{BPF_LDX, BPF_LEN, BPF_LSH, BPF_MEM, BPF_OR, BPF_RET, BPF_RSH, BPF_ST, BPF_W, BPF_X};
    vec![
        // The program sees the datagram without its headers.
        statement(BPF_LD | BPF_W | BPF_LEN, 0),
        jump(BPF_JMP | BPF_JGE | BPF_K, 12, 0, 4),
        statement(BPF_LD | BPF_W | BPF_ABS, 0),
        jump(BPF_JMP | BPF_JEQ | BPF_K, TRANSPORT, 3, 0),
        jump(BPF_JMP | BPF_JEQ | BPF_K, COOKIE_REPLY, 2, 0),
        jump(BPF_JMP | BPF_JEQ | BPF_K, RESPONSE, 3, 0),
        statement(BPF_RET | BPF_K, BY_HASH),
        // The receiver index stands at byte 4, in a response behind the sender's, at byte 8.
        statement(BPF_LDX | BPF_IMM, 4),
        statement(BPF_JMP | BPF_JA, 1),
        statement(BPF_LDX | BPF_IMM, 8),
        // It is little-endian: its high 10 bits are the last byte and two bits of the one before.
        statement(BPF_LD | BPF_B | BPF_IND, 3),
        statement(BPF_ALU | BPF_LSH | BPF_K, 2),
        statement(BPF_ST, 0),
        statement(BPF_LD | BPF_B | BPF_IND, 2),
        statement(BPF_ALU | BPF_RSH | BPF_K, 6),
        statement(BPF_LDX | BPF_MEM, 0),
        statement(BPF_ALU | BPF_OR | BPF_X, 0),
    ]
}

/// The shortest stretch whose repetition is the whole table; the table itself if there is none.
fn period(places: &[u32]) -> usize {
    (1..places.len())
        .find(|period| (*period..places.len()).all(|slot| places[slot] == places[slot - period]))
        .unwrap_or(places.len())
}

/// Where each stretch of equal places begins, and the place.
fn runs(places: &[u32]) -> Vec<(u32, u32)> {
    let mut runs: Vec<(u32, u32)> = Vec::new();
    for (place, slot) in places.iter().zip(0..) {
        if runs.last().is_none_or(|(_, last)| last != place) {
            runs.push((slot, *place));
        }
    }
    runs
}

/// A binary search of the accumulator among `runs`.
fn search(runs: &[(u32, u32)]) -> Vec<sock_filter> {
    if let [(_, place)] = runs {
        return vec![statement(libc::BPF_RET | libc::BPF_K, *place)];
    }
    let (low, high) = runs.split_at(runs.len() / 2);
    let below = search(low);
    let at_least = libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K;
    let mut program = match u8::try_from(below.len()) {
        Ok(skip) => vec![jump(at_least, high[0].0, skip, 0)],
        // A conditional jump reaches 255 instructions; an unconditional one any number.
        Err(_) => vec![
            jump(at_least, high[0].0, 0, 1),
            statement(libc::BPF_JMP | libc::BPF_JA, below.len() as u32),
        ],
    };
    program.extend(below);
    program.extend(search(high));
    program
}

fn statement(code: u32, k: u32) -> sock_filter {
    jump(code, k, 0, 0)
}

fn jump(code: u32, k: u32, jt: u8, jf: u8) -> sock_filter {
    let code = u16::try_from(code).expect("operation codes are short");
    sock_filter { code, jt, jf, k }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// BPF_MAXINSNS.
    const PROGRAM_MAX: usize = 4096;

    /// Runs the few operations that the programs use, as bpf(4) of the BSDs defines them; `None` where a load or a jump
    /// leaves its bounds.
    fn run(program: &[sock_filter], packet: &[u8]) -> Option<u32> {
        let (mut a, mut x, mut memory, mut at) = (0u32, 0u32, 0u32, 0usize);
        loop {
            let step = program.get(at)?;
            at += 1;
            let k = step.k;
            let byte = |at: u32| packet.get(at as usize).map(|byte| u32::from(*byte));
            let branch = |taken: bool| usize::from(if taken { step.jt } else { step.jf });
            match step.code {
                0x80 => a = packet.len() as u32,
                0x20 => a = u32::from_be_bytes(packet.get(k as usize..k as usize + 4)?.try_into().ok()?),
                0x50 => a = byte(x + k)?,
                0x01 => x = k,
                0x61 => x = memory,
                0x02 => memory = a,
                0x64 => a <<= k,
                0x74 => a >>= k,
                0x4c => a |= x,
                0x94 => a %= k,
                0x05 => at += k as usize,
                0x15 => at += branch(a == k),
                0x35 => at += branch(a >= k),
                0x06 => return Some(k),
                0x16 => return Some(a),
                code => panic!("operation {code:#x}"),
            }
        }
    }

    fn message(kind: u8, at: usize, index: u32) -> Vec<u8> {
        let mut message = vec![0xff; 32];
        message[..4].copy_from_slice(&[kind, 0, 0, 0]);
        message[at..at + 4].copy_from_slice(&index.to_le_bytes());
        message
    }

    fn check(table: &SlotTable, order: &[u16]) -> usize {
        let program = program(table, order);
        assert!(program.len() <= PROGRAM_MAX, "{} instructions", program.len());
        for slot in 0..SLOTS as u16 {
            let expected = place(table.shard(slot), order);
            for low in [0, 0x3f_ffff] {
                let index = u32::from(slot) << 22 | low;
                for (kind, at) in [(4, 4), (3, 4), (2, 8)] {
                    let answer = run(&program, &message(kind, at, index));
                    assert_eq!(answer, Some(expected), "slot {slot}, type {kind}");
                }
            }
        }
        program.len()
    }

    // Catches a slot read from the wrong bits or bytes, a jump that lands beside its target, and a table for which
    // there is no program.
    #[test]
    fn every_table_has_a_program_that_follows_it() {
        let one = check(&SlotTable::interleaved(1), &[0]);
        let many = check(&SlotTable::interleaved(64), &(0..64).collect::<Vec<_>>());
        assert_eq!(one, many, "the usual tables need no search");
        check(&SlotTable::from_fn(|slot| slot / 256), &[0, 1, 2, 3]);
        check(&SlotTable::from_fn(|slot| slot / 256), &[0, 3, 1]);
        check(&SlotTable::interleaved(7), &[6, 5, 4, 3, 2, 1, 0]);
        let mut state = 1u32;
        let scattered = SlotTable::from_fn(|_| {
            state = state.wrapping_mul(1_103_515_245).wrapping_add(12345);
            (state >> 16) as u16 % 200
        });
        check(&scattered, &(0..200).rev().collect::<Vec<_>>());
    }

    // Catches messages without a receiver index all sent to one shard, and loads beyond a short datagram, which the
    // kernel answers with socket 0.
    #[test]
    fn everything_else_goes_by_the_hash() {
        let program = program(&SlotTable::interleaved(4), &[0, 1, 2, 3]);
        for kind in [0, 1, 5, 255] {
            assert_eq!(run(&program, &message(kind, 4, 0)), Some(BY_HASH));
        }
        let mut reserved = message(4, 4, 0);
        reserved[2] = 1;
        assert_eq!(run(&program, &reserved), Some(BY_HASH));
        for len in 0..12 {
            assert_eq!(run(&program, &message(4, 4, 0)[..len]), Some(BY_HASH));
        }
    }
}
