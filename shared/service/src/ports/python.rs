//! The ports of Python packages.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use accretion_core::digest::Sha256;
use accretion_core::target::Target;
use accretion_python::index::{Credentials, CredentialsReference};
use accretion_python::lock::{Lock, LockedFile};
use accretion_python::requirement::{PackageName, RequirementSet};
use accretion_python::wheel::WheelFilename;
use accretion_tree::Layout;
use url::Url;

use super::{PortError, StoredPackage, async_trait};

/// A resolution that a use case requests.
#[derive(Debug, Clone, Copy)]
pub struct Resolution<'a> {
    /// The requirements.
    pub requirements: &'a RequirementSet,
    /// Packages that are at hand: no index is asked for them, whatever requires them.
    pub own: &'a [PackageName],
    /// The target.
    pub target: Target,
    /// True if packages without a fitting wheel may be chosen, whose code may run for their metadata.
    pub allow_source_distributions: bool,
    /// Set if the requirements are pinned versions whose files the resolver only locates.
    pub located: Option<Location<'a>>,
}

/// The way to locate the files of pinned versions.
#[derive(Debug, Clone, Copy)]
pub struct Location<'a> {
    /// The index that they are on; the default one if a lock names none.
    pub index: Option<&'a Url>,
    /// True if an earlier answer is good enough.
    pub remembered: bool,
}

/// Turns requirements into locked packages.
#[async_trait]
pub trait Resolver: Send + Sync {
    /// Resolves requirements for one target, or locates the files of pinned versions.
    ///
    /// Runs no package's code unless source distributions are allowed.
    async fn resolve(&self, resolution: Resolution<'_>) -> Result<Lock, PortError>;
}

/// Knows what opens package indexes.
pub trait IndexCredentials: Send + Sync {
    /// The credentials that are kept somewhere.
    fn get(
        &self,
        reference: &CredentialsReference,
    ) -> impl Future<Output = Result<Credentials, PortError>> + Send;
}

/// A verified wheel that is on this machine.
#[derive(Debug)]
pub struct StoredWheel {
    /// Its file name.
    pub filename: WheelFilename,
    /// The files that it puts into a layer.
    pub layout: Layout,
    /// The path of the wheel.
    pub wheel: PathBuf,
    /// The path of the file with its layout.
    pub layout_file: PathBuf,
}

impl StoredPackage for StoredWheel {
    fn filename(&self) -> &str {
        self.filename.as_str()
    }

    fn layout(&self) -> &Layout {
        &self.layout
    }

    fn archive(&self) -> &Path {
        &self.wheel
    }

    fn layout_file(&self) -> &Path {
        &self.layout_file
    }
}

/// Has wheels, or gets them.
#[async_trait]
pub trait Wheels: Send + Sync {
    /// Gets a wheel: out of the store, or downloaded and verified in full.
    async fn get(
        &self,
        filename: &WheelFilename,
        file: &LockedFile,
    ) -> Result<Arc<StoredWheel>, PortError>;

    /// Stores a wheel that a user supplies, verified as any other.
    async fn admit(
        &self,
        filename: &WheelFilename,
        sha256: Sha256,
        wheel: Vec<u8>,
    ) -> Result<Arc<StoredWheel>, PortError>;

    /// Is told of all source distributions of a layer before the first of them is asked for: what
    /// others have to build is ordered at once.
    async fn prepare(
        &self,
        _sources: &[(&str, &LockedFile)],
        _target: Target,
    ) -> Result<(), PortError> {
        Ok(())
    }

    /// Gets the wheel of a source distribution: out of the store, or built for the target, which
    /// runs the package's code.
    async fn build(
        &self,
        filename: &str,
        file: &LockedFile,
        target: Target,
    ) -> Result<Arc<StoredWheel>, PortError>;
}
