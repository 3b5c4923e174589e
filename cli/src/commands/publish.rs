//! `accretion publish`

mod folder;
mod shown;
mod zip;

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use accretion_aws::Clients;
use accretion_aws::operator::{Catalogue, NamedLayers, Publication, Zip};
use accretion_core::Fault;
use accretion_core::diagnostic::Report;
use accretion_core::layer::LambdaLayerName;
use accretion_core::limits::Limits;
use accretion_core::request::Permission;
use accretion_core::target::{Architecture, Runtime};
use accretion_layer::content::ContentManifest;
use accretion_layer::files::LeftOut;
use accretion_service::ports::{LayerVersion, PortError};
use tempfile::NamedTempFile;
use tokio::sync::Semaphore;

use crate::args::{Format, Global};
use crate::cloud::{self, AwsOptions, DeploymentFile, Pipeline, Region, Stacks, Who, in_each, who};
use crate::contents::FileOptions;
use crate::engine::Sources;
use crate::environment::Environment;
use crate::error::{Error, code_of};
use crate::input;
use crate::progress;
use crate::units::counted;

/// Publish a folder, or what `accretion build` made, in any regions, without a pipeline
///
/// All that is in the folder is copied to `python/` of the layer, but for hidden files,
/// `__pycache__`, what a .gitignore or an .accretionignore names, and a requirements.txt at its top:
/// that is installed. A file that holds what looks like a secret is an error.
///
/// One zip serves all runtimes. Where what is installed differs between them, each has its own in
/// `python/lib/pythonX.Y/site-packages/`.
///
/// With --zip, the manifest beside each zip says what the layer is called, what it is for, and its
/// description; --layer, --runtime, --architecture and --version say otherwise.
///
/// If the layer's latest version is the same already, nothing is published, only granted. What the layer
/// consists of is written into it, for `accretion describe` and `diff`.
#[derive(Debug, clap::Args)]
#[command(
    mut_arg("hidden", |arg| arg.conflicts_with("zips")),
    mut_arg("indexes", |arg| arg.conflicts_with("zips")),
)]
pub(crate) struct Publish {
    /// The layer's name
    #[arg(long, value_name = "NAME", required_unless_present = "zips")]
    layer: Option<LambdaLayerName>,
    /// The folder
    #[arg(
        long,
        value_name = "DIR",
        required_unless_present = "zips",
        conflicts_with = "zips"
    )]
    layer_path: Option<PathBuf>,
    /// Zips that `accretion build` made, each with its manifest beside it
    #[arg(long = "zip", value_name = "FILE", num_args = 1..)]
    zips: Vec<PathBuf>,
    /// A Lambda runtime that it is for, such as python3.13 [may be repeated; default: all supported]
    #[arg(
        long = "runtime",
        alias = "runtimes",
        value_name = "RUNTIME",
        value_parser = input::runtime,
        num_args = 1..
    )]
    runtimes: Vec<Runtime>,
    /// The layer version's description: a semantic version, for example
    #[arg(long, value_parser = description, required_unless_present = "zips")]
    version: Option<String>,
    /// x86_64 or arm64 [may be repeated; default: both]
    #[arg(long = "architecture", value_name = "ARCHITECTURE", value_parser = input::architecture)]
    architectures: Vec<Architecture>,
    /// Publish even what is the latest version already
    #[arg(long)]
    force: bool,
    /// Build packages that have no fitting wheel, which runs their code
    #[arg(long, conflicts_with = "zips")]
    allow_source_distributions: bool,
    #[command(flatten)]
    files: FileOptions,
    #[command(flatten)]
    sources: Sources,
    #[command(flatten)]
    who: Who,
    /// A region to publish in [may be repeated; default: that of the deployment file or of AWS]
    #[arg(long = "region", value_name = "REGION", help_heading = "AWS options")]
    regions: Vec<Region>,
    /// Publish in the regions of this file, as `accretion init` writes it
    #[arg(long, value_name = "FILE", help_heading = "AWS options")]
    deployment_file: Option<PathBuf>,
    /// Where zips over 50 MiB are uploaded to; `{region}` in it is the region's name [default: the
    /// artifacts bucket of the deployment file's stack]
    #[arg(long, value_name = "NAME", help_heading = "AWS options")]
    bucket: Option<String>,
    #[command(flatten)]
    aws: AwsOptions,
}

fn description(text: &str) -> Result<String, String> {
    if (1..=Limits::DESCRIPTION_CHARS).contains(&text.chars().count()) {
        Ok(text.to_owned())
    } else {
        Err("a layer version's description has 1 to 256 characters".to_owned())
    }
}

/// A layer that is ready to be published.
struct Layer {
    publication: Publication,
    zip: NamedTempFile,
    size: u64,
    content: ContentManifest,
    /// The files that have stayed out of the folder that it was made of.
    left_out: Option<LeftOut>,
    /// The report on its input.
    report: Report,
    warnings: Vec<String>,
}

/// What all layers and regions have in common.
struct Plan {
    clients: Clients,
    permissions: Vec<Permission>,
    bucket: Option<String>,
    force: bool,
    /// Each has the zip in memory, some times over.
    uploads: Semaphore,
}

/// Zips that are sent at the same time: in a call a zip of 50 MiB takes more than twice as much.
const UPLOADS: usize = 2;

/// What came of a region.
struct Published {
    version: u64,
    arn: String,
    is_new: bool,
}

type Outcomes = Vec<(Region, Result<Published, cloud::Error>)>;

/// Publishes a folder, or zips.
pub(crate) async fn run(
    args: Publish,
    global: Global,
    environment: &Environment,
) -> Result<ExitCode, Error> {
    let clients = args.aws.clients().await;
    let regions = regions(&args, &clients)?;
    // What AWS refuses to tell, it is to refuse before anything is built.
    let first = clients.in_region(regions[0].0.as_str());
    let permissions = args.who.permissions(&first).await?;
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
        let spinner = progress::spinner(
            global,
            format!(
                "publishing {} in {}",
                layer.publication.layer,
                counted(regions.len(), "region")
            ),
        );
        let outcomes = in_each(regions.clone(), async |region, stacks| {
            plan.publish_in(&layer, region, stacks).await
        });
        let outcomes = outcomes.await;
        spinner.finish_and_clear();
        if global.format == Format::Text {
            shown::print_text(&plan, &layer, &outcomes, global);
        }
        all.push((layer, outcomes));
    }
    if global.format == Format::Json {
        shown::print_documents(&plan, &all, is_folder);
    }
    let failed = all
        .iter()
        .flat_map(|(_, outcomes)| outcomes)
        .filter_map(|(_, outcome)| outcome.as_ref().err());
    // The machine's own faults first: they make what the others say doubtful.
    let worst = failed.map(|error| code_of(error.class())).min();
    Ok(worst.map_or(ExitCode::SUCCESS, ExitCode::from))
}

/// Where to publish, with what the deployment file knows of it.
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

/// An error of this machine.
fn local(error: accretion_local::Error) -> Error {
    Error::Service(PortError::new(error).into())
}

/// A file that a zip is written to.
fn temporary() -> Result<NamedTempFile, Error> {
    NamedTempFile::new().map_err(|error| Error::FolderUnwritable {
        path: std::env::temp_dir(),
        error,
    })
}

impl Plan {
    /// Publishes in a region, unless the latest version is the same, and grants what is asked for.
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
        let latest = latest.filter(|latest| !self.force && latest.is(&of.publication));
        let published = if let Some(latest) = latest {
            Published {
                version: latest.listed.version,
                arn: latest.listed.arn,
                is_new: false,
            }
        } else {
            let made = self.publish(of, &region, stacks, &layers).await?;
            Published {
                version: made.version,
                arn: made.version_arn,
                is_new: true,
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

    /// Where a zip is uploaded to that is too large for a call.
    async fn bucket(
        &self,
        size: u64,
        region: &Region,
        stacks: Option<Stacks>,
    ) -> Result<String, cloud::Error> {
        if let Some(bucket) = &self.bucket {
            return Ok(bucket.replace("{region}", region.as_str()));
        }
        let stacks = stacks.filter(|stacks| !stacks.names().is_empty());
        let stacks = stacks.ok_or(cloud::Error::BucketMissing { size })?;
        let pipeline = Pipeline::connect(&self.clients, region.clone(), &stacks).await?;
        Ok(pipeline.output("ArtifactsBucketName")?.to_owned())
    }

    /// The names of all who are granted layers.
    fn granted(&self) -> String {
        let names: Vec<_> = self.permissions.iter().map(who).collect();
        names.join(", ")
    }
}
