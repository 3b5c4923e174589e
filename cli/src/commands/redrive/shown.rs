//! Dead letters, for people and for programs.

use accretion_core::Fault;
use accretion_core::diagnostic::printable;
use accretion_core::request::RequestId;
use accretion_service::redrive::{InspectedLetter, Left};
use serde::Serialize;

use super::{Letters, Outcomes, Queue};
use crate::args::Global;
use crate::cloud::Error;
use crate::commands::status::summary;
use crate::error::{ErrorRecord, print_fault, print_warning};
use crate::units::{counted, to_the_second};

/// How many characters of a text are shown that can't be read.
const EXCERPT_CHARS: usize = 100;

/// Prints the letters, one after the other, and what is known of each.
pub(super) fn print_letters(letters: &Letters, limit: usize, global: Global) {
    if !global.quiet {
        for (queue, seen) in letters.seen() {
            print_letter(letters, queue, seen);
        }
        if letters.seen().next().is_none() {
            anstream::eprintln!("there are no dead letters in {}", letters.region);
        }
        for (queue, inspection) in &letters.inspections {
            if inspection.letters.len() >= limit {
                let name = queue.name().to_lowercase();
                anstream::eprintln!("there may be more {name} letters: --limit takes more of them");
            }
        }
    }
    for (_, inspection) in &letters.inspections {
        if let Some(error) = &inspection.failure {
            print_fault(error, Some(letters.region.as_str()));
        }
    }
}

fn print_letter(letters: &Letters, queue: Queue, seen: &InspectedLetter) {
    let (name, since) = (queue.name().to_lowercase(), to_the_second(seen.sent_at));
    anstream::println!("{name} letter {} of {since}", printable(&seen.letter));
    for key in &seen.keys {
        anstream::println!("  about    {}", printable(key));
    }
    for id in &seen.requests {
        let (project, status) = known(letters, id);
        anstream::println!("  request  {id}{project}: {status}");
    }
    let cause = &seen.cause;
    let said = [&cause.code, &cause.message].into_iter().flatten();
    let said: Vec<_> = said.map(|text| printable(text)).collect();
    if !said.is_empty() {
        anstream::println!("  died of  {}", said.join(": "));
    } else if let Some(condition) = &cause.condition {
        anstream::println!("  died of  {}", printable(condition));
    }
    if let Some(obstacle) = &seen.obstacle {
        anstream::println!("  stays    {}: {obstacle}", obstacle.code());
        anstream::println!("  says     {}", excerpt(&seen.body));
    }
    anstream::println!();
}

/// Whose request it is, and how far it has come.
fn known(letters: &Letters, id: &RequestId) -> (String, String) {
    match letters.known.get(id) {
        Some(request) => {
            let project = request.project.as_deref().map(printable);
            let project = project.map_or_else(String::new, |project| format!(" of {project}"));
            (project, summary(request))
        }
        None => (String::new(), "not known".to_owned()),
    }
}

/// The start of a text, on one line.
fn excerpt(text: &str) -> String {
    let line = |c: char| if c.is_control() { ' ' } else { c };
    let mut start: String = text.chars().take(EXCERPT_CHARS).map(line).collect();
    if text.chars().nth(EXCERPT_CHARS).is_some() {
        start.push('…');
    }
    printable(&start)
}

/// Prints what has come of them.
pub(super) fn print_outcomes(letters: &Letters, outcomes: &Outcomes, global: Global) {
    let region = &letters.region;
    let left = outcomes.iter().flat_map(|(_, outcome)| &outcome.left);
    if !global.quiet && letters.seen().next().is_some() {
        let sent = outcomes.iter().map(|(_, outcome)| outcome.sent.len());
        let (sent, left) = (sent.sum::<usize>(), left.clone().count());
        anstream::println!("{sent} sent back, {left} left");
        let has_failed = outcomes
            .iter()
            .any(|(_, outcome)| outcome.failure.is_some());
        let gone = letters.seen().count().saturating_sub(sent + left);
        if gone > 0 && !has_failed {
            let gone = counted(gone, "letter");
            let gone =
                format!("{gone} could not be received again: somebody else may have done so");
            print_warning(region.as_str(), &gone);
        }
    }
    for Left { letter, reason, .. } in left {
        print_fault(reason, Some(&format!("{region}: {}", printable(letter))));
    }
    for (_, outcome) in outcomes {
        if let Some(error) = &outcome.failure {
            print_fault(error, Some(region.as_str()));
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Document<'a> {
    region: &'a str,
    letters: Vec<LetterRecord<'a>>,
    sent: Vec<&'a str>,
    left: Vec<LeftRecord<'a>>,
    failures: Vec<ErrorRecord>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct LetterRecord<'a> {
    letter: &'a str,
    queue: &'static str,
    sent_at: String,
    keys: &'a [String],
    requests: Vec<KnownRecord<'a>>,
    code: Option<&'a str>,
    reason: Option<&'a str>,
    condition: Option<&'a str>,
    /// The start of what can't be read.
    excerpt: Option<String>,
    obstacle: Option<ErrorRecord>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct KnownRecord<'a> {
    request_id: &'a str,
    project_name: Option<&'a str>,
    status: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct LeftRecord<'a> {
    letter: &'a str,
    error: ErrorRecord,
}

/// Prints all of it for programs. `refused` is why nothing was sent.
pub(super) fn print_document(
    letters: &Letters,
    outcomes: Option<&Outcomes>,
    refused: Option<&Error>,
) {
    let outcomes = || outcomes.into_iter().flatten().map(|(_, outcome)| outcome);
    let inspections = letters.inspections.iter();
    let failures = inspections.filter_map(|(_, inspection)| inspection.failure.as_ref());
    let failures = failures.chain(outcomes().filter_map(|outcome| outcome.failure.as_ref()));
    let failures = failures.map(|error| ErrorRecord::from(error as &dyn Fault));
    let refused = refused.map(|error| ErrorRecord::from(error as &dyn Fault));
    let sent = outcomes().flat_map(|outcome| &outcome.sent);
    let left = outcomes().flat_map(|outcome| &outcome.left);
    crate::print_json(&Document {
        region: letters.region.as_str(),
        letters: letters
            .seen()
            .map(|(queue, seen)| LetterRecord::new(letters, queue, seen))
            .collect(),
        sent: sent.map(|sent| sent.letter.as_str()).collect(),
        left: left
            .map(|left| LeftRecord {
                letter: &left.letter,
                error: ErrorRecord::from(&left.reason as &dyn Fault),
            })
            .collect(),
        failures: failures.chain(refused).collect(),
    });
}

impl<'a> LetterRecord<'a> {
    fn new(letters: &'a Letters, queue: Queue, seen: &'a InspectedLetter) -> Self {
        let requests = seen.requests.iter().map(|id| {
            let known = letters.known.get(id);
            KnownRecord {
                request_id: id.as_str(),
                project_name: known.and_then(|known| known.project.as_deref()),
                status: known.map(summary),
            }
        });
        let obstacle = seen.obstacle.as_ref();
        Self {
            letter: &seen.letter,
            queue: queue.name(),
            sent_at: seen.sent_at.to_string(),
            keys: &seen.keys,
            requests: requests.collect(),
            code: seen.cause.code.as_deref(),
            reason: seen.cause.message.as_deref(),
            condition: seen.cause.condition.as_deref(),
            excerpt: obstacle.map(|_| excerpt(&seen.body)),
            obstacle: obstacle.map(|error| ErrorRecord::from(error as &dyn Fault)),
        }
    }
}
