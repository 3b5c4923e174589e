//! What a command is doing, on a terminal.

use std::collections::BTreeMap;
use std::io::IsTerminal as _;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

#[cfg(feature = "aws")]
use crate::args::{Format, Global};
#[cfg(feature = "aws")]
use accretion_core::diagnostic::printable;
use accretion_core::target::LayerTarget;
use accretion_service::ports::{Event, Progress};
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Progress on standard error: a line for each target and each merged layer, and one for all
/// downloads.
pub(crate) struct Terminal {
    all: MultiProgress,
    downloads: ProgressBar,
    targets: Mutex<BTreeMap<LayerTarget, ProgressBar>>,
}

impl Terminal {
    /// Shows progress if standard error is a terminal and the user has not asked for quiet.
    pub(crate) fn new(quiet: bool) -> Self {
        let shown = !quiet && std::io::stderr().is_terminal();
        let all = MultiProgress::with_draw_target(draw_target(shown));
        let downloads = ProgressBar::new(0).with_style(style(
            "  downloading {wide_bar:.cyan} {binary_bytes}/{binary_total_bytes} {binary_bytes_per_sec}",
        ));
        Self {
            all,
            downloads,
            targets: Mutex::default(),
        }
    }

    /// Takes everything off the screen.
    pub(crate) fn clear(&self) {
        self.downloads.finish_and_clear();
        for bar in self.lock().values() {
            bar.finish_and_clear();
        }
        // Nothing to do about a terminal that is gone.
        let _ = self.all.clear();
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<LayerTarget, ProgressBar>> {
        self.targets.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn say(&self, target: LayerTarget, message: String) {
        let mut targets = self.lock();
        let bar = targets.entry(target).or_insert_with(|| {
            let bar =
                ProgressBar::new_spinner().with_style(style("{spinner:.cyan} {prefix:<13} {msg}"));
            let bar = self.all.add(bar).with_prefix(target.slug());
            bar.enable_steady_tick(Duration::from_millis(100));
            bar
        });
        bar.set_message(message);
    }
}

impl Progress for Terminal {
    fn on(&self, event: Event) {
        match event {
            Event::Resolving(target) => self.say(target.into(), "resolving".to_owned()),
            Event::Resolved { target, packages } => {
                self.say(target.into(), format!("{packages} packages"));
            }
            Event::Splicing(target) => self.say(target, "writing the layer".to_owned()),
            Event::WheelReady { .. } | Event::Storing(_) => {}
            Event::Finished(target) => {
                if let Some(bar) = self.lock().remove(&target) {
                    bar.finish_and_clear();
                }
            }
            Event::Downloading { size, .. } => {
                if self.downloads.length() == Some(0) {
                    self.all.add(self.downloads.clone());
                }
                self.downloads.inc_length(size.unwrap_or(0));
            }
            Event::Downloaded(bytes) => self.downloads.inc(bytes),
            Event::BuildingWheel { filename } => {
                // Nothing to do about a terminal that is gone.
                let _ = self.all.println(format!("  building {filename}"));
            }
        }
    }
}

/// Shows that something takes its time, on a terminal, until it is cleared.
#[cfg(feature = "aws")]
pub(crate) fn spinner(global: Global, message: String) -> ProgressBar {
    let is_wanted = !global.quiet && global.format == Format::Text;
    if !is_wanted || !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new_spinner().with_style(style("{spinner:.cyan} {msg}"));
    bar.set_message(message);
    bar.enable_steady_tick(Duration::from_millis(100));
    bar
}

/// Progress on standard error, a line for each thing that is done. Where that is no terminal, only
/// what is noted is there.
#[cfg(feature = "aws")]
pub(crate) struct Lines {
    all: MultiProgress,
    by_name: Mutex<BTreeMap<String, ProgressBar>>,
    quiet: bool,
    shown: bool,
}

#[cfg(feature = "aws")]
impl Lines {
    /// Shows nothing if the user has asked for quiet.
    pub(crate) fn new(quiet: bool) -> Self {
        let shown = !quiet && std::io::stderr().is_terminal();
        Self {
            all: MultiProgress::with_draw_target(draw_target(shown)),
            by_name: Mutex::default(),
            quiet,
            shown,
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, ProgressBar>> {
        self.by_name.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says what is being done in one of them.
    pub(crate) fn say(&self, name: &str, message: impl Into<String>) {
        let message = message.into();
        let mut lines = self.lock();
        let line = lines.entry(name.to_owned()).or_insert_with(|| {
            let line = ProgressBar::new_spinner();
            let line = line.with_style(style("{spinner:.cyan} {prefix:<14} {elapsed:>4}  {msg}"));
            let line = self.all.add(line).with_prefix(name.to_owned());
            line.enable_steady_tick(Duration::from_millis(100));
            line
        });
        // It may be what another program says.
        line.set_message(printable(&message));
    }

    /// The same, as something that is worth a line of a log, too.
    pub(crate) fn note(&self, name: &str, message: &str) {
        if !self.shown && !self.quiet {
            anstream::eprintln!("{name}: {message}");
        }
        self.say(name, message);
    }

    /// One of them has come to its end.
    pub(crate) fn end(&self, name: &str, message: &str) {
        if let Some(line) = self.lock().remove(name) {
            line.finish_and_clear();
        }
        if self.shown {
            // Nothing to do about a terminal that is gone.
            let _ = self.all.println(format!("  {name:<14} {message}"));
        } else if !self.quiet {
            anstream::eprintln!("{name}: {message}");
        }
    }

    /// Takes everything off the screen.
    pub(crate) fn clear(&self) {
        // First of all none may be drawn again.
        let lines = std::mem::take(&mut *self.lock());
        lines.values().for_each(ProgressBar::disable_steady_tick);
        // Nothing to do about a terminal that is gone.
        let _ = self.all.clear();
        self.all.set_draw_target(ProgressDrawTarget::hidden());
    }
}

fn draw_target(shown: bool) -> ProgressDrawTarget {
    if shown {
        ProgressDrawTarget::stderr()
    } else {
        ProgressDrawTarget::hidden()
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}
