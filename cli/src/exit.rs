//! Exit codes.

use std::process::ExitCode;

use accretion_core::Class;

/// The exit code for [`Class::Internal`].
const MACHINE_AT_FAULT: u8 = 1;
/// The exit code for a wrong command line; clap's own.
pub(crate) const USAGE: u8 = 2;
/// The exit code for [`Class::User`].
pub(crate) const INPUT_AT_FAULT: u8 = 3;
/// The exit code for [`Class::Transient`].
const UPSTREAM_AT_FAULT: u8 = 4;
/// The exit code for work that AWS began and did not finish.
#[cfg(feature = "aws")]
pub(crate) const FAILED_IN_AWS: u8 = 5;

/// The exit code for a class of errors.
pub(crate) fn code_of(class: Class) -> u8 {
    match class {
        Class::User => INPUT_AT_FAULT,
        Class::Transient => UPSTREAM_AT_FAULT,
        Class::Internal => MACHINE_AT_FAULT,
    }
}

/// The exit code of a command with these failures: the lowest, since a fault of this machine casts
/// doubt on all others. Success if there are none.
pub(crate) fn code_of_all(failures: impl IntoIterator<Item = u8>) -> ExitCode {
    let lowest = failures.into_iter().min();
    lowest.map_or(ExitCode::SUCCESS, ExitCode::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_of_the_machine_counts_before_all_others() {
        let codes = [Class::Transient, Class::User, Class::Internal].map(code_of);
        for (failures, code) in [(&codes[..], 1), (&codes[..2], 3), (&codes[..1], 4)] {
            let expected = ExitCode::from(code);
            let actual = code_of_all(failures.iter().copied());
            assert_eq!(format!("{actual:?}"), format!("{expected:?}"));
        }
        let success = format!("{:?}", ExitCode::SUCCESS);
        assert_eq!(format!("{:?}", code_of_all([])), success);
    }
}
