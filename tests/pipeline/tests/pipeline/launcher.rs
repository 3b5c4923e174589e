//! The emulator's process: that it leaves nothing behind, however the one that started it ends.

use std::fs;
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use pipeline_tests::workspace::tool;
use pipeline_tests::{MiniStack, Options};

use crate::PATIENCE;

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
    wait_until("process", || pid.exists());
    let pid = fs::read_to_string(pid).unwrap();
    let process = Path::new("/proc").join(pid);
    assert!(process.exists());
    drop(guard.stdin.take());
    assert!(guard.wait().unwrap().success());
    let status = fs::read_to_string(process.join("stat")).unwrap_or_default();
    assert!(status.is_empty() || status.contains(") Z "), "{status}");
    assert!(!state.exists());
}

/// However the demo is ended: asked to by ctrl-C, or killed without a chance to tidy up.
#[test]
fn a_demo_that_is_ended_leaves_nothing_running() {
    let folder = tempfile::tempdir().unwrap();
    for (signal, code) in [("INT", Some(130)), ("KILL", None)] {
        let mark = format!("ACCRETION_MARK={}-{signal}", std::process::id());
        let (name, value) = mark.split_once('=').unwrap();
        let mut demo = Command::new(env!("CARGO_BIN_EXE_demo"))
            .env(name, value)
            .arg(folder.path())
            // SAM looks for it when the emulator runs.
            .env("ACCRETION_TEMPLATE", "/nowhere/template.yaml")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        wait_until("the emulator and SAM", || {
            let commands = commands_with(&mark);
            let runs = |program: &str| commands.iter().any(|it| it.contains(program));
            runs("Starts MiniStack") && runs("/bin/sam")
        });
        // The shell's own: not every machine has the program.
        let kill = Command::new("/bin/sh")
            .args(["-c", &format!("kill -s {signal} {}", demo.id())])
            .status();
        assert!(kill.unwrap().success());
        assert_eq!(demo.wait().unwrap().code(), code);
        wait_until("the end of what it started", || {
            commands_with(&mark).is_empty()
        });
    }
}

#[track_caller]
fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < PATIENCE, "no {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The command lines of the processes that have a variable in their environment.
fn commands_with(variable: &str) -> Vec<String> {
    let entries = fs::read_dir("/proc").unwrap().flatten();
    let has_it = |folder: &Path| {
        let environment = fs::read(folder.join("environ")).unwrap_or_default();
        environment
            .split(|byte| *byte == 0)
            .any(|it| it == variable.as_bytes())
    };
    let folders = entries
        .map(|entry| entry.path())
        .filter(|folder| has_it(folder));
    folders
        .filter_map(|it| fs::read_to_string(it.join("cmdline")).ok())
        .collect()
}
