//! Lock files: what nobody locked, and where it would come from.

use crate::case::{Case, Kind};
use crate::site::{Site, harmless};

const KEY: &str = "requests/tools/pylock.toml";

/// A lock of one package; `source` says where it comes from.
fn lock(name: &str, source: &str) -> String {
    format!(
        "lock-version = '1.0'\ncreated-by = 'x'\n[[packages]]\nname = '{name}'\nversion = '1.0'\n{source}\n"
    )
}

/// A lock of the harmless wheel from a URL.
fn from(url: &str) -> String {
    let sha256 = harmless().sha256;
    let wheel = format!("wheels = [{{ url = '{url}', hashes = {{ sha256 = '{sha256}' }} }}]");
    lock("harmless", &wheel)
}

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = rejected();
    cases.extend(not_built());
    cases
}

fn rejected() -> Vec<Case> {
    const FILE: &str = "harmless-1.0-py3-none-any.whl";
    let hash = "0".repeat(64);
    let invalid: &'static [&'static str] = &["LockInvalid"];
    let unsupported: &'static [&'static str] = &["LockedSourceUnsupported"];
    let wheel = |members: &str| lock("harmless", &format!("wheels = [{{ {members} }}]"));
    let sha256 = format!("hashes = {{ sha256 = '{hash}' }}");
    let texts: Vec<(&str, String, &'static [&'static str])> = vec![
        ("no TOML", "lock-version = ".to_owned(), invalid),
        (
            "of a version to come",
            lock("harmless", "").replace("1.0", "99.0"),
            invalid,
        ),
        (
            "nested a hundred thousand deep",
            format!("lock-version = {}", "[".repeat(100_000)),
            invalid,
        ),
        (
            "a table twice",
            "lock-version = '1.0'\n[x]\n[x]\n".to_owned(),
            invalid,
        ),
        ("a NUL", "lock-version = '1.0\0'\n".to_owned(), invalid),
        (
            "a package that leads up",
            lock("../evil", "wheels = []"),
            invalid,
        ),
        (
            "a package with a newline",
            lock("harmless", "").replace("'harmless'", "\"harm\\nless\""),
            invalid,
        ),
        (
            "a wheel without a hash",
            wheel(&format!("url = 'https://example.com/{FILE}'")),
            invalid,
        ),
        (
            "a wheel with a weak hash",
            wheel(&format!(
                "url = 'https://example.com/{FILE}', hashes = {{ md5 = 'd41d8cd98f00b204e9800998ecf8427e' }}"
            )),
            invalid,
        ),
        (
            "a wheel with a hash that leads up",
            wheel(&format!(
                "url = 'https://example.com/{FILE}', hashes = {{ sha256 = '../../{}' }}",
                &hash[6..]
            )),
            invalid,
        ),
        (
            "a wheel whose name leads up",
            wheel(&format!(
                "name = '../../{FILE}', url = 'https://example.com/{FILE}', {sha256}"
            )),
            invalid,
        ),
        (
            "a wheel whose name is absolute",
            wheel(&format!(
                "name = '/tmp/{FILE}', url = 'https://example.com/{FILE}', {sha256}"
            )),
            invalid,
        ),
        (
            "a wheel of another package",
            wheel(&format!(
                "url = 'https://example.com/evil-1.0-py3-none-any.whl', {sha256}"
            )),
            invalid,
        ),
        (
            "a wheel at a path",
            wheel(&format!("path = '/tmp/{FILE}', {sha256}")),
            unsupported,
        ),
        (
            "a wheel at a path that leads up",
            wheel(&format!("path = '../../../{FILE}', {sha256}")),
            unsupported,
        ),
        (
            "a wheel at a file's URL",
            wheel(&format!("url = 'file:///tmp/{FILE}', {sha256}")),
            invalid,
        ),
        (
            "a wheel of a size below nothing",
            wheel(&format!(
                "url = 'https://example.com/{FILE}', size = -1, {sha256}"
            )),
            invalid,
        ),
        (
            "a package twice",
            format!(
                "{0}{1}",
                from("https://example.com/harmless-1.0-py3-none-any.whl"),
                from("https://example.com/harmless-1.0-py3-none-any.whl")
                    .replace("lock-version = '1.0'\ncreated-by = 'x'\n", "")
            ),
            invalid,
        ),
        (
            "a wheel over another protocol",
            wheel(&format!("url = 'ftp://example.com/{FILE}', {sha256}")),
            invalid,
        ),
        (
            "a folder",
            lock("harmless", "directory = { path = '/etc' }"),
            unsupported,
        ),
        (
            "a repository",
            lock(
                "harmless",
                "vcs = { type = 'git', url = 'ssh://git@example.com/evil', commit-id = 'main' }",
            ),
            unsupported,
        ),
        (
            "an archive at a path",
            lock(
                "harmless",
                &format!("archive = {{ path = '/tmp/evil.zip', {sha256} }}"),
            ),
            unsupported,
        ),
        (
            "the source alone",
            lock(
                "harmless",
                &format!("sdist = {{ url = 'https://example.com/harmless-1.0.tar.gz', {sha256} }}"),
            ),
            &["WheelNotFound"],
        ),
        (
            "five megabytes",
            format!("lock-version = '1.0'\n#{}", "x".repeat(5 << 20)),
            &["TooLarge"],
        ),
    ];
    texts
        .into_iter()
        .map(|(name, text, codes)| Case::object(Kind::Lock, name, (KEY, text), codes))
        .collect()
}

fn not_built() -> Vec<Case> {
    type Text = Box<dyn Fn(&Site) -> String>;
    let url = |url: &'static str| -> Text {
        Box::new(move |_| from(&format!("{url}/harmless-1.0-py3-none-any.whl")))
    };
    let at_service = |scheme: &'static str| -> Text {
        Box::new(move |site| {
            let url = site.service_url(scheme);
            from(&format!("{url}/harmless-1.0-py3-none-any.whl"))
        })
    };
    let local = "LocalAddressRefused";
    let texts: Vec<(&str, Text, &'static str)> = vec![
        ("from this machine", at_service("http"), local),
        ("from this machine, encrypted", at_service("https"), local),
        ("from localhost", url("https://localhost:9001"), local),
        (
            "from localhost with a dot",
            url("https://localhost.:9001"),
            local,
        ),
        (
            "from a name below localhost",
            url("https://a.localhost:9001"),
            local,
        ),
        ("from no address", url("https://0.0.0.0:9001"), local),
        ("from a short address", url("https://127.1:9001"), local),
        (
            "from an address in decimal",
            url("https://2130706433:9001"),
            local,
        ),
        (
            "from an address in hexadecimal",
            url("https://0x7f000001:9001"),
            local,
        ),
        (
            "from an address in octal",
            url("https://0177.0.0.1:9001"),
            local,
        ),
        (
            "from an address in full-width digits",
            url("https://\u{ff11}\u{ff12}\u{ff17}.0.0.1:9001"),
            local,
        ),
        ("from an IPv6 address", url("https://[::1]:9001"), local),
        (
            "from an IPv6 address of an IPv4 one",
            url("https://[::ffff:127.0.0.1]:9001"),
            local,
        ),
        (
            "from the instance's metadata",
            url("https://169.254.169.254"),
            local,
        ),
        (
            "from the instance's metadata, plain",
            url("http://169.254.169.254"),
            local,
        ),
        (
            "from the instance's metadata over IPv6",
            url("https://[fd00:ec2::254]"),
            local,
        ),
        (
            "from the instance's metadata, mapped",
            url("https://[::ffff:a9fe:a9fe]"),
            local,
        ),
        ("from a link-local address", url("https://[fe80::1]"), local),
        ("over plain HTTP", url("http://192.0.2.1"), "InsecureUrl"),
        (
            "another file than the hash's",
            Box::new(|site| {
                let url = site.index.file_url(&harmless().filename);
                let other = "0".repeat(64);
                from(&url).replace(&harmless().sha256, &other)
            }),
            "HashMismatch",
        ),
        (
            "one file under another name",
            Box::new(|site| {
                let url = site.index.file_url(&harmless().filename);
                from(&url)
                    .replace("harmless'", "evil'")
                    .replace("url =", "name = 'evil-1.0-py3-none-any.whl', url =")
            }),
            "WheelInvalid",
        ),
    ];
    texts
        .into_iter()
        .map(|(name, text, code)| {
            Case::build(
                Kind::Lock,
                name,
                move |site| ("pylock.toml", text(site)),
                code,
            )
        })
        .collect()
}
