//! Retries of errors that the SDK does not retry.

use std::time::Duration;

use aws_sdk_s3::error::ProvideErrorMetadata;
use backon::{ExponentialBuilder, Retryable as _};

use crate::error::CallError;

/// The pauses for a service that counts calls by the second: five, thirteen seconds at most in all.
/// Jitter up to doubles each.
pub(crate) const THROTTLED: ExponentialBuilder = ExponentialBuilder::new()
    .with_jitter()
    .with_min_delay(Duration::from_millis(250))
    .with_max_delay(Duration::from_millis(2750))
    .with_max_times(5);

/// The pauses for another writer that is about to finish: six, three seconds at most in all.
const CONFLICT: ExponentialBuilder = ExponentialBuilder::new()
    .with_jitter()
    .with_min_delay(Duration::from_millis(25))
    .with_max_delay(Duration::from_millis(800))
    .with_max_times(6);

/// Makes a call, and retries it while it conflicts with another writer.
pub(crate) async fn on_conflict<T, E, F>(call: impl FnMut() -> F) -> Result<T, CallError<E>>
where
    E: ProvideErrorMetadata,
    F: Future<Output = Result<T, CallError<E>>>,
{
    on(is_conflict, call).await
}

/// Makes a call, and retries it while its error is temporary: for a few seconds at most.
pub(crate) async fn on<T, E, F>(
    is_temporary: impl Fn(&CallError<E>) -> bool,
    call: impl FnMut() -> F,
) -> Result<T, CallError<E>>
where
    F: Future<Output = Result<T, CallError<E>>>,
{
    call.retry(CONFLICT).when(is_temporary).await
}

/// Checks if another writer was changing the same thing. The call has changed nothing then.
fn is_conflict<E: ProvideErrorMetadata>(error: &CallError<E>) -> bool {
    matches!(
        error.code(),
        Some(
            "ConditionalRequestConflict"
                | "OperationAborted"
                | "TooManyUpdates"
                | "TransactionConflictException"
        )
    )
}
