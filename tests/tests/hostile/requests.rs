//! Requests in JSON.

use serde_json::{Value, json};

use crate::case::{Case, Kind, request};

const KEY: &str = "requests/tools/request.json";

/// A good request but for one member.
fn with(member: &str, value: impl Into<Value>) -> String {
    let mut request = request();
    request[member] = value.into();
    request.to_string()
}

/// A good request but for its requirements.
fn requiring(kind: &str, requirements: impl Into<Value>) -> String {
    with(
        "Requirements",
        json!({"Type": kind, "Requirements": requirements.into()}),
    )
}

/// A good request with a piece of its text replaced.
fn replaced(piece: &str, by: &str) -> String {
    let text = request().to_string();
    assert!(text.contains(piece), "{piece}");
    text.replacen(piece, by, 1)
}

pub(crate) fn cases() -> Vec<Case> {
    let good = request().to_string();
    let deep = |depth: usize| replaced("\"python\"", &("[".repeat(depth) + &"]".repeat(depth)));
    let texts: Vec<(&str, String, &'static [&'static str])> = vec![
        // The text.
        (
            "cut off",
            good[..good.len() - 2].to_owned(),
            &["JsonInvalid"],
        ),
        ("nothing", String::new(), &["JsonInvalid"]),
        ("something behind it", good.clone() + "{}", &["JsonInvalid"]),
        ("nested 200 deep", deep(200), &["JsonInvalid"]),
        ("nested a million deep", deep(1_000_000), &["JsonInvalid"]),
        (
            "a list of a million lists",
            format!("[{}[]]", "[],".repeat(1_000_000)),
            &["WrongType"],
        ),
        ("a comment", format!("// x\n{good}"), &["JsonInvalid"]),
        (
            "two byte order marks",
            format!("\u{feff}\u{feff}{good}"),
            &["JsonInvalid"],
        ),
        (
            "half a surrogate",
            with("Name", "x").replace("\"x\"", "\"\\ud800\""),
            &["JsonInvalid"],
        ),
        (
            "a NUL in a name",
            with("Name", "to\0ols"),
            &["ProjectNameInvalid"],
        ),
        (
            "a NUL between members",
            replaced(",\"", ",\0\""),
            &["JsonInvalid"],
        ),
        (
            "a number without end",
            replaced("\"python\"", &"9".repeat(100_000)),
            &["JsonInvalid"],
        ),
        (
            "an infinite number",
            replaced("\"python\"", "1e99999"),
            &["JsonInvalid"],
        ),
        (
            "not a number",
            replaced("\"python\"", "NaN"),
            &["JsonInvalid"],
        ),
        (
            "a page of the web",
            "<!DOCTYPE html><script>alert(1)</script>".to_owned(),
            &["JsonInvalid"],
        ),
        // Members.
        (
            "a member twice",
            replaced("{\"", "{\"Name\":\"other\",\""),
            &["FieldRepeated"],
        ),
        (
            "a member twice, once in disguise",
            replaced("{\"", "{\"N\\u0061me\":\"other\",\""),
            &["FieldRepeated"],
        ),
        (
            "a member for the index",
            with("IndexUrl", "https://example.com/"),
            &["FieldUnknown"],
        ),
        (
            "an index with credentials",
            with(
                "Indexes",
                json!([{"Name": "x", "Url": "https://user:password@example.com/simple/"}]),
            ),
            &["UrlCredentials"],
        ),
        (
            "an index of files",
            with("Indexes", json!([{"Name": "x", "Url": "file:///etc/"}])),
            &["UrlInvalid"],
        ),
        (
            "an index over plain http, which only looks like this machine",
            with(
                "Indexes",
                json!([{"Name": "x", "Url": "http://127.0.0.1.example.com/simple/"}]),
            ),
            &["UrlUnsupported"],
        ),
        (
            "a pattern of secrets",
            with(
                "Indexes",
                json!([{"Name": "x", "Url": "https://example.com/simple/", "Credentials":
                    {"SecretArn": "arn:aws:secretsmanager:eu-west-1:123456789012:secret:*"}}]),
            ),
            &["SecretArnInvalid"],
        ),
        (
            "a token for another host",
            with(
                "Indexes",
                json!([{"Name": "x",
                    "Url": "https://a-123456789012.d.codeartifact.eu-west-1.amazonaws.com.example.com/",
                    "Credentials": {"CodeArtifact": {"Domain": "a"}}}]),
            ),
            &["CodeArtifactMismatch"],
        ),
        (
            "a package of two indexes",
            with(
                "Indexes",
                json!([{"Name": "x", "Url": "https://example.com/x/", "Packages": ["a-b"]},
                       {"Name": "y", "Url": "https://example.com/y/", "Packages": ["A_b"]}]),
            ),
            &["PackagePinnedTwice"],
        ),
        (
            "a member of prototypes",
            with("__proto__", json!({"AllowSourceDistributions": true})),
            &["FieldUnknown"],
        ),
        (
            "an identity",
            with("RequestId", "0ce43a345624ab7be5105730f7afc664"),
            &["FieldUnknown"],
        ),
        (
            "ten thousand unknown members",
            {
                let mut request = request();
                for number in 0..10_000 {
                    request[format!("X{number}")] = 1.into();
                }
                request.to_string()
            },
            &["FieldUnknown", "TooManyProblems"],
        ),
        // Names.
        (
            "a name that leads up",
            with("Name", "../../artifacts"),
            &["ProjectNameInvalid"],
        ),
        (
            "a name with a slash",
            with("Name", "tools/other"),
            &["ProjectNameInvalid"],
        ),
        (
            "a name of an ARN",
            with("Name", "arn:aws:lambda:eu-west-1:123456789012:layer:x"),
            &["ProjectNameInvalid"],
        ),
        (
            "a name with a newline",
            with("Name", "tools\nother"),
            &["ProjectNameInvalid"],
        ),
        (
            "a name with a wildcard",
            with("Name", "*"),
            &["ProjectNameInvalid"],
        ),
        (
            "a name that looks alike",
            with("Name", "t\u{43e}\u{43e}ls"),
            &["ProjectNameInvalid"],
        ),
        (
            "a name that turns around",
            with("Name", "\u{202e}sloot"),
            &["ProjectNameInvalid"],
        ),
        ("an empty name", with("Name", ""), &["ProjectNameInvalid"]),
        (
            "a name of ten thousand letters",
            with("Name", "x".repeat(10_000)),
            &["ProjectNameInvalid"],
        ),
        (
            "a name that is a list",
            with("Name", json!(["tools", "other"])),
            &["WrongType"],
        ),
        // Everything else.
        (
            "a language that runs something",
            with("Language", "python; rm -rf /"),
            &["LanguageUnsupported"],
        ),
        (
            "a runtime that is an option",
            with("Runtimes", json!(["--python=/bin/sh"])),
            &["RuntimeUnknown"],
        ),
        (
            "a hundred thousand runtimes",
            with("Runtimes", vec!["x"; 100_000]),
            &["RuntimeUnknown", "TooManyProblems"],
        ),
        (
            "an architecture that leads up",
            with("Architectures", json!(["../x86_64"])),
            &["ArchitectureUnknown"],
        ),
        (
            "a description of a megabyte",
            with("Description", "x".repeat(1 << 20)),
            &["TextTooLong"],
        ),
        (
            "a licence of a megabyte",
            with("LicenseInfo", "x".repeat(1 << 20)),
            &["TextTooLong"],
        ),
        (
            "a permission for a role",
            with(
                "Permissions",
                json!([{"Principal": "arn:aws:iam::123456789012:role/x"}]),
            ),
            &["PrincipalInvalid"],
        ),
        (
            "a permission for a service",
            with(
                "Permissions",
                json!([{"Principal": "lambda.amazonaws.com"}]),
            ),
            &["PrincipalInvalid"],
        ),
        (
            "a permission with a pattern",
            with("Permissions", json!([{"Principal": "1234567890*"}])),
            &["PrincipalInvalid"],
        ),
        (
            "a permission for a wild organization",
            with(
                "Permissions",
                json!([{"Principal": "*", "OrganizationId": "o-*"}]),
            ),
            &["OrganizationIdInvalid"],
        ),
        (
            "shared with an account that the operator has not named",
            with("Permissions", json!([{"Principal": "111122223333"}])),
            &["PermissionNotAllowed"],
        ),
        (
            "ten thousand permissions",
            with(
                "Permissions",
                (0..10_000)
                    .map(|it| json!({"Principal": format!("{it:012}")}))
                    .collect::<Vec<_>>(),
            ),
            &["ListTooLong"],
        ),
        (
            "an exclusion that leads up",
            with("Exclude", json!(["../boto3"])),
            &["DistributionNameInvalid"],
        ),
        (
            "source distributions, by a text",
            with("AllowSourceDistributions", "true"),
            &["WrongType"],
        ),
        ("merged, by a number", with("Merge", 1), &["WrongType"]),
        (
            "requirements of a type that leads up",
            requiring("../requirements.txt", "six"),
            &["RequirementsTypeUnknown"],
        ),
        (
            "requirements that are a file's name",
            requiring("requirements.txt", json!({"File": "/etc/passwd"})),
            &["WrongType"],
        ),
        (
            "a requirement that is an option",
            requiring(
                "accretion",
                json!([{"Name": "--index-url", "Details": "=https://example.com"}]),
            ),
            &["DistributionNameInvalid"],
        ),
        (
            "a requirement that goes on with an option",
            requiring(
                "accretion",
                json!([{"Name": "six", "Details": "==1.0 --index-url https://example.com"}]),
            ),
            &["OptionUnsupported"],
        ),
        (
            "a requirement with a second line",
            requiring(
                "accretion",
                json!([{"Name": "six", "Details": "==1.0\n-r /etc/passwd"}]),
            ),
            &["RequirementInvalid"],
        ),
        (
            "ten thousand requirements",
            requiring(
                "accretion",
                (0..10_000)
                    .map(|it| json!({"Name": format!("x{it}")}))
                    .collect::<Vec<_>>(),
            ),
            &["TooManyRequirements"],
        ),
        (
            "constraints that include a file",
            with(
                "Requirements",
                json!({"Type": "requirements.txt", "Requirements": "six", "Constraints": "-r /etc/passwd"}),
            ),
            &["IncludeOutside"],
        ),
    ];
    let texts = texts
        .into_iter()
        .map(|(name, text, codes)| (name, text.into_bytes(), codes));
    let mut too_large = good.clone().into_bytes();
    too_large.resize(5 << 20, b' ');
    let utf16 = good.encode_utf16().flat_map(u16::to_le_bytes);
    let utf16: Vec<u8> = [0xff, 0xfe].into_iter().chain(utf16).collect();
    let bytes: Vec<(&str, Vec<u8>, &'static [&'static str])> = vec![
        ("five megabytes", too_large, &["TooLarge"]),
        ("UTF-16", utf16, &["NotUtf8"]),
        (
            "a byte that is no UTF-8",
            good.replace("tools", "to\u{1}ls")
                .bytes()
                .map(|byte| if byte == 1 { 0xff } else { byte })
                .collect(),
            &["NotUtf8"],
        ),
        (
            "an overlong slash",
            good.replace("tools", "..\u{1}ls")
                .bytes()
                .flat_map(|byte| {
                    if byte == 1 {
                        vec![0xc0, 0xaf]
                    } else {
                        vec![byte]
                    }
                })
                .collect(),
            &["NotUtf8"],
        ),
        ("a wheel", crate::site::harmless().bytes, &["NotUtf8"]),
    ];
    texts
        .chain(bytes)
        .map(|(name, bytes, codes)| Case::object(Kind::Request, name, (KEY, bytes), codes))
        .collect()
}
