//! The ports of dispatching and publishing.

use std::fmt;
use std::time::Duration;

use accretion_core::delivery::InboxObject;
use accretion_core::digest::{Digest, Sha256};
use accretion_core::keys;
use accretion_core::layer::LayerName;
use accretion_core::manifest::{LayerManifest, Manifest};
use accretion_core::notification::Notification;
use accretion_core::publication::{Claim, LayerState, OrphanCheck, Published};
use accretion_core::request::{Permission, ProjectName, RequestId, RequestRef};
use accretion_core::target::{Compatibility, LayerTarget};
use accretion_core::timestamp::Timestamp;
use accretion_core::tracking::{Failure, Status};

use super::{Clock, PortError, async_trait};

/// A clock that can wait.
#[async_trait]
pub trait Timer: Clock {
    /// Waits, by the time of [`Clock`].
    async fn sleep(&self, duration: Duration);
}

/// The inbox bucket.
#[async_trait]
pub trait Inbox: Send + Sync {
    /// The bucket's name.
    fn bucket(&self) -> &str;

    /// Reads that very version of an object; `None` if it is gone. Of one that is longer than
    /// `limit` bytes, at most one byte more is read, so that its reader can tell.
    async fn read(&self, object: &InboxObject, limit: usize) -> Result<Option<Vec<u8>>, PortError>;

    /// Reads an object as it is now; `None` if there is none. Of one that is longer than `limit`
    /// bytes, at most one byte more is read.
    async fn latest(&self, key: &str, limit: usize) -> Result<Option<Vec<u8>>, PortError>;

    /// The objects whose keys start with a prefix, in their order; of more than `limit`, one more.
    async fn list(&self, prefix: &str, limit: usize) -> Result<Vec<Listed>, PortError>;
}

/// An object of the inbox in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// The key.
    pub key: String,
    /// Its bytes.
    pub size: u64,
}

/// The store of accepted requests, normalised.
#[async_trait]
pub trait Requests: Send + Sync {
    /// Stores a request, unless one is stored under the id.
    async fn store(&self, id: &RequestId, request: String) -> Result<(), PortError>;

    /// The stored request of an id.
    async fn stored(&self, id: &RequestId) -> Result<Option<Vec<u8>>, PortError>;

    /// Stores content that a request names: packed files, a wheel. The key is derived from the
    /// content, and an object of that key stays as it is.
    async fn store_file(&self, key: &str, content: Vec<u8>) -> Result<(), PortError>;

    /// The content that [`Self::store_file`] has stored under a key.
    async fn stored_file(&self, key: &str) -> Result<Option<Vec<u8>>, PortError>;
}

/// The origin of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// An object of the inbox.
    Object(InboxObject),
    /// A message of the request queue, by its id.
    Message(String),
}

/// A request that was accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accepted {
    /// The request.
    pub request: RequestRef,
    /// Its project.
    pub project: ProjectName,
    /// Its origin.
    pub origin: Origin,
    /// The layers that it asks for.
    pub targets: Vec<Compatibility>,
    /// The ARN of the version whose content a rollback asks for.
    pub rolled_back_to: Option<String>,
}

/// A request that is invalid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejected {
    /// The request.
    pub request: RequestRef,
    /// Its project, if the request names one.
    pub project: Option<String>,
    /// Its origin.
    pub origin: Origin,
    /// The report of its problems, for people.
    pub reason: String,
    /// The codes of its problems, each once.
    pub codes: Vec<String>,
}

/// The build of one layer: the input of an execution of the state machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuildOrder {
    /// The request.
    pub request: RequestRef,
    /// Its project.
    pub project: ProjectName,
    /// The target, with the runtimes of its layer.
    pub target: Compatibility,
}

impl BuildOrder {
    /// The name of the execution. It is unique, so that a build starts only once.
    pub fn execution(&self) -> String {
        keys::execution(&self.request.id, self.target.target())
    }
}

/// A target without an outcome.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenTarget {
    /// Its build.
    pub build: BuildOrder,
    /// The time of its last status.
    pub updated_at: Timestamp,
}

/// The result of accepting a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Acceptance {
    /// It is recorded.
    New,
    /// It was recorded before.
    Known,
    /// It was rejected before, and stays so.
    Rejected,
}

/// The statuses of requests and targets. A lower status never replaces a higher one.
#[async_trait]
pub trait Tracking: Send + Sync {
    /// The status of a request; `None` if it is not recorded yet.
    async fn status(&self, id: &RequestId) -> Result<Option<Status>, PortError>;

    /// Records an accepted request with all of its targets, at once, as [`Status::Received`]. Does
    /// nothing if it is recorded.
    async fn accept(&self, accepted: &Accepted) -> Result<Acceptance, PortError>;

    /// Records a rejected request. Does nothing if it is recorded.
    async fn reject(&self, rejected: &Rejected) -> Result<(), PortError>;

    /// Records a failed build that its execution tries again later, as [`Status::Waiting`].
    async fn delay(
        &self,
        build: &BuildOrder,
        failure: &Failure,
        next_attempt_at: Timestamp,
    ) -> Result<(), PortError>;

    /// Targets without an outcome whose last status is older than a point in time.
    async fn open_before(&self, before: Timestamp) -> Result<Vec<OpenTarget>, PortError>;
}

/// The state machine.
#[async_trait]
pub trait Builds: Send + Sync {
    /// Starts a build. Does nothing if it was started before.
    async fn start(&self, order: &BuildOrder) -> Result<(), PortError>;
}

/// The topic of the stack.
#[async_trait]
pub trait Topic: Send + Sync {
    /// Sends a notification.
    async fn send(&self, notification: &Notification) -> Result<(), PortError>;
}

/// An artifact in the bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredArtifact {
    /// The key.
    pub key: String,
    /// The version of the object, where the bucket has versions.
    pub version_id: Option<String>,
    /// SHA-256 of its bytes, as S3 verified it on arrival; `None` if S3 was not asked to.
    pub sha256: Option<Sha256>,
    /// Its bytes.
    pub size: u64,
}

/// The manifests and artifacts of the artifacts bucket.
#[async_trait]
pub trait Manifests: Send + Sync {
    /// The bucket's name.
    fn bucket(&self) -> &str;

    /// The text of an artifact manifest, or of a layer manifest.
    async fn manifest(&self, key: &str) -> Result<Option<Vec<u8>>, PortError>;

    /// The artifact of a key.
    async fn artifact(&self, key: &str) -> Result<Option<StoredArtifact>, PortError>;

    /// Stores an artifact manifest, unless one is stored under the key.
    async fn store(&self, key: &str, manifest: &Manifest) -> Result<(), PortError>;

    /// Stores the manifest of a layer version, in place of an earlier one.
    async fn store_layer_manifest(
        &self,
        layer: &LayerName,
        manifest: &LayerManifest,
    ) -> Result<(), PortError>;
}

/// A version of a layer in Lambda.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LayerVersion {
    /// The ARN of the layer, without the version.
    pub layer_arn: String,
    /// The number.
    pub version: u64,
    /// The ARN of the version.
    pub version_arn: String,
    /// SHA-256 of its content.
    pub code_sha256: Sha256,
    /// The time when Lambda created it.
    pub created_at: Timestamp,
}

/// The result of an attempt to publish.
#[derive(Debug)]
pub enum Attempt {
    /// Lambda has created a version.
    Made(LayerVersion),
    /// Lambda has created none, for this reason.
    Refused(PortError),
    /// Unknown: the answer was lost.
    Unknown(PortError),
}

/// Layer versions in Lambda.
#[async_trait]
pub trait LayerVersions: Send + Sync {
    /// Publishes a version of an artifact, with a single call: it has no idempotency token.
    async fn publish(
        &self,
        layer: &LayerName,
        manifest: &Manifest,
        artifact: &StoredArtifact,
    ) -> Attempt;

    /// A version; `None` if no version has that number, or it was deleted.
    async fn get(&self, layer: &LayerName, version: u64)
    -> Result<Option<LayerVersion>, PortError>;

    /// The numbers of the versions above a number, lowest first.
    async fn above(&self, layer: &LayerName, version: u64) -> Result<Vec<u64>, PortError>;

    /// Grants a permission on a version. Does nothing if it was granted before.
    async fn grant(
        &self,
        layer: &LayerName,
        version: u64,
        permission: &Permission,
    ) -> Result<(), PortError>;
}

/// The latest-version parameters.
#[async_trait]
pub trait LatestVersions: Send + Sync {
    /// Writes the ARN of a version to the parameter of a project's layer for a target.
    async fn set(
        &self,
        project: &ProjectName,
        target: LayerTarget,
        version_arn: &str,
    ) -> Result<(), PortError>;
}

/// A notification that is not sent yet, recorded together with its cause.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutboxEntry {
    /// The project.
    pub project: ProjectName,
    /// The layer's target.
    pub target: LayerTarget,
    /// The notification.
    pub notification: Notification,
}

impl OutboxEntry {
    /// The layer.
    pub fn layer(&self) -> LayerName {
        LayerName::new(&self.project, self.target)
    }
}

/// A change of a layer's item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LayerChange {
    /// The revision that it was decided on.
    pub revision: u64,
    /// The current version from now on.
    pub published: Published,
    /// Of a new version, which is recorded with it: the claim that it was published under. It must
    /// still exist, and ends. `None` if no version is new; then no claim may exist.
    pub claim: Option<EndedClaim>,
}

impl LayerChange {
    /// Returns whether the version is new.
    pub fn is_new_version(&self) -> bool {
        self.claim.is_some()
    }
}

/// A claim that ends with a new version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndedClaim {
    /// Its owner.
    pub owner: String,
    /// The orphan check that follows.
    pub check: OrphanCheck,
}

/// A claim that ends without a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClaimRelease {
    /// True if Lambda may have a version of the claim: sets [`LayerState::may_have_orphan`] until a
    /// new version is [recorded](Layers::record).
    pub may_leave_orphan: bool,
    /// The orphan check that follows.
    pub check: OrphanCheck,
}

/// The result of an orphan check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OrphanCheckResult {
    /// The revision of the layer that was checked.
    pub revision: u64,
    /// The highest number of a version that was seen.
    pub version: u64,
    /// The time of the next check; `None` if none follows.
    pub next_at: Option<Timestamp>,
}

/// The outcome of a target, recorded in one transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TargetOutcome {
    /// The request.
    pub request: RequestRef,
    /// The target's status. Nothing is recorded unless it is higher than the status before.
    pub status: Status,
    /// The key of the target's artifact manifest; `None` if there is none.
    pub manifest_key: Option<String>,
    /// The digest of the target's layer; `None` if it is not known.
    pub digest: Option<Digest>,
    /// The change of the layer's item; `None` leaves it.
    pub change: Option<LayerChange>,
    /// The notification that follows.
    pub outbox_entry: OutboxEntry,
}

/// The result of recording an outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recorded {
    /// All of it is recorded.
    Done,
    /// Nothing is: the layer's item has changed.
    RevisionConflict,
    /// Nothing is: the target's status is as high already.
    AlreadyRecorded,
}

/// Work that an invocation may have left undone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pending {
    /// A layer: its claim, or the orphan check that follows one.
    Layer(LayerName),
    /// An outbox entry.
    OutboxEntry {
        /// The layer.
        layer: LayerName,
        /// The notification's `EventId`.
        event_id: String,
    },
}

/// The table of layers, which decides who publishes.
#[async_trait]
pub trait Layers: Send + Sync {
    /// The state of a layer, read consistently.
    async fn state(&self, layer: &LayerName) -> Result<LayerState, PortError>;

    /// Claims a layer of a revision; `false` after a revision conflict.
    async fn claim(
        &self,
        layer: &LayerName,
        revision: u64,
        claim: &Claim,
    ) -> Result<bool, PortError>;

    /// Ends a claim without a commit. Does nothing if the claim does not exist any more.
    async fn release_claim(
        &self,
        layer: &LayerName,
        owner: &str,
        release: ClaimRelease,
    ) -> Result<(), PortError>;

    /// Returns whether a version of a layer is recorded.
    async fn is_recorded(&self, layer: &LayerName, version: u64) -> Result<bool, PortError>;

    /// Records the result of an orphan check. Does nothing after a revision conflict: a later check
    /// follows.
    async fn record_check(
        &self,
        layer: &LayerName,
        result: OrphanCheckResult,
    ) -> Result<(), PortError>;

    /// Records the outcome of a target, all or nothing.
    async fn record(&self, outcome: &TargetOutcome) -> Result<Recorded, PortError>;

    /// An outbox entry; `None` if it was deleted.
    async fn outbox_entry(
        &self,
        layer: &LayerName,
        event_id: &str,
    ) -> Result<Option<OutboxEntry>, PortError>;

    /// Deletes an outbox entry, whose notification was sent.
    async fn delete_outbox_entry(&self, layer: &LayerName, event_id: &str)
    -> Result<(), PortError>;

    /// Work that has been pending since before a point in time.
    async fn pending_before(&self, before: Timestamp) -> Result<Vec<Pending>, PortError>;
}

/// A step of a request or target, reported once it is recorded.
#[derive(Debug, Clone, Copy)]
pub enum Milestone<'a> {
    /// A request was received, for the first time or not.
    Received(&'a RequestRef),
    /// A request is recorded as accepted.
    Accepted(&'a Accepted),
    /// A request is recorded as rejected.
    Rejected {
        /// The request.
        rejected: &'a Rejected,
        /// The code of the first of its problems.
        code: &'static str,
    },
    /// A request was recorded before.
    Repeated(&'a RequestRef),
    /// The outcome of a target is recorded.
    TargetEnded {
        /// The outcome.
        outcome: &'a TargetOutcome,
        /// The code of a failure.
        code: Option<&'static str>,
    },
}

/// An observer of milestones, for metrics.
pub trait Observer: fmt::Debug + Send + Sync {
    /// Receives a milestone. Must not block.
    fn on(&self, milestone: Milestone<'_>);
}

/// Ignores all milestones.
impl Observer for () {
    fn on(&self, _milestone: Milestone<'_>) {}
}
