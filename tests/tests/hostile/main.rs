//! Hostile input on the whole way through the pipeline: what it comes to, and that nothing of it is
//! left behind.
//!
//! Requests, events and messages go through the use case *dispatch*, wheels and lock files through
//! the use case *build* with the real downloads, cache and uv and an index on this machine,
//! manifests through *publish*. Every case is held against a snapshot of all that there was before:
//! tables, buckets, executions, layer versions, pointers, and each file around the builder.
//!
//! To add a case, add a row to the table of its kind. A row whose code is wrong says what it came
//! to. `cargo test -p integration-tests --test hostile -- --nocapture` shows how many of a kind
//! there are.

#![expect(clippy::unwrap_used, reason = "what fails in a helper fails the test")]
#![expect(
    clippy::print_stdout,
    reason = "how many cases there are is a part of what the test is for"
)]
#![expect(
    clippy::too_many_lines,
    reason = "tables are as long as what they list"
)]

mod case;
mod deliveries;
mod files;
mod keys;
mod locks;
mod manifests;
mod owners;
mod requests;
mod requirements;
mod site;
mod wheels;

use std::collections::BTreeMap;
use std::path::Path;

use accretion_core::digest::Sha256;
use accretion_service::dispatch::Outcome;
use accretion_testing::forge::zip::Archive;

use crate::case::{Case, Kind};
use crate::site::Site;

/// As many cases as issue and documentation promise, at the least.
const AT_LEAST: usize = 120;

fn cases() -> Vec<Case> {
    let tables = [
        requests::cases(),
        requirements::cases(),
        keys::cases(),
        deliveries::cases(),
        locks::cases(),
        wheels::cases(),
        manifests::cases(),
        files::cases(),
        owners::cases(),
    ];
    tables.into_iter().flatten().collect()
}

#[tokio::test]
async fn hostile_input_comes_to_its_code_and_leaves_nothing() {
    let (mut failures, mut counts) = (Vec::new(), BTreeMap::<Kind, usize>::new());
    let mut names = std::collections::BTreeSet::new();
    for case in cases() {
        let name = format!("{:?}: {}", case.kind, case.name);
        assert!(names.insert(name.clone()), "{name} twice");
        *counts.entry(case.kind).or_default() += 1;
        let mut site = Site::new(case.hosts).await;
        site.admission = case.admission();
        if let Err(problem) = site.run(case).await {
            failures.push(format!("{name}\n    {}", problem.replace('\n', "\n    ")));
        }
    }
    for (kind, count) in &counts {
        println!("{count:4} {kind:?}");
    }
    let all: usize = counts.values().sum();
    println!("{all:4} in all");
    assert!(failures.is_empty(), "\n{}\n", failures.join("\n"));
    assert!(all >= AT_LEAST, "only {all}");
}

/// The proof proves nothing if it can't fail.
#[tokio::test]
async fn what_is_left_behind_is_noticed() {
    let site = Site::new(case::EVERY_HOST).await;
    let before = site.snapshot();
    assert_eq!(before.changes(&site.snapshot()), [""; 0]);
    site.leave_something();
    let changes = before.changes(&site.snapshot());
    for what in [
        "request ",
        "table of layers",
        "artifact ",
        "pointer ",
        "file ",
    ] {
        assert!(
            changes.iter().any(|it| it.contains(what)),
            "{what}: {changes:?}"
        );
    }
}

/// The records of a request are removed at some time; the stored request is not.
#[tokio::test]
async fn a_message_in_the_name_of_an_expired_request_is_that_request() {
    let site = Site::new(case::EVERY_HOST).await;
    let mut other = case::request();
    other["Name"] = "other".into();
    let order = site.order_again(&other.to_string()).await;
    assert_eq!(order.request, site.expired);
    assert_eq!(order.project.as_str(), "tools");
}

/// A request that is delivered again, or was accepted before, stays the same, whatever has become
/// of the inbox.
#[tokio::test]
async fn files_are_those_of_the_first_delivery() {
    let site = Site::new(case::EVERY_HOST).await;
    let key = "files/tools/src.zip";
    let zip = |text: &str| Archive::new().file("own.py", text).build();
    // An event about a file is about no request.
    let event = site.drop(key, &zip("x = 1\n"));
    let before = site.snapshot();
    let outcomes = site.dispatch(&site.message(&event.to_string())).await;
    assert_eq!(outcomes.unwrap(), []);
    assert_eq!(before.changes(&site.snapshot()), [""; 0]);

    let mut request = case::request();
    request["Files"] = serde_json::json!([{"Key": key}]);
    let message = site.message(&request.to_string());
    let accepted = site.dispatch(&message).await.unwrap();
    assert!(matches!(&accepted[..], [Outcome::Accepted(_)]));
    let (requests, files) = site.kept();
    let [(kept, content)] = &files.iter().collect::<Vec<_>>()[..] else {
        panic!("{files:?}");
    };
    let hash = Sha256::of(content);
    assert_eq!(**kept, format!("accretion/files/{hash}.zip"));
    let names = |request: &&String| request.contains(&hash.to_string()) && !request.contains(key);
    assert_eq!(requests.iter().filter(names).count(), 1);

    for now in [zip("x = 2\n"), b"no zip any more".to_vec()] {
        site.drop(key, &now);
        let before = site.snapshot();
        assert_eq!(site.dispatch(&message).await.unwrap(), accepted);
        assert_eq!(before.changes(&site.snapshot()), [""; 0]);
    }
}

/// Every file in this folder has to be a module: a forgotten one would test nothing.
#[test]
fn no_test_file_is_forgotten() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/hostile");
    let text = std::fs::read_to_string(folder.join("main.rs")).unwrap();
    let modules = integration_tests::names(&folder);
    for module in modules.iter().filter_map(|name| name.strip_suffix(".rs")) {
        let declared = text.contains(&format!("\nmod {module};\n"));
        assert!(
            declared || module == "main",
            "{module}.rs is not a module of main.rs"
        );
    }
}
