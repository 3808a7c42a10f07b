//! Passwords and passphrases: from a file or the terminal, never from the command line.

use crate::error::{Failure, Outcome};
use crate::files;
use crate::terminal::ask_secret;
use std::path::Path;
use zeroize::Zeroizing;

/// What the API's own passwords are made of: letters and digits that are not mistaken for each other.
const ALPHABET: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";

/// Characters of a random password; of five bits each.
const RANDOM_LENGTH: usize = 24;

/// The first line of `file`, or else what is typed; twice where it is `new`, so that nobody locks themselves out.
pub fn obtain(file: Option<&Path>, prompt: &str, option: &str, new: bool) -> Outcome<Zeroizing<String>> {
    let secret = match file {
        Some(file) => {
            let text = files::read_text(file)?;
            Zeroizing::new(text.lines().next().unwrap_or_default().to_owned())
        }
        None => {
            let secret = ask_secret(prompt, option)?;
            if new && *ask_secret(&format!("{prompt} again"), option)? != *secret {
                return Err(Failure::Said(format!(
                    "{}: the second is not the first; nothing was changed",
                    prompt.to_lowercase()
                )));
            }
            secret
        }
    };
    if secret.is_empty() {
        return Err(Failure::Said(format!(
            "{}: empty; expected one",
            prompt.to_lowercase()
        )));
    }
    Ok(secret)
}

/// A new password of 120 random bits.
pub fn random_password() -> Outcome<Zeroizing<String>> {
    let mut bytes = Zeroizing::new([0u8; RANDOM_LENGTH]);
    getrandom::fill(&mut *bytes).map_err(Failure::Random)?;
    let characters = bytes
        .iter()
        .map(|byte| char::from(ALPHABET[usize::from(byte % 32)]));
    Ok(Zeroizing::new(characters.collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    // Catches a password that is the same twice, or of fewer bits than are promised.
    #[test]
    fn passwords_are_random() {
        let (one, two) = (random_password().unwrap(), random_password().unwrap());
        assert_ne!(*one, *two);
        assert_eq!(one.len(), RANDOM_LENGTH);
        assert!(one.bytes().all(|byte| ALPHABET.contains(&byte)));
        let mut different = ALPHABET.to_vec();
        different.sort_unstable();
        different.dedup();
        assert_eq!(different.len(), ALPHABET.len());
    }
}
