//! The keys of the artifacts bucket, and the names of the latest-version parameters.

use crate::digest::{Digest, Sha256};
use crate::identity::{ProjectName, RequestId};
use crate::layer::{LambdaLayerName, LayerName};
use crate::target::{LayerTarget, Target};

/// The prefix of the keys of all artifact manifests.
pub const MANIFESTS: &str = "accretion/manifests/";

/// The start of the keys of all manifests of layer versions.
pub const LAYER_MANIFESTS: &str = "accretion/layers/";

/// The prefix of the keys of files in the inbox: no request is among them.
pub const FILES: &str = "files/";

/// The prefix of the keys of requests that say which project they are for.
pub const REQUESTS: &str = "requests/";

/// The key in the inbox of a request for a project.
pub fn dropped_request(project: &ProjectName, file: &str) -> String {
    format!("{REQUESTS}{project}/{file}")
}

/// The project whose [folder](dropped_request) a key of the inbox lies in, and not in one below it.
pub fn project_of_request(key: &str) -> Option<ProjectName> {
    let (project, file) = key.strip_prefix(REQUESTS)?.split_once('/')?;
    let is_file = !file.is_empty() && !file.contains('/');
    project.parse().ok().filter(|_| is_file)
}

/// The key of a request, normalised.
pub fn request(id: &RequestId) -> String {
    format!("accretion/requests/{id}.json")
}

/// The key of packed files that requests name, named after their content.
pub fn packed_files(sha256: Sha256) -> String {
    format!("accretion/files/{sha256}.zip")
}

/// The key of a package that requests bring along, named after its content.
pub fn own_package(sha256: Sha256) -> String {
    format!("accretion/files/{sha256}.whl")
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
pub fn manifest(project: &ProjectName, id: &RequestId, target: impl Into<LayerTarget>) -> String {
    format!(
        "{MANIFESTS}{project}/{id}-{}.manifest",
        target.into().slug()
    )
}

/// The key of the lock of all that is installed in a layer, beside the manifests of its project. It
/// is named after the layer's content, and in a way that uv and pip take for a `pylock.toml`.
pub fn lock(project: &ProjectName, digest: Digest) -> String {
    format!("{MANIFESTS}{project}/pylock.{}.toml", digest.0)
}

/// The request that the key of an artifact manifest names; `None` if it is no such key.
pub fn request_of_manifest(key: &str) -> Option<RequestId> {
    let name = key.strip_prefix(MANIFESTS)?.rsplit('/').next()?;
    let (id, _slug) = name.strip_suffix(".manifest")?.split_once('-')?;
    id.parse().ok()
}

/// The key of the lock that a build sandbox has resolved for a target of a request.
pub fn resolution(id: &RequestId, target: Target) -> String {
    format!("accretion/resolutions/{id}-{}.toml", target.slug())
}

/// The key of a source distribution that a build sandbox has to build.
pub fn source(sha256: Sha256) -> String {
    format!("accretion/sources/{sha256}")
}

/// The key of the wheel that a build sandbox has built of a source distribution for a target: the first
/// one, for good.
pub fn built_wheel(source: Sha256, target: Target) -> String {
    format!("accretion/wheels/{source}/{}.whl", target.slug())
}

/// The key of the manifest of a layer version.
pub fn layer_manifest(layer: &LayerName, version: u64) -> String {
    format!("{LAYER_MANIFESTS}{layer}/{version}.json")
}

/// The key of a zip that a person publishes, and Lambda takes only from a bucket. It is named after
/// its content.
pub fn upload(layer: &LambdaLayerName, sha256: Sha256) -> String {
    format!("accretion/uploads/{layer}/{sha256}.zip")
}

/// The name of the SSM parameter that holds the ARN of a layer's latest version.
///
/// A merged layer has its own parameter, below `python` instead of a runtime: each parameter follows
/// one layer, whichever of them a project has used before.
pub fn latest_version_parameter(
    prefix: &str,
    project: &ProjectName,
    target: impl Into<LayerTarget>,
) -> String {
    let layer_target = target.into();
    let (python, architecture) = (layer_target.python(), layer_target.architecture());
    format!("{prefix}/{project}/{python}/{architecture}")
}

/// The name of the execution that builds a target of a request: a request that is delivered twice
/// starts nothing twice.
pub fn execution(id: &RequestId, target: impl Into<LayerTarget>) -> String {
    format!("{id}-{}", target.into().slug())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_layer_has_its_own_parameter() {
        let project = "data-tools".parse().unwrap();
        let names = LayerTarget::all()
            .map(|target| latest_version_parameter("/accretion", &project, target));
        let names: std::collections::BTreeSet<_> = names.collect();
        assert_eq!(names.len(), LayerTarget::all().count());
        assert!(names.contains("/accretion/data-tools/python3.13/arm64"));
        assert!(names.contains("/accretion/data-tools/python/arm64"));
    }

    #[test]
    fn a_manifest_names_its_request() {
        let (project, id) = ("a-b".parse().unwrap(), RequestId::of_message("1"));
        for target in ["py313", "py313-arm64", "py", "py-arm64"] {
            let key = manifest(&project, &id, LayerTarget::from_slug(target).unwrap());
            assert_eq!(request_of_manifest(&key), Some(id.clone()));
        }
        for key in [
            String::new(),
            request(&id),
            format!("{MANIFESTS}tools/{id}.manifest"),
            format!("{MANIFESTS}tools/{id}-py313.json"),
            format!("{MANIFESTS}tools/0-py313.manifest"),
            lock(&project, Digest(Sha256::of(b""))),
        ] {
            assert_eq!(request_of_manifest(&key), None, "{key}");
        }
    }
}
