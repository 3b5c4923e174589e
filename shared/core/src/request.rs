//! A request: the layers that a project wants, and their content.
//!
//! The envelope is the same for every language: [`Request`] reads and checks it. An ecosystem reads
//! its own fields, among them the requirements: [`Input`].

use std::collections::BTreeSet;
use std::fmt;

use serde::Serialize;

use crate::diagnostic::{Checked, Problem, Report, code};
use crate::encoding::decode;
use crate::json::{Fields, Reader, pretty};
use crate::language::Language;
use crate::limits::Limits;
use crate::target::{Architecture, Compatibility, LayerTarget, Lifecycle, Runtime, Target};
use crate::text::is_account;
use crate::text_types;

mod admission;
mod contents;
mod document;
mod file_rules;
mod json;
mod rollback;
#[cfg(test)]
mod sample;

pub use crate::identity::{
    IdentityAttributes, IdentityAttributesError, ProjectName, RequestId, RequestRef,
};

pub use self::admission::{Admission, AllowedPermissions};
pub use self::contents::{Contents, FileSource, FileSourceDocument, ParseFileSourceError};
pub use self::document::PermissionDocument;
pub use self::file_rules::FileRules;
pub use self::json::read_flag;
pub use self::rollback::Rollback;

text_types! {
    /// The id of an AWS account: 12 digits.
    AccountId, is_account, "an account id has 12 digits";
    /// The id of an AWS organization: `o-` and 10 to 32 lowercase letters or digits.
    ///
    /// Source: the API reference of `AddLayerVersionPermission`.
    OrganizationId, is_organization,
        "an organization id is `o-` and 10 to 32 lowercase letters or digits";
}

fn is_organization(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    text.strip_prefix("o-")
        .is_some_and(|id| (10..=32).contains(&id.len()) && id.bytes().all(allowed))
}

/// A permission to use the layers, besides that of the account that holds them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Permission {
    /// Every AWS account.
    Everyone,
    /// Every account of an organization.
    Organization(OrganizationId),
    /// One account.
    Account(AccountId),
}

impl Permission {
    /// `Principal` of `AddLayerVersionPermission`: `*` or an account id.
    pub fn principal(&self) -> &str {
        match self {
            Self::Everyone | Self::Organization(_) => "*",
            Self::Account(AccountId(id)) => id,
        }
    }

    /// `OrganizationId` of `AddLayerVersionPermission`.
    pub fn organization_id(&self) -> Option<&str> {
        match self {
            Self::Organization(OrganizationId(id)) => Some(id),
            Self::Everyone | Self::Account(_) => None,
        }
    }
}

impl fmt::Display for Permission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Everyone => f.write_str("everyone"),
            Self::Organization(id) => write!(f, "the organization {id}"),
            Self::Account(id) => write!(f, "the account {id}"),
        }
    }
}

/// The targets of a request: every combination of some runtimes and some architectures. Never
/// empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Targets {
    runtimes: BTreeSet<Runtime>,
    architectures: BTreeSet<Architecture>,
}

impl Targets {
    /// The combinations of runtimes and architectures; the default of each where none is given.
    pub fn new(
        runtimes: impl IntoIterator<Item = Runtime>,
        architectures: impl IntoIterator<Item = Architecture>,
    ) -> Self {
        Self::default()
            .with_runtimes(runtimes)
            .with_architectures(architectures)
    }

    /// With other runtimes, unless there are none.
    #[must_use]
    pub fn with_runtimes(mut self, runtimes: impl IntoIterator<Item = Runtime>) -> Self {
        let chosen: BTreeSet<_> = runtimes.into_iter().collect();
        if !chosen.is_empty() {
            self.runtimes = chosen;
        }
        self
    }

    /// With other architectures, unless there are none.
    #[must_use]
    pub fn with_architectures(
        mut self,
        architectures: impl IntoIterator<Item = Architecture>,
    ) -> Self {
        let chosen: BTreeSet<_> = architectures.into_iter().collect();
        if !chosen.is_empty() {
            self.architectures = chosen;
        }
        self
    }

    /// The targets, by runtime and then architecture, without duplicates.
    pub fn iter(&self) -> impl Iterator<Item = Target> + '_ {
        self.runtimes.iter().flat_map(|&runtime| {
            self.architectures.iter().map(move |&architecture| Target {
                runtime,
                architecture,
            })
        })
    }

    /// The runtimes, oldest first.
    pub fn runtimes(&self) -> impl Iterator<Item = Runtime> + '_ {
        self.runtimes.iter().copied()
    }

    /// The architectures, in the order in which they are built.
    pub fn architectures(&self) -> impl Iterator<Item = Architecture> + '_ {
        self.architectures.iter().copied()
    }

    /// A warning, without a location, for each runtime that AWS does not support.
    pub fn warnings(&self) -> impl Iterator<Item = Problem> + '_ {
        self.runtimes().filter_map(unsupported)
    }
}

impl Default for Targets {
    fn default() -> Self {
        Self {
            runtimes: Runtime::supported().collect(),
            architectures: Architecture::ALL.into(),
        }
    }
}

/// A warning, without a location, if AWS does not support a runtime.
fn unsupported(runtime: Runtime) -> Option<Problem> {
    let Some(lifecycle) = runtime.lifecycle() else {
        let message = format!(
            "AWS offers the runtime `{runtime}` only as a preview: it may change, and functions in \
             production should not use it"
        );
        let preview = Problem::warning(code::RUNTIME_PREVIEW, message);
        return Some(preview.help("remove it, unless the layer is for trying the preview"));
    };
    runtime.is_deprecated().then(|| {
        let Lifecycle {
            deprecated,
            create_blocked,
            update_blocked,
        } = lifecycle;
        let message = format!(
            "AWS deprecated the runtime `{runtime}` on {deprecated}: no function can be created with \
             it from {create_blocked} on, and none updated from {update_blocked} on"
        );
        Problem::warning(code::RUNTIME_DEPRECATED, message)
            .help("move its functions to a newer runtime, then remove it here")
    })
}

/// The fields of a request that belong to one ecosystem, and their meaning.
pub trait Input: Sized + Clone + fmt::Debug + PartialEq {
    /// The language whose packages it names.
    const LANGUAGE: Language;

    /// The names of its fields.
    const FIELDS: &'static [&'static str];

    /// The JSON of a request with this input.
    type Document: Serialize;

    /// Reads its fields. Problems go to the reader's report; `None` if there is no input without
    /// them.
    fn read(reader: &mut Reader<'_>, fields: &Fields<'_, '_>, contents: &Contents) -> Option<Self>;

    /// Writes a request, every default included.
    fn document(request: &Request<Self>) -> Self::Document;

    /// The runtimes that layers are built for if a request names none: those that AWS has not
    /// deprecated and that the input is for, if there is one.
    fn runtimes(&self) -> Vec<Runtime>;

    /// Says of a file name whether it is one of a package.
    fn file_kind(filename: &str) -> FileKind;
}

/// What a file is by its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FileKind {
    /// A package of this normalised name.
    Package(String),
    /// It looks like a package, but its name is none of one.
    MisnamedPackage,
    /// Any other file.
    Other,
}

/// The layers that a project wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request<I> {
    /// The project.
    pub name: ProjectName,
    /// The packages that go into the layers.
    pub input: I,
    /// One layer is built for each, or for each architecture if they are [merged](Self::merge).
    pub targets: Targets,
    /// The description of the layer versions; never empty.
    pub description: Option<String>,
    /// The layer versions' license information; never empty.
    pub license_info: Option<String>,
    /// The accounts and organizations that may use the layers, besides the account itself.
    pub permissions: BTreeSet<Permission>,
    /// Extra files of the layers, and the files that stay out.
    pub contents: Contents,
    /// True if one layer serves all runtimes, for each architecture.
    pub merge: bool,
}

impl<I: Input> Request<I> {
    /// A request with every default.
    pub fn new(name: ProjectName, input: I) -> Self {
        Self {
            name,
            targets: Targets::new(input.runtimes(), []),
            input,
            description: None,
            license_info: None,
            permissions: BTreeSet::new(),
            contents: Contents::default(),
            merge: false,
        }
    }

    /// The layers that it wants, by runtime and then architecture.
    pub fn layers(&self) -> Vec<Compatibility> {
        if !self.merge {
            return self.targets.iter().map(Into::into).collect();
        }
        let merged = self.targets.architectures().map(LayerTarget::Merged);
        merged.map(|target| self.layer(target)).collect()
    }

    /// A layer, merged of all of this request's runtimes if it is a merged one.
    ///
    /// # Panics
    ///
    /// Never: there is at least one runtime.
    pub fn layer(&self, target: LayerTarget) -> Compatibility {
        match target {
            LayerTarget::One(target) => target.into(),
            LayerTarget::Merged(_) => Compatibility::new(target, self.targets.runtimes())
                .expect("targets are never empty"),
        }
    }

    /// Reads a request's JSON; reports every problem at once.
    ///
    /// `source_name` is what the report calls the text.
    pub fn from_json(source_name: &str, bytes: &[u8]) -> Checked<Self> {
        check_size(source_name, bytes)?;
        check_written(json::read(source_name, decode(source_name, bytes)?)?)
    }

    /// That a request names files as only the pipeline does, which keeps them in the place of what was
    /// named: they have not been checked.
    pub fn kept_files_problem(&self) -> Option<Problem> {
        let is_any_kept = self.contents.files.iter().any(FileSource::is_kept);
        is_any_kept.then(|| {
            let message = "`Sha256` in `Files` is for the pipeline itself";
            Problem::error(code::FILES_INVALID, message)
                .help("name a `Key` or a `Prefix` of the inbox")
        })
    }

    /// The normalised JSON: every default is written out.
    ///
    /// # Panics
    ///
    /// Never: strings, lists and booleans are always JSON.
    pub fn to_json(&self) -> String {
        pretty(&I::document(self))
    }
}

fn too_large(what: &str, bytes: usize) -> Problem {
    let limit = Limits::REQUEST_BYTES;
    let message = format!("{what} has {bytes} bytes, and {limit} are allowed");
    Problem::error(code::TOO_LARGE, message).help("make several layers of it")
}

/// Refuses an input of more bytes than a request may have.
pub fn check_size(source_name: &str, bytes: &[u8]) -> Result<(), Report> {
    if bytes.len() <= Limits::REQUEST_BYTES {
        return Ok(());
    }
    let mut report = Report::new(source_name, "");
    report.push(too_large("the input", bytes.len()));
    Err(report)
}

/// Refuses a request whose normalised form, which is stored, is too long: its texts are escaped, its
/// markers written out.
pub fn check_written<I: Input>((request, mut report): (Request<I>, Report)) -> Checked<Request<I>> {
    let written = request.to_json().len();
    if written > Limits::REQUEST_BYTES {
        report.push(too_large("the normalised request", written));
    }
    report.conclude(Some(request))
}
