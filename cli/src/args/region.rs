//! Regions, and access to AWS.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A region of AWS, such as `eu-west-1`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Region(String);

impl Region {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Region {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        // Words and a number, as in `us-gov-west-1`. AWS adds regions every few months.
        let mut words = text.split('-').rev();
        let number = words.next().unwrap_or_default();
        let is_word = |word: &str| word.len() >= 2 && word.bytes().all(|c| c.is_ascii_lowercase());
        let is_number = !number.is_empty() && number.bytes().all(|c| c.is_ascii_digit());
        if is_number && words.clone().count() >= 2 && words.all(is_word) {
            Ok(Self(text.to_owned()))
        } else {
            Err("a region of AWS has a name such as `eu-west-1`".to_owned())
        }
    }
}

impl TryFrom<String> for Region {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
            .map_err(|problem| format!("`{text}` is no region: {problem}"))
    }
}

/// A region of a deployment file, or any other.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct OneRegion {
    /// The deployment file, as `accretion init` writes it
    #[arg(required = true)]
    pub(crate) deployment_file: Option<PathBuf>,
    /// A region of the deployment file
    pub(crate) region: Region,
}

/// Access to AWS.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "AWS options")]
pub(crate) struct AwsOptions {
    /// A profile of the AWS configuration files, instead of `AWS_PROFILE` or the default profile
    #[arg(long, value_name = "NAME")]
    pub(crate) profile: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regions_have_names_of_words_and_a_number() {
        for name in [
            "eu-west-1",
            "us-gov-west-1",
            "ap-southeast-10",
            "mx-central-1",
        ] {
            assert_eq!(name.parse::<Region>().unwrap().as_str(), name);
        }
        for name in [
            "",
            "eu",
            "eu-west",
            "west-1",
            "eu-west-1a",
            "EU-WEST-1",
            "eu--1",
            "a-b-1",
        ] {
            assert!(name.parse::<Region>().is_err(), "{name}");
        }
    }
}
