//! Recording outcomes and announcing them by outbox entries.

use accretion_core::layer::LayerName;
use accretion_core::notification::Event;
use accretion_core::request::ProjectName;
use accretion_core::target::LayerTarget;
use tracing::{Span, info};

use super::context::PublishableManifest;
use super::{Outcome, Publish};
use crate::Error;
use crate::ports::{Milestone, OutboxEntry, Recorded, TargetOutcome};

impl Publish<'_> {
    /// Records an outcome, then announces it. `code` is the code of a failure.
    pub(super) async fn record(
        &self,
        outcome: &TargetOutcome,
        code: Option<&'static str>,
    ) -> Result<Recorded, Error> {
        let recorded = self.ports.layers.record(outcome).await?;
        if recorded == Recorded::Done {
            self.observer.on(Milestone::TargetEnded { outcome, code });
            self.announce(&outcome.outbox_entry).await?;
        }
        Ok(recorded)
    }

    /// Announces the recorded outcome of a manifest, if an earlier attempt died before it did.
    pub(super) async fn already_recorded(
        &self,
        manifest: &PublishableManifest,
    ) -> Result<Outcome, Error> {
        for event in [
            Event::LayerPublished,
            Event::LayerUnchanged,
            Event::LayerSuperseded,
        ] {
            let event_id = manifest.context.notification(event).event_id;
            self.announce_entry(&manifest.layer, &event_id).await?;
        }
        Ok(Outcome::AlreadyRecorded)
    }

    /// Announces an outbox entry of the table; `false` if it does not exist any more.
    pub(super) async fn announce_entry(
        &self,
        layer: &LayerName,
        event_id: &str,
    ) -> Result<bool, Error> {
        match self.ports.layers.outbox_entry(layer, event_id).await? {
            Some(entry) => {
                let id = &entry.notification.request_id;
                Span::current().record("request_id", id.as_str());
                self.announce(&entry).await?;
                Ok(true)
            }
            None => Ok(false),
        }
    }

    /// Writes the latest-version parameter, sends the notification, and deletes the entry.
    async fn announce(&self, entry: &OutboxEntry) -> Result<(), Error> {
        let layer = entry.layer();
        let event = entry.notification.event;
        if matches!(event, Event::LayerPublished | Event::LayerUnchanged) {
            self.set_latest_version(&entry.project, entry.target, &layer)
                .await?;
        }
        self.ports.topic.send(&entry.notification).await?;
        let event_id = &entry.notification.event_id;
        info!(event_id, "notified");
        Ok(self
            .ports
            .layers
            .delete_outbox_entry(&layer, event_id)
            .await?)
    }

    /// Writes the current version to the latest-version parameter, until it has not changed
    /// meanwhile.
    pub(super) async fn set_latest_version(
        &self,
        project: &ProjectName,
        target: LayerTarget,
        layer: &LayerName,
    ) -> Result<(), Error> {
        let mut written = None;
        loop {
            let state = self.ports.layers.state(layer).await?;
            let current = state.published.map(|published| published.version_arn);
            if current.is_none() || current == written {
                return Ok(());
            }
            if let Some(version_arn) = &current {
                let parameters = self.ports.latest_versions;
                parameters.set(project, target, version_arn).await?;
            }
            written = current;
        }
    }
}
