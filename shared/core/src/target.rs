//! The target of a layer: a Lambda runtime on a CPU architecture.
//!
//! [`Runtime`]'s table holds everything that differs between runtimes. A new runtime is one row; the
//! text elsewhere that lists runtimes is generated from it (tests/tests/runtimes.rs).
//! Source: the AWS Lambda Developer Guide, "Lambda runtimes", as of [`TABLE_DATE`].

use std::fmt;
use std::str::FromStr;

use jiff::civil::{Date, date};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use strum::{Display, EnumString, IntoStaticStr};

use crate::language::Language;
use crate::text::ParseTextError;

mod layer;

pub use self::layer::{Compatibility, LayerTarget};

/// Declares [`Runtime`] and its table: one row for each runtime, oldest first.
macro_rules! runtimes {
    ($($(#[doc = $about:literal])+ $variant:ident, $identifier:literal => $facts:expr;)+) => {
        /// A Python runtime of AWS Lambda, by its identifier.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[derive(Serialize, Deserialize, JsonSchema, Display, EnumString, IntoStaticStr)]
        #[strum(parse_err_ty = ParseTextError, parse_err_fn = no_runtime)]
        pub enum Runtime {
            $(
                $(#[doc = $about])+
                #[serde(rename = $identifier)]
                #[strum(serialize = $identifier)]
                $variant,
            )+
        }

        /// The runtimes, and their facts.
        const RUNTIMES: &[(Runtime, RuntimeFacts)] = &[$((Runtime::$variant, $facts)),+];
    };
}

runtimes! {
    /// CPython 3.10 on Amazon Linux 2.
    Python310, "python3.10" => RuntimeFacts {
        minor: 10,
        system: AMAZON_LINUX_2,
        sdk: Sdk { boto3: "1.26.90", botocore: "1.29.90" },
        lifecycle: Some(ending(date(2026, 10, 31), date(2027, 2, 1), date(2027, 3, 3))),
    };
    /// CPython 3.11 on Amazon Linux 2.
    Python311, "python3.11" => RuntimeFacts {
        minor: 11,
        system: AMAZON_LINUX_2,
        sdk: NEWEST_DOCUMENTED_SDK,
        lifecycle: Some(ending(date(2027, 6, 30), date(2027, 7, 31), date(2027, 8, 31))),
    };
    /// CPython 3.12 on Amazon Linux 2023.
    Python312, "python3.12" => RuntimeFacts {
        minor: 12,
        system: AMAZON_LINUX_2023,
        sdk: NEWEST_DOCUMENTED_SDK,
        lifecycle: Some(ending(date(2028, 10, 31), date(2028, 11, 30), date(2029, 1, 10))),
    };
    /// CPython 3.13 on Amazon Linux 2023.
    Python313, "python3.13" => RuntimeFacts {
        minor: 13,
        system: AMAZON_LINUX_2023,
        sdk: NEWEST_DOCUMENTED_SDK,
        lifecycle: Some(ending(date(2029, 6, 30), date(2029, 7, 31), date(2029, 8, 31))),
    };
    /// CPython 3.14 on Amazon Linux 2023.
    Python314, "python3.14" => RuntimeFacts {
        minor: 14,
        system: AMAZON_LINUX_2023,
        sdk: NEWEST_DOCUMENTED_SDK,
        lifecycle: Some(ending(date(2029, 6, 30), date(2029, 7, 31), date(2029, 8, 31))),
    };
    /// CPython 3.15 on Amazon Linux 2023, as AWS has announced it.
    Python315, "python3.15" => RuntimeFacts {
        minor: 15,
        system: AMAZON_LINUX_2023,
        sdk: NEWEST_DOCUMENTED_SDK,
        lifecycle: None,
    };
}

/// The facts of a runtime: one row of the table.
struct RuntimeFacts {
    /// Minor version of CPython 3.
    minor: u8,
    system: System,
    sdk: Sdk,
    /// `None` for a preview.
    lifecycle: Option<Lifecycle>,
}

/// An operating system of runtimes.
struct System {
    /// Minor version of its GNU C library 2.
    glibc_minor: u8,
    /// The oldest manylinux platform uv knows that takes all wheels that the C library satisfies. It
    /// may take more: uv has none between 2.17 and 2.28.
    uv_manylinux: &'static str,
}

const AMAZON_LINUX_2: System = System {
    glibc_minor: 26,
    uv_manylinux: "manylinux_2_28",
};

const AMAZON_LINUX_2023: System = System {
    glibc_minor: 34,
    uv_manylinux: "manylinux_2_34",
};

/// The oldest AWS SDK for Python that a runtime has: versions of its packages.
///
/// AWS documents none any more ("depends on the runtime version and your AWS Region"), so these are
/// the versions that it documented last, and later runtimes count as the newest of those.
/// docs/formats.md shows how to see the versions that a runtime has.
///
/// Source: the table "Supported runtimes" of the AWS Lambda Developer Guide as it is cited in
/// aws/aws-lambda-base-images#118 (2023-10-17) for python3.10, in boto/botocore#3082 (2023-11-29) for
/// python3.11.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sdk {
    /// The version of boto3.
    pub boto3: &'static str,
    /// The version of botocore.
    pub botocore: &'static str,
}

const NEWEST_DOCUMENTED_SDK: Sdk = Sdk {
    boto3: "1.27.1",
    botocore: "1.30.1",
};

/// The end of a runtime, as AWS plans it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lifecycle {
    /// The day on which AWS deprecates the runtime: no more security updates.
    pub deprecated: Date,
    /// The day from which no function can be created with it.
    pub create_blocked: Date,
    /// The day from which no function with it can be updated.
    pub update_blocked: Date,
}

const fn ending(deprecated: Date, create_blocked: Date, update_blocked: Date) -> Lifecycle {
    Lifecycle {
        deprecated,
        create_blocked,
        update_blocked,
    }
}

/// The day on which the table of runtimes was compared with AWS's.
///
/// A runtime is deprecated if it was on that day. No clock decides: the same release always builds the
/// same layers for the same request.
pub const TABLE_DATE: Date = date(2026, 11, 30);

impl Runtime {
    fn facts(self) -> &'static RuntimeFacts {
        &RUNTIMES[self as usize].1
    }

    /// Every runtime that layers can be built for, oldest first.
    pub fn all() -> impl Iterator<Item = Self> {
        RUNTIMES.iter().map(|(runtime, ..)| *runtime)
    }

    /// The [supported](Self::is_supported) runtimes, oldest first: layers are built for these when a
    /// request names none.
    pub fn supported() -> impl Iterator<Item = Self> {
        Self::all().filter(|runtime| runtime.is_supported())
    }

    /// The identifier in AWS's API, such as `python3.13`.
    pub fn identifier(self) -> &'static str {
        self.into()
    }

    /// The language of its functions.
    pub fn language(self) -> Language {
        Language::Python
    }

    /// The minor version of CPython 3: 13 for `python3.13`.
    pub fn python_minor(self) -> u8 {
        self.facts().minor
    }

    /// The minor version of the runtime's GNU C library 2: 34 for glibc 2.34.
    pub fn glibc_minor(self) -> u8 {
        self.facts().system.glibc_minor
    }

    /// The oldest AWS SDK for Python that the runtime has.
    pub fn sdk(self) -> Sdk {
        self.facts().sdk
    }

    /// The days on which AWS ends the runtime, step by step; `None` for a preview, which AWS has not
    /// made generally available.
    pub fn lifecycle(self) -> Option<Lifecycle> {
        self.facts().lifecycle
    }

    /// Returns whether AWS has deprecated the runtime by [`TABLE_DATE`].
    pub fn is_deprecated(self) -> bool {
        let lifecycle = self.lifecycle();
        lifecycle.is_some_and(|lifecycle| lifecycle.deprecated <= TABLE_DATE)
    }

    /// Returns whether AWS supports the runtime: neither a preview nor deprecated.
    ///
    /// Layers for any other runtime are built only if a request names it, with a warning. It has no
    /// build sandboxes: AWS may refuse to create a function with it, and so the whole stack.
    pub fn is_supported(self) -> bool {
        self.lifecycle().is_some() && !self.is_deprecated()
    }
}

fn no_runtime(text: &str) -> ParseTextError {
    let identifiers: Vec<_> = Runtime::all().map(Runtime::identifier).collect();
    let known = identifiers.join(", ");
    let rule = format!("`{{}}` is not a runtime that Accretion builds for: {known} are");
    ParseTextError::new(&rule, text)
}

/// A CPU architecture of AWS Lambda, by its name in AWS's API.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
pub enum Architecture {
    /// 64-bit x86.
    #[serde(rename = "x86_64")]
    X86_64,
    /// 64-bit Arm (Graviton); `aarch64` in wheel tags.
    #[serde(rename = "arm64")]
    Arm64,
}

impl Architecture {
    /// Every architecture, in the order in which they are built.
    pub const ALL: [Self; 2] = [Self::X86_64, Self::Arm64];

    /// The name in AWS's API: `x86_64` or `arm64`.
    pub fn name(self) -> &'static str {
        match self {
            Self::X86_64 => "x86_64",
            Self::Arm64 => "arm64",
        }
    }

    /// The name in wheel platform tags and in the marker `platform_machine`: `x86_64` or
    /// `aarch64`.
    pub fn machine(self) -> &'static str {
        match self {
            Self::X86_64 => "x86_64",
            Self::Arm64 => "aarch64",
        }
    }
}

impl fmt::Display for Architecture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Architecture {
    type Err = ParseTextError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const RULE: &str = "`{}` is not an architecture of AWS Lambda: `x86_64` and `arm64` are";
        let mut all = Self::ALL.into_iter();
        all.find(|it| it.name() == text)
            .ok_or_else(|| ParseTextError::new(RULE, text))
    }
}

/// A runtime on an architecture: what one layer is built for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Target {
    /// The Lambda runtime.
    pub runtime: Runtime,
    /// The CPU architecture.
    pub architecture: Architecture,
}

impl Target {
    /// Every target that layers can be built for, by runtime and then architecture.
    pub fn all() -> impl Iterator<Item = Self> {
        Runtime::all().flat_map(|runtime| {
            Architecture::ALL.map(|architecture| Self {
                runtime,
                architecture,
            })
        })
    }

    /// The target of a [`slug`](Self::slug).
    pub fn from_slug(slug: &str) -> Option<Self> {
        Self::all().find(|target| target.slug() == slug)
    }

    /// The short form that layer names end in: `py313` for x86_64, `py313-arm64` for arm64.
    pub fn slug(self) -> String {
        let minor = self.runtime.python_minor();
        match self.architecture {
            Architecture::X86_64 => format!("py3{minor}"),
            Architecture::Arm64 => format!("py3{minor}-arm64"),
        }
    }

    /// The target's platform as uv's `--python-platform` takes it, such as
    /// `aarch64-manylinux_2_34`.
    ///
    /// On Amazon Linux 2 it is newer than the C library: uv has no `manylinux_2_26`. What uv resolves
    /// may have versions without a wheel that fits.
    pub fn uv_platform(self) -> String {
        format!(
            "{}-{}",
            self.architecture.machine(),
            self.runtime.facts().system.uv_manylinux
        )
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} on {}", self.runtime, self.architecture)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_in_order() {
        let minors: Vec<_> = Runtime::all().map(Runtime::python_minor).collect();
        assert!(minors.is_sorted(), "{minors:?}");
        for runtime in Runtime::all() {
            let identifier = runtime.identifier();
            assert_eq!(identifier.parse(), Ok(runtime));
            assert_eq!(identifier, format!("python3.{}", runtime.python_minor()));
            assert_eq!(serde_json::to_value(runtime).unwrap(), identifier);
        }
    }

    #[test]
    fn short_forms_tell_targets_apart() {
        for target in Target::all() {
            assert_eq!(Target::from_slug(&target.slug()), Some(target));
        }
        assert_eq!(Target::all().count(), 2 * Runtime::all().count());
        for slug in ["", "py3", "py313-", "py313-x86_64", "py299"] {
            assert_eq!(Target::from_slug(slug), None, "{slug}");
        }
    }
}
