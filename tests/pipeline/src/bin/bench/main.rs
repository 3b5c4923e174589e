//! `make bench-pipeline`: how long the pipeline takes from a request to its notifications, how much
//! it takes at once, and what its functions weigh. Prints Markdown for docs/benchmarks.md.

mod start;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io::{Cursor, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use pipeline_tests::sam::{self, Profile};
use pipeline_tests::{Error, Filter, MiniStack, Options, Result, Stack, Subscription, workspace};

/// The stack's name.
const STACK: &str = "accretion";

/// The time limit for anything that is bound to happen.
const PATIENCE: Duration = Duration::from_mins(15);

/// Rounds of each measurement.
const ROUNDS: usize = 11;

/// Requests that are dropped at once.
const BURST: usize = 40;

/// Layers of a request.
const TARGETS: usize = 6;

/// The requests: a name, and a file of the examples.
const SETS: [(&str, &str); 2] = [
    ("web", "examples/web/requirements.txt"),
    ("data-tools", "examples/data-tools.json"),
];

fn main() -> ExitCode {
    let outcome = tokio::runtime::Runtime::new()
        .map_err(|error| Error::Unexpected(error.to_string()))
        .and_then(|runtime| runtime.block_on(run()));
    match outcome {
        Ok(report) => {
            anstream::println!("{report}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            anstream::eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<String> {
    let template = match std::env::var_os("ACCRETION_RELEASE_TEMPLATE") {
        Some(template) => PathBuf::from(template),
        None => sam::build(Profile::Release).await?,
    };
    let log = workspace::root().join("target/tmp/bench/ministack.log");
    let options = Options {
        enforce_iam: false,
        cache: Some(workspace::root().join(".tools/cache/demo")),
    };
    let server = MiniStack::start(&log, &options)?;
    sam::deploy(&server, STACK, &template).await?;
    let stack = Stack::connect(&server.endpoint(), STACK).await?;
    let all = stack.subscribe("bench", &Filter::None).await?;

    let mut report = String::new();
    packages(&template, &mut report).await?;
    latency(&stack, &all, &mut report).await?;
    burst(&stack, &all, &mut report).await?;
    Ok(report)
}

/// Measures the size of the functions, and how soon they begin to work.
async fn packages(template: &Path, report: &mut String) -> Result<()> {
    line(
        report,
        "| function | package, zipped | goal | process start to first poll | goal |",
    );
    line(report, "| --- | ---: | ---: | ---: | ---: |");
    for (name, goal) in [("Dispatcher", 6), ("Builder", 25), ("Publisher", 6)] {
        let folder = template.with_file_name(format!("{name}Function"));
        let mut times = Vec::new();
        for _ in 0..ROUNDS {
            times.push(start::until_first_poll(&folder).await?);
        }
        let name = name.to_lowercase();
        #[expect(clippy::cast_precision_loss, reason = "one decimal is shown")]
        let size = zipped(&folder)? as f64 / f64::from(1 << 20);
        let start = Spread::of(times);
        let text = format!(
            "| {name} | {size:.1} MiB | ≤ {goal} MiB | {} ms | ≤ 50 ms |",
            start.show(1000.0, 1)
        );
        line(report, &text);
    }
    Ok(())
}

/// Bytes of a package as `sam deploy` uploads it.
fn zipped(folder: &Path) -> Result<usize> {
    let unreadable = |error: std::io::Error| Error::Unexpected(error.to_string());
    let mut package = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for entry in fs::read_dir(folder).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        let bytes = fs::read(entry.path()).map_err(unreadable)?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let started = package.start_file(name, zip::write::SimpleFileOptions::default());
        started.map_err(|error| Error::Unexpected(error.to_string()))?;
        package.write_all(&bytes).map_err(unreadable)?;
    }
    let package = package.finish();
    let package = package.map_err(|error| Error::Unexpected(error.to_string()))?;
    Ok(package.into_inner().len())
}

/// From the drop to the last notification.
async fn latency(stack: &Stack, all: &Subscription, report: &mut String) -> Result<()> {
    line(
        report,
        "\n| request, wheels cached | layers | drop to last notification | goal |",
    );
    line(report, "| --- | ---: | ---: | ---: |");
    for (name, file) in SETS {
        let goal = if name == "web" { "≤ 1.0 s" } else { "" };
        // The first fills the cache and starts the functions.
        drop_and_wait(stack, all, file, &[format!("{name}-warm")]).await?;
        let mut times = Vec::new();
        for round in 0..ROUNDS {
            let project = format!("{name}-{round}");
            times.push(drop_and_wait(stack, all, file, &[project]).await?);
        }
        let times = Spread::of(times);
        let text = format!(
            "| `{file}` | {TARGETS} | {} s | {goal} |",
            times.show(1.0, 2)
        );
        line(report, &text);
    }
    Ok(())
}

/// Many requests at once.
async fn burst(stack: &Stack, all: &Subscription, report: &mut String) -> Result<()> {
    let (_, file) = SETS[0];
    let projects: Vec<_> = (0..BURST).map(|index| format!("burst-{index}")).collect();
    let took = drop_and_wait(stack, all, file, &projects)
        .await?
        .as_secs_f64();
    #[expect(clippy::cast_precision_loss, reason = "they are few")]
    let rate = (BURST * TARGETS) as f64 / took;
    let text = format!(
        "\n{BURST} such requests at once, {} layers: all published and announced, none twice, in \
         {took:.1} s ({rate:.0} layers a second).",
        BURST * TARGETS
    );
    line(report, &text);
    Ok(())
}

/// Drops a file of the examples for each project and waits until all layers of all are announced;
/// returns how long that took.
async fn drop_and_wait(
    stack: &Stack,
    all: &Subscription,
    file: &str,
    projects: &[String],
) -> Result<Duration> {
    let path = workspace::root().join(file);
    let content = fs::read_to_string(&path).map_err(|source| Error::Io {
        path: path.clone(),
        source,
    })?;
    let start = Instant::now();
    for project in projects {
        let (key, body) = if path.extension().is_some_and(|it| it == "json") {
            let body = content.replace("\"data-tools\"", &format!("\"{project}\""));
            (format!("{project}.json"), body)
        } else {
            (
                format!("requests/{project}/requirements.txt"),
                content.clone(),
            )
        };
        stack.drop_into_inbox(&key, body).await?;
    }
    let count = projects.len() * TARGETS;
    let mut events = BTreeMap::new();
    while events.len() < count {
        if start.elapsed() > PATIENCE {
            let what = format!("{count} notifications, only {}", events.len());
            return Err(Error::Timeout {
                what,
                after: PATIENCE,
            });
        }
        for said in all.receive(PATIENCE).await? {
            if said.text("Event") != "LayerPublished" {
                return Err(Error::Unexpected(said.body.to_string()));
            }
            *events.entry(said.text("EventId").to_owned()).or_insert(0) += 1;
        }
    }
    let took = start.elapsed();
    // A repetition would come soon.
    let repeated = all.receive(Duration::from_secs(1)).await?;
    if events.values().any(|times| *times > 1) || !repeated.is_empty() {
        return Err(Error::Unexpected("a notification came twice".to_owned()));
    }
    Ok(took)
}

fn line(report: &mut String, text: &str) {
    // Writing to a string does not fail.
    let _ = writeln!(report, "{text}");
}

/// A median and what is around it.
struct Spread {
    sorted: Vec<Duration>,
}

impl Spread {
    fn of(mut times: Vec<Duration>) -> Self {
        times.sort();
        Self { sorted: times }
    }

    /// The median, and the fastest and the slowest in brackets.
    fn show(&self, factor: f64, decimals: usize) -> String {
        let at = |index: usize| self.sorted[index].as_secs_f64() * factor;
        let last = self.sorted.len() - 1;
        let (median, low, high) = (at(last / 2), at(0), at(last));
        format!("{median:.decimals$} ({low:.decimals$} to {high:.decimals$})")
    }
}
