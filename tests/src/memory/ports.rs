//! The ports of one invocation. Every call is a point at which the world goes on: what becomes of
//! the call is decided outside, and only then does it take effect.

use std::future::{pending, poll_fn};
use std::io::Sink;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::Duration;

use accretion_core::delivery::InboxObject;
use accretion_core::digest::{Digest, Sha256, Written};
use accretion_core::layer::LayerName;
use accretion_core::manifest::{LayerManifest, Manifest};
use accretion_core::notification::Notification;
use accretion_core::publication::{Claim, LayerState};
use accretion_core::request::{Permission, ProjectName, RequestId};
use accretion_core::target::{LayerTarget, Target};
use accretion_core::timestamp::Timestamp;
use accretion_core::tracking::{Failure, Status};
use accretion_python::lock::{Lock, LockedFile};
use accretion_python::wheel::WheelFilename;
use accretion_service::ports::{
    Acceptance, Accepted, Artifacts, Attempt, BuildOrder, Builds, ClaimRelease, Clock, Description,
    Event, Inbox, LatestVersions, LayerVersion, LayerVersions, Layers, Listed, Manifests,
    OpenTarget, OrphanCheckResult, OutboxEntry, Pending, PortError, Progress, Recorded, Rejected,
    Requests, Resolution, Resolver, StoredArtifact, StoredWheel, TargetOutcome, Timer, Topic,
    Tracking, Wheels, async_trait,
};

use super::cloud::{BUCKET, Cloud, CloudError, INBOX};
use super::contents::Content;

/// A call of a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Call {
    ReadInbox,
    StoreRequest,
    ReadStored,
    ReadFile,
    ListFiles,
    StoreFile,
    ReadStoredFile,
    ReadStatus,
    Accept,
    Reject,
    Delay,
    ListOpen,
    StartBuild,
    Send,
    ReadManifest,
    HeadArtifact,
    StoreLayerManifest,
    Publish,
    GetVersion,
    ReadLatest,
    ListUses,
    DeleteVersion,
    NoteDeleted,
    ListVersions,
    Grant,
    SetLatestVersion,
    ReadState,
    Claim,
    ReleaseClaim,
    ReadRecord,
    RecordCheck,
    Record,
    ReadOutboxEntry,
    DeleteOutboxEntry,
    ListPending,
    Resolve,
    FindArtifact,
    PutArtifact,
    DescribeArtifact,
    PutLock,
    PutManifest,
    ReceiveLetters,
    DeleteLetter,
    ShowLetter,
    SendAgain,
    Sleep,
}

impl Call {
    /// Returns whether it changes anything.
    pub fn has_effect(self) -> bool {
        match self {
            Self::ReadInbox
            | Self::ReadStored
            | Self::ReadFile
            | Self::ListFiles
            | Self::ReadStoredFile
            | Self::ReadStatus
            | Self::ListOpen
            | Self::ReadManifest
            | Self::HeadArtifact
            | Self::GetVersion
            | Self::ReadLatest
            | Self::ListUses
            | Self::ListVersions
            | Self::ReadState
            | Self::ReadRecord
            | Self::ReadOutboxEntry
            | Self::ListPending
            | Self::Resolve
            | Self::FindArtifact
            | Self::Sleep => false,
            Self::StoreRequest
            | Self::StoreFile
            | Self::Accept
            | Self::Reject
            | Self::Delay
            | Self::StartBuild
            | Self::Send
            | Self::StoreLayerManifest
            | Self::DeleteVersion
            | Self::NoteDeleted
            | Self::Publish
            | Self::Grant
            | Self::SetLatestVersion
            | Self::Claim
            | Self::ReleaseClaim
            | Self::RecordCheck
            | Self::Record
            | Self::DeleteOutboxEntry
            | Self::PutArtifact
            | Self::DescribeArtifact
            | Self::PutLock
            | Self::PutManifest
            | Self::ReceiveLetters
            | Self::DeleteLetter
            | Self::ShowLetter
            | Self::SendAgain => true,
        }
    }
}

/// The verdict on a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It takes effect and answers.
    Done,
    /// It is refused: throttled.
    Refused,
    /// It takes no effect, and no answer comes.
    Lost,
    /// It takes effect, and no answer comes.
    AnswerLost,
    /// No answer comes, and it takes effect later.
    Late,
    /// The invocation dies before it.
    DiesBefore,
    /// The invocation dies after it has taken effect.
    DiesAfter,
    /// The invocation dies, and the call takes effect later.
    DiesLate,
}

impl Verdict {
    /// Returns whether the invocation is no more afterwards.
    pub fn is_death(self) -> bool {
        matches!(self, Self::DiesBefore | Self::DiesAfter | Self::DiesLate)
    }
}

/// Tells one invocation from others.
pub type InvocationId = u32;

/// Tells one call from others.
pub type CallId = u32;

/// A call that waits for what becomes of it.
#[derive(Debug, Clone)]
pub struct Waiting {
    pub id: CallId,
    pub invocation: InvocationId,
    pub call: Call,
    /// The end of a sleep.
    pub until: Option<Timestamp>,
}

/// The effect of a call on the cloud.
type Effect = Box<dyn FnOnce(&mut Cloud, Timestamp) + Send>;

/// The state that the invocations and the world share.
pub struct Shared {
    pub now: Timestamp,
    pub cloud: Cloud,
    pub waiting: Vec<Waiting>,
    pub late: Vec<(CallId, Effect)>,
    /// True if all calls take effect at once, and nobody decides upon them.
    pub is_free: bool,
    verdicts: Vec<(CallId, Verdict)>,
    calls: CallId,
}

impl Shared {
    pub fn new(now: Timestamp) -> Self {
        Self {
            now,
            cloud: Cloud::default(),
            waiting: Vec::new(),
            late: Vec::new(),
            is_free: false,
            verdicts: Vec::new(),
            calls: 0,
        }
    }

    /// Decides upon a call that waits.
    pub fn decide(&mut self, id: CallId, verdict: Verdict) {
        self.waiting.retain(|waiting| waiting.id != id);
        self.verdicts.push((id, verdict));
    }

    /// Forgets what an invocation still waits for: it is no more.
    pub fn forget(&mut self, invocation: InvocationId) {
        self.waiting
            .retain(|waiting| waiting.invocation != invocation);
    }

    /// Lets a late call take effect.
    pub fn land(&mut self, id: CallId) {
        let at = self.late.iter().position(|(late, _)| *late == id);
        let (_, effect) = self.late.remove(at.expect("the call is late"));
        effect(&mut self.cloud, self.now);
    }
}

/// The ports of one invocation.
#[derive(Clone)]
pub struct Invocation {
    shared: Arc<Mutex<Shared>>,
    id: InvocationId,
    /// The milliseconds by which its clock is ahead.
    skew: i64,
}

impl Invocation {
    pub fn new(shared: Arc<Mutex<Shared>>, id: InvocationId, skew: i64) -> Self {
        Self { shared, id, skew }
    }

    pub fn shared(&self) -> MutexGuard<'_, Shared> {
        lock(&self.shared)
    }

    async fn verdict(&self, call: Call, until: Option<Timestamp>) -> (CallId, Verdict) {
        let id = {
            let mut shared = self.shared();
            shared.calls += 1;
            let (id, invocation) = (shared.calls, self.id);
            if shared.is_free {
                shared.now = shared.now.max(until.unwrap_or(shared.now));
                return (id, Verdict::Done);
            }
            shared.waiting.push(Waiting {
                id,
                invocation,
                call,
                until,
            });
            id
        };
        let verdict = poll_fn(|_| {
            let mut shared = self.shared();
            match shared.verdicts.iter().position(|(it, _)| *it == id) {
                Some(at) => Poll::Ready(shared.verdicts.swap_remove(at).1),
                None => Poll::Pending,
            }
        });
        (id, verdict.await)
    }

    /// Calls: waits for the verdict, and lets the call take effect accordingly.
    pub async fn call<R>(
        &self,
        call: Call,
        effect: impl FnOnce(&mut Cloud, Timestamp) -> R + Send + 'static,
    ) -> Result<R, CloudError> {
        let (id, verdict) = self.verdict(call, None).await;
        let result = self.take_effect(id, verdict, effect);
        if verdict.is_death() {
            pending::<()>().await;
        }
        result
    }

    fn take_effect<R>(
        &self,
        id: CallId,
        verdict: Verdict,
        effect: impl FnOnce(&mut Cloud, Timestamp) -> R + Send + 'static,
    ) -> Result<R, CloudError> {
        let shared = &mut *self.shared();
        match verdict {
            Verdict::Done => return Ok(effect(&mut shared.cloud, shared.now)),
            Verdict::Refused => return Err(CloudError::Throttled),
            Verdict::AnswerLost | Verdict::DiesAfter => {
                effect(&mut shared.cloud, shared.now);
            }
            Verdict::Late | Verdict::DiesLate => {
                let late = move |cloud: &mut Cloud, now| {
                    effect(cloud, now);
                };
                shared.late.push((id, Box::new(late)));
            }
            Verdict::Lost | Verdict::DiesBefore => {}
        }
        Err(CloudError::TimedOut)
    }

    /// [`Self::call`] for a port.
    async fn port<R>(
        &self,
        call: Call,
        effect: impl FnOnce(&mut Cloud, Timestamp) -> R + Send + 'static,
    ) -> Result<R, PortError> {
        self.call(call, effect).await.map_err(PortError::new)
    }
}

pub fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Clock for Invocation {
    fn now(&self) -> jiff::Timestamp {
        let milliseconds = self.shared().now.milliseconds() + self.skew;
        jiff::Timestamp::from_millisecond(milliseconds).expect("nothing lasts that long")
    }
}

#[async_trait]
impl Timer for Invocation {
    async fn sleep(&self, duration: Duration) {
        let until = self.shared().now.after(duration);
        let (_, verdict) = self.verdict(Call::Sleep, Some(until)).await;
        if verdict.is_death() {
            pending::<()>().await;
        }
    }
}

#[async_trait]
impl Inbox for Invocation {
    fn bucket(&self) -> &'static str {
        INBOX
    }

    async fn read(&self, object: &InboxObject, limit: usize) -> Result<Option<Vec<u8>>, PortError> {
        let object = object.clone();
        let read = move |cloud: &mut Cloud, _| cloud.read_inbox(&object, limit);
        self.port(Call::ReadInbox, read).await
    }

    async fn latest(&self, key: &str, limit: usize) -> Result<Option<Vec<u8>>, PortError> {
        let key = key.to_owned();
        let read = move |cloud: &mut Cloud, _| cloud.latest(&key, limit);
        self.port(Call::ReadFile, read).await
    }

    async fn list(&self, prefix: &str, limit: usize) -> Result<Vec<Listed>, PortError> {
        let prefix = prefix.to_owned();
        let list = move |cloud: &mut Cloud, _| cloud.list(&prefix, limit);
        self.port(Call::ListFiles, list).await
    }
}

#[async_trait]
impl Requests for Invocation {
    async fn store(&self, id: &RequestId, request: String) -> Result<(), PortError> {
        let id = id.clone();
        let store = move |cloud: &mut Cloud, _| cloud.store(id, request);
        self.port(Call::StoreRequest, store).await
    }

    async fn stored(&self, id: &RequestId) -> Result<Option<Vec<u8>>, PortError> {
        let id = id.clone();
        let read = move |cloud: &mut Cloud, _| cloud.stored.get(&id).map(|it| it.clone().into());
        self.port(Call::ReadStored, read).await
    }

    async fn store_file(&self, key: &str, content: Vec<u8>) -> Result<(), PortError> {
        let key = key.to_owned();
        let store = move |cloud: &mut Cloud, _| {
            cloud.files.entry(key).or_insert(content);
        };
        self.port(Call::StoreFile, store).await
    }

    async fn stored_file(&self, key: &str) -> Result<Option<Vec<u8>>, PortError> {
        let key = key.to_owned();
        let read = move |cloud: &mut Cloud, _| cloud.files.get(&key).cloned();
        self.port(Call::ReadStoredFile, read).await
    }
}

#[async_trait]
impl Tracking for Invocation {
    async fn status(&self, id: &RequestId) -> Result<Option<Status>, PortError> {
        let id = id.clone();
        let status = move |cloud: &mut Cloud, _| cloud.requests.get(&id).copied();
        self.port(Call::ReadStatus, status).await
    }

    async fn accept(&self, accepted: &Accepted) -> Result<Acceptance, PortError> {
        let accepted = accepted.clone();
        let accept = move |cloud: &mut Cloud, now| cloud.accept(&accepted, now);
        self.port(Call::Accept, accept).await
    }

    async fn reject(&self, rejected: &Rejected) -> Result<(), PortError> {
        let rejected = rejected.clone();
        let reject = move |cloud: &mut Cloud, _| cloud.reject(&rejected);
        self.port(Call::Reject, reject).await
    }

    async fn delay(
        &self,
        build: &BuildOrder,
        failure: &Failure,
        _next_attempt_at: Timestamp,
    ) -> Result<(), PortError> {
        let (build, code) = (build.clone(), failure.code.clone());
        let delay = move |cloud: &mut Cloud, now| cloud.delay(&build, code, now);
        self.port(Call::Delay, delay).await
    }

    async fn open_before(&self, before: Timestamp) -> Result<Vec<OpenTarget>, PortError> {
        let open = move |cloud: &mut Cloud, _| cloud.open_before(before);
        self.port(Call::ListOpen, open).await
    }
}

#[async_trait]
impl Builds for Invocation {
    async fn start(&self, order: &BuildOrder) -> Result<(), PortError> {
        let order = order.clone();
        let start = move |cloud: &mut Cloud, _| cloud.start(&order);
        self.port(Call::StartBuild, start).await.map(|_| ())
    }
}

#[async_trait]
impl Topic for Invocation {
    async fn send(&self, notification: &Notification) -> Result<(), PortError> {
        let notification = notification.clone();
        let send = move |cloud: &mut Cloud, _| cloud.sent.push(notification);
        self.port(Call::Send, send).await
    }
}

#[async_trait]
impl Manifests for Invocation {
    fn bucket(&self) -> &'static str {
        BUCKET
    }

    async fn manifest(&self, key: &str) -> Result<Option<Vec<u8>>, PortError> {
        let key = key.to_owned();
        let read = move |cloud: &mut Cloud, _| cloud.read_manifest(&key);
        self.port(Call::ReadManifest, read).await
    }

    async fn artifact(&self, key: &str) -> Result<Option<StoredArtifact>, PortError> {
        let key = key.to_owned();
        let head = move |cloud: &mut Cloud, _| cloud.artifacts.get(&key).cloned();
        self.port(Call::HeadArtifact, head).await
    }

    async fn store(&self, key: &str, manifest: &Manifest) -> Result<(), PortError> {
        let (key, manifest) = (key.to_owned(), manifest.clone());
        let store = move |cloud: &mut Cloud, _| {
            let stored = cloud.put_manifest(&manifest);
            assert_eq!(stored, key, "the key follows from the content");
        };
        self.port(Call::PutManifest, store).await
    }

    async fn store_layer_manifest(
        &self,
        layer: &LayerName,
        manifest: &LayerManifest,
    ) -> Result<(), PortError> {
        let (layer, manifest) = (layer.clone(), manifest.clone());
        let describe = move |cloud: &mut Cloud, _| cloud.describe(layer, manifest);
        self.port(Call::StoreLayerManifest, describe).await
    }
}

#[async_trait]
impl LayerVersions for Invocation {
    async fn publish(
        &self,
        layer: &LayerName,
        _manifest: &Manifest,
        artifact: &StoredArtifact,
    ) -> Attempt {
        let (layer, artifact) = (layer.clone(), artifact.clone());
        let publish = move |cloud: &mut Cloud, now| cloud.publish(&layer, &artifact, now);
        match self.call(Call::Publish, publish).await {
            Ok(Ok(version)) => Attempt::Made(version),
            Err(error @ CloudError::TimedOut) => Attempt::Unknown(PortError::new(error)),
            Ok(Err(error)) | Err(error) => Attempt::Refused(PortError::new(error)),
        }
    }

    async fn get(
        &self,
        layer: &LayerName,
        version: u64,
    ) -> Result<Option<LayerVersion>, PortError> {
        let layer = layer.clone();
        let get = move |cloud: &mut Cloud, _| {
            let stored = cloud.version(&layer, version);
            stored.map(|stored| stored.version.clone())
        };
        self.port(Call::GetVersion, get).await
    }

    async fn above(&self, layer: &LayerName, version: u64) -> Result<Vec<u64>, PortError> {
        let layer = layer.clone();
        let above = move |cloud: &mut Cloud, _| cloud.versions_above(&layer, version);
        self.port(Call::ListVersions, above).await
    }

    async fn grant(
        &self,
        layer: &LayerName,
        version: u64,
        permission: &Permission,
    ) -> Result<(), PortError> {
        let (layer, permission) = (layer.clone(), permission.clone());
        let grant = move |cloud: &mut Cloud, _| cloud.grant(&layer, version, &permission);
        let granted = self.call(Call::Grant, grant).await;
        granted.flatten().map_err(PortError::new)
    }
}

#[async_trait]
impl LatestVersions for Invocation {
    async fn set(
        &self,
        project: &ProjectName,
        target: LayerTarget,
        version_arn: &str,
    ) -> Result<(), PortError> {
        let (project, version_arn) = (project.clone(), version_arn.to_owned());
        let set = move |cloud: &mut Cloud, now| {
            cloud.set_latest_version(&project, target, &version_arn, now);
        };
        self.port(Call::SetLatestVersion, set).await
    }
}

#[async_trait]
impl Layers for Invocation {
    async fn state(&self, layer: &LayerName) -> Result<LayerState, PortError> {
        let layer = layer.clone();
        let state = move |cloud: &mut Cloud, _| cloud.state(&layer);
        self.port(Call::ReadState, state).await
    }

    async fn claim(
        &self,
        layer: &LayerName,
        revision: u64,
        claim: &Claim,
    ) -> Result<bool, PortError> {
        let (layer, claim) = (layer.clone(), claim.clone());
        let effect = move |cloud: &mut Cloud, _| cloud.claim(&layer, revision, &claim);
        self.port(Call::Claim, effect).await
    }

    async fn release_claim(
        &self,
        layer: &LayerName,
        owner: &str,
        release: ClaimRelease,
    ) -> Result<(), PortError> {
        let (layer, owner) = (layer.clone(), owner.to_owned());
        let release = move |cloud: &mut Cloud, _| cloud.release_claim(&layer, &owner, release);
        self.port(Call::ReleaseClaim, release).await
    }

    async fn is_recorded(&self, layer: &LayerName, version: u64) -> Result<bool, PortError> {
        let layer = layer.clone();
        let read = move |cloud: &mut Cloud, _| cloud.is_recorded(&layer, version);
        self.port(Call::ReadRecord, read).await
    }

    async fn record_check(
        &self,
        layer: &LayerName,
        result: OrphanCheckResult,
    ) -> Result<(), PortError> {
        let layer = layer.clone();
        let record = move |cloud: &mut Cloud, _| cloud.record_check(&layer, result);
        self.port(Call::RecordCheck, record).await
    }

    async fn record(&self, outcome: &TargetOutcome) -> Result<Recorded, PortError> {
        let outcome = outcome.clone();
        let record = move |cloud: &mut Cloud, now| cloud.record(&outcome, now);
        self.port(Call::Record, record).await
    }

    async fn outbox_entry(
        &self,
        layer: &LayerName,
        event_id: &str,
    ) -> Result<Option<OutboxEntry>, PortError> {
        let (layer, event_id) = (layer.clone(), event_id.to_owned());
        let read = move |cloud: &mut Cloud, _| cloud.outbox_entry(&layer, &event_id);
        self.port(Call::ReadOutboxEntry, read).await
    }

    async fn delete_outbox_entry(
        &self,
        layer: &LayerName,
        event_id: &str,
    ) -> Result<(), PortError> {
        let (layer, event_id) = (layer.clone(), event_id.to_owned());
        let delete = move |cloud: &mut Cloud, _| cloud.delete_outbox_entry(&layer, &event_id);
        self.port(Call::DeleteOutboxEntry, delete).await
    }

    async fn pending_before(&self, before: Timestamp) -> Result<Vec<Pending>, PortError> {
        let pending = move |cloud: &mut Cloud, _| cloud.pending_before(before);
        self.port(Call::ListPending, pending).await
    }
}

#[async_trait]
impl Resolver for Invocation {
    async fn resolve(&self, resolution: Resolution<'_>) -> Result<Lock, PortError> {
        let requirement = &resolution.requirements.requirements[0];
        let requirement = requirement.specifier.to_string();
        let content = requirement.trim_start_matches("attrs==").parse();
        let content = content.expect("requests ask for a content");
        let resolve = move |_: &mut Cloud, _| Content::of(content).lock();
        self.port(Call::Resolve, resolve).await
    }
}

#[async_trait]
impl Wheels for Invocation {
    async fn get(
        &self,
        filename: &WheelFilename,
        _file: &LockedFile,
    ) -> Result<Arc<StoredWheel>, PortError> {
        Ok(Content::wheel(filename.as_str()).expect("locks name wheels that there are"))
    }

    async fn admit(
        &self,
        _filename: &WheelFilename,
        _sha256: Sha256,
        _wheel: Vec<u8>,
    ) -> Result<Arc<StoredWheel>, PortError> {
        unreachable!("requests name no wheels")
    }

    async fn build(
        &self,
        _filename: &str,
        _file: &LockedFile,
        _target: Target,
    ) -> Result<Arc<StoredWheel>, PortError> {
        unreachable!("locks name wheels alone")
    }
}

/// As the adapter does it: the artifact, then its description, then the request's manifest. An
/// artifact's bytes are not kept: its hash is enough.
impl Artifacts for Invocation {
    type Staged = Sink;

    async fn find(&self, layer: &LayerName, digest: Digest) -> Result<Option<Manifest>, PortError> {
        let (project, _) = layer.parts();
        let find = move |cloud: &mut Cloud, _| cloud.find_artifact(&project, digest);
        self.port(Call::FindArtifact, find).await
    }

    fn stage(&self, _layer: &LayerName) -> Result<Sink, PortError> {
        Ok(std::io::sink())
    }

    async fn commit(
        &self,
        layer: &LayerName,
        _staged: Sink,
        written: Written,
        description: Description<'_>,
    ) -> Result<(), PortError> {
        let manifest = description.manifest;
        let key = manifest.artifact_s3_key.clone();
        let put = move |cloud: &mut Cloud, _| cloud.put_artifact(key, written);
        let put = self.call(Call::PutArtifact, put).await;
        put.flatten().map_err(PortError::new)?;
        let described = manifest.clone();
        let describe = move |cloud: &mut Cloud, _| cloud.describe_artifact(described);
        self.port(Call::DescribeArtifact, describe).await?;
        Artifacts::keep(self, layer, description).await
    }

    async fn keep(
        &self,
        _layer: &LayerName,
        Description { manifest, lock }: Description<'_>,
    ) -> Result<(), PortError> {
        let manifest = manifest.clone();
        let key = manifest.lock_s3_key.clone().expect("it is of a request");
        let lock = lock.to_owned();
        let put = move |cloud: &mut Cloud, _| _ = cloud.locks.entry(key).or_insert(lock);
        self.port(Call::PutLock, put).await?;
        let put = move |cloud: &mut Cloud, _| _ = cloud.put_manifest(&manifest);
        self.port(Call::PutManifest, put).await
    }
}

impl Progress for Invocation {
    fn on(&self, _event: Event) {}
}
