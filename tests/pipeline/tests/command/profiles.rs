//! Sources of credentials, region and endpoint.

use std::process::Command;

use integration_tests::Run;

use crate::Operator;

/// A command with nothing of AWS in its environment but a configuration file.
fn configured(operator: &Operator, arguments: &str, configuration: &str) -> Command {
    operator.write("config", configuration);
    let mut command = operator.command(arguments.split_whitespace());
    for name in [
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_REGION",
        "AWS_DEFAULT_REGION",
        "AWS_ENDPOINT_URL",
    ] {
        command.env_remove(name);
    }
    command.env("AWS_CONFIG_FILE", operator.path("config"));
    command
}

const LIST: &str = "list layers deployment.json us-east-1 --format json";

#[test]
fn a_profile_brings_credentials_and_endpoint() {
    let operator = Operator::of_cloud();
    let expected = operator.run(LIST).exits(0).json()["Region"].clone();
    let endpoint = &operator.endpoint;
    let keys = "aws_access_key_id = test\naws_secret_access_key = test";
    let process = r#"credential_process = /bin/echo '{"Version": 1, "AccessKeyId": "test", "SecretAccessKey": "test"}'"#;
    let check = |run: Run| assert_eq!(run.exits(0).json()["Region"], expected);
    for credentials in [keys, process] {
        let profile = format!("[profile ops]\nendpoint_url = {endpoint}\n{credentials}\n");
        let list = format!("{LIST} --profile ops");
        check(operator.finish(configured(&operator, &list, &profile)));

        let mut command = configured(&operator, LIST, &profile);
        command.env("AWS_PROFILE", "ops");
        check(operator.finish(command));
    }
}

#[test]
fn a_profile_that_is_not_there_is_said_so() {
    let operator = Operator::of_cloud();
    let list = format!("{LIST} --profile nobody");
    let run = operator.finish(configured(&operator, &list, "[profile ops]\n"));
    // JSON errors are documents, too.
    let error = &run.exits(1).json()["Error"];
    assert_eq!(error["Code"], "CredentialsMissing");
    let message = error["Message"].as_str().unwrap();
    assert!(message.contains("nobody"), "{message}");
}

#[test]
fn a_profile_that_is_named_counts_before_keys_of_the_environment() {
    let operator = Operator::of_cloud();
    let list = format!("{LIST} --profile nobody");
    let mut command = configured(&operator, &list, "[profile ops]\n");
    command
        .env("AWS_ENDPOINT_URL", &operator.endpoint)
        .env("AWS_ACCESS_KEY_ID", "test")
        .env("AWS_SECRET_ACCESS_KEY", "test");
    let run = operator.finish(command).exits(1);
    assert_eq!(run.json()["Error"]["Code"], "CredentialsMissing", "{run}");
}

#[test]
fn without_credentials_it_is_said_how_to_get_some() {
    let operator = Operator::of_cloud();
    let mut command = configured(&operator, "list layers deployment.json us-east-1", "");
    command.env("AWS_ENDPOINT_URL", &operator.endpoint);
    let run = operator.finish(command).fails(1, "CredentialsMissing");
    assert!(run.stderr.contains("aws sso login"), "{run}");
    assert!(run.stderr.contains("]: us-east-1: "), "{run}");
}
