//! Deleting old versions: the real use case over the ports in memory.

use std::sync::{Mutex, PoisonError};

use accretion_core::layer::{LambdaLayerName, LayerName};
use accretion_core::retention::{Latest, Policy, Uses, Version};
use accretion_core::timestamp::Timestamp;
use accretion_service::Error;
use accretion_service::deletion::{Deletion, Outcome, VersionInventory};
use accretion_service::ports::{PortError, async_trait};
use integration_tests::memory::cloud::Cloud;
use integration_tests::memory::ports::{Call, Invocation};

use crate::mutations::Mutation;

/// The ports of a person who deletes old versions.
pub(crate) struct OldVersions {
    ports: Invocation,
    mutation: Option<Mutation>,
    /// The use by functions at the first read.
    uses: Mutex<Option<Uses>>,
}

impl OldVersions {
    pub(crate) fn new(ports: Invocation, mutation: Option<Mutation>) -> Self {
        Self {
            ports,
            mutation,
            uses: Mutex::default(),
        }
    }

    /// Deletes the versions of all layers that a policy does not keep.
    pub(crate) async fn delete_all(&self, policy: Policy) -> Result<Vec<Outcome>, Error> {
        let layers: Vec<_> = {
            let shared = self.ports.shared();
            let layers = shared.cloud.lambda.keys();
            layers.map(|it| it.as_str().parse().unwrap()).collect()
        };
        let deletion = Deletion::new(self, policy);
        let mut outcomes = Vec::new();
        for judged in deletion.plan(&layers).await? {
            if judged.reason.is_none() {
                let (layer, version) = (&judged.layer, &judged.version);
                outcomes.push(deletion.delete(layer, version).await);
            }
        }
        Ok(outcomes)
    }

    fn is(&self, mutation: Mutation) -> bool {
        self.mutation == Some(mutation)
    }

    async fn call<R>(
        &self,
        call: Call,
        effect: impl FnOnce(&mut Cloud, Timestamp) -> R + Send + 'static,
    ) -> Result<R, PortError> {
        let result = self.ports.call(call, effect).await;
        result.map_err(PortError::new)
    }
}

fn named(layer: &LambdaLayerName) -> LayerName {
    layer.as_str().parse().expect("all layers are a pipeline's")
}

#[async_trait]
impl VersionInventory for OldVersions {
    async fn versions(&self, layer: &LambdaLayerName) -> Result<Vec<Version>, PortError> {
        let layer = named(layer);
        let list = move |cloud: &mut Cloud, _| cloud.old_versions(&layer);
        let mut versions = self.call(Call::ListVersions, list).await?;
        // One that is newer than all others takes their place.
        if self.is(Mutation::RecordedIgnored) || self.is(Mutation::UnrecordedDeleted) {
            versions.push(Version {
                number: u64::MAX,
                arn: String::new(),
                created_at: None,
            });
        }
        Ok(versions)
    }

    async fn latest(&self, layer: &LambdaLayerName) -> Result<Latest, PortError> {
        let layer = named(layer);
        let read = move |cloud: &mut Cloud, _| cloud.latest_version(&layer);
        let mut latest = self.call(Call::ReadLatest, read).await?;
        match self.mutation {
            Some(Mutation::RecordedIgnored) => latest.recorded = None,
            Some(Mutation::UnrecordedDeleted) => {
                latest.in_parameter = latest.recorded;
                latest.recorded = None;
            }
            Some(Mutation::ParameterIgnored) => latest.in_parameter = None,
            _ => {}
        }
        Ok(latest)
    }

    async fn uses(&self) -> Result<Uses, PortError> {
        let list = move |cloud: &mut Cloud, _| cloud.uses();
        let uses = self.call(Call::ListUses, list).await?;
        let mut first = self.uses.lock().unwrap_or_else(PoisonError::into_inner);
        let first = first.get_or_insert_with(|| uses.clone());
        Ok(match self.mutation {
            Some(Mutation::UsesIgnored) => Uses::new(),
            Some(Mutation::UsesNotReadAgain) => first.clone(),
            _ => uses,
        })
    }

    async fn delete(&self, layer: &LambdaLayerName, version: u64) -> Result<(), PortError> {
        let layer = named(layer);
        {
            let mut shared = self.ports.shared();
            let now = shared.now;
            shared.cloud.judge_deletion(&layer, version, now);
        }
        let delete = move |cloud: &mut Cloud, now| cloud.delete_version(&layer, version, now);
        self.call(Call::DeleteVersion, delete).await
    }

    async fn note_deleted(&self, layer: &LambdaLayerName, version: u64) -> Result<(), PortError> {
        let layer = named(layer);
        let note = move |cloud: &mut Cloud, _| cloud.note_deleted(&layer, version);
        self.call(Call::NoteDeleted, note).await
    }
}
