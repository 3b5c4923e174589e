//! `accretion list versions`

use std::process::ExitCode;

use accretion_aws::operator::Catalogue;
use serde::Serialize;

use super::{Filter, VersionRecord, columns};
use crate::args::{Format, Global};
use crate::cloud::{self, AwsOptions, OneLayer, Placed, Region};
use crate::error::Error;
use crate::{print_json, table};

/// List the versions of a layer, the newest first
#[derive(Debug, clap::Args)]
pub(crate) struct Versions {
    #[command(flatten)]
    pub(in crate::commands) placed: Placed<OneLayer>,
    #[command(flatten)]
    filter: Filter,
    #[command(flatten)]
    aws: AwsOptions,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Document {
    region: Region,
    layer: String,
    versions: Vec<VersionRecord>,
}

/// Lists the versions of a layer.
pub(crate) async fn run(args: Versions, global: Global) -> Result<ExitCode, Error> {
    let Placed { at, of } = args.placed;
    at.stacks()?;
    let (region, layer) = (at.region, of.layer);
    let clients = args.aws.clients().await.in_region(region.as_str());
    let runtime = args.filter.runtime;
    let catalogue = Catalogue::new(&clients);
    let versions = catalogue.versions(&layer, runtime).await;
    let versions = versions.map_err(cloud::Error::from)?;
    // A layer may have versions, and none of them for a runtime.
    let is_known = match (versions.is_empty(), runtime) {
        (true, Some(_)) => {
            let others = catalogue.versions(&layer, None).await;
            !others.map_err(cloud::Error::from)?.is_empty()
        }
        (is_empty, _) => !is_empty,
    };
    if !is_known {
        return Err(cloud::Error::LayerVersionUnknown {
            region,
            layer,
            version: None,
        }
        .into());
    }
    match global.format {
        Format::Json => print_json(&Document {
            region,
            layer,
            versions: versions.into_iter().map(Into::into).collect(),
        }),
        Format::Text if versions.is_empty() => {
            if !global.quiet {
                anstream::eprintln!("no versions are found in {region}");
            }
        }
        Format::Text => {
            let header = [
                "version",
                "created",
                "runtimes",
                "architectures",
                "description",
            ];
            let mut rows = table::new(&header);
            for version in &versions {
                rows.add_row(columns(version));
            }
            table::print_cut(rows, &[0]);
        }
    }
    Ok(ExitCode::SUCCESS)
}
