//! Errors with stable codes, classes and hints, and their texts for people and logs.

use std::sync::Arc;

use strum::Display;

pub use accretion_fault_derive::Fault;

use crate::excerpt::{self, HINT_BYTES, REASON_BYTES};

/// The side that has to act after a failure. It decides on retries in the pipeline and on the
/// command's exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Display)]
pub enum Class {
    /// The input is at fault: a retry changes nothing.
    User,
    /// An external service failed: a later retry may help.
    Transient,
    /// A defect of Accretion or of the machine.
    Internal,
}

/// An error with a stable code, a class and, where there is something to do, a hint.
///
/// Every error enum of the workspace implements it, so that the command, the functions' logs and
/// the state machine's `Retry` and `Catch` all speak of the same codes. It is derived: message,
/// class and hint stand together at the variant, and the variant's name is the code.
///
/// ```
/// use accretion_core::{Class, Fault};
///
/// #[derive(Debug, thiserror::Error, Fault)]
/// pub enum Error {
///     #[error("the disk has {free} bytes left")]
///     #[fault(Internal, hint = "{free} bytes are not enough: delete something")]
///     DiskFull { free: u64 },
///     #[error("the server answered {0}")]
///     #[fault(Transient, hint = (*_0 == 429).then(|| "ask less often".to_owned()))]
///     ServerBusy(u16),
///     #[error("in {region}: {error}")]
///     #[fault(transparent = error)]
///     InRegion { region: String, error: Box<Error> },
/// }
///
/// assert_eq!(Error::CODES, [("DiskFull", Class::Internal), ("ServerBusy", Class::Transient)]);
/// let error = Error::InRegion { region: "here".to_owned(), error: Error::ServerBusy(429).into() };
/// assert_eq!((error.code(), error.class()), ("ServerBusy", Class::Transient));
/// assert_eq!(error.hint().unwrap(), "ask less often");
/// let error = Error::DiskFull { free: 7 };
/// assert_eq!(error.hint().unwrap(), "7 bytes are not enough: delete something");
/// ```
///
/// A variant cannot be left out:
///
/// ```compile_fail
/// #[derive(Debug, thiserror::Error, crate::Fault)]
/// pub enum Error {
///     #[error("the disk is full")]
///     DiskFull,
/// }
/// ```
pub trait Fault: std::error::Error + Send + Sync + 'static {
    /// The stable name of this kind of error, in Pascal case. Never reused for another meaning.
    fn code(&self) -> &'static str;

    /// The side that has to act.
    fn class(&self) -> Class;

    /// The advice, if there is any.
    fn hint(&self) -> Option<String> {
        None
    }

    /// Its text and its hint for people and programs: of bounded length, and of characters that do no
    /// more than show.
    fn displayed(&self) -> (String, Option<String>) {
        let hint = self.hint();
        let reason = excerpt::displayed(&self.to_string(), REASON_BYTES);
        (
            reason,
            hint.map(|hint| excerpt::displayed(&hint, HINT_BYTES)),
        )
    }

    /// Its text and its hint for logs.
    ///
    /// If the input is at fault, both may quote it. Logs must not, so they get neither.
    fn logged(&self) -> (String, Option<String>) {
        match self.class() {
            Class::User => (LOGGED_OF_USERS.to_owned(), None),
            Class::Transient | Class::Internal => self.displayed(),
        }
    }
}

/// The text that logs have for every error of [`Class::User`].
const LOGGED_OF_USERS: &str = "the input is at fault: see the code";

/// The problem of a JSON text or value, without any of its content.
pub fn json_problem(error: &serde_json::Error) -> String {
    let text = error.to_string();
    // The name of a missing field is ours. Everything else in quotes is content.
    let end = if text.starts_with("missing field `") {
        text.len()
    } else {
        text.find(['"', '`']).unwrap_or(text.len())
    };
    let problem = match text[..end].trim_end() {
        "" => "a value is invalid",
        problem => problem,
    };
    if error.line() == 0 || problem.len() == text.len() {
        // The error has no place, or names it already.
        return problem.to_owned();
    }
    format!(
        "{problem} at line {} column {}",
        error.line(),
        error.column()
    )
}

/// A shared error.
impl<F: Fault> Fault for Arc<F> {
    fn code(&self) -> &'static str {
        (**self).code()
    }

    fn class(&self) -> Class {
        (**self).class()
    }

    fn hint(&self) -> Option<String> {
        (**self).hint()
    }
}

#[cfg(test)]
mod tests {
    use std::fmt;

    use serde::Deserialize;
    use serde::de::DeserializeOwned;

    use super::*;

    #[derive(Debug, thiserror::Error, Fault)]
    enum Failure {
        #[error("`{0}` is no version")]
        #[fault(User, hint = "{_0} is none")]
        NotAVersion(&'static str),
        #[error("the disk is full")]
        #[fault(Internal, hint = "buy another")]
        Full,
    }

    #[test]
    fn a_log_does_not_quote_the_input() {
        let (text, hint) = Failure::NotAVersion("secret").logged();
        assert_eq!((text.as_str(), hint), (LOGGED_OF_USERS, None));
        let (text, hint) = Failure::Full.logged();
        assert_eq!(text, "the disk is full");
        assert_eq!(hint.as_deref(), Some("buy another"));
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Order {
        _number: u32,
        _runtime: Option<crate::target::Runtime>,
        _id: Option<crate::request::RequestId>,
    }

    #[test]
    fn problems_of_json_do_not_quote_it() {
        fn problem<T: DeserializeOwned + fmt::Debug>(text: &str) -> String {
            json_problem(&serde_json::from_str::<T>(text).unwrap_err())
        }
        for (text, expected) in [
            ("{}", "missing field `_number` at line 1 column 2"),
            ("{", "EOF while parsing an object at line 1 column 1"),
            ("[secret", "expected value at line 1 column 2"),
            (
                r#"{"_number": "secret"}"#,
                "invalid type: string at line 1 column 20",
            ),
            (
                r#"{"_number": -7}"#,
                "invalid value: integer at line 1 column 14",
            ),
            (r#"{"secret": 7}"#, "unknown field at line 1 column 9"),
            (
                r#"{"_number": 7, "_runtime": "secret"}"#,
                "unknown variant at line 1 column 35",
            ),
            (
                r#"{"_number": 7, "_id": "secret"}"#,
                "a value is invalid at line 1 column 30",
            ),
        ] {
            assert_eq!(problem::<Order>(text), expected, "{text}");
        }
        let value = serde_json::json!("secret");
        let error = serde_json::from_value::<u32>(value).unwrap_err();
        assert_eq!(json_problem(&error), "invalid type: string");
    }
}
