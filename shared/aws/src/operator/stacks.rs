//! Stacks of CloudFormation.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use aws_sdk_cloudformation::Client;
use aws_sdk_cloudformation::error::ProvideErrorMetadata;
use aws_sdk_cloudformation::primitives::DateTime;
use aws_sdk_cloudformation::types::{EventFilter, EventType, OperationEvent, StackEvent};

use crate::Clients;
use crate::error::{Call, CallError, Error, Outcome as _, shown};

/// The difference that the clocks of this machine and of AWS may have.
const SKEW: Duration = Duration::from_mins(1);

/// The stacks of a region.
#[derive(Debug, Clone)]
pub struct Stacks {
    client: Client,
}

/// A stack as CloudFormation describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stack {
    /// Its name.
    pub name: String,
    /// Its id, which stays known for 90 days after the stack is gone.
    pub id: String,
    /// Its status, such as `UPDATE_COMPLETE`.
    pub status: String,
    /// The reason of that status, if CloudFormation names one.
    pub reason: Option<String>,
    /// Its parameters by name.
    pub parameters: BTreeMap<String, String>,
    /// Its outputs by name.
    pub outputs: BTreeMap<String, String>,
}

impl Stack {
    /// The value of a parameter.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.get(name).map(String::as_str)
    }

    /// Returns whether CloudFormation is at work on it. A stack in review only has a change set.
    pub fn is_in_progress(&self) -> bool {
        self.status.ends_with("_IN_PROGRESS") && !self.is_in_review()
    }

    /// Returns whether it has a change set and no resources yet.
    pub fn is_in_review(&self) -> bool {
        self.status == "REVIEW_IN_PROGRESS"
    }

    /// Returns whether its last operation is an update.
    pub fn is_of_update(&self) -> bool {
        self.status.starts_with("UPDATE_")
    }

    /// Returns whether it has to be rolled back further before it can be updated.
    pub fn has_failed_rollback(&self) -> bool {
        self.status == "UPDATE_ROLLBACK_FAILED"
    }

    /// Returns whether CloudFormation refuses to update it.
    pub fn is_stuck(&self) -> bool {
        let of_creation = ["ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "DELETE_FAILED"];
        of_creation.contains(&self.status.as_str()) || self.has_failed_rollback()
    }

    /// Returns whether it is deleted.
    pub fn is_deleted(&self) -> bool {
        self.status == DELETED
    }

    /// Returns whether its deletion has failed.
    pub fn has_failed_deletion(&self) -> bool {
        self.status == DELETION_FAILED
    }
}

/// The status of a stack or resource that is deleted.
const DELETED: &str = "DELETE_COMPLETE";
/// The status of a stack or resource that could not be deleted.
const DELETION_FAILED: &str = "DELETE_FAILED";

/// CloudFormation's text about a stack that does not exist. Its code, `ValidationError`, is that of any
/// invalid call, and the SDK has no type for it.
const MISSING: &str = "does not exist";
/// Part of CloudFormation's reason if another resource has the name of a new one. Events have no codes.
const NAME_TAKEN: &str = "already exists";
/// The starts of CloudFormation's reasons for failures that are consequences of another one.
const CANCELLED: [&str; 2] = ["Resource creation cancelled", "Resource update cancelled"];

/// A resource of a stack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resource {
    /// Its name in the template.
    pub logical_id: String,
    /// Its service's name for it, such as the name of a bucket; empty if it was never created.
    pub physical_id: String,
    /// Its type, such as `AWS::S3::Bucket`.
    pub resource_type: String,
    /// Its status, such as `DELETE_SKIPPED`.
    pub status: String,
}

/// An event of a stack, or of a resource of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Its id.
    pub id: String,
    /// The resource it is about.
    pub resource: Resource,
    /// The reason, if CloudFormation names one; on one line.
    pub reason: Option<String>,
    /// True if it is about the stack itself.
    pub is_of_stack: bool,
}

impl Resource {
    /// Returns whether it exists and belongs to the stack: a resource whose creation failed may be
    /// that of another stack.
    pub fn is_of_stack(&self) -> bool {
        !self.physical_id.is_empty() && self.status != "CREATE_FAILED" && !self.is_deleted()
    }

    /// Returns whether it is deleted.
    pub fn is_deleted(&self) -> bool {
        self.status == DELETED
    }

    /// Returns whether CloudFormation has finished with it.
    pub fn is_done(&self) -> bool {
        self.status.ends_with("_COMPLETE") || self.status == "DELETE_SKIPPED"
    }
}

impl Event {
    /// Returns whether the deletion of the stack itself has failed.
    pub fn is_failed_deletion(&self) -> bool {
        self.is_of_stack && self.resource.status == DELETION_FAILED
    }

    /// Returns whether a resource could not be created since another one has its name.
    pub fn is_name_conflict(&self) -> bool {
        let reason = self.reason.as_deref().unwrap_or_default();
        self.is_cause_of_failure() && reason.contains(NAME_TAKEN)
    }

    /// Returns whether it is a failure with its own cause, not a consequence of another one.
    pub fn is_cause_of_failure(&self) -> bool {
        let reason = self.reason.as_deref().unwrap_or_default();
        let is_consequence = CANCELLED.iter().any(|it| reason.starts_with(it));
        self.resource.status.ends_with("_FAILED") && !is_consequence
    }
}

impl Stacks {
    /// The stacks of the clients' region.
    pub fn new(clients: &Clients) -> Self {
        Self {
            client: Client::new(clients.config()),
        }
    }

    /// A stack by its name or its id; `None` if there is none.
    pub async fn describe(&self, stack: &str) -> Result<Option<Stack>, Error> {
        let call = Call::new("cloudformation:DescribeStacks", stack);
        let answer = self.client.describe_stacks().stack_name(stack).send().await;
        let Some(answer) = unless_missing(call, answer)? else {
            return Ok(None);
        };
        Ok(answer.stacks.unwrap_or_default().pop().map(|stack| {
            let parameters = stack.parameters.unwrap_or_default().into_iter();
            let outputs = stack.outputs.unwrap_or_default().into_iter();
            Stack {
                name: stack.stack_name.unwrap_or_default(),
                id: stack.stack_id.unwrap_or_default(),
                status: stack
                    .stack_status
                    .map_or_else(String::new, |it| it.to_string()),
                reason: stack.stack_status_reason.filter(|it| !it.is_empty()),
                parameters: parameters
                    .filter_map(|it| Some((it.parameter_key?, it.parameter_value?)))
                    .collect(),
                outputs: outputs
                    .filter_map(|it| Some((it.output_key?, it.output_value?)))
                    .collect(),
            }
        }))
    }

    /// The id of the newest event of a stack; `None` if there is no stack.
    pub async fn last_event(&self, stack: &str) -> Result<Option<String>, Error> {
        let call = Call::new("cloudformation:DescribeStackEvents", stack);
        let request = self.client.describe_stack_events().stack_name(stack);
        let answer = unless_missing(call, request.send().await)?;
        let newest = answer.and_then(|it| it.stack_events?.into_iter().next());
        Ok(newest.and_then(|it| it.event_id))
    }

    /// The events of a stack after one of them, or all; the oldest first. None if
    /// there is no stack.
    pub async fn events(&self, stack: &str, after: Option<&str>) -> Result<Vec<Event>, Error> {
        let request = self.client.describe_stack_events().stack_name(stack);
        let mut pages = request.into_paginator().send();
        let mut events = Vec::new();
        'pages: while let Some(page) = pages.next().await {
            let call = Call::new("cloudformation:DescribeStackEvents", stack);
            let Some(page) = unless_missing(call, page)? else {
                break;
            };
            for event in page.stack_events.unwrap_or_default() {
                if after.is_some() && event.event_id() == after {
                    break 'pages;
                }
                events.push(stack_event(event));
            }
        }
        events.reverse();
        Ok(events)
    }

    /// The problems that CloudFormation found with the last operation on a stack before it began
    /// it, if that was after `since`: as events of the resources.
    ///
    /// Source: "`DescribeEvents`" of the API reference.
    pub async fn invalidities(&self, stack: &str, since: SystemTime) -> Result<Vec<Event>, Error> {
        let earliest = (since - SKEW)
            .duration_since(SystemTime::UNIX_EPOCH)
            .map_or(0, |it| i64::try_from(it.as_secs()).unwrap_or(i64::MAX));
        let failed_only = EventFilter::builder().failed_events(true).build();
        let request = self.client.describe_events().stack_name(stack);
        let mut pages = request.filters(failed_only).into_paginator().send();
        let mut invalid: Vec<OperationEvent> = Vec::new();
        while let Some(page) = pages.next().await {
            let call = Call::new("cloudformation:DescribeEvents", stack);
            let Some(page) = unless_missing(call, page)? else {
                break;
            };
            let events = page.operation_events.unwrap_or_default().into_iter();
            invalid.extend(events.filter(|event| {
                event.event_type() == Some(&EventType::ValidationError)
                    && seconds(event) >= earliest
            }));
        }
        let last = invalid
            .iter()
            .max_by_key(|event| seconds(event))
            .and_then(|event| event.operation_id.clone());
        let of_last = invalid.into_iter().filter(|it| it.operation_id == last);
        Ok(of_last.map(operation_event).collect())
    }

    /// The resources of a stack, also of one that was deleted within the last 90 days, if it is
    /// named by its id. None if there is no stack.
    pub async fn resources(&self, stack: &str) -> Result<Vec<Resource>, Error> {
        let request = self.client.list_stack_resources().stack_name(stack);
        let mut pages = request.into_paginator().send();
        let mut resources = Vec::new();
        while let Some(page) = pages.next().await {
            let call = Call::new("cloudformation:ListStackResources", stack);
            let Some(page) = unless_missing(call, page)? else {
                break;
            };
            let summaries = page
                .stack_resource_summaries
                .unwrap_or_default()
                .into_iter();
            resources.extend(summaries.map(|it| {
                Resource {
                    logical_id: it.logical_resource_id.unwrap_or_default(),
                    physical_id: it.physical_resource_id.unwrap_or_default(),
                    resource_type: it.resource_type.unwrap_or_default(),
                    status: it
                        .resource_status
                        .map_or_else(String::new, |it| it.to_string()),
                }
            }));
        }
        Ok(resources)
    }

    /// Starts the deletion of a stack. A missing stack is no error.
    pub async fn delete(&self, stack: &str) -> Result<(), Error> {
        let request = self.client.delete_stack().stack_name(stack);
        let outcome = request.send().await;
        outcome.of(Call::new("cloudformation:DeleteStack", stack))?;
        Ok(())
    }
}

/// The answer about a stack; `None` if it does not exist.
fn unless_missing<T, E>(call: Call, answer: Result<T, CallError<E>>) -> Result<Option<T>, Error>
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    let is_missing = |error: &CallError<E>| {
        let is_said = |message: &str| message.contains(MISSING);
        error.code() == Some("ValidationError") && error.message().is_some_and(is_said)
    };
    match answer {
        Err(error) if is_missing(&error) => Ok(None),
        answer => answer.of(call).map(Some),
    }
}

fn stack_event(event: StackEvent) -> Event {
    let reason = event.resource_status_reason;
    Event {
        is_of_stack: event.physical_resource_id == event.stack_id,
        id: event.event_id.unwrap_or_default(),
        reason: reason.filter(|it| !it.is_empty()).map(|it| shown(&it)),
        resource: Resource {
            logical_id: event.logical_resource_id.unwrap_or_default(),
            physical_id: event.physical_resource_id.unwrap_or_default(),
            resource_type: event.resource_type.unwrap_or_default(),
            status: event
                .resource_status
                .map_or_else(String::new, |it| it.to_string()),
        },
    }
}

fn operation_event(event: OperationEvent) -> Event {
    Event {
        is_of_stack: false,
        id: event.event_id.unwrap_or_default(),
        reason: event.validation_status_reason.map(|it| shown(&it)),
        resource: Resource {
            logical_id: event.logical_resource_id.unwrap_or_default(),
            physical_id: event.physical_resource_id.unwrap_or_default(),
            resource_type: event.resource_type.unwrap_or_default(),
            status: "VALIDATION_FAILED".to_owned(),
        },
    }
}

fn seconds(event: &OperationEvent) -> i64 {
    event.timestamp().map_or(0, DateTime::secs)
}
