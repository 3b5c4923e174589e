//! The state of AWS for the pipeline, in memory: buckets, tables, layer versions, parameters, the topic
//! and the executions. Each method is one call's effect, atomic as the real one is.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use accretion_core::delivery::InboxObject;
use accretion_core::digest::Written;
use accretion_core::digest::{Digest, Sha256};
use accretion_core::layer::LayerName;
use accretion_core::manifest::{LayerManifest, Manifest};
use accretion_core::notification::Notification;
use accretion_core::publication::{Claim, LayerState, OrphanCheck, Published};
use accretion_core::request::{Permission, ProjectName, RequestId, RequestRef};
use accretion_core::retention::{Latest, Uses, Version};
use accretion_core::target::{Compatibility, LayerTarget};
use accretion_core::timestamp::Timestamp;
use accretion_core::tracking::Status;
use accretion_core::{Class, Fault, keys};
use accretion_service::ports::{
    Acceptance, Accepted, BuildOrder, ClaimRelease, LayerVersion, Listed, OpenTarget,
    OrphanCheckResult, OutboxEntry, Pending, Recorded, Rejected, StoredArtifact, TargetOutcome,
};

use super::dead_letters::DeadLetterQueues;

/// The inbox.
pub const INBOX: &str = "inbox";

/// The artifacts bucket.
pub const BUCKET: &str = "artifacts";

/// The error of a call.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CloudError {
    #[error("the rate is exceeded")]
    Throttled,
    #[error("no answer came in time")]
    TimedOut,
    #[error("there is no such layer version")]
    VersionMissing,
    #[error("the provided principal was invalid")]
    PrincipalInvalid,
    #[error("there is no such artifact")]
    ArtifactMissing,
    #[error("there is another artifact of this digest")]
    ArtifactDiffers,
    #[error("the code storage limit is exceeded")]
    StorageExceeded,
}

impl Fault for CloudError {
    fn code(&self) -> &'static str {
        match self {
            Self::Throttled => "Throttled",
            Self::TimedOut | Self::VersionMissing => "ServiceUnavailable",
            Self::PrincipalInvalid => "PrincipalInvalid",
            Self::ArtifactMissing => "ArtifactMissing",
            Self::ArtifactDiffers => "ArtifactDiffers",
            Self::StorageExceeded => "StorageExceeded",
        }
    }

    fn class(&self) -> Class {
        match self {
            Self::Throttled | Self::TimedOut | Self::VersionMissing => Class::Transient,
            Self::PrincipalInvalid => Class::User,
            Self::ArtifactMissing | Self::ArtifactDiffers | Self::StorageExceeded => {
                Class::Internal
            }
        }
    }
}

/// A target's item in the table of requests.
#[derive(Debug, Clone)]
pub struct TargetItem {
    pub target: Compatibility,
    pub project: ProjectName,
    pub received_at: Timestamp,
    pub status: Status,
    pub updated_at: Timestamp,
    pub digest: Option<Digest>,
    pub code: Option<String>,
}

/// A layer's items in the table of layers.
#[derive(Debug, Clone, Default)]
pub struct LayerItems {
    pub state: LayerState,
    pub versions: BTreeMap<u64, Published>,
    pub outbox: BTreeMap<String, (Timestamp, OutboxEntry)>,
}

impl LayerItems {
    fn await_check(&mut self, check: OrphanCheck) {
        self.state.check_at = Some(check.at);
        let window = &mut self.state.check_window_until;
        *window = check.window_until.or(*window);
    }

    /// The time since when work about the layer itself is pending, or will be.
    pub fn pending_since(&self) -> Option<Timestamp> {
        let claim = self.state.claim.as_ref();
        claim.map_or(self.state.check_at, |claim| Some(claim.lease_until))
    }
}

/// A layer in Lambda. Numbers only grow, whatever is deleted.
#[derive(Debug, Clone, Default)]
pub struct LambdaLayer {
    pub latest: u64,
    pub versions: BTreeMap<u64, StoredVersion>,
}

/// A version of a layer in Lambda.
#[derive(Debug, Clone)]
pub struct StoredVersion {
    pub version: LayerVersion,
    pub grants: BTreeSet<Permission>,
}

/// Something that happened, and cannot be seen any more in what is left of it.
#[derive(Debug, Clone)]
pub enum Fact {
    /// An outcome was recorded.
    Ended(Box<TargetOutcome>),
    /// Lambda has made a version.
    Made {
        layer: LayerName,
        version: u64,
        sha256: Sha256,
    },
    /// Somebody has deleted a version.
    Deleted { layer: LayerName, version: u64 },
}

/// All that AWS keeps.
#[derive(Debug, Default)]
pub struct Cloud {
    /// Objects of the inbox, by key and version.
    pub inbox: BTreeMap<(String, String), Vec<u8>>,
    /// Files that requests name, stored.
    pub files: BTreeMap<String, Vec<u8>>,
    /// Normalised requests.
    pub stored: BTreeMap<RequestId, String>,
    /// Statuses of requests.
    pub requests: BTreeMap<RequestId, Status>,
    /// Targets of requests.
    pub targets: BTreeMap<(RequestId, LayerTarget), TargetItem>,
    /// Builds that were ordered, by the execution's name.
    pub executions: BTreeMap<String, BuildOrder>,
    /// The same in the order in which they were started.
    pub started: Vec<BuildOrder>,
    /// Texts of artifact manifests, by key.
    pub manifests: BTreeMap<String, Vec<u8>>,
    /// The keys of the same in the order in which they were written.
    pub written: Vec<String>,
    /// Texts of locks, by key.
    pub locks: BTreeMap<String, String>,
    /// Artifacts, by key.
    pub artifacts: BTreeMap<String, StoredArtifact>,
    /// The manifests that artifacts were first built with, by the artifact's key.
    pub descriptions: BTreeMap<String, Manifest>,
    /// Manifests of layer versions.
    pub layer_manifests: BTreeMap<(LayerName, u64), LayerManifest>,
    /// The table of layers.
    pub layers: BTreeMap<LayerName, LayerItems>,
    /// Lambda.
    pub lambda: BTreeMap<LayerName, LambdaLayer>,
    /// Latest-version parameters, by name.
    pub parameters: BTreeMap<String, String>,
    /// Dead letters.
    pub dead_letters: DeadLetterQueues,
    /// The notifications of the topic.
    pub sent: Vec<Notification>,
    /// The facts with their times.
    pub history: Vec<(Timestamp, Fact)>,
    /// The number of claims that replaced another.
    pub taken_over: u64,
    /// The layer versions that functions use, by the function.
    pub functions: BTreeMap<String, (LayerName, u64)>,
    /// The time of the last write to each parameter.
    pub written_at: BTreeMap<String, Timestamp>,
    /// Deletions that should not have been asked for.
    pub wrong_deletions: Vec<String>,
    /// Versions whose records say that they were deleted.
    pub noted: BTreeSet<(LayerName, u64)>,
    /// True if statuses are raised whatever they are: a mutation.
    pub is_unranked: bool,
    /// True if Lambda has room for more versions.
    pub storage_exceeded: bool,
}

/// The longest time between the check of a version and its deletion.
const LOOK: Duration = Duration::from_mins(5);

/// The account that Lambda refuses to grant anything to.
pub const UNKNOWN_ACCOUNT: &str = "999999999999";

impl Cloud {
    pub fn read_inbox(&self, object: &InboxObject, limit: usize) -> Option<Vec<u8>> {
        let key = (object.key.clone(), object.version().to_owned());
        let bytes = self.inbox.get(&key)?;
        Some(bytes[..bytes.len().min(limit)].to_vec())
    }

    /// The last version of an object of the inbox, as if versions were counted.
    pub fn latest(&self, key: &str, limit: usize) -> Option<Vec<u8>> {
        let versions = self.inbox.iter().filter(|((it, _), _)| it == key);
        let bytes = versions.map(|(_, bytes)| bytes).next_back()?;
        Some(bytes[..bytes.len().min(limit + 1)].to_vec())
    }

    pub fn list(&self, prefix: &str, limit: usize) -> Vec<Listed> {
        let keys: BTreeSet<_> = self.inbox.keys().map(|(key, _)| key).collect();
        let keys = keys.into_iter().filter(|key| key.starts_with(prefix));
        let listed = keys.filter_map(|key| {
            let size = self.latest(key, usize::MAX - 1)?.len() as u64;
            let key = key.clone();
            Some(Listed { key, size })
        });
        listed.take(limit + 1).collect()
    }

    pub fn store(&mut self, id: RequestId, request: String) {
        self.stored.entry(id).or_insert(request);
    }

    pub fn accept(&mut self, accepted: &Accepted, now: Timestamp) -> Acceptance {
        let RequestRef { received_at, id } = &accepted.request;
        if let Some(status) = self.requests.get(id) {
            return match status {
                Status::Rejected => Acceptance::Rejected,
                _ => Acceptance::Known,
            };
        }
        self.requests.insert(id.clone(), Status::Received);
        for target in &accepted.targets {
            let item = TargetItem {
                target: target.clone(),
                project: accepted.project.clone(),
                received_at: *received_at,
                status: Status::Received,
                updated_at: now,
                digest: None,
                code: None,
            };
            self.targets.insert((id.clone(), target.target()), item);
        }
        Acceptance::New
    }

    pub fn reject(&mut self, rejected: &Rejected) {
        let status = self.requests.entry(rejected.request.id.clone());
        status.or_insert(Status::Rejected);
    }

    /// Records the status of a target, as the state machine does; `false` if there is one that it
    /// does not replace.
    pub fn raise(
        &mut self,
        id: &RequestId,
        target: LayerTarget,
        status: Status,
        now: Timestamp,
    ) -> bool {
        let item = self.targets.get_mut(&(id.clone(), target));
        let item = item.expect("targets are recorded before their builds start");
        let is_due = status.replaces(item.status) || self.is_unranked;
        if is_due {
            item.status = status;
            item.updated_at = now;
        }
        is_due
    }

    /// Records a failed build that waits, as the publisher does.
    pub fn delay(&mut self, build: &BuildOrder, code: String, now: Timestamp) {
        let target = build.target.target();
        let id = &build.request.id;
        if self.raise(id, target, Status::Waiting, now)
            && let Some(item) = self.targets.get_mut(&(id.clone(), target))
        {
            item.code = Some(code);
        }
    }

    pub fn open_before(&self, before: Timestamp) -> Vec<OpenTarget> {
        let open = self
            .targets
            .iter()
            .filter(|(_, item)| !item.status.is_terminal() && item.updated_at < before);
        open.map(|((id, _), item)| OpenTarget {
            build: BuildOrder {
                request: RequestRef {
                    received_at: item.received_at,
                    id: id.clone(),
                },
                project: item.project.clone(),
                target: item.target.clone(),
            },
            updated_at: item.updated_at,
        })
        .collect()
    }

    /// Starts an execution; `false` if its name was used before.
    pub fn start(&mut self, order: &BuildOrder) -> bool {
        let name = order.execution();
        let is_new = !self.executions.contains_key(&name);
        if is_new {
            self.executions.insert(name, order.clone());
            self.started.push(order.clone());
        }
        is_new
    }

    /// The manifest that an artifact was first built with, if both are there and belong together.
    pub fn find_artifact(&self, project: &ProjectName, digest: Digest) -> Option<Manifest> {
        let key = keys::artifact(project, digest);
        let (stored, described) = (self.artifacts.get(&key)?, self.descriptions.get(&key)?);
        let is_whole = stored.sha256 == Some(described.artifact_sha256)
            && stored.size == described.artifact_size;
        is_whole.then(|| described.clone())
    }

    /// Keeps an artifact that must not be there yet, but with the same bytes.
    pub fn put_artifact(&mut self, key: String, written: Written) -> Result<(), CloudError> {
        let artifact = StoredArtifact {
            key: key.clone(),
            version_id: Some("1".to_owned()),
            sha256: Some(written.sha256),
            size: written.size,
        };
        let stored = self.artifacts.entry(key).or_insert(artifact);
        if stored.sha256 == Some(written.sha256) {
            Ok(())
        } else {
            Err(CloudError::ArtifactDiffers)
        }
    }

    pub fn describe_artifact(&mut self, manifest: Manifest) {
        let key = manifest.artifact_s3_key.clone();
        self.descriptions.insert(key, manifest);
    }

    /// Keeps the manifest of a request's target, if there is none, and tells the key.
    pub fn put_manifest(&mut self, manifest: &Manifest) -> String {
        let (request, target) = (manifest.request.as_ref(), manifest.compatibility());
        let request = request.expect("it is of a request");
        let project = manifest.project_name.parse().expect("it is a name");
        let target = target.expect("it is of a layer").target();
        let key = keys::manifest(&project, &request.id, target);
        let lock = manifest.lock_s3_key.as_ref().expect("it is of a request");
        assert!(self.locks.contains_key(lock), "the manifest comes last");
        if !self.manifests.contains_key(&key) {
            self.written.push(key.clone());
            let text = manifest.to_json().into_bytes();
            self.manifests.insert(key.clone(), text);
        }
        key
    }

    /// The text of an artifact manifest, or of the manifest of a layer version.
    pub fn read_manifest(&self, key: &str) -> Option<Vec<u8>> {
        let mut described = self.layer_manifests.iter();
        let described = described.find(|((layer, version), _)| {
            key.starts_with(keys::LAYER_MANIFESTS) && keys::layer_manifest(layer, *version) == key
        });
        let described = described.map(|(_, manifest)| manifest.to_json().into_bytes());
        described.or_else(|| self.manifests.get(key).cloned())
    }

    pub fn describe(&mut self, layer: LayerName, manifest: LayerManifest) {
        let key = (layer, manifest.layer.version);
        self.layer_manifests.insert(key, manifest);
    }

    pub fn publish(
        &mut self,
        layer: &LayerName,
        artifact: &StoredArtifact,
        now: Timestamp,
    ) -> Result<LayerVersion, CloudError> {
        if self.storage_exceeded {
            return Err(CloudError::StorageExceeded);
        }
        let Some(stored) = self.artifacts.get(&artifact.key) else {
            return Err(CloudError::ArtifactMissing);
        };
        assert_eq!(stored.version_id, artifact.version_id, "it is that version");
        let sha256 = stored.sha256.expect("artifacts have checksums");
        let in_lambda = self.lambda.entry(layer.clone()).or_default();
        in_lambda.latest += 1;
        let version = in_lambda.latest;
        let layer_arn = format!("arn:aws:lambda:eu-west-1:123456789012:layer:{layer}");
        let made = LayerVersion {
            version_arn: format!("{layer_arn}:{version}"),
            layer_arn,
            version,
            code_sha256: sha256,
            created_at: now,
        };
        let stored = StoredVersion {
            version: made.clone(),
            grants: BTreeSet::new(),
        };
        in_lambda.versions.insert(version, stored);
        let layer = layer.clone();
        let fact = Fact::Made {
            layer,
            version,
            sha256,
        };
        self.history.push((now, fact));
        Ok(made)
    }

    pub fn version(&self, layer: &LayerName, version: u64) -> Option<&StoredVersion> {
        self.lambda.get(layer)?.versions.get(&version)
    }

    pub fn versions_above(&self, layer: &LayerName, version: u64) -> Vec<u64> {
        let in_lambda = self.lambda.get(layer);
        let above = in_lambda.map(|it| it.versions.range(version + 1..).map(|(&at, _)| at));
        above.into_iter().flatten().collect()
    }

    pub fn grant(
        &mut self,
        layer: &LayerName,
        version: u64,
        permission: &Permission,
    ) -> Result<(), CloudError> {
        if permission.principal() == UNKNOWN_ACCOUNT {
            return Err(CloudError::PrincipalInvalid);
        }
        let in_lambda = self.lambda.get_mut(layer);
        let stored = in_lambda.and_then(|it| it.versions.get_mut(&version));
        let stored = stored.ok_or(CloudError::VersionMissing)?;
        stored.grants.insert(permission.clone());
        Ok(())
    }

    /// Deletes a version, as people do.
    pub fn delete_version(&mut self, layer: &LayerName, version: u64, now: Timestamp) {
        let in_lambda = self.lambda.get_mut(layer);
        let deleted = in_lambda.and_then(|it| it.versions.remove(&version));
        if deleted.is_some() {
            let layer = layer.clone();
            self.history.push((now, Fact::Deleted { layer, version }));
        }
    }

    pub fn old_versions(&self, layer: &LayerName) -> Vec<Version> {
        let in_lambda = self.lambda.get(layer);
        let versions = in_lambda.into_iter().flat_map(|it| it.versions.values());
        let versions = versions.map(|stored| Version {
            number: stored.version.version,
            arn: stored.version.version_arn.clone(),
            created_at: Some(stored.version.created_at),
        });
        versions.collect()
    }

    /// The latest version of a layer by the records of the pipeline.
    pub fn latest_version(&self, layer: &LayerName) -> Latest {
        let (project, target) = layer.parts();
        let name = keys::latest_version_parameter("/accretion", &project, target);
        let parameter = self.parameters.get(&name);
        let recorded = self.layers.get(layer);
        Latest {
            recorded: recorded.map(|items| items.state.version()),
            in_parameter: parameter.and_then(|arn| arn.rsplit(':').next()?.parse().ok()),
        }
    }

    pub fn uses(&self) -> Uses {
        let mut uses = Uses::new();
        for (function, (layer, version)) in &self.functions {
            let arn = format!("arn:aws:lambda:eu-west-1:123456789012:layer:{layer}:{version}");
            uses.entry(arn).or_default().insert(function.clone());
        }
        uses
    }

    /// Takes down what is wrong with a deletion at the moment when it is asked for.
    pub fn judge_deletion(&mut self, layer: &LayerName, version: u64, now: Timestamp) {
        let mut wrong = |why: &str| {
            let wrong = format!("{layer}:{version} {why} and is deleted");
            self.wrong_deletions.push(wrong);
        };
        let mut used = self.functions.values();
        if used.any(|used| *used == (layer.clone(), version)) {
            wrong("is in use");
        }
        let recorded = self.layers.get(layer).map(|items| items.state.version());
        match recorded.unwrap_or_default() {
            recorded if recorded == version => wrong("is current"),
            recorded if recorded < version => wrong("is not recorded"),
            _ => {}
        }
        let (project, target) = layer.parts();
        let name = keys::latest_version_parameter("/accretion", &project, target);
        // Somebody may point to it after it was looked at.
        let since = self.written_at.get(&name).copied().unwrap_or(now);
        let arn = self.parameters.get(&name);
        let is_in_parameter = arn.is_some_and(|arn| arn.ends_with(&format!(":{layer}:{version}")));
        if is_in_parameter && since.after(LOOK) < now {
            wrong("is in the parameter");
        }
    }

    pub fn note_deleted(&mut self, layer: &LayerName, version: u64) {
        if self.is_recorded(layer, version) {
            self.noted.insert((layer.clone(), version));
        }
    }

    pub fn set_latest_version(
        &mut self,
        project: &ProjectName,
        target: LayerTarget,
        arn: &str,
        now: Timestamp,
    ) {
        let name = keys::latest_version_parameter("/accretion", project, target);
        self.written_at.insert(name.clone(), now);
        self.parameters.insert(name, arn.to_owned());
    }

    pub fn state(&self, layer: &LayerName) -> LayerState {
        let items = self.layers.get(layer);
        items.map(|items| items.state.clone()).unwrap_or_default()
    }

    pub fn claim(&mut self, layer: &LayerName, revision: u64, claim: &Claim) -> bool {
        let items = self.layers.entry(layer.clone()).or_default();
        if items.state.revision != revision {
            return false;
        }
        items.state.check_at = None;
        self.taken_over += u64::from(items.state.claim.is_some());
        items.state.revision += 1;
        items.state.claim = Some(claim.clone());
        true
    }

    pub fn release_claim(&mut self, layer: &LayerName, owner: &str, release: ClaimRelease) {
        let Some(items) = self.layers.get_mut(layer) else {
            return;
        };
        if items.state.claim.as_ref().map(|claim| &*claim.owner) == Some(owner) {
            items.state.revision += 1;
            items.state.claim = None;
            items.state.may_have_orphan |= release.may_leave_orphan;
            items.await_check(release.check);
        }
    }

    pub fn is_recorded(&self, layer: &LayerName, version: u64) -> bool {
        let items = self.layers.get(layer);
        items.is_some_and(|items| items.versions.contains_key(&version))
    }

    pub fn record_check(&mut self, layer: &LayerName, result: OrphanCheckResult) {
        let state = self.layers.get_mut(layer).map(|items| &mut items.state);
        if let Some(state) = state.filter(|state| state.revision == result.revision) {
            state.checked_version = result.version;
            state.check_at = result.next_at;
            if result.next_at.is_none() {
                state.check_window_until = None;
            }
        }
    }

    pub fn record(&mut self, outcome: &TargetOutcome, now: Timestamp) -> Recorded {
        let id = (outcome.request.id.clone(), outcome.outbox_entry.target);
        let items = self.layers.entry(outcome.outbox_entry.layer()).or_default();
        if let Some(change) = &outcome.change {
            let owner = items.state.claim.as_ref().map(|claim| &claim.owner);
            let expected = change.claim.as_ref().map(|claim| &claim.owner);
            if items.state.revision != change.revision || owner != expected {
                return Recorded::RevisionConflict;
            }
        }
        let status = self.targets.get(&id).map(|item| item.status.rank());
        // Nothing is above a version that exists.
        let is_higher = status < Some(outcome.status.rank());
        if !is_higher && outcome.status != Status::Published {
            return Recorded::AlreadyRecorded;
        }
        if let Some(change) = &outcome.change {
            let state = &mut items.state;
            state.revision += 1;
            state.claim = None;
            state.published = Some(change.published.clone());
            if let Some(claim) = &change.claim {
                state.may_have_orphan = false;
                items.await_check(claim.check);
                let published = change.published.clone();
                items.versions.insert(published.version, published);
            }
        }
        self.target(outcome, now);
        self.add_outbox_entry(outcome, now);
        let fact = Fact::Ended(Box::new(outcome.clone()));
        self.history.push((now, fact));
        Recorded::Done
    }

    /// Writes the target's part of an outcome.
    pub fn target(&mut self, outcome: &TargetOutcome, now: Timestamp) {
        let id = (outcome.request.id.clone(), outcome.outbox_entry.target);
        let runtimes = outcome.outbox_entry.notification.runtimes.iter().copied();
        let target = Compatibility::new(outcome.outbox_entry.target, runtimes);
        let target = target.expect("a notification names the runtimes of its layer");
        let item = self.targets.entry(id).or_insert_with(|| TargetItem {
            target,
            project: outcome.outbox_entry.project.clone(),
            received_at: outcome.request.received_at,
            status: outcome.status,
            updated_at: now,
            digest: None,
            code: None,
        });
        item.status = outcome.status;
        item.updated_at = now;
        item.digest = outcome.digest.or(item.digest);
        item.code
            .clone_from(&outcome.outbox_entry.notification.code);
    }

    /// Writes the outbox entry of an outcome.
    pub fn add_outbox_entry(&mut self, outcome: &TargetOutcome, now: Timestamp) {
        let entry = outcome.outbox_entry.clone();
        let items = self.layers.entry(entry.layer()).or_default();
        let event_id = entry.notification.event_id.clone();
        items.outbox.insert(event_id, (now, entry));
    }

    pub fn outbox_entry(&self, layer: &LayerName, event_id: &str) -> Option<OutboxEntry> {
        let (_, entry) = self.layers.get(layer)?.outbox.get(event_id)?;
        Some(entry.clone())
    }

    pub fn delete_outbox_entry(&mut self, layer: &LayerName, event_id: &str) {
        if let Some(items) = self.layers.get_mut(layer) {
            items.outbox.remove(event_id);
        }
    }

    pub fn pending_before(&self, before: Timestamp) -> Vec<Pending> {
        let mut pending = Vec::new();
        for (layer, items) in &self.layers {
            if items.pending_since().is_some_and(|since| since < before) {
                pending.push(Pending::Layer(layer.clone()));
            }
            let entries = items.outbox.iter().filter(|(_, (at, _))| *at < before);
            pending.extend(entries.map(|(event_id, _)| Pending::OutboxEntry {
                layer: layer.clone(),
                event_id: event_id.clone(),
            }));
        }
        pending
    }
}
