//! Deleting old versions of layers: none that a function uses, and none that is the latest.
//!
//! What is to be deleted is looked for first, for people to agree. Right before each deletion it is
//! looked at again. AWS has no lock between functions and layers, so a function may still begin to
//! use a version between that look and the deletion.

use accretion_core::Fault as _;
use accretion_core::layer::LambdaLayerName;
use accretion_core::retention::{Latest, Policy, Reason, Shelf, Uses, Version};
use tracing::warn;

use crate::ports::PortError;

/// Layer versions in Lambda, who uses them, and what the pipeline knows of them.
pub trait Shelves: Send + Sync {
    /// The versions of a layer.
    fn versions(
        &self,
        layer: &LambdaLayerName,
    ) -> impl Future<Output = Result<Vec<Version>, PortError>> + Send;

    /// The version that is the latest, for all that the pipeline knows.
    fn latest(
        &self,
        layer: &LambdaLayerName,
    ) -> impl Future<Output = Result<Latest, PortError>> + Send;

    /// The functions of the account and region, each of their published versions included, by the
    /// layer versions that they use.
    fn uses(&self) -> impl Future<Output = Result<Uses, PortError>> + Send;

    /// Deletes a version, which may be gone already.
    fn delete(
        &self,
        layer: &LambdaLayerName,
        version: u64,
    ) -> impl Future<Output = Result<(), PortError>> + Send;

    /// Notes in the record of a version that it was deleted. Nothing happens if there is no record.
    fn note_deleted(
        &self,
        layer: &LambdaLayerName,
        version: u64,
    ) -> impl Future<Output = Result<(), PortError>> + Send;
}

/// A version of a layer, and what is to become of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judged {
    /// The layer.
    pub layer: LambdaLayerName,
    /// The version.
    pub version: Version,
    /// The reason to keep it; `None` if it may be deleted.
    pub reason: Option<Reason>,
}

/// What has become of a version that was to be deleted.
#[derive(Debug)]
pub enum Outcome {
    /// It is deleted.
    Deleted,
    /// It is deleted, but its record does not say so.
    Unnoted(PortError),
    /// It is kept, for a reason that there was not before.
    Kept(Reason),
    /// It could not be deleted.
    Failed(PortError),
}

/// Deletes versions of layers.
#[derive(Debug)]
pub struct Deletion<'a, S> {
    shelves: &'a S,
    policy: Policy,
}

impl<'a, S: Shelves> Deletion<'a, S> {
    /// Prepares to delete what a policy does not keep.
    pub fn new(shelves: &'a S, policy: Policy) -> Self {
        Self { shelves, policy }
    }

    /// Looks at all versions of some layers, the newest first. Nothing is deleted.
    pub async fn plan(&self, layers: &[LambdaLayerName]) -> Result<Vec<Judged>, PortError> {
        let mut judged = Vec::new();
        let uses = self.shelves.uses().await?;
        for layer in layers {
            let versions = self.versions(layer).await?;
            let latest = self.shelves.latest(layer).await?;
            let evidence = Shelf {
                versions: &versions,
                latest,
                uses: &uses,
            };
            judged.extend(versions.iter().map(|version| Judged {
                layer: layer.clone(),
                version: version.clone(),
                reason: evidence.reason(version, &self.policy),
            }));
        }
        Ok(judged)
    }

    async fn versions(&self, layer: &LambdaLayerName) -> Result<Vec<Version>, PortError> {
        let mut versions = self.shelves.versions(layer).await?;
        versions.sort_by_key(|version| std::cmp::Reverse(version.number));
        Ok(versions)
    }

    /// Deletes a version that may be deleted, unless there is a reason to keep it by now.
    pub async fn delete(&self, layer: &LambdaLayerName, version: &Version) -> Outcome {
        match self.reason_now(layer, version).await {
            Err(error) => return Outcome::Failed(error),
            Ok(Some(reason)) => return Outcome::Kept(reason),
            Ok(None) => {}
        }
        if let Err(error) = self.shelves.delete(layer, version.number).await {
            return Outcome::Failed(error);
        }
        match self.shelves.note_deleted(layer, version.number).await {
            Ok(()) => Outcome::Deleted,
            Err(error) => {
                warn!(%layer, version.number, code = error.code(), "deleted, and not noted");
                Outcome::Unnoted(error)
            }
        }
    }

    /// Looks once more. What functions use is asked for last: it alone can change at any time.
    async fn reason_now(
        &self,
        layer: &LambdaLayerName,
        version: &Version,
    ) -> Result<Option<Reason>, PortError> {
        let versions = self.shelves.versions(layer).await?;
        let latest = self.shelves.latest(layer).await?;
        let uses = self.shelves.uses().await?;
        let evidence = Shelf {
            versions: &versions,
            latest,
            uses: &uses,
        };
        Ok(evidence.reason(version, &self.policy))
    }
}
