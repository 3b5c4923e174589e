//! What the functions share: how they start and end, what they log and count, how their errors reach
//! whoever invoked them.

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
