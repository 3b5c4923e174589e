//! What the dispatcher does with a batch of messages.

use accretion_core::Fault as _;
use accretion_core::timestamp::Timestamp;
use accretion_service::Error;
use accretion_service::dispatch::{Dispatch, Message};
use accretion_service::ports::{Builds, Inbox, Requests, Topic, Tracking};
use aws_lambda_events::sqs::{SqsBatchResponse, SqsEvent, SqsMessage};
use futures_util::future::join_all;
use tracing::{Instrument as _, error, info_span};

/// Dispatches every message of a batch. Those that fail, and no others, are delivered again.
pub(crate) async fn handle<I, R, T, B, N>(
    dispatch: &Dispatch<'_, I, R, T, B, N>,
    event: SqsEvent,
) -> SqsBatchResponse
where
    I: Inbox,
    R: Requests,
    T: Tracking,
    B: Builds,
    N: Topic,
{
    let outcomes = event.records.into_iter().map(async |record| {
        let id = record.message_id.clone().unwrap_or_default();
        let span = info_span!("message", message_id = id);
        let outcome = dispatch_one(dispatch, record).instrument(span).await;
        outcome.err().map(|_| id)
    });
    let mut response = SqsBatchResponse::default();
    for id in join_all(outcomes).await.into_iter().flatten() {
        response.add_failure(id);
    }
    response
}

async fn dispatch_one<I, R, T, B, N>(
    dispatch: &Dispatch<'_, I, R, T, B, N>,
    record: SqsMessage,
) -> Result<(), Error>
where
    I: Inbox,
    R: Requests,
    T: Tracking,
    B: Builds,
    N: Topic,
{
    let outcome = match message(record) {
        Ok(message) => dispatch.message(&message).await.map(|_| ()),
        Err(error) => Err(error),
    };
    if let Err(error) = &outcome {
        let hint = error.hint();
        error!(code = error.code(), %error, hint, "could not be dispatched");
    }
    outcome
}

/// What the use case needs of a message.
fn message(record: SqsMessage) -> Result<Message, Error> {
    let missing = |what: &str| Error::MessageUnknown {
        problem: format!("SQS says no {what}"),
    };
    let sent_at = record
        .attributes
        .get("SentTimestamp")
        .and_then(|milliseconds| Timestamp::from_milliseconds(milliseconds.parse().ok()?))
        .ok_or_else(|| missing("`SentTimestamp`"))?;
    Ok(Message {
        id: record.message_id.ok_or_else(|| missing("`messageId`"))?,
        sent_at,
        body: record.body.unwrap_or_default(),
    })
}
