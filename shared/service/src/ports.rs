//! The ports of the use cases.

mod dead_letters;
mod pipeline;
mod sandboxes;

pub use async_trait::async_trait;
pub use dead_letters::*;
pub use pipeline::*;
pub use sandboxes::*;

use std::fmt;
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;

use accretion_core::digest::Written;
use accretion_core::layer::LayerName;
use accretion_core::manifest::Manifest;
use accretion_core::target::{LayerTarget, Target};
use accretion_core::{Class, Fault};
use accretion_python::index::{Credentials, CredentialsReference};
use accretion_python::lock::{Lock, LockedFile};
use accretion_python::requirement::{PackageName, RequirementSet};
use accretion_python::wheel::WheelFilename;
use accretion_tree::Layout;
use url::Url;

/// A port's failure, whatever is behind the port.
#[derive(Debug)]
pub struct PortError(Box<dyn Fault>);

impl PortError {
    /// A port's failure out of an adapter's error. An adapter's own error type implements `From`
    /// with it.
    pub fn new(error: impl Fault) -> Self {
        Self(Box::new(error))
    }

    /// The adapter's error, if it is of this type.
    pub fn cause<E: std::error::Error + 'static>(&self) -> Option<&E> {
        let error: &dyn std::error::Error = &*self.0;
        error.downcast_ref()
    }
}

impl From<accretion_python::Error> for PortError {
    fn from(error: accretion_python::Error) -> Self {
        Self::new(error)
    }
}

impl From<accretion_layer::Error> for PortError {
    fn from(error: accretion_layer::Error) -> Self {
        Self::new(error)
    }
}

impl fmt::Display for PortError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for PortError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source()
    }
}

impl Fault for PortError {
    fn code(&self) -> &'static str {
        self.0.code()
    }

    fn class(&self) -> Class {
        self.0.class()
    }

    fn hint(&self) -> Option<String> {
        self.0.hint()
    }
}

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
pub trait Resolver: Send + Sync {
    /// Resolves requirements for one target, or locates the files of pinned versions.
    ///
    /// Runs no package's code unless source distributions are allowed.
    fn resolve(
        &self,
        resolution: Resolution<'_>,
    ) -> impl Future<Output = Result<Lock, PortError>> + Send;
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

/// Has wheels, or gets them.
pub trait Wheels: Send + Sync {
    /// Gets a wheel: out of the store, or downloaded and verified in full.
    fn get(
        &self,
        filename: &WheelFilename,
        file: &LockedFile,
    ) -> impl Future<Output = Result<Arc<StoredWheel>, PortError>> + Send;

    /// Is told of all source distributions of a layer before the first of them is asked for: what
    /// others have to build is ordered at once.
    fn prepare(
        &self,
        _sources: &[(&str, &LockedFile)],
        _target: Target,
    ) -> impl Future<Output = Result<(), PortError>> + Send {
        async { Ok(()) }
    }

    /// Gets the wheel of a source distribution: out of the store, or built for the target, which
    /// runs the package's code.
    fn build(
        &self,
        filename: &str,
        file: &LockedFile,
        target: Target,
    ) -> impl Future<Output = Result<Arc<StoredWheel>, PortError>> + Send;
}

/// The documents that describe an artifact.
#[derive(Debug, Clone, Copy)]
pub struct Description<'a> {
    /// Its manifest.
    pub manifest: &'a Manifest,
    /// A `pylock.toml` of what is installed, which is kept where the manifest says, if it does.
    pub lock: &'a str,
}

/// Keeps artifacts and their manifests.
pub trait Artifacts: Send + Sync {
    /// An artifact that is being written. Dropped before it is committed, it leaves nothing.
    type Staged: Write + Send + 'static;

    /// The manifest of the artifact of this digest, if there is one and it is whole.
    fn find(
        &self,
        layer: &LayerName,
        digest: accretion_core::digest::Digest,
    ) -> impl Future<Output = Result<Option<Manifest>, PortError>> + Send;

    /// Starts an artifact.
    fn stage(&self, layer: &LayerName) -> Result<Self::Staged, PortError>;

    /// Keeps a written artifact and what describes it, the manifest last.
    fn commit(
        &self,
        layer: &LayerName,
        staged: Self::Staged,
        written: Written,
        description: Description<'_>,
    ) -> impl Future<Output = Result<(), PortError>> + Send;

    /// Keeps what describes an artifact that is there already.
    fn keep(
        &self,
        layer: &LayerName,
        description: Description<'_>,
    ) -> impl Future<Output = Result<(), PortError>> + Send;
}

/// Tells the time.
pub trait Clock: Send + Sync {
    /// Now.
    fn now(&self) -> jiff::Timestamp;
}

/// An event of a build, for progress reports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The requirements of a target are being resolved.
    Resolving(Target),
    /// A target's packages are known.
    Resolved {
        /// The target.
        target: Target,
        /// The number of packages that go into the layer.
        packages: usize,
    },
    /// A download has started.
    Downloading {
        /// The file's name.
        filename: String,
        /// Its bytes, if the server said.
        size: Option<u64>,
    },
    /// So many more bytes have come.
    Downloaded(u64),
    /// A wheel is being built from source.
    BuildingWheel {
        /// The source distribution's file name.
        filename: String,
    },
    /// A wheel is at hand.
    WheelReady {
        /// Bytes of what was downloaded for it; `None` if it was in the store.
        downloaded: Option<u64>,
    },
    /// A layer is being written.
    Splicing(LayerTarget),
    /// A layer is written, and is being stored.
    Storing(LayerTarget),
    /// A layer is done, well or not; or all that is needed for one of the targets of a merged layer is
    /// at hand.
    Finished(LayerTarget),
}

/// Watches.
pub trait Progress: Send + Sync {
    /// Is told what happens. Must not block.
    fn on(&self, event: Event);
}
