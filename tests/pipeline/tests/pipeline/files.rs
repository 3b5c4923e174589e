//! Files of one's own: in the inbox for the pipeline, in a folder for the command.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use pipeline_tests::workspace::tool;
use pipeline_tests::{Error, Stack};
use serde_json::{Value, json};

use crate::{exactly_one, listen, on_stack, small_request};

const FILES: [(&str, &str); 4] = [
    ("mine/__init__.py", "x = 1\n"),
    ("mine/data/ü.txt", "data\n"),
    (".env", "secret\n"),
    ("requirements.txt", "nothing-of-this\n"),
];

/// The layer that `accretion build` makes of these files and `six`.
fn built_here(name: &str, executable: &[&str]) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    for (path, content) in FILES {
        let path = folder.path().join("src").join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
    for path in executable {
        let path = folder.path().join("src").join(path);
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    fs::write(folder.path().join("requirements.txt"), "six==1.17.0").unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_accretion-with-aws"))
        .args([
            "build",
            "requirements.txt",
            "--include",
            "src",
            "--name",
            name,
        ])
        .args(["--runtime", "python3.13", "--architecture", "x86_64"])
        .current_dir(folder.path())
        .env("ACCRETION_UV", tool("uv"))
        .env(
            "ACCRETION_CACHE_DIR",
            Path::new(env!("CARGO_TARGET_TMPDIR")).join("cache"),
        )
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    fs::read(folder.path().join(format!("layers/{name}-py313.zip"))).unwrap()
}

/// Puts an object into the inbox that is no request.
async fn upload(stack: &Stack, key: &str, body: Vec<u8>) {
    let put = stack
        .s3
        .put_object()
        .bucket(stack.output("InboxBucketName"));
    let put = put.key(key).body(body.into()).send().await;
    put.map_err(Error::aws("PutObject")).unwrap();
}

/// The zip of the files, as some tool packs it.
fn zipped(executable: &[&str]) -> Vec<u8> {
    let mut writer = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (path, content) in FILES.iter().rev() {
        let mode = if executable.contains(path) {
            0o755
        } else {
            0o644
        };
        let options = zip::write::SimpleFileOptions::default().unix_permissions(mode);
        writer.start_file(*path, options).unwrap();
        writer.write_all(content.as_bytes()).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

/// Drops a request with these files, and returns the layer's zip and its manifest.
async fn published(stack: &Stack, name: &str, files: Value) -> (Vec<u8>, Value) {
    let said = listen(stack, name).await.unwrap();
    let mut request = small_request(name, &["six==1.17.0"]);
    request["Files"] = files;
    let key = format!("requests/{name}/request.json");
    let dropped = stack.drop_into_inbox(&key, request.to_string()).await;
    dropped.unwrap();
    let notification = exactly_one(&said, "LayerPublished").await.unwrap();
    let key = notification.body["Manifest"]["S3Key"].as_str().unwrap();
    let manifest = stack.artifact_json(key).await.unwrap();
    let key = manifest["ArtifactS3Key"].as_str().unwrap();
    let zip = stack.artifact(key).await.unwrap().unwrap();
    (zip, manifest)
}

#[test]
fn a_zip_and_a_folder_of_the_inbox_give_the_layer_of_a_folder_here() {
    on_stack(async |stack| {
        let tool = "mine/__init__.py";
        upload(stack, "files/own-zip/src.zip", zipped(&[tool])).await;
        let files = json!([{"Key": "files/own-zip/src.zip"}]);
        let (zip, manifest) = published(stack, "own-zip", files).await;
        assert!(zip == built_here("own-zip", &[tool]));
        assert_eq!(manifest["Files"]["Count"], 2);

        // What is accepted is kept under its hash, and the request names that.
        let id = manifest["Request"]["Id"].as_str().unwrap();
        let key = format!("accretion/requests/{id}.json");
        let kept = stack.artifact_json(&key).await?;
        let hash = kept["Files"][0]["Sha256"].as_str().unwrap();
        let keys = stack.artifact_keys("accretion/files/").await?;
        assert!(
            keys.contains(&format!("accretion/files/{hash}.zip")),
            "{keys:?}"
        );

        for (path, content) in FILES {
            upload(stack, &format!("files/own-prefix/{path}"), content.into()).await;
        }
        let files = json!([{"Prefix": "files/own-prefix/"}]);
        let (zip, _) = published(stack, "own-prefix", files).await;
        assert!(zip == built_here("own-prefix", &[]));
        Ok(())
    });
}

#[test]
fn a_wheel_of_the_inbox_is_installed() {
    on_stack(async |stack| {
        let forge = accretion_testing::forge::WheelForge::new("own-wheel", "1.0");
        let wheel = forge
            .file("own_wheel/__init__.py", "def main(): ...\n")
            .entry_point("console_scripts", "own", "own_wheel:main")
            .build();
        let key = format!("files/own-wheel/{}", wheel.filename);
        upload(stack, &key, wheel.bytes).await;
        let (zip, manifest) = published(stack, "own-wheel", json!([{"Key": key}])).await;
        let installed = &manifest["Installed"];
        assert_eq!(installed[0]["Wheel"], wheel.filename);
        assert_eq!(installed[0]["Sha256"], wheel.sha256);
        assert_eq!(installed[1]["Name"], "six");
        let archive = zip::ZipArchive::new(std::io::Cursor::new(zip)).unwrap();
        assert!(archive.index_for_name("python/bin/own").is_some());
        Ok(())
    });
}

#[test]
fn files_that_can_not_go_into_a_layer_are_a_rejection() {
    on_stack(async |stack| {
        let said = listen(stack, "own-missing").await?;
        let mut request = small_request("own-missing", &["six==1.17.0"]);
        request["Files"] = json!([{"Key": "files/own-missing/none.zip"}]);
        let body = request.to_string();
        stack
            .drop_into_inbox("requests/own-missing/request.json", body)
            .await?;
        let rejected = exactly_one(&said, "RequestRejected").await?;
        assert_eq!(rejected.body["Codes"], json!(["ObjectMissing"]));
        Ok(())
    });
}
