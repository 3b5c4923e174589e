//! Layers: which file of which wheel goes where, and the zip that Lambda unpacks below `/opt`.

mod name;
mod plan;
mod splice;

pub use name::{LayerName, ParseLayerNameError};
pub use plan::{Conflict, Plan, Wheel};
pub use splice::{WheelFiles, splice};

/// The folder of a layer that Lambda's Python runtimes have on `sys.path`.
/// Source: AWS Lambda Developer Guide, "Working with layers for Python Lambda functions".
pub const ROOT: &str = "python/";
