//! Every way to ask for layers ends in published ones.

use std::process::Command;

use pipeline_tests::workspace::tool;
use pipeline_tests::{Filter, Result};
use serde_json::json;

use crate::outcome::Expected;
use crate::{TARGETS, command, exactly, listen, on_stack, request, small_request};

#[test]
fn a_request_file() {
    on_stack(async |stack| {
        let project = "request-file";
        let permissions = [
            json!({"Principal": "123456789012"}),
            json!({"Principal": "*", "OrganizationId": "o-0123456789"}),
        ];
        // One with a wheel for each target, one with a dependency, one with neither.
        let mut request = request(
            project,
            &["markupsafe==3.0.3", "jinja2==3.1.6", "six==1.17.0"],
        );
        request["Description"] = json!("1.2.3");
        request["LicenseInfo"] = json!("BSD-3-Clause");
        request["Permissions"] = json!(permissions);
        let text = request.to_string();
        let zips = command::build("request.json", text.as_bytes(), None);

        let all = listen(stack, project).await?;
        let filter = json!({
            "ProjectName": [project],
            "Event": ["LayerPublished"],
            "Runtime": ["python3.13"],
            "Architecture": ["arm64"],
        });
        let one = stack
            .subscribe("request-file-arm64", &Filter::Attributes(filter))
            .await?;
        let filter = json!({"ProjectName": [project], "Event": ["LayerUnchanged"]});
        let none = stack
            .subscribe("request-file-unchanged", &Filter::Attributes(filter))
            .await?;

        stack
            .drop_into_inbox("teams/data/request-file.json", text)
            .await?;
        let notifications = exactly(&all, TARGETS.len()).await?;
        let expected = Expected {
            description: Some("1.2.3"),
            license: Some("BSD-3-Clause"),
            permissions: &permissions,
            ..Expected::first(project, &TARGETS, &zips)
        };
        expected.holds(stack, &notifications).await?;

        let of_one = exactly(&one, 1).await?;
        assert!(
            of_one[0]
                .text("EventId")
                .ends_with("-py313-arm64-LayerPublished")
        );
        assert_eq!(exactly(&none, 0).await?, []);
        Ok(())
    });
}

#[test]
fn a_requirements_file() {
    on_stack(async |stack| {
        let project = "requirements-file";
        let text = "# what we need\nattrs==25.4.0\nidna==3.11 ; python_version >= '3.13'\n";
        let zips = command::build("requirements.txt", text.as_bytes(), Some(project));
        let all = listen(stack, project).await?;
        let key = format!("requests/{project}/requirements.txt");
        stack.drop_into_inbox(&key, text).await?;
        let notifications = exactly(&all, TARGETS.len()).await?;
        Expected::first(project, &TARGETS, &zips)
            .holds(stack, &notifications)
            .await?;
        let of = |slug: &str| zips[&format!("{project}-{slug}")].len();
        assert!(of("py313") > of("py312"), "the marker holds");
        Ok(())
    });
}

#[test]
fn a_lock_file() {
    on_stack(async |stack| {
        let project = "lock-file";
        let lock = lock("six==1.17.0\n");
        let zips = command::build("pylock.toml", &lock, Some(project));
        let all = listen(stack, project).await?;
        let key = format!("requests/{project}/pylock.toml");
        stack.drop_into_inbox(&key, lock).await?;
        let notifications = exactly(&all, TARGETS.len()).await?;
        Expected::first(project, &TARGETS, &zips)
            .holds(stack, &notifications)
            .await?;
        Ok(())
    });
}

/// A lock for all targets, as uv makes it.
fn lock(requirements: &str) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("requirements.in"), requirements).unwrap();
    let output = Command::new(tool("uv"))
        .args(["pip", "compile", "--quiet", "--universal", "--no-config"])
        .args(["--format", "pylock.toml", "--output-file", "pylock.toml"])
        .args(["--python-version", "3.11", "requirements.in"])
        .env("UV_PYTHON_DOWNLOADS", "never")
        .current_dir(folder.path())
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    std::fs::read(folder.path().join("pylock.toml")).unwrap()
}

#[test]
fn a_message_on_the_queue() {
    on_stack(async |stack| {
        let project = "message";
        let text = request(project, &["six==1.17.0"]).to_string();
        let zips = command::build("request.json", text.as_bytes(), None);
        let all = listen(stack, project).await?;
        stack.send_to_queue(&text).await?;
        let notifications = exactly(&all, TARGETS.len()).await?;
        Expected::first(project, &TARGETS, &zips)
            .holds(stack, &notifications)
            .await?;
        Ok(())
    });
}

#[test]
fn keys_of_any_characters() {
    on_stack(async |stack| {
        let keys = [
            ("key-space", "our requests/the first one.json"),
            ("key-plus", "a+b/c++.json"),
            ("key-unicode", "anfragen/ünïcödé/日本語.json"),
            ("key-percent", "50%25/100%.json"),
        ];
        for (project, key) in keys {
            let text = small_request(project, &["six==1.17.0"]).to_string();
            let zips = command::build("request.json", text.as_bytes(), None);
            let all = listen(stack, project).await?;
            stack.drop_into_inbox(key, text).await?;
            let notifications = exactly(&all, 1).await?;
            Expected::first(project, &["py313"], &zips)
                .holds(stack, &notifications)
                .await?;
        }
        Ok(())
    });
}

/// Checks that the sender of an object can tell the request's id beforehand.
#[test]
fn ids_can_be_told_beforehand() {
    on_stack(async |stack| -> Result<()> {
        let project = "known-id";
        let text = small_request(project, &["six==1.17.0"]).to_string();
        let all = listen(stack, project).await?;
        let version = stack.drop_into_inbox("known-id.json", text.clone()).await?;
        let inbox = stack.output("InboxBucketName");
        let by_object =
            accretion_core::request::RequestId::of_object(inbox, "known-id.json", &version);
        let notifications = exactly(&all, 1).await?;
        assert_eq!(notifications[0].text("RequestId"), by_object.to_string());

        let message = stack.send_to_queue(&text).await?;
        let by_message = accretion_core::request::RequestId::of_message(&message);
        let notifications = exactly(&all, 1).await?;
        assert_eq!(notifications[0].text("RequestId"), by_message.to_string());
        Ok(())
    });
}
