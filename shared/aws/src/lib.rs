//! The ports of the pipeline over AWS. Types of the SDK end here.
//!
//! [`Clients`] is made once; every adapter is made with it. Each call of AWS that fails says what
//! was done to what, and what AWS said, never what was sent.
//!
//! The feature `operator` adds the module of that name, `credentials` those of package indexes.

mod artifacts;
mod bucket;
mod builds;
mod checksum;
mod clients;
mod dead_letters;
mod error;
mod handover;
mod inbox;
#[cfg(feature = "credentials")]
mod index_credentials;
mod latest_versions;
mod layers;
mod manifests;
#[cfg(feature = "operator")]
pub mod operator;
mod publisher;
mod request_queue;
mod requests;
mod retry;
mod table;
mod topic;
mod tracking;
mod versions;

pub use artifacts::S3Artifacts;
pub use builds::StepFunctionsBuilds;
pub use clients::Clients;
pub use dead_letters::SqsDeadLetters;
pub use error::{Call, Error};
pub use handover::S3Handover;
pub use inbox::S3Inbox;
#[cfg(feature = "credentials")]
pub use index_credentials::AwsIndexCredentials;
pub use latest_versions::SsmLatestVersions;
pub use layers::DynamoLayers;
pub use manifests::S3Manifests;
pub use publisher::LambdaPublisher;
pub use request_queue::SqsRequestQueue;
pub use requests::S3Requests;
pub use topic::SnsTopic;
pub use tracking::DynamoTracking;
pub use versions::LambdaLayerVersions;
