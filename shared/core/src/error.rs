//! What can go wrong, with stable codes.

use std::fmt;

/// Whose turn it is after a failure. Decides on retries in the pipeline and on the command's exit
/// code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Class {
    /// The input is at fault: trying again changes nothing.
    User,
    /// Something outside did not answer as it should: trying again later may help.
    Transient,
    /// A defect of ours or of the machine.
    Internal,
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::User => "User",
            Self::Transient => "Transient",
            Self::Internal => "Internal",
        })
    }
}

/// An error that says which one it is, whose turn it is and what to do.
///
/// Every error enum of the workspace implements it, so that the command, the functions' logs and
/// the state machine's `Retry` and `Catch` all speak of the same codes.
pub trait Fault: std::error::Error + Send + Sync + 'static {
    /// The stable name of this kind of error, in Pascal case. Never reused for another meaning.
    fn code(&self) -> &'static str;

    /// Whose turn it is.
    fn class(&self) -> Class;

    /// What to do about it, where there is something to say.
    fn hint(&self) -> Option<String> {
        None
    }
}
