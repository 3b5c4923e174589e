//! Wheels: binary distributions of Python packages (PEP 427).

mod filename;
mod inspect;
mod metadata;
mod native;
mod place;
pub(crate) mod record;
mod requires;
mod scripts;
mod tags;

pub use filename::{BuildTag, ParseWheelFilenameError, Tag, WheelFilename};
pub use inspect::inspect;
pub use native::foreign_code;
pub use requires::Requires;
pub use tags::{Rank, best};
