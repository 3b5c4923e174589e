//! The wheel cache: wheels by their SHA-256, verified once, with their layouts beside them.
//!
//! Files get their names only once they are whole and verified, by a rename. Any number of
//! processes may use one cache at a time: two that get the same wheel both write the same bytes.
//!
//! The folder grows without end unless it is pruned to a [`Budget`], under which every build has to
//! hold a [`Lease`].

mod folder;

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use accretion_core::digest::Sha256;
use accretion_core::limits::{Limits, WheelLimits};
use accretion_core::target::Target;
use accretion_python::lock::LockedFile;
use accretion_python::wheel::{Rank, WheelFilename, inspect};
use accretion_service::blocking;
use accretion_service::ports::{Event, PortError, Progress, StoredWheel, Wheels, async_trait};
use accretion_tree::{LAYOUT_EXTENSION, Layout};
use tempfile::NamedTempFile;
use tokio::sync::{OnceCell, Semaphore};

use crate::Error;
use crate::download::{Allowance, Downloader};
use crate::foreign;
use crate::output::hash;
use crate::temporary::{self, Folder};
use crate::uv::Uv;

pub use crate::temporary::PARTIAL;

pub use self::folder::{Budget, CacheFolder, Lease, Pruned};

/// Wheels that are verified at the same time; each uses every core.
const VERIFICATIONS: usize = 2;

type Cell = Arc<OnceCell<Result<Arc<StoredWheel>, Arc<Error>>>>;
type Cells<K> = Mutex<HashMap<K, Cell>>;

/// The wheel cache in a folder, for one build.
///
/// It remembers which wheels are there, so it must not outlive the [`Lease`] that it is used under
/// where the folder is pruned: a new one is made for each build, which costs next to nothing. uv and
/// the downloader, which cost something, are meant to be shared between builds.
pub struct WheelCache {
    /// Wheels and their layouts.
    files: Folder,
    /// The wheels that were built from source distributions.
    records: Folder,
    downloader: Arc<Downloader>,
    uv: Arc<Uv>,
    allowance: Allowance,
    limits: WheelLimits,
    verifications: Semaphore,
    progress: Arc<dyn Progress>,
    /// The wheels that this process has or is getting: targets share most wheels.
    wheels: Cells<Sha256>,
    built: Cells<(Sha256, Target)>,
}

impl WheelCache {
    /// A cache in `root`, which is made when it is first written to.
    pub fn new(
        root: &Path,
        downloader: Arc<Downloader>,
        uv: Arc<Uv>,
        limits: Limits,
        progress: Arc<dyn Progress>,
    ) -> Self {
        let folder = CacheFolder::new(root);
        Self {
            files: Folder::new(folder.wheels(), PARTIAL),
            records: Folder::new(folder.records(), PARTIAL),
            downloader,
            uv,
            allowance: Allowance::new(limits.download),
            limits: limits.wheel,
            verifications: Semaphore::new(VERIFICATIONS),
            progress,
            wheels: Mutex::default(),
            built: Mutex::default(),
        }
    }

    fn paths(&self, sha256: Sha256) -> Paths {
        let folder = self.files.path();
        Paths {
            wheel: folder.join(format!("{sha256}.whl")),
            layout_file: folder.join(format!("{sha256}.{LAYOUT_EXTENSION}")),
        }
    }

    /// A file for a wheel that is about to come.
    pub(crate) fn temporary(&self) -> Result<NamedTempFile, Error> {
        let unwritable = Error::cache("could not write to the cache", self.files.path());
        self.files.file().map_err(unwritable)
    }

    /// A wheel that is in the cache. One without a layout that can be used is verified again.
    async fn load(
        &self,
        sha256: Sha256,
        filename: &WheelFilename,
    ) -> Result<Option<Arc<StoredWheel>>, Error> {
        let paths = self.paths(sha256);
        // Takes a tenth of a millisecond: to hand it to another thread costs more.
        if let Some(stored) = load(&paths, filename) {
            return Ok(Some(Arc::new(stored)));
        }
        let wheel = paths.wheel.clone();
        match blocking(move || hash(&wheel)).await {
            Ok(hash) if hash == sha256 => self.add(filename.clone(), None, paths).await.map(Some),
            _ => Ok(None),
        }
    }

    async fn load_or_download(
        &self,
        filename: &WheelFilename,
        file: &LockedFile,
    ) -> Result<Arc<StoredWheel>, Error> {
        if let Some(stored) = self.load(file.sha256, filename).await? {
            self.ready(None);
            return Ok(stored);
        }
        let partial = self.fetch(filename.as_str(), file).await?;
        let paths = self.paths(file.sha256);
        let stored = self.add(filename.clone(), Some(partial), paths).await?;
        self.ready(Some(stored.layout.archive_size));
        Ok(stored)
    }

    /// Verifies a wheel, which is in the cache already unless it is given, and gives it and its
    /// layout their names.
    async fn add(
        &self,
        filename: WheelFilename,
        wheel: Option<NamedTempFile>,
        paths: Paths,
    ) -> Result<Arc<StoredWheel>, Error> {
        let limits = self.limits;
        let _permit = self.verifications.acquire().await;
        let layout_file = self.temporary()?;
        let work = move || {
            let path = wheel.as_ref().map_or(&*paths.wheel, NamedTempFile::path);
            let content = File::open(path).map_err(Error::cache("could not read", path))?;
            let layout = write_layout(&content, &filename, &limits, &layout_file)?;
            let files = wheel.map(|wheel| (wheel, &paths.wheel));
            for (file, path) in files.into_iter().chain([(layout_file, &paths.layout_file)]) {
                let unwritable = Error::cache("could not write to the cache", path);
                file.persist(path)
                    .map_err(|error| unwritable(error.error))?;
            }
            let Paths { wheel, layout_file } = paths;
            Ok(Arc::new(StoredWheel {
                filename,
                layout,
                wheel,
                layout_file,
            }))
        };
        blocking(work).await
    }

    async fn load_or_build(
        &self,
        filename: &str,
        file: &LockedFile,
        target: Target,
    ) -> Result<Arc<StoredWheel>, Error> {
        if let Some(stored) = self.built(file.sha256, target).await? {
            self.ready(None);
            return Ok(stored);
        }
        let python = self.uv.python_of(target, filename).await?;
        let turn = self.downloader.turn().await;
        let work = tempfile::tempdir().map_err(temporary::unwritable)?;
        let unwritable = Error::temporary("could not write to", work.path());
        let source = work.path().join(filename);
        let mut into = File::create_new(&source).map_err(unwritable)?;
        self.downloader
            .download(turn, filename, file, &self.allowance, &mut into)
            .await?;
        let downloaded = into.metadata().map_err(unwritable)?.len();
        drop(into);
        self.progress.on(Event::BuildingWheel {
            filename: filename.to_owned(),
        });
        let into = work.path().join("wheel");
        let wheel = self.uv.build_with(&python, &source, &into).await?;
        let built = foreign::built_filename(&wheel)?;
        let mut copy = self.temporary()?;
        let copied = blocking(move || {
            let mut bytes = File::open(&wheel)?;
            io::copy(&mut bytes, copy.as_file_mut())?;
            io::Result::Ok(copy)
        });
        let copy = copied.await.map_err(unwritable)?;
        let stored = self.keep(file.sha256, target, built, copy).await?;
        self.ready(Some(downloaded));
        Ok(stored)
    }

    /// Says that a wheel is at hand, and of how many bytes it came.
    pub(crate) fn ready(&self, downloaded: Option<u64>) {
        self.progress.on(Event::WheelReady { downloaded });
    }

    fn record(&self, source: Sha256, target: Target) -> PathBuf {
        let record = format!("{source}-{}", target.slug());
        self.records.path().join(record)
    }

    /// The wheel that was built of a source distribution before, if it is here.
    pub(crate) async fn built(
        &self,
        source: Sha256,
        target: Target,
    ) -> Result<Option<Arc<StoredWheel>>, Error> {
        let read = || {
            let text = fs::read_to_string(self.record(source, target)).ok()?;
            let (sha256, filename) = text.trim().split_once(' ')?;
            Some((sha256.parse().ok()?, filename.parse().ok()?))
        };
        match read() {
            Some((sha256, filename)) => self.load(sha256, &filename).await,
            None => Ok(None),
        }
    }

    /// Downloads a file, which is removed when it is dropped.
    pub(crate) async fn fetch(
        &self,
        filename: &str,
        file: &LockedFile,
    ) -> Result<NamedTempFile, Error> {
        let turn = self.downloader.turn().await;
        let mut partial = self.temporary()?;
        let into = partial.as_file_mut();
        self.downloader
            .download(turn, filename, file, &self.allowance, into)
            .await?;
        Ok(partial)
    }

    /// Verifies a wheel that was built of a source distribution, and keeps it.
    pub(crate) async fn keep(
        &self,
        source: Sha256,
        target: Target,
        built: WheelFilename,
        wheel: NamedTempFile,
    ) -> Result<Arc<StoredWheel>, Error> {
        if Rank::of_wheel(target, &built).is_none() {
            return Err(Error::from(accretion_python::Error::WheelInvalid {
                wheel: built.to_string(),
                problem: format!("it was built for {target}, which it does not fit"),
            }));
        }
        let path = wheel.path().to_owned();
        let hash = move || hash(&path).map_err(Error::cache("could not read", &path));
        let sha256 = blocking(hash).await?;
        let paths = self.paths(sha256);
        let stored = self.add(built.clone(), Some(wheel), paths).await?;
        self.keep_built(&self.record(source, target), sha256, &built)?;
        // Another process may have been first: all processes use its wheel.
        Ok(self.built(source, target).await?.unwrap_or(stored))
    }

    /// Remembers what was built, unless another process was first.
    fn keep_built(
        &self,
        record: &Path,
        sha256: Sha256,
        wheel: &WheelFilename,
    ) -> Result<(), Error> {
        let write = || -> io::Result<()> {
            let mut file = self.records.file()?;
            writeln!(file, "{sha256} {wheel}")?;
            match file.persist_noclobber(record) {
                Err(error) if error.error.kind() != io::ErrorKind::AlreadyExists => {
                    Err(error.error)
                }
                _ => Ok(()),
            }
        };
        write().map_err(Error::cache("could not write to the cache", record))
    }
}

#[async_trait]
impl Wheels for WheelCache {
    async fn get(
        &self,
        filename: &WheelFilename,
        file: &LockedFile,
    ) -> Result<Arc<StoredWheel>, PortError> {
        let get = || self.load_or_download(filename, file);
        let stored = once(&self.wheels, file.sha256, get).await?;
        if !filename.is_of(&stored.layout) {
            // One file under two names: it can be only one of them.
            let (wheel, problem) = (filename.to_string(), format!("it is {}", stored.filename));
            return Err(accretion_python::Error::WheelInvalid { wheel, problem }.into());
        }
        Ok(stored)
    }

    async fn admit(
        &self,
        filename: &WheelFilename,
        sha256: Sha256,
        wheel: Vec<u8>,
    ) -> Result<Arc<StoredWheel>, PortError> {
        let admit = || async {
            if let Some(stored) = self.load(sha256, filename).await? {
                return Ok(stored);
            }
            if Sha256::of(&wheel) != sha256 {
                let (wheel, problem) = (filename.to_string(), "it has another hash".to_owned());
                return Err(accretion_python::Error::WheelInvalid { wheel, problem }.into());
            }
            let mut partial = self.temporary()?;
            let unwritable = Error::cache("could not write to the cache", self.files.path());
            partial.write_all(&wheel).map_err(unwritable)?;
            self.add(filename.clone(), Some(partial), self.paths(sha256))
                .await
        };
        once(&self.wheels, sha256, admit).await
    }

    async fn build(
        &self,
        filename: &str,
        file: &LockedFile,
        target: Target,
    ) -> Result<Arc<StoredWheel>, PortError> {
        let native = foreign::native(target);
        if native != target
            && let Some(stored) = self.built(file.sha256, target).await?
        {
            self.ready(None);
            return Ok(stored);
        }
        // What is built here is built once, and looked at for each architecture.
        let build = || self.load_or_build(filename, file, native);
        let stored = once(&self.built, (file.sha256, native), build).await?;
        if native != target {
            let (source, wheel) = (filename.to_owned(), Arc::clone(&stored));
            blocking(move || foreign::check(&source, &wheel, target)).await?;
        }
        Ok(stored)
    }
}

/// Does the work for a key once. Tasks that wait for it share the outcome, a failure
/// too: a server that does not answer is not waited for by one target after the other. A task that
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
        let condition = error.condition();
        PortError::new(error).with_condition(condition)
    })
}

struct Paths {
    wheel: PathBuf,
    layout_file: PathBuf,
}

/// A wheel that is in the cache. What is not whole, or was written by another version, is not
/// there.
fn load(paths: &Paths, filename: &WheelFilename) -> Option<StoredWheel> {
    let size = fs::metadata(&paths.wheel).ok()?.len();
    let file = File::open(&paths.layout_file).ok()?;
    let layout = Layout::decode(&file, file.metadata().ok()?.len()).ok()??;
    if layout.archive_size != size || !filename.is_of(&layout) {
        return None;
    }
    // What was used last is pruned last. A cache that can't be written serves as it is.
    let _ = file.set_modified(SystemTime::now());
    Some(StoredWheel {
        filename: filename.clone(),
        layout,
        wheel: paths.wheel.clone(),
        layout_file: paths.layout_file.clone(),
    })
}

fn write_layout(
    wheel: &File,
    filename: &WheelFilename,
    limits: &WheelLimits,
    into: &NamedTempFile,
) -> Result<Layout, Error> {
    let unwritable = Error::cache("could not write", into.path());
    let length = wheel.metadata().map_err(unwritable)?.len();
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let mut packed = BufWriter::new(into.as_file());
    let layout = inspect(wheel, length, filename, limits, threads, &mut packed)?;
    packed
        .write_all(&layout.encode())
        .and_then(|()| packed.flush())
        .map_err(unwritable)?;
    Ok(layout)
}
