//! Private indexes of the operator's, and what requests may do with them.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Cursor, Read as _};
use std::path::Path;

use accretion_testing::forge::{Wheel, WheelForge};
use accretion_testing::index::PackageIndex;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use pipeline_tests::testbed::{STACK, Testbed};
use pipeline_tests::{CANARY, Filter, Options, Result, Subscription, Table, sam};
use serde_json::{Value, json};

use crate::{codes, one, request};

/// The credentials of an index.
struct Key {
    username: String,
    password: String,
}

impl Key {
    fn new(of: &str) -> Self {
        Self {
            username: format!("{of}-{CANARY}"),
            password: format!("p-{of}-{CANARY}"),
        }
    }

    fn encoded(&self) -> String {
        STANDARD.encode(format!("{}:{}", self.username, self.password))
    }

    fn opens(&self, index: &PackageIndex) {
        index.require_authorization(&format!("Basic {}", self.encoded()));
    }

    fn secret(&self) -> String {
        json!({"username": self.username, "password": self.password}).to_string()
    }
}

fn wheel(name: &str, version: &str, from: &str, requires: &[&str]) -> Wheel {
    let forge =
        WheelForge::new(name, version).file(&format!("{name}/__init__.py"), from.to_owned());
    requires
        .iter()
        .fold(forge, |forge, it| forge.requires(it))
        .build()
}

/// A stack whose operator has private indexes.
struct World<'a> {
    testbed: &'a Testbed,
    said: Subscription,
    public: PackageIndex,
    corp: PackageIndex,
    teams: PackageIndex,
    secrets: BTreeMap<&'static str, String>,
}

impl<'a> World<'a> {
    async fn new(testbed: &'a Testbed) -> Result<Self> {
        let public = PackageIndex::start([
            wheel("app", "1.0", "public", &["corplib"]),
            wheel("corplib", "9.0", "public", &[]),
            wheel("common", "9.0", "public", &[]),
        ]);
        let corp = PackageIndex::start([
            wheel("corplib", "1.0", "corp", &["common"]),
            wheel("common", "1.0", "corp", &[]),
        ]);
        corp.html_only();
        let teams = PackageIndex::start([wheel("teamlib", "1.0", "teams", &[])]);
        let configuration = testbed.server.configuration();
        let client = aws_sdk_secretsmanager::Client::new(&configuration);
        let mut secrets = BTreeMap::new();
        for name in ["corp", "teams", "other"] {
            let create = client.create_secret().name(name);
            let text = Key::new(name).secret();
            let made = create
                .secret_string(text)
                .send()
                .await
                .expect("it has secrets");
            secrets.insert(name, made.arn().expect("secrets have ARNs").to_owned());
        }
        Key::new("corp").opens(&corp);
        Key::new("teams").opens(&teams);
        let said = testbed.stack.subscribe("indexes", &Filter::None).await?;
        Ok(Self {
            testbed,
            said,
            public,
            corp,
            teams,
            secrets,
        })
    }

    fn index(&self, name: &str, index: &PackageIndex, packages: &[&str]) -> Value {
        let secret = &self.secrets[name];
        json!({"Name": name, "Url": index.url(), "Packages": packages,
               "Credentials": {"SecretArn": secret}})
    }

    async fn deploy(&self, indexes: Value, secrets: &[&str]) -> Result<()> {
        let quoted = |text: String| format!("\"{}\"", text.replace('"', "\\\""));
        let arns: Vec<_> = secrets
            .iter()
            .map(|name| self.secrets[*name].as_str())
            .collect();
        let (url, indexes) = (self.public.url(), quoted(indexes.to_string()));
        let arns = quoted(arns.join(","));
        let domain = "arn:aws:codeartifact:eu-west-2:123456789012:domain/corp";
        let parameters = [
            ("IndexUrl", url.as_str()),
            ("Indexes", indexes.as_str()),
            ("IndexSecretArns", arns.as_str()),
            ("CodeArtifactDomainArn", domain),
            ("LogLevel", "trace"),
        ];
        let template = sam::built().await?;
        let server = &self.testbed.server;
        sam::change_parameters(server, STACK, &template, &parameters).await?;
        Ok(())
    }

    /// Returns the outcome of a request: a code, or the index of each package of the layer.
    async fn ask(&self, name: &str, request: &mut Value) -> Result<Vec<String>> {
        request["Name"] = json!(name);
        let stack = &self.testbed.stack;
        stack
            .drop_into_inbox("indexes.json", request.to_string())
            .await?;
        let notification = one(&self.said).await?;
        let text = notification.body.to_string();
        assert!(!text.contains(CANARY), "{text}");
        if notification.text("Event") != "LayerPublished" {
            let codes = codes(&notification).into_iter().map(ToOwned::to_owned);
            return Ok(codes.collect());
        }
        let version = stack.layer_version(&format!("{name}-py313"), 1).await?;
        let mut zip = zip::ZipArchive::new(Cursor::new(version.content)).expect("a zip");
        let mut origins = Vec::new();
        for at in 0..zip.len() {
            let mut file = zip.by_index(at).expect("the directory is true");
            let name = file.name().expect("names are UTF-8").into_owned();
            let module = name.strip_suffix("/__init__.py").map(ToOwned::to_owned);
            if let Some(module) = module {
                let mut from = String::new();
                file.read_to_string(&mut from).expect("it is a text");
                origins.push(format!("{} {from}", module.trim_start_matches("python/")));
            }
        }
        Ok(origins)
    }
}

fn requires(requirements: &str, indexes: Value) -> Value {
    let mut request = request("requirements.txt", requirements);
    request["Indexes"] = indexes;
    request
}

#[test]
fn private_indexes_are_the_operators_to_open() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("indexes");
    let cache = tempfile::tempdir().unwrap();
    let options = Options {
        enforce_iam: true,
        cache: Some(cache.path().to_owned()),
    };
    let testbed = Testbed::start(&folder, &options).unwrap();
    testbed.run(async {
        let world = World::new(&testbed).await?;
        let corp = world.index("corp", &world.corp, &["corplib"]);
        let teams = world.index("teams", &world.teams, &[]);
        world
            .deploy(json!([corp, teams]), &["corp", "teams"])
            .await?;
        pinned(&world).await?;
        of_requests(&world).await?;
        locked(&world).await?;
        nothing_is_left(&world, cache.path()).await?;

        // The role is as narrow as the list: what is not on it, the builder can't read.
        let other = world.index("other", &world.corp, &["corplib"]);
        world.deploy(json!([other]), &["corp"]).await?;
        let refused = world.ask("other", &mut requires("app", json!([]))).await?;
        assert_eq!(refused, ["AccessDenied"]);
        Ok(())
    });
}

/// Checks that a pinned package comes from its index, whichever package requires it and whatever
/// the request says.
async fn pinned(world: &World<'_>) -> Result<()> {
    let expected = ["app public", "common public", "corplib corp"];
    let built = world.ask("pinned", &mut requires("app", json!([]))).await?;
    assert_eq!(built, expected);
    let elsewhere = json!([{"Name": "x", "Url": world.public.url(), "Packages": ["corplib"]}]);
    let refused = world
        .ask("elsewhere", &mut requires("app", elsewhere))
        .await?;
    assert_eq!(refused, ["PackagePinnedElsewhere"]);
    Ok(())
}

/// A request's own indexes: opened as the operator opens them, and nowhere else.
async fn of_requests(world: &World<'_>) -> Result<()> {
    let mut own = world.index("teams", &world.teams, &["teamlib"]);
    own["Name"] = json!("ours");
    let built = world
        .ask("own", &mut requires("teamlib", json!([own])))
        .await?;
    assert_eq!(built, ["teamlib teams"]);

    // Another server, with the operator's secret.
    let thief = PackageIndex::start([wheel("teamlib", "2.0", "thief", &[])]);
    let mut index = own.clone();
    index["Url"] = json!(thief.url());
    let refused = world
        .ask("thief", &mut requires("teamlib", json!([index])))
        .await?;
    assert_eq!(refused, ["IndexCredentialsRefused"]);
    // A secret that the operator does not offer.
    let mut index = own.clone();
    index["Credentials"]["SecretArn"] = json!(world.secrets["other"]);
    let refused = world
        .ask("other-secret", &mut requires("teamlib", json!([index])))
        .await?;
    assert_eq!(refused, ["IndexCredentialsRefused"]);
    // An index of this machine that only the request names.
    let index = json!([{"Name": "thief", "Url": thief.url()}]);
    let refused = world.ask("local", &mut requires("teamlib", index)).await?;
    assert_eq!(refused, ["LocalAddressRefused"]);
    assert_eq!(thief.requests(), []);
    // Without credentials.
    let index = json!([{"Name": "ours", "Url": world.teams.url(), "Packages": ["teamlib"]}]);
    let refused = world.ask("closed", &mut requires("teamlib", index)).await?;
    assert_eq!(refused, ["IndexForbidden"]);
    Ok(())
}

/// Files of a lock that are on an index's server.
async fn locked(world: &World<'_>) -> Result<()> {
    let wheel = wheel("corplib", "1.0", "corp", &["common"]);
    let (url, sha256) = (world.corp.file_url(&wheel.filename), &wheel.sha256);
    let lock = format!(
        "lock-version = \"1.0\"\ncreated-by = \"test\"\n[[packages]]\nname = \"corplib\"\n\
         version = \"1.0\"\nwheels = [{{ url = \"{url}\", hashes = {{ sha256 = \"{sha256}\" }} }}]\n"
    );
    let built = world
        .ask("locked", &mut request("pylock.toml", &lock))
        .await?;
    assert_eq!(built, ["corplib corp"]);
    Ok(())
}

/// No credentials are in the artifacts bucket, in the table or in the builder's folders.
async fn nothing_is_left(world: &World<'_>, cache: &Path) -> Result<()> {
    let stack = &world.testbed.stack;
    let keys = ["corp", "teams"].map(|name| Key::new(name).encoded());
    let gives_away = |bytes: &[u8]| {
        let canaries = keys.iter().map(String::as_str).chain([CANARY]);
        let mut found =
            canaries.map(|it| bytes.windows(it.len()).any(|part| part == it.as_bytes()));
        found.any(|found| found)
    };
    let objects = stack.artifact_keys("").await?;
    assert!(objects.len() > 8, "{objects:?}");
    for key in objects {
        let bytes = stack.artifact(&key).await?.unwrap_or_default();
        assert!(!gives_away(&bytes), "{key}");
    }
    let items = stack.all_items(Table::Requests, None).await?;
    assert!(!items.is_empty());
    assert!(!gives_away(Value::from(items).to_string().as_bytes()));
    let mut folders = vec![cache.to_owned()];
    let mut files = 0;
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder can be read") {
            let path = entry.expect("a folder can be read").path();
            if path.is_dir() {
                folders.push(path);
            } else if let Ok(bytes) = fs::read(&path) {
                assert!(!gives_away(&bytes), "{}", path.display());
                files += 1;
            }
        }
    }
    assert!(files > 10, "{files}");
    Ok(())
}
