//! Blocking work, off the threads that run async tasks.

use std::future::pending;
use std::panic::resume_unwind;

/// Does work on a thread where it may take its time. A panic there goes on here.
///
/// Does not return while the runtime shuts down, which drops work that has not begun.
pub async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(outcome) => outcome,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => resume_unwind(panic),
            Err(_cancelled) => pending().await,
        },
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[test]
    fn work_that_the_end_of_the_runtime_drops_is_no_panic() {
        let runtime = tokio::runtime::Builder::new_multi_thread().build().unwrap();
        let handle = runtime.handle().clone();
        drop(runtime);
        let _context = handle.enter();
        assert_eq!(blocking(|| ()).now_or_never(), None);
    }
}
