//! Deliberate mistakes: ports that do not keep what the protocol relies on, or do its steps in
//! another order. The simulation has to catch every one of them.

use std::collections::BTreeMap;
use std::io::Sink;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use accretion_core::delivery::InboxObject;
use accretion_core::digest::Digest;
use accretion_core::digest::Written;
use accretion_core::keys;
use accretion_core::layer::LayerName;
use accretion_core::manifest::{LayerManifest, Manifest};
use accretion_core::notification::{Event, Notification};
use accretion_core::publication::{Claim, LayerState, Review};
use accretion_core::request::{Permission, ProjectName, RequestId, RequestRef};
use accretion_core::target::{LayerTarget, Target};
use accretion_core::timestamp::Timestamp;
use accretion_core::tracking::Status;
use accretion_python::lock::{Lock, LockedFile};
use accretion_python::wheel::WheelFilename;
use accretion_service::ports::{
    Acceptance, Accepted, Artifacts, Attempt, BuildOrder, Builds, Clock, Description, Inbox,
    LayerVersion, LayerVersions, Layers, Listed, Manifests, Mark, OpenTarget, Pending, Pointers,
    PortError, Progress, Recorded, Rejected, Release, Requests, Resolution, Resolver, Reviewed,
    Settlement, StoredArtifact, StoredWheel, Timer, Topic, Tracking, Wheels,
};

use integration_tests::memory::cloud::Cloud;
use integration_tests::memory::ports::{Call, Invocation};

/// A deliberate mistake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mutation {
    /// A claim is made whatever the layer's state has become.
    ClaimsUnconditional,
    /// Every claim is taken for dead.
    LeaseIgnored,
    /// A lease is over before its owner is.
    LeaseTooShort,
    /// All claims have the same owner.
    OwnersAlike,
    /// A claim is given up whoever has it.
    ReleasesUnconditional,
    /// A settlement is recorded whatever the layer's state has become.
    CommitsUnconditional,
    /// Nobody looks for versions that were published and not committed.
    NoReconciliation,
    /// Any version of the content is adopted, not only one above the last committed one.
    AnyVersionAdopted,
    /// An unknown outcome is taken for a failure.
    UnknownTakenForRefused,
    /// A version is asked for again if no answer comes.
    PublishRepeated,
    /// What is committed is published afterwards.
    CommittedBeforePublished,
    /// Requests have no order.
    OrderIgnored,
    /// An unchanged layer stays with the older request.
    OrderNotAdvanced,
    /// A version that was deleted is taken to be there.
    DeletionsIgnored,
    /// Permissions are only given to new versions.
    GrantsOnlyAtFirst,
    /// Permissions are given after the commit.
    GrantedAfterCommit,
    /// The layer manifest is written after the commit.
    DescribedAfterCommit,
    /// The pointer is written before the commit, and not afterwards.
    PointedBeforeCommit,
    /// The pointer is not looked at again after it was written.
    PointerNotLookedAtAgain,
    /// A settlement leaves no mark.
    NoMark,
    /// A mark is cleared before it is told.
    ClearedBeforeTold,
    /// The target's status is recorded apart from the layer.
    StatusApart,
    /// A status replaces a higher one.
    StatusesUnranked,
    /// A request that is known is recorded again.
    AcceptedAgain,
    /// A rejected request is recorded before it is told.
    RejectedBeforeTold,
    /// There is no repair.
    NoRepair,
    /// A layer is reviewed while something may still be under way.
    ReviewedTooEarly,
    /// No layer is reviewed.
    NeverReviewed,
    /// A layer whose claim was taken over is reviewed once.
    NotWatched,
    /// A review takes every version for a recorded one.
    RecordsIgnored,
    /// A review takes versions for unrecorded that somebody is publishing.
    ReviewedMeanwhile,
    /// A builder writes the manifest before the artifact.
    ManifestBeforeArtifact,
    /// A builder takes an artifact for whole that was never finished.
    ArtifactTakenForWhole,
    /// A dead letter comes back as a new request.
    IdentityForgotten,
    /// A dead letter is deleted before it is sent again.
    LettersDeletedFirst,
    /// A rollback has the place in the order that its version had.
    RollbackBackdated,
    /// A rollback that is recorded is published by the first delivery alone.
    RollbackNotRepeated,
    /// A rollback publishes what stands, not what its version holds.
    RollbackOfOtherContent,
    /// A rollback does not say what it is.
    RollbackUntold,
    /// A rollback forgets who may use its version.
    RollbackGrantsForgotten,
    /// Old versions are deleted whatever uses them.
    UsesIgnored,
    /// What functions use is not looked at again before a deletion.
    UsesNotLookedAtAgain,
    /// What is recorded as the latest version counts as an old one.
    RecordedIgnored,
    /// What the latest-version parameter says counts as an old version.
    ParameterIgnored,
    /// What is being published counts as an old version.
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
        Self::NoReconciliation,
        Self::AnyVersionAdopted,
        Self::UnknownTakenForRefused,
        Self::PublishRepeated,
        Self::CommittedBeforePublished,
        Self::OrderIgnored,
        Self::OrderNotAdvanced,
        Self::DeletionsIgnored,
        Self::GrantsOnlyAtFirst,
        Self::GrantedAfterCommit,
        Self::DescribedAfterCommit,
        Self::PointedBeforeCommit,
        Self::PointerNotLookedAtAgain,
        Self::NoMark,
        Self::ClearedBeforeTold,
        Self::StatusApart,
        Self::StatusesUnranked,
        Self::AcceptedAgain,
        Self::RejectedBeforeTold,
        Self::NoRepair,
        Self::ReviewedTooEarly,
        Self::NeverReviewed,
        Self::NotWatched,
        Self::RecordsIgnored,
        Self::ReviewedMeanwhile,
        Self::ManifestBeforeArtifact,
        Self::ArtifactTakenForWhole,
        Self::IdentityForgotten,
        Self::LettersDeletedFirst,
        Self::RollbackBackdated,
        Self::RollbackNotRepeated,
        Self::RollbackOfOtherContent,
        Self::RollbackUntold,
        Self::RollbackGrantsForgotten,
        Self::UsesIgnored,
        Self::UsesNotLookedAtAgain,
        Self::RecordedIgnored,
        Self::ParameterIgnored,
        Self::UnrecordedDeleted,
    ];
}

impl Mutation {
    /// What a run says that shows the mistake for what it is.
    pub(crate) fn symptom(self) -> &'static str {
        match self {
            Self::ClaimsUnconditional
            | Self::LeaseIgnored
            | Self::LeaseTooShort
            | Self::OwnersAlike
            | Self::ReleasesUnconditional
            | Self::NoReconciliation
            | Self::UnknownTakenForRefused
            | Self::PublishRepeated => "is nobody's",
            Self::AnyVersionAdopted | Self::CommittedBeforePublished => "is no newer one",
            Self::CommitsUnconditional | Self::OrderIgnored | Self::OrderNotAdvanced => {
                "stands for"
            }
            Self::DeletionsIgnored => "was deleted",
            Self::GrantsOnlyAtFirst | Self::GrantedAfterCommit => "lacks",
            Self::DescribedAfterCommit => "is described as",
            Self::PointedBeforeCommit | Self::PointerNotLookedAtAgain | Self::ReviewedTooEarly => {
                "pointer"
            }
            Self::NoMark | Self::ClearedBeforeTold | Self::RejectedBeforeTold => "nobody was told",
            Self::StatusApart | Self::StatusesUnranked | Self::AcceptedAgain => "was Some(",
            Self::NoRepair => "does not come to rest",
            Self::NeverReviewed | Self::NotWatched | Self::RecordsIgnored => "no alarm",
            Self::ReviewedMeanwhile => "a false alarm",
            Self::ManifestBeforeArtifact | Self::ArtifactTakenForWhole => "ArtifactMissing",
            Self::IdentityForgotten => "is what nobody has sent",
            Self::LettersDeletedFirst | Self::RollbackNotRepeated => "BuildLost",
            Self::RollbackBackdated => "is lost",
            Self::RollbackOfOtherContent => "has other content",
            Self::RollbackUntold => "is told without its cause",
            Self::RollbackGrantsForgotten => "grants what no request",
            Self::UsesIgnored | Self::UsesNotLookedAtAgain => "is in use and is deleted",
            Self::RecordedIgnored => "stands and is deleted",
            Self::ParameterIgnored => "is pointed to and is deleted",
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

/// What a mutant has not done yet.
#[derive(Default)]
struct Postponed {
    published: Option<(LayerName, Manifest, StoredArtifact)>,
    grants: Vec<(LayerName, u64, Permission)>,
    described: Option<(LayerName, LayerManifest)>,
    rejection: Option<Notification>,
    /// What the pointer was let point to last.
    pointed: Option<String>,
    /// The revisions that layers had when a repair read them first.
    revisions: Option<BTreeMap<LayerName, u64>>,
    /// Whether versions were listed since.
    is_listed: bool,
    /// Whether the request was recorded before.
    is_known: bool,
}

const OWNER: &str = "somebody";

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

    fn misjudge(&self, review: &mut Review) {
        match self.mutation {
            Mutation::ReviewedTooEarly => review.at = self.now().into(),
            Mutation::NotWatched => review.watch_until = None,
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

    /// Does what was postponed until after the commit.
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
            self.inner.describe(&layer, &manifest).await?;
        }
        Ok(())
    }
}

impl Clock for Mutant {
    fn now(&self) -> jiff::Timestamp {
        self.inner.now()
    }
}

impl Timer for Mutant {
    async fn sleep(&self, duration: Duration) {
        self.inner.sleep(duration).await;
    }
}

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

impl Requests for Mutant {
    async fn keep(&self, id: &RequestId, request: String) -> Result<(), PortError> {
        Requests::keep(&self.inner, id, request).await
    }

    async fn kept(&self, id: &RequestId) -> Result<Option<Vec<u8>>, PortError> {
        self.inner.kept(id).await
    }

    async fn keep_file(&self, key: &str, content: Vec<u8>) -> Result<(), PortError> {
        self.inner.keep_file(key, content).await
    }

    async fn kept_file(&self, key: &str) -> Result<Option<Vec<u8>>, PortError> {
        self.inner.kept_file(key).await
    }
}

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

    async fn open_before(&self, before: Timestamp) -> Result<Vec<OpenTarget>, PortError> {
        self.inner.open_before(before).await
    }
}

impl Builds for Mutant {
    async fn start(&self, order: &BuildOrder) -> Result<(), PortError> {
        self.inner.start(order).await
    }
}

impl Topic for Mutant {
    async fn send(&self, notification: &Notification) -> Result<(), PortError> {
        let is_rejection = notification.event == Event::RequestRejected;
        if is_rejection && self.is(Mutation::RejectedBeforeTold) {
            self.postponed().rejection = Some(notification.clone());
            return Ok(());
        }
        if !is_rejection && self.is(Mutation::ClearedBeforeTold) {
            let event_id = notification.event_id.clone();
            let clear = move |cloud: &mut Cloud, _| {
                for items in cloud.layers.values_mut() {
                    items.marks.remove(&event_id);
                }
            };
            self.port(Call::ClearMark, clear).await?;
        }
        self.inner.send(notification).await
    }
}

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

    async fn keep(&self, key: &str, manifest: &Manifest) -> Result<(), PortError> {
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
                if let Some(stands) = self.inner.state(&layer).await?.published
                    && let Some(text) = self.inner.manifest(&stands.manifest_key).await?
                {
                    let stands = Manifest::from_json(&text).expect("it is a manifest");
                    manifest = Manifest {
                        request: manifest.request,
                        rolled_back_to: manifest.rolled_back_to,
                        ..stands
                    };
                }
            }
            Mutation::RollbackUntold => manifest.rolled_back_to = None,
            Mutation::RollbackGrantsForgotten => manifest.publish.permissions.clear(),
            _ => {}
        }
        Manifests::keep(&self.inner, key, &manifest).await
    }

    async fn describe(&self, layer: &LayerName, manifest: &LayerManifest) -> Result<(), PortError> {
        if self.is(Mutation::DescribedAfterCommit) {
            self.postponed().described = Some((layer.clone(), manifest.clone()));
            return Ok(());
        }
        self.inner.describe(layer, manifest).await
    }
}

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
            Attempt::Unknown(error) if self.is(Mutation::UnknownTakenForRefused) => {
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
            code_sha256: accretion_core::digest::Sha256::of(b""),
            created_at: self.now().into(),
        }))
    }

    async fn above(&self, layer: &LayerName, version: u64) -> Result<Vec<u64>, PortError> {
        self.postponed().is_listed = true;
        match self.mutation {
            Mutation::NoReconciliation => Ok(Vec::new()),
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

impl Pointers for Mutant {
    async fn point(
        &self,
        project: &ProjectName,
        target: LayerTarget,
        version_arn: &str,
    ) -> Result<(), PortError> {
        if self.is(Mutation::PointedBeforeCommit) {
            return Ok(());
        }
        self.inner.point(project, target, version_arn).await?;
        self.postponed().pointed = Some(version_arn.to_owned());
        Ok(())
    }
}

impl Layers for Mutant {
    async fn state(&self, layer: &LayerName) -> Result<LayerState, PortError> {
        let mut state = self.inner.state(layer).await?;
        if self.is(Mutation::ReviewedMeanwhile) {
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
        let pointed = self.postponed().pointed.take();
        if let Some(published) = &mut state.published {
            match (self.mutation, pointed) {
                (Mutation::OrderIgnored, _) => {
                    published.request = RequestRef {
                        received_at: Timestamp::from_milliseconds(0).unwrap(),
                        id: RequestId::of_message(""),
                    };
                }
                (Mutation::PointerNotLookedAtAgain, Some(pointed)) => {
                    published.version_arn = pointed;
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

    async fn release(
        &self,
        layer: &LayerName,
        owner: &str,
        mut release: Release,
    ) -> Result<(), PortError> {
        self.misjudge(&mut release.review);
        match self.mutation {
            Mutation::ReleasesUnconditional => {
                let layer = layer.clone();
                let effect = move |cloud: &mut Cloud, _| {
                    let claim = cloud.state(&layer).claim;
                    let owner = claim.map(|it| it.owner).unwrap_or_default();
                    cloud.release(&layer, &owner, release);
                };
                self.port(Call::Release, effect).await
            }
            Mutation::OwnersAlike => self.inner.release(layer, OWNER, release).await,
            _ => self.inner.release(layer, owner, release).await,
        }
    }

    async fn is_recorded(&self, layer: &LayerName, version: u64) -> Result<bool, PortError> {
        Ok(self.inner.is_recorded(layer, version).await? || self.is(Mutation::RecordsIgnored))
    }

    async fn review(&self, layer: &LayerName, reviewed: Reviewed) -> Result<(), PortError> {
        self.inner.review(layer, reviewed).await
    }

    async fn settle(&self, settlement: &Settlement) -> Result<Recorded, PortError> {
        let mut settlement = settlement.clone();
        let layer = settlement.mark.layer();
        if let Some(change) = &mut settlement.change
            && let Some(claim) = &mut change.claim
        {
            self.misjudge(&mut claim.review);
        }
        match self.mutation {
            Mutation::OwnersAlike => {
                if let Some(change) = &mut settlement.change
                    && let Some(claim) = &mut change.claim
                {
                    OWNER.clone_into(&mut claim.owner);
                }
            }
            Mutation::CommitsUnconditional => {
                let effect = move |cloud: &mut Cloud, now| {
                    let state = cloud.state(&layer);
                    if let Some(change) = &mut settlement.change {
                        change.revision = state.revision;
                        if let (Some(ended), Some(claim)) = (&mut change.claim, state.claim) {
                            ended.owner = claim.owner;
                        }
                    }
                    cloud.settle(&settlement, now)
                };
                return self.port(Call::Settle, effect).await;
            }
            Mutation::OrderNotAdvanced => {
                let effect = move |cloud: &mut Cloud, now| {
                    if let (Some(change), Some(published)) =
                        (&mut settlement.change, cloud.state(&layer).published)
                        && !change.is_new_version()
                    {
                        change.published.request = published.request;
                    }
                    cloud.settle(&settlement, now)
                };
                return self.port(Call::Settle, effect).await;
            }
            Mutation::PointedBeforeCommit => {
                if let Some(change) = &settlement.change {
                    let Mark {
                        project, target, ..
                    } = &settlement.mark;
                    let version_arn = &change.published.version_arn;
                    self.inner.point(project, *target, version_arn).await?;
                }
            }
            Mutation::NoMark => {
                let effect = move |cloud: &mut Cloud, now| {
                    let recorded = cloud.settle(&settlement, now);
                    cloud.clear(&layer, &settlement.mark.notification.event_id);
                    recorded
                };
                return self.port(Call::Settle, effect).await;
            }
            Mutation::StatusApart => {
                let id = (settlement.request.id.clone(), settlement.mark.target);
                let apart = settlement.clone();
                let effect = move |cloud: &mut Cloud, now| {
                    let before = cloud.targets.get(&id).cloned();
                    let recorded = cloud.settle(&settlement, now);
                    if let Some(before) = before {
                        cloud.targets.insert(id, before);
                    }
                    recorded
                };
                let recorded = self.port(Call::Settle, effect).await?;
                if recorded == Recorded::Done {
                    let raise = move |cloud: &mut Cloud, now| cloud.target(&apart, now);
                    self.port(Call::Settle, raise).await?;
                }
                return Ok(recorded);
            }
            _ => {}
        }
        let recorded = self.inner.settle(&settlement).await?;
        if recorded == Recorded::Done {
            self.catch_up().await?;
        }
        Ok(recorded)
    }

    async fn mark(&self, layer: &LayerName, event_id: &str) -> Result<Option<Mark>, PortError> {
        self.inner.mark(layer, event_id).await
    }

    async fn clear(&self, layer: &LayerName, event_id: &str) -> Result<(), PortError> {
        self.inner.clear(layer, event_id).await
    }

    async fn pending_before(&self, before: Timestamp) -> Result<Vec<Pending>, PortError> {
        if self.is(Mutation::NeverReviewed) {
            let forget = move |cloud: &mut Cloud, _| {
                for items in cloud.layers.values_mut() {
                    items.state.review_at = None;
                }
            };
            self.port(Call::ListPending, forget).await?;
        }
        self.postponed().revisions = Some(BTreeMap::new());
        self.inner.pending_before(before).await
    }
}

impl Resolver for Mutant {
    async fn resolve(&self, resolution: Resolution<'_>) -> Result<Lock, PortError> {
        self.inner.resolve(resolution).await
    }
}

impl Wheels for Mutant {
    async fn get(
        &self,
        filename: &WheelFilename,
        file: &LockedFile,
    ) -> Result<Arc<StoredWheel>, PortError> {
        Wheels::get(&self.inner, filename, file).await
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
        if self.is(Mutation::ArtifactTakenForWhole) {
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
            Mutation::ArtifactTakenForWhole => {
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
