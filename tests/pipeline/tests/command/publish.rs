//! `publish`.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::thread;

use accretion_testing::forge::{Wheel, WheelForge};
use accretion_testing::index::PackageIndex;
use accretion_testing::secrets::planted;
use integration_tests::{Run, snapshot};
use pipeline_tests::Stack;
use pipeline_tests::testbed::STACK;
use serde_json::json;

use crate::{Operator, REGIONS, boto3, cloud};

/// Somebody with a layer's folder and an index of their own.
struct Author {
    operator: Operator,
    index: PackageIndex,
}

impl Author {
    fn new(operator: Operator) -> Self {
        let pure = |name: &str| {
            let forge = WheelForge::new(name, "1.0");
            forge.file(&format!("{name}/__init__.py"), "").build()
        };
        let index = PackageIndex::start([pure("one"), pure("two")]);
        for minor in [12, 13] {
            index.add(native(minor));
        }
        operator.write("tools/app.py", "import one\n");
        Self { operator, index }
    }

    fn command(&self, arguments: &str) -> Command {
        let mut command = self
            .operator
            .command(["publish"].into_iter().chain(arguments.split_whitespace()));
        command.env("ACCRETION_DEFAULT_INDEX", self.index.url());
        command
    }

    #[track_caller]
    fn publish(&self, arguments: &str) -> Run {
        self.operator.finish(self.command(arguments))
    }
}

fn native(minor: u8) -> Wheel {
    WheelForge::new("native", "1.0")
        .tag(&format!("cp3{minor}-cp3{minor}-manylinux_2_17_x86_64"))
        .purelib(false)
        .file("native/__init__.py", format!("BUILT = (3, {minor})\n"))
        .build()
}

/// Both regions, for everybody.
const BOTH: &str = "--region eu-west-1 --region us-east-1 --public";

/// The stack of the first region, which sees all layers there.
async fn first_region() -> Stack {
    let endpoint = cloud().server.endpoint();
    Stack::connect(&endpoint, STACK).await.unwrap()
}

/// The names in a zip.
fn listing(zip: Vec<u8>) -> String {
    let mut archive = zip::ZipArchive::new(std::io::Cursor::new(zip)).unwrap();
    let mut text = String::new();
    for at in 0..archive.len() {
        let mut file = archive.by_index(at).unwrap();
        file.read_to_end(&mut Vec::new()).unwrap();
        text.push_str(&file.name().unwrap());
        text.push('\n');
    }
    text
}

#[tokio::test]
async fn a_folder_becomes_a_layer_in_two_regions() {
    let author = Author::new(Operator::of_cloud());
    author
        .operator
        .write("tools/requirements.txt", "one\n")
        .write("tools/.env", "SECRET=1\n");
    let arguments = format!(
        "{BOTH} --layer shared --layer-path tools --runtime python3.12 --runtime python3.13 \
         --architecture x86_64 --version 1.0"
    );
    snapshot!("published", author.publish(&arguments).exits(0));
    let stack = first_region().await;
    let version = stack.layer_version("shared", 1).await.unwrap();
    assert_eq!(version.runtimes, ["python3.12", "python3.13"]);
    assert_eq!(version.architectures, ["x86_64"]);
    assert_eq!(version.description.as_deref(), Some("1.0"));
    snapshot!("published_content", listing(version.content));
    let policy = stack.layer_policy("shared", 1).await.unwrap().unwrap();
    assert_eq!(policy["Statement"][0]["Principal"], "*");
    assert!(policy["Statement"][0]["Condition"].is_null(), "{policy}");

    // Nothing is published twice, but it is granted.
    let again = arguments.replace("--public", "--account 123456789012");
    snapshot!("unchanged", author.publish(&again).exits(0));
    assert_eq!(stack.layer_versions("shared").await.unwrap(), [1]);
    let policy = stack.layer_policy("shared", 1).await.unwrap().unwrap();
    assert_eq!(policy["Statement"].as_array().unwrap().len(), 2, "{policy}");

    // Whatever is different is a new version, and so is what is forced.
    let mut expected = vec![1];
    for changed in [
        arguments.replace("1.0", "1.1"),
        arguments
            .replace("--architecture x86_64", "")
            .replace("1.0", "1.1"),
        arguments
            .replace("--runtime python3.12", "")
            .replace("1.0", "1.1"),
        format!("{arguments} --force"),
    ] {
        author.publish(&changed).exits(0);
        expected.push(expected[expected.len() - 1] + 1);
        assert_eq!(stack.layer_versions("shared").await.unwrap(), expected);
    }
    author
        .operator
        .write("tools/app.py", "import one  # again\n");
    let json = author
        .publish(&format!("{arguments} --format json"))
        .exits(0);
    snapshot!("json", json);
    assert_eq!(json.json()["Versions"][1]["Version"], 6);
    let quiet = author.publish(&format!("{arguments} --quiet")).exits(0);
    assert_eq!((quiet.stdout.as_str(), quiet.stderr.as_str()), ("", ""));
}

#[tokio::test]
async fn runtimes_that_differ_have_trees_of_their_own() {
    let author = Author::new(Operator::of_cloud());
    author
        .operator
        .write("tools/requirements.txt", "one\nnative\n");
    // A file that names regions is enough: nothing is deployed there.
    author
        .operator
        .run("init regions.json eu-west-1 us-east-1")
        .exits(0);
    let arguments = "--deployment-file regions.json --my-account --layer trees --layer-path tools \
                     --runtimes python3.12 python3.13 --architecture x86_64 --version 1.0 --verbose";
    snapshot!("per_runtime", author.publish(arguments).exits(0));
    let stack = first_region().await;
    let version = stack.layer_version("trees", 1).await.unwrap();
    snapshot!("per_runtime_content", listing(version.content));

    let narrowed = format!("{arguments} --region us-east-1 --force");
    author.publish(&narrowed).exits(0);
    assert_eq!(stack.layer_versions("trees").await.unwrap(), [1]);
    let elsewhere = format!("{arguments} --region eu-north-1");
    author.publish(&elsewhere).fails(3, "RegionUnknown");
}

#[tokio::test]
async fn it_is_granted_as_asked_for() {
    let author = Author::new(Operator::of_cloud());
    let stack = first_region().await;
    let organization = boto3("organizations", "describe_organization", json!({})).await;
    let organization = organization["Organization"]["Id"].clone();
    let mut statements = Vec::new();
    for (number, who) in [
        "--account 123456789012",
        "--account 123456789012 --account 210987654321",
        "--my-account",
        "--organization o-a1b2c3d4e5",
        "--my-organization",
        "--public",
    ]
    .into_iter()
    .enumerate()
    {
        // No region is named: that of AWS_REGION is taken.
        let arguments = format!(
            "{who} --layer who{number} --layer-path tools --runtimes python3.13 --version 1"
        );
        author.publish(&arguments).exits(0);
        let policy = stack
            .layer_policy(&format!("who{number}"), 1)
            .await
            .unwrap();
        let policy = policy.unwrap();
        let read = policy["Statement"].as_array().unwrap().iter();
        let read: Vec<_> = read
            .map(|it| {
                let text = json!([it["Principal"], it["Condition"]]).to_string();
                text.replace(organization.as_str().unwrap(), "[ORGANIZATION]")
            })
            .collect();
        statements.push(format!("{who}\n    {}", read.join("\n    ")));
    }
    snapshot!("granted", statements.join("\n"));
}

#[tokio::test]
async fn a_large_zip_goes_through_a_bucket() {
    let author = Author::new(Operator::of_cloud());
    let mut state = 1_u64;
    let noise = (0..7 << 20).flat_map(|_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    });
    author
        .operator
        .write("tools/model.bin", noise.collect::<Vec<u8>>());
    let arguments =
        format!("{BOTH} --layer large --layer-path tools --runtimes python3.13 --version 1");
    // Without a bucket there is no way.
    let run = author.publish(&arguments).exits(3);
    snapshot!("bucket_missing", run);
    // A bucket that there is in one region alone.
    let bucket = json!({
        "Bucket": "uploads-eu-west-1",
        "CreateBucketConfiguration": {"LocationConstraint": "eu-west-1"},
    });
    boto3("s3", "create_bucket", bucket).await;
    let run = author.publish(&format!("{arguments} --bucket uploads-{{region}}"));
    snapshot!("one_region_fails", run);
    // The pipeline's own.
    let arguments = arguments.replace(
        "--region eu-west-1 --region us-east-1",
        "--deployment-file deployment.json",
    );
    let run = author.publish(&arguments).exits(0);
    snapshot!("large", run);
    let stack = first_region().await;
    assert_eq!(stack.layer_versions("large").await.unwrap(), [1]);
    let version = stack.layer_version("large", 1).await.unwrap();
    assert!(listing(version.content).contains("python/model.bin"));
}

#[tokio::test]
async fn what_was_built_is_published_and_says_what_it_is() {
    let author = Author::new(Operator::of_cloud());
    let operator = &author.operator;
    let build = |name: &str, text: &str| {
        operator.write("built/requirements.txt", text);
        let arguments = format!(
            "build built/requirements.txt --name {name} --runtime python3.13 --architecture arm64 \
             --include tools"
        );
        let mut command = operator.command(arguments.split_whitespace());
        command.env("ACCRETION_DEFAULT_INDEX", author.index.url());
        operator.finish(command).exits(0);
    };
    build("built", "one\n");
    let zip = "layers/built-py313-arm64.zip";
    let arguments = format!("--region eu-west-1 --my-account --zip {zip}");
    snapshot!("zip", author.publish(&arguments).exits(0));
    snapshot!("zip_unchanged", author.publish(&arguments).exits(0));
    build("built", "one\ntwo\n");
    let json = author.publish(&format!("{arguments} --format json"));
    snapshot!("zip_json", json.exits(0));
    let stack = first_region().await;
    let layer = "built-py313-arm64";
    assert_eq!(stack.layer_versions(layer).await.unwrap(), [1, 2]);
    let version = stack.layer_version(layer, 2).await.unwrap();
    assert_eq!(version.runtimes, ["python3.13"]);
    assert_eq!(version.architectures, ["arm64"]);
    let of_build = listing(fs::read(operator.path(zip)).unwrap());
    let published = listing(version.content);
    assert_eq!(
        published.replace("python/.accretion/manifest.json\n", ""),
        of_build
    );

    // Without a pipeline and its deployment file.
    let at = "--region eu-west-1";
    for (name, command) in [
        (
            "zip_described",
            format!("describe layer-version {at} {layer}:2"),
        ),
        ("zip_difference", format!("diff {at} {layer} 1 2")),
        ("zip_versions", format!("list versions {at} {layer}")),
        ("zip_granted", format!("grant {at} {layer} 1 --public")),
        ("zip_revoked", format!("revoke {at} {layer}:1 --all")),
    ] {
        seen!(name, operator.run(&command).exits(0));
    }
    let named = operator.run(&format!("diff {at} {layer}:1 {layer}:2 --format json"));
    let json = named.exits(0).json();
    assert_eq!(json["Changes"]["Added"][0]["Name"], "two", "{json}");
    let manifest = zip.replace(".zip", ".manifest");
    let same = operator.run(&format!("diff {at} {layer}:2 {manifest} --format json"));
    assert_eq!(same.exits(0).json()["Changes"]["Added"], json!([]));
    let layers = operator.run(&format!("list layers {at} --quiet")).exits(0);
    assert!(layers.stdout.contains(layer), "{layers}");

    // Said otherwise.
    let other = "--layer other --version 2.0 --runtime python3.12 --architecture x86_64";
    author.publish(&format!("{arguments} {other}")).exits(0);
    let version = stack.layer_version("other", 1).await.unwrap();
    assert_eq!(version.runtimes, ["python3.12"]);
    assert_eq!(version.description.as_deref(), Some("2.0"));
    let two = format!("{arguments} {zip} --layer other");
    author.publish(&two).fails(3, "LayerNameShared");
    operator.write("layers/broken.zip", "x");
    let bare = author.publish(&format!("{at} --public --zip layers/broken.zip"));
    snapshot!("zip_bare", bare.fails(3, "ManifestUnreadable"));
    operator.write(
        "layers/broken.manifest",
        fs::read(operator.path(&manifest)).unwrap(),
    );
    let broken = author.publish(&format!("{at} --public --zip layers/broken.zip"));
    snapshot!("zip_broken", broken.fails(3, "ZipInvalid"));
}

#[tokio::test]
async fn no_planted_secret_is_published() {
    let author = Author::new(Operator::of_cloud());
    let operator = &author.operator;
    let arguments = "--region eu-west-1 --public --layer planted --layer-path tools --version 1 \
                     --runtime python3.13";
    for (form, text) in planted() {
        for place in ["tools/conf.py", "tools/a/b/c.txt"] {
            operator.write(place, &text);
            let run = author.publish(arguments).fails(3, "SecretFound");
            assert!(run.stderr.contains(form), "{run}");
            operator.write(place, "");
        }
    }
    // A zip that holds one was built when it was allowed, or elsewhere.
    operator
        .write("tools/key.pem", &planted()[0].1)
        .write("built/requirements.txt", "one\n");
    let build = "build built/requirements.txt --name planted --runtime python3.13 --architecture arm64 \
                 --include tools --allow-secret key.pem";
    let mut command = operator.command(build.split_whitespace());
    command.env("ACCRETION_DEFAULT_INDEX", author.index.url());
    operator.finish(command).exits(0);
    let zip = "--region eu-west-1 --public --zip layers/planted-py313-arm64.zip";
    let run = author.publish(zip).fails(3, "SecretFound");
    assert!(
        run.stderr.contains("`key.pem` holds a private key"),
        "{run}"
    );
    let stack = first_region().await;
    for layer in ["planted", "planted-py313-arm64"] {
        assert_eq!(
            stack.layer_versions(layer).await.unwrap(),
            [0; 0],
            "{layer}"
        );
    }
    author
        .publish(&format!("{zip} --allow-secret key.pem"))
        .exits(0);
}

#[test]
fn what_ends_it_before_anything_is_published() {
    let author = Author::new(Operator::new("http://127.0.0.1:9".to_owned()));
    let rest = "--layer tools --layer-path tools --runtimes python3.13 --version 1";
    let region = "--region eu-west-1";
    for (name, arguments) in [
        ("who_missing", format!("{rest} {region}")),
        (
            "who_twice",
            format!("{rest} {region} --public --my-account"),
        ),
        ("account_odd", format!("{rest} {region} --account 1234")),
        (
            "organization_odd",
            format!("{rest} {region} --organization us"),
        ),
        (
            "layer_odd",
            format!("{rest} {region} --public").replace("--layer tools", "--layer a:b"),
        ),
        (
            "runtime_odd",
            format!("{rest} {region} --public").replace("3.13", "2.7"),
        ),
    ] {
        snapshot!(name, author.publish(&arguments).exits(2));
    }
    let mut command = author.command(&format!("{rest} --public"));
    command
        .env_remove("AWS_REGION")
        .env_remove("AWS_DEFAULT_REGION");
    let run = author.operator.finish(command);
    snapshot!("region_missing", run.fails(3, "RegionMissing"));
    author
        .operator
        .write("empty.json", r#"{"Deployments": {}}"#);
    let run = author.publish(&format!("{rest} --public --deployment-file empty.json"));
    run.fails(3, "RegionsMissing");

    let public = format!("{rest} {region} --public");
    author
        .operator
        .write("tools/requirements.txt", "one\n-e .\n");
    snapshot!("requirements_odd", author.publish(&public).exits(3));
    author
        .operator
        .write("tools/requirements.txt", "one\n")
        .write("tools/one/__init__.py", "1\n");
    snapshot!("conflict", author.publish(&public).fails(3, "FileConflict"));
    let json = author.publish(&format!("{public} --format json")).exits(3);
    assert_eq!(json.json()["Error"]["Code"], "FileConflict");
    author.operator.write("tools/requirements.txt", "three\n");
    author.publish(&public).fails(3, "PackageNotFound");
    fs::create_dir_all(author.operator.path("empty/.git")).unwrap();
    let empty = public.replace("--layer-path tools", "--layer-path empty");
    snapshot!("empty", author.publish(&empty).fails(3, "LayerFolderEmpty"));
    let missing = public.replace("--layer-path tools", "--layer-path missing");
    author.publish(&missing).fails(3, "LayerFileUnreadable");
    assert_eq!(
        integration_tests::names(&author.operator.path("tmp")),
        [""; 0]
    );
}

#[test]
fn aws_that_does_not_answer() {
    let author = Author::new(Operator::new("http://127.0.0.1:9".to_owned()));
    let arguments = "--layer tools --layer-path tools --runtimes python3.10 --version 1 --public";
    let run = author
        .publish(&format!("{arguments} --region {}", REGIONS[0]))
        .exits(4);
    snapshot!("no_answer", run);
    assert_eq!(
        integration_tests::names(&author.operator.path("tmp")),
        [""; 0]
    );
}

/// The answer of a server to a request line: status and body, or nothing at all.
type Answer = fn(&str) -> Option<(u16, &'static str)>;

/// A server on loopback that answers by the request line. Returns
/// its endpoint, and the request lines that it has seen.
fn server(answer: Answer) -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let seen = Arc::new(Mutex::new(Vec::new()));
    let lines = Arc::clone(&seen);
    // It ends with the process.
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = BufReader::new(stream.unwrap());
            let mut head = Vec::new();
            let mut length = 0;
            loop {
                let mut line = String::new();
                stream.read_line(&mut line).unwrap();
                let line = line.trim_end().to_owned();
                if line.is_empty() {
                    break;
                }
                if let Some(value) = line.to_lowercase().strip_prefix("content-length: ") {
                    length = value.parse().unwrap();
                }
                head.push(line);
            }
            stream.read_exact(&mut vec![0; length]).unwrap();
            let line = head.first().cloned().unwrap_or_default();
            let answer = answer(&line);
            lines.lock().unwrap().push(line);
            if let Some((status, body)) = answer {
                let length = body.len();
                let answer = format!(
                    "HTTP/1.1 {status} So\r\nContent-Type: application/json\r\nConnection: close\r\n\
                     Content-Length: {length}\r\n\r\n{body}"
                );
                stream.get_mut().write_all(answer.as_bytes()).unwrap();
            }
        }
    });
    (endpoint, seen)
}

#[test]
fn answers_that_are_lost_or_bad() {
    const NONE: Option<(u16, &str)> = Some((200, r#"{"LayerVersions": []}"#));
    const MADE: &str = r#"{
        "LayerArn": "arn:aws:lambda:eu-west-1:1:layer:a", "Version": 1,
        "LayerVersionArn": "arn:aws:lambda:eu-west-1:1:layer:a:1",
        "Content": {"CodeSha256": "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="},
        "CreatedDate": "2026-11-20T10:00:00.000+0000"
    }"#;
    let cases: [(&str, i32, &str, Answer); 5] = [
        ("lost", 4, "PublicationUnknown", |line| {
            NONE.filter(|_| line.starts_with("GET"))
        }),
        ("failed", 4, "PublicationUnknown", |line| {
            if line.starts_with("GET") {
                NONE
            } else {
                Some((502, ""))
            }
        }),
        ("refused", 3, "LayerRefused", |line| {
            let body = r#"{"__type": "InvalidParameterValueException", "message": "no zip"}"#;
            if line.starts_with("GET") {
                NONE
            } else {
                Some((400, body))
            }
        }),
        ("full", 3, "CodeStorageExceeded", |line| {
            let body = r#"{"__type": "CodeStorageExceededException", "message": "75 GB"}"#;
            if line.starts_with("GET") {
                NONE
            } else {
                Some((400, body))
            }
        }),
        ("not_granted", 1, "AccessDenied", |line| {
            let body = r#"{"__type": "AccessDeniedException", "message": "you may not"}"#;
            match line {
                line if line.starts_with("GET") => NONE,
                line if line.contains("/policy") => Some((403, body)),
                _ => Some((201, MADE)),
            }
        }),
    ];
    for (name, exit, code, answer) in cases {
        let (endpoint, seen) = server(answer);
        let author = Author::new(Operator::new(endpoint));
        let rest = "--layer tools --layer-path tools --runtimes python3.13 --version 1 --public";
        let run = author.publish(rest).exits(exit);
        assert_eq!(run.codes(), [code], "{run}");
        snapshot!(format!("answer_{name}"), run);
        // What can't be repeated is not.
        let seen = seen.lock().unwrap();
        let published = seen
            .iter()
            .filter(|line| line.starts_with("POST") && line.contains("/versions HTTP"));
        assert_eq!(published.count(), 1, "{seen:?}");
    }
}
