//! The ports of the pipeline in memory: what AWS keeps, and one invocation's view of it.

#![expect(
    missing_docs,
    reason = "a field or a call that has no more to say than its name says nothing"
)]
#![expect(
    clippy::unwrap_used,
    reason = "all of this is for tests, which end with a panic where something is wrong"
)]

pub mod cloud;
pub mod contents;
pub mod dead_letters;
pub mod ports;

use accretion_core::target::{Architecture, LayerTarget, Runtime, Target};

/// Python 3.13 on `x86_64`.
pub const X86_64: LayerTarget = LayerTarget::One(Target {
    runtime: Runtime::Python313,
    architecture: Architecture::X86_64,
});

/// Python 3.13 on arm64.
pub const ARM64: LayerTarget = LayerTarget::One(Target {
    runtime: Runtime::Python313,
    architecture: Architecture::Arm64,
});

/// [`MERGED_RUNTIMES`] on `x86_64`, in one layer.
pub const MERGED: LayerTarget = LayerTarget::Merged(Architecture::X86_64);

/// The runtimes of merged layers.
pub const MERGED_RUNTIMES: [Runtime; 2] = [Runtime::Python312, Runtime::Python313];
