//! A version that Lambda does not have any more, and that the pipeline has published.

use accretion_aws::Clients;
use accretion_aws::operator::{VersionRecord, VersionRecords};
use accretion_core::layer::LayerName;
use accretion_core::manifest::{LayerManifest, Manifest};
use serde::Serialize;

use super::{facts_of, print_contents, print_facts};
use crate::args::{Format, Global};
use crate::cloud::{self, Contents, OneRegion, Pipeline, Region};
use crate::print_json;
use crate::units::to_the_second;

/// A version that is gone.
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

/// The time and the caller, where `accretion delete` has done it.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Deletion<'a> {
    at: Option<String>,
    by: Option<&'a str>,
}

/// Looks for what is recorded of a version; `None` if nothing is.
pub(super) async fn find(
    at: &OneRegion,
    clients: &Clients,
    layer: &str,
    version: u64,
) -> Result<Option<Deleted>, cloud::Error> {
    let stacks = at.stacks()?;
    let Ok(layer) = layer.parse::<LayerName>() else {
        return Ok(None);
    };
    if stacks.names().is_empty() {
        return Ok(None);
    }
    let pipeline = Pipeline::connect(clients, at.region.clone(), &stacks).await?;
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

/// Prints what is known of it.
pub(super) fn print(deleted: &Deleted, contents: Option<&Contents>, global: Global) {
    let Deleted {
        region,
        layer,
        version,
        record,
    } = deleted;
    let recorded = contents.and_then(|it| it.recorded.as_ref());
    if global.format == Format::Json {
        print_json(&Document {
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
        return;
    }
    let bold = anstyle::Style::new().bold();
    anstream::println!("{bold}{layer}:{version}{bold:#}");
    let by = record.deleted_by.as_deref();
    let by = by.map_or_else(String::new, |by| format!(" by {by}"));
    let when = match record.deleted_at {
        Some(at) => format!("{}{by}", to_the_second(at)),
        None => "not by `accretion delete`: nothing says when, or by whom".to_owned(),
    };
    let mut facts = vec![
        ("ARN", record.arn.clone()),
        ("deleted", when),
        ("published", to_the_second(record.published_at)),
    ];
    facts.extend(recorded.map(facts_of).unwrap_or_default());
    print_facts(facts);
    if let Some(contents) = contents {
        print_contents(contents, global);
    }
}
