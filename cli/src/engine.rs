//! The engine on this machine: uv, downloads and the wheel cache, as the user wants them.

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
use url::Url;

use crate::environment::{DEFAULT_INDEX, Environment};
use crate::error::Error;
use crate::indexes::{self, IndexArgument};
use crate::progress::Terminal;

/// Where packages come from.
#[derive(Debug, clap::Args)]
pub(crate) struct Sources {
    /// Use nothing but the cache
    #[arg(long)]
    offline: bool,
    /// Take packages from this index instead of the default one
    #[arg(
        long,
        value_name = "URL",
        env = DEFAULT_INDEX,
        hide_env_values = true,
        value_parser = index_url
    )]
    default_index: Option<Url>,
    /// Take packages from this index before the default one, if it has them [may be repeated]
    #[arg(long = "index", value_name = "NAME=URL", value_parser = indexes::argument)]
    indexes: Vec<IndexArgument>,
}

impl Sources {
    /// Returns the sources that may satisfy what a project asks for: these, together with a
    /// request.
    pub(crate) fn given(&self, request: &Request) -> Given {
        let indexes = self.indexes.iter().map(IndexArgument::url);
        let requested = request.input.indexes.iter().map(|index| &index.url);
        Given {
            default_index: self.default_index.clone(),
            indexes: indexes.chain(requested).cloned().collect(),
            allow_source_distributions: request.input.allow_source_distributions,
        }
    }
}

#[cfg(feature = "aws")]
impl Sources {
    /// What the environment says of them.
    pub(crate) fn of_environment(environment: &Environment) -> Self {
        let mut variables = environment.variables.iter();
        let index = variables.find(|(name, _)| name == DEFAULT_INDEX);
        Self {
            offline: false,
            default_index: index.and_then(|(_, url)| index_url(url.to_str()?).ok()),
            indexes: Vec::new(),
        }
    }
}

fn index_url(text: &str) -> Result<Url, String> {
    let url = text.parse::<Url>().ok();
    url.filter(|url| matches!(url.scheme(), "https" | "http") && url.has_host())
        .ok_or_else(|| "an index has a URL that starts with `https://` or `http://`".to_owned())
}

/// What finds and gets packages.
pub(crate) struct Engine {
    pub(crate) uv: Arc<Uv>,
    pub(crate) wheels: WheelCache,
    /// The folder that projects are copied to while their wheels are built.
    pub(crate) projects: PathBuf,
}

impl Engine {
    /// Starts to get ready for a request.
    pub(crate) fn new(
        sources: &Sources,
        environment: &Environment,
        request: &Request,
        progress: &Arc<Terminal>,
    ) -> Result<Self, Error> {
        let cache = environment.cache.clone().ok_or(Error::CacheFolderMissing)?;
        let interpreters =
            Interpreters::new(environment.path.as_deref(), environment.python.clone());
        let default = sources.default_index.as_ref();
        let indexes = indexes::of(
            default,
            &sources.indexes,
            &request.input.indexes,
            environment,
        );
        let indexes = Arc::new(indexes);
        let uv = Uv::new(Settings {
            program: environment.uv.clone(),
            path: environment.path.clone(),
            environment: environment.variables.clone(),
            cache: CacheFolder::new(&cache).uv(),
            located: Some(CacheFolder::new(&cache).located()),
            index: sources.default_index.clone(),
            offline: sources.offline,
            interpreters,
            // It is for the user, who may wait as long as they like, for what they like.
            guard: None,
        });
        let uv = Arc::new(uv.using(Arc::clone(&indexes)));
        let watcher = || Arc::clone(progress) as Arc<dyn Progress>;
        let urls: Vec<_> = indexes.urls().cloned().collect();
        let downloader = Downloader::new(None, sources.offline, watcher()).trusting(&urls);
        let downloader = Arc::new(downloader.using(indexes));
        if !sources.offline && matches!(request.input.requirements, Requirements::Set(_)) {
            // While uv resolves.
            let downloader = Arc::clone(&downloader);
            tokio::spawn(async move { downloader.prepare().await });
        }
        let wheels = WheelCache::new(&cache, downloader, Arc::clone(&uv), limits(), watcher());
        Ok(Self {
            uv,
            wheels,
            projects: CacheFolder::new(&cache).projects(),
        })
    }
}

/// What getting packages may cost. All targets have one build here, and the user's network may be
/// slow.
fn limits() -> Limits {
    let mut limits = Limits::default();
    limits.download.total = u64::MAX;
    limits.download.time = Duration::from_hours(1);
    limits
}
