//! The progress of requests, for people.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use accretion_core::request::{RequestId, RequestRef};
use accretion_core::target::{LayerTarget, Runtime};
use accretion_core::timestamp::Timestamp;
use accretion_core::tracking::Status;
use serde::Serialize;

use crate::table::{ITEM, Item, Record, Table};
use crate::tracking::{REQUEST, ROLLED_BACK_TO, compatibility};
use crate::{Clients, Error};

/// The table of requests, as people read it.
#[derive(Debug, Clone)]
pub struct RequestsTable {
    table: Table,
}

/// The progress of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrackedRequest {
    /// The request.
    pub request: RequestRef,
    /// Its project, if it is known.
    pub project: Option<String>,
    /// [`Status::Received`] or [`Status::Rejected`]: the rest is known of each target.
    pub status: Status,
    /// The time of its last update, including those of its targets.
    pub updated_at: Timestamp,
    /// Its source, if it is known.
    pub source: Option<Source>,
    /// The ARN of the version whose content it wants again, if it is a rollback.
    pub rolled_back_to: Option<String>,
    /// The reason of its rejection: a report of some lines.
    pub reason: Option<String>,
    /// The codes of the problems that it was rejected for.
    pub codes: Vec<String>,
    /// Its targets, in their order. None of one that was rejected.
    pub targets: BTreeMap<LayerTarget, TrackedTarget>,
}

/// The progress of a target of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrackedTarget {
    /// The layer's name.
    pub layer: String,
    /// The runtimes that it is for, oldest first.
    pub runtimes: Vec<Runtime>,
    /// Its status.
    pub status: Status,
    /// The time of its last update.
    pub updated_at: Timestamp,
    /// The version that the target has led to, once it has succeeded.
    pub version_arn: Option<String>,
    /// The code of its last error, final or not.
    pub code: Option<String>,
    /// The reason why it failed or waits.
    pub reason: Option<String>,
    /// The hint for that reason.
    pub hint: Option<String>,
    /// The time when a build that waits is tried again.
    pub next_attempt_at: Option<Timestamp>,
    /// The key of its artifact manifest in the artifacts bucket, once there is one.
    pub manifest_key: Option<String>,
    /// The digest of its layer, once it is known.
    pub digest: Option<String>,
}

/// The source of a request: a version of an object of the inbox, or a message of the request queue.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Source {
    /// The bucket of the object.
    pub s3_bucket: Option<String>,
    /// The key of the object.
    pub s3_key: Option<String>,
    /// The version's id, if the bucket has versions.
    pub s3_version_id: Option<String>,
    /// The id of the message.
    pub message_id: Option<String>,
}

/// Requests, and the errors of unreadable items.
#[derive(Debug, Default)]
pub struct Tracked {
    /// The requests, the newest first.
    pub requests: Vec<TrackedRequest>,
    /// The errors of unreadable items.
    pub invalid: Vec<Error>,
}

impl RequestsTable {
    /// The table of this name.
    pub fn new(clients: &Clients, table: impl Into<String>) -> Self {
        Self {
            table: Table::new(clients, table, "RequestId"),
        }
    }

    /// The progress of a request; `None` if it is unknown.
    pub async fn request(&self, id: &RequestId) -> Result<Option<TrackedRequest>, Error> {
        let mut known: Option<TrackedRequest> = None;
        for item in self.table.partition(id.as_str()).await? {
            let part = self.part(&item)?;
            match &mut known {
                Some(known) => known.add(part),
                None => known = Some(part),
            }
        }
        Ok(known)
    }

    /// The newest requests, so many at most. All of the table is read for it, and no more than that
    /// many requests are held in memory.
    pub async fn newest(&self, limit: usize) -> Result<Tracked, Error> {
        let requests: Mutex<BTreeMap<RequestRef, TrackedRequest>> = Mutex::default();
        let invalid: Mutex<Vec<Error>> = Mutex::default();
        let take = |items: Vec<Item>| {
            let mut known = requests.lock().unwrap_or_else(PoisonError::into_inner);
            for item in items {
                match self.part(&item) {
                    Ok(part) => match known.get_mut(&part.request) {
                        Some(request) => request.add(part),
                        None => {
                            known.insert(part.request.clone(), part);
                        }
                    },
                    Err(error) => invalid
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .push(error),
                }
                // More items of a request that was too old are too old, too.
                while known.len() > limit {
                    known.pop_first();
                }
            }
        };
        self.table.scan(take).await?;
        let newest = requests
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner);
        Ok(Tracked {
            requests: newest.into_values().rev().collect(),
            invalid: invalid.into_inner().unwrap_or_else(PoisonError::into_inner),
        })
    }

    /// The content of one item about a request.
    fn part(&self, item: &Item) -> Result<TrackedRequest, Error> {
        let record = Record(item);
        part(record).map_err(|problem| {
            let key = |name| record.text(name).unwrap_or("?");
            self.table.invalid(key("RequestId"), key(ITEM), problem)
        })
    }
}

/// Reads an item: a request without its targets, or one of its targets.
fn part(item: Record<'_>) -> Result<TrackedRequest, String> {
    let text = |name| Ok::<_, String>(item.text_if_any(name)?.map(str::to_owned));
    let status = item.parsed("Status")?;
    let mut request = TrackedRequest {
        request: item.request()?,
        project: text("ProjectName")?,
        // A restored table may know a target, and not its request.
        status: Status::Received,
        updated_at: item.parsed("UpdatedAt")?,
        source: None,
        rolled_back_to: None,
        reason: None,
        codes: Vec::new(),
        targets: BTreeMap::new(),
    };
    if item.text(ITEM)? == REQUEST {
        return Ok(TrackedRequest {
            status,
            source: item.map("Source")?.map(source).transpose()?,
            rolled_back_to: text(ROLLED_BACK_TO)?,
            reason: text("Reason")?,
            codes: item.texts("Codes")?,
            ..request
        });
    }
    let layer = compatibility(item)?;
    let known = TrackedTarget {
        layer: item.text("LayerName")?.to_owned(),
        runtimes: layer.runtimes().collect(),
        status,
        updated_at: request.updated_at,
        version_arn: text("VersionArn")?,
        code: text("Code")?,
        reason: text("Reason")?,
        hint: text("Hint")?,
        next_attempt_at: item.parsed_if_any("NextAttemptAt")?,
        manifest_key: text("ManifestKey")?,
        digest: text("Digest")?,
    };
    request.targets.insert(layer.target(), known);
    Ok(request)
}

fn source(source: Record<'_>) -> Result<Source, String> {
    let text = |name| Ok::<_, String>(source.text_if_any(name)?.map(str::to_owned));
    let message_id = text("MessageId")?;
    if message_id.is_none() {
        // An object has both.
        source.text("S3Bucket").and(source.text("S3Key"))?;
    }
    Ok(Source {
        s3_bucket: text("S3Bucket")?,
        s3_key: text("S3Key")?,
        s3_version_id: text("S3VersionId")?,
        message_id,
    })
}

impl TrackedRequest {
    /// Adds the content of another item about the same request.
    fn add(&mut self, part: Self) {
        self.updated_at = self.updated_at.max(part.updated_at);
        self.project = part.project.or(self.project.take());
        if part.targets.is_empty() {
            (self.status, self.source) = (part.status, part.source);
            self.rolled_back_to = part.rolled_back_to;
            (self.reason, self.codes) = (part.reason, part.codes);
        }
        self.targets.extend(part.targets);
    }

    /// Checks if the request and all of its targets have ended.
    pub fn is_terminal(&self) -> bool {
        let mut targets = self.targets.values();
        self.status.is_terminal()
            || !self.targets.is_empty() && targets.all(|target| target.status.is_terminal())
    }

    /// Checks if it was rejected, or any of its targets has failed.
    pub fn has_failed(&self) -> bool {
        let mut targets = self.targets.values();
        self.status == Status::Rejected || targets.any(|it| it.status == Status::Failed)
    }
}
