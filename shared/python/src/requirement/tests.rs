use std::collections::BTreeMap;

use accretion_core::diagnostic::Report;
use accretion_core::diagnostic::Severity;
use accretion_core::limits::Limits;
use proptest::prelude::*;

use super::*;

const HASH: &str = "2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae";

fn check(text: &str) -> Checked<RequirementSet> {
    parse("requirements.txt", text, &NoInclude, false)
}

/// The normalised lines, or the codes of the problems with the text they point at.
fn outcome(checked: Checked<RequirementSet>) -> Result<String, String> {
    match checked {
        Ok((set, _)) => Ok(set.to_requirements_txt()),
        Err(report) => Err(described(&report)),
    }
}

fn described(report: &Report) -> String {
    let describe = |problem: &Problem| {
        let place = problem.location.as_ref().map_or(String::new(), |place| {
            let (line, column) = report.line_column(place);
            let source = &report.sources[place.source];
            let part = &source.text[place.span.clone()];
            format!(" {}:{line}:{column} {part:?}", source.name)
        });
        assert!(
            problem.severity == Severity::Warning || problem.help.is_some(),
            "{} has no help",
            problem.code
        );
        format!("{}{place}\n", problem.code)
    };
    report.problems.iter().map(describe).collect()
}

#[test]
fn requirements_as_found_in_the_wild_are_normalised() {
    let table = [
        // Bare names, case and separators.
        ("requests", "requests\n"),
        (
            "Django\nzope.interface\nruamel_yaml",
            "django\nruamel-yaml\nzope-interface\n",
        ),
        // Version specifiers in every usual spelling.
        ("flask == 3.0.3", "flask==3.0.3\n"),
        ("numpy>=1.26,<3", "numpy>=1.26,<3\n"),
        ("boto3 ~= 1.34", "boto3~=1.34\n"),
        (
            "protobuf!=4.24.0,>=3.20.2,<6",
            "protobuf>=3.20.2,!=4.24.0,<6\n",
        ),
        ("foo (>=1.0)", "foo>=1.0\n"),
        ("torch==2.3.*", "torch==2.3.*\n"),
        ("pkg==1.0+cu121", "pkg==1.0+cu121\n"),
        ("tool>=2.0rc1", "tool>=2.0rc1\n"),
        // Extras.
        ("celery[redis, msgpack]>=5", "celery[msgpack,redis]>=5\n"),
        ("uvicorn[standard]", "uvicorn[standard]\n"),
        ("x[]", "x\n"),
        // Comments.
        (
            "# pip-compile\nattrs==23.2.0  # via aiohttp\n",
            "attrs==23.2.0\n",
        ),
        // Markers.
        (
            "pywin32>=300 ; sys_platform == \"win32\"",
            "pywin32>=300 ; sys_platform == 'win32'\n",
        ),
        (
            "tomli; python_version<'3.11'",
            "tomli ; python_full_version < '3.11'\n",
        ),
        (
            "greenlet!=0.4.17; python_version >= \"3\" and (platform_machine == \"aarch64\" \
             or (platform_machine == \"ppc64le\" or (platform_machine == \"x86_64\" or \
             platform_machine == \"amd64\")))",
            "greenlet!=0.4.17 ; (python_full_version >= '3' and platform_machine == 'aarch64') \
             or (python_full_version >= '3' and platform_machine == 'amd64') or \
             (python_full_version >= '3' and platform_machine == 'ppc64le') or \
             (python_full_version >= '3' and platform_machine == 'x86_64')\n",
        ),
        // As `pip freeze` writes on Windows.
        (
            "\u{feff}six==1.16.0\r\nidna==3.7\r\n",
            "idna==3.7\nsix==1.16.0\n",
        ),
        // URLs.
        (
            "demo @ https://example.com/demo-1.0-py3-none-any.whl ; python_version >= '3.12'",
            "demo @ https://example.com/demo-1.0-py3-none-any.whl ; python_full_version >= '3.12'\n",
        ),
        (
            "https://example.com/d/Demo_Pkg-1.0-py3-none-any.whl",
            "demo-pkg @ https://example.com/d/Demo_Pkg-1.0-py3-none-any.whl\n",
        ),
        (
            "demo[a]@http://127.0.0.1:8000/demo-1.0-py3-none-any.whl",
            "demo[a] @ http://127.0.0.1:8000/demo-1.0-py3-none-any.whl\n",
        ),
        // A repeated line.
        ("requests\nRequests\n", "requests\n"),
    ];
    for (text, expected) in table {
        assert_eq!(outcome(check(text)).as_deref(), Ok(expected), "{text}");
    }
}

#[test]
fn hashes_are_read_as_pip_compile_and_poetry_write_them() {
    let other = HASH.replace("2c", "00");
    let compiled = format!(
        "certifi==2024.7.4 \\\n    --hash=sha256:{HASH} \\\n    --hash=sha256:{other}\n    \
         # via requests\nidna==3.7 --hash sha512:abcd --hash sha256:{HASH}\n"
    );
    let poetry = format!(
        "certifi==2024.7.4 ; python_version >= \"3.0\" --hash=sha256:{HASH} \\\r\n\
         --hash=sha256:{other}\r\n"
    );
    let url = format!("https://example.com/demo-1.0-py3-none-any.whl#egg=demo&sha256={HASH}");
    assert_eq!(
        outcome(check(&compiled)),
        Ok(format!(
            "certifi==2024.7.4 --hash=sha256:{other} --hash=sha256:{HASH}\n\
             idna==3.7 --hash=sha256:{HASH}\n"
        ))
    );
    assert_eq!(
        outcome(check(&poetry)),
        Ok(format!(
            "certifi==2024.7.4 ; python_full_version >= '3' --hash=sha256:{other} \
             --hash=sha256:{HASH}\n"
        ))
    );
    assert_eq!(
        outcome(check(&url)),
        Ok(format!(
            "demo @ https://example.com/demo-1.0-py3-none-any.whl#sha256={HASH}\n"
        ))
    );
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn what_reaches_outside_or_is_wrong_is_refused_at_its_place() {
    let table = [
        ("", "RequirementsEmpty"),
        ("# nothing\n", "RequirementsEmpty"),
        ("requests=2", "RequirementInvalid 1:9 \"=2\""),
        ("requests==", "RequirementInvalid 1:9 \"==\""),
        ("requests 2", "RequirementInvalid 1:10 \"2\""),
        ("foo- ==1", "RequirementInvalid 1:1 \"foo-\""),
        ("_foo", "RequirementInvalid 1:1 \"_foo\""),
        ("ümlaut", "RequirementInvalid 1:1 \"ü\""),
        ("foo[bar-]", "RequirementInvalid 1:5 \"bar-\""),
        ("foo[bar", "RequirementInvalid 1:4 \"[bar\""),
        ("foo[a,,b]", "RequirementInvalid 1:7 \",\""),
        ("foo ; python_version", "RequirementInvalid 1:20 \"n\""),
        (
            "foo ; python_version > '3.8.x'",
            "MarkerInvalid 1:5 \"; python_version > '3.8.x'\"",
        ),
        ("foo ; 'a' == 'b'", "MarkerInvalid 1:5 \"; 'a' == 'b'\""),
        (
            "foo ; os_name == \"it's\"",
            "RequirementInvalid 1:1 \"foo ; os_name == \\\"it's\\\"\"",
        ),
        ("ok\nfoo>=${MIN}", "EnvironmentVariable 2:6 \"${MIN}\""),
        (
            "foo --hash=sha256:12",
            "HashInvalid 1:5 \"--hash=sha256:12\"",
        ),
        ("foo --hash=sha512:abcd é", "OptionUnknown 1:24 \"é\""),
        (
            "foo --hash=sha512:abcd",
            "HashUnsupported 1:5 \"--hash=sha512:abcd\"",
        ),
        (
            "foo --hash=blake:abcd",
            "HashInvalid 1:5 \"--hash=blake:abcd\"",
        ),
        ("foo --hash", "HashInvalid 1:5 \"--hash\""),
        ("--hash=sha256:12", "OptionInvalid 1:1 \"--hash=sha256:12\""),
        (
            "foo --global-option=x",
            "OptionUnsupported 1:5 \"--global-option=x\"",
        ),
        (
            "foo --haash=sha256:12",
            "OptionUnknown 1:5 \"--haash=sha256:12\"",
        ),
        ("foo -r bar.txt", "OptionInvalid 1:5 \"-r\""),
        ("-r bar.txt", "IncludeRefused 1:1 \"-r bar.txt\""),
        ("-c bar.txt", "IncludeRefused 1:1 \"-c bar.txt\""),
        ("-r", "OptionInvalid 1:1 \"-r\""),
        ("--requirement=", "OptionInvalid 1:1 \"--requirement=\""),
        ("-r /etc/passwd", "IncludeOutside 1:1 \"-r /etc/passwd\""),
        ("-r ../up.txt", "IncludeOutside 1:1 \"-r ../up.txt\""),
        (
            "-r a/../../up.txt",
            "IncludeOutside 1:1 \"-r a/../../up.txt\"",
        ),
        ("-r C:\\x.txt", "IncludeOutside 1:1 \"-r C:\\\\x.txt\""),
        ("-r a\\b.txt", "IncludeOutside 1:1 \"-r a\\\\b.txt\""),
        ("-r ~/x.txt", "IncludeOutside 1:1 \"-r ~/x.txt\""),
        (
            "-r https://example.com/r.txt",
            "IncludeOutside 1:1 \"-r https://example.com/r.txt\"",
        ),
        ("-r file:r.txt", "IncludeOutside 1:1 \"-r file:r.txt\""),
        ("-r .", "IncludeOutside 1:1 \"-r .\""),
        (
            "-r ${DIR}/r.txt",
            "EnvironmentVariable 1:1 \"-r ${DIR}/r.txt\"",
        ),
        ("-e .", "EditableUnsupported 1:1 \"-e .\""),
        ("--editable=.", "EditableUnsupported 1:1 \"--editable=.\""),
        (
            "-ihttps://example.com/simple",
            "OptionUnsupported 1:1 \"-ihttps://example.com/simple\"",
        ),
        (
            "--index-url https://example.com/simple",
            "OptionUnsupported 1:1 \"--index-url https://example.com/simple\"",
        ),
        (
            "--extra-index-url x",
            "OptionUnsupported 1:1 \"--extra-index-url x\"",
        ),
        ("--find-links x", "OptionUnsupported 1:1 \"--find-links x\""),
        ("--no-index", "OptionUnsupported 1:1 \"--no-index\""),
        (
            "--trusted-host x",
            "OptionUnsupported 1:1 \"--trusted-host x\"",
        ),
        ("--pre", "OptionUnsupported 1:1 \"--pre\""),
        (
            "--no-binary :all:",
            "OptionUnsupported 1:1 \"--no-binary :all:\"",
        ),
        (
            "--only-binary=:all:",
            "OptionUnsupported 1:1 \"--only-binary=:all:\"",
        ),
        (
            "--require-hashes",
            "OptionUnsupported 1:1 \"--require-hashes\"",
        ),
        ("--requirements x", "OptionUnknown 1:1 \"--requirements x\""),
        ("-", "OptionUnknown 1:1 \"-\""),
        ("--", "OptionUnknown 1:1 \"--\""),
        ("./local", "LocalPathUnsupported 1:1 \"./local\""),
        (".", "LocalPathUnsupported 1:1 \".\""),
        ("/abs/x.whl", "LocalPathUnsupported 1:1 \"/abs/x.whl\""),
        (
            "demo-1.0-py3-none-any.whl",
            "LocalPathUnsupported 1:1 \"demo-1.0-py3-none-any.whl\"",
        ),
        (
            "dist/demo.tar.gz",
            "LocalPathUnsupported 1:1 \"dist/demo.tar.gz\"",
        ),
        (
            "C:\\wheels\\x",
            "LocalPathUnsupported 1:1 \"C:\\\\wheels\\\\x\"",
        ),
        (
            "file:///x.whl",
            "LocalPathUnsupported 1:1 \"file:///x.whl\"",
        ),
        ("file:x.whl", "LocalPathUnsupported 1:1 \"file:x.whl\""),
        (
            "demo @ file:///x.whl",
            "LocalPathUnsupported 1:8 \"file:///x.whl\"",
        ),
        ("demo @ ./x.whl", "LocalPathUnsupported 1:8 \"./x.whl\""),
        (
            "git+https://example.com/x.git",
            "VcsUnsupported 1:1 \"git+https://example.com/x.git\"",
        ),
        (
            "x @ git+ssh://git@example.com/x.git",
            "VcsUnsupported 1:5 \"git+ssh://git@example.com/x.git\"",
        ),
        (
            "x @ hg+https://example.com/x",
            "VcsUnsupported 1:5 \"hg+https://example.com/x\"",
        ),
        (
            "git@example.com:a/b.git",
            "VcsUnsupported 1:1 \"git@example.com:a/b.git\"",
        ),
        ("x @", "UrlInvalid 1:3 \"@\""),
        ("x @ https://", "UrlInvalid 1:5 \"https://\""),
        (
            "x @ ftp://example.com/x-1-py3-none-any.whl",
            "UrlUnsupported 1:5 \"ftp://example.com/x-1-py3-none-any.whl\"",
        ),
        (
            "x @ http://example.com/x-1-py3-none-any.whl",
            "UrlUnsupported 1:5 \"http://example.com/x-1-py3-none-any.whl\"",
        ),
        (
            "x @ http://localhost.example.com/x-1-py3-none-any.whl",
            "UrlUnsupported 1:5 \"http://localhost.example.com/x-1-py3-none-any.whl\"",
        ),
        (
            "x @ https://u:p@example.com/x-1-py3-none-any.whl",
            "UrlCredentials 1:5 \"https://u:p@example.com/x-1-py3-none-any.whl\"",
        ),
        (
            "x @ https://u@example.com/x-1-py3-none-any.whl",
            "UrlCredentials 1:5 \"https://u@example.com/x-1-py3-none-any.whl\"",
        ),
        (
            "x @ https://example.com/x-1.tar.gz",
            "SourceDistributionRefused 1:5 \"https://example.com/x-1.tar.gz\"",
        ),
        (
            "x @ https://example.com/x.exe",
            "UrlUnsupported 1:5 \"https://example.com/x.exe\"",
        ),
        (
            "x @ https://example.com/x.whl",
            "UrlInvalid 1:5 \"https://example.com/x.whl\"",
        ),
        (
            "x @ https://example.com/y-1-py3-none-any.whl",
            "UrlInvalid 1:5 \"https://example.com/y-1-py3-none-any.whl\"",
        ),
        (
            "x @ https://example.com/x-1-py3-none-any.whl; os_name == 'a'",
            "UrlInvalid 1:5 \"https://example.com/x-1-py3-none-any.whl;\"",
        ),
        (
            "x @ https://example.com/x-1-py3-none-any.whl#sha256=1",
            "HashInvalid 1:5 \"https://example.com/x-1-py3-none-any.whl#sha256=1\"",
        ),
        (
            "x @ https://example.com/x-1-py3-none-any.whl#md5=1",
            "HashUnsupported 1:5 \"https://example.com/x-1-py3-none-any.whl#md5=1\"",
        ),
        (
            "x @ https://example.com/x-1-py3-none-any.whl#subdirectory=a",
            "UrlUnsupported 1:5 \"https://example.com/x-1-py3-none-any.whl#subdirectory=a\"",
        ),
        (
            "x @ https://example.com/x-1-py3-none-any.whl?a\\b",
            "UrlInvalid 1:5 \"https://example.com/x-1-py3-none-any.whl?a\\\\b\"",
        ),
        (
            "https://example.com/x-1-py3-none-any.whl ; nonsense",
            "RequirementInvalid 1:44 \"nonsense\"",
        ),
        (
            "https://example.com/x-1-py3-none-any.whl ==1",
            "RequirementInvalid 1:41 \" ==1\"",
        ),
        ("foo # a \\\nbar", "CommentAmbiguous 1:5 \"# a \""),
        ("foo\u{c}\nbar", "ControlCharacter 1:4 \"\\u{c}\""),
        ("foo # \u{202e}rab\n", "ControlCharacter 1:7 \"\\u{202e}\""),
    ];
    for (text, expected) in table {
        let first = outcome(check(text)).expect_err(text);
        let first = first
            .lines()
            .next()
            .unwrap()
            .replace("requirements.txt:", "");
        assert_eq!(first, expected, "{text}");
    }
}

#[test]
fn every_problem_is_found_at_once() {
    let text = "requests=1\n-e .\nok\nfoo \\\n  --hash=sha256:xyz\n--extra-indx-url x\n";
    let report = check(text).unwrap_err();
    insta::assert_snapshot!(described(&report), @r#"
    RequirementInvalid requirements.txt:1:9 "=1"
    EditableUnsupported requirements.txt:2:1 "-e ."
    HashInvalid requirements.txt:5:3 "--hash=sha256:xyz"
    OptionUnknown requirements.txt:6:1 "--extra-indx-url x"
    "#);
}

#[test]
fn source_distributions_by_url_are_a_choice() {
    let text = "x @ https://example.com/x-1.0.tar.gz";
    let checked = parse("requirements.txt", text, &NoInclude, true);
    assert_eq!(outcome(checked), Ok(format!("{text}\n")));
}

#[test]
fn a_requirement_that_never_applies_is_left_out() {
    let text = "a\nb ; python_version < '3' and python_version > '4'\n";
    let (set, report) = check(text).unwrap();
    assert_eq!(set.to_requirements_txt(), "a\n");
    assert_eq!(report.problems[0].code, "RequirementNeverApplies");
    assert!(check(text.strip_prefix("a\n").unwrap()).is_err());
}

fn environment(python: &str) -> MarkerEnvironment {
    let minor = python.rsplit_once('.').map_or(python, |(minor, _)| minor);
    let builder = pep508_rs::MarkerEnvironmentBuilder {
        implementation_name: "cpython",
        implementation_version: python,
        os_name: "posix",
        platform_machine: "x86_64",
        platform_python_implementation: "CPython",
        platform_release: "",
        platform_system: "Linux",
        platform_version: "",
        python_full_version: python,
        python_version: minor,
        sys_platform: "linux",
    };
    builder.try_into().unwrap()
}

#[test]
fn accepted_files_are_those_of_every_line_that_applies() {
    let hash = |digit: &str| digit.repeat(64);
    let (a, b, c) = (hash("a"), hash("b"), hash("c"));
    let text = format!(
        "one --hash=sha256:{a} --hash=sha256:{b}\n\
         two==1 ; python_version < '3.13' --hash=sha256:{a}\n\
         two==2 ; python_version >= '3.13' --hash=sha256:{b}\n\
         three ; os_name == 'posix'\n\
         -c limits.txt\n"
    );
    let limits = move |_: &str| Ok(format!("one --hash=sha256:{b} --hash=sha256:{c}\n"));
    let (set, _) = parse("requirements.txt", &text, &limits, false).unwrap();
    let accepted = |name: &str, python: &str| {
        let hashes = set.accepted_hashes(&name.parse().unwrap(), &environment(python))?;
        let first = |hash: &Sha256| hash.to_string().remove(0);
        Some(hashes.iter().map(first).collect::<String>())
    };
    assert_eq!(accepted("one", "3.13.1").as_deref(), Some("b"));
    assert_eq!(accepted("two", "3.12.1").as_deref(), Some("a"));
    assert_eq!(accepted("two", "3.13.1").as_deref(), Some("b"));
    assert_eq!(accepted("three", "3.13.1"), None);
    assert_eq!(accepted("four", "3.13.1"), None);
}

/// Files in memory.
struct Files(BTreeMap<&'static str, &'static str>);

impl Include for Files {
    fn read(&self, path: &str) -> Result<String, IncludeError> {
        let missing = || IncludeError::Unreadable("there is no such file".to_owned());
        let text = self.0.get(path).ok_or_else(missing)?;
        Ok((*text).to_owned())
    }
}

#[test]
fn includes_follow_the_including_file() {
    let files = Files(BTreeMap::from([
        ("base.txt", "\u{feff}base\n-r sub/more.txt\n"),
        ("sub/more.txt", "more\n-r deep.txt\n"),
        ("sub/deep.txt", "deep\n--constraint=limits.txt"),
        ("sub/limits.txt", "more<2\n-r nested.txt\n"),
        ("sub/nested.txt", "base<3\n"),
    ]));
    let text = "-r ./base.txt\n-rbase.txt\n--requirement \"sub/deep.txt\"\nown\n";
    let (set, report) = parse("in/requirements.txt", text, &files, false).unwrap();
    assert_eq!(set.to_requirements_txt(), "base\ndeep\nmore\nown\n");
    assert_eq!(set.to_constraints_txt(), "base<3\nmore<2\n");
    assert_eq!(report.problems, []);
    let names: Vec<_> = report.sources.iter().map(|source| &source.name).collect();
    assert_eq!(
        names,
        [
            "in/requirements.txt",
            "in/base.txt",
            "in/sub/more.txt",
            "in/sub/deep.txt",
            "in/sub/limits.txt",
            "in/sub/nested.txt",
        ]
    );
}

#[test]
fn problems_with_includes_are_found_in_the_right_file() {
    let files = Files(BTreeMap::from([
        ("a.txt", "one\n-r b.txt\n"),
        (
            "b.txt",
            "two\n  bad=1\n-r a.txt\n-r requirements.txt\n-r gone.txt\n",
        ),
        ("limits.txt", "x[extra]<2\n"),
    ]));
    let text = "-r a.txt\n-c limits.txt\n";
    let report = parse("requirements.txt", text, &files, false).unwrap_err();
    insta::assert_snapshot!(described(&report), @r#"
    RequirementInvalid b.txt:2:6 "=1"
    IncludeCycle b.txt:3:1 "-r a.txt"
    IncludeCycle b.txt:4:1 "-r requirements.txt"
    IncludeMissing b.txt:5:1 "-r gone.txt"
    ConstraintInvalid limits.txt:1:1 "x[extra]<2"
    "#);
}

#[test]
fn includes_have_limits() {
    let deep = |path: &str| {
        let number: usize = path.trim_end_matches(".txt").parse().unwrap();
        Ok(format!("-r {}.txt\n", number + 1))
    };
    let report = parse("requirements.txt", "-r 0.txt", &deep, false).unwrap_err();
    assert_eq!(report.problems[0].code, "IncludeTooDeep");
    assert_eq!(report.sources.len(), Limits::INCLUDE_DEPTH + 1);

    let wide: Vec<String> = (0..=Limits::INCLUDED_FILES)
        .map(|n| format!("-r {n}.txt"))
        .collect();
    let leaf = |_: &str| Ok("a\n".to_owned());
    let report = parse("requirements.txt", &wide.join("\n"), &leaf, false).unwrap_err();
    assert_eq!(report.problems.last().unwrap().code, "IncludeTooDeep");
    assert_eq!(report.sources.len(), Limits::INCLUDED_FILES + 1);
}

#[test]
fn texts_have_limits() {
    let lines = |count: usize| {
        let lines: Vec<String> = (0..count).map(|n| format!("a{n}")).collect();
        lines.join("\n")
    };
    assert!(check(&lines(Limits::REQUIREMENTS)).is_ok());
    let report = check(&lines(Limits::REQUIREMENTS + 5)).unwrap_err();
    assert_eq!(report.problems.len(), 1);
    assert_eq!(report.problems[0].code, "TooManyRequirements");

    let report = check(&"a\n".repeat(Limits::REQUIREMENTS * 2)).unwrap_err();
    assert_eq!(report.problems.last().unwrap().code, "TooManyRequirements");

    let long = format!("a{}", ">1,".repeat(Limits::REQUIREMENT_BYTES / 3 + 1));
    assert_eq!(check(&long).unwrap_err().problems[0].code, "LineTooLong");
    let long = format!("a {}", "--hash=x ".repeat(Limits::LINE_BYTES / 9 + 1));
    assert_eq!(check(&long).unwrap_err().problems[0].code, "LineTooLong");

    let deep = format!("a ; {}os_name == 'x'{}", "(".repeat(900), ")".repeat(900));
    assert_eq!(check(&deep).unwrap_err().problems[0].code, "MarkerInvalid");

    let many = "bad=1\n".repeat(1_000);
    let report = check(&many).unwrap_err();
    assert_eq!(report.problems.len(), Limits::PROBLEMS + 1);
    assert_eq!(report.problems.last().unwrap().code, "TooManyProblems");
}

/// The time a marker takes grows exponentially with its comparisons; this is the worst there is.
#[test]
fn markers_that_the_library_panics_on() {
    // It counts characters where it means bytes.
    for marker in [
        "os_name == 'x'\u{feff}y",
        "os_name == 'x' a'é'",
        "os_name == 'é'",
    ] {
        let report = check(&format!("a ; {marker}\n")).unwrap_err();
        assert_eq!(report.problems[0].code, code::MARKER_INVALID, "{marker}");
    }
}

#[test]
fn the_worst_marker_is_read_in_time() {
    let started = std::time::Instant::now();
    let keys = [
        "os_name",
        "sys_platform",
        "platform_machine",
        "platform_release",
        "platform_system",
        "platform_version",
    ];
    let pairs: Vec<String> = keys
        .iter()
        .map(|key| format!("({key} == 'a' or '{key}' in {key})"))
        .collect();
    for marker in [
        pairs.join(" and "),
        pairs.join(" or ").replace(" or '", " and '"),
    ] {
        let _ = check(&format!("a ; {marker}"));
    }
    let extras: Vec<String> = (0..6)
        .map(|n| format!("(extra == 'a{n}' or '{n}' in platform_version)"))
        .collect();
    let _ = check(&format!("a ; {}", extras.join(" and ")));
    assert!(started.elapsed().as_secs() < 10, "{:?}", started.elapsed());
}

/// The costs of markers add up: a thousand of the worst took a minute, and a gigabyte for good.
#[test]
fn only_so_many_costly_markers_are_read() {
    let keys = [
        "os_name",
        "sys_platform",
        "platform_machine",
        "platform_release",
        "platform_system",
        "platform_version",
        "implementation_name",
        "platform_python_implementation",
    ];
    let line = |value: usize| {
        let comparisons = keys.map(|key| format!("{key} != '{value}'"));
        format!("a{value} ; {}\n", comparisons.join(" or "))
    };
    let each = 1 << keys.len();
    // Each of them, and what it is written as.
    let most = Limits::MARKERS_COST / each / 2;
    let text: String = (0..most).map(line).collect();
    check(&text).unwrap();
    let report = check(&(text + &line(most))).unwrap_err();
    assert_eq!(report.problems[0].code, "MarkerInvalid");
    assert_eq!(report.problems.len(), 1);
    // One that comes again takes as long.
    let same = |value: usize| line(0).replacen("a0", &format!("a{value}"), 1);
    check(&(0..most).map(same).collect::<String>()).unwrap();
    let report = check(&(0..=most).map(same).collect::<String>()).unwrap_err();
    assert_eq!(report.problems[0].code, "MarkerInvalid");
}

#[test]
fn bytes_that_are_no_utf8_are_pointed_out() {
    let report = parse_bytes("requirements.txt", b"a\nb\xff", &NoInclude, false).unwrap_err();
    assert_eq!(
        described(&report),
        "NotUtf8 requirements.txt:2:2 \"\u{fffd}\"\n"
    );
}

fn requirement_line() -> impl Strategy<Value = String> {
    let name = "[A-Za-z0-9]([A-Za-z0-9._-]{0,8}[A-Za-z0-9])?";
    let extras = "(\\[[a-z]{1,3}(, ?[a-z]{1,3})?\\])?";
    let version =
        "( ?(==|>=|<|<=|!=|>) ?[0-9]{1,2}(\\.[0-9]{1,2}){0,2}((a|b|rc|\\.post|\\.dev)[0-9])?)?";
    let marker = prop::option::of(prop_oneof![
        "python_version (<|>=|==|!=) '3\\.[0-9]{1,2}'",
        "(sys_platform|os_name|platform_machine) (==|!=|in|not in) '[a-z0-9 #-]{1,6}'",
        "python_full_version (<|>) '3\\.[0-9]' (and|or) os_name == '[a-z]'",
        "'[a-z]' in platform_version",
        "extra == '[a-z]'",
    ]);
    let hash = prop::option::of("[0-9a-fA-F]{64}");
    (name, extras, version, marker, hash).prop_map(|(name, extras, version, marker, hash)| {
        let marker = marker.map_or(String::new(), |marker| format!(" ; {marker}"));
        let hash = hash.map_or(String::new(), |hash| format!(" --hash=sha256:{hash}"));
        format!("{name}{extras}{version}{marker}{hash}")
    })
}

proptest! {
    #[test]
    fn no_text_makes_the_parser_panic(text in "\\PC*") {
        let _ = check(&text);
    }

    #[test]
    fn no_text_of_the_formats_own_words_makes_the_parser_panic(
        words in prop::collection::vec(prop_oneof![
            Just("foo"), Just("foo-"), Just("["), Just("]"), Just(","), Just(" "), Just("\t"),
            Just("\n"), Just("\r\n"), Just("\\\n"), Just("\\"), Just("#"), Just("@"), Just(";"),
            Just("=="), Just("="), Just(">="), Just("~="), Just("==="), Just("1.0"), Just("1.*"),
            Just("("), Just(")"), Just("python_version"), Just("os_name"), Just("extra"),
            Just(" in "), Just(" not in "), Just(" and "), Just(" or "), Just("'"), Just("\""),
            Just("'3.8'"), Just("'a b'"), Just("-r"), Just("--hash="), Just("sha256:"), Just("é"),
            Just("https://example.com/"), Just("foo-1-py3-none-any.whl"), Just("${X}"), Just("."),
        ], 0..24)
    ) {
        let text = words.concat();
        match check(&text) {
            Ok((set, _)) => {
                let (again, _) = check(&set.to_requirements_txt()).unwrap();
                prop_assert_eq!(again, set);
            }
            Err(report) => {
                described(&report);
            }
        }
    }

    #[test]
    fn what_is_written_reads_as_the_same_set(
        lines in prop::collection::vec(requirement_line(), 1..6)
    ) {
        let text = lines.join("\n");
        // Some markers are never true, and some lists become empty with that.
        if let Ok((set, _)) = check(&text) {
            let (again, report) = check(&set.to_requirements_txt()).unwrap();
            prop_assert_eq!(again, set);
            prop_assert_eq!(report.problems, []);
        }
    }
}

/// Held against pip in `hashes.rs` of the integration tests.
#[test]
fn one_hash_asks_for_all() {
    const WHEEL: &str = "https://example.com/u-1.0-py3-none-any.whl";
    let missing =
        |names: &str| format!("there is no hash for {names}, but one for another requirement");
    for (text, expected) in [
        ("a\nb", None),
        ("a --hash=sha256:H\nb --hash=sha256:H", None),
        ("a --hash=sha256:H\nb", Some(missing("`b`"))),
        (
            "a --hash=sha256:H\nb==1\nc[d]>=2 # no",
            Some(missing("`b==1`, `c[d]>=2`")),
        ),
        (
            "a ; os_name == 'nt' --hash=sha256:H\nb",
            Some(missing("`b`")),
        ),
        // Whether it applies depends on the target.
        ("a --hash=sha256:H\nb ; python_version >= '3.13'", None),
        ("a --hash=sha256:H\na", None),
        ("a\na<2 --hash=sha256:H\nb", Some(missing("`b`"))),
        ("a --hash=sha256:H\nb\n-c c.txt", None),
        ("a\n-c c.txt", Some(missing("`a`"))),
        ("a\n-r r.txt", Some(missing("`a`"))),
        ("a --hash=sha256:H\n-r r.txt", None),
        ("URL#sha256=H\nb", None),
        ("u @ URL#sha256=H\nb --hash=sha256:H", None),
        ("URL --hash=sha256:H\nb", Some(missing("`b`"))),
        ("URL#sha256=H --hash=sha256:H\nb", Some(missing("`b`"))),
        ("a --hash=sha256:H\nURL", Some(missing("`u @ URL`"))),
        (
            "a --hash=sha256:H\nb1\nb2\nb3\nb4\nb5\nb6\nb7",
            Some(missing("`b1`, `b2`, `b3`, `b4`, `b5` and 2 more")),
        ),
    ] {
        let whole = |text: &str| text.replace("sha256:H", &format!("sha256:{HASH}"));
        let text = whole(&text.replace("sha256=H", &format!("sha256={HASH}")));
        let text = text.replace("URL", WHEEL);
        let include = |path: &str| {
            Ok(whole(match path {
                "c.txt" => "b --hash=sha256:H\n",
                _ => "r --hash=sha256:H\n",
            }))
        };
        let found = match parse("requirements.txt", &text, &include, false) {
            Ok(_) => None,
            Err(report) => {
                let problem = &report.problems[0];
                assert_eq!(report.problems.len(), 1, "{text}");
                assert_eq!(problem.code, code::HASH_MISSING, "{text}");
                assert!(problem.location.is_some(), "{text}");
                Some(problem.message.clone())
            }
        };
        let expected = expected.map(|it| it.replace("URL", WHEEL));
        assert_eq!(found, expected, "{text}");
    }
}

#[test]
fn a_hash_in_a_url_stays_there() {
    let text = format!("https://example.com/u-1.0-py3-none-any.whl#sha256={HASH}\n");
    let (set, _) = check(&text).unwrap();
    let written = set.to_requirements_txt();
    assert_eq!(written, format!("u @ {text}"));
    assert!(!set.wants_hashes());
    assert_eq!(check(&written).unwrap().0, set);
}

/// Refused options of pip name their equivalent, for the command and in a request.
#[test]
fn options_of_pip_are_refused_with_what_does_the_same() {
    let sources = ["--allow-source-distributions", "`AllowSourceDistributions`"];
    for (line, words) in [
        (
            "-i https://example.com/simple",
            &["--default-index URL", "`Indexes`"][..],
        ),
        (
            "--index-url=https://example.com/simple",
            &["--default-index URL", "`Indexes`"],
        ),
        (
            "--pypi-url https://example.com/",
            &["--default-index URL", "`Indexes`"],
        ),
        (
            "--extra-index-url https://example.com/",
            &["--index NAME=URL", "`Indexes`"],
        ),
        ("--no-index", &["--offline"]),
        (
            "-f wheels/",
            &["https URLs", "--index NAME=URL", "`Indexes`"],
        ),
        (
            "--find-links=https://example.com/",
            &["https URLs", "--index NAME=URL", "`Indexes`"],
        ),
        ("--trusted-host example.com", &["SSL_CERT_FILE"]),
        ("--no-binary :all:", &sources),
        ("--only-binary=:all:", &sources),
        ("--prefer-binary", &sources),
        ("--pre", &["example>=2.0rc1"]),
        ("--require-hashes", &["pylock.toml"]),
    ] {
        let report = check(&format!("{line}\nsix\n")).unwrap_err();
        let [problem] = report.problems.as_slice() else {
            panic!("{line}: {:?}", report.problems)
        };
        assert_eq!(problem.code, code::OPTION_UNSUPPORTED, "{line}");
        let help = problem.help.as_deref().unwrap();
        for word in words {
            assert!(help.contains(word), "{line}: {help}");
        }
        assert!(
            help.contains("remove the line") || line == "--pre",
            "{line}: {help}"
        );
    }
}
