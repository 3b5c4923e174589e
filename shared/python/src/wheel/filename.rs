//! Wheel file names (PEP 427, binary distribution format: "File name convention").

use std::fmt;
use std::str::FromStr;

use accretion_core::excerpt::shown_within;
use accretion_tree::Layout;
use pep440_rs::Version;
use pep508_rs::PackageName;

use crate::requirement::distribution_name;

/// The bytes that a name may have: no file system takes more, and the tags multiply.
const MAX_BYTES: usize = 255;

/// The build number of a wheel, which breaks ties between wheels of equal tags: leading digits,
/// then the rest as text.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BuildTag(Option<(u64, String)>);

impl BuildTag {
    /// The leading number and the rest; `None` if there is no build number.
    pub fn parts(&self) -> Option<(u64, &str)> {
        let (number, rest) = self.0.as_ref()?;
        Some((*number, rest))
    }
}

/// A compatibility tag (PEP 425): one combination of a wheel's compressed tag set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tag<'a> {
    /// The Python tag, such as `cp313` or `py3`.
    pub python: &'a str,
    /// The ABI tag, such as `cp313`, `abi3` or `none`.
    pub abi: &'a str,
    /// The platform tag, such as `manylinux_2_17_x86_64` or `any`.
    pub platform: &'a str,
}

/// A wheel's file name, taken apart.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WheelFilename {
    text: String,
    name: PackageName,
    version: Version,
    build: BuildTag,
    python: String,
    abi: String,
    platform: String,
}

/// A text that is no wheel file name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{}` is not a wheel file name: {reason}", shown_within(filename, 255))]
pub struct ParseWheelFilenameError {
    filename: String,
    reason: String,
}

impl WheelFilename {
    /// Returns whether a layout is that of a wheel of this name and version.
    pub fn is_of(&self, layout: &Layout) -> bool {
        let version: Result<Version, _> = layout.version.parse();
        layout.name == self.name().as_ref() && version.is_ok_and(|it| it == *self.version())
    }

    /// The distribution's normalised name.
    pub fn name(&self) -> &PackageName {
        &self.name
    }

    /// The distribution's version.
    pub fn version(&self) -> &Version {
        &self.version
    }

    /// The build number.
    pub fn build(&self) -> &BuildTag {
        &self.build
    }

    /// The whole name, as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Every tag of the compressed tag set.
    pub fn tags(&self) -> impl Iterator<Item = Tag<'_>> {
        self.python.split('.').flat_map(move |python| {
            self.abi.split('.').flat_map(move |abi| {
                self.platform.split('.').map(move |platform| Tag {
                    python,
                    abi,
                    platform,
                })
            })
        })
    }
}

impl fmt::Display for WheelFilename {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for WheelFilename {
    type Err = ParseWheelFilenameError;

    fn from_str(filename: &str) -> Result<Self, Self::Err> {
        let error = |reason: String| ParseWheelFilenameError {
            filename: filename.into(),
            reason,
        };
        if filename.len() > MAX_BYTES {
            return Err(error(format!("it has over {MAX_BYTES} bytes")));
        }
        // What `packaging` lets through besides, spaces and slashes among it, is in no real name,
        // and names become files and lines of messages.
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_.+!".contains(c);
        if let Some(other) = filename.chars().find(|c| !is_plain(*c)) {
            return Err(error(format!("it has the character {other:?}")));
        }
        let stem = filename
            .strip_suffix(".whl")
            .ok_or_else(|| error("it does not end in `.whl`".into()))?;
        let parts: Vec<&str> = stem.split('-').collect();
        let (name, version, build, tags) = match parts[..] {
            [name, version, python, abi, platform] => {
                (name, version, None, [python, abi, platform])
            }
            [name, version, build, python, abi, platform] => {
                (name, version, Some(build), [python, abi, platform])
            }
            _ => {
                return Err(error(format!(
                    "it has {} parts between hyphens instead of 5 or 6",
                    parts.len()
                )));
            }
        };
        if name.contains("__") || name.contains(['+', '!']) {
            let reason = format!("`{name}` is not an escaped distribution name");
            return Err(error(reason));
        }
        let distribution = distribution_name(name)
            .ok_or_else(|| error(format!("`{name}` is not a distribution name")))?;
        let release = version
            .parse()
            .map_err(|_| error(format!("`{version}` is not a version")))?;
        let build = match build {
            None => BuildTag(None),
            Some(build) => {
                let digits = build.bytes().take_while(u8::is_ascii_digit).count();
                let number = build[..digits].parse().map_err(|_| {
                    error(format!(
                        "the build tag `{build}` does not start with a number"
                    ))
                })?;
                if build.contains(['+', '!']) {
                    return Err(error(format!("`{build}` is not a build tag")));
                }
                BuildTag(Some((number, build[digits..].to_owned())))
            }
        };
        let [python, abi, platform] = tags.map(str::to_ascii_lowercase);
        for tags in [&python, &abi, &platform] {
            if tags.contains(['+', '!']) || tags.split('.').any(str::is_empty) {
                return Err(error(format!("`{tags}` is not a tag")));
            }
        }
        Ok(Self {
            text: filename.to_owned(),
            name: distribution,
            version: release,
            build,
            python,
            abi,
            platform,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_names_apart() {
        let wheel: WheelFilename =
            "Zope.Interface-7.2-2b-cp313-cp313-manylinux_2_17_x86_64.manylinux2014_x86_64.whl"
                .parse()
                .unwrap();
        assert_eq!(wheel.name().as_ref(), "zope-interface");
        assert_eq!(wheel.version().to_string(), "7.2");
        assert_eq!(wheel.build(), &BuildTag(Some((2, "b".into()))));
        let platforms: Vec<_> = wheel.tags().map(|tag| tag.platform).collect();
        assert_eq!(platforms, ["manylinux_2_17_x86_64", "manylinux2014_x86_64"]);
    }

    #[test]
    fn build_numbers_order_as_numbers() {
        let build = |tag: &str| {
            format!("a-1-{tag}-py3-none-any.whl")
                .parse::<WheelFilename>()
                .unwrap()
                .build
        };
        assert!(build("10") > build("9b"));
        assert!(build("2b") > build("2a"));
        assert!(build("0") > BuildTag::default());
    }

    #[test]
    fn refuses_what_is_no_wheel_name() {
        for name in [
            "",
            "a.whl",
            "a-1.0.tar.gz",
            "a-1.0-py3-none.whl",
            "a-1.0-1-2-py3-none-any.whl",
            "a-1.0-x-py3-none-any.whl",
            "a-one-py3-none-any.whl",
            "a__b-1.0-py3-none-any.whl",
            "../a-1.0-py3-none-any.whl",
            "a-1.0-py3-none-.whl",
            "a-1.0-py3-none-any/x.whl",
            "a-1.0-1../../x-py3-none-any.whl",
            "a-1.0-1\n-py3-none-any.whl",
            "a- 1.0-py3-none-any.whl",
            "a-1.0-1+1-py3-none-any.whl",
            "a-1.0-py3+-none-any.whl",
            "a!-1.0-py3-none-any.whl",
        ] {
            assert!(name.parse::<WheelFilename>().is_err(), "{name}");
        }
    }

    #[test]
    fn names_that_no_file_can_have() {
        let name = |length: usize| format!("{}-1-py3-none-any.whl", "a".repeat(length - 19));
        assert_eq!(
            name(255).parse().map(|it: WheelFilename| it.text.len()),
            Ok(255)
        );
        let error = name(256).parse::<WheelFilename>().unwrap_err();
        assert!(error.to_string().ends_with("over 255 bytes"), "{error}");
        // A million tags or so, each of which would be ranked for each target.
        let tags = |of: &str| format!("{of}.").repeat(100) + of;
        let name = format!("a-1-{}-{}-{}.whl", tags("py3"), tags("none"), tags("any"));
        assert!(name.parse::<WheelFilename>().is_err());
    }
}
