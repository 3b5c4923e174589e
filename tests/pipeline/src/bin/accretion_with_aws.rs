//! The `accretion` command, as Cargo builds it for the tests of this package.

use std::process::ExitCode;

fn main() -> ExitCode {
    accretion::main()
}
