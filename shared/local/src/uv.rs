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
use accretion_egress::{
    EgressProxy, Error as EgressError, Findings, Indexes, Origins, Routes, client,
};
use accretion_python::lock::Lock;
use accretion_service::blocking;
use accretion_service::ports::{Location, PortError, Resolution, Resolver, async_trait};
use pep440_rs::Version;
use tokio::process::Command;
use tokio::sync::{OnceCell, Semaphore};
use url::Url;

use crate::Error;
use crate::error::OLDEST_UV;
use crate::python::Interpreters;
use crate::temporary;

mod answers;
mod build;
mod process;
mod stderr;

use self::answers::{Answer, Answers};
pub use self::process::Guard;
use self::process::Ran;
use self::stderr::{explain, said};

/// uv processes at the same time.
const PROCESSES: usize = 4;

/// The variables of the user's environment that uv gets: whom to trust, where temporary files go, and
/// where Lambda's interpreters have their libraries.
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

/// The variables that say how to reach the network. uv gets these of the user's environment too, unless
/// it is guarded.
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
    /// The program; `None` looks for `uv` in the folder `beside`, then in those of `path`.
    pub program: Option<PathBuf>,
    /// The folder of this program, for installers that put both programs into one folder, which need
    /// not be on `PATH`. Its uv is the one that this program was installed with.
    pub beside: Option<PathBuf>,
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

impl Settings {
    /// Finds the program.
    fn find(&self) -> Option<PathBuf> {
        let is_file = |candidate: &PathBuf| candidate.is_file();
        if let Some(program) = &self.program {
            return Some(program.clone()).filter(is_file);
        }
        let on_path = env::split_paths(self.path.as_deref().unwrap_or_default());
        let folders = self.beside.iter().cloned().chain(on_path);
        folders
            .map(|folder| folder.join("uv"))
            .find(|candidate| is_file(candidate))
    }
}

/// uv.
#[derive(Debug, Clone)]
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
        let mut other = self.clone();
        other.indexes = indexes;
        if self.settings.guard.is_none() {
            // What a user's own indexes are is told by them.
            other.client = Arc::default();
        }
        other
    }

    /// The indexes of a build; where the files of a lock are located that names an index, that one.
    fn indexes_of(&self, located: Option<Location<'_>>) -> Arc<Indexes> {
        match located.and_then(|location| location.index) {
            Some(index) => Arc::new(self.indexes.at(index)),
            None => Arc::clone(&self.indexes),
        }
    }

    /// Returns whether any of its indexes has credentials.
    pub(crate) fn is_private(&self) -> bool {
        self.indexes.are_private()
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
        let make = || blocking(move || client(origins));
        let client = self.client.get_or_try_init(make).await?.clone();
        let cache = &self.settings.cache;
        let routes = Routes::new(indexes, client, cache);
        let unusable = Error::cache("could not write to the cache", cache);
        routes.map(Some).map_err(unusable)
    }

    fn program(&self) -> Result<&Path, Error> {
        let found = self.program.get_or_init(|| self.settings.find());
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
        let version = said.strip_prefix("uv ").unwrap_or_default();
        let found = version.split_whitespace().next().unwrap_or_default();
        match (found.parse::<Version>(), OLDEST_UV.parse()) {
            (Ok(version), Ok(oldest)) if version < oldest => Error::UvOutdated {
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
        let unwritable = Error::cache("could not write to the cache", &settings.cache);
        fs::create_dir_all(&settings.cache).map_err(unwritable)?;
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
        let all = settings.environment.iter().cloned();
        let passed = all.filter(|(name, _)| names.clone().any(|passed| passed == name));
        let default = indexes.default.iter();
        command
            .env_clear()
            .envs(passed)
            // Not on the command line, which every user of the machine can read.
            .envs(default.map(|index| (DEFAULT_INDEX, index.url.as_str())))
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
        let guard = self.settings.guard.as_ref();
        let proxy = if guard.is_some() || routes.is_some() {
            Some(process::proxied(command, self.origins(), routes, guard).await?)
        } else {
            None
        };
        process::run(command, proxy, guard, &self.settings.cache).await
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
            let refused = self.origins().check(index);
            refused.map_err(|refusal| refusal.of(what))?;
        }
        let Some(answers) = &self.answers else {
            return self.compile(resolution).await?.lock();
        };
        let indexes = self.indexes_of(Some(location));
        let path = answers.path(&resolution, &indexes.identity());
        if location.remembered
            && let Some(lock) = answers::remembered(&path)
        {
            return Ok(lock);
        }
        let answer = self.compile(resolution).await?;
        let lock = answer.lock()?;
        answers.remember(&path, &answer)?;
        Ok(lock)
    }

    /// Lets uv resolve, into a `pylock.toml`.
    async fn compile(&self, resolution: Resolution<'_>) -> Result<Answer, Error> {
        let target = resolution.target;
        let release = resolution.requirements.python(target)?.to_string();
        let work = tempfile::tempdir().map_err(temporary::unwritable)?;
        let indexes = self.indexes_of(resolution.located);
        let prepared = self.compile_command(&resolution, &release, &indexes, work.path());
        let mut command = prepared.await?;
        let routes = self.routes(indexes).await?;
        let Ran { output, proxy } = self.run(&mut command, routes).await?;
        let routes = proxy.as_ref().and_then(EgressProxy::routes);
        let words = said(&output.stderr, routes);
        if !output.status.success() {
            // The patch version is ours, not the user's.
            let requested = format!("(>={release})");
            let of_runtime = words.replace(&requested, &format!("({})", target.runtime));
            let error = explain(stderr::error(&of_runtime), target);
            let findings = routes.map(Routes::findings).unwrap_or_default();
            return Err(because_of(findings, self.blame(error).await));
        }
        let mut text = read_lock(&work.path().join("pylock.toml"))?;
        if let Some(routes) = routes {
            routes.check(&Lock::parse(&text)?)?;
            text = routes.restore(&text);
        }
        let yanked = stderr::yanked(&words);
        Ok(Answer { text, yanked })
    }

    /// The command that resolves in a working folder, which gets its input.
    async fn compile_command(
        &self,
        resolution: &Resolution<'_>,
        release: &str,
        indexes: &Indexes,
        work: &Path,
    ) -> Result<Command, Error> {
        let Resolution {
            requirements,
            own,
            target,
            allow_source_distributions,
            located,
        } = *resolution;
        let write = |name: &str, text: String| {
            let path = work.join(name);
            fs::write(&path, text).map_err(Error::temporary("could not write", &path))
        };
        write("requirements.txt", requirements.to_requirements_txt())?;
        write("constraints.txt", requirements.to_constraints_txt())?;
        // Metadata of a source distribution may take running it, with the target's Python.
        let python = self.python_for(target, allow_source_distributions).await?;
        let verb = ["pip", "compile", "requirements.txt"];
        let mut command = self.command(&verb, &python, indexes)?;
        command
            .args(["--constraint", "constraints.txt"])
            .args(["--output-file", "pylock.toml", "--format", "pylock.toml"])
            .args(["--generate-hashes", "--no-header"])
            .args(["--python-version", release])
            .args(["--python-platform", &target.uv_platform()])
            .current_dir(work);
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
        Ok(command)
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

/// The lock that uv has written.
fn read_lock(path: &Path) -> Result<String, Error> {
    let mut text = String::new();
    let limit = ResolutionLimits::default().output;
    let read = File::open(path).and_then(|file| file.take(limit + 1).read_to_string(&mut text));
    let length = read.map_err(Error::temporary("could not read uv's", path))?;
    if length as u64 > limit {
        let problem = format!("the lock has more than {limit} bytes");
        return Err(Error::ResolutionOverLimit { problem });
    }
    Ok(text)
}

/// The error of a failed resolution, in the light of what the indexes answered.
fn because_of(findings: Findings, error: Error) -> Error {
    match (error, findings.unavailable) {
        (
            Error::PackageNotFound { explanation }
            | Error::RequirementsUnsatisfiable { explanation, .. },
            _,
        ) if !findings.missing.is_empty() => {
            let all = findings.missing.into_iter();
            let packages = all.map(|(package, index)| format!("`{package}` of `{index}`"));
            Error::PinnedPackageNotFound {
                packages: packages.collect::<Vec<_>>().join(", "),
                explanation,
            }
        }
        (
            Error::Egress(EgressError::UpstreamUnavailable { .. }) | Error::UvFailed { .. },
            Some(unavailable),
        ) => unavailable.into(),
        (error, _) => error,
    }
}

#[cfg(test)]
mod tests {
    use pep440_rs::VersionSpecifiers;

    use super::*;

    #[test]
    fn uv_is_the_named_one_or_the_one_beside_or_one_on_path() {
        let root = tempfile::tempdir().unwrap();
        let [named, beside, first, second] =
            ["named", "bin", "first", "second"].map(|name| root.path().join(name));
        let all = [&named, &beside, &first, &second];
        for (existing, is_named, expected) in [
            (all.as_slice(), true, Some(&named)),
            (&[&beside, &first], true, None),
            (&all, false, Some(&beside)),
            (&[&first, &second], false, Some(&first)),
            (&[&second], false, Some(&second)),
            (&[], false, None),
        ] {
            for folder in all {
                let _ = fs::remove_dir_all(folder);
                fs::create_dir(folder).unwrap();
            }
            for folder in existing {
                File::create(folder.join("uv")).unwrap();
            }
            let settings = Settings {
                program: is_named.then(|| named.join("uv")),
                beside: Some(beside.clone()),
                path: Some(env::join_paths([&first, &second]).unwrap()),
                ..Settings::default()
            };
            let expected = expected.map(|folder| folder.join("uv"));
            assert_eq!(settings.find(), expected, "{existing:?}, {is_named}");
        }
    }

    #[test]
    fn without_a_folder_of_the_program_uv_is_on_path_or_missing() {
        let uv = Uv::new(Settings {
            path: Some("/nowhere".into()),
            ..Settings::default()
        });
        assert!(matches!(uv.program(), Err(Error::UvMissing { at: None })));
    }

    /// pip takes the newest uv of the range, so the range ends where uv may break what works.
    #[test]
    fn the_wheel_of_the_command_requires_a_uv_that_will_do() {
        let project = include_str!("../../../pyproject.toml");
        let (_, range) = project.split_once("\"uv").unwrap();
        let (range, _) = range.split_once('"').unwrap();
        let range: VersionSpecifiers = range.parse().unwrap();
        let tools = include_str!("../../../tests/tools/requirements.in");
        let mut pins = tools.lines().filter_map(|line| line.strip_prefix("uv=="));
        let pinned: Version = pins.next().unwrap().parse().unwrap();
        let oldest: Version = OLDEST_UV.parse().unwrap();
        let release = pinned.release();
        let next = Version::new([release[0], release[1] + 1]);
        assert!(range.contains(&pinned), "{range}");
        assert!(
            range.to_string().contains(&format!(">={oldest}")),
            "{range}"
        );
        assert!(!range.contains(&next), "{range}");
    }
}
