//! The emulator's process: that it leaves nothing behind, however the one that started it ends.

use std::fs;
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use pipeline_tests::workspace::tool;
use pipeline_tests::{MiniStack, Options};

#[test]
fn a_dropped_server_is_gone() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("ministack.log");
    let server = MiniStack::start(&log, &Options::default()).unwrap();
    let address = server.endpoint().replace("http://", "");
    assert!(TcpStream::connect(&address).is_ok());
    assert!(server.log_tail().contains("Ready"), "{}", server.log_tail());
    drop(server);
    assert!(TcpStream::connect(&address).is_err());
}

#[test]
fn whoever_left_its_process_group_ends_with_the_caller() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    fs::create_dir(&state).unwrap();
    let pid = folder.path().join("pid");
    let child = "import os, subprocess, sys; \
        other = subprocess.Popen(['sleep', '60'], process_group=0); \
        open(sys.argv[1] + '.new', 'w').write(str(other.pid)); \
        os.rename(sys.argv[1] + '.new', sys.argv[1]); \
        other.wait()";
    let guard = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/guard.py");
    let python = tool("python");
    let mut guard = Command::new(&python)
        .args([&guard, &state, &folder.path().join("log"), &python])
        .args(["-c", child])
        .arg(&pid)
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let start = Instant::now();
    while !pid.exists() {
        assert!(start.elapsed() < Duration::from_secs(30));
        std::thread::sleep(Duration::from_millis(10));
    }
    let pid = fs::read_to_string(pid).unwrap();
    let process = Path::new("/proc").join(pid);
    assert!(process.exists());
    drop(guard.stdin.take());
    assert!(guard.wait().unwrap().success());
    let status = fs::read_to_string(process.join("stat")).unwrap_or_default();
    assert!(status.is_empty() || status.contains(") Z "), "{status}");
    assert!(!state.exists());
}
