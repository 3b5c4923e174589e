//! What can go wrong in a use case.

use accretion_core::wheel::WheelFilename;
use accretion_core::{Class, Fault};

use crate::ports::PortError;

/// What can go wrong in a use case: a rule of the domain, or a port.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The domain refuses.
    #[error(transparent)]
    Core(#[from] accretion_core::Error),
    /// A port failed.
    #[error(transparent)]
    Port(#[from] PortError),
    /// A package has no fitting wheel; its source may be built, but not by this builder.
    #[error("this builder builds nothing from source: {problem}")]
    SourceDistributionUnsupported {
        /// Which package has no wheel.
        problem: String,
    },
}

impl Error {
    /// What to say where a request allows source distributions and the builder takes none: that a
    /// package has no wheel would be answered with that it need not have one.
    pub(crate) fn for_want_of_sources(self) -> Self {
        let is_for_want = match &self {
            Self::Core(accretion_core::Error::WheelNotFound { instead, .. }) => instead
                .iter()
                .any(|file| file.parse::<WheelFilename>().is_err()),
            // A resolver that was told to take no source distribution does not say whether there
            // is one.
            Self::Port(error) => error.code() == WHEEL_NOT_FOUND,
            _ => false,
        };
        if is_for_want {
            let problem = self.to_string();
            Self::SourceDistributionUnsupported { problem }
        } else {
            self
        }
    }
}

/// The code of resolvers for a package without a fitting wheel; core's own.
const WHEEL_NOT_FOUND: &str = "WheelNotFound";

impl Fault for Error {
    fn code(&self) -> &'static str {
        match self {
            Self::Core(error) => error.code(),
            Self::Port(error) => error.code(),
            Self::SourceDistributionUnsupported { .. } => "SourceDistributionUnsupported",
        }
    }

    fn class(&self) -> Class {
        match self {
            Self::Core(error) => error.class(),
            Self::Port(error) => error.class(),
            Self::SourceDistributionUnsupported { .. } => Class::User,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Core(error) => error.hint(),
            Self::Port(error) => error.hint(),
            Self::SourceDistributionUnsupported { .. } => Some(
                "require a version that has a wheel, or build the layer with the `accretion` \
                 command"
                    .into(),
            ),
        }
    }
}
