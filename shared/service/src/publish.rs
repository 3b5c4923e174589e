//! Publishing built layers: exactly one layer version for each change of content.
//!
//! The table of layers decides. Every step may be repeated, and a crash between any two of them
//! leaves what the next attempt, or the [repair](Publish::repair), finishes.

use std::time::Duration;

use accretion_core::digest::Digest;
use accretion_core::fault::json_problem;
use accretion_core::keys;
use accretion_core::layer::LayerName;
use accretion_core::manifest::{LayerManifest, Manifest};
use accretion_core::notification::{
    Changes, Event, LayerRef, Notification, ObjectRef, YankedDistribution,
};
use accretion_core::publication::{Candidate, Claim, LayerState, Published, Review, Step};
use accretion_core::request::AllowedPermissions;
use accretion_core::request::{Permission, ProjectName, RequestRef};
use accretion_core::target::{Compatibility, LayerTarget};
use accretion_core::timestamp::Timestamp;
use accretion_core::tracking::Status;
use accretion_core::{Class, Fault as _};
use tracing::{Instrument as _, Span, error, field, info, info_span, warn};

use crate::Error;
use crate::ports::{
    Attempt, EndedClaim, LayerChange, LayerVersion, LayerVersions, Layers, Manifests, Mark,
    Milestone, Observer, OpenTarget, Pending, Pointers, Recorded, Release, Reviewed, Settlement,
    StoredArtifact, Timer, Topic, Tracking,
};

/// How long what an invocation has begun may be under way when its time is over: a claim outlives
/// its owner by that, and a review waits for it.
const IN_FLIGHT: Duration = Duration::from_mins(1);

/// For how long a layer is reviewed again and again of which Lambda may have a version that nobody
/// records: one that somebody asked for who died may come into being late.
const WATCH: Duration = Duration::from_hours(1);

/// How long after one review of those the next one follows.
const WATCH_PAUSE: Duration = Duration::from_mins(15);

/// The first pause before a claimed layer is looked at again. Each one is twice as long as the one
/// before, up to [`MAX_PAUSE`].
const PAUSE: Duration = Duration::from_millis(200);

/// The longest pause.
const MAX_PAUSE: Duration = Duration::from_secs(3);

/// What has to be left of an invocation's time to wait once more.
const RESERVE: Duration = Duration::from_secs(20);

/// How long something has to be due for the repair to take it for forgotten, or for everybody's
/// clock to agree that it is.
const OVERDUE: Duration = Duration::from_mins(1);

/// How long nothing may be heard of a target before the repair looks for its manifest.
const SILENCE: Duration = Duration::from_mins(15);

/// How long nothing may be heard of a target for its build to be still under way. Longer than the
/// longest pause of an execution and the work after it: each pause is recorded.
pub const PATIENCE: Duration = Duration::from_hours(6);

/// The permissions that manifests may ask for if the operator names none.
static NOBODY: AllowedPermissions = AllowedPermissions::NONE;

/// What came of a manifest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// There is a new layer version.
    Published,
    /// The layer has that content already.
    Unchanged,
    /// A newer request was published before.
    Superseded,
    /// It was dealt with before.
    Known,
}

/// What a repair has done.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Repaired {
    /// Dead claims that were finished.
    pub claims: usize,
    /// Marks that were told.
    pub marks: usize,
    /// Layers that were reviewed.
    pub reviews: usize,
    /// Layer versions that a review found, and that are not recorded.
    pub unrecorded: usize,
    /// Targets that were open, and came to their end.
    pub targets: usize,
    /// What could not be repaired this time.
    pub failures: usize,
}

/// The ports of the use case.
#[derive(Debug)]
pub struct Ports<'a, S, L, V, P, T, N, C> {
    /// The artifacts bucket.
    pub manifests: &'a S,
    /// The table of layers.
    pub layers: &'a L,
    /// Lambda.
    pub versions: &'a V,
    /// The latest pointers.
    pub pointers: &'a P,
    /// The table of requests.
    pub tracking: &'a T,
    /// The topic.
    pub topic: &'a N,
    /// The time.
    pub timer: &'a C,
}

/// Publishes layers, for the time of one invocation.
#[derive(Debug)]
pub struct Publish<'a, S, L, V, P, T, N, C> {
    ports: Ports<'a, S, L, V, P, T, N, C>,
    /// What the names of this attempt's claims begin with.
    owner: String,
    /// When the invocation ends, done or not.
    deadline: Timestamp,
    /// How long any invocation may last: as long as this one, by its own clock.
    lifetime: Duration,
    permissions: &'a AllowedPermissions,
    observer: &'a dyn Observer,
}

/// What a layer is wanted for.
struct Subject {
    request: RequestRef,
    project: ProjectName,
    target: Compatibility,
    /// The version whose content is wanted again, if that is why.
    rolled_back_to: Option<LayerRef>,
}

/// A manifest that can be published from.
struct Ready {
    key: String,
    manifest: Manifest,
    /// Those of the manifest.
    permissions: Vec<Permission>,
    subject: Subject,
    layer: LayerName,
}

impl Ready {
    /// The first permission that is not allowed.
    fn refused(&self, allowed: &AllowedPermissions) -> Option<&Permission> {
        self.permissions.iter().find(|it| !allowed.allows(it))
    }
}

/// A claim of ours, and what it was made on.
struct Claimed {
    /// The revision since the claim.
    revision: u64,
    owner: String,
    before: Option<Published>,
    /// Whether somebody may have published already under this claim.
    is_inherited: bool,
    /// Whether there may be a version that was never recorded.
    has_stray: bool,
}

impl<'a, S, L, V, P, T, N, C> Publish<'a, S, L, V, P, T, N, C>
where
    S: Manifests,
    L: Layers,
    V: LayerVersions,
    P: Pointers,
    T: Tracking,
    N: Topic,
    C: Timer,
{
    /// Prepares to publish until `deadline`, under a name that no other attempt has. To be called
    /// when an invocation begins.
    pub fn new(ports: Ports<'a, S, L, V, P, T, N, C>, owner: String, deadline: Timestamp) -> Self {
        let lifetime = deadline.since(ports.timer.now().into());
        Self {
            ports,
            owner,
            deadline,
            lifetime,
            permissions: &NOBODY,
            observer: &(),
        }
    }

    /// Lets manifests share layers with these accounts, by default with none. Requests were held against
    /// the same list, but manifests are the builder's word.
    #[must_use]
    pub fn sharing_with(self, permissions: &'a AllowedPermissions) -> Self {
        Self {
            permissions,
            ..self
        }
    }

    /// Tells somebody what comes of targets.
    #[must_use]
    pub fn observed_by(self, observer: &'a dyn Observer) -> Self {
        Self { observer, ..self }
    }

    /// Publishes from the artifact manifest of a key, if that is due.
    ///
    /// What can't succeed by trying again is recorded and announced as a failure before it is
    /// returned.
    pub async fn manifest(&self, key: &str) -> Result<Outcome, Error> {
        let ready = self.read(key).await?;
        self.ready(&ready).await
    }

    async fn ready(&self, ready: &Ready) -> Result<Outcome, Error> {
        let outcome = self.settle(ready).await;
        if let Err(error) = &outcome
            && error.class() != Class::Transient
        {
            self.fail_ready(ready, error).await?;
        }
        outcome
    }

    /// Finishes what others have left undone.
    pub async fn repair(&self) -> Result<Repaired, Error> {
        let now = self.now();
        let mut repaired = Repaired::default();
        let pending = self.ports.layers.pending_before(now.before(OVERDUE));
        for pending in pending.await? {
            if !self.has_time() {
                break;
            }
            // Which request it is about is seen when it is looked at.
            let span = info_span!("pending", request_id = field::Empty);
            let repair = async {
                let outcome = match &pending {
                    Pending::Layer(layer) => self.tend(layer, &mut repaired).await,
                    Pending::Mark { layer, event_id } => {
                        let told = self.tell_marked(layer, event_id).await;
                        told.map(|is_told| repaired.marks += usize::from(is_told))
                    }
                };
                if let Err(error) = outcome {
                    let (text, _) = error.logged();
                    warn!(
                        code = error.code(),
                        error = text,
                        ?pending,
                        "could not be repaired"
                    );
                    repaired.failures += 1;
                }
            };
            repair.instrument(span).await;
        }
        let open = self.ports.tracking.open_before(now.before(SILENCE));
        for open in open.await? {
            if !self.has_time() {
                break;
            }
            let span =
                info_span!("open", request_id = %open.request.id, target = %open.target.target());
            let close = async {
                match self.close(&open).await {
                    Ok(false) => {}
                    Ok(true) => repaired.targets += 1,
                    Err(error) => {
                        let (text, _) = error.logged();
                        warn!(code = error.code(), error = text, "could not be repaired");
                        repaired.failures += 1;
                    }
                }
            };
            close.instrument(span).await;
        }
        if repaired.failures > 0 {
            let failures = repaired.failures;
            let incomplete = Error::RepairIncomplete { failures };
            let (code, hint) = (incomplete.code(), incomplete.hint());
            // An alarm counts these lines.
            error!(code, hint, failures, "{incomplete}");
        }
        Ok(repaired)
    }

    /// Brings an open target to its end; `false` if its build may be under way.
    async fn close(&self, open: &OpenTarget) -> Result<bool, Error> {
        let key = keys::manifest(&open.project, &open.request.id, open.target.target());
        let is_patient = self.now().before(PATIENCE) < open.updated_at;
        let (error, key) = match self.read(&key).await {
            Ok(ready) => return self.ready(&ready).await.map(|_| true),
            Err(Error::ManifestMissing { .. }) if is_patient => return Ok(false),
            Err(Error::ManifestMissing { .. }) => {
                let since = open.updated_at;
                (Error::BuildLost { since }, None)
            }
            Err(error) if error.class() == Class::Transient => return Err(error),
            Err(error) => (error, Some(key)),
        };
        let subject = Subject {
            request: open.request.clone(),
            project: open.project.clone(),
            target: open.target.clone(),
            rolled_back_to: None,
        };
        self.fail(&subject, key, None, &error).await?;
        Ok(true)
    }

    fn now(&self) -> Timestamp {
        self.ports.timer.now().into()
    }

    /// Whether there is time for more.
    fn has_time(&self) -> bool {
        self.now().after(RESERVE) < self.deadline
    }

    /// Reads a manifest of ours.
    async fn read(&self, key: &str) -> Result<Ready, Error> {
        let text = self.ports.manifests.manifest(key).await?;
        let key = key.to_owned();
        let Some(text) = text else {
            return Err(Error::ManifestMissing { key });
        };
        let invalid = |problem: String| Error::ManifestInvalid {
            key: key.clone(),
            problem,
        };
        let manifest = Manifest::from_json(&text).map_err(|error| invalid(json_problem(&error)))?;
        let target = manifest
            .compatibility()
            .ok_or_else(|| invalid("it names no single target".to_owned()))?;
        let project: ProjectName = manifest
            .project_name
            .parse()
            .map_err(|_| invalid("its `ProjectName` is none".to_owned()))?;
        let request = manifest
            .request
            .clone()
            .ok_or_else(|| invalid("it names no `Request`".to_owned()))?;
        if key != keys::manifest(&project, &request.id, target.target()) {
            return Err(invalid("its key is not the one of its content".to_owned()));
        }
        // Nobody publishes what is another project's.
        if manifest.artifact_s3_key != keys::artifact(&project, manifest.digest) {
            return Err(invalid(
                "its `ArtifactS3Key` is not the one of its project and its digest".to_owned(),
            ));
        }
        let permissions = manifest.publish.permissions.iter();
        let permissions: Result<_, _> = permissions.map(Permission::try_from).collect();
        let permissions =
            permissions.map_err(|_| invalid("one of its `Permissions` is none".to_owned()))?;
        Ok(Ready {
            layer: LayerName::new(&project, target.target()),
            key,
            permissions,
            subject: Subject {
                request,
                project,
                target,
                rolled_back_to: manifest.rolled_back_to.clone(),
            },
            manifest,
        })
    }

    /// Does one step after the other until the manifest is dealt with.
    async fn settle(&self, ready: &Ready) -> Result<Outcome, Error> {
        let candidate = Candidate {
            request: ready.subject.request.clone(),
            digest: ready.manifest.digest,
        };
        let mut pause = PAUSE;
        loop {
            let state = self.ports.layers.state(&ready.layer).await?;
            let (published, still_stands) = match state.next(&candidate, self.now()) {
                Step::Settled(_) => {
                    return self.known(ready).await;
                }
                Step::Superseded(published) => {
                    let settlement = superseded(ready, published, self.ports.manifests.bucket());
                    return match self.record(settlement, Outcome::Superseded).await? {
                        Some(Outcome::Known) | None => self.known(ready).await,
                        Some(outcome) => Ok(outcome),
                    };
                }
                Step::Wait(claim) => {
                    if !self.has_time() {
                        let layer = ready.layer.to_string();
                        let until = claim.lease_until;
                        return Err(Error::LayerBusy { layer, until });
                    }
                    self.ports.timer.sleep(pause).await;
                    pause = MAX_PAUSE.min(pause * 2);
                    continue;
                }
                Step::Finish(claim) => {
                    let claim = claim.clone();
                    self.take_over(&ready.layer, &state, &claim).await?;
                    continue;
                }
                Step::Compare(published) => {
                    let version = self.ports.versions.get(&ready.layer, published.version);
                    (Some(published), version.await?.is_some())
                }
                Step::Publish => (state.published.as_ref(), false),
            };
            if let Some(refused) = ready.refused(self.permissions) {
                let permission = refused.clone();
                return Err(Error::PermissionNotAllowed { permission });
            }
            if let (Some(published), true) = (published, still_stands) {
                self.grant(ready, published.version).await?;
                let bucket = self.ports.manifests.bucket();
                let settlement = unchanged(ready, published, state.revision, bucket);
                match self.record(settlement, Outcome::Unchanged).await? {
                    Some(outcome) => return Ok(outcome),
                    None => continue,
                }
            }
            // Nothing is claimed for what could not be published anyway.
            let artifact = self.artifact(ready).await?;
            let Some(claimed) = self.claim(ready, &state, false).await? else {
                continue;
            };
            let outcome = self.publish(ready, Some(artifact), claimed).await?;
            if let Some(outcome) = outcome {
                return Ok(outcome);
            }
        }
    }

    /// The artifact of a manifest, which has to be what the manifest says.
    async fn artifact(&self, ready: &Ready) -> Result<StoredArtifact, Error> {
        let manifest = &ready.manifest;
        let key = &manifest.artifact_s3_key;
        let Some(artifact) = self.ports.manifests.artifact(key).await? else {
            return Err(Error::ArtifactMissing { key: key.clone() });
        };
        if artifact.sha256 != Some(manifest.artifact_sha256)
            || artifact.size != manifest.artifact_size
        {
            return Err(Error::ArtifactDiffers { key: key.clone() });
        }
        Ok(artifact)
    }

    /// Claims a layer for a manifest; `None` if its state has changed since.
    async fn claim(
        &self,
        ready: &Ready,
        state: &LayerState,
        is_inherited: bool,
    ) -> Result<Option<Claimed>, Error> {
        let claim = Claim {
            // No two claims have one: a release that comes late must not meet a later claim.
            owner: format!("{}/{}", self.owner, state.revision),
            request: ready.subject.request.clone(),
            manifest_key: ready.key.clone(),
            lease_until: self.deadline.after(IN_FLIGHT),
        };
        let layers = self.ports.layers;
        let is_ours = layers.claim(&ready.layer, state.revision, &claim).await?;
        Ok(is_ours.then(|| Claimed {
            revision: state.revision + 1,
            owner: claim.owner,
            before: state.published.clone(),
            is_inherited,
            has_stray: state.has_stray,
        }))
    }

    /// Publishes under a claim; `None` if the claim was lost meanwhile.
    ///
    /// The claim stays where trying again may finish what was begun under it. Everything else gives
    /// it up: a manifest that can't be published must not be in the way of others.
    async fn publish(
        &self,
        ready: &Ready,
        artifact: Option<StoredArtifact>,
        claimed: Claimed,
    ) -> Result<Option<Outcome>, Error> {
        let owner = claimed.owner.clone();
        let is_inherited = claimed.is_inherited;
        let release = |leaves_version| {
            let release = Release {
                leaves_version,
                review: self.review_after(is_inherited || leaves_version),
            };
            self.ports.layers.release(&ready.layer, &owner, release)
        };
        match self.publish_claimed(ready, artifact, claimed).await {
            Ok(outcome) => Ok(outcome),
            Err(Unpublished::Unfinished(error)) => Err(error),
            Err(Unpublished::Failed {
                error,
                leaves_version,
            }) => {
                release(leaves_version).await?;
                Err(error)
            }
        }
    }

    async fn publish_claimed(
        &self,
        ready: &Ready,
        artifact: Option<StoredArtifact>,
        claimed: Claimed,
    ) -> Result<Option<Outcome>, Unpublished> {
        let version = self.version(ready, artifact, &claimed).await?;
        let outcome = self.finish(ready, &version, claimed).await;
        outcome.map_err(Unpublished::with_version)
    }

    /// Does what is left to do once there is a version.
    async fn finish(
        &self,
        ready: &Ready,
        version: &LayerVersion,
        claimed: Claimed,
    ) -> Result<Option<Outcome>, Error> {
        self.grant(ready, version.version).await?;
        let changes = self.changes(ready, claimed.before.as_ref()).await?;
        let bucket = self.ports.manifests.bucket();
        let layer_manifest = LayerManifest {
            layer: layer_ref(&version.layer_arn, version.version),
            artifact_manifest: object_ref(bucket, &ready.key),
            version_arn: version.version_arn.clone(),
            digest: ready.manifest.digest,
            published_at: version.created_at,
        };
        self.ports
            .manifests
            .describe(&ready.layer, &layer_manifest)
            .await?;
        let review = self.review_after(claimed.is_inherited);
        let settlement = published(ready, version, claimed, changes, review, bucket);
        self.record(settlement, Outcome::Published).await
    }

    /// When a layer is to be reviewed whose claim this invocation ends: at the latest when what it
    /// asks for must have taken effect. Whoever knows nothing of that has come to its end by the time
    /// of the review. `is_suspect` if Lambda may have, or get, a version that this leaves unrecorded.
    fn review_after(&self, is_suspect: bool) -> Review {
        let ends_by = self.deadline.after(IN_FLIGHT);
        Review {
            at: ends_by.after(self.lifetime).after(IN_FLIGHT),
            watch_until: is_suspect.then(|| ends_by.after(WATCH)),
        }
    }

    /// The version that a claim is for: one that was made before and not recorded, or a new one.
    async fn version(
        &self,
        ready: &Ready,
        artifact: Option<StoredArtifact>,
        claimed: &Claimed,
    ) -> Result<LayerVersion, Unpublished> {
        let is_inherited = claimed.is_inherited;
        if is_inherited || claimed.has_stray {
            let found = self.find_version(ready, claimed).await;
            let failed = if is_inherited {
                Unpublished::with_version
            } else {
                Unpublished::without_version
            };
            if let Some(version) = found.map_err(failed)? {
                return Ok(version);
            }
        }
        let artifact = match artifact {
            Some(artifact) => artifact,
            None => self
                .artifact(ready)
                .await
                .map_err(Unpublished::without_version)?,
        };
        let versions = self.ports.versions;
        match versions
            .publish(&ready.layer, &ready.manifest, &artifact)
            .await
        {
            Attempt::Made(version) if version.code_sha256 == ready.manifest.artifact_sha256 => {
                info!(version_arn = version.version_arn, "published");
                Ok(version)
            }
            Attempt::Made(_) => Err(Unpublished::Failed {
                error: Error::ArtifactDiffers { key: artifact.key },
                leaves_version: true,
            }),
            Attempt::Refused(error) => Err(Unpublished::without_version(error.into())),
            Attempt::Unknown(error) => match self.find_version(ready, claimed).await {
                Ok(Some(version)) => Ok(version),
                Ok(None) => Err(Unpublished::Unfinished(error.into())),
                Err(error) => Err(Unpublished::Unfinished(error)),
            },
        }
    }

    /// The first version after the last committed one that has the content of a manifest.
    async fn find_version(
        &self,
        ready: &Ready,
        claimed: &Claimed,
    ) -> Result<Option<LayerVersion>, Error> {
        let committed = claimed.before.as_ref().map_or(0, |before| before.version);
        let versions = self.ports.versions;
        for number in versions.above(&ready.layer, committed).await? {
            let version = versions.get(&ready.layer, number).await?;
            if let Some(version) = version
                && version.code_sha256 == ready.manifest.artifact_sha256
            {
                info!(version_arn = version.version_arn, "adopted");
                return Ok(Some(version));
            }
        }
        Ok(None)
    }

    async fn grant(&self, ready: &Ready, version: u64) -> Result<(), Error> {
        for permission in &ready.permissions {
            self.ports
                .versions
                .grant(&ready.layer, version, permission)
                .await?;
        }
        Ok(())
    }

    /// What is new against what was published before.
    async fn changes(&self, ready: &Ready, before: Option<&Published>) -> Result<Changes, Error> {
        let before = match before {
            Some(before) => self.ports.manifests.manifest(&before.manifest_key).await?,
            None => None,
        };
        let before = before.and_then(|text| Manifest::from_json(&text).ok());
        let before = before
            .map(|manifest| manifest.installed)
            .unwrap_or_default();
        Ok(Changes::between(&before, &ready.manifest.installed).for_message())
    }

    /// Finishes the claim of somebody who died: its manifest first, whatever comes after.
    async fn take_over(
        &self,
        layer: &LayerName,
        state: &LayerState,
        claim: &Claim,
    ) -> Result<(), Error> {
        // Whoever takes over may be about another request.
        let span = info_span!("claim", request_id = %claim.request.id);
        self.finish_claim(layer, state, claim)
            .instrument(span)
            .await
    }

    async fn finish_claim(
        &self,
        layer: &LayerName,
        state: &LayerState,
        claim: &Claim,
    ) -> Result<(), Error> {
        warn!(%layer, owner = claim.owner, manifest = claim.manifest_key, "taking over a dead claim");
        let ready = match self.read(&claim.manifest_key).await {
            Ok(ready) => ready,
            Err(error) if error.class() == Class::Transient => return Err(error),
            // What can't be read now could not have been published from either.
            Err(error) => {
                let (text, _) = error.logged();
                warn!(
                    code = error.code(),
                    error = text,
                    "a dead claim can't be finished"
                );
                let release = Release {
                    leaves_version: true,
                    review: self.review_after(true),
                };
                let layers = self.ports.layers;
                return Ok(layers.release(layer, &claim.owner, release).await?);
            }
        };
        let Some(claimed) = self.claim(&ready, state, true).await? else {
            return Ok(());
        };
        match self.publish(&ready, None, claimed).await {
            Ok(_) => Ok(()),
            Err(error) if error.class() == Class::Transient => Err(error),
            Err(error) => self.fail_ready(&ready, &error).await,
        }
    }

    /// Finishes a layer's claim if it is dead, or reviews the layer if it is time to.
    async fn tend(&self, layer: &LayerName, repaired: &mut Repaired) -> Result<(), Error> {
        let (state, now) = (self.ports.layers.state(layer).await?, self.now());
        match (&state.claim, state.review_at) {
            (Some(claim), _) if claim.lease_until <= now => {
                Span::current().record("request_id", claim.request.id.as_str());
                self.take_over(layer, &state, claim).await?;
                repaired.claims += 1;
            }
            (None, Some(at)) if at <= now => {
                if let Some(unrecorded) = self.review(layer, &state).await? {
                    repaired.reviews += 1;
                    repaired.unrecorded += unrecorded;
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Points to what stands, and tells of versions that are not recorded, if there may be such. How
    /// many those are; `None` if the layer has changed meanwhile, and is reviewed later.
    async fn review(&self, layer: &LayerName, state: &LayerState) -> Result<Option<usize>, Error> {
        let layers = self.ports.layers;
        let (project, target) = layer.parts();
        self.point(&project, target, layer).await?;
        let mut reviewed = state.reviewed;
        let mut unrecorded = Vec::new();
        if state.watch_until.is_some() {
            for version in self.ports.versions.above(layer, state.reviewed).await? {
                reviewed = reviewed.max(version);
                if version != state.version() && !layers.is_recorded(layer, version).await? {
                    unrecorded.push(version);
                }
            }
            if layers.state(layer).await?.revision != state.revision {
                // What was found may be somebody's who is publishing.
                return Ok(None);
            }
        }
        for &version in &unrecorded {
            let found = Error::LayerVersionUnrecorded {
                layer: layer.to_string(),
                version,
            };
            let (code, hint) = (found.code(), found.hint());
            // An alarm counts these lines.
            error!(code, hint, layer = layer.as_str(), version, "{found}");
        }
        let now = self.now();
        let is_watched = state.watch_until.is_some_and(|until| now < until);
        let outcome = Reviewed {
            revision: state.revision,
            version: reviewed,
            again_at: is_watched.then(|| now.after(WATCH_PAUSE)),
        };
        layers.review(layer, outcome).await?;
        Ok(Some(unrecorded.len()))
    }

    /// Records what has come of a target and tells it; `None` if the layer's item has changed.
    async fn record(
        &self,
        settlement: Settlement,
        outcome: Outcome,
    ) -> Result<Option<Outcome>, Error> {
        match self.settle_with(&settlement, None).await? {
            Recorded::Lost => Ok(None),
            Recorded::Known => Ok(Some(Outcome::Known)),
            Recorded::Done => Ok(Some(outcome)),
        }
    }

    /// Records what has come of a target, and tells it once it is recorded. `code` is that of what
    /// failed.
    async fn settle_with(
        &self,
        settlement: &Settlement,
        code: Option<&'static str>,
    ) -> Result<Recorded, Error> {
        let recorded = self.ports.layers.settle(settlement).await?;
        if recorded == Recorded::Done {
            self.observer.on(Milestone::Settled { settlement, code });
            self.tell(&settlement.mark).await?;
        }
        Ok(recorded)
    }

    /// Records and announces that a manifest can't be published.
    async fn fail_ready(&self, ready: &Ready, error: &Error) -> Result<(), Error> {
        let (key, digest) = (ready.key.clone(), ready.manifest.digest);
        self.fail(&ready.subject, Some(key), Some(digest), error)
            .await
    }

    /// Records and announces that there will be no layer.
    async fn fail(
        &self,
        subject: &Subject,
        key: Option<String>,
        digest: Option<Digest>,
        error: &Error,
    ) -> Result<(), Error> {
        let bucket = self.ports.manifests.bucket();
        let (reason, hint) = error.displayed();
        let notification = Notification {
            manifest: key.as_ref().map(|key| object_ref(bucket, key)),
            digest,
            code: Some(error.code().to_owned()),
            reason: Some(reason),
            hint,
            ..subject.notification(Event::BuildFailed)
        };
        let settlement = Settlement {
            request: subject.request.clone(),
            status: Status::Failed,
            manifest_key: key,
            digest,
            change: None,
            mark: subject.mark(notification),
        };
        self.settle_with(&settlement, Some(error.code())).await?;
        Ok(())
    }

    /// Tells of a manifest that was dealt with what an earlier attempt did not live to tell.
    async fn known(&self, ready: &Ready) -> Result<Outcome, Error> {
        for event in [
            Event::LayerPublished,
            Event::LayerUnchanged,
            Event::LayerSuperseded,
        ] {
            let event_id = ready.subject.notification(event).event_id;
            self.tell_marked(&ready.layer, &event_id).await?;
        }
        Ok(Outcome::Known)
    }

    /// Tells what a mark of the table says, if it is still there.
    async fn tell_marked(&self, layer: &LayerName, event_id: &str) -> Result<bool, Error> {
        match self.ports.layers.mark(layer, event_id).await? {
            Some(mark) => {
                let id = &mark.notification.request_id;
                Span::current().record("request_id", id.as_str());
                self.tell(&mark).await?;
                Ok(true)
            }
            None => Ok(false),
        }
    }

    /// Points to the version that stands, notifies, and clears the mark.
    async fn tell(&self, mark: &Mark) -> Result<(), Error> {
        let layer = mark.layer();
        let event = mark.notification.event;
        if matches!(event, Event::LayerPublished | Event::LayerUnchanged) {
            self.point(&mark.project, mark.target, &layer).await?;
        }
        self.ports.topic.send(&mark.notification).await?;
        info!(event_id = mark.notification.event_id, "notified");
        let event_id = &mark.notification.event_id;
        Ok(self.ports.layers.clear(&layer, event_id).await?)
    }

    /// Lets the pointer point to what stands, and looks again whether that has changed meanwhile.
    async fn point(
        &self,
        project: &ProjectName,
        target: LayerTarget,
        layer: &LayerName,
    ) -> Result<(), Error> {
        let mut pointed = None;
        loop {
            let state = self.ports.layers.state(layer).await?;
            let stands = state.published.map(|published| published.version_arn);
            if stands.is_none() || stands == pointed {
                return Ok(());
            }
            if let Some(version_arn) = &stands {
                let pointers = self.ports.pointers;
                pointers.point(project, target, version_arn).await?;
            }
            pointed = stands;
        }
    }
}

/// Why nothing was published under a claim.
enum Unpublished {
    /// There may be a version, and trying again may finish it.
    Unfinished(Error),
    /// Trying again changes nothing, or begins anew.
    Failed {
        error: Error,
        /// Whether there may be a version all the same.
        leaves_version: bool,
    },
}

impl Unpublished {
    /// A failure where there is a version, or may be.
    fn with_version(error: Error) -> Self {
        match error.class() {
            Class::Transient => Self::Unfinished(error),
            _ => Self::Failed {
                error,
                leaves_version: true,
            },
        }
    }

    /// A failure where there is no version for certain.
    fn without_version(error: Error) -> Self {
        Self::Failed {
            error,
            leaves_version: false,
        }
    }
}

fn layer_ref(arn: &str, version: u64) -> LayerRef {
    let arn = arn.to_owned();
    LayerRef { arn, version }
}

fn object_ref(bucket: &str, key: &str) -> ObjectRef {
    ObjectRef {
        bucket: bucket.to_owned(),
        key: key.to_owned(),
    }
}

impl Subject {
    /// A notification about it, so far without its particulars.
    fn notification(&self, event: Event) -> Notification {
        Notification::of_layer(event, &self.request, self.project.as_str(), &self.target)
            .of_rollback(self.rolled_back_to.clone())
    }

    fn mark(&self, notification: Notification) -> Mark {
        Mark {
            project: self.project.clone(),
            target: self.target.target(),
            notification,
        }
    }
}

/// The notification about a manifest's layer, with the version that stands.
fn notification_of(event: Event, ready: &Ready, stands: &Published, bucket: &str) -> Notification {
    Notification {
        layer: Some(layer_ref(&stands.layer_arn, stands.version)),
        version_arn: Some(stands.version_arn.clone()),
        manifest: Some(object_ref(bucket, &ready.key)),
        digest: Some(ready.manifest.digest),
        yanked: YankedDistribution::of(&ready.manifest.installed),
        ..ready.subject.notification(event)
    }
}

fn settlement(
    ready: &Ready,
    status: Status,
    change: Option<LayerChange>,
    notification: Notification,
) -> Settlement {
    Settlement {
        request: ready.subject.request.clone(),
        status,
        manifest_key: Some(ready.key.clone()),
        digest: Some(ready.manifest.digest),
        change,
        mark: ready.subject.mark(notification),
    }
}

fn superseded(ready: &Ready, stands: &Published, bucket: &str) -> Settlement {
    let notification = notification_of(Event::LayerSuperseded, ready, stands, bucket);
    settlement(ready, Status::Superseded, None, notification)
}

fn unchanged(ready: &Ready, stands: &Published, revision: u64, bucket: &str) -> Settlement {
    let notification = notification_of(Event::LayerUnchanged, ready, stands, bucket);
    // The order advances: what is older than this request comes too late from now on.
    let published = Published {
        request: ready.subject.request.clone(),
        ..stands.clone()
    };
    let change = LayerChange {
        revision,
        published,
        claim: None,
    };
    settlement(ready, Status::Unchanged, Some(change), notification)
}

fn published(
    ready: &Ready,
    version: &LayerVersion,
    claimed: Claimed,
    changes: Changes,
    review: Review,
    bucket: &str,
) -> Settlement {
    let published = Published {
        request: ready.subject.request.clone(),
        digest: ready.manifest.digest,
        artifact_sha256: ready.manifest.artifact_sha256,
        version: version.version,
        layer_arn: version.layer_arn.clone(),
        version_arn: version.version_arn.clone(),
        manifest_key: ready.key.clone(),
    };
    let notification = Notification {
        changes: Some(changes),
        ..notification_of(Event::LayerPublished, ready, &published, bucket)
    };
    let change = LayerChange {
        revision: claimed.revision,
        published,
        claim: Some(EndedClaim {
            owner: claimed.owner,
            review,
        }),
    };
    settlement(ready, Status::Published, Some(change), notification)
}
