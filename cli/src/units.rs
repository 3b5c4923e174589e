//! Numbers and times with their units, for people.

use std::time::Duration;

/// A count with its noun: `1 region`, `2 regions`.
pub(crate) fn counted(count: usize, one: &str) -> String {
    format!("{count} {one}{}", if count == 1 { "" } else { "s" })
}

/// A point in time without fractions of a second.
#[cfg(feature = "aws")]
pub(crate) fn to_the_second(time: accretion_core::timestamp::Timestamp) -> String {
    format!("{time:.0}")
}

/// A span of time in at most two units: `0.42 s`, `3 min 5 s`, `2 h 10 min`.
pub(crate) fn span(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0..60 => format!("{:.2} s", time.as_secs_f64()),
        60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        _ => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_have_two_units_at_most() {
        for (milliseconds, text) in [
            (0, "0.00 s"),
            (1_234, "1.23 s"),
            (59_900, "59.90 s"),
            (60_000, "1 min 0 s"),
            (185_900, "3 min 5 s"),
            (3_600_000, "1 h 0 min"),
            (7_830_000, "2 h 10 min"),
        ] {
            assert_eq!(span(Duration::from_millis(milliseconds)), text);
        }
    }

    #[test]
    #[cfg(feature = "aws")]
    fn times_of_lists_are_to_the_second() {
        let time = "2026-11-20T10:00:00.999Z".parse().unwrap();
        assert_eq!(to_the_second(time), "2026-11-20T10:00:00Z");
    }

    #[test]
    fn one_is_no_plural() {
        let said = [0, 1, 2].map(|count| counted(count, "letter"));
        assert_eq!(said, ["0 letters", "1 letter", "2 letters"]);
    }
}
