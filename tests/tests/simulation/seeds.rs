//! Thousands of runs by chance, and proof that they would show a mistake.

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{self, ScopedJoinHandle};

use crate::mutations::Mutation;
use crate::simulation::{Failure, Figures, run};

/// The seeds in which everything has to happen; also the most that a mutation may take.
const SEEDS: u64 = 20_000;

/// The seeds of a short run.
const FEW_SEEDS: u64 = 2_000;

impl Failure {
    /// Returns whether it is one that a mutation is to be caught by.
    fn shows(&self, mutation: Mutation) -> bool {
        let mut violations = self.violations.iter();
        violations.any(|violation| violation.contains(mutation.symptom()))
    }
}

fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    let number = text.parse();
    Some(number.unwrap_or_else(|_| panic!("`{name}` is no number: `{text}`")))
}

/// Runs seeds from a first one on, on all processors, until one fails.
fn run_all(first: u64, seeds: u64, mutation: Option<Mutation>) -> Result<Figures, Failure> {
    let next = AtomicU64::new(first);
    let end = first + seeds;
    let work = || {
        let mut figures = Figures::default();
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= end {
                return Ok(figures);
            }
            match run(seed, mutation, false) {
                Ok(more) => figures += more,
                // One mistake has many consequences; it has to be seen by what it is.
                Err(failure) if mutation.is_some_and(|it| !failure.shows(it)) => {}
                Err(failure) => {
                    next.fetch_add(seeds, Ordering::Relaxed);
                    return Err(failure);
                }
            }
        }
    };
    let processors = thread::available_parallelism().map_or(1, usize::from);
    let results: Vec<_> = thread::scope(|scope| {
        let workers: Vec<_> = (0..processors).map(|_| scope.spawn(work)).collect();
        let joined = workers.into_iter().map(ScopedJoinHandle::join);
        joined.map(|it| it.expect("a run does not panic")).collect()
    });
    let mut figures = Figures::default();
    let mut failures = Vec::new();
    for result in results {
        match result {
            Ok(more) => figures += more,
            Err(failure) => failures.push(failure),
        }
    }
    match failures.into_iter().min_by_key(|failure| failure.seed) {
        Some(failure) => Err(failure),
        None => Ok(figures),
    }
}

/// Three numbers in the environment are for people: `SEED` repeats one run and shows its schedule if
/// it fails, `SEEDS` is the number of runs, `FIRST_SEED` the first one.
#[test]
fn nothing_is_lost_in_a_short_run() {
    let first = number("FIRST_SEED").unwrap_or(0);
    run_seeds(first, number("SEEDS").unwrap_or(FEW_SEEDS));
}

#[test]
#[ignore = "long: `make test-all` runs it"]
fn nothing_is_lost_and_nothing_published_twice() {
    run_seeds(0, SEEDS);
}

#[expect(
    clippy::print_stdout,
    reason = "the figures of a long run are what it was for"
)]
fn run_seeds(first: u64, seeds: u64) {
    if let Some(seed) = number("SEED") {
        if let Err(failure) = run(seed, None, true) {
            panic!("\n{failure}");
        }
        return;
    }
    let figures = run_all(first, seeds, None).unwrap_or_else(|failure| {
        let failure = run(failure.seed, None, true).expect_err("a seed can be repeated");
        panic!("\n{failure}");
    });
    println!("{seeds} seeds from {first} on");
    for (name, figure) in figures.named() {
        println!("{figure:>12} {name}");
        // What has never happened was not tested.
        assert!(figure > 0 || seeds < SEEDS, "{name}");
    }
}

#[test]
#[expect(
    clippy::print_stdout,
    reason = "which seed catches what is worth knowing"
)]
fn every_mutation_is_caught() {
    if number("SEED").is_some() {
        return;
    }
    let mut missed = Vec::new();
    for mutation in Mutation::ALL {
        match run_all(mutation.likely_seed(), SEEDS, Some(mutation)) {
            Ok(_) => missed.push(mutation),
            Err(failure) => {
                let mut violations = failure.violations.iter();
                let violation = violations.find(|it| it.contains(mutation.symptom()));
                println!("{mutation:?}: seed {}: {violation:?}", failure.seed);
            }
        }
    }
    assert_eq!(missed, []);
}
