//! MiniStack, the emulator of AWS, as a process that ends with the one that started it.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::atomic::AtomicI64;
use std::time::{Duration, Instant};

use aws_config::SdkConfig;

use crate::aws::configuration;
use crate::logs::CANARY;
use crate::workspace::{REGION, command, path, tool};
use crate::{Error, Result};

/// A server on a free port of 127.0.0.1, with no state but what it was given.
///
/// It ends, and with it every function that it runs, when this is dropped and also when this
/// process ends in any other way. Before it is dropped, its logs are
/// [searched](Self::search_logs).
#[derive(Debug)]
pub struct MiniStack {
    guard: Child,
    pub(crate) port: u16,
    log: PathBuf,
    is_up: bool,
    /// Up to when its logs were searched, in milliseconds since 1970.
    pub(crate) searched_until: AtomicI64,
}

/// The options of a server.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// True if each call needs a policy that allows it.
    pub enforce_iam: bool,
    /// The folder in which the builder stores wheels; by default one that ends with the server.
    pub cache: Option<PathBuf>,
}

/// The time limit for a server to answer.
const PATIENCE: Duration = Duration::from_mins(1);

impl MiniStack {
    /// Starts a server and waits until it answers. `log` takes what it says, and is emptied first.
    pub fn start(log: &Path, options: &Options) -> Result<Self> {
        let parent = log.parent().unwrap_or(Path::new("."));
        fs::create_dir_all(parent).map_err(Error::io(parent))?;
        // Somebody may take the port between our finding it free and the server's binding it.
        let mut attempts = 3;
        loop {
            attempts -= 1;
            let mut server = Self::launch(log, options)?;
            match server.wait() {
                Err(Error::Emulator { log, .. })
                    if attempts > 0 && log.contains("already in use") => {}
                Err(error) => return Err(error),
                Ok(()) => return Ok(server),
            }
        }
    }

    fn launch(log: &Path, options: &Options) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
        let port = listener
            .and_then(|listener| listener.local_addr())
            .map_err(Error::io(Path::new("127.0.0.1")))?
            .port();
        let folder = tempfile::Builder::new()
            .prefix("accretion-ministack-")
            .tempdir()
            .map_err(Error::io(&std::env::temp_dir()))?;
        for name in ["tmp", "home"] {
            let path = folder.path().join(name);
            fs::create_dir(&path).map_err(Error::io(&path))?;
        }
        let cache = folder.path().join("cache");
        fs::write(log, "").map_err(Error::io(log))?;

        let python = tool("python");
        let mut command = command(&python).into_std();
        command
            .args(["-I", "-c", include_str!("guard.py")])
            .args([folder.path(), log])
            .arg(&python)
            .args(["-I", "-c", include_str!("server.py")])
            .env("PATH", path())
            .env("BIND_HOST", "127.0.0.1")
            .env("GATEWAY_PORT", port.to_string())
            .env("IOT_MTLS_ENABLED", "0")
            .env("SFTP_ENABLED", "0")
            .env("MINISTACK_REGION", REGION)
            // Functions inherit it.
            .env("AWS_ENDPOINT_URL", format!("http://127.0.0.1:{port}"))
            .env("AUTH", options.enforce_iam.to_string())
            // What functions get, where they get no session of their role: to be recognised.
            .env("AWS_SECRET_ACCESS_KEY", format!("{CANARY}-secret"))
            .env("TMPDIR", folder.path().join("tmp"))
            .env("HOME", folder.path().join("home"))
            .env("STATE_DIR", folder.path().join("state"))
            .env("S3_DATA_DIR", folder.path().join("s3"))
            .env("CACHE_FOLDER", options.cache.clone().unwrap_or(cache))
            .current_dir(folder.path())
            // Ctrl-C on a terminal is for the caller alone.
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let guard = command.spawn().map_err(|source| Error::ToolMissing {
            program: python.display().to_string(),
            source,
        })?;
        // From here on it is the guard's.
        let _ = folder.keep();
        Ok(Self {
            guard,
            port,
            log: log.to_owned(),
            is_up: false,
            searched_until: AtomicI64::new(0),
        })
    }

    fn wait(&mut self) -> Result<()> {
        let start = Instant::now();
        while !self.answers() {
            let ended = self.guard.try_wait().map_err(Error::io(&self.log))?;
            let problem = match ended {
                Some(status) => format!("ended ({status})"),
                None if start.elapsed() > PATIENCE => "did not answer".to_owned(),
                None => {
                    std::thread::sleep(Duration::from_millis(20));
                    continue;
                }
            };
            let log = self.log_tail();
            return Err(Error::Emulator { problem, log });
        }
        self.is_up = true;
        Ok(())
    }

    /// Returns whether the server at this port is up and is ours.
    fn answers(&self) -> bool {
        let ask = || -> std::io::Result<Vec<u8>> {
            let address = SocketAddr::from((Ipv4Addr::LOCALHOST, self.port));
            let mut stream = TcpStream::connect(address)?;
            stream.set_read_timeout(Some(Duration::from_secs(5)))?;
            stream.write_all(b"GET /_ministack/ready HTTP/1.0\r\nHost: localhost\r\n\r\n")?;
            let mut answer = Vec::new();
            stream.read_to_end(&mut answer)?;
            Ok(answer)
        };
        ask().is_ok_and(|answer| answer.split(|byte| *byte == b' ').nth(1) == Some(b"200"))
    }

    /// The URL at which AWS SDKs reach it.
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The configuration of clients that call it.
    pub fn configuration(&self) -> SdkConfig {
        configuration(&self.endpoint())
    }

    /// The process that started it, and ends all of it.
    pub(crate) fn guard(&self) -> u32 {
        self.guard.id()
    }

    /// The path of its full log.
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// The end of its log, for messages.
    pub fn log_tail(&self) -> String {
        const LINES: usize = 60;
        let log = fs::read(&self.log).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let lines: Vec<_> = log.lines().collect();
        lines[lines.len().saturating_sub(LINES)..].join("\n")
    }
}

impl Drop for MiniStack {
    /// Checks that no secret was logged until then, and ends the server.
    fn drop(&mut self) {
        let is_to_be_searched = self.is_up && !std::thread::panicking();
        let searched = is_to_be_searched.then(|| self.search_logs());
        drop(self.guard.stdin.take());
        // Nothing to do about a guard that is gone already.
        let _ = self.guard.wait();
        if let Some(Err(error)) = searched {
            panic!("{error}");
        }
    }
}
