//! The rules by which packages of an ecosystem are installed.

use std::fmt;

use accretion_core::target::Runtime;

use crate::{Layout, LayoutFile};

/// The rules by which packages of an ecosystem are installed, so that its runtimes find them.
pub trait Installation: fmt::Debug + Sync {
    /// The folder that every runtime of the ecosystem looks into, with a slash in the
    /// end. The paths of [layouts](Layout) are relative to it.
    fn root(&self) -> &'static str;

    /// The folder below the root that only one runtime looks into, with a slash in the end.
    fn runtime_folder(&self, runtime: Runtime) -> String;

    /// The file that makes a folder a package that runtimes take from one place as a whole; `None`
    /// if they take files of one package from several places.
    fn package_marker(&self) -> Option<&'static str>;

    /// Returns whether a file describes its package. Such a file differs if any other file of the
    /// package does. It is never pruned: without it nothing says what is installed.
    fn is_metadata(&self, path: &str) -> bool;

    /// The text of a package's [list of files](Layout::file_list) for these files, which are
    /// ordered by path, and do not contain the list itself.
    fn file_list(&self, layout: &Layout, files: &[&LayoutFile]) -> Vec<u8>;

    /// Patterns of files that most packages work without: the advice about what is too large.
    fn prunable(&self) -> &'static [&'static str];
}
