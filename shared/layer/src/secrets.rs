//! Secrets in extra files, found by their well-known forms: what is plainly one must not get into a
//! layer by mistake.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, Read};
use std::sync::LazyLock;

use regex::bytes::{Regex, RegexBuilder};

use accretion_archive::{ArchiveError, Directory, EntryKind, ReadAt};
use accretion_core::excerpt::shown;
use accretion_core::limits::WheelLimits;

/// The forms of secrets in a file's text: a name and a regular expression.
///
/// Repetitions are bounded, so that no match is longer than [`OVERLAP`].
const FORMS: [(&str, &str); 36] = [
    (
        "a private key",
        // The line alone is in any program that reads keys, and documentation shortens keys: a line of
        // the key has to follow, in a string of JSON or of a program, too, after up to eight headers.
        r#"-----BEGIN (?:[A-Z0-9]{2,12} ){0,2}PRIVATE KEY(?: BLOCK)?-----(?:(?:\\[nr]|[\s"'+,\\]){1,16}(?:[A-Za-z-]{4,20}: [^\r\n\\]{0,120})?){1,9}[A-Za-z0-9+/]{64}"#,
    ),
    (
        "an SSH2 private key",
        "---- BEGIN SSH2 ENCRYPTED PRIVATE KEY ----",
    ),
    (
        "a PuTTY private key",
        r"PuTTY-User-Key-File-[0-9]: [a-z0-9-]{3}",
    ),
    ("an age key", r"\bAGE-SECRET-KEY-1[0-9A-Z]{58}\b"),
    (
        "an AWS access key id",
        r"\bA(?:KIA|SIA)[A-Z2-7]{16}\b(?:(?:%2[Ff]|/)[0-9]{8}(?:%2[Ff]|/))?",
    ),
    (
        "an AWS secret access key",
        r#"(?i:aws_?secret_?(?:access_?)?key)["']?\s{0,8}(?:=>|[:=]|,)\s{0,8}["']?[A-Za-z0-9/+]{40}(?:[^A-Za-z0-9/+]|$)"#,
    ),
    ("a GitHub token", r"\bgh[opsur]_[A-Za-z0-9]{36,255}"),
    ("a GitHub token", r"\bgithub_pat_[A-Za-z0-9_]{60,255}"),
    (
        "a GitLab token",
        r"\bgl(?:pat|dt|rt|ptt|cbt|oas|soat|agent|ft|imt)-[A-Za-z0-9_.-]{20,255}",
    ),
    (
        "a Slack token",
        r"\bxox[abeoprs]-[0-9A-Za-z]{1,4}[A-Za-z0-9-]{16,250}",
    ),
    (
        "a Slack token",
        r"\bxapp-[0-9]-[A-Z0-9]{6,20}-[0-9]{6,20}-[a-z0-9]{20,255}",
    ),
    (
        "a Slack webhook",
        r"\bhooks\.slack\.com/services/T[A-Z0-9]{7,12}/B[A-Z0-9]{7,12}/[A-Za-z0-9]{20,32}\b",
    ),
    ("a Stripe key", r"\b[rs]k_live_[A-Za-z0-9]{16,255}"),
    ("a Google API key", r"\bAIza[A-Za-z0-9_-]{35}\b"),
    (
        "a Google OAuth client secret",
        r"\bGOCSPX-[A-Za-z0-9_-]{28}\b",
    ),
    ("an npm token", r"\bnpm_[A-Za-z0-9]{36}\b"),
    (
        "an npm token",
        r":_authToken\s{0,4}=\s{0,4}[A-Za-z0-9_-]{16,255}",
    ),
    ("a PyPI token", r"\bpypi-AgE[A-Za-z0-9_-]{50,1000}"),
    ("a RubyGems key", r"\brubygems_[a-f0-9]{48}\b"),
    (
        "an Anthropic key",
        r"\bsk-ant-[a-z]{3,10}[0-9]{2}-[A-Za-z0-9_-]{60,255}",
    ),
    (
        "an OpenAI key",
        r"\bsk-(?:(?:proj|svcacct|admin)-[A-Za-z0-9_-]{40,255}|[A-Za-z0-9]{20}T3BlbkFJ[A-Za-z0-9]{20})",
    ),
    ("a Hugging Face token", r"\bhf_[A-Za-z0-9]{34}\b"),
    (
        "a SendGrid key",
        r"\bSG\.[A-Za-z0-9_-]{22}\.[A-Za-z0-9_-]{43}\b",
    ),
    ("a Mailgun key", r"\bkey-[0-9a-f]{32}\b"),
    ("a Twilio key", r"\bSK[0-9a-f]{32}\b"),
    ("a Shopify token", r"\bshp(?:at|ca|pa|ss)_[a-fA-F0-9]{32}\b"),
    (
        "a Square token",
        r"\b(?:sq0csp-[A-Za-z0-9_-]{43}|EAAA[A-Za-z0-9_-]{60})\b",
    ),
    ("a DigitalOcean token", r"\bdo[opr]_v1_[a-f0-9]{64}\b"),
    (
        "a Docker Hub token",
        r"\bdckr_[po]at_[A-Za-z0-9_-]{27,32}\b",
    ),
    ("a Databricks token", r"\bdapi[a-f0-9]{32}(?:-[0-9])?\b"),
    ("a Vault token", r"\bhv[bs]\.[A-Za-z0-9_-]{24,255}"),
    (
        "a Terraform token",
        r"\b[A-Za-z0-9]{14}\.atlasv1\.[A-Za-z0-9_=-]{60,70}",
    ),
    (
        "a Grafana token",
        r"\bgl(?:sa_[A-Za-z0-9]{32}_[a-fA-F0-9]{8}|c_eyJ[A-Za-z0-9+/=]{32,400})",
    ),
    ("a New Relic key", r"\bNRAK-[A-Z0-9]{27}\b"),
    (
        "a Telegram bot token",
        r"\b[0-9]{8,10}:AA[A-Za-z0-9_-]{33}\b",
    ),
    ("an Azure storage key", r"\bAccountKey=[A-Za-z0-9+/]{86}=="),
];

/// The marks of values that documentation shows: AWS's own `AKIAIOSFODNN7EXAMPLE`.
const EXAMPLES: [&[u8]; 2] = [b"EXAMPLE", b"example"];

/// Files whose names say that they hold secrets.
const NAMES: [(&str, &str); 15] = [
    (".env", "settings with secrets"),
    (".netrc", "passwords"),
    ("_netrc", "passwords"),
    (".pgpass", "passwords"),
    (".htpasswd", "passwords"),
    (".git-credentials", "passwords"),
    (".pypirc", "tokens of package indexes"),
    (".dockercfg", "passwords of registries"),
    (".s3cfg", "AWS credentials"),
    (".boto", "AWS credentials"),
    (".vault-token", "a Vault token"),
    ("id_rsa", "a private key"),
    ("id_dsa", "a private key"),
    ("id_ecdsa", "a private key"),
    ("id_ed25519", "a private key"),
];

/// Endings of names of files with keys in binary forms.
const ENDINGS: [(&str, &str); 6] = [
    (".p12", "a key store (PKCS #12)"),
    (".pfx", "a key store (PKCS #12)"),
    (".jks", "a key store (Java)"),
    (".keystore", "a key store (Java)"),
    (".ppk", "a PuTTY private key"),
    (".kdbx", "a store of passwords (KeePass)"),
];

/// Endings of the variants of `.env` that are there to be copied and filled in.
const TEMPLATES: [&str; 5] = [".example", ".sample", ".template", ".dist", ".schema"];

/// Bytes that are searched at a time.
const CHUNK: usize = 256 << 10;

/// Bytes that are searched again with what follows them. No match is longer.
const OVERLAP: usize = 8 << 10;

/// Secrets that an error names.
const LISTED: usize = 10;

/// All forms in one expression: text without any of them is gone through once.
static ANY: LazyLock<Regex> = LazyLock::new(|| {
    let forms: Vec<_> = FORMS
        .iter()
        .map(|(_, form)| format!("(?:{form})"))
        .collect();
    expression(&forms.join("|"))
});

/// The form that a match has.
static EACH: LazyLock<Vec<Regex>> =
    LazyLock::new(|| FORMS.iter().map(|(_, form)| expression(form)).collect());

fn expression(form: &str) -> Regex {
    let mut builder = RegexBuilder::new(form);
    let built = builder.unicode(false).size_limit(64 << 20).build();
    built.expect("the forms are regular expressions: a test builds them")
}

/// A secret that was found, and its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Secret {
    /// The path of the file.
    pub path: String,
    /// The line, from 1 on; `None` if the file's name says it.
    pub line: Option<u64>,
    /// The kind of secret, with its article: `an AWS access key id`.
    pub form: &'static str,
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (path, form) = (shown(&self.path), self.form);
        match self.line {
            Some(line) => write!(f, "`{path}` holds {form} in line {line}"),
            None => write!(f, "`{path}` holds {form} by its name"),
        }
    }
}

/// Returns what a file's path alone says of secrets in it.
pub fn of_path(path: &str) -> Option<&'static str> {
    let mut parts = path.rsplit('/');
    let name = parts.next().unwrap_or_default().to_ascii_lowercase();
    match (parts.next(), name.as_str()) {
        (Some(".aws"), "credentials") => return Some("AWS credentials"),
        (Some(".docker"), "config.json") => return Some("passwords of registries"),
        _ => {}
    }
    let is_variant = |name: &str| {
        name.starts_with(".env.") && !TEMPLATES.iter().any(|ending| name.ends_with(ending))
    };
    NAMES
        .iter()
        .find(|(known, _)| *known == name)
        .or(NAMES.first().filter(|_| is_variant(&name)))
        .or(ENDINGS.iter().find(|(ending, _)| name.ends_with(ending)))
        .map(|(_, form)| *form)
}

/// A search for secrets in the bytes of a file, in bounded memory whatever its size.
#[derive(Debug, Default)]
pub struct Scanner {
    buffer: Vec<u8>,
    /// The offset in the buffer at which the next match may start; the bytes before it are context.
    from: usize,
    /// Line breaks before the buffer.
    lines: u64,
    /// Each form that is found, with its first line.
    found: BTreeMap<&'static str, u64>,
}

impl Scanner {
    /// Searches more of the file.
    pub fn feed(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let room = CHUNK + OVERLAP - self.buffer.len();
            let (some, rest) = bytes.split_at(room.min(bytes.len()));
            self.buffer.extend_from_slice(some);
            bytes = rest;
            if self.buffer.len() == CHUNK + OVERLAP {
                self.search(CHUNK);
                // One byte says whether a word starts after it.
                let done = &self.buffer[..CHUNK - 1];
                self.lines += breaks(done);
                self.buffer.drain(..CHUNK - 1);
                self.from = 1;
            }
        }
    }

    /// Returns the secrets of the file, which has that path: what its name says, then each form that
    /// its bytes hold, with its first line.
    pub fn finish(mut self, path: &str) -> Vec<Secret> {
        self.search(self.buffer.len());
        let secret = |form, line| Secret {
            path: path.to_owned(),
            line,
            form,
        };
        let mut held: Vec<_> = self.found.into_iter().collect();
        held.sort_by_key(|(form, line)| (*line, *form));
        let in_lines = held
            .into_iter()
            .map(|(form, line)| secret(form, Some(line)));
        let named = of_path(path).map(|form| secret(form, None));
        named.into_iter().chain(in_lines).collect()
    }

    /// Searches for matches that start before `end`.
    fn search(&mut self, end: usize) {
        let mut from = self.from;
        while let Some(found) = ANY.find_at(&self.buffer, from) {
            if found.start() >= end {
                return;
            }
            from = found.end();
            // Of a key with headers, those may hold anything: `Comment: me@example.com`.
            let is_line = !found.as_bytes().contains(&b'\n');
            let is_example = EXAMPLES.iter().any(|it| contains(found.as_bytes(), it));
            if is_line && is_example || is_signed_with(found.as_bytes()) {
                continue;
            }
            // The match and the byte that says whether a word ends there. In the whole buffer, each
            // form that it does not have would be searched for to the end, for every match.
            let near = &self.buffer[..self.buffer.len().min(found.end() + 1)];
            let is_form = |form: &&Regex| {
                let at = form.find_at(near, found.start());
                at.is_some_and(|at| at.start() == found.start())
            };
            let index = EACH.iter().position(|form| is_form(&form));
            let form = index.map_or("a secret", |index| FORMS[index].0);
            let line = || self.lines + breaks(&self.buffer[..found.start()]) + 1;
            self.found.entry(form).or_insert_with(line);
        }
    }
}

/// Returns whether a match is the scope of a signature, `AKIA…/20260131/`, as presigned URLs have it: the key id
/// is public.
fn is_signed_with(found: &[u8]) -> bool {
    (found.starts_with(b"AKIA") || found.starts_with(b"ASIA"))
        && (found.ends_with(b"/") || found.ends_with(b"%2F") || found.ends_with(b"%2f"))
}

fn breaks(bytes: &[u8]) -> u64 {
    bytes.split(|byte| *byte == b'\n').skip(1).count() as u64
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|it| it == part)
}

/// Secrets for people: the first of them, and how many there are besides.
pub(crate) fn listed(secrets: &[Secret]) -> String {
    let first = secrets.iter().take(LISTED).map(ToString::to_string);
    let some = first.collect::<Vec<_>>().join("; ");
    match secrets.len().saturating_sub(LISTED) {
        0 => some,
        more => format!("{some}; and {more} more"),
    }
}

/// Returns the secrets of the files of a zip.
pub fn of_zip(zip: &[u8]) -> Result<Vec<Secret>, ArchiveError> {
    let directory = Directory::read(zip, zip.len() as u64, WheelLimits::default().entries)?;
    of_archive(zip, &directory, |_| true)
}

/// Returns the secrets of the files of a zip whose paths are to be searched.
pub fn of_archive(
    archive: &(impl ReadAt + ?Sized),
    directory: &Directory,
    is_searched: impl Fn(&str) -> bool,
) -> Result<Vec<Secret>, ArchiveError> {
    let mut secrets = Vec::new();
    for (index, entry) in directory.entries.iter().enumerate() {
        if entry.kind != EntryKind::File || !is_searched(&entry.name) {
            continue;
        }
        let mut scanner = Scanner::default();
        let unpacked = directory.unpack(archive, index, |bytes| {
            scanner.feed(bytes);
            Ok(())
        });
        unpacked?;
        secrets.extend(scanner.finish(&entry.name));
    }
    Ok(secrets)
}

/// A reader whose bytes are searched on their way.
#[derive(Debug)]
pub struct Scanned<R> {
    inner: R,
    scanner: Scanner,
}

impl<R: Read> Scanned<R> {
    /// Searches what is read of `inner`.
    pub fn new(inner: R) -> Self {
        Self {
            inner,
            scanner: Scanner::default(),
        }
    }

    /// Returns the secrets of what was read, a file of that path.
    pub fn finish(self, path: &str) -> Vec<Secret> {
        self.scanner.finish(path)
    }
}

impl<R: Read> Read for Scanned<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.scanner.feed(&buffer[..read]);
        Ok(read)
    }
}

#[cfg(test)]
mod tests;
