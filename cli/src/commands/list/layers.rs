//! `accretion list layers`

use std::process::ExitCode;

use accretion_aws::operator::Catalogue;
use serde::Serialize;

use super::{Filter, VersionRecord, columns};
use crate::args::{Format, Global};
use crate::cloud::{self, AwsOptions, Nothing, Placed, Region};
use crate::error::Error;
use crate::{print_json, table};

/// List the layers of a region with their latest versions
///
/// All layers of the account, whoever published them.
#[derive(Debug, clap::Args)]
pub(crate) struct Layers {
    #[command(flatten)]
    pub(in crate::commands) placed: Placed<Nothing>,
    #[command(flatten)]
    filter: Filter,
    #[command(flatten)]
    aws: AwsOptions,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Document {
    region: Region,
    layers: Vec<LayerRecord>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct LayerRecord {
    layer: String,
    layer_arn: String,
    latest: VersionRecord,
}

/// Lists the layers of a region.
pub(crate) async fn run(args: Layers, global: Global) -> Result<ExitCode, Error> {
    let at = args.placed.at;
    at.stacks()?;
    let region = at.region;
    let clients = args.aws.clients().await.in_region(region.as_str());
    let layers = Catalogue::new(&clients).layers(args.filter.runtime).await;
    let mut layers = layers.map_err(cloud::Error::from)?;
    layers.sort_by(|a, b| a.name.cmp(&b.name));
    match global.format {
        Format::Json => {
            let layers = layers.into_iter().map(|layer| LayerRecord {
                layer: layer.name,
                layer_arn: layer.arn,
                latest: layer.latest.into(),
            });
            print_json(&Document {
                region,
                layers: layers.collect(),
            });
        }
        Format::Text if layers.is_empty() => {
            if !global.quiet {
                anstream::eprintln!("no layers are found in {region}");
            }
        }
        Format::Text => {
            let header = [
                "layer",
                "version",
                "created",
                "runtimes",
                "architectures",
                "description",
            ];
            let mut rows = table::new(&header);
            for layer in &layers {
                let latest = columns(&layer.latest);
                rows.add_row([layer.name.clone()].into_iter().chain(latest));
            }
            table::print_cut(rows, &[1]);
        }
    }
    Ok(ExitCode::SUCCESS)
}
