//! `accretion list layers` and `accretion list versions`

pub(super) mod requests;

use std::process::ExitCode;

use accretion_aws::operator::{Catalogue, ListedLayer, ListedVersion};
use serde::Serialize;

use crate::args::{Global, ListLayers, ListVersions, Placed, Region};
use crate::cloud;
use crate::error::Error;
use crate::units::to_the_second;
use crate::{print, table};

/// The number of characters of a description in a table.
const DESCRIPTION: usize = 30;

/// The columns of a version.
const COLUMNS: [&str; 5] = [
    "version",
    "created",
    "runtimes",
    "architectures",
    "description",
];

/// The cells of a version under [`COLUMNS`].
fn cells(listed: &ListedVersion) -> [String; 5] {
    let description = listed.description.as_deref().unwrap_or_default();
    let mut shown: String = description.chars().take(DESCRIPTION).collect();
    if shown.len() < description.len() {
        shown.push('…');
    }
    [
        listed.version.to_string(),
        listed.created_at.map_or_else(String::new, to_the_second),
        listed.runtimes.join(" "),
        listed.architectures.join(" "),
        shown,
    ]
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Layers {
    region: Region,
    layers: Vec<ListedLayer>,
}

/// Lists the layers of a region.
pub(super) async fn layers(args: ListLayers, global: Global) -> Result<ExitCode, Error> {
    let at = args.placed.at;
    at.stacks()?;
    let region = at.region;
    let clients = args.aws.clients().await.in_region(region.as_str());
    let found = Catalogue::new(&clients).layers(args.filter.runtime).await;
    let mut layers = found.map_err(cloud::Error::from)?;
    layers.sort_by(|a, b| a.name.cmp(&b.name));
    if !global.is_text() {
        print::json(&Layers { region, layers });
    } else if !layers.is_empty() {
        let mut rows = table::new(&[&["layer"], &COLUMNS[..]].concat());
        for layer in &layers {
            rows.add_row([layer.name.clone()].into_iter().chain(cells(&layer.latest)));
        }
        table::print_cut(rows, &[1]);
    } else if !global.quiet {
        anstream::eprintln!("no layers found in {region}");
    }
    Ok(ExitCode::SUCCESS)
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct VersionList {
    region: Region,
    layer: String,
    versions: Vec<ListedVersion>,
}

/// Lists the versions of a layer.
pub(super) async fn versions(args: ListVersions, global: Global) -> Result<ExitCode, Error> {
    let Placed { at, of } = args.placed;
    at.stacks()?;
    let (region, layer) = (at.region, of.layer);
    let clients = args.aws.clients().await.in_region(region.as_str());
    let runtime = args.filter.runtime;
    let catalogue = Catalogue::new(&clients);
    let found = catalogue.versions(&layer, runtime).await;
    let versions = found.map_err(cloud::Error::from)?;
    // A layer may have versions, but none for the runtime.
    let is_known = !versions.is_empty()
        || runtime.is_some() && {
            let all = catalogue.versions(&layer, None).await;
            !all.map_err(cloud::Error::from)?.is_empty()
        };
    if !is_known {
        return Err(cloud::Error::LayerVersionUnknown {
            region,
            layer,
            version: None,
        }
        .into());
    }
    if !global.is_text() {
        print::json(&VersionList {
            region,
            layer,
            versions,
        });
    } else if !versions.is_empty() {
        let mut rows = table::new(&COLUMNS);
        for version in &versions {
            rows.add_row(cells(version));
        }
        table::print_cut(rows, &[0]);
    } else if !global.quiet {
        anstream::eprintln!("no versions found in {region}");
    }
    Ok(ExitCode::SUCCESS)
}
