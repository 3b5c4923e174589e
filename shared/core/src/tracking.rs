//! The progress of requests.

use std::fmt;
use std::str::FromStr;

/// The status of a request or of one of its targets.
///
/// Statuses have ranks and are never lowered: what happens late or twice changes nothing. The
/// order here is that of the ranks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Status {
    /// It is known.
    Received,
    /// Its build has begun.
    Building,
    /// Its build has failed of what may pass, and is tried again later.
    Waiting,
    /// Its layer is built, and not published yet.
    Built,
    /// It could not be built or published.
    Failed,
    /// The request can't be used.
    Rejected,
    /// A newer request was published before it.
    Superseded,
    /// The published version has the same content.
    Unchanged,
    /// It is a new layer version.
    Published,
}

impl Status {
    /// Every status, lowest first.
    pub const ALL: [Self; 9] = [
        Self::Received,
        Self::Building,
        Self::Waiting,
        Self::Built,
        Self::Failed,
        Self::Rejected,
        Self::Superseded,
        Self::Unchanged,
        Self::Published,
    ];

    /// The name in the tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Received => "Received",
            Self::Building => "Building",
            Self::Waiting => "Waiting",
            Self::Built => "Built",
            Self::Failed => "Failed",
            Self::Rejected => "Rejected",
            Self::Superseded => "Superseded",
            Self::Unchanged => "Unchanged",
            Self::Published => "Published",
        }
    }

    /// The rank in the tables. A failure can still turn out well.
    pub fn rank(self) -> u8 {
        match self {
            Self::Received => 0,
            Self::Building | Self::Waiting => 10,
            Self::Built => 20,
            Self::Failed | Self::Rejected => 30,
            Self::Superseded => 40,
            Self::Unchanged => 50,
            Self::Published => 60,
        }
    }

    /// Returns whether it takes the place of another status: one of a lower rank, or, as builds begin and
    /// wait in turns, of the same.
    pub fn replaces(self, other: Self) -> bool {
        match self {
            Self::Building | Self::Waiting => self.rank() >= other.rank(),
            _ => self.rank() > other.rank(),
        }
    }

    /// Returns whether nothing more happens by itself.
    pub fn is_terminal(self) -> bool {
        self.rank() >= Self::Failed.rank()
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A text that is no status.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no status")]
pub struct ParseStatusError(String);

impl FromStr for Status {
    type Err = ParseStatusError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut all = Self::ALL.into_iter();
        all.find(|status| status.name() == text)
            .ok_or_else(|| ParseStatusError(crate::excerpt::shown(text)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_tells_the_status() {
        for status in Status::ALL {
            assert_eq!(status.name().parse(), Ok(status));
        }
        for name in ["", "published", "Published "] {
            assert!(name.parse::<Status>().is_err(), "{name}");
        }
    }

    #[test]
    fn nothing_is_lowered_and_only_a_build_goes_back_and_forth() {
        for (status, other) in Status::ALL
            .into_iter()
            .flat_map(|status| Status::ALL.map(|other| (status, other)))
        {
            let is_of_a_build = |status| matches!(status, Status::Building | Status::Waiting);
            let expected =
                status.rank() > other.rank() || is_of_a_build(status) && is_of_a_build(other);
            assert_eq!(status.replaces(other), expected, "{status} {other}");
        }
        assert!(!Status::Waiting.is_terminal());
    }

    #[test]
    fn the_order_is_that_of_the_ranks() {
        assert!(Status::ALL.is_sorted());
        assert!(Status::ALL.is_sorted_by_key(|status| status.rank()));
    }
}
