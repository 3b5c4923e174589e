//! The region that a command about layers is for: one of a deployment file, or any.

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
    help: "The file, as `accretion init` writes it; left out with --region",
};
const REGION_OF_FILE: Word = Word {
    id: "region_of_file",
    value_name: "REGION",
    help: "A region that it names; left out with --region",
};
const REGION: &str = "region";

/// A word of a command line.
pub(crate) struct Word {
    pub(crate) id: &'static str,
    pub(crate) value_name: &'static str,
    pub(crate) help: &'static str,
}

/// The words that a command takes behind the region.
pub(crate) trait Words: Sized {
    const WORDS: &'static [Word];

    /// Takes words from the front.
    fn read(words: &mut VecDeque<String>) -> Result<Self, Misread>;
}

/// A reason why words of a command line can't be read.
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

/// A region, `DEPLOYMENT_FILE REGION` or `--region REGION`, and what comes behind it.
#[derive(Debug, Clone)]
pub(crate) struct Placed<T> {
    pub(crate) at: OneRegion,
    pub(crate) of: T,
}

/// Takes the next word.
pub(crate) fn next(words: &mut VecDeque<String>, name: &'static str) -> Result<String, Misread> {
    words.pop_front().ok_or(Misread::Missing(name))
}

fn parsed<T: FromStr<Err: fmt::Display>>(word: &str, name: &str) -> Result<T, Misread> {
    let wrong = |error| Misread::Wrong(format!("invalid value '{word}' for {name}: {error}"));
    word.parse().map_err(wrong)
}

impl<T: Words> Placed<T> {
    fn read(mut words: VecDeque<String>, region: Option<Region>) -> Result<Self, Misread> {
        let at = if let Some(region) = region {
            OneRegion::alone(region)
        } else {
            let file = next(&mut words, "DEPLOYMENT_FILE, or --region,")?;
            let region = next(&mut words, "REGION")?;
            OneRegion::of_file(PathBuf::from(file), parsed(&region, "REGION")?)
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
        let ids = [DEPLOYMENT_FILE.id, REGION_OF_FILE.id].into_iter();
        let ids = ids.chain(T::WORDS.iter().map(|word| word.id));
        let words = ids.filter_map(|id| matches.get_one::<String>(id).cloned());
        let region = matches.get_one::<Region>(REGION).cloned();
        Self::read(words.collect(), region)
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
                .help("The region, in the place of a deployment file: no pipeline is needed there"),
        )
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

/// Nothing but a region.
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
    help: "The layer's name, such as data-tools-py313",
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
        Ok(Self {
            layer: layer.parse().map_err(
                |problem: accretion_core::layer::ParseLambdaLayerNameError| problem.to_string(),
            )?,
            version: version.map(number).transpose()?,
        })
    }
}

/// The number of a version.
fn number(text: &str) -> Result<u64, String> {
    let digits = text.bytes().all(|c| c.is_ascii_digit());
    let number = text.parse().ok().filter(|it| digits && *it > 0);
    number.ok_or_else(|| "a version is a number from 1 on, as in `tools:3`".to_owned())
}

const LAYER_AND_VERSION: Word = Word {
    value_name: "LAYER[:VERSION]",
    help: "The layer's name, or with the number of a version: data-tools-py313, tools:3",
    ..LAYER
};
const VERSION: Word = Word {
    id: "version",
    value_name: "VERSION",
    help: "The number of the version, where it is not behind the layer's name",
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
        let version = version.ok_or(Misread::Missing("VERSION"))?;
        Ok(Self { layer, version })
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
