//! The function as a process: how it starts, fails to start, and tells errors. The runtime API is
//! played by this test; what the function does to AWS is tested with the pipeline.

#![expect(clippy::unwrap_used, reason = "what fails in a helper fails the test")]

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

/// A call of the runtime API.
#[derive(Debug)]
struct Call {
    /// Method and path.
    line: String,
    headers: BTreeMap<String, String>,
    body: Value,
    stream: TcpStream,
}

impl Call {
    /// Waits for the next call.
    fn next(listener: &TcpListener) -> Self {
        let (stream, _) = listener.accept().unwrap();
        let mut reader = BufReader::new(&stream);
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).unwrap();
            match line.trim_end() {
                "" => break,
                line => lines.push(line.to_owned()),
            }
        }
        let headers: BTreeMap<_, _> = lines[1..]
            .iter()
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
            .collect();
        let length = headers.get("content-length");
        let length = length.map_or(0, |length| length.parse().unwrap());
        let mut body = vec![0; length];
        reader.read_exact(&mut body).unwrap();
        Self {
            line: lines[0].trim_end_matches(" HTTP/1.1").to_owned(),
            headers,
            body: serde_json::from_slice(&body).unwrap_or_default(),
            stream,
        }
    }

    fn answer(mut self, headers: &str, body: &Value) {
        let body = body.to_string();
        let length = body.len();
        let answer = format!(
            "HTTP/1.1 200 OK\r\n{headers}connection: close\r\ncontent-length: {length}\r\n\r\n{body}"
        );
        self.stream.write_all(answer.as_bytes()).unwrap();
    }
}

const VARIABLES: [(&str, &str); 4] = [
    ("ARTIFACTS_BUCKET", "artifacts"),
    ("LAYERS_TABLE", "layers"),
    ("REQUESTS_TABLE", "requests"),
    ("TOPIC_ARN", "arn:topic"),
];

/// Starts the function with nothing of this process's environment.
fn start(listener: &TcpListener, variables: &[(&str, &str)]) -> Child {
    Command::new(env!("CARGO_BIN_EXE_publisher"))
        .env_clear()
        .env(
            "AWS_LAMBDA_RUNTIME_API",
            listener.local_addr().unwrap().to_string(),
        )
        .env("AWS_LAMBDA_FUNCTION_NAME", "publisher")
        .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "512")
        .env("AWS_LAMBDA_FUNCTION_VERSION", "1")
        .env("AWS_REGION", "eu-west-1")
        .env("AWS_ACCESS_KEY_ID", "test")
        .env("AWS_SECRET_ACCESS_KEY", "test")
        .envs(variables.iter().copied())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// The lines that an ended process wrote on standard output.
fn log(child: Child) -> (Option<i32>, Vec<Value>) {
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let lines = text.lines().map(|line| serde_json::from_str(line).unwrap());
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "");
    (output.status.code(), lines.collect())
}

fn listener() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").unwrap()
}

#[test]
fn an_event_that_means_nothing_is_answered_with_its_code() {
    let listener = listener();
    let mut child = start(&listener, &VARIABLES);
    let next = Call::next(&listener);
    assert_eq!(next.line, "GET /2018-06-01/runtime/invocation/next");
    next.answer(
        "lambda-runtime-aws-request-id: i-1\r\nlambda-runtime-deadline-ms: 4102444800000\r\n",
        &json!({"Task": "tidy"}),
    );
    let told = Call::next(&listener);
    assert_eq!(told.line, "POST /2018-06-01/runtime/invocation/i-1/error");
    let message = "the event cannot be used: its `Task` is unknown";
    let expected = json!({"errorType": "EventInvalid", "errorMessage": message});
    assert_eq!(told.body, expected);
    told.answer("", &json!({}));
    // It is there for the next one.
    let next = Call::next(&listener);
    assert_eq!(next.line, "GET /2018-06-01/runtime/invocation/next");
    child.kill().unwrap();
    let (_, lines) = log(child);
    let [line] = &lines[..] else {
        panic!("{lines:?}");
    };
    for (name, value) in [
        ("level", "ERROR"),
        ("message", message),
        ("code", "EventInvalid"),
        ("class", "Internal"),
        ("aws_request_id", "i-1"),
    ] {
        assert_eq!(line[name], value, "{line}");
    }
    assert!(
        line["duration_ms"].is_u64() && line["timestamp"].is_string(),
        "{line}"
    );
}

#[test]
fn all_that_is_missing_is_told_before_the_first_event() {
    let listener = listener();
    let variables = [("ARTIFACTS_BUCKET", "b"), ("RETENTION_DAYS", "many")];
    let child = start(&listener, &variables);
    let told = Call::next(&listener);
    assert_eq!(told.line, "POST /2018-06-01/runtime/init/error");
    assert_eq!(
        told.headers["lambda-runtime-function-error-type"],
        "ConfigurationInvalid"
    );
    assert_eq!(told.body["errorType"], "ConfigurationInvalid");
    let message = told.body["errorMessage"].as_str().unwrap().to_owned();
    for name in [
        "LAYERS_TABLE",
        "REQUESTS_TABLE",
        "TOPIC_ARN",
        "RETENTION_DAYS",
    ] {
        assert!(message.contains(&format!("`{name}`")), "{message}");
    }
    assert!(!message.contains("ARTIFACTS_BUCKET"), "{message}");
    told.answer("", &json!({}));
    let (code, lines) = log(child);
    assert_eq!(code, Some(1));
    assert_eq!(lines.len(), 1);
    assert_eq!(lines[0]["code"], "ConfigurationInvalid");
}

#[test]
fn it_says_that_it_is_no_command() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_publisher"));
    let child = command
        .env_clear()
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let (code, lines) = log(child.spawn().unwrap());
    assert_eq!(code, Some(1));
    let message = lines[0]["message"].as_str().unwrap();
    assert!(message.contains("AWS Lambda"), "{message}");
}
