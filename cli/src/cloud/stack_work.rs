//! Work on stacks that CloudFormation goes on with, whether it is waited for or not.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::process::ExitCode;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use accretion_aws::operator::{Stack, StackEvent, Stacks as CloudFormation};
use serde::Serialize;

use super::{Error, Region};
use crate::error::{print_hint, print_warning};
use crate::progress::Lines;

/// What has become of a region's stack, or is to become of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) enum Outcome {
    /// There was none, and is one.
    Created,
    /// It is another one than before.
    Updated,
    /// It was up to date.
    Unchanged,
    /// It is gone.
    Deleted,
    /// There was none to be deleted.
    Absent,
    /// It is not what it was to become.
    Failed,
}

impl Outcome {
    /// What has become of a region, whether that is what was wanted or not.
    pub(crate) fn of(outcome: &Result<Self, Error>) -> Self {
        *outcome.as_ref().unwrap_or(&Self::Failed)
    }
}

/// What the shell is told of all regions: the machine's own faults first, for they make what the
/// others say doubtful.
pub(crate) fn exit_code<'a>(
    outcomes: impl Iterator<Item = &'a Result<Outcome, Error>>,
) -> ExitCode {
    let errors = outcomes.filter_map(|outcome| outcome.as_ref().err());
    let worst = errors.map(Error::exit_code).min();
    worst.map_or(ExitCode::SUCCESS, ExitCode::from)
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

/// How long to wait between two looks at the same stack: not long at first.
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

/// A stack once CloudFormation is done with whatever it does to it; `None` if there is none.
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

/// Work on stacks in several regions: shown while it is done, and named if it is cut off.
pub(crate) struct StackWork {
    pub(crate) lines: Lines,
    /// What CloudFormation is doing, such as `deployed`.
    doing: &'static str,
    /// What whoever cuts the work off can do next.
    next: String,
    begun: Mutex<BTreeMap<Region, Begun>>,
}

struct Begun {
    stack: String,
    /// Whether CloudFormation has begun, too.
    in_cloud: bool,
    /// How many resources there are to be changed, as far as is known.
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

    /// Work on a stack begins. So many resources are known to be changed.
    pub(crate) fn begin(&self, region: &Region, stack: &str, changes: usize) {
        let begun = Begun {
            stack: stack.to_owned(),
            in_cloud: false,
            changes,
        };
        self.lock().insert(region.clone(), begun);
    }

    /// From here on CloudFormation goes on with it by itself.
    pub(crate) fn is_in_cloud(&self, region: &Region) {
        if let Some(begun) = self.lock().get_mut(region) {
            begun.in_cloud = true;
        }
    }

    /// One more resource is to be changed.
    pub(crate) fn has_change(&self, region: &Region) {
        if let Some(begun) = self.lock().get_mut(region) {
            begun.changes += 1;
        }
    }

    /// Work on a region's stack has ended.
    pub(crate) fn end(&self, region: &Region) {
        self.lock().remove(region);
    }

    /// Shows what happens to a stack until it is dropped.
    pub(crate) async fn follow(
        &self,
        cloud_formation: &CloudFormation,
        region: &Region,
        stack: &str,
        after: Option<String>,
    ) -> std::convert::Infallible {
        let mut after = after;
        let mut seen = Seen::default();
        let mut pauses = Pauses::new();
        loop {
            pauses.pause().await;
            // What could not be seen now, can be later; nothing depends on it.
            let events = cloud_formation.events(stack, after.as_deref()).await;
            let Ok(events) = events else { continue };
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
    /// Nothing is left to be told of work that came to its end.
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
                    "`{stack}` is still being {doing} by CloudFormation; look at it with `aws \
                     cloudformation describe-stack-events --region {region} --stack-name {stack}`"
                )
            } else {
                format!(
                    "`{stack}` is not {doing}, unless CloudFormation has begun just now; look at \
                     it with `aws cloudformation describe-stacks --region {region} --stack-name \
                     {stack}`"
                )
            };
            print_warning(region.as_str(), &said);
        }
        print_hint(&self.next);
    }
}

/// How far an operation on a stack has come.
#[derive(Debug, Default)]
struct Seen {
    done: BTreeSet<String>,
    /// How many are to be, as far as is known.
    of: usize,
    current: String,
    /// Why it is undone.
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
        } else if resource.status.ends_with("_COMPLETE") || resource.status == "DELETE_SKIPPED" {
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
            // There may be more than were known.
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
