//! Publishing built layers: exactly one layer version for each change of content.
//!
//! The table of layers decides. Every step may be repeated, and a crash between any two of them
//! leaves work that the next attempt, or the [reconciler](Publish::reconcile), finishes.
//!
//! In reading order: the entry points in this file, then `context` (what a manifest says),
//! `steps` (one step after the other), `claim` (publishing a version), `outcome` and `outbox`
//! (recording and announcing), `failure`, and `reconcile`, which is the other entry point.

mod claim;
mod context;
mod failure;
mod outbox;
mod outcome;
mod reconcile;
mod steps;

use std::time::Duration;

use accretion_core::request::AllowedPermissions;
use accretion_core::timestamp::Timestamp;
use accretion_core::{Class, Fault as _};

pub use self::reconcile::{Reconciled, SILENCE_UNTIL_LOST};

use self::context::PublishableManifest;
use crate::Error;
use crate::ports::{
    LatestVersions, LayerVersions, Layers, Manifests, Observer, Timer, Topic, Tracking,
};

/// The time that a call needs to take effect after its invocation has ended. A lease outlives its
/// owner by that, and an orphan check waits for it.
pub const LEASE_MARGIN: Duration = Duration::from_mins(1);

/// The rest of an invocation's time in which nothing more is begun.
const RESERVE: Duration = Duration::from_secs(20);

/// The permissions that manifests may ask for if the operator names none.
static NO_PERMISSIONS: AllowedPermissions = AllowedPermissions::NONE;

/// The result of publishing from a manifest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The layer has a new version.
    Published,
    /// The layer has that content already.
    Unchanged,
    /// A newer request was published before.
    Superseded,
    /// An earlier attempt has recorded the outcome.
    AlreadyRecorded,
}

/// The ports of the use case.
#[derive(Clone, Copy)]
pub struct Ports<'a> {
    /// The artifacts bucket.
    pub manifests: &'a dyn Manifests,
    /// The table of layers.
    pub layers: &'a dyn Layers,
    /// Lambda.
    pub versions: &'a dyn LayerVersions,
    /// The latest-version parameters.
    pub latest_versions: &'a dyn LatestVersions,
    /// The table of requests.
    pub tracking: &'a dyn Tracking,
    /// The topic.
    pub topic: &'a dyn Topic,
    /// The clock.
    pub timer: &'a dyn Timer,
}

/// Publishes layers, for the time of one invocation.
pub struct Publish<'a> {
    ports: Ports<'a>,
    /// The prefix of the owners of this attempt's claims.
    owner: String,
    /// The end of the invocation.
    deadline: Timestamp,
    /// The time that any invocation may take: as much as this one, by its own clock.
    lifetime: Duration,
    permissions: &'a AllowedPermissions,
    observer: &'a dyn Observer,
}

impl<'a> Publish<'a> {
    /// Prepares to publish until `deadline`, as an `owner` that no other attempt has. To be called
    /// when an invocation begins.
    pub fn new(ports: Ports<'a>, owner: String, deadline: Timestamp) -> Self {
        let lifetime = deadline.since(ports.timer.now().into());
        Self {
            ports,
            owner,
            deadline,
            lifetime,
            permissions: &NO_PERMISSIONS,
            observer: &(),
        }
    }

    /// Lets manifests share layers with these accounts, by default with none. The dispatcher checks
    /// requests against the same list; this check does not trust the builder.
    #[must_use]
    pub fn sharing_with(self, permissions: &'a AllowedPermissions) -> Self {
        Self {
            permissions,
            ..self
        }
    }

    /// Reports recorded outcomes to an observer.
    #[must_use]
    pub fn observed_by(self, observer: &'a dyn Observer) -> Self {
        Self { observer, ..self }
    }

    /// Publishes from the artifact manifest of a key, if it is due.
    ///
    /// An error that no retry can fix is recorded and announced as a failure before it is returned.
    pub async fn manifest(&self, key: &str) -> Result<Outcome, Error> {
        let manifest = self.read(key).await?;
        self.publish(&manifest).await
    }

    async fn publish(&self, manifest: &PublishableManifest) -> Result<Outcome, Error> {
        let outcome = self.take_steps(manifest).await;
        if let Err(error) = &outcome
            && error.class() != Class::Transient
        {
            self.fail_manifest(manifest, error).await?;
        }
        outcome
    }

    fn now(&self) -> Timestamp {
        self.ports.timer.now().into()
    }

    /// Returns whether there is time to begin something more.
    fn has_time(&self) -> bool {
        self.now().after(RESERVE) < self.deadline
    }
}
