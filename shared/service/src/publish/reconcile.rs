//! The reconciler: finishes the work that other invocations have left undone.

use std::time::Duration;

use accretion_core::layer::LayerName;
use accretion_core::publication::LayerState;
use accretion_core::timestamp::Timestamp;
use accretion_core::{Class, Fault as _, keys};
use tracing::{Instrument as _, Span, error, field, info_span, warn};

use super::Publish;
use super::context::PublishContext;
use crate::Error;
use crate::ports::{OpenTarget, OrphanCheckResult, Pending};

/// The time for which work has to be due before the reconciler takes it up: its own invocation may
/// still be at it, and clocks differ.
const OVERDUE: Duration = Duration::from_mins(1);

/// The silence about a target after which the reconciler looks for its manifest.
const SILENCE: Duration = Duration::from_mins(15);

/// The silence about a target after which its build counts as lost. Longer than the longest pause of
/// an execution and the work after it: executions record each pause.
pub const SILENCE_UNTIL_LOST: Duration = Duration::from_hours(6);

/// The orphan-check window: the time after a suspect claim in which orphan checks of its layer
/// repeat. A version may come into being long after it was asked for.
pub(super) const CHECK_WINDOW: Duration = Duration::from_hours(1);

/// The time between two orphan checks of a window.
const CHECK_PAUSE: Duration = Duration::from_mins(15);

/// The result of a reconciliation.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reconciled {
    /// Expired claims that were finished.
    pub claims: usize,
    /// Outbox entries that were announced.
    pub outbox_entries: usize,
    /// Orphan checks.
    pub orphan_checks: usize,
    /// Orphaned layer versions that the checks found.
    pub orphans: usize,
    /// Open targets that were closed.
    pub targets: usize,
    /// Work that could not be finished this time.
    pub failures: usize,
}

impl Publish<'_> {
    /// Finishes the work that other invocations have left undone.
    pub async fn reconcile(&self) -> Result<Reconciled, Error> {
        let now = self.now();
        let mut reconciled = Reconciled::default();
        let layers = self.ports.layers;
        for pending in layers.pending_before(now.before(OVERDUE)).await? {
            if !self.has_time() {
                break;
            }
            // The request is known once the work is read.
            let span = info_span!("pending", ?pending, request_id = field::Empty);
            let finish = async {
                let finished = self.finish(&pending, &mut reconciled).await;
                reconciled.note_failure(finished.err());
            };
            finish.instrument(span).await;
        }
        let tracking = self.ports.tracking;
        for open in tracking.open_before(now.before(SILENCE)).await? {
            if !self.has_time() {
                break;
            }
            let (id, target) = (&open.build.request.id, open.build.target.target());
            let span = info_span!("open", request_id = %id, %target);
            let close = async {
                let closed = self.close(&open, &mut reconciled).await;
                reconciled.note_failure(closed.err());
            };
            close.instrument(span).await;
        }
        if reconciled.failures > 0 {
            let failures = reconciled.failures;
            let incomplete = Error::ReconciliationIncomplete { failures };
            let (code, hint) = (incomplete.code(), incomplete.hint());
            // An alarm counts these lines.
            error!(code, hint, failures, "{incomplete}");
        }
        Ok(reconciled)
    }

    async fn finish(&self, pending: &Pending, reconciled: &mut Reconciled) -> Result<(), Error> {
        match pending {
            Pending::Layer(layer) => self.finish_layer(layer, reconciled).await,
            Pending::OutboxEntry { layer, event_id } => {
                let is_announced = self.announce_entry(layer, event_id).await?;
                reconciled.outbox_entries += usize::from(is_announced);
                Ok(())
            }
        }
    }

    /// Finishes a layer's claim if it has expired, or checks for orphans if that is due.
    async fn finish_layer(
        &self,
        layer: &LayerName,
        reconciled: &mut Reconciled,
    ) -> Result<(), Error> {
        let (state, now) = (self.ports.layers.state(layer).await?, self.now());
        match (&state.claim, state.check_at) {
            (Some(claim), _) if claim.lease_until <= now => {
                Span::current().record("request_id", claim.request.id.as_str());
                self.take_over(layer, &state, claim).await?;
                reconciled.claims += 1;
            }
            (None, Some(at)) if at <= now => {
                if let Some(orphans) = self.check_for_orphans(layer, &state).await? {
                    reconciled.orphan_checks += 1;
                    reconciled.orphans += orphans;
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Corrects the latest-version parameter and reports orphaned versions, if the layer may have
    /// some. Returns their number; `None` if the layer has changed meanwhile, and a later check
    /// follows.
    async fn check_for_orphans(
        &self,
        layer: &LayerName,
        state: &LayerState,
    ) -> Result<Option<usize>, Error> {
        let layers = self.ports.layers;
        let (project, target) = layer.parts();
        self.set_latest_version(&project, target, layer).await?;
        let mut checked = state.checked_version;
        let mut orphans = Vec::new();
        if state.check_window_until.is_some() {
            for version in self.ports.versions.above(layer, checked).await? {
                checked = checked.max(version);
                if version != state.version() && !layers.is_recorded(layer, version).await? {
                    orphans.push(version);
                }
            }
            if layers.state(layer).await?.revision != state.revision {
                // The versions may belong to a publisher that is active now.
                return Ok(None);
            }
        }
        for &version in &orphans {
            let orphaned = Error::LayerVersionOrphaned {
                layer: layer.to_string(),
                version,
            };
            let (code, hint) = (orphaned.code(), orphaned.hint());
            // An alarm counts these lines.
            error!(code, hint, layer = layer.as_str(), version, "{orphaned}");
        }
        let now = self.now();
        let is_in_window = state.check_window_until.is_some_and(|until| now < until);
        let result = OrphanCheckResult {
            revision: state.revision,
            version: checked,
            next_at: is_in_window.then(|| now.after(CHECK_PAUSE)),
        };
        layers.record_check(layer, result).await?;
        Ok(Some(orphans.len()))
    }

    /// Closes an open target, unless its build may still be in progress.
    async fn close(&self, open: &OpenTarget, reconciled: &mut Reconciled) -> Result<(), Error> {
        let build = &open.build;
        let key = keys::manifest(&build.project, &build.request.id, build.target.target());
        let (error, manifest_key) = match self.read(&key).await {
            Ok(manifest) => {
                self.publish(&manifest).await?;
                reconciled.targets += 1;
                return Ok(());
            }
            Err(Error::ManifestMissing { .. }) if self.may_be_building(open.updated_at) => {
                return Ok(());
            }
            Err(Error::ManifestMissing { .. }) => {
                let since = open.updated_at;
                (Error::BuildLost { since }, None)
            }
            Err(error) if error.class() == Class::Transient => return Err(error),
            Err(error) => (error, Some(key)),
        };
        let context = PublishContext::of_build(build);
        self.fail(&context, manifest_key, None, &error).await?;
        reconciled.targets += 1;
        Ok(())
    }

    fn may_be_building(&self, updated_at: Timestamp) -> bool {
        self.now().before(SILENCE_UNTIL_LOST) < updated_at
    }
}

impl Reconciled {
    fn note_failure(&mut self, error: Option<Error>) {
        if let Some(error) = error {
            let (text, _) = error.logged();
            warn!(code = error.code(), error = text, "not reconciled");
            self.failures += 1;
        }
    }
}
