//! The seam between the use cases and the ecosystems of packages.

use std::collections::BTreeSet;
use std::sync::Arc;

use accretion_core::diagnostic::{Checked, Problem};
use accretion_core::digest::{Component, Sha256};
use accretion_core::manifest::{Excluded, Installed};
use accretion_core::request::{Input, ProjectName, Request};
use accretion_core::target::Target;
use accretion_tree::Installation;

use crate::Error;
use crate::ports::{PortError, StoredPackage};

/// The requests of an ecosystem, as they come from outside.
pub trait Ecosystem {
    /// Its part of a request.
    type Input: Input + Send + Sync;

    /// Returns whether a file is a request in JSON, by its name and content.
    fn is_request(name: &str, bytes: &[u8]) -> bool;

    /// Reads a request out of a file, or makes one with every default of a file with requirements.
    /// `project` is the name of the project where the file has none.
    fn read(
        project: Option<ProjectName>,
        name: &str,
        bytes: &[u8],
    ) -> Checked<Request<Self::Input>>;

    /// The problems of a request that show without a port, besides those of reading it.
    fn problems(request: &Request<Self::Input>) -> Vec<Problem>;

    /// Checks that an archive among a request's files is a sound package, fits all targets and holds
    /// no secrets. Its file name is [one of a package](Input::file_kind).
    fn check_package(
        request: &Request<Self::Input>,
        filename: &str,
        archive: &[u8],
    ) -> Result<(), Problem>;
}

/// The packages of one request.
pub trait Packages: Send + Sync {
    /// The ecosystem's part of the request.
    type Input: Input + Send + Sync;

    /// A package that was chosen for a target.
    type Package: Package;

    /// The rules by which the packages are installed.
    fn installation(&self) -> &'static dyn Installation;

    /// Adds a package that the request brings along: it comes from no index.
    fn supply(
        &mut self,
        filename: &str,
        sha256: Sha256,
        archive: Vec<u8>,
    ) -> impl Future<Output = Result<(), Error>> + Send;

    /// The packages of the layer for a target.
    fn resolve(
        &self,
        target: Target,
        locating: Locating,
    ) -> impl Future<Output = Result<Resolved<Self::Package>, Error>> + Send;

    /// Gets the archives of packages, in their order.
    fn fetch(
        &self,
        packages: &[Self::Package],
        target: Target,
    ) -> impl Future<Output = Result<Vec<Arc<dyn StoredPackage>>, PortError>> + Send;

    /// Returns whether remembered locations of files may have caused a failure.
    fn may_be_out_of_date(&self, error: &Error) -> bool;

    /// The requirements; `None` if the request does not say which they are.
    fn requirements(&self) -> Option<Vec<Requirement>>;

    /// The packages that the runtime has and that could still be left out.
    fn providable(&self) -> BTreeSet<&'static str>;

    /// The error if no package is left for the layer.
    fn nothing_left(&self) -> accretion_layer::Error;

    /// The lock of what is installed for some targets.
    fn lock(&self, trees: &[(Target, &[Self::Package])]) -> String;
}

/// A package that was chosen for a target.
pub trait Package: Send + Sync {
    /// Its normalised name.
    fn name(&self) -> &str;

    /// Its version.
    fn version(&self) -> &str;

    /// The reason why its version was yanked, if it was.
    fn yanked(&self) -> Option<&str>;

    /// The package as a digest counts it.
    fn component(&self) -> Component<'_>;

    /// The package as a manifest lists it, whose archive is at hand.
    fn installed(&self, stored: &dyn StoredPackage) -> Installed;
}

/// A requirement of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Requirement {
    /// The normalised name of the package.
    pub name: String,
    /// The requirement as a manifest lists it.
    pub specifier: String,
}

/// The source of the locations of pinned files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Locating {
    /// Earlier answers.
    Remembered,
    /// The index, queried anew.
    Anew,
}

/// The packages of the layer for one target.
#[derive(Debug)]
pub struct Resolved<P> {
    /// The packages of the layer, ordered by name.
    pub packages: Vec<P>,
    /// The packages that are left out.
    pub excluded: Vec<Excluded>,
    /// Warnings about the layer.
    pub warnings: Vec<String>,
}

/// Makes something of packages: with remembered locations of their files, and once more without if
/// those may have caused a failure.
pub(crate) async fn located<P: Packages, T>(
    packages: &P,
    attempt: impl AsyncFn(Locating) -> Result<T, Error>,
) -> Result<T, Error> {
    match attempt(Locating::Remembered).await {
        Err(error) if packages.may_be_out_of_date(&error) => attempt(Locating::Anew).await,
        made => made,
    }
}
