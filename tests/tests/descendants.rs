//! Ending whatever a build has left running. A program of its own: all that it has started ends.

#![expect(clippy::unwrap_used, reason = "what fails in a helper fails the test")]

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use accretion_local::descendants;

/// A child, a daemon that has left its group and session and lost its parents, and one that goes on
/// starting others.
const STARTS: &str = r#"
import os, sys, time

folder = sys.argv[1]

def lives(name):
    with open(os.path.join(folder, name), "w") as file:
        file.write(str(os.getpid()))
    time.sleep(600)

if os.fork() == 0:
    lives("child")
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        lives("daemon")
    os._exit(0)
if os.fork() == 0:
    os.setsid()
    with open(os.path.join(folder, "breeder"), "w") as file:
        file.write(str(os.getpid()))
    while True:
        if os.fork() == 0:
            time.sleep(600)
        time.sleep(0.002)
while not all(os.path.exists(os.path.join(folder, name)) for name in ("child", "daemon", "breeder")):
    time.sleep(0.01)
"#;

fn is_running(process: &str) -> bool {
    let stat = fs::read_to_string(format!("/proc/{process}/stat"));
    stat.is_ok_and(|stat| !stat.contains(") Z "))
}

fn started(folder: &Path) -> Vec<String> {
    let names = ["child", "daemon", "breeder"];
    let processes = names.map(|name| fs::read_to_string(folder.join(name)).unwrap());
    processes.into()
}

#[tokio::test]
async fn nothing_outlives_the_end_whatever_it_did_to_get_away() {
    descendants::adopt().unwrap();
    // Nobody is left to be ended.
    descendants::end().await.unwrap();

    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new("python3");
    command.args(["-c", STARTS]).arg(folder.path());
    assert!(command.status().unwrap().success());
    let processes = started(folder.path());
    assert!(processes.iter().all(|process| is_running(process)));

    let since = Instant::now();
    descendants::end().await.unwrap();
    assert!(since.elapsed() < Duration::from_secs(5));
    assert!(!processes.iter().any(|process| is_running(process)));
}
