//! Rounds in which every contender answers the same initiations, one contender after the other.

use crate::clients::{Clients, Initiation, Response, Round};
use serde::Serialize;
use std::time::Instant;

/// Who answers initiations.
pub(crate) trait Responder {
    /// Its name in the report.
    fn name(&self) -> &'static str;

    /// Answers as many as it takes for authentic and fresh, and leaves each of these a session. The n-th of a round is
    /// always the n-th peer's.
    fn respond(&mut self, initiations: &[Initiation], responses: &mut Vec<Response>);
}

/// What one contender did.
#[derive(Serialize)]
pub(crate) struct Figure {
    pub(crate) implementation: &'static str,
    /// The median of the rounds.
    pub(crate) handshakes_per_s: f64,
    /// How many times the first contender's figure: the median of the rounds' quotients.
    pub(crate) times_the_first: f64,
    pub(crate) rounds: Vec<f64>,
}

/// So many rounds, and one before that warms caches and tables. An error names who left an initiation unanswered.
pub(crate) fn all(
    contenders: &mut [Box<dyn Responder>],
    clients: &mut Clients,
    rounds: usize,
) -> Result<Vec<Figure>, String> {
    let mut found = vec![Vec::with_capacity(rounds); contenders.len()];
    for number in 0..=rounds {
        let round = clients.round();
        for (found, contender) in found.iter_mut().zip(&mut *contenders) {
            let per_s = one(contender.as_mut(), clients, &round)?;
            if number > 0 {
                found.push(per_s);
            }
        }
    }
    let first = found.first().cloned().unwrap_or_default();
    let figures = contenders.iter().zip(found).map(|(contender, rounds)| Figure {
        implementation: contender.name(),
        handshakes_per_s: median(rounds.clone()),
        times_the_first: median(
            rounds
                .iter()
                .zip(&first)
                .map(|(own, first)| own / first)
                .collect(),
        ),
        rounds,
    });
    Ok(figures.collect())
}

// Handshakes a second.
fn one(contender: &mut dyn Responder, clients: &Clients, round: &Round) -> Result<f64, String> {
    let mut responses = Vec::with_capacity(round.initiations.len());
    let began = Instant::now();
    contender.respond(&round.initiations, &mut responses);
    let took = began.elapsed();
    if !clients.are_answered(round, &responses) {
        let name = contender.name();
        return Err(format!(
            "{name} leaves initiations unanswered, or answers what is no response"
        ));
    }
    Ok(responses.len() as f64 / took.as_secs_f64())
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values[values.len() / 2]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::weir::Weir;

    /// Answers all but the last.
    struct Lazy(Weir);

    impl Responder for Lazy {
        fn name(&self) -> &'static str {
            "lazy"
        }

        fn respond(&mut self, initiations: &[Initiation], responses: &mut Vec<Response>) {
            self.0.respond(&initiations[1..], responses);
            responses.push([0; 92]);
        }
    }

    /// Catches a handshake that is counted without being one, and rounds whose initiations are taken for replays.
    #[test]
    fn only_answered_initiations_count() {
        let mut clients = Clients::new();
        let weir = Weir::new(&clients.keys());
        let figures = all(&mut [Box::new(weir)], &mut clients, 2).unwrap();
        assert_eq!((figures[0].rounds.len(), figures[0].times_the_first), (2, 1.0));
        let lazy = Lazy(Weir::new(&clients.keys()));
        let error = all(&mut [Box::new(lazy)], &mut clients, 1).err().unwrap();
        assert!(error.contains("lazy leaves"), "{error}");
    }
}
