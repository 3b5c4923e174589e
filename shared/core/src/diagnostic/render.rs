//! A report for people.

use annotate_snippets::{AnnotationKind, Level, Origin, Renderer, Snippet};

use super::{Location, Problem, Report, Severity};
use crate::excerpt::{printable, without_c1};

/// The characters of a line that are shown around a problem.
const WIDTH: usize = 140;

/// The bytes of a line that the renderer gets on either side of a problem: more than it
/// shows, whatever the characters. A line may have megabytes.
const MARGIN: usize = 8 * WIDTH;

impl Report {
    /// The report for people, in the manner of rustc: each problem with its code, its place in the
    /// text and what to do about it, then a line with the counts. Empty without problems.
    ///
    /// No character of an input does more than show.
    pub fn render(&self) -> String {
        render(self, Renderer::plain())
    }

    /// [`Self::render`] with ANSI escape sequences for colours, which only repeat what the words
    /// say.
    pub fn render_coloured(&self) -> String {
        render(self, Renderer::styled())
    }
}

fn render(report: &Report, renderer: Renderer) -> String {
    let of_width = renderer.term_width(WIDTH);
    let mut text = String::new();
    for problem in &report.problems {
        text += &render_problem(report, problem, &of_width);
        text += "\n\n";
    }
    if !report.problems.is_empty() {
        text += &counts(report);
        text.push('\n');
    }
    text
}

fn render_problem(report: &Report, problem: &Problem, renderer: &Renderer) -> String {
    let level = match problem.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let title = level
        .primary_title(problem.message.as_str())
        .id(problem.code);
    let place = problem
        .location
        .as_ref()
        .and_then(|location| Some((location, report.sources.get(location.source)?)));
    let mut group = match place {
        Some((location, source)) => {
            let (line, column) = report.line_column(location);
            let (snippet, is_cut) = snippet(location, &source.text, line);
            let path = printable(&source.name);
            if is_cut {
                // The renderer would count the column from the cut.
                let origin = Origin::path(path).line(line).char_column(column);
                title.element(origin).element(snippet)
            } else {
                title.element(snippet.path(path))
            }
        }
        None => match report.sources.first() {
            Some(source) => title.element(Origin::path(printable(&source.name))),
            None => title.elements(std::iter::empty::<Origin<'_>>()),
        },
    };
    if let Some(help) = &problem.help {
        group = group.element(Level::HELP.message(printable(help)));
    }
    renderer.render(&[group])
}

/// The lines of a location, or what is near it in long ones; and whether their start is cut off.
/// Only that is handed to the renderer: texts may have megabytes, and a report many problems.
fn snippet<'a>(
    location: &Location,
    text: &str,
    line: usize,
) -> (Snippet<'a, annotate_snippets::Annotation<'a>>, bool) {
    let span = location.span.clone();
    let line_start = text[..span.start]
        .rfind('\n')
        .map_or(0, |newline| newline + 1);
    let line_end = text[span.end..]
        .find('\n')
        .map_or(text.len(), |newline| span.end + newline);
    let start = text.floor_char_boundary(span.start.saturating_sub(MARGIN));
    let end = text.ceil_char_boundary(span.end + MARGIN);
    let (start, end) = (line_start.max(start), line_end.min(end));
    let shown = without_credentials(&without_c1(&text[start..end]));
    let snippet = Snippet::source(shown)
        .line_start(line)
        .annotation(AnnotationKind::Primary.span(span.start - start..span.end - start));
    (snippet, start > line_start)
}

/// Replaces what a URL has before an `@`, but for variables: reports are kept and sent. Places in the
/// text stay the same.
fn without_credentials(text: &str) -> String {
    const AUTHORITY: &str = "://";
    let ends = |c: char| matches!(c, '/' | '?' | '#' | '"' | '\'') || c.is_whitespace();
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(AUTHORITY) {
        let (before, after) = rest.split_at(at + AUTHORITY.len());
        let authority = &after[..after.find(ends).unwrap_or(after.len())];
        let (credentials, _) = authority.rsplit_once('@').unwrap_or_default();
        shown += before;
        if credentials.split(':').all(is_variable) {
            shown += credentials;
        } else {
            shown.extend(std::iter::repeat_n('*', credentials.len()));
        }
        rest = &after[credentials.len()..];
    }
    shown + rest
}

fn is_variable(text: &str) -> bool {
    text.starts_with("${") && text.ends_with('}')
}

fn counts(report: &Report) -> String {
    let count = |severity| {
        let problems = report.problems.iter();
        problems
            .filter(|problem| problem.severity == severity)
            .count()
    };
    let of = |count: usize, what: &str| {
        let plural = if count == 1 { "" } else { "s" };
        format!("{count} {what}{plural}")
    };
    match (count(Severity::Error), count(Severity::Warning)) {
        (errors, 0) => of(errors, "error"),
        (0, warnings) => of(warnings, "warning"),
        (errors, warnings) => format!("{}, {}", of(errors, "error"), of(warnings, "warning")),
    }
}
