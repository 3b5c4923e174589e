//! The processes that run a server's functions: each is an execution environment.

use std::fs;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use crate::MiniStack;

/// A process of a server that runs a function. Signals reach this very process or nobody, also when
/// another one has got its number meanwhile.
#[derive(Debug)]
pub struct FunctionProcess {
    /// Its number.
    pub pid: i32,
    /// The function's name.
    pub function: String,
    handle: OwnedFd,
}

impl MiniStack {
    /// The processes that run functions.
    pub fn functions(&self) -> Vec<FunctionProcess> {
        let Some(session) = self.session() else {
            return Vec::new();
        };
        let processes = processes();
        let functions = processes.filter_map(|pid| FunctionProcess::find(pid, session));
        functions.collect()
    }

    /// The session that all processes of the server are in.
    fn session(&self) -> Option<i32> {
        let guard = i32::try_from(self.guard()).ok()?;
        processes().find(|pid| Stat::of(*pid).is_some_and(|stat| stat.parent == guard))
    }
}

impl FunctionProcess {
    fn find(pid: i32, session: i32) -> Option<Self> {
        // First the handle: what is read below is of the process that it stands for, or of none.
        let handle = pidfd_open(Pid::from_raw(pid)?, PidfdFlags::empty()).ok()?;
        let stat = Stat::of(pid)?;
        let folder = Path::new("/proc").join(pid.to_string());
        let program = fs::read_link(folder.join("exe")).ok()?;
        if stat.session != session || !program.ends_with("bootstrap") {
            return None;
        }
        let function = variable(pid, "AWS_LAMBDA_FUNCTION_NAME")?;
        Some(Self {
            pid,
            function,
            handle,
        })
    }

    /// A variable of its environment.
    pub fn variable(&self, name: &str) -> Option<String> {
        variable(self.pid, name)
    }

    /// Returns whether the process is doing something: it is woken within a few milliseconds. A
    /// process that waits for its next event sleeps.
    pub fn is_at_work(&self) -> bool {
        let before = self.switches();
        std::thread::sleep(Duration::from_millis(10));
        before.is_some() && before != self.switches()
    }

    /// The counts of its context switches, as the kernel writes them.
    fn switches(&self) -> Option<Vec<String>> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid)).ok()?;
        let lines = status.lines().filter(|line| line.contains("ctxt_switches"));
        Some(lines.map(str::to_owned).collect())
    }

    /// Halts it wherever it is.
    pub fn halt(&self) {
        self.signal(Signal::STOP);
    }

    /// Lets it go on.
    pub fn resume(&self) {
        self.signal(Signal::CONT);
    }

    /// Ends it without a chance to tidy up, and waits until it is gone; `false` if it was already.
    pub fn kill(&self) -> bool {
        const PATIENCE: Duration = Duration::from_secs(10);
        if !self.signal(Signal::KILL) {
            return false;
        }
        let start = Instant::now();
        while Stat::of(self.pid).is_some_and(|stat| !stat.has_ended) && start.elapsed() < PATIENCE {
            std::thread::sleep(Duration::from_millis(1));
        }
        true
    }

    fn signal(&self, signal: Signal) -> bool {
        pidfd_send_signal(&self.handle, signal).is_ok()
    }
}

/// A variable of a process's environment, as it was when that began.
fn variable(pid: i32, name: &str) -> Option<String> {
    let environment = fs::read(format!("/proc/{pid}/environ")).ok()?;
    let mut variables = environment.split(|byte| *byte == 0);
    let is_it = |variable: &[u8]| {
        let value = variable.strip_prefix(name.as_bytes())?.strip_prefix(b"=")?;
        Some(String::from_utf8_lossy(value).into_owned())
    };
    variables.find_map(is_it)
}

/// The numbers of all processes.
fn processes() -> impl Iterator<Item = i32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

/// The state of a process, as the kernel reports it.
struct Stat {
    has_ended: bool,
    parent: i32,
    session: i32,
}

impl Stat {
    fn of(pid: i32) -> Option<Self> {
        let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The name before it may hold anything, parentheses too.
        let (_, fields) = text.rsplit_once(')')?;
        let fields: Vec<_> = fields.split_whitespace().collect();
        let number = |index: usize| fields.get(index)?.parse().ok();
        Some(Self {
            has_ended: matches!(fields.first(), Some(&("Z" | "X"))),
            parent: number(1)?,
            session: number(3)?,
        })
    }
}
