//! `accretion publish`

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use accretion_aws::Clients;
use accretion_aws::operator::{Catalogue, NamedLayers, Publication, Zip};
use accretion_core::Fault;
use accretion_core::diagnostic::{ProblemRecord, Report};
use accretion_core::layer::{LambdaLayerName, Shape};
use accretion_core::limits::Limits;
use accretion_core::request::{Permission, Request, Targets};
use accretion_core::target::{Architecture, Runtime};
use accretion_local::layer_folder::LayerFolder;
use accretion_service::assemble::{self, Assembled, InstalledTree};
use accretion_service::ports::{LayerVersion, PortError};
use indicatif::BinaryBytes;
use serde::Serialize;
use tempfile::NamedTempFile;
use tokio::sync::Semaphore;

use crate::args::{Format, Global};
use crate::cloud::{
    self, AwsOptions, DeploymentFile, PermissionRecord, Pipeline, Region, Stacks, Who, in_each, who,
};
use crate::engine::{Engine, Sources};
use crate::environment::Environment;
use crate::error::{Error, ErrorRecord, code_of, print_faults, print_warning};
use crate::input::{self, Input};
use crate::progress::{self, Terminal};
use crate::units::counted;
use crate::{print_json, table};

/// Publish a folder as a layer, in any regions, without a pipeline
///
/// All that is in the folder is copied to `python/` of the layer, but for what starts with a dot at
/// its top, and for a requirements.txt at its top: that is installed.
///
/// One zip serves all runtimes. Where what is installed differs between them, each has its own in
/// `python/lib/pythonX.Y/site-packages/`.
///
/// If the layer's latest version is the same already, nothing is published, only granted.
#[derive(Debug, clap::Args)]
pub(crate) struct Publish {
    /// The layer's name
    #[arg(long, value_name = "NAME")]
    layer: LambdaLayerName,
    /// The folder
    #[arg(long, value_name = "DIR")]
    layer_path: PathBuf,
    /// The Lambda runtimes that it is for, such as python3.13
    #[arg(long, value_name = "RUNTIME", required = true, num_args = 1..)]
    runtimes: Vec<Runtime>,
    /// The layer version's description: a semantic version, for example
    #[arg(long, value_parser = description)]
    version: String,
    /// x86_64 or arm64; both if they are to have the same files [may be repeated]
    #[arg(
        long = "architecture",
        value_name = "ARCHITECTURE",
        default_value = "x86_64"
    )]
    architectures: Vec<Architecture>,
    /// Publish even what is the latest version already
    #[arg(long)]
    force: bool,
    /// Build packages that have no fitting wheel, which runs their code
    #[arg(long)]
    allow_source_distributions: bool,
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

/// What all regions have in common.
struct Plan {
    clients: Clients,
    publication: Publication,
    permissions: Vec<Permission>,
    assembled: Assembled<NamedTempFile>,
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

/// Publishes a folder.
pub(crate) async fn run(
    args: Publish,
    global: Global,
    environment: &Environment,
) -> Result<ExitCode, Error> {
    let clients = args.aws.clients().await;
    let regions = regions(&args, &clients)?;
    let folder = LayerFolder::open(&args.layer_path).map_err(local)?;
    let targets = Targets::new(args.runtimes.clone(), args.architectures.clone());
    let (request, mut report) = read(&args, &folder)?;
    report.add_missing(targets.warnings());
    if global.format == Format::Text {
        crate::print_report(&report, global);
    }
    // What AWS refuses to tell, it is to refuse before anything is built.
    let first = clients.in_region(regions[0].0.as_str());
    let permissions = args.who.permissions(&first).await?;

    let assembled = assemble(&args, global, environment, &folder, request, &targets).await?;
    let plan = Plan {
        clients,
        publication: Publication {
            layer: args.layer,
            description: args.version,
            runtimes: targets.runtimes().collect(),
            architectures: targets.architectures().collect(),
            sha256: assembled.written.sha256,
        },
        permissions,
        assembled,
        bucket: args.bucket,
        force: args.force,
        uploads: Semaphore::new(UPLOADS),
    };
    let spinner = progress::spinner(
        global,
        format!("publishing in {}", counted(regions.len(), "region")),
    );
    let outcomes = in_each(regions, async |region, stacks| {
        plan.publish_in(region, stacks).await
    });
    let outcomes = outcomes.await;
    spinner.finish_and_clear();
    match global.format {
        Format::Json => print_document(&report, &plan, &outcomes),
        Format::Text => print_text(&plan, &outcomes, global),
    }
    let failed = outcomes
        .iter()
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

/// The folder's requirements, if it has some.
fn read(args: &Publish, folder: &LayerFolder) -> Result<(Option<Request>, Report), Error> {
    let Some(path) = folder.requirements() else {
        let source_name = args.layer_path.display().to_string();
        return Ok((None, Report::new(source_name, "")));
    };
    let (request, report) = input::read(&Input {
        // It names nothing here: the layer has a name of its own.
        name: "layer".parse().ok(),
        runtimes: args.runtimes.clone(),
        architectures: args.architectures.clone(),
        allow_source_distributions: args.allow_source_distributions,
        ..Input::of_path(path)
    })?;
    Ok((Some(request), report))
}

/// Packs the folder, gets what is to be installed, and writes the zip.
async fn assemble(
    args: &Publish,
    global: Global,
    environment: &Environment,
    folder: &LayerFolder,
    request: Option<Request>,
    targets: &Targets,
) -> Result<Assembled<NamedTempFile>, Error> {
    let packed = async { folder.pack().await.map_err(local) };
    let quiet = global.quiet || global.format == Format::Json;
    let watcher = &Arc::new(Terminal::new(quiet));
    let trees = async {
        match &request {
            Some(request) => install(args, environment, request, watcher).await,
            None => Ok(assemble::install_nothing(targets)),
        }
    };
    let both = tokio::try_join!(packed, trees);
    watcher.clear();
    let (packed, trees) = both?;
    let (files, _until_written) = packed.into_parts();
    if request.is_none() && files.files.is_empty() {
        let path = args.layer_path.clone();
        return Err(cloud::Error::LayerFolderEmpty { path }.into());
    }
    let zip = NamedTempFile::new().map_err(|error| Error::FolderUnwritable {
        path: std::env::temp_dir(),
        error,
    })?;
    Ok(assemble::assemble(trees, files, zip).await?)
}

async fn install(
    args: &Publish,
    environment: &Environment,
    request: &Request,
    progress: &Arc<Terminal>,
) -> Result<Vec<InstalledTree>, Error> {
    let engine = Engine::new(&args.sources, environment, request, progress)?;
    let trees = assemble::install(request, &*engine.uv, &engine.wheels, &**progress).await?;
    Ok(trees)
}

/// An error of this machine.
fn local(error: accretion_local::Error) -> Error {
    Error::Service(PortError::new(error).into())
}

impl Plan {
    /// Publishes in a region, unless the latest version is the same, and grants what is asked for.
    async fn publish_in(
        &self,
        region: Region,
        stacks: Option<Stacks>,
    ) -> Result<Published, cloud::Error> {
        let clients = self.clients.in_region(region.as_str());
        let layers = NamedLayers::new(&clients);
        let layer = &self.publication.layer;
        let latest = Catalogue::new(&clients).latest(layer.as_str()).await?;
        let latest = latest.filter(|latest| !self.force && latest.is(&self.publication));
        let published = if let Some(latest) = latest {
            Published {
                version: latest.listed.version,
                arn: latest.listed.arn,
                is_new: false,
            }
        } else {
            let made = self.publish(&region, stacks, &layers).await?;
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
        region: &Region,
        stacks: Option<Stacks>,
        layers: &NamedLayers,
    ) -> Result<LayerVersion, cloud::Error> {
        let Assembled {
            staged, written, ..
        } = &self.assembled;
        let _permit = self.uploads.acquire().await;
        let zip = if written.size <= Zip::DIRECT_BYTES {
            let bytes = fs::read(staged.path()).map_err(|error| cloud::Error::ZipUnreadable {
                path: staged.path().to_owned(),
                error,
            })?;
            Zip::Bytes(bytes)
        } else {
            let bucket = self.bucket(region, stacks).await?;
            let (layer, sha256) = (&self.publication.layer, written.sha256);
            layers.upload(&bucket, layer, staged.path(), sha256).await?
        };
        Ok(layers.publish(&self.publication, zip).await?)
    }

    /// Where a zip is uploaded to that is too large for a call.
    async fn bucket(
        &self,
        region: &Region,
        stacks: Option<Stacks>,
    ) -> Result<String, cloud::Error> {
        if let Some(bucket) = &self.bucket {
            return Ok(bucket.replace("{region}", region.as_str()));
        }
        let stacks = stacks.filter(|stacks| !stacks.names().is_empty());
        let stacks = stacks.ok_or(cloud::Error::BucketMissing {
            size: self.assembled.written.size,
        })?;
        let pipeline = Pipeline::connect(&self.clients, region.clone(), &stacks).await?;
        Ok(pipeline.output("ArtifactsBucketName")?.to_owned())
    }

    /// What everybody who is granted the layer is called.
    fn granted(&self) -> String {
        let names: Vec<_> = self.permissions.iter().map(who).collect();
        names.join(", ")
    }
}

fn joined<T: ToString>(items: &[T]) -> String {
    let items: Vec<_> = items.iter().map(ToString::to_string).collect();
    items.join(", ")
}

fn print_text(plan: &Plan, outcomes: &Outcomes, global: Global) {
    let Plan {
        publication,
        assembled,
        ..
    } = plan;
    if !global.quiet {
        for warning in &assembled.warnings {
            print_warning(publication.layer.as_str(), warning);
        }
        let mut content = vec![counted(assembled.copied, "file")];
        if !assembled.packages.is_empty() {
            let names = assembled.packages.iter();
            let names: BTreeSet<_> = names.map(|it| it.installed.name.as_str()).collect();
            let packages = counted(names.len(), "package");
            let shape = match assembled.shape {
                Shape::Shared => "the same for all runtimes",
                Shape::PerRuntime => "installed for each runtime",
            };
            content.insert(0, format!("{packages}, {shape}"));
        }
        anstream::println!(
            "{} {} for {} on {}\n{}; {}, unzipped {}",
            publication.layer,
            publication.description,
            joined(&publication.runtimes),
            joined(&publication.architectures),
            content.join("; "),
            BinaryBytes(assembled.written.size),
            BinaryBytes(assembled.unzipped),
        );
    }
    if global.verbose {
        for package in &assembled.packages {
            let installed = &package.installed;
            let (name, version, wheel) = (&installed.name, &installed.version, &installed.wheel);
            let runtimes = match assembled.shape {
                Shape::Shared => String::new(),
                Shape::PerRuntime => format!("  {}", joined(&package.runtimes)),
            };
            anstream::println!("  {name} {version}  {wheel}{runtimes}");
        }
    }
    let published = outcomes.iter().filter_map(|(region, outcome)| {
        let published = outcome.as_ref().ok()?;
        Some((region, published))
    });
    let mut rows = table::new(&["region", "version", "", "granted to"]);
    for (region, Published { arn, is_new, .. }) in published {
        rows.add_row([
            region.to_string(),
            arn.clone(),
            if *is_new { "published" } else { "unchanged" }.to_owned(),
            plan.granted(),
        ]);
    }
    if rows.row_count() > 0 && !global.quiet {
        table::print(rows, &[]);
    }
    print_faults(outcomes.iter().filter_map(|(region, outcome)| {
        let error = outcome.as_ref().err()?;
        Some((region.as_str(), error as &dyn Fault))
    }));
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Document<'a> {
    problems: Vec<ProblemRecord<'a>>,
    layer: &'a str,
    description: &'a str,
    runtimes: &'a [Runtime],
    architectures: &'a [Architecture],
    shape: Shape,
    packages: Vec<PackageRecord<'a>>,
    files: usize,
    sha256: String,
    size: u64,
    unzipped_size: u64,
    warnings: &'a [String],
    permissions: Vec<PermissionRecord>,
    versions: Vec<VersionRecord<'a>>,
    failures: Vec<FailureRecord<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct PackageRecord<'a> {
    name: &'a str,
    version: &'a str,
    wheel: &'a str,
    runtimes: &'a [Runtime],
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct VersionRecord<'a> {
    region: &'a str,
    version: u64,
    version_arn: &'a str,
    changed: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct FailureRecord<'a> {
    region: &'a str,
    error: ErrorRecord,
}

fn print_document(report: &Report, plan: &Plan, outcomes: &Outcomes) {
    let Plan {
        publication,
        assembled,
        ..
    } = plan;
    let packages = assembled.packages.iter().map(|package| PackageRecord {
        name: &package.installed.name,
        version: &package.installed.version,
        wheel: &package.installed.wheel,
        runtimes: &package.runtimes,
    });
    let versions = outcomes.iter().filter_map(|(region, outcome)| {
        let published = outcome.as_ref().ok()?;
        Some(VersionRecord {
            region: region.as_str(),
            version: published.version,
            version_arn: &published.arn,
            changed: published.is_new,
        })
    });
    let failures = outcomes.iter().filter_map(|(region, outcome)| {
        let error = outcome.as_ref().err()?;
        Some(FailureRecord {
            region: region.as_str(),
            error: ErrorRecord::from(error as &dyn Fault),
        })
    });
    print_json(&Document {
        problems: report.records(),
        layer: publication.layer.as_str(),
        description: &publication.description,
        runtimes: &publication.runtimes,
        architectures: &publication.architectures,
        shape: assembled.shape,
        packages: packages.collect(),
        files: assembled.copied,
        sha256: assembled.written.sha256.to_string(),
        size: assembled.written.size,
        unzipped_size: assembled.unzipped,
        warnings: &assembled.warnings,
        permissions: plan
            .permissions
            .iter()
            .map(PermissionRecord::from)
            .collect(),
        versions: versions.collect(),
        failures: failures.collect(),
    });
}
