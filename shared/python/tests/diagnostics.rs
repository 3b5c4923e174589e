//! Problems of requests and requirements files, as people and programs are shown them.

#![expect(clippy::unwrap_used, reason = "what fails in a helper fails the test")]

use accretion_core::diagnostic::{Problem, Report, code};
use accretion_python::request::Request;
use accretion_python::requirement::{self, IncludeError};

fn included() -> Report {
    let include = |path: &str| match path {
        "base.txt" => Ok("boto3\nboto3\nflask[async>=3  # ünïcode\n".to_owned()),
        _ => Err(IncludeError::Unreadable("there is no such file".to_owned())),
    };
    let text = "-r base.txt\n-r gone.txt\nnumpy \\\n    --hash=md5:00 \\\n    --hash=x\n";
    requirement::parse("in/requirements.txt", text, &include, false).unwrap_err()
}

fn request() -> Report {
    let text = r#"{"Name": "tools", "Languge": "python",
  "Requirements": {"Type": "requirements.txt", "Requirements": "requests\n-e .\n"},
  "Runtimes": ["python3.10"]}"#;
    Request::from_json("request.json", text.as_bytes()).unwrap_err()
}

#[test]
fn problems_are_shown_in_the_text() {
    insta::assert_snapshot!(included().render());
    insta::assert_snapshot!(request().render());
}

#[test]
fn colour_adds_nothing_but_colour() {
    for report in [included(), request()] {
        let coloured = report.render_coloured();
        assert!(coloured.contains("\u{1b}["));
        assert_eq!(without_escapes(&coloured), report.render());
    }
}

/// Stored and sent parts of an input have no passwords.
#[test]
fn credentials_are_not_shown() {
    let text = "a @ https://user:pa@ss@example.com/a-1-py3-none-any.whl\n\
                b @ https://example.com/b@c  # \"https://user:pass@example.com\"\n\
                c @ https://${USER}:${TOKEN}@example.com/c-1-py3-none-any.whl\n";
    let mut report = Report::new("requirements.txt", text);
    let lines = text.match_indices('\n').map(|(at, _)| at + 5);
    for start in [4].into_iter().chain(lines.take(2)) {
        report.push(Problem::error("X", "x").at(0, start..start + 10));
    }
    let shown = report.render();
    assert!(
        shown.contains("1 | a @ https://**********@example.com/a-1-py3-none-any.whl\n"),
        "{shown}"
    );
    assert!(
        shown.contains("3 | c @ https://${USER}:${TOKEN}@example.com/c"),
        "{shown}"
    );
    assert!(
        shown.contains("2 | b @ https://example.com/b@c  # \"https://*********@example.com\"\n"),
        "{shown}"
    );
}

/// A line may have megabytes, and a report many problems in it.
#[test]
fn a_long_line_is_shown_as_a_short_one() {
    let runtimes = |count: usize| vec!["\"ü\""; count].join(",");
    let report = |count: usize| {
        let (before, after) = (runtimes(count), runtimes(count));
        let text = format!(r#"{{"Runtimes": [{before}, "x", {after}]}}"#);
        let start = text.find("\"x\"").unwrap();
        let mut report = Report::new("request.json", text);
        report.push(Problem::error("X", "x").at(0, start..start + 3));
        report.render()
    };
    let of_line = |shown: &str| shown.lines().skip(3).map(str::to_owned).collect::<Vec<_>>();
    let (short, long) = (report(300), report(100_000));
    assert!(long.contains("request.json:1:400016\n"), "{long}");
    assert!(
        of_line(&long).iter().any(|line| line.contains("\"x\"")),
        "{long}"
    );
    assert!(long.len() < short.len() + 100, "{long}");
}

fn without_escapes(text: &str) -> String {
    let mut parts = text.split("\u{1b}[");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |plain, part| {
        plain + part.split_once('m').map_or("", |(_, rest)| rest)
    })
}

#[test]
fn a_problem_of_the_whole_names_the_file() {
    let report =
        requirement::parse("requirements.txt", "", &requirement::NoInclude, false).unwrap_err();
    insta::assert_snapshot!(report.render());
    assert_eq!(Report::default().render(), "");
}

#[test]
fn control_characters_never_reach_the_terminal() {
    let text = "ok \u{1b}[31mred\u{7}\n\u{9b}x\n";
    let report =
        requirement::parse("a\u{1b}.txt", text, &requirement::NoInclude, false).unwrap_err();
    let rendered = report.render();
    let controls = rendered.chars().filter(|c| c.is_control() && *c != '\n');
    assert_eq!(controls.count(), 0, "{rendered:?}");
}

#[test]
fn every_problem_at_every_place_can_be_rendered() {
    let texts = [
        "é=1",
        "é\r\n=\r\n",
        "a \\\n =1",
        "a\u{301}\u{301}=1\t\t=",
        "\t-e",
        "a==\n",
    ];
    for text in texts {
        let checked = requirement::parse("r.txt", text, &requirement::NoInclude, false);
        let rendered = checked.unwrap_err().render();
        assert!(rendered.contains("--> r.txt:"), "{rendered}");
    }
}

#[test]
fn programs_read_the_same_problems() {
    insta::assert_json_snapshot!(included().records());
}

#[test]
fn whatever_a_problem_quotes_it_is_a_line_of_bounded_length() {
    for (text, expected) in [
        ("plain, é", "plain, é".to_owned()),
        ("a\n\u{1b}[2J\0b", "a\\n\\u{1b}[2J\\0b".to_owned()),
        ("a\u{85}\u{2028}b", "a\\u{85}\\u{2028}b".to_owned()),
        (&"é".repeat(1_000), "é".repeat(1_000)),
        (
            &"é".repeat(1_001),
            "é".repeat(1_000) + " … 1 characters left out",
        ),
    ] {
        let problem = Problem::error(code::NOT_UTF8, text).help(text);
        assert_eq!(problem.message, expected);
        assert_eq!(problem.help, Some(expected));
    }
}
