//! The errors of every function, and their form in an answer.

use std::fmt;

use accretion_core::Fault;
use lambda_runtime::Diagnostic;

/// An error before a function's work begins.
#[derive(Debug, thiserror::Error, Fault)]
pub enum Error {
    /// Environment variables are missing or mean nothing.
    #[error("the environment variables cannot be used: {}", problems.join(", "))]
    #[fault(Internal, hint = "deploy the stack again")]
    ConfigurationInvalid {
        /// The problems, one text for each variable.
        problems: Vec<String>,
    },
    /// A function was invoked with an unusable event.
    #[error("the event cannot be used: {problem}")]
    #[fault(Internal)]
    EventInvalid {
        /// The problem with it.
        problem: String,
    },
    /// A defect of ours.
    #[error("the function panicked: {message}")]
    #[fault(Internal, hint = "please report it, with the log of the invocation")]
    Panicked {
        /// The message of the panic.
        message: String,
    },
}

/// An error as the answer of an invocation. State machines match its code.
pub(crate) struct Failure(pub(crate) Diagnostic);

impl<F: Fault + ?Sized> From<&F> for Failure {
    fn from(fault: &F) -> Self {
        let error_message = match fault.displayed() {
            (reason, Some(hint)) => format!("{reason}\nhint: {hint}"),
            (reason, None) => reason,
        };
        Self(Diagnostic {
            error_type: fault.code().to_owned(),
            error_message,
        })
    }
}

impl From<Failure> for Diagnostic {
    fn from(failure: Failure) -> Self {
        failure.0
    }
}

impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.0.error_type, self.0.error_message)
    }
}

#[cfg(test)]
mod tests {
    use accretion_core::Class;

    use super::*;

    #[test]
    fn errors_reach_the_invoker_with_code_and_hint() {
        let with_hint = Error::ConfigurationInvalid {
            problems: vec!["`A` is not set".to_owned()],
        };
        let without_hint = Error::EventInvalid {
            problem: "it is empty".to_owned(),
        };
        for (error, message) in [
            (
                with_hint,
                "the environment variables cannot be used: `A` is not set\nhint: deploy the stack \
                 again",
            ),
            (without_hint, "the event cannot be used: it is empty"),
        ] {
            let diagnostic = Diagnostic::from(Failure::from(&error));
            let document = serde_json::to_value(&diagnostic).unwrap();
            let expected = serde_json::json!({"errorType": error.code(), "errorMessage": message});
            assert_eq!(document, expected);
        }
    }

    /// A state machine's cause has 32,768 characters, and the answer to a destination 256 KiB.
    #[test]
    fn the_largest_error_fits_into_a_cause() {
        #[derive(Debug, thiserror::Error)]
        #[error("{}", self.0)]
        struct Long(String);
        impl Fault for Long {
            fn code(&self) -> &'static str {
                "Long"
            }
            fn class(&self) -> Class {
                Class::User
            }
            fn hint(&self) -> Option<String> {
                Some(self.0.clone())
            }
        }
        for text in ["x", "\u{0}", "\"", "\\\n", "😀", "a b\r\n\u{1b}[31m"] {
            let error = Long(text.repeat(4 << 20));
            let diagnostic = Diagnostic::from(Failure::from(&error));
            let document = serde_json::to_string(&diagnostic).unwrap();
            assert!(document.len() < 32_768, "{text:?} {}", document.len());
            let (reason, hint) = diagnostic.error_message.split_once("\nhint: ").unwrap();
            assert!(reason.contains(" bytes left out "), "{reason}");
            assert!(hint.contains(" bytes left out "), "{hint}");
        }
    }

    #[test]
    fn every_code_is_documented() {
        let formats = include_str!("../../../docs/formats.md");
        for (code, class) in Error::CODES {
            let row = format!("\n| `{code}` | {class} | ");
            assert!(formats.contains(&row), "docs/formats.md lacks{row}");
        }
    }
}
