//! Tables for people.

#[cfg(feature = "aws")]
use std::borrow::Cow;

use accretion_core::diagnostic::printable;
use comfy_table::{CellAlignment, Table, presets};

/// A table without lines, whose columns are as wide as their cells.
pub(crate) fn new(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(header);
    table
}

/// Prints a table, with these columns aligned to the right.
pub(crate) fn print(table: Table, right: &[usize]) {
    for line in lines(table, right) {
        anstream::println!("{line}");
    }
}

/// Prints a table, and cuts each line at the width of the terminal. The last column is a remark.
#[cfg(feature = "aws")]
pub(crate) fn print_cut(table: Table, right: &[usize]) {
    let width = terminal_width().unwrap_or(usize::MAX);
    for line in lines(table, right) {
        anstream::println!("{}", cut(&line, width));
    }
}

/// The width of the terminal in characters; `None` if standard output is no terminal.
#[cfg(feature = "aws")]
pub(crate) fn terminal_width() -> Option<usize> {
    let size = rustix::termios::tcgetwinsize(std::io::stdout()).ok()?;
    // Some terminals report 0.
    (size.ws_col > 0).then(|| size.ws_col.into())
}

#[cfg(feature = "aws")]
fn cut(line: &str, width: usize) -> Cow<'_, str> {
    if line.chars().count() <= width {
        return line.into();
    }
    let start: String = line.chars().take(width.saturating_sub(1)).collect();
    format!("{}…", start.trim_end()).into()
}

/// Prints a table to standard error.
#[cfg(feature = "aws")]
pub(crate) fn print_to_stderr(table: Table, right: &[usize]) {
    for line in lines(table, right) {
        anstream::eprintln!("{line}");
    }
}

/// The lines of a table, with control characters escaped.
fn lines(mut table: Table, right: &[usize]) -> Vec<String> {
    for (at, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, 2));
        if right.contains(&at) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    // Other people may have written the text of the cells.
    table
        .lines()
        .map(|line| printable(line.trim_end()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_in_a_cell_only_shows() {
        let mut table = new(&["name", ""]);
        table.add_row(["a\u{1b}[2Jb", "█ é →"]);
        let lines = lines(table, &[]);
        let text = lines.join("\n");
        assert!(!text.contains('\u{1b}'), "{text:?}");
        assert!(text.contains("█ é →"), "{text:?}");
    }

    #[cfg(feature = "aws")]
    #[test]
    fn lines_end_where_the_terminal_does() {
        assert_eq!(cut("name  a remark", 14), "name  a remark");
        assert_eq!(cut("name  a remark", 13), "name  a rema…");
        assert_eq!(cut("name  ä remark", 8), "name  ä…");
        assert_eq!(cut("name  a remark", 6), "name…");
        assert_eq!(cut("name", 0), "…");
    }
}
