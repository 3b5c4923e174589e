//! The promises of reports and messages: they can be shown, and say what to do.

use accretion_core::Fault;
use accretion_core::diagnostic::{Report, Severity};
use accretion_core::limits::Limits;

/// A report about an input that was refused, or accepted with warnings.
pub(crate) fn check(report: &Report, refused: bool) {
    assert_eq!(report.has_errors(), refused, "{report:?}");
    for severity in [Severity::Warning, Severity::Error] {
        let alike = report.problems.iter().filter(|it| it.severity == severity);
        assert!(
            alike.count() <= Limits::PROBLEMS + 1,
            "a report must stay small"
        );
    }
    for problem in &report.problems {
        assert!(problem.help.is_some(), "no help with {problem:?}");
        check_line(&problem.message);
        let Some(location) = &problem.location else {
            continue;
        };
        let text = &report.sources[location.source].text;
        assert!(text.get(location.span.clone()).is_some(), "{problem:?}");
        let (line, column) = report.line_column(location);
        assert!(line >= 1 && column >= 1);
    }
    let rendered = report.render();
    let is_shown = |c: char| !c.is_control() || matches!(c, '\n' | '\t');
    assert!(rendered.chars().all(is_shown), "{rendered:?}");
    let records = serde_json::to_string(&report.records());
    assert!(records.is_ok(), "{records:?}");
}

/// An error's message.
pub(crate) fn check_error(error: &impl Fault) {
    check_line(&error.to_string());
    assert!(!error.code().is_empty());
}

/// A message is one line of a log, whatever it quotes.
pub(crate) fn check_line(message: &str) {
    assert!(!message.is_empty());
    let hides = |c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}');
    assert!(!message.contains(hides), "{message:?}");
    assert!(message.len() < 16 << 10, "{} bytes", message.len());
}
