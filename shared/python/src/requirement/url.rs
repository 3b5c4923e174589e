//! Requirements by URL: which URLs may be fetched, and what they say about the file.

use std::ops::Range;

use accretion_core::diagnostic::code;
use accretion_core::digest::Sha256;
use accretion_core::loopback::is_loopback;
use pep508_rs::PackageName;
use url::Url;

use super::distribution_name;
use super::line::{Finding, LineContext};

/// Returns whether a text is a location in a version control system, as pip takes it.
pub(super) fn is_vcs(text: &str) -> bool {
    if text.starts_with("git@") {
        return true;
    }
    let Some((scheme, _)) = text.split_once(':') else {
        return false;
    };
    let lowercase = scheme.to_ascii_lowercase();
    let system = lowercase
        .split_once('+')
        .map_or(&*lowercase, |(system, _)| system);
    matches!(system, "git" | "hg" | "svn" | "bzr" | "ssh")
}

/// Returns whether a text starts like a URL: a scheme and `://`.
pub(super) fn has_scheme(text: &str) -> bool {
    text.split_once("://").is_some_and(|(scheme, _)| {
        scheme.starts_with(|c: char| c.is_ascii_alphabetic())
            && scheme
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'))
    })
}

/// A file that may be fetched.
pub(super) struct DirectUrl {
    /// Without its fragment.
    pub(super) url: Url,
    /// From its fragment.
    pub(super) hash: Option<Sha256>,
    /// From the file's name.
    pub(super) name: PackageName,
}

/// Checks a URL that stands at `span` of a line.
pub(super) fn check(
    text: &str,
    span: &Range<usize>,
    context: LineContext<'_>,
) -> Result<DirectUrl, Finding> {
    let found =
        |code, message: &str, help: &str| Err(Finding::new(code, span.clone(), message, help));
    if is_vcs(text) {
        return Err(Finding::vcs(span.clone()));
    }
    if text.ends_with(';') {
        return found(
            code::URL_INVALID,
            "it is unclear whether the `;` belongs to the URL",
            "put a space before the marker's `;`",
        );
    }
    // A name without a scheme is a path for pip.
    if !has_scheme(text) || text.to_ascii_lowercase().starts_with("file:") {
        return Err(Finding::local_path(span.clone()));
    }
    let Ok(mut url) = Url::parse(text) else {
        return found(
            code::URL_INVALID,
            "the URL can't be parsed",
            "correct the URL",
        );
    };
    match url.scheme() {
        "https" => {}
        "http" if url.host().is_some_and(|host| is_loopback(&host)) => {}
        "http" => {
            return found(
                code::URL_UNSUPPORTED,
                "plain http can be changed on its way",
                "use https",
            );
        }
        scheme => {
            let message = format!("`{scheme}` URLs are not supported");
            return found(code::URL_UNSUPPORTED, &message, "use https");
        }
    }
    if !url.username().is_empty() || url.password().is_some() {
        return found(
            code::URL_CREDENTIALS,
            "credentials in a URL would be stored with the layer's manifest",
            "remove them; an index that needs credentials has them from the environment or netrc \
             (--index NAME=URL), in a pipeline from the stack's parameter Indexes",
        );
    }
    if text.contains('\\') {
        return found(
            code::URL_INVALID,
            "the URL has a backslash",
            "use `/`, or `%5C`",
        );
    }
    let hash = fragment_hash(&url, span)?;
    url.set_fragment(None);
    let name = distribution(&url, span, context)?;
    Ok(DirectUrl { url, hash, name })
}

/// The SHA-256 in a fragment such as `#sha256=…`. `egg=` repeats the name and says nothing new.
fn fragment_hash(url: &Url, span: &Range<usize>) -> Result<Option<Sha256>, Finding> {
    let mut hash = None;
    let fields = url.fragment().unwrap_or_default().split('&');
    for field in fields.filter(|field| !field.is_empty()) {
        match field.split_once('=') {
            Some(("sha256", hex)) => {
                let parsed = hex.parse().map_err(|error| {
                    Finding::new(
                        code::HASH_INVALID,
                        span.clone(),
                        format!("{error}"),
                        "copy the hash from where the file is published",
                    )
                })?;
                if hash.replace(parsed).is_some() {
                    return Err(Finding::new(
                        code::HASH_INVALID,
                        span.clone(),
                        "the URL has two hashes",
                        "give the one of this file",
                    ));
                }
            }
            Some(("egg", _)) => {}
            Some(("md5" | "sha1" | "sha224" | "sha384" | "sha512", _)) => {
                return Err(Finding::hash_unsupported(span.clone()));
            }
            _ => {
                return Err(Finding::new(
                    code::URL_UNSUPPORTED,
                    span.clone(),
                    "the URL's fragment is not a hash",
                    "`#sha256=…` is supported",
                ));
            }
        }
    }
    Ok(hash)
}

/// The distribution that the URL's file belongs to, by the file's name.
fn distribution(
    url: &Url,
    span: &Range<usize>,
    context: LineContext<'_>,
) -> Result<PackageName, Finding> {
    let file = url
        .path_segments()
        .and_then(|mut segments| segments.next_back())
        .unwrap_or_default();
    let name = if let Some(stem) = file.strip_suffix(".whl") {
        // name-version(-build)?-python-abi-platform
        let parts: Vec<&str> = stem.split('-').collect();
        if !matches!(parts.len(), 5 | 6) {
            return Err(Finding::new(
                code::URL_INVALID,
                span.clone(),
                "the file's name is not a wheel's",
                "a wheel is named `name-version-python-abi-platform.whl`",
            ));
        }
        parts[0]
    } else if let Some(stem) = [".tar.gz", ".zip"]
        .into_iter()
        .find_map(|extension| file.strip_suffix(extension))
    {
        if !context.allow_source_distributions {
            return Err(Finding::new(
                code::SOURCE_DISTRIBUTION_REFUSED,
                span.clone(),
                "to build a source distribution is to run its code",
                "require a wheel, or allow source distributions with --allow-source-distributions, or \
                 `AllowSourceDistributions` in a request",
            ));
        }
        stem.rsplit_once('-').map_or("", |(name, _)| name)
    } else {
        return Err(Finding::new(
            code::URL_UNSUPPORTED,
            span.clone(),
            "the URL's file is neither a wheel nor a source distribution",
            "the path must end in `.whl`",
        ));
    };
    distribution_name(name).ok_or_else(|| {
        Finding::new(
            code::URL_INVALID,
            span.clone(),
            "the file's name does not start with the name of a distribution",
            "use the name under which the file was published",
        )
    })
}
