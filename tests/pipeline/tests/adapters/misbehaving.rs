//! The outcomes of calls whose answers are refusals, or are lost.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use accretion_aws::{Clients, LambdaLayerVersions, S3Manifests, S3Requests};
use accretion_core::Fault as _;
use accretion_core::digest::Sha256;
use accretion_core::request::RequestId;
use accretion_service::ports::{
    Attempt, LayerVersions as _, Manifests as _, PortError, Requests as _, StoredArtifact,
};
use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::versions::manifest;
use crate::{configuration, on_aws};

/// The way in which a server treats a call.
#[derive(Debug, Clone, Copy)]
enum Behaviour {
    /// Answers with a status, the code of an error, and a body.
    Answer(u16, &'static str, &'static str),
    /// Reads the call and closes the connection.
    Close,
    /// Closes the connection in the middle of the body.
    CutOff,
    /// Never answers.
    Hang,
}

use Behaviour::{Answer, Close, CutOff, Hang};

/// A server that treats its first calls as told, and all later ones like the last of them.
struct Misbehaving {
    endpoint: String,
    calls: Arc<Mutex<usize>>,
}

impl Misbehaving {
    async fn start(behaviours: &'static [Behaviour]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let calls = Arc::new(Mutex::new(0));
        let counter = Arc::clone(&calls);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, behaviours, Arc::clone(&counter)));
            }
        });
        Self { endpoint, calls }
    }

    fn clients(&self) -> Clients {
        let timeouts =
            TimeoutConfig::builder().operation_attempt_timeout(Duration::from_millis(500));
        let config = configuration(&self.endpoint).into_builder();
        let retries = RetryConfig::standard().with_initial_backoff(Duration::from_millis(1));
        let config = config
            .timeout_config(timeouts.build())
            .retry_config(retries);
        Clients::from(config.build())
    }

    fn versions(&self) -> LambdaLayerVersions {
        LambdaLayerVersions::new(&self.clients(), "artifacts")
    }

    fn calls(&self) -> usize {
        *self.calls.lock().unwrap()
    }
}

/// Serves the calls of one connection.
async fn serve(mut stream: TcpStream, behaviours: &[Behaviour], calls: Arc<Mutex<usize>>) {
    while read_call(&mut stream).await.is_some() {
        let call = {
            let mut calls = calls.lock().unwrap();
            *calls += 1;
            *calls - 1
        };
        match behaviours[call.min(behaviours.len() - 1)] {
            Answer(status, code, body) => {
                let length = body.len();
                let answer = format!(
                    "HTTP/1.1 {status} X\r\nx-amzn-errortype: {code}\r\n\
                     content-length: {length}\r\n\r\n{body}"
                );
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
            Close => return,
            CutOff => {
                let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n{\"Lay";
                stream.write_all(answer).await.unwrap();
                return;
            }
            Hang => std::future::pending().await,
        }
    }
}

/// Reads a call to its end; `None` if there is none.
async fn read_call(stream: &mut TcpStream) -> Option<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    let head = String::from_utf8(head).unwrap().to_lowercase();
    let length = head.split_once("\ncontent-length:");
    let length = length.and_then(|(_, rest)| rest.lines().next()?.trim().parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    stream.read_exact(&mut body).await.ok()?;
    Some(())
}

fn artifact() -> StoredArtifact {
    StoredArtifact {
        key: "a.zip".to_owned(),
        version_id: None,
        sha256: Some(Sha256::of(b"zip")),
        size: 3,
    }
}

async fn publish(server: &Misbehaving) -> Attempt {
    let (layer, artifact) = ("tools-py313".parse().unwrap(), artifact());
    let manifest = manifest(&artifact);
    server
        .versions()
        .publish(&layer, &manifest, &artifact)
        .await
}

const THROTTLED: Behaviour = Answer(429, "TooManyRequestsException", r#"{"Reason": "…"}"#);
const MADE: Behaviour = Answer(
    201,
    "",
    r#"{
        "LayerArn": "arn:layer", "LayerVersionArn": "arn:layer:1", "Version": 1,
        "CreatedDate": "2026-11-20T10:00:00.123+0000",
        "Content": {"CodeSha256": "SnD+mqZDbgLC3qNA+9HjUuTvLYzmylKtJdS5VHH8i/I="}
    }"#,
);

#[test]
fn a_publication_that_may_have_taken_effect_is_not_repeated() {
    on_aws(async |_| {
        for behaviours in [
            &[Close, MADE][..],
            &[CutOff, MADE],
            &[Answer(500, "ServiceException", "{}"), MADE],
            &[Answer(503, "", ""), MADE],
            &[Answer(201, "", "{}"), MADE],
        ] {
            let server = Misbehaving::start(behaviours).await;
            match publish(&server).await {
                Attempt::Unknown(error) => assert_eq!(error.code(), "ServiceUnavailable"),
                other => panic!("{behaviours:?}: {other:?}"),
            }
            assert_eq!(server.calls(), 1, "{behaviours:?}");
        }
    });
}

#[test]
fn a_publication_that_was_refused_made_nothing() {
    on_aws(async |_| {
        for (behaviours, code) in [
            (
                &[Answer(
                    400,
                    "InvalidParameterValueException",
                    r#"{"Message": "m"}"#,
                )][..],
                "LayerRefused",
            ),
            (
                &[Answer(
                    413,
                    "RequestTooLargeException",
                    r#"{"Message": "m"}"#,
                )],
                "LayerRefused",
            ),
            (
                &[Answer(
                    400,
                    "CodeStorageExceededException",
                    r#"{"Message": "m"}"#,
                )],
                "CodeStorageExceeded",
            ),
            (
                &[Answer(403, "AccessDeniedException", r#"{"Message": "m"}"#)],
                "AccessDenied",
            ),
            (
                &[Answer(
                    404,
                    "ResourceNotFoundException",
                    r#"{"Message": "m"}"#,
                )],
                "ServiceRefused",
            ),
        ] {
            let server = Misbehaving::start(behaviours).await;
            match publish(&server).await {
                Attempt::Refused(error) => assert_eq!(error.code(), code, "{error}"),
                other => panic!("{behaviours:?}: {other:?}"),
            }
            assert_eq!(server.calls(), 1, "{behaviours:?}");
        }
    });
}

#[test]
fn a_publication_that_was_put_off_is_tried_again() {
    on_aws(async |_| {
        let server = Misbehaving::start(&[THROTTLED, THROTTLED, MADE]).await;
        match publish(&server).await {
            Attempt::Made(version) => assert_eq!(version.version, 1),
            other => panic!("{other:?}"),
        }
        assert_eq!(server.calls(), 3);
        // A lost answer ends the attempts, whatever was before it.
        let server = Misbehaving::start(&[THROTTLED, Close, MADE]).await;
        let attempt = publish(&server).await;
        assert!(matches!(attempt, Attempt::Unknown(_)), "{attempt:?}");
        assert_eq!(server.calls(), 2);
    });
}

#[track_caller]
fn error<T: std::fmt::Debug>(outcome: Result<T, PortError>) -> PortError {
    outcome.unwrap_err()
}

#[test]
fn calls_that_may_be_repeated_are_and_then_say_what_happened() {
    on_aws(async |_| {
        let (layer, get) = ("tools-py313".parse().unwrap(), 1);
        let server =
            Misbehaving::start(&[Close, Answer(500, "ServiceException", "{}"), MADE]).await;
        let found = server.versions().get(&layer, get).await.unwrap();
        assert_eq!(found.unwrap().version, 1);

        for (behaviours, code, calls) in [
            (&[Close][..], "ServiceUnavailable", 3),
            (&[Hang], "ServiceUnavailable", 3),
            (&[Answer(502, "", "")], "ServiceUnavailable", 3),
            (&[THROTTLED], "Throttled", 3),
            (
                &[Answer(403, "AccessDeniedException", "{}")],
                "AccessDenied",
                1,
            ),
            (&[Answer(400, "OddException", "{}")], "ServiceRefused", 1),
        ] {
            let server = Misbehaving::start(behaviours).await;
            let error = error(server.versions().get(&layer, get).await);
            assert_eq!(error.code(), code, "{behaviours:?}");
            let text = error.to_string();
            assert!(
                text.starts_with("lambda:GetLayerVersion of `tools-py313:1` "),
                "{text}"
            );
            assert_eq!(server.calls(), calls, "{behaviours:?}");
        }
    });
}

#[test]
fn nobody_listening_is_no_defect_of_ours() {
    on_aws(async |_| {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        drop(listener);
        let clients = Clients::from(configuration(&endpoint));
        let manifests = S3Manifests::new(&clients, "artifacts");
        let error = error(manifests.manifest("m").await);
        assert_eq!(error.code(), "ServiceUnavailable");
        assert!(error.to_string().contains("Connection refused"), "{error}");
    });
}

#[test]
fn an_object_that_is_cut_off_is_not_taken_for_a_short_one() {
    on_aws(async |_| {
        let server = Misbehaving::start(&[CutOff]).await;
        let manifests = S3Manifests::new(&server.clients(), "artifacts");
        let error = error(manifests.manifest("m").await);
        assert_eq!(error.code(), "ServiceUnavailable", "{error}");
    });
}

#[test]
fn a_key_that_others_are_writing_is_tried_again() {
    on_aws(async |_| {
        const CONFLICT: Behaviour = Answer(
            409,
            "",
            "<Error><Code>ConditionalRequestConflict</Code><Message>m</Message></Error>",
        );
        const EXISTS: Behaviour = Answer(
            412,
            "",
            "<Error><Code>PreconditionFailed</Code><Message>m</Message></Error>",
        );
        let id = RequestId::of_message("1");
        let server = Misbehaving::start(&[CONFLICT, CONFLICT, EXISTS]).await;
        let requests = S3Requests::new(&server.clients(), "artifacts");
        requests.store(&id, "{}".to_owned()).await.unwrap();
        assert_eq!(server.calls(), 3);
        let server = Misbehaving::start(&[CONFLICT]).await;
        let requests = S3Requests::new(&server.clients(), "artifacts");
        let error = error(requests.store(&id, "{}".to_owned()).await);
        assert_eq!(error.code(), "Throttled");
    });
}
