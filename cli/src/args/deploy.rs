//! Commands that deploy, update and delete pipelines.

use std::path::PathBuf;
use std::str::FromStr;

use super::{AwsOptions, Region};
use crate::environment::TEMPLATE;

/// Create a deployment file for these regions; deploys nothing
///
/// An existing file stays as it is.
#[derive(Debug, clap::Args)]
pub(crate) struct Init {
    /// The file to write
    pub(crate) deployment_file: PathBuf,
    /// Regions, such as eu-west-1
    #[arg(required = true)]
    pub(crate) regions: Vec<Region>,
}

/// Add regions or stacks to a deployment file; deploys nothing
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Add {
    Regions(AddRegions),
    Stack(AddStack),
}

/// Add regions to a deployment file; deploys nothing
///
/// Regions that the file names already stay as they are.
#[derive(Debug, clap::Args)]
pub(crate) struct AddRegions {
    /// The deployment file, as `accretion init` writes it
    pub(crate) deployment_file: PathBuf,
    /// Regions, such as eu-west-1
    #[arg(required = true)]
    pub(crate) regions: Vec<Region>,
}

/// Adopt a stack that `sam deploy` created
///
/// The stack must exist and be a pipeline of Accretion. The command adds its region to the file if
/// necessary.
#[derive(Debug, clap::Args)]
pub(crate) struct AddStack {
    /// The deployment file, as `accretion init` writes it
    pub(crate) deployment_file: PathBuf,
    /// The region of the stack
    pub(crate) region: Region,
    /// The name of the stack
    #[arg(value_name = "STACK")]
    pub(crate) name: String,
    #[command(flatten)]
    pub(crate) aws: AwsOptions,
}

/// Deploy or update the pipelines of a deployment file
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Update {
    All(UpdateAll),
}

/// Deploy or update the pipeline in all regions of a deployment file
///
/// Uses the SAM CLI to build the functions, unless the template is built already, and to deploy
/// them. Regions that have a stack keep it and its parameters; the others get a new one. All regions
/// are deployed at the same time, and a failure in one does not stop the others. After each success
/// the command writes the stack into the file.
#[derive(Debug, clap::Args)]
pub(crate) struct UpdateAll {
    /// The deployment file, as `accretion init` writes it
    pub(crate) deployment_file: PathBuf,
    /// Deploy only to this region [may be repeated; default: all regions of the file]
    #[arg(long = "region", value_name = "REGION")]
    pub(crate) regions: Vec<Region>,
    /// The name of new stacks
    #[arg(long, value_name = "NAME", default_value = "accretion")]
    pub(crate) stack_name: String,
    #[command(flatten)]
    pub(crate) template: TemplateOption,
    /// The section of the samconfig.toml beside the template
    #[arg(long, value_name = "NAME", default_value = "default")]
    pub(crate) config_env: String,
    /// A parameter of the template; other parameters keep their values [may be repeated]
    #[arg(long = "parameter", value_name = "NAME=VALUE")]
    pub(crate) parameters: Vec<Parameter>,
    #[command(flatten)]
    pub(crate) aws: AwsOptions,
}

/// Delete the stacks of a deployment file
///
/// Lists the stacks first and asks for confirmation. Buckets, tables, published layers and the
/// parameters with their latest versions stay, unless --delete-data is given; the file records what
/// is left, so that a later run can delete it. If the command fails or is interrupted, run it again
/// to continue.
#[derive(Debug, clap::Args)]
pub(crate) struct Destroy {
    /// The deployment file, as `accretion init` writes it
    pub(crate) deployment_file: PathBuf,
    /// Delete only in this region [may be repeated; default: all regions of the file]
    #[arg(long = "region", value_name = "REGION")]
    pub(crate) regions: Vec<Region>,
    /// The stack to delete if the file names none, as after a failed deployment
    #[arg(long, value_name = "NAME")]
    pub(crate) stack_name: Option<String>,
    /// Delete without confirmation
    #[arg(long)]
    pub(crate) yes: bool,
    /// Delete data, too: all versions in the buckets, the tables, the published layers and the
    /// parameters with their latest versions
    #[arg(long)]
    pub(crate) delete_data: bool,
    #[command(flatten)]
    pub(crate) aws: AwsOptions,
}

/// Print the path of the SAM template that `accretion update all` deploys
#[derive(Debug, clap::Args)]
pub(crate) struct Template {
    #[command(flatten)]
    pub(crate) template: TemplateOption,
}

/// The option that names a template.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct TemplateOption {
    /// The SAM template, or a template that `sam build` has built [default: the template of the
    /// checkout that this command was compiled from]
    #[arg(long = "template", value_name = "FILE", env = TEMPLATE, hide_env_values = true)]
    pub(crate) path: Option<PathBuf>,
}

/// A parameter of the template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Parameter {
    pub(crate) name: String,
    pub(crate) value: String,
}

impl FromStr for Parameter {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('=') {
            Some((name, value))
                if !name.is_empty() && name.bytes().all(|it| it.is_ascii_alphanumeric()) =>
            {
                Ok(Self {
                    name: name.to_owned(),
                    value: value.to_owned(),
                })
            }
            _ => Err("a parameter is written as NAME=VALUE".to_owned()),
        }
    }
}
