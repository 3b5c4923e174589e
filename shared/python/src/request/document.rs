//! The JSON of a request as serde types: what is written, and where the JSON Schema comes from.

use accretion_core::request::{FileSourceDocument, PermissionDocument};
use accretion_core::target::{Architecture, Runtime};
use schemars::{JsonSchema, Schema};
use serde::{Deserialize, Serialize};

use super::{Request, Requirements};
use crate::index::IndexDocument;
use crate::lock::{LockFile, LockFormat};
use crate::requirement::RequirementSet;

/// A request for AWS Lambda layers with Python packages.
///
/// Mirrors the JSON; rules that a schema can't express are checked by [`Request::from_json`] alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
#[schemars(title = "Accretion request", extend("anyOf" = [
    {"required": ["Files"], "properties": {"Files": {"minItems": 1}}},
    {"properties": {"Requirements": {"properties": {"Requirements": {"minItems": 1}}}}},
]))]
pub struct RequestDocument {
    /// The name of the project. Its layers are called after it: `data-tools-py313`.
    #[schemars(regex(pattern = r"^[a-zA-Z0-9_-]{1,70}$"), example = &"data-tools")]
    pub name: String,
    /// The programming language: `python`, in any case.
    #[schemars(regex(pattern = r"^[Pp][Yy][Tt][Hh][Oo][Nn]$"), example = &"python")]
    pub language: String,
    /// The requirements.
    pub requirements: RequirementsDocument,
    /// Dependency groups of a lock file that go into the layers beside its default ones.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(inner(regex(pattern = r"^[a-zA-Z0-9]([a-zA-Z0-9._-]*[a-zA-Z0-9])?$")))]
    pub groups: Vec<String>,
    /// Extras of the project whose lock file it is that go into the layers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(inner(regex(pattern = r"^[a-zA-Z0-9]([a-zA-Z0-9._-]*[a-zA-Z0-9])?$")))]
    pub extras: Vec<String>,
    /// The Lambda runtimes to build for. If left out, all that AWS supports and that the
    /// `requires-python` of a lock file or script takes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Vec<Runtime>", length(min = 1))]
    pub runtimes: Option<Vec<Runtime>>,
    /// The CPU architectures to build for. All if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Vec<Architecture>", length(min = 1))]
    pub architectures: Option<Vec<Architecture>>,
    /// The description of the layer versions; a semantic version is recommended. Generated if left
    /// out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", length(max = 256), example = &"1.4.0")]
    pub description: Option<String>,
    /// The license information of the layer versions: an SPDX identifier, a URL or a text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", length(max = 512), example = &"MIT")]
    pub license_info: Option<String>,
    /// The principals that may use the layers. Only the account that holds them if left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 50))]
    pub permissions: Vec<PermissionDocument>,
    /// Distributions to leave out of the layers, such as those the runtime brings. They are
    /// resolved and listed in the manifest.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(inner(regex(pattern = r"^[a-zA-Z0-9]([a-zA-Z0-9._-]*[a-zA-Z0-9])?$")))]
    pub exclude: Vec<String>,
    /// True if packages are left out that the runtime has in a version that satisfies all that
    /// require them, such as `boto3`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub provided_by_runtime: bool,
    /// Extra files: zips, wheels and folders below `files/` in the inbox.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20))]
    pub files: Vec<FileSourceDocument>,
    /// Patterns, as in a `.gitignore`, of hidden files among `Files` that go into the layers, too.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 100), inner(length(min = 1, max = 256)))]
    pub hidden: Vec<String>,
    /// Paths of files among `Files` that may hold what looks like a secret.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 100), inner(length(min = 1, max = 1024)))]
    pub allow_secrets: Vec<String>,
    /// Patterns, as in a `.gitignore`, of files of packages that stay out of the layers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 100), inner(length(min = 1, max = 256)))]
    pub prune: Vec<String>,
    /// Patterns of files that stay in although `Prune` names them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 100), inner(length(min = 1, max = 256)))]
    pub include: Vec<String>,
    /// True if packages without a fitting wheel may be built from source, which runs their code.
    #[serde(default)]
    pub allow_source_distributions: bool,
    /// Package indexes that are asked before the default one, in this order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 10))]
    pub indexes: Vec<IndexDocument>,
    /// True if one layer for each architecture serves all runtimes, instead of one for each of them.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub merge: bool,
}

/// Requirements, in one of several forms.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "Type", rename_all_fields = "PascalCase", deny_unknown_fields)]
pub enum RequirementsDocument {
    /// A list of names with details.
    #[serde(rename = "accretion")]
    Accretion {
        /// The requirements; none only where there are `Files`.
        #[schemars(length(max = 1000))]
        requirements: Vec<RequirementDocument>,
    },
    /// The text of a `requirements.txt`.
    #[serde(rename = "requirements.txt")]
    RequirementsTxt {
        /// The text. It can't include other files.
        #[schemars(length(min = 1))]
        requirements: String,
        /// The text of a constraints file: which versions to choose if a distribution is needed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schemars(with = "String")]
        constraints: Option<String>,
    },
    /// The text of a `pylock.toml` (PEP 751).
    #[serde(rename = "pylock.toml")]
    PylockToml {
        /// The text.
        #[schemars(length(min = 1))]
        requirements: String,
    },
    /// The text of a `uv.lock`.
    #[serde(rename = "uv.lock")]
    UvLock {
        /// The text.
        #[schemars(length(min = 1))]
        requirements: String,
    },
    /// The text of a `poetry.lock`.
    #[serde(rename = "poetry.lock")]
    PoetryLock {
        /// The text.
        #[schemars(length(min = 1))]
        requirements: String,
        /// The text of the project's `pyproject.toml`, which lock files of Poetry 1 need.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schemars(with = "String")]
        project: Option<String>,
    },
    /// The text of a `Pipfile.lock`.
    #[serde(rename = "Pipfile.lock")]
    PipfileLock {
        /// The text.
        #[schemars(length(min = 1))]
        requirements: String,
    },
    /// The text of a `pdm.lock`.
    #[serde(rename = "pdm.lock")]
    PdmLock {
        /// The text.
        #[schemars(length(min = 1))]
        requirements: String,
        /// The text of the project's `pyproject.toml`, which lock files need that do not have the
        /// strategy `inherit_metadata`, or whose project names an index.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schemars(with = "String")]
        project: Option<String>,
    },
    /// The text of a script with inline metadata (PEP 723).
    #[serde(rename = "script")]
    Script {
        /// The text, of which only the metadata counts.
        #[schemars(length(min = 1))]
        requirements: String,
    },
}

impl From<&LockFile> for RequirementsDocument {
    fn from(file: &LockFile) -> Self {
        let requirements = file.text().to_owned();
        let project = file.project().map(ToOwned::to_owned);
        match file.format() {
            LockFormat::Pylock => Self::PylockToml { requirements },
            LockFormat::Uv => Self::UvLock { requirements },
            LockFormat::Poetry => Self::PoetryLock {
                requirements,
                project,
            },
            LockFormat::Pipfile => Self::PipfileLock { requirements },
            LockFormat::Pdm => Self::PdmLock {
                requirements,
                project,
            },
        }
    }
}

/// One requirement: its name and details, one after the other, are a requirement by PEP 508.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct RequirementDocument {
    /// The name of a distribution.
    #[schemars(regex(pattern = r"^[a-zA-Z0-9]([a-zA-Z0-9._-]*[a-zA-Z0-9])?$"))]
    pub name: String,
    /// The text after the name: nothing, `==1.0`, `[extra]`, ` >= 0.9.0`.
    #[schemars(example = &"", example = &"==1.0", example = &"[policy]>=2")]
    pub details: String,
}

impl From<&Request> for RequestDocument {
    fn from(request: &Request) -> Self {
        let requirements = match &request.input.requirements {
            Requirements::Set(set) if *set == RequirementSet::default() => {
                RequirementsDocument::Accretion {
                    requirements: Vec::new(),
                }
            }
            Requirements::Set(set) if set.requires_python.is_some() => {
                RequirementsDocument::Script {
                    requirements: set.to_script(),
                }
            }
            Requirements::Set(set) => RequirementsDocument::RequirementsTxt {
                requirements: set.to_requirements_txt(),
                constraints: (!set.constraints.is_empty()).then(|| set.to_constraints_txt()),
            },
            Requirements::Lock(file) => file.into(),
        };
        let input = &request.input;
        let contents = &request.contents;
        let rules = &contents.file_rules;
        Self {
            name: request.name.to_string(),
            language: "python".to_owned(),
            requirements,
            groups: texts(&input.selection.groups),
            extras: texts(&input.selection.extras),
            runtimes: Some(request.targets.runtimes().collect()),
            architectures: Some(request.targets.architectures().collect()),
            description: request.description.clone(),
            license_info: request.license_info.clone(),
            permissions: request.permissions.iter().map(Into::into).collect(),
            exclude: texts(&input.exclude),
            provided_by_runtime: contents.provided_by_runtime,
            files: contents.files.iter().map(Into::into).collect(),
            hidden: texts(rules.hidden()),
            allow_secrets: rules.allow_secrets().cloned().collect(),
            prune: texts(contents.pruning.prune()),
            include: texts(contents.pruning.include()),
            allow_source_distributions: input.allow_source_distributions,
            indexes: input.indexes.iter().map(Into::into).collect(),
            merge: request.merge,
        }
    }
}

fn texts(items: impl IntoIterator<Item = impl ToString>) -> Vec<String> {
    items.into_iter().map(|it| it.to_string()).collect()
}

/// The JSON Schema of a request.
pub fn schema() -> Schema {
    schemars::schema_for!(RequestDocument)
}
