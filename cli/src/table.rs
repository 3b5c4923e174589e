//! Tables for people.

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

fn lines(mut table: Table, right: &[usize]) -> Vec<String> {
    for (at, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, 2));
        if right.contains(&at) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
        .lines()
        .map(|line| line.trim_end().to_owned())
        .collect()
}
