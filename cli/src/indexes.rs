//! The package indexes of a build on this machine, with what the user's environment opens them with.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use accretion_local::{DefaultIndex, Indexes, NamedIndex, Netrc};
use accretion_python::index::{Credentials, CredentialsReference, Index, IndexName, index_url};
use url::Url;

use crate::environment::Environment;
use crate::error::print_warning;

/// An index of the command line.
#[derive(Debug, Clone)]
pub(crate) struct IndexArgument {
    name: IndexName,
    url: Url,
}

impl IndexArgument {
    /// Returns the URL of the index.
    pub(crate) fn url(&self) -> &Url {
        &self.url
    }
}

/// Reads `NAME=URL`.
pub(crate) fn argument(text: &str) -> Result<IndexArgument, String> {
    let form = || "an index is written as NAME=URL".to_owned();
    let (name, url) = text.split_once('=').ok_or_else(form)?;
    let name: IndexName = name.parse().map_err(|_| form())?;
    let url = index_url(url).map_err(|problem| format!("{}; {}", problem.message, problem.help))?;
    Ok(IndexArgument { name, url })
}

/// The indexes of the command line, then those of a request, then the default one.
pub(crate) fn of(
    default: Option<&Url>,
    named: &[IndexArgument],
    requested: &[Index],
    environment: &Environment,
) -> Indexes {
    let own = named.iter().map(|IndexArgument { name, url }| Index {
        name: name.clone(),
        url: url.clone(),
        packages: None,
        credentials: None,
    });
    let all: Vec<_> = own.chain(requested.iter().cloned()).collect();
    let keys = Keys::read(environment, default.is_some() || !all.is_empty());
    let named = all.into_iter().map(|index| {
        let credentials = keys.of(&index.url, Some(&index.name));
        if let Some(reference) = &index.credentials
            && credentials.is_none()
        {
            print_warning(index.name.as_str(), &missing(&index.name, reference));
        }
        NamedIndex { index, credentials }
    });
    let named = named.collect();
    let default = default.cloned().map(|url| {
        let mut default = DefaultIndex::of_url(url);
        if default.credentials.is_none() {
            default.credentials = keys.of(&default.url, None);
        }
        default
    });
    Indexes {
        default,
        named,
        netrc: keys.netrc,
    }
}

/// Where the user keeps what opens indexes.
struct Keys<'a> {
    environment: &'a Environment,
    netrc: Netrc,
}

impl<'a> Keys<'a> {
    /// Reads the netrc file. `wanted` is whether somebody would miss it.
    fn read(environment: &'a Environment, wanted: bool) -> Self {
        let path = environment.variable("NETRC").map(PathBuf::from);
        let of_home = || Some(PathBuf::from(environment.variable("HOME")?).join(".netrc"));
        let path = path.or_else(of_home);
        let netrc = path.and_then(|path| {
            let problem = match fs::read_to_string(&path) {
                Ok(text) => match text.parse() {
                    Ok(netrc) => return Some(netrc),
                    Err(error) => format!("it is not read: {error}"),
                },
                Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
                Err(error) => format!("it is not read: {error}"),
            };
            if wanted {
                print_warning(&path.display().to_string(), &problem);
            }
            None
        });
        Self {
            environment,
            netrc: netrc.unwrap_or_default(),
        }
    }

    /// What opens an index: uv's variables for it, netrc, or the keyring.
    fn of(&self, url: &Url, name: Option<&IndexName>) -> Option<Credentials> {
        let of_variable = |what| {
            let variable = self.environment.variable(&variable(name?, what))?;
            variable.into_string().ok()
        };
        let (username, password) = (of_variable("USERNAME"), of_variable("PASSWORD"));
        if let Some(password) = password {
            return Some(Credentials::new(username.unwrap_or_default(), password));
        }
        let of_netrc = || self.netrc.of_url(url).cloned();
        of_netrc().or_else(|| self.of_keyring(url, username.as_deref()))
    }

    /// Asks the program `keyring`, if the user has uv ask it. Source: uv's guide, "Using alternative
    /// package indexes".
    fn of_keyring(&self, url: &Url, username: Option<&str>) -> Option<Credentials> {
        let provider = self.environment.variable("UV_KEYRING_PROVIDER")?;
        if provider != "subprocess" {
            return None;
        }
        let path = self.environment.path.as_deref()?;
        let mut programs = env::split_paths(path).map(|folder| folder.join("keyring"));
        let mut command = Command::new(programs.find(|program| program.is_file())?);
        match username {
            Some(username) => command.args(["get", url.as_str(), username]),
            None => command.args(["--mode", "creds", "get", url.as_str()]),
        };
        let output = command.stdin(Stdio::null()).output().ok()?;
        let text = String::from_utf8(output.stdout).ok()?;
        let mut lines = text.lines().filter(|_| output.status.success());
        match username {
            Some(username) => Some(Credentials::new(username, lines.next()?)),
            None => Some(Credentials::new(lines.next()?, lines.next()?)),
        }
    }
}

/// What to say where a request keeps credentials in AWS.
fn missing(name: &IndexName, reference: &CredentialsReference) -> String {
    let (user, password) = (variable(name, "USERNAME"), variable(name, "PASSWORD"));
    format!(
        "{reference} is for the pipeline: the command takes credentials from {user} and \
         {password}, netrc, or the keyring, and none of them has any"
    )
}

/// A variable of uv for an index.
fn variable(name: &IndexName, what: &str) -> String {
    let upper = |c: char| {
        if c == '-' {
            '_'
        } else {
            c.to_ascii_uppercase()
        }
    };
    let name: String = name.as_str().chars().map(upper).collect();
    format!("UV_INDEX_{name}_{what}")
}

impl Environment {
    /// A variable of the user's, unless it is empty.
    fn variable(&self, name: &str) -> Option<OsString> {
        let mut variables = self.variables.iter();
        let (_, value) = variables.find(|(variable, _)| variable == name)?;
        (!value.is_empty()).then(|| value.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_of_the_command_line() {
        let IndexArgument { name, url } = argument("a-1=https://example.com/x=y/").unwrap();
        assert_eq!(
            (name.as_str(), url.as_str()),
            ("a-1", "https://example.com/x=y/")
        );
        for text in [
            "",
            "https://example.com/",
            "=https://example.com/",
            "a=",
            "a b=https://x/",
        ] {
            assert!(argument(text).is_err(), "{text}");
        }
        let error = argument("a=https://user:s3cret@example.com/").unwrap_err();
        assert!(
            error.contains("UV_INDEX_<NAME>_PASSWORD") && !error.contains("s3cret"),
            "{error}"
        );
    }

    #[test]
    fn variables_are_called_as_uv_calls_them() {
        let name: IndexName = "my-index_2".parse().unwrap();
        assert_eq!(variable(&name, "USERNAME"), "UV_INDEX_MY_INDEX_2_USERNAME");
    }
}
