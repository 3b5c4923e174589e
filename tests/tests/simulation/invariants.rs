//! The invariants at the end of a run.

use std::collections::{BTreeMap, BTreeSet};

use accretion_core::digest::Sha256;
use accretion_core::keys;
use accretion_core::layer::LayerName;
use accretion_core::notification::{Cause, Changes, Event, Notification};
use accretion_core::request::{Permission, RequestId, RequestRef};
use accretion_core::target::LayerTarget;
use accretion_core::timestamp::Timestamp;
use accretion_core::tracking::Status;
use accretion_service::ports::{LayerChange, TargetOutcome};

use crate::simulation::Verified;
use crate::world::{BUILD_BROKEN, RequestForge, TIMEOUT};
use integration_tests::memory::MERGED_RUNTIMES;
use integration_tests::memory::cloud::{Cloud, Fact, LayerItems, UNKNOWN_ACCOUNT};

/// All violations of invariants.
pub(crate) fn violations(verified: &Verified<'_>) -> Vec<String> {
    let shared = verified.world.shared();
    let mut check = Check {
        verified,
        cloud: &shared.cloud,
        violations: Vec::new(),
    };
    check.requests();
    if !check.violations.is_empty() {
        return check.violations;
    }
    check.deletions();
    check.rollbacks();
    check.notifications();
    for layer in check.layers() {
        check.layer(&layer);
    }
    check.violations
}

struct Check<'a> {
    verified: &'a Verified<'a>,
    cloud: &'a Cloud,
    violations: Vec<String>,
}

/// The history of a layer.
struct LayerHistory<'a> {
    /// The new versions that were committed, in their order.
    committed: Vec<(Timestamp, &'a TargetOutcome, &'a LayerChange)>,
    /// The outcomes that left the layer unchanged.
    unchanged: Vec<(Timestamp, &'a TargetOutcome, &'a LayerChange)>,
    made: BTreeMap<u64, Sha256>,
    deleted: BTreeMap<u64, Timestamp>,
}

impl<'a> Check<'a> {
    fn expect(&mut self, holds: bool, violation: impl FnOnce() -> String) {
        if !holds {
            self.violations.push(violation());
        }
    }

    fn sent(&self, event_id: &str) -> impl Iterator<Item = &'a Notification> {
        let sent = self.cloud.sent.iter();
        sent.filter(move |it| it.event_id == event_id)
    }

    fn outcomes(&self) -> impl Iterator<Item = (Timestamp, &'a TargetOutcome)> + use<'a> {
        self.cloud
            .history
            .iter()
            .filter_map(|(at, fact)| match fact {
                Fact::Ended(outcome) => Some((*at, &**outcome)),
                _ => None,
            })
    }

    fn layers(&self) -> BTreeSet<LayerName> {
        let tables = self.cloud.layers.keys();
        tables.chain(self.cloud.lambda.keys()).cloned().collect()
    }

    /// Every request ends with the right outcome.
    fn requests(&mut self) {
        for (id, request) in self.verified.valid {
            if self.cloud.requests.get(id) == Some(&Status::Rejected)
                && self.verified.vanished.contains(id)
            {
                self.rejected(id);
                continue;
            }
            for &target in &request.targets {
                self.target(id, request, target);
            }
        }
        for id in self.verified.invalid {
            self.rejected(id);
        }
        for id in self.cloud.requests.keys() {
            let verified = self.verified;
            let is_known = verified.valid.contains_key(id) || verified.invalid.contains(id);
            self.expect(is_known, || format!("{id} was never sent"));
        }
    }

    /// No version in use and no latest version is deleted for its age, and versions that are noted as
    /// deleted are gone.
    fn deletions(&mut self) {
        let wrong = self.cloud.wrong_deletions.clone();
        self.violations.extend(wrong);
        for (layer, version) in &self.cloud.noted {
            let is_gone = self.cloud.version(layer, *version).is_none();
            self.expect(is_gone, || {
                format!("{layer}:{version} is noted as deleted, and exists")
            });
        }
    }

    /// A rollback ends with the content of its version, unless a newer request is published, and its
    /// notifications have its cause.
    fn rollbacks(&mut self) {
        let verified = self.verified;
        for (id, (layer, version)) in verified.rollbacks {
            let Some(item) = self.cloud.targets.get(&(id.clone(), layer.parts().1)) else {
                continue;
            };
            let request = RequestRef {
                received_at: item.received_at,
                id: id.clone(),
            };
            let current = self.cloud.state(layer).published;
            let is_lost = item.status == Status::Superseded
                && current.is_none_or(|current| current.request <= request);
            self.expect(!is_lost, || format!("the rollback {id} is lost"));
            let described = &self.cloud.layer_manifests[&(layer.clone(), *version)];
            let is_same = item.digest.is_none_or(|digest| digest == described.digest);
            self.expect(is_same, || {
                format!("the rollback {id} has other content than {layer}:{version}")
            });
            for (_, outcome) in self.outcomes().filter(|(_, it)| it.request.id == *id) {
                let announced = &outcome.outbox_entry.notification;
                // Without a manifest, the cause is not known.
                let is_unknown = announced.code.as_deref() == Some("BuildLost");
                let to = announced.rolled_back_to.as_ref().map(|it| it.version);
                let is_right = announced.cause == Some(Cause::Rollback) && to == Some(*version);
                self.expect(is_right || is_unknown, || {
                    format!("{} is announced without its cause", announced.event_id)
                });
            }
            let forged = &verified.valid[id];
            let granted: BTreeSet<_> = forged.permissions.iter().collect();
            let mut asked = verified.valid.iter().filter(|(other, it)| {
                !verified.rollbacks.contains_key(other) && it.makes(layer, forged.artifact())
            });
            let is_asked =
                asked.any(|(_, it)| it.permissions.iter().collect::<BTreeSet<_>>() == granted);
            self.expect(is_asked, || {
                format!("the rollback {id} grants what no request for its version did")
            });
        }
        for (_, outcome) in self.outcomes() {
            let id = &outcome.request.id;
            let is_rollback = outcome.outbox_entry.notification.cause.is_some();
            self.expect(!is_rollback || verified.rollbacks.contains_key(id), || {
                format!("{id} is announced as a rollback")
            });
        }
    }

    fn rejected(&mut self, id: &RequestId) {
        let status = self.cloud.requests.get(id).copied();
        self.expect(status == Some(Status::Rejected), || {
            format!("{id} is {status:?}, and not rejected")
        });
        let is_announced = self.sent(&format!("{id}-RequestRejected")).next().is_some();
        self.expect(is_announced, || {
            format!("{id} is rejected, which was not announced")
        });
        let is_started = self.cloud.started.iter().any(|it| it.request.id == *id);
        self.expect(!is_started, || format!("{id} is rejected and built"));
    }

    fn target(&mut self, id: &RequestId, request: &RequestForge, target: LayerTarget) {
        let name = keys::execution(id, target);
        let Some(item) = self.cloud.targets.get(&(id.clone(), target)) else {
            self.violations.push(format!("{name} is not recorded"));
            return;
        };
        let status = item.status;
        self.expect(status.is_terminal(), || format!("{name} is still {status}"));
        let ended = self.outcomes().filter(|(_, it)| {
            let entry = &it.outbox_entry;
            it.request.id == *id && entry.target == target && entry.project == request.project
        });
        let highest = ended.map(|(_, it)| it.status).max();
        self.expect(highest.is_none_or(|it| it <= status), || {
            format!("{name} was {highest:?} and is {status}")
        });
        if status == Status::Failed {
            let why = item.code.as_deref();
            let has_failed = self.verified.failed_builds.contains(&(id.clone(), target));
            let is_right = match why {
                Some(BUILD_BROKEN | "BuildLost") => has_failed,
                Some("ArtifactMissing") => self.verified.is_tampered,
                Some("PrincipalInvalid") => request.demands_too_much(),
                _ => false,
            };
            self.expect(is_right, || format!("{name} failed: {why:?}"));
        }
        let event = match status {
            Status::Failed => Event::BuildFailed,
            Status::Superseded => Event::LayerSuperseded,
            Status::Unchanged => Event::LayerUnchanged,
            Status::Published => Event::LayerPublished,
            _ => return,
        };
        let is_announced = self
            .sent(&format!("{name}-{}", event.name()))
            .next()
            .is_some();
        self.expect(is_announced, || {
            format!("{name} is {status}, which was not announced")
        });
    }

    /// Repeated notifications are equal, and all of them match the records.
    fn notifications(&mut self) {
        for (_, outcome) in self.outcomes() {
            let event_id = &outcome.outbox_entry.notification.event_id;
            let is_announced = self.sent(event_id).next().is_some();
            self.expect(is_announced, || format!("{event_id} was not announced"));
        }
        let recorded: BTreeMap<&str, &Notification> = self
            .outcomes()
            .map(|(_, it)| &it.outbox_entry.notification)
            .map(|it| (&*it.event_id, it))
            .collect();
        for sent in &self.cloud.sent {
            let event_id = &*sent.event_id;
            let runtimes = if event_id.contains("-py-") {
                &MERGED_RUNTIMES[..]
            } else {
                &MERGED_RUNTIMES[1..]
            };
            let is_of_layer = sent.event != Event::RequestRejected;
            self.expect(!is_of_layer || sent.runtimes == runtimes, || {
                format!("{event_id} is announced for {:?}", sent.runtimes)
            });
            if is_of_layer {
                self.expect(recorded.get(event_id) == Some(&sent), || {
                    format!("{event_id} differs from its record: {sent:?}")
                });
            }
        }
    }

    fn history(&self, layer: &LayerName) -> LayerHistory<'a> {
        let mut history = LayerHistory {
            committed: Vec::new(),
            unchanged: Vec::new(),
            made: BTreeMap::new(),
            deleted: BTreeMap::new(),
        };
        for (at, fact) in &self.cloud.history {
            match fact {
                Fact::Ended(outcome) if outcome.outbox_entry.layer() == *layer => {
                    match &outcome.change {
                        Some(change) if change.is_new_version() => {
                            history.committed.push((*at, outcome, change));
                        }
                        Some(change) => history.unchanged.push((*at, outcome, change)),
                        None => {}
                    }
                }
                Fact::Made {
                    layer: of,
                    version,
                    sha256,
                } if of == layer => {
                    history.made.insert(*version, *sha256);
                }
                Fact::Deleted { layer: of, version } if of == layer => {
                    history.deleted.insert(*version, *at);
                }
                _ => {}
            }
        }
        history
    }

    fn layer(&mut self, layer: &LayerName) {
        let history = self.history(layer);
        if let Some(items) = self.cloud.layers.get(layer) {
            self.at_rest(layer, items);
            self.newest(layer, items);
            self.parameter(layer, items);
        }
        self.changes(layer, &history);
        self.versions(layer, &history);
        self.grants(layer, &history);
        self.descriptions(layer, &history);
    }

    /// No work is pending.
    fn at_rest(&mut self, layer: &LayerName, items: &LayerItems) {
        let claim = &items.state.claim;
        self.expect(claim.is_none(), || {
            format!("{layer} has a claim: {claim:?}")
        });
        let check_at = items.state.check_at;
        self.expect(check_at.is_none(), || {
            format!("{layer} has an orphan check, at {check_at:?}")
        });
        let window = items.state.check_window_until;
        self.expect(window.is_none(), || {
            format!("{layer} has an orphan-check window, until {window:?}")
        });
        let entries: Vec<_> = items.outbox.keys().collect();
        self.expect(entries.is_empty(), || {
            format!("{layer} has outbox entries: {entries:?}")
        });
    }

    /// The current version has the content of the newest request that reached the layer.
    fn newest(&mut self, layer: &LayerName, items: &LayerItems) {
        let published = items.state.published.as_ref();
        let current = published.map(|it| &it.request);
        for ((id, target), item) in &self.cloud.targets {
            if LayerName::new(&item.project, *target) != *layer {
                continue;
            }
            let request = RequestRef {
                received_at: item.received_at,
                id: id.clone(),
            };
            let is_right = match item.status {
                Status::Published | Status::Unchanged => Some(&request) <= current,
                Status::Superseded => Some(&request) < current,
                _ => true,
            };
            self.expect(is_right, || {
                let status = item.status;
                format!("{request:?} is {status}, and {current:?} is current for {layer}")
            });
        }
        if let Some(published) = published {
            let forged = &self.verified.valid[&published.request.id];
            let targets = self.cloud.targets.keys();
            let digest = targets
                .map(|(_, target)| *target)
                .filter(|target| forged.layer(*target) == *layer)
                .map(|target| forged.digest(target))
                .next();
            self.expect(digest == Some(published.digest), || {
                format!(
                    "{layer} does not have the content of {:?}",
                    published.request
                )
            });
            let item = self.cloud.targets.iter().find(|((id, target), item)| {
                *id == published.request.id && LayerName::new(&item.project, *target) == *layer
            });
            let status = item.map(|(_, item)| item.status);
            let is_right = matches!(status, Some(Status::Published | Status::Unchanged));
            self.expect(is_right, || {
                format!(
                    "{:?} is current for {layer} and is {status:?}",
                    published.request
                )
            });
        }
    }

    fn parameter(&mut self, layer: &LayerName, items: &LayerItems) {
        let Some(published) = &items.state.published else {
            return;
        };
        let forged = &self.verified.valid[&published.request.id];
        let mut targets = forged.targets.iter().copied();
        let target = targets
            .find(|target| forged.layer(*target) == *layer)
            .expect("it is one of its layers");
        let name = keys::latest_version_parameter("/accretion", &forged.project, target);
        let parameter = self.cloud.parameters.get(&name);
        self.expect(parameter == Some(&published.version_arn), || {
            format!(
                "{layer} is {}, and its parameter {parameter:?}",
                published.version_arn
            )
        });
    }

    /// Each change of content has one version, and nothing else has one.
    fn changes(&mut self, layer: &LayerName, history: &LayerHistory<'_>) {
        let mut before: Option<&LayerChange> = None;
        for (at, outcome, change) in &history.committed {
            let now = &change.published;
            if let Some(before) = before.map(|change| &change.published) {
                let is_newer = before.version < now.version;
                self.expect(is_newer, || {
                    format!("{layer}:{} is no newer one", now.version)
                });
                let is_gone = history.deleted.get(&before.version) <= Some(at)
                    && history.deleted.contains_key(&before.version);
                self.expect(before.digest != now.digest || is_gone, || {
                    format!("{layer}:{} has changed nothing", now.version)
                });
            }
            let of =
                |change: &LayerChange| self.verified.valid[&change.published.request.id].content;
            let expected = before.map(|before| (of(before).to_string(), of(change).to_string()));
            let changes = outcome.outbox_entry.notification.changes.as_ref();
            let is_right = changes.is_some_and(|changes| match &expected {
                None => changes.added.len() == 1 && changes.updated.is_empty(),
                Some((from, to)) if from == to => *changes == Changes::default(),
                Some((from, to)) => {
                    let [update] = &changes.updated[..] else {
                        return false;
                    };
                    let is_all = changes.added.is_empty() && changes.removed.is_empty();
                    is_all && update.from == *from && update.to == *to
                }
            });
            self.expect(is_right, || {
                format!("{layer}:{} is announced with {changes:?}", now.version)
            });
            before = Some(change);
        }
        let mut in_order: Vec<_> = history.committed.iter().chain(&history.unchanged).collect();
        in_order.sort_by_key(|(_, _, change)| change.revision);
        for pair in in_order.windows(2) {
            let [older, newer] = pair.iter().map(|it| &it.2.published).collect::<Vec<_>>()[..]
            else {
                continue;
            };
            self.expect(older.request < newer.request, || {
                let (older, newer) = (&older.request, &newer.request);
                format!("{newer:?} is current for {layer} after {older:?}")
            });
        }
        for (at, outcome, change) in &history.unchanged {
            let version = change.published.version;
            // A person may delete it while the publisher decides.
            let deleted = history.deleted.get(&version);
            let is_there = deleted.is_none_or(|deleted| *at <= deleted.after(2 * TIMEOUT));
            self.expect(is_there, || {
                let request = &outcome.request.id;
                format!("{request} is unchanged, and {layer}:{version} was deleted")
            });
        }
    }

    /// Lambda has the committed versions, and no others except those that an alarm has reported.
    fn versions(&mut self, layer: &LayerName, history: &LayerHistory<'_>) {
        let committed: BTreeMap<u64, Sha256> = history
            .committed
            .iter()
            .map(|(_, _, change)| (change.published.version, change.published.artifact_sha256))
            .collect();
        for (version, sha256) in &committed {
            let made = history.made.get(version);
            self.expect(made == Some(sha256), || {
                format!("{layer}:{version} is committed and {made:?}")
            });
        }
        let demands_too_much = |sha256: &Sha256| {
            let mut requests = self.verified.valid.values();
            requests.any(|it| it.demands_too_much() && it.makes(layer, *sha256))
        };
        let alarms = self.verified.alarms;
        for (version, sha256) in &history.made {
            if committed.contains_key(version) || history.deleted.contains_key(version) {
                continue;
            }
            if !demands_too_much(sha256) && !self.verified.may_have_twins {
                let violation = format!("{layer}:{version} is an orphan");
                self.violations.push(violation);
            }
            let is_reported = alarms.contains(&(layer.clone(), *version));
            self.expect(is_reported, || {
                format!("{layer}:{version} is an orphan, and there was no alarm")
            });
        }
    }

    /// Exactly the requested permissions exist.
    fn grants(&mut self, layer: &LayerName, history: &LayerHistory<'_>) {
        let Some(in_lambda) = self.cloud.lambda.get(layer) else {
            return;
        };
        for (version, stored) in &in_lambda.versions {
            let ended = history.committed.iter().chain(&history.unchanged);
            let wanted: BTreeSet<&Permission> = ended
                .filter(|(_, _, change)| change.published.version == *version)
                .flat_map(|(_, outcome, _)| &self.verified.valid[&outcome.request.id].permissions)
                .collect();
            let missing = wanted.iter().find(|it| !stored.grants.contains(**it));
            self.expect(missing.is_none(), || {
                format!("{layer}:{version} lacks {missing:?}")
            });
            let is_wanted = stored.grants.iter().all(|permission| {
                let mut requests = self.verified.valid.values();
                requests.any(|it| {
                    it.makes(layer, stored.version.code_sha256)
                        && it.permissions.contains(permission)
                })
            });
            self.expect(is_wanted, || {
                format!("{layer}:{version} has a grant too many")
            });
        }
    }

    /// Every version has its manifest.
    fn descriptions(&mut self, layer: &LayerName, history: &LayerHistory<'_>) {
        for (_, _, change) in &history.committed {
            let published = &change.published;
            let key = (layer.clone(), published.version);
            let manifest = self.cloud.layer_manifests.get(&key);
            let is_right = manifest.is_some_and(|it| {
                it.version_arn == published.version_arn && it.digest == published.digest
            });
            self.expect(is_right, || {
                format!("{layer}:{} is described as {manifest:?}", published.version)
            });
        }
    }
}

impl RequestForge {
    /// Returns whether it asks for a permission that Lambda refuses.
    fn demands_too_much(&self) -> bool {
        let mut permissions = self.permissions.iter();
        permissions.any(|it| it.principal() == UNKNOWN_ACCOUNT)
    }

    /// Returns whether it wants that content for a layer.
    fn makes(&self, layer: &LayerName, artifact: Sha256) -> bool {
        let mut targets = self.targets.iter();
        targets.any(|&target| self.layer(target) == *layer) && self.artifact() == artifact
    }
}
