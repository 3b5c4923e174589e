//! Dead letters, for people and for programs.

use accretion_core::Fault as _;
use accretion_core::diagnostic::printable;
use accretion_core::request::RequestId;
use accretion_service::redrive::{InspectedLetter, Left};
use serde::Serialize;

use super::{Letters, Outcomes, Queue};
use crate::args::Global;
use crate::cloud::Error;
use crate::commands::status::summary;
use crate::print;
use crate::print::ErrorRecord;
use crate::units::{counted, to_the_second};

/// The number of characters in the excerpt of an unreadable letter.
const EXCERPT_CHARS: usize = 100;

/// Prints the letters, each with its requests.
pub(super) fn print_letters(letters: &Letters, limit: usize, global: Global) {
    if !global.quiet {
        for (queue, seen) in letters.seen() {
            print_letter(letters, queue, seen);
        }
        if letters.seen().next().is_none() {
            anstream::eprintln!("no dead letters in {}", letters.region);
        }
        for (queue, inspection) in &letters.inspections {
            if inspection.letters.len() >= limit {
                let name = queue.name().to_lowercase();
                anstream::eprintln!("there may be more {name} letters: raise --limit to see them");
            }
        }
    }
    for (_, inspection) in &letters.inspections {
        if let Some(error) = &inspection.failure {
            print::fault(error, Some(letters.region.as_str()));
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
    let texts = [&cause.code, &cause.message].into_iter().flatten();
    let parts: Vec<_> = texts.map(|text| printable(text)).collect();
    if !parts.is_empty() {
        anstream::println!("  cause    {}", parts.join(": "));
    } else if let Some(condition) = &cause.condition {
        anstream::println!("  cause    {}", printable(condition));
    }
    if let Some(obstacle) = &seen.obstacle {
        anstream::println!("  stays    {}: {obstacle}", obstacle.code());
        anstream::println!("  excerpt  {}", excerpt(&seen.body));
    }
    anstream::println!();
}

/// The project and the status of a request.
fn known(letters: &Letters, id: &RequestId) -> (String, String) {
    match letters.known.get(id) {
        Some(request) => {
            let name = request.project.as_deref().map(printable);
            let project = name.map_or_else(String::new, |name| format!(" of {name}"));
            (project, summary(request))
        }
        None => (String::new(), "unknown".to_owned()),
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

/// Prints the results of sending letters back.
pub(super) fn print_outcomes(letters: &Letters, outcomes: &Outcomes, global: Global) {
    let region = &letters.region;
    let left = outcomes.iter().flat_map(|(_, outcome)| &outcome.left);
    if !global.quiet && letters.seen().next().is_some() {
        let counts = outcomes.iter().map(|(_, outcome)| outcome.sent.len());
        let (sent, unsent) = (counts.sum::<usize>(), left.clone().count());
        anstream::println!("{sent} sent back, {unsent} left");
        let has_failed = outcomes
            .iter()
            .any(|(_, outcome)| outcome.failure.is_some());
        let gone = letters.seen().count().saturating_sub(sent + unsent);
        if gone > 0 && !has_failed {
            let letters = counted(gone, "letter");
            let warning =
                format!("{letters} could not be received again: another receiver may have them");
            print::warning(region.as_str(), &warning);
        }
    }
    for Left { letter, reason, .. } in left {
        print::fault(reason, Some(&format!("{region}: {}", printable(letter))));
    }
    for (_, outcome) in outcomes {
        if let Some(error) = &outcome.failure {
            print::fault(error, Some(region.as_str()));
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
    /// The start of an unreadable letter.
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

/// Prints everything for programs. `refused` is the reason if nothing was sent.
pub(super) fn print_document(
    letters: &Letters,
    outcomes: Option<&Outcomes>,
    refused: Option<&Error>,
) {
    let outcomes = || outcomes.into_iter().flatten().map(|(_, outcome)| outcome);
    let inspections = letters.inspections.iter();
    let unreadable = inspections.filter_map(|(_, inspection)| inspection.failure.as_ref());
    let failures = unreadable
        .chain(outcomes().filter_map(|outcome| outcome.failure.as_ref()))
        .map(ErrorRecord::from)
        .chain(refused.map(ErrorRecord::from));
    let sent = outcomes().flat_map(|outcome| &outcome.sent);
    let left = outcomes().flat_map(|outcome| &outcome.left);
    print::json(&Document {
        region: letters.region.as_str(),
        letters: letters
            .seen()
            .map(|(queue, seen)| LetterRecord::new(letters, queue, seen))
            .collect(),
        sent: sent.map(|sent| sent.letter.as_str()).collect(),
        left: left
            .map(|left| LeftRecord {
                letter: &left.letter,
                error: (&left.reason).into(),
            })
            .collect(),
        failures: failures.collect(),
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
            obstacle: obstacle.map(Into::into),
        }
    }
}
