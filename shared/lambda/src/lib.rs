//! The common parts of the functions: start and end, logs and metrics, and errors as answers of an
//! invocation.

mod batch;
mod clock;
mod environment;
mod error;
pub mod metrics;
mod run;
mod telemetry;

pub use batch::each_message;
pub use clock::SystemClock;
pub use environment::Environment;
pub use error::Error;
pub use run::{Invocation, run};
