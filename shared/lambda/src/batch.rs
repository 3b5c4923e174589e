//! Batches of messages of a queue.

use accretion_core::Fault;
use aws_lambda_events::sqs::{SqsBatchResponse, SqsEvent, SqsMessage};
use futures_util::future;
use tracing::{Instrument as _, error, field, info_span};

/// Handles the messages of a batch at the same time, and reports those that fail: SQS delivers them
/// again.
///
/// Each is handled in a span whose `request_id` can be recorded once it is known.
pub async fn each_message<E: Fault>(
    event: &SqsEvent,
    handle: impl AsyncFn(&SqsMessage) -> Result<(), E>,
) -> SqsBatchResponse {
    let handle_one = &handle;
    let outcomes = event.records.iter().map(|message| {
        let id = message.message_id.clone().unwrap_or_default();
        let span = info_span!("message", message_id = id, request_id = field::Empty);
        let handled = async move {
            let fault = handle_one(message).await.err()?;
            let (code, class, (text, hint)) = (fault.code(), fault.class(), fault.logged());
            error!(code, %class, hint, "{text}");
            Some(id)
        };
        handled.instrument(span)
    });
    let failed = future::join_all(outcomes).await;
    let mut response = SqsBatchResponse::default();
    response.set_failures(failed.into_iter().flatten());
    response
}

#[cfg(test)]
mod tests {
    use tracing::Span;

    use super::*;
    use crate::Error;
    use crate::telemetry::DEFAULT_LEVEL;
    use crate::telemetry::tests::logged;

    #[tokio::test]
    async fn only_what_failed_comes_again() {
        let records = ["1", "2", "3"].map(|id| serde_json::json!({"messageId": id, "body": id}));
        let event: SqsEvent =
            serde_json::from_value(serde_json::json!({"Records": records})).unwrap();
        let response = each_message(&event, async |message: &SqsMessage| {
            if message.body.as_deref() == Some("2") {
                let problem = "it is 2".to_owned();
                return Err(Error::EventInvalid { problem });
            }
            Ok(())
        });
        let response = serde_json::to_value(response.await).unwrap();
        let expected = serde_json::json!({"batchItemFailures": [{"itemIdentifier": "2"}]});
        assert_eq!(response, expected);
    }

    #[test]
    fn the_line_of_a_failure_has_the_request_that_was_recorded() {
        let lines = logged(DEFAULT_LEVEL, || {
            let records = [serde_json::json!({"messageId": "1"})];
            let event = serde_json::json!({"Records": records});
            let event: SqsEvent = serde_json::from_value(event).unwrap();
            let fail = async |_: &SqsMessage| {
                Span::current().record("request_id", "r-1");
                let problem = "it is 2".to_owned();
                Err(Error::EventInvalid { problem })
            };
            let runtime = tokio::runtime::Builder::new_current_thread()
                .build()
                .unwrap();
            runtime.block_on(each_message(&event, fail));
        });
        assert_eq!(lines.len(), 1);
        assert_eq!(lines[0]["message_id"], "1");
        assert_eq!(lines[0]["request_id"], "r-1");
    }
}
