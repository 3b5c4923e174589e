//! Letting the pipeline come to rest: every failed message and invocation is redriven, as people do
//! it.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use accretion_aws::{Clients, LambdaPublisher, SqsDeadLetters, SqsRequestQueue};
use accretion_core::timestamp::Timestamp;
use accretion_service::redrive::Redrive;
use fastrand::Rng;
use pipeline_tests::{Error, MiniStack, Result, Stack, Table};

use crate::deliveries::{invoke_publisher, reconcile};
use crate::event;

/// The time until rest: several leases, one after the other.
const PATIENCE: Duration = Duration::from_mins(8);

/// The age of an outbox entry, or of an expired claim, at which the reconciler takes it up.
const OVERDUE: Duration = Duration::from_mins(1);

/// The steps until rest.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Rest {
    /// Runs of the reconciler.
    pub(crate) reconciliations: usize,
    /// Those of them that were killed.
    pub(crate) cut_off: usize,
    /// Expired claims that the reconciler finished, and outbox entries that it announced.
    pub(crate) claims: u64,
    pub(crate) outbox_entries: u64,
    /// Its orphan checks, and the orphans that they found.
    pub(crate) orphan_checks: u64,
    pub(crate) orphans: u64,
    /// Claims that were left to publishers.
    pub(crate) reminders: usize,
    /// Dead letters that were sent again.
    pub(crate) redriven: usize,
}

/// The work that is left.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Left {
    /// Requests that are not in the table.
    unknown: usize,
    /// Targets without an outcome.
    open: usize,
    /// Messages of the request queue.
    requests: u32,
    /// Messages of both dead-letter queues.
    dead_letters: u32,
    /// Claims: the layers and the ends of their leases.
    claims: Vec<(String, Timestamp)>,
    /// The times of outbox entries.
    outbox: Vec<Timestamp>,
}

impl Left {
    async fn of(stack: &Stack, requests: usize) -> Result<Self> {
        let items = stack.all_items(Table::Requests, None).await?;
        let known = items
            .iter()
            .filter(|item| item["Item"] == "request")
            .count();
        let open = items.iter().filter(|item| item["Open"].is_string()).count();
        let pending = stack.all_items(Table::Layers, Some("PendingSince")).await?;
        let mut claims = Vec::new();
        let mut outbox = Vec::new();
        for item in &pending {
            let text = |member: &str| item[member].as_str().unwrap_or_default();
            let since = text("PendingSince").parse();
            let since = since.map_err(|it| Error::Unexpected(format!("{item}: {it}")))?;
            match text("Item") {
                "layer" if item["Claim"].is_null() => {
                    // A review is due later: far later where a claim was taken over.
                }
                "layer" => claims.push((text("LayerName").to_owned(), since)),
                _ => outbox.push(since),
            }
        }
        let mut dead_letters = 0;
        for queue in DEAD_LETTERS {
            dead_letters += stack.queued(stack.output(queue)).await?;
        }
        Ok(Self {
            unknown: requests.saturating_sub(known),
            open,
            requests: stack.queued(stack.output("RequestQueueUrl")).await?,
            dead_letters,
            claims,
            outbox,
        })
    }

    fn is_nothing(&self) -> bool {
        let Self {
            unknown,
            open,
            requests,
            dead_letters,
            claims,
            outbox,
        } = self;
        *unknown + *open == 0
            && *requests + *dead_letters == 0
            && claims.is_empty()
            && outbox.is_empty()
    }

    /// The layers whose claims have expired.
    fn expired_claims(&self) -> impl Iterator<Item = &str> {
        let now = Timestamp::from(jiff::Timestamp::now());
        let expired = self.claims.iter().filter(move |(_, until)| *until <= now);
        expired.map(|(layer, _)| layer.as_str())
    }

    /// Returns whether the reconciler takes up a claim or an outbox entry by now.
    fn is_overdue(&self) -> bool {
        let overdue = Timestamp::from(jiff::Timestamp::now()).before(OVERDUE);
        let claims = self.claims.iter().map(|(_, until)| until);
        claims.chain(&self.outbox).any(|since| *since < overdue)
    }
}

/// More dead letters than there are.
const MANY: usize = 10_000;

const DEAD_LETTERS: [&str; 2] = ["RequestDeadLetterQueueUrl", "PublicationDeadLetterQueueUrl"];

/// Reconciles and redrives until nothing is left to do. Chance decides who takes over an expired
/// claim: the reconciler, or a publisher that an event invokes.
pub(crate) async fn come_to_rest(
    (server, stack): (&MiniStack, &Stack),
    requests: usize,
    mut random: Rng,
) -> Result<Rest> {
    let start = Instant::now();
    let mut rest = Rest::default();
    // By layer, whether its expired claim is left to the reconciler.
    let mut fates = BTreeMap::new();
    loop {
        let left = Left::of(stack, requests).await?;
        if left.is_nothing() {
            return Ok(rest);
        }
        if start.elapsed() > PATIENCE {
            let what = format!("rest: {left:?}, {rest:?}");
            let after = PATIENCE;
            return Err(Error::Timeout { what, after });
        }
        let mut reminded = 0;
        for layer in left.expired_claims() {
            let is_for_reconciler = fates.entry(layer.to_owned());
            if !*is_for_reconciler.or_insert_with(|| random.u8(..3) == 0) {
                remind(stack, layer, &mut random).await?;
                reminded += 1;
            }
        }
        rest.reminders += reminded;
        if left.is_overdue() {
            rest.reconciliations += 1;
            match reconcile(stack).await? {
                Some(did) => {
                    rest.claims += did["Claims"].as_u64().unwrap_or(0);
                    rest.outbox_entries += did["OutboxEntries"].as_u64().unwrap_or(0);
                    rest.orphan_checks += did["OrphanChecks"].as_u64().unwrap_or(0);
                    rest.orphans += did["Orphans"].as_u64().unwrap_or(0);
                }
                None => rest.cut_off += 1,
            }
        } else if left.claims.is_empty() && left.dead_letters > 0 {
            rest.redriven += redrive(server, stack).await?;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

/// Has S3's event of a manifest of a layer come once more.
async fn remind(stack: &Stack, layer: &str, random: &mut Rng) -> Result<()> {
    let (project, slug) = layer.split_once("-py").unwrap_or((layer, ""));
    let prefix = format!("accretion/manifests/{project}/");
    let keys = stack.artifact_keys(&prefix).await?;
    let suffix = format!("-py{slug}.manifest");
    let keys: Vec<_> = keys.iter().filter(|it| it.ends_with(&suffix)).collect();
    let now = Timestamp::from(jiff::Timestamp::now()).to_string();
    if let Some(key) = random.choice(keys) {
        let bucket = stack.output("ArtifactsBucketName");
        let event = event(bucket, key, ("sequencer", "00"), &now);
        invoke_publisher(stack, &event).await?;
    }
    Ok(())
}

/// Sends all dead letters again, as an operator would.
async fn redrive(server: &MiniStack, stack: &Stack) -> Result<usize> {
    let clients = Clients::from(server.configuration());
    let letters = |queue| SqsDeadLetters::new(&clients, stack.output(queue));
    let [requests, publications] = DEAD_LETTERS.map(letters);
    let queue = SqsRequestQueue::new(&clients, stack.output("RequestQueueUrl"));
    let publisher = LambdaPublisher::new(&clients, stack.output("PublisherFunctionName"));
    let outcomes = [
        Redrive::new(&requests, MANY).requests(&queue).await,
        Redrive::new(&publications, MANY)
            .publications(&publisher)
            .await,
    ];
    let failed = outcomes
        .iter()
        .find(|it| it.failure.is_some() || !it.left.is_empty());
    if let Some(outcome) = failed {
        return Err(Error::Unexpected(format!("{outcome:?}")));
    }
    Ok(outcomes.iter().map(|it| it.sent.len()).sum())
}
