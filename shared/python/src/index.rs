//! Package indexes beside the default one: which packages come from where, and with what credentials.
//!
//! An index that names its packages serves those alone, and they come from nowhere else. Credentials
//! are never a part of a request, only where they are kept is.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use accretion_core::diagnostic::{Problem, code};
use accretion_core::loopback::is_loopback;
use accretion_core::text::{ParseTextError, is_account, is_name};
use accretion_core::text_types;
use pep508_rs::PackageName;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use url::Url;

text_types! {
    /// The name of an index: 1 to 64 letters, digits, `-` and `_`, all ASCII.
    IndexName, |text| is_name(text, 64),
        "the name of an index has 1 to 64 letters, digits, `-` and `_`";
    /// The ARN of a secret of AWS Secrets Manager.
    SecretArn, is_secret_arn,
        "a secret's ARN is `arn:aws:secretsmanager:REGION:ACCOUNT:secret:NAME`";
}

impl SecretArn {
    /// The region that the secret is in.
    pub fn region(&self) -> &str {
        self.0.split(':').nth(3).unwrap_or_default()
    }
}

fn is_secret_arn(text: &str) -> bool {
    let parts: Vec<_> = text.splitn(7, ':').collect();
    let [
        "arn",
        partition,
        "secretsmanager",
        region,
        account,
        "secret",
        name,
    ] = parts[..]
    else {
        return false;
    };
    let of_name = |c: char| c.is_ascii_alphanumeric() || "/_+=.@-".contains(c);
    is_label(partition)
        && is_label(region)
        && is_account(account)
        && (1..=519).contains(&name.len())
        && name.chars().all(of_name)
}

/// A domain of AWS `CodeArtifact`, which gives out tokens for its repositories.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CodeArtifactDomain {
    /// Its name.
    pub name: String,
    /// The account that owns it.
    pub owner: String,
    /// The region that it is in.
    pub region: String,
}

impl CodeArtifactDomain {
    /// The domain whose repositories a URL's host serves: the only one that its tokens may be sent
    /// to. Source: AWS `CodeArtifact` User Guide, "Using `CodeArtifact` with Python".
    pub fn of_url(url: &Url) -> Option<Self> {
        const ENDS: [&str; 3] = [".amazonaws.com", ".amazonaws.com.cn", ".on.aws"];
        let host = url.host_str().filter(|_| url.scheme() == "https")?;
        let host = ENDS.iter().find_map(|end| host.strip_suffix(end))?;
        let (label, region) = host.split_once(".d.codeartifact.")?;
        let (name, owner) = label.rsplit_once('-')?;
        Self::new(name, owner, region)
    }

    fn new(name: &str, owner: &str, region: &str) -> Option<Self> {
        (is_domain(name) && is_account(owner) && is_label(region)).then(|| Self {
            name: name.to_owned(),
            owner: owner.to_owned(),
            region: region.to_owned(),
        })
    }
}

impl fmt::Display for CodeArtifactDomain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            name,
            owner,
            region,
        } = self;
        write!(f, "{name} of {owner} in {region}")
    }
}

impl FromStr for CodeArtifactDomain {
    type Err = ParseTextError;

    /// Reads a domain's ARN.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const RULE: &str = "a domain's ARN is `arn:aws:codeartifact:REGION:ACCOUNT:domain/NAME`";
        let error = || ParseTextError::new(RULE, text);
        let parts: Vec<_> = text.splitn(6, ':').collect();
        let ["arn", partition, "codeartifact", region, owner, domain] = parts[..] else {
            return Err(error());
        };
        let name = domain.strip_prefix("domain/").unwrap_or_default();
        let domain = Self::new(name, owner, region).filter(|_| is_label(partition));
        domain.ok_or_else(error)
    }
}

fn is_label(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=32).contains(&text.len()) && text.bytes().all(allowed)
}

fn is_domain(text: &str) -> bool {
    (2..=50).contains(&text.len())
        && text
            .split('-')
            .all(|part| part.is_empty() || is_label(part))
}

/// The place of an index's credentials.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CredentialsReference {
    /// A secret of AWS Secrets Manager.
    Secret(SecretArn),
    /// AWS `CodeArtifact` gives out a token.
    CodeArtifact(CodeArtifactDomain),
}

impl fmt::Display for CredentialsReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Secret(arn) => write!(f, "the secret `{arn}`"),
            Self::CodeArtifact(domain) => write!(f, "the CodeArtifact domain {domain}"),
        }
    }
}

/// A package index beside the default one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Index {
    /// Its name.
    pub name: IndexName,
    /// Its simple repository API (PEP 503), without credentials, query and fragment.
    pub url: Url,
    /// The distributions that come from it alone, if it is for some only. It serves no others.
    pub packages: Option<BTreeSet<PackageName>>,
    /// The place of its credentials, if it wants any.
    pub credentials: Option<CredentialsReference>,
}

impl Index {
    /// Returns whether a URL is on the same server as the index, below its own URL.
    pub fn contains(&self, url: &Url) -> bool {
        let root = self.url.path().trim_end_matches('/');
        let below = url.path().strip_prefix(root);
        self.url.origin() == url.origin()
            && below.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }
}

/// The URL of an index: https, or on the machine itself, and with nothing that opens it.
pub fn index_url(text: &str) -> Result<Url, Problem> {
    let problem = |code, message: &str, help: &str| Err(Problem::error(code, message).help(help));
    let Some(url) = text.parse::<Url>().ok().filter(Url::has_host) else {
        let message = "the index's URL can't be parsed";
        return problem(code::URL_INVALID, message, "correct the URL");
    };
    if !url.username().is_empty() || url.password().is_some() {
        return problem(
            code::URL_CREDENTIALS,
            "an index's URL shows to all who may see the request",
            "name a secret in `Credentials`, or let the command find them in netrc or in \
             `UV_INDEX_<NAME>_USERNAME` and `UV_INDEX_<NAME>_PASSWORD`",
        );
    }
    let on_loopback = url.host().is_some_and(|host| is_loopback(&host));
    if url.scheme() != "https" && !(url.scheme() == "http" && on_loopback) {
        let message = "an index is asked over https";
        return problem(code::URL_UNSUPPORTED, message, "use https");
    }
    if url.query().is_some() || url.fragment().is_some() || text.contains('\\') {
        return problem(
            code::URL_UNSUPPORTED,
            "an index's URL has neither query, fragment nor backslash",
            "use the URL of its simple repository API",
        );
    }
    Ok(url)
}

/// A URL without its user and password.
pub(crate) fn without_credentials(url: &Url) -> Url {
    let mut plain = url.clone();
    // Only URLs that can't have any refuse.
    let _ = plain.set_username("");
    let _ = plain.set_password(None);
    plain
}

/// A secret text: it shows nowhere unless it is revealed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// A secret.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text, for who sends it to where it belongs.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

/// The credentials of an index (HTTP's Basic authentication).
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The user.
    pub username: Secret,
    /// The password or token.
    pub password: Secret,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials")
    }
}

/// The user that package indexes expect with a token.
const TOKEN_USER: &str = "__token__";

/// A secret whose text is no credentials. It is not quoted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it is neither a token nor a JSON object with `username` and `password`, or `token`")]
pub struct ParseCredentialsError;

impl Credentials {
    /// Credentials of a user.
    pub fn new(username: impl Into<String>, password: impl Into<String>) -> Self {
        Self {
            username: Secret::new(username),
            password: Secret::new(password),
        }
    }

    /// Credentials of a token.
    pub fn of_token(token: &str) -> Self {
        Self::new(TOKEN_USER, token)
    }

    /// Reads the text of a secret: a JSON object with `username` and `password` or with `token`, or
    /// a token.
    pub fn of_secret(text: &str) -> Result<Self, ParseCredentialsError> {
        #[derive(Deserialize)]
        struct Document {
            username: Option<String>,
            password: Option<String>,
            token: Option<String>,
        }
        let trimmed = text.trim();
        let credentials = if trimmed.starts_with('{') {
            let document: Document =
                serde_json::from_str(trimmed).map_err(|_| ParseCredentialsError)?;
            let user = document.username;
            match (document.password, document.token) {
                (Some(password), None) => Self::new(user.unwrap_or_default(), password),
                (None, Some(token)) => Self::new(user.as_deref().unwrap_or(TOKEN_USER), token),
                _ => return Err(ParseCredentialsError),
            }
        } else {
            Self::of_token(trimmed)
        };
        // Neither header nor netrc could hold them.
        let fits = |secret: &Secret| !secret.0.contains(char::is_control);
        let sound = fits(&credentials.username)
            && !credentials.username.0.contains(':')
            && fits(&credentials.password)
            && !credentials.password.0.is_empty();
        sound.then_some(credentials).ok_or(ParseCredentialsError)
    }
}

/// An index beside the default one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct IndexDocument {
    /// Its name.
    #[schemars(regex(pattern = r"^[a-zA-Z0-9_-]{1,64}$"), example = &"internal")]
    pub name: String,
    /// The URL of its simple repository API, without credentials.
    #[schemars(regex(pattern = r"^https?://[^@?#\\]+$"), example = &"https://index.example.com/simple/")]
    pub url: String,
    /// Distributions that come from this index alone. It serves no others then; all that are not in
    /// another such list if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        with = "Vec<String>",
        length(max = 1000),
        inner(regex(pattern = r"^[a-zA-Z0-9]([a-zA-Z0-9._-]*[a-zA-Z0-9])?$"))
    )]
    pub packages: Option<Vec<String>>,
    /// The place of its credentials. The operator of the pipeline has to allow it for this URL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "CredentialsDocument")]
    pub credentials: Option<CredentialsDocument>,
}

/// The place of an index's credentials.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum CredentialsDocument {
    /// The ARN of a secret of AWS Secrets Manager: a JSON object with `username` and `password`, or
    /// with `token`, or the token alone.
    SecretArn(
        #[schemars(regex(
            pattern = r"^arn:[a-z0-9-]+:secretsmanager:[a-z0-9-]+:[0-9]{12}:secret:[a-zA-Z0-9/_+=.@-]+$"
        ))]
        String,
    ),
    /// A domain of AWS `CodeArtifact`, which gives out a token.
    CodeArtifact(CodeArtifactDocument),
}

/// A domain of AWS `CodeArtifact`: the one whose repository the index's URL names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct CodeArtifactDocument {
    /// The domain's name.
    pub domain: String,
    /// The account that owns it. That of the URL if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", regex(pattern = r"^[0-9]{12}$"))]
    pub domain_owner: Option<String>,
    /// The region that it is in. That of the URL if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub region: Option<String>,
}

impl From<&Index> for IndexDocument {
    fn from(index: &Index) -> Self {
        let packages = index.packages.as_ref();
        let credentials = index.credentials.as_ref().map(|reference| match reference {
            CredentialsReference::Secret(arn) => CredentialsDocument::SecretArn(arn.to_string()),
            CredentialsReference::CodeArtifact(domain) => {
                CredentialsDocument::CodeArtifact(CodeArtifactDocument {
                    domain: domain.name.clone(),
                    domain_owner: Some(domain.owner.clone()),
                    region: Some(domain.region.clone()),
                })
            }
        });
        Self {
            name: index.name.to_string(),
            url: index.url.to_string(),
            packages: packages.map(|names| names.iter().map(ToString::to_string).collect()),
            credentials,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_an_index_url() {
        for (text, expected) in [
            ("https://example.com/simple/", ""),
            ("https://example.com:8443", ""),
            ("http://127.0.0.1:8080/simple", ""),
            ("http://localhost/simple", ""),
            ("http://example.com/simple/", code::URL_UNSUPPORTED),
            ("ftp://127.0.0.1/simple/", code::URL_UNSUPPORTED),
            ("file:///simple/", code::URL_INVALID),
            ("example.com", code::URL_INVALID),
            ("https://user@example.com/", code::URL_CREDENTIALS),
            ("https://:p@example.com/", code::URL_CREDENTIALS),
            ("https://example.com/?t=1", code::URL_UNSUPPORTED),
            ("https://example.com/#t", code::URL_UNSUPPORTED),
            (r"https://example.com\@evil.com/", code::URL_UNSUPPORTED),
        ] {
            let found = index_url(text).err().map_or("", |problem| problem.code);
            assert_eq!(found, expected, "{text}");
        }
    }

    #[test]
    fn a_token_belongs_to_one_domain_and_its_host() {
        let domain = |url: &str| CodeArtifactDomain::of_url(&url.parse().unwrap());
        let corp: CodeArtifactDomain = "arn:aws:codeartifact:eu-west-1:123456789012:domain/my-corp"
            .parse()
            .unwrap();
        for (url, expected) in [
            (
                "https://my-corp-123456789012.d.@.amazonaws.com/pypi/a/",
                true,
            ),
            (
                "https://my-corp-123456789012.d.@.on.aws/pypi/a/simple/",
                true,
            ),
            ("http://my-corp-123456789012.d.@.amazonaws.com/", false),
            (
                "https://my-corp-123456789012.d.@.amazonaws.com.evil.com/",
                false,
            ),
            (
                "https://my-corp-123456789012.d.@.evil.amazonaws.com/",
                false,
            ),
            (
                "https://evil.com/my-corp-123456789012.d.@.amazonaws.com/",
                false,
            ),
            ("https://my-corp-123456789013.d.@.amazonaws.com/", false),
            ("https://corp-123456789012.d.@.amazonaws.com/", false),
            ("https://a.my-corp-123456789012.d.@.amazonaws.com/", false),
        ] {
            let url = &url.replace('@', "codeartifact.eu-west-1");
            assert_eq!(domain(url).as_ref() == Some(&corp), expected, "{url}");
        }
    }

    #[test]
    fn what_a_secret_may_hold() {
        let read = |text: &str| {
            let credentials = Credentials::of_secret(text).ok()?;
            let Credentials { username, password } = &credentials;
            assert_eq!(format!("{credentials:?}{password:?}"), "CredentialsSecret");
            Some(format!("{}:{}", username.reveal(), password.reveal()))
        };
        for (text, expected) in [
            ("t0ken\n", Some("__token__:t0ken")),
            (r#"{"token": "t0ken"}"#, Some("__token__:t0ken")),
            (r#"{"username": "me", "token": "t0ken"}"#, Some("me:t0ken")),
            (
                r#"{"username": "me", "password": "p", "note": 1}"#,
                Some("me:p"),
            ),
            (r#"{"password": "p"}"#, Some(":p")),
            (r#"{"username": "me"}"#, None),
            (r#"{"username": "m:e", "password": "p"}"#, None),
            (r#"{"password": "p", "token": "t"}"#, None),
            (r#"{"password": "a\nb"}"#, None),
            ("{", None),
            ("", None),
        ] {
            assert_eq!(read(text).as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn what_is_below_an_index() {
        let index = |url: &str| Index {
            name: "x".parse().unwrap(),
            url: url.parse().unwrap(),
            packages: None,
            credentials: None,
        };
        for (url, other, expected) in [
            (
                "https://example.com/a/simple/",
                "https://example.com/a/simple",
                true,
            ),
            ("https://example.com/a", "https://example.com/a/b/", true),
            ("https://example.com/", "https://example.com/a/b/", true),
            ("https://example.com/a", "https://example.com/ab", false),
            ("https://example.com/a", "https://example.com/a/../b", false),
            ("https://example.com/a", "https://example.com:8443/a", false),
            ("https://example.com/a", "http://example.com/a", false),
            ("https://example.com/a", "https://a.example.com/a", false),
        ] {
            let contains = index(url).contains(&other.parse().unwrap());
            assert_eq!(contains, expected, "{url} {other}");
        }
    }

    #[test]
    fn arns_of_secrets() {
        let arn = "arn:aws-cn:secretsmanager:cn-north-1:123456789012:secret:a/b-AbCdEf";
        assert_eq!(arn.parse::<SecretArn>().unwrap().region(), "cn-north-1");
        for text in [
            "",
            "a/b",
            "arn:aws:secretsmanager:eu-west-1:123456789012:secret:",
            "arn:aws:secretsmanager:eu-west-1:123456789012:secret:a*",
            "arn:aws:ssm:eu-west-1:123456789012:parameter:a",
        ] {
            assert!(text.parse::<SecretArn>().is_err(), "{text}");
        }
    }
}
