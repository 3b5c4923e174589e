//! A deleted version that the pipeline published.

use accretion_aws::Clients;
use accretion_aws::operator::{VersionRecord, VersionRecords};
use accretion_core::layer::LayerName;
use accretion_core::manifest::{LayerManifest, Manifest};
use serde::Serialize;

use super::{print_contents, print_facts, print_recorded, print_title};
use crate::args::{Global, OneRegion, Region};
use crate::cloud::{self, Contents, Pipeline};
use crate::print;
use crate::units::to_the_second;

/// A deleted version.
pub(super) struct Deleted {
    region: Region,
    layer: LayerName,
    version: u64,
    record: VersionRecord,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Document<'a> {
    region: &'a Region,
    layer: &'a str,
    version: u64,
    version_arn: &'a str,
    published_at: String,
    deleted: Deletion<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    manifest: Option<&'a Manifest>,
    #[serde(skip_serializing_if = "Option::is_none")]
    layer_manifest: Option<&'a LayerManifest>,
}

/// The time and the caller of `accretion delete`.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Deletion<'a> {
    at: Option<String>,
    by: Option<&'a str>,
}

/// Reads the pipeline's record of a version; `None` if there is none.
pub(super) async fn find(
    at: &OneRegion,
    clients: &Clients,
    layer: &str,
    version: u64,
) -> Result<Option<Deleted>, cloud::Error> {
    let Some((pipeline, layer)) = Pipeline::of_layer(at, clients, layer).await? else {
        return Ok(None);
    };
    let table = pipeline.output("LayersTableName")?;
    let records = VersionRecords::new(&pipeline.clients, table);
    let record = records.get(&layer, version).await?;
    Ok(record.map(|record| Deleted {
        region: at.region.clone(),
        layer,
        version,
        record,
    }))
}

/// Prints a deleted version.
pub(super) fn print(deleted: &Deleted, contents: Option<&Contents>, global: Global) {
    let Deleted {
        region,
        layer,
        version,
        record,
    } = deleted;
    let recorded = contents.and_then(|it| it.recorded.as_ref());
    if !global.is_text() {
        return print::json(&Document {
            region,
            layer: layer.as_str(),
            version: *version,
            version_arn: &record.arn,
            published_at: record.published_at.to_string(),
            deleted: Deletion {
                at: record.deleted_at.map(|at| at.to_string()),
                by: record.deleted_by.as_deref(),
            },
            manifest: recorded.map(|it| &it.manifest),
            layer_manifest: recorded.map(|it| &it.layer_manifest),
        });
    }
    let deleted = match (record.deleted_at, &record.deleted_by) {
        (Some(at), Some(by)) => format!("{} by {by}", to_the_second(at)),
        (Some(at), None) => to_the_second(at),
        (None, _) => "not by `accretion delete`; time and caller are unknown".to_owned(),
    };
    print_title(&format!("{layer}:{version}"));
    print_facts([
        ("ARN", Some(record.arn.clone())),
        ("deleted", Some(deleted)),
        ("published", Some(to_the_second(record.published_at))),
    ]);
    if let Some(contents) = contents {
        contents.recorded.iter().for_each(print_recorded);
        print_contents(contents, global);
    }
}
