use accretion_python::index::Index;

use super::*;
use crate::indexes::{DefaultIndex, NamedIndex};

fn index(name: &str, url: &str, packages: Option<&[&str]>) -> NamedIndex {
    let packages = packages.map(|names| names.iter().map(|name| name.parse().unwrap()).collect());
    NamedIndex {
        index: Index {
            name: name.parse().unwrap(),
            url: url.parse().unwrap(),
            packages,
            credentials: None,
        },
        credentials: None,
    }
}

fn indexes() -> Indexes {
    Indexes {
        default: Some(DefaultIndex::of_url(
            "https://default.example.com/simple".parse().unwrap(),
        )),
        named: vec![
            index("one", "https://one.example.com/simple/", None),
            index("corp", "https://corp.example.com/", Some(&["corp-lib"])),
        ],
        ..Indexes::default()
    }
}

fn routes(indexes: Indexes, cache: &Path) -> Routes {
    Routes::new(Arc::new(indexes), reqwest::Client::new(), cache).unwrap()
}

#[test]
fn packages_come_from_their_index_alone_and_others_never_do() {
    let cache = tempfile::tempdir().unwrap();
    let routes = routes(indexes(), cache.path());
    let sources = |name| -> Vec<String> {
        let sources = routes.sources(name).into_iter();
        sources.map(|source| source.url.to_string()).collect()
    };
    assert_eq!(sources("corp-lib"), ["https://corp.example.com/corp-lib/"]);
    let others = [
        "https://one.example.com/simple/numpy/",
        "https://default.example.com/simple/numpy/",
    ];
    assert_eq!(sources("numpy"), others);
}

#[test]
fn keys_depend_on_the_indexes_and_on_the_cache() {
    let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let key = |indexes, cache: &tempfile::TempDir| routes(indexes, cache.path()).key;
    assert_eq!(key(indexes(), &one), key(indexes(), &one));
    assert_ne!(key(indexes(), &one), key(indexes(), &other));
    let mut changed = indexes();
    changed.named[1].index.packages.as_mut().unwrap().clear();
    assert_ne!(key(indexes(), &one), key(changed, &one));
    let mut changed = indexes();
    let arn = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:a";
    let reference = accretion_python::index::CredentialsReference::Secret(arn.parse().unwrap());
    changed.named[0].index.credentials = Some(reference);
    assert_ne!(key(indexes(), &one), key(changed, &one));
}

#[test]
fn urls_of_files_lead_here_and_back() {
    let cache = tempfile::tempdir().unwrap();
    let routes = routes(indexes(), cache.path());
    let url = "https://files.example.com/a%2Bb/a-1.0-py3-none-any.whl?x=\u{fc}";
    let url: Url = url.parse().unwrap();
    let spelled = routes.spell(1, &url).unwrap();
    assert!(spelled.ends_with("/a-1.0-py3-none-any.whl"), "{spelled}");
    assert_eq!(
        routes.restore(&format!("url = \"{spelled}\", `{spelled}`")),
        format!("url = \"{url}\", `{url}`")
    );
    let path = spelled.split_once(&*routes.key).unwrap().1;
    assert_eq!(file_of(path), Some((1, url.clone())));
    let (_, metadata) = file_of(&format!("{path}.metadata")).unwrap();
    assert_eq!(metadata.path(), "/a%2Bb/a-1.0-py3-none-any.whl.metadata");
    for path in [
        "",
        "/files/",
        "/files/1/x",
        "/files/1/!/x",
        "/files/x/YQ/x",
        "/files/0/YQ/x",
    ] {
        assert_eq!(file_of(path), None, "{path}");
    }
}

#[test]
fn a_lock_that_broke_a_pin_is_refused() {
    let cache = tempfile::tempdir().unwrap();
    let routes = routes(indexes(), cache.path());
    let locked = |name: &str, url: &str| {
        let text = format!(
            "lock-version = \"1.0\"\n[[packages]]\nname = \"{name}\"\nwheels = [{{ url = \"{url}\" }}]\n"
        );
        routes.check(&Lock::parse(&text).unwrap())
    };
    let at = |at| {
        let url = "https://files.example.com/x-1.0-py3-none-any.whl";
        routes.spell(at, &url.parse().unwrap()).unwrap()
    };
    assert!(locked("corp-lib", &at(1)).is_ok());
    assert!(locked("numpy", &at(0)).is_ok());
    assert!(locked("numpy", &at(2)).is_ok());
    let elsewhere = "https://files.example.com/x-1.0-py3-none-any.whl";
    assert!(locked("numpy", elsewhere).is_ok());
    for (name, url) in [
        ("corp-lib", at(0)),
        ("corp-lib", at(2)),
        ("corp-lib", elsewhere.to_owned()),
        ("Corp_Lib", at(0)),
        ("numpy", at(1)),
    ] {
        let error = locked(name, &url).unwrap_err();
        assert!(matches!(error, Error::PinNotKept { .. }), "{name} {url}");
    }
}

#[test]
fn nobody_else_uses_the_proxy() {
    let cache = tempfile::tempdir().unwrap();
    let routes = routes(indexes(), cache.path());
    let given = |token: &str| {
        let text = format!("Basic {}", STANDARD.encode(format!("resolver:{token}")));
        HeaderValue::from_str(&text).unwrap()
    };
    assert!(routes.let_in(Some(&given(&routes.token))));
    assert!(!routes.let_in(Some(&given(""))));
    assert!(!routes.let_in(None));
}
