//! The package indexes of a build on this machine, with credentials from the user's environment.

use std::env;
use std::fs;
use std::io;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use accretion_egress::{DefaultIndex, Indexes, NamedIndex, Netrc};
use accretion_python::index::{Credentials, CredentialsReference, Index, IndexName};
use url::Url;

use crate::args::IndexArgument;
use crate::environment::Environment;
use crate::print;

/// The indexes of the command line, then those of a request, then the default index.
pub(crate) fn of(
    default: Option<&Url>,
    named: &[IndexArgument],
    requested: &[Index],
    environment: &Environment,
) -> Indexes {
    let of_arguments = named.iter().map(|IndexArgument { name, url }| Index {
        name: name.clone(),
        url: url.clone(),
        packages: None,
        credentials: None,
    });
    let all: Vec<_> = of_arguments.chain(requested.iter().cloned()).collect();
    let keys = Keys::read(environment, default.is_some() || !all.is_empty());
    let with_credentials = all.into_iter().map(|index| {
        let credentials = keys.of(&index.url, Some(&index.name));
        if let Some(reference) = &index.credentials
            && credentials.is_none()
        {
            print::warning(index.name.as_str(), &missing(&index.name, reference));
        }
        NamedIndex { index, credentials }
    });
    let named = with_credentials.collect();
    let of_url = |url| {
        let mut index = DefaultIndex::of_url(url);
        if index.credentials.is_none() {
            index.credentials = keys.of(&index.url, None);
        }
        index
    };
    Indexes {
        default: default.cloned().map(of_url),
        named,
        netrc: keys.netrc,
    }
}

/// The places of the user's credentials for indexes.
struct Keys<'a> {
    environment: &'a Environment,
    netrc: Netrc,
}

impl<'a> Keys<'a> {
    /// Reads the netrc file. Warns about an unreadable file if credentials are `wanted`.
    fn read(environment: &'a Environment, wanted: bool) -> Self {
        let named = environment.variable("NETRC").map(PathBuf::from);
        let of_home = || Some(PathBuf::from(environment.variable("HOME")?).join(".netrc"));
        let netrc = named.or_else(of_home).and_then(|path| {
            let problem = match fs::read_to_string(&path) {
                Ok(text) => match text.parse() {
                    Ok(netrc) => return Some(netrc),
                    Err(error) => format!("it is not read: {error}"),
                },
                Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
                Err(error) => format!("it is not read: {error}"),
            };
            if wanted {
                print::warning(&path.display().to_string(), &problem);
            }
            None
        });
        Self {
            environment,
            netrc: netrc.unwrap_or_default(),
        }
    }

    /// The credentials of an index from uv's variables, netrc, or the keyring.
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

    /// Asks the program `keyring`, if uv is configured to ask it. Source: uv's guide, "Using alternative
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

/// The warning about credentials in AWS, which the command does not read.
fn missing(name: &IndexName, reference: &CredentialsReference) -> String {
    let (user, password) = (variable(name, "USERNAME"), variable(name, "PASSWORD"));
    format!(
        "{reference} is for the pipeline: the command takes credentials from {user} and \
         {password}, netrc, or the keyring, and none of them has any"
    )
}

/// The name of a variable of uv for an index.
fn variable(name: &IndexName, what: &str) -> String {
    let upper = |c: char| {
        if c == '-' {
            '_'
        } else {
            c.to_ascii_uppercase()
        }
    };
    let index: String = name.as_str().chars().map(upper).collect();
    format!("UV_INDEX_{index}_{what}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_called_as_uv_calls_them() {
        let name: IndexName = "my-index_2".parse().unwrap();
        assert_eq!(variable(&name, "USERNAME"), "UV_INDEX_MY_INDEX_2_USERNAME");
    }
}
