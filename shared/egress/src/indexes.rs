//! The package indexes of a build, with the credentials that they want.

use std::fmt::Write as _;

use accretion_python::index::{Credentials, Index};
use url::Url;

use crate::netrc::Netrc;

/// An index, wherever its credentials came from.
#[derive(Debug, Clone)]
pub struct DefaultIndex {
    /// Its URL, without credentials.
    pub url: Url,
    /// Its credentials.
    pub credentials: Option<Credentials>,
}

impl DefaultIndex {
    /// Takes credentials out of a URL.
    pub fn of_url(mut url: Url) -> Self {
        let decode = |text: &str| {
            percent_encoding::percent_decode_str(text)
                .decode_utf8_lossy()
                .into_owned()
        };
        let has = !url.username().is_empty() || url.password().is_some();
        let credentials = has.then(|| {
            let password = decode(url.password().unwrap_or_default());
            Credentials::new(decode(url.username()), password)
        });
        // Neither can fail: it has a host.
        let _ = url.set_username("");
        let _ = url.set_password(None);
        Self { url, credentials }
    }
}

/// An index beside the default one.
#[derive(Debug, Clone)]
pub struct NamedIndex {
    /// The index, as a request names it.
    pub index: Index,
    /// Its credentials.
    pub credentials: Option<Credentials>,
}

/// The package indexes of a build. Named ones are asked before the default one, in their order, and
/// the first that has a package is the one that it comes from; a package that an index names comes
/// from that index alone.
#[derive(Debug, Clone, Default)]
pub struct Indexes {
    /// The index that is asked last; uv's own default if there is none.
    pub default: Option<DefaultIndex>,
    /// The others.
    pub named: Vec<NamedIndex>,
    /// The credentials of hosts that no index is on.
    pub netrc: Netrc,
}

impl Indexes {
    /// Nothing but a default index, whose URL may have credentials.
    pub fn of_default(default: Option<&Url>) -> Self {
        Self {
            default: default.cloned().map(DefaultIndex::of_url),
            ..Self::default()
        }
    }

    /// Nothing but an index that a lock names.
    #[must_use]
    pub fn at(&self, index: &Url) -> Self {
        let mut default = DefaultIndex::of_url(index.clone());
        if default.credentials.is_none() {
            default.credentials = self.credentials(index).cloned();
        }
        Self {
            default: Some(default),
            named: Vec::new(),
            netrc: self.netrc.clone(),
        }
    }

    /// All that were named, in their order, with their credentials.
    pub(crate) fn all(&self) -> impl Iterator<Item = (&Url, Option<&Credentials>)> {
        let named = self.named.iter().map(|it| (&it.index.url, &it.credentials));
        let default = self.default.iter().map(|it| (&it.url, &it.credentials));
        let all = named.chain(default);
        all.map(|(url, credentials)| (url, credentials.as_ref()))
    }

    /// The URLs of all that were named.
    pub fn urls(&self) -> impl Iterator<Item = &Url> {
        self.all().map(|(url, _)| url)
    }

    /// Returns whether any of them has credentials.
    pub fn are_private(&self) -> bool {
        self.all().any(|(_, credentials)| credentials.is_some())
    }

    /// Returns whether a resolver can do with the default index alone, and needs no credentials.
    pub fn is_plain(&self) -> bool {
        self.named.is_empty() && !self.are_private()
    }

    /// The identity of these indexes: a user with other credentials must not read what is
    /// remembered of these.
    pub fn identity(&self) -> String {
        let mut identity = String::new();
        for NamedIndex { index, .. } in &self.named {
            let reference = index.credentials.as_ref().map(ToString::to_string);
            let packages: Option<Vec<_>> = index
                .packages
                .as_ref()
                .map(|names| names.iter().map(AsRef::as_ref).collect());
            let _ = writeln!(identity, "{} {packages:?} {reference:?}", index.url);
        }
        if let Some(default) = &self.default {
            identity.push_str(default.url.as_str());
        }
        identity
    }

    /// The credentials for a URL: those of an index on the very same server, of the one
    /// whose path the URL's goes along with for longest where there are several.
    pub fn credentials(&self, url: &Url) -> Option<&Credentials> {
        let of_server = self
            .all()
            .filter(|(index, _)| index.origin() == url.origin());
        let with_credentials = of_server.filter_map(|(index, it)| Some((index, it?)));
        // Of equals, the first: the last of these.
        let nearest_last = with_credentials.collect::<Vec<_>>().into_iter().rev();
        nearest_last
            .max_by_key(|(index, _)| common_segments(index, url))
            .map(|(_, credentials)| credentials)
            .or_else(|| self.netrc.of_url(url))
    }

    /// The index that a package comes from alone, by its place and name.
    pub(crate) fn pinned(&self, package: &str) -> Option<(usize, &NamedIndex)> {
        let is_for = |named: &NamedIndex| {
            let mut packages = named.index.packages.iter().flatten();
            packages.any(|name| name.as_ref() == package)
        };
        let mut named = self.named.iter().enumerate();
        named.find(|(_, named)| is_for(named))
    }

    /// Returns whether a package may come from the index at a place in the order of all.
    pub(crate) fn may_have(&self, at: usize, package: &str) -> bool {
        let is_open = |named: &NamedIndex| named.index.packages.is_none();
        match self.pinned(package) {
            Some((pinned, _)) => at == pinned,
            None => self.named.get(at).is_none_or(is_open),
        }
    }
}

/// The number of segments that two paths have in common from the start.
fn common_segments(one: &Url, other: &Url) -> usize {
    let [one, other] = [one, other].map(|url| url.path().split('/').filter(|it| !it.is_empty()));
    one.zip(other)
        .take_while(|(one, other)| one == other)
        .count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(url: &str, user: Option<&str>, packages: Option<&[&str]>) -> NamedIndex {
        let packages =
            packages.map(|names| names.iter().map(|name| name.parse().unwrap()).collect());
        NamedIndex {
            index: Index {
                name: "x".parse().unwrap(),
                url: url.parse().unwrap(),
                packages,
                credentials: None,
            },
            credentials: user.map(|user| Credentials::new(user, "s3cret")),
        }
    }

    #[test]
    fn credentials_go_to_the_server_of_their_index_alone() {
        let indexes = Indexes {
            default: Some(DefaultIndex::of_url(
                "https://d%40x:s3cret@example.com/simple/".parse().unwrap(),
            )),
            named: vec![
                named("https://example.com/a/simple/", Some("a"), None),
                named("https://example.com/b/simple/", Some("b"), None),
                named("https://open.example.com/simple/", None, None),
            ],
            netrc: "machine files.example.com login n password s3cret"
                .parse()
                .unwrap(),
        };
        for (url, expected) in [
            ("https://example.com/a/files/x.whl", Some("a")),
            ("https://example.com/b/x.whl", Some("b")),
            ("https://example.com/simple/x/", Some("d@x")),
            ("https://example.com/elsewhere", Some("a")),
            ("https://example.com:8443/a/", None),
            ("http://example.com/a/", None),
            ("https://a.example.com/a/", None),
            ("https://open.example.com/simple/", None),
            ("https://files.example.com/x.whl", Some("n")),
            ("http://files.example.com/x.whl", None),
        ] {
            let found = indexes.credentials(&url.parse().unwrap());
            let found = found.map(|credentials| credentials.username.reveal());
            assert_eq!(found, expected, "{url}");
        }
        let default = indexes.default.unwrap();
        assert_eq!(default.url.as_str(), "https://example.com/simple/");
    }

    #[test]
    fn a_package_is_pinned_by_its_whole_name() {
        let indexes = Indexes {
            named: vec![
                named("https://example.com/a/", None, None),
                named("https://example.com/b/", None, Some(&["corp-lib"])),
            ],
            ..Indexes::default()
        };
        let pinned = |name| indexes.pinned(name).map(|(at, _)| at);
        assert_eq!(pinned("corp-lib"), Some(1));
        assert_eq!(pinned("corp"), None);
    }
}
