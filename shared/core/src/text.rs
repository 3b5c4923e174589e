//! Types for texts that follow a rule: names, identifiers and the like.

use crate::excerpt::shown;

/// The rule of a type, in words, that a text does not follow.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ParseTextError(String);

impl ParseTextError {
    /// `rule` has `{}` in the place of the text, if it quotes it.
    pub fn new(rule: &str, text: &str) -> Self {
        Self(rule.replace("{}", &shown(text)))
    }
}

/// Declares types for texts that follow a rule. Each has a condition, and the rule in words for
/// [`ParseTextError`].
#[macro_export]
macro_rules! text_types {
    ($($(#[$attribute:meta])* $name:ident, $is_valid:expr, $rule:expr;)+) => {$(
        $(#[$attribute])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(String);

        impl $name {
            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::text::ParseTextError;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                let is_valid: fn(&str) -> bool = $is_valid;
                let error = || $crate::text::ParseTextError::new($rule, text);
                is_valid(text).then(|| Self(text.to_owned())).ok_or_else(error)
            }
        }
    )+};
}

/// Returns whether a text has 1 to `most` letters, digits, `-` and `_`, all ASCII.
pub fn is_name(text: &str, most: usize) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    (1..=most).contains(&text.len()) && text.bytes().all(allowed)
}

/// Returns whether a text is the id of an AWS account.
pub fn is_account(text: &str) -> bool {
    text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit())
}
