//! `accretion publish`

mod folder;
mod shown;
mod zip;

use std::collections::BTreeMap;
use std::fs;
use std::process::ExitCode;

use accretion_aws::Clients;
use accretion_aws::operator::{Catalogue, NamedLayers, Publication, Zip};
use accretion_core::diagnostic::Report;
use accretion_core::request::Permission;
use accretion_layer::content::ContentManifest;
use accretion_layer::files::LeftOut;
use accretion_service::ports::LayerVersion;
use tempfile::NamedTempFile;
use tokio::sync::Semaphore;

use crate::args::{Global, Publish, Region};
use crate::cloud::{self, DeploymentFile, Pipeline, Stacks, in_each};
use crate::environment::Environment;
use crate::error::Error;
use crate::exit::code_of_all;
use crate::progress;
use crate::units::counted;

/// A layer to publish.
struct Layer {
    publication: Publication,
    zip: NamedTempFile,
    size: u64,
    content: ContentManifest,
    /// The files of the folder that were left out.
    left_out: Option<LeftOut>,
    /// The report on its input.
    report: Report,
    warnings: Vec<String>,
}

/// The settings for all layers and regions.
struct Plan {
    clients: Clients,
    permissions: Vec<Permission>,
    bucket: Option<String>,
    force: bool,
    /// The permits to upload: each upload holds several copies of the zip in memory.
    uploads: Semaphore,
}

/// The number of concurrent uploads. A call with a zip of 50 MiB takes more than twice that memory.
const UPLOADS: usize = 2;

/// The version in a region.
struct Published {
    version: u64,
    arn: String,
    is_new: bool,
}

type Outcomes = Vec<(Region, Result<Published, cloud::Error>)>;

/// Publishes a folder, or zips.
pub(super) async fn run(
    args: Publish,
    global: Global,
    environment: &Environment,
) -> Result<ExitCode, Error> {
    let clients = args.aws.clients().await;
    let regions = regions(&args, &clients)?;
    // Asks AWS before building anything, since AWS may refuse.
    let first = clients.in_region(regions[0].0.as_str());
    let permissions = args.grantees.permissions(&first).await?;
    let layers = match &args.layer_path {
        Some(path) => vec![folder::layer(&args, path, global, environment).await?],
        None => zip::layers(&args).await?,
    };
    let is_folder = args.layer_path.is_some();
    let plan = Plan {
        clients,
        permissions,
        bucket: args.bucket,
        force: args.force,
        uploads: Semaphore::new(UPLOADS),
    };
    let mut all = Vec::new();
    for layer in layers {
        let (name, count) = (&layer.publication.layer, counted(regions.len(), "region"));
        let spinner = progress::spinner(global, format!("publishing {name} in {count}"));
        let publishing = in_each(regions.clone(), async |region, stacks| {
            plan.publish_in(&layer, region, stacks).await
        });
        let outcomes = publishing.await;
        spinner.finish_and_clear();
        if global.is_text() {
            shown::print_text(&plan, &layer, &outcomes, global);
        }
        all.push((layer, outcomes));
    }
    if !global.is_text() {
        shown::print_documents(&plan, &all, is_folder);
    }
    let outcomes = all.iter().flat_map(|(_, outcomes)| outcomes);
    let failures = outcomes.filter_map(|(_, outcome)| outcome.as_ref().err());
    Ok(code_of_all(failures.map(cloud::Error::exit_code)))
}

/// The regions to publish in, with their stacks if a deployment file names them.
fn regions(args: &Publish, clients: &Clients) -> Result<Vec<(Region, Option<Stacks>)>, Error> {
    let mut regions: BTreeMap<Region, Option<Stacks>> = BTreeMap::new();
    if let Some(file) = &args.deployment_file {
        let known = DeploymentFile::new(file).chosen(&args.regions)?;
        regions.extend(known.into_iter().map(|(region, it)| (region, Some(it))));
    } else if args.regions.is_empty() {
        let default = clients.region().and_then(|it| it.parse().ok());
        regions.extend(default.map(|region| (region, None)));
    } else {
        regions.extend(args.regions.iter().map(|region| (region.clone(), None)));
    }
    if regions.is_empty() {
        return Err(cloud::Error::RegionMissing.into());
    }
    Ok(regions.into_iter().collect())
}

/// A file that a zip is written to.
fn temporary() -> Result<NamedTempFile, Error> {
    NamedTempFile::new().map_err(|error| Error::FolderUnwritable {
        path: std::env::temp_dir(),
        error,
    })
}

impl Plan {
    /// Publishes in a region, unless the latest version is identical, and grants the permissions.
    async fn publish_in(
        &self,
        of: &Layer,
        region: Region,
        stacks: Option<Stacks>,
    ) -> Result<Published, cloud::Error> {
        let clients = self.clients.in_region(region.as_str());
        let layers = NamedLayers::new(&clients);
        let layer = &of.publication.layer;
        let latest = Catalogue::new(&clients).latest(layer.as_str()).await?;
        let published = match latest {
            Some(latest) if !self.force && latest.is(&of.publication) => Published {
                version: latest.listed.version,
                arn: latest.listed.arn,
                is_new: false,
            },
            _ => {
                let made = self.publish(of, &region, stacks, &layers).await?;
                Published {
                    version: made.version,
                    arn: made.version_arn,
                    is_new: true,
                }
            }
        };
        let Published { version, arn, .. } = &published;
        for permission in &self.permissions {
            let granted = layers.grant(layer, *version, permission).await;
            granted.map_err(|error| cloud::Error::NotGranted {
                arn: arn.clone(),
                error,
            })?;
        }
        Ok(published)
    }

    async fn publish(
        &self,
        of: &Layer,
        region: &Region,
        stacks: Option<Stacks>,
        layers: &NamedLayers,
    ) -> Result<LayerVersion, cloud::Error> {
        let path = of.zip.path();
        let _permit = self.uploads.acquire().await;
        let zip = if of.size <= Zip::DIRECT_BYTES {
            let bytes = fs::read(path).map_err(|error| cloud::Error::ZipUnreadable {
                path: path.to_owned(),
                error,
            })?;
            Zip::Bytes(bytes)
        } else {
            let bucket = self.bucket(of.size, region, stacks).await?;
            let (layer, sha256) = (&of.publication.layer, of.publication.sha256);
            layers.upload(&bucket, layer, path, sha256).await?
        };
        Ok(layers.publish(&of.publication, zip).await?)
    }

    /// The bucket for a zip that is too large for a call.
    async fn bucket(
        &self,
        size: u64,
        region: &Region,
        stacks: Option<Stacks>,
    ) -> Result<String, cloud::Error> {
        if let Some(bucket) = &self.bucket {
            return Ok(bucket.replace("{region}", region.as_str()));
        }
        let deployed = stacks
            .filter(|stacks| !stacks.names().is_empty())
            .ok_or(cloud::Error::BucketMissing { size })?;
        let pipeline = Pipeline::connect(&self.clients, region.clone(), &deployed).await?;
        Ok(pipeline.output("ArtifactsBucketName")?.to_owned())
    }
}
