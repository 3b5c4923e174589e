//! Layers as they are named, and as manifests speak of them.

mod name;
mod path;

use serde::{Deserialize, Serialize};

pub use name::{LambdaLayerName, LayerName};
pub use path::{NOT_RELATIVE, path_problem};

/// A path that several wheels claim with different content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Conflict {
    /// The path in the layer, below `python/`.
    pub path: String,
    /// The wheel whose file is in the layer.
    pub winner: String,
    /// The wheels whose files are not.
    pub losers: Vec<String>,
}

/// The way a layer serves its runtimes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Shape {
    /// All of them have the same files, in `python/`.
    Shared,
    /// Each has what is installed for it in `python/lib/pythonX.Y/site-packages/`, which Lambda has
    /// on `sys.path` for that version alone. What is copied is in `python/`.
    /// Source: AWS Lambda Developer Guide, "Working with layers for Python Lambda functions".
    PerRuntime,
}
