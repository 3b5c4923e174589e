//! `accretion update all`

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant, SystemTime};

use accretion_aws::Clients;
use accretion_aws::operator::{Stack, Stacks as CloudFormation};
use accretion_core::Fault;
use accretion_core::target::Architecture;
use futures_util::{StreamExt as _, stream};
use serde::Serialize;

use crate::args::{Format, Global};
use crate::cloud::{
    self, AwsOptions, Deployment, DeploymentFile, Failure, Outcome, Parameter, Pipeline, Region,
    Sam, StackError, StackWork, Stacks, Template, TemplateOption, exit_code, in_each, settled,
};
use crate::environment::Environment;
use crate::error::{Error, ErrorRecord, print_faults};
use crate::table;
use crate::units::span;

/// How many regions are deployed to at once: each takes a process of the SAM CLI.
const AT_ONCE: usize = 4;

/// Deploy the pipeline to all regions of a deployment file, or update it there
///
/// Builds the functions first, unless the template is built already, with the SAM CLI, which also
/// deploys. Regions that have a stack keep it and its parameters; the others get one. All regions
/// are worked on at once; one that fails does not stop the others. Each that succeeds is written
/// down in the file.
#[derive(Debug, clap::Args)]
pub(crate) struct All {
    /// The file, as `accretion init` writes it
    deployment_file: PathBuf,
    /// Deploy to this region only [may be repeated; default: all of the file]
    #[arg(long = "region", value_name = "REGION")]
    regions: Vec<Region>,
    /// The name of new stacks
    #[arg(long, value_name = "NAME", default_value = "accretion")]
    stack_name: String,
    #[command(flatten)]
    template: TemplateOption,
    /// The section of the samconfig.toml beside the template
    #[arg(long, value_name = "NAME", default_value = "default")]
    config_env: String,
    /// A parameter of the template; what is not named stays what it is on the stack [may be
    /// repeated]
    #[arg(long = "parameter", value_name = "NAME=VALUE")]
    parameters: Vec<Parameter>,
    #[command(flatten)]
    aws: AwsOptions,
}

/// What is to be done in a region.
struct Plan {
    clients: Clients,
    stack: String,
    before: Option<Stack>,
    architecture: Architecture,
}

/// The output that names the bucket of requests.
const INBOX: &str = "InboxBucketName";
/// The output that names the topic of notifications.
const TOPIC: &str = "NotificationTopicArn";

/// What has come of a region.
struct Done {
    region: Region,
    stack: String,
    time: Duration,
    outcome: Result<Outcome, cloud::Error>,
    /// The outputs of the stack, if it is deployed.
    outputs: BTreeMap<String, String>,
}

impl Done {
    fn output(&self, name: &str) -> Option<&str> {
        self.outputs.get(name).map(String::as_str)
    }
}

/// Deploys to all regions.
pub(crate) async fn run(
    args: All,
    global: Global,
    environment: &Environment,
) -> Result<ExitCode, Error> {
    let file = DeploymentFile::new(args.deployment_file);
    let regions = file.chosen(&args.regions)?;
    let deployment = Deployment {
        template: Template::find(args.template)?,
        config_env: args.config_env,
        parameters: args.parameters,
        profile: args.aws.profile.clone(),
    };
    let sam = Sam::find(environment, deployment.clone())?;
    let clients = args.aws.clients().await;
    let again = "the same command waits for what has begun, and goes on from there".to_owned();
    let quiet = global.quiet || global.format == Format::Json;
    let update = Update {
        file: &file,
        stack_name: &args.stack_name,
        sam: &sam,
        work: StackWork::new(quiet, "deployed", again),
    };
    let done = update.run(&deployment.template, &clients, regions).await;
    drop(update);
    print(&file, &done, global);
    Ok(exit_code(done.iter().map(|done| &done.outcome)))
}

struct Update<'a> {
    file: &'a DeploymentFile,
    stack_name: &'a str,
    sam: &'a Sam,
    work: StackWork,
}

impl Update<'_> {
    async fn run(
        &self,
        template: &Template,
        clients: &Clients,
        regions: Vec<(Region, Stacks)>,
    ) -> Vec<Done> {
        let start = Instant::now();
        let names: BTreeMap<_, _> = regions
            .iter()
            .map(|(region, stacks)| {
                let names = stacks.names();
                let name = names.first().map_or(self.stack_name, |name| *name);
                (region.clone(), name.to_owned())
            })
            .collect();
        let plans = in_each(regions, async |region, stacks| {
            let clients = clients.in_region(region.as_str());
            self.plan(region, clients, &stacks).await
        });
        let (mut done, mut planned) = (Vec::new(), Vec::new());
        for (region, plan) in plans.await {
            match plan {
                Ok(plan) => planned.push((region, plan)),
                Err(error) => done.push(Done {
                    stack: names[&region].clone(),
                    time: start.elapsed(),
                    outcome: Err(error),
                    outputs: BTreeMap::new(),
                    region,
                }),
            }
        }
        let built = self.build(template, &planned).await;
        let work = stream::iter(planned).map(async |(region, plan)| {
            let start = Instant::now();
            let outcome = match &built[plan.architecture.name()] {
                Ok(template) => self.deploy(&region, &plan, template).await,
                Err(error) => Err(error.clone().into()),
            };
            let outputs = if outcome.is_ok() {
                outputs(&plan).await
            } else {
                BTreeMap::new()
            };
            self.work.end(&region);
            let time = start.elapsed();
            let said = format!("{} in {}", Outcome::of(&outcome), span(time));
            self.work.lines.end(region.as_str(), &said);
            Done {
                region,
                stack: plan.stack,
                time,
                outcome,
                outputs,
            }
        });
        let mut work = std::pin::pin!(work.buffer_unordered(AT_ONCE));
        while let Some(region) = work.next().await {
            done.push(region);
        }
        done.sort_by(|one, other| one.region.cmp(&other.region));
        done
    }

    /// What is to be done in a region, once CloudFormation is at rest there.
    async fn plan(
        &self,
        region: Region,
        clients: Clients,
        stacks: &Stacks,
    ) -> Result<Plan, cloud::Error> {
        let names = stacks.names();
        let stack = match names[..] {
            [] => self.stack_name,
            [stack] => stack,
            _ => {
                return Err(StackError::StacksSeveral {
                    path: self.file.path().to_owned(),
                    stacks: names.into_iter().map(str::to_owned).collect(),
                    region,
                }
                .into());
            }
        };
        let cloud_formation = CloudFormation::new(&clients);
        let before = settled(&cloud_formation, stack, |now| {
            let message = format!("waiting for `{stack}`, which is {}", now.status);
            self.work.lines.say(region.as_str(), message);
        });
        let before = before.await?;
        if let Some(known) = &before {
            let is_ours = Pipeline::OUTPUTS
                .iter()
                .all(|it| known.outputs.contains_key(*it));
            let final_statuses = [
                "ROLLBACK_COMPLETE",
                "ROLLBACK_FAILED",
                "DELETE_FAILED",
                "UPDATE_ROLLBACK_FAILED",
            ];
            if final_statuses.contains(&known.status.as_str()) {
                return Err(StackError::StackStuck {
                    removal: self.removal(&region, stack),
                    stack: stack.to_owned(),
                    intent: Outcome::Updated,
                    status: known.status.clone(),
                    reason: known.reason.clone(),
                    region,
                }
                .into());
            }
            // One that the file names may be of another version, with other outputs.
            let is_known =
                !names.is_empty() && known.parameters.contains_key(Pipeline::POINTER_PREFIX);
            let has_nothing = known.status == "REVIEW_IN_PROGRESS";
            if !is_ours && !is_known && !has_nothing {
                return Err(StackError::StackForeign {
                    stack: stack.to_owned(),
                    region,
                }
                .into());
            }
        }
        let known = before.as_ref();
        let known = known.and_then(|it| it.parameters.get("FunctionArchitecture"));
        Ok(Plan {
            architecture: self.sam.architecture(known.map(String::as_str)),
            stack: stack.to_owned(),
            clients,
            before,
        })
    }

    /// The command that removes a stack, and what it has left of a first deployment.
    fn removal(&self, region: &Region, stack: &str) -> String {
        let file = self.file.path().display();
        format!("accretion destroy {file} --region {region} --stack-name {stack}")
    }

    /// The built template for each architecture that is needed, or why there is none.
    async fn build(
        &self,
        template: &Template,
        planned: &[(Region, Plan)],
    ) -> BTreeMap<&'static str, Result<PathBuf, StackError>> {
        let mut built = BTreeMap::new();
        for (_, plan) in planned {
            let architecture = plan.architecture;
            if built.contains_key(architecture.name()) {
                continue;
            }
            let path = if template.is_built() {
                Ok(template.path().to_owned())
            } else {
                let name = format!("build {}", architecture.name());
                self.work.lines.note(&name, "building the functions");
                let start = Instant::now();
                let said = |line: &str| self.work.lines.say(&name, line);
                let built = self.sam.build(architecture, said).await;
                let said = if built.is_ok() { "done" } else { "failed" };
                let said = format!("{said} in {}", span(start.elapsed()));
                self.work.lines.end(&name, &said);
                built
            };
            built.insert(architecture.name(), path);
        }
        built
    }

    async fn deploy(
        &self,
        region: &Region,
        plan: &Plan,
        template: &Path,
    ) -> Result<Outcome, cloud::Error> {
        let stack = &plan.stack;
        let is_new = plan
            .before
            .as_ref()
            .is_none_or(|before| before.status == "REVIEW_IN_PROGRESS");
        let doing = if is_new { "creating" } else { "updating" };
        self.work.begin(region, stack, 0);
        let lines = &self.work.lines;
        lines.note(region.as_str(), &format!("{doing} `{stack}`"));
        let cloud_formation = CloudFormation::new(&plan.clients);
        let started = SystemTime::now();
        let marker = match &plan.before {
            Some(_) => cloud_formation.last_event(stack).await?,
            None => None,
        };
        let said = |line: &str| {
            if is_change(line) {
                self.work.has_change(region);
            } else if let Some(phase) = phase(line) {
                lines.say(region.as_str(), phase);
            }
        };
        let deployed = tokio::select! {
            deployed = self.sam.deploy(template, region, stack, said) => deployed,
            never = self.work.follow(&cloud_formation, region, stack, marker.clone()) => {
                match never {}
            }
        };
        let outcome = match deployed {
            Ok(()) if is_new => Outcome::Created,
            Ok(()) => {
                let events = cloud_formation.events(stack, marker.as_deref()).await?;
                if events.is_empty() {
                    Outcome::Unchanged
                } else {
                    Outcome::Updated
                }
            }
            Err(error) => {
                let looked = self.look_into(region, plan, is_new, marker, started);
                return Err(looked.await?.unwrap_or(error).into());
            }
        };
        self.file.change(|deployments| {
            let stacks = deployments.deployments.entry(region.clone());
            stacks.or_default().adopt(stack);
            Ok(())
        })?;
        Ok(outcome)
    }

    /// Why CloudFormation failed; `None` if it did not.
    async fn look_into(
        &self,
        region: &Region,
        plan: &Plan,
        is_new: bool,
        marker: Option<String>,
        started: SystemTime,
    ) -> Result<Option<StackError>, cloud::Error> {
        let stack = &plan.stack;
        let cloud_formation = CloudFormation::new(&plan.clients);
        // The SAM CLI may have lost sight of it.
        let now = settled(&cloud_formation, stack, |_| {}).await?;
        let events = cloud_formation.events(stack, marker.as_deref()).await?;
        let mut failures = Failure::among(&events);
        let is_of_resources = events
            .iter()
            .any(|event| event.is_cause_of_failure() && !event.is_of_stack);
        if !is_of_resources {
            // Older than a year it is not, and not everybody may do it: then the stack's own
            // reason has to do.
            let invalid = cloud_formation.invalidities(stack, started).await;
            let invalid = Failure::among(&invalid.unwrap_or_default());
            if !invalid.is_empty() {
                failures = invalid;
            }
        }
        if failures.is_empty() {
            return Ok(None);
        }
        let is_taken = failures
            .iter()
            .any(|it| it.reason.contains("already exists"));
        let removal = self.removal(region, stack);
        let hint = if is_new && is_taken {
            format!(
                "an earlier stack has left it, or somebody else has it; remove the failed stack \
                 with `{removal}`, and then\nto keep what is there, name other buckets with \
                 `--parameter BucketPrefix=NAME`\nto lose it, run the same with --delete-data"
            )
        } else if is_new {
            format!(
                "mend what the reasons name, remove what is left with `{removal} --delete-data`, \
                 and try again"
            )
        } else {
            "the stack is what it was before: mend what the reasons name, and try again".to_owned()
        };
        Ok(Some(StackError::StackFailed {
            stack: stack.clone(),
            intent: if is_new {
                Outcome::Created
            } else {
                Outcome::Updated
            },
            status: now.map_or_else(|| "gone".to_owned(), |it| it.status),
            failures,
            hint,
        }))
    }
}

/// The outputs of a stack. It is deployed, whether they can be read or not.
async fn outputs(plan: &Plan) -> BTreeMap<String, String> {
    let formation = CloudFormation::new(&plan.clients);
    let stack = formation.describe(&plan.stack).await.ok().flatten();
    stack.map(|it| it.outputs).unwrap_or_default()
}

/// Whether the SAM CLI names a resource that a change set is to make, change or delete.
fn is_change(line: &str) -> bool {
    ["+ Add ", "* Modify ", "- Delete "]
        .iter()
        .any(|action| line.starts_with(action))
}

/// What the SAM CLI is doing, by what it says, before CloudFormation has begun.
fn phase(line: &str) -> Option<&'static str> {
    let phases = [
        ("Managed S3 bucket", "uploading the functions"),
        ("Deploying with", "making a change set"),
        ("Waiting for changeset", "making a change set"),
        ("Waiting for stack", "waiting for CloudFormation"),
    ];
    let mut phases = phases.into_iter();
    phases.find_map(|(start, phase)| line.trim_start().contains(start).then_some(phase))
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
    stack: &'a str,
    outcome: Outcome,
    seconds: f64,
    inbox: Option<&'a str>,
    topic: Option<&'a str>,
    failures: &'a [Failure],
    error: Option<ErrorRecord>,
}

fn print(file: &DeploymentFile, done: &[Done], global: Global) {
    match global.format {
        Format::Json => {
            let regions = done.iter().map(|done| RegionRecord {
                region: &done.region,
                stack: &done.stack,
                outcome: Outcome::of(&done.outcome),
                seconds: done.time.as_secs_f64(),
                inbox: done.output(INBOX),
                topic: done.output(TOPIC),
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
                let mut rows = table::new(&["region", "stack", "outcome", "time"]);
                for done in done {
                    rows.add_row([
                        done.region.to_string(),
                        done.stack.clone(),
                        Outcome::of(&done.outcome).to_string(),
                        span(done.time),
                    ]);
                }
                table::print(rows, &[]);
                print_what_next(file, done);
            }
            print_faults(done.iter().filter_map(|done| {
                let error = done.outcome.as_ref().err()?;
                Some((done.region.as_str(), error as &dyn Fault))
            }));
        }
    }
}

/// Says where requests go and where notifications come from.
fn print_what_next(file: &DeploymentFile, done: &[Done]) {
    let mut rows = table::new(&["region", "inbox", "topic"]);
    for done in done {
        if let (Some(inbox), Some(topic)) = (done.output(INBOX), done.output(TOPIC)) {
            let inbox = format!("s3://{inbox}/requests/PROJECT/");
            rows.add_row([done.region.to_string(), inbox, topic.to_owned()]);
        }
    }
    if !rows.is_empty() {
        anstream::println!();
        table::print(rows, &[]);
        anstream::eprintln!(
            "request layers: accretion request requirements {} PROJECT requirements.txt",
            file.path().display()
        );
    }
}
