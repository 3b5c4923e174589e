//! `make demo`: the whole pipeline on this machine, with an emulator in the place of AWS.
//!
//! It drops the examples into the inbox, shows how their layers come about, and takes everything
//! down again, also on ctrl-C. Layers and logs are left in `dist/demo`, or in the folder that it is
//! given.

mod screen;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use accretion_core::request::RequestId;
use pipeline_tests::{
    Error, Filter, MiniStack, Notification, Options, Result, Stack, Subscription, Table, sam,
    workspace,
};
use serde_json::Value;

use crate::screen::{Progress, bold, good, heading, say};

/// The time limit for anything that is bound to happen. Large wheels come over the network.
const PATIENCE: Duration = Duration::from_mins(15);

/// The stack's name.
const STACK: &str = "accretion";

/// The objects that are dropped: a file of the examples, and its key in the inbox.
const EXAMPLES: [(&str, &str); 2] = [
    ("examples/data-tools.json", "data-tools.json"),
    (
        "examples/web/requirements.txt",
        "requests/web/requirements.txt",
    ),
];

/// A slip that happens, and its key in the inbox.
const MISTAKE: (&str, &str) = (
    "fastapi ~= 0.115\nhttpx => 0.28\n",
    "requests/web/requirements.txt",
);

fn main() -> ExitCode {
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => {
            anstream::eprintln!("error: no threads can be started: {error}");
            return ExitCode::FAILURE;
        }
    };
    let outcome = runtime.block_on(async {
        // Whichever is first, the other is dropped, and the emulator with it. In this order ctrl-C is
        // listened for before anything is started.
        tokio::select! {
            biased;
            _ = tokio::signal::ctrl_c() => Ok(ExitCode::from(130)),
            outcome = run() => outcome.map(|()| ExitCode::SUCCESS),
        }
    });
    match outcome {
        Ok(code) => {
            if code != ExitCode::SUCCESS {
                say("\nstopped; nothing is left running");
            }
            code
        }
        Err(error) => {
            anstream::eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<()> {
    let default = || workspace::root().join("dist/demo");
    let folder = std::env::args_os()
        .nth(1)
        .map_or_else(default, PathBuf::from);
    let log = folder.join("ministack.log");
    heading("The pipeline on this machine: no AWS account, nothing but 127.0.0.1");
    let (server, stack) = start(&log).await?;
    let all = stack.subscribe("demo", &Filter::None).await?;

    heading("Drop requests into the inbox");
    let mut requests = Vec::new();
    for (file, key) in EXAMPLES {
        requests.push(drop_file(&stack, file, key).await?);
    }
    let layers = show_outcome(&stack, &all, &requests).await?;

    let (file, key) = EXAMPLES[0];
    heading("Drop one again: nothing has changed, so nothing is published");
    let request = drop_file(&stack, file, key).await?;
    show_outcome(&stack, &all, &[request]).await?;

    let (text, key) = MISTAKE;
    heading("Drop one with a mistake in it");
    let request = drop_into_inbox(&stack, "two lines", text.as_bytes().to_vec(), key).await?;
    show_outcome(&stack, &all, &[request]).await?;

    heading("What is left");
    let saved = save(&stack, &layers, &folder).await?;
    drop(server);
    let relative = |path: &Path| {
        path.strip_prefix(workspace::root())
            .unwrap_or(path)
            .display()
            .to_string()
    };
    say(&format!("layers   {}, {saved}", relative(&folder)));
    say(&format!("log      {}", relative(&log)));
    say("running  nothing");
    Ok(())
}

/// Builds what `make` has not built, starts the emulator, deploys the stack.
async fn start(log: &Path) -> Result<(MiniStack, Stack)> {
    let step = Step::begin("build", "three functions, with the SAM CLI");
    let template = sam::built().await?;
    step.end();

    let options = Options {
        enforce_iam: false,
        cache: Some(workspace::root().join(".tools/cache/demo")),
    };
    let step = Step::begin("start", "MiniStack, an emulator of AWS");
    let server = MiniStack::start(log, &options)?;
    step.end();
    let step = Step::begin("deploy", "the stack, with the SAM CLI");
    sam::deploy(&server, STACK, &template).await?;
    let stack = Stack::connect(&server.endpoint(), STACK).await?;
    step.end();
    Ok((server, stack))
}

/// A step of the preparations, which says how long it took.
struct Step {
    start: Instant,
}

impl Step {
    fn begin(name: &str, what: &str) -> Self {
        screen::begin(&format!("{name:<8} {what:<40}"));
        Self {
            start: Instant::now(),
        }
    }

    fn end(self) {
        say(&format!("{:>6.1} s", self.start.elapsed().as_secs_f64()));
    }
}

/// A request that was dropped.
struct Dropped {
    id: String,
    at: Instant,
}

async fn drop_file(stack: &Stack, file: &str, key: &str) -> Result<Dropped> {
    let path = workspace::root().join(file);
    let body = fs::read(&path).map_err(|source| Error::Io { path, source })?;
    drop_into_inbox(stack, file, body, key).await
}

async fn drop_into_inbox(stack: &Stack, what: &str, body: Vec<u8>, key: &str) -> Result<Dropped> {
    let version = stack.drop_into_inbox(key, body).await?;
    let at = Instant::now();
    let inbox = stack.output("InboxBucketName");
    say(&format!("{what} → s3://{inbox}/{key}"));
    let id = RequestId::of_object(inbox, key, &version).to_string();
    Ok(Dropped { id, at })
}

/// Follows requests to their end and shows what was said of them; returns the ARNs of the layer
/// versions that are new.
async fn show_outcome(
    stack: &Stack,
    all: &Subscription,
    requests: &[Dropped],
) -> Result<Vec<String>> {
    let mut notifications = follow(stack, all, requests).await?;
    notifications.sort_by_key(|it| it.text("VersionArn").to_owned());
    let mut arns = Vec::new();
    for notification in &notifications {
        show(notification);
        if notification.text("Event") == "LayerPublished" {
            arns.push(notification.text("VersionArn").to_owned());
        }
    }
    Ok(arns)
}

/// Shows how the targets of requests come along until all of them have come to an end, and returns
/// what was said of them.
async fn follow(
    stack: &Stack,
    all: &Subscription,
    requests: &[Dropped],
) -> Result<Vec<Notification>> {
    let mut progress = Progress::default();
    let mut notifications: BTreeMap<String, Notification> = BTreeMap::new();
    let start = requests
        .first()
        .map_or_else(Instant::now, |request| request.at);
    loop {
        let mut is_done = true;
        for request in requests {
            is_done &= look(stack, request, &mut progress).await?;
        }
        for notification in all.receive(Duration::ZERO).await? {
            // A repetition has the same id.
            notifications.insert(notification.text("EventId").to_owned(), notification);
        }
        if is_done && notifications.len() >= progress.len() {
            return Ok(notifications.into_values().collect());
        }
        if start.elapsed() > PATIENCE {
            let what = "end of the requests".to_owned();
            return Err(Error::Timeout {
                what,
                after: PATIENCE,
            });
        }
        tokio::time::sleep(Duration::from_millis(40)).await;
    }
}

/// Shows how far a request has come; whether it has come to an end.
async fn look(stack: &Stack, request: &Dropped, progress: &mut Progress) -> Result<bool> {
    let items = stack.items(Table::Requests, &request.id).await?;
    let Some(whole) = items.get("request") else {
        return Ok(false);
    };
    let text = |item: &Value, field: &str| item[field].as_str().unwrap_or_default().to_owned();
    let after = request.at.elapsed();
    if text(whole, "Status") == "Rejected" {
        return Ok(progress.set("request", "Rejected", after));
    }
    let targets = items.iter().filter(|(name, _)| *name != "request");
    let mut is_done = true;
    for (_, item) in targets {
        is_done &= progress.set(&text(item, "LayerName"), &text(item, "Status"), after);
    }
    Ok(is_done)
}

fn show(notification: &Notification) {
    let event = notification.text("Event");
    let arn = notification.text("VersionArn");
    if !arn.is_empty() {
        say(&format!("{} {arn}", good(event)));
        return;
    }
    say(&bold(event));
    for line in notification.text("Reason").lines() {
        say(&format!("  {line}"));
    }
    let hint = notification.text("Hint");
    if !hint.is_empty() {
        say(&format!("  hint: {hint}"));
    }
}

/// Downloads layer versions; says how many there are and how large they are.
async fn save(stack: &Stack, arns: &[String], folder: &Path) -> Result<String> {
    let mut bytes = 0;
    for arn in arns {
        let mut parts = arn.rsplit(':');
        let (version, layer) = (
            parts.next().unwrap_or_default(),
            parts.next().unwrap_or_default(),
        );
        let layer_version = stack
            .layer_version(layer, version.parse().unwrap_or_default())
            .await?;
        let path = folder.join(format!("{layer}.zip"));
        bytes += layer_version.content.len();
        fs::write(&path, layer_version.content).map_err(|source| Error::Io { path, source })?;
    }
    #[expect(clippy::cast_precision_loss, reason = "one decimal is shown")]
    let mib = bytes as f64 / f64::from(1 << 20);
    Ok(format!("{} zips, {mib:.1} MiB", arns.len()))
}
