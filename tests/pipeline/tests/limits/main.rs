//! The limits and choices of an operator, on the deployed stack. Requests try to exhaust each
//! limit: the tests measure their cost, and check that the functions do the next request's work as
//! if nothing had happened. Sources are built, and hosts reached, only if that is allowed.

#![expect(
    clippy::print_stdout,
    reason = "the figures are shown with --nocapture"
)]

mod choices;
mod costs;
mod indexes;
mod waits;
mod wheels;

use std::path::Path;
use std::time::{Duration, Instant};

use accretion_core::limits::Limits;
use accretion_testing::index::{Fault, PackageIndex};
use pipeline_tests::testbed::{STACK, Testbed};
use pipeline_tests::{Filter, Notification, Options, Result, Stack, Subscription, sam};
use serde_json::{Value, json};

use crate::costs::Watch;

/// The time limit for anything that is bound to happen: far longer than it takes, and less than the
/// builder's timeout, which must not be what ends a build.
const PATIENCE: Duration = Duration::from_mins(4);

const MIB: u64 = 1 << 20;

/// The limits that are the operator's, lowered: what they are does not matter here.
const PARAMETERS: [(&str, &str); 4] = [
    ("MaximumWheelMiB", "32"),
    ("MaximumDownloadMiB", "80"),
    ("MaximumDownloadSeconds", "5"),
    ("MaximumResolutionSeconds", "20"),
];

/// The size of pages, a wheel of some kilobytes and full buffers of a few sockets.
const SLACK: u64 = 24 * MIB;

/// A request that goes for a limit.
struct Case {
    name: &'static str,
    body: Vec<u8>,
    /// The code of its outcome.
    code: &'static str,
    /// Bytes that may be read from the index on the way.
    traffic: u64,
}

fn case(name: &'static str, body: impl Into<Vec<u8>>, code: &'static str, traffic: u64) -> Case {
    Case {
        name,
        body: body.into(),
        code,
        traffic,
    }
}

/// A request for one target.
fn request(kind: &str, requirements: &str) -> Value {
    json!({
        "Name": "limits",
        "Language": "python",
        "Requirements": {"Type": kind, "Requirements": requirements},
        "Runtimes": ["python3.13"],
        "Architectures": ["x86_64"],
    })
}

fn requirements(text: &str) -> String {
    request("requirements.txt", text).to_string()
}

#[test]
#[ignore = "long: `make test-all` runs it"]
fn what_the_operator_allows_and_nothing_more() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("limits");
    let testbed = Testbed::start(&folder, &Options::default()).unwrap();
    testbed.run(async {
        let index = PackageIndex::start(wheels::all());
        index.add(choices::source());
        let said = testbed.stack.subscribe("limits", &Filter::None).await?;
        exhaust(&testbed, &index, &said).await?;
        choices::sources(&testbed, &said).await?;
        choices::hosts(&testbed, &said).await
    });
}

async fn exhaust(testbed: &Testbed, index: &PackageIndex, said: &Subscription) -> Result<()> {
    index.fault("/simple/stalled/", Fault::Stall);
    index.fault("/simple/endless/", Fault::Endless);
    index.fault("trickle-1.0-py3-none-any.whl", Fault::Slow(20));
    let url = index.url();
    let mut parameters = vec![("IndexUrl", url.as_str())];
    parameters.extend(PARAMETERS);
    let template = sam::built().await?;
    sam::change_parameters(&testbed.server, STACK, &template, &parameters).await?;

    let stack = &testbed.stack;
    // Starts the functions.
    good(stack, said, "start").await?;
    println!(
        "    {:<24} {:>8} {:>8} {:>9}",
        "", "seconds", "MiB", "MiB read"
    );
    let watch = Watch::new(&testbed.server);
    let sent = index.sent();
    let usual = good(stack, said, "usual").await?;
    show("a good request", usual, &watch, index.sent() - sent);
    for case in cases(index) {
        watch.reset();
        let sent = index.sent();
        let start = Instant::now();
        let key = format!("{}.json", case.name.replace(' ', "-"));
        stack.drop_into_inbox(&key, case.body).await?;
        let notification = one(said).await?;
        let took = start.elapsed();
        assert!(
            codes(&notification).contains(&case.code),
            "{}: {}",
            case.name,
            notification.body
        );
        let read = index.sent() - sent;
        show(case.name, took, &watch, read);
        assert!(read <= case.traffic + SLACK, "{}: {read} bytes", case.name);
        assert!(
            watch.peak() < 1769 * MIB,
            "{}: {} bytes of memory",
            case.name,
            watch.peak()
        );
        // The same processes go on: Lambda would have had to start others for those that it ended.
        good(stack, said, case.name).await?;
        watch.holds_that_none_was_replaced(case.name);
    }
    Ok(())
}

fn show(name: &str, took: Duration, watch: &Watch<'_>, read: u64) {
    let (seconds, memory, read) = (took.as_secs_f64(), watch.peak() / MIB, read.div_ceil(MIB));
    println!("    {name:<24} {seconds:>8.1} {memory:>8} {read:>9}");
}

/// Has a small layer built and published.
async fn good(stack: &Stack, said: &Subscription, after: &str) -> Result<Duration> {
    let start = Instant::now();
    let mut request = request("requirements.txt", "good");
    // Otherwise nothing would have changed.
    request["Name"] = json!(format!(
        "good-{}",
        after.replace(|c: char| !c.is_alphanumeric(), "-")
    ));
    stack
        .drop_into_inbox("good.json", request.to_string())
        .await?;
    let notification = one(said).await?;
    assert_eq!(
        notification.text("Event"),
        "LayerPublished",
        "after {after}: {}",
        notification.body
    );
    Ok(start.elapsed())
}

async fn one(said: &Subscription) -> Result<Notification> {
    let mut notifications = said.wait_for(1, PATIENCE).await?;
    Ok(notifications.remove(0))
}

/// The codes of a rejection or of a failure.
fn codes(notification: &Notification) -> Vec<&str> {
    let codes = notification.body["Codes"].as_array();
    let codes = codes.into_iter().flatten().filter_map(Value::as_str);
    codes.chain(notification.body["Code"].as_str()).collect()
}

fn cases(index: &PackageIndex) -> Vec<Case> {
    let mut cases = refused_as_they_are();
    cases.extend(stopped_on_the_way(index));
    cases
}

/// Requests that are refused without a download.
fn refused_as_they_are() -> Vec<Case> {
    let large = " ".repeat(Limits::REQUEST_BYTES).replacen(' ', "{", 1) + "}";
    let names: Vec<_> = (0..=Limits::REQUIREMENTS)
        .map(|n| format!("p{n}"))
        .collect();
    let many = requirements(&names.join("\n"));
    let costly = requirements(&costly_markers());
    vec![
        case("request", large, "TooLarge", 0),
        case("requirements", many, "TooManyRequirements", 0),
        case("markers", costly, "MarkerInvalid", 0),
        case(
            "packages",
            lock_of(Limits::PACKAGES + 1),
            "TooManyPackages",
            0,
        ),
    ]
}

/// Requests that are resolved, downloaded and unpacked until they exceed a limit.
fn stopped_on_the_way(index: &PackageIndex) -> Vec<Case> {
    const RESOLUTION: &str = "ResolutionOverLimit";
    const WHEEL: &str = "WheelOverLimit";

    let traffic = Limits::default().resolution.traffic;
    let url = index.file_url("unpacked-1.0-py3-none-any.whl");
    let unpacked = format!("unpacked @ {url}");
    let rows = [
        ("resolution time", "stalled", RESOLUTION, 0),
        ("resolution traffic", "endless", RESOLUTION, traffic),
        ("resolution memory", "swollen", RESOLUTION, 32 * MIB),
        ("resolution file", &unpacked, RESOLUTION, 32 * MIB),
        ("download", "large", "DownloadTooLarge", 32 * MIB),
        (
            "downloads",
            "one\ntwo\nthree",
            "DownloadsTooLarge",
            80 * MIB,
        ),
        ("download time", "trickle", "DownloadTooSlow", 32 * MIB),
        ("entries", "entries", WHEEL, 32 * MIB),
        ("unpacked bytes", "bomb", WHEEL, 32 * MIB),
        ("ratio", "dense", WHEEL, 32 * MIB),
        ("metadata", "wordy", WHEEL, 32 * MIB),
        ("path", "deep", WHEEL, 32 * MIB),
        ("layer", "half\nother", "LayerTooLarge", 32 * MIB),
    ];
    let cases =
        rows.map(|(name, text, code, traffic)| case(name, requirements(text), code, traffic));
    cases.into()
}

/// As many lines as there may be, each with as costly a marker as there may be.
fn costly_markers() -> String {
    let keys = [
        "os_name",
        "sys_platform",
        "platform_machine",
        "platform_release",
        "platform_system",
        "platform_version",
    ];
    let line = |n: usize| {
        let pairs = keys.map(|key| format!("({key} == '{n}' or '{key}{n}' in {key})"));
        format!("p{n} ; {}\n", pairs.join(" and "))
    };
    (0..Limits::REQUIREMENTS).map(line).collect()
}

/// A lock of so many packages.
fn lock_of(count: usize) -> String {
    let package = |n: usize| {
        format!(
            "\n[[packages]]\nname = \"p{n}\"\nversion = \"1\"\nwheels = [{{ url = \
             \"https://files.invalid/p{n}-1-py3-none-any.whl\", hashes = {{ sha256 = \"{n:064}\" \
             }} }}]\n"
        )
    };
    let head = "lock-version = \"1.0\"\ncreated-by = \"test\"\n".to_owned();
    let lock = (0..count)
        .map(package)
        .fold(head, |lock, package| lock + &package);
    request("pylock.toml", &lock).to_string()
}
