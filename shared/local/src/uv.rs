//! uv as a subprocess: resolving requirements, building source distributions.
//!
//! uv gets an environment of its own making, an empty working folder and no configuration, so that
//! nothing on the machine changes what a request resolves to, and nothing in a request reaches
//! uv's command line.

use std::env;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, OnceLock};

use accretion_core::limits::ResolutionLimits;
use accretion_core::target::Target;
use accretion_python::lock::Lock;
use accretion_service::ports::{Location, PortError, Resolution, Resolver, async_trait};
use tokio::process::Command;
use tokio::sync::{OnceCell, Semaphore};
use url::Url;

use crate::Error;
use crate::blocking::blocking;
use crate::egress::EgressProxy;
use crate::foreign;
use crate::indexes::Indexes;
use crate::origin::Origins;
use crate::project::ProjectCopy;
use crate::python::Interpreters;
use crate::routes::Routes;

mod answers;
mod process;
mod stderr;

use self::answers::{Answer, Answers};
pub use self::process::Guard;
use self::process::Ran;
use self::stderr::{build_failure, explain, failed, misused, said, unreachable};

/// The oldest uv that will do: the first one that has all options, and says why it fails in the words
/// that are known.
pub(crate) const OLDEST_UV: &str = "0.13.0";

/// uv processes at the same time.
const PROCESSES: usize = 4;

/// 1980-01-01, the first moment that a wheel's entry can have, in seconds.
const FIRST_MOMENT: &str = "315532800";

/// The variables of the user's environment that uv gets: whom to trust, where temporary files go, and where
/// Lambda's interpreters have their libraries.
const ENVIRONMENT: [&str; 7] = [
    "LD_LIBRARY_PATH",
    "SSL_CERT_DIR",
    "SSL_CERT_FILE",
    "SSL_CLIENT_CERT",
    "TMPDIR",
    "UV_HTTP_RETRIES",
    "UV_HTTP_TIMEOUT",
];

/// The variable that tells uv which index to take packages from.
const DEFAULT_INDEX: &str = "UV_DEFAULT_INDEX";

/// The variables that say how to reach the network. uv gets these of the user's environment too, unless it is guarded.
const PROXIES: [&str; 8] = [
    "ALL_PROXY",
    "HTTPS_PROXY",
    "HTTP_PROXY",
    "NO_PROXY",
    "all_proxy",
    "http_proxy",
    "https_proxy",
    "no_proxy",
];

/// The settings to run uv with.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// The program; `None` looks for `uv` in the folders of `path`.
    pub program: Option<PathBuf>,
    /// The user's `PATH`. Builds of source distributions get it, nothing else does.
    pub path: Option<OsString>,
    /// Variables of the user's environment; uv gets those that it needs to reach the network.
    pub environment: Vec<(OsString, OsString)>,
    /// The folder of uv's cache.
    pub cache: PathBuf,
    /// The folder that remembers the URLs of pinned versions' files, if any.
    pub located: Option<PathBuf>,
    /// The package index, instead of uv's default one.
    pub index: Option<Url>,
    /// Use nothing but the cache.
    pub offline: bool,
    /// The interpreters that uv may run.
    pub interpreters: Interpreters,
    /// The guard of a uv that runs for others; none on a user's own machine.
    pub guard: Option<Guard>,
}

/// uv.
#[derive(Debug)]
pub struct Uv {
    settings: Arc<Settings>,
    indexes: Arc<Indexes>,
    program: Arc<OnceLock<Option<PathBuf>>>,
    any_python: Arc<OnceCell<Option<PathBuf>>>,
    client: Arc<OnceCell<reqwest::Client>>,
    processes: Arc<Semaphore>,
    answers: Option<Arc<Answers>>,
}

impl Uv {
    /// Nothing is looked for before it is needed.
    pub fn new(settings: Settings) -> Self {
        let answers = settings.located.clone().map(Answers::new);
        Self {
            answers: answers.map(Arc::new),
            indexes: Arc::new(Indexes::of_default(settings.index.as_ref())),
            settings: Arc::new(settings),
            program: Arc::default(),
            any_python: Arc::default(),
            client: Arc::default(),
            processes: Arc::new(Semaphore::new(PROCESSES)),
        }
    }

    /// The same with other indexes than that of the settings, for one build.
    #[must_use]
    pub fn using(&self, indexes: Arc<Indexes>) -> Self {
        Self {
            settings: Arc::clone(&self.settings),
            indexes,
            program: Arc::clone(&self.program),
            any_python: Arc::clone(&self.any_python),
            // What a user's own indexes are is told by them.
            client: match self.settings.guard {
                Some(_) => Arc::clone(&self.client),
                None => Arc::default(),
            },
            processes: Arc::clone(&self.processes),
            answers: self.answers.clone(),
        }
    }

    /// The indexes of a build; where the files of a lock are located that names an index, that one.
    fn indexes_of(&self, located: Option<Location<'_>>) -> Arc<Indexes> {
        match located.and_then(|location| location.index) {
            Some(index) => Arc::new(self.indexes.at(index)),
            None => Arc::clone(&self.indexes),
        }
    }

    /// The servers that uv may reach.
    fn origins(&self) -> Origins {
        match &self.settings.guard {
            Some(guard) => guard.origins(self.settings.index.as_ref()),
            None => Origins {
                indexes: self.indexes.urls().cloned().collect(),
                ..Origins::default()
            },
        }
    }

    /// The routes that lead uv to the indexes, if it can't ask them by itself.
    async fn routes(&self, indexes: Arc<Indexes>) -> Result<Option<Routes>, Error> {
        if indexes.is_plain() {
            return Ok(None);
        }
        let origins = self.origins();
        let client = || blocking(move || crate::download::client(origins));
        let client = self.client.get_or_try_init(client).await?.clone();
        let cache = &self.settings.cache;
        let routes = Routes::new(indexes, client, cache);
        let unusable = |error| Error::cache("could not write to the cache", cache, error);
        routes.map(Some).map_err(unusable)
    }

    fn program(&self) -> Result<&Path, Error> {
        let found = self.program.get_or_init(|| match &self.settings.program {
            Some(program) => Some(program.clone()).filter(|program| program.is_file()),
            None => env::split_paths(self.settings.path.as_deref().unwrap_or_default())
                .map(|folder| folder.join("uv"))
                .find(|candidate| candidate.is_file()),
        });
        found.as_deref().ok_or_else(|| Error::UvMissing {
            at: self.settings.program.clone(),
        })
    }

    /// The reason for a failure that is not known: uv may be too old to know what it is asked.
    async fn blame(&self, error: Error) -> Error {
        let (Error::UvFailed { .. }, Ok(program)) = (&error, self.program()) else {
            return error;
        };
        let version = Command::new(program).arg("--version").env_clear().output();
        let Ok(output) = version.await else {
            return error;
        };
        let said = String::from_utf8_lossy(&output.stdout);
        match said
            .strip_prefix("uv ")
            .and_then(|rest| rest.split_whitespace().next())
        {
            Some(found) if is_older(found, OLDEST_UV) => Error::UvOutdated {
                program: program.to_owned(),
                found: found.to_owned(),
            },
            _ => error,
        }
    }

    /// A uv command with everything that must not come from the user's environment settled.
    fn command(&self, verb: &[&str], python: &Path, indexes: &Indexes) -> Result<Command, Error> {
        let settings = &self.settings;
        let mut command = Command::new(self.program()?);
        fs::create_dir_all(&settings.cache).map_err(|error| {
            Error::cache("could not write to the cache", &settings.cache, error)
        })?;
        command
            .args(verb)
            .arg("--no-config")
            .arg("--python")
            .arg(python);
        if settings.offline {
            command.arg("--offline");
        }
        let proxies = PROXIES.iter().filter(|_| settings.guard.is_none());
        let names = ENVIRONMENT.iter().chain(proxies).map(OsStr::new);
        let passed = |name: &OsStr| names.clone().any(|passed| passed == name);
        command
            .env_clear()
            .envs(
                settings
                    .environment
                    .iter()
                    .filter(|(name, _)| passed(name))
                    .cloned(),
            )
            // Not on the command line, which every user of the machine can read.
            .envs(
                indexes
                    .default
                    .iter()
                    .map(|index| (DEFAULT_INDEX, index.url.as_str())),
            )
            .env("UV_CACHE_DIR", &settings.cache)
            // The certificates that the downloads trust too.
            .env("UV_SYSTEM_CERTS", "true")
            .env("UV_PYTHON_DOWNLOADS", "never")
            .env("UV_NO_PROGRESS", "1")
            .env("NO_COLOR", "1")
            .stdin(Stdio::null())
            .process_group(0)
            .kill_on_drop(true);
        Ok(command)
    }

    async fn run(&self, command: &mut Command, routes: Option<Routes>) -> Result<Ran, Error> {
        let _process = self.processes.acquire().await;
        let (origins, cache) = (self.origins(), &self.settings.cache);
        match (&self.settings.guard, routes) {
            (Some(guard), routes) => guard.run(command, origins, routes, cache).await,
            (None, Some(routes)) => process::run_routed(command, origins, routes).await,
            (None, None) => process::run(command, ResolutionLimits::default().output).await,
        }
    }

    /// An interpreter for uv to run: for a target's own version if it has to be.
    async fn python_for(&self, target: Target, must_match: bool) -> Result<PathBuf, Error> {
        if must_match && let Some(matching) = self.matching_python(target).await {
            return Ok(matching);
        }
        let any = self.any_python.get_or_init(|| {
            let interpreters = self.settings.interpreters.clone();
            blocking(move || interpreters.any())
        });
        any.await.clone().ok_or(Error::PythonMissing)
    }

    async fn matching_python(&self, target: Target) -> Option<PathBuf> {
        let interpreters = self.settings.interpreters.clone();
        blocking(move || interpreters.of(target.runtime)).await
    }

    /// Locates the files of pinned versions, from memory where that will do.
    async fn locate(
        &self,
        resolution: Resolution<'_>,
        location: Location<'_>,
    ) -> Result<Lock, Error> {
        if let Some(index) = location.index {
            let what = "the index that the lock names".to_owned();
            let checked = self.origins().check(index);
            checked.map_err(|refusal| refusal.of(what))?;
        }
        let Some(answers) = &self.answers else {
            return self.compile(resolution).await?.lock();
        };
        let indexes = self.indexes_of(Some(location));
        let question = answers.question(&resolution, &indexes.identity());
        if location.remembered
            && let Some(lock) = question.remembered()
        {
            return Ok(lock);
        }
        let answer = self.compile(resolution).await?;
        let lock = answer.lock()?;
        question.remember(&answer)?;
        Ok(lock)
    }

    /// Lets uv resolve, into a `pylock.toml`.
    async fn compile(
        &self,
        Resolution {
            requirements,
            own,
            target,
            allow_source_distributions,
            located,
        }: Resolution<'_>,
    ) -> Result<Answer, Error> {
        let release = requirements.python(target)?;
        let work = tempfile::tempdir()
            .map_err(|error| Error::temporary("could not write to", &env::temp_dir(), error))?;
        let write = |name: &str, text: String| {
            let path = work.path().join(name);
            fs::write(&path, text)
                .map_err(|error| Error::temporary("could not write", &path, error))
        };
        write("requirements.txt", requirements.to_requirements_txt())?;
        write("constraints.txt", requirements.to_constraints_txt())?;
        // Metadata of a source distribution may take running it, with the target's Python.
        let python = self.python_for(target, allow_source_distributions).await?;
        let indexes = self.indexes_of(located);
        let verb = ["pip", "compile", "requirements.txt"];
        let mut command = self.command(&verb, &python, &indexes)?;
        command
            .args([
                "--constraint",
                "constraints.txt",
                "--output-file",
                "pylock.toml",
            ])
            .args([
                "--format",
                "pylock.toml",
                "--generate-hashes",
                "--no-header",
            ])
            .args(["--python-version", &release.to_string()])
            .args(["--python-platform", &target.uv_platform()])
            .current_dir(work.path());
        if located.is_some() {
            command.arg("--no-deps");
        }
        if !own.is_empty() {
            let names: Vec<_> = own.iter().map(ToString::to_string).collect();
            write("excludes.txt", names.join("\n"))?;
            command.args(["--excludes", "excludes.txt"]);
        }
        if allow_source_distributions {
            command.envs(self.settings.path.iter().map(|path| ("PATH", path)));
        } else {
            command.arg("--no-build");
        }
        let routes = self.routes(indexes).await?;
        let Ran { output, proxy } = self.run(&mut command, routes).await?;
        let routes = proxy.as_ref().and_then(EgressProxy::routes);
        let words = said(&output.stderr, routes);
        if !output.status.success() {
            // The patch version is ours, not the user's.
            let requested = format!("(>={release})");
            let of_runtime = words.replace(&requested, &format!("({})", target.runtime));
            let error = self
                .blame(explain(stderr::error(&of_runtime), target))
                .await;
            return Err(match routes {
                Some(routes) => routes.reason(error),
                None => error,
            });
        }
        let path = work.path().join("pylock.toml");
        let mut text = String::new();
        let limit = ResolutionLimits::default().output;
        let read =
            File::open(&path).and_then(|file| file.take(limit + 1).read_to_string(&mut text));
        let length = read.map_err(|error| Error::temporary("could not read uv's", &path, error))?;
        if length as u64 > limit {
            let problem = format!("the lock has more than {limit} bytes");
            return Err(Error::ResolutionOverLimit { problem });
        }
        if let Some(routes) = routes {
            routes.check(&Lock::parse(&text)?)?;
            text = routes.restore(&text);
        }
        let yanked = stderr::yanked(&words);
        Ok(Answer { text, yanked })
    }

    /// Builds the wheel of a project's folder, or of a source distribution, into another folder,
    /// which runs the project's code. Returns the wheel's path.
    ///
    /// It is built for the target, if this machine has its Python, from a copy below the folder
    /// `work`. `project` is free of links.
    pub async fn wheel_of(
        self: &Arc<Self>,
        project: &Path,
        target: Target,
        work: &Path,
        into: &Path,
    ) -> Result<PathBuf, Error> {
        let python = self.python_for(target, true).await?;
        let builder = WheelBuilder {
            uv: Arc::clone(self),
            python,
        };
        let (original, work) = (project.to_owned(), work.to_owned());
        let copy = blocking(move || ProjectCopy::new(&original, &work)).await?;
        let built = builder.build(&copy.path(), into).await;
        built.map_err(|error| match error {
            Error::SourceBuildFailed { file, output } => Error::SourceBuildFailed {
                file,
                output: copy.restore(&output),
            },
            Error::SourceNeedsCompiler {
                file,
                program,
                output,
            } => Error::SourceNeedsCompiler {
                file,
                program,
                output: copy.restore(&output),
            },
            error => error,
        })
    }

    /// Returns whether this machine can build for a target: it has its architecture and its Python.
    pub async fn is_native(&self, target: Target) -> bool {
        target.architecture.machine() == env::consts::ARCH
            && self.matching_python(target).await.is_some()
    }

    /// Returns whether any of its indexes has credentials.
    pub(crate) fn is_private(&self) -> bool {
        self.indexes.are_private()
    }

    /// Builds a source distribution for a target into a folder, with the target's own interpreter,
    /// which runs the package's code. Returns the wheel's path.
    pub async fn build(
        self: &Arc<Self>,
        source: &Path,
        target: Target,
        into: &Path,
    ) -> Result<PathBuf, Error> {
        let file = file_name(source);
        let builder = self.builder(&file, target).await?;
        let wheel = builder.build(source, into).await?;
        let built = wheel.clone();
        blocking(move || foreign::check_file(&file, &built, target)).await?;
        Ok(wheel)
    }

    /// Returns the builder of a source distribution for a target's Python, as it comes out on this
    /// machine: whether that will do is for [`foreign`] to say.
    pub(crate) async fn builder(
        self: &Arc<Self>,
        filename: &str,
        target: Target,
    ) -> Result<WheelBuilder, Error> {
        let file = filename.to_owned();
        let python =
            self.matching_python(target)
                .await
                .ok_or_else(|| Error::InterpreterMissing {
                    file,
                    python: target.runtime.identifier().to_owned(),
                })?;
        Ok(WheelBuilder {
            uv: Arc::clone(self),
            python,
        })
    }
}

#[async_trait]
impl Resolver for Uv {
    async fn resolve(&self, resolution: Resolution<'_>) -> Result<Lock, PortError> {
        Ok(match resolution.located {
            Some(location) => self.locate(resolution, location).await?,
            None => self.compile(resolution).await?.lock()?,
        })
    }
}

/// Builds wheels with one interpreter.
pub(crate) struct WheelBuilder {
    uv: Arc<Uv>,
    python: PathBuf,
}

impl WheelBuilder {
    /// Builds a source distribution into a folder, which runs its code. Returns the wheel's path.
    pub(crate) async fn build(&self, source: &Path, into: &Path) -> Result<PathBuf, Error> {
        let file = file_name(source);
        let mut command = self
            .uv
            .command(&["build", "--wheel"], &self.python, &self.uv.indexes)?;
        command
            .arg("--out-dir")
            .arg(into)
            .arg(source)
            // Backends that know it give the same wheel again.
            .env("SOURCE_DATE_EPOCH", FIRST_MOMENT)
            // Asking git for a version writes nothing into a repository.
            .env("GIT_OPTIONAL_LOCKS", "0")
            .envs(self.uv.settings.path.iter().map(|path| ("PATH", path)))
            .current_dir(source.parent().unwrap_or(into));
        let routes = self.uv.routes(Arc::clone(&self.uv.indexes)).await?;
        let Ran { output, proxy } = match self.uv.run(&mut command, routes).await {
            Err(Error::ResolutionOverLimit { problem }) => {
                return Err(Error::SourceBuildOverLimit { file, problem });
            }
            ran => ran?,
        };
        if !output.status.success() {
            let said = said(&output.stderr, proxy.as_ref().and_then(EgressProxy::routes));
            let error = unreachable(&said)
                .or_else(|| misused(&said))
                .unwrap_or_else(|| failed(file, build_failure(&said).1, &said));
            return Err(self.uv.blame(error).await);
        }
        let wheels = fs::read_dir(into)
            .map_err(|error| Error::temporary("could not read", into, error))?
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| path.extension() == Some(OsStr::new("whl")));
        match wheels.collect::<Vec<_>>().as_slice() {
            [wheel] => Ok(wheel.clone()),
            wheels => Err(Error::SourceBuildFailed {
                file,
                output: format!("it gave {} wheels instead of one", wheels.len()),
            }),
        }
    }
}

/// Returns whether a version has a lower number than another.
fn is_older(version: &str, than: &str) -> bool {
    let numbers = |text: &str| -> Option<Vec<u32>> {
        let parts = text.split('.').map(str::parse);
        parts.collect::<Result<_, _>>().ok()
    };
    matches!((numbers(version), numbers(than)), (Some(one), Some(other)) if one < other)
}

fn file_name(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default();
    name.to_string_lossy().into_owned()
}
