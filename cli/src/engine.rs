//! The engine on this machine: uv, downloads and the wheel cache.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use accretion_core::limits::Limits;
use accretion_local::Downloader;
use accretion_local::cache::{CacheFolder, WheelCache};
use accretion_local::python::Interpreters;
use accretion_local::uv::{Settings, Uv};
use accretion_python::project::Given;
use accretion_python::request::{Request, Requirements};
use accretion_service::ports::Progress;
use accretion_service::python::PythonPorts;

use crate::args::SourceOptions;
#[cfg(feature = "aws")]
use crate::args::default_index;
#[cfg(feature = "aws")]
use crate::environment::DEFAULT_INDEX;
use crate::environment::Environment;
use crate::error::Error;
use crate::indexes;
use crate::progress::Terminal;

impl SourceOptions {
    /// The sources that a project's settings may use: those of the command line and of a request.
    pub(crate) fn given(&self, request: &Request) -> Given {
        let named = self.indexes.iter().map(|index| &index.url);
        let requested = request.input.indexes.iter().map(|index| &index.url);
        Given {
            default_index: self.default_index.clone(),
            indexes: named.chain(requested).cloned().collect(),
            allow_source_distributions: request.input.allow_source_distributions,
        }
    }

    /// The sources that the environment names.
    #[cfg(feature = "aws")]
    pub(crate) fn of_environment(environment: &Environment) -> Self {
        let url = environment.variable(DEFAULT_INDEX);
        Self {
            default_index: url.and_then(|url| default_index(url.to_str()?).ok()),
            ..Self::default()
        }
    }
}

/// The tools that resolve and download packages.
pub(crate) struct Engine {
    pub(crate) uv: Arc<Uv>,
    pub(crate) wheels: WheelCache,
    /// The folder for copies of projects while their wheels are built.
    pub(crate) projects: PathBuf,
}

impl Engine {
    /// The ports of Python packages.
    pub(crate) fn ports(&self) -> PythonPorts<'_> {
        PythonPorts {
            resolver: &*self.uv,
            wheels: &self.wheels,
        }
    }

    /// Prepares the engine for a request, and starts to connect to the index.
    pub(crate) fn new(
        sources: &SourceOptions,
        environment: &Environment,
        request: &Request,
        progress: &Arc<Terminal>,
    ) -> Result<Self, Error> {
        let cache = environment.cache.clone().ok_or(Error::CacheFolderMissing)?;
        let interpreters =
            Interpreters::new(environment.path.as_deref(), environment.python.clone())
                .or_beside(environment.beside.as_deref());
        let default = sources.default_index.as_ref();
        let all = indexes::of(
            default,
            &sources.indexes,
            &request.input.indexes,
            environment,
        );
        let indexes = Arc::new(all);
        let resolver = Uv::new(Settings {
            program: environment.uv.clone(),
            beside: environment.beside.clone(),
            path: environment.path.clone(),
            environment: environment.variables.clone(),
            cache: CacheFolder::new(&cache).uv(),
            located: Some(CacheFolder::new(&cache).located()),
            index: sources.default_index.clone(),
            offline: sources.offline,
            interpreters,
            // The user runs it, and may interrupt it at any time.
            guard: None,
        });
        let uv = Arc::new(resolver.using(Arc::clone(&indexes)));
        let watcher = || Arc::clone(progress) as Arc<dyn Progress>;
        let urls: Vec<_> = indexes.urls().cloned().collect();
        let downloader = Downloader::new(None, sources.offline, watcher())
            .trusting(&urls)
            .using(indexes);
        let downloader = Arc::new(downloader);
        if !sources.offline && matches!(request.input.requirements, Requirements::Set(_)) {
            // Connects while uv resolves.
            let preparing = Arc::clone(&downloader);
            tokio::spawn(async move { preparing.prepare().await });
        }
        let wheels = WheelCache::new(&cache, downloader, Arc::clone(&uv), limits(), watcher());
        Ok(Self {
            uv,
            wheels,
            projects: CacheFolder::new(&cache).projects(),
        })
    }
}

/// The limits of downloads. All targets share one build here, and the user's network may be slow.
fn limits() -> Limits {
    let mut limits = Limits::default();
    limits.download.total = u64::MAX;
    limits.download.time = Duration::from_hours(1);
    limits
}
