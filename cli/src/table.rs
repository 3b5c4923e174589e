//! Tables for people.

use accretion_core::diagnostic::printable;
use comfy_table::{CellAlignment, Table, presets};

/// A table without lines, whose columns are as wide as what they hold.
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

/// The same on standard error.
#[cfg(feature = "aws")]
pub(crate) fn print_to_stderr(table: Table, right: &[usize]) {
    for line in lines(table, right) {
        anstream::eprintln!("{line}");
    }
}

/// The lines, in which nothing does more than show.
fn lines(mut table: Table, right: &[usize]) -> Vec<String> {
    for (at, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, 2));
        if right.contains(&at) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    // What is in the cells may come from anybody.
    let lines = table.lines();
    lines.map(|line| printable(line.trim_end())).collect()
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
}
