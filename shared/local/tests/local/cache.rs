//! The cache's folder within a budget.

use std::fs::{self, File};
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

use accretion_core::Fault as _;
use accretion_local::cache::{Budget, CacheFolder, PARTIAL, Pruned};
use accretion_service::ports::Wheels as _;
use accretion_testing::index::PackageIndex;
use tempfile::TempDir;

use crate::harness::{downloader, locked, pure, wheel_cache};

const KIB: u64 = 1 << 10;
const NOTHING: Budget = Budget { bytes: 0 };
const PLENTY: Budget = Budget { bytes: 1 << 40 };

struct Cache {
    root: TempDir,
    folder: CacheFolder,
}

impl Cache {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let folder = CacheFolder::new(root.path());
        Self { root, folder }
    }

    fn path(&self, path: &str) -> PathBuf {
        self.root.path().join(path)
    }

    /// Writes a file that was changed some hours ago.
    fn write(&self, path: &str, content: impl AsRef<[u8]>, hours_ago: u64) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        age(&path, hours_ago);
    }

    /// Writes what looks like a wheel of 8 KiB and its layout of 4 KiB. Returns its hash.
    fn wheel(&self, digit: char, hours_ago: u64) -> String {
        let sha256 = String::from(digit).repeat(64);
        self.write(&format!("wheels/{sha256}.whl"), [0; 8192], hours_ago);
        self.write(&format!("wheels/{sha256}.layout01"), [0; 100], hours_ago);
        sha256
    }

    async fn prune(&self, budget: Budget) -> Pruned {
        let pruned = self.folder.prune(budget).await.unwrap();
        pruned.expect("nobody uses the folder")
    }

    /// The first digits of the hashes of what is there.
    fn wheels(&self) -> String {
        let mut digits: Vec<_> = names(&self.path("wheels"))
            .into_iter()
            .filter_map(|name| name.strip_suffix(".whl")?.chars().next())
            .collect();
        digits.sort_unstable();
        digits.into_iter().collect()
    }
}

fn age(path: &Path, hours_ago: u64) {
    let time = SystemTime::now() - Duration::from_hours(hours_ago);
    File::open(path).unwrap().set_modified(time).unwrap();
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten();
    let mut names: Vec<_> = entries
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

#[tokio::test]
async fn what_was_not_used_for_longest_goes_first() {
    let cache = Cache::new();
    for (digit, hours_ago) in [('a', 3), ('b', 5), ('c', 1), ('d', 4), ('e', 2)] {
        cache.wheel(digit, hours_ago);
    }
    assert_eq!(
        cache.prune(Budget { bytes: 60 * KIB }).await,
        Pruned {
            left: 60 * KIB,
            ..Pruned::default()
        }
    );
    assert_eq!(cache.wheels(), "abcde");
    assert_eq!(
        cache
            .prune(Budget {
                bytes: 36 * KIB + 1
            })
            .await,
        Pruned {
            wheels: 2,
            uv: false,
            removed: 24 * KIB,
            left: 36 * KIB,
        }
    );
    assert_eq!(cache.wheels(), "ace");
    // A wheel and its layout are one.
    assert_eq!(names(&cache.path("wheels")).len(), 6);
    let layout = format!("wheels/{}.layout01", "a".repeat(64));
    age(&cache.path(&layout), 0);
    cache.prune(Budget { bytes: 12 * KIB }).await;
    assert_eq!(cache.wheels(), "a");
    cache.prune(NOTHING).await;
    assert_eq!(names(&cache.path("wheels")), [""; 0]);
}

#[tokio::test]
async fn a_wheel_that_is_used_is_kept() {
    let (a, b) = (pure("a"), pure("b"));
    let index = PackageIndex::start([&a, &b]);
    let cache = Cache::new();
    let lease = cache.folder.lease().await.unwrap();
    for wheel in [&a, &b] {
        let (filename, file) = locked(&index, wheel);
        let wheels = wheel_cache(cache.root.path(), downloader(None));
        wheels.get(&filename, &file).await.unwrap();
    }
    drop(lease);
    for name in names(&cache.path("wheels")) {
        let hours_ago = if name.starts_with(&a.sha256) { 9 } else { 5 };
        age(&cache.path("wheels").join(name), hours_ago);
    }

    // The next build uses the older one.
    let lease = cache.folder.lease().await.unwrap();
    let (filename, file) = locked(&index, &a);
    let wheels = wheel_cache(cache.root.path(), downloader(None));
    wheels.get(&filename, &file).await.unwrap();
    drop(lease);
    let pruned = cache.prune(Budget { bytes: 8 * KIB }).await;
    assert_eq!((pruned.wheels, pruned.left), (1, 8 * KIB));
    assert_eq!(index.count(&a.filename), 1);

    // The one after that gets both, each whole.
    let _lease = cache.folder.lease().await.unwrap();
    let wheels = wheel_cache(cache.root.path(), downloader(None));
    for wheel in [&a, &b] {
        let (filename, file) = locked(&index, wheel);
        let stored = wheels.get(&filename, &file).await.unwrap();
        assert_eq!(fs::read(&stored.wheel).unwrap(), wheel.bytes);
        assert!(stored.layout_file.exists());
    }
    assert_eq!((index.count(&a.filename), index.count(&b.filename)), (1, 2));
}

#[tokio::test]
async fn uv_may_take_a_quarter() {
    let cache = Cache::new();
    // A folder of one block with a file of three.
    cache.write("uv/simple-v21/a.rkyv", [0; 9000], 0);
    cache.wheel('a', 9);
    let pruned = cache.prune(Budget { bytes: 64 * KIB }).await;
    assert_eq!((pruned.uv, pruned.left), (false, 28 * KIB));
    assert!(cache.path("uv/simple-v21/a.rkyv").exists());
    let pruned = cache
        .prune(Budget {
            bytes: 64 * KIB - 1,
        })
        .await;
    assert_eq!(
        pruned,
        Pruned {
            wheels: 0,
            uv: true,
            removed: 16 * KIB,
            left: 12 * KIB,
        }
    );
    assert_eq!(names(cache.root.path()), [".lock", "wheels"]);
    assert_eq!(cache.wheels(), "a");
}

#[tokio::test]
async fn urls_of_files_may_take_a_thirty_second() {
    let cache = Cache::new();
    cache.write("located/answer", [0; 9000], 0);
    let pruned = cache.prune(Budget { bytes: 384 * KIB }).await;
    assert_eq!((pruned.removed, pruned.left), (0, 12 * KIB));
    let budget = Budget {
        bytes: 384 * KIB - 1,
    };
    let pruned = cache.prune(budget).await;
    assert_eq!(
        (pruned.uv, pruned.removed, pruned.left),
        (false, 12 * KIB, 0)
    );
    assert_eq!(names(cache.root.path()), [".lock"]);
}

#[tokio::test]
async fn nothing_is_pruned_while_a_build_uses_the_folder() {
    let cache = Cache::new();
    cache.wheel('a', 9);
    cache.write(&format!("wheels/{PARTIAL}download"), "half", 9);
    // What another process would have: a lock of its own.
    let other = CacheFolder::new(cache.root.path());
    let leases = [cache.folder.lease().await, other.lease().await];
    let [first, second] = leases.map(Result::unwrap);
    assert_eq!(cache.folder.prune(NOTHING).await.unwrap(), None);
    drop(first);
    assert_eq!(cache.folder.prune(NOTHING).await.unwrap(), None);
    assert_eq!(names(&cache.path("wheels")).len(), 3);
    drop(second);
    assert_eq!(cache.prune(NOTHING).await.wheels, 1);
    assert_eq!(names(&cache.path("wheels")), [""; 0]);
}

#[tokio::test]
async fn a_lease_ends_with_its_process() {
    let cache = Cache::new();
    cache.wheel('a', 9);
    cache.prune(PLENTY).await;
    let hold = "import fcntl, sys, time; lock = open(sys.argv[1]); fcntl.flock(lock, fcntl.LOCK_SH); \
                print('locked', flush=True); time.sleep(600)";
    let mut child = Command::new("python3")
        .args(["-I", "-c", hold])
        .arg(cache.path(".lock"))
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = [0; 7];
    child
        .stdout
        .as_mut()
        .unwrap()
        .read_exact(&mut said)
        .unwrap();
    let while_running = cache.folder.prune(NOTHING).await;
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(while_running.unwrap(), None);
    assert_eq!(cache.prune(NOTHING).await.wheels, 1);
}

#[tokio::test]
async fn a_build_waits_while_the_folder_is_pruned() {
    let cache = Cache::new();
    cache.prune(PLENTY).await;
    let pruning = File::open(cache.path(".lock")).unwrap();
    pruning.lock().unwrap();
    let folder = cache.folder.clone();
    let waiting = tokio::spawn(async move { folder.lease().await });
    assert_eq!(cache.folder.prune(NOTHING).await.unwrap(), None);
    assert!(!waiting.is_finished());
    pruning.unlock().unwrap();
    drop(waiting.await.unwrap().unwrap());
}

#[tokio::test]
async fn what_killed_processes_left_is_removed() {
    let cache = Cache::new();
    let sha256 = cache.wheel('a', 0);
    for folder in ["", "wheels/", "built/", "located/"] {
        cache.write(&format!("{folder}{PARTIAL}file"), "half", 0);
        cache.write(&format!("{folder}{PARTIAL}folder/deep/file"), "half", 0);
        cache.write(&format!("{folder}other"), "", 0);
    }
    let record = format!("{sha256} a-1.0-py3-none-any.whl\n");
    cache.write("built/record", record, 0);
    assert_eq!(cache.prune(PLENTY).await.wheels, 0);
    assert_eq!(
        names(cache.root.path()),
        [".lock", "built", "located", "other", "wheels"]
    );
    assert_eq!(names(&cache.path("located")), ["other"]);
    assert_eq!(names(&cache.path("built")), ["other", "record"]);
    assert_eq!(cache.wheels(), "a");
}

#[tokio::test]
async fn what_was_built_is_forgotten_with_its_wheel() {
    let cache = Cache::new();
    for (digit, hours_ago) in [('a', 2), ('b', 1)] {
        let sha256 = cache.wheel(digit, hours_ago);
        let record = format!("{sha256} a-1.0-py3-none-any.whl\n");
        cache.write(&format!("built/{digit}-py313"), record, 0);
    }
    cache.prune(Budget { bytes: 12 * KIB }).await;
    assert_eq!(names(&cache.path("built")), ["b-py313"]);
}

#[tokio::test]
async fn a_folder_that_cannot_be_used() {
    let cache = Cache::new();
    let fresh = CacheFolder::new(cache.path("not/there/yet"));
    let pruned = fresh.prune(NOTHING).await.unwrap();
    assert_eq!(pruned, Some(Pruned::default()));

    cache.write("taken", "a file", 0);
    let taken = CacheFolder::new(cache.path("taken"));
    let error = taken.lease().await.unwrap_err();
    assert_eq!(error.code(), "CacheUnusable");
    let error = taken.prune(PLENTY).await.unwrap_err();
    assert_eq!(error.code(), "CacheUnusable");
}
