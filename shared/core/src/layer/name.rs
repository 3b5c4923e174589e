//! What layers are called.

use std::fmt;

use serde::Serialize;

use crate::request::ProjectName;
use crate::target::Target;

/// The name of a layer in AWS Lambda: `<project>-<target slug>`, at most 140 characters.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct LayerName(String);

impl LayerName {
    /// The name of a project's layer for a target.
    pub fn new(project: &ProjectName, target: Target) -> Self {
        Self(format!("{project}-{}", target.slug()))
    }

    /// The name as a string.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for LayerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
