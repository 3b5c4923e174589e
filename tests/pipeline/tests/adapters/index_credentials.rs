//! The credentials of package indexes: secrets on the emulator, and tokens of `CodeArtifact`, which
//! it does not have, from a server that answers as the API reference says.

use std::sync::{Arc, Mutex};

use accretion_aws::{AwsIndexCredentials, Clients};
use accretion_core::Fault as _;
use accretion_python::index::{CodeArtifactDomain, CredentialsReference};
use accretion_service::ports::{IndexCredentials as _, PortError};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::{World, configuration, on_aws};

fn client(world: &World) -> aws_sdk_secretsmanager::Client {
    aws_sdk_secretsmanager::Client::new(&world.config)
}

/// Makes a secret, and tells where it is.
async fn secret(world: &World, name: &str, text: &str) -> CredentialsReference {
    let create = client(world).create_secret().name(name).secret_string(text);
    let made = create.send().await.unwrap();
    CredentialsReference::Secret(made.arn().unwrap().parse().unwrap())
}

async fn get(
    credentials: &AwsIndexCredentials,
    reference: &CredentialsReference,
) -> Result<String, PortError> {
    let found = credentials.get(reference).await?;
    Ok(format!(
        "{} {}",
        found.username.reveal(),
        found.password.reveal()
    ))
}

#[test]
fn secrets_are_read_and_remembered() {
    on_aws(async |world| {
        let credentials = AwsIndexCredentials::new(&world.clients);
        let user = secret(
            world,
            "index/user",
            r#"{"username": "me", "password": "p"}"#,
        )
        .await;
        let token = secret(world, "index/token", "t0ken").await;
        assert_eq!(get(&credentials, &user).await.unwrap(), "me p");
        assert_eq!(get(&credentials, &token).await.unwrap(), "__token__ t0ken");

        let CredentialsReference::Secret(arn) = &user else {
            panic!("it is a secret");
        };
        let put = client(world).put_secret_value().secret_id(arn.as_str());
        put.secret_string("new").send().await.unwrap();
        assert_eq!(get(&credentials, &user).await.unwrap(), "me p");
        let others = AwsIndexCredentials::new(&world.clients);
        assert_eq!(get(&others, &user).await.unwrap(), "__token__ new");
        let shown = format!("{credentials:?}");
        assert!(!shown.contains("t0ken"), "{shown}");
    });
}

#[test]
fn what_opens_nothing_is_told_without_what_it_says() {
    on_aws(async |world| {
        let credentials = AwsIndexCredentials::new(&world.clients);
        let other = secret(world, "index/other", r#"{"key": "s3cret"}"#).await;
        let error = get(&credentials, &other).await.unwrap_err();
        assert_eq!(error.code(), "IndexCredentialsInvalid");
        assert!(!error.to_string().contains("s3cret"), "{error}");

        let missing = "arn:aws:secretsmanager:eu-west-1:000000000000:secret:index/missing-AbCdEf";
        let missing = CredentialsReference::Secret(missing.parse().unwrap());
        let error = get(&credentials, &missing).await.unwrap_err();
        assert_eq!(error.code(), "ServiceRefused");
        assert!(error.to_string().contains("index/missing"), "{error}");
    });
}

#[test]
fn tokens_are_asked_for_once() {
    const ANSWER: &str = r#"{"authorizationToken": "t0ken", "expiration": 1795687200}"#;
    on_aws(async |_| {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let calls = Arc::clone(&asked);
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    head.push(stream.read_u8().await.unwrap());
                }
                let head = String::from_utf8(head).unwrap();
                calls
                    .lock()
                    .unwrap()
                    .push(head.lines().next().unwrap().to_owned());
                let length = ANSWER.len();
                let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{ANSWER}");
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
        });
        let credentials = AwsIndexCredentials::new(&Clients::from(configuration(&endpoint)));
        let domain: CodeArtifactDomain = "arn:aws:codeartifact:eu-west-2:123456789012:domain/corp"
            .parse()
            .unwrap();
        let domain = CredentialsReference::CodeArtifact(domain);
        for _ in 0..2 {
            assert_eq!(get(&credentials, &domain).await.unwrap(), "aws t0ken");
        }
        let call =
            "POST /v1/authorization-token?domain=corp&domain-owner=123456789012&duration=3600";
        assert_eq!(*asked.lock().unwrap(), [format!("{call} HTTP/1.1")]);
    });
}
