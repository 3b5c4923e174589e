//! Points in time as the pipeline writes them.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde_with::{DeserializeFromStr, SerializeDisplay};

use crate::text::ParseTextError;

/// A point in time, to the millisecond. Written as RFC 3339 in UTC, always as long, so that texts
/// sort as times do: `2026-11-20T10:00:00.000Z`. A precision asks for other fractions of a second:
/// `{:.0}` for none. From the year 0 to the year 9999.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, SerializeDisplay, DeserializeFromStr,
)]
pub struct Timestamp(jiff::Timestamp);

/// The start of the year 0, in milliseconds since 1970. What is before it is written longer.
const FIRST: i64 = -62_167_219_200_000;
/// The last second that jiff knows, in milliseconds since 1970.
const LAST: i64 = 253_402_207_200_000;

impl Timestamp {
    /// The point in time of so many milliseconds since 1970; `None` before the year 0 and past the
    /// year 9999.
    pub fn from_milliseconds(milliseconds: i64) -> Option<Self> {
        jiff::Timestamp::from_millisecond(milliseconds)
            .ok()
            .filter(|_| milliseconds >= FIRST)
            .map(Self)
    }

    /// Milliseconds since 1970.
    pub fn milliseconds(self) -> i64 {
        self.0.as_millisecond()
    }

    /// Seconds since 1970.
    pub fn seconds(self) -> i64 {
        self.0.as_second()
    }

    /// The time since an earlier point; zero if that is later.
    pub fn since(self, earlier: Self) -> Duration {
        let milliseconds = self.milliseconds() - earlier.milliseconds();
        Duration::from_millis(u64::try_from(milliseconds).unwrap_or_default())
    }

    /// So much later; the last point in time there is if that is past it.
    #[must_use]
    pub fn after(self, duration: Duration) -> Self {
        self.0
            .saturating_add(duration)
            .map_or(Self::from(jiff::Timestamp::MAX), Self::from)
    }

    /// So much earlier; the first point in time there is if that is before it.
    #[must_use]
    pub fn before(self, duration: Duration) -> Self {
        self.0
            .saturating_sub(duration)
            .map_or(Self::from(jiff::Timestamp::MIN), Self::from)
    }
}

impl From<jiff::Timestamp> for Timestamp {
    /// Without what is finer than milliseconds; the first or the last point in time for
    /// what is beyond them.
    fn from(timestamp: jiff::Timestamp) -> Self {
        let milliseconds = timestamp.as_millisecond().clamp(FIRST, LAST);
        Self::from_milliseconds(milliseconds).unwrap_or(Self(timestamp))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.*}", f.precision().unwrap_or(3), self.0)
    }
}

/// The rule that texts of points in time follow.
pub(crate) const RULE: &str = "`{}` is not a point in time such as 2026-11-20T10:00:00.000Z";

impl FromStr for Timestamp {
    type Err = ParseTextError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse::<jiff::Timestamp>()
            .ok()
            .map(jiff::Timestamp::as_millisecond)
            .and_then(Self::from_milliseconds)
            .ok_or_else(|| ParseTextError::new(RULE, text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_written_to_the_millisecond() {
        for (text, written) in [
            ("2026-11-20T10:00:00Z", "2026-11-20T10:00:00.000Z"),
            ("2026-11-20T10:00:00.123456Z", "2026-11-20T10:00:00.123Z"),
            ("2026-11-20T10:00:00.5+01:00", "2026-11-20T09:00:00.500Z"),
        ] {
            let timestamp: Timestamp = text.parse().unwrap();
            assert_eq!(timestamp.to_string(), written);
            assert_eq!(written.parse(), Ok(timestamp));
            let milliseconds = timestamp.milliseconds();
            assert_eq!(Timestamp::from_milliseconds(milliseconds), Some(timestamp));
        }
        assert!("yesterday".parse::<Timestamp>().is_err());
    }

    #[test]
    fn never_leaves_the_calendar() {
        let start: Timestamp = "2026-11-20T10:00:00Z".parse().unwrap();
        assert_eq!(
            start
                .after(Duration::from_millis(90))
                .before(Duration::from_millis(90)),
            start
        );
        assert!(start.after(Duration::MAX) > start);
        assert!(start.before(Duration::MAX) < start);
        for last in [start.after(Duration::MAX), start.before(Duration::MAX)] {
            assert_eq!(last.to_string().parse(), Ok(last));
        }
    }

    #[test]
    fn years_before_0_would_not_sort_as_texts() {
        let first: Timestamp = "0000-01-01T00:00:00Z".parse().unwrap();
        assert_eq!(first.milliseconds(), FIRST);
        assert_eq!(Timestamp::from_milliseconds(FIRST - 1), None);
        for text in ["-000001-12-31T23:59:59.999Z", "-009998-01-01T00:00:00Z"] {
            assert!(text.parse::<Timestamp>().is_err(), "{text}");
        }
        let past: jiff::Timestamp = "-000001-12-31T00:00:00Z".parse().unwrap();
        assert_eq!(Timestamp::from(past), first);
        assert_eq!(first.to_string().len(), "2026-11-20T10:00:00.000Z".len());
    }
}
