//! What can go wrong in a use case.

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
}

impl Fault for Error {
    fn code(&self) -> &'static str {
        match self {
            Self::Core(error) => error.code(),
            Self::Port(error) => error.code(),
        }
    }

    fn class(&self) -> Class {
        match self {
            Self::Core(error) => error.class(),
            Self::Port(error) => error.class(),
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Core(error) => error.hint(),
            Self::Port(error) => error.hint(),
        }
    }
}
