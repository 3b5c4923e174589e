//! A run of the world by chance: requests, events that come twice, late, in any order or never,
//! calls that fail in every way, invocations that die, people who delete. Everything follows from
//! the seed.
//!
//! A run begins in any weather and ends in calm: then whatever was left undone has to be done.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::fmt::{self, Write as _};
use std::num::NonZeroUsize;
use std::time::Duration;

use accretion_core::layer::LayerName;
use accretion_core::manifest::Manifest;
use accretion_core::request::{IdentityAttributes, Permission, RequestId};
use accretion_core::retention::Policy;
use accretion_core::target::LayerTarget;
use accretion_core::timestamp::Timestamp;
use accretion_core::tracking::Status;
use accretion_core::{Class, Fault as _, keys};
use accretion_service::deletion::Outcome;
use accretion_service::dispatch::Message;
use accretion_service::ports::{BuildOrder, DeadLetter};
use accretion_service::publish::SILENCE_UNTIL_LOST;
use serde_json::{Value, json};

use crate::alarms::{self, Alarm};
use crate::invariants;
use crate::mutations::Mutation;
use crate::random::Random;
use crate::world::{Ended, Job, RequestForge, TIMEOUT, World, event, rollback};
use integration_tests::deployed::{
    BUILD_ATTEMPTS, BUILD_DEATHS, BUILDER_TIMEOUT, DISPATCHER_TIMEOUT, FAILURE_ATTEMPTS,
    PUBLISH_ATTEMPTS, RECEIVES, RECONCILER_PAUSE, VISIBILITY,
};
use integration_tests::memory::cloud::{Fact, UNKNOWN_ACCOUNT};
use integration_tests::memory::dead_letters::Queue;
use integration_tests::memory::ports::{Call, CallId, InvocationId, Verdict, Waiting};

/// The timeout of the command that deletes old versions.
const DELETION_TIMEOUT: Duration = Duration::from_mins(15);

/// The time after an invocation's end in which a call without an answer may take effect, if it
/// is one that nothing but time guards.
const IN_FLIGHT: Duration = Duration::from_secs(45);

/// The most steps of a run: one that takes more does not come to rest.
const MAX_STEPS: u32 = 60_000;

/// The probabilities of faults, in thousandths.
#[derive(Debug, Clone)]
struct Weather {
    refused: u64,
    lost: u64,
    answer_lost: u64,
    late: u64,
    dies: u64,
    slow: u64,
    /// Of events: to come twice, hours late, or never.
    duplicated: u64,
    delayed: u64,
    dropped: u64,
    /// Of builds that came out well: to be taken for failed.
    misjudged: u64,
    /// The greatest difference between clocks, in milliseconds.
    skew: u64,
    /// True if a version may come into being after the lease of who asked for it.
    after_lease: bool,
}

impl Weather {
    const CALM: Self = Self {
        refused: 0,
        lost: 0,
        answer_lost: 0,
        late: 0,
        dies: 0,
        slow: 0,
        duplicated: 0,
        delayed: 0,
        dropped: 0,
        misjudged: 0,
        skew: 0,
        after_lease: false,
    };

    fn by_chance(random: &mut Random) -> Self {
        let severity = random.weighted(&[(1, 0), (4, 4), (4, 12), (2, 30), (1, 60)]);
        let mut rate = |most: u64| random.within(0..=severity * most / 10);
        Self {
            refused: rate(15),
            lost: rate(8),
            answer_lost: rate(15),
            late: rate(10),
            dies: rate(15),
            slow: rate(15),
            duplicated: rate(60),
            delayed: rate(30),
            dropped: rate(20),
            misjudged: rate(20),
            skew: *random.pick(&[0, 0, 2000]),
            after_lease: random.chance(30),
        }
    }
}

/// An event of the world.
#[derive(Debug, Clone)]
enum Event {
    /// Somebody drops a request.
    Drop(Wish),
    /// The queue delivers a message.
    Receive { message: usize },
    /// A call comes to its end.
    Answer(Waiting),
    /// A call that was given up takes effect.
    Land(CallId),
    /// An invocation's time is over.
    Deadline(InvocationId),
    /// An execution comes to its next state.
    Build(BuildOrder, Stage),
    /// S3 tells of a manifest.
    Manifest { key: String, attempt: u32 },
    /// The reconciler is due.
    Reconcile,
    /// A person invokes the reconciler.
    ReconcileNow,
    /// Somebody brings dead letters back.
    Redrive(Queue),
    /// An operator rolls a layer back.
    RollBack,
    /// A function takes up a version, or lets go of one.
    Use,
    /// An operator deletes old versions.
    DeleteOld(Policy),
    /// Somebody deletes a version.
    Delete,
    /// Somebody deletes what was dropped.
    Vanish(RequestId, (String, String)),
    /// Somebody deletes an artifact.
    Tamper,
    /// Nothing goes wrong from now on.
    Calm,
}

/// A request of a person.
#[derive(Debug, Clone)]
enum Wish {
    Request(RequestForge),
    /// The same, sent to the queue itself.
    Message(RequestForge),
    /// Something that is no request.
    Nonsense,
}

/// The states of an execution.
#[derive(Debug, Clone, Copy)]
enum Stage {
    Begun,
    Tried { attempt: u32, deaths: u32 },
    Waiting,
    Built,
    Failed,
}

/// A message of the queue.
struct Queued {
    message: Message,
    receives: u32,
    is_deleted: bool,
}

/// The cause of an invocation.
#[derive(Debug, Clone)]
enum Cause {
    Message(usize),
    Manifest {
        key: String,
        attempt: u32,
    },
    Reconciler,
    Redrive(Queue),
    Build {
        order: BuildOrder,
        attempt: u32,
        deaths: u32,
    },
    /// A failure that an execution hands over.
    Failure {
        order: BuildOrder,
        next_attempt_at: Option<Timestamp>,
        attempt: u32,
    },
    /// Something that nothing waits for.
    Detached,
}

/// A run that went wrong.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) seed: u64,
    pub(crate) violations: Vec<String>,
    pub(crate) schedule: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            seed,
            violations,
            schedule,
        } = self;
        writeln!(f, "{schedule}")?;
        for violation in violations {
            writeln!(f, "VIOLATED: {violation}")?;
        }
        write!(
            f,
            "SEED={seed} cargo test -p integration-tests --test simulation nothing_is_lost repeats it"
        )
    }
}

/// The figures of a run, or of many.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Figures {
    pub(crate) steps: u64,
    pub(crate) invocations: u64,
    pub(crate) deaths: u64,
    /// Calls that were not simply answered.
    pub(crate) faults: u64,
    /// Calls that took effect after they were given up.
    pub(crate) late: u64,
    /// Claims that were taken over.
    pub(crate) taken_over: u64,
    pub(crate) versions: u64,
    pub(crate) deleted: u64,
    pub(crate) rollbacks: u64,
    /// Old versions that were to be deleted, and were.
    pub(crate) deleted_old: u64,
    /// Those that were kept, since somebody had taken them up by then.
    pub(crate) kept_old: u64,
    pub(crate) published: u64,
    pub(crate) unchanged: u64,
    pub(crate) superseded: u64,
    pub(crate) failed: u64,
    pub(crate) rejected: u64,
    pub(crate) notifications: u64,
    pub(crate) alarms: u64,
    pub(crate) dead_letters: u64,
}

impl Figures {
    /// The figures with their names.
    pub(crate) fn named(&self) -> [(&'static str, u64); 19] {
        [
            ("steps", self.steps),
            ("invocations", self.invocations),
            ("deaths", self.deaths),
            ("faults", self.faults),
            ("late effects", self.late),
            ("claims taken over", self.taken_over),
            ("versions", self.versions),
            ("versions deleted", self.deleted),
            ("rollbacks", self.rollbacks),
            ("old versions deleted", self.deleted_old),
            ("old versions kept after all", self.kept_old),
            ("published", self.published),
            ("unchanged", self.unchanged),
            ("superseded", self.superseded),
            ("failed", self.failed),
            ("rejected", self.rejected),
            ("notifications", self.notifications),
            ("alarms", self.alarms),
            ("dead letters", self.dead_letters),
        ]
    }

    fn count(&mut self, world: &World) {
        let shared = world.shared();
        let cloud = &shared.cloud;
        self.taken_over = cloud.taken_over;
        for (_, fact) in &cloud.history {
            match fact {
                Fact::Made { .. } => self.versions += 1,
                Fact::Deleted { .. } => self.deleted += 1,
                Fact::Ended(_) => {}
            }
        }
        for item in cloud.targets.values() {
            match item.status {
                Status::Published => self.published += 1,
                Status::Unchanged => self.unchanged += 1,
                Status::Superseded => self.superseded += 1,
                Status::Failed => self.failed += 1,
                _ => {}
            }
        }
        let rejected = cloud.requests.values();
        self.rejected = rejected.filter(|it| **it == Status::Rejected).count() as u64;
        self.notifications = cloud.sent.len() as u64;
    }
}

impl std::ops::AddAssign for Figures {
    fn add_assign(&mut self, other: Self) {
        self.steps += other.steps;
        self.invocations += other.invocations;
        self.deaths += other.deaths;
        self.faults += other.faults;
        self.late += other.late;
        self.taken_over += other.taken_over;
        self.versions += other.versions;
        self.deleted += other.deleted;
        self.rollbacks += other.rollbacks;
        self.deleted_old += other.deleted_old;
        self.kept_old += other.kept_old;
        self.published += other.published;
        self.unchanged += other.unchanged;
        self.superseded += other.superseded;
        self.failed += other.failed;
        self.rejected += other.rejected;
        self.notifications += other.notifications;
        self.alarms += other.alarms;
        self.dead_letters += other.dead_letters;
    }
}

/// The evidence at the end of a run.
pub(crate) struct Verified<'a> {
    pub(crate) world: &'a World,
    /// Requests that have to be accepted.
    pub(crate) valid: &'a BTreeMap<RequestId, RequestForge>,
    /// Those of them that are rollbacks, and to which version.
    pub(crate) rollbacks: &'a BTreeMap<RequestId, (LayerName, u64)>,
    /// Requests that have to be rejected.
    pub(crate) invalid: &'a [RequestId],
    /// Requests whose objects somebody deleted: they can be either.
    pub(crate) vanished: &'a [RequestId],
    /// Executions that failed, or were stopped.
    pub(crate) failed_builds: &'a [(RequestId, LayerTarget)],
    /// True if somebody deleted artifacts.
    pub(crate) is_tampered: bool,
    /// True if a version may have come into being after its lease.
    pub(crate) may_have_twins: bool,
    /// The alarms that were raised.
    pub(crate) alarms: &'a [Alarm],
}

/// Runs a seed. The schedule of a failed run is written only if it is asked for.
pub(crate) fn run(
    seed: u64,
    mutation: Option<Mutation>,
    is_traced: bool,
) -> Result<Figures, Failure> {
    let mut simulation = Simulation::new(seed, mutation, is_traced);
    let mut violations = Vec::new();
    match alarms::listen(|| simulation.run()) {
        Ok(()) => violations = invariants::violations(&simulation.verified()),
        Err(violation) => violations.push(violation),
    }
    if violations.is_empty() {
        simulation.figures.alarms = simulation.alarms.len() as u64;
        simulation.figures.count(&simulation.world);
        return Ok(simulation.figures);
    }
    Err(Failure {
        seed,
        violations,
        schedule: simulation.trace.unwrap_or_default(),
    })
}

struct Simulation {
    random: Random,
    /// The chance of its own that operators act by: a run without them is what it would be anyway.
    operator: Random,
    weather: Weather,
    mutation: Option<Mutation>,
    world: World,
    queue: BinaryHeap<Reverse<(i64, u64)>>,
    events: BTreeMap<u64, Event>,
    scheduled: u64,
    /// The last call that was scheduled.
    last_call: CallId,
    start: Timestamp,
    messages: Vec<Queued>,
    running: BTreeMap<InvocationId, (Cause, Timestamp)>,
    valid: BTreeMap<RequestId, RequestForge>,
    rollbacks: BTreeMap<RequestId, (LayerName, u64)>,
    invalid: Vec<RequestId>,
    vanished: Vec<RequestId>,
    failed_builds: Vec<(RequestId, LayerTarget)>,
    /// The number of executions that were scheduled.
    executions: usize,
    /// The number of written manifests whose events were scheduled.
    manifests: usize,
    is_tampered: bool,
    may_have_twins: bool,
    is_parameter_in_doubt: bool,
    /// The number of dead letters of each manifest.
    letters: BTreeMap<String, u32>,
    alarms: Vec<Alarm>,
    trace: Option<String>,
    figures: Figures,
}

impl Simulation {
    fn new(seed: u64, mutation: Option<Mutation>, is_traced: bool) -> Self {
        let mut random = Random::new(seed);
        let weather = Weather::by_chance(&mut random);
        let world = World::mutated(mutation);
        let start = world.now();
        let mut simulation = Self {
            random,
            operator: Random::new(!seed),
            weather,
            mutation,
            world,
            queue: BinaryHeap::new(),
            events: BTreeMap::new(),
            scheduled: 0,
            last_call: 0,
            start,
            messages: Vec::new(),
            running: BTreeMap::new(),
            valid: BTreeMap::new(),
            rollbacks: BTreeMap::new(),
            invalid: Vec::new(),
            vanished: Vec::new(),
            executions: 0,
            manifests: 0,
            is_tampered: false,
            failed_builds: Vec::new(),
            may_have_twins: false,
            is_parameter_in_doubt: false,
            letters: BTreeMap::new(),
            alarms: Vec::new(),
            trace: is_traced.then(String::new),
            figures: Figures::default(),
        };
        simulation.plan();
        simulation
    }

    /// Plans the actions of people in this run.
    fn plan(&mut self) {
        let random = &mut self.random;
        let projects: &[_] = if random.chance(300) {
            &["tools", "data"]
        } else {
            &["tools"]
        };
        let contents = random.within(1..=3);
        let pace = *random.pick(&[10, 2000, 60_000, 300_000]);
        let is_demanding = random.chance(60);
        // For both architectures, merged, or the one and the other by turns.
        let layers = random.within(0..=999);
        let mut at = 0;
        let mut plan = Vec::new();
        for _ in 0..random.within(1..=7) {
            at += random.within(0..=pace);
            if random.chance(30) {
                plan.push((at, Event::Drop(Wish::Nonsense)));
                continue;
            }
            let content = u32::try_from(random.within(1..=contents)).expect("it is small");
            let project = *random.pick(projects);
            let mut request = RequestForge::new(project, content);
            if layers < 150 {
                request = request.both();
            } else if layers < 250 || layers < 350 && random.chance(500) {
                request = request.merged();
            }
            for account in ["111111111111", "222222222222"] {
                if random.chance(250) {
                    request = request.grant(account);
                }
            }
            if is_demanding && random.chance(300) {
                request = request.grant(UNKNOWN_ACCOUNT);
            }
            let wish = if random.chance(150) {
                Wish::Message(request)
            } else {
                Wish::Request(request)
            };
            plan.push((at, Event::Drop(wish)));
            if random.chance(300) {
                plan.push((at + random.within(0..=20_000), Event::ReconcileNow));
            }
        }
        for _ in 0..random.weighted(&[(6, 0), (2, 1), (1, 3)]) {
            plan.push((random.within(0..=at + 600_000), Event::Delete));
        }
        if random.chance(30) {
            plan.push((random.within(0..=at + 600_000), Event::Tamper));
        }
        let operator = &mut self.operator;
        for _ in 0..operator.weighted(&[(6, 0), (2, 1), (1, 3)]) {
            plan.push((operator.within(0..=at + 600_000), Event::RollBack));
        }
        for _ in 0..operator.weighted(&[(4, 0), (2, 1), (1, 3)]) {
            let older_than = *operator.pick(&[None, Some(Duration::from_mins(3))]);
            let policy = Policy {
                keep: *operator.pick(&[NonZeroUsize::MIN, NonZeroUsize::MIN.saturating_add(1)]),
                created_before: older_than
                    .map(|age| self.start.after(Duration::from_millis(at)).before(age)),
            };
            let after = operator.within(0..=at + 600_000);
            plan.push((after, Event::DeleteOld(policy)));
            for _ in 0..operator.within(0..=6) {
                let used = operator.within(0..=after + 10_000);
                plan.push((used, Event::Use));
                // Between the look and the deletion.
                plan.push((after + operator.within(0..=500), Event::Use));
            }
        }
        plan.push((random.within(0..=300_000), Event::Reconcile));
        plan.push((at + random.within(0..=3_600_000), Event::Calm));
        for (after, event) in plan {
            self.schedule(Duration::from_millis(after), event);
        }
    }

    fn schedule(&mut self, after: Duration, event: Event) {
        let at = self.world.now().after(after).milliseconds();
        self.scheduled += 1;
        self.queue.push(Reverse((at, self.scheduled)));
        self.events.insert(self.scheduled, event);
    }

    fn note(&mut self, line: impl FnOnce() -> String) {
        if let Some(trace) = &mut self.trace {
            let elapsed = self.world.now().milliseconds() - self.start.milliseconds();
            let (seconds, milliseconds) = (elapsed / 1000, elapsed % 1000);
            let _ = writeln!(trace, "{seconds:>8}.{milliseconds:03} {}", line());
        }
    }

    fn verified(&self) -> Verified<'_> {
        Verified {
            alarms: &self.alarms,
            world: &self.world,
            valid: &self.valid,
            rollbacks: &self.rollbacks,
            invalid: &self.invalid,
            vanished: &self.vanished,
            is_tampered: self.is_tampered,
            failed_builds: &self.failed_builds,
            may_have_twins: self.may_have_twins,
        }
    }

    /// Goes on until nothing is left to do.
    fn run(&mut self) -> Result<(), String> {
        let weather = format!("{:?}", self.weather);
        self.note(|| weather);
        while let Some(Reverse((at, id))) = self.queue.pop() {
            self.figures.steps += 1;
            if self.figures.steps > u64::from(MAX_STEPS) {
                return Err("it does not come to rest".to_owned());
            }
            let now = Timestamp::from_milliseconds(at).expect("no run lasts that long");
            self.world.shared().now = now;
            let event = self.events.remove(&id).expect("it was scheduled");
            self.happens(event);
            self.schedule_builds();
            self.schedule_manifests();
            self.schedule_redriven();
            self.schedule_calls();
            self.hear()?;
            self.check_parameters()?;
        }
        Ok(())
    }

    /// Takes alarms, which have to be true.
    fn hear(&mut self) -> Result<(), String> {
        for (layer, version) in alarms::take() {
            self.note(|| format!("alarm: {layer}:{version} is not recorded"));
            let is_recorded = self.world.shared().cloud.is_recorded(&layer, version);
            let claim = self.world.shared().cloud.state(&layer).claim;
            if is_recorded || claim.is_some() {
                return Err(format!("a false alarm about {layer}:{version}"));
            }
            self.alarms.push((layer, version));
        }
        Ok(())
    }

    /// If nothing has died and no parameter was written late, each parameter names the current version
    /// as soon as no publisher is active.
    fn check_parameters(&self) -> Result<(), String> {
        if self.is_parameter_in_doubt || !self.running.is_empty() {
            return Ok(());
        }
        let shared = self.world.shared();
        let at_rest = shared.cloud.layers.iter().filter(|(_, items)| {
            items.outbox.is_empty() && items.state.claim.is_none() && shared.late.is_empty()
        });
        for (layer, items) in at_rest {
            let current = items.state.published.as_ref().map(|it| &it.version_arn);
            let (project, target) = layer.parts();
            let name = keys::latest_version_parameter("/accretion", &project, target);
            let parameter = shared.cloud.parameters.get(&name);
            if parameter != current {
                return Err(format!(
                    "{current:?} is current, and the parameter is {parameter:?}"
                ));
            }
        }
        Ok(())
    }

    fn happens(&mut self, event: Event) {
        match event {
            Event::Drop(wish) => self.drop(wish),
            Event::Receive { message } => self.receive(message),
            Event::Answer(waiting) => self.answer(&waiting),
            Event::Land(call) => {
                self.note(|| format!("call {call} takes effect"));
                self.figures.late += 1;
                self.world.shared().land(call);
            }
            Event::Deadline(invocation) => self.deadline(invocation),
            Event::Build(order, stage) => self.build(&order, stage),
            Event::Manifest { key, attempt } => {
                let job = Job::Publish(key.clone());
                self.begin(job, Cause::Manifest { key, attempt }, TIMEOUT);
            }
            Event::Reconcile => self.reconcile(),
            Event::ReconcileNow => {
                self.begin(Job::Reconcile, Cause::Reconciler, TIMEOUT);
            }
            Event::Redrive(queue) => {
                if !self.world.shared().cloud.dead_letters.is_empty(queue) {
                    self.begin(Job::Redrive(queue), Cause::Redrive(queue), TIMEOUT);
                }
            }
            Event::RollBack => self.roll_back(),
            Event::Use => self.use_a_version(),
            Event::DeleteOld(policy) => {
                let job = Job::DeleteOld(policy);
                self.begin(job, Cause::Detached, DELETION_TIMEOUT);
            }
            Event::Delete => self.delete(),
            Event::Vanish(id, object) => {
                self.note(|| format!("somebody deletes what {id} was read from"));
                self.world.shared().cloud.inbox.remove(&object);
                self.vanished.push(id);
            }
            Event::Tamper => {
                self.note(|| "somebody deletes the artifacts".to_owned());
                self.world.shared().cloud.artifacts.clear();
                self.is_tampered = true;
            }
            Event::Calm => {
                self.note(|| "calm".to_owned());
                self.weather = Weather::CALM;
            }
        }
    }

    fn drop(&mut self, wish: Wish) {
        let dropped = match wish {
            Wish::Request(request) => {
                let dropped = self.world.drop_now(&request);
                self.note(|| format!("{} is dropped: {request:?}", dropped.id));
                self.valid.insert(dropped.id.clone(), request);
                if self.random.chance(15) {
                    let after = self.delay();
                    let object = dropped.object.clone().expect("it was dropped");
                    self.schedule(after, Event::Vanish(dropped.id.clone(), object));
                }
                dropped
            }
            Wish::Message(request) => {
                let dropped = self.world.send_now(&request);
                self.note(|| format!("{} is sent: {request:?}", dropped.id));
                self.valid.insert(dropped.id.clone(), request);
                dropped
            }
            Wish::Nonsense => {
                let dropped = self.world.drop_text(&"tools".parse().unwrap(), "{}");
                self.note(|| format!("{} is dropped: nonsense", dropped.id));
                self.invalid.push(dropped.id.clone());
                dropped
            }
        };
        self.enqueue(dropped.message);
    }

    /// Rolls a layer back to a version that was described, whether it is there, or recorded, or not.
    /// It is as if what that version was made for were asked for again.
    fn roll_back(&mut self) {
        let versions: Vec<_> = {
            let shared = self.world.shared();
            shared.cloud.layer_manifests.keys().cloned().collect()
        };
        if versions.is_empty() {
            return;
        }
        let (layer, version) = self.operator.pick(&versions).clone();
        let (project, target) = layer.parts();
        let is_known = !self.operator.chance(50);
        let text = rollback(&layer, if is_known { version } else { 1_000 });
        let dropped = if self.operator.chance(150) {
            self.world.send_text(&project, text)
        } else {
            self.world.drop_text(&project, &text)
        };
        let id = dropped.id.clone();
        self.note(|| format!("{id} rolls {layer} back to {version}, known: {is_known}"));
        if is_known {
            let mut request = self.valid[&self.requester(&layer, version)].clone();
            request.targets = vec![target];
            self.valid.insert(id.clone(), request);
            self.rollbacks.insert(id.clone(), (layer, version));
            self.figures.rollbacks += 1;
            if let Some(object) = dropped.object.filter(|_| self.operator.chance(15)) {
                let after = self.delay();
                self.schedule(after, Event::Vanish(id, object));
            }
        } else {
            self.invalid.push(id);
        }
        self.enqueue(dropped.message);
    }

    /// A function takes up a version that there is, or lets go of the one that it has.
    fn use_a_version(&mut self) {
        let versions: Vec<_> = {
            let shared = self.world.shared();
            let layers = shared.cloud.lambda.iter();
            let versions = layers.flat_map(|(layer, it)| {
                it.versions.keys().map(|&version| (layer.clone(), version))
            });
            versions.collect()
        };
        let function = format!("function {}", self.operator.within(1..=3));
        if versions.is_empty() || self.operator.chance(200) {
            self.note(|| format!("{function} uses nothing"));
            self.world.shared().cloud.functions.remove(&function);
            return;
        }
        let version = self.operator.pick(&versions).clone();
        self.note(|| format!("{function} uses {}:{}", version.0, version.1));
        let shared = &mut self.world.shared();
        shared.cloud.functions.insert(function, version);
    }

    /// The request that a version was made for, as it is described.
    fn requester(&self, layer: &LayerName, version: u64) -> RequestId {
        let shared = self.world.shared();
        let described = &shared.cloud.layer_manifests[&(layer.clone(), version)];
        let key = &described.artifact_manifest.key;
        keys::request_of_manifest(key).expect("it is the key of a manifest")
    }

    /// Takes over whom a rollback lets use the version: those of the manifest that it has found.
    fn note_permissions(&mut self, key: &str) {
        let id = keys::request_of_manifest(key).expect("it is the key of a manifest");
        if !self.rollbacks.contains_key(&id) {
            return;
        }
        let manifest = {
            let shared = self.world.shared();
            Manifest::from_json(&shared.cloud.manifests[key]).expect("it is a manifest")
        };
        let permissions = manifest
            .publish
            .permissions
            .iter()
            .map(Permission::try_from);
        let request = self.valid.get_mut(&id).expect("it was dropped");
        request.permissions = permissions.map(|it| it.expect("it is one")).collect();
    }

    /// Puts a message into the request queue.
    fn enqueue(&mut self, message: Message) {
        self.messages.push(Queued {
            message,
            receives: 0,
            is_deleted: false,
        });
        let message = self.messages.len() - 1;
        let deliveries = 1 + u64::from(self.random.chance(self.weather.duplicated));
        for _ in 0..deliveries {
            let after = self.delay();
            self.schedule(after, Event::Receive { message });
        }
    }

    /// The delay of an event.
    fn delay(&mut self) -> Duration {
        let random = &mut self.random;
        let milliseconds = if random.chance(self.weather.delayed) {
            random.within(0..=4 * 3_600_000)
        } else if random.chance(100) {
            random.within(0..=60_000)
        } else {
            random.within(10..=900)
        };
        Duration::from_millis(milliseconds)
    }

    fn receive(&mut self, message: usize) {
        let queued = &mut self.messages[message];
        if queued.is_deleted && !self.random.chance(self.weather.duplicated) {
            return;
        }
        queued.receives += 1;
        let job = Job::Dispatch(queued.message.clone());
        self.begin(job, Cause::Message(message), DISPATCHER_TIMEOUT);
    }

    fn begin(&mut self, job: Job, cause: Cause, timeout: Duration) {
        let skew = self.random.within(0..=2 * self.weather.skew).cast_signed();
        let skew = skew - self.weather.skew.cast_signed();
        self.figures.invocations += 1;
        let name = format!("{cause:?}");
        match self.world.start(job, skew) {
            Ok(id) => {
                self.note(|| format!("invocation {id} begins: {name}"));
                let now = self.world.now();
                self.running.insert(id, (cause, now));
                self.schedule(timeout, Event::Deadline(id));
            }
            Err(ended) => self.ends(&cause, Some(&ended)),
        }
    }

    /// Gives the calls that are new a time.
    fn schedule_calls(&mut self) {
        let last = self.last_call;
        let waiting: Vec<_> = {
            let shared = self.world.shared();
            let new = shared.waiting.iter().filter(|waiting| waiting.id > last);
            new.cloned().collect()
        };
        for waiting in waiting {
            self.last_call = self.last_call.max(waiting.id);
            let after = match waiting.until {
                Some(until) => {
                    let after = until.milliseconds() - self.world.now().milliseconds();
                    Duration::from_millis(after.max(0).cast_unsigned())
                }
                None => self.latency(waiting.call),
            };
            self.schedule(after, Event::Answer(waiting));
        }
    }

    /// The latency of a call.
    fn latency(&mut self, call: Call) -> Duration {
        let random = &mut self.random;
        let milliseconds = if random.chance(self.weather.slow) {
            random.within(0..=150_000)
        } else if call == Call::ListVersions && random.chance(200) {
            random.within(0..=10_000)
        } else if random.chance(100) {
            random.within(0..=2000)
        } else {
            random.within(1..=60)
        };
        Duration::from_millis(milliseconds)
    }

    fn answer(&mut self, waiting: &Waiting) {
        let is_waiting = {
            let shared = self.world.shared();
            shared.waiting.iter().any(|it| it.id == waiting.id)
        };
        if !is_waiting {
            return;
        }
        let verdict = self.verdict(waiting.call);
        self.decide(waiting, verdict);
    }

    fn verdict(&mut self, call: Call) -> Verdict {
        let Weather {
            refused,
            lost,
            answer_lost,
            late,
            dies,
            ..
        } = self.weather;
        // What could do most harm is what to look at.
        let times = match call {
            Call::Publish | Call::SetLatestVersion => 4,
            Call::ReleaseClaim => 20,
            _ => 1,
        };
        let good = 1000;
        let verdict = if call == Call::Sleep {
            self.random
                .weighted(&[(good, Verdict::Done), (dies / 4, Verdict::DiesBefore)])
        } else if call.has_effect() {
            self.random.weighted(&[
                (good, Verdict::Done),
                (refused * times, Verdict::Refused),
                (lost * times, Verdict::Lost),
                (answer_lost * times, Verdict::AnswerLost),
                (late * times, Verdict::Late),
                (dies * times, Verdict::DiesBefore),
                (dies * times, Verdict::DiesAfter),
                (dies * times / 2, Verdict::DiesLate),
            ])
        } else {
            self.random.weighted(&[
                (good, Verdict::Done),
                (refused, Verdict::Refused),
                (lost, Verdict::Lost),
                (dies, Verdict::DiesBefore),
            ])
        };
        self.figures.faults += u64::from(verdict != Verdict::Done);
        verdict
    }

    fn decide(&mut self, waiting: &Waiting, verdict: Verdict) {
        let id = waiting.invocation;
        if verdict.is_death() {
            self.die(id, Some((waiting.id, verdict)));
            return;
        }
        self.note(|| format!("{id}: {} {:?}: {verdict:?}", waiting.id, waiting.call));
        let ended = self.world.decide(waiting, verdict);
        if verdict == Verdict::Late {
            self.land_later(waiting);
        }
        if let Some(ended) = ended {
            let (cause, _) = self.running.remove(&id).expect("it was running");
            self.ends(&cause, Some(&ended));
        }
    }

    fn deadline(&mut self, id: InvocationId) {
        if self.running.contains_key(&id) {
            self.note(|| format!("{id}: its time is over"));
            self.die(id, None);
        }
    }

    /// Lets an invocation die. Each call that is under way may take effect, now, later or never.
    fn die(&mut self, id: InvocationId, decided: Option<(CallId, Verdict)>) {
        self.figures.deaths += 1;
        self.is_parameter_in_doubt = true;
        let waiting: Vec<_> = {
            let shared = self.world.shared();
            let all = shared.waiting.iter().filter(|it| it.invocation == id);
            all.cloned().collect()
        };
        let deaths = [Verdict::DiesBefore, Verdict::DiesAfter, Verdict::DiesLate];
        let mut verdicts = Vec::new();
        for waiting in waiting {
            let verdict = match decided {
                Some((call, verdict)) if call == waiting.id => verdict,
                _ if !waiting.call.has_effect() => Verdict::DiesBefore,
                _ => *self.random.pick(&deaths),
            };
            self.note(|| format!("{id}: {} {:?}: {verdict:?}", waiting.id, waiting.call));
            verdicts.push((waiting, verdict));
        }
        self.world.die(id, &verdicts);
        for (waiting, verdict) in verdicts {
            if verdict == Verdict::DiesLate {
                self.land_later(&waiting);
            }
        }
        let (cause, _) = self.running.remove(&id).expect("it was running");
        self.ends(&cause, None);
    }

    /// Lets a call take effect some time after it was given up.
    fn land_later(&mut self, waiting: &Waiting) {
        self.is_parameter_in_doubt |= waiting.call == Call::SetLatestVersion;
        let (_, begun) = &self.running[&waiting.invocation];
        let in_lease = begun.after(TIMEOUT).after(IN_FLIGHT).milliseconds();
        let now = self.world.now().milliseconds();
        let random = &mut self.random;
        let at_most = match waiting.call {
            Call::Publish if self.weather.after_lease && random.chance(500) => {
                self.may_have_twins = true;
                1_800_000
            }
            Call::Publish | Call::SetLatestVersion | Call::Record => {
                (in_lease - now).max(0).cast_unsigned()
            }
            _ => *random.pick(&[1000, 60_000, 1_200_000]),
        };
        let after = Duration::from_millis(random.within(0..=at_most));
        self.schedule(after, Event::Land(waiting.id));
    }

    /// Goes on where an invocation has ended; `None` where it died.
    #[expect(clippy::too_many_lines, reason = "a case for each kind of invocation")]
    fn ends(&mut self, cause: &Cause, ended: Option<&Ended>) {
        let error = match ended {
            None => None,
            Some(Ended::Dispatched(result)) => result.as_ref().err(),
            Some(Ended::Built(result) | Ended::FailureRecorded(result)) => result.as_ref().err(),
            Some(Ended::Published(result)) => result.as_ref().err(),
            Some(Ended::Reconciled(result)) => result.as_ref().err(),
            Some(Ended::Redriven(outcome)) => outcome.failure.as_ref(),
            Some(Ended::DeletedOld(result)) => result.as_ref().err(),
        };
        if let Some(Ended::DeletedOld(Ok(outcomes))) = ended {
            let count = |is: fn(&Outcome) -> bool| outcomes.iter().filter(|it| is(it)).count();
            let deleted = count(|it| matches!(it, Outcome::Deleted));
            let kept = count(|it| matches!(it, Outcome::Kept(_)));
            self.figures.deleted_old += deleted as u64;
            self.figures.kept_old += kept as u64;
        }
        let is_done = ended.is_some() && error.is_none();
        self.note(|| match (ended, error) {
            (None, _) => format!("    {cause:?} has died"),
            (_, Some(error)) => format!("    {cause:?} has failed: {}: {error}", error.code()),
            (Some(ended), None) => format!("    {ended:?}"),
        });
        match cause {
            &Cause::Message(message) if is_done => self.messages[message].is_deleted = true,
            &Cause::Message(message) => {
                let queued = &mut self.messages[message];
                if queued.is_deleted {
                    return;
                }
                if queued.receives < RECEIVES {
                    self.schedule(VISIBILITY, Event::Receive { message });
                    return;
                }
                queued.is_deleted = true;
                let Message {
                    id,
                    sent_at,
                    attributes,
                    body,
                } = queued.message.clone();
                let letter = DeadLetter {
                    id,
                    sent_at,
                    attributes,
                    body,
                    receipt: String::new(),
                };
                self.die_in(Queue::Requests, letter);
            }
            Cause::Manifest { .. } if is_done => {}
            Cause::Manifest { key, attempt } => {
                let key = key.clone();
                let attempt = attempt + 1;
                if attempt < PUBLISH_ATTEMPTS {
                    let after = Duration::from_mins(attempt.into());
                    self.schedule(after, Event::Manifest { key, attempt });
                } else if self.is_worth_a_letter(&key) {
                    let record = json!({
                        "requestPayload": serde_json::from_str::<Value>(&event(&key, "1", self.world.now()))
                            .expect("events are JSON"),
                    });
                    let letter = DeadLetter {
                        id: format!("letter {}", self.scheduled),
                        sent_at: self.world.now(),
                        attributes: IdentityAttributes::default(),
                        body: record.to_string(),
                        receipt: String::new(),
                    };
                    self.die_in(Queue::Publications, letter);
                }
            }
            Cause::Reconciler | Cause::Detached => {}
            &Cause::Redrive(queue) => {
                // What somebody else was at can't be seen for a while.
                let are_left = !self.world.shared().cloud.dead_letters.is_empty(queue);
                if (are_left && queue == Queue::Requests) || !is_done {
                    self.schedule(RECONCILER_PAUSE, Event::Redrive(queue));
                }
            }
            Cause::Failure {
                order,
                next_attempt_at,
                attempt,
            } => {
                let order = order.clone();
                if !is_done && *attempt < FAILURE_ATTEMPTS {
                    self.record_failure(order, *next_attempt_at, attempt + 1);
                } else if let Some(at) = next_attempt_at {
                    let pause = at.since(self.world.now());
                    self.schedule(pause, Event::Build(order, Stage::Begun));
                }
            }
            Cause::Build {
                order,
                attempt,
                deaths,
            } => {
                let may_pass = error.is_some_and(|error| error.class() == Class::Transient);
                let is_worth_it = match error {
                    Some(_) => may_pass && *attempt < BUILD_ATTEMPTS,
                    None => *deaths < BUILD_DEATHS,
                };
                let deaths = deaths + u32::from(ended.is_none());
                let (attempt, order) = (attempt + 1, order.clone());
                if is_done {
                    let is_failed = self.random.chance(self.weather.misjudged);
                    let stage = if is_failed {
                        Stage::Failed
                    } else {
                        Stage::Built
                    };
                    let after = Duration::from_millis(self.random.within(1..=2000));
                    self.schedule(after, Event::Build(order, stage));
                } else if is_worth_it {
                    let after = Duration::from_millis(self.random.within(0..=60_000));
                    self.schedule(after, Event::Build(order, Stage::Tried { attempt, deaths }));
                } else {
                    let stage = if may_pass {
                        Stage::Waiting
                    } else {
                        Stage::Failed
                    };
                    self.schedule(Duration::from_secs(1), Event::Build(order, stage));
                }
            }
        }
    }

    /// Nobody brings back for ever what fails again and again.
    fn is_worth_a_letter(&mut self, key: &str) -> bool {
        let letters = self.letters.entry(key.to_owned()).or_default();
        *letters += 1;
        *letters <= 3
    }

    /// Puts a letter into a queue of dead letters. Somebody brings requests back; publications that
    /// nobody cares for are a matter of the repair.
    fn die_in(&mut self, queue: Queue, letter: DeadLetter) {
        self.figures.dead_letters += 1;
        self.note(|| format!("{} is a dead letter", letter.id));
        self.world.shared().cloud.dead_letters.put(queue, letter);
        if queue == Queue::Requests || self.random.chance(500) {
            let after = Duration::from_millis(self.random.within(0..=3_600_000));
            self.schedule(after, Event::Redrive(queue));
        }
    }

    /// Schedules redriven messages and invocations again.
    fn schedule_redriven(&mut self) {
        let (sent, invoked) = {
            let mut shared = self.world.shared();
            let letters = &mut shared.cloud.dead_letters;
            (
                std::mem::take(&mut letters.sent),
                std::mem::take(&mut letters.invoked),
            )
        };
        for message in sent {
            let attributes = message.request.as_ref().map(IdentityAttributes::of);
            let message = Message {
                id: format!("message {} again", self.messages.len()),
                sent_at: self.world.now(),
                attributes: attributes.unwrap_or_default(),
                body: message.body,
            };
            self.enqueue(message);
        }
        for payload in invoked {
            let key = payload["Records"][0]["s3"]["object"]["key"].as_str();
            let (key, attempt) = (key.expect("it has one").to_owned(), 0);
            self.schedule(Duration::from_millis(50), Event::Manifest { key, attempt });
        }
    }

    /// Sees to executions that were started.
    fn schedule_builds(&mut self) {
        let orders = self.world.shared().cloud.started[self.executions..].to_vec();
        self.executions += orders.len();
        for order in orders {
            self.schedule(Duration::from_millis(50), Event::Build(order, Stage::Begun));
        }
    }

    /// S3 tells of the manifests that were written.
    fn schedule_manifests(&mut self) {
        let written = self.world.shared().cloud.written[self.manifests..].to_vec();
        self.manifests += written.len();
        for key in written {
            self.note_permissions(&key);
            let copies = 1 + u64::from(self.random.chance(self.weather.duplicated))
                - u64::from(self.random.chance(self.weather.dropped));
            for _ in 0..copies {
                let after = self.delay();
                let (key, attempt) = (key.clone(), 0);
                self.schedule(after, Event::Manifest { key, attempt });
            }
        }
    }

    fn build(&mut self, order: &BuildOrder, stage: Stage) {
        let (id, target, now) = (&order.request.id, order.target.target(), self.world.now());
        self.note(|| format!("{}: {stage:?}", order.execution()));
        match stage {
            Stage::Begun => {
                self.world
                    .shared()
                    .cloud
                    .raise(id, target, Status::Building, now);
                let seconds = self.random.weighted(&[(8, 2), (3, 30), (1, 900)]);
                let after = Duration::from_millis(self.random.within(200..=seconds * 1000));
                // What can't be built fails; what somebody stops is never heard of again.
                let tried = Stage::Tried {
                    attempt: 1,
                    deaths: 0,
                };
                let next = [(930, Some(tried)), (50, Some(Stage::Failed)), (20, None)];
                match self.random.weighted(&next) {
                    Some(stage) => self.schedule(after, Event::Build(order.clone(), stage)),
                    None => self.failed_builds.push((id.clone(), target)),
                }
            }
            Stage::Tried { attempt, deaths } => {
                let order = order.clone();
                // An execution that is given no answer in time leaves a builder behind.
                if self.random.chance(self.weather.duplicated) {
                    let job = Job::Build(order.clone());
                    self.begin(job, Cause::Detached, BUILDER_TIMEOUT);
                }
                let job = Job::Build(order.clone());
                let cause = Cause::Build {
                    order,
                    attempt,
                    deaths,
                };
                self.begin(job, cause, BUILDER_TIMEOUT);
            }
            Stage::Waiting => {
                let pause = Duration::from_secs(self.random.within(15..=1800));
                self.record_failure(order.clone(), Some(now.after(pause)), 1);
            }
            Stage::Built => {
                self.world
                    .shared()
                    .cloud
                    .raise(id, target, Status::Built, now);
            }
            Stage::Failed => {
                self.failed_builds.push((id.clone(), target));
                self.record_failure(order.clone(), None, 1);
            }
        }
    }

    /// Hands a failure to the publisher, as the state machine does.
    fn record_failure(
        &mut self,
        order: BuildOrder,
        next_attempt_at: Option<Timestamp>,
        attempt: u32,
    ) {
        let job = Job::RecordFailure(order.clone(), next_attempt_at);
        let cause = Cause::Failure {
            order,
            next_attempt_at,
            attempt,
        };
        self.begin(job, cause, TIMEOUT);
    }

    fn reconcile(&mut self) {
        let (is_due, is_open) = {
            let shared = self.world.shared();
            let cloud = &shared.cloud;
            let now = shared.now;
            let given_up = now.before(SILENCE_UNTIL_LOST);
            let is_pending = !cloud.pending_before(now).is_empty();
            let mut layers = cloud.layers.values();
            let will_be_pending = layers.any(|it| it.pending_since().is_some());
            let open = cloud.open_before(now);
            let is_due = open.iter().any(|open| {
                let build = &open.build;
                let target = build.target.target();
                let key = keys::manifest(&build.project, &build.request.id, target);
                open.updated_at <= given_up || cloud.manifests.contains_key(&key)
            });
            (is_pending || is_due, will_be_pending || !open.is_empty())
        };
        // A run of the reconciler that finds nothing is not worth its time here.
        if is_due && self.mutation != Some(Mutation::NoReconciler) {
            self.begin(Job::Reconcile, Cause::Reconciler, TIMEOUT);
        }
        if is_due || is_open || !self.queue.is_empty() {
            self.schedule(RECONCILER_PAUSE, Event::Reconcile);
        }
    }

    fn delete(&mut self) {
        let versions: Vec<_> = {
            let shared = self.world.shared();
            let layers = shared.cloud.lambda.iter();
            let versions = layers.flat_map(|(layer, it)| {
                it.versions.keys().map(|&version| (layer.clone(), version))
            });
            versions.collect()
        };
        if !versions.is_empty() {
            let (layer, version) = self.random.pick(&versions).clone();
            self.note(|| format!("somebody deletes {layer}:{version}"));
            let now = self.world.now();
            self.world
                .shared()
                .cloud
                .delete_version(&layer, version, now);
        }
    }
}
