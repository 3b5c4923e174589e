use accretion_core::digest::Sha256;
use accretion_core::limits::Limits;
use accretion_core::pruning::Pruning;
use accretion_core::request::{FileRules, FileSource, Permission, Targets};
use accretion_core::target::{Architecture, Target};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::lock::{LockFile, LockFormat, Selection};
use crate::requirement::{NoInclude, RequirementSet};

mod indexes;

use self::indexes::{distinct, index};

fn check(text: &str) -> Checked<Request> {
    Request::from_json("request.json", text.as_bytes())
}

/// Code, place, message and help of every problem.
fn described(report: &Report) -> String {
    let describe = |problem: &Problem| {
        let place = problem.location.as_ref().map_or(String::new(), |place| {
            let (line, column) = report.line_column(place);
            let part = &report.sources[place.source].text[place.span.clone()];
            format!(" {line}:{column} {part:?}")
        });
        let help = problem.help.as_deref().expect("every problem has help");
        format!("{}{place}\n  {}\n  {help}\n", problem.code, problem.message)
    };
    report.problems.iter().map(describe).collect()
}

fn codes(report: &Report) -> Vec<&'static str> {
    report.problems.iter().map(|problem| problem.code).collect()
}

/// A request with every required field, changed by merging `changes` into it.
fn with(changes: &Value) -> Value {
    let mut document = json!({
        "Name": "data-tools",
        "Language": "python",
        "Requirements": {"Type": "requirements.txt", "Requirements": "requests\n"},
    });
    let fields = document.as_object_mut().unwrap();
    for (name, value) in changes.as_object().unwrap().clone() {
        if value == json!("(removed)") {
            fields.remove(&name);
        } else {
            fields.insert(name, value);
        }
    }
    document
}

#[test]
fn defaults_are_filled_in() {
    let (request, report) = check(&with(&json!({})).to_string()).unwrap();
    assert_eq!(report.problems, []);
    assert_eq!(request.name.as_str(), "data-tools");
    let slugs: Vec<String> = request.targets.iter().map(Target::slug).collect();
    assert_eq!(
        slugs,
        [
            "py311",
            "py311-arm64",
            "py312",
            "py312-arm64",
            "py313",
            "py313-arm64",
            "py314",
            "py314-arm64"
        ]
    );
    assert!(!request.input.allow_source_distributions);
    assert_eq!(
        request,
        Request::new(
            request.name.clone(),
            PythonInput::new(request.input.requirements.clone())
        )
    );
}

#[test]
fn a_full_request_is_normalised_when_written() {
    let text = json!({
        "Name": "data_Tools-1",
        "Language": "Python",
        "Requirements": {"Type": "accretion", "Requirements": [
            {"Name": "Requests", "Details": ""},
            {"Name": "accretion", "Details": "[policy]"},
            {"Name": "numpy", "Details": " >= 0.9.0"},
            {"Name": "demo", "Details": " @ https://example.com/demo-1.0-py3-none-any.whl"},
        ]},
        "Runtimes": ["python3.13", "python3.12"],
        "Architectures": ["arm64"],
        "Description": "1.4.0",
        "LicenseInfo": "MIT",
        "Permissions": [
            {"Principal": "123456789012"},
            {"Principal": "*", "OrganizationId": "o-abcdefghij"},
            {"Principal": "*"},
        ],
        "Exclude": ["Boto_Core"],
        "AllowSourceDistributions": true,
    });
    let (request, report) = check(&text.to_string()).unwrap();
    assert_eq!(report.problems, []);
    insta::assert_snapshot!(request.to_json(), @r#"
    {
      "Name": "data_Tools-1",
      "Language": "python",
      "Requirements": {
        "Type": "requirements.txt",
        "Requirements": "accretion[policy]\ndemo @ https://example.com/demo-1.0-py3-none-any.whl\nnumpy>=0.9.0\nrequests\n"
      },
      "Runtimes": [
        "python3.12",
        "python3.13"
      ],
      "Architectures": [
        "arm64"
      ],
      "Description": "1.4.0",
      "LicenseInfo": "MIT",
      "Permissions": [
        {
          "Principal": "*"
        },
        {
          "Principal": "*",
          "OrganizationId": "o-abcdefghij"
        },
        {
          "Principal": "123456789012"
        }
      ],
      "Exclude": [
        "boto-core"
      ],
      "AllowSourceDistributions": true
    }
    "#);
}

#[test]
fn merged_layers_are_one_for_each_architecture() {
    let layers = |merge: bool| {
        let request = json!({
            "Name": "tools",
            "Language": "python",
            "Requirements": {"Type": "requirements.txt", "Requirements": "requests\n"},
            "Runtimes": ["python3.13", "python3.12"],
            "Merge": merge,
        });
        let (request, _) = check(&request.to_string()).unwrap();
        assert_eq!(request.to_json().contains("\"Merge\": true"), merge);
        let layers = request.layers().into_iter();
        let layers = layers.map(|it| (it.target().slug(), it.runtimes().len()));
        layers.collect::<Vec<_>>()
    };
    let slugs = |slugs: &[&str], runtimes| -> Vec<_> {
        slugs
            .iter()
            .map(|it| ((*it).to_owned(), runtimes))
            .collect()
    };
    assert_eq!(layers(true), slugs(&["py", "py-arm64"], 2));
    let each = ["py312", "py312-arm64", "py313", "py313-arm64"];
    assert_eq!(layers(false), slugs(&each, 1));
}

#[test]
fn constraints_survive_being_written() {
    let include = |_: &str| Ok("idna<4\n".to_owned());
    let name: ProjectName = "x".parse().unwrap();
    let text = b"requests\n-c limits.txt\n";
    let (request, _) =
        from_requirements_txt(name, "requirements.txt", text, &include, false).unwrap();
    let (again, _) = check(&request.to_json()).unwrap();
    assert_eq!(again, request);
    let Requirements::Set(set) = again.input.requirements else {
        panic!("requirements are a set");
    };
    assert_eq!(set.to_constraints_txt(), "idna<4\n");
}

fn locked(name: ProjectName, bytes: &[u8]) -> Checked<Request> {
    from_lock(LockFormat::Pylock, name, "pylock.toml", bytes, None)
}

#[test]
fn a_lock_file_is_kept_as_it_is() {
    let name: ProjectName = "x".parse().unwrap();
    let text = "lock-version = \"1.0\"\r\n# ü\n";
    let (request, _) = locked(name.clone(), text.as_bytes()).unwrap();
    let Requirements::Lock(file) = &request.input.requirements else {
        panic!("it is a lock");
    };
    assert_eq!((file.format(), file.text()), (LockFormat::Pylock, text));
    assert_eq!(check(&request.to_json()).unwrap().0, request);
    let report = locked(name, b" \n").unwrap_err();
    assert_eq!(codes(&report), ["LockEmpty"]);
}

#[test]
fn a_broken_lock_file_is_shown_where_it_breaks() {
    let name: ProjectName = "x".parse().unwrap();
    let text = "lock-version = \"1.0\"\npackages = 3\n";
    let report = locked(name, text.as_bytes()).unwrap_err();
    assert_eq!(codes(&report), ["LockInvalid"]);
    let location = report.problems[0].location.as_ref().unwrap();
    assert_eq!(report.line_column(location), (2, 12));
}

#[test]
fn a_lock_file_is_held_against_every_target() {
    let name: ProjectName = "x".parse().unwrap();
    let text = "lock-version = \"1.0\"\nrequires-python = \">=3.13\"\n";
    let (mut request, _) = locked(name, text.as_bytes()).unwrap();
    request.targets = Targets::default();
    let problems = problems(&request, &[]);
    let codes: Vec<_> = problems.iter().map(|problem| problem.code).collect();
    assert_eq!(codes, ["LockMismatch"; 4], "{problems:?}");
}

/// As the deprecated ones, others are built for when they are named, and then there is a problem.
#[test]
fn layers_are_for_the_runtimes_that_the_input_is_for() {
    let name: ProjectName = "x".parse().unwrap();
    let of = |requires: &str| {
        let lock = format!("lock-version = \"1.0\"\nrequires-python = \"{requires}\"\n");
        let script = format!(
            "# /// script\n# requires-python = \"{requires}\"\n# dependencies = [\"a\"]\n# ///\n"
        );
        let (of_lock, _) = locked(name.clone(), lock.as_bytes()).unwrap();
        let of_script = from_script(name.clone(), "x.py", script.as_bytes(), false);
        let of_json = json!({"Requirements": {"Type": "pylock.toml", "Requirements": lock}});
        let (of_json, _) = check(&with(&of_json).to_string()).unwrap();
        let requests = [of_lock, of_script.unwrap().0, of_json];
        let runtimes = requests.map(|it| it.targets.runtimes().collect::<Vec<_>>());
        assert_eq!(runtimes[0], runtimes[1], "{requires}");
        assert_eq!(runtimes[0], runtimes[2], "{requires}");
        runtimes[0].clone()
    };
    let all: Vec<_> = Runtime::supported().collect();
    assert_eq!(of(">=3.8"), all);
    assert_eq!(of(">=3.13"), [Runtime::Python313, Runtime::Python314]);
    assert_eq!(of("==3.12.6"), [Runtime::Python312]);
    assert_eq!(of("<3.11"), all, "none is left: then each has a problem");
}

#[test]
fn every_problem_is_reported_at_its_place() {
    let text = r#"{
  "name": "data tools",
  "Name": "data tools",
  "Language": "ruby",
  "Requirements": {"Type": "requirements.txt", "Requirements": "requests\n# \u00fc \ud83d\ude00 \"x\"\nflask=3\n-e .\n"},
  "Runtimes": ["python3.13", "python3.9", "python3.13", "python3.10", 3],
  "Architectures": [],
  "Architectures": ["arm64"],
  "LicenseInfo": null,
  "Permissions": [
    {"Principal": "1234"},
    {"Principal": "123456789012", "OrganizationId": "o-abcdefghij"},
    {"OrganizationId": "abc", "Account": 1}
  ],
  "Exclude": ["numpy", "NumPy", "a b"],
  "AllowSourceDistribution": true
}"#;
    let report = check(text).unwrap_err();
    insta::assert_snapshot!(described(&report), @r#"
    FieldUnknown 2:3 "\"name\""
      a request has no field `name`
      did you mean `Name`?
    ProjectNameInvalid 3:11 "\"data tools\""
      `data tools` is not a project name
      a project name has 1 to 70 letters, digits, `-` and `_`
    LanguageUnsupported 4:15 "\"ruby\""
      `ruby` is not a supported language
      only `python` is
    RequirementInvalid 5:109 "=3"
      line 3 of the requirements: no such comparison operator "=", must be one of ~= == != <= >= < > ===
      write `==` for one version
    EditableUnsupported 5:113 "-e ."
      line 4 of the requirements: `-e` is not allowed: a layer can't hold an editable installation
      build a wheel and require it by name or by its https URL
    RuntimeUnknown 6:30 "\"python3.9\""
      `python3.9` is not supported in `Runtimes`
      known are `python3.10`, `python3.11`, `python3.12`, `python3.13`, `python3.14`, `python3.15`
    ValueRepeated 6:43 "\"python3.13\""
      `python3.13` appears twice
      remove one
    RuntimeDeprecated 6:57 "\"python3.10\""
      AWS deprecated the runtime `python3.10` on 2026-10-31: no function can be created with it from 2027-02-01 on, and none updated from 2027-03-03 on
      move its functions to a newer runtime, then remove it here
    WrongType 6:71 "3"
      an item of `Runtimes` must be a string, not a number
      docs/formats.md shows the form
    ListEmpty 7:20 "[]"
      `Architectures` is empty
      remove it to choose all that are supported, or name some
    FieldRepeated 8:3 "\"Architectures\""
      `Architectures` appears twice
      remove one
    WrongType 9:18 "null"
      `LicenseInfo` must be a string, not null
      docs/formats.md shows the form
    PrincipalInvalid 11:19 "\"1234\""
      `1234` is neither `*` nor the id of an account
      an account id has 12 digits
    OrganizationIdInvalid 12:53 "\"o-abcdefghij\""
      `OrganizationId` goes only with the principal `*`
      make `Principal` `*`, or remove `OrganizationId`
    FieldMissing 13:5 "{"
      the field `Principal` is missing
      add `Principal`
    OrganizationIdInvalid 13:24 "\"abc\""
      `abc` is not the id of an organization
      an organization id is `o-` and 10 to 32 lowercase letters or digits
    FieldUnknown 13:31 "\"Account\""
      a permission has no field `Account`
      known are `Principal`, `OrganizationId`
    ValueRepeated 15:24 "\"NumPy\""
      `NumPy` appears twice
      remove one
    DistributionNameInvalid 15:33 "\"a b\""
      `a b` is not the name of a distribution
      names have letters, digits, `-`, `_` and `.`, and start and end with a letter or digit
    FieldUnknown 16:3 "\"AllowSourceDistribution\""
      a request has no field `AllowSourceDistribution`
      did you mean `AllowSourceDistributions`?
    "#);
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table is as long as what it lists")]
fn forms_of_requirements_are_checked() {
    let table = [
        (json!("requests"), "WrongType"),
        (json!({"Requirements": "requests"}), "FieldMissing"),
        (json!({"Type": "requirements.txt"}), "FieldMissing"),
        (
            json!({"Type": "requirements.txt", "Requirements": ["requests"]}),
            "WrongType",
        ),
        (
            json!({"Type": "requirements.txt", "Requirements": ""}),
            "RequirementsEmpty",
        ),
        (
            json!({"Type": "requirements.txt", "Requirements": "-r a.txt"}),
            "IncludeRefused",
        ),
        (
            json!({"Type": "Requirements.txt", "Requirements": "a"}),
            "RequirementsTypeUnknown",
        ),
        (json!({"Type": "uv.lock", "Requirements": ""}), "LockEmpty"),
        (
            json!({"Type": "uv.lock", "Requirements": "version = 1", "Project": ""}),
            "FieldUnknown",
        ),
        (
            json!({"Type": "uv.lock", "Requirements": "version = 2"}),
            "LockInvalid",
        ),
        (
            json!({"Type": "poetry.lock", "Requirements": "[metadata]\nlock-version = '2.0'"}),
            "LockProjectMissing",
        ),
        (
            json!({"Type": "poetry.lock", "Requirements": "[metadata]\nlock-version = '2.1'", "Project": 1}),
            "WrongType",
        ),
        (
            json!({"Type": "Pipfile.lock", "Requirements": "{}"}),
            "LockInvalid",
        ),
        (
            json!({"Type": "pdm.lock", "Requirements": "[metadata]\nlock_version = '3'"}),
            "LockInvalid",
        ),
        (
            json!({"Type": "script", "Requirements": "import a"}),
            "ScriptInvalid",
        ),
        (
            json!({"Type": "script", "Requirements": "# /// script\n# dependencies = ['a']\n# ///", "Constraints": "a"}),
            "FieldUnknown",
        ),
        (
            json!({"Type": "pylock.toml", "Requirements": "\n"}),
            "LockEmpty",
        ),
        (
            json!({"Type": "pylock.toml", "Requirements": "lock-version = 1"}),
            "LockInvalid",
        ),
        (
            json!({"Type": "pylock.toml", "Requirements": "lock-version = '1.0'", "Constraints": ""}),
            "FieldUnknown",
        ),
        (
            json!({"Type": "requirements.txt", "Requirements": "a", "Constraints": "b[c]"}),
            "ConstraintInvalid",
        ),
        (
            json!({"Type": "accretion", "Requirements": "a"}),
            "WrongType",
        ),
        (
            json!({"Type": "accretion", "Requirements": []}),
            "RequirementsEmpty",
        ),
        (
            json!({"Type": "accretion", "Requirements": ["a"]}),
            "WrongType",
        ),
        (
            json!({"Type": "accretion", "Requirements": [{"Name": "a"}]}),
            "FieldMissing",
        ),
        (
            json!({"Type": "accretion", "Requirements": [{"Name": "a ==1", "Details": ""}]}),
            "DistributionNameInvalid",
        ),
        (
            json!({"Type": "accretion", "Requirements": [{"Name": "a", "Details": "bc"}]}),
            "RequirementInvalid",
        ),
        (
            json!({"Type": "accretion", "Requirements": [{"Name": "a", "Details": "=1"}]}),
            "RequirementInvalid",
        ),
        (
            json!({"Type": "accretion", "Requirements": [{"Name": "a", "Details": "\nb"}]}),
            "RequirementInvalid",
        ),
        (
            json!({"Type": "accretion", "Requirements": [{"Name": "a", "Details": " # b"}]}),
            "RequirementInvalid",
        ),
        (
            json!({"Type": "accretion", "Requirements": [{"Name": "a", "Details": " -r b"}]}),
            "OptionInvalid",
        ),
    ];
    for (requirements, code) in table {
        let document = with(&json!({ "Requirements": requirements }));
        let report = check(&document.to_string()).expect_err(&requirements.to_string());
        assert_eq!(codes(&report), [code], "{requirements}");
    }
}

#[test]
fn what_is_no_json_object_is_refused() {
    let table: [(&[u8], &str, &str); 9] = [
        (b"", "JsonInvalid", "1:1"),
        (b"[]", "WrongType", "1:1"),
        (b"{\n  \"Name\": x\n}", "JsonInvalid", "2:11"),
        (b"{\"Name\": \"x\",}", "JsonInvalid", "1:14"),
        (b"{} // no", "JsonInvalid", "1:4"),
        (b"{\"Name\": \"\\ud800\"}", "JsonInvalid", "1:17"),
        (b"{\"Name\": \"\xff\"}", "NotUtf8", "1:11"),
        (b"{\"a\": 01}", "JsonInvalid", "1:8"),
        (b"{\"a\": 1e999}", "JsonInvalid", "1:11"),
    ];
    for (bytes, code, place) in table {
        let report = Request::from_json("request.json", bytes).unwrap_err();
        let problem = &report.problems[0];
        let (line, column) = report.line_column(problem.location.as_ref().unwrap());
        let text = String::from_utf8_lossy(bytes);
        assert_eq!(
            (problem.code, &*format!("{line}:{column}")),
            (code, place),
            "{text}"
        );
    }
    let deep = "[".repeat(100_000);
    assert_eq!(codes(&check(&deep).unwrap_err()), ["JsonInvalid"]);
    let large = vec![b' '; Limits::REQUEST_BYTES + 1];
    let report = Request::from_json("request.json", &large).unwrap_err();
    assert_eq!(codes(&report), ["TooLarge"]);
    let with_mark = format!("\u{feff}{}", with(&json!({})));
    assert!(check(&with_mark).is_ok());
}

#[test]
fn deprecated_runtimes_are_built_with_a_warning() {
    let document = with(&json!({"Runtimes": ["python3.10", "python3.12"]}));
    let (request, report) = check(&document.to_string()).unwrap();
    assert_eq!(codes(&report), ["RuntimeDeprecated"]);
    let targets = request.targets.with_architectures([Architecture::Arm64]);
    let slugs: Vec<String> = targets.iter().map(Target::slug).collect();
    assert_eq!(slugs, ["py310-arm64", "py312-arm64"]);
    assert_eq!(targets.warnings().count(), 1);
    assert_eq!(Targets::new([], []), Targets::default());
}

/// No clock and no list: whatever the table says is a preview.
#[test]
fn previews_are_built_when_they_are_named_with_a_warning() {
    for preview in Runtime::all().filter(|it| it.lifecycle().is_none()) {
        assert!(!Targets::default().runtimes().any(|it| it == preview));
        let document = with(&json!({"Runtimes": [preview]}));
        let (request, report) = check(&document.to_string()).unwrap();
        assert_eq!(codes(&report), ["RuntimePreview"]);
        assert!(request.targets.runtimes().eq([preview]));
        assert_eq!(request.targets.warnings().count(), 1);
    }
}

/// Documents and whether the schema and the parser accept them. Where they differ, the rule is one
/// that a schema can't express.
#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn the_schema_and_the_parser_agree() {
    let accretion = |name: &str, details: &str| {
        json!({"Requirements": {"Type": "accretion",
            "Requirements": [{"Name": name, "Details": details}]}})
    };
    let txt =
        |text: &str| json!({"Requirements": {"Type": "requirements.txt", "Requirements": text}});
    let permission = |value: Value| json!({"Permissions": [value]});
    let agreed = [
        (true, json!({})),
        (true, json!({"Language": "PYTHON"})),
        (true, json!({"Name": "a".repeat(70)})),
        (true, json!({"Runtimes": ["python3.10", "python3.14"]})),
        (true, json!({"Runtimes": ["python3.13", "python3.13"]})),
        (true, json!({"Architectures": ["x86_64", "arm64"]})),
        (
            true,
            json!({"Description": "ü".repeat(256), "LicenseInfo": "ü".repeat(512)}),
        ),
        (true, json!({"Description": "", "LicenseInfo": ""})),
        (true, json!({"Permissions": [], "Exclude": []})),
        (true, json!({"Exclude": ["a", "zope.interface", "A_b-C"]})),
        (true, json!({"AllowSourceDistributions": true})),
        (true, json!({"Merge": true})),
        (true, json!({"Merge": false, "Runtimes": ["python3.13"]})),
        (true, permission(json!({"Principal": "*"}))),
        (true, permission(json!({"Principal": "123456789012"}))),
        (
            true,
            permission(json!({"Principal": "*", "OrganizationId": "o-a1b2c3d4e5"})),
        ),
        (true, accretion("requests", "[socks]>=2")),
        (true, txt("requests\nflask\n")),
        (
            true,
            json!({"Requirements": {"Type": "pylock.toml", "Requirements": "lock-version = '1.0'"}}),
        ),
        (
            true,
            json!({"Requirements": {"Type": "requirements.txt", "Requirements": "a",
                "Constraints": ""}}),
        ),
        (false, json!({"Name": "(removed)"})),
        (false, json!({"Language": "(removed)"})),
        (false, json!({"Requirements": "(removed)"})),
        (false, json!({"Name": ""})),
        (false, json!({"Name": "a".repeat(71)})),
        (false, json!({"Name": "a b"})),
        (false, json!({"Name": "a\n"})),
        (false, json!({"Name": 1})),
        (false, json!({"Language": "python3"})),
        (false, json!({"Unknown": 1})),
        (false, json!({"runtimes": ["python3.13"]})),
        (false, json!({"Runtimes": []})),
        (false, json!({"Runtimes": "python3.13"})),
        (false, json!({"Runtimes": ["python3.9"]})),
        (false, json!({"Runtimes": null})),
        (false, json!({"Architectures": []})),
        (false, json!({"Architectures": ["aarch64"]})),
        (false, json!({"Description": "ü".repeat(257)})),
        (false, json!({"Description": null})),
        (false, json!({"LicenseInfo": "ü".repeat(513)})),
        (false, json!({"Permissions": {}})),
        (false, permission(json!({}))),
        (false, permission(json!({"Principal": "12345678901"}))),
        (
            false,
            permission(json!({"Principal": "*", "OrganizationId": "o-ABCDEFGHIJ"})),
        ),
        (
            false,
            permission(json!({"Principal": "*", "OrganizationId": "o-abc"})),
        ),
        (
            false,
            permission(json!({"Principal": "*", "OrganizationId": null})),
        ),
        (
            false,
            permission(json!({"Principal": "123456789012", "OrganizationId": "o-a1b2c3d4e5"})),
        ),
        (false, permission(json!({"Principal": "*", "Account": "1"}))),
        (false, json!({"Exclude": ["a b"]})),
        (false, json!({"Exclude": ["-a"]})),
        (false, json!({"Exclude": [""]})),
        (false, json!({"AllowSourceDistributions": "yes"})),
        (false, json!({"Merge": "python"})),
        (false, json!({"Requirements": []})),
        (
            false,
            json!({"Requirements": {"Type": "accretion", "Requirements": []}}),
        ),
        (
            false,
            json!({"Requirements": {"Type": "accretion", "Requirements": "a"}}),
        ),
        (
            false,
            json!({"Requirements": {"Type": "pip", "Requirements": "a"}}),
        ),
        (
            false,
            json!({"Requirements": {"Type": "uv.lock", "Requirements": "version = 1", "Project": "a"}}),
        ),
        (
            false,
            json!({"Requirements": {"Type": "pylock.toml", "Requirements": "lock-version = '1.0'", "Extra": 1}}),
        ),
        (false, accretion("a b", "")),
        (false, accretion("a-", "")),
        (false, txt("")),
    ];
    let parser_only = [
        txt("# nothing\n"),
        txt("requests=2"),
        txt("-e ."),
        accretion("requests", "=2"),
        json!({"Requirements": {"Type": "pylock.toml", "Requirements": " "}}),
        json!({"Requirements": {"Type": "pylock.toml", "Requirements": "a"}}),
    ];
    let agreed = agreed
        .into_iter()
        .map(|(valid, changes)| (valid, valid, changes));
    let parser_only = parser_only
        .into_iter()
        .map(|changes| (true, false, changes));
    let schema = jsonschema::validator_for(schema().as_value()).unwrap();
    for (by_schema, by_parser, changes) in agreed.chain(parser_only) {
        let document = with(&changes);
        assert_eq!(schema.is_valid(&document), by_schema, "schema: {changes}");
        let checked = check(&document.to_string());
        assert_eq!(checked.is_ok(), by_parser, "parser: {changes} {checked:?}");
    }
}

#[test]
fn the_committed_schema_is_generated_from_the_types() {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../docs/request.schema.json"
    );
    let generated = format!("{:#}\n", schema().as_value());
    if std::env::var_os("UPDATE_SCHEMA").is_some() {
        std::fs::write(path, &generated).unwrap();
    }
    let committed = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        committed == generated,
        "docs/request.schema.json is out of date: run `UPDATE_SCHEMA=1 cargo test -p \
         accretion-core schema` and commit it"
    );
}

#[test]
fn every_code_is_documented() {
    let formats = include_str!("../../../../docs/formats.md");
    for (code, meaning) in code::ALL {
        let row = format!("| `{code}` | {meaning} |");
        assert!(
            formats.contains(&row),
            "docs/formats.md lacks the row {row}"
        );
    }
}

fn permission() -> impl Strategy<Value = Permission> {
    prop_oneof![
        Just(Permission::Everyone),
        "o-[a-z0-9]{10,32}".prop_map(|id| Permission::Organization(id.parse().unwrap())),
        "[0-9]{12}".prop_map(|id| Permission::Account(id.parse().unwrap())),
    ]
}

fn requirements() -> impl Strategy<Value = Requirements> {
    let line = "[a-z]{1,4}(\\[[a-z]{1,2}\\])?((==|>=)[0-9]\\.[0-9])?( ; os_name == '[a-z]')?";
    let constraint = "[a-z]{1,4}<[0-9]";
    let set = (
        prop::collection::vec(line, 1..5),
        prop::collection::vec(constraint, 0..3),
        prop::option::of(prop::sample::select(vec![">=3.12", "==3.13.*,!=3.13.2"])),
    )
        .prop_map(|(lines, constraints, requires)| {
            let requires = requires.filter(|_| constraints.is_empty());
            let include = move |_: &str| Ok(constraints.join("\n"));
            let text = format!("{}\n-c limits.txt", lines.join("\n"));
            let (set, _) =
                crate::requirement::parse("requirements.txt", &text, &include, false).unwrap();
            Requirements::Set(RequirementSet {
                requires_python: requires.map(|requires| requires.parse().unwrap()),
                ..set
            })
        });
    let lock = "\\PC{0,40}".prop_map(|comment| {
        let text = format!("lock-version = \"1.0\" # {comment}");
        Requirements::Lock(LockFile::parse(LockFormat::Pylock, &text, None).unwrap())
    });
    prop_oneof![set, lock]
}

fn selection() -> impl Strategy<Value = Selection> {
    let names = || prop::collection::btree_set("[a-z]{1,3}(-[a-z])?", 0..3);
    (names(), names()).prop_map(|(groups, extras)| Selection {
        groups: groups.iter().map(|name| name.parse().unwrap()).collect(),
        extras: extras.iter().map(|name| name.parse().unwrap()).collect(),
    })
}

prop_compose! {
    fn request()(
        name in "[a-zA-Z0-9_-]{1,70}",
        requirements in requirements(),
        selection in selection(),
        runtimes in prop::collection::vec(prop::sample::select(Runtime::all().collect::<Vec<_>>()), 0..4),
        architectures in prop::collection::vec(prop::sample::select(&Architecture::ALL), 0..3),
        description in prop::option::of("\\PC{1,256}"),
        license_info in prop::option::of("\\PC{1,512}"),
        permissions in prop::collection::btree_set(permission(), 0..4),
        exclude in prop::collection::btree_set("[a-z]{1,3}(-[a-z])?", 0..3),
        contents in contents(),
        allow_source_distributions in any::<bool>(),
        indexes in prop::collection::vec(index(), 0..3).prop_map(distinct),
        merge in any::<bool>(),
    ) -> Request {
        Request {
            name: name.parse().unwrap(),
            input: PythonInput {
                // A set has nothing to select from.
                selection: match &requirements {
                    Requirements::Set(_) => Selection::default(),
                    Requirements::Lock(_) => selection,
                },
                requirements,
                exclude: exclude.iter().map(|name| name.parse().unwrap()).collect(),
                allow_source_distributions,
                indexes,
            },
            targets: Targets::new(runtimes, architectures),
            description,
            license_info,
            permissions,
            contents,
            merge,
        }
    }
}

fn contents() -> impl Strategy<Value = Contents> {
    let hash = || any::<[u8; 32]>().prop_map(Sha256);
    let source = prop_oneof![
        "files/[a-z/]{0,9}[a-z]\\.zip"
            .prop_map(|key| FileSource::object::<PythonInput>(&key).unwrap()),
        "files/\\PC{0,9}[a-z]/".prop_map(|prefix| FileSource::prefix(&prefix).unwrap()),
        hash().prop_map(FileSource::Packed),
        hash().prop_map(|sha256| {
            let filename = "a-1-py3-none-any.whl".to_owned();
            FileSource::Package { filename, sha256 }
        }),
    ];
    let patterns = || prop::collection::btree_set("[a-z*]{1,3}/?", 0..3);
    let parsed = |texts: std::collections::BTreeSet<String>| {
        let patterns = texts.iter().filter_map(|text| text.parse().ok());
        patterns.collect()
    };
    (
        prop::collection::btree_set(source, 0..3),
        patterns(),
        patterns(),
        (patterns(), prop::collection::btree_set("[a-z]{1,3}", 0..3)),
        any::<bool>(),
    )
        .prop_map(
            move |(files, prune, include, (hidden, allowed), provided_by_runtime)| Contents {
                files,
                file_rules: FileRules::new(parsed(hidden), allowed).unwrap(),
                pruning: Pruning::new(parsed(prune), parsed(include)).unwrap(),
                provided_by_runtime,
            },
        )
}

/// JSON values near a request: known field names with values of any kind.
fn near_request() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(json!(null)),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        "\\PC{0,8}".prop_map(Value::from),
        prop::sample::select(vec![
            "python",
            "accretion",
            "requirements.txt",
            "pylock.toml",
            "*",
            "python3.13",
            "arm64",
            "requests\nflask=1\né\\",
            "uv.lock",
            "files/a.zip",
            "files/a/",
        ])
        .prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 40, 6, |inner| {
        let name = prop::sample::select(vec![
            "Name",
            "Language",
            "Requirements",
            "Type",
            "Constraints",
            "Details",
            "Runtimes",
            "Architectures",
            "Description",
            "LicenseInfo",
            "Permissions",
            "Principal",
            "OrganizationId",
            "Exclude",
            "Files",
            "Key",
            "Prefix",
            "Sha256",
            "Wheel",
            "Hidden",
            "AllowSecrets",
            "Prune",
            "Include",
            "ProvidedByRuntime",
            "AllowSourceDistributions",
            "Indexes",
            "Url",
            "Packages",
            "Credentials",
            "SecretArn",
            "CodeArtifact",
            "Domain",
            "Merge",
            "Nmae",
        ]);
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(name.prop_map(ToOwned::to_owned), inner, 0..10)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

#[test]
fn requests_that_only_grow_too_large_when_they_are_kept() {
    let name: ProjectName = "x".parse().unwrap();
    let codes_of = |checked: Checked<Request>| checked.map(|_| ()).map_err(|it| codes(&it));
    // Each quote is two bytes of the JSON.
    let lock = |quotes: usize| format!("lock-version = \"1.0\"\n# {}\n", "\"".repeat(quotes));
    let read = |text: &str| locked(name.clone(), text.as_bytes());
    assert_eq!(codes_of(read(&lock(Limits::REQUEST_BYTES / 3))), Ok(()));
    let large = lock(Limits::REQUEST_BYTES / 2);
    assert!(large.len() < Limits::REQUEST_BYTES);
    assert_eq!(codes_of(read(&large)), Err(vec![code::TOO_LARGE]));

    let quotes = "\"".repeat(6_000);
    let line = |at: usize| format!("a{at} ; platform_version != '{quotes}'\n");
    let text: String = (0..600).map(line).collect();
    assert!(text.len() < Limits::REQUEST_BYTES);
    let read = from_requirements_txt(name, "r.txt", text.as_bytes(), &NoInclude, false);
    assert_eq!(codes_of(read), Err(vec![code::TOO_LARGE]));
}

proptest! {
    #[test]
    fn what_is_written_reads_as_the_same_request(request in request()) {
        let (again, _) = check(&request.to_json()).map_err(|report| {
            TestCaseError::fail(described(&report))
        })?;
        prop_assert_eq!(&again, &request);
        let document: RequestDocument = serde_json::from_str(&request.to_json()).unwrap();
        prop_assert_eq!(document, RequestDocument::from(&request));
    }

    #[test]
    fn no_bytes_make_the_parser_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        let _ = Request::from_json("request.json", &bytes);
        let name: ProjectName = "x".parse().unwrap();
        for format in LockFormat::ALL {
            let project = std::str::from_utf8(&bytes).ok();
            let _ = from_lock(format, name.clone(), format.name(), &bytes, project);
        }
        let _ = from_script(name.clone(), "script.py", &bytes, false);
        let _ = from_requirements_txt(name, "r.txt", &bytes, &NoInclude, true);
    }

    #[test]
    fn no_json_makes_the_parser_panic(value in near_request()) {
        if let Err(report) = check(&value.to_string()) {
            described(&report);
        }
    }

    #[test]
    fn the_schema_accepts_what_the_parser_accepts(value in near_request()) {
        let document = with(&json!({"Requirements": value.clone()}));
        if check(&document.to_string()).is_ok() {
            let schema = jsonschema::validator_for(schema().as_value()).unwrap();
            prop_assert!(schema.is_valid(&document));
        }
    }
}

#[test]
fn a_file_with_the_suffix_of_a_wheel_has_the_name_of_one() {
    let kind = PythonInput::file_kind;
    let wheel = kind("My.Tools-1.0-py3-none-any.whl");
    assert_eq!(wheel, FileKind::Package("my-tools".to_owned()));
    assert_eq!(kind("tools.whl"), FileKind::MisnamedPackage);
    assert_eq!(kind("tools.zip"), FileKind::Other);
}
