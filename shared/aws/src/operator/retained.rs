//! The resources that stay when a stack is deleted, and their removal.

use std::collections::{BTreeMap, BTreeSet};

use accretion_core::layer::LayerName;
use aws_sdk_dynamodb::error::ProvideErrorMetadata as _;
use aws_sdk_dynamodb::types::AttributeValue;
use aws_sdk_s3::types::{Delete, ObjectIdentifier};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use super::inventory::delete_layer_version;
use crate::Clients;
use crate::error::{Call, Error, Outcome as _, refusal, shown};
use crate::layers::VERSION;
use crate::table::{ITEM, Record};

/// The calls that are made at once.
const CALLS: usize = 8;

/// The parameters that one call may name.
const PARAMETERS_OF_A_CALL: usize = 10;

/// The code of DynamoDB's answer about a table that does not exist.
const NO_TABLE: &str = "ResourceNotFoundException";

/// The code of S3's answer about a bucket that does not exist.
const NO_BUCKET: &str = "NoSuchBucket";

/// The resources that stay when a stack is deleted: buckets, tables, published layers, parameters.
///
/// A resource that is gone already is no error: each of these may be done again.
#[derive(Debug, Clone)]
pub struct Retained {
    s3: aws_sdk_s3::Client,
    dynamodb: aws_sdk_dynamodb::Client,
    lambda: aws_sdk_lambda::Client,
    ssm: aws_sdk_ssm::Client,
}

impl Retained {
    /// The resources of the clients' region.
    pub fn new(clients: &Clients) -> Self {
        Self {
            s3: clients.s3(),
            dynamodb: aws_sdk_dynamodb::Client::new(clients.config()),
            lambda: aws_sdk_lambda::Client::new(clients.config()),
            ssm: aws_sdk_ssm::Client::new(clients.config()),
        }
    }

    /// The layer versions that a table of layers has a record of, by the layer's name. None if
    /// there is no table.
    pub async fn published(
        &self,
        layers_table: &str,
    ) -> Result<BTreeMap<LayerName, BTreeSet<u64>>, Error> {
        let scan = self
            .dynamodb
            .scan()
            .table_name(layers_table)
            .consistent_read(true)
            .projection_expression("#layer, #item")
            .filter_expression("begins_with(#item, :version)")
            .expression_attribute_names("#layer", "LayerName")
            .expression_attribute_names("#item", ITEM)
            .expression_attribute_values(":version", AttributeValue::S(VERSION.to_owned()));
        let mut pages = scan.into_paginator().send();
        let mut published: BTreeMap<_, BTreeSet<u64>> = BTreeMap::new();
        while let Some(outcome) = pages.next().await {
            let call = Call::new("dynamodb:Scan", layers_table);
            let Some(page) = outcome.unless(NO_TABLE, call)? else {
                break;
            };
            for keys in page.items() {
                let (layer, version) =
                    version_of(Record(keys)).map_err(|problem| Error::ItemInvalid {
                        table: layers_table.to_owned(),
                        item: format!("{keys:?}"),
                        problem,
                    })?;
                published.entry(layer).or_default().insert(version);
            }
        }
        Ok(published)
    }

    /// Deletes layer versions.
    pub async fn delete_layer_versions(
        &self,
        published: &BTreeMap<LayerName, BTreeSet<u64>>,
    ) -> Result<(), Error> {
        let all = published
            .iter()
            .flat_map(|(layer, versions)| versions.iter().map(move |version| (layer, *version)));
        stream::iter(all)
            .map(async |(layer, version)| {
                delete_layer_version(&self.lambda, layer.as_str(), version).await
            })
            .buffer_unordered(CALLS)
            .try_collect()
            .await
    }

    /// Deletes parameters of the Parameter Store.
    pub async fn delete_parameters(&self, names: &[String]) -> Result<(), Error> {
        stream::iter(names.chunks(PARAMETERS_OF_A_CALL))
            .map(async |names| {
                let delete = self.ssm.delete_parameters();
                let outcome = delete.set_names(Some(names.to_vec())).send().await;
                let call = Call::new("ssm:DeleteParameters", names.join(", "));
                outcome.of(call).map(|_| ())
            })
            // Few calls that write are allowed a second.
            .buffer_unordered(2)
            .try_collect()
            .await
    }

    /// Deletes all objects of a bucket with all versions. `so_far` gets the number of versions and
    /// delete markers that are deleted, after each step.
    pub async fn empty_bucket(&self, bucket: &str, so_far: impl Fn(usize)) -> Result<(), Error> {
        let pages = stream::try_unfold(Some(Marker::default()), async |marker| {
            let Some(marker) = marker else {
                return Ok::<_, Error>(None);
            };
            let (versions, next) = self.list_versions(bucket, marker).await?;
            Ok(Some((versions, next)))
        });
        let mut deletions = std::pin::pin!(
            pages
                .map_ok(async |versions| self.delete_versions(bucket, versions).await)
                .try_buffer_unordered(CALLS)
        );
        let mut deleted = 0;
        while let Some(more) = deletions.try_next().await? {
            deleted += more;
            so_far(deleted);
        }
        Ok(())
    }

    async fn list_versions(
        &self,
        bucket: &str,
        from: Marker,
    ) -> Result<(Vec<ObjectIdentifier>, Option<Marker>), Error> {
        let list = self
            .s3
            .list_object_versions()
            .bucket(bucket)
            .set_key_marker(from.key)
            .set_version_id_marker(from.version_id);
        let call = Call::new("s3:ListObjectVersions", bucket).allowed_by("s3:ListBucketVersions");
        let Some(page) = list.send().await.unless(NO_BUCKET, call)? else {
            return Ok((Vec::new(), None));
        };
        let versions = page.versions().iter().map(|it| (it.key(), it.version_id()));
        let markers = page
            .delete_markers()
            .iter()
            .map(|it| (it.key(), it.version_id()));
        let found = versions
            .chain(markers)
            .filter_map(|(key, version_id)| {
                ObjectIdentifier::builder()
                    .key(key?)
                    .set_version_id(version_id.map(ToOwned::to_owned))
                    .build()
                    .ok()
            })
            .collect();
        let next = (page.is_truncated() == Some(true)).then_some(Marker {
            key: page.next_key_marker,
            version_id: page.next_version_id_marker,
        });
        Ok((found, next))
    }

    async fn delete_versions(
        &self,
        bucket: &str,
        versions: Vec<ObjectIdentifier>,
    ) -> Result<usize, Error> {
        let count = versions.len();
        if count == 0 {
            return Ok(0);
        }
        let call = Call::new("s3:DeleteObjects", bucket).allowed_by("s3:DeleteObjectVersion");
        let deletion = Delete::builder().set_objects(Some(versions)).quiet(true);
        let delete = deletion.build().map_err(|error| Error::ServiceRefused {
            call: call.clone(),
            problem: error.to_string(),
        })?;
        let request = self.s3.delete_objects().bucket(bucket).delete(delete);
        let Some(answer) = request.send().await.unless(NO_BUCKET, call.clone())? else {
            return Ok(0);
        };
        // Each of them may have failed by itself.
        match answer.errors().first() {
            None => Ok(count),
            Some(error) => {
                let problem = shown(&format!(
                    "{}: {} ({})",
                    error.code().unwrap_or_default(),
                    error.message().unwrap_or_default(),
                    error.key().unwrap_or_default()
                ));
                // The answer as a whole was a success, and its status says nothing.
                Err(refusal(error.code(), 200, call, problem))
            }
        }
    }

    /// Deletes an empty bucket with its policy. Returns whether it is gone: a bucket that is not empty
    /// stays, unless `is_last_attempt`, when that is an error.
    pub async fn delete_bucket(&self, bucket: &str, is_last_attempt: bool) -> Result<bool, Error> {
        match self.s3.delete_bucket().bucket(bucket).send().await {
            Err(error) if error.code() == Some("BucketNotEmpty") && !is_last_attempt => Ok(false),
            outcome => outcome
                .unless(NO_BUCKET, Call::new("s3:DeleteBucket", bucket))
                .map(|_| true),
        }
    }

    /// Deletes a table with all of its items.
    pub async fn delete_table(&self, table: &str) -> Result<(), Error> {
        let outcome = self.dynamodb.delete_table().table_name(table).send().await;
        outcome.unless(NO_TABLE, Call::new("dynamodb:DeleteTable", table))?;
        Ok(())
    }
}

/// The position where a listing of versions continues.
#[derive(Debug, Default)]
struct Marker {
    key: Option<String>,
    version_id: Option<String>,
}

/// The layer and the version that the keys of a record name.
fn version_of(keys: Record<'_>) -> Result<(LayerName, u64), String> {
    let item = keys.text(ITEM)?;
    let version = item
        .strip_prefix(VERSION)
        .and_then(|it| it.parse().ok())
        .ok_or_else(|| format!("`{item}` names no version"))?;
    Ok((keys.parsed("LayerName")?, version))
}
