//! Chaos: many requests, duplicates, reorderings, and functions that are killed.

use std::cell::RefCell;
use std::convert::Infallible;
use std::time::{Duration, Instant};

use fastrand::Rng;
use futures_util::future::try_join4;
use pipeline_tests::testbed::{Testbed, wait_for};
use pipeline_tests::{Error, Filter, Notification, Result, Subscription};

use crate::counts::Counts;
use crate::deliveries::{Deliveries, Repetition};
use crate::kills::{Killer, Kills};
use crate::outcome::compare;
use crate::plan::plan;
use crate::rest::come_to_rest;
use crate::{PATIENCE, QUIET, alone, deliver_again_after, number, seed};

/// The shortest time that leaves the publisher something to wait with: leases end the sooner.
const PUBLISHER_SECONDS: i32 = 30;

/// The time for which a claim is then kept from others: a minute longer than its owner can live.
pub(crate) const LEASE: Duration = Duration::from_secs(90);

const REPETITION: Repetition = Repetition {
    requests: 4,
    manifests: 3,
    latest: 30_000,
};

/// A run, and what it must have seen to be worth anything.
struct Extent {
    requests: u32,
    /// Far fewer than there are on a machine that does nothing else.
    kills: usize,
    kills_with_claim: usize,
}

const SHORT: Extent = Extent {
    requests: 60,
    kills: 5,
    kills_with_claim: 1,
};
const LONG: Extent = Extent {
    requests: 300,
    kills: 20,
    kills_with_claim: 6,
};

#[test]
fn nothing_is_lost_in_a_short_run() {
    alone("short", async |testbed| {
        Box::pin(run(testbed, 1, &SHORT)).await
    });
}

/// `CHAOS_RUNS` is how many runs are made in a row, with one seed after the other from `SEED` on.
#[test]
#[ignore = "long: `make test-all` runs it"]
fn nothing_is_lost_and_nothing_published_twice() {
    let first = seed();
    for seed in first..first + number("CHAOS_RUNS").unwrap_or(1) {
        println!("SEED={seed}");
        alone("wire", async |testbed| {
            Box::pin(run(testbed, seed, &LONG)).await
        });
    }
}

async fn run(testbed: &Testbed, seed: u64, extent: &Extent) -> Result<()> {
    let (server, stack) = (&testbed.server, &testbed.stack);
    let mut random = Rng::with_seed(seed);
    let events = stack.listen_to_inbox("inbox-events").await?;
    let all = stack.subscribe("all", &Filter::None).await?;
    deliver_again_after(stack, 10).await;
    let update = stack.lambda.update_function_configuration();
    let update = update
        .function_name(stack.output("PublisherFunctionName"))
        .timeout(PUBLISHER_SECONDS);
    let updated = update.send().await;
    updated.map_err(Error::aws("UpdateFunctionConfiguration"))?;

    let start = Instant::now();
    let planned = plan(extent.requests, &mut random);
    let requests = planned.iter().map(|it| it.ways.len()).sum();
    let deliveries = Deliveries::new(stack, REPETITION, random.fork());
    let killer = Killer::new(server, stack, random.fork());
    let said = RefCell::new(Vec::new());
    let foreground = async {
        {
            // They go on for as long as something comes in.
            let random_kills = killer.strike_anybody();
            let incoming = async {
                deliveries.make(planned).await?;
                let done = async || Ok(deliveries.is_done().then_some(()));
                wait_for("end of the deliveries", PATIENCE, done).await
            };
            tokio::select! {
                it = incoming => it?,
                it = random_kills => match it? {},
            }
        }
        let rest = come_to_rest((server, stack), requests, random.fork()).await?;
        tokio::time::sleep(QUIET).await;
        Ok::<_, Error>(rest)
    };
    let background = try_join4(
        deliveries.speak(),
        deliveries.repeat_requests(&events),
        try_join_both(deliveries.repeat_manifests(), collect(&all, &said)),
        killer.strike_claims(),
    );
    let rest = tokio::select! {
        it = foreground => it?,
        it = background => match it?.0 {},
    };
    let took = start.elapsed();

    let expected = deliveries.expected.take();
    let said = said.into_inner();
    let outcome = compare(stack, &expected, &said).await?;
    // Who is killed may count nothing, but nobody counts twice.
    let twice = Counts::logged(server)?.twice();
    assert_eq!(twice, [""; 0]);
    let kills = killer.kills.borrow();
    let log = std::fs::read_to_string(server.log()).unwrap();
    let count = |text: &str| log.matches(text).count();
    let [events_again, manifests_again] = *deliveries.repeated.borrow();
    let exits = |output| {
        let name = stack.output(output);
        count(&format!(
            "Lambda {name}: Runtime exited before returning a response"
        ))
    };
    println!(
        "    requests {requests}, targets {:?}, versions {}",
        outcome.targets, outcome.versions
    );
    println!("    repeated: events of the inbox {events_again}, of manifests {manifests_again}");
    println!(
        "    kills {}, with a claim {}: {kills:?}",
        kills.all(),
        kills.with_claim()
    );
    println!(
        "    of which at work: publishers {}, dispatchers {}, builders {}",
        exits("PublisherFunctionName"),
        exits("DispatcherFunctionName"),
        exits("BuilderFunctionName"),
    );
    println!(
        "    taken over {}, adopted {}; {rest:?}",
        count("taking over a dead claim"),
        count("\"adopted\""),
    );
    println!(
        "    notifications {}; at rest after {:.0} s",
        said.len(),
        took.as_secs_f64()
    );
    let differences = &outcome.differences.0;
    if !differences.is_empty() {
        let text = differences.join("\n");
        return Err(Error::Unexpected(format!(
            "SEED={seed} ends otherwise:\n{text}"
        )));
    }
    assert_eq!(rest.orphans, 0, "a false alarm: {rest:?}");
    assert_worth_it(&kills, extent);
    Ok(())
}

#[track_caller]
fn assert_worth_it(kills: &Kills, extent: &Extent) {
    assert!(kills.all() >= extent.kills, "too few kills: {kills:?}");
    assert!(
        kills.with_claim() >= extent.kills_with_claim,
        "too few claims: {kills:?}"
    );
}

/// Collects what the topic says.
async fn collect(all: &Subscription, said: &RefCell<Vec<Notification>>) -> Result<Infallible> {
    loop {
        let some = all.receive(Duration::from_secs(1)).await?;
        said.borrow_mut().extend(some);
    }
}

/// Two that never end.
async fn try_join_both(
    one: impl Future<Output = Result<Infallible>>,
    other: impl Future<Output = Result<Infallible>>,
) -> Result<Infallible> {
    let (never, _) = futures_util::future::try_join(one, other).await?;
    match never {}
}
