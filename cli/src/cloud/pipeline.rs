//! The pipeline of a region: its stacks, with their outputs and parameters.

use std::collections::BTreeMap;

use accretion_aws::Clients;
use accretion_aws::operator::{RequestsTable, Stack, Stacks as CloudFormation};
use accretion_core::diagnostic::Problem;
use accretion_core::layer::LayerName;
use accretion_core::request::{Admission, AllowedPermissions, Permission};
use accretion_python::request::Request;
use futures_util::future::{join_all, try_join_all};

use super::{Error, Stacks};
use crate::args::{AwsOptions, OneRegion, Region};

impl AwsOptions {
    /// The clients for all regions. Looks up the credentials once.
    pub(crate) async fn clients(&self) -> Clients {
        Clients::of_profile(self.profile.as_deref()).await
    }
}

/// A region's pipeline.
#[derive(Debug, Clone)]
pub(crate) struct Pipeline {
    pub(crate) region: Region,
    /// The clients of the region.
    pub(crate) clients: Clients,
    stacks: Vec<Stack>,
    outputs: BTreeMap<String, String>,
}

impl Pipeline {
    /// Outputs of every pipeline's stack.
    pub(crate) const OUTPUTS: [&str; 3] =
        ["InboxBucketName", "ArtifactsBucketName", "LayersTableName"];

    /// The stack parameter with the path of the SSM parameters that hold the latest versions.
    pub(crate) const POINTER_PREFIX: &str = "LatestVersionPrefix";

    /// Reads the stacks of a region from CloudFormation.
    pub(crate) async fn connect(
        clients: &Clients,
        region: Region,
        stacks: &Stacks,
    ) -> Result<Self, Error> {
        let here = clients.in_region(region.as_str());
        let names = stacks.names();
        if names.is_empty() {
            return Err(Error::NotDeployed { region });
        }
        let cloud_formation = CloudFormation::new(&here);
        let described = names.into_iter().map(async |name| {
            let stack = cloud_formation.describe(name).await?;
            stack.ok_or_else(|| Error::StackMissing {
                stack: name.to_owned(),
                region: region.clone(),
            })
        });
        let stacks = try_join_all(described).await?;
        let outputs = stacks.iter().flat_map(|stack| stack.outputs.clone());
        Ok(Self {
            outputs: outputs.collect(),
            region,
            clients: here,
            stacks,
        })
    }

    /// The pipeline of a region.
    pub(crate) async fn at(at: OneRegion, aws: &AwsOptions) -> Result<Self, Error> {
        let stacks = at.stacks()?;
        Self::connect(&aws.clients().await, at.region, &stacks).await
    }

    /// The pipeline of a region that may have published a layer of this name. `None` if the region has
    /// no pipeline, or if no pipeline gives layers such names.
    pub(crate) async fn of_layer(
        at: &OneRegion,
        clients: &Clients,
        layer: &str,
    ) -> Result<Option<(Self, LayerName)>, Error> {
        let stacks = at.stacks()?;
        let Ok(name) = layer.parse() else {
            return Ok(None);
        };
        if stacks.names().is_empty() {
            return Ok(None);
        }
        let pipeline = Self::connect(clients, at.region.clone(), &stacks).await?;
        Ok(Some((pipeline, name)))
    }

    /// Refuses a request that the pipeline would refuse. Stacks of versions without these parameters
    /// have no such rules.
    pub(crate) fn admit(&self, request: &Request) -> Result<(), Error> {
        self.admitted(|admission| {
            let owner = admission.project_from_key.then_some(&request.name);
            admission.problems(request, owner)
        })
    }

    /// Refuses a rollback to a version with these permissions that the pipeline would refuse.
    pub(crate) fn admit_rollback(&self, permissions: &[Permission]) -> Result<(), Error> {
        self.admitted(|admission| admission.rollback_problems(permissions))
    }

    fn admitted(&self, problems: impl Fn(&Admission) -> Vec<Problem>) -> Result<(), Error> {
        let has_rules = |stack: &&Stack| stack.parameter("AllowedPermissions").is_some();
        let Some(stack) = self.stacks.iter().rev().find(has_rules) else {
            return Ok(());
        };
        let given = |name: &str| stack.parameter(name).unwrap_or_default();
        let is_owned = given("ProjectFromKey") == "true"
            || !given("InboxPrincipals").is_empty()
            || !given("InboxOperators").is_empty();
        // The account itself is always allowed. The id of the stack contains it.
        let account = stack.id.split(':').nth(4).unwrap_or_default();
        let permissions = format!("{account},{}", given("AllowedPermissions")).parse();
        let admission = Admission {
            project_from_key: is_owned,
            // If this version cannot read the parameter, the pipeline decides.
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

    /// The table of requests.
    pub(crate) fn requests(&self) -> Result<RequestsTable, Error> {
        let table = self.output("RequestsTableName")?;
        Ok(RequestsTable::new(&self.clients, table))
    }

    /// A parameter of the stacks, such as `LatestVersionPrefix`.
    pub(crate) fn parameter(&self, name: &str) -> Option<&str> {
        self.stacks.iter().find_map(|stack| stack.parameter(name))
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

/// Does the same work in several regions at once. Returns the results in the order of the regions.
pub(crate) async fn in_each<K, T>(
    regions: impl IntoIterator<Item = (Region, K)>,
    work: impl AsyncFn(Region, K) -> Result<T, Error>,
) -> ByRegion<Result<T, Error>> {
    let work_in = &work;
    let results = regions
        .into_iter()
        .map(async |(region, known)| (region.clone(), work_in(region, known).await));
    join_all(results).await
}

/// Something of each region.
type ByRegion<T> = Vec<(Region, T)>;

/// Splits the results of regions into values and errors.
pub(crate) fn parted<T>(results: ByRegion<Result<T, Error>>) -> (ByRegion<T>, ByRegion<Error>) {
    let (mut values, mut errors) = (Vec::new(), Vec::new());
    for (region, result) in results {
        match result {
            Ok(value) => values.push((region, value)),
            Err(error) => errors.push((region, error)),
        }
    }
    (values, errors)
}
