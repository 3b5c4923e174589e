//! What the pipeline needs of the world besides building.

use std::fmt;
use std::time::Duration;

use accretion_core::delivery::InboxObject;
use accretion_core::digest::{Digest, Sha256};
use accretion_core::keys;
use accretion_core::layer::LayerName;
use accretion_core::manifest::{LayerManifest, Manifest};
use accretion_core::notification::Notification;
use accretion_core::publication::{Claim, LayerState, Published, Review};
use accretion_core::request::{Permission, ProjectName, RequestId, RequestRef};
use accretion_core::target::{Compatibility, LayerTarget};
use accretion_core::timestamp::Timestamp;
use accretion_core::tracking::Status;

use super::{Clock, PortError};

/// Waits, by the same time that [`Clock`] tells.
pub trait Timer: Clock {
    /// Waits for so long.
    fn sleep(&self, duration: Duration) -> impl Future<Output = ()> + Send;
}

/// Reads what is dropped into the inbox.
pub trait Inbox: Send + Sync {
    /// The bucket's name.
    fn bucket(&self) -> &str;

    /// Reads that very version of an object; `None` if it is gone. Of one that is longer than
    /// `limit` bytes, at most one byte more is read, so that its reader can tell.
    fn read(
        &self,
        object: &InboxObject,
        limit: usize,
    ) -> impl Future<Output = Result<Option<Vec<u8>>, PortError>> + Send;

    /// Reads an object as it is now; `None` if there is none. Of one that is longer than `limit`
    /// bytes, at most one byte more is read.
    fn latest(
        &self,
        key: &str,
        limit: usize,
    ) -> impl Future<Output = Result<Option<Vec<u8>>, PortError>> + Send;

    /// The objects whose keys start with a prefix, in their order; of more than `limit`, one more.
    fn list(
        &self,
        prefix: &str,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<Listed>, PortError>> + Send;
}

/// An object of the inbox, as a list has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// The key.
    pub key: String,
    /// Its bytes.
    pub size: u64,
}

/// Keeps accepted requests, normalised.
pub trait Requests: Send + Sync {
    /// Keeps a request. What is kept already stays as it is.
    fn keep(
        &self,
        id: &RequestId,
        request: String,
    ) -> impl Future<Output = Result<(), PortError>> + Send;

    /// The request that is kept under an id; `None` if none is.
    fn kept(
        &self,
        id: &RequestId,
    ) -> impl Future<Output = Result<Option<Vec<u8>>, PortError>> + Send;

    /// Keeps what a request names: packed files, a wheel. The key is named after the content, and what
    /// is kept already stays as it is.
    fn keep_file(
        &self,
        key: &str,
        content: Vec<u8>,
    ) -> impl Future<Output = Result<(), PortError>> + Send;

    /// What [`Self::keep_file`] has kept under a key; `None` if nothing is.
    fn kept_file(
        &self,
        key: &str,
    ) -> impl Future<Output = Result<Option<Vec<u8>>, PortError>> + Send;
}

/// Where a request came from.
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
    /// Where it came from.
    pub origin: Origin,
    /// What it wants layers for.
    pub targets: Vec<Compatibility>,
    /// The ARN of the version whose content it wants again, if it is a rollback.
    pub rolled_back_to: Option<String>,
}

/// A request that can't be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejected {
    /// The request.
    pub request: RequestRef,
    /// Its project, where the request says so much.
    pub project: Option<String>,
    /// Where it came from.
    pub origin: Origin,
    /// What is wrong with it, as people read it.
    pub reason: String,
    /// The codes of its problems, each once.
    pub codes: Vec<String>,
}

/// A target that has not come to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenTarget {
    /// The request.
    pub request: RequestRef,
    /// The project.
    pub project: ProjectName,
    /// The target, with the runtimes of its layer.
    pub target: Compatibility,
    /// When it was last heard of.
    pub updated_at: Timestamp,
}

/// What came of accepting a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Acceptance {
    /// It is recorded.
    New,
    /// It was recorded before.
    Known,
    /// It was rejected before, and stays so.
    Rejected,
}

/// Knows how far each request has come. Statuses are only ever raised.
pub trait Tracking: Send + Sync {
    /// The status of a request; `None` if it is not known yet.
    fn status(
        &self,
        id: &RequestId,
    ) -> impl Future<Output = Result<Option<Status>, PortError>> + Send;

    /// Records an accepted request with all of its targets, at once, as [`Status::Received`]. Does
    /// nothing if it is known.
    fn accept(
        &self,
        accepted: &Accepted,
    ) -> impl Future<Output = Result<Acceptance, PortError>> + Send;

    /// Records a rejected request. Does nothing if it is known.
    fn reject(&self, rejected: &Rejected) -> impl Future<Output = Result<(), PortError>> + Send;

    /// Targets that have not come to their end and were last heard of before a point in time.
    fn open_before(
        &self,
        before: Timestamp,
    ) -> impl Future<Output = Result<Vec<OpenTarget>, PortError>> + Send;
}

/// One build: what an execution of the state machine is given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuildOrder {
    /// The request.
    pub request: RequestRef,
    /// Its project.
    pub project: ProjectName,
    /// What to build for.
    pub target: Compatibility,
}

impl BuildOrder {
    /// The name of the execution: a build is started once, however often it is ordered.
    pub fn execution(&self) -> String {
        keys::execution(&self.request.id, self.target.target())
    }
}

/// Starts builds.
pub trait Builds: Send + Sync {
    /// Starts a build. Does nothing if it was started before.
    fn start(&self, order: &BuildOrder) -> impl Future<Output = Result<(), PortError>> + Send;
}

/// Tells the world.
pub trait Topic: Send + Sync {
    /// Sends a notification.
    fn send(
        &self,
        notification: &Notification,
    ) -> impl Future<Output = Result<(), PortError>> + Send;
}

/// An artifact as it is in the bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredArtifact {
    /// The key.
    pub key: String,
    /// The version of the object, where the bucket has versions.
    pub version_id: Option<String>,
    /// SHA-256 of its bytes, as S3 checked it on arrival; `None` if it was not asked to.
    pub sha256: Option<Sha256>,
    /// Its bytes.
    pub size: u64,
}

/// The manifests and artifacts of the artifacts bucket.
pub trait Manifests: Send + Sync {
    /// The bucket's name.
    fn bucket(&self) -> &str;

    /// An artifact manifest's text; `None` if there is none.
    fn manifest(
        &self,
        key: &str,
    ) -> impl Future<Output = Result<Option<Vec<u8>>, PortError>> + Send;

    /// What is stored as an artifact; `None` if nothing is.
    fn artifact(
        &self,
        key: &str,
    ) -> impl Future<Output = Result<Option<StoredArtifact>, PortError>> + Send;

    /// Keeps an artifact manifest under a key. What is there already stays as it is.
    fn keep(
        &self,
        key: &str,
        manifest: &Manifest,
    ) -> impl Future<Output = Result<(), PortError>> + Send;

    /// Writes the manifest of a layer version, over the one that may be there.
    fn describe(
        &self,
        layer: &LayerName,
        manifest: &LayerManifest,
    ) -> impl Future<Output = Result<(), PortError>> + Send;
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
    /// When it was made.
    pub created_at: Timestamp,
}

/// What came of an attempt to publish.
#[derive(Debug)]
pub enum Attempt {
    /// There is a new version.
    Made(LayerVersion),
    /// There is none, for this reason.
    Refused(PortError),
    /// Nobody can say: the answer was lost.
    Unknown(PortError),
}

/// Layer versions in Lambda.
pub trait LayerVersions: Send + Sync {
    /// Makes a layer version of an artifact. The call has no idempotency token, so it is made once.
    fn publish(
        &self,
        layer: &LayerName,
        manifest: &Manifest,
        artifact: &StoredArtifact,
    ) -> impl Future<Output = Attempt> + Send;

    /// A version; `None` if there is none of that number, or it was deleted.
    fn get(
        &self,
        layer: &LayerName,
        version: u64,
    ) -> impl Future<Output = Result<Option<LayerVersion>, PortError>> + Send;

    /// The numbers of the versions above a number, lowest first.
    fn above(
        &self,
        layer: &LayerName,
        version: u64,
    ) -> impl Future<Output = Result<Vec<u64>, PortError>> + Send;

    /// Lets somebody use a version, who may be allowed to already.
    fn grant(
        &self,
        layer: &LayerName,
        version: u64,
        permission: &Permission,
    ) -> impl Future<Output = Result<(), PortError>> + Send;
}

/// Names of the latest layer versions, for whoever deploys functions.
pub trait Pointers: Send + Sync {
    /// Lets the pointer of a project's layer for a target point to a version's ARN.
    fn point(
        &self,
        project: &ProjectName,
        target: LayerTarget,
        version_arn: &str,
    ) -> impl Future<Output = Result<(), PortError>> + Send;
}

/// Something about a layer that is to be told, recorded together with what it tells of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    /// The project.
    pub project: ProjectName,
    /// The layer's target.
    pub target: LayerTarget,
    /// What is to be told.
    pub notification: Notification,
}

impl Mark {
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
    /// What is published from now on.
    pub published: Published,
    /// Of a new version, which is recorded with it: the claim that it was published under, which
    /// has to be still there and ends. `None` if there is no new version and must be no claim.
    pub claim: Option<EndedClaim>,
}

impl LayerChange {
    /// Whether there is a version that was not there before.
    pub fn is_new_version(&self) -> bool {
        self.claim.is_some()
    }
}

/// A claim that ends with what it was for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndedClaim {
    /// Whose it was.
    pub owner: String,
    /// When the layer is to be reviewed.
    pub review: Review,
}

/// How a claim is given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Release {
    /// Whether Lambda may have a version of the claim: [`LayerState::has_stray`] is so from now on,
    /// until a new version is [settled](Layers::settle).
    pub leaves_version: bool,
    /// When the layer is to be reviewed.
    pub review: Review,
}

/// What came of a review.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reviewed {
    /// The revision of the layer that was reviewed.
    pub revision: u64,
    /// The highest number of a version that was seen.
    pub version: u64,
    /// When the layer is to be reviewed again; `None` for not at all.
    pub again_at: Option<Timestamp>,
}

/// What comes of a target: recorded in one transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settlement {
    /// The request.
    pub request: RequestRef,
    /// What happens to the target's status: raised, or nothing of this is recorded.
    pub status: Status,
    /// The key of the target's artifact manifest; `None` if there is none.
    pub manifest_key: Option<String>,
    /// The digest of the target's layer; `None` if it is not known.
    pub digest: Option<Digest>,
    /// What becomes of the layer's item; `None` leaves it.
    pub change: Option<LayerChange>,
    /// What is to be told afterwards.
    pub mark: Mark,
}

/// What came of recording.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recorded {
    /// All of it is recorded.
    Done,
    /// Nothing is: the layer's item is not what it was.
    Lost,
    /// Nothing is: the target's status is as high already.
    Known,
}

/// A thing that was left undone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pending {
    /// A layer: its claim, or the review that follows one.
    Layer(LayerName),
    /// A mark that is not cleared.
    Mark {
        /// The layer.
        layer: LayerName,
        /// The notification's `EventId`.
        event_id: String,
    },
}

/// Decides who publishes what.
pub trait Layers: Send + Sync {
    /// The state of a layer, read consistently.
    fn state(
        &self,
        layer: &LayerName,
    ) -> impl Future<Output = Result<LayerState, PortError>> + Send;

    /// Claims a layer whose state has this revision; `false` if it has not any more.
    fn claim(
        &self,
        layer: &LayerName,
        revision: u64,
        claim: &Claim,
    ) -> impl Future<Output = Result<bool, PortError>> + Send;

    /// Gives a claim up. Nothing happens if it is not there any more.
    fn release(
        &self,
        layer: &LayerName,
        owner: &str,
        release: Release,
    ) -> impl Future<Output = Result<(), PortError>> + Send;

    /// Whether a version of a layer is recorded.
    fn is_recorded(
        &self,
        layer: &LayerName,
        version: u64,
    ) -> impl Future<Output = Result<bool, PortError>> + Send;

    /// Records that a layer was reviewed. Nothing happens if its revision is another one by now: it
    /// will be reviewed again then.
    fn review(
        &self,
        layer: &LayerName,
        reviewed: Reviewed,
    ) -> impl Future<Output = Result<(), PortError>> + Send;

    /// Records what comes of a target, all or nothing.
    fn settle(
        &self,
        settlement: &Settlement,
    ) -> impl Future<Output = Result<Recorded, PortError>> + Send;

    /// A mark; `None` if it is cleared.
    fn mark(
        &self,
        layer: &LayerName,
        event_id: &str,
    ) -> impl Future<Output = Result<Option<Mark>, PortError>> + Send;

    /// Clears a mark: it is told.
    fn clear(
        &self,
        layer: &LayerName,
        event_id: &str,
    ) -> impl Future<Output = Result<(), PortError>> + Send;

    /// What has been left undone since before a point in time.
    fn pending_before(
        &self,
        before: Timestamp,
    ) -> impl Future<Output = Result<Vec<Pending>, PortError>> + Send;
}

/// How far requests and targets have come, told when it is recorded.
#[derive(Debug, Clone, Copy)]
pub enum Milestone<'a> {
    /// A request has come, for the first time or not.
    Received(&'a RequestRef),
    /// It is recorded as accepted.
    Accepted(&'a Accepted),
    /// It is recorded as rejected.
    Rejected {
        /// The request.
        rejected: &'a Rejected,
        /// The code of the first of its problems.
        code: &'static str,
    },
    /// It was recorded before.
    Repeated(&'a RequestRef),
    /// What has come of a target is recorded.
    Settled {
        /// What has come of it.
        settlement: &'a Settlement,
        /// The code of what failed, if it did.
        code: Option<&'static str>,
    },
}

/// Is told of milestones, for whoever counts.
pub trait Observer: fmt::Debug + Send + Sync {
    /// Is told of a milestone. Must not block.
    fn on(&self, milestone: Milestone<'_>);
}

/// Nobody counts.
impl Observer for () {
    fn on(&self, _milestone: Milestone<'_>) {}
}
