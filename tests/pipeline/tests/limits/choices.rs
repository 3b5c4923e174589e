//! The operator's choices: source distributions, and hosts.

use accretion_core::target::Runtime;
use accretion_testing::forge::{Sdist, SdistForge};
use accretion_testing::interpreters::{python_of, untested};
use pipeline_tests::testbed::{STACK, Testbed};
use pipeline_tests::{Result, Subscription, sam};
use serde_json::json;

use crate::{codes, good, one, request, wheels};

/// A source distribution without a wheel in the index, which has to be built.
pub(crate) fn source() -> Sdist {
    SdistForge::new("source", "1.0")
        .builds(&wheels::pure("source").build())
        .build()
}

/// A source is built if both the request and the operator say so.
pub(crate) async fn sources(testbed: &Testbed, said: &Subscription) -> Result<()> {
    let mut runtimes = Runtime::supported().map(Runtime::identifier);
    let here = runtimes.find(|runtime| python_of(runtime).is_some());
    let ask = async |allowed: bool| -> Result<String> {
        let mut request = request("requirements.txt", "source");
        request["Name"] = json!("sources");
        request["AllowSourceDistributions"] = json!(allowed);
        // The build sandbox of another one would not find its Python here.
        request["Runtimes"] = json!([here.unwrap_or("python3.13")]);
        request["Architectures"] = json!([architecture()]);
        let text = request.to_string();
        testbed.stack.drop_into_inbox("sources.json", text).await?;
        let notification = one(said).await?;
        let code = codes(&notification).first().copied();
        Ok(code.unwrap_or(notification.text("Event")).to_owned())
    };
    assert_eq!(ask(true).await?, "SourceDistributionUnsupported");
    allow(testbed, ("AllowSourceDistributions", "true")).await?;
    assert_eq!(ask(false).await?, "WheelNotFound");
    let built = ask(true).await?;
    if here.is_none() {
        untested("a source distribution that the operator allows is not built");
        assert_eq!(built, "InterpreterMissing");
        return Ok(());
    }
    assert_eq!(built, "LayerPublished");
    Ok(())
}

/// The index that was named is always allowed, other hosts if they are among those that are named.
pub(crate) async fn hosts(testbed: &Testbed, said: &Subscription) -> Result<()> {
    let stack = &testbed.stack;
    allow(testbed, ("AllowedHosts", "files.example.com,*.example.net")).await?;
    good(stack, said, "hosts").await?;
    for host in [
        "example.com",
        "files.example.com.example.org",
        "example.net",
    ] {
        let requirement = format!("elsewhere @ https://{host}/elsewhere-1.0-py3-none-any.whl");
        let text = request("requirements.txt", &requirement).to_string();
        stack.drop_into_inbox("hosts.json", text).await?;
        let notification = one(said).await?;
        assert_eq!(codes(&notification), ["HostNotAllowed"], "{host}");
    }
    Ok(())
}

async fn allow(testbed: &Testbed, parameter: (&str, &str)) -> Result<()> {
    let template = sam::built().await?;
    sam::change_parameters(&testbed.server, STACK, &template, &[parameter]).await?;
    Ok(())
}

fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "aarch64" => "arm64",
        other => other,
    }
}
