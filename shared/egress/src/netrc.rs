//! The user's netrc file: what opens which host.
//!
//! Source: the GNU Inetutils manual, "The .netrc file", with the quotes that Python's `netrc` knows.

use std::collections::HashMap;
use std::str::FromStr;

use accretion_core::loopback::is_loopback;
use accretion_python::index::Credentials;
use url::Url;

/// A netrc file.
#[derive(Debug, Clone, Default)]
pub struct Netrc {
    hosts: HashMap<String, Credentials>,
}

/// A text that is no netrc file. What stands there is not quoted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("`{word}` is not followed by a value, or stands outside of a `machine`")]
pub struct ParseNetrcError {
    word: &'static str,
}

impl Netrc {
    /// The credentials for the host of a URL, if only that host can read them. `default`, which would open
    /// every host, is for FTP.
    pub fn of_url(&self, url: &Url) -> Option<&Credentials> {
        self.hosts.get(url.host_str().filter(|_| is_private(url))?)
    }

    /// Adds an entry; the first of a host counts.
    fn add(&mut self, entry: Option<(Option<String>, [String; 2])>) {
        if let Some((Some(host), [username, password])) = entry {
            let credentials = Credentials::new(username, password);
            self.hosts
                .entry(host.to_ascii_lowercase())
                .or_insert(credentials);
        }
    }
}

impl FromStr for Netrc {
    type Err = ParseNetrcError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut netrc = Self::default();
        let mut words = Words(text);
        // The host, unless it is `default`, then user and password.
        let mut entry: Option<(Option<String>, [String; 2])> = None;
        while let Some(word) = words.next() {
            let mut value = |word| words.next().ok_or(ParseNetrcError { word });
            match word.as_str() {
                "machine" => {
                    let host = value("machine")?;
                    netrc.add(entry.replace((Some(host), Default::default())));
                }
                "default" => netrc.add(entry.replace((None, Default::default()))),
                "login" | "user" => {
                    let login = value("login")?;
                    let (_, words) = entry.as_mut().ok_or(ParseNetrcError { word: "login" })?;
                    words[0] = login;
                }
                "password" => {
                    let password = value("password")?;
                    let error = ParseNetrcError { word: "password" };
                    entry.as_mut().ok_or(error)?.1[1] = password;
                }
                "account" => {
                    value("account")?;
                }
                "macdef" => words.skip_macro(),
                comment if comment.starts_with('#') => words.skip_line(),
                _ => return Err(ParseNetrcError { word: "a word" }),
            }
        }
        netrc.add(entry);
        Ok(netrc)
    }
}

/// Returns whether only the server of a URL can read what is sent to it.
fn is_private(url: &Url) -> bool {
    url.scheme() == "https" || url.host().is_some_and(|host| is_loopback(&host))
}

/// The words that are left of a text.
struct Words<'a>(&'a str);

impl Words<'_> {
    fn skip_line(&mut self) {
        self.0 = self.0.split_once('\n').map_or("", |(_, rest)| rest);
    }

    /// A macro ends with an empty line.
    fn skip_macro(&mut self) {
        self.0 = self.0.split_once("\n\n").map_or("", |(_, rest)| rest);
    }
}

impl Iterator for Words<'_> {
    type Item = String;

    fn next(&mut self) -> Option<String> {
        let text = self.0.trim_start();
        let (quoted, mut chars) = match text.strip_prefix('"') {
            Some(rest) => (true, rest.chars()),
            None => (false, text.chars()),
        };
        if text.is_empty() {
            self.0 = text;
            return None;
        }
        let mut word = String::new();
        loop {
            let before = chars.as_str();
            match chars.next() {
                Some('"') if quoted => break,
                Some('\\') => word.extend(chars.next()),
                Some(c) if !quoted && c.is_whitespace() => {
                    // The end of a line tells where a comment or a macro ends.
                    self.0 = before;
                    return Some(word);
                }
                Some(c) => word.push(c),
                None => break,
            }
        }
        self.0 = chars.as_str();
        Some(word)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_others_read() {
        const NETRC: &str = "# mine\nmachine Index.Example.com login me password s3#cret\n\
            machine b.example.com\n\tuser \"a b\"\n\taccount x\n\tpassword \"q\\\"\\\\\"\n\
            macdef init\ncd /machine evil.example login x password y\n\n\
            machine index.example.com login other password other\n\
            machine c.example.com password only\ndefault login anonymous password me@x\n";
        let netrc: Netrc = NETRC.parse().unwrap();
        let of = |host| {
            let Credentials { username, password } =
                netrc.of_url(&format!("https://{host}/").parse().unwrap())?;
            Some(format!("{}:{}", username.reveal(), password.reveal()))
        };
        for (host, expected) in [
            ("index.example.com", Some("me:s3#cret")),
            ("b.example.com", Some("a b:q\"\\")),
            ("c.example.com", Some(":only")),
            ("evil.example", None),
            ("example.com", None),
        ] {
            assert_eq!(of(host).as_deref(), expected, "{host}");
        }
    }

    #[test]
    fn what_is_wrong_with_one_is_not_quoted() {
        for text in ["login me", "machine a login", "machine a s3cret", "s3cret"] {
            let error = text.parse::<Netrc>().unwrap_err().to_string();
            assert!(!error.contains("s3cret"), "{error}");
        }
        assert!("".parse::<Netrc>().is_ok());
    }
}
