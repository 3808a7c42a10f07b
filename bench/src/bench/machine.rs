//! The machine that was measured on, in words.

use std::fs;

/// Instruction sets that decide how fast packets are sealed.
const FEATURES: [&str; 4] = ["avx2", "avx512f", "avx512ifma", "vaes"];

/// Processor, kernel, memory and load, a line each.
pub(super) fn described() -> Vec<String> {
    let cpu = read("/proc/cpuinfo");
    let field = |name: &str| {
        cpu.lines()
            .find_map(|line| {
                line.strip_prefix(name)?
                    .split_once(':')
                    .map(|(_, value)| value.trim())
            })
            .unwrap_or("unknown")
    };
    let processors = cpu.lines().filter(|line| line.starts_with("processor")).count();
    let flags: Vec<&str> = field("flags").split_whitespace().collect();
    let features: Vec<&str> = FEATURES
        .into_iter()
        .filter(|feature| flags.contains(feature))
        .collect();
    vec![
        format!(
            "CPU: {}, {processors} logical cores, {}",
            field("model name"),
            features.join(" ")
        ),
        format!("kernel: Linux {}", read("/proc/sys/kernel/osrelease").trim()),
        format!("memory: {:.0} GiB", memory_gib(&read("/proc/meminfo"))),
    ]
}

/// Processes that ran or waited to run, on average over the last minute.
pub(super) fn load() -> f64 {
    read("/proc/loadavg")
        .split_whitespace()
        .next()
        .and_then(|number| number.parse().ok())
        .unwrap_or(0.0)
}

fn memory_gib(table: &str) -> f64 {
    table
        .lines()
        .find_map(|line| {
            line.strip_prefix("MemTotal:")?
                .split_whitespace()
                .next()?
                .parse::<f64>()
                .ok()
        })
        .map_or(0.0, |kib| kib / f64::from(1 << 20))
}

fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}
