//! Where things are: the keys of the artifacts bucket, and the names of the latest pointers.

use crate::digest::Digest;
use crate::layer::LayerName;
use crate::request::{ProjectName, RequestId};
use crate::target::Target;

/// What the keys of all artifact manifests start with.
pub const MANIFESTS: &str = "accretion/manifests/";

/// The key of a request, normalised.
pub fn request(id: &RequestId) -> String {
    format!("accretion/requests/{id}.json")
}

/// The key of an artifact. It is named after its content and never overwritten.
pub fn artifact(project: &ProjectName, digest: Digest) -> String {
    format!("accretion/artifacts/{project}/{}.zip", digest.0)
}

/// The key of what is known of an artifact: the manifest that it was first built with.
pub fn artifact_description(project: &ProjectName, digest: Digest) -> String {
    format!("accretion/artifacts/{project}/{}.json", digest.0)
}

/// The key of an artifact manifest: one for each target of each request, never overwritten.
pub fn manifest(project: &ProjectName, id: &RequestId, target: Target) -> String {
    format!("{MANIFESTS}{project}/{id}-{}.manifest", target.slug())
}

/// The key of the manifest of a layer version.
pub fn layer_manifest(layer: &LayerName, version: u64) -> String {
    format!("accretion/layers/{layer}/{version}.json")
}

/// The name of the SSM parameter that holds the ARN of a layer's latest version.
pub fn pointer(prefix: &str, project: &ProjectName, target: Target) -> String {
    let (runtime, architecture) = (target.runtime, target.architecture);
    format!("{prefix}/{project}/{runtime}/{architecture}")
}

/// The name of the execution that builds a target of a request: a request that is delivered twice
/// starts nothing twice.
pub fn execution(id: &RequestId, target: Target) -> String {
    format!("{id}-{}", target.slug())
}
