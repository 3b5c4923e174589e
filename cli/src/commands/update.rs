//! `accretion update all`

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Instant, SystemTime};

use accretion_aws::Clients;
use accretion_aws::operator::{Stack, StackEvent, Stacks as CloudFormation};
use accretion_core::target::Architecture;
use futures_util::{StreamExt as _, stream};
use serde::Serialize;

use crate::args::{Global, Region, UpdateAll};
use crate::cloud::{
    self, Deployment, DeploymentFile, Done, Failure, Outcome, Pipeline, Sam, StackError, StackWork,
    Stacks, Template, in_each, parted, print_done, settled,
};
use crate::environment::Environment;
use crate::error::Error;
use crate::table;
use crate::units::span;

/// The number of concurrent deployments. Each runs a process of the SAM CLI.
const AT_ONCE: usize = 4;

/// The deployment of a region.
struct Plan {
    clients: Clients,
    stack: String,
    before: Option<Stack>,
    architecture: Architecture,
}

/// The stack of a region, and its outputs if it is deployed.
#[derive(Default, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Deployed {
    stack: String,
    inbox: Option<String>,
    topic: Option<String>,
}

impl Deployed {
    /// The stack of a failed deployment.
    fn without_outputs(stack: String) -> Self {
        Self {
            stack,
            ..Self::default()
        }
    }

    /// The stack of a successful deployment. Unreadable outputs are no failure.
    async fn read(plan: Plan) -> Self {
        let formation = CloudFormation::new(&plan.clients);
        let described = formation.describe(&plan.stack).await;
        let mut outputs = described
            .ok()
            .flatten()
            .map(|it| it.outputs)
            .unwrap_or_default();
        Self {
            stack: plan.stack,
            inbox: outputs.remove("InboxBucketName"),
            topic: outputs.remove("NotificationTopicArn"),
        }
    }
}

/// Deploys to all regions.
pub(super) async fn run(
    args: UpdateAll,
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
    let again = "run the same command again to wait for the work and continue".to_owned();
    let update = Update {
        file: &file,
        stack_name: &args.stack_name,
        sam: &sam,
        work: StackWork::new(!global.is_chatty(), "deployed", again),
    };
    let done = update.run(&deployment.template, &clients, regions).await;
    drop(update);
    let stack = |deployed: &Deployed| deployed.stack.clone();
    let remarks = |done: &[Done<Deployed>]| print_next_steps(&file, done);
    Ok(print_done(done, global, stack, remarks))
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
    ) -> Vec<Done<Deployed>> {
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
            let here = clients.in_region(region.as_str());
            self.plan(region, here, &stacks).await
        });
        let (planned, failed) = parted(plans.await);
        let unplanned = failed.into_iter().map(|(region, error)| Done {
            time: start.elapsed(),
            outcome: Err(error),
            rest: Deployed::without_outputs(names[&region].clone()),
            region,
        });
        let mut done: Vec<_> = unplanned.collect();
        let built = self.build(template, &planned).await;
        let work = stream::iter(planned).map(async |(region, plan)| {
            let start = Instant::now();
            let outcome = match &built[plan.architecture.name()] {
                Ok(template) => self.deploy(&region, &plan, template).await,
                Err(error) => Err(error.clone().into()),
            };
            let rest = if outcome.is_ok() {
                Deployed::read(plan).await
            } else {
                Deployed::without_outputs(plan.stack)
            };
            self.work.end(&region);
            self.work.done(region, start, outcome, rest)
        });
        let deployed: Vec<_> = work.buffer_unordered(AT_ONCE).collect().await;
        done.extend(deployed);
        done
    }

    /// Plans the deployment of a region, after CloudFormation has finished its work there.
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
        let waiting = |now: &Stack| {
            let message = format!("waiting for `{stack}`, which is {}", now.status);
            self.work.lines.say(region.as_str(), message);
        };
        let before = settled(&cloud_formation, stack, waiting).await?;
        if let Some(known) = &before {
            let is_ours = Pipeline::OUTPUTS
                .iter()
                .all(|it| known.outputs.contains_key(*it));
            if known.is_stuck() {
                return Err(StackError::StackStuck {
                    hint: self.getting_unstuck(known, &region),
                    stack: stack.to_owned(),
                    intent: Outcome::Updated,
                    status: known.status.clone(),
                    reason: known.reason.clone(),
                }
                .into());
            }
            // A stack of the file may be of another version, with other outputs.
            let is_known = !names.is_empty() && known.parameter(Pipeline::POINTER_PREFIX).is_some();
            if !is_ours && !is_known && !known.is_in_review() {
                return Err(StackError::StackForeign {
                    stack: stack.to_owned(),
                    region,
                }
                .into());
            }
        }
        let known = before.as_ref();
        let architecture = known.and_then(|it| it.parameter("FunctionArchitecture"));
        Ok(Plan {
            architecture: self.sam.architecture(architecture),
            stack: stack.to_owned(),
            clients,
            before,
        })
    }

    /// The advice about a stack that CloudFormation refuses to update.
    fn getting_unstuck(&self, stack: &Stack, region: &Region) -> String {
        let name = &stack.name;
        if stack.has_failed_rollback() {
            format!(
                "fix the reason, then let CloudFormation continue: `aws cloudformation \
                 continue-update-rollback --region {region} --stack-name {name}`"
            )
        } else {
            format!(
                "CloudFormation can only delete a stack in this state: run `{}`, with --delete-data \
                 to delete its data, too; then try again",
                self.removal(region, name)
            )
        }
    }

    /// The command that deletes a stack and the rest of a first deployment.
    fn removal(&self, region: &Region, stack: &str) -> String {
        let file = self.file.path().display();
        format!("accretion destroy {file} --region {region} --stack-name {stack}")
    }

    /// Builds the functions for each architecture of the plans. Returns the built templates.
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
                let on_line = |line: &str| self.work.lines.say(&name, line);
                let result = self.sam.build(architecture, on_line).await;
                let end = if result.is_ok() { "done" } else { "failed" };
                let text = format!("{end} in {}", span(start.elapsed()));
                self.work.lines.end(&name, &text);
                result
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
        let is_new = plan.before.as_ref().is_none_or(Stack::is_in_review);
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
        let on_line = |line: &str| {
            if is_change(line) {
                self.work.has_change(region);
            } else if let Some(phase) = phase(line) {
                lines.say(region.as_str(), phase);
            }
        };
        let deployed = tokio::select! {
            deployed = self.sam.deploy(template, region, stack, on_line) => deployed,
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

    /// Returns the failure of CloudFormation; `None` if it did not fail.
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
        // The SAM CLI may have lost its connection.
        let now = settled(&cloud_formation, stack, |_| {}).await?;
        let mut events = cloud_formation.events(stack, marker.as_deref()).await?;
        let is_of_resources = events
            .iter()
            .any(|event| event.is_cause_of_failure() && !event.is_of_stack);
        if !is_of_resources {
            // The caller may lack the permission. Then the reason of the stack is all there is.
            let invalid = cloud_formation.invalidities(stack, started).await;
            if let Ok(invalid) = invalid
                && !Failure::among(&invalid).is_empty()
            {
                events = invalid;
            }
        }
        let failures = Failure::among(&events);
        if failures.is_empty() {
            return Ok(None);
        }
        let is_taken = events.iter().any(StackEvent::is_name_conflict);
        let removal = self.removal(region, stack);
        let hint = if is_new && is_taken {
            format!(
                "an earlier stack or another account has it; delete the failed stack with \
                 `{removal}`, and then\nto keep the existing resources, name other buckets with \
                 `--parameter BucketPrefix=NAME`\nto delete them, run the same command with \
                 --delete-data"
            )
        } else if is_new {
            format!(
                "fix the reasons, delete the failed stack with `{removal} --delete-data`, and try \
                 again"
            )
        } else {
            "the stack is unchanged: fix the reasons, and try again".to_owned()
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

/// Returns whether a line of the SAM CLI names a change of a resource.
fn is_change(line: &str) -> bool {
    ["+ Add ", "* Modify ", "- Delete "]
        .iter()
        .any(|action| line.starts_with(action))
}

/// The step that a line of the SAM CLI announces. CloudFormation has not begun then.
fn phase(line: &str) -> Option<&'static str> {
    let phases = [
        ("Managed S3 bucket", "uploading the functions"),
        ("Deploying with", "making a change set"),
        ("Waiting for changeset", "making a change set"),
        ("Waiting for stack", "waiting for CloudFormation"),
    ];
    phases
        .into_iter()
        .find_map(|(start, phase)| line.trim_start().contains(start).then_some(phase))
}

/// Prints where requests go and where notifications come from.
fn print_next_steps(file: &DeploymentFile, done: &[Done<Deployed>]) {
    let mut rows = table::new(&["region", "inbox", "topic"]);
    for it in done {
        if let (Some(bucket), Some(topic)) = (&it.rest.inbox, &it.rest.topic) {
            let inbox = format!("s3://{bucket}/requests/PROJECT/");
            rows.add_row([it.region.to_string(), inbox, topic.clone()]);
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
