//! The `accretion` command.

#[cfg_attr(
    not(test),
    expect(dead_code, reason = "no command renders a report yet")
)]
mod report;

fn main() {}
