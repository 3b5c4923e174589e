//! The pipeline on this machine: deployed by the SAM CLI on MiniStack, and looked at through the
//! AWS SDK as a user would. Tests, the demo and the benchmark share it.

mod aws;
pub mod boto3;
mod error;
pub mod http;
mod inbox_events;
pub mod logs;
mod ministack;
mod processes;
mod queue;
pub mod sam;
mod stack;
mod subscription;
pub mod testbed;
pub mod workspace;

pub use error::{Error, Result};
pub use inbox_events::InboxEvents;
pub use logs::CANARY;
pub use ministack::{MiniStack, Options};
pub use processes::FunctionProcess;
pub use stack::{LayerVersion, Stack, Table};
pub use subscription::{Filter, Notification, Subscription};
