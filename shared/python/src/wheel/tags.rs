//! The wheel that fits a target best, by its tags (PEP 425, PEP 600).
//!
//! The order is that of `packaging.tags`: tags of the interpreter's own ABI before the stable ABI
//! before pure Python, newer Python versions before older ones, and within each the platform from
//! the newest C library that the runtime satisfies to the oldest. Only `linux_*` is last, as uv has
//! it, where `packaging` has it first: it asks for the machine such a wheel was built on.

use std::cmp::Reverse;

use accretion_core::target::{Architecture, Target};

use crate::wheel::{Tag, WheelFilename};

/// The rank of a tag for a target: the lower, the better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rank(u32);

/// The oldest glibc 2 minor version that manylinux tags exist for.
const fn oldest_glibc(architecture: Architecture) -> u8 {
    match architecture {
        // manylinux1
        Architecture::X86_64 => 5,
        // manylinux2014
        Architecture::Arm64 => 17,
    }
}

/// The names that manylinux tags had before PEP 600, with their glibc 2 minor version.
const LEGACY_MANYLINUX: [(&str, u8); 3] = [
    ("manylinux1_", 5),
    ("manylinux2010_", 12),
    ("manylinux2014_", 17),
];

/// One more than the highest platform rank.
const PLATFORMS: u32 = 256;

impl Rank {
    /// The rank of a tag for a target; `None` if a wheel of that tag can't be used.
    pub fn of_tag(target: Target, tag: Tag<'_>) -> Option<Self> {
        if tag.platform == "any" {
            return group_for_any(target, tag).map(|group| Self(group * PLATFORMS));
        }
        let platform = rank_platform(target, tag.platform)?;
        let group = group_for_platform(target, tag)?;
        Some(Self(group * PLATFORMS + platform))
    }

    /// The best rank among a wheel's tags; `None` if the wheel does not fit.
    pub fn of_wheel(target: Target, wheel: &WheelFilename) -> Option<Self> {
        wheel
            .tags()
            .filter_map(|tag| Self::of_tag(target, tag))
            .min()
    }
}

/// The best wheel of a package for a target: that of the best tag, and among equals the one with the
/// highest build number. The name decides last, so that one always wins. `None` if no wheel fits.
pub fn best<'w, T: Copy>(
    target: Target,
    wheels: impl IntoIterator<Item = T>,
    filename: impl Fn(T) -> &'w WheelFilename,
) -> Option<T> {
    let fitting = wheels
        .into_iter()
        .filter_map(|wheel| Some((Rank::of_wheel(target, filename(wheel))?, wheel)));
    let best = fitting.min_by_key(|(rank, wheel)| {
        let filename = filename(*wheel);
        (*rank, Reverse(filename.build()), filename.as_str())
    });
    best.map(|(_, wheel)| wheel)
}

/// The Python and ABI part of the order, for wheels of a platform.
fn group_for_platform(target: Target, tag: Tag<'_>) -> Option<u32> {
    let minor = u32::from(target.runtime.python_minor());
    let cpython = tag.python.strip_prefix("cp3").and_then(parse_minor);
    match (cpython, tag.abi) {
        (Some(version), "abi3") if version == minor => Some(1),
        (Some(version), "none") if version == minor => Some(2),
        // The stable ABI exists since CPython 3.2.
        (Some(version), "abi3") if (2..minor).contains(&version) => Some(2 + minor - version),
        (Some(version), abi) if version == minor && abi == tag.python => Some(0),
        (None, "none") => Some(100 + rank_generic_python(target, tag.python)?),
        _ => None,
    }
}

/// The Python part of the order, for wheels of any platform.
fn group_for_any(target: Target, tag: Tag<'_>) -> Option<u32> {
    let minor = u32::from(target.runtime.python_minor());
    if tag.abi != "none" {
        return None;
    }
    if tag.python.strip_prefix("cp3").and_then(parse_minor) == Some(minor) {
        return Some(200);
    }
    Some(201 + rank_generic_python(target, tag.python)?)
}

/// `py313` before `py3` before `py312`, and so on down to `py30`.
fn rank_generic_python(target: Target, python: &str) -> Option<u32> {
    let minor = u32::from(target.runtime.python_minor());
    if python == "py3" {
        return Some(1);
    }
    match parse_minor(python.strip_prefix("py3")?)? {
        version if version == minor => Some(0),
        version if version < minor => Some(1 + minor - version),
        _ => None,
    }
}

fn rank_platform(target: Target, platform: &str) -> Option<u32> {
    let rest = platform.strip_suffix(target.architecture.machine())?;
    if rest == "linux_" {
        return Some(PLATFORMS - 1);
    }
    let legacy = LEGACY_MANYLINUX.iter().find(|(name, _)| *name == rest);
    let glibc = match legacy {
        Some((_, glibc)) => u32::from(*glibc),
        None => parse_minor(rest.strip_prefix("manylinux_2_")?.strip_suffix('_')?)?,
    };
    let newest = u32::from(target.runtime.glibc_minor());
    let oldest = u32::from(oldest_glibc(target.architecture));
    (oldest..=newest)
        .contains(&glibc)
        // A legacy name comes right after its PEP 600 name.
        .then(|| (newest - glibc) * 2 + u32::from(legacy.is_some()))
}

/// A version part as it stands in a tag: decimal digits without a leading zero.
fn parse_minor(digits: &str) -> Option<u32> {
    let plain = digits.bytes().all(|byte| byte.is_ascii_digit());
    let leading_zero = digits.len() > 1 && digits.starts_with('0');
    (plain && !leading_zero).then(|| digits.parse().ok())?
}
