//! A report about an input, for people and for programs.

use accretion_core::diagnostic::{Location, Problem, Report, Severity, SourceText};
use annotate_snippets::{
    AnnotationKind, Level, Origin, Renderer, Snippet, normalize_untrusted_str,
};
use serde::Serialize;

/// How many characters of a line are shown around a problem.
const WIDTH: usize = 140;

/// Renders a report for people, in the manner of rustc: each problem with its code, its place in
/// the text and what to do about it, then a line with the counts. Empty without problems.
///
/// Colour only repeats what the words say.
pub(crate) fn render(report: &Report, colour: bool) -> String {
    let renderer = if colour {
        Renderer::styled()
    } else {
        Renderer::plain()
    };
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
pub(crate) fn printable(text: &str) -> String {
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

/// A problem for programs: what `--format json` writes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ProblemRecord<'a> {
    code: &'a str,
    /// `error` or `warning`.
    severity: &'static str,
    message: &'a str,
    file: Option<&'a str>,
    /// From 1.
    line: Option<usize>,
    /// From 1, in characters.
    column: Option<usize>,
    help: Option<&'a str>,
}

/// The problems of a report for programs, in the order of the report.
pub(crate) fn records(report: &Report) -> Vec<ProblemRecord<'_>> {
    let record = |problem: &'_ Problem| -> Option<(usize, usize)> {
        let location = problem.location.as_ref()?;
        Some(report.line_column(location))
    };
    report
        .problems
        .iter()
        .map(|problem| {
            let place = record(problem);
            let source = problem.location.as_ref().map_or(0, |place| place.source);
            ProblemRecord {
                code: problem.code,
                severity: match problem.severity {
                    Severity::Error => "error",
                    Severity::Warning => "warning",
                },
                message: &problem.message,
                file: report
                    .sources
                    .get(source)
                    .map(|source| source.name.as_str()),
                line: place.map(|(line, _)| line),
                column: place.map(|(_, column)| column),
                help: problem.help.as_deref(),
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use accretion_core::request::Request;
    use accretion_core::requirement::{self, IncludeError};

    use super::*;

    fn included() -> Report {
        let include = |path: &str| match path {
            "base.txt" => Ok("boto3\nboto3\nflask[async>=3  # ünïcode\n".to_owned()),
            _ => Err(IncludeError::Unreadable("there is no such file".to_owned())),
        };
        let text = "-r base.txt\n-r gone.txt\nnumpy \\\n    --hash=md5:00 \\\n    --hash=x\n";
        requirement::parse("in/requirements.txt", text, &include, false).unwrap_err()
    }

    fn request() -> Report {
        let text = r#"{"Name": "tools", "Languge": "python",
  "Requirements": {"Type": "requirements.txt", "Requirements": "requests\n-e .\n"},
  "Runtimes": ["python3.11"]}"#;
        Request::from_json("request.json", text.as_bytes()).unwrap_err()
    }

    #[test]
    fn problems_are_shown_in_the_text() {
        insta::assert_snapshot!(render(&included(), false));
        insta::assert_snapshot!(render(&request(), false));
    }

    #[test]
    fn colour_adds_nothing_but_colour() {
        for report in [included(), request()] {
            let coloured = render(&report, true);
            assert!(coloured.contains("\u{1b}["));
            assert_eq!(without_escapes(&coloured), render(&report, false));
        }
    }

    fn without_escapes(text: &str) -> String {
        let mut parts = text.split("\u{1b}[");
        let first = parts.next().unwrap_or_default().to_owned();
        parts.fold(first, |plain, part| {
            plain + part.split_once('m').map_or("", |(_, rest)| rest)
        })
    }

    #[test]
    fn a_problem_of_the_whole_names_the_file() {
        let report =
            requirement::parse("requirements.txt", "", &requirement::NoInclude, false).unwrap_err();
        insta::assert_snapshot!(render(&report, false));
        assert_eq!(render(&Report::default(), false), "");
    }

    #[test]
    fn control_characters_never_reach_the_terminal() {
        let text = "ok \u{1b}[31mred\u{7}\n\u{9b}x\n";
        let report =
            requirement::parse("a\u{1b}.txt", text, &requirement::NoInclude, false).unwrap_err();
        let rendered = render(&report, false);
        let controls = rendered.chars().filter(|c| c.is_control() && *c != '\n');
        assert_eq!(controls.count(), 0, "{rendered:?}");
    }

    #[test]
    fn every_problem_at_every_place_can_be_rendered() {
        let texts = [
            "é=1",
            "é\r\n=\r\n",
            "a \\\n =1",
            "a\u{301}\u{301}=1\t\t=",
            "\t-e",
            "a==\n",
        ];
        for text in texts {
            let checked = requirement::parse("r.txt", text, &requirement::NoInclude, false);
            let rendered = render(&checked.unwrap_err(), false);
            assert!(rendered.contains("--> r.txt:"), "{rendered}");
        }
    }

    #[test]
    fn programs_read_the_same_problems() {
        insta::assert_json_snapshot!(records(&included()));
    }
}
