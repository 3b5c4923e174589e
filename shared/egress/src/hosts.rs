//! The hosts that an operator allows.

use std::str::FromStr;

use url::Host;

/// Servers that packages, and what an index says of them, may come from: all by default.
///
/// Written as host names with commas between them: `index.example.com, *.files.example.com`. A name
/// after `*.` stands for every host below it, a lone `*` for every host.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AllowedHosts(Option<Vec<Pattern>>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Pattern {
    Host(String),
    Below(String),
}

impl AllowedHosts {
    /// Returns whether a host, as a URL has it, is allowed.
    pub(crate) fn allow(&self, host: &str) -> bool {
        let plain = host.strip_suffix('.').unwrap_or(host);
        let Some(patterns) = &self.0 else {
            return true;
        };
        patterns.iter().any(|pattern| match pattern {
            Pattern::Host(name) => name == plain,
            Pattern::Below(name) => plain
                .strip_suffix(name.as_str())
                .is_some_and(|label| label.len() > 1 && label.ends_with('.')),
        })
    }
}

/// A text that names no hosts.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{entry}` is no host name such as `files.example.com` or `*.example.com`")]
pub struct ParseAllowedHostsError {
    entry: String,
}

impl FromStr for AllowedHosts {
    type Err = ParseAllowedHostsError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let entries: Vec<_> = text.split(',').map(str::trim).collect();
        if entries == ["*"] {
            return Ok(Self(None));
        }
        let patterns = entries.into_iter().map(Pattern::parse);
        Ok(Self(Some(patterns.collect::<Result<_, _>>()?)))
    }
}

impl Pattern {
    fn parse(entry: &str) -> Result<Self, ParseAllowedHostsError> {
        let error = || ParseAllowedHostsError {
            entry: entry.to_owned(),
        };
        let (name, below) = match entry.strip_prefix("*.") {
            Some(name) => (name, true),
            None => (entry, false),
        };
        // The same form that hosts of URLs have.
        let host = Host::parse(name).map_err(|_| error())?;
        match (&host, below) {
            (Host::Domain(name), _) if name.contains('*') || name.ends_with('.') => Err(error()),
            (Host::Domain(name), true) => Ok(Self::Below(name.clone())),
            (_, true) => Err(error()),
            (host, false) => Ok(Self::Host(host.to_string())),
        }
    }
}

#[cfg(test)]
mod tests {
    use url::Url;

    use super::*;

    fn allowed(hosts: &str, url: &str) -> bool {
        let url: Url = url.parse().unwrap();
        let hosts: AllowedHosts = hosts.parse().unwrap();
        hosts.allow(url.host_str().unwrap())
    }

    #[test]
    fn hosts_are_allowed_by_their_whole_name() {
        const HOSTS: &str = "index.example.com, *.files.example.com,192.0.2.7,[2001:db8::7]";
        for (url, expected) in [
            ("https://index.example.com/simple/", true),
            ("https://INDEX.Example.com./simple/", true),
            ("https://index.example.com:8443/", true),
            ("https://user@index.example.com/", true),
            ("https://index.example.com@evil.example/", false),
            ("https://evil.example/index.example.com", false),
            ("https://evil-index.example.com/", false),
            ("https://index.example.com.evil.example/", false),
            ("https://example.com/", false),
            ("https://a.files.example.com/", true),
            ("https://a.b.files.example.com/", true),
            ("https://files.example.com/", false),
            ("https://.files.example.com/", false),
            ("https://evilfiles.example.com/", false),
            ("https://192.0.2.7/", true),
            ("https://0xc0.0.2.7/", true),
            ("https://192.0.2.70/", false),
            ("https://[2001:db8:0::7]/", true),
            ("https://[2001:db8::8]/", false),
        ] {
            assert_eq!(allowed(HOSTS, url), expected, "{url}");
            assert!(allowed("*", url), "{url}");
        }
        // As it is written by people and by browsers.
        assert!(allowed("bücher.example", "https://xn--bcher-kva.example/"));
        assert_eq!(AllowedHosts::default(), "*".parse().unwrap());
    }

    #[test]
    fn what_is_no_host_is_refused() {
        for text in [
            "",
            "a.example,",
            "*,a.example",
            "https://a.example",
            "a.example/path",
            "a.example:443",
            "*example.com",
            "a.*.example",
            "*.*.example",
            "*.",
            "*.192.0.2.7",
            "a b.example",
            "a.example.",
        ] {
            assert!(text.parse::<AllowedHosts>().is_err(), "{text}");
        }
        let error = "a.example, b:80".parse::<AllowedHosts>().unwrap_err();
        assert_eq!(
            error.to_string(),
            "`b:80` is no host name such as `files.example.com` or `*.example.com`"
        );
    }
}
