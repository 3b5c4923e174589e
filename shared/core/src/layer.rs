//! Layers: which file of which wheel goes where, and the zip that Lambda unpacks below `/opt`.

mod bundle;
mod name;
mod oversize;
mod packer;
mod plan;
mod splice;

pub use bundle::{Bundle, Copied, Shape, Tree};
pub use name::{LambdaLayerName, LayerName, ParseLambdaLayerNameError, ParseLayerNameError};
pub use oversize::Oversize;
pub(crate) use oversize::mebibytes;
pub use packer::{PackError, Packer};
pub use plan::{Conflict, Plan, Pruned, Rules, Wheel};
pub use splice::{WheelFiles, splice, splice_bundle};

/// The folder of a layer that Lambda's Python runtimes have on `sys.path`.
/// Source: AWS Lambda Developer Guide, "Working with layers for Python Lambda functions".
pub const ROOT: &str = "python/";
