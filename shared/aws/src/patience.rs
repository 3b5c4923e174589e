//! Trying again what the SDK takes for final.

use std::time::Duration;

use aws_sdk_s3::error::ProvideErrorMetadata;

use crate::error::CallError;

/// Pauses between attempts, each cut short at random so that rivals do not meet again.
pub(crate) type Pauses = [Duration];

/// For a rival that is about to be done.
pub(crate) const SHORT: &Pauses = &[
    Duration::from_millis(50),
    Duration::from_millis(100),
    Duration::from_millis(200),
    Duration::from_millis(400),
    Duration::from_millis(800),
    Duration::from_millis(1600),
];

/// For a service that counts calls by the second. Thirteen seconds at most.
pub(crate) const LONG: &Pauses = &[
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(4),
    Duration::from_millis(5500),
];

/// Makes a call until it fails with something else than what is worth another attempt.
pub(crate) async fn while_worth_it<T, E, F>(
    pauses: &Pauses,
    is_worth_it: impl Fn(&CallError<E>) -> bool,
    mut call: impl FnMut() -> F,
) -> Result<T, CallError<E>>
where
    F: Future<Output = Result<T, CallError<E>>>,
{
    for pause in pauses {
        match call().await {
            Err(error) if is_worth_it(&error) => {
                tokio::time::sleep(pause.mul_f64(0.5 + fastrand::f64() / 2.0)).await;
            }
            outcome => return outcome,
        }
    }
    call().await
}

/// Whether somebody else was changing the same thing. Nothing has happened then.
pub(crate) fn is_conflict<E: ProvideErrorMetadata>(error: &CallError<E>) -> bool {
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
