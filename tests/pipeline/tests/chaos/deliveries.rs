//! Deliveries of requests and events in a run of chaos: once, twice, late, out of order.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::time::{Duration, Instant};

use accretion_core::request::RequestId;
use accretion_core::timestamp::Timestamp;
use aws_sdk_lambda::primitives::Blob;
use aws_sdk_lambda::types::InvocationType;
use fastrand::Rng;
use pipeline_tests::{Error, InboxEvents, Result, Stack, Table};
use serde_json::{Value, json};

use crate::plan::{Planned, Way, millis};
use crate::{PATIENCE, event};

/// The number of unfinished targets up to which more requests are made, and the pause between two
/// checks of it.
const ROOM: usize = 60;
const LOOK: Duration = Duration::from_millis(500);

/// The events that are sent again.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Repetition {
    /// Of ten events of the inbox, so many.
    pub(crate) requests: u8,
    /// Of ten events of manifests, so many.
    pub(crate) manifests: u8,
    /// The longest delay, in milliseconds.
    pub(crate) latest: u64,
}

/// A request that was made.
#[derive(Debug, Clone)]
pub(crate) struct Expected {
    pub(crate) planned: Planned,
    /// The time that decides; `None` until it is known.
    pub(crate) received_at: Option<String>,
    /// Between which times that has to be, where the sender can't know it.
    pub(crate) between: Option<(String, String)>,
}

/// Something that will be said again.
enum Outgoing {
    /// To the request queue.
    Request(Value),
    /// To the publisher, as S3 tells it.
    Manifest(Value),
}

/// Everything that comes in.
pub(crate) struct Deliveries<'a> {
    stack: &'a Stack,
    repetition: Repetition,
    random: RefCell<Rng>,
    outgoing: RefCell<Vec<(Instant, Outgoing)>>,
    /// By the requests' ids.
    pub(crate) expected: RefCell<BTreeMap<String, Expected>>,
    /// The times of S3's own events, by the requests' ids.
    times: RefCell<BTreeMap<String, String>>,
    /// The time at which the last check found room for more.
    looked_at: Cell<Instant>,
    /// Repetitions of events of the inbox, and of manifests.
    pub(crate) repeated: RefCell<[usize; 2]>,
}

impl<'a> Deliveries<'a> {
    pub(crate) fn new(stack: &'a Stack, repetition: Repetition, random: Rng) -> Self {
        Self {
            stack,
            repetition,
            random: random.into(),
            outgoing: RefCell::default(),
            expected: RefCell::default(),
            times: RefCell::default(),
            looked_at: Cell::new(Instant::now()),
            repeated: RefCell::default(),
        }
    }

    /// Makes all requests, and returns when S3 has told of each.
    pub(crate) async fn make(&self, mut planned: Vec<Planned>) -> Result<()> {
        let start = tokio::time::Instant::now();
        planned.sort_by_key(|request| request.at);
        for request in &planned {
            tokio::time::sleep_until(start + request.at).await;
            self.have_room().await?;
            self.make_one(request).await?;
        }
        self.told().await
    }

    /// Waits while more targets are in the making than a slow machine can deal with.
    async fn have_room(&self) -> Result<()> {
        if self.looked_at.get().elapsed() < LOOK {
            return Ok(());
        }
        let is_room = async || {
            let open = self.stack.all_items(Table::Requests, Some("Open")).await?;
            // What is built may have to wait for the lease of somebody who is dead.
            let unbuilt = open.iter().filter(|item| item["Status"] != "Built");
            Ok((unbuilt.count() < ROOM).then_some(()))
        };
        pipeline_tests::testbed::wait_for("room for more requests", PATIENCE, is_room).await?;
        self.looked_at.set(Instant::now());
        Ok(())
    }

    /// Waits until S3 has told of each object that was dropped.
    pub(crate) async fn told(&self) -> Result<()> {
        let told = async || {
            for (id, request) in self.expected.borrow_mut().iter_mut() {
                if let Some(time) = self.times.borrow().get(id) {
                    request.received_at = Some(time.clone());
                }
            }
            let expected = self.expected.borrow();
            let is_told = |it: &Expected| it.received_at.is_some() || it.between.is_some();
            Ok(expected.values().all(is_told).then_some(()))
        };
        pipeline_tests::testbed::wait_for("event of each object", PATIENCE, told).await
    }

    /// Returns whether everything has been said that is to be said again.
    pub(crate) fn is_done(&self) -> bool {
        self.outgoing.borrow().is_empty()
    }

    /// Makes one request in all of its ways, and returns the id of the last one.
    pub(crate) async fn make_one(&self, planned: &Planned) -> Result<String> {
        let mut last = String::new();
        let inbox = self.stack.output("InboxBucketName");
        let now = || Timestamp::from(jiff::Timestamp::now());
        for way in &planned.ways {
            let (id, received_at, between) = match *way {
                Way::Object => {
                    let put = self.stack.drop_into_inbox(&planned.key, planned.text());
                    let id = RequestId::of_object(inbox, &planned.key, &put.await?);
                    (id, None, None)
                }
                Way::Message => {
                    let before = now();
                    let id = self.stack.send_to_queue(&planned.text()).await?;
                    let between = (before.to_string(), now().to_string());
                    (RequestId::of_message(&id), None, Some(between))
                }
                Way::Late { older, after } => {
                    let time = now().before(older).to_string();
                    let version = format!("{:016x}", self.random.borrow_mut().u64(..));
                    let event = event(inbox, &planned.key, ("sequencer", &version), &time);
                    self.say(after, Outgoing::Request(event));
                    let id = RequestId::of_object(inbox, &planned.key, &version);
                    (id, Some(time), None)
                }
            };
            let expected = Expected {
                planned: planned.clone(),
                received_at,
                between,
            };
            let others = self.expected.borrow_mut().insert(id.to_string(), expected);
            assert!(others.is_none(), "two requests have one id");
            last = id.to_string();
        }
        Ok(last)
    }

    fn say(&self, after: Duration, outgoing: Outgoing) {
        let due = Instant::now() + after;
        self.outgoing.borrow_mut().push((due, outgoing));
    }

    /// Says what is due, again and again.
    pub(crate) async fn speak(&self) -> Result<Infallible> {
        loop {
            let due = self.due();
            for outgoing in due {
                match outgoing {
                    Outgoing::Request(event) => {
                        self.stack.send_to_queue(&event.to_string()).await?;
                    }
                    Outgoing::Manifest(event) => invoke_publisher(self.stack, &event).await?,
                }
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    fn due(&self) -> Vec<Outgoing> {
        let now = Instant::now();
        let mut outgoing = self.outgoing.borrow_mut();
        let due = outgoing.extract_if(.., |(at, _)| *at <= now);
        due.map(|(_, it)| it).collect()
    }

    /// Has some events of the inbox come again, as S3 sent them: at once, or late.
    pub(crate) async fn repeat_requests(&self, events: &InboxEvents) -> Result<Infallible> {
        loop {
            for event in events.receive(Duration::from_secs(1)).await? {
                let record = &event["Records"][0];
                let text = |pointer| record.pointer(pointer).and_then(Value::as_str);
                let parts = [
                    "/s3/bucket/name",
                    "/s3/object/key",
                    "/s3/object/versionId",
                    "/eventTime",
                ];
                let [Some(bucket), Some(key), Some(version), Some(time)] = parts.map(text) else {
                    return Err(Error::Unexpected(event.to_string()));
                };
                let id = RequestId::of_object(bucket, key, version).to_string();
                self.times.borrow_mut().insert(id, time.to_owned());
                self.repeat(self.repetition.requests, 0, || {
                    Outgoing::Request(event.clone())
                });
            }
        }
    }

    /// Has some events of manifests come again, as S3 would send them: at once, or late.
    pub(crate) async fn repeat_manifests(&self) -> Result<Infallible> {
        let bucket = self.stack.output("ArtifactsBucketName");
        let mut known = BTreeSet::new();
        loop {
            let keys = self.stack.artifact_keys("accretion/manifests/").await?;
            for key in keys.into_iter().filter(|key| known.insert(key.clone())) {
                let now = Timestamp::from(jiff::Timestamp::now()).to_string();
                let event = event(bucket, &key, ("sequencer", "00"), &now);
                self.repeat(self.repetition.manifests, 1, || {
                    Outgoing::Manifest(event.clone())
                });
            }
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
    }

    /// Has something come again up to two times, in so many cases of ten.
    fn repeat(&self, of_ten: u8, kind: usize, outgoing: impl Fn() -> Outgoing) {
        let mut random = self.random.borrow_mut();
        if random.u8(..10) >= of_ten {
            return;
        }
        for _ in 0..random.usize(1..=2) {
            let after = if random.bool() {
                Duration::ZERO
            } else {
                millis(&mut random, 0, self.repetition.latest)
            };
            self.say(after, outgoing());
            self.repeated.borrow_mut()[kind] += 1;
        }
    }
}

/// Invokes the publisher as S3 does: asynchronously.
pub(crate) async fn invoke_publisher(stack: &Stack, event: &Value) -> Result<()> {
    let invoke = stack.lambda.invoke();
    let invoke = invoke
        .function_name(stack.output("PublisherFunctionName"))
        .invocation_type(InvocationType::Event)
        .payload(Blob::new(event.to_string()));
    invoke.send().await.map_err(Error::aws("Invoke"))?;
    Ok(())
}

/// Runs the reconciler, and waits for it; `None` if it was killed.
pub(crate) async fn reconcile(stack: &Stack) -> Result<Option<Value>> {
    let invoke = stack.lambda.invoke();
    let invoke = invoke
        .function_name(stack.output("PublisherFunctionName"))
        .payload(Blob::new(json!({"Task": "Reconcile"}).to_string()));
    let answer = invoke.send().await.map_err(Error::aws("Invoke"))?;
    if answer.function_error().is_some() {
        return Ok(None);
    }
    let payload = answer.payload.unwrap_or_else(|| Blob::new([]));
    Ok(serde_json::from_slice(payload.as_ref()).ok())
}
