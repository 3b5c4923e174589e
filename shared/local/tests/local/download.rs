//! Where downloads may come from.

use accretion_core::Fault as _;
use accretion_core::lock::LockedFile;
use accretion_local::Downloader;
use accretion_service::ports::Wheels as _;
use accretion_testing::forge::Wheel;
use accretion_testing::index::{Fault, PackageIndex};

use crate::harness::{downloader, locked, pure, wheel_cache};

/// Gets a wheel from a URL into a fresh cache. Returns the code of the error.
async fn get(downloader: Downloader, wheel: &Wheel, url: String) -> Result<(), &'static str> {
    let root = tempfile::tempdir().unwrap();
    let file = LockedFile {
        url: url.parse().unwrap(),
        sha256: wheel.sha256.parse().unwrap(),
        size: None,
    };
    let filename = wheel.filename.parse().unwrap();
    let wheels = wheel_cache(root.path(), downloader);
    let stored = wheels.get(&filename, &file).await;
    let kept = root.path().join("wheels").read_dir().unwrap().count();
    assert_eq!(kept, if stored.is_ok() { 2 } else { 0 });
    stored.map(drop).map_err(|error| error.code())
}

#[tokio::test]
async fn addresses_of_this_machine_are_refused_where_that_is_wanted() {
    let wheel = pure("a");
    let index = PackageIndex::start([&wheel]);
    let by_address = index.file_url(&wheel.filename);
    let by_name = by_address.replace("127.0.0.1", "localhost");
    for url in [&by_address, &by_name] {
        assert_eq!(get(downloader(None), &wheel, url.clone()).await, Ok(()));
        index.forget_requests();
        for url in [url.clone(), url.replace("http:", "https:")] {
            let refusing = downloader(None).refusing_local_addresses();
            let code = get(refusing, &wheel, url).await;
            assert_eq!(code, Err("LocalAddressRefused"));
        }
        assert_eq!(index.requests(), []);
    }
}

#[tokio::test]
async fn redirects_to_this_machine_are_refused_too() {
    let wheel = pure("a");
    let (index, elsewhere) = (PackageIndex::start([&wheel]), PackageIndex::start([&wheel]));
    let url = index.file_url(&wheel.filename);
    let chosen = index.url().parse().unwrap();
    let refusing = || downloader(Some(&chosen)).refusing_local_addresses();
    // The index itself is where the user said so.
    assert_eq!(get(refusing(), &wheel, url.clone()).await, Ok(()));
    for to in [
        elsewhere.file_url(&wheel.filename),
        elsewhere
            .file_url(&wheel.filename)
            .replace("127.0.0.1", "localhost"),
        "http://169.254.169.254/latest/meta-data/".to_owned(),
        "https://[fd00:ec2::254]/latest/meta-data/".to_owned(),
        "https://0.0.0.0/".to_owned(),
    ] {
        index.fault(&wheel.filename, Fault::Redirect(to.clone()));
        let code = get(refusing(), &wheel, url.clone()).await;
        assert_eq!(code, Err("LocalAddressRefused"), "{to}");
    }
    assert_eq!(elsewhere.requests(), []);

    let to = elsewhere.file_url(&wheel.filename);
    index.fault(&wheel.filename, Fault::Redirect(to));
    assert_eq!(get(downloader(Some(&chosen)), &wheel, url).await, Ok(()));
    assert_eq!(elsewhere.requests().len(), 1);
}

#[tokio::test]
async fn a_redirect_to_plain_http_is_refused_everywhere() {
    let wheel = pure("a");
    let index = PackageIndex::start([&wheel]);
    index.fault(
        &wheel.filename,
        Fault::Redirect("http://192.0.2.1/a".to_owned()),
    );
    let (_, file) = locked(&index, &wheel);
    let code = get(downloader(None), &wheel, file.url.to_string()).await;
    assert_eq!(code, Err("InsecureUrl"));
}
