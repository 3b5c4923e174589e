//! The steps about a manifest: each follows from one consistent read of the layer's state.

use std::time::Duration;

use accretion_core::publication::{Candidate, Claim, LayerState, Published, Step};

use super::context::PublishableManifest;
use super::{Outcome, Publish, outcome};
use crate::Error;
use crate::ports::Recorded;

/// The first pause before the state of a claimed layer is read again. Each pause is twice as long
/// as the one before, up to [`MAX_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(200);

/// The longest pause.
const MAX_PAUSE: Duration = Duration::from_secs(3);

impl Publish<'_> {
    /// Takes one step after the other until the outcome is recorded.
    pub(super) async fn take_steps(
        &self,
        manifest: &PublishableManifest,
    ) -> Result<Outcome, Error> {
        let candidate = Candidate {
            request: manifest.context.request.clone(),
            digest: manifest.document.digest,
        };
        let mut pause = FIRST_PAUSE;
        loop {
            let state = self.ports.layers.state(&manifest.layer).await?;
            let outcome = match state.next(&candidate, self.now()) {
                Step::AlreadyPublished(_) => return self.already_recorded(manifest).await,
                Step::Superseded(current) => return self.supersede(manifest, current).await,
                Step::Wait(claim) => {
                    self.wait_for(manifest, claim, pause).await?;
                    pause = MAX_PAUSE.min(pause * 2);
                    None
                }
                Step::TakeOver(claim) => {
                    self.take_over(&manifest.layer, &state, claim).await?;
                    None
                }
                Step::Compare(current) => self.compare(manifest, &state, current).await?,
                Step::Publish => self.publish_new(manifest, &state).await?,
            };
            if let Some(outcome) = outcome {
                return Ok(outcome);
            }
        }
    }

    async fn supersede(
        &self,
        manifest: &PublishableManifest,
        current: &Published,
    ) -> Result<Outcome, Error> {
        let superseded = outcome::superseded(manifest, current, self.ports.manifests.bucket());
        match self.record(&superseded, None).await? {
            Recorded::Done => Ok(Outcome::Superseded),
            Recorded::AlreadyRecorded | Recorded::RevisionConflict => {
                self.already_recorded(manifest).await
            }
        }
    }

    async fn wait_for(
        &self,
        manifest: &PublishableManifest,
        claim: &Claim,
        pause: Duration,
    ) -> Result<(), Error> {
        if !self.has_time() {
            let layer = manifest.layer.to_string();
            let until = claim.lease_until;
            return Err(Error::LayerBusy { layer, until });
        }
        self.ports.timer.sleep(pause).await;
        Ok(())
    }

    /// Records that the content is the same, if the current version still exists; publishes a new
    /// version otherwise. `None` after a revision conflict.
    async fn compare(
        &self,
        manifest: &PublishableManifest,
        state: &LayerState,
        current: &Published,
    ) -> Result<Option<Outcome>, Error> {
        let versions = self.ports.versions;
        let version = versions.get(&manifest.layer, current.version).await?;
        if version.is_none() {
            return self.publish_new(manifest, state).await;
        }
        manifest.check_permissions(self.permissions)?;
        self.grant(manifest, current.version).await?;
        let bucket = self.ports.manifests.bucket();
        let unchanged = outcome::unchanged(manifest, current, state.revision, bucket);
        let recorded = self.record(&unchanged, None).await?;
        Ok(recorded.or_retry(Outcome::Unchanged))
    }

    /// Claims the layer and publishes a version of it. `None` after a revision conflict.
    async fn publish_new(
        &self,
        manifest: &PublishableManifest,
        state: &LayerState,
    ) -> Result<Option<Outcome>, Error> {
        manifest.check_permissions(self.permissions)?;
        // Nothing is claimed for an artifact that cannot be published anyway.
        let artifact = self.artifact(manifest).await?;
        match self.claim(manifest, state).await? {
            Some(claimed) => {
                self.publish_claimed(manifest, Some(artifact), claimed)
                    .await
            }
            None => Ok(None),
        }
    }
}

impl Recorded {
    /// The outcome of a manifest; `None` after a revision conflict.
    pub(super) fn or_retry(self, done: Outcome) -> Option<Outcome> {
        match self {
            Self::Done => Some(done),
            Self::AlreadyRecorded => Some(Outcome::AlreadyRecorded),
            Self::RevisionConflict => None,
        }
    }
}
