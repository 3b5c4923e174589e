//! A report for people.

use annotate_snippets::{
    AnnotationKind, Level, Origin, Renderer, Snippet, normalize_untrusted_str,
};

use super::{Location, Problem, Report, Severity, SourceText};

/// How many characters of a line are shown around a problem.
const WIDTH: usize = 140;

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
    let renderer = renderer.term_width(WIDTH);
    let mut text = String::new();
    for problem in &report.problems {
        text += &render_problem(report, problem, &renderer);
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
        Some((location, source)) => title.element(snippet(report, location, source)),
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

/// The lines of a location. Only they are handed to the renderer: texts may have megabytes, and a
/// report many problems.
fn snippet<'a>(
    report: &Report,
    location: &Location,
    source: &SourceText,
) -> Snippet<'a, annotate_snippets::Annotation<'a>> {
    let text = &source.text;
    let span = location.span.clone();
    let start = text[..span.start]
        .rfind('\n')
        .map_or(0, |newline| newline + 1);
    let end = text[span.end..]
        .find('\n')
        .map_or(text.len(), |newline| span.end + newline);
    let (line, _) = report.line_column(location);
    Snippet::source(without_c1(&text[start..end]))
        .path(printable(&source.name))
        .line_start(line)
        .annotation(AnnotationKind::Primary.span(span.start - start..span.end - start))
}

/// A text that only shows: terminals act on control characters.
pub fn printable(text: &str) -> String {
    without_c1(&normalize_untrusted_str(text))
}

/// Replaces the control characters from U+0080 to U+009F, which the renderer passes on, by another
/// character of two bytes, so that places in the text stay the same.
fn without_c1(text: &str) -> String {
    text.replace(|c| matches!(c, '\u{80}'..='\u{9f}'), "¿")
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
