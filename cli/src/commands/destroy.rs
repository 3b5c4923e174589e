//! `accretion destroy`

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use accretion_aws::Clients;
use accretion_aws::operator::{
    Resource, Retained as InAws, Stack, StackEvent, Stacks as CloudFormation,
};
use accretion_core::Fault;
use accretion_core::keys;
use accretion_core::layer::LayerName;
use futures_util::future::try_join_all;
use serde::Serialize;

use crate::args::{Format, Global};
use crate::cloud::{
    self, AwsOptions, DeploymentFile, Failure, Outcome, Pauses, Pipeline, Region, Retained,
    StackError, StackWork, Stacks, exit_code, in_each, settled,
};
use crate::consent;
use crate::error::{Error, ErrorRecord, print_faults, print_hint};
use crate::table;
use crate::units::{counted, span};

/// How often a bucket is emptied: what was under way when its stack was deleted may still write.
const EMPTIED_AT_MOST: usize = 3;

/// The table that says which layers are a pipeline's, by its name in the template.
const LAYERS_TABLE: &str = "LayersTable";

/// Delete the stacks of a deployment file
///
/// Says first which these are, and asks. What holds data stays, unless --delete-data is given:
/// buckets, tables, published layers and the parameters that point to them. The file keeps in
/// mind what that is, so that it can be removed later. Cut off or failed, the command goes on
/// where it was when it is run again.
#[derive(Debug, clap::Args)]
pub(crate) struct Destroy {
    /// The file, as `accretion init` writes it
    deployment_file: PathBuf,
    /// Delete in this region only [may be repeated; default: all of the file]
    #[arg(long = "region", value_name = "REGION")]
    regions: Vec<Region>,
    /// The stack to delete where the file names none: a deployment that failed is not in there
    #[arg(long, value_name = "NAME")]
    stack_name: Option<String>,
    /// Delete without asking
    #[arg(long)]
    yes: bool,
    /// Delete also what holds data: all versions in the buckets, the tables, the published layers
    /// and the parameters that point to them
    #[arg(long)]
    delete_data: bool,
    #[command(flatten)]
    aws: AwsOptions,
}

/// The layers of a region.
struct Found {
    clients: Clients,
    /// The names in the file.
    names: Vec<String>,
    /// Those that are there, the last one of the file first.
    stacks: Vec<FoundStack>,
    /// What stacks have left that are gone.
    left: Vec<Retained>,
    /// The published layers of all of them.
    published: BTreeMap<LayerName, BTreeSet<u64>>,
}

struct FoundStack {
    stack: Stack,
    resources: usize,
    retained: Retained,
}

impl Found {
    fn retained(&self) -> impl Iterator<Item = &Retained> {
        let of_stacks = self.stacks.iter().map(|it| &it.retained);
        of_stacks.chain(&self.left)
    }
}

/// What has come of a region.
struct Done {
    region: Region,
    stacks: Vec<String>,
    time: Duration,
    outcome: Result<Outcome, cloud::Error>,
    /// What is left.
    retained: Vec<Retained>,
}

/// Deletes stacks.
pub(crate) async fn run(args: Destroy, global: Global) -> Result<ExitCode, Error> {
    let file = DeploymentFile::new(&args.deployment_file);
    let regions = file.chosen(&args.regions)?;
    let clients = args.aws.clients().await;
    let start = Instant::now();
    let looked = in_each(regions, async |region, stacks| {
        let clients = clients.in_region(region.as_str());
        look(&region, clients, &stacks, args.stack_name.as_deref()).await
    });
    let (mut done, mut found) = (Vec::new(), Vec::new());
    for (region, looked) in looked.await {
        match looked {
            Ok(it) => found.push((region, it)),
            Err(error) => done.push(Done {
                region,
                stacks: Vec::new(),
                time: start.elapsed(),
                outcome: Err(error),
                retained: Vec::new(),
            }),
        }
    }
    let something = found.iter().any(|(_, found)| {
        let has_left = args.delete_data && !found.left.is_empty();
        !found.stacks.is_empty() || has_left
    });
    if something {
        if global.format == Format::Text && !global.quiet || !args.yes {
            announce(&found, args.delete_data);
        }
        if !args.yes && !consent::ask("Delete this?").await? {
            match global.format {
                Format::Json => print(&file, &[], global),
                Format::Text if global.quiet => {}
                Format::Text => anstream::eprintln!("nothing was deleted"),
            }
            return Ok(ExitCode::SUCCESS);
        }
    }
    let quiet = global.quiet || global.format == Format::Json;
    let destruction = Destruction {
        file: &file,
        delete_data: args.delete_data,
        work: StackWork::new(
            quiet,
            "deleted",
            format!(
                "`accretion destroy {}` with the same options goes on from there",
                file.path().display()
            ),
        ),
    };
    let regions = in_each(found, async |region, found| {
        let start = Instant::now();
        let outcome = destruction.region(&region, &found).await;
        let time = start.elapsed();
        let said = format!("{} in {}", Outcome::of(&outcome), span(time));
        destruction.work.lines.end(region.as_str(), &said);
        Ok((found.names, time, outcome))
    });
    for (region, outcome) in regions.await {
        let (stacks, time, outcome) = outcome?;
        done.push(Done {
            retained: file.stacks(&region)?.retained,
            region,
            stacks,
            time,
            outcome,
        });
    }
    drop(destruction);
    done.sort_by(|one, other| one.region.cmp(&other.region));
    print(&file, &done, global);
    Ok(exit_code(done.iter().map(|done| &done.outcome)))
}

/// Looks at what there is, before anything is deleted: a stack that is gone names nothing.
async fn look(
    region: &Region,
    clients: Clients,
    stacks: &Stacks,
    otherwise: Option<&str>,
) -> Result<Found, cloud::Error> {
    let mut names: Vec<_> = stacks.names().into_iter().map(str::to_owned).collect();
    if names.is_empty() {
        names.extend(otherwise.map(str::to_owned));
    }
    let cloud_formation = CloudFormation::new(&clients);
    // The other way round than they were deployed.
    let known = names.iter().rev().map(async |name| {
        let Some(stack) = cloud_formation.describe(name).await? else {
            return Ok(None);
        };
        let resources = cloud_formation.resources(&stack.id).await?;
        if !is_ours(&stack, &resources) {
            return Err(StackError::StackForeign {
                region: region.clone(),
                stack: stack.name,
            }
            .into());
        }
        let mut retained = retained(&stack, &resources);
        // A deletion that failed may have let go of some of it.
        let before = stacks.retained.iter().find(|it| it.stack == stack.id);
        if let Some(before) = before {
            retained.add(before);
        }
        Ok::<_, cloud::Error>(Some(FoundStack {
            resources: resources.len(),
            retained,
            stack,
        }))
    });
    let stacks_found: Vec<_> = try_join_all(known).await?.into_iter().flatten().collect();
    let is_there = |it: &&Retained| !stacks_found.iter().any(|found| found.stack.id == it.stack);
    let mut found = Found {
        left: stacks.retained.iter().filter(is_there).cloned().collect(),
        stacks: stacks_found,
        published: BTreeMap::new(),
        names,
        clients,
    };
    let in_aws = InAws::new(&found.clients);
    let tables: Vec<_> = found
        .retained()
        .filter_map(|it| it.layers_table.clone())
        .collect();
    let published = tables.iter().map(|table| in_aws.published(table));
    for (layer, versions) in try_join_all(published).await?.into_iter().flatten() {
        found.published.entry(layer).or_default().extend(versions);
    }
    Ok(found)
}

/// Whether a stack is a pipeline, or was to become one: a deployment that failed has no outputs.
fn is_ours(stack: &Stack, resources: &[Resource]) -> bool {
    let has_table = resources.iter().any(|it| it.logical_id == LAYERS_TABLE);
    has_table || resources.is_empty() || stack.parameters.contains_key(Pipeline::POINTER_PREFIX)
}

/// What a stack will leave behind.
fn retained(stack: &Stack, resources: &[Resource]) -> Retained {
    let of_type = |resource_type: &str| {
        let resources = resources.iter().filter(|it| {
            it.resource_type == resource_type
                && !it.physical_id.is_empty()
                // It failed because somebody else has one of that name.
                && it.status != "CREATE_FAILED"
                && it.status != "DELETE_COMPLETE"
        });
        resources.cloned().collect::<Vec<_>>()
    };
    let tables = of_type("AWS::DynamoDB::Table");
    let layers_table = tables.iter().find(|it| it.logical_id == LAYERS_TABLE);
    let names = |resources: &[Resource]| {
        let names = resources.iter().map(|it| it.physical_id.clone());
        let mut names: Vec<_> = names.collect();
        names.sort();
        names
    };
    Retained {
        stack: stack.id.clone(),
        buckets: names(&of_type("AWS::S3::Bucket")),
        layers_table: layers_table.map(|it| it.physical_id.clone()),
        tables: names(&tables),
        pointer_prefix: stack.parameters.get(Pipeline::POINTER_PREFIX).cloned(),
    }
}

/// Says what is about to be deleted, and what is not.
fn announce(found: &[(Region, Found)], delete_data: bool) {
    let mut stacks = table::new(&["region", "to delete", ""]);
    let data = if delete_data {
        "to delete for good"
    } else {
        "to keep"
    };
    let mut data = table::new(&["region", data, ""]);
    for (region, found) in found {
        for FoundStack {
            stack, resources, ..
        } in &found.stacks
        {
            let what = format!("stack {}", stack.name);
            stacks.add_row([region.to_string(), what, format!("{resources} resources")]);
        }
        // What is not touched now is not told again.
        if !delete_data && found.stacks.is_empty() {
            continue;
        }
        for retained in found.retained() {
            for bucket in &retained.buckets {
                let what = format!("bucket {bucket}");
                data.add_row([region.to_string(), what, "all versions".to_owned()]);
            }
            for name in &retained.tables {
                data.add_row([region.to_string(), format!("table {name}"), String::new()]);
            }
        }
        for (layer, versions) in &found.published {
            let versions = counted(versions.len(), "version");
            data.add_row([region.to_string(), format!("layer {layer}"), versions]);
        }
    }
    if !stacks.is_empty() {
        table::print_to_stderr(stacks, &[]);
        anstream::eprintln!();
    }
    if !data.is_empty() {
        table::print_to_stderr(data, &[]);
        anstream::eprintln!();
    }
}

struct Destruction<'a> {
    file: &'a DeploymentFile,
    delete_data: bool,
    work: StackWork,
}

impl Destruction<'_> {
    async fn region(&self, region: &Region, found: &Found) -> Result<Outcome, cloud::Error> {
        // Before anything is deleted that names it.
        self.write_down(region, |stacks| {
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
            self.write_down(region, |stacks| {
                stacks.forget(&stack.name);
                stacks.retain(retained.clone());
            })?;
            left.push(retained);
        }
        self.write_down(region, |stacks| {
            for name in &found.names {
                stacks.forget(name);
            }
        })?;
        let mut has_deleted = !found.stacks.is_empty();
        if self.delete_data {
            for retained in &left {
                has_deleted = true;
                self.delete_data(region, &found.clients, retained).await?;
                self.write_down(region, |stacks| {
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

    fn write_down(
        &self,
        region: &Region,
        change: impl FnOnce(&mut Stacks),
    ) -> Result<(), cloud::Error> {
        self.file.change(|deployments| {
            change(deployments.deployments.entry(region.clone()).or_default());
            Ok(())
        })
    }

    /// Deletes a stack. Returns what has gone with it, by name.
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
            // Only an update has to come to its end first.
            if stack.status.starts_with("UPDATE_") {
                settled(&cloud_formation, &stack.id, |_| {}).await?;
            }
            cloud_formation.delete(&stack.id).await?;
            self.work.is_in_cloud(region);
            let mut pauses = Pauses::new();
            loop {
                // By its id: another one may have its name by now.
                let now = cloud_formation.describe(&stack.id).await?;
                match now {
                    None => return Ok(None),
                    Some(now) if now.status == "DELETE_COMPLETE" => return Ok(None),
                    // That may be how it was before, and it has not begun yet.
                    Some(now) if now.status == "DELETE_FAILED" => {
                        let events = cloud_formation.events(&stack.id, marker.as_deref());
                        let has_failed = |it: StackEvent| {
                            it.is_of_stack && it.resource.status == "DELETE_FAILED"
                        };
                        if events.await?.into_iter().any(has_failed) {
                            return Ok(Some(now));
                        }
                    }
                    Some(_) => {}
                }
                pauses.pause().await;
            }
        };
        let following = self
            .work
            .follow(&cloud_formation, region, &stack.id, marker.clone());
        let failed: Result<Option<Stack>, cloud::Error> = tokio::select! {
            failed = deleting => failed,
            never = following => match never {},
        };
        self.work.end(region);
        let failed = failed?;
        let events = cloud_formation.events(&stack.id, marker.as_deref()).await?;
        if let Some(now) = failed {
            return Err(StackError::StackFailed {
                stack: stack.name.clone(),
                intent: Outcome::Deleted,
                status: now.status,
                failures: Failure::among(&events),
                hint: "mend what the reasons name, then run the same command again".to_owned(),
            }
            .into());
        }
        let has_gone = |it: &StackEvent| it.resource.status == "DELETE_COMPLETE";
        let gone = events.into_iter().filter(has_gone);
        Ok(gone.map(|it| it.resource.physical_id).collect())
    }

    /// Deletes what a stack has left. The table of layers says which layers are its own, so it
    /// goes after them.
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
                let names = published.keys().map(|layer| {
                    let (project, target) = layer.parts();
                    keys::latest_version_parameter(prefix, &project, target)
                });
                let names: Vec<_> = names.collect();
                in_aws.delete_parameters(&names).await?;
            }
            in_aws.delete_layer_versions(&published).await?;
        }
        let buckets = retained.buckets.iter();
        try_join_all(buckets.map(async |bucket| {
            let mut attempts = EMPTIED_AT_MOST;
            loop {
                attempts -= 1;
                let so_far = |count| say(format!("emptying {bucket}: {count} versions"));
                in_aws.empty_bucket(bucket, so_far).await?;
                match in_aws.delete_bucket(bucket).await {
                    Err(error) if attempts == 0 => return Err(error),
                    Err(error) if error.to_string().contains("BucketNotEmpty") => {}
                    deleted => return deleted,
                }
            }
        }))
        .await?;
        let tables = retained.tables.iter();
        try_join_all(tables.map(|table| in_aws.delete_table(table))).await?;
        Ok(())
    }
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Document<'a> {
    regions: Vec<RegionRecord<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct RegionRecord<'a> {
    region: &'a Region,
    stacks: &'a [String],
    outcome: Outcome,
    seconds: f64,
    retained: &'a [Retained],
    failures: &'a [Failure],
    error: Option<ErrorRecord>,
}

fn print(file: &DeploymentFile, done: &[Done], global: Global) {
    match global.format {
        Format::Json => {
            let regions = done.iter().map(|done| RegionRecord {
                region: &done.region,
                stacks: &done.stacks,
                outcome: Outcome::of(&done.outcome),
                seconds: done.time.as_secs_f64(),
                retained: &done.retained,
                failures: done
                    .outcome
                    .as_ref()
                    .map_or_else(cloud::Error::failures, |_| &[]),
                error: done
                    .outcome
                    .as_ref()
                    .err()
                    .map(|error| ErrorRecord::from(error as &dyn Fault)),
            });
            crate::print_json(&Document {
                regions: regions.collect(),
            });
        }
        Format::Text => {
            if !global.quiet {
                print_table(file, done);
            }
            print_faults(done.iter().filter_map(|done| {
                let error = done.outcome.as_ref().err()?;
                Some((done.region.as_str(), error as &dyn Fault))
            }));
        }
    }
}

fn print_table(file: &DeploymentFile, done: &[Done]) {
    let mut rows = table::new(&["region", "stack", "outcome", "time"]);
    for done in done {
        let stacks = if done.stacks.is_empty() {
            "-".to_owned()
        } else {
            done.stacks.join(", ")
        };
        rows.add_row([
            done.region.to_string(),
            stacks,
            Outcome::of(&done.outcome).to_string(),
            span(done.time),
        ]);
    }
    table::print(rows, &[]);
    let left: Vec<_> = done
        .iter()
        .filter(|done| done.outcome.is_ok() && !done.retained.is_empty())
        .map(|done| done.region.as_str())
        .collect();
    if !left.is_empty() {
        let file = file.path().display();
        // In other regions of the file there may be stacks that are to stay as they are.
        let only: String = left.iter().flat_map(|it| [" --region ", it]).collect();
        print_hint(&format!(
            "what holds data is still there in {}: `accretion destroy {file}{only} --delete-data` \
             removes it\nto deploy there again and keep it, name other buckets: `accretion update \
             all {file}{only} --parameter BucketPrefix=NAME`",
            left.join(", ")
        ));
    }
}
