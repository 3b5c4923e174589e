//! Letting the pipeline come to rest: whatever failed for a while is tried again, as people do it.

use std::time::{Duration, Instant};

use accretion_core::timestamp::Timestamp;
use fastrand::Rng;
use pipeline_tests::{Error, Result, Stack, Table};
use serde_json::Value;

use crate::deliveries::{invoke_publisher, repair};
use crate::{PATIENCE, event};

/// How old a mark has to be for the repair to tell it.
const MARK_AGE: Duration = Duration::from_mins(1);

/// What was done until nothing was left to do.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Rest {
    pub(crate) repairs: usize,
    /// Repairs that were killed.
    pub(crate) cut_off: usize,
    /// Dead claims that a repair finished, and marks that it told.
    pub(crate) claims: u64,
    pub(crate) marks: u64,
    /// Claims that were left to publishers.
    pub(crate) reminders: usize,
    /// Dead letters that were sent again.
    pub(crate) redriven: usize,
}

/// What is still to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Left {
    /// Requests that are not in the table.
    unknown: usize,
    /// Targets that have not come to their end.
    open: usize,
    /// Messages of the request queue.
    requests: u32,
    /// Messages of both dead-letter queues.
    dead_letters: u32,
    /// Claims: the layers and the ends of their leases.
    claims: Vec<(String, Timestamp)>,
    /// Marks, by when they were made.
    marks: Vec<Timestamp>,
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
        let mut marks = Vec::new();
        for item in &pending {
            let text = |member: &str| item[member].as_str().unwrap_or_default();
            let since = text("PendingSince").parse();
            let since = since.map_err(|it| Error::Unexpected(format!("{item}: {it}")))?;
            match text("Item") {
                "layer" => claims.push((text("LayerName").to_owned(), since)),
                _ => marks.push(since),
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
            marks,
        })
    }

    fn is_nothing(&self) -> bool {
        let Self {
            unknown,
            open,
            requests,
            dead_letters,
            claims,
            marks,
        } = self;
        *unknown + *open == 0
            && *requests + *dead_letters == 0
            && claims.is_empty()
            && marks.is_empty()
    }

    /// The layers whose claims nobody lives to finish.
    fn dead_claims(&self) -> impl Iterator<Item = &str> {
        let now = Timestamp::from(jiff::Timestamp::now());
        let dead = self.claims.iter().filter(move |(_, until)| *until <= now);
        dead.map(|(layer, _)| layer.as_str())
    }

    /// Whether there are marks that nobody lives to tell.
    fn has_forgotten_marks(&self) -> bool {
        let forgotten = Timestamp::from(jiff::Timestamp::now()).before(MARK_AGE);
        self.marks.iter().any(|since| *since < forgotten)
    }
}

const DEAD_LETTERS: [&str; 2] = ["RequestDeadLetterQueueUrl", "PublicationDeadLetterQueueUrl"];

/// Repairs and sends dead letters again until nothing is left to do. Who takes a dead claim over is
/// left to chance: the repair, or a publisher that an event wakes up.
pub(crate) async fn come_to_rest(stack: &Stack, requests: usize, mut random: Rng) -> Result<Rest> {
    let start = Instant::now();
    let mut rest = Rest::default();
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
        let dead_claims: Vec<_> = left.dead_claims().collect();
        if !dead_claims.is_empty() && random.bool() {
            for layer in dead_claims {
                remind(stack, layer, &mut random).await?;
                rest.reminders += 1;
            }
        } else if !dead_claims.is_empty() || left.has_forgotten_marks() {
            rest.repairs += 1;
            match repair(stack).await? {
                Some(did) => {
                    rest.claims += did["Claims"].as_u64().unwrap_or(0);
                    rest.marks += did["Marks"].as_u64().unwrap_or(0);
                }
                None => rest.cut_off += 1,
            }
        } else if left.claims.is_empty() && left.dead_letters > 0 {
            rest.redriven += redrive(stack).await?;
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

/// Sends all dead letters again.
pub(crate) async fn redrive(stack: &Stack) -> Result<usize> {
    let mut count = 0;
    let [requests, publications] = DEAD_LETTERS.map(|queue| stack.output(queue));
    while let Some(message) = stack.take_message(requests, Duration::ZERO).await? {
        stack.send_to_queue(&message).await?;
        count += 1;
    }
    while let Some(message) = stack.take_message(publications, Duration::ZERO).await? {
        let record: Value = serde_json::from_str(&message)
            .map_err(|it| Error::Unexpected(format!("a dead letter {message}: {it}")))?;
        invoke_publisher(stack, &record["requestPayload"]).await?;
        count += 1;
    }
    Ok(count)
}
