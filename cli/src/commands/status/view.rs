//! What requests are doing, while somebody watches.

use std::collections::BTreeMap;
use std::io::IsTerminal as _;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use accretion_core::diagnostic::printable;
use accretion_core::request::RequestId;
use accretion_core::target::LayerTarget;
use accretion_core::timestamp::Timestamp;
use accretion_core::tracking::Status;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use super::follow::Sighting;
use super::shown;
use crate::args::{Format, Global};
use crate::units::span;

/// What is being followed, on standard error: on a terminal a line for each target, which changes;
/// elsewhere a new line for each change.
pub(super) struct View {
    medium: Medium,
    state: Mutex<State>,
    /// How to follow again what was left.
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
    /// The status that was shown last, and until when it waits: each pause is news.
    known: BTreeMap<(RequestId, Option<LayerTarget>), (Status, Option<Timestamp>)>,
    all: MultiProgress,
    bars: BTreeMap<(RequestId, Option<LayerTarget>), ProgressBar>,
}

impl View {
    pub(super) fn new(global: Global, command: String) -> Self {
        let medium = if global.quiet || global.format == Format::Json {
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

    /// A request is waited for that nobody knows yet.
    pub(super) fn waiting(&self, id: &RequestId) {
        if self.medium == Medium::Terminal {
            let state = &mut *self.lock();
            let bar = state.bar((id.clone(), None), id.as_str());
            bar.set_message("not received yet");
        }
    }

    /// A request was seen. Returns whether anything has changed.
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
            let name = request.project.as_deref().unwrap_or(id.as_str());
            let name = format!("{}  {}", sighting.region, printable(name));
            let said = request.status.to_string();
            self.say(state, (id.clone(), None), &name, request.status, said);
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
            let said = if known.status.is_terminal() {
                let after = span(known.updated_at.since(request.request.received_at));
                format!("{}  {after}", known.status)
            } else {
                shown::pause(known).unwrap_or_else(|| known.status.to_string())
            };
            let name = format!("{:<width$}", known.layer);
            let name = format!("{}  {}", sighting.region, printable(&name));
            self.say(state, key, &name, known.status, said);
        }
        has_changed
    }

    fn say(
        &self,
        state: &mut State,
        key: (RequestId, Option<LayerTarget>),
        name: &str,
        status: Status,
        said: String,
    ) {
        match self.medium {
            Medium::Nothing => {}
            Medium::Lines => anstream::eprintln!("{name}  {said}"),
            Medium::Terminal => {
                let bar = state.bar(key, name);
                if status.is_terminal() {
                    bar.set_style(style(match status {
                        Status::Failed | Status::Rejected => "✗ {prefix}  {msg:.red}",
                        _ => "✓ {prefix}  {msg:.green}",
                    }));
                    bar.finish_with_message(said);
                } else {
                    bar.set_message(said);
                }
            }
        }
    }

    /// All that was followed has come to its end.
    pub(super) fn finish(&self) {
        let state = &mut *self.lock();
        state.is_finished = true;
        state.clear();
    }
}

impl State {
    fn bar(&mut self, key: (RequestId, Option<LayerTarget>), name: &str) -> &ProgressBar {
        self.bars.entry(key).or_insert_with(|| {
            let bar = ProgressBar::new_spinner();
            let bar = bar.with_style(style("{spinner:.cyan} {prefix}  {msg}  {elapsed:.dim}"));
            let bar = self.all.add(bar).with_prefix(name.to_owned());
            bar.enable_steady_tick(Duration::from_millis(100));
            bar
        })
    }

    fn clear(&self) {
        for bar in self.bars.values() {
            bar.finish_and_clear();
        }
        // Nothing to do about a terminal that is gone.
        let _ = self.all.clear();
    }
}

/// Whoever ends the command should know what does not end with it.
impl Drop for View {
    fn drop(&mut self) {
        let state = self.lock();
        if state.is_finished {
            return;
        }
        state.clear();
        if self.medium != Medium::Nothing {
            anstream::eprintln!(
                "the request goes on in AWS; to follow it again: {}",
                self.command
            );
        }
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_spinner())
}
