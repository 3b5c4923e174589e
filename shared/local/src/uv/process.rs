//! Running uv, within limits where it runs for others.

use std::future::pending;
use std::io;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Output, Stdio};
use std::time::Duration;

use accretion_core::limits::ResolutionLimits;
use accretion_egress::{AllowedHosts, EgressProxy, Origins, Routes, Stop};
use rustix::fs::statvfs;
use rustix::process::{Pid, Signal, kill_process_group};
#[cfg(target_os = "linux")]
use rustix::process::{Resource, Rlimit, prlimit};
use tokio::io::AsyncReadExt as _;
use tokio::process::{Child, Command};
use tokio::time::sleep;
use url::Url;

use super::{DEFAULT_INDEX, PROXIES};
use crate::Error;

/// The guard of a uv that resolves requirements of others.
///
/// It reaches the network through a proxy alone, which connects to no address of the machine
/// itself, and it is ended when it costs more than the limits.
#[derive(Debug, Clone, Default)]
pub struct Guard {
    /// The hosts that it may connect to, besides the indexes that were chosen.
    pub hosts: AllowedHosts,
    /// Indexes that the user chose, besides the default one.
    pub indexes: Vec<Url>,
    /// The limits of a run.
    pub limits: ResolutionLimits,
}

impl Guard {
    /// The servers that may be reached with a default index.
    pub(super) fn origins(&self, index: Option<&Url>) -> Origins {
        Origins {
            indexes: self.indexes.iter().chain(index).cloned().collect(),
            refuse_local: true,
            hosts: self.hosts.clone(),
        }
    }
}

/// A command that has run, and what it reached the network through.
pub(super) struct Ran {
    pub(super) output: Output,
    pub(super) proxy: Option<EgressProxy>,
}

/// Has a command reach the network through a proxy: a guarded one at all, any other one only the
/// index that stands for several.
pub(super) async fn proxied(
    command: &mut Command,
    origins: Origins,
    routes: Option<Routes>,
    guard: Option<&Guard>,
) -> Result<EgressProxy, Error> {
    if let Some(routes) = &routes {
        let name = if routes.have_default() {
            DEFAULT_INDEX
        } else {
            "UV_INDEX"
        };
        command.env(name, routes.url());
    }
    let traffic = guard.map_or(u64::MAX, |guard| guard.limits.traffic);
    let opened = EgressProxy::open(origins, traffic, routes).await;
    let proxy = opened.map_err(|error| unable(command, &error))?;
    if guard.is_some() {
        let proxies = ["ALL_PROXY", "HTTPS_PROXY", "HTTP_PROXY"];
        command.envs(proxies.map(|name| (name, proxy.url())));
        return Ok(proxy);
    }
    // What is encrypted goes the way that it always does.
    command
        .env_remove("http_proxy")
        .env("HTTP_PROXY", proxy.url());
    let everything = |name: &&str| {
        let variables = command.as_std().get_envs();
        let mut values = variables.filter(|(variable, _)| variable == name);
        values.any(|(_, value)| value.is_some_and(|value| value.to_string_lossy().contains('*')))
    };
    if ["NO_PROXY", "no_proxy"].iter().any(everything) {
        for name in PROXIES.iter().filter(|name| **name != "HTTP_PROXY") {
            command.env_remove(name);
        }
    }
    Ok(proxy)
}

/// Runs a command, which keeps in `cache` what it finds; a guarded one within its limits.
pub(super) async fn run(
    command: &mut Command,
    mut proxy: Option<EgressProxy>,
    guard: Option<&Guard>,
    cache: &Path,
) -> Result<Ran, Error> {
    let limits = guard.map_or_else(ResolutionLimits::default, |guard| guard.limits);
    let child = spawn(command)?;
    if guard.is_some() {
        limit(&child, &limits);
    }
    let over = |problem: String| Error::ResolutionOverLimit { problem };
    let stopped = async {
        match &mut proxy {
            Some(proxy) => proxy.stopped().await,
            None => pending().await,
        }
    };
    let output = tokio::select! {
        biased;
        stop = stopped => return Err(match stop {
            Stop::Refused(refusal) => {
                refusal.of("something that the requirements lead to".to_owned()).into()
            }
            Stop::Forbidden(explanation) => Error::IndexForbidden { explanation },
            Stop::Traffic => over(format!("it read more than {} bytes", limits.traffic)),
        }),
        problem = over_limit(guard, cache) => return Err(over(problem)),
        ended = output(child, limits.output) => ended.map_err(|error| unable(command, &error))?,
    };
    match guard.and_then(|_| limit_hit(&output, &limits)) {
        Some(problem) => Err(over(problem)),
        None => Ok(Ran { output, proxy }),
    }
}

/// Waits until a guarded command costs more than it may.
async fn over_limit(guard: Option<&Guard>, cache: &Path) -> String {
    let Some(Guard { limits, .. }) = guard else {
        return pending().await;
    };
    tokio::select! {
        biased;
        () = sleep(limits.time) => format!("it took more than {} seconds", limits.time.as_secs()),
        () = disk_is_full(cache, limits.free) => {
            format!("it left less than {} bytes free of the disk", limits.free)
        }
    }
}

fn spawn(command: &mut Command) -> Result<Child, Error> {
    // What uv writes there, it writes into files as well.
    command.stdout(Stdio::null()).stderr(Stdio::piped());
    command.spawn().map_err(|error| unable(command, &error))
}

fn unable(command: &Command, error: &io::Error) -> Error {
    let program = command.as_std().get_program().display();
    Error::UvFailed {
        output: format!("{program} cannot be run: {error}"),
    }
}

/// The output of a process, up to a limit, and its exit status. Dropped before, this ends it, with all
/// that it runs.
fn output(mut child: Child, limit: u64) -> impl Future<Output = io::Result<Output>> {
    let group = Group(pid(&child));
    async move {
        let mut stderr = Vec::new();
        if let Some(pipe) = child.stderr.take() {
            // Output beyond the limit is dropped.
            pipe.take(limit).read_to_end(&mut stderr).await?;
        }
        let status = child.wait().await?;
        // It has ended by itself, and no process is left to end.
        std::mem::forget(group);
        Ok(Output {
            status,
            stdout: Vec::new(),
            stderr,
        })
    }
}

/// Waits until there is little left of the disk that a folder is on.
async fn disk_is_full(folder: &Path, free: u64) {
    const PAUSE: Duration = Duration::from_millis(200);
    loop {
        sleep(PAUSE).await;
        // A disk that cannot be asked is not to be in the way.
        if statvfs(folder).is_ok_and(|disk| disk.f_bavail.saturating_mul(disk.f_frsize) < free) {
            return;
        }
    }
}

fn pid(child: &Child) -> Option<Pid> {
    let id = child.id().and_then(|id| i32::try_from(id).ok());
    id.and_then(Pid::from_raw)
}

/// Has the system end a process, or what it runs, that takes too much. Only functions have limits, and
/// they run on Linux.
#[cfg(not(target_os = "linux"))]
fn limit(_child: &Child, _limits: &ResolutionLimits) {}

/// Has the system end a process, or what it runs, that takes too much.
#[cfg(target_os = "linux")]
fn limit(child: &Child, limits: &ResolutionLimits) {
    let Some(process) = pid(child) else {
        return;
    };
    for (resource, limit) in [
        (Resource::Data, limits.memory),
        (Resource::Fsize, limits.file),
        // What is left behind when it is ended.
        (Resource::Core, 0),
    ] {
        let limit = Rlimit {
            current: Some(limit),
            maximum: Some(limit),
        };
        // It may have ended by itself just now.
        let _ = prlimit(Some(process), resource, limit);
    }
}

/// The limit of the system that a process has hit.
fn limit_hit(output: &Output, limits: &ResolutionLimits) -> Option<String> {
    const FILE_SIZE_SIGNAL: i32 = Signal::XFSZ.as_raw();
    let stderr = String::from_utf8_lossy(&output.stderr);
    let has = |words: &str| !output.status.success() && stderr.contains(words);
    if has("memory allocation of ") || has("Cannot allocate memory") || has("MemoryError") {
        Some(format!(
            "it took more than {} bytes of memory",
            limits.memory
        ))
    } else if output.status.signal() == Some(FILE_SIZE_SIGNAL) || has("File too large") {
        Some(format!(
            "it wrote a file of more than {} bytes",
            limits.file
        ))
    } else {
        None
    }
}

/// uv and what it runs, ended when dropped: to end uv alone would leave the build of a source
/// distribution running.
struct Group(Option<Pid>);

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            // It may have ended by itself just now.
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}
