//! Work on stacks, which CloudFormation continues even if the command ends.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::process::ExitCode;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use accretion_aws::operator::{Stack, StackEvent, Stacks as CloudFormation};
use accretion_core::Fault;
use serde::Serialize;

use super::{Error, Failure};
use crate::args::{Global, Region};
use crate::exit::code_of_all;
use crate::print::ErrorRecord;
use crate::progress::Lines;
use crate::units::span;
use crate::{print, table};

/// The outcome of work on a region's stack, or its goal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) enum Outcome {
    /// The stack is new.
    Created,
    /// The stack has changed.
    Updated,
    /// The stack was up to date.
    Unchanged,
    /// The stack is deleted.
    Deleted,
    /// There was no stack to delete.
    Absent,
    /// The stack did not reach its goal.
    Failed,
}

impl Outcome {
    /// The outcome of a region, or [`Self::Failed`].
    pub(crate) fn of(outcome: &Result<Self, Error>) -> Self {
        *outcome.as_ref().unwrap_or(&Self::Failed)
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Created => "created",
            Self::Updated => "updated",
            Self::Unchanged => "unchanged",
            Self::Deleted => "deleted",
            Self::Absent => "absent",
            Self::Failed => "failed",
        })
    }
}

/// Growing pauses between two calls about the same stack.
#[derive(Debug, Clone)]
pub(crate) struct Pauses(Duration);

impl Pauses {
    const LONGEST: Duration = Duration::from_secs(3);

    pub(crate) fn new() -> Self {
        Self(Duration::from_millis(200))
    }

    pub(crate) async fn pause(&mut self) {
        tokio::time::sleep(self.0).await;
        self.0 = (self.0 * 3 / 2).min(Self::LONGEST);
    }
}

/// Waits until CloudFormation has finished its work on a stack. `None` if the stack does not exist.
pub(crate) async fn settled(
    cloud_formation: &CloudFormation,
    stack: &str,
    waiting: impl Fn(&Stack),
) -> Result<Option<Stack>, Error> {
    let mut pauses = Pauses::new();
    loop {
        let now = cloud_formation.describe(stack).await?;
        match &now {
            Some(stack) if stack.is_in_progress() => waiting(stack),
            _ => return Ok(now),
        }
        pauses.pause().await;
    }
}

/// The result of a command on the stacks of a region.
pub(crate) struct Done<T> {
    pub(crate) region: Region,
    pub(crate) time: Duration,
    pub(crate) outcome: Result<Outcome, Error>,
    /// Results of this command alone.
    pub(crate) rest: T,
}

/// The result for programs.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct RegionRecord<'a, T> {
    region: &'a Region,
    outcome: Outcome,
    seconds: f64,
    failures: &'a [Failure],
    error: Option<ErrorRecord>,
    #[serde(flatten)]
    rest: &'a T,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Document<'a, T> {
    regions: Vec<RegionRecord<'a, T>>,
}

impl<'a, T> From<&'a Done<T>> for RegionRecord<'a, T> {
    fn from(done: &'a Done<T>) -> Self {
        let error = done.outcome.as_ref().err();
        Self {
            region: &done.region,
            outcome: Outcome::of(&done.outcome),
            seconds: done.time.as_secs_f64(),
            failures: error.map_or(&[], Error::failures),
            error: error.map(Into::into),
            rest: &done.rest,
        }
    }
}

/// Prints the results of all regions, and returns the exit code. `stacks` names the stacks of a region,
/// and `remarks` prints what follows the table.
pub(crate) fn print_done<T: Serialize>(
    mut done: Vec<Done<T>>,
    global: Global,
    stacks: impl Fn(&T) -> String,
    remarks: impl FnOnce(&[Done<T>]),
) -> ExitCode {
    done.sort_by(|one, other| one.region.cmp(&other.region));
    let failures = done.iter().filter_map(|it| it.outcome.as_ref().err());
    let code = code_of_all(failures.map(Error::exit_code));
    if !global.is_text() {
        let regions = done.iter().map(RegionRecord::from).collect();
        print::json(&Document { regions });
        return code;
    }
    if !global.quiet {
        let mut rows = table::new(&["region", "stack", "outcome", "time"]);
        for it in &done {
            rows.add_row([
                it.region.to_string(),
                stacks(&it.rest),
                Outcome::of(&it.outcome).to_string(),
                span(it.time),
            ]);
        }
        table::print(rows, &[]);
        remarks(&done);
    }
    print::faults(done.iter().filter_map(|it| {
        let error = it.outcome.as_ref().err()?;
        Some((it.region.as_str(), error as &dyn Fault))
    }));
    code
}

/// Work on stacks in several regions, with its progress and a report if it is interrupted.
pub(crate) struct StackWork {
    pub(crate) lines: Lines,
    /// The participle of the work, such as `deployed`.
    doing: &'static str,
    /// Advice after an interruption.
    next: String,
    begun: Mutex<BTreeMap<Region, Begun>>,
}

struct Begun {
    stack: String,
    /// True if CloudFormation has begun.
    in_cloud: bool,
    /// The number of resources to change, as far as it is known.
    changes: usize,
}

impl StackWork {
    pub(crate) fn new(quiet: bool, doing: &'static str, next: String) -> Self {
        Self {
            lines: Lines::new(quiet),
            doing,
            next,
            begun: Mutex::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Region, Begun>> {
        self.begun.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records that work on a stack begins, with the known number of resources to change.
    pub(crate) fn begin(&self, region: &Region, stack: &str, changes: usize) {
        let begun = Begun {
            stack: stack.to_owned(),
            in_cloud: false,
            changes,
        };
        self.lock().insert(region.clone(), begun);
    }

    /// Records that CloudFormation has begun, and continues on its own.
    pub(crate) fn is_in_cloud(&self, region: &Region) {
        if let Some(begun) = self.lock().get_mut(region) {
            begun.in_cloud = true;
        }
    }

    /// Counts one more resource to change.
    pub(crate) fn has_change(&self, region: &Region) {
        if let Some(begun) = self.lock().get_mut(region) {
            begun.changes += 1;
        }
    }

    /// Records that work on a region's stack has ended.
    pub(crate) fn end(&self, region: &Region) {
        self.lock().remove(region);
    }

    /// Shows the end of the work in a region that began at `start`, and returns the result.
    pub(crate) fn done<T>(
        &self,
        region: Region,
        start: Instant,
        outcome: Result<Outcome, Error>,
        rest: T,
    ) -> Done<T> {
        let time = start.elapsed();
        let text = format!("{} in {}", Outcome::of(&outcome), span(time));
        self.lines.end(region.as_str(), &text);
        Done {
            region,
            time,
            outcome,
            rest,
        }
    }

    /// Shows the events of a stack until the future is dropped.
    pub(crate) async fn follow(
        &self,
        cloud_formation: &CloudFormation,
        region: &Region,
        stack: &str,
        mut after: Option<String>,
    ) -> std::convert::Infallible {
        let mut seen = Seen::default();
        let mut pauses = Pauses::new();
        loop {
            pauses.pause().await;
            // Events that could not be read now are read later; nothing depends on them.
            let Ok(events) = cloud_formation.events(stack, after.as_deref()).await else {
                continue;
            };
            let Some(last) = events.last() else { continue };
            after = Some(last.id.clone());
            self.is_in_cloud(region);
            seen.of = self.lock().get(region).map_or(0, |begun| begun.changes);
            for event in &events {
                seen.take(event);
            }
            self.lines.say(region.as_str(), seen.to_string());
        }
    }
}

impl Drop for StackWork {
    /// Reports work that has not ended.
    fn drop(&mut self) {
        self.lines.clear();
        let begun = std::mem::take(&mut *self.lock());
        if begun.is_empty() {
            return;
        }
        for (region, begun) in begun {
            let (stack, doing) = (begun.stack, self.doing);
            let said = if begun.in_cloud {
                format!(
                    "CloudFormation continues, and `{stack}` is not {doing} yet; check it with `aws \
                     cloudformation describe-stack-events --region {region} --stack-name {stack}`"
                )
            } else {
                format!(
                    "`{stack}` is not {doing}, unless CloudFormation has begun just now; check it \
                     with `aws cloudformation describe-stacks --region {region} --stack-name \
                     {stack}`"
                )
            };
            print::warning(region.as_str(), &said);
        }
        print::hint(&self.next);
    }
}

/// The progress of an operation on a stack.
#[derive(Debug, Default)]
struct Seen {
    done: BTreeSet<String>,
    /// The number of resources to change, as far as it is known.
    of: usize,
    current: String,
    /// The reason of a rollback.
    rollback: Option<String>,
}

impl Seen {
    fn take(&mut self, event: &StackEvent) {
        let resource = &event.resource;
        if event.is_cause_of_failure() && !event.is_of_stack && self.rollback.is_none() {
            let reason = event.reason.as_deref().unwrap_or("no reason given");
            self.rollback = Some(format!("{} failed: {reason}", resource.logical_id));
        } else if event.is_of_stack {
            self.current.clone_from(&resource.status);
        } else if resource.is_done() {
            self.done.insert(resource.logical_id.clone());
        } else {
            self.current.clone_from(&resource.logical_id);
        }
    }
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(reason) = &self.rollback {
            return f.write_str(reason);
        }
        let done = self.done.len();
        match self.of {
            0 => write!(f, "{done} resources, {}", self.current),
            // More resources than were known may change.
            of => write!(f, "{done}/{} resources, {}", of.max(done), self.current),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use accretion_aws::operator::Resource;

    fn event(resource: &str, status: &str, reason: Option<&str>) -> StackEvent {
        StackEvent {
            id: String::new(),
            reason: reason.map(str::to_owned),
            is_of_stack: resource == "stack",
            resource: Resource {
                logical_id: resource.to_owned(),
                physical_id: String::new(),
                resource_type: "AWS::SQS::Queue".to_owned(),
                status: status.to_owned(),
            },
        }
    }

    #[test]
    fn what_is_seen_of_a_stack() {
        let mut seen = Seen {
            of: 2,
            ..Seen::default()
        };
        let mut said = |resource, status, reason| {
            seen.take(&event(resource, status, reason));
            seen.to_string()
        };
        assert_eq!(
            said("stack", "CREATE_IN_PROGRESS", None),
            "0/2 resources, CREATE_IN_PROGRESS"
        );
        assert_eq!(said("A", "CREATE_IN_PROGRESS", None), "0/2 resources, A");
        assert_eq!(said("A", "CREATE_COMPLETE", None), "1/2 resources, A");
        let cancelled = Some("Resource creation cancelled");
        assert_eq!(said("C", "CREATE_FAILED", cancelled), "1/2 resources, C");
        assert_eq!(said("B", "CREATE_FAILED", Some("no")), "B failed: no");
        assert_eq!(said("stack", "ROLLBACK_IN_PROGRESS", None), "B failed: no");
    }

    #[test]
    fn only_causes_are_failures() {
        use crate::cloud::Failure;

        let failures = |events: &[StackEvent]| {
            let failures = Failure::among(events).into_iter();
            failures.map(|it| it.resource).collect::<Vec<_>>()
        };
        let events = [
            event("A", "CREATE_IN_PROGRESS", None),
            event("B", "CREATE_FAILED", Some("exists")),
            event("C", "CREATE_FAILED", Some("Resource creation cancelled")),
            event("stack", "CREATE_FAILED", Some("B failed")),
            event("B", "CREATE_FAILED", Some("exists")),
        ];
        assert_eq!(failures(&events), ["B"]);
        assert_eq!(failures(&events[3..4]), ["stack"]);
    }
}
