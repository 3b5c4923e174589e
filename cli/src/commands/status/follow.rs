//! Queries for the status of requests, once or until they end.

use std::path::Path;
use std::time::{Duration, Instant};

use accretion_aws::operator::{RequestsTable, TrackedRequest};
use accretion_core::request::RequestId;
use accretion_core::{Class, Fault as _};
use futures_util::future::join_all;

use super::RequestRecord;
use super::shown;
use super::view::View;
use crate::args::{Global, Region};
use crate::cloud::{Error, Pipeline, print_fault_in};
use crate::commands::request::FailureRecord;
use crate::exit::FAILED_IN_AWS;
use crate::print;

/// The longest wait for a request, or for a region that does not answer.
const PATIENCE: Duration = Duration::from_mins(2);

/// The pause between two queries just after a change.
const SHORTEST: Duration = Duration::from_millis(500);

/// The longest pause between two queries.
const LONGEST: Duration = Duration::from_secs(5);

/// A region that may have a request.
#[derive(Debug, Clone)]
pub(in crate::commands) struct Place {
    pub(in crate::commands) region: Region,
    pub(in crate::commands) table: RequestsTable,
    /// The path of the SSM parameters with the latest versions.
    pub(in crate::commands) pointer_prefix: Option<String>,
}

impl Place {
    /// The region of a pipeline, with its table of requests.
    pub(in crate::commands) fn of(pipeline: &Pipeline) -> Result<Self, Error> {
        let prefix = pipeline.parameter(Pipeline::POINTER_PREFIX);
        Ok(Self {
            region: pipeline.region.clone(),
            table: pipeline.requests()?,
            pointer_prefix: prefix.map(str::to_owned),
        })
    }
}

/// A request to find in one of several places.
#[derive(Debug)]
pub(in crate::commands) struct Followed {
    pub(in crate::commands) id: RequestId,
    pub(in crate::commands) places: Vec<Place>,
}

/// A request that was found in a region.
#[derive(Debug)]
pub(super) struct Sighting {
    pub(super) region: Region,
    pub(super) request: TrackedRequest,
    pub(super) pointer_prefix: Option<String>,
}

/// The result for a request.
#[derive(Debug)]
struct Outcome {
    id: RequestId,
    sighting: Option<Sighting>,
    /// The errors of the queries.
    failures: Vec<(Option<Region>, Error)>,
}

/// The results for requests.
#[derive(Debug)]
pub(in crate::commands) struct Outcomes(Vec<Outcome>);

/// Queries each request once.
pub(in crate::commands) async fn look(followed: Vec<Followed>) -> Outcomes {
    let outcomes = followed.into_iter().map(Followed::look_once);
    Outcomes(join_all(outcomes).await)
}

/// Queries the requests until all of them end, and shows their progress.
pub(in crate::commands) async fn follow(
    followed: Vec<Followed>,
    deployment_file: &Path,
    global: Global,
) -> Outcomes {
    let ids = followed.iter().map(|followed| followed.id.as_str());
    let view = View::new(global, super::command(deployment_file, ids));
    let following = followed.into_iter().map(|followed| followed.follow(&view));
    let outcomes = join_all(following).await;
    view.finish();
    Outcomes(outcomes)
}

impl Followed {
    /// Queries all places. Once a place has the request, only that place is queried.
    async fn look(&mut self) -> (Option<Sighting>, Vec<(Region, Error)>) {
        let places = self.places.iter();
        let answers = join_all(places.map(|place| place.table.request(&self.id))).await;
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
                // The errors of other places no longer matter.
                given_up.clear();
                if view.on(&sighting) {
                    pause = SHORTEST;
                }
                known = Some(sighting);
            }
            // A lasting error ends the queries of its place.
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
        let of_regions = failures.into_iter();
        let mut failures: Vec<_> = of_regions
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
    /// Returns whether every request was found.
    pub(super) fn are_known(&self) -> bool {
        self.0.iter().all(|outcome| outcome.sighting.is_some())
    }

    /// Removes the errors of requests that no region has, since some regions did not answer.
    pub(super) fn forget_unknown(&mut self) {
        for outcome in &mut self.0 {
            outcome.failures.retain(|(region, _)| region.is_some());
        }
    }

    /// The exit codes of all failures.
    pub(in crate::commands) fn exit_codes(&self) -> impl Iterator<Item = u8> {
        let failures = self.0.iter().flat_map(|outcome| &outcome.failures);
        let failed = self.sightings().filter(|it| it.request.has_failed());
        failures
            .map(|(_, error)| error.exit_code())
            .chain(failed.map(|_| FAILED_IN_AWS))
    }

    fn sightings(&self) -> impl Iterator<Item = &Sighting> {
        self.0
            .iter()
            .filter_map(|outcome| outcome.sighting.as_ref())
    }

    /// The requests that were found, for programs.
    pub(in crate::commands) fn records(&self) -> impl Iterator<Item = RequestRecord<'_>> {
        let sightings = self.sightings();
        sightings.map(|it| RequestRecord::new(&it.region, &it.request))
    }

    /// The errors of the queries, for programs.
    pub(in crate::commands) fn failures(&self) -> impl Iterator<Item = FailureRecord<'_>> {
        self.0.iter().flat_map(|outcome| {
            let failures = outcome.failures.iter();
            failures.map(|(region, error)| {
                FailureRecord::new(region.as_ref(), Some(&outcome.id), error)
            })
        })
    }

    /// Prints the errors, and the requests that were found if they are wanted.
    pub(in crate::commands) fn print(&self, is_wanted: bool) {
        for (number, sighting) in self.sightings().enumerate() {
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
                    None => print::fault(error, None),
                }
            }
        }
    }
}
