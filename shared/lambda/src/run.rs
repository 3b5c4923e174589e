//! The life of a function.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::process::ExitCode;
use std::time::Instant;

use accretion_core::Fault;
use accretion_core::fault::json_problem;
use accretion_core::timestamp::Timestamp;
use futures_util::FutureExt as _;
use lambda_runtime::{Diagnostic, LambdaEvent, service_fn};
use lambda_runtime_api_client::body::Body;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tracing::{Instrument as _, error, field, info, info_span, warn};

use crate::error::Failure;
use crate::metrics::Metrics;
use crate::{Environment, Error, telemetry};

/// An event, with what Lambda says about its invocation.
#[derive(Debug, Clone)]
pub struct Invocation<T> {
    /// The event.
    pub event: T,
    /// Lambda's id of the invocation. The retries of an asynchronous one have the same.
    pub id: String,
    /// The time when Lambda ends the process, finished or not.
    pub deadline: Timestamp,
    /// The metrics of the invocation.
    pub metrics: Metrics,
}

/// Runs a function: sets it up once, then handles one invocation after the other.
///
/// Each is handled in a span whose `request_id` can be recorded once it is known.
///
/// Returns only when Lambda ends the process. A failed set-up is reported to Lambda as such.
pub async fn run<S, T, R, E>(
    set_up: impl AsyncFnOnce(Environment) -> Result<S, Error>,
    handle: impl AsyncFn(&S, Invocation<T>) -> Result<R, E>,
) -> ExitCode
where
    T: DeserializeOwned,
    R: Serialize,
    E: Fault,
{
    let mut environment = Environment::of_process();
    telemetry::start(environment.optional("LOG_LEVEL", telemetry::DEFAULT_LEVEL));
    let metrics = Metrics::new(environment.optional("METRICS_NAMESPACE", String::new()));
    if std::env::var_os("AWS_LAMBDA_RUNTIME_API").is_none() {
        error!("this is a function of AWS Lambda, and does nothing elsewhere");
        return ExitCode::FAILURE;
    }
    // On the heap: the SDK's futures are large.
    let state = match Box::pin(set_up(environment)).await {
        Ok(state) => state,
        Err(fault) => {
            report_failed_start(&fault).await;
            return ExitCode::FAILURE;
        }
    };
    let (state, handle, metrics) = (&state, &handle, &metrics);
    let service = service_fn(|event: LambdaEvent<Value>| invoke(state, handle, metrics, event));
    match lambda_runtime::Runtime::new(service).run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            error!(error, "the runtime ended");
            ExitCode::FAILURE
        }
    }
}

/// Handles an invocation within its own span, and logs its outcome.
async fn invoke<S, T, R, E>(
    state: &S,
    handle: &impl AsyncFn(&S, Invocation<T>) -> Result<R, E>,
    metrics: &Metrics,
    event: LambdaEvent<Value>,
) -> Result<R, Failure>
where
    T: DeserializeOwned,
    E: Fault,
{
    let (payload, context) = event.into_parts();
    let span = info_span!(
        "invocation",
        aws_request_id = context.request_id,
        xray_trace_id = context.xray_trace_id,
        request_id = field::Empty,
    );
    let start = Instant::now();
    let deadline = i64::try_from(context.deadline).ok();
    let handled = async {
        let event = T::deserialize(payload).map_err(|error| Error::EventInvalid {
            problem: json_problem(&error),
        });
        let invocation = Invocation {
            event: event.map_err(|fault| failure(&fault, start))?,
            id: context.request_id,
            deadline: deadline
                .and_then(Timestamp::from_milliseconds)
                .unwrap_or_else(|| jiff::Timestamp::now().into()),
            metrics: metrics.clone(),
        };
        let handled = AssertUnwindSafe(Box::pin(handle(state, invocation))).catch_unwind();
        match handled.await {
            Ok(Ok(response)) => {
                info!(duration_ms = milliseconds(start), "done");
                Ok(response)
            }
            Ok(Err(fault)) => Err(failure(&fault, start)),
            Err(panic) => {
                let message = panic_message(&*panic).to_owned();
                Err(failure(&Error::Panicked { message }, start))
            }
        }
    };
    handled.instrument(span).await
}

/// Logs the failure of an invocation, and makes the answer of it.
fn failure(fault: &impl Fault, start: Instant) -> Failure {
    let (code, class, (text, hint)) = (fault.code(), fault.class(), fault.logged());
    let duration_ms = milliseconds(start);
    error!(code, %class, hint, duration_ms, "{text}");
    Failure::from(fault)
}

fn milliseconds(start: Instant) -> u64 {
    u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX)
}

fn panic_message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("no message")
}

/// Reports to Lambda that the function can't start, so that the invoker gets the reason.
///
/// Source: the Lambda Developer Guide, "Initialization error" of the runtime API.
async fn report_failed_start(fault: &Error) {
    let (code, class, (text, hint)) = (fault.code(), fault.class(), fault.logged());
    error!(code, %class, hint, "{text}");
    let diagnostic = Diagnostic::from(Failure::from(fault));
    let body = serde_json::to_vec(&diagnostic).unwrap_or_default();
    let request = lambda_runtime_api_client::build_request()
        .method("POST")
        .uri("/2018-06-01/runtime/init/error")
        .header("lambda-runtime-function-error-type", code)
        .body(Body::from(body));
    let sent = match request {
        Ok(request) => {
            let client = lambda_runtime_api_client::PooledClient::builder().build();
            client.call(request).await.map(|_| ())
        }
        Err(error) => Err(error.into()),
    };
    if let Err(error) = sent {
        warn!(error, "the failed start could not be reported to Lambda");
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tracing::Span;

    use super::*;
    use crate::telemetry::tests::logged;

    /// The outcome of an invocation with a number.
    async fn invoked(
        payload: Value,
        handle: impl AsyncFn(&(), Invocation<u32>) -> Result<Value, Error>,
    ) -> Result<Value, Value> {
        let mut context = lambda_runtime::Context::default();
        context.request_id = "i-1".to_owned();
        context.deadline = 1_763_632_800_123;
        let metrics = Metrics::new(String::new());
        let event = LambdaEvent::new(payload, context);
        let outcome = invoke(&(), &handle, &metrics, event).await;
        outcome.map_err(|failure| serde_json::to_value(Diagnostic::from(failure)).unwrap())
    }

    #[tokio::test]
    async fn a_handler_gets_the_event_and_how_long_it_has() {
        let outcome = invoked(json!(7), async |(), invocation| {
            assert_eq!(invocation.event, 7);
            assert_eq!(invocation.deadline.to_string(), "2025-11-20T10:00:00.123Z");
            Ok(json!({"Id": invocation.id}))
        });
        assert_eq!(outcome.await, Ok(json!({"Id": "i-1"})));
    }

    #[tokio::test]
    async fn what_goes_wrong_has_a_code() {
        let outcomes = [
            invoked(json!("seven".repeat(1000)), async |(), _| Ok(json!(null))).await,
            invoked(json!(7), async |(), _| {
                let problem = "it is 7".to_owned();
                Err(Error::EventInvalid { problem })
            })
            .await,
            invoked(json!(7), async |(), _| panic!("at the {}", "disco")).await,
        ];
        let [unread, failed, panicked] = outcomes.map(Result::unwrap_err);
        assert_eq!(unread["errorType"], "EventInvalid");
        assert_eq!(
            unread["errorMessage"],
            "the event cannot be used: invalid type: string"
        );
        assert_eq!(failed["errorMessage"], "the event cannot be used: it is 7");
        assert_eq!(panicked["errorType"], "Panicked");
        let message = panicked["errorMessage"].as_str().unwrap();
        assert!(
            message.starts_with("the function panicked: at the disco\nhint: "),
            "{message}"
        );
    }

    #[test]
    fn the_line_of_a_failure_has_the_request_that_was_recorded() {
        let lines = logged(telemetry::DEFAULT_LEVEL, || {
            let runtime = tokio::runtime::Builder::new_current_thread().build();
            let invoked = invoked(json!(7), async |(), _| {
                Span::current().record("request_id", "r-1");
                let problem = "it is 7".to_owned();
                Err(Error::EventInvalid { problem })
            });
            runtime.unwrap().block_on(invoked).unwrap_err();
        });
        assert_eq!(lines.len(), 1);
        assert_eq!(lines[0]["aws_request_id"], "i-1");
        assert_eq!(lines[0]["request_id"], "r-1");
    }
}
