//! What the builder does with an order of the state machine.

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;

use accretion_core::limits::WheelLimits;
use accretion_core::manifest::Manifest;
use accretion_core::request::{ProjectName, Request, RequestId, RequestRef};
use accretion_core::target::{Architecture, Runtime, Target};
use accretion_core::timestamp::Timestamp;
use accretion_core::{Class, Fault, keys};
use accretion_local::Downloader;
use accretion_local::cache::{Budget, CacheFolder, WheelCache};
use accretion_local::uv::Uv;
use accretion_service::build::{Build, Options};
use accretion_service::ports::{Clock, Event, PortError, Progress};
use serde::{Deserialize, Serialize};
use tracing::{debug, info, warn};

/// What an execution of the state machine passes on.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Order {
    request_id: RequestId,
    received_at: Timestamp,
    project_name: String,
    runtime: Runtime,
    architecture: Architecture,
}
