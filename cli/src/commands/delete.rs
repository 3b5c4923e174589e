//! `accretion delete versions`

mod shown;

use std::collections::BTreeSet;
use std::num::NonZeroUsize;
use std::process::ExitCode;

use accretion_aws::operator::{Identity, LayerInventory, VersionRecords};
use accretion_aws::{Clients, SsmLatestVersions};
use accretion_core::Fault as _;
use accretion_core::layer::LambdaLayerName;
use accretion_core::retention::Policy;
use accretion_core::timestamp::Timestamp;
use accretion_service::deletion::{Deletion, Outcome, PlannedVersion};

use crate::args::{DeleteVersions, Global, Region};
use crate::cloud::{self, DeploymentFile, Pipeline, in_each};
use crate::error::Error;
use crate::exit::{USAGE, code_of, code_of_all};
use crate::units::counted;
use crate::{consent, print};

/// The layer versions of a region.
struct Found {
    inventory: LayerInventory,
    versions: Vec<PlannedVersion>,
}

impl Found {
    /// The versions that may be deleted.
    fn deletable(&self) -> impl Iterator<Item = &PlannedVersion> {
        self.versions.iter().filter(|it| it.reason.is_none())
    }
}

/// The outcome of the command in a region.
struct Done {
    region: Region,
    result: Result<Found, cloud::Error>,
    /// The outcomes of deletions, by the ARNs of the versions.
    outcomes: Vec<(String, Outcome)>,
}

/// Shows the versions to delete, asks, and deletes them.
pub(super) async fn run(args: DeleteVersions, global: Global) -> Result<ExitCode, Error> {
    let policy = Policy {
        keep: args.old.keep.unwrap_or(NonZeroUsize::MIN),
        created_before: args.old.older_than.map(|age| {
            let now: Timestamp = jiff::Timestamp::now().into();
            now.before(age.0)
        }),
    };
    let mut done = look(&args, policy).await?;
    if global.is_text() && (!global.quiet || !args.yes) {
        shown::print_plan(&done);
    }
    let found = done.iter().flat_map(|it| &it.result);
    let count = found.map(|it| it.deletable().count()).sum::<usize>();
    let consent = if args.dry_run {
        Ok(false)
    } else if args.yes || count == 0 {
        Ok(true)
    } else {
        let question = format!("Delete {}?", counted(count, "version"));
        consent::ask(&question).await
    };
    if let Ok(true) = consent {
        for it in &mut done {
            delete(it, policy).await;
        }
    }
    if global.is_text() {
        shown::print_outcomes(&done, global);
        match &consent {
            Err(error) => print::fault(error, None),
            Ok(false) if !global.quiet => anstream::eprintln!("nothing was deleted"),
            Ok(_) => {}
        }
    } else {
        shown::print_document(&done, consent.as_ref().err());
    }
    if consent.is_err() {
        return Ok(ExitCode::from(USAGE));
    }
    Ok(code_of_all(done.iter().flat_map(|it| {
        let outcomes = it.outcomes.iter().filter_map(|(_, outcome)| match outcome {
            Outcome::DeletedUnrecorded(error) | Outcome::Failed(error) => {
                Some(code_of(error.class()))
            }
            Outcome::Deleted | Outcome::Kept(_) => None,
        });
        let failure = it.result.as_ref().err().map(cloud::Error::exit_code);
        outcomes.chain(failure)
    })))
}

/// Finds the versions in each region. Fails for a layer that no region has.
async fn look(args: &DeleteVersions, policy: Policy) -> Result<Vec<Done>, Error> {
    let regions = DeploymentFile::new(&args.deployment_file).searched(&args.regions.0)?;
    let clients = args.aws.clients().await;
    let distinct: BTreeSet<_> = args.layers.iter().cloned().collect();
    let layers: Vec<_> = distinct.into_iter().collect();
    let looked = in_each(regions, async |region, stacks| {
        let pipeline = Pipeline::connect(&clients, region, &stacks).await?;
        let inventory = inventory(&pipeline, &clients).await?;
        let versions = Deletion::new(&inventory, policy).plan(&layers).await?;
        Ok(Found {
            inventory,
            versions,
        })
    });
    let results = looked.await.into_iter();
    let done: Vec<_> = results
        .map(|(region, result)| Done {
            region,
            result,
            outcomes: Vec::new(),
        })
        .collect();
    let is_there = |layer: &LambdaLayerName| {
        let found = done.iter().flat_map(|it| &it.result);
        found
            .flat_map(|it| &it.versions)
            .any(|it| it.layer == *layer)
    };
    if let (Some(first), Some(layer)) = (done.first(), layers.iter().find(|it| !is_there(it)))
        && done.iter().all(|it| it.result.is_ok())
    {
        return Err(cloud::Error::LayerVersionUnknown {
            region: first.region.clone(),
            layer: layer.to_string(),
            version: None,
        }
        .into());
    }
    Ok(done)
}

async fn inventory(pipeline: &Pipeline, clients: &Clients) -> Result<LayerInventory, cloud::Error> {
    let table = pipeline.output("LayersTableName")?;
    let records = VersionRecords::new(&pipeline.clients, table);
    // Without the prefix, the versions that parameters name would be unknown, and deleted.
    let prefix = pipeline.output(Pipeline::POINTER_PREFIX)?;
    let latest = SsmLatestVersions::new(&pipeline.clients, prefix);
    let deleted_by = Identity::new(clients).arn().await;
    let clients = &pipeline.clients;
    Ok(LayerInventory::new(clients, records, latest, deleted_by))
}

/// Deletes the deletable versions one after the other, since Lambda takes few calls a second.
async fn delete(done: &mut Done, policy: Policy) {
    let Ok(found) = &done.result else {
        return;
    };
    let deletion = Deletion::new(&found.inventory, policy);
    for planned in found.deletable() {
        let outcome = deletion.delete(&planned.layer, &planned.version).await;
        done.outcomes.push((planned.version.arn.clone(), outcome));
    }
}
