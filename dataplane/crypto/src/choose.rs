//! Which back end is used: the fastest that the CPU has and that passes its self-test, or the one asked for.

use crate::batch::Aead;
use crate::portable_backend::Portable;
use crate::ring_backend::Ring;
use crate::selftest;
use std::fmt::{self, Debug, Formatter};
use std::sync::OnceLock;
use thiserror::Error;

/// The variable that asks for a back end by name. Whoever starts the process reads it and calls [`choose`].
pub const VARIABLE: &str = "WEIR_AEAD";

/// Every name that may be asked for.
const NAMES: [&str; 4] = ["avx512", "avx2", "ring", "portable"];

/// A back end, and what an operator should know about it.
#[derive(Clone)]
pub struct Choice {
    aead: &'static dyn Aead,
    best: &'static str,
    warnings: Vec<String>,
}

impl Choice {
    /// The back end.
    pub fn aead(&self) -> &'static dyn Aead {
        self.aead
    }

    /// The name of the fastest back end that this CPU has the instructions for.
    pub fn best(&self) -> &'static str {
        self.best
    }

    /// Why it is not the CPU's best, in words.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }
}

impl Debug for Choice {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.debug_struct("Choice")
            .field("aead", &self.aead.name())
            .field("best", &self.best)
            .field("warnings", &self.warnings)
            .finish()
    }
}

/// Why a back end cannot be had. What is asked for by name is never replaced by another.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum ChooseError {
    /// No such name.
    #[error("{VARIABLE}: {asked:?} is no back end; expected one of {}", NAMES.join(", "))]
    Unknown {
        /// What was asked for.
        asked: String,
    },
    /// The CPU lacks the instructions.
    #[error("{VARIABLE}: this CPU cannot run {asked:?}; it can run {}", able.join(", "))]
    Unable {
        /// What was asked for.
        asked: String,
        /// What can be.
        able: Vec<&'static str>,
    },
    /// It computes wrongly here.
    #[error("{VARIABLE}: {0:?} failed its self-test on this CPU")]
    Broken(&'static str),
    /// All of them compute wrongly here.
    #[error("no AEAD back end passes its self-test on this machine")]
    NoneWorks,
}

/// Chooses a back end and runs its self-test: that of the name, or the fastest.
pub fn choose(name: Option<&str>) -> Result<Choice, ChooseError> {
    chosen(name, &able(), selftest::passes)
}

/// The fastest back end that works here, chosen when this is first called.
///
/// # Panics
/// If none passes its self-test.
pub fn best() -> &'static dyn Aead {
    static BEST: OnceLock<&'static dyn Aead> = OnceLock::new();
    *BEST.get_or_init(|| choose(None).expect("a back end passes its self-test").aead)
}

/// Every back end that this CPU can run, the fastest first. The last, which is the oracle of the others, is never used
/// unless it is asked for.
pub fn able() -> Vec<&'static dyn Aead> {
    let mut able: Vec<&'static dyn Aead> = Vec::new();
    #[cfg(target_arch = "x86_64")]
    able.extend(crate::Avx512::detected().map(|avx512| avx512 as &dyn Aead));
    #[cfg(target_arch = "x86_64")]
    able.extend(crate::Avx2::detected().map(|avx2| avx2 as &dyn Aead));
    able.extend([&Ring as &dyn Aead, &Portable]);
    able
}

fn chosen(
    name: Option<&str>,
    able: &[&'static dyn Aead],
    passes: impl Fn(&dyn Aead) -> bool,
) -> Result<Choice, ChooseError> {
    let best = able[0].name();
    if let Some(name) = name {
        if !NAMES.contains(&name) {
            return Err(ChooseError::Unknown {
                asked: name.to_owned(),
            });
        }
        let Some(aead) = able.iter().find(|aead| aead.name() == name) else {
            let able = able.iter().map(|aead| aead.name()).collect();
            let asked = name.to_owned();
            return Err(ChooseError::Unable { asked, able });
        };
        if !passes(*aead) {
            return Err(ChooseError::Broken(aead.name()));
        }
        let slower = (name != best)
            .then(|| format!("AEAD back end {name} is used, as {VARIABLE} asks; this CPU's best is {best}"));
        return Ok(Choice {
            aead: *aead,
            best,
            warnings: slower.into_iter().collect(),
        });
    }
    let mut warnings = Vec::new();
    for aead in able {
        if passes(*aead) {
            return Ok(Choice {
                aead: *aead,
                best,
                warnings,
            });
        }
        let name = aead.name();
        warnings.push(format!(
            "AEAD back end {name} failed its self-test on this CPU and is not used"
        ));
    }
    Err(ChooseError::NoneWorks)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn both() -> [&'static dyn Aead; 2] {
        [&Ring, &Portable]
    }

    /// Catches a broken back end in use, and one that is replaced without a word.
    #[test]
    fn a_broken_back_end_gives_way_with_a_warning() {
        let choice = chosen(None, &both(), |aead| aead.name() != "ring").expect("one works");
        assert_eq!((choice.aead().name(), choice.best()), ("portable", "ring"));
        assert_eq!(
            choice.warnings(),
            ["AEAD back end ring failed its self-test on this CPU and is not used"]
        );
        let none = chosen(None, &both(), |_| false).expect_err("none works");
        assert_eq!(none, ChooseError::NoneWorks);
    }

    /// Catches a name that is taken for another, and a slower back end that nobody hears of.
    #[test]
    fn what_is_asked_for_is_had_or_refused() {
        let choice = chosen(Some("portable"), &both(), |_| true).expect("it is able");
        assert_eq!((choice.aead().name(), choice.best()), ("portable", "ring"));
        assert_eq!(
            choice.warnings(),
            ["AEAD back end portable is used, as WEIR_AEAD asks; this CPU's best is ring"]
        );
        let best = chosen(Some("ring"), &both(), |_| true).expect("it is able");
        assert_eq!(best.warnings(), [""; 0]);
        let message = |name, passes: bool| {
            let refused = chosen(Some(name), &both(), |_| passes).expect_err("refused");
            refused.to_string()
        };
        assert_eq!(
            message("sse2", true),
            "WEIR_AEAD: \"sse2\" is no back end; expected one of avx512, avx2, ring, portable"
        );
        assert_eq!(
            message("avx2", true),
            "WEIR_AEAD: this CPU cannot run \"avx2\"; it can run ring, portable"
        );
        assert_eq!(
            message("ring", false),
            "WEIR_AEAD: \"ring\" failed its self-test on this CPU"
        );
    }

    /// Catches a self-test that refuses a back end of this machine.
    #[test]
    fn every_back_end_of_this_machine_works() {
        for aead in able() {
            let choice = choose(Some(aead.name())).expect("it passes");
            assert_eq!(choice.aead().name(), aead.name());
        }
        assert_eq!(best().name(), able()[0].name());
    }
}
