//! Prints how many mac1 a core checks in a second, by Weir and by other libraries. Run it on one core:
//! `taskset --cpu-list 0 target/release/weir-mac-bench`.
#![forbid(unsafe_code)]

#[path = "../macs.rs"]
mod macs;

fn main() {
    println!("| mac1 checks | M/s |\n|---|---|");
    for (name, rate) in macs::measure() {
        println!("| {name} | {rate:.1} |");
    }
}
