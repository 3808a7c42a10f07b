//! Checks that crates depend on each other only as written down here: every dependency points down, and what a crate
//! exists to keep out stays out. Reads `cargo metadata`; run it with `make dependency-check`.
#![forbid(unsafe_code)]

use std::collections::{BTreeMap, BTreeSet};
use std::process::{Command, ExitCode};

use serde::Deserialize;

/// One crate of the workspace, what it may build on, and what only its tests may.
struct Rule {
    name: &'static str,
    may_use: &'static [&'static str],
    tests_may_use: &'static [&'static str],
}

/// Every crate of the workspace, lowest first. An edge that is not here is refused.
const RULES: &[Rule] = &[
    rule("weir-abi", &[], &[]),
    rule("weir-wire", &[], &[]),
    rule("weir-frame", &[], &[]),
    rule("weir-crypto", &[], &[]),
    rule("weir-xdp-prog", &[], &["weir-wire", "weir-bench"]),
    rule("weir-nic", &[], &["weir-xdp-prog", "weir-bench"]),
    rule("weir-config", &["weir-abi"], &[]),
    rule("weir-noise", &["weir-abi", "weir-crypto"], &[]),
    rule(
        "weir-sockets",
        &["weir-frame", "weir-wire", "weir-xdp-prog"],
        &["weir-bench"],
    ),
    rule(
        "weir-xsk",
        &["weir-frame", "weir-wire"],
        &["weir-sockets", "weir-xdp-prog", "weir-bench"],
    ),
    rule(
        "weir-engine",
        &["weir-abi", "weir-wire", "weir-frame", "weir-crypto", "weir-noise"],
        &["weir-testkit"],
    ),
    rule(
        "weir-testkit",
        &[
            "weir-abi",
            "weir-wire",
            "weir-frame",
            "weir-crypto",
            "weir-noise",
            "weir-engine",
        ],
        &[],
    ),
    rule(
        "weir-gateway",
        &[
            "weir-abi",
            "weir-config",
            "weir-wire",
            "weir-frame",
            "weir-crypto",
            "weir-noise",
            "weir-engine",
            "weir-nic",
            "weir-sockets",
            "weir-xdp-prog",
            "weir-xsk",
        ],
        &["weir-bench", "weir-testkit"],
    ),
    // Control knows of the data plane only its contract, and the configuration's format, which both must read alike.
    rule("weir-model", &["weir-abi", "weir-config"], &[]),
    rule("weir-store", &["weir-abi", "weir-model"], &[]),
    rule("weir-api", &["weir-abi"], &[]),
    rule(
        "weir-control",
        &["weir-abi", "weir-config", "weir-model", "weir-store", "weir-api"],
        &["weir-bench"],
    ),
    // Its tests answer with the API's own types, so that what the two say of each other cannot drift apart.
    rule(
        "weir-cli",
        &["weir-abi", "weir-config", "weir-nic"],
        &["weir-api", "weir-bench"],
    ),
    // What the fuzzers call, replayed over kept corpora by its tests; nothing builds on it.
    rule(
        "weir-fuzz-targets",
        &[
            "weir-abi",
            "weir-wire",
            "weir-frame",
            "weir-crypto",
            "weir-noise",
            "weir-config",
            "weir-engine",
            "weir-testkit",
            "weir-gateway",
            "weir-store",
        ],
        &[],
    ),
    // Brings other libraries of cryptography and of WireGuard, to measure beside them; nothing builds on it.
    rule(
        "weir-bench-crypto",
        &[
            "weir-abi",
            "weir-crypto",
            "weir-engine",
            "weir-frame",
            "weir-noise",
        ],
        &[],
    ),
    // The laboratory measures whole programs and single stages; nothing of the product builds on it.
    rule(
        "weir-bench",
        &[
            "weir-abi",
            "weir-wire",
            "weir-frame",
            "weir-crypto",
            "weir-noise",
            "weir-config",
            "weir-engine",
            "weir-testkit",
            "weir-xdp-prog",
            "weir-xsk",
        ],
        &["weir-xdp-prog"],
    ),
];

/// Crates that keep something out, and what: also through other crates, tests aside.
const KEPT_OUT: &[(&[&str], &[&str])] = &[
    // Protocol, tables and formats take time, randomness and packets as arguments: whole gateways run in one test.
    (
        &[
            "weir-abi",
            "weir-wire",
            "weir-frame",
            "weir-crypto",
            "weir-noise",
            "weir-config",
            "weir-engine",
            "weir-testkit",
        ],
        &[
            "nix",
            "tokio",
            "mio",
            "socket2",
            "libbpf-rs",
            "libbpf-sys",
            "xsk-rs",
        ],
    ),
    // The data plane's threads own their queues; a runtime would schedule them, and HTTP belongs to control.
    (
        &[
            "weir-nic",
            "weir-sockets",
            "weir-xsk",
            "weir-xdp-prog",
            "weir-gateway",
        ],
        &["tokio", "mio", "async-std", "smol", "axum", "hyper"],
    ),
    // A command asks and ends.
    (&["weir-cli"], &["tokio", "mio", "axum", "hyper", "rustls"]),
];

const fn rule(
    name: &'static str,
    may_use: &'static [&'static str],
    tests_may_use: &'static [&'static str],
) -> Rule {
    Rule {
        name,
        may_use,
        tests_may_use,
    }
}

fn main() -> ExitCode {
    let graph = match Metadata::read() {
        Ok(metadata) => metadata.graph(),
        Err(error) => {
            eprintln!("edges: {error}");
            return ExitCode::FAILURE;
        }
    };
    let faults = graph.faults(RULES, KEPT_OUT);
    for fault in &faults {
        eprintln!("edges: {fault}");
    }
    if !faults.is_empty() {
        eprintln!("edges: bench/src/bin/edges.rs lists what is allowed");
        return ExitCode::FAILURE;
    }
    println!(
        "edges: {} crates depend on each other as written down",
        graph.members.len()
    );
    ExitCode::SUCCESS
}

/// The part of `cargo metadata` that is read.
#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
    workspace_members: Vec<String>,
    resolve: Resolve,
}

#[derive(Deserialize)]
struct Package {
    id: String,
    name: String,
}

#[derive(Deserialize)]
struct Resolve {
    nodes: Vec<Node>,
}

#[derive(Deserialize)]
struct Node {
    id: String,
    deps: Vec<Dependency>,
}

#[derive(Deserialize)]
struct Dependency {
    pkg: String,
    dep_kinds: Vec<DependencyKind>,
}

#[derive(Deserialize)]
struct DependencyKind {
    kind: Option<String>,
}

impl Metadata {
    fn read() -> Result<Self, String> {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let output = Command::new(cargo)
            .args(["metadata", "--format-version", "1"])
            .output()
            .map_err(|error| format!("run cargo metadata: {error}"))?;
        if !output.status.success() {
            return Err(format!(
                "cargo metadata: {}",
                String::from_utf8_lossy(&output.stderr)
            ));
        }
        serde_json::from_slice(&output.stdout).map_err(|error| format!("read cargo metadata: {error}"))
    }

    fn graph(self) -> Graph {
        let names: BTreeMap<String, String> = self
            .packages
            .into_iter()
            .map(|package| (package.id, package.name))
            .collect();
        let mut graph = Graph {
            members: self
                .workspace_members
                .iter()
                .map(|id| names[id].clone())
                .collect(),
            ..Graph::default()
        };
        for node in self.resolve.nodes {
            for dependency in node.deps {
                let edge = (names[&node.id].clone(), names[&dependency.pkg].clone());
                for kind in dependency.dep_kinds {
                    let edges = match kind.kind.as_deref() {
                        Some("dev") => &mut graph.test_edges,
                        _ => &mut graph.edges,
                    };
                    edges.insert(edge.clone());
                }
            }
        }
        graph
    }
}

/// Who depends on whom, by name; two versions of a crate count as one.
#[derive(Default)]
struct Graph {
    members: BTreeSet<String>,
    edges: BTreeSet<(String, String)>,
    test_edges: BTreeSet<(String, String)>,
}

impl Graph {
    fn faults(&self, rules: &[Rule], kept_out: &[(&[&str], &[&str])]) -> Vec<String> {
        let mut faults = Vec::new();
        for member in &self.members {
            let mut own = rules.iter().filter(|rule| rule.name == member);
            match (own.next(), own.next()) {
                (Some(rule), None) => self.check_edges(rule, &mut faults),
                (None, _) => faults.push(format!("{member} has no rule")),
                // Which of them holds would depend on their order.
                (Some(_), Some(_)) => faults.push(format!("{member} has more than one rule")),
            }
        }
        for (crates, unwanted) in kept_out {
            for name in *crates {
                self.check_reach(name, unwanted, &mut faults);
            }
        }
        faults
    }

    fn check_edges(&self, rule: &Rule, faults: &mut Vec<String>) {
        let inside = |edges: &BTreeSet<(String, String)>| -> Vec<String> {
            let own = edges
                .iter()
                .filter(|(from, to)| from == rule.name && self.members.contains(to));
            own.map(|(_, to)| to.clone()).collect()
        };
        for to in inside(&self.edges) {
            if !rule.may_use.contains(&&*to) {
                faults.push(format!("{} may not depend on {to}", rule.name));
            }
        }
        for to in inside(&self.test_edges) {
            if !rule.may_use.contains(&&*to) && !rule.tests_may_use.contains(&&*to) {
                faults.push(format!("tests of {} may not depend on {to}", rule.name));
            }
        }
    }

    /// Finds the shortest way from a crate to each crate it keeps out.
    fn check_reach(&self, name: &str, unwanted: &[&str], faults: &mut Vec<String>) {
        let mut seen = BTreeSet::from([name]);
        let mut ways = vec![vec![name]];
        while let Some(way) = ways.first().cloned() {
            ways.remove(0);
            let last = *way.last().expect("a way begins with its crate");
            for (_, to) in self.edges.iter().filter(|(from, _)| from == last) {
                if !seen.insert(to) {
                    continue;
                }
                let way: Vec<&str> = way.iter().copied().chain([&**to]).collect();
                if unwanted.contains(&&**to) {
                    faults.push(format!("{name} keeps {to} out, but: {}", way.join(" -> ")));
                }
                ways.push(way);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn graph(members: &[&str], edges: &[(&str, &str)], test_edges: &[(&str, &str)]) -> Graph {
        let owned = |edges: &[(&str, &str)]| {
            edges
                .iter()
                .map(|(from, to)| ((*from).to_owned(), (*to).to_owned()))
                .collect()
        };
        Graph {
            members: members.iter().map(|member| (*member).to_owned()).collect(),
            edges: owned(edges),
            test_edges: owned(test_edges),
        }
    }

    const TWO: &[Rule] = &[rule("low", &[], &[]), rule("high", &["low"], &["lab"])];

    /// Catches an edge upwards, a test's edge taken for a program's, and a crate nobody wrote a rule for.
    #[test]
    fn edges_that_are_not_written_down_are_named() {
        let allowed = graph(
            &["low", "high"],
            &[("high", "low"), ("low", "serde")],
            &[("high", "lab")],
        );
        assert_eq!(allowed.faults(TWO, &[]), [""; 0]);
        let upwards = graph(&["low", "high"], &[("low", "high")], &[]);
        assert_eq!(upwards.faults(TWO, &[]), ["low may not depend on high"]);
        let test_as_program = graph(&["high", "lab"], &[("high", "lab")], &[]);
        assert_eq!(
            test_as_program.faults(TWO, &[]),
            ["high may not depend on lab", "lab has no rule"]
        );
    }

    /// Catches a second rule for a crate, which nobody would read.
    #[test]
    fn a_crate_has_one_rule() {
        let twice = &[rule("low", &[], &[]), rule("low", &["high"], &[])];
        let faults = graph(&["low"], &[], &[]).faults(twice, &[]);
        assert_eq!(faults, ["low has more than one rule"]);
    }

    /// Catches a crate brought in by another one.
    #[test]
    fn what_is_kept_out_is_found_behind_other_crates() {
        let kept_out: &[(&[&str], &[&str])] = &[(&["low"], &["tokio"])];
        let hidden = graph(&["low"], &[("low", "a"), ("a", "b"), ("b", "tokio")], &[]);
        let faults = hidden.faults(TWO, kept_out);
        assert_eq!(faults, ["low keeps tokio out, but: low -> a -> b -> tokio"]);
        let only_in_tests = graph(&["low"], &[], &[("low", "tokio")]);
        assert_eq!(only_in_tests.faults(TWO, kept_out), [""; 0]);
    }
}
