//! The output of the demo: lines on a terminal that change in place, and plain ones elsewhere.

use std::collections::BTreeMap;
use std::io::{IsTerminal as _, Write as _};
use std::time::Duration;

use anstyle::{AnsiColor, Style};
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Says a line.
pub(crate) fn say(line: &str) {
    anstream::println!("{line}");
}

/// Begins a line.
pub(crate) fn begin(text: &str) {
    anstream::print!("{text}");
    // Nothing to do about a terminal that is gone.
    let _ = std::io::stdout().flush();
}

/// Begins a part.
pub(crate) fn heading(text: &str) {
    say(&format!("\n{}", bold(text)));
}

/// Text that stands out.
pub(crate) fn bold(text: &str) -> String {
    styled(Style::new().bold(), text)
}

/// Text that says that something went well.
pub(crate) fn good(text: &str) -> String {
    styled(AnsiColor::Green.on_default(), text)
}

fn styled(style: Style, text: &str) -> String {
    format!("{style}{text}{style:#}")
}

/// The progress of layers, with a line for each.
#[derive(Default)]
pub(crate) struct Progress {
    lines: BTreeMap<String, Line>,
    all: MultiProgress,
}

struct Line {
    status: String,
    bar: ProgressBar,
}

impl Progress {
    /// The number of layers.
    pub(crate) fn len(&self) -> usize {
        self.lines.len()
    }

    /// Shows a layer's status; whether nothing more happens to it.
    pub(crate) fn set(&mut self, layer: &str, status: &str, after: Duration) -> bool {
        let is_terminal = std::io::stdout().is_terminal();
        let all = &self.all;
        let line = self.lines.entry(layer.to_owned()).or_insert_with(|| {
            if !is_terminal {
                all.set_draw_target(ProgressDrawTarget::hidden());
            }
            let bar = all.add(ProgressBar::new_spinner().with_style(style("{spinner:.cyan}")));
            bar.enable_steady_tick(Duration::from_millis(100));
            Line {
                status: String::new(),
                bar,
            }
        });
        let is_done = !matches!(status, "Received" | "Building" | "Built");
        if line.status == status {
            return is_done;
        }
        status.clone_into(&mut line.status);
        let after = after.as_secs_f64();
        let text = format!("{layer:<24} {status:<10} {after:>6.1} s");
        if !is_terminal {
            // Everything is received at once.
            if status != "Received" {
                say(&format!("  {text}"));
            }
        } else if is_done {
            line.bar.set_style(style("✓"));
            line.bar.finish_with_message(text);
        } else {
            line.bar.set_message(text);
        }
        is_done
    }
}

fn style(mark: &str) -> ProgressStyle {
    ProgressStyle::with_template(&format!("{mark} {{msg}}"))
        .unwrap_or_else(|_| ProgressStyle::default_spinner())
}
