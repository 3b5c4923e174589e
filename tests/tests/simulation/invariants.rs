//! What has to be true at the end of a run, whatever has happened in it.

use std::collections::{BTreeMap, BTreeSet};

use accretion_core::digest::Sha256;
use accretion_core::keys;
use accretion_core::layer::LayerName;
use accretion_core::notification::{Cause, Changes, Event, Notification};
use accretion_core::request::{Permission, RequestId, RequestRef};
use accretion_core::target::LayerTarget;
use accretion_core::timestamp::Timestamp;
use accretion_core::tracking::Status;
use accretion_service::ports::{LayerChange, Settlement};

use crate::simulation::Verified;
use crate::world::{RequestForge, TIMEOUT};
use integration_tests::memory::MERGED_RUNTIMES;
use integration_tests::memory::cloud::{Cloud, Fact, LayerItems, UNKNOWN_ACCOUNT};

/// Everything that is not as it has to be.
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

/// What has happened to a layer.
struct LayerHistory<'a> {
    /// The new versions that were committed, in their order.
    committed: Vec<(Timestamp, &'a Settlement, &'a LayerChange)>,
    /// What left the layer as it was.
    unchanged: Vec<(Timestamp, &'a Settlement, &'a LayerChange)>,
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

    fn settlements(&self) -> impl Iterator<Item = (Timestamp, &'a Settlement)> + use<'a> {
        self.cloud
            .history
            .iter()
            .filter_map(|(at, fact)| match fact {
                Fact::Settled(settlement) => Some((*at, &**settlement)),
                _ => None,
            })
    }

    fn layers(&self) -> BTreeSet<LayerName> {
        let tables = self.cloud.layers.keys();
        tables.chain(self.cloud.lambda.keys()).cloned().collect()
    }

    /// Every request comes to its end, and to the right one.
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
            self.expect(is_known, || format!("{id} is what nobody has sent"));
        }
    }

    /// Nothing that is in use or the latest is deleted for its age, and what is recorded as deleted
    /// is gone.
    fn deletions(&mut self) {
        let wrong = self.cloud.wrong_deletions.clone();
        self.violations.extend(wrong);
        for (layer, version) in &self.cloud.noted {
            let is_gone = self.cloud.version(layer, *version).is_none();
            self.expect(is_gone, || {
                format!("{layer}:{version} is noted as deleted, and there")
            });
        }
    }

    /// A rollback ends with the content of its version, unless a newer request is published, and is
    /// told as what it is.
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
            let stands = self.cloud.state(layer).published;
            let is_lost = item.status == Status::Superseded
                && stands.is_none_or(|stands| stands.request <= request);
            self.expect(!is_lost, || format!("the rollback {id} is lost"));
            let described = &self.cloud.layer_manifests[&(layer.clone(), *version)];
            let is_same = item.digest.is_none_or(|digest| digest == described.digest);
            self.expect(is_same, || {
                format!("the rollback {id} has other content than {layer}:{version}")
            });
            for told in self.settlements().filter(|(_, it)| it.request.id == *id) {
                let told = &told.1.mark.notification;
                // Of one whose manifest was never heard of, that is not known.
                let is_unknown = told.code.as_deref() == Some("BuildLost");
                let to = told.rolled_back_to.as_ref().map(|it| it.version);
                let is_told = told.cause == Some(Cause::Rollback) && to == Some(*version);
                self.expect(is_told || is_unknown, || {
                    format!("{} is told without its cause", told.event_id)
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
        for (_, settlement) in self.settlements() {
            let id = &settlement.request.id;
            let is_rollback = settlement.mark.notification.cause.is_some();
            self.expect(!is_rollback || verified.rollbacks.contains_key(id), || {
                format!("{id} is told as a rollback")
            });
        }
    }

    fn rejected(&mut self, id: &RequestId) {
        let status = self.cloud.requests.get(id).copied();
        self.expect(status == Some(Status::Rejected), || {
            format!("{id} is {status:?}, and not rejected")
        });
        let is_told = self.sent(&format!("{id}-RequestRejected")).next().is_some();
        self.expect(is_told, || format!("nobody was told that {id} is rejected"));
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
        let settled = self.settlements().filter(|(_, it)| {
            it.request.id == *id && it.mark.target == target && it.mark.project == request.project
        });
        let highest = settled.map(|(_, it)| it.status).max();
        self.expect(highest.is_none_or(|it| it <= status), || {
            format!("{name} was {highest:?} and is {status}")
        });
        if status == Status::Failed {
            let why = item.code.as_deref();
            let has_failed = self.verified.failed_builds.contains(&(id.clone(), target));
            let is_right = match why {
                None | Some("BuildLost") => has_failed,
                Some("ArtifactMissing") => self.verified.is_tampered,
                Some("PrincipalInvalid") => request.demands_too_much(),
                Some(_) => false,
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
        let is_told = self
            .sent(&format!("{name}-{}", event.name()))
            .next()
            .is_some();
        self.expect(is_told, || {
            format!("nobody was told that {name} is {status}")
        });
    }

    /// What is told is told again in the same words, and only if it is so.
    fn notifications(&mut self) {
        for (_, settlement) in self.settlements() {
            let told = &settlement.mark.notification;
            let event_id = &told.event_id;
            let is_told = self.sent(event_id).next().is_some();
            self.expect(is_told, || format!("nobody was told of {event_id}"));
        }
        let marks: BTreeMap<&str, &Notification> = self
            .settlements()
            .map(|(_, it)| &it.mark.notification)
            .map(|it| (&*it.event_id, it))
            .collect();
        for sent in &self.cloud.sent {
            let is_of_publisher =
                !matches!(sent.event, Event::RequestRejected | Event::BuildFailed);
            let event_id = &*sent.event_id;
            let runtimes = if event_id.contains("-py-") {
                &MERGED_RUNTIMES[..]
            } else {
                &MERGED_RUNTIMES[1..]
            };
            let is_of_layer = sent.event != Event::RequestRejected;
            self.expect(!is_of_layer || sent.runtimes == runtimes, || {
                format!("{event_id} is told for {:?}", sent.runtimes)
            });
            if is_of_publisher {
                self.expect(marks.get(event_id) == Some(&sent), || {
                    format!("{event_id} was told as it is not: {sent:?}")
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
                Fact::Settled(settlement) if settlement.mark.layer() == *layer => {
                    match &settlement.change {
                        Some(change) if change.is_new_version() => {
                            history.committed.push((*at, settlement, change));
                        }
                        Some(change) => history.unchanged.push((*at, settlement, change)),
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
            self.pointer(layer, items);
        }
        self.changes(layer, &history);
        self.versions(layer, &history);
        self.grants(layer, &history);
        self.descriptions(layer, &history);
    }

    /// Nothing is left undone.
    fn at_rest(&mut self, layer: &LayerName, items: &LayerItems) {
        let claim = &items.state.claim;
        self.expect(claim.is_none(), || {
            format!("{layer} has a claim: {claim:?}")
        });
        let review_at = items.state.review_at;
        self.expect(review_at.is_none(), || {
            format!("{layer} is still to be reviewed, at {review_at:?}")
        });
        let watch_until = items.state.watch_until;
        self.expect(watch_until.is_none(), || {
            format!("{layer} is still watched, until {watch_until:?}")
        });
        let marks: Vec<_> = items.marks.keys().collect();
        self.expect(marks.is_empty(), || format!("{layer} has marks: {marks:?}"));
    }

    /// What stands is what the newest request wanted that came to a layer.
    fn newest(&mut self, layer: &LayerName, items: &LayerItems) {
        let published = items.state.published.as_ref();
        let stands = published.map(|it| &it.request);
        for ((id, target), item) in &self.cloud.targets {
            if LayerName::new(&item.project, *target) != *layer {
                continue;
            }
            let request = RequestRef {
                received_at: item.received_at,
                id: id.clone(),
            };
            let is_right = match item.status {
                Status::Published | Status::Unchanged => Some(&request) <= stands,
                Status::Superseded => Some(&request) < stands,
                _ => true,
            };
            self.expect(is_right, || {
                let status = item.status;
                format!("{request:?} is {status}, and {stands:?} stands for {layer}")
            });
        }
        if let Some(published) = published {
            let forged = &self.verified.valid[&published.request.id];
            let target = self.cloud.targets.keys();
            let target = target.map(|(_, target)| *target);
            let digest = target
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
                    "{:?} stands for {layer} and is {status:?}",
                    published.request
                )
            });
        }
    }

    fn pointer(&mut self, layer: &LayerName, items: &LayerItems) {
        let Some(published) = &items.state.published else {
            return;
        };
        let forged = &self.verified.valid[&published.request.id];
        let target = forged.targets.iter();
        let target = target
            .copied()
            .find(|target| forged.layer(*target) == *layer);
        let target = target.expect("it is one of its layers");
        let name = keys::pointer("/accretion", &forged.project, target);
        let pointer = self.cloud.pointers.get(&name);
        self.expect(pointer == Some(&published.version_arn), || {
            format!(
                "{layer} is {}, and its pointer {pointer:?}",
                published.version_arn
            )
        });
    }

    /// There is one version for each change of content, and none for no change.
    fn changes(&mut self, layer: &LayerName, history: &LayerHistory<'_>) {
        let mut before: Option<&LayerChange> = None;
        for (at, settlement, change) in &history.committed {
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
            let changes = settlement.mark.notification.changes.as_ref();
            let is_told = changes.is_some_and(|changes| match &expected {
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
            self.expect(is_told, || {
                format!("{layer}:{} is told as {changes:?}", now.version)
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
                format!("{newer:?} stands for {layer} after {older:?}")
            });
        }
        for (at, settlement, change) in &history.unchanged {
            let version = change.published.version;
            // Somebody may delete it while it is being looked at.
            let deleted = history.deleted.get(&version);
            let is_there = deleted.is_none_or(|deleted| *at <= deleted.after(2 * TIMEOUT));
            self.expect(is_there, || {
                let request = &settlement.request.id;
                format!("{request} is unchanged, and {layer}:{version} was deleted")
            });
        }
    }

    /// Lambda has the versions that are committed and no others, but for what an operator is told of.
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
                let violation = format!("{layer}:{version} is nobody's");
                self.violations.push(violation);
            }
            let is_told = alarms.contains(&(layer.clone(), *version));
            self.expect(is_told, || {
                format!("{layer}:{version} is nobody's, and there was no alarm")
            });
        }
    }

    /// Who was to be let is let, and nobody else.
    fn grants(&mut self, layer: &LayerName, history: &LayerHistory<'_>) {
        let Some(in_lambda) = self.cloud.lambda.get(layer) else {
            return;
        };
        for (version, stored) in &in_lambda.versions {
            let settled = history.committed.iter().chain(&history.unchanged);
            let wanted: BTreeSet<&Permission> = settled
                .filter(|(_, _, change)| change.published.version == *version)
                .flat_map(|(_, settlement, _)| {
                    &self.verified.valid[&settlement.request.id].permissions
                })
                .collect();
            let mut missing = wanted.iter().filter(|it| !stored.grants.contains(**it));
            let missing = missing.next();
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
    /// Whether it asks for what Lambda refuses.
    fn demands_too_much(&self) -> bool {
        let mut permissions = self.permissions.iter();
        permissions.any(|it| it.principal() == UNKNOWN_ACCOUNT)
    }

    /// Whether it wants that content for a layer.
    fn makes(&self, layer: &LayerName, artifact: Sha256) -> bool {
        let mut targets = self.targets.iter();
        targets.any(|&target| self.layer(target) == *layer) && self.artifact() == artifact
    }
}
