//! The counts against the tables: nothing is counted twice, however often it was sent or tried; and
//! everything is counted, unless a process was killed before it counted.

use std::collections::BTreeMap;

use accretion_testing::emf;
use pipeline_tests::logs::LogLine;
use pipeline_tests::testbed::wait_for;
use pipeline_tests::{MiniStack, Result, Stack, Table};

use crate::PATIENCE;

/// The number of times that each thing was counted, by what tells it apart.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Requests, by their ids.
    accepted: BTreeMap<String, u64>,
    /// Targets, by the requests' ids, the targets and what came of them.
    targets: BTreeMap<[String; 4], u64>,
    /// Requests that came again.
    pub(crate) repeated: u64,
}

impl Counts {
    /// Reads the counts that the functions have logged so far.
    pub(crate) fn logged(server: &MiniStack) -> Result<Self> {
        let mut counts = Self::default();
        let lines = server.log_lines(0)?;
        let lines = lines.iter().filter_map(LogLine::json);
        for line in lines.filter(emf::is_of_metrics) {
            let text = |field: &str| line[field].as_str().unwrap_or_default().to_owned();
            let value = |name: &str| line[name].as_u64().unwrap_or_default();
            let outcome = text("Outcome");
            match outcome.as_str() {
                "Accepted" => {
                    *counts.accepted.entry(text("request_id")).or_default() += value("Requests");
                }
                "Repeated" => counts.repeated += value("Requests"),
                _ if line["Targets"].is_u64() => {
                    let fields = ["request_id", "runtime", "architecture"].map(text);
                    let [id, runtime, architecture] = fields;
                    let target = [id, runtime, architecture, outcome];
                    *counts.targets.entry(target).or_default() += value("Targets");
                }
                _ => {}
            }
        }
        Ok(counts)
    }

    /// The counts that follow from the table of requests, without repetitions.
    async fn tracked(stack: &Stack) -> Result<Self> {
        let mut counts = Self::default();
        for item in stack.all_items(Table::Requests, None).await? {
            let text = |field: &str| item[field].as_str().unwrap_or_default().to_owned();
            if item["Item"] == "request" {
                counts.accepted.insert(text("RequestId"), 1);
            } else {
                let target = ["RequestId", "Runtime", "Architecture", "Status"].map(text);
                counts.targets.insert(target, 1);
            }
        }
        Ok(counts)
    }

    /// The requests and targets that were counted more than once.
    pub(crate) fn twice(&self) -> Vec<String> {
        let accepted = self.accepted.iter().filter(|(_, count)| **count > 1);
        let accepted = accepted.map(|(id, count)| format!("{id}: {count}"));
        let targets = self.targets.iter().filter(|(_, count)| **count > 1);
        let targets = targets.map(|(target, count)| format!("{target:?}: {count}"));
        accepted.chain(targets).collect()
    }
}

/// Waits until what was counted is what the table of requests says, and holds that it is no more.
pub(crate) async fn are_those_of_the_table(server: &MiniStack, stack: &Stack) -> Result<Counts> {
    let tracked = Counts::tracked(stack).await?;
    let counts = wait_for("count of everything", PATIENCE, async || {
        let counts = Counts::logged(server)?;
        // Functions log when they are done, and that is after all is told.
        let is_there = counts.accepted.len() >= tracked.accepted.len()
            && counts.targets.len() >= tracked.targets.len();
        Ok(is_there.then_some(counts))
    });
    let counts = counts.await?;
    assert_eq!(counts.accepted, tracked.accepted);
    assert_eq!(counts.targets, tracked.targets);
    Ok(counts)
}

#[test]
fn what_is_counted_twice_is_found() {
    let mut counts = Counts::default();
    counts.accepted.insert("a".to_owned(), 1);
    assert_eq!(counts.twice(), [""; 0]);
    counts.accepted.insert("b".to_owned(), 2);
    let target = ["b", "python3.13", "arm64", "Published"].map(str::to_owned);
    counts.targets.insert(target, 2);
    assert_eq!(counts.twice().len(), 2);
}
