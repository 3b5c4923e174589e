//! A hundred requests for one layer at once, and somebody else's request in the midst of them.

use std::cell::{Cell, RefCell};
use std::convert::Infallible;
use std::time::{Duration, Instant};

use aws_sdk_sfn::primitives::DateTime;
use fastrand::Rng;
use futures_util::future::{try_join, try_join_all};
use pipeline_tests::testbed::{Testbed, wait_for};
use pipeline_tests::{Error, Filter, Notification, Result, Stack, Subscription, Table};

use crate::deliveries::{Deliveries, Repetition};
use crate::outcome::compare;
use crate::plan::{CONTENTS, Planned};
use crate::{PATIENCE, QUIET, alone, counts, number, seed};

/// Requests of a storm: so many for each content.
const REQUESTS: usize = 100;
const EACH: usize = REQUESTS / CONTENTS.len();

/// The number of times that another project's time is measured on an otherwise idle stack.
const USUAL: usize = 7;

/// Every event of the inbox comes again, once or twice, soon.
const REPETITION: Repetition = Repetition {
    requests: 10,
    manifests: 0,
    latest: 3_000,
};

/// The project of somebody else.
const OTHER: &str = "other";

/// `STORM_ROUNDS` is how often the times are taken.
#[test]
#[ignore = "long: `make test-all` runs it"]
fn a_storm_ends_in_the_newest_content() {
    let seed = seed();
    println!("SEED={seed}");
    alone("storm", async |testbed| {
        Box::pin(storm(testbed, seed)).await
    });
}

async fn storm(testbed: &Testbed, seed: u64) -> Result<()> {
    let (server, stack) = (&testbed.server, &testbed.stack);
    let mut random = Rng::with_seed(seed);
    let events = stack.listen_to_inbox("inbox-events").await?;
    let all = stack.subscribe("all", &Filter::None).await?;
    let deliveries = Deliveries::new(stack, REPETITION, random.fork());
    let said = RefCell::new(Vec::new());
    let storm = Storm {
        stack,
        deliveries: &deliveries,
        said: &said,
        number: Cell::new(0),
    };
    let background = try_join(
        try_join(deliveries.speak(), deliveries.repeat_requests(&events)),
        collect(&all, &said),
    );
    let foreground = async {
        storm.rounds(&mut random).await?;
        tokio::time::sleep(QUIET).await;
        Ok::<_, Error>(())
    };
    tokio::select! {
        it = foreground => it?,
        it = background => match it?.1 {},
    }

    let notifications: Vec<_> = said.into_inner().into_iter().map(|(_, it)| it).collect();
    let expected = deliveries.expected.take();
    let outcome = compare(stack, &expected, &notifications).await?;
    let differences = outcome.differences.0;
    if !differences.is_empty() {
        let text = differences.join("\n");
        return Err(Error::Unexpected(format!(
            "SEED={seed} ends otherwise:\n{text}"
        )));
    }
    for queue in ["RequestDeadLetterQueueUrl", "PublicationDeadLetterQueueUrl"] {
        assert_eq!(stack.queued(stack.output(queue)).await?, 0, "{queue}");
    }
    // Nobody was killed: everything was counted, and once.
    let counts = counts::are_those_of_the_table(server, stack).await?;
    println!("    counted as repeated: requests {}", counts.repeated);
    let log = std::fs::read_to_string(server.log()).unwrap();
    println!(
        "    publishers that gave up waiting: {}",
        log.matches("\"code\":\"LayerBusy\"").count()
    );
    Ok(())
}

/// The notifications, each with the time at which it came.
type Said = RefCell<Vec<(Instant, Notification)>>;

struct Storm<'a> {
    stack: &'a Stack,
    deliveries: &'a Deliveries<'a>,
    said: &'a Said,
    /// Objects so far.
    number: Cell<usize>,
}

impl Storm<'_> {
    async fn rounds(&self, random: &mut Rng) -> Result<()> {
        // The first one fills the cache and starts the functions.
        for content in 0..CONTENTS.len() {
            self.others_time(content).await?;
        }
        let mut usual = Vec::new();
        for content in 0..USUAL {
            usual.push(self.others_time(content).await?);
        }
        show("other layer, nothing else going on", &usual);

        for round in 0..number("STORM_ROUNDS").unwrap_or(1) {
            let one = |index: usize| (format!("storm-{round}"), index / EACH);
            let (time, took) = self.burst(one, true).await?;
            let versions = self.versions(&format!("storm-{round}-py313")).await?;
            assert!(versions <= CONTENTS.len(), "{versions} versions");
            show("other layer, 100 requests for one layer", &[time]);
            println!(
                "    the 100 took {:.1} s, versions {versions}",
                took.as_secs_f64()
            );

            let each = |index: usize| (format!("spread-{round}-{index}"), index / EACH);
            let (time, took) = self.burst(each, true).await?;
            show("other layer, 100 requests for 100 layers", &[time]);
            println!("    the 100 took {:.1} s", took.as_secs_f64());

            let chosen: Vec<_> = (0..REQUESTS)
                .map(|_| random.usize(..CONTENTS.len()))
                .collect();
            let changes = chosen.windows(2).filter(|pair| pair[0] != pair[1]).count();
            let mixed = |index: usize| (format!("mixed-{round}"), chosen[index]);
            let (_, took) = self.burst(mixed, false).await?;
            let versions = self.versions(&format!("mixed-{round}-py313")).await?;
            println!(
                "    100 requests for one layer that change its content {changes} times: versions \
                 {versions}, {:.1} s",
                took.as_secs_f64()
            );
        }
        Ok(())
    }

    /// Drops a hundred requests, ten at a time, and waits for the end of all. In the midst of them
    /// somebody else drops one, if that is wanted. Returns the other's time, and that of all.
    async fn burst(
        &self,
        request: impl Fn(usize) -> (String, usize),
        with_other: bool,
    ) -> Result<(Times, Duration)> {
        let start = Instant::now();
        let mut ids = Vec::new();
        let drops = async |ids: &mut Vec<String>, from: usize, to: usize| {
            for block in (from..to).step_by(EACH) {
                let drops = (block..block + EACH).map(|index| {
                    let (project, content) = request(index);
                    self.drop(project, content)
                });
                ids.extend(try_join_all(drops).await?);
            }
            Ok::<_, Error>(())
        };
        drops(&mut ids, 0, REQUESTS / 2).await?;
        let rest = async {
            drops(&mut ids, REQUESTS / 2, REQUESTS).await?;
            for id in &ids {
                self.told(id).await?;
            }
            Ok(start.elapsed())
        };
        let other = async {
            if !with_other {
                return Ok(Times::default());
            }
            // Another content than before, so that there is a version to be published.
            let content = self.number.get() / REQUESTS + 1;
            self.others_time(content).await
        };
        let (took, time) = try_join(rest, other).await?;
        self.deliveries.told().await?;
        let quiet = async || Ok(self.deliveries.is_done().then_some(()));
        wait_for("end of the repetitions", PATIENCE, quiet).await?;
        let queue = self.stack.output("RequestQueueUrl");
        let consumed = async || Ok((self.stack.queued(queue).await? == 0).then_some(()));
        wait_for("end of the requests", PATIENCE, consumed).await?;
        Ok((time, took))
    }

    async fn drop(&self, project: String, content: usize) -> Result<String> {
        let number = self.number.get() + 1;
        self.number.set(number);
        let key = format!("storm/{number}.json");
        let planned = Planned::object(&project, key, content % CONTENTS.len());
        self.deliveries.make_one(&planned).await
    }

    /// From a drop to its notification, in the steps on the way.
    async fn others_time(&self, content: usize) -> Result<Times> {
        let (start, since) = (Instant::now(), jiff::Timestamp::now());
        let id = self.drop(OTHER.to_owned(), content).await?;
        let all = self.told(&id).await? - start;
        let machine = self.stack.output("BuildStateMachineArn");
        let arn = machine.replace(":stateMachine:", ":execution:");
        let describe = self.stack.sfn.describe_execution();
        let describe = describe.execution_arn(format!("{arn}:{id}-py313"));
        let ended = RefCell::new(None);
        let execution = async || {
            let execution = describe.clone().send().await;
            let execution = execution.map_err(Error::aws("DescribeExecution"))?;
            let started = execution.start_date().as_secs_f64();
            let stopped = execution.stop_date().map(DateTime::as_secs_f64);
            *ended.borrow_mut() = stopped.map(|stopped| (started, stopped));
            Ok(ended.borrow().is_some().then_some(()))
        };
        wait_for("end of the execution", PATIENCE, execution).await?;
        let (started, stopped) = ended.into_inner().unwrap();
        #[expect(clippy::cast_precision_loss, reason = "a millisecond is shown")]
        let since = since.as_millisecond() as f64 / 1000.0;
        Ok(Times {
            all: all.as_secs_f64(),
            dispatched: started - since,
            built: stopped - since,
        })
    }

    /// Waits until a request is told of, and returns when that was.
    async fn told(&self, id: &str) -> Result<Instant> {
        let find = || {
            let said = self.said.borrow();
            let told = said.iter().find(|(_, it)| it.text("RequestId") == id);
            told.map(|(at, _)| *at)
        };
        wait_for("notification", PATIENCE, async || Ok(find())).await
    }

    async fn versions(&self, layer: &str) -> Result<usize> {
        let items = self.stack.items(Table::Layers, layer).await?;
        let versions = items.keys().filter(|item| item.starts_with("version#"));
        Ok(versions.count())
    }
}

/// Seconds since the drop.
#[derive(Debug, Clone, Copy, Default)]
struct Times {
    /// Until the build was started, and until the execution was over.
    dispatched: f64,
    built: f64,
    /// Until the notification.
    all: f64,
}

/// Prints the median of each time.
fn show(what: &str, times: &[Times]) {
    let median = |of: fn(&Times) -> f64| {
        let mut times: Vec<_> = times.iter().map(of).collect();
        times.sort_by(f64::total_cmp);
        times[times.len() / 2]
    };
    println!(
        "    {what}: {:.2} s (build started after {:.2}, built after {:.2})",
        median(|it| it.all),
        median(|it| it.dispatched),
        median(|it| it.built),
    );
}

/// Collects what the topic says, with the time.
async fn collect(all: &Subscription, said: &Said) -> Result<Infallible> {
    loop {
        let some = all.receive(Duration::from_secs(1)).await?;
        let now = Instant::now();
        said.borrow_mut()
            .extend(some.into_iter().map(|it| (now, it)));
    }
}
