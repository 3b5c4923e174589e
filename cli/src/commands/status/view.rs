//! Progress of requests that the command follows.

use std::collections::BTreeMap;
use std::io::IsTerminal as _;
use std::sync::{Mutex, MutexGuard, PoisonError};

use accretion_core::diagnostic::printable;
use accretion_core::request::RequestId;
use accretion_core::target::LayerTarget;
use accretion_core::timestamp::Timestamp;
use accretion_core::tracking::Status;
use indicatif::{MultiProgress, ProgressBar};

use super::follow::Sighting;
use super::shown;
use crate::args::Global;
use crate::progress::{add_spinner, style};
use crate::units::span;

/// Progress on standard error: on a terminal, a line for each target that changes; elsewhere, a new line
/// for each change.
pub(super) struct View {
    medium: Medium,
    state: Mutex<State>,
    /// The command that follows the requests again.
    command: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Medium {
    Nothing,
    Lines,
    Terminal,
}

#[derive(Default)]
struct State {
    is_finished: bool,
    /// The last shown status and the time of the next attempt.
    known: BTreeMap<(RequestId, Option<LayerTarget>), (Status, Option<Timestamp>)>,
    all: MultiProgress,
    bars: BTreeMap<(RequestId, Option<LayerTarget>), ProgressBar>,
}

impl View {
    pub(super) fn new(global: Global, command: String) -> Self {
        let medium = if !global.is_chatty() {
            Medium::Nothing
        } else if std::io::stderr().is_terminal() {
            Medium::Terminal
        } else {
            Medium::Lines
        };
        Self {
            medium,
            state: Mutex::default(),
            command,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Shows that the pipeline has not received a request yet.
    pub(super) fn waiting(&self, id: &RequestId) {
        if self.medium == Medium::Terminal {
            let state = &mut *self.lock();
            let bar = state.bar((id.clone(), None), id.as_str());
            bar.set_message("not received yet");
        }
    }

    /// Shows a request. Returns whether anything has changed.
    pub(super) fn on(&self, sighting: &Sighting) -> bool {
        let request = &sighting.request;
        let id = &request.request.id;
        let state = &mut *self.lock();
        let news = (request.status, None);
        let before = state.known.insert((id.clone(), None), news);
        let mut has_changed = before != Some(news);
        if let Some(bar) = state.bars.remove(&(id.clone(), None)) {
            bar.finish_and_clear();
        }
        if request.status == Status::Rejected && has_changed {
            let project = request.project.as_deref().unwrap_or(id.as_str());
            let name = format!("{}  {}", sighting.region, printable(project));
            let text = request.status.to_string();
            self.say(state, (id.clone(), None), &name, request.status, text);
        }
        let layers = request.targets.values().map(|target| target.layer.len());
        let width = layers.max().unwrap_or_default();
        for (&target, known) in &request.targets {
            let key = (id.clone(), Some(target));
            let news = (known.status, known.next_attempt_at);
            if state.known.insert(key.clone(), news) == Some(news) {
                continue;
            }
            has_changed = true;
            let text = if known.status.is_terminal() {
                let after = span(known.updated_at.since(request.request.received_at));
                format!("{}  {after}", known.status)
            } else {
                shown::pause(known).unwrap_or_else(|| known.status.to_string())
            };
            let layer = format!("{:<width$}", known.layer);
            let name = format!("{}  {}", sighting.region, printable(&layer));
            self.say(state, key, &name, known.status, text);
        }
        has_changed
    }

    fn say(
        &self,
        state: &mut State,
        key: (RequestId, Option<LayerTarget>),
        name: &str,
        status: Status,
        text: String,
    ) {
        match self.medium {
            Medium::Nothing => {}
            Medium::Lines => anstream::eprintln!("{name}  {text}"),
            Medium::Terminal => {
                let bar = state.bar(key, name);
                if status.is_terminal() {
                    bar.set_style(style(match status {
                        Status::Failed | Status::Rejected => "✗ {prefix}  {msg:.red}",
                        _ => "✓ {prefix}  {msg:.green}",
                    }));
                    bar.finish_with_message(text);
                } else {
                    bar.set_message(text);
                }
            }
        }
    }

    /// Ends the progress.
    pub(super) fn finish(&self) {
        let state = &mut *self.lock();
        state.is_finished = true;
        state.clear();
    }
}

impl State {
    fn bar(&mut self, key: (RequestId, Option<LayerTarget>), name: &str) -> &ProgressBar {
        self.bars.entry(key).or_insert_with(|| {
            let template = "{spinner:.cyan} {prefix}  {msg}  {elapsed:.dim}";
            add_spinner(&self.all, template, name.to_owned())
        })
    }

    fn clear(&self) {
        for bar in self.bars.values() {
            bar.finish_and_clear();
        }
        // The terminal may be gone.
        let _ = self.all.clear();
    }
}

impl Drop for View {
    /// Reports requests that continue after the command.
    fn drop(&mut self) {
        let state = self.lock();
        if state.is_finished {
            return;
        }
        state.clear();
        if self.medium != Medium::Nothing {
            anstream::eprintln!(
                "the request continues in AWS; to follow it again: {}",
                self.command
            );
        }
    }
}
