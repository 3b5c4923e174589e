//! The ports of the use cases.

mod dead_letters;
mod pipeline;
mod python;
mod sandboxes;

pub use async_trait::async_trait;
pub use dead_letters::*;
pub use pipeline::*;
pub use python::*;
pub use sandboxes::*;

use std::fmt;
use std::io::Write;
use std::path::Path;

use accretion_core::digest::Written;
use accretion_core::layer::LayerName;
use accretion_core::manifest::Manifest;
use accretion_core::target::{LayerTarget, Target};
use accretion_core::{Class, Fault};
use accretion_tree::Layout;

/// A port's failure, whatever is behind the port.
#[derive(Debug)]
pub struct PortError {
    fault: Box<dyn Fault>,
    condition: Option<Condition>,
}

/// A condition by which a use case decides what to do about a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    /// A required package has no file that the target can use as it is.
    NoFittingFile,
    /// A file is not where an index said that it is.
    FileMoved,
}

impl PortError {
    /// A port's failure out of an adapter's error. An adapter's own error type implements `From`
    /// with it.
    pub fn new(error: impl Fault) -> Self {
        Self {
            fault: Box::new(error),
            condition: None,
        }
    }

    /// Says by which condition use cases may decide.
    #[must_use]
    pub fn with_condition(self, condition: Option<Condition>) -> Self {
        Self { condition, ..self }
    }

    /// The condition by which use cases may decide, if there is one.
    pub fn condition(&self) -> Option<Condition> {
        self.condition
    }

    /// The adapter's error, if it is of this type.
    pub fn cause<E: std::error::Error + 'static>(&self) -> Option<&E> {
        let error: &dyn std::error::Error = &*self.fault;
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
        self.fault.fmt(f)
    }
}

impl std::error::Error for PortError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.fault.source()
    }
}

impl Fault for PortError {
    fn code(&self) -> &'static str {
        self.fault.code()
    }

    fn class(&self) -> Class {
        self.fault.class()
    }

    fn hint(&self) -> Option<String> {
        self.fault.hint()
    }
}

/// A verified package that is on this machine.
pub trait StoredPackage: fmt::Debug + Send + Sync {
    /// The file name of its archive.
    fn filename(&self) -> &str;

    /// The files that it puts into a layer.
    fn layout(&self) -> &Layout;

    /// The path of the archive.
    fn archive(&self) -> &Path;

    /// The path of the file with its layout.
    fn layout_file(&self) -> &Path;
}

/// The documents that describe an artifact.
#[derive(Debug, Clone, Copy)]
pub struct Description<'a> {
    /// Its manifest.
    pub manifest: &'a Manifest,
    /// A lock of what is installed, which is kept where the manifest says, if it does.
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
