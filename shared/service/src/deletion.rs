//! Deleting old versions of layers: none that a function uses, and none that is the latest.
//!
//! A plan comes first, for people to confirm. Right before each deletion the version is checked
//! again. AWS has no lock between functions and layers, so a function may still begin to use a
//! version between that check and the deletion.

use accretion_core::Fault as _;
use accretion_core::layer::LambdaLayerName;
use accretion_core::retention::{Evidence, Latest, Policy, Reason, Uses, Version};
use tracing::warn;

use crate::ports::{PortError, async_trait};

/// Layer versions in Lambda, with the functions that use them and the records of the pipeline.
#[async_trait]
pub trait VersionInventory: Send + Sync {
    /// The versions of a layer.
    async fn versions(&self, layer: &LambdaLayerName) -> Result<Vec<Version>, PortError>;

    /// The latest version by the records of the pipeline.
    async fn latest(&self, layer: &LambdaLayerName) -> Result<Latest, PortError>;

    /// The functions of the account and region, each of their published versions included, by the
    /// layer versions that they use.
    async fn uses(&self) -> Result<Uses, PortError>;

    /// Deletes a version. Does nothing if it does not exist.
    async fn delete(&self, layer: &LambdaLayerName, version: u64) -> Result<(), PortError>;

    /// Notes in the record of a version that it was deleted. Does nothing without a record.
    async fn note_deleted(&self, layer: &LambdaLayerName, version: u64) -> Result<(), PortError>;
}

/// A version of a layer in a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedVersion {
    /// The layer.
    pub layer: LambdaLayerName,
    /// The version.
    pub version: Version,
    /// The reason to keep it; `None` if it may be deleted.
    pub reason: Option<Reason>,
}

/// The result of deleting a version.
#[derive(Debug)]
pub enum Outcome {
    /// It is deleted.
    Deleted,
    /// It is deleted, but not noted in its record.
    DeletedUnrecorded(PortError),
    /// It is kept, for a reason that is new since the plan.
    Kept(Reason),
    /// It could not be deleted.
    Failed(PortError),
}

/// Deletes versions of layers.
pub struct Deletion<'a> {
    inventory: &'a dyn VersionInventory,
    policy: Policy,
}

impl<'a> Deletion<'a> {
    /// Prepares to delete the versions that a policy does not keep.
    pub fn new(inventory: &'a dyn VersionInventory, policy: Policy) -> Self {
        Self { inventory, policy }
    }

    /// Plans about all versions of some layers, the newest first. Deletes nothing.
    pub async fn plan(&self, layers: &[LambdaLayerName]) -> Result<Vec<PlannedVersion>, PortError> {
        let mut planned = Vec::new();
        let uses = self.inventory.uses().await?;
        for layer in layers {
            let versions = self.versions(layer).await?;
            let latest = self.inventory.latest(layer).await?;
            let evidence = Evidence {
                versions: &versions,
                latest,
                uses: &uses,
            };
            planned.extend(versions.iter().map(|version| PlannedVersion {
                layer: layer.clone(),
                version: version.clone(),
                reason: evidence.reason(version, &self.policy),
            }));
        }
        Ok(planned)
    }

    async fn versions(&self, layer: &LambdaLayerName) -> Result<Vec<Version>, PortError> {
        let mut versions = self.inventory.versions(layer).await?;
        versions.sort_by_key(|version| std::cmp::Reverse(version.number));
        Ok(versions)
    }

    /// Deletes a version that may be deleted, unless a reason to keep it is new since the plan.
    pub async fn delete(&self, layer: &LambdaLayerName, version: &Version) -> Outcome {
        match self.reason_now(layer, version).await {
            Err(error) => return Outcome::Failed(error),
            Ok(Some(reason)) => return Outcome::Kept(reason),
            Ok(None) => {}
        }
        if let Err(error) = self.inventory.delete(layer, version.number).await {
            return Outcome::Failed(error);
        }
        match self.inventory.note_deleted(layer, version.number).await {
            Ok(()) => Outcome::Deleted,
            Err(error) => {
                warn!(%layer, version.number, code = error.code(), "deleted, and not noted");
                Outcome::DeletedUnrecorded(error)
            }
        }
    }

    /// Checks a version again. The functions come last: only their use can change at any time.
    async fn reason_now(
        &self,
        layer: &LambdaLayerName,
        version: &Version,
    ) -> Result<Option<Reason>, PortError> {
        let versions = self.inventory.versions(layer).await?;
        let latest = self.inventory.latest(layer).await?;
        let uses = self.inventory.uses().await?;
        let evidence = Evidence {
            versions: &versions,
            latest,
            uses: &uses,
        };
        Ok(evidence.reason(version, &self.policy))
    }
}
