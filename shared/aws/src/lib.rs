//! The ports of the pipeline over AWS. Types of the SDK end here.
//!
//! [`Clients`] is made once; every adapter is made with it. Each call of AWS that fails says what
//! was done to what, and what AWS said, never what was sent.
//!
//! The feature `operator` adds what people do who run stacks, and no function does.

mod artifacts;
mod bucket;
mod builds;
#[cfg(feature = "operator")]
mod catalogue;
mod checksum;
mod clients;
mod dead_letters;
mod error;
#[cfg(feature = "operator")]
mod identity;
mod inbox;
mod layers;
mod manifests;
#[cfg(feature = "operator")]
mod named_layers;
mod patience;
mod pointers;
mod publisher;
mod request_queue;
mod requests;
#[cfg(feature = "operator")]
mod retained;
#[cfg(feature = "operator")]
mod stacks;
mod table;
mod topic;
#[cfg(feature = "operator")]
mod tracked;
mod tracking;
mod versions;

pub use artifacts::S3Artifacts;
pub use builds::StepFunctionsBuilds;
#[cfg(feature = "operator")]
pub use catalogue::{Catalogue, DescribedVersion, ListedLayer, ListedVersion};
pub use clients::Clients;
pub use dead_letters::SqsDeadLetters;
pub use error::{Call, Error};
#[cfg(feature = "operator")]
pub use identity::Identity;
#[cfg(feature = "operator")]
pub use inbox::Dropped;
pub use inbox::S3Inbox;
pub use layers::DynamoLayers;
pub use manifests::S3Manifests;
#[cfg(feature = "operator")]
pub use named_layers::{Grantee, NamedLayers, Publication, Statement, Zip};
pub use pointers::SsmPointers;
pub use publisher::LambdaPublisher;
pub use request_queue::SqsRequestQueue;
pub use requests::S3Requests;
#[cfg(feature = "operator")]
pub use retained::Retained;
#[cfg(feature = "operator")]
pub use stacks::{Event as StackEvent, Resource, Stack, Stacks};
pub use topic::SnsTopic;
#[cfg(feature = "operator")]
pub use tracked::{RequestsTable, Source, Tracked, TrackedRequest, TrackedTarget};
pub use tracking::DynamoTracking;
pub use versions::LambdaLayerVersions;
