//! Processes that package code leaves running.
//!
//! A process group does not hold who wants to leave it. A process that has adopted its orphans has
//! all of them among its descendants, until it ends them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::time::{Duration, Instant};

use rustix::process::{
    DumpableBehavior, Pid, Signal, WaitOptions, getpid, kill_process, set_child_subreaper,
    set_dumpable_behavior, waitpid,
};

use crate::Error;

/// The time that descendants have to end.
const PATIENCE: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(10);

/// Makes this process the one whose children orphans of its descendants become, and keeps processes
/// of the same user from reading its memory and its environment.
///
/// Source: the Linux manual, `PR_SET_CHILD_SUBREAPER` and `PR_SET_DUMPABLE`.
pub fn adopt() -> io::Result<()> {
    set_child_subreaper(Some(getpid()))?;
    set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    Ok(())
}

/// Ends every descendant of this process. Nothing that is still to be waited for may be among them.
///
/// They are stopped before they are ended, until there are no new ones: a stopped process starts none.
pub async fn end() -> Result<(), Error> {
    let unable = |problem: String| Error::BuildNotEnded { problem };
    let since = Instant::now();
    let mut stopped = BTreeSet::new();
    loop {
        let found = descendants().map_err(|error| unable(error.to_string()))?;
        if found.is_empty() {
            return Ok(());
        }
        if since.elapsed() > PATIENCE {
            return Err(unable(format!("{} are left", found.len())));
        }
        let new = &found - &stopped;
        let (signal, signalled) = if new.is_empty() {
            (Signal::KILL, &found)
        } else {
            (Signal::STOP, &new)
        };
        for pid in signalled.iter().copied().filter_map(Pid::from_raw) {
            // It may have ended by itself just now, or have no parent any more.
            let _ = kill_process(pid, signal);
            let _ = waitpid(Some(pid), WaitOptions::NOHANG);
        }
        stopped.extend(found);
        tokio::time::sleep(PAUSE).await;
    }
}

/// The processes that this one has started, and those that they have.
fn descendants() -> io::Result<BTreeSet<i32>> {
    let mut children: BTreeMap<i32, Vec<i32>> = BTreeMap::new();
    for entry in fs::read_dir("/proc")? {
        let name = entry?.file_name();
        let Some(process) = name.to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        // A process that has ended in the meantime has no parent.
        let parent = fs::read_to_string(format!("/proc/{process}/stat"));
        if let Some(parent) = parent.ok().as_deref().and_then(parent_of) {
            children.entry(parent).or_default().push(process);
        }
    }
    let mut found = BTreeSet::new();
    let mut next = vec![getpid().as_raw_nonzero().get()];
    while let Some(process) = next.pop() {
        for child in children.remove(&process).unwrap_or_default() {
            if found.insert(child) {
                next.push(child);
            }
        }
    }
    Ok(found)
}

/// The parent, out of `/proc/PID/stat`: the name before it is the process's own choice.
fn parent_of(stat: &str) -> Option<i32> {
    let (_, rest) = stat.rsplit_once(')')?;
    rest.split_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parent_is_found_whatever_its_child_is_called() {
        for name in ["sleep", "a b", "x) S 1 (", ""] {
            let stat = format!("7 ({name}) S 4242 7 7 0 -1");
            assert_eq!(parent_of(&stat), Some(4242), "{stat}");
        }
        assert_eq!(parent_of("7"), None);
    }
}
