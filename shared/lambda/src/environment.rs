//! Configuration out of environment variables.

use std::collections::HashMap;
use std::fmt::Display;
use std::str::FromStr;

use crate::Error;

/// A reader of environment variables, with the problems that it has found.
///
/// An empty variable counts as not set: templates can't leave one out.
#[derive(Debug, Default)]
pub struct Environment {
    variables: HashMap<String, String>,
    problems: Vec<String>,
}

impl Environment {
    /// The variables of this process.
    pub fn of_process() -> Self {
        // No variable of ours is anything but Unicode.
        std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect()
    }

    /// A required variable. If it is missing, [`finish`](Self::finish) fails.
    pub fn required(&mut self, name: &str) -> String {
        let value = self.variable(name).map(ToOwned::to_owned);
        value.unwrap_or_else(|| {
            self.problems.push(format!("`{name}` is not set"));
            String::new()
        })
    }

    /// An optional variable, or its default.
    pub fn optional<T: FromStr<Err: Display>>(&mut self, name: &str, default: T) -> T {
        self.given(name).unwrap_or(default)
    }

    /// The value of an optional variable.
    pub fn given<T: FromStr<Err: Display>>(&mut self, name: &str) -> Option<T> {
        let value = self.variable(name)?;
        let parsed = value
            .parse::<T>()
            .map_err(|error| format!("`{name}` is `{value}`: {error}"));
        parsed.map_err(|problem| self.problems.push(problem)).ok()
    }

    /// Returns the configuration, or all problems.
    pub fn finish<T>(self, configuration: T) -> Result<T, Error> {
        if self.problems.is_empty() {
            Ok(configuration)
        } else {
            Err(Error::ConfigurationInvalid {
                problems: self.problems,
            })
        }
    }

    fn variable(&self, name: &str) -> Option<&str> {
        let value = self.variables.get(name).map(String::as_str);
        value.filter(|value| !value.is_empty())
    }
}

impl FromIterator<(String, String)> for Environment {
    fn from_iter<I: IntoIterator<Item = (String, String)>>(variables: I) -> Self {
        Self {
            variables: variables.into_iter().collect(),
            problems: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use accretion_core::Fault as _;

    use super::*;

    fn environment(variables: &[(&str, &str)]) -> Environment {
        let owned = |&(name, value): &(&str, &str)| (name.to_owned(), value.to_owned());
        variables.iter().map(owned).collect()
    }

    #[test]
    fn reads_what_is_set() {
        let mut environment = environment(&[("BUCKET", "b"), ("DAYS", "7"), ("EMPTY", "")]);
        let read = (
            environment.required("BUCKET"),
            environment.optional("DAYS", 90_u32),
            environment.optional("EMPTY", 90_u32),
            environment.optional("PREFIX", "/p".to_owned()),
        );
        let expected = ("b".to_owned(), 7, 90, "/p".to_owned());
        assert_eq!(environment.finish(read).unwrap(), expected);
    }

    #[test]
    fn reports_all_problems_at_once() {
        let mut environment = environment(&[("DAYS", "a week"), ("TABLE", "")]);
        let read = (
            environment.required("BUCKET"),
            environment.required("TABLE"),
            environment.optional("DAYS", 90_u32),
        );
        let error = environment.finish(read).unwrap_err();
        assert_eq!(error.code(), "ConfigurationInvalid");
        assert_eq!(
            error.to_string(),
            "the environment variables cannot be used: `BUCKET` is not set, `TABLE` is not set, \
             `DAYS` is `a week`: invalid digit found in string"
        );
    }
}
