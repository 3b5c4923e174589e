//! Lock files: packages that are not locked, and their sources.

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
    cases.extend(of_other_tools());
    cases.extend(not_built_of_other_tools());
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
            unsupported,
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
            unsupported,
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

/// Lock files of other tools, and scripts.
#[expect(clippy::too_many_lines, reason = "a table is as long as what it lists")]
fn of_other_tools() -> Vec<Case> {
    const FILE: &str = "harmless-1.0-py3-none-any.whl";
    let hash = "0".repeat(64);
    let invalid: &'static [&'static str] = &["LockInvalid"];
    let unsupported: &'static [&'static str] = &["LockedSourceUnsupported"];
    let texts: Vec<(&str, &str, String, &'static [&'static str])> = vec![
        ("of a version to come", "uv.lock", uv("", "").replace("version = 1\n", "version = 2\n"), invalid),
        ("nested a hundred thousand deep", "uv.lock", format!("version = {}", "[".repeat(100_000)), invalid),
        ("a package that leads up", "uv.lock", uv("", "").replace("'harmless'", "'../evil'"), invalid),
        ("a requirement that is not locked", "uv.lock", uv("", "dependencies = [{ name = 'evil' }]"), invalid),
        (
            "a marker that would make the library panic",
            "uv.lock",
            uv("", "dependencies = [{ name = 'harmless', marker = \"os_name == 'x' or é\" }]"),
            invalid,
        ),
        ("a wheel at a file's URL", "uv.lock", uv(&format!("url = 'file:///tmp/{FILE}', hash = 'sha256:{hash}'"), ""), unsupported),
        ("a wheel without a hash", "uv.lock", uv(&format!("url = 'https://example.com/{FILE}'"), ""), invalid),
        (
            "a wheel with a hash that leads up",
            "uv.lock",
            uv(&format!("url = 'https://example.com/{FILE}', hash = 'sha256:../../{}'", &hash[6..]), ""),
            invalid,
        ),
        (
            "a wheel whose name leads up",
            "uv.lock",
            uv(&format!("filename = '../../{FILE}', url = 'https://example.com/{FILE}', hash = 'sha256:{hash}'"), ""),
            invalid,
        ),
        (
            "a wheel at a path",
            "uv.lock",
            uv("", "").replace("{ registry = 'https://example.com/simple' }", "{ path = '/etc/passwd' }"),
            unsupported,
        ),
        (
            "a folder",
            "uv.lock",
            uv("", "").replace("{ registry = 'https://example.com/simple' }", "{ editable = '/etc' }"),
            unsupported,
        ),
        ("alone, and it needs its project", "poetry.lock", poetry("", "").replace("2.1", "2.0"), &["LockProjectMissing"]),
        ("of a version to come", "poetry.lock", poetry("", "").replace("2.1", "9.0"), invalid),
        ("a file whose name leads up", "poetry.lock", poetry("", "").replace(FILE, "../../evil.whl"), invalid),
        ("a weak hash", "poetry.lock", poetry("", "").replace("sha256:", "md5:"), invalid),
        (
            "an index with a password",
            "poetry.lock",
            poetry("[package.source]\ntype = 'legacy'\nurl = 'https://me:s3cret@example.com/simple'", ""),
            invalid,
        ),
        (
            "an index on a disk",
            "poetry.lock",
            poetry("[package.source]\ntype = 'legacy'\nurl = 'file:///tmp/simple'", ""),
            invalid,
        ),
        (
            "a repository",
            "poetry.lock",
            poetry("[package.source]\ntype = 'git'\nurl = 'ssh://git@example.com/evil'", ""),
            unsupported,
        ),
        ("nested a hundred thousand deep", "Pipfile.lock", "[".repeat(100_000), invalid),
        ("of no version", "Pipfile.lock", "{\"_meta\": {}}".to_owned(), invalid),
        ("an index that is none", "Pipfile.lock", pipfile("https://example.com/simple").replace("\"index\": \"it\"", "\"index\": \"x\""), invalid),
        ("a folder", "Pipfile.lock", pipfile("https://example.com/simple").replace("\"index\": \"it\"", "\"path\": \"/etc\""), unsupported),
        (
            "a file on a disk",
            "Pipfile.lock",
            pipfile("https://example.com/simple").replace("\"index\": \"it\"", "\"file\": \"file:///tmp/harmless-1.0-py3-none-any.whl\""),
            unsupported,
        ),
        ("of a version to come", "pdm.lock", "[metadata]\nlock_version = '9'\n".to_owned(), invalid),
        (
            "a folder",
            "pdm.lock",
            "[metadata]\nlock_version = '4.5.0'\nstrategy = ['inherit_metadata']\n[[package]]\nname = 'harmless'\nversion = '1.0'\npath = '/etc'\n".to_owned(),
            unsupported,
        ),
        ("without metadata", "evil.py", "import os\nos.system('true')\n".to_owned(), &["ScriptInvalid"]),
        ("that does not end", "evil.py", "# /// script\n# dependencies = []\n".to_owned(), &["ScriptInvalid"]),
        ("that includes a file", "evil.py", script("dependencies = ['-r /etc/passwd']"), &["RequirementInvalid"]),
        ("that requires a file", "evil.py", script("dependencies = ['a @ file:///etc/passwd']"), &["LocalPathUnsupported"]),
        (
            "that has two lines in one",
            "evil.py",
            script("dependencies = ['a\\n--index-url https://example.com']").replace('\'', "\""),
            &["RequirementInvalid"],
        ),
        (
            "that names an index",
            "evil.py",
            script("dependencies = ['a']\n# [tool.uv]\n# index = [{ url = 'https://evil.example.com' }]"),
            &["OptionUnsupported"],
        ),
        ("for another Python", "evil.py", script("requires-python = '<3'\n# dependencies = ['a']"), &["PythonMismatch"]),
    ];
    let texts = texts.into_iter();
    texts
        .map(|(name, file, text, codes)| {
            let (name, key) = (format!("{file}: {name}"), format!("requests/tools/{file}"));
            Case::object(Kind::Lock, &name, (&key, text), codes)
        })
        .collect()
}

fn script(metadata: &str) -> String {
    format!("# /// script\n# {metadata}\n# ///\n")
}

/// A `uv.lock` of the harmless wheel; `wheel` says what it is, and `package` more of it.
fn uv(wheel: &str, package: &str) -> String {
    format!(
        "version = 1\n[manifest]\nrequirements = [{{ name = 'harmless' }}]\n[[package]]\nname = 'harmless'\n\
         version = '1.0'\nsource = {{ registry = 'https://example.com/simple' }}\nwheels = [{{ {wheel} }}]\n{package}\n"
    )
}

/// A `poetry.lock` of the harmless wheel with more of it, of another hash if one is given.
fn poetry(package: &str, sha256: &str) -> String {
    let wheel = harmless();
    let sha256 = if sha256.is_empty() {
        &wheel.sha256
    } else {
        sha256
    };
    format!(
        "[[package]]\nname = 'harmless'\nversion = '1.0'\ngroups = ['main']\n\
         files = [{{file = '{}', hash = 'sha256:{sha256}'}}]\n{package}\n[metadata]\nlock-version = '2.1'\n",
        wheel.filename
    )
}

/// A `Pipfile.lock` of the harmless wheel from an index.
fn pipfile(index: &str) -> String {
    format!(
        "{{\"_meta\": {{\"pipfile-spec\": 6, \"sources\": [{{\"name\": \"it\", \"url\": \"{index}\"}}]}}, \
         \"default\": {{\"harmless\": {{\"version\": \"==1.0\", \"index\": \"it\", \"hashes\": [\"sha256:{}\"]}}}}}}",
        harmless().sha256
    )
}

/// The places to which lock files of other tools would lead the builder.
fn not_built_of_other_tools() -> Vec<Case> {
    let index = |url: &str| {
        poetry(
            &format!("[package.source]\ntype = 'legacy'\nurl = '{url}'"),
            "",
        )
    };
    let wheel = "harmless-1.0-py3-none-any.whl";
    let uv_from = |url: &str| {
        let hash = "0".repeat(64);
        uv(
            &format!("url = '{url}/{wheel}', hash = 'sha256:{hash}'"),
            "",
        )
    };
    let texts = [
        (
            "from this machine",
            "uv.lock",
            uv_from("https://127.0.0.1:9001"),
            "LocalAddressRefused",
        ),
        (
            "over plain HTTP",
            "uv.lock",
            uv_from("http://192.0.2.1"),
            "InsecureUrl",
        ),
        (
            "an index on this machine",
            "poetry.lock",
            index("http://127.0.0.1:9001/simple"),
            "LocalAddressRefused",
        ),
        (
            "the instance's metadata for an index",
            "poetry.lock",
            index("https://169.254.169.254/simple"),
            "LocalAddressRefused",
        ),
        (
            "an index over plain HTTP",
            "poetry.lock",
            index("http://192.0.2.1/simple"),
            "InsecureUrl",
        ),
        (
            "another file than the hash's",
            "poetry.lock",
            poetry("", &"0".repeat(64)),
            "HashNotAllowed",
        ),
        (
            "a version that there is not",
            "poetry.lock",
            poetry("", "").replace("'1.0'\ngroups", "'6.6.6'\ngroups"),
            "RequirementsUnsatisfiable",
        ),
        (
            "an index on this machine",
            "Pipfile.lock",
            pipfile("https://localhost:9001/simple"),
            "LocalAddressRefused",
        ),
    ];
    let built = texts.map(|(name, kind, text, code)| {
        let name = format!("{kind}: {name}");
        Case::build(Kind::Lock, &name, move |_| (kind, text.clone()), code)
    });
    let elsewhere = pipfile("https://evil.example.com/simple");
    let name = "Pipfile.lock: an index that is not allowed";
    let wanted = move |_: &Site| ("Pipfile.lock", elsewhere.clone());
    let other = Case::build(Kind::Lock, name, wanted, "HostNotAllowed");
    built
        .into_iter()
        .chain([other.allowing("files.example.com")])
        .collect()
}
