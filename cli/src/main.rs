//! The `accretion` command.

fn main() {}
