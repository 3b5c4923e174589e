//! Arguments of commands about layers in one region: of a deployment file, or any region of AWS.

use std::collections::VecDeque;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use accretion_core::layer::LambdaLayerName;
use clap::builder::ValueParser;
use clap::error::ErrorKind;
use clap::{Arg, ArgMatches, Args, Command, FromArgMatches};

use super::{OneRegion, Region};

const DEPLOYMENT_FILE: Word = Word {
    id: "deployment_file",
    value_name: "DEPLOYMENT_FILE",
    help: "The deployment file, as `accretion init` writes it; omit it with --region",
};
const REGION_OF_FILE: Word = Word {
    id: "region_of_file",
    value_name: "REGION",
    help: "A region of the deployment file; omit it with --region",
};
const REGION: &str = "region";

/// A positional argument.
pub(crate) struct Word {
    id: &'static str,
    value_name: &'static str,
    help: &'static str,
}

/// The positional arguments that follow the region.
pub(crate) trait Words: Sized {
    const WORDS: &'static [Word];

    /// Takes words from the front.
    fn read(words: &mut VecDeque<String>) -> Result<Self, Misread>;
}

/// An invalid list of positional arguments.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Misread {
    #[error("{0} is missing")]
    Missing(&'static str),
    #[error("{0}")]
    Wrong(String),
}

impl Misread {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Missing(_) => ErrorKind::MissingRequiredArgument,
            Self::Wrong(_) => ErrorKind::InvalidValue,
        }
    }
}

/// A region, `DEPLOYMENT_FILE REGION` or `--region REGION`, and the arguments that follow it.
#[derive(Debug, Clone)]
pub(crate) struct Placed<T> {
    pub(crate) at: OneRegion,
    pub(crate) of: T,
}

/// Takes the next word.
fn next(words: &mut VecDeque<String>, name: &'static str) -> Result<String, Misread> {
    words.pop_front().ok_or(Misread::Missing(name))
}

fn parsed<T: FromStr<Err: fmt::Display>>(word: &str, name: &str) -> Result<T, Misread> {
    let wrong = |error| Misread::Wrong(format!("invalid value '{word}' for {name}: {error}"));
    word.parse().map_err(wrong)
}

impl<T: Words> Placed<T> {
    fn read(mut words: VecDeque<String>, region: Option<Region>) -> Result<Self, Misread> {
        let at = if let Some(region) = region {
            OneRegion {
                deployment_file: None,
                region,
            }
        } else {
            let file = next(&mut words, "DEPLOYMENT_FILE, or --region,")?;
            let region = next(&mut words, "REGION")?;
            OneRegion {
                deployment_file: Some(PathBuf::from(file)),
                region: parsed(&region, "REGION")?,
            }
        };
        let of = T::read(&mut words)?;
        match words.pop_front() {
            Some(word) => Err(Misread::Wrong(format!("unexpected argument '{word}'"))),
            None => Ok(Self { at, of }),
        }
    }
}

impl<T: Words> FromArgMatches for Placed<T> {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let of_region = [DEPLOYMENT_FILE, REGION_OF_FILE];
        let words = of_region.iter().chain(T::WORDS);
        let given = words.filter_map(|word| matches.get_one::<String>(word.id).cloned());
        let region = matches.get_one::<Region>(REGION).cloned();
        Self::read(given.collect(), region)
            .map_err(|misread| clap::Error::raw(misread.kind(), misread))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl<T: Words> Args for Placed<T> {
    fn augment_args(command: Command) -> Command {
        let words = [DEPLOYMENT_FILE, REGION_OF_FILE];
        let command = words.iter().chain(T::WORDS).fold(command, |command, word| {
            let arg = Arg::new(word.id).value_name(word.value_name);
            command.arg(arg.help(word.help))
        });
        command.arg(
            Arg::new(REGION)
                .long("region")
                .value_name("REGION")
                .value_parser(ValueParser::new(Region::from_str))
                .help("Any region, instead of one of a deployment file; it needs no pipeline"),
        )
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

/// No further argument.
#[derive(Debug, Clone)]
pub(crate) struct Nothing;

impl Words for Nothing {
    const WORDS: &'static [Word] = &[];

    fn read(_: &mut VecDeque<String>) -> Result<Self, Misread> {
        Ok(Self)
    }
}

const LAYER: Word = Word {
    id: "layer",
    value_name: "LAYER",
    help: "The name of the layer, such as data-tools-py313",
};

/// The name of a layer.
#[derive(Debug, Clone)]
pub(crate) struct OneLayer {
    pub(crate) layer: String,
}

impl Words for OneLayer {
    const WORDS: &'static [Word] = &[LAYER];

    fn read(words: &mut VecDeque<String>) -> Result<Self, Misread> {
        let layer = next(words, "LAYER")?;
        Ok(Self { layer })
    }
}

/// `LAYER`, `LAYER:VERSION` or `LAYER VERSION`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LayerSpec {
    pub(crate) layer: LambdaLayerName,
    /// `None` for the latest one.
    pub(crate) version: Option<u64>,
}

impl FromStr for LayerSpec {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (layer, version) = match text.split_once(':') {
            Some((layer, version)) => (layer, Some(version)),
            None => (text, None),
        };
        let name = layer.parse::<LambdaLayerName>();
        Ok(Self {
            layer: name.map_err(|problem| problem.to_string())?,
            version: version.map(number).transpose()?,
        })
    }
}

/// Reads the number of a version.
fn number(text: &str) -> Result<u64, String> {
    let digits = text.bytes().all(|c| c.is_ascii_digit());
    let number = text.parse().ok().filter(|it| digits && *it > 0);
    number.ok_or_else(|| "a version is a number from 1 on, as in `tools:3`".to_owned())
}

const LAYER_AND_VERSION: Word = Word {
    value_name: "LAYER[:VERSION]",
    help: "The name of the layer, with or without a version number: data-tools-py313, tools:3",
    ..LAYER
};
const VERSION: Word = Word {
    id: "version",
    value_name: "VERSION",
    help: "The version number, if it does not follow the layer's name",
};

impl Words for LayerSpec {
    const WORDS: &'static [Word] = &[LAYER_AND_VERSION, VERSION];

    fn read(words: &mut VecDeque<String>) -> Result<Self, Misread> {
        let mut spec: Self = parsed(&next(words, "LAYER")?, "LAYER")?;
        if spec.version.is_none()
            && let Some(version) = words.pop_front()
        {
            let wrong = |error| format!("invalid value '{version}' for VERSION: {error}");
            let read = number(&version).map_err(|error| Misread::Wrong(wrong(error)));
            spec.version = Some(read?);
        }
        Ok(spec)
    }
}

/// `LAYER:VERSION` or `LAYER VERSION`.
#[derive(Debug, Clone)]
pub(crate) struct OneVersion {
    pub(crate) layer: LambdaLayerName,
    pub(crate) version: u64,
}

impl Words for OneVersion {
    const WORDS: &'static [Word] = &[LAYER_AND_VERSION, VERSION];

    fn read(words: &mut VecDeque<String>) -> Result<Self, Misread> {
        let LayerSpec { layer, version } = LayerSpec::read(words)?;
        Ok(Self {
            layer,
            version: version.ok_or(Misread::Missing("VERSION"))?,
        })
    }
}

/// The two sides of a comparison.
#[derive(Debug, Clone)]
pub(crate) struct Sides {
    pub(crate) layer: String,
    pub(crate) before: Side,
    pub(crate) now: Side,
}

/// One side of the comparison.
#[derive(Debug, Clone)]
pub(crate) enum Side {
    Version { layer: String, version: u64 },
    Manifest(PathBuf),
}

impl Side {
    /// Reads a number of a version of a layer, a layer with a version, or a path.
    fn read(text: &str, layer: &str) -> Self {
        let spec = || text.parse::<LayerSpec>().ok();
        if let Ok(version) = text.parse() {
            Self::Version {
                layer: layer.to_owned(),
                version,
            }
        } else if let Some((name, Some(version))) = spec().map(|it| (it.layer, it.version)) {
            Self::Version {
                layer: name.to_string(),
                version,
            }
        } else {
            Self::Manifest(text.into())
        }
    }

    /// The version as text beside the name of a layer.
    pub(crate) fn beside(&self, of: &str) -> String {
        match self {
            Self::Version { layer, version } if layer == of => version.to_string(),
            Self::Version { layer, version } => format!("{layer}:{version}"),
            Self::Manifest(path) => path.display().to_string(),
        }
    }
}

impl Words for Sides {
    const WORDS: &'static [Word] = &[
        Word {
            id: "layer",
            value_name: "LAYER",
            help: "The name of the layer, such as data-tools-py313; omit it if a version names it",
        },
        Word {
            id: "version_a",
            value_name: "VERSION_A",
            help: "The version before: a number, LAYER:VERSION, or the path of a manifest",
        },
        Word {
            id: "version_b",
            value_name: "VERSION_B",
            help: "The version after: a number, LAYER:VERSION, or the path of a manifest",
        },
    ];

    fn read(words: &mut VecDeque<String>) -> Result<Self, Misread> {
        let first = next(words, "LAYER")?;
        let second = next(words, "VERSION_A")?;
        // Two words name two versions with their layers, or one and a manifest.
        let (layer, before, now) = if let Some(third) = words.pop_front() {
            (first, second, third)
        } else {
            let named = first.split_once(':').or(second.split_once(':'));
            let (layer, _) = named.ok_or(Misread::Missing("VERSION_B"))?;
            (layer.to_owned(), first, second)
        };
        Ok(Self {
            before: Side::read(&before, &layer),
            now: Side::read(&now, &layer),
            layer,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_layer_may_have_a_version() {
        let read = |text: &str| text.parse::<LayerSpec>();
        assert_eq!(read("tools").unwrap().version, None);
        assert_eq!(read("tools:12").unwrap().version, Some(12));
        for text in [
            "",
            ":1",
            "tools:",
            "tools:0",
            "tools:+1",
            "tools:1:2",
            "to ols",
            "tools:latest",
        ] {
            assert!(read(text).is_err(), "{text}");
        }
    }

    #[test]
    fn words_are_read_with_a_file_or_with_a_region() {
        let region: Region = "eu-west-1".parse().unwrap();
        let read = |words: &str, region: Option<&Region>| {
            let words = words.split_whitespace().map(ToOwned::to_owned).collect();
            let placed = Placed::<OneVersion>::read(words, region.cloned())?;
            let OneVersion { layer, version } = placed.of;
            let at = placed.at.region;
            Ok::<_, Misread>(format!("{at} {layer} {version}"))
        };
        let here = Some(&region);
        for (words, region) in [
            ("d.json eu-west-1 tools 3", None),
            ("d.json eu-west-1 tools:3", None),
            ("tools 3", here),
            ("tools:3", here),
        ] {
            assert_eq!(read(words, region).unwrap(), "eu-west-1 tools 3", "{words}");
        }
        for (words, region, problem) in [
            ("", None, "DEPLOYMENT_FILE, or --region, is missing"),
            ("d.json", None, "REGION is missing"),
            ("d.json eu-west-1", None, "LAYER is missing"),
            ("d.json eu-west-1 tools", None, "VERSION is missing"),
            ("tools:3 4", here, "unexpected argument '4'"),
            (
                "d.json eu-west-1 tools 3",
                here,
                "invalid value 'd.json' for LAYER: ",
            ),
            ("tools x", here, "invalid value 'x' for VERSION: "),
        ] {
            let error = read(words, region).unwrap_err().to_string();
            assert!(error.starts_with(problem), "{words}: {error}");
        }
    }
}
