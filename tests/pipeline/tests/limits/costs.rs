//! The costs of functions: the memory of their processes, including those that they start.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use pipeline_tests::MiniStack;

/// The pause between two measurements.
const PAUSE: Duration = Duration::from_millis(10);

/// Watches the processes of a server's functions.
pub(crate) struct Watch<'a> {
    server: &'a MiniStack,
    processes: BTreeSet<(String, i32)>,
    peak: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    watcher: Option<JoinHandle<()>>,
}

impl<'a> Watch<'a> {
    /// Watches the processes that there are.
    pub(crate) fn new(server: &'a MiniStack) -> Self {
        let processes = running(server);
        let roots: Vec<_> = processes.iter().map(|(_, pid)| *pid).collect();
        let (peak, stop) = (Arc::<AtomicU64>::default(), Arc::<AtomicBool>::default());
        let watcher = {
            let (peak, stop) = (Arc::clone(&peak), Arc::clone(&stop));
            std::thread::spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    let largest = roots.iter().map(|root| memory(*root)).max();
                    peak.fetch_max(largest.unwrap_or_default(), Ordering::Relaxed);
                    std::thread::sleep(PAUSE);
                }
            })
        };
        Self {
            server,
            processes,
            peak,
            stop,
            watcher: Some(watcher),
        }
    }

    /// Forgets what was seen.
    pub(crate) fn reset(&self) {
        self.peak.store(0, Ordering::Relaxed);
    }

    /// Bytes of memory that the largest of the functions had at most.
    pub(crate) fn peak(&self) -> u64 {
        self.peak.load(Ordering::Relaxed)
    }

    /// Holds that every function still has the process that it had.
    #[track_caller]
    pub(crate) fn holds_that_none_was_replaced(&self, after: &str) {
        let now = running(self.server);
        assert!(
            self.processes.is_subset(&now),
            "after {after}: {:?}, then {now:?}",
            self.processes
        );
    }
}

impl Drop for Watch<'_> {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(watcher) = self.watcher.take() {
            let _ = watcher.join();
        }
    }
}

fn running(server: &MiniStack) -> BTreeSet<(String, i32)> {
    let functions = server.functions().into_iter();
    functions.map(|it| (it.function.clone(), it.pid)).collect()
}

/// Bytes in memory of a process and of all that it has started.
fn memory(root: i32) -> u64 {
    let mut parents: BTreeMap<i32, Vec<i32>> = BTreeMap::new();
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    for pid in entries.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok()) {
        if let Some(parent) = parent(pid) {
            parents.entry(parent).or_default().push(pid);
        }
    }
    let mut sum = 0;
    let mut open = vec![root];
    while let Some(pid) = open.pop() {
        sum += resident(pid);
        open.extend(parents.remove(&pid).unwrap_or_default());
    }
    sum
}

fn parent(pid: i32) -> Option<i32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, fields) = stat.rsplit_once(')')?;
    fields.split_whitespace().nth(1)?.parse().ok()
}

fn resident(pid: i32) -> u64 {
    let read = || {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))?;
        line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok()
    };
    read().unwrap_or_default() * 1024
}
