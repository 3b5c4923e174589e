//! The kills in a run of chaos: which processes, and when.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::time::{Duration, Instant};

use fastrand::Rng;
use pipeline_tests::{FunctionProcess, MiniStack, Result, Stack, Table};
use serde_json::Value;

use crate::plan::millis;
use crate::wire::LEASE;

/// The number of publishers to kill that have a claim on a layer, each on another layer: the
/// minimum however long it takes, and the maximum while it is early. Then the number to kill of
/// those that take over the claims left behind.
const CLAIMS_AT_LEAST: usize = 10;
const CLAIMS: usize = 12;
const TAKE_OVERS: usize = 3;

/// The time after the first kill in which more of them are killed than the minimum, and the time
/// after its lease in which those that take over are killed: every claim left behind takes as long
/// as a lease again.
const WITHIN: Duration = Duration::from_secs(30);

/// The number of processes to kill at any moment, by function. A build is tried once more if its
/// process dies, and no more: [`BUILDERS_APART`] takes care of that.
const PUBLISHERS: usize = 16;
const DISPATCHERS: usize = 5;
const BUILDERS: usize = 4;

/// The time from one killed builder to the next.
const BUILDERS_APART: Duration = Duration::from_secs(6);

/// A process that is not so old may not have asked for an event yet: the emulator would end all
/// others of its function, too.
const GROWN_UP: Duration = Duration::from_secs(2);

/// The processes that were killed.
#[derive(Debug, Default, Clone)]
pub(crate) struct Kills {
    /// With a claim on a layer, and no version made under it.
    pub(crate) before_version: usize,
    /// With a claim on a layer, and a version that is not recorded.
    pub(crate) after_version: usize,
    /// Of those, the ones that had taken a dead claim over.
    pub(crate) take_overs: usize,
    /// Just after the commit, with an outbox entry that is not announced.
    pub(crate) after_commit: usize,
    /// At any moment, by function.
    pub(crate) at_random: BTreeMap<&'static str, usize>,
}

impl Kills {
    /// Those that had a claim, which was left.
    pub(crate) fn with_claim(&self) -> usize {
        self.before_version + self.after_version
    }

    pub(crate) fn all(&self) -> usize {
        self.with_claim() + self.after_commit + self.at_random.values().sum::<usize>()
    }
}

/// Kills functions of its own server.
pub(crate) struct Killer<'a> {
    server: &'a MiniStack,
    stack: &'a Stack,
    random: RefCell<Rng>,
    pub(crate) kills: RefCell<Kills>,
    /// The number of times that a claim was left behind, by layer.
    struck: RefCell<BTreeMap<String, usize>>,
    /// The time at which the first claim was left behind.
    first: Cell<Option<Instant>>,
    /// The times at which processes were first seen, by their numbers.
    seen: RefCell<BTreeMap<i32, Instant>>,
}

/// A claim of the table.
struct Claim {
    layer: String,
    owner: String,
    /// The number of the process that has it.
    process: i32,
    /// The version that stands.
    version: i64,
}

impl Claim {
    /// Reads the item of a layer that is claimed.
    fn of(item: &Value) -> Option<Self> {
        let owner = item["Claim"]["Owner"].as_str()?;
        Some(Self {
            layer: item["LayerName"].as_str()?.to_owned(),
            owner: owner.to_owned(),
            // <invocation>/<process>/<time>/<revision>
            process: owner.split('/').nth(1)?.parse().ok()?,
            version: item["Published"]["Version"].as_i64().unwrap_or(0),
        })
    }
}

impl<'a> Killer<'a> {
    pub(crate) fn new(server: &'a MiniStack, stack: &'a Stack, random: Rng) -> Self {
        Self {
            server,
            stack,
            random: random.into(),
            kills: RefCell::default(),
            struck: RefCell::default(),
            first: Cell::default(),
            seen: RefCell::default(),
        }
    }

    /// Kills whoever has a claim, as long as there are any to be killed.
    ///
    /// All publishers are halted before the table is asked: what it says of claims holds then, but for
    /// the call that each may have under way.
    pub(crate) async fn strike_claims(&self) -> Result<Infallible> {
        let publisher = self.stack.output("PublisherFunctionName");
        while self.are_wanted() {
            let start = Instant::now();
            let mut processes = self.server.functions();
            processes.retain(|process| process.function == publisher);
            processes.iter().for_each(FunctionProcess::halt);
            let struck = self.strike_halted(&processes).await;
            processes.iter().for_each(FunctionProcess::resume);
            struck?;
            // Where the emulator is slow to answer, publishers would never come to their work.
            let pause = millis(&mut self.random.borrow_mut(), 50, 400);
            tokio::time::sleep(pause.max(2 * start.elapsed())).await;
        }
        std::future::pending().await
    }

    /// Returns whether somebody with a claim may still have to be killed.
    fn are_wanted(&self) -> bool {
        let kills = self.kills.borrow();
        let are_missing = kills.with_claim() - kills.take_overs < CLAIMS_AT_LEAST;
        let is_over = |first: Instant| first.elapsed() > LEASE + WITHIN;
        are_missing || !self.first.get().is_some_and(is_over)
    }

    async fn strike_halted(&self, processes: &[FunctionProcess]) -> Result<()> {
        // Enough for a moment: others are to be met elsewhere.
        const AT_ONCE: usize = 2;
        let items = self.stack.all_items(Table::Layers, Some("Claim")).await?;
        let mut claims: Vec<_> = items.iter().filter_map(Claim::of).collect();
        self.random.borrow_mut().shuffle(&mut claims);
        let mut struck = 0;
        for claim in claims {
            let process = processes.iter().find(|it| it.pid == claim.process);
            if let Some(process) = process
                && struck < AT_ONCE
                && self.is_wanted(&claim)
                && process.kill()
            {
                self.note(&claim).await?;
                struck += 1;
            }
        }
        Ok(())
    }

    /// Returns whether a claim on this layer is still to be left.
    fn is_wanted(&self, claim: &Claim) -> bool {
        let kills = self.kills.borrow();
        let is_within = |from: Duration| {
            let first = self.first.get();
            first.is_none_or(|first| first.elapsed() < from + WITHIN)
        };
        match self.struck.borrow().get(&claim.layer) {
            None => {
                let left = kills.with_claim() - kills.take_overs;
                left < CLAIMS_AT_LEAST || left < CLAIMS && is_within(Duration::ZERO)
            }
            Some(1) => kills.take_overs < TAKE_OVERS && is_within(LEASE),
            Some(_) => false,
        }
    }

    /// Notes how far one that was killed had come: what it had asked for before may have been done
    /// meanwhile.
    async fn note(&self, claim: &Claim) -> Result<()> {
        let items = self.stack.items(Table::Layers, &claim.layer).await?;
        let versions = self.stack.layer_versions(&claim.layer).await?;
        let mut kills = self.kills.borrow_mut();
        let has_claim = |item: &Value| item["Claim"]["Owner"] == claim.owner.as_str();
        if !items.get("layer").is_some_and(has_claim) {
            kills.after_commit += 1;
            return Ok(());
        }
        if versions.last().is_some_and(|last| *last > claim.version) {
            kills.after_version += 1;
        } else {
            kills.before_version += 1;
        }
        if self.first.get().is_none() {
            self.first.set(Some(Instant::now()));
        }
        let mut struck = self.struck.borrow_mut();
        let times = struck.entry(claim.layer.clone()).or_default();
        *times += 1;
        if *times > 1 {
            kills.take_overs += 1;
        }
        Ok(())
    }

    /// Kills functions at any moment, most of them at work.
    pub(crate) async fn strike_anybody(&self) -> Result<Infallible> {
        let functions = [
            ("publisher", "PublisherFunctionName", PUBLISHERS),
            ("dispatcher", "DispatcherFunctionName", DISPATCHERS),
            ("builder", "BuilderFunctionName", BUILDERS),
        ];
        let mut last_builder = None;
        loop {
            let pause = millis(&mut self.random.borrow_mut(), 50, 250);
            tokio::time::sleep(pause).await;
            let processes = self.server.functions();
            let now = Instant::now();
            for process in &processes {
                self.seen.borrow_mut().entry(process.pid).or_insert(now);
            }
            let mut wanted = functions.to_vec();
            wanted.retain(|(role, _, most)| {
                let killed = self.kills.borrow().at_random.get(role).copied();
                let is_early = *role == "builder"
                    && last_builder.is_some_and(|at: Instant| at.elapsed() < BUILDERS_APART);
                killed.unwrap_or(0) < *most && !is_early
            });
            let Some((role, name, _)) = self.random.borrow_mut().choice(wanted) else {
                continue;
            };
            let is_grown_up = |process: &&FunctionProcess| {
                let seen = self.seen.borrow().get(&process.pid).copied();
                seen.is_some_and(|seen| seen.elapsed() > GROWN_UP)
            };
            let mut candidates: Vec<_> = processes
                .iter()
                .filter(|process| process.function == self.stack.output(name))
                .filter(is_grown_up)
                .collect();
            self.random.borrow_mut().shuffle(&mut candidates);
            candidates.truncate(12);
            let at_work = candidates.iter().find(|process| process.is_at_work());
            if let Some(process) = at_work
                && process.kill()
            {
                if role == "builder" {
                    last_builder = Some(now);
                }
                let items = self.stack.all_items(Table::Layers, Some("Claim")).await?;
                let mut claims = items.iter().filter_map(Claim::of);
                // It may have had one all the same.
                match claims.find(|claim| claim.process == process.pid) {
                    Some(claim) => self.note(&claim).await?,
                    None => {
                        *self.kills.borrow_mut().at_random.entry(role).or_default() += 1;
                    }
                }
            }
        }
    }
}
