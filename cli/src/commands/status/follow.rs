//! Asking for requests, once or until they have come to their ends.

use std::path::Path;
use std::time::{Duration, Instant};

use accretion_aws::operator::{RequestsTable, TrackedRequest};
use accretion_core::request::RequestId;
use accretion_core::{Class, Fault as _};
use futures_util::future::join_all;

use super::RequestRecord;
use super::shown;
use super::view::View;
use crate::args::Global;
use crate::cloud::{Error, Region, print_fault_in};
use crate::commands::request::FailureRecord;
use crate::error::{FAILED_IN_AWS, code_of, print_fault};

/// How long to wait until a request is known, or until a region answers again.
const PATIENCE: Duration = Duration::from_mins(2);

/// How long to wait before asking again, just after something has happened.
const SHORTEST: Duration = Duration::from_millis(500);

/// The same, where nothing has happened for a while.
const LONGEST: Duration = Duration::from_secs(5);

/// Where a request may be known.
#[derive(Debug, Clone)]
pub(in crate::commands) struct Place {
    pub(in crate::commands) region: Region,
    pub(in crate::commands) table: RequestsTable,
    /// The path of the SSM parameters with the latest versions.
    pub(in crate::commands) pointer_prefix: Option<String>,
}

/// A request that is looked for, in places until one of them knows it.
#[derive(Debug)]
pub(in crate::commands) struct Followed {
    pub(in crate::commands) id: RequestId,
    pub(in crate::commands) places: Vec<Place>,
}

/// What is known of a request in a region.
#[derive(Debug)]
pub(super) struct Sighting {
    pub(super) region: Region,
    pub(super) request: TrackedRequest,
    pub(super) pointer_prefix: Option<String>,
}

/// What has come of looking for a request.
#[derive(Debug)]
struct Outcome {
    id: RequestId,
    sighting: Option<Sighting>,
    /// Why nothing is known of it, or nothing more.
    failures: Vec<(Option<Region>, Error)>,
}

/// What has come of looking for requests.
#[derive(Debug)]
pub(in crate::commands) struct Outcomes(Vec<Outcome>);

/// Looks once.
pub(in crate::commands) async fn look(followed: Vec<Followed>) -> Outcomes {
    let outcomes = followed.into_iter().map(Followed::look_once);
    Outcomes(join_all(outcomes).await)
}

/// Looks again and again until all of them have come to their ends, and shows what happens.
pub(in crate::commands) async fn follow(
    followed: Vec<Followed>,
    deployment_file: &Path,
    global: Global,
) -> Outcomes {
    let ids = followed.iter().map(|followed| followed.id.as_str());
    let view = View::new(global, super::command(deployment_file, ids));
    let outcomes = followed.into_iter().map(|followed| followed.follow(&view));
    let outcomes = join_all(outcomes).await;
    view.finish();
    Outcomes(outcomes)
}

impl Followed {
    /// Asks everywhere. Of several places, the one that knows the request is the only one that is
    /// asked from then on.
    async fn look(&mut self) -> (Option<Sighting>, Vec<(Region, Error)>) {
        let asked = self.places.iter();
        let asked = asked.map(|place| place.table.request(&self.id));
        let answers = join_all(asked).await;
        let (mut failures, mut found) = (Vec::new(), None);
        for (place, answer) in self.places.iter().zip(answers) {
            match answer {
                Ok(Some(request)) => found = Some((place.clone(), request)),
                Ok(None) => {}
                Err(error) => failures.push((place.region.clone(), Error::from(error))),
            }
        }
        let Some((place, request)) = found else {
            return (None, failures);
        };
        let sighting = Sighting {
            region: place.region.clone(),
            request,
            pointer_prefix: place.pointer_prefix.clone(),
        };
        self.places = vec![place];
        (Some(sighting), Vec::new())
    }

    async fn look_once(mut self) -> Outcome {
        let (sighting, failures) = self.look().await;
        self.outcome(sighting, failures, None)
    }

    async fn follow(mut self, view: &View) -> Outcome {
        view.waiting(&self.id);
        let (mut known, mut given_up) = (None, Vec::new());
        let (mut heard, mut pause) = (Instant::now(), SHORTEST);
        loop {
            let (sighting, failures) = self.look().await;
            let has_ended = sighting
                .as_ref()
                .is_some_and(|sighting| sighting.request.is_terminal());
            if let Some(sighting) = sighting {
                heard = Instant::now();
                // Of those that could not be asked, nobody needs to hear any more.
                given_up.clear();
                if view.on(&sighting) {
                    pause = SHORTEST;
                }
                known = Some(sighting);
            }
            // What will not pass is not asked again.
            let (passing, lasting): (Vec<_>, Vec<_>) = failures
                .into_iter()
                .partition(|(_, error)| error.class() == Class::Transient);
            self.places
                .retain(|place| !lasting.iter().any(|(region, _)| *region == place.region));
            given_up.extend(lasting);
            if has_ended || self.places.is_empty() || heard.elapsed() > PATIENCE {
                given_up.extend(passing);
                return self.outcome(known, given_up, Some(PATIENCE));
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 3 / 2).min(LONGEST);
        }
    }

    fn outcome(
        self,
        sighting: Option<Sighting>,
        failures: Vec<(Region, Error)>,
        waited: Option<Duration>,
    ) -> Outcome {
        let failures = failures.into_iter();
        let mut failures: Vec<_> = failures
            .map(|(region, error)| (Some(region), error))
            .collect();
        let has_ended = |sighting: &Sighting| sighting.request.is_terminal();
        let is_lost = waited.is_some() && !sighting.as_ref().is_some_and(has_ended);
        if failures.is_empty() && (sighting.is_none() || is_lost) {
            let regions = self.places.into_iter().map(|place| place.region).collect();
            let id = self.id.clone();
            let unknown = match waited {
                Some(waited) => Error::RequestNotReceived {
                    id,
                    regions,
                    waited,
                },
                None => Error::RequestUnknown { id, regions },
            };
            failures.push((None, unknown));
        }
        Outcome {
            id: self.id,
            sighting,
            failures,
        }
    }
}

impl Outcomes {
    /// Whether every request is known.
    pub(super) fn are_known(&self) -> bool {
        self.0.iter().all(|outcome| outcome.sighting.is_some())
    }

    /// Says of no request that nobody knows it: not everybody could be asked.
    pub(super) fn forget_unknown(&mut self) {
        for outcome in &mut self.0 {
            // What went wrong in a region is still worth saying.
            outcome.failures.retain(|(region, _)| region.is_some());
        }
    }

    /// What the shell is told; `None` if all is well so far.
    pub(in crate::commands) fn exit_code(&self) -> Option<u8> {
        let codes = self.0.iter().flat_map(|outcome| {
            let failures = outcome.failures.iter();
            let codes = failures.map(|(_, error)| code_of(error.class()));
            let has_failed = |it: &Sighting| it.request.has_failed();
            let has_failed = outcome.sighting.as_ref().is_some_and(has_failed);
            codes.chain(has_failed.then_some(FAILED_IN_AWS))
        });
        codes.min()
    }

    /// The requests that are known, for programs.
    pub(in crate::commands) fn records(&self) -> impl Iterator<Item = RequestRecord<'_>> {
        let sightings = self.0.iter();
        let sightings = sightings.filter_map(|outcome| outcome.sighting.as_ref());
        sightings.map(|it| RequestRecord::new(&it.region, &it.request))
    }

    /// What went wrong on the way to know them, for programs.
    pub(in crate::commands) fn failures(&self) -> impl Iterator<Item = FailureRecord<'_>> {
        self.0.iter().flat_map(|outcome| {
            let failures = outcome.failures.iter();
            failures.map(|(region, error)| {
                FailureRecord::new(region.as_ref(), Some(&outcome.id), error)
            })
        })
    }

    /// Prints what is known, unless nobody has asked for it, and what went wrong.
    pub(in crate::commands) fn print(&self, is_wanted: bool) {
        let sightings = self.0.iter();
        let sightings = sightings.filter_map(|outcome| outcome.sighting.as_ref());
        for (number, sighting) in sightings.enumerate() {
            if is_wanted {
                if number > 0 {
                    anstream::println!();
                }
                shown::print(sighting);
            }
            shown::print_failures(sighting);
        }
        for outcome in &self.0 {
            for (region, error) in &outcome.failures {
                match region {
                    Some(region) => print_fault_in(region, error),
                    None => print_fault(error, None),
                }
            }
        }
    }
}
