//! `accretion list`

mod layers;
mod requests;
mod versions;

use std::process::ExitCode;

use accretion_aws::operator::ListedVersion;
use accretion_core::target::Runtime;
use serde::Serialize;

use crate::args::Global;
use crate::cloud::Region;
use crate::error::Error;
use crate::units::to_the_second;

/// List what a region has
#[derive(Debug, clap::Subcommand)]
pub(crate) enum List {
    Layers(layers::Layers),
    Versions(versions::Versions),
    Requests(requests::Requests),
}

impl List {
    /// The region that it is about.
    pub(super) fn region(&self) -> &Region {
        match self {
            Self::Layers(args) => &args.placed.at.region,
            Self::Versions(args) => &args.placed.at.region,
            Self::Requests(args) => &args.at.region,
        }
    }
}

/// Lists.
pub(crate) async fn run(list: List, global: Global) -> Result<ExitCode, Error> {
    match list {
        List::Layers(args) => layers::run(args, global).await,
        List::Versions(args) => versions::run(args, global).await,
        List::Requests(args) => requests::run(args, global).await,
    }
}

/// Narrows a list.
#[derive(Debug, clap::Args)]
struct Filter {
    /// Only what goes with this runtime, such as python3.13
    #[arg(long)]
    runtime: Option<Runtime>,
}

/// A layer version for programs.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct VersionRecord {
    version: u64,
    version_arn: String,
    created_at: Option<String>,
    runtimes: Vec<String>,
    architectures: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    license_info: Option<String>,
}

impl From<ListedVersion> for VersionRecord {
    fn from(listed: ListedVersion) -> Self {
        Self {
            version: listed.version,
            version_arn: listed.arn,
            created_at: listed.created_at.map(|at| at.to_string()),
            runtimes: listed.runtimes,
            architectures: listed.architectures,
            description: listed.description,
            license_info: listed.license,
        }
    }
}

/// How many characters of a description a table shows.
const DESCRIPTION: usize = 30;

/// What tables say of a version: number, time, runtimes, architectures, description.
fn columns(listed: &ListedVersion) -> [String; 5] {
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
