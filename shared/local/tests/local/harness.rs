//! The harness of the tests: forged wheels as a lock names them, and a cache to get them into.

use std::path::Path;
use std::sync::Arc;

use accretion_core::limits::Limits;
use accretion_local::Downloader;
use accretion_local::cache::WheelCache;
use accretion_local::uv::{Settings, Uv};
use accretion_python::lock::LockedFile;
use accretion_python::wheel::WheelFilename;
use accretion_service::ports::{Event, Progress};
use accretion_testing::forge::{Wheel, WheelForge};
use accretion_testing::index::PackageIndex;
use url::Url;

/// Nobody watches.
pub(crate) struct Unwatched;

impl Progress for Unwatched {
    fn on(&self, _event: Event) {}
}

/// A small pure wheel of version 1.0 with one module.
pub(crate) fn pure(name: &str) -> Wheel {
    WheelForge::new(name, "1.0")
        .file(&format!("{name}/__init__.py"), format!("# {name}\n"))
        .build()
}

/// A wheel as a lock names it that was made with an index.
pub(crate) fn locked(index: &PackageIndex, wheel: &Wheel) -> (WheelFilename, LockedFile) {
    let file = LockedFile {
        url: index.file_url(&wheel.filename).parse().unwrap(),
        sha256: wheel.sha256.parse().unwrap(),
        size: None,
    };
    (wheel.filename.parse().unwrap(), file)
}

/// A downloader without limits.
pub(crate) fn downloader(index: Option<&Url>) -> Downloader {
    Downloader::new(index, false, Arc::new(Unwatched))
}

/// The cache of one build.
pub(crate) fn wheel_cache(root: &Path, downloader: Downloader) -> WheelCache {
    wheel_cache_within(root, downloader, Limits::default())
}

/// The cache of one build within limits.
pub(crate) fn wheel_cache_within(
    root: &Path,
    downloader: Downloader,
    limits: Limits,
) -> WheelCache {
    let uv = Uv::new(Settings::default());
    WheelCache::new(
        root,
        Arc::new(downloader),
        Arc::new(uv),
        limits,
        Arc::new(Unwatched),
    )
}
