//! Publishing a layer version under a claim on the layer.

use std::time::Duration;

use accretion_core::layer::LayerName;
use accretion_core::manifest::{LayerManifest, Manifest};
use accretion_core::notification::Changes;
use accretion_core::publication::{Claim, LayerState, OrphanCheck, Published};
use accretion_core::{Class, Fault as _};
use tracing::{Instrument as _, info, info_span, warn};

use super::context::PublishableManifest;
use super::outcome::{self, layer_ref, object_ref};
use super::reconcile::CHECK_WINDOW;
use super::{LEASE_MARGIN, Outcome, Publish};
use crate::Error;
use crate::ports::{Attempt, ClaimRelease, EndedClaim, LayerChange, LayerVersion, StoredArtifact};

/// A claim of this attempt, with the state that it was made on.
pub(super) struct Claimed {
    /// The revision since the claim.
    revision: u64,
    owner: String,
    before: Option<Published>,
    /// True if another attempt may have published under this claim already.
    is_inherited: bool,
    /// True if Lambda may have an orphaned version of the layer.
    may_have_orphan: bool,
}

/// A failure to publish under a claim.
enum Unpublished {
    /// A version may exist, and a retry may finish it.
    Unfinished(Error),
    /// A retry changes nothing, or begins anew.
    Failed {
        error: Error,
        /// True if a version may exist nevertheless.
        may_leave_orphan: bool,
    },
}

impl Publish<'_> {
    /// Claims a layer for a manifest; `None` after a revision conflict.
    pub(super) async fn claim(
        &self,
        manifest: &PublishableManifest,
        state: &LayerState,
    ) -> Result<Option<Claimed>, Error> {
        let claim = Claim {
            // Unique to this claim: a release that takes effect late must not end a later claim.
            owner: format!("{}/{}", self.owner, state.revision),
            request: manifest.context.request.clone(),
            manifest_key: manifest.key.clone(),
            lease_until: self.deadline.after(LEASE_MARGIN),
        };
        let layers = self.ports.layers;
        let is_made = layers
            .claim(&manifest.layer, state.revision, &claim)
            .await?;
        Ok(is_made.then(|| Claimed {
            revision: state.revision + 1,
            owner: claim.owner,
            before: state.published.clone(),
            is_inherited: state.claim.is_some(),
            may_have_orphan: state.may_have_orphan,
        }))
    }

    /// Publishes under a claim; `None` if the claim was lost meanwhile.
    ///
    /// The claim stays if a retry may finish what was begun under it. Every other failure releases
    /// it: a manifest that cannot be published must not block others.
    pub(super) async fn publish_claimed(
        &self,
        manifest: &PublishableManifest,
        artifact: Option<StoredArtifact>,
        claimed: Claimed,
    ) -> Result<Option<Outcome>, Error> {
        let owner = claimed.owner.clone();
        let is_inherited = claimed.is_inherited;
        let published = match self.publish_or_adopt(manifest, artifact, &claimed).await {
            Ok(version) => {
                let committed = self.commit(manifest, &version, claimed).await;
                committed.map_err(Unpublished::with_version)
            }
            Err(unpublished) => Err(unpublished),
        };
        match published {
            Ok(outcome) => Ok(outcome),
            Err(Unpublished::Unfinished(error)) => Err(error),
            Err(Unpublished::Failed {
                error,
                may_leave_orphan,
            }) => {
                let is_suspect = is_inherited || may_leave_orphan;
                let release = ClaimRelease {
                    may_leave_orphan,
                    check: self.check_after(is_suspect.then_some(CHECK_WINDOW)),
                };
                let layers = self.ports.layers;
                layers
                    .release_claim(&manifest.layer, &owner, release)
                    .await?;
                Err(error)
            }
        }
    }

    /// The version that a claim is for: one that was published before and not recorded, or a new
    /// one.
    async fn publish_or_adopt(
        &self,
        manifest: &PublishableManifest,
        artifact: Option<StoredArtifact>,
        claimed: &Claimed,
    ) -> Result<LayerVersion, Unpublished> {
        let is_inherited = claimed.is_inherited;
        if is_inherited || claimed.may_have_orphan {
            let found = self.find_version(manifest, claimed).await;
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
                .artifact(manifest)
                .await
                .map_err(Unpublished::without_version)?,
        };
        let document = &manifest.document;
        let versions = self.ports.versions;
        match versions.publish(&manifest.layer, document, &artifact).await {
            Attempt::Made(version) if version.code_sha256 == document.artifact_sha256 => {
                info!(version_arn = version.version_arn, "published");
                Ok(version)
            }
            Attempt::Made(_) => Err(Unpublished::Failed {
                error: Error::ArtifactDiffers { key: artifact.key },
                may_leave_orphan: true,
            }),
            Attempt::Refused(error) => Err(Unpublished::without_version(error.into())),
            Attempt::Unknown(error) => match self.find_version(manifest, claimed).await {
                Ok(Some(version)) => Ok(version),
                Ok(None) => Err(Unpublished::Unfinished(error.into())),
                Err(error) => Err(Unpublished::Unfinished(error)),
            },
        }
    }

    /// The lowest version above the last recorded one that has the content of a manifest.
    async fn find_version(
        &self,
        manifest: &PublishableManifest,
        claimed: &Claimed,
    ) -> Result<Option<LayerVersion>, Error> {
        let recorded = claimed.before.as_ref().map_or(0, |before| before.version);
        let versions = self.ports.versions;
        for number in versions.above(&manifest.layer, recorded).await? {
            let version = versions.get(&manifest.layer, number).await?;
            if let Some(version) = version
                && version.code_sha256 == manifest.document.artifact_sha256
            {
                info!(version_arn = version.version_arn, "adopted");
                return Ok(Some(version));
            }
        }
        Ok(None)
    }

    /// Completes and records a version that exists; `None` if the claim was lost meanwhile.
    async fn commit(
        &self,
        manifest: &PublishableManifest,
        version: &LayerVersion,
        claimed: Claimed,
    ) -> Result<Option<Outcome>, Error> {
        self.grant(manifest, version.version).await?;
        let changes = self.changes(manifest, claimed.before.as_ref()).await?;
        let bucket = self.ports.manifests.bucket();
        let layer_manifest = LayerManifest {
            layer: layer_ref(&version.layer_arn, version.version),
            artifact_manifest: object_ref(bucket, &manifest.key),
            version_arn: version.version_arn.clone(),
            digest: manifest.document.digest,
            published_at: version.created_at,
        };
        self.ports
            .manifests
            .store_layer_manifest(&manifest.layer, &layer_manifest)
            .await?;
        let change = LayerChange {
            revision: claimed.revision,
            published: outcome::current(manifest, version),
            claim: Some(EndedClaim {
                check: self.check_after(claimed.is_inherited.then_some(CHECK_WINDOW)),
                owner: claimed.owner,
            }),
        };
        let published = outcome::published(manifest, change, changes, bucket);
        let recorded = self.record(&published, None).await?;
        Ok(recorded.or_retry(Outcome::Published))
    }

    /// Grants the permissions of a manifest on a version.
    pub(super) async fn grant(
        &self,
        manifest: &PublishableManifest,
        version: u64,
    ) -> Result<(), Error> {
        for permission in &manifest.permissions {
            self.ports
                .versions
                .grant(&manifest.layer, version, permission)
                .await?;
        }
        Ok(())
    }

    /// The changes from the version before to a manifest's content.
    async fn changes(
        &self,
        manifest: &PublishableManifest,
        before: Option<&Published>,
    ) -> Result<Changes, Error> {
        let text = match before {
            Some(before) => self.ports.manifests.manifest(&before.manifest_key).await?,
            None => None,
        };
        let installed = text
            .and_then(|text| Manifest::from_json(&text).ok())
            .map(|document| document.installed)
            .unwrap_or_default();
        Ok(Changes::between(&installed, &manifest.document.installed).for_message())
    }

    /// The orphan check of a layer whose claim this invocation ends. It follows when every call of
    /// this invocation, and of any that has not seen the end of the claim, must have taken effect.
    /// It has a window if Lambda may have, or get, a version that stays unrecorded.
    fn check_after(&self, window: Option<Duration>) -> OrphanCheck {
        let ends_by = self.deadline.after(LEASE_MARGIN);
        OrphanCheck {
            at: ends_by.after(self.lifetime).after(LEASE_MARGIN),
            window_until: window.map(|window| ends_by.after(window)),
        }
    }

    /// Finishes the claim of an attempt that died, beginning with the claim's own manifest.
    pub(super) async fn take_over(
        &self,
        layer: &LayerName,
        state: &LayerState,
        claim: &Claim,
    ) -> Result<(), Error> {
        // The claim may be of another request.
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
        warn!(%layer, owner = claim.owner, manifest = claim.manifest_key, "taking over an expired claim");
        let manifest = match self.read(&claim.manifest_key).await {
            Ok(manifest) => manifest,
            Err(error) if error.class() == Class::Transient => return Err(error),
            // A manifest that cannot be read now was not published from either.
            Err(error) => {
                let (text, _) = error.logged();
                warn!(
                    code = error.code(),
                    error = text,
                    "an expired claim cannot be finished"
                );
                let release = ClaimRelease {
                    may_leave_orphan: true,
                    check: self.check_after(Some(CHECK_WINDOW)),
                };
                let layers = self.ports.layers;
                return Ok(layers.release_claim(layer, &claim.owner, release).await?);
            }
        };
        let Some(claimed) = self.claim(&manifest, state).await? else {
            return Ok(());
        };
        match self.publish_claimed(&manifest, None, claimed).await {
            Ok(_) => Ok(()),
            Err(error) if error.class() == Class::Transient => Err(error),
            Err(error) => self.fail_manifest(&manifest, &error).await,
        }
    }
}

impl Unpublished {
    /// A failure after which a version exists, or may exist.
    fn with_version(error: Error) -> Self {
        match error.class() {
            Class::Transient => Self::Unfinished(error),
            Class::User | Class::Internal => Self::Failed {
                error,
                may_leave_orphan: true,
            },
        }
    }

    /// A failure after which certainly no version exists.
    fn without_version(error: Error) -> Self {
        Self::Failed {
            error,
            may_leave_orphan: false,
        }
    }
}
