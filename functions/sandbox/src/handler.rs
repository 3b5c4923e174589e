//! The handler: carries out an order of the builder.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use accretion_core::Fault;
use accretion_core::digest::Sha256;
use accretion_core::limits::{Limits, ResolutionLimits};
use accretion_egress::{AllowedHosts, DefaultIndex, Indexes, NamedIndex};
use accretion_lambda::Invocation;
use accretion_local::cache::WheelCache;
use accretion_local::python::Interpreters;
use accretion_local::uv::{Guard, Settings, Uv};
use accretion_local::{Downloader, Error as LocalError, descendants};
use accretion_python::lock::{self, Lock};
use accretion_python::request::Request;
use accretion_service::ecosystem::Locating;
use accretion_service::ports::{Event, Order, OrderedSource, Progress};
use accretion_service::python::{
    ChosenIndexes, Offer, PythonPackages, PythonPorts, SourceDistributions,
};
use serde::Serialize;
use tracing::{Span, error, info};

use crate::transfer::Transfer;
use crate::work;

/// The file name of a lock.
const LOCK: &str = "pylock.toml";

/// The answer to the execution.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Receipt {
    key: String,
}

/// An error of an order.
#[derive(Debug, thiserror::Error, Fault)]
pub(crate) enum Error {
    #[error(transparent)]
    #[fault(transparent)]
    Service(#[from] accretion_service::Error),
    #[error(transparent)]
    #[fault(transparent)]
    Local(#[from] LocalError),
    /// A Python package can't be used.
    #[error(transparent)]
    #[fault(transparent)]
    Python(#[from] accretion_python::Error),
}

/// The progress of a build sandbox, which is not shown.
struct Unwatched;

impl Progress for Unwatched {
    fn on(&self, _event: Event) {}
}

/// The settings and adapters, made once for all invocations.
pub(crate) struct Sandbox {
    pub(crate) folder: Option<PathBuf>,
    pub(crate) uv: Option<PathBuf>,
    pub(crate) path: Option<OsString>,
    pub(crate) offer: Offer,
    pub(crate) hosts: AllowedHosts,
    pub(crate) limits: Limits,
    pub(crate) of_builds: ResolutionLimits,
    pub(crate) transfer: Transfer,
}

impl Sandbox {
    /// Carries out an order, and uploads the result. All processes of the build have ended before the
    /// result is checked, and before Lambda gets the answer.
    pub(crate) async fn handle(&self, invocation: Invocation<Order>) -> Result<Receipt, Error> {
        let order = invocation.event;
        Span::current().record("request_id", order.request_id.as_str());
        let folder = work::folder(self.folder.as_deref())
            .map_err(|error| files(Path::new("the work folder"), error))?;
        let input = folder.path().join("input");
        let limit = match order.source {
            Some(_) => self.limits.download.file,
            None => Limits::REQUEST_BYTES as u64,
        };
        self.transfer
            .get(&order.key, &order.input, limit, &input)
            .await?;
        let made = match &order.source {
            Some(source) => self
                .build(&order, source, &input, folder.path())
                .await
                .map_err(Error::from),
            None => self.resolve(&order, &input, folder.path()).await,
        };
        if let Err(fault) = descendants::end().await {
            // Lambda ends the remaining processes, and starts this program again.
            error!(error = %fault, "giving up");
            std::process::exit(1);
        }
        let (made, filename) = made?;
        check(&order, &made, folder.path(), self.limits.download.file)?;
        self.transfer
            .put(&order.key, &order.output, &filename, &made)
            .await?;
        info!(target = %order.target(), resolved = order.source.is_none(), "made");
        Ok(Receipt { key: order.key })
    }

    /// Resolves a request, which is read as the builder reads it.
    async fn resolve(
        &self,
        order: &Order,
        input: &Path,
        folder: &Path,
    ) -> Result<(PathBuf, String), Error> {
        let invalid = |problem: &str| LocalError::OrderInvalid {
            key: order.key.clone(),
            problem: problem.to_owned(),
        };
        let text = fs::read(input).map_err(|error| files(input, error))?;
        let (request, _) = Request::from_json("request.json", &text)
            .map_err(|_| invalid("its request cannot be read"))?;
        let uv = self.uv(folder, self.limits.resolution)?;
        let uv = Arc::new(uv.using(Arc::new(self.indexes(&request)?)));
        // No more is downloaded than resolving needs.
        let downloader = Arc::new(Downloader::new(None, true, Arc::new(Unwatched)));
        let limits = self.limits;
        let wheels = WheelCache::new(
            folder,
            downloader,
            Arc::clone(&uv),
            limits,
            Arc::new(Unwatched),
        );
        let target = order.target();
        let ports = PythonPorts {
            resolver: &*uv,
            wheels: &wheels,
        };
        let allowed = SourceDistributions::AsRequested;
        let packages = PythonPackages::new(&request, allowed, ports, &Unwatched)?;
        let locked = packages.candidates(target, Locating::Anew).await?;
        let path = folder.join(LOCK);
        fs::write(&path, lock::write(&[(target, &locked)])).map_err(|error| files(&path, error))?;
        Ok((path, LOCK.to_owned()))
    }

    /// The indexes of a request's packages, without credentials: build sandboxes get no order for a
    /// request that needs them.
    fn indexes(&self, request: &Request) -> Result<Indexes, Error> {
        let ChosenIndexes { default, named } = self.offer.choose(request)?;
        Ok(Indexes {
            default: default.map(|(url, _)| DefaultIndex {
                url,
                credentials: None,
            }),
            named: named
                .into_iter()
                .map(|index| NamedIndex {
                    index,
                    credentials: None,
                })
                .collect(),
            ..Indexes::default()
        })
    }

    /// Builds a source distribution.
    async fn build(
        &self,
        order: &Order,
        source: &OrderedSource,
        input: &Path,
        folder: &Path,
    ) -> Result<(PathBuf, String), LocalError> {
        let OrderedSource { filename, sha256 } = source;
        let invalid = |problem: String| LocalError::OrderInvalid {
            key: order.key.clone(),
            problem,
        };
        let actual = hash(input).map_err(|error| files(input, error))?;
        if actual != *sha256 {
            return Err(LocalError::HashMismatch {
                file: filename.clone(),
                expected: *sha256,
                actual,
            });
        }
        if Path::new(filename).file_name() != Some(filename.as_ref()) {
            return Err(invalid(format!("`{filename}` is no file name")));
        }
        let within = folder.join("source");
        let path = within.join(filename);
        fs::create_dir(&within)
            .and_then(|()| fs::rename(input, &path))
            .map_err(|error| files(&path, error))?;
        let uv = self.uv(folder, self.of_builds)?;
        let wheel = uv
            .build(&path, order.target(), &folder.join("wheel"))
            .await?;
        let name = wheel.file_name().unwrap_or_default();
        let text = name.to_string_lossy().into_owned();
        Ok((wheel, text))
    }

    /// uv in a folder of this order alone.
    fn uv(&self, folder: &Path, limits: ResolutionLimits) -> Result<Arc<Uv>, LocalError> {
        let temporary = folder.join("tmp");
        fs::create_dir(&temporary).map_err(|error| files(&temporary, error))?;
        let own = std::env::vars_os().filter(|(name, _)| name != "TMPDIR");
        Ok(Arc::new(Uv::new(Settings {
            program: self.uv.clone(),
            beside: None,
            path: self.path.clone(),
            environment: own.chain([("TMPDIR".into(), temporary.into())]).collect(),
            cache: folder.join("cache"),
            located: None,
            index: self.offer.default.clone(),
            offline: false,
            interpreters: Interpreters::new(self.path.as_deref(), None),
            guard: Some(Guard {
                hosts: self.hosts.clone(),
                indexes: self.offer.urls().cloned().collect(),
                limits,
            }),
        })))
    }
}

/// Checks that the result is a regular file of the work folder: the code of a build may have replaced
/// it by a link to a file that only this process can read.
fn check(order: &Order, made: &Path, folder: &Path, limit: u64) -> Result<(), LocalError> {
    let refused = |problem: &str| LocalError::SourceBuildFailed {
        file: order
            .source
            .as_ref()
            .map_or(LOCK, |source| &source.filename)
            .to_owned(),
        output: problem.to_owned(),
    };
    let unusable = |error| files(made, error);
    let metadata = made.symlink_metadata().map_err(unusable)?;
    let within = folder.canonicalize().map_err(unusable)?;
    let real = made.canonicalize();
    if !metadata.is_file() || !real.is_ok_and(|real| real.starts_with(within)) {
        return Err(refused("the result is no regular file of the build"));
    }
    match &order.source {
        Some(source) if metadata.len() > limit => {
            return Err(LocalError::SourceBuildOverLimit {
                file: source.filename.clone(),
                problem: format!("its wheel has more than {limit} bytes"),
            });
        }
        Some(_) => {
            let mut magic = [0; 4];
            let begins = File::open(made).and_then(|mut file| file.read_exact(&mut magic));
            if begins.is_err() || magic != *b"PK\x03\x04" {
                return Err(refused("the result is no wheel"));
            }
        }
        None => {
            let text = fs::read_to_string(made).map_err(unusable)?;
            Lock::parse(&text)?;
        }
    }
    Ok(())
}

fn hash(path: &Path) -> io::Result<Sha256> {
    Ok(Sha256::of(&fs::read(path)?))
}

fn files(path: &Path, error: io::Error) -> LocalError {
    LocalError::temporary("could not use", path)(error)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use accretion_core::Fault as _;
    use accretion_core::request::RequestId;
    use accretion_service::ports::SignedUrl;
    use accretion_testing::forge::WheelForge;

    use super::*;

    fn order(source: Option<OrderedSource>) -> Order {
        Order {
            request_id: RequestId::of_message("1"),
            key: "accretion/wheels/0/py313.whl".to_owned(),
            runtime: "python3.13".parse().unwrap(),
            architecture: "x86_64".parse().unwrap(),
            source,
            input: SignedUrl::new(""),
            output: SignedUrl::new(""),
        }
    }

    #[test]
    fn nothing_is_handed_over_that_is_no_file_of_its_own() {
        const OVER: &str = "SourceBuildOverLimit";
        const FAILED: &str = "SourceBuildFailed";

        let outside = tempfile::tempdir().unwrap();
        let own = tempfile::tempdir().unwrap();
        let wheel = WheelForge::new("demo", "1.0").build();
        for folder in [&outside, &own] {
            fs::write(folder.path().join("wheel"), &wheel.bytes).unwrap();
            let lock = "lock-version = \"1.0\"\ncreated-by = \"test\"\n";
            fs::write(folder.path().join("lock"), lock).unwrap();
            fs::write(folder.path().join("text"), "SECRET=1\n").unwrap();
        }
        symlink(outside.path(), own.path().join("elsewhere")).unwrap();
        symlink(own.path().join("wheel"), own.path().join("link")).unwrap();
        symlink(outside.path().join("nothing"), own.path().join("dangling")).unwrap();
        let source = || {
            Some(OrderedSource {
                filename: "demo-1.0.tar.gz".to_owned(),
                sha256: Sha256::of(b""),
            })
        };
        for (source, made, limit, code) in [
            (source(), "wheel", 1 << 20, None),
            (source(), "wheel", 10, Some(OVER)),
            (source(), "text", 1 << 20, Some(FAILED)),
            (source(), "link", 1 << 20, Some(FAILED)),
            (source(), "dangling", 1 << 20, Some(FAILED)),
            (source(), "elsewhere/wheel", 1 << 20, Some(FAILED)),
            (None, "lock", 1 << 20, None),
            (None, "elsewhere/lock", 1 << 20, Some(FAILED)),
            (None, "text", 1 << 20, Some("LockInvalid")),
        ] {
            let path = own.path().join(made);
            let checked = check(&order(source), &path, own.path(), limit);
            assert_eq!(checked.map_err(|error| error.code()).err(), code, "{made}");
        }
    }
    /// The builder's test of the retries for a build sandbox relies on it.
    #[test]
    fn its_errors_are_those_of_other_crates() {
        assert_eq!(Error::CODES, []);
    }
}
