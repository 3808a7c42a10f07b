//! Times as people give them and are told them.

use crate::error::{Failure, Outcome};
use crate::term::duration;
use jiff::Timestamp;

/// The longest time ahead that is meant, in days: a hundred years.
const DAYS_MAX: i64 = 36_525;

const EXPECTED: &str = "a time such as 2027-01-31T12:00:00Z, or a number of days such as 30d";

/// When something ends, in RFC 3339: a time as it is, or days from `now` on. `option` names where it was given.
pub fn end(text: &str, option: &str, now: Timestamp) -> Outcome<String> {
    let refused = || Failure::Said(format!("{option}: {text:?}; expected {EXPECTED}"));
    if let Some(days) = text.strip_suffix('d') {
        let days: i64 = days.parse().map_err(|_| refused())?;
        if !(1..=DAYS_MAX).contains(&days) {
            return Err(refused());
        }
        let end = Timestamp::from_second(now.as_second() + days * 86_400);
        return end.map(|end| end.to_string()).map_err(|_| refused());
    }
    let time: Timestamp = text.parse().map_err(|_| refused())?;
    Ok(time.to_string())
}

/// `3 min ago`, `in 2 d 4 h`, `now`.
pub fn relative(time: Timestamp, now: Timestamp) -> String {
    let seconds = time.as_second() - now.as_second();
    match seconds {
        0 => "now".to_owned(),
        1.. => format!("in {}", duration(seconds.unsigned_abs())),
        _ => format!("{} ago", duration(seconds.unsigned_abs())),
    }
}

/// As [`relative`]; what never was is `never`.
pub fn relative_or_never(time: Option<Timestamp>, now: Timestamp) -> String {
    time.map_or_else(|| "never".to_owned(), |time| relative(time, now))
}

/// To the second, in UTC.
pub fn to_the_second(time: Timestamp) -> String {
    Timestamp::from_second(time.as_second()).map_or_else(|_| time.to_string(), |time| time.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    // Catches days that are counted as hours, an end in the past that a typing error makes, and times without a zone.
    #[test]
    fn ends_are_read() {
        let now: Timestamp = "2026-11-21T10:00:00Z".parse().unwrap();
        assert_eq!(end("30d", "--expires", now).unwrap(), "2026-12-21T10:00:00Z");
        assert_eq!(
            end("2027-01-31T12:00:00+01:00", "--expires", now).unwrap(),
            "2027-01-31T11:00:00Z"
        );
        for wrong in ["", "d", "0d", "-1d", "99999d", "tomorrow", "2027-01-31T12:00:00"] {
            let said = end(wrong, "--expires", now).unwrap_err().to_string();
            assert!(
                said.contains("--expires") && said.contains("expected a time"),
                "{said}"
            );
        }
    }

    #[test]
    fn distances_read_well() {
        let now: Timestamp = "2026-11-21T10:00:00Z".parse().unwrap();
        let at = |text: &str| text.parse().unwrap();
        assert_eq!(relative(at("2026-11-21T09:55:00.4Z"), now), "5 min ago");
        assert_eq!(relative(at("2026-11-24T10:00:00Z"), now), "in 3 d");
        assert_eq!(relative(now, now), "now");
        assert_eq!(relative_or_never(None, now), "never");
    }
}
