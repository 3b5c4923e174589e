//! Deliberate mistakes: ports that do not keep what the protocol relies on, or do its steps in
//! another order. The simulation has to catch every one of them.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use accretion_core::delivery::InboxObject;
use accretion_core::layer::LayerName;
use accretion_core::manifest::{LayerManifest, Manifest};
use accretion_core::notification::{Event, Notification};
use accretion_core::publication::{Claim, LayerState};
use accretion_core::request::{Permission, ProjectName, RequestId, RequestRef};
use accretion_core::target::Target;
use accretion_core::timestamp::Timestamp;
use accretion_core::tracking::Status;
use accretion_service::ports::{
    Accepted, Attempt, BuildOrder, Builds, Clock, Inbox, LayerVersion, LayerVersions, Layers,
    Library, Mark, OpenTarget, Pending, Pointers, PortError, Recorded, Rejected, Requests,
    Settlement, StoredArtifact, Timer, Topic, Tracking,
};

use crate::cloud::Cloud;
use crate::ports::{Call, Invocation};

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
    /// A layer's state is read from a cache.
    ReadsStale,
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
}

impl Mutation {
    pub(crate) const ALL: [Self; 27] = [
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
        Self::ReadsStale,
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
    ];
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
    async fn read(&self, object: &InboxObject, limit: usize) -> Result<Option<Vec<u8>>, PortError> {
        self.inner.read(object, limit).await
    }
}

impl Requests for Mutant {
    async fn keep(&self, id: &RequestId, request: String) -> Result<(), PortError> {
        self.inner.keep(id, request).await
    }

    async fn kept(&self, id: &RequestId) -> Result<Option<Vec<u8>>, PortError> {
        self.inner.kept(id).await
    }
}

impl Tracking for Mutant {
    async fn status(&self, id: &RequestId) -> Result<Option<Status>, PortError> {
        self.inner.status(id).await
    }

    async fn accept(&self, accepted: &Accepted) -> Result<bool, PortError> {
        if self.is(Mutation::AcceptedAgain) {
            let id = accepted.request.id.clone();
            let forget = move |cloud: &mut Cloud, _| cloud.requests.remove(&id);
            self.port(Call::Accept, forget).await?;
        }
        self.inner.accept(accepted).await
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

impl Library for Mutant {
    fn bucket(&self) -> &str {
        self.inner.bucket()
    }

    async fn manifest(&self, key: &str) -> Result<Option<Vec<u8>>, PortError> {
        self.inner.manifest(key).await
    }

    async fn artifact(&self, key: &str) -> Result<Option<StoredArtifact>, PortError> {
        self.inner.artifact(key).await
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
        let found = self.inner.get(layer, version).await?;
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
        target: Target,
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
        if self.is(Mutation::ReadsStale) {
            let layer = layer.clone();
            let read = move |cloud: &mut Cloud, now| cloud.stale_state(&layer, now);
            return self.port(Call::ReadState, read).await;
        }
        let mut state = self.inner.state(layer).await?;
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
        leaves_version: bool,
    ) -> Result<(), PortError> {
        match self.mutation {
            Mutation::ReleasesUnconditional => {
                let layer = layer.clone();
                let release = move |cloud: &mut Cloud, _| {
                    let claim = cloud.state(&layer).claim;
                    let owner = claim.map(|it| it.owner).unwrap_or_default();
                    cloud.release(&layer, &owner, leaves_version);
                };
                self.port(Call::Release, release).await
            }
            Mutation::OwnersAlike => self.inner.release(layer, OWNER, leaves_version).await,
            _ => self.inner.release(layer, owner, leaves_version).await,
        }
    }

    async fn settle(&self, settlement: &Settlement) -> Result<Recorded, PortError> {
        let mut settlement = settlement.clone();
        let layer = settlement.mark.layer();
        match self.mutation {
            Mutation::OwnersAlike => {
                if let Some(change) = &mut settlement.change {
                    change.owner = change.owner.as_ref().map(|_| OWNER.to_owned());
                }
            }
            Mutation::CommitsUnconditional => {
                let effect = move |cloud: &mut Cloud, now| {
                    let state = cloud.state(&layer);
                    if let Some(change) = &mut settlement.change {
                        change.revision = state.revision;
                        change.owner = state.claim.map(|it| it.owner);
                    }
                    cloud.settle(&settlement, now)
                };
                return self.port(Call::Settle, effect).await;
            }
            Mutation::OrderNotAdvanced => {
                let effect = move |cloud: &mut Cloud, now| {
                    if let (Some(change), Some(published)) =
                        (&mut settlement.change, cloud.state(&layer).published)
                        && !change.is_new_version
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
        self.inner.pending_before(before).await
    }
}
