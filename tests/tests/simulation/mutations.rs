//! Deliberate mistakes: ports that do not keep what the protocol relies on, or do its steps in
//! another order. The simulation has to catch every one of them.

use std::collections::BTreeMap;
use std::io::Sink;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use accretion_core::delivery::InboxObject;
use accretion_core::digest::{Digest, Sha256, Written};
use accretion_core::keys;
use accretion_core::layer::LayerName;
use accretion_core::manifest::{LayerManifest, Manifest};
use accretion_core::notification::{Event, Notification};
use accretion_core::publication::{Claim, LayerState, OrphanCheck};
use accretion_core::request::{Permission, ProjectName, RequestId, RequestRef};
use accretion_core::target::{LayerTarget, Target};
use accretion_core::timestamp::Timestamp;
use accretion_core::tracking::{Failure, Status};
use accretion_python::lock::{Lock, LockedFile};
use accretion_python::wheel::WheelFilename;
use accretion_service::ports::{
    Acceptance, Accepted, Artifacts, Attempt, BuildOrder, Builds, ClaimRelease, Clock, Description,
    Inbox, LatestVersions, LayerVersion, LayerVersions, Layers, Listed, Manifests, OpenTarget,
    OrphanCheckResult, OutboxEntry, Pending, PortError, Progress, Recorded, Rejected, Requests,
    Resolution, Resolver, StoredArtifact, StoredWheel, TargetOutcome, Timer, Topic, Tracking,
    Wheels, async_trait,
};

use integration_tests::memory::cloud::Cloud;
use integration_tests::memory::ports::{Call, Invocation};

/// A deliberate mistake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mutation {
    /// A claim is made whatever the layer's state has become.
    ClaimsUnconditional,
    /// Every claim counts as expired.
    LeaseIgnored,
    /// A lease is over before its owner is.
    LeaseTooShort,
    /// All claims have the same owner.
    OwnersAlike,
    /// A claim is released whoever owns it.
    ReleasesUnconditional,
    /// An outcome is recorded whatever the layer's state has become.
    CommitsUnconditional,
    /// Versions that were published and not committed are never adopted.
    NoAdoption,
    /// Any version of the content is adopted, not only one above the last committed one.
    AnyVersionAdopted,
    /// A call without an answer counts as refused.
    UnknownAsRefused,
    /// A call without an answer is repeated.
    PublishRepeated,
    /// A version is published after its commit.
    CommittedBeforePublished,
    /// Requests have no order.
    OrderIgnored,
    /// An unchanged layer stays with the older request.
    OrderNotAdvanced,
    /// A deleted version counts as existing.
    DeletionsIgnored,
    /// Permissions are only given to new versions.
    GrantsOnlyAtFirst,
    /// Permissions are given after the commit.
    GrantedAfterCommit,
    /// The layer manifest is written after the commit.
    LayerManifestAfterCommit,
    /// The parameter is written before the commit, and not afterwards.
    ParameterBeforeCommit,
    /// The state is not read again after the parameter was written.
    ParameterNotReadAgain,
    /// An outcome leaves no outbox entry.
    NoOutboxEntry,
    /// An outbox entry is deleted before its notification is sent.
    DeletedBeforeSent,
    /// The target's status is recorded apart from the layer.
    StatusApart,
    /// A status replaces a higher one.
    StatusesUnranked,
    /// A request that is known is recorded again.
    AcceptedAgain,
    /// A rejected request is recorded before it is announced.
    RejectedBeforeAnnounced,
    /// The reconciler never runs.
    NoReconciler,
    /// Orphan checks run while calls may still take effect.
    CheckedTooEarly,
    /// Orphan checks never run.
    NeverChecked,
    /// A layer whose claim was taken over is checked only once.
    NoCheckWindow,
    /// Orphan checks consider every version recorded.
    RecordsIgnored,
    /// Orphan checks report versions of active publishers.
    CheckedMeanwhile,
    /// A builder writes the manifest before the artifact.
    ManifestBeforeArtifact,
    /// A builder reuses an artifact that was never finished.
    UnfinishedArtifactReused,
    /// A dead letter comes back as a new request.
    IdentityForgotten,
    /// A dead letter is deleted before it is sent again.
    LettersDeletedFirst,
    /// A rollback has the place in the order that its version had.
    RollbackBackdated,
    /// A rollback that is recorded is published by the first delivery alone.
    RollbackNotRepeated,
    /// A rollback publishes the content of the current version, not of its own.
    RollbackOfOtherContent,
    /// A rollback does not name its cause.
    RollbackWithoutCause,
    /// A rollback forgets who may use its version.
    RollbackGrantsForgotten,
    /// Old versions are deleted whatever uses them.
    UsesIgnored,
    /// The use of functions is not read again before a deletion.
    UsesNotReadAgain,
    /// The recorded latest version counts as an old one.
    RecordedIgnored,
    /// The version in the latest-version parameter counts as an old one.
    ParameterIgnored,
    /// A version that is being published counts as an old one.
    UnrecordedDeleted,
}

impl Mutation {
    pub(crate) const ALL: [Self; 45] = [
        Self::ClaimsUnconditional,
        Self::LeaseIgnored,
        Self::LeaseTooShort,
        Self::OwnersAlike,
        Self::ReleasesUnconditional,
        Self::CommitsUnconditional,
        Self::NoAdoption,
        Self::AnyVersionAdopted,
        Self::UnknownAsRefused,
        Self::PublishRepeated,
        Self::CommittedBeforePublished,
        Self::OrderIgnored,
        Self::OrderNotAdvanced,
        Self::DeletionsIgnored,
        Self::GrantsOnlyAtFirst,
        Self::GrantedAfterCommit,
        Self::LayerManifestAfterCommit,
        Self::ParameterBeforeCommit,
        Self::ParameterNotReadAgain,
        Self::NoOutboxEntry,
        Self::DeletedBeforeSent,
        Self::StatusApart,
        Self::StatusesUnranked,
        Self::AcceptedAgain,
        Self::RejectedBeforeAnnounced,
        Self::NoReconciler,
        Self::CheckedTooEarly,
        Self::NeverChecked,
        Self::NoCheckWindow,
        Self::RecordsIgnored,
        Self::CheckedMeanwhile,
        Self::ManifestBeforeArtifact,
        Self::UnfinishedArtifactReused,
        Self::IdentityForgotten,
        Self::LettersDeletedFirst,
        Self::RollbackBackdated,
        Self::RollbackNotRepeated,
        Self::RollbackOfOtherContent,
        Self::RollbackWithoutCause,
        Self::RollbackGrantsForgotten,
        Self::UsesIgnored,
        Self::UsesNotReadAgain,
        Self::RecordedIgnored,
        Self::ParameterIgnored,
        Self::UnrecordedDeleted,
    ];
}

impl Mutation {
    /// The first seed that caught it when this was written, if it is a late one: a search that begins
    /// there is short.
    pub(crate) fn likely_seed(self) -> u64 {
        match self {
            Self::OwnersAlike | Self::ReleasesUnconditional => 1_380,
            Self::CommitsUnconditional => 418,
            Self::ParameterBeforeCommit => 549,
            Self::ParameterNotReadAgain => 2_961,
            Self::CheckedTooEarly => 6_720,
            Self::CheckedMeanwhile => 4_462,
            Self::IdentityForgotten => 437,
            Self::RecordedIgnored => 1_147,
            Self::ParameterIgnored => 16_357,
            _ => 0,
        }
    }

    /// The text in the violation that shows this mistake.
    pub(crate) fn symptom(self) -> &'static str {
        match self {
            Self::ClaimsUnconditional
            | Self::LeaseIgnored
            | Self::LeaseTooShort
            | Self::OwnersAlike
            | Self::ReleasesUnconditional
            | Self::NoAdoption
            | Self::UnknownAsRefused
            | Self::PublishRepeated => "is an orphan",
            Self::AnyVersionAdopted | Self::CommittedBeforePublished => "is no newer one",
            Self::CommitsUnconditional | Self::OrderIgnored | Self::OrderNotAdvanced => {
                "is current for"
            }
            Self::DeletionsIgnored => "was deleted",
            Self::GrantsOnlyAtFirst | Self::GrantedAfterCommit => "lacks",
            Self::LayerManifestAfterCommit => "is described as",
            Self::ParameterBeforeCommit | Self::ParameterNotReadAgain | Self::CheckedTooEarly => {
                "parameter"
            }
            Self::NoOutboxEntry | Self::DeletedBeforeSent | Self::RejectedBeforeAnnounced => {
                "was not announced"
            }
            Self::StatusApart | Self::StatusesUnranked | Self::AcceptedAgain => "was Some(",
            Self::NoReconciler => "does not come to rest",
            Self::NeverChecked | Self::NoCheckWindow | Self::RecordsIgnored => "no alarm",
            Self::CheckedMeanwhile => "a false alarm",
            Self::ManifestBeforeArtifact | Self::UnfinishedArtifactReused => "ArtifactMissing",
            Self::IdentityForgotten => "was never sent",
            Self::LettersDeletedFirst | Self::RollbackNotRepeated => "BuildLost",
            Self::RollbackBackdated => "is lost",
            Self::RollbackOfOtherContent => "has other content",
            Self::RollbackWithoutCause => "is announced without its cause",
            Self::RollbackGrantsForgotten => "grants what no request",
            Self::UsesIgnored | Self::UsesNotReadAgain => "is in use and is deleted",
            Self::RecordedIgnored => "is current and is deleted",
            Self::ParameterIgnored => "is in the parameter and is deleted",
            Self::UnrecordedDeleted => "is not recorded and is deleted",
        }
    }
}

/// The ports of one invocation, with a mistake.
pub(crate) struct Mutant {
    inner: Invocation,
    mutation: Mutation,
    postponed: Mutex<Postponed>,
}

/// The calls that a mutant has postponed.
#[derive(Default)]
struct Postponed {
    published: Option<(LayerName, Manifest, StoredArtifact)>,
    grants: Vec<(LayerName, u64, Permission)>,
    described: Option<(LayerName, LayerManifest)>,
    rejection: Option<Notification>,
    /// The last value of the parameter.
    written: Option<String>,
    /// The revisions of layers when the reconciler first read them.
    revisions: Option<BTreeMap<LayerName, u64>>,
    /// True if versions were listed since.
    is_listed: bool,
    /// True if the request was recorded before.
    is_known: bool,
}

const OWNER: &str = "publisher";

impl Mutant {
    pub(crate) fn new(inner: Invocation, mutation: Mutation) -> Self {
        Self {
            inner,
            mutation,
            postponed: Mutex::default(),
        }
    }

    fn is(&self, mutation: Mutation) -> bool {
        self.mutation == mutation
    }

    fn postponed(&self) -> MutexGuard<'_, Postponed> {
        let postponed = self.postponed.lock();
        postponed.unwrap_or_else(PoisonError::into_inner)
    }

    fn misjudge(&self, check: &mut OrphanCheck) {
        match self.mutation {
            Mutation::CheckedTooEarly => check.at = self.now().into(),
            Mutation::NoCheckWindow => check.window_until = None,
            _ => {}
        }
    }

    async fn port<R>(
        &self,
        call: Call,
        effect: impl FnOnce(&mut Cloud, Timestamp) -> R + Send + 'static,
    ) -> Result<R, PortError> {
        let result = self.inner.call(call, effect).await;
        result.map_err(PortError::new)
    }

    /// Makes the calls that were postponed until after the commit.
    async fn catch_up(&self) -> Result<(), PortError> {
        let (published, grants, described) = {
            let mut postponed = self.postponed();
            let grants = std::mem::take(&mut postponed.grants);
            (
                postponed.published.take(),
                grants,
                postponed.described.take(),
            )
        };
        if let Some((layer, manifest, artifact)) = published {
            let attempt = self.inner.publish(&layer, &manifest, &artifact).await;
            if let Attempt::Refused(error) | Attempt::Unknown(error) = attempt {
                return Err(error);
            }
        }
        for (layer, version, permission) in grants {
            self.inner.grant(&layer, version, &permission).await?;
        }
        if let Some((layer, manifest)) = described {
            self.inner.store_layer_manifest(&layer, &manifest).await?;
        }
        Ok(())
    }
}

impl Clock for Mutant {
    fn now(&self) -> jiff::Timestamp {
        self.inner.now()
    }
}

#[async_trait]
impl Timer for Mutant {
    async fn sleep(&self, duration: Duration) {
        self.inner.sleep(duration).await;
    }
}

#[async_trait]
impl Inbox for Mutant {
    fn bucket(&self) -> &str {
        Inbox::bucket(&self.inner)
    }

    async fn read(&self, object: &InboxObject, limit: usize) -> Result<Option<Vec<u8>>, PortError> {
        self.inner.read(object, limit).await
    }

    async fn latest(&self, key: &str, limit: usize) -> Result<Option<Vec<u8>>, PortError> {
        self.inner.latest(key, limit).await
    }

    async fn list(&self, prefix: &str, limit: usize) -> Result<Vec<Listed>, PortError> {
        self.inner.list(prefix, limit).await
    }
}

#[async_trait]
impl Requests for Mutant {
    async fn store(&self, id: &RequestId, request: String) -> Result<(), PortError> {
        Requests::store(&self.inner, id, request).await
    }

    async fn stored(&self, id: &RequestId) -> Result<Option<Vec<u8>>, PortError> {
        self.inner.stored(id).await
    }

    async fn store_file(&self, key: &str, content: Vec<u8>) -> Result<(), PortError> {
        self.inner.store_file(key, content).await
    }

    async fn stored_file(&self, key: &str) -> Result<Option<Vec<u8>>, PortError> {
        self.inner.stored_file(key).await
    }
}

#[async_trait]
impl Tracking for Mutant {
    async fn status(&self, id: &RequestId) -> Result<Option<Status>, PortError> {
        self.inner.status(id).await
    }

    async fn accept(&self, accepted: &Accepted) -> Result<Acceptance, PortError> {
        if self.is(Mutation::AcceptedAgain) {
            let id = accepted.request.id.clone();
            let forget = move |cloud: &mut Cloud, _| cloud.requests.remove(&id);
            self.port(Call::Accept, forget).await?;
        }
        let acceptance = self.inner.accept(accepted).await?;
        self.postponed().is_known = acceptance == Acceptance::Known;
        Ok(acceptance)
    }

    async fn reject(&self, rejected: &Rejected) -> Result<(), PortError> {
        self.inner.reject(rejected).await?;
        let rejection = self.postponed().rejection.take();
        match rejection {
            Some(rejection) => self.inner.send(&rejection).await,
            None => Ok(()),
        }
    }

    async fn delay(
        &self,
        build: &BuildOrder,
        failure: &Failure,
        next_attempt_at: Timestamp,
    ) -> Result<(), PortError> {
        self.inner.delay(build, failure, next_attempt_at).await
    }

    async fn open_before(&self, before: Timestamp) -> Result<Vec<OpenTarget>, PortError> {
        self.inner.open_before(before).await
    }
}

#[async_trait]
impl Builds for Mutant {
    async fn start(&self, order: &BuildOrder) -> Result<(), PortError> {
        self.inner.start(order).await
    }
}

#[async_trait]
impl Topic for Mutant {
    async fn send(&self, notification: &Notification) -> Result<(), PortError> {
        let is_rejection = notification.event == Event::RequestRejected;
        if is_rejection && self.is(Mutation::RejectedBeforeAnnounced) {
            self.postponed().rejection = Some(notification.clone());
            return Ok(());
        }
        if !is_rejection && self.is(Mutation::DeletedBeforeSent) {
            let event_id = notification.event_id.clone();
            let clear = move |cloud: &mut Cloud, _| {
                for items in cloud.layers.values_mut() {
                    items.outbox.remove(&event_id);
                }
            };
            self.port(Call::DeleteOutboxEntry, clear).await?;
        }
        self.inner.send(notification).await
    }
}

#[async_trait]
impl Manifests for Mutant {
    fn bucket(&self) -> &str {
        Manifests::bucket(&self.inner)
    }

    async fn manifest(&self, key: &str) -> Result<Option<Vec<u8>>, PortError> {
        self.inner.manifest(key).await
    }

    async fn artifact(&self, key: &str) -> Result<Option<StoredArtifact>, PortError> {
        self.inner.artifact(key).await
    }

    async fn store(&self, key: &str, manifest: &Manifest) -> Result<(), PortError> {
        let mut manifest = manifest.clone();
        match self.mutation {
            Mutation::RollbackBackdated => {
                let request = manifest.request.as_mut().expect("it is of a request");
                request.received_at = request.received_at.before(Duration::from_hours(1));
            }
            Mutation::RollbackNotRepeated if self.postponed().is_known => return Ok(()),
            Mutation::RollbackOfOtherContent => {
                let compatibility = manifest.compatibility().expect("it is of a layer");
                let project = manifest.project_name.parse().expect("it is a name");
                let layer = LayerName::new(&project, compatibility.target());
                if let Some(current) = self.inner.state(&layer).await?.published
                    && let Some(text) = self.inner.manifest(&current.manifest_key).await?
                {
                    let document = Manifest::from_json(&text).expect("it is a manifest");
                    manifest = Manifest {
                        request: manifest.request,
                        rolled_back_to: manifest.rolled_back_to,
                        ..document
                    };
                }
            }
            Mutation::RollbackWithoutCause => manifest.rolled_back_to = None,
            Mutation::RollbackGrantsForgotten => manifest.publish.permissions.clear(),
            _ => {}
        }
        Manifests::store(&self.inner, key, &manifest).await
    }

    async fn store_layer_manifest(
        &self,
        layer: &LayerName,
        manifest: &LayerManifest,
    ) -> Result<(), PortError> {
        if self.is(Mutation::LayerManifestAfterCommit) {
            self.postponed().described = Some((layer.clone(), manifest.clone()));
            return Ok(());
        }
        self.inner.store_layer_manifest(layer, manifest).await
    }
}

#[async_trait]
impl LayerVersions for Mutant {
    async fn publish(
        &self,
        layer: &LayerName,
        manifest: &Manifest,
        artifact: &StoredArtifact,
    ) -> Attempt {
        if self.is(Mutation::CommittedBeforePublished) {
            let latest = {
                let shared = self.inner.shared();
                let in_lambda = shared.cloud.lambda.get(layer);
                in_lambda.map_or(0, |it| it.latest)
            };
            let postponed = (layer.clone(), manifest.clone(), artifact.clone());
            self.postponed().published = Some(postponed);
            let layer_arn = format!("arn:aws:lambda:eu-west-1:123456789012:layer:{layer}");
            let version = latest + 1;
            return Attempt::Made(LayerVersion {
                version_arn: format!("{layer_arn}:{version}"),
                layer_arn,
                version,
                code_sha256: manifest.artifact_sha256,
                created_at: self.now().into(),
            });
        }
        let attempt = self.inner.publish(layer, manifest, artifact).await;
        match attempt {
            Attempt::Unknown(error) if self.is(Mutation::UnknownAsRefused) => {
                Attempt::Refused(error)
            }
            Attempt::Unknown(_) if self.is(Mutation::PublishRepeated) => {
                self.inner.publish(layer, manifest, artifact).await
            }
            attempt => attempt,
        }
    }

    async fn get(
        &self,
        layer: &LayerName,
        version: u64,
    ) -> Result<Option<LayerVersion>, PortError> {
        let found = LayerVersions::get(&self.inner, layer, version).await?;
        if found.is_some() || !self.is(Mutation::DeletionsIgnored) {
            return Ok(found);
        }
        let layer_arn = format!("arn:aws:lambda:eu-west-1:123456789012:layer:{layer}");
        Ok(Some(LayerVersion {
            version_arn: format!("{layer_arn}:{version}"),
            layer_arn,
            version,
            code_sha256: Sha256::of(b""),
            created_at: self.now().into(),
        }))
    }

    async fn above(&self, layer: &LayerName, version: u64) -> Result<Vec<u64>, PortError> {
        self.postponed().is_listed = true;
        match self.mutation {
            Mutation::NoAdoption => Ok(Vec::new()),
            Mutation::AnyVersionAdopted => self.inner.above(layer, 0).await,
            _ => self.inner.above(layer, version).await,
        }
    }

    async fn grant(
        &self,
        layer: &LayerName,
        version: u64,
        permission: &Permission,
    ) -> Result<(), PortError> {
        let is_postponed = match self.mutation {
            Mutation::GrantedAfterCommit => true,
            Mutation::CommittedBeforePublished => self.postponed().published.is_some(),
            Mutation::DeletionsIgnored => {
                let shared = self.inner.shared();
                if shared.cloud.version(layer, version).is_none() {
                    return Ok(());
                }
                false
            }
            Mutation::GrantsOnlyAtFirst => {
                let shared = self.inner.shared();
                if shared.cloud.state(layer).version() == version {
                    return Ok(());
                }
                false
            }
            _ => false,
        };
        if is_postponed {
            let grant = (layer.clone(), version, permission.clone());
            self.postponed().grants.push(grant);
            return Ok(());
        }
        self.inner.grant(layer, version, permission).await
    }
}

#[async_trait]
impl LatestVersions for Mutant {
    async fn set(
        &self,
        project: &ProjectName,
        target: LayerTarget,
        version_arn: &str,
    ) -> Result<(), PortError> {
        if self.is(Mutation::ParameterBeforeCommit) {
            return Ok(());
        }
        self.inner.set(project, target, version_arn).await?;
        self.postponed().written = Some(version_arn.to_owned());
        Ok(())
    }
}

#[async_trait]
impl Layers for Mutant {
    async fn state(&self, layer: &LayerName) -> Result<LayerState, PortError> {
        let mut state = self.inner.state(layer).await?;
        if self.is(Mutation::CheckedMeanwhile) {
            let Postponed {
                revisions,
                is_listed,
                ..
            } = &mut *self.postponed();
            if let Some(revisions) = revisions {
                let first = *revisions.entry(layer.clone()).or_insert(state.revision);
                if std::mem::take(is_listed) {
                    state.revision = first;
                    revisions.remove(layer);
                }
            }
        }
        let written = self.postponed().written.take();
        if let Some(published) = &mut state.published {
            match (self.mutation, written) {
                (Mutation::OrderIgnored, _) => {
                    published.request = RequestRef {
                        received_at: Timestamp::from_milliseconds(0).unwrap(),
                        id: RequestId::of_message(""),
                    };
                }
                (Mutation::ParameterNotReadAgain, Some(written)) => {
                    published.version_arn = written;
                }
                _ => {}
            }
        }
        if let Some(claim) = &mut state.claim
            && self.is(Mutation::LeaseIgnored)
        {
            claim.lease_until = Timestamp::from_milliseconds(0).unwrap();
        }
        Ok(state)
    }

    async fn claim(
        &self,
        layer: &LayerName,
        revision: u64,
        claim: &Claim,
    ) -> Result<bool, PortError> {
        let mut claim = claim.clone();
        match self.mutation {
            Mutation::ClaimsUnconditional => {
                let layer = layer.clone();
                let effect = move |cloud: &mut Cloud, _| {
                    let items = cloud.layers.entry(layer.clone()).or_default();
                    items.state.revision = revision;
                    cloud.claim(&layer, revision, &claim)
                };
                return self.port(Call::Claim, effect).await;
            }
            Mutation::OwnersAlike => OWNER.clone_into(&mut claim.owner),
            Mutation::LeaseTooShort => {
                claim.lease_until = Timestamp::from(self.now()).after(Duration::from_secs(10));
            }
            _ => {}
        }
        self.inner.claim(layer, revision, &claim).await
    }

    async fn release_claim(
        &self,
        layer: &LayerName,
        owner: &str,
        mut release: ClaimRelease,
    ) -> Result<(), PortError> {
        self.misjudge(&mut release.check);
        match self.mutation {
            Mutation::ReleasesUnconditional => {
                let layer = layer.clone();
                let effect = move |cloud: &mut Cloud, _| {
                    let claim = cloud.state(&layer).claim;
                    let owner = claim.map(|it| it.owner).unwrap_or_default();
                    cloud.release_claim(&layer, &owner, release);
                };
                self.port(Call::ReleaseClaim, effect).await
            }
            Mutation::OwnersAlike => self.inner.release_claim(layer, OWNER, release).await,
            _ => self.inner.release_claim(layer, owner, release).await,
        }
    }

    async fn is_recorded(&self, layer: &LayerName, version: u64) -> Result<bool, PortError> {
        Ok(self.inner.is_recorded(layer, version).await? || self.is(Mutation::RecordsIgnored))
    }

    async fn record_check(
        &self,
        layer: &LayerName,
        result: OrphanCheckResult,
    ) -> Result<(), PortError> {
        self.inner.record_check(layer, result).await
    }

    async fn record(&self, outcome: &TargetOutcome) -> Result<Recorded, PortError> {
        let mut outcome = outcome.clone();
        let layer = outcome.outbox_entry.layer();
        if let Some(change) = &mut outcome.change
            && let Some(claim) = &mut change.claim
        {
            self.misjudge(&mut claim.check);
        }
        match self.mutation {
            Mutation::OwnersAlike => {
                if let Some(change) = &mut outcome.change
                    && let Some(claim) = &mut change.claim
                {
                    OWNER.clone_into(&mut claim.owner);
                }
            }
            Mutation::CommitsUnconditional => {
                let effect = move |cloud: &mut Cloud, now| {
                    let state = cloud.state(&layer);
                    if let Some(change) = &mut outcome.change {
                        change.revision = state.revision;
                        if let (Some(ended), Some(claim)) = (&mut change.claim, state.claim) {
                            ended.owner = claim.owner;
                        }
                    }
                    cloud.record(&outcome, now)
                };
                return self.port(Call::Record, effect).await;
            }
            Mutation::OrderNotAdvanced => {
                let effect = move |cloud: &mut Cloud, now| {
                    if let (Some(change), Some(published)) =
                        (&mut outcome.change, cloud.state(&layer).published)
                        && !change.is_new_version()
                    {
                        change.published.request = published.request;
                    }
                    cloud.record(&outcome, now)
                };
                return self.port(Call::Record, effect).await;
            }
            Mutation::ParameterBeforeCommit => {
                if let Some(change) = &outcome.change {
                    let OutboxEntry {
                        project, target, ..
                    } = &outcome.outbox_entry;
                    let version_arn = &change.published.version_arn;
                    self.inner.set(project, *target, version_arn).await?;
                }
            }
            Mutation::NoOutboxEntry => {
                let effect = move |cloud: &mut Cloud, now| {
                    let recorded = cloud.record(&outcome, now);
                    cloud.delete_outbox_entry(&layer, &outcome.outbox_entry.notification.event_id);
                    recorded
                };
                return self.port(Call::Record, effect).await;
            }
            Mutation::StatusApart => {
                let id = (outcome.request.id.clone(), outcome.outbox_entry.target);
                let apart = outcome.clone();
                let effect = move |cloud: &mut Cloud, now| {
                    let before = cloud.targets.get(&id).cloned();
                    let recorded = cloud.record(&outcome, now);
                    if let Some(before) = before {
                        cloud.targets.insert(id, before);
                    }
                    recorded
                };
                let recorded = self.port(Call::Record, effect).await?;
                if recorded == Recorded::Done {
                    let raise = move |cloud: &mut Cloud, now| cloud.target(&apart, now);
                    self.port(Call::Record, raise).await?;
                }
                return Ok(recorded);
            }
            _ => {}
        }
        let recorded = self.inner.record(&outcome).await?;
        if recorded == Recorded::Done {
            self.catch_up().await?;
        }
        Ok(recorded)
    }

    async fn outbox_entry(
        &self,
        layer: &LayerName,
        event_id: &str,
    ) -> Result<Option<OutboxEntry>, PortError> {
        self.inner.outbox_entry(layer, event_id).await
    }

    async fn delete_outbox_entry(
        &self,
        layer: &LayerName,
        event_id: &str,
    ) -> Result<(), PortError> {
        self.inner.delete_outbox_entry(layer, event_id).await
    }

    async fn pending_before(&self, before: Timestamp) -> Result<Vec<Pending>, PortError> {
        if self.is(Mutation::NeverChecked) {
            let forget = move |cloud: &mut Cloud, _| {
                for items in cloud.layers.values_mut() {
                    items.state.check_at = None;
                }
            };
            self.port(Call::ListPending, forget).await?;
        }
        self.postponed().revisions = Some(BTreeMap::new());
        self.inner.pending_before(before).await
    }
}

#[async_trait]
impl Resolver for Mutant {
    async fn resolve(&self, resolution: Resolution<'_>) -> Result<Lock, PortError> {
        self.inner.resolve(resolution).await
    }
}

#[async_trait]
impl Wheels for Mutant {
    async fn get(
        &self,
        filename: &WheelFilename,
        file: &LockedFile,
    ) -> Result<Arc<StoredWheel>, PortError> {
        Wheels::get(&self.inner, filename, file).await
    }

    async fn admit(
        &self,
        filename: &WheelFilename,
        sha256: Sha256,
        wheel: Vec<u8>,
    ) -> Result<Arc<StoredWheel>, PortError> {
        self.inner.admit(filename, sha256, wheel).await
    }

    async fn build(
        &self,
        filename: &str,
        file: &LockedFile,
        target: Target,
    ) -> Result<Arc<StoredWheel>, PortError> {
        Wheels::build(&self.inner, filename, file, target).await
    }
}

impl Artifacts for Mutant {
    type Staged = Sink;

    async fn find(&self, layer: &LayerName, digest: Digest) -> Result<Option<Manifest>, PortError> {
        if self.is(Mutation::UnfinishedArtifactReused) {
            let key = keys::artifact(&layer.parts().0, digest);
            let find = move |cloud: &mut Cloud, _| cloud.descriptions.get(&key).cloned();
            return self.port(Call::FindArtifact, find).await;
        }
        self.inner.find(layer, digest).await
    }

    fn stage(&self, layer: &LayerName) -> Result<Sink, PortError> {
        self.inner.stage(layer)
    }

    async fn commit(
        &self,
        layer: &LayerName,
        staged: Sink,
        written: Written,
        description: Description<'_>,
    ) -> Result<(), PortError> {
        match self.mutation {
            Mutation::ManifestBeforeArtifact => {
                Artifacts::keep(&self.inner, layer, description).await?;
            }
            // A description that comes first promises what may never come.
            Mutation::UnfinishedArtifactReused => {
                let manifest = description.manifest.clone();
                let describe = move |cloud: &mut Cloud, _| cloud.describe_artifact(manifest);
                self.port(Call::DescribeArtifact, describe).await?;
            }
            _ => {}
        }
        self.inner.commit(layer, staged, written, description).await
    }

    async fn keep(&self, layer: &LayerName, description: Description<'_>) -> Result<(), PortError> {
        Artifacts::keep(&self.inner, layer, description).await
    }
}

impl Progress for Mutant {
    fn on(&self, _event: accretion_service::ports::Event) {}
}
