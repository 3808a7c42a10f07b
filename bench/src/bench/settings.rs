//! What a run was asked for, by variables of the environment as `make bench` passes them on.

use std::collections::HashMap;
use std::time::Duration;

use super::contender::Contender;
use super::{Measure, cores};
use crate::Implementation;

/// Rounds unless said otherwise.
const ROUNDS: u32 = 3;

/// The same for `xdp` and what has a report of its own beside it, whose differences are small.
const XDP_ROUNDS: u32 = 5;

/// Rounds at most: an evening.
const ROUNDS_MAX: u32 = 50;

/// How long one stream or window is measured unless said otherwise.
const SECONDS: u32 = 2;

/// How long one stream or window may be measured at most.
const SECONDS_MAX: u32 = 60;

/// Threads that boringtun may be given at most.
const BORINGTUN_THREADS_MAX: u32 = 64;

/// Cores unless said otherwise: what both ends, sender and receiver share.
const CORES: usize = 2;

/// The order of the tables' rows.
const IMPLEMENTATIONS: [Implementation; 4] = [
    Implementation::Weir,
    Implementation::WireguardGo,
    Implementation::Gotatun,
    Implementation::Boringtun,
];

/// What to measure, how often and on what.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// What is measured, in this order.
    pub measures: Vec<Measure>,
    /// How often each implementation has its turn.
    pub rounds: u32,
    /// The same for the measures `xdp`, `engine`, `bursts` and `backends`.
    pub xdp_rounds: u32,
    /// Seconds of one stream or window.
    pub seconds: u32,
    /// The cores of everything that runs.
    pub cores: Vec<usize>,
    /// The cores of `xdp`, `bursts` and `backends`, which hold their threads to one each.
    pub xdp_cores: Vec<usize>,
    /// Threads of boringtun; as many as it is held to cores unless said otherwise.
    pub boringtun_threads: Option<u32>,
    /// Who is measured.
    pub implementations: Vec<Implementation>,
}

impl Settings {
    /// Reads BENCH (names of measures), ROUNDS, WINDOW_S, CORES (`0,1` or `all`), IMPLEMENTATIONS (names) and
    /// BORINGTUN_THREADS. Those that are empty or missing mean: everything, three rounds ([`Settings::xdp_rounds`]: five),
    /// two seconds, the first two cores ([`Settings::xdp_cores`]: all), all, and a thread for each core. An error names
    /// the variable, its value and what was expected.
    pub fn read() -> Result<Self, String> {
        let allowed = cores::allowed().map_err(|error| error.to_string())?;
        Self::parse(&std::env::vars().collect(), &allowed)
    }

    /// Who takes part in a measure: the implementations, and the bare veth as their ceiling.
    pub(super) fn contenders(&self, measure: Measure) -> impl Iterator<Item = Contender> {
        self.implementations
            .iter()
            .map(|&implementation| Contender::Tunnel(implementation))
            .chain([Contender::Veth])
            .filter(move |&contender| measure.applies(contender))
    }

    /// How long one stream or window is measured.
    pub(super) fn duration(&self) -> Duration {
        Duration::from_secs(self.seconds.into())
    }

    pub(super) fn parse(variables: &HashMap<String, String>, allowed: &[usize]) -> Result<Self, String> {
        let words = |name: &str| -> Vec<&str> {
            variables
                .get(name)
                .map(|text| text.split([' ', ',']).filter(|word| !word.is_empty()).collect())
                .unwrap_or_default()
        };
        let measures = parsed("BENCH", &words("BENCH"))?;
        let implementations = parsed("IMPLEMENTATIONS", &words("IMPLEMENTATIONS"))?;
        if implementations.contains(&Implementation::Kernel) {
            return Err("IMPLEMENTATIONS=kernel: expected implementations in user space".into());
        }
        Ok(Self {
            measures: or_all(measures, &Measure::ALL),
            rounds: number("ROUNDS", &words("ROUNDS"), ROUNDS, ROUNDS_MAX)?,
            xdp_rounds: number("ROUNDS", &words("ROUNDS"), XDP_ROUNDS, ROUNDS_MAX)?,
            seconds: number("WINDOW_S", &words("WINDOW_S"), SECONDS, SECONDS_MAX)?,
            boringtun_threads: match words("BORINGTUN_THREADS").as_slice() {
                [] => None,
                words => Some(number("BORINGTUN_THREADS", words, 0, BORINGTUN_THREADS_MAX)?),
            },
            cores: chosen_cores(&words("CORES"), allowed, CORES)?,
            xdp_cores: chosen_cores(&words("CORES"), allowed, allowed.len())?,
            implementations: or_all(implementations, &IMPLEMENTATIONS),
        })
    }
}

fn parsed<T: std::str::FromStr<Err = String>>(name: &str, words: &[&str]) -> Result<Vec<T>, String> {
    words
        .iter()
        .map(|word| word.parse().map_err(|error| format!("{name}: {error}")))
        .collect()
}

fn or_all<T: Clone>(asked: Vec<T>, all: &[T]) -> Vec<T> {
    if asked.is_empty() { all.to_vec() } else { asked }
}

fn number(name: &str, words: &[&str], default: u32, max: u32) -> Result<u32, String> {
    match words {
        [] => Some(default),
        [word] => word.parse().ok().filter(|number| (1..=max).contains(number)),
        _ => None,
    }
    .ok_or_else(|| format!("{name}={}: expected a number from 1 to {max}", words.join(" ")))
}

fn chosen_cores(words: &[&str], allowed: &[usize], unasked: usize) -> Result<Vec<usize>, String> {
    match words {
        [] => Ok(allowed.iter().copied().take(unasked).collect()),
        ["all"] => Ok(allowed.to_vec()),
        words => words
            .iter()
            .map(|word| word.parse().ok().filter(|core| allowed.contains(core)))
            .collect::<Option<_>>()
            .ok_or_else(|| {
                let expected = allowed.iter().map(usize::to_string).collect::<Vec<_>>();
                format!(
                    "CORES={}: expected all, or some of {}",
                    words.join(","),
                    expected.join(",")
                )
            }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(variables: &[(&str, &str)]) -> Result<Settings, String> {
        let variables = variables
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        Settings::parse(&variables, &[0, 1, 2, 5])
    }

    #[test]
    fn what_is_not_said_has_a_default() {
        let settings = settings(&[("ROUNDS", ""), ("BENCH", " ")]).unwrap();
        assert_eq!(settings.measures, Measure::ALL);
        assert_eq!((settings.rounds, settings.seconds), (ROUNDS, SECONDS));
        assert_eq!(settings.xdp_rounds, XDP_ROUNDS);
        assert_eq!(settings.cores, [0, 1]);
        assert_eq!(settings.xdp_cores, [0, 1, 2, 5]);
        assert_eq!(settings.boringtun_threads, None);
        assert_eq!(settings.implementations, IMPLEMENTATIONS);
    }

    #[test]
    fn what_is_said_is_taken() {
        let variables = [
            ("BENCH", "tcp udp"),
            ("ROUNDS", "5"),
            ("CORES", "2,5"),
            ("BORINGTUN_THREADS", "4"),
            ("IMPLEMENTATIONS", "weir gotatun"),
        ];
        let settings = settings(&variables).unwrap();
        assert_eq!(settings.measures, [Measure::Tcp, Measure::Udp]);
        assert_eq!((settings.rounds, settings.cores), (5, vec![2, 5]));
        assert_eq!(settings.boringtun_threads, Some(4));
        assert_eq!(
            settings.implementations,
            [Implementation::Weir, Implementation::Gotatun]
        );
    }

    /// Catches a wrong value that is taken for something else, or refused without saying what was expected.
    #[test]
    fn what_is_wrong_is_named() {
        let wrong = [
            ("ROUNDS", "0", "1 to 50"),
            ("ROUNDS", "3 4", "1 to 50"),
            ("WINDOW_S", "long", "1 to 60"),
            ("BORINGTUN_THREADS", "0", "1 to 64"),
            ("CORES", "0,3", "0,1,2,5"),
            ("BENCH", "sctp", "tcp"),
            ("IMPLEMENTATIONS", "openvpn", "weir"),
            ("IMPLEMENTATIONS", "kernel", "user space"),
        ];
        for (name, value, expected) in wrong {
            let error = settings(&[(name, value)]).unwrap_err();
            assert!(error.contains(name) && error.contains(expected), "{error}");
        }
    }
}
