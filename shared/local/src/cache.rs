//! The wheel cache: wheels by their SHA-256, verified once, with their layouts beside them.
//!
//! Files get their names only once they are whole and verified, by a rename. Any number of
//! processes may use one cache at a time: two that get the same wheel both write the same bytes.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use accretion_core::digest::Sha256;
use accretion_core::limits::WheelLimits;
use accretion_core::lock::LockedFile;
use accretion_core::target::Target;
use accretion_core::wheel::{Layout, WheelFilename, inspect};
use accretion_core::{Class, Fault};
use accretion_service::ports::{Event, PortError, Progress, StoredWheel, Wheels};
use tempfile::NamedTempFile;
use tokio::sync::{OnceCell, Semaphore};

use crate::Error;
use crate::download::Downloader;
use crate::temporary;
use crate::uv::Uv;

/// What the names of half-done files start with.
const PARTIAL: &str = ".partial-";

/// Wheels that are verified at the same time; each uses every core.
const VERIFICATIONS: usize = 2;

type Cell = Arc<OnceCell<Result<Arc<StoredWheel>, Arc<Error>>>>;
type Cells<K> = Mutex<HashMap<K, Cell>>;

/// The wheel cache in a folder.
pub struct WheelCache {
    root: PathBuf,
    downloader: Arc<Downloader>,
    uv: Arc<Uv>,
    limits: WheelLimits,
    verifications: Semaphore,
    progress: Arc<dyn Progress>,
    /// What this process has got already, or is getting: targets share most wheels.
    wheels: Cells<Sha256>,
    built: Cells<(Sha256, Target)>,
}

impl WheelCache {
    /// A cache in `root`, which is made when it is first written to.
    pub fn new(
        root: impl Into<PathBuf>,
        downloader: Arc<Downloader>,
        uv: Arc<Uv>,
        limits: WheelLimits,
        progress: Arc<dyn Progress>,
    ) -> Self {
        Self {
            root: root.into(),
            downloader,
            uv,
            limits,
            verifications: Semaphore::new(VERIFICATIONS),
            progress,
            wheels: Mutex::default(),
            built: Mutex::default(),
        }
    }

    fn folder(&self) -> PathBuf {
        self.root.join("wheels")
    }

    fn paths(&self, sha256: Sha256) -> Paths {
        let folder = self.folder();
        Paths {
            wheel: folder.join(format!("{sha256}.whl")),
            layout: folder.join(format!("{sha256}.layout")),
        }
    }

    fn temporary(&self) -> Result<NamedTempFile, Error> {
        let folder = self.folder();
        temporary::file(&folder, PARTIAL)
            .map_err(|error| Error::cache("could not write to the cache", &folder, error))
    }

    async fn load_or_download(
        &self,
        filename: &WheelFilename,
        file: &LockedFile,
    ) -> Result<Arc<StoredWheel>, Error> {
        let paths = self.paths(file.sha256);
        if let Some(stored) = load(&paths, filename) {
            return Ok(Arc::new(stored));
        }
        let mut partial = self.temporary()?;
        let limit = self.limits.download;
        self.downloader
            .download(filename.as_str(), file, limit, partial.as_file_mut())
            .await?;
        self.add(filename.clone(), partial, paths).await
    }

    /// Verifies a wheel and gives it its name.
    async fn add(
        &self,
        filename: WheelFilename,
        wheel: NamedTempFile,
        paths: Paths,
    ) -> Result<Arc<StoredWheel>, Error> {
        let layout_file = self.temporary()?;
        let limits = self.limits;
        let _permit = self.verifications.acquire().await;
        let work = move || {
            let layout = write_layout(wheel.as_file(), &filename, &limits, &layout_file)?;
            for (file, path) in [(wheel, &paths.wheel), (layout_file, &paths.layout)] {
                file.persist(path).map_err(|error| {
                    Error::cache("could not write to the cache", path, error.error)
                })?;
            }
            let Paths {
                wheel,
                layout: layout_file,
            } = paths;
            Ok(Arc::new(StoredWheel {
                filename,
                layout,
                wheel,
                layout_file,
            }))
        };
        join(tokio::task::spawn_blocking(work).await)
    }

    async fn load_or_build(
        &self,
        filename: &str,
        file: &LockedFile,
        target: Target,
    ) -> Result<Arc<StoredWheel>, Error> {
        let record = self
            .root
            .join("built")
            .join(format!("{}-{}", file.sha256, target.slug()));
        if let Some(stored) = self.load_built(&record) {
            return Ok(Arc::new(stored));
        }
        let builder = self.uv.builder(filename, target)?;
        let work = tempfile::tempdir().map_err(|error| {
            Error::temporary("could not write to", &std::env::temp_dir(), error)
        })?;
        let unwritable = |error| Error::temporary("could not write to", work.path(), error);
        let source = work.path().join(filename);
        let mut into = File::create_new(&source).map_err(unwritable)?;
        self.downloader
            .download(filename, file, self.limits.download, &mut into)
            .await?;
        drop(into);
        self.progress.on(Event::BuildingWheel {
            filename: filename.to_owned(),
        });
        let wheel = builder.build(&source, &work.path().join("wheel")).await?;

        let invalid = |problem: String| {
            let wheel = wheel.display().to_string();
            Error::from(accretion_core::Error::WheelInvalid { wheel, problem })
        };
        let name = wheel.file_name().unwrap_or_default().to_string_lossy();
        let built: WheelFilename = name
            .parse()
            .map_err(|error| invalid(format!("it was built with this name: {error}")))?;
        if target.rank_wheel(&built).is_none() {
            return Err(invalid(format!(
                "it was built for {target}, which it does not fit"
            )));
        }
        let mut copy = self.temporary()?;
        let mut bytes = File::open(&wheel).map_err(unwritable)?;
        io::copy(&mut bytes, copy.as_file_mut()).map_err(unwritable)?;
        let sha256 = crate::output::hash(&wheel).map_err(unwritable)?;
        let paths = self.paths(sha256);
        let stored = self.add(built.clone(), copy, paths).await?;
        self.keep_built(&record, sha256, &built)?;
        // Another process may have been first: its wheel is the one that everybody uses.
        Ok(self.load_built(&record).map_or(stored, Arc::new))
    }

    /// What was built from a source distribution for a target before: the hash and the file name
    /// of the wheel.
    fn load_built(&self, record: &Path) -> Option<StoredWheel> {
        let text = fs::read_to_string(record).ok()?;
        let (sha256, filename) = text.trim().split_once(' ')?;
        load(&self.paths(sha256.parse().ok()?), &filename.parse().ok()?)
    }

    /// Remembers what was built, unless another process was first.
    fn keep_built(
        &self,
        record: &Path,
        sha256: Sha256,
        wheel: &WheelFilename,
    ) -> Result<(), Error> {
        let folder = self.root.join("built");
        let write = || -> io::Result<()> {
            let mut file = temporary::file(&folder, PARTIAL)?;
            writeln!(file, "{sha256} {wheel}")?;
            match file.persist_noclobber(record) {
                Err(error) if error.error.kind() != io::ErrorKind::AlreadyExists => {
                    Err(error.error)
                }
                _ => Ok(()),
            }
        };
        write().map_err(|error| Error::cache("could not write to the cache", record, error))
    }
}

impl Wheels for WheelCache {
    async fn get(
        &self,
        filename: &WheelFilename,
        file: &LockedFile,
    ) -> Result<Arc<StoredWheel>, PortError> {
        let get = || self.load_or_download(filename, file);
        let stored = once(&self.wheels, file.sha256, get).await?;
        if !stored.layout.is_of(filename) {
            // One file under two names: it can be only one of them.
            let (wheel, problem) = (filename.to_string(), format!("it is {}", stored.filename));
            return Err(PortError::new(accretion_core::Error::WheelInvalid {
                wheel,
                problem,
            }));
        }
        Ok(stored)
    }

    async fn build(
        &self,
        filename: &str,
        file: &LockedFile,
        target: Target,
    ) -> Result<Arc<StoredWheel>, PortError> {
        let build = || self.load_or_build(filename, file, target);
        once(&self.built, (file.sha256, target), build).await
    }
}

/// Does for a key what nobody has done yet. Whoever waits for it shares the outcome, a failure
/// too: a server that does not answer is not waited for by one target after the other. Whoever
/// comes after a failure tries again.
async fn once<K, F>(
    cells: &Cells<K>,
    key: K,
    work: impl FnOnce() -> F,
) -> Result<Arc<StoredWheel>, PortError>
where
    K: std::hash::Hash + Eq + Clone,
    F: Future<Output = Result<Arc<StoredWheel>, Error>>,
{
    let lock = || cells.lock().unwrap_or_else(PoisonError::into_inner);
    let cell = Arc::clone(lock().entry(key.clone()).or_default());
    let outcome = cell
        .get_or_init(|| async { work().await.map_err(Arc::new) })
        .await;
    outcome.clone().map_err(|error| {
        let mut cells = lock();
        if cells
            .get(&key)
            .is_some_and(|known| Arc::ptr_eq(known, &cell))
        {
            cells.remove(&key);
        }
        PortError::new(Shared(error))
    })
}

/// An error that several targets have in common.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
struct Shared(Arc<Error>);

impl Fault for Shared {
    fn code(&self) -> &'static str {
        self.0.code()
    }

    fn class(&self) -> Class {
        self.0.class()
    }

    fn hint(&self) -> Option<String> {
        self.0.hint()
    }
}

struct Paths {
    wheel: PathBuf,
    layout: PathBuf,
}

/// A wheel that is in the cache. What is not whole, or was written by another version, is not
/// there.
fn load(paths: &Paths, filename: &WheelFilename) -> Option<StoredWheel> {
    let size = fs::metadata(&paths.wheel).ok()?.len();
    let file = File::open(&paths.layout).ok()?;
    let layout = Layout::decode(&file, file.metadata().ok()?.len()).ok()??;
    let is_same = layout.wheel_size == size && layout.is_of(filename);
    is_same.then(|| StoredWheel {
        filename: filename.clone(),
        layout,
        wheel: paths.wheel.clone(),
        layout_file: paths.layout.clone(),
    })
}

fn write_layout(
    wheel: &File,
    filename: &WheelFilename,
    limits: &WheelLimits,
    into: &NamedTempFile,
) -> Result<Layout, Error> {
    let unwritable = |error| Error::cache("could not write", into.path(), error);
    let length = wheel.metadata().map_err(unwritable)?.len();
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let mut packed = BufWriter::new(into.as_file());
    let layout = inspect(wheel, length, filename, limits, threads, &mut packed)?;
    packed
        .write_all(&layout.encode()?)
        .and_then(|()| packed.flush())
        .map_err(unwritable)?;
    Ok(layout)
}

/// The outcome of a blocking task, whose panic goes on here.
fn join<T>(outcome: Result<Result<T, Error>, tokio::task::JoinError>) -> Result<T, Error> {
    outcome.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))
}
