//! Progress of a command on a terminal.

use std::collections::BTreeMap;
use std::io::IsTerminal as _;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

#[cfg(feature = "aws")]
use crate::args::Global;
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
    /// Shows progress if standard error is a terminal, unless `quiet` is set.
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

    /// Clears the progress from the terminal.
    pub(crate) fn clear(&self) {
        self.downloads.finish_and_clear();
        for bar in self.lock().values() {
            bar.finish_and_clear();
        }
        // The terminal may be gone.
        let _ = self.all.clear();
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<LayerTarget, ProgressBar>> {
        self.targets.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn say(&self, target: LayerTarget, message: String) {
        let mut targets = self.lock();
        let bar = targets.entry(target).or_insert_with(|| {
            add_spinner(
                &self.all,
                "{spinner:.cyan} {prefix:<13} {msg}",
                target.slug(),
            )
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
                // The terminal may be gone.
                let _ = self.all.println(format!("  building {filename}"));
            }
        }
    }
}

/// Shows a spinner on a terminal until it is cleared.
#[cfg(feature = "aws")]
pub(crate) fn spinner(global: Global, message: String) -> ProgressBar {
    if !global.is_chatty() || !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new_spinner().with_style(style("{spinner:.cyan} {msg}"));
    bar.set_message(message);
    bar.enable_steady_tick(Duration::from_millis(100));
    bar
}

/// Progress on standard error, with a line for each task. Without a terminal, only notes and ends of
/// tasks appear.
#[cfg(feature = "aws")]
pub(crate) struct Lines {
    all: MultiProgress,
    by_name: Mutex<BTreeMap<String, ProgressBar>>,
    quiet: bool,
    shown: bool,
}

#[cfg(feature = "aws")]
impl Lines {
    /// Shows nothing if `quiet` is set.
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

    /// Shows the current step of a task.
    pub(crate) fn say(&self, name: &str, message: impl Into<String>) {
        let text = message.into();
        let mut lines = self.lock();
        let line = lines.entry(name.to_owned()).or_insert_with(|| {
            let template = "{spinner:.cyan} {prefix:<14} {elapsed:>4}  {msg}";
            add_spinner(&self.all, template, name.to_owned())
        });
        // Another program may have written the text.
        line.set_message(printable(&text));
    }

    /// Shows the current step of a task, and logs it if there is no terminal.
    pub(crate) fn note(&self, name: &str, message: &str) {
        if !self.shown && !self.quiet {
            anstream::eprintln!("{name}: {message}");
        }
        self.say(name, message);
    }

    /// Ends a task.
    pub(crate) fn end(&self, name: &str, message: &str) {
        if let Some(line) = self.lock().remove(name) {
            line.finish_and_clear();
        }
        if self.shown {
            // The terminal may be gone.
            let _ = self.all.println(format!("  {name:<14} {message}"));
        } else if !self.quiet {
            anstream::eprintln!("{name}: {message}");
        }
    }

    /// Clears the progress from the terminal.
    pub(crate) fn clear(&self) {
        // Stops all redraws first.
        let lines = std::mem::take(&mut *self.lock());
        lines.values().for_each(ProgressBar::disable_steady_tick);
        // The terminal may be gone.
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

/// Adds a spinner with a prefix.
pub(crate) fn add_spinner(all: &MultiProgress, template: &str, prefix: String) -> ProgressBar {
    let spinner = ProgressBar::new_spinner().with_style(style(template));
    let bar = all.add(spinner).with_prefix(prefix);
    bar.enable_steady_tick(Duration::from_millis(100));
    bar
}

/// The style of a template, or the default style.
pub(crate) fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}
