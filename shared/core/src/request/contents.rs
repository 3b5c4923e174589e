//! Extra files of a layer, and the rules for files that stay out.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{FileKind, FileRules, Input};
use crate::digest::Sha256;
use crate::keys;
use crate::limits::Limits;
use crate::pruning::Pruning;

/// Extra files of a layer, and the rules for files that stay out. By default there are none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Contents {
    /// Extra files, and wheels.
    pub files: BTreeSet<FileSource>,
    /// The rules for extra files.
    pub file_rules: FileRules,
    /// The rules for files of packages that stay out.
    pub pruning: Pruning,
    /// True if packages stay out that the runtime has in a version that satisfies all that require
    /// them.
    pub provided_by_runtime: bool,
}

/// The source of extra files.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum FileSource {
    /// An object of the inbox: a zip whose content goes into the layer, or a wheel.
    Object(String),
    /// All objects of the inbox whose keys start so: what follows is where they go.
    Prefix(String),
    /// Files that were packed and kept in the artifacts bucket, by the hash of their zip.
    Packed(Sha256),
    /// A package's file, such as a wheel, that is stored in the artifacts bucket.
    Package {
        /// Its file name.
        filename: String,
        /// Its hash.
        sha256: Sha256,
    },
}

impl FileSource {
    /// The file name of a package of an ecosystem.
    pub fn package<I: Input>(&self) -> Option<&str> {
        match self {
            Self::Object(key) => {
                let name = key.rsplit('/').next()?;
                matches!(I::file_kind(name), FileKind::Package(_)).then_some(name)
            }
            Self::Package { filename, .. } => Some(filename),
            Self::Prefix(_) | Self::Packed(_) => None,
        }
    }

    /// An object that a request may name.
    pub fn object<I: Input>(key: &str) -> Result<Self, ParseFileSourceError> {
        let name = below_files(key)?;
        let file = name.rsplit('/').next().unwrap_or_default();
        match I::file_kind(file) {
            FileKind::MisnamedPackage => Err(ParseFileSourceError::Wheel),
            FileKind::Other if file.strip_suffix(".zip").is_none_or(str::is_empty) => {
                Err(ParseFileSourceError::Kind)
            }
            _ => Ok(Self::Object(key.to_owned())),
        }
    }

    /// A prefix that a request may name.
    pub fn prefix(prefix: &str) -> Result<Self, ParseFileSourceError> {
        let name = below_files(prefix)?;
        match name.strip_suffix('/') {
            Some(folder) if !folder.is_empty() => Ok(Self::Prefix(prefix.to_owned())),
            _ => Err(ParseFileSourceError::Prefix),
        }
    }

    pub(super) fn is_kept(&self) -> bool {
        matches!(self, Self::Packed(_) | Self::Package { .. })
    }
}

fn below_files(key: &str) -> Result<&str, ParseFileSourceError> {
    if key.len() > Limits::KEY_BYTES || key.contains(char::is_control) {
        return Err(ParseFileSourceError::Key);
    }
    let name = key.strip_prefix(keys::FILES);
    name.ok_or(ParseFileSourceError::Outside)
}

/// The reason why an object or a prefix of the inbox can't be named as files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ParseFileSourceError {
    /// Objects elsewhere are requests.
    #[error("files lie below `files/` in the inbox")]
    Outside,
    /// S3 has no such key, or it is invisible.
    #[error("a key has at most 1,024 bytes, and no control character")]
    Key,
    /// It is neither a zip nor a wheel.
    #[error("the object is a `.zip` or a `.whl`; `Prefix` takes all objects below a folder")]
    Kind,
    /// It ends like a wheel.
    #[error("a wheel has a name such as `tools-1.0-py3-none-any.whl`")]
    Wheel,
    /// It is no folder, or the whole of `files/`.
    #[error("a prefix is a folder below `files/`, with a slash at its end")]
    Prefix,
}

/// The source of extra files: a `Key` or a `Prefix` of the inbox. `Sha256`, with `Wheel` or
/// without, is what the pipeline keeps in their place.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
#[schemars(extend("oneOf" = [
    {"required": ["Key"]}, {"required": ["Prefix"]}, {"required": ["Sha256"]},
]))]
pub struct FileSourceDocument {
    /// The key of a zip, whose content goes into the layer, or of a wheel, which is installed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        with = "String",
        length(max = 1024),
        regex(pattern = r"^files/.*\.(zip|whl)$")
    )]
    pub key: Option<String>,
    /// The prefix of the keys of several objects.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", length(max = 1024), regex(pattern = r"^files/.+/$"))]
    pub prefix: Option<String>,
    /// The file name of a wheel.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub wheel: Option<String>,
    /// SHA-256 of the wheel, or of a zip of packed files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", regex(pattern = r"^[0-9a-f]{64}$"))]
    pub sha256: Option<String>,
}

impl From<&FileSource> for FileSourceDocument {
    fn from(source: &FileSource) -> Self {
        let (mut key, mut prefix, mut wheel, mut hash) = (None, None, None, None);
        match source {
            FileSource::Object(text) => key = Some(text.clone()),
            FileSource::Prefix(text) => prefix = Some(text.clone()),
            FileSource::Packed(sha256) => hash = Some(sha256.to_string()),
            FileSource::Package { filename, sha256 } => {
                wheel = Some(filename.clone());
                hash = Some(sha256.to_string());
            }
        }
        Self {
            key,
            prefix,
            wheel,
            sha256: hash,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::sample::Words;

    #[test]
    fn files_lie_below_a_folder_of_their_own() {
        for key in ["files/a.zip", "files/tools/x y/ü.zip", "files/tools/a.word"] {
            assert_eq!(
                FileSource::object::<Words>(key),
                Ok(FileSource::Object(key.into()))
            );
        }
        for key in [
            "a.zip",
            "/files/a.zip",
            "requests/files/a.zip",
            "files/",
            "files/.zip",
            "files/a.tar",
            "files/two words.word",
            "files/a\n.zip",
            &format!("files/{}.zip", "x".repeat(1024)),
        ] {
            assert!(FileSource::object::<Words>(key).is_err(), "{key:?}");
        }
        assert!(FileSource::prefix("files/tools/").is_ok());
        for prefix in ["files/", "files/tools", "files//", "tools/", ""] {
            assert!(FileSource::prefix(prefix).is_err(), "{prefix:?}");
        }
    }
}
