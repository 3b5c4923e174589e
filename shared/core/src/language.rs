//! The languages whose packages go into layers.

use strum::{Display, EnumString, IntoStaticStr};

/// A language whose packages go into layers.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Display, EnumString, IntoStaticStr,
)]
#[strum(serialize_all = "lowercase", ascii_case_insensitive)]
pub enum Language {
    /// Python: distributions from package indexes.
    Python,
}

impl Language {
    /// The name that requests give in `Language`, in any case.
    pub fn name(self) -> &'static str {
        self.into()
    }

    /// The language of a name, in any case.
    pub fn named(name: &str) -> Option<Self> {
        name.parse().ok()
    }
}
