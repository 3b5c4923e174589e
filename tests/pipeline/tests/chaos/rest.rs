//! Letting the pipeline come to rest: whatever failed for a while is tried again, as people do it.

use std::time::{Duration, Instant};

use accretion_core::timestamp::Timestamp;
use fastrand::Rng;
use pipeline_tests::{Error, Result, Stack, Table};
use serde_json::Value;

use crate::PATIENCE;
use crate::deliveries::{invoke_publisher, repair};

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
    /// Claims, by the end of their leases.
    claims: Vec<Timestamp>,
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
        let since = |item: &Value| item["PendingSince"].as_str().unwrap_or_default().parse();
        let (claims, marks): (Vec<_>, Vec<_>) =
            pending.iter().partition(|item| item["Item"] == "layer");
        let times = |items: Vec<&Value>| items.into_iter().map(since).collect::<Result<_, _>>();
        let invalid = |error| Error::Unexpected(format!("`PendingSince`: {error}"));
        let mut dead_letters = 0;
        for queue in DEAD_LETTERS {
            dead_letters += stack.queued(stack.output(queue)).await?;
        }
        Ok(Self {
            unknown: requests.saturating_sub(known),
            open,
            requests: stack.queued(stack.output("RequestQueueUrl")).await?,
            dead_letters,
            claims: times(claims).map_err(invalid)?,
            marks: times(marks).map_err(invalid)?,
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

    /// Whether there is something that a repair takes up by now.
    fn is_due(&self) -> bool {
        let now = Timestamp::from(jiff::Timestamp::now());
        let forgotten = now.before(MARK_AGE);
        self.claims.iter().any(|until| *until <= now)
            || self.marks.iter().any(|since| *since < forgotten)
    }
}

const DEAD_LETTERS: [&str; 2] = ["RequestDeadLetterQueueUrl", "PublicationDeadLetterQueueUrl"];

/// Repairs and sends dead letters again until nothing is left to do. What of both comes first when
/// a lease is over is left to chance: either may be who takes a claim over.
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
        if left.is_due() && (left.dead_letters == 0 || random.bool()) {
            rest.repairs += 1;
            match repair(stack).await? {
                Some(did) => {
                    rest.claims += did["Claims"].as_u64().unwrap_or(0);
                    rest.marks += did["Marks"].as_u64().unwrap_or(0);
                }
                None => rest.cut_off += 1,
            }
        } else if left.dead_letters > 0 && (left.claims.is_empty() || left.is_due()) {
            rest.redriven += redrive(stack).await?;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
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
