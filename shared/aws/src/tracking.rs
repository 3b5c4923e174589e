//! The table of requests.

use std::time::Duration;

use accretion_core::Fault as _;
use accretion_core::layer::LayerName;
use accretion_core::request::RequestId;
use accretion_core::target::{Compatibility, LayerTarget, Runtime};
use accretion_core::timestamp::Timestamp;
use accretion_core::tracking::{Failure, Status};
use accretion_service::ports::{
    Acceptance, Accepted, BuildOrder, OpenTarget, Origin, PortError, Rejected, TargetOutcome,
    Tracking, async_trait,
};
use aws_sdk_dynamodb::types::{AttributeValue, TransactWriteItem};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use tracing::warn;

use crate::table::{
    ITEM, Index, Item, Record, Table, Transacted, Update, item, number, text, texts,
};
use crate::{Clients, Error};

/// The sort key of the item about a whole request.
pub(crate) const REQUEST: &str = "request";

/// The ARN of the version whose content a rollback asks for.
pub(crate) const ROLLED_BACK_TO: &str = "RolledBackTo";

/// Targets without an outcome, by the time of their last status.
const OPEN: Index = Index {
    name: "open",
    shard: "Open",
    time: "UpdatedAt",
};

/// Items that are read at the same time.
const READS: usize = 16;

/// The table of requests.
#[derive(Debug, Clone)]
pub struct DynamoTracking {
    items: RequestItems,
}

/// The table of requests, with the lifetime of its items.
#[derive(Debug, Clone)]
pub(crate) struct RequestItems {
    table: Table,
    retention: Duration,
}

impl DynamoTracking {
    /// A table whose items expire so long after the last change.
    pub fn new(clients: &Clients, table: impl Into<String>, retention: Duration) -> Self {
        Self {
            items: RequestItems::new(clients, table, retention),
        }
    }

    /// The target of keys in the index; `None` if it has an outcome by now.
    async fn read_open_target(&self, keys: Item) -> Result<Option<OpenTarget>, Error> {
        let table = &self.items.table;
        let text = |name| Record(&keys).text(name).unwrap_or_default();
        let (id, slug) = (text("RequestId"), text(ITEM));
        let item = table.get(id, slug).await?;
        let Some(item) = item.filter(|item| item.contains_key(OPEN.shard)) else {
            return Ok(None);
        };
        match open_target(Record(&item)) {
            Ok(target) => Ok(Some(target)),
            Err(problem) => {
                // The others can be closed nevertheless.
                let error = table.invalid(id, slug, problem);
                warn!(request_id = id, code = error.code(), %error, "skipped");
                Ok(None)
            }
        }
    }
}

impl RequestItems {
    pub(crate) fn new(clients: &Clients, table: impl Into<String>, retention: Duration) -> Self {
        Self {
            table: Table::new(clients, table, "RequestId"),
            retention,
        }
    }

    fn expires_at(&self, now: Timestamp) -> AttributeValue {
        number(now.after(self.retention).seconds())
    }

    /// The first items of a request.
    fn accepting(&self, accepted: &Accepted, now: Timestamp) -> Vec<TransactWriteItem> {
        let id = &accepted.request.id;
        let received = |rest: Item| {
            let mut received = item([
                ("ProjectName", text(&accepted.project)),
                ("Status", text(&Status::Received)),
                ("StatusRank", number(Status::Received.rank())),
                ("ReceivedAt", text(&accepted.request.received_at)),
                ("UpdatedAt", text(&now)),
                ("ExpiresAt", self.expires_at(now)),
            ]);
            received.extend(rest);
            received
        };
        let slugs = accepted.targets.iter().map(|it| it.target().slug());
        let mut request = received(item([
            ("Source", source(&accepted.origin)),
            ("Targets", texts(slugs)),
        ]));
        let version = accepted.rolled_back_to.as_ref();
        request.extend(version.map(|arn| (ROLLED_BACK_TO.to_owned(), text(arn))));
        let targets = accepted.targets.iter().map(|layer| {
            let target = layer.target();
            let mut rest = received(item([
                ("Architecture", text(&target.architecture())),
                (
                    "LayerName",
                    text(&LayerName::new(&accepted.project, target)),
                ),
                ("Open", text(id.shard())),
            ]));
            let (name, value) = runtime_attribute(target, layer.runtimes());
            rest.insert(name.to_owned(), value);
            self.table.putting(id.as_str(), &target.slug(), rest)
        });
        let request = self.table.putting_new(id.as_str(), REQUEST, request);
        std::iter::once(request).chain(targets).collect()
    }

    fn rejecting(&self, rejected: &Rejected, now: Timestamp) -> Update {
        let project = rejected.project.as_ref();
        Update::new()
            .set_or_remove("ProjectName", project.map(text))
            .set("Status", text(&Status::Rejected))
            .set("StatusRank", number(Status::Rejected.rank()))
            .set("ReceivedAt", text(&rejected.request.received_at))
            .set("UpdatedAt", text(&now))
            .set("Source", source(&rejected.origin))
            .set("Reason", text(&rejected.reason))
            .set("Codes", texts(&rejected.codes))
            .set("ExpiresAt", self.expires_at(now))
            .if_absent("Status")
    }

    /// The change of a target's item by a failed build that is tried again later.
    fn delaying(failure: &Failure, next_attempt_at: Timestamp, now: Timestamp) -> Update {
        Update::new()
            .set("Status", text(&Status::Waiting))
            .set("StatusRank", number(Status::Waiting.rank()))
            .set("UpdatedAt", text(&now))
            .set("NextAttemptAt", text(&next_attempt_at))
            .set("Code", text(&failure.code))
            .set("Reason", text(&failure.reason))
            .set_or_remove("Hint", failure.hint.as_ref().map(text))
            // Building and waiting alternate, and have the same rank.
            .if_lower("StatusRank", number(Status::Waiting.rank() + 1))
    }

    /// The change of a target's item by its outcome.
    pub(crate) fn ending(&self, outcome: &TargetOutcome, now: Timestamp) -> TransactWriteItem {
        let TargetOutcome {
            request,
            status,
            outbox_entry: entry,
            ..
        } = outcome;
        let (target, notification) = (entry.target, &entry.notification);
        let optional = |value: &Option<String>| value.as_ref().map(text);
        let runtimes = notification.runtimes.iter().copied();
        let (runtime, value) = runtime_attribute(target, runtimes);
        let shard = (!status.is_terminal()).then(|| text(request.id.shard()));
        let update = Update::new()
            .set_new("ProjectName", text(&entry.project))
            .set_new(runtime, value)
            .set_new("Architecture", text(&target.architecture()))
            .set_new("LayerName", text(&entry.layer()))
            .set_new("ReceivedAt", text(&request.received_at))
            .set("Status", text(&status))
            .set("StatusRank", number(status.rank()))
            .set("UpdatedAt", text(&now))
            .set("ExpiresAt", self.expires_at(now))
            .set_if("ManifestKey", optional(&outcome.manifest_key))
            .set_if("Digest", outcome.digest.as_ref().map(text))
            .set_or_remove("VersionArn", optional(&notification.version_arn))
            .set_or_remove("Code", optional(&notification.code))
            .set_or_remove("Reason", optional(&notification.reason))
            .set_or_remove("Hint", optional(&notification.hint))
            .remove("NextAttemptAt")
            .set_or_remove("Open", shard);
        // No status is higher. The status of a target in a restored table must not prevent the record
        // of a version that exists.
        let conditional = if *status == Status::Published {
            update
        } else {
            update.if_lower("StatusRank", number(status.rank()))
        };
        let id = request.id.as_str();
        self.table.updating(id, &target.slug(), &conditional)
    }
}

#[async_trait]
impl Tracking for DynamoTracking {
    async fn status(&self, id: &RequestId) -> Result<Option<Status>, PortError> {
        let table = &self.items.table;
        let status = table.read(id.as_str(), REQUEST, |item| item.parsed("Status"));
        Ok(status.await?)
    }

    async fn accept(&self, accepted: &Accepted) -> Result<Acceptance, PortError> {
        let id = &accepted.request.id;
        let writes = self.items.accepting(accepted, now());
        match self.items.table.transact(id.as_str(), writes).await? {
            Transacted::Done => Ok(Acceptance::New),
            // The item about the whole request exists already.
            Transacted::Refused(_) => Ok(match self.status(id).await? {
                Some(Status::Rejected) => Acceptance::Rejected,
                _ => Acceptance::Known,
            }),
        }
    }

    async fn reject(&self, rejected: &Rejected) -> Result<(), PortError> {
        let update = self.items.rejecting(rejected, now());
        let id = rejected.request.id.as_str();
        // If it is refused, it is recorded already.
        self.items.table.update(id, REQUEST, &update).await?;
        Ok(())
    }

    async fn delay(
        &self,
        build: &BuildOrder,
        failure: &Failure,
        next_attempt_at: Timestamp,
    ) -> Result<(), PortError> {
        let update = RequestItems::delaying(failure, next_attempt_at, now());
        let (id, slug) = (build.request.id.as_str(), build.target.target().slug());
        // If it is refused, a higher status is recorded already.
        self.items.table.update(id, &slug, &update).await?;
        Ok(())
    }

    async fn open_before(&self, before: Timestamp) -> Result<Vec<OpenTarget>, PortError> {
        let keys = self.items.table.older(&OPEN, before).await?;
        let reads = stream::iter(keys).map(|keys| self.read_open_target(keys));
        let open: Vec<_> = reads.buffered(READS).try_collect().await?;
        Ok(open.into_iter().flatten().collect())
    }
}

pub(crate) fn now() -> Timestamp {
    jiff::Timestamp::now().into()
}

/// The attribute of an item with its runtimes: one of a target, or a list of a merged layer.
fn runtime_attribute(
    target: LayerTarget,
    runtimes: impl Iterator<Item = Runtime>,
) -> (&'static str, AttributeValue) {
    match target {
        LayerTarget::One(target) => ("Runtime", text(&target.runtime)),
        LayerTarget::Merged(_) => ("Runtimes", texts(runtimes)),
    }
}

/// The target of an item, with the runtimes of its layer.
pub(crate) fn compatibility(item: Record<'_>) -> Result<Compatibility, String> {
    let slug = item.text(ITEM)?;
    let invalid = || format!("`{slug}` is no target");
    let target = LayerTarget::from_slug(slug).ok_or_else(invalid)?;
    match target {
        LayerTarget::One(target) => Ok(target.into()),
        LayerTarget::Merged(_) => {
            let texts = item.texts("Runtimes")?;
            let parsed: Result<Vec<_>, _> = texts.iter().map(|it| it.parse::<Runtime>()).collect();
            let runtimes = parsed.map_err(|error| format!("`Runtimes`: {error}"))?;
            let lacking = || "it has no usable `Runtimes`".to_owned();
            Compatibility::new(target, runtimes).ok_or_else(lacking)
        }
    }
}

fn open_target(item: Record<'_>) -> Result<OpenTarget, String> {
    Ok(OpenTarget {
        build: BuildOrder {
            request: item.request()?,
            project: item.parsed("ProjectName")?,
            target: compatibility(item)?,
        },
        updated_at: item.parsed("UpdatedAt")?,
    })
}

fn source(origin: &Origin) -> AttributeValue {
    AttributeValue::M(match origin {
        Origin::Object(object) => {
            let mut source = item([
                ("S3Bucket", text(&object.bucket)),
                ("S3Key", text(&object.key)),
            ]);
            let version_id = object.version_id.as_ref();
            source.extend(version_id.map(|id| ("S3VersionId".to_owned(), text(&id))));
            source
        }
        Origin::Message(id) => item([("MessageId", text(&id))]),
    })
}
