//! `accretion redrive`

mod shown;

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::process::ExitCode;

use accretion_aws::operator::{RequestsTable, TrackedRequest};
use accretion_aws::{LambdaPublisher, SqsDeadLetters, SqsRequestQueue};
use accretion_core::Fault as _;
use accretion_core::request::RequestId;
use accretion_service::redrive::{InspectedLetter, Inspection, Outcome, Redrive as Service};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use crate::args::{Format, Global};
use crate::cloud::{self, AwsOptions, OneRegion, Pipeline, Region};
use crate::consent;
use crate::error::{Error, USAGE, code_of, print_fault};
use crate::units::counted;

/// Requests that are looked up at the same time.
const LOOKUPS: usize = 8;

/// Show the dead letters of a region, and send them back
///
/// A request comes back as the request that it was, at its place in the order: mend first what its
/// letter died of. What can't be read as a request or an event would only come back; it stays where
/// it is.
#[derive(Debug, clap::Args)]
pub(crate) struct Redrive {
    #[command(flatten)]
    pub(in crate::commands) at: OneRegion,
    /// Send them back without asking
    #[arg(long)]
    yes: bool,
    /// Look at so many letters of each of the two queues at most
    #[arg(long, value_name = "N", default_value = "100")]
    limit: NonZeroUsize,
    #[command(flatten)]
    aws: AwsOptions,
}

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

/// What of a region's pipeline letters come from and go to.
struct Queues {
    requests: SqsDeadLetters,
    publications: SqsDeadLetters,
    request_queue: SqsRequestQueue,
    publisher: LambdaPublisher,
    table: RequestsTable,
}

/// What is in both queues.
struct Letters {
    region: Region,
    /// By queue.
    inspections: [(Queue, Inspection); 2],
    /// What is known of the requests that they are about.
    known: BTreeMap<RequestId, TrackedRequest>,
}

/// What was sent and what was not, by queue.
type Outcomes = [(Queue, Outcome); 2];

/// Shows dead letters, asks, and sends them back.
pub(crate) async fn run(args: Redrive, global: Global) -> Result<ExitCode, Error> {
    let stacks = args.at.stacks()?;
    let clients = args.aws.clients().await;
    let pipeline = Pipeline::connect(&clients, args.at.region, &stacks).await?;
    let queues = Queues::of(&pipeline)?;
    let limit = args.limit.get();
    let letters = queues.look(pipeline.region.clone(), limit).await?;
    if global.format == Format::Text {
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
    match global.format {
        Format::Json => {
            shown::print_document(&letters, outcomes.as_ref(), consent.as_ref().err());
        }
        Format::Text => match (&outcomes, &consent) {
            (Some(outcomes), _) => shown::print_outcomes(&letters, outcomes, global),
            (None, Err(error)) => print_fault(error, None),
            (None, Ok(_)) if global.quiet => {}
            (None, Ok(_)) => anstream::eprintln!("nothing was sent"),
        },
    }
    if consent.is_err() {
        return Ok(ExitCode::from(USAGE));
    }
    let inspections = letters.inspections.iter();
    let failures = inspections.filter_map(|(_, inspection)| inspection.failure.as_ref());
    let outcomes = outcomes.iter().flatten().flat_map(|(_, outcome)| {
        let left = outcome.left.iter().map(|left| &left.reason);
        left.chain(&outcome.failure)
    });
    let codes = failures.chain(outcomes).map(|error| code_of(error.class()));
    Ok(codes.min().map_or(ExitCode::SUCCESS, ExitCode::from))
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
            table: RequestsTable::new(clients, pipeline.output("RequestsTableName")?),
        })
    }

    /// Looks at what there is, and asks what is known of it.
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
        let mut ids: Vec<_> = seen.flat_map(|seen| seen.requests.clone()).collect();
        ids.sort();
        ids.dedup();
        let known = stream::iter(ids).map(async |id| {
            let known = self.table.request(&id).await?;
            Ok::<_, cloud::Error>(known.map(|known| (id, known)))
        });
        let known: Vec<_> = known.buffer_unordered(LOOKUPS).try_collect().await?;
        Ok(Letters {
            region,
            inspections,
            known: known.into_iter().flatten().collect(),
        })
    }

    /// Sends those back that were seen.
    async fn send(&self, letters: &Letters, limit: usize) -> Outcomes {
        let seen = |queue| {
            let seen = letters.seen().filter(move |(of, _)| *of == queue);
            seen.map(|(_, seen)| seen.letter.clone())
        };
        // What has come since then must not keep any of them out.
        let limit = limit.saturating_mul(2);
        let requests = Service::new(&self.requests, limit).only(seen(Queue::Requests));
        let publications = Service::new(&self.publications, limit).only(seen(Queue::Publications));
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

    /// Those that can be sent back.
    fn sendable(&self) -> impl Iterator<Item = &InspectedLetter> {
        let seen = self.seen().map(|(_, seen)| seen);
        seen.filter(|seen| seen.obstacle.is_none())
    }

    fn question(&self) -> String {
        let letters = counted(self.sendable().count(), "letter");
        format!("Send {letters} back in {}?", self.region)
    }
}
