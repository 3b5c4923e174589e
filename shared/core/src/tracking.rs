//! The progress of requests and targets.

use serde_json::Value;
use strum::{Display, EnumString, IntoStaticStr};

use crate::excerpt::{HINT_BYTES, REASON_BYTES, displayed};
use crate::fault::Fault;
use crate::text::ParseTextError;

/// The status of a request or of one of its targets.
///
/// Statuses have ranks and are never lowered, so that late and repeated events change nothing. They
/// are listed in the order of their ranks.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Display, EnumString, IntoStaticStr,
)]
#[strum(parse_err_ty = ParseTextError, parse_err_fn = no_status)]
pub enum Status {
    /// It is recorded.
    Received,
    /// Its build has begun.
    Building,
    /// Its build has failed with a transient error, and is tried again later.
    Waiting,
    /// Its layer is built, and not published yet.
    Built,
    /// It could not be built or published.
    Failed,
    /// The request is invalid.
    Rejected,
    /// A newer request was published before it.
    Superseded,
    /// The current version has the same content.
    Unchanged,
    /// It became a new layer version.
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
        self.into()
    }

    /// The rank in the tables. A success replaces a failure.
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

    /// Returns whether it replaces another status: one of a lower rank, or, as builds begin and wait in
    /// turns, of the same rank.
    pub fn replaces(self, other: Self) -> bool {
        match self {
            Self::Building | Self::Waiting => self.rank() >= other.rank(),
            _ => self.rank() > other.rank(),
        }
    }

    /// Returns whether it is an outcome: nothing more happens by itself.
    pub fn is_terminal(self) -> bool {
        self.rank() >= Self::Failed.rank()
    }
}

/// The failure of a target, as statuses and notifications report it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The code of the error.
    pub code: String,
    /// The error, in a bounded number of bytes.
    pub reason: String,
    /// The advice for the reader, in a bounded number of bytes.
    pub hint: Option<String>,
}

impl Failure {
    /// The failure by an error of ours.
    pub fn of(error: &dyn Fault) -> Self {
        let (reason, hint) = error.displayed();
        Self {
            code: error.code().to_owned(),
            reason,
            hint,
        }
    }

    /// The failure that an execution of the state machine has caught. Of one of our functions, the
    /// cause is Lambda's error document, and its message ends with the hint.
    pub fn caught(error: &str, cause: &str) -> Self {
        let document: Value = serde_json::from_str(cause).unwrap_or_default();
        let message = document["errorMessage"].as_str().unwrap_or(cause);
        let (reason, hint) = match message.split_once(HINT) {
            Some((reason, hint)) => (reason, Some(hint)),
            None => (message, None),
        };
        Self {
            code: displayed(error, REASON_BYTES),
            reason: match reason.trim() {
                "" => "the build ended without a message".to_owned(),
                reason => displayed(reason, REASON_BYTES),
            },
            hint: hint.map(|hint| displayed(hint, HINT_BYTES)),
        }
    }
}

/// The text between reason and hint in the error message of a function.
pub const HINT: &str = "\nhint: ";

fn no_status(text: &str) -> ParseTextError {
    ParseTextError::new("`{}` is no status", text)
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
    fn a_caught_failure_has_the_reason_and_the_hint_of_the_error_document() {
        let document = |message: &str| {
            serde_json::json!({"errorType": "WheelNotFound", "errorMessage": message}).to_string()
        };
        let text = |reason: &str, hint: Option<&str>| (reason.to_owned(), hint.map(str::to_owned));
        let nothing = "the build ended without a message";
        for (cause, expected) in [
            (document("no wheel"), text("no wheel", None)),
            (
                document("no wheel\nhint: another\nversion"),
                text("no wheel", Some("another\nversion")),
            ),
            (
                "the function timed out".to_owned(),
                text("the function timed out", None),
            ),
            (String::new(), text(nothing, None)),
            (document("\nhint: wait"), text(nothing, Some("wait"))),
            ("{}".to_owned(), text("{}", None)),
            ("[1]".to_owned(), text("[1]", None)),
        ] {
            let failure = Failure::caught("WheelNotFound", &cause);
            assert_eq!(failure.code, "WheelNotFound");
            assert_eq!((failure.reason, failure.hint), expected, "{cause}");
        }
        let long = Failure::caught("States.Timeout", &document(&"x".repeat(100_000)));
        assert!(long.reason.len() <= REASON_BYTES, "{}", long.reason.len());
    }

    #[test]
    fn the_order_is_that_of_the_ranks() {
        assert!(Status::ALL.is_sorted());
        assert!(Status::ALL.is_sorted_by_key(|status| status.rank()));
    }
}
