//! The artifact manifest: what a built layer consists of and how to publish it.
//!
//! A superset of what Accretion (2019) wrote, so that its readers keep working. Where its code and its
//! documentation differ, both forms are read.

use std::collections::BTreeSet;

use serde::{Deserialize, Deserializer, Serialize};

use crate::digest::{Digest, Sha256};
use crate::json::pretty;
use crate::layer::{Conflict, Shape};
use crate::request::{PermissionDocument, RequestRef};
use crate::target::{Architecture, Compatibility, LayerTarget, Runtime, Target};
use crate::timestamp::Timestamp;

/// The version of this form. That of Accretion (2019), which had no such field, counts as 1.
pub const VERSION: u32 = 2;

/// The artifact manifest.
#[serde_with::skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Manifest {
    /// [`VERSION`].
    pub manifest_version: u32,
    /// The project.
    pub project_name: String,
    /// The artifact's key in the artifacts bucket, now or once it is uploaded.
    #[serde(rename = "ArtifactS3Key")]
    pub artifact_s3_key: String,
    /// The runtimes that the layer is for, oldest first: one, unless it is merged.
    pub runtimes: Vec<Runtime>,
    /// The architecture that the layer is for: a list of one.
    #[serde(default)]
    pub architectures: Vec<Architecture>,
    /// The way a merged layer serves its runtimes; absent from any other layer.
    pub shape: Option<Shape>,
    /// The requirements, by PEP 508.
    #[serde(deserialize_with = "requirements")]
    pub requirements: Vec<String>,
    /// The distributions in the layer, ordered by name.
    pub installed: Vec<Installed>,
    /// The distributions that were resolved and left out, ordered by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub excluded: Vec<Excluded>,
    /// Extra files in the layer.
    pub files: Option<Files>,
    /// The pruned files.
    pub pruned: Option<Pruned>,
    /// Paths that several wheels claim with different content.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conflicts: Vec<Conflict>,
    /// The digest of the layer's content.
    pub digest: Digest,
    /// SHA-256 of the artifact's bytes.
    pub artifact_sha256: Sha256,
    /// Bytes of the artifact.
    pub artifact_size: u64,
    /// Bytes of the artifact's files, unpacked.
    pub unzipped_size: u64,
    /// The key of a `pylock.toml` that installs the same packages; absent where a person built the
    /// layer.
    #[serde(rename = "LockS3Key")]
    pub lock_s3_key: Option<String>,
    /// The arguments of its publication.
    pub publish: Publish,
    /// The request that the layer was built for; absent where a person built it.
    pub request: Option<RequestRef>,
    /// The name of the file that the layer was built from; absent where the pipeline built it.
    pub input: Option<String>,
    /// The version that holds the same content; absent where the layer is no rollback.
    pub rolled_back_to: Option<LayerRef>,
    /// The builder of the layer.
    pub builder: Builder,
}

/// A distribution in a layer.
#[serde_with::skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Installed {
    /// The normalised name.
    pub name: String,
    /// The version. Accretion's code called it `Details`.
    #[serde(alias = "Details")]
    pub version: String,
    /// The file name of the wheel.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub wheel: String,
    /// SHA-256 of the wheel, or of the source distribution that it was built from.
    pub sha256: Option<Sha256>,
    /// The file name of the source distribution that the wheel was built from.
    pub built_from: Option<String>,
    /// Bytes of its files in the zip.
    pub size: Option<u64>,
    /// Bytes of its files, unpacked.
    pub unzipped_size: Option<u64>,
    /// The reason why its index has yanked the version, as far as the build knew; empty where the
    /// index gives none.
    pub yanked: Option<String>,
    /// The runtimes of a merged layer that it is there for, oldest first; empty if it is there for
    /// all of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub runtimes: Vec<Runtime>,
}

/// A distribution that was resolved and left out.
#[serde_with::skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Excluded {
    /// The normalised name.
    pub name: String,
    /// The version that was resolved.
    pub version: String,
    /// The reason; absent if the request names it.
    pub reason: Option<Reason>,
    /// The versions that the runtime may have, where that is the reason: `>=1.27.1`.
    pub runtime_version: Option<String>,
}

/// The reason why a distribution was left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reason {
    /// The runtime has it.
    ProvidedByRuntime,
}

/// Extra files in a layer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Files {
    /// Their number.
    pub count: u64,
    /// Their bytes, unpacked.
    pub unzipped_size: u64,
    /// Their hash, whatever they were packed in: [`of_files`](accretion_layer::of_files).
    pub sha256: Sha256,
}

/// Files of packages that were left out by patterns.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Pruned {
    /// The patterns that they match.
    pub prune: Vec<String>,
    /// The patterns of what stays nevertheless.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub include: Vec<String>,
    /// Their number.
    pub files: u64,
    /// Their bytes, unpacked.
    pub unzipped_size: u64,
    /// The patterns that have matched nothing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unmatched: Vec<String>,
}

/// The publication of a layer: arguments of `PublishLayerVersion` and
/// `AddLayerVersionPermission`.
#[serde_with::skip_serializing_none]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Publish {
    /// The layer version's description.
    pub description: String,
    /// The layer version's licence.
    pub license_info: Option<String>,
    /// The principals that may use the layer version, besides the account itself.
    #[serde(default)]
    pub permissions: Vec<PermissionDocument>,
}

/// The builder of a layer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Builder {
    /// The version of Accretion.
    pub version: String,
    /// The time of the build: RFC 3339 with milliseconds, in UTC.
    pub built_at: String,
}

/// The manifest of a layer version. `Layer` and `ArtifactManifest` are Accretion's (2019).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct LayerManifest {
    /// The layer and the number of the version.
    pub layer: LayerRef,
    /// The artifact manifest that it was published from.
    pub artifact_manifest: ObjectRef,
    /// The ARN of the version.
    pub version_arn: String,
    /// The digest of its content.
    pub digest: Digest,
    /// The time at which Lambda made the version.
    pub published_at: Timestamp,
}

impl Installed {
    /// Returns the warning about it, if there is one.
    pub fn warning(&self) -> Option<String> {
        let yanked = self.yanked.as_deref();
        yanked.map(|reason| yanked_warning(&self.name, &self.version, reason))
    }
}

/// The warning that an index has yanked a version.
pub fn yanked_warning(name: &str, version: &str, reason: &str) -> String {
    match reason {
        "" => format!("{name} {version} is yanked, and its index does not say why"),
        reason => format!("{name} {version} is yanked: {reason}"),
    }
}

impl LayerManifest {
    /// The manifest as it is written: indented JSON with a final newline.
    pub fn to_json(&self) -> String {
        pretty(self)
    }
}

impl Manifest {
    /// The layer and its runtimes; `None` in a manifest of Accretion (2019) that names
    /// several runtimes or no architecture.
    pub fn compatibility(&self) -> Option<Compatibility> {
        let &[architecture] = &*self.architectures else {
            return None;
        };
        let target = match (self.shape, &*self.runtimes) {
            (Some(_), _) => LayerTarget::Merged(architecture),
            (None, &[runtime]) => LayerTarget::One(Target {
                runtime,
                architecture,
            }),
            (None, _) => return None,
        };
        Compatibility::new(target, self.runtimes.iter().copied())
    }

    /// The manifest that publishes the same content once more, for a rollback to `version`.
    #[must_use]
    pub fn again(self, version: LayerRef, request: RequestRef) -> Self {
        Self {
            request: Some(request),
            rolled_back_to: Some(version),
            ..self
        }
    }

    /// The number of distributions in the layer. One that a merged layer holds several times, for
    /// different runtimes, counts once.
    pub fn packages(&self) -> usize {
        packages(&self.installed)
    }

    /// The manifest as it is written: indented JSON with a final newline.
    pub fn to_json(&self) -> String {
        pretty(self)
    }

    /// Reads a manifest of this form.
    pub fn from_json(bytes: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(bytes)
    }
}

/// A layer and one of its versions, as Accretion names them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct LayerRef {
    /// The ARN of the layer, without a version.
    pub arn: String,
    /// The number of the version.
    pub version: u64,
}

/// An object in S3.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectRef {
    /// The bucket.
    #[serde(rename = "S3Bucket")]
    pub bucket: String,
    /// The key.
    #[serde(rename = "S3Key")]
    pub key: String,
}

/// The number of distributions among what is installed; one that is there several times counts once.
pub fn packages(installed: &[Installed]) -> usize {
    let names = installed.iter().map(|it| it.name.as_str());
    names.collect::<BTreeSet<_>>().len()
}

/// Requirements in either form.
fn requirements<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    let requirements = Vec::<AnyRequirement>::deserialize(deserializer)?.into_iter();
    let texts = requirements.map(|requirement| match requirement {
        AnyRequirement::Text(text) => text,
        AnyRequirement::Parts { name, details } => name + &details,
    });
    Ok(texts.collect())
}

/// A requirement as a string, or as Accretion's `{"Name", "Details"}`.
#[derive(Deserialize)]
#[serde(
    untagged,
    rename_all_fields = "PascalCase",
    expecting = "a requirement is a string, or an object with Name and Details"
)]
enum AnyRequirement {
    Text(String),
    Parts {
        name: String,
        #[serde(default, alias = "Version")]
        details: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_requirements_in_both_forms() {
        let text = r#"["requests>=2", {"Name": "attrs", "Details": "==25.4"}, {"Name": "six"}]"#;
        let read = requirements(&mut serde_json::Deserializer::from_str(text)).unwrap();
        assert_eq!(read, ["requests>=2", "attrs==25.4", "six"]);
    }

    #[test]
    fn only_what_says_so_is_merged() {
        let of = |runtimes: &str, rest: &str| {
            let hash = "0".repeat(64);
            let text = format!(
                r#"{{"ManifestVersion": 2, "ProjectName": "tools", "ArtifactS3Key": "a", {rest}
                "Runtimes": [{runtimes}], "Architectures": ["arm64"], "Requirements": [],
                "Installed": [{{"Name": "six", "Version": "1"}}, {{"Name": "six", "Version": "2"}}],
                "Digest": "sha256:{hash}", "ArtifactSha256": "{hash}", "ArtifactSize": 1,
                "UnzippedSize": 1, "Publish": {{"Description": ""}},
                "Builder": {{"Version": "0", "BuiltAt": ""}}}}"#
            );
            Manifest::from_json(text.as_bytes()).unwrap()
        };
        let slug = |manifest: &Manifest| Some(manifest.compatibility()?.target().slug());
        let (one, both) = (r#""python3.13""#, r#""python3.12", "python3.13""#);
        let merged = of(both, r#""Shape": "PerRuntime","#);
        assert_eq!(slug(&merged).as_deref(), Some("py-arm64"));
        assert_eq!(merged.packages(), 1);
        let read = Manifest::from_json(merged.to_json().as_bytes()).unwrap();
        assert_eq!(read, merged);
        let merged = of(one, r#""Shape": "Shared","#);
        assert_eq!(slug(&merged).as_deref(), Some("py-arm64"));
        assert_eq!(slug(&of(one, "")).as_deref(), Some("py313-arm64"));
        assert_eq!(slug(&of(both, "")), None);
        assert_eq!(slug(&of("", r#""Shape": "Shared","#)), None);
    }

    #[test]
    fn reads_versions_under_both_names() {
        for key in ["Version", "Details"] {
            let text = format!(r#"{{"Name": "six", "{key}": "1.17"}}"#);
            let installed: Installed = serde_json::from_str(&text).unwrap();
            assert_eq!(installed.version, "1.17");
        }
    }
}
