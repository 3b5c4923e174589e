//! A region's pipeline: the stacks that the deployment file names, and what they consist of.

use std::collections::BTreeMap;

use accretion_aws::Clients;
use accretion_aws::operator::{Stack, Stacks as CloudFormation};
use accretion_core::diagnostic::Problem;
use accretion_core::request::Permission;
use accretion_core::request::{Admission, AllowedPermissions};
use accretion_python::request::Request;
use futures_util::future::{join_all, try_join_all};

use super::{Error, Region, Stacks};

/// How AWS is reached.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "AWS options")]
pub(crate) struct AwsOptions {
    /// A profile of the AWS configuration files, instead of `AWS_PROFILE` or the default one
    #[arg(long, value_name = "NAME")]
    pub(crate) profile: Option<String>,
}

impl AwsOptions {
    /// The clients for all regions: credentials are looked for once.
    pub(crate) async fn clients(&self) -> Clients {
        Clients::of_profile(self.profile.as_deref()).await
    }
}

/// A region's pipeline.
#[derive(Debug, Clone)]
pub(crate) struct Pipeline {
    pub(crate) region: Region,
    /// Of that region.
    pub(crate) clients: Clients,
    stacks: Vec<Stack>,
    outputs: BTreeMap<String, String>,
}

impl Pipeline {
    /// Outputs by which a stack is known to be one.
    pub(crate) const OUTPUTS: [&str; 3] =
        ["InboxBucketName", "ArtifactsBucketName", "LayersTableName"];

    /// The parameter of its stack that says where the pointers to the latest versions are.
    pub(crate) const POINTER_PREFIX: &str = "LatestVersionPrefix";

    /// Asks CloudFormation what the stacks of a region consist of.
    pub(crate) async fn connect(
        clients: &Clients,
        region: Region,
        stacks: &Stacks,
    ) -> Result<Self, Error> {
        let clients = clients.in_region(region.as_str());
        let names = stacks.names();
        if names.is_empty() {
            return Err(Error::NotDeployed { region });
        }
        let cloud_formation = CloudFormation::new(&clients);
        let stacks = names.into_iter().map(async |name| {
            let stack = cloud_formation.describe(name).await?;
            stack.ok_or_else(|| Error::StackMissing {
                stack: name.to_owned(),
                region: region.clone(),
            })
        });
        let stacks = try_join_all(stacks).await?;
        let outputs = stacks.iter().flat_map(|stack| stack.outputs.clone());
        Ok(Self {
            outputs: outputs.collect(),
            region,
            clients,
            stacks,
        })
    }

    /// Refuses a request of the command that the pipeline would refuse. Where a stack is of a version
    /// without these parameters, it has no such rules.
    pub(crate) fn admit(&self, request: &Request) -> Result<(), Error> {
        self.admitted(|admission| {
            let owner = admission.project_from_key.then_some(&request.name);
            admission.problems(request, owner)
        })
    }

    /// The same of a rollback to a version that was shared with these.
    pub(crate) fn admit_rollback(&self, permissions: &[Permission]) -> Result<(), Error> {
        self.admitted(|admission| admission.rollback_problems(permissions))
    }

    fn admitted(&self, problems: impl Fn(&Admission) -> Vec<Problem>) -> Result<(), Error> {
        let stack = self.stacks.iter();
        let mut stack =
            stack.filter_map(|it| it.parameters.get("AllowedPermissions").map(|of| (it, of)));
        let Some((stack, allowed)) = stack.next_back() else {
            return Ok(());
        };
        let given = |name: &str| stack.parameters.get(name).map_or("", String::as_str);
        let is_owned = given("ProjectFromKey") == "true"
            || !given("InboxPrincipals").is_empty()
            || !given("InboxOperators").is_empty();
        // The account itself is always among them, and the stack's id has it.
        let account = stack.id.split(':').nth(4).unwrap_or_default();
        let permissions = format!("{account},{allowed}").parse();
        let admission = Admission {
            project_from_key: is_owned,
            // What this version can't read, the pipeline decides on.
            permissions: permissions.unwrap_or(AllowedPermissions::ANYONE),
        };
        let problems = problems(&admission);
        if problems.is_empty() {
            return Ok(());
        }
        Err(Error::RequestNotAdmitted {
            region: self.region.clone(),
            problems,
        })
    }

    /// A parameter of the stacks, such as `LatestVersionPrefix`.
    pub(crate) fn parameter(&self, name: &str) -> Option<&str> {
        let mut stacks = self.stacks.iter();
        stacks.find_map(|stack| stack.parameters.get(name).map(String::as_str))
    }

    /// An output of the stacks, such as `InboxBucketName`.
    pub(crate) fn output(&self, name: &'static str) -> Result<&str, Error> {
        let value = self.outputs.get(name).map(String::as_str);
        value.ok_or_else(|| Error::OutputMissing {
            output: name,
            stacks: self.stacks.iter().map(|it| it.name.clone()).collect(),
            region: self.region.clone(),
        })
    }
}

/// Does the same in several regions at once: what comes of each, in their order.
pub(crate) async fn in_each<K, T>(
    regions: impl IntoIterator<Item = (Region, K)>,
    work: impl AsyncFn(Region, K) -> Result<T, Error>,
) -> Vec<(Region, Result<T, Error>)> {
    let work = &work;
    let regions = regions.into_iter();
    join_all(regions.map(async |(region, known)| (region.clone(), work(region, known).await))).await
}
