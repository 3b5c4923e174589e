//! Messages for people and documents for programs.

use accretion_core::Fault;
use accretion_core::diagnostic::{Report, printable};
use anstyle::{AnsiColor, Style};
use serde::Serialize;

use crate::args::Global;

/// Prints one JSON document to standard output.
pub(crate) fn json(document: &impl Serialize) {
    let text = serde_json::to_string_pretty(document)
        .expect("documents of strings, numbers and lists are always JSON");
    anstream::println!("{text}");
}

/// Prints the problems of an input to standard error; only errors with `--quiet`.
pub(crate) fn report(report: &Report, global: Global) {
    if !global.quiet || report.has_errors() {
        anstream::eprint!("{}", report.render_coloured());
    }
}

/// Prints an error, and its subject.
pub(crate) fn fault(error: &dyn Fault, about: Option<&str>) {
    let (message, hint) = error.displayed();
    failure(error.code(), about, &message, hint.as_deref());
}

/// Prints errors with their subjects. Subjects with the same error share one message.
pub(crate) fn faults<'a>(errors: impl Iterator<Item = (&'a str, &'a dyn Fault)>) {
    let texts = errors.map(|(about, error)| (about, (error.code(), error.displayed())));
    for ((code, (message, hint)), subjects) in grouped(texts) {
        let about = subjects.join(", ");
        failure(code, Some(&about), &message, hint.as_deref());
    }
}

/// Prints an error that was recorded elsewhere, and its subject.
pub(crate) fn failure(code: &str, about: Option<&str>, message: &str, hint: Option<&str>) {
    let red = bold(AnsiColor::Red);
    let subject = about.map_or_else(String::new, |about| format!("{}: ", printable(about)));
    let (code, message) = (printable(code), indented(message));
    anstream::eprintln!("{red}error[{code}]{red:#}: {subject}{message}");
    if let Some(text) = hint {
        self::hint(text);
    }
}

/// Prints advice.
pub(crate) fn hint(text: &str) {
    let cyan = bold(AnsiColor::Cyan);
    anstream::eprintln!("{cyan}hint{cyan:#}: {}", indented(text));
}

/// Prints a warning, and its subject.
pub(crate) fn warning(about: &str, warning: &str) {
    let yellow = bold(AnsiColor::Yellow);
    let (about, warning) = (printable(about), indented(warning));
    anstream::eprintln!("{yellow}warning{yellow:#}: {about}: {warning}");
}

/// Prints a remark that reports no problem.
pub(crate) fn note(note: &str) {
    let green = bold(AnsiColor::Green);
    anstream::eprintln!("{green}note{green:#}: {}", indented(note));
}

/// Groups equal values, each with all of its subjects.
pub(crate) fn grouped<'a, T: PartialEq>(
    values: impl Iterator<Item = (&'a str, T)>,
) -> Vec<(T, Vec<&'a str>)> {
    let mut groups: Vec<(T, Vec<&str>)> = Vec::new();
    for (about, value) in values {
        match groups.iter_mut().find(|(known, _)| *known == value) {
            Some((_, subjects)) => subjects.push(about),
            None => groups.push((value, vec![about])),
        }
    }
    groups
}

/// Joins items with commas.
pub(crate) fn joined<T: ToString>(items: impl IntoIterator<Item = T>) -> String {
    let texts: Vec<_> = items.into_iter().map(|it| it.to_string()).collect();
    texts.join(", ")
}

/// An error for programs.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ErrorRecord {
    code: &'static str,
    class: String,
    message: String,
    hint: Option<String>,
}

impl<F: Fault + ?Sized> From<&F> for ErrorRecord {
    fn from(error: &F) -> Self {
        let (message, hint) = error.displayed();
        Self {
            code: error.code(),
            class: error.class().to_string(),
            message,
            hint,
        }
    }
}

/// An error of a region, for programs.
#[cfg(feature = "aws")]
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct RegionFailure<'a> {
    region: Option<&'a str>,
    error: ErrorRecord,
}

#[cfg(feature = "aws")]
impl<'a> RegionFailure<'a> {
    pub(crate) fn new(region: Option<&'a str>, error: &dyn Fault) -> Self {
        Self {
            region,
            error: error.into(),
        }
    }
}

fn bold(color: AnsiColor) -> Style {
    color.on_default().bold()
}

/// Indents all lines but the first. Packages and servers wrote some of the text, so control
/// characters are escaped.
fn indented(text: &str) -> String {
    let lines: Vec<_> = text.lines().map(printable).collect();
    lines.join("\n  ")
}
