//! What the stack tells the function.

use std::time::Duration;

use accretion_lambda::{Environment, Error};

/// For how many days the items about requests are kept, if the stack does not say.
const RETENTION_DAYS: u32 = 90;

/// Where everything is.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Config {
    pub(crate) artifacts_bucket: String,
    pub(crate) layers_table: String,
    pub(crate) requests_table: String,
    pub(crate) topic_arn: String,
    pub(crate) pointer_prefix: String,
    /// How long items about requests are kept after the last change.
    pub(crate) retention: Duration,
}

impl Config {
    pub(crate) fn read(mut environment: Environment) -> Result<Self, Error> {
        let days = environment.optional("RETENTION_DAYS", RETENTION_DAYS);
        let config = Self {
            artifacts_bucket: environment.required("ARTIFACTS_BUCKET"),
            layers_table: environment.required("LAYERS_TABLE"),
            requests_table: environment.required("REQUESTS_TABLE"),
            topic_arn: environment.required("TOPIC_ARN"),
            pointer_prefix: environment.optional("POINTER_PREFIX", "/accretion".to_owned()),
            retention: Duration::from_hours(24 * u64::from(days)),
        };
        environment.finish(config)
    }
}
