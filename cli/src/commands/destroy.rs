//! `accretion destroy`

mod found;

use std::collections::BTreeSet;
use std::process::ExitCode;
use std::time::Instant;

use accretion_aws::Clients;
use accretion_aws::operator::{Retained as InAws, Stack, StackEvent, Stacks as CloudFormation};
use accretion_core::keys;
use futures_util::future::try_join_all;
use serde::Serialize;

use self::found::{Found, FoundStack, announce};
use crate::args::{Destroy, Global, Region};
use crate::cloud::{
    self, DeploymentFile, Done, Failure, Outcome, Pauses, Retained, StackError, StackWork, Stacks,
    in_each, parted, print_done, settled,
};
use crate::error::Error;
use crate::{consent, print};

/// The highest number of attempts to empty a bucket: work that was under way when its stack was
/// deleted may still write to it.
const EMPTYING_ATTEMPTS: usize = 3;

/// The stacks of a region, and what is left of them.
#[derive(Default, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Left {
    stacks: Vec<String>,
    retained: Vec<Retained>,
}

/// Deletes the stacks of a deployment file.
pub(super) async fn run(args: Destroy, global: Global) -> Result<ExitCode, Error> {
    let file = DeploymentFile::new(&args.deployment_file);
    let regions = file.chosen(&args.regions)?;
    let clients = args.aws.clients().await;
    let start = Instant::now();
    let looked = in_each(regions, async |region, stacks| {
        let here = clients.in_region(region.as_str());
        Found::look(&region, here, &stacks, args.stack_name.as_deref()).await
    });
    let (found, failed) = parted(looked.await);
    let unseen = failed.into_iter().map(|(region, error)| Done {
        region,
        time: start.elapsed(),
        outcome: Err(error),
        rest: Left::default(),
    });
    let mut done: Vec<_> = unseen.collect();
    let is_needed = found.iter().any(|(_, found)| {
        let has_left = args.delete_data && !found.left.is_empty();
        !found.stacks.is_empty() || has_left
    });
    if is_needed {
        if global.is_chatty() || !args.yes {
            announce(&found, args.delete_data);
        }
        if !args.yes && !consent::ask("Delete this?").await? {
            if !global.is_text() {
                print_results(&file, Vec::new(), global);
            } else if !global.quiet {
                anstream::eprintln!("nothing was deleted");
            }
            return Ok(ExitCode::SUCCESS);
        }
    }
    let path = file.path().display();
    let again = format!("run `accretion destroy {path}` with the same options to continue");
    let destruction = Destruction {
        file: &file,
        delete_data: args.delete_data,
        work: StackWork::new(!global.is_chatty(), "deleted", again),
    };
    let destroyed = in_each(found, async |region, found| {
        let start = Instant::now();
        let outcome = destruction.region(&region, &found).await;
        let rest = Left {
            stacks: found.names,
            retained: file.stacks(&region)?.retained,
        };
        Ok(destruction.work.done(region, start, outcome, rest))
    });
    for (_, result) in destroyed.await {
        done.push(result?);
    }
    drop(destruction);
    Ok(print_results(&file, done, global))
}

struct Destruction<'a> {
    file: &'a DeploymentFile,
    delete_data: bool,
    work: StackWork,
}

impl Destruction<'_> {
    async fn region(&self, region: &Region, found: &Found) -> Result<Outcome, cloud::Error> {
        // Before the deletion of the stacks, which name their data.
        self.record(region, |stacks| {
            for known in &found.stacks {
                stacks.retain(known.retained.clone());
            }
        })?;
        let mut left = found.left.clone();
        for known in &found.stacks {
            let stack = &known.stack;
            let gone = self.delete(region, &found.clients, known).await?;
            let mut retained = known.retained.clone();
            let is_left = |name: &String| !gone.contains(name);
            retained.buckets.retain(is_left);
            retained.tables.retain(is_left);
            self.record(region, |stacks| {
                stacks.forget(&stack.name);
                stacks.retain(retained.clone());
            })?;
            left.push(retained);
        }
        self.record(region, |stacks| {
            for name in &found.names {
                stacks.forget(name);
            }
        })?;
        let mut has_deleted = !found.stacks.is_empty();
        if self.delete_data {
            for retained in &left {
                has_deleted = true;
                self.delete_data(region, &found.clients, retained).await?;
                self.record(region, |stacks| {
                    stacks.retain(Retained {
                        stack: retained.stack.clone(),
                        ..Retained::default()
                    });
                })?;
            }
        }
        Ok(if has_deleted {
            Outcome::Deleted
        } else {
            Outcome::Absent
        })
    }

    /// Writes the progress in a region into the deployment file.
    fn record(
        &self,
        region: &Region,
        change: impl FnOnce(&mut Stacks),
    ) -> Result<(), cloud::Error> {
        self.file.change(|deployments| {
            change(deployments.deployments.entry(region.clone()).or_default());
            Ok(())
        })
    }

    /// Deletes a stack. Returns the physical ids of its deleted resources.
    async fn delete(
        &self,
        region: &Region,
        clients: &Clients,
        known: &FoundStack,
    ) -> Result<BTreeSet<String>, cloud::Error> {
        let stack = &known.stack;
        let cloud_formation = CloudFormation::new(clients);
        let marker = cloud_formation.last_event(&stack.id).await?;
        self.work.begin(region, &stack.name, known.resources);
        let lines = &self.work.lines;
        lines.note(region.as_str(), &format!("deleting `{}`", stack.name));
        let deleting = async {
            // Only an update has to end first.
            if stack.is_of_update() {
                settled(&cloud_formation, &stack.id, |_| {}).await?;
            }
            cloud_formation.delete(&stack.id).await?;
            self.work.is_in_cloud(region);
            deletion(&cloud_formation, &stack.id, marker.as_deref()).await
        };
        let following = self
            .work
            .follow(&cloud_formation, region, &stack.id, marker.clone());
        let result: Result<Option<Stack>, cloud::Error> = tokio::select! {
            result = deleting => result,
            never = following => match never {},
        };
        self.work.end(region);
        let failed = result?;
        let events = cloud_formation.events(&stack.id, marker.as_deref()).await?;
        if let Some(now) = failed {
            return Err(StackError::StackFailed {
                stack: stack.name.clone(),
                intent: Outcome::Deleted,
                status: now.status,
                failures: Failure::among(&events),
                hint: "fix the reasons, then run the same command again".to_owned(),
            }
            .into());
        }
        let gone = events.into_iter().filter(|it| it.resource.is_deleted());
        Ok(gone.map(|it| it.resource.physical_id).collect())
    }

    /// Deletes the data of a stack. The table of layers goes last, since it lists the layers.
    async fn delete_data(
        &self,
        region: &Region,
        clients: &Clients,
        retained: &Retained,
    ) -> Result<(), cloud::Error> {
        let in_aws = InAws::new(clients);
        let say = |message: String| self.work.lines.say(region.as_str(), message);
        if let Some(table) = &retained.layers_table {
            let published = in_aws.published(table).await?;
            say(format!("deleting {} layers", published.len()));
            if let Some(prefix) = &retained.pointer_prefix {
                let parameters = published.keys().map(|layer| {
                    let (project, target) = layer.parts();
                    keys::latest_version_parameter(prefix, &project, target)
                });
                let names: Vec<_> = parameters.collect();
                in_aws.delete_parameters(&names).await?;
            }
            in_aws.delete_layer_versions(&published).await?;
        }
        try_join_all(retained.buckets.iter().map(async |bucket| {
            for attempt in 1..=EMPTYING_ATTEMPTS {
                let so_far = |count| say(format!("emptying {bucket}: {count} versions"));
                in_aws.empty_bucket(bucket, so_far).await?;
                let is_last = attempt == EMPTYING_ATTEMPTS;
                if in_aws.delete_bucket(bucket, is_last).await? {
                    break;
                }
            }
            Ok::<_, cloud::Error>(())
        }))
        .await?;
        let tables = retained.tables.iter();
        try_join_all(tables.map(|table| in_aws.delete_table(table))).await?;
        Ok(())
    }
}

/// Waits for the end of a deletion that began after an event. Returns the stack if it failed.
async fn deletion(
    cloud_formation: &CloudFormation,
    id: &str,
    marker: Option<&str>,
) -> Result<Option<Stack>, cloud::Error> {
    let mut pauses = Pauses::new();
    loop {
        // By its id, since another stack may have its name by now.
        match cloud_formation.describe(id).await? {
            None => return Ok(None),
            Some(now) if now.is_deleted() => return Ok(None),
            // The status may be that of an earlier deletion, until this one begins.
            Some(now) if now.has_failed_deletion() => {
                let events = cloud_formation.events(id, marker).await?;
                if events.iter().any(StackEvent::is_failed_deletion) {
                    return Ok(Some(now));
                }
            }
            Some(_) => {}
        }
        pauses.pause().await;
    }
}

fn print_results(file: &DeploymentFile, done: Vec<Done<Left>>, global: Global) -> ExitCode {
    let stacks = |left: &Left| match &left.stacks[..] {
        [] => "-".to_owned(),
        stacks => stacks.join(", "),
    };
    print_done(done, global, stacks, |done| print_left(file, done))
}

/// Prints how to delete the data that is left, or to reuse it.
fn print_left(file: &DeploymentFile, done: &[Done<Left>]) {
    let has_left = |it: &&Done<Left>| it.outcome.is_ok() && !it.rest.retained.is_empty();
    let left = done.iter().filter(has_left).map(|it| it.region.as_str());
    let regions: Vec<_> = left.collect();
    if regions.is_empty() {
        return;
    }
    let path = file.path().display();
    // The stacks of other regions may stay.
    let only: String = regions.iter().flat_map(|it| [" --region ", it]).collect();
    print::hint(&format!(
        "buckets, tables and layers are left in {}: `accretion destroy {path}{only} --delete-data` \
         deletes them\nto deploy again and keep them, name other buckets: `accretion update all \
         {path}{only} --parameter BucketPrefix=NAME`",
        regions.join(", ")
    ));
}
