//! The `accretion` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    accretion::main()
}
