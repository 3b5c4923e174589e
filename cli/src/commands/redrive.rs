//! `accretion redrive`

mod shown;

use std::collections::{BTreeMap, BTreeSet};
use std::process::ExitCode;

use accretion_aws::operator::{RequestsTable, TrackedRequest};
use accretion_aws::{LambdaPublisher, SqsDeadLetters, SqsRequestQueue};
use accretion_core::Fault as _;
use accretion_core::request::RequestId;
use accretion_service::redrive::{InspectedLetter, Inspection, Outcome, Redrive as Service};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use crate::args::{Global, Redrive, Region};
use crate::cloud::{self, Pipeline};
use crate::error::Error;
use crate::exit::{USAGE, code_of, code_of_all};
use crate::units::counted;
use crate::{consent, print};

/// The number of concurrent queries for requests.
const LOOKUPS: usize = 8;

/// A queue of dead letters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Queue {
    Requests,
    Publications,
}

impl Queue {
    fn name(self) -> &'static str {
        match self {
            Self::Requests => "Request",
            Self::Publications => "Publication",
        }
    }
}

/// The sources and destinations of dead letters in a region.
struct Queues {
    requests: SqsDeadLetters,
    publications: SqsDeadLetters,
    request_queue: SqsRequestQueue,
    publisher: LambdaPublisher,
    table: RequestsTable,
}

/// The dead letters of a region.
struct Letters {
    region: Region,
    /// The letters by queue.
    inspections: [(Queue, Inspection); 2],
    /// The tracked requests of the letters.
    known: BTreeMap<RequestId, TrackedRequest>,
}

/// The results of sending letters back, by queue.
type Outcomes = [(Queue, Outcome); 2];

/// Shows dead letters, asks, and sends them back.
pub(super) async fn run(args: Redrive, global: Global) -> Result<ExitCode, Error> {
    let pipeline = Pipeline::at(args.at, &args.aws).await?;
    let queues = Queues::of(&pipeline)?;
    let limit = args.limit.get();
    let letters = queues.look(pipeline.region.clone(), limit).await?;
    if global.is_text() {
        shown::print_letters(&letters, limit, global);
    }
    let consent = if args.yes || letters.sendable().count() == 0 {
        Ok(true)
    } else {
        consent::ask(&letters.question()).await
    };
    let outcomes = match consent {
        Ok(true) => Some(queues.send(&letters, limit).await),
        _ => None,
    };
    match (&outcomes, &consent) {
        _ if !global.is_text() => {
            shown::print_document(&letters, outcomes.as_ref(), consent.as_ref().err());
        }
        (Some(outcomes), _) => shown::print_outcomes(&letters, outcomes, global),
        (None, Err(error)) => print::fault(error, None),
        (None, Ok(_)) if global.quiet => {}
        (None, Ok(_)) => anstream::eprintln!("nothing was sent"),
    }
    if consent.is_err() {
        return Ok(ExitCode::from(USAGE));
    }
    let inspections = letters.inspections.iter();
    let unreadable = inspections.filter_map(|(_, inspection)| inspection.failure.as_ref());
    let unsent = outcomes.iter().flatten().flat_map(|(_, outcome)| {
        let left = outcome.left.iter().map(|left| &left.reason);
        left.chain(&outcome.failure)
    });
    let failures = unreadable.chain(unsent);
    Ok(code_of_all(failures.map(|error| code_of(error.class()))))
}

impl Queues {
    fn of(pipeline: &Pipeline) -> Result<Self, cloud::Error> {
        let clients = &pipeline.clients;
        let letters = |output| {
            let url = pipeline.output(output)?;
            Ok::<_, cloud::Error>(SqsDeadLetters::new(clients, url))
        };
        let publisher = pipeline.output("PublisherFunctionName")?;
        Ok(Self {
            requests: letters("RequestDeadLetterQueueUrl")?,
            publications: letters("PublicationDeadLetterQueueUrl")?,
            request_queue: SqsRequestQueue::new(clients, pipeline.output("RequestQueueUrl")?),
            publisher: LambdaPublisher::new(clients, publisher),
            table: pipeline.requests()?,
        })
    }

    /// Reads the letters, and the tracked requests of the letters.
    async fn look(&self, region: Region, limit: usize) -> Result<Letters, cloud::Error> {
        let requests = Service::new(&self.requests, limit);
        let publications = Service::new(&self.publications, limit);
        let (requests, publications) = tokio::join!(
            requests.inspect_requests(),
            publications.inspect_publications()
        );
        let inspections = [
            (Queue::Requests, requests),
            (Queue::Publications, publications),
        ];
        let seen = inspections.iter().flat_map(|(_, it)| &it.letters);
        let ids: BTreeSet<_> = seen.flat_map(|seen| seen.requests.clone()).collect();
        let queries = stream::iter(ids).map(async |id| {
            let request = self.table.request(&id).await?;
            Ok::<_, cloud::Error>(request.map(|request| (id, request)))
        });
        let known: Vec<_> = queries.buffer_unordered(LOOKUPS).try_collect().await?;
        Ok(Letters {
            region,
            inspections,
            known: known.into_iter().flatten().collect(),
        })
    }

    /// Sends the seen letters back.
    async fn send(&self, letters: &Letters, limit: usize) -> Outcomes {
        let seen = |queue| {
            let of_queue = letters.seen().filter(move |(of, _)| *of == queue);
            of_queue.map(|(_, seen)| seen.letter.clone())
        };
        // Letters that have arrived since then must not take the place of these.
        let most = limit.saturating_mul(2);
        let requests = Service::new(&self.requests, most).only(seen(Queue::Requests));
        let publications = Service::new(&self.publications, most).only(seen(Queue::Publications));
        let (requests, publications) = tokio::join!(
            requests.requests(&self.request_queue),
            publications.publications(&self.publisher)
        );
        [
            (Queue::Requests, requests),
            (Queue::Publications, publications),
        ]
    }
}

impl Letters {
    fn seen(&self) -> impl Iterator<Item = (Queue, &InspectedLetter)> {
        let inspections = self.inspections.iter();
        inspections.flat_map(|(queue, it)| it.letters.iter().map(move |seen| (*queue, seen)))
    }

    /// The letters that can be sent back.
    fn sendable(&self) -> impl Iterator<Item = &InspectedLetter> {
        let all = self.seen().map(|(_, seen)| seen);
        all.filter(|seen| seen.obstacle.is_none())
    }

    fn question(&self) -> String {
        let letters = counted(self.sendable().count(), "letter");
        format!("Send {letters} back in {}?", self.region)
    }
}
