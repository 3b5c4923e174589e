//! The times and attempts of the deployed stack that the simulation relies on. The tests of the state
//! machine (`asl`) compare them with the template and the definition.

use std::time::Duration;

/// The timeout of the dispatcher.
pub const DISPATCHER_TIMEOUT: Duration = Duration::from_secs(30);

/// The timeout of the builder.
pub const BUILDER_TIMEOUT: Duration = Duration::from_mins(5);

/// The timeout of the publisher, and so the longest work under one lease.
pub const PUBLISHER_TIMEOUT: Duration = Duration::from_mins(2);

/// The time for which SQS hides a received message.
pub const VISIBILITY: Duration = Duration::from_mins(3);

/// The number of times that a message is received before it is a dead letter.
pub const RECEIVES: u32 = 5;

/// The number of attempts to publish from one event of S3.
pub const PUBLISH_ATTEMPTS: u32 = 3;

/// The time between two runs of the reconciler.
pub const RECONCILER_PAUSE: Duration = Duration::from_mins(5);

/// The number of attempts to build while errors are transient, until the build waits.
pub const BUILD_ATTEMPTS: u32 = 3;

/// The number of further attempts after the builder has died.
pub const BUILD_DEATHS: u32 = 1;

/// The number of attempts to hand a failed build to the publisher.
pub const FAILURE_ATTEMPTS: u32 = 3;
