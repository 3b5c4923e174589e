//! Packages as trees of files: what a package installs, and where the packed bytes of each file lie.
//!
//! An ecosystem makes a [`Layout`] of each package; outputs are written of layouts.

mod installation;
mod layout;
mod path;

pub use installation::Installation;
pub use layout::{LAYOUT_EXTENSION, Layout, LayoutFile, Origin};
pub use path::installed_path;
