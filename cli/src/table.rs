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
pub(crate) fn print(mut table: Table, right: &[usize]) {
    for (at, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, 2));
        if right.contains(&at) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    for line in table.lines() {
        anstream::println!("{}", line.trim_end());
    }
}
