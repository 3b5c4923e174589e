//! Layer versions that may be deleted, who uses them, and what the pipeline has recorded of them.

use std::time::Duration;

use accretion_core::keys;
use accretion_core::layer::{LambdaLayerName, LayerName};
use accretion_core::retention::{Latest, Uses, Version};
use accretion_core::timestamp::Timestamp;
use accretion_service::deletion::VersionInventory;
use accretion_service::ports::{PortError, async_trait};
use aws_sdk_lambda::Client;
use aws_sdk_lambda::types::{FunctionConfiguration, FunctionVersion};
use backon::Retryable as _;

use super::Catalogue;
use crate::error::{Call, Error, Outcome as _, failed};
use crate::layers::{LAYER, layer_state, version_item};
use crate::retry::THROTTLED;
use crate::table::{Record, Table, Update, text};
use crate::tracking::now;
use crate::versions::{NOT_FOUND, signed};
use crate::{Clients, SsmLatestVersions};

/// The pause before each call of Lambda's control plane, which takes 15 calls a second of all
/// callers together: publishers have to get through.
const PAUSE: Duration = Duration::from_millis(100);

/// Functions that Lambda lists at a time at most.
const PAGE: i32 = 50;

/// The attribute of a record that says when the version was deleted.
const DELETED_AT: &str = "DeletedAt";

/// The attribute of a record that says who has deleted the version.
const DELETED_BY: &str = "DeletedBy";

/// The records of layer versions, in the table of layers.
#[derive(Debug, Clone)]
pub struct VersionRecords {
    table: Table,
}

/// The record of a version that was deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VersionRecord {
    /// The ARN.
    pub arn: String,
    /// The time when it was recorded as published.
    pub published_at: Timestamp,
    /// The time when `accretion delete` has deleted it; `None` if it has not.
    pub deleted_at: Option<Timestamp>,
    /// The ARN of who ran that command, if it is known.
    pub deleted_by: Option<String>,
}

impl VersionRecords {
    /// The records in a table of layers.
    pub fn new(clients: &Clients, table: impl Into<String>) -> Self {
        Self {
            table: Table::new(clients, table, "LayerName"),
        }
    }

    /// The record of a version; `None` if there is none.
    pub async fn get(
        &self,
        layer: &LayerName,
        version: u64,
    ) -> Result<Option<VersionRecord>, Error> {
        let sort = version_item(version);
        let record = self.table.read(layer.as_str(), &sort, version_record);
        record.await
    }

    async fn state_version(&self, layer: &LayerName) -> Result<Option<u64>, Error> {
        let state = self.table.read(layer.as_str(), LAYER, layer_state).await?;
        Ok(state.map(|state| state.version()))
    }

    async fn note_deleted(
        &self,
        layer: &LayerName,
        version: u64,
        by: Option<&str>,
    ) -> Result<(), Error> {
        let update = Update::new()
            .set(DELETED_AT, text(&now()))
            .set_if(DELETED_BY, by.map(text))
            .if_present("VersionArn");
        let sort = version_item(version);
        // If it is refused, the version has no record, and is not the pipeline's.
        self.table.update(layer.as_str(), &sort, &update).await?;
        Ok(())
    }
}

fn version_record(item: Record<'_>) -> Result<VersionRecord, String> {
    Ok(VersionRecord {
        arn: item.text("VersionArn")?.to_owned(),
        published_at: item.parsed("PublishedAt")?,
        deleted_at: item.parsed_if_any(DELETED_AT)?,
        deleted_by: item.text_if_any(DELETED_BY)?.map(str::to_owned),
    })
}

/// The layer versions of a region.
#[derive(Debug, Clone)]
pub struct LayerInventory {
    client: Client,
    catalogue: Catalogue,
    /// The ARN of the principal that deletes, if it is known.
    deleted_by: Option<String>,
    records: VersionRecords,
    latest_versions: SsmLatestVersions,
}

impl LayerInventory {
    /// The layer versions of the clients' region, with the records of its pipeline.
    pub fn new(
        clients: &Clients,
        records: VersionRecords,
        latest_versions: SsmLatestVersions,
        deleted_by: Option<String>,
    ) -> Self {
        Self {
            client: Client::new(clients.config()),
            catalogue: Catalogue::new(clients),
            deleted_by,
            records,
            latest_versions,
        }
    }
}

/// A version of a function, for people: `report:3`, `report:$LATEST`.
fn user(function: &FunctionConfiguration) -> String {
    let name = function.function_name().unwrap_or_default();
    let version = function.version().unwrap_or("$LATEST");
    format!("{name}:{version}")
}

#[async_trait]
impl VersionInventory for LayerInventory {
    async fn versions(&self, layer: &LambdaLayerName) -> Result<Vec<Version>, PortError> {
        tokio::time::sleep(PAUSE).await;
        let listed = self.catalogue.versions(layer.as_str(), None).await?;
        let versions = listed.into_iter().map(|listed| Version {
            number: listed.version,
            arn: listed.arn,
            created_at: listed.created_at,
        });
        Ok(versions.collect())
    }

    async fn latest(&self, layer: &LambdaLayerName) -> Result<Latest, PortError> {
        let Ok(layer) = layer.as_str().parse::<LayerName>() else {
            return Ok(Latest::default());
        };
        let (project, target) = layer.parts();
        let prefix = self.latest_versions.prefix();
        let name = keys::latest_version_parameter(prefix, &project, target);
        let parameter = self.latest_versions.read(&name).await?;
        let number = |arn: String| arn.rsplit(':').next()?.parse().ok();
        Ok(Latest {
            recorded: self.records.state_version(&layer).await?,
            in_parameter: parameter.and_then(number),
        })
    }

    /// Lists the functions with all of their published versions. Aliases, with their routing, lead
    /// to one or two of those and to nothing else, so that none of them has to be asked for.
    async fn uses(&self) -> Result<Uses, PortError> {
        let mut uses = Uses::new();
        let mut marker = None;
        loop {
            tokio::time::sleep(PAUSE).await;
            let request = self
                .client
                .list_functions()
                .function_version(FunctionVersion::All)
                .max_items(PAGE)
                .set_marker(marker);
            let outcome = request.send().await;
            let page = outcome.of(Call::new("lambda:ListFunctions", "*"))?;
            for function in page.functions() {
                let name = user(function);
                let layers = function.layers().iter();
                for arn in layers.filter_map(|layer| layer.arn()) {
                    uses.entry(arn.to_owned()).or_default().insert(name.clone());
                }
            }
            marker = page.next_marker.filter(|marker| !marker.is_empty());
            if marker.is_none() {
                return Ok(uses);
            }
        }
    }

    async fn delete(&self, layer: &LambdaLayerName, version: u64) -> Result<(), PortError> {
        Ok(delete_layer_version(&self.client, layer.as_str(), version).await?)
    }

    async fn note_deleted(&self, layer: &LambdaLayerName, version: u64) -> Result<(), PortError> {
        let Ok(layer) = layer.as_str().parse::<LayerName>() else {
            return Ok(());
        };
        let by = self.deleted_by.as_deref();
        Ok(self.records.note_deleted(&layer, version, by).await?)
    }
}

/// Deletes a version, which may be gone already.
pub(super) async fn delete_layer_version(
    client: &Client,
    layer: &str,
    version: u64,
) -> Result<(), Error> {
    // Lambda's control plane takes few calls a second.
    let is_throttled = |error: &_| {
        let call = Call::new("lambda:DeleteLayerVersion", layer);
        matches!(failed(call, error), Error::Throttled { .. })
    };
    let call = || {
        let delete = client.delete_layer_version().layer_name(layer);
        delete.version_number(signed(version)).send()
    };
    let outcome = call.retry(THROTTLED).when(is_throttled).await;
    let call = Call::new("lambda:DeleteLayerVersion", format!("{layer}:{version}"));
    outcome.unless(NOT_FOUND, call)?;
    Ok(())
}
