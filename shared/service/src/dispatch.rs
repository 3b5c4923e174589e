//! Dispatching requests of the queue: check, record, start one build for each target. A rollback
//! needs no build: its manifest is a copy of the manifest of the version that it asks for.
//!
//! A message may be delivered twice, and a dispatch may die between any two steps: every step does
//! nothing if it was done before.

use std::marker::PhantomData;
use std::time::Duration;

use accretion_core::delivery::{Delivery, InboxObject};
use accretion_core::diagnostic::{Problem, Report, Severity, code};
use accretion_core::excerpt::excerpt;
use accretion_core::keys;
use accretion_core::limits::Limits;
use accretion_core::notification::Notification;
use accretion_core::request::{
    Admission, Contents, IdentityAttributes, Input, ProjectName, Request, RequestId, RequestRef,
    Rollback,
};
use accretion_core::target::Compatibility;
use accretion_core::timestamp::Timestamp;
use accretion_core::tracking::Status;
use futures_util::future::try_join_all;
use tracing::{Instrument as _, info, info_span, warn};

use crate::Error;
use crate::ecosystem::Ecosystem;
use crate::gather::{self, GatherError};
use crate::ports::{
    Acceptance, Accepted, BuildOrder, Builds, Inbox, Manifests, Milestone, Observer, Origin,
    Rejected, Requests, Topic, Tracking,
};
use crate::rollback::{self, Source};

/// The name of a request in reports if it came as a message.
const MESSAGE_NAME: &str = "request.json";

/// The bytes of a report that are recorded and sent: SNS takes 256 KiB in all, and DynamoDB
/// 400 KB of 1,024 bytes an item.
const MAX_REASON_BYTES: usize = 64 * 1024;

/// The greatest difference between the clocks of S3 and SQS.
const CLOCK_DIFFERENCE: Duration = Duration::from_mins(1);

/// The admission rules if the operator sets none.
static DEFAULT: Admission = Admission::DEFAULT;

/// A message of the request queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Its id in SQS.
    pub id: String,
    /// The time when SQS received it.
    pub sent_at: Timestamp,
    /// The identity of the request, if it was sent before. An event of S3 has its own.
    pub attributes: IdentityAttributes,
    /// Its text.
    pub body: String,
}

/// The result of a dispatch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The builds of the request are started, or its rollback is on its way to the publisher.
    Accepted(RequestId),
    /// The request is invalid, and the rejection is announced.
    Rejected(RequestId),
}

/// The ports of the use case.
#[derive(Clone, Copy)]
pub struct Ports<'a> {
    /// The inbox.
    pub inbox: &'a dyn Inbox,
    /// The store of accepted requests.
    pub requests: &'a dyn Requests,
    /// The artifacts bucket.
    pub manifests: &'a dyn Manifests,
    /// The table of requests.
    pub tracking: &'a dyn Tracking,
    /// The state machine.
    pub builds: &'a dyn Builds,
    /// The topic.
    pub topic: &'a dyn Topic,
}

/// Dispatches requests of an ecosystem.
pub struct Dispatch<'a, E> {
    ecosystem: PhantomData<E>,
    ports: Ports<'a>,
    admission: &'a Admission,
    observer: &'a dyn Observer,
}

/// A request as it was received.
struct Received {
    request: RequestRef,
    origin: Origin,
    /// Its name in reports.
    name: String,
    bytes: Option<Vec<u8>>,
    /// True if it is a message with the identity of an earlier one.
    was_sent_before: bool,
}

/// A request that is valid by itself.
#[expect(clippy::large_enum_variant, reason = "there is one of a message")]
enum Parsed<I> {
    Layers(Request<I>),
    Rollback(Rollback),
}

/// A request with everything that accepting it takes.
#[expect(clippy::large_enum_variant, reason = "there is one of a message")]
enum Complete<I> {
    /// Layers to build.
    Layers(Request<I>),
    /// The content of an earlier version.
    Rollback(Rollback, Box<Source>),
}

/// A complete request, or the report that rejects it.
type Completed<I> = Result<Complete<I>, Report>;

impl<'a, E: Ecosystem> Dispatch<'a, E> {
    /// Prepares to dispatch.
    pub fn new(ports: Ports<'a>) -> Self {
        Self {
            ecosystem: PhantomData,
            ports,
            admission: &DEFAULT,
            observer: &(),
        }
    }

    /// Admits requests by these rules, in place of the default.
    #[must_use]
    pub fn admitting(self, admission: &'a Admission) -> Self {
        Self { admission, ..self }
    }

    /// Reports milestones of requests to an observer.
    #[must_use]
    pub fn observed_by(self, observer: &'a dyn Observer) -> Self {
        Self { observer, ..self }
    }

    /// Dispatches the requests of a message, or of the objects that it names.
    ///
    /// # Errors
    ///
    /// [`Error::MessageUnknown`] for any other message, [`Error::EventRefused`] for an event that is
    /// not for the inbox bucket, [`Error::MessageIdentityInvalid`] for a request with an invalid
    /// identity, and the errors of the ports. SQS then delivers the message again.
    pub async fn message(&self, message: &Message) -> Result<Vec<Outcome>, Error> {
        match Delivery::parse(&message.body)? {
            Delivery::Test => {
                info!("S3 has tested the queue");
                Ok(Vec::new())
            }
            Delivery::Objects(objects) => {
                for object in &objects {
                    self.check_event(object, message.sent_at)?;
                }
                let mut outcomes = Vec::new();
                for object in objects
                    .into_iter()
                    .filter(|it| !it.is_folder() && !it.is_file())
                {
                    let request = RequestRef {
                        received_at: object.event_time,
                        id: RequestId::of_object(&object.bucket, &object.key, object.version()),
                    };
                    self.observer.on(Milestone::Received(&request));
                    let received = self.read(request, object).await?;
                    outcomes.push(self.dispatch(received).await?);
                }
                Ok(outcomes)
            }
            Delivery::Request => {
                // A message that is refused is a new request, whatever id it names.
                let none = IdentityAttributes::default();
                let is_refused = self.admission.message_problem().is_some();
                let attributes = if is_refused {
                    &none
                } else {
                    &message.attributes
                };
                let request = RequestRef::of_message(&message.id, message.sent_at, attributes)?;
                self.observer.on(Milestone::Received(&request));
                let received = Received {
                    request,
                    origin: Origin::Message(message.id.clone()),
                    name: MESSAGE_NAME.to_owned(),
                    bytes: Some(message.body.clone().into_bytes()),
                    was_sent_before: *attributes != none,
                };
                Ok(vec![self.dispatch(received).await?])
            }
        }
    }

    /// Checks an event of S3: any sender of messages can forge one. It must not name another bucket,
    /// nor be newer than its message.
    fn check_event(&self, object: &InboxObject, sent_at: Timestamp) -> Result<(), Error> {
        let refused = |problem| Err(Error::EventRefused { problem });
        if object.bucket != self.ports.inbox.bucket() {
            return refused(format!("its bucket is `{}`", object.bucket));
        }
        let time = object.event_time;
        if time > sent_at.after(CLOCK_DIFFERENCE) {
            return refused(format!("its time is {time}, but it was sent at {sent_at}"));
        }
        Ok(())
    }

    async fn read(&self, request: RequestRef, object: InboxObject) -> Result<Received, Error> {
        // One byte more shows that the request is too large.
        let bytes = self
            .ports
            .inbox
            .read(&object, Limits::REQUEST_BYTES + 1)
            .await?;
        Ok(Received {
            request,
            name: object.key.clone(),
            origin: Origin::Object(object),
            bytes,
            was_sent_before: false,
        })
    }

    async fn dispatch(&self, received: Received) -> Result<Outcome, Error> {
        let id = received.request.id.clone();
        let span = info_span!("request", request_id = %id);
        let dispatch = async {
            let checked = match received.check::<E>(self.admission) {
                Ok(Parsed::Layers(request)) => self.with_files(&received, request).await?,
                Ok(Parsed::Rollback(rollback)) => self.with_source(&received, rollback).await?,
                Err(report) => Err(report),
            };
            match checked {
                Ok(complete) => match self.first_sent(&received, complete).await? {
                    Some(complete) => self.accept(&complete, received).await,
                    None => Ok(self.rejected_before(&received)),
                },
                Err(report) => match self.ports.tracking.status(&id).await? {
                    Some(Status::Rejected) => Ok(self.rejected_before(&received)),
                    // An earlier delivery was accepted. Its object may be deleted by now.
                    Some(_) => self.accept(&self.stored(&id).await?, received).await,
                    None => self.reject(&report, received).await,
                },
            }
        };
        dispatch.instrument(span).await
    }
}

impl Received {
    /// Checks all of it, as the command `accretion check` does.
    fn check<E: Ecosystem>(&self, admission: &Admission) -> Result<Parsed<E::Input>, Report> {
        let name = self.name.as_str();
        let owner = self.owner(admission).map_err(|problem| {
            let mut report = Report::new(name, "");
            report.push(problem);
            report
        })?;
        let Some(bytes) = &self.bytes else {
            let mut report = Report::new(name, "");
            let message = "the object was gone before it could be read";
            report
                .push(Problem::error(code::OBJECT_MISSING, message).help("drop the request again"));
            return Err(report);
        };
        if matches!(self.origin, Origin::Message(_)) && bytes.len() > Limits::MESSAGE_BYTES {
            let mut report = Report::new(name, "");
            let message = "a request may have 256 KiB as a message";
            report.push(
                Problem::error(code::TOO_LARGE, message)
                    .help("drop it into the inbox: objects may have 4 MiB"),
            );
            return Err(report);
        }
        if E::is_request(name, bytes)
            && let Some(checked) = Rollback::from_json(name, bytes)
        {
            let (rollback, mut report) = checked?;
            let project = rollback.project();
            report.add_missing(owner.and_then(|owner| Admission::name_problem(&project, &owner)));
            let (rollback, _warnings) = report.conclude(Some(rollback))?;
            return Ok(Parsed::Rollback(rollback));
        }
        let project = owner.clone().or_else(|| self.folder());
        let (request, mut report) = E::read(project, name, bytes)?;
        report.add_missing(admission.problems(&request, owner.as_ref()));
        report.add_missing(request.targets.warnings());
        report.add_missing(E::problems(&request));
        report.add_missing(request.kept_files_problem());
        let (request, _warnings) = report.conclude(Some(request))?;
        Ok(Parsed::Layers(request))
    }

    /// The only project that the request may be for, where its key decides that.
    fn owner(&self, admission: &Admission) -> Result<Option<ProjectName>, Problem> {
        match &self.origin {
            Origin::Object(object) => admission.owner_of_key(&object.key),
            Origin::Message(_) => admission.message_problem().map_or(Ok(None), Err),
        }
    }

    /// The project's name by the folder that the object is in.
    fn folder(&self) -> Option<ProjectName> {
        match &self.origin {
            Origin::Object(object) => object.folder()?.parse().ok(),
            Origin::Message(_) => None,
        }
    }

    /// The project's name of a rejected request, if it names one. Where the key decides on the
    /// project, nothing else does.
    fn project(&self, admission: &Admission) -> Option<String> {
        if admission.project_from_key {
            let owner = self.owner(admission).ok()??;
            return Some(owner.to_string());
        }
        let bytes = self.bytes.as_deref().unwrap_or_default();
        let of_request = || {
            let request: serde_json::Value = serde_json::from_slice(bytes).ok()?;
            request["Name"].as_str()?.parse().ok()
        };
        let project: Option<ProjectName> = of_request().or_else(|| self.folder());
        project.map(|project| project.to_string())
    }
}

impl<E: Ecosystem> Dispatch<'_, E> {
    /// Stores the files that a request names: from now on its layers do not depend on the inbox.
    async fn with_files(
        &self,
        received: &Received,
        request: Request<E::Input>,
    ) -> Result<Completed<E::Input>, Error> {
        let id = &received.request.id;
        if request.contents.files.is_empty() {
            return Ok(Ok(Complete::Layers(request)));
        }
        let ports = &self.ports;
        if ports.requests.stored(id).await?.is_some() {
            return self.stored(id).await.map(Ok);
        }
        match gather::files::<E>(&request, ports.inbox, ports.requests).await {
            Ok(files) => {
                let contents = Contents {
                    files,
                    ..request.contents
                };
                Ok(Ok(Complete::Layers(Request {
                    contents,
                    ..request
                })))
            }
            Err(GatherError::Problem(problem)) => {
                let mut report = Report::new(received.name.as_str(), "");
                report.push(problem);
                Ok(Err(report))
            }
            Err(GatherError::Port(error)) => Err(error.into()),
        }
    }

    /// A rollback together with the source of the version that it asks for.
    async fn with_source(
        &self,
        received: &Received,
        rollback: Rollback,
    ) -> Result<Completed<E::Input>, Error> {
        let Rollback { layer, version } = &rollback;
        let mut report = Report::new(received.name.as_str(), "");
        let Some(source) = rollback::source(self.ports.manifests, layer, *version).await? else {
            let message = format!("nothing says what {layer}:{version} was published from");
            let problem = Problem::error(code::LAYER_VERSION_UNKNOWN, message);
            report.push(problem.help(
                "only versions that this pipeline has published can be rolled back to; \
                 `accretion list versions` shows which versions there are",
            ));
            return Ok(Err(report));
        };
        report.add_missing(self.admission.rollback_problems(&source.permissions()));
        let checked = report.conclude(Some(Complete::Rollback(rollback, source.into())));
        Ok(checked.map(|(complete, _warnings)| complete))
    }

    /// The request that a message with an earlier identity was at first, whatever it contains now.
    /// `None` if that was rejected.
    async fn first_sent(
        &self,
        received: &Received,
        complete: Complete<E::Input>,
    ) -> Result<Option<Complete<E::Input>>, Error> {
        let id = &received.request.id;
        if !received.was_sent_before {
            return Ok(Some(complete));
        }
        match self.ports.tracking.status(id).await? {
            Some(Status::Rejected) => Ok(None),
            // The record of a request expires. The stored request, which a build reads, does not.
            None if self.ports.requests.stored(id).await?.is_none() => Ok(Some(complete)),
            _ => self.stored(id).await.map(Some),
        }
    }

    /// A request that was accepted before. Its object of the inbox may be deleted by now.
    async fn stored(&self, id: &RequestId) -> Result<Complete<E::Input>, Error> {
        let missing = || Error::RequestMissing { id: id.clone() };
        let text = self.ports.requests.stored(id).await?.ok_or_else(missing)?;
        let key = keys::request(id);
        if let Some(checked) = Rollback::from_json(&key, &text) {
            let (rollback, _warnings) = checked.map_err(|_| missing())?;
            let Rollback { layer, version } = &rollback;
            let found = rollback::source(self.ports.manifests, layer, *version).await?;
            let source = found.ok_or_else(|| Error::LayerManifestMissing {
                layer: layer.to_string(),
                version: *version,
            })?;
            return Ok(Complete::Rollback(rollback, source.into()));
        }
        let (request, _warnings) = Request::from_json(&key, &text).map_err(|_| missing())?;
        Ok(Complete::Layers(request))
    }

    /// Stores and records a request, then starts its builds or publishes its rollback, which read
    /// it. It stays rejected if it was before: its object existed for one delivery, and not for
    /// another.
    async fn accept(
        &self,
        complete: &Complete<E::Input>,
        received: Received,
    ) -> Result<Outcome, Error> {
        let ports = &self.ports;
        let accepted = complete.accepted(received);
        let id = &accepted.request.id;
        ports.requests.store(id, complete.to_json()).await?;
        let acceptance = ports.tracking.accept(&accepted).await?;
        self.observer.on(match acceptance {
            Acceptance::New => Milestone::Accepted(&accepted),
            Acceptance::Known | Acceptance::Rejected => Milestone::Repeated(&accepted.request),
        });
        if acceptance == Acceptance::Rejected {
            return Ok(Outcome::Rejected(accepted.request.id));
        }
        match complete {
            Complete::Layers(_) => self.build(&accepted).await?,
            Complete::Rollback(rollback, source) => {
                self.publish_again(rollback, source, &accepted.request)
                    .await?;
            }
        }
        Ok(Outcome::Accepted(accepted.request.id))
    }

    async fn build(&self, accepted: &Accepted) -> Result<(), Error> {
        let start = |target: &Compatibility| {
            let order = BuildOrder {
                request: accepted.request.clone(),
                project: accepted.project.clone(),
                target: target.clone(),
            };
            async move { self.ports.builds.start(&order).await }
        };
        try_join_all(accepted.targets.iter().map(start)).await?;
        let builds = accepted.targets.len();
        info!(project = %accepted.project, builds, "accepted");
        Ok(())
    }

    /// Stores the manifest that publishes the content of an earlier version: S3 invokes the publisher.
    async fn publish_again(
        &self,
        rollback: &Rollback,
        source: &Source,
        request: &RequestRef,
    ) -> Result<(), Error> {
        let (project, target) = rollback.layer.parts();
        let key = keys::manifest(&project, &request.id, target);
        let version = source.layer_manifest.layer.clone();
        let manifest = source.manifest.clone().again(version, request.clone());
        self.ports.manifests.store(&key, &manifest).await?;
        let Rollback { layer, version } = rollback;
        info!(%layer, version, "accepted a rollback");
        Ok(())
    }

    /// Announces a rejection, then records it: every recorded rejection was announced.
    async fn reject(&self, report: &Report, received: Received) -> Result<Outcome, Error> {
        let id = &received.request.id;
        let (reason, codes) = (reason(report), codes(report));
        warn!(?codes, "rejected");
        let project = received.project(self.admission);
        let notification =
            Notification::rejected(id, project.clone(), reason.clone(), codes.clone());
        self.ports.topic.send(&notification).await?;
        let rejected = Rejected {
            request: received.request,
            project,
            origin: received.origin,
            reason,
            codes,
        };
        self.ports.tracking.reject(&rejected).await?;
        let mut problems = report.problems.iter();
        if let Some(first) = problems.find(|it| it.severity == Severity::Error) {
            let (rejected, code) = (&rejected, first.code);
            self.observer.on(Milestone::Rejected { rejected, code });
        }
        Ok(Outcome::Rejected(rejected.request.id))
    }

    fn rejected_before(&self, received: &Received) -> Outcome {
        self.observer.on(Milestone::Repeated(&received.request));
        Outcome::Rejected(received.request.id.clone())
    }
}

impl<I: Input> Complete<I> {
    fn accepted(&self, received: Received) -> Accepted {
        let (project, targets, rolled_back_to) = match self {
            Self::Layers(request) => (request.name.clone(), request.layers(), None),
            Self::Rollback(rollback, source) => (
                rollback.project(),
                source.manifest.compatibility().into_iter().collect(),
                Some(source.layer_manifest.version_arn.clone()),
            ),
        };
        Accepted {
            request: received.request,
            project,
            origin: received.origin,
            targets,
            rolled_back_to,
        }
    }

    /// Its text in the store.
    fn to_json(&self) -> String {
        match self {
            Self::Layers(request) => request.to_json(),
            Self::Rollback(rollback, _) => rollback.to_json(),
        }
    }
}

/// The text of a report, for people.
fn reason(report: &Report) -> String {
    excerpt(&report.render(), MAX_REASON_BYTES)
}

/// The codes of a report's errors, each once.
fn codes(report: &Report) -> Vec<String> {
    let mut codes = Vec::new();
    for problem in &report.problems {
        if problem.severity == Severity::Error && !codes.contains(&problem.code) {
            codes.push(problem.code);
        }
    }
    codes.into_iter().map(ToOwned::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::python::Python;

    /// SNS takes 256 KiB of a message, DynamoDB 400 KB of an item.
    #[test]
    fn the_report_of_the_worst_request_fits_into_a_message_and_an_item() {
        let fields = (0..1_000).map(|at| format!("\"{}{at}\": 0", "𝕏\\\"".repeat(225)));
        let unknown = format!("{{{}}}", fields.collect::<Vec<_>>().join(",\n"));
        let lines = (0..1_000).map(|at| format!("-e \"{}{at}\"", "\u{7f}".repeat(900)));
        let lines = lines.collect::<Vec<_>>().join("\n");
        for (name, text) in [("request.json", unknown), ("requirements.txt", lines)] {
            let project = Some("tools".parse().unwrap());
            let report = Python::read(project, name, text.as_bytes()).unwrap_err();
            let (reason, codes) = (reason(&report), codes(&report));
            let is_cut = reason.contains(" bytes left out ");
            assert_eq!(is_cut, report.render().len() > MAX_REASON_BYTES, "{name}");
            assert!(is_cut || name != "request.json", "{reason}");
            // The end has the counts.
            let last = reason.lines().next_back().unwrap();
            assert!(last.starts_with("101 errors"), "{last}");
            let id = RequestId::of_message("1");
            let project = Some("x".repeat(Limits::NAME_CHARS));
            let notification = Notification::rejected(&id, project, reason, codes);
            let bytes = notification.to_json().len();
            assert!(bytes < 200 << 10, "{name} {bytes}");
        }
    }
}
