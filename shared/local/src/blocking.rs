//! What takes its time without awaiting, off the threads that run async tasks.

/// Does work on a thread where it may take its time. A panic there goes on here.
pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    let outcome = tokio::task::spawn_blocking(work).await;
    outcome.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))
}
