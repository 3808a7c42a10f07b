//! What is wrong with the command line, said without repeating a key that stands in it.

use crate::term::say;
use std::process::ExitCode;

/// Wrong usage, as clap has it.
const USAGE: u8 = 2;

/// From this many characters of base64 or hexadecimal on, a word may be a key, of which 44 and 64 are one.
const KEY_PART: usize = 32;

/// What stands in its place.
const HIDDEN: &str = "(not shown: it may be a key)";

/// Prints help, or what was wrong. clap repeats the argument it refuses: a private key given where none belongs would
/// end up in the log of whatever ran the command.
pub fn refuse(error: &clap::Error) -> ExitCode {
    let text = error.render().to_string();
    let shown = hide_keys(&text);
    if shown == text {
        error.exit();
    }
    say(shown.trim_end());
    ExitCode::from(USAGE)
}

fn hide_keys(text: &str) -> String {
    let of_a_key = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '/');
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find(of_a_key) {
        let (before, from) = rest.split_at(start);
        let (word, after) = from.split_at(from.find(|c| !of_a_key(c)).unwrap_or(from.len()));
        shown.push_str(before);
        if word.len() < KEY_PART {
            shown.push_str(word);
            rest = after;
        } else {
            shown.push_str(HIDDEN);
            rest = after.strip_prefix('=').unwrap_or(after);
        }
    }
    shown + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    // Catches a key at the end of the text, one behind an equals sign, and words that are lost with it.
    #[test]
    fn only_keys_are_hidden() {
        let key = "oDi6oOEmQPBco0b07eFNnHVxrNgbeftKvFrYshCMGXo=";
        assert_eq!(
            hide_keys(&format!("invalid value '{key}' for '--qr <WHEN>'\n")),
            format!("invalid value '{HIDDEN}' for '--qr <WHEN>'\n")
        );
        assert_eq!(hide_keys(&format!("--x={}", &key[..43])), format!("--x={HIDDEN}"));
        let plain = "error: unexpected argument 'ä' found\n  /etc/weir/weir.toml\n";
        assert_eq!(hide_keys(plain), plain);
    }
}
