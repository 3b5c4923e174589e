//! The logs of the functions, and the content that no line of them may have.

use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::LazyLock;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime};

use accretion_testing::emf;
use serde_json::{Value, json};

use crate::workspace::{REGION, root};
use crate::{Error, MiniStack, Result};

/// A marker that tests plant wherever it must not be logged: in texts of requests, in credentials,
/// and in input that is no request at all. No name of a project, package or host contains it.
pub const CANARY: &str = "c4n4ry";

/// A line of a log group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine {
    /// The group.
    pub group: String,
    /// The line.
    pub message: String,
}

impl LogLine {
    /// The line as JSON; `None` if it is none, such as those of Lambda itself.
    pub fn json(&self) -> Option<Value> {
        serde_json::from_str(&self.message)
            .ok()
            .filter(Value::is_object)
    }
}

/// The largest number of events that the emulator returns.
const PAGE: usize = 10_000;

/// The time before the last search that is searched again: the lines of an invocation appear once
/// it is over, and have that time.
const OVERLAP: i64 = 60_000;

impl MiniStack {
    /// The lines of all log groups that came in since a time, in milliseconds since 1970.
    pub fn log_lines(&self, since: i64) -> Result<Vec<LogLine>> {
        let groups = self.logs("DescribeLogGroups", &json!({}))?;
        let groups = groups["logGroups"].as_array().cloned().unwrap_or_default();
        let mut lines = Vec::new();
        for group in groups {
            let group = group["logGroupName"].as_str().unwrap_or_default();
            let mut start = since;
            loop {
                let ask = json!({"logGroupName": group, "startTime": start});
                let answer = self.logs("FilterLogEvents", &ask)?;
                let mut events = answer["events"].as_array().cloned().unwrap_or_default();
                let time = |event: &Value| event["timestamp"].as_i64();
                let is_full = events.len() >= PAGE;
                let last = events.last().and_then(time);
                if is_full {
                    // There may be more of the last time: they come with the next page.
                    events.retain(|event| time(event) != last);
                }
                lines.extend(events.iter().map(|event| LogLine {
                    group: group.to_owned(),
                    message: event["message"].as_str().unwrap_or_default().to_owned(),
                }));
                match last {
                    Some(last) if is_full && last > start => start = last,
                    Some(_) if is_full => {
                        let problem = format!("{group} has more lines at a time than can be read");
                        return Err(Error::Unexpected(problem));
                    }
                    _ => break,
                }
            }
        }
        Ok(lines)
    }

    /// Searches what came in since it was searched last for what no line may hold.
    pub fn search_logs(&self) -> Result<()> {
        let now = milliseconds_now();
        let since = self.searched_until.load(Ordering::Relaxed);
        let secrets = self.secrets();
        let mut found = BTreeSet::new();
        for line in self.log_lines(since.saturating_sub(OVERLAP).max(0))? {
            let mut problems = leaks(&line.message, &secrets);
            if let Some(json) = line.json().filter(emf::is_of_metrics) {
                problems.extend(emf::problems(&json));
                problems.extend(unbounded(&json));
            }
            for problem in problems {
                found.insert(format!("{}: {problem}: {}", line.group, line.message));
            }
        }
        self.searched_until.store(now, Ordering::Relaxed);
        if found.is_empty() {
            return Ok(());
        }
        let found: Vec<_> = found.into_iter().collect();
        let problem = format!("what must not be logged is logged:\n{}", found.join("\n"));
        Err(Error::Unexpected(problem))
    }

    /// The secrets with which functions sign their calls.
    fn secrets(&self) -> Vec<String> {
        let functions = self.functions();
        let variables = ["AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"];
        let values = functions
            .iter()
            .flat_map(|it| variables.map(|variable| it.variable(variable)));
        // `test` is in many a word.
        values.flatten().filter(|it| it.len() > 8).collect()
    }

    /// Calls the API of logs. Not by the SDK: this is to be had where nothing can wait.
    fn logs(&self, operation: &str, ask: &Value) -> Result<Value> {
        const PATIENCE: Duration = Duration::from_mins(1);
        let body = ask.to_string();
        let length = body.len();
        let request = format!(
            "POST / HTTP/1.0\r\nHost: localhost\r\nContent-Type: application/x-amz-json-1.1\r\n\
             X-Amz-Target: Logs_20140328.{operation}\r\nContent-Length: {length}\r\n\
             Authorization: AWS4-HMAC-SHA256 Credential=test/20260101/{REGION}/logs/aws4_request, \
             SignedHeaders=host, Signature=none\r\n\r\n{body}"
        );
        let call = || -> std::io::Result<Vec<u8>> {
            let address = SocketAddr::from((Ipv4Addr::LOCALHOST, self.port));
            let mut stream = TcpStream::connect(address)?;
            stream.set_read_timeout(Some(PATIENCE))?;
            stream.write_all(request.as_bytes())?;
            let mut answer = Vec::new();
            stream.read_to_end(&mut answer)?;
            Ok(answer)
        };
        let answer = call().map_err(Error::io(self.log()))?;
        let end = answer.windows(4).position(|it| it == b"\r\n\r\n");
        let (head, body) = answer.split_at(end.map_or(answer.len(), |at| at + 4));
        let unexpected = || {
            let answer = String::from_utf8_lossy(&answer).into_owned();
            Error::Unexpected(format!("{operation}: {answer}"))
        };
        if head.split(|byte| *byte == b' ').nth(1) != Some(b"200") {
            return Err(unexpected());
        }
        serde_json::from_slice(body).map_err(|_| unexpected())
    }
}

/// Milliseconds since 1970.
fn milliseconds_now() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |since| since.as_millis().try_into().unwrap_or(i64::MAX))
}

/// Texts that a line contains only if it holds credentials. The line is compared in lower case and
/// without the backslashes that escape quotes.
const OF_CREDENTIALS: [&str; 12] = [
    "x-amz-signature",
    "x-amz-security-token",
    "x-amz-credential",
    "aws4-hmac-sha256",
    "authorization:",
    "authorization\"",
    "authorization=",
    "aws_secret_access_key",
    "aws_session_token",
    "secretaccesskey",
    "sessiontoken",
    "-----begin",
];

/// Texts that a line contains only if it holds a part of a request, of a manifest, of a lock or of
/// an event. The line is compared without the backslashes that escape quotes.
const OF_PAYLOADS: [&str; 12] = [
    "\"Requirements\"",
    "\"Language\"",
    "\"LicenseInfo\"",
    "\"Description\"",
    "\"Installed\"",
    "\"ArtifactSha256\"",
    "\"eventSource\"",
    "\"receiptHandle\"",
    "\"messageAttributes\"",
    "lock-version",
    "[[packages]]",
    "--hash=",
];

/// Returns the forbidden contents of a line, in words that do not repeat them.
pub fn leaks(line: &str, secrets: &[String]) -> Vec<String> {
    let mut leaks = Vec::new();
    if line.contains(CANARY) {
        leaks.push("a canary".to_owned());
    }
    if secrets.iter().any(|secret| line.contains(secret.as_str())) {
        leaks.push("a secret of a function".to_owned());
    }
    let unescaped = line.replace('\\', "");
    let lower = unescaped.to_ascii_lowercase();
    let of_credentials = OF_CREDENTIALS.iter().filter(|it| lower.contains(**it));
    leaks.extend(of_credentials.map(|it| format!("credentials, by `{it}`")));
    let of_payloads = OF_PAYLOADS.iter().filter(|it| unescaped.contains(**it));
    leaks.extend(of_payloads.map(|it| format!("a payload, by `{it}`")));
    if has_access_key(line) {
        leaks.push("an access key of AWS".to_owned());
    }
    if has_credentials_in_url(line) {
        leaks.push("credentials in a URL".to_owned());
    }
    leaks
}

/// Returns whether a text contains the id of an access key, of a user or of a session.
fn has_access_key(text: &str) -> bool {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric());
    words.into_iter().any(|word| {
        let is_of_keys = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit();
        word.len() == 20
            && (word.starts_with("AKIA") || word.starts_with("ASIA"))
            && word.chars().all(is_of_keys)
    })
}

/// Returns whether a text contains a URL with a user in it.
fn has_credentials_in_url(text: &str) -> bool {
    text.split("://").skip(1).any(|rest| {
        let is_end = |c: char| c.is_whitespace() || "/?#\"'`\\<>(),".contains(c);
        let authority = rest.split(is_end).next().unwrap_or_default();
        authority.contains('@')
    })
}

/// Codes and outcomes as they are documented.
static KNOWN: LazyLock<String> = LazyLock::new(|| {
    let read = |name: &str| std::fs::read_to_string(root().join("docs").join(name));
    read("formats.md").unwrap_or_default() + &read("operations.md").unwrap_or_default()
});

/// Dimensions of a line of metrics, and values of theirs, that are not documented.
fn unbounded(line: &Value) -> Vec<String> {
    let metrics = emf::metrics(line);
    let names = metrics.iter().flat_map(|it| it.dimensions.iter().flatten());
    let is_known = |name: &str| {
        let value = line[name].as_str().unwrap_or_default();
        ["Code", "Outcome"].contains(&name) && KNOWN.contains(&format!("`{value}`"))
    };
    let unknown = names.filter(|name| !is_known(name));
    let unknown = unknown.map(|name| format!("the dimension `{name}` is not known"));
    unknown.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_must_not_be_logged_is_found() {
        let secrets = ["wJalrXUtnFEMIK7MDENGbPxRfiCYEXAMPLEKEY".to_owned()];
        let access_key = ["AKIA", "IOSFODNN7EXAMPLE"].concat();
        for (line, leak) in [
            (format!("a text with {CANARY} in it"), "a canary"),
            (format!("{{\"error\": \"{}\"}}", secrets[0]), "a secret"),
            (
                "https://b.s3.example.com/k?X-Amz-Signature=0123&x=1".to_owned(),
                "`x-amz-signature`",
            ),
            (
                "https://b.s3.example.com/k?x-amz-security-token=0123".to_owned(),
                "`x-amz-security-token`",
            ),
            (
                r#"{"headers": "{\"Authorization\": \"…\"}"}"#.to_owned(),
                "`authorization\"`",
            ),
            ("> authorization: Bearer …".to_owned(), "`authorization:`"),
            ("Authorization=…".to_owned(), "`authorization=`"),
            (
                "AWS4-HMAC-SHA256 Credential=…".to_owned(),
                "`aws4-hmac-sha256`",
            ),
            (
                "AWS_SECRET_ACCESS_KEY=…".to_owned(),
                "`aws_secret_access_key`",
            ),
            ("{\"SessionToken\": \"…\"}".to_owned(), "`sessiontoken`"),
            ("-----BEGIN PRIVATE KEY-----".to_owned(), "`-----begin`"),
            (format!("key {access_key}, as it is"), "an access key"),
            (
                "could not fetch https://user:pass@example.com/x.whl".to_owned(),
                "credentials in a URL",
            ),
            (
                "\"url\": \"https://token@example.com\"".to_owned(),
                "credentials in a URL",
            ),
            (
                r#"{"message": "body: {\"Requirements\": {}}"}"#.to_owned(),
                "a payload, by `\"Requirements\"`",
            ),
            (
                r#"{"message": "body: {\\\"LicenseInfo\\\": 1}"}"#.to_owned(),
                "a payload, by `\"LicenseInfo\"`",
            ),
            (
                r#"{"Records": [{"eventSource": "aws:s3"}]}"#.to_owned(),
                "`\"eventSource\"`",
            ),
            ("six==1.17.0 --hash=sha256:00".to_owned(), "`--hash=`"),
            ("lock-version = \"1.0\"".to_owned(), "`lock-version`"),
        ] {
            let found = leaks(&line, &secrets);
            assert!(
                found.iter().any(|it| it.contains(leak)),
                "{line}: {found:?}"
            );
            let repeats = found
                .iter()
                .any(|it| it.contains("0123") || it.contains("pass"));
            assert!(!repeats, "{found:?}");
        }
    }

    #[test]
    fn what_may_be_logged_is_not_found() {
        let secrets = ["wJalrXUtnFEMIK7MDENGbPxRfiCYEXAMPLEKEY".to_owned()];
        for line in [
            "",
            "START RequestId: 5f0c1f60-6b0c-4c83-8c1b-1f7f8a5e5d3d Version: $LATEST",
            r#"{"level": "INFO", "code": "UpstreamUnavailable", "host": "example.com:8080"}"#,
            "AuthorizationError: User: arn:aws:sts::000000000000:x is not authorized to do so",
            r#"{"key": "accretion/manifests/data-tools/0ce43a34-py313.manifest"}"#,
            r#"{"message": "https://example.com/@scope/x by a@example.com"}"#,
            r#"{"arn": "arn:aws:lambda:eu-west-1:123456789012:layer:ASIA-py313:1"}"#,
            r#"{"event": "Downloading { filename: \"six-1.17.0-py2.py3-none-any.whl\" }"}"#,
        ] {
            assert_eq!(leaks(line, &secrets), [""; 0], "{line}");
        }
    }

    #[test]
    fn dimensions_that_nobody_wrote_down_are_found() {
        let line = |dimension: &str, value: &str| {
            json!({
                "_aws": {"CloudWatchMetrics": [{
                    "Namespace": "Accretion/accretion",
                    "Dimensions": [[dimension]],
                    "Metrics": [{"Name": "Requests", "Unit": "Count"}],
                }]},
                "Requests": 1,
                dimension: value,
            })
        };
        assert_eq!(unbounded(&line("Outcome", "Accepted")), [""; 0]);
        assert_eq!(unbounded(&line("Code", "WheelNotFound")), [""; 0]);
        for (dimension, value) in [
            ("Project", "Accepted"),
            ("Outcome", "data-tools-and-more"),
            ("Code", "0ce43a345624ab7be5105730f7afc664"),
        ] {
            assert_ne!(unbounded(&line(dimension, value)), [""; 0], "{dimension}");
        }
    }
}
